"""Advanced indexing over several ranks: keys of index arrays and masks, when an array or an index is dealt out.

Called by `_advanced` and its neighbors where there are ranks, before they look at whole arrays. A key becomes a view whose
indexed axes come first, and an index array for each of those; the engine (`legate_jit.immediate.parted`) gathers and scatters by
them. None (or False) leaves something to the usual ways. Knows NumPy's rules for keys; knows no layouts and no messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cupynumeric import _array
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._convert import Foreign, host_view, lift
from cupynumeric._creation import undefined
from cupynumeric._elementwise import is_scalar
from cupynumeric._indexing import reshaped
from cupynumeric._shape import broadcast_to, cast, permuted, ravel_array
from legate_jit import runtime
from legate_jit.immediate import parted
from legate_jit.ir import dtypes
from legate_jit.store import Store

#: so few rows, if they are large, are taken one by one as slices
FEW = 8


def is_dealt(*arrays: Any) -> bool:
    """Whether any of these arrays shows what lies in parts."""
    return parted.is_dealt(*[x._store for x in arrays if isinstance(x, Ours)])


def whole(array: ndarray) -> Store:
    """A store that holds just what the array shows."""
    if array._lens is None:
        return array._store
    return runtime.new_store(value(array), array._type)


# ---- keys ---------------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """An advanced key. `basic`: the view that its other elements make, of which axes `taken` are indexed; `view`: the same, these
    axes first; `moved`: whether that is not the array itself; `arrays`: an index array for each of these, which broadcast
    to `shape`; `axes`: what NumPy calls the axes in errors; `place`: where the axes of `shape` go among those of the result."""

    basic: ndarray
    taken: tuple[int, ...]
    view: ndarray
    moved: bool
    arrays: tuple[ndarray | np.ndarray, ...]
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    place: int

    @property
    def lead(self) -> int:
        """How many axes are indexed."""
        return len(self.arrays)

    @property
    def rest(self) -> tuple[int, ...]:
        """The extents of the axes that are not."""
        return self.view.shape[self.lead :]

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of what the key shows."""
        return (*self.rest[: self.place], *self.shape, *self.rest[self.place :])

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the result in the order `shape`, `rest`."""
        spread = range(self.place, self.place + len(self.shape))
        return (*spread, *(d for d in range(len(self.result)) if d not in spread))


def parse(array: ndarray, key: Any) -> Key | None:
    """An advanced key with at least one index array and a result that is not empty; None when NumPy should judge."""
    elements = _elements(array, key)
    if elements is None:
        return None
    basic: list[Any] = []
    arrays: list[ndarray | np.ndarray] = []
    axes: list[int] = []
    taken: list[int] = []  # axes of the basic view that are indexed
    special: list[int] = []  # where integers and index arrays stand in the key
    axis = out = place = 0
    for k, e in enumerate(elements):
        if e is None:
            basic.append(e)
            out += 1
            continue
        if isinstance(e, slice):
            basic.append(e)
            out += 1
        else:
            if not special:
                place = out - len(taken)
            special.append(k)
            if isinstance(e, int):
                if not -array.shape[axis] <= e < array.shape[axis]:
                    return None
                basic.append(e)
            else:
                basic.append(slice(None))
                arrays.append(e)
                axes.append(axis)
                taken.append(out)
                out += 1
        axis += 1
    if not arrays:
        return None
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        return None
    together = special == list(range(special[0], special[-1] + 1))
    plain = all(isinstance(e, slice) and e == slice(None) for e in basic)
    seen = array if plain else array[tuple(basic)]
    order = (*taken, *(d for d in range(seen.ndim) if d not in taken))
    moved = not plain or order != tuple(range(seen.ndim))
    view = permuted(seen, order) if moved else seen
    if not math.prod(shape) or not view.size:
        return None
    return Key(seen, tuple(taken), view, moved, tuple(arrays), shape, tuple(axes), place if together else 0)


def _elements(array: ndarray, key: Any) -> list[Any] | None:
    """The key's elements, one for each axis of the array and for new ones: None, slices, ints and index arrays."""
    found: list[Any] = []
    for e in key if isinstance(key, tuple) else (key,):
        if e is None or e is Ellipsis or isinstance(e, slice):
            found.append(e)
            continue
        if isinstance(e, (bool, np.bool_)):
            return None
        if isinstance(e, (list, tuple)):
            try:
                e = lift(e) if len(e) else np.empty(0, np.int64)
            except Foreign:
                return None
        if isinstance(e, (Ours, np.ndarray)):
            if e.dtype == dtypes.BOOL and e.ndim:
                at = _axis(found, array.ndim)
                if at is None or e.shape != array.shape[at : at + e.ndim]:
                    return None
                from cupynumeric._advanced import nonzero

                found.extend(nonzero(e))
                continue
            if e.dtype.kind not in "iu":
                return None
            found.append(e if e.ndim else int(e))
            continue
        if not hasattr(e, "__index__"):
            return None
        found.append(e.__index__())
    used = sum(e is not None and e is not Ellipsis for e in found)
    dots = [k for k, e in enumerate(found) if e is Ellipsis]
    if used > array.ndim or len(dots) > 1:
        return None
    at = dots[0] if dots else len(found)
    found[at : at + len(dots)] = [slice(None)] * (array.ndim - used)
    return found


def _axis(elements: list[Any], ndim: int) -> int | None:
    """The axis of the array that the next element of a key is about; None when an ellipsis makes that depend on what follows."""
    if any(e is Ellipsis for e in elements):
        return None
    return sum(e is not None for e in elements)


def _indices(key: Key) -> list[Store | np.ndarray]:
    """The index arrays as the engine wants them: whole ones of any shape, dealt ones of the full shape."""
    found: list[Store | np.ndarray] = []
    for a in key.arrays:
        if not isinstance(a, Ours) or not is_dealt(a):
            found.append(host_view(a) if isinstance(a, Ours) else a)
        else:
            found.append(whole(a if a.shape == key.shape else broadcast_to(a, key.shape)))
    return found


# ---- reading ------------------------------------------------------------------------------------------------------


def getitem(array: ndarray, key: Any) -> ndarray | None:
    """`array[key]` for an advanced key."""
    parts = key if isinstance(key, tuple) else (key,)
    if not is_dealt(array, *parts):
        return None
    if isinstance(key, (Ours, np.ndarray)) and key.dtype == dtypes.BOOL and key.ndim:
        return select(array, key) if key.shape == array.shape[: key.ndim] else None
    parsed = parse(array, key)
    return None if parsed is None else _gathered(parsed)


def _gathered(key: Key) -> ndarray | None:
    rows, size = math.prod(key.shape), math.prod(key.rest)
    known = not is_dealt(*key.arrays)
    if known and not is_dealt(key.view):
        return None
    if known and rows <= FEW and size >= parted.small():
        found = _row_by_row(key)
    elif key.lead == 1:
        return _taken(key)
    else:
        table = whole(key.view)
        found = wrap(parted.take(table, _indices(key), key.shape, key.axes))
    if not key.place:
        return found
    order = key.order
    back = tuple(order.index(d) for d in range(len(order)))
    made: ndarray = permuted(found, back).copy()
    return made


def _taken(key: Key) -> ndarray:
    """The gather along one axis, recorded: what moves is chosen when it is planned."""
    from cupynumeric._advanced import check_bounds, gather

    (index,), (axis,) = key.arrays, key.taken
    n = key.basic.shape[axis]
    if isinstance(index, Ours) and is_dealt(index):
        parted.check(index._store if index._lens is None else whole(index), n, key.axes[0])
    else:
        host = host_view(index) if isinstance(index, Ours) else index
        check_bounds(host, n, key.axes[0])
        index = lift(host)
    found = gather(key.basic, index, axis)
    if axis == key.place:
        return found
    order = list(range(found.ndim))
    spread = order[axis : axis + len(key.shape)]
    del order[axis : axis + len(key.shape)]
    order[key.place : key.place] = spread
    turned: ndarray = permuted(found, order).copy()
    return turned


def _row_by_row(key: Key) -> ndarray:
    """A few large rows, as slices: they may be cut along any axis."""
    arrays = [np.broadcast_to(host_view(a) if isinstance(a, Ours) else a, key.shape) for a in key.arrays]
    for axis, a, n in zip(key.axes, arrays, key.view.shape, strict=False):
        from cupynumeric._advanced import check_bounds

        check_bounds(a, n, axis)
    made: ndarray = undefined((*key.shape, *key.rest), key.view.dtype)
    for at in np.ndindex(key.shape):
        made[at] = key.view[tuple(int(a[at]) for a in arrays)]
    return made


def select(array: ndarray, mask: ndarray | np.ndarray) -> ndarray:
    """`array[mask]` for a mask of the shape of its first axes."""
    return wrap(parted.select(whole(array), whole(lift(mask))))


def selected(array: ndarray, mask: ndarray) -> ndarray | None:
    """`array[mask]`, if either is dealt."""
    return select(array, mask) if is_dealt(array, mask) else None


def nonzero(a: ndarray) -> tuple[ndarray, ...] | None:
    """Positions of non-zero elements, one index array per axis."""
    mask = _mask(a)
    return None if mask is None else tuple([wrap(s) for s in parted.positions(mask)])


def argwhere(a: ndarray) -> ndarray | None:
    """Positions of non-zero elements, one row each."""
    mask = _mask(a)
    return None if mask is None else wrap(parted.places(mask))


def flatnonzero(a: ndarray) -> ndarray | None:
    """Positions of non-zero elements of the flattened array."""
    found = nonzero(ravel_array(a)) if isinstance(a, Ours) and a.ndim and is_dealt(a) else None
    return None if found is None else found[0]


def _mask(a: Any) -> Store | None:
    if not isinstance(a, Ours) or not a.ndim or not a.size or not is_dealt(a):
        return None
    return whole(a if a.dtype == dtypes.BOOL else a != 0)


def repeat(x: ndarray, counts: ndarray, axis: int) -> ndarray | None:
    """Each element along an axis repeated its own number of times."""
    if counts.ndim != 1 or counts.shape != (x.shape[axis],) or counts.dtype.kind not in "iu" or not x.size:
        return None
    if not is_dealt(x, counts):
        return None
    order = (axis, *(d for d in range(x.ndim) if d != axis))
    made = wrap(parted.repeat(whole(permuted(x, order) if axis else x), whole(counts)))
    if not axis:
        return made
    turned: ndarray = permuted(made, tuple(order.index(d) for d in range(x.ndim))).copy()
    return turned


# ---- writing ------------------------------------------------------------------------------------------------------


def setitem(array: ndarray, key: Any, item: Any) -> bool:
    """`array[key] = item` for an advanced key; False: not done."""
    parts = key if isinstance(key, tuple) else (key,)
    if not is_dealt(array, item, *parts):
        return False
    if isinstance(key, (Ours, np.ndarray)) and key.dtype == dtypes.BOOL and key.shape == array.shape:
        return _set_masked(array, lift(key), item)
    parsed = parse(array, key)
    if parsed is None:
        return False
    given = _in_dtype(item, array.dtype)
    return given is not None and _put(array, parsed, given)


def _in_dtype(item: Any, dtype: np.dtype) -> ndarray | np.ndarray | None:
    from cupynumeric._advanced import fitting_scalar

    if is_scalar(item):
        return np.asarray(fitting_scalar(item, dtype))
    try:
        return cast(lift(item), dtype)
    except Foreign:
        return None


def _put(
    array: ndarray,
    key: Key,
    item: ndarray | np.ndarray,
    write: Callable[..., None] | None = None,
    combine: str = "",
) -> bool:
    """Write `item` to what the key shows."""
    values = _rows(key, item)
    if not is_dealt(array, values, *key.arrays):
        return False
    if not key.moved and array._lens is None:
        parted.put(array._store, _indices(key), key.shape, key.axes, _given(values), write, combine=combine)
        return True
    changed = runtime.new_store(value(key.view), key.view._type)
    parted.put(changed, _indices(key), key.shape, key.axes, _given(values), write)
    key.view[...] = wrap(changed)
    return True


def _given(values: ndarray | np.ndarray) -> Store | np.ndarray:
    return whole(values) if isinstance(values, Ours) else values


def _rows(key: Key, item: ndarray | np.ndarray) -> ndarray | np.ndarray:
    """The item as a row for each index; or as one for all, of NumPy's, if it is small. ValueError as NumPy's."""
    shape = item.shape
    while len(shape) > len(key.result) and shape[0] == 1:
        shape = shape[1:]
    try:
        fits = np.broadcast_shapes(shape, key.result) == key.result
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"shape mismatch: value array of shape {_text(item.shape)} could not be broadcast to indexing result of shape "
            f"{_text(key.result)}"
        )
    if isinstance(item, np.ndarray) or (len(shape) <= len(key.rest) - key.place and not is_dealt(item)):
        host = host_view(item) if isinstance(item, Ours) else item
        return np.broadcast_to(host.reshape(shape), key.rest)
    spread = broadcast_to(reshaped(item, shape), key.result)
    return permuted(spread, key.order) if key.place else spread


def _text(shape: tuple[int, ...]) -> str:
    return str(shape).replace(" ", "")


def _set_masked(array: ndarray, mask: ndarray, item: Any) -> bool:
    """`array[mask] = item` for as many values as the mask has places."""
    given = _in_dtype(item, array.dtype)
    if given is None or given.ndim != 1:
        return False
    count = int(mask.sum())
    if given.size not in (1, count):
        raise ValueError(
            f"NumPy boolean array indexing assignment cannot assign {given.size} input values to the {count} output values where "
            "the mask is true"
        )
    return not count or place(array, mask, lift(given))


def place(array: ndarray, mask: ndarray, values: ndarray) -> bool:
    """The next of `values`, over and over, to each element of the array where the mask of its shape holds; False: not done."""
    if not is_dealt(array, mask, values) or not array.size:
        return False
    if _array.refuses_writes(array):
        raise ValueError("assignment destination is read-only")
    if mask.dtype != dtypes.BOOL:
        mask = mask != 0
    given = whole(values) if is_dealt(values) else host_view(values)
    holds = whole(mask)
    if array._lens is None:
        parted.place(array._store, holds, given)
        return True
    changed = runtime.new_store(value(array), array._type)
    parted.place(changed, holds, given)
    array[...] = wrap(changed)
    return True


def at(function: np.ufunc, array: ndarray, key: Any, operands: tuple[Any, ...]) -> bool:
    """`function.at(array, key, *operands)`, in the order of the indices; False: not done."""
    parts = key if isinstance(key, tuple) else (key,)
    if not is_dealt(array, *operands, *parts) or function.nin > 2 or function.nout != 1:
        return False
    parsed = parse(array, key)
    if parsed is None or len(operands) != function.nin - 1:
        return False
    if _array.refuses_writes(array):
        raise ValueError("assignment destination is read-only")
    if not operands:
        return _put(
            array, parsed, np.zeros((), array.dtype), lambda part, where, _: function.at(part, _wide(where))
        )
    (item,) = operands
    try:
        given = np.asarray(item, np.result_type(array.dtype, item)) if is_scalar(item) else lift(item)
    except (Foreign, OverflowError, TypeError):
        return False
    function.at(np.zeros(1, array.dtype), [0], np.ones((), given.dtype))  # raises NumPy's error
    exact = function in (np.maximum, np.minimum) or (array.dtype.kind in "iub" and function in _ANY_ORDER)
    combine = function.__name__ if exact and array.dtype.kind in "iufb" else ""
    return _put(
        array, parsed, given, lambda part, where, rows: function.at(part, _wide(where), rows), combine
    )


#: operations on integers whose order does not matter
_ANY_ORDER = (np.add, np.multiply, np.bitwise_and, np.bitwise_or, np.bitwise_xor)


def _wide(where: np.ndarray) -> np.ndarray:
    """Numbers of rows as NumPy takes them soonest."""
    return where.astype(np.intp, copy=False)


__all__ = [
    "Key",
    "argwhere",
    "at",
    "flatnonzero",
    "getitem",
    "is_dealt",
    "nonzero",
    "parse",
    "place",
    "repeat",
    "select",
    "selected",
    "setitem",
    "whole",
]
