"""Result types: NumPy's own rules for shapes and dtypes, asked once per combination of operand types.

Operands are array types or Python / NumPy scalar classes (a scalar's class decides its dtype under NEP 50, its value never
does). Errors are NumPy's.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np

from legate_jit.ir import dtypes
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Signature, array_type
from legate_jit.ir.ops import OPS, Op

Operand = ArrayType | type
Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]

_WEAK: dict[type, Any] = {int: int, float: float, complex: complex}


class Unsupported(TypeError):
    """The combination has a result in NumPy, but of a dtype that graphs do not hold; the caller asks NumPy instead."""


_interned: dict[tuple[Hashable, ...], Signature] = {}


def _signature(
    op: Op,
    types: tuple[ArrayType, ...],
    type_: ArrayType,
    arg: Hashable = None,
    mask: int = 0,
    loop: tuple[np.dtype, ...] = (),
    bounds: tuple[int, int] | None = None,
    views: tuple[Hashable, ...] | None = None,
) -> Signature:
    """The one Signature with these parts: tapes are compared by identity of their signatures."""
    key = (op, types, type_, arg, mask, loop, bounds, views)
    found = _interned.get(key)
    if found is None:
        found = _interned[key] = Signature(op, types, type_, arg, mask, loop, bounds, views)
    return found


def through(sig: Signature, views: tuple[Affine | None, ...]) -> Signature:
    """`sig` whose array operands are read through `views` (None: whole); its types are those of the views."""
    if all(v is None for v in views):
        return sig
    return _signature(sig.op, sig.types, sig.type, sig.arg, sig.mask, sig.loop, sig.bounds, views)


def _resolvable(x: Operand) -> Any:
    if isinstance(x, ArrayType):
        return x.dtype
    return _WEAK.get(x) or np.dtype(x)


def broadcast_types(types: tuple[ArrayType, ...]) -> tuple[int, ...]:
    """The common shape of operands; ValueError with NumPy's text when there is none."""
    first = types[0].shape
    if all(t.shape == first for t in types):
        return first
    try:
        return np.broadcast_shapes(*(t.shape for t in types))
    except ValueError:
        shapes = " ".join(str(t.shape).replace(" ", "") for t in types)
        raise ValueError(f"operands could not be broadcast together with shapes {shapes} ") from None


def int_bounds(dtype: np.dtype) -> tuple[int, int] | None:
    """Inclusive range of an integer dtype, else None."""
    if dtype.kind not in "iu":
        return None
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _resolve(
    op: Op, operands: tuple[Operand, ...], dtype: np.dtype | None, casting: Casting
) -> tuple[np.dtype, ...]:
    """Loop dtypes: one per operand, then the result's."""
    given = tuple(_resolvable(x) for x in operands)
    if op.ufunc is not None:
        request = (*given, None)
        if dtype is None:
            return op.ufunc.resolve_dtypes(request, casting=casting)
        return op.ufunc.resolve_dtypes(request, signature=(*(None for _ in operands), dtype), casting=casting)
    if op.name == "where":
        common = np.result_type(*(g(0) if isinstance(g, type) else g for g in given[1:]))
        return (dtypes.BOOL, common, common, common)
    if op.name in ("real", "imag"):
        real = np.empty(0, given[0]).real.dtype
        return (given[0], real)
    if op.name == "complex":
        return (given[0], given[1], np.result_type(given[0], np.complex64))
    if op.name in ("erf", "erfc", "rsqrt", "rsqrt3"):
        loop = np.sqrt.resolve_dtypes((given[0], None))[0]
        return (loop, loop)
    raise TypeError(f"no dtype rule for {op.name}")


def map_signature(
    op: Op, operands: tuple[Operand, ...], dtype: np.dtype | None = None, casting: Casting = "same_kind"
) -> Signature:
    """Signature of elementwise `op`; at least one operand must be an array type.

    Raises NumPy's errors for incompatible shapes and dtypes, and `Unsupported` when a loop dtype is outside
    `KERNEL_DTYPES`.
    """
    loop = _resolve(op, operands, dtype, casting)
    if not all(dtypes.is_supported(d) for d in loop):
        raise Unsupported(f"{op.name} has no graph form for {loop}")
    loop = tuple(dtypes.canonical(d) for d in loop)
    types = tuple(x for x in operands if isinstance(x, ArrayType))
    mask = sum(1 << k for k, x in enumerate(operands) if not isinstance(x, ArrayType))
    bounds = None
    for k, x in enumerate(operands):
        if x is int:
            bounds = int_bounds(loop[k])
    return _signature(op, types, array_type(broadcast_types(types), loop[-1]), None, mask, loop[:-1], bounds)


def count_signature(total: ArrayType, count: Hashable) -> Signature:
    """`total / count` in total's own inexact dtype, where `count` follows from shapes alone (a mean's number of elements): equal
    counts are one value of the graph, so that a mean and a variance share their sums. The count is a scalar of the run."""
    loop = (total.dtype, total.dtype)
    return _signature(OPS["divide"], (total,), total, count, 2, loop)


def user_signature(types: tuple[ArrayType, ...], symbol: str, loop: np.dtype, result: np.dtype) -> Signature:
    """A user's compiled scalar function, elementwise; its operands are all cast to `loop`."""
    shape = broadcast_types(types)
    return _signature(OPS["user"], types, array_type(shape, result), symbol, 0, tuple(loop for _ in types))


def cast_signature(source: ArrayType, dtype: np.dtype) -> Signature:
    """`astype(dtype)`, unsafe casting; the caller checks the casting rule."""
    return _signature(OPS["cast"], (source,), array_type(source.shape, dtype), None, 0, (source.dtype,))


def move_signature(source: ArrayType, view: Affine) -> Signature:
    """Reading `view` of an array."""
    return _signature(OPS["move"], (source,), array_type(view.shape, source.dtype), view)


def reshape_signature(source: ArrayType, shape: tuple[int, ...]) -> Signature:
    """C-order reshape; sizes must agree."""
    target = array_type(shape, source.dtype)
    if target.size != source.size:
        raise ValueError(f"cannot reshape array of size {source.size} into shape {shape}")
    return _signature(OPS["reshape"], (source,), target)


def bitcast_signature(source: ArrayType, dtype: np.dtype) -> Signature:
    """Reinterpret the bytes under a dtype of the same item size."""
    return _signature(OPS["bitcast"], (source,), array_type(source.shape, dtype))


def update_signature(old: ArrayType, value: Operand, view: Affine) -> Signature:
    """The array `old` with `view` of it replaced by `value` (cast to old's dtype, broadcast to the view's shape)."""
    if isinstance(value, ArrayType):
        return _signature(OPS["update"], (old, value), old, view, 0, (old.dtype, old.dtype))
    bounds = int_bounds(old.dtype) if value is int else None
    return _signature(OPS["update"], (old,), old, view, 2, (old.dtype, old.dtype), bounds)


def reduce_signature(op: Op, source: ArrayType, axes: tuple[int, ...], loop: np.dtype) -> Signature:
    """Reduce `axes` (sorted, non-negative) of `source` in dtype `loop`; the axes are dropped."""
    shape = tuple(n for d, n in enumerate(source.shape) if d not in axes)
    result = dtypes.INT64 if op.combine in ("argmax", "argmin") else loop
    return _signature(op, (source,), array_type(shape, result), axes, 0, (loop,))


def scan_signature(op: Op, source: ArrayType, axis: int, loop: np.dtype) -> Signature:
    """Running reduction along `axis` in dtype `loop`."""
    return _signature(op, (source,), array_type(source.shape, loop), axis, 0, (loop,))


def full_signature(shape: tuple[int, ...], dtype: np.dtype) -> Signature:
    """An array of `shape` filled with a run-time scalar."""
    return _signature(OPS["full"], (), array_type(shape, dtype), None, 1, (dtype,), int_bounds(dtype))


def generate_signature(name: str, shape: tuple[int, ...], dtype: np.dtype, arg: Hashable = None) -> Signature:
    """A generator without operands ('empty', 'index')."""
    return _signature(OPS[name], (), array_type(shape, dtype), arg)


def random_signature(shape: tuple[int, ...]) -> Signature:
    """Counter-based uniform doubles in [0, 1): element i of the C-order index space uses counter + i."""
    u8 = np.dtype(np.uint64)
    return _signature(OPS["random"], (), array_type(shape, dtypes.FLOAT64), None, 3, (u8, u8))


def call_signature(types: tuple[ArrayType, ...], result: ArrayType, spec: Hashable) -> Signature:
    """A library call with one result; `spec` is a `CallSpec`."""
    return _signature(OPS["call"], types, result, spec)


def item_signature(call: ArrayType, result: ArrayType, k: int) -> Signature:
    """The k-th result of a call that has several."""
    return _signature(OPS["item"], (call,), result, k)


def task_signature(
    types: tuple[ArrayType, ...], views: tuple[Affine | None, ...], arg: Hashable, token: ArrayType
) -> Signature:
    """A launch of user code: `arg` is a `TaskArg`, `types` are its sources; the launch itself is one more, scalar operand."""
    return _signature(OPS["task"], types, token, arg, 1 << len(types), _one_slot(len(types)), None, views)


def _one_slot(arrays: int) -> tuple[np.dtype, ...]:
    """Loop dtypes of a signature whose last operand is a scalar of int64 and whose other operands have none."""
    return (dtypes.INT64,) * (arrays + 1)


def normalize_axis(axis: Any, ndim: int) -> int:
    """A non-negative axis; AxisError as NumPy."""
    k = operator.index(axis)
    if not -ndim <= k < ndim:
        raise np.exceptions.AxisError(k, ndim)
    return k % ndim
