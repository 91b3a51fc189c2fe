"""The user's line: the first frame outside this package and NumPy, which warnings and reports name.

NumPy's warnings ("divide by zero encountered in divide", "Polyfit may be poorly conditioned") name the line that called
NumPy. Where that is a line of this package, an entry of ours among the interpreter's warning filters issues the warning again for
the user's line.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from types import FrameType
from typing import Any

import numpy as np

import legate_jit

_PATHS = (__file__, np.__file__, str(legate_jit.__file__))
_INSIDE = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in _PATHS)


def user_frame() -> FrameType:
    """The innermost frame of user code (the outermost frame if there is none)."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return frame


def user_level() -> int:
    """The `stacklevel` with which a warning issued by our caller names the user's line."""
    user, frame, level = user_frame(), sys._getframe(1), 1
    while frame is not user and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    return level


def warn(text: str, category: type[Warning]) -> None:
    """Issue a warning that names the user's line."""
    warnings.warn(text, category, stacklevel=user_level())


def warn_of_lost_parts(source: np.dtype, target: np.dtype) -> None:
    """NumPy's warning where elements of one dtype are converted to another that has no imaginary part."""
    if source.kind == "c" and target.kind not in "cb":
        warn("Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning)


class _Entry(threading.local):
    """A warning filter that takes the warnings which name a line of this package, and issues them again for the user's.

    Filters are asked for the text, the module and the category of a warning, in one order by C and in another by Python. Whoever
    is asked last knows all three, and answers for all.
    """

    def __init__(self) -> None:
        self.text = ""
        self.module: str | None = None
        self.category: type[Warning] | None = None

    def match(self, text: str) -> bool:
        """The text's part of the filter, which is asked first."""
        self.text, self.module, self.category = text, None, None
        return True

    def takes(self) -> bool:
        """Whether the filter applies, as far as is known."""
        if self.module is None or self.category is None:
            return True
        if self.module.partition(".")[0] not in ("cupynumeric", "legate_jit"):
            return False
        warnings.warn(self.text, self.category, stacklevel=user_level())
        return True


class _Module:
    """The module's part of the filter."""

    def match(self, module: str) -> bool:
        """Called with the name of the module that the warning names."""
        _entry.module = module
        return _entry.takes()


class _Any(type):
    def __subclasscheck__(cls, category: type) -> bool:
        _entry.category = category
        return _entry.takes()


class _Category(metaclass=_Any):
    """The category's part of the filter."""


_entry = _Entry()
_filters: Any = warnings.filters
# Before those that are there (the interpreter's own hide deprecations elsewhere than in the program): the warning goes
# through them when it is issued again. What programs set later comes before this.
FILTER: Any = ("ignore", _entry, _Category, _Module(), 0)
_filters.insert(0, FILTER)
