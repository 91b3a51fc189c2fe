"""Types: codes, sizes, dtypes, numbers, equality, deduction, reductions and their errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from legate.core import LEGATE_MAX_DIM
from legate.core import types as ty
from legate.core.types import ReductionOpKind, Type, TypeCode

PRIMITIVES = [
    *(ty.bool_, ty.int8, ty.int16, ty.int32, ty.int64, ty.uint8, ty.uint16, ty.uint32, ty.uint64),
    *(ty.float16, ty.float32, ty.float64, ty.complex64, ty.complex128),
]
NUMBERS = {t.uid for t in PRIMITIVES}


@pytest.mark.parametrize("kind", PRIMITIVES, ids=str)
def test_primitive_types_are_numpys(kind: Type) -> None:
    dtype = kind.to_numpy_dtype()
    assert np.dtype(str(kind)) == dtype
    assert (kind.size, kind.alignment, kind.uid) == (dtype.itemsize, dtype.alignment, kind.code)
    assert kind.is_primitive and not kind.variable_size
    assert Type.from_numpy_dtype(dtype) is kind


def test_null_and_string() -> None:
    assert Type() == ty.null_type and ty.null_type.code is TypeCode.NIL and ty.null_type.size == 0
    assert str(ty.null_type) == "null_type" and str(ty.string_type) == "string"
    assert ty.string_type.variable_size and not ty.string_type.is_primitive
    with pytest.raises(ValueError, match="Size of a variable size type is undefined"):
        _ = ty.string_type.size
    with pytest.raises(ValueError, match="Invalid type code"):
        ty.string_type.to_numpy_dtype()


def test_binary() -> None:
    kind = ty.binary_type(5)
    assert (kind.size, kind.alignment, str(kind)) == (5, 1, "binary(5)")
    assert kind == ty.binary_type(5) != ty.binary_type(6)
    assert kind.to_numpy_dtype() == np.dtype("S5")
    with pytest.raises(IndexError, match="Maximum size for opaque binary types is 1048575"):
        ty.binary_type(1 << 20)
    with pytest.raises(OverflowError):
        ty.binary_type(-1)


@pytest.mark.parametrize("kind", PRIMITIVES, ids=str)
def test_fixed_arrays(kind: Type) -> None:
    for count in (1, 10, 255):
        made = ty.array_type(kind, count)
        assert made.uid & 0xFF == kind.code and made.uid >> 8 == count
        assert made.uid not in NUMBERS and made.uid != ty.string_type.uid
        assert made == ty.array_type(kind, count) and hash(made) == hash(ty.array_type(kind, count))
        assert (made.num_elements, made.element_type, made.size) == (count, kind, count * kind.size)
    assert ty.array_type(kind, 256).uid >= 0x10000
    assert str(ty.array_type(kind, 3)) == f"{kind}[3]"
    nested = [ty.array_type(ty.array_type(kind, 2), 2) for _ in range(2)]
    assert nested[0].uid != nested[1].uid
    assert nested[0].to_numpy_dtype() == np.dtype((kind.to_numpy_dtype(), (2, 2)))


def test_fixed_arrays_of_strings() -> None:
    with pytest.raises(ValueError, match="Variable-size element type cannot be used"):
        ty.array_type(ty.string_type, 2)


@pytest.mark.parametrize("align", [False, True])
def test_structs(align: bool) -> None:
    kind = ty.struct_type([ty.int8, ty.float64, ty.int16], align)
    reference = np.dtype([("_0", "i1"), ("_1", "f8"), ("_2", "i2")], align=align)
    assert reference.fields is not None
    assert kind.to_numpy_dtype() == reference
    assert (kind.size, kind.alignment) == (reference.itemsize, reference.alignment if align else 1)
    assert kind.offsets == tuple(reference.fields[name][1] for name in ("_0", "_1", "_2"))
    assert (kind.num_fields, kind.field_type(1), kind.aligned) == (3, ty.float64, align)
    assert str(kind) == f"{{int8:0,float64:{kind.offsets[1]},int16:{kind.offsets[2]}}}"
    assert Type.from_numpy_dtype(reference) == kind
    with pytest.raises(IndexError):
        kind.field_type(3)


def test_structs_are_aligned_by_default_and_have_numbers_of_their_own() -> None:
    first, second = ty.struct_type([ty.int8]), ty.struct_type([ty.int8])
    assert first.aligned and first.uid != second.uid and first.uid >= 0x10000
    assert first == second != ty.struct_type([ty.int8], align=False)


def test_structs_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="Struct types must have at least one field"):
        ty.struct_type([])
    with pytest.raises(RuntimeError, match="Struct types can't have a variable size field"):
        ty.struct_type([ty.string_type])


@pytest.mark.parametrize("ndim", range(1, LEGATE_MAX_DIM + 1))
def test_points_and_rectangles(ndim: int) -> None:
    point, rect = ty.point_type(ndim), ty.rect_type(ndim)
    assert point == ty.array_type(ty.int64, ndim)
    assert (rect.num_fields, rect.field_type(0), rect.size) == (2, point, 16 * ndim)


@pytest.mark.parametrize("ndim", [0, -1, LEGATE_MAX_DIM + 1])
@pytest.mark.parametrize("make", [ty.point_type, ty.rect_type])
def test_too_many_dimensions(make: Any, ndim: int) -> None:
    with pytest.raises(IndexError, match=f"{ndim} is not a supported number of dimensions"):
        make(ndim)


@pytest.mark.parametrize("kind", [ty.FixedArrayType, ty.StructType])
def test_compound_types_are_not_constructed(kind: type) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} objects must not be constructed directly"):
        kind()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, ty.uint8), (-1, ty.int8), (256, ty.uint16), (-129, ty.int16), (65536, ty.uint32)),
        *((-32769, ty.int32), (1 << 32, ty.uint64), (-(1 << 31) - 1, ty.int64), (True, ty.bool_)),
        *((None, ty.null_type), ("foo", ty.string_type), (1.23, ty.float64), (1 + 2j, ty.complex128)),
        *((b"foo", ty.binary_type(3)), ([1, 2, 3], ty.array_type(ty.uint8, 3))),
        *(((1, 2, 3), ty.array_type(ty.uint8, 3)), (np.float32(1), ty.float32)),
        (np.array([1.0, 2.0], np.float32), ty.array_type(ty.float32, 2)),
        (np.array([None, None]), ty.array_type(ty.null_type, 2)),
        (np.array(1, np.int8), ty.array_type(ty.int8, 1)),
        (np.ones((2, 3)), ty.array_type(ty.array_type(ty.float64, 3), 2)),
    ],
)
def test_types_of_python_values(value: Any, expected: Type) -> None:
    assert Type.from_python_object(value) == expected


@pytest.mark.parametrize("value", [[], (), object(), [1, 2.0], {}])
def test_values_without_a_type(value: Any) -> None:
    with pytest.raises(NotImplementedError):
        Type.from_python_object(value)


def test_dtypes_without_a_type() -> None:
    with pytest.raises(NotImplementedError, match="Unhandled numpy data type: datetime64"):
        Type.from_numpy_dtype(np.dtype("M8[s]"))


@pytest.mark.parametrize("kind", PRIMITIVES, ids=str)
@pytest.mark.parametrize("op", list(ReductionOpKind), ids=lambda op: op.name)
def test_identities_leave_values_unchanged(kind: Type, op: ReductionOpKind) -> None:
    dtype = kind.to_numpy_dtype()
    exists = dtype.kind in "biu" or (
        op < ReductionOpKind.OR and (dtype.kind != "c" or op < ReductionOpKind.MAX)
    )
    if not exists:
        with pytest.raises(ValueError, match=f"Reduction op {op.name} does not exist for type {kind}"):
            kind.identity(op)
        return
    fold = {
        ReductionOpKind.ADD: np.add,
        ReductionOpKind.MUL: np.multiply,
        ReductionOpKind.MAX: np.maximum,
        ReductionOpKind.MIN: np.minimum,
        ReductionOpKind.OR: np.bitwise_or,
        ReductionOpKind.AND: np.bitwise_and,
        ReductionOpKind.XOR: np.bitwise_xor,
    }[op]
    values = np.array([0, 1, 1, 0, 1]).astype(dtype) * dtype.type(1)
    assert np.array_equal(fold(np.full(5, kind.identity(op), dtype), values), values)


def test_numbers_of_reductions() -> None:
    kind = ty.struct_type([ty.int32])
    with pytest.raises(ValueError, match="does not exist"):
        kind.reduction_op_id(ReductionOpKind.ADD)
    kind.record_reduction_op(ReductionOpKind.ADD, 77)
    assert kind.reduction_op_id(ReductionOpKind.ADD) == 77
    with pytest.raises(ValueError, match="already exists"):
        kind.record_reduction_op(ReductionOpKind.ADD, 78)
    assert ty.int32.reduction_op_id(ReductionOpKind.ADD) != ty.int64.reduction_op_id(ReductionOpKind.ADD)


@pytest.mark.parametrize(
    "kind",
    [ty.int8, ty.null_type, ty.string_type, ty.binary_type(3), ty.point_type(2), ty.rect_type(2)],
    ids=str,
)
def test_pickling(kind: Type) -> None:
    assert pickle.loads(pickle.dumps(kind)) == kind
