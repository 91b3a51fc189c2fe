"""`LogicalStore`: an array of the program as tasks and libraries name it, and the views made of it.

A store is the engine's `Store` seen through a `Lens`, exactly as a `cupynumeric.ndarray` is, so both can share one. Elements that
kernels do not compute with (structures, points, rectangles) are carried as unsigned words. Knows no tasks and no copies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index as as_int
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from legate.core import types as ty
from legate.core._enums import StoreTarget
from legate.core._shape import Shape
from legate_jit import hosting, runtime
from legate_jit.ir import dtypes, index
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, array_type
from legate_jit.store import Lens, LensStep, Reshaped, Store, Windows, extend, step_type

if TYPE_CHECKING:
    from legate.core._interface import LegateDataInterfaceItem
    from legate.core._partition import LogicalStorePartition
    from legate.core._physical import PhysicalStore

__all__ = ["LogicalStore", "carrier", "carrier_type", "shown_as", "type_of"]


NO_CUDA = "Physical store in a host-only memory does not support the CUDA array interface"


class Pending(Protocol):
    """Whoever will know what an unbound store holds."""

    def contents(self) -> np.ndarray | Store:
        """The contents, or the engine's store of them; runs what has to run first."""
        ...


class Root:
    """What all views of one store created here have in common.

    `lens`: how the store itself looks into the engine's (Fortran order). `scalar`: made to hold one element. `attached`: the
    program's own memory under it, if any. `read_only`: that memory must not be written.
    """

    __slots__ = ("lens", "scalar", "attached", "read_only", "mapped", "keep")

    def __init__(self, lens: Lens | None = None, scalar: bool = False) -> None:
        self.lens = lens
        self.scalar = scalar
        self.attached: hosting.Attachment | None = None
        self.read_only = False
        self.mapped: Any = None
        self.keep: tuple[Any, ...] = ()


type_of = ty.Type.from_numpy_dtype


def flat(dtype: np.dtype) -> tuple[np.dtype, tuple[int, ...]]:
    """The innermost elements of nested array dtypes, and the shape they make together."""
    shape: tuple[int, ...] = ()
    while dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape += inner
    return dtype, shape


def carrier(dtype: np.dtype) -> tuple[np.dtype, int]:
    """What carries elements of `dtype` in the engine: the dtype, and how many of it (0: one, without an axis of its own)."""
    if dtypes.is_supported(dtype):
        return dtypes.canonical(dtype), 0
    base, shape = flat(dtype)
    if shape and dtypes.is_supported(base):
        return dtypes.canonical(base), math.prod(shape)
    size = dtype.itemsize
    if size in (1, 2, 4, 8):
        return np.dtype(f"i{size}"), 0
    return (dtypes.INT64, size // 8) if size % 8 == 0 else (np.dtype(np.uint8), size)


def carrier_type(dtype: np.dtype, shape: tuple[int, ...]) -> ArrayType:
    """The engine's type of an array of `shape` whose elements are of `dtype`."""
    unit, count = carrier(dtype)
    return array_type((*shape, count) if count else shape, unit)


def shown_as(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A view of carried elements as what they are; elements that are arrays are further axes."""
    if array.dtype == dtype:
        return array
    base, shape = flat(dtype)
    if not shape:
        return array.view(dtype)[..., 0] if carrier(dtype)[1] else array.view(dtype)
    parts = array if array.dtype == base else array.view(base)
    return parts if len(shape) == 1 else parts.reshape((*parts.shape[:-1], *shape))


def carried(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The opposite of `shown_as`, of a C-contiguous array."""
    unit, count = carrier(dtype)
    if array.dtype == unit and not count:
        return array
    shape = array.shape[: array.ndim - len(flat(dtype)[1])]
    return array.reshape(-1).view(unit).reshape((*shape, count) if count else shape)


def fixed_dtype(type_: ty.Type) -> np.dtype:
    """The NumPy dtype of a store's elements. ValueError for types whose elements differ in size."""
    if type_.variable_size or type_.code is ty.TypeCode.NIL:
        raise ValueError("Store must have a fixed-size type")
    return np.dtype(type_.to_numpy_dtype())


class LogicalStore:
    """A multi-dimensional array, or a view of one. Made by `Runtime.create_store` and its relatives, never directly.

    Views share the elements: what is written through one is seen through all. `shape`, `volume` and contents of an unbound store
    are those its task gives it; asking for them waits for the task.
    """

    __slots__ = ("_store", "_lens", "_type", "_root", "_pending", "_ndim", "__weakref__")

    _store: Store | None  # None while unbound
    _lens: Lens | None
    _type: ty.Type | None  # None: what `_store` says
    _root: Root | None
    _pending: Pending | None  # of an unbound store
    _ndim: int

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _wrap(
        cls, store: Store, lens: Lens | None = None, type_: ty.Type | None = None, root: Root | None = None
    ) -> LogicalStore:
        """The store that shows `store` through `lens`; `type_` if its elements are carried."""
        self = object.__new__(cls)
        self._store, self._lens, self._type, self._root, self._pending = store, lens, type_, root, None
        return self

    @classmethod
    def _unbound(cls, type_: ty.Type, ndim: int) -> LogicalStore:
        """A store whose extents are found by the task that fills it."""
        self = object.__new__(cls)
        self._store = self._lens = self._root = self._pending = None
        self._type, self._ndim = type_, ndim
        return self

    def _bind(self, array: np.ndarray | Store) -> None:
        """Give an unbound store its contents: an array of the store's dtype that nobody else writes, or the engine's store."""
        if isinstance(array, Store):
            self._store, self._pending = array, None
            return
        owned = array.flags.owndata and array.flags.c_contiguous and array.flags.writeable
        contents = carried(array if owned else np.array(array, order="C"), self._dtype)
        self._store = runtime.adopt(contents)
        self._pending = None

    def _bound(self) -> Store:
        """The engine's store. ValueError if the store is unbound and no task was asked to fill it."""
        store = self._store
        if store is not None:
            return store
        if self._pending is None:
            raise ValueError("Illegal to access an uninitialized unbound store")
        self._bind(self._pending.contents())
        assert self._store is not None
        return self._store

    # -- what it is --

    @property
    def type(self) -> ty.Type:
        """Type of the elements."""
        if self._type is not None:
            return self._type
        return type_of(self._shown.dtype)

    @property
    def _dtype(self) -> np.dtype:
        """NumPy's dtype of the elements."""
        if self._type is None:
            return self._shown.dtype
        return np.dtype(self._type.to_numpy_dtype())

    @property
    def _shown(self) -> ArrayType:
        """The engine's type of what the store shows."""
        store = self._bound()
        return store.type if self._lens is None else self._lens.type

    @property
    def _words(self) -> int:
        """Extent of the last axis, not the user's, in which elements are carried; 0 if there is none."""
        return 0 if self._type is None else carrier(self._dtype)[1]

    @property
    def extents(self) -> tuple[int, ...]:
        """Extent of each axis."""
        shape = self._shown.shape
        return shape[:-1] if self._words else shape

    @property
    def shape(self) -> Shape:
        """Extent of each axis, as a `Shape`; that of an unbound store waits for its task when it is looked into."""
        if self._store is None:
            return Shape._later(self._ndim, lambda: self.extents)
        return Shape(self.extents)

    @property
    def ndim(self) -> int:
        """Number of axes; known of an unbound store too."""
        if self._store is None:
            return self._ndim
        return self._shown.ndim - bool(self._words)

    @property
    def volume(self) -> int:
        """Number of elements."""
        return math.prod(self.extents)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.volume

    @property
    def unbound(self) -> bool:
        """Whether the extents are still to be found by a task that has not been called."""
        return self._store is None and self._pending is None

    @property
    def transformed(self) -> bool:
        """Whether this is a view of another store."""
        return self._store is not None and self._lens is not (self._root.lens if self._root else None)

    @property
    def has_scalar_storage(self) -> bool:
        """Whether the store was made to hold a single element."""
        return self._root is not None and self._root.scalar

    @property
    def raw_handle(self) -> int:
        """A number that tells this store from others."""
        return id(self)

    # of LogicalArray, which stores were wrapped in once

    @property
    def data(self) -> LogicalStore:
        """The store itself."""
        return self

    @property
    def nullable(self) -> bool:
        """Whether elements may be missing: never."""
        return False

    @staticmethod
    def from_store(store: LogicalStore) -> LogicalStore:
        """`store`."""
        return store

    def __repr__(self) -> str:
        if self._store is None:
            return f"LogicalStore(unbound, ndim: {self._ndim}, type: {self._type})"
        return f"LogicalStore(shape: {self.extents}, type: {self.type})"

    def overlaps(self, other: LogicalStore) -> bool:
        """Whether the two stores have elements in common."""
        if self is other:
            return True
        if self._store is None or self._store is not other._store or not (self.volume and other.volume):
            return False
        mine, theirs = _region(self), _region(other)
        return mine is None or theirs is None or index.overlaps(mine, theirs)

    def equal_storage(self, other: LogicalStore) -> bool:
        """Whether the two stores show the same elements, in whatever shape and order."""
        if self is other:
            return True
        if self._store is None or self._store is not other._store:
            return False
        return _boxes(self) == _boxes(other)

    # -- views --

    def _view(self, step: LensStep) -> LogicalStore:
        store = self._bound()
        words = self._words
        if words:
            step = _with_words(step, words)
        root = self._root
        return LogicalStore._wrap(store, extend(store.type, self._lens, step), self._type, root)

    def __getitem__(self, indices: Any) -> LogicalStore:
        """The view that a key names. Position i of the key is about axis i of the view made so far: an integer projects the axis,
        a slice of unit step cuts it, None puts an axis of extent 1 before it."""
        result = self
        axis = 0
        for item in indices if isinstance(indices, tuple) else (indices,):
            if isinstance(item, slice):
                result, axis = result.slice(axis, item), axis + 1
            elif item is None:
                result, axis = result.promote(axis, 1), axis + 1
            else:
                result = result.project(axis, as_int(item))
        return result

    def promote(self, extra_dim: int, dim_size: int) -> LogicalStore:
        """A view with one more axis of extent `dim_size` before axis `extra_dim`, along which elements repeat."""
        n = self._axes()
        dim, size = _from_end(extra_dim, n), as_int(dim_size)
        if not 0 <= dim <= n:
            raise ValueError(f"Invalid promotion on dimension {dim} for a {n}-D store")
        shape = self.extents
        axes = tuple((0, 1, d + (d >= dim)) for d in range(n))
        return self._view(Affine((*shape[:dim], _extent(size), *shape[dim:]), axes))

    def project(self, dim: int, index: int) -> LogicalStore:
        """A view of the elements whose position on axis `dim` is `index`, without that axis."""
        n = self._axes()
        dim, index = _from_end(dim, n), as_int(index)
        if not 0 <= dim < n:
            raise ValueError(f"Invalid projection on dimension {dim} for a {n}-D store")
        shape = self.extents
        if not 0 <= index < shape[dim]:
            raise ValueError(f"Projection index {index} is out of bounds [0, {shape[dim]})")
        axes = tuple((index, 0, -1) if d == dim else (0, 1, d - (d > dim)) for d in range(n))
        return self._view(Affine((*shape[:dim], *shape[dim + 1 :]), axes))

    def broadcast(self, dim: int, dim_size: int) -> LogicalStore:
        """A view in which axis `dim`, of extent 1, repeats `dim_size` times."""
        n = self._axes()
        dim, size = _from_end(dim, n), as_int(dim_size)
        if not 0 <= dim < n:
            raise ValueError(f"Invalid broadcast on dimension {dim} for a {n}-D store")
        shape = self.extents
        if shape[dim] != 1:
            raise ValueError(f"Invalid broadcast on dimension {dim}: expected size 1 but got {shape[dim]}")
        axes = tuple((0, 0, -1) if d == dim else (0, 1, d) for d in range(n))
        return self._view(Affine((*shape[:dim], _extent(size), *shape[dim + 1 :]), axes))

    def slice(self, dim: int, sl: slice) -> LogicalStore:
        """A view of a range of axis `dim`. NotImplementedError for a step other than 1."""
        if sl.step is not None and sl.step != 1:
            raise NotImplementedError(f"Unsupported slice: {sl}, only unit steps are supported")
        n = self._axes()
        dim = _from_end(dim, n)
        if not 0 <= dim < n:
            raise ValueError(f"Invalid slicing of dimension {dim} for a {n}-D store")
        shape = self.extents
        extent = shape[dim]
        start = 0 if sl.start is None else max(_from_end(sl.start, extent), 0)
        stop = extent if sl.stop is None else max(_from_end(sl.stop, extent), 0)
        if start < stop and (start >= extent or stop > extent):
            raise ValueError(
                f"Out-of-bounds slicing [{start}, {stop}] on dimension {dim} for a store of shape {shape}"
            )
        if stop <= start:
            start = stop = 0
        axes = tuple((start if d == dim else 0, 1, d) for d in range(n))
        return self._view(Affine((*shape[:dim], stop - start, *shape[dim + 1 :]), axes))

    def transpose(self, axes: Iterable[int]) -> LogicalStore:
        """A view whose axis k is axis `axes[k]`."""
        if not isinstance(axes, Iterable):
            raise ValueError(f"Expected an iterable but got {type(axes)}")
        order = tuple(as_int(a) for a in axes)
        n = self._axes()
        if len(order) != n:
            raise ValueError(f"Dimension Mismatch: expected {n} axes, but got {len(order)}")
        if len(set(order)) != n:
            raise ValueError("Duplicate axes found")
        for axis in order:
            if not 0 <= axis < n:
                raise ValueError(f"Invalid axis {axis} for a {n}-D store")
        return self._view(index.permutation(self.extents, order))

    def delinearize(self, dim: int, shape: Iterable[int]) -> LogicalStore:
        """A view in which axis `dim` is split into axes of the extents `shape`, in C order."""
        n = self._axes()
        dim = _from_end(dim, n)
        if not 0 <= dim < n:
            raise ValueError(f"Invalid delinearization on dimension {dim} for a {n}-D store")
        sizes = tuple(as_int(s) for s in shape)
        old = self.extents
        if math.prod(sizes) != old[dim] or any(not 0 <= s <= old[dim] for s in sizes):
            raise ValueError(f"Dimension of size {old[dim]} cannot be delinearized into {sizes}")
        new = (*old[:dim], *sizes, *old[dim + 1 :])
        return self._view(index.unit_reshape(old, new) or Reshaped(new))

    def _axes(self) -> int:
        self._bound()
        return self.ndim

    # -- contents --

    def fill(self, value: Any) -> None:
        """Set every element to `value`: a Python value, a `Scalar`, or a store of scalar storage."""
        from legate.core._runtime import get_legate_runtime

        get_legate_runtime().issue_fill(self, value)

    def partition_by_tiling(
        self, tile_shape: Iterable[int], color_shape: Iterable[int] | None = None
    ) -> LogicalStorePartition:
        """The store cut into tiles of `tile_shape`, the last ones smaller; `color_shape` tiles along each axis if given."""
        from legate.core._partition import by_tiling

        return by_tiling(self, tile_shape, color_shape)

    @property
    def partition(self) -> LogicalStorePartition | None:
        """How the store is cut over processes: not at all, as a single process holds it."""
        self._bound()
        return None

    def get_physical_store(self, target: StoreTarget | None = None) -> PhysicalStore:
        """The elements in memory, once they are computed. Writing to them changes the store, until something else does.

        ValueError for unbound stores, and for memory this machine does not have.
        """
        from legate.core._physical import mapped

        if self.unbound:
            raise ValueError("Unbound store cannot be inlined mapped")
        if target is StoreTarget.FBMEM:
            raise ValueError(f"Cannot map a store to {target} without GPU/CUDA Support")
        return mapped(self)

    get_physical_array = get_physical_store

    def detach(self) -> None:
        """Part with the buffer the store was created on: what was computed is in the buffer then, and nothing more will be."""
        if self.transformed:
            raise ValueError("Manual detach must be called on the root store")
        root = self._root
        if self._store is None or root is None or root.scalar or root.attached is None:
            raise ValueError("Only stores created with share=true can be manually detached")
        root.attached.detach()
        root.attached, root.mapped, root.keep, root.read_only = None, None, (), False

    def offload_to(self, target_mem: StoreTarget) -> None:
        """Have the elements in `target_mem` only. ValueError for memory this machine does not have."""
        from legate.core.data_interface import offload_to

        offload_to(self, target=target_mem)

    # -- interfaces --

    @property
    def __legate_data_interface__(self) -> LegateDataInterfaceItem:
        """How libraries exchange stores."""
        return {"version": 2, "data": {"store": self}}

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's interface to the elements in memory. The memory stays while an array made of it does."""
        physical = self.get_physical_store()
        return hosting.kept(physical.__array_interface__, physical._local)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The elements in memory; what `numpy.asarray` falls back to for structures."""
        return self.get_physical_store().__array__(dtype, copy)

    @property
    def __cuda_array_interface__(self) -> NoReturn:
        """ValueError: the elements are in host memory."""
        raise ValueError(NO_CUDA)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule of the elements in memory."""
        return self.get_physical_store().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Device type and number: host memory."""
        return self.get_physical_store().__dlpack_device__()


def _from_end(position: int, n: int) -> int:
    position = as_int(position)
    return position + n if position < 0 else position


def _extent(size: int) -> int:
    if size < 0:
        raise OverflowError("can't convert negative value to size_t")
    return size


def _with_words(step: LensStep, words: int) -> LensStep:
    """The step, leaving alone the last axis in which elements are carried."""
    if isinstance(step, Reshaped):
        return Reshaped((*step.shape, words))
    assert isinstance(step, Affine)
    return Affine((*step.shape, words), (*step.axes, (0, 1, len(step.shape))))


def _region(store: LogicalStore) -> Affine | None:
    """The index map of the elements; None if it is not one map."""
    assert store._store is not None
    if store._lens is None:
        return index.identity(store._store.type.shape)
    return store._lens.view


def _boxes(store: LogicalStore) -> tuple[Any, ...]:
    """What is the same for stores that show the same elements: the box of each index map that leaves some out."""
    boxes: list[Any] = []
    shape = store._shown.shape if store._lens is None else store._lens.base.shape
    for step in () if store._lens is None else store._lens.chain:
        if isinstance(step, Affine):
            box = index.bounding_box(step)
            if 0 not in shape and box != tuple((0, n) for n in shape):
                boxes.append((shape, box))
            shape = step.shape
        elif isinstance(step, Reshaped):
            shape = step.shape
        elif isinstance(step, Windows):
            shape = step_type(array_type(shape, store._dtype), step).shape
    return tuple(boxes)
