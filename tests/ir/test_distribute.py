"""Programs on several ranks, each rank running its own part, give what they give on one; and they move no more than they must."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric
from cupynumeric._calls import lazy
from legate_jit import runtime
from legate_jit.backends import interpret
from legate_jit.ir.index import Affine
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import choose, layout
from legate_jit.ir.ranks.distribute import Distributed, distribute
from legate_jit.ir.ranks.layout import Layout
from legate_jit.ir.rewrite import Graph
from legate_jit.running import tiers
from tests.fuzz import programs
from tests.ir import many_ranks


def some_layout(rng: random.Random, shape: tuple[int, ...], ranks: int) -> Layout:
    """A layout an earlier window could have left: whole, tiled along some axis, or cut as a slice of something tiled."""
    axes = [d for d, n in enumerate(shape) if n > 1]
    if not axes or 0 in shape or rng.random() < 0.25:
        return layout.replicated(shape)
    d = rng.choice(axes)
    way = rng.randrange(5)
    if way == 4 and len(axes) > 1 and (grid := {4: (2, 2), 7: (3, 2), 3: (1, 3)}.get(ranks)):
        blocks = dict(zip(rng.sample(axes, 2), grid, strict=True))
        return layout.gridded(shape, tuple(blocks.get(k, 1) for k in range(len(shape))))
    if way < 2:
        return layout.tiled(shape, d, ranks)
    step = rng.choice([1, 1, 2, 3, -1, -2])
    before, after = rng.randrange(3), rng.randrange(3)
    n = shape[d]
    base = before + abs(step) * (n - 1) + 1 + after
    start = before if step > 0 else base - 1 - after
    larger = tuple(base if k == d else m for k, m in enumerate(shape))
    view = Affine(shape, tuple((start, step, k) if k == d else (0, 1, k) for k in range(len(shape))))
    found = layout.tiled(larger, d, ranks).sliced(view)
    assert found is not None
    return layout.replicated(shape) if found.is_pinned else found


class Ranked:
    """Stands in for `interpret.Program`: every window is also run by several ranks, and must give the same."""

    ranks = 2
    seen = 0
    program: Any = interpret.Program

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.whole = Ranked.program(graph)
        self.inputs = {n.arg: n for n in graph.nodes if n.kind is Kind.BUFFER}

    def run(self, inputs: list[np.ndarray], scalars: list[Any]) -> list[np.ndarray]:
        """Values of the roots, as one rank gives them."""
        expected = [np.array(x) for x in self.whole.run(inputs, scalars)]
        rng = random.Random(Ranked.seen)
        Ranked.seen += 1
        layouts = [some_layout(rng, x.shape, Ranked.ranks) for x in inputs]
        found, _, _ = many_ranks.run(self.graph, inputs, layouts, scalars, Ranked.ranks)
        for x, want in zip(found, expected, strict=True):
            same = np.array_equal(x, want, equal_nan=want.dtype.kind in "fc")
            assert same and x.dtype == want.dtype, (x, want)
        return expected


@pytest.fixture
def ranked(interpreted: Callable[[Any, int, int], None]) -> Callable[[int, int, int], None]:
    """Run every window on so many ranks, with hardly anything too small to be cut (`small`), or to be computed in strips."""

    def start(ranks: int, small: int, long: int) -> None:
        Ranked.ranks, Ranked.seen = ranks, 0
        interpreted(Ranked, small, long)

    return start


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("seed", range(6))
def test_programs(ranked: Callable[[int, int, int], None], ranks: int, seed: int) -> None:
    lines = programs.make(1000 + 10 * seed + ranks)
    ranked(ranks, [2, 4, 10, 30][seed % 4], [1, 8][seed % 2])
    found = programs.difference(lines)
    assert found is None, found + "\n" + "\n".join(lines)


# ---- what is moved -------------------------------------------------------------------------------------------------

SIDE = 400  # of a square array of doubles that is large enough to be cut
RANKS = 4
Moved = tuple[many_ranks.Counted, Distributed]


class Captured(Ranked):
    """Stands in for `interpret.Program`: keeps the last window, run by several ranks from row-wise tilings."""

    last: Moved | None = None

    def run(self, inputs: list[np.ndarray], scalars: list[Any]) -> list[np.ndarray]:
        """Values of the roots, as one rank gives them."""
        expected = [np.array(x) for x in self.whole.run(inputs, scalars)]
        layouts = [
            layout.tiled(x.shape, 0, RANKS) if x.size >= choose.SMALL else layout.replicated(x.shape)
            for x in inputs
        ]
        found, made, counted = many_ranks.run(self.graph, inputs, layouts, scalars, RANKS)
        for x, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, want, rtol=1e-12)
        Captured.last = counted, made[0]
        return expected


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], Any]], Moved]]:
    """Run a function's operations as one window on four ranks; what they moved."""
    runtime.fence()
    monkeypatch.setattr(tiers.policy, "target", "reference")
    monkeypatch.setattr(interpret, "Program", Captured)
    programs.forget()

    def run(body: Callable[[], Any]) -> Moved:
        kept = body()
        runtime.fence()
        assert kept is not None and Captured.last is not None
        return Captured.last

    yield run
    runtime.fence()
    programs.forget()


def square(seed: int = 0) -> Any:
    """A square array of doubles, in parts."""
    return cupynumeric.array(np.random.default_rng(seed).random((SIDE, SIDE)))


def test_elementwise_moves_nothing(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x, y, row = square(1), square(2), cupynumeric.array(np.arange(SIDE) * 1.0)
    counted, made = moved(lambda: cupynumeric.sqrt(x * x + y) - cupynumeric.exp(-x) * row)
    assert not made.exchanges and not counted.messages
    assert made.layouts == (layout.tiled((SIDE, SIDE), 0, RANKS),)


def test_stencils_move_halo_rows(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    """Two exchanges for all neighbors: a row each way between ranks that touch, without the columns nobody looks at."""
    p = square()

    def sweep() -> Any:
        q = p.copy()
        q[1:-1, 1:-1] = 0.25 * (q[:-2, 1:-1] + q[2:, 1:-1] + q[1:-1, 2:] + q[1:-1, :-2])
        q[:, 0] = q[:, 1]
        q[-1, :] = q[-2, :]
        return q

    counted, made = moved(sweep)
    assert counted.fetches == 2 and counted.messages == 2 * (RANKS - 1)
    assert counted.bytes == 2 * (RANKS - 1) * (SIDE - 2) * 8 == sum(e.bytes for e in made.exchanges)
    assert made.layouts[-1] == layout.tiled((SIDE, SIDE), 0, RANKS)


def test_a_transpose_moves_all_but_the_diagonal_blocks(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = square()
    counted, _ = moved(lambda: x + x.T)
    assert counted.bytes == SIDE * SIDE * 8 * (RANKS - 1) // RANKS
    assert counted.messages == RANKS * (RANKS - 1)


def test_small_arrays_are_everywhere(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = cupynumeric.array(np.arange(1000.0))
    _, made = moved(lambda: [x[::-1] + x, x.sum(), x.cumsum()])
    assert not made.exchanges and all(found.is_replicated for found in made.layouts)


def test_sums_and_scans_exchange_totals(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = square()
    counted, made = moved(lambda: [x.sum(axis=0), x.cumsum(axis=0), x.max(axis=1) + 0])
    assert counted.combines == 2
    assert counted.bytes == (RANKS - 1) * SIDE * 8  # the maxima of the rows, which are few: everywhere
    assert [e.what.number for e in made.exchanges] == list(range(len(made.exchanges)))


def test_products_gather_the_second_factor(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x, y = square(1), square(2)
    counted, made = moved(lambda: x @ y)
    assert counted.bytes == (RANKS - 1) * SIDE * SIDE * 8 and not made.notices


def test_products_over_the_cut_axis_are_combined(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    tall = cupynumeric.array(np.random.default_rng(0).random((40000, 3)))
    counted, made = moved(lambda: tall.T @ tall)
    assert not counted.bytes and counted.combines == 1 and not made.notices


def test_reductions_of_stencils_add_up_strips(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    p = square()

    def residual() -> Any:
        r = 0.25 * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]) - p[1:-1, 1:-1]
        return [cupynumeric.square(r).sum(), abs(r).max()]

    counted, _ = moved(residual)
    assert (counted.fetches, counted.combines) == (2, 2)
    assert counted.bytes == 2 * (RANKS - 1) * (SIDE - 2) * 8


def test_transforms_along_the_cut_axis_transpose(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = square()
    counted, made = moved(lambda: cupynumeric.fft.fft(x, axis=0))
    assert counted.bytes == SIDE * SIDE * 8 * (RANKS - 1) // RANKS and not made.notices


def test_what_cannot_be_cut_is_told(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = square()
    counted, made = moved(lambda: lazy("numpy", (x,), x.shape, x.dtype, function="fliplr"))
    bytes_ = (RANKS - 1) * SIDE * SIDE * 8
    assert counted.bytes == bytes_
    assert made.notices == (f"numpy runs whole on every rank: {bytes_} bytes gathered",)


def test_sorting_along_the_cut_axis_is_collective(moved: Callable[[Callable[[], Any]], Moved]) -> None:
    x = square()
    counted, made = moved(lambda: cupynumeric.sort(x.ravel()))
    assert (counted.collectives, counted.bytes, made.notices) == (1, 0, ())
    assert [e.bytes for e in made.exchanges] == [SIDE * SIDE * 8 * (RANKS - 1) // RANKS]


def test_many_ranks_cut_squares_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halos of square tiles are shorter: from some number of ranks on they are worth their messages."""
    graphs: list[Graph] = []

    class Kept(Ranked):
        def __init__(self, graph: Graph) -> None:
            super().__init__(graph)
            graphs.append(graph)

        def run(self, inputs: list[np.ndarray], scalars: list[Any]) -> list[np.ndarray]:
            return [np.array(x) for x in self.whole.run(inputs, scalars)]

    monkeypatch.setattr(tiers.policy, "target", "reference")
    monkeypatch.setattr(interpret, "Program", Kept)
    runtime.fence()
    programs.forget()
    p = cupynumeric.ones((SIDE, SIDE))
    for _ in range(3):
        p[1:-1, 1:-1] = 0.25 * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2])
    runtime.fence()
    programs.forget()
    grids = [distribute(graphs[-1], [], ranks, 0).layouts[0].grid for ranks in (2, 4, 16, 64)]
    assert grids == [(2,), (4,), (4, 4), (8, 8)]


# ---- layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [2, 3, 7, 16])
@pytest.mark.parametrize("n", [1, 5, 16, 97])
def test_slices_are_cut_where_their_base_is(ranks: int, n: int) -> None:
    """Every element of a view lies with the element it looks at, however the view steps; and one rank owns it."""
    rng = random.Random(100 * ranks + n)
    for _ in range(30):
        base = layout.tiled((n,), 0, ranks)
        extent, start, step = n, 0, 1
        for _ in range(2):
            step2 = rng.choice([1, 1, 2, 3, -1, -2])
            count = rng.randint(1, (extent - 1) // abs(step2) + 1)
            room = extent - 1 - abs(step2) * (count - 1)
            start2 = rng.randint(0, room) + (0 if step2 > 0 else abs(step2) * (count - 1))
            found = base.sliced(Affine((count,), ((start2, step2, 0),)))
            if found is None:
                break
            start, step, extent = start + step * start2, step * step2, count
            owners = [r for i in range(count) for r in found.owners(((i, i + 1),))]
            first = layout.tiled((n,), 0, ranks)
            assert owners == [
                first.owners(((start + step * i, start + step * i + 1),))[0] for i in range(count)
            ]
            base = found


def test_layouts_do_not_grow_with_ranks() -> None:
    """A plan for many ranks is as small as one for few: boxes are computed, not listed."""
    ranks = 1 << 20
    cut = layout.tiled((1 << 24, 8), 0, ranks)
    inner = cut.sliced(Affine((layout.extents(cut.box(0))[0] * ranks - 2, 8), ((1, 1, 0), (0, 1, 1))))
    assert inner is not None and inner.box(ranks // 2) == (
        (16 * (ranks // 2) - 1, 16 * (ranks // 2) + 15),
        (0, 8),
    )
    assert inner.owners(((16, 17), (0, 1))) == [1]


def test_arrays_of_one_shape_lie_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of which nothing is known follows the others."""
    found: list[tuple[Layout, ...]] = []

    class Laid(Ranked):
        def run(self, inputs: list[np.ndarray], scalars: list[Any]) -> list[np.ndarray]:
            layouts = [layout.replicated(x.shape) for x in inputs]
            found.append(distribute(self.graph, layouts, 4, 0).layouts)
            values: list[np.ndarray] = self.whole.run(inputs, scalars)
            return values

    runtime.fence()
    monkeypatch.setattr(tiers.policy, "target", "reference")
    monkeypatch.setattr(interpret, "Program", Laid)
    programs.forget()
    before = cupynumeric.zeros((SIDE, SIDE))
    x = cupynumeric.zeros((SIDE, SIDE))
    x[:, 0] = 1.0
    product = cupynumeric.sort(x, axis=0)  # which leaves axis 1 to be cut
    runtime.fence()
    programs.forget()
    assert product is not None and before is not None
    assert len({how for layouts in found for how in layouts}) == 1
    assert {how.cut_axes() for layouts in found for how in layouts} == {(1,)}
