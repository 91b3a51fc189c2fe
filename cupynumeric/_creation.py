"""Creation from shapes and from data: empty, zeros, full, array, asarray and their relatives.

Dtypes that graphs cannot hold (strings, objects, datetimes, long doubles, structures) give plain NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cupynumeric import _instant
from cupynumeric._array import Ours, ndarray, value, wrap
from cupynumeric._calls import recorded
from cupynumeric._convert import (
    Foreign,
    drop_in,
    dtype_of,
    from_numpy,
    holds_ours,
    host_view,
    integers,
    lift,
    to_numpy_tree,
)
from cupynumeric._instant import Instant, handed, host_of
from cupynumeric._shape import cast, contiguity, fresh_copy, is_fortran, order_of, permuted, strides_of
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.node import Signature
from legate_jit.running import locking, tiers
from legate_jit.running.bodies import active, running
from legate_jit.strides import memory_order

#: beyond this many bytes NumPy is asked first whether an array of this size can exist
PROBE_BYTES = 1 << 32


def check_device(device: Any) -> None:
    """ValueError unless the device is the one there is."""
    if device not in (None, "cpu"):
        raise ValueError(f'Device not understood. Only "cpu" is allowed, but received: {device}')


def shape_of(shape: Any, dtype: Any = np.int8) -> tuple[int, ...]:
    """A shape argument as a tuple of non-negative ints; NumPy's errors, also for arrays of `dtype` that cannot exist."""
    try:
        dims = integers(shape)
    except TypeError:
        dims = np.empty(to_numpy_tree(shape), dtype).shape  # raises NumPy's error
    for n in dims:
        if n < 0 or n > 1 << 40:
            np.empty(dims, dtype)  # raises NumPy's error
    return dims


def _probe(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """NumPy's ValueError or MemoryError for arrays that cannot exist; where there are ranks, no more than one's share must."""
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size > PROBE_BYTES and runtime.world is not None:
        try:
            np.empty(runtime.world.share(size), np.uint8)
        except (MemoryError, ValueError):
            np.empty(shape, dtype)  # the same error, of the array that was asked for
            raise
    elif size > PROBE_BYTES or len(shape) > 32:
        np.empty(shape, dtype)


def _ordered(shape: tuple[int, ...], order: Any, make: Callable[[tuple[int, ...]], ndarray]) -> ndarray:
    """`make(shape)` laid out in `order`."""
    if order is not None and len(shape) > 1 and order_of(order) == "F":
        return permuted(make(shape[::-1]), range(len(shape))[::-1])
    return make(shape)


def undefined(shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    """An array of a supported dtype with undefined contents."""
    _probe(shape, dtype)
    sig = infer.generate_signature("empty", shape, dtype)
    return wrap(runtime.new_store(runtime.record(sig), sig.type))


def filled(shape: tuple[int, ...], item: Any, dtype: np.dtype) -> ndarray:
    """An array of a supported dtype where every element is the scalar `item`, which is of that dtype already."""
    _probe(shape, dtype)
    sig = infer.full_signature(shape, dtype)
    return wrap(runtime.new_store(runtime.record(sig, scalars=(item,)), sig.type))


# ---- from shapes --------------------------------------------------------------------------------------------------

#: instructions of calls by their name and arguments, where these are integers and a dtype
_known: dict[Any, Signature] = {}
runtime.bounded.append((_known, 10_000))


def _met(name: str, shape: Any, dtype: Any) -> Signature | None:
    """The instruction of a call like one before."""
    if shape.__class__ is tuple:
        for n in shape:
            if n.__class__ is not int:
                return None
    elif shape.__class__ is not int:
        return None
    try:
        return _known.get((name, shape, dtype))
    except TypeError:  # a dtype that does not hash
        return None


def _keep(name: str, shape: Any, dtype: Any, made: Any) -> Any:
    """Remember what a call recorded, if it may be met again; gives the array."""
    plain = shape.__class__ is int or (shape.__class__ is tuple and all(n.__class__ is int for n in shape))
    if plain and made._lens is None and made.nbytes <= PROBE_BYTES and dtype.__hash__ is not None:
        _known[name, shape, dtype] = (
            infer.generate_signature("empty", made.shape, made.dtype)
            if name == "empty"
            else infer.full_signature(made.shape, made.dtype)
        )
    return made


def _of_one(sig: Signature, item: int) -> ndarray:
    """A recorded array that is `item` everywhere."""
    return wrap(runtime.new_store(runtime.record(sig, scalars=(sig.type.dtype.type(item),)), sig.type))


def empty(shape: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """An array of `shape` with undefined contents."""
    sig = _met("empty", shape, dtype) if order == "C" and device is None else None
    if sig is not None:
        if sig.at_once:
            return handed(np.empty(shape, dtype))
        return wrap(runtime.new_store(runtime.record(sig), sig.type))
    check_device(device)
    try:
        type_ = dtype_of(dtype)
    except Foreign:
        return np.empty(shape, dtype, order)
    made = _ordered(shape_of(shape, type_), order, lambda s: undefined(s, type_))
    return _keep("empty", shape, dtype, made)


def zeros(shape: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """An array of `shape` filled with zeros."""
    sig = _met("full", shape, dtype) if order == "C" and device is None else None
    if sig is not None:
        return handed(np.zeros(shape, dtype)) if sig.at_once else _of_one(sig, 0)
    check_device(device)
    try:
        type_ = dtype_of(dtype)
    except Foreign:
        return np.zeros(shape, dtype, order)
    made = _ordered(shape_of(shape, type_), order, lambda s: filled(s, type_.type(0), type_))
    return _keep("full", shape, dtype, made)


def ones(shape: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """An array of `shape` filled with ones."""
    sig = _met("full", shape, dtype) if order == "C" and device is None else None
    if sig is not None:
        return handed(np.ones(shape, dtype)) if sig.at_once else _of_one(sig, 1)
    check_device(device)
    try:
        type_ = dtype_of(dtype)
    except Foreign:
        return np.ones(shape, dtype, order)
    made = _ordered(shape_of(shape, type_), order, lambda s: filled(s, type_.type(1), type_))
    return _keep("full", shape, dtype, made)


def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """An array of `shape` where every element is `fill_value` (which may broadcast)."""
    check_device(device)
    given = fill_value if isinstance(fill_value, Ours) else np.asarray(fill_value)
    type_ = given.dtype if dtype is None else np.dtype(dtype)
    if not dtypes.is_supported(type_):
        return np.full(shape, to_numpy_tree(fill_value), dtype, order)
    type_ = dtypes.canonical(type_)
    dims = shape_of(shape, type_)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        probe = np.empty(1, type_)
        np.copyto(probe, to_numpy_tree(fill_value), casting="unsafe")  # raises NumPy's errors
        if order == "C" and infer.full_signature(dims, type_).at_once:
            return handed(np.full(dims, probe[0], type_))
        return _ordered(dims, order, lambda s: filled(s, probe[0], type_))
    made = _ordered(dims, order, lambda s: undefined(s, type_))
    made[...] = given
    return made


def _like(a: Any, dtype: Any, order: Any, shape: Any, fill: Any, name: str) -> Any:
    x = lift(a)
    type_ = x.dtype if dtype is None else dtype_of(dtype)
    dims = x.shape if shape is None else shape_of(shape, type_)
    kept = shape is None or len(dims) == x.ndim or order_of(order) != "K"
    fortran = kept and is_fortran(x, order)
    if kept and not fortran and order_of(order) == "K" and x._lens is not None:
        return _in_layout_of(x, dims, lambda s: empty(s, type_) if name == "empty" else full(s, fill, type_))
    letter = "F" if fortran else "C"
    if name == "empty":
        return empty(dims, type_, letter)
    return full(dims, fill, type_, letter)


def _in_layout_of(x: ndarray, dims: tuple[int, ...], make: Callable[[tuple[int, ...]], ndarray]) -> ndarray:
    """`make(shape)` with axes in memory in the order of x's."""
    strides = strides_of(x)
    axes = tuple(range(x.ndim)) if strides is None else memory_order(x.shape, strides)
    return permuted(make(tuple(dims[d] for d in axes)), [axes.index(d) for d in range(x.ndim)])


@drop_in
def empty_like(
    prototype: Any,
    /,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """An array with the shape and dtype of another and undefined contents."""
    check_device(device)
    return _like(prototype, dtype, order, shape, None, "empty")


@drop_in
def zeros_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Zeros with the shape and dtype of another array."""
    check_device(device)
    return _like(a, dtype, order, shape, 0, "full")


@drop_in
def ones_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Ones with the shape and dtype of another array."""
    check_device(device)
    return _like(a, dtype, order, shape, 1, "full")


@drop_in
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """`fill_value` everywhere, with the shape and dtype of another array."""
    check_device(device)
    return _like(a, dtype, order, shape, fill_value, "full")


# ---- from data ----------------------------------------------------------------------------------------------------

_NO_COPY = (
    "Unable to avoid copy while creating an array as requested.\n"
    "If using `np.array(obj, copy=False)` replace it with `np.asarray(obj)` to allow a copy when needed "
    "(no behavior change in NumPy 1.x).\nFor more details, see https://numpy.org/devdocs/numpy_2_0_migration_guide.html"
    "#adapting-to-changes-in-the-copy-keyword."
)


def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    ndmax: int = 0,
    like: Any = None,
) -> Any:
    """An array of anything NumPy makes one of. Host data are copied; see `numpy.array`."""
    plain = dtype is None and (copy is True or copy is None) and object.__class__ is list
    if plain and object and object[0].__class__ is float and not active:
        host = np.array(object)
        if host.dtype == dtypes.FLOAT64 and order in ("K", "C") and ndmin <= host.ndim:
            return _instant.brought(host)
    if copy.__class__ is np._CopyMode:
        copy = {"ALWAYS": True, "IF_NEEDED": None, "NEVER": False}[copy.name]
    if isinstance(object, Ours):
        made = _from_ours(object, dtype, copy, order)
    elif subok and isinstance(object, np.ndarray) and type(object) is not np.ndarray:
        return np.array(object, dtype, copy=copy, order=order, subok=True, ndmin=ndmin)
    else:
        made = _from_host(object, dtype, copy, order)
    if made.ndim < ndmin:
        made = made.reshape((1,) * (ndmin - made.ndim) + made.shape)
    return made


def _from_ours(x: ndarray, dtype: Any, copy: Any, order: Any) -> Any:
    if dtype is not None and np.dtype(dtype) != x.dtype:
        if copy is False:
            raise ValueError(_NO_COPY)
        return x.astype(dtype, order=order)
    order = order_of(order)
    c, f = contiguity(x)
    fits = order in ("K", "A") or (order == "C" and c) or (order == "F" and f)
    if copy is False and not fits:
        raise ValueError(_NO_COPY)
    return x if fits and not copy else fresh_copy(x, order)


def _from_host(data: Any, dtype: Any, copy: Any, order: Any) -> Any:
    if active and running() is not None:
        # the first array that a body asks for, in a program without threads: what follows is NumPy's, see _threads
        locking.share()
        return np.array(data, dtype, copy=copy, order=order)
    if isinstance(data, (list, tuple)):
        if len(data) and holds_ours(data):
            return _from_sequence(data, dtype, order)
    elif not isinstance(data, np.ndarray) and hasattr(type(data), "__legate_data_interface__"):
        from cupynumeric._protocols import shared_with

        shared = shared_with(data)
        if shared is not None:
            return _from_ours(shared, dtype, copy, order)
    elif not isinstance(data, np.ndarray) and hasattr(type(data), "__array__"):
        produced = _produced(data)
        if isinstance(produced, Ours):
            return _from_ours(produced, dtype, copy, order)
    host = np.array(data, dtype, copy=None, order=order) if copy is not False else np.asarray(data, dtype)
    if not dtypes.is_supported(host.dtype):
        return np.array(data, dtype, copy=copy, order=order)
    if copy is False and not isinstance(data, np.ndarray):
        np.array(data, dtype, copy=False)  # raises NumPy's error
    if host.ndim > 1 and host.flags.f_contiguous and not host.flags.c_contiguous:
        return permuted(from_numpy(host.T), range(host.ndim)[::-1])
    if isinstance(data, np.ndarray) or hasattr(data, "__array__") or hasattr(data, "__buffer__"):
        return from_numpy(host)
    if isinstance(data, (list, tuple)):
        return _instant.made(host) if _of_numbers(data) and host.size <= FEW else _instant.brought(host)
    return from_numpy(host)


#: elements up to which an array of numbers that were computed one by one is instant
FEW = 64


def _of_numbers(data: Sequence[Any]) -> bool:
    """Whether the first of them is a scalar of NumPy's, as operations computed at once give them, see `_instant`."""
    return bool(data) and isinstance(data[0], np.generic) and tiers.may_compute_at_once()


def _produced(data: Any) -> Any:
    """What an object's `__array__` gives, if that is an array of ours, which NumPy would refuse."""
    try:
        given = data.__array__(dtype=None, copy=None)
    except TypeError:
        given = data.__array__()
    return given if isinstance(given, Ours) else None


def _from_sequence(data: Any, dtype: Any, order: Any) -> Any:
    """A nested sequence in which arrays of ours occur: stacked lazily when they are all alike, else by NumPy."""
    first = data[0]
    if first.__class__ is Instant and dtype is None and order_of(order) != "F":
        done = _instant.computed(np.array, (data,), {})
        if done is not None:
            return done
    alike = isinstance(first, Ours) and all(
        isinstance(x, Ours) and x.shape == first.shape and x.dtype == first.dtype for x in data
    )
    if not alike or len(data) > 256:
        made = _from_host(np.array(to_numpy_tree(list(data)), dtype), None, True, "C")
    else:
        from cupynumeric._joining import stack

        made = stack(list(data))
    if dtype is not None:
        made = made.astype(dtype, copy=False)
    return fresh_copy(made, "F") if order_of(order) == "F" and isinstance(made, Ours) else made


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None, like: Any = None
) -> Any:
    """`a` as an array: itself when it is one of the wanted dtype and order. Host data are copied."""
    check_device(device)
    return array(a, dtype, copy=copy, order=order)


def asanyarray(
    a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None, like: Any = None
) -> Any:
    """As `asarray`, letting subclasses of numpy.ndarray pass."""
    check_device(device)
    return array(a, dtype, copy=copy, order=order, subok=True)


def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """`a` as a C-contiguous array with at least one axis."""
    return array(a, dtype, copy=None, order="C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """`a` in Fortran order, with at least one axis."""
    return array(a, dtype, copy=None, order="F", ndmin=1)


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """As `asarray`; ValueError if infs or NaNs are found."""
    made = asarray(a, dtype, order)
    if made.dtype.kind in "fc" and runtime.world is not None and isinstance(made, Ours):
        from cupynumeric import _reductions, _ufunc

        finite = bool(_reductions.all(_ufunc.isfinite(made)))
        if not finite:
            raise ValueError("array must not contain infs or NaNs")
    elif made.dtype.kind in "fc" and not np.isfinite(to_numpy_tree(made)).all():
        raise ValueError("array must not contain infs or NaNs")
    return made


_REQUIREMENTS = {
    word: letter
    for letter, words in {
        "C": "C C_CONTIGUOUS CONTIGUOUS",
        "F": "F F_CONTIGUOUS FORTRAN",
        "A": "A ALIGNED",
        "W": "W WRITEABLE",
        "O": "O OWNDATA",
        "E": "E ENSUREARRAY",
    }.items()
    for word in words.split()
}


def require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    """An array that meets requirements on layout ('C', 'F') and ownership; see `numpy.require`."""
    wanted = [requirements] if isinstance(requirements, str) and len(requirements) > 2 else requirements or []
    letters = {_REQUIREMENTS[str(r).upper()] for r in wanted}
    if {"C", "F"} <= letters:
        raise ValueError('Cannot specify both "C" and "F" order')
    order = "F" if "F" in letters else "C" if "C" in letters else "A"
    made = array(a, dtype, order=order, copy=None)
    locked = isinstance(made, Ours) and made._locked
    return (
        made.copy(order)
        if ("O" in letters and made.base is not None) or ("W" in letters and locked)
        else made
    )


def astype_array(x: ndarray, dtype: Any, order: Any = "K", casting: Any = "unsafe", copy: bool = True) -> Any:
    """`ndarray.astype`."""
    if x._lens is None and casting == "unsafe":
        sig = _cast_met(x, dtype)
        if sig is not None:
            host = host_of(x) if sig.at_once and x._store.value is None else None
            return recorded(sig, value(x)) if host is None else handed(host.astype(sig.type.dtype))
    type_ = np.dtype(dtype)
    if casting != "unsafe":
        np.zeros((0,) * x.ndim, x.dtype).astype(type_, casting=casting)  # raises NumPy's error
    if not dtypes.is_supported(type_):
        return host_view(x).astype(type_, order=order)
    type_ = dtypes.canonical(type_)
    if type_ == x.dtype:
        return _from_ours(x, None, copy or None, order)
    if x._lens is None or (order_of(order) == "C" and contiguity(x)[0]):
        if x._lens is None and x.dtype.kind != "c" and dtype.__hash__ is not None:
            _casts[x._type, dtype] = infer.cast_signature(x._type, type_)
        return cast(x, type_)
    laid = fresh_copy(x, order)
    if laid._lens is None:
        return cast(laid, type_)
    return fresh_copy(cast(laid, type_), "F") if order_of(order) == "F" else _cast_in_layout(laid, type_)


#: instructions of casts by types and dtype arguments
_casts: dict[Any, Signature] = {}
runtime.bounded.append((_casts, 10_000))


def _cast_met(x: ndarray, dtype: Any) -> Signature | None:
    """The instruction of a cast like one before."""
    try:
        return _casts.get((x._type, dtype))
    except TypeError:  # a dtype that does not hash
        return None


def _cast_in_layout(laid: ndarray, type_: np.dtype) -> ndarray:
    """A cast that keeps the memory order: the store is cast, and shown through the same permutation."""
    from legate_jit.store import extend

    whole = cast(wrap(laid._store), type_)
    assert laid._lens is not None
    view = laid._lens.view
    assert view is not None
    return wrap(whole._store, extend(whole._store.type, None, view))


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The array converted to a dtype; see `numpy.astype`."""
    check_device(device)
    if not isinstance(x, (Ours, np.ndarray)):
        return np.astype(x, dtype, copy=copy)
    return x.astype(dtype, copy=copy)


def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """Write `src` into `dst` (where `where`), broadcast and cast under a rule."""
    if not isinstance(dst, Ours):
        if not isinstance(dst, np.ndarray):
            raise TypeError(f"copyto() argument 1 must be a numpy.ndarray, not {type(dst).__name__}")
        np.copyto(dst, to_numpy_tree(src), casting, to_numpy_tree(where))
        return
    weak = type(src) in (int, float, complex, bool)
    given = src if isinstance(src, Ours) else np.asarray(src)
    if weak:
        if not np.can_cast(np.result_type(type(src)(0), dst.dtype), dst.dtype, casting):
            _refuse_cast(given, dst.dtype, casting)
    elif not np.can_cast(given.dtype, dst.dtype, casting):
        _refuse_cast(given, dst.dtype, casting)
    if where is True:
        dst[...] = src
        return
    from cupynumeric._advanced import write_where

    write_where(dst, where, src)


def _refuse_cast(source: Any, target: np.dtype, casting: str) -> None:
    what = "array data" if source.ndim else "scalar"
    raise TypeError(
        f"Cannot cast {what} from {source.dtype!r} to {target!r} according to the rule {casting!r}"
    )


def from_constructor(shape: Any, dtype: Any, buffer: Any, offset: int, strides: Any, order: Any) -> Any:
    """`ndarray(...)`."""
    if buffer is None and strides is None:
        return empty(shape, dtype, order or "C")
    return array(np.ndarray(shape, dtype, to_numpy_tree(buffer), offset, strides, order))


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array with the contents of anything that exports DLPack: shared with Legate stores, else a copy."""
    check_device(device)
    if isinstance(x, Ours):
        return x.copy() if copy else x
    if hasattr(type(x), "__legate_data_interface__"):
        return array(x, copy=copy)
    return array(np.from_dlpack(x))


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0, *, like: Any = None) -> Any:
    """The bytes of a buffer as a one-dimensional array (a copy)."""
    return array(np.frombuffer(to_numpy_tree(buffer), dtype, count, offset))


def fromiter(iter: Any, dtype: Any, count: int = -1, *, like: Any = None) -> Any:
    """A one-dimensional array of what an iterable yields."""
    return array(np.fromiter(iter, dtype, count))


def fromstring(string: Any, dtype: Any = float, count: int = -1, *, sep: str = "", like: Any = None) -> Any:
    """A one-dimensional array from text; see `numpy.fromstring`."""
    return array(np.fromstring(string, dtype, count, sep=sep))


__all__ = [
    "array",
    "asanyarray",
    "asarray",
    "asarray_chkfinite",
    "ascontiguousarray",
    "asfortranarray",
    "astype",
    "copyto",
    "empty",
    "empty_like",
    "from_dlpack",
    "frombuffer",
    "fromiter",
    "fromstring",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "require",
    "zeros",
    "zeros_like",
]
