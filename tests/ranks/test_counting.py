"""Counts, histograms and positions by several keys, of arrays in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.test_sorting import SIZES, on_ranks

import cupynumeric
from legate_jit.collectives import counting
from legate_jit.comm.threads import ThreadComm

World = Callable[[int], None]


def close(found: Any, expected: Any) -> None:
    """Equal types, and equal values but for the order of additions."""
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("n", [3, 60, 2000])
def test_counts(dealt: World, size: int, n: int) -> None:
    """Numbers that are few, or that reach far beyond the number of elements."""
    dealt(size)

    def program(np: Any) -> tuple[Any, ...]:
        i = (np.arange(n) * 7919) % 251
        w = np.sqrt(i * 1.5)
        return (
            np.bincount(i), np.bincount(i, w), np.bincount(i.astype("u1") % 5, minlength=9), np.bincount(i * 100),
            np.bincount(i * 100, w, 30_000), np.bincount(i > 7), np.bincount(i[::-1] // 50, weights=i),
        )  # fmt: skip

    close(program(cupynumeric), program(np))


@pytest.mark.parametrize("size", SIZES)
def test_histograms(dealt: World, size: int) -> None:
    dealt(size)

    def program(np: Any) -> list[Any]:
        i = (np.arange(2000) * 7919) % 251
        x = i * 1.5
        found = []
        for a in (x, x.astype("f4"), i, x.reshape(4, -1)[::-1]):
            found += [*np.histogram(a), *np.histogram(a, 7, (3, 60)), *np.histogram(a, [0, 5, 10, 1000])]
        found += [*np.histogram(x, 4, density=True), *np.histogram(x, 5, weights=i), *np.histogram(x * 0)]
        found += [*np.histogram(x, np.array([0.0, 9, 30]), weights=x), np.digitize(x, [1, 40.0, 90])]
        found += [
            np.histogram_bin_edges(x[5:]),
            np.histogram_bin_edges(i, 3, (2, 9)),
            np.sort_complex(x),
            np.ediff1d(x.reshape(2, -1)),
        ]
        return found

    close(program(cupynumeric), program(np))


@pytest.mark.parametrize("size", SIZES)
def test_points_in_boxes(dealt: World, size: int) -> None:
    dealt(size)

    def program(np: Any) -> list[Any]:
        x, y = (np.arange(900) * 7919) % 251 * 1.5, (np.arange(900) * 31) % 77
        points = np.stack([x, y, x - y], axis=1)
        found = [*np.histogram2d(x, y), *np.histogram2d(x, y, (4, [0.0, 9, 30]), density=True, weights=y)]
        found += [*np.histogram2d(x, y, [0.0, 5, 10, 30]), *np.histogram2d(x, y, 3, [[0, 100], [5, 20]])]
        counts, edges = np.histogramdd(points, (2, 3, 4), density=True)
        return [*found, counts, *edges]

    close(program(cupynumeric), program(np))


WRONG: list[Callable[[Any], Any]] = [
    lambda np: np.bincount(np.arange(50) - 3),
    lambda np: np.bincount(np.arange(50), np.arange(40)),
    lambda np: np.histogram(np.arange(50) * np.nan),
    lambda np: np.histogram(np.arange(50), 0),
    lambda np: np.histogram(np.arange(50), [3, 1]),
    lambda np: np.histogram(np.arange(50), 5, (3, 1)),
    lambda np: np.histogram2d(np.arange(50), np.arange(50), (5, 0)),
    lambda np: np.histogramdd(np.ones((50, 2)), 5, [[0, 1]]),
]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("wrong", WRONG)
def test_errors_are_those_of_numpy(dealt: World, size: int, wrong: Callable[[Any], Any]) -> None:
    dealt(size)
    with pytest.raises((ValueError, TypeError)) as expected:
        wrong(np)
    with pytest.raises(expected.type) as found:
        wrong(cupynumeric)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_interpolation(dealt: World, size: int) -> None:
    dealt(size)

    def program(np: Any) -> tuple[Any, ...]:
        x, xp, fp = np.arange(60).reshape(6, 10)[::-1] * 0.3, np.arange(9.0) * 2, np.sqrt(np.arange(9.0))
        return (
            np.interp(x, xp, fp),
            np.interp(x, xp, fp * 1j, -1, 2.5),
            np.interp(x, xp, fp, period=4),
            np.interp(3, xp, fp),
        )

    close([cupynumeric.asarray(f) for f in program(cupynumeric)], [np.asarray(f) for f in program(np)])
    for lib in (cupynumeric, np):
        with pytest.raises(ValueError, match="length"):
            lib.interp(lib.arange(50.0), lib.arange(3.0), lib.arange(4.0))


@pytest.mark.parametrize("size", SIZES)
def test_several_keys(dealt: World, size: int) -> None:
    dealt(size)

    def program(np: Any) -> tuple[Any, ...]:
        i = (np.arange(300) * 7919) % 251
        return np.lexsort((i % 3, i % 7)), np.lexsort([i * 0.5, i % 2, i % 5 * 1.0]), np.lexsort((i,))

    close(program(cupynumeric), program(np))


@pytest.mark.parametrize("size", SIZES)
def test_many_bins_are_held_by_nobody(size: int) -> None:
    """Each rank gets its tile of the counts, and about the elements that are in it."""
    x = (np.arange(20_000) * 7919) % 1_000_003

    def program(comm: ThreadComm, part: np.ndarray) -> tuple[Any, int]:
        return counting.bincount(comm, part)[0], comm.traffic.nbytes

    found = on_ranks(x, size, program)
    np.testing.assert_array_equal(np.concatenate([tile.part for tile, _ in found]), np.bincount(x))
    assert max(tile.part.size for tile, _ in found) <= -(-1_000_003 // size)
    assert sum(nbytes for _, nbytes in found) <= 2.1 * x.nbytes + 2000 * size
