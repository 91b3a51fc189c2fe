"""Results that are stored past the caches: every alignment of rows, dtype and number of results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import cupynumeric as cn
import legate
from legate_jit import runtime
from legate_jit.ir import nest


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even small results and short rows are streamed."""
    monkeypatch.setattr(nest, "STREAM_BYTES", 0)
    monkeypatch.setattr(nest, "STREAM_ROW", 0)
    legate.fence()
    runtime._plans.clear()
    yield
    legate.fence()
    runtime._plans.clear()


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("columns", [40, 61, 515])
@pytest.mark.parametrize("first", [0, 1, 7])
def test_regions(dtype: str, columns: int, first: int) -> None:
    x = np.random.default_rng(4).integers(-50, 50, (300, columns)).astype(dtype)
    y = x[::-1].copy()
    y[1:-1, first:-3] = x[1:-1, first:-3] + x[:-2, 3 : columns - first]
    ours = cn.array(x)
    mine = ours[::-1].copy()
    mine[1:-1, first:-3] = ours[1:-1, first:-3] + ours[:-2, 3 : columns - first]
    assert np.array_equal(np.asarray(mine), y)


@pytest.mark.parametrize("n", [20000, 20011])
def test_several_results(n: int) -> None:
    x = np.random.default_rng(4).random(n)
    ours = cn.array(x)
    a, b, c = ours * 2, ours.astype(np.float32), ours > 0.5
    assert np.array_equal(np.asarray(a), x * 2)
    assert np.array_equal(np.asarray(b), x.astype(np.float32))
    assert np.array_equal(np.asarray(c), x > 0.5)


def test_in_place() -> None:
    x = np.random.default_rng(4).random(50001)
    ours = cn.array(x)
    ours *= 3.0
    ours += 1.0
    assert np.array_equal(np.asarray(ours), x * 3.0 + 1.0)
