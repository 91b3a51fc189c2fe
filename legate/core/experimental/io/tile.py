"""Stores as tiles: a file for each box of one shape, named by its coordinates ("0.3"), or all of them in one file.

Elements of a tile lie in C order, as they are in memory. With several ranks all of them call these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_int
from typing import Any

from legate.core._files import new, path_of, raw_type, shards_of
from legate.core._interface import as_logical_store
from legate.core._shape import Shape
from legate.core._store import LogicalStore
from legate.core.types import Type
from legate_jit.files import tiles

__all__ = ["from_tiles", "from_tiles_by_offsets", "to_tiles"]


def to_tiles(
    path: Any, array: Any, tile_shape: Sequence[int], tile_start: Sequence[int] | None = None
) -> None:
    """Write a store as files of a folder, one for each tile; `tile_start`: coordinates of the first one (zeros).

    All files appear when all are written. ValueError if the extents are no multiples of the tile's.
    """
    store = as_logical_store(array)
    shards = shards_of(store)
    tile, start = _checked(store.extents, tile_shape, tile_start)
    n = len(tile)
    tiles.write(path_of(path), shards, (*tile, *shards.shape[n:]), lambda at: _name(at[:n], start))


def from_tiles(
    path: Any,
    shape: Any,
    array_type: Type,
    tile_shape: Sequence[int],
    tile_start: Sequence[int] | None = None,
) -> LogicalStore:
    """A store of the tiles that `to_tiles` wrote to a folder. FileNotFoundError; ValueError for files that are too short."""
    extents = Shape(shape).extents
    tile, start = _checked(extents, tile_shape, tile_start)
    folder = path_of(path)
    engine, carried = raw_type(array_type, extents)
    n = len(tile)
    whole = (*tile, *engine.shape[n:])
    return new(tiles.read(engine, whole, lambda at: (f"{folder}/{_name(at[:n], start)}", 0)), carried)


def from_tiles_by_offsets(
    path: Any, shape: Any, type: Type, offsets: Sequence[int], tile_shape: Sequence[int]
) -> LogicalStore:
    """A store of tiles that lie in one file, the k-th of them, in C order, from byte `offsets[k]` on.

    ValueError if there are more or fewer offsets than tiles, and for a file that ends inside a tile.
    """
    extents = Shape(shape).extents
    tile, _ = _checked(extents, tile_shape, None)
    counts = tiles.grid(extents, tile)
    places = [as_int(k) for k in offsets]
    count = 1
    for c in counts:
        count *= c
    if len(places) != count or any(k < 0 for k in places):
        raise ValueError(
            f"The number of offsets ({len(places)}) must be that of the tiles ({count}), and none negative"
        )
    name = path_of(path)
    engine, carried = raw_type(type, extents)

    def place(at: tuple[int, ...]) -> tuple[str, int]:
        number = 0
        for c, k in zip(counts, at, strict=False):
            number = number * c + k
        return name, places[number]

    return new(tiles.read(engine, (*tile, *engine.shape[len(tile) :]), place), carried)


def _checked(
    extents: tuple[int, ...], tile_shape: Sequence[int], tile_start: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    tile = tuple(as_int(n) for n in tile_shape)
    start = (0,) * len(tile) if tile_start is None else tuple(as_int(n) for n in tile_start)
    if not len(extents) == len(tile) == len(start):
        raise ValueError(
            f"The array shape ({list(extents)}), tile shape ({list(tile)}) and tile start ({list(start)}) differ in length"
        )
    if not tile or min(tile) < 1 or any(n % t for n, t in zip(extents, tile, strict=True)):
        raise ValueError(
            f"The array shape ({list(extents)}) must be divisible by the tile shape ({list(tile)})"
        )
    return tile, start


def _name(at: Sequence[int], start: Sequence[int]) -> str:
    return ".".join(str(a + s) for a, s in zip(at, start, strict=True))
