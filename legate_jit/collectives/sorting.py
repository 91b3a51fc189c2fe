"""Sorting over ranks: every rank sorts its part, the parts are cut exactly where the result is, each piece moves once,
straight to where it ends up, and is merged there.

The result lies in even tiles however the values are spread. Order is NumPy's (NaN last, complex by real part first); equal
elements keep the order of the whole array where the kind is stable, and always in argsort. Arrays are cut along the sorted axis,
the ranks' parts in its order. Knows NumPy and messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legate_jit.collectives import local, pivots
from legate_jit.collectives.messages import all_to_all
from legate_jit.collectives.splitting import splits
from legate_jit.collectives.tiles import cut, edges, starts_of
from legate_jit.comm.base import Comm

__all__ = ["argsort", "sort", "standing"]


def sort(comm: Comm, part: np.ndarray) -> np.ndarray:
    """This rank's even tile of the sorted array whose parts (1-d) follow each other on the ranks."""
    run = local.sorted_copy(part)
    return local.merged(_moved(comm, run, [run])[0])


def standing(comm: Comm, part: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The elements at `places` (int64, within the array) of the sorted array, on every rank; nothing else moves."""
    if len(places) <= pivots.MOST and part.dtype.kind != "c":
        found: list[pivots.Standing] = []
        for place in places.tolist():
            last = found[-1] if found else None
            again = last is not None and last.before <= place < last.before + last.equal
            found.append(last if again and last is not None else pivots.select(comm, part, place))
        return np.array([each.value for each in found], part.dtype)
    return splits(comm, local.sorted_copy(part), places).values


def argsort(comm: Comm, part: np.ndarray) -> np.ndarray:
    """This rank's even tile of the positions (int64) that sort the array stably."""
    order = local.order_of(part)
    run = part[order]
    order += starts_of(comm, len(part))[comm.rank]
    values, places = _moved(comm, run, [run, order])
    return local.merged_with(values, places)[1]


def _moved(comm: Comm, run: np.ndarray, arrays: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Of arrays that lie along the rank's sorted run, what every rank has of this one's tile of the sorted whole."""
    total = int(starts_of(comm, len(run))[-1])
    inner = edges(total, comm.size)[1:-1]
    places = splits(comm, run, inner).before
    return [all_to_all(comm, cut(array, places)) for array in arrays]
