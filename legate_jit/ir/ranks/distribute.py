"""Distribution: the graph of a program becomes the graph of one rank, with exchanges where ranks need each other's elements.

Every rank records the same program and runs this pass for itself. Layouts are chosen by `ir.choose`; each node then becomes the
same operation on the rank's part. Three kinds of library calls exchange data: `fetch` (every rank gets a box of an array that
lies in parts), `combine` (partial results become one) and `collective` (an algorithm of all ranks). Which exchanges there are,
and their order, is the same on every rank: nothing that decides it looks at a rank.
Must not know messages, memory or how exchanges are carried out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from legate_jit.ir import dtypes, index
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Node, array_type
from legate_jit.ir.ops import OPS, Kind, Op
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.choose import Choice, Wish, choose, region_of, reshaped
from legate_jit.ir.ranks.dealing import Reach
from legate_jit.ir.ranks.dealt_tasks import localize
from legate_jit.ir.ranks.exchanges import STAGED, Collective, Combine, Exchange, Fetch, neutral, what
from legate_jit.ir.ranks.layout import Box, Layout, Need, Strip, Window
from legate_jit.ir.ranks.needs import CallPlan, Needs
from legate_jit.ir.rewrite import Builder, Graph, reachable
from legate_jit.ir.tasks.task import TaskArg


class Distributed(NamedTuple):
    """A rank's graph, the layouts of its roots, what is exchanged, a line for every call computed whole on every rank, and the
    input that would better lie otherwise."""

    graph: Graph
    layouts: tuple[Layout, ...]
    exchanges: tuple[Exchange, ...]
    notices: tuple[str, ...]
    wish: Wish | None


def distribute(graph: Graph, inputs: Sequence[Layout], ranks: int, rank: int) -> Distributed:
    """The part of `rank` of a simplified graph. `inputs`: layouts of the buffers, by their number; the local graph's buffers are
    the parts they give to the rank."""
    return _Distributor(graph, choose(graph, inputs, ranks), ranks, rank).run()


def _moves(b: Builder, op: Op, src: tuple[Node, ...], arg: Hashable, type_: ArrayType) -> Node | None:
    """Views of views are one view. No rule here may drop an operand: an exchange may hang on it."""
    if op.kind is not Kind.MOVE:
        return None
    assert isinstance(arg, Affine)
    x = src[0]
    if index.is_identity(arg, x.shape):
        return x
    if x.kind is Kind.MOVE:
        assert isinstance(x.arg, Affine)
        return b.make(op, x.src, index.compose(x.arg, arg), type_)
    if x.op.name in ("full", "empty"):
        return b.make(x.op, x.src, None, type_)
    return None


class _Distributor:
    def __init__(self, graph: Graph, choice: Choice, ranks: int, rank: int) -> None:
        self.graph, self.layouts, self.ranks, self.rank = graph, choice.layouts, ranks, rank
        self.wish = choice.wish
        self.builder = Builder(_moves)
        self.needs = Needs(graph, choice, ranks)
        self.local: dict[int, Node] = {}  # what the rank has of a value
        self.strips: dict[int, tuple[Node, ...]] = {}  # the same in strips, the middle first
        self.fetched: dict[tuple[int, Window], Node] = {}
        self.groups: dict[int, int] = {}  # value -> its first fetch
        self.exchanges: list[Exchange] = []
        self.notices: list[str] = []
        self.made: dict[int, Sequence[Node]] = {}  # by a launch's number: the arrays it writes

    def run(self) -> Distributed:
        for n in self.graph.nodes:
            strip = self.needs.strip(n)
            if strip is None:
                self.local[n.number] = self.node(n)
            else:
                self.strips[n.number] = tuple(self.stripped(n, part) for part in strip.all())
        roots = [self.part_of(r) for r in self.graph.roots]
        return Distributed(
            reachable(self.builder.nodes, roots),
            tuple(self.layouts[r.number] for r in self.graph.roots),
            tuple(self.exchanges),
            tuple(self.notices),
            self.wish,
        )

    # -- parts --

    def box(self, n: Node) -> Box:
        return self.layouts[n.number].box(self.rank)

    def type(self, n: Node) -> ArrayType:
        """The type of the rank's part of a value."""
        return array_type(layout.extents(self.box(n)), n.dtype)

    def fetch(self, x: Node, source: Layout, wanted: Window, value: int = -1) -> Node:
        """The rank's box of the array whose part is `x`, which is all the ranks have of a value of this number (if any)."""
        number = group = len(self.exchanges)
        if layout.received(source, wanted, self.ranks) * x.dtype.itemsize > STAGED:
            group = -1
        elif value >= 0:
            group = self.groups.setdefault(value, number)
        fetch = Fetch(number, source, wanted, group)
        self.exchanges.append(Exchange(fetch, layout.moved(source, wanted, self.ranks) * x.dtype.itemsize))
        type_ = array_type(layout.extents(wanted.box(self.rank)), x.dtype)
        return self.builder.make(OPS["call"], (x,), CallSpec("fetch", (("what", fetch),)), type_)

    def combine(self, xs: tuple[Node, ...], op: str, parts: Layout, before: bool = False) -> Node:
        """The partial results `xs[0]` of all ranks combined. What else is in `xs` is not looked at, but comes before it."""
        combine = Combine(len(self.exchanges), op, parts, before)
        self.exchanges.append(Exchange(combine, 2 * (self.ranks - 1) * xs[0].type.nbytes))
        return self.builder.make(OPS["call"], xs, CallSpec("combine", (("what", combine),)), xs[0].type)

    def part_of(self, n: Node) -> Node:
        """What the rank has of a value."""
        found = self.local.get(n.number)
        if found is None:
            found = self.builder.make(OPS["empty"], (), None, self.type(n))
            found = self.local[n.number] = self.written(found, n, index.identity(n.shape), self.box(n))
        return found

    def written(self, target: Node, n: Node, region: Affine, box: Box) -> Node:
        """`target`, which holds `box` of an array, after writing the strips of `n` to where `region` of the array is."""
        strip = self.needs.strip(n)
        assert strip is not None
        for part, x in zip(strip.all(), self.strips[n.number], strict=True):
            if not x.type.size:
                continue
            here = layout.localized(region, part.of(self.layouts[n.number], self.rank), box)
            target = self.builder.make(OPS["update"], (target, x), here, target.type)
        return target

    def seen(self, s: Node, need: Need | Reach) -> tuple[Node, Box]:
        """A node that holds what the rank needs of `s`, and the box of s that it is."""
        window = self.needs.window(s, need)
        if window is None:
            return self.part_of(s), self.box(s)
        return self.fetched_window(s, window)

    def fetched_window(self, s: Node, window: Window) -> tuple[Node, Box]:
        key = (s.number, window)
        if key not in self.fetched:
            self.fetched[key] = self.fetch(self.part_of(s), self.layouts[s.number], window, s.number)
        return self.fetched[key], window.box(self.rank)

    def part(self, s: Node, need: Need | Reach) -> Node:
        """Exactly the box of `s` that the rank needs."""
        return self.exactly(*self.seen(s, need), need)

    def exactly(self, x: Node, base: Box, need: Need | Reach) -> Node:
        """What the rank needs, of the memory `x` that holds the box `base`."""
        part = need.part(self.rank)
        if layout.size(part):
            return self.within(x, base, need.box(self.rank))
        return self.nothing(x, layout.extents(part))

    def nothing(self, x: Node, shape: tuple[int, ...]) -> Node:
        """No elements of `x`, in a shape; still a reader of x, so that all ranks keep the same exchanges."""
        if x.shape == shape:
            return x
        return self.builder.make(
            OPS["move"], (x,), Affine(shape, ((0, 0, -1),) * x.type.ndim), array_type(shape, x.dtype)
        )

    def within(self, x: Node, base: Box, box: Box) -> Node:
        """A box of the memory `x` that holds the box `base`."""
        inner = layout.shifted(box, base if layout.size(box) else box)
        return self.builder.make(
            OPS["move"], (x,), index.from_box(inner), array_type(layout.extents(box), x.dtype)
        )

    def converted(self, x: Node, given: Layout, to: Layout) -> Node:
        """The part of `to`, from the part that `given` says of the same array."""
        if given == to:
            return x
        if given.is_replicated:
            return self.within(x, given.box(self.rank), to.box(self.rank))
        found = self.fetch(x, given, Window((Need(to, index.identity(to.shape)),)))
        shape = layout.extents(to.box(self.rank))
        return found if found.type.size else self.nothing(found, shape)

    # -- nodes --

    def node(self, n: Node) -> Node:
        make = self.builder.make
        match n.kind:
            case Kind.SCALAR | Kind.CONST:
                return make(n.op, (), n.arg, n.type)
            case Kind.BUFFER:
                return make(n.op, (), n.arg, self.type(n))
            case Kind.MAP:
                return make(n.op, tuple(self.part(s, e) for s, e in self.needs.of(n)), n.arg, self.type(n))
            case Kind.MOVE:
                assert isinstance(n.arg, Affine)
                x, base = self.seen(*self.needs.of(n)[0])
                return make(n.op, (x,), layout.localized(n.arg, self.box(n), base), self.type(n))
            case Kind.BITCAST:
                return make(n.op, (self.part(*self.needs.of(n)[0]),), n.arg, self.type(n))
            case Kind.UPDATE:
                return self.update(n)
            case Kind.GENERATE:
                return self.generate(n, self.box(n))
            case Kind.REDUCE:
                return self.reduce(n)
            case Kind.SCAN:
                return self.scan(n)
            case Kind.RESHAPE:
                return self.reshape(n)
            case Kind.CALL:
                return self.call(n)
            case Kind.TASK:
                return self.task(n)
            case Kind.ITEM if n.src[0].kind is Kind.TASK:
                assert isinstance(n.arg, int)
                return self.made[n.src[0].number][n.arg]
            case Kind.ITEM:
                return make(n.op, (self.part_of(n.src[0]),), n.arg, n.type)
            case _:
                return self.whole(n)

    def stripped(self, n: Node, strip: Strip) -> Node:
        """One strip of what the rank has of a value: its operands are what the rank has, or strips of what others have."""
        make = self.builder.make
        part = strip.of(self.layouts[n.number], self.rank)
        type_ = array_type(layout.extents(part), n.dtype)
        if n.kind is Kind.GENERATE:
            return self.generate(n, part)
        operands = [self.seen_strip(n, s, need, strip) for s, need in self.needs.of(n)]
        if n.kind is Kind.MOVE:
            assert isinstance(n.arg, Affine)
            ((x, base),) = operands
            return make(n.op, (x,), layout.localized(n.arg, part, base), type_)
        sources = [
            self.exactly(x, base, need._replace(strip=strip))
            for (x, base), (_, need) in zip(operands, self.needs.of(n), strict=True)
        ]
        return make(n.op, tuple(sources), n.arg, type_)

    def seen_strip(self, n: Node, s: Node, need: Need, strip: Strip) -> tuple[Node, Box]:
        """As `seen`, for one strip of n."""
        same = self.needs.classes[s.number] == self.needs.classes[n.number]
        if s.number in self.strips and same and need.view == index.identity(s.shape):
            own = strip.of(self.layouts[s.number], self.rank)
            return self.strips[s.number][strip.all().index(strip)], own
        if not self.needs.near(n, s, need):
            return self.seen(s, need)
        if not strip.which:
            return self.part_of(s), self.box(s)
        window = self.needs.strip_window(n, s, strip.which)
        return self.fetched_window(s, window)

    def whole(self, n: Node) -> Node:
        """Computed everywhere, from operands gathered everywhere."""
        sources = [self.part(s, need) for s, need in self.needs.of(n)]
        gathered = sum(
            layout.moved(self.layouts[s.number], need, self.ranks) * s.dtype.itemsize
            for s, need in self.needs.of(n)
        )
        if gathered:
            name = n.arg.name if isinstance(n.arg, CallSpec) else n.op.name
            if isinstance(n.arg, TaskArg):
                name = f"task {n.arg.spec.name}"
            self.notices.append(f"{name} runs whole on every rank: {gathered} bytes gathered")
        return self.builder.make(n.op, tuple(sources), n.arg, n.type)

    def call(self, n: Node) -> Node:
        plan, to = self.needs.plans[n.number], self.layouts[n.number]
        if plan.combine:
            sources = tuple(self.part(s, need) for s, need in self.needs.of(n))
            partial = self.builder.make(n.op, sources, n.arg, n.type)
            parts = max(plan.operands, key=lambda x: len(x.grid))
            return self.converted(self.combine((partial,), plan.combine, parts), plan.computed, to)
        if plan.form is not None:
            return self.converted(self.collective(n, plan), plan.computed, to)
        if plan.computed.is_replicated:
            return self.converted(self.whole(n), plan.computed, to)
        sources = tuple(self.part(s, need) for s, need in self.needs.of(n))
        type_ = array_type(layout.extents(plan.computed.box(self.rank)), n.dtype)
        return self.converted(self.builder.make(n.op, sources, n.arg, type_), plan.computed, to)

    def collective(self, n: Node, plan: CallPlan) -> Node:
        """The rank's part of what the ranks compute together."""
        assert plan.form is not None and isinstance(n.arg, CallSpec)
        sources = tuple(self.part(s, need) for s, need in self.needs.of(n))
        number = len(self.exchanges)
        collective = Collective(number, plan.form.name, n.arg.options, plan.operands, plan.computed, n.dtype)
        self.exchanges.append(Exchange(collective, plan.exchanged(self.ranks)))
        type_ = array_type(layout.extents(plan.computed.box(self.rank)), n.dtype)
        return self.builder.make(OPS["call"], sources, CallSpec("collective", (("what", collective),)), type_)

    def task(self, n: Node) -> Node:
        """A launch: the rank's own points of it, or all of them on every rank."""
        dealt = self.needs.tasks[n.number]
        if dealt is not None:
            node, self.made[n.number] = localize(self, dealt)
            return node
        assert isinstance(n.arg, TaskArg)
        node = self.whole(n)
        items = self.needs.items.get(n.number, {})
        made = []
        for k, old in enumerate(n.src[n.arg.inputs : -1]):
            item = self.builder.make(OPS["item"], (node,), k, old.type)
            lies = self.layouts[items[k].number if k in items else old.number]
            made.append(self.converted(item, layout.replicated(old.shape), lies))
        self.made[n.number] = made
        return node

    def update(self, n: Node) -> Node:
        """Every rank updates the part of the region that is in its box."""
        (old, need), (value, wanted) = self.needs.of(n)
        region, box = region_of(n), self.box(n)
        if value.number in self.strips and self.needs.fits(value, wanted):
            return self.written(self.part(old, need), value, region, box)
        section = layout.section(region, box)
        if not layout.size(section) and need.layout == self.layouts[n.number]:
            self.part(value, wanted)  # for its exchanges
            return self.part(old, need)
        here = layout.localized(region, section, box)
        return self.builder.make(n.op, (self.part(old, need), self.part(value, wanted)), here, self.type(n))

    def generate(self, n: Node, box: Box) -> Node:
        """A box of a generated array."""
        sources = tuple(self.part_of(s) for s in n.src)
        type_ = array_type(layout.extents(box), n.dtype)
        if n.op.name == "index":
            assert isinstance(n.arg, int)
            return self.coordinate(type_, n.arg, box[n.arg][0])
        if n.op.name == "random" and not self.layouts[n.number].is_replicated:
            return self.random(n, sources, type_, box)
        return self.builder.make(n.op, sources, n.arg, type_)

    def coordinate(self, type_: ArrayType, axis: int, low: int) -> Node:
        """Where each element of a part that begins at `low` is along an axis of the whole."""
        b = self.builder
        local = b.make(OPS["index"], (), axis, array_type(type_.shape, dtypes.INT64))
        return b.map("add", local, self.const(low)) if low else local

    def const(self, value: int) -> Node:
        return self.builder.make(OPS["const"], (), value, array_type((), dtypes.INT64))

    def random(self, n: Node, sources: tuple[Node, ...], type_: ArrayType, box: Box) -> Node:
        """Element i of the whole, in C order, draws from counter + i, whoever holds it."""
        b = self.builder
        key, base = sources
        counter: Node = base
        unit = 1
        for d in range(n.type.ndim - 1, -1, -1):
            place = self.coordinate(type_, d, box[d][0])
            place = b.map("multiply", place, self.const(unit)) if unit != 1 else place
            counter = b.map("add", b.cast(place, base.type), counter)
            unit *= n.shape[d]
        return b.make(n.op, (key, counter), "draw", type_)

    # -- reductions and scans --

    def reduce(self, n: Node) -> Node:
        """Partial results of what the rank has, combined where the reduced axes are cut."""
        axes = n.arg
        assert isinstance(axes, tuple)
        ((s, need),) = self.needs.of(n)
        parts = need.layout
        kept = [d for d in range(s.type.ndim) if d not in axes]
        along = parts.picked(kept, n.shape)
        to = self.layouts[n.number]
        if along is not None:
            type_ = array_type(layout.extents(along.box(self.rank)), n.dtype)
            return self.converted(self.partial(n.op, self.part(s, need), axes, type_), along, to)
        if n.op.combine in ("argmax", "argmin"):
            total = self.extremum(n, self.part(s, need), parts)
        else:
            total = self.combine(self.partials(n, s, need), n.op.combine, parts)
        return self.converted(total, layout.replicated(n.shape), to)

    def partials(self, n: Node, s: Node, need: Need) -> tuple[Node, ...]:
        """The reduction of what the rank has of `s`, strip by strip if it is computed so, and the strips without elements."""
        axes = n.arg
        assert isinstance(axes, tuple)
        xs = self.strips.get(s.number, ())
        in_strips = need.layout == self.layouts[s.number] and s.number not in self.local
        if not in_strips or not any(x.type.size for x in xs) or self.kept_cuts(n, need.layout):
            return (self.padded(n, n.op, self.part(s, need), need.layout),)
        some = [self.partial(n.op, x, axes, n.type) for x in xs if x.type.size]
        total = some[0]
        for other in some[1:]:
            total = self.builder.make(OPS[n.op.combine], (total, other), None, n.type)
        return (total, *(x for x in xs if not x.type.size))

    def kept_cuts(self, n: Node, parts: Layout) -> bool:
        """Whether a reduction of parts gives parts, and not the whole result."""
        assert isinstance(n.arg, tuple)
        return any(d not in n.arg for d in parts.cut_axes())

    def padded(self, n: Node, op: Op, x: Node, parts: Layout, value: Node | None = None) -> Node:
        """The reduction by `op` of a part (or the `value` computed of it), with what combines to nothing where it has no part."""
        axes = n.arg
        assert isinstance(axes, tuple)
        dtype = x.dtype if value is None else value.dtype
        box = tuple(r for d, r in enumerate(parts.box(self.rank)) if d not in axes)
        if value is None:
            value = self.partial(op, x, axes, array_type(layout.extents(box), dtype))
        if not self.kept_cuts(n, parts):
            return value
        b = self.builder
        nothing = b.make(OPS["const"], (), neutral(op.combine, dtype), array_type((), dtype))
        whole = b.make(OPS["full"], (nothing,), None, array_type(n.shape, dtype))
        return b.make(OPS["update"], (whole, value), index.from_box(box), whole.type)

    def partial(self, op: Op, x: Node, axes: tuple[int, ...], type_: ArrayType) -> Node:
        """The reduction of a part; of one without elements, anything that reads it: nobody looks at the result."""
        if x.type.size or op.name in ("sum", "prod", "any", "all"):
            return self.builder.make(op, (x,), axes, type_)
        neutral = OPS["any" if x.dtype == dtypes.BOOL else "sum"]
        nothing = self.builder.make(neutral, (x,), axes, array_type(type_.shape, x.dtype))
        return self.builder.cast(nothing, type_)

    def extremum(self, n: Node, x: Node, parts: Layout) -> Node:
        """The first position of the extremum: the extremum of all, then the least position of those that attain it."""
        b, axes = self.builder, n.arg
        assert isinstance(axes, tuple)
        mine = self.padded(n, OPS["max" if n.op.combine == "argmax" else "min"], x, parts)
        best = self.combine((mine,), "maximum" if n.op.combine == "argmax" else "minimum", parts)
        hit = b.map("equal", mine, best, dtype="?")
        if x.dtype.kind == "f":
            hit = b.map("logical_or", hit, b.map("not_equal", mine, mine, dtype="?"), dtype="?")
        shape = tuple(hi - lo for d, (lo, hi) in enumerate(parts.box(self.rank)) if d not in axes)
        local = self.partial(n.op, x, axes, array_type(shape, n.dtype))
        position = self.padded(n, OPS["min"], x, parts, self.position(n, local, parts))
        far = self.const(int(np.iinfo(np.int64).max))
        return self.combine((b.map("where", hit, position, far),), "minimum", parts)

    def position(self, n: Node, local: Node, parts: Layout) -> Node:
        """A position among the reduced elements of a part, as one among those of the whole."""
        b, axes = self.builder, n.arg
        assert isinstance(axes, tuple)
        box, rest, unit = parts.box(self.rank), local, 1
        total: Node | None = None
        for d in reversed(axes):
            lo, hi = box[d]
            place = rest
            if d != axes[0]:
                place = b.map("remainder", rest, self.const(max(hi - lo, 1)))
                rest = b.map("floor_divide", rest, self.const(max(hi - lo, 1)))
            place = b.map("multiply", b.map("add", place, self.const(lo)), self.const(unit))
            total = place if total is None else b.map("add", place, total)
            unit *= parts.shape[d]
        assert total is not None
        return total

    def scan(self, n: Node) -> Node:
        """Running totals of the part, after those of all the ranks before."""
        b, axis = self.builder, n.arg
        assert isinstance(axis, int)
        ((s, need),) = self.needs.of(n)
        x, parts = self.part(s, need), need.layout
        local = b.make(n.op, (x,), axis, x.type)
        if axis not in parts.cut_axes():
            return self.converted(local, parts, self.layouts[n.number])
        op = OPS["sum" if n.op.combine == "add" else "prod"]
        shape = tuple(m for d, m in enumerate(x.shape) if d != axis)
        half = n.dtype == dtypes.FLOAT16  # kernels compute in float32
        wide = array_type((), dtypes.FLOAT32 if half else n.dtype)
        total = b.make(op, (b.cast(x, wide),), (axis,), array_type(shape, wide.dtype))
        before = self.combine((total,), n.op.combine, parts, before=True)
        line = (*shape[:axis], 1, *shape[axis:])
        kept = [d for d in range(len(line)) if d != axis]
        along = b.make(
            OPS["move"], (before,), Affine(line, tuple((0, 1, d) for d in kept)), array_type(line, wide.dtype)
        )
        summed = b.make(
            OPS[n.op.combine], (along, b.cast(local, wide)), None, array_type(local.shape, wide.dtype)
        )
        return self.converted(b.cast(summed, local.type), parts, self.layouts[n.number])

    # -- reshapes --

    def reshape(self, n: Node) -> Node:
        """In place where the cuts fall between rows of both shapes, else through ranges of the flattened array."""
        ((s, need),) = self.needs.of(n)
        x, given, to = self.part(s, need), need.layout, self.layouts[n.number]
        if given.is_replicated:
            return self.converted(self.shaped(x, n.shape), layout.replicated(n.shape), to)
        near = reshaped(given, n.shape)
        if near is not None:
            here = self.shaped(x, layout.extents(near.box(self.rank)))
            return self.converted(here, near, to)
        flat = reshaped(given, (s.type.size,))
        assert flat is not None
        x = self.shaped(x, layout.extents(flat.box(self.rank)))
        goal = reshaped(to, (s.type.size,))
        if goal is None:
            first = next(d for d, m in enumerate(n.shape) if m > 1)
            rows = layout.tiled(n.shape, first, self.ranks)
            goal = reshaped(rows, (s.type.size,))
            assert goal is not None
            x = self.converted(x, flat, goal)
            return self.converted(self.shaped(x, layout.extents(rows.box(self.rank))), rows, to)
        return self.shaped(self.converted(x, flat, goal), layout.extents(to.box(self.rank)))

    def shaped(self, x: Node, shape: tuple[int, ...]) -> Node:
        return self.builder.make(OPS["reshape"], (x,), None, array_type(shape, x.dtype))


__all__ = ["Collective", "Combine", "Distributed", "Exchange", "Fetch", "distribute", "neutral", "what"]
