"""Users' functions on arrays that lie in parts on several ranks: each rank applies them to its own elements or lines.

Every function gives None where the array is whole, and where a user's function works with arrays of ours, which no rank could
alone: then the usual way is taken. Knows NumPy's rules for such functions, and `legate_jit.immediate.together`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._calls import hosted, lift
from cupynumeric._convert import host_view, to_numpy_tree
from cupynumeric._factored import plain
from cupynumeric._shape import broadcast_to, expand_dims
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.ir import dtypes
from legate_jit.running import bodies

__all__ = ["apply_along_axis", "apply_over_axes"]

_apply_along_axis = hosted(np.apply_along_axis)


@functools.wraps(_apply_along_axis)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of lines applied to all lines along an axis, at once."""
    done = None if runtime.world is None else along_axis(func1d, axis, arr, args, kwargs)
    return _apply_along_axis(func1d, axis, arr, *args, **kwargs) if done is None else done


@functools.wraps(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """A function of an array and an axis applied for several axes, one after the other; it gets arrays of ours."""
    found, ndim = lift(a), a.ndim
    if found.__class__ is not ndarray:
        return hosted(np.apply_over_axes)(func, a, axes)
    for axis in (axes,) if np.ndim(to_numpy_tree(axes)) == 0 else axes:
        at = axis + ndim if axis < 0 else axis
        result = lift(func(found, at))
        if result.ndim != found.ndim:
            result = expand_dims(result, at)
            if result.ndim != found.ndim:
                raise ValueError("function is not returning an array of the correct shape")
        found = result
    return found


def vectorized(function: Callable[..., Any], otypes: Any, args: Sequence[Any]) -> Any:
    """`numpy.vectorize(function, otypes)(*args)`; otypes: as its attribute, None if the first element decides."""
    from legate_jit.collectives.tiles import Laid
    from legate_jit.files.shards import even

    arrays = [lift(a) for a in args]
    if runtime.world is None or any(a.__class__ is not ndarray for a in arrays):
        return None
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        return None
    if not together.worthwhile(int(np.prod(shape, dtype=object))):
        return None
    stores = [plain(a) for a in arrays]
    held = [together.lies_in_parts(s) for s in stores]
    if not any(held):
        return None
    if otypes is None:
        elements = [host_view(a[(0,) * a.ndim])[()] for a in arrays]
        try:
            first = together.alone("vectorize", function, *elements)
        except bodies.Forbidden:
            return None
        given = first if isinstance(first, tuple) else (first,)
        otypes = "".join(np.asarray(x).dtype.char for x in given)
    kinds = [np.dtype(t) for t in otypes]
    if not all(map(dtypes.is_supported, kinds)):
        return None
    how = next((h for h in held if h is not None and h.shape == shape and not h.is_pinned), None)
    how = even(shape, runtime.world.size) if how is None else how
    spread = [
        s if a.shape == shape else plain(broadcast_to(a, shape)) for a, s in zip(arrays, stores, strict=True)
    ]
    applied = np.vectorize(function, [k.char for k in kinds])

    def vectorize(comm: Any, *parts: np.ndarray) -> list[Any]:
        found = applied(*parts)
        return [Laid(how, x) for x in (found if isinstance(found, tuple) else (found,))]

    results = together.apply("vectorize", vectorize, [(s, how) for s in spread], [repr(kinds)])
    if results is None:
        return None
    made = [wrap(s) for s in results]
    return made[0] if len(made) == 1 else tuple(made)


def along_axis(function: Callable[..., Any], axis: Any, x: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """`numpy.apply_along_axis(function, axis, x, *args, **kwargs)`, by the lines along the axis that each rank has."""
    from legate_jit.collectives.tiles import Laid
    from legate_jit.files.shards import even
    from legate_jit.ir.ranks import layout

    if not isinstance(x, Ours) or x.ndim < 2 or not isinstance(axis, (int, np.integer)):
        return None
    if runtime.world is None or not -x.ndim <= axis < x.ndim or not together.worthwhile(x.size):
        return None
    store, axis = plain(x), int(axis) % x.ndim
    held = together.lies_in_parts(store)
    if held is None:
        return None
    lines = (*x.shape[:axis], *x.shape[axis + 1 :])
    if held.is_pinned or axis in held.cut_axes():
        rest = even(lines, runtime.world.size)
        if rest.is_replicated:
            return None
        held = rest._replace(spans=(*rest.spans[:axis], layout.Span(x.shape[axis]), *rest.spans[axis:]))
    args, kwargs = to_numpy_tree(args), to_numpy_tree(kwargs)
    line = host_view(x[tuple(slice(None) if d == axis else 0 for d in range(x.ndim))])
    try:
        first = together.alone("apply_along_axis", lambda: np.asanyarray(function(line, *args, **kwargs)))
    except bodies.Forbidden:
        return None
    if isinstance(first, np.matrix) or not dtypes.is_supported(first.dtype):
        return None
    inner = tuple([layout.Span(n) for n in first.shape])
    result = held._replace(spans=(*held.spans[:axis], *inner, *held.spans[axis + 1 :]))

    def apply_along_axis(comm: Any, part: np.ndarray) -> list[Any]:
        turned = np.moveaxis(part, axis, -1)
        made = np.empty((*turned.shape[:-1], *first.shape), first.dtype)
        starts = [lo for d, (lo, _) in enumerate(held.box(comm.rank)) if d != axis]
        for at in np.ndindex(turned.shape[:-1]):
            seen = any(starts) or any(at)
            made[at] = np.asanyarray(function(turned[at], *args, **kwargs)) if seen else first
        count = first.ndim
        ends = range(made.ndim - count, made.ndim)
        return [Laid(result, np.moveaxis(made, tuple(ends), tuple(range(axis, axis + count))))]

    found = together.apply(
        "apply_along_axis", apply_along_axis, [(store, held)], [repr(first.dtype), repr(result.shape)]
    )
    return None if found is None else wrap(found[0])
