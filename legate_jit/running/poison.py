"""Poison: memory that a failed launch was to write. Whoever wants its contents is told why there are none.

A table of such buffers, empty in programs whose tasks do not fail, and asked only when it is not. Each buffer has the error that
spoiled it, without the frames the error went through: these refer to arrays, the poisoned ones among them. Knows no launches.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from weakref import ref

from legate_jit.backends.memory import Buffer

#: by the buffer's id, which is its own as long as it lives
_buffers: dict[int, ref[Buffer]] = {}
#: true if any memory is poisoned
poisoned = _buffers


def mark(buffers: Iterable[Buffer], error: BaseException) -> None:
    """Nobody shall read these buffers, because of an error that `kept` gave."""
    for buffer in buffers:
        buffer.spoiled = error
        _buffers[id(buffer)] = ref(buffer, partial(_forget, id(buffer)))


def _forget(key: int, _: ref[Buffer]) -> None:
    _buffers.pop(key, None)


def error_of(buffer: Buffer | None) -> BaseException | None:
    """What spoiled the buffer, or None."""
    return getattr(buffer, "spoiled", None)


def check(buffer: Buffer) -> None:
    """RuntimeError, chained to what went wrong, if the buffer's contents were never computed."""
    error = error_of(buffer)
    if error is not None:
        raise RuntimeError(
            f"the array was not computed, because a task it depends on failed: {type(error).__name__}: {error}"
        ) from error


def kept(error: BaseException) -> BaseException:
    """The error as it may be kept: of the same class, with the same arguments and attributes; its traceback and what it
    was chained to are a note. RuntimeError with its words where the class does not allow a copy."""
    text = "".join(traceback.TracebackException.from_exception(error).format()).rstrip()
    cls: Any = type(error)
    makers: list[Callable[[], BaseException]] = [
        lambda: cls.__new__(cls, *error.args),  # without __init__, whose parameters may differ from `args`
        lambda: copy.copy(error),  # classes of C that set their attributes there
    ]
    for make in makers:
        try:
            found = make()
            found.__dict__.update(error.__dict__)
            same = type(found) is cls and str(found) == str(error)
        except Exception:  # whatever a class of the program's raises when it is copied
            continue
        if same:
            break
    else:
        found = RuntimeError(f"{cls.__name__}: {error}")
    found.__notes__ = [*getattr(error, "__notes__", ()), text]
    return found
