"""Poison: memory that a failed launch was to write. Whoever wants its contents is told why there are none.

A set of buffers with the error that spoiled each; empty in programs whose tasks do not fail, and asked only when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from legate_jit.backends.memory import Buffer

poisoned: WeakKeyDictionary[Buffer, BaseException] = WeakKeyDictionary()


def mark(buffers: Iterable[Buffer], error: BaseException) -> None:
    """Nobody shall read these buffers."""
    for buffer in buffers:
        poisoned[buffer] = error


def check(buffer: Buffer) -> None:
    """RuntimeError, chained to what went wrong, if the buffer's contents were never computed."""
    error = poisoned.get(buffer)
    if error is not None:
        raise RuntimeError(
            f"the array was not computed, because a task it depends on failed: {type(error).__name__}: {error}"
        ) from error
