"""One lock around recording and running, taken only in programs that start a second thread.

A program of one thread pays nothing: no entry point takes the lock. The first `threading.Thread.start` calls `share`, which
runs every registered hook once; hooks (the runtime's, the faces') then replace entry points by versions that hold `lock`.
Forks wait until no other thread is inside, so that a child finds the open window whole. Knows neither the window nor arrays.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from legate_jit.running import bodies

F = TypeVar("F", bound=Callable[..., Any])


class _Turns:
    """A reentrant lock that the body of a task may not wait for: whoever holds it may be waiting for that body."""

    def __init__(self) -> None:
        self.inner = threading.RLock()
        self.release = self.inner.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As of `threading.RLock`; RuntimeError inside the body of a task."""
        if bodies.active:
            bodies.forbid()
        return self.inner.acquire(blocking, timeout)

    def turn(self) -> Iterator[bool]:
        """What holds the lock, in this form only. RuntimeError inside the body of a task.

            held = False
            try:
                for held in lock.turn():
                    return function()
            finally:
                if held:
                    lock.release()

        The interpreter looks for signals after a call, and since Python 3.14 `with` makes one to enter: Ctrl-C could come when it
        has the lock and the block has not begun, and nobody else would ever have it. It does not look between the step of a
        loop and the assignment of what that gave.
        """
        if bodies.active:
            bodies.forbid()
        return iter(self.inner.acquire, None)


#: held by a thread that records or runs, once several threads may
lock = _Turns()
_hooks: list[Callable[[], None]] = []
_shared: list[bool] = []
_guarded: list[bool] = []  # once every entry point takes the lock


def is_shared() -> bool:
    """Whether entry points take the lock by now."""
    return bool(_shared)


def when_shared(hook: Callable[[], None]) -> None:
    """Call `hook` when a second thread starts; at once if one has started already."""
    _hooks.append(hook)
    if _shared:
        hook()


def share() -> None:
    """Make every entry point take the lock from now on. Further calls do nothing. Also from the bodies of tasks."""
    if _guarded:  # known without the lock: whoever holds it may be waiting for the thread that starts
        return
    with lock.inner:
        if _shared:
            return
        _shared.append(True)
        for hook in _hooks:
            hook()
        hold_over_forks()
        _guarded.append(True)


def guarded(function: F) -> F:
    """`function`, holding the lock while it runs."""

    @functools.wraps(function)
    def locked(*args: Any, **kwargs: Any) -> Any:
        held = False
        try:
            for held in lock.turn():  # noqa: B007  `finally` reads it
                return function(*args, **kwargs)
        finally:
            if held:
                lock.release()

    return locked  # type: ignore[return-value]


_held_for_fork: list[bool] = []


def _before_fork() -> None:
    lock.acquire()
    _held_for_fork.append(True)


def _after_fork() -> None:
    if _held_for_fork:  # another thread may have registered us while this one was already forking
        _held_for_fork.pop()
        lock.release()


def hold_over_forks() -> None:
    """Take the lock when the process forks, before anything that was registered until now is called. Once more does no harm."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@functools.cache
def compiler_is_loaded() -> None:
    """Take the lock before the compiler's own when the process forks, as every flush does. (Handlers registered last run
    first; taking the lock twice does no harm.)"""
    hold_over_forks()


def _watch(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(start)
    def watched(self: threading.Thread) -> None:
        share()
        start(self)

    return watched


setattr(threading.Thread, "start", _watch(threading.Thread.start))  # noqa: B010  a method may not be assigned, say the checkers
