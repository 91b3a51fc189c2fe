"""What one rank does with what it holds: sorted copies, merged runs, distinct elements. NumPy's order of elements, NaN last.

Kernels that use all threads where the arrays are large. Knows no ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.backends.calls import irregular, merging
from legate_jit.collectives.messages import joined

__all__ = ["Distinct", "distinct", "merged", "merged_with", "order_of", "sorted_copy"]


def sorted_copy(x: np.ndarray) -> np.ndarray:
    """A 1-d array sorted."""
    if x.size >= irregular.SMALL:
        out = np.empty(x.shape, x.dtype)
        if merging.merge_sort(x, out):
            return out
    # NumPy's default for float16 leaves elements out of order on some processors (2.4, AVX-512)
    return np.sort(x, kind="stable" if x.dtype == np.float16 else None)


def order_of(x: np.ndarray) -> np.ndarray:
    """The positions (int64) that sort a 1-d array stably."""
    if x.size >= irregular.SMALL:
        out = np.empty(x.shape, np.int64)
        if merging.merge_argsort(x, out, "stable"):
            return out
    return np.argsort(x, kind="stable")


def merged(runs: Sequence[np.ndarray]) -> np.ndarray:
    """Sorted runs as one."""
    found = merging.merge_runs(runs)
    return np.sort(joined(runs), kind="stable") if found is None else found[0]


def merged_with(runs: Sequence[np.ndarray], beside: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted runs as one, equal elements in the order of the runs, and what (int64) lies beside them."""
    found = merging.merge_runs(runs, beside)
    if found is not None and found[1] is not None:
        return found[0], found[1]
    values, others = joined(runs), joined(beside)
    order = np.argsort(values, kind="stable")
    return values[order], others[order]


class Distinct(NamedTuple):
    """Distinct elements in order, where each occurs first, which of them every element is, and how often each occurs; int64, and
    None for what was not asked for."""

    values: np.ndarray
    first: np.ndarray | None = None
    inverse: np.ndarray | None = None
    counts: np.ndarray | None = None


def distinct(x: np.ndarray, first: bool = False, inverse: bool = False, counts: bool = False) -> Distinct:
    """The distinct elements of a 1-d array, all NaN being one."""
    counted = _counted(x, first, inverse, counts)
    if counted is not None:
        return counted
    order = order_of(x) if first or inverse else None
    run = sorted_copy(x) if order is None else x[order]
    begins = np.flatnonzero(_begins(run))
    found = Distinct(run[begins], order[begins] if first and order is not None else None)
    if inverse and order is not None:
        which = np.empty(len(x), np.int64)
        which[order] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(x)))
        found = found._replace(inverse=which)
    return found._replace(counts=np.diff(begins, append=len(x))) if counts else found


def _begins(run: np.ndarray) -> np.ndarray:
    """Where in a sorted run an element is not equal to the one before it."""
    begins = np.ones(len(run), np.bool_)
    np.not_equal(run[1:], run[:-1], out=begins[1:])
    if run.dtype.kind in "fc" and len(run) and np.isnan(run[-1]):
        begins[len(run) - np.count_nonzero(np.isnan(run)) + 1 :] = False
    return begins


def _counted(x: np.ndarray, first: bool, inverse: bool, counts: bool) -> Distinct | None:
    """`distinct` by counting, for integers of a small range; None where that does not apply."""
    if x.dtype.kind not in "iu" or x.size < irregular.SMALL:
        return None
    x = np.ascontiguousarray(x)
    low, high = int(x.min()), int(x.max())
    if low < 0 or high >= x.size:
        return None
    numbers = irregular.count(x, high + 1, None)
    if numbers is None:
        return None
    values = np.flatnonzero(numbers)
    found = Distinct(values.astype(x.dtype))
    table = np.zeros(high + 1, np.int64)
    if first:
        table[x[::-1]] = np.arange(len(x) - 1, -1, -1)  # the last assignment stays
        found = found._replace(first=table[values])
    if inverse:
        table[values] = np.arange(len(values))
        found = found._replace(inverse=table[x])
    return found._replace(counts=numbers[values]) if counts else found
