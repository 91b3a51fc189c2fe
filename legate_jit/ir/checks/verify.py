"""Verifiers: what must hold of the result of every stage, checked between passes in tests and with LEGATE_JIT_VERIFY=1.

`verify(stage, result)` is an observer of the pass pipeline. It raises `VerifyError`, which names the stage and the node, and
changes nothing. Small schedules are also run on a shadow of their memory (see `shadow`), where every byte knows who wrote it.
"""

from __future__ import annotations

import math
from typing import Any

from legate_jit.ir import dtypes, fuse, index
from legate_jit.ir.build import CallSpec
from legate_jit.ir.fuse import Cluster, Fused
from legate_jit.ir.index import Affine
from legate_jit.ir.lower import Reduction
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind, fusable
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.steps import Call, Launch, Schedule
from legate_jit.ir.tasks.task import TaskArg


class VerifyError(AssertionError):
    """A stage produced something that breaks its own rules: a fault of this package, never of the user's program."""


def require(condition: object, stage: str, what: object, message: str) -> None:
    """Raise VerifyError unless `condition` holds."""
    if not condition:
        raise VerifyError(f"{stage}: {message}: {what!r}")


def verify(stage: str, result: Any) -> None:
    """Check the result of a stage; VerifyError when it is malformed."""
    match result:
        case Graph():
            verify_graph(result, stage)
        case Fused():
            verify_fused(result, stage)
        case Schedule():
            verify_schedule(result, stage)
        case _:
            pass


# ---- graphs ------------------------------------------------------------------------------------------------------


def verify_graph(graph: Graph, stage: str = "graph") -> None:
    """Topological order, numbering, one node per value, roots inside, and every node's own rules."""
    seen: set[Any] = set()
    for k, n in enumerate(graph.nodes):
        require(n.number == k, stage, n, f"numbered {n.number} at position {k}")
        require(
            all(s.number < k and graph.nodes[s.number] is s for s in n.src),
            stage,
            n,
            "a source does not come before it",
        )
        key = (n.op, n.src, n.arg, n.type)
        require(key not in seen or n.kind is Kind.CONST, stage, n, "appears twice")
        seen.add(key)
        verify_node(n, stage)
    for r in graph.roots:
        require(
            r.number < len(graph.nodes) and graph.nodes[r.number] is r, stage, r, "root outside the graph"
        )


def verify_node(n: Node, stage: str) -> None:
    """Shapes, dtypes and arguments of one node."""
    require(dtypes.is_supported(n.dtype), stage, n, "dtype outside the graph")
    match n.kind:
        case Kind.MAP:
            _map(n, stage)
        case Kind.MOVE:
            require(n.dtype == n.src[0].dtype, stage, n, "a move changes the dtype")
            _view(n.arg, n.src[0].shape, n.shape, n, stage)
        case Kind.RESHAPE:
            same = n.dtype == n.src[0].dtype and n.type.size == n.src[0].type.size
            require(same, stage, n, "a reshape changes size or dtype")
        case Kind.BITCAST:
            same = n.shape == n.src[0].shape and n.dtype.itemsize == n.src[0].dtype.itemsize
            require(same, stage, n, "a bitcast changes shape or item size")
        case Kind.REDUCE:
            _reduce(n, stage)
        case Kind.SCAN:
            ok = n.type is n.src[0].type and isinstance(n.arg, int) and 0 <= n.arg < n.type.ndim
            require(ok, stage, n, "a scan's type or axis")
        case Kind.UPDATE:
            _update(n, stage)
        case Kind.GENERATE:
            _generate(n, stage)
        case Kind.CALL:
            require(isinstance(n.arg, CallSpec), stage, n, "a call without a CallSpec")
        case Kind.ITEM:
            ok = n.src[0].kind in (Kind.CALL, Kind.TASK) and isinstance(n.arg, int) and n.arg >= 0
            require(ok, stage, n, "an item of something else than a call")
        case Kind.BUFFER:
            require(not n.src and isinstance(n.arg, int), stage, n, "a buffer without a number")
        case Kind.SCALAR:
            require(not n.src and isinstance(n.arg, int) and not n.shape, stage, n, "a scalar without a slot")
        case Kind.CONST:
            require(not n.src and not n.shape, stage, n, "a constant with a shape")
        case Kind.TASK:
            _task(n, stage)
        case Kind.GATHER | Kind.SCATTER:
            pass


def _view(view: Any, base: tuple[int, ...], shape: tuple[int, ...], n: Node, stage: str) -> None:
    require(isinstance(view, Affine), stage, n, "no index map")
    require(view.shape == shape, stage, n, f"the map's shape {view.shape} is not {shape}")
    require(len(view.axes) == len(base), stage, n, "the map has another number of base axes")
    used = [axis for _, _, axis in view.axes if axis >= 0]
    require(all(axis < len(shape) for axis in used), stage, n, "the map refers to an axis that is not there")
    if 0 not in shape:
        inside = all(0 <= lo < hi <= m for (lo, hi), m in zip(index.bounding_box(view), base, strict=True))
        require(inside, stage, n, "the map leaves its base")


def _map(n: Node, stage: str) -> None:
    import numpy as np

    op, given = n.op, [s.dtype for s in n.src]
    require(op.arity < 0 or len(n.src) == op.arity, stage, n, "number of operands")
    try:
        shape = np.broadcast_shapes(*(s.shape for s in n.src))
    except ValueError:
        raise VerifyError(f"{stage}: operands do not broadcast: {n!r}") from None
    require(shape == n.shape, stage, n, f"shape {n.shape} instead of {shape}")
    if op.name == "user":
        return
    loop = given[1:] if op.name == "where" else given
    require(all(fusable(op, d) for d in loop), stage, n, f"kernels cannot compute it in {loop}")
    require(op.name == "complex" or len(set(loop)) == 1, stage, n, f"operands of different dtypes {loop}")
    match op.name:
        case "cast":
            wanted = n.dtype
        case "where":
            require(given[0] == dtypes.BOOL, stage, n, "condition is not boolean")
            wanted = loop[0]
        case "real" | "imag":
            wanted = np.empty(0, given[0]).real.dtype
        case "complex":
            wanted = np.result_type(given[0], np.complex64)
        case "erf" | "erfc" | "rsqrt" | "rsqrt3":
            wanted = given[0]
        case _:
            assert op.ufunc is not None
            wanted = op.ufunc.resolve_dtypes((*given, None))[-1]
    require(n.dtype == wanted, stage, n, f"dtype {n.dtype} instead of {wanted}")


def _reduce(n: Node, stage: str) -> None:
    arg, source = n.arg, n.src[0]
    lowered = isinstance(arg, Reduction)
    require(
        lowered or stage in ("graph", "simplified", "pieces"), stage, n, "a reduction that is not lowered"
    )
    axes = arg.axes if isinstance(arg, Reduction) else arg
    ordered = (
        isinstance(axes, tuple)
        and list(axes) == sorted(set(axes))
        and all(0 <= d < source.type.ndim for d in axes)
    )
    require(ordered, stage, n, f"axes {axes}")
    assert isinstance(axes, tuple)
    kept = tuple(m for d, m in enumerate(source.shape) if d not in axes)
    if isinstance(arg, Reduction) and arg.block:
        along = math.prod(source.shape[d] for d in axes) if arg.inner in axes else source.shape[axes[0]]
        blocks = -(-along // arg.block)
        kept = (*kept, blocks) if arg.inner in axes else (blocks, *kept)
    require(n.shape == kept, stage, n, f"shape {n.shape} instead of {kept}")
    position = n.op.combine in ("argmax", "argmin")
    require(
        n.dtype == (dtypes.INT64 if position else source.dtype),
        stage,
        n,
        f"dtype {n.dtype} of {source.dtype}",
    )


def _update(n: Node, stage: str) -> None:
    old, value = n.src
    require(n.type is old.type, stage, n, "an update changes the type")
    require(value.dtype == n.dtype, stage, n, f"a value of {value.dtype} for {n.dtype}")
    assert isinstance(n.arg, Affine)
    _view(n.arg, n.shape, n.arg.shape, n, stage)
    require(index.is_writable(n.arg), stage, n, "writes an element twice")
    require(
        _broadcasts(value.shape, n.arg.shape),
        stage,
        n,
        f"value {value.shape} does not broadcast to {n.arg.shape}",
    )


def _task(n: Node, stage: str) -> None:
    arg = n.arg
    require(isinstance(arg, TaskArg), stage, n, "a task without a TaskArg")
    assert isinstance(arg, TaskArg)
    require(n.src[-1].kind is Kind.SCALAR, stage, n, "a task without its launch")
    for a in arg.arguments:
        if not a.written:
            require(a.at < arg.inputs, stage, n, f"argument {a} is no input")
            continue
        require(arg.inputs + a.at < len(n.src) - 1, stage, n, f"argument {a} is no written array")
        if a.view is not None:
            _view(a.view, n.src[arg.inputs + a.at].shape, a.view.shape, n, stage)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    tail = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape, tail, strict=True))


def _generate(n: Node, stage: str) -> None:
    match n.op.name:
        case "full":
            ok = len(n.src) == 1 and not n.src[0].shape and n.src[0].dtype == n.dtype
        case "index":
            ok = isinstance(n.arg, int) and 0 <= n.arg < n.type.ndim and n.dtype == dtypes.INT64
        case "random":
            ok = len(n.src) == 2 and all(s.dtype.str[1:] == "u8" for s in n.src)
        case _:
            ok = not n.src
    require(ok, stage, n, "a malformed generator")


# ---- clusters ----------------------------------------------------------------------------------------------------


def verify_fused(fused: Fused, stage: str = "fused") -> None:
    """Every stored value is computed once, after what it reads; clusters read only what can be there."""
    verify_graph(fused.graph, stage)
    made: dict[Node, int] = {}
    for k, step in enumerate(fused.steps):
        if isinstance(step, Cluster):
            _cluster(step, k, fused, made, stage)
        else:
            for s in step.src:
                if s.kind is Kind.GENERATE and s in fuse.written_by(step):
                    continue  # made where it is written
                lies = fuse.lying_in(s, fused.materialized)
                require(_there(lies, made, k), stage, step, f"reads {lies!r} before it is made")
            require(step not in made, stage, step, "made twice")
            made[step] = k
    for n in fused.materialized:
        require(
            _origin(n) in made or _origin(n).kind in (Kind.BUFFER, Kind.SCALAR, Kind.CONST),
            stage,
            n,
            "never made",
        )


def _origin(n: Node) -> Node:
    while n.kind in (Kind.RESHAPE, Kind.BITCAST):
        n = n.src[0]
    return n


def _there(n: Node, made: dict[Node, int], step: int) -> bool:
    n = _origin(n)
    return n.kind in (Kind.BUFFER, Kind.SCALAR, Kind.CONST) or made.get(n, step) < step


def _cluster(cluster: Cluster, k: int, fused: Fused, made: dict[Node, int], stage: str) -> None:
    inside: set[Node] = set()
    for item in cluster.items:
        require(item.node not in made and item.node not in inside, stage, item.node, "made twice")
        require(item.node in fused.materialized, stage, item.node, "computed but not stored")
        expand = item.node if item.role in ("map", "outer") else None
        reads = fuse.reads_of(item.expression, item.view, fused.materialized, expand)
        for r, view in reads:
            if r in cluster.produced:
                require(r in inside, stage, item.node, f"reads {r!r} before it is made in its own cluster")
                require(
                    cluster.reduction is None or cluster.is_row,
                    stage,
                    item.node,
                    f"reads {r!r} inside a column reduction",
                )
                continue
            require(_there(r, made, k), stage, item.node, f"reads {r!r} before it is made")
            require((r, view) in cluster.reads, stage, item.node, f"reads {r!r} without the cluster knowing")
        if item.role == "update":
            old = item.node.src[0]
            ready = old.kind is Kind.GENERATE or _there(old, made, k)
            require(ready, stage, item.node, f"updates {old!r} before it is made")
        inside.add(item.node)
    made.update(dict.fromkeys(inside, k))


# ---- schedules ---------------------------------------------------------------------------------------------------


def verify_schedule(schedule: Schedule, stage: str = "schedule") -> None:
    """Kernels, launches and memory; small schedules also by running them on shadow memory."""
    from legate_jit.ir.checks import shadow, verify_nest

    for s in schedule.storages:
        if s.source >= 0:
            require(s.source < schedule.inputs, stage, s, "an input that is not there")
        else:
            require(0 <= s.slot < len(schedule.slots), stage, s, "a slot that is not there")
            require(
                s.nbytes <= schedule.slots[s.slot],
                stage,
                s,
                f"does not fit into {schedule.slots[s.slot]} bytes",
            )
    for k in schedule.outputs:
        require(0 <= k < len(schedule.storages), stage, k, "an output without storage")
    for step in schedule.steps:
        if isinstance(step, Launch):
            verify_nest.verify_kernel(step.nest.kernel, stage)
            verify_nest.verify_nest(
                step.nest, [schedule.storages[k].nbytes if k >= 0 else 0 for k in step.storages], stage
            )
            continue
        for a in step.arguments:
            if a.storage >= 0 and 0 not in a.type.shape:
                lo, hi = verify_nest.span(a.type.shape, a.strides)
                fits = (
                    a.offset + lo >= 0
                    and a.offset + hi + a.type.dtype.itemsize <= schedule.storages[a.storage].nbytes
                )
                require(fits, stage, a, "an argument outside its storage")
        for k, t in step.results if isinstance(step, Call) else ():
            require(t.nbytes <= schedule.storages[k].nbytes, stage, step, "a result larger than its storage")
    shadow.run(schedule, stage)
