"""Exchanges are begun early and finished late, with kernels in between, in one order on every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import cupynumeric as np
from legate_jit import runtime
from legate_jit.cli import dump
from legate_jit.ir.build import decode
from legate_jit.ir.fuse import fuse
from legate_jit.ir.lower import lower
from legate_jit.ir.pieces import split_updates
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.distribute import distribute
from legate_jit.ir.ranks.overlap import overlap
from legate_jit.ir.schedule import schedule
from legate_jit.ir.simplify import simplify
from legate_jit.ir.steps import Launch, Schedule
from tests.ir.many_ranks import starts

SIDE = 400


def scheduled(program: Callable[[Any], Any], ranks: int, rank: int) -> Schedule:
    """The steps of a rank for a program of one array of SIDE x SIDE, cut along rows."""
    x = np.array(onp.ones((SIDE, SIDE)))
    runtime.fence()
    keys: list[Any] = []
    planner = runtime._plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "_plan", lambda key: keys.append(key) or planner(key))
        runtime._plans.clear()
        kept = program(x)
        runtime.fence()
    del kept
    ((code, live, exclusive),) = keys
    decoded = decode(code)
    inputs = [layout.tiled((SIDE, SIDE), 0, ranks)] * len(exclusive)
    made = distribute(simplify(decoded.graph(live)), inputs, ranks, rank)
    fused = fuse(lower(split_updates(made.graph)))
    return overlap(schedule(fused, [True] * len(inputs), decoded.scalars, len(inputs)), rank, ranks)


def names(plan: Schedule) -> list[str]:
    """The exchanges, and the launches between them by whether they are large."""
    found = []
    for s in plan.steps:
        if isinstance(s, Launch):
            text = "large" if s.nest.units * s.nest.work > 20 * SIDE else "small"
            found += [text] * (not found or found[-1] != text)
        else:
            found.append(s.spec.name)
    return found


def sweeps(x: Any) -> Any:
    for _ in range(2):
        y = x.copy()
        y[1:-1] = 0.5 * (x[:-2] + x[2:])
        x = y
    return x


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_middle_is_computed_while_halos_travel(rank: int) -> None:
    found = names(scheduled(sweeps, 3, rank))
    assert found.count("begin") == 2 and found.count("fetch") == (4 if rank == 1 else 2)
    first = found.index("begin")
    assert "large" in found[first : found.index("fetch")]
    second = found.index("begin", first + 1)
    last = len(found) - 1 - found[::-1].index("fetch")
    assert "large" in found[second:last] and found.index("fetch") < second


def edges(x: Any) -> Any:
    """What a periodic channel does: the middle and both ends of the rows, from one array."""
    y = x.copy()
    y[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1]
    y[1:-1, -1] = x[:-2, -1] + x[2:, -1]
    y[1:-1, 0] = x[:-2, 0] + x[2:, 0]
    return y


def test_fetches_of_one_value_are_begun_together() -> None:
    plans = [scheduled(edges, 3, rank) for rank in range(3)]
    (fetches,) = starts(plans[1])
    assert len(fetches) > 2
    assert all(starts(p) == [fetches] for p in plans)


def mixed(x: Any) -> Any:
    total = x.sum()
    y = x * 2
    z = y[1:] + y[:-1]
    return [x[:-1] + x[1:] * total, z.sum(), z[::-1] * 1.5]


@pytest.mark.parametrize("program", [sweeps, edges, mixed])
def test_every_rank_starts_in_the_same_order(program: Callable[[Any], Any]) -> None:
    every = [starts(scheduled(program, 4, rank)) for rank in range(4)]
    assert every[0] and all(found == every[0] for found in every)
    numbers = [
        e[0].number if isinstance(e, tuple) and not hasattr(e, "number") else e.number for e in every[0]
    ]
    assert numbers == sorted(numbers)


def test_large_fetches_are_not_staged() -> None:
    def transposed(x: Any) -> Any:
        return x + x.T

    plan = scheduled(transposed, 2, 0)
    assert names(plan).count("begin") == 0 and names(plan).count("fetch") == 1


def laplacian(x: Any) -> Any:
    y = 4.0 * x
    y[1:, :] -= x[:-1, :]
    y[:-1, :] -= x[1:, :]
    y[:, 1:] -= x[:, :-1]
    y[:, :-1] -= x[:, 1:]
    return y


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_updates_cut_in_strips_are_one_sweep(rank: int) -> None:
    """Every element is written once, as on one rank, and most of them while halos travel."""
    plan = scheduled(laplacian, 3, rank)
    written = [dump.step_bytes(s)[1] if isinstance(s, Launch) else 0 for s in plan.steps]
    part = layout.size(layout.tiled((SIDE, SIDE), 0, 3).box(rank)) * 8
    assert sum(written) == part
    text = [s.spec.name if not isinstance(s, Launch) else "" for s in plan.steps]
    assert sum(written[text.index("begin") : text.index("fetch")]) > 0.95 * part
