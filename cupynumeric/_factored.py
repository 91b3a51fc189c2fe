"""Linear algebra of matrices that lie in parts on several ranks: the ranks factor them together, and none ever has all of one.

Every function gives None for what it has no way for, and always with one rank: then NumPy's function is called, of whole arrays.
Knows the semantics of `numpy.linalg`, and `legate_jit.immediate.together`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._calls import cast, hosted, lift, wrapped
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.ir import dtypes
from legate_jit.store import Store

__all__ = ["inverse", "lies_in_parts", "over_ranks", "singular_values", "solve", "solve_triangular"]

_SINGULAR = "Singular matrix"
#: square matrices of fewer elements are gathered: blocks of columns that travel one by one would take longer
LEAST = 1 << 19
#: what an attempt gives for such a matrix
SMALL = NotImplemented


def _linear() -> ModuleType:
    """The programs of all ranks; loaded when there are several."""
    from legate_jit.collectives import linear

    return linear


def over_ranks(
    function: Callable[..., Any], attempt: Callable[..., Any], name: str | None = None
) -> Callable[..., Any]:
    """`function` of `numpy.linalg`: by `attempt` where there are several ranks and that gives anything, else on the host."""
    usual = hosted(function)
    name = name or function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None and args:
            x = lift(args[0])
            if isinstance(x, Ours) and x.ndim >= 2 and together.worthwhile(x.size):
                found = attempt(x, *args[1:], **kwargs)
                if found is not None and found is not SMALL:
                    return found
                if found is None:
                    together.gathering(name, plain(x))
        return usual(*args, **kwargs)

    call.__module__ = "cupynumeric"
    return call


def plain(x: ndarray) -> Store:
    """The store of an array, or a new one of what a view shows."""
    return x._store if x._lens is None else runtime.new_store(value(x), x._type)


def lies_in_parts(x: Any) -> bool:
    """Whether an array lies in parts on several ranks."""
    if runtime.world is None or not isinstance(x, Ours) or not together.worthwhile(x.size):
        return False
    return together.lies_in_parts(plain(x)) is not None


def _common(*xs: ndarray) -> np.dtype | None:
    """The dtype in which NumPy computes; None if it does not."""
    found = [dtypes.FLOAT64 if x.dtype.kind in "biu" else x.dtype for x in xs]
    return None if dtypes.FLOAT16 in found else np.result_type(*found)


def _blocks(x: ndarray, *others: Any) -> Any:
    """As `_in_parts`, for what is done by blocks of columns: `SMALL` for matrices that are too small for that."""
    return SMALL if runtime.world is not None and x.size < LEAST else _in_parts(x, *others)


def _in_parts(x: Any, *others: Any) -> list[Store] | None:
    """The stores of arrays, all of the dtype in which NumPy computes, if the first lies in parts."""
    if runtime.world is None or not all(isinstance(y, Ours) for y in (x, *others)):
        return None
    dtype = _common(x, *others)
    if dtype is None or not together.worthwhile(x.size):
        return None
    first = plain(cast(x, dtype))
    if not together.lies_in_parts(first):
        return None
    return [first, *(plain(cast(y, dtype)) for y in others)]


def _square(x: ndarray) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1]


def _computed(program: Callable[..., list[Any]], stores: list[Store], **options: Any) -> list[Any]:
    """The results of a program on tiles of rows."""
    wanted = [together.tiles(s) for s in stores]
    results = together.compute(program, stores, wanted, **options)
    return [wrap(r) if isinstance(r, Store) else r for r in results]


def _of_regular(program: Callable[..., list[Any]], stores: list[Store], **options: Any) -> Any:
    """What a program computes of a matrix after saying that it is regular; LinAlgError if it is not."""
    regular, x = _computed(program, stores, **options)
    if not regular:
        raise LinAlgError(_SINGULAR)
    return x


# ---- systems -----------------------------------------------------------------------------------------------------


def _matching(a: ndarray, b: Any) -> bool:
    return isinstance(b, Ours) and b.ndim in (1, 2) and b.shape[0] == a.shape[0] and b.size > 0


def solve(a: ndarray, b: Any) -> Any:
    """The x of a @ x = b; LinAlgError on all ranks if a is singular."""
    if a.ndim > 2 and isinstance(b, Ours) and b.ndim == a.ndim and a.shape[:-2] == b.shape[:-2]:
        return _stacked("solve", a, b)
    if not _square(a) or not _matching(a, b):
        return None
    n, count = len(a), b.size // len(a)
    stores = _blocks(a, b.reshape((n, count)))
    if stores is None or stores is SMALL:
        return stores
    return _of_regular(_linear().solve, stores, n=n, count=count).reshape(b.shape)


def inverse(a: ndarray) -> Any:
    """The inverse; LinAlgError on all ranks if there is none."""
    if a.ndim > 2:
        return _stacked("inv", a)
    stores = _blocks(a) if _square(a) else None
    if stores is None or stores is SMALL:
        return stores
    return _of_regular(_linear().inverse, stores, n=len(a))


def solve_triangular(a: ndarray, b: Any, lower: bool, unit: bool, adjoint: bool, conjugate: bool) -> Any:
    """The x of op(triangle of a) @ x = b; op is the transpose if `adjoint`, conjugated if `conjugate`."""
    if not _square(a) or not _matching(a, b):
        return None
    n, count = len(a), b.size // len(a)
    stores = _blocks(a, b.reshape((n, count)))
    if stores is None or stores is SMALL:
        return stores
    x = _of_regular(
        _linear().triangular,
        stores,
        n=n,
        count=count,
        lower=lower,
        unit=unit,
        adjoint=adjoint,
        conjugate=conjugate,
    )
    return x.reshape(b.shape)


def slogdet(a: ndarray) -> Any:
    """Sign (or phase) and logarithm of the absolute value of the determinant."""
    if a.ndim > 2:
        return _stacked("slogdet", a)
    stores = _blocks(a) if _square(a) else None
    if stores is None or stores is SMALL:
        return stores
    diagonal, odd = _computed(_linear().eliminated, stores, n=len(a))
    sizes = np.abs(diagonal)
    with np.errstate(divide="ignore", invalid="ignore"):
        sign = np.prod(diagonal / sizes) * (-1 if odd else 1) if sizes.all() else diagonal.dtype.type(0)
        logarithm = np.log(sizes).sum(dtype=sizes.dtype)
    return type(np.linalg.slogdet(np.eye(1)))(wrapped(sign.astype(diagonal.dtype)), wrapped(logarithm))


def det(a: ndarray) -> Any:
    """The determinant."""
    if a.ndim > 2:
        return _stacked("det", a)
    found = slogdet(a)
    if found is None or found is SMALL:
        return found
    sign, logarithm = (np.asarray(x) for x in found)
    with np.errstate(over="ignore"):
        return wrapped((sign * np.exp(logarithm)).astype(sign.dtype)[()])


def cholesky(a: ndarray, /, *, upper: bool = False) -> Any:
    """The Cholesky factor; LinAlgError on all ranks if a is not positive definite."""
    if a.ndim > 2:
        return _stacked("cholesky", a, upper=upper)
    stores = _blocks(a) if _square(a) else None
    if stores is None or stores is SMALL:
        return stores
    definite, factor = _computed(_linear().cholesky, stores, n=len(a), upper=upper)
    if not definite:
        raise LinAlgError("Matrix is not positive definite")
    return factor


# ---- orthogonal factorizations -----------------------------------------------------------------------------------


def qr(a: ndarray, mode: str = "reduced") -> Any:
    """Q and R, or R alone."""
    if a.ndim > 2 and mode in ("reduced", "complete", "r"):
        return _stacked("qr", a, mode=mode)
    if a.ndim != 2 or mode not in ("reduced", "complete", "r"):
        return None
    m, n = a.shape
    tree = mode != "complete" and _linear().is_tall(m, n, runtime.world.size)
    stores = _in_parts(a) if tree else _blocks(a)
    if stores is None or stores is SMALL:
        return stores
    found = _computed(_linear().orthogonal, stores, m=m, n=n, mode=mode)
    return found[0] if mode == "r" else type(np.linalg.qr(np.eye(1)))(*found)


def singular_values(a: ndarray, vectors: bool) -> list[Any] | None:
    """u, s and vh, or s alone, of a matrix with one side so much longer than the other that the ranks can factor it together."""
    if a.ndim != 2 or not together.worthwhile(a.size) or runtime.world is None:
        return None
    m, n = max(a.shape), min(a.shape)
    if not _linear().is_tall(m, n, runtime.world.size):
        return None
    wide = a.shape[0] < m
    stores = _in_parts(a.transpose() if wide else a)
    if stores is None:
        return None
    found = [wrapped(x) for x in _computed(_linear().singular_values, stores, m=m, n=n, vectors=vectors)]
    if not vectors or not wide:
        return found
    u, s, vh = found
    return [vh.transpose(), s, u.transpose()]


def svd(a: ndarray, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """u, s and vh, or s alone."""
    if hermitian:
        return None
    if a.ndim > 2:
        return _stacked("svd", a, full_matrices=full_matrices, compute_uv=compute_uv)
    if full_matrices and compute_uv and a.ndim == 2 and a.shape[0] != a.shape[1]:
        return None  # one side of the result is as large as the square of the longer side
    found = singular_values(a, compute_uv)
    if found is None:
        return None
    return type(np.linalg.svd(np.eye(1)))(*found) if compute_uv else found[0]


def svdvals(x: ndarray, /) -> Any:
    """The singular values."""
    return svd(x, compute_uv=False)


def cond(x: ndarray, p: Any = None) -> Any:
    """The condition number in the 2-norm of a tall or wide matrix."""
    found = singular_values(x, False) if p in (None, 2, -2) else None
    if found is None:
        return None
    s = np.asarray(found[0])
    with np.errstate(all="ignore"):
        ratio = s[-1] / s[0] if p == -2 else s[0] / s[-1]
    return wrapped(s.dtype.type(np.inf) if np.isnan(ratio) and not np.isnan(s).any() else ratio)


def matrix_rank(A: ndarray, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """How many singular values of a tall or wide matrix are not negligible."""
    if A.ndim > 2:
        return each("matrix_rank", "tol", "hermitian")(A, tol, hermitian, rtol=rtol)
    numbers = all(x is None or isinstance(x, (int, float)) for x in (tol, rtol))
    found = singular_values(A, False) if numbers and not hermitian and None in (tol, rtol) else None
    if found is None:
        return None
    s = np.asarray(found[0])
    if tol is None:
        tol = s.max() * (max(A.shape) * np.finfo(s.dtype).eps if rtol is None else rtol)
    return wrapped(np.count_nonzero(s > tol))


def pinv(a: ndarray, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """The pseudo-inverse of a tall or wide matrix."""
    if a.ndim > 2:
        given = {} if rtol is np._NoValue else {"rtol": rtol}
        return each("pinv", "rcond", "hermitian")(a, rcond, hermitian, **given)
    if hermitian or (rcond is not None and rtol is not np._NoValue):
        return None
    cut = rcond if rcond is not None else 1e-15 if rtol is np._NoValue else rtol
    found = singular_values(a, True) if cut is None or isinstance(cut, (int, float)) else None
    if found is None:
        return None
    u, s, vh = found
    values = np.asarray(s)
    cut = max(a.shape) * np.finfo(values.dtype).eps if cut is None else cut
    with np.errstate(divide="ignore"):
        turned = np.where(values > cut * values.max(), 1 / values, 0).astype(values.dtype)
    return (_conjugated(vh) * turned) @ _conjugated(u)


def _conjugated(x: ndarray) -> Any:
    return (x.conj() if x.dtype.kind == "c" else x).transpose()


def lstsq(a: ndarray, b: Any, rcond: Any = None) -> Any:
    """Solution, residuals, rank and singular values of a tall system."""
    b = lift(b)
    if a.ndim != 2 or not _matching(a, b) or runtime.world is None:
        return None
    m, n = a.shape
    count = b.size // m
    stores = (
        _in_parts(a, b.reshape((m, count))) if _linear().is_tall(m, n + count, runtime.world.size) else None
    )
    if stores is None:
        return None
    eps = float(np.finfo(stores[0].type.dtype).eps)
    cut = eps * max(m, n) if rcond is None else eps if rcond < 0 else float(rcond)
    x, residuals, rank, s = _computed(_linear().least_squares, stores, m=m, n=n, count=count, rcond=cut)
    return wrapped(x if b.ndim == 2 else x[:, 0]), wrapped(residuals), wrapped(np.int32(rank)), wrapped(s)


# ---- stacks ------------------------------------------------------------------------------------------------------


def each(name: str, *names: str) -> Callable[..., Any]:
    """A function of `numpy.linalg` of one matrix, for stacks whose matrices lie on several ranks. names: its other parameters,
    which must be plain values."""

    def attempt(a: ndarray, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(names, args, strict=False)) | kwargs
        plain_ones = all(x is None or isinstance(x, (bool, int, float, str)) for x in arguments.values())
        if a.ndim < 3 or len(args) > len(names) or not plain_ones:
            return None
        return _stacked(name, a, **arguments)

    return attempt


def _stacked(name: str, a: ndarray, *others: ndarray, **arguments: Any) -> Any:
    """What a function gives for matrices, of which every rank takes some."""
    stores = _in_parts(a, *others)
    if stores is None:
        return None
    failed, kind, *results = _computed(
        _linear().stacked, stores, function=name, total=len(a), arguments=arguments
    )
    if failed:
        raise LinAlgError(failed)
    return kind(*results) if issubclass(kind, tuple) else results[0]
