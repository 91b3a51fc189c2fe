"""Linear algebra of matrices that are dealt out: backward errors of a few units in the last place, NumPy's types and errors, and
no rank with all of a matrix."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from ranks.launch import succeeds

import cupynumeric as np
import legate
from cupynumeric import _factored
from legate_jit.ranks import windows

SIZES = [2, 3, 7]
DTYPES = ["f4", "f8", "c16"]
Dealt = Callable[[int], None]


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even small matrices are factored by blocks of columns."""
    monkeypatch.setattr(_factored, "LEAST", 2)


def values(dtype: str, *shape: int) -> onp.ndarray:
    r = onp.random.default_rng(sum(shape))
    x = r.standard_normal(shape) + (1j * r.standard_normal(shape) if dtype[0] == "c" else 0)
    return x.astype(dtype)


def ours(x: onp.ndarray) -> Any:
    """An array that lies in parts."""
    a = np.array(x) * 1
    legate.fence()
    assert isinstance(a._store.buffer, windows.Dealt)
    return a


def in_parts(x: Any) -> bool:
    legate.fence()
    return isinstance(x._store.buffer, windows.Dealt) and not x._store.buffer.layout.is_replicated


def near(found: Any, expected: Any, dtype: str, times: float = 1e3) -> None:
    """Within so many units in the last place of the largest element; of NumPy's type and shape."""
    found, expected = onp.asarray(found), onp.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    scale = abs(expected).max(initial=0)
    onp.testing.assert_allclose(found, expected, rtol=0, atol=times * onp.finfo(dtype).eps * scale)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_systems(dealt: Dealt, size: int, dtype: str) -> None:
    dealt(size)
    a, b = values(dtype, 31, 31), values(dtype, 31, 5)
    x, y = ours(a), ours(b)
    for rhs, theirs in ((y, b), (y[:, 0], b[:, 0]), (y[:, 1:], b[:, 1:])):
        near(a @ onp.asarray(np.linalg.solve(x, rhs)), theirs, dtype)
    assert in_parts(np.linalg.solve(x, y))
    inverse = np.linalg.inv(x.T)
    assert in_parts(inverse)
    near(a.T @ onp.asarray(inverse), onp.eye(31, dtype=dtype), dtype)
    near(np.linalg.det(x), onp.linalg.det(a), dtype)
    for found, expected in zip(np.linalg.slogdet(x), onp.linalg.slogdet(a), strict=True):
        near(found, expected, dtype)
    assert np.linalg.slogdet(x).logabsdet.ndim == 0
    whole = (a.real * 10).astype("i8")
    near(np.linalg.solve(ours(whole), y), onp.linalg.solve(whole, b), dtype if dtype[0] == "c" else "f8", 1e6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upper", [False, True])
def test_positive_definite(dealt: Dealt, size: int, dtype: str, upper: bool) -> None:
    dealt(size)
    z, b = values(dtype, 31, 31), values(dtype, 31, 5)
    a = z @ z.conj().T + 31 * onp.eye(31, dtype=dtype)
    x, y = ours(a), ours(b)
    factor = np.linalg.cholesky(x, upper=upper)
    assert in_parts(factor)
    near(factor, onp.linalg.cholesky(a, upper=upper), dtype)
    near(a @ onp.asarray(np.linalg.cho_solve(np.linalg.cho_factor(x, not upper), y)), b, dtype)
    for trans in "NTC":
        for unit in (False, True):
            triangle = onp.triu(a) if upper else onp.tril(a)
            if unit:
                triangle[range(31), range(31)] = 1
                triangle = (triangle / 100 + onp.eye(31) * 0.99).astype(dtype)
            whole = triangle if trans == "N" else triangle.T if trans == "T" else triangle.conj().T
            found = np.linalg.solve_triangular(ours(triangle.astype(dtype)), y, trans, not upper, unit)
            assert in_parts(found)
            near(whole @ onp.asarray(found), b.astype(dtype), dtype, 1e4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(30, 30), (200, 7), (45, 21), (20, 33)])
@pytest.mark.parametrize("mode", ["reduced", "complete", "r"])
def test_qr(dealt: Dealt, size: int, dtype: str, shape: tuple[int, int], mode: str) -> None:
    """R may differ from LAPACK's by the signs of its rows, where it comes from a tree."""
    dealt(size)
    a = values(dtype, *shape)
    found = np.linalg.qr(ours(a), mode)
    expected = onp.linalg.qr(a, mode)
    r = onp.asarray(found if mode == "r" else found.R)
    near(abs(r), abs(expected if mode == "r" else expected[1]), dtype)
    if mode != "r":
        assert in_parts(found.Q)
        q = onp.asarray(found.Q)
        near(q @ r, a, dtype)
        near(q.conj().T @ q, onp.eye(q.shape[1], dtype=dtype), dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tall(dealt: Dealt, size: int, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    dealt(size)
    a, b = values(dtype, 200, 6), values(dtype, 200, 3)
    x, y = ours(a), ours(b)
    for given, theirs in ((x, a), (x.T, a.T)):
        u, s, vh = np.linalg.svd(given, full_matrices=False)
        near(s, onp.linalg.svd(theirs, full_matrices=False)[1], dtype)
        near((onp.asarray(u) * onp.asarray(s)) @ onp.asarray(vh), theirs, dtype)
        near(np.linalg.svdvals(given), onp.linalg.svdvals(theirs), dtype)
        for order in (2, -2, "nuc"):
            near(np.linalg.norm(given, order), onp.linalg.norm(theirs, order), dtype)
        near(np.linalg.cond(given), onp.linalg.cond(theirs), dtype)
        for options in ({}, {"rtol": None}, {"rcond": 0.8}):
            inverse = np.linalg.pinv(given, **options)
            assert in_parts(inverse)
            near(inverse, onp.linalg.pinv(theirs, **options), dtype)
    near(np.linalg.tssvd(x)[1], onp.linalg.svdvals(a), dtype)
    weak = a.copy()
    weak[:, 5] = weak[:, 0] * 2  # of rank 5
    assert int(np.linalg.matrix_rank(x)) == int(np.linalg.matrix_rank(x, rtol=1e-3)) == 6
    assert int(np.linalg.matrix_rank(ours(weak))) == 5 and int(np.linalg.matrix_rank(x, 1e6)) == 0
    for system, theirs in ((x, a), (ours(weak), weak)):
        for rhs, right in ((y, b), (y[:, 0], b[:, 0])):
            expected = onp.linalg.lstsq(theirs, right, 1e-4)
            found = np.linalg.lstsq(system, rhs, 1e-4)
            assert int(found[2]) == expected[2]
            for k in (0, 1):
                near(found[k], expected[k], dtype)
            near(found[3][:5], expected[3][:5], dtype)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("size", SIZES)
def test_stacks(dealt: Dealt, size: int) -> None:
    """Every rank takes some of the matrices."""
    dealt(size)
    a, b = values("f8", 9, 5, 5), values("f8", 9, 5, 2)
    a = a + a.swapaxes(1, 2)
    x, y = ours(a), ours(b)
    w, v = np.linalg.eigh(x)
    assert in_parts(w) and in_parts(v)
    near(onp.asarray(v) * onp.asarray(w)[:, None] @ onp.asarray(v).swapaxes(1, 2), a, "f8")
    near(np.linalg.solve(x, y), onp.linalg.solve(a, b), "f8", 1e5)
    near(np.linalg.inv(x), onp.linalg.inv(a), "f8", 1e5)
    near(np.linalg.det(x), onp.linalg.det(a), "f8", 1e5)
    near(np.linalg.svd(x).S, onp.linalg.svd(a).S, "f8")
    near(np.linalg.eigvalsh(x, "U"), onp.linalg.eigvalsh(a, "U"), "f8")
    near(np.linalg.qr(x).R, onp.linalg.qr(a).R, "f8")
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        np.linalg.cholesky(x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["pade", "taylor"])
@pytest.mark.parametrize("shape", [(20, 20), (5, 4, 4)])
def test_exponential(dealt: Dealt, size: int, method: str, shape: tuple[int, ...]) -> None:
    """By products and solutions over ranks: as of an array that is whole."""
    a = values("f8", *shape)
    expected = onp.asarray(np.linalg.expm(a, method))
    dealt(size)
    found = np.linalg.expm(ours(a), method)
    assert in_parts(found)
    near(found, expected, "f8", 1e5)
    near(np.linalg.expm(ours(a) * onp.inf, method), onp.full(shape, onp.nan), "f8")


@pytest.mark.parametrize("size", SIZES)
def test_errors(dealt: Dealt, size: int) -> None:
    dealt(size)
    ones, b = ours(onp.ones((20, 20))), ours(onp.ones((20, 2)))
    for attempt in (lambda: np.linalg.solve(ones, b), lambda: np.linalg.inv(ones)):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            attempt()
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.solve_triangular(ones - 1, b)
    with pytest.raises(ValueError, match="infs or NaNs"):
        np.linalg.solve_triangular(ones * onp.nan, b)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        np.linalg.cholesky(ones * onp.nan)
    assert onp.asarray(np.linalg.det(ones)) == 0
    assert [onp.asarray(x) for x in np.linalg.slogdet(ones)] == [0, -onp.inf]
    assert onp.asarray(np.linalg.cond(ours(onp.zeros((30, 2))))) == onp.inf
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        np.linalg.inv(ones[1:])
    with pytest.raises(TypeError, match="float16"):
        np.linalg.inv(ones.astype("f2"))
    with pytest.raises(ValueError, match="mismatch"):
        np.linalg.solve(ones, b[1:])


def test_what_is_gathered_is_told(dealt: Dealt, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(windows, "_told", set())
    dealt(3)
    x = ours(onp.eye(20))
    near(np.linalg.eigvalsh(x), onp.ones(20), "f8")
    near(np.linalg.eigvalsh(x), onp.ones(20), "f8")
    assert (
        capsys.readouterr().err
        == f"[legate-jit] eigvalsh runs whole on every rank: {2 * 400 * 8} bytes gathered\n"
    )


def test_small_matrices_are_gathered(
    dealt: Dealt, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silently: it is the faster way. Tall ones are not: only triangles travel."""
    monkeypatch.setattr(_factored, "LEAST", 401)
    dealt(3)
    x = ours(onp.eye(20))
    assert not in_parts(np.linalg.inv(x)) and not in_parts(np.linalg.cholesky(x))
    near(np.linalg.det(x), 1.0, "f8")
    assert in_parts(np.linalg.qr(ours(values("f8", 90, 4))).Q)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["cholesky", "solve", "inv", "qr", "svd", "det"])
def test_nobody_has_all(dealt: Dealt, name: str) -> None:
    """Sixteen ranks together take less memory than five times a matrix (twelve with a second one, with temporaries and messages
    under way), where all of it on each would be sixteen times, and as much again to work on."""
    dealt(16)
    n = 384
    x = ours(onp.eye(n) * 4 + onp.ones((n, n)) / n) if name != "svd" else ours(values("f8", n * 12, 12))
    arguments = (x, x[:, :1]) if name == "solve" else (x,)
    options = {"full_matrices": False} if name == "svd" else {}
    nbytes = 8 * x.size
    legate.fence()
    tracemalloc.start()
    try:
        kept = getattr(np.linalg, name)(*arguments, **options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept is not None
    assert peak < (12 if name in ("inv", "qr") else 5) * nbytes


def test_real_ranks() -> None:
    program = """
        import numpy as onp
        import cupynumeric as np
        from cupynumeric import _factored

        _factored.LEAST = 2

        n = 240
        r = onp.random.default_rng(1)
        a, b = r.standard_normal((n, n)), r.standard_normal((n, 3))
        x, y = np.array(a) * 1, np.array(b) * 1
        assert abs(a @ onp.asarray(np.linalg.solve(x, y)) - b).max() < 1e-9
        s = x @ x.T + n * np.eye(n)
        l = np.linalg.cholesky(s)
        assert abs(onp.asarray(l @ l.T - s)).max() < 1e-9
        q, r = np.linalg.qr(x)
        assert abs(onp.asarray(q @ r - x)).max() < 1e-9
        t = np.array(onp.vander(onp.arange(10000.0) / 1e4, 4)) * 1
        assert abs(onp.asarray(np.linalg.lstsq(t, t @ np.arange(4.0))[0]) - onp.arange(4)).max() < 1e-9
        for bad, error in ((x * 0, "Singular"), (x - x + 1, "Singular")):
            try:
                np.linalg.inv(bad)
            except np.linalg.LinAlgError as e:
                assert error in str(e)
            else:
                raise AssertionError
        f = np.fft.ifft2(np.fft.fft2(x))
        assert abs(onp.asarray(f) - a).max() < 1e-9
        print("fine")
    """
    assert succeeds(program, 2).split() == ["fine"] * 2
