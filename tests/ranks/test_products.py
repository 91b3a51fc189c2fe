"""Products of matrices that are dealt out: NumPy's values, the bytes that theory says, and no rank with all of an operand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
import pytest
from ranks.plans import plans

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.collectives import products
from legate_jit.comm.base import Comm
from legate_jit.comm.threads import run_ranks
from legate_jit.ir.ranks import choose, layout, needs
from legate_jit.ranks import windows as world

SIZES = [2, 3, 4, 7]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Even tiny arrays are dealt out."""
    legate.fence()
    for room in (choose, world):
        monkeypatch.setattr(room, "SMALL", 2)
    runtime._plans.clear()
    yield monkeypatch
    legate.fence()
    runtime._plans.clear()


def of_size(patch: pytest.MonkeyPatch, ranks: int) -> None:
    patch.setattr(runtime, "world", world.World(ranks, range(ranks), None))


def values(*shape: int) -> Any:
    return np.arange(math.prod(shape) * 1.0).reshape(shape) % 11 - 5


def traffic(program: Callable[[], Any], expected: Any) -> int:
    """Bytes that a product moves; its values are exact."""
    legate.fence()
    runtime._plans.clear()
    found = program()
    legate.fence()
    moved = sum(p.traffic for p in plans())
    onp.testing.assert_array_equal(onp.asarray(found), expected)
    return moved


@pytest.mark.parametrize("ranks", [1, *SIZES])
@pytest.mark.parametrize("cuts", [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)])
def test_in_steps(cuts: tuple[int, int, int], ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way all three lie, each step brings no more than a rank has."""
    monkeypatch.setattr(products, "_SHORT", 3)
    shapes = (13, 40), (40, 22), (13, 22)
    a, b = (onp.arange(math.prod(s) * 1.0).reshape(s) % 13 - 6 for s in shapes[:2])
    lying = [layout.tiled(s, d, ranks) for s, d in zip(shapes, cuts, strict=True)]
    if ranks == 4:
        lying[2] = layout.gridded(shapes[2], (2, 2))

    def program(comm: Comm) -> None:
        x, y, part = (
            s[tuple(slice(*r) for r in how.box(comm.rank))]
            for s, how in zip((a, b, a @ b), lying, strict=True)
        )
        out = onp.empty_like(part)
        largest = 0

        def product(p: onp.ndarray, q: onp.ndarray, to: onp.ndarray) -> None:
            nonlocal largest
            largest = max(largest, (p.size if p.base is not x else 0) + (q.size if q.base is not y else 0))
            onp.matmul(p, q, out=to)

        products.multiply(comm, x, y, (lying[0], lying[1], lying[2]), out, product)
        onp.testing.assert_array_equal(out, part)
        assert largest <= max((a.size + b.size) // ranks + 40 + 22, 3 * (13 + 22))

    run_ranks(ranks, program)


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("panel", [0, needs.PANEL])
def test_bytes_of_square_products(small: pytest.MonkeyPatch, ranks: int, panel: int) -> None:
    """Everyone gets all of one operand; with many ranks, rows of one and columns of the other."""
    small.setattr(needs, "PANEL", panel)
    of_size(small, ranks)
    n = 84
    a, b = values(n, n), values(n, n) + 1
    expected = onp.asarray(a) @ onp.asarray(b)
    moved = traffic(lambda: a @ b, expected)
    rows = (ranks - 1) * n * n * 8
    assert moved <= rows
    if panel:
        assert moved == rows or ranks > 4
    assert traffic(lambda: np.tensordot(a, b, 1), expected) == moved


def test_many_ranks_fetch_panels(small: pytest.MonkeyPatch) -> None:
    """16 ranks as a 4 x 4 grid: 3 n^2 elements of the one, 3.75 n^2 of the other, for 15 n^2 by rows."""
    of_size(small, 16)
    n = 64
    a, b = values(n, n), values(n, n) + 1
    moved = traffic(lambda: a @ b, onp.asarray(a) @ onp.asarray(b))
    assert moved <= 7.5 * n * n * 8


@pytest.mark.parametrize("ranks", SIZES)
def test_long_sums_stay_where_they_are(small: pytest.MonkeyPatch, ranks: int) -> None:
    """The product of tall matrices moves only results."""
    of_size(small, ranks)
    x, y = values(840, 6), values(840, 5)
    assert traffic(lambda: x.T @ y, onp.asarray(x).T @ onp.asarray(y)) == 2 * (ranks - 1) * 6 * 5 * 8
    with_einsum = traffic(lambda: np.einsum("ki,kj->ij", x, y), onp.asarray(x).T @ onp.asarray(y))
    assert with_einsum == 2 * (ranks - 1) * 6 * 5 * 8


@pytest.mark.parametrize("ranks", SIZES)
def test_operands_made_in_the_window_lie_for_their_product(small: pytest.MonkeyPatch, ranks: int) -> None:
    """Cut along the long axis, that is summed over; by rows where that would move more."""
    of_size(small, ranks)

    def gram() -> Any:
        t = values(840, 6) + 1
        return t.T @ t

    expected = onp.asarray(values(840, 6)) + 1
    assert traffic(gram, expected.T @ expected) == 2 * (ranks - 1) * 6 * 6 * 8
    small.setattr(choose, "SMALL", 100)
    assert (
        traffic(lambda: values(840, 6) @ np.ones((6, 6)), onp.asarray(values(840, 6)) @ onp.ones((6, 6))) == 0
    )


def test_large_panels_come_in_steps(small: pytest.MonkeyPatch) -> None:
    """Those that are larger than what a rank has of an operand twice."""
    of_size(small, 7)
    steps: list[int] = []
    whole = products.multiply

    def multiply(*arguments: Any) -> None:
        steps.append(arguments[1].shape[0])
        whole(*arguments)

    small.setattr(products, "multiply", multiply)
    n = 84
    a, b = values(n, n), values(n, n) + 1
    expected = onp.asarray(a) @ onp.asarray(b)
    for panel, times in ((needs.PANEL, 0), (n * n * 8, 0), (n * n * 8 - 1, 7)):
        small.setattr(needs, "PANEL", panel)
        steps.clear()
        traffic(lambda: a @ b, expected)
        assert steps == [n // 7] * times


@pytest.mark.parametrize("ranks", SIZES)
def test_stacks_move_nothing(small: pytest.MonkeyPatch, ranks: int) -> None:
    of_size(small, ranks)
    x, y = values(42, 5, 6), values(42, 6, 3)
    assert traffic(lambda: x @ y, onp.asarray(x) @ onp.asarray(y)) == 0


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("dtype", ["f4", "c16", "i8", "f2", "?"])
def test_types(small: pytest.MonkeyPatch, ranks: int, dtype: str) -> None:
    small.setattr(needs, "PANEL", 0)
    of_size(small, ranks)
    a, b = (x.astype(dtype) for x in (values(30, 70) % 2, values(70, 20) % 2))
    expected = onp.asarray(a) @ onp.asarray(b)
    traffic(lambda: a @ b, expected)
    traffic(lambda: (a @ b).T, expected.T)
