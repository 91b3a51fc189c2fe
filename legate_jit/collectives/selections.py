"""Selections by masks: how much every rank has of the result depends on the data, so it is counted and then dealt out evenly.

A rank's elements come before those of higher ranks: parts are ranges of rows. Results are the parts of an even tiling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legate_jit.collectives import messages
from legate_jit.collectives.gathers import even, gather
from legate_jit.comm import Comm

__all__ = ["evenly", "everywhere", "place", "positions"]


def evenly(comm: Comm, rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The rows that this rank has in an even tiling of all ranks' rows, of which rank k has counts[k]."""
    ends = np.concatenate(([0], np.cumsum(counts)))
    goal = np.asarray(even(int(ends[-1]), comm.size))
    low, high = ends[comm.rank], ends[comm.rank + 1]
    cuts = np.clip(goal, low, high) - low
    leaving = [rows[cuts[k] : cuts[k + 1]] for k in range(comm.size)]
    mine = np.clip(ends, goal[comm.rank], goal[comm.rank + 1])
    return messages.joined(messages.all_to_all(comm, leaving, np.diff(mine).tolist()))


def everywhere(comm: Comm, rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """All ranks' rows."""
    return messages.joined(messages.all_gather(comm, rows, counts))


def positions(mask: np.ndarray, start: tuple[int, ...]) -> np.ndarray:
    """Where a part of a mask holds, as rows of coordinates in the whole; `start`: where the part begins."""
    found = np.argwhere(mask)
    found += np.asarray(start, found.dtype)
    return found


def place(
    comm: Comm,
    part: np.ndarray,
    mask: np.ndarray,
    values: np.ndarray,
    edges: Sequence[int] | None,
    total: int,
) -> None:
    """Let the next of `total` values replace each element of the part where the mask holds; after the last comes the first.

    values: all of them, or (edges) those that this rank holds.
    """
    count = int(np.count_nonzero(mask))
    before = sum(messages.totals(comm, count)[: comm.rank])
    wanted = (before + np.arange(count, dtype=np.int64)) % max(total, 1)
    part[mask] = values[wanted] if edges is None else gather(comm, values, edges, wanted)
