"""Exchange of stores with other libraries: the Legate data interface, DLPack, and where the elements are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from legate.core._attach import attach_buffer
from legate.core._enums import StoreTarget
from legate.core._interface import (
    MAX_DATA_INTERFACE_VERSION,
    MIN_DATA_INTERFACE_VERSION,
    Field,
    LegateDataInterface,
    LegateDataInterfaceItem,
    as_logical_store,
)
from legate.core._shape import DimOrdering
from legate.core._store import LogicalStore, type_of
from legate_jit import runtime
from legate_jit.ir import dtypes

__all__ = [
    "MAX_DATA_INTERFACE_VERSION",
    "MIN_DATA_INTERFACE_VERSION",
    "Field",
    "LegateDataInterface",
    "LegateDataInterfaceItem",
    "as_logical_store",
    "from_dlpack",
    "offload_to",
]


def offload_to(obj: Any, *, target: StoreTarget) -> None:
    """Move the elements of a store, or of an object with the data interface, to a kind of memory, and free all other copies.

    All kinds but FBMEM are the host's memory here, where the elements are already. ValueError for FBMEM.
    """
    as_logical_store(obj)
    if target is StoreTarget.FBMEM:
        raise ValueError(f"Cannot offload to {target.name} without GPU/CUDA Support")
    if not isinstance(target, StoreTarget):
        raise TypeError(f"expected a StoreTarget, got {type(target)}")


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> LogicalStore:
    """A store on the elements of an object that exports DLPack; `copy=True`: on a copy of them.

    Without a copy the store is attached to the memory, as by `Runtime.create_store_from_buffer`, and the memory must not change
    until `LogicalStore.detach`. BufferError when `copy=False` and the layout or type needs one, or for devices.
    """
    array = np.from_dlpack(x) if device is None else np.from_dlpack(x, device=device)
    if not dtypes.is_supported(array.dtype):
        raise BufferError(f"stores cannot hold elements of type {array.dtype}")
    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    if copy is False and not contiguous:
        raise BufferError("the elements are not contiguous, a copy is needed")
    if copy or not contiguous or not array.size:
        return LogicalStore._wrap(runtime.from_host(array))
    order = DimOrdering.c_order() if array.flags.c_contiguous else DimOrdering.fortran_order()
    type_ = type_of(dtypes.canonical(array.dtype))
    return attach_buffer(type_, array.shape, array, not array.flags.writeable, order)
