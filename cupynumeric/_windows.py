"""Windows that slide over arrays: `numpy.lib.stride_tricks`, as views, and what reductions over windows are.

A reduction over windows is computed from shifted views of the array, doubling what they cover, so that it fuses and no window is
made. Whoever reads windows otherwise has them made in the program that needs them. They are read-only; NumPy allows writing to
overlapping memory, which is refused here. Knows lenses; no kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib import stride_tricks

from cupynumeric import _elementwise
from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._convert import by_numpy, integers
from cupynumeric._indexing import getitem
from cupynumeric._shape import cast, normalize_axis_tuple, strides_of, viewed
from legate_jit.ir.index import Affine
from legate_jit.ir.ops import OPS
from legate_jit.store import Windows, extend, interned

__all__ = ["as_strided", "sliding_window_view"]


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """A read-only view of all windows of a shape, their axes last; see `numpy.lib.stride_tricks.sliding_window_view`."""
    options = {"axis": axis, "subok": subok}
    if not isinstance(x, Ours):
        return by_numpy(stride_tricks.sliding_window_view, (x, window_shape), options)
    try:
        sizes = integers(window_shape)
    except TypeError:
        return by_numpy(stride_tricks.sliding_window_view, (x, window_shape), options)  # raises NumPy's error
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    shape = list(x.shape)
    for d, size in zip(axes, sizes, strict=False):
        shape[d] -= size - 1
    if len(axes) != len(sizes) or min((*sizes, *shape), default=1) < 1:  # an error, or nothing to show
        return _copied(stride_tricks.sliding_window_view, (x, window_shape), options)
    return _windows(x, axes, sizes)


def _windows(x: ndarray, axes: tuple[int, ...], sizes: tuple[int, ...]) -> ndarray:
    lens = x._lens
    for d, size in zip(axes, sizes, strict=True):
        lens = extend(x._store.type, lens, Windows(d, size))
    return wrap(x._store, lens, True)


def _copied(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What NumPy makes of it, as a copy: read-only, since what is written to it would go nowhere else."""
    made = by_numpy(function, args, options)
    if isinstance(made, Ours):
        made._locked = True
    return made


def as_strided(
    x: Any, shape: Any = None, strides: Any = None, subok: bool = False, writeable: bool = True
) -> Any:
    """The memory of an array under another shape and strides, read-only: a view where these describe windows, steps and
    repetitions of its axes, else a copy; see `numpy.lib.stride_tricks.as_strided`."""
    options = {"subok": subok}
    if isinstance(x, Ours):
        to = x.shape if shape is None else integers(shape)
        wanted = x.strides if strides is None else integers(strides)
        found = _described(x, to, wanted)
        if found is not None:
            return found
    return _copied(stride_tricks.as_strided, (x, shape, strides), options)


def _described(x: ndarray, to: tuple[int, ...], wanted: tuple[int, ...]) -> ndarray | None:
    """The view with a shape and strides, if it is one of windows of the array."""
    own = strides_of(x)
    if own is None or len(to) != len(wanted) or min((*to, *x.shape), default=1) < 1:
        return None
    moving = [k for k, stride in enumerate(wanted) if stride]
    n = x.ndim
    if len(moving) not in (n, 2 * n) or 0 in own:
        return None
    steps = [divmod(wanted[k], s) for k, s in zip(moving, own, strict=False)]
    sizes = tuple(to[k] for k in moving[n:])
    if any(rest or step < 1 for step, rest in steps) or any(
        wanted[k] != s for k, s in zip(moving[n:], own, strict=False)
    ):
        return None
    reach = [
        (to[k] - 1) * step + (sizes[d] if sizes else 1)
        for d, (k, (step, _)) in enumerate(zip(moving, steps, strict=False))
    ]
    if any(r > extent for r, extent in zip(reach, x.shape, strict=True)):
        return None
    made = _windows(x, tuple(range(n)), sizes) if sizes else x
    made = getitem(
        made,
        tuple(slice(0, (to[k] - 1) * step + 1, step) for k, (step, _) in zip(moving, steps, strict=False)),
    )
    return viewed(made, Affine(to, tuple((0, 1, k) for k in moving)), True)


def folded(name: str, x: ndarray, axes: tuple[int, ...], loop: np.dtype) -> tuple[ndarray, int] | None:
    """What is left of a reduction in `loop`, by an op of one value and another, of an array that ends with axes of windows: each
    window reduced, and how many axes these were; None for other arrays, and unless all of these axes are reduced."""
    combine = OPS[name].combine
    if x._lens is None or combine is None or name not in _FOLDED:
        return None
    chain = x._lens.chain
    count = 0
    while count < len(chain) and isinstance(chain[-1 - count], Windows):
        count += 1
    if not count or set(range(x.ndim - count, x.ndim)) - set(axes):
        return None
    done = cast(wrap(x._store, interned(x._lens.base, chain[:-count]), True), loop)
    for step in chain[-count:]:
        assert isinstance(step, Windows)
        done = _slid(combine, done, step.axis, step.size)
    return done, count


_FOLDED = frozenset(("sum", "prod", "max", "min"))


def _slid(combine: str, x: ndarray, axis: int, size: int) -> ndarray:
    """Each `size` elements that follow each other along an axis, combined: pairs, pairs of pairs and so on, as many as the
    binary digits of the size ask for."""
    op, extent = OPS[combine], x.shape[axis] - size + 1
    done: Any = None
    span, covered = 1, 0
    while True:
        if size & span:
            part = _along(x, axis, covered, covered + extent)
            done = part if done is None else _elementwise.call(op, (done, part))
            covered += span
        if covered == size:
            return done  # type: ignore[no-any-return]
        n = x.shape[axis]
        x = _elementwise.call(op, (_along(x, axis, 0, n - span), _along(x, axis, span, n)))
        span *= 2


def _along(x: ndarray, axis: int, start: int, stop: int) -> Any:
    return getitem(x, (*(slice(None),) * axis, slice(start, stop)))
