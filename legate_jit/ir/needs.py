"""What every node needs of its operands once layouts are chosen, and which of those needs share one exchange.

Pure functions of graph, layouts and the number of ranks: no rank is special here, so that every rank finds the same exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence

from legate_jit.ir import call_rules, index, layout
from legate_jit.ir.choose import SMALL, region_of, reshaped, spread
from legate_jit.ir.index import Affine
from legate_jit.ir.layout import Layout, Need, Window
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph

#: needs of one array are tried together with so many others
_TRIED = 4


class Needs:
    """The needs of every node of a graph, and the windows through which they are met."""

    def __init__(self, graph: Graph, layouts: Sequence[Layout], ranks: int) -> None:
        self.layouts, self.ranks = layouts, ranks
        self._needs: list[list[tuple[Node, Need]]] = []
        far: dict[Node, dict[Need, None]] = {}
        self._local: set[tuple[int, Need]] = set()
        for n in graph.nodes:
            needs = self._of(n)
            self._needs.append(needs)
            for s, need in needs:
                key = (s.number, need)
                if key in self._local or need in far.get(s, ()):
                    continue
                if layout.is_local(layouts[s.number], need, ranks):
                    self._local.add(key)
                else:
                    far.setdefault(s, {})[need] = None
        self._windows: dict[tuple[int, Need], Window] = {}
        for s, wanted in far.items():
            self._share(s, list(wanted))

    def of(self, n: Node) -> list[tuple[Node, Need]]:
        """The operands of a node in order, with what it needs of them."""
        return self._needs[n.number]

    def window(self, s: Node, need: Need) -> Window | None:
        """The window through which a need of `s` is met, or None when every rank has what it needs."""
        return None if (s.number, need) in self._local else self._windows[s.number, need]

    def _share(self, s: Node, needs: list[Need]) -> None:
        """Windows of needs that together move no more than one by one."""
        source = self.layouts[s.number]
        windows: list[tuple[list[Need], int]] = []
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

    def _of(self, n: Node) -> list[tuple[Node, Need]]:
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
                _, operands = call_layouts(n, mine, self.ranks)
                return [_as(s, wanted) for s, wanted in zip(n.src, operands, strict=True)]
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
        backward = n.arg in given.cut_axes() and given.spans[int(str(n.arg))].reverse
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


def _as(s: Node, wanted: Layout) -> tuple[Node, Need]:
    return s, Need(wanted, index.identity(s.shape))


def call_layouts(n: Node, wanted: Layout, ranks: int) -> tuple[Layout, list[Layout]]:
    """How a call whose result is wanted in a layout is computed: the layout of its result, and of its operands."""
    axes = call_rules.axes_of(n)
    cut = wanted.cut_axes()
    if cut and not wanted.is_pinned and all(axes[d] is not None for d in cut):
        computed = wanted
    else:
        free = [d for d, a in enumerate(axes) if a is not None and n.shape[d] >= ranks]
        large = any(m.type.size >= SMALL for m in (n, *n.src))
        computed = layout.tiled(n.shape, free[0], ranks) if free and large else layout.replicated(n.shape)
    operands = []
    for k, s in enumerate(n.src):
        own = [-1] * s.type.ndim
        for d, a in enumerate(axes):
            if a is not None and a[k] >= 0:
                own[a[k]] = d
        operands.append(computed.picked(own, s.shape) or layout.replicated(s.shape))
    return computed, operands


__all__ = ["Needs", "call_layouts"]
