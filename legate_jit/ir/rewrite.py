"""Graph, and the one driver that rewrites graphs: pure functions from graph to graph.

A `Graph` is a topologically ordered list of nodes with its roots. `rewrite` rebuilds a graph bottom-up through a rule; the
builder interns nodes, so common subexpressions become one node, and whatever no root reaches disappears.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from legate_jit.ir.node import ArrayType, Node, array_type
from legate_jit.ir.ops import OPS, Kind, Op

#: library calls in which all ranks take part
EXCHANGES = frozenset({"fetch", "combine", "collective"})


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in topological order (sources first), and the nodes whose values must exist afterwards."""

    nodes: tuple[Node, ...]
    roots: tuple[Node, ...]


class Builder:
    """Makes nodes, at most one per (op, sources, arg, type), optionally through a rewriting rule."""

    def __init__(self, rule: Rule | None = None) -> None:
        self.nodes: list[Node] = []
        self._interned: dict[tuple[Op, tuple[Node, ...], Hashable, ArrayType], Node] = {}
        self._rule = rule

    def make(self, op: Op, src: tuple[Node, ...], arg: Hashable, type_: ArrayType) -> Node:
        """The node, or what the rule replaces it by."""
        if self._rule is not None:
            replaced = self._rule(self, op, src, arg, type_)
            if replaced is not None:
                return replaced
        key = (op, src, arg, type_)
        found = self._interned.get(key)
        if found is None:
            found = Node(op, src, arg, type_, len(self.nodes))
            self.nodes.append(found)
            self._interned[key] = found
        return found

    def map(self, name: str, *src: Node, dtype: str | None = None) -> Node:
        """Elementwise op `name` over sources that broadcast; result dtype = the last source's, or bool, unless given."""
        import numpy as np

        op = OPS[name]
        shape = np.broadcast_shapes(*(s.shape for s in src))
        return self.make(op, src, None, array_type(shape, np.dtype(dtype) if dtype else src[-1].dtype))

    def cast(self, node: Node, to: ArrayType) -> Node:
        """`node` in the dtype of `to`."""
        if node.dtype == to.dtype:
            return node
        return self.make(OPS["cast"], (node,), None, array_type(node.shape, to.dtype))


Rule = Callable[[Builder, Op, tuple[Node, ...], Hashable, ArrayType], Node | None]


def reachable(nodes: Sequence[Node], roots: Sequence[Node]) -> Graph:
    """The graph of what `roots` need, nodes renumbered in their order. A task that is needed keeps all its items: it writes
    every one of its arrays, wanted or not. Exchanges are always needed: another rank takes part in them."""
    needed = {r.number for r in roots}
    items: dict[int, list[Node]] = {}
    for n in nodes:
        if n.kind is Kind.CALL and n.arg[0] in EXCHANGES:  # type: ignore[index]
            needed.add(n.number)
        if n.kind is Kind.ITEM and n.src[0].kind is Kind.TASK:
            items.setdefault(n.src[0].number, []).append(n)
    for n in reversed(nodes):
        if n.number in needed:
            needed.update(s.number for s in n.src)
            if items:
                needed.update(m.number for m in items.get(n.number, ()))
    kept = [n for n in nodes if n.number in needed]
    for k, n in enumerate(kept):
        n.number = k
    return Graph(tuple(kept), tuple(roots))


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Rebuild `graph` bottom-up, giving each node (with its new sources) to `rule`, which may return a replacement."""
    builder = Builder(rule)
    new: list[Node] = []
    for n in graph.nodes:
        new.append(builder.make(n.op, tuple(new[s.number] for s in n.src), n.arg, n.type))
    return reachable(builder.nodes, [new[r.number] for r in graph.roots])
