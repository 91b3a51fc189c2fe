"""Basic indexing and assignment: from NumPy keys to lenses. Advanced keys go to `_advanced`.

A key of integers, slices, newaxis and ellipsis is an affine view; the lens found is cached by key in `_array`.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from cupynumeric import _array, _walking
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._caller import warn_of_lost_parts
from cupynumeric._elementwise import is_scalar
from cupynumeric._elementwise import operand as as_operand
from cupynumeric._instant import Instant
from legate_jit import runtime
from legate_jit.immediate import ground
from legate_jit.ir import dtypes, infer
from legate_jit.ir.index import Affine, unit_reshape
from legate_jit.ir.node import ArrayType
from legate_jit.runtime import window
from legate_jit.store import Lens, Reshaped, extend
from legate_jit.strides import layout, reshape_strides


def is_basic(key: Any) -> bool:
    """Whether a key (an element, or a tuple of elements) only makes a view."""
    for e in key if isinstance(key, tuple) else (key,):
        if not (e.__class__ is int or e.__class__ is slice or e is None or e is Ellipsis or _is_integer(e)):
            return False
    return True


def _is_integer(e: Any) -> bool:
    if isinstance(e, (bool, np.bool_, Ours, np.ndarray, list, tuple)):
        return False
    return hasattr(e, "__index__")


def affine_of(shape: tuple[int, ...], key: Any) -> Affine:
    """The index map of a basic key; IndexError with NumPy's texts."""
    elements = list(key) if isinstance(key, tuple) else [key]
    used = sum(e is not None and e is not Ellipsis for e in elements)
    if used > len(shape):
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed"
        )
    dots = [k for k, e in enumerate(elements) if e is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    fill = [slice(None)] * (len(shape) - used)
    if dots:
        elements[dots[0] : dots[0] + 1] = fill
    else:
        elements += fill
    out_shape: list[int] = []
    axes: list[tuple[int, int, int]] = []
    for e in elements:
        if e is None:
            out_shape.append(1)
            continue
        n = shape[len(axes)]
        if isinstance(e, slice):
            start, stop, step = e.indices(n)
            axes.append((start, step, len(out_shape)))
            out_shape.append(len(range(start, stop, step)))
            continue
        i = operator.index(e)
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of bounds for axis {len(axes)} with size {n}")
        axes.append((i % n, 0, -1))
    return Affine(tuple(out_shape), tuple(axes))


_MISSING = object()
_walked = _walking.walked
#: lenses by base (type or lens) and the token of a basic key
_by_token: dict[Any, Lens | None] = {}


def token_of(key: Any) -> tuple[Any, ...] | None:
    """A basic key of Python integers, slices, newaxis and ellipsis in a form that hashes; None for other keys."""
    parts: list[Any] = []
    for e in key if key.__class__ is tuple else (key,):
        cls = e.__class__
        if cls is int or e is None or e is Ellipsis:
            parts.append(e)
        elif cls is slice:
            parts.append((e.start, e.stop, e.step))
        else:
            return None
    return tuple(parts)


def view_lens(array: ndarray, key: Any) -> Lens | None:
    """The lens of `array[key]` for a basic key (None: the whole store), remembered for the fast paths."""
    token = token_of(key)
    try:
        found = _MISSING if token is None else _by_token.get((array._key, token), _MISSING)
    except TypeError:  # a slice bound that does not hash
        token, found = None, _MISSING
    if found is not _MISSING:
        return found  # type: ignore[return-value]
    lens = extend(array._store.type, array._lens, affine_of(array.shape, key))
    if token is not None:
        _by_token[array._key, token] = lens
    if lens is not None:
        if lens.type.ndim:
            _remember(array._key, key, lens)
            _walking.note(array._store.type, lens.type.size)
        elif token is not None:
            _seen[lens.base] = _seen.get(lens.base, 0) + 1
            _walking.note(lens.base, 1)
    return lens


def _remember(base: Any, key: Any, lens: Lens) -> None:
    """Let the fast path of `ndarray.__getitem__` find this view (0-d results are copies, so they stay out)."""
    parts: list[Any] = []
    for e in key if key.__class__ is tuple else (key,):
        if e.__class__ is slice and _hashable(e):
            parts += (e.start, e.stop, e.step)
        elif e.__class__ is int:
            parts += (e, _array._ROW)
        elif e is None or e is Ellipsis:
            parts.append(_array._NEW if e is None else e)
        else:
            return
    _array._views[base, *parts] = lens


def _hashable(s: slice) -> bool:
    return all(e is None or type(e) is int for e in (s.start, s.stop, s.step))


@functools.cache
def _room(name: str) -> Any:
    """A module that needs this one: an import each time would cost more than what small arrays are asked for."""
    return importlib.import_module(f"cupynumeric.{name}")


def getitem(array: ndarray, key: Any) -> Any:
    """`array[key]` for any key."""
    if _seen and _seen.get(array._store.type, 0) > MANY_POSITIONS and _names_element(array, key):
        found = _walking.element(array, key)
        return _host_view(array)[key] if found is None else found
    if _walked and array._store.type in _walked:
        found = _walking.getitem(array, key)
        if found is not None:
            return found
    if (key.__class__ is ndarray or key.__class__ is Instant) and array._store.value is None:
        found = _walking.picked(array, key)
        if found is not None:
            return found
    if key.__class__ is ndarray or not is_basic(key):
        masked = _room("_masked")
        if masked.applies(array, key):
            return masked.getitem(array, key)
        return _room("_advanced").getitem(array, key)
    lens = view_lens(array, key)
    shown = array._store.type if lens is None else lens.type
    if not shown.shape and _is_element(array, key):
        there = lens is not None and array._store.value is None and lens.view is not None
        if there and infer.move_signature(lens.base, lens.view).at_once:  # type: ignore[arg-type,union-attr]
            found = _walking.element(array, key)
            if found is not None:
                ground.habit(array._store.type).elements = True
                return found
        return wrap(runtime.new_store(runtime.read(array._store, lens), shown), None, _array.SCALAR)
    return wrap(array._store, lens, array._locked)


def elements(array: ndarray) -> Iterator[Any]:
    """The elements of a vector one after another, as NumPy's scalars; later elements show what was written meanwhile."""
    store, i, n = array._store, 0, array.shape[0]
    while i < n:
        host = _host_view(array)
        buffer = store.buffer
        for x in host[i:]:
            yield x
            i += 1
            if store.value is not None or store.buffer is not buffer:
                break


def _host_view(view: ndarray) -> np.ndarray:
    from cupynumeric._convert import host_view

    return host_view(view)


def _is_element(array: ndarray, key: Any) -> bool:
    """Whether a basic key names one element: NumPy then gives a scalar, not a view."""
    if not array.ndim:
        return isinstance(key, tuple) and not key
    elements = key if isinstance(key, tuple) else (key,)
    # Of a key with a 0-d result: so it has no slices and no newaxis.
    return all(e is not Ellipsis for e in elements)


def _names_element(array: ndarray, key: Any) -> bool:
    """Whether a key of Python ints names one element."""
    if type(key) is int:
        return array.ndim == 1
    return type(key) is tuple and len(key) == array.ndim and all(type(e) is int for e in key) and key != ()


#: Element accesses at positions not seen before, per type of store. Recording a few is right: loops write their boundary
#: elements. A program that walks over elements would make every window a new structure, so beyond a few they are read and
#: written in memory, and reads give NumPy's scalars.
_seen: dict[ArrayType, int] = {}
MANY_POSITIONS = 24


def _walks(array: ndarray) -> bool:
    """Whether the program has been reading or writing elements of such arrays at ever new positions."""
    return _seen.get(array._store.type, 0) > MANY_POSITIONS


def setitem(array: ndarray, key: Any, item: Any) -> None:
    """`array[key] = item` for any key."""
    if _seen and _walks(array) and is_scalar(item) and _names_element(array, key):
        _write_element(array, key, item)
        return
    if _walked and array._store.type in _walked and _walking.setitem(array, key, item):
        return
    if array._locked == _array.SCALAR and not array._type.shape:
        raise TypeError(f"{_array.scalar_name(array)} object does not support item assignment")
    if _array.refuses_writes(array):
        raise ValueError("assignment destination is read-only")
    if (
        (key.__class__ is ndarray or key.__class__ is Instant)
        and array._store.value is None
        and _put_now(array, key, item)
    ):
        return
    if key.__class__ is ndarray or not is_basic(key):
        masked = _room("_masked")
        if not (masked.applies(array, key) and masked.setitem(array, key, item)):
            _room("_advanced").setitem(array, key, item)
        return
    lens = view_lens(array, key)
    if (
        lens is not None
        and not lens.type.shape
        and not is_scalar(item)
        and _is_element(array, key)
        and (item.ndim if isinstance(item, Ours) else np.ndim(item))
    ):
        probe = np.zeros(1, array.dtype)
        probe[0] = np.zeros(item.shape) if isinstance(item, Ours) else item  # raises NumPy's error
    _array.assign(array, lens, item)


def _put_now(array: ndarray, key: Any, item: Any) -> bool:
    """`array[key] = item` by NumPy, unless something waits. Masks are recorded until results are looked at one by one."""
    if key.dtype == dtypes.BOOL:
        known = _room("_masked")._whole_updates.get(array._store.type)
        if known is None or not known.at_once:
            return False
    return _walking.put(array, key, item)


def _write_element(array: ndarray, key: Any, item: Any) -> None:
    """Write one element in memory."""
    if not _array.refuses_writes(array) and _walking.write_element(array, key, item):
        return
    from cupynumeric._advanced import mutate

    mutate(array, lambda target: target.__setitem__(key, item))


def assign_slow(array: ndarray, lens: Lens | None, item: Any) -> None:
    """Write any item through a lens; remembers the signature for the fast path."""
    if array._locked or (lens is not None and not lens.writable):
        raise ValueError("assignment destination is read-only")
    target = array._store.type if lens is None else lens.type
    source = item if isinstance(item, (Ours, np.ndarray)) or is_scalar(item) else np.array(item, target.dtype)
    if isinstance(source, np.ndarray):
        if not isinstance(item, np.ndarray) and source.ndim > target.ndim:
            raise ValueError(
                "setting an array element with a sequence. The requested array would exceed the maximum number of dimension "
                f"of {target.ndim}."
            )
        source = as_operand(source.astype(target.dtype, copy=False))
    if is_scalar(source):
        _assign_scalar(array, lens, source)
        return
    source = _fitted(source, target.shape)
    lossy = source.dtype.kind == "c" and target.dtype.kind not in "cb"
    if lossy:
        warn_of_lost_parts(source.dtype, target.dtype)
    simple = (source._lens is None or source._lens.view is not None) and not lossy
    if lens is not None and lens.view is not None and simple and lens.writable:
        sig = infer.update_signature(lens.base, source._type, lens.view)
        view = None if source._lens is None else source._lens.view
        sig = lens.update_signatures[source._key] = infer.through(sig, (None, view))
        new = runtime.value_of(source._store)
        array._store.value = runtime.record(sig, runtime.value_of(array._store), new)
        if window.n > window.limit:
            runtime.full()
        return
    runtime.write(array._store, lens, value(source), source._type)


def _assign_scalar(array: ndarray, lens: Lens | None, item: Any) -> None:
    target = array._store.type if lens is None else lens.type
    dtype = target.dtype
    kind = type(item)
    if kind is int and dtype.kind in "iu":
        bounds = infer.int_bounds(dtype)
        assert bounds is not None
        if not bounds[0] <= item <= bounds[1]:
            raise OverflowError(f"Python integer {item} out of bounds for {dtype.name}")
    if kind is complex and dtype.kind != "c":
        np.zeros(1, dtype)[0] = item  # raises NumPy's error
    converted = np.asarray(item).astype(dtype)[()] if kind is not int or dtype.kind != "f" else item
    if lens is not None and lens.view is not None:
        sig = infer.update_signature(lens.base, kind, lens.view)
        exact = (kind is float and dtype.kind in "fc") or (kind is int and dtype.kind in "iufc")
        if exact:
            lens.update_signatures[kind] = sig
        old = runtime.value_of(array._store)
        array._store.value = runtime.record(sig, old, scalars=(converted,))
        if window.n > window.limit:
            runtime.full()
        return
    filled = runtime.record(infer.full_signature(target.shape, dtype), scalars=(converted,))
    runtime.write(array._store, lens, filled, target)


def _fitted(source: ndarray, shape: tuple[int, ...]) -> ndarray:
    """The source without extra leading unit axes; ValueError when it does not broadcast to `shape`."""
    extra = source.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in source.shape[:extra]):
        source = source.reshape(source.shape[extra:])
    try:
        fits = np.broadcast_shapes(source.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        a, b = (str(s).replace(" ", "") for s in (source.shape, shape))
        raise ValueError(f"could not broadcast input array from shape {a} into shape {b}")
    return source


#: lenses of reshaped views by base (type or lens) and shape; False where NumPy copies
_reshapes: dict[Any, Lens | Literal[False] | None] = {}


def reshaped(array: ndarray, shape: tuple[int, ...]) -> ndarray:
    """C-order reshape: a view wherever NumPy's is one (judged by the view's strides), else a copy."""
    lens = _reshapes.get((array._key, shape), _MISSING)
    if lens is _MISSING:
        lens = _reshapes[array._key, shape] = _reshaped_lens(array, shape)
    if lens is not False:
        return wrap(array._store, lens, array._locked)  # type: ignore[arg-type]
    sig = infer.reshape_signature(array._type, shape)
    return _array.result(sig, value(array))


def _reshaped_lens(array: ndarray, shape: tuple[int, ...]) -> Lens | Literal[False] | None:
    if shape == array.shape:
        return array._lens
    unit = unit_reshape(array.shape, shape)
    if unit is not None:
        return extend(array._store.type, array._lens, unit)
    if array._lens is None or _keeps_strides(array, shape):
        return extend(array._store.type, array._lens, Reshaped(shape))
    return False


def _keeps_strides(array: ndarray, shape: tuple[int, ...]) -> bool:
    """Whether strides can describe the view under another shape."""
    place = layout(array._store.type, array._lens)
    if place is None:
        return False
    return reshape_strides(array.shape, place.strides, shape, array.itemsize) is not None


def reshape_in_place(array: ndarray, shape: Any) -> None:
    """`array.shape = shape`."""
    from cupynumeric import _shape

    _shape.reshape_in_place(array, shape)


_array._slow_getitem, _array._slow_setitem = getitem, setitem
runtime.bounded += [(_by_token, 50_000), (_reshapes, 50_000), (_seen, 10_000)]
