"""Numerical functions beyond ufuncs: differences, gradients, integrals, interpolation, convolution, windows' relatives.

What is a composition of elementwise operations, views and reductions is recorded; the rest runs in libraries.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from cupynumeric import _composed, _elementwise, _reductions, _ufunc
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import cast, hosted, lazy, lift, lift_all, on_host
from cupynumeric._composed import over_parts
from cupynumeric._convert import host_view
from cupynumeric._reduce import NO_VALUE
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.ops import OPS

__all__ = [
    "convolve",
    "correlate",
    "cross",
    "diff",
    "ediff1d",
    "gradient",
    "i0",
    "interp",
    "poly",
    "polyadd",
    "polyder",
    "polydiv",
    "polyfit",
    "polyint",
    "polymul",
    "polysub",
    "polyval",
    "roots",
    "sinc",
    "trapezoid",
    "unwrap",
]


_ediff1d = hosted(np.ediff1d)


@functools.wraps(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of consecutive elements, flattened; over ranks recorded."""
    if runtime.world is None or not isinstance(ary, Ours) or to_end is not None or to_begin is not None:
        return _ediff1d(ary, to_end, to_begin)
    line = ary.reshape(-1)
    return line[1:] - line[:-1]


def _along(axis: int, item: Any, ndim: int) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, item, *(slice(None),) * (ndim - axis - 1))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE) -> Any:
    """The n-th difference of neighbors along an axis."""
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    x = lift(a)
    if x.__class__ is not ndarray:
        return on_host(np.diff, x, n, axis, prepend, append)
    if x.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = infer.normalize_axis(axis, x.ndim)
    parts = [_edge(prepend, x, axis), x, _edge(append, x, axis)]
    if len([p for p in parts if p is not None]) > 1:
        from cupynumeric._joining import concatenate

        x = concatenate([p for p in parts if p is not None], axis)
    step = _ufunc.not_equal if x.dtype == dtypes.BOOL else _ufunc.subtract
    after, before = (_along(axis, s, x.ndim) for s in (slice(1, None), slice(None, -1)))
    for _ in range(n):
        x = step(x[after], x[before])
    return x


def _edge(value: Any, x: ndarray, axis: int) -> Any:
    if value is NO_VALUE:
        return None
    e = lift(value)
    if e.ndim == 0:
        from cupynumeric._shape import broadcast_to

        shape = list(x.shape)
        shape[axis] = 1
        e = broadcast_to(e, tuple(shape))
    return e


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences inside and one-sided ones at the ends, along each axis (a tuple of arrays for several axes)."""
    x = lift(f)
    plain = x.__class__ is ndarray and all(isinstance(v, (int, float)) for v in varargs)
    if not plain or edge_order not in (1, 2):
        return on_host(np.gradient, x, *varargs, axis=axis, edge_order=edge_order)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        given = axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(infer.normalize_axis(operator.index(d), x.ndim) for d in given)
    if len(varargs) not in (0, 1, len(axes)) or len(axes) == 0 or len(set(axes)) != len(axes):
        return on_host(np.gradient, x, *varargs, axis=axis, edge_order=edge_order)
    spacing = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    if any(x.shape[d] < edge_order + 1 for d in axes):
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are required."
        )
    if x.dtype.kind in "biu":
        x = cast(x, dtypes.FLOAT64)
    done = [_slope(x, d, h, edge_order) for d, h in zip(axes, spacing, strict=True)]
    return done[0] if len(axes) == 1 else tuple(done)


def _slope(f: ndarray, axis: int, h: float, edge_order: int) -> Any:
    from cupynumeric._creation import empty

    def at(item: Any) -> Any:
        return f[_along(axis, item, f.ndim)]

    out = empty(f.shape, f.dtype)
    out[_along(axis, slice(1, -1), f.ndim)] = (at(slice(2, None)) - at(slice(None, -2))) / (2.0 * h)
    if edge_order == 1:
        first = (at(slice(1, 2)) - at(slice(0, 1))) / h
        last = (at(slice(-1, None)) - at(slice(-2, -1))) / h
    else:
        first = (-1.5 / h) * at(slice(0, 1)) + (2.0 / h) * at(slice(1, 2)) + (-0.5 / h) * at(slice(2, 3))
        last = (
            (0.5 / h) * at(slice(-3, -2)) + (-2.0 / h) * at(slice(-2, -1)) + (1.5 / h) * at(slice(-1, None))
        )
    out[_along(axis, slice(0, 1), f.ndim)] = first
    out[_along(axis, slice(-1, None), f.ndim)] = last
    return out


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule."""
    values = lift(y)
    points = None if x is None else lift(x)
    if values.__class__ is not ndarray or (points is not None and points.__class__ is not ndarray):
        return on_host(np.trapezoid, y, x, dx, axis)
    axis = infer.normalize_axis(axis, values.ndim)
    steps = dx
    if points is not None:
        steps = diff(points) if points.ndim == 1 else diff(points, axis=axis)
        if points.ndim == 1:
            shape = [1] * values.ndim
            shape[axis] = steps.shape[0]
            steps = steps.reshape(tuple(shape))
    after, before = (_along(axis, s, values.ndim) for s in (slice(1, None), slice(None, -1)))
    both = _ufunc.add(values[after], values[before])
    return _reductions.sum(_ufunc.divide(_ufunc.multiply(steps, both), 2.0), axis)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """The vector product of vectors of 3 (or 2) components along given axes."""
    pair = lift_all(a, b)
    if axis is not None:
        axisa = axisb = axisc = axis
    last = axisa == axisb == axisc == -1
    if pair is None or not last or any(x.ndim == 0 or x.shape[-1] != 3 for x in pair):
        return on_host(np.cross, a, b, axisa, axisb, axisc, axis)
    from cupynumeric._joining import stack

    p, q = ([x[..., k] for k in range(3)] for x in pair)
    done = [p[(k + 1) % 3] * q[(k + 2) % 3] - p[(k + 2) % 3] * q[(k + 1) % 3] for k in range(3)]
    return stack(done, axis=-1)


# ---- library calls -----------------------------------------------------------------------------------------------


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind and order 0; recorded."""
    a = lift(x)
    if a.__class__ is not ndarray or a.dtype.kind == "c" or a.ndim == 0:
        return on_host(np.i0, a)
    dtype = a.dtype if a.dtype.kind == "f" else dtypes.FLOAT64
    return lazy("numpy", (cast(a, dtype),), a.shape, dtype, function="i0")


poly = hosted(np.poly)
polyadd = hosted(np.polyadd)
polyder = hosted(np.polyder)
polydiv = hosted(np.polydiv)
polyfit = over_parts(hosted(np.polyfit), _composed.polyfit)
polyint = hosted(np.polyint)
polymul = hosted(np.polymul)
polysub = hosted(np.polysub)
roots = hosted(np.roots)
unwrap = over_parts(hosted(np.unwrap), _composed.unwrap)


def polyval(p: Any, x: Any) -> Any:
    """The polynomial with coefficients p (highest first) at x, by Horner's rule; recorded."""
    if isinstance(x, np.poly1d) or lift_all(p, x) is None:
        return on_host(np.polyval, p, x)
    a = lift(x)
    coefficients = host_view(lift(p))
    y = _ufunc.multiply(a, 0)
    for c in coefficients:
        y = _ufunc.add(_ufunc.multiply(y, a), c)
    return y


def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0."""
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(np.sinc, a)
    a = cast(a, np.result_type(a.dtype, 1.0)) if a.dtype.kind in "biu" else a
    tiny = np.finfo(a.dtype).eps
    y = _ufunc.multiply(np.pi, _elementwise.call(OPS["where"], (_ufunc.equal(a, 0), a.dtype.type(tiny), a)))
    return _ufunc.divide(_ufunc.sin(y), y)


def _interpolates(x: ndarray, xp: ndarray, fp: ndarray) -> bool:
    """Whether NumPy has nothing to say against arguments of `interp`."""
    return (
        x.dtype.kind in "biuf"
        and xp.dtype.kind in "biuf"
        and xp.ndim == 1
        and xp.size > 0
        and fp.shape == xp.shape
    )


def _plain(end: Any) -> bool:
    return end is None or (type(end) in (int, float) and end == end)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation through the points (xp, fp); see `numpy.interp`. Over ranks recorded."""
    points = None if runtime.world is None or period is not None else lift_all(x, xp, fp)
    if points is not None and points[0].ndim and _interpolates(*points) and _plain(left) and _plain(right):
        ends = {"left": left, "right": right}
        dtype = dtypes.COMPLEX128 if points[2].dtype.kind == "c" else dtypes.FLOAT64
        return lazy("numpy", points, points[0].shape, dtype, function="interp", **ends)
    return on_host(np.interp, x, xp, fp, left, right, period)


def _sliding(name: str, a: Any, v: Any, mode: Any) -> Any:
    pair = lift_all(a, v)
    if pair is None or not isinstance(mode, str) or mode not in ("full", "same", "valid"):
        return on_host(getattr(np, name), a, v, mode)
    x, y = (p if p.ndim else p.reshape(1) for p in pair)
    if x.ndim != 1 or y.ndim != 1 or 0 in (x.size, y.size):
        return on_host(getattr(np, name), a, v, mode)
    n, m = max(x.size, y.size), min(x.size, y.size)
    size = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    return lazy(name, (x, y), (size,), np.result_type(x.dtype, y.dtype), mode=mode)


def convolve(a: Any, v: Any, mode: str = "full", method: str = "auto") -> Any:
    """The discrete convolution of two 1-d arrays, or, with mode 'same', of arrays of any one number of axes.

    `method` ('auto', 'direct', 'fft') is accepted for cuPyNumeric's sake; the library chooses.
    """
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"unknown method {method!r}")
    if mode == "same":
        pair = lift_all(a, v)
        if pair is not None and pair[0].ndim == pair[1].ndim > 1:
            return _convolve_many(*pair)
    return _sliding("convolve", a, v, mode)


def _convolve_many(a: ndarray, v: ndarray) -> Any:
    """The part of the full convolution that lies centered under `a`, zeros beyond its edges."""
    from cupynumeric.ndimage import convolve as filtered

    wide = cast(a, np.result_type(a.dtype, v.dtype))
    centers = tuple((n - 1) // 2 - n // 2 for n in v.shape)
    return filtered(wide, v, mode="constant", origin=centers)


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two 1-d arrays."""
    return _sliding("correlate", a, v, mode)
