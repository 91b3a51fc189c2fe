"""The user's line: the first frame outside this package and NumPy, which warnings and reports name.

NumPy's warnings about values ("divide by zero encountered in divide") name the line that called NumPy. Where that is a line of
this package, an entry of ours, the last of the interpreter's warning filters, issues the warning again for the user's line.
"""

from __future__ import annotations

import os
import sys
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


#: parts of the texts of warnings that NumPy issues for the line that called it
_KNOWN = (" encountered in ", "Mean of empty slice", "Degrees of freedom <= 0", "All-NaN ")


class _Text:
    """The message of a warning filter that takes those warnings, and keeps the text for the module's part."""

    seen = ""

    def match(self, text: str) -> bool:
        """Called with the warning's text."""
        self.seen = text if any(part in text for part in _KNOWN) else ""
        return bool(self.seen)


class _Module:
    """The module of a warning filter that takes warnings naming this package's lines, and issues them again."""

    def match(self, module: str) -> bool:
        """Called with the name of the module that the warning names; whether the filter applies."""
        if not _text.seen or module.partition(".")[0] not in ("cupynumeric", "legate_jit"):
            return False
        warnings.warn(_text.seen, RuntimeWarning, stacklevel=user_level())
        return True


_text = _Text()
_filters: Any = warnings.filters
_filters.append(("ignore", _text, RuntimeWarning, _Module(), 0))  # last: what programs set comes first
