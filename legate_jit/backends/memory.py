"""Memory for arrays: blocks that are handed out uninitialized, taken back, and handed out again while still warm.

Duty: own every byte that kernels compute into, keep the pages of freed blocks for the next array (fresh pages cost
as much as the computation), bound what is kept, and refuse what the machine cannot hold with MemoryError. It must
not know shapes, stores or plans; NumPy appears only at the border, where arrays come in (`Buffer.wrap`) and go out
(`Buffer.as_numpy`).

Small blocks (below 1 MiB) are carved from arenas; big ones are mappings of their own, aligned for huge pages and
advised to use them. Free blocks wait in a stack per size class, last in first out. When more than the bound waits,
the oldest big blocks are unmapped, then the pages of waiting small blocks are given back.

Thread safety rests on the interpreter's lock: every transition of a block is one list append or pop. Counters may
lose an update under heavy threading, never a block. A forked child has its own copy of everything.
"""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from legate_jit.backends import pages

__all__ = ["ALIGNMENT", "BIG", "Buffer", "MemoryStats", "allocate", "configure", "stats", "trim"]

ALIGNMENT: Final = 64
"""Every block starts at a multiple of this: a cache line, and the widest vector."""

BIG: Final = 1 << 20
"""Bytes from which a block is a mapping of its own."""

_PAGE: Final = 4096
_ARENA: Final = 4 << 20  # untouched pages of an arena cost nothing
_REFILL: Final = 16 << 10  # carve at least so many bytes of a small class at once
_COLORED: Final = 16 << 10  # blocks from this size on start at differing offsets in their first page
_COLORS: Final = 12
_COLOR_STEP: Final = 320  # five cache lines: the streams of several arrays then fall into different cache sets
_TABLE_BYTES: Final = 16 << 10
_DEFAULT_RETAIN: Final = 4 << 30


class MemoryStats:
    """Counters, in bytes of blocks: up to a third more than was asked for (big ones: an eighth)."""

    __slots__ = ("allocated", "live", "peak", "retained", "reuses", "unmaps")

    def __init__(self) -> None:
        self.allocated = 0  # handed out since the beginning
        self.live = 0  # handed out now
        self.peak = 0  # most ever handed out at a time; assign 0 to begin anew
        self.retained = 0  # free, with pages that could be given back
        self.reuses = 0  # how many times a used block was handed out again
        self.unmaps = 0  # big blocks given back to the system

    @property
    def maps(self) -> int:
        """Mappings asked of the system since the beginning."""
        return pages.stats.maps

    @property
    def mapped(self) -> int:
        """Bytes of address space mapped now."""
        return pages.stats.mapped


stats = MemoryStats()


class _Group:
    """The blocks of one size class: `stack` holds free warm ones, `cold` free ones without pages.

    Big blocks stand for themselves in the system; `ticks` then runs parallel to `stack` and tells when each was
    freed.
    """

    __slots__ = ("big", "capacity", "cold", "colored", "counted", "stack", "ticks")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.big = capacity >= BIG
        self.colored = capacity >= _COLORED
        self.counted = capacity if capacity >= _PAGE else 0  # what freeing adds to the retained bytes
        self.stack: list[int] = []
        self.cold: list[int] = []
        self.ticks: list[int] = []

    def refill(self) -> int:
        """The address of a block when the stack is empty; MemoryError with the bytes if there is none to be had."""
        if self.big:
            return self._map_big()
        if self.cold:
            return self.cold.pop()
        pitch = self.capacity + (_PAGE if self.colored else 0)
        count = max(_REFILL // pitch, 1)
        start = _carve(pitch * count, _PAGE if self.capacity >= _PAGE else ALIGNMENT)
        self.stack.extend(start + pitch * k + self._color() for k in range(count - 1, 0, -1))
        if self.counted:
            stats.retained += self.counted * (count - 1)
        return start + self._color()

    def _map_big(self) -> int:
        nbytes = self.capacity + _PAGE
        huge = self.capacity >= pages.HUGE_PAGE
        try:
            address = pages.map_pages(nbytes, huge=huge)
        except MemoryError:
            gc.collect()  # arrays in reference cycles hold blocks too
            if self.stack:
                return self.stack.pop()
            trim(0)
            address = pages.map_pages(nbytes, huge=huge)
        return address + self._color()

    def _color(self) -> int:
        return next(_colors) if self.colored else 0


def _color_cycle() -> Any:
    while True:
        for color in range(_COLORS):
            yield color * _COLOR_STEP


_colors = _color_cycle()


class _Arena:
    """The mapping that small blocks are carved from now, and all mappings they were ever carved from."""

    __slots__ = ("bases", "end", "next")

    def __init__(self) -> None:
        self.next = 0
        self.end = 0
        self.bases: list[int] = []


_arena = _Arena()


def _carve(nbytes: int, alignment: int) -> int:
    """The address of `nbytes` of an arena."""
    start = -(-_arena.next // alignment) * alignment
    if not _arena.bases or start + nbytes > _arena.end:
        size = max(_ARENA, nbytes + alignment)
        base = pages.map_pages(size, huge=False)
        _arena.bases.append(base)
        _arena.end = base + size
        start = -(-base // alignment) * alignment
    _arena.next = start + nbytes
    return start


def _capacity(nbytes: int) -> int:
    """Size class: powers of two and their midpoints (big ones: eighths)."""
    if nbytes <= ALIGNMENT:
        return ALIGNMENT
    power = 1 << (nbytes - 1).bit_length()
    steps = 8 if nbytes > BIG else 4
    step = max(power // (2 * steps), ALIGNMENT)
    return -(-nbytes // step) * step


_groups: dict[int, _Group] = {}
_by_nbytes: dict[int, _Group] = {}


class Buffer:
    """A block of memory, or an adopted NumPy array. Freed blocks are used again while warm.

    `slot` and `serial` belong to the runtime.
    """

    __slots__ = ("_group", "_keep", "addr", "nbytes", "serial", "slot")

    addr: int
    nbytes: int
    slot: int
    serial: int

    def __del__(self) -> None:
        group = self._group
        if group is not None:
            group.stack.append(self.addr)

    @classmethod
    def wrap(cls, array: NDArray[Any]) -> Buffer:
        """Adopt a C-contiguous array without copying."""
        if not array.flags.c_contiguous:
            raise ValueError("only C-contiguous arrays can be adopted")
        b = cls.__new__(cls)
        b._group, b._keep = None, array
        b.addr, b.nbytes = array.__array_interface__["data"][0], array.nbytes
        b.slot = b.serial = -1
        return b

    def as_numpy(self, shape: Sequence[int], dtype: DTypeLike, writeable: bool = False) -> NDArray[Any]:
        """A zero-copy array whose base keeps this buffer alive."""
        return np.asarray(_Export(self, tuple(shape), np.dtype(dtype), writeable))


class _Export:
    """What NumPy reads to make an array over a buffer; the array's base, so the buffer lives as long."""

    __slots__ = ("__array_interface__", "_buffer")

    def __init__(self, buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any], writeable: bool) -> None:
        self._buffer = buffer
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (buffer.addr, not writeable),
            "version": 3,
        }


_total_memory = 0


def _refuse_absurd(nbytes: int) -> None:
    global _total_memory
    if not _total_memory:
        import os

        _total_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if nbytes > _total_memory:
        raise MemoryError(f"Unable to allocate {nbytes} bytes: the machine has {_total_memory}")


_new_buffer = Buffer.__new__


def allocate(nbytes: int) -> Buffer:
    """An uninitialized, aligned block; MemoryError when the machine cannot hold it."""
    group = _by_nbytes.get(nbytes)
    if group is None:
        _refuse_absurd(nbytes)
        capacity = _capacity(nbytes)
        group = _groups.setdefault(capacity, _Group(capacity))
        _by_nbytes[nbytes] = group
    stack = group.stack
    addr = stack.pop() if stack else group.refill()
    b = _new_buffer(Buffer)
    b._group, b.addr, b.nbytes, b.slot, b.serial = group, addr, nbytes, -1, -1
    return b


def trim(keep: int) -> None:
    """Give free big blocks back to the system until at most `keep` bytes wait."""
    waiting = sum(len(g.stack) * g.capacity for g in _groups.values() if g.big)
    for g in sorted((g for g in _groups.values() if g.big), key=lambda g: -g.capacity):
        while g.stack and waiting > keep:
            address = g.stack.pop()
            pages.unmap_pages(address - address % _PAGE)
            waiting -= g.capacity
