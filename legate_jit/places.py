"""Places in the user's program: which line asked for something, and tapes that remember it for each instruction.

Knows frames and the tape's shape; nothing of what instructions mean.
"""

from __future__ import annotations

import bisect
import os
import sys
from collections.abc import Iterable
from operator import itemgetter
from types import FrameType
from typing import Any

import numpy

from legate_jit import runtime

__all__ = ["Place", "Tape", "TracedWindow", "place_of", "place_text", "user_place"]

Place = tuple[str, int]  # file, line

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INSIDE = (
    *(
        os.path.join(_HOME, package) + os.sep
        for package in ("legate_jit", "cupynumeric", "cunumeric", "legate")
    ),
    os.path.dirname(os.path.abspath(numpy.__file__)) + os.sep,
    "<frozen ",  # runs modules
)


def place_of(frame: FrameType | None) -> Place:
    """File and line of the innermost frame, from this one outwards, that is outside this package and NumPy."""
    while frame is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return ("?", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def user_place() -> Place:
    """File and line of the innermost frame outside this package and NumPy."""
    return place_of(sys._getframe(1))


def place_text(place: Place) -> str:
    """`file:line`, the file relative to the current folder when it lies below it."""
    file, line = place
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    return f"{file if relative.startswith('..') else relative}:{line}"


class Tape(list[Any]):
    """A tape that remembers who wrote each entry: (position, file and line) per write."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[int, Place]] = []

    def __iadd__(self, items: Iterable[Any]) -> Tape:  # type: ignore[misc]
        self.marks.append((len(self), user_place()))
        super().extend(items)
        return self

    def place(self, position: int) -> Place:
        """Who wrote the entry at a position."""
        return self.marks[bisect.bisect_right(self.marks, position, key=itemgetter(0)) - 1][1]

    def append(self, item: Any) -> None:
        self.marks.append((len(self), user_place()))
        super().append(item)

    def extend(self, items: Iterable[Any]) -> None:
        self.marks.append((len(self), user_place()))
        super().extend(items)


class TracedWindow(runtime.Window):
    """The window with a remembering tape. Same layout, so that the one window there is can become it."""

    __slots__ = ()

    def clear(self) -> None:
        super().clear()
        self.code = Tape()

    def copy(self, items: tuple[Any, ...], tape: list[Any], position: int) -> None:
        self.code += items
        if isinstance(self.code, Tape) and isinstance(tape, Tape):
            self.code.marks[-1] = (self.code.marks[-1][0], tape.place(position))
