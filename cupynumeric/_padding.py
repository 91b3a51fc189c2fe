"""Margins around arrays, and arrays without their margins of zeros.

A padded array is filled region by region, like the joined arrays of `_joining`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric._advanced import flatnonzero
from cupynumeric._array import Ours, ndarray
from cupynumeric._convert import by_numpy, drop_in, from_numpy_tree, host_view, lift
from cupynumeric._creation import undefined
from legate_jit import runtime

__all__ = ["pad", "trim_zeros"]


@drop_in
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """The array with margins; see `numpy.pad`."""
    x = lift(array)
    known = not kwargs or (mode == "constant" and set(kwargs) == {"constant_values"})
    if mode not in _PAD_MODES or not known or not x.size or not x.ndim:
        return by_numpy(np.pad, (x, pad_width), {"mode": mode, **kwargs})
    widths = _pairs(pad_width, x.ndim)
    if widths is None or (mode in _MIRRORS and not _one_turn(x.shape, widths, mode)):
        return by_numpy(np.pad, (x, pad_width), {"mode": mode, **kwargs})
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    made = undefined(shape, x.dtype)
    made[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))] = x
    if mode == "edge":
        _pad_edges(made, widths)
    elif mode in _MIRRORS:
        _pad_turned(made, widths, mode)
    elif mode == "constant":
        values = kwargs.get("constant_values", 0)
        _pad_constant(
            made,
            widths,
            np.broadcast_to(host_view(values) if isinstance(values, Ours) else values, (x.ndim, 2)),
        )
    return made


def _pairs(pad_width: Any, ndim: int) -> list[tuple[int, int]] | None:
    """Margins per axis, or None for the forms NumPy judges itself (dictionaries, floats, negative widths)."""
    if isinstance(pad_width, dict):
        return None
    widths = np.asarray(host_view(pad_width) if isinstance(pad_width, Ours) else pad_width)
    if widths.dtype.kind != "i" or widths.size == 0 or widths.min() < 0 or widths.ndim > 2:
        return None
    try:
        spread = np.broadcast_to(widths, (ndim, 2))
    except ValueError:
        return None
    return [(int(a), int(b)) for a, b in spread]


def _pad_constant(made: ndarray, widths: list[tuple[int, int]], values: np.ndarray) -> None:
    for d, (a, b) in enumerate(widths):
        lead = (slice(None),) * d
        if a:
            made[(*lead, slice(0, a))] = values[d, 0].astype(made.dtype)
        if b:
            made[(*lead, slice(made.shape[d] - b, None))] = values[d, 1].astype(made.dtype)


_MIRRORS = ("reflect", "symmetric", "wrap")
_PAD_MODES = ("constant", "edge", "empty", *_MIRRORS)


def _one_turn(shape: tuple[int, ...], widths: list[tuple[int, int]], mode: str) -> bool:
    """Whether no margin is longer than what one turn of the array gives."""
    return all(max(w) <= n - (mode == "reflect") for n, w in zip(shape, widths, strict=True))


def _pad_turned(made: ndarray, widths: list[tuple[int, int]], mode: str) -> None:
    """Margins that mirror or continue the array, axis after axis."""
    for d, (a, b) in enumerate(widths):
        lead = (slice(None),) * d
        n = made.shape[d]
        end = n - b  # of the array itself, which begins at a
        skip = mode == "reflect"
        if mode == "wrap":
            left, right = slice(end - a, end), slice(a, a + b)
        else:
            left = slice(2 * a - 1 + skip, a - 1 + skip if a + skip else None, -1)
            right = slice(end - 1 - skip, (end - 1 - skip - b) if end - 1 - skip - b >= 0 else None, -1)
        if a:
            made[(*lead, slice(0, a))] = made[(*lead, left)]
        if b:
            made[(*lead, slice(end, n))] = made[(*lead, right)]


def _pad_edges(made: ndarray, widths: list[tuple[int, int]]) -> None:
    for d, (a, b) in enumerate(widths):
        lead = (slice(None),) * d
        n = made.shape[d]
        if a:
            made[(*lead, slice(0, a))] = made[(*lead, slice(a, a + 1))]
        if b:
            made[(*lead, slice(n - b, None))] = made[(*lead, slice(n - b - 1, n - b))]


def trim_zeros(filt: Any, trim: Any = "fb", axis: Any = None) -> Any:
    """The array without leading and trailing zeros; see `numpy.trim_zeros`."""
    if isinstance(filt, Ours) and filt.ndim == 1 and axis is None and set(trim.lower()) <= {"f", "b"}:
        found = np.flatnonzero(host_view(filt)) if runtime.world is None else flatnonzero(filt)
        first, last = (int(found[0]), int(found[-1]) + 1) if found.size else (filt.size, filt.size)
        return filt[first if "f" in trim.lower() else 0 : last if "b" in trim.lower() else filt.size]
    return from_numpy_tree(np.trim_zeros(host_view(filt) if isinstance(filt, Ours) else filt, trim, axis))
