"""Tasks as they run: how launches are cut and merged, prepared calls, compiled bodies, threads, and other element types."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate.core import (
    ParallelPolicy,
    Scope,
    TaskContext,
    TaskTarget,
    align,
    broadcast,
    get_legate_runtime,
    get_machine,
    types,
)
from legate.core.task import ADD, InputArray, InputStore, OutputStore, ReductionStore, task
from tests.legate.stores import fence, filled

runtime = get_legate_runtime()


@pytest.fixture
def seen() -> dict[str, Any]:
    return {}


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
    @task
    def two(a: InputStore, b: OutputStore, n: int, f: float) -> None:
        np.asarray(b)[:] = np.asarray(a) * n + f

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


@pytest.mark.one_rank
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


def test_a_task_calls_no_task() -> None:
    y = cn.zeros(4)

    @task
    def inner(a: OutputStore) -> None:
        np.asarray(a)[:] = 7

    @task
    def outer() -> None:
        inner(y)

    outer()
    with pytest.raises(RuntimeError, match="works on the stores it is given"):
        fence()
    np.testing.assert_array_equal(y, [0] * 4)


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


def test_random_views() -> None:
    @task(constraints=align("a", "b"))
    def fold(a: InputStore, b: OutputStore, k: int) -> None:
        np.asarray(b)[...] += np.asarray(a) * k

    choose = random.Random(0)
    policy = ParallelPolicy(overdecompose_factor=3, partitioning_threshold=(TaskTarget.CPU, 1))

    def part(n: int) -> slice:
        lo = choose.randint(0, n - 1)
        return choose.choice(
            [slice(lo, choose.randint(lo, n), choose.choice([1, 1, 2, 3])), slice(None, None, -1)]
        )

    for _ in range(60):
        n, m = choose.randint(1, 12), choose.randint(1, 12)
        expected = np.arange(float(n * m)).reshape(n, m)
        x = cn.array(expected)
        for _ in range(choose.randint(1, 5)):
            to = (part(n), part(m))
            rows, columns = expected[to].shape
            i, j = choose.randint(0, n - rows), choose.randint(0, m - columns)
            source = (slice(i, i + rows), slice(j, j + columns))
            if choose.random() < 0.7:
                with Scope(parallel_policy=policy):
                    fold(x[source], x[to], 2)
                expected[to] = expected[source].copy() * 2 + expected[to]
            else:
                x[to] = x[source] + 1
                expected[to] = expected[source].copy() + 1
        np.testing.assert_array_equal(x, expected)
