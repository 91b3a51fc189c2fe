"""Square systems over ranks: LU factorization with partial pivoting, and what follows from it; and triangular systems.

Blocks of columns in turn, right-looking: the owner of a block factors it and gives it to all, everyone updates the columns it
has. Right-hand sides lie by whole columns and are eliminated along, so that L is never stored. Knows messages and arrays only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from legate_jit.collectives.columns import Columns, Panel, give
from legate_jit.collectives.messages import pass_on
from legate_jit.comm.base import Comm

__all__ = ["Eliminated", "back", "eliminate", "substitute", "travel"]

#: columns that are factored one by one
_FEW = 8


class Eliminated(NamedTuple):
    """What all ranks know of a factorization: the diagonal of U, and whether rows were swapped an odd number of times."""

    diagonal: np.ndarray
    odd: bool

    @property
    def singular(self) -> bool:
        """Whether a pivot is exactly zero."""
        return bool((self.diagonal == 0).any())


def eliminate(comm: Comm, a: np.ndarray, rhs: np.ndarray, how: Columns) -> Eliminated:
    """Turn this rank's columns of a square matrix into those of U, where P @ matrix = L @ U, and its right-hand sides into
    L**-1 @ P @ rhs. What is below the diagonal of `a` afterwards means nothing."""
    n = how.total
    diagonal, swaps = np.empty(n, a.dtype), 0
    for panel in how.panels():
        k, w = panel.first, panel.width
        block = np.empty((w, n - k), a.dtype)  # transposed: a column lies together
        pivots = np.empty(w, np.int64)
        if comm.rank == panel.owner:
            block[...] = a[k:, panel.place : panel.place + w].T
            _factor(block.T, pivots, 0, w)
            a[k:, panel.place : panel.place + w] = block.T
        give(comm, panel.owner, (block, pivots))
        lower = block.T
        diagonal[k : k + w] = lower[:w].diagonal()
        swaps += int((pivots != np.arange(w)).sum())
        order = _order(pivots, n - k)
        for rest in (a[k:, how.after(comm.rank, k + w) :], rhs[k:]):
            if not rest.size:
                continue
            moved = np.flatnonzero(order != np.arange(n - k))
            rest[moved] = rest[order[moved]]
            rest[:w] = _unit_lower(lower[:w], rest[:w])
            rest[w:] -= lower[w:] @ rest[:w]
    return Eliminated(diagonal, swaps % 2 == 1)


def _order(pivots: np.ndarray, rows: int) -> np.ndarray:
    """Which row comes where after all swaps."""
    order = np.arange(rows)
    for k, p in enumerate(pivots):
        order[[k, p]] = order[[p, k]]
    return order


def _unit_lower(lower: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """The solution for the lower triangle of a small matrix, with ones on its diagonal."""
    triangle = np.tril(lower, -1)
    np.fill_diagonal(triangle, 1)
    return np.linalg.solve(triangle, rhs)


def _factor(a: np.ndarray, pivots: np.ndarray, lo: int, hi: int) -> None:
    """Factor columns lo to hi of a tall block, of whose columns those before are done: by halves, the last few one by one."""
    if hi - lo > _FEW:
        mid = (lo + hi) // 2
        _factor(a, pivots, lo, mid)
        a[lo:mid, mid:hi] = _unit_lower(a[lo:mid, lo:mid], a[lo:mid, mid:hi])
        a[mid:, mid:hi] -= a[mid:, lo:mid] @ a[lo:mid, mid:hi]
        _factor(a, pivots, mid, hi)
        return
    for k in range(lo, hi):
        p = pivots[k] = k + int(np.argmax(np.abs(a[k:, k])))
        if p != k:
            a[[k, p]] = a[[p, k]]
        if a[k, k] != 0:
            a[k + 1 :, k] /= a[k, k]
            a[k + 1 :, k + 1 : hi] -= np.outer(a[k + 1 :, k], a[k, k + 1 : hi])


def back(comm: Comm, a: np.ndarray, rhs: np.ndarray, how: Columns) -> None:
    """Turn this rank's right-hand sides into solutions for the upper triangle of a matrix without zeros on its diagonal."""
    for panel in reversed(list(how.panels())):
        k, w = panel.first, panel.width
        block = _given(comm, a, panel, 0, k + w)
        rhs[k : k + w] = np.linalg.solve(np.triu(block[k:]), rhs[k : k + w])
        rhs[:k] -= block[:k] @ rhs[k : k + w]


def travel(comm: Comm, a: np.ndarray, rhs: np.ndarray, how: Columns) -> None:
    """As `back`, of a few right-hand sides that all ranks have: they go from block to block, instead of the blocks to them."""
    tag, before = comm.new_tag(), -1
    for panel in reversed(list(how.panels())):
        k, w = panel.first, panel.width
        if before >= 0:
            pass_on(comm, rhs, before, panel.owner, tag)
        if comm.rank == panel.owner:
            block = a[: k + w, panel.place : panel.place + w]
            rhs[k : k + w] = np.linalg.solve(np.triu(block[k:]), rhs[k : k + w])
            rhs[:k] -= block[:k] @ rhs[k : k + w]
        before = panel.owner
    give(comm, before, (rhs,))


def substitute(comm: Comm, a: np.ndarray, rhs: np.ndarray, how: Columns, lower: bool, unit: bool) -> bool:
    """Turn this rank's right-hand sides into solutions for one triangle of a square matrix, with ones on its diagonal if `unit`;
    whether there are any (False: there is a zero on the diagonal)."""
    n = how.total
    panels = list(how.panels())
    for panel in panels if lower else reversed(panels):
        k, w = panel.first, panel.width
        start, stop = (k, n) if lower else (0, k + w)
        block = _given(comm, a, panel, start, stop)
        at = slice(0, w) if lower else slice(k, k + w)
        square = np.tril(block[at]) if lower else np.triu(block[at])
        if unit:
            np.fill_diagonal(square, 1)
        if not square.diagonal().all():
            return False
        rhs[k : k + w] = np.linalg.solve(square, rhs[k : k + w])
        if lower:
            rhs[k + w :] -= block[w:] @ rhs[k : k + w]
        else:
            rhs[:k] -= block[:k] @ rhs[k : k + w]
    return True


def _given(comm: Comm, a: np.ndarray, panel: Panel, start: int, stop: int) -> np.ndarray:
    """Rows of a block of columns, which its owner gives to all."""
    block = np.empty((stop - start, panel.width), a.dtype)
    if comm.rank == panel.owner:
        block[...] = a[start:stop, panel.place : panel.place + panel.width]
    give(comm, panel.owner, (block,))
    return block
