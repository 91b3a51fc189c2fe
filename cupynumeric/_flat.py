"""`ndarray.flat`: the elements of an array in C order, readable, writable and iterable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cupynumeric._array import ndarray
from cupynumeric._convert import host_view
from cupynumeric._shape import flat_view


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
        self._check(key)
        found = flat_view(self._array)[key]
        return found.copy() if isinstance(key, slice) or key is Ellipsis else found

    def __setitem__(self, key: Any, item: Any) -> None:
        self._check(key)
        flat = flat_view(self._array)
        if not isinstance(key, (slice, type(Ellipsis))):
            flat[key] = item
            return
        target = flat[key]
        given = item if isinstance(item, ndarray) else np.asarray(item)
        if given.ndim and given.size != target.size:
            host = np.resize(host_view(given) if isinstance(given, ndarray) else given, target.size)
            flat[key] = host
            return
        flat[key] = given.ravel() if given.ndim else item

    def _check(self, key: Any) -> None:
        """IndexError with NumPy's text for positions outside the array."""
        if isinstance(key, (slice, type(Ellipsis))):
            return
        places = np.asarray(host_view(key) if isinstance(key, ndarray) else key)
        n = self._array.size
        if places.dtype.kind in "iu" and places.size:
            bad = places.ravel()[(places.ravel() >= n) | (places.ravel() < -n)]
            if bad.size:
                raise IndexError(f"index {bad[0]} is out of bounds for size {n}")

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
