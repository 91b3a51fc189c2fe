"""Exchanges: of an array that lies in boxes on the ranks, every rank gets the box it needs.

One primitive for halos, redistribution, transposition, gathering and broadcasts of rows. A `Pattern` says who holds and wants
what, and with whom a rank may have to do; `routes` is arithmetic on its boxes: which parts go where. An `Exchange` is prepared
once and run often: tag, staging memory and small messages are made the first time only. Knows NumPy views and the transport of a
`Comm`; knows no layouts, no graphs and no MPI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm, Request

__all__ = ["Box", "Exchange", "Listed", "Part", "Pattern", "Routes", "extents", "routes", "split", "volume"]

#: half-open [low, high) per axis; () is the one element of a 0-D array
Box = tuple[tuple[int, int], ...]

#: messages of at most so many bytes are copied to staging memory that is kept, so that they are prepared once
SMALL = 1 << 16


class Pattern(Protocol):
    """Which box of an array every rank holds, and which it wants. Equal and hashed by value: patterns are keys.

    The boxes held are disjoint, unless several ranks hold the same one: then one of them gives it to those who have none of it.
    """

    def held(self, rank: int, /) -> Box:
        """What the rank has."""

    def wanted(self, rank: int, /) -> Box:
        """What the rank gets."""

    def givers(self, rank: int, /) -> Sequence[int]:
        """The other ranks that may have to send parts of what the rank wants: at least those that do."""

    def takers(self, rank: int, /) -> Sequence[int]:
        """The other ranks that the rank may have to send parts to, in ascending order: at least those."""


class Listed(NamedTuple):
    """A pattern that gives the boxes of every rank."""

    source: tuple[Box, ...]
    target: tuple[Box, ...]

    @classmethod
    def of(cls, source: Iterable[Box], wanted: Iterable[Box]) -> Listed:
        """Rank k holds the k-th of the first boxes and wants the k-th of the second."""
        return cls(tuple(source), tuple(wanted))

    def held(self, rank: int) -> Box:
        """The rank's box."""
        return self.source[rank]

    def wanted(self, rank: int) -> Box:
        """The box the rank gets."""
        return self.target[rank]

    def givers(self, rank: int) -> list[int]:
        """The first rank of those that hold a box, for every box but the rank's own."""
        first: dict[Box, int] = {}
        for k, box in enumerate(self.source):
            first.setdefault(box, k)
        first.pop(self.source[rank])
        return list(first.values())

    def takers(self, rank: int) -> list[int]:
        """Whoever holds another box, if the rank is the first that holds its own."""
        mine = self.source[rank]
        if self.source.index(mine) != rank:
            return []
        return [k for k, box in enumerate(self.source) if box != mine]


class Part(NamedTuple):
    """A part of the array: the rank at the other end, where it lies here (slices of the local array), and its extents."""

    peer: int
    at: tuple[slice, ...]
    shape: tuple[int, ...]


class Routes(NamedTuple):
    """What one rank does: copies `kept` (from its part to its result) and exchanges the other parts, by ascending rank."""

    kept: tuple[tuple[slice, ...], tuple[slice, ...]] | None
    sends: tuple[Part, ...]
    receives: tuple[Part, ...]


def extents(box: Box) -> tuple[int, ...]:
    """The shape of an array that holds the box; a box that ends before it begins holds nothing."""
    return tuple(max(hi - lo, 0) for lo, hi in box)


def volume(box: Box) -> int:
    """Number of elements."""
    n = 1
    for lo, hi in box:
        n *= max(hi - lo, 0)
    return n


def _overlap(a: Box, b: Box) -> Box | None:
    """The box of what both hold, or None if that is nothing."""
    found = []
    for (alo, ahi), (blo, bhi) in zip(a, b, strict=True):
        lo, hi = max(alo, blo), min(ahi, bhi)
        if lo >= hi:
            return None
        found.append((lo, hi))
    return tuple(found)


def _within(box: Box, outer: Box) -> tuple[slice, ...]:
    """The box as slices of the array that holds `outer`."""
    return tuple(slice(lo - start, hi - start) for (lo, hi), (start, _) in zip(box, outer, strict=True))


def routes(rank: int, pattern: Pattern) -> Routes:
    """Which parts a rank keeps, sends and receives. ValueError if nobody holds a part that it needs."""
    mine, need = pattern.held(rank), pattern.wanted(rank)
    kept = _overlap(mine, need)
    covered = volume(kept) if kept is not None else 0
    receives = []
    for k in pattern.givers(rank):
        part = _overlap(pattern.held(k), need)
        if part is not None:
            receives.append(Part(k, _within(part, need), extents(part)))
            covered += volume(part)
    if covered != volume(need):
        raise ValueError(
            f"rank {rank} needs {need}, of which the ranks hold {covered} of {volume(need)} elements"
        )
    sends = []
    for k in pattern.takers(rank):
        part = _overlap(mine, pattern.wanted(k))
        if part is not None:
            sends.append(Part(k, _within(part, mine), extents(part)))
    here = None if kept is None else (_within(kept, mine), _within(kept, need))
    return Routes(here, tuple(sends), tuple(sorted(receives)))


def split(flat: np.ndarray, limit: int) -> list[np.ndarray]:
    """Consecutive views of at most `limit` elements."""
    return [flat[k : k + limit] for k in range(0, len(flat), limit)]


def _bytes(array: np.ndarray) -> np.ndarray:
    """A C-contiguous array's memory as bytes (writable if the array is)."""
    return array.reshape(-1).view(np.uint8)


class _Small(NamedTuple):
    """A small part, its staging memory, and the message from or to it."""

    peer: int
    at: tuple[slice, ...]
    array: np.ndarray
    message: Any
    nbytes: int


class Exchange:
    """One exchange by a pattern, run any number of times. Made in the same order on all ranks.

    `sent`, `received`: bytes of messages of this rank per run; `messages`: how many it sends.
    """

    def __init__(self, comm: Comm, dtype: np.dtype, pattern: Pattern) -> None:
        self._comm, self.dtype, self._tag = comm, np.dtype(dtype), comm.new_tag()
        self.routes = routes(comm.rank, pattern)
        self.held, self.shape = extents(pattern.held(comm.rank)), extents(pattern.wanted(comm.rank))
        self._large_receives, self._small_receives = self._prepare(self.routes.receives, comm.prepare_receive)
        self._large_sends, self._small_sends = self._prepare(self.routes.sends, comm.prepare_send)
        self._receiving: list[tuple[Part, list[Request], np.ndarray | None]] = []
        self._sending: list[tuple[int, list[Request]]] = []
        self._small: list[tuple[Any, Request]] = []
        self._out: np.ndarray | None = None
        self.sent = sum(self._nbytes(p) for p in self.routes.sends)
        self.received = sum(self._nbytes(p) for p in self.routes.receives)
        self.messages = len(self.routes.sends)

    def _nbytes(self, part: Part) -> int:
        n = self.dtype.itemsize
        for extent in part.shape:
            n *= extent
        return n

    def _prepare(self, parts: Sequence[Part], message: Callable[..., Any]) -> tuple[list[Part], list[_Small]]:
        """The parts that travel straight from and to the arrays, and the small ones, made ready."""
        large, small = [], []
        for part in parts:
            nbytes = self._nbytes(part)
            if nbytes > SMALL:
                large.append(part)
            else:
                array = np.empty(part.shape, self.dtype)
                made = message(_bytes(array), part.peer, self._tag)
                small.append(_Small(part.peer, part.at, array, made, nbytes))
        return large, small

    def run(self, array: np.ndarray | None, out: np.ndarray | None = None) -> np.ndarray:
        """The box this rank needs, in `out` (C-contiguous, or a new array) from the box it holds (None if that is empty)."""
        self.start(array, out)
        return self.finish()

    def start(self, array: np.ndarray | None, out: np.ndarray | None = None) -> None:
        """Begin: until `finish`, `array` must not be changed, and nothing of the result but the kept part may be used."""
        if out is None:
            out = np.empty(self.shape, self.dtype)
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"the result is {self.dtype}{self.shape}, not {out.dtype}{out.shape}")
        if array is not None and (array.shape != self.held or array.dtype != self.dtype):
            raise ValueError(
                f"this rank holds {self.dtype}{self.held}, but was given {array.dtype}{array.shape}"
            )
        if array is None and (self.routes.kept is not None or self.routes.sends):
            raise ValueError("a rank that holds a part of the array must give it")
        comm = self._comm
        self._receiving.clear()  # of a run that an error ended
        self._sending.clear()
        self._small = [(each, comm.begin(each.message)) for each in self._small_receives]
        for part in self._large_receives:
            self._receive(part, out[part.at])
        for each in self._small_sends:
            assert array is not None
            each.array[...] = array[each.at]
            self._sending.append((each.peer, [comm.begin(each.message)]))
            comm.traffic.add(each.nbytes)
        for part in self._large_sends:
            assert array is not None
            self._send(part, array[part.at])
        if self.routes.kept is not None:
            assert array is not None
            here, there = self.routes.kept
            out[there] = array[here]
        self._out = out

    def finish(self) -> np.ndarray:
        """Wait for everything that `start` began; the result."""
        comm, out = self._comm, self._out
        assert out is not None
        for each, request in self._small:
            comm.wait_one(request, each.peer)
            out[each.at] = each.array
        for part, requests, staged in self._receiving:
            comm.wait(requests, part.peer)
            if staged is not None:
                out[part.at] = staged
        for peer, requests in self._sending:
            comm.wait(requests, peer)
        self._receiving.clear()
        self._sending.clear()
        self._out = None
        return out

    def _receive(self, part: Part, target: np.ndarray) -> None:
        staged = None if target.flags.c_contiguous else np.empty(part.shape, self.dtype)
        memory = _bytes(target if staged is None else staged)
        self._receiving.append((part, self._comm.receive(memory, part.peer, self._tag), staged))

    def _send(self, part: Part, view: np.ndarray) -> None:
        requests = self._comm.send(_bytes(np.ascontiguousarray(view)), part.peer, self._tag)
        self._sending.append((part.peer, requests))
        self._comm.traffic.add(view.nbytes)
