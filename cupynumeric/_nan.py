"""Reductions that ignore NaN. Sums, means, variances and extrema are recorded; order statistics
observe values.

NumPy's warnings about slices that hold nothing but NaN depend on values and are not given by the recorded ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _elementwise, _quantiles, _reductions, _ufunc
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import deliver, hosted, lift, on_host
from cupynumeric._reduce import NO_VALUE, HostOnly, reduce
from legate_jit.ir import dtypes
from legate_jit.ir.ops import OPS

__all__ = [
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
]

_nanmedian = hosted(np.nanmedian)


@functools.wraps(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = NO_VALUE
) -> Any:
    """The middle of the elements that are not NaN; observes values."""
    if out is None:
        found = _quantiles.nan_median(a, axis, keepdims is True)
        if found is not None:
            return found
    rest = {} if keepdims is NO_VALUE else {"keepdims": keepdims}
    return _nanmedian(a, axis, out, **rest)


nanpercentile = _quantiles.function(np.nanpercentile, _quantiles.nan_quantile, True)
nanquantile = _quantiles.function(np.nanquantile, _quantiles.nan_quantile, False)


def _can_be_nan(x: ndarray) -> bool:
    return x.dtype.kind in "fc"


def _filled(x: ndarray, fill: Any) -> Any:
    """x with `fill` in place of NaN."""
    if not _can_be_nan(x):
        return x
    return _elementwise.call(OPS["where"], (_ufunc.isnan(x), x.dtype.type(fill), x))


def _and_valid(x: ndarray, where: Any) -> Any:
    """The mask of elements that count."""
    valid = _ufunc.logical_not(_ufunc.isnan(x))
    return valid if where is NO_VALUE or where is True else _ufunc.logical_and(valid, where)


def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Sum over axes with NaN as 0."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.nansum, x, axis, dtype, out=out, keepdims=keepdims, initial=initial, where=where)
    return _reductions.sum(_filled(x, 0), axis, dtype, out, keepdims, initial, where)


def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Product over axes with NaN as 1."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.nanprod, x, axis, dtype, out=out, keepdims=keepdims, initial=initial, where=where)
    return _reductions.prod(_filled(x, 1), axis, dtype, out, keepdims, initial, where)


def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Running sum with NaN as 0."""
    x = lift(a)
    return (
        _reductions.cumsum(_filled(x, 0), axis, dtype, out)
        if x.__class__ is ndarray
        else on_host(np.nancumsum, x)
    )


def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Running product with NaN as 1."""
    x = lift(a)
    return (
        _reductions.cumprod(_filled(x, 1), axis, dtype, out)
        if x.__class__ is ndarray
        else on_host(np.nancumprod, x)
    )


def _extremum(
    name: str,
    function: Callable[..., Any],
    a: Any,
    axis: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
) -> Any:
    x = lift(a)
    if x.__class__ is ndarray and x.dtype.kind != "c" and (out is None or isinstance(out, Ours)):
        try:
            return reduce(name, x, axis, None, out, keepdims, initial, where)
        except HostOnly:
            pass  # NumPy reduces
    return on_host(function, x, axis, out=out, keepdims=keepdims, initial=initial, where=where)


def nanmax(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Maximum over axes ignoring NaN; NaN where there is nothing else."""
    return _extremum("fmax_reduce", np.nanmax, a, axis, out, keepdims, initial, where)


def nanmin(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Any:
    """Minimum over axes ignoring NaN; NaN where there is nothing else."""
    return _extremum("fmin_reduce", np.nanmin, a, axis, out, keepdims, initial, where)


def _arg(
    function: Callable[..., Any], plain: Callable[..., Any], fill: float, *args: Any, **kwargs: Any
) -> Any:
    x, axis = lift(args[0]), args[1]
    if x.__class__ is not ndarray or x.dtype.kind == "c":
        return on_host(function, x, axis, **kwargs)
    if _can_be_nan(x) and x.size:
        if bool(_reductions.any(_reductions.all(_ufunc.isnan(x), axis))):
            raise ValueError("All-NaN slice encountered")
        x = _filled(x, fill)
    return plain(x, axis, **kwargs)


def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
    """Position of the maximum ignoring NaN; ValueError for slices of nothing else (observes values)."""
    return _arg(np.nanargmax, _reductions.argmax, -np.inf, a, axis, out=out, keepdims=keepdims)


def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
    """Position of the minimum ignoring NaN; ValueError for slices of nothing else (observes values)."""
    return _arg(np.nanargmin, _reductions.argmin, np.inf, a, axis, out=out, keepdims=keepdims)


def _inexact_only(dtype: Any, out: Any) -> None:
    """Means and variances of inexact arrays are inexact: TypeError otherwise, as NumPy."""
    if dtype is not None and not issubclass(np.dtype(dtype).type, np.inexact):
        raise TypeError("If a is inexact, then dtype must be inexact")
    if out is not None and not issubclass(out.dtype.type, np.inexact):
        raise TypeError("If a is inexact, then out must be inexact")


def nanmean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
) -> Any:
    """Mean over axes ignoring NaN; NaN where there is nothing else."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.nanmean, x, axis, dtype, out=out, keepdims=keepdims, where=where)
    if not _can_be_nan(x):
        return _reductions.mean(x, axis, dtype, out, keepdims, where=where)
    _inexact_only(dtype, out)
    return _reductions.mean(x, axis, dtype, out, keepdims, where=_and_valid(x, where))


def _nan_variance(
    plain: Callable[..., Any], function: Callable[..., Any], a: Any, options: dict[str, Any]
) -> Any:
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(function, x, **options)
    if not _can_be_nan(x):
        return plain(x, **options)
    _inexact_only(options["dtype"], options["out"])
    ddof = options["ddof"] if options["correction"] is NO_VALUE else options["correction"]
    out, options = options["out"], options | {"out": None}
    options["where"] = valid = _and_valid(x, options["where"])
    done = plain(x, **options)
    keep = options["keepdims"] is not NO_VALUE and bool(options["keepdims"])
    count = _reductions.sum(valid, options["axis"], dtypes.INT64, keepdims=keep)
    enough = _ufunc.greater(_ufunc.subtract(count, ddof), 0)
    found = _elementwise.call(OPS["where"], (enough, done, done.dtype.type(np.nan)))
    found._locked = done._locked  # a scalar where that is one
    return deliver(found, out)


def nanvar(
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
    """Variance over axes ignoring NaN; NaN where fewer than ddof + 1 elements count."""
    return _nan_variance(
        _reductions.var, np.nanvar, a, _moments(axis, dtype, out, ddof, keepdims, where, mean, correction)
    )


def nanstd(
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
    """Standard deviation over axes ignoring NaN; NaN where fewer than ddof + 1 elements count."""
    return _nan_variance(
        _reductions.std, np.nanstd, a, _moments(axis, dtype, out, ddof, keepdims, where, mean, correction)
    )


def _moments(*values: Any) -> dict[str, Any]:
    names = ("axis", "dtype", "out", "ddof", "keepdims", "where", "mean", "correction")
    return dict(zip(names, values, strict=True))
