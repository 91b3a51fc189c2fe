"""The Legate data interface, DLPack, offloading: between stores, arrays and other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
import legate
from legate.core import (
    Field,
    LegateDataInterface,
    LogicalStore,
    StoreTarget,
    as_logical_store,
    data_interface,
    from_dlpack,
    get_legate_runtime,
    offload_to,
)
from legate.core import types as ty

runtime = get_legate_runtime()


class Offer:
    """An object with a data interface."""

    def __init__(self, interface: Any) -> None:
        self.__legate_data_interface__ = interface


def store() -> LogicalStore:
    """A store of four numbers."""
    made = runtime.create_store(ty.int32, (4,))
    made.fill(3)
    return made


class TestInterface:
    def test_stores(self) -> None:
        s = store()
        assert as_logical_store(s) is s
        assert s.__legate_data_interface__ == {"version": 2, "data": {"store": s}}
        assert as_logical_store(Offer({"version": 2, "data": {"anything": s}})) is s
        assert as_logical_store(Offer({"version": 1, "data": {Field("x", s.type): s}})) is s
        assert isinstance(s, LegateDataInterface)
        assert isinstance(cn.ones(3), LegateDataInterface)
        assert not isinstance(3, LegateDataInterface)
        assert data_interface.MIN_DATA_INTERFACE_VERSION == data_interface.MAX_DATA_INTERFACE_VERSION == 2

    @pytest.mark.parametrize(
        ("interface", "error", "text"),
        [
            ({"data": {}}, TypeError, "Legate data interface missing a version number"),
            (
                {"version": "2", "data": {}},
                TypeError,
                "Legate data interface version expected an integer, got",
            ),
            ({"version": None, "data": {}}, TypeError, "version expected an integer, got"),
            ({"version": 0, "data": {}}, TypeError, "version 0 is below MIN_DATA_INTERFACE_VERSION=2"),
            ({"version": 1, "data": {"a": 1}}, TypeError, "version 1 is below MIN_DATA_INTERFACE_VERSION=2"),
            ({"version": 3, "data": {}}, NotImplementedError, "Unsupported Legate data interface version 3"),
            ({"version": 2, "data": {}}, TypeError, "Legate data object has no fields"),
            (
                {"version": 2, "data": {"a": 1, "b": 2}},
                NotImplementedError,
                "Legate data interface objects with more than one store are unsupported",
            ),
            ({"version": 2, "data": {"a": 1}}, TypeError, "expected a <class"),
        ],
    )
    def test_refused(self, interface: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            as_logical_store(Offer(interface))

    def test_without(self) -> None:
        with pytest.raises(TypeError, match="does not implement the Legate data interface"):
            as_logical_store(3)


class TestArrays:
    def test_shared(self) -> None:
        x = cn.zeros((3, 4))
        s = as_logical_store(x)
        s.fill(2)
        assert x.sum() == 24
        for make in (cn.asarray, cn.from_dlpack):
            y = make(s)
            y[0] = 0
            assert x[0].sum() == 0
            x[0] = 2
        assert as_logical_store(cn.asarray(s)).equal_storage(s)

    def test_copied(self) -> None:
        s = store()
        makers: list[Any] = [
            cn.array,
            lambda x: cn.from_dlpack(x, copy=True),
            lambda x: cn.asarray(x, cn.float64),
        ]
        for make in makers:
            y = make(s)
            y += 1
            assert y.tolist() == [4] * 4
        assert np.asarray(s).tolist() == [3] * 4

    def test_operands(self) -> None:
        s = store()
        assert cn.add(s, 1).tolist() == [4] * 4
        assert (cn.ones(4) * s).tolist() == [3] * 4
        assert cn.sum(s) == 12

    def test_views(self) -> None:
        x = cn.arange(12.0).reshape(3, 4)
        assert as_logical_store(x.T[1:, ::2]).extents == (3, 2)
        assert np.asarray(as_logical_store(x.T[1:, ::2])).tolist() == [[1, 9], [2, 10], [3, 11]]
        wide = cn.broadcast_to(cn.arange(4), (2, 4))
        assert as_logical_store(wide).extents == (2, 4)

    def test_read_only(self) -> None:
        s = runtime.create_store_from_buffer(ty.float64, (2,), np.ones(2), True)
        y = cn.asarray(s)
        assert y.sum() == 2
        with pytest.raises(ValueError, match="read-only"):
            y[0] = 1


class TestDlpack:
    def test_stores(self) -> None:
        s = store()
        assert np.from_dlpack(s).tolist() == [3] * 4
        np.from_dlpack(s.get_physical_store())[1] = 7
        assert np.asarray(s).tolist() == [3, 7, 3, 3]
        assert s.__dlpack_device__() == (1, 0)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("copy", [None, True, False])
    def test_from(self, order: Any, copy: bool | None) -> None:
        a = np.arange(6.0).reshape(2, 3).copy(order)
        s = from_dlpack(a, copy=copy)
        assert s.type == ty.float64
        assert not s.transformed
        np.testing.assert_array_equal(np.asarray(s), a)
        s.fill(1)
        legate.fence()
        assert (np.asarray(s) == 1).all()
        if copy:
            assert a[1, 2] == 5

    def test_from_others(self) -> None:
        assert np.asarray(from_dlpack(cn.arange(3))).tolist() == [0, 1, 2]
        strided = np.arange(6)[::2]
        assert np.asarray(from_dlpack(strided)).tolist() == [0, 2, 4]
        with pytest.raises(BufferError, match="not contiguous"):
            from_dlpack(strided, copy=False)
        assert from_dlpack(np.empty((0, 2))).extents == (0, 2)


class TestOffload:
    def test_host(self) -> None:
        x = cn.arange(4)
        for target in (StoreTarget.SYSMEM, StoreTarget.ZCMEM, StoreTarget.SOCKETMEM):
            offload_to(x, target=target)
            as_logical_store(x).offload_to(target)
        assert x.sum() == 6

    def test_refused(self) -> None:
        x = cn.arange(4)
        text = "Cannot offload to FBMEM without GPU/CUDA Support"
        with pytest.raises(ValueError, match=text):
            offload_to(x, target=StoreTarget.FBMEM)
        with pytest.raises(ValueError, match=text):
            as_logical_store(x).offload_to(StoreTarget.FBMEM)
        with pytest.raises(TypeError):
            offload_to(3, target=StoreTarget.SYSMEM)
