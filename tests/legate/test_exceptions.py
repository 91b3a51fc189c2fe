"""Exceptions of bodies: where they are raised, what they say, and what becomes of what the task was to write."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import cupynumeric as cn
import legate
from legate.core import ExceptionMode, Scope, TaskContext, VariantOptions, get_legate_runtime
from legate.core.task import ADD, InputStore, OutputStore, ReductionStore, task

runtime = get_legate_runtime()


class CustomError(Exception):
    pass


KINDS = pytest.mark.parametrize("kind", [CustomError, ValueError, TypeError, RuntimeError, IndexError])


@task
def silent(ctx: TaskContext, a: OutputStore, fail: bool) -> None:
    if fail:
        raise CustomError("no peace")
    np.asarray(a)[:] = 1


def declared(kind: type[Exception]):  # type: ignore[no-untyped-def]
    @task(options=VariantOptions(may_throw_exception=True))
    def raises() -> None:
        raise kind("no peace")

    return raises


@KINDS
def test_declared_exceptions_are_raised_at_the_call(kind: type[Exception]) -> None:
    raises = declared(kind)
    with pytest.raises(kind, match="no peace"):
        raises()
    with pytest.raises(kind, match="no peace"):
        raises.prepare_call().execute()


@KINDS
def test_declared_on_the_prepared_call(kind: type[Exception]) -> None:
    @task
    def raises() -> None:
        raise kind("no peace")

    prepared = raises.prepare_call()
    prepared.throws_exception(kind)
    with pytest.raises(kind, match="no peace"):
        runtime.submit(prepared)


def test_it_is_the_original_object() -> None:
    error = CustomError("this one")

    @task(options=VariantOptions(may_throw_exception=True))
    def raises() -> None:
        raise error

    with pytest.raises(CustomError) as info:
        raises()
    assert info.value is error


def test_a_declared_task_that_does_not_raise() -> None:
    @task(options=VariantOptions(may_throw_exception=True))
    def f(ctx: TaskContext, a: OutputStore) -> None:
        assert ctx.can_raise_exception()
        np.asarray(a)[:] = 3

    a = cn.zeros(4)
    f(a)
    np.testing.assert_array_equal(a, [3] * 4)


def test_others_are_raised_at_the_next_fence() -> None:
    a = cn.zeros(10)
    line = sys._getframe().f_lineno + 1
    silent(a, True)
    with pytest.raises(CustomError, match="no peace") as info:
        legate.fence()
    (note,) = info.value.__notes__
    assert "silent" in note
    assert f"{__file__}:{line}" in note
    legate.fence()  # once


def test_others_are_raised_at_the_next_read() -> None:
    a = cn.zeros(10)
    silent(a, True)
    with pytest.raises(CustomError):
        print(a)


def test_execution_fence() -> None:
    silent(cn.zeros(3), True)
    with pytest.raises(CustomError):
        runtime.issue_execution_fence(block=True)


def test_what_was_not_computed_says_why() -> None:
    a, b = cn.zeros(10), cn.ones(10)
    silent(a, True)
    c = a + b
    with pytest.raises(CustomError):
        legate.fence()
    for spoiled in (a, c):
        with pytest.raises(RuntimeError) as info:
            np.asarray(spoiled)
        assert isinstance(info.value.__cause__, CustomError)
    np.testing.assert_array_equal(b, np.ones(10))


def test_the_runtime_goes_on() -> None:
    a = cn.zeros(10)
    silent(a, True)
    with pytest.raises(CustomError):
        legate.fence()
    b = cn.zeros(10)
    silent(b, False)
    np.testing.assert_array_equal(b + 1, np.full(10, 2.0))
    a[:] = 5  # written anew
    np.testing.assert_array_equal(a, np.full(10, 5.0))


def test_reductions_of_a_failed_launch() -> None:
    @task
    def f(a: InputStore, r: ReductionStore[ADD]) -> None:
        raise CustomError

    r = cn.zeros(3)
    f(cn.ones(3), r)
    with pytest.raises(CustomError):
        legate.fence()
    with pytest.raises(RuntimeError):
        np.asarray(r)


@KINDS
def test_deferred(kind: type[Exception]) -> None:
    reached = False
    with pytest.raises(kind, match="no peace"), Scope(exception_mode=ExceptionMode.DEFERRED):
        declared(kind)()
        runtime.issue_execution_fence(block=True)
        reached = True
    assert reached


def test_deferred_without_declaration() -> None:
    with pytest.raises(CustomError), Scope(exception_mode=ExceptionMode.DEFERRED):
        silent(cn.zeros(3), True)
    legate.fence()


@KINDS
def test_ignored(kind: type[Exception]) -> None:
    with Scope(exception_mode=ExceptionMode.IGNORED):
        declared(kind)()
    legate.fence()


def test_interruptions_are_nobodys_result() -> None:
    @task
    def f() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Scope(exception_mode=ExceptionMode.IGNORED):
        f()
        legate.fence()


def test_errors_of_constraints_leave_nothing_behind() -> None:
    from legate.core import broadcast

    @task(constraints=broadcast("a", (1,)))
    def f(a: OutputStore) -> None:
        raise AssertionError("must not run")

    with pytest.raises(ValueError, match="Invalid broadcasting dimension"):
        f(cn.zeros(3))
    legate.fence()
