"""Pacing: when a full window ends, by its size, or, inside a loop that was found, after whole iterations.

Decides from the tape alone, so that every rank ends its windows at the same places. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from legate_jit import tracing
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS

_BUFFER = OPS["buffer"]

#: elements a window inside a loop should compute before it is worth a flush
LOOP_WORK = 8_000_000
#: bytes of inputs a window may keep alive: dead arrays should not wait long for the kernels that read them
WINDOW_BYTES = 1 << 30
#: values a window may hold before it is flushed by itself
WINDOW_VALUES = 600
#: instructions that tell what a program is about, elements of tiny arrays, and how many instructions result in one number where
#: a program computes with numbers
RECENT, TINY, NUMBERS = 128, 64, 32


class Full(Protocol):
    """What is looked at of a window: the tape, how many values it has and may have, its inputs and their bytes."""

    code: list[Any]
    n: int
    limit: int
    held: int

    @property
    def inputs(self) -> Sequence[Any]:
        """The buffers that the window reads."""


class Pace:
    """The loop that the program is in, if one was found, and how much of it makes a window."""

    __slots__ = ("trace", "goal", "iterations")

    def __init__(self) -> None:
        self.trace: tracing.Trace | None = None
        self.goal = 0
        self.iterations = 1

    def ends(self, w: Full) -> bool:
        """Whether a window that has reached its limit is to be run now; else it has a new limit."""
        recorded = w.n - len(w.inputs)
        if w.held > WINDOW_BYTES or recorded > 4 * WINDOW_VALUES:
            self.trace = None  # a loop whose boundary is never seen must end too
            return True
        if recorded < self.goal:
            w.limit = w.n + self.goal - recorded - 2
            return False
        trace = self.trace
        if trace is not None:
            if tracing.ends_with(w.code, trace.last):
                return True
            self.trace = None
            self.goal = 0
            if recorded < WINDOW_VALUES:
                w.limit = WINDOW_VALUES
                return False
        trace = tracing.find(w.code)
        if trace is None:
            return True
        self.trace = trace
        self.iterations = _iterations(w.code, trace)
        self.goal = recorded + trace.wait
        w.limit = w.n + trace.wait - 2
        return False

    def begin(self, w: Full) -> None:
        """Give a new window its limit."""
        trace = self.trace
        self.goal = 0 if trace is None else trace.period * self.iterations
        w.limit = WINDOW_VALUES if trace is None else self.goal - 2


def numbers(code: list[Any]) -> list[Signature]:
    """The last instructions of a tape if many of them compute one number, else none."""
    recent = [sig for sig in code if sig.__class__ is Signature and sig.op is not _BUFFER][-RECENT:]
    return recent if sum(not sig.type.shape for sig in recent) >= NUMBERS else []


def _iterations(code: list[Any], trace: tracing.Trace) -> int:
    """Iterations per window: one when an iteration is much work, else enough that the cost of a flush disappears."""
    sizes = [sig.type.size for sig in code if sig.__class__ is Signature][-trace.period :]
    k = 1
    while k * sum(sizes) < LOOP_WORK and 2 * k * trace.period <= WINDOW_VALUES:
        k *= 2
    return k
