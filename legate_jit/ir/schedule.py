"""Scheduling: from clusters to the steps of a flush, with every decision about memory made.

Decides, once per graph structure: which updates happen in place and which need a copy, what has to be copied then, which
values have memory, and which share it over time. Knows shapes and which input buffers may be overwritten; no addresses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from legate_jit.ir import index
from legate_jit.ir.build import CallSpec
from legate_jit.ir.fuse import Cluster, Fused, Item, lying_in, normalize, reads_of
from legate_jit.ir.index import Affine
from legate_jit.ir.kernel import Kernel
from legate_jit.ir.nest import build
from legate_jit.ir.node import Node, array_type
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.steps import Argument, Call, Launch, Nest, Schedule, Step, Storage, Task
from legate_jit.ir.tasks.task import TaskArg

#: launches of less work (simple operations) than this run on one thread
PARALLEL_WORK = 40000
#: work a thread should take at a time: at least so much, as a kernel's call costs what some thousand operations do; of large
#: launches a share, which leaves enough of them to balance threads
CHUNK_WORK, CHUNKS, LARGE_CHUNK_WORK = 60_000, 256, 1_000_000


def schedule(fused: Fused, exclusive: Sequence[bool], scalars: tuple[str, ...], inputs: int) -> Schedule:
    """Plan memory for the fused graph. `exclusive[i]`: nobody but this flush needs input buffer i afterwards."""
    return _Planner(fused, exclusive, scalars, inputs).plan()


class _Reading(NamedTuple):
    step: int
    node: Node  # as read: the origin or an alias of it
    view: Affine | None  # from the reading cluster's index space; None: the whole
    by: Node | None = None  # the update that would copy it


class _Planner:
    def __init__(
        self, fused: Fused, exclusive: Sequence[bool], scalars: tuple[str, ...], inputs: int
    ) -> None:
        self.fused, self.exclusive, self.scalars, self.inputs = fused, exclusive, scalars, inputs
        self.steps = list(fused.steps)
        self.where: dict[Node, int] = {}
        self.readings: dict[Node, list[_Reading]] = {}
        self.in_place: dict[Node, Node] = {}  # update -> the value whose memory it takes over
        self.taken: dict[Node, Node] = {}  # the reverse
        self.roots = set(fused.graph.roots)
        # values that, possibly under another shape, are needed after the flush
        self.aliased = {origin(r) for r in self.roots}
        # of a value and those before it in its memory, once an update of it was looked at
        self.last_read: dict[Node, int] = {}
        self.written: dict[Node, list[Node]] = {}  # task -> the new values of what it writes
        self.items: dict[Node, list[Node]] = {}  # the results of a call that has several
        for n in fused.graph.nodes:
            if n.kind is Kind.ITEM:
                self.items.setdefault(n.src[0], []).append(n)
        self.copied = 0
        self.after = launches_before(fused.graph)

    def plan(self) -> Schedule:
        self.locate()
        for k, step in enumerate(self.steps):
            for u in self.updates(step):
                self.decide(u, k)
        self.insert_copies()
        return self.assign()

    # -- who reads what, where --

    def locate(self) -> None:
        for k, step in enumerate(self.steps):
            if isinstance(step, Cluster):
                for item in step.items:
                    self.where[item.node] = k
                    if item.role == "update":
                        self.note(item.node.src[0], k, None, item.node)
                for r, view in step.reads:
                    if r not in step.produced:
                        self.note(r, k, view)
            elif step.kind is Kind.ITEM and step.src[0].kind is Kind.TASK:
                task = step.src[0]
                self.where[step] = self.where[task]
                self.written.setdefault(task, []).append(step)
                self.note(old_value(step), self.where[task], None, step)
            else:
                self.where[step] = k
                self.locate_sources(step, k)

    def locate_sources(self, step: Node, k: int) -> None:
        for s in step.src[: step.arg.inputs] if isinstance(step.arg, TaskArg) else step.src:
            base = lying_in(s, self.fused.materialized)
            seen = s.arg if base is not s else index.identity(s.shape)
            assert isinstance(seen, Affine)
            self.note(base, k, seen)

    def note(self, r: Node, step: int, view: Affine | None, by: Node | None = None) -> None:
        self.readings.setdefault(origin(r), []).append(_Reading(step, r, view, by))

    # -- in place or copy --

    def decide(self, u: Node, step: int) -> None:
        """In place iff the old value is dead after the update, nobody else took its memory, and no reader disagrees."""
        old = origin(old_value(u))
        if old.kind is Kind.GENERATE and old not in self.where:
            return
        if old.kind is Kind.BUFFER:
            assert isinstance(old.arg, int)
            if not self.exclusive[old.arg]:
                return
        if old in self.aliased or old in self.taken:
            return
        last = max((r.step for r in self.readings.get(old, ())), default=-1)
        self.last_read[old] = max(last, self.last_read[self.in_place[old]] if old in self.in_place else -1)
        for version in self.versions(old):
            if self.last_read[version] < step:  # nobody reads this one or those before it any more
                break
            if any(self.conflicts(u, step, version, r) for r in self.readings.get(version, ())):
                return
        self.in_place[u] = old
        self.taken[old] = u

    def versions(self, n: Node) -> Iterator[Node]:
        """The values that have lain in the memory of `n`, the newest first."""
        yield n
        while n in self.in_place:
            n = self.in_place[n]
            yield n

    def conflicts(self, u: Node, step: int, version: Node, reading: _Reading) -> bool:
        """Whether writing u's region at `step` would change what `reading` of an earlier version sees."""
        if reading.by is not None and (reading.by is u or self.in_place.get(reading.by) is version):
            return False
        if reading.step < step:
            return False
        if reading.view is None or reading.node is not version or version.shape != u.shape:
            return True
        cluster = self.steps[step]
        if reading.step == step and isinstance(cluster, Cluster):
            assert isinstance(u.arg, Affine)
            same = normalize(reading.view, u.shape) == normalize(u.arg, u.shape)
            if same and cluster.domain == u.arg.shape:
                return False
        return any(index.overlaps(reading.view, region) for region in regions(u))

    # -- what an update that is not in place has to copy first --

    def insert_copies(self) -> None:
        before: dict[int, list[Cluster]] = {}
        for k, step in enumerate(self.steps):
            for u in self.updates(step):
                if u not in self.in_place:
                    before.setdefault(k, []).extend(self.copies(u))
        if not before:
            return
        steps: list[Cluster | Node] = []
        for k, step in enumerate(self.steps):
            steps.extend(before.get(k, ()))
            steps.append(step)
        self.steps = steps

    def updates(self, step: Cluster | Node) -> list[Node]:
        """The values a step makes by changing older ones."""
        if isinstance(step, Cluster):
            return [i.node for i in step.items if i.role == "update"]
        return self.written.get(step, [])

    def copies(self, u: Node) -> list[Cluster]:
        """Clusters that put the part of the old value which the update leaves alone into the new memory."""
        old = old_value(u)
        if old.op.name == "empty":
            return []
        boxes = index.complement(u.arg, u.shape) if isinstance(u.arg, Affine) else None
        if boxes is None:
            boxes = [tuple((0, n) for n in u.shape)]
        out = []
        for box in boxes:
            if not self.overwritten(u, box):
                view = index.from_box(box)
                cluster = Cluster(view.shape)
                item = Item(u, "copy", old, view, None)
                reads = reads_of(old, view, self.fused.materialized, None)
                cluster.add(item, reads)
                out.append(cluster)
                self.copied += u.dtype.itemsize * math.prod(view.shape)
        return out

    def overwritten(self, u: Node, box: tuple[tuple[int, int], ...]) -> bool:
        """Whether later in-place updates replace the whole box before anybody reads it."""
        version, region = u, index.from_box(box)
        while True:
            if version in self.aliased:
                return False
            following = self.taken.get(version)
            for reading in self.readings.get(version, ()):
                if reading.by is not None and reading.by is following:
                    continue
                if (
                    reading.view is None
                    or reading.node is not version
                    or index.overlaps(reading.view, region)
                ):
                    return False
            if following is None or following.kind is Kind.ITEM or following.src[0] is not version:
                # Nobody, a task that may look at it, or somebody who sees it under another shape.
                return False
            assert isinstance(following.arg, Affine)
            if index.covers(following.arg, box):
                return True
            version = following

    # -- memory --

    def assign(self) -> Schedule:
        memory = _Memory(self)
        launches: list[Step] = []
        stored = self.stored()
        for k, step in enumerate(self.steps):
            memory.begin(k)
            if isinstance(step, Cluster):
                nest = build(step, self.fused, stored)
                if nest.units:
                    launches.append(memory.launch(memory.succeed(nest)))
            elif step.kind is Kind.TASK:
                launches.append(memory.task(step))
            elif step.kind is not Kind.ITEM:
                launches.append(memory.call(step))
        outputs = tuple(memory.storage(r) for r in self.fused.graph.roots)
        return Schedule(
            tuple(launches),
            tuple(memory.storages),
            tuple(memory.slots),
            outputs,
            self.scalars,
            self.inputs,
            self.copied,
            tuple(self.after[r] for r in self.fused.graph.roots) if self.after else (),
        )

    def stored(self) -> frozenset[Node]:
        """Nodes that must be in memory: roots, updates, and whatever another step reads."""
        needed = {origin(r) for r in self.roots}
        needed.update(self.readings)
        needed.update(self.in_place.values())
        for step in self.steps:
            if isinstance(step, Cluster):
                needed.update(i.node for i in step.items if i.role in ("update", "copy"))
                needed.update(origin(r) for r, _ in step.reads if r not in step.produced)
        return frozenset(needed)


class _Memory:
    """Assigns storages to values, and slots to storages so that memory is used again once its last reader has run."""

    def __init__(self, planner: _Planner) -> None:
        self.planner = planner
        self.storages: list[Storage] = []
        self.slots: list[int] = []
        self.of: dict[Node, int] = {}
        self.firsts: dict[Node, Node] = {}
        self.free: dict[int, list[int]] = {}
        self.last = self.last_uses()
        self.step = 0
        self.release: dict[int, list[int]] = {}

    def root_of(self, n: Node) -> Node:
        """The first value that had the memory `n` lies in."""
        passed = []
        n = origin(n)
        while n in self.planner.in_place and n not in self.firsts:
            passed.append(n)
            n = origin(self.planner.in_place[n])
        first = self.firsts.get(n, n)
        for node in passed:
            self.firsts[node] = first
        return first

    def last_uses(self) -> dict[Node, int]:
        """Last step that touches the memory of each first value; roots never die."""
        last: dict[Node, int] = {}
        for k, step in enumerate(self.planner.steps):
            touched = (
                [r for r, _ in step.reads] + [i.node for i in step.items]
                if isinstance(step, Cluster)
                else [
                    step,
                    *(lying_in(s, self.planner.fused.materialized) for s in step.src),
                    *self.planner.updates(step),
                ]
            )
            for n in touched:
                last[self.root_of(n)] = k
        for r in self.planner.roots:
            last[self.root_of(r)] = len(self.planner.steps)
        return last

    def begin(self, step: int) -> None:
        """Memory whose last reader was before `step` may be used again."""
        self.step = step
        for slot in self.release.pop(step - 1, ()):
            self.free.setdefault(self.slots[slot], []).append(slot)

    def storage(self, n: Node) -> int:
        """The storage of a value, made at its first use."""
        first = self.root_of(n)
        found = self.of.get(first)
        if found is not None:
            return found
        if first.kind is Kind.BUFFER:
            assert isinstance(first.arg, int)
            new = Storage(first.arg, first.type.nbytes, -1)
        else:
            new = Storage(-1, first.type.nbytes, self.slot(first))
        self.of[first] = len(self.storages)
        self.storages.append(new)
        return self.of[first]

    def slot(self, n: Node) -> int:
        nbytes = n.type.nbytes
        waiting = self.free.get(nbytes)
        if waiting:
            slot = waiting.pop()
        else:
            slot = len(self.slots)
            self.slots.append(nbytes)
        self.release.setdefault(max(self.last.get(n, self.step), self.step), []).append(slot)
        return slot

    def succeed(self, nest: Nest) -> Nest:
        """Let the nest's results lie where it finds arrays, element for element, that nobody reads after it: lines of cache that
        were read are written, and no others."""
        if self.planner.after:
            return nest  # tasks run beside kernels: whether memory is free is only known once they have run
        operands = list(nest.kernel.operands)
        for k, operand in enumerate(nest.kernel.operands):
            made = nest.places[k].node
            if operand.mode != "w" or made is None or self.root_of(made) is not made or made in self.of:
                continue
            if [s.level for s in nest.kernel.sections for o, _ in s.stores if o == k] != ["inner"]:
                continue
            for j, place in enumerate(nest.places):
                if place.node is not None and self.replaces(nest, k, j):
                    self.inherit(made, place.node)
                    operands[k] = operand._replace(stream=False)
                    break
        return nest._replace(kernel=replace(nest.kernel, operands=tuple(operands)))

    def replaces(self, nest: Nest, k: int, j: int) -> bool:
        """Whether operand k may be stored where operand j is loaded."""
        new, old = nest.places[k], nest.places[j]
        if nest.kernel.operands[j].mode != "r" or old.node is None or new.node is None:
            return False
        if old[1:] != new[1:] or old.node.type.nbytes != new.node.type.nbytes:
            return False
        first = self.root_of(old.node)
        if self.last.get(first) != self.step or first.type.nbytes != new.node.type.nbytes:
            return False
        if isinstance(first.arg, int) and first.kind is Kind.BUFFER and not self.planner.exclusive[first.arg]:
            return False
        if old.node.dtype.itemsize != new.node.dtype.itemsize:
            return False
        if sum(p.node is not None and self.root_of(p.node) is first for p in nest.places) != 1:
            return False
        return not _loaded_after(nest.kernel, j, k)

    def inherit(self, new: Node, old: Node) -> None:
        """Put `new` in the memory of `old`, which dies."""
        first = self.root_of(old)
        storage = self.of[new] = self.storage(old)
        slot = self.storages[storage].slot
        self.last[first] = -1  # taken
        if slot >= 0:
            self.release[self.step].remove(slot)
            self.release.setdefault(max(self.last[new], self.step), []).append(slot)

    def launch(self, nest: Nest) -> Launch:
        storages = tuple(-1 if p.node is None else self.storage(p.node) for p in nest.places)
        total = nest.units * nest.work
        if total < PARALLEL_WORK:
            return Launch(nest, storages, nest.units)
        work = min(max(CHUNK_WORK, total // CHUNKS), LARGE_CHUNK_WORK)
        return Launch(nest, storages, max(1, min(work // max(nest.work, 1), -(-nest.units // 2))))

    def call(self, n: Node) -> Call:
        results = self.planner.items.get(n) or [n]
        spec = n.arg if isinstance(n.arg, CallSpec) else CallSpec(n.op.name, (("arg", n.arg),))
        return Call(
            spec,
            tuple(self.argument(s) for s in n.src),
            tuple((self.storage(m), m.type) for m in sorted(results, key=_item_number)),
            self.planner.after.get(n, 0),
        )

    def task(self, n: Node) -> Task:
        arg, launch = n.arg, n.src[-1].arg
        assert isinstance(arg, TaskArg) and isinstance(launch, int)
        new = {_item_number(m): m for m in self.planner.updates(n)}
        arguments, bases = [], []
        for a in arg.arguments:
            if a.written:
                base = new[a.at]
                arguments.append(self.view(base, a.view or index.identity(base.shape)))
            else:
                base = lying_in(n.src[a.at], self.planner.fused.materialized)
                arguments.append(self.argument(n.src[a.at]))
            bases.append(base.shape)
        self.storage(n)  # the token: roots have memory
        written = tuple(self.storage(m) for m in new.values())
        after = self.planner.after[n] & ~(1 << launch)
        return Task(arg.spec, tuple(arguments), tuple(bases), arg.partition, launch, written, after)

    def argument(self, s: Node) -> Argument:
        if s.kind is Kind.SCALAR:
            assert isinstance(s.arg, int)
            return Argument(-1, s.type, s.arg, ())
        base, view = s, index.identity(s.shape)
        if lying_in(s, self.planner.fused.materialized) is not s:
            assert isinstance(s.arg, Affine)
            base, view = s.src[0], s.arg
        return self.view(base, view)

    def view(self, base: Node, view: Affine) -> Argument:
        offset, strides = index.elem_strides(view, base.shape)
        size = base.dtype.itemsize
        type_ = array_type(view.shape, base.dtype)
        whole = index.is_identity(view, base.shape)
        return Argument(self.storage(base), type_, offset * size, tuple(t * size for t in strides), whole)


def origin(n: Node) -> Node:
    """The node whose memory an alias shows under another shape or dtype."""
    while n.kind in (Kind.RESHAPE, Kind.BITCAST):
        n = n.src[0]
    return n


def launches_before(graph: Graph) -> dict[Node, int]:
    """For each node the launches that it is computed from, a task from itself: one bit for each, at its scalar slot.

    Empty without tasks.
    """
    after: dict[Node, int] = {}
    if any(n.kind is Kind.TASK for n in graph.nodes):
        for n in graph.nodes:
            found = 0
            for s in n.src:
                found |= after[s]
            if n.kind is Kind.TASK:
                assert isinstance(n.src[-1].arg, int)
                found |= 1 << n.src[-1].arg
            after[n] = found
    return after


def old_value(u: Node) -> Node:
    """The value whose place an update, or the item of a task, takes."""
    if u.kind is not Kind.ITEM:
        return u.src[0]
    arg = u.src[0].arg
    assert isinstance(arg, TaskArg) and isinstance(u.arg, int)
    return u.src[0].src[arg.inputs + u.arg]


def regions(u: Node) -> list[Affine]:
    """What an update, or a task whose item it is, writes: views of the value."""
    if u.kind is not Kind.ITEM:
        assert isinstance(u.arg, Affine)
        return [u.arg]
    arg = u.src[0].arg
    assert isinstance(arg, TaskArg) and isinstance(u.arg, int)
    return [view or index.identity(u.shape) for view in arg.regions(u.arg)]


def _loaded_after(kernel: Kernel, j: int, k: int) -> bool:
    """Whether a section after the one that stores operand k loads operand j."""
    stored = False
    for section in kernel.sections:
        if stored and any(i.op == "load" and i.imm == j for i in section.instrs):
            return True
        stored = stored or any(o == k for o, _ in section.stores)
    return False


def _item_number(n: Node) -> int:
    return n.arg if n.kind is Kind.ITEM and isinstance(n.arg, int) else 0
