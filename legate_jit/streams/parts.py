"""A rank's part of a draw: it jumps there, or draws all of it in blocks and keeps its part.

Knows draws and boxes; no messages and no stores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from legate_jit.ir.ranks.layout import Box
from legate_jit.streams import parallel
from legate_jit.streams.draws import Draw
from legate_jit.streams.jumps import Source, can_jump

__all__ = ["BLOCK", "fill"]

#: units that one call draws (a multiple of what NumPy makes of one word of the stream)
BLOCK = 1 << 16


def fill(source: Source, draw: Draw, box: Box, memory: np.ndarray) -> None:
    """Write what lies in a box of a draw (of all of each row) to memory of its extents, C-contiguous; go to its end."""
    out, runs = memory.reshape((-1, *draw.row)), _runs(draw.units, box)
    if draw.plain and can_jump(source):
        place = done = 0
        for first, stop in runs:
            draw.skip(source, first - place)
            parallel.fill_plain(source, draw, out[done : done + stop - first], first)
            done, place = done + stop - first, stop
        draw.skip(source, draw.total() - place)
    else:
        _keep(source, draw, runs, out)


def _keep(source: Source, draw: Draw, runs: Iterator[tuple[int, int]], out: np.ndarray) -> None:
    """Draw all, and write the runs to memory, one after the other."""
    done, total = 0, draw.total()
    first, stop = next(runs, (total, total))
    step = BLOCK if draw.splits else max(total, 1)
    for place in range(0, total, step):
        drawn = draw.block(source, place, min(step, total - place))
        end = place + len(drawn)
        while first < end:
            n = min(stop, end) - first
            out[done : done + n] = drawn[first - place : first - place + n]
            done, first = done + n, first + n
            if first == stop:
                first, stop = next(runs, (total, total))


def _runs(shape: tuple[int, ...], box: Box) -> Iterator[tuple[int, int]]:
    """The ranges of numbers of elements in C order that lie in a box, in ascending order."""
    box = box[: len(shape)]
    if any(hi <= lo for lo, hi in box):
        return
    cut = max((d for d, (lo, hi) in enumerate(box) if hi - lo < shape[d]), default=0)
    inner = math.prod(shape[cut + 1 :])
    lo, hi = box[cut] if box else (0, 1)
    strides = [math.prod(shape[d + 1 : cut + 1]) for d in range(cut)]
    for at in np.ndindex(*(b - a for a, b in box[:cut])):
        row = sum((k + a) * n for k, (a, _), n in zip(at, box, strides, strict=False))
        yield (row + lo) * inner, (row + hi) * inner
