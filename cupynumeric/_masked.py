"""Masked reads that stay lazy: `x[mask]` where the mask has x's shape.

The length of `x[mask]` depends on data, so NumPy's result cannot be a graph value. But programs mostly compute on such selections
elementwise and write them back through the same mask (`z[m] = z[m] * z[m] + c[m]`). A `Selection` remembers the mask and the
whole-shape value; elementwise operations among selections of one mask stay whole-shape and fuse, and the write-back becomes a
select. Anything else turns the selection into the real, compressed array first.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _array, _elementwise
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._unsettled import Unsettled
from legate_jit import runtime
from legate_jit.immediate import irregular
from legate_jit.ir import dtypes, index, infer
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import OPS, Op
from legate_jit.runtime import window
from legate_jit.store import Store


def snapshot(array: ndarray) -> ndarray:
    """A whole array with the present value of `array`."""
    return wrap(runtime.new_store(value(array), array._type))


def _token(mask: ndarray) -> tuple[Any, ...]:
    """Equal tokens: the same mask with the same contents. (Unequal ones may still be equal masks.)"""
    store = mask._store
    if store.value is None:
        return store, mask._lens, store.buffer
    return store, mask._lens, store.value, window.serial


class Selection(Unsettled):
    """`whole[mask]`, computed only when somebody needs more than elementwise results of it."""

    __slots__ = ("_done", "_mask", "_mask_token", "_whole")

    _mask: ndarray
    _mask_token: tuple[Any, ...]
    _whole: ndarray
    _done: ndarray | None

    def settle(self) -> ndarray:
        """The compressed array itself."""
        if self._done is None:
            from cupynumeric._convert import from_numpy, host_view

            if runtime.world is not None:
                from cupynumeric import _dealt

                self._done = _dealt.selected(self._whole, self._mask)
                if self._done is not None:
                    return self._done
            whole, mask = host_view(self._whole), host_view(self._mask)
            store = irregular.select(whole, mask)
            self._done = from_numpy(whole[mask]) if store is None else wrap(store)
        return self._done

    @property
    def pending(self) -> bool:
        """Whether the compressed array does not exist yet."""
        return self._done is None

    @property
    def _locked(self) -> bool | int:
        return self.settle()._locked

    @_locked.setter
    def _locked(self, value: bool | int) -> None:
        self.settle()._locked = value

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self._whole.dtype if self._done is None else self._done.dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.settle().dtype = value

    @property
    def ndim(self) -> int:
        """A selection has one axis."""
        return 1 if self._done is None else self._done.ndim


def _selection(mask: ndarray, token: tuple[Any, ...], whole: ndarray) -> Selection:
    global _latest
    s: Selection = _new(Selection)
    s._mask, s._mask_token, s._whole, s._done = mask, token, whole, None
    if len(_unsettled) > 500:
        _unsettled[:] = [r for r in _unsettled if r() is not None]
    _latest = weakref.ref(s)
    _unsettled.append(_latest)
    return s


_new: Callable[[type[Selection]], Selection] = object.__new__
_unsettled: list[weakref.ref[Selection]] = []  # arrays do not hash, so no weak set
_latest: Callable[[], Selection | None] = lambda: None  # noqa: E731  often the next one has the same mask


def settle_all() -> None:
    """Compute every selection somebody still holds."""
    if not _unsettled:
        return
    waiting = [r() for r in _unsettled]
    _unsettled.clear()
    for s in waiting:
        if s is not None:
            s.settle()


runtime.before_fence.append(settle_all)


def applies(array: ndarray, key: Any) -> bool:
    """Whether `array[key]` is a masked read or write this module handles."""
    if key.__class__ is ndarray:
        type_: ArrayType = key._type
        return type_.dtype == dtypes.BOOL and type_.shape == array._type.shape and type_.shape != ()
    return (
        isinstance(key, Ours)
        and not isinstance(key, Selection)
        and key.dtype == dtypes.BOOL
        and key.shape == array.shape
        and key.ndim > 0
    )


def getitem(array: ndarray, mask: ndarray) -> Selection:
    """`array[mask]`."""
    token, latest = _token(mask), _latest()
    if latest is not None and latest._mask_token == token:
        return _selection(latest._mask, latest._mask_token, snapshot(array))
    return _selection(snapshot(mask), token, snapshot(array))


def setitem(array: ndarray, mask: ndarray, item: Any) -> bool:
    """`array[mask] = item` as a select, if item is a scalar or a selection of the same mask; False otherwise."""
    if isinstance(item, Selection):
        if not item.pending or item._mask_token != _token(mask):
            return False
        source: Any = item._whole
    elif _elementwise.is_scalar(item):
        source = _scalar(array, item)
    elif isinstance(item, Ours) and item.ndim == 0:
        source = item
    else:
        return False
    if isinstance(source, Ours) and source.dtype != array.dtype:
        source = source.astype(array.dtype)
    chosen = _elementwise.call(OPS["where"], (mask, source, array))
    if array._lens is None and not array._locked and chosen._type is array._type:
        _replace(array._store, chosen._store)
    else:
        _array.assign(array, array._lens, chosen)
    return True


def _replace(store: Store, by: Store) -> None:
    """Assign the whole of a store to another of its type."""
    sig = _whole_updates.get(store.type)
    if sig is None:
        whole = index.identity(store.type.shape)
        sig = _whole_updates[store.type] = infer.update_signature(store.type, store.type, whole)
    new = runtime.value_of(by)
    store.value = runtime.record(sig, runtime.value_of(store), new)
    if window.n > window.limit + 1:
        runtime.full()


_whole_updates: dict[ArrayType, Signature] = {}
runtime.bounded.append((_whole_updates, 1000))


def _scalar(array: ndarray, item: Any) -> Any:
    """The scalar in the array's dtype, with assignment's errors."""
    if type(item) is int and array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        if not info.min <= item <= info.max:
            raise OverflowError(f"Python integer {item} out of bounds for {array.dtype.name}")
    if type(item) is complex and array.dtype.kind != "c":
        raise TypeError("float() argument must be a string or a real number, not 'complex'")
    return np.asarray(item).astype(array.dtype)[()]


def call(op: Op, inputs: tuple[Any, ...]) -> Selection | None:
    """The elementwise op on selections of one mask and scalars, kept whole-shape; None when the operands do not allow it."""
    chosen = [x for x in inputs if isinstance(x, Selection)]
    first = chosen[0]
    for x in inputs:
        if isinstance(x, Selection):
            if not x.pending or x._mask_token != first._mask_token:
                return None
        elif not (_elementwise.is_scalar(x) or (isinstance(x, Ours) and x.ndim == 0)):
            return None
    whole = _elementwise.call(op, tuple(x._whole if isinstance(x, Selection) else x for x in inputs))
    return _selection(first._mask, first._mask_token, whole) if isinstance(whole, Ours) else None


def _quick(table: dict[Any, Signature], left: Any, right: Any) -> Selection | None:
    """The elementwise result of a pending selection with a scalar or another of its mask, when the types were seen before."""
    if left.__class__ is not Selection:
        mine, other = right, left
    else:
        mine, other = left, right
    if mine._done is not None:
        return None
    if other.__class__ is Selection:
        if other._done is not None or other._mask_token != mine._mask_token:
            return None
        a, b = left._whole, right._whole
        sig = table.get((a._key, b._key))
        if sig is None:
            return None
        whole = _array.result(sig, runtime.value_of(a._store), runtime.value_of(b._store))
    else:
        w, cls = mine._whole, other.__class__
        sig = table.get((w._key, cls) if mine is left else (cls, w._key))
        if sig is None or cls not in _NUMBERS:
            return None
        if sig.bounds is not None and not sig.bounds[0] <= other <= sig.bounds[1]:
            return None
        whole = _array.result(sig, runtime.value_of(w._store), scalars=(other,))
    return _selection(mine._mask, mine._mask_token, whole)


_NUMBERS = frozenset((int, float, complex, bool))


def _binary(name: str, swapped: bool) -> Callable[[Selection, Any], Any]:
    op, table = OPS[name], _elementwise.cache_of(name)

    def method(self: Selection, other: Any) -> Any:
        done = _quick(table, other, self) if swapped else _quick(table, self, other)
        if done is not None:
            return done
        if _elementwise.is_foreign(other):
            return NotImplemented
        return _elementwise.call(op, (other, self) if swapped else (self, other))

    return method


def _in_place(name: str) -> Callable[[Selection, Any], Any]:
    op, table = OPS[name], _elementwise.cache_of(name)

    def method(self: Selection, other: Any) -> Any:
        if self.pending:
            done = _quick(table, self, other)
            if done is None:
                done = call(op, (self, other))
            if done is not None and done.dtype == self.dtype:
                self._whole = done._whole
                return self
        return _elementwise.in_place_operator(op, self, other)

    return method


def _unary(name: str) -> Callable[[Selection], Any]:
    op = OPS[name]

    def method(self: Selection) -> Any:
        return _elementwise.call(op, (self,))

    return method


for _dunder, _name in _array._DUNDERS.items():
    if _dunder == "pow":
        continue
    setattr(Selection, f"__{_dunder}__", _binary(_name, False))
    setattr(Selection, f"__r{_dunder}__", _binary(_name, True))
    setattr(Selection, f"__i{_dunder}__", _in_place(_name))
for _dunder, _name in _array._COMPARISONS.items():
    setattr(Selection, f"__{_dunder}__", _binary(_name, False))
for _dunder, _name in _array._UNARY.items():
    setattr(Selection, f"__{_dunder}__", _unary(_name))
