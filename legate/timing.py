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

    Works in arithmetic and comparisons as its integer value does.
    """

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    def value(self) -> int:
        """The moment as an integer."""
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

    units: 'us' or 'ns'; ValueError otherwise. The open window ends here, so that nothing recorded later is timed with it;
    waiting for it is part of what a timestamp means on one machine.
    """
    scale = _NANOSECONDS.get(units)
    if scale is None:
        raise ValueError("time units must be 'us' or 'ns'")
    runtime.fence()
    return PyTime(_clock.perf_counter_ns() // scale)
