"""Splitting: where the sorted runs of all ranks are to be cut so that given numbers of elements come before.

Exact, whatever the values: elements are ordered by value, then rank, then position in the run, so that no two are equal, and
equal values in any number are divided like others. A few rounds of samples; no elements move. Knows NumPy's order of elements
(NaN last) only through `numpy.sort` and `numpy.searchsorted`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from legate_jit.comm import Comm

#: samples of a rank per place and round, and candidates of all ranks' samples that are counted
_SAMPLES, _COUNTED = 16, 16


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
    rows = len(low)
    at = low[:, None] + np.arange(_SAMPLES) * (high - low)[:, None] // _SAMPLES
    shown = np.zeros(at.shape, run.dtype)
    shown[high > low] = run[at[high > low]]
    ranges = comm.gather(np.stack([low, high]))
    value = comm.gather(shown).transpose(1, 0, 2).reshape(rows, -1)
    lows, highs = ranges[:, 0].T[:, :, None], ranges[:, 1].T[:, :, None]
    position = (lows + np.arange(_SAMPLES) * (highs - lows) // _SAMPLES).reshape(rows, -1)
    none = np.repeat((lows == highs)[:, :, 0], _SAMPLES, axis=1)
    order = np.argsort(value, axis=1, kind="stable")  # samples lie in the order of ranks and positions
    order = np.take_along_axis(
        order, np.argsort(np.take_along_axis(none, order, 1), axis=1, kind="stable"), 1
    )
    there = np.sum(~none, axis=1)
    chosen = np.take_along_axis(order, np.arange(_COUNTED) * there[:, None] // _COUNTED, 1)
    return np.take_along_axis(value, chosen, 1), chosen // _SAMPLES, np.take_along_axis(position, chosen, 1)


__all__ = ["Cuts", "splits"]
