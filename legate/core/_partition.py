"""`LogicalStorePartition`: a store cut into tiles, each of which is a store. Pure arithmetic on extents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index as as_int

from legate.core._store import LogicalStore

__all__ = ["LogicalStorePartition", "by_tiling"]


class LogicalStorePartition:
    """Tiles of `tile_shape` from the low corner of a store on, `color_shape` of them along each axis."""

    __slots__ = ("_store", "tile_shape", "color_shape")

    _store: LogicalStore
    tile_shape: tuple[int, ...]
    color_shape: tuple[int, ...]

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(
        cls, store: LogicalStore, tile_shape: tuple[int, ...], color_shape: tuple[int, ...]
    ) -> LogicalStorePartition:
        self = object.__new__(cls)
        self._store, self.tile_shape, self.color_shape = store, tile_shape, color_shape
        return self

    def store(self) -> LogicalStore:
        """The store that is cut."""
        return self._store

    def box(self, color: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The half-open range of each axis that the tile `color` holds."""
        return tuple(
            (min(c * t, n), min((c + 1) * t, n))
            for c, t, n in zip(color, self.tile_shape, self._store.extents, strict=True)
        )

    def get_child_store(self, *color: int) -> LogicalStore:
        """The tile `color` as a store. IndexError for a color outside `color_shape`."""
        at = tuple(as_int(c) for c in color)
        shape = self.color_shape
        if len(at) != len(shape) or any(not 0 <= c < n for c, n in zip(at, shape, strict=True)):
            raise IndexError(f"Color {list(at)} is invalid for partition of color shape {list(shape)}")
        child = self._store
        for axis, (lo, hi) in enumerate(self.box(at)):
            child = child.slice(axis, slice(lo, hi))
        return child

    def __repr__(self) -> str:
        return f"LogicalStorePartition({self._store!r}, tiles: {self.tile_shape}, colors: {self.color_shape})"


def by_tiling(
    store: LogicalStore, tile_shape: Iterable[int], color_shape: Iterable[int] | None
) -> LogicalStorePartition:
    """The partition of `LogicalStore.partition_by_tiling`; ValueError for shapes that do not fit the store."""
    tile = _shape(tile_shape)
    extents = store.extents
    _check("tile", "Tile", tile, len(extents))
    if color_shape is None:
        colors = tuple(-(-n // t) for n, t in zip(extents, tile, strict=True))
    else:
        colors = _shape(color_shape)
        _check("color", "Color", colors, len(extents))
    return LogicalStorePartition._make(store, tile, colors)


def _shape(shape: Iterable[int]) -> tuple[int, ...]:
    if not isinstance(shape, Iterable):
        raise ValueError(f"Expected an iterable but got {type(shape)}")
    return tuple(as_int(n) for n in shape)


def _check(what: str, title: str, shape: tuple[int, ...], ndim: int) -> None:
    if len(shape) != ndim:
        raise ValueError(f"Incompatible {what} shape: expected a {ndim}-tuple, got a {len(shape)}-tuple")
    if math.prod(shape) == 0:
        raise ValueError(f"{title} shape must have a volume greater than 0")
