"""Layouts: which box of an array each rank holds, as arithmetic on the rank.

A `Layout` cuts axes of an array into blocks, one per coordinate of a grid of ranks; a `Window` says which box every rank wants
to see. Both answer in time that does not depend on the number of ranks. Must not know graphs, messages or memory: boxes are
half-open, extents count elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from legate_jit.ir.index import Affine

#: half-open [low, high) per axis; empty when one of them is
Box = tuple[tuple[int, int], ...]

#: programs repeat themselves: what was found of a layout is remembered, up to so many answers of a kind
_remembered = lru_cache(maxsize=1 << 12)


class Span(NamedTuple):
    """How one axis of `extent` elements is dealt out along dimension `dim` of the grid (-1: everyone has all of it).

    Block j of `blocks` covers edge(j) .. edge(j + 1), where edge(j) = ceil((j * tile + start) / div) within the axis; the first
    and the last block reach to its ends. Coordinate c has block c, or with `reverse` block blocks - 1 - c. This form is closed
    under slices with any step, so that a view of an array that is cut is cut in the same places.
    """

    extent: int
    dim: int = -1
    blocks: int = 1
    tile: int = 0
    start: int = 0
    div: int = 1
    reverse: bool = False

    def edge(self, j: int) -> int:
        """Where block j begins."""
        if j <= 0:
            return 0
        if j >= self.blocks:
            return self.extent
        return min(max(-(-(j * self.tile + self.start) // self.div), 0), self.extent)

    def edges(self) -> list[int]:
        """Where every block begins, and where the last one ends."""
        return [self.edge(j) for j in range(self.blocks + 1)]

    def block(self, coordinate: int) -> tuple[int, int]:
        """What the coordinate has of the axis."""
        j = self.blocks - 1 - coordinate if self.reverse else coordinate
        return self.edge(j), self.edge(j + 1)

    def is_full(self) -> bool:
        """Whether every block has elements."""
        # Blocks between the first and the last have at least one each.
        if self.tile >= self.div or self.dim < 0:
            return self.edge(1) > 0 and self.edge(self.blocks - 1) < self.extent
        edges = self.edges()
        return all(lo < hi for lo, hi in itertools.pairwise(edges))

    def holder(self, position: int) -> int:
        """The coordinate that has the element at `position`."""
        j = min(max((position * self.div - self.start) // self.tile, 0), self.blocks - 1)
        while self.edge(j) > position:
            j -= 1
        while self.edge(j + 1) <= position:
            j += 1
        return self.blocks - 1 - j if self.reverse else j

    def sliced(self, extent: int, start: int, step: int) -> Span | None:
        """The same cut seen by the `extent` elements at start + step * i; None when this form cannot say it."""
        if self.dim < 0:
            return Span(extent)
        if step > 0:
            shift = self.start - start * self.div
            return self._replace(extent=extent, start=shift, div=self.div * step).reduced()
        if step < 0 and self.div == 1:
            shift = start + 1 - self.start - self.blocks * self.tile
            return self._replace(extent=extent, start=shift, div=-step, reverse=not self.reverse).reduced()
        return None

    def stretched(self, extent: int, start: int, step: int) -> Span | None:
        """A cut of `extent` elements such that the elements at start + step * i are cut as this one; None when there is none."""
        if self.dim < 0:
            return Span(extent)
        if self.div != 1 or not step:
            return None
        if step > 0:
            return self._replace(extent=extent, tile=self.tile * step, start=self.start * step + start)
        tile = self.tile * -step
        shift = start + 1 + step * self.start - self.blocks * tile
        return self._replace(extent=extent, tile=tile, start=shift, reverse=not self.reverse)

    def scaled(self, extent: int, times: int, over: int) -> Span | None:
        """The cut of an axis whose elements are `over` / `times` of this one's, when every edge falls between elements."""
        if self.dim < 0:
            return Span(extent)
        if self.div != 1 or self.tile * times % over or self.start * times % over:
            return None
        return self._replace(extent=extent, tile=self.tile * times // over, start=self.start * times // over)

    def reduced(self) -> Span:
        """The same cut in its least terms."""
        common = math.gcd(self.tile, self.start, self.div)
        if common == 1:
            return self
        return self._replace(tile=self.tile // common, start=self.start // common, div=self.div // common)


class Layout(NamedTuple):
    """Which box of an array each rank of a grid holds; ranks are coordinates in C order, those beyond the grid hold nothing.

    `pins` names, per dimension of the grid, the only coordinate that holds anything (-1: all do). An array none of whose axes is
    cut, without pins, is replicated: its grid is ().
    """

    spans: tuple[Span, ...]
    grid: tuple[int, ...] = ()
    pins: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return tuple(s.extent for s in self.spans)

    @property
    def is_replicated(self) -> bool:
        """Whether every rank holds the whole."""
        return not self.grid

    @property
    def is_pinned(self) -> bool:
        """Whether only ranks of one coordinate hold anything."""
        return any(p >= 0 for p in self.pins)

    @property
    def is_partition(self) -> bool:
        """Whether every element is on one rank, and no rank of the grid is left out."""
        return bool(self.grid) and not self.is_pinned and len(self.cut_axes()) == len(self.grid)

    def cut_axes(self) -> tuple[int, ...]:
        """The axes that are cut."""
        return tuple(d for d, s in enumerate(self.spans) if s.dim >= 0)

    def coordinates(self, rank: int) -> tuple[int, ...] | None:
        """Where the rank is in the grid, or None when it is beyond it."""
        point = []
        for n in reversed(self.grid):
            point.append(rank % n)
            rank //= n
        return None if rank else tuple(reversed(point))

    def rank(self, point: Sequence[int]) -> int:
        """The rank at a point of the grid."""
        number = 0
        for n, c in zip(self.grid, point, strict=True):
            number = number * n + c
        return number

    @_remembered
    def box(self, rank: int) -> Box:
        """What the rank holds."""
        if not self.grid:
            return tuple((0, s.extent) for s in self.spans)
        point = self.coordinates(rank)
        if point is None or any(p >= 0 and p != c for p, c in zip(self.pins, point, strict=False)):
            return ((0, 0),) * len(self.spans)
        return tuple((0, s.extent) if s.dim < 0 else s.block(point[s.dim]) for s in self.spans)

    def fills(self, ranks: int) -> bool:
        """Whether each of so many ranks holds elements. In constant time, but for steps longer than tiles."""
        if not self.grid:
            return all(s.extent for s in self.spans)
        return math.prod(self.grid) >= ranks and not self.is_pinned and all(map(Span.is_full, self.spans))

    def owners(self, box: Box) -> list[int]:
        """The ranks that hold parts of a box that is not empty, each part once; of a replicated array rank 0 is said to."""
        if not self.grid:
            return [0]
        ranges: list[Sequence[int]] = [range(1) if p < 0 else (p,) for p in self._all_pins()]
        for (lo, hi), s in zip(box, self.spans, strict=True):
            if s.dim >= 0:
                first, last = sorted((s.holder(lo), s.holder(hi - 1)))
                ranges[s.dim] = range(first, last + 1)
        points: list[tuple[int, ...]] = [()]
        for r in ranges:
            points = [(*p, c) for p in points for c in r]
        return [self.rank(p) for p in points]

    def _all_pins(self) -> tuple[int, ...]:
        return self.pins or (-1,) * len(self.grid)

    @_remembered
    def sliced(self, view: Affine) -> Layout | None:
        """The layout of a view in which every rank has the elements that lie in its box; None when this form cannot say it."""
        if self.is_replicated or 0 in view.shape:
            return replicated(view.shape)
        spans: list[Span | None] = [None] * len(view.shape)
        pins = list(self._all_pins())
        for (start, step, axis), s in zip(view.axes, self.spans, strict=True):
            if s.dim < 0:
                continue
            if axis < 0 or not step or view.shape[axis] == 1:
                pins[s.dim] = s.holder(start)
                continue
            if spans[axis] is not None:
                return None
            spans[axis] = s.sliced(view.shape[axis], start, step)
            if spans[axis] is None:
                return None
        whole = tuple(s or Span(n) for s, n in zip(spans, view.shape, strict=True))
        return normal(Layout(whole, self.grid, tuple(pins)))

    def stretched(self, view: Affine, shape: tuple[int, ...]) -> Layout | None:
        """A layout of the array of `shape` that `view` looks into, such that the view lies as this one."""
        if self.is_replicated or self.is_pinned:
            return None
        spans = []
        for (start, step, axis), n in zip(view.axes, shape, strict=True):
            s = self.spans[axis].stretched(n, start, step) if axis >= 0 else Span(n)
            if s is None:
                return None
            spans.append(s)
        dims = [s.dim for s in spans if s.dim >= 0]
        return (
            normal(Layout(tuple(spans), self.grid)) if len(set(dims)) == len(dims) == len(self.grid) else None
        )

    def picked(self, axes: Sequence[int], extents: Sequence[int], lossy: bool = False) -> Layout | None:
        """The layout of an array whose axis j is cut as axis axes[j] of this one (-1: not cut); None when a cut gets lost. If it
        may (`lossy`), several ranks hold the same: that is no layout to store anything in, only one to ask for."""
        spans = [
            self.spans[a]._replace(extent=n) if a >= 0 and self.spans[a].dim >= 0 else Span(n)
            for a, n in zip(axes, extents, strict=True)
        ]
        kept = {s.dim for s in spans if s.dim >= 0}
        if self.is_pinned or (len(kept) != len(self.grid) and not lossy):
            return None
        return normal(Layout(tuple(spans), self.grid))

    def imbalance(self) -> float:
        """Elements of the largest part, relative to an even share of the grid."""
        if not self.grid:
            return 1.0
        if self.is_pinned:
            return float(math.prod(self.grid))
        worst = 1.0
        for s in self.spans:
            if s.dim >= 0 and s.extent:
                worst *= s.blocks * min(s.extent, -(-s.tile // s.div)) / s.extent
                ends = max(s.edge(1), s.extent - s.edge(s.blocks - 1)) * s.blocks / s.extent
                worst = max(worst, ends)
        return worst


def normal(layout: Layout) -> Layout:
    """The same layout in its only form: no grid for what is replicated, no pins that pin nothing."""
    if not any(p >= 0 for p in layout.pins):
        if all(s.dim < 0 for s in layout.spans):
            return Layout(tuple(Span(s.extent) for s in layout.spans))
        return layout._replace(pins=())
    return layout


def replicated(shape: tuple[int, ...]) -> Layout:
    """Everything everywhere."""
    return Layout(tuple(Span(n) for n in shape))


def tiled(shape: tuple[int, ...], axis: int, ranks: int) -> Layout:
    """`axis` in as many tiles as there are ranks, all of one length but the last."""
    return gridded(shape, tuple(ranks if d == axis else 1 for d in range(len(shape))))


def gridded(shape: tuple[int, ...], blocks: tuple[int, ...]) -> Layout:
    """Axis d in blocks[d] tiles, all of one length but the last."""
    spans: list[Span] = []
    grid: list[int] = []
    for n, b in zip(shape, blocks, strict=True):
        if b == 1:
            spans.append(Span(n))
            continue
        spans.append(Span(n, len(grid), b, max(1, -(-n // b))))
        grid.append(b)
    return normal(Layout(tuple(spans), tuple(grid)))


# ---- boxes -------------------------------------------------------------------------------------------------------


def extents(box: Box) -> tuple[int, ...]:
    """Shape of what lies in a box."""
    return tuple(hi - lo for lo, hi in box)


def size(box: Box) -> int:
    """Elements in a box."""
    return math.prod(hi - lo for lo, hi in box)


def intersection(a: Box, b: Box) -> Box:
    """What two boxes share; axes without common positions are empty."""
    return tuple((lo := max(p[0], q[0]), max(lo, min(p[1], q[1]))) for p, q in zip(a, b, strict=True))


def shifted(box: Box, base: Box) -> Box:
    """A box in the coordinates of the memory that holds `base`."""
    return tuple((lo - at, hi - at) for (lo, hi), (at, _) in zip(box, base, strict=True))


def hull(a: Box, b: Box) -> Box:
    """The smallest box that holds both; an empty one adds nothing."""
    if not size(a):
        return b
    if not size(b):
        return a
    return tuple((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(a, b, strict=True))


def within(inner: Box, outer: Box) -> bool:
    """Whether all of `inner` lies in `outer`."""
    return not size(inner) or all(o[0] <= i[0] and i[1] <= o[1] for i, o in zip(inner, outer, strict=True))


def touched(view: Affine, part: Box) -> Box:
    """The smallest box of the base that holds what `part` of the view's positions, which is not empty, look at."""
    box = []
    for start, step, axis in view.axes:
        if axis < 0:
            box.append((start, start + 1))
            continue
        lo, hi = part[axis]
        first, last = start + step * lo, start + step * (hi - 1)
        box.append((min(first, last), max(first, last) + 1))
    return tuple(box)


def section(view: Affine, box: Box) -> Box:
    """The positions of the view that look into `box` of its base; all axes empty when there are none."""
    part = [(0, n) for n in view.shape]
    for (start, step, axis), (lo, hi) in zip(view.axes, box, strict=True):
        if axis < 0 or not step:
            if not lo <= start < hi:
                return ((0, 0),) * len(part)
            continue
        if step > 0:
            first, stop = -(-(lo - start) // step), -(-(hi - start) // step)
        else:
            first, stop = -((hi - 1 - start) // -step), -((lo - 1 - start) // -step)
        first, stop = max(first, part[axis][0]), min(stop, part[axis][1])
        if first >= stop:
            return ((0, 0),) * len(part)
        part[axis] = (first, stop)
    return tuple(part)


def localized(view: Affine, part: Box, base: Box) -> Affine:
    """`part` of the view as a view of the memory that holds `base` of its base."""
    axes = tuple(
        (start - lo, 0, -1) if axis < 0 else (start + step * part[axis][0] - lo, step, axis)
        for (start, step, axis), (lo, _) in zip(view.axes, base, strict=True)
    )
    return Affine(extents(part), axes)


# ---- what ranks want to see --------------------------------------------------------------------------------------


class Margin(NamedTuple):
    """How many positions at both ends of a part, along an axis, are set apart from its middle."""

    axis: int
    before: int
    after: int


class Strip(NamedTuple):
    """A part of what each rank has, which is set apart axis by axis: number `which` - 1 of the ends that `margins` name, in their
    order, before and after; or (0) the middle that is left. The first block has no end before it, the last none after."""

    margins: tuple[Margin, ...]
    which: int = 0

    def _ends(self) -> list[tuple[int, bool]]:
        """Margin and side of every end; an end that no rank has does not count."""
        ends = [(k, side) for k, m in enumerate(self.margins) for side in (False, True)]
        return [(k, side) for k, side in ends if (self.margins[k].after if side else self.margins[k].before)]

    def all(self) -> tuple[Strip, ...]:
        """The strips that make a part, the middle first."""
        return tuple(self._replace(which=k) for k in range(1 + len(self._ends())))

    @_remembered
    def of(self, layout: Layout, rank: int) -> Box:
        """The rank's part."""
        box = list(layout.box(rank))
        point = layout.coordinates(rank)
        last, after = (len(self.margins), False) if not self.which else self._ends()[self.which - 1]
        for k, margin in enumerate(self.margins[: last + 1]):
            lo, hi = box[margin.axis]
            span = layout.spans[margin.axis]
            block = point[span.dim] if point is not None else 0
            low = min(lo + margin.before, hi) if block > 0 else lo
            high = max(hi - margin.after, low) if block < span.blocks - 1 else hi
            middle = (low, high) if k < last else (high, hi) if after else (lo, low)
            box[margin.axis] = middle
        return tuple(box)


class Need(NamedTuple):
    """What a rank looks at in an array: `view` of it at the positions that `layout` gives the rank, or at a strip of them; with
    `region`, layout is of the array that region looks into, and the view has the region's positions."""

    layout: Layout
    view: Affine
    region: Affine | None = None
    strip: Strip | None = None

    def part(self, rank: int) -> Box:
        """The view's positions that are the rank's."""
        box = self.layout.box(rank) if self.strip is None else self.strip.of(self.layout, rank)
        return box if self.region is None else section(self.region, box)

    @_remembered
    def box(self, rank: int) -> Box:
        """The elements of the array the rank looks at, as a box; all its axes are empty when there are none."""
        part = self.part(rank)
        return touched(self.view, part) if size(part) else ((0, 0),) * len(self.view.axes)


class Boxes(Protocol):
    """A box of an array for every rank."""

    def box(self, rank: int) -> Box:
        """The rank's."""


class Window(NamedTuple):
    """The box of an array that every rank gets: the smallest one that holds all its needs."""

    needs: tuple[Boxes, ...]

    def box(self, rank: int) -> Box:
        """The rank's box."""
        box = self.needs[0].box(rank)
        for need in self.needs[1:]:
            box = hull(box, need.box(rank))
        return box


#: so many ranks are looked at one by one when something is counted; of more, so many samples
COUNTED = 32


def samples(ranks: int) -> tuple[Sequence[int], float]:
    """Ranks to count something on, and how many ranks each of them stands for: both ends and the middle when there are many."""
    if ranks <= COUNTED:
        return range(ranks), 1.0
    third = COUNTED // 4
    middle = ranks // 2 - third
    chosen = [*range(third), *range(middle, middle + 2 * third), *range(ranks - third, ranks)]
    return chosen, ranks / len(chosen)


@_remembered
def moved(source: Layout, wanted: Boxes, ranks: int) -> int:
    """Elements that come from other ranks, all ranks together (an estimate when there are many ranks)."""
    if source.is_replicated:
        return 0
    chosen, each = samples(ranks)
    total = 0
    for r in chosen:
        box = wanted.box(r)
        total += size(box) - size(intersection(box, source.box(r)))
    return int(total * each)


@_remembered
def received(source: Layout, wanted: Boxes, ranks: int) -> int:
    """Elements that come from other ranks to the one that gets most (of some ranks when there are many)."""
    if source.is_replicated:
        return 0
    boxes = [(wanted.box(r), source.box(r)) for r in samples(ranks)[0]]
    return max(size(box) - size(intersection(box, own)) for box, own in boxes)


@_remembered
def is_local(source: Layout, need: Need, ranks: int) -> bool:
    """Whether every rank holds what it needs; a `False` may only mean that it was too much to check."""
    if source.is_replicated:
        return True
    wanted = need.layout if need.region is None else need.layout.sliced(need.region)
    if wanted is not None and source.sliced(need.view) == wanted:
        return True
    return ranks <= COUNTED and all(within(need.box(r), source.box(r)) for r in range(ranks))


@_remembered
def halo(source: Layout, need: Need) -> tuple[Margin, ...] | None:
    """What a rank lacks of a need, when that is only known for ends of its part: how much of it. None when the two are not cut
    into the same tiles."""
    seen, wanted = source.sliced(need.view), need.layout
    cuts = wanted.cut_axes()
    if (
        need.region is not None
        or seen is None
        or seen.is_pinned
        or wanted.is_pinned
        or seen.cut_axes() != cuts
    ):
        return None
    margins = []
    for axis in cuts:
        mine, theirs = wanted.spans[axis], seen.spans[axis]
        if mine.reverse or mine.div != 1 or theirs._replace(start=mine.start) != mine:
            return None
        late = theirs.start - mine.start
        margins.append(Margin(axis, max(late, 0), max(-late, 0)))
    return tuple(margins)


__all__ = [
    "Box",
    "Layout",
    "Margin",
    "Need",
    "Span",
    "Strip",
    "Window",
    "extents",
    "gridded",
    "halo",
    "hull",
    "intersection",
    "is_local",
    "localized",
    "moved",
    "normal",
    "received",
    "replicated",
    "samples",
    "section",
    "shifted",
    "size",
    "tiled",
    "touched",
    "within",
]
