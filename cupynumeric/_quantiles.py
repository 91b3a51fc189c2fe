"""Order statistics of arrays over several ranks: medians and quantiles, made of the elements that stand at a few places of the
sorted array, which the ranks find without anybody having all of it.

Every function gives None where NumPy should do it: with one rank, for small arrays, and for what is not here. Knows NumPy's
semantics of quantiles.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _reduce, _reductions, _ufunc
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import hosted, lazy, wrapped
from cupynumeric._convert import host_view, to_numpy_tree
from legate_jit import runtime
from legate_jit.immediate import together

__all__ = ["function", "median", "nan_median", "nan_quantile", "quantile"]


def function(numpy: Callable[..., Any], find: Callable[..., Any], percent: bool) -> Callable[..., Any]:
    """A quantile function of NumPy's: what `find` finds of arrays over ranks, else NumPy's own on the whole; observes values."""
    on_whole = hosted(numpy)

    @functools.wraps(numpy)
    def quantiles(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = _reduce.NO_VALUE,
        **kwargs: Any,
    ) -> Any:
        rest = {} if keepdims is _reduce.NO_VALUE else {"keepdims": keepdims}
        if out is None and not kwargs:
            found = find(a, q, axis, method, bool(rest.get("keepdims")), percent)
            if found is not None:
                return found
        return on_whole(a, q, axis, out, method=method, **rest, **kwargs)

    quantiles.__module__ = "cupynumeric"
    return quantiles


def _over_ranks(x: Any) -> bool:
    return (
        runtime.world is not None
        and isinstance(x, Ours)
        and bool(x.ndim)
        and together.worthwhile(x.size)
        and x.dtype.kind in "iuf"
    )


def _standing(x: ndarray, axes: tuple[int, ...], places: tuple[int, ...]) -> ndarray:
    """The elements at `places` of x sorted along axes, stacked along a new first axis; recorded."""
    kept = tuple(d for d in range(x.ndim) if d not in axes)
    axis = 0
    if not kept:
        x = x.reshape(-1)
    elif len(axes) == 1:
        axis = axes[0]
    else:
        x = x.transpose((*axes, *kept)).reshape((-1, *(x.shape[d] for d in kept)))
    rest = tuple(n for d, n in enumerate(x.shape) if d != axis)
    return lazy("order", (x,), (len(places), *rest), x.dtype, axis=axis, places=places)


def _along(x: ndarray, axis: Any) -> tuple[tuple[int, ...], int]:
    """The reduced axes, and how many elements they have."""
    axes = _reduce.normalize_axes(axis, x.ndim)
    return axes, math.prod(x.shape[d] for d in axes)


def _valid(x: ndarray) -> int:
    """How many elements are not NaN; observes values."""
    if x.dtype.kind != "f":
        return int(x.size)
    return int(x.size) - int(_reductions.count_nonzero(_ufunc.isnan(x)))


def _by_lines(x: ndarray, axes: tuple[int, ...], keepdims: bool, **options: Any) -> ndarray | None:
    """A function of NumPy along one axis, one result for each line; recorded, and computed where the lines are whole."""
    if len(axes) != 1:
        return None
    shape = _reduce.unit_axes(x.shape, axes) if keepdims else tuple(np.delete(x.shape, axes).tolist())
    rest = {k: v for k, v in options.items() if k != "function"}
    dtype = getattr(np, options["function"])(np.ones(1, x.dtype), **rest).dtype
    return lazy("numpy", (x,), shape, dtype, axis=axes[0], keepdims=keepdims, **options)


# ---- medians ------------------------------------------------------------------------------------------------------


def median(x: Any, axis: Any, keepdims: bool) -> ndarray | None:
    """`numpy.median`, recorded."""
    if not _over_ranks(x):
        return None
    axes, n = _along(x, axis)
    return _median(x, axes, n, keepdims, x.dtype.kind == "f") if axes else None


def nan_median(x: Any, axis: Any, keepdims: bool) -> ndarray | None:
    """`numpy.nanmedian`: of all elements observes how many there are, along an axis is recorded."""
    if not _over_ranks(x):
        return None
    axes, _ = _along(x, axis)
    if len(axes) < x.ndim:
        return _by_lines(x, axes, keepdims, function="nanmedian")
    n = _valid(x)
    return _median(x, axes, n, keepdims, False) if n else None


def _median(x: ndarray, axes: tuple[int, ...], n: int, keepdims: bool, nan: bool) -> ndarray:
    middle = (n // 2,) if n % 2 else (n // 2 - 1, n // 2)
    found = _standing(x, axes, (*middle, n - 1) if nan else middle)
    done: ndarray = _reductions.mean(found[: len(middle)], 0)
    if nan:
        from cupynumeric._advanced import where

        done = where(_ufunc.isnan(found[-1]), found[-1], done)
    return done.reshape(_reduce.unit_axes(x.shape, axes)) if keepdims else done


# ---- quantiles ----------------------------------------------------------------------------------------------------


def _continuous(alpha: float, beta: float) -> Callable[[int, Any], Any]:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


#: methods that give elements, wherever they are told to look at integers
_EXACT = frozenset({"linear", "lower", "higher", "nearest"})
#: where in the sorted elements a quantile stands, by the name of the method; between two if that is not an integer
_METHODS: dict[str, Callable[[int, Any], Any]] = {
    "linear": lambda n, q: (n - 1) * q,
    "lower": lambda n, q: np.floor((n - 1) * q).astype(np.intp),
    "higher": lambda n, q: np.ceil((n - 1) * q).astype(np.intp),
    "nearest": lambda n, q: np.around((n - 1) * q).astype(np.intp),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
    "hazen": _continuous(0.5, 0.5),
    "weibull": _continuous(0, 0),
    "median_unbiased": _continuous(1 / 3, 1 / 3),
    "normal_unbiased": _continuous(3 / 8, 3 / 8),
}


def quantile(x: Any, q: Any, axis: Any, method: str, keepdims: bool, percent: bool) -> Any:
    """`numpy.quantile`, or `numpy.percentile`; observes values."""
    if not _over_ranks(x) or method not in _METHODS:
        return None
    axes, n = _along(x, axis)
    return _quantile(x, q, axes, n, method, keepdims, percent, x.dtype.kind == "f") if axes else None


def nan_quantile(x: Any, q: Any, axis: Any, method: str, keepdims: bool, percent: bool) -> Any:
    """`numpy.nanquantile`, or `numpy.nanpercentile`: of all elements observes values, along an axis is recorded."""
    if not _over_ranks(x) or method not in _METHODS:
        return None
    axes, _ = _along(x, axis)
    if len(axes) < x.ndim:
        if type(q) not in (int, float) or not 0 <= q <= (100 if percent else 1):
            return None
        function = "nanpercentile" if percent else "nanquantile"
        return _by_lines(x, axes, keepdims, function=function, q=q, method=method)
    n = _valid(x)
    return _quantile(x, q, axes, n, method, keepdims, percent, False) if n else None


def _quantile(
    x: ndarray, q: Any, axes: tuple[int, ...], n: int, method: str, keepdims: bool, percent: bool, nan: bool
) -> Any:
    weak = type(q) in (int, float)  # then the result has the array's precision
    q = np.asanyarray(to_numpy_tree(q))
    if q.dtype.kind not in "iuf" or q.ndim > 1 or not q.size:
        return None
    if percent:
        q = np.asanyarray(np.true_divide(q, 100))
    if not (q.min() >= 0 and q.max() <= 1):
        return None  # NumPy says what is wrong
    place = np.asanyarray(_METHODS[method](n, q))
    exact = place.dtype.kind == "i" and method in _EXACT
    before = np.clip(np.floor(place), 0, n - 1).astype(np.intp)
    after = before if exact else np.clip(np.floor(place) + 1, 0, n - 1).astype(np.intp)
    after = np.where(place < 0, 0, after)
    last = (n - 1,) if nan else ()
    places = sorted({*before.ravel().tolist(), *after.ravel().tolist(), *last})
    found = host_view(_standing(x, axes, tuple(places)))
    low, high = found[np.searchsorted(places, before)], found[np.searchsorted(places, after)]
    if exact:
        result = low.copy()
    else:
        share = _share(place, method)
        result = _between(
            low, high, float(share) if weak else share.reshape(q.shape + (1,) * (found.ndim - 1))
        )
    if nan:
        result = np.where(np.isnan(found[-1]), found[-1], result).astype(result.dtype)
    if keepdims:
        result = result.reshape(q.shape + _reduce.unit_axes(x.shape, axes))
    return wrapped(np.asarray(result)[()] if not result.ndim else np.ascontiguousarray(result))


def _share(place: np.ndarray, method: str) -> np.ndarray:
    """How far from the element before towards the one after."""
    if method == "midpoint":
        return np.where(place % 1 == 0, 0.0, 0.5).astype(place.dtype)
    return np.asarray(place - np.floor(place), place.dtype)


def _between(a: np.ndarray, b: np.ndarray, share: Any) -> np.ndarray:
    """As NumPy interpolates: from the nearer end."""
    difference = np.asanyarray(b - a)
    result: np.ndarray = np.asanyarray(a + difference * share)
    return np.where(np.asarray(share) >= 0.5, b - difference * (1 - share), result).astype(result.dtype)
