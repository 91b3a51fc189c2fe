"""Statistics, sorting, sets, products and numerical functions against NumPy."""

from __future__ import annotations

import numpy
import pytest
from api.compare import check

import cupynumeric

NAMES = {
    "x": lambda np: np.arange(24.0).reshape(4, 6)[:, ::-1] * 1.37 % 7,
    "y": lambda np: np.arange(24.0).reshape(6, 4) * 0.7 % 5,
    "i": lambda np: (np.arange(24, dtype="i4").reshape(4, 6) * 7 % 13 - 5)[::2],
    "j": lambda np: np.arange(24, dtype="i8").reshape(6, 4) * 5 % 11 - 5,
    "b": lambda np: np.arange(24).reshape(4, 6) % 3 == 0,
    "u": lambda np: np.arange(24, dtype="u1").reshape(4, 6) * 9,
    "h": lambda np: (np.arange(24.0).reshape(4, 6) / 8).astype("f2"),
    "c": lambda np: np.arange(24).reshape(4, 6) % 7 + 1j * np.arange(6),
    "n": lambda np: np.array([[1.0, np.nan, 3.0], [np.inf, -np.inf, -0.0], [2.0, 0.5, -1.0]]),
    "v": lambda np: np.array([3.0, 1.0, 2.0, 1.0]),
    "k": lambda np: np.array([2, 0, 1, 1, 5]),
    "z": lambda np: np.zeros((3, 0)),
    "s": lambda np: np.array(3.5),
    "t": lambda np: np.arange(60.0).reshape(3, 4, 5),
}


def run(source: str) -> None:
    check(source, exact=False, **NAMES)


CASES = """
np.sort(x)
np.sort(x, axis=0)
np.sort(x, axis=None)
np.sort(n)
np.sort(c)
np.sort(b, axis=0)
np.sort(h[:, ::-1])
np.sort(s)
np.sort(z)
np.sort(x, kind='stable')
np.sort(x, kind='bogus')
np.sort(x, stable=True)
np.sort(x, axis=5)
np.sort([3, 1, 2])
np.argsort(x, axis=0, kind='stable')
np.argsort(v, kind='stable')
np.argsort(x, axis=None, kind='stable')
np.argsort(n, axis=1)
np.partition(v, 2)[2]
np.partition(x, 2, axis=0)[2]
np.partition(x, 30)
np.sort(np.partition(x, (1, 2)))
np.argpartition(v, 1)[1] >= 0
np.lexsort((v, [1, 1, 0, 0]))
np.lexsort((k, k))
np.searchsorted([1., 2., 3.], v)
np.searchsorted(np.arange(5), [2, 3], side='right')
np.searchsorted(np.arange(5), 2)
np.searchsorted(np.arange(5), [2, 3], side='up')
np.searchsorted(v, 2, sorter=np.argsort(v))
np.searchsorted(x, 2)
np.unique(k)
np.unique(i, return_index=True, return_inverse=True, return_counts=True)
np.unique(i, axis=0)
np.unique(n, equal_nan=False)
np.unique_counts(k)
np.unique_values(k)
np.isin(i, [1, 2])
np.isin(v, v)
np.union1d(k, [7])
np.intersect1d(k, [1, 2])
np.setdiff1d(k, [1])
np.setxor1d(k, [1, 9])
np.bincount(k)
np.bincount(k, minlength=9)
np.bincount(k, weights=k * 0.5)
np.bincount([-1])
np.bincount([[1]])
np.bincount([1.5])
np.bincount([])
np.histogram(x)
np.histogram(x, bins=4, range=(0, 5))
np.histogram(i, bins=[-5, 0, 3])
np.histogram(x, weights=x, density=True)
np.histogram(x, bins=[3, 1])
np.histogram(n)
np.histogram2d(v, v, 2)
np.histogramdd(np.ones((3, 2)), 2)
np.histogram_bin_edges(x, 'auto')
np.digitize(v, [1.0, 2.0])
np.digitize(v, [1.0, 2.0], right=True)
np.digitize(v, [2.0, 1.0])
np.digitize(v, [2.0, 1.0, 3.0])
np.digitize(i, np.arange(3))
np.cov(x)
np.cov(x, rowvar=False)
np.cov(v)
np.cov(x, bias=True)
np.cov(v, v[::-1])
np.cov(c)
np.cov(x, ddof=0, aweights=[1, 2, 3, 4, 5, 6])
np.corrcoef(x)
np.corrcoef(v, v[::-1])
np.dot(x, y)
np.dot(x, y[:, 0])
np.dot(v, y.T)
np.dot(v, v)
np.dot(x, 2)
np.dot(3, 4)
np.dot(x, x)
np.dot(v, k)
np.dot(t, y.T[:, :5].T)
np.dot(t, t.transpose(0, 2, 1))
np.dot(i, j)
np.dot(i, y)
np.dot(b, b.T)
np.dot(u, u.T)
np.dot(c, c.T)
np.dot(h[0], h[1])
np.dot(z, z.T)
np.dot(z.T, z)
np.dot(x.T, x)
np.dot(x[:, ::2], y[::2])
out = np.zeros((4, 4)); np.dot(x, y, out=out); result = out
out = np.zeros((4, 4), 'f4'); np.dot(x, y, out=out); result = out.dtype
np.matmul(x, y)
np.matmul(t, t.transpose(0, 2, 1))
np.matmul(t, v)
np.matmul(v, t)
np.matmul(v, v)
np.matmul(x, 2)
np.matmul(x, x)
np.matmul(t, np.ones((2, 5, 1)))
np.matmul(i, j)
np.matmul(b, b.T)
np.matmul(u, u.T)
np.matmul(z, z.T)
x @ y
v @ v
x @ x
out = np.zeros((4, 4)); np.matmul(x, y, out=out); result = out
out = np.zeros((4, 5)); np.matmul(x, y, out=out); result = out
np.matmul(x, y, dtype='f4').dtype
np.vecdot(x, x)
np.vecdot(c, c)
np.vecdot(x, v)
np.matvec(x, y[:, 0])
np.matvec(t, np.ones((3, 5)))
np.vecmat(v, x)
np.vecmat(np.ones((3, 4)), t)
np.inner(x, x)
np.inner(v, v)
np.inner(x, 3)
np.inner(x, y)
np.inner(t, t)
np.outer(v, k)
np.outer(x, v)
np.vdot(c, c)
np.vdot(x, y)
np.tensordot(x, y, 1)
np.tensordot(t, t, 3)
np.tensordot(t, t, ([0, 2], [0, 2]))
np.tensordot(t, t, (1, 1))
np.tensordot(x, y, 2)
np.tensordot(x, y, ((0, 0), (1, 1)))
np.tensordot(v, k[:4], 0)
np.kron(v, k)
np.kron(x, y)
np.kron(x, v)
np.kron(2, x)
np.trace(x)
np.trace(x, 1)
np.trace(t, 0, 1, 2)
np.trace(i, dtype='f4')
np.trace(v)
np.einsum('ij,jk->ik', x, y)
np.einsum('ij,jk', x, y)
np.einsum('ij->ji', x)
np.einsum('ij->', x)
np.einsum('ii', x[:4, :4])
np.einsum('ii->i', x[:4, :4])
np.einsum('ij,ij->i', x, x)
np.einsum('i,j->ij', v, k)
np.einsum('i,i', v, v)
np.einsum('ijk,jk->i', t, t[0])
np.einsum('ijk,kl,lm->im', t, t[0].T, t[0])
np.einsum('...j,jk->...k', t, t[0].T)
np.einsum('ij,jk->ik', x, x)
np.einsum('ij,jk->il', x, y)
np.einsum('i,i->i', v, v, optimize=True)
np.einsum(x, [0, 1], y, [1, 2])
np.einsum('ij,jk->ik', i, j)
np.einsum('i->', h[0])
np.einsum('ij,j->i', b, b[0])
np.einsum('i,i->', k, k)
np.einsum('i, i ->', k, k)
np.einsum('ijk,jk->', t, t[0])
np.einsum('ijk,ilk->ijl', t, t)
np.einsum('ijk,lmk->ijlm', t, t)
np.einsum('i,j,k->kij', v, k, v)
np.einsum('ij,ij,ij->j', x, x, x)
np.einsum('ijk,ikl->jl', t, t.transpose(0, 2, 1))
np.einsum('ij,kl->', x, y)
np.einsum('iij->j', np.ones((3, 3, 2)) * [1, 2])
np.einsum('...ij,...jk', t, t.transpose(0, 2, 1))
np.einsum('...i->...', t)
np.einsum('i...,i...->i', t, t)
np.einsum('ij,ij->', b, b)
np.einsum('ij,jk->ik', b, b.T)
np.einsum('ij,jk->ik', h, h.T)
np.einsum('ij,kj->ik', c, c)
np.einsum('ij,j,jk,k->i', x, x[0], y, v)
np.einsum('', 3)
np.einsum('ij,jk->ii', x, y)
np.einsum('i,j->ij', v)
np.einsum('iij->j', t)
a = np.zeros((3, 3)); np.einsum('ii->i', a)[:] = 2; result = a
a = np.zeros((2, 3)); np.einsum('ij->ji', a)[0] = 2; result = a
np.einsum_path('ij,jk,kl->il', x, y, x)
np.diff(x)
np.diff(x, 2, 0)
np.diff(b)
np.diff(u)
np.diff(v, prepend=0)
np.diff(x, append=x[:, :1])
np.diff(s)
np.diff(x, -1)
np.diff(x, 0)
np.diff(v, 9)
np.ediff1d(v, to_end=5)
np.gradient(v)
np.gradient(x)
np.gradient(x, 2.0)
np.gradient(x, 2.0, 3.0)
np.gradient(x, axis=0)
np.gradient(x, axis=(0, 1), edge_order=2)
np.gradient(x, [0, 1, 3, 4], axis=0)
np.gradient(i)
np.gradient(v[:1])
np.gradient(x.astype('f4'), 0.5)
np.trapezoid(x)
np.trapezoid(x, axis=0, dx=0.5)
np.trapezoid(v, [0, 1, 3, 4])
np.trapezoid(x, np.arange(24.).reshape(4, 6))
np.cross(x[:, :3], x[:, 3:])
np.cross([1, 2, 3], [4, 5, 6])
np.cross(x[0, :3], x[:, 3:])
np.cross([1, 2], [3, 4, 5])
np.interp([0.5, 9, -1], [0, 1, 2], [3., 4., 5.])
np.interp(2.5, [1, 2, 3], [3, 2, 0])
np.interp(x, [0, 1, 2], [0, 1, 0], left=-1, right=-2)
np.convolve(v, k)
np.convolve(v, k, 'same')
np.convolve(v, k, 'valid')
np.convolve(v, 2)
np.convolve(v, [])
np.convolve(x, v)
np.convolve(v, k, 'bogus')
np.correlate(v, k, 'full')
np.correlate(c[0], c[1], 'same')
np.correlate(v, v)
np.unwrap(x * 3)
np.i0(v)
np.sinc(x)
np.sinc(0)
np.sinc(i)
np.polyfit([0, 1, 2], [1, 3, 7], 2)
np.polyval([1, 2, 3], x)
np.polyval([1, 2, 3], 5)
np.roots([1, -3, 2])
np.polyadd([1, 2], [3])
np.angle(c)
np.angle(c, deg=True)
np.angle(x - 2)
np.nan_to_num(n)
np.nan_to_num(n, nan=5, posinf=1, neginf=2)
np.nan_to_num(c)
np.nan_to_num(i)
np.nan_to_num(np.nan)
np.real_if_close(c)
np.real_if_close(c.real + 0j)
np.clip(x, 1, 5)
np.clip(x, None, 5)
np.clip(x, 1, None)
np.clip(x, None, None)
np.clip(i, 0, 300)
np.clip(u, -5, 10)
np.clip(u, 3, 1000)
np.clip(x, v[:, None], 5)
np.clip(i, 0.5, 2.5)
np.clip(n, 0, 1)
np.clip(x, min=1, max=2)
np.clip(x, 1)
np.clip(x)
np.clip(5, 1, 3)
out = np.zeros((4, 6)); np.clip(x, 1, 5, out=out); result = out
np.round(x, 1)
np.round(x)
np.round(x, -1)
np.round(i, -1)
np.round(i, 2)
np.round(c * 1.234, 1)
np.round(2.567, 1)
np.around(x, 2)
np.round(b)
np.round(h, 1)
np.fix(x - 3)
np.fix(i)
np.isclose(x, x + 1e-9)
np.isclose(n, n)
np.isclose(n, n, equal_nan=True)
np.isclose(i, 3)
np.isclose(1, 1 + 1e-9)
np.isclose(x, v)
np.isclose(c, c + 1e-9)
np.isclose([1, 2], [1, 2.1], rtol=0.1)
np.allclose(x, x)
np.allclose(n, n)
np.allclose(x, x + 1)
np.array_equal(x, x)
np.array_equal(x, y)
np.array_equal(n, n, equal_nan=True)
np.array_equal([1, 2], [1, 2])
np.array_equal(b, b, equal_nan=True)
np.array_equiv(x, x[:1])
np.array_equiv([1, 2], [[1, 2], [1, 2]])
np.isposinf(n)
np.isneginf(n)
np.isposinf(i)
np.isneginf(i)
np.isposinf(c)
np.isneginf(b)
np.isreal(c)
np.iscomplex(c)
np.isreal(x)
np.iscomplex(x)
np.iscomplexobj(c)
np.isrealobj(c)
np.isscalar(3), np.isscalar(s), np.isscalar(x)
np.real(c)
np.imag(c)
np.imag(x)
np.real(3)
np.median(x)
np.median(x, axis=0)
np.median(x, axis=(0, 1), keepdims=True)
np.median(i, axis=1)
np.median(n)
np.median(n, axis=1)
np.median(z)
np.median(s)
np.median(h)
np.median(c)
np.percentile(x, 30, axis=1, method='nearest')
np.percentile(x, [101])
np.quantile(i, 0.3, method='lower')
np.quantile(x, [0.2, 0.5], weights=np.ones((4, 6)), method='inverted_cdf')
""".strip().splitlines()


@pytest.mark.parametrize("source", CASES)
def test_function(source: str) -> None:
    run(source)


LINALG = """
np.linalg.norm(x)
np.linalg.norm(x, 'fro')
np.linalg.norm(x, 'nuc')
np.linalg.norm(x, 1)
np.linalg.norm(x, -np.inf, keepdims=True)
np.linalg.norm(x, 2)
np.linalg.norm(x, axis=0)
np.linalg.norm(x, 3, axis=1, keepdims=True)
np.linalg.norm(v, 0)
np.linalg.norm(v, np.inf)
np.linalg.norm(t)
np.linalg.norm(t, 1)
np.linalg.norm(t, axis=(0, 2))
np.linalg.norm(t, 1, axis=(0, 2))
np.linalg.norm(t, axis=(0, 1, 2))
np.linalg.norm(v, 'fro')
np.linalg.norm(x, 'bogus')
np.linalg.norm(x, 5)
np.linalg.norm(i)
np.linalg.norm(c)
np.linalg.norm(x.astype('f4'))
np.linalg.vector_norm(t)
np.linalg.vector_norm(t, axis=(0, 1), keepdims=True)
np.linalg.matrix_norm(t)
np.linalg.det(a)
np.linalg.slogdet(a)
np.linalg.inv(a)
np.linalg.inv(x)
np.linalg.inv(np.zeros((2, 2)))
np.linalg.inv(np.ones(3))
np.linalg.solve(a, v)
np.round(np.linalg.solve(a, a), 12)
np.linalg.solve(a, k)
np.linalg.solve(np.zeros((2, 2)), [1, 2])
np.linalg.cholesky(a @ a.T)
np.linalg.cholesky(-a @ a.T)
np.linalg.cholesky(a @ a.T, upper=True)
np.linalg.eigvalsh(a + a.T)
np.linalg.svd(a)[1]
np.linalg.svd(a, compute_uv=False)
np.linalg.svdvals(a)
np.linalg.pinv(x)
np.linalg.lstsq(x, v)[0]
np.linalg.matrix_rank(x)
np.linalg.cond(a)
np.linalg.matrix_power(a, 0)
np.linalg.matrix_power(a, 1)
np.linalg.matrix_power(a, 5)
np.linalg.matrix_power(a, -2)
np.linalg.matrix_power(a, 1.5)
np.linalg.matrix_power(x, 2)
np.linalg.matrix_power(np.arange(9).reshape(3, 3), 3)
np.linalg.multi_dot([x, y, x])
np.linalg.multi_dot([v, x, y, v])
np.linalg.multi_dot([x, y])
np.linalg.multi_dot([x])
np.linalg.multi_dot([x, t, x])
np.linalg.tensorinv(np.eye(4).reshape(2, 2, 2, 2))
np.linalg.tensorsolve(np.eye(4).reshape(2, 2, 2, 2), np.ones((2, 2)))
np.linalg.trace(t)
np.linalg.diagonal(t)
np.linalg.outer(v, v)
np.linalg.outer(x, v)
np.linalg.cross(x[:, :3], x[:, 3:])
np.linalg.cross(v, v)
np.linalg.vecdot(c, c)
np.linalg.vecdot(x, x, axis=0)
np.linalg.matmul(x, y)
np.linalg.tensordot(x, y, axes=1)
np.linalg.matrix_transpose(t)
np.linalg.matrix_transpose(v)
np.linalg.qr(a, mode='r').shape
np.linalg.eig(a)[0].shape
np.linalg.eigh(a + a.T).eigenvalues
np.linalg.inv(h[:4, :4])
""".strip().splitlines()


@pytest.mark.parametrize("source", LINALG)
def test_linalg(source: str) -> None:
    matrix = {"a": lambda np: np.eye(4) * 3 + np.arange(16.0).reshape(4, 4) % 5}
    check(source, exact=False, **NAMES | matrix)


def test_solvers_of_cupynumeric() -> None:
    np = cupynumeric
    rng = numpy.random.default_rng(0)
    m = rng.random((5, 5)) + 5 * numpy.eye(5)
    spd, b = m @ m.T, rng.random(5)
    close = numpy.testing.assert_allclose
    for lower in (False, True):
        close(np.linalg.cho_solve(np.linalg.cho_factor(spd, lower), b), numpy.linalg.solve(spd, b))
        t = numpy.tril(m) if lower else numpy.triu(m)
        close(np.linalg.solve_triangular(np.array(m), b, lower=lower), numpy.linalg.solve(t, b))
        close(np.linalg.solve_triangular(m, b, "T", lower=lower), numpy.linalg.solve(t.T, b))
    close(np.linalg.cholesky_solve(np.linalg.cholesky(spd), b), numpy.linalg.solve(spd, b))
    w, v = numpy.linalg.eigh(spd / 20)
    for method in ("pade", "taylor"):
        close(np.linalg.expm(spd / 20, method), v @ numpy.diag(numpy.exp(w)) @ v.T, rtol=1e-10)
    u, s, vh = np.linalg.tssvd(rng.random((50, 4)))
    assert (u.shape, s.shape, vh.shape) == ((50, 4), (4,), (4, 4))
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.solve_triangular(numpy.zeros((2, 2)), [1.0, 2.0])


@pytest.mark.parametrize(
    "name",
    [
        "fft",
        "ifft",
        "rfft",
        "irfft",
        "hfft",
        "ihfft",
        "fft2",
        "ifft2",
        "rfft2",
        "irfft2",
        "fftn",
        "ifftn",
        "rfftn",
        "irfftn",
    ],
)
def test_fft(name: str) -> None:
    for array in ("x", "x.T", "x.astype('f4')", "c", "i", "x.astype('f4')[::2, 1:]"):
        for args in ("", ", norm='ortho'", ", norm='forward'"):
            _close(f"np.fft.{name}({array}{args})")
    lengths = (
        [", 3", ", 9, 0", ", axis=0"]
        if name[-1] not in "2n"
        else [", (3, 5)", ", axes=(1, 0)", ", (2, 9), (0, 1)"]
    )
    for args in (*lengths, ", norm='bogus'"):
        _close(f"np.fft.{name}(x{args})")


def _close(source: str) -> None:
    from api.compare import outcome, same

    theirs, ours = (outcome(source, np, {k: f(np) for k, f in NAMES.items()}) for np in (numpy, cupynumeric))
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        same(theirs, ours)
        return
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, source
    scale = numpy.abs(theirs).max()
    numpy.testing.assert_allclose(
        ours, theirs, atol=scale * (1e-5 if theirs.dtype.char in "fF" else 1e-13), err_msg=source
    )


@pytest.mark.parametrize(
    "source",
    [
        "np.fft.fftfreq(8, 0.5)",
        "np.fft.rfftfreq(7)",
        "np.fft.fftshift(x)",
        "np.fft.ifftshift(x, 1)",
        "np.fft.fftshift(k, axes=(0,))",
        "np.fft.fft(z)",
        "np.fft.fft(v, 0)",
        "np.fft.fft(s)",
        "np.fft.rfft(c)",
        "np.fft.fft(x, axis=4)",
        "np.fft.fftn(x, (2,))",
    ],
)
def test_fft_arguments(source: str) -> None:
    run(source)


def test_large_transforms_use_every_thread_and_agree() -> None:
    x = numpy.random.default_rng(0).random((64, 500)).astype("f4")
    got = numpy.asarray(cupynumeric.fft.rfft(cupynumeric.array(x)))
    assert got.dtype == numpy.complex64
    numpy.testing.assert_allclose(got, numpy.fft.rfft(x), atol=1e-3)


def test_integer_products_are_exact() -> None:
    rng = numpy.random.default_rng(0)
    for high in (100, 2**20, 2**40):  # far inside, at the edge of, and beyond what float64 holds
        for dtype in ("i4", "i8", "u8", "i1"):
            a, b = (rng.integers(0, high, shape).astype(dtype) for shape in ((20, 30), (30, 10)))
            got = numpy.asarray(cupynumeric.matmul(cupynumeric.array(a), cupynumeric.array(b)))
            numpy.testing.assert_array_equal(got, a @ b)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "u4"])
@pytest.mark.parametrize(
    "options", [{"bins": 10}, {"bins": 7, "range": (3, 90)}, {"bins": 5, "density": True}]
)
def test_histogram_of_many_integers(dtype: str, options: dict[str, object]) -> None:
    data = (numpy.arange(300_000) * 7919 % 101).astype(dtype)
    expected, edges = numpy.histogram(data, **options)
    found, found_edges = cupynumeric.histogram(cupynumeric.array(data), **options)
    numpy.testing.assert_array_equal(found, expected)
    numpy.testing.assert_array_equal(found_edges, edges)
