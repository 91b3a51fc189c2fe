"""Neighbors found from layouts are those that comparing the boxes of all ranks finds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate_jit.backends import interpret
from legate_jit.comm import exchange
from legate_jit.ir import index
from legate_jit.ir.index import Affine
from legate_jit.ir.ranks import layout, neighbors
from legate_jit.ir.ranks.distribute import distribute
from legate_jit.ir.ranks.exchanges import Fetch
from legate_jit.ir.ranks.layout import Layout, Need, Window
from legate_jit.ir.ranks.neighbors import Flow
from legate_jit.ir.rewrite import Graph
from tests.fuzz import programs
from tests.ir.test_distribute import some_layout


def flow(parts: tuple[exchange.Part, ...]) -> Flow:
    return Flow(len(parts), sum(math.prod(p.shape) for p in parts))


def check(source: Layout, wanted: Window, ranks: int) -> None:
    """Every rank's messages, found both ways."""
    held, needed = ([of.box(k) for k in range(ranks)] for of in (source, wanted))
    for rank in range(ranks):
        all_of_them = exchange.routes(rank, exchange.Listed.of(held, needed))
        assert exchange.routes(rank, neighbors.Between(source, wanted, ranks)) == all_of_them
        assert neighbors.received(source, wanted, rank) == flow(all_of_them.receives)
        assert neighbors.sent(source, wanted, rank, ranks) == flow(all_of_them.sends)
        assert {p.peer for p in all_of_them.receives} <= set(neighbors.givers(source, wanted, rank))
        assert {p.peer for p in all_of_them.sends} <= set(neighbors.takers(source, wanted, rank, ranks))


class Checked:
    """Stands in for `interpret.Program`: checks every fetch of every window."""

    ranks = fetches = 0
    program: Any = interpret.Program

    def __init__(self, graph: Graph) -> None:
        self.graph, self.whole = graph, Checked.program(graph)

    def run(self, inputs: list[np.ndarray], scalars: list[Any]) -> list[np.ndarray]:
        """Values of the roots."""
        rng = random.Random(Checked.fetches)
        layouts = [some_layout(rng, x.shape, Checked.ranks) for x in inputs]
        for each in distribute(self.graph, layouts, Checked.ranks, 0).exchanges:
            if isinstance(each.what, Fetch):
                check(each.what.source, each.what.wanted, Checked.ranks)
                Checked.fetches += 1
        found: list[np.ndarray] = self.whole.run(inputs, scalars)
        return found


@pytest.fixture
def checked(interpreted: Callable[[Any, int, int], None]) -> Callable[[int, int], None]:
    """Check the windows of programs on so many ranks, with parts computed in strips from so many times their length."""

    def start(ranks: int, long: int) -> None:
        Checked.ranks, Checked.fetches = ranks, 0
        interpreted(Checked, 2, long)

    return start


@pytest.mark.parametrize("ranks", [2, 3, 4, 7, 12])
def test_fetches_of_random_programs(checked: Callable[[int, int], None], ranks: int) -> None:
    seen = 0
    for seed in range(12):
        checked(ranks, [1, 8][seed % 2])
        assert programs.difference(programs.make(7000 + 10 * seed + ranks)) is None
        seen += Checked.fetches
    assert seen > 5


def line(n: int, base: int, start: int, step: int) -> Affine:
    return Affine((n,), ((start, step, 0),))


@pytest.mark.parametrize("seed", range(150))
def test_views_of_vectors(seed: int) -> None:
    """Any slices of any cuts, with more ranks than elements too; windows of one need or two."""
    rng = random.Random(seed)
    ranks, base = rng.choice([2, 3, 5, 8, 13]), rng.randrange(2, 40)
    source = some_layout(rng, (base,), ranks)
    found = []
    for _ in range(rng.choice([1, 1, 2])):
        step = rng.choice([1, 1, 2, 3, 5, -1, -2])
        n = rng.randrange(1, 1 + (base - 1) // abs(step) + 1)
        room = base - abs(step) * (n - 1) - 1
        start = rng.randrange(room + 1) + (abs(step) * (n - 1) if step < 0 else 0)
        found.append(Need(layout.tiled((n,), 0, ranks), line(n, base, start, step)))
    check(source, Window(tuple(found)), ranks)


def test_rows_and_columns_of_a_grid() -> None:
    """Parts that several ranks want alike, of an array cut both ways."""
    source = layout.gridded((12, 20), (3, 4))
    whole = index.identity((12, 20))
    rows = layout.tiled((12, 20), 0, 12)
    panels = source.picked((0, -1), (12, 20), lossy=True)
    assert panels is not None
    for wanted in (rows, panels, layout.replicated((12, 20)), layout.gridded((12, 20), (4, 3))):
        check(source, Window((Need(wanted, whole),)), 12)


def stencil(n: int, ranks: int) -> tuple[Layout, Window]:
    source = layout.gridded((n, n), (math.isqrt(ranks), math.isqrt(ranks)))
    views = [Affine((n - 2, n - 2), ((a, 1, 0), (b, 1, 1))) for a, b in ((0, 1), (2, 1), (1, 0), (1, 2))]
    middle = source.sliced(Affine((n - 2, n - 2), ((1, 1, 0), (1, 1, 1))))
    assert middle is not None
    return source, Window(tuple(Need(middle, view) for view in views))


def test_a_stencil_looks_at_few_of_many_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The boxes computed do not depend on how many ranks there are."""
    looked = []
    for ranks in (16, 1024, 65536):
        source, wanted = stencil(8 * math.isqrt(ranks), ranks)
        layout.Layout.box.cache_clear()
        middle = ranks // 2 + math.isqrt(ranks) // 2
        assert neighbors.sent(source, wanted, middle, ranks).messages == 8  # a box: the corners too
        assert neighbors.received(source, wanted, middle).messages == 8
        looked.append(layout.Layout.box.cache_info().misses)
    assert looked[0] == looked[1] == looked[2] <= 40


def test_kinds() -> None:
    source, wanted = stencil(64, 16)
    assert neighbors.kind(source, wanted) == "halo"
    whole = index.identity((64, 64))
    assert neighbors.kind(source, Window((Need(layout.replicated((64, 64)), whole),))) == "gather"
    assert neighbors.kind(source, Window((Need(layout.tiled((64, 64), 0, 16), whole),))) == "redistribution"


@pytest.mark.parametrize("seed", range(60))
def test_laying_out_anew(seed: int) -> None:
    """Also where ranks get nothing: their boxes are those of the layout, empty along one axis only."""
    rng = random.Random(seed)
    ranks, shape = rng.choice([2, 3, 7]), (rng.randrange(1, 6), rng.randrange(1, 9))
    source, to = (some_layout(rng, shape, ranks) for _ in range(2))
    pattern = neighbors.Relaid(source, to, ranks)
    listed = exchange.Listed.of(map(source.box, range(ranks)), map(to.box, range(ranks)))
    for rank in range(ranks):
        assert pattern.wanted(rank) == to.box(rank)
        assert exchange.routes(rank, pattern) == exchange.routes(rank, listed)
