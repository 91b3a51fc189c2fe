"""Ranges and grids: arange, linspace, meshgrid and relatives. Large ranges are generated inside the kernels that use them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from cupynumeric._array import Ours, ndarray
from cupynumeric._convert import (
    Foreign,
    by_numpy,
    drop_in,
    dtype_of,
    from_numpy_tree,
    lift,
    to_numpy_tree,
)
from cupynumeric._creation import check_device, empty
from cupynumeric._indexing import reshaped
from cupynumeric._instant import brought
from cupynumeric._matrices import coordinates
from cupynumeric._shape import broadcast_to, cast
from legate_jit.ir import dtypes

#: ranges up to this many elements are filled by NumPy at once
SMALL = 2048


def arange(*args: Any, dtype: Any = None, device: Any = None, like: Any = None, **bounds: Any) -> Any:
    """Evenly spaced values in [start, stop); arange(stop), arange(start, stop[, step[, dtype]])."""
    usual = len(args) == 1 and dtype is None and device is None and not bounds
    if usual and args[0].__class__ is int and args[0] <= SMALL:
        return brought(np.arange(args[0]))
    check_device(device)
    if len(args) == 4 and dtype is None:
        dtype, args = args[3], args[:3]
    args = tuple([x.item() if isinstance(x, Ours) else x for x in args])
    bounds = {k: x.item() if isinstance(x, Ours) else x for k, x in bounds.items()}
    plain = not bounds and 1 <= len(args) <= 3 and all(type(x) in (int, float) for x in args)
    if not plain:
        return from_numpy_tree(np.arange(*args, dtype=dtype, **bounds))
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    type_ = np.result_type(*(np.asarray(x).dtype for x in args)) if dtype is None else np.dtype(dtype)
    count = (stop - start) / step if step else math.nan
    if not dtypes.is_supported(type_) or type_.kind not in "iuf" or not SMALL < count < 1 << 40:
        return from_numpy_tree(np.arange(*args, dtype=dtype))
    return _generated(start, step, math.ceil(count), dtypes.canonical(type_))


def _generated(start: Any, step: Any, count: int, dtype: np.dtype) -> Any:
    """NumPy's fill: the first two elements are converted, the others are first + i * (second - first) in the dtype."""
    head = np.empty(2, dtype)
    head[0], head[1] = start, start + step
    first, second = head
    work = np.dtype(np.float32) if dtype == np.float16 else dtype
    with np.errstate(all="ignore"):
        base, delta = work.type(first), work.type(second) - work.type(first)
        exact = dtype.type(base + delta) == second
    position = coordinates((count,), 0)
    line = position if work == dtypes.INT64 else cast(position, work)
    values = line if delta == 1 else line * delta
    if base != 0 or work.kind == "f":
        values = values + base
    values = cast(values, dtype)
    if not exact:
        values[1] = second
    return values


def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` evenly spaced values from `start` to `stop`; see `numpy.linspace`."""
    check_device(device)
    count = operator.index(num)
    scalars = all(isinstance(x, (int, float)) for x in (start, stop))
    if not scalars or count <= SMALL or dtype is not None:
        return by_numpy(np.linspace, (start, stop, num, endpoint, retstep, dtype, axis), {})
    div = count - 1 if endpoint else count
    start, stop = np.float64(start), np.float64(stop)
    delta = stop - start
    step = delta / div
    line = cast(coordinates((count,), 0), dtypes.FLOAT64)
    values = line / div * delta if step == 0 else line * step
    values = values + start
    if endpoint:
        values[-1] = stop
    return (values, step) if retstep else values


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Values evenly spaced on a logarithmic scale, between powers of `base`."""
    return by_numpy(np.logspace, (start, stop, num, endpoint, base, dtype, axis), {})


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Values in a geometric progression from `start` to `stop`."""
    return by_numpy(np.geomspace, (start, stop, num, endpoint, dtype, axis), {})


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Coordinate arrays from coordinate vectors; see `numpy.meshgrid`."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    try:
        lines = [lift(x) for x in xi]
    except Foreign:
        return by_numpy(np.meshgrid, xi, {"copy": copy, "sparse": sparse, "indexing": indexing})
    n = len(lines)
    axes = [1 - k if indexing == "xy" and k < 2 <= n else k for k in range(n)]
    grids = [
        reshaped(x.ravel(), tuple([x.size if d == axis else 1 for d in range(n)]))
        for x, axis in zip(lines, axes, strict=True)
    ]
    if not sparse:
        shape = np.broadcast_shapes(*(g.shape for g in grids))
        grids = [_whole(g, shape) for g in grids]
    return tuple(g.copy() for g in grids) if copy else tuple(grids)


def _whole(grid: ndarray, shape: tuple[int, ...]) -> ndarray:
    if grid.shape == shape:
        return grid
    return broadcast_to(grid, shape)  # type: ignore[no-any-return]


def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """The coordinates of every element of a grid, stacked (or, sparse, a tuple of open grids)."""
    dims = tuple([operator.index(n) for n in dimensions])
    n = len(dims)
    try:
        type_ = dtype_of(dtype)
    except Foreign:
        return by_numpy(np.indices, (dimensions, dtype, sparse), {})
    if sparse:
        return tuple(
            reshaped(cast(coordinates((m,), 0), type_), tuple([m if k == d else 1 for k in range(n)]))
            for d, m in enumerate(dims)
        )
    made = empty((n, *dims), type_)
    for d in range(n):
        made[d] = cast(coordinates(dims, d), type_)
    return made


@drop_in
def fromfunction(function: Any, shape: Any, *, dtype: Any = float, like: Any = None, **kwargs: Any) -> Any:
    """`function` of the coordinate arrays of a grid."""
    return function(*indices(shape, dtype), **kwargs)


class _Grid:
    """`mgrid` and `ogrid`: grids by index syntax, carried out by NumPy."""

    def __init__(self, grid: Any) -> None:
        self._grid = grid

    def __getitem__(self, key: Any) -> Any:
        return from_numpy_tree(self._grid[to_numpy_tree(key)])


mgrid = _Grid(np.mgrid)
ogrid = _Grid(np.ogrid)


__all__ = [
    "arange",
    "fromfunction",
    "geomspace",
    "indices",
    "linspace",
    "logspace",
    "meshgrid",
    "mgrid",
    "ogrid",
]
