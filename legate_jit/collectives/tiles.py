"""Even tiles: how results of a size that nobody knew before lie on the ranks.

Cut along the first axis, in equal lengths but the last. Knows arrays, ranks and layouts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.collectives.messages import all_to_all, counts_of, joined, totals
from legate_jit.comm.base import Comm
from legate_jit.ir.ranks.layout import Layout

__all__ = ["Laid", "Tile", "cut", "edges", "in_rounds", "rebalanced", "starts_of"]


class Tile(NamedTuple):
    """This rank's part of an array of `shape` that lies in even tiles (see `edges`)."""

    shape: tuple[int, ...]
    part: np.ndarray


class Laid(NamedTuple):
    """This rank's part of an array that lies as the layout says."""

    layout: Layout
    part: np.ndarray


def edges(total: int, ranks: int) -> np.ndarray:
    """Where the even tiles of `total` elements begin, and the end of the last: int64, ranks + 1 of them."""
    tile = max(1, -(-total // ranks))
    return np.minimum(np.arange(ranks + 1) * tile, total)


def starts_of(comm: Comm, count: int) -> np.ndarray:
    """Where every rank's elements begin if those of all ranks follow each other, and how many there are (ranks + 1)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(totals(comm, count))])


def cut(array: np.ndarray, places: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """The array cut along its first axis at ascending places."""
    ends = [0, *(int(p) for p in places), len(array)]
    return [array[a:b] for a, b in itertools.pairwise(ends)]


def in_rounds(comm: Comm, arrays: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """What goes to every rank (as for `all_to_all`), in so many rounds (the same number on every rank) that nobody gets much more
    than two even shares at once, however unevenly the arrays are addressed."""
    coming = sum(counts_of(comm, [len(a) for a in arrays]))
    heaviest = int(comm.combine(np.array(coming, np.int64), "max"))
    share = int(comm.combine(np.array(coming, np.int64), "sum")) // comm.size + 1
    rounds = max(1, -(-heaviest // (2 * share)))
    return [[a[len(a) * k // rounds : len(a) * (k + 1) // rounds] for a in arrays] for k in range(rounds)]


def rebalanced(comm: Comm, part: np.ndarray) -> Tile:
    """The parts of all ranks, one after the other, in even tiles."""
    starts = starts_of(comm, len(part))
    total, me = int(starts[-1]), comm.rank
    to = edges(total, comm.size)
    leaving = np.clip(to[1:-1], starts[me], starts[me + 1]) - starts[me]
    arriving = np.diff(np.clip(starts, to[me], to[me + 1]))
    return Tile((total, *part.shape[1:]), joined(all_to_all(comm, cut(part, leaving), arriving.tolist())))
