"""Ranks: windows whose arrays are dealt out. Each rank plans and runs its own part; buffers are parts with a layout.

A plan of a window over ranks has what the runtime's flush needs of any plan. One process is one rank of MPI, or, for tests,
all of several virtual ones (`LEGATE_JIT_VIRTUAL_RANKS`), which run as threads. Programs of one rank never come here. Knows
layouts and communication; no NumPy semantics and no code generation.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit import recording
from legate_jit.backends import cpu, memory
from legate_jit.backends.memory import Buffer
from legate_jit.collectives.messages import all_gather, joined
from legate_jit.collectives.tiles import Laid, Tile
from legate_jit.comm.base import Comm
from legate_jit.comm.threads import run_ranks
from legate_jit.ir import passes
from legate_jit.ir.build import decode
from legate_jit.ir.node import ArrayType, Node, Signature, array_type
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.choose import SMALL, Wish
from legate_jit.ir.ranks.dealing import is_dealt
from legate_jit.ir.ranks.distribute import Distributed, distribute
from legate_jit.ir.ranks.layout import Layout
from legate_jit.ir.ranks.neighbors import Relaid
from legate_jit.ir.ranks.overlap import overlap
from legate_jit.ir.schedule import launches_before
from legate_jit.ir.simplify import simplify
from legate_jit.ir.steps import Schedule
from legate_jit.process import interpreter
from legate_jit.ranks import exchanging, failures
from legate_jit.running import locking, poison, tiers
from legate_jit.running.execute import Runnable
from legate_jit.store import Store

_current = exchanging.current


#: an array is laid out anew when windows have moved so many times the bytes of that for want of it
PATIENCE = 2


class Dealt(Buffer):
    """An array's parts: `parts[r]` is the memory of rank r, of those ranks that this process is. Not read as memory itself.

    `extremes`: the least and the greatest element, if somebody asked for them (of index arrays: see `parted`). `wish`: the layout
    that the windows which used it last would rather have, and `wasted`: bytes that they moved for want of it.
    """

    __slots__ = ("extremes", "layout", "parts", "type", "wasted", "wish")

    def __init__(self, type_: ArrayType, how: Layout) -> None:
        super().__init__(0, type_.nbytes // math.prod(how.grid), None)  # of a rank: what keeping it costs
        self.type, self.layout = type_, how
        self.parts: dict[int, Buffer] = {}
        self.extremes: tuple[int, int] | None = None
        self.wish: Wish | None = None
        self.wasted = 0

    def used(self, wish: Wish | None) -> None:
        """A window used it, and would have it lie otherwise, or not."""
        if wish is None or self.wish is None or wish.layout != self.wish.layout:
            self.wasted = 0
        self.wish = wish
        self.wasted += 0 if wish is None else min(wish.saved, wish.cost)

    @property
    def better(self) -> Layout | None:
        """How it should lie from now on, if it should lie otherwise: windows in a row, at least two, have wanted it so."""
        wish = self.wish
        return wish.layout if wish is not None and self.wasted >= PATIENCE * wish.cost else None

    def lie(self, how: Layout, parts: dict[int, Buffer]) -> None:
        """Take these parts of the same array instead."""
        self.layout, self.parts, self.wish, self.wasted = how, parts, None, 0
        self.nbytes = self.type.nbytes // math.prod(how.grid)


class Whole(Buffer):
    """All of an array that lies in parts, for whoever looks at it; the parts stay."""

    __slots__ = ("dealt", "memory")

    def __init__(self, content: Buffer, dealt: Dealt) -> None:
        super().__init__(content.addr, content.nbytes, None)
        self.memory, self.dealt = content, dealt


class World:
    """The ranks of this job, and which of them this process is. `comm`: its end of the communication; None for virtual ranks."""

    #: whether there are no such ranks, and arrays have no contents: `simulation`
    is_simulated = False

    def __init__(self, size: int, own: Sequence[int], comm: Comm | None) -> None:
        self.size, self.own, self.comm = size, tuple(own), comm

    def run(self, program: Any) -> None:
        """`program(rank)` for every rank of this process."""
        if self.comm is not None:
            self._as(self.comm, program)
        else:
            run_ranks(self.size, lambda comm: self._as(comm, program))

    def through(self, rank: int) -> Comm | None:
        """The communication through which this rank runs everything; None: a new one each time."""
        return self.comm

    def share(self, nbytes: int) -> int:
        """What this process keeps of an array of so many bytes that is dealt out."""
        return nbytes if self.comm is None else -(-nbytes // self.size)

    def key(self, key: tuple[Any, ...], inputs: list[Buffer]) -> tuple[Any, ...]:
        """A window's key, with how its inputs lie. What lies whole on this process becomes ordinary memory."""
        code, values, exclusive = key
        layouts: list[Layout | None] = []
        free = list(exclusive)
        for k, buffer in enumerate(inputs):
            dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
            if not isinstance(dealt, Dealt):
                layouts.append(None)
                continue
            if dealt.wish is not None:
                better = dealt.better
                if better is not None:
                    self.relay(dealt, better)
            free[k] = free[k] and all(_others(dealt, r) == 0 for r in self.own)
            inputs[k], how = self.lying(buffer, dealt)
            layouts.append(how)
        return (code, values, tuple(free), tuple(layouts))

    def relay(self, dealt: Dealt, how: Layout) -> None:
        """Let the parts of an array lie otherwise. Every rank does it at the same time."""
        self.together(lambda *_: (), [(dealt.type, dealt, how)], f"laying out {dealt.type} anew", True)

    def lying(self, buffer: Buffer, dealt: Dealt) -> tuple[Buffer, Layout | None]:
        """What a window takes for the buffer of an array that is or was dealt out, and what its plan depends on."""
        if dealt.layout.is_replicated:
            return dealt.parts[self.own[0]], None
        return buffer, dealt.layout

    def plan(self, key: Any, compiled: Callable[[Any], Any]) -> Any:
        """The plan of a window: as on one rank if all it holds is small and whole everywhere."""
        *usual, layouts = key
        sizes = [sig.type.size for sig in key[0] if isinstance(sig, Signature)]
        tasks = any(isinstance(e, Signature) and is_dealt(e.arg) for e in key[0])
        if max(sizes, default=0) < SMALL and not any(layouts) and not tasks:
            return tiers.plan(tuple(usual), compiled)
        return self.spread(tuple(usual), layouts)

    def spread(self, key: Any, given: Sequence[Layout | None]) -> Any:
        """The plan of a window whose arrays lie in parts."""
        made = RanksPlan(key, given, self, cpu)
        locking.compiler_is_loaded()
        recording.install()
        return made

    def settle(self, store: Store) -> None:
        """Let the store hold all of its array in one memory. Every rank does it at the same time."""
        buffer = store.buffer
        if isinstance(buffer, Dealt):
            store.buffer = self.whole(buffer)

    def whole(self, buffer: Dealt) -> Buffer:
        """All of an array, in the memory of this process."""
        return gathered(buffer, self)

    def own_whole(self, store: Store) -> None:
        """`settle`, and forget the parts: the memory is about to be changed by hand."""
        self.settle(store)
        if isinstance(store.buffer, Whole):
            store.buffer = store.buffer.memory

    def each(self, program: Callable[[Comm], None], name: str) -> None:
        """`program(comm)` for every rank of this process, outside of any window. Every rank does it at the same time, and knows
        it by the name."""
        if self.comm is None:
            run_ranks(self.size, program)
            return
        meeting = self.comm.meeting
        if meeting is not None:
            meeting(name)
        self.comm.meeting = None  # the ranks have met
        try:
            program(self.comm)
        finally:
            self.comm.meeting = meeting

    def parts(self, buffer: Buffer) -> tuple[Layout, dict[int, np.ndarray]] | None:
        """How an array lies that is dealt out, and the parts of this process's ranks, read-only; None for one that is whole."""
        dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
        if not isinstance(dealt, Dealt) or dealt.layout.is_replicated:
            return None
        return dealt.layout, {rank: _array(dealt, rank) for rank in self.own}

    def dealt(self, type_: ArrayType, how: Layout, parts: dict[int, Buffer]) -> Buffer:
        """An array of these parts, one for each rank of this process."""
        made = Dealt(type_, how)
        made.parts.update(parts)
        return made

    def layout_of(self, buffer: Buffer) -> Layout | None:
        """How an array is cut over the ranks; None if it is whole."""
        dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
        return dealt.layout if isinstance(dealt, Dealt) and not dealt.layout.is_replicated else None

    def together(
        self,
        program: Callable[..., Sequence[Any]],
        inputs: Sequence[Input],
        name: str,
        keep: bool = False,
    ) -> list[Any]:
        """The results of `program(comm, *parts)` on every rank, of arrays that are brought to lie as the inputs say. What it
        gives as `Tile` or `Laid` is a `Dealt`. Every rank does it at the same time, and knows it by the name.

        keep: the arrays, which lie in parts, lie so from now on; without it those that were wanted so before."""
        made: dict[int, list[Any]] = {}
        keeping = [
            (k, dealt) for k, each in enumerate(inputs) if (dealt := self._to_lie(*each, keep)) is not None
        ]
        brought: dict[int, list[np.ndarray]] = {}

        def body(comm: Comm) -> None:
            parts = brought[comm.rank] = [_brought(comm, *each) for each in inputs]
            for k, _ in keeping:
                parts[k].flags.writeable = False  # so that no result is made of it
            made[comm.rank] = [_kept(comm, each) for each in program(comm, *parts)]

        self.each(body, name)
        for k, dealt in keeping:
            for parts in brought.values():
                parts[k].flags.writeable = True
            dealt.lie(inputs[k][2], {rank: Buffer.wrap(parts[k]) for rank, parts in brought.items()})
        results: list[Any] = []
        for k, first in enumerate(made[self.own[0]]):
            if isinstance(first, Laid):
                dealt = Dealt(array_type(first.layout.shape, first.part.dtype), first.layout)
                dealt.parts = {rank: Buffer.wrap(made[rank][k].part) for rank in self.own}
                results.append(dealt)
            else:
                results.append(first)
        return results

    def _to_lie(self, type_: ArrayType, buffer: Buffer, wanted: Layout, keep: bool) -> Dealt | None:
        """Note that an array is wanted so. It is given back if it shall keep what is brought: if that was not the first time."""
        dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
        if not isinstance(dealt, Dealt) or dealt.layout.is_replicated:
            return None
        wish = None
        if wanted != dealt.layout and wanted.is_partition:
            moved = layout.moved(dealt.layout, wanted, self.size) * type_.dtype.itemsize
            wish = Wish(-1, wanted, moved, moved)
        dealt.used(wish)
        return dealt if keep or dealt.better is not None else None

    @staticmethod
    def _as(comm: Comm, program: Any) -> None:
        _current.comm = comm
        try:
            program(comm.rank)
        finally:
            _current.comm = None


#: type, memory and wanted layout of an array
Input = tuple[ArrayType, Buffer, Layout]


def _brought(comm: Comm, type_: ArrayType, buffer: Buffer, wanted: Layout) -> np.ndarray:
    """The rank's part of an array that is to lie as `wanted`."""
    dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
    if not isinstance(dealt, Dealt) or dealt.layout.is_replicated:
        whole = dealt.parts[comm.rank] if isinstance(dealt, Dealt) else dealt
        box = wanted.box(comm.rank)
        return whole.as_numpy(type_.shape, type_.dtype)[tuple(slice(lo, hi) for lo, hi in box)]
    mine = _array(dealt, comm.rank)
    if dealt.layout == wanted:
        return mine
    return comm.moved(mine, Relaid(dealt.layout, wanted, comm.size))


def _kept(comm: Comm, result: Any) -> Any:
    """A result as it is kept: small arrays whole on every rank, the others in memory of their own."""
    if isinstance(result, Tile):
        result = Laid(layout.tiled(result.shape, 0, comm.size), result.part)
        if math.prod(result.layout.shape) < SMALL:
            boxes = [result.layout.box(k) for k in range(comm.size)]
            counts = [b[0][1] - b[0][0] for b in boxes]
            whole = joined(all_gather(comm, result.part, counts))
            result = Laid(layout.replicated(result.layout.shape), whole)
    if not isinstance(result, Laid):
        return result
    part = result.part
    assert part.shape == layout.extents(result.layout.box(comm.rank))
    own = part.flags.owndata and part.flags.c_contiguous and part.flags.writeable
    return result._replace(part=part if own else np.array(part, order="C"))


class Recorded:
    """A recorded window on so many ranks, of any of which the part can be planned. `given`: how its inputs lie (None: whole)."""

    def __init__(self, key: Any, given: Sequence[Layout | None], size: int) -> None:
        code, live, self._exclusive = key
        decoded = decode(code)
        self._scalars, self._size = decoded.scalars, size
        self.values = len(decoded.values)
        self.inputs = [n.type for n in decoded.values if n.kind is Kind.BUFFER]
        self.layouts = [how or layout.replicated(t.shape) for how, t in zip(given, self.inputs, strict=True)]
        graph = decoded.graph(live)
        passes.observe("graph", graph)
        self.graph = simplify(graph)
        passes.observe("simplified", self.graph)

    def on(self, rank: int, free: Sequence[bool] | None = None) -> tuple[Distributed, Schedule]:
        """The graph and the schedule of one rank. free: which inputs it may overwrite if nobody else has them (None: all)."""
        passes.observe("rank", rank)
        local = distribute(self.graph, self.layouts, self._size, rank)
        exclusive = [e and f for e, f in zip(self._exclusive, free or self._exclusive, strict=True)]
        reorder = functools.partial(overlap, rank=rank, ranks=self._size)
        return local, passes.compile_graph(local.graph, exclusive, self._scalars, len(self.inputs), reorder)


class RanksPlan:
    """A window's plans, one for each rank of this process."""

    __slots__ = (
        "_inputs",
        "_outputs",
        "_runnables",
        "_world",
        "after",
        "calls",
        "launched",
        "launches",
        "notices",
        "schedule",
        "traffic",
        "wish",
    )

    def __init__(self, key: Any, given: Sequence[Layout | None], world: World, target: Any) -> None:
        window = Recorded(key, given, world.size)
        self._world, self._inputs = world, window.inputs
        self._runnables: dict[int, Runnable] = {}
        shared = len(world.own) > 1
        for rank in world.own:
            # virtual ranks look into one memory of what is whole everywhere: nobody may overwrite it
            free = [not (shared and how.is_replicated) for how in window.layouts]
            local, schedule = window.on(rank, free)
            bind = exchanging.bind(schedule.steps, world.through(rank))
            self._runnables[rank] = Runnable(schedule, target, bind)
        graph = window.graph
        after = launches_before(graph)
        #: for each result, and each launch by its scalar slot, the launches it is computed from: one bit for each, at its slot
        self.after = [after.get(r, 0) for r in graph.roots]
        self.launched = {_slot(n): after[n] for n in graph.nodes if n.kind is Kind.TASK}
        self._outputs = [(r.type, how) for r, how in zip(graph.roots, local.layouts, strict=True)]
        self.traffic = sum(e.bytes for e in local.exchanges)
        self.notices, self.wish = local.notices, local.wish
        tell(world, self.notices)
        first = len(self._inputs)
        self.schedule = tiers.Outputs(tuple(range(first, first + len(self._outputs))))
        some = self._runnables[world.own[0]]
        self.launches, self.calls = some.launches, some.calls

    def allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """The inputs, and the results, whose parts come with the run."""
        return [*inputs, *(Dealt(t, how) for t, how in self._outputs)]

    def run(self, buffers: list[Buffer], scalars: list[Any]) -> bool:
        """Never at once."""
        return False

    def execution(self, buffers: list[Buffer], scalars: list[Any]) -> _Run:
        """A run that can be interrupted between steps."""
        return _Run(self, buffers, scalars)


def _slot(launch: Node) -> int:
    slot = launch.src[-1].arg
    assert isinstance(slot, int)
    return slot


_told: set[str] = set()


def tell(world: World, notices: Sequence[str]) -> None:
    """Say once for each operation that it is computed whole on every rank, and how many bytes that moves."""
    for notice in notices:
        name = notice.partition(" runs ")[0]
        if name not in _told and 0 in world.own:
            _told.add(name)
            print(f"[legate-jit] {notice}", file=sys.stderr)


class _Run:
    """One run on the ranks of this process."""

    __slots__ = ("_buffers", "_executions", "_given", "_plan", "_scalars", "finished")

    def __init__(self, plan: RanksPlan, buffers: list[Buffer], scalars: list[Any]) -> None:
        self._plan, self._buffers, self._scalars = plan, buffers, scalars
        given = buffers[: len(plan._inputs)]
        #: by rank, until it starts: the parts as the plan knows them, which may be laid out anew before it is resumed
        self._given = {rank: [_part(b, rank) for b in given] for rank in plan._world.own}
        self._executions: dict[int, tuple[Any, list[Buffer]]] = {}
        self.finished = False

    def run(self) -> None:
        """Run to the end."""
        self._plan._world.run(self._rank)
        count = len(self._plan._inputs)
        for k, out in enumerate(self._buffers[count:]):
            assert isinstance(out, Dealt)
            for rank, (_, buffers) in self._executions.items():
                out.parts[rank] = buffers[self._plan._runnables[rank].schedule.outputs[k]]
        note(self._plan.wish, self._buffers[:count])
        self.finished = True
        if self._plan.launched:
            own = [e.raised for e, _ in self._executions.values()]
            first = self._settle(failures.agreed(own, self._plan._world.comm))
            for raised in own:
                raised.clear()
            if first is not None:
                try:
                    raise first
                finally:  # it refers to this frame
                    del first

    def _settle(self, raised: failures.Raised) -> BaseException | None:
        """Do with what bodies raised, on any rank, what their launches say: the same on every rank. Results computed from a
        launch that failed are poisoned; the first error is to be raised."""
        failed: dict[int, BaseException] = {}  # as kept
        first: BaseException | None = None
        for slot in sorted(raised):
            call, (index, error) = self._scalars[slot], raised[slot]
            before = self._plan.launched[slot] & ~(1 << slot)
            cause = next((e for k, e in failed.items() if before >> k & 1), None)
            if cause is None:
                told = call.failed(error, index)
                cause = poison.kept(error)
                first = told if first is None else first
                call.error = cause
                if told is not None:
                    failed[slot] = cause
            else:
                call.error = failed[slot] = cause
        if not failed:
            return None
        for slot, before in self._plan.launched.items():
            cause = next((e for k, e in failed.items() if before >> k & 1), None)
            if cause is not None:
                self._scalars[slot].error = cause
        for out, after in zip(self._buffers[len(self._plan._inputs) :], self._plan.after, strict=True):
            cause = next((e for k, e in failed.items() if after >> k & 1), None)
            if cause is not None:
                poison.mark((out,), cause)
        return first

    def _rank(self, rank: int) -> None:
        runnable = self._plan._runnables[rank]
        if rank not in self._executions:
            buffers = runnable.allocate(self._given[rank])  # may fail, and be tried again
            self._executions[rank] = runnable.execution(buffers, self._scalars, hold=True), buffers
            del self._given[rank]
        self._executions[rank][0].run()


def note(wish: Wish | None, inputs: Sequence[Buffer]) -> None:
    """Tell the arrays that a window used whether it would have them lie otherwise."""
    for k, buffer in enumerate(inputs):
        dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
        if isinstance(dealt, Dealt):
            mine = wish if wish is not None and wish.buffer == k else None
            if mine is not dealt.wish or mine is not None:
                dealt.used(mine)


def _references(dealt: Dealt, rank: int) -> int:
    return sys.getrefcount(dealt.parts[rank])


def _nobody_else() -> int:
    dealt = Dealt(array_type((0,), np.dtype(np.uint8)), layout.replicated((0,)))
    dealt.parts[0] = memory.allocate(0)
    return _references(dealt, 0)


_ALONE = interpreter.references(_nobody_else)


def _others(dealt: Dealt, rank: int) -> int:
    """References to a part from elsewhere: a value that lay there under another name, perhaps in another shape, has it too."""
    return _references(dealt, rank) - _ALONE


def _part(buffer: Buffer, rank: int) -> Buffer:
    dealt = buffer.dealt if isinstance(buffer, Whole) else buffer
    return dealt.parts[rank] if isinstance(dealt, Dealt) else dealt


def gathered(buffer: Dealt, world: World) -> Buffer:
    """All of an array, in the memory of this process; every rank asks at the same time."""
    if buffer.layout.is_replicated:
        return buffer.parts[world.own[0]]
    return Whole(_gather(buffer, world), buffer)


def _gather(buffer: Dealt, world: World) -> Buffer:
    how, type_ = buffer.layout, buffer.type
    whole = memory.allocate(type_.nbytes)
    array = whole.as_numpy(type_.shape, type_.dtype, True)
    if world.comm is None:
        for rank in world.own:
            box = how.box(rank)
            if layout.size(box):
                array[tuple(slice(lo, hi) for lo, hi in box)] = _array(buffer, rank)
        return whole
    everywhere = Relaid(how, layout.replicated(type_.shape), world.size)
    world.comm.moved(_array(buffer, world.own[0]), everywhere, out=array)
    return whole


def _array(buffer: Dealt, rank: int) -> np.ndarray:
    return buffer.parts[rank].as_numpy(layout.extents(buffer.layout.box(rank)), buffer.type.dtype, False)
