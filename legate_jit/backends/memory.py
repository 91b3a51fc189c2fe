"""Memory for arrays: blocks that are handed out uninitialized, taken back, and handed out again while still
warm.

Duty: own every byte that kernels compute into, keep the pages of freed blocks for the next array (fresh pages
cost as much as the computation), bound what is kept, and refuse what the machine cannot hold with
MemoryError. It must not know shapes, stores or plans; NumPy appears only at the border, where arrays come in
(`Buffer.wrap`) and go out (`Buffer.as_numpy`).

Small blocks (below 1 MiB) are carved from arenas; big ones are mappings of their own, aligned for huge pages
and advised to use them. Free blocks wait in a stack per size class, last in first out. When more than the
bound waits, the oldest big blocks are unmapped, then the pages of waiting small blocks are given back.

Thread safety rests on the interpreter's lock: whoever takes a block out of its group's list owns it, and that
is one call of a builtin. Counters may lose an update under heavy threading, never a block; `trim` corrects
the ones that matter. A forked child has its own copy of everything.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
import gc
import itertools
import math
from collections.abc import Callable, Sequence
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
#: five cache lines: the streams of several arrays then fall into different cache sets
_COLOR_STEP: Final = 320
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


class _Settings:
    """How many free bytes may wait for reuse."""

    __slots__ = ("retain",)

    def __init__(self) -> None:
        self.retain: int = min(pages.machine_bytes() // 4, _DEFAULT_RETAIN)


_settings = _Settings()


class _Arena:
    """The mapping that small blocks are being carved from, and the starts of all such mappings, ascending."""

    __slots__ = ("bases", "end", "position")

    def __init__(self) -> None:
        self.position = 0
        self.end = 0
        self.bases: list[int] = []

    def carve(self, nbytes: int, alignment: int) -> int:
        """The address of `nbytes` bytes that were never used; what is left of a full mapping is lost,
        untouched."""
        start = -(-self.position // alignment) * alignment
        if start + nbytes > self.end:
            start = _map_or_trim(_ARENA, huge=False)
            bisect.insort(self.bases, start)
            # No calls from here on: another thread must never see a new end with an old position.
            self.end = start + _ARENA
        self.position = start + nbytes
        return start

    def discard(self, address: int, nbytes: int) -> None:
        """Give back the pages of a page-aligned block."""
        base = self.bases[bisect.bisect_right(self.bases, address) - 1]
        pages.discard(base, address - base, nbytes)


_arena = _Arena()
_colors = itertools.cycle(range(0, _COLORS * _COLOR_STEP, _COLOR_STEP))


class _Group:
    """The free blocks of one size class: warm ones in `stack`, ones without pages in `cold`."""

    __slots__ = ("big", "block", "capacity", "cold", "colored", "counted", "stack")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.block: Any = None  # `_shown_as`, when a block is first shown
        self.big = capacity >= BIG
        self.colored = capacity >= _COLORED
        self.counted = capacity if capacity >= _PAGE else 0  # what a free block adds to the retained bytes
        self.stack: list[int] = []
        self.cold: list[int] = []

    def refill(self) -> int:
        """The address of a block when the stack is empty; MemoryError, naming the bytes, if there is none to
        be had."""
        if self.big:
            huge = self.capacity >= pages.HUGE_PAGE
            return _map_or_trim(self.capacity + _PAGE, huge=huge) + next(_colors)
        if self.cold:
            return self.cold.pop()
        pitch = self.capacity + (_PAGE if self.colored else 0)
        count = max(_REFILL // pitch, 1)
        start = _arena.carve(pitch * count, _PAGE if self.capacity >= _PAGE else ALIGNMENT)
        if count > 1:
            stats.retained += self.counted * (count - 1)
            self.stack.extend(range(start + pitch * (count - 1), start, -pitch))
        return start + next(_colors) if self.colored else start

    def cool(self, count: int) -> None:
        """Give back the pages of the `count` longest-waiting blocks, which stay usable."""
        taken, self.stack = self.stack, []  # one step, so that no other thread still finds what is cooled
        extent = self.capacity + (_PAGE if self.colored else 0)
        for address in taken[:count]:
            _arena.discard(address & -_PAGE, extent)
        self.cold.extend(taken[:count])
        self.stack[:0] = taken[count:]


_groups: dict[int, _Group] = {}
_waiting: dict[int, _Group] = {}  # free big blocks by address, longest-waiting first


def _map_or_trim(nbytes: int, *, huge: bool) -> int:
    """Map; when refused, first give back what waits for reuse, and what only reference cycles still hold."""
    try:
        return pages.map_pages(nbytes, huge=huge)
    except MemoryError:
        gc.collect()
        trim(0)
    return pages.map_pages(nbytes, huge=huge)


def _group(capacity: int) -> _Group:
    group = _groups.get(capacity)
    if group is None:
        group = _groups.setdefault(capacity, _Group(capacity))
    return group


def _capacity(nbytes: int) -> int:
    """The size class of a request: 2^k or 3*2^(k-1) while small; eighths of an octave, or huge pages, when
    big."""
    if nbytes <= ALIGNMENT:
        return ALIGNMENT
    octave = 1 << ((nbytes - 1).bit_length() - 1)  # octave < nbytes <= 2 * octave
    if nbytes < BIG:
        middle = octave + octave // 2
        # A class must be whole cache lines, and whole pages from one page on.
        usable = middle % (_PAGE if middle > _PAGE else ALIGNMENT) == 0
        return middle if usable and nbytes <= middle else 2 * octave
    granule = min(octave // 8, pages.HUGE_PAGE)
    return -(-nbytes // granule) * granule


_TABLE = [_group(_capacity(lines * ALIGNMENT)) for lines in range(_TABLE_BYTES // ALIGNMENT + 1)]


class Buffer:
    """A block of memory, or the memory of a NumPy array; it lives as long as this object.

    `addr` and `nbytes` say where it is and how many bytes may be used. `slot`, `serial` and `spoiled` (set in few:
    see `poison`) belong to the runtime and mean nothing here. Buffers are not compared, copied or pickled; identity
    is what counts.
    """

    __slots__ = ("__weakref__", "_group", "_owner", "addr", "nbytes", "serial", "slot", "spoiled")

    spoiled: BaseException

    def __init__(
        self, addr: int, nbytes: int, group: _Group | None, owner: NDArray[Any] | None = None
    ) -> None:
        self.addr = addr
        self.nbytes = nbytes
        self.slot = 0
        self.serial = 0
        self._group = group
        self._owner = owner

    # The defaults keep what is needed reachable while the interpreter tears its modules down.
    def __del__(
        self,
        _stats: MemoryStats = stats,
        _waiting: dict[int, _Group] = _waiting,
        _settings: _Settings = _settings,
    ) -> None:
        group = self._group
        if group is None:
            return
        _stats.live -= group.capacity
        if group.big:
            _waiting[self.addr] = group
        group.stack.append(self.addr)
        if group.counted:
            _stats.retained += group.counted
            if _stats.retained > _settings.retain:
                trim(_settings.retain // 4 * 3)

    @staticmethod
    def wrap(array: NDArray[Any]) -> Buffer:
        """The memory of a C-contiguous array, without a copy; the array is kept alive.

        ValueError if it is not contiguous, TypeError for what is not an array (a NumPy scalar, say).
        """
        # Checked in spite of the annotation: a scalar would be read as an array and give a wild address.
        if not issubclass(type(array), np.ndarray):
            raise TypeError(f"only arrays can be wrapped, not {type(array).__name__}")
        if not array.flags.c_contiguous:
            raise ValueError("only C-contiguous arrays can be wrapped")
        return Buffer(_data_address(array), array.nbytes, None, array)

    @property
    def owner(self) -> NDArray[Any] | None:
        """The array this was wrapped around, or None for a block of the pool."""
        return self._owner

    def relocate(self) -> None:
        """Move the contents of a wrapped array to a block of the pool, because the array is about to change.

        Arrays that `as_numpy` made before are views of the wrapped array still.
        """
        block = allocate(self.nbytes)
        whole = (self.nbytes,)
        block.as_numpy(whole, np.uint8, True)[...] = self.as_numpy(whole, np.uint8)
        self.addr, self._group, block._group = block.addr, block._group, None

    def as_numpy(self, shape: Sequence[int], dtype: DTypeLike, writeable: bool = False) -> NDArray[Any]:
        """An array over this memory from its start, without a copy; it keeps the memory from being reused.

        ValueError if `shape` of `dtype` needs more than `nbytes`, for object dtypes, and for a writeable
        array over a wrapped read-only one.
        """
        kind = np.dtype(dtype)
        if kind.hasobject:
            raise ValueError("buffers hold no Python objects")
        if math.prod(shape) * kind.itemsize > self.nbytes:
            raise ValueError(f"{tuple(shape)} of {kind} needs more than {self.nbytes} bytes")
        if writeable and self._owner is not None and not self._owner.flags.writeable:
            raise ValueError("the wrapped array is read-only")
        return self.shown(tuple(shape), kind, writeable)

    def shown(self, shape: tuple[int, ...], dtype: np.dtype[Any], writeable: bool) -> NDArray[Any]:
        """`as_numpy` for callers that know that shape and dtype fit."""
        group = self._group
        if group is None:
            return _Export(self, shape, dtype, writeable).array()
        at = group.block or _shown_as(group)
        block = at(self.addr)
        block.buffer = self
        array: NDArray[Any] = _ndarray(shape, dtype, block)
        if not writeable:
            array.setflags(write=False)  # a quarter of what setting the flag costs
        return array


_ndarray = np.ndarray


def _shown_as(group: _Group) -> Callable[[int], Any]:
    """What makes, of an address, the base of arrays over a block of this size: ctypes' memory, which NumPy takes four times as
    quickly as an array interface. Its `buffer` keeps the block from being reused."""

    class Block(ctypes.c_char * group.capacity):  # type: ignore[misc]
        __slots__ = ("buffer",)

    made: Callable[[int], Any] = Block.from_address
    group.block = made
    return made


class _Export:
    """What NumPy sees of a wrapped array's memory; the array made from it has this object as its base."""

    __slots__ = ("__array_interface__", "_buffer", "_dtype")

    def __init__(self, buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any], writeable: bool) -> None:
        self._buffer = buffer
        self._dtype = dtype
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (buffer.addr, not writeable),
            "version": 3,
        }

    def array(self) -> NDArray[Any]:
        """The array; a structured dtype travels as plain bytes of its size and is put back on."""
        array = np.asarray(self)
        return array if array.dtype == self._dtype else array.view(self._dtype)


def allocate(nbytes: int) -> Buffer:
    """An uninitialized block of at least `nbytes` bytes, ALIGNMENT-aligned.

    ValueError for a negative size; MemoryError, naming the bytes, when the system, the machine's memory or
    the configured limit does not allow it, after everything that waits for reuse was given back.
    """
    group = _TABLE[(nbytes + 63) >> 6] if 0 <= nbytes <= _TABLE_BYTES else _large_group(nbytes)
    try:
        address = group.stack.pop()
    except IndexError:
        address = _refill(group, nbytes)
    else:
        stats.reuses += 1
        stats.retained -= group.counted
        if group.big:
            _waiting.pop(address, None)
    capacity = group.capacity
    stats.allocated += capacity
    live = stats.live = stats.live + capacity
    if live > stats.peak:
        stats.peak = live
    return Buffer(address, nbytes, group)


def _refill(group: _Group, nbytes: int) -> int:
    try:
        return group.refill()
    except MemoryError as refusal:
        raise MemoryError(f"cannot allocate {pages.describe(nbytes)}: {refusal}") from None


@functools.lru_cache(maxsize=4096)
def _large_group(nbytes: int) -> _Group:
    if nbytes < 0:
        raise ValueError(f"a block cannot have {nbytes} bytes")
    return _group(_capacity(nbytes))


def configure(*, retain: int | None = None, limit: int | None = None) -> None:
    """Bound the free bytes kept for reuse, and the bytes mapped in total; None restores the machine's
    defaults.

    The defaults: a quarter of the machine's memory but at most 4 GiB are kept; the limit is main memory and
    swap, or the control group's limit.
    """
    pages.set_limit(limit)
    _settings.retain = _Settings().retain if retain is None else retain
    trim(_settings.retain)


def trim(target: int) -> None:
    """Give free memory back until at most `target` bytes wait: first the oldest big blocks, then pages of
    small ones."""
    for address, group in list(_waiting.items()):
        if stats.retained <= target:
            break
        try:
            group.stack.remove(address)
        except ValueError:  # another thread has just taken it
            continue
        _waiting.pop(address, None)
        stats.retained -= group.counted
        stats.unmaps += 1
        pages.unmap_pages(address & -_PAGE)
    for capacity in sorted(_groups, reverse=True):
        excess = stats.retained - target
        if excess <= 0:
            break
        group = _groups[capacity]
        if group.counted and not group.big:
            group.cool(-(-excess // capacity))
            stats.retained = _retained()
    stats.retained = _retained()


def _retained() -> int:
    return sum(group.counted * len(group.stack) for group in list(_groups.values()))


_ADDRESS_OFFSET: Final = object.__basicsize__  # PyArrayObject: the object header, then the data pointer


def _data_address_by_layout(array: NDArray[Any]) -> int:
    """Read PyArrayObject.data: eight times quicker than the interface dictionary."""
    return ctypes.c_void_p.from_address(id(array) + _ADDRESS_OFFSET).value or 0


def _data_address_by_interface(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _layout_is_known() -> bool:
    """Whether this interpreter and NumPy lay arrays out as expected, tried on arrays that differ in kind."""
    whole = np.arange(24.0)
    trials: list[NDArray[Any]] = [
        whole,
        whole[5:],
        whole.reshape(2, 3, 4),
        np.zeros((), "i2"),
        np.zeros((0, 3), "c16"),
    ]
    return all(_data_address_by_layout(trial) == _data_address_by_interface(trial) for trial in trials)


_data_address = _data_address_by_layout if _layout_is_known() else _data_address_by_interface
