"""x ** -0.5 and x ** -1.5, as series after an estimate or as quotients: how near the exact powers, and the ends of the range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from legate_jit.backends.llvm import kernel as llvm
from tests.backends.test_llvm_ops import compute, map_kernel

EXPONENTS = {"rsqrt": -0.5, "rsqrt3": -1.5}
FLOATS = (np.dtype("f4"), np.dtype("f8"))


@pytest.mark.parametrize("vector_bytes", [0, 16])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("op", EXPONENTS)
def test_accuracy(op: str, dtype: np.dtype, vector_bytes: int) -> None:
    random, info = np.random.default_rng(1), np.finfo(dtype)
    spans = [(1, 4), (1e-6, 1e6), (float(info.tiny) ** 0.6, float(info.max) ** 0.6)]
    x = np.concatenate([np.exp(random.uniform(math.log(a), math.log(b), 100000)) for a, b in spans])
    x = np.concatenate([x, 1 + np.arange(-50, 50) * info.eps, 4.0 ** np.arange(-20, 20)]).astype(dtype)
    found = compute(op, [x], dtype, vector_bytes)
    root = 1 / np.sqrt(x.astype(np.longdouble))
    exact = root if op == "rsqrt" else root * root * root
    ulps = np.abs(found - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert ulps.max() < 2.5
    powers = x == 4.0 ** np.round(np.log2(x) / 2)
    assert (found == exact)[powers].all() and powers.sum() >= 40


@pytest.mark.parametrize("vector_bytes", [0, 16])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("op", EXPONENTS)
def test_ends(op: str, dtype: np.dtype, vector_bytes: int) -> None:
    """Zeros, infinity, NaN, negative and subnormal numbers, results out of range."""
    info = np.finfo(dtype)
    values = [0.0, -0.0, math.inf, math.nan, -1.0, -info.max, -info.tiny, info.tiny, info.max, info.max / 3]
    values += [info.smallest_subnormal, info.tiny / 2, info.tiny / 8, info.tiny * 2, -info.smallest_subnormal]
    x = np.array(values, dtype)
    with np.errstate(all="ignore"):
        want = np.power(x, dtype.type(EXPONENTS[op]))
    np.testing.assert_allclose(compute(op, [x], dtype, vector_bytes), want, rtol=4 * info.eps, atol=0)


def test_spelling() -> None:
    """Roots and quotients only where there is no estimate good enough."""
    for op in EXPONENTS:
        kernel = map_kernel(op, [np.dtype("f8")], np.dtype("f8"))
        wide, narrow = (llvm.emit(kernel, "k", width, lambda name: False) for width in (64, 32))
        assert "rsqrt14" in wide and "fdiv" not in wide
        assert "rsqrt14" not in narrow and "fdiv" in narrow
