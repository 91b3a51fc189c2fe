"""Which layout every value of a graph gets: classes of values that are cut alike, chosen by counted bytes moved.

Elementwise operations join their operands into classes; views, reductions, reshapes and regions of updates link classes. Layouts
of stored arrays are given; from there every class takes, largest first, the layout that moves the fewest bytes over its links.
Time is linear in nodes and does not depend on the number of ranks. Must not know how graphs are rewritten or messages sent.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from legate_jit.ir import index
from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import call_rules, dealing, layout
from legate_jit.ir.ranks.layout import Layout, Need
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.tasks.partition import Operand, fixed_axes
from legate_jit.ir.tasks.task import TaskArg

#: arrays of fewer elements are replicated: a message costs more than computing them everywhere. The runtime of several ranks
#: puts what the configuration says in its place
SMALL = 32768
#: cutting several axes must move so many times less than cutting one
SEVERAL = 2
#: a small stored array is whole everywhere unless leaving it in parts, even on some ranks only, moves so many times less in
#: this window; always if it has few elements
MUCH, FEW = 4, 1024
#: so many of the layouts that links suggest are compared
_COMPARED = 4


def spread(shape: tuple[int, ...], to: tuple[int, ...]) -> Affine:
    """`index.broadcast`, but an axis of extent 1 that meets one of extent 1 moves along with it."""
    lead = len(to) - len(shape)
    return Affine(
        to, tuple((0, 1, lead + d) if n == to[lead + d] else (0, 0, -1) for d, n in enumerate(shape))
    )


def region_of(update: Node) -> Affine:
    """The region an update writes; a single element as a region of one axis, which a rank without it can have empty."""
    view = update.arg
    assert isinstance(view, Affine)
    return view if view.shape else Affine((1,), view.axes)


def _written(item: Node) -> Node:
    """The old value of the array that an item of a launch is the new value of."""
    task = item.src[0]
    assert isinstance(task.arg, TaskArg) and isinstance(item.arg, int)
    return task.src[task.arg.inputs + item.arg]


class _Link(NamedTuple):
    """Two classes whose layouts decide together what moves.

    kind 'view': b looks at a through `data`; 'region': b is written to the region `data` of a; 'reduce': b is a without the axes
    `data`; 'reshape': b is a in another shape; 'call': axis j of b is cut as axis data[j] of a (-1: a must be whole along it);
    'turn': cutting a and b along the same one of the axes `data` moves everything once more.
    """

    kind: str
    a: int
    b: int
    data: Affine | tuple[int, ...]
    view: Affine | None  # of the value, for 'region'
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]


@dataclass
class _Class:
    shape: tuple[int, ...]
    size: int
    layout: Layout | None = None
    stored: bool = False
    links: dict[_Link, int] = field(default_factory=dict)  # link -> bytes of an element
    penalty: list[int] = field(default_factory=list)  # bytes moved when the axis is cut
    # layouts that launches see it in -> bytes of an element
    wishes: dict[Layout, int] = field(default_factory=dict)


class Wish(NamedTuple):
    """A buffer, by its number, that the window only reads and that would better lie as `layout`: it would move so many bytes less
    each time. `cost`: bytes that laying it so moves once."""

    buffer: int
    layout: Layout
    saved: int
    cost: int


class Choice(NamedTuple):
    """The layout of every node, by number, and the number of its class: values of one class have one layout and shape. wish: the
    one that would save most, if there is any."""

    layouts: list[Layout]
    classes: list[int]
    wish: Wish | None = None


def choose(graph: Graph, inputs: Sequence[Layout], ranks: int) -> Choice:
    """The layouts of all nodes. `inputs`: the layouts of the buffers, by their number."""
    return _Chooser(graph, inputs, ranks).run()


class _Chooser:
    def __init__(self, graph: Graph, inputs: Sequence[Layout], ranks: int) -> None:
        self.graph, self.inputs, self.ranks = graph, inputs, ranks
        self.parent = list(range(len(graph.nodes)))
        self.fixed: dict[int, Layout] = {}
        self.classes: dict[int, _Class] = {}
        self.buffers: dict[int, int] = {}  # class -> how many stored arrays are in it

    def run(self) -> Choice:
        for n in self.graph.nodes:
            self.join(n)
        for n in self.graph.nodes:
            root = self.find(n.number)
            if root not in self.classes:
                c = self.classes[root] = _Class(n.shape, n.type.size, self.fixed.get(root))
                c.penalty = [0] * len(n.shape)
            if n.kind is Kind.BUFFER:
                self.buffers[root] = self.buffers.get(root, 0) + 1
        for r in self.graph.roots:
            self.classes[self.find(r.number)].stored = True
        for n in self.graph.nodes:
            self.link(n)
        self.settle()
        classes = [self.find(n.number) for n in self.graph.nodes]
        found = [self.classes[k].layout or layout.replicated(self.classes[k].shape) for k in classes]
        return Choice(found, classes, self.wish())

    # -- classes --

    def find(self, k: int) -> int:
        while self.parent[k] != k:
            self.parent[k] = self.parent[self.parent[k]]
            k = self.parent[k]
        return k

    def unite(self, a: Node, b: Node) -> None:
        """One class for both, unless their layouts are settled and differ; large replicated arrays draw nobody in."""
        x, y = self.find(a.number), self.find(b.number)
        if x == y:
            return
        one, other = self.fixed.get(x), self.fixed.get(y)
        if one is not None and other is not None and one != other:
            return
        settled = one or other
        if settled is not None and settled.is_replicated and a.type.size >= SMALL:
            return
        self.parent[y] = x
        if settled is not None:
            self.fixed[x] = settled

    def join(self, n: Node) -> None:
        match n.kind:
            case Kind.BUFFER:
                assert isinstance(n.arg, int)
                self.fixed[n.number] = self.inputs[n.arg]
            case Kind.ITEM if n.src[0].kind is Kind.TASK:
                self.unite(_written(n), n)
            case Kind.SCALAR | Kind.CONST | Kind.TASK | Kind.ITEM:
                self.fixed[n.number] = layout.replicated(n.shape)
            case Kind.MAP:
                for s in n.src:
                    if s.shape == n.shape and n.shape:
                        self.unite(s, n)
            case Kind.UPDATE | Kind.BITCAST | Kind.SCAN:
                self.unite(n.src[0], n)
            case Kind.CALL if not any(call_rules.axes_of(n)) and not call_rules.collectives(n):
                self.fixed[n.number] = layout.replicated(n.shape)
            case _:
                pass

    # -- links --

    def add(
        self,
        kind: str,
        a: Node,
        b: Node,
        data: Affine | tuple[int, ...],
        view: Affine | None = None,
    ) -> None:
        x, y = self.find(a.number), self.find(b.number)
        link = _Link(kind, x, y, data, view, a.shape, b.shape)
        for k in {x, y}:
            links = self.classes[k].links
            links[link] = links.get(link, 0) + b.dtype.itemsize

    def link(self, n: Node) -> None:
        match n.kind:
            case Kind.MOVE:
                assert isinstance(n.arg, Affine)
                self.add("view", n.src[0], n, n.arg)
            case Kind.MAP:
                for s in n.src:
                    if s.shape and self.find(s.number) != self.find(n.number):
                        self.add("view", s, n, spread(s.shape, n.shape))
            case Kind.UPDATE:
                old, value = n.src
                if self.find(old.number) != self.find(n.number):
                    self.add("view", old, n, index.identity(n.shape))
                if value.shape:
                    region = region_of(n)
                    self.add("region", n, value, region, spread(value.shape, region.shape))
            case Kind.BITCAST | Kind.SCAN:
                if self.find(n.src[0].number) != self.find(n.number):
                    self.add("view", n.src[0], n, index.identity(n.shape))
            case Kind.REDUCE:
                assert isinstance(n.arg, tuple)
                self.add("reduce", n.src[0], n, n.arg)
            case Kind.RESHAPE:
                self.add("reshape", n.src[0], n, ())
            case Kind.CALL:
                self.call(n)
            case Kind.TASK:
                self.task(n)
            case Kind.ITEM if n.src[0].kind is Kind.TASK:
                if self.find(_written(n).number) != self.find(n.number):
                    self.add("view", _written(n), n, index.identity(n.shape))
            case _:
                pass

    def task(self, n: Node) -> None:
        """The operands of a launch that are cut alike, and what its author asked for."""
        arg = n.arg
        assert isinstance(arg, TaskArg)
        cut = arg.partition
        if not cut.launch:
            return
        bases = [n.src[a.at + (arg.inputs if a.written else 0)] for a in arg.arguments]
        whole = [
            k
            for k, (a, base) in enumerate(zip(arg.arguments, bases, strict=True))
            if a.view is None or index.is_identity(a.view, base.shape)
        ]
        if arg.spec.partition is not None:
            even = dealing.evenly(cut, self.ranks)
            for k in whole:
                wish = even.layout(k) if even.is_separated(k) else None
                if wish is not None and wish.imbalance() * self.ranks <= dealing.UNEVEN * math.prod(
                    wish.grid
                ):
                    wishes = self.classes[self.find(bases[k].number)].wishes
                    wishes[wish] = wishes.get(wish, 0) + bases[k].dtype.itemsize
            return
        operands = [
            Operand(tuple(a.extent for a in axes), r)
            for axes, r in zip(cut.axes, arg.spec.roles, strict=True)
        ]
        fixed = fixed_axes(operands, arg.spec.constraints)
        for k in whole:
            theirs = self.classes[self.find(bases[k].number)]
            for d in fixed[k] or ():
                theirs.penalty[d] += bases[k].type.nbytes
        hub = max(whole, key=lambda k: bases[k].type.size, default=-1)
        for k in whole:
            alike = tuple(
                cut.axes[hub].index(a) if a.dim >= 0 and a in cut.axes[hub] else -1 for a in cut.axes[k]
            )
            if k != hub and max(alike, default=-1) >= 0:
                self.add("call", bases[hub], bases[k], alike)

    def call(self, n: Node) -> None:
        """Operands of a call that can be cut, and what cutting the axes that cannot would move."""
        axes = call_rules.axes_of(n)
        mine = self.classes[self.find(n.number)]
        products = self.products(n)
        for d, free in enumerate(axes):
            if free is None:
                mine.penalty[d] += n.type.nbytes
        for k, s in enumerate(n.src):
            if not s.shape:
                continue
            data = tuple(-1 if free is None else free[k] for free in axes)
            if any(d >= 0 for d in data):
                self.add("call", s, n, data)
            if call_rules.transformed(n):
                self.add("turn", s, n, call_rules.transformed(n))
            theirs = self.classes[self.find(s.number)]
            for d in range(s.type.ndim):
                if products is not None and d in products[k]:
                    theirs.penalty[d] += products[k][d]
                elif d not in data:
                    theirs.penalty[d] += s.type.nbytes

    def products(self, n: Node) -> tuple[dict[int, int], dict[int, int]] | None:
        """What a matrix product moves, by the axis along which either operand is cut: the other operand to all who have rows, or
        columns, of it; or partial results. An operand may also be dealt out anew."""
        summed = call_rules.contraction(n)
        if summed is None:
            return None
        (inner_a, inner_b), _ = summed
        a, b = (s.type.nbytes if s.type.size >= SMALL else 0 for s in n.src)
        others, never = self.ranks - 1, 1 << 62
        rows = others * b if n.src[0].type.ndim > 1 else never
        columns = others * a if n.src[1].type.ndim > 1 else never
        inner = 2 * others * n.type.nbytes
        first = {inner_a: min(inner, columns, a + rows)}
        second = {inner_b: min(inner, rows, b + columns)}
        if rows != never:
            first[inner_a - 1] = min(rows, columns, a + inner)
        if columns != never:
            second[inner_b + 1] = min(columns, rows, b + inner)
        return first, second

    # -- choosing --

    def settle(self) -> None:
        """Large classes first: those next to a settled one, largest first; then seeds, of which those that nothing is known of
        come last; then the small ones in program order."""
        waiting: list[tuple[int, int]] = []
        for c in self.classes.values():
            if c.layout is not None and not c.layout.is_replicated:
                self.reach(c, waiting)
        seeds = sorted(
            (-c.size, not c.links, k) for k, c in self.classes.items() if c.size >= SMALL and c.layout is None
        )
        for _, _, seed in seeds:
            while waiting:
                self.fix(heapq.heappop(waiting)[1], waiting)
            self.fix(seed, waiting)
        while waiting:
            self.fix(heapq.heappop(waiting)[1], waiting)
        for k, c in self.classes.items():
            if c.layout is None:
                c.layout = self.small(k, c)

    def reach(self, c: _Class, waiting: list[tuple[int, int]]) -> None:
        for link in c.links:
            for k in (link.a, link.b):
                other = self.classes[k]
                if other.layout is None and other.size >= SMALL:
                    heapq.heappush(waiting, (-other.size, k))

    def fix(self, k: int, waiting: list[tuple[int, int]]) -> None:
        c = self.classes[k]
        if c.layout is None:
            c.layout = self.large(k, c)
            self.reach(c, waiting)

    def suggestions(self, k: int, c: _Class) -> list[Layout]:
        """What settled neighbors suggest, those that most bytes speak for first."""
        votes: dict[Layout, int] = dict(c.wishes)
        for link, itemsize in c.links.items():
            forward = link.b == k
            other = self.classes[link.a if forward else link.b].layout
            found = None if other is None or link.a == link.b else _suggestion(link, other, forward)
            if found is not None and not found.is_replicated:
                votes[found] = votes.get(found, 0) + itemsize * _voice(link)
        return sorted(votes, key=lambda v: -votes[v])[:_COMPARED]

    def cost(self, k: int, c: _Class, candidate: Layout) -> int:
        """Bytes that move over the links of class k when it lies so. Neighbors that are not settled are taken to follow it."""
        total = sum(c.penalty[d] for d in candidate.cut_axes() if d < len(c.penalty))
        for wish, itemsize in c.wishes.items():
            total += itemsize * layout.moved(candidate, Need(wish, index.identity(c.shape)), self.ranks)
        followers: dict[tuple[int, bool], dict[Layout, int]] = {}
        for link, itemsize in c.links.items():
            other, forward = (link.b, True) if link.a == k else (link.a, False)
            if other != k and self.classes[other].layout is None:
                votes = followers.setdefault((other, forward), {})
                found = _suggestion(link, candidate, forward)
                if found is not None:
                    votes[found] = votes.get(found, 0) + itemsize * _voice(link)
        for link, itemsize in c.links.items():
            a, b = (self.lying(n, k, candidate, followers, n == link.b) for n in (link.a, link.b))
            if a is not None:
                total += itemsize * self.elements(link, a, b)
        return total

    def lying(
        self,
        n: int,
        k: int,
        candidate: Layout,
        followers: dict[tuple[int, bool], dict[Layout, int]],
        forward: bool,
    ) -> Layout | None:
        """The layout of class n while class k is tried with a candidate; None when it is open."""
        if n == k:
            return candidate
        votes = followers.get((n, forward))
        return max(votes, key=lambda v: votes[v]) if votes else self.classes[n].layout

    def elements(self, link: _Link, a: Layout, b: Layout | None) -> int:
        """Elements that move over a link."""
        ranks = self.ranks
        match link.kind:
            case "view" if b is not None:
                assert isinstance(link.data, Affine)
                return layout.moved(a, Need(b, link.data), ranks)
            case "region" if b is not None:
                assert isinstance(link.data, Affine) and link.view is not None
                return layout.moved(b, Need(a, link.view, link.data), ranks)
            case "reduce":
                kept = [d for d in range(len(link.shape_a)) if d not in link.data]
                along = a.picked(kept, link.shape_b)
                if along is None:
                    return 2 * (ranks - 1) * math.prod(link.shape_b)
                same = index.identity(link.shape_b)
                return 0 if b is None else layout.moved(along, Need(b, same), ranks)
            case "reshape" if b is not None:
                return 0 if a.is_replicated or reshaped(a, link.shape_b) == b else math.prod(link.shape_b)
            case "turn" if b is not None:
                both = {*a.cut_axes()} & {*b.cut_axes()}
                return math.prod(link.shape_b) if both & {*link.data} else 0
            case "call" if b is not None:
                data = [d for d in link.data if isinstance(d, int)]
                own = [data.index(d) if d in data else -1 for d in range(len(link.shape_a))]
                wanted = b.picked(own, link.shape_a, lossy=True) or layout.replicated(link.shape_a)
                return layout.moved(a, Need(wanted, index.identity(link.shape_a)), ranks)
            case _:
                return 0

    def large(self, k: int, c: _Class) -> Layout:
        candidates = self.suggestions(k, c)
        if c.stored:
            candidates = [x for x in candidates if x.imbalance() <= dealing.UNEVEN]
        if not candidates or any(c.penalty) or any(link.kind == "call" for link in c.links):
            candidates += [*self.alike(c), *self.fresh(c)] if not candidates else self.fresh(c)
        costs = [self.cost(k, c, x) * _share(x) for x in candidates]
        return candidates[costs.index(min(costs))]

    def wish(self) -> Wish | None:
        """The stored array that lies worst. One at a time: where two meet that lie differently, it is enough to move one."""
        best: Wish | None = None
        for n in self.graph.nodes:
            if n.kind is not Kind.BUFFER or n.type.size < SMALL:
                continue
            k = self.find(n.number)
            c = self.classes[k]
            lying = c.layout
            if c.stored or lying is None or not lying.grid or self.buffers[k] > 1:
                continue
            now = self.cost(k, c, lying)
            candidates = [x for x in self.suggestions(k, c) if x.imbalance() <= dealing.UNEVEN] if now else []
            if any(c.penalty):
                candidates += self.fresh(c)
            for to in candidates:
                saved = now - self.cost(k, c, to) * _share(to)
                if 2 * saved > now and (best is None or saved > best.saved):
                    cost = layout.moved(lying, Need(to, index.identity(c.shape)), self.ranks)
                    best = Wish(int(str(n.arg)), to, saved, cost * n.dtype.itemsize)
        return best

    def alike(self, c: _Class) -> list[Layout]:
        """How most elements of other arrays of this shape lie: later windows are likely to use them together."""
        votes: dict[Layout, int] = {}
        for other in self.classes.values():
            how = other.layout
            if other.shape == c.shape and how is not None and how.grid and how.imbalance() <= dealing.UNEVEN:
                votes[how] = votes.get(how, 0) + 1
        return [max(votes, key=lambda how: votes[how])] if votes else []

    def fresh(self, c: _Class) -> list[Layout]:
        """New tilings: along the first axis that is long enough, along those that calls leave free, and along several of them."""
        long = [d for d, n in enumerate(c.shape) if n >= self.ranks]
        if not long:
            long = [max(range(len(c.shape)), key=lambda d: c.shape[d])]
        least = min(c.penalty[d] for d in long)
        free = [d for d in long if c.penalty[d] == least]
        chosen = dict.fromkeys([long[0], *free][:2])
        found = [layout.tiled(c.shape, d, self.ranks) for d in chosen]
        for count in range(2, len(free) + 1):
            blocks = dict(zip(free, factors(self.ranks, count), strict=False))
            if all(b > 1 for b in blocks.values()):
                found.append(layout.gridded(c.shape, tuple(blocks.get(d, 1) for d in range(len(c.shape)))))
        return found

    def small(self, k: int, c: _Class) -> Layout:
        """Replicated, unless elsewhere is cheaper: much cheaper, if it outlives the window, since whoever looks at it then needs
        all of it."""
        everywhere = layout.replicated(c.shape)
        if not c.shape or not c.size or not c.links:
            return everywhere
        candidates = [] if c.stored and c.size < FEW else self.suggestions(k, c)
        if not candidates:
            return everywhere
        costs = [self.cost(k, c, x) for x in candidates]
        best = costs.index(min(costs))
        whole = self.cost(k, c, everywhere)
        return candidates[best] if costs[best] * (MUCH if c.stored else 1) < whole else everywhere


def _suggestion(link: _Link, other: Layout, forward: bool) -> Layout | None:
    """The layout of a link's b (a, when not `forward`) with which it moves nothing, the other class lying as `other`."""
    shape = link.shape_b if forward else link.shape_a
    match link.kind:
        case "view" | "region":
            assert isinstance(link.data, Affine)
            if link.kind == "region" and link.shape_b != link.data.shape:
                return None
            return other.sliced(link.data) if forward else other.stretched(link.data, shape)
        case "reduce":
            kept = [d for d in range(len(link.shape_a)) if d not in link.data]
            if forward:
                return other.picked(kept, shape)
            return other.picked([kept.index(d) if d in kept else -1 for d in range(len(shape))], shape)
        case "reshape":
            return reshaped(other, shape)
        case "turn":
            return _turned(other, [d for d in link.data if isinstance(d, int)], shape)
        case _:
            data = [d for d in link.data if isinstance(d, int)]
            if forward:
                return other.picked(data, shape)
            return other.picked([data.index(d) if d in data else -1 for d in range(len(shape))], shape)


def _turned(other: Layout, axes: Sequence[int], shape: tuple[int, ...]) -> Layout | None:
    """Cut along the longest axis that the other is not cut along, if it is cut along one of `axes`."""
    cuts, ranks = other.cut_axes(), math.prod(other.grid)
    free = [d for d in range(len(shape)) if d not in cuts and shape[d] >= ranks]
    if not free or not {*cuts} & {*axes}:
        return None
    return layout.tiled(shape, max(free, key=lambda d: (shape[d], -d)), ranks)


def _voice(link: _Link) -> int:
    """How many votes a link has: what is written to a region is best computed where the region is."""
    return 2 if link.kind == "region" else 1


def _share(candidate: Layout) -> int:
    """What bytes count for: cutting a second axis makes more and shorter messages, of elements that do not lie together."""
    return SEVERAL if len(candidate.grid) > 1 else 1


def factors(ranks: int, count: int) -> tuple[int, ...]:
    """`ranks` as a product of so many factors, as near to each other as can be, largest first."""
    if count == 1:
        return (ranks,)
    root = round(ranks ** (1 / count))
    least = next(f for f in range(max(root, 1) + 1, 0, -1) if ranks % f == 0 and f**count <= ranks)
    return (*factors(ranks // least, count - 1), least)


def reshaped(given: Layout, shape: tuple[int, ...]) -> Layout | None:
    """The layout of a C-order reshape in which every rank has the same elements; None when its edges fall inside rows."""
    cuts = given.cut_axes()
    if len(cuts) != 1 or given.is_pinned or 0 in shape:
        return None
    span = given.spans[cuts[0]]
    before = given.shape[: cuts[0]]
    lead, rest = math.prod(before), math.prod(given.shape[cuts[0] + 1 :])
    ahead = 1
    for e, n in enumerate(shape):
        if ahead == lead and n > 1:
            found = span.scaled(n, rest, math.prod(shape[e + 1 :]))
            if found is None:
                return None
            spans = tuple(found if d == e else layout.Span(m) for d, m in enumerate(shape))
            return layout.normal(Layout(spans, given.grid))
        ahead *= n
    return None


__all__ = ["SMALL", "Choice", "Wish", "choose", "factors", "region_of", "reshaped", "spread"]
