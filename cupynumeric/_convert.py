"""Between NumPy and this package: copies in, read-only host views out, whole trees of arguments for NumPy's functions.

Host views are snapshots: writing to the array afterwards does not show in them (a copy is made then), and they cannot be
written to.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from cupynumeric._array import SCALAR, Ours, ndarray, refuses_writes, value, wrap
from cupynumeric._caller import warn_of_lost_parts
from cupynumeric._instant import Instant
from legate_jit import runtime
from legate_jit.ir import dtypes
from legate_jit.strides import shown

F = TypeVar("F", bound=Callable[..., Any])

#: results smaller than this are copied rather than adopted: a pool block is aligned and cheap to reuse
ADOPT_BYTES = 1 << 16


class Foreign(Exception):
    """An argument that graphs cannot hold (strings, objects, subclasses of numpy.ndarray): NumPy does the whole call."""


def from_numpy(array: np.ndarray) -> ndarray:
    """A copy of a NumPy array of a supported dtype, as an array of ours."""
    return wrap(runtime.from_host(array))


def adopt(array: np.ndarray) -> ndarray:
    """An array of ours on a fresh NumPy array of a supported dtype that nobody else refers to; without copying if large."""
    if array.nbytes < ADOPT_BYTES or not (
        array.flags.c_contiguous and array.flags.owndata and array.flags.writeable
    ):
        return from_numpy(array)
    return wrap(runtime.adopt(array))


def host_view(array: Any) -> np.ndarray:
    """The array's contents as a read-only NumPy array; views show the same strides as NumPy's would. Flushes."""
    if array.__class__ is Instant:
        return array.snapshot()  # type: ignore[no-any-return]
    lens = array._lens
    if runtime.world is not None and lens is not None:
        part = _small_view(array)
        if part is not None:
            return part
    base = runtime.host(array._store)
    if lens is None:
        return base
    if lens.type.size == 0:
        empty = np.empty(lens.type.shape, lens.type.dtype)
        empty.flags.writeable = False
        return empty
    return shown(base, lens)


def _small_view(view: ndarray) -> np.ndarray | None:
    """The contents of a view of less than half of an array that lies in parts over several ranks: only they are gathered."""
    from legate_jit.immediate import together

    if 2 * view.size > view._store.type.size or not together.is_unread(view._store):
        return None
    return runtime.host(runtime.new_store(value(view), view._type))


#: what most arguments that are no arrays are
_PLAIN = frozenset((int, float, bool, complex, str, type(None), np.ndarray))


def to_numpy_tree(x: Any) -> Any:
    """`x` with every array of ours, at any depth of lists, tuples and dicts, replaced by its host view, or
    the scalar that NumPy has in its place."""
    cls = x.__class__
    if cls in _PLAIN:
        return x
    if isinstance(x, Ours):
        host = host_view(x)
        return host[()] if not host.ndim and x._locked == SCALAR else host
    if cls is tuple:
        return tuple([to_numpy_tree(e) for e in x])
    if cls is list:
        return [to_numpy_tree(e) for e in x] if _mentions_ours(x) else x
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return cls(*(to_numpy_tree(e) for e in x))
    if cls is dict:
        return {k: to_numpy_tree(v) for k, v in x.items()}
    return x


def _mentions_ours(x: Any) -> bool:
    """Whether a list may hold an array of ours; long lists of numbers are told by their first elements."""
    probe = x if len(x) < 1000 else x[:16]
    return any(not isinstance(e, (int, float, complex, str)) for e in probe)


def from_numpy_tree(x: Any) -> Any:
    """`x` with every fresh NumPy array of a supported dtype, at any depth of lists and tuples, replaced by one of ours."""
    if isinstance(x, np.ndarray):
        return adopt(x) if type(x) is np.ndarray and dtypes.is_supported(x.dtype) else x
    if isinstance(x, tuple):
        if hasattr(x, "_fields"):
            return type(x)(*(from_numpy_tree(e) for e in x))
        return tuple(from_numpy_tree(e) for e in x)
    if isinstance(x, list):
        return [from_numpy_tree(e) for e in x]
    return x


def lift(x: Any) -> ndarray:
    """x as an array of ours (a copy of host data). `Foreign` when its dtype or class belongs to NumPy alone."""
    if isinstance(x, Ours):
        return x
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
        raise Foreign
    if dispatches(x):
        raise Foreign
    if (isinstance(x, (list, tuple)) and len(x) and holds_ours(x)) or (
        not isinstance(x, (np.ndarray, np.generic)) and hasattr(type(x), "__array__")
    ):
        from cupynumeric._creation import array

        lifted = array(x)
    else:
        host = np.asarray(x)
        if not dtypes.is_supported(host.dtype):
            raise Foreign
        return from_numpy(host)
    if not isinstance(lifted, Ours):
        raise Foreign
    return lifted


def integers(given: Any) -> tuple[int, ...]:
    """An integer or a sequence of integers (a shape, axes, counts) as a tuple; TypeError for anything else."""
    if hasattr(given, "__iter__") and getattr(given, "ndim", True):
        return tuple([operator.index(n) for n in given])
    return (operator.index(given),)


def dispatches(x: Any) -> bool:
    """Whether x is of a class that has NumPy's functions done its own way (a column of a table, a quantity with a unit), which
    NumPy's dispatch must find."""
    cls = type(x)
    own = hasattr(cls, "__array_function__") or getattr(cls, "__array_ufunc__", None) is not None
    return own and not isinstance(x, (Ours, np.ndarray, np.generic))


def holds_ours(x: Any) -> bool:
    """Whether the first element of a nested sequence, at some depth, is an array of ours."""
    while isinstance(x, (list, tuple)) and len(x):
        x = x[0]
    return isinstance(x, Ours)


def dtype_of(x: Any) -> np.dtype:
    """The dtype given by an argument; `Foreign` when graphs cannot hold it."""
    dtype = np.dtype(x)
    if not dtypes.is_supported(dtype):
        raise Foreign
    return dtypes.canonical(dtype)


def drop_in(function: F) -> F:
    """A public function whose NumPy namesake has the last word.

    NumPy takes over when an argument is `Foreign`, and when the function refuses its arguments: the error is then NumPy's own.
    """
    name = function.__name__

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (Foreign, TypeError, ValueError, IndexError):
            judge = getattr(np, name)
        return by_numpy(judge, args, kwargs)

    return wrapper  # type: ignore[return-value]


def by_numpy(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's `function` on host views; results of supported dtypes become arrays of ours, `out=` arrays are written back."""
    names = _names_from_out(function) if len(args) > 1 else ()
    if names and len(args) > names[0][0]:
        place = names[0][0]
        kwargs = {**kwargs, **{name: args[k] for k, name in names if k < len(args)}}
        args = args[:place]
    out = kwargs.get("out")
    if out is None or not _any_ours(out):
        given = [to_numpy_tree(a) for a in args]
        if kwargs:
            found = function(*given, **{k: to_numpy_tree(v) for k, v in kwargs.items()})
        else:
            found = function(*given)
        if isinstance(found, np.ndarray) and any(found is a for a in (*args, *kwargs.values())):
            return from_numpy(found) if dtypes.is_supported(found.dtype) else found
        return from_numpy_tree(found)
    outs = out if isinstance(out, tuple) else (out,)
    hosts = tuple(_writable_copy(o) if isinstance(o, Ours) else o for o in outs)
    rest = {k: to_numpy_tree(v) for k, v in kwargs.items() if k != "out"}
    given = function(
        *[to_numpy_tree(a) for a in args], out=hosts if isinstance(out, tuple) else hosts[0], **rest
    )
    for target, host in zip(outs, hosts, strict=True):
        if isinstance(target, Ours):
            target[...] = host
    if isinstance(given, tuple) and len(given) == len(outs):
        return outs
    return outs[0] if len(outs) == 1 else from_numpy_tree(given)


def _writable_copy(out: ndarray) -> np.ndarray:
    """A host copy to write a result into; read-only if the array is, so that NumPy refuses it."""
    host = host_view(out).copy()
    host.flags.writeable = not refuses_writes(out)
    return host


@functools.cache
def _names_from_out(function: Callable[..., Any]) -> tuple[tuple[int, str], ...]:
    """Position and name of the parameter `out` and of those that can follow it by position; empty if there is none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return ()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if isinstance(function, np.ufunc):
        return ()  # callers give `out` by name
    return tuple(enumerate(names))[names.index("out") :] if "out" in names else ()


def _any_ours(out: Any) -> bool:
    return any(isinstance(o, Ours) for o in (out if isinstance(out, tuple) else (out,)))


def hosted(name: str, module: Any = np) -> Callable[..., Any]:
    """A public function that NumPy carries out on host views: small metadata work, or work no kernel does better."""
    function = getattr(module, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return by_numpy(function, args, kwargs)

    functools.update_wrapper(wrapper, function)
    wrapper.__name__ = wrapper.__qualname__ = name
    return wrapper


def to_host(array: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """`__array__`: a read-only snapshot without copying, or a writable copy when asked for or when the dtype differs."""
    host = host_view(array)
    if dtype is not None and np.dtype(dtype) != host.dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return host.astype(dtype)
    return host.copy() if copy else host


def real_number(array: ndarray) -> Any:
    """What `float()` and `int()` convert; of complex scalars the real part, with NumPy's warning."""
    found = number(array)
    if (
        found.__class__ is np.ndarray
        and found.dtype.kind == "c"
        and array._locked == SCALAR
        and not found.ndim
    ):
        warn_of_lost_parts(found.dtype, np.dtype(float))
        return found[()].real
    return found


def number(array: ndarray) -> Any:
    """What `float()`, `int()`, `bool()` convert: the Python number of a 0-d array, else its host view (which judges)."""
    if array.__class__ is Instant:
        return array.snapshot()
    if array._lens is None:
        found = runtime.number(array._store)
        if found is not None:
            return found
    return host_view(array)
