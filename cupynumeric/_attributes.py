"""What `ndarray`'s attributes and methods do that is no public function: flags, parts, views of bytes, sorting in place."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

import cupynumeric
from cupynumeric._advanced import fitting_scalar, mutate
from cupynumeric._array import SCALAR, Ours, ndarray, wrap
from cupynumeric._convert import by_numpy, from_numpy, host_view, integers
from cupynumeric._shape import contiguity, named_view, reshape_in_place, strides_of, swapaxes, viewed
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.ir import dtypes, index
from legate_jit.store import Bitcast, Part, extend

# ---- parts and views ----------------------------------------------------------------------------------------------


def part(array: ndarray, name: str) -> ndarray:
    """The real or imaginary part: views of complex arrays; of real ones the array itself, or read-only zeros."""
    if array.dtype.kind == "c":
        found = named_view(array, name, lambda: Part(name))
        if array._locked == SCALAR and not array.shape:
            found._locked = SCALAR
        return found
    if name == "real":
        return wrap(array._store, array._lens, array._locked)
    zeros = cupynumeric.zeros(array.shape, array.dtype)
    zeros._locked = True
    return zeros  # type: ignore[no-any-return]


def set_imag(array: ndarray, item: Any) -> None:
    """`array.imag = item`."""
    if array.dtype.kind != "c":
        np.empty(0, array.dtype).imag = 0  # raises, in the words of the NumPy that is installed
    part(array, "imag")[...] = item


def matrix_transposed(array: ndarray) -> Any:
    """`array.mT`."""
    if array.ndim < 2:
        raise ValueError("matrix transpose with ndim < 2 is undefined")
    return swapaxes(array, -1, -2)


def strides(array: ndarray) -> tuple[int, ...]:
    """`array.strides`."""
    found = strides_of(array)
    return host_view(array).strides if found is None else found


def base(array: ndarray) -> Any:
    """`array.base`."""
    return None if array._lens is None else wrap(array._store)


def to_device(array: ndarray, device: Any, stream: Any) -> ndarray:
    """`array.to_device`."""
    if stream is not None:
        raise ValueError("The stream argument in to_device() is not supported")
    if device != "cpu":
        raise ValueError(f"Unsupported device: {device}. Only 'cpu' is accepted.")
    return array


def view(array: ndarray, dtype: Any = None, type_: Any = None) -> Any:
    """`array.view`: the same memory, under another dtype of the same item size as a view; other item sizes go to NumPy."""
    if isinstance(dtype, type) and issubclass(dtype, (Ours, np.ndarray)):
        dtype, type_ = None, dtype
    if type_ is not None and not issubclass(type_, Ours):
        host = host_view(array).copy()  # a subclass of NumPy's may write to its memory
        return host.view(type_) if dtype is None else host.view(dtype, type_)
    if dtype is None:
        return viewed(array, index.identity(array.shape))
    target = np.dtype(dtype)
    if not dtypes.is_supported(target):
        return host_view(array).view(target)
    target = dtypes.canonical(target)
    if target == array.dtype:
        return viewed(array, index.identity(array.shape))
    if target.itemsize == array.itemsize:
        return wrap(array._store, extend(array._store.type, array._lens, Bitcast(target)), array._locked)
    return _regrouped(array, target)


def retype(array: ndarray, dtype: Any) -> None:
    """`array.dtype = dtype`: the same memory in place. TypeError for dtypes that only NumPy's own arrays have."""
    if array._locked == SCALAR and not array.shape:
        raise AttributeError("attribute 'dtype' of 'numpy.generic' objects is not writable")
    new = view(array, np.dtype(dtype))
    if not isinstance(new, Ours):
        raise TypeError(
            f"an array of this package cannot become one of {np.dtype(dtype)} in place: use .view()"
        )
    array._store, array._lens, array._type, array._key = new._store, new._lens, new._type, new._key


def _regrouped(array: ndarray, target: np.dtype) -> Any:
    """A view under a dtype of another item size."""
    if array.ndim == 0:
        raise ValueError("Changing the dtype of a 0d array is only supported if the itemsize is unchanged")
    steps = strides_of(array)
    n = array.shape[-1]
    if steps is None or (n != 1 and steps[-1] != array.itemsize and array.size):
        raise ValueError("To change to a dtype of a different size, the last axis must be contiguous")
    total = n * array.itemsize
    if total % target.itemsize:
        if target.itemsize > array.itemsize:
            raise ValueError(
                "When changing to a larger dtype, its size must be a divisor of the total size in bytes of the last axis "
                "of the array."
            )
        raise ValueError(
            "When changing to a smaller dtype, its size must be a divisor of the size of original dtype"
        )
    return wrap(array._store, extend(array._store.type, array._lens, Bitcast(target)), array._locked)


def byteswap(array: ndarray, inplace: bool) -> Any:
    """`array.byteswap`."""
    if not inplace:
        return from_numpy(host_view(array).byteswap())
    mutate(array, lambda host: host.byteswap(inplace=True))
    return array


def resize(array: ndarray, *new_shape: Any) -> None:
    """`array.resize`: the array gets a new store; views keep the old one."""
    if not new_shape or new_shape == (None,):
        return
    given: Any = new_shape[0] if len(new_shape) == 1 else new_shape
    dims = integers(given)
    if any(n < 0 for n in dims):
        raise ValueError("negative dimensions not allowed")
    if math.prod(dims) == array.size:
        if dims == array.shape and any(contiguity(array)):
            return
        if not contiguity(array)[0]:
            raise ValueError("resize only works on single-segment arrays")
        reshape_in_place(array, dims)
        return
    if array._lens is not None:
        raise ValueError("cannot resize this array: it does not own its data")
    host = host_view(array).copy()
    host.resize(dims, refcheck=False)
    made = from_numpy(host)
    array._store, array._lens, array._type, array._key = made._store, made._lens, made._type, made._key


# ---- flags --------------------------------------------------------------------------------------------------------


class Flags:
    """`ndarray.flags`: layout and access of one array, by attribute or by NumPy's key."""

    __slots__ = ("_array",)

    _KEYS: ClassVar[dict[str, str]] = {
        "C_CONTIGUOUS": "c_contiguous",
        "C": "c_contiguous",
        "CONTIGUOUS": "c_contiguous",
        "F_CONTIGUOUS": "f_contiguous",
        "F": "f_contiguous",
        "FORTRAN": "f_contiguous",
        "OWNDATA": "owndata",
        "O": "owndata",
        "WRITEABLE": "writeable",
        "W": "writeable",
        "ALIGNED": "aligned",
        "A": "aligned",
        "WRITEBACKIFCOPY": "writebackifcopy",
        "X": "writebackifcopy",
        "FNC": "fnc",
        "FORC": "forc",
        "BEHAVED": "behaved",
        "B": "behaved",
        "CARRAY": "carray",
        "CA": "carray",
        "FARRAY": "farray",
        "FA": "farray",
    }

    def __init__(self, array: ndarray) -> None:
        self._array = array

    @property
    def c_contiguous(self) -> bool:
        """Elements in C order without gaps."""
        return contiguity(self._array)[0]

    @property
    def f_contiguous(self) -> bool:
        """Elements in Fortran order without gaps."""
        return contiguity(self._array)[1]

    contiguous = c_contiguous
    fortran = f_contiguous

    @property
    def owndata(self) -> bool:
        """Whether the array is no view."""
        return self._array._lens is None

    @property
    def writeable(self) -> bool:
        """Whether elements can be assigned."""
        array = self._array
        return not array._locked and (array._lens is None or array._lens.writable)

    @writeable.setter
    def writeable(self, flag: Any) -> None:
        setflags(self._array, write=flag)

    @property
    def aligned(self) -> bool:
        """Always."""
        return True

    @property
    def writebackifcopy(self) -> bool:
        """Never."""
        return False

    @property
    def fnc(self) -> bool:
        """Fortran- but not C-contiguous."""
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        """Contiguous in either order."""
        return self.f_contiguous or self.c_contiguous

    @property
    def behaved(self) -> bool:
        """Aligned and writable."""
        return self.writeable

    @property
    def carray(self) -> bool:
        """Behaved and C-contiguous."""
        return self.behaved and self.c_contiguous

    @property
    def farray(self) -> bool:
        """Not C-contiguous: NumPy asks of aligned, writable and Fortran-contiguous that one of them holds."""
        return not self.c_contiguous

    @property
    def num(self) -> int:
        """The flags as NumPy's bits."""
        bits = (
            (1, self.c_contiguous),
            (2, self.f_contiguous),
            (4, self.owndata),
            (256, True),
            (1024, self.writeable),
        )
        return sum(bit for bit, on in bits if on)

    def __getitem__(self, key: str) -> bool:
        if key not in self._KEYS:
            raise KeyError("Unknown flag")
        return bool(getattr(self, self._KEYS[key]))

    def __setitem__(self, key: str, flag: Any) -> None:
        if self._KEYS.get(key) != "writeable":
            raise KeyError("Unknown flag")
        setflags(self._array, write=flag)

    def __eq__(self, other: object) -> bool:
        return (
            self.num == other.num if isinstance(other, (Flags, type(np.empty(0).flags))) else NotImplemented
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA", "WRITEABLE", "ALIGNED", "WRITEBACKIFCOPY")
        return "\n".join(f"  {key} : {self[key]}" for key in shown) + "\n"


def setflags(array: ndarray, write: Any = None, align: Any = None, uic: Any = None) -> None:
    """`array.setflags`."""
    if write is None:
        return
    if write and array._lens is not None and not array._lens.writable:
        raise ValueError("cannot set WRITEABLE flag to True of this array")
    array._locked = not write


# ---- values -------------------------------------------------------------------------------------------------------


def fill(array: ndarray, item: Any) -> None:
    """`array.fill`."""
    if isinstance(item, (Ours, np.ndarray)) and item.ndim:
        host = np.empty((), array.dtype)
        host.fill(np.asarray(item))  # raises NumPy's error
    array[...] = item if isinstance(item, Ours) else fitting_scalar(item, array.dtype)


def sort(array: ndarray, axis: Any, kind: Any, order: Any, stable: Any) -> None:
    """`array.sort`: in place, by NumPy on the store's memory; on several ranks the sorted parts are assigned."""
    options = {} if stable is None else {"stable": stable}
    if _in_parts(array, axis) and order is None:
        array[...] = cupynumeric.sort(array, axis, kind, **options)
        return
    mutate(array, lambda host: host.sort(axis, kind, order, **options))


def partition(array: ndarray, kth: Any, axis: Any, kind: Any, order: Any) -> None:
    """`array.partition`."""
    where = host_view(kth) if isinstance(kth, Ours) else kth
    if _in_parts(array, axis) and order is None:
        array[...] = cupynumeric.partition(array, where, axis, kind)
        return
    mutate(array, lambda host: host.partition(where, axis, kind, order))


def _in_parts(array: ndarray, axis: Any) -> bool:
    """Whether an array lies in parts on several ranks, and may be changed along an axis."""
    if runtime.world is None or not isinstance(axis, int) or not array.flags.writeable:
        return False
    return together.lies_in_parts(array._store) is not None


def matmul_in_place(array: ndarray, other: Any) -> Any:
    """`array @= other`."""
    made = cupynumeric.matmul(array, other)
    if made.shape != array.shape or not np.can_cast(made.dtype, array.dtype, "same_kind"):
        return by_numpy(np.matmul, (array, other), {"out": array})
    array[...] = made
    return array
