"""A world of ranks that do not exist: windows are planned for some of them, and their results have no memory.

Each rank that is looked at has a ledger of the bytes it would hold. Arrays are `Dealt` buffers as with real ranks; their parts
are entries of a ledger. What a program reads of them is a number chosen by the user. Knows layouts and plans; no text.
"""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit import places
from legate_jit.backends.memory import Buffer
from legate_jit.ir.index import identity
from legate_jit.ir.node import ArrayType
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Layout, Need, Window, replicated
from legate_jit.places import Place
from legate_jit.ranks import windows
from legate_jit.ranks.windows import Dealt, Recorded, Whole
from legate_jit.running import tiers
from legate_jit.simulation.costs import Cost, Flows, cost_of, fetched
from legate_jit.simulation.machine import Machine

__all__ = ["Ledger", "Planned", "SimulatedWorld", "looked_at"]

#: bytes from which contents that are read are address space only, as long as nobody writes to it
_LARGE = 1 << 20


class Ledger:
    """The bytes that a rank holds, and the most it held."""

    __slots__ = ("live", "peak")

    def __init__(self) -> None:
        self.live = self.peak = 0

    def look(self, more: int = 0) -> None:
        """Note the bytes that are held now, and so many for a moment."""
        self.peak = max(self.peak, self.live + more)


class Part(Buffer):
    """A block of a rank that does not exist: bytes in its ledger as long as this lives."""

    __slots__ = ("_ledger",)

    def __init__(self, nbytes: int, ledger: Ledger) -> None:
        super().__init__(0, nbytes, None)
        self._ledger = ledger
        ledger.live += nbytes

    def __del__(self) -> None:  # type: ignore[override]
        self._ledger.live -= self.nbytes


class Seen(Whole):
    """An array's contents for whoever reads them, which every rank would hold whole."""

    __slots__ = ("held",)

    def __init__(self, content: Buffer, dealt: Dealt, held: list[Part]) -> None:
        super().__init__(content, dealt)
        self.held = held


class Planned:
    """A window planned for the ranks that are looked at; a run of it changes their ledgers.

    place: the line of the program for which it was first run. times: how often it ran. seconds: processor time of planning, by
    rank.
    """

    __slots__ = ("_inputs", "_outputs", "_schedules", "_world", "calls", "costs", "launches", "place", "schedule", "seconds",
                 "times", "values", "wish")  # fmt: skip

    def __init__(self, key: Any, given: Sequence[Layout | None], world: SimulatedWorld) -> None:
        self._world, self.times, self.place = world, 0, places.user_place()
        self.seconds: dict[int, float] = {}
        self.costs: dict[int, Cost] = {}
        self._schedules = {}
        start = time.thread_time()
        window = Recorded(key, given, world.size)
        common, self.values = time.thread_time() - start, window.values
        for rank in world.own:
            start = time.thread_time()
            local, schedule = window.on(rank)
            self.seconds[rank] = common + time.thread_time() - start
            self.costs[rank] = cost_of(schedule, local, rank, world.size, window.values)
            self._schedules[rank] = schedule
        self.wish = local.wish
        windows.tell(world, local.notices)
        self._inputs = len(window.inputs)
        self._outputs = [(r.type, how) for r, how in zip(window.graph.roots, local.layouts, strict=True)]
        self.schedule = tiers.Outputs(tuple(range(self._inputs, self._inputs + len(self._outputs))))
        some = self.costs[world.own[0]]
        self.launches, self.calls = len(some.launches), len(some.calls)

    def allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """The inputs, and results whose parts come with the run."""
        return [*inputs, *(Dealt(t, how) for t, how in self._outputs)]

    def run(self, buffers: list[Buffer], scalars: list[Any]) -> bool:
        """Give the results their places in the ranks' memory."""
        inputs = [b.dealt if isinstance(b, Whole) else b for b in buffers[: self._inputs]]
        for rank, schedule in self._schedules.items():
            ledger = self._world.ledgers[rank]
            given = [b.parts[rank] if isinstance(b, Dealt) else b for b in inputs]
            made = [Part(nbytes, ledger) for nbytes in schedule.slots]
            # The program's own, whole.
            own = sum({id(b): b.nbytes for b in given if not isinstance(b, Part)}.values())
            ledger.look(own + self.costs[rank].staging)
            for out, k in zip(buffers[self._inputs :], schedule.outputs, strict=True):
                assert isinstance(out, Dealt)
                storage = schedule.storages[k]
                out.parts[rank] = given[storage.source] if storage.source >= 0 else made[storage.slot]
        windows.note(self.wish, inputs)
        self.times += 1
        return True

    def execution(self, buffers: list[Buffer], scalars: list[Any]) -> Any:
        """Never needed: `run` does it all."""
        raise AssertionError("a simulated plan has nothing to resume")


class SimulatedWorld(windows.World):
    """So many ranks, some of which are looked at (`own`). `reads`: what all elements of arrays that the program reads are taken
    to be.

    windows: what was planned. flows: what reads of arrays moved, by rank.
    """

    is_simulated = True

    def __init__(self, size: int, reads: float, machine: Machine, own: Sequence[int] | None = None) -> None:
        super().__init__(size, looked_at(size) if own is None else own, None)
        self.reads, self.machine = reads, machine
        self.ledgers = {rank: Ledger() for rank in self.own}
        self.windows: list[Planned] = []
        self.flows = {rank: Flows() for rank in self.own}
        self._told: set[Place] = set()

    def share(self, nbytes: int) -> int:
        """Nothing: there is no limit to what is not there."""
        return 0

    def layout_of(self, buffer: Buffer) -> Layout | None:
        """No layout: programs whose results depend on values have none to work on, and take what reading gives."""
        return None

    def parts(self, buffer: Buffer) -> None:
        """No parts to look at."""
        return None

    def each(self, program: Any, name: str) -> None:
        """No ranks that could do anything together."""
        raise RuntimeError(f"a simulation has no ranks that could meet for {name}")

    def unread(self, type_: ArrayType, how: Layout) -> Buffer:
        """An array of a file: memory of the ranks, and no contents."""
        made = Dealt(type_, how)
        for rank, ledger in self.ledgers.items():
            made.parts[rank] = Part(layout.size(how.box(rank)) * type_.dtype.itemsize, ledger)
            ledger.look()
        return made

    def lying(self, buffer: Buffer, dealt: Dealt) -> tuple[Buffer, Layout | None]:
        """What is not known is never ordinary memory, even where it is whole everywhere."""
        return buffer, dealt.layout

    def spread(self, key: Any, given: Sequence[Layout | None]) -> Planned:
        """The plan of a window of which not everything is small and known."""
        planned = Planned(key, given, self)
        self.windows.append(planned)
        return planned

    def whole(self, buffer: Dealt) -> Buffer:
        """Contents that nobody computed, and what it would take to gather them."""
        type_ = buffer.type
        self._tell()
        if buffer.layout.is_replicated:
            return Seen(_content(type_, self.reads), buffer, [])
        self._count(buffer, replicated(type_.shape))
        held = [Part(type_.nbytes, ledger) for ledger in self.ledgers.values()]
        for ledger in self.ledgers.values():
            ledger.look()
        return Seen(_content(type_, self.reads), buffer, held)

    def relay(self, dealt: Dealt, how: Layout) -> None:
        """Count what it takes."""
        self._count(dealt, how)
        parts: dict[int, Buffer] = {}
        for rank, ledger in self.ledgers.items():
            parts[rank] = Part(layout.size(how.box(rank)) * dealt.type.dtype.itemsize, ledger)
            ledger.look()
        dealt.lie(how, parts)

    def _count(self, dealt: Dealt, how: Layout) -> None:
        """What it takes to have an array lie so."""
        wanted, item = Window((Need(how, identity(how.shape)),)), dealt.type.dtype.itemsize
        for rank in self.own:
            self.flows[rank].add(fetched(dealt.layout, (wanted,), item, rank, self.size))

    def _tell(self) -> None:
        """Say once for each line of the program that what it reads means nothing."""
        place = places.user_place()
        if place not in self._told:
            self._told.add(place)
            print(
                f"[legate-jit] {places.place_text(place)} reads an array that a simulation does not compute: all its elements "
                f"are taken to be {self.reads:g} (--simulate-reads)",
                file=sys.stderr,
            )


def looked_at(size: int) -> tuple[int, ...]:
    """The first rank, one in the middle (of grids of ranks too, if there are so many), and the last."""
    row = 1 << ((size - 1).bit_length() // 2) if size > 8 else 0
    return tuple(sorted({0, size // 2 + row // 2, size - 1} & set(range(size))))


def _content(type_: ArrayType, number: float) -> Buffer:
    """Memory in which all elements are one number. Large zeros are address space that has no memory."""
    if type_.nbytes < _LARGE:
        return Buffer.wrap(np.full(type_.shape, number).astype(type_.dtype))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    array = np.frombuffer(mmap.mmap(-1, type_.nbytes, flags=flags), type_.dtype).reshape(type_.shape)
    if number:
        array[...] = number
    return Buffer.wrap(array)
