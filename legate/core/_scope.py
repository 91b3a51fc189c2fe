"""Scopes: with which machine, priority, exception mode, provenance and partitioning policy operations are issued.

`current()` is what the next operation is issued with. Scopes nest per thread (and per asynchronous task); a new thread starts
with the whole machine. Knows nothing of the operations themselves.
"""

from __future__ import annotations

import functools
import json
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from typing import Any, ParamSpec, TypeVar

from legate.core import _config
from legate.core._enums import ExceptionMode, StreamingMode, TaskTarget
from legate.core._machine import EmptyMachineError, Machine

__all__ = [
    "ParallelPolicy",
    "ProfileRange",
    "Scope",
    "State",
    "current",
    "forbid_in_streaming",
    "is_running_in_task",
    "track_provenance",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


# ---- policies ----------------------------------------------------------------------------------------------------------


class ParallelPolicy:
    """How launches are cut into points.

    streaming_mode: whether chains of tasks run part by part. overdecompose_factor: points per processor, at least 1 (ValueError).
    partitioning_threshold: number of elements below which a launch is not cut, one `(target, elements)` pair or a mapping; the
    other kinds of processors keep what the configuration says.
    """

    __slots__ = ("_mode", "_factor", "_thresholds")

    def __init__(
        self,
        *,
        streaming_mode: StreamingMode = StreamingMode.OFF,
        overdecompose_factor: int = 1,
        partitioning_threshold: Mapping[TaskTarget, int] | tuple[TaskTarget, int] | None = None,
    ) -> None:
        self._mode = StreamingMode(streaming_mode)
        self._factor = _positive(overdecompose_factor)
        self._thresholds: dict[TaskTarget, int] = dict(_config.default_thresholds())
        for target, elements in _pairs(partitioning_threshold):
            self.set_partitioning_threshold(target, elements)

    @property
    def streaming(self) -> bool:
        """Whether streaming is on in any form."""
        return self._mode is not StreamingMode.OFF

    @property
    def streaming_mode(self) -> StreamingMode:
        """Whether chains of tasks run part by part."""
        return self._mode

    @streaming_mode.setter
    def streaming_mode(self, mode: StreamingMode) -> None:
        self._mode = StreamingMode(mode)

    @property
    def overdecompose_factor(self) -> int:
        """Points per processor."""
        return self._factor

    @overdecompose_factor.setter
    def overdecompose_factor(self, overdecompose_factor: int) -> None:
        self._factor = _positive(overdecompose_factor)

    def partitioning_threshold(self, target: TaskTarget) -> int:
        """Number of elements below which a launch on this kind of processor is not cut."""
        return self._thresholds[target]

    def set_partitioning_threshold(self, target: TaskTarget, threshold: int) -> None:
        """Change it. OverflowError below zero."""
        elements = operator.index(threshold)
        if elements < 0:
            raise OverflowError("can't convert negative value to uint64_t")
        if not isinstance(target, int):
            raise TypeError(f"an integer is required, not {target!r}")
        self._thresholds[TaskTarget(target)] = elements

    def _copy(self) -> ParallelPolicy:
        made = object.__new__(ParallelPolicy)
        made._mode, made._factor, made._thresholds = self._mode, self._factor, dict(self._thresholds)
        return made

    def _key(self) -> tuple[Any, ...]:
        return self._mode, self._factor, self._thresholds

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ParallelPolicy):
            return NotImplemented
        return self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        thresholds = {t.name: n for t, n in self._thresholds.items()}
        return f"ParallelPolicy({self._mode.name}, {self._factor}, {thresholds})"


def _positive(factor: int) -> int:
    number = operator.index(factor)
    if number < 0:
        raise OverflowError("can't convert negative value to uint32_t")
    if not number:
        raise ValueError("overdecompose_factor must be 1 or more")
    return number


def _pairs(
    given: Mapping[TaskTarget, int] | tuple[TaskTarget, int] | None,
) -> Iterable[tuple[TaskTarget, int]]:
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return given.items()
    if not isinstance(given, tuple) or len(given) != 2:
        raise ValueError("partitioning_threshold must be a tuple of (TaskTarget, int)")
    return (given,)


# ---- what is in force --------------------------------------------------------------------------------------------------


class State:
    """What operations are issued with. Never changed once made, but for the exceptions kept for the end of the scope."""

    __slots__ = ("machine", "exception_mode", "priority", "provenance", "parallel_policy", "_deferred")

    def __init__(
        self,
        machine: Machine,
        exception_mode: ExceptionMode,
        priority: int,
        provenance: str,
        parallel_policy: ParallelPolicy,
        deferred: list[BaseException],
    ) -> None:
        self.machine, self.exception_mode, self.priority = machine, exception_mode, priority
        self.provenance, self.parallel_policy, self._deferred = provenance, parallel_policy, deferred

    def defer(self, error: BaseException) -> None:
        """Keep a task's exception until the scope that defers exceptions ends."""
        self._deferred.append(error)


@functools.cache
def _outermost() -> State:
    return State(Machine(_config.processors()), ExceptionMode.IMMEDIATE, 0, "", ParallelPolicy(), deferred=[])


_state: ContextVar[State] = ContextVar("legate_scope")


def current() -> State:
    """What the next operation is issued with."""
    return _state.get(None) or _outermost()


def forbid_in_streaming() -> None:
    """ValueError inside a streaming scope: fences cannot be there."""
    if current().parallel_policy.streaming:
        raise ValueError("flush_scheduling_window called from inside a streaming scope")


class Scope:
    """What operations inside a `with` block are issued with; what is not given stays as it is outside. For one use only.

    machine: intersected with the outer one; EmptyMachineError if nothing is left. exception_mode: DEFERRED raises the first
    exception of the tasks inside when the block ends.
    """

    __slots__ = ("_priority", "_exception_mode", "_provenance", "_machine", "_policy", "_token", "_used")

    def __init__(
        self,
        *,
        priority: int | None = None,
        exception_mode: ExceptionMode | None = None,
        provenance: str | None = None,
        machine: Machine | None = None,
        parallel_policy: ParallelPolicy | None = None,
    ) -> None:
        self._priority = None if priority is None else operator.index(priority)
        self._exception_mode = None if exception_mode is None else ExceptionMode(exception_mode)
        self._provenance = _typed(provenance, str, "provenance")
        self._machine = _typed(machine, Machine, "machine")
        self._policy = _typed(parallel_policy, ParallelPolicy, "parallel_policy")
        self._token: Token[State] | None = None
        self._used = False

    def __enter__(self) -> None:
        if self._used:
            raise ValueError("Each Scope object can be used only once as a context manager")
        outer = current()
        machine = outer.machine
        if self._machine is not None:
            machine = machine & self._machine
            if machine.empty:
                raise EmptyMachineError("Empty machines cannot be used for resource scoping")
        mode = self._exception_mode
        state = State(
            machine,
            outer.exception_mode if mode is None else mode,
            outer.priority if self._priority is None else self._priority,
            outer.provenance if self._provenance is None else self._provenance,
            outer.parallel_policy if self._policy is None else self._policy._copy(),
            outer._deferred if mode is None or mode is outer.exception_mode else [],
        )
        self._used, self._token = True, _state.set(state)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        inner, token = current(), self._token
        if token is None:
            return
        self._token = None
        _state.reset(token)
        if inner.exception_mode is ExceptionMode.DEFERRED and inner._deferred is not current()._deferred:
            _raise_deferred(inner, error)

    @staticmethod
    def priority() -> int:
        """The priority in force."""
        return current().priority

    @staticmethod
    def exception_mode() -> ExceptionMode:
        """The exception mode in force."""
        return current().exception_mode

    @staticmethod
    def provenance() -> str:
        """The provenance in force, or ''."""
        return current().provenance

    @staticmethod
    def machine() -> Machine:
        """The machine in force."""
        from legate.core._machine import get_machine

        return get_machine()

    @staticmethod
    def parallel_policy() -> ParallelPolicy:
        """A copy of the policy in force."""
        return current().parallel_policy._copy()


def _typed(value: Any, kind: type, name: str) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"Argument '{name}' has incorrect type (expected {kind.__name__}, got {type(value).__name__})"
        )
    return value


def _raise_deferred(inner: State, error: BaseException | None) -> None:
    """Wait for the tasks of a scope that ends, and raise the first of their exceptions, unless another one is on its way."""
    from legate_jit import runtime

    runtime.fence()
    kept = inner._deferred
    if not kept:
        return
    first, rest = kept[0], kept[1:]
    kept.clear()
    if current().exception_mode is ExceptionMode.IGNORED:
        return
    if error is not None:
        error.add_note(f"a task of this scope had raised {first!r}")
        return
    for each in rest:
        first.add_note(f"another task of this scope had raised {each!r}")
    try:
        raise first
    finally:  # it refers to this frame, and that to arrays
        del first, rest


# ---- provenance and profiling ------------------------------------------------------------------------------------------


def track_provenance(
    nested: bool = False,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Decorator: operations issued by the function carry the line it was called from.

    nested: whether a tracked function called by a tracked function reports the inner call instead of the outermost.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            if not nested and current().provenance:
                return function(*args, **kwargs)
            frame = sys._getframe(1)
            with Scope(provenance=_where(frame.f_code.co_filename, frame.f_lineno)):
                return function(*args, **kwargs)

        return wrapper

    return decorate


def _where(file: str, line: int) -> str:
    """A call's line for people, then for programs, as JSON."""
    return json.dumps([f"{file}:{line}", {"file": file, "line": line}])


class ProfileRange:
    """A `with` block that profiles show under a name."""

    __slots__ = ("_name", "_on")

    def __init__(self, provenance: str) -> None:
        self._name, self._on = provenance, False

    def __enter__(self) -> None:
        self._on = _config.config().profile
        if self._on:
            from legate.core import get_legate_runtime

            get_legate_runtime().start_profiling_range()

    def __exit__(self, *exception: Any) -> None:
        if self._on:
            from legate.core import get_legate_runtime

            get_legate_runtime().stop_profiling_range(self._name)


def is_running_in_task() -> bool:
    """Whether the caller is a task's body."""
    from legate_jit import tasks

    return bool(tasks.running())
