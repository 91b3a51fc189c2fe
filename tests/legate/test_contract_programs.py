"""Habits of programs written for Legate: what they do without a fence, inside bodies, with the wrong number of arguments."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from faults.child import succeeds

import cupynumeric as cn
from legate.core import (
    LEGATE_MAX_DIM,
    LogicalStore,
    Scalar,
    StoreTarget,
    TaskContext,
    TaskInfo,
    VariantCode,
    align,
    broadcast,
    get_legate_runtime,
    types,
)
from legate.core.task import ADD, InputStore, OutputStore, ReductionStore, VariantInvoker, task

runtime = get_legate_runtime()


def on(array: np.ndarray) -> LogicalStore:
    """A store on an array's memory."""
    return runtime.create_store_from_buffer(
        types.Type.from_numpy_dtype(array.dtype), array.shape, array, read_only=False
    )


def stored(value: int = 3) -> LogicalStore:
    store = runtime.create_store(types.int64, (10,))
    store.fill(value)
    return store


@task(variants=tuple(VariantCode))
def double(x: InputStore, y: OutputStore) -> None:
    np.asarray(y.get_inline_allocation())[...] = 2 * np.asarray(x.get_inline_allocation())


@task(variants=tuple(VariantCode), constraints=broadcast("total"))
def add_up(x: InputStore, total: ReductionStore[ADD]) -> None:
    np.asarray(total)[:] += np.asarray(x).sum()


class TestBuffers:
    """What is written to a store on the program's memory is there when the call returns."""

    @pytest.mark.parametrize("shape", [(), (5,), (3, 1, 3), (200, 300), (0,), (2, 0)])
    def test_tasks(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(3)
        x, y = rng.random(shape), np.full(shape, np.nan)
        double(on(x), on(y))
        np.testing.assert_array_equal(y, 2 * x)

    def test_auto_and_manual_tasks(self) -> None:
        x, y, z = np.arange(6.0), np.zeros(6), np.zeros(6)
        auto = runtime.create_auto_task(runtime.core_library, double.task_id)
        auto.add_input(on(x))
        auto.add_output(on(y))
        auto.execute()
        manual = runtime.create_manual_task(runtime.core_library, double.task_id, (3,))
        manual.add_input(on(x).partition_by_tiling((2,)))
        manual.add_output(on(z).partition_by_tiling((2,)))
        manual.execute()
        np.testing.assert_array_equal([y, z], [2 * x, 2 * x])

    def test_reductions(self) -> None:
        total = np.full(1, 100.0)
        add_up(on(np.arange(10.0)), on(total))
        assert total[0] == 145

    def test_views(self) -> None:
        y = np.zeros((4, 6))
        double(on(np.ones((2, 3))), on(y)[1:3, 2:5])
        np.testing.assert_array_equal(y, np.pad(np.full((2, 3), 2.0), ((1, 1), (2, 1))))

    @pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "c16", "S26"])
    def test_copies_and_fills(self, dtype: str) -> None:
        x, y, z = (np.full((3, 4), value).astype(dtype) for value in (1, 0, 0))
        runtime.issue_copy(on(y), on(x))
        runtime.issue_fill(on(z), x[0, 0] if dtype != "S26" else Scalar(x[:1, 0], types.binary_type(26)))
        np.testing.assert_array_equal([y, z], [x, x])

    def test_gathers_and_scatters(self) -> None:
        x, places = np.arange(5.0), np.array([4, 0, 2, 2])
        y, z = np.zeros(4), np.zeros(5)
        runtime.issue_gather(on(y), on(x), on(places))
        runtime.issue_scatter(on(z), on(places[:3].copy()), on(x[:3].copy()))
        np.testing.assert_array_equal(y, x[places])
        np.testing.assert_array_equal(z, [1, 0, 2, 0, 0])

    @pytest.mark.one_rank
    def test_other_stores_stay_lazy(self) -> None:
        ran = []

        @task
        def told(y: OutputStore) -> None:
            ran.append(1)

        attached = on(np.zeros(3))
        told(cn.zeros(3))
        assert not ran
        told(attached)
        assert len(ran) == 2

    def test_failures_leave_the_runtime_usable(self) -> None:
        @task
        def fails(y: OutputStore) -> None:
            raise KeyError("no")

        y = np.zeros(3)
        with pytest.raises(KeyError):
            fails(on(y))
        runtime.issue_execution_fence(block=True)
        double(on(np.ones(3)), on(y))
        np.testing.assert_array_equal(y, 2)


class TestArraysInBodies:
    """A body may use the array library on its stores; NumPy computes it there and then."""

    PROGRAM = """
        import numpy as np
        import cupynumeric as cn
        from legate.core import get_legate_runtime
        from legate.core.task import InputStore, OutputStore, task

        @task
        def add(a: InputStore, b: InputStore, out: OutputStore) -> None:
            cn.add(cn.asarray(a), cn.asarray(b), out=cn.asarray(out))

        @task
        def several(a: InputStore, out: OutputStore) -> None:
            x = cn.asarray(a)
            ones = cn.matmul(cn.ones((2, 2)), cn.eye(2))
            scale = cn.linalg.norm(x) * 0 + cn.add.reduce(ones, axis=None) / 4
            cn.asarray(out)[:] = cn.where(x > 2, cn.sqrt(x), -x) * scale

        for n in (5, 100_000):
            a, b = cn.arange(n, dtype=np.float64), cn.full(n, 2.0)
            out, more = cn.empty_like(a), cn.empty_like(a)
            add(a, b, out)
            several(a, more)
            x = np.arange(n)
            np.testing.assert_array_equal(out, x + 2)
            np.testing.assert_array_equal(more, np.where(x > 2, np.sqrt(x), -x))
            np.testing.assert_array_equal(cn.add(a, cn.sqrt(b)), x + np.sqrt(2.0))
        """

    @pytest.mark.parametrize("cpus", [1, 3])
    def test_functions(self, cpus: int) -> None:
        succeeds(self.PROGRAM, LEGATE_CONFIG=f"--cpus {cpus}")


class TestTasksInBodies:
    """A body may call tasks on the parts it was given: they run at once, on the same memory."""

    @pytest.mark.parametrize("n", [10, 100_000])
    def test_in_a_chain(self, n: int) -> None:
        @task(constraints=(align("x", "middle", "y"), broadcast("total")))
        def outer(x: InputStore, middle: OutputStore, y: OutputStore, total: ReductionStore[ADD]) -> None:
            source, between, end = (s.to_logical_store() for s in (x, middle, y))
            assert (source.ndim, source.type, source.extents) == (x.ndim, x.type, x.shape)
            assert source.shape == x.shape and not source.unbound
            double(source, between)
            double(between, end)
            add_up(end, total.to_logical_store())
            add_up(end, total.to_logical_store())

        x, middle, y, total = cn.arange(n, dtype=float), cn.zeros(n), cn.zeros(n), cn.full(1, 7.0)
        outer(x, middle, y, total)
        np.testing.assert_array_equal(middle, 2 * np.arange(n))
        np.testing.assert_array_equal(y, 4 * np.arange(n))
        assert float(total[0]) == 7 + 8 * sum(range(n))

    def test_scalars_context_and_unbound(self) -> None:
        seen = []

        @task
        def inner(ctx: TaskContext, n: int, out: OutputStore, none: InputStore | None = None) -> None:
            seen.append((ctx.task_index, ctx.is_single_task(), [s.value() for s in ctx.scalars], none))
            np.asarray(out.create_output_buffer((n,)))[:] = n

        @task
        def outer(out: OutputStore) -> None:
            inner(4, out.to_logical_store())

        store = runtime.create_store(types.int64)
        outer(store)
        np.testing.assert_array_equal(store, [4] * 4)
        assert seen == [((), True, [4], None)]

    def test_inputs_are_read_only(self) -> None:
        @task
        def outer(x: InputStore) -> None:
            double(x.to_logical_store(), x.to_logical_store())

        outer(cn.zeros(3))
        with pytest.raises(ValueError, match="'y' is written, but the body may only read this store"):
            runtime.issue_execution_fence(block=True)

    def test_errors_come_from_the_body(self) -> None:
        @task
        def fails() -> None:
            raise KeyError("inner")

        @task
        def outer() -> None:
            with pytest.raises(KeyError, match="inner"):
                fails()

        outer()
        runtime.issue_execution_fence(block=True)

    @pytest.mark.one_rank
    def test_after_the_body_it_is_a_copy(self) -> None:
        kept: list[LogicalStore] = []

        @task
        def outer(y: OutputStore) -> None:
            kept.append(y.to_logical_store())
            with pytest.raises(RuntimeError, match="works on the stores it is given"):
                kept[0].project(0, 1)
            np.asarray(kept[0].get_physical_store())[:] = 3

        y = cn.zeros(4)
        outer(y)
        np.testing.assert_array_equal(y, [3] * 4)
        kept[0].fill(8)
        np.testing.assert_array_equal(kept[0][1:3], [8, 8])
        np.testing.assert_array_equal(y, [3] * 4)


def call(body: Any, inputs: int, scalars: int = 0) -> Any:
    task_ = task(body)
    auto = runtime.create_auto_task(runtime.core_library, task_.task_id)
    for _ in range(inputs):
        auto.add_input(stored())
    for _ in range(scalars):
        auto.add_scalar_arg(5)
    auto.throws_exception(ValueError)
    return auto


class TestCounts:
    def test_too_many_and_too_few(self) -> None:
        def one(x: InputStore) -> None: ...

        text = re.escape("Wrong number of given arguments (2), expected 1")
        with pytest.raises(ValueError, match=text):
            call(one, 2).execute()
        with pytest.raises(ValueError, match=re.escape("given arguments (0), expected 1")):
            call(one, 0).execute()

    def test_defaults_may_be_left_out(self) -> None:
        seen = []

        def some(ctx: TaskContext, x: InputStore, y: InputStore | None = None, n: int = 8) -> None:
            seen.append((y, n))

        call(some, 1).execute()
        call(some, 1, 1).execute()
        runtime.issue_execution_fence(block=True)
        assert seen == [(None, 8), (None, 5)]

    def test_by_hand(self) -> None:
        def one(x: InputStore) -> None: ...

        class Context:
            inputs = (stored().get_physical_store(), stored().get_physical_store())
            outputs = scalars = reductions = ()

        with pytest.raises(ValueError, match="Wrong number of given arguments"):
            VariantInvoker(one)(Context(), one)


def test_launch_domains_end_before_their_shape() -> None:
    seen = []
    number = runtime.core_library.get_new_task_id()
    info = TaskInfo.from_variants(
        number, "points", [(VariantCode.CPU, lambda ctx: seen.append((ctx.task_index, ctx.launch_domain)))]
    )
    runtime.core_library.register_task(info)
    runtime.create_manual_task(runtime.core_library, number, (3, 2), (1, 0)).execute()
    runtime.issue_execution_fence(block=True)
    domain = ((1, 0), (2, 1))
    assert sorted(seen) == [(p, domain) for p in ((1, 0), (1, 1), (2, 0), (2, 1))]
    with pytest.raises(ValueError, match="Launch domain must not be empty"):
        runtime.create_manual_task(runtime.core_library, number, (3, 1), (3, 1))


def test_unknown_communicators() -> None:
    auto = runtime.create_auto_task(runtime.core_library, double.task_id)
    manual = runtime.create_manual_task(runtime.core_library, double.task_id, (1,))
    for made in (auto, manual):
        made.add_cpu_communicator()
        with pytest.raises(RuntimeError, match="No factory available for communicator 'foo'"):
            made.add_communicator("foo")


def test_fills_with_arrays() -> None:
    store = runtime.create_store(types.array_type(types.float64, 6), (3, 1))
    value = np.arange(6.0)
    runtime.issue_fill(store, value)
    np.testing.assert_array_equal(store, np.broadcast_to(value, (3, 1, 6)))


def test_allocations_in_words() -> None:
    store = runtime.create_store(types.int16, (2, 3))
    store.fill(0)
    allocation = store.get_physical_store().get_inline_allocation()
    assert repr(allocation) == str(allocation) == f"InlineAllocation({allocation.ptr}, (6, 2), SYSMEM)"
    interface = {"version": 3, "shape": (2, 3), "typestr": "<i2", "strides": (6, 2)}
    assert allocation.__array_interface__ == interface | {"data": (allocation.ptr, False)}
    assert allocation.target is StoreTarget.SYSMEM


def test_shapes_are_integers() -> None:
    with pytest.raises(TypeError, match="an integer is required"):
        runtime.create_store(types.int32, shape=("a", "b"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Expected an iterable but got"):
        runtime.create_store(types.int32, shape=1)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="maximum number of dimensions"):
        runtime.create_store(types.int32, shape=(1,) * (LEGATE_MAX_DIM + 1))


def test_handles_tell_apart() -> None:
    one, other = stored(), stored()
    assert isinstance(one.raw_handle, int)
    assert one.raw_handle != other.raw_handle
