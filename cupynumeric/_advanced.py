"""Advanced indexing: integer-array and boolean keys, get and set, with NumPy's semantics (the last write wins).

Boolean assignment of what broadcasts is a lazy select. Gathers along one axis are recorded once their indices are known to be in
bounds. Everything else is carried out at once by NumPy on the store's own memory, so order and errors are NumPy's.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from cupynumeric import _array, _elementwise
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._convert import (
    Foreign,
    by_numpy,
    drop_in,
    from_numpy,
    from_numpy_tree,
    host_view,
    lift,
    to_numpy_tree,
)
from cupynumeric._creation import undefined
from cupynumeric._indexing import reshaped
from cupynumeric._shape import broadcast_to, cast, normalize_axis_index, ravel_array
from legate_jit import runtime
from legate_jit.immediate import at_once, irregular
from legate_jit.ir import dtypes, infer
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import array_type
from legate_jit.ir.ops import OPS
from legate_jit.strides import strided

F = TypeVar("F", bound=Callable[..., Any])

#: gathers of fewer elements are carried out at once: recording them would cost more
SMALL_GATHER = 512


# ---- helpers ------------------------------------------------------------------------------------------------------


def mutate(array: ndarray, change: Callable[[np.ndarray], Any]) -> Any:
    """Let NumPy change the elements `array` shows, in place in its store's memory; returns what `change` returns."""
    if _array.refuses_writes(array):
        raise ValueError("assignment destination is read-only")
    base = runtime.writable(array._store)
    if array._lens is None:
        return change(base)
    view = strided(base, array._lens)
    if view is not None:
        return change(view)
    host = host_view(array).copy()
    done = change(host)
    array[...] = host
    return done


def choose_where(mask: Any, x: Any, y: Any) -> Any:
    """Elementwise x where mask, else y; lazy."""
    return _elementwise.call(OPS["where"], (mask, x, y))


def fitting_scalar(item: Any, dtype: np.dtype) -> Any:
    """A scalar converted to `dtype` as assignment does; OverflowError, TypeError and ValueError as NumPy."""
    spot = np.empty(1, dtype)
    spot[0] = item
    return spot[0]


def in_dtype(item: Any, dtype: np.dtype) -> Any:
    """An assigned value as a scalar of `dtype`, or an array of ours cast to it."""
    if _elementwise.is_scalar(item):
        return fitting_scalar(item, dtype)
    if isinstance(item, Ours):
        return cast(item, dtype)
    host = np.asarray(item)
    return from_numpy(host if host.dtype == dtype else host.astype(dtype))


def write_where(array: ndarray, mask: Any, item: Any) -> None:
    """`array[...] = item` where the broadcast `mask` holds, as a select."""
    condition = lift(mask)
    if condition.dtype != dtypes.BOOL:
        raise TypeError(
            f"Cannot cast array data from {condition.dtype!r} to dtype('bool') according to the rule 'safe'"
        )
    source = in_dtype(item, array.dtype)
    if isinstance(source, Ours):
        source = broadcast_to(source, array.shape)
    chosen = choose_where(broadcast_to(condition, array.shape), source, array)
    array[...] = chosen


# ---- keys ---------------------------------------------------------------------------------------------------------


def _plain(key: Any) -> Any:
    """0-d integer arrays of ours in a key become Python ints, so that a key of them stays basic."""
    if isinstance(key, tuple):
        return tuple([_plain(e) for e in key])
    if isinstance(key, Ours) and key.ndim == 0 and key.dtype.kind in "iu":
        return int(key)
    return key


def getitem(array: ndarray, key: Any) -> Any:
    """`array[key]` for a key that is not basic."""
    from cupynumeric import _indexing

    if runtime.world is None and key.__class__ is ndarray and array.ndim and _is_gather(array, key):
        return _taken(array, key, host_view(key), 0)
    key = _plain(key)
    if _indexing.is_basic(key):
        return _indexing.getitem(array, key)
    if runtime.world is not None:
        found = _dealt().getitem(array, key)
        if found is not None:
            return found
    gathered = _gather(array, key)
    if gathered is not None:
        return gathered
    selected = _selected(array, key)
    if selected is not None:
        return selected
    found = host_view(array)[to_numpy_tree(key)]
    return from_numpy_tree(np.asarray(found) if found.base is None else found.copy())


def _dealt() -> ModuleType:
    """The same operations where there are several ranks."""
    from cupynumeric import _dealt as room

    return room


def _picking() -> ModuleType:
    """The functions of this room where there are several ranks."""
    from cupynumeric import _picking as room

    return room


def over_ranks(function: F) -> F:
    """A public function that has, where there are several ranks, another form of the same name for what lies in parts."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None:
            found = getattr(_picking(), name)(*args, **kwargs)
            if found is not None:
                return found
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _is_gather(array: ndarray, key: ndarray) -> bool:
    """Whether the key holds enough indices along the first axis: by far the most frequent case, without detours."""
    n = array.shape[0]
    return key.dtype.kind in "iu" and key.ndim > 0 < n and key.size * (array.size // n) >= SMALL_GATHER


def _selected(array: ndarray, key: Any) -> ndarray | None:
    """`array[mask]` for a large mask of the array's shape; None when it is not that."""
    if not isinstance(key, (Ours, np.ndarray)) or key.dtype != dtypes.BOOL or key.shape != array.shape:
        return None
    if not irregular.worthwhile(array.size):
        return None
    store = irregular.select(host_view(array), np.asarray(to_numpy_tree(key)))
    return None if store is None else wrap(store)


def _gather(array: ndarray, key: Any) -> ndarray | None:
    """`array[indices]` (possibly after full slices) as a recorded gather; None when it is not that, or small."""
    axis = 0
    if isinstance(key, tuple):
        rest = [k for k, e in enumerate(key) if not (isinstance(e, slice) and e == slice(None))]
        if len(rest) != 1 or any(e is Ellipsis or e is None for e in key):
            return None
        axis = rest[0]
        key = key[axis]
    if axis >= array.ndim or not isinstance(key, (Ours, np.ndarray, list)):
        return None
    host = np.asarray(to_numpy_tree(key))
    if host.dtype.kind not in "iu" or host.ndim == 0 or array.shape[axis] == 0:
        return None
    total = host.size * (array.size // array.shape[axis])
    return None if total < SMALL_GATHER else _taken(array, key, host, axis)


def _taken(array: ndarray, key: Any, indices: np.ndarray, axis: int) -> ndarray:
    """The gather of `indices` (the contents of `key`): at once if the array's values are there, else recorded."""
    n = array.shape[axis]
    if array._store.value is None and runtime.world is None:
        if indices.size * (array.size // n) <= at_once.LARGEST:
            return from_numpy(host_view(array).take(indices, axis))
        store = irregular.take(host_view(array), indices, axis)
        if store is not None:
            return wrap(store)
    check_bounds(indices, n, axis)
    return gather(array, key if isinstance(key, Ours) else from_numpy(indices), axis)


def check_bounds(indices: np.ndarray, n: int, axis: int) -> None:
    """IndexError with NumPy's text for the first index outside [-n, n)."""
    if irregular.within(indices, n):
        return
    bad = indices.ravel()[np.flatnonzero((indices.ravel() >= n) | (indices.ravel() < -n))[0]]
    raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {n}")


def gather(array: ndarray, indices: ndarray, axis: int) -> ndarray:
    """Record the gather of in-bounds (possibly negative) indices along an axis."""
    shape = (*array.shape[:axis], *indices.shape, *array.shape[axis + 1 :])
    sig = infer.call_signature(
        (array._type, indices._type), array_type(shape, array.dtype), CallSpec("take", (("axis", axis),))
    )
    return wrap(runtime.new_store(runtime.record(sig, value(array), value(indices)), sig.type))


def setitem(array: ndarray, key: Any, item: Any) -> None:
    """`array[key] = item` for a key that is not basic."""
    from cupynumeric import _indexing

    if key.__class__ is not ndarray or not key.ndim:
        key = _plain(key)
        if _indexing.is_basic(key):
            _indexing.setitem(array, key, item)
            return
    if _select(array, key, item):
        return
    if runtime.world is not None and _dealt().setitem(array, key, item):
        return
    host_key, host_item = to_numpy_tree(key), to_numpy_tree(item)
    if isinstance(host_key, np.ndarray) and host_key.dtype.kind in "iu" and host_key.ndim:
        mutate(array, lambda target: _scatter(target, host_key, host_item))
        return

    def put(target: np.ndarray) -> None:
        target[host_key] = host_item

    mutate(array, put)


def _scatter(target: np.ndarray, indices: np.ndarray, item: Any) -> None:
    """`target[indices] = item`, on all threads where that is possible."""
    if target.ndim == 1 and irregular.worthwhile(indices.size):
        values = np.asarray(item)
        fits = values.size == 1 or values.shape == indices.shape
        if fits and values.dtype.kind in "biuf" and np.can_cast(values.dtype, target.dtype, "same_kind"):
            check_bounds(indices, len(target), 0)
            if irregular.place(target, indices, np.ascontiguousarray(values, target.dtype)):
                return
    if indices.dtype != np.int64 and np.can_cast(indices.dtype, np.int64):
        indices = indices.astype(np.int64)  # NumPy takes its quick way only for these
    target[indices] = item


def _select(array: ndarray, key: Any, item: Any) -> bool:
    """Boolean assignment whose right side needs no counting of the mask, as a select; False when it does."""
    if not isinstance(key, (Ours, np.ndarray)) or key.dtype != dtypes.BOOL or not key.ndim:
        return False
    if key.ndim > array.ndim or key.shape != array.shape[: key.ndim]:
        return False
    trailing = array.shape[key.ndim :]
    if not _elementwise.is_scalar(item):
        if isinstance(item, np.generic) or not isinstance(item, (Ours, np.ndarray)):
            return False
        shape = item.shape
        if len(shape) > 1 and not trailing:
            return False  # NumPy takes no more than one axis here
        lead = len(shape) - len(trailing)
        if lead > 0 and shape[:lead] != (1,) * lead:
            return False
        item = lift(item)
        if lead > 0:
            item = reshaped(item, shape[lead:])
        if any(n not in (1, m) for n, m in zip(item.shape[::-1], trailing[::-1], strict=False)):
            return False
    mask = reshaped(lift(key), (*key.shape, *(1 for _ in trailing)))
    write_where(array, mask, item)
    return True


# ---- functions ----------------------------------------------------------------------------------------------------


@over_ranks
@drop_in
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Elements at `indices` along an axis (of the flattened array by default)."""
    x = lift(a)
    where = lift(indices)
    if axis is None:
        flat, along = ravel_array(x), 0
    else:
        flat, along = x, normalize_axis_index(operator.index(axis), x.ndim)
    simple = out is None and mode == "raise" and where.dtype.kind in "iu" and flat.ndim and flat.shape[along]
    if not simple or where.size * (flat.size // flat.shape[along]) < SMALL_GATHER:
        return by_numpy(np.take, (a, indices, axis), {"out": out, "mode": mode})
    return _taken(flat, where, host_view(where), along)


def where(condition: Any, *choices: Any) -> Any:
    """`where(condition, x, y)`: x where the condition holds, else y. `where(condition)`: its non-zero positions."""
    if not choices:
        return nonzero(condition)
    if len(choices) != 2:
        raise ValueError("either both or neither of x and y should be given")
    try:
        mask = lift(condition)
        if not all(isinstance(c, Ours) for c in choices):
            choices = tuple([c if _elementwise.is_scalar(c) else lift(c) for c in choices])
    except Foreign:
        return by_numpy(np.where, (condition, *choices), {})
    return choose_where(mask, *choices)


def nonzero(a: Any) -> Any:
    """Positions of non-zero elements, one index array per axis."""
    if runtime.world is not None and (dealt := _dealt().nonzero(a)) is not None:
        return dealt
    mask = _nonzero_mask(a)
    found = None if mask is None else irregular.nonzero(mask)
    return by_numpy(np.nonzero, (a,), {}) if found is None else tuple([wrap(s) for s in found])


def flatnonzero(a: Any) -> Any:
    """Positions of non-zero elements of the flattened array."""
    if runtime.world is not None and (dealt := _dealt().flatnonzero(a)) is not None:
        return dealt
    mask = _nonzero_mask(a)
    found = None if mask is None else irregular.positions(mask)
    return by_numpy(np.flatnonzero, (a,), {}) if found is None else wrap(found)


def argwhere(a: Any) -> Any:
    """Positions of non-zero elements, one row each."""
    if runtime.world is not None and (dealt := _dealt().argwhere(a)) is not None:
        return dealt
    mask = _nonzero_mask(a)
    found = None if mask is None else irregular.nonzero(mask)
    if found is None:
        return by_numpy(np.argwhere, (a,), {})
    made: ndarray = undefined((found[0].type.size, len(found)), dtypes.INT64)
    for d, s in enumerate(found):
        made[:, d] = wrap(s)
    return made


def _nonzero_mask(a: Any) -> np.ndarray | None:
    """Which elements of a large array are not zero, as C-contiguous booleans."""
    if not isinstance(a, Ours) or not a.ndim or not irregular.worthwhile(a.size):
        return None
    mask = host_view(a if a.dtype == dtypes.BOOL else a != 0)
    return mask if mask.flags.c_contiguous else None


@over_ranks
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """Elements (or slices along an axis) where the condition holds."""
    mask, x = condition, a
    plain = isinstance(mask, Ours) and isinstance(x, Ours) and out is None and axis in (None, 0)
    if plain and mask.dtype == dtypes.BOOL and mask.shape == x.shape and x.ndim == 1:
        selected = _selected(x, mask)
        if selected is not None:
            return selected
    return by_numpy(np.compress, (condition, a, axis), {"out": out})


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """`a.flat[ind] = v`."""
    if not isinstance(a, (Ours, np.ndarray)):
        raise TypeError(f"argument 1 must be numpy.ndarray, not {type(a).__name__}")
    if runtime.world is not None and isinstance(a, Ours) and _picking().put(a, ind, v, mode):
        return
    if isinstance(a, Ours) and mode == "raise" and _put_at_once(a, to_numpy_tree(ind), to_numpy_tree(v)):
        return
    _in_place(np.put, a, ind, v, mode=mode)


def _put_at_once(a: ndarray, indices: Any, values: Any) -> bool:
    """`put` as an assignment to the flattened array: one value, or as many as indices."""
    where, given = np.asarray(indices), np.asarray(values)
    if (
        a._lens is not None
        or where.dtype.kind not in "iu"
        or given.size not in (1, where.size)
        or not where.size
    ):
        return False
    if not np.can_cast(given.dtype, a.dtype, "same_kind"):
        return False
    mutate(a, lambda target: _scatter(target.reshape(-1), where.reshape(-1), given.reshape(-1)))
    return True


def putmask(a: Any, mask: Any, values: Any) -> None:
    """Where the mask holds, elements of `values` (repeated to a's size) replace those of `a`."""
    if isinstance(a, Ours) and isinstance(mask, Ours) and mask.shape == a.shape and mask.dtype == dtypes.BOOL:
        shaped = isinstance(values, Ours) and (values.shape == a.shape or values.ndim == 0)
        if (shaped or _elementwise.is_scalar(values)) and np.can_cast(
            np.result_type(values.dtype if shaped else values, a.dtype), a.dtype
        ):
            write_where(a, mask, values)
            return
    if runtime.world is not None and isinstance(a, Ours) and _picking().putmask(a, mask, values):
        return
    _in_place(np.putmask, a, mask, values)


def place(arr: Any, mask: Any, vals: Any) -> None:
    """Where the mask holds, the next elements of `vals` replace those of `arr`."""
    if runtime.world is not None and isinstance(arr, Ours) and _picking().place(arr, mask, vals):
        return
    _in_place(np.place, arr, mask, vals)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """Values written at matching one-dimensional positions along an axis."""
    ours = runtime.world is not None and isinstance(arr, Ours)
    if ours and _picking().put_along_axis(arr, indices, values, axis):
        return
    _in_place(np.put_along_axis, arr, indices, values, axis)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write the main diagonal in place."""
    from cupynumeric._shape import diagonal_view

    if isinstance(a, Ours) and a.ndim == 2 and not wrap and a.shape[0] >= 1 and np.ndim(to_shape(val)) == 0:
        diagonal_view(a, 0, 0, 1)[...] = val
        return
    _in_place(np.fill_diagonal, a, val, wrap)


def to_shape(x: Any) -> Any:
    """x, or a stand-in with as many axes when x is ours."""
    return np.empty((1,) * x.ndim) if isinstance(x, Ours) else x


def _in_place(function: Callable[..., Any], a: Any, *args: Any, **kwargs: Any) -> Any:
    """NumPy's in-place `function` on an array of ours or of NumPy's."""
    hosts = [to_numpy_tree(x) for x in args]
    if isinstance(a, Ours):
        return mutate(a, lambda target: function(target, *hosts, **kwargs))
    return function(a, *hosts, **kwargs)


@drop_in
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For each element, the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not len(condlist):
        raise ValueError("select with an empty condition list is not possible")
    conditions = [lift(c) for c in condlist]
    choices = [c if _elementwise.is_scalar(c) else lift(c) for c in (*choicelist, default)]
    for k, c in enumerate(conditions):
        if c.dtype != dtypes.BOOL:
            raise TypeError(f"invalid entry {k} in condlist: should be boolean ndarray")
    dtype = np.result_type(*(c.dtype if isinstance(c, Ours) else c for c in choices))
    if not dtypes.is_supported(dtype):
        raise Foreign
    branches = [cast(c if isinstance(c, Ours) else lift(c), dtypes.canonical(dtype)) for c in choices]
    result = branches[-1]
    for c, x in zip(reversed(conditions), reversed(branches[:-1]), strict=True):
        result = choose_where(c, x, result)
    return result


__all__ = [
    "argwhere",
    "compress",
    "fill_diagonal",
    "flatnonzero",
    "nonzero",
    "place",
    "put",
    "put_along_axis",
    "putmask",
    "select",
    "take",
    "where",
]
