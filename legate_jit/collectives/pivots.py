"""Selecting over ranks: elements at places of the sorted array, and partitions around them, without sorting.

Each round the ranks show samples of what is left, count what lies before, between and behind two of them, and go on with the
range that holds the place. For real numbers; NaN comes last, as NumPy has it. Arrays are cut along the axis, the ranks' parts in
its order. Knows NumPy and messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.collectives.messages import all_gather, all_to_all, totals
from legate_jit.collectives.tiles import edges, starts_of
from legate_jit.comm.base import Comm

__all__ = ["MOST", "Standing", "argpartition", "partition", "select"]

#: places for which this is worth it: each is looked for in all elements
MOST = 4
#: elements of all ranks that everybody looks at, and samples of all ranks in a round
_FEW, _SAMPLES = 1 << 9, 1 << 9


class Standing(NamedTuple):
    """The element at a place, how many elements are less, and how many are equal."""

    value: np.generic
    before: int
    equal: int


def select(comm: Comm, part: np.ndarray, place: int) -> Standing:
    """What stands at a place of the sorted array whose parts (1-d, of a real dtype) the ranks have: the same on all of them."""
    left, base, one = part, 0, False
    if part.dtype.kind == "f":
        unknown = np.isnan(part)
        missing = int(comm.combine(np.array(np.count_nonzero(unknown), np.int64), "sum"))
        if missing:
            known = sum(totals(comm, len(part))) - missing
            if place >= known:
                return Standing(part.dtype.type(np.nan), known, missing)
            left = part[~unknown]
    while True:
        counts = totals(comm, len(left))
        total = sum(counts)
        if total <= _FEW:
            run = np.sort(np.concatenate(all_gather(comm, left, counts)), kind="stable")
            value = run[place - base]
            first, last = (int(np.searchsorted(run, value, side)) for side in ("left", "right"))
            return Standing(value, base + first, last - first)
        low, high = _around(comm, left, counts, (place - base) / total, one)
        is_less, is_more = left < low, left > high
        found = np.array([np.count_nonzero(is_less), np.count_nonzero(is_more)], np.int64)
        less, more = (int(n) for n in comm.combine(found, "sum"))
        between = total - less - more
        if place - base < less:
            left = left[is_less]
        elif place - base >= less + between:
            left, base = left[is_more], base + less + between
        elif low == high:
            return Standing(low, base + less, between)
        else:
            left, base = left[~(is_less | is_more)], base + less
        # Many alike: the next round finds whether it is one of these.
        one = sum(totals(comm, len(left))) > total // 2


def _around(
    comm: Comm, left: np.ndarray, counts: Sequence[int], share: float, one: bool
) -> tuple[np.generic, np.generic]:
    """Two elements, or one twice, between which that share of all elements probably ends."""
    each = max(_SAMPLES // comm.size, 8)
    taken = [min(n, each) for n in counts]
    mine = left[np.arange(taken[comm.rank]) * len(left) // max(taken[comm.rank], 1)]
    samples = np.concatenate(all_gather(comm, mine, taken))
    weights = np.repeat([n / max(t, 1) for n, t in zip(counts, taken, strict=True)], taken)
    order = np.argsort(samples, kind="stable")
    passed = np.cumsum(weights[order]) / sum(counts)
    width = 0.0 if one else 1 / len(samples) ** 0.5
    at = np.searchsorted(passed, [share - width, share + width])
    low, high = samples[order[np.minimum(at, len(samples) - 1)]]
    return low, high


def partition(comm: Comm, part: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """This rank's even tile of the array with the elements at these places where sorting would bring them, lesser ones before and
    greater ones behind."""
    return _dealt(comm, part, part, places)


def argpartition(comm: Comm, part: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """This rank's even tile of the positions (int64) of elements that `partition` gives."""
    first = starts_of(comm, len(part))[comm.rank]
    return _dealt(comm, part, np.arange(first, first + len(part), dtype=np.int64), places)


def _dealt(comm: Comm, part: np.ndarray, moved: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """What lies beside the elements, dealt out in groups: less than the first pivot, equal to it, between it and the next..."""
    pivots: list[Standing] = []
    for place in sorted(set(places)):
        if not pivots or place >= pivots[-1].before + pivots[-1].equal:
            pivots.append(select(comm, part, place))
    values = np.array([p.value for p in pivots if p.value == p.value], part.dtype)
    groups = [moved[mask] for mask in _groups(part, values)]
    counts = np.array([[len(g) for g in groups]], np.int64)
    table = np.concatenate(all_gather(comm, counts, [1] * comm.size))
    # where each rank's elements of each group begin in the result
    begins = np.cumsum(table.T.ravel()).reshape(table.T.shape).T - table
    to = edges(int(table.sum()), comm.size)
    leaving = []
    for k in range(comm.size):
        low, high = _within(begins[comm.rank], table[comm.rank], to[k], to[k + 1])
        leaving.append(np.concatenate([g[a:b] for g, a, b in zip(groups, low, high, strict=True)]))
    ranges = [_within(begins[k], table[k], to[comm.rank], to[comm.rank + 1]) for k in range(comm.size)]
    arriving = all_to_all(comm, leaving, [int((high - low).sum()) for low, high in ranges])
    out = np.empty(to[comm.rank + 1] - to[comm.rank], moved.dtype)
    for k, (low, high) in enumerate(ranges):
        at = 0
        for begin, a, b in zip(begins[k], low, high, strict=True):
            place = begin + a - to[comm.rank]
            out[place : place + b - a] = arriving[k][at : at + b - a]
            at += b - a
    return out


def _groups(x: np.ndarray, values: np.ndarray) -> Iterator[np.ndarray]:
    """Which elements are less than the first of ascending values, equal to it, between it and the next..., and NaN."""
    rest = np.ones(len(x), np.bool_)
    for value in values:
        less = x < value
        yield less & rest
        same = x == value
        yield same
        rest = ~(less | same)
    yield rest & (x == x)
    yield x != x


def _within(begins: np.ndarray, counts: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Which elements of runs that begin there lie in a range: from which to which, of every run."""
    return np.clip(low - begins, 0, counts), np.clip(high - begins, 0, counts)
