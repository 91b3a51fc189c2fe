"""Reductions: axes, dtypes, keepdims, initial, where and out as NumPy's, recorded as REDUCE nodes.

Knows the reduction ops of the graph and NumPy's rules; the functions users call are in `_ufunc` and `_reductions`.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from cupynumeric import _at_once, _calls, _elementwise, _instant, _windows
from cupynumeric._array import SCALAR, Ours, ndarray, value, wrap
from cupynumeric._caller import warn_of_lost_parts
from cupynumeric._indexing import reshaped
from cupynumeric._shape import cast
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import OPS, REDUCERS

NO_VALUE: Any = np._NoValue

#: the other way round
OF_UFUNC = {f.__name__: name for name, f in REDUCERS.items()}

_cache: dict[Any, tuple[Signature, tuple[int, ...]]] = {}


class HostOnly(TypeError):
    """The reduction exists in NumPy but not in the graph."""


def normalize_axes(axis: Any, ndim: int, strict: bool = False) -> tuple[int, ...]:
    """Sorted non-negative axes; AxisError, TypeError and ValueError as NumPy.

    Unless `strict`, a 0-d array has an axis 0 (as in ufunc.reduce, but not in mean or var).
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    if not strict and ndim == 0 and len(given) == 1 and operator.index(given[0]) in (0, -1):
        return ()
    axes = tuple(infer.normalize_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(axes))


def loop_dtype(name: str, source: np.dtype, dtype: np.dtype | None) -> np.dtype:
    """The dtype NumPy reduces `source` in; its TypeError when there is no such loop."""
    loops = REDUCERS[name].resolve_dtypes(
        (None, source, None), signature=(dtype, None, None), casting="unsafe", reduction=True
    )
    loop = loops[1]
    if not dtypes.is_supported(loop) or loops[2] != loop:
        raise HostOnly(name)
    return dtypes.canonical(loop)


def unit_axes(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced axes kept at extent 1."""
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def extent(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements each result combines."""
    n = 1
    for d in axes:
        n *= shape[d]
    return n


def _signature(name: str, a: ndarray, axis: Any, dtype: Any) -> tuple[Signature, tuple[int, ...]]:
    if axis is not None and axis.__class__ is not int:
        axis = tuple(operator.index(d) for d in axis) if isinstance(axis, tuple) else operator.index(axis)
    key = (name, a._key, axis, dtype)
    found = _cache.get(key)
    if found is None:
        axes = normalize_axes(axis, a._type.ndim)
        loop = loop_dtype(name, a._type.dtype, None if dtype is None else np.dtype(dtype))
        sig = infer.reduce_signature(OPS[name], a._type, axes, loop)
        if a._lens is not None and a._lens.view is not None:
            sig = infer.through(sig, (a._lens.view,))
        found = sig, axes
        if a._lens is None or a._lens.view is not None:
            _cache[key] = found
    return found


def with_out(ufunc: np.ufunc, source: np.dtype, out: np.dtype) -> np.dtype:
    """The dtype NumPy accumulates in when the result goes to an array of dtype `out`."""
    return ufunc.resolve_dtypes((out, source, None))[-1]


def reduce(
    name: str,
    a: ndarray,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """Reduce with op `name` (a key of REDUCERS). Raises `HostOnly` where the graph has no such reduction."""
    if dtype is None and isinstance(out, Ours) and name in ("sum", "prod"):
        dtype = with_out(REDUCERS[name], a._type.dtype, out.dtype)
    sig, axes = _signature(name, a, axis, dtype)
    if dtype is not None:
        warn_of_lost_parts(a._type.dtype, sig.loop[0])
    if (
        sig.at_once
        and a._store.value is None
        and out is None
        and initial is where is NO_VALUE
        and _dropped(keepdims)
    ):
        found = _at_once.reduced(REDUCERS[name], a, axes, sig.loop[0])
        if found is not None:
            return found
    a_type = a._type
    if where is not True and where is not NO_VALUE:
        a = _masked(name, a, where, initial, sig.loop[0])
        done = _record(infer.reduce_signature(OPS[name], a._type, axes, sig.loop[0]), value(a))
    elif extent(a_type.shape, axes) == 0:
        done = _of_nothing(name, sig, initial)
    else:
        plain = a._lens is None or a._lens.view is not None
        folded = None if plain else _folded(name, sig, a, axes)
        done = _record(sig, _elementwise.source(a)) if folded is None else folded
    if initial is not NO_VALUE and initial is not None and extent(a_type.shape, axes):
        start = np.asarray(initial).astype(sig.loop[0])[()]
        done = _elementwise.call(OPS[OPS[name].combine], (start, done))
    if keepdims is not False and keepdims is not NO_VALUE and keepdims:
        done._locked = False  # an array, not a scalar
        done = reshaped(done, unit_axes(a_type.shape, axes))
    if out is None:
        return done
    return _deliver(done, out, name, a_type, axes)


def _folded(name: str, sig: Signature, a: ndarray, axes: tuple[int, ...]) -> Any:
    """The reduction of an array of windows, of which none is made; None for other arrays."""
    found = _windows.folded(name, a, axes, sig.loop[0])
    if found is None:
        return None
    done, count = found
    rest = tuple([d for d in axes if d < a._type.ndim - count])
    return reduce(name, done, rest, sig.loop[0]) if rest else cast(done, sig.type.dtype)


def _dropped(keepdims: Any) -> bool:
    """Whether reduced axes go, as without the argument."""
    return keepdims is NO_VALUE or not keepdims


def _record(sig: Signature, source: int) -> ndarray:
    return wrap(runtime.new_store(runtime.record(sig, source), sig.type), None, not sig.type.shape and SCALAR)


def _deliver(done: ndarray, out: Any, name: str, source: ArrayType, axes: tuple[int, ...]) -> Any:
    if isinstance(out, tuple):
        (out,) = out
    if out.shape != done.shape:
        hollow = np.broadcast_to(np.zeros((), source.dtype), source.shape)
        # NumPy words its refusal.
        REDUCERS[name].reduce(
            hollow, axes, out=np.empty(out.shape, out.dtype), keepdims=done.ndim == source.ndim
        )
    return _calls.deliver(done, out)


def _identity(name: str, loop: np.dtype) -> Any:
    """The value that leaves a combination as it is, as a NumPy scalar; ValueError when there is none."""
    identity = REDUCERS[name].identity
    if identity is None:
        raise ValueError(
            f"zero-size array to reduction operation {REDUCERS[name].__name__} which has no identity"
        )
    return np.asarray(identity).astype(loop)[()]


def _of_nothing(name: str, sig: Signature, initial: Any) -> ndarray:
    from cupynumeric._creation import full

    if initial is NO_VALUE:
        start = _identity(name, sig.loop[0])
    elif initial is None:
        raise ValueError(
            f"zero-size array to reduction operation {REDUCERS[name].__name__} which has no identity"
        )
    else:
        start = np.asarray(initial).astype(sig.loop[0])[()]
    return full(sig.type.shape, start, sig.type.dtype)  # type: ignore[no-any-return]


def _masked(name: str, a: ndarray, where: Any, initial: Any, loop: np.dtype) -> ndarray:
    """`a` with what the mask hides replaced by a value that changes nothing."""
    if initial is NO_VALUE or initial is None:
        identity = REDUCERS[name].identity
        if identity is None or initial is None:
            raise ValueError(
                f"reduction operation '{REDUCERS[name].__name__}' does not have an identity, "
                "so to use a where mask one has to specify 'initial'"
            )
        start = np.asarray(identity).astype(loop)[()]
    elif name in ("sum", "prod", "bitwise_xor_reduce"):
        start = _identity(name, loop)
    else:
        start = np.asarray(initial).astype(loop)[()]
    mask = _calls.lift(where)
    if mask.dtype != dtypes.BOOL:
        raise TypeError(
            f"Cannot cast array data from {mask.dtype!r} to dtype('bool') according to the rule 'safe'"
        )
    return _elementwise.call(OPS["where"], (mask, _calls.cast(a, loop), start))  # type: ignore[no-any-return]


def arg_extremum(name: str, a: ndarray, axis: Any, out: Any, keepdims: Any) -> Any:
    """`argmax` or `argmin`: along one axis, or of the flattened array."""
    ndim = a._type.ndim
    if axis is not None:
        axis = operator.index(axis)
        infer.normalize_axis(axis, max(ndim, 1))
    axes = normalize_axes(axis, ndim)
    if extent(a._type.shape, axes) == 0:
        raise ValueError(f"attempt to get {name} of an empty sequence")
    if axes:
        sig = infer.reduce_signature(OPS[name], a._type, axes, a._type.dtype)
        if sig.at_once and a._store.value is None and out is None and _dropped(keepdims):
            host = _instant.host_of(a)
            if host is not None:
                return _instant.made(getattr(host, name)(axis))
        done = _record(sig, value(a))
    else:
        from cupynumeric._creation import full

        done = full((), 0, dtypes.INT64)
    if keepdims is not NO_VALUE and keepdims:
        done = reshaped(done, unit_axes(a._type.shape, axes))
    if out is None:
        return done
    if out.shape != done.shape:
        raise ValueError(f"output array does not match result of np.{name}.")
    return _calls.deliver(done, out, "same_kind")


def scan(name: str, a: ndarray, axis: Any, dtype: Any, out: Any) -> Any:
    """Running `cumsum` or `cumprod` along `axis` (None: of the flattened array)."""
    ufunc = np.add if name == "cumsum" else np.multiply
    if axis is None:
        if a._type.ndim != 1:
            a = a.reshape(-1)
        axis = 0
    axis = infer.normalize_axis(axis, max(a._type.ndim, 1))
    if dtype is None and out is not None:
        dtype = with_out(ufunc, a._type.dtype, out.dtype)
    if dtype is not None and a._type.dtype.kind == "c":
        a = cast(a, dtypes.canonical(np.dtype(dtype)))
    loop = _scan_dtype(ufunc, a._type.dtype, None if dtype is None else np.dtype(dtype))
    if not dtypes.is_supported(loop):
        raise HostOnly(name)
    if a._type.ndim == 0:
        a = a.reshape(1)
    sig = infer.scan_signature(OPS[name], a._type, axis, dtypes.canonical(loop))
    done = _calls.computed(sig, a)
    return _calls.deliver(_record(sig, value(a)) if done is None else done, out)


@functools.cache
def _scan_dtype(ufunc: np.ufunc, source: np.dtype, wanted: np.dtype | None) -> np.dtype:
    """The dtype NumPy accumulates in."""
    return ufunc.resolve_dtypes((None, source, None), signature=(wanted, None, None), reduction=True)[1]
