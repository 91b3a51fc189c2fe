"""Poison: memory that a failed launch was to write. Whoever wants its contents is told why there are none.

A table of buffers with the error that spoiled each; empty in programs whose tasks do not fail, and asked only when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from weakref import ref

from legate_jit.backends.memory import Buffer

#: by the buffer's id, which is its own as long as it lives
_errors: dict[int, tuple[ref[Buffer], BaseException]] = {}
#: true if any memory is poisoned
poisoned = _errors


def mark(buffers: Iterable[Buffer], error: BaseException) -> None:
    """Nobody shall read these buffers."""
    for buffer in buffers:
        _errors[id(buffer)] = (ref(buffer, partial(_forget, id(buffer))), error)


def _forget(key: int, _: ref[Buffer]) -> None:
    _errors.pop(key, None)


def error_of(buffer: Buffer) -> BaseException | None:
    """What spoiled the buffer, or None."""
    found = _errors.get(id(buffer))
    return None if found is None else found[1]


def check(buffer: Buffer) -> None:
    """RuntimeError, chained to what went wrong, if the buffer's contents were never computed."""
    error = error_of(buffer)
    if error is not None:
        raise RuntimeError(
            f"the array was not computed, because a task it depends on failed: {type(error).__name__}: {error}"
        ) from error
