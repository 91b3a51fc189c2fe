"""Methods of `ndarray`: one line each, calling the public function or the module that owns the operation.

Everything that hands bytes out (`data`, `ctypes`, `tobytes`, the buffer protocol) shows a read-only snapshot; see `_convert`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

import cupynumeric
from cupynumeric import _elementwise
from legate_jit import runtime

np: Any = cupynumeric
_NO = numpy._NoValue


#: what NumPy's scalars have and its arrays lack
_OF_SCALARS = frozenset(
    (
        "as_integer_ratio",
        "bit_count",
        "denominator",
        "hex",
        "is_integer",
        "numerator",
        "__ceil__",
        "__floor__",
        "__trunc__",
    )
)


def _is_scalar(array: Any) -> bool:
    """Whether NumPy has an immutable scalar in place of this array."""
    return not array._type.shape and array._locked == np._array.SCALAR


def _own(array: Any) -> Any:
    """What a method that writes to its array writes to: NumPy's scalars do such things to an array of their own."""
    return np._shape.fresh_copy(array) if _is_scalar(array) else array


class ArrayMethods:
    """What `ndarray` can do beyond operators and basic indexing."""

    __slots__ = ()

    # -- to Python and NumPy --

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np._convert.to_host(self, dtype, copy)

    def item(self, *args: Any) -> Any:
        """The element (of a one-element array, or at the given index) as a Python scalar."""
        if args and runtime.world is not None:
            from cupynumeric import _picking

            found = _picking.element(self, args)  # type: ignore[arg-type]
            if found is not None:
                return found.item()
        return np._convert.host_view(self).item(*args)

    def tolist(self) -> Any:
        """Nested lists of Python scalars."""
        return np._convert.host_view(self).tolist()

    def __float__(self) -> float:
        return float(np._convert.real_number(self))

    def __int__(self) -> int:
        return int(np._convert.real_number(self))

    def __complex__(self) -> complex:
        return complex(np._convert.number(self))

    def __index__(self) -> Any:
        if self.dtype.kind not in "iu" and _is_scalar(self):
            raise TypeError(f"{np._array.scalar_name(self)} object cannot be interpreted as an integer")
        return np._convert.host_view(self).__index__()

    def __bool__(self) -> bool:
        return bool(np._convert.number(self))

    def __repr__(self) -> str:
        host = np._convert.host_view(self)
        return repr(host[()] if _is_scalar(self) else host)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_SCALARS and _is_scalar(self):
            return getattr(np._convert.host_view(self)[()], name)
        raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")

    def __str__(self) -> str:
        return str(np._convert.host_view(self))

    def __format__(self, spec: str) -> str:
        host = np._convert.host_view(self)
        return format(host[()] if host.ndim == 0 else host, spec)

    def __round__(self, ndigits: Any = None) -> Any:
        if self.ndim:
            raise TypeError("type numpy.ndarray doesn't define __round__ method")
        return round(np._convert.host_view(self)[()], ndigits)

    def __trunc__(self) -> int:
        if not _is_scalar(self) or self.dtype != float:
            name = np._array.scalar_name(self)[1:-1] if _is_scalar(self) else "numpy.ndarray"
            raise TypeError(f"type {name} doesn't define __trunc__ method")
        return math.trunc(float(self))

    def __copy__(self) -> Any:
        return self.copy("K")

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy("K")

    def __reduce__(self) -> Any:
        if _is_scalar(self):
            return np._convert.host_view(self)[()].__reduce__()
        return np._protocols.unpickle, (np._convert.host_view(self).copy(),)

    def __contains__(self, item: Any) -> bool:
        if _is_scalar(self):
            raise TypeError(f"argument of type {np._array.scalar_name(self)} is not iterable")
        return bool(np._convert.host_view(self).__contains__(np._convert.to_numpy_tree(item)))

    def __delitem__(self, key: Any) -> None:
        if _is_scalar(self):
            raise TypeError(f"{np._array.scalar_name(self)} object does not support item deletion")
        raise ValueError("cannot delete array elements")

    def __buffer__(self, flags: int) -> memoryview:
        return np._protocols.buffer(self)  # type: ignore[no-any-return]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return np._protocols.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return np._protocols.array_function(func, types, args, kwargs)

    @property
    def __array_interface__(self) -> Any:
        return np._protocols.array_interface(self)

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return np._protocols.array_namespace(api_version)

    def __dlpack__(self, **options: Any) -> Any:
        return np._protocols.dlpack(self, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def tobytes(self, order: Any = "C") -> Any:
        """The elements as bytes."""
        return np._convert.host_view(self).tobytes(order)

    def tofile(self, fid: Any, sep: str = "", format: str = "%s") -> None:
        """Write the elements to a file."""
        np._files.tofile(self, fid, sep, format)

    def dump(self, file: Any) -> None:
        """Pickle the array to a file."""
        np._protocols.dump(self, file)

    def dumps(self) -> Any:
        """The array as a pickle."""
        return np._protocols.dumps(self)

    # -- facts --

    @property
    def T(self) -> Any:
        """The transpose, as a view."""
        return np._shape.transposed(self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped, as a view."""
        return np._attributes.matrix_transposed(self)

    @property
    def flat(self) -> Any:
        """The elements in C order, readable and writable. Assigning writes them all."""
        return np._flat.FlatIterator(self)

    @flat.setter
    def flat(self, item: Any) -> None:
        np._flat.FlatIterator(self)[...] = item

    @property
    def real(self) -> Any:
        """The real part, as a view."""
        return np._attributes.part(self, "real")

    @real.setter
    def real(self, item: Any) -> None:
        if _is_scalar(self):
            raise AttributeError("attribute 'real' of 'numpy.generic' objects is not writable")
        np._attributes.part(self, "real")[...] = item

    @property
    def imag(self) -> Any:
        """The imaginary part, as a view (read-only zeros for real arrays)."""
        return np._attributes.part(self, "imag")

    @imag.setter
    def imag(self, item: Any) -> None:
        if _is_scalar(self):
            raise AttributeError("attribute 'imag' of 'numpy.generic' objects is not writable")
        np._attributes.set_imag(self, item)

    @property
    def strides(self) -> Any:
        """Bytes from one element to the next along each axis."""
        return np._attributes.strides(self)

    @property
    def flags(self) -> Any:
        """Layout and access, as `numpy.ndarray.flags`."""
        return np._attributes.Flags(self)

    @property
    def base(self) -> Any:
        """The array that owns the elements of a view, else None."""
        return np._attributes.base(self)

    @property
    def data(self) -> Any:
        """A read-only buffer over a snapshot of the elements."""
        return np._convert.host_view(self).data

    @property
    def ctypes(self) -> Any:
        """Address, shape and strides of a snapshot of the elements, for foreign functions that only read."""
        return np._convert.host_view(self).ctypes

    @property
    def device(self) -> str:
        """Where the array lives, in the array API's words."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """The array itself; ValueError for any device but 'cpu'."""
        return np._attributes.to_device(self, device, stream)

    @property
    def __legate_data_interface__(self) -> Any:
        return np._protocols.legate_data_interface(self)

    def setflags(self, write: Any = None, align: Any = None, uic: Any = None) -> None:
        """Make the array read-only, or writable again where its memory allows."""
        np._attributes.setflags(self, write, align, uic)

    def view(self, dtype: Any = None, type: Any = None) -> Any:
        """The same memory, possibly under another dtype."""
        return np._attributes.view(self, dtype, type)

    def getfield(self, dtype: Any, offset: int = 0) -> Any:
        """A field of each element's bytes (a copy)."""
        return np._creation.array(np._convert.host_view(self).getfield(dtype, offset))

    def byteswap(self, inplace: bool = False) -> Any:
        """Bytes of each element in reverse order."""
        return np._attributes.byteswap(self, inplace)

    # -- shape --

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
        """The same elements under another shape; a view wherever NumPy's is."""
        return np._shape.reshape(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)

    def ravel(self, order: Any = "C") -> Any:
        """All elements as one axis; a view wherever NumPy's is."""
        return np._shape.ravel_array(self, order)

    def flatten(self, order: Any = "C") -> Any:
        """All elements as one axis, as a copy."""
        return np._shape.ravel_array(self, order).copy()

    def transpose(self, *axes: Any) -> Any:
        """Axes permuted (reversed by default), as a view."""
        return np._shape.transpose(self, None if not axes else axes[0] if len(axes) == 1 else axes)

    def swapaxes(self, axis1: Any, axis2: Any) -> Any:
        """Two axes interchanged, as a view."""
        return np._shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        """Axes of extent 1 removed, as a view."""
        return np._shape.squeeze(self, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """Diagonals, as a read-only view."""
        return np._shape.diagonal(self, offset, axis1, axis2)

    def resize(self, *new_shape: Any, refcheck: bool = True) -> None:
        """Change shape and size in place, filling with zeros."""
        np._attributes.resize(self, *new_shape)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        """Each element repeated; see `numpy.repeat`."""
        return np.repeat(self, repeats, axis)

    # -- values --

    def copy(self, order: Any = "C") -> Any:
        """A copy; costs nothing until one of the two is changed."""
        made = np._shape.fresh_copy(self, order)
        if _is_scalar(self):
            made._locked = np._array.SCALAR
        return made

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """The elements converted to a dtype."""
        return np._creation.astype_array(self, dtype, order, casting, copy)

    def fill(self, value: Any) -> None:
        """Write one scalar everywhere."""
        np._attributes.fill(_own(self), value)

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
        """Elements at indices; see `numpy.take`."""
        return np.take(self, indices, axis, out, mode)

    def put(self, indices: Any, values: Any, mode: str = "raise") -> None:
        """`flat[indices] = values`; see `numpy.put`."""
        np.put(_own(self), indices, values, mode)

    def choose(self, *choices: Any, out: Any = None, mode: str = "raise") -> Any:
        """Elements of `choices` picked by this array of indices."""
        return np.choose(self, choices[0] if len(choices) == 1 else choices, out=out, mode=mode)

    def compress(self, condition: Any, axis: Any = None, out: Any = None) -> Any:
        """Slices along an axis for which the condition holds."""
        return np.compress(condition, self, axis, out=out)

    def nonzero(self) -> Any:
        """Positions of non-zero elements."""
        return np.nonzero(self)

    def searchsorted(self, v: Any, side: Any = "left", sorter: Any = None) -> Any:
        """Where to insert `v` to keep this sorted array sorted."""
        return np.searchsorted(self, v, side, sorter)

    def sort(self, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
        """Sort in place along an axis."""
        np._attributes.sort(self, axis, kind, order, stable)

    def argsort(self, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
        """Indices that would sort along an axis."""
        return np.argsort(self, axis, kind, order, stable=stable)

    def partition(self, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> None:
        """Partition in place around the kth elements."""
        np._attributes.partition(self, kth, axis, kind, order)

    def argpartition(self, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
        """Indices that would partition along an axis."""
        return np.argpartition(self, kth, axis, kind, order)

    def clip(self, min: Any = _NO, max: Any = _NO, out: Any = None, **kwargs: Any) -> Any:
        """Elements limited to [min, max]."""
        given = {k: v for k, v in (("min", min), ("max", max)) if v is not _NO}
        low, high = given.get("min"), given.get("max")
        return np.clip(self, low, high, out=out, **kwargs)

    def round(self, decimals: Any = 0, out: Any = None) -> Any:
        """Elements rounded to a number of decimals."""
        return np.round(self, decimals, out)

    def conj(self) -> Any:
        """Complex conjugates."""
        return np.conjugate(self) if self.dtype.kind == "c" else self

    def conjugate(self) -> Any:
        """Complex conjugates."""
        return self.conj()

    # -- reductions --

    def sum(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = _NO,
        where: Any = _NO,
    ) -> Any:
        """Sum over axes."""
        return np.sum(self, axis, dtype, out, keepdims, initial, where)

    def prod(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = _NO,
        where: Any = _NO,
    ) -> Any:
        """Product over axes."""
        return np.prod(self, axis, dtype, out, keepdims, initial, where)

    def max(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NO, where: Any = _NO
    ) -> Any:
        """Largest element over axes."""
        return np.max(self, axis, out, keepdims, initial, where)

    def min(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NO, where: Any = _NO
    ) -> Any:
        """Smallest element over axes."""
        return np.min(self, axis, out, keepdims, initial, where)

    def all(self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = _NO) -> Any:
        """Whether all elements over axes are true."""
        return np.all(self, axis, out, keepdims, where=where)

    def any(self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = _NO) -> Any:
        """Whether any element over axes is true."""
        return np.any(self, axis, out, keepdims, where=where)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        """Position of the first largest element."""
        return np.argmax(self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        """Position of the first smallest element."""
        return np.argmin(self, axis, out, keepdims=keepdims)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = _NO
    ) -> Any:
        """Mean over axes."""
        return np.mean(self, axis, dtype, out, keepdims, where=where)

    def var(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
        *,
        where: Any = _NO,
        **kwargs: Any,
    ) -> Any:
        """Variance over axes."""
        return np.var(self, axis, dtype, out, ddof, keepdims, where=where, **kwargs)

    def std(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
        *,
        where: Any = _NO,
        **kwargs: Any,
    ) -> Any:
        """Standard deviation over axes."""
        return np.std(self, axis, dtype, out, ddof, keepdims, where=where, **kwargs)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Running sum."""
        return np.cumsum(self, axis, dtype, out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Running product."""
        return np.cumprod(self, axis, dtype, out)

    def trace(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
    ) -> Any:
        """Sum of a diagonal."""
        return np.trace(self, offset, axis1, axis2, dtype, out)

    def dot(self, b: Any, out: Any = None) -> Any:
        """Dot product; see `numpy.dot`."""
        return np.dot(self, b, out)

    def unique(self) -> Any:
        """The sorted distinct elements."""
        return np.unique(self)

    def flip(self, axis: Any = None) -> Any:
        """Elements in reverse order along axes, as a view."""
        return np._shape.flip(self, axis)

    def stencil_hint(self, low_offsets: Any, high_offsets: Any) -> None:
        """Accepted for compatibility: halos are found from the program itself."""

    # -- operators with rules of their own --

    def __divmod__(self, other: Any) -> Any:
        return NotImplemented if _elementwise.is_foreign(other) else np.divmod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return NotImplemented if _elementwise.is_foreign(other) else np.divmod(other, self)

    def __matmul__(self, other: Any) -> Any:
        if other.__class__ is not self.__class__ and _elementwise.is_foreign(other):
            return NotImplemented
        return np.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return NotImplemented if _elementwise.is_foreign(other) else np.matmul(other, self)

    def __imatmul__(self, other: Any) -> Any:
        return (
            NotImplemented if _elementwise.is_foreign(other) else np._attributes.matmul_in_place(self, other)
        )
