"""Instant arrays: small views and results computed at once by NumPy, for loops whose slices move.

`for i in range(n): y[i] = f(x[i])` on short rows makes every window new, and planning costs more than computing. Once a program
has taken many different small slices of arrays of one type, slices met for the first time are views of the host memory, and
operations among them and other small arrays run immediately. Everybody else sees arrays of the usual kind: looking at what an
array is made of turns it into one. The choice depends on the program alone. Knows NumPy and the ground of stores; no graphs.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from cupynumeric import _array, _elementwise
from cupynumeric._array import Ours, ndarray
from cupynumeric._unsettled import Unsettled
from legate_jit import ground, runtime
from legate_jit.ir import dtypes
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.store import Ground, Grounded, Habit

#: elements up to which NumPy is as quick as anything
LARGEST = 16384
#: different small slices of arrays of one type after which new ones are instant
MANY = 10
#: a slice met so often, within so many different ones, is one that stays the same: it is recorded
OFTEN, AMONG = 6, 64

#: of results, which have memory of their own
_OWN = Ground(np.empty(0), Habit())
_numpy_array = np.ndarray
_window = runtime.window
_PLAIN = frozenset((int, slice, type(None), type(Ellipsis)))
_GROUNDED = ground.GROUNDED


class _Plain(_array.Layout):
    """A first base without a constructor: `Instant()` is then a quarter of what `object.__new__(Instant)` costs."""

    __slots__ = ()


class Instant(_Plain, Unsettled):
    """`_host` shows the present value as long as `_ground` is valid. `_home`: the store a view looks into, None for memory of
    its own. `_origin`: the array and the key a view was made with."""

    __slots__ = ()
    __new__ = object.__new__  # type: ignore[assignment]

    def settle(self) -> ndarray:
        """Become an array of the usual kind."""
        from cupynumeric._indexing import view_lens

        if self._origin is None:
            store, lens = runtime.from_host(np.asarray(self._host)), None
            locked: bool | int = False
            self._ground.valid = self._ground is _OWN
        else:
            parent, key = self._origin
            lens = view_lens(parent, key)
            store, locked = parent._store, parent._locked
        # From here on nothing is called: an interruption finds either kind.
        x: Any = self
        x.__class__ = ndarray
        x._store, x._lens, x._locked = store, lens, locked
        x._type = store.type if lens is None else lens.type
        x._key = x._type if lens is None else lens
        x._host = x._ground = x._home = x._origin = None
        return self

    @property
    def _locked(self) -> bool | int:
        return False

    @_locked.setter
    def _locked(self, value: bool | int) -> None:
        self.settle()._locked = value

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of each axis."""
        return self._host.shape  # type: ignore[no-any-return]

    @shape.setter
    def shape(self, value: Any) -> None:
        self.settle().shape = value

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self._host.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._host.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._host.size  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._host.itemsize  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._host.nbytes  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> Any:
        if not (key.__class__ is int or key.__class__ is slice or _is_plain(key)):
            return ndarray.__getitem__(self.settle(), key)
        host = self._host if self._ground.valid else _refreshed(self)
        found = host[key]
        if found.__class__ is not _numpy_array:
            return found
        r = Instant()
        if self._ground is _OWN:
            self._ground = Ground(host, _OWN.habit)
        r._host, r._ground, r._home, r._origin = found, self._ground, self._home, (self, key)
        return r

    def __setitem__(self, key: Any, item: Any) -> None:
        other = host_of(item)
        if other is None or not (key.__class__ is int or key.__class__ is slice or _is_plain(key)):
            ndarray.__setitem__(self.settle(), key, item)
            return
        host = _written(self)
        if host is None:
            ndarray.__setitem__(self.settle(), key, item)
        else:
            host[key] = _real(other, host)

    def copy(self, order: Any = "C") -> Any:
        """A copy."""
        return made(np.array(self._host if self._ground.valid else _refreshed(self), order=order))

    def snapshot(self) -> np.ndarray:
        """The elements, as a read-only NumPy array of their own."""
        host = np.array(self._host if self._ground.valid else _refreshed(self), order="C")
        host.flags.writeable = False
        return host

    @property
    def __array_interface__(self) -> Any:
        host: Any = self.snapshot()
        return {
            **host.__array_interface__,
            "data": memoryview(host.reshape(-1).view(np.uint8)),
            "strides": None,
        }


def _is_plain(key: Any) -> bool:
    """Whether a key is a tuple of Python integers, slices, newaxis and ellipsis."""
    if key.__class__ is not tuple:
        return key is None or key is Ellipsis
    return _PLAIN.issuperset([e.__class__ for e in key])


def made(host: Any) -> Any:
    """A result of NumPy as an array: instant if it is small. NumPy's own scalars, and dtypes graphs do not hold, stay."""
    if host.__class__ is not _numpy_array:
        return host
    if host.size > LARGEST:
        from cupynumeric._convert import from_numpy_tree

        return from_numpy_tree(host)
    r = Instant()
    r._host, r._ground, r._home, r._origin = host, _OWN, None, None
    return r


def _refreshed(view: Instant) -> Any:
    """The host view again, after its store got another value or other memory."""
    parent, key = view._origin
    if parent.__class__ is Instant:
        host = parent._host if parent._ground.valid else _refreshed(parent)
        view._ground, view._home = parent._ground, parent._home
    else:
        store = parent._store
        found = ground.of(store)
        if found is None:  # memory of the program by now: what it shows, until it changes
            from cupynumeric._convert import host_view

            return host_view(parent)[key]
        host = _through(found, parent)
        view._ground, view._home = found, store
    view._host = host[key]
    return view._host


def _through(found: Ground, array: ndarray) -> Any:
    """What an array of the usual kind shows of its ground; None when no strides describe it."""
    if array._lens is None:
        return found.array
    from legate_jit.strides import strided

    return strided(found.array, array._lens)


def _written(array: Instant) -> Any:
    """The host view of an array that is about to be written; None if that is not for us."""
    home = array._home
    if home is None:
        return array._host if array._ground.valid else None
    if not array._ground.valid:
        _refreshed(array)
        if not array._ground.valid:
            return None
    ground.owned(home)
    return array._host if array._ground.valid else _refreshed(array)


def host_of(x: Any) -> Any:
    """A small operand for NumPy: host view or scalar. None for what is large, foreign, waiting with much else, or not settled by
    itself."""
    cls = x.__class__
    if cls is Instant:
        return x._host if x._ground.valid else _refreshed(x)
    if cls is float or cls is int or cls is bool or cls is complex:
        return x
    if cls is ndarray:
        if x._type.size > LARGEST:
            return None
        store = x._store
        found: Ground | None
        if store.__class__ is Grounded:
            found = store.ground
        elif store.value is not None and _window.n > runtime.SHORT:
            return None  # much is waiting with it, which should stay together
        else:
            found = ground.of(store)
        if found is None:
            return None
        return found.array if x._lens is None else _through(found, x)
    if isinstance(x, np.generic) or cls is _numpy_array:
        return x if x.size <= LARGEST and dtypes.is_supported(x.dtype) else None
    return None


def _real(item: Any, target: np.ndarray) -> Any:
    """Complex items are cast to real targets without a warning, as everywhere here."""
    if (
        target.dtype.kind != "c"
        and getattr(item, "dtype", target.dtype).kind == "c"
        and target.dtype.kind != "b"
    ):
        return item.real
    return item


# ---- where instant arrays come from -------------------------------------------------------------------------------

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
    if count == MANY:
        from legate_jit import tiers

        if tiers.may_compute_at_once():
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
    """A key that `_is_plain` in a form that hashes."""
    if key.__class__ is not tuple:
        return repr(key)
    return tuple([(e.start, e.stop, e.step) if e.__class__ is slice else e for e in key])


def quick_getitem(array: ndarray, key: Any) -> Any:
    """`getitem` for an array whose store has its ground: None also where a recorded form may be known."""
    found = array._store.ground
    habit = found.habit
    if habit.fixed or array._locked:
        return None
    if key.__class__ is not int and key.__class__ is not slice and not _is_plain(key):
        return None
    host = found.array if array._lens is None else _through(found, array)
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
    if not (key.__class__ is int or key.__class__ is slice or _is_plain(key)) or array._locked:
        return None
    store = array._store
    if not _is_position(array, key) and _stays(ground.habit(store.type), array, key):
        return None
    found = ground.of(store)
    host = None if found is None else _through(found, array)
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


def _is_position(array: ndarray, key: Any) -> bool:
    """Whether the key is an element of a vector."""
    return key.__class__ is int and array._type.ndim == 1


def quick_setitem(array: ndarray, key: Any, item: Any) -> bool:
    """`setitem` for an array whose store has its ground: False also where a recorded form may be known."""
    store = array._store
    found = store.ground
    habit = found.habit
    if habit.fixed or array._locked or array._lens is not None:
        return False
    if key.__class__ is not int and key.__class__ is not slice and not _is_plain(key):
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
    if not (key.__class__ is int or key.__class__ is slice or _is_plain(key)) or _array.refuses_writes(array):
        return False
    if not _is_position(array, key) and _stays(ground.habit(array._store.type), array, key):
        return False
    return write_element(array, key, item)


def write_element(array: ndarray, key: Any, item: Any) -> bool:
    """Write what `host_of` knows through the array to its memory; False if that cannot be done here."""
    if host_of(item) is None:
        return False
    found = ground.owned(array._store)
    host = None if found is None else _through(found, array)
    if host is None:
        return False
    host[key] = _real(host_of(item), host)  # asked again: the item's memory may have moved
    return True


# ---- operators ----------------------------------------------------------------------------------------------------


def _binary(name: str, dunder: str) -> Callable[[Instant, Any], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant, other: Any) -> Any:
        host = self._host if self._ground.valid else _refreshed(self)
        cls = other.__class__
        if cls is float or cls is int:
            second = other
        elif cls is Instant:
            second = other._host if other._ground.valid else _refreshed(other)
        else:
            second = host_of(other)
            if second is None:
                return getattr(self.settle(), dunder)(other)
        out = function(host, second)
        if out.__class__ is not _numpy_array or out.size > LARGEST:
            return made(out)
        r = Instant()
        r._host, r._ground, r._home, r._origin = out, _OWN, None, None
        return r

    method.__name__ = dunder
    return method


def _reflected(name: str, dunder: str) -> Callable[[Instant, Any], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant, other: Any) -> Any:
        first = host_of(other)
        if first is None:
            return getattr(self.settle(), dunder)(other)
        return made(function(first, self._host if self._ground.valid else _refreshed(self)))

    method.__name__ = dunder
    return method


def _in_place(name: str, dunder: str) -> Callable[[Instant, Any], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant, other: Any) -> Any:
        second = host_of(other)
        host = None if second is None else _written(self)
        if host is None:
            return getattr(self.settle(), dunder)(other)
        if other.__class__ is Instant:  # its memory may just have moved
            second = other._host if other._ground.valid else _refreshed(other)
        function(host, second, out=host)
        return self

    method.__name__ = dunder
    return method


def _unary(name: str, dunder: str) -> Callable[[Instant], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant) -> Any:
        done = apply(function, (self,))
        return getattr(self.settle(), dunder)() if done is None else done

    method.__name__ = dunder
    return method


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Instant, *args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if isinstance(x, (Ours, _numpy_array)):
                return getattr(self.settle(), name)(*args, **kwargs)
        host = self._host if self._ground.valid else _refreshed(self)
        return made(getattr(host, name)(*args, **kwargs))

    method.__name__ = name
    return method


def apply(function: np.ufunc, args: tuple[Any, ...]) -> Any:
    """A ufunc of one result on operands of which one is instant; None if it should be recorded."""
    hosts = []
    for x in args:
        host = host_of(x)
        if host is None:
            return None
        hosts.append(host)
    try:
        return made(function(*hosts))
    except TypeError:  # a loop that we have beyond NumPy's, or an error that the recording path words
        return None


def computed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's `function` on arguments of which one is instant and all are small; None if it should be recorded."""
    if not (_mentioned(args) or _mentioned(tuple(kwargs.values()))):
        return None
    if not _WRITES.isdisjoint(kwargs) or len(args) > _writes_at(function):
        return None
    try:
        hosts = [_argument(x) for x in args]
        named = {name: _argument(x) for name, x in kwargs.items()}
    except _Recorded:
        return None
    done = function(*hosts, **named)
    several = done if done.__class__ is tuple or done.__class__ is list else (done,)
    for x in several:
        if x.__class__ is _numpy_array and x.base is not None:
            return None  # perhaps a view of an argument
    return made(done) if several is not done else done.__class__(map(made, done))


#: parameters of NumPy's functions that have them write to an argument
_WRITES = frozenset(("out", "copy", "overwrite_input"))


@functools.cache
def _writes_at(function: Callable[..., Any]) -> float:
    """The position of the first parameter that has the function write to an argument."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        return 2  # `dot(a, b, out)` of releases that do not say
    return min([k for k, name in enumerate(names) if name in _WRITES], default=math.inf)


class _Recorded(Exception):
    """An argument that is not small, or foreign."""


def _mentioned(args: Any) -> bool:
    """Whether an instant array is among these, or in a sequence among them."""
    for x in args:
        cls = x.__class__
        if cls is Instant or ((cls is tuple or cls is list) and len(x) <= AMONG and _mentioned(x)):
            return True
    return False


def _argument(x: Any) -> Any:
    cls = x.__class__
    if cls is tuple or cls is list:
        return cls([_argument(e) for e in x])
    if x is None or cls is str or cls is type:
        return x
    host = host_of(x)
    if host is None:
        raise _Recorded
    return host


def at_once(sig: Signature, *operands: Any) -> Any:
    """An elementwise instruction on operands that are small and there, see `runtime.SHORT`."""
    done = apply(sig.op.ufunc, operands) if sig.op.ufunc is not None else None
    if done is None:
        sig.at_once = False  # nothing NumPy has: it is recorded
        return _elementwise.call(sig.op, operands)
    return done


def element(array: ndarray, key: Any) -> Any:
    """One element of an array that is there, as NumPy's scalar; None if its memory cannot be looked at."""
    found = ground.of(array._store)
    host = None if found is None else _through(found, array)
    return None if host is None else host[key]


def reduced(function: np.ufunc, array: ndarray, axes: tuple[int, ...], loop: np.dtype) -> Any:
    """A reduction of a small array that is there; None if its memory cannot be looked at."""
    host = host_of(array)
    return None if host is None else made(function.reduce(host, axis=axes, dtype=loop))


def mixed(op: Any, left: ndarray, right: Instant) -> Any:
    """`left op right` for an array of the usual kind and an instant one."""
    first = host_of(left)
    if first is None or op.ufunc is None:
        return _elementwise.operator(op, left, right.settle())
    return made(op.ufunc(first, right._host if right._ground.valid else _refreshed(right)))


def mixed_in_place(op: Any, left: ndarray, right: Instant) -> Any:
    """`left op= right` for an array of the usual kind and an instant one."""
    if left._type.size > LARGEST or op.ufunc is None or _array.refuses_writes(left):
        return _elementwise.in_place_operator(op, left, right.settle())
    found = ground.owned(left._store)
    host = None if found is None else _through(found, left)
    if host is None:
        return _elementwise.in_place_operator(op, left, right.settle())
    op.ufunc(host, right._host if right._ground.valid else _refreshed(right), out=host)
    return left


_OPERATORS = {**_array._DUNDERS, "matmul": "matmul"}
for _dunder, _name in _OPERATORS.items():
    setattr(Instant, f"__{_dunder}__", _binary(_name, f"__{_dunder}__"))
    setattr(Instant, f"__r{_dunder}__", _reflected(_name, f"__r{_dunder}__"))
    setattr(Instant, f"__i{_dunder}__", _in_place(_name, f"__i{_dunder}__"))
for _dunder, _name in _array._COMPARISONS.items():
    setattr(Instant, f"__{_dunder}__", _binary(_name, f"__{_dunder}__"))
for _dunder, _name in _array._UNARY.items():
    setattr(Instant, f"__{_dunder}__", _unary(_name, f"__{_dunder}__"))
for _name in ("sum", "prod", "max", "min", "all", "any", "argmax", "argmin", "mean", "var", "std"):
    setattr(Instant, _name, _reduction(_name))
_array._at_once = at_once
_array._mixed[Instant] = mixed, mixed_in_place
_array._instant_getitem, _array._instant_setitem = quick_getitem, quick_setitem
