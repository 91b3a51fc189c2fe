"""`ndarray`: a lazy NumPy array. A Store (the data) and an optional Lens (how a view looks into it).

Holds the hot paths of recording: operators and basic indexing append to the open window directly. Everything rarer is in the
rooms next door (`_indexing`, `_ufunc`, `_reduce`, `_convert`, `_methods`). Knows NumPy semantics; knows no kernels and no ranks.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cupynumeric import _elementwise
from cupynumeric._methods import ArrayMethods
from legate_jit import runtime
from legate_jit.ir.dtypes import is_supported
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import OPS
from legate_jit.runtime import window
from legate_jit.store import Grounded, Lens, Store

_enter = window.enter
_read = runtime.read


class Layout(ArrayMethods):
    """What every array is made of. Apart from `ndarray` because classes that inherit a constructor are made slowly."""

    __slots__ = (
        "_store",
        "_lens",
        "_type",
        "_key",
        "_locked",
        "_host",
        "_ground",
        "_home",
        "_origin",
        "__weakref__",
    )

    _store: Store
    _lens: Lens | None
    _type: ArrayType
    _key: Lens | ArrayType  # the lens if there is one, else the type: what signatures are looked up by
    _locked: bool | int  # True: setflags(write=False); SCALAR: see there
    # of `_instant.Instant` alone, and here because an array may cease to be one
    _host: Any
    _ground: Any
    _home: Store | None
    _origin: Any


class _Class(type):
    """The class of `ndarray`, for programs that ask about it or derive from it.

    Arrays that this package hands out as NumPy's (strings, records, dates, subclasses) are instances of `ndarray` too, and
    classes derived from `ndarray` are derived from NumPy's, see `_derived`. This package asks for `Ours`.
    """

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> type:
        if str(namespace.get("__module__", "")).startswith("cupynumeric."):
            return super().__new__(mcls, name, bases, namespace, **options)
        from cupynumeric._derived import Derived

        bases = tuple([Derived if base is ndarray else base for base in bases])
        return types.new_class(name, bases, options, lambda made: made.update(namespace))

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is ndarray and isinstance(instance, np.ndarray) and not is_ours(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        if type.__subclasscheck__(cls, subclass):
            return True
        return cls is ndarray and subclass is not np.ndarray and issubclass(subclass, np.ndarray)


def is_ours(host: np.ndarray) -> bool:
    """Whether a NumPy array is one that this package would have made an array of its own."""
    return type(host) is np.ndarray and is_supported(host.dtype)


class ndarray(Layout, metaclass=_Class):
    """A lazy N-dimensional array with NumPy's semantics.

    Operations are recorded and run, fused, when a value is observed (printing, `float()`, `numpy.asarray`), at
    `legate.fence()`, or when enough has been recorded.
    """

    __slots__ = ()

    __array_priority__ = 100.0

    def __new__(
        cls,
        shape: Any,
        dtype: Any = float,
        buffer: Any = None,
        offset: int = 0,
        strides: Any = None,
        order: Any = None,
    ) -> Any:
        """An array of `shape` whose contents are undefined, or a copy of what `buffer` holds (as `numpy.ndarray`)."""
        derived: Any = cls
        # `np.ndarray.__new__(cls, ...)` in the `__new__` of a derived class
        if np.ndarray in derived.__mro__:
            return np.ndarray.__new__(derived, shape, dtype, buffer, offset, strides, order)
        from cupynumeric._creation import from_constructor

        return from_constructor(shape, dtype, buffer, offset, strides, order)

    if TYPE_CHECKING:  # set below, one function per op

        def __neg__(self) -> ndarray: ...
        def __pos__(self) -> ndarray: ...
        def __abs__(self) -> ndarray: ...
        def __invert__(self) -> ndarray: ...
        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __iadd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __isub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __imul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __itruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __ifloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __imod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __ipow__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __iand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __ior__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __ixor__(self, other: Any) -> Any: ...
        def __lshift__(self, other: Any) -> Any: ...
        def __rlshift__(self, other: Any) -> Any: ...
        def __ilshift__(self, other: Any) -> Any: ...
        def __rshift__(self, other: Any) -> Any: ...
        def __rrshift__(self, other: Any) -> Any: ...
        def __irshift__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...

    # -- basic facts --

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of each axis. Assigning reshapes in place where no copy is needed (AttributeError otherwise)."""
        return self._type.shape

    @shape.setter
    def shape(self, value: Any) -> None:
        from cupynumeric._indexing import reshape_in_place

        reshape_in_place(self, value)

    @property
    def dtype(self) -> np.dtype:
        """Element type. Assigning another one shows the same bytes under it."""
        return self._type.dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        from cupynumeric._attributes import retype

        retype(self, value)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._type.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._type.size

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self._type.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._type.nbytes

    def __len__(self) -> int:
        if not self._type.shape:
            raise TypeError("len() of unsized object")
        return self._type.shape[0]

    # -- basic indexing --

    def __getitem__(self, key: Any) -> Any:
        if self._store.__class__ is Grounded:
            found = _instant_getitem(self, key)
            if found is not None:
                return found
        lens = None
        try:
            if key.__class__ is tuple:
                if len(key) == 2:
                    a, b = key
                    if a.__class__ is slice:
                        if b.__class__ is slice:
                            lens = _views.get((self._key, a.start, a.stop, a.step, b.start, b.stop, b.step))
                        elif b.__class__ is int:
                            lens = _views.get((self._key, a.start, a.stop, a.step, b, _ROW))
                    elif b.__class__ is slice and a.__class__ is int:
                        lens = _views.get((self._key, a, _ROW, b.start, b.stop, b.step))
            elif key.__class__ is slice:
                lens = _views.get((self._key, key.start, key.stop, key.step))
            elif key.__class__ is int:
                lens = _views.get((self._key, key, _ROW))
        except TypeError:  # a slice bound that does not hash: the general path judges it
            lens = None
        if lens is None:
            return _slow_getitem(self, key)
        r = _new(ndarray)
        r._store, r._lens, r._type, r._key, r._locked = self._store, lens, lens.type, lens, self._locked
        return r

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._store.__class__ is Grounded and _instant_setitem(self, key, value):
            return
        lens = None
        try:
            if key.__class__ is tuple:
                if len(key) == 2:
                    a, b = key
                    if a.__class__ is slice:
                        if b.__class__ is slice:
                            lens = _views.get((self._key, a.start, a.stop, a.step, b.start, b.stop, b.step))
                        elif b.__class__ is int:
                            lens = _views.get((self._key, a.start, a.stop, a.step, b, _ROW))
                    elif b.__class__ is slice and a.__class__ is int:
                        lens = _views.get((self._key, a, _ROW, b.start, b.stop, b.step))
            elif key.__class__ is slice:
                lens = _views.get((self._key, key.start, key.stop, key.step))
            elif key.__class__ is int:
                lens = _views.get((self._key, key, _ROW))
        except TypeError:
            lens = None
        if lens is None or self._locked:
            _slow_setitem(self, key, value)
            return
        assign(self, lens, value)

    def __iter__(self) -> Iterator[Any]:
        if not self._type.shape:
            raise TypeError("iteration over a 0-d array")
        if len(self._type.shape) == 1:
            from cupynumeric._indexing import elements

            return elements(self)
        return (self[i] for i in range(self._type.shape[0]))

    def __hash__(self) -> int:
        """Of results that are scalars in NumPy, the hash of the number; TypeError for arrays."""
        if self._locked == SCALAR and not self._type.shape:
            return hash(self.item())
        raise TypeError("unhashable type: 'cupynumeric.ndarray'")


# What `isinstance` asks for here: arrays of ours. `ndarray` answers as programs expect it, and more slowly.
if TYPE_CHECKING:
    Ours = ndarray
else:
    Ours = Layout

_new: Callable[[type[ndarray]], ndarray] = object.__new__
_elementwise._PLAIN.add(ndarray)
_elementwise._ndarray = ndarray

#: views by base (type or lens) and the parts of a key of slices and integers; `_indexing._remember` fills it
_views: dict[Any, Lens] = {}
#: `_locked` of results that are immutable scalars in NumPy: `s += 1` makes a new one, and other names for the old one keep it
SCALAR = 2
runtime.bounded.append((_views, 50_000))
#: for arrays whose memory is at hand, `_instant`'s own
_instant_getitem: Callable[[ndarray, Any], Any] = lambda array, key: None  # noqa: E731
_instant_setitem: Callable[[ndarray, Any, Any], bool] = lambda array, key, value: False  # noqa: E731
#: carries out an instruction on operands whose values are there; `_instant`'s own
_at_once: Callable[..., Any] = NotImplemented
#: the same for assignments and operations in place; False where they are to be recorded; `_walking`'s own
_assigned: Callable[[ndarray, Lens, Any], bool] = NotImplemented
_in_place_at_once: Callable[[Any, ndarray, Any], bool] = NotImplemented
_ROW = "row"  # follows an integer in such a key, if that is a tuple
_NEW = "new"  # stands for None in it


# `_indexing` puts its own functions here: the two modules need each other.
_slow_getitem: Callable[[ndarray, Any], Any] = NotImplemented
_slow_setitem: Callable[[ndarray, Any, Any], None] = NotImplemented


def wrap(store: Store, lens: Lens | None = None, locked: bool | int = False) -> ndarray:
    """An array that shows `store` through `lens`. Views of scalars get memory of their own, as in NumPy."""
    if lens is not None and locked == SCALAR:
        store, lens, locked = runtime.new_store(_read(store, lens), lens.type), None, False
    r = _new(ndarray)
    r._store, r._lens, r._type, r._locked = store, lens, store.type if lens is None else lens.type, locked
    r._key = lens or store.type
    return r


def result(sig: Signature, *srcs: int, scalars: Sequence[Any] = ()) -> ndarray:
    """Record an instruction (see `runtime.record`) and return its value as a new array."""
    v = runtime.record(sig, *srcs, scalars=scalars)
    return wrap(
        runtime.new_store(v, sig.type), None, not sig.type.shape and sig.op.ufunc is not None and SCALAR
    )


def scalar_name(array: ndarray) -> str:
    """The class of NumPy's scalar in place of which an array is, as NumPy's messages name it."""
    return f"'numpy.{array._type.dtype.type.__name__}'"


def refuses_writes(array: ndarray) -> bool:
    """Whether writing through the array is refused. A scalar becomes an array when it is written to on purpose (`out=`)."""
    if array._locked == SCALAR:
        array._locked = False
    return bool(array._locked) or (array._lens is not None and not array._lens.writable)


_elementwise._result = result


def value(array: ndarray) -> int:
    """The value number of what the array shows now, in the open window."""
    return _read(array._store, array._lens)


def assign(array: ndarray, lens: Lens | None, item: Any) -> None:
    """Write `item` (array, scalar, nested sequence) through `lens` of the array's store, as `numpy.ndarray.__setitem__`."""
    cls = item.__class__
    if lens is not None:
        if cls is ndarray and item._lens is lens and item._store is array._store:
            return  # x[k] += y: the in-place operator has written the view already
        sig = lens.update_signatures.get(item._key if cls is ndarray else cls)
        if sig is not None:
            store, w = array._store, window
            if store.value is None and sig.at_once and _assigned(array, lens, item):
                return
            if cls is ndarray:
                b = item._store.value
                if b is None:
                    b = _enter(item._store)
                old = store.value
                if old is None:
                    old = _enter(store)
                w.code += (sig, old, b)
                v = w.n
                w.n = v + 1
                store.value = v
                if v > w.limit:
                    runtime.full()
                return
            if sig.bounds is None or sig.bounds[0] <= item <= sig.bounds[1]:
                old = store.value
                if old is None:
                    old = _enter(store)
                w.scalars += (item,)
                w.code += (sig, old)
                v = w.n
                w.n = v + 1
                store.value = v
                if v > w.limit:
                    runtime.full()
                return
    from cupynumeric._indexing import assign_slow

    assign_slow(array, lens, item)


#: by classes of operands that are not recorded: what carries out `left op right` and `left op= right` for them
_mixed: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {}


# ---- operators ---------------------------------------------------------------------------------------------------


def _binary(name: str) -> Callable[[ndarray, Any], Any]:
    op, cache = OPS[name], _elementwise.cache_of(name)

    def method(self: ndarray, other: Any) -> Any:
        cls = other.__class__
        w = window
        if cls is ndarray:
            sig = cache.get((self._key, other._key))
            if sig is None:
                return _elementwise.operator(op, self, other)
            a, b = self._store.value, other._store.value
            if a is None:
                if sig.at_once and b is None:
                    return _at_once(sig, self, other)
                a = _enter(self._store)
                b = other._store.value  # the same store?
            if b is None:
                b = _enter(other._store)
            w.code += (sig, a, b)
        elif cls is float or cls is int:
            sig = cache.get((self._key, cls))
            if sig is None or (sig.bounds is not None and not sig.bounds[0] <= other <= sig.bounds[1]):
                return _elementwise.operator(op, self, other)
            a = self._store.value
            if a is None:
                if sig.at_once:
                    return _at_once(sig, self, other)
                a = _enter(self._store)
            w.scalars += (
                other,
            )  # not append: nothing is called between here and `w.n`, see `runtime.record`
            w.code += (sig, a)
        else:
            mixed = _mixed.get(cls)
            return mixed[0](op, self, other) if mixed else _elementwise.operator(op, self, other)
        v = w.n
        w.n = v + 1
        s = Store()
        s.value, s.buffer, s.type = v, None, sig.type
        w.stores.append(s)
        r = _new(ndarray)
        t = sig.type
        r._store, r._lens, r._type, r._key, r._locked = s, None, t, t, not t.shape and SCALAR
        if v > w.limit:
            runtime.full()
        return r

    method.__name__ = name
    return method


def _reflected(name: str) -> Callable[[ndarray, Any], Any]:
    op, cache = OPS[name], _elementwise.cache_of(name)

    def method(self: ndarray, other: Any) -> Any:
        cls = other.__class__
        if cls is float or cls is int:
            sig = cache.get((cls, self._key))
            if sig is not None and (sig.bounds is None or sig.bounds[0] <= other <= sig.bounds[1]):
                a = self._store.value
                if a is None:
                    if sig.at_once:
                        return _at_once(sig, other, self)
                    a = _enter(self._store)
                return result(sig, a, scalars=(other,))
        return _elementwise.reflected_operator(op, self, other)

    method.__name__ = name
    return method


def _in_place(name: str) -> Callable[[ndarray, Any], Any]:
    op, cache, plain = OPS[name], _elementwise.cache_of(name), _binary(name)

    def method(self: ndarray, other: Any) -> Any:
        cls = other.__class__
        if self._lens is None and not self._locked:
            sig = cache.get((self._key, other._key if cls is ndarray else cls))
            if sig is not None and sig.type is self._type:
                store, w = self._store, window
                if store.value is None and sig.at_once and _in_place_at_once(op, self, other):
                    return self
                if cls is ndarray:
                    b = other._store.value
                    if b is None:
                        b = _enter(other._store)
                    a = store.value
                    if a is None:
                        a = _enter(store)
                    w.code += (sig, a, b)
                elif (cls is float or cls is int) and (
                    sig.bounds is None or sig.bounds[0] <= other <= sig.bounds[1]
                ):
                    a = store.value
                    if a is None:
                        a = _enter(store)
                    w.scalars += (other,)
                    w.code += (sig, a)
                else:
                    return _elementwise.in_place_operator(op, self, other)
                v = w.n
                w.n = v + 1
                store.value = v
                if v > w.limit:
                    runtime.full()
                return self
        elif self._lens is not None and not self._locked:
            sig = cache.get((self._key, other._key if cls is ndarray else cls))
            update = None if sig is None else self._lens.update_signatures.get(sig.type)
            if update is not None and sig.type.dtype is self._type.dtype:  # type: ignore[union-attr]
                if cls is ndarray:
                    b = other._store.value
                    if b is None:
                        b = _enter(other._store)
                    srcs: tuple[Any, ...] = (b,)
                    scalars: tuple[Any, ...] = ()
                elif (cls is float or cls is int) and (
                    sig.bounds is None or sig.bounds[0] <= other <= sig.bounds[1]  # type: ignore[union-attr]
                ):
                    srcs, scalars = (), (other,)
                else:
                    return _elementwise.in_place_operator(op, self, other)
                store, w = self._store, window
                a = store.value
                if a is None:
                    if update.at_once and _in_place_at_once(op, self, other):
                        return self
                    a = _enter(store)
                w.scalars += scalars
                w.code += (sig, a, *srcs, update, a, w.n)
                v = w.n + 1
                w.n = v + 1
                store.value = v
                if v > w.limit:
                    runtime.full()
                return self
        if self._locked == SCALAR and not self._type.shape:
            return plain(self, other)
        mixed = _mixed.get(cls)
        return mixed[1](op, self, other) if mixed else _elementwise.in_place_operator(op, self, other)

    method.__name__ = name
    return method


def _unary(name: str) -> Callable[[ndarray], Any]:
    op = OPS[name]

    def method(self: ndarray) -> Any:
        return _elementwise.call(op, (self,))

    method.__name__ = name
    return method


_DUNDERS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
for _dunder, _name in _DUNDERS.items():
    if _dunder == "pow":
        continue
    setattr(ndarray, f"__{_dunder}__", _binary(_name))
    setattr(ndarray, f"__i{_dunder}__", _in_place(_name))
    setattr(ndarray, f"__r{_dunder}__", _reflected(_name))


#: `_elementwise.power`, replayed: exponents decide what is recorded
_power: Callable[[Any, Any], Any] = _elementwise.power


def _pow(self: ndarray, other: Any, modulo: Any = None) -> Any:
    return NotImplemented if modulo is not None else _power(self, other)


def _rpow(self: ndarray, other: Any, modulo: Any = None) -> Any:
    return NotImplemented if modulo is not None else _elementwise.power(other, self)


def _ipow(self: ndarray, other: Any) -> Any:
    if self._locked == SCALAR and not self._type.shape:
        return NotImplemented  # an immutable scalar in NumPy: `s **= 2` makes a new one
    done = _elementwise.power(self, other)
    return (
        done if done is NotImplemented else _elementwise.store_result(self, done, True, "same_kind", "power")
    )


setattr(ndarray, "__pow__", _pow)  # noqa: B010  as its neighbors
setattr(ndarray, "__rpow__", _rpow)  # noqa: B010
setattr(ndarray, "__ipow__", _ipow)  # noqa: B010
_COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
for _dunder, _name in _COMPARISONS.items():
    setattr(ndarray, f"__{_dunder}__", _binary(_name))
for _dunder, _name in _UNARY.items():
    setattr(ndarray, f"__{_dunder}__", _unary(_name))
