"""Fusion: which values get memory, and which computations share one loop nest.

Input: a lowered graph. Output: a list of `Cluster`s (loop nests to be) and opaque nodes, in an order that respects every
dependence. What to recompute and what to store is decided by counted costs only; nothing here depends on addresses or targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from legate_jit.ir import index, records
from legate_jit.ir.index import Affine
from legate_jit.ir.lower import Reduction
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.tasks.task import TaskArg

#: simple operations per element that recomputing a value may cost before it is stored instead
RECOMPUTE_COST = 24
#: a value read by a larger index space (broadcast) is stored when it costs more than this
BROADCAST_COST = 2
#: a value that stays the same along an innermost loop is computed there as a scalar, once per run. Where it costs more than this
#: and runs are shorter than so many elements per operation, vectors over a loop of its own are quicker.
SCALAR_COST, SHORT_RUN = 16, 16
#: values that must be finished between a value and its first use for the use to count as late: more than a row nest has
LATE = 3
#: arrays that a late use may keep alive in place of the one value
KEPT_ALIVE = 1
#: bounds of one kernel, for register pressure and hardware streams
MAX_ITEMS = 16
MAX_READS = 24
#: an expression that reads more arrays than this is cut in two
MAX_ARRAYS = 12

_OPAQUE = frozenset({Kind.SCAN, Kind.CALL, Kind.TASK, Kind.ITEM, Kind.GATHER, Kind.SCATTER})
_ALIAS = frozenset({Kind.RESHAPE, Kind.BITCAST})
_BARRIER = _OPAQUE | {Kind.REDUCE, Kind.UPDATE}
_LEAF = frozenset({Kind.BUFFER, Kind.SCALAR, Kind.CONST})

Read = tuple[Node, Affine]


class Item(NamedTuple):
    """A value a cluster computes: `expression` evaluated through `view` over the cluster's index space.

    role: 'map' (store at `where`), 'update' (store to the region `node.arg`), 'reduce', 'outer' (once per kept index).
    `where` maps the cluster's index space to the node's own index space (for forwarding the value to later items).
    """

    node: Node
    role: str
    expression: Node
    view: Affine
    where: Affine | None


@dataclass
class Cluster:
    """Items that share one loop nest over `domain`. `reduction` is None for elementwise nests."""

    domain: tuple[int, ...]
    reduction: Reduction | None = None
    items: list[Item] = field(default_factory=list)
    produced: dict[Node, Item] = field(default_factory=dict)
    reads: dict[Read, None] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[int, ...]:
        """Axes of the domain that are not reduced."""
        axes = self.reduction.axes if self.reduction else ()
        return tuple(d for d in range(len(self.domain)) if d not in axes)

    @property
    def is_row(self) -> bool:
        """Whether the innermost loop is a reduced one."""
        return self.reduction is not None and self.reduction.inner in self.reduction.axes

    def add(self, item: Item, reads: list[Read]) -> None:
        """Append an item together with what it reads."""
        self.items.append(item)
        self.produced[item.node] = item
        self.reads.update(dict.fromkeys(reads))


Step = Cluster | Node


@dataclass
class Fused:
    """The result: steps in order; `stored` = nodes that have memory of their own (aliases excluded)."""

    graph: Graph
    steps: list[Step]
    materialized: frozenset[Node]


def fuse(graph: Graph, merge: bool = True) -> Fused:
    """Group the graph into clusters. With `merge` False every materialized value has its own cluster (for tests)."""
    decision = _decided(graph)
    materialized = decision.stored
    grouping = _Grouping(materialized, decision.cost, merge)
    for n in graph.nodes:
        if n in materialized:
            grouping.place(n)
    return Fused(graph, grouping.steps, frozenset(materialized))


# ---- which values get memory -------------------------------------------------------------------------------------


def _decided(graph: Graph) -> _Decision:
    """Which nodes' values are stored: leaves never are, aliases always are (they share their source's memory)."""
    decision = _Decision(graph)
    for n in reversed(graph.nodes):
        decision.visit(n)
    return decision


_Context = tuple[int, tuple[int, ...], Affine]


class _Decision:
    """Visits consumers before producers, collecting for each value the different contexts it is read in.

    A context is (level, index space, view): reads in one context can share a kernel and need the value once. The level counts
    the values a kernel must wait for (reductions, updates, calls), so readers on different levels are different kernels.
    """

    def __init__(self, graph: Graph) -> None:
        self.cost, wide = _costs(graph)
        self.roots = set(graph.roots)
        self.level = _levels(graph)
        self.forced: set[Node] = set(wide)
        self.readers = Counter(s for n in graph.nodes for s in n.src)
        self.contexts: dict[Node, dict[_Context, None]] = {n: {} for n in graph.nodes}
        self.stored: set[Node] = set()

    def visit(self, n: Node) -> None:
        if n.kind in _LEAF:
            return
        if n.kind in _OPAQUE or n.kind in _ALIAS:
            self.stored.add(n)
            self.forced.update(_sources_in_memory(n))
            for old in written_by(n):
                self.old_value(old, n)
        elif n.kind is Kind.REDUCE:
            self.stored.add(n)
            self.read(n.src[0], n, n.src[0].shape, index.identity(n.src[0].shape))
        elif n.kind is Kind.UPDATE:
            self.stored.add(n)
            self.update(n)
        else:
            self.elementwise(n)

    def read(self, source: Node, by: Node, domain: tuple[int, ...], view: Affine) -> None:
        self.contexts[source][self.level[by], domain, view] = None

    def update(self, n: Node) -> None:
        old, value = n.src
        assert isinstance(n.arg, Affine)
        self.read(value, n, n.arg.shape, index.broadcast(value.shape, n.arg.shape))
        self.old_value(old, n)

    def old_value(self, old: Node, by: Node) -> None:
        if old.kind is Kind.GENERATE:
            self.read(old, by, old.shape, index.identity(old.shape))
        else:
            self.forced.add(old)

    def elementwise(self, n: Node) -> None:
        uses = self.contexts[n]
        if (
            n in self.roots
            or n in self.forced
            or _worth_storing(n, self.cost[n], uses)
            or self.delays(n, uses)
        ):
            self.stored.add(n)
            uses = {(self.level[n], n.shape, index.identity(n.shape)): None}
        for level, domain, view in uses:
            for s, v in operand_views(n, view):
                self.contexts[s][level, domain, v] = None

    def delays(self, n: Node, uses: dict[_Context, None]) -> bool:
        """Whether computing `n` only where it is used, much later, keeps more arrays alive until then than `n` itself would: a
        sum that a loop adds to (`x += alpha * p`) would hold every iteration's `p`."""
        late = min((level for level, _, _ in uses), default=0)
        if n.type.size == 1 or late < self.level[n] + LATE:
            return False
        held: set[Node] = set()
        seen: set[Node] = set()
        stack = list(n.src)
        while stack and len(held) <= KEPT_ALIVE:
            s = stack.pop()
            if s in seen or s.type.size == 1 or s in self.roots or s.kind in _LEAF:
                continue
            seen.add(s)
            if max((level for level, _, _ in self.contexts[s]), default=0) >= late:
                continue  # something else keeps it
            if self.readers[s] > 1 or s.kind in _BARRIER:
                held.add(s)
            else:
                stack.extend(s.src)
        return len(held) > KEPT_ALIVE


def _levels(graph: Graph) -> dict[Node, int]:
    """How many values have to be finished, one after the other, before a node can be computed."""
    level: dict[Node, int] = {}
    for n in graph.nodes:
        level[n] = max((level[s] + (s.kind in _BARRIER) for s in n.src), default=0)
    return level


def _sources_in_memory(n: Node) -> Iterator[Node]:
    """What must be stored for an opaque node or an alias: library calls read views of memory, so a move needs no copy."""
    for s in n.src[: n.arg.inputs] if isinstance(n.arg, TaskArg) else n.src:
        yield s if n.kind in _ALIAS else lying_in(s, frozenset())


def written_by(n: Node) -> tuple[Node, ...]:
    """The old values of the arrays that a task writes."""
    return n.src[n.arg.inputs : -1] if isinstance(n.arg, TaskArg) else ()


def lying_in(s: Node, materialized: frozenset[Node] | set[Node]) -> Node:
    """The node in whose memory an opaque node finds its operand `s`: a move that is not stored is a view of its source."""
    return s.src[0] if s.kind is Kind.MOVE and s not in materialized else s


def operand_views(n: Node, view: Affine) -> Iterator[Read]:
    """The sources of an inlined node, with the view through which the node's `view` reads each."""
    if n.kind is Kind.MOVE:
        assert isinstance(n.arg, Affine)
        yield n.src[0], index.compose(n.arg, view)
        return
    for s in n.src:
        yield s, index.compose(index.broadcast(s.shape, n.shape), view) if s.shape != n.shape else view


def _costs(graph: Graph) -> tuple[dict[Node, int], list[Node]]:
    """Estimated cost of computing one element from what is certainly in memory, in simple operations; and the nodes whose
    expression reads so many arrays that it is better cut there."""
    cost: dict[Node, int] = {}
    arrays: dict[Node, frozenset[Node]] = {}
    wide: list[Node] = []
    for n in graph.nodes:
        if n.kind in (Kind.MAP, Kind.MOVE, Kind.GENERATE):
            own = n.op.cost if n.kind is not Kind.MOVE else 0
            cost[n] = min(own + sum(cost[s] for s in n.src), 10**6)
            reads = frozenset().union(*(arrays[s] for s in n.src))
            if len(reads) > MAX_ARRAYS and n.kind is Kind.MAP and n.type.size > 1:
                wide.append(n)
                cost[n], reads = 1, frozenset((n,))
            arrays[n] = reads
        else:
            cost[n] = 0 if n.kind in (Kind.SCALAR, Kind.CONST) else 1
            arrays[n] = frozenset((n,)) if n.type.size > 1 else frozenset()
    return cost, wide


def _worth_storing(n: Node, cost: int, uses: dict[_Context, None]) -> bool:
    if n.kind is Kind.MOVE and n.src[0].kind in _LEAF:
        return False
    if len(uses) > 1 and cost * (len(uses) - 1) > RECOMPUTE_COST:
        return True
    if (
        cost > SCALAR_COST
        and n.type.size > 1
        and any(_is_scalar(view, domain, cost) for _, domain, view in uses)
    ):
        return True
    return cost > BROADCAST_COST and any(_repeats(domain, view) for _, domain, view in uses)


def _is_scalar(view: Affine, domain: tuple[int, ...], cost: int) -> bool:
    """Whether a costly value would be computed as a scalar, for short runs of the innermost loop over `domain`."""
    inner = max((d for d, n in enumerate(domain) if n > 1), default=-1)
    still = all(axis != inner or step == 0 for _, step, axis in view.axes)
    return inner >= 0 and still and domain[inner] < SHORT_RUN * cost


def _repeats(domain: tuple[int, ...], view: Affine) -> bool:
    """Whether the index space runs over the value again and again (along an axis outside the innermost ones it varies in)."""
    used = {axis for _, step, axis in view.axes if axis >= 0 and step != 0}
    if not used:
        return False
    last = max(used)
    return any(domain[d] > 1 and d not in used for d in range(last))


# ---- which computations share a loop nest -----------------------------------------------------------------------


def reads_of(
    expression: Node, view: Affine, stop: set[Node] | frozenset[Node], expand: Node | None
) -> list[Read]:
    """What an expression reads from memory, as (stored node or buffer, view). `expand` is a stored node to look into."""
    found: dict[Read, None] = {}
    seen: set[Read] = set()
    stack: list[Read] = [(expression, view)]
    while stack:
        n, v = stack.pop()
        if (n, v) in seen:
            continue
        seen.add((n, v))
        if n.kind is Kind.BUFFER or (n in stop and n is not expand):
            found[n, v] = None
        elif n.kind not in _LEAF:
            stack.extend(operand_views(n, v))
    return list(found)


def normalize(view: Affine, base: tuple[int, ...]) -> Affine:
    """The view with axes that cannot move written one way, so that equal maps compare equal."""
    axes = []
    for (start, step, axis), n in zip(view.axes, base, strict=True):
        still = axis < 0 or view.shape[axis] == 1 or n == 1 or step == 0
        axes.append((start, 0, -1) if still else (start, step, axis))
    return Affine(view.shape, tuple(axes))


class _Grouping:
    """Greedy placement of stored values, in program order, into the latest loop nest that can take them."""

    def __init__(self, materialized: set[Node], cost: dict[Node, int], merge: bool) -> None:
        self.materialized = materialized
        self.cost = cost  # of an element of each node, in simple operations
        self.merge = merge
        self.steps: list[Step] = []
        self.position: dict[Node, int] = {}  # step that produces a stored node
        self.last_read: dict[Node, int] = {}  # last step that reads a node's memory

    def origin(self, n: Node) -> Node:
        """The node whose step makes the memory of `n` valid."""
        while n.kind in _ALIAS:
            n = n.src[0]
        return n

    def at(self, n: Node) -> int:
        return self.position.get(self.origin(n), -1)

    def place(self, n: Node) -> None:
        if n.kind in _ALIAS:
            return
        if n.kind in _OPAQUE:
            self.position[n] = len(self.steps)
            self.note_reads(n.src, len(self.steps))
            self.steps.append(n)
            return
        item, domain, reduction = self.item(n)
        reads = reads_of(item.expression, item.view, self.materialized, n)
        earliest = max((self.at(r) for r, _ in reads), default=-1)
        if n.kind is Kind.UPDATE:
            earliest = max(earliest, self.at(n.src[0]) + 1, self.last_read.get(self.origin(n.src[0]), -1))
            if self.at(n.src[0]) < 0 and n.src[0].kind is not Kind.BUFFER:
                earliest = max(earliest, 0)
        if self.merge and self.join(n, item, domain, reduction, reads, max(earliest, 0)):
            return
        cluster = Cluster(domain, reduction)
        cluster.add(item, reads)
        self.position[n] = len(self.steps)
        self.note_reads((r for r, _ in reads), len(self.steps))
        self.steps.append(cluster)

    def better_apart(self, cluster: Cluster, item: Item) -> bool:
        """Whether a value per row costs so much, as a scalar, that a loop of its own over all rows is quicker."""
        cost = self.cost[item.node]
        return item.role == "outer" and cost > SCALAR_COST and _is_scalar(item.view, cluster.domain, cost)

    def note_reads(self, nodes: Iterator[Node] | tuple[Node, ...], step: int) -> None:
        for r in nodes:
            key = self.origin(lying_in(r, self.materialized))
            self.last_read[key] = max(self.last_read.get(key, -1), step)

    def item(self, n: Node) -> tuple[Item, tuple[int, ...], Reduction | None]:
        if n.kind is Kind.REDUCE:
            assert isinstance(n.arg, Reduction)
            source = n.src[0]
            kept = [d for d in range(source.type.ndim) if d not in n.arg.axes]
            where = None if n.arg.block else Affine(source.shape, tuple((0, 1, d) for d in kept))
            return Item(n, "reduce", source, index.identity(source.shape), where), source.shape, n.arg
        if n.kind is Kind.UPDATE:
            assert isinstance(n.arg, Affine)
            value = n.src[1]
            return (
                Item(n, "update", value, index.broadcast(value.shape, n.arg.shape), None),
                n.arg.shape,
                None,
            )
        whole = index.identity(n.shape)
        return Item(n, "map", n, whole, whole), n.shape, None

    def join(
        self,
        n: Node,
        item: Item,
        domain: tuple[int, ...],
        reduction: Reduction | None,
        reads: list[Read],
        earliest: int,
    ) -> bool:
        """Put the item into an existing cluster at or after step `earliest`, the latest first; False when none takes it."""
        for k in range(len(self.steps) - 1, earliest - 1, -1):
            cluster = self.steps[k]
            if not isinstance(cluster, Cluster) or len(cluster.items) >= MAX_ITEMS:
                continue
            if cluster.reduction is not None and cluster.reduction.jam >= 0:
                continue  # it has as many accumulators as there are registers
            fitted = _fit(cluster, item, domain, reduction, reads)
            if fitted is None or self.better_apart(cluster, fitted[0]):
                continue
            item, reads = fitted
            if _streams(cluster.reads.keys() | dict.fromkeys(reads).keys()) > MAX_READS:
                continue
            if reduction is not None:
                cluster.reduction = reduction
            cluster.add(item, reads)
            self.position[n] = k
            self.note_reads((r for r, _ in reads), k)
            return True
        return False


def _streams(reads: Set[Read]) -> int:
    """How many reads there are, those of fields of the same records counted once."""
    found = set()
    for node, view in reads:
        field = view.axes and view.axes[-1][2] < 0 and node.shape[-1] <= records.LONGEST
        found.add((node, view._replace(axes=view.axes[:-1]) if field else view))
    return len(found)


def _fit(
    cluster: Cluster, item: Item, domain: tuple[int, ...], reduction: Reduction | None, reads: list[Read]
) -> tuple[Item, list[Read]] | None:
    """The item and its reads as they would stand in `cluster`, or None when it does not belong there."""
    if domain == cluster.domain and _same_nest(cluster, item, reduction):
        if not _forwardable(cluster, reads):
            return None
        if (
            cluster.reduction is not None
            and not cluster.is_row
            and any(r in cluster.produced for r, _ in reads)
        ):
            return None  # results of reductions over outer loops are only there once the nest has run
        shares = any(r in cluster.produced or (r, v) in cluster.reads for r, v in reads)
        return (item, reads) if shares or not reads else None
    if (
        item.role == "map"
        and cluster.is_row
        and cluster.reduction is not None
        and not cluster.reduction.block
    ):
        return _as_outer(cluster, item, reads)
    return None


def _same_nest(cluster: Cluster, item: Item, reduction: Reduction | None) -> bool:
    if cluster.reduction is None:
        return reduction is None or (
            reduction.inner in reduction.axes and (not reduction.block or _is_line(cluster))
        )
    if reduction is None:
        return cluster.is_row and not cluster.reduction.block
    return reduction == cluster.reduction


def _is_line(cluster: Cluster) -> bool:
    """Whether everything the cluster touches lies in the order of its domain, so that its loops are one line."""
    return all(item.role == "map" for item in cluster.items) and all(
        r.type.size == 1 or index.is_identity(view, r.shape) for r, view in cluster.reads
    )


def _forwardable(cluster: Cluster, reads: list[Read]) -> bool:
    """Whether everything the reads take from inside the cluster is at hand at the same index."""
    for r, view in reads:
        base = r
        while base.kind in _ALIAS:
            base = base.src[0]
        made = cluster.produced.get(base)
        if made is None:
            continue
        if base is not r or made.where is None:
            return False
        if normalize(view, r.shape) != normalize(made.where, r.shape):
            return False
    return True


def _as_outer(cluster: Cluster, item: Item, reads: list[Read]) -> tuple[Item, list[Read]] | None:
    """A value per kept index (a mean, a norm) computed from the cluster's reductions, once per row."""
    kept = [d for d in cluster.kept if cluster.domain[d] != 1]
    long = [d for d, n in enumerate(item.node.shape) if n != 1]
    if [cluster.domain[d] for d in kept] != [item.node.shape[d] for d in long]:
        return None
    to = dict(zip(long, kept, strict=True))
    where = Affine(
        cluster.domain, tuple((0, 1, to[d]) if d in to else (0, 0, -1) for d in range(item.node.type.ndim))
    )
    moved = [(r, index.compose(v, where)) for r, v in reads]
    if not any(r in cluster.produced for r, _ in moved) or not _forwardable(cluster, moved):
        return None
    if any(r in cluster.produced and cluster.produced[r].role in ("map", "update") for r, _ in moved):
        return None
    return Item(item.node, "outer", item.expression, where, where), moved
