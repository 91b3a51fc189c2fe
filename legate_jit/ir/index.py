"""Affine index maps: how the axes of a view address the axes of the array it looks into.

An `Affine` describes every basic-indexing view (any step, negative, newaxis, integer), permutation, broadcast and
diagonal. Pure integer arithmetic; knows no arrays.
"""

from __future__ import annotations

from typing import NamedTuple


class Affine(NamedTuple):
    """A view of `shape` into a base array.

    `axes[d] = (start, step, axis)`: along base axis d the element is at `start + step * i[axis]`, where i is the view's index;
    axis == -1 means a fixed position. View axes no base axis refers to are broadcast (any extent, the same elements).
    """

    shape: tuple[int, ...]
    axes: tuple[tuple[int, int, int], ...]


def identity(shape: tuple[int, ...]) -> Affine:
    """The view that is the base array itself."""
    return Affine(shape, tuple((0, 1, d) for d in range(len(shape))))


def compose(outer: Affine, inner: Affine) -> Affine:
    """The view `inner` of the view `outer`, as a view of outer's base."""
    axes = []
    for start, step, axis in outer.axes:
        if axis < 0:
            axes.append((start, 0, -1))
            continue
        start2, step2, axis2 = inner.axes[axis]
        axes.append((start + step * start2, step * step2 if axis2 >= 0 else 0, axis2))
    return Affine(inner.shape, tuple(axes))


def fixed(view: Affine, axis: int, position: int) -> Affine:
    """The view at one position of one of its axes, which it keeps as an axis along which nothing moves."""
    axes = tuple(
        (start + step * position, 0, -1) if d == axis else (start, step, d) for start, step, d in view.axes
    )
    return Affine(view.shape, axes)


def permutation(shape: tuple[int, ...], order: tuple[int, ...]) -> Affine:
    """transpose(order): view axis k is base axis order[k]."""
    inverse = [0] * len(order)
    for k, d in enumerate(order):
        inverse[d] = k
    return Affine(tuple(shape[d] for d in order), tuple((0, 1, k) for k in inverse))


def broadcast(shape: tuple[int, ...], to: tuple[int, ...]) -> Affine:
    """broadcast_to(to): axes align from the right, extent-1 axes repeat. The shapes must be compatible."""
    lead = len(to) - len(shape)
    return Affine(
        to,
        tuple((0, 1, lead + d) if n == to[lead + d] and n != 1 else (0, 0, -1) for d, n in enumerate(shape)),
    )


def unit_reshape(shape: tuple[int, ...], to: tuple[int, ...]) -> Affine | None:
    """The reshape from `shape` to `to` as a view, when it only inserts and removes axes of extent 1; else None."""
    kept = [n for n in shape if n != 1]
    if kept != [n for n in to if n != 1] or 0 in kept:
        return None
    targets = iter([k for k, n in enumerate(to) if n != 1])
    return Affine(to, tuple((0, 1, next(targets)) if n != 1 else (0, 0, -1) for n in shape))


def is_identity(view: Affine, base: tuple[int, ...]) -> bool:
    """Whether the view is the whole base array in its own order."""
    return view.shape == base and all(
        (start == 0 and step == 1 and axis == d) or (n == 1 and start == 0 and axis in (-1, d))
        for d, ((start, step, axis), n) in enumerate(zip(view.axes, base, strict=True))
    )


def is_writable(view: Affine) -> bool:
    """Whether no two view elements are the same base element (a broadcast axis of extent > 1 would be)."""
    used = {axis for _, step, axis in view.axes if axis >= 0 and step != 0}
    return all(n <= 1 or d in used for d, n in enumerate(view.shape))


def elem_strides(view: Affine, base: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Offset and stride per view axis, in elements, when the base array is stored in C order."""
    strides = [0] * len(view.shape)
    offset, unit = 0, 1
    for (start, step, axis), n in zip(reversed(view.axes), reversed(base), strict=True):
        offset += start * unit
        if axis >= 0:
            strides[axis] += step * unit
        unit *= n
    return offset, tuple(strides)


def bounding_box(view: Affine) -> tuple[tuple[int, int], ...]:
    """Per base axis the half-open range [lo, hi) of positions the view touches; (0, 0) everywhere when it is empty."""
    if 0 in view.shape:
        return tuple((0, 0) for _ in view.axes)
    box = []
    for start, step, axis in view.axes:
        last = start + step * (view.shape[axis] - 1) if axis >= 0 else start
        box.append((min(start, last), max(start, last) + 1))
    return tuple(box)


def is_box(view: Affine) -> bool:
    """Whether the view covers exactly its bounding box (unit steps, each axis its own)."""
    axes = [axis for _, _, axis in view.axes if axis >= 0]
    return len(set(axes)) == len(axes) and all(
        axis < 0 or abs(step) == 1 or view.shape[axis] == 1 for _, step, axis in view.axes
    )


def overlaps(a: Affine, b: Affine) -> bool:
    """Whether two views of one base may share an element: exact for boxes and for equal-step lattices, else by bounding box."""
    for (lo, hi), (lo2, hi2) in zip(bounding_box(a), bounding_box(b), strict=True):
        if hi <= lo2 or hi2 <= lo:
            return False
    for (start, step, axis), (start2, step2, axis2) in zip(a.axes, b.axes, strict=True):
        if (
            axis >= 0
            and axis2 >= 0
            and abs(step) == abs(step2)
            and abs(step) > 1
            and (start - start2) % abs(step)
        ):
            return False
    return True


def covers(box: Affine, inner: tuple[tuple[int, int], ...]) -> bool:
    """Whether `box` (see `is_box`) touches every position of the bounding box `inner`."""
    return is_box(box) and all(
        lo <= lo2 and hi2 <= hi for (lo, hi), (lo2, hi2) in zip(bounding_box(box), inner, strict=True)
    )


def complement(view: Affine, base: tuple[int, ...]) -> list[tuple[tuple[int, int], ...]] | None:
    """Disjoint boxes that together hold every base element outside `view`; None when `view` is not a box."""
    if not is_box(view):
        return None
    box = bounding_box(view)
    out: list[tuple[tuple[int, int], ...]] = []
    for d, ((lo, hi), n) in enumerate(zip(box, base, strict=True)):
        rest = tuple((0, m) for m in base[d + 1 :])
        out.extend((*box[:d], part, *rest) for part in ((0, lo), (hi, n)) if part[0] < part[1])
    return [b for b in out if all(lo < hi for lo, hi in b)]


def from_box(box: tuple[tuple[int, int], ...]) -> Affine:
    """The view that is the given box."""
    return Affine(tuple(hi - lo for lo, hi in box), tuple((lo, 1, d) for d, (lo, _) in enumerate(box)))
