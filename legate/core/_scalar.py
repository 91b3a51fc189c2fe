"""Scalar: one value together with its type.

Fixed-size values lie in memory of their own, so that they have an address. Knows no stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from legate.core import types as ty
from legate.core.types import FixedArrayType, Type, TypeCode

__all__ = ["Scalar"]


class Scalar:
    """A value of a Legate type.

    value: a Python or NumPy value, or `bytes` of the type's size. dtype: its type; by default the smallest that holds the value.
    ValueError for values that do not fit, NotImplementedError when no type is given and none holds the value.
    """

    __slots__ = ("_type", "_data")

    _type: Type
    _data: Any  # an array of one element; a string; None

    def __init__(self, value: Any, dtype: Type | None = None) -> None:
        self._type = Type.from_python_object(value) if dtype is None else dtype
        convert = _CONVERT.get(self._type.code)
        if convert is None:
            raise TypeError(f"unhandled type {self._type}")
        self._data = convert(value, self._type)

    def value(self) -> Any:
        """The value: a Python number, string, None, tuple (structs), memoryview (binary) or array (fixed arrays)."""
        code, data = self._type.code, self._data
        if code is TypeCode.NIL or code is TypeCode.STRING:
            return data
        if code is TypeCode.BINARY:
            return memoryview(data).toreadonly()
        if code is TypeCode.FIXED_ARRAY:
            return np.asarray(self)
        if code is TypeCode.STRUCT:
            return tuple(data[()].item())
        return data[()].item()

    @property
    def type(self) -> Type:
        """Its type."""
        return self._type

    @property
    def ptr(self) -> int:
        """The address of the value. 0 for null and strings."""
        return self._data.ctypes.data if isinstance(self._data, np.ndarray) else 0

    @property
    def raw_handle(self) -> int:
        """A number that belongs to this object."""
        return id(self)

    @staticmethod
    def null() -> Scalar:
        """The scalar without a value."""
        return Scalar(None, ty.null_type)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        kind = self._type
        if kind.variable_size:
            raise ValueError("Scalars with variable size types don't support array interface")
        if kind.code is TypeCode.NIL:
            raise ValueError("Null scalars don't support array interface")
        element, shape = _unnested(kind)
        dtype = element.to_numpy_dtype()
        return {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (self.ptr, True),
            "descr": dtype.descr,
        }

    def __repr__(self) -> str:
        return f"Scalar({self.value()}, {self._type})"

    def __reduce__(self) -> tuple[Any, ...]:
        data = self._data.tobytes() if isinstance(self._data, np.ndarray) else self._data
        return Scalar, (data, self._type)


def _unnested(kind: Type) -> tuple[Type, tuple[int, ...]]:
    """The innermost element type of nested fixed arrays and the shape they have together."""
    shape: tuple[int, ...] = ()
    while isinstance(kind, FixedArrayType):
        shape += (kind.num_elements,)
        kind = kind.element_type
    return kind, shape


# ---- from Python values: one function per kind of type -----------------------------------------------------------------


def _from_bytes(value: bytes, kind: Type) -> np.ndarray:
    if len(value) != kind.size:
        raise ValueError(
            f"Type {kind} expects a value of size {kind.size}, but the size of value is {len(value)}"
        )
    return np.frombuffer(bytearray(value), np.uint8).view(_flat(kind)).reshape(())


def _flat(kind: Type) -> np.dtype[Any]:
    """A dtype of the type's size that arrays may have (sub-arrays dissolve in arrays)."""
    dtype = kind.to_numpy_dtype()
    return np.dtype((np.void, kind.size)) if dtype.subdtype is not None else dtype


def _number(value: Any, kind: Type) -> np.ndarray:
    dtype = kind.to_numpy_dtype()
    if isinstance(value, bytes | np.ndarray):
        data = value if isinstance(value, bytes) else np.asarray(value, dtype).tobytes()
        return _from_bytes(data, kind)
    if not _fits(value, dtype):
        raise ValueError(f"Expected bytes or NumPy ndarray, but got {type(value)}")
    if dtype.kind in "iu":
        value = int(value)
        _check_range(value, dtype)
    return np.array(value, dtype)


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "b":
        return isinstance(value, bool | np.bool_)
    if isinstance(value, complex | np.complexfloating):
        return dtype.kind == "c"
    return isinstance(value, bool | int | float | np.bool_ | np.number)


def _check_range(value: int, dtype: np.dtype[Any]) -> None:
    info = np.iinfo(dtype)
    if not info.min <= value <= info.max:
        raise OverflowError(f"value {value} does not fit into {dtype.name}")


def _array(value: Any, kind: Type) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return _from_bytes(value.tobytes(), kind)
    if isinstance(value, bytes):
        return _from_bytes(value, kind)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"Expected bytes, NumPy ndarray, or iterable, but got {type(value)}")
    assert isinstance(kind, FixedArrayType)
    element = kind.element_type.to_numpy_dtype()
    return _from_bytes(np.asarray(list(value), element).tobytes(), kind)


def _struct(value: Any, kind: Type) -> np.ndarray:
    if not isinstance(value, bytes | tuple | np.ndarray | np.void):
        raise ValueError(f"Expected bytes, NumPy ndarray, or tuple, but got {type(value)}")
    if isinstance(value, bytes):
        return _from_bytes(value, kind)
    return _from_bytes(np.asarray(value, kind.to_numpy_dtype()).tobytes(), kind)


def _string(value: Any, kind: Type) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Argument 'value' has incorrect type (expected str, got {type(value).__name__})")
    return value


def _binary(value: Any, kind: Type) -> np.ndarray:
    if isinstance(value, np.ndarray | memoryview):
        value = value.tobytes()
    data = bytes(value)
    if len(data) != kind.size:
        raise ValueError(
            f"Type {kind} expects a value of size {kind.size}, but the size of value is {len(data)}"
        )
    return np.frombuffer(bytearray(data), np.uint8)


def _nothing(value: Any, kind: Type) -> None:
    return None


_CONVERT: dict[TypeCode, Callable[[Any, Type], Any]] = {
    **{code: _number for code in TypeCode if TypeCode.BOOL <= code <= TypeCode.COMPLEX128},
    TypeCode.NIL: _nothing,
    TypeCode.BINARY: _binary,
    TypeCode.FIXED_ARRAY: _array,
    TypeCode.STRUCT: _struct,
    TypeCode.STRING: _string,
}
