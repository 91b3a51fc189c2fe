"""Staging: the small fetches of one array carried out together, one message to and one from each other rank.

A message is packed from the parts and unpacked into the results, both through views that are kept for every address the arrays
have had, so that running it again makes no objects. Between `start` and the last `finish` the rank computes. Messages of all
staged fetches have one tag: ranks start them in one order, and those between two ranks arrive in it. Knows strided memory and
the transport of a `Comm`; knows no layouts, no graphs and no MPI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from legate_jit.comm.exchange import Part, Pattern, extents, routes, volume

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm, Request

__all__ = ["ADDRESSES", "Memory", "Staged", "array_at", "contiguous"]

#: addresses of an array whose views are kept
ADDRESSES = 16
_TAG = 5

Pair = tuple[np.ndarray, np.ndarray]  # to, from
Packed = tuple[
    np.ndarray, tuple[slice, ...]
]  # a piece of a message's memory, and where that lies in an array


class Memory(NamedTuple):
    """How an array lies from the address of its memory on: shape, bytes from element to element, bytes before the first."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


def array_at(address: int, memory: Memory, dtype: np.dtype) -> np.ndarray:
    """The array that lies at an address. It does not keep the memory: for views that are used while somebody else does."""
    if 0 in memory.shape:
        return np.empty(memory.shape, dtype)
    reach = [stride * (n - 1) for n, stride in zip(memory.shape, memory.strides, strict=True)]
    low = memory.offset + sum(r for r in reach if r < 0)
    nbytes = sum(map(abs, reach)) + dtype.itemsize
    block: Any = (ctypes.c_ubyte * nbytes).from_address(address + low)

    return np.ndarray(memory.shape, dtype, block, memory.offset - low, memory.strides)


class _Message(NamedTuple):
    peer: int
    memory: np.ndarray  # flat, packed
    prepared: Any


class Staged:
    """Fetches of one array, the i-th by the i-th pattern, which all hold the same boxes.

    memory: how this rank's box lies. Every rank starts the same staged fetches in the same order.
    """

    def __init__(
        self,
        comm: Comm,
        dtype: np.dtype,
        memory: Memory,
        patterns: Sequence[Pattern],
    ) -> None:
        self.comm, self.dtype, self.memory = comm, dtype, memory
        self.shapes = [extents(p.wanted(comm.rank)) for p in patterns]
        ways = [routes(comm.rank, p) for p in patterns]
        #: for each fetch what of the array itself goes where in the result, or None; then, with the piece of a message's memory
        #: that holds it, what goes where in each result, and what is sent in each message
        self.kept = [way.kept for way in ways]
        self.arriving: list[list[Packed]] = [[] for _ in patterns]
        self.leaving: list[list[Packed]] = []
        leaving: dict[int, list[tuple[int, Part]]] = {}
        arriving: dict[int, list[tuple[int, Part]]] = {}
        for k, way in enumerate(ways):
            for part in way.sends:
                leaving.setdefault(part.peer, []).append((k, part))
            for part in way.receives:
                arriving.setdefault(part.peer, []).append((k, part))
        self.sends = []
        for peer, parts in sorted(leaving.items()):
            flat, packed = self._divided(parts)
            self.leaving.append([view for _, view in packed])
            self.sends.append(_Message(peer, flat, comm.prepare_send(_raw(flat), peer, _TAG)))
        self.receives = []
        for peer, parts in sorted(arriving.items()):
            flat, packed = self._divided(parts)
            for k, view in packed:
                self.arriving[k].append(view)
            self.receives.append(_Message(peer, flat, comm.prepare_receive(_raw(flat), peer, _TAG)))
        every = [m.prepared for m in (*self.sends, *self.receives)]
        self._tended = [m for m in every if comm.is_tended(m)]
        self._from: dict[int, tuple[list[Pair], np.ndarray]] = {}
        self._into: list[dict[tuple[int, int], list[Pair]]] = [{} for _ in patterns]
        self._sending: list[tuple[Request, int]] = []
        self._receiving: list[tuple[Request, int]] = []
        self._array: np.ndarray | None = None
        self._at = 0
        #: fetches that are not finished
        self.left = 0

    def _divided(self, parts: Sequence[tuple[int, Part]]) -> tuple[np.ndarray, list[tuple[int, Packed]]]:
        """Memory for the parts of one message, in the order of fetches, and which fetch's part each piece of it is."""
        flat = np.empty(sum(volume(tuple((0, n) for n in p.shape)) for _, p in parts), self.dtype)
        at, packed = 0, []
        for k, part in parts:
            size = volume(tuple((0, n) for n in part.shape))
            packed.append((k, (flat[at : at + size].reshape(part.shape), part.at)))
            at += size
        return flat, packed

    def start(self, address: int, finishes: int) -> None:
        """Begin all fetches of the array that lies at an address, which must not be changed until so many of them have been
        finished; results that nobody wants here need not be."""
        comm = self.comm
        found = self._from.get(address)
        if found is None:
            found = self._look_from(address)
        pairs, self._array = found
        self._at, self.left = address, finishes
        if self._tended:
            comm.tended += self._tended
        self._receiving = [(comm.begin(m.prepared), m.peer) for m in self.receives]
        for to, part in pairs:
            to[...] = part
        self._sending = [(comm.begin(m.prepared), m.peer) for m in self.sends]
        for m in self.sends:
            comm.traffic.add(m.memory.nbytes)

    def finish(self, k: int, address: int) -> None:
        """Put the result of fetch k at an address, in C order; each fetch at most once."""
        comm = self.comm
        while self._receiving:
            comm.wait_one(*self._receiving[-1])
            self._receiving.pop()
        pairs = self._into[k].get((self._at, address))
        if pairs is None:
            pairs = self._look_into(k, address)
        for to, part in pairs:
            to[...] = part
        if self.left == 1:
            while self._sending:
                comm.wait_one(*self._sending[-1])
                self._sending.pop()
            for message in self._tended:
                comm.tended.remove(message)
        self.left -= 1

    def _look_from(self, address: int) -> tuple[list[Pair], np.ndarray]:
        array = array_at(address, self.memory, self.dtype)
        if len(self._from) >= ADDRESSES:
            self._from.clear()
        found = self._from[address] = (
            [(view, array[at]) for parts in self.leaving for view, at in parts],
            array,
        )
        return found

    def _look_into(self, k: int, address: int) -> list[Pair]:
        assert self._array is not None
        out = array_at(address, contiguous(self.shapes[k], self.dtype.itemsize), self.dtype)
        pairs = [(out[at], view) for view, at in self.arriving[k]]
        kept = self.kept[k]
        if kept is not None:
            here, there = kept
            pairs.append((out[there], self._array[here]))
        if len(self._into[k]) >= ADDRESSES:
            self._into[k].clear()
        self._into[k][self._at, address] = pairs
        return pairs

    def __del__(self) -> None:
        if not self.left:
            for m in (*self.sends, *self.receives):
                self.comm.forget(m.prepared)


def contiguous(shape: tuple[int, ...], item: int) -> Memory:
    """An array in C order."""
    strides = []
    for n in reversed(shape):
        strides.append(item)
        item *= n
    return Memory(shape, tuple(reversed(strides)))


def _raw(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint8)
