"""Runs that are not finished: stores may already hold the buffers of their results, which have no value yet.

Such a run was stopped by an exception, or it goes on *beside* the program, which records meanwhile: at most one, begun where a
window was full. Whoever looks at memory asks `if suspended: resume(...)` first, and a flush completes the run beside before it
asks who else refers to its inputs; so nobody sees, overwrites or hands out memory that it uses: it holds its buffers. Knows
buffers and what a run is (`run()`, which may be called again); the window only as data.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.backends.pool import threads
from legate_jit.ir import index
from legate_jit.ir.ops import OPS
from legate_jit.process import interpreter
from legate_jit.process.config import config
from legate_jit.running import locking, poison
from legate_jit.running.execute import Execution

if TYPE_CHECKING:
    from legate_jit.runtime import Window
    from legate_jit.store import Store

#: the runs that are not finished, in the order of the program
suspended: list[Waiting] = []
#: whether runs may go on beside the program
overlap = config.overlap


class Waiting:
    """A run that is not finished: arrays may hold the buffers of its results, which have no value yet."""

    __slots__ = ("_buffers", "_execution", "_results", "beside")

    def __init__(self, execution: Any, buffers: list[Buffer], outputs: Sequence[int]) -> None:
        self._execution, self._buffers, self._results = execution, buffers, outputs
        self.beside = False

    def begin(self) -> bool:
        """Have it go on beside the program, if it can and is worth it; False: it is to be finished now."""
        execution = self._execution
        if not overlap or not isinstance(execution, Execution):
            return False
        _finish_in_time()
        self.beside = True
        self.beside = execution.begin()
        return self.beside

    def finish(self) -> None:
        """Go on where the run stopped. An error leaves it to be tried again, unless there is nothing left to try."""
        try:
            self._execution.run()
        except BaseException:
            if getattr(self._execution, "finished", False):  # not what still runs beside
                suspended.remove(self)
            raise
        suspended.remove(self)

    def concerns(self, wanted: Sequence[Buffer | None]) -> bool:
        """Whether one of these buffers is a result."""
        results = [self._buffers[k] for k in self._results]
        return any(b is r for b in wanted for r in results)

    def forgotten(self) -> bool:
        """Whether nobody else refers to any result."""
        return all(_others(self._buffers, k) == _NOBODY for k in self._results)


def _others(buffers: Sequence[Any], k: int) -> int:
    """References to the k-th item from outside the list, and a constant."""
    item = buffers[k]
    inside = len([b for b in buffers if b is item])
    del item
    return sys.getrefcount(buffers[k]) - inside


_NOBODY = interpreter.references(lambda: _others([object()], 0))


def complete() -> None:
    """Finish the run that goes on beside the program, if there is one."""
    for waiting in suspended:
        if waiting.beside:
            waiting.finish()
            return


@functools.cache
def _finish_in_time() -> None:
    """Have the run beside finished before the process forks, and before the interpreter ends (nothing begins after that).

    These are functions without a line of Python, into which Ctrl-C could come.
    """
    atexit.register(threads.finish_program)
    atexit.register(setattr, sys.modules[__name__], "overlap", False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=threads.finish_program)
        locking.hold_over_forks()  # called before it: no other thread begins another run


def resume(wanted: Sequence[Buffer | None] | None = None) -> None:
    """Finish the runs that an exception stopped and whose results are among the `wanted` buffers (None: all of them).

    The error of a library call comes again whenever a result of its run is wanted, until the call succeeds or nobody holds any
    result; such a run is dropped. Other arrays are not concerned. The run beside is finished whatever is wanted.
    """
    complete()
    for waiting in suspended[::-1]:
        if waiting.forgotten():
            suspended.remove(waiting)
        elif wanted is None or waiting.concerns(wanted):
            waiting.finish()


def needed(w: Window, values: Sequence[int | None]) -> list[Buffer]:
    """The input buffers that these values of a window are computed from."""
    starts, i = [], 0
    while i < len(w.code):
        starts.append(i)
        i += 1 + w.code[i].nsrc
    found = set(values)
    for v in range(len(starts) - 1, -1, -1):
        if v in found:
            at = starts[v]
            found.update(w.code[at + 1 : at + 1 + w.code[at].nsrc])
    return [b for b, v in zip(w.inputs, w.input_values, strict=True) if v in found]


def untouched(
    w: Window, pending: list[Store], values: tuple[int | None, ...]
) -> tuple[list[Store], tuple[int | None, ...]]:
    """The pending stores that are not computed from poisoned memory; the others are poisoned as well."""
    bad: dict[int, BaseException] = {}
    for b, v in zip(w.inputs, w.input_values, strict=True):
        error = poison.error_of(b)
        if error is not None:
            bad[v] = error
    if not bad:
        return pending, values
    v, i, slot = 0, 0, 0
    while i < len(w.code):
        sig = w.code[i]
        replaced = sig.op is OPS["update"] and index.is_identity(sig.arg, sig.type.shape)
        cause = next((bad[s] for s in w.code[i + 1 + replaced : i + 1 + sig.nsrc] if s in bad), None)
        if cause is not None:
            bad[v] = cause
            if sig.op is OPS["task"]:
                w.scalars[slot].error = cause
        slot += sig.mask.bit_count()
        v, i = v + 1, i + 1 + sig.nsrc
    kept = []
    for s, value in zip(pending, values, strict=True):
        if value in bad:
            s.buffer, s.value = memory.allocate(s.type.nbytes), None
            poison.mark((s.buffer,), bad[value])
        else:
            kept.append(s)
    return kept, tuple([s.value for s in kept])
