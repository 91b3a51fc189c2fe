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

__all__ = [
    "bincount",
    "bounds",
    "histogram",
    "nonzero",
    "place",
    "positions",
    "select",
    "take",
    "within",
    "worthwhile",
]

#: elements from which these operations are considered at all, so that small programs never load the compiler for them
WORTHWHILE = 1 << 17


def worthwhile(size: int) -> bool:
    """Whether an array of `size` elements is large enough to ask."""
    return size >= WORTHWHILE


def bincount(x: np.ndarray, minlength: int, weights: np.ndarray | None = None) -> np.ndarray | None:
    """`numpy.bincount` of a 1-d integer array of small values; weighted sums are those of blocks, added up."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends.calls import irregular

    return irregular.count(x, minlength, weights)


def bounds(x: np.ndarray) -> tuple[Any, Any]:
    """Least and greatest element of an array that is not empty, NaN if there is one."""
    found = None
    if worthwhile(x.size):
        from legate_jit.backends.calls import irregular

        found = irregular.extent(x)
    return (x.min(), x.max()) if found is None else found


def histogram(x: np.ndarray, edges: np.ndarray) -> np.ndarray | None:
    """Counts of a float array in equal bins between `edges` (of x's dtype)."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends.calls import irregular

    return irregular.histogram(x, edges)


def select(x: np.ndarray, mask: np.ndarray) -> Store | None:
    """`x[mask]` for a mask of x's shape, in our own memory."""
    if not worthwhile(x.size):
        return None
    from legate_jit.backends.calls import irregular

    made: list[Store] = []

    def memory(n: int) -> np.ndarray:
        store, view = runtime.fresh(array_type((n,), dtypes.canonical(x.dtype)))
        made.append(store)
        return view

    return made[0] if irregular.compress(x, mask, memory) is not None else None


def positions(mask: np.ndarray) -> Store | None:
    """`numpy.flatnonzero` of booleans, in our own memory."""
    if not worthwhile(mask.size):
        return None
    from legate_jit.backends.calls import irregular

    made: list[Store] = []

    def memory(n: int) -> np.ndarray:
        store, view = runtime.fresh(array_type((n,), dtypes.INT64))
        made.append(store)
        return view

    return made[0] if irregular.positions(mask, memory) is not None else None


def nonzero(mask: np.ndarray) -> tuple[Store, ...] | None:
    """`numpy.nonzero` of booleans of at least one axis, in our own memory."""
    found = positions(mask)
    if found is None or mask.ndim == 1:
        return None if found is None else (found,)
    from legate_jit.backends.calls import indexed

    flat = runtime.host(found)
    made = [runtime.fresh(found.type) for _ in mask.shape]
    done = [indexed.coordinates(flat, mask.shape, d, view) for d, (_, view) in enumerate(made)]
    return tuple([store for store, _ in made]) if all(done) else None


def within(indices: np.ndarray, n: int) -> bool:
    """Whether all of these integers lie in [-n, n)."""
    if not indices.size:
        return True
    if worthwhile(indices.size):
        low, high = bounds(indices)
        return int(high) < n and int(low) >= -n
    if int(indices.view(f"u{indices.itemsize}").max()) < n:  # one look is enough when none is negative
        return True
    return int(indices.max()) < n and int(indices.min()) >= -n


def take(x: np.ndarray, indices: np.ndarray, axis: int) -> Store | None:
    """`x[indices]` along an axis, in our own memory; None if an index is out of range."""
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    store, out = runtime.fresh(array_type(shape, dtypes.canonical(x.dtype)))
    if axis == 0 and worthwhile(indices.size):
        from legate_jit.backends.calls import indexed

        done = indexed.gather(x, indices, out)
        if done is not None:
            return store if done else None
    if not within(indices, x.shape[axis]):
        return None
    np.take(x, indices, axis=axis, out=out, mode="wrap")
    return store


def place(y: np.ndarray, indices: np.ndarray, values: np.ndarray) -> bool:
    """`y[indices] = values` for a vector, indices in range, and values of its dtype, one or as many; False: ask NumPy."""
    if not worthwhile(indices.size):
        return False
    from legate_jit.backends.calls import indexed

    return indexed.scatter(y, indices, values)
