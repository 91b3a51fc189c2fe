"""Calls of tasks: binding of arguments, what bodies see, and the errors of calls."""

from __future__ import annotations

import gc
import re
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate.core import (
    LogicalStore,
    PhysicalStore,
    Scalar,
    Scope,
    TaskContext,
    TaskTarget,
    VariantCode,
    align,
    broadcast,
    get_legate_runtime,
    get_machine,
    is_running_in_task,
    types,
)
from legate.core.task import ADD, MAX, InputArray, InputStore, OutputArray, OutputStore, ReductionStore, task

runtime = get_legate_runtime()


def fence() -> None:
    runtime.issue_execution_fence(block=True)


def filled(shape: tuple[int, ...], value: Any, dtype: Any = types.int64) -> LogicalStore:
    store = runtime.create_store(dtype, shape=shape)
    store.fill(value)
    return store


@pytest.fixture
def seen() -> dict[str, Any]:
    return {}


# ---- binding ---------------------------------------------------------------------------------------------------------


@task
def two(a: InputStore, b: OutputStore, n: int, f: float = 2.5) -> None:
    np.asarray(b)[:] = np.asarray(a) * n + f


@pytest.mark.parametrize("times", [1, 3])
def test_positions_and_keywords(times: int) -> None:
    a = cn.arange(4.0)
    for _ in range(times):
        b, c, d = cn.zeros(4), cn.zeros(4), cn.zeros(4)
        two(a, b, 2)
        two(f=0.5, n=3, b=c, a=a)
        two(a, d, f=1.0, n=1)
        np.testing.assert_array_equal(b, np.arange(4) * 2 + 2.5)
        np.testing.assert_array_equal(c, np.arange(4) * 3 + 0.5)
        np.testing.assert_array_equal(d, np.arange(4) + 1.0)


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2), {}, "missing a required argument: 'n'"),
        ((1, 2, 3, 4.0, 5), {}, "too many positional arguments"),
        ((1, 2, 3), {"nope": 1}, "got an unexpected keyword argument 'nope'"),
        ((1, 2, 3), {"a": 1}, "multiple values for argument 'a'"),
    ],
)
def test_binding_errors(args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        two(*args, **kwargs)
    with pytest.raises(TypeError, match=text):
        two.prepare_call(*args, **kwargs)


def test_the_context_is_not_passed_by_the_caller(seen: dict[str, Any]) -> None:
    @task
    def f(ctx: TaskContext, n: int) -> None:
        seen["n"] = n

    f(3)
    fence()
    assert seen == {"n": 3}
    with pytest.raises(TypeError, match="multiple values for argument 'ctx'"):
        f(1, ctx=None)


# ---- stores ----------------------------------------------------------------------------------------------------------


def test_bodies_see_physical_stores(seen: dict[str, Any]) -> None:
    @task
    def f(a: InputStore, b: OutputStore, c: ReductionStore[ADD]) -> None:
        seen["classes"] = {type(a), type(b), type(c)}
        seen["writable"] = [np.asarray(s).flags.writeable for s in (a, b, c)]

    f(filled((4,), 1), filled((4,), 2), filled((4,), 3))
    fence()
    assert seen["classes"] == {PhysicalStore}
    assert seen["writable"] == [False, True, True]


def test_old_contents_of_outputs_are_visible() -> None:
    @task
    def f(a: OutputArray) -> None:
        np.asarray(a)[:] += 1

    a = cn.arange(5)
    f(a)
    f(a)
    np.testing.assert_array_equal(a, np.arange(5) + 2)


def test_views_are_written_through() -> None:
    @task
    def f(a: InputStore, b: OutputStore) -> None:
        np.asarray(b)[...] = np.asarray(a)

    x = cn.zeros((6, 6))
    f(cn.ones((3, 6)), x[::2])
    expected = np.zeros((6, 6))
    expected[::2] = 1
    np.testing.assert_array_equal(x, expected)


def test_the_same_array_in_and_out() -> None:
    @task
    def f(a: InputStore, b: OutputStore) -> None:
        np.asarray(b)[:] = np.asarray(a) + 1

    x = cn.arange(1000)
    f(x, x)
    np.testing.assert_array_equal(x, np.arange(1000) + 1)


def test_objects_with_the_interface() -> None:
    class Wrapped:
        def __init__(self, store: LogicalStore) -> None:
            self.__legate_data_interface__ = {"version": 2, "data": {"x": store}}

    a, b = filled((4,), 3), filled((4,), 0)

    @task
    def f(a: InputStore, b: OutputStore) -> None:
        np.asarray(b)[:] = np.asarray(a)

    f(Wrapped(a), Wrapped(b))
    np.testing.assert_array_equal(np.asarray(b), [3] * 4)


@pytest.mark.parametrize("bad", [1, "x", np.ones(3), object()])
def test_not_a_store(bad: Any) -> None:
    @task
    def f(a: InputStore) -> None: ...

    text = f"Argument: 'a' expected one of ({LogicalStore},), got {type(bad)}"
    with pytest.raises(TypeError, match=re.escape(text)):
        f(bad)


def test_none_for_a_required_store() -> None:
    @task
    def f(a: InputStore) -> None: ...

    with pytest.raises(TypeError, match=re.escape(f"got {type(None)}")):
        f(None)


@pytest.mark.parametrize(
    ("interface", "error", "text"),
    [
        ({"data": {}}, TypeError, "Legate data interface missing a version number"),
        ({"version": "2", "data": {}}, TypeError, "Legate data interface version expected an integer, got"),
        ({"version": 0, "data": {}}, TypeError, "is below MIN_DATA_INTERFACE_VERSION=2"),
        ({"version": 99, "data": {}}, NotImplementedError, "Unsupported Legate data interface version 99"),
        ({"version": 2, "data": {}}, TypeError, "Legate data object has no fields"),
        (
            {"version": 2, "data": {"a": 1, "b": 2}},
            NotImplementedError,
            "Legate data interface objects with more than one store are unsupported",
        ),
    ],
)
def test_interface_errors_name_the_argument(
    interface: dict[str, Any], error: type[Exception], text: str
) -> None:
    class Broken:
        __legate_data_interface__ = interface

    @task
    def f(x: InputStore) -> None: ...

    with pytest.raises(error, match=re.escape(text)) as info:
        f(Broken())
    assert info.value.__notes__ == ["Task Argument: 'x'"]


def test_optional_stores(seen: dict[str, Any]) -> None:
    @task
    def f(ctx: TaskContext, a: InputStore | None, b: OutputStore, c: InputStore | None = None) -> None:
        seen["none"] = (a is None, c is None)
        seen["inputs"] = len(ctx.inputs)
        np.asarray(b)[:] = 1 if a is None else np.asarray(a)

    b = filled((3,), 0)
    f(None, b)
    fence()
    assert seen == {"none": (True, True), "inputs": 0}
    f(filled((3,), 7), b)
    fence()
    assert seen == {"none": (False, True), "inputs": 1}
    np.testing.assert_array_equal(np.asarray(b), [7] * 3)
    f(None, b, filled((3,), 7))
    fence()
    assert seen == {"none": (True, False), "inputs": 1}


def test_constraints_on_stores_left_out() -> None:
    @task(constraints=(align("b", "a"), broadcast("a")))
    def f(b: OutputStore, a: InputStore | None = None) -> None:
        np.asarray(b)[:] = 5

    b = filled((3,), 0)
    f(b)
    np.testing.assert_array_equal(np.asarray(b), [5] * 3)


def test_no_stores_at_all(seen: dict[str, Any]) -> None:
    @task
    def f(n: int) -> None:
        seen["n"] = n

    f(1)
    fence()
    assert seen == {"n": 1}


# ---- scalars ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        True,
        5,
        -(2**40),
        2.5,
        1 + 2j,
        "text",
        b"bytes",
        [1, 2, 3],
        (1.5, 2.5),
        np.float32(3),
        np.int64(4),
        np.arange(3),
    ],
    ids=lambda v: type(v).__name__,
)
def test_scalars_arrive_as_they_left(value: Any, seen: dict[str, Any]) -> None:
    def f(x) -> None:  # type: ignore[no-untyped-def]
        seen["x"] = x

    f.__annotations__["x"] = type(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (task(f), lambda v: task(f).prepare_call(v).execute()):
            seen.clear()
            call(value)
            fence()
            assert type(seen["x"]) is type(value)
            np.testing.assert_array_equal(seen["x"], value)


def test_later_changes_of_a_scalar_are_not_seen(seen: dict[str, Any]) -> None:
    @task
    def f(a: list, b: np.ndarray) -> None:  # type: ignore[type-arg]
        seen["a"], seen["b"] = a, b.tolist()

    a, b = [1, 2], np.arange(2)
    f(a, b)
    a.append(3)
    b[:] = 9
    fence()
    assert seen == {"a": [1, 2], "b": [0, 1]}


class Custom:
    def __init__(self, n: int) -> None:
        self.n = n


def test_other_values_are_pickled(seen: dict[str, Any]) -> None:
    @task
    def f(x: Custom) -> None:
        seen["n"] = x.n

    value = Custom(3)
    text = (
        f"Argument type: {Custom} not natively supported by type inference, falling back to pickling (which may incur "
        "a slight performance penalty). Consider opening a bug report at https://github.com/nv-legate/legate.core."
    )
    with pytest.warns(UserWarning, match=re.escape(text)):
        f(value)
    value.n = 4
    fence()
    assert seen == {"n": 3}


@pytest.mark.parametrize("value", [[], {}, ()])
def test_empty_containers_are_pickled(value: Any, seen: dict[str, Any]) -> None:
    def f(x) -> None:  # type: ignore[no-untyped-def]
        seen["x"] = x

    f.__annotations__["x"] = type(value)
    with pytest.warns(UserWarning, match="falling back to pickling"):
        task(f)(value)
    fence()
    assert seen == {"x": value}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(int, np.int64(1)), (int, Scalar(1)), (float, 2), (Scalar, 1.5), (Scalar, "foo")],
)
def test_scalars_are_of_the_annotated_class(annotation: type, value: Any) -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    f.__annotations__["x"] = annotation
    text = f"Task expected a value of type {annotation} for parameter x, but got {type(value)}"
    with pytest.raises(TypeError, match=re.escape(text)):
        task(f)(value)
    with pytest.raises(TypeError, match=re.escape(text)):
        task(f).prepare_call(value)


def test_bool_is_an_int_and_scalar_is_scalar(seen: dict[str, Any]) -> None:
    @task
    def f(n: int, s: Scalar) -> None:
        seen["n"], seen["s"] = n, s.value()

    f(True, Scalar(2.5))
    fence()
    assert seen == {"n": True, "s": 2.5}


# ---- context ---------------------------------------------------------------------------------------------------------


def test_context_of_one_point(seen: dict[str, Any]) -> None:
    @task
    def f(ctx: TaskContext, a: InputStore, b: OutputStore, c: ReductionStore[MAX], n: int, x: float) -> None:
        seen["kind"] = ctx.get_variant_kind()
        seen["counts"] = (len(ctx.inputs), len(ctx.outputs), len(ctx.reductions))
        seen["scalars"] = [s.value() for s in ctx.scalars]
        seen["single"] = (ctx.is_single_task(), ctx.task_index, ctx.launch_domain)
        seen["id"] = ctx.get_task_id()
        seen["machine"] = ctx.machine
        seen["provenance"] = ctx.provenance
        seen["stream"] = ctx.task_stream
        seen["raise"] = ctx.can_raise_exception()

    with Scope(machine=get_machine().only(TaskTarget.CPU)[:1], provenance="here"):
        f(filled((2,), 1), filled((2,), 1), filled((2,), 1), 3, 0.5)
        machine = get_machine()
    fence()
    assert seen["kind"] is VariantCode.CPU
    assert seen["counts"] == (1, 1, 1)
    assert seen["scalars"] == [3, 0.5]
    assert seen["single"] == (True, (), ((), ()))
    assert seen["id"] == f.task_id
    assert seen["machine"] == machine
    assert seen["provenance"] == "here"
    assert seen["stream"] is None
    assert seen["raise"] is False


def test_context_of_several_points() -> None:
    if get_machine().count(TaskTarget.CPU) < 2:
        pytest.skip("one processor")
    points: dict[tuple[int, ...], Any] = {}

    @task
    def f(ctx: TaskContext, a: InputStore) -> None:
        points[ctx.task_index] = (ctx.is_single_task(), ctx.launch_domain, a.domain, np.asarray(a).shape)

    with Scope(machine=get_machine().only(TaskTarget.CPU)[:2]):
        f(filled((100_000,), 1))
    fence()
    domain = ((0,), (1,))
    assert points == {
        (0,): (False, domain, ((0,), (49_999,)), (50_000,)),
        (1,): (False, domain, ((50_000,), (99_999,)), (50_000,)),
    }


def test_running_in_a_task(seen: dict[str, Any]) -> None:
    @task
    def f() -> None:
        seen["inside"] = is_running_in_task()

    assert not is_running_in_task()
    f()
    fence()
    assert seen == {"inside": True}


def test_collector_rests_in_bodies(seen: dict[str, Any]) -> None:
    @task
    def f() -> None:
        seen["enabled"] = gc.isenabled()

    assert gc.isenabled()
    f()
    fence()
    assert seen == {"enabled": False}
    assert gc.isenabled()


# ---- variants ----------------------------------------------------------------------------------------------------------


def test_no_variant_for_the_machine() -> None:
    @task(variants=(VariantCode.GPU,))
    def f() -> None: ...

    if get_machine().count(TaskTarget.GPU):
        pytest.skip("there is a GPU")
    text = "does not have any valid variant for the current machine configuration"
    with pytest.raises(ValueError, match=text):
        f()
    with pytest.raises(ValueError, match=text):
        f.prepare_call()


def test_declared_gpu_variant_runs_on_the_cpu(seen: dict[str, Any]) -> None:
    @task(variants=(VariantCode.CPU, VariantCode.GPU))
    def f(ctx: TaskContext) -> None:
        seen["kind"] = ctx.get_variant_kind()

    with Scope(machine=get_machine().only(TaskTarget.CPU)):
        f()
    fence()
    assert seen == {"kind": VariantCode.CPU}


# ---- cutting -----------------------------------------------------------------------------------------------------------


def test_aligned_parts() -> None:
    boxes = []

    @task(constraints=align("x", "y", "z"))
    def f(x: InputStore, y: InputStore, z: OutputStore) -> None:
        boxes.append((x.domain, y.domain, z.domain))
        np.asarray(z)[:] = np.asarray(x) + np.asarray(y)

    n = 100_000
    x, y, z = cn.arange(n), cn.ones(n, dtype=cn.int64), cn.zeros(n, dtype=cn.int64)
    f(x, y, z)
    np.testing.assert_array_equal(z, np.arange(n) + 1)
    assert all(a == b == c for a, b, c in boxes)
    assert len(boxes) == get_machine().count()


def test_reduction_counts_every_point_once() -> None:
    @task(constraints=broadcast("hist"))
    def f(data: InputArray, hist: ReductionStore[ADD], bins: int) -> None:
        hist_local = np.asarray(hist)
        assert not hist_local.any()
        hist_local += np.bincount(np.asarray(data), minlength=bins)

    data = np.random.default_rng(0).integers(0, 10, 100_000)
    hist = cn.ones(10, dtype=cn.int64)
    lazy = cn.array(data)
    for launches in (1, 2):
        f(lazy, hist, 10)
        np.testing.assert_array_equal(hist, 1 + launches * np.bincount(data, minlength=10))


def test_reduction_into_a_promoted_view() -> None:
    @task(constraints=(align("C", "A"), align("C", "B")))
    def matmul(C: ReductionStore[ADD], A: InputStore, B: InputStore) -> None:
        c, a, b = np.asarray(C)[:, 0, :], np.asarray(A)[:, :, 0], np.asarray(B)[0, :, :]
        c += a @ b

    m, k, n = 50, 75, 100
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 10, (m, k)), rng.integers(0, 10, (k, n))
    c = cn.zeros((m, n), dtype=np.int64)
    shape = (m, k, n)
    A = cn.broadcast_to(cn.array(a)[:, :, None], shape)
    B = cn.broadcast_to(cn.array(b)[None, :, :], shape)
    C = cn.broadcast_to(c[:, None, :], shape)
    matmul(C, A, B)
    np.testing.assert_array_equal(c, a @ b)
    matmul(C, A, B)
    np.testing.assert_array_equal(c, 2 * (a @ b))


@pytest.mark.parametrize(
    ("constraints", "shapes", "text"),
    [
        (broadcast("a", (1,)), ((4,), (4,)), "Invalid broadcasting dimension 1 for a 1-D store"),
        (align("a", "b"), ((4,), (5,)), "Alignment requires the stores to have the same shape, but found"),
    ],
)
def test_constraints_that_do_not_fit(constraints: Any, shapes: Any, text: str) -> None:
    @task(constraints=constraints)
    def f(a: InputStore, b: OutputStore) -> None: ...

    for _ in range(2):
        with pytest.raises(ValueError, match=text):
            f(filled(shapes[0], 1), filled(shapes[1], 1))
    fence()


# ---- prepared calls ------------------------------------------------------------------------------------------------------


def test_prepared_calls_are_locked() -> None:
    @task
    def f(a: OutputStore) -> None:
        np.asarray(a)[:] = 4

    a = filled((3,), 0)
    prepared = f.prepare_call(a)
    for what, add in (
        ("inputs", lambda: prepared.add_input(a)),
        ("outputs", lambda: prepared.add_output(a)),
        ("reductions", lambda: prepared.add_reduction(a, 0)),
        ("scalar arguments", lambda: prepared.add_scalar_arg(0, None)),
    ):
        with pytest.raises(
            RuntimeError, match=f"Attempting to add {what} to a prepared Python task is illegal!"
        ):
            add()
    prepared.execute()
    np.testing.assert_array_equal(np.asarray(a), [4] * 3)


def test_prepared_calls_take_constraints() -> None:
    shapes = []

    @task
    def f(a: InputStore, b: OutputStore) -> None:
        shapes.append(np.asarray(a).shape)
        np.asarray(b)[:] = 1

    a, b = filled((100_000,), 1), filled((100_000,), 0)
    prepared = f.prepare_call(a, b)
    prepared.add_constraint(broadcast(prepared.find_or_declare_partition(a)))
    prepared.execute()
    fence()
    assert set(shapes) == {(100_000,)}


def test_declared_constraints_are_final() -> None:
    @task(constraints=align("a", "b"))
    def f(a: InputStore, b: OutputStore) -> None: ...

    a, b = filled((3,), 1), filled((3,), 0)
    prepared = f.prepare_call(a, b)
    text = "has pre-declared signature, cannot override it by adding constraints"
    with pytest.raises(RuntimeError, match=text):
        prepared.add_constraint(broadcast(prepared.find_or_declare_partition(a)))


def test_by_id_of_the_core_library() -> None:
    made = runtime.create_auto_task(runtime.core_library, two.task_id)
    a, b = filled((3,), 2, types.float64), filled((3,), 0, types.float64)
    made.add_input(a)
    made.add_output(b)
    made.add_scalar_arg(3, types.int64)
    made.add_scalar_arg(0.5, types.float64)
    made.execute()
    np.testing.assert_array_equal(np.asarray(b), [6.5] * 3)


# ---- compiled functions ----------------------------------------------------------------------------------------------------


def test_numba_functions() -> None:
    numba = pytest.importorskip("numba")

    @task
    @numba.njit
    def f(a: InputStore, b: OutputStore, k: float) -> None:
        for i in range(a.shape[0]):
            b[i] = a[i] * k

    x, y = cn.arange(1000.0), cn.zeros(1000)
    f(x, y, 3.0)
    np.testing.assert_array_equal(y, np.arange(1000) * 3.0)
    assert "test_numba_functions" in repr(f)


def test_numba_reduction() -> None:
    numba = pytest.importorskip("numba")

    @task(constraints=broadcast("out"))
    @numba.njit
    def total(a: InputStore, out: ReductionStore[ADD]) -> None:
        for v in a:
            out[0] += v

    out = cn.zeros(1)
    total(cn.ones(100_000), out)
    assert float(out[0]) == 100_000


def test_compiled_functions_take_no_context() -> None:
    numba = pytest.importorskip("numba")

    def f(ctx: TaskContext) -> None: ...

    with pytest.raises(TypeError, match="A compiled function cannot take a task context"):
        task(numba.njit(f))


def test_numba_functions_of_given_signatures() -> None:
    numba = pytest.importorskip("numba")

    @task
    @numba.njit("void(f8[::1], f8[::1])", nogil=True)
    def f(a: InputStore, b: OutputStore) -> None:
        b[:] = a * 3

    x, y = cn.arange(10.0), cn.zeros(10)
    f(x, y)
    np.testing.assert_array_equal(y, np.arange(10) * 3.0)


def test_numba_through_the_context() -> None:
    numba = pytest.importorskip("numba")

    @task
    @numba.njit
    def f(a: OutputStore, k: int) -> None:
        a[:] = k

    a = filled((4,), 0)
    made = runtime.create_auto_task(runtime.core_library, f.task_id)
    made.add_output(a)
    made.add_scalar_arg(7, types.int64)
    made.execute()
    np.testing.assert_array_equal(np.asarray(a), [7] * 4)


# ---- scopes, threads, nesting ------------------------------------------------------------------------------------------------


def test_every_scope_has_its_own_plan() -> None:
    if get_machine().count(TaskTarget.CPU) < 2:
        pytest.skip("one processor")
    points: list[tuple[int, ...]] = []

    @task
    def f(ctx: TaskContext, a: OutputStore) -> None:
        points.append(ctx.task_index)

    a = filled((100_000,), 0)
    for _ in range(2):
        points.clear()
        f(a)
        fence()
        assert len(points) == get_machine().count(TaskTarget.CPU)
        points.clear()
        with Scope(machine=get_machine().only(TaskTarget.CPU)[:1]):
            f(a)
            f(a)
        fence()
        assert points == [(), ()]


def test_calls_from_threads() -> None:
    @task
    def add(a: OutputStore, n: int) -> None:
        np.asarray(a)[:] += n

    arrays = [cn.zeros(100, dtype=cn.int64) for _ in range(4)]

    def work(array: Any) -> None:
        for n in range(20):
            with Scope(machine=get_machine().only(TaskTarget.CPU)[:1]):
                add(array, n)
            add(array, n)

    threads = [threading.Thread(target=work, args=(a,)) for a in arrays]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for a in arrays:
        np.testing.assert_array_equal(a, np.full(100, 2 * sum(range(20))))


def test_a_task_calls_a_task() -> None:
    y = cn.zeros(4)

    @task
    def inner(a: OutputStore) -> None:
        np.asarray(a)[:] = 7

    @task
    def outer() -> None:
        inner(y)

    outer()
    fence()
    np.testing.assert_array_equal(y, [7] * 4)


# ---- elements that kernels do not know ---------------------------------------------------------------------------------------


def test_structures_and_points() -> None:
    pair = types.struct_type([types.int32, types.float64])
    a = runtime.create_store(pair, shape=(1000,))
    b = runtime.create_store(types.point_type(2), shape=(1000,))
    n = filled((1000,), 0)

    @task(constraints=align("a", "b"))
    def write(a: OutputStore, b: OutputStore) -> None:
        assert a.type == pair
        assert b.type == types.point_type(2)
        lo = a.domain.lo[0]
        local = np.asarray(a)
        names = local.dtype.names
        assert names is not None
        local[names[0]] = lo + np.arange(local.shape[0])
        local[names[1]] = 0.5
        points = np.asarray(b)
        points.view(np.int64).reshape(*points.shape[:1], -1)[:] = [3, 4]

    @task(constraints=align("a", "b", "n"))
    def read(a: InputStore, b: InputStore, n: OutputStore) -> None:
        local = np.asarray(a)
        names = local.dtype.names
        assert names is not None
        points = np.asarray(b)
        total = points.view(np.int64).reshape(points.shape[0], -1).sum(1)
        np.asarray(n)[:] = local[names[0]] + 2 * local[names[1]] + total

    write(a, b)
    read(a, b, n)
    np.testing.assert_array_equal(np.asarray(n), np.arange(1000) + 8)


def test_overlapping_views() -> None:
    @task(constraints=align("a", "b"))
    def shift(a: InputStore, b: OutputStore) -> None:
        np.asarray(b)[:] = np.asarray(a)

    x = cn.arange(100_000)
    shift(x[:-1], x[1:])
    np.testing.assert_array_equal(x, np.concatenate([[0], np.arange(99_999)]))


def test_calls_among_array_operations() -> None:
    @task(constraints=align("a", "b"))
    def double(a: InputStore, b: OutputStore) -> None:
        np.asarray(b)[:] = 2 * np.asarray(a)

    x = cn.arange(1000.0)
    for _ in range(3):
        y = cn.empty_like(x)
        double(x + 1, y)
        x = y - 1
    expected = np.arange(1000.0)
    for _ in range(3):
        expected = 2 * (expected + 1) - 1
    np.testing.assert_array_equal(x, expected)
