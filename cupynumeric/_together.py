"""Functions of arrays that lie in parts on several ranks and whose results depend on values: the ranks compute them together.

Every function gives None where the array is whole (always with one rank): then the usual way is taken. Knows NumPy's semantics of
these functions, and `legate_jit.immediate.together`.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from cupynumeric._array import Ours, ndarray, value, wrap
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.ir.ranks.layout import Layout


def _uniques() -> ModuleType:
    """What only several ranks need is loaded when they do."""
    from legate_jit.collectives import uniques

    return uniques


def _counting() -> ModuleType:
    from legate_jit.collectives import counting

    return counting


__all__ = ["bincount", "flat", "histogram", "histogramdd", "isin", "lexsort", "sets", "unique"]


def flat(x: Any) -> Store | None:
    """The elements of an array that lies in parts as a 1-d store; None if it is whole on every rank."""
    if runtime.world is None or not isinstance(x, Ours) or not together.worthwhile(x.size):
        return None
    store = _line(x)
    return store if together.lies_in_parts(store) else None


def _line(x: ndarray) -> Store:
    """The elements of an array as a 1-d store."""
    return _whole(x if x.ndim == 1 else x.reshape(-1))


def _whole(x: ndarray) -> Store:
    """A store of just what an array shows."""
    return x._store if x._lens is None else runtime.new_store(value(x), x._type)


def unique(x: Any, index: bool = False, inverse: bool = False, counts: bool = False) -> list[ndarray] | None:
    """The distinct elements and, as asked for, the first index, the inverse (flat) and the counts."""
    store = flat(x)
    if store is None:
        return None
    found = together.compute(_uniques().unique, [store], index=index, inverse=inverse, counts=counts)
    return [wrap(s) for s in found]


def sets(name: str, a: Any, b: Any) -> ndarray | None:
    """A set operation (`union1d`, `intersect1d`, `setdiff1d`, `setxor1d`) on arrays of one dtype, one of which lies in parts."""
    pair = _pair(a, b)
    return None if pair is None else wrap(together.compute(_uniques().sets, pair, _tiles(pair), name=name)[0])


def isin(x: Any, among: Any, invert: bool) -> ndarray | None:
    """Whether elements are among those of an array that lies in parts, of the same dtype."""
    if flat(among) is None:
        return None
    pair = _pair(x, among)
    if pair is None:
        return None
    found: ndarray = wrap(together.compute(_uniques().isin, pair, _tiles(pair), invert=invert)[0]).reshape(
        x.shape
    )
    return found


def _weighted(x: ndarray, weights: Any) -> list[Store] | None:
    """The elements of an array, and those of their weights if there are any; None for weights that cannot be added up here."""
    if weights is None:
        return [_line(x)]
    if weights.shape != x.shape or weights.dtype.kind not in "biuf":
        return None
    return [_line(x), _line(weights)]


def bincount(x: Any, weights: Any, minlength: int) -> ndarray | None:
    """How often each number occurs in an array that lies in parts, or the sums of weights."""
    if not np.can_cast(x.dtype, np.int64) or flat(x) is None:
        return None
    stores = _weighted(x, weights)
    if stores is None:
        return None
    (found,) = together.compute(_counting().bincount, stores, _tiles(stores), minlength=minlength)
    return None if found is None else wrap(found)


def histogram(x: Any, bins: Any, limits: Any, weights: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Counts and edges for an array that lies in parts."""
    if isinstance(bins, str) or np.ndim(bins) > 1 or x.dtype.kind not in "iuf" or flat(x) is None:
        return None
    stores = _weighted(x, weights)
    if stores is None:
        return None
    counts, edges = together.compute(_counting().histogram, stores, _tiles(stores), bins=bins, limits=limits)
    return counts, edges


def histogramdd(points: Any, bins: Any, limits: Any, weights: Any, density: bool) -> Any:
    """Counts in boxes, and the edges along each axis, for points in rows that lie in parts."""
    if runtime.world is None or not isinstance(points, Ours) or points.ndim != 2 or not points.size:
        return None
    if points.dtype.kind not in "iuf" or not together.worthwhile(points.size):
        return None
    stores = [_whole(points)]
    if together.lies_in_parts(stores[0]) is None:
        return None
    if weights is not None:
        if (
            not isinstance(weights, Ours)
            or weights.shape != points.shape[:1]
            or weights.dtype.kind not in "biuf"
        ):
            return None
        stores.append(_line(weights))
    counts, edges = together.compute(
        _counting().histogramdd, stores, _tiles(stores), bins=bins, limits=limits
    )
    if density:
        total = counts.sum()
        for d, along in enumerate(edges):
            counts = counts / np.diff(along).reshape([-1 if k == d else 1 for k in range(len(edges))])
        counts /= total
    return counts, edges


def lexsort(keys: Any) -> ndarray | None:
    """The positions that sort by several 1-d keys, one of which lies in parts, the last one first."""
    if not all(isinstance(k, Ours) and k.ndim == 1 and k.shape == keys[0].shape for k in keys):
        return None
    if all(flat(k) is None for k in keys):
        return None
    from cupynumeric._sorting import argsort

    order: ndarray = argsort(keys[0], stable=True)
    for key in keys[1:]:
        order = order[argsort(key[order], stable=True)]
    return order


def _tiles(stores: list[Store]) -> list[Layout]:
    return [together.tiles(s) for s in stores]


def _pair(a: Any, b: Any) -> list[Store] | None:
    """Two arrays of one dtype as 1-d stores, if one of them lies in parts."""
    if not (isinstance(a, Ours) and isinstance(b, Ours)) or a.dtype != b.dtype:
        return None
    found = [flat(a), flat(b)]
    if found == [None, None]:
        return None
    return [store or _line(x) for store, x in zip(found, (a, b), strict=True)]
