"""Products of arrays: dot, matmul, einsum and their relatives.

Matrix products are recorded library calls that read strided views; products of vectors and outer products are graph
operations, so that they fuse with what makes their operands.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from cupynumeric import _elementwise, _reductions, _ufunc
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import call_of, cast, deliver, lift, lift_all, on_host, recorded
from cupynumeric._convert import host_view
from cupynumeric._instant import handed, host_of
from cupynumeric._prompt import RECORDED, Prompt
from cupynumeric._replay import replayed
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.ir import dtypes
from legate_jit.ir.node import Signature
from legate_jit.strides import layout

__all__ = ["dot", "inner", "kron", "outer", "tensordot", "trace", "vdot"]


def _common(a: ndarray, b: ndarray) -> np.dtype:
    return dtypes.canonical(np.result_type(a._type.dtype, b._type.dtype))


#: the instruction of a matrix product by the types (or views) of its operands
_known: dict[Any, Signature] = {}
runtime.bounded.append((_known, 10_000))


def product(a: ndarray, b: ndarray) -> Any:
    """`a @ b` for arrays of at least one axis each, with NumPy's shape rules already checked."""
    sig = _known.get((a._key, b._key))
    if sig is None:
        dtype = _common(a, b)
        if a.ndim == b.ndim == 1 and dtype.kind != "b":
            return _of_vectors(a, b, dtype)
        if a.ndim + b.ndim == 3 and _better_reduced(a, b):
            return _reduced(a, b)
        if a.ndim == b.ndim == 2 and _narrow(a, b):
            return _side_by_side(a, b)
        rows = () if a.ndim == 1 else a.shape[:-2]
        columns = () if b.ndim == 1 else b.shape[:-2]
        shape = np.broadcast_shapes(rows, columns)
        shape += (a.shape[-2],) if a.ndim > 1 else ()
        shape += (b.shape[-1],) if b.ndim > 1 else ()
        sig = call_of("matmul", (a, b), shape, dtype)
        if dtype.kind in "fc" and dtype.itemsize > 2 and sig.type.size * a.shape[-1] <= AT_ONCE:
            _small[sig] = None
        if _elementwise._simple(a) and _elementwise._simple(b):
            _known[a._key, b._key] = sig
    return _made(sig, a, b)


#: multiplications up to which the product of arrays whose values are there is computed at once: a recorded call costs more
AT_ONCE = 100_000
_small: dict[Signature, None] = {}
runtime.bounded.append((_small, 10_000))


def _made(sig: Signature, a: ndarray, b: ndarray) -> ndarray:
    """The product that `sig` stands for, recorded unless it is small and its operands wait for nothing."""
    at_once = sig in _small and a._store.value is None and b._store.value is None
    if at_once and (runtime.world is None or not _in_parts(a, b)):
        first, second = host_of(a), host_of(b)
        if first is None or second is None:  # memory of the program, or large
            first, second = host_view(a), host_view(b)
        return handed(np.matmul(first, second))  # type: ignore[no-any-return]
    return recorded(sig, _elementwise.source(a), _elementwise.source(b))


def _in_parts(a: ndarray, b: ndarray) -> bool:
    """Whether an operand may lie in parts on several ranks."""
    return together.worthwhile(max(a._store.type.size, b._store.type.size))


def _better_reduced(a: ndarray, b: ndarray) -> bool:
    """Whether the product of a matrix and a vector should be a sum of products: it then fuses with what makes the vector and
    with what uses the result. A library gains nothing by its threads, which wait for memory, and on a busy machine for each
    other through whole time slices."""
    return a.dtype == b.dtype and a.dtype in (dtypes.FLOAT32, dtypes.FLOAT64) and bool(a.size and b.size)


@functools.partial(replayed, namesake=np.matmul)
def _reduced(a: ndarray, b: ndarray) -> Any:
    """A matrix times a vector, or a vector times a matrix, as sums of products, along the matrix's order in memory."""
    matrix, vector = (a, b) if a.ndim == 2 else (b.transpose(), a)
    place = None if matrix._lens is None else layout(matrix._lens.base, matrix._lens)
    if place is not None and abs(place.strides[0]) < abs(place.strides[1]):
        products = _ufunc.multiply(matrix.transpose(), vector.reshape((vector.size, 1)))
        return _reductions.sum(products, axis=0)
    return _reductions.sum(_ufunc.multiply(matrix, vector), axis=1)


#: columns of narrow matrices, and rows from which their product is a sum of products
NARROW, LONG = 16, 4096


def _narrow(a: ndarray, b: ndarray) -> bool:
    """Whether the matrices are a few long columns each, whose rows lie one after the other: their product is a sum that goes
    through both once, fuses with what makes them and takes all threads, which libraries share out by results."""
    if a.shape[0] > NARROW or b.shape[1] > NARROW or b.shape[0] < LONG or a.size * b.shape[1] <= AT_ONCE:
        return False
    if a.dtype != b.dtype or a.dtype not in (dtypes.FLOAT32, dtypes.FLOAT64):
        return False
    return _lies_by(a, 1) and _lies_by(b, 0)


def _lies_by(matrix: ndarray, axis: int) -> bool:
    """Whether an axis of a matrix is the one with the longer step in memory."""
    if matrix.shape[1 - axis] == 1:
        return True
    if matrix._lens is None:
        return axis == 0
    place = layout(matrix._lens.base, matrix._lens)
    return place is not None and abs(place.strides[axis]) > abs(place.strides[1 - axis])


@replayed
def _side_by_side(a: ndarray, b: ndarray) -> Any:
    """The product of narrow matrices as a sum over their rows."""
    left = a.transpose().reshape((a.shape[1], a.shape[0], 1))
    return _reductions.sum(_ufunc.multiply(left, b.reshape((b.shape[0], 1, b.shape[1]))), axis=0)


def _of_vectors(a: ndarray, b: ndarray, dtype: np.dtype) -> Any:
    """The sum of products, in float32 for float16 and wrapping around in integers of the common dtype."""
    if dtype == dtypes.FLOAT16:
        wide = _ufunc.multiply(cast(a, dtypes.FLOAT32), cast(b, dtypes.FLOAT32))
        return cast(_reductions.sum(wide), dtype)
    return _reductions.sum(_ufunc.multiply(a, b), dtype=dtype)


_prompt_matmul = Prompt(np.matmul, always=False)


def _matmul_of_two(a: ndarray, b: ndarray) -> Any:
    """`a @ b`; what comes before the library where nothing has to be converted."""
    alone = not runtime.window.n
    sig = _known.get((a._key, b._key))
    found = _matmul(np.matmul, a, b) if sig is None else _made(sig, a, b)
    if alone:
        _prompt_matmul.watch(found)
    return found


def generalized(function: np.ufunc, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """matmul, vecdot, matvec, vecmat with their ufunc keywords."""
    if not kwargs and function is np.matmul:
        if _prompt_matmul.hot:
            found = _prompt_matmul.answer(args, kwargs)
            if found is not RECORDED:
                return found
        if args[0].__class__ is args[1].__class__ is ndarray:
            return _matmul_of_two(*args)
    out = kwargs.pop("out", None)
    if isinstance(out, tuple):
        (out,) = out
    pair = lift_all(*args)
    if pair is None or kwargs or (out is not None and not isinstance(out, Ours)):
        options = kwargs if out is None else kwargs | {"out": out}
        return on_host(function, *(args if pair is None else pair), **options)
    a, b = pair
    done = _CORE[function.__name__](function, a, b)
    if out is None:
        return done
    if out.shape != done.shape:
        probe = np.empty(out.shape, out.dtype)
        function(_hollow(a), _hollow(b), out=probe)
    return deliver(done, out, "same_kind", function.__name__)


def _hollow(x: ndarray) -> np.ndarray:
    """A NumPy array of x's shape and dtype that takes no memory, to ask NumPy for its errors."""
    return np.broadcast_to(np.zeros((), x._type.dtype), x._type.shape)


def _matmul(function: np.ufunc, a: ndarray, b: ndarray) -> Any:
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        return function(_hollow(a), _hollow(b))  # raises NumPy's error
    _broadcast_stacks(function, a, b, 2, 2)
    return product(a, b)


def _broadcast_stacks(function: np.ufunc, a: ndarray, b: ndarray, core_a: int, core_b: int) -> None:
    try:
        np.broadcast_shapes(a.shape[:-core_a], b.shape[:-core_b])
    except ValueError:
        function(_hollow(a), _hollow(b))  # raises NumPy's error


def _vecdot(function: np.ufunc, a: ndarray, b: ndarray) -> Any:
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        return function(_hollow(a), _hollow(b))
    _broadcast_stacks(function, a, b, 1, 1)
    dtype = _common(a, b)
    if dtype.kind == "b":
        return _reductions.any(_ufunc.logical_and(a, b), axis=-1)
    if dtype == dtypes.FLOAT16:
        wide = _ufunc.multiply(cast(a, dtypes.FLOAT32), cast(b, dtypes.FLOAT32))
        return cast(_reductions.sum(wide, axis=-1), dtype)
    left = _ufunc.conjugate(a) if a.dtype.kind == "c" else a
    return _reductions.sum(_ufunc.multiply(left, b), axis=-1, dtype=dtype)


def _matvec(function: np.ufunc, a: ndarray, b: ndarray) -> Any:
    if a.ndim < 2 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        return function(_hollow(a), _hollow(b))
    _broadcast_stacks(function, a, b, 2, 1)
    if b.ndim == 1:
        return product(a, b)
    return product(a, b.reshape((*b.shape, 1)))[..., 0]


def _vecmat(function: np.ufunc, a: ndarray, b: ndarray) -> Any:
    if b.ndim < 2 or a.ndim == 0 or a.shape[-1] != b.shape[-2]:
        return function(_hollow(a), _hollow(b))
    _broadcast_stacks(function, a, b, 1, 2)
    left = _ufunc.conjugate(a) if a.dtype.kind == "c" else a
    if a.ndim == 1:
        return product(left, b)
    return product(left.reshape((*a.shape[:-1], 1, a.shape[-1])), b)[..., 0, :]


_CORE = {"matmul": _matmul, "vecdot": _vecdot, "matvec": _matvec, "vecmat": _vecmat}


def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Matrix product of two arrays over the last axis of a and the last but one of b; see `numpy.dot`."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.dot, a, b, out=out)
    x, y = pair
    if x.ndim == 0 or y.ndim == 0:
        left = a if _elementwise.is_scalar(a) else x
        right = b if _elementwise.is_scalar(b) else y
        done = (
            _ufunc.multiply(x, y, dtype=np.result_type(x.dtype, y.dtype))
            if left is x and right is y
            else None
        )
        return _checked_out(_ufunc.multiply(x, y) if done is None else done, out)
    inner_b = -2 if y.ndim > 1 else -1
    if x.shape[-1] != y.shape[inner_b]:
        return np.dot(_hollow(x), _hollow(y))  # raises NumPy's error
    if y.ndim <= 2:
        if x.ndim <= 2:
            return _checked_out(product(x, y), out)
        flat = product(x.reshape((-1, x.shape[-1])), y) if x.size else None
        if flat is not None:
            return _checked_out(flat.reshape((*x.shape[:-1], *y.shape[1:])), out)
        return on_host(np.dot, x, y, out=out)
    return _checked_out(tensordot(x, y, (x.ndim - 1, y.ndim - 2)), out)


def _checked_out(done: Any, out: Any) -> Any:
    """`dot` wants `out` to be exactly what it would have returned."""
    if out is None:
        return done
    if out.shape != done.shape or out.dtype != done.dtype:
        raise ValueError(
            "output array is not acceptable (must have the right datatype, number of dimensions, and be a C-Array)"
        )
    return deliver(done, out)


def inner(a: Any, b: Any, /) -> Any:
    """Sum of products over the last axes."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.inner, a, b)
    x, y = pair
    if x.ndim == 0 or y.ndim == 0:
        return _ufunc.multiply(x, y)
    if x.shape[-1] != y.shape[-1]:
        return np.inner(_hollow(x), _hollow(y))  # raises NumPy's error
    if x.ndim == y.ndim == 1:
        return product(x, y)
    return tensordot(x, y, (-1, -1))


def vdot(a: Any, b: Any, /) -> Any:
    """Sum of conj(a) * b over the flattened arrays."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.vdot, a, b)
    x, y = (p.reshape(-1) for p in pair)
    if x.size != y.size:
        raise ValueError(f"cannot reshape array of size {y.size} into shape ({x.size},)")
    return product(_ufunc.conjugate(x) if x.dtype.kind == "c" else x, y)


def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of elements of two flattened arrays, shape (a.size, b.size)."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.outer, a, b, out)
    x, y = pair
    return _ufunc.multiply(x.reshape((-1, 1)), y.reshape((1, -1)), out)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum of products over given axes, as one matrix product."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.tensordot, a, b, axes)
    x, y = pair
    axes_x, axes_y = _contracted(axes)
    ok = len(axes_x) == len(axes_y)
    for k in range(len(axes_x) if ok else 0):
        if x.shape[axes_x[k]] != y.shape[axes_y[k]]:
            ok = False
        axes_x[k] %= x.ndim
        axes_y[k] %= y.ndim
    if not ok:
        raise ValueError("shape-mismatch for sum")
    if len(set(axes_x)) != len(axes_x) or len(set(axes_y)) != len(axes_y):
        raise ValueError("duplicate axes are not allowed in tensordot")
    rest_x = [d for d in range(x.ndim) if d not in axes_x]
    rest_y = [d for d in range(y.ndim) if d not in axes_y]
    shape = (*(x.shape[d] for d in rest_x), *(y.shape[d] for d in rest_y))
    inside = 1
    for d in axes_x:
        inside *= x.shape[d]
    rows, columns = 1, 1
    for d in rest_x:
        rows *= x.shape[d]
    for d in rest_y:
        columns *= y.shape[d]
    left = x.transpose((*rest_x, *axes_x)).reshape((rows, inside))
    right = y.transpose((*axes_y, *rest_y)).reshape((inside, columns))
    return product(left, right).reshape(shape)


def _contracted(axes: Any) -> tuple[list[int], list[int]]:
    try:
        first, second = axes
    except TypeError:
        return list(range(-axes, 0)), list(range(axes))
    return tuple([operator.index(d) for d in (e if np.iterable(e) else (e,))] for e in (first, second))  # type: ignore[return-value]


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """The sum along a diagonal."""
    x = lift(a)
    if x.__class__ is not ndarray or x.ndim < 2:
        return on_host(np.trace, x, offset, axis1, axis2, dtype, out=out)
    return _reductions.sum(x.diagonal(offset, axis1, axis2), -1, dtype, out)


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product, recorded as an outer product."""
    pair = lift_all(a, b)
    if pair is None:
        return on_host(np.kron, a, b)
    x, y = pair
    ndim = max(x.ndim, y.ndim)
    xs, ys = ((1,) * (ndim - p.ndim) + p.shape for p in (x, y))
    left = x.reshape(tuple(e for n in xs for e in (n, 1)))
    right = y.reshape(tuple(e for n in ys for e in (1, n)))
    return _ufunc.multiply(left, right).reshape(tuple(m * n for m, n in zip(xs, ys, strict=True)))
