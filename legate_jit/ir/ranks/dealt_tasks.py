"""Launches in the graph of one rank: the same launch with the rank's own points, on the parts of its operands that they see.

Written arrays stay where they lie when every rank writes its own part of them; else what was written is put back through
exchanges. Reductions of which several ranks have partial results are merged in the order of the points. Must not know how points
are dealt out (`ir.dealing`), messages or memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from legate_jit.ir import index
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node, array_type
from legate_jit.ir.ops import OPS
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.dealing import Reach, TaskPlan, Use, deal
from legate_jit.ir.ranks.exchanges import neutral
from legate_jit.ir.ranks.layout import Layout, Need, Span
from legate_jit.ir.tasks.task import OPERATORS, TaskArg, TaskArgument
from legate_jit.ir.tasks.tiles import Partition, Share

if TYPE_CHECKING:
    from legate_jit.ir.ranks.distribute import _Distributor

#: as many ranks send each other rows of partial results in one message to each
_FEW = 32
_Wanted = tuple[Node, Need | Reach]


class Dealt:
    """A launch that is dealt out, and the layouts of its operands. `old`: per written array the value before; `lies`: how it and
    the value after lie."""

    def __init__(self, n: Node, plan: TaskPlan, layouts: Sequence[Layout], items: Mapping[int, Node]) -> None:
        assert isinstance(n.arg, TaskArg)
        self.node, self.plan, self.arg = n, plan, n.arg
        self.old = n.src[n.arg.inputs : -1]
        self.lies = [layouts[items[k].number if k in items else old.number] for k, old in enumerate(self.old)]

    def groups(self, array: int) -> list[int]:
        """The first arguments of each view of a written array, but those that are only read."""
        return [
            k
            for k, (a, way) in enumerate(zip(self.arg.arguments, self.plan.ways, strict=True))
            if a.written and a.at == array and way != "shared"
        ]

    def view(self, k: int) -> Affine:
        """An operand as a view of its array; inputs are arrays of their own."""
        a = self.arg.arguments[k]
        return _view(a, self.node.src[a.at + (self.arg.inputs if a.written else 0)])

    def in_place(self, array: int, ranks: int) -> bool:
        """Whether every rank writes the array only where it holds it, and nobody else does."""
        if self.lies[array].is_replicated:
            return False
        for k in self.groups(array):
            block = self.plan.dealing.layout(k)
            if self.plan.ways[k] != "own" or block is None:
                return False
            if not layout.is_local(self.lies[array], Need(block, self.view(k)), ranks):
                return False
        return True

    def replaces(self, array: int) -> bool:
        """Whether blocks of what is written make the whole array."""
        (first, *more) = self.groups(array)
        shape = self.old[array].shape
        return not more and self.plan.ways[first] == "own" and index.is_identity(self.view(first), shape)

    def beside(self, array: int, k: int) -> Layout:
        """Where a reduction of partial results is merged into what was there."""
        view = self.view(k)
        return self.lies[array].sliced(view) or layout.replicated(view.shape)

    def needs(self, ranks: int) -> Iterator[_Wanted]:
        """What every rank needs of the values before."""
        for k, a in enumerate(self.arg.arguments):
            if not a.written:
                yield self.node.src[a.at], self.plan.wanted(k, self.view(k))
        for array, old in enumerate(self.old):
            if old.op.name == "empty":
                continue
            if self.in_place(array, ranks) or not self.replaces(array):
                yield old, Need(self.lies[array], index.identity(old.shape))
            if not self.in_place(array, ranks):
                for k in self.groups(array):
                    if self.plan.ways[k] == "own":
                        yield old, self.plan.wanted(k, self.view(k))
                    else:
                        yield old, Need(self.beside(array, k), self.view(k))


def _view(a: TaskArgument, base: Node) -> Affine:
    return a.view or index.identity(base.shape)


def dealt(n: Node, layouts: Sequence[Layout], items: Mapping[int, Node], ranks: int) -> Dealt | None:
    """A launch whose values lie as `layouts` say, dealt out; None when every rank runs all of it. `items`: its results."""
    arg = n.arg
    assert isinstance(arg, TaskArg)
    uses = []
    firsts = _firsts(n, arg)
    for k, a in enumerate(arg.arguments):
        base = n.src[a.at + (arg.inputs if a.written else 0)]
        view = _view(a, base)
        same = firsts[a.at, view] if a.written else k
        if a.written and not _is_plain(view):
            return None
        before = None if base.op.name == "empty" else layouts[base.number]
        after = None
        if a.written:
            after = layouts[items[a.at].number if a.at in items else base.number]
        uses.append(Use(view, base.dtype.itemsize, before, after, same))
    if not _agree(arg, uses, firsts):
        return None
    plan = deal(arg.spec, arg.partition, uses, ranks)
    return None if plan is None else Dealt(n, plan, layouts, items)


def _firsts(n: Node, arg: TaskArg) -> dict[tuple[int, Affine], int]:
    """By written array and view of it, the first operand that writes there."""
    firsts: dict[tuple[int, Affine], int] = {}
    for k, a in enumerate(arg.arguments):
        if a.written and a.role != "input":
            firsts.setdefault((a.at, _view(a, n.src[a.at + arg.inputs])), k)
    return firsts


def _is_plain(view: Affine) -> bool:
    """Whether no element is shown twice."""
    seen = [axis for _, step, axis in view.axes if axis >= 0 and step]
    return len(set(seen)) == len(seen) and all(n <= 1 or d in seen for d, n in enumerate(view.shape))


def _agree(arg: TaskArg, uses: Sequence[Use], firsts: Mapping[tuple[int, Affine], int]) -> bool:
    """Whether operands that are the same memory are written in one way, and others that are written have no element in common."""
    for k, use in enumerate(uses):
        role, first = arg.spec.roles[k], arg.spec.roles[use.same]
        if use.same != k and {role, first} - {"input", "output"}:
            return False
    written: dict[int, list[tuple[Affine, str]]] = {}
    for (at, view), k in firsts.items():
        written.setdefault(at, []).append((view, arg.spec.roles[k]))
    return all(
        not index.overlaps(a, b)
        for views in written.values()
        for i, (a, _) in enumerate(views)
        for b, _ in views[:i]
    )


def localize(d: _Distributor, task: Dealt) -> tuple[Node, list[Node]]:
    """The rank's launch, and what it has of the new values of the written arrays."""
    return _Localizer(d, task).run()


class _Localizer:
    def __init__(self, d: _Distributor, task: Dealt) -> None:
        self.d, self.task, self.b = d, task, d.builder
        self.dealing = task.plan.dealing
        self.lower, self.counts = self.dealing.points(d.rank)
        count = len(task.arg.arguments)
        self.lows: list[tuple[int, ...]] = [()] * count
        self.arguments: list[TaskArgument] = list(task.arg.arguments)
        self.roles = list(task.arg.spec.roles)
        self.rows: list[int] = []
        #: rows of all points are put together by a tree of messages, each rank's being neutral where others are
        self.in_tree = d.ranks > _FEW
        self.inputs: list[Node] = []
        self.written: list[Node] = []

    def run(self) -> tuple[Node, list[Node]]:
        task, arg = self.task, self.task.arg
        for k, a in enumerate(arg.arguments):
            if not a.written:
                wanted = task.plan.wanted(k, task.view(k))
                if task.plan.ways[k] == "whole":
                    self.notice(task.node.src[a.at], wanted)
                self.lows[k] = tuple(lo for lo, _ in wanted.part(self.d.rank))
                self.arguments[k] = a._replace(at=len(self.inputs))
                self.inputs.append(self.d.part(task.node.src[a.at], wanted))
        near = [task.in_place(array, self.d.ranks) for array in range(len(task.old))]
        for array in range(len(task.old)):
            if near[array]:
                self.in_place(array)
            else:
                self.apart(array)
        node = self.launch()
        items = [
            self.b.make(OPS["item"], (node,), k, array_type(x.shape, x.dtype))
            for k, x in enumerate(self.written)
        ]
        return node, [self.result(array, items, near[array]) for array in range(len(task.old))]

    def notice(self, x: Node, wanted: Need | Reach) -> None:
        """Say that a rank gets more than its points see: which part that is only its data tell."""
        moved = layout.moved(self.d.layouts[x.number], wanted, self.d.ranks) * x.dtype.itemsize
        if moved:
            name = self.task.arg.spec.name
            self.d.notices.append(
                f"task {name} runs with all of an image's range on every rank: {moved} bytes gathered"
            )

    def launch(self) -> Node:
        arg, given = self.task.arg, self.dealing.partition
        share = Share(given.launch, tuple(self.lows), tuple(self.rows))
        own = Partition(self.counts, given.axes, given.images, self.lower, share)
        spec = arg.spec._replace(roles=tuple(self.roles))
        local = TaskArg(spec, tuple(self.arguments), len(self.inputs), own)
        launch = self.d.part_of(self.task.node.src[-1])
        sources = (*self.inputs, *self.written, launch)
        return self.b.make(self.task.node.op, sources, local, self.task.node.type)

    # -- what is written --

    def in_place(self, array: int) -> None:
        """The rank's part of the array itself, the operands being views of it."""
        old, lies = self.task.old[array], self.task.lies[array]
        box = lies.box(self.d.rank)
        number = self.add(self.before(old, Need(lies, index.identity(old.shape))))
        for k, a in enumerate(self.task.arg.arguments):
            if a.written and a.at == array:
                block = self.dealing.layout(k)
                assert block is not None
                part = block.box(self.d.rank)
                self.lows[k] = tuple(lo for lo, _ in part)
                view = layout.localized(self.task.view(k), part, box)
                self.arguments[k] = a._replace(at=number, view=view)

    def apart(self, array: int) -> None:
        """Memory of its own for every operand."""
        old = self.task.old[array]
        numbers: dict[Affine, tuple[int, int]] = {}
        for k in self.task.groups(array):
            view, way = self.task.view(k), self.task.plan.ways[k]
            self.lows[k] = (0,) * len(view.shape)
            if way == "own":
                wanted = self.task.plan.wanted(k, view)
                self.lows[k] = tuple(lo for lo, _ in wanted.part(self.d.rank))
                number = self.add(self.before(old, wanted))
            elif way == "rows":
                own = self.rows_of(view.shape)
                mine = layout.extents(own.box(self.d.rank))
                number = self.add(self.filled(k, own.shape if self.in_tree else mine, old.dtype))
                self.lows[k] = self.dealing.points(0)[0] if self.in_tree else self.lower
                self.rows.append(k)
                self.roles[k] = "output"  # a row is the private memory of its point
            else:
                number = self.add(self.filled(k, view.shape, old.dtype))
            numbers[view] = number, k
        for k, a in enumerate(self.task.arg.arguments):
            if a.written and a.at == array:
                number, first = numbers[self.task.view(k)]
                self.lows[k] = self.lows[first]
                self.arguments[k] = a._replace(at=number, view=None)

    def add(self, x: Node) -> int:
        self.written.append(x)
        return len(self.written) - 1

    def before(self, old: Node, wanted: Need | Reach) -> Node:
        """What the rank needs of a value that is about to be written."""
        if old.op.name == "empty":
            type_ = array_type(layout.extents(wanted.part(self.d.rank)), old.dtype)
            return self.b.make(old.op, (), None, type_)
        x, base = self.d.seen(old, wanted)
        part = wanted.part(self.d.rank)
        shape = layout.extents(part)
        if not layout.size(part):
            return self.d.nothing(x, shape)
        view = layout.localized(wanted.view, part, base)
        return self.b.make(OPS["move"], (x,), view, array_type(shape, x.dtype))

    def filled(self, k: int, shape: tuple[int, ...], dtype: np.dtype) -> Node:
        """An array of what the reduction's operator leaves every other value as it is."""
        value = neutral(OPERATORS[self.task.arg.spec.roles[k]], dtype)
        nothing = self.b.make(OPS["const"], (), value, array_type((), dtype))
        return self.b.make(OPS["full"], (nothing,), None, array_type(shape, dtype))

    # -- what becomes of it --

    def result(self, array: int, items: Sequence[Node], near: bool) -> Node:
        task, d = self.task, self.d
        old, lies = task.old[array], task.lies[array]
        if near:
            return items[self.arguments[task.groups(array)[0]].at]
        if task.replaces(array):
            k = task.groups(array)[0]
            block = self.dealing.layout(k)
            assert block is not None
            return d.converted(items[self.arguments[k].at], block, lies)
        value = self.before(old, Need(lies, index.identity(old.shape)))
        for k in task.groups(array):
            made = items[self.arguments[k].at]
            if task.plan.ways[k] == "own":
                block = self.dealing.layout(k)
                assert block is not None
            else:
                block = task.beside(array, k)
                made = self.merged(array, k, made, block)
                if index.is_identity(task.view(k), old.shape) and block == lies:
                    value = made
                    continue
            value = self.put(value, lies, made, block, task.view(k))
        return value

    def put(self, value: Node, lies: Layout, made: Node, block: Layout, view: Affine) -> Node:
        """`value`, the rank's part of an array, with the new elements of `view`, of which the rank has made its block."""
        d = self.d
        region = view if view.shape else Affine((1,), view.axes)
        spread = index.identity(view.shape) if view.shape else Affine((1,), ())
        need = Need(lies, spread, region)
        if layout.is_local(block, need, d.ranks):
            x, base = made, block.box(d.rank)
        else:
            window = layout.Window((need,))
            x, base = d.fetch(made, block, window), window.box(d.rank)
        x = d.exactly(x, base, need)
        here = layout.localized(region, need.part(d.rank), lies.box(d.rank))
        return self.b.make(OPS["update"], (value, x), here, value.type)

    def merged(self, array: int, k: int, made: Node, block: Layout) -> Node:
        """The block of a reduction: all partial results merged into what was there, in the order of the points."""
        d, task = self.d, self.task
        shape, dtype = task.view(k).shape, made.dtype
        operator = OPERATORS[task.arg.spec.roles[k]]
        if task.plan.ways[k] == "rows":
            parts = self.all_rows(k, made, shape)
        else:
            everybody = layout.replicated(shape)
            parts = d.shaped(d.combine((made,), operator, everybody), (1, *shape))
        box = block.box(d.rank)
        mine = ((0, parts.shape[0]), *box)
        parts = d.within(parts, tuple((0, n) for n in parts.shape), mine)
        old = self.before(task.old[array], Need(block, task.view(k)))
        spec = CallSpec("fold", (("op", operator),))
        return self.b.make(OPS["call"], (old, parts), spec, array_type(layout.extents(box), dtype))

    def rows_of(self, shape: tuple[int, ...]) -> Layout:
        """How the rows of all points, a grid of them, lie."""
        grid = self.dealing.partition.launch
        blocks = dict(zip(self.dealing.dims, self.dealing.blocks, strict=True))
        spans = [
            Span(n, self.dealing.dims.index(p), blocks[p], -(-n // blocks[p])) if p in blocks else Span(n)
            for p, n in enumerate(grid)
        ]
        return Layout((*spans, *(Span(n) for n in shape)), self.dealing.blocks)

    def all_rows(self, k: int, made: Node, shape: tuple[int, ...]) -> Node:
        """The rows of all points, in their order, on every rank."""
        rows = self.rows_of(shape)
        if self.in_tree:
            operator = OPERATORS[self.task.arg.spec.roles[k]]
            whole = self.d.combine((made,), operator, layout.replicated(rows.shape))
        else:
            whole = self.d.converted(made, rows, layout.replicated(rows.shape))
        return self.d.shaped(whole, (math.prod(self.dealing.partition.launch), *shape))


__all__ = ["Dealt", "dealt", "localize"]
