"""`Runtime`: what programs ask Legate for. Stores, copies, tasks, libraries, fences, the machine, profiling, the end.

A thin front: each method checks its arguments and hands them to the room that does the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from legate.core import _copies, _library, _shutdown
from legate.core._attach import attach_buffer, attach_tiles
from legate.core._auto_task import AutoTask
from legate.core._config import Config, RealmConfig, config, realm_config
from legate.core._enums import LEGATE_MAX_DIM
from legate.core._external import ExternalAllocation
from legate.core._library import Library
from legate.core._machine import Machine, get_machine
from legate.core._manual_task import ManualTask
from legate.core._options import ResourceConfig
from legate.core._partition import LogicalStorePartition
from legate.core._scalar import Scalar
from legate.core._scope import forbid_in_streaming
from legate.core._shape import DimOrdering, Shape
from legate.core._store import LogicalStore, Root, carried, carrier_type, fixed_dtype
from legate.core.types import ReductionOpKind, Type
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.running import locking

__all__ = ["Runtime", "get_legate_runtime"]

ShapeLike = Shape | Iterable[int]
Redop = ReductionOpKind | int | None


class Runtime:
    """The one runtime of the process; `get_legate_runtime` gives it."""

    __slots__ = ("__weakref__",)

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    # -- libraries and tasks --

    def find_library(self, library_name: str) -> Library:
        """The library of that name. ValueError if there is none."""
        return _library.find_library(library_name)

    def find_or_create_library(
        self, library_name: str, config: ResourceConfig | None = None, default_options: Any = None
    ) -> tuple[Library, bool]:
        """The library of that name, and whether it was created now."""
        return _library.find_or_create_library(library_name, config, default_options)

    def create_library(
        self, library_name: str, config: ResourceConfig | None = None, default_options: Any = None
    ) -> Library:
        """A new library. ValueError if there is one of that name."""
        return _library.create_library(library_name, config, default_options)

    @property
    def core_library(self) -> Library:
        """The library that tasks belong to when nothing else is said."""
        return _library.core_library()

    def create_auto_task(self, library: Library, task_id: int) -> AutoTask:
        """A launch of a registered task; the runtime finds its partition."""
        return AutoTask._make(library, task_id)

    def create_manual_task(
        self,
        library: Library,
        task_id: int,
        launch_shape: Iterable[int],
        lower_bounds: Iterable[int] | None = None,
    ) -> ManualTask:
        """A launch of a registered task over the points from `lower_bounds` (zeros) up to, but without, `launch_shape`.

        ValueError if one of them is no iterable, if they differ in length, or for a launch without points.
        """
        if not isinstance(launch_shape, Iterable):
            raise ValueError("Launch space must be iterable")
        if lower_bounds is not None and not isinstance(lower_bounds, Iterable):
            raise ValueError("Lower bounds must be iterable")
        shape = tuple(as_int(n) for n in launch_shape)
        lower = None if lower_bounds is None else tuple(as_int(n) for n in lower_bounds)
        if lower is not None:
            if len(lower) != len(shape):
                raise ValueError(f"Lower bounds {lower} and launch shape {shape} differ in length")
            shape = tuple(n - lo for n, lo in zip(shape, lower, strict=True))
        if not shape or min(shape) < 1:
            raise ValueError("Launch domain must not be empty")
        return ManualTask._make(library, task_id, shape, lower)

    def submit(self, task: AutoTask | ManualTask) -> None:
        """Launch a task. TypeError for anything else."""
        if not isinstance(task, AutoTask | ManualTask):
            raise TypeError(f"Unknown type of operation: {type(task)}")
        task.execute()

    # -- copies --

    def issue_copy(self, target: LogicalStore, source: LogicalStore, redop: Redop = None) -> None:
        """Copy one store to another of the same type and extents, or reduce it into the other.

        ValueError for stores that do not fit, and for a reduction the type does not have; so do the other copies.
        """
        _copies.copy(target, source, redop)

    def issue_gather(
        self, target: LogicalStore, source: LogicalStore, source_indirect: LogicalStore, redop: Redop = None
    ) -> None:
        """`target[i] = source[source_indirect[i]]`; indirections hold points, or integers where points have one axis."""
        _copies.gather(target, source, source_indirect, redop)

    def issue_scatter(
        self, target: LogicalStore, target_indirect: LogicalStore, source: LogicalStore, redop: Redop = None
    ) -> None:
        """`target[target_indirect[i]] = source[i]`."""
        _copies.scatter(target, target_indirect, source, redop)

    def issue_scatter_gather(
        self,
        target: LogicalStore,
        target_indirect: LogicalStore,
        source: LogicalStore,
        source_indirect: LogicalStore,
        redop: Redop = None,
    ) -> None:
        """`target[target_indirect[i]] = source[source_indirect[i]]`."""
        _copies.scatter_gather(target, target_indirect, source, source_indirect, redop)

    def issue_fill(self, lhs: LogicalStore, value: Any) -> None:
        """Set every element to a Python value, a `Scalar` or what a store of scalar storage holds."""
        _copies.fill(lhs, value)

    def tree_reduce(
        self, library: Library, task_id: int, store: LogicalStore, radix: int = 4
    ) -> LogicalStore:
        """Reduce a store of one axis by a task that makes one unbound output of up to `radix` inputs, until one is left.

        The first inputs are the parts of the store, one per processor. RuntimeError for a store of several axes.
        """
        if store.ndim != 1:
            raise RuntimeError(
                f"Multi-dimensional stores are not supported and got input store of shape {store.shape}"
            )
        if as_int(radix) < 2:
            raise ValueError(f"radix must be at least 2, not {radix}")
        count = max(1, min(len(get_machine()), store.volume))
        tiles = store.partition_by_tiling((max(1, -(-store.volume // count)),))
        parts = [tiles.get_child_store(k) for k in range(tiles.color_shape[0])] or [store]
        while True:
            groups = [parts[k : k + radix] for k in range(0, len(parts), radix)]
            parts = [self._reduced(library, task_id, group, store.type) for group in groups]
            if len(parts) == 1:
                return parts[0]

    def _reduced(
        self, library: Library, task_id: int, group: Sequence[LogicalStore], type_: Type
    ) -> LogicalStore:
        result = LogicalStore._unbound(type_, 1)
        task = self.create_auto_task(library, task_id)
        for part in group:
            task.add_input(part)
            task.add_broadcast(part)
        task.add_output(result)
        task.execute()
        return result

    # -- stores --

    def create_store(
        self,
        dtype: Type,
        shape: ShapeLike | None = None,
        optimize_scalar: bool = False,
        ndim: int | None = None,
    ) -> LogicalStore:
        """A store with undefined contents. Without a shape: an unbound store of `ndim` axes (1), which a task will fill.

        ValueError for types whose values differ in size, and for both shape and ndim; IndexError for too many axes.
        """
        element = fixed_dtype(_type(dtype))
        if shape is None:
            axes = 1 if ndim is None else as_int(ndim)
            _check_axes(axes)
            return LogicalStore._unbound(dtype, axes)
        if ndim is not None:
            raise ValueError("ndim cannot be used with shape")
        type_ = carrier_type(element, _extents(shape))
        value = runtime.record(infer.generate_signature("empty", type_.shape, type_.dtype))
        store = runtime.new_store(value, type_)
        root = Root(None, optimize_scalar and math.prod(_extents(shape)) == 1)
        return LogicalStore._wrap(store, None, _carried_type(dtype, element), root)

    def create_store_from_scalar(self, scalar: Scalar, shape: ShapeLike | None = None) -> LogicalStore:
        """A store of one element, in `shape` (one axis). ValueError for other volumes and for types without a fixed size."""
        element = fixed_dtype(scalar.type)
        extents = (1,) if shape is None else _extents(shape)
        if math.prod(extents) != 1:
            raise ValueError(
                "Scalar stores must have a shape of volume 1, instead got shape "
                f"{list(extents)} of volume {math.prod(extents)}"
            )
        words = carried(np.array(scalar, order="C"), element)
        store = runtime.from_host(words.reshape(carrier_type(element, extents).shape))
        return LogicalStore._wrap(store, None, _carried_type(scalar.type, element), Root(None, True))

    def create_store_from_buffer(
        self,
        dtype: Type,
        shape: ShapeLike,
        data: object,
        read_only: bool,
        ordering: DimOrdering | None = None,
    ) -> LogicalStore:
        """A store on the memory of `data`, an object with the buffer protocol, whose elements lie in `ordering` (C order).

        Unless it is read-only, what tasks, copies and fills write to the store is in the buffer when their call returns (they
        are computed at once), and what array operations write after a fence and after `LogicalStore.detach`. Until it is
        detached, the program must not change the buffer. ValueError for a buffer that is too small or not contiguous.
        """
        return attach_buffer(_type(dtype), _extents(shape), data, bool(read_only), _ordering(ordering))

    def create_store_from_tiles(
        self,
        dtype: Type,
        shape: ShapeLike,
        tile_shape: Iterable[int],
        allocations: Iterable[tuple[ExternalAllocation, Iterable[int]]],
        ordering: DimOrdering | None = None,
    ) -> tuple[LogicalStore, LogicalStorePartition]:
        """A store of the tiles that lie in the given read-only allocations, each with its color; and its partition.

        ValueError for allocations that are writable or too small and for colors that are given twice or do not exist.
        """
        tile = tuple(as_int(n) for n in tile_shape)
        return attach_tiles(_type(dtype), _extents(shape), tile, list(allocations), _ordering(ordering))

    def prefetch_bloated_instances(
        self,
        store: LogicalStore,
        low_offsets: Sequence[int],
        high_offsets: Sequence[int],
        initialize: bool = False,
    ) -> None:
        """Say that tasks will read parts of the store with margins. Nothing has to be done: parts are views of one array."""
        for offsets in (low_offsets, high_offsets):
            if len(tuple(offsets)) != store.ndim:
                raise ValueError(
                    f"Incompatible offsets: expected a {store.ndim}-tuple, got a {len(tuple(offsets))}-tuple"
                )

    # names of the time when stores were wrapped in arrays

    def create_array(
        self,
        dtype: Type,
        shape: ShapeLike | None = None,
        nullable: bool = False,
        optimize_scalar: bool = False,
        ndim: int | None = None,
    ) -> LogicalStore:
        """`create_store`. NotImplementedError for nullable arrays."""
        if nullable:
            raise NotImplementedError("nullable arrays are not supported")
        return self.create_store(dtype, shape, optimize_scalar, ndim)

    def create_array_like(self, array: LogicalStore, dtype: Type | None = None) -> LogicalStore:
        """A store of the extents, and by default the type, of another."""
        dtype = array.type if dtype is None else dtype
        if array.unbound:
            return self.create_store(dtype, ndim=array.ndim)
        return self.create_store(dtype, array.extents)

    def create_struct_array(self, *_: object, **__: object) -> LogicalStore:
        """NotImplementedError: structures are stored element by element; use a store of a struct type."""
        raise NotImplementedError(
            "struct arrays are not supported; use create_store with a struct type, whose elements are whole structures"
        )

    # -- fences --

    def issue_mapping_fence(self) -> None:
        """Nothing mapped later is mapped before what was recorded: true of every program here."""

    def issue_execution_fence(self, block: bool = False) -> None:
        """All operations before it end before any after it begins. `block`: they have ended when it returns.

        ValueError inside a streaming scope. Blocking raises what an operation raised.
        """
        forbid_in_streaming()
        if block:
            runtime.fence()
        else:
            runtime.mark(_nothing)

    # -- the machine and the process --

    @property
    def node_count(self) -> int:
        """Number of processes."""
        return 1

    @property
    def node_id(self) -> int:
        """This process's number."""
        return 0

    def get_machine(self) -> Machine:
        """The machine of the current scope."""
        return get_machine()

    @property
    def machine(self) -> Machine:
        """The machine of the current scope."""
        return get_machine()

    def finish(self) -> None:
        """Run everything, then the shutdown callbacks."""
        _shutdown.finish()

    def add_shutdown_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the program ends without a crash; the last one added first."""
        _shutdown.add_shutdown_callback(callback)

    def start_profiling_range(self) -> None:
        """Begin a range that `stop_profiling_range` names."""
        _ranges.append("")

    def stop_profiling_range(self, provenance: str) -> None:
        """End the range begun last. RuntimeError if none was begun."""
        if not _ranges:
            raise RuntimeError("stop_profiling_range without start_profiling_range")
        _ranges.pop()

    def config(self) -> Config:
        """What was configured."""
        return config()

    def realm_config(self) -> RealmConfig:
        """The processors and memories that were configured."""
        return realm_config()


_ranges: list[str] = []


def _nothing() -> None:
    """What happens at a fence that does not block."""


def _type(dtype: Type) -> Type:
    if not isinstance(dtype, Type):
        raise TypeError(f"expected a Legate type, got {type(dtype)}")
    return dtype


def _carried_type(type_: Type, element: np.dtype) -> Type | None:
    """The type a store has to remember: one that the engine does not know."""
    return None if dtypes.is_supported(element) and type_.is_primitive else type_


def _extents(shape: ShapeLike) -> tuple[int, ...]:
    extents = Shape(shape).extents
    _check_axes(len(extents))
    return extents


def _check_axes(n: int) -> None:
    if n > LEGATE_MAX_DIM:
        raise IndexError(f"The maximum number of dimensions is {LEGATE_MAX_DIM}, but got {n}")


def _ordering(ordering: DimOrdering | None) -> DimOrdering:
    if ordering is None:
        return DimOrdering.c_order()
    if not isinstance(ordering, DimOrdering):
        raise TypeError(f"ordering must be a DimOrdering instance, got {type(ordering)}")
    return ordering


def _take_turns() -> None:
    """In a program of several threads, what records or runs holds the engine's lock. What bodies call must not."""
    for name in (
        "issue_copy",
        "issue_gather",
        "issue_scatter",
        "issue_scatter_gather",
        "issue_fill",
        "issue_execution_fence",
        "tree_reduce",
        "create_store",
        "create_store_from_scalar",
        "create_store_from_buffer",
        "create_store_from_tiles",
    ):
        setattr(Runtime, name, locking.guarded(getattr(Runtime, name)))
    for name in ("_bound", "get_physical_store", "get_physical_array", "detach"):
        setattr(LogicalStore, name, locking.guarded(getattr(LogicalStore, name)))


locking.when_shared(_take_turns)
_runtime: Runtime = object.__new__(Runtime)


def get_legate_runtime() -> Runtime:
    """The runtime of the process."""
    return _runtime
