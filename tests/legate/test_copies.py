"""Copies, gathers and scatters between stores, plain and with reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
import legate
from legate.core import LogicalStore, ReductionOpKind, as_logical_store, get_legate_runtime
from legate.core import types as ty

runtime = get_legate_runtime()

UFUNCS = {
    ReductionOpKind.ADD: np.add,
    ReductionOpKind.MUL: np.multiply,
    ReductionOpKind.MAX: np.maximum,
    ReductionOpKind.MIN: np.minimum,
    ReductionOpKind.OR: np.bitwise_or,
    ReductionOpKind.AND: np.bitwise_and,
    ReductionOpKind.XOR: np.bitwise_xor,
}


def store_of(array: Any) -> LogicalStore:
    """A store with a copy of the array."""
    return as_logical_store(cn.array(np.asarray(array)))


def points_of(indices: np.ndarray) -> LogicalStore:
    """A store of points, whose coordinates lie along the last axis of `indices`."""
    type_ = ty.point_type(indices.shape[-1])
    return runtime.create_store_from_buffer(type_, indices.shape[:-1], np.ascontiguousarray(indices), True)


def shown(store: LogicalStore) -> np.ndarray:
    """A copy of what the store holds."""
    return np.asarray(store.get_physical_store()).copy()


class TestCopy:
    def test_whole_and_views(self) -> None:
        a = np.arange(12.0).reshape(3, 4)
        s, t = store_of(a), store_of(np.zeros((4, 3)))
        runtime.issue_copy(t, s.transpose((1, 0)))
        np.testing.assert_array_equal(shown(t), a.T)
        runtime.issue_copy(t[:2, :2], s[1:, :2])
        assert shown(t)[:2, :2].tolist() == a[1:, :2].tolist()

    def test_values_not_memory(self) -> None:
        s, t = store_of(np.arange(4)), store_of(np.zeros(4, int))
        runtime.issue_copy(t, s)
        s.fill(9)
        assert shown(t).tolist() == [0, 1, 2, 3]
        assert shown(s).tolist() == [9] * 4

    def test_overlapping(self) -> None:
        s = store_of(np.arange(6))
        runtime.issue_copy(s[1:], s[:5])
        assert shown(s).tolist() == [0, 0, 1, 2, 3, 4]

    @pytest.mark.parametrize("op", UFUNCS, ids=lambda op: op.name)
    @pytest.mark.parametrize("type_", [ty.int32, ty.uint8, ty.bool_, ty.float64], ids=str)
    def test_reductions(self, op: ReductionOpKind, type_: ty.Type) -> None:
        if type_ == ty.float64 and op in (ReductionOpKind.OR, ReductionOpKind.AND, ReductionOpKind.XOR):
            with pytest.raises(ValueError, match="does not exist for type float64"):
                runtime.issue_copy(store_of(np.zeros(3)), store_of(np.zeros(3)), op)
            return
        rng = np.random.default_rng(1)
        a, b = (rng.integers(0, 5, (4, 3)).astype(type_.to_numpy_dtype()) for _ in range(2))
        expected = UFUNCS[op](a, b)
        for redop in (op, int(op), type_.reduction_op_id(op)):
            t = store_of(a)
            runtime.issue_copy(t, store_of(b), redop)
            np.testing.assert_array_equal(shown(t), expected)

    def test_refused(self) -> None:
        s = store_of(np.zeros((2, 3)))
        with pytest.raises(ValueError, match="Source and target must have the same type"):
            runtime.issue_copy(s, store_of(np.zeros((2, 3), np.float32)))
        with pytest.raises(ValueError, match="Alignment requires the stores to have the same shape"):
            runtime.issue_copy(s, store_of(np.zeros((3, 2))))
        with pytest.raises(ValueError, match="Reduction op 255 does not exist"):
            runtime.issue_copy(s, s, 255)
        with pytest.raises(ValueError, match="Copy accepts only normal"):
            runtime.issue_copy(s, runtime.create_store(ty.float64))
        with pytest.raises(ValueError, match="repeated elements"):
            runtime.issue_copy(store_of(np.zeros(3)).promote(0, 2), s)


class TestIndirect:
    rng = np.random.default_rng(2)
    a = rng.random((5, 6))
    at = np.stack([rng.permutation(30)[:8] // 6, rng.permutation(30)[:8] % 6], axis=-1)
    distinct = np.stack(np.unravel_index(rng.permutation(30)[:8], (5, 6)), axis=-1)

    def test_gather(self) -> None:
        expected = self.a[self.at[:, 0], self.at[:, 1]]
        t = store_of(np.ones(8))
        runtime.issue_gather(t, store_of(self.a), points_of(self.at))
        np.testing.assert_array_equal(shown(t), expected)
        runtime.issue_gather(t, store_of(self.a), points_of(self.at), ReductionOpKind.ADD)
        np.testing.assert_array_equal(shown(t), expected * 2)

    def test_scatter(self) -> None:
        values = self.rng.random(8)
        expected = self.a.copy()
        expected[tuple(self.distinct.T)] = values
        t = store_of(self.a)
        runtime.issue_scatter(t, points_of(self.distinct), store_of(values))
        np.testing.assert_array_equal(shown(t), expected)

    def test_scatter_reduction(self) -> None:
        values = self.rng.random(8)
        for op in (ReductionOpKind.ADD, ReductionOpKind.MAX):
            expected = self.a.copy()
            UFUNCS[op].at(expected, tuple(self.at.T), values)
            t = store_of(self.a)
            runtime.issue_scatter(t, points_of(self.at), store_of(values), op)
            np.testing.assert_array_equal(shown(t), expected)

    def test_scatter_gather(self) -> None:
        expected = np.zeros((5, 6))
        expected[tuple(self.distinct.T)] = self.a[tuple(self.at.T)]
        t = store_of(np.zeros((5, 6)))
        runtime.issue_scatter_gather(t, points_of(self.distinct), store_of(self.a), points_of(self.at))
        np.testing.assert_array_equal(shown(t), expected)

    def test_integers_and_shapes(self) -> None:
        where = np.array([[2, 0], [1, 2]])
        t = store_of(np.zeros((2, 2), np.int32))
        runtime.issue_gather(t, store_of(np.array([10, 20, 30], np.int32)), store_of(where))
        assert shown(t).tolist() == [[30, 10], [20, 30]]

    def test_in_place_and_order(self) -> None:
        s = store_of(np.arange(4))
        back = store_of(np.arange(4)[::-1].copy())
        runtime.issue_gather(s, s, back)
        assert shown(s).tolist() == [3, 2, 1, 0]
        runtime.issue_gather(s[:2], s[2:], store_of([1, 0]))
        s.fill(7)
        runtime.issue_scatter(s, store_of([3]), store_of([5]))
        assert (cn.asarray(s) + 1).tolist() == [8, 8, 8, 6]

    def test_carried_elements(self) -> None:
        points = points_of(np.arange(8).reshape(4, 2))
        t = runtime.create_store(ty.point_type(2), (2,))
        runtime.issue_gather(t, points, store_of([3, 1]))
        assert shown(t).tolist() == [[6, 7], [2, 3]]

    def test_out_of_bounds(self) -> None:
        t = store_of(np.zeros(2))
        runtime.issue_gather(t, store_of(np.zeros(3)), store_of([0, 3]))
        with pytest.raises(IndexError, match=r"point coordinate 3 is out of bounds \[0, 3\)") as caught:
            legate.fence()
        assert "test_copies.py" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError):
            shown(t)
        u = store_of(np.zeros(3))
        runtime.issue_scatter(u, store_of([-1]), store_of(np.zeros(1)))
        with pytest.raises(IndexError, match="point coordinate -1"):
            legate.fence()

    def test_refused(self) -> None:
        f = store_of(np.zeros((3, 1, 3)))
        with pytest.raises(ValueError, match="Indirection store should contain 3-D points"):
            runtime.issue_gather(f, f, f)
        with pytest.raises(ValueError, match="Indirection store should contain 3-D points"):
            runtime.issue_scatter(f, points_of(np.zeros((2, 2), int)), f)
        p = points_of(np.zeros((4, 3), int))
        with pytest.raises(ValueError, match="Source indirection store should contain 3-D points"):
            runtime.issue_scatter_gather(f, p, f, f)
        with pytest.raises(ValueError, match="Target indirection store should contain 3-D points"):
            runtime.issue_scatter_gather(f, f, f, p)
        with pytest.raises(ValueError, match="Source and targets must have the same type"):
            runtime.issue_gather(store_of(np.zeros(4, np.float32)), f, p)
        with pytest.raises(ValueError, match="Alignment requires the stores to have the same shape"):
            runtime.issue_gather(store_of(np.zeros(5)), f, p)
        with pytest.raises(ValueError, match="Gather accepts only normal"):
            runtime.issue_gather(runtime.create_store(ty.float64), f, p)
