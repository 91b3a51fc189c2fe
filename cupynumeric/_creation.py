"""Creation: arrays from shapes, ranges and data."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupynumeric._array import ndarray, wrap
from cupynumeric._convert import from_numpy
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.runtime import window


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple; ValueError for negative extents."""
    dims = tuple(operator.index(n) for n in shape) if hasattr(shape, "__iter__") else (operator.index(shape),)
    if any(n < 0 for n in dims):
        raise ValueError("negative dimensions are not allowed")
    return dims


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array filled with one value."""
    type_ = np.asarray(fill_value).dtype if dtype is None else np.dtype(dtype)
    if not dtypes.is_supported(type_):
        return np.full(shape, fill_value, type_)
    sig = infer.full_signature(shape_of(shape), dtypes.canonical(type_))
    window.scalars.append(np.asarray(fill_value).astype(type_)[()])
    return wrap(runtime.new_store(runtime.record(sig), sig.type))


def zeros(shape: Any, dtype: Any = float) -> Any:
    """Zeros."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = float) -> Any:
    """Ones."""
    return full(shape, 1, dtype)


def empty(shape: Any, dtype: Any = float) -> Any:
    """Undefined contents."""
    sig = infer.generate_signature("empty", shape_of(shape), dtypes.canonical(np.dtype(dtype)))
    return wrap(runtime.new_store(runtime.record(sig), sig.type))


def array(data: Any, dtype: Any = None) -> Any:
    """A copy of data."""
    if isinstance(data, ndarray) and dtype is None:
        return data.copy()
    a = np.array(data, dtype=dtype)
    return from_numpy(a) if dtypes.is_supported(a.dtype) else a


def from_constructor(shape: Any, dtype: Any, buffer: Any, offset: int, strides: Any, order: Any) -> Any:
    """`ndarray(...)`."""
    if buffer is None:
        return empty(shape, dtype)
    return array(np.ndarray(shape, dtype, buffer, offset, strides, order))
