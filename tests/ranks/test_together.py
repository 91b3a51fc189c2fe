"""Functions whose results depend on values, of arrays that lie in parts: the ranks compute them together, as NumPy would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.launch import job, succeeds
from ranks.test_sorting import DTYPES, SIZES, SPREADS, values, with_nan

import cupynumeric
from legate_jit import runtime
from legate_jit.ranks import windows

World = Callable[[int], None]


def in_parts(x: Any) -> bool:
    """Whether nobody has all of an array."""
    return isinstance(x._store.buffer, windows.Dealt)


def same(found: Any, expected: Any) -> None:
    """Equal arrays, or tuples of them, of the same types."""
    if isinstance(expected, tuple):
        for a, b in zip(found, expected, strict=True):
            same(a, b)
        return
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unique(dealt: World, size: int, dtype: str) -> None:
    dealt(size)
    for spread in ("any", "few", "equal"):
        for n in (size + 1, 60):
            x = SPREADS[spread](values(dtype, n))
            for y in (x, with_nan(x.copy())) if x.dtype.kind in "fc" else (x,):
                ours = cupynumeric.asarray(y) + cupynumeric.zeros(n, dtype)
                found = cupynumeric.unique(ours, True, True, True)
                assert size == 1 or len(found[0]) < 2 or in_parts(found[0])
                same(found, np.unique(y, True, True, True))


def test_unique_of_views_and_of_several_axes(dealt: World) -> None:
    dealt(3)
    x = np.arange(60).reshape(6, 10) * 7 % 11
    ours = cupynumeric.arange(60).reshape(6, 10) * 7 % 11
    same(
        cupynumeric.unique(ours[::-1, 2:5].T, return_inverse=True),
        np.unique(x[::-1, 2:5].T, return_inverse=True),
    )
    same(cupynumeric.unique(ours, axis=0), np.unique(x, axis=0))
    same(cupynumeric.unique(ours * np.nan, equal_nan=False), np.unique(x * np.nan, equal_nan=False))


def pair(np: Any, n: int, m: int, dtype: str) -> tuple[Any, Any]:
    """Two arrays with elements in common, several times."""
    x, y = (((np.arange(k) * by) % 1009 // 7).astype(dtype) for k, by in ((n, 7919), (m, 7907)))
    if dtype == "f8":
        x[::3] = np.nan
        y[::5] = np.nan
    return x, y


PAIRS = [(2, 2), (3, 9), (60, 8), (8, 60), (150, 200)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f8", "i4", "c8"])
def test_sets(dealt: World, size: int, dtype: str) -> None:
    dealt(size)

    def program(np: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return (
            np.union1d(x, y), np.intersect1d(x, y), np.setdiff1d(x, y), np.setxor1d(x, y), np.isin(x, y),
            np.isin(x.reshape(1, -1), y, invert=True), np.isin(x, y.real.astype("f4")), np.isin(x, [3, 5]),
        )  # fmt: skip

    for n, m in PAIRS:
        same(program(cupynumeric, *pair(cupynumeric, n, m, dtype)), program(np, *pair(np, n, m, dtype)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f8", "i4", "c8"])
def test_searching(dealt: World, size: int, dtype: str) -> None:
    dealt(size)

    def program(np: Any, x: Any, y: Any, side: Any) -> tuple[Any, ...]:
        table = np.sort(x)
        return (
            np.searchsorted(table, y, side), np.searchsorted(table, y.reshape(1, -1)[:, ::-1], side),
            np.searchsorted(table, table[:1], side), np.searchsorted(np.sort(y), x.astype("c16"), side),
        )  # fmt: skip

    for n, m in PAIRS:
        for side in ("left", "right"):
            ours = program(cupynumeric, *pair(cupynumeric, n, m, dtype), side)
            same(ours, program(np, *pair(np, n, m, dtype), side))
    assert not [p.notices for p in runtime._plans.values() if isinstance(p, windows.RanksPlan) and p.notices]


@pytest.mark.parametrize("size", [1, 3])
def test_other_spellings(dealt: World, size: int) -> None:
    dealt(size)
    ours, theirs = (np_.arange(60).reshape(6, 10) * 7 % 11 for np_ in (cupynumeric, np))
    for name in ("unique_all", "unique_counts", "unique_inverse"):
        found, expected = getattr(cupynumeric, name)(ours), getattr(np, name)(theirs)
        assert type(found) is type(expected)
        same(tuple(found), tuple(expected))
    same(cupynumeric.sort(cupynumeric.unique_values(ours)), np.sort(np.unique_values(theirs)))
    for x in (ours, theirs):
        x.sort()
        x[:, ::2].sort(axis=0)
        x[0].partition(3)
        x[0].sort()
    same(ours, theirs)
    ours.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ours.sort()


@pytest.mark.parametrize("size", SIZES)
def test_sorting_arrays_in_parts(dealt: World, size: int) -> None:
    dealt(size)

    def program(np: Any) -> tuple[Any, ...]:
        x = (np.arange(600.0) * 7919) % 1009
        rows, wide = x.reshape(2, 300), np.arange(150).reshape(3, 50)[:, ::-1] * 1.0
        return (
            np.sort(x), np.argsort(x[::-1], kind="stable"),
            np.sort(rows, axis=1), np.sort(rows, axis=0), np.sort(rows, axis=None),
            np.sort(wide) + 1, np.argsort(wide.T, axis=0, stable=True), np.sort(x[5:400:3]), np.sort(x)[10:20] * 2,
            np.sort(np.partition(x, 77)[:77]), np.partition(x, 77)[77], np.sort(x[np.argpartition(x, (5, 90))[6:90]]),
        )  # fmt: skip

    for _ in range(2):  # the second run finds its plans
        same(program(cupynumeric), program(np))
    assert not [p.notices for p in runtime._plans.values() if isinstance(p, windows.RanksPlan) and p.notices]


@pytest.mark.parametrize("count", [2, 4])
def test_under_mpiexec(count: int) -> None:
    program = """
        import numpy, cupynumeric
        from legate_jit.ranks import windows as ranks
        from legate_jit import runtime

        def program(np):
            x = (np.arange(200_000.0) * 7919) % 100_003
            i = x.astype(int) // 3
            s = np.sort(x)
            return (
                np.median(x), np.quantile(x, [0.1, 0.9]), *np.histogram(x, 9), np.bincount(i, x), np.bincount(i * 50),
                np.searchsorted(s, x), np.searchsorted(s, x[:9]), np.union1d(x, x * 2), np.isin(i, i[::7] * 2),
                np.lexsort((x, i % 5)), s, np.argsort(x, kind="stable"), *np.unique(i, True, True, True), np.unique(x),
            )

        found = program(cupynumeric)
        assert isinstance(found[-1]._store.buffer, ranks.Dealt)
        for a, b in zip(found, program(numpy)):
            numpy.testing.assert_allclose(numpy.asarray(a), b, 1e-12)
            assert a.dtype == b.dtype
        print("fine")
    """
    assert succeeds(program, count).split() == ["fine"] * count


def test_ranks_that_ask_for_different_things_are_told() -> None:
    ended = job(
        """
        import cupynumeric as np
        from legate_jit.process.world import world
        np.unique(np.arange(100_000.0), return_counts=world.rank == 1)
        """
    )
    assert ended.status and not ended.left
    (cause,) = ended.causes
    assert "do not run the same program" in cause and "counts=True" in cause
