"""The Cholesky factor over ranks: blocks of columns in turn, of which only the lower triangle is read.

Knows messages and arrays only.
"""

from __future__ import annotations

import numpy as np

from legate_jit.collectives.columns import Columns, give
from legate_jit.comm.base import Comm

__all__ = ["factor"]


def factor(comm: Comm, a: np.ndarray, how: Columns) -> bool:
    """Turn this rank's columns of a Hermitian matrix into those of its lower Cholesky factor; whether there is one. The answer is
    the same on all ranks; if it is False, the columns mean nothing."""
    n = how.total
    own = how.of(comm.rank)
    panels = list(how.panels())
    for panel in panels:
        k, w = panel.first, panel.width
        block = np.empty((n - k, w), a.dtype)
        if comm.rank == panel.owner:
            mine = a[k:, panel.place : panel.place + w]
            block[...] = mine
            _factor(block)
            mine[...] = block
        give(comm, panel.owner, (block,))
        if np.isnan(block[0, 0]):
            return False
        for other in panels:
            if other.owner == comm.rank and other.first > k:
                at = other.first - k
                mine = a[other.first :, other.place : other.place + other.width]
                mine -= block[at:] @ block[at : at + other.width].conj().T
    a[np.arange(n)[:, None] < own[None, :]] = 0
    return True


def _factor(block: np.ndarray) -> None:
    """Factor the square at the top and solve for what is below; a NaN at the top says that there is no factor."""
    w = block.shape[1]
    try:
        top = np.linalg.cholesky(block[:w])
    except np.linalg.LinAlgError:
        block[0, 0] = np.nan
        return
    block[:w] = top
    if len(block) > w:
        block[w:] = np.linalg.solve(top.conj(), block[w:].T).T
