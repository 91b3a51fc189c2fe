"""Blocks: boxes of an array that lies in C order in a file, moved to and from memory by positioned reads and writes.

A box is as many runs of the file as its rows are not adjacent; a run goes straight from or to the memory if that lies in the
same order, else by way of a small block. Knows no ranks and no formats.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator

import numpy as np

from legate_jit.ir.ranks.layout import Box

__all__ = ["read_box", "run_bytes", "write_box"]

#: bytes of memory between arrays in another order and the file
_STAGED = 1 << 23
#: bytes that one call of the system is asked to move
_CALL = 1 << 30


def write_box(file: int, at: int, shape: tuple[int, ...], box: Box, array: np.ndarray) -> None:
    """Write `array`, of the box's extents, where the box lies in an array of `shape` that begins at byte `at` of the open
    file."""
    for place, part in _runs(at, shape, box, array):
        for start, block in _blocks(part):
            _write(file, place + start, np.ascontiguousarray(block))


def read_box(file: int, at: int, shape: tuple[int, ...], box: Box, array: np.ndarray) -> None:
    """Read the box into `array`. EOFError if the file ends before."""
    for place, part in _runs(at, shape, box, array):
        for start, block in _blocks(part):
            if block.flags.c_contiguous:
                _read(file, place + start, block)
            else:
                staged = np.empty(block.shape, block.dtype)
                _read(file, place + start, staged)
                block[...] = staged


def run_bytes(shape: tuple[int, ...], box: Box, itemsize: int) -> int:
    """Bytes of the box that lie together in the file."""
    k = _inner(shape, box)
    return math.prod(hi - lo for lo, hi in box[max(k - 1, 0) :]) * itemsize


def _inner(shape: tuple[int, ...], box: Box) -> int:
    """The first of the last axes all of which the box covers."""
    k = len(shape)
    while k and box[k - 1] == (0, shape[k - 1]):
        k -= 1
    return k


def _runs(at: int, shape: tuple[int, ...], box: Box, array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The box's runs: where each begins in the file, and its part of the array."""
    if not array.size:
        return
    outer = max(_inner(shape, box) - 1, 0)
    itemsize = array.dtype.itemsize
    strides = [itemsize * math.prod(shape[d + 1 :]) for d in range(len(shape))]
    start = at + sum(lo * s for (lo, _), s in zip(box, strides, strict=True))
    for index in np.ndindex(*array.shape[:outer]):
        yield start + sum(i * s for i, s in zip(index, strides, strict=False)), array[index + (...,)]


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of an array in C order, each with the bytes before it: all of it if it lies in that order, else small ones."""
    if array.flags.c_contiguous or array.nbytes <= _STAGED:
        yield 0, array
        return
    row = array.nbytes // len(array)
    if row > _STAGED:
        for i, each in enumerate(array):
            yield from ((i * row + start, block) for start, block in _blocks(each))
        return
    height = _STAGED // row
    for i in range(0, len(array), height):
        yield i * row, array[i : i + height]


def _write(file: int, at: int, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = os.pwrite(file, view[:_CALL], at)
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view, at = view[count:], at + count


def _read(file: int, at: int, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = os.preadv(file, [view[:_CALL]], at)
        if not count:
            raise EOFError("the file ends before the array does")
        view, at = view[count:], at + count
