"""The verifiers find faults planted in the results of every stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.ir import dtypes, passes
from legate_jit.ir.checks.verify import VerifyError, verify
from legate_jit.ir.fuse import Cluster, Fused
from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node, array_type
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.schedule import Launch, Schedule


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    """Every stage of a window with a stencil update, a reduction and an elementwise result."""
    x = np.array([float(k) for k in range(40)]).reshape(5, 8)
    legate.fence()
    runtime._plans.clear()
    found: dict[str, Any] = {}
    observer: Callable[[str, Any], None] = found.__setitem__
    passes.observers.append(observer)
    try:
        x[1:-1, 1:] = x[2:, 1:] + x[:-2, :-1]
        y = (x * 2.0 + 1.0).sum(axis=1)
        z = y + 1.0
        legate.fence()
    finally:
        passes.observers.remove(observer)
    assert float(z[0]) == float(y[0]) + 1
    return found


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph.nodes if n.op.name == name)


def changed(graph: Graph, old: Node, **parts: Any) -> Graph:
    """The graph with one node's parts replaced (sources that pointed to it still do)."""
    fields = {"op": old.op, "src": old.src, "arg": old.arg, "type_": old.type, "number": old.number} | parts
    new = Node(**fields)
    nodes = tuple(new if n is old else n for n in graph.nodes)
    return Graph(nodes, tuple(new if r is old else r for r in graph.roots))


def test_good_stages_pass(stages: dict[str, Any]) -> None:
    assert {"graph", "simplified", "lowered", "fused", "schedule"} <= stages.keys()
    for stage, result in stages.items():
        verify(stage, result)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("multiply", {"type_": array_type((5, 7), dtypes.FLOAT64)}),
        ("add", {"src": ()}),
        ("sum", {"arg": (2,)}),
        ("sum", {"arg": (1, 0)}),
        ("move", {"arg": Affine((3, 7), ((2, 1, 0), (1, 2, 1)))}),
        ("move", {"arg": Affine((3, 7), ((-1, 1, 0), (1, 1, 1)))}),
        ("update", {"arg": Affine((3, 7), ((1, 0, -1), (1, 1, 1)))}),
        ("buffer", {"number": 7}),
    ],
)
def test_broken_graphs(stages: dict[str, Any], name: str, parts: dict[str, Any]) -> None:
    graph = stages["simplified"]
    with pytest.raises(VerifyError):
        verify("simplified", changed(graph, node(graph, name), **parts))


def test_broken_order(stages: dict[str, Any]) -> None:
    graph: Graph = stages["graph"]
    with pytest.raises(VerifyError, match="numbered"):
        verify("graph", Graph(graph.nodes[::-1], graph.roots))


def test_clusters_in_the_wrong_order(stages: dict[str, Any]) -> None:
    fused: Fused = stages["fused"]
    assert len(fused.steps) > 1
    with pytest.raises(VerifyError, match="before it is made"):
        verify("fused", Fused(fused.graph, fused.steps[::-1], fused.materialized))


def test_value_that_nobody_makes(stages: dict[str, Any]) -> None:
    fused: Fused = stages["fused"]
    steps = [s for s in fused.steps if not (isinstance(s, Cluster) and s.reduction)]
    with pytest.raises(VerifyError):
        verify("fused", Fused(fused.graph, steps, fused.materialized))


def launches(schedule: Schedule) -> list[Launch]:
    return [s for s in schedule.steps if isinstance(s, Launch)]


def with_launch(schedule: Schedule, old: Launch, new: Launch) -> Schedule:
    return replace(schedule, steps=tuple(new if s is old else s for s in schedule.steps))


def test_units_that_do_not_cover(stages: dict[str, Any]) -> None:
    schedule: Schedule = stages["schedule"]
    for launch in launches(schedule):
        nest = launch.nest._replace(units=launch.nest.units + 1)
        with pytest.raises(VerifyError, match="units"):
            verify("schedule", with_launch(schedule, launch, launch._replace(nest=nest)))


def test_operands_outside_their_memory(stages: dict[str, Any]) -> None:
    schedule: Schedule = stages["schedule"]
    for launch in launches(schedule):
        places = [p._replace(offset=p.offset + 1000) for p in launch.nest.places]
        nest = launch.nest._replace(places=tuple(places))
        with pytest.raises(VerifyError, match="outside"):
            verify("schedule", with_launch(schedule, launch, launch._replace(nest=nest)))


def test_untrue_stride_class(stages: dict[str, Any]) -> None:
    schedule: Schedule = stages["schedule"]
    launch = launches(schedule)[0]
    kernel = launch.nest.kernel
    first = kernel.operands[0]._replace(strides=(0,) * kernel.ndim)
    nest = launch.nest._replace(kernel=replace(kernel, operands=(first, *kernel.operands[1:])))
    with pytest.raises(VerifyError, match="stride class"):
        verify("schedule", with_launch(schedule, launch, launch._replace(nest=nest)))


def test_kernel_that_uses_a_value_before_it_is_made(stages: dict[str, Any]) -> None:
    schedule: Schedule = stages["schedule"]
    launch = next(s for s in launches(schedule) if any(i.args for i in s.nest.kernel.sections[0].instrs))
    kernel = launch.nest.kernel
    section = kernel.sections[0]
    instrs = tuple(i._replace(args=tuple(a + 9 for a in i.args)) for i in section.instrs)
    bad = replace(kernel, sections=(section._replace(instrs=instrs), *kernel.sections[1:]))
    with pytest.raises(VerifyError):
        verify(
            "schedule", with_launch(schedule, launch, launch._replace(nest=launch.nest._replace(kernel=bad)))
        )


def test_two_live_values_in_one_slot() -> None:
    """Only shadow memory can see this one."""
    a = np.array([1.0, 2.0, 3.0, 4.0])
    legate.fence()
    runtime._plans.clear()
    found: dict[str, Any] = {}
    passes.observers.append(found.__setitem__)
    try:
        b, c = a + 1.0, a[::-1] * 2.0
        legate.fence()
    finally:
        passes.observers.remove(found.__setitem__)
    del b, c
    schedule: Schedule = found["schedule"]
    verify("schedule", schedule)
    shared = tuple(s._replace(slot=0) if s.source < 0 else s for s in schedule.storages)
    with pytest.raises(VerifyError):
        verify("schedule", replace(schedule, storages=shared))
