"""Calls of tasks: binding of arguments, what bodies see, and the errors of calls."""

from __future__ import annotations

import gc
import re
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
)
from legate.core.task import ADD, MAX, InputStore, OutputArray, OutputStore, ReductionStore, task
from tests.legate.stores import fence, filled

runtime = get_legate_runtime()


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
