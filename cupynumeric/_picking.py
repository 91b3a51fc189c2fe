"""Functions that pick and write elements by indices and masks, over several ranks, when an array of theirs lies in parts.

Each has NumPy's signature and gives None (or False) when nothing lies in parts or NumPy should judge: then the usual way is
taken.
On `_dealt`'s keys, masks and repetitions, or recorded where ranks can work on lines of their own. Knows NumPy's semantics.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cupynumeric import _array, _dealt, _elementwise
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._convert import Foreign, host_view, lift
from cupynumeric._creation import undefined
from cupynumeric._indexing import reshaped
from cupynumeric._ranges import arange
from cupynumeric._shape import broadcast_to, cast, normalize_axis_index, permuted, ravel_array
from legate_jit import runtime
from legate_jit.immediate import parted
from legate_jit.ir import dtypes, infer
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import array_type
from legate_jit.ir.ops import OPS

#: choices that become a chain of selections
_CHOICES = 16


def _lifted(*arrays: Any) -> tuple[ndarray, ...] | None:
    """The arguments as arrays of ours, if one of them lies in parts."""
    if not any(isinstance(x, Ours) and _dealt.is_dealt(x) for x in arrays):
        return None
    try:
        return tuple([lift(x) for x in arrays])
    except Foreign:
        return None


def _op(name: str, *operands: Any) -> Any:
    return _elementwise.call(OPS[name], operands)


def _indices(where: ndarray, n: int, mode: str) -> ndarray | None:
    """Indices in the mode 'raise'; None for what is no index."""
    if where.dtype.kind not in "iu" or not where.size or not n:
        return None
    if mode == "wrap":
        return cast(_op("remainder", cast(where, dtypes.INT64), n), dtypes.INT64)
    if mode == "clip":
        return cast(_op("minimum", _op("maximum", cast(where, dtypes.INT64), 0), n - 1), dtypes.INT64)
    return where if mode == "raise" else None


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> ndarray | None:
    """Elements at `indices` along an axis (of the flattened array by default)."""
    given = _lifted(a, indices)
    if given is None or out is not None:
        return None
    x, where = given
    x, along = _lined(x, axis)
    if not x.ndim:
        return None
    found = _indices(where, x.shape[along], mode)
    if found is None:
        return None
    line = found if found.ndim else reshaped(found, (1,))
    taken = _dealt.getitem(x, (*(slice(None),) * along, line))
    if taken is None or found.ndim:
        return taken
    return reshaped(taken, (*x.shape[:along], *x.shape[along + 1 :]))


def _lined(x: ndarray, axis: Any) -> tuple[ndarray, int]:
    """The array and the axis; the flattened one if that is None."""
    if axis is None:
        return ravel_array(x), 0
    return x, normalize_axis_index(operator.index(axis), x.ndim)


def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> ndarray | None:
    """Slices along an axis where the condition holds."""
    given = _lifted(condition, a)
    if given is None or out is not None or given[0].ndim != 1:
        return None
    x, along = _lined(given[1], axis)
    mask = _holds(given[0])
    if not x.ndim or not x.size or not mask.size or mask.size > x.shape[along]:
        return None
    x = x[(*(slice(None),) * along, slice(mask.size))]
    order = (along, *(d for d in range(x.ndim) if d != along))
    found = _dealt.selected(permuted(x, order) if along else x, mask)
    if found is None or not along:
        return found
    made: ndarray = permuted(found, tuple(order.index(d) for d in range(x.ndim))).copy()
    return made


def _holds(condition: ndarray) -> ndarray:
    return condition if condition.dtype == dtypes.BOOL else _op("not_equal", condition, 0)


def extract(condition: Any, arr: Any) -> ndarray | None:
    """The elements where the condition holds."""
    given = _lifted(condition, arr)
    if given is None or given[0].size != given[1].size or not given[1].size:
        return None
    return _dealt.selected(ravel_array(given[1]), _holds(ravel_array(given[0])))


def delete(x: ndarray, obj: Any, axis: int) -> ndarray | None:
    """The array without the sub-arrays at an index array or mask along an axis. (Few indices cut it into slices.)"""
    from cupynumeric._joining import MANY_PIECES

    dealt = isinstance(obj, Ours) and _dealt.is_dealt(obj)
    gone = lift(obj)
    if not dealt and (gone.size < MANY_PIECES or not _dealt.is_dealt(x)):
        return None
    n = x.shape[axis]
    if gone.dtype == dtypes.BOOL:
        return compress(_op("logical_not", gone), x, axis) if gone.shape == (n,) else None
    if gone.dtype.kind not in "iu" or not gone.size:
        return None
    keep = _op("greater_equal", arange(n), 0)
    keep[ravel_array(gone)] = False
    return compress(keep, x, axis)


def insert(x: ndarray, obj: Any, values: Any) -> ndarray | None:
    """The vector with values inserted before the given positions."""
    given = None if isinstance(obj, slice) else _lifted(x, obj, values)
    if given is None:
        return None
    where, item = given[1], cast(given[2], x.dtype)
    n, count = x.size, where.size
    if (
        where.ndim != 1
        or where.dtype.kind not in "iu"
        or count < 2
        or item.ndim > 1
        or item.size not in (1, count)
    ):
        return None
    where = cast(where, dtypes.INT64)
    if _any_outside(_op("add", where, n), 2 * n + 1):
        return None
    before = _op("where", _op("less", where, 0), _op("add", where, n), where)
    order = before.argsort(kind="stable")
    places = undefined((count,), dtypes.INT64)
    places[order] = _op("add", before[order], arange(count))
    made: ndarray = undefined((n + count,), x.dtype)
    kept = _op("greater_equal", arange(n + count), 0)
    kept[places] = False
    made[kept] = x
    made[places] = item
    return made


def element(x: ndarray, at: tuple[Any, ...]) -> np.ndarray | None:
    """The element at a flat position, or at coordinates."""
    key = at[0] if len(at) == 1 else at
    numbers = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(e, (int, np.integer)) for e in numbers) or not _dealt.is_dealt(x):
        return None
    if not isinstance(key, tuple):
        if not -x.size <= key < x.size:
            return None
        key = np.unravel_index(key % x.size, x.shape)
    return host_view(x[tuple([int(e) for e in key])]) if len(key) == x.ndim else None


def flat_getitem(x: ndarray, key: Any) -> Any:
    """`x.flat[key]`."""
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        found = element(x, (key,))
        return None if found is None else found[()]
    if not isinstance(key, (slice, list, np.ndarray, Ours)):
        return None
    if not _dealt.is_dealt(x, key) or _is_matrix_of_booleans(key):
        return None
    return ravel_array(x)[key].copy()


def _is_matrix_of_booleans(key: Any) -> bool:
    return not isinstance(key, slice) and lift(key).dtype == dtypes.BOOL and lift(key).ndim != 1


def flat_setitem(x: ndarray, key: Any, item: Any) -> bool:
    """`x.flat[key] = item`, the values over and over."""
    if isinstance(key, slice):
        key = arange(*key.indices(x.size)) if _dealt.is_dealt(x) else None
    elif isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        key = [key]
    if not isinstance(key, (list, np.ndarray, Ours)):
        return False
    where = lift(key)
    if where.dtype == dtypes.BOOL:
        return where.shape == (x.size,) and place(x, reshaped(where, x.shape), item)
    if where.dtype.kind not in "iu" or not where.size or not _dealt.is_dealt(x, where):
        return False
    if _any_outside(_op("add", cast(where, dtypes.INT64), x.size), 2 * x.size):
        return False  # NumPy has the error
    return put(x, where, item)


def put(a: ndarray, ind: Any, v: Any, mode: str = "raise") -> bool:
    """`a.flat[ind] = v`, the values over and over."""
    given = _lifted(a, ind, v)
    if given is None:
        return False
    x, where, values = given
    if x is not a or not values.size or not np.can_cast(values.dtype, a.dtype, "same_kind"):
        return False
    if _array.refuses_writes(a):
        raise ValueError("assignment destination is read-only")
    found = _indices(where, a.size, mode)
    if found is None:
        return False
    rows = _repeated(cast(ravel_array(values), a.dtype), found.size)
    line = ravel_array(found)
    index = _dealt.whole(line) if _dealt.is_dealt(line) else host_view(line)
    row = host_view(rows).reshape(()) if rows.size == 1 else _dealt.whole(rows)
    store = a._store if a._lens is None else runtime.new_store(value(a), a._type)
    parted.put(store, [index], line.shape, (0,), row, flat=True)
    if a._lens is not None:
        a[...] = wrap(store)
    return True


def _repeated(values: ndarray, n: int) -> ndarray:
    """A vector over and over until there are n elements; one alone stays one."""
    if values.size in (1, n):
        return values
    if values.size > n:
        found: ndarray = values[:n]
        return found
    over: ndarray = values[_op("remainder", arange(n), values.size)]
    return over


def place(arr: ndarray, mask: Any, vals: Any) -> bool:
    """Where the mask holds, the next elements of `vals` replace those of `arr`."""
    given = _lifted(arr, mask, vals)
    if given is None or given[0] is not arr or given[1].shape != arr.shape:
        return False
    values = ravel_array(given[2])
    if not np.can_cast(values.dtype, arr.dtype, "same_kind"):
        return False
    return _dealt.place(arr, given[1], cast(values, arr.dtype))


def putmask(a: ndarray, mask: Any, values: Any) -> bool:
    """Where the mask holds, elements of `values` (repeated to a's size) replace those of `a`."""
    from cupynumeric._advanced import write_where

    given = _lifted(a, mask, values)
    if given is None or given[0] is not a or given[1].shape != a.shape or not given[2].size or not a.size:
        return False
    if not np.can_cast(given[2].dtype, a.dtype, "same_kind"):
        return False
    rows = _repeated(cast(ravel_array(given[2]), a.dtype), a.size)
    if _array.refuses_writes(a):
        raise ValueError("assignment destination is read-only")
    write_where(a, _holds(given[1]), reshaped(rows, a.shape if rows.size == a.size else ()))
    return True


def repeat(x: ndarray, repeats: Any, axis: Any) -> ndarray | None:
    """Each element repeated its own number of times, along an axis (of the flattened array by default)."""
    given = _lifted(x, repeats)
    if given is None:
        return None
    line, along = _lined(x, axis)
    if not line.ndim:
        return None
    counts = given[1] if given[1].size != 1 else broadcast_to(given[1], (line.shape[along],))
    return _dealt.repeat(line, counts, along)


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> ndarray | None:
    """Elements of the choices picked by an array of their numbers."""
    if out is not None or not isinstance(choices, (list, tuple, Ours)) or not 0 < len(choices) <= _CHOICES:
        return None
    given = _lifted(a, *choices)
    if given is None or given[0].dtype.kind not in "iub":
        return None
    which = _indices(cast(given[0], dtypes.INT64), len(choices), mode)
    if which is None:
        return None
    wrong = _op("logical_or", _op("less", which, 0), _op("greater_equal", which, len(choices)))
    if mode == "raise" and bool(wrong.any()):
        raise ValueError("invalid entry in choice array")
    shape = np.broadcast_shapes(*(x.shape for x in given))
    dtype = dtypes.canonical(np.result_type(*(x.dtype for x in given[1:])))
    branches = [cast(x, dtype) for x in given[1:]]
    found = broadcast_to(branches[-1], shape)
    for k in range(len(branches) - 2, -1, -1):
        found = _op("where", _op("equal", which, k), branches[k], found)
    made: ndarray = found if len(branches) > 1 else found.copy()
    return made


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> ndarray | None:
    """Elements at matching positions of lines along an axis."""
    given = _lifted(arr, indices)
    if given is None:
        return None
    x, along = _lined(given[0], axis)
    where = given[1]
    if not _match(x, where, along):
        return None
    if _few_lines(x, along):
        return _dealt.getitem(x, _key(x, where, along))
    rest = [max(m, n) for m, n in zip(x.shape, where.shape, strict=True)]
    both = [broadcast_to(y, (*rest[:along], y.shape[along], *rest[along + 1 :])) for y in (x, where)]
    return _lines("take_along_axis", both, both[1].shape, along)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> bool:
    """Values written at matching positions of lines along an axis."""
    given = _lifted(arr, indices, values)
    if given is None or given[0] is not arr or axis is None:
        return False
    x, where, item = given
    along = normalize_axis_index(operator.index(axis), x.ndim)
    if (
        _array.refuses_writes(x)
        or not _match(x, where, along)
        or any(n > m for d, (m, n) in enumerate(zip(x.shape, where.shape, strict=True)) if d != along)
    ):
        return False
    if _few_lines(x, along):
        return _dealt.setitem(x, _key(x, where, along), item)
    where = broadcast_to(where, (*x.shape[:along], where.shape[along], *x.shape[along + 1 :]))
    rows = broadcast_to(cast(item, x.dtype), where.shape)
    x[...] = _lines("put_along_axis", (x, where, rows), x.shape, along)
    return True


def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[ndarray, ...] | None:
    """Positions in the flattened array as coordinates."""
    given = _lifted(indices)
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    if given is None or order != "C" or given[0].dtype.kind not in "iu" or not all(extents):
        return None
    where = cast(given[0], dtypes.INT64)
    if not extents or _any_outside(where, math.prod(extents)):
        return None  # NumPy has the error
    found = []
    for n in reversed(extents):
        found.append(_op("remainder", where, n))
        where = _op("floor_divide", where, n)
    return tuple(reversed(found))


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> ndarray | None:
    """Coordinates as positions in the flattened array."""
    given = _lifted(*multi_index) if isinstance(multi_index, (tuple, list, Ours)) else None
    if given is None or order != "C" or not isinstance(mode, str):
        return None
    extents = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(extents) != len(given):
        return None
    found: Any = 0
    for x, n in zip(given, extents, strict=True):
        where = _indices(x, n, mode)
        if where is None or (mode == "raise" and _any_outside(where, n)):
            return None
        found = _op("add", _op("multiply", found, n), cast(where, dtypes.INT64))
    made: ndarray = found
    return made


def _any_outside(where: ndarray, n: int) -> bool:
    return bool(_op("logical_or", _op("less", where, 0), _op("greater_equal", where, n)).any())


def ix_(*args: Any) -> tuple[ndarray, ...] | None:
    """An open mesh of vectors; of masks, the positions where they hold."""
    given = _lifted(*args)
    if given is None or any(x.ndim != 1 or not x.size for x in given):
        return None
    found = []
    for k, x in enumerate(given):
        if x.dtype == dtypes.BOOL:
            from cupynumeric._advanced import nonzero

            (x,) = nonzero(x)
        found.append(reshaped(x, (*(1,) * k, x.size, *(1,) * (len(given) - k - 1))))
    return tuple(found)


def _few_lines(x: ndarray, along: int) -> bool:
    """Whether there are fewer lines along an axis than ranks that could work on them."""
    return bool(x.size // x.shape[along] < runtime.world.size)


def _key(x: ndarray, where: ndarray, along: int) -> tuple[Any, ...]:
    """The key of the elements of lines along an axis."""
    mesh = np.ix_(*(np.arange(n) for n in x.shape))
    return tuple([where if d == along else mesh[d] for d in range(x.ndim)])


def _match(x: ndarray, where: ndarray, along: int) -> bool:
    """Whether indices fit an array but along an axis, where they are in range (else IndexError)."""
    if x.ndim != where.ndim or where.dtype.kind not in "iu" or not where.size or not x.size:
        return False
    theirs = [(m, n) for d, (m, n) in enumerate(zip(x.shape, where.shape, strict=True)) if d != along]
    if any(m != n and m != 1 and n != 1 for m, n in theirs):
        return False
    parted.check(_dealt.whole(where), x.shape[along], along)
    return True


def _lines(name: str, operands: Sequence[ndarray], shape: tuple[int, ...], along: int) -> ndarray:
    result = array_type(shape, operands[0].dtype)
    spec = CallSpec(name, (("axis", along),))
    sig = infer.call_signature(tuple([x._type for x in operands]), result, spec)
    return _array.result(sig, *[value(x) for x in operands])


__all__ = [
    "choose",
    "compress",
    "delete",
    "element",
    "extract",
    "flat_getitem",
    "flat_setitem",
    "insert",
    "ix_",
    "place",
    "put",
    "put_along_axis",
    "putmask",
    "ravel_multi_index",
    "repeat",
    "take",
    "take_along_axis",
    "unravel_index",
]
