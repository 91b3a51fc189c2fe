"""The runtime's front: creating stores, attached memory, fences, tasks, facts about the process."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
import legate.core
from legate.core import (
    LEGATE_MAX_DIM,
    AutoTask,
    DimOrdering,
    ExternalAllocation,
    LogicalStore,
    ManualTask,
    ParallelPolicy,
    ReductionOpKind,
    Runtime,
    Scalar,
    Scope,
    Shape,
    StreamingMode,
    TaskContext,
    TaskInfo,
    VariantCode,
    get_legate_runtime,
)
from legate.core import types as ty

runtime = get_legate_runtime()


def shown(store: LogicalStore) -> np.ndarray:
    """A copy of what the store holds."""
    return np.asarray(store.get_physical_store()).copy()


def test_singleton() -> None:
    assert get_legate_runtime() is runtime
    assert isinstance(runtime, Runtime)
    with pytest.raises(ValueError, match="must not be constructed directly"):
        Runtime()
    assert (runtime.node_count, runtime.node_id) == (1, 0)
    assert runtime.machine == runtime.get_machine() == legate.core.get_machine()
    assert runtime.core_library.name == "legate.core"
    assert runtime.config() is not None
    assert runtime.realm_config() is not None


class TestCreate:
    def test_shapes(self) -> None:
        for shape in ((3,), [2, 3], range(1, 4), Shape((2, 2)), ()):
            assert runtime.create_store(ty.int8, shape).extents == tuple(shape)
        assert runtime.create_store(ty.int8, np.array([2, 3])).extents == (2, 3)

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({"shape": 1}, ValueError, "Expected an iterable but got <class 'int'>"),
            ({"shape": ("a", "b")}, TypeError, "an integer"),
            ({"shape": (-1,)}, OverflowError, "negative"),
            ({"shape": (1,) * (LEGATE_MAX_DIM + 1)}, IndexError, "maximum number of dimensions"),
            ({"ndim": LEGATE_MAX_DIM + 1}, IndexError, "maximum number of dimensions"),
            ({"shape": (1,), "ndim": 1}, ValueError, "ndim cannot be used with shape"),
            ({"dtype": ty.string_type, "shape": (1,)}, ValueError, "Store must have a fixed-size type"),
            ({"dtype": np.int32, "shape": (1,)}, TypeError, "expected a Legate type"),
        ],
    )
    def test_refused(self, arguments: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            runtime.create_store(**{"dtype": ty.int32, **arguments})

    def test_scalar_storage(self) -> None:
        assert runtime.create_store(ty.int8, (1,), optimize_scalar=True).has_scalar_storage
        assert not runtime.create_store(ty.int8, (2,), optimize_scalar=True).has_scalar_storage

    @pytest.mark.parametrize(
        ("value", "type_"),
        [
            (True, ty.bool_),
            (-5, ty.int16),
            (2.5, ty.float64),
            (1 + 2j, ty.complex64),
            ((1, 2.5), ty.struct_type([ty.int8, ty.float64])),
            (b"abcde", ty.binary_type(5)),
        ],
        ids=str,
    )
    def test_from_scalar(self, value: Any, type_: ty.Type) -> None:
        s = runtime.create_store_from_scalar(Scalar(value, type_))
        assert s.has_scalar_storage
        assert s.extents == (1,)
        assert s.type == type_
        assert shown(s)[0] == np.array(value, type_.to_numpy_dtype())
        assert runtime.create_store_from_scalar(Scalar(value, type_), (1, 1)).extents == (1, 1)

    def test_from_scalar_refused(self) -> None:
        with pytest.raises(
            ValueError,
            match=r"Scalar stores must have a shape of volume 1, instead got shape \[1, 2\] of volume 2",
        ):
            runtime.create_store_from_scalar(Scalar(1, ty.int64), (1, 2))
        with pytest.raises(ValueError, match="Store must have a fixed-size type"):
            runtime.create_store_from_scalar(Scalar("abcd", ty.string_type))

    def test_from_array_scalar(self) -> None:
        s = runtime.create_store_from_scalar(Scalar(np.array([3, 4]), ty.point_type(2)))
        assert s.extents == (1,)
        assert shown(s).tolist() == [[3, 4]]


class TestBuffers:
    def test_reads(self) -> None:
        for data in (np.arange(6.0).reshape(2, 3), bytearray(np.arange(6.0).tobytes())):
            for read_only in (True, False):
                s = runtime.create_store_from_buffer(ty.float64, (2, 3), data, read_only)
                assert shown(s).tolist() == [[0, 1, 2], [3, 4, 5]]
                assert not s.transformed
        s = runtime.create_store_from_buffer(ty.float64, (3,), np.arange(6.0).tobytes(), True)
        assert shown(s).tolist() == [0, 1, 2]

    def test_writes_are_seen_at_a_fence(self) -> None:
        data = np.zeros((2, 3))
        s = runtime.create_store_from_buffer(ty.float64, (2, 3), data, False)
        s[1].fill(3)
        runtime.issue_execution_fence(block=True)
        assert data.tolist() == [[0, 0, 0], [3, 3, 3]]
        copy = cn.array(s)
        s.fill(5)
        legate.fence()
        assert (data == 5).all()
        assert copy[1].tolist() == [3, 3, 3]
        mapped = np.asarray(s.get_physical_store())
        assert np.shares_memory(mapped, data)
        mapped[0, 0] = 6
        assert cn.asarray(s).sum() == 31
        assert copy.sum() == 9

    def test_dropped_handles(self) -> None:
        data = np.zeros(4)
        s = runtime.create_store_from_buffer(ty.float64, (4,), data, False)
        s.fill(2)
        del s
        legate.fence()
        assert data.tolist() == [2] * 4
        alive = weakref.ref(data)
        legate.fence()
        del data
        gc.collect()
        assert alive() is None

    def test_detach(self) -> None:
        data = np.zeros((4, 1, 3), np.int32)
        s = runtime.create_store_from_buffer(ty.int32, data.shape, data, False)
        s.fill(1)
        copy = cn.array(s)
        s.detach()
        assert (data == 1).all()
        data[...] = 9
        assert (shown(s) == 1).all()
        assert copy.sum() == 12
        s.fill(2)
        legate.fence()
        assert (data == 9).all()
        with pytest.raises(ValueError, match="Only stores created with share=true can be manually detached"):
            s.detach()

    def test_detach_refused(self) -> None:
        data = np.zeros((2, 3))
        s = runtime.create_store_from_buffer(ty.float64, (2, 3), data, False)
        with pytest.raises(ValueError, match="Manual detach must be called on the root store"):
            s[1].detach()
        for other in (
            runtime.create_store(ty.int8, (3,)),
            runtime.create_store_from_scalar(Scalar(1, ty.int8)),
        ):
            with pytest.raises(ValueError, match="Only stores created with share=true"):
                other.detach()

    def test_read_only(self) -> None:
        data = np.arange(4.0)
        s = runtime.create_store_from_buffer(ty.float64, (4,), data, True)
        assert not np.asarray(s.get_physical_store()).flags.writeable
        s.fill(7)
        legate.fence()
        assert data.tolist() == [0, 1, 2, 3]
        s = runtime.create_store_from_buffer(ty.float64, (4,), data, True)
        s.detach()
        data[...] = 9
        assert shown(s).tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("read_only", [True, False])
    def test_orderings(self, read_only: bool) -> None:
        a = np.arange(24).reshape(2, 3, 4)
        make = runtime.create_store_from_buffer
        f = make(ty.int64, a.shape, np.asfortranarray(a), read_only, DimOrdering.fortran_order())
        c = make(ty.int64, a.shape, a.copy(), read_only, DimOrdering.c_order())
        custom = np.ascontiguousarray(a.transpose(1, 2, 0))  # dimension 0 is contiguous, then 2, then 1
        k = make(ty.int64, a.shape, custom, read_only, DimOrdering.custom_order([0, 2, 1]))
        for s in (f, c, k):
            assert not s.transformed
            np.testing.assert_array_equal(shown(s), a)
            np.testing.assert_array_equal(shown(s[1, 1:]), a[1, 1:])

    def test_fortran_writes(self) -> None:
        data = np.zeros((2, 3), order="F")
        s = runtime.create_store_from_buffer(ty.float64, (2, 3), data, False, DimOrdering.fortran_order())
        s[1].fill(3)
        s.detach()
        assert data.tolist() == [[0, 0, 0], [3, 3, 3]]

    def test_carried_elements(self) -> None:
        type_ = ty.struct_type([ty.int8, ty.float64])
        data = np.zeros(3, type_.to_numpy_dtype())
        s = runtime.create_store_from_buffer(type_, (3,), data, False)
        s[1:].fill((2, 0.5))
        s.detach()
        assert data.tolist() == [(0, 0), (2, 0.5), (2, 0.5)]
        points = np.arange(6).reshape(3, 2)
        p = runtime.create_store_from_buffer(ty.point_type(2), (3,), points, True)
        assert p.extents == (3,)
        assert shown(p[1]).tolist() == [2, 3]

    def test_refused(self) -> None:
        make = runtime.create_store_from_buffer
        with pytest.raises(
            ValueError, match=r"Passed buffer is too small for a store of shape \(1024,\) and type uint64"
        ):
            make(ty.uint64, (1024,), np.array([1024]), False)
        with pytest.raises(
            TypeError, match="a bytes-like object is required, not 'builtin_function_or_method'"
        ):
            make(ty.int32, (1,), print, False)
        with pytest.raises(IndexError, match="maximum number of dimensions"):
            make(ty.int8, (1,) * (LEGATE_MAX_DIM + 1), np.zeros(1, np.int8), False)
        with pytest.raises(ValueError, match="not contiguous"):
            make(ty.int64, (2,), np.arange(4)[::2], False)
        with pytest.raises(ValueError, match="read-only"):
            make(ty.int8, (2,), b"ab", False)

    def test_empty(self) -> None:
        s = runtime.create_store_from_buffer(ty.float64, (0, 3), np.empty((0, 3)), False)
        assert shown(s).shape == (0, 3)
        s.detach()


class TestTiles:
    def test_tiles(self) -> None:
        a, b = np.arange(10), np.arange(10, 15)
        allocations = [
            (ExternalAllocation.from_sysmem(a.ctypes.data, a.nbytes, read_only=True, source=a), (0,)),
            (ExternalAllocation.from_dlpack(b, read_only=True), (1,)),
        ]
        s, tiles = runtime.create_store_from_tiles(ty.int64, (15,), (10,), allocations)
        assert shown(s).tolist() == list(range(15))
        assert tiles.color_shape == (2,)
        assert shown(tiles.get_child_store(1)).tolist() == b.tolist()
        s.detach()
        assert shown(s).tolist() == list(range(15))

    def test_matrix(self) -> None:
        a = np.arange(20.0).reshape(4, 5)
        orders: list[tuple[DimOrdering, Any]] = [
            (DimOrdering.c_order(), "C"),
            (DimOrdering.fortran_order(), "F"),
        ]
        for ordering, order in orders:
            allocations = []
            for color in np.ndindex(2, 3):
                i, j = color
                block = a[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel(order)
                allocations.append((ExternalAllocation.from_dlpack(block), color))
            s, _ = runtime.create_store_from_tiles(ty.float64, (4, 5), (2, 2), allocations, ordering)
            np.testing.assert_array_equal(shown(s), a)

    def test_sources_live_until_detached(self) -> None:
        data = np.arange(10.0)
        alive = weakref.ref(data)
        block = ExternalAllocation.from_sysmem(data.ctypes.data, data.nbytes, read_only=True, source=data)
        s, _ = runtime.create_store_from_tiles(ty.float64, (10,), (10,), [(block, (0,))])
        del data, block
        gc.collect()
        assert alive() is not None
        s.detach()
        gc.collect()
        assert alive() is None

    def test_refused(self) -> None:
        data = np.zeros(10)
        make = ExternalAllocation.from_sysmem
        good = make(data.ctypes.data, data.nbytes, read_only=True, source=data)
        bad = make(data.ctypes.data, data.nbytes, read_only=False, source=data)
        small = make(data.ctypes.data, 72, read_only=True, source=data)
        tiles = runtime.create_store_from_tiles
        with pytest.raises(ValueError, match="must be read-only"):
            tiles(ty.float64, (20,), (10,), [(good, (0,)), (bad, (1,))])
        with pytest.raises(ValueError, match="too small"):
            tiles(ty.float64, (10,), (10,), [(small, (0,))])
        with pytest.raises(ValueError, match="more than one allocation"):
            tiles(ty.float64, (10,), (10,), [(good, (0,)), (good, (0,))])
        with pytest.raises(ValueError, match="is invalid for partition of color shape"):
            tiles(ty.float64, (10,), (10,), [(good, (1,))])
        with pytest.raises(TypeError, match="Expected an external allocation"):
            tiles(ty.float64, (10,), (10,), [("not one", (0,))])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="ordering must be a DimOrdering instance"):
            tiles(ty.float64, (10,), (10,), [(good, (0,))], ordering=object())  # type: ignore[arg-type]
        assert (good.size, good.read_only, bad.read_only) == (80, True, False)
        assert good.ptr == data.ctypes.data
        with pytest.raises(ValueError, match="must not be constructed directly"):
            ExternalAllocation()


class TestFences:
    def test_blocking_and_not(self) -> None:
        x = cn.arange(10.0)
        runtime.issue_execution_fence()
        y = x + 1
        runtime.issue_mapping_fence()
        runtime.issue_execution_fence(block=True)
        assert y.sum() == 55

    def test_streaming(self) -> None:
        policy = ParallelPolicy(streaming_mode=StreamingMode.RELAXED, overdecompose_factor=2)
        with (
            Scope(parallel_policy=policy),
            pytest.raises(ValueError, match="flush_scheduling_window called from inside a streaming scope"),
        ):
            runtime.issue_execution_fence()

    def test_prefetch(self) -> None:
        s = runtime.create_store(ty.int8, (3, 3))
        runtime.prefetch_bloated_instances(s, (1, 1), (1, 1), True)
        with pytest.raises(ValueError, match="Incompatible offsets"):
            runtime.prefetch_bloated_instances(s, (1,), (1, 1))

    def test_profiling_ranges(self) -> None:
        runtime.start_profiling_range()
        runtime.stop_profiling_range("here")
        with pytest.raises(RuntimeError, match="without start_profiling_range"):
            runtime.stop_profiling_range("here")


def test_threads() -> None:
    """Threads issue operations on stores of their own, and on one they share."""
    shared = runtime.create_store(ty.int64, (4, 100))
    errors: list[BaseException] = []

    def work(k: int) -> None:
        try:
            s = runtime.create_store(ty.int64, (100,))
            for i in range(50):
                s.fill(i)
                runtime.issue_copy(shared[k], s)
                runtime.issue_copy(shared[k], s, ReductionOpKind.ADD)
            assert (shown(s) == 49).all()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert (shown(shared) == 98).all()


class TestTasks:
    library = runtime.create_library("test_runtime")

    def register(self, name: str, body: Any) -> int:
        """The id of a new task."""
        number = self.library.get_new_task_id()
        info = TaskInfo.from_variants(number, name, [(VariantCode.CPU, body)])
        self.library.register_task(info)
        return number

    def test_libraries(self) -> None:
        assert runtime.find_library("test_runtime") is self.library
        assert runtime.find_or_create_library("test_runtime") == (self.library, False)
        with pytest.raises(ValueError, match="no_such_library"):
            runtime.find_library("no_such_library")

    def test_submit(self) -> None:
        def body(ctx: TaskContext) -> None:
            np.asarray(ctx.outputs[0])[...] = 4

        number = self.register("four", body)
        s = runtime.create_store(ty.int64, (10,))
        task = runtime.create_auto_task(self.library, number)
        assert isinstance(task, AutoTask)
        task.add_output(s)
        runtime.submit(task)
        assert (shown(s) == 4).all()
        with pytest.raises(TypeError, match="Unknown type of operation: <class 'int'>"):
            runtime.submit(3)  # type: ignore[arg-type]

    def test_manual(self) -> None:
        def body(ctx: TaskContext) -> None:
            np.asarray(ctx.outputs[0])[...] = ctx.task_index[0]

        number = self.register("index", body)
        s = runtime.create_store(ty.int64, (6,))
        task = runtime.create_manual_task(self.library, number, (3,))
        assert isinstance(task, ManualTask)
        task.add_output(s.partition_by_tiling((2,)))
        runtime.submit(task)
        assert shown(s).tolist() == [0, 0, 1, 1, 2, 2]
        for arguments, text in (
            ((3,), "Launch space must be iterable"),
            (((3,), 1), "Lower bounds must be iterable"),
            (((),), "Launch domain must not be empty"),
            (((2, 0),), "Launch domain must not be empty"),
        ):
            with pytest.raises(ValueError, match=text):
                runtime.create_manual_task(self.library, number, *arguments)

    def test_tree_reduce(self) -> None:
        seen = []

        def body(ctx: TaskContext) -> None:
            seen.append(len(ctx.inputs))
            total = np.sum([np.asarray(i).sum() for i in ctx.inputs])
            out = ctx.outputs[0].create_output_buffer((1,))
            np.asarray(out)[0] = total

        number = self.register("sums", body)
        data = cn.arange(100)
        store = data.__legate_data_interface__["data"]["cuPyNumeric Array"]
        result = runtime.tree_reduce(self.library, number, store, radix=2)
        assert shown(result).tolist() == [4950]
        assert result.extents == (1,)
        assert max(seen) <= 2
        with pytest.raises(RuntimeError, match="Multi-dimensional stores are not supported"):
            runtime.tree_reduce(self.library, number, runtime.create_store(ty.int64, (1, 1)))
        with pytest.raises(ValueError, match="radix must be at least 2"):
            runtime.tree_reduce(self.library, number, store, radix=1)

    def test_unbound(self) -> None:
        def body(ctx: TaskContext) -> None:
            np.asarray(ctx.outputs[0].create_output_buffer((3, 2)))[...] = [[1, 2], [3, 4], [5, 6]]

        number = self.register("fills", body)
        s = runtime.create_store(ty.int32, ndim=2)
        task = runtime.create_auto_task(self.library, number)
        task.add_output(s)
        task.execute()
        assert not s.unbound
        assert s.extents == (3, 2)
        assert (cn.asarray(s) + 1).tolist() == [[2, 3], [4, 5], [6, 7]]
        assert shown(s.transpose((1, 0))).tolist() == [[1, 3, 5], [2, 4, 6]]

    def test_attached_memory_in_tasks(self) -> None:
        def body(ctx: TaskContext) -> None:
            np.asarray(ctx.outputs[0])[...] = np.asarray(ctx.inputs[0]) + 1

        number = self.register("next", body)
        a, b = np.arange(8.0), np.zeros(8)
        sa = runtime.create_store_from_buffer(ty.float64, (8,), a, True)
        sb = runtime.create_store_from_buffer(ty.float64, (8,), b, False)
        task = runtime.create_auto_task(self.library, number)
        task.add_input(sa)
        task.add_output(sb)
        task.add_alignment(sa, sb)
        task.execute()
        legate.fence()
        assert b.tolist() == list(range(1, 9))
        assert a.tolist() == list(range(8))

    def test_carried_elements_in_tasks(self) -> None:
        def body(ctx: TaskContext) -> None:
            points, rects = (np.asarray(o) for o in ctx.outputs)
            assert points.shape == (*rects.shape, 2)
            points[...] = 3
            low, high = ctx.outputs[1].domain
            rects["_0"] = np.arange(low[0], high[0] + 1)

        number = self.register("carried", body)
        p, r = runtime.create_store(ty.point_type(2), (100,)), runtime.create_store(ty.rect_type(1), (100,))
        task = runtime.create_auto_task(self.library, number)
        task.add_output(p)
        task.add_output(r)
        task.add_alignment(p, r)
        task.execute()
        assert (shown(p) == 3).all()
        assert shown(r)["_0"].ravel().tolist() == list(range(100))

    def test_views_as_outputs(self) -> None:
        def body(ctx: TaskContext) -> None:
            np.asarray(ctx.outputs[0])[...] += 1

        number = self.register("increment", body)
        s = runtime.create_store(ty.float64, (6, 4))
        s.fill(0)
        for view in (s[2:4].transpose((1, 0)), s.delinearize(0, (2, 3))[1], s[5]):
            task = runtime.create_auto_task(self.library, number)
            task.add_input(view)
            task.add_output(view)
            task.execute()
        assert shown(s)[:, 0].tolist() == [0, 0, 1, 2, 1, 2]
