"""Dealing: which points of a launch each rank runs, and which box of every operand it needs for them.

Every rank has a block of neighboring points. The blocks follow the layout of an operand where the launch's author left the cut to
the runtime, so that points run where their elements are; else they are even. Of all ways the one that moves the fewest bytes is
taken, the same on every rank. Knows operands as shapes, layouts and boxes; must not know graphs, memory or messages.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from legate_jit.ir import index
from legate_jit.ir.index import Affine
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box, Layout, Need, Span
from legate_jit.ir.tasks import partition
from legate_jit.ir.tasks.partition import Axis, Follow, Operand, Partition
from legate_jit.ir.tasks.task import TaskArg, TaskSpec

#: a stored array is not left in parts that are larger than this many even shares, and no launch follows such parts
UNEVEN = 2.0
#: partial results of all points are kept apart, and merged in the order of the points, up to so many bytes on each rank
KEPT = 1 << 20


class Dealing(NamedTuple):
    """Which points are whose. `partition`: of the whole launch. `dims`: the dimensions of its grid that are dealt out; `blocks`:
    into how many blocks each, ranks being coordinates among them in C order, those beyond running nothing. `home`: the rank that
    runs the only point, or -1."""

    partition: Partition
    dims: tuple[int, ...]
    blocks: tuple[int, ...]
    home: int = -1

    def points(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The first point of a rank's block, and how many it has along each dimension."""
        grid = self.partition.launch
        lower = list(self.partition.lower or (0,) * len(grid))
        counts = list(grid)
        if self.home >= 0:
            return tuple(lower), (tuple(counts) if rank == self.home else (0,) * max(len(grid), 1))
        if rank >= math.prod(self.blocks):
            return tuple(lower), (0,) * len(grid)
        for d, b in zip(reversed(self.dims), reversed(self.blocks), strict=True):
            rank, at = divmod(rank, b)
            per = -(-grid[d] // b)
            first = min(at * per, grid[d])
            lower[d] += first
            counts[d] = min(per, grid[d] - first)
        return tuple(lower), tuple(counts)

    def most(self) -> int:
        """Points that the rank with the most of them has."""
        if self.home >= 0:
            return math.prod(self.partition.launch)
        per = [-(-self.partition.launch[d] // b) for d, b in zip(self.dims, self.blocks, strict=True)]
        rest = [n for d, n in enumerate(self.partition.launch) if d not in self.dims]
        return math.prod(per) * math.prod(rest)

    def is_ordered(self) -> bool:
        """Whether each rank's points come after those of the ranks before."""
        return self.home >= 0 or all(
            b > 1 and math.prod(self.partition.launch[:d]) == 1
            for d, b in zip(self.dims, self.blocks, strict=True)
        )

    def layout(self, operand: int) -> Layout | None:
        """Blocks that cover the operand and hold every rank's parts of it; several ranks have the same block where dimensions
        that are dealt do not cut it. None when no layout says that."""
        axes = self.partition.axes[operand]
        shape = tuple(a.extent for a in axes)
        if self.home >= 0:
            return pinned(shape, self.blocks[0], self.home)
        spans: list[Span] = []
        for a in axes:
            found: Span | None = Span(a.extent)
            if a.dim in self.dims:
                found = self._span(a)
            if found is None:
                return None
            spans.append(found)
        used = [s.dim for s in spans if s.dim >= 0]
        if len(set(used)) != len(used):
            return None
        return layout.normal(Layout(tuple(spans), self.blocks))

    def _span(self, a: Axis) -> Span | None:
        """How an axis lies whose cut is dealt out, if parts meet or lie apart."""
        if a.step <= 0 or a.length > a.step:
            return None
        at = self.dims.index(a.dim)
        blocks = self.blocks[at]
        if a.cut is None:
            lower = self.partition.lower[a.dim] if self.partition.lower else 0
            per = -(-self.partition.launch[a.dim] // blocks)
            return Span(a.extent, at, blocks, a.step * per, a.start + a.step * lower)
        span = a.cut.span._replace(dim=at)
        if a.step == 1 and a.start == 0:
            return span if span.extent == a.extent else None
        return span.stretched(a.extent, a.start, a.step)

    def is_separated(self, operand: int) -> bool:
        """Whether no two ranks get the same element of an operand, and a layout says which of them gets which."""
        found = self.layout(operand)
        if found is None:
            return False
        return self.home >= 0 or len(found.cut_axes()) == len(self.blocks)


class Reach(NamedTuple):
    """What a rank's points see of an operand, `view` of an array: where no layout says that, it takes the place of a `Need`."""

    dealing: Dealing
    operand: int
    view: Affine

    def part(self, rank: int) -> Box:
        """The smallest box that holds the parts of the rank's points."""
        p = self.dealing.partition
        lower, counts = self.dealing.points(rank)
        if 0 in counts:
            return ((0, 0),) * len(p.axes[self.operand])
        if not counts:
            return p.box(self.operand, ())
        last = tuple(lo + n - 1 for lo, n in zip(lower, counts, strict=True))
        return layout.hull(p.box(self.operand, lower), p.box(self.operand, last))

    def box(self, rank: int) -> Box:
        """The elements of the array they look at; all axes are empty when there are none."""
        part = self.part(rank)
        return layout.touched(self.view, part) if layout.size(part) else ((0, 0),) * len(self.view.axes)


class Use(NamedTuple):
    """An operand, `view` of an array. `before`: how the array lies; None if nobody sends it, its contents being undefined.
    `after`: how it shall lie with what was written; None for inputs. `same`: the first operand that is the same memory."""

    view: Affine
    itemsize: int
    before: Layout | None
    after: Layout | None
    same: int

    @property
    def lies(self) -> Layout | None:
        """The layout of what the operand shows."""
        whole = self.after or self.before
        return None if whole is None else whole.sliced(self.view)


class TaskPlan(NamedTuple):
    """How a launch is dealt out. `ways`, per operand: 'reach' (an input of which a rank gets what its points see), 'whole' (all
    of it on every rank), 'own' (written, every rank its block), 'shared' (the memory of an operand before), 'rows' and 'combined'
    (a reduction in which points of several ranks get the same elements: partial results of points, or of ranks)."""

    dealing: Dealing
    ways: tuple[str, ...]

    def wanted(self, operand: int, view: Affine) -> Need | Reach:
        """What a rank needs of an operand's array before its points run."""
        axes = self.dealing.partition.axes[operand]
        if self.ways[operand] == "whole":
            return Need(layout.replicated(view.shape), view)
        lies = self.dealing.layout(operand)
        partial = any(a.dim < 0 and (a.start > 0 or a.start + a.length < a.extent) for a in axes)
        if lies is None or (partial and self.ways[operand] == "reach"):
            return Reach(self.dealing, operand, view)
        return Need(lies, view)


def pinned(shape: tuple[int, ...], ranks: int, home: int) -> Layout:
    """Everything on one rank."""
    return Layout(tuple(Span(n) for n in shape), (ranks,), (home,))


def is_dealt(arg: Hashable) -> bool:
    """Whether ranks may have different points of a launch."""
    return (
        isinstance(arg, TaskArg)
        and bool(arg.partition.launch)
        and not (arg.spec.together or arg.spec.concurrent)
    )


def deal(spec: TaskSpec, given: Partition, uses: Sequence[Use], ranks: int) -> TaskPlan | None:
    """How the points of a launch that is cut as `given` are dealt out; None when every rank shall run all of them: because they
    must run in one process, or may write what others write, or because the only one is not worth moving anything for."""
    if spec.together or spec.concurrent or ranks == 1:
        return None
    best: tuple[int, int] | None = None
    found: TaskPlan | None = None
    for dealing in _candidates(spec, given, uses, ranks):
        ways = _ways(spec, dealing, uses)
        if ways is None or (spec.ordered and not dealing.is_ordered()):
            continue
        plan = TaskPlan(dealing, ways)
        cost = (dealing.most(), _moved(plan, uses, ranks))
        if best is None or cost < best:
            best, found = cost, plan
    if best is not None and math.prod(given.launch) == 1 and best[1] >= _gathered(uses, ranks):
        return None
    return found


def _moved(plan: TaskPlan, uses: Sequence[Use], ranks: int) -> int:
    """Bytes that move for the points of a launch."""
    total = 0
    for k, (use, way) in enumerate(zip(uses, plan.ways, strict=True)):
        if way in ("rows", "combined"):
            total += 2 * (ranks - 1) * math.prod(use.view.shape) * use.itemsize
        elif way != "shared":
            if use.before is not None:
                total += use.itemsize * layout.moved(use.before, plan.wanted(k, use.view), ranks)
            block = plan.dealing.layout(k)
            if use.after is not None and block is not None:
                back = Need(use.after, index.identity(use.view.shape), use.view)
                total += use.itemsize * layout.moved(block, back, ranks)
    return total


def _gathered(uses: Sequence[Use], ranks: int) -> int:
    """Bytes that move when every rank runs the whole launch."""
    total = 0
    for k, use in enumerate(uses):
        if use.before is not None and use.same == k:
            everything = Need(layout.replicated(use.view.shape), use.view)
            total += use.itemsize * layout.moved(use.before, everything, ranks)
    return total


def _candidates(spec: TaskSpec, given: Partition, uses: Sequence[Use], ranks: int) -> Iterator[Dealing]:
    if math.prod(given.launch) == 1:
        if any(u.before is not None and not u.before.is_replicated for u in uses):
            yield Dealing(given, (), (ranks,), _holder(uses, ranks))
        return
    if spec.partition is None:
        yield from _following(spec, uses, ranks)
    for blocks in _blocks(given.launch, ranks):
        yield _dealing(given, blocks)


def evenly(given: Partition, ranks: int) -> Dealing:
    """The dealing of a grid of points that leaves the fewest to any rank."""
    found = [_dealing(given, blocks) for blocks in _blocks(given.launch, ranks)]
    return min(found, key=Dealing.most, default=Dealing(given, (), ()))


def _dealing(given: Partition, blocks: tuple[int, ...]) -> Dealing:
    dims = tuple(d for d, b in enumerate(blocks) if b > 1)
    return Dealing(given, dims, tuple(blocks[d] for d in dims))


def _following(spec: TaskSpec, uses: Sequence[Use], ranks: int) -> Iterator[Dealing]:
    """Dealings whose blocks are those in which operands lie."""
    operands = [Operand(u.view.shape, role) for u, role in zip(uses, spec.roles, strict=True)]
    seen: set[tuple[tuple[int, ...], Layout]] = set()
    for k, use in enumerate(uses):
        lies = use.lies
        if lies is None or lies.is_replicated or lies.is_pinned or (use.view.shape, lies) in seen:
            continue
        seen.add((use.view.shape, lies))
        if len(lies.cut_axes()) != len(lies.grid) or any(s.reverse for s in lies.spans):
            continue
        if lies.imbalance() > UNEVEN:
            continue
        follow = Follow(k, tuple(s if s.dim >= 0 else None for s in lies.spans))
        found = partition.solve(operands, spec.constraints, spec.pieces, spec.threshold, follow=follow)
        if found.launch:
            axes = {s.dim: d for d, s in enumerate(lies.spans) if s.dim >= 0}
            yield Dealing(found, tuple(axes[g] for g in range(len(lies.grid))), lies.grid)


def _blocks(grid: tuple[int, ...], ranks: int) -> Iterator[tuple[int, ...]]:
    """Ways to deal a grid out to at most so many ranks; every block has points."""
    divisors = [f for f in range(1, ranks + 1) if ranks % f == 0]
    choices = []
    for n in grid:
        counts = {min(f, n) for f in divisors} | {min(n, ranks)}
        choices.append(sorted({-(-n // -(-n // c)) for c in counts}))
    for blocks in product(*choices):
        if 1 < math.prod(blocks) <= ranks:
            yield blocks


def _holder(uses: Sequence[Use], ranks: int) -> int:
    """The rank that has most of the operands, the lowest of several."""
    chosen, _ = layout.samples(ranks)
    held = {
        r: sum(layout.size(u.before.box(r)) * u.itemsize for u in uses if u.before is not None)
        for r in chosen
    }
    return max(held, key=lambda r: (held[r], -r))


def _ways(spec: TaskSpec, dealing: Dealing, uses: Sequence[Use]) -> tuple[str, ...] | None:
    """What becomes of every operand; None when points of two ranks may write the same elements, or what is the same memory would
    not be cut alike."""
    axes = dealing.partition.axes
    cut_by_data = {image.range for image in dealing.partition.images}
    ways = []
    for k, role in enumerate(spec.roles):
        if uses[k].same != k:
            if dealing.partition.launch and axes[k] != axes[uses[k].same]:
                return None
            ways.append("shared")
        elif role == "input":
            ways.append("whole" if k in cut_by_data else "reach")
        elif k not in cut_by_data and dealing.is_separated(k):
            ways.append("own")
        elif role == "output":
            return None
        else:
            uncut = k not in cut_by_data and all(a == Axis(a.extent, -1, 0, 0, a.extent) for a in axes[k])
            few = math.prod((*dealing.partition.launch, *uses[k].view.shape)) * uses[k].itemsize <= KEPT
            ways.append("rows" if uncut and few else "combined")
    return tuple(ways)


__all__ = ["Dealing", "Reach", "TaskPlan", "Use", "deal", "evenly", "is_dealt", "pinned"]
