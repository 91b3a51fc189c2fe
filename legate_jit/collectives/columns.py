"""Matrices dealt out by blocks of columns in turn, as factorizations want them: every rank keeps working to the end.

Block k (`width` columns, the last one fewer) is on rank k modulo their number; a rank has its columns side by side, all rows of
them. Here such parts are made from boxes and back, and blocks are given to all. Knows messages and arrays only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.collectives.messages import all_to_all, broadcast
from legate_jit.comm.base import Comm
from legate_jit.comm.exchange import Box, extents

__all__ = ["Columns", "Panel", "as_boxes", "from_boxes", "give", "transposed", "usual_width"]

#: columns of a block of a large matrix
_WIDTH = 128


class Panel(NamedTuple):
    """A block of columns: the first one and how many, the rank that has it, and where they begin there."""

    first: int
    width: int
    owner: int
    place: int


class Columns(NamedTuple):
    """How a matrix of `total` columns lies."""

    total: int
    width: int
    ranks: int

    def panels(self) -> Iterator[Panel]:
        """All blocks, from the left."""
        for k, first in enumerate(range(0, self.total, self.width)):
            yield Panel(
                first, min(self.width, self.total - first), k % self.ranks, k // self.ranks * self.width
            )

    def of(self, rank: int) -> np.ndarray:
        """The columns a rank has."""
        every = np.arange(self.total)
        mine: np.ndarray = every[every // self.width % self.ranks == rank]
        return mine

    def after(self, rank: int, column: int) -> int:
        """How many of a rank's columns come before `column`: where those from there on begin."""
        return int(np.searchsorted(self.of(rank), column))


def usual_width(count: int, ranks: int) -> int:
    """The width of blocks for so many columns: at least a few blocks for every rank."""
    return max(1, min(_WIDTH, -(-count // (4 * ranks))))


def transposed(part: np.ndarray, boxes: Sequence[Box]) -> tuple[np.ndarray, tuple[Box, ...]]:
    """The conjugate transpose, on the same ranks."""
    return part.conj().T, tuple((columns, rows) for rows, columns in boxes)


def _meeting(columns: np.ndarray, box: Box) -> tuple[int, int]:
    """Which of a rank's columns (positions among them) lie in a box."""
    lo, hi = box[1]
    return int(np.searchsorted(columns, lo)), int(np.searchsorted(columns, hi))


def from_boxes(
    comm: Comm, part: np.ndarray, boxes: Sequence[Box], shape: tuple[int, int], how: Columns
) -> np.ndarray:
    """This rank's columns (all rows of them, C order) of a matrix of which it has the box `boxes[rank]`."""
    own = [how.of(k) for k in range(comm.size)]
    here = boxes[comm.rank]
    leaving = []
    for columns in own:
        lo, hi = _meeting(columns, here)
        leaving.append(part[:, columns[lo:hi] - here[1][0]].reshape(-1))
    mine = own[comm.rank]
    spans = [_meeting(mine, box) for box in boxes]
    counts = [extents(box)[0] * (hi - lo) for box, (lo, hi) in zip(boxes, spans, strict=True)]
    out = np.empty((shape[0], len(mine)), part.dtype)
    for box, (lo, hi), piece in zip(boxes, spans, all_to_all(comm, leaving, counts), strict=True):
        if piece.size:
            out[slice(*box[0]), lo:hi] = piece.reshape(-1, hi - lo)
    return out


def as_boxes(comm: Comm, mine: np.ndarray, boxes: Sequence[Box], how: Columns) -> np.ndarray:
    """This rank's box (C order) of a matrix of which it has the columns `mine`."""
    own = [how.of(k) for k in range(comm.size)]
    leaving = []
    for box in boxes:
        lo, hi = _meeting(own[comm.rank], box)
        leaving.append(mine[slice(*box[0]), lo:hi].reshape(-1))
    here = boxes[comm.rank]
    out = np.empty(extents(here), mine.dtype)
    spans = [_meeting(columns, here) for columns in own]
    counts = [len(out) * (hi - lo) for lo, hi in spans]
    for columns, (lo, hi), piece in zip(own, spans, all_to_all(comm, leaving, counts), strict=True):
        if piece.size:
            out[:, columns[lo:hi] - here[1][0]] = piece.reshape(-1, hi - lo)
    return out


def give(comm: Comm, owner: int, arrays: Sequence[np.ndarray]) -> None:
    """All ranks get the arrays of rank `owner`, in their own arrays of the same shapes and dtypes, in one message."""
    sizes = [-(-a.nbytes // 16) * 16 for a in arrays]
    memory = np.empty(sum(sizes), np.uint8)
    at = 0
    views = []
    for a, size in zip(arrays, sizes, strict=True):
        views.append(memory[at : at + a.nbytes].view(a.dtype).reshape(a.shape))
        at += size
    if comm.rank == owner:
        for view, a in zip(views, arrays, strict=True):
            view[...] = a
    broadcast(comm, memory, owner)
    if comm.rank != owner:
        for view, a in zip(views, arrays, strict=True):
            a[...] = view
