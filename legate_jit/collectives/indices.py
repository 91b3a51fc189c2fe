"""Index arrays: from NumPy's, which may count from the end and be out of range, to numbers of rows of a table.

Of a rank's part of the indices; and how the ranks agree on the first index that is out of range. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.collectives import messages
from legate_jit.comm.base import Comm

__all__ = ["Bad", "agreed", "counted", "extremes", "numbers"]


class Bad(NamedTuple):
    """An index out of range: of which of the index arrays, where in it, and the number."""

    which: int
    position: int
    number: int


def numbers(
    indices: Sequence[int | np.ndarray], extents: Sequence[int], shape: tuple[int, ...]
) -> tuple[np.ndarray, Bad | None]:
    """The rows, in C order of the axes of `extents`, that indices along these axes mean: a vector of int64, one for each element
    of `shape`, which the indices broadcast to. And the first index that is out of range."""
    found: np.ndarray | None = None
    for which, (index, n) in enumerate(zip(indices, extents, strict=True)):
        vector = np.broadcast_to(np.asarray(index), shape).reshape(-1).astype(np.int64, copy=False)
        low, high = (int(vector.min()), int(vector.max())) if vector.size else (0, -1)
        if high >= n or low < -n:
            at = int(((vector >= n) | (vector < -n)).argmax())
            return vector, Bad(which, at, int(vector[at]))
        vector = counted(vector, n, low)
        found = vector if found is None else found * n + vector
    assert found is not None
    return found, None


def counted(vector: np.ndarray, n: int, low: int | None = None) -> np.ndarray:
    """Indices in [-n, n), none of which is below `low`, as they count from the start; those that do already, without copying."""
    if not vector.size or (vector.min() if low is None else low) >= 0:
        return vector
    return np.where(vector < 0, vector + n, vector)


def extremes(comm: Comm, part: np.ndarray) -> list[tuple[int, int]]:
    """The least and the greatest element of a dealt array of integers, which is not empty."""
    info = np.iinfo(np.int64)
    told = (int(part.min()), int(part.max())) if part.size else (info.max, info.min)
    told = (min(told[0], info.max), min(told[1], info.max))  # what does not fit is out of range in any case
    every = messages.all_gather(comm, np.array([told], np.int64), [1] * comm.size)
    return [(min(int(e[0, 0]) for e in every), max(int(e[0, 1]) for e in every))]


def agreed(comm: Comm, bad: Bad | None, before: int) -> Bad | None:
    """The first of what the ranks found, in the order of index arrays and of elements, of which `before` are lower ranks'."""
    told = (-1, 0, 0) if bad is None else bad._replace(position=before + bad.position)
    every = messages.all_gather(comm, np.array([told], np.int64), [1] * comm.size)
    found = sorted(Bad(*map(int, row[0])) for row in every if row[0, 0] >= 0)
    return found[0] if found else None
