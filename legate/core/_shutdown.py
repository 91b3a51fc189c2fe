"""What happens when the program ends: callbacks, the last tasks, and garbage between them.

Knows callbacks and the engine's fence; no stores.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

from legate_jit import runtime

__all__ = ["add_shutdown_callback", "finish", "install"]

_callbacks: list[Callable[[], Any]] = []
_owner: list[int] = []  # the process that ends the runtime: not its forked children


def add_shutdown_callback(callback: Callable[[], Any]) -> None:
    """Call `callback()` when the runtime finishes: the last one added first. Callbacks may add others. None is called after a
    crash."""
    if not callable(callback):
        raise TypeError(f"Shutdown callbacks must be callable, got {type(callback)}")
    _callbacks.append(callback)


def finish() -> None:
    """Run everything that was issued, then the callbacks, then what they issued."""
    runtime.fence()
    while _callbacks:
        _callbacks.pop()()
    runtime.fence()


def _crashed() -> bool:
    """Whether the program ends because of an exception that nobody caught."""
    return getattr(sys, "last_value", None) is not None


def _at_exit() -> None:
    """atexit -> gc -> finish -> gc: arrays that are only kept alive by cycles go first, so that nothing is computed for them."""
    if _crashed() or os.getpid() not in _owner:
        _callbacks.clear()
        return
    gc.collect()
    try:
        finish()
    except Exception:
        sys.excepthook(*sys.exc_info())
    gc.collect()


def install() -> None:
    """Finish when the interpreter ends, before what was registered with atexit earlier."""
    if not _owner:
        _owner.append(os.getpid())
        atexit.register(_at_exit)
