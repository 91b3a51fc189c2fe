"""Library calls: recorded lazily where they cannot fail, or carried out at once on host views.

The bridge between the functions of the face and libraries that know only NumPy arrays. Knows recording and conversion; knows no
function in particular.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cupynumeric import _elementwise
from cupynumeric._array import SCALAR, Ours, ndarray, value, wrap
from cupynumeric._convert import by_numpy, dispatches, from_numpy, host_view, to_numpy_tree
from cupynumeric._instant import Instant, brought
from cupynumeric._masked import Selection
from legate_jit import runtime
from legate_jit.immediate import at_once
from legate_jit.ir import dtypes, infer
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import Signature, array_type

#: results smaller than this are copied into our own memory: the copy is cheaper than keeping a foreign block alive
ADOPT_BYTES = 1 << 16


def lift(x: Any) -> Any:
    """Any array-like as an array of ours; what NumPy shall judge as it is: dtypes that graphs do not hold, subclasses, and
    objects with functions of their own."""
    if x.__class__ is ndarray:
        return x
    if isinstance(x, (Selection, Instant)):
        return x.settle()
    if (isinstance(x, np.ndarray) and type(x) is not np.ndarray) or dispatches(x):
        return x
    if isinstance(x, (list, tuple)):
        x = np.asarray(to_numpy_tree(x))
    got = _elementwise.operand(x)
    if isinstance(got, (Ours, np.ndarray)):
        return got
    return from_numpy(np.asarray(got))


def lift_all(*xs: Any) -> tuple[Any, ...] | None:
    """Array-likes as arrays of ours, or None when one of them has to stay with NumPy."""
    if len(xs) == 2 and xs[0].__class__ is xs[1].__class__ is ndarray:
        return xs
    lifted = tuple([lift(x) for x in xs])
    return lifted if all(x.__class__ is ndarray for x in lifted) else None


def wrapped(x: Any, shared: Any = ()) -> Any:
    """A result of NumPy as ours, at any depth of tuples and lists: arrays without copying unless they overlap one of `shared`
    (arrays at any depth of tuples, lists and dicts), NumPy scalars as 0-d arrays. What graphs do not hold stays as it is."""
    if isinstance(x, np.ndarray):
        return _adopted(x, shared) if type(x) is np.ndarray and dtypes.is_supported(x.dtype) else x
    if isinstance(x, np.generic):
        return scalar(from_numpy(np.asarray(x))) if dtypes.is_supported(x.dtype) else x
    if isinstance(x, tuple):
        parts = [wrapped(e, shared) for e in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    if isinstance(x, list):
        return [wrapped(e, shared) for e in x]
    return x


def _adopted(x: np.ndarray, shared: Any) -> ndarray:
    flags = x.flags
    if x.nbytes < ADOPT_BYTES:
        alone = flags.owndata and flags.writeable and not any(x is s for s in _arrays_in(shared))
        return brought(x) if alone else from_numpy(x)
    own = flags.owndata and flags.c_contiguous and flags.writeable and flags.aligned
    if not own or any(np.may_share_memory(x, s) for s in _arrays_in(shared)):
        return from_numpy(x)
    return wrap(runtime.adopt(x))


def _arrays_in(x: Any) -> Iterator[np.ndarray]:
    if isinstance(x, np.ndarray):
        yield x
    elif isinstance(x, (tuple, list)):
        for e in x:
            yield from _arrays_in(e)
    elif isinstance(x, dict):
        for e in x.values():
            yield from _arrays_in(e)


def on_host(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function now, on host views of our arrays; its results become ours. `out=` may be an array of ours."""
    if args and dispatches(args[0]):
        return by_numpy(function, args, kwargs)  # what it gives is not ours
    kwargs.pop("overwrite_input", None)  # host views are read-only; nobody can tell
    out = kwargs.get("out")
    if isinstance(out, Ours):
        target = host_view(out).copy()
        function(*to_numpy_tree(args), **to_numpy_tree(kwargs | {"out": None}) | {"out": target})
        return _elementwise.store_result(out, from_numpy(target), True, "unsafe")
    host_args, host_kwargs = to_numpy_tree(args), to_numpy_tree(kwargs)
    got = function(*host_args, **host_kwargs)
    if got is out and out is not None:
        return out
    return wrapped(got, (host_args, host_kwargs))


def hosted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The NumPy function `function` for arrays of ours, carried out at once on the host. Same signature, same errors."""
    place = _position_of_out(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if place is not None and len(args) > place and isinstance(args[place], Ours):
            kwargs["out"] = args[place]
            tail = args[place + 1 :]
            names = list(inspect.signature(function).parameters)[place + 1 :]
            kwargs.update(zip(names, tail, strict=False))
            args = args[:place]
        return on_host(function, *args, **kwargs)

    call.__module__ = "cupynumeric"
    return call


def _position_of_out(function: Callable[..., Any]) -> int | None:
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        return None
    return names.index("out") if "out" in names else None


def scalar(x: ndarray) -> ndarray:
    """x, behaving as the scalar NumPy would give in its place if it has no axes: operators do not change it in place."""
    if not x._type.shape:
        x._locked = SCALAR
    return x


def recorded(sig: Signature, *sources: int) -> ndarray:
    """The new array (or scalar) that an instruction computes."""
    type_ = sig.type
    return wrap(runtime.new_store(runtime.record(sig, *sources), type_), None, not type_.shape and SCALAR)


def lazy(
    name: str, arrays: tuple[ndarray, ...], shape: tuple[int, ...], dtype: Any, /, **options: Any
) -> ndarray:
    """Record the library call `name` with one result, or carry it out where that costs less. Options must be hashable; the call
    must not be able to fail."""
    key = (name, tuple([a._key for a in arrays]), shape, dtype, tuple(options.items()))
    sig = _calls.get(key)
    if sig is None:
        sig = call_of(name, arrays, shape, dtype, **options)
        if all(_elementwise._simple(a) for a in arrays):
            _calls[key] = sig
    done = computed(sig, *arrays)
    return done if done is not None else recorded(sig, *[_elementwise.source(a) for a in arrays])


def computed(sig: Signature, *arrays: ndarray) -> ndarray | None:
    """The result of a library call or a running sum, carried out now; None where recording it costs less."""
    if not at_once.worthwhile(sig, [a._store for a in arrays]):
        return None
    return wrap(at_once.call(sig, [host_view(a) for a in arrays]), None, not sig.type.shape and SCALAR)


#: instructions of library calls, by everything that decides them
_calls: dict[Any, Signature] = {}


def call_of(
    name: str, arrays: tuple[ndarray, ...], shape: tuple[int, ...], dtype: Any, /, **options: Any
) -> Signature:
    """The instruction of a library call; views of operands that are index maps are read through, not recorded."""
    spec = CallSpec(name, tuple(options.items()))
    type_ = array_type(shape, dtypes.canonical(np.dtype(dtype)))
    sig = infer.call_signature(tuple(a._type for a in arrays), type_, spec)
    return infer.through(sig, tuple(None if a._lens is None else a._lens.view for a in arrays))


def deliver(done: Any, out: Any, casting: str = "unsafe", name: str = "add") -> Any:
    """`done`, or `out` after writing `done` into it; `out` may be ours or NumPy's."""
    if out is None:
        return done
    if isinstance(out, np.ndarray):
        np.copyto(out, to_numpy_tree(done), casting=casting)  # type: ignore[arg-type]
        return out
    return _elementwise.store_result(out, done, True, casting, name)


def cast(x: ndarray, dtype: Any) -> ndarray:
    """`x.astype(dtype)`, unsafe casting; x itself when it has the dtype."""
    target = dtypes.canonical(np.dtype(dtype))
    if x._type.dtype == target:
        return x
    return recorded(infer.cast_signature(x._type, target), value(x))


__all__ = [
    "call_of",
    "cast",
    "computed",
    "deliver",
    "hosted",
    "lazy",
    "lift",
    "lift_all",
    "on_host",
    "recorded",
    "scalar",
    "wrapped",
]
