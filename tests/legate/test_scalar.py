"""Scalars: every type, what comes back, addresses, interfaces, and errors."""

from __future__ import annotations

import ctypes
import pickle
from typing import Any

import numpy as np
import pytest

from legate.core import Scalar
from legate.core import types as ty

NUMBERS = [
    *((20, ty.int8), (-200.0, ty.int16), (200, ty.int32), (-200, ty.int64), (20, ty.uint8)),
    *((200.0, ty.uint16), (200, ty.uint32), (200, ty.uint64), (300, ty.float16), (-0.5, ty.float32)),
    *((300.456, ty.float64), (-3.5 + 2j, ty.complex64), (-300.456 + 128j, ty.complex128), (3, ty.complex64)),
    (False, ty.bool_),
]


@pytest.mark.parametrize(("value", "kind"), NUMBERS)
def test_numbers(value: Any, kind: ty.Type) -> None:
    scalar = Scalar(value, kind)
    assert scalar.type == kind
    assert scalar.value() == value
    assert type(scalar.value()) in (bool, int, float, complex)
    assert np.asarray(scalar) == value and np.asarray(scalar).dtype == kind.to_numpy_dtype()
    assert str(scalar) == repr(scalar) == f"Scalar({scalar.value()}, {kind})"


@pytest.mark.parametrize(
    ("value", "kind"), [(None, ty.null_type), ("hello", ty.string_type), (b"hello", ty.binary_type(5))]
)
def test_other_values(value: Any, kind: ty.Type) -> None:
    for scalar in (Scalar(value, kind), Scalar(value)):
        assert (scalar.type, scalar.value()) == (kind, value)


def test_null() -> None:
    for scalar in (Scalar.null(), Scalar(None), Scalar(3, ty.int8).null()):
        assert scalar.value() is None and scalar.type == ty.null_type


@pytest.mark.parametrize(
    ("value", "element"),
    [((3, 0.81, 8), ty.float64), (((3,), (1.2,), (999,)), ty.array_type(ty.float64, 1))],
)
def test_fixed_arrays(value: Any, element: ty.Type) -> None:
    scalar = Scalar(value, ty.array_type(element, 3))
    expected = np.array(value, np.float64)
    np.testing.assert_array_equal(np.asarray(scalar), expected)
    np.testing.assert_array_equal(scalar.value(), expected)


def test_structs() -> None:
    for align in (False, True):
        kind = ty.struct_type([ty.int32, ty.float64, ty.int8], align)
        scalar = Scalar((3, 0.81, 8), kind)
        assert scalar.value() == (3, 0.81, 8)
        assert Scalar(np.asarray(scalar).tobytes(), kind).value() == (3, 0.81, 8)


def test_address() -> None:
    number = Scalar(200, ty.int64)
    assert ctypes.c_int64.from_address(number.ptr).value == 200
    complex_ = Scalar(200.5 + 100j, ty.complex64)
    assert ctypes.c_float.from_address(complex_.ptr + 4).value == 100
    assert isinstance(complex_.raw_handle, int)


def test_bytes_of_the_right_size() -> None:
    assert Scalar(b"\x01\x02", ty.uint16).value() == 0x0201
    with pytest.raises(ValueError, match=r"Type int32 expects a value of size 4, but the size of value is 2"):
        Scalar(b"\x01\x02", ty.int32)
    with pytest.raises(
        ValueError, match=r"Type int8\[1\] expects a value of size 1, but the size of value is 3"
    ):
        Scalar((1, 2, 3), ty.array_type(ty.int8, 1))
    with pytest.raises(ValueError, match=r"Type binary\(3\) expects a value of size 3"):
        Scalar(b"12", ty.binary_type(3))


@pytest.mark.parametrize("kind", [ty.bool_, ty.int8, ty.uint64, ty.float16, ty.float64, ty.complex64])
def test_text_is_no_number(kind: ty.Type) -> None:
    with pytest.raises(ValueError, match="Expected bytes or NumPy ndarray, but got <class 'str'>"):
        Scalar("foo", kind)


def test_numbers_out_of_range() -> None:
    with pytest.raises(OverflowError):
        Scalar(300, ty.int8)
    with pytest.raises(OverflowError):
        Scalar(-1, ty.uint64)


def test_number_is_no_array_and_no_struct() -> None:
    with pytest.raises(ValueError, match="Expected bytes, NumPy ndarray, or iterable, but got <class 'int'>"):
        Scalar(1, ty.array_type(ty.int8, 1))
    with pytest.raises(ValueError, match="Expected bytes, NumPy ndarray, or tuple, but got <class 'int'>"):
        Scalar(123, ty.struct_type([ty.int8]))


def test_strings_have_no_array_interface() -> None:
    with pytest.raises(ValueError, match="Scalars with variable size types don't support array interface"):
        np.asarray(Scalar("123"))


def test_values_without_type() -> None:
    with pytest.raises(NotImplementedError):
        Scalar(object())


@pytest.mark.parametrize("value", [3, "x", b"abc", None, 2.5, (1, 2)])
def test_pickling(value: Any) -> None:
    again = pickle.loads(pickle.dumps(Scalar(value)))
    assert again.type == Scalar(value).type
    assert np.array_equal(again.value(), Scalar(value).value())
