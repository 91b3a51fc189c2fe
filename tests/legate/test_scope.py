"""Scopes: values in force, nesting, threads, policies, deferred exceptions, provenance, profiling ranges."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

import legate
from legate.core import (
    ExceptionMode,
    Machine,
    ParallelPolicy,
    ProfileRange,
    Scope,
    StreamingMode,
    TaskTarget,
    get_legate_runtime,
    is_running_in_task,
    track_provenance,
)
from legate.core import _scope as rooms


def in_force() -> tuple[Any, ...]:
    return (
        Scope.priority(),
        Scope.exception_mode(),
        Scope.provenance(),
        Scope.machine(),
        Scope.parallel_policy(),
    )


FIRST = {
    "priority": 42,
    "exception_mode": ExceptionMode.DEFERRED,
    "provenance": "42",
    "parallel_policy": ParallelPolicy(overdecompose_factor=42),
}
SECOND = {
    "priority": 43,
    "exception_mode": ExceptionMode.IGNORED,
    "provenance": "43",
    "parallel_policy": ParallelPolicy(streaming_mode=StreamingMode.RELAXED),
}


def test_outside_of_all_scopes() -> None:
    assert in_force()[:3] == (0, ExceptionMode.IMMEDIATE, "")
    assert Scope.parallel_policy() == ParallelPolicy()


@pytest.mark.parametrize("name", FIRST)
def test_one_value(name: str) -> None:
    before = in_force()
    with Scope(**{name: FIRST[name]}):  # type: ignore[arg-type]
        assert getattr(Scope, name)() == FIRST[name]
        with Scope(**{name: SECOND[name]}):  # type: ignore[arg-type]
            assert getattr(Scope, name)() == SECOND[name]
            changed = sum(a != b for a, b in zip(in_force(), before, strict=True))
            assert changed == 1
        assert getattr(Scope, name)() == FIRST[name]
    assert in_force() == before


def test_machine() -> None:
    before = Scope.machine()
    some = before[:1]
    with Scope(machine=some):
        assert Scope.machine() == some
    assert Scope.machine() == before
    with pytest.raises(RuntimeError, match="Empty machines"), Scope(machine=Machine()):
        pass
    assert Scope.machine() == before


def test_several_values_and_empty_scopes() -> None:
    before = in_force()
    with Scope(**FIRST):  # type: ignore[arg-type]
        inside = in_force()
        with Scope(), Scope(**SECOND):  # type: ignore[arg-type]
            assert (Scope.priority(), Scope.exception_mode()) == (43, ExceptionMode.IGNORED)
        assert in_force() == inside
    assert in_force() == before


def test_scopes_are_for_one_use() -> None:
    scope = Scope(priority=1)
    with scope:
        pass
    with pytest.raises(ValueError, match="Each Scope object can be used only once as a context manager"):
        scope.__enter__()


def test_types_of_values() -> None:
    with pytest.raises(TypeError, match="Argument 'provenance' has incorrect type"):
        Scope(provenance=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Argument 'machine' has incorrect type"):
        Scope(machine=3)  # type: ignore[arg-type]


def test_exceptions_leave_scopes() -> None:
    before = in_force()
    with pytest.raises(ZeroDivisionError), Scope(**FIRST):  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert in_force() == before


def test_threads_start_with_the_whole_machine() -> None:
    found = []
    with Scope(priority=9):
        thread = threading.Thread(target=lambda: found.append(Scope.priority()))
        thread.start()
        thread.join()
    assert found == [0]


def test_policy_in_a_scope_is_a_copy() -> None:
    policy = ParallelPolicy(overdecompose_factor=2)
    with Scope(parallel_policy=policy):
        policy.overdecompose_factor = 7
        Scope.parallel_policy().overdecompose_factor = 8
        assert Scope.parallel_policy().overdecompose_factor == 2


# ---- policies ----------------------------------------------------------------------------------------------------------


def test_default_policy() -> None:
    policy = ParallelPolicy()
    assert policy.overdecompose_factor == 1
    assert not policy.streaming and policy.streaming_mode is StreamingMode.OFF
    chunks = get_legate_runtime().config()
    assert [policy.partitioning_threshold(t) for t in TaskTarget] == [
        chunks.min_gpu_chunk,
        chunks.min_omp_chunk,
        chunks.min_cpu_chunk,
    ]


def test_policies_are_compared_by_value() -> None:
    relaxed = [ParallelPolicy(streaming_mode=StreamingMode.RELAXED) for _ in range(2)]
    assert relaxed[0] == relaxed[1] != ParallelPolicy()
    assert relaxed[0].streaming and relaxed[0].__eq__(123) is NotImplemented


def test_thresholds() -> None:
    policy = ParallelPolicy(partitioning_threshold=(TaskTarget.CPU, 9))
    assert policy.partitioning_threshold(TaskTarget.CPU) == 9
    default = ParallelPolicy()
    assert policy != default
    assert policy.partitioning_threshold(TaskTarget.GPU) == default.partitioning_threshold(TaskTarget.GPU)
    every = ParallelPolicy(partitioning_threshold={t: 10 + t for t in TaskTarget})
    assert [every.partitioning_threshold(t) for t in TaskTarget] == [10 + t for t in TaskTarget]
    every.set_partitioning_threshold(TaskTarget.OMP, 3)
    assert every.partitioning_threshold(TaskTarget.OMP) == 3


def test_what_is_no_policy() -> None:
    with pytest.raises(OverflowError, match="can't convert negative value to uint32_t"):
        ParallelPolicy(overdecompose_factor=-1)
    with pytest.raises(ValueError, match="overdecompose_factor must be 1 or more"):
        ParallelPolicy(overdecompose_factor=0)
    with pytest.raises(TypeError, match="an integer is required"):
        ParallelPolicy(partitioning_threshold=("a", 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"partitioning_threshold must be a tuple of \(TaskTarget, int\)"):
        ParallelPolicy(partitioning_threshold=())  # type: ignore[arg-type]


def test_no_fences_while_streaming() -> None:
    text = "flush_scheduling_window called from inside a streaming scope"
    with Scope(parallel_policy=ParallelPolicy(streaming_mode=StreamingMode.STRICT)):
        with pytest.raises(ValueError, match=text):
            get_legate_runtime().issue_execution_fence(block=True)
        with pytest.raises(ValueError, match=text):
            legate.fence()
    legate.fence()


# ---- deferred exceptions -----------------------------------------------------------------------------------------------


def deferred(*errors: Exception) -> None:
    for error in errors:
        rooms.current().defer(error)


def test_first_deferred_exception_is_raised_at_the_end() -> None:
    with pytest.raises(KeyError) as caught, Scope(exception_mode=ExceptionMode.DEFERRED):
        deferred(KeyError("a"), IndexError("b"))
        with Scope(priority=3):  # not the end of the deferring scope
            deferred(IndexError("c"))
    assert len(caught.value.__notes__) == 2


def test_inner_deferring_scopes_leave_it_to_the_outer_one() -> None:
    with pytest.raises(KeyError), Scope(exception_mode=ExceptionMode.DEFERRED):
        with Scope(exception_mode=ExceptionMode.DEFERRED):
            deferred(KeyError("a"))
        Scope.priority()


def test_deferred_exceptions_do_not_hide_others() -> None:
    with pytest.raises(ZeroDivisionError) as caught, Scope(exception_mode=ExceptionMode.DEFERRED):
        deferred(KeyError("a"))
        raise ZeroDivisionError
    assert "KeyError('a')" in caught.value.__notes__[0]


def test_ignored_exceptions_stay_ignored() -> None:
    with Scope(exception_mode=ExceptionMode.IGNORED), Scope(exception_mode=ExceptionMode.DEFERRED):
        deferred(KeyError("a"))


# ---- provenance and profiling ------------------------------------------------------------------------------------------


@track_provenance()
def tracked() -> str:
    """Where it was called."""
    return Scope.provenance()


@track_provenance()
def outer_wins() -> str:
    return tracked()


@track_provenance(nested=True)
def again() -> str:
    return Scope.provenance()


@track_provenance(nested=True)
def inner_wins() -> str:
    return again()


def line_of(text: str) -> int:
    human, machine = json.loads(text)
    assert human == f"{machine['file']}:{machine['line']}" and machine["file"] == __file__
    return int(machine["line"])


def test_provenance_is_the_line_of_the_call() -> None:
    first, second = tracked(), outer_wins()
    assert line_of(first) == line_of(second)
    assert tracked.__doc__ == "Where it was called." and tracked.__name__ == "tracked"
    assert Scope.provenance() == ""


def test_nested_provenance_is_the_line_of_the_innermost_call() -> None:
    assert line_of(inner_wins()) == inner_wins.__wrapped__.__code__.co_firstlineno + 2  # type: ignore[attr-defined]


def test_profile_ranges_without_profile() -> None:
    with ProfileRange("name"):
        pass


def test_not_in_a_task() -> None:
    assert is_running_in_task() is False
