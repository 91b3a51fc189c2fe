"""Zarr: arrays as folders of chunks, written and read by the zarr library, each chunk by one rank.

The chunks of an array that is dealt out are cut where its parts are, so that ranks write what they have. Importing this needs
zarr.
"""

from __future__ import annotations

import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from legate_jit import runtime
from legate_jit.files import atomic, tiles
from legate_jit.files.shards import (
    Deferred,
    Shards,
    brought,
    from_first,
    long_axis,
    make,
    run,
    run_writing,
    same,
    typed,
    within,
)
from legate_jit.ir import dtypes
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

try:
    import zarr
except ImportError as error:
    raise ImportError("Zarr arrays need zarr 3: pip install 'legate-jit[io]'") from error

__all__ = ["describe", "even_chunks", "read", "write"]

#: bytes of the chunks that are chosen here
CHUNK = 1 << 26
#: chunks are written whatever is in them: what is left out is read as zeros, and -0.0 may be left out
_ALL = {"array.write_empty_chunks": True}
_opening = threading.Lock()


def even_chunks(shape: tuple[int, ...], itemsize: int, ranks: int) -> tuple[int, ...]:
    """Chunks of which no two ranks need the same, if the array is dealt out evenly, of at most `CHUNK` bytes."""
    if not shape:
        return ()
    chunk = [max(n, 1) for n in shape]
    axis = long_axis(shape, ranks)
    chunk[axis] = -(-chunk[axis] // ranks)
    for d in (axis, *(d for d in range(len(shape)) if d != axis)):
        pieces = -(-math.prod(chunk) * itemsize // CHUNK)
        if pieces == 1:
            break
        whole = [p for p in range(pieces, min(4 * pieces, chunk[d]) + 1) if chunk[d] % p == 0]
        chunk[d] = chunk[d] // whole[0] if whole else max(chunk[d] // pieces, 1)
    return tuple(chunk)


def write(path: str, shards: Shards, chunks: tuple[int, ...] | int | None) -> None:
    """Write an array to a new Zarr folder, not compressed, that takes the place of `path`. ValueError for chunks that do not
    fit."""
    size = 1 if runtime.world is None else runtime.world.size
    if chunks is None:
        chunks = even_chunks(shards.shape, shards.dtype.itemsize, size)
    elif isinstance(chunks, int):
        chunks = (chunks,) * len(shards.shape)
    tile = chunks
    if len(tile) != len(shards.shape) or any(c < 1 for c in tile):
        raise ValueError(f"chunks of shape {tile} do not fit an array of shape {shards.shape}")

    def begin(temporary: str) -> None:
        zarr.create_array(
            temporary, shape=shards.shape, dtype=shards.dtype, chunks=tile, compressors=None, filters=None
        )

    def put(comm: Comm, temporary: str) -> None:
        deferred, opened = Deferred(), []
        deferred.do(lambda: opened.append(_opened(temporary)))
        if shards.shape:
            count = math.prod(tiles.grid(shards.shape, tile))
            numbers = [tiles.share(count, rank, comm.size) for rank in range(comm.size)]
            wanted = [(box for _, box in tiles.boxes(shards.shape, tile, n)) for n in numbers]
            for box, block in brought(comm, shards, wanted):
                if layout.size(box):
                    deferred.do(lambda at, values: opened[0].__setitem__(at, values), within(box), block)
        elif comm.rank == 0:
            deferred.do(lambda: opened[0].__setitem__(..., shards.parts[0][()]))
        deferred.end()

    run_writing(
        lambda comm: atomic.replace_folder(comm, path, begin, put, tile, shards.shape, shards.dtype.str)
    )


def _opened(path: str) -> Any:
    """An array to be written to."""
    with _opening, zarr.config.set(_ALL):  # arrays keep what is configured when they are opened
        return zarr.open_array(path, mode="r+")


def describe(path: str) -> tuple[tuple[int, ...], np.dtype]:
    """Extents and dtype of an array, the same on all ranks. FileNotFoundError; ValueError for elements that are no numbers."""

    def found() -> tuple[tuple[int, ...], np.dtype]:
        os.stat(path)
        array = zarr.open_array(path, mode="r")
        dtype = np.dtype(array.dtype).newbyteorder("=")
        if not dtypes.is_supported(dtype):
            raise ValueError(f"unsupported Zarr datatype {array.dtype} of {path}")
        return tuple(array.shape), dtypes.canonical(dtype)

    def program(comm: Comm) -> tuple[tuple[int, ...], np.dtype]:
        same(comm, path)
        return from_first(comm, found)

    return run(program)


def read(path: str) -> Store:
    """A store of the array, whatever its chunks and compressors."""
    shape, dtype = describe(path)

    def fill(box: Box, memory: np.ndarray) -> None:
        if not memory.size:
            return
        array = zarr.open_array(path, mode="r")
        if not memory.ndim:
            memory[...] = array[()]
            return
        (first, last), rest = box[0], within(box[1:])
        start = first
        while start < last:  # by rows of chunks: zarr makes an array of what it is asked for
            end = min((start // array.chunks[0] + 1) * array.chunks[0], last)
            memory[start - first : end - first] = array[(slice(start, end), *rest)]
            start = end

    return make(typed(shape, dtype), fill)
