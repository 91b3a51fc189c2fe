"""Between NumPy and this package: host copies in, read-only host views out, trees of arguments for library calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric._array import ndarray, wrap
from legate_jit import runtime
from legate_jit.ir import dtypes, index
from legate_jit.store import Affine, Bitcast, Part, Reshaped


def from_numpy(array: np.ndarray) -> ndarray:
    """A copy of a NumPy array of a supported dtype, as an array of ours."""
    return wrap(runtime.from_host(array))


def host_view(array: ndarray) -> np.ndarray:
    """The array's contents as a read-only NumPy array; views show the same strides as NumPy's would. Flushes."""
    base = runtime.host(array._store)
    if array._lens is None:
        return base
    for step in array._lens.chain:
        base = _through(base, step)
    base.flags.writeable = False
    return base


def _through(base: np.ndarray, step: Any) -> np.ndarray:
    match step:
        case Affine():
            _, strides = index.elem_strides(step, base.shape)
            offset = sum(start * s for (start, _, _), s in zip(step.axes, base.strides, strict=True))
            bytes_ = [0] * len(step.shape)
            for (_, k, axis), s in zip(step.axes, base.strides, strict=True):
                if axis >= 0:
                    bytes_[axis] += k * s
            if 0 in step.shape:
                return np.empty(step.shape, base.dtype)
            start = base
            if offset:
                corner = tuple(slice(s, s + 1) for s, _, _ in step.axes)
                start = base[corner]
            return np.lib.stride_tricks.as_strided(start, step.shape, bytes_)
        case Reshaped():
            return base.reshape(step.shape)
        case Bitcast():
            return base.view(step.dtype)
        case Part():
            return base.real if step.name == "real" else base.imag
        case _:
            raise TypeError(f"unknown lens step {step!r}")


def to_numpy_tree(x: Any) -> Any:
    """`x` with every array of ours, at any depth of lists, tuples and dicts, replaced by its host view."""
    if isinstance(x, ndarray):
        return host_view(x)
    if isinstance(x, tuple):
        if hasattr(x, "_fields"):
            return type(x)(*(to_numpy_tree(e) for e in x))
        return tuple(to_numpy_tree(e) for e in x)
    if isinstance(x, list):
        return [to_numpy_tree(e) for e in x]
    if isinstance(x, dict):
        return {k: to_numpy_tree(v) for k, v in x.items()}
    return x


def from_numpy_tree(x: Any) -> Any:
    """`x` with every NumPy array of a supported dtype, at any depth of lists and tuples, replaced by an array of ours."""
    if isinstance(x, np.ndarray):
        return from_numpy(x) if type(x) is np.ndarray and dtypes.is_supported(x.dtype) else x
    if isinstance(x, tuple):
        if hasattr(x, "_fields"):
            return type(x)(*(from_numpy_tree(e) for e in x))
        return tuple(from_numpy_tree(e) for e in x)
    if isinstance(x, list):
        return [from_numpy_tree(e) for e in x]
    return x


def to_host(array: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """`__array__`: a read-only snapshot without copying, or a writable copy when asked for or when the dtype differs."""
    host = host_view(array)
    if dtype is not None and np.dtype(dtype) != host.dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return host.astype(dtype)
    return host.copy() if copy else host
