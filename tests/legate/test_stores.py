"""Logical stores: properties, views against NumPy's, aliasing, the memory under them."""

from __future__ import annotations

import gc
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import cupynumeric as cn
import legate
from legate.core import (
    LEGATE_MAX_DIM,
    LogicalArray,
    LogicalStore,
    Scalar,
    Shape,
    StoreTarget,
    as_logical_store,
    get_legate_runtime,
)
from legate.core import types as ty

runtime = get_legate_runtime()


def store_of(array: np.ndarray) -> LogicalStore:
    """A store with a copy of the array."""
    return as_logical_store(cn.array(array))


def shown(store: LogicalStore) -> np.ndarray:
    """A copy of what the store holds."""
    return np.asarray(store.get_physical_store()).copy()


class TestProperties:
    def test_bound(self) -> None:
        s = runtime.create_store(ty.int32, (3, 4))
        assert s.shape == (3, 4)
        assert isinstance(s.shape, Shape)
        assert s.extents == (3, 4)
        assert (s.ndim, s.volume, s.size) == (2, 12, 12)
        assert s.type == ty.int32
        assert not s.unbound
        assert not s.transformed
        assert not s.has_scalar_storage
        assert s.partition is None
        assert "int32" in repr(s)

    def test_array_names(self) -> None:
        s = runtime.create_array(ty.float32, (2,))
        assert isinstance(s, LogicalArray)
        assert s.data is s
        assert s.nullable is False
        assert LogicalArray.from_store(s) is s
        like = runtime.create_array_like(s)
        assert (like.type, like.extents) == (s.type, s.extents)
        assert runtime.create_array_like(s, ty.int8).type == ty.int8
        with pytest.raises(NotImplementedError):
            runtime.create_array(ty.int8, (2,), nullable=True)
        with pytest.raises(NotImplementedError):
            runtime.create_struct_array(ty.int8, (2,))

    def test_unbound(self) -> None:
        s = runtime.create_store(ty.float64, ndim=2)
        assert s.unbound
        assert s.ndim == 2
        assert not s.transformed
        assert "unbound" in repr(s)
        assert s.shape.ndim == 2
        assert "unbound" in repr(s.shape)
        for ask in (
            lambda: s.extents,
            lambda: s.volume,
            lambda: s.shape[0],
            lambda: s.promote(0, 1),
            lambda: s.slice(0, slice(1)),
        ):
            with pytest.raises(ValueError, match="uninitialized unbound store"):
                ask()
        with pytest.raises(ValueError, match="Unbound store cannot be inlined mapped"):
            s.get_physical_store()
        with pytest.raises(ValueError, match="manually detached"):
            s.detach()

    def test_not_constructible(self) -> None:
        with pytest.raises(ValueError, match="must not be constructed directly"):
            LogicalStore()


class TestViews:
    a = np.arange(24.0).reshape(2, 3, 4)

    def test_each(self) -> None:
        a, s = self.a, store_of(self.a)
        pairs: list[tuple[LogicalStore, Any]] = [
            (s.promote(1, 5), np.broadcast_to(a[:, None], (2, 5, 3, 4))),
            (s.promote(3, 1), a[..., None]),
            (s.promote(-1, 1), a[:, :, None]),
            (s.promote(0, 0), np.empty((0, 2, 3, 4))),
            (s.project(1, 2), a[:, 2]),
            (s.project(-1, 3), a[..., 3]),
            (s.slice(1, slice(1, None)), a[:, 1:]),
            (s.slice(-1, slice(-3, -1)), a[..., -3:-1]),
            (s.slice(2, slice(3, 1)), a[:, :, 3:1]),
            (s.slice(0, slice(None)), a),
            (s.transpose((2, 0, 1)), a.transpose(2, 0, 1)),
            (s.delinearize(2, (2, 2)), a.reshape(2, 3, 2, 2)),
            (s.delinearize(-1, (4, 1)), a.reshape(2, 3, 4, 1)),
            (s.project(0, 0).promote(0, 1).broadcast(0, 3), np.broadcast_to(a[0], (3, 3, 4))),
            (s[1], a[1]),
            (s[1, 2, 3], a[1, 2, 3]),
            (s[:, 1:, 2], a[:, 1:, 2]),
            (s[None, :, 1], a[None, :, 1]),
            (s[(None,)], a[None]),
        ]
        for view, expected in pairs:
            assert view.extents == expected.shape
            np.testing.assert_array_equal(shown(view), expected)

    def test_empty_and_zero_dimensional(self) -> None:
        e = store_of(np.empty((1, 0, 4)))
        assert shown(e.delinearize(1, (0,))).shape == (1, 0, 4)
        assert shown(e.transpose((2, 1, 0))).shape == (4, 0, 1)
        z = runtime.create_store(ty.int64, ())
        z.fill(3)
        assert z.ndim == 0
        assert shown(z.promote(0, 4)).tolist() == [3, 3, 3, 3]

    @pytest.mark.parametrize(
        ("make", "error", "text"),
        [
            (lambda s: s.promote(4, 1), ValueError, "Invalid promotion on dimension 4 for a 3-D store"),
            (lambda s: s.promote(0, -1), OverflowError, "negative"),
            (lambda s: s.project(3, 0), ValueError, "Invalid projection on dimension 3 for a 3-D store"),
            (lambda s: s.project(1, 5), ValueError, r"Projection index 5 is out of bounds \[0, 3\)"),
            (lambda s: s.project(1, -1), ValueError, r"Projection index -1 is out of bounds \[0, 3\)"),
            (lambda s: s.broadcast(3, 2), ValueError, "Invalid broadcast on dimension 3 for a 3-D store"),
            (
                lambda s: s.broadcast(1, 2),
                ValueError,
                "Invalid broadcast on dimension 1: expected size 1 but got 3",
            ),
            (
                lambda s: s.slice(3, slice(1)),
                ValueError,
                "Invalid slicing of dimension 3 for a 3-D store",
            ),
            (lambda s: s.slice(0, slice(0, 5)), ValueError, r"Out-of-bounds slicing \[0, 5\] on dimension 0"),
            (lambda s: s.slice(0, slice(0, None, 2)), NotImplementedError, "Unsupported slice"),
            (lambda s: s.slice(0, slice(0, None, -1)), NotImplementedError, "Unsupported slice"),
            (lambda s: s.slice(0, slice(0, None, "1")), NotImplementedError, "Unsupported slice"),
            (lambda s: s.transpose((0, 1)), ValueError, "Dimension Mismatch: expected 3 axes, but got 2"),
            (lambda s: s.transpose((0, 1, 1)), ValueError, "Duplicate axes found"),
            (lambda s: s.transpose((1, 2, 3)), ValueError, "Invalid axis 3 for a 3-D store"),
            (lambda s: s.transpose(1), ValueError, "Expected an iterable but got <class 'int'>"),
            (
                lambda s: s.delinearize(3, (1, 2)),
                ValueError,
                "Invalid delinearization on dimension 3 for a 3-D store",
            ),
            (
                lambda s: s.delinearize(2, (3, 1)),
                ValueError,
                r"Dimension of size 4 cannot be delinearized into \(3, 1\)",
            ),
            (lambda s: s.delinearize(2, (2, 2, 0)), ValueError, "cannot be delinearized into"),
            (lambda s: s["x"], TypeError, "cannot be interpreted as an integer"),
        ],
    )
    def test_refused(self, make: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            make(store_of(self.a))


@st.composite
def chains(draw: Any) -> list[tuple[str, Any]]:
    """Steps of a chain of views, as names and fractions that any extents make sense of."""
    kinds = st.sampled_from(["slice", "project", "promote", "transpose", "delinearize", "broadcast"])
    numbers = st.integers(0, 1000)
    steps: list[tuple[str, Any]] = draw(
        st.lists(st.tuples(kinds, st.tuples(numbers, numbers, numbers)), max_size=5)
    )
    return steps


def repeated(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """A writable view of the array with its axis of extent 1 repeated."""
    shape, strides = list(array.shape), list(array.strides)
    shape[axis], strides[axis] = size, 0
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def walk(store: LogicalStore, array: np.ndarray, steps: list[tuple[str, Any]]) -> tuple[LogicalStore, Any]:
    """The same chain of views of a store and of an array."""
    for kind, (i, j, k) in steps:
        n = array.ndim
        if kind == "promote" and n < 5:
            d, size = i % (n + 1), 1 + j % 2
            store = store.promote(d, size)
            array = repeated(np.expand_dims(array, d), d, size)
            continue
        if not n:
            continue
        d = i % n
        extent = array.shape[d]
        if kind == "slice":
            lo, hi = sorted((j % (extent + 1), k % (extent + 1)))
            store, array = store.slice(d, slice(lo, hi)), array[(slice(None),) * d + (slice(lo, hi),)]
        elif kind == "project" and extent:
            store, array = store.project(d, j % extent), array[(slice(None),) * d + (j % extent, ...)]
        elif kind == "transpose":
            axes = tuple(np.random.default_rng(j).permutation(n).tolist())
            store, array = store.transpose(axes), array.transpose(axes)
        elif kind == "delinearize" and extent and n < 5:
            part = next(p for p in (3, 2, 1) if extent % p == 0)
            shape = (*array.shape[:d], extent // part, part, *array.shape[d + 1 :])
            store = store.delinearize(d, (extent // part, part))
            array = np.lib.stride_tricks.as_strided(
                array, shape, (*array.strides[:d], part * array.strides[d], *array.strides[d:])
            )
        elif kind == "broadcast" and extent == 1:
            store = store.broadcast(d, 3)
            array = repeated(array, d, 3)
    return store, array


class TestAliasing:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(chains(), chains())
    def test_any_views(self, first: list[tuple[str, Any]], second: list[tuple[str, Any]]) -> None:
        a = np.arange(72.0).reshape(4, 3, 6)
        base = store_of(a)
        one, one_array = walk(base, a, first)
        two, two_array = walk(base, a, second)
        np.testing.assert_array_equal(shown(one), one_array)
        one.fill(-1.0)
        one_array[...] = -1
        np.testing.assert_array_equal(shown(two), two_array)
        np.testing.assert_array_equal(shown(base), a)

    def test_fill_through_repeated_elements(self) -> None:
        a = runtime.create_store(ty.float64, (2, 3))
        a.fill(0)
        a[1].promote(0, 4).fill(7)
        assert shown(a).tolist() == [[0, 0, 0], [7, 7, 7]]

    def test_with_arrays(self) -> None:
        x = cn.arange(12.0).reshape(3, 4)
        s = as_logical_store(x[1:])
        s[0].fill(-1)
        assert x[1].tolist() == [-1] * 4
        x[2] = 5
        assert shown(s).tolist() == [[-1] * 4, [5] * 4]
        y = cn.asarray(s)
        y += 1
        assert x[2].tolist() == [6] * 4
        z = cn.array(s)
        z += 1
        assert x[2].tolist() == [6] * 4

    def test_overlaps_and_storage(self) -> None:
        s = store_of(np.arange(10))
        assert s.overlaps(s)
        assert s[:4].overlaps(s[3:])
        assert not s[:4].overlaps(s[4:])
        assert not s[2:2].overlaps(s)
        assert not s.overlaps(store_of(np.arange(10)))
        assert s.equal_storage(s.promote(0, 2))
        assert s.equal_storage(s.delinearize(0, (2, 5)))
        assert s.delinearize(0, (2, 5)).transpose((1, 0)).equal_storage(s)
        assert not s.equal_storage(s[:5])
        assert s[:5].equal_storage(s[:5].promote(0, 1))
        assert s[2:][:3].equal_storage(s[2:5])
        assert not s.equal_storage(store_of(np.arange(10)))
        assert s[1:].transformed
        u = runtime.create_store(ty.int64)
        assert u.overlaps(u)
        assert not u.overlaps(s)
        assert not u.equal_storage(s)


class TestMapped:
    def test_writes_are_the_stores(self) -> None:
        s = runtime.create_store(ty.float64, (2, 3))
        s.fill(1)
        array = np.asarray(s.get_physical_store())
        array[0] = 4
        again = np.asarray(s.get_physical_store())
        assert np.shares_memory(array, again)
        again[1, 0] = 9
        t = runtime.create_store(ty.float64, (2, 3))
        runtime.issue_copy(t, s)
        assert shown(t).tolist() == [[4, 4, 4], [9, 1, 1]]
        assert cn.asarray(s).sum() == 23

    def test_later_values_are_elsewhere(self) -> None:
        s = runtime.create_store(ty.int32, (4,))
        s.fill(1)
        array = np.asarray(s.get_physical_store())
        s.fill(2)
        legate.fence()
        assert array.tolist() == [1] * 4
        assert shown(s).tolist() == [2] * 4

    def test_copies_keep_their_values(self) -> None:
        s, t = (runtime.create_store(ty.int32, (4,)) for _ in range(2))
        s.fill(1)
        array = np.asarray(s.get_physical_store())
        runtime.issue_copy(t, s)
        legate.fence()
        np.asarray(s.get_physical_store())[:] = 5
        assert shown(t).tolist() == [1] * 4
        assert shown(s).tolist() == [5] * 4
        assert array.tolist() == [1] * 4

    def test_store_itself_is_an_array(self) -> None:
        s = store_of(np.arange(6.0).reshape(2, 3))
        array = np.asarray(s[:, 1:].transpose((1, 0)))
        array[0, 0] = 50
        assert shown(s)[0, 1] == 50
        s.fill(0)
        del s
        gc.collect()
        assert array.tolist() == [[50, 4], [2, 5]]
        np.asarray(as_logical_store(cn.arange(6)[::-2]))
        assert np.asarray(as_logical_store(cn.arange(6)[::-2])).tolist() == [5, 3, 1]
        assert np.asarray(store_of(np.empty((0, 3)))).shape == (0, 3)
        with pytest.raises(ValueError, match="does not support the CUDA array interface"):
            _ = store_of(np.arange(3)).__cuda_array_interface__

    def test_targets(self) -> None:
        s = store_of(np.arange(3))
        assert s.get_physical_store(StoreTarget.SYSMEM).target is StoreTarget.SYSMEM
        with pytest.raises(ValueError, match="without GPU/CUDA Support"):
            s.get_physical_store(StoreTarget.FBMEM)

    def test_no_strides(self) -> None:
        x = cn.arange(24.0).reshape(4, 6)
        s = as_logical_store(x).transpose((1, 0)).delinearize(0, (2, 3))
        np.testing.assert_array_equal(shown(s), np.arange(24.0).reshape(4, 6).T.reshape(2, 3, 4))


class TestElements:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (ty.struct_type([ty.int8, ty.float64]), (3, 2.5)),
            (ty.struct_type([ty.int8, ty.float64], align=False), (3, 2.5)),
            (ty.struct_type([ty.int32]), (7,)),
            (ty.binary_type(5), b"abcde"),
            (ty.binary_type(16), b"0123456789abcdef"),
        ],
        ids=str,
    )
    def test_carried(self, type_: ty.Type, value: Any) -> None:
        dtype = type_.to_numpy_dtype()
        s = runtime.create_store(type_, (3, 2))
        s.fill(Scalar(value, type_))
        expected = np.full((3, 2), np.array(value, dtype))
        assert s.ndim == 2
        assert s.extents == (3, 2)
        assert s.type == type_
        assert np.asarray(s.get_physical_store()).dtype == dtype
        assert (shown(s) == expected).all()
        view = s.transpose((1, 0))[1, 1:].promote(0, 2)
        assert view.extents == (2, 2)
        assert (np.asarray(view) == expected[:2]).all()
        t = runtime.create_store(type_, (3, 2))
        runtime.issue_copy(t, s)
        assert (shown(t) == expected).all()
        d = t.delinearize(0, (1, 3))
        assert (shown(d) == expected[None]).all()
        assert np.asarray(t.get_physical_store().get_inline_allocation()).dtype == dtype

    def test_points_and_rectangles(self) -> None:
        p = runtime.create_store(ty.point_type(3), (4,))
        points = np.asarray(p.get_physical_store())
        assert points.shape == (4, 3)
        points[...] = np.arange(12).reshape(4, 3)
        assert shown(p[1:3]).tolist() == [[3, 4, 5], [6, 7, 8]]
        assert p.get_physical_store().ndim == 1
        assert runtime.create_store(ty.point_type(1), (4,)).get_physical_store().ndim == 1
        r = runtime.create_store(ty.rect_type(2), (5,))
        rects = np.asarray(r.get_physical_store())
        assert rects.dtype == ty.rect_type(2).to_numpy_dtype()
        rects["_0"] = 1
        assert (shown(r)["_0"] == 1).all()
        m = runtime.create_store(ty.array_type(ty.array_type(ty.int16, 2), 3), (4,))
        assert shown(m).shape == (4, 3, 2)
        assert m.extents == (4,)

    def test_unknown_to_arrays(self) -> None:
        s = runtime.create_store(ty.struct_type([ty.int32, ty.int32]), (2,))
        s.fill((1, 2))
        assert np.asarray(cn.asarray(s)).tolist() == [(1, 2), (1, 2)]


class TestFill:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (ty.bool_, True),
            (ty.int8, -3),
            (ty.uint64, 2**63),
            (ty.float16, 1.5),
            (ty.float32, 3),
            (ty.complex64, 1 + 2j),
            (ty.float64, np.float64(2.5)),
        ],
        ids=str,
    )
    def test_types(self, type_: ty.Type, value: Any) -> None:
        s = runtime.create_store(type_, (2, 3))
        s.fill(value)
        assert shown(s).dtype == type_.to_numpy_dtype()
        assert (shown(s) == np.array(value, type_.to_numpy_dtype())).all()
        s[1].fill(Scalar(np.zeros((), type_.to_numpy_dtype()), type_))
        assert not shown(s)[1].any()

    def test_scalar_stores(self) -> None:
        value = runtime.create_store_from_scalar(Scalar(4.5, ty.float64), (1, 1))
        assert value.has_scalar_storage
        s = runtime.create_store(ty.float64, (2, 3))
        s.fill(value)
        assert (shown(s) == 4.5).all()
        value.fill(1)
        s[0].fill(value)
        assert shown(s)[:, 0].tolist() == [1, 4.5]
        points = runtime.create_store(ty.point_type(2), (3,))
        point = runtime.create_store(ty.point_type(2), (1,), optimize_scalar=True)
        assert point.has_scalar_storage
        np.asarray(point.get_physical_store())[...] = (5, 6)
        points.fill(point)
        assert shown(points).tolist() == [[5, 6]] * 3

    def test_refused(self) -> None:
        s = runtime.create_store(ty.float64, (2, 3))
        with pytest.raises(ValueError, match="Fill lhs cannot be an unbound store"):
            runtime.create_store(ty.float64).fill(1)
        with pytest.raises(ValueError, match="Fill value should be a Future-backed scalar store"):
            s.fill(runtime.create_store(ty.float64, (1,)))
        with pytest.raises(ValueError, match="Fill value and target must have the same type"):
            s.fill(Scalar(1, ty.int64))
        with pytest.raises(ValueError, match="Fill value and target must have the same type"):
            s.fill(runtime.create_store_from_scalar(Scalar(1, ty.int64)))
        for nothing in (None, Scalar.null()):
            with pytest.raises(ValueError, match="Non-nullable arrays cannot be filled with null"):
                s.fill(nothing)


def test_most_axes() -> None:
    """Views may have more axes than stores that are created."""
    s = runtime.create_store(ty.int8, range(1, LEGATE_MAX_DIM + 1))
    s.fill(1)
    assert shown(s.promote(0, 2)).sum() == 2 * s.volume
