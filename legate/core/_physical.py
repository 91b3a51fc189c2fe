"""`PhysicalStore`: elements in memory, as a task's body or the program sees them, and the allocations made in bodies.

Everything is a NumPy array underneath, shown without copying through the array interfaces and DLPack. Knows no tasks: unbound
outputs give what is bound to them to a sink.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index as as_int
from typing import Any, NoReturn, Protocol

import numpy as np

from legate.core import types as ty
from legate.core._enums import StoreTarget
from legate.core._shape import Domain, DomainPoint, Shape
from legate.core._store import NO_CUDA, LogicalStore, flat, shown_as, type_of
from legate_jit import hosting, runtime
from legate_jit.running import bodies
from legate_jit.strides import shown

__all__ = ["InlineAllocation", "PhysicalStore", "TaskLocalBuffer", "mapped"]


class Sink(Protocol):
    """Takes what a body binds to an unbound output."""

    def put(self, array: np.ndarray) -> None:
        """The contents of this point's part."""
        ...


class InlineAllocation(np.ndarray):
    """A block of memory with its layout; any consumer of buffers and of array interfaces can use it.

    `shape` in elements and `strides` in bytes, per axis.
    """

    def __new__(cls, *_: object, **__: object) -> InlineAllocation:
        raise ValueError(f"{cls.__name__} objects must not be constructed directly")

    @property
    def ptr(self) -> int:
        """Address of the first element."""
        return int(self.ctypes.data)

    @property
    def target(self) -> StoreTarget:
        """The kind of memory."""
        return StoreTarget.SYSMEM

    @property
    def __cuda_array_interface__(self) -> NoReturn:
        """ValueError: the memory is the host's."""
        raise ValueError(NO_CUDA)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's interface to the elements, with strides in every case."""
        interface = {**super().__array_interface__, "strides": self.strides}
        if self.dtype.names is None:
            del interface["descr"]
        return interface

    def __array_finalize__(self, _: object) -> None:
        """Nothing to set up."""

    def __repr__(self) -> str:
        return f"InlineAllocation({self.ptr}, {self.strides}, {self.target})"

    __str__ = __repr__


class _Exported:
    """What all holders of a NumPy array export."""

    __slots__ = ()

    @property
    def _local(self) -> np.ndarray:
        raise NotImplementedError

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's interface to the elements; read-only where the body must not write."""
        local = self._local
        if local.dtype.names is not None and _is_padded(local.dtype):
            raise AttributeError("__array_interface__ cannot describe padded structures; use __array__")
        return local.__array_interface__

    @property
    def __array_struct__(self) -> Any:
        """NumPy's interface in its quicker form."""
        local = self._local
        if local.dtype.names is not None:
            raise AttributeError("__array_struct__ does not say the fields of structures")
        return local.__array_struct__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The elements as an array: what `numpy.asarray` falls back to for structures."""
        local = self._local
        if dtype is None or np.dtype(dtype) == local.dtype:
            return local.copy() if copy else local
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return local.astype(dtype)

    @property
    def __cuda_array_interface__(self) -> NoReturn:
        """ValueError: the elements are in host memory."""
        raise ValueError(NO_CUDA)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule. Read-only elements are copied for consumers that do not know of read-only memory."""
        local = self._local
        if not local.flags.writeable and (max_version is None or max_version < (1, 0)):
            if copy is False:
                raise BufferError(
                    "read-only elements cannot be shared with a consumer of this DLPack version"
                )
            local = local.copy()
        return local.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Device type and number: host memory."""
        return 1, 0


def _is_padded(dtype: np.dtype) -> bool:
    """Whether a structure has bytes that belong to no field."""
    return any(not name for name, *_ in dtype.descr)


class TaskLocalBuffer(_Exported):
    """Memory that a body allocated for an unbound output."""

    __slots__ = ("_array", "_type")

    _array: np.ndarray
    _type: ty.Type

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, array: np.ndarray, type_: ty.Type) -> TaskLocalBuffer:
        self = object.__new__(cls)
        self._array, self._type = array, type_
        return self

    @property
    def _local(self) -> np.ndarray:
        return self._array

    @property
    def type(self) -> ty.Type:
        """Type of the elements."""
        return self._type

    @property
    def dim(self) -> int:
        """Number of axes."""
        return self._array.ndim - len(flat(np.dtype(self._type.to_numpy_dtype()))[1])


class PhysicalStore(_Exported):
    """Elements of a store in memory. Use `numpy.asarray(store)`: it does not copy.

    In a body: the part this point works on. Inputs are read-only; outputs and reductions are written in place.
    """

    __slots__ = ("_array", "_box", "_type", "_sink", "_origin", "__weakref__")

    _array: np.ndarray
    _box: Sequence[tuple[int, int]]
    _type: ty.Type | None  # None: what `_array` says
    _sink: Sink | None
    _origin: LogicalStore | None

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(
        cls, array: np.ndarray, box: Sequence[tuple[int, int]], type_: ty.Type | None, sink: Sink | None
    ) -> PhysicalStore:
        """What a body sees of `array`, which lies at `box` in its argument. `type_` if the elements are carried or there are
        none yet; `sink` of an unbound output."""
        self = object.__new__(cls)
        self._array, self._box, self._type, self._sink = array, box, type_, sink
        return self

    @property
    def _local(self) -> np.ndarray:
        if self._type is None:
            return self._array
        return shown_as(self._array, self._dtype)

    @property
    def __array_struct__(self) -> Any:
        """NumPy's interface in its quicker form."""
        if self._type is None:  # the usual case, in every body
            return self._array.__array_struct__
        return super().__array_struct__

    @property
    def ndim(self) -> int:
        """Number of axes."""
        local = self._local
        return local.ndim if self._type is None else local.ndim - len(flat(self._dtype)[1])

    @property
    def _dtype(self) -> np.dtype:
        """NumPy's dtype of the elements."""
        return self._array.dtype if self._type is None else np.dtype(self._type.to_numpy_dtype())

    @property
    def type(self) -> ty.Type:
        """Type of the elements."""
        return type_of(self._array.dtype) if self._type is None else self._type

    @property
    def domain(self) -> Domain:
        """Where the elements lie in the whole argument, both bounds inclusive."""
        box = self._box[: self.ndim]
        return Domain(DomainPoint(lo for lo, _ in box), DomainPoint(hi - 1 for _, hi in box))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of each axis, of this part."""
        return self._local.shape[: self.ndim]

    @property
    def target(self) -> StoreTarget:
        """The kind of memory the elements are in."""
        return StoreTarget.SYSMEM

    def data(self) -> PhysicalStore:
        """The store itself."""
        return self

    def create_output_buffer(self, shape: Iterable[int], bind: bool = True) -> TaskLocalBuffer:
        """Memory for this point's part of an unbound output, with undefined contents; `bind`: it is the part.

        ValueError if the output is not unbound, if something was bound to it already, or for another number of axes.
        """
        self._check_unbound(bind)
        extents = tuple(as_int(n) for n in shape)
        if len(extents) != self.ndim:
            raise ValueError(
                f"Dimension mismatch: invalid to create a {len(extents)}-D buffer for a {self.ndim}-D store"
            )
        buffer = TaskLocalBuffer._make(np.empty(extents, self._dtype), self.type)
        if bind:
            self._put(buffer._array)
        return buffer

    def bind_data(self, buffer: TaskLocalBuffer, extent: Iterable[int] | None = None) -> None:
        """Make `buffer`, or its first `extent` elements along each axis, this point's part of an unbound output.

        TypeError for a buffer of another type; ValueError as `create_output_buffer`.
        """
        if buffer.type != self.type:
            raise TypeError(
                f"Cannot bind data of type {buffer.type} to store of type {self.type}, types are not compatible."
            )
        self._check_unbound(True)
        array = buffer._array
        if extent is not None:
            extents = tuple(as_int(n) for n in extent)
            if len(extents) != array.ndim or any(n > m for n, m in zip(extents, array.shape, strict=False)):
                raise ValueError(f"Cannot bind extents {extents} of a buffer of shape {array.shape}")
            array = array[tuple(slice(0, n) for n in extents)]
        self._put(array)

    def _check_unbound(self, bind: bool) -> None:
        if self._sink is None:
            raise ValueError("Buffer can be bound only to an unbound store")
        if bind and self._sink is _BOUND:
            raise ValueError("A buffer has already been bound to the store")

    def _put(self, array: np.ndarray) -> None:
        assert self._sink is not None
        self._sink.put(array)
        self._sink = _BOUND
        self._type = self.type  # before the array says something else
        self._array, self._box = array, tuple((0, n) for n in array.shape)

    def get_inline_allocation(self) -> InlineAllocation:
        """The memory and its layout."""
        return self._local.view(InlineAllocation)

    def to_logical_store(self) -> LogicalStore:
        """The store whose elements these are. In a body, a store for tasks that the body calls: they work on the same memory."""
        origin: LogicalStore | None = getattr(self, "_origin", None)
        if origin is not None:
            return origin
        if bodies.running() is not None:
            return LocalStore._of(self)
        copy = LogicalStore._unbound(self.type, self.ndim)
        copy._bind(self._local.copy())
        return copy


class LocalStore(LogicalStore):
    """The part of a launch that a body was given, as a store for the tasks it calls. After the body, a store with a copy."""

    __slots__ = ("_physical", "_copy")

    _physical: PhysicalStore
    _copy: LogicalStore | None

    @classmethod
    def _of(cls, physical: PhysicalStore) -> LocalStore:
        """The store of a part, while its body runs."""
        self = object.__new__(cls)
        self._physical, self._copy = physical, None
        self._lens, self._type, self._root, self._pending = None, physical._type, None, None
        return self

    @property
    def _store(self) -> Any:  # type: ignore[override]
        """The engine's store of the copy. RuntimeError while a body runs: there is nothing to compute with in it."""
        bodies.forbid()
        if self._copy is None:
            self._copy = LogicalStore._unbound(self.type, self.ndim)
            self._copy._bind(self._physical._local.copy())
        return self._copy._store

    @property
    def extents(self) -> tuple[int, ...]:
        """Extent of each axis of the part."""
        return self._physical.shape

    @property
    def shape(self) -> Shape:
        """Extent of each axis of the part."""
        return Shape(self.extents)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._physical.ndim

    @property
    def type(self) -> ty.Type:
        """Type of the elements."""
        return self._physical.type

    @property
    def unbound(self) -> bool:
        """Whether the part has no contents yet."""
        return self._physical._sink is not None and self._physical._sink is not _BOUND

    def get_physical_store(self, target: StoreTarget | None = None) -> PhysicalStore:
        """The part itself."""
        return self._physical

    def __repr__(self) -> str:
        return f"LogicalStore(shape: {self.extents}, type: {self.type})"


class _Bound:
    """The sink of an output that has its contents."""

    def put(self, array: np.ndarray) -> None:
        """Not called: binding twice is an error."""
        raise ValueError("A buffer has already been bound to the store")


_BOUND = _Bound()


def mapped(store: LogicalStore) -> PhysicalStore:
    """The store's elements in the engine's memory; flushes. Writable unless the memory is the program's and read-only."""
    base = store._bound()
    root = store._root
    read_only = root is not None and root.read_only
    whole = runtime.host(base) if read_only else hosting.mapped(base)
    array = shown(whole, store._lens)
    physical = PhysicalStore._make(array, tuple((0, n) for n in array.shape), store._type, None)
    physical._origin = store
    return physical
