"""Splitting: where the sorted runs of all ranks are to be cut so that given numbers of elements come before.

Exact, whatever the values: elements are ordered by value, then rank, then position in the run, so that no two are equal, and
equal values in any number are divided like others. A few rounds of samples; no elements move. Knows NumPy's order of elements
(NaN last) only through `numpy.sort` and `numpy.searchsorted`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from legate_jit.collectives.messages import all_gather
from legate_jit.comm.base import Comm

#: samples of a rank per place and round, about so many of all ranks, and candidates among these that are counted
_SAMPLES, _SHOWN, _COUNTED = 16, 1024, 16


class Cuts(NamedTuple):
    """Of every place: how many elements of this rank's run come before it, and the value of the element that stands there.
    Places beyond the end have no value (`values` is anything there)."""

    before: np.ndarray
    values: np.ndarray


def splits(comm: Comm, run: np.ndarray, places: np.ndarray) -> Cuts:
    """Cuts of the ranks' sorted runs (1-d, one dtype) at the same `places` (int64) on every rank.

    The cut of each place is known to lie in a range of every run. Each round the ranks show samples of these ranges, count how
    many elements of all runs come before some of them, and keep what lies between the two that are nearest to the place.
    """
    me, count = comm.rank, len(places)
    whole = int(comm.combine(np.array(len(run), np.int64), "sum"))
    low = np.where(places < whole, 0, len(run)).astype(np.int64)
    high = np.full(count, len(run), np.int64)
    values = np.zeros(count, run.dtype)
    open_ = np.flatnonzero(places < whole)
    while len(open_):
        value, source, position = _candidates(comm, run, low[open_], high[open_])
        left, right = (np.searchsorted(run, value, side) for side in ("left", "right"))
        here = np.where(source > me, right, np.where(source < me, left, position))
        total = comm.combine(here, "sum")
        wanted, rows = places[open_], np.arange(len(open_))
        following = np.sum(total <= wanted[:, None], axis=1)  # the candidates of a row ascend
        above, below = np.minimum(following, value.shape[1] - 1), np.maximum(following - 1, 0)
        some = following > 0
        exact = some & (total[rows, below] == wanted)
        passed = (source[rows, below] == me) & ~exact  # the candidate itself comes before the place
        low[open_] = np.where(some, here[rows, below] + passed, low[open_])
        high[open_] = np.where(following < value.shape[1], here[rows, above], high[open_])
        values[open_] = np.where(exact, value[rows, below], values[open_])
        open_ = open_[~exact]
    return Cuts(low, values)


def _candidates(
    comm: Comm, run: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every place some elements of all ranks' ranges, ascending: values, ranks and positions in their runs, in rows."""
    rows, ranks = len(low), comm.size
    samples = max(2, min(_SAMPLES, _SHOWN // ranks))
    at = _sampled(low, high, samples, comm.rank)
    shown = np.zeros(at.shape, run.dtype)
    shown[high > low] = run[at[high > low]]
    ranges = all_gather(comm, np.stack([low, high], axis=1), [rows] * ranks)
    value = np.concatenate(all_gather(comm, shown, [rows] * ranks), axis=1)
    every = [_sampled(ends[:, 0], ends[:, 1], samples, k) for k, ends in enumerate(ranges)]
    position = np.concatenate(every, axis=1)
    none = np.repeat(np.stack([ends[:, 0] == ends[:, 1] for ends in ranges], axis=1), samples, axis=1)
    order = np.argsort(value, axis=1, kind="stable")  # samples lie in the order of ranks and positions
    without = np.take_along_axis(none, order, 1)
    order = np.take_along_axis(order, np.argsort(without, axis=1, kind="stable"), 1)
    there = np.sum(~none, axis=1)
    chosen = np.take_along_axis(order, np.arange(_COUNTED) * there[:, None] // _COUNTED, 1)
    return np.take_along_axis(value, chosen, 1), chosen // samples, np.take_along_axis(position, chosen, 1)


def _sampled(low: np.ndarray, high: np.ndarray, samples: int, rank: int) -> np.ndarray:
    """Positions of a rank's samples in ranges, in rows: even, shifted from rank to rank (ranks often hold alike values); every
    position where there are no more."""
    shift = rank * 633 % 1024  # by 0.618 of a distance
    found: np.ndarray = low[:, None] + (np.arange(samples) * 1024 + shift) * (high - low)[:, None] // (
        samples * 1024
    )
    return found


__all__ = ["Cuts", "splits"]
