"""Shapes: reshape, transpose and friends, as views wherever NumPy's are."""

from __future__ import annotations

import operator
from typing import Any

from cupynumeric._array import ndarray, value, wrap
from cupynumeric._indexing import reshaped
from legate_jit import runtime


def full_shape(size: int, shape: Any) -> tuple[int, ...]:
    """A shape argument with -1 resolved; ValueError as NumPy."""
    dims = tuple(operator.index(n) for n in shape) if hasattr(shape, "__iter__") else (operator.index(shape),)
    unknown = [k for k, n in enumerate(dims) if n < 0]
    known = 1
    for n in dims:
        known *= n if n >= 0 else 1
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    if unknown:
        if known == 0 or size % known:
            raise ValueError(f"cannot reshape array of size {size} into shape {str(dims).replace(' ', '')}")
        dims = tuple(size // known if k == unknown[0] else n for k, n in enumerate(dims))
    elif known != size:
        raise ValueError(f"cannot reshape array of size {size} into shape {str(dims).replace(' ', '')}")
    return dims


def reshape(array: ndarray, shape: Any, order: str = "C", *, copy: bool | None = None) -> ndarray:
    """`numpy.reshape`."""
    return reshaped(array, full_shape(array.size, shape))


def copy(array: ndarray) -> ndarray:
    """A new array with the same value: shares it until one of them changes."""
    if array._lens is None and array._store.value is None:
        assert array._store.buffer is not None
        return wrap(runtime.buffer_store(array._store.buffer, array._type))
    return wrap(runtime.new_store(value(array), array._type))
