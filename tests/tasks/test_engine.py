"""Launches of user code among array operations: values, order, memory, errors."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as onp
import pytest
from faults.child import succeeds
from tasks.launches import Plain, call

import cupynumeric as np
import legate
from legate.timing import time
from legate_jit import runtime, tasks
from legate_jit.backends.pool import threads
from legate_jit.ir.tasks.partition import Align, Bloat, Broadcast
from legate_jit.ir.tasks.task import TaskSpec


def copy(source: Any, target: Any) -> None:
    target[...] = source


def add_one(target: Any) -> None:
    target += 1


def total(source: Any, out: Any) -> None:
    out += source.sum()


def fail(*arrays: Any) -> None:
    raise ValueError("on purpose")


VIEWS = {
    "whole": lambda x: x,
    "slice": lambda x: x[2:9],
    "step": lambda x: x[1::3],
    "reversed": lambda x: x[::-1],
    "column": lambda x: x.reshape(4, 3)[:, 1],
    "transposed": lambda x: x.reshape(3, 4).T,
    "one": lambda x: x[3:4],
    "empty": lambda x: x[5:5],
    "real": lambda x: x.view(onp.complex128).real,
}


@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("kind", sorted(VIEWS))
def test_outputs_through_views(kind: str, pieces: int) -> None:
    x = np.arange(12.0)
    expected = onp.arange(12.0)
    view, wanted = VIEWS[kind](x), VIEWS[kind](expected)
    source = np.array(onp.arange(wanted.size, dtype=float).reshape(wanted.shape) + 100)
    call(copy, "input output", source * 2, view, constraints=[Align(0, 1)], pieces=pieces)
    wanted[...] = onp.asarray(source) * 2
    onp.testing.assert_array_equal(x, expected)
    onp.testing.assert_array_equal(view, wanted)


@pytest.mark.parametrize("kind", sorted(VIEWS))
def test_inputs_through_views(kind: str) -> None:
    x = np.arange(12.0)
    view = VIEWS[kind](x)
    seen: list[Any] = []

    def look(source: Any) -> None:
        seen.append(onp.array(source))
        with pytest.raises(ValueError, match="read-only"):
            source[...] = 0

    call(look, "input", view)
    x += 100
    legate.fence()
    onp.testing.assert_array_equal(seen[0], VIEWS[kind](onp.arange(12.0)))


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(
    ("operator", "function"),
    [("add", onp.add), ("mul", onp.multiply), ("max", onp.maximum), ("min", onp.minimum)],
)
def test_reductions_fold_into_old_contents(operator: str, function: Any, pieces: int) -> None:
    data = onp.arange(1.0, 11.0)
    x, out = np.array(data), np.full(4, 3.0)

    def fold(source: Any, target: Any) -> None:
        target[...] = function(target, function.reduce(source))

    for _ in range(2):
        call(fold, f"input {operator}", x, out[1:3], constraints=[Broadcast(1, None)], pieces=pieces)
    once = function(3.0, function.reduce(data))
    twice = function(once, function.reduce(data))
    onp.testing.assert_array_equal(out, [3.0, twice, twice, 3.0])


@pytest.mark.parametrize("operator", ["or", "and", "xor"])
@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8"])
def test_bitwise_reductions(operator: str, dtype: str) -> None:
    ufunc = {"or": onp.bitwise_or, "and": onp.bitwise_and, "xor": onp.bitwise_xor}[operator]
    data = onp.array([1, 0, 1, 1, 0, 1]).astype(dtype)
    out = np.array(onp.array([1], dtype))

    def fold(source: Any, target: Any) -> None:
        target[0] = ufunc(target[0], ufunc.reduce(source))

    call(fold, f"input {operator}", np.array(data), out, constraints=[Broadcast(1, None)], pieces=2)
    assert out[0] == ufunc(onp.array(1, dtype), ufunc.reduce(data))


def test_reduction_not_defined_for_the_dtype() -> None:
    with pytest.raises(TypeError, match=r"'xor' is not defined for float64"):
        call(total, "input xor", np.ones(3), np.ones(3))


def test_documented_matrix_product_reduces_into_a_repeated_view() -> None:
    m, k, n = 4, 6, 5
    a, b = onp.arange(m * k, dtype=float).reshape(m, k), onp.arange(k * n, dtype=float).reshape(k, n)
    c = np.ones((m, n))
    shape = (m, k, n)
    three = [
        np.broadcast_to(np.array(a)[:, :, None], shape),
        np.broadcast_to(np.array(b)[None, :, :], shape),
        np.broadcast_to(c[:, None, :], shape),
    ]

    def product(x: Any, y: Any, out: Any) -> None:
        out[:, 0, :] += x[:, :, 0] @ y[0, :, :]

    for pieces in (1, 2, 4):
        call(product, "input input add", *three, constraints=[Align(2, 0), Align(2, 1)], pieces=pieces)
    onp.testing.assert_allclose(c, 1 + 3 * (a @ b))


def test_halo() -> None:
    x, y = np.arange(10.0), np.zeros(10)
    sizes: list[int] = []

    def smooth(inner: Any, wide: Any, out: Any) -> None:
        sizes.append(wide.size)
        out[...] = wide.max()

    constraints = [Align(0, 2), Bloat(0, 1, (1,), (2,))]
    call(smooth, "input input output", x, x, y, constraints=constraints, pieces=2)
    onp.testing.assert_array_equal(y, [6.0] * 5 + [9.0] * 5)
    assert sorted(sizes) == [6, 7]


def test_same_array_as_input_and_output_is_one_memory() -> None:
    x = np.arange(6.0)

    def both(source: Any, target: Any) -> None:
        target *= 2
        assert source[1] == 2.0

    call(both, "input output", x, x)
    onp.testing.assert_array_equal(x, onp.arange(6.0) * 2)


def test_halo_of_what_is_written_is_the_old_array() -> None:
    x = np.arange(8.0)

    def neighbors(own: Any, wide: Any) -> None:
        own[...] = wide.sum()

    call(neighbors, "output input", x, x, constraints=[Bloat(0, 1, (1,), (1,))], pieces=4)
    onp.testing.assert_array_equal(x, onp.repeat([3.0, 10.0, 18.0, 18.0], 2))


def test_overlapping_input_and_output_see_old_values() -> None:
    x = np.arange(6.0)
    call(copy, "input output", x[:-1], x[1:])
    onp.testing.assert_array_equal(x, [0, 0, 1, 2, 3, 4])


def test_copies_made_before_stay_as_they_were() -> None:
    x = np.arange(5.0)
    before = x.copy()
    view = x[1:]
    call(add_one, "output", x)
    doubled = x * 2
    call(add_one, "output", view)
    onp.testing.assert_array_equal(before, onp.arange(5.0))
    onp.testing.assert_array_equal(doubled, (onp.arange(5.0) + 1) * 2)
    onp.testing.assert_array_equal(x, [1, 3, 4, 5, 6])


@pytest.mark.one_rank
def test_tasks_run_though_nobody_wants_their_results() -> None:
    ran: list[int] = []
    call(lambda *arrays: ran.append(len(arrays)), "")
    x = np.ones(3)
    call(lambda x: ran.append(x.size), "output", x)
    del x
    legate.fence()
    assert sorted(ran) == [0, 3]


# ---- order and memory -------------------------------------------------------------------------------------------


@pytest.mark.one_rank
def test_chain_of_tasks_updates_in_place() -> None:
    x = np.zeros(1000)
    legate.fence()
    runtime.counters.reset()
    for _ in range(5):
        call(add_one, "output", x)
    legate.fence()
    assert (runtime.counters.launches, runtime.counters.copied_bytes) == (0, 0)
    assert float(x[17]) == 5.0


@pytest.mark.one_rank
def test_copy_only_when_the_old_value_is_wanted() -> None:
    x = np.zeros(1000)
    legate.fence()
    runtime.counters.reset()
    before = x.copy()
    call(add_one, "output", x[10:20])
    legate.fence()
    assert runtime.counters.copied_bytes == 8000
    assert float(before.sum()) == 0.0
    assert float(x.sum()) == 10.0


def edges_of_last_plan() -> Any:
    plan = list(runtime._plans.values())[-1]
    return plan.flow


@pytest.mark.one_rank
def test_disjoint_views_are_not_ordered_and_overlapping_ones_are() -> None:
    x = np.zeros(100)
    y = np.zeros((10, 10))
    legate.fence()
    call(add_one, "output", x[:50])
    call(add_one, "output", x[50:])
    call(add_one, "output", x[40:60])
    call(add_one, "output", y[:, ::2])
    call(add_one, "output", y[:, 1::2])
    call(add_one, "output", y[3:4, 4:])
    legate.fence()
    assert edges_of_last_plan().edges == [[], [], [0, 1], [], [], [3, 4]]


@pytest.mark.one_rank
def test_kernels_and_tasks_on_disjoint_parts_are_not_ordered() -> None:
    x = np.zeros(100_000)
    legate.fence()
    call(add_one, "output", x[:50_000])
    x[50_000:] += 2.0
    legate.fence()
    assert edges_of_last_plan().edges == [[], []]
    assert float(x.sum()) == 150_000.0


@pytest.mark.skipif(threads.get_threads() < 2, reason="one processor")
@pytest.mark.one_rank
def test_independent_tasks_overlap_in_time() -> None:
    meet = threading.Barrier(2, timeout=20)
    x = np.zeros(10)

    def wait_for_other(target: Any) -> None:
        meet.wait()
        target += 1

    call(wait_for_other, "output", x[:5])
    call(wait_for_other, "output", x[5:])
    onp.testing.assert_array_equal(x, onp.ones(10))


@pytest.mark.skipif(threads.get_threads() < 2, reason="one processor")
def test_points_of_one_launch_overlap_in_time() -> None:
    meet = threading.Barrier(2, timeout=20)

    def wait_for_point(target: Any) -> None:
        meet.wait()
        target += 1

    x = np.zeros(10)
    launch = call(wait_for_point, "output", x, pieces=2)
    onp.testing.assert_array_equal(x, onp.ones(10))
    assert sorted(launch.points) == [(0,), (1,)]


def test_memory_is_given_back() -> None:
    gc.disable()
    try:
        x = np.zeros(1000)
        y = np.zeros(1000)
        call(copy, "input output", x, y)
        call(add_one, "output", y)
        legate.fence()
        gone = weakref.ref(y._store.buffer)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_replayed_loop_plans_once() -> None:
    x = np.zeros(50)
    for k in range(20):
        if k == 3:
            runtime.counters.reset()
        call(add_one, "output", x)
        x *= 2
        legate.fence()
    assert runtime.counters.plans == 0
    assert runtime.counters.hits == 17


# ---- errors -----------------------------------------------------------------------------------------------------


def test_error_at_the_fence_and_what_depends_on_it() -> None:
    x, other = np.ones(4), np.ones(4)
    y = x + 1
    launch = call(fail, "output", x)
    z = x + y
    kept = other + y
    with pytest.raises(ValueError, match="on purpose"):
        legate.fence()
    assert isinstance(launch.error, ValueError)
    onp.testing.assert_array_equal(kept, [3.0] * 4)
    onp.testing.assert_array_equal(y, [2.0] * 4)
    for lost in (x, z, x * 2):
        with pytest.raises(RuntimeError, match="on purpose") as found:
            onp.asarray(lost)
        assert isinstance(found.value.__cause__, ValueError)
    x[...] = 5
    onp.testing.assert_array_equal(x, [5.0] * 4)
    legate.fence()


def test_tasks_on_lost_arrays_do_not_run() -> None:
    x, ran = np.ones(4), []
    call(fail, "output", x)
    with pytest.raises(ValueError, match="on purpose"):
        legate.fence()
    launch = call(lambda a: ran.append(1), "input", x)
    legate.fence()
    assert not ran
    assert isinstance(launch.error, ValueError)


def test_swallowed_error() -> None:
    x = np.ones(4)
    call(fail, "output", x, swallow=True)
    legate.fence()
    assert x.shape == onp.asarray(x).shape


def test_first_failing_point_is_reported() -> None:
    def odd(x: Any) -> None:
        raise IndexError(str(int(x[0])))

    x = np.arange(4.0)
    call(odd, "input", x, pieces=2)
    with pytest.raises(IndexError, match=r"^0$"):
        legate.fence()


def test_bodies_cannot_use_the_program() -> None:
    x = np.arange(4.0)

    def wrong(target: Any) -> None:
        float(x.sum())

    y = np.zeros(3)
    call(wrong, "output", y)
    with pytest.raises(RuntimeError, match="works on the stores it is given"):
        legate.fence()
    assert float(x.sum()) == 6.0


def test_running_launch_is_known_in_the_body() -> None:
    seen: list[Any] = []
    launch = call(lambda: seen.append(tasks.running()), "")
    legate.fence()
    assert seen == [launch]
    assert tasks.running() is None


def test_dumped_graph_runs() -> None:
    """The dump of a window with a task is a program that gives the same values."""
    from legate_jit.cli import program
    from legate_jit.ir import passes

    texts: list[str] = []
    observe = lambda stage, graph: texts.append(program.program(graph)) if stage == "simplified" else None  # noqa: E731
    x, y = np.arange(7.0), np.zeros(9)
    legate.fence()
    passes.observers.append(observe)
    try:
        launch = call(copy, "input output", x * 3, y[1:8], constraints=[Align(0, 1)], pieces=3)
        legate.fence()
    finally:
        passes.observers.remove(observe)
    room: dict[str, Any] = {}
    exec(texts[-1], room)
    found, _ = room["window"](onp.arange(7.0), onp.zeros(9), 3.0, launch)
    onp.testing.assert_array_equal(found, y)


# ---- marks ------------------------------------------------------------------------------------------------------


def test_timestamps_do_not_flush() -> None:
    x = np.ones(1000)
    legate.fence()
    runtime.counters.reset()
    start = time()
    y = x + 1
    stop = time("ns")
    z = y * 2
    assert runtime.counters.flushes == 0
    assert int(stop) >= 1000 * int(start)
    onp.testing.assert_array_equal(z, onp.full(1000, 4.0))
    onp.testing.assert_array_equal(y, onp.full(1000, 2.0))


def test_what_crosses_a_mark_is_updated_in_place() -> None:
    x = np.ones(1000)
    legate.fence()
    runtime.counters.reset()
    for _ in range(4):
        x += 1
        time()
    legate.fence()
    assert runtime.counters.launches == 4
    assert runtime.counters.copied_bytes == 0
    assert float(x[0]) == 5.0


def test_parts_after_an_error_stay_recorded() -> None:
    x, other = np.ones(4), np.ones(4)
    call(fail, "output", x)
    moment = time()
    other += 1
    later = time()
    with pytest.raises(ValueError, match="on purpose"):
        legate.fence()
    onp.testing.assert_array_equal(other, [2.0] * 4)
    assert later - moment >= 0


def test_concurrent_points_wait_for_each_other() -> None:
    """More points than processors, all of which must be there before any goes on; again once bodies are known to be short."""

    x = np.zeros(12)
    for _ in range(3):
        meet = threading.Barrier(6, timeout=20)

        def together(target: Any, meet: threading.Barrier = meet) -> None:
            meet.wait()
            target += 1

        launch = Plain(together)
        tasks.launch(launch, TaskSpec("together", ("output",), (), 6, concurrent=True), [(x._store, x._lens)])
        legate.fence()
    onp.testing.assert_array_equal(x, onp.full(12, 3.0))


def test_bodies_in_programs_with_threads() -> None:
    """In a process of its own: once threads have started, entry points take a lock that bodies must not wait for."""
    succeeds(
        """
        import threading
        import numpy
        import cupynumeric as np
        import legate
        from legate.core.task import OutputStore, task

        thread = threading.Thread(target=lambda: np.ones(3).sum())
        thread.start()
        thread.join()
        shared = np.arange(4.0)

        @task
        def wrong(out: OutputStore) -> None:
            numpy.asarray(out)[:] = float(shared.sum())

        @task
        def right(out: OutputStore) -> None:
            numpy.asarray(out)[:] += 1

        x = np.zeros(100_000)
        wrong(x)
        try:
            legate.fence()
        except RuntimeError as error:
            assert "works on the stores it is given" in str(error), error
        else:
            raise AssertionError("no error")

        def work(arrays):
            for _ in range(20):
                for a in arrays:
                    right(a)
                legate.fence()

        arrays = [np.zeros(50_000) for _ in range(8)]
        threads = [threading.Thread(target=work, args=(arrays[k::4],)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert all(float(a.min()) == float(a.max()) == 20.0 for a in arrays)
        """
    )
