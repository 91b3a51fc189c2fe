"""Stores on memory of the program: one buffer, or tiles in several allocations.

Elements lie in the memory in some order of dimensions: the store is a transposed view of one that lies in C order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from legate.core._external import ExternalAllocation
from legate.core._partition import LogicalStorePartition
from legate.core._shape import DimOrdering
from legate.core._store import LogicalStore, Root, carrier, fixed_dtype
from legate.core.types import Type
from legate_jit import hosting
from legate_jit.ir import dtypes, index
from legate_jit.store import extend

__all__ = ["attach_buffer", "attach_tiles"]

Extents = tuple[int, ...]


def attach_buffer(
    type_: Type, shape: Extents, data: object, read_only: bool, ordering: DimOrdering
) -> LogicalStore:
    """The store of `Runtime.create_store_from_buffer`."""
    raw = _bytes(data)
    element = fixed_dtype(type_)
    if raw.size < int(np.prod(shape, dtype=np.int64)) * type_.size:
        raise ValueError(f"Passed buffer is too small for a store of shape {shape} and type {type_}")
    if not read_only and not raw.flags.writeable:
        raise ValueError("The buffer is read-only, and so must be the store on it")
    words, order = _laid_out(raw, element, shape, ordering)
    return _attached(type_, element, words, order, read_only, (data,))


def _bytes(data: Any) -> np.ndarray:
    """The memory of a contiguous buffer as bytes."""
    array = np.asarray(memoryview(data))
    if array.flags.f_contiguous:
        array = array.T
    if not array.flags.c_contiguous:
        raise ValueError("The buffer is not contiguous")
    return array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)


def _laid_out(
    raw: np.ndarray, element: np.dtype, shape: Extents, ordering: DimOrdering
) -> tuple[np.ndarray, Extents]:
    """The memory as an array of what carries the elements, with the slowest dimension first, and which dimension each axis is."""
    order = tuple(reversed(ordering.dimensions(len(shape))))
    unit, count = carrier(element)
    extents = [shape[d] for d in order] + ([count] if count else [])
    nbytes = int(np.prod(extents, dtype=np.int64)) * unit.itemsize
    return raw[:nbytes].view(unit).reshape(extents), order


def _attached(
    type_: Type, element: np.dtype, words: np.ndarray, order: Extents, read_only: bool, keep: Any
) -> LogicalStore:
    attachment = hosting.Attachment(words, read_only)
    store = attachment.store
    inverse = tuple(order.index(d) for d in range(len(order)))
    axes: Extents = (*inverse, len(order)) if words.ndim > len(order) else inverse
    root = Root(extend(store.type, None, index.permutation(words.shape, axes)))
    root.attached, root.read_only, root.keep = attachment, read_only, keep
    plain = dtypes.is_supported(element) and type_.is_primitive
    return LogicalStore._wrap(store, root.lens, None if plain else type_, root)


def attach_tiles(
    type_: Type,
    shape: Extents,
    tile_shape: Extents,
    allocations: Sequence[tuple[ExternalAllocation, Iterable[int]]],
    ordering: DimOrdering,
) -> tuple[LogicalStore, LogicalStorePartition]:
    """The store and the partition of `Runtime.create_store_from_tiles`. The tiles are copied together."""
    element = fixed_dtype(type_)
    order = tuple(reversed(ordering.dimensions(len(shape))))
    unit, count = carrier(element)
    whole = np.empty([shape[d] for d in order] + ([count] if count else []), unit)
    store = _attached(type_, element, whole, order, True, [a for a, _ in _checked(allocations)])
    tiles = store.partition_by_tiling(tile_shape)
    seen: set[Extents] = set()
    for allocation, color in allocations:
        at = tuple(as_int(c) for c in color)
        if at in seen:
            raise ValueError(f"Color {list(at)} has more than one allocation")
        seen.add(at)
        if len(at) != len(shape) or any(not 0 <= c < n for c, n in zip(at, tiles.color_shape, strict=True)):
            raise ValueError(
                f"Color {list(at)} is invalid for partition of color shape {list(tiles.color_shape)}"
            )
        box = tiles.box(at)
        extents = tuple(hi - lo for lo, hi in box)
        if allocation.size < int(np.prod(extents, dtype=np.int64)) * type_.size:
            raise ValueError(
                f"External allocation of {allocation.size} bytes is too small for a tile of shape {extents} and type {type_}"
            )
        tile, _ = _laid_out(allocation._bytes, element, extents, ordering)
        whole[tuple(slice(*box[d]) for d in order)] = tile
    return store, tiles


def _checked(
    allocations: Sequence[tuple[ExternalAllocation, Iterable[int]]],
) -> Sequence[tuple[ExternalAllocation, Iterable[int]]]:
    for allocation, _ in allocations:
        if not isinstance(allocation, ExternalAllocation):
            raise TypeError(f"Expected an external allocation but got {type(allocation)}")
        if not allocation.read_only:
            raise ValueError("External allocations of tiles must be read-only")
    return allocations
