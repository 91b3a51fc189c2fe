"""Types of stores and scalars: numbers, strings, opaque bytes, fixed arrays, structs, points and rectangles.

A type is a value: immutable, hashable, equal when its structure is equal. Knows NumPy's dtypes, no stores.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from enum import IntEnum, unique
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from legate.core._enums import LEGATE_MAX_DIM

__all__ = [
    "FixedArrayType",
    "ReductionOpKind",
    "StructType",
    "Type",
    "TypeCode",
    "array_type",
    "binary_type",
    "bool_",
    "complex64",
    "complex128",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "null_type",
    "point_type",
    "rect_type",
    "string_type",
    "struct_type",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


@unique
class TypeCode(IntEnum):
    """The kind of a type."""

    NIL = 0
    BOOL = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    UINT8 = 6
    UINT16 = 7
    UINT32 = 8
    UINT64 = 9
    FLOAT16 = 10
    FLOAT32 = 11
    FLOAT64 = 12
    COMPLEX64 = 13
    COMPLEX128 = 14
    BINARY = 15
    FIXED_ARRAY = 16
    STRUCT = 17
    STRING = 18
    LIST = 19


@unique
class ReductionOpKind(IntEnum):
    """How a reduction combines two values."""

    ADD = 0
    MUL = 1
    MAX = 2
    MIN = 3
    OR = 4
    AND = 5
    XOR = 6


#: largest opaque type, in bytes
_MAX_BINARY = 0x0FFFFF
#: unique numbers of the types that have no short one
_numbers = itertools.count(0x1000_0000)
_BITWISE = (ReductionOpKind.OR, ReductionOpKind.AND, ReductionOpKind.XOR)


class Type:
    """A type. `Type()` is the null type; the others are made by this module's functions."""

    __slots__ = ("_code", "_name", "_dtype", "_align", "_uid", "_key", "_hash", "_redops")

    _code: TypeCode
    _name: str
    _dtype: np.dtype[Any] | None  # None: the size varies from value to value
    _align: int
    _uid: int
    _key: tuple[Any, ...]
    _hash: int
    _redops: dict[int, int]

    def __init__(self) -> None:
        self._fill(TypeCode.NIL, "null_type", np.dtype(object), 0, int(TypeCode.NIL), (TypeCode.NIL,))

    def _fill(
        self,
        code: TypeCode,
        name: str,
        dtype: np.dtype[Any] | None,
        align: int,
        uid: int,
        key: tuple[Any, ...],
    ) -> None:
        self._code, self._name, self._dtype = code, name, dtype
        self._align, self._uid, self._key, self._hash = align, uid, key, hash(key)
        self._redops = {}

    @classmethod
    def _make(
        cls,
        code: TypeCode,
        name: str,
        dtype: np.dtype[Any] | None,
        align: int,
        uid: int,
        key: tuple[Any, ...],
    ) -> Any:
        self = object.__new__(cls)
        self._fill(code, name, dtype, align, uid, key)
        return self

    @property
    def code(self) -> TypeCode:
        """The kind of type."""
        return self._code

    @property
    def size(self) -> int:
        """Bytes of one value. ValueError if that varies."""
        if self._dtype is None:
            raise ValueError("Size of a variable size type is undefined")
        return 0 if self._code is TypeCode.NIL else self._dtype.itemsize

    @property
    def alignment(self) -> int:
        """Bytes that addresses of values are multiples of."""
        return self._align

    @property
    def uid(self) -> int:
        """A number; types with the same one are equal."""
        return self._uid

    @property
    def variable_size(self) -> bool:
        """Whether values differ in size."""
        return self._dtype is None

    @property
    def is_primitive(self) -> bool:
        """Whether it is a number or a truth value (or null)."""
        return self._code < TypeCode.BINARY

    def to_numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of an array of such values. ValueError for types without one."""
        if self._dtype is None:
            raise ValueError(f"Invalid type code: {self._code}")
        return self._dtype

    def identity(self, op: ReductionOpKind | int) -> Any:
        """The value that `op` leaves others unchanged by, as a NumPy scalar.

        ValueError if values of this type cannot be reduced with it.
        """
        kind = ReductionOpKind(op)
        if not self.is_primitive or self._dtype is None or self._code is TypeCode.NIL:
            raise self._no_reduction(kind)
        dtype = self._dtype
        if kind in _BITWISE and dtype.kind not in "biu":
            raise self._no_reduction(kind)
        if kind in (ReductionOpKind.MAX, ReductionOpKind.MIN):
            if dtype.kind == "c":
                raise self._no_reduction(kind)
            return _extreme(dtype, least=kind is ReductionOpKind.MAX)
        if kind is ReductionOpKind.MUL:
            return dtype.type(1)
        if kind is ReductionOpKind.AND:
            return dtype.type(True) if dtype.kind == "b" else np.array(-1, np.int64).astype(dtype)[()]
        return dtype.type(0)

    def _no_reduction(self, kind: ReductionOpKind) -> ValueError:
        return ValueError(f"Reduction op {kind.name} does not exist for type {self}")

    def record_reduction_op(self, op_kind: ReductionOpKind | int, reduction_op_id: int) -> None:
        """Give a reduction of this type a number. ValueError if it has another one."""
        known = self._redops.setdefault(int(op_kind), int(reduction_op_id))
        if known != int(reduction_op_id):
            raise ValueError(f"Reduction op {int(op_kind)} already exists for type {self}")

    def reduction_op_id(self, op_kind: ReductionOpKind | int) -> int:
        """The number of a reduction of this type. ValueError if it has none."""
        number = self._redops.get(int(op_kind))
        if number is not None:
            return number
        if op_kind in ReductionOpKind.__members__.values():
            self.identity(op_kind)
            return int(self._code) << 8 | int(op_kind)
        raise ValueError(f"Reduction op {int(op_kind)} does not exist for type {self}")

    @property
    def raw_ptr(self) -> int:
        """A number that belongs to this object."""
        return id(self)

    @staticmethod
    def from_numpy_dtype(dtype: DTypeLike) -> Type:
        """The type of an array's elements. NotImplementedError if there is none."""
        found = np.dtype(dtype)
        known = _BY_DTYPE.get(found)
        if known is not None:
            return known
        if found.kind == "S" and found.itemsize:
            return binary_type(found.itemsize)
        if found.kind == "U":
            return string_type
        if found.subdtype is not None:
            base, shape = found.subdtype
            return _nested(Type.from_numpy_dtype(base), shape)
        if found.names is not None and found.fields is not None:
            fields = [Type.from_numpy_dtype(found.fields[name][0]) for name in found.names]
            for align in (False, True):
                made = struct_type(fields, align)
                offsets = tuple(found.fields[name][1] for name in found.names)
                if made.size == found.itemsize and made.offsets == offsets:
                    return made
        raise NotImplementedError(f"Unhandled numpy data type: {found}")

    @staticmethod
    def from_python_object(py_object: Any) -> Type:
        """The type that holds a Python value without loss. NotImplementedError if there is none."""
        return _deduce(py_object)

    def __repr__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Type):
            return NotImplemented
        return self._hash == other._hash and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._recipe()

    def _recipe(self) -> tuple[Any, ...]:
        return (int(self._code), 0 if self._dtype is None else self._dtype.itemsize)


class FixedArrayType(Type):
    """A type whose values hold a fixed number of values of another type."""

    __slots__ = ("_element", "_count")

    _element: Type
    _count: int

    def __init__(self) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @property
    def num_elements(self) -> int:
        """How many values."""
        return self._count

    @property
    def element_type(self) -> Type:
        """Their type."""
        return self._element

    def _recipe(self) -> tuple[Any, ...]:
        return (int(self._code), (self._element, self._count))


class StructType(Type):
    """A type whose values hold one value of each of several types."""

    __slots__ = ("_fields", "_aligned", "_offsets")

    _fields: tuple[Type, ...]
    _aligned: bool
    _offsets: tuple[int, ...]

    def __init__(self) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @property
    def num_fields(self) -> int:
        """How many fields."""
        return len(self._fields)

    def field_type(self, field_idx: int) -> Type:
        """The type of one field. IndexError if there is no such field."""
        if not 0 <= field_idx < len(self._fields):
            raise IndexError(f"there is no field {field_idx} in {self}")
        return self._fields[field_idx]

    @property
    def aligned(self) -> bool:
        """Whether fields are aligned as a C compiler would."""
        return self._aligned

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where fields start, in bytes."""
        return self._offsets

    def _recipe(self) -> tuple[Any, ...]:
        return (int(self._code), (list(self._fields), self._aligned))


def _extreme(dtype: np.dtype[Any], *, least: bool) -> Any:
    if dtype.kind == "b":
        return np.bool_(not least)
    if dtype.kind == "f":
        return dtype.type(-np.inf if least else np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.min if least else info.max)


def _primitive(code: TypeCode, dtype: DTypeLike) -> Type:
    found = np.dtype(dtype)
    made: Type = Type._make(code, code.name.lower(), found, found.alignment, int(code), (code,))
    return made


null_type = Type()
bool_ = _primitive(TypeCode.BOOL, np.bool_)
int8 = _primitive(TypeCode.INT8, np.int8)
int16 = _primitive(TypeCode.INT16, np.int16)
int32 = _primitive(TypeCode.INT32, np.int32)
int64 = _primitive(TypeCode.INT64, np.int64)
uint8 = _primitive(TypeCode.UINT8, np.uint8)
uint16 = _primitive(TypeCode.UINT16, np.uint16)
uint32 = _primitive(TypeCode.UINT32, np.uint32)
uint64 = _primitive(TypeCode.UINT64, np.uint64)
float16 = _primitive(TypeCode.FLOAT16, np.float16)
float32 = _primitive(TypeCode.FLOAT32, np.float32)
float64 = _primitive(TypeCode.FLOAT64, np.float64)
complex64 = _primitive(TypeCode.COMPLEX64, np.complex64)
complex128 = _primitive(TypeCode.COMPLEX128, np.complex128)
string_type: Type = Type._make(TypeCode.STRING, "string", None, 1, int(TypeCode.STRING), (TypeCode.STRING,))

_PRIMITIVES = (
    *(bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
    *(float16, float32, float64, complex64, complex128),
)
_BY_DTYPE: dict[np.dtype[Any], Type] = {t.to_numpy_dtype(): t for t in _PRIMITIVES}
_BY_CODE = {int(t.code): t for t in (*_PRIMITIVES, null_type, string_type)}


def _rebuild(code: int, parts: Any) -> Type:
    """A pickled type again."""
    if code == TypeCode.BINARY:
        return binary_type(parts)
    if code == TypeCode.FIXED_ARRAY:
        return array_type(*parts)
    if code == TypeCode.STRUCT:
        return struct_type(*parts)
    return _BY_CODE[code]


def _size(value: Any) -> int:
    """A size given by a user. TypeError unless integral, OverflowError below zero."""
    size = operator.index(value)
    if size < 0:
        raise OverflowError("can't convert negative value to unsigned int")
    return size


def binary_type(size: int) -> Type:
    """Opaque values of `size` bytes. IndexError above 0xFFFFF."""
    size = _size(size)
    if size > _MAX_BINARY:
        raise IndexError(f"Maximum size for opaque binary types is {_MAX_BINARY}")
    code = TypeCode.BINARY
    dtype = np.dtype((np.bytes_, size))
    made: Type = Type._make(code, f"binary({size})", dtype, 1, int(code) | (size + 1) << 8, (code, size))
    return made


def array_type(element_type: Type, N: int) -> FixedArrayType:
    """Arrays of `N` values of a type. ValueError if that type's values differ in size."""
    count = _size(N)
    if element_type.variable_size:
        raise ValueError("Variable-size element type cannot be used")
    base = element_type.to_numpy_dtype()
    inner, shape = (base, ()) if base.subdtype is None else base.subdtype
    dtype = base if count == 1 else np.dtype((inner, (count, *shape)))
    short = element_type.is_primitive and count <= 0xFF
    made: FixedArrayType = FixedArrayType._make(
        TypeCode.FIXED_ARRAY,
        f"{element_type}[{count}]",
        dtype,
        element_type.alignment,
        int(element_type.code) | count << 8 if short else next(_numbers),
        (TypeCode.FIXED_ARRAY, element_type, count),
    )
    made._element, made._count = element_type, count
    return made


def struct_type(field_types: Iterable[Type], align: bool = True) -> StructType:
    """Structs of the given fields, aligned as in C or packed.

    ValueError without fields, RuntimeError for a field whose values differ in size.
    """
    fields = tuple(field_types)
    if any(f.variable_size for f in fields):
        raise RuntimeError("Struct types can't have a variable size field")
    if not fields:
        raise ValueError("Struct types must have at least one field")
    offsets, size, widest = [], 0, 1
    for field in fields:
        step = max(field.alignment, 1) if align else 1
        size = -(-size // step) * step
        offsets.append(size)
        size, widest = size + field.size, max(widest, step)
    size = -(-size // widest) * widest
    layout: dict[str, Any] = {
        "names": [f"_{i}" for i in range(len(fields))],
        "formats": [f.to_numpy_dtype() for f in fields],
        "offsets": offsets,
        "itemsize": size,
    }
    names = ",".join(f"{f}:{at}" for f, at in zip(fields, offsets, strict=True))
    made: StructType = StructType._make(
        TypeCode.STRUCT,
        "{" + names + "}",
        np.dtype(layout),  # type: ignore[call-overload]
        widest,
        next(_numbers),
        (TypeCode.STRUCT, fields, bool(align)),
    )
    made._fields, made._aligned, made._offsets = fields, bool(align), tuple(offsets)
    return made


def _dimensions(ndim: int) -> int:
    if not 0 < ndim <= LEGATE_MAX_DIM:
        raise IndexError(f"{ndim} is not a supported number of dimensions")
    return ndim


def point_type(ndim: int) -> FixedArrayType:
    """Points: `ndim` coordinates, int64. IndexError unless 1 <= ndim <= LEGATE_MAX_DIM."""
    return array_type(int64, _dimensions(ndim))


def rect_type(ndim: int) -> StructType:
    """Rectangles: the lower and the upper corner, both inside. IndexError unless 1 <= ndim <= LEGATE_MAX_DIM."""
    point = point_type(ndim)
    return struct_type([point, point], align=True)


# ---- the types of Python values ----------------------------------------------------------------------------------------


def _nested(element: Type, shape: Sequence[int]) -> Type:
    for extent in reversed(shape):
        element = array_type(element, extent)
    return element


def _deduce(value: Any) -> Type:
    if isinstance(value, Type):
        return value
    if isinstance(value, bool):
        return bool_
    if isinstance(value, float):
        return float64
    if isinstance(value, complex):
        return complex128
    if isinstance(value, int):
        return Type.from_numpy_dtype(np.min_scalar_type(value))
    if isinstance(value, str):
        return string_type
    if isinstance(value, list | tuple | np.ndarray):
        return _deduce_array(value)
    if isinstance(value, np.generic):
        return Type.from_numpy_dtype(value.dtype)
    if isinstance(value, bytes | memoryview):
        return binary_type(len(value))
    if value is None:
        return null_type
    raise NotImplementedError(f"unsupported type: {value!r}")


def _deduce_array(value: Any) -> Type:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.reshape(1)
    if not len(value):
        raise NotImplementedError(
            f"Cannot yet deduce sub-array types from empty container: {value} (of type {type(value)})"
        )
    first = _deduce(value[0])
    for index, each in enumerate([] if isinstance(value, np.ndarray) else value[:12]):
        found = _deduce(each)
        if found != first:
            raise NotImplementedError(
                f"Unsupported type: {value!r}. All elements must have the same type. "
                f"Element at index {index} has type {found}, expected {first}"
            )
    return array_type(first, len(value))
