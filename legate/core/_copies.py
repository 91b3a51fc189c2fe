"""Copies between stores: whole, gathered, scattered, with or without a reduction; and fills. All of them are recorded.

Whole copies and fills are the engine's own instructions; the others run NumPy in a launch of their own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate.core._enums import TaskTarget
from legate.core._machine import get_machine
from legate.core._scalar import Scalar
from legate.core._store import LogicalStore, carried
from legate.core.types import FixedArrayType, ReductionOpKind, Type, TypeCode
from legate_jit import hosting, runtime, tasks
from legate_jit.ir import index, infer
from legate_jit.ir.index import Affine
from legate_jit.ir.ops import OPS
from legate_jit.ir.tasks.partition import Align, Box, Broadcast
from legate_jit.store import Lens, extend
from legate_jit.tasks import Launch, TaskSpec

__all__ = ["copy", "fill", "gather", "scatter", "scatter_gather"]

_NAMES = {
    ReductionOpKind.ADD: "add",
    ReductionOpKind.MUL: "multiply",
    ReductionOpKind.MAX: "maximum",
    ReductionOpKind.MIN: "minimum",
    ReductionOpKind.OR: "bitwise_or",
    ReductionOpKind.AND: "bitwise_and",
    ReductionOpKind.XOR: "bitwise_xor",
}


def reduction(type_: Type, redop: ReductionOpKind | int | None) -> str | None:
    """The name of NumPy's ufunc for a reduction, given by its kind or by its number among those of the type.

    ValueError if values of the type cannot be reduced with it.
    """
    if redop is None:
        return None
    number = int(redop)
    for kind, name in _NAMES.items():
        if number == kind or number == int(type_.code) << 8 | kind:
            type_.identity(kind)
            return name
    raise ValueError(f"Reduction op {number} does not exist for type {type_}")


# ---- whole stores -------------------------------------------------------------------------------------------------


def copy(target: LogicalStore, source: LogicalStore, redop: ReductionOpKind | int | None) -> None:
    """Set every element of `target` to that of `source`, or to the reduction of both."""
    _bound("Copy", target, source)
    if target.type != source.type:
        raise ValueError("Source and target must have the same type")
    _aligned(target, source)
    name = reduction(target.type, redop)
    to = target._bound()
    value = runtime.read(source._bound(), source._lens)
    type_ = target._shown
    if name is not None:
        sig = infer.map_signature(OPS[name], (type_, type_))
        value = runtime.record(sig, runtime.read(to, target._lens), value)
    runtime.write(to, _writable(target), value, type_)
    hosting.publish()


def _bound(what: str, *stores: LogicalStore) -> None:
    if any(s.unbound for s in stores):
        raise ValueError(f"{what} accepts only normal, untransformed, region-backed stores")


def _aligned(first: LogicalStore, second: LogicalStore) -> None:
    if first.extents != second.extents:
        raise ValueError(
            "Alignment requires the stores to have the same shape, "
            f"but found {first.extents} and {second.extents}"
        )


def _writable(store: LogicalStore) -> Lens | None:
    lens = store._lens
    if lens is not None and not lens.writable:
        raise ValueError("The target of a copy must not have repeated elements")
    return lens


def fill(target: LogicalStore, value: Any) -> None:
    """Set every element of `target` to a Python value, a `Scalar`, or what a store of scalar storage holds."""
    _fill(target, value)
    hosting.publish()


def _fill(target: LogicalStore, value: Any) -> None:
    if target.unbound:
        raise ValueError("Fill lhs cannot be an unbound store")
    if isinstance(value, LogicalStore):
        _fill_from(target, value)
        return
    if value is None or (isinstance(value, Scalar) and value.type.code is TypeCode.NIL):
        raise ValueError("Non-nullable arrays cannot be filled with null")
    dtype = target._dtype
    if isinstance(value, Scalar):
        if value.type != target.type:
            raise ValueError("Fill value and target must have the same type")
    elif not _plain(value, dtype):
        value = Scalar(value, target.type)
    if isinstance(value, Scalar):
        if target._type is not None:
            _assign(target, carried(np.array(value, order="C"), dtype))
            return
        value = np.array(value).reshape(())[()]
    to = target._bound()
    lens = target._lens
    if target.volume == 0:
        return
    if lens is not None and lens.view is None and not lens.writable:
        # repeated elements behind a reshape: no instruction writes those, the memory can be written
        np.asarray(target.get_physical_store())[...] = value
        return
    lens = _once(target)
    view = index.identity(to.type.shape) if lens is None else lens.view
    if view is None:
        shown = target._shown
        one = runtime.record(infer.full_signature(shown.shape, shown.dtype), scalars=(value,))
        runtime.write(to, lens, one, shown)
        return
    sig = infer.update_signature(to.type, type(value), view)
    old = runtime.value_of(to)
    to.value = runtime.record(sig, old, scalars=(value,))


def _plain(value: Any, dtype: np.dtype) -> bool:
    """Whether the engine takes the number as it is."""
    if type(value) is int and dtype.kind in "iu":
        bounds = infer.int_bounds(dtype)
        return bounds is not None and bounds[0] <= value <= bounds[1]
    return type(value) is float and dtype.kind in "fc"


def _fill_from(target: LogicalStore, value: LogicalStore) -> None:
    if not value.has_scalar_storage:
        raise ValueError("Fill value should be a Future-backed scalar store")
    if value.type != target.type:
        raise ValueError("Fill value and target must have the same type")
    shown = value._shown
    number = runtime.read(value._bound(), value._lens)
    words = shown.shape[-1:] if value._words else ()
    if shown.shape != words:
        sig = infer.reshape_signature(shown, words)
        number, shown = runtime.record(sig, number), sig.type
    runtime.write(target._bound(), _once(target), number, shown)


def _assign(target: LogicalStore, words: np.ndarray) -> None:
    """Set every element of a store of carried elements to one value."""
    source = runtime.from_host(words)
    runtime.write(target._bound(), _once(target), runtime.value_of(source), source.type)


def _once(store: LogicalStore) -> Lens | None:
    """The store's lens with repeated elements left out."""
    lens = store._lens
    if lens is None or lens.writable or lens.view is None:
        return _writable(store)
    used = {axis for _, step, axis in lens.view.axes if axis >= 0 and step}
    shape = lens.type.shape
    short = tuple(n if d in used else min(n, 1) for d, n in enumerate(shape))
    axes = tuple((0, 1, d) if d in used else (0, 0, -1) for d in range(len(shape)))
    return extend(lens.base, lens, Affine(short, axes))


# ---- indirect copies ----------------------------------------------------------------------------------------------

Body = Callable[..., None]
_INSIDE = ("legate.core", "legate_jit")


class _Indirect(Launch):
    """A launch that moves elements to or from places that other elements name."""

    __slots__ = ("body",)

    def __init__(self, name: str, body: Body) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_INSIDE):
            frame = frame.f_back
        super().__init__(name, f"{frame.f_code.co_filename}:{frame.f_lineno}")
        self.body = body

    def point(
        self,
        index: tuple[int, ...],
        launch: tuple[int, ...],
        arrays: Sequence[np.ndarray],
        boxes: Sequence[Box],
    ) -> None:
        """Move the elements."""
        self.body(*arrays)

    def failed(self, error: BaseException, index: tuple[int, ...]) -> BaseException | None:
        """The error, saying where it comes from."""
        error.add_note(f"raised by {self.name}, called at {self.where}")
        return error


def _places(points: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Points (integers, or their coordinates along a last axis) as one index array per axis of `shape`."""
    n = len(shape)
    parts = (points,) if n == 1 else tuple(points[..., d] for d in range(n))
    for part, extent in zip(parts, shape, strict=True):
        if part.size and (part.min() < 0 or part.max() >= extent):
            bad = part[(part < 0) | (part >= extent)][0]
            raise IndexError(f"point coordinate {bad} is out of bounds [0, {extent})")
    return parts


def _combine(target: np.ndarray, values: np.ndarray, ufunc: Any) -> None:
    if ufunc is None:
        target[...] = values
    else:
        ufunc(target, values, out=target)


def _combine_at(target: np.ndarray, at: tuple[np.ndarray, ...], values: np.ndarray, ufunc: Any) -> None:
    if ufunc is None:
        target[at] = values
    else:
        ufunc.at(target, at, values)


def gather(
    target: LogicalStore, source: LogicalStore, source_indirect: LogicalStore, redop: Any = None
) -> None:
    """`target[i] = source[source_indirect[i]]`."""
    _same_type(target, source, "Gather", source_indirect)
    _points("Indirection", source_indirect, source.ndim)
    _aligned(target, source_indirect)
    ufunc = _ufunc(target, redop)
    shape = source.extents

    def body(to: np.ndarray, old: np.ndarray, points: np.ndarray) -> None:
        places = _places(points, shape)
        if ufunc is None and len(places) == 1 and to.flags.c_contiguous:
            np.take(old, places[0], axis=0, out=to, mode="clip")  # in bounds; this mode needs no buffer
        else:
            _combine(to, old[places], ufunc)

    alike = not target._words and not source_indirect._words
    _launch(
        _gather_spec(max(1, get_machine().count(TaskTarget.CPU)) if alike else 1),
        body,
        target,
        source,
        source_indirect,
    )


def scatter(
    target: LogicalStore, target_indirect: LogicalStore, source: LogicalStore, redop: Any = None
) -> None:
    """`target[target_indirect[i]] = source[i]`; without a reduction the last of several writes stays."""
    _same_type(target, source, "Scatter", target_indirect)
    _points("Indirection", target_indirect, target.ndim)
    _aligned(source, target_indirect)
    ufunc = _ufunc(target, redop)
    shape = target.extents

    def body(to: np.ndarray, values: np.ndarray, points: np.ndarray) -> None:
        _combine_at(to, _places(points, shape), values, ufunc)

    _launch(_SCATTER, body, target, source, target_indirect)


def scatter_gather(
    target: LogicalStore,
    target_indirect: LogicalStore,
    source: LogicalStore,
    source_indirect: LogicalStore,
    redop: Any = None,
) -> None:
    """`target[target_indirect[i]] = source[source_indirect[i]]`."""
    _same_type(target, source, "ScatterGather", target_indirect, source_indirect)
    _points("Source indirection", source_indirect, source.ndim)
    _points("Target indirection", target_indirect, target.ndim)
    _aligned(source_indirect, target_indirect)
    ufunc = _ufunc(target, redop)
    there, here = target.extents, source.extents

    def body(to: np.ndarray, old: np.ndarray, ends: np.ndarray, starts: np.ndarray) -> None:
        _combine_at(to, _places(ends, there), old[_places(starts, here)], ufunc)

    _launch(_SCATTER_GATHER, body, target, source, target_indirect, source_indirect)


def _same_type(target: LogicalStore, source: LogicalStore, what: str, *indirections: LogicalStore) -> None:
    _bound(what, target, source, *indirections)
    if target.type != source.type:
        raise ValueError("Source and targets must have the same type")
    _writable(target)


def _points(what: str, store: LogicalStore, ndim: int) -> None:
    """ValueError unless the store's elements are points of `ndim` coordinates."""
    type_: Type = store.type
    count = 1
    if isinstance(type_, FixedArrayType):
        count, type_ = type_.num_elements, type_.element_type
    if type_.code is not TypeCode.INT64 or count != ndim:
        raise ValueError(f"{what} store should contain {ndim}-D points")


def _ufunc(target: LogicalStore, redop: Any) -> Any:
    name = reduction(target.type, redop)
    return None if name is None else getattr(np, name)


#: elements below which a gather is not worth a second thread
_CHUNK = 1 << 16
#: in one point: where several elements go to one place, the last has to stay
_SCATTER = TaskSpec("scatter", ("output", "input", "input"))
_SCATTER_GATHER = TaskSpec("scatter_gather", ("output", "input", "input", "input"))


@functools.cache
def _gather_spec(pieces: int) -> TaskSpec:
    """Gathers in up to so many points; more than one only if target and indirection are cut alike."""
    constraints = (Align(0, 2), Broadcast(1, None)) if pieces > 1 else ()
    return TaskSpec("gather", ("output", "input", "input"), constraints, pieces, _CHUNK)


def _launch(spec: TaskSpec, body: Body, *stores: LogicalStore) -> None:
    """Record a launch whose first store is written. Inputs that are the target itself are copied before."""
    arguments = [(s._bound(), s._lens) for s in stores]
    target = arguments[0][0]
    for k, (store, lens) in enumerate(arguments[1:], 1):
        if store is target:
            value = runtime.read(store, lens)
            shown = store.type if lens is None else lens.type
            arguments[k] = (runtime.new_store(value, shown), None)
    tasks.launch(_Indirect(spec.name, body), spec, arguments)
    hosting.publish()
