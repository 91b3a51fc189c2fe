"""Programs of linear algebra: what `numpy.linalg` computes, of matrices in tiles of rows, without any rank having all of one.

Every program takes the rank's rows of its operands, as their first axis is evenly tiled, and the extents of the whole; results
are tiles of rows or small arrays that all ranks have. A program that can fail says so as its first result, on all ranks alike.
Operands are float or complex, and of one type. Knows no graphs and no stores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from legate_jit.collectives import cholesky as triangles
from legate_jit.collectives import lu, qr
from legate_jit.collectives.columns import Columns, as_boxes, from_boxes, give, transposed, usual_width
from legate_jit.collectives.tiles import Tile
from legate_jit.comm.base import Comm
from legate_jit.comm.exchange import Box
from legate_jit.ir.ranks import layout

__all__ = [
    "cholesky",
    "eliminated",
    "inverse",
    "least_squares",
    "orthogonal",
    "singular_values",
    "solve",
    "stacked",
    "triangular",
]

Shape = tuple[int, int]
#: right-hand sides that are so many times fewer than the columns of a block travel themselves
_FEWER = 8


def _rows(shape: tuple[int, ...], ranks: int) -> tuple[Box, ...]:
    how = layout.tiled(shape, 0, ranks)
    return tuple(how.box(k) for k in range(ranks))


def _columns(shape: tuple[int, ...], ranks: int) -> tuple[Box, ...]:
    """Whole columns, evenly: how right-hand sides and results of factorizations lie."""
    how = layout.tiled(shape, 1, ranks)
    return tuple(how.box(k) for k in range(ranks))


def _dealt(comm: Comm, rows: np.ndarray, total: Shape) -> tuple[np.ndarray, Columns]:
    """Rows of a matrix as columns, dealt out in turn."""
    how = Columns(total[1], usual_width(total[1], comm.size), comm.size)
    return from_boxes(comm, rows, _rows(total, comm.size), total, how), how


def _to_columns(comm: Comm, rows: np.ndarray, total: Shape) -> np.ndarray:
    return comm.fetch(np.ascontiguousarray(rows), _rows(total, comm.size), _columns(total, comm.size))


def _to_rows(comm: Comm, columns: np.ndarray, total: Shape) -> Tile:
    mine = comm.fetch(np.ascontiguousarray(columns), _columns(total, comm.size), _rows(total, comm.size))
    return Tile(total, mine)


# ---- square systems ----------------------------------------------------------------------------------------------


def solve(comm: Comm, a: np.ndarray, b: np.ndarray, *, n: int, count: int) -> list[Any]:
    """Whether a (n x n) is regular, and if it is the x of a @ x = b (n x count)."""
    mine, how = _dealt(comm, a, (n, n))
    rows = _rows((n, count), comm.size)
    few = count <= how.width // _FEWER
    if few:  # on all ranks: it is less than the blocks that would have to come by otherwise
        x = comm.fetch(np.ascontiguousarray(b), rows, [((0, n), (0, count))] * comm.size)
    else:
        x = _to_columns(comm, b, (n, count))
    if lu.eliminate(comm, mine, x, how).singular:
        return [False, None]
    if few:
        lu.travel(comm, mine, x, how)
        return [True, Tile((n, count), x[slice(*rows[comm.rank][0])].copy())]
    lu.back(comm, mine, x, how)
    return [True, _to_rows(comm, x, (n, count))]


def inverse(comm: Comm, a: np.ndarray, *, n: int) -> list[Any]:
    """Whether a matrix is regular, and its inverse."""
    lo, hi = _columns((n, n), comm.size)[comm.rank][1]
    x = np.zeros((n, hi - lo), a.dtype)
    x[np.arange(lo, hi), np.arange(hi - lo)] = 1
    mine, how = _dealt(comm, a, (n, n))
    if lu.eliminate(comm, mine, x, how).singular:
        return [False, None]
    lu.back(comm, mine, x, how)
    return [True, _to_rows(comm, x, (n, n))]


def eliminated(comm: Comm, a: np.ndarray, *, n: int) -> list[Any]:
    """The diagonal of U, and whether rows were swapped an odd number of times: what determinants are made of."""
    mine, how = _dealt(comm, a, (n, n))
    found = lu.eliminate(comm, mine, np.empty((n, 0), a.dtype), how)
    return [found.diagonal, found.odd]


def triangular(
    comm: Comm,
    a: np.ndarray,
    b: np.ndarray,
    *,
    n: int,
    count: int,
    lower: bool,
    unit: bool,
    adjoint: bool,
    conjugate: bool,
) -> list[Any]:
    """Whether a triangle of a has no zeros on its diagonal, and the x of op(triangle) @ x = b; op is the transpose if `adjoint`,
    and its conjugate if `conjugate`."""
    how = Columns(n, usual_width(n, comm.size), comm.size)
    boxes = _rows((n, n), comm.size)
    if adjoint:
        a, boxes = transposed(a if conjugate else a.conj(), boxes)
    mine = from_boxes(comm, a, boxes, (n, n), how)
    x = _to_columns(comm, b, (n, count))
    if not lu.substitute(comm, mine, x, how, lower != adjoint, unit):
        return [False, None]
    return [True, _to_rows(comm, x, (n, count))]


def cholesky(comm: Comm, a: np.ndarray, *, n: int, upper: bool) -> list[Any]:
    """Whether a matrix is positive definite, and its Cholesky factor."""
    how = Columns(n, usual_width(n, comm.size), comm.size)
    boxes = _rows((n, n), comm.size)
    if upper:
        a, boxes = transposed(a, boxes)
    mine = from_boxes(comm, a, boxes, (n, n), how)
    if not triangles.factor(comm, mine, how):
        return [False, None]
    found = as_boxes(comm, mine, boxes, how)
    return [True, Tile((n, n), np.ascontiguousarray(found.conj().T) if upper else found)]


# ---- orthogonal factorizations -----------------------------------------------------------------------------------


def is_tall(m: int, n: int, ranks: int) -> bool:
    """Whether a rank has at least as many rows as there are columns, so that triangles are no larger than what it has."""
    return m >= ranks * n


def orthogonal(comm: Comm, a: np.ndarray, *, m: int, n: int, mode: str) -> list[Any]:
    """Q and R of a matrix, as `numpy.linalg.qr` with mode 'reduced' or 'complete'; R alone with 'r'."""
    k = min(m, n)
    if is_tall(m, n, comm.size) and mode != "complete":
        counts = [hi - lo for (lo, hi), _ in _rows((m, n), comm.size)]
        q, r = qr.tall(comm, a, counts, mode == "reduced")
        (lo, hi), _ = _rows((k, n), comm.size)[comm.rank]
        upper = Tile((k, n), r[lo:hi].copy())
        return [upper] if q is None else [Tile((m, k), q), upper]
    mine, how = _dealt(comm, a, (m, n))
    kept = qr.householder(comm, mine, how)
    height = m if mode == "complete" else k
    r = np.zeros((height, mine.shape[1]), a.dtype)
    r[:k] = kept.upper(comm.rank)
    upper = Tile((height, n), as_boxes(comm, r, _rows((height, n), comm.size), how))
    if mode == "r":
        return [upper]
    own = range(*_columns((m, height), comm.size)[comm.rank][1])
    return [_to_rows(comm, qr.orthogonal(comm, kept, own), (m, height)), upper]


def singular_values(comm: Comm, a: np.ndarray, *, m: int, n: int, vectors: bool) -> list[Any]:
    """u (m x n), s and vh (n x n) of a tall matrix, or s alone."""
    counts = [hi - lo for (lo, hi), _ in _rows((m, n), comm.size)]
    q, r = qr.tall(comm, a, counts, vectors)
    u, vh = np.empty_like(r), np.empty_like(r)
    s = np.empty(n, r.real.dtype)
    if comm.rank == 0:  # other processors may round differently
        u[...], s[...], vh[...] = np.linalg.svd(r)
    give(comm, 0, (u, s, vh))
    return [s] if q is None else [Tile((m, n), q @ u), s, vh]


def least_squares(
    comm: Comm, a: np.ndarray, b: np.ndarray, *, m: int, n: int, count: int, rcond: float
) -> list[Any]:
    """x, the sums of squared residuals (none unless there is one solution), the rank and the singular values of a tall matrix."""
    both = np.concatenate([a, b], 1)
    counts = [hi - lo for (lo, hi), _ in _rows((m, n), comm.size)]
    _, r = qr.tall(comm, both, counts, False)
    x, s = np.zeros((n, count), r.dtype), np.zeros(n, r.real.dtype)
    rank = np.zeros(1, np.int64)
    if comm.rank == 0:  # other processors may round differently
        u, s[...], vh = np.linalg.svd(r[:n, :n])
        good = s > rcond * s[0]
        rank[0] = good.sum()
        x[...] = vh[good].conj().T @ ((u[:, good].conj().T @ r[:n, n:]) / s[good, None])
    give(comm, 0, (x, s, rank))
    rest = r[n:, n:]
    sums = (rest.real**2 + rest.imag**2 if rest.dtype.kind == "c" else rest**2).sum(0)
    return [x, sums if rank[0] == n < m else sums[:0], int(rank[0]), s]


# ---- stacks ------------------------------------------------------------------------------------------------------


def stacked(
    comm: Comm, *parts: np.ndarray, function: str, total: int, arguments: dict[str, Any]
) -> list[Any]:
    """What a function of `numpy.linalg` gives for all matrices of stacks of `total` along their first axis: what it
    complained of, the type of what it gives, and its results, in tiles."""
    try:
        found: Any = getattr(np.linalg, function)(*parts, **arguments)
    except np.linalg.LinAlgError as error:
        found, failed = (), str(error)
    else:
        failed = ""
    said = [text for text in comm.allgather_object(failed) if text]
    if said:
        return [said[0], None]
    results = found if isinstance(found, tuple) else (found,)
    return ["", type(found), *(Tile((total, *r.shape[1:]), np.ascontiguousarray(r)) for r in results)]
