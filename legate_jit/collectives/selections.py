"""Selections by masks: how much every rank has of the result depends on the data, so it is counted and dealt out evenly.

A rank's elements come before those of higher ranks: parts are ranges of rows. The programs of `legate_jit.immediate.parted`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from legate_jit.collectives import messages
from legate_jit.collectives.gathers import gather
from legate_jit.collectives.tiles import Tile, rebalanced
from legate_jit.comm.base import Comm

__all__ = ["NEGATIVE", "argwhere", "nonzero", "place", "repeat", "select"]

#: what `repeat` gives when a count is negative
NEGATIVE = "a count is negative"


def select(comm: Comm, part: np.ndarray, mask: np.ndarray) -> list[Tile]:
    """The rows of a part where the mask of its first axes holds."""
    rows = part.reshape((math.prod(mask.shape), *part.shape[mask.ndim :]))
    return [rebalanced(comm, rows[mask.reshape(-1)])]


def argwhere(comm: Comm, mask: np.ndarray, starts: Sequence[Sequence[int]]) -> list[Tile]:
    """Where a mask holds, as rows of coordinates; starts: where each rank's part begins."""
    return [rebalanced(comm, _positions(mask, starts[comm.rank]))]


def nonzero(comm: Comm, mask: np.ndarray, starts: Sequence[Sequence[int]]) -> list[Tile]:
    """The same, the coordinates of each axis apart."""
    found = rebalanced(comm, _positions(mask, starts[comm.rank]))
    return [Tile(found.shape[:1], np.ascontiguousarray(column)) for column in found.part.T]


def _positions(mask: np.ndarray, start: Sequence[int]) -> np.ndarray:
    found = np.argwhere(mask)
    found += np.asarray(start, found.dtype)
    return found


def repeat(comm: Comm, part: np.ndarray, counts: np.ndarray) -> list[Tile | str]:
    """Each row as often as its count says; `NEGATIVE` if some rank has a count below zero."""
    if any(messages.totals(comm, bool(len(counts)) and bool(counts.min() < 0))):
        return [NEGATIVE]
    return [rebalanced(comm, np.repeat(part, counts, axis=0))]


def place(
    comm: Comm,
    part: np.ndarray,
    mask: np.ndarray,
    values: np.ndarray,
    edges: Sequence[int] | None,
    total: int,
) -> bool:
    """Let the next of `total` values replace each element of the part where the mask holds; after the last comes the first.

    values: all of them, or (edges) those that this rank holds. False, and nothing done, if there are none though some are needed.
    """
    count = int(np.count_nonzero(mask))
    counts = messages.totals(comm, count)
    if not total:
        return not any(counts)
    wanted = (sum(counts[: comm.rank]) + np.arange(count, dtype=np.int64)) % total
    part[mask] = values[wanted] if edges is None else gather(comm, values, edges, wanted)
    return True
