"""Launches whose points are dealt out over ranks: results as on one rank, every point once, nothing moved without need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
import pytest
from ranks.plans import plans
from tasks.launches import Plain

import cupynumeric as np
import legate
from legate_jit import runtime, tasks
from legate_jit.ir.ranks import choose, dealt_tasks
from legate_jit.ir.tasks.partition import Align, Bloat, Broadcast, Color, Scale, Tiles, explicit
from legate_jit.ir.tasks.task import TaskSpec
from legate_jit.ranks import windows as world

SIZES = [2, 3, 4, 7]


def enter(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """From here on in a world of so many virtual ranks, among which even tiny arrays are dealt out."""
    legate.fence()
    for room in (choose, world):
        monkeypatch.setattr(room, "SMALL", 2)
    monkeypatch.setattr(runtime, "world", world.World(size, range(size), None) if size > 1 else None)
    runtime._plans.clear()


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    enter(monkeypatch, request.param)
    yield request.param
    legate.fence()
    runtime._plans.clear()


def traffic() -> int:
    return sum(p.traffic for p in plans())


class Boxed(Plain):
    """As `Plain`, for bodies that want the point and the boxes as well."""

    __slots__ = ("grids",)

    def point(self, index: Any, launch: Any, arrays: Any, boxes: Any) -> None:
        self.points.append(index)
        self.body(index, launch, boxes, *arrays)


def submit(
    body: Callable[..., Any], roles: str, *arrays: Any, kind: type[Plain] = Plain, **options: Any
) -> Plain:
    launch = kind(body)
    spec = TaskSpec(body.__name__, tuple(roles.split()), **options)
    tasks.launch(launch, spec, [(a._store, a._lens) for a in arrays])
    return launch


def axpy(x: Any, y: Any) -> None:
    y += 2 * x


def test_elementwise_launches_move_nothing(size: int) -> None:
    x = np.arange(1003.0)
    y = np.ones(1003)
    legate.fence()
    runtime._plans.clear()
    launch = submit(axpy, "input output", x, y, constraints=(Align(0, 1),), pieces=2 * size)
    legate.fence()
    assert traffic() == 0
    assert sorted(launch.points) == [(k,) for k in range(2 * size)]
    assert isinstance(y._store.buffer, world.Dealt) and not y._store.buffer.layout.is_replicated
    onp.testing.assert_array_equal(y, 1 + 2 * onp.arange(1003.0))


def test_slices_run_where_they_lie(size: int) -> None:
    x = np.arange(2000.0)
    y = np.ones((2, 1000))
    legate.fence()
    runtime._plans.clear()
    submit(axpy, "input output", x[3:-4], x[3:-4] * 1, constraints=(Align(0, 1),), pieces=size)
    legate.fence()
    assert traffic() == 0
    submit(axpy, "input output", y[:1], y[1:], constraints=(Align(0, 1),), pieces=size)
    onp.testing.assert_array_equal(y[1], onp.full(1000, 3.0))


def test_outputs_that_are_new_lie_as_the_inputs(size: int) -> None:
    x = np.arange(600.0).reshape(30, 20).T.copy()
    y = np.empty((20, 30))
    z = np.empty(600)

    def fill(index: Any, launch: Any, boxes: Any, out: Any) -> None:
        out[:] = index[0]

    launch = submit(axpy_into, "input output", x, y, constraints=(Align(0, 1),), pieces=size)
    cut = explicit((3 * size,), (Tiles((600,), (-(-600 // (3 * size)),)),))
    submit(fill, "output", z, partition=cut, kind=Boxed)
    legate.fence()
    assert traffic() == 0
    assert len(launch.points) <= size
    onp.testing.assert_array_equal(y, 3 * onp.arange(600.0).reshape(30, 20).T)
    onp.testing.assert_array_equal(z, onp.arange(600) // -(-600 // (3 * size)))


def test_small_arrays_stay_whole_on_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that write them run on different ranks all the same."""
    legate.fence()
    monkeypatch.setattr(runtime, "world", world.World(3, range(3), None))
    runtime._plans.clear()
    x, y = np.arange(100.0), np.ones(100)
    cut = explicit((10,), (Tiles((100,), (10,)), Tiles((100,), (10,))))
    for _ in range(2):
        launch = submit(axpy, "input output", x, y, partition=cut)
        y[5:95] += 1
    legate.fence()
    assert sorted(launch.points) == [(k,) for k in range(10)]
    assert isinstance(y._store.buffer, world.Dealt) and y._store.buffer.layout.is_replicated
    expected = 1 + 4 * onp.arange(100.0)
    expected[5:95] += 2
    for part in y._store.buffer.parts.values():
        onp.testing.assert_array_equal(part.as_numpy((100,), onp.dtype("f8"), False), expected)


def axpy_into(x: Any, y: Any) -> None:
    y[:] = 3 * x


def smooth(x: Any, halo: Any, y: Any) -> None:
    wide = onp.concatenate([[0.0], halo, [0.0]])
    first = int(halo[0] != x[0])  # whether the halo has an element before the part
    y[:] = (
        wide[first : first + len(x)]
        + wide[first + 1 : first + 1 + len(x)]
        + wide[first + 2 : first + 2 + len(x)]
    )


def test_a_halo_moves_its_strips_only(size: int) -> None:
    x = np.arange(1000.0) + 1
    y = np.zeros(1000)
    legate.fence()
    runtime._plans.clear()
    bloat = (Bloat(0, 1, (1,), (1,)), Align(0, 2))
    submit(smooth, "input input output", x, x, y, constraints=bloat, pieces=2 * size)
    legate.fence()
    assert 0 < traffic() <= 2 * (size - 1) * 8
    padded = onp.concatenate([[0.0], onp.arange(1.0, 1001.0), [0.0]])
    onp.testing.assert_array_equal(y, padded[:-2] + padded[1:-1] + padded[2:])


def total(x: Any, out: Any) -> None:
    out += x.sum()


@pytest.mark.parametrize("few", [1, 32])
@pytest.mark.parametrize("length", [1, 40000])
def test_reductions_are_merged_in_the_order_of_points(
    size: int, length: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few results: the same bits as on one rank, whether few ranks exchange rows or many a tree. Many: the same on every rank."""
    monkeypatch.setattr(dealt_tasks, "_FEW", few)
    values = onp.random.default_rng(3).standard_normal(999) * 10.0 ** onp.arange(999) ** 0.3
    sums = [values[at : at + 84].sum() for at in range(0, 999, 84)]
    assert sum(sums, 1.0) != sum(sums[::-1], 1.0)  # the order shows

    def run() -> Any:
        x, out = np.array(values), np.ones(length)
        submit(total, "input add", x, out, constraints=(Broadcast(1),), pieces=12)
        return onp.asarray(out).copy()

    found = run()
    enter(monkeypatch, 1)
    expected = run()
    if length == 1:
        assert found.tobytes() == expected.tobytes()
    onp.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("role", ["add", "mul", "max", "min", "or", "and", "xor"])
@pytest.mark.parametrize("dtype", ["i4", "u1", "?", "f4", "f2", "c16"])
def test_reduction_operators(role: str, dtype: str, monkeypatch: Any) -> None:
    if (role in ("or", "and", "xor") and dtype[0] in "fc") or (role in ("max", "min") and dtype[0] == "c"):
        pytest.skip("not defined")

    def merge(x: Any, out: Any) -> None:
        operator = {"add": onp.add, "mul": onp.multiply, "max": onp.maximum, "min": onp.minimum,
                    "or": onp.bitwise_or, "and": onp.bitwise_and, "xor": onp.bitwise_xor}[role]  # fmt: skip
        for row in x:
            operator(out, row, out=out)

    def run(length: int) -> Any:
        x = np.array(onp.random.default_rng(1).integers(1, 3, (8, length)).astype(dtype))
        out = np.array(onp.random.default_rng(2).integers(0, 3, length).astype(dtype))
        submit(merge, f"input {role}", x, out, constraints=(Broadcast(1), Broadcast(0, (1,))), pieces=6)
        return onp.asarray(out).copy()

    for length in (5, 200_000 // onp.dtype(dtype).itemsize):
        enter(monkeypatch, 3)
        found = run(length)
        enter(monkeypatch, 1)
        onp.testing.assert_array_equal(found, run(length))


class Program:
    """One random sequence of launches and array operations, run the same way under any number of ranks."""

    def __init__(self, seed: int) -> None:
        self.rng = onp.random.default_rng(seed)

    def run(self) -> list[Any]:
        rng = self.rng
        shape = (int(rng.integers(5, 40)), int(rng.integers(4, 30)))
        self.arrays = [np.array(rng.integers(0, 9, shape).astype(float)) for _ in range(3)]
        self.line = np.array(rng.integers(0, 9, 50).astype(float))
        for _ in range(6):
            [self.aligned, self.halo, self.reduced, self.manual, self.sliced, self.computed, self.scaled][
                int(rng.integers(7))
            ]()
        return [onp.asarray(a).copy() for a in (*self.arrays, self.line)]

    def pick(self) -> list[Any]:
        return [self.arrays[k] for k in self.rng.permutation(3)]

    def pieces(self) -> int:
        return int(self.rng.integers(1, 13))

    def aligned(self) -> None:
        a, b, c = self.pick()
        if self.rng.integers(3) == 0:  # one memory for an input and an output, and a halo of what is written
            b[:] = a
            constraints = (Align(0, 1), Bloat(0, 2, (1, 1), (1, 1)))
            submit(
                onto, "input output input", a, a, a, constraints=constraints, pieces=self.pieces(), kind=Boxed
            )
        bars = [(), (Broadcast(0, (int(self.rng.integers(2)),)),)][int(self.rng.integers(2))]
        constraints = (Align(0, 1), Align(0, 2), *bars)
        submit(add_into, "input input output", a, b, c, constraints=constraints, pieces=self.pieces())

    def halo(self) -> None:
        a, b, _ = self.pick()
        low, high = (tuple(int(v) for v in self.rng.integers(0, 3, 2)) for _ in range(2))
        constraints = (Align(0, 2), Bloat(0, 1, low, high))
        submit(
            largest, "input input output", a, a, b, constraints=constraints, pieces=self.pieces(), kind=Boxed
        )

    def reduced(self) -> None:
        a, b, _ = self.pick()
        body, role = [(columns, "add"), (tallest, "max")][int(self.rng.integers(2))]
        rows = (Broadcast(1), Broadcast(0, (1,)))
        if self.rng.integers(2):
            submit(body, f"input {role}", a, b[0], constraints=rows, pieces=self.pieces())
        else:
            submit(add_one, "add", b, pieces=self.pieces())

    def manual(self) -> None:
        a, b, _ = self.pick()
        tile = tuple(int(v) for v in self.rng.integers(3, 12, 2))
        grid = tuple(-(-n // t) for n, t in zip(a.shape, tile, strict=True))
        if self.rng.integers(2):
            colors = (Color(1, 1, 0), Color(0, 1, 0))
            cut = explicit(grid[::-1], [Tiles(a.shape, tile, colors), Tiles(b.shape, tile, colors)])
        elif self.rng.integers(2):
            colors = (Color(0, 1, 0), Color(-1, 0, 0))
            cut = explicit(grid, [Tiles(a.shape, tile, colors), Tiles(b.shape, tile)], ())
        else:
            colors = (Color(0, 1, -2), Color(1, 1, -1))
            cut = explicit(grid, [Tiles(a.shape, tile, colors), Tiles(b.shape, tile, colors)], (2, 1))
        submit(mark, "input output", a, b, partition=cut, kind=Boxed)

    def sliced(self) -> None:
        a, b, _ = self.pick()
        first, step = int(self.rng.integers(0, 3)), int(self.rng.integers(1, 3))
        views = (a[first::step], b[first::step]) if self.rng.integers(2) else (a[::-1, 1:], b[:, 1:])
        submit(axpy, "input output", *views, constraints=(Align(0, 1),), pieces=self.pieces())

    def computed(self) -> None:
        a, b, c = self.pick()
        c[1:, :] = a[:-1] + b[1:]
        self.line += 1

    def scaled(self) -> None:
        small = np.zeros(25)
        submit(
            pairs, "input output", self.line, small, constraints=(Scale((2,), 1, 0),), pieces=self.pieces()
        )
        self.line[:25] = small


def onto(index: Any, launch: Any, boxes: Any, a: Any, out: Any, halo: Any) -> None:
    assert onp.shares_memory(a, out) or not a.size
    (lo, _), (left, _) = boxes[2]
    (at, _), (along, _) = boxes[1]
    out += halo[at - lo : at - lo + a.shape[0], along - left : along - left + a.shape[1]] % 5
    assert (a == out).all()


def add_into(a: Any, b: Any, c: Any) -> None:
    c[:] = (a + b) % 11


def largest(index: Any, launch: Any, boxes: Any, a: Any, halo: Any, out: Any) -> None:
    assert a.shape == tuple(hi - lo for lo, hi in boxes[0])
    out[:] = a
    if halo.size:
        out += halo.max() if not launch else 0
        (lo, _), (left, _) = boxes[1]
        (at, _), (along, _) = boxes[0]
        out += halo[at - lo : at - lo + a.shape[0], along - left : along - left + a.shape[1]] % 3


def columns(a: Any, out: Any) -> None:
    out += a.sum(axis=0)


def tallest(a: Any, out: Any) -> None:
    if a.size:
        onp.maximum(out, a.max(axis=0), out=out)


def add_one(out: Any) -> None:
    out += 1


def mark(index: Any, launch: Any, boxes: Any, a: Any, b: Any) -> None:
    b += (a.sum() if a.size else 0) % 7 + sum(index) + sum(launch) + boxes[1][0][0]


def pairs(a: Any, out: Any) -> None:
    out[:] = a[::2] + a[1::2]


@pytest.mark.parametrize("seed", range(40))
def test_random_launches(size: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Program(1000 * size + seed).run()
    enter(monkeypatch, 1)
    for a, b in zip(Program(1000 * size + seed).run(), found, strict=True):
        onp.testing.assert_array_equal(b, a)
