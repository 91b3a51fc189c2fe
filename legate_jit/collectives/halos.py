"""Convolutions of vectors in parts: a rank gets what its results reach beyond its own part. Knows messages, layouts and arrays
only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.comm.base import Comm
from legate_jit.comm.exchange import Box
from legate_jit.ir.ranks.exchanges import Collective
from legate_jit.ir.ranks.layout import Layout

__all__ = ["Reaching", "convolve", "sliding"]

#: all of the convolution of two vectors: (x, weights, memory for len(x) + len(weights) - 1 results)
Full = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


class Reaching(NamedTuple):
    """A pattern (`exchange.Pattern`): result i looks at the elements i + start - reach .. i + start of a vector. Result 0 is
    number `start` of the full convolution."""

    source: Layout
    result: Layout
    start: int
    reach: int
    ranks: int

    def held(self, rank: int) -> Box:
        """What the rank has."""
        return self.source.box(rank)

    def wanted(self, rank: int) -> Box:
        """What the rank's results look at."""
        ((lo, hi),) = self.result.box(rank)
        (count,) = self.source.shape
        return ((max(lo + self.start - self.reach, 0), min(hi + self.start, count)) if lo < hi else (0, 0),)

    def givers(self, rank: int) -> Sequence[int]:
        """Who holds some of it."""
        box = self.wanted(rank)
        some = self.source.grid and box[0][0] < box[0][1]
        return [k for k in self.source.owners(box) if k != rank] if some else []

    def takers(self, rank: int) -> Sequence[int]:
        """Who has results that look at what the rank holds."""
        ((lo, hi),) = self.source.box(rank)
        (count,) = self.result.shape
        first, last = max(lo - self.start, 0), min(hi + self.reach - self.start, count)
        if not self.source.grid or lo >= hi or first >= last:
            return []
        owners = self.result.owners(((first, last),)) if self.result.grid else range(self.ranks)
        return sorted(k for k in owners if k != rank)


def sliding(what: Collective, ranks: int) -> Reaching:
    """What a call 'convolve' or 'correlate' moves, whose longer operand, the first one of 'correlate', is cut."""
    long = 0 if what.name == "correlate" or what.operands[0].grid else 1
    (beyond,) = (n - 1 for n in what.operands[1 - long].shape)
    start = {"full": 0, "same": beyond // 2, "valid": beyond}[str(dict(what.options)["mode"])]
    return Reaching(what.operands[long], what.result, start, beyond, ranks)


def convolve(
    comm: Comm, part: np.ndarray, weights: np.ndarray, pattern: Reaching, out: np.ndarray, full: Full
) -> None:
    """This rank's results, into `out`, of the convolution of a vector in parts with weights that every rank has."""
    piece = comm.moved(np.ascontiguousarray(part), pattern)
    if not out.size:
        return
    every = np.empty(len(piece) + pattern.reach, out.dtype)
    full(piece, weights, every)
    begin = pattern.result.box(comm.rank)[0][0] + pattern.start - pattern.wanted(comm.rank)[0][0]
    out[...] = every[begin : begin + len(out)]
