"""Medians and quantiles of arrays in parts, to the bit as NumPy gives them; what the ranks show each other for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.test_sorting import SIZES, on_ranks, values, with_nan

import cupynumeric
from legate_jit import runtime
from legate_jit.collectives import sorting
from legate_jit.comm.threads import ThreadComm
from legate_jit.ranks import windows

World = Callable[[int], None]
METHODS = [
    "linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased", "inverted_cdf",
]  # fmt: skip


def same(found: Any, expected: Any) -> None:
    """Equal in value, shape and dtype."""
    expected = np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(np.asarray(found), expected)


def notices() -> list[str]:
    """What was gathered on every rank."""
    plans = [p for p in runtime._plans.values() if isinstance(p, windows.RanksPlan)]
    return [notice for p in plans for notice in p.notices]


def array(np: Any, n: int, dtype: str, nan: bool) -> Any:
    """Some numbers, several of them twice."""
    x = ((np.arange(n) * 7919) % 251).astype(dtype)
    if nan:
        x[n // 3] = np.nan
    return x


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "nan"), [("f8", False), ("f8", True), ("i4", False), ("f2", False)])
def test_all_elements(dealt: World, size: int, dtype: str, nan: bool) -> None:
    dealt(size)
    for n in (3, 90):
        ours, theirs = array(cupynumeric, n, dtype, nan), array(np, n, dtype, nan)
        for x, lib in ((ours.reshape(3, -1)[:, ::-1], cupynumeric), (ours, cupynumeric)):
            y = theirs.reshape(3, -1)[:, ::-1] if x.ndim == 2 else theirs
            same(lib.median(x), np.median(y))
            same(lib.nanmedian(x, keepdims=True), np.nanmedian(y, keepdims=True))
            same(lib.nanpercentile(x, (3, 50.0)), np.nanpercentile(y, (3, 50.0)))
        for method in METHODS:
            for q in (0.3, 1, np.float32(0.7), [0, 0.25, 0.5, 1]):
                same(cupynumeric.quantile(ours, q, method=method), np.quantile(theirs, q, method=method))
    assert not notices()


@pytest.mark.parametrize("size", [2, 3, 7])
def test_along_axes(dealt: World, size: int) -> None:
    dealt(size)
    ours, theirs = (array(lib, 120, "f4", True).reshape(4, 6, 5) for lib in (cupynumeric, np))
    for axis in (0, 1, 2, (0, 2), -1):
        same(cupynumeric.median(ours, axis), np.median(theirs, axis))
        same(cupynumeric.median(ours, axis, keepdims=True), np.median(theirs, axis, keepdims=True))
        same(cupynumeric.percentile(ours, (10, 99.5), axis), np.percentile(theirs, (10, 99.5), axis))
        same(
            cupynumeric.quantile(ours, 0.2, axis, keepdims=True),
            np.quantile(theirs, 0.2, axis, keepdims=True),
        )
    for axis in (0, 1, 2):
        same(cupynumeric.nanmedian(ours, axis), np.nanmedian(theirs, axis))
        same(cupynumeric.nanquantile(ours, 0.3, axis), np.nanquantile(theirs, 0.3, axis))
        found = cupynumeric.nanpercentile(ours, 30, axis, keepdims=True)
        same(found, np.nanpercentile(theirs, 30, axis, keepdims=True))
    for lib in (cupynumeric, np):
        with pytest.raises(ValueError, match="range"):
            lib.quantile(ours if lib is cupynumeric else theirs, 1.5)
    assert not notices()


@pytest.mark.parametrize("size", SIZES)
def test_hardly_anything_moves(size: int) -> None:
    x = with_nan(values("f8", 100_000))
    places = np.array([0, 49_999, 99_999])

    def program(comm: ThreadComm, part: np.ndarray) -> int:
        np.testing.assert_array_equal(sorting.standing(comm, part, places), np.sort(x)[places])
        return comm.traffic.nbytes

    assert sum(on_ranks(x, size, program)) < x.nbytes / 4
