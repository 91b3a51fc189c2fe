"""Distinct elements over ranks: each rank's own first, then equal ones meet on one rank, chosen by value.

The ranges of values are cut where the ranks' distinct elements are even, so that no rank gets much more than its share whatever
the values. Results lie in even tiles. Elements are NumPy's (all NaN are one element). Knows NumPy and messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legate_jit.collectives.messages import all_to_all, joined
from legate_jit.collectives.splitting import splits
from legate_jit.collectives.tiles import Tile, cut, edges, rebalanced, starts_of
from legate_jit.comm import Comm

__all__ = ["isin", "sets", "unique"]


def unique(
    comm: Comm, part: np.ndarray, index: bool = False, inverse: bool = False, counts: bool = False
) -> list[Tile]:
    """`numpy.unique` of a 1-d array that lies in even tiles: the distinct elements in order and, as asked for, where each occurs
    first, which of them every element is, and how often each occurs."""
    # the index makes NumPy sort stably: its other algorithm leaves float16 out of order on some processors
    value, first, place, count = np.unique(part, True, True, True)
    first += starts_of(comm, len(part))[comm.rank]
    cuts = boundaries(comm, value)
    pieces = cut(value, cuts)
    arrived = all_to_all(comm, pieces)
    lengths = [len(a) for a in arrived]
    mine, which, number = np.unique(joined(arrived), True, True)
    results = [rebalanced(comm, mine)]
    if index:  # of equal elements the one of the lowest rank
        firsts = np.concatenate(all_to_all(comm, cut(first, cuts), lengths))
        results.append(rebalanced(comm, firsts[which]))
    if inverse:
        number += starts_of(comm, len(mine))[comm.rank]
        numbers = all_to_all(comm, cut(number, np.cumsum(lengths)[:-1]), [len(p) for p in pieces])
        results.append(Tile((_total(comm, len(part)),), np.concatenate(numbers)[place]))
        number -= starts_of(comm, len(mine))[comm.rank]
    if counts:
        total = np.zeros(len(mine), np.int64)
        np.add.at(total, number, np.concatenate(all_to_all(comm, cut(count, cuts), lengths)))
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
    function = getattr(np, name)
    ours, theirs = _meeting(comm, np.unique(a, True)[0], np.unique(b, True)[0])
    x, y = (np.unique(joined(parts), True)[0] for parts in (ours, theirs))
    found = function(x, y) if name == "union1d" else function(x, y, assume_unique=True)
    return [rebalanced(comm, found)]


def isin(comm: Comm, elements: np.ndarray, among: np.ndarray, invert: bool = False) -> list[Tile]:
    """`numpy.isin` of 1-d arrays of one dtype: for every element of the first whether it is (not) among the second's."""
    value, _, place = np.unique(elements, True, True)
    ours, theirs = _meeting(comm, value, np.unique(among, True)[0])
    lengths = [len(x) for x in ours]
    answer = np.isin(joined(ours), joined(theirs), invert=invert)
    back = all_to_all(comm, cut(answer, np.cumsum(lengths)[:-1]))
    return [Tile((_total(comm, len(elements)),), np.concatenate(back)[place])]


def _meeting(comm: Comm, a: np.ndarray, b: np.ndarray) -> list[Sequence[np.ndarray]]:
    """What every rank sends here of its sorted runs a and b; equal elements meet on one rank."""
    run = np.sort(np.concatenate([a, b]), kind="stable")
    ends = [0, *boundaries(comm, run).tolist()]
    found: list[Sequence[np.ndarray]] = []
    for x in (a, b):
        # the first element beyond each cut of the common run says where the cut is here; past its end everything is before
        places = [len(x) if e == len(run) else int(np.searchsorted(x, run[e], "left")) for e in ends[1:]]
        found.append(all_to_all(comm, cut(x, places)))
    return found
