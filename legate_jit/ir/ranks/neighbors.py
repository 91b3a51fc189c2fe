"""Neighbors: with which ranks one rank exchanges, found from layouts, not by asking every rank.

The work grows with the number of neighbors, and not at all where all others get the same. Must not know graphs, messages or
memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from legate_jit.ir.index import identity
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box, Layout, Need, Span, Window


class Flow(NamedTuple):
    """What goes from or to a rank: messages, one for each other rank, and the elements in them."""

    messages: int = 0
    elements: int = 0


class Between(NamedTuple):
    """Which box of an array every rank holds and which it wants: what an exchange is prepared from."""

    source: Layout
    window: Window
    ranks: int

    def held(self, rank: int) -> Box:
        """What the rank has."""
        return self.source.box(rank)

    def wanted(self, rank: int) -> Box:
        """What the rank gets."""
        return self.window.box(rank)

    def givers(self, rank: int) -> Sequence[int]:
        """See `givers`."""
        return givers(self.source, self.window, rank)

    def takers(self, rank: int) -> Sequence[int]:
        """See `takers`."""
        return takers(self.source, self.window, rank, self.ranks)


class Relaid(NamedTuple):
    """The same for an array that lies in one way and is wanted in another: empty parts too have the shapes that layouts give."""

    source: Layout
    to: Layout
    ranks: int

    def held(self, rank: int) -> Box:
        """What the rank has."""
        return self.source.box(rank)

    def wanted(self, rank: int) -> Box:
        """What the rank gets."""
        return self.to.box(rank)

    def givers(self, rank: int) -> Sequence[int]:
        """See `givers`."""
        return givers(self.source, _all_of(self.to), rank)

    def takers(self, rank: int) -> Sequence[int]:
        """See `takers`."""
        return takers(self.source, _all_of(self.to), rank, self.ranks)


def _all_of(to: Layout) -> Window:
    return Window((Need(to, identity(to.shape)),))


def received(source: Layout, wanted: Window, rank: int) -> Flow:
    """What other ranks send to `rank`, which gets the box `wanted` of an array that lies as `source`. In constant time."""
    box, mine = wanted.box(rank), source.box(rank)
    if not layout.size(box) or source.is_replicated:
        return Flow()
    kept = layout.size(layout.intersection(box, mine))
    holders = math.prod(_holding(s, lo, hi) for s, (lo, hi) in zip(source.spans, box, strict=True))
    return Flow(holders - (kept > 0), layout.size(box) - kept)


def _holding(s: Span, lo: int, hi: int) -> int:
    """How many blocks have elements of lo .. hi, which is not empty."""
    if s.dim < 0:
        return 1
    first, last = sorted((_block(s, lo), _block(s, hi - 1)))
    if first == last or s.tile >= s.div:
        return last - first + 1
    return s.edge(last) - s.edge(first + 1) + 2  # blocks of one element, or of none


def _block(s: Span, position: int) -> int:
    """The number of the block that has the position."""
    c = s.holder(position)
    return s.blocks - 1 - c if s.reverse else c


def sent(source: Layout, wanted: Window, rank: int, ranks: int) -> Flow:
    """What `rank` sends to others when all of `ranks` ranks get their boxes `wanted`."""
    mine = source.box(rank)
    if not layout.size(mine) or source.is_replicated:
        return Flow()
    needs = _plain(wanted)
    if len(needs) == 1 and needs[0].layout.is_replicated:
        each = layout.size(layout.intersection(mine, wanted.box(rank)))
        return Flow((ranks - 1) * (each > 0), (ranks - 1) * each)
    sizes = [
        layout.size(layout.intersection(mine, wanted.box(k))) for k in takers(source, wanted, rank, ranks)
    ]
    return Flow(sum(n > 0 for n in sizes), sum(sizes))


def joint(source: Layout, wanted: Sequence[Window], rank: int, ranks: int) -> tuple[Flow, Flow]:
    """What `rank` sends and receives when it gets some boxes of one array, with one message to and from each other rank."""
    if len(wanted) == 1:
        return sent(source, wanted[0], rank, ranks), received(source, wanted[0], rank)
    mine = source.box(rank)
    leaving: set[int] = set()
    arriving: set[int] = set()
    for each in wanted:
        leaving.update(
            k
            for k in takers(source, each, rank, ranks)
            if layout.size(layout.intersection(mine, each.box(k)))
        )
        box = each.box(rank)
        arriving.update(
            k for k in givers(source, each, rank) if layout.size(layout.intersection(source.box(k), box))
        )
    sends = sum(sent(source, each, rank, ranks).elements for each in wanted)
    receives = sum(received(source, each, rank).elements for each in wanted)
    return Flow(len(leaving), sends), Flow(len(arriving), receives)


def givers(source: Layout, wanted: Window, rank: int) -> list[int]:
    """The other ranks that may hold parts of what `rank` gets, in ascending order; at least those that do."""
    box = wanted.box(rank)
    if not layout.size(box) or source.is_replicated:
        return []
    return sorted(k for k in source.owners(box) if k != rank)


def _plain(wanted: Window) -> list[Need]:
    """The needs of a window, if layouts say all of them; else none."""
    needs = [need for need in wanted.needs if isinstance(need, Need)]
    return needs if len(needs) == len(wanted.needs) else []


def takers(source: Layout, wanted: Window, rank: int, ranks: int) -> Sequence[int]:
    """The other ranks that may want parts of what `rank` holds, in ascending order; at least those that do."""
    mine = source.box(rank)
    if not layout.size(mine) or source.is_replicated:
        return []
    needs = _plain(wanted)
    grids = {need.layout.grid for need in needs}
    if len(grids) != 1 or () in grids:
        return [k for k in range(ranks) if k != rank]
    asked = [_coordinates(need.layout, _looking(need, mine)) for need in needs]
    joined = [range(min(r.start for r in dim), max(r.stop for r in dim)) for dim in zip(*asked, strict=True)]
    for d, n in enumerate(needs[0].layout.grid):
        if len({_direction(need, d) for need in needs}) > 1:
            joined[d] = range(n)  # what lies between two needs may be anywhere
    first = needs[0].layout
    return sorted({first.rank(point) for point in itertools.product(*joined)} - {rank})


def _looking(need: Need, mine: Box) -> Box:
    """A box of the array that the need's layout is of, in which all positions lie whose elements may be in `mine`. Never empty:
    where there are none it is beside the nearest ones, so that what lies between two needs counts too."""
    view = need.view
    part = [(0, n) for n in view.shape]
    for (start, step, axis), (lo, hi) in zip(view.axes, mine, strict=True):
        if axis < 0 or not step:
            continue
        ends = sorted(((lo - start) // step, (hi - 1 - start) // step))
        low, high = part[axis]
        # Rounded outwards: elements between two positions count as both.
        first = min(max(ends[0] - 1, low), high - 1)
        part[axis] = first, max(min(ends[1] + 2, high), first + 1)
    return tuple(part) if need.region is None else layout.touched(need.region, tuple(part))


def _direction(need: Need, dim: int) -> int:
    """Whether higher coordinates look further up (1) or down (-1) along the axis of the array they are cut along; 0: neither."""
    for _, step, axis in need.view.axes:
        span = need.layout.spans[axis] if axis >= 0 and need.region is None else None
        if span is not None and span.dim == dim and step:
            return -1 if (step < 0) != span.reverse else 1
    return 0


def _coordinates(of: Layout, box: Box) -> list[range]:
    """Per dimension of the grid, the coordinates of the ranks that have elements of a box that is not empty."""
    pins = of.pins or (-1,) * len(of.grid)
    ranges = [range(n) if p < 0 else range(p, p + 1) for n, p in zip(of.grid, pins, strict=True)]
    for (lo, hi), s in zip(box, of.spans, strict=True):
        if s.dim >= 0:
            first, last = sorted((s.holder(lo), s.holder(hi - 1)))
            ranges[s.dim] = range(first, last + 1)
    return ranges


def kind(source: Layout, wanted: Window) -> str:
    """What a fetch is: 'halo' (strips beside the part a rank has), 'gather' (the same for all ranks) or 'redistribution'."""
    needs = _plain(wanted)
    if not needs:
        return "redistribution"
    if all(need.layout.is_replicated for need in needs):
        return "gather"
    if all(need.strip is not None or layout.halo(source, need) is not None for need in needs):
        return "halo"
    return "redistribution"


__all__ = ["Between", "Flow", "Relaid", "givers", "joint", "kind", "received", "sent", "takers"]
