"""Statistics: averages, order statistics, histograms, covariance.

Averages and covariances are recorded; order statistics and counting run in libraries at once.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from cupynumeric import _composed, _products, _quantiles, _reduce, _reductions, _together, _ufunc
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import cast, hosted, lazy, lift, on_host, wrapped
from cupynumeric._composed import over_parts
from cupynumeric._convert import host_view, to_numpy_tree
from cupynumeric._reduce import NO_VALUE
from legate_jit import runtime
from legate_jit.immediate import irregular
from legate_jit.ir import dtypes, infer

__all__ = [
    "average",
    "bincount",
    "corrcoef",
    "cov",
    "digitize",
    "histogram",
    "histogram2d",
    "histogram_bin_edges",
    "histogramdd",
    "median",
    "percentile",
    "quantile",
]

_histogram_bin_edges = hosted(np.histogram_bin_edges)
_histogram2d = hosted(np.histogram2d)
_histogramdd = hosted(np.histogramdd)
corrcoef = over_parts(hosted(np.corrcoef), _composed.corrcoef)


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NO_VALUE
) -> Any:
    """Weighted average over axes; with `returned` also the sum of the weights."""
    x = lift(a)
    w = None if weights is None else lift(weights)
    if x.__class__ is not ndarray or (w is not None and w.__class__ is not ndarray):
        return on_host(np.average, x, axis, weights, returned, keepdims=keepdims)
    if w is None:
        done = _reductions.mean(x, axis, keepdims=keepdims)
        if not returned:
            return done
        from cupynumeric._creation import full

        n = x.size / done.size if done.size else 0
        return done, full(done.shape, n, done.dtype)
    common = (
        np.result_type(x.dtype, w.dtype, "f8") if x.dtype.kind in "biu" else np.result_type(x.dtype, w.dtype)
    )
    if w.shape != x.shape:
        w = _aligned_weights(x, w, axis)
    total = _reductions.sum(w, axis, dtype=common, keepdims=keepdims)
    if bool(_reductions.any(_ufunc.equal(total, 0))):
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    products = _ufunc.multiply(x, w, dtype=common)
    done = _ufunc.divide(_reductions.sum(products, axis, keepdims=keepdims), total)
    if not returned:
        return done
    if total.shape != done.shape:
        from cupynumeric._shape import broadcast_to

        total = broadcast_to(total, done.shape).copy()
    return done, total


def _aligned_weights(x: ndarray, w: ndarray, axis: Any) -> Any:
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(infer.normalize_axis(operator.index(d), x.ndim) for d in axes)
    if w.shape != tuple(x.shape[d] for d in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
    order = sorted(range(len(axes)), key=lambda k: axes[k])
    moved = w.transpose(tuple(order)) if len(axes) > 1 else w
    return moved.reshape(tuple(n if d in axes else 1 for d, n in enumerate(x.shape)))


def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """The middle value along axes, the mean of the two middle ones for even counts; recorded as a library call."""
    x = lift(a)
    if x.__class__ is not ndarray or out is not None or x.size == 0:
        return on_host(np.median, x, axis, out=out, keepdims=keepdims)
    found = _quantiles.median(x, axis, keepdims)
    if found is not None:
        return found
    axes = _reduce.normalize_axes(axis, x.ndim)
    shape = (
        _reduce.unit_axes(x.shape, axes)
        if keepdims
        else tuple(n for d, n in enumerate(x.shape) if d not in axes)
    )
    dtype = np.median(np.zeros(1, x.dtype)).dtype
    return lazy(
        "numpy", (x,), shape, dtype, function="median", axis=axes if axes else None, keepdims=bool(keepdims)
    )


percentile = _quantiles.function(np.percentile, _quantiles.quantile, True)
quantile = _quantiles.function(np.quantile, _quantiles.quantile, False)


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Covariance of variables in rows (or columns); weights are looked at when it is called."""
    x = lift(m)
    other = None if y is None else lift(y)
    options = {"fweights": fweights, "aweights": aweights, "dtype": dtype}
    plain = x.__class__ is ndarray and 1 <= x.ndim <= 2
    if other is not None:
        plain = plain and other.__class__ is ndarray and 1 <= other.ndim <= 2 and other.size > 0
    if not plain or x.size == 0 or (ddof is not None and ddof != int(ddof)):
        return on_host(np.cov, x, y, rowvar, bias, ddof, **options)
    types = [v.dtype for v in (x, other) if v is not None]
    target = np.result_type(*types, np.float64) if dtype is None else np.dtype(dtype)
    turned = not rowvar and x.ndim != 1
    x = x.reshape((1, *x.shape)) if x.ndim == 1 else x
    x = cast(x.transpose() if turned else x, target)
    n = x.shape[1]
    if other is not None:
        from cupynumeric._joining import concatenate

        other = other.reshape((1, *other.shape)) if other.ndim == 1 else other
        other = other.transpose() if not rowvar and other.shape[0] != 1 else other
        if other.shape[1] != n:
            return on_host(np.cov, m, y, rowvar, bias, ddof, **options)
        x = concatenate((x, cast(other, target)))
    ddof = (0 if bias else 1) if ddof is None else int(ddof)
    weights = _weights_of_samples(n, ddof, fweights, aweights)
    if weights is None:
        return on_host(np.cov, m, y, rowvar, bias, ddof, **options)
    w, total, left = weights
    if w is None:
        centered = weighted = _ufunc.subtract(x, _reductions.mean(x, 1, keepdims=True))
    else:
        sums = _reductions.sum(_ufunc.multiply(x, w), 1, keepdims=True)
        centered = _ufunc.subtract(x, _ufunc.divide(sums, total))
        weighted = _ufunc.multiply(centered, w)
    conjugate = _ufunc.conjugate(weighted) if target.kind == "c" else weighted
    done = _ufunc.multiply(_products.dot(centered, conjugate.transpose()), 1 / left)
    return done.reshape(()) if done.shape == (1, 1) else done


def _weights_of_samples(
    n: int, ddof: int, fweights: Any, aweights: Any
) -> tuple[ndarray | None, float, float] | None:
    """The weights of n samples (None: all alike), their sum, and what is left of it without the degrees of freedom; None for
    those that NumPy refuses or warns of."""
    given = [None if v is None else lift(v) for v in (fweights, aweights)]
    for v in given:
        if v is not None and (v.__class__ is not ndarray or v.shape != (n,) or v.dtype.kind not in "biuf"):
            return None
    frequencies, importance = [None if v is None else cast(v, dtypes.FLOAT64) for v in given]
    for v in (frequencies, importance):
        if v is not None and bool(_reductions.any(_ufunc.less(v, 0))):
            return None
    if frequencies is None and importance is None:
        return (None, n, n - ddof) if n > ddof else None
    if frequencies is not None and not bool(
        _reductions.all(_ufunc.equal(frequencies, _ufunc.rint(frequencies)))
    ):
        return None
    w = importance if frequencies is None else frequencies
    if frequencies is not None and importance is not None:
        w = _ufunc.multiply(frequencies, importance)
    total = float(_reductions.sum(w))
    if not total:
        return None
    left = total
    if ddof and importance is None:
        left -= ddof
    elif ddof:
        left -= ddof * float(_reductions.sum(_ufunc.multiply(w, importance))) / total
    return (w, total, left) if left > 0 else None


def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs, or the sum of its weights; observes the largest value."""
    plain = weights is None or isinstance(weights, Ours)
    if plain and isinstance(x, Ours) and x.ndim == 1 and isinstance(minlength, int) and minlength >= 0:
        if runtime.world is not None:
            found = _together.bincount(x, weights, minlength)
            if found is not None:
                return found
        if irregular.worthwhile(x.size):
            counts = irregular.bincount(host_view(x), minlength, to_numpy_tree(weights))
            if counts is not None:
                return wrapped(counts)
    return on_host(np.bincount, x, weights, minlength)


def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Counts of elements in bins, and the edges of the bins; observes values."""
    if runtime.world is not None and isinstance(a, Ours) and (weights is None or isinstance(weights, Ours)):
        counted = _together.histogram(a, to_numpy_tree(bins), to_numpy_tree(range), weights)
        if counted is not None:
            counts, edges = counted
            return wrapped((counts / np.diff(edges) / counts.sum(), edges) if density else counted)
    if weights is None and isinstance(a, Ours) and _countable(a.dtype) and isinstance(bins, int):
        values = a if a.dtype.kind == "f" else a.astype(np.float64)  # exact, as NumPy compares with the edges
        found = _equal_bins(host_view(values).ravel(), bins, range, bool(density))
        if found is not None:
            return wrapped(found)
    return on_host(np.histogram, a, bins, range, density, weights)


@functools.wraps(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of equal bins; observes values."""
    over_ranks = runtime.world is not None and isinstance(a, Ours) and a.size and a.dtype.kind in "iuf"
    if over_ranks and not isinstance(bins, str) and weights is None:
        ends = np.array([to_numpy_tree(_reductions.min(a)), to_numpy_tree(_reductions.max(a))])
        return wrapped(np.histogram_bin_edges(ends, to_numpy_tree(bins), to_numpy_tree(range)))
    return _histogram_bin_edges(a, bins, range, weights)


@functools.wraps(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Counts of points in boxes, and the edges of the boxes along each axis; observes values."""
    if runtime.world is not None:
        found = _in_boxes(sample, bins, range, density, weights)
        if found is not None:
            return wrapped(found)
    return _histogramdd(sample, bins, range, density, weights)


@functools.wraps(np.histogram2d)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Counts of points in rectangles, and the edges along both axes; observes values."""
    if runtime.world is not None and isinstance(x, Ours) and isinstance(y, Ours) and x.shape == y.shape:
        from cupynumeric._joining import stack

        both = [bins, bins] if hasattr(bins, "__len__") and len(bins) > 2 else bins
        found = _in_boxes(stack([x, y], 1), both, range, density, weights) if x.ndim == 1 else None
        if found is not None:
            return wrapped((found[0], *found[1]))
    return _histogram2d(x, y, bins, range, density, weights)


def _in_boxes(sample: Any, bins: Any, limits: Any, density: Any, weights: Any) -> Any:
    """Counts and edges for points that lie in parts on several ranks, or None where they do not."""
    return _together.histogramdd(sample, to_numpy_tree(bins), to_numpy_tree(limits), weights, bool(density))


def _countable(dtype: np.dtype) -> bool:
    """Whether values of this dtype are floats, or integers that doubles hold."""
    return dtype.kind == "f" or (dtype.kind in "iu" and dtype.itemsize <= 4)


def _equal_bins(x: np.ndarray, bins: int, limits: Any, density: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """The histogram of a large array in equal bins, or None when NumPy should do it."""
    if not irregular.worthwhile(x.size) or bins < 1:
        return None
    ends = np.array(irregular.bounds(x) if limits is None else (0, 1), x.dtype)
    edges = np.histogram_bin_edges(ends, bins, to_numpy_tree(limits))
    counts = irregular.histogram(x, edges)
    if counts is None:
        return None
    return (counts / np.diff(edges) / counts.sum(), edges) if density else (counts, edges)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The bin each element falls into, for monotonic bin edges."""
    a = lift(x)
    edges = host_view(lift(bins)) if isinstance(lift(bins), Ours) else bins
    if a.__class__ is not ndarray or a.dtype.kind == "c":
        return on_host(np.digitize, x, bins, right)
    np.digitize(np.zeros(1, a.dtype), edges, right)  # NumPy's errors for bad edges
    return lazy("numpy", (a, lift(bins)), a.shape, dtypes.INT64, function="digitize", right=bool(right))
