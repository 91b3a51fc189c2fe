"""The partition solver: cuts the operands of one launch into a box per point, under the constraints its author gave.

Pure functions from shapes and constraints to a `Partition`; nothing here depends on rank, hash order, time or what was solved
before. Must not know tasks, stores, machines or memory: operands are numbers, extents count elements, boxes are half-open.

The rules, in the order they are applied:

* Aligned operands form one group and are cut alike; `Broadcast` forbids axes to the whole group. Axes of extent 1 are never cut.
* The largest group that may be cut is the key. Its free axes are divided among the pieces (one axis: by all of them; two:
  near-square tiles; more: the prime factors of `pieces`, each on the longest axis), and its grid is the launch grid. A grid that
  an operand has already (`keep`) comes before a new one. Tiles are as even as rounding up allows and none of the key's is empty.
* Every other unconstrained group of the same number of axes gets its own tiles over the same grid. A group that holds less than
  `threshold` elements, or less along an axis than there are tiles, is shown whole to all points instead: a few results of a
  large input, say, which no point could compute from its part. Operands of unlike numbers of axes that would all have to be cut
  cannot share a grid: the launch is one point.
* `Scale` and `Bloat` derive the cut of one group from another's, `Image` derives it from data when the launch runs. A group
  derived in two different ways, or from itself, is shown whole.
* Two points never write the same element: the grid is not cut along an axis that does not separate every output (so an output
  that is broadcast makes the launch one point). Reductions may overlap, the runtime merges them.
* A launch whose parts would be smaller than `MinExtents` asks is one point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from legate_jit.ir.ranks.layout import Span
from legate_jit.ir.tasks.tiles import (
    Axes,
    Axis,
    Box,
    Color,
    Cut,
    Image,
    Partition,
    Tiles,
    explicit,
    image_box,
    overlapping,
    uncut,
)

__all__ = [
    "Align",
    "Axis",
    "Bloat",
    "Box",
    "Broadcast",
    "Color",
    "Constraint",
    "Follow",
    "Image",
    "MinExtents",
    "Operand",
    "Partition",
    "Scale",
    "Tiles",
    "Tiling",
    "explicit",
    "fixed_axes",
    "image_box",
    "solve",
]


class Align(NamedTuple):
    """Both operands, of the same shape, are cut alike."""

    first: int
    second: int


class Broadcast(NamedTuple):
    """The axes of the operand are not cut; None: none of its axes is."""

    operand: int
    axes: tuple[int, ...] | None = None


class Scale(NamedTuple):
    """Where `smaller` holds [a, b) along axis d, `bigger` holds [a * factors[d], b * factors[d])."""

    factors: tuple[int, ...]
    smaller: int
    bigger: int


class Bloat(NamedTuple):
    """Where `source` holds [a, b) along axis d, `bloat` holds [a - low[d], b + high[d]), as far as it has elements."""

    source: int
    bloat: int
    low: tuple[int, ...]
    high: tuple[int, ...]


class MinExtents(NamedTuple):
    """No part of the operand is smaller than so many elements along each axis."""

    operand: int
    extents: tuple[int, ...]


Constraint = Align | Broadcast | Scale | Bloat | Image | MinExtents


class Tiling(NamedTuple):
    """A cut that exists: along axis d, `grid[d]` tiles of ceil(shape[d] / grid[d]) elements; the last may be smaller or empty."""

    shape: tuple[int, ...]
    grid: tuple[int, ...]


class Follow(NamedTuple):
    """The blocks in which operand `operand` lies: per axis a cut of it, or None where it is not cut."""

    operand: int
    spans: tuple[Span | None, ...]


class Operand(NamedTuple):
    """What is cut. `role`: 'input', 'output', anything else is a reduction."""

    shape: tuple[int, ...]
    role: str = "input"


def solve(
    operands: Sequence[Operand],
    constraints: Sequence[Constraint],
    pieces: int,
    threshold: int = 1,
    keep: Mapping[int, Tiling] | None = None,
    follow: Follow | None = None,
) -> Partition:
    """Cut the operands into at most `pieces` points, by the rules of this module.

    constraints: name operands by position. threshold: the key operand, in elements, is not cut when it has less. keep: cuts that
    operands have already; the largest operand whose cut is allowed keeps it. follow: blocks in which an operand lies, of which
    each is to be cut for itself, into equally many; one point if they cannot be. ValueError when constraints do not fit the
    shapes.
    """
    for c in constraints:
        _check(c, operands)
    groups = _groups(operands, constraints)
    keep = keep or {}
    small = min(threshold, *(prod(t.shape) for t in keep.values()), threshold)
    barred: set[int] = set()
    if follow is not None:
        return _following(operands, constraints, groups, pieces, threshold, follow)
    while grid := _grid(operands, groups, pieces, threshold, keep, barred):
        cuts = _cuts(groups, grid, small)
        if cuts is None:
            break
        found = {
            d for g, axes in zip(groups, cuts, strict=True) if g.written for d in overlapping(grid, axes)
        }
        if not found:
            return _partition(operands, constraints, groups, grid, cuts)
        barred |= found
    return Partition((), tuple(uncut(o.shape) for o in operands))


# ---- constraints -------------------------------------------------------------------------------------------------


def _check(constraint: Constraint, operands: Sequence[Operand]) -> None:
    """ValueError when a constraint does not fit the shapes of its operands."""
    match constraint:
        case Align(first, second):
            a, b = operands[first].shape, operands[second].shape
            if a != b:
                text = (
                    f"Alignment requires the stores to have the same shape, but found {list(a)} and {list(b)}"
                )
                raise ValueError(text)
        case Broadcast(operand, axes):
            ndim = len(operands[operand].shape)
            for axis in axes or ():
                if not 0 <= axis < ndim:
                    raise ValueError(f"Invalid broadcasting dimension {axis} for a {ndim}-D store")
        case Scale(factors, smaller, bigger):
            _check_axes("Scaling", "factors", operands, (smaller, bigger), (factors,))
        case Bloat(source, bloat, low, high):
            _check_axes("Bloating", "offsets", operands, (source, bloat), (low, high))
        case MinExtents(operand, extents):
            _check_axes("Minimum extents", "extents", operands, (operand,), (extents,))
        case Image():
            return


def _check_axes(
    name: str,
    what: str,
    operands: Sequence[Operand],
    numbers: tuple[int, ...],
    given: tuple[tuple[int, ...], ...],
) -> None:
    dims = [len(operands[k].shape) for k in numbers]
    if len(set(dims)) > 1:
        raise ValueError(f"{name} constraint requires the stores to have the same number of dimensions")
    if any(len(values) != dims[0] for values in given):
        text = f"{name} constraint requires the number of {what} to match the number of dimensions"
        raise ValueError(text)


class _Link(NamedTuple):
    """Axis d of a group holds [a * factor[d] - low[d], b * factor[d] + high[d]) where the group `source` holds [a, b)."""

    source: int
    factor: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


class _Group:
    """Operands that are cut alike, and what is known of their cut before the grid is."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.size = prod(shape)
        self.members: list[int] = []
        self.written = False
        self.uncut = {d for d, n in enumerate(shape) if n <= 1}
        self.links: list[_Link] = []
        self.images: list[Image] = []
        self.broadcast = False

    @property
    def derived(self) -> bool:
        """Whether the cut follows from another group's, or from data."""
        return bool(self.images or self.links)

    def free(self) -> list[int]:
        """The axes that may be cut."""
        return [d for d in range(len(self.shape)) if d not in self.uncut]


def _groups(operands: Sequence[Operand], constraints: Sequence[Constraint]) -> list[_Group]:
    """The groups of aligned operands, in the order of their first members."""
    leader = list(range(len(operands)))

    def find(k: int) -> int:
        while leader[k] != k:
            k = leader[k]
        return k

    for c in constraints:
        if isinstance(c, Align):
            a, b = find(c.first), find(c.second)
            leader[max(a, b)] = min(a, b)
    leaders = [k for k in range(len(operands)) if find(k) == k]
    groups = [_Group(operands[k].shape) for k in leaders]
    at = [leaders.index(find(k)) for k in range(len(operands))]
    for k, o in enumerate(operands):
        groups[at[k]].members.append(k)
        groups[at[k]].written |= o.role == "output"
    for c in constraints:
        match c:
            case Broadcast(operand, axes):
                group = groups[at[operand]]
                group.uncut.update(range(len(group.shape)) if axes is None else axes)
                group.broadcast = True
            case Scale(factors, smaller, bigger):
                none = (0,) * len(factors)
                groups[at[bigger]].links.append(_Link(at[smaller], factors, none, none))
            case Bloat(source, bloat, low, high):
                groups[at[bloat]].links.append(_Link(at[source], (1,) * len(low), low, high))
            case Image():
                groups[at[c.range]].images.append(c)
    return groups


# ---- the grid ----------------------------------------------------------------------------------------------------


def _grid(
    operands: Sequence[Operand],
    groups: Sequence[_Group],
    pieces: int,
    threshold: int,
    keep: Mapping[int, Tiling],
    barred: set[int],
) -> tuple[int, ...]:
    """The grid of points, not cut along the dimensions `barred`; () when the launch is one point."""
    if pieces <= 1:
        return ()
    keys = [(g, [d for d in g.free() if d not in barred]) for g in groups if not g.derived and g.size]
    # Stable: the first of the largest.
    keys = sorted([key for key in keys if key[1]], key=lambda key: -key[0].size)
    for group, free in keys:
        for k in group.members:
            old = keep.get(k)
            if old is None or old.shape != group.shape:
                continue
            grid = tuple(n if d in free else 1 for d, n in enumerate(old.grid))
            if 1 < prod(grid) <= pieces:
                return grid
    if not keys or keys[0][0].size < threshold:
        return ()
    group, free = keys[0]
    cuts = dict(zip(free, _divide([group.shape[d] for d in free], pieces), strict=True))
    grid = tuple(cuts.get(d, 1) for d in range(len(group.shape)))
    return grid if prod(grid) > 1 else ()


def _divide(extents: list[int], pieces: int) -> list[int]:
    """Into how many tiles each axis is cut, at most `pieces` altogether, none of them empty. Extents are 2 or more."""
    match len(extents):
        case 1:
            counts = [pieces]
        case 2:
            counts = _near_square(extents, pieces)
        case _:
            counts = _by_factors(extents, pieces)
    # A tile is as long as rounding up makes it, so that fewer tiles than asked for may cover the axis.
    tiles = [-(-n // min(n, c)) for n, c in zip(extents, counts, strict=True)]
    return [-(-n // t) for n, t in zip(extents, tiles, strict=True)]


def _near_square(extents: list[int], pieces: int) -> list[int]:
    """The two divisors of `pieces` that give tiles with the shortest long side; if equal, rows stay whole."""
    rows, columns = extents
    if rows * columns < pieces:
        return extents
    pairs = [(a, pieces // a) for a in range(pieces, 0, -1) if pieces % a == 0]
    best = min(pairs, key=lambda p: max(-(-rows // p[0]), -(-columns // p[1])))
    return list(best)


#: a last axis is not cut shorter than this while another can be cut: short rows waste vectors and cache lines
_ROW = 32


def _by_factors(extents: list[int], pieces: int) -> list[int]:
    """The prime factors of `pieces`, largest first, each on the axis whose tiles are longest."""
    counts = [1] * len(extents)
    for factor in _prime_factors(pieces):
        left = [-(-n // c) for n, c in zip(extents, counts, strict=True)]
        longest = left.index(max(left))
        if longest == len(left) - 1 and left[-1] < _ROW * factor:
            other = left.index(max(left[:-1]))
            longest = other if left[other] >= factor else longest
        if left[longest] >= factor:
            counts[longest] *= factor
    return counts


def _prime_factors(n: int) -> list[int]:
    """In descending order, as often as they divide n."""
    factors, f = [], 2
    while f * f <= n:
        while n % f == 0:
            factors.append(f)
            n //= f
        f += 1
    return sorted([*factors, *([n] if n > 1 else [])], reverse=True)


def fixed_axes(
    operands: Sequence[Operand], constraints: Sequence[Constraint]
) -> tuple[frozenset[int] | None, ...]:
    """Per operand the axes that constraints forbid to cut; None when its cut follows from another's, or from data."""
    found: list[frozenset[int] | None] = [None] * len(operands)
    for group in _groups(operands, constraints):
        for k in group.members:
            found[k] = None if group.derived else frozenset(group.uncut)
    return tuple(found)


def _following(
    operands: Sequence[Operand],
    constraints: Sequence[Constraint],
    groups: Sequence[_Group],
    pieces: int,
    threshold: int,
    follow: Follow,
) -> Partition:
    """The partition in which each block of an operand is cut for itself; one point if there is none."""
    single = Partition((), tuple(uncut(o.shape) for o in operands))
    key = next(g for g in groups if follow.operand in g.members)
    blocks = [1 if s is None else s.blocks for s in follow.spans]
    free = key.free()
    if key.derived or key.size < threshold or any(b > 1 and d not in free for d, b in enumerate(blocks)):
        return single
    least = [key.shape[d] if s is None else _shortest(s) for d, s in enumerate(follow.spans)]
    more, rest = divmod(pieces, prod(blocks))
    if not more or rest or any(not least[d] for d in free):
        return single
    long = [d for d in free if least[d] > 1]
    each = dict(zip(long, _divide([least[d] for d in long], more), strict=True)) if long and more > 1 else {}
    grid = tuple(b * each.get(d, 1) for d, b in enumerate(blocks))
    if prod(grid) <= 1:
        return single
    cuts: dict[int, Cut] = {}
    for d, s in enumerate(follow.spans):
        if grid[d] > 1:
            cuts[d] = Cut(s._replace(dim=0) if s is not None else Span(key.shape[d], 0, 1, 1), each.get(d, 1))
    axes = _cuts(groups, grid, threshold, (key.shape, cuts))
    if axes is None or any(g.written and overlapping(grid, a) for g, a in zip(groups, axes, strict=True)):
        return single
    return _partition(operands, constraints, groups, grid, axes)


def _shortest(span: Span) -> int:
    """At most as many elements as every block has."""
    ends = min(span.edge(1), span.extent - span.edge(span.blocks - 1))
    return min(ends, span.tile // span.div) if span.blocks > 2 else ends


# ---- the cuts ----------------------------------------------------------------------------------------------------


def _cuts(
    groups: Sequence[_Group],
    grid: tuple[int, ...],
    small: int,
    given: tuple[tuple[int, ...], Mapping[int, Cut]] | None = None,
) -> list[Axes] | None:
    """The axes of every group over the grid, or None when a group that must be cut has another number of axes. `given`: cuts of
    the axes of a shape, for all axes that are like them."""
    cuts: list[Axes | None] = [None] * len(groups)
    for k, group in enumerate(groups):
        if group.images:
            cuts[k] = uncut(group.shape)
        elif not group.links:
            cuts[k] = _tiled(group, grid, small, given)
            if cuts[k] is None:
                return None
    waiting = [k for k, axes in enumerate(cuts) if axes is None]
    while ready := [k for k in waiting if all(cuts[link.source] is not None for link in groups[k].links)]:
        for k in ready:
            cuts[k] = _derive(groups[k], cuts)
        waiting = [k for k in waiting if k not in ready]
    return [uncut(g.shape) if axes is None else axes for g, axes in zip(groups, cuts, strict=True)]


def _tiled(
    group: _Group,
    grid: tuple[int, ...],
    small: int,
    given: tuple[tuple[int, ...], Mapping[int, Cut]] | None,
) -> Axes | None:
    """An unconstrained group over the grid: its own tiles, or whole; None when neither will do."""
    free = group.free()
    if not free or group.size < small:
        return uncut(group.shape)
    if len(group.shape) != len(grid):
        return None
    if any(group.shape[d] < grid[d] for d in free):
        return uncut(group.shape)
    axes = []
    for d, (n, cuts) in enumerate(zip(group.shape, grid, strict=True)):
        if given is not None and given[0][d] == n and d in given[1] and d in free:
            axes.append(Axis(n, d, 0, 1, 1, given[1][d]))
            continue
        tile = -(-n // cuts)
        axes.append(Axis(n, d, 0, tile, tile) if cuts > 1 and d in free else Axis(n, -1, 0, 0, n))
    return tuple(axes)


def _derive(group: _Group, cuts: Sequence[Axes | None]) -> Axes:
    """The cut of a group that follows from others'; axes that follow differently from two of them are whole."""
    ways = [_follow(group, link, cuts[link.source] or ()) for link in group.links]
    whole = uncut(group.shape)
    return tuple(w[0] if len(set(w)) == 1 else whole[d] for d, w in enumerate(zip(*ways, strict=True)))


def _follow(group: _Group, link: _Link, source: Axes) -> Axes:
    axes = []
    for d, (n, a, f) in enumerate(zip(group.shape, source, link.factor, strict=True)):
        low, high = link.low[d], link.high[d]
        cut = a.dim >= 0 and d not in group.uncut
        follows = Axis(n, a.dim, a.start * f - low, a.step * f, a.length * f + low + high, a.cut)
        axes.append(follows if cut else Axis(n, -1, 0, 0, n))
    return tuple(axes)


def _partition(
    operands: Sequence[Operand],
    constraints: Sequence[Constraint],
    groups: Sequence[_Group],
    grid: tuple[int, ...],
    cuts: Sequence[Axes],
) -> Partition:
    axes: list[Axes] = [()] * len(operands)
    images = []
    for group, own in zip(groups, cuts, strict=True):
        for k in group.members:
            axes[k] = own
        # Else whole: one image is not enough.
        if len(group.images) == 1 and not group.links and not group.broadcast:
            images += [group.images[0]._replace(range=k) for k in group.members]
    result = Partition(grid, tuple(axes), tuple(images))
    # Parts at the ends are the smallest: rounding up shortens the last, clipping a halo both. Blocks that are given differ.
    ends = [(0,) * len(grid), tuple(n - 1 for n in grid)]
    if any(a.cut is not None for own in cuts for a in own):
        ends += [
            tuple(p if at == d else 0 for at in range(len(grid)))
            for d, n in enumerate(grid)
            for p in range(n)
        ]
    for c in constraints:
        if isinstance(c, MinExtents):
            parts = [result.box(c.operand, point) for point in ends]
            if any(hi - lo < n for part in parts for (lo, hi), n in zip(part, c.extents, strict=True)):
                return Partition((), tuple(uncut(o.shape) for o in operands))
    return result
