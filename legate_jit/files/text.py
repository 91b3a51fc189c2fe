"""Text: a table in a file is read by all ranks together, each parsing its share of the lines.

Shares are cut by bytes, at ends of lines; the rows are dealt out evenly when it is known how many there are. Parsing is the
caller's.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from legate_jit import runtime
from legate_jit.backends.memory import Buffer
from legate_jit.comm.exchange import Listed
from legate_jit.files.shards import even, from_first, run, same, typed
from legate_jit.ir.ranks import choose
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["read"]


def read(path: str, skip: int, parse: Callable[[io.BytesIO], np.ndarray], dtype: np.dtype) -> Store | None:
    """A store of the rows, in two axes, that `parse(lines)` makes of the lines after the first `skip` ones: each rank gives
    it its own, and gets an array of the dtype with as many columns as the others' that have rows.

    None if the file is too small for that, if it has no rows, or if `parse` raised anything or rows differ in length on any
    rank. FileNotFoundError and its like.
    """
    world = runtime.world
    buffers: dict[int, Buffer] = {}

    def begin() -> tuple[int, int] | None:
        size = os.stat(path).st_size
        if size < 2 * choose.SMALL:
            return None
        with open(path, "rb") as file:
            for _ in range(skip):
                file.readline()
            return file.tell(), size

    def program(comm: Comm) -> tuple[int, ...] | None:
        same(comm, path, skip)
        span = from_first(comm, begin)
        if span is None:
            return None
        part: np.ndarray | None = None
        try:
            part = parse(io.BytesIO(_lines(path, *span, comm.rank, comm.size)))
        except Exception:
            part = None  # whoever reads all of it finds the error, and the number of its line
        shapes = comm.allgather_object(None if part is None else part.shape)
        widths = {shape[1] for shape in shapes if shape is not None and shape[0]}
        if part is None or None in shapes or len(widths) != 1:
            return None
        (width,) = widths
        held, start = [], 0
        for count, _ in shapes:
            held.append(((start, start + count), (0, width)))
            start += count
        how = even((start, width), comm.size)
        wanted: list[Box] = [how.box(k) for k in range(comm.size)]
        mine = part if len(part) else np.empty((0, width), dtype)
        buffers[comm.rank] = Buffer.wrap(
            comm.exchange(dtype, Listed.of(held, wanted)).run(np.ascontiguousarray(mine, dtype))
        )
        return start, width

    shape = run(program)
    if shape is None:
        return None
    type_, how = typed(shape, dtype), even(shape, world.size)
    if how.is_replicated:
        return runtime.buffer_store(buffers[world.own[0]], type_)
    return runtime.buffer_store(world.dealt(type_, how, buffers), type_)


def _lines(path: str, start: int, end: int, rank: int, ranks: int) -> bytes:
    """The lines that begin in the rank's share of the bytes."""
    with open(path, "rb") as file:

        def edge(k: int) -> int:
            at = start + (end - start) * k // ranks
            if at in (start, end):
                return at
            file.seek(at - 1)
            file.readline()
            return file.tell()

        first, last = edge(rank), edge(rank + 1)
        file.seek(first)
        return file.read(last - first)
