"""Physical stores, allocations and output buffers: inside task bodies and outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate.core import (
    InlineAllocation,
    LogicalStore,
    PhysicalStore,
    StoreTarget,
    TaskLocalBuffer,
    as_logical_store,
    get_legate_runtime,
)
from legate.core import types as ty

runtime = get_legate_runtime()


class Parts:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def put(self, array: np.ndarray) -> None:
        """Keep an array."""
        self.parts.append(array)


def local(array: np.ndarray, low: tuple[int, ...] | None = None) -> PhysicalStore:
    """What a body would see of `array`, lying at `low` in its argument."""
    low = (0,) * array.ndim if low is None else low
    box = tuple((lo, lo + n) for lo, n in zip(low, array.shape, strict=True))
    return PhysicalStore._make(array, box, None, None)


class TestArrays:
    def test_facts(self) -> None:
        p = local(np.zeros((2, 3), np.float32), (4, 6))
        assert (p.ndim, p.shape, p.type) == (2, (2, 3), ty.float32)
        assert p.target is StoreTarget.SYSMEM
        assert (p.domain.lo, p.domain.hi) == ((4, 6), (5, 8))
        assert p.data() is p

    def test_no_copies(self) -> None:
        a = np.arange(12.0).reshape(3, 4)
        for part in (a, a[:, 1:3], a.T, np.broadcast_to(a[:, None], (3, 2, 4)), a[:0], a[1, 2, ...]):
            p = local(part)
            for seen in (np.asarray(p), np.asarray(p.get_inline_allocation()), np.from_dlpack(p)):
                assert seen.shape == part.shape
                assert seen.dtype == part.dtype
                np.testing.assert_array_equal(seen, part)
                assert not part.size or np.shares_memory(seen, a)
        assert np.array(local(a)).base is None
        assert np.asarray(local(a), np.int32).dtype == np.int32

    def test_writing(self) -> None:
        a = np.zeros((2, 2))
        np.asarray(local(a))[0] = 3
        np.asarray(local(a).get_inline_allocation())[1] = 4
        assert a.tolist() == [[3, 3], [4, 4]]

    def test_read_only(self) -> None:
        a = np.arange(3)
        a.flags.writeable = False
        assert not np.asarray(local(a)).flags.writeable
        assert np.from_dlpack(local(a)).tolist() == [0, 1, 2]
        assert local(a).__dlpack__() is not None
        with pytest.raises(BufferError, match="read-only"):
            local(a).__dlpack__(copy=False)
        assert local(a).__dlpack_device__() == (1, 0)

    def test_structures(self) -> None:
        for align in (True, False):
            type_ = ty.struct_type([ty.int8, ty.float64], align)
            a = np.array([(1, 2.5), (3, 4.5)], type_.to_numpy_dtype())
            seen = np.asarray(PhysicalStore._make(a, ((0, 2),), type_, None))
            assert seen.dtype == a.dtype
            assert np.shares_memory(seen, a)

    def test_allocation(self) -> None:
        a = np.arange(12.0).reshape(3, 4)[:, 1:]
        alloc = local(a).get_inline_allocation()
        assert alloc.ptr == a.ctypes.data
        assert alloc.shape == (3, 3)
        assert alloc.strides == (32, 8)
        assert alloc.target is StoreTarget.SYSMEM
        assert memoryview(alloc).tolist() == a.tolist()  # type: ignore[arg-type]

    def test_no_cuda(self) -> None:
        p = local(np.zeros(3))
        text = "Physical store in a host-only memory does not support the CUDA array interface"
        for x in (p, p.get_inline_allocation()):
            with pytest.raises(ValueError, match=text):
                _ = x.__cuda_array_interface__

    def test_not_constructible(self) -> None:
        for cls in (PhysicalStore, InlineAllocation, TaskLocalBuffer):
            with pytest.raises(ValueError, match="must not be constructed directly"):
                cls()


class TestLogical:
    def test_round_trip(self) -> None:
        s = as_logical_store(cn.arange(6))
        assert s.get_physical_store().to_logical_store() is s
        assert s.get_physical_store().domain.hi == (5,)

    def test_from_a_body(self) -> None:
        a = np.arange(4.0)
        s = local(a).to_logical_store()
        assert isinstance(s, LogicalStore)
        a[:] = 0
        assert np.asarray(s).tolist() == [0, 1, 2, 3]


class TestOutputBuffers:
    def unbound(self, ndim: int = 1, type_: ty.Type = ty.float64) -> tuple[PhysicalStore, Parts]:
        """An unbound output and what will be bound to it."""
        sink = Parts()
        nothing = np.empty((0,) * ndim, type_.to_numpy_dtype())
        return PhysicalStore._make(nothing, ((0, 0),) * ndim, type_, sink), sink

    def test_bound_at_once(self) -> None:
        p, sink = self.unbound(2)
        buffer = p.create_output_buffer((2, 3))
        assert isinstance(buffer, TaskLocalBuffer)
        assert (buffer.dim, buffer.type) == (2, ty.float64)
        np.asarray(buffer)[...] = 5
        assert [x.tolist() for x in sink.parts] == [[[5] * 3] * 2]
        assert np.shares_memory(np.asarray(p), np.asarray(buffer))
        assert p.domain.hi == (1, 2)
        for again in (lambda: p.create_output_buffer((1, 1)), lambda: p.bind_data(buffer)):
            with pytest.raises(ValueError, match="A buffer has already been bound to the store"):
                again()

    def test_bound_later(self) -> None:
        p, sink = self.unbound()
        buffer = p.create_output_buffer((5,), bind=False)
        assert not sink.parts
        np.asarray(buffer)[...] = range(5)
        p.bind_data(buffer, (3,))
        assert [x.tolist() for x in sink.parts] == [[0, 1, 2]]

    def test_other_stores_buffer(self) -> None:
        p, _ = self.unbound()
        q, sink = self.unbound()
        q.bind_data(p.create_output_buffer((2,), bind=False))
        assert sink.parts[0].shape == (2,)

    @pytest.mark.parametrize("type_", [ty.point_type(2), ty.rect_type(1), ty.binary_type(3)], ids=str)
    def test_elements(self, type_: Any) -> None:
        p, sink = self.unbound(1, type_)
        assert p.ndim == 1
        buffer = p.create_output_buffer((4,))
        assert buffer.dim == 1
        expected = np.empty((4,), type_.to_numpy_dtype())
        assert (np.asarray(buffer).shape, np.asarray(buffer).dtype) == (expected.shape, expected.dtype)
        assert sink.parts[0].shape == expected.shape
        assert p.type == type_

    def test_refused(self) -> None:
        p, _ = self.unbound()
        q, _ = self.unbound(1, ty.int32)
        buffer = p.create_output_buffer((4,), bind=False)
        with pytest.raises(
            TypeError,
            match="Cannot bind data of type float64 to store of type int32, types are not compatible",
        ):
            q.bind_data(buffer)
        with pytest.raises(ValueError, match="Cannot bind extents"):
            p.bind_data(buffer, (5,))
        with pytest.raises(ValueError, match="Cannot bind extents"):
            p.bind_data(buffer, (1, 1))
        with pytest.raises(ValueError, match="2-D buffer for a 1-D store"):
            p.create_output_buffer((1, 1))
        bound = local(np.zeros(3))
        for bind in (lambda: bound.create_output_buffer((3,)), lambda: bound.bind_data(buffer)):
            with pytest.raises(ValueError, match="Buffer can be bound only to an unbound store"):
                bind()
