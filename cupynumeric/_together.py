"""Functions of arrays that lie in parts on several ranks and whose results depend on values: the ranks compute them together.

Every function gives None where the array is whole (always with one rank): then the usual way is taken. Knows NumPy's semantics of
these functions, and `legate_jit.together`.
"""

from __future__ import annotations

from typing import Any

from cupynumeric._array import ndarray, value, wrap
from legate_jit import runtime, together
from legate_jit.collectives import uniques
from legate_jit.store import Store

__all__ = ["flat", "unique"]


def flat(x: Any) -> Store | None:
    """The elements of an array that lies in parts as a 1-d store; None if it is whole on every rank."""
    if runtime.world is None or not isinstance(x, ndarray) or not together.worthwhile(x.size):
        return None
    line = x if x.ndim == 1 else x.reshape(-1)
    store = line._store if line._lens is None else runtime.new_store(value(line), line._type)
    return store if together.lies_in_parts(store) else None


def unique(x: Any, index: bool = False, inverse: bool = False, counts: bool = False) -> list[ndarray] | None:
    """The distinct elements and, as asked for, the first index, the inverse (flat) and the counts."""
    store = flat(x)
    if store is None:
        return None
    found = together.compute(uniques.unique, [store], index=index, inverse=inverse, counts=counts)
    return [wrap(s) for s in found]
