"""Reductions over few elements become elementwise operations, a tree of them over slices, still graph to graph.

`((x[:, None, :] - c) ** 2).sum(axis=2)` with a last axis of 8 is a sum of eight squares: it fuses with whatever uses the
distances, and needs no accumulator in memory. The slices are taken where the expression reads memory, so that no product of
all axes is ever stored. What is costly and used elsewhere, too, stays a value of its own. Depends on shapes and costs only.
"""

from __future__ import annotations

from collections import Counter

from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node, array_type
from legate_jit.ir.ops import OPS, Kind
from legate_jit.ir.rewrite import Builder, Graph, reachable

#: elements that are combined at most, and results there must be at least: fewer are no vector's work
TERMS, RESULTS = 16, 64
#: simple operations and loads for one result
WORK, LOADS = 160, 32
#: simple operations that are rather computed twice than made a value of their own
CHEAP = 4

#: a node, and per axis of it the position it is taken at, or -1 for all of the axis
_Slice = tuple[Node, tuple[int, ...]]


def unroll(graph: Graph) -> Graph:
    """The graph without its short reductions, as far as that is less work."""
    if not any(_is_short(n) for n in graph.nodes):
        return graph
    readers: dict[Node, list[Node]] = {n: [] for n in graph.nodes}
    for n in graph.nodes:
        for s in n.src:
            readers[s].append(n)
    builder = Builder()
    new: list[Node] = []
    for n in graph.nodes:
        made = _unrolled(builder, n, new, readers, frozenset(graph.roots)) if _is_short(n) else None
        sources = tuple(new[s.number] for s in n.src)
        new.append(made or builder.make(n.op, sources, n.arg, n.type))
    return reachable(builder.nodes, [new[r.number] for r in graph.roots])


def _is_short(n: Node) -> bool:
    if n.kind is not Kind.REDUCE or n.type.size < RESULTS or n.op.combine not in OPS or not n.arg:
        return False
    terms = n.src[0].type.size // n.type.size
    return OPS[n.op.combine].kind is Kind.MAP and 1 < terms <= TERMS and n.src[0].dtype == n.dtype


def _unrolled(
    b: Builder, n: Node, new: list[Node], readers: dict[Node, list[Node]], roots: frozenset[Node]
) -> Node | None:
    """The tree for a short reduction; None where that is not less work."""
    source = n.src[0]
    axes = n.arg
    assert isinstance(axes, tuple)
    inside = _inside(n, readers, roots)
    terms = source.type.size // n.type.size
    work = sum(m.op.cost for m in inside if m.kind is Kind.MAP)
    leaves = {s for m in inside for s in m.src if s not in inside and s.type.size > 1} or {source}
    costly = source not in inside and source.kind is Kind.MAP
    if costly or (work + 1) * terms > WORK or len(leaves) * terms > LOADS:
        return None
    if any(leaf.op.name == "random" for leaf in leaves):
        return None  # what is drawn depends on the place
    slicer = _Slicer(b, new, inside)
    values = [slicer.value((source, at)) for at in _positions(source.shape, axes)]
    while len(values) > 1:
        pairs = [
            b.make(OPS[n.op.combine], pair, None, pair[0].type)
            for pair in zip(values[::2], values[1::2], strict=False)
        ]
        values = pairs + values[2 * len(pairs) :]
    kept = [d for d in range(source.type.ndim) if d not in axes]
    drop = Affine(
        n.shape, tuple((0, 1, kept.index(d)) if d in kept else (0, 0, -1) for d in range(source.type.ndim))
    )
    return b.make(OPS["move"], (values[0],), drop, n.type)


def _positions(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The slices of an array along the reduced axes, in row-major order."""
    found: list[tuple[int, ...]] = [()]
    for d, extent in enumerate(shape):
        found = [(*at, k) for at in found for k in (range(extent) if d in axes else (-1,))]
    return found


def _inside(n: Node, readers: dict[Node, list[Node]], roots: frozenset[Node]) -> set[Node]:
    """Nodes that a reduction alone needs, or that are cheap: these are computed for each slice."""
    reached: dict[Node, None] = {}
    stack = [n.src[0]]
    while stack:
        m = stack.pop()
        if m not in reached and m.kind in (Kind.MAP, Kind.MOVE):
            reached[m] = None
            stack.extend(m.src)
    inside: set[Node] = set()
    cost: Counter[Node] = Counter()
    for m in sorted(reached, key=lambda m: m.number):
        cost[m] = (m.op.cost if m.kind is Kind.MAP else 0) + sum(cost[s] for s in m.src)
    for m in sorted(reached, key=lambda m: -m.number):
        alone = m not in roots and all(r is n or r in inside for r in readers[m])
        if alone or cost[m] <= CHEAP:
            inside.add(m)
    return _connected(n.src[0], inside)


def _connected(root: Node, inside: set[Node]) -> set[Node]:
    """What of `inside` is reached from `root` without leaving it."""
    found: set[Node] = set()
    stack = [root]
    while stack:
        m = stack.pop()
        if m in inside and m not in found:
            found.add(m)
            stack.extend(m.src)
    return found


class _Slicer:
    """Makes slices of the nodes of an expression; axes that are fixed keep an extent of 1."""

    def __init__(self, builder: Builder, new: list[Node], inside: set[Node]) -> None:
        self.builder, self.new, self.inside = builder, new, inside
        self.made: dict[_Slice, Node] = {}

    def value(self, wanted: _Slice) -> Node:
        """The slice, and all slices it is made of, sources first."""
        stack = [wanted]
        while stack:
            node, at = stack[-1]
            if (node, at) not in self.made:
                parts = self.parts(node, at)
                missing = [p for p in parts if p not in self.made]
                if missing:
                    stack.extend(missing)
                    continue
                self.made[node, at] = self.make(node, at, [self.made[p] for p in parts])
            stack.pop()
        return self.made[wanted]

    def parts(self, n: Node, at: tuple[int, ...]) -> list[_Slice]:
        """The slices of its sources that a slice is computed from; none where it is taken from the whole value."""
        if n not in self.inside or max(at, default=-1) < 0:
            return []
        if n.kind is Kind.MOVE:
            assert isinstance(n.arg, Affine)
            fixed = (
                (start + step * at[axis] if axis >= 0 and at[axis] >= 0 else -1)
                for start, step, axis in n.arg.axes
            )
            return [(n.src[0], tuple(fixed))]
        return [
            (
                s,
                tuple(
                    -1 if extent == 1 else p
                    for extent, p in zip(s.shape, at[len(at) - s.type.ndim :], strict=True)
                ),
            )
            for s in n.src
        ]

    def make(self, n: Node, at: tuple[int, ...], parts: list[Node]) -> Node:
        b = self.builder
        if max(at, default=-1) < 0:
            return self.new[n.number]
        type_ = array_type(
            tuple(1 if p >= 0 else extent for extent, p in zip(n.shape, at, strict=True)), n.dtype
        )
        if not parts:
            view = Affine(type_.shape, tuple((p, 0, -1) if p >= 0 else (0, 1, d) for d, p in enumerate(at)))
            return b.make(OPS["move"], (self.new[n.number],), view, type_)
        if n.kind is Kind.MAP:
            return b.make(n.op, tuple(parts), n.arg, type_)
        assert isinstance(n.arg, Affine)
        axes = (
            (0, 0, -1) if axis >= 0 and at[axis] >= 0 else (start, step, axis)
            for start, step, axis in n.arg.axes
        )
        return b.make(OPS["move"], tuple(parts), Affine(type_.shape, tuple(axes)), type_)
