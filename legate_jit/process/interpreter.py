"""What the engine takes for granted of the interpreter, in one place.

Duty: refuse interpreters that cannot be right, and have the numbers measured that differ between versions. It must not know
what is counted.

Which arrays a program still wants, and whether memory has one owner, is known from CPython's reference counts: whatever holds an
object adds one to what `sys.getrefcount` says, beside a constant that depends on the expression in which it is asked. Versions
differ in that constant (since 3.14 a variable is lent to a call, not counted again), so each place that asks measures it once, in
an expression of the same form. `tests/test_interpreter.py` holds all this against the interpreter it runs on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["OLDEST", "check", "references"]

OLDEST = (3, 11)


def check() -> None:
    """ImportError, with the reason, under an interpreter that the engine cannot work with."""
    reason = unsuitable(sys.implementation.name, sys.version_info[:2], getattr(sys, "abiflags", ""))
    if reason is not None:
        raise ImportError(f"legate-jit does not run under this interpreter: {reason}")


def unsuitable(implementation: str, version: tuple[int, int], abiflags: str) -> str | None:
    """Why the engine cannot work with such an interpreter, or None."""
    if implementation != "cpython":
        return f"it needs CPython, whose reference counts say which arrays are still wanted, not {implementation}"
    if version < OLDEST:
        return "it needs Python {}.{} or newer, not {}.{}".format(*OLDEST, *version)
    if "t" in abiflags:
        return (
            "it needs a build with the global interpreter lock; in a free-threaded one, even with PYTHON_GIL=1, "
            "reference counts do not say which arrays are still wanted"
        )
    return None


def references(measure: Callable[[], int]) -> int:
    """What `measure` counts, while nobody looks on: a debugger that reads a function's variables refers to their values, too, and
    a constant measured then would be too large ever after."""
    trace, profile = sys.gettrace(), sys.getprofile()
    if trace is None and profile is None:
        return measure()
    sys.settrace(None)
    sys.setprofile(None)
    try:
        return measure()
    finally:
        sys.setprofile(profile)
        sys.settrace(trace)
