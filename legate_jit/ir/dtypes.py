"""Dtypes of the engine: which NumPy dtypes kernels compute with, and their short codes.

Knows NumPy's dtypes only. A dtype outside `KERNEL_DTYPES` never enters a graph: the faces hand such arrays to NumPy.
"""

from __future__ import annotations

import numpy as np

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
FLOAT16 = np.dtype(np.float16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
COMPLEX64 = np.dtype(np.complex64)
COMPLEX128 = np.dtype(np.complex128)

#: Every dtype a graph value can have, in NumPy's promotion order.
KERNEL_DTYPES: tuple[np.dtype, ...] = tuple(
    np.dtype(c) for c in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16")
)

_CODES = {d: f"{d.kind}{d.itemsize}" for d in KERNEL_DTYPES}
_BY_CODE = {code: d for d, code in _CODES.items()}


def is_supported(dtype: np.dtype) -> bool:
    """Whether arrays of `dtype` can live in a graph (native byte order, one of `KERNEL_DTYPES`)."""
    return dtype in _CODES and dtype.isnative


def canonical(dtype: np.dtype) -> np.dtype:
    """The engine's own instance of `dtype` ('q' and 'l' are the same int64); KeyError when unsupported."""
    return _BY_CODE[_CODES[dtype]]


def code(dtype: np.dtype) -> str:
    """Short code of a supported dtype: kind and item size in bytes, for instance 'f8', 'b1', 'c16'."""
    return _CODES[dtype]


def from_code(text: str) -> np.dtype:
    """The dtype whose `code` is `text`."""
    return _BY_CODE[text]
