"""Functions whose results depend on values, of arrays that lie in parts: the ranks compute them together, as NumPy would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.launch import job, succeeds
from ranks.test_sorting import DTYPES, SIZES, SPREADS, values, with_nan

import cupynumeric
from legate_jit import ranks

World = Callable[[int], None]


def in_parts(x: Any) -> bool:
    """Whether nobody has all of an array."""
    return isinstance(x._store.buffer, ranks.Dealt)


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


@pytest.mark.parametrize("count", [2, 4])
def test_under_mpiexec(count: int) -> None:
    program = """
        import numpy, cupynumeric
        from legate_jit import ranks

        def program(np):
            x = (np.arange(200_000.0) * 7919) % 100_003
            return np.sort(x), np.argsort(x, kind="stable"), *np.unique(x, return_index=True, return_counts=True)

        found = program(cupynumeric)
        assert isinstance(found[-1]._store.buffer, ranks.Dealt)
        for a, b in zip(found, program(numpy)):
            numpy.testing.assert_array_equal(numpy.asarray(a), b)
            assert a.dtype == b.dtype
        print("fine")
    """
    assert succeeds(program, count).split() == ["fine"] * count


def test_ranks_that_ask_for_different_things_are_told() -> None:
    ended = job(
        """
        import cupynumeric as np
        from legate_jit.world import world
        np.unique(np.arange(100_000.0), return_counts=world.rank == 1)
        """
    )
    assert ended.status and not ended.left
    (cause,) = ended.causes
    assert "do not run the same program" in cause and "counts=True" in cause
