"""Orthogonal factorizations over ranks: of tall matrices by a tree, of others by blocks of Householder reflections.

The tree (TSQR) factors what each rank has, then stacks of two triangles at a time: n * n elements travel, whatever the number of
rows. Blocks of columns in turn are for matrices that are not that tall: R is then LAPACK's, up to rounding. Knows messages and
arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.collectives.columns import Columns, Panel, give
from legate_jit.collectives.messages import pass_on
from legate_jit.comm.base import Comm

__all__ = ["Reflections", "householder", "orthogonal", "tall"]


# ---- tall matrices -----------------------------------------------------------------------------------------------


def tall(
    comm: Comm, rows: np.ndarray, counts: Sequence[int], with_q: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """Q and R of a matrix of n columns of which this rank has `rows`, and rank k has counts[k] of them, in order: this rank's
    rows of Q (None unless asked for), and all of R (k x n, k = min(all rows, n)), the same bits on every rank."""
    n = rows.shape[1]
    q, r = np.linalg.qr(rows)
    heights = [min(count, n) for count in counts]  # of the triangles that ranks have at this level
    tag, step = comm.new_tag(), 1
    stacked: list[tuple[int, int, np.ndarray]] = []  # peer, own height, Q of the stack
    parent = -1
    while step < comm.size:
        if parent < 0 and comm.rank % (2 * step):
            parent = comm.rank - step
            pass_on(comm, np.ascontiguousarray(r), comm.rank, parent, tag)
        elif parent < 0 and comm.rank + step < comm.size:
            below = np.empty((heights[comm.rank + step], n), r.dtype)
            pass_on(comm, below, comm.rank + step, comm.rank, tag)
            both, r = np.linalg.qr(np.concatenate([r, below]))
            stacked.append((comm.rank + step, heights[comm.rank], both))
        for k in range(0, comm.size - step, 2 * step):
            heights[k] = min(heights[k] + heights[k + step], n)
        step *= 2
    r = r if comm.rank == 0 else np.empty((heights[0], n), r.dtype)
    give(comm, 0, (r,))
    if not with_q:
        return None, r
    if parent < 0:
        factor = np.eye(heights[0], dtype=r.dtype)
    else:
        factor = np.empty((q.shape[1] if not stacked else stacked[-1][2].shape[1], heights[0]), r.dtype)
        pass_on(comm, factor, parent, comm.rank, tag)
    for peer, height, both in reversed(stacked):
        wider = both @ factor
        pass_on(comm, np.ascontiguousarray(wider[height:]), comm.rank, peer, tag)
        factor = wider[:height]
    return q @ factor, r


# ---- any matrices ------------------------------------------------------------------------------------------------


class Reflections(NamedTuple):
    """What a rank keeps of the factorization of a matrix of `rows` rows: its columns with R above and reflections below the
    diagonal, and the triangles that combine the reflections of its blocks, by the blocks' first columns."""

    rows: int
    how: Columns
    mine: np.ndarray
    triangles: dict[int, np.ndarray]

    def panels(self) -> list[Panel]:
        """The blocks that have reflections."""
        return [p for p in self.how.panels() if p.first < self.rows]

    def upper(self, rank: int) -> np.ndarray:
        """This rank's columns of R, with as many rows as the smaller side."""
        own = self.how.of(rank)
        kept = self.mine[: min(self.rows, self.how.total)]
        return np.where(np.arange(len(kept))[:, None] <= own[None, :], kept, 0)


def householder(comm: Comm, a: np.ndarray, how: Columns) -> Reflections:
    """Factor a matrix of which this rank has the columns `a`, in place."""
    m = len(a)
    kept = Reflections(m, how, a, {})
    for panel in kept.panels():
        k, w = panel.first, panel.width
        reflections, triangle = _empty(a, panel)
        if comm.rank == panel.owner:
            mine = a[k:, panel.place : panel.place + w]
            h, tau = np.linalg.qr(mine, mode="raw")
            mine[...] = h.T
            reflections[...] = _unit(mine)
            triangle[...] = kept.triangles[k] = _combined(reflections, tau)
        give(comm, panel.owner, (reflections, triangle))
        rest = a[k:, how.after(comm.rank, k + w) :]
        if rest.size:
            rest -= reflections @ (triangle.conj().T @ (reflections.conj().T @ rest))
    return kept


def orthogonal(comm: Comm, kept: Reflections, columns: range) -> np.ndarray:
    """Some columns (of all those that Q could have) of the orthogonal factor: every rank asks for its own."""
    mine = kept.mine
    q = np.zeros((kept.rows, len(columns)), mine.dtype)
    q[np.asarray(columns, np.int64), np.arange(len(columns))] = 1
    for panel in reversed(kept.panels()):
        k = panel.first
        reflections, triangle = _empty(mine, panel)
        if comm.rank == panel.owner:
            reflections[...] = _unit(mine[k:, panel.place : panel.place + panel.width])
            triangle[...] = kept.triangles[k]
        give(comm, panel.owner, (reflections, triangle))
        if q.size:
            q[k:] -= reflections @ (triangle @ (reflections.conj().T @ q[k:]))
    return q


def _empty(a: np.ndarray, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Memory for the reflections of a block and the triangle that combines them."""
    rows = len(a) - panel.first
    count = min(rows, panel.width)
    return np.empty((rows, count), a.dtype), np.empty((count, count), a.dtype)


def _unit(block: np.ndarray) -> np.ndarray:
    """The reflections below the diagonal of a block, as columns with a one at their heads."""
    count = min(block.shape)
    unit = np.tril(block[:, :count], -1)
    np.fill_diagonal(unit, 1)
    return unit


def _combined(reflections: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """The triangle T for which the product of all I - tau v v^H is I - V T V^H."""
    products = reflections.conj().T @ reflections
    triangle = np.diag(tau).astype(reflections.dtype)
    for k in range(1, len(tau)):
        triangle[:k, k] = -tau[k] * (triangle[:k, :k] @ products[:k, k])
    return triangle
