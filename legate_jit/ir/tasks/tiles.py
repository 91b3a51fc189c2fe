"""How a launch is cut: a box of every operand for every point, as arithmetic on the point.

A `Partition` is what the solver (`ir.partition`) finds and what the runtime asks; manual launches make theirs with `explicit`.
Must not know constraints, tasks, stores or memory: operands are numbers, extents count elements, boxes are half-open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from legate_jit.ir.ranks.layout import Span

#: half-open [low, high) per axis of an operand
Box = tuple[tuple[int, int], ...]

#: hints of `Image`, as users number them: 0 is no hint (the exact image; its bounding box here), 1 the bounding box,
#: 2 the box from the first to the last entry, which are then the smallest and the largest
_FIRST_LAST = 2


class Image(NamedTuple):
    """Each point's box of `range` covers the points or rectangles that its part of `function` holds; see `image_box`."""

    function: int
    range: int
    hint: int = 0


class Color(NamedTuple):
    """Number of a tile along one axis: `weight * point[dim] + offset`, or `offset` when dim is -1."""

    dim: int
    weight: int = 1
    offset: int = 0


class Tiles(NamedTuple):
    """An operand cut by hand into tiles of the extents `tile`; `colors` says which one a point gets, per axis (None: the point
    itself). Whole for all points when `tile` is None."""

    shape: tuple[int, ...]
    tile: tuple[int, ...] | None = None
    colors: tuple[Color, ...] | None = None


class Cut(NamedTuple):
    """Where the units begin in which a grid's dimension is counted, if not each point is one: `each` points, as even as can be,
    in every block of `span`, in the order of the blocks."""

    span: Span
    each: int

    def edge(self, point: int) -> int:
        """The first unit of a point."""
        block, k = divmod(point, self.each)
        lo = self.span.edge(block)
        return lo + (self.span.edge(block + 1) - lo) * k // self.each


class Axis(NamedTuple):
    """One axis of an operand: `length` elements from `start + step * point[dim]`, as far as 0 .. extent goes; dim -1: no cut.

    With a `cut` the units of a point are cut.edge(point) .. cut.edge(point + 1) instead of one.
    """

    extent: int
    dim: int
    start: int
    step: int
    length: int
    cut: Cut | None = None


Axes = tuple[Axis, ...]


class Share(NamedTuple):
    """What a partition of some points of a launch knows of the whole launch: its grid, and per operand where the memory at hand
    begins. `rows`: operands of which every point has a row of its own; the memory is a grid of rows, from the point `lows` on."""

    launch: tuple[int, ...]
    lows: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...] = ()


class Partition(NamedTuple):
    """How a launch is cut.

    `launch`: the grid of points, () for a launch of one point. `axes`: how each operand's axes are cut. `images`: the operands
    whose boxes depend on data; `box` gives all of them. `lower`: the first point, () for the origin. `share`: set when these are
    not all points of the launch; boxes are those of the whole operands all the same.
    """

    launch: tuple[int, ...]
    axes: tuple[Axes, ...]
    images: tuple[Image, ...] = ()
    lower: tuple[int, ...] = ()
    share: Share | None = None

    def points(self) -> Iterator[tuple[int, ...]]:
        """The points in C order; only () when there is no grid."""
        lower = self.lower or (0,) * len(self.launch)
        return product(*(range(lo, lo + n) for lo, n in zip(lower, self.launch, strict=True)))

    def box(self, operand: int, point: tuple[int, ...]) -> Box:
        """The part of the operand that the point gets; may be empty."""
        box = []
        for extent, dim, lo, step, length, cut in self.axes[operand]:
            if cut is not None:
                first, last = cut.edge(point[dim]), cut.edge(point[dim] + 1)
                hi = lo + step * last + length - step
                lo += step * first
            else:
                if dim >= 0:
                    lo += step * point[dim]
                hi = lo + length
            if lo < 0:
                lo = 0
            elif lo > extent:
                lo = extent
            if hi > extent:
                hi = extent
            box.append((lo, hi if hi > lo else lo))
        return tuple(box)

    def cut(self, operand: int) -> tuple[bool, ...]:
        """Which axes of the operand are split among the points."""
        return tuple(a.dim >= 0 and self.launch[a.dim] > 1 for a in self.axes[operand])

    def shared(self, operand: int) -> tuple[int, ...]:
        """Dimensions of the grid along which points may get the same elements of the operand; () if there are none."""
        return overlapping(self.launch, self.axes[operand])


def overlapping(launch: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """Dimensions of a grid along which points may get the same elements of an operand cut so."""
    separated = {a.dim for a in axes if a.length <= abs(a.step)}
    return tuple(d for d, n in enumerate(launch) if n > 1 and d not in separated)


def uncut(shape: tuple[int, ...]) -> Axes:
    """The axes of an operand that every point gets whole."""
    return tuple(Axis(n, -1, 0, 0, n) for n in shape)


def explicit(launch: tuple[int, ...], operands: Sequence[Tiles], lower: tuple[int, ...] = ()) -> Partition:
    """The partition chosen by hand: a grid of points from `lower` on, and for each operand the tiles and which one a point gets.

    Colors outside an operand give empty boxes; several points may get the same tile. ValueError when numbers of axes do not fit.
    """
    if lower and len(lower) != len(launch):
        raise ValueError(f"Lower bounds {lower} do not fit a {len(launch)}-D launch domain")
    return Partition(launch, tuple(_tiles_axes(len(launch), t) for t in operands), (), lower)


def _tiles_axes(dims: int, tiles: Tiles) -> Axes:
    if tiles.tile is None:
        return uncut(tiles.shape)
    ndim = len(tiles.shape)
    colors = tiles.colors if tiles.colors is not None else tuple(Color(d) for d in range(dims))
    if len(tiles.tile) != ndim:
        raise ValueError(f"Incompatible tile shape: expected a {ndim}-tuple, got a {len(tiles.tile)}-tuple")
    if len(colors) != ndim:
        raise ValueError(f"Projection to {len(colors)} dimensions does not fit a {ndim}-D store")
    if any(c.dim >= dims for c in colors):
        raise ValueError(f"Projection {colors} names a dimension that a {dims}-D launch domain does not have")
    return tuple(
        Axis(n, c.dim, t * c.offset, t * c.weight, t) if c.dim >= 0 else Axis(n, -1, t * c.offset, 0, t)
        for n, t, c in zip(tiles.shape, tiles.tile, colors, strict=True)
    )


# ---- boxes that depend on data -----------------------------------------------------------------------------------


def image_box(values: np.ndarray, shape: tuple[int, ...], hint: int = 0) -> Box:
    """The smallest box of an operand of the given shape that covers what `values` points to.

    values: points (N integers) or rectangles (N lowest, then N highest coordinates, both inside), N = len(shape): elements of a
    structured or raw dtype of int64, their bytes along a last uint8 axis, or integers along a last axis (not needed for points
    when N is 1). hint: `Image.hint`. Rectangles that are empty and coordinates out of the shape count for nothing.
    """
    ndim = len(shape)
    entries = _entries(values, ndim)
    if hint == _FIRST_LAST and len(entries) > 2:
        entries = entries[[0, -1]]
    low, high = entries[:, :ndim], entries[:, -ndim:]
    if entries.shape[1] != ndim:
        real = (low <= high).all(axis=1)
        if not real.all():
            low, high = low[real], high[real]
    if not len(low):
        return ((0, 0),) * ndim
    lo = [min(max(int(v), 0), n) for v, n in zip(low.min(axis=0), shape, strict=True)]
    hi = [min(int(v) + 1, n) for v, n in zip(high.max(axis=0), shape, strict=True)]
    return tuple((a, max(a, b)) for a, b in zip(lo, hi, strict=True))


def _entries(values: np.ndarray, ndim: int) -> np.ndarray:
    """Points or rectangles as rows of coordinates. ValueError when the elements are neither."""
    array: np.ndarray[Any, Any] = values
    if array.dtype.kind == "V":
        width = array.dtype.itemsize // 8
        array = np.ascontiguousarray(array).reshape(-1).view(np.uint8).view(np.int64)
    elif array.dtype == np.uint8 and array.ndim and array.shape[-1] in (8 * ndim, 16 * ndim):
        width = array.shape[-1] // 8
        array = np.ascontiguousarray(array).reshape(-1).view(np.int64)
    elif ndim == 1 and (array.ndim <= 1 or array.shape[-1] not in (1, 2)):
        width = 1
    else:
        width = array.shape[-1] if array.ndim else 0
    if array.dtype.kind not in "iu" or width not in (ndim, 2 * ndim) or not ndim:
        raise ValueError("Store from which the image partition is derived should have N-D points or rects")
    return array.reshape(-1, width)
