"""What every node needs of its operands once layouts are chosen, and which of those needs share one exchange.

Pure functions of graph, layouts and the number of ranks: no rank is special here, so that every rank finds the same exchanges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from legate_jit.ir import index
from legate_jit.ir.index import Affine
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import call_rules, choose, layout
from legate_jit.ir.ranks.choose import Choice, region_of, reshaped, spread
from legate_jit.ir.ranks.dealing import Reach
from legate_jit.ir.ranks.dealt_tasks import Dealt, dealt
from legate_jit.ir.ranks.layout import Layout, Margin, Need, Strip, Window
from legate_jit.ir.rewrite import Graph

#: a part is computed in strips when it is at least so many times as long as they are
LONG = 8
#: operands of products of which a rank needs at most so many bytes are fetched at once
PANEL = 1 << 24
#: needs of one array are tried together with so many others
_TRIED = 4


#: kinds of nodes that are computed strip by strip
STRIPPED = frozenset({Kind.MAP, Kind.MOVE, Kind.BITCAST, Kind.GENERATE})


class Needs:
    """The needs of every node of a graph, and the windows through which they are met."""

    def __init__(self, graph: Graph, choice: Choice, ranks: int) -> None:
        self.layouts, self.classes, self.ranks = choice.layouts, choice.classes, ranks
        self.plans: dict[int, CallPlan] = {}
        self.tasks: dict[int, Dealt | None] = {}  # launches, dealt out or run by every rank
        self.items: dict[int, dict[int, Node]] = {}  # the results of a launch by their number
        for n in graph.nodes:
            if n.kind is Kind.ITEM and isinstance(n.arg, int):
                self.items.setdefault(n.src[0].number, {})[n.arg] = n
        self._needs = [self._of(n) for n in graph.nodes]
        self._local: set[tuple[int, Need | Reach]] = set()
        for n in graph.nodes:
            for s, need in self._needs[n.number]:
                key = (s.number, need)
                if key not in self._local and self._is_local(self.layouts[s.number], need):
                    self._local.add(key)
        self._near: dict[tuple[int, int], dict[Need, None]] = {}  # (class, array) -> what it lacks strips of
        self.strips = self._strips(graph)
        far: dict[Node, dict[Need | Reach, None]] = {}
        for n in graph.nodes:
            for s, need in self._needs[n.number]:
                if (s.number, need) not in self._local and not self.near(n, s, need):
                    far.setdefault(s, {})[need] = None
        self._windows: dict[tuple[int, Need | Reach], Window] = {}
        for s, wanted in far.items():
            self._share(s, list(wanted))

    def of(self, n: Node) -> list[tuple[Node, Need]]:
        """The operands of a node, but a launch that is dealt out, in order, with what it needs of them."""
        return cast(list[tuple[Node, Need]], self._needs[n.number])

    def _is_local(self, source: Layout, need: Need | Reach) -> bool:
        if isinstance(need, Need):
            return layout.is_local(source, need, self.ranks)
        if source.is_replicated:
            return True
        if self.ranks > layout.COUNTED:
            return False
        return all(layout.within(need.box(r), source.box(r)) for r in range(self.ranks))

    def window(self, s: Node, need: Need | Reach) -> Window | None:
        """The window through which a need of `s` is met, or None when every rank has what it needs."""
        return None if (s.number, need) in self._local else self._windows[s.number, need]

    # -- strips --

    def _strips(self, graph: Graph) -> dict[int, Strip]:
        """The classes whose parts are computed in strips: the middle from what a rank has, the ends from what it is sent. The
        middle need not wait, and nothing but the ends' surroundings is copied."""
        strips: dict[int, Strip] = {}
        cuts: dict[int, Layout] = {}
        for n in graph.nodes:
            k = self.classes[n.number]
            for s, need in self._needs[n.number] if n.kind in STRIPPED else ():
                if (s.number, need) in self._local or not isinstance(need, Need):
                    continue
                margins = layout.halo(self.layouts[s.number], need)
                if margins is None:
                    continue
                self._near.setdefault((k, s.number), {})[need] = None
                strips[k] = _wider(strips.get(k), margins)
                cuts[k] = need.layout
        strips = {k: s for k, s in strips.items() if _long(s, cuts[k])}
        self._near = {key: needs for key, needs in self._near.items() if key[0] in strips}
        return strips

    def strip(self, n: Node) -> Strip | None:
        """The middle strip of a node that is computed in strips."""
        return self.strips.get(self.classes[n.number]) if n.kind in STRIPPED else None

    def near(self, n: Node, s: Node, need: Need | Reach) -> bool:
        """Whether a rank lacks, of what `n` needs of `s`, only what the strips at its ends need."""
        return n.kind in STRIPPED and need in self._near.get((self.classes[n.number], s.number), ())

    def fits(self, value: Node, wanted: Need) -> bool:
        """Whether the part of a value is exactly the part of an update's region that the rank has."""
        assert wanted.region is not None
        return (
            value.shape == wanted.region.shape
            and wanted.layout.sliced(wanted.region) == self.layouts[value.number]
        )

    def strip_window(self, n: Node, s: Node, which: int) -> Window:
        """What the strip number `which` of n's class needs of `s`."""
        k = self.classes[n.number]
        strip = self.strips[k]._replace(which=which)
        return Window(tuple(need._replace(strip=strip) for need in self._near[k, s.number]))

    # -- windows --

    def _share(self, s: Node, needs: list[Need | Reach]) -> None:
        """Windows of needs that together move no more than one by one."""
        source = self.layouts[s.number]
        windows: list[tuple[list[Need | Reach], int]] = []
        for need in needs:
            own = layout.moved(source, need, self.ranks)
            for k, (group, bytes_) in enumerate(windows[:_TRIED]):
                both = layout.moved(source, Window((*group, need)), self.ranks)
                if both <= bytes_ + own:
                    windows[k] = ([*group, need], both)
                    break
            else:
                windows.append(([need], own))
        for group, _ in windows:
            window = Window(tuple(group))
            for need in group:
                self._windows[s.number, need] = window

    def _of(self, n: Node) -> Sequence[tuple[Node, Need | Reach]]:
        mine = self.layouts[n.number]
        match n.kind:
            case Kind.MAP | Kind.BITCAST:
                return [(s, Need(mine, spread(s.shape, n.shape))) for s in n.src]
            case Kind.MOVE:
                assert isinstance(n.arg, Affine)
                return [(n.src[0], Need(mine, n.arg))]
            case Kind.UPDATE:
                old, value = n.src
                region = region_of(n)
                wanted = Need(mine, spread(value.shape, region.shape), region)
                return [(old, Need(mine, index.identity(n.shape))), (value, wanted)]
            case Kind.REDUCE:
                return [_as(n.src[0], self._reducible(n))]
            case Kind.SCAN:
                return [_as(n.src[0], self._scannable(n))]
            case Kind.RESHAPE:
                return [_as(n.src[0], self._reshapable(n))]
            case Kind.CALL:
                plan = self.plans[n.number] = call_plan(
                    n, mine, [self.layouts[s.number] for s in n.src], self.ranks
                )
                return [_as(s, wanted) for s, wanted in zip(n.src, plan.operands, strict=True)]
            case Kind.TASK:
                found = self.tasks[n.number] = dealt(
                    n, self.layouts, self.items.get(n.number, {}), self.ranks
                )
                if found is not None:
                    return list(found.needs(self.ranks))
                return [_as(s, layout.replicated(s.shape)) for s in n.src]
            case Kind.GENERATE:
                return []
            case _:
                return [_as(s, layout.replicated(s.shape)) for s in n.src]

    def _reducible(self, n: Node) -> Layout:
        """The source's layout, but no part of it only: what one rank has alone is not a partial result of the others."""
        given = self.layouts[n.src[0].number]
        return layout.replicated(given.shape) if given.is_pinned else given

    def _scannable(self, n: Node) -> Layout:
        """A layout in which the ranks' order is the order of the scan."""
        given = self.layouts[n.src[0].number]
        along = n.arg in given.cut_axes()
        backward = along and given.spans[int(str(n.arg))].reverse
        if along and len(given.grid) > 1:
            return layout.tiled(
                given.shape, max(range(n.type.ndim), key=lambda d: given.shape[d]), self.ranks
            )
        return layout.replicated(given.shape) if given.is_pinned or backward else given

    def _reshapable(self, n: Node) -> Layout:
        """The source's layout if its parts are ranges of the flattened array or boxes of the result, else one of that kind."""
        s = n.src[0]
        given, to = self.layouts[s.number], self.layouts[n.number]
        if given.is_replicated or reshaped(given, n.shape) is not None:
            return given
        if to.is_replicated or not s.type.size:
            return layout.replicated(s.shape)
        back = reshaped(to, s.shape)
        if back is not None:
            return back
        if reshaped(given, (s.type.size,)) is not None:
            return given
        first = next(d for d, m in enumerate(s.shape) if m > 1)
        return layout.tiled(s.shape, first, self.ranks)


def _wider(strip: Strip | None, margins: tuple[Margin, ...]) -> Strip:
    """Strips that are wide enough for margins as well."""
    if strip is None:
        return Strip(margins)
    both = zip(strip.margins, margins, strict=True)
    return Strip(tuple(Margin(a.axis, max(a.before, b.before), max(a.after, b.after)) for a, b in both))


def _long(strip: Strip, cut: Layout) -> bool:
    """Whether tiles are long beside their strips."""
    return all(LONG * (m.before + m.after) <= cut.spans[m.axis].tile for m in strip.margins)


def _as(s: Node, wanted: Layout) -> tuple[Node, Need]:
    return s, Need(wanted, index.identity(s.shape))


class CallPlan(NamedTuple):
    """How a call is computed: the layout of what ranks compute, the layouts of its operands, and the MAP op that combines partial
    results ('': they are parts of the result); or the `form` in which the ranks compute it together. `panels`: bytes of what
    they fetch then in steps."""

    computed: Layout
    operands: tuple[Layout, ...]
    combine: str = ""
    form: call_rules.Form | None = None
    panels: int = 0

    def exchanged(self, ranks: int) -> int:
        """Bytes that computing together moves, all ranks together."""
        if self.form is None or self.panels:
            return self.panels
        return self.form.moved * (ranks - 1) // ranks + 2 * (ranks - 1) * self.form.combined


def call_plan(n: Node, wanted: Layout, given: Sequence[Layout], ranks: int) -> CallPlan:
    """The way to compute a call, whose operands lie as `given`, that moves the fewest bytes; whole on every rank if nothing of it
    can be cut, or it is small."""
    whole = CallPlan(layout.replicated(n.shape), tuple(layout.replicated(s.shape) for s in n.src))
    plans: dict[CallPlan, None] = {}
    if any(m.type.size >= choose.SMALL for m in (n, *n.src)):
        axes = call_rules.axes_of(n)
        for computed in _computable(n, axes, wanted, given, ranks):
            plans[CallPlan(computed, tuple(_operand(s, k, axes, computed) for k, s in enumerate(n.src)))] = (
                None
            )
        found = _partial_plan(n, given, ranks)
        if found is not None:
            plans[found] = None
        plans.update({_together(n, form, given, ranks): None for form in _forms(n, ranks)})
        if all(of.is_replicated for of in given):
            plans[whole] = None  # everyone has everything: no byte need move
    if not plans:
        return whole
    return _in_steps(n, min(plans, key=lambda plan: _moved(n, plan, wanted, given, ranks)), given, ranks)


def _in_steps(n: Node, plan: CallPlan, given: Sequence[Layout], ranks: int) -> CallPlan:
    """The same plan, but what is fetched comes in steps if it is much more than a rank has."""
    if plan.combine or plan.form is not None or not call_rules.in_steps(n):
        return plan
    large, panels = False, 0
    for s, of, to in zip(n.src, given, plan.operands, strict=True):
        if of.is_pinned:
            return plan
        panels += s.dtype.itemsize * layout.moved(of, Need(to, index.identity(s.shape)), ranks)
        most = max(layout.size(to.box(r)) for r in layout.samples(ranks)[0]) * s.dtype.itemsize
        large |= of.grid != () and most > max(PANEL, 2 * s.type.nbytes // ranks)
    if not large or not panels:
        return plan
    operands = tuple(of if of.grid else to for of, to in zip(given, plan.operands, strict=True))
    return CallPlan(plan.computed, operands, form=call_rules.Form("matmul", (), -1, 0), panels=panels)


def _computable(
    n: Node, axes: call_rules.Axes, wanted: Layout, given: Sequence[Layout], ranks: int
) -> Iterator[Layout]:
    """Layouts of the result in which ranks can compute their parts: as wanted, as operands lie, and along every free axis."""
    free = [d for d, a in enumerate(axes) if a is not None]
    candidates: list[Layout | None] = [wanted]
    for k, of in enumerate(given):
        candidates.append(of.picked([-1 if a is None else a[k] for a in axes], n.shape))
    candidates.extend(layout.tiled(n.shape, d, ranks) for d in free if n.shape[d] >= ranks)
    if len(free) > 1:
        blocks = dict(zip(free[-2:], choose.factors(ranks, 2), strict=True))
        candidates.append(layout.gridded(n.shape, tuple(blocks.get(d, 1) for d in range(len(n.shape)))))
    for found in candidates:
        if (
            found is not None
            and not found.is_pinned
            and found.grid
            and all(d in free for d in found.cut_axes())
        ):
            yield found


def _operand(s: Node, k: int, axes: call_rules.Axes, computed: Layout) -> Layout:
    """The layout in which operand k must lie for a layout of the result."""
    own = [-1] * s.type.ndim
    for d, a in enumerate(axes):
        if a is not None and a[k] >= 0:
            own[a[k]] = d
    return computed.picked(own, s.shape, lossy=True) or layout.replicated(s.shape)


def _partial_plan(n: Node, given: Sequence[Layout], ranks: int) -> CallPlan | None:
    """Partial results over operands that are cut along the axes summed over."""
    found = call_rules.contraction(n)
    if found is None:
        return None
    axes, combine = found
    for of, axis, s in zip(given, axes, n.src, strict=True):
        if of.cut_axes() == (axis,) and not of.is_pinned and s.type.size >= choose.SMALL:
            operands = tuple(
                of.picked([axis if d == other else -1 for d in range(m.type.ndim)], m.shape)
                for m, other in zip(n.src, axes, strict=True)
            )
            if all(x is not None for x in operands):
                return CallPlan(layout.replicated(n.shape), tuple(x for x in operands if x), combine)
    return None


def _forms(n: Node, ranks: int) -> list[call_rules.Form]:
    """The ways to compute a call together that give every rank a part of the result, if there are any such."""
    forms = call_rules.collectives(n)
    even = [f for f in forms if f.result < 0 or n.shape[f.result] >= ranks]
    return even or list(forms)


def _together(n: Node, form: call_rules.Form, given: Sequence[Layout], ranks: int) -> CallPlan:
    """The plan of a collective: operands stay where they are if that is how they must be cut."""
    operands = tuple(
        of if axis >= 0 and _ranges(of, axis, ranks) else _cut(s.shape, axis, ranks)
        for s, of, axis in zip(n.src, given, form.operands, strict=True)
    )
    computed = operands[form.like] if form.like >= 0 else _cut(n.shape, form.result, ranks)
    return CallPlan(computed, operands, form=form)


def _cut(shape: tuple[int, ...], axis: int, ranks: int) -> Layout:
    return layout.replicated(shape) if axis < 0 else layout.tiled(shape, axis, ranks)


def _ranges(given: Layout, axis: int, ranks: int) -> bool:
    """Whether the ranks have ranges of an axis, in their order."""
    return (
        given.cut_axes() == (axis,)
        and given.grid == (ranks,)
        and not given.is_pinned
        and not given.spans[axis].reverse
    )


def _moved(n: Node, plan: CallPlan, wanted: Layout, given: Sequence[Layout], ranks: int) -> int:
    """Bytes that a plan moves."""
    total = 0
    for s, of, to in zip(n.src, given, plan.operands, strict=True):
        total += s.dtype.itemsize * layout.moved(of, Need(to, index.identity(s.shape)), ranks)
    if plan.combine:
        total += 2 * (ranks - 1) * n.type.nbytes
    total += plan.exchanged(ranks)
    return total + n.dtype.itemsize * layout.moved(
        plan.computed, Need(wanted, index.identity(n.shape)), ranks
    )


__all__ = ["CallPlan", "Needs"]
