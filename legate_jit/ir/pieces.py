"""Pieces: a chain of updates of overlapping parts of one array becomes one sweep.

`y[1:] -= x[:-1]; y[:-1] -= x[1:]` reads and writes y twice. When each update of a chain reads the array before it only at the
element it writes, and nobody else sees the versions between, the index space splits into boxes in which the same updates
apply; each box then gets one update with the composed expression. Graph to graph.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from itertools import pairwise, product

from legate_jit.ir import index
from legate_jit.ir.fuse import operand_views
from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node, array_type
from legate_jit.ir.ops import OPS, Kind
from legate_jit.ir.rewrite import Builder, Graph, reachable

#: more boxes than this are not worth their launches
MAX_BOXES = 27
#: arrays smaller than this are better updated part by part
MIN_SIZE = 4096
#: so many updates after a version may look at it
_AHEAD = 8

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Chain:
    base: Node
    updates: tuple[Node, ...]  # in program order
    private: frozenset[Node]  # values of which the base is made that nobody else reads
    # updates of elements that none before them wrote: there the base is still the current value
    direct: frozenset[Node]


def split_updates(graph: Graph) -> Graph:
    """The graph with every eligible chain of updates rewritten as disjoint boxes."""
    chains = _chains(graph)
    if not chains:
        return graph
    last = {c.updates[-1]: c for c in chains}
    builder = Builder()
    new: list[Node] = []
    for n in graph.nodes:
        chain = last.get(n)
        boxed = _boxed(builder, chain, new) if chain is not None else None
        new.append(boxed or builder.make(n.op, tuple(new[s.number] for s in n.src), n.arg, n.type))
    return reachable(builder.nodes, [new[r.number] for r in graph.roots])


def _chains(graph: Graph) -> list[_Chain]:
    users: dict[Node, int] = {}
    for n in graph.nodes:
        for s in set(n.src):
            users[s] = users.get(s, 0) + 1
    roots = set(graph.roots)
    found = []
    taken: set[Node] = set()
    for n in reversed(graph.nodes):
        if n.kind is not Kind.UPDATE or n in taken or n.type.size < MIN_SIZE or not _boxable(n):
            continue
        updates = [n]
        while True:
            first = updates[-1]
            old = first.src[0]
            if (
                old.kind is not Kind.UPDATE
                or old in roots
                or not _boxable(old)
                or not _private(old, updates, users)
            ):
                break
            updates.append(old)
        if len(updates) > 1 and _reads_identically(updates[-1]):
            taken.update(updates)
            base = updates[-1].src[0]
            direct = _direct(updates)
            private = _made_for(base, updates, direct, users, roots)
            found.append(_Chain(base, tuple(reversed(updates)), private, direct))
    return found


def _direct(updates: list[Node]) -> frozenset[Node]:
    """Of some updates, the last one first, those of elements that none before them writes: the first one and a few."""
    regions = [index.bounding_box(_view(u)) for u in reversed(updates[-_AHEAD:])]
    return frozenset(
        u
        for k, (u, r) in enumerate(zip(reversed(updates[-_AHEAD:]), regions, strict=True))
        if not any(_overlap(r, q) for q in regions[:k])
    )


def _made_for(
    base: Node, updates: list[Node], direct: frozenset[Node], users: dict[Node, int], roots: set[Node]
) -> frozenset[Node]:
    """Elementwise values that exist only to become the base: they are computed box by box, inside the boxes' kernels."""
    private: set[Node] = set()
    stack = [base] if _private(base, updates, users, direct) else []
    while stack:
        n = stack.pop()
        if n.kind is Kind.MAP and n not in roots and n not in private:
            private.add(n)
            stack.extend(s for s in n.src if users.get(s, 0) == 1 and s.shape == n.shape)
    return frozenset(private)


def _boxable(n: Node) -> bool:
    view = n.arg
    return isinstance(view, Affine) and all(step == 1 and axis >= 0 for _, step, axis in view.axes)


def _private(
    old: Node, updates: list[Node], users: dict[Node, int], direct: frozenset[Node] | None = None
) -> bool:
    """Whether only the updates after it, given the last one first, look at `old`, at no element but those they write, which are
    in it as the ones between left them."""
    wanted = users.get(old, 0) - 1
    if direct is None:
        direct = _direct(updates) if wanted > 1 else frozenset(updates[-1:])
    later, movers = set(updates), set[Node]()
    for u in reversed(updates[-_AHEAD:]):
        reads = _reads(u, old, later)
        if reads is None or (reads and u not in direct):
            return False
        if any(m.kind is not Kind.MOVE or m.arg != u.arg for m in reads):
            return False
        movers.update(reads)
        if len(movers) == wanted:
            return True
    return False


def _reads_identically(update: Node) -> bool:
    """Whether the first update reads the base only at the element it writes."""
    reads = _reads(update, update.src[0])
    return reads is not None and all(m.kind is Kind.MOVE and m.arg == update.arg for m in reads)


def _reads(update: Node, old: Node, others: Set[Node] = frozenset()) -> list[Node] | None:
    """Nodes of the update's value that read `old` directly; None when that cannot be told. What is read of the `others`, versions
    that came after it, does not count."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = [update.src[1]]
    while stack:
        n = stack.pop()
        if n in seen or n.number < old.number or n in others:
            continue
        seen.add(n)
        if n is old or len(seen) > 500:
            return None
        if old in n.src:
            if n.kind is not Kind.MOVE:
                return None
            found[n] = None
            continue
        if n.kind not in (Kind.MAP, Kind.MOVE, Kind.GENERATE):
            if _depends(n, old):
                return None
            continue
        stack.extend(n.src)
    return list(found)


def _depends(n: Node, on: Node) -> bool:
    seen: set[Node] = set()
    stack = [n]
    while stack:
        m = stack.pop()
        if m is on:
            return True
        if m in seen or m.number < on.number:
            continue
        seen.add(m)
        stack.extend(m.src)
    return False


# ---- rewriting ---------------------------------------------------------------------------------------------------


def _boxed(b: Builder, chain: _Chain, new: list[Node]) -> Node | None:
    """The chain as updates of disjoint boxes, or None when that does not pay."""
    shape = chain.base.shape
    regions = [index.bounding_box(_view(u)) for u in chain.updates]
    if not _overlapping(regions):
        return None
    cuts = [sorted({0, n} | {c for r in regions for c in r[d]}) for d, n in enumerate(shape)]
    boxes: list[Box] = [
        tuple(box) for box in product(*(tuple(pairwise(c)) for c in cuts)) if all(lo < hi for lo, hi in box)
    ]
    if len(boxes) > MAX_BOXES:
        return None
    base = new[chain.base.number]
    inlined = base.kind in (Kind.MAP, Kind.GENERATE)
    result = b.make(OPS["empty"], (), None, base.type) if inlined else base
    for box in boxes:
        applied = [u for u, r in zip(chain.updates, regions, strict=True) if _inside(box, r)]
        if not applied and not inlined:
            continue
        value = _Composer(b, chain, new, box, applied).value()
        result = b.make(OPS["update"], (result, value), index.from_box(box), base.type)
    return result


def _view(u: Node) -> Affine:
    assert isinstance(u.arg, Affine)
    return u.arg


def _overlapping(regions: list[Box]) -> bool:
    """Whether some element is written more than once, so that sweeping once saves something."""
    for k, r in enumerate(regions):
        for q in regions[:k]:
            if _overlap(r, q):
                return True
    return False


def _overlap(a: Box, b: Box) -> bool:
    return all(max(lo, lo2) < min(hi, hi2) for (lo, hi), (lo2, hi2) in zip(a, b, strict=True))


def _inside(box: Box, region: Box) -> bool:
    return all(lo2 <= lo and hi <= hi2 for (lo, hi), (lo2, hi2) in zip(box, region, strict=True))


class _Composer:
    """Builds the value of one box: the updates that apply to it, each reading the one before."""

    def __init__(self, b: Builder, chain: _Chain, new: list[Node], box: Box, applied: list[Node]) -> None:
        self.b, self.new, self.box, self.applied = b, new, box, applied
        self.shape = tuple(hi - lo for lo, hi in box)
        self.base, self.direct, self.at_base = chain.base, chain.direct, False
        self.region: object = None
        self.versions = {chain.base, *chain.updates}
        self.dependent: dict[Node, bool] = dict.fromkeys(chain.private, True)
        self.versions.discard(chain.base)
        self.current = self.rebuilt(chain.base, index.from_box(box))
        self.versions.add(chain.base)
        self.dependent.clear()

    def value(self) -> Node:
        for u in self.applied:
            self.at_base = u in self.direct
            self.region = u.arg
            view = _view(u)
            shift = tuple(
                (lo - start, 1, axis) for (lo, _), (start, _, axis) in zip(self.box, view.axes, strict=True)
            )
            # Axes of extent 1 that no base axis has stay where they are.
            inner = [(0, 0, -1)] * len(view.shape)
            for (offset, _, axis), d in zip(shift, range(len(shift)), strict=True):
                inner[axis] = (offset, 1, d)
            window = Affine(self.shape, tuple(inner))
            value = u.src[1]
            through = index.compose(index.broadcast(value.shape, view.shape), window)
            self.current = self.rebuilt(value, through)
        return self.current

    def rebuilt(self, root: Node, view: Affine) -> Node:
        """`root` through `view`, with reads of older versions replaced by the current value."""
        done: dict[tuple[Node, Affine], Node] = {}
        stack = [(root, view)]
        while stack:
            key = stack[-1]
            if key in done:
                stack.pop()
                continue
            n, v = key
            made = self.at_hand(n, v)
            if made is None:
                operands = list(operand_views(n, v))
                missing = [o for o in operands if o not in done]
                if missing:
                    stack.extend(missing)
                    continue
                made = self.applied_to(n, [done[o] for o in operands])
            done[key] = made
            stack.pop()
        return done[root, view]

    def at_hand(self, n: Node, v: Affine) -> Node | None:
        # A later update may read the base as well, anywhere: that is the value before the chain, not the current one.
        current = n.src[0] is not self.base or (self.at_base and n.arg == self.region) if n.src else False
        if n.kind is Kind.MOVE and n.src[0] in self.versions and current:
            return self.current
        if n.kind in (Kind.SCALAR, Kind.CONST):
            return self.new[n.number]
        if n.kind in (Kind.MAP, Kind.MOVE) and self.depends(n):
            return None
        return self.restricted(self.new[n.number], v)

    def depends(self, n: Node) -> bool:
        """Whether an expression reads a version of the array (all else stays whole, shared with its other readers)."""
        known = self.dependent.get(n)
        if known is None:
            known = self.dependent[n] = any(_depends(n, version) for version in self.versions)
        return known

    def applied_to(self, n: Node, operands: list[Node]) -> Node:
        if n.kind is Kind.MOVE:
            return operands[0]
        if self.shape and all(o.kind in (Kind.SCALAR, Kind.CONST) for o in operands):
            first = operands[0]  # a filled part: nothing but its shape makes it an array
            operands[0] = self.b.make(OPS["full"], (first,), None, array_type(self.shape, first.dtype))
        return self.b.make(n.op, tuple(operands), n.arg, array_type(self.shape, n.dtype))

    def restricted(self, n: Node, view: Affine) -> Node:
        """An existing value seen through a view (already simplified nodes compose)."""
        if n.kind is Kind.MOVE:
            assert isinstance(n.arg, Affine)
            return self.restricted(n.src[0], index.compose(n.arg, view))
        if index.is_identity(view, n.shape):
            return n
        if n.kind is Kind.GENERATE and n.op.name == "full":
            return self.b.make(n.op, n.src, None, array_type(view.shape, n.dtype))
        return self.b.make(OPS["move"], (n,), view, array_type(view.shape, n.dtype))
