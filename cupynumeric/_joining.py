"""Joining, splitting, repeating: results are filled region by region, which fuses with what makes the pieces."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._caller import warn
from cupynumeric._convert import Foreign, by_numpy, drop_in, host_view, integers, lift
from cupynumeric._creation import undefined
from cupynumeric._elementwise import is_scalar
from cupynumeric._indexing import reshaped
from cupynumeric._shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    cast,
    fresh_copy,
    moveaxis,
    normalize_axis_index,
    normalize_axis_tuple,
    ravel_array,
)
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import array_type

#: above this many pieces one library call joins them, instead of one region update each
MANY_PIECES = 32


# ---- joining ------------------------------------------------------------------------------------------------------


def _common_dtype(arrays: Sequence[ndarray], dtype: Any, casting: str) -> np.dtype:
    common = np.result_type(*(x.dtype for x in arrays)) if dtype is None else np.dtype(dtype)
    if not dtypes.is_supported(common):
        raise Foreign
    for x in arrays:
        if not np.can_cast(x.dtype, common, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"Cannot cast array data from {x.dtype!r} to {common!r} according to the rule {casting!r}"
            )
    return dtypes.canonical(common)


def _check_pieces(arrays: Sequence[ndarray], axis: int) -> None:
    first = arrays[0]
    for k, x in enumerate(arrays):
        if x.ndim != first.ndim:
            raise ValueError(
                "all the input arrays must have same number of dimensions, but the array at index 0 has "
                f"{first.ndim} dimension(s) and the array at index {k} has {x.ndim} dimension(s)"
            )
        for d, (n, m) in enumerate(zip(first.shape, x.shape, strict=True)):
            if d != axis and n != m:
                raise ValueError(
                    "all the input array dimensions except for the concatenation axis must match exactly, but along "
                    f"dimension {d}, the array at index 0 has size {n} and the array at index {k} has size {m}"
                )


def join(arrays: Sequence[ndarray], axis: int, dtype: np.dtype) -> ndarray:
    """The pieces one after another along an axis, as `dtype`."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    if len(arrays) == 1:
        return fresh_copy(cast(arrays[0], dtype))
    if len(arrays) > MANY_PIECES:
        return _join_many(arrays, axis, tuple(shape), dtype)
    made = undefined(tuple(shape), dtype)
    _fill(made, arrays, axis)
    return made


def _join_many(arrays: Sequence[ndarray], axis: int, shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    sig = infer.call_signature(
        tuple(x._type for x in arrays), array_type(shape, dtype), CallSpec("concatenate", (("axis", axis),))
    )
    v = runtime.record(sig, *[value(x) for x in arrays])
    return wrap(runtime.new_store(v, sig.type))


def _fill(made: ndarray, arrays: Sequence[ndarray], axis: int) -> None:
    lead = (slice(None),) * axis
    at = 0
    for x in arrays:
        n = x.shape[axis]
        if n:
            made[(*lead, slice(at, at + n))] = x
        at += n


def _sequence(arrays: Any) -> list[ndarray]:
    if isinstance(arrays, Ours):
        if not arrays.ndim:
            raise TypeError("iteration over a 0-d array")
        return [arrays[k] for k in range(len(arrays))]
    if not hasattr(arrays, "__getitem__"):
        raise TypeError('arrays to stack must be passed as a "sequence" type such as list or tuple.')
    return [lift(x) for x in arrays]


@drop_in
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Arrays joined along an existing axis (flattened first when axis is None)."""
    pieces = _sequence(arrays)
    if not pieces:
        raise ValueError("need at least one array to concatenate")
    if out is not None and dtype is not None:
        raise TypeError("concatenate() only takes `out` or `dtype` as an argument, but both were provided.")
    if axis is None:
        pieces = [ravel_array(x) for x in pieces]
        axis = 0
    if not all(x.ndim for x in pieces):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis_index(operator.index(axis), pieces[0].ndim)
    _check_pieces(pieces, axis)
    if out is None:
        return join(pieces, axis, _common_dtype(pieces, dtype, casting))
    if not isinstance(out, Ours):
        return by_numpy(np.concatenate, (pieces, axis), {"out": out, "casting": casting})
    shape = tuple(
        sum(x.shape[axis] for x in pieces) if d == axis else n for d, n in enumerate(pieces[0].shape)
    )
    if out.shape != shape:
        raise ValueError("Output array is the wrong shape")
    _common_dtype(pieces, out.dtype, casting)
    _fill(out, [x.copy() if x._store is out._store else x for x in pieces], axis)
    return out


concat = concatenate


@drop_in
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Arrays of one shape joined along a new axis."""
    pieces = _sequence(arrays)
    if not pieces:
        raise ValueError("need at least one array to stack")
    if any(x.shape != pieces[0].shape for x in pieces):
        raise ValueError("all input arrays must have the same shape")
    shape = pieces[0].shape
    axis = normalize_axis_index(axis, len(shape) + 1)
    raised = [reshaped(x, (*shape[:axis], 1, *shape[axis:])) for x in pieces]
    return concatenate(raised, axis, out, dtype=dtype, casting=casting)


@drop_in
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    """The slices along an axis, as a tuple of views."""
    array = lift(x)
    if array.ndim == 0:
        raise ValueError("Input array must be at least 1-d.")
    axis = normalize_axis_index(axis, array.ndim)
    lead = (slice(None),) * axis
    return tuple(array[(*lead, k)] for k in range(array.shape[axis]))


def _pieces(tup: Any, raise_: Any) -> list[Any]:
    made = raise_(*_sequence(tup))
    return list(made) if isinstance(made, tuple) else [made]


@drop_in
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Arrays stacked row by row."""
    return concatenate(_pieces(tup, atleast_2d), 0, dtype=dtype, casting=casting)


def row_stack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """`vstack`, under a name that NumPy gives up."""
    warn("`row_stack` alias is deprecated. Use `np.vstack` directly.", DeprecationWarning)
    return vstack(tup, dtype=dtype, casting=casting)


@drop_in
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Arrays stacked column by column."""
    pieces = _pieces(tup, atleast_1d)
    axis = 0 if pieces and pieces[0].ndim == 1 else 1
    return concatenate(pieces, axis, dtype=dtype, casting=casting)


@drop_in
def dstack(tup: Any) -> Any:
    """Arrays stacked along the third axis."""
    return concatenate(_pieces(tup, atleast_3d), 2)


@drop_in
def column_stack(tup: Any) -> Any:
    """One-dimensional arrays as the columns of a matrix."""
    pieces = _sequence(tup)
    raised = [reshaped(x, (x.size, 1)) if x.ndim < 2 else x for x in pieces]
    return concatenate(raised, 1)


@drop_in
def block(arrays: Any) -> Any:
    """An array assembled from nested lists of blocks."""
    if isinstance(arrays, tuple):
        raise TypeError(
            "arrays is a tuple. Only lists can be used to arrange blocks, and np.block does not allow implicit "
            "conversion from tuple to ndarray."
        )
    depth = _depth(arrays, "arrays")
    ndim = max(depth, _deepest(arrays))
    return _assemble(arrays, depth, ndim, 0)


def _depth(x: Any, name: str) -> int:
    if isinstance(x, tuple):
        raise TypeError(
            f"{name} is a tuple. Only lists can be used to arrange blocks, and np.block does not allow implicit "
            "conversion from tuple to ndarray."
        )
    if not isinstance(x, list):
        return 0
    if not x:
        raise ValueError(f"List at {name} cannot be empty")
    depths = [_depth(e, f"{name}[{k}]") for k, e in enumerate(x)]
    for k, d in enumerate(depths):
        if d != depths[0]:
            raise ValueError(
                f"List depths are mismatched. First element was at depth {depths[0] + 1}, but there is an element at "
                f"depth {d + 1} ({name}[{k}])"
            )
    return depths[0] + 1


def _deepest(x: Any) -> int:
    return max(_deepest(e) for e in x) if isinstance(x, list) else lift(x).ndim


def _assemble(x: Any, depth: int, ndim: int, level: int) -> ndarray:
    if level == depth:
        leaf = lift(x)
        return reshaped(leaf, (1,) * (ndim - leaf.ndim) + leaf.shape)
    parts = [_assemble(e, depth, ndim, level + 1) for e in x]
    return concatenate(parts, ndim - depth + level)  # type: ignore[no-any-return]


@drop_in
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Values at the end of an array, as a new array."""
    x = lift(arr)
    if axis is None:
        return concatenate((ravel_array(x), ravel_array(lift(values))))
    return concatenate((x, lift(values)), axis)


# ---- inserting and deleting ---------------------------------------------------------------------------------------


@drop_in
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """A copy without the sub-arrays `obj` along an axis."""
    x = lift(arr)
    if axis is None:
        x, axis = ravel_array(x), 0
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    n = x.shape[axis]
    lead = (slice(None),) * axis
    if runtime.world is not None and isinstance(obj, (list, tuple, np.ndarray, Ours)):
        from cupynumeric import _picking

        found = _picking.delete(x, obj, axis)
        if found is not None:
            return found
    runs = _runs_without(n, obj)
    if runs is None or len(runs) > MANY_PIECES:
        from cupynumeric._advanced import take

        host = host_view(obj) if isinstance(obj, Ours) else obj
        return take(x, np.delete(np.arange(n), host), axis)
    return join([x[(*lead, slice(a, b))] for a, b in runs] or [x[(*lead, slice(0, 0))]], axis, x.dtype)


def _runs_without(n: int, obj: Any) -> list[tuple[int, int]] | None:
    """The stretches of range(n) that stay when `obj` (an index, a slice, an array of a few indices) is deleted; None for what
    NumPy judges itself: masks, many indices, errors."""
    if isinstance(obj, (int, np.integer)) and not isinstance(obj, bool):
        obj = np.asarray([obj])
    if isinstance(obj, slice):
        gone = range(*obj.indices(n))
        if len(gone) > MANY_PIECES and abs(gone.step) > 1:
            return None
        cuts = (
            [(min(gone[0], gone[-1]), max(gone[0], gone[-1]))]
            if abs(gone.step) == 1 and gone
            else sorted((k, k) for k in gone)
        )
    else:
        given = np.asarray(host_view(obj) if isinstance(obj, Ours) else obj)
        if given.dtype.kind not in "iu" or given.size > MANY_PIECES or given.ndim > 1:
            return None
        places = {int(k) for k in given.ravel()}
        if any(not -n <= k < n for k in places):
            return None
        cuts = sorted({(k % n, k % n) for k in places})
    ends = [-1, *(last for _, last in cuts)]
    starts = [*(first for first, _ in cuts), n]
    return [(a + 1, b) for a, b in zip(ends, starts, strict=True) if a + 1 < b]


@drop_in
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Values inserted before the given positions; see `numpy.insert`."""
    x = lift(arr)
    single = isinstance(obj, (int, np.integer)) and not isinstance(obj, bool)
    if axis is None:
        x, axis = ravel_array(x), 0
    if not single and runtime.world is not None and x.ndim == 1:
        from cupynumeric import _picking

        inserted = _picking.insert(x, obj, values)
        if inserted is not None:
            return inserted
    if not single or x.ndim == 0:
        return by_numpy(np.insert, (x, obj, values, axis), {})
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    n = x.shape[axis]
    at = operator.index(obj)
    if not -n <= at <= n:
        raise IndexError(f"index {obj} is out of bounds for axis {axis} with size {n}")
    at += n if at < 0 else 0
    if is_scalar(values):
        v: Any = np.asarray(values).astype(x.dtype)[()]
        count = 1
    else:
        v = cast(lift(values), x.dtype)
        v = reshaped(v, (1,) * (x.ndim - v.ndim) + v.shape)
        v = moveaxis(v, 0, axis)  # NumPy lays the values along the first axis, then moves it
        count = v.shape[axis]
        v = broadcast_to(v, tuple(count if d == axis else m for d, m in enumerate(x.shape)))
    made = undefined(tuple(m + count if d == axis else m for d, m in enumerate(x.shape)), x.dtype)
    lead = (slice(None),) * axis
    for place, part in (
        (slice(0, at), x[(*lead, slice(0, at))]),
        (slice(at, at + count), v),
        (slice(at + count, None), x[(*lead, slice(at, None))]),
    ):
        made[(*lead, place)] = part
    return made


# ---- splitting ----------------------------------------------------------------------------------------------------


@drop_in
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Views of consecutive parts, as equal as can be."""
    x = lift(ary)
    n = x.shape[axis]
    if hasattr(indices_or_sections, "__len__") and np.ndim(indices_or_sections):
        given = (
            host_view(indices_or_sections) if isinstance(indices_or_sections, Ours) else indices_or_sections
        )
        points = [0, *(operator.index(k) for k in given), n]
    else:
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, extra = divmod(n, sections)
        points = [0]
        for k in range(sections):
            points.append(points[-1] + each + (k < extra))
    axis = normalize_axis_index(axis, x.ndim)
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in itertools.pairwise(points)]


@drop_in
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Views of consecutive equal parts."""
    x = lift(ary)
    counted = not (hasattr(indices_or_sections, "__len__") and np.ndim(indices_or_sections))
    if counted and x.shape[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, axis)


@drop_in
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Split along the second axis (the first, of a vector)."""
    x = lift(ary)
    if x.ndim == 0:
        raise ValueError("hsplit only works on arrays of 1 or more dimensions")
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@drop_in
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Split along the first axis."""
    x = lift(ary)
    if x.ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return split(x, indices_or_sections, 0)


@drop_in
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Split along the third axis."""
    x = lift(ary)
    if x.ndim < 3:
        raise ValueError("dsplit only works on arrays of 3 or more dimensions")
    return split(x, indices_or_sections, 2)


# ---- repeating ----------------------------------------------------------------------------------------------------


@drop_in
def tile(A: Any, reps: Any) -> Any:
    """The array repeated along each axis."""
    times = integers(reps)
    x = lift(A)
    n = max(x.ndim, len(times))
    shape = (1,) * (n - x.ndim) + x.shape
    times = (1,) * (n - len(times)) + times
    if all(t == 1 for t in times):
        return reshaped(x, shape).copy()
    apart = reshaped(x, tuple(e for m in shape for e in (1, m)))
    spread = broadcast_to(apart, tuple(e for t, m in zip(times, shape, strict=True) for e in (t, m)))
    return _flattened(spread, tuple(t * m for t, m in zip(times, shape, strict=True)))


def _flattened(spread: ndarray, shape: tuple[int, ...]) -> ndarray:
    """A reshape that is always a new array."""
    sig = infer.reshape_signature(spread._type, shape)
    return wrap(runtime.new_store(runtime.record(sig, value(spread)), sig.type))


@drop_in
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element repeated, along an axis (of the flattened array by default)."""
    x = lift(a)
    if not isinstance(repeats, (int, np.integer)) or isinstance(repeats, bool):
        if runtime.world is not None:
            from cupynumeric import _picking

            found = _picking.repeat(x, repeats, axis)
            if found is not None:
                return found
        return by_numpy(np.repeat, (x, repeats, axis), {})
    if axis is None:
        x, axis = ravel_array(x), 0
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    times = int(repeats)
    if times < 0:
        raise ValueError("repeats may not contain negative values.")
    lead, rest = x.shape[: axis + 1], x.shape[axis + 1 :]
    if times in (2, 3) and math.prod(rest) == 1:  # strided writes of whole rows beat gathering short runs
        made = undefined((*lead, times, *rest), x.dtype)
        for k in range(times):
            made[(*(slice(None) for _ in lead), k)] = x
        return _flattened(made, (*lead[:-1], lead[-1] * times, *rest))
    spread = broadcast_to(reshaped(x, (*lead, 1, *rest)), (*lead, times, *rest))
    return _flattened(spread, (*lead[:-1], lead[-1] * times, *rest))


@drop_in
def resize(a: Any, new_shape: Any) -> Any:
    """A new array of a shape, filled with repeated copies of `a`."""
    x = ravel_array(lift(a))
    shape = integers(new_shape)
    if any(n < 0 for n in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    size = math.prod(shape)
    if x.size == 0 or size == 0:
        return by_numpy(np.resize, (x, shape), {})
    times = -(-size // x.size)
    return _flattened(tile(x, times)[:size], shape)


@drop_in
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes, those pushed out coming back at the other end."""
    x = lift(a)
    if axis is None:
        return _flattened(roll(ravel_array(x), shift, 0), x.shape)
    axes = normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    pairs = np.broadcast(*(host_view(s) if isinstance(s, Ours) else s for s in (shift,)), axes)
    if pairs.ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    moves = dict.fromkeys(range(x.ndim), 0)
    for by, d in pairs:
        moves[d] += int(by)
    made: ndarray = undefined(x.shape, x.dtype)
    for pieces in itertools.product(*(_turned(n, moves[d]) for d, n in enumerate(x.shape))):
        made[tuple(to for to, _ in pieces)] = x[tuple(source for _, source in pieces)]
    return made


def _turned(n: int, by: int) -> list[tuple[slice, slice]]:
    """Where the stretches of an axis go, and where they come from, when its elements move on by `by`."""
    cut = by % n if n else 0
    if not cut:
        return [(slice(None), slice(None))]
    return [(slice(cut, None), slice(0, n - cut)), (slice(0, cut), slice(n - cut, None))]


__all__ = [
    "append",
    "array_split",
    "block",
    "column_stack",
    "concat",
    "concatenate",
    "delete",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "insert",
    "repeat",
    "resize",
    "roll",
    "row_stack",
    "split",
    "stack",
    "tile",
    "unstack",
    "vsplit",
    "vstack",
]
