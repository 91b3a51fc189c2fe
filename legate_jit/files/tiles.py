"""Tiles: an array cut into boxes of one shape, each the contents of a file, or at some byte of a file.

A rank writes whole tiles, brought from where their elements are; it reads what it needs of the tiles that its part touches.
All tiles are written under other names, and renamed when every rank has written its own.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from legate_jit.files import atomic, blocks
from legate_jit.files.shards import Deferred, Shards, agreed, brought, make, run_writing, same, within
from legate_jit.ir.node import ArrayType
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["boxes", "grid", "read", "share", "write"]


def grid(shape: tuple[int, ...], tile: tuple[int, ...]) -> tuple[int, ...]:
    """How many tiles there are along each axis; those at the ends may be smaller."""
    return tuple(-(-n // t) for n, t in zip(shape, tile, strict=True))


def boxes(
    shape: tuple[int, ...], tile: tuple[int, ...], numbers: range
) -> Iterator[tuple[tuple[int, ...], Box]]:
    """Tiles by their number in C order: coordinates and box."""
    counts = grid(shape, tile)
    for number in numbers:
        point = []
        for n in reversed(counts):
            number, c = divmod(number, n)
            point.append(c)
        at = tuple(reversed(point))
        yield at, tuple((c * t, min((c + 1) * t, n)) for c, t, n in zip(at, tile, shape, strict=True))


def share(count: int, rank: int, ranks: int) -> range:
    """The numbers that are a rank's, of so many in all."""
    return range(count * rank // ranks, count * (rank + 1) // ranks)


def write(folder: str, shards: Shards, tile: tuple[int, ...], name: Callable[[tuple[int, ...]], str]) -> None:
    """Write every tile to the file of the folder that `name(coordinates)` says. Missing folders are made. Errors are raised
    on all ranks, and then no file has changed."""

    def program(comm: Comm) -> None:
        same(comm, folder, tile, shards.shape, shards.dtype.str)
        count = math.prod(grid(shards.shape, tile))
        numbers = [share(count, rank, comm.size) for rank in range(comm.size)]
        wanted = [(box for _, box in boxes(shards.shape, tile, n)) for n in numbers]
        points = (at for at, _ in boxes(shards.shape, tile, numbers[comm.rank]))
        with contextlib.ExitStack() as begun:

            def put() -> None:
                deferred = Deferred()
                for box, block in brought(comm, shards, wanted):
                    if layout.size(box):
                        deferred.do(one, next(points), block)
                deferred.end()

            def one(at: tuple[int, ...], block: np.ndarray) -> None:
                _write(begun.enter_context(atomic.replaced_here(os.path.join(folder, name(at)))), block)

            agreed(comm, lambda: os.makedirs(folder, exist_ok=True))
            agreed(comm, put)
            agreed(comm, begun.pop_all().close)

    run_writing(program)


def _write(path: str, block: np.ndarray) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        blocks.write_box(file, 0, block.shape, tuple((0, n) for n in block.shape), block)
    finally:
        os.close(file)


def read(
    type_: ArrayType, tile: tuple[int, ...], place: Callable[[tuple[int, ...]], tuple[str, int]]
) -> Store:
    """A store of tiles of one shape; `place(coordinates)` is the file and the byte where a tile begins. ValueError for files
    that end before their tile does."""
    shape = type_.shape

    def fill(box: Box, memory: np.ndarray) -> None:
        for at in itertools.product(*(_touched(b, t) for b, t in zip(box, tile, strict=True))):
            whole = tuple((c * t, (c + 1) * t) for c, t in zip(at, tile, strict=True))
            part = layout.intersection(whole, box)
            path, start = place(at)
            with open(path, "rb", buffering=0) as file:
                try:
                    blocks.read_box(
                        file.fileno(), start, tile, layout.shifted(part, whole), memory[within(part, box)]
                    )
                except EOFError:
                    raise ValueError(
                        f"{path} has no {math.prod(tile)} elements from byte {start} on"
                    ) from None

    if any(n % t for n, t in zip(shape, tile, strict=True)):
        raise ValueError(f"{shape} is not a multiple of {tile}")
    return make(type_, fill)


def _touched(span: tuple[int, int], length: int) -> Sequence[int]:
    lo, hi = span
    return range(lo // length, -(-hi // length)) if lo < hi else range(0)
