"""Convolutions of vectors in parts: a rank gets what its results reach beyond its own part. Knows messages and arrays only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.comm import Comm
from legate_jit.exchange import Box

__all__ = ["convolve"]

#: all of the convolution of two vectors: (x, weights, memory for len(x) + len(weights) - 1 results)
Full = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def convolve(
    comm: Comm,
    part: np.ndarray,
    weights: np.ndarray,
    source: Sequence[Box],
    wanted: Sequence[Box],
    start: int,
    out: np.ndarray,
    full: Full,
) -> None:
    """This rank's results wanted[rank], into `out`, of the convolution of a vector, of which it has source[rank], with weights
    that every rank has. Result 0 is number `start` of the full convolution."""
    count = max(hi for ((_, hi),) in source)
    reach = len(weights) - 1
    needed = []
    for ((lo, hi),) in wanted:
        first, last = max(lo + start - reach, 0), min(hi + start, count)
        needed.append(((first, last),) if lo < hi else ((0, 0),))
    piece = comm.fetch(np.ascontiguousarray(part), source, needed)
    if not out.size:
        return
    every = np.empty(len(piece) + reach, out.dtype)
    full(piece, weights, every)
    begin = wanted[comm.rank][0][0] + start - needed[comm.rank][0][0]
    out[...] = every[begin : begin + len(out)]
