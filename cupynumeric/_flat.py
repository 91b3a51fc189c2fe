"""`ndarray.flat`: the elements of an array in C order, readable, writable and iterable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cupynumeric._advanced import mutate
from cupynumeric._array import ndarray
from cupynumeric._convert import from_numpy_tree, host_view, to_numpy_tree
from legate_jit import runtime


class FlatIterator:
    """A flat iterator over an array, as `numpy.flatiter`."""

    __slots__ = ("_array", "_position", "_values")

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: ndarray) -> None:
        self._array = array
        self._position = 0
        self._values: np.ndarray | None = None

    @property
    def base(self) -> ndarray:
        """The array itself."""
        return self._array

    @property
    def index(self) -> int:
        """Flat position of the next element."""
        return self._position

    @property
    def coords(self) -> tuple[int, ...]:
        """Coordinates of the next element."""
        shape = self._array.shape
        return tuple(int(i) for i in np.unravel_index(self._position, shape)) if shape else ()

    def copy(self) -> ndarray:
        """The elements as a new one-dimensional array."""
        return self._array.ravel().copy()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self._array.size

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._values is None:
            self._values = host_view(self._array).ravel()
        if self._position >= self._array.size:
            raise StopIteration
        item = self._values[self._position]
        self._position += 1
        return item

    def __getitem__(self, key: Any) -> Any:
        if runtime.world is not None:
            from cupynumeric import _picking

            there = _picking.flat_getitem(self._array, key)
            if there is not None:
                return there
        found = host_view(self._array).flat[to_numpy_tree(key)]
        return from_numpy_tree(found)

    def __setitem__(self, key: Any, item: Any) -> None:
        if runtime.world is not None:
            from cupynumeric import _picking

            if _picking.flat_setitem(self._array, key, item):
                return
        places, given = to_numpy_tree(key), to_numpy_tree(item)

        def put(target: np.ndarray) -> None:
            target.flat[places] = given

        mutate(self._array, put)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        flat = host_view(self._array).ravel()
        return flat if dtype is None else flat.astype(dtype)

    def __eq__(self, other: object) -> Any:
        return self.copy() == other

    def __ne__(self, other: object) -> Any:
        return self.copy() != other

    def __lt__(self, other: Any) -> Any:
        return self.copy() < other

    def __le__(self, other: Any) -> Any:
        return self.copy() <= other

    def __gt__(self, other: Any) -> Any:
        return self.copy() > other

    def __ge__(self, other: Any) -> Any:
        return self.copy() >= other
