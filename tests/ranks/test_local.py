"""What a rank does with its own elements, in sizes from which kernels do it, as NumPy would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ranks.test_sorting import values, with_nan

from legate_jit.backends.calls import irregular
from legate_jit.collectives import local

LARGE = 2 * irregular.SMALL + 7


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1", "c8"])
@pytest.mark.parametrize("n", [0, 1, 300, LARGE])
def test_sorting_and_merging(dtype: str, n: int) -> None:
    x = values(dtype, n)
    for y in (x, with_nan(x.copy())) if x.dtype.kind in "fc" else (x,):
        order = np.argsort(y, kind="stable")
        np.testing.assert_array_equal(local.sorted_copy(y), y[order])
        np.testing.assert_array_equal(local.order_of(y), order)
        ends = [0, n // 5, n // 5, n // 2, n]
        parts = [y[a:b] for a, b in itertools.pairwise(ends)]
        orders = [np.argsort(p, kind="stable") for p in parts]
        runs = [p[o] for p, o in zip(parts, orders, strict=True)]
        np.testing.assert_array_equal(local.merged(runs), y[order])
        merged, places = local.merged_with(runs, [o + a for o, a in zip(orders, ends, strict=False)])
        np.testing.assert_array_equal(merged, y[order])
        np.testing.assert_array_equal(places, order)


@pytest.mark.parametrize("dtype", ["f8", "f2", "i8", "u1", "c8", "?"])
@pytest.mark.parametrize("n", [0, 1, 300, LARGE])
def test_distinct_elements(dtype: str, n: int) -> None:
    x = values(dtype, n)
    few = np.abs(values("i8", n) % 1000).astype(dtype)
    for y in (x, few, with_nan(x.copy())) if x.dtype.kind in "fc" else (x, few):
        found = local.distinct(y, True, True, True)
        for a, b in zip(found, np.unique(y, True, True, True), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(local.distinct(y).values, found.values)
        np.testing.assert_array_equal(local.distinct(y, counts=True).counts, found.counts)
