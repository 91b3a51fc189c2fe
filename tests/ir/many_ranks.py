"""All ranks of a distributed graph in one process: each runs its own graph with NumPy, and they meet at exchanges."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from legate_jit import collectives
from legate_jit.backends import interpret
from legate_jit.comm.threads import ThreadComm, run_ranks
from legate_jit.ir.checks import verify
from legate_jit.ir.dtypes import code
from legate_jit.ir.fuse import fuse
from legate_jit.ir.lower import lower
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.pieces import split_updates
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.distribute import Collective, Combine, Distributed, Fetch, distribute, what
from legate_jit.ir.ranks.layout import Box, Layout
from legate_jit.ir.ranks.overlap import overlap
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.schedule import schedule
from legate_jit.ir.steps import Call, Schedule

#: tests put another in its place
_program = interpret.Program


class Counted:
    """What one run moved between ranks."""

    def __init__(self) -> None:
        self.bytes = 0
        self.messages = 0
        self.fetches = 0
        self.combines = 0
        self.collectives = 0


def slices(box: Box) -> tuple[slice, ...]:
    """A box as an index."""
    return tuple(slice(lo, hi) for lo, hi in box)


def shards(whole: np.ndarray, of: Layout, ranks: int) -> list[np.ndarray]:
    """The part of every rank."""
    return [
        np.ascontiguousarray(whole[slices(of.box(r))]).reshape(layout.extents(of.box(r)))
        for r in range(ranks)
    ]


def joined(parts: Sequence[np.ndarray], of: Layout) -> np.ndarray:
    """The array whose parts these are; every element must be held by exactly one rank, or by all alike."""
    whole = np.zeros(of.shape, parts[0].dtype)
    seen = np.zeros(of.shape, int)
    for r, part in enumerate(parts):
        box = of.box(r)
        assert part.shape == layout.extents(box), (part.shape, box)
        if of.is_replicated and r:
            assert part.tobytes() == parts[0].tobytes(), "ranks hold different copies"
            continue
        whole[slices(box)] = part
        seen[slices(box)] += 1
    assert (seen == 1).all(), "elements without an owner, or with several"
    return whole


def rank_steps(
    graph: Graph, inputs: Sequence[np.ndarray], scalars: Sequence[Any]
) -> Generator[Any, Any, None]:
    """One rank's run: yields (exchange, its operands), is sent the result; yields the values of the roots at last."""
    values: dict[int, Any] = {}
    functions = {number: (f, sources) for number, f, sources in _program(graph)._steps}
    with np.errstate(all="ignore"):
        for n in graph.nodes:
            if n.kind is Kind.BUFFER:
                values[n.number] = inputs[number_of(n)]
                assert values[n.number].shape == n.shape
            elif n.kind is Kind.SCALAR:
                values[n.number] = np.asarray(scalars[number_of(n)]).astype(n.dtype)
            elif (exchange := what(n)) is not None:
                values[n.number] = yield exchange, [values[s.number] for s in n.src]
                assert values[n.number].shape == n.shape, (n, values[n.number].shape, n.shape)
            else:
                f, sources = functions[n.number]
                values[n.number] = f(*[values[s] for s in sources])
                if n.kind is not Kind.CALL or not isinstance(values[n.number], dict):
                    assert np.shape(values[n.number]) == n.shape, (n, np.shape(values[n.number]), n.shape)
    yield None, [np.asarray(values[r.number]) for r in graph.roots]


def number_of(n: Node) -> int:
    """The slot of an input."""
    assert isinstance(n.arg, int)
    return n.arg


def run(
    graph: Graph, inputs: Sequence[np.ndarray], layouts: Sequence[Layout], scalars: Sequence[Any], ranks: int
) -> tuple[list[np.ndarray], list[Distributed], Counted]:
    """The whole values of the roots, computed by so many ranks; their graphs; and what they moved."""
    made = [distribute(graph, layouts, ranks, r) for r in range(ranks)]
    calls = [compiled(d.graph, len(scalars), r, ranks) for r, d in enumerate(made)]
    assert all(c == calls[0] for c in calls), "ranks schedule different exchanges"
    for d in made:
        verify.verify_graph(d.graph, "simplified")
        assert d.layouts == made[0].layouts
        assert d.exchanges == made[0].exchanges
    parts = [shards(x, of, ranks) for x, of in zip(inputs, layouts, strict=True)]
    running = [rank_steps(d.graph, [p[r] for p in parts], scalars) for r, d in enumerate(made)]
    counted = Counted()
    asked = [next(g) for g in running]
    while asked[0][0] is not None:
        exchange = asked[0][0]
        assert all(a[0] == exchange for a in asked), "ranks meet at different exchanges"
        results = carry_out(exchange, [[np.asarray(x) for x in a[1]] for a in asked], counted)
        asked = [g.send(x) for g, x in zip(running, results, strict=True)]
    assert all(a[0] is None for a in asked)
    roots = [joined([a[1][k] for a in asked], of) for k, of in enumerate(made[0].layouts)]
    return roots, made, counted


def compiled(graph: Graph, scalars: int, rank: int, ranks: int) -> list[Any]:
    """The exchanges of the schedule the compiler makes of one rank's graph, in order; every stage is verified."""
    pieces = split_updates(graph)
    verify.verify("pieces", pieces)
    lowered = lower(pieces)
    verify.verify("lowered", lowered)
    fused = fuse(lowered)
    verify.verify("fused", fused)
    kinds = {number_of(n): code(n.dtype) for n in graph.nodes if n.kind is Kind.SCALAR}
    inputs = 1 + max((number_of(n) for n in graph.nodes if n.kind is Kind.BUFFER), default=-1)
    done = schedule(fused, [False] * inputs, tuple(kinds.get(k, "f8") for k in range(scalars)), inputs)
    verify.verify("schedule", done)
    done = overlap(done, rank, ranks)
    verify.verify("schedule", done)
    return starts(done)


def starts(schedule: Schedule) -> list[Any]:
    """What the ranks must do in the same order: begin groups of fetches, and the other exchanges."""
    found: list[Any] = []
    begun: set[int] = set()
    finished: set[int] = set()
    groups: set[int] = set()
    for step in schedule.steps:
        options = dict(step.spec.options) if isinstance(step, Call) else {}
        if "fetches" in options:
            found.append(options["fetches"])
            begun |= {f.number for f in options["fetches"]}
            groups.add(options["fetches"][0].group)
        elif (exchange := options.get("what")) is None:
            continue
        elif isinstance(exchange, Fetch) and exchange.group >= 0:
            assert exchange.number in begun and exchange.number not in finished
            finished.add(exchange.number)
            groups.discard(exchange.group)
        else:
            found.append(exchange)
    assert finished <= begun and not groups, "nobody waits for what was begun"
    return found


def carry_out(
    exchange: Fetch | Combine | Collective, given: list[list[np.ndarray]], counted: Counted
) -> list[np.ndarray]:
    """The results of an exchange."""
    if isinstance(exchange, Collective):
        return collective(exchange, given, counted)
    operands = [xs[0] for xs in given]
    if isinstance(exchange, Fetch):
        return fetch(exchange, operands, counted)
    counted.combines += 1
    ufunc = getattr(np, exchange.op)
    counting = [r for r in range(len(operands)) if exchange.counts(r)] or [0]
    if exchange.before:
        out = []
        for r in range(len(operands)):
            total = np.full_like(operands[r], ufunc.identity)
            for k in counting:
                total = ufunc(total, operands[k], dtype=total.dtype) if k < r else total
            out.append(np.asarray(total))
        return out
    total = operands[counting[0]]
    for k in counting[1:]:
        total = ufunc(total, operands[k], dtype=total.dtype)
    return [np.array(total) for _ in operands]


def collective(exchange: Collective, given: list[list[np.ndarray]], counted: Counted) -> list[np.ndarray]:
    """Every rank's part of what the ranks compute together."""
    counted.collectives += 1

    def program(comm: ThreadComm) -> np.ndarray:
        for x, of in zip(given[comm.rank], exchange.operands, strict=True):
            assert x.shape == layout.extents(of.box(comm.rank))
        dtype = exchange.dtype
        out = np.full(layout.extents(exchange.result.box(comm.rank)), 77).astype(dtype)
        collectives.run(comm, given[comm.rank], [out], exchange)
        return out

    return run_ranks(len(given), program)


def fetch(exchange: Fetch, operands: list[np.ndarray], counted: Counted) -> list[np.ndarray]:
    """Every rank's box, from the parts that overlap with it."""
    counted.fetches += 1
    out = []
    for r, own in enumerate(operands):
        box = exchange.wanted.box(r)
        result = np.full(layout.extents(box), 77).astype(own.dtype)
        missing = layout.size(box)
        if exchange.source.is_replicated:
            givers = [r]
        else:
            givers = exchange.source.owners(box) if missing else []
        for k in givers:
            there = exchange.source.box(k)
            shared = layout.intersection(box, there)
            assert operands[k].shape == layout.extents(there), (operands[k].shape, there)
            moving = layout.size(shared)
            missing -= moving
            if k != r and moving:
                counted.bytes += moving * own.dtype.itemsize
                counted.messages += 1
            result[slices(layout.shifted(shared, box))] = operands[k][slices(layout.shifted(shared, there))]
        assert not missing, "elements nobody holds"
        out.append(result)
    return out
