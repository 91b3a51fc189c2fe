"""Irregular operations at once, for the faces: counting, histograms, selection, bounds, on all threads.

Takes and gives NumPy arrays over host memory; None means that NumPy should do it (small, strided or unusual arrays). Knows the
target's irregular kernels and our memory; no recording.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from legate_jit import runtime
from legate_jit.ir import dtypes
from legate_jit.ir.node import array_type
from legate_jit.store import Store

__all__ = ["bincount", "bounds", "histogram", "positions", "select", "worthwhile"]

#: elements from which these operations are considered at all, so that small programs never load the compiler for them
WORTHWHILE = 1 << 17


def worthwhile(size: int) -> bool:
    """Whether an array of `size` elements is large enough to ask."""
    return size >= WORTHWHILE


def bincount(x: np.ndarray, minlength: int) -> np.ndarray | None:
    """`numpy.bincount` of a 1-d integer array of small values."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends import irregular

    return irregular.count(x, minlength)


def bounds(x: np.ndarray) -> tuple[Any, Any]:
    """Least and greatest element of an array that is not empty, NaN if there is one."""
    found = None
    if worthwhile(x.size):
        from legate_jit.backends import irregular

        found = irregular.extent(x)
    return (x.min(), x.max()) if found is None else found


def histogram(x: np.ndarray, edges: np.ndarray) -> np.ndarray | None:
    """Counts of a float array in equal bins between `edges` (of x's dtype)."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends import irregular

    return irregular.histogram(x, edges)


def select(x: np.ndarray, mask: np.ndarray) -> Store | None:
    """`x[mask]` for a mask of x's shape, in our own memory."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends import irregular

    made: list[Store] = []

    def memory(n: int) -> np.ndarray:
        store, view = runtime.fresh(array_type((n,), dtypes.canonical(x.dtype)))
        made.append(store)
        return view

    return made[0] if irregular.compress(x, mask, memory) is not None else None


def positions(mask: np.ndarray) -> np.ndarray | None:
    """`numpy.flatnonzero` of booleans."""
    if not worthwhile(mask.size):
        return None
    from legate_jit.backends import irregular

    return irregular.positions(mask)
