"""Shapes: reshape, transpose and friends, as views wherever NumPy's are."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from cupynumeric._array import ndarray, value, wrap
from cupynumeric._caller import warn_of_lost_parts
from cupynumeric._convert import Foreign, drop_in, integers, lift
from cupynumeric._indexing import affine_of, reshaped
from cupynumeric._instant import handed, host_of
from legate_jit import runtime
from legate_jit.ir import index, infer
from legate_jit.ir.index import Affine
from legate_jit.store import LensStep, extend
from legate_jit.strides import is_c_contiguous, is_f_contiguous, layout, memory_order

normalize_axis_index = np.lib.array_utils.normalize_axis_index
normalize_axis_tuple = np.lib.array_utils.normalize_axis_tuple


# ---- views in general ---------------------------------------------------------------------------------------------


def viewed(array: ndarray, step: Affine, locked: bool = False) -> ndarray:
    """A view of `array` through an index map."""
    return wrap(array._store, extend(array._store.type, array._lens, step), locked or array._locked)


#: lenses by base (type or lens) and a word for the view
_named: dict[Any, Any] = {}
runtime.bounded.append((_named, 20_000))


def named_view(array: ndarray, name: Hashable, make: Callable[[], LensStep]) -> ndarray:
    """A view that `name` identifies among the views of arrays of this type and layout; `make` gives its step the first time."""
    key = (array._key, name)
    if key not in _named:
        _named[key] = extend(array._store.type, array._lens, make())
    return wrap(array._store, _named[key], array._locked)


def permuted(array: ndarray, axes: Sequence[int]) -> ndarray:
    """A view whose axis k is the array's axis `axes[k]`."""
    order = tuple(axes)
    return named_view(array, order, lambda: index.permutation(array.shape, order))


def transposed(array: ndarray) -> ndarray:
    """All axes in reverse order, as a view."""
    return named_view(array, "T", lambda: index.permutation(array.shape, tuple(range(array.ndim))[::-1]))


def strides_of(array: ndarray) -> tuple[int, ...] | None:
    """Byte strides, or None when no strides describe the view."""
    place = layout(array._store.type, array._lens)
    return None if place is None else place.strides


def contiguity(array: ndarray) -> tuple[bool, bool]:
    """Whether the array is C-contiguous and Fortran-contiguous."""
    if array._lens is None:
        return True, sum(n != 1 for n in array.shape) <= 1 or array.size == 0
    strides = strides_of(array)
    if strides is None:
        return False, False
    size = array.itemsize
    return is_c_contiguous(array.shape, strides, size), is_f_contiguous(array.shape, strides, size)


def is_fortran(array: ndarray, order: Any) -> bool:
    """Whether `order` ('C', 'F', 'A' or 'K') means Fortran order for this array."""
    letter = order_of(order)
    if letter in ("A", "K"):
        c, f = contiguity(array)
        return f and not c
    return letter == "F"


def order_of(order: Any) -> str:
    """A memory order argument as one upper-case letter; ValueError and TypeError as NumPy."""
    if order is None:
        return "K"
    if not isinstance(order, str):
        raise TypeError(f"order must be str, not {type(order).__name__}")
    if order.upper() not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got '{order}')")
    return order.upper()


def full_shape(size: int, shape: Any) -> tuple[int, ...]:
    """A shape argument with -1 resolved; ValueError as NumPy."""
    dims = integers(shape)
    if (
        shape is True
        or shape is False
        or (shape.__class__ in (tuple, list) and any(n is True or n is False for n in shape))
    ):
        raise TypeError("an integer is required")
    unknown = [k for k, n in enumerate(dims) if n < 0]
    known = 1
    for n in dims:
        known *= n if n >= 0 else 1
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    if (unknown and (known == 0 or size % known)) or (not unknown and known != size):
        text = str(dims).replace(" ", "")
        raise ValueError(f"cannot reshape array of size {size} into shape {text}")
    return tuple([size // known if n < 0 else n for n in dims]) if unknown else dims


@drop_in
def reshape(a: Any, /, shape: Any, order: Any = "C", *, copy: bool | None = None) -> Any:
    """The same elements under another shape: a view where strides allow, else a copy; see `numpy.reshape`."""
    array = lift(a)
    if shape is None:
        return viewed(array, index.identity(array.shape))
    dims = full_shape(array.size, shape)
    if len(dims) > 64:
        raise ValueError(f"maximum supported dimension for an ndarray is currently 64, found {len(dims)}")
    if order_of(order) == "K":
        raise ValueError("order 'K' is not permitted for reshaping")
    if is_fortran(array, order):
        new = transpose(reshaped(transpose(array), dims[::-1]))
    else:
        new = reshaped(array, dims)
    if copy is False and new._store is not array._store:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return new.copy() if copy and new._store is array._store else new


def fresh_copy(array: ndarray, order: Any = "C") -> ndarray:
    """A new array with the same value, laid out in `order`: shares memory until one of them changes."""
    order = order_of(order)
    if order == "C" or (array._lens is None and order in ("K", "A")):
        return _c_copy(array)
    if order == "A":
        order = "F" if is_fortran(array, "A") else "C"
        return fresh_copy(array, order)
    axes = tuple(range(array.ndim))[::-1]
    if order == "K":
        strides = strides_of(array)
        axes = axes[::-1] if strides is None else memory_order(array.shape, strides)
    inverse = tuple(axes.index(d) for d in range(array.ndim))
    return permuted(_c_copy(permuted(array, axes)), inverse)


def _c_copy(array: ndarray) -> ndarray:
    if array._lens is None and array._store.value is None:
        assert array._store.buffer is not None
        return wrap(runtime.buffer_store(array._store.buffer, array._type))
    lens = array._lens
    there = array._store.value is None and lens is not None and lens.view is not None
    if there and infer.move_signature(lens.base, lens.view).at_once:  # type: ignore[union-attr, arg-type]
        host = host_of(array)
        if host is not None:
            return handed(np.array(host, order="C"))  # type: ignore[no-any-return]
    return wrap(runtime.new_store(value(array), array._type))


@drop_in
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    """A copy; costs nothing until one of the two is changed."""
    return fresh_copy(lift(a), order)


def ravel_array(array: ndarray, order: Any = "C") -> ndarray:
    """`array` as one axis: a view where its layout allows."""
    order = order_of(order)
    if order == "K":
        strides = strides_of(array)
        if strides is None or any(s < 0 for s in strides):
            return reshaped(array, (array.size,))
        return reshaped(permuted(array, memory_order(array.shape, strides)), (array.size,))
    ordered = permuted(array, range(array.ndim)[::-1]) if is_fortran(array, order) else array
    if not contiguity(ordered)[0]:
        ordered = fresh_copy(ordered, "C")  # even where reshape could give a view
    return reshaped(ordered, (array.size,))


@drop_in
def ravel(a: Any, order: Any = "C") -> Any:
    """All elements as one axis; see `numpy.ravel`."""
    return ravel_array(lift(a), order)


def reshape_in_place(array: ndarray, shape: Any) -> None:
    """`array.shape = shape`."""
    new = reshape(array, shape)
    if new._store is not array._store:
        raise AttributeError(
            "Incompatible shape for in-place modification. Use `.reshape()` to make a copy with the desired shape."
        )
    array._lens, array._type, array._key = new._lens, new._type, new._key


# ---- axes ---------------------------------------------------------------------------------------------------------


@drop_in
def transpose(a: Any, axes: Any = None) -> Any:
    """Axes permuted (reversed by default), as a view."""
    array = lift(a)
    if axes is None:
        return transposed(array)
    given = tuple(axes) if hasattr(axes, "__iter__") else (axes,)
    if len(given) != array.ndim:
        raise ValueError("axes don't match array")
    order = tuple([normalize_axis_index(operator.index(d), array.ndim) for d in given])
    if len(set(order)) != len(order):
        raise ValueError("repeated axis in transpose")
    return permuted(array, order)


permute_dims = transpose


@drop_in
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes swapped, as a view."""
    array = lift(x)
    if array.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {array.ndim}")
    return swapaxes(array, -1, -2)


@drop_in
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    """Two axes interchanged, as a view."""
    array = lift(a)
    one = _argument_axis(axis1, array.ndim, "axis1")
    two = _argument_axis(axis2, array.ndim, "axis2")
    order = list(range(array.ndim))
    order[one], order[two] = order[two], order[one]
    return transpose(array, order)


def _argument_axis(axis: Any, ndim: int, name: str) -> int:
    return normalize_axis_index(operator.index(axis), ndim, name)


@drop_in
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to new positions, the others in their order; a view."""
    array = lift(a)
    src = normalize_axis_tuple(source, array.ndim, "source")
    dst = normalize_axis_tuple(destination, array.ndim, "destination")
    if len(src) != len(dst):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [n for n in range(array.ndim) if n not in src]
    for to, axis in sorted(zip(dst, src, strict=True)):
        order.insert(to, axis)
    return transpose(array, order)


@drop_in
def rollaxis(a: Any, axis: Any, start: int = 0) -> Any:
    """An axis moved back to `start`; see `numpy.rollaxis`."""
    array = lift(a)
    n = array.ndim
    axis = normalize_axis_index(axis, n)
    if start < 0:
        start += n
    if not 0 <= start < n + 1:
        raise np.exceptions.AxisError(
            f"'start' arg requires {-n} <= start < {n + 1}, but {start} was passed in"
        )
    if axis < start:
        start -= 1
    order = [d for d in range(n) if d != axis]
    order.insert(start, axis)
    return transpose(array, order)


@drop_in
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of extent 1 at the given positions of the result; a view."""
    array = lift(a)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    ndim = array.ndim + len(axes)
    axes = normalize_axis_tuple(axes, ndim)
    old = iter(array.shape)
    return reshaped(array, tuple([1 if d in axes else next(old) for d in range(ndim)]))


@drop_in
def squeeze(a: Any, axis: Any = None) -> Any:
    """Axes of extent 1 removed (all, or the given ones); a view."""
    array = lift(a)
    if axis is None:
        return reshaped(array, tuple([n for n in array.shape if n != 1]))
    axes = normalize_axis_tuple(axis, array.ndim)
    if any(array.shape[d] != 1 for d in axes):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return reshaped(array, tuple([n for d, n in enumerate(array.shape) if d not in axes]))


@drop_in
def atleast_1d(*arys: Any) -> Any:
    """Arguments with at least one axis."""
    return _each(arys, lambda x: reshaped(x, (1,)) if x.ndim == 0 else x)


@drop_in
def atleast_2d(*arys: Any) -> Any:
    """Arguments with at least two axes."""
    return _each(arys, lambda x: reshaped(x, (1,) * (2 - x.ndim) + x.shape) if x.ndim < 2 else x)


@drop_in
def atleast_3d(*arys: Any) -> Any:
    """Arguments with at least three axes."""

    def deepen(x: ndarray) -> ndarray:
        match x.ndim:
            case 0:
                return reshaped(x, (1, 1, 1))
            case 1:
                return reshaped(x, (1, x.shape[0], 1))
            case 2:
                return reshaped(x, (*x.shape, 1))
            case _:
                return x

    return _each(arys, deepen)


def _each(arys: tuple[Any, ...], change: Any) -> Any:
    done = tuple([change(lift(x)) for x in arys])
    return done[0] if len(done) == 1 else done


# ---- broadcasting -------------------------------------------------------------------------------------------------


@drop_in
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """A read-only view of `array` with `shape`, extents of 1 repeated."""
    x = lift(array)
    to = integers(shape)
    if any(n < 0 for n in to):
        raise ValueError("all elements of broadcast shape must be non-negative")
    if not to and x.shape:
        raise ValueError("cannot broadcast a non-scalar to a scalar array")
    fits = len(to) >= x.ndim and all(n in (1, m) for n, m in zip(x.shape[::-1], to[::-1], strict=False))
    if not fits:
        np.broadcast_to(stand_in(x), to)  # raises NumPy's error
    return viewed(x, index.broadcast(x.shape, to), locked=True)


def stand_in(array: ndarray) -> np.ndarray:
    """A NumPy array of the same shape and dtype that takes no memory: what NumPy says of it, it says of ours."""
    return np.broadcast_to(np.empty((), array.dtype), array.shape)


@drop_in
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """The arguments broadcast against each other, as views."""
    arrays = [lift(x) for x in args]
    if len(arrays) > 64:
        raise Foreign
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return tuple(x if x.shape == shape else broadcast_to(x, shape) for x in arrays)


broadcast_shapes = np.broadcast_shapes


# ---- flips and rotations ------------------------------------------------------------------------------------------

_REVERSED = slice(None, None, -1)


@drop_in
def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes (all by default); a view."""
    array = lift(m)
    if axis is not None and axis.__class__ is not int:
        axis = normalize_axis_tuple(axis, array.ndim)
    return named_view(array, ("flip", axis), lambda: _reversed(array.shape, axis))


def _reversed(shape: tuple[int, ...], axis: Any) -> Affine:
    """The view in reverse order along axes: one, a tuple of them, or None for all."""
    axes = range(len(shape)) if axis is None else normalize_axis_tuple(axis, len(shape))
    return affine_of(shape, tuple([_REVERSED if d in axes else slice(None) for d in range(len(shape))]))


@drop_in
def flipud(m: Any) -> Any:
    """Rows in reverse order; a view."""
    array = lift(m)
    if array.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return array[::-1, ...]


@drop_in
def fliplr(m: Any) -> Any:
    """Columns in reverse order; a view."""
    array = lift(m)
    if array.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return array[:, ::-1]


@drop_in
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Rotated by 90 degrees k times in the plane of two axes; a view."""
    array = lift(m)
    axes = tuple(axes)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    n = array.ndim
    if axes[0] == axes[1] or abs(axes[0] - axes[1]) == n:
        raise ValueError("Axes must be different.")
    if not all(-n <= d < n for d in axes):
        raise ValueError(f"Axes={axes} out of range for array of ndim={n}.")
    match k % 4:
        case 0:
            return array[...]
        case 1:
            return swapaxes(flip(array, axes[1]), axes[0], axes[1])
        case 2:
            return flip(flip(array, axes[0]), axes[1])
        case _:
            return flip(swapaxes(array, axes[0], axes[1]), axes[1])


@drop_in
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A read-only view of the diagonals of two axes; see `numpy.diagonal`."""
    array = lift(a)
    if array.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    return diagonal_view(array, operator.index(offset), axis1, axis2, locked=True)


def diagonal_view(array: ndarray, offset: int, axis1: int, axis2: int, locked: bool = False) -> ndarray:
    """The diagonal as a view, writable unless `locked`."""
    one = _argument_axis(axis1, array.ndim, "axis1")
    two = _argument_axis(axis2, array.ndim, "axis2")
    if one == two:
        raise ValueError("axis1 and axis2 cannot be the same")
    rows, columns = array.shape[one], array.shape[two]
    first, second = max(-offset, 0), max(offset, 0)
    n = max(min(rows - first, columns - second), 0)
    rest = [d for d in range(array.ndim) if d not in (one, two)]
    last = len(rest)
    axes = [
        (0, 1, rest.index(d)) if d in rest else ((first if d == one else second), 1, last)
        for d in range(array.ndim)
    ]
    if n == 0:
        axes = [(0, 1, k) if k != last else (0, 1, last) for _, _, k in axes]
    return viewed(array, Affine((*(array.shape[d] for d in rest), n), tuple(axes)), locked)


# ---- casts --------------------------------------------------------------------------------------------------------


def cast(array: ndarray, dtype: np.dtype) -> ndarray:
    """The elements converted to a supported dtype, as C does; ComplexWarning when imaginary parts are lost."""
    if array.dtype == dtype:
        return array
    warn_of_lost_parts(array.dtype, dtype)
    sig = infer.cast_signature(array._type, dtype)
    return wrap(runtime.new_store(runtime.record(sig, value(array)), sig.type))


__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "copy",
    "diagonal",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "ravel",
    "reshape",
    "rollaxis",
    "rot90",
    "squeeze",
    "swapaxes",
    "transpose",
]
