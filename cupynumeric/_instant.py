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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cupynumeric import _array
from cupynumeric._array import Ours, ndarray
from cupynumeric._unsettled import Unsettled
from legate_jit import runtime
from legate_jit.immediate import ground
from legate_jit.ir import dtypes
from legate_jit.running import tiers
from legate_jit.store import Ground, Grounded, Habit, Lens
from legate_jit.strides import strided

#: elements up to which NumPy is as quick as anything
LARGEST = 16384
#: arguments in a sequence that are looked at one by one
AMONG = 64

#: of results, which have memory of their own
_OWN = Ground(np.empty(0), Habit())


class Looked(Ground):
    """Of results that have memory of their own and are there because the program looks at such results one by one. Operations
    on them are counted: when nobody looks any more, the program is in a loop, and that is recorded."""

    __slots__ = ()


_LOOKED = Looked(np.empty(0), Habit())
_unseen = runtime.unseen
_changes = tiers.changes
_policy = tiers.policy
_PATIENCE = tiers.PATIENCE
_numpy_array = np.ndarray
_window = runtime.window
_PLAIN = frozenset((int, slice, type(None), type(Ellipsis)))


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
            self._ground.valid = self._ground is _OWN or self._ground is _LOOKED
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

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.settle().dtype = value

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

    def __iter__(self) -> Iterator[Any]:
        if self._host.ndim != 1:
            return (
                ndarray.__iter__(self.settle())
                if not self._host.ndim
                else (self[i] for i in range(len(self)))
            )
        return _elements(self)

    def __getitem__(self, key: Any) -> Any:
        plain = key.__class__ is int or key.__class__ is slice or is_plain(key)
        if not plain:
            index = index_of(key)
            if index is None:
                return ndarray.__getitem__(self.settle(), key)
            key = index
        host = self._host if self._ground.valid else refreshed(self)
        found = host[key]
        if found.__class__ is not _numpy_array:
            _unseen.count = 0
            return found
        if not plain:
            return handed(found)
        r = Instant()
        if self._ground is _OWN or self._ground is _LOOKED:
            self._ground = self._ground.__class__(host, _OWN.habit)
        r._host, r._ground, r._home, r._origin = found, self._ground, self._home, (self, key)
        return r

    def __setitem__(self, key: Any, item: Any) -> None:
        where = key if key.__class__ is int or key.__class__ is slice or is_plain(key) else index_of(key)
        other = None if where is None and key is not None else _operand(self, item)
        host = None if other is None else _written(self)
        if host is None or (self._ground.__class__ is Looked and unlooked()):
            ndarray.__setitem__(self.settle(), key, item)
        else:
            host[where] = _real(other, host)

    def copy(self, order: Any = "C") -> Any:
        """A copy."""
        host = np.array(self._host if self._ground.valid else refreshed(self), order=order)
        return handed(host) if self._ground.__class__ is Looked else made(host)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """The elements converted to a dtype."""
        if self._ground.__class__ is Looked and not args and not kwargs:
            host = self._host if self._ground.valid else refreshed(self)
            return handed(host.astype(dtype))
        return ndarray.astype(self.settle(), dtype, *args, **kwargs)

    def snapshot(self) -> np.ndarray:
        """The elements, as a read-only NumPy array of their own."""
        _unseen.count = 0
        host = np.array(self._host if self._ground.valid else refreshed(self), order="C")
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


def _elements(x: Any) -> Iterator[Any]:
    """The elements of a vector one after another; later elements show what was written meanwhile."""
    i = 0
    for e in x._host if x._ground.valid else refreshed(x):
        yield e
        i += 1
        if x.__class__ is not Instant or not x._ground.valid:
            break
    for i in range(i, len(x)):  # noqa: B020  where the other loop ended
        yield x[i]


def is_plain(key: Any) -> bool:
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


def handed(host: Any) -> Any:
    """What NumPy has computed because the program looks at such results one by one, as an array. One of the usual kind where
    nobody has looked for long, see `tiers.take_back`, and for large results."""
    if host.__class__ is not _numpy_array:
        _unseen.count = 0
        return host
    count = _unseen.count = _unseen.count + 1
    if (
        count > _PATIENCE
        or host.size > 2 * LARGEST
        or _changes.times >= tiers.TIMES
        or not _policy.interpret_runs
    ):
        return _of_the_usual_kind(host)
    r = Instant()
    r._host, r._ground, r._home, r._origin = host, _LOOKED, None, None
    return r


def brought(host: np.ndarray) -> Any:
    """A new array from elsewhere (numbers of the program, random ones), in memory that nobody else knows, as an array of ours.
    Where results are looked at one by one, so are those of what will be done with it."""
    if host.size <= LARGEST and tiers.looking() and host.flags.owndata:
        return handed(host)
    from cupynumeric._convert import adopt

    return adopt(host)


def _of_the_usual_kind(host: np.ndarray) -> Any:
    from cupynumeric._convert import from_numpy_tree

    if _unseen.count == _PATIENCE + 1:
        tiers.take_back()
    return from_numpy_tree(host)


def unlooked() -> bool:
    """Count an operation that writes where results are looked at; whether nobody has looked for long."""
    count = _unseen.count = _unseen.count + 1
    if count == _PATIENCE + 1:
        tiers.take_back()
    return count > _PATIENCE or _changes.times >= tiers.TIMES


def index_of(key: Any) -> Any:
    """A key that is one array of ours, small and there, as NumPy's; None for other keys."""
    if key.__class__ is Instant:
        host = key._host if key._ground.valid else refreshed(key)
    elif key.__class__ is ndarray and key._store.value is None:
        host = host_of(key)
    else:
        return None
    return host if host is not None and host.ndim else None


def _operand(self: Instant, x: Any) -> Any:
    """`host_of` an operand beside `self`. What waits does not have to be computed for the sake of what is only looked at."""
    if x.__class__ is ndarray and x._store.value is not None and self._ground.__class__ is Looked:
        return None
    return host_of(x)


def refreshed(view: Instant) -> Any:
    """The host view again, after its store got another value or other memory."""
    parent, key = view._origin
    if parent.__class__ is Instant:
        host = parent._host if parent._ground.valid else refreshed(parent)
        view._ground, view._home = parent._ground, parent._home
    else:
        store = parent._store
        found = ground.of(store)
        if found is None:  # memory of the program by now: what it shows, until it changes
            from cupynumeric._convert import host_view

            return host_view(parent)[key]
        host = through(found, parent)
        view._ground, view._home = found, store
    view._host = host[key]
    return view._host


def through(found: Ground, array: ndarray) -> Any:
    """What an array of the usual kind shows of its ground; None when no strides describe it."""
    return found.array if array._lens is None else seen(found, array._lens)


def seen(found: Ground, lens: Lens) -> Any:
    """What a lens shows of a ground; None when no strides describe it."""
    views = found.views
    view = views.get(lens)
    if view is None:
        view = strided(found.array, lens)
        if len(views) >= AMONG:
            views.clear()
        views[lens] = view
    return view


def _written(array: Instant) -> Any:
    """The host view of an array that is about to be written; None if that is not for us."""
    home = array._home
    if home is None:
        return array._host if array._ground.valid else None
    if not array._ground.valid:
        refreshed(array)
        if not array._ground.valid:
            return None
    ground.owned(home)
    return array._host if array._ground.valid else refreshed(array)


def host_of(x: Any) -> Any:
    """A small operand for NumPy: host view or scalar. None for what is large, foreign, waiting with much else, or not settled by
    itself."""
    cls = x.__class__
    if cls is Instant:
        return x._host if x._ground.valid else refreshed(x)
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
        return found.array if x._lens is None else through(found, x)
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


# ---- operators ----------------------------------------------------------------------------------------------------


def _binary(name: str, dunder: str) -> Callable[[Instant, Any], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant, other: Any) -> Any:
        ground = self._ground
        looked = ground.__class__ is Looked
        if looked and _unseen.count > _PATIENCE:
            return getattr(self.settle(), dunder)(other)
        host = self._host if ground.valid else refreshed(self)
        cls = other.__class__
        if cls is float or cls is int:
            second = other
        elif cls is Instant:
            second = other._host if other._ground.valid else refreshed(other)
        else:
            second = _operand(self, other)
            if second is None:
                return getattr(self.settle(), dunder)(other)
        out = function(host, second)
        if looked:
            return handed(out)
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
        first = _operand(self, other)
        if first is None:
            return getattr(self.settle(), dunder)(other)
        out = function(first, self._host if self._ground.valid else refreshed(self))
        return handed(out) if self._ground.__class__ is Looked else made(out)

    method.__name__ = dunder
    return method


def _in_place(name: str, dunder: str) -> Callable[[Instant, Any], Any]:
    function: Any = getattr(np, name)

    def method(self: Instant, other: Any) -> Any:
        second = _operand(self, other)
        host = None if second is None else _written(self)
        if host is None or (self._ground.__class__ is Looked and unlooked()):
            return getattr(self.settle(), dunder)(other)
        if other.__class__ is Instant:  # its memory may just have moved
            second = other._host if other._ground.valid else refreshed(other)
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
        host = self._host if self._ground.valid else refreshed(self)
        out = getattr(host, name)(*args, **kwargs)
        return handed(out) if self._ground.__class__ is Looked else made(out)

    method.__name__ = name
    return method


def apply(function: np.ufunc, args: tuple[Any, ...]) -> Any:
    """A ufunc of one result on operands of which one is instant or NumPy's scalar; None if it should be recorded."""
    kind = _kind(args)
    hosts = []
    for x in args:
        if kind is not Instant and x.__class__ is ndarray and x._store.value is not None:
            return None
        host = host_of(x)
        if host is None:
            return None
        hosts.append(host)
    try:
        out = function(*hosts)
    except TypeError:  # a loop that we have beyond NumPy's, or an error that the recording path words
        return None
    return handed(out) if kind is Looked else made(out)


def _kind(args: Any) -> Any:
    """Instant if an array of moving slices is among these, or in a sequence among them; else Looked if an instant array is."""
    found: Any = None
    for x in args:
        cls = x.__class__
        if cls is Instant:
            if x._ground.__class__ is not Looked:
                return Instant
            found = Looked
        elif (cls is tuple or cls is list) and len(x) <= AMONG:
            found = _kind(x) or found
            if found is Instant:
                return Instant
    return found


def computed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's `function` on arguments of which one is instant and all are small; None if it should be recorded."""
    kinds = (_kind(args), _kind(tuple(kwargs.values())))
    if kinds == (None, None):
        return None
    if not _WRITES.isdisjoint(kwargs) or len(args) > _writes_at(function):
        return None
    walking = Instant in kinds
    try:
        hosts = [_argument(x, walking) for x in args]
        named = {name: _argument(x, walking) for name, x in kwargs.items()}
    except _Recorded:
        return None
    done = function(*hosts, **named)
    several = done if done.__class__ is tuple or done.__class__ is list else (done,)
    for x in several:
        if x.__class__ is _numpy_array and x.base is not None:
            return None  # perhaps a view of an argument
    give = made if walking else handed
    return give(done) if several is not done else done.__class__(map(give, done))


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


def _argument(x: Any, walking: bool) -> Any:
    cls = x.__class__
    if cls is tuple or cls is list:
        return cls([_argument(e, walking) for e in x])
    if x is None or cls is str or cls is type:
        return x
    host = None if not walking and cls is ndarray and x._store.value is not None else host_of(x)
    if host is None:
        raise _Recorded
    return host


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
