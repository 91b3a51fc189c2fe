"""Matrix products with threads over stacks instead of within members."""

from __future__ import annotations

import numpy as np
import pytest

from legate_jit.backends.calls import blas
from legate_jit.backends.pool import threads

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((200, 300), (300, 100)),
        ((40, 100, 120), (40, 120, 90)),
        ((40, 100, 120), (120, 90)),
        ((100, 120), (40, 120, 90)),
        ((2, 40, 30, 50), (40, 50, 60)),
        ((1, 100, 120), (40, 120, 90)),
        ((5, 0, 3), (5, 3, 2)),
        ((5, 2, 0), (5, 0, 2)),
        ((0, 2, 2), (0, 2, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], dtype: str) -> None:
    a, b = rng.random(left).astype(dtype), rng.random(right).astype(dtype)
    want = np.matmul(a, b)
    before = threads.get_threads()
    for count in (1, 3):
        threads.set_threads(count)
        out = np.full_like(want, np.nan)
        blas.matmul(a, b, out)
        np.testing.assert_allclose(out, want, rtol=1e-4 if dtype == "f4" else 1e-12)
    threads.set_threads(before)


def test_transposed_views() -> None:
    a, b = rng.random((120, 40, 100)).transpose(1, 2, 0), rng.random((40, 90, 120)).swapaxes(1, 2)
    out = np.empty((40, 100, 90))
    blas.matmul(a, b, out)
    np.testing.assert_allclose(out, a @ b)


def test_the_number_of_threads_is_restored() -> None:
    found = blas._controls()
    if found is None:
        pytest.skip("NumPy's BLAS is not an OpenBLAS")
    getter, _ = found
    before = getter()
    with blas.threads_for(0):
        assert getter() == 1
    assert getter() == before
    with pytest.raises(ZeroDivisionError), blas.threads_for(0):
        raise ZeroDivisionError
    assert getter() == before
