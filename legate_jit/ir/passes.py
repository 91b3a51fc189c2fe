"""The pass pipeline: from a recorded tape to a schedule, each stage by name so that it can be dumped and verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from legate_jit.ir.bands import chained
from legate_jit.ir.build import decode
from legate_jit.ir.fuse import fuse
from legate_jit.ir.lower import lower
from legate_jit.ir.ops import Kind
from legate_jit.ir.pieces import split_updates
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.schedule import schedule
from legate_jit.ir.simplify import simplify
from legate_jit.ir.steps import Schedule
from legate_jit.ir.unroll import unroll

Observer = Callable[[str, Any], None]

#: called with (stage name, its result) for every compiled window; the debug room adds to it
observers: list[Observer] = []


def compile_window(code: Sequence[Any], live: Sequence[int], exclusive: Sequence[bool]) -> Schedule:
    """The schedule of a tape whose values `live` must exist afterwards; output k of the schedule is live[k]."""
    decoded = decode(code)
    graph = decoded.graph(live)
    observe("graph", graph)
    graph = simplify(graph)
    observe("simplified", graph)
    inputs = sum(1 for sig in decoded.values if sig.kind is Kind.BUFFER)
    return compile_graph(graph, exclusive, decoded.scalars, inputs)


def compile_graph(
    graph: Graph,
    exclusive: Sequence[bool],
    scalars: tuple[str, ...],
    inputs: int,
    reorder: Callable[[Schedule], Schedule] | None = None,
) -> Schedule:
    """The schedule of a simplified graph with so many input buffers and scalars of these dtypes; `reorder`: a last pass."""
    graph = split_updates(graph)
    observe("pieces", graph)
    graph = lower(unroll(graph))
    observe("lowered", graph)
    fused = fuse(graph)
    observe("fused", fused)
    result = schedule(fused, exclusive, scalars, inputs)
    result = chained(result if reorder is None else reorder(result))
    observe("schedule", result)
    return result


def observe(stage: str, result: Any) -> None:
    """Show the result of a stage to whoever looks. With ranks, 'rank' says whose plan the next ones are of."""
    for observer in observers:
        observer(stage, result)
