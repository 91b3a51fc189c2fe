"""Task functions compiled by Numba: made to run in parallel where they can, one at a time where they must.

Numba is not imported: a compiled function brings it along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["is_compiled", "prepared"]

_one_at_a_time = threading.Lock()


def is_compiled(function: object) -> bool:
    """Whether it is a compiled function, which takes arrays and not stores."""
    if isinstance(function, _Alone):
        return True
    return hasattr(function, "py_func") and type(function).__module__.partition(".")[0] == "numba"


def prepared(function: Callable[..., None]) -> Callable[..., None]:
    """The function to run for `function`: itself unless it is compiled.

    A compiled function that keeps the interpreter's lock is compiled again without it, so that the points of a launch run at the
    same time; so is one compiled for given signatures, which cannot say that inputs are read-only. One with parallel loops of its
    own runs alone: Numba's default threads end the process when entered twice.
    """
    if not is_compiled(function) or isinstance(function, _Alone):
        return function
    dispatcher: Any = function
    options = dispatcher.targetoptions
    free = not options.get("nopython") or options.get("nogil") or options.get("parallel")
    if not free or not dispatcher._can_compile:
        dispatcher = _again(dispatcher, {**options, "nogil": True})
    return _Alone(dispatcher) if options.get("parallel") else dispatcher


def _again(dispatcher: Any, options: dict[str, Any]) -> Any:
    """The same function to be compiled for the types it is called with."""
    made = type(dispatcher)(dispatcher.py_func, locals=dispatcher.locals, targetoptions=options)
    if dispatcher._cache.cache_path is not None:
        made.enable_caching()
    return made


class _Alone:
    """A compiled function that only one thread may be in."""

    __slots__ = ("__wrapped__", "py_func")

    def __init__(self, dispatcher: Any) -> None:
        self.__wrapped__, self.py_func = dispatcher, dispatcher.py_func

    def __call__(self, *args: Any) -> None:
        with _one_at_a_time:
            self.__wrapped__(*args)
