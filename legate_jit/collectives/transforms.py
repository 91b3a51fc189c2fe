"""Fourier transforms of arrays in parts: axes that lie whole are transformed where they are, then the parts are dealt out anew.

A transform along several axes needs a redistribution for every cut axis set (slabs or pencils); one along an axis that is cut and
has no others beside it is done in four steps (transforms along both axes of a matrix, n = rows * columns), and if n has no
divisor near its square root, as a convolution of a length that has (Bluestein). No rank ever holds much more than its share.
Must not know graphs or stores; lengths, orders and results are NumPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit.comm.base import Comm
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.choose import factors
from legate_jit.ir.ranks.layout import Box

#: how a transform of one axis is carried out: name, array, points, axis, norm
Local = Callable[[str, np.ndarray, int, int, Any], np.ndarray]

_INVERSE = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


class Step(NamedTuple):
    """A transform along one axis: NumPy's function, points, axis, norm."""

    name: str
    n: int
    axis: int
    norm: str | None

    @property
    def points(self) -> int:
        """Extent of the axis afterwards."""
        return self.n // 2 + 1 if self.name in ("rfft", "ihfft") else self.n


class Parts(NamedTuple):
    """An array dealt out: this rank's part, the shape of all, every rank's box."""

    mine: np.ndarray
    shape: tuple[int, ...]
    boxes: tuple[Box, ...]

    def is_whole(self, axis: int) -> bool:
        """Whether nobody's part is cut along an axis."""
        everything = (0, self.shape[axis])
        return all(box[axis] == everything for box in self.boxes if layout.size(box))


def steps(options: dict[str, Any]) -> list[list[Step]]:
    """The transforms a call of `numpy.fft` consists of, in groups: within a group the order is free.

    options: `name`, `norm`, and `n` and `axis` (not negative), or `s` and `axes`, as the library call 'fft' has them.
    """
    name, norm = options["name"], options.get("norm")
    if "axis" in options:
        return [[Step(name, options["n"], options["axis"], norm)]]
    single = {"fftn": "fft", "ifftn": "ifft", "rfftn": "fft", "irfftn": "ifft"}[name]
    *rest, last = zip(options["s"], options["axes"], strict=True)
    others = [Step(single, n, axis, norm) for n, axis in rest]
    if name in ("fftn", "ifftn"):
        return [[*others, Step(single, *last, norm)]]
    if name == "rfftn":
        return [group for group in ([Step("rfft", *last, norm)], others) if group]
    return [group for group in (others, [Step("irfft", *last, norm)]) if group]


def transform(
    comm: Comm,
    part: np.ndarray,
    shape: tuple[int, ...],
    source: Sequence[Box],
    wanted: Sequence[Box],
    options: dict[str, Any],
    local: Local,
) -> np.ndarray:
    """This rank's box `wanted[rank]` of the transform of an array of `shape`, of which it has the box `source[rank]` as `part`.

    options: see `steps`. Boxes must be disjoint. No dtype of the result is promised but that of NumPy's transforms.
    """
    x = _plain(part, shape, source, comm.rank)
    groups = steps(options)
    for k, group in enumerate(groups):
        goal = tuple(wanted) if k == len(groups) - 1 else None
        x = _grouped(comm, x, list(group), goal, local)
    return _moved(comm, x, tuple(wanted)).mine


def _plain(part: np.ndarray, shape: tuple[int, ...], boxes: Sequence[Box], rank: int) -> Parts:
    """Parts whose empty boxes have no extent along any axis."""
    plain = tuple(map(_nothing, boxes))
    return Parts(part.reshape(layout.extents(plain[rank])), shape, plain)


def _nothing(box: Box) -> Box:
    return box if layout.size(box) else ((0, 0),) * len(box)


def _even(shape: tuple[int, ...], axis: int, ranks: int) -> tuple[Box, ...]:
    """Even boxes cut along one axis."""
    aim = layout.tiled(shape, axis, ranks)
    return tuple(_nothing(aim.box(k)) for k in range(ranks))


def _grouped(comm: Comm, x: Parts, group: list[Step], goal: tuple[Box, ...] | None, local: Local) -> Parts:
    """Steps in any order: those whose axes are whole, then those that are whole after the next redistribution, and so on."""
    while True:
        for step in [s for s in group if x.is_whole(s.axis)]:
            x = _along(x, step, local)
            group.remove(step)
        if not group:
            return x
        waiting = {s.axis for s in group}
        boxes = None if goal is None else _before(x, goal, waiting)
        if boxes is None:
            boxes = _spread(comm, x.shape, [d for d in range(len(x.shape)) if d not in waiting])
        if boxes is None and len(group) > 1:  # the longest axis waits, the others become whole
            boxes = _even(x.shape, max(sorted(waiting), key=lambda d: x.shape[d]), comm.size)
        if boxes is not None:
            x = _moved(comm, x, boxes)
            continue
        (step,) = group[:1]
        x = _long(comm, x, step, local)
        group.remove(step)


def _before(x: Parts, goal: tuple[Box, ...], waiting: set[int]) -> tuple[Box, ...] | None:
    """The boxes that become the result's once the axes that wait are transformed; None if the result is cut along one of them."""
    whole = [tuple({box[d] for box in goal if layout.size(box)}) for d in waiting]
    if any(len(found) > 1 or (found and found[0][0]) for found in whole):
        return None
    highest = [max((box[d][1] for box in goal), default=0) for d in range(len(x.shape))]
    if any(highest[d] != x.shape[d] for d in range(len(x.shape)) if d not in waiting):
        return None
    return tuple(
        tuple((0, x.shape[d]) if d in waiting else box[d] for d in range(len(x.shape)))
        if layout.size(box)
        else ((0, 0),) * len(x.shape)
        for box in goal
    )


def _spread(comm: Comm, shape: tuple[int, ...], axes: Sequence[int]) -> tuple[Box, ...] | None:
    """Even boxes cut along one or two of the axes; None if these are too short for so many ranks."""
    long = sorted(axes, key=lambda d: (-shape[d], d))
    ranks = comm.size
    if long and shape[long[0]] >= ranks:
        return _even(shape, long[0], ranks)
    if len(long) > 1:
        blocks = dict(zip(long, factors(ranks, 2), strict=False))
        if any(shape[d] < b for d, b in blocks.items()):
            return None
        found = layout.gridded(shape, tuple(blocks.get(d, 1) for d in range(len(shape))))
        return tuple(_nothing(found.box(k)) for k in range(ranks))
    return None


def _moved(comm: Comm, x: Parts, boxes: tuple[Box, ...]) -> Parts:
    """The same array in other boxes."""
    if boxes == x.boxes:
        return x
    mine = comm.fetch(np.ascontiguousarray(x.mine), x.boxes, boxes)
    return Parts(mine, x.shape, boxes)


def _with_axis(box: Box, axis: int, extent: tuple[int, int]) -> Box:
    return (*box[:axis], extent, *box[axis + 1 :])


def _along(x: Parts, step: Step, local: Local) -> Parts:
    """A transform along an axis that is whole."""
    after = (0, step.points)
    boxes = tuple(_with_axis(box, step.axis, after) if layout.size(box) else box for box in x.boxes)
    shape = (*x.shape[: step.axis], step.points, *x.shape[step.axis + 1 :])
    if x.mine.size:
        return Parts(local(step.name, x.mine, step.n, step.axis, step.norm), shape, boxes)
    probe = local(step.name, np.ones(1, x.mine.dtype), 1 if step.name != "hfft" else 2, 0, None)
    return Parts(np.empty((0,) * len(shape), probe.dtype), shape, boxes)


# ---- one long axis -----------------------------------------------------------------------------------------------


def _long(comm: Comm, x: Parts, step: Step, local: Local) -> Parts:
    """A transform along an axis that stays cut."""
    name, n, axis, norm = step
    if name in ("hfft", "ihfft"):
        swapped = {"hfft": "irfft", "ihfft": "rfft"}[name]
        norm = _INVERSE[norm]
        if name == "hfft":
            return _long(comm, x._replace(mine=np.conj(x.mine)), Step(swapped, n, axis, norm), local)
        found = _long(comm, x, Step(swapped, n, axis, norm), local)
        return found._replace(mine=np.conj(found.mine))
    backward = name in ("ifft", "irfft")
    x = x._replace(mine=x.mine.astype(_spectral(x.mine.dtype, local), copy=False))
    y = _hermitian(comm, x, n, axis) if name == "irfft" else _resized(comm, x, n, axis)
    y = _complex(comm, y, axis, 1 if backward else -1, local)
    scale = {"ortho": 1 / math.sqrt(n), "forward": 1 / n}.get(_INVERSE[norm] if backward else norm or "", 1.0)
    mine = y.mine if scale == 1 else y.mine * y.mine.real.dtype.type(scale)
    if name == "irfft":
        return y._replace(mine=np.ascontiguousarray(mine.real))
    if name == "rfft":  # the first half of the spectrum, where it is
        half = tuple(_clipped(box, axis, step.points) for box in y.boxes)
        kept = mine[(slice(None),) * axis + (slice(0, layout.extents(half[comm.rank])[axis]),)]
        kept = kept.reshape(layout.extents(half[comm.rank]))
        return _plain(kept, (*y.shape[:axis], step.points, *y.shape[axis + 1 :]), half, comm.rank)
    return y._replace(mine=mine)


def _clipped(box: Box, axis: int, end: int) -> Box:
    """The box without positions from `end` on."""
    lo, hi = box[axis]
    return _with_axis(box, axis, (min(lo, end), min(hi, end)))


def _spectral(dtype: np.dtype, local: Local) -> np.dtype:
    """The dtype of a transform of values of a dtype."""
    return local("fft", np.ones(1, dtype), 1, 0, None).dtype


def _resized(comm: Comm, x: Parts, n: int, axis: int) -> Parts:
    """Cut evenly along an axis, which gets the extent n: cut off, or followed by zeros."""
    shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
    boxes = _even(shape, axis, comm.size)
    there = min(n, x.shape[axis])
    found = _moved(comm, x, tuple(_clipped(box, axis, there) for box in boxes)).mine
    mine = np.zeros(layout.extents(boxes[comm.rank]), found.dtype)
    mine[tuple(slice(0, m) for m in found.shape)] = found
    return Parts(mine, shape, boxes)


def _hermitian(comm: Comm, x: Parts, n: int, axis: int) -> Parts:
    """The spectrum of n points of which x has the first half: what is missing is the conjugate of what is there, mirrored."""
    half = _resized(comm, x, n // 2 + 1, axis)
    shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
    boxes = _even(shape, axis, comm.size)
    direct = _moved(comm, half, tuple(_clipped(box, axis, n // 2 + 1) for box in boxes)).mine
    mirrored = []
    for box in boxes:
        lo, hi = box[axis]
        lo = max(lo, n // 2 + 1)
        mirrored.append(_with_axis(box, axis, (n - hi + 1, n - lo + 1) if lo < hi else (0, 0)))
    other = _moved(comm, half, tuple(mirrored)).mine
    mine = np.concatenate([direct, np.conj(np.flip(other, axis))], axis)
    return Parts(mine, shape, boxes)


def _complex(comm: Comm, x: Parts, axis: int, sign: int, local: Local) -> Parts:
    """The sums of x * exp(sign * 2 pi i j k / n) along an axis that is cut."""
    n = x.shape[axis]
    rows = _divisor(n)
    if rows >= min(comm.size, n):
        return _four_steps(comm, x, axis, rows, sign, local)
    return _bluestein(comm, x, axis, sign, local)


def _divisor(n: int) -> int:
    """The largest divisor of n up to its square root."""
    return next(d for d in range(math.isqrt(n), 0, -1) if n % d == 0)


def _four_steps(comm: Comm, x: Parts, axis: int, rows: int, sign: int, local: Local) -> Parts:
    """The axis as a matrix of rows * columns in C order: transforms along columns, a rotation of every element, transforms along
    rows; the result is that matrix transposed."""
    n, ranks = x.shape[axis], comm.size
    columns = n // rows
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    name = "fft" if sign < 0 else "ifft"
    norm = "backward" if sign < 0 else "forward"  # no scaling in either direction

    def cut(length: int, unit: int) -> tuple[Box, ...]:
        """The axis cut into ranges of whole rows."""
        boxes = _even((*before, length, *after), axis, ranks)
        return tuple(_with_axis(b, axis, (b[axis][0] * unit, b[axis][1] * unit)) for b in boxes)

    x = _moved(comm, x, cut(rows, columns))
    shape = (*before, rows, columns, *after)
    by_rows = _even(shape, axis, ranks)
    y = Parts(x.mine.reshape(layout.extents(by_rows[comm.rank])), shape, by_rows)
    y = _moved(comm, y, _even(shape, axis + 1, ranks))
    y = _along(y, Step(name, rows, axis, norm), local)
    lo, hi = y.boxes[comm.rank][axis + 1]
    if y.mine.size:
        turns = _products(rows, lo, hi, sign * 2 * np.pi / n)
        y.mine[...] *= turns.astype(y.mine.dtype, copy=False).reshape((rows, hi - lo, *(1,) * len(after)))
    y = _moved(comm, y, by_rows)
    y = _along(y, Step(name, columns, axis + 1, norm), local)
    y = _moved(comm, y, _even(shape, axis + 1, ranks))
    mine = np.ascontiguousarray(np.swapaxes(y.mine, axis, axis + 1))
    boxes = cut(columns, rows)
    return Parts(mine.reshape(layout.extents(boxes[comm.rank])), x.shape, boxes)


def _rotations(angles: np.ndarray) -> np.ndarray:
    """exp(i * angles): real functions are several times faster than the complex one."""
    turned = np.empty(angles.shape, np.complex128)
    np.cos(angles, out=turned.real)
    np.sin(angles, out=turned.imag)
    return turned


def _products(rows: int, lo: int, hi: int, angle: float) -> np.ndarray:
    """exp(i * angle * j * k) for j < rows and lo <= k < hi: as products, since those cost less than functions."""
    few = math.isqrt(hi - lo)
    coarse, fine = np.arange(lo, hi, few), np.arange(few)
    j = np.arange(rows)[:, None]
    both = _rotations(angle * (j * coarse))[:, :, None] * _rotations(angle * (j * fine))[:, None, :]
    return np.asarray(both.reshape(rows, -1)[:, : hi - lo])


def _bluestein(comm: Comm, x: Parts, axis: int, sign: int, local: Local) -> Parts:
    """As a convolution with exp(i pi j * j / n), which is cyclic with any period of at least 2 n - 1."""
    n, dtype = x.shape[axis], x.mine.dtype
    x = x._replace(mine=x.mine.astype(np.complex128))
    period = 1 << (2 * n - 2).bit_length()
    while _divisor(period) < min(comm.size, period):
        period *= 4
    line = (1,) * (len(x.shape) - axis - 1)

    def chirp(j: np.ndarray, way: int) -> np.ndarray:
        angles = (way * np.pi / n) * (j * j % (2 * n))
        return _rotations(angles).reshape((-1, *line))

    places = np.arange(*x.boxes[comm.rank][axis])
    padded = _resized(comm, x._replace(mine=x.mine * chirp(places, sign)), period, axis)
    spectrum = _complex(comm, padded, axis, -1, local)
    flat = _even((period,), 0, comm.size)
    j = np.arange(*flat[comm.rank][0])
    j = np.minimum(j, period - j)
    mask = Parts(np.where(j < n, chirp(j, -sign).reshape(-1), 0), (period,), flat)
    turned = _complex(comm, mask, 0, -1, local)
    along = tuple((box[axis],) if layout.size(box) else ((0, 0),) for box in spectrum.boxes)
    factor = _moved(comm, turned, along).mine.reshape((-1, *line))
    spectrum = spectrum._replace(mine=spectrum.mine * factor)
    found = _complex(comm, spectrum, axis, 1, local)
    result = _resized(comm, found, n, axis)
    places = np.arange(*result.boxes[comm.rank][axis])
    mine = result.mine * chirp(places, sign) / period
    return result._replace(mine=mine.astype(dtype, copy=False))
