"""Distinct elements over ranks: each rank's own first, then equal ones meet on one rank, chosen by value.

The ranges of values are cut where the ranks' distinct elements are even, so that no rank gets much more than its share whatever
the values. Results lie in even tiles. Elements are NumPy's (all NaN are one element). Knows NumPy and messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legate_jit.collectives.local import distinct, merged
from legate_jit.collectives.messages import all_gather, all_to_all, joined
from legate_jit.collectives.splitting import splits
from legate_jit.collectives.tiles import Tile, cut, edges, rebalanced, starts_of
from legate_jit.comm.base import Comm

__all__ = ["isin", "sets", "unique"]


def unique(
    comm: Comm, part: np.ndarray, index: bool = False, inverse: bool = False, counts: bool = False
) -> list[Tile]:
    """`numpy.unique` of a 1-d array that lies in even tiles: the distinct elements in order and, as asked for, where each occurs
    first, which of them every element is, and how often each occurs."""
    own = distinct(part, index, inverse, counts)
    cuts = boundaries(comm, own.values)
    pieces = cut(own.values, cuts)
    arrived = all_to_all(comm, pieces)
    lengths = [len(a) for a in arrived]
    mine = distinct(joined(arrived), index, inverse or counts)
    results = [rebalanced(comm, mine.values)]
    if own.first is not None and mine.first is not None:  # of equal elements the one of the lowest rank
        positions = own.first + starts_of(comm, len(part))[comm.rank]
        firsts = np.concatenate(all_to_all(comm, cut(positions, cuts), lengths))
        results.append(rebalanced(comm, firsts[mine.first]))
    if own.inverse is not None and mine.inverse is not None:
        numbers = mine.inverse + starts_of(comm, len(mine.values))[comm.rank]
        back = all_to_all(comm, cut(numbers, np.cumsum(lengths)[:-1]), [len(p) for p in pieces])
        results.append(Tile((_total(comm, len(part)),), np.concatenate(back)[own.inverse]))
    if own.counts is not None and mine.inverse is not None:
        total = np.zeros(len(mine.values), np.int64)
        np.add.at(total, mine.inverse, np.concatenate(all_to_all(comm, cut(own.counts, cuts), lengths)))
        results.append(rebalanced(comm, total))
    return results


def _total(comm: Comm, count: int) -> int:
    return int(starts_of(comm, count)[-1])


def boundaries(comm: Comm, run: np.ndarray) -> np.ndarray:
    """Where to cut the ranks' sorted runs so that equal elements come to one rank, and all ranks get about as many."""
    whole = _total(comm, len(run))
    places = edges(whole, comm.size)[1:-1]
    values = splits(comm, run, places).values
    found = np.searchsorted(run, values, "left")
    if run.dtype.kind in "fc":  # NaN are one element, though complex ones have an order
        found = np.where(np.isnan(values), len(run) - np.count_nonzero(np.isnan(run)), found)
    return np.where(places < whole, found, len(run))


def sets(comm: Comm, a: np.ndarray, b: np.ndarray, name: str) -> list[Tile]:
    """A set operation of NumPy (`union1d`, `intersect1d`, `setdiff1d`, `setxor1d`) on 1-d arrays of one dtype."""
    ours, theirs = _meeting(comm, distinct(a).values, distinct(b).values)
    if name == "union1d":
        return [rebalanced(comm, distinct(joined([*ours, *theirs])).values)]
    x, y = (distinct(joined(parts)).values for parts in (ours, theirs))
    return [rebalanced(comm, getattr(np, name)(x, y, assume_unique=True))]


def isin(comm: Comm, elements: np.ndarray, among: np.ndarray, invert: bool = False) -> list[Tile]:
    """`numpy.isin` of 1-d arrays of one dtype: for every element of the first whether it is (not) among the second's."""
    shape, test = (_total(comm, len(elements)),), distinct(among).values
    if _total(comm, len(test)) <= shape[0] // comm.size:  # no more than a rank has of the elements
        whole = joined(all_gather(comm, test))
        return [Tile(shape, np.isin(elements, whole, invert=invert))]
    own = distinct(elements, inverse=True)
    assert own.inverse is not None
    ours, theirs = _meeting(comm, own.values, test)
    lengths = [len(x) for x in ours]
    answer = np.isin(joined(ours), joined(theirs), invert=invert)
    back = all_to_all(comm, cut(answer, np.cumsum(lengths)[:-1]))
    return [Tile(shape, np.concatenate(back)[own.inverse])]


def _meeting(comm: Comm, a: np.ndarray, b: np.ndarray) -> list[Sequence[np.ndarray]]:
    """What every rank sends here of its sorted runs a and b; equal elements meet on one rank."""
    run = merged([a, b])
    ends = [0, *boundaries(comm, run).tolist()]
    found: list[Sequence[np.ndarray]] = []
    for x in (a, b):
        # the first element beyond each cut of the common run says where the cut is here; past its end everything is before
        places = [len(x) if e == len(run) else int(np.searchsorted(x, run[e], "left")) for e in ends[1:]]
        found.append(all_to_all(comm, cut(x, places)))
    return found
