"""Reductions: axes, dtypes, keepdims, initial and where as NumPy's, recorded as REDUCE nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric._array import ndarray, value, wrap
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS

_cache: dict[Any, Signature] = {}


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Sorted non-negative axes; AxisError and ValueError as NumPy."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(infer.normalize_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(axes))


def accumulator(name: str, source: np.dtype) -> np.dtype:
    """NumPy's dtype of a sum or product of `source`."""
    if name in ("sum", "prod"):
        return dtypes.canonical(np.add.reduce(np.empty(0, source)).dtype)
    return source


def reduce(name: str, a: ndarray, axis: Any, dtype: Any, out: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    """Reduce with op `name`."""
    key = (name, a._type, axis, dtype)
    sig = _cache.get(key)
    if sig is None:
        axes = normalize_axes(axis, a.ndim)
        loop = accumulator(name, a.dtype) if dtype is None else np.dtype(dtype)
        sig = _cache[key] = infer.reduce_signature(OPS[name], a._type, axes, loop)
    v = runtime.record(sig, value(a))
    return wrap(runtime.new_store(v, sig.type))
