"""Irregular kernels against NumPy, on arrays large enough that they take part."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import numpy as np
import pytest

import cupynumeric
from legate_jit.backends.calls import indexed, irregular, merging, sliding
from legate_jit.backends.pool import threads

N = 300_001
equal = np.testing.assert_array_equal


@pytest.fixture(params=[1, 2, 3])
def pool(request: pytest.FixtureRequest) -> object:
    before = threads.get_threads()
    threads.set_threads(request.param)
    yield
    threads.set_threads(before)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8"])
def test_count(dtype: str, pool: object) -> None:
    x = rng().integers(0, 100, N).astype(dtype)
    equal(irregular.count(x, 0), np.bincount(x))
    equal(irregular.count(x, 500), np.bincount(x, minlength=500))


def test_count_of_rare_large_and_negative_values() -> None:
    x = rng().integers(0, 100, N)
    x[12345] = 900
    equal(irregular.count(x, 0), np.bincount(x))
    x[12346] = 1 << 40
    assert irregular.count(x, 0) is None
    x[12346] = -1
    assert irregular.count(x, 0) is None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bins", [1, 10, 333])
def test_histogram(dtype: str, bins: int) -> None:
    x = rng().normal(size=N).astype(dtype)
    x[:bins] = np.histogram(x, bins)[1][:-1]  # elements that lie on edges
    for limits in (None, (-1, 1)):
        counts, edges = np.histogram(x, bins, limits)
        equal(irregular.histogram(x, edges), counts)


@pytest.mark.parametrize("dtype", ["b1", "i1", "u1", "i4", "u8", "f4", "f8"])
def test_extent(dtype: str) -> None:
    x = (rng().normal(size=N) * 50).astype("?" if dtype == "b1" else dtype)
    got = irregular.extent(x)
    assert got is None or got == (x.min(), x.max())
    if dtype[0] == "f":
        x[777] = np.nan
        assert np.isnan(irregular.extent(x)).all()


@pytest.mark.parametrize("dtype", ["u1", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_search(dtype: str, side: str, pool: object) -> None:
    table = np.sort((rng().normal(size=1000) * 40).astype(dtype))
    needles = (rng().normal(size=N) * 50).astype(dtype)
    if dtype[0] == "f":
        table[-5:] = np.nan
        needles[:3] = np.nan, np.inf, -np.inf
        needles[3:900] = table[:897]
    out = np.empty(N, np.int64)
    for t in (table, table[:1], table[::2]):
        assert irregular.search(t, needles, side, out)
        equal(out, np.searchsorted(t, needles, side))


@pytest.mark.parametrize("dtype", ["i4", "i8", "f4", "f8"])
def test_running_sum(dtype: str, pool: object) -> None:
    n = (1 << 20) + 12345
    x = (rng().random(n) * 100).astype(dtype)
    out = np.empty(n, dtype)
    assert irregular.running_sum(x, out)
    exact = np.cumsum(x.astype("f8" if dtype[0] == "f" else dtype), dtype="f8" if dtype[0] == "f" else dtype)
    np.testing.assert_allclose(out, exact, rtol=1e-5 if dtype == "f4" else 1e-12 if dtype == "f8" else 0)


def test_running_sums_do_not_depend_on_threads() -> None:
    x = rng().random(N)
    outs = []
    before = threads.get_threads()
    for k in (1, 2, 3):
        threads.set_threads(k)
        outs.append(np.empty(N))
        irregular.running_sum(x, outs[-1])
    threads.set_threads(before)
    equal(outs[0], outs[1])
    equal(outs[0], outs[2])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_compress(share: float, pool: object) -> None:
    mask = rng().random(N) < share
    for dtype in ("i1", "f4", "f8", "u2"):
        x = (rng().random(N) * 100).astype(dtype)
        equal(irregular.compress(x, mask), x[mask])
    equal(irregular.positions(mask), np.flatnonzero(mask))


@pytest.mark.parametrize("index", ["i4", "i8"])
def test_gather(index: str, pool: object) -> None:
    n = 2_000_000
    i = rng().integers(-n, n, N).astype(index)
    for dtype in ("i1", "u2", "f4", "f8", "c16"):
        x = (rng().random(n) * 100).astype(dtype)
        out = np.empty(N, dtype)
        assert indexed.gather(x, i, out)
        equal(out, x[i])
    rows = rng().random((1000, 3))
    k = rng().integers(-1000, 1000, N).astype(index)
    out = np.empty((N, 3))
    assert indexed.gather(rows, k, out)
    equal(out, rows[k])
    for wrong in (1000, -1001):
        k[N // 2] = wrong
        assert indexed.gather(rows, k, out) is False


@pytest.mark.parametrize("n", [1000, 3_000_000])
@pytest.mark.parametrize("index", ["i4", "i8"])
def test_scatter(index: str, n: int, pool: object) -> None:
    i = rng().integers(-n, n, N).astype(index)
    for dtype in ("i1", "f4", "f8"):
        y = np.zeros(n, dtype)
        expected = y.copy()
        values = (rng().random(N) * 100).astype(dtype)
        expected[i] = values
        assert indexed.scatter(y, i, values)
        equal(y, expected)
        assert indexed.scatter(y, i, values[:1])
        expected[i] = values[0]
        equal(y, expected)
    assert not indexed.scatter(y[::2], i, values)


#: indices that end where memory does: what looks ahead must not look past them
_AT_THE_EDGE = """
import ctypes, mmap
import numpy as np
from legate_jit.backends.calls import indexed

N, page = 1 << 18, mmap.PAGESIZE
memory = mmap.mmap(-1, 8 * N + page)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(start + 8 * N), ctypes.c_size_t(page), 0) == 0
indices = np.frombuffer(memory, np.int64, N)
indices[:] = np.arange(N) * 7 % N
x, out = np.random.default_rng(0).random(2_000_000), np.empty(N)
assert indexed.gather(x, indices, out) and (out == x[:N][indices]).all()
assert indexed.scatter(x, indices, out) and (x[:N][indices] == out).all()
print("whole")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages without access are made by mprotect")
def test_nothing_behind_the_indices_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", _AT_THE_EDGE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr


def test_coordinates(pool: object) -> None:
    shape = (70, 300, 13)
    mask = rng().random(shape) < 0.4
    flat = np.flatnonzero(mask)
    for axis, expected in enumerate(np.nonzero(mask)):
        out = np.empty_like(flat)
        assert indexed.coordinates(flat, shape, axis, out)
        equal(out, expected)


@pytest.mark.parametrize("dtype", ["u1", "i4", "u8", "f4", "f8"])
def test_merge_sort(dtype: str, pool: object) -> None:
    x = (rng().normal(size=N) * 1e4).astype("i8").astype(dtype)
    if dtype[0] == "f":
        x[::1000] = np.nan
        x[1::1000] = np.inf
    for given in (x, np.sort(x), np.sort(x)[::-1].copy(), np.zeros_like(x)):
        out = np.empty_like(given)
        took = merging.merge_sort(given, out)
        assert took == (threads.get_threads() > 1)
        if took:
            equal(out, np.sort(given))


def test_the_face_uses_them() -> None:
    x, i = rng().random(N), rng().integers(0, 50, N)
    a, b = cupynumeric.array(x), cupynumeric.array(i)
    equal(cupynumeric.bincount(b), np.bincount(i))
    for density in (False, True):
        for got, want in zip(
            cupynumeric.histogram(a, 20, density=density), np.histogram(x, 20, density=density), strict=True
        ):
            equal(got, want)
    equal(cupynumeric.histogram(a, 20, (0.2, 2.0))[0], np.histogram(x, 20, (0.2, 2.0))[0])
    equal(cupynumeric.sort(a), np.sort(x))
    np.testing.assert_allclose(cupynumeric.cumsum(a), np.cumsum(x))
    equal(cupynumeric.searchsorted(cupynumeric.arange(5) / 5, a), np.searchsorted(np.arange(5) / 5, x))
    for got, want in zip(
        cupynumeric.unique(b, return_inverse=True, return_counts=True),
        np.unique(i, return_inverse=True, return_counts=True),
        strict=True,
    ):
        equal(got, want)
    with pytest.raises(ValueError, match="not finite"):
        cupynumeric.histogram(cupynumeric.where(a > 0.5, np.nan, a))


def test_indexing_uses_them() -> None:
    x, i, m = rng().random(N), rng().integers(-N, N, N), rng().random(N) < 0.3
    a = cupynumeric.array(x)
    equal(a[cupynumeric.array(m)], x[m])
    equal(a[cupynumeric.array(i)], x[i])
    equal((a * 2)[a > 0.5], (x * 2)[x > 0.5])
    b, y = cupynumeric.zeros(600_000), np.zeros(600_000)
    b[cupynumeric.array(i)] = a
    y[i] = x
    equal(b, y)
    with pytest.raises(IndexError, match=f"index {N} is out of bounds for axis 0 with size {N}"):
        a[np.full(N, N)]
    with pytest.raises(IndexError):
        b[np.full(N, 600_000)] = 1.0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("taps", [1, 2, 4, 5, 30])
def test_convolve(dtype: str, mode: Literal["full", "same", "valid"], taps: int, pool: object) -> None:
    x, v = rng().normal(size=N).astype(dtype), rng().normal(size=taps).astype(dtype)
    for a, b in ((x, v), (v, x)):
        expected = np.convolve(a, b, mode)
        out = np.empty_like(expected)
        assert sliding.convolve(a, b, mode, out)
        np.testing.assert_allclose(
            out, expected, rtol=1e-4 if dtype == "f4" else 1e-9, atol=1e-4 if dtype == "f4" else 1e-12
        )
    assert not sliding.convolve(x[:1000], v, mode, out)


@pytest.mark.parametrize("dtype", ["i4", "i8", "u1"])
def test_weighted_count(dtype: str, pool: object) -> None:
    x = rng().integers(0, 200, N).astype(dtype)
    for weights in (rng().random(N), np.ones(N, "f4"), np.zeros(N), x):
        counted = irregular.count(x, 3, weights)
        assert counted is not None
        np.testing.assert_allclose(counted, np.bincount(x, weights, 3), rtol=1e-10)
        assert counted.dtype == np.float64
    assert irregular.count(x, 0, np.ones(N, "c16")) is None
    assert irregular.count(-x.astype("i8") - 1, 0, np.ones(N)) is None


@pytest.mark.parametrize("dtype", ["u1", "i4", "u8", "f4", "f8"])
def test_merge_argsort(dtype: str, pool: object) -> None:
    x = (rng().normal(size=N) * 1e4).astype("i8").astype(dtype)
    for given in (x, np.sort(x), np.sort(x)[::-1].copy(), np.zeros_like(x)):
        out = np.empty(N, np.int64)
        took = merging.merge_argsort(given, out, None)
        assert took == (threads.get_threads() > 1)
        if took:
            equal(given[out], np.sort(given))
            equal(np.bincount(out), 1)
            assert merging.merge_argsort(given, out, "stable")
            equal(out, np.argsort(given, kind="stable"))
    if dtype[0] == "f":
        x[5] = np.nan
        assert not merging.merge_argsort(x, out, None)
