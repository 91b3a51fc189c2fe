"""Tests and comparisons: closeness, equality of arrays, kinds of numbers, clipping and rounding.

Elementwise answers are recorded; answers that are one Python bool observe values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric import _elementwise, _reductions, _ufunc
from cupynumeric._array import SCALAR, Ours, ndarray
from cupynumeric._calls import cast, deliver, lift, lift_all, on_host, scalar
from cupynumeric._convert import to_numpy_tree
from cupynumeric._reduce import NO_VALUE
from legate_jit.ir import dtypes
from legate_jit.ir.ops import OPS

__all__ = [
    "allclose",
    "angle",
    "around",
    "array_equal",
    "array_equiv",
    "clip",
    "fix",
    "imag",
    "isclose",
    "iscomplex",
    "iscomplexobj",
    "isneginf",
    "isposinf",
    "isreal",
    "isrealobj",
    "isscalar",
    "nan_to_num",
    "real",
    "real_if_close",
    "round",
]


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether |a - b| <= atol + rtol * |b|, elementwise; infinities are close to themselves."""
    if lift_all(a, b) is None or not (_tolerance(rtol) and _tolerance(atol)):
        return on_host(np.isclose, a, b, rtol, atol, equal_nan)
    # Of two Python numbers none can follow the other's dtype.
    weak = not (_is_python_number(a) and _is_python_number(b))
    x = a if weak and _is_python_number(a) else lift(a)
    y = b if weak and _is_python_number(b) else lift(b)
    if isinstance(y, Ours):
        y = cast(y, np.result_type(y.dtype, 1.0))
    elif isinstance(y, int):
        y = float(y)
    distance = _ufunc.absolute(_ufunc.subtract(x, y))
    bound = (
        _ufunc.add(atol, _ufunc.multiply(rtol, _ufunc.absolute(y)))
        if isinstance(y, Ours)
        else atol + rtol * abs(y)
    )
    near = _ufunc.logical_and(_ufunc.less_equal(distance, bound), _ufunc.isfinite(y))
    near = _ufunc.logical_or(near, _ufunc.equal(x, y))
    if equal_nan:
        near = _ufunc.logical_or(near, _ufunc.logical_and(_ufunc.isnan(x), _ufunc.isnan(y)))
    return near


def _is_python_number(x: Any) -> bool:
    return type(x) in (int, float, complex)


def _tolerance(x: Any) -> bool:
    return isinstance(x, (float, int)) and np.isfinite(x)


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close (a Python bool; observes values)."""
    return bool(_reductions.all(isclose(a, b, rtol, atol, equal_nan)))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Whether two arrays have the same shape and elements (a Python bool; observes values)."""
    try:
        pair = lift_all(a1, a2)
    except Exception:  # what NumPy cannot make an array of is equal to nothing
        return False
    if pair is None:
        return bool(np.array_equal(to_numpy_tree(a1), to_numpy_tree(a2), equal_nan=equal_nan))
    x, y = pair
    if x.shape != y.shape:
        return False
    same = _ufunc.equal(x, y)
    if equal_nan and x.dtype.kind in "fc" and y.dtype.kind in "fc":
        same = _ufunc.logical_or(same, _ufunc.logical_and(_ufunc.isnan(x), _ufunc.isnan(y)))
    return bool(_reductions.all(same))


def array_equiv(a1: Any, a2: Any) -> bool:
    """Whether two arrays are equal after broadcasting (a Python bool; observes values)."""
    try:
        pair = lift_all(a1, a2)
    except Exception:  # what NumPy cannot make an array of is equal to nothing
        return False
    if pair is None:
        return bool(np.array_equiv(to_numpy_tree(a1), to_numpy_tree(a2)))
    try:
        np.broadcast_shapes(pair[0].shape, pair[1].shape)
    except ValueError:
        return False
    return bool(_reductions.all(_ufunc.equal(*pair)))


# ---- kinds of numbers --------------------------------------------------------------------------------------------


def real(val: Any) -> Any:
    """The real part: a view of a complex array, the array itself otherwise."""
    try:
        return val.real
    except AttributeError:
        x = lift(val)
    return x.real if x.__class__ is ndarray else on_host(np.real, x)


def imag(val: Any) -> Any:
    """The imaginary part: a view of a complex array, zeros otherwise."""
    try:
        return val.imag
    except AttributeError:
        x = lift(val)
    return x.imag if x.__class__ is ndarray else on_host(np.imag, x)


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype (or type) is complex."""
    return bool(x.dtype.kind == "c") if isinstance(x, Ours) else bool(np.iscomplexobj(x))


def isrealobj(x: Any) -> bool:
    """Whether the dtype (or type) is not complex."""
    return not iscomplexobj(x)


def isscalar(element: Any) -> bool:
    """Whether `element` is a scalar (arrays, 0-d ones included, are not); results that NumPy gives as scalars are."""
    if isinstance(element, Ours):
        return element._locked == SCALAR and not element.ndim
    return bool(np.isscalar(element))


def iscomplex(x: Any) -> Any:
    """Whether each element has an imaginary part that is not zero."""
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(np.iscomplex, a)
    if a.dtype.kind == "c":
        return _ufunc.not_equal(_elementwise.call(OPS["imag"], (a,)), 0)
    from cupynumeric._creation import full

    none = full(a.shape, False, dtypes.BOOL)
    none._locked = not a.shape and SCALAR
    return none


def isreal(x: Any) -> Any:
    """Whether each element has no imaginary part."""
    return _ufunc.logical_not(iscomplex(x))


def _infinite(x: Any, out: Any, negative: bool, name: str) -> Any:
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(getattr(np, name), a, out)
    if a.dtype.kind == "c":
        raise TypeError(
            f"This operation is not supported for {a.dtype} values because it would be ambiguous."
        )
    sign = _ufunc.signbit(a) if a.dtype.kind == "f" else _ufunc.less(a, 0) if a.dtype.kind == "i" else False
    wanted = sign if negative else _ufunc.logical_not(sign)
    return _ufunc.logical_and(_ufunc.isinf(a), wanted, out)


def isposinf(x: Any, out: Any = None) -> Any:
    """Whether each element is positive infinity."""
    return _infinite(x, out, False, "isposinf")


def isneginf(x: Any, out: Any = None) -> Any:
    """Whether each element is negative infinity."""
    return _infinite(x, out, True, "isneginf")


def real_if_close(a: Any, tol: Any = 100) -> Any:
    """The real part when every imaginary part is within `tol` epsilons of zero, else the array (observes values)."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.real_if_close, x, tol)
    if x.dtype.kind != "c":
        return x
    bound = np.finfo(x.dtype).eps * tol if tol > 1 else tol
    part = _elementwise.call(OPS["imag"], (x,))
    small = _ufunc.less(_ufunc.absolute(part), bound)
    return real(x) if bool(_reductions.all(small)) else x


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN and infinities replaced by finite numbers (the largest of the dtype, by default); in place if copy is False."""
    a = lift(x)
    if a.__class__ is not ndarray or not _tolerance_like(nan, posinf, neginf):
        return on_host(np.nan_to_num, a, copy, nan, posinf, neginf)
    if a.dtype.kind not in "fc":
        return scalar(a.copy()) if copy else a
    if a.dtype.kind == "c":
        parts = (_elementwise.call(OPS[p], (a,)) for p in ("real", "imag"))
        done = _elementwise.call(OPS["complex"], tuple(_finite(p, nan, posinf, neginf) for p in parts))
    else:
        done = _finite(a, nan, posinf, neginf)
    return scalar(done) if copy or not isinstance(x, Ours) else deliver(done, x)


def _tolerance_like(*xs: Any) -> bool:
    return all(x is None or isinstance(x, (float, int)) for x in xs)


def _finite(a: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    info = np.finfo(a.dtype)
    high = info.max if posinf is None else a.dtype.type(posinf)
    low = info.min if neginf is None else a.dtype.type(neginf)
    where = OPS["where"]
    done = _elementwise.call(where, (_ufunc.isnan(a), a.dtype.type(nan), a))
    done = _elementwise.call(where, (isposinf(a), a.dtype.type(high), done))
    return _elementwise.call(where, (isneginf(a), a.dtype.type(low), done))


def angle(z: Any, deg: bool = False) -> Any:
    """The argument of each complex number, in radians (or degrees)."""
    x = lift(z)
    if x.__class__ is not ndarray:
        return on_host(np.angle, x, deg)
    if x.dtype.kind == "c":
        parts = tuple(_elementwise.call(OPS[p], (x,)) for p in ("imag", "real"))
    else:
        parts = (0, x)
    done = _ufunc.arctan2(*parts)
    return _ufunc.multiply(done, 180 / np.pi) if deg else done


# ---- clipping and rounding ---------------------------------------------------------------------------------------


def clip(
    a: Any,
    a_min: Any = NO_VALUE,
    a_max: Any = NO_VALUE,
    out: Any = None,
    *,
    min: Any = NO_VALUE,
    max: Any = NO_VALUE,
    **kwargs: Any,
) -> Any:
    """Elements limited to [a_min, a_max]; either may be None. Keywords are those of ufuncs."""
    if a_min is NO_VALUE and a_max is NO_VALUE:
        a_min = None if min is NO_VALUE else min
        a_max = None if max is NO_VALUE else max
    elif a_min is NO_VALUE:
        raise TypeError("clip() missing 1 required positional argument: 'a_min'")
    elif a_max is NO_VALUE:
        raise TypeError("clip() missing 1 required positional argument: 'a_max'")
    elif min is not NO_VALUE or max is not NO_VALUE:
        raise ValueError(
            "Passing `min` or `max` keyword argument when `a_min` and `a_max` are provided is forbidden."
        )
    x = lift(a)
    if x.__class__ is not ndarray or kwargs or x.dtype.kind == "c":
        return on_host(np.clip, x, a_min, a_max, out=out, **kwargs)
    low, high = (_open_bound(x, b, k) for k, b in enumerate((a_min, a_max)))
    if low is None and high is None:
        return _ufunc.positive(x, out=out) if x.dtype != dtypes.BOOL else deliver(x.copy(), out)
    if low is None:
        return _ufunc.minimum(x, high, out=out)
    if high is None:
        return _ufunc.maximum(x, low, out=out)
    if out is None:
        return _ufunc.minimum(_ufunc.maximum(x, low), high)
    common = _ufunc.minimum(_ufunc.maximum(x, low), high)
    return deliver(common, out, "same_kind", "clip")


def _open_bound(x: Any, bound: Any, k: int) -> Any:
    """A Python int beyond an integer dtype's range limits nothing."""
    if bound.__class__ is int and x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        if (k == 0 and bound <= info.min) or (k == 1 and bound >= info.max):
            return info.min if k == 0 else info.max
    return bound


def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Rounded to `decimals` places, halves to even, by NumPy's formula."""
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.round, x, decimals, out=out)
    kind = x.dtype.kind
    if kind in "biu":
        if decimals >= 0:
            return deliver(x.copy(), out) if kind != "b" else on_host(np.round, x, decimals, out=out)
        return deliver(on_host(np.round, x, decimals), out)
    if kind == "c":
        parts = (_elementwise.call(OPS[p], (x,)) for p in ("real", "imag"))
        done = _elementwise.call(OPS["complex"], tuple(_rounded(p, decimals) for p in parts))
    else:
        done = _rounded(x, decimals)
    return deliver(done, out)


def _rounded(x: Any, decimals: int) -> Any:
    if decimals == 0:
        return _ufunc.rint(x)
    scale = float(10 ** abs(decimals))
    if decimals > 0:
        return _ufunc.divide(_ufunc.rint(_ufunc.multiply(x, scale)), scale)
    return _ufunc.multiply(_ufunc.rint(_ufunc.divide(x, scale)), scale)


around = round


def fix(x: Any, out: Any = None) -> Any:
    """Rounded towards zero."""
    return _ufunc.trunc(x, out=out)
