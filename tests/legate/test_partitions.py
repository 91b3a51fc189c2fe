"""Partitions of stores into tiles."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate.core import LogicalStore, LogicalStorePartition, as_logical_store, get_legate_runtime
from legate.core import types as ty

runtime = get_legate_runtime()


def store_of(array: np.ndarray) -> LogicalStore:
    """A store with a copy of the array."""
    return as_logical_store(cn.array(array))


@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (7, 4, 3, 9), (50, 2, 2, 2)], ids=str)
def test_tiles(shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).random(shape)
    s = store_of(a)
    tiles = s.partition_by_tiling((2, 2, 2, 2))
    assert isinstance(tiles, LogicalStorePartition)
    assert tiles.store() is s
    assert tiles.store().equal_storage(s)
    assert tiles.color_shape == tuple(-(-n // 2) for n in shape)
    for color in np.ndindex(tiles.color_shape):
        child = tiles.get_child_store(*color)
        part = a[tuple(slice(2 * c, 2 * c + 2) for c in color)]
        np.testing.assert_array_equal(np.asarray(child), part)
        assert not child.equal_storage(s)


def test_tiles_are_views() -> None:
    s = store_of(np.zeros(10))
    tiles = s.partition_by_tiling([4])
    tiles.get_child_store(2).fill(5)
    assert np.asarray(s).tolist() == [0] * 8 + [5] * 2
    assert not tiles.get_child_store(0).overlaps(tiles.get_child_store(1))
    assert tiles.get_child_store(0).overlaps(s)
    assert "tiles: (4,)" in repr(tiles)


def test_colors() -> None:
    s = store_of(np.arange(10))
    few = s.partition_by_tiling((3,), (2,))
    assert few.color_shape == (2,)
    assert np.asarray(few.get_child_store(1)).tolist() == [3, 4, 5]
    many = s.partition_by_tiling((3,), color_shape=(6,))
    assert many.get_child_store(5).extents == (0,)
    assert np.asarray(many.get_child_store(3)).tolist() == [9]


def test_of_views() -> None:
    a = np.arange(24).reshape(4, 6)
    tiles = store_of(a).transpose((1, 0)).partition_by_tiling((2, 4))
    np.testing.assert_array_equal(np.asarray(tiles.get_child_store(2, 0)), a.T[4:6])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((0, 0, 0),), "Tile shape must have a volume greater than 0"),
        (((1, 2),), "Incompatible tile shape: expected a 3-tuple, got a 2-tuple"),
        ((1,), "Expected an iterable but got <class 'int'>"),
        (((1, 1, 1), (1, 1)), "Incompatible color shape: expected a 3-tuple, got a 2-tuple"),
        (((1, 1, 1), (0, 1, 1)), "Color shape must have a volume greater than 0"),
        (((1, 1, 1), 1), "Expected an iterable but got <class 'int'>"),
    ],
)
def test_refused(arguments: Any, text: str) -> None:
    s = runtime.create_store(ty.int16, (2, 2, 2))
    with pytest.raises(ValueError, match=text):
        s.partition_by_tiling(*arguments)


@pytest.mark.parametrize("color", [(1,), (2, 0, 0), (-1, 0, 0), (3, 4, 5)], ids=str)
def test_wrong_colors(color: tuple[int, ...]) -> None:
    tiles = runtime.create_store(ty.int16, (2, 2, 2)).partition_by_tiling((1, 1, 1))
    text = f"Color {list(color)} is invalid for partition of color shape [2, 2, 2]"
    with pytest.raises(IndexError, match=re.escape(text)):
        tiles.get_child_store(*color)


def test_not_constructible() -> None:
    with pytest.raises(ValueError, match="must not be constructed directly"):
        LogicalStorePartition()
