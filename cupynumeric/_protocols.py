"""Protocols by which other libraries meet our arrays: NumPy's dispatch, the buffer, array and DLPack interfaces, pickles.

NumPy functions given our arrays come back here and run as ours (`numpy.add(ours, x)` is lazy). What is exported is a read-only
snapshot of the elements.
"""

from __future__ import annotations

import os
import pickle
import threading
from typing import Any

import numpy as np

import cupynumeric
from cupynumeric import _elementwise, _fallback, _windows
from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._caller import user_frame
from cupynumeric._convert import adopt, by_numpy, host_view, to_numpy_tree
from legate_jit import runtime
from legate_jit.ir import dtypes
from legate_jit.ir.ops import OPS

# ---- NumPy's dispatch ---------------------------------------------------------------------------------------------

#: functions of other libraries that are rows of the op table under the same name
_SPECIAL = ("erf", "erfc")


def array_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`ndarray.__array_ufunc__`: a NumPy ufunc (or a user's) applied where one operand or `out` is ours."""
    for x in (*inputs, *_outs(kwargs)):
        if not _known(x):
            return NotImplemented
    ours = getattr(cupynumeric, ufunc.__name__, None) if _is_numpy(ufunc) else None
    outs = _outs(kwargs)
    if any(isinstance(o, np.ndarray) for o in outs):
        return _into_numpy(ufunc, method, inputs, kwargs)
    if len(outs) == 1:
        kwargs = {**kwargs, "out": outs[0]}
    if ours is not None:
        return getattr(ours, method)(*inputs, **kwargs)
    if ufunc.__name__ in _SPECIAL and method == "__call__" and set(kwargs) <= {"out"}:
        return _elementwise.call(OPS[ufunc.__name__], inputs, kwargs.get("out"))
    return by_numpy(getattr(ufunc, method), inputs, kwargs)


def _outs(kwargs: dict[str, Any]) -> tuple[Any, ...]:
    out = kwargs.get("out")
    if out is None:
        return ()
    return out if isinstance(out, tuple) else (out,)


def _known(x: Any) -> bool:
    """Whether we can work with x: ours, NumPy's, or anything without an override of its own."""
    if isinstance(x, (Ours, np.ndarray, np.generic)) or x is None:
        return True
    return not hasattr(type(x), "__array_ufunc__")


def _is_numpy(ufunc: Any) -> bool:
    return getattr(np, ufunc.__name__, None) is ufunc


def _into_numpy(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A result wanted in NumPy's own array: computed by NumPy."""
    outs = tuple(o if isinstance(o, np.ndarray) or o is None else np.asarray(o) for o in _outs(kwargs))
    rest = {k: to_numpy_tree(v) for k, v in kwargs.items() if k != "out"}
    return getattr(ufunc, method)(
        *[to_numpy_tree(x) for x in inputs], out=outs if len(outs) > 1 else outs[0], **rest
    )


def array_function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """`ndarray.__array_function__`: a NumPy function where some argument is ours runs as our function of that name."""
    if not all(issubclass(t, (Ours, np.ndarray)) for t in types):
        return NotImplemented
    out = kwargs.get("out")
    if isinstance(out, np.ndarray):
        return func(*[to_numpy_tree(a) for a in args], **{k: to_numpy_tree(v) for k, v in kwargs.items()})
    ours = _our_function(func)
    if ours is not None:
        return ours(*args, **kwargs)
    return _fallback.run(func, f"{func.__module__}.{func.__name__}", args, kwargs)


def _our_function(func: Any) -> Any:
    """Our function for a dispatching NumPy function, found by module and name."""
    module = getattr(func, "__module__", "") or ""
    name = func.__name__
    if module == "numpy" or module.startswith(("numpy.lib", "numpy._core")):
        return getattr(cupynumeric, name, None) if getattr(np, name, None) is func else None
    if func is np.lib.stride_tricks.sliding_window_view:
        return _windows.sliding_window_view
    if module in ("numpy.linalg", "numpy.fft"):
        return getattr(getattr(cupynumeric, module.rpartition(".")[2]), name, None)
    return None


# ---- memory interfaces --------------------------------------------------------------------------------------------


#: by thread, the last error of its reads through a buffer, and which call in the program that was
_unheard: dict[int, tuple[tuple[int, int], BaseException]] = {}


def buffer(array: ndarray) -> memoryview:
    """`__buffer__`, which Python asks for since 3.12: a read-only snapshot.

    NumPy tries it first, takes any error (Ctrl-C as well) for "no buffer", and asks the same array for its interface next; what
    failed may have been one part of what all ranks do, so it must not be tried again but be raised there.
    """
    if _unheard:
        _unheard.pop(threading.get_ident(), None)
    try:
        host = host_view(array)
    except BaseException as error:
        _unheard[threading.get_ident()] = _call(), error
        raise
    return memoryview(host)  # type: ignore[arg-type]


def _call() -> tuple[int, int]:
    """The call that is running in the program, as long as it runs."""
    frame = user_frame()
    return id(frame), frame.f_lasti


def array_interface(array: ndarray) -> dict[str, Any]:
    """`__array_interface__` of a read-only snapshot.

    The data is an object with a buffer, not an address: consumers (NumPy is one) then keep the snapshot alive, where an
    address would have them keep `array`, which gives its memory back when it is written to.
    """
    if _unheard:
        call, error = _unheard.pop(threading.get_ident(), (None, None))
        try:
            if error is not None and call == _call():
                raise error
        finally:
            del error  # else it and this frame would refer to each other, and it to the arrays of all frames it went through
    host = host_view(array)
    whole: Any = host if host.flags.c_contiguous else runtime.host(array._store)
    whole = whole.reshape(-1).view(np.uint8)
    described = dict(host.__array_interface__)
    start = described["data"][0] - whole.__array_interface__["data"][0]
    return described | {"data": memoryview(whole), "offset": start if host.size else 0}


def dlpack(array: ndarray, **options: Any) -> Any:
    """A DLPack capsule. Consumers that know of read-only memory get a snapshot, the others a copy."""
    host = host_view(array)
    version = options.get("max_version")
    if version is None or version < (1, 0) or options.get("copy"):
        host = host.copy()
    return host.__dlpack__(**options)


def array_namespace(api_version: Any) -> Any:
    """The module whose functions take our arrays."""
    if api_version is not None and api_version not in ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12"):
        raise ValueError(f'Version "{api_version}" of the Array API Standard is not supported.')
    return cupynumeric


def legate_data_interface(array: ndarray) -> dict[str, Any]:
    """How tasks and other Legate libraries take our arrays: as stores that share their elements."""
    from legate.core._store import LogicalStore

    return {"version": 2, "data": {"cuPyNumeric Array": LogicalStore._wrap(array._store, array._lens)}}


def shared_with(data: Any) -> ndarray | None:
    """The array that shares the elements of a Legate store, or of an object that offers one by the Legate data interface.

    None for elements that arrays cannot hold (structures, points). TypeError for an object whose interface is broken.
    """
    from legate.core._interface import as_logical_store

    store = as_logical_store(data)
    base = store._bound()
    if store._type is not None:
        return None
    return wrap(base, store._lens, bool(store._root and store._root.read_only))


# ---- pickles ------------------------------------------------------------------------------------------------------


def unpickle(host: np.ndarray) -> Any:
    """An array from its pickled form."""
    return adopt(host) if dtypes.is_supported(host.dtype) else host


def dumps(array: ndarray) -> bytes:
    """`ndarray.dumps`: NumPy's pickle, which plain NumPy can read."""
    return pickle.dumps(host_view(array).copy(), protocol=2)


def dump(array: ndarray, file: Any) -> None:
    """`ndarray.dump`."""
    if hasattr(file, "write"):
        pickle.dump(host_view(array).copy(), file, protocol=2)
        return
    with open(os.fspath(file), "wb") as target:
        pickle.dump(host_view(array).copy(), target, protocol=2)
