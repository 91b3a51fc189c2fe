"""Linear algebra: everything of `numpy.linalg`, and the solvers cuPyNumeric adds to it.

Factorizations run at once through LAPACK, because they fail on values; products and most norms are recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from cupynumeric import (
    _composed,
    _elementwise,
    _factored,
    _fallback,
    _matrices,
    _products,
    _prompt,
    _reduce,
    _reductions,
    _replay,
    _ufunc,
)
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import cast, deliver, hosted, lift, lift_all, on_host, wrapped
from cupynumeric._convert import host_view
from legate_jit import runtime
from legate_jit.ir import dtypes
from legate_jit.ir.ops import OPS

__getattr__ = _fallback.completed(__name__, "numpy.linalg")

__all__ = [
    "LinAlgError",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "expm",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "tssvd",
    "vecdot",
    "vector_norm",
]

_each = _factored.each
cholesky = _factored.over_ranks(np.linalg.cholesky, _factored.cholesky)
cond = _factored.over_ranks(np.linalg.cond, _factored.cond)
det = _factored.over_ranks(np.linalg.det, _factored.det)
eig = _factored.over_ranks(np.linalg.eig, _each("eig"))
eigh = _factored.over_ranks(np.linalg.eigh, _each("eigh", "UPLO"))
eigvals = _factored.over_ranks(np.linalg.eigvals, _each("eigvals"))
eigvalsh = _factored.over_ranks(np.linalg.eigvalsh, _each("eigvalsh", "UPLO"))
inv = _factored.over_ranks(np.linalg.inv, _factored.inverse)
lstsq = _factored.over_ranks(np.linalg.lstsq, _factored.lstsq)
matrix_rank = _factored.over_ranks(np.linalg.matrix_rank, _factored.matrix_rank)
pinv = _factored.over_ranks(np.linalg.pinv, _factored.pinv)
qr = _factored.over_ranks(np.linalg.qr, _factored.qr)
slogdet = _factored.over_ranks(np.linalg.slogdet, _factored.slogdet)
svd = _factored.over_ranks(np.linalg.svd, _factored.svd)
svdvals = _factored.over_ranks(np.linalg.svdvals, _factored.svdvals)
tensorinv = _composed.over_parts(hosted(np.linalg.tensorinv), _composed.tensorinv)
tensorsolve = _composed.over_parts(hosted(np.linalg.tensorsolve), _composed.tensorsolve)
_solve = _factored.over_ranks(np.linalg.solve, _factored.solve)


def solve(a: Any, b: Any, out: Any = None) -> Any:
    """The x of a @ x = b, for stacks of square matrices; LinAlgError when one is singular."""
    return deliver(_solve(lift(a), lift(b)), out)


# ---- products ----------------------------------------------------------------------------------------------------


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product of stacks of matrices."""
    return _products.generalized(np.matmul, (x1, x2), {})


def outer(x1: Any, x2: Any, /) -> Any:
    """All products of elements of two 1-d arrays."""
    pair = lift_all(x1, x2)
    if pair is not None and not pair[0].ndim == pair[1].ndim == 1:
        raise ValueError(
            "Input arrays must be one-dimensional, but they are "
            f"x1.ndim={pair[0].ndim} and x2.ndim={pair[1].ndim}."
        )
    return _products.outer(x1, x2)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Sum of products over given axes."""
    return _products.tensordot(x1, x2, axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Sum of conj(x1) * x2 along an axis."""
    if axis == -1:
        return _products.generalized(np.vecdot, (x1, x2), {})
    return on_host(np.linalg.vecdot, lift(x1), lift(x2), axis=axis)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The vector product of vectors of three components."""
    pair = lift_all(x1, x2)
    if pair is None or axis != -1 or any(x.ndim == 0 or x.shape[-1] != 3 for x in pair):
        return on_host(np.linalg.cross, x1, x2, axis=axis)
    from cupynumeric._math import cross as vector_product

    return vector_product(*pair)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums along the diagonals of the matrices in the last two axes."""
    return _products.trace(x, offset, -2, -1, dtype)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes."""
    a = lift(x)
    return (
        a.diagonal(offset, -2, -1)
        if a.__class__ is ndarray
        else on_host(np.linalg.diagonal, a, offset=offset)
    )


def matrix_transpose(x: Any, /) -> Any:
    """The matrices in the last two axes transposed."""
    a = lift(x)
    if a.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {a.ndim}")
    return a.swapaxes(-2, -1)


def matrix_power(a: Any, n: Any) -> Any:
    """A square matrix to an integer power, by repeated squaring."""
    x = lift(a)
    if (
        x.__class__ is not ndarray
        or x.ndim < 2
        or x.shape[-1] != x.shape[-2]
        or n == 0
        or not isinstance(n, int)
    ):
        return on_host(np.linalg.matrix_power, x, n)
    if n < 0:
        x, n = inv(x), -n
    if n == 1:
        return x.copy()
    done, square = None, x
    while n:
        if n & 1:
            done = square if done is None else _products.product(done, square)
        n >>= 1
        if n:
            square = _products.product(square, square)
    return done


def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """The product of several matrices in the order that costs least."""
    given = list(arrays)
    lifted = lift_all(*given)
    if len(given) < 2:
        raise ValueError("Expecting at least two arrays.")
    if lifted is None:
        return on_host(np.linalg.multi_dot, given, out=out)
    if len(given) == 2:
        return _products.dot(lifted[0], lifted[1], out)
    matrices = list(lifted)
    first, last = matrices[0].ndim == 1, matrices[-1].ndim == 1
    if first:
        matrices[0] = matrices[0].reshape((1, -1))
    if last:
        matrices[-1] = matrices[-1].reshape((-1, 1))
    for m in matrices:
        if m.ndim != 2:
            raise LinAlgError(f"{m.ndim}-dimensional array given. Array must be two-dimensional")
    done = _chain(matrices)
    if first and last:
        done = done.reshape(())
    elif first or last:
        done = done.reshape(-1)
    return deliver(done, out)


def _chain(matrices: list[ndarray]) -> Any:
    """Multiply along the cheapest parenthesization (the classical cubic dynamic program over intervals)."""
    n = len(matrices)
    sizes = [m.shape[0] for m in matrices] + [matrices[-1].shape[1]]
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def multiply(i: int, j: int) -> Any:
        if i == j:
            return matrices[i]
        k = split[i, j]
        return _products.dot(multiply(i, k), multiply(k + 1, j))

    return multiply(0, n - 1)


# ---- norms -------------------------------------------------------------------------------------------------------


def _inexact(x: ndarray) -> ndarray:
    return x if x.dtype.kind in "fc" else cast(x, dtypes.FLOAT64)


def _sum_of_squares(x: ndarray, axes: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind != "c":
        return _reductions.sum(_ufunc.multiply(x, x), axes, keepdims=keepdims)
    parts = (_elementwise.call(OPS[p], (x,)) for p in ("real", "imag"))
    squares = _ufunc.add(*(_ufunc.multiply(p, p) for p in parts))
    return _reductions.sum(squares, axes, keepdims=keepdims)


@_replay.replayed
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A vector or matrix norm; those that need singular values observe their input."""
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(np.linalg.norm, a, ord, axis, keepdims)
    a = _inexact(a)
    if axis is None and (ord is None or (ord in ("f", "fro") and a.ndim == 2) or (ord == 2 and a.ndim == 1)):
        return _ufunc.sqrt(_sum_of_squares(a, tuple(range(a.ndim)), keepdims))
    if axis is None and a.ndim not in (1, 2):
        raise ValueError("Improper number of dimensions to norm.")
    axes = _ordered_axes(axis, a.ndim)
    if len(axes) == 1:
        return _vector_norm(a, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(a, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def _ordered_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except Exception as e:
            raise TypeError("'axis' must be None, an integer or a tuple of integers") from e
    _reduce.normalize_axes(axis, ndim) if len(set(axis)) == len(axis) else None
    return tuple(d % ndim for d in axis)


def _vector_norm(a: ndarray, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord is None or ord == 2:
        return _ufunc.sqrt(_sum_of_squares(a, axes, keepdims))
    size = _ufunc.absolute(a)
    if ord in (np.inf, -np.inf):
        return _extreme(size, ord, axes, keepdims)
    if ord == 0:
        real = size.dtype
        return _reductions.sum(cast(_ufunc.not_equal(a, 0), real), axes, keepdims=keepdims)
    if ord == 1:
        return _reductions.sum(size, axes, keepdims=keepdims)
    total = _reductions.sum(_ufunc.power(size, ord), axes, keepdims=keepdims)
    return _ufunc.power(total, np.asarray(1 / ord).astype(total.dtype)[()])


def _extreme(sizes: Any, ord: Any, axes: Any, keepdims: bool) -> Any:
    """The largest (ord > 0; 0 if there is none) or the smallest of absolute values."""
    if ord > 0:
        return _reductions.max(sizes, axes, keepdims=keepdims, **({} if sizes.size else {"initial": 0}))
    return _reductions.min(sizes, axes, keepdims=keepdims)


def _matrix_norm(a: ndarray, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if axes[0] == axes[1]:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return _ufunc.sqrt(_sum_of_squares(a, axes, keepdims))
    if ord in (1, -1, np.inf, -np.inf):
        summed, over = (axes[0], axes[1]) if ord in (1, -1) else (axes[1], axes[0])
        sums = _reductions.sum(_ufunc.absolute(a), summed, keepdims=True)
        done = _extreme(sums, ord, over, True)
        kept = tuple(n for d, n in enumerate(a.shape) if d not in axes)
        return done if keepdims else done.reshape(kept)
    if a.ndim == 2 and ord in (2, -2, "nuc"):
        found = _factored.singular_values(a, False)
        if found is not None:
            (s,) = found
            done = s.sum() if ord == "nuc" else s[0] if ord == 2 else s[-1]
            return done.reshape((1, 1)) if keepdims else done
    return on_host(np.linalg.norm, a, ord, axes, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """A vector norm over one axis, several, or all of them."""
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(np.linalg.vector_norm, a, axis=axis, keepdims=keepdims, ord=ord)
    a = _inexact(a)
    axes = _reduce.normalize_axes(axis, a.ndim)
    return _vector_norm(a, ord, axes, keepdims)


# ---- what cuPyNumeric adds ---------------------------------------------------------------------------------------


def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """The x of op(a) @ x = b for (stacks of) triangular a; op is none, transpose or conjugate transpose (0, 1, 2 or N, T, C).

    Only the named triangle of `a` is read. LinAlgError when it is singular, ValueError for wrong shapes.
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"trans must be one of 0, 1, 2, 'N', 'T', 'C', not {trans!r}")
    a, b = lift(a), lift(b)
    adjoint, conjugate = trans not in (0, "N"), trans in (2, "C")
    if runtime.world is not None and isinstance(a, Ours):
        if check_finite and not all(np.asarray(_ufunc.isfinite(x).all()) for x in (a, b)):
            raise ValueError("array must not contain infs or NaNs")
        found = _factored.solve_triangular(a, b, lower, unit_diagonal, adjoint, conjugate)
        if found is not None and found is not _factored.SMALL:
            return found
    m, rhs = (np.asarray(host_view(x)) for x in (a, b))
    if m.ndim < 2 or m.shape[-1] != m.shape[-2]:
        raise ValueError("expected square matrix")
    vector = rhs.ndim == m.ndim - 1
    if rhs.shape[-1 if vector else -2] != m.shape[-1]:
        raise ValueError(f"shapes of a {m.shape} and b {rhs.shape} are incompatible")
    if check_finite and not (np.isfinite(m).all() and np.isfinite(rhs).all()):
        raise ValueError("array must not contain infs or NaNs")
    t = np.tril(m) if lower else np.triu(m)
    if unit_diagonal:
        t[..., range(t.shape[-1]), range(t.shape[-1])] = 1
    if adjoint:
        t = np.swapaxes(t, -1, -2)
        t = t.conj() if conjugate else t
    done = np.linalg.solve(t, rhs[..., None] if vector else rhs)
    return wrapped(done[..., 0] if vector else done)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """The Cholesky factor of a, for `cho_solve`: the factor and whether it is the lower one."""
    m = lift(a)
    if check_finite and not np.asarray(_ufunc.isfinite(m).all()):
        raise ValueError("array must not contain infs or NaNs")
    return cholesky(m, upper=not lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The x of a @ x = b, given the result of `cho_factor(a)`."""
    c, lower = c_and_lower
    if lower:
        half = solve_triangular(c, b, 0, True, check_finite=check_finite)
        return solve_triangular(c, half, 2, True, check_finite=False)
    half = solve_triangular(c, b, 2, False, check_finite=check_finite)
    return solve_triangular(c, half, 0, False, check_finite=False)


def cholesky_solve(c: Any, b: Any, upper: bool = False) -> Any:
    """The x of a @ x = b, given the lower (or upper) Cholesky factor of a."""
    return cho_solve((c, not upper), b)


_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
    670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
#: 1-norm up to which the [13/13] approximant is accurate to float64
_PADE_RADIUS = 5.371920351148152


def expm(a: Any, method: str = "pade") -> Any:
    """The exponential of (stacks of) square matrices, by scaling and squaring; method 'pade' or 'taylor'."""
    if method not in ("pade", "taylor"):
        raise ValueError(f"method must be 'pade' or 'taylor', not {method!r}")
    x = lift(a)
    m = x if _factored.lies_in_parts(x) else host_view(x)
    if m.ndim < 2 or m.shape[-1] != m.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    m = m.astype(np.result_type(m.dtype, np.float32) if m.dtype.kind in "fc" else np.float64)
    if m.size == 0:
        return wrapped(m)
    size = float(abs(m).sum(axis=-2).max())
    if not np.isfinite(size):
        return wrapped(m * m.dtype.type(np.nan))
    radius = _PADE_RADIUS if method == "pade" else 0.5
    squarings = max(0, int(np.ceil(np.log2(max(size, 1e-300) / radius))))
    scaled = m / m.dtype.type(2.0**squarings)
    done = _pade(scaled) if method == "pade" else _taylor(scaled)
    for _ in range(squarings):
        done = done @ done
    return wrapped(done)


def _eye(a: Any) -> Any:
    """The identity of a's size, made as a is."""
    make = _matrices.eye if isinstance(a, Ours) else np.eye
    return make(a.shape[-1], dtype=a.dtype)


def _pade(a: Any) -> Any:
    eye = _eye(a)
    c = [a.dtype.type(x) for x in _PADE]
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * eye
    even = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * eye
    u = a @ odd
    return solve(even - u, even + u) if isinstance(a, Ours) else np.linalg.solve(even - u, even + u)


def _taylor(a: Any) -> Any:
    term = _eye(a)
    done = term
    for k in range(1, 19):
        term = term @ a / a.dtype.type(k)
        done = done + term
    return done


def tssvd(a: Any) -> tuple[Any, Any, Any]:
    """The thin singular value decomposition of a tall and skinny matrix: u (M, N), s (N,), vh (N, N)."""
    x = lift(a)
    if x.ndim != 2:
        raise LinAlgError(f"{x.ndim}-dimensional array given. Array must be two-dimensional")
    found = _factored.singular_values(x, True) if isinstance(x, Ours) and x.shape[0] >= x.shape[1] else None
    if found is not None:
        return tuple(found)
    m = host_view(x)
    q, r = np.linalg.qr(m)
    u, s, vh = np.linalg.svd(r, full_matrices=False)
    return wrapped(q @ u), wrapped(s), wrapped(vh)


_prompt.install(globals(), _prompt.LINALG, np.linalg)
_prompt.install(globals(), ("norm",), np.linalg, _prompt.watched)
