"""Selecting and partitioning over ranks, without sorting: NumPy's elements at the places, whatever the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.test_sorting import SIZES, SPREADS, values, with_nan

import cupynumeric
from legate_jit.collectives import local, pivots, tiles
from legate_jit.comm.threads import run_ranks

World = Callable[[int], None]
REAL = ["f8", "f4", "f2", "i8", "u1", "?"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rounds even for small arrays."""
    monkeypatch.setattr(pivots, "_FEW", 4)
    monkeypatch.setattr(pivots, "_SAMPLES", 24)


def samples(dtype: str) -> list[np.ndarray]:
    """Arrays of few and of many distinct elements, with NaN among them if there can be."""
    found = []
    for spread in SPREADS.values():
        for n in (1, 7, 200):
            x = spread(values(dtype, n))
            found += [x, with_nan(x.copy())] if x.dtype.kind == "f" else [x]
    found.append(np.zeros(150, dtype))
    found.append((np.arange(150) % 2).astype(dtype))
    return found


def cuts(x: np.ndarray, size: int, uneven: bool) -> list[np.ndarray]:
    """Parts of an array for so many ranks, some of which may be empty."""
    places = (
        sorted((k * k * len(x)) // (size * size) for k in range(1, size))
        if uneven
        else tiles.edges(len(x), size)[1:-1]
    )
    return tiles.cut(x, places)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", REAL)
def test_select(size: int, dtype: str) -> None:
    for x in samples(dtype):
        run = np.sort(x, kind="stable")
        parts = cuts(x, size, True)
        for place in sorted({0, len(x) // 3, len(x) - 1}):
            for found in run_ranks(
                size, lambda comm, place=place, parts=parts: pivots.select(comm, parts[comm.rank], place)
            ):
                np.testing.assert_array_equal(found.value, run[place])
                same = np.isnan(run) if run[place] != run[place] else run == run[place]
                assert (found.before, found.equal) == (int(np.argmax(same)), np.count_nonzero(same))


def check(made: np.ndarray, x: np.ndarray, places: list[int]) -> None:
    """The elements of x: those at the places are the sorted array's, none before is greater and none behind is less."""
    run = np.sort(x, kind="stable")
    assert made.dtype == x.dtype
    np.testing.assert_array_equal(np.sort(made, kind="stable"), run)
    for k in places:
        np.testing.assert_array_equal(made[k], run[k])
        np.testing.assert_array_equal(np.sort(made[:k], kind="stable"), run[:k])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", REAL)
def test_partition(size: int, dtype: str) -> None:
    for x in samples(dtype):
        n = len(x)
        for places in ([n // 2], [0, n - 1], [n // 3, n // 2, n // 2, 2 * n // 3]):
            parts = cuts(x, size, n % 2 == 1)
            run = lambda algorithm, parts=parts, places=places: np.concatenate(  # noqa: E731
                run_ranks(size, lambda comm: algorithm(comm, parts[comm.rank], places))
            )
            check(run(pivots.partition), x, places)
            order = run(pivots.argpartition)
            assert order.dtype == np.int64
            np.testing.assert_array_equal(np.sort(order), np.arange(n))
            check(x[order], x, places)


@pytest.mark.parametrize("size", [2, 7])
def test_functions_do_not_sort(dealt: World, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    dealt(size)
    monkeypatch.setattr(local, "sorted_copy", None)
    monkeypatch.setattr(local, "order_of", None)
    x = with_nan((np.arange(500) * 7919 % 251).astype("f2"))
    ours: Any = cupynumeric.asarray(x) + cupynumeric.zeros(500, "f2")
    check(np.asarray(cupynumeric.partition(ours, 100)), x, [100])
    check(np.asarray(cupynumeric.partition(ours, (3, -1))), x, [3, 499])
    check(x[np.asarray(cupynumeric.argpartition(ours.astype("f8"), (3, 400)))], x, [3, 400])
    rows = x[:498].reshape(166, 3)
    found = np.asarray(cupynumeric.partition(ours[:498].reshape(166, 3), 50, axis=0))
    for k in range(3):
        check(found[:, k], rows[:, k], [50])
    np.testing.assert_array_equal(cupynumeric.nanmedian(ours), np.nanmedian(x))
    np.testing.assert_array_equal(cupynumeric.median(ours[1:100] * 0 + 3), np.median(x[1:100] * 0 + 3))
