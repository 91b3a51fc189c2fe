"""Contiguous: an array whose elements lie together in one file, in C order: what `.npy`, HDF5 and raw files have in common.

Each rank writes and reads its own part, straight from and to the memory it lies in. Where a part is many short runs of the
file, whole rows are brought together first, so that few long ones are written.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from legate_jit.backends.memory import Buffer
from legate_jit.files import atomic, blocks
from legate_jit.files.shards import (
    Deferred,
    Shards,
    agreed,
    brought,
    from_first,
    lines,
    make,
    make_of,
    pieces,
    run,
    run_writing,
    same,
    typed,
)
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["elements", "mapped", "overwrite", "put", "read", "write"]

#: runs of fewer bytes are not written one by one
SHORT = 1 << 16


def write(path: str, shards: Shards, begin: Callable[[str], int], *what: object) -> None:
    """Write an array to a file that rank 0 makes with `begin(name)`, which returns the byte where the elements go; see
    `atomic.replace`."""
    run_writing(
        lambda comm: atomic.replace(
            comm,
            path,
            begin,
            lambda file, at: put(comm, file, at, shards),
            shards.shape,
            shards.dtype.str,
            *what,
        )
    )


def overwrite(path: str, shards: Shards) -> None:
    """Write an array over the first bytes of a file that is there, as it is: an error leaves some of it."""

    def program(comm: Comm) -> None:
        same(comm, path, shards.shape, shards.dtype.str)

        with contextlib.ExitStack() as stack:
            opened: list[Any] = []
            agreed(comm, lambda: opened.append(stack.enter_context(open(path, "rb+", buffering=0))))
            agreed(comm, lambda: put(comm, opened[0].fileno(), 0, shards))

    run_writing(program)


def put(comm: Comm, file: int, at: int, shards: Shards) -> None:
    """Write this rank's share of the array to the open file, whose elements begin at byte `at`."""
    if comm.size == 1 or not _scattered(shards):
        part = shards.parts.get(comm.rank)
        if part is not None:
            blocks.write_box(file, at, shards.shape, shards.boxes[comm.rank], part)
        return
    parts = [pieces(box, shards.dtype.itemsize) for box in lines(shards.shape, comm.size)]
    deferred = Deferred()
    for box, block in brought(comm, shards, parts):
        deferred.do(blocks.write_box, file, at, shards.shape, box, block)
    deferred.end()


def _scattered(shards: Shards) -> bool:
    """Whether a part is several runs of the file, and short ones."""
    for box in shards.boxes:
        together = blocks.run_bytes(shards.shape, box, shards.dtype.itemsize)
        if together < min(SHORT, layout.size(box) * shards.dtype.itemsize):
            return True
    return False


def elements(path: str, at: int, itemsize: int) -> int:
    """How many elements the file has from byte `at` on."""
    return run(lambda comm: from_first(comm, lambda: max(os.path.getsize(path) - at, 0) // itemsize))


def read(path: str, at: int, shape: tuple[int, ...], dtype: np.dtype) -> Store:
    """A store of the array whose elements begin at byte `at`. FileNotFoundError, EOFError on all ranks."""

    def fill(box: Box, memory: np.ndarray) -> None:
        with open(path, "rb", buffering=0) as file:
            blocks.read_box(file.fileno(), at, shape, box, memory)

    return make(typed(shape, dtype), fill)


def mapped(path: str, at: int, shape: tuple[int, ...], dtype: np.dtype) -> Store:
    """A store on the file itself, as far as parts lie together there: pages are read when they are looked at, and never
    written back."""

    def bring(box: Box) -> Buffer:
        extents = layout.extents(box)
        if blocks.run_bytes(shape, box, dtype.itemsize) != math.prod(
            extents
        ) * dtype.itemsize or not math.prod(extents):
            array = np.empty(extents, dtype)
            with open(path, "rb", buffering=0) as file:
                blocks.read_box(file.fileno(), at, shape, box, array)
            return Buffer.wrap(array)
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        start = at + dtype.itemsize * sum(lo * s for (lo, _), s in zip(box, strides, strict=True))
        # private pages: the engine may compute into them, the file does not change
        return Buffer.wrap(np.asarray(np.memmap(path, dtype, "c", start, extents)))

    return make_of(typed(shape, dtype), bring)
