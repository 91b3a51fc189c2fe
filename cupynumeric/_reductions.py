"""Reductions and running reductions as functions: sums, extrema, truth, counts, means and variances.

All of them are recorded as graph operations; NumPy decides dtypes. The mechanics of one reduction are in `_reduce`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from cupynumeric import _elementwise, _reduce, _ufunc
from cupynumeric._array import Ours, ndarray, result, value
from cupynumeric._caller import warn
from cupynumeric._calls import cast, deliver, lift, on_host
from cupynumeric._indexing import reshaped
from cupynumeric._instant import Instant
from cupynumeric._reduce import NO_VALUE
from legate_jit.ir import dtypes, index, infer
from legate_jit.ir.ops import OPS

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "max",
    "mean",
    "min",
    "prod",
    "ptp",
    "std",
    "sum",
    "var",
]

_builtin_max = max


def _reduction(
    name: str,
    function: Callable[..., Any],
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
) -> Any:
    """Op `name` over an array-like; what graphs do not hold goes to the NumPy function."""
    if a.__class__ is Instant and out is None and initial is where is NO_VALUE:
        options = {} if dtype is None else {"dtype": dtype}
        return getattr(a, name)(
            axis=axis, **options, **({} if keepdims is NO_VALUE else {"keepdims": keepdims})
        )
    x = a if a.__class__ is ndarray else lift(a)
    if x.__class__ is ndarray and (out is None or isinstance(out, Ours)):
        try:
            return _reduce.reduce(name, x, axis, dtype, out, keepdims, initial, where)
        except _reduce.HostOnly:
            pass  # no graph form of this loop: NumPy reduces
    given = {
        "axis": axis,
        "dtype": dtype,
        "out": out,
        "keepdims": keepdims,
        "initial": initial,
        "where": where,
    }
    blank = {"dtype": None, "out": None, "keepdims": NO_VALUE, "initial": NO_VALUE, "where": NO_VALUE}
    used = {k: v for k, v in given.items() if k == "axis" or v is not blank[k]}
    return on_host(function, x, **used)


def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Sum over axes (default: all of them), in NumPy's dtype for it; a 0-d array when nothing is left."""
    if isinstance(a, Generator):
        return np.sum(a, axis, dtype, out)  # type: ignore[call-overload]  # what NumPy says of it
    return _reduction("sum", np.sum, a, axis, dtype, out, keepdims, initial, where)


def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Product over axes; see `numpy.prod`."""
    return _reduction("prod", np.prod, a, axis, dtype, out, keepdims, initial, where)


def max(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Maximum over axes, NaN if there is one; ValueError for nothing without `initial`."""
    return _reduction("max", np.max, a, axis, None, out, keepdims, initial, where)


def min(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Minimum over axes, NaN if there is one; ValueError for nothing without `initial`."""
    return _reduction("min", np.min, a, axis, None, out, keepdims, initial, where)


amax, amin = max, min


def any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE) -> Any:
    """Whether anything along the axes is true (NaN is)."""
    return _reduction("any", np.any, a, axis, None, out, keepdims, NO_VALUE, where)


def all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE) -> Any:
    """Whether everything along the axes is true."""
    return _reduction("all", np.all, a, axis, None, out, keepdims, NO_VALUE, where)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE) -> Any:
    """Maximum minus minimum over axes."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.ptp, x, axis, out=out)
    done = _ufunc.subtract(max(x, axis, keepdims=keepdims), min(x, axis, keepdims=keepdims))
    return deliver(done, out)


def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
    """Position (int64) of the first maximum along `axis`, or in the flattened array."""
    return _arg("argmax", np.argmax, a, axis, out, keepdims)


def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
    """Position (int64) of the first minimum along `axis`, or in the flattened array."""
    return _arg("argmin", np.argmin, a, axis, out, keepdims)


def _arg(name: str, function: Callable[..., Any], a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(function, x, axis, out=out, keepdims=keepdims)
    return _reduce.arg_extremum(name, x, axis, out, keepdims)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many elements are not zero (int64), over axes."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.count_nonzero, x, axis, keepdims=keepdims)
    return sum(cast(x, dtypes.BOOL), axis, dtypes.INT64, keepdims=keepdims)


# ---- running reductions ------------------------------------------------------------------------------------------


def _running(name: str, function: Callable[..., Any], a: Any, axis: Any, dtype: Any, out: Any) -> Any:
    x = lift(a)
    if x.__class__ is ndarray:
        try:
            return _reduce.scan(name, x, axis, dtype, out)
        except _reduce.HostOnly:
            pass  # no graph form of this loop: NumPy scans
    return on_host(function, x, axis, dtype, out=out)


def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Running sum along an axis (default: of the flattened array)."""
    return _running("cumsum", np.cumsum, a, axis, dtype, out)


def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Running product along an axis (default: of the flattened array)."""
    return _running("cumprod", np.cumprod, a, axis, dtype, out)


def _cumulative(name: str, x: Any, axis: Any, dtype: Any, out: Any, include_initial: bool) -> Any:
    a = lift(x)
    if a.ndim == 0:
        a = a.reshape(1)
    if a.ndim >= 2 and axis is None:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
    axis = infer.normalize_axis(0 if axis is None else axis, a.ndim)
    function = np.cumsum if name == "cumsum" else np.cumprod
    if not include_initial:
        return _running(name, function, a, axis, dtype, out)
    from cupynumeric._creation import full

    done = _running(name, function, a, axis, dtype, None)
    shape = list(a.shape)
    shape[axis] += 1
    whole = full(tuple(shape), int(name == "cumprod"), done.dtype)
    whole[(*(slice(None),) * axis, slice(1, None))] = done
    return deliver(whole, out)


def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Any:
    """Running sum along `axis`, optionally beginning with 0; see `numpy.cumulative_sum`."""
    return _cumulative("cumsum", x, axis, dtype, out, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Any:
    """Running product along `axis`, optionally beginning with 1; see `numpy.cumulative_prod`."""
    return _cumulative("cumprod", x, axis, dtype, out, include_initial)


# ---- moments -----------------------------------------------------------------------------------------------------


def _is_given(x: Any) -> bool:
    return x is not NO_VALUE and x is not None and x is not True


def _count(x: ndarray, axes: tuple[int, ...], keepdims: bool, where: Any) -> Any:
    """How many elements each result averages: a Python int, or an array when there is a mask."""
    if not _is_given(where):
        return _reduce.extent(x.shape, axes)
    mask = lift(where)
    spread = (
        result(infer.move_signature(mask._type, index.broadcast(mask.shape, x.shape)), value(mask))
        if mask.shape != x.shape
        else mask
    )
    return sum(spread, axes, dtypes.INT64, keepdims=keepdims)


def _sum_dtype(x: ndarray, dtype: Any) -> tuple[Any, np.dtype]:
    """The dtype to sum in (None: its own) and the dtype of a mean."""
    source = x._type.dtype
    if dtype is not None:
        target = np.dtype(dtype)
        return target, target if target.kind in "fc" else dtypes.FLOAT64
    if source.kind in "biu":
        return dtypes.FLOAT64, dtypes.FLOAT64
    if source == dtypes.FLOAT16:
        return dtypes.FLOAT32, dtypes.FLOAT16
    return None, source


def _divided(total: Any, count: Any) -> Any:
    """total / count in total's own dtype when it is inexact."""
    if count.__class__ is int and total.__class__ is ndarray and total._type.dtype.kind in "fc":
        return result(infer.count_signature(total._type, count), value(total), scalars=(count,))
    if isinstance(count, (int, float)):
        return _ufunc.divide(total, count)
    if total.dtype.kind in "fc":
        return cast(_ufunc.divide(total, cast(count, _elementwise_real(total.dtype))), total.dtype)
    return _ufunc.divide(total, count)


def _elementwise_real(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
) -> Any:
    """Arithmetic mean over axes: float64 for integers, the array's own dtype otherwise (float16 summed in float32)."""
    x = lift(a)
    if x.__class__ is not ndarray or (dtype is not None and not dtypes.is_supported(np.dtype(dtype))):
        return on_host(np.mean, x, axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where)
    axes = _reduce.normalize_axes(axis, x.ndim, strict=True)
    keep = keepdims is not NO_VALUE and bool(keepdims)
    loop, final = _sum_dtype(x, dtype)
    n = _count(x, axes, keep, where)
    if n.__class__ is int and n == 0:
        warn("Mean of empty slice", RuntimeWarning)
    total = sum(x, axes, loop, keepdims=keep, where=where)
    done = cast(_divided(total, n), final)
    return deliver(done, out)


def _squared(x: Any) -> Any:
    """|x|**2, real."""
    if x.dtype.kind != "c":
        return _ufunc.multiply(x, x)
    real, imag = (_elementwise.call(OPS[part], (x,)) for part in ("real", "imag"))
    return _ufunc.add(_ufunc.multiply(real, real), _ufunc.multiply(imag, imag))


def _variance(
    function: Callable[..., Any],
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    keepdims: Any,
    where: Any,
    center: Any,
    correction: Any,
) -> Any:
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    x = lift(a)
    if x.__class__ is not ndarray or (dtype is not None and not dtypes.is_supported(np.dtype(dtype))):
        return on_host(
            function,
            x,
            axis=axis,
            dtype=dtype,
            out=out,
            ddof=ddof,
            keepdims=keepdims,
            where=where,
            mean=center,
        )
    axes = _reduce.normalize_axes(axis, x.ndim, strict=True)
    keep = keepdims is not NO_VALUE and bool(keepdims)
    loop, final = _sum_dtype(x, dtype)
    n = _count(x, axes, keep, where)
    divisor = _degrees_of_freedom(n, ddof)
    middle = center
    if not _is_given(center):
        full_count = n if n.__class__ is int else reshaped(n, _reduce.unit_axes(x.shape, axes))
        middle = _divided(sum(x, axes, loop, keepdims=True, where=where), full_count)
    wide = x if loop is None else cast(x, loop)
    squares = _squared(_ufunc.subtract(wide, middle))
    total = sum(squares, axes, keepdims=keep, where=where)
    done = _divided(total, divisor)
    real = _elementwise_real(final)
    done = cast(done, real)
    if function is np.std:
        done = _ufunc.sqrt(done)
    return deliver(done, out)


def _degrees_of_freedom(n: Any, ddof: Any) -> Any:
    if n.__class__ is not int:
        return _ufunc.maximum(_ufunc.subtract(n, ddof), 0)
    if n - ddof <= 0:
        warn("Degrees of freedom <= 0 for slice", RuntimeWarning)
    left = _builtin_max(n - ddof, 0)
    return left if isinstance(left, int) else float(left)


def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """Variance over axes by the two-pass formula; the divisor is N - ddof."""
    return _variance(np.var, a, axis, dtype, out, ddof, keepdims, where, mean, correction)


def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """Standard deviation over axes: the square root of `var`."""
    return _variance(np.std, a, axis, dtype, out, ddof, keepdims, where, mean, correction)
