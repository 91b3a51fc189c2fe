"""Counting over ranks: how often integers occur, and how many elements fall into bins.

Each rank counts its part; counts are added up where they are few, or each goes to the rank whose tile of the result it is in.
Knows NumPy, the kernels that count, and messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from legate_jit.backends.calls import irregular
from legate_jit.collectives.messages import all_gather, all_to_all
from legate_jit.collectives.tiles import Tile, cut, edges, in_rounds
from legate_jit.comm.base import Comm

__all__ = ["bincount", "histogram", "histogramdd"]


def bincount(
    comm: Comm, part: np.ndarray, weights: np.ndarray | None = None, minlength: int = 0
) -> list[Tile | None]:
    """`numpy.bincount` of an array of integers, and of weights that lie as it does; None if one is negative."""
    numbers = part.astype(np.int64, copy=False)
    ends = np.array([numbers.max(initial=-1), -numbers.min(initial=0), len(numbers)], np.int64)
    greatest, below_zero, longest = (int(n) for n in comm.combine(ends, "max"))
    if below_zero > 0:
        return [None]
    bins = max(minlength, greatest + 1)
    to = edges(bins, comm.size)
    mine = slice(int(to[comm.rank]), int(to[comm.rank + 1]))
    if bins <= longest:  # all bins take no more memory than the part
        counts = irregular.count(np.ascontiguousarray(numbers), bins, weights)
        if counts is None:
            counts = np.bincount(numbers, weights, bins)
        arrived = all_to_all(comm, cut(counts, to[1:-1]), [mine.stop - mine.start] * comm.size)
        return [Tile((bins,), np.asarray(np.sum(arrived, axis=0, dtype=counts.dtype)))]
    values, which = np.unique(numbers, return_inverse=True)
    counts = np.bincount(which, weights, len(values))
    places = np.searchsorted(values, to[1:-1])
    total = np.zeros(mine.stop - mine.start, counts.dtype)
    leaving = (in_rounds(comm, cut(x, places)) for x in (values, counts))
    for pieces, numbers in zip(*leaving, strict=True):
        found = all_to_all(comm, pieces)
        for at, number in zip(found, all_to_all(comm, numbers, [len(x) for x in found]), strict=True):
            total[at - mine.start] += number  # no value comes twice from a rank
    return [Tile((bins,), total)]


def histogram(
    comm: Comm, part: np.ndarray, weights: np.ndarray | None = None, bins: Any = 10, limits: Any = None
) -> list[np.ndarray]:
    """`numpy.histogram` of an array, and of weights that lie as it does: on every rank all counts, and the edges. bins: how many
    equal ones, or their edges."""
    equal, given = np.ndim(bins) == 0, part[:0]
    if equal and limits is None:
        ends = np.array([part.min(), part.max()]) if part.size else given
        ends = np.concatenate(all_gather(comm, ends))
        given = np.array([ends.min(), ends.max()])
    edges = np.histogram(given, bins, limits)[1]  # also raises what is wrong, on all ranks
    if len(given):
        limits = given[0], given[1]
    counts = None
    if equal and weights is None and part.dtype == edges.dtype and part.size >= irregular.SMALL:
        counts = irregular.histogram(np.ascontiguousarray(part), edges)
    if counts is None:
        counts = np.histogram(part, bins, limits, weights=weights)[0]
    return [comm.combine(counts, "sum"), edges]


def histogramdd(
    comm: Comm, part: np.ndarray, weights: np.ndarray | None = None, bins: Any = 10, limits: Any = None
) -> list[Any]:
    """`numpy.histogramdd` of points in rows, and of weights that lie as they do: on every rank all counts (float64), and the
    edges along each axis."""
    ends = np.stack([part.min(axis=0), part.max(axis=0)]) if len(part) else part[:0]
    ends = np.concatenate(all_gather(comm, ends))
    ends = np.stack([ends.min(axis=0), ends.max(axis=0)])
    edges = np.histogramdd(ends, bins, limits)[1]  # also raises what is wrong, on all ranks
    counts = np.histogramdd(part, edges, weights=weights)[0]
    return [comm.combine(counts, "sum"), list(edges)]
