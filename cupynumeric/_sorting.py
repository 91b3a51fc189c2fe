"""Sorting, searching and sets. Results of known shape are recorded library calls; the rest observes values at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _together
from cupynumeric._array import Ours, ndarray
from cupynumeric._calls import hosted, lazy, lift, lift_all, on_host, wrapped
from cupynumeric._convert import host_view, integers
from legate_jit import runtime
from legate_jit.immediate import irregular
from legate_jit.ir import dtypes, infer

__all__ = [
    "argpartition",
    "argsort",
    "intersect1d",
    "isin",
    "lexsort",
    "partition",
    "searchsorted",
    "setdiff1d",
    "setxor1d",
    "sort",
    "sort_complex",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]
if hasattr(np, "in1d"):
    in1d = hosted(np.in1d)  # noqa: NPY201
    __all__ += ["in1d"]

_sort_complex = hosted(np.sort_complex)
_unique = hosted(np.unique)


def _set_operation(name: str) -> Callable[..., Any]:
    """A set operation of NumPy on two arrays."""
    on_whole = hosted(getattr(np, name))

    @functools.wraps(getattr(np, name))
    def operation(ar1: Any, ar2: Any, *args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None and not args and not kwargs:
            found = _together.sets(name, ar1, ar2)
            if found is not None:
                return found
        return on_whole(ar1, ar2, *args, **kwargs)

    operation.__module__ = "cupynumeric"
    return operation


intersect1d = _set_operation("intersect1d")
setdiff1d = _set_operation("setdiff1d")
setxor1d = _set_operation("setxor1d")
union1d = _set_operation("union1d")
_isin = hosted(np.isin)


@functools.wraps(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """Whether each element is among the test elements."""
    if runtime.world is not None:
        pair = lift_all(element, test_elements)
        found = None if pair is None or kind == "table" else _among(pair[0], pair[1], bool(invert))
        if found is not None:
            return found
    return _isin(element, test_elements, assume_unique, invert, kind=kind)


def _among(x: ndarray, test: ndarray, invert: bool) -> Any:
    """`numpy.isin` over several ranks: each rank has the test elements, or those that are equal meet."""
    found = _together.isin(x, test, invert)
    if found is not None or not x.ndim:
        return found
    return lazy("numpy", (x, test.reshape(-1)), x.shape, dtypes.BOOL, function="isin", invert=invert)


@functools.wraps(np.unique)
def unique(ar: Any, *args: Any, **kwargs: Any) -> Any:
    """The distinct elements in order; integers of a small range are counted instead of sorted."""
    if runtime.world is not None:
        found = _in_parts(ar, *args, **kwargs)
        if found is not None:
            return found
    counted = _counted(ar, *args, **kwargs) if isinstance(ar, Ours) and ar.dtype.kind in "iu" else None
    return _unique(ar, *args, **kwargs) if counted is None else counted


def _in_parts(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """`numpy.unique` of an array that lies in parts on several ranks, or None where it does not."""
    if axis is not None or not (equal_nan or (isinstance(ar, Ours) and ar.dtype.kind in "biu")):
        return None
    results = _together.unique(ar, bool(return_index), bool(return_inverse), bool(return_counts))
    if results is None:
        return None
    if return_inverse:
        at = 1 + bool(return_index)
        results[at] = results[at].reshape(ar.shape)
    return tuple(results) if len(results) > 1 else results[0]


def _array_api(name: str, **wanted: bool) -> Callable[..., Any]:
    """One of the functions of the array API that are `unique` with all NaN distinct."""
    function = getattr(np, name)
    on_whole = hosted(function)
    several = type(function(np.zeros(0))) if wanted else None

    @functools.wraps(function)
    def call(x: Any, **options: Any) -> Any:
        if runtime.world is None or not isinstance(x, Ours) or options:
            return on_whole(x, **options)
        found = _in_parts(x, **wanted, equal_nan=False)
        if found is None:
            return on_whole(x)
        return found if several is None else several(*found)

    call.__module__ = "cupynumeric"
    return call


unique_all = _array_api("unique_all", return_index=True, return_inverse=True, return_counts=True)
unique_counts = _array_api("unique_counts", return_counts=True)
unique_inverse = _array_api("unique_inverse", return_inverse=True)
unique_values = _array_api("unique_values")


def _counted(
    ar: ndarray,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """`numpy.unique` by counting, or None where that does not apply."""
    if return_index or axis is not None or not irregular.worthwhile(ar.size):
        return None
    x = host_view(ar).ravel()
    low, high = (int(v) for v in irregular.bounds(x))
    if low < 0 or (counts := irregular.bincount(x, high + 1)) is None:
        return None
    values = np.flatnonzero(counts)
    results = [values.astype(x.dtype)]
    if return_inverse:
        places = np.zeros(len(counts), np.int64)
        places[values] = np.arange(len(values))
        results.append(places[x].reshape(ar.shape))
    if return_counts:
        results.append(counts[values])
    return wrapped(tuple(results) if len(results) > 1 else results[0])


def _ordering(name: str, a: Any, axis: Any, kind: Any, order: Any, stable: Any) -> Any:
    x = lift(a)
    if x.__class__ is not ndarray or order is not None:
        return on_host(getattr(np, name), x, axis, kind, order, stable=stable)
    if kind is not None or stable is not None:
        getattr(np, name)(np.zeros(1, x.dtype), 0, kind, stable=stable)  # NumPy's errors for kind and stable
    if axis is None:
        x, axis = x.reshape(-1), -1
    axis = infer.normalize_axis(axis, x.ndim)
    dtype = x.dtype if name == "sort" else dtypes.INT64
    kind = ("stable" if stable else None) if stable is not None else kind
    return lazy(name, (x,), x.shape, dtype, axis=axis, kind=kind)


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """A sorted copy along an axis (None: of the flattened array); NaN last."""
    return _ordering("sort", a, axis, kind, order, stable)


@functools.wraps(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """A sorted copy along the last axis, as complex numbers."""
    x = lift(a)
    if runtime.world is None or x.__class__ is not ndarray:
        return _sort_complex(a)
    return sort(x).astype(np.sort_complex(np.zeros(1, x.dtype)).dtype)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """The positions (int64) that sort along an axis."""
    return _ordering("argsort", a, axis, kind, order, stable)


def _partitioning(name: str, a: Any, kth: Any, axis: Any, kind: Any, order: Any) -> Any:
    x = lift(a)
    if x.__class__ is not ndarray or order is not None or isinstance(kth, Ours):
        return on_host(getattr(np, name), x, kth, axis, kind, order)
    if axis is None:
        x, axis = x.reshape(-1), -1
    axis = infer.normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    places = integers(kth)
    for k in places:
        if not -n <= k < n:
            raise ValueError(f"kth(={k + n if k < 0 else k}) out of bounds ({n})")
    if kind != "introselect":
        return on_host(getattr(np, name), x, kth, axis, kind)
    dtype = x.dtype if name == "partition" else dtypes.INT64
    return lazy(name, (x,), x.shape, dtype, axis=axis, kth=places)


def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """A copy in which the kth elements stand where sorting would put them, smaller ones before and larger ones after."""
    return _partitioning("partition", a, kth, axis, kind, order)


def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """The positions (int64) that `partition` along an axis."""
    return _partitioning("argpartition", a, kth, axis, kind, order)


def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by several keys, the last one first."""
    if runtime.world is not None and isinstance(keys, (tuple, list)) and len(keys) and axis in (-1, 0):
        found = _together.lexsort(keys)
        if found is not None:
            return found
    return on_host(np.lexsort, keys, axis)


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where (int64) each of v belongs in the sorted 1-d array a."""
    pair = lift_all(a, v)
    if pair is None or sorter is not None or side not in ("left", "right") or pair[0].ndim != 1:
        return on_host(np.searchsorted, a, v, side, sorter)
    return lazy("searchsorted", pair, pair[1].shape, dtypes.INT64, side=side)
