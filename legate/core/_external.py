"""`ExternalAllocation`: memory of the program that stores can be created on.

Owns nothing but a reference that keeps the memory alive.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from legate.core._enums import StoreTarget

__all__ = ["ExternalAllocation"]


class ExternalAllocation:
    """A block of host memory, and what keeps it alive."""

    __slots__ = ("_bytes", "_read_only", "_source")

    _bytes: np.ndarray
    _read_only: bool
    _source: Any

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, data: np.ndarray, read_only: bool, source: Any) -> ExternalAllocation:
        self = object.__new__(cls)
        self._bytes, self._read_only, self._source = data, read_only, source
        return self

    @staticmethod
    def from_sysmem(ptr: int, size: int, *, read_only: bool = True, source: Any = None) -> ExternalAllocation:
        """`size` bytes at address `ptr`; `source` is kept alive as long as they are used. ValueError for a null address."""
        if size < 0:
            raise OverflowError("can't convert negative value to size_t")
        if not ptr and size:
            raise ValueError("External allocations must have a non-null address")
        block: Any = (ctypes.c_uint8 * size).from_address(ptr) if size else b""
        return ExternalAllocation._make(
            np.frombuffer(block, np.uint8) if size else np.empty(0, np.uint8), read_only, source
        )

    @staticmethod
    def from_dlpack(obj: Any, *, read_only: bool = True) -> ExternalAllocation:
        """The memory of an object that exports DLPack. BufferError unless it is contiguous host memory, in C order."""
        array = np.from_dlpack(obj)
        if not array.flags.c_contiguous:
            raise BufferError("only contiguous memory can be an external allocation")
        return ExternalAllocation._make(array.reshape(-1).view(np.uint8), read_only, obj)

    @property
    def ptr(self) -> int:
        """Address of the first byte."""
        return int(self._bytes.ctypes.data)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self._bytes.size

    @property
    def read_only(self) -> bool:
        """Whether the memory must not be written."""
        return self._read_only

    @property
    def target(self) -> StoreTarget:
        """The kind of memory."""
        return StoreTarget.SYSMEM
