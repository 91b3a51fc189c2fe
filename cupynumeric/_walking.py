"""Moving slices: which views of a program's arrays are taken as instant ones, see `_instant`.

Once a program has taken many different small slices of arrays of one type, slices met for the first time are views of the host
memory, and writes to them go there. Those that stay the same are recorded. Knows keys and habits; computes nothing.
"""

from __future__ import annotations

import math
from sys import getrefcount
from typing import Any

import numpy as np

from cupynumeric import _array
from cupynumeric._array import ndarray
from cupynumeric._instant import (
    LARGEST,
    Instant,
    _real,
    handed,
    host_of,
    index_of,
    is_plain,
    seen,
    through,
    unlooked,
)
from legate_jit import runtime
from legate_jit.immediate import ground
from legate_jit.ir.node import ArrayType
from legate_jit.running import tiers
from legate_jit.store import Grounded, Habit, Lens

#: different small slices of arrays of one type after which new ones are instant
MANY = 10
#: a slice met so often, within so many different ones, is one that stays the same: it is recorded
OFTEN, AMONG = 6, 64

_numpy_array = np.ndarray
_GROUNDED = ground.GROUNDED
_unseen = runtime.unseen
_policy = tiers.policy
tiers.taken_back.append(ground.forget_elements)

#: types of stores whose new small slices are instant
walked: set[ArrayType] = set()
#: different small slices seen of each type; minus infinity for types that have large slices as well
_novel: dict[ArrayType, float] = {}
runtime.bounded.append((_novel, 10_000))


def note(type_: ArrayType, size: int) -> None:
    """A view was taken for the first time: of a store of this type, so many elements."""
    if size > LARGEST:
        _novel[type_] = -math.inf
        walked.discard(type_)
        ground.habit(type_).fixed = True
        return
    count = _novel[type_] = _novel.get(type_, 0) + 1
    if count == MANY and tiers.may_compute_at_once():
        _walk(type_)


def _walk(type_: ArrayType) -> None:
    """From now on new small slices of stores of this type are instant, those seen before among them."""
    from cupynumeric._indexing import _by_token

    for table in (_array._views, _by_token):
        for key in [k for k in table if k[0] is type_]:
            del table[key]
    habit = ground.habit(type_)
    habit.fixed = False
    walked.add(type_)


def forget() -> None:
    """Begin anew."""
    for type_ in walked:
        ground.habit(type_).fixed = True
    walked.clear()
    _novel.clear()


def _stays(habit: Habit, array: ndarray, key: Any) -> bool:
    """Whether this key comes again and again, as all do: then it should be recorded."""
    cls = key.__class__
    token: Any = key if cls is int else (key.start, key.stop, key.step) if cls is slice else _token_of(key)
    if array._lens is not None:
        token = (token, array._lens)
    met = habit.met
    try:
        count = met[token] = met.get(token, 0) + 1
    except TypeError:  # a slice bound that does not hash
        return True
    habit.total += 1
    if len(met) > AMONG:
        met.clear()
        habit.total = 0
    if count > OFTEN and habit.total > OFTEN * len(met):
        habit.fixed = True
        return True
    return False


def _token_of(key: Any) -> Any:
    """A key that `is_plain` in a form that hashes."""
    if key.__class__ is not tuple:
        return repr(key)
    return tuple([(e.start, e.stop, e.step) if e.__class__ is slice else e for e in key])


def quick_getitem(array: ndarray, key: Any) -> Any:
    """`getitem` for an array whose store has its ground: None also where a recorded form may be known."""
    found = array._store.ground
    habit = found.habit
    cls = key.__class__
    if (
        habit.elements
        and array._lens is None
        and (array._type.ndim == 1 if cls is int else cls is tuple and _names_element(array, key))
    ):
        _unseen.count = 0
        return found.array[key]
    if cls is ndarray or cls is Instant:
        return picked(array, key)
    if habit.fixed or array._locked:
        return None
    if key.__class__ is not int and key.__class__ is not slice and not is_plain(key):
        return None
    host = found.array if array._lens is None else through(found, array)
    if host is None:
        return None
    view = host[key]
    if view.__class__ is not _numpy_array:
        return view
    turn = found.turn = found.turn + 1
    if view.size > LARGEST or (not turn & 7 and _stays(habit, array, key)):
        return None
    r = Instant()
    r._host, r._ground, r._home, r._origin = view, found, array._store, (array, key)
    return r


def getitem(array: ndarray, key: Any) -> Any:
    """`array[key]` as an instant view or NumPy's scalar; None if it should be recorded."""
    if not (key.__class__ is int or key.__class__ is slice or is_plain(key)) or array._locked:
        return None
    store = array._store
    if not _is_position(array, key) and _stays(ground.habit(store.type), array, key):
        return None
    found = ground.of(store)
    host = None if found is None else through(found, array)
    if host is None:
        return None
    view = host[key]
    if view.__class__ is not _numpy_array:
        return view
    if view.size > LARGEST:
        return None
    r = Instant()
    r._host, r._ground, r._home, r._origin = view, found, store, (array, key)
    return r


def _names_element(array: ndarray, key: Any) -> bool:
    """Whether a key is one integer for each axis."""
    if key.__class__ is int:
        return array._type.ndim == 1
    return key.__class__ is tuple and len(key) == array._type.ndim and _INTEGERS.issuperset(map(type, key))


_INTEGERS = frozenset((int,))


def picked(array: ndarray, key: Any) -> Any:
    """`array[key]` for a key that is an array of at least one axis, now; None if one of the two waits, or is not small."""
    if not _policy.interpret_runs or runtime.world is not None:
        return None
    there = key.__class__ is ndarray and key._store.__class__ is Grounded and key._lens is None
    index = key._store.ground.array if there and key._type.shape else index_of(key)
    type_ = array._type
    if index is None or not type_.shape or type_.size * index.size > LARGEST * type_.shape[0]:
        return None
    found = ground.of(array._store)
    host = None if found is None else through(found, array)
    return None if host is None else handed(host[index])


def put(array: ndarray, key: Any, item: Any) -> bool:
    """`array[key] = item` for a key that is an array of at least one axis, now; False if something waits, or is not small."""
    if not _policy.interpret_runs or runtime.world is not None or array._type.size > LARGEST:
        return False
    index = index_of(key)
    if index is None or (item.__class__ is ndarray and item._store.value is not None):
        return False
    return write_element(array, index, item)


def assigned(array: ndarray, lens: Lens, item: Any) -> bool:
    """`array[...] = item` through a lens where results are looked at one by one, now; False if it is to be recorded."""
    if item.__class__ is ndarray and item._store.value is not None:
        return False
    other = host_of(item)
    if other is None or unlooked():
        return False
    store = array._store
    moves = getrefcount(store.buffer) > _GROUNDED
    found = ground.owned(store)
    host = None if found is None else seen(found, lens)
    if host is None:
        return False
    host[...] = _real(host_of(item) if moves else other, host)  # its memory may have moved as well
    if not lens.type.shape:
        ground.habit(array._store.type).elements = True
    return True


def in_place(op: Any, array: ndarray, other: Any) -> bool:
    """`array op= other` where results are looked at one by one, now; False if it is to be recorded."""
    if (other.__class__ is ndarray and other._store.value is not None) or host_of(other) is None:
        return False
    if op.ufunc is None or unlooked():
        return False
    found = ground.owned(array._store)
    host = None if found is None else through(found, array)
    if host is None:
        return False
    try:
        op.ufunc(host, host_of(other), out=host)
    except TypeError:  # a loop that we have beyond NumPy's
        return False
    return True


def _is_position(array: ndarray, key: Any) -> bool:
    """Whether the key is an element of a vector."""
    return key.__class__ is int and array._type.ndim == 1


def quick_setitem(array: ndarray, key: Any, item: Any) -> bool:
    """`setitem` for an array whose store has its ground: False also where a recorded form may be known."""
    store = array._store
    found = store.ground
    habit = found.habit
    if array._locked or array._lens is not None:
        return False
    if (
        habit.elements
        and (item.__class__ is float or item.__class__ is int)
        and getrefcount(store.buffer) <= _GROUNDED
        and _names_element(array, key)
    ):
        _unseen.count += 1
        found.array[key] = item
        return True
    if habit.fixed:
        return False
    if key.__class__ is not int and key.__class__ is not slice and not is_plain(key):
        return False
    turn = found.turn = found.turn + 1
    if not turn & 7 and not _is_position(array, key) and _stays(habit, array, key):
        return False
    if item.__class__ is not Instant or not item._ground.valid or getrefcount(store.buffer) > _GROUNDED:
        return write_element(array, key, item)
    host, other = found.array, item._host
    if other.dtype is not host.dtype:
        other = _real(other, host)
    host[key] = other
    return True


def setitem(array: ndarray, key: Any, item: Any) -> bool:
    """`array[key] = item` at once; False if it should be recorded."""
    if not (key.__class__ is int or key.__class__ is slice or is_plain(key)) or _array.refuses_writes(array):
        return False
    if not _is_position(array, key) and _stays(ground.habit(array._store.type), array, key):
        return False
    return write_element(array, key, item)


def write_element(array: ndarray, key: Any, item: Any) -> bool:
    """Write what `host_of` knows through the array to its memory; False if that cannot be done here."""
    if host_of(item) is None:
        return False
    found = ground.owned(array._store)
    host = None if found is None else through(found, array)
    if host is None:
        return False
    host[key] = _real(host_of(item), host)  # asked again: the item's memory may have moved
    return True


def element(array: ndarray, key: Any) -> Any:
    """One element of an array that is there, as NumPy's scalar; None if its memory cannot be looked at."""
    found = ground.of(array._store)
    host = None if found is None else through(found, array)
    return None if host is None else host[key]


_array._instant_getitem, _array._instant_setitem = quick_getitem, quick_setitem
_array._assigned, _array._in_place_at_once = assigned, in_place
