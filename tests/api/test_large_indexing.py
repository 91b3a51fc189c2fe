"""Indexed access of arrays so large that kernels of our own carry it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cupynumeric as cn

N = 1 << 18
R = np.random.default_rng(5)
X = R.random(N)
I = R.integers(-N, N, N)  # noqa: E741


def equal(got: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert isinstance(got, tuple) and len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            equal(g, e)
        return
    host = np.asarray(got)
    np.testing.assert_array_equal(host, expected)
    assert host.dtype == expected.dtype


@pytest.mark.parametrize("dtype", ["i4", "i8", "u4"])
def test_gather(dtype: str) -> None:
    i = np.abs(I).clip(0, N - 1).astype(dtype) if dtype[0] == "u" else I.astype(dtype)
    x, j = cn.asarray(X), cn.asarray(i)
    equal(x[j], X[i])
    equal((x + 1)[j], (X + 1)[i])
    equal(cn.take(x, j), np.take(X, i))
    rows = X.reshape(-1, 4)
    k = i % len(rows)
    equal(cn.asarray(rows)[cn.asarray(k)], rows[k])
    equal(cn.asarray(rows)[::2][cn.asarray(k // 2)], rows[::2][k // 2])
    equal(cn.asarray(rows.T.copy())[:, cn.asarray(k)], rows.T[:, k])


def test_gather_out_of_range() -> None:
    x = cn.asarray(X)
    for wrong in (N, -N - 1):
        i = I.copy()
        i[1000] = wrong
        for array in (x, x + 1, x[: N // 2]):
            with pytest.raises(IndexError, match="out of bounds for axis 0"):
                array[cn.asarray(i)]
        with pytest.raises(IndexError):
            x[cn.asarray(i)] = 1.0
        equal(x, X)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_scatter(dtype: str) -> None:
    i = (I % 1000).astype(dtype) if dtype == "i4" else I
    for values in (X, 3, X.astype("f4"), X[:1]):
        y, host = cn.zeros(N), np.zeros(N)
        y[cn.asarray(i)] = cn.asarray(values) if isinstance(values, np.ndarray) else values
        host[i] = values
        equal(y, host)
        before = y
        y = y.copy()
        cn.put(y, cn.asarray(i), values)
        equal(before, host)
        np.put(host, i, values)
        equal(y, host)
    y, host = cn.asarray(X), X.copy()
    y[cn.asarray(i)] = y
    host[i] = X
    equal(y, host)
    y[1::2][cn.asarray(i % (N // 2))] = 0.5
    host[1::2][i % (N // 2)] = 0.5
    equal(y, host)


def test_add_at() -> None:
    y, host = cn.zeros(100), np.zeros(100)
    cn.add.at(y, cn.asarray(I % 100), cn.asarray(X))
    np.add.at(host, I % 100, X)
    equal(y, host)


@pytest.mark.parametrize("shape", [(N,), (512, N // 512), (64, 8, N // 512)])
def test_nonzero(shape: tuple[int, ...]) -> None:
    x = np.where(X > 0.7, X, 0.0).reshape(shape)
    a = cn.asarray(x)
    equal(cn.nonzero(a), np.nonzero(x))
    equal(cn.where(a > 0.9), np.where(x > 0.9))
    equal(cn.flatnonzero(a), np.flatnonzero(x))
    equal(cn.argwhere(a), np.argwhere(x))
    equal(cn.nonzero(a.T), np.nonzero(x.T))
    equal(cn.nonzero(a * 0), np.nonzero(x * 0))


def test_compress() -> None:
    equal(cn.compress(cn.asarray(X > 0.5), cn.asarray(X)), np.compress(X > 0.5, X))
