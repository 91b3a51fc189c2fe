"""Timestamps that lie in program order: `time()` says when everything recorded before it had finished.

Must not know what is being timed.
"""

from __future__ import annotations

import time as _clock
from typing import Any

from legate_jit import runtime

__all__ = ["PyTime", "time"]

_NANOSECONDS = {"us": 1000, "ns": 1}


class PyTime:
    """A moment, in whole `units` since an arbitrary origin; two of them subtract to a duration, an `int`.

    Deferred: it is known once everything recorded before it has been computed, and asking for it (arithmetic, comparisons and
    conversions do, as its integer value) computes that. Not constructed by users.
    """

    __slots__ = ("_nanoseconds", "_scale")

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._nanoseconds: int | None = None

    def _stamp(self) -> None:
        self._nanoseconds = _clock.perf_counter_ns()

    @property
    def _value(self) -> int:
        if self._nanoseconds is None:
            runtime.fence()
        assert self._nanoseconds is not None
        return self._nanoseconds // self._scale

    def value(self) -> int:
        """The moment as an integer; waits for it."""
        return self._value

    def __int__(self) -> int:
        return self._value

    def __index__(self) -> int:
        return self._value

    def __float__(self) -> float:
        return float(self._value)

    def __str__(self) -> str:
        return str(self._value)

    def __repr__(self) -> str:
        return f"PyTime({self._value})"

    def __hash__(self) -> int:
        return hash(self._value)

    def __eq__(self, other: object) -> bool:
        return bool(self._value == _number(other))

    def __lt__(self, other: Any) -> bool:
        return bool(self._value < _number(other))

    def __le__(self, other: Any) -> bool:
        return bool(self._value <= _number(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self._value > _number(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self._value >= _number(other))

    def __add__(self, other: Any) -> Any:
        return self._value + _number(other)

    def __radd__(self, other: Any) -> Any:
        return _number(other) + self._value

    def __sub__(self, other: Any) -> Any:
        return self._value - _number(other)

    def __rsub__(self, other: Any) -> Any:
        return _number(other) - self._value

    def __mul__(self, other: Any) -> Any:
        return self._value * _number(other)

    def __rmul__(self, other: Any) -> Any:
        return _number(other) * self._value

    def __truediv__(self, other: Any) -> Any:
        return self._value / _number(other)

    def __floordiv__(self, other: Any) -> Any:
        return self._value // _number(other)


def _number(x: Any) -> Any:
    return x._value if isinstance(x, PyTime) else x


def time(units: str = "us") -> PyTime:
    """The moment at which everything recorded before this call has been computed, in microseconds or nanoseconds.

    units: 'us' or 'ns'; ValueError otherwise. Returns at once: the moment is taken when the program's operations have run up to
    here. Nothing recorded later is fused with what came before, so that it is not timed with it.
    """
    scale = _NANOSECONDS.get(units)
    if scale is None:
        raise ValueError("time units must be 'us' or 'ns'")
    moment = PyTime(scale)
    runtime.mark(moment._stamp)
    return moment
