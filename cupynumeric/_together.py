"""Functions of arrays that lie in parts on several ranks and whose results depend on values: the ranks compute them together.

Every function gives None where the array is whole (always with one rank): then the usual way is taken. Knows NumPy's semantics of
these functions, and `legate_jit.together`.
"""

from __future__ import annotations

from typing import Any

from cupynumeric._array import ndarray, value, wrap
from legate_jit import runtime, together
from legate_jit.collectives import uniques
from legate_jit.ir.layout import Layout
from legate_jit.store import Store

__all__ = ["flat", "isin", "sets", "unique"]


def flat(x: Any) -> Store | None:
    """The elements of an array that lies in parts as a 1-d store; None if it is whole on every rank."""
    if runtime.world is None or not isinstance(x, ndarray) or not together.worthwhile(x.size):
        return None
    store = _line(x)
    return store if together.lies_in_parts(store) else None


def _line(x: ndarray) -> Store:
    """The elements of an array as a 1-d store."""
    line = x if x.ndim == 1 else x.reshape(-1)
    return line._store if line._lens is None else runtime.new_store(value(line), line._type)


def unique(x: Any, index: bool = False, inverse: bool = False, counts: bool = False) -> list[ndarray] | None:
    """The distinct elements and, as asked for, the first index, the inverse (flat) and the counts."""
    store = flat(x)
    if store is None:
        return None
    found = together.compute(uniques.unique, [store], index=index, inverse=inverse, counts=counts)
    return [wrap(s) for s in found]


def sets(name: str, a: Any, b: Any) -> ndarray | None:
    """A set operation (`union1d`, `intersect1d`, `setdiff1d`, `setxor1d`) on arrays of one dtype, one of which lies in parts."""
    pair = _pair(a, b)
    return None if pair is None else wrap(together.compute(uniques.sets, pair, _tiles(pair), name=name)[0])


def isin(x: Any, among: Any, invert: bool) -> ndarray | None:
    """Whether elements are among those of an array that lies in parts, of the same dtype."""
    if flat(among) is None:
        return None
    pair = _pair(x, among)
    if pair is None:
        return None
    found: ndarray = wrap(together.compute(uniques.isin, pair, _tiles(pair), invert=invert)[0]).reshape(
        x.shape
    )
    return found


def _tiles(stores: list[Store]) -> list[Layout]:
    return [together.tiles(s) for s in stores]


def _pair(a: Any, b: Any) -> list[Store] | None:
    """Two arrays of one dtype as 1-d stores, if one of them lies in parts."""
    if not (isinstance(a, ndarray) and isinstance(b, ndarray)) or a.dtype != b.dtype:
        return None
    found = [flat(a), flat(b)]
    if found == [None, None]:
        return None
    return [store or _line(x) for store, x in zip(found, (a, b), strict=True)]
