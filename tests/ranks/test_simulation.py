"""Simulated ranks: what is counted is what ranks really send and hold, and looking at more of them costs nothing."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as onp
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.comm import trees
from legate_jit.comm.base import Comm
from legate_jit.comm.threads import run_ranks
from legate_jit.ir.ranks import choose, layout
from legate_jit.ranks import windows
from legate_jit.simulation import report
from legate_jit.simulation.costs import Flows, added
from legate_jit.simulation.machine import Machine
from legate_jit.simulation.world import Seen, SimulatedWorld, looked_at

Program = Callable[[], Any]


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[windows.World, Program], Any]]:
    """Run a program in a world in which even tiny arrays are dealt out; what it returns, computed."""
    legate.fence()
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 2, raising=False)

    def run(world: windows.World, program: Program) -> Any:
        monkeypatch.setattr(runtime, "world", world)
        runtime._plans.clear()
        made = program()
        legate.fence()
        return made

    yield run
    legate.fence()
    runtime._plans.clear()


def simulated(size: int, everyone: bool = False, reads: float = 0.0) -> SimulatedWorld:
    return SimulatedWorld(size, reads, Machine(), range(size) if everyone else None)


def flows(world: SimulatedWorld, rank: int) -> dict[str, Flows]:
    """What a rank's exchanges were in all."""
    found: dict[str, Flows] = {}
    for window in world.windows:
        added(found, window.costs[rank].exchanges, window.times)
    return found


# ---- programs ------------------------------------------------------------------------------------------------------


def jacobi() -> Any:
    u = np.zeros((60, 50))
    u[0, :] = 1.0
    for _ in range(7):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return u


def jacobi_on_a_grid() -> Any:
    """With many ranks both axes are cut, and corners travel too."""
    x = np.zeros((100, 100))
    x[0, :] = 1.0
    for _ in range(3):
        y = x.copy()
        y[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
        legate.fence()
        x = y
    return x


def cg() -> Any:
    def laplacian(x: Any) -> Any:
        y = 4.0 * x
        y[1:, :] -= x[:-1, :]
        y[:-1, :] -= x[1:, :]
        y[:, 1:] -= x[:, :-1]
        y[:, :-1] -= x[:, 1:]
        return y

    b = np.zeros((40, 40))
    b[10, 10] = 1.0
    x, r, p = np.zeros_like(b), b.copy(), b.copy()
    rs = (r * r).sum()
    for _ in range(4):
        ap = laplacian(p)
        alpha = rs / (p * ap).sum()
        x += alpha * p
        r -= alpha * ap
        new = (r * r).sum()
        p = r + (new / rs) * p
        rs = new
        legate.fence()
    return x


def saxpy() -> Any:
    x = np.arange(1000.0) + 0
    legate.fence()
    return 2.0 * x + x[::-1]


def sums() -> Any:
    x = np.arange(3000.0).reshape(30, 100)
    return x.sum(), x.max(axis=0), x.mean(axis=1), x.argmax(), np.cumsum(x, axis=0), x[3:4].sum()


def transpose() -> Any:
    x = np.arange(1200.0).reshape(30, 40) + 0
    legate.fence()
    y = x.T.copy()
    legate.fence()
    return x, y, y + x.reshape(40, 30)


def product() -> Any:
    """On a grid of ranks, by panels."""
    a = np.arange(1600.0).reshape(40, 40) + 0
    legate.fence()
    return a @ a


def rows() -> Any:
    x = np.ones((50, 20))
    return x - x[7], x * x[:, 3:4], x.reshape(20, 50)[::3]


def convolved() -> Any:
    x = np.arange(300.0) + 0
    legate.fence()
    return np.convolve(x, onp.ones(60)), np.correlate(x, onp.ones(7), "same")


PROGRAMS = [jacobi, jacobi_on_a_grid, cg, saxpy, sums, transpose, rows, convolved]


CASES = [(program, size) for program in PROGRAMS for size in (2, 4, 7)]


@pytest.mark.parametrize(("program", "size"), [*CASES, (jacobi_on_a_grid, 25)])
def test_counted_is_what_ranks_send(
    within: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, program: Program, size: int
) -> None:
    sent: dict[int, tuple[int, int]] = {}
    run_as = windows.World._as

    def listening(end: Comm, body: Any) -> None:
        run_as(end, body)
        messages, nbytes = sent.get(end.rank, (0, 0))
        sent[end.rank] = messages + end.traffic.messages, nbytes + end.traffic.nbytes

    monkeypatch.setattr(windows.World, "_as", staticmethod(listening))
    within(windows.World(size, range(size), None), program)
    world = simulated(size, everyone=True)
    within(world, program)
    found = {rank: flows(world, rank).values() for rank in range(size)}
    assert {
        rank: (sum(f.sent for f in each), sum(f.sent_bytes for f in each)) for rank, each in found.items()
    } == sent
    # what is sent arrives
    total = [f for each in found.values() for f in each]
    assert sum(f.sent_bytes for f in total) == sum(f.received_bytes for f in total)
    assert sum(f.sent for f in total) == sum(f.received for f in total)
    assert any(messages for messages, _ in sent.values())
    if size == 25:
        assert max(f.sent for w in world.windows for f in w.costs[12].exchanges.values()) == 8


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 33])
@pytest.mark.parametrize("elements", [1, 40_000, 40_001])
def test_combining_sends_as_many_bytes_as_counted(size: int, elements: int) -> None:
    def rank(end: Comm) -> tuple[int, int]:
        end.combine(onp.ones(elements), "sum")
        return end.traffic.messages, end.traffic.nbytes

    found = run_ranks(size, rank)
    assert found == [trees.combining(k, size, elements, 8) for k in range(size)]


def test_kinds_of_exchanges(within: Callable[..., Any]) -> None:
    world = simulated(4)
    within(world, jacobi)
    assert set(flows(world, 2)) == {"halo"}
    world = simulated(4)
    within(world, transpose)
    assert "redistribution" in flows(world, 2)
    world = simulated(4)
    within(world, lambda: (np.arange(100.0) + np.zeros(100)).sum())
    assert set(flows(world, 2)) == {"combine"}


# ---- memory --------------------------------------------------------------------------------------------------------


def test_memory_is_what_parts_take(within: Callable[..., Any]) -> None:
    def program() -> None:
        x = np.ones(8000)
        legate.fence()
        y = x + 1
        legate.fence()
        del x
        legate.fence()
        z = y * 2
        legate.fence()
        del y, z

    world = simulated(8)
    within(world, program)
    assert {ledger.peak for ledger in world.ledgers.values()} == {2 * 8000}
    runtime._plans.clear()
    assert {ledger.live for ledger in world.ledgers.values()} == {0}


def test_updates_in_place_take_no_memory(within: Callable[..., Any]) -> None:
    def program() -> Any:
        x = np.ones(8000)
        legate.fence()
        for _ in range(3):
            x += 1
            legate.fence()
        return x

    world = simulated(8)
    within(world, program)
    assert {ledger.peak for ledger in world.ledgers.values()} == {8000}


def test_a_read_takes_all_of_the_array_on_every_rank(
    within: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    world = simulated(8, reads=2.5)
    x = within(world, lambda: np.arange(8000.0))
    found = onp.asarray(x)
    assert (found == 2.5).all() and found.shape == (8000,)
    assert isinstance(x._store.buffer, Seen)
    assert world.flows[0] == Flows(1, 7, 7 * 8000, 7, 7 * 8000)
    assert {ledger.peak for ledger in world.ledgers.values()} == {8000 + 64000}
    line = f"test_simulation.py:{_line_of(test_a_read_takes_all_of_the_array_on_every_rank, 'onp.asarray(x)')} reads"
    told = capsys.readouterr().err
    assert line in told and "2.5" in told
    y = x + 1  # the parts are still there
    within(world, lambda: y)
    assert world.windows[-1].costs[0].exchanges == {}
    assert float(y[5]) == 2.5  # not 3.5: nothing is computed


def _line_of(function: Callable[..., Any], text: str) -> int:
    import inspect

    lines, first = inspect.getsourcelines(function)
    return first + next(k for k, line in enumerate(lines) if text in line)


def test_large_arrays_have_no_memory(within: Callable[..., Any]) -> None:
    def program() -> Any:
        x = np.ones((1 << 20, 1 << 20))  # 8 TiB
        for _ in range(3):
            x = x * 2 + x[::-1]
        return x, x.sum()

    world = simulated(4096)
    x, total = within(world, program)
    assert (1 << 43) // 4096 <= world.ledgers[0].peak < 4.1 * (1 << 43) // 4096
    assert float(total) == 0.0
    assert onp.asarray(x)[-1, -1] == 0.0  # address space only


def test_what_is_small_and_known_is_computed(
    within: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    runtime.fence()
    monkeypatch.setattr(runtime, "world", simulated(16))
    x = np.linspace(0.0, 1.0, 11)
    assert float(x[3]) == pytest.approx(0.3)
    large = x.sum() + np.zeros(100_000)
    assert float(large[0]) == 0.0
    small = large[:10].copy() + 1
    assert float(small[0]) == 0.0  # it depends on what is not known


# ---- many ranks ----------------------------------------------------------------------------------------------------


def test_planning_a_stencil_does_not_grow_with_ranks(within: Callable[..., Any]) -> None:
    looked = []
    for size in (64, 256, 1024, 4096):
        layout.Layout.box.cache_clear()
        layout.Need.box.cache_clear()
        side = 64 * math.isqrt(size)

        def program(side: int = side) -> Any:
            u = np.zeros((side, side))
            u[0, :] = 1.0
            v = u.copy()
            v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
            return v, (v - u).max()

        world = simulated(size)
        within(world, program)
        assert flows(world, world.own[1])["combine"].sent == size.bit_length() - 1
        assert flows(world, world.own[1])["halo"].sent == flows(world, world.own[1])["halo"].received == 8
        looked.append(layout.Layout.box.cache_info().misses + layout.Need.box.cache_info().misses)
    assert looked[-1] == looked[-2] <= 1.1 * looked[0], looked


@pytest.mark.parametrize("size", [64, 1024])
def test_channel_flow_exchanges_halos_only(
    within: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Steps of the loop leave nothing but the array; edges of the grid stay where they are; nothing is dealt out anew."""
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "examples"))
    cfd = importlib.import_module("cfd")
    side = 1000 * math.isqrt(size)
    world = simulated(size)
    legate.fence()
    runtime._plans.clear()
    monkeypatch.setattr(runtime, "world", world)
    cfd.channel_flow(side, side, 2, 50, None)
    legate.fence()
    share = 8 * side * side // size
    for rank in world.own:
        found = flows(world, rank)
        assert sum(f.sent_bytes for f in found.values()) < share
        assert max(f.sent_bytes for kind, f in found.items() if kind != "halo") < share // 20
        assert world.ledgers[rank].peak < 10 * share
    loops = [w for w in world.windows if w.times > 20]
    assert loops and all(len(w._outputs) == 1 for w in loops)


def test_ranks_that_are_looked_at() -> None:
    assert [looked_at(n) for n in (1, 2, 3, 4, 16, 4096)] == [
        (0,), (0, 1), (0, 1, 2), (0, 2, 3), (0, 10, 15), (0, 2080, 4095),
    ]  # fmt: skip


# ---- time and report -----------------------------------------------------------------------------------------------


def test_time_follows_the_machine(within: Callable[..., Any]) -> None:
    world = simulated(4)
    within(world, jacobi)
    window = max(world.windows, key=lambda w: len(w.costs[2].exchanges))
    cost = window.costs[2]
    none = dict.fromkeys(("record", "flush", "launch", "call", "exchange", "latency"), 0.0)
    slow = Machine(bandwidth=1.0, cache=0.0, network=1e30, operations=1e30, **none).seconds(cost, 4)
    assert slow.kernels == pytest.approx(sum(moved for moved, _ in cost.launches))
    halo = cost.exchanges["halo"]
    far = Machine(bandwidth=1e30, cache=0.0, operations=1e30, network=1.0, **none).seconds(cost, 4)
    assert far.exchanges == pytest.approx(halo.sent_bytes)
    late = Machine(bandwidth=1e30, cache=0.0, operations=1e30, network=1e30, **(none | {"latency": 1.0}))
    assert late.seconds(cost, 4).exchanges == pytest.approx(halo.sent)
    assert late.seconds(cost, 4).overhead == pytest.approx(2.0)  # four ranks agree in two rounds


def test_matrix_products_run_at_their_own_speed(within: Callable[..., Any]) -> None:
    world = simulated(4)

    def program() -> Any:
        a = np.ones((64, 64))
        legate.fence()
        return a @ a

    within(world, program)
    works = [each for w in world.windows for each in w.costs[0].calls if each.gemm]
    assert [(each.gemm, each.operations) for each in works] == [(8, 2 * 16 * 64 * 64)]


def test_report(within: Callable[..., Any]) -> None:
    world = simulated(4)
    within(world, cg)
    found = report.collected(world)
    assert found["ranks"] == 4 and set(found["total"]) == {"0", "2", "3"}
    total = found["total"]["2"]
    for kind, each in flows(world, 2).items():
        assert total["exchanges"][kind]["sent_bytes"] == each.sent_bytes
    assert total["moved_bytes"] == sum(w["times"] * w["ranks"]["2"]["moved_bytes"] for w in found["windows"])
    assert found["seconds"] == pytest.approx(sum(w["times"] * w["seconds"] for w in found["windows"]))
    assert max(w["times"] for w in found["windows"]) >= 2
    text = report.text(found)
    assert "simulated on 4 ranks" in text and "rank 2" in text and "test_simulation.py:" in text
