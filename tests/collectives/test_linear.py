"""Linear algebra on ranks that are threads, against backward errors: those of LAPACK are a few units in the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate_jit.collectives import cholesky, columns, linear, lu, qr
from legate_jit.collectives.columns import Columns
from legate_jit.comm.base import Comm
from legate_jit.comm.exchange import Box
from legate_jit.comm.threads import run_ranks
from legate_jit.ir.ranks import layout

RANKS = [1, 2, 3, 4, 7]
DTYPES = ["f4", "f8", "c8", "c16"]


def values(shape: tuple[int, ...], dtype: str, seed: int = 3) -> np.ndarray:
    r = np.random.default_rng(seed)
    return (r.standard_normal(shape) + (1j * r.standard_normal(shape) if dtype[0] == "c" else 0)).astype(
        dtype
    )


def small(error: np.ndarray, size: Any, n: int) -> None:
    """`error` is a few rounding errors of matrices of n rows whose largest element is `size`."""
    assert np.linalg.norm(error) <= 30 * np.finfo(error.dtype).eps * size * max(n, 1)


def rows(shape: tuple[int, ...], ranks: int) -> tuple[Box, ...]:
    how = layout.tiled(shape, 0, ranks)
    return tuple(how.box(k) for k in range(ranks))


def dealt(x: np.ndarray, how: Columns, rank: int) -> np.ndarray:
    return x[:, how.of(rank)].copy()


def joined(parts: list[np.ndarray], how: Columns) -> np.ndarray:
    out = np.empty((len(parts[0]), how.total), parts[0].dtype)
    for rank, part in enumerate(parts):
        out[:, how.of(rank)] = part
    return out


def on(ranks: int, program: Callable[[Comm], Any]) -> list[Any]:
    return run_ranks(ranks, program)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("shape", [(9, 13), (30, 5), (1, 1), (4, 40)])
def test_dealing_columns(shape: tuple[int, int], ranks: int) -> None:
    x = values(shape, "f8")

    def program(comm: Comm) -> None:
        for axis in (0, 1):
            tiles = layout.tiled(shape, axis, ranks)
            boxes = tuple(tiles.box(k) for k in range(ranks))
            for width in (1, 3, 64):
                how = Columns(shape[1], width, ranks)
                part = x[tuple(slice(*r) for r in boxes[comm.rank])]
                mine = columns.from_boxes(comm, part, boxes, shape, how)
                np.testing.assert_array_equal(mine, x[:, how.of(comm.rank)])
                np.testing.assert_array_equal(columns.as_boxes(comm, mine, boxes, how), part)

    on(ranks, program)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "width"), [(1, 1), (13, 2), (40, 5), (50, 24)])
def test_systems(n: int, width: int, dtype: str, ranks: int) -> None:
    a, b = values((n, n), dtype), values((n, 11), dtype, 4)
    how, cut = Columns(n, width, ranks), np.array_split(np.arange(11), ranks)

    def program(comm: Comm) -> Any:
        u, x = dealt(a, how, comm.rank), b[:, cut[comm.rank]].copy()
        found = lu.eliminate(comm, u, x, how)
        lu.back(comm, u, x, how)
        return x, found

    def traveling(comm: Comm) -> np.ndarray:
        u, x = dealt(a, how, comm.rank), b.copy()
        lu.eliminate(comm, u, x, how)
        lu.travel(comm, u, x, how)
        return x

    results = on(ranks, program)
    x = np.concatenate([part for part, _ in results], 1)
    for other in on(ranks, traveling):
        np.testing.assert_allclose(other, x, rtol=0, atol=300 * n * np.finfo(dtype).eps * np.abs(x).max())
    small(a @ x - b, np.abs(a).max() * np.abs(x).max(), n)
    diagonal, odd = results[-1][1]
    expected = np.linalg.det(a.astype("c16"))
    np.testing.assert_allclose(
        np.prod(diagonal.astype("c16")) * (-1) ** odd, expected, rtol=1e3 * n * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("ranks", RANKS)
def test_pivots_are_needed(ranks: int) -> None:
    """A matrix that elimination in the given order cannot do; and one that no order can."""
    n, how = 12, Columns(12, 3, ranks)
    a = np.roll(np.eye(n), 1, 0) + np.diag(np.full(n - 1, 1e-20), 1)

    def program(comm: Comm) -> None:
        u, x = dealt(a, how, comm.rank), np.ones((n, 1 if comm.rank == 0 else 0))
        assert not lu.eliminate(comm, u, x, how).singular
        lu.back(comm, u, x, how)
        np.testing.assert_allclose(a @ x, 1, rtol=1e-14)
        assert lu.eliminate(comm, dealt(np.ones((n, n)), how, comm.rank), x, how).singular

    on(ranks, program)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangles(unit: bool, lower: bool, dtype: str, ranks: int) -> None:
    n, how = 29, Columns(29, 4, ranks)
    a = values((n, n), dtype) / n + np.eye(n, dtype=dtype) * 2
    b = values((n, ranks), dtype)
    triangle = np.tril(a) if lower else np.triu(a)
    if unit:
        np.fill_diagonal(triangle, 1)

    def program(comm: Comm) -> np.ndarray:
        x = b[:, comm.rank : comm.rank + 1].copy()
        assert lu.substitute(comm, dealt(a, how, comm.rank), x, how, lower, unit)
        zero = dealt(a - np.diag(np.where(np.arange(n) == 17, a.diagonal(), 0)), how, comm.rank)
        assert lu.substitute(comm, zero, x.copy(), how, lower, unit) == unit
        return x

    x = np.concatenate(on(ranks, program), 1)
    small(triangle @ x - b, np.abs(x).max() * 2, n)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "width"), [(1, 1), (13, 2), (50, 24)])
def test_cholesky(n: int, width: int, dtype: str, ranks: int) -> None:
    how = Columns(n, width, ranks)
    z = values((n, n), dtype)
    a = z @ z.conj().T + n * np.eye(n, dtype=dtype)
    given = np.tril(a) + np.triu(np.full((n, n), np.nan, dtype), 1)  # nobody looks at the upper triangle
    bad = a - np.diag(np.full(1, 3 * np.abs(a).max(), dtype), 0) if n == 1 else a.copy()
    bad[n - 1, n - 1] = -1

    def program(comm: Comm) -> np.ndarray:
        assert not cholesky.factor(comm, dealt(bad, how, comm.rank), how)
        mine = dealt(given, how, comm.rank)
        assert cholesky.factor(comm, mine, how)
        return mine

    factor = joined(on(ranks, program), how)
    assert (np.triu(factor, 1) == 0).all()
    small(factor @ factor.conj().T - a, np.abs(a).max(), n)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(100, 3), (23, 5), (5, 5), (3, 6), (1, 1), (2, 1)])
def test_tall(shape: tuple[int, int], dtype: str, ranks: int) -> None:
    """Right for any shape, though meant for many rows."""
    x = values(shape, dtype)
    boxes = rows(shape, ranks)
    counts = [hi - lo for (lo, hi), _ in boxes]

    def program(comm: Comm) -> Any:
        mine = x[slice(*boxes[comm.rank][0])]
        found = qr.tall(comm, mine, counts, True)
        nothing, same = qr.tall(comm, mine, counts, False)
        assert nothing is None
        np.testing.assert_array_equal(same, found[1])
        return found

    results = on(ranks, program)
    q, r = np.concatenate([q for q, _ in results]), results[0][1]
    assert all((r == other).all() for _, other in results)
    assert q.shape == (shape[0], min(shape)) and r.shape == (min(shape), shape[1])
    assert (np.tril(r, -1) == 0).all()
    small(q @ r - x, np.abs(x).max(), shape[0])
    small(q.conj().T @ q - np.eye(min(shape), dtype=dtype), 1, shape[0])


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(30, 30), (23, 9), (9, 23), (1, 1), (5, 6), (6, 1)])
@pytest.mark.parametrize("width", [1, 4])
def test_householder(width: int, shape: tuple[int, int], dtype: str, ranks: int) -> None:
    """All of Q; R as LAPACK's, signs included."""
    x = values(shape, dtype)
    m, n = shape
    how = Columns(n, width, ranks)
    cut = np.array_split(np.arange(m), ranks)

    def program(comm: Comm) -> Any:
        kept = qr.householder(comm, dealt(x, how, comm.rank), how)
        own = cut[comm.rank]
        wanted = range(int(own[0]), int(own[-1]) + 1) if len(own) else range(0)
        return qr.orthogonal(comm, kept, wanted), kept.upper(comm.rank)

    results = on(ranks, program)
    q, r = np.concatenate([q for q, _ in results], 1), joined([r for _, r in results], how)
    k = min(shape)
    small(q[:, :k] @ r - x, np.abs(x).max(), m)
    small(q.conj().T @ q - np.eye(m, dtype=dtype), 1, m)
    small(r - np.linalg.qr(x, mode="r"), np.abs(x).max() * 10, m)


def test_what_moves() -> None:
    """A block once to everyone; triangles up and down a tree, and R to all."""
    n, ranks = 48, 4
    how = Columns(n, 6, ranks)

    def factored(comm: Comm) -> int:
        cholesky.factor(comm, dealt(np.eye(n), how, comm.rank), how)
        return comm.traffic.nbytes

    blocks = sum((n - p.first) * p.width * 8 for p in how.panels())
    assert sum(on(ranks, factored)) == (ranks - 1) * blocks

    def tall(comm: Comm) -> int:
        qr.tall(comm, np.ones((50, 4)), [50] * ranks, True)
        return comm.traffic.nbytes

    assert sum(on(ranks, tall)) == 3 * (ranks - 1) * 4 * 4 * 8


def test_few_right_hand_sides_travel() -> None:
    """Every block goes once to everyone; not a second time to be solved for."""
    n, ranks = 640, 2
    a, b = values((n, n), "f8") + n * np.eye(n), values((n, 1), "f8")
    boxes = rows((n, n), ranks)

    def program(comm: Comm) -> tuple[int, np.ndarray]:
        at = slice(*boxes[comm.rank][0])
        regular, x = linear.solve(comm, a[at], b[at], n=n, count=1)
        assert regular
        return comm.traffic.nbytes, x.part

    results = on(ranks, program)
    small(a @ np.concatenate([x for _, x in results]) - b, n, n)
    how = Columns(n, columns.usual_width(n, ranks), ranks)
    blocks = sum((n - p.first) * p.width for p in how.panels()) * 8
    dealing, vectors = n * n // 2 * 8, (len(list(how.panels())) + 2) * n * 8
    pivots = 2 * n * 8
    assert sum(sent for sent, _ in results) <= dealing + blocks + vectors + pivots
