"""Strides: where the elements a view shows lie in its store's buffer, as NumPy says it, and what a lens shows of memory.

Stores are C-contiguous, so the layout of an array follows from its lens; a Fortran-ordered array is a transposed view of one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from legate_jit import runtime
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType
from legate_jit.store import Bitcast, Lens, Part, Reshaped, Windows, step_type


class Layout(NamedTuple):
    """Byte offset of the first element in the buffer, and byte strides."""

    offset: int
    strides: tuple[int, ...]


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Byte strides of a C-contiguous array."""
    strides, unit = [], itemsize
    for n in reversed(shape):
        strides.append(unit)
        unit *= max(n, 1)
    return tuple(reversed(strides))


_layouts: dict[Lens, Layout | None] = {}
runtime.bounded.append((_layouts, 50_000))


def layout(type_: ArrayType, lens: Lens | None) -> Layout | None:
    """Layout of what `lens` shows of a store of `type_`; None when no strides describe it (a flat view of a strided view)."""
    if lens is None:
        return Layout(0, c_strides(type_.shape, type_.dtype.itemsize))
    if lens not in _layouts:
        _layouts[lens] = _walk(lens)
    return _layouts[lens]


def _walk(lens: Lens) -> Layout | None:
    type_ = lens.base
    offset, strides = 0, c_strides(type_.shape, type_.dtype.itemsize)
    for step in lens.chain:
        match step:
            case Affine():
                offset += sum(start * s for (start, _, _), s in zip(step.axes, strides, strict=True))
                strides = _through(step, strides)
            case Reshaped():
                moved = reshape_strides(type_.shape, strides, step.shape, type_.dtype.itemsize)
                if moved is None:
                    return None
                strides = moved
            case Part():
                offset += type_.dtype.itemsize // 2 if step.name == "imag" else 0
            case Bitcast():
                if step.dtype.itemsize != type_.dtype.itemsize:
                    strides = (*strides[:-1], step.dtype.itemsize)
            case Windows():
                strides = (*strides, strides[step.axis])
        type_ = step_type(type_, step)
    return Layout(offset, strides)


def _through(step: Affine, strides: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(step.shape)
    for (_, k, axis), s in zip(step.axes, strides, strict=True):
        if axis >= 0:
            out[axis] += k * s
    return tuple(out)


def reshape_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], to: tuple[int, ...], itemsize: int
) -> tuple[int, ...] | None:
    """Byte strides that show a strided array in C order under shape `to`; None when that takes a copy.

    Source and target axes are matched in groups of equal size; within a group the source must be evenly spaced.
    """
    if 0 in to:
        return c_strides(to, itemsize)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    out: list[int] = []
    at, k = 0, 0
    while at < len(old):
        first, group = at, list[int]()
        size, target = old[at][0], 1
        at += 1
        while not group or target != size:
            if target < size:
                target *= to[k]
                group.append(to[k])
                k += 1
            else:
                size *= old[at][0]
                at += 1
        if any(old[j][1] != old[j + 1][0] * old[j + 1][1] for j in range(first, at - 1)):
            return None
        unit = old[at - 1][1]
        spaced = []
        for n in reversed(group):
            spaced.append(unit)
            unit *= n
        out.extend(reversed(spaced))
    rest = out[-1] if out else itemsize
    return tuple(out + [rest] * (len(to) - k))


def is_c_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the elements lie in C order without gaps (NumPy's relaxed rule: unit axes do not count)."""
    unit = itemsize
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 0:
            return True
        if n != 1:
            if s != unit:
                return False
            unit *= n
    return True


def is_f_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the elements lie in Fortran order without gaps."""
    return is_c_contiguous(shape[::-1], strides[::-1], itemsize)


def memory_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """Axes from the slowest to the fastest in memory ('K' order); C order where strides do not tell."""
    order = list(range(len(shape)))
    for i in range(1, len(order)):  # insertion sort: an axis moves past those it is certainly slower than
        j = i
        while j > 0 and _slower(strides, shape, order[j], order[j - 1]):
            order[j - 1], order[j] = order[j], order[j - 1]
            j -= 1
    return tuple(order)


def _slower(strides: tuple[int, ...], shape: tuple[int, ...], a: int, b: int) -> bool:
    return abs(strides[a]) > abs(strides[b]) and shape[a] != 1 and shape[b] != 1 and strides[b] != 0


# ---- memory -------------------------------------------------------------------------------------------------------------


def shown(base: np.ndarray, lens: Lens | None) -> np.ndarray:
    """What a lens (None: nothing but the whole) shows of an array: a view if strides describe it, else a read-only copy."""
    if lens is None:
        return base
    view = strided(base, lens)
    return read_through(base, lens) if view is None else view


def strided(base: np.ndarray, lens: Lens) -> np.ndarray | None:
    """What `lens` shows of its store's memory, as a view with the same access; None when no strides describe it."""
    place = layout(lens.base, lens)
    if place is None:
        return None
    if lens.type.size == 0:
        return np.empty(lens.type.shape, lens.type.dtype)
    return np.ndarray(lens.type.shape, lens.type.dtype, base, place.offset, place.strides)


def read_through(base: np.ndarray, lens: Lens) -> np.ndarray:
    """What a lens shows of an array where no strides describe it: read-only, a copy where need be."""
    for step in lens.chain:
        base = _applied(base, step)
    base = base.view()
    base.flags.writeable = False
    return base


def _applied(base: np.ndarray, step: Any) -> np.ndarray:
    match step:
        case Affine():
            strides = [0] * len(step.shape)
            for (_, k, axis), s in zip(step.axes, base.strides, strict=True):
                if axis >= 0:
                    strides[axis] += k * s
            corner = base[tuple(slice(start, start + 1) for start, _, _ in step.axes)]
            return np.lib.stride_tricks.as_strided(corner, step.shape, strides)
        case Reshaped():
            return base.reshape(step.shape)
        case Bitcast():
            return base.view(step.dtype)
        case Part():
            return base.real if step.name == "real" else base.imag
        case Windows():
            return np.lib.stride_tricks.sliding_window_view(base, step.size, step.axis)
        case _:
            raise TypeError(f"unknown lens step {step!r}")


__all__ = [
    "Layout",
    "c_strides",
    "is_c_contiguous",
    "is_f_contiguous",
    "layout",
    "memory_order",
    "read_through",
    "reshape_strides",
    "shown",
    "strided",
]
