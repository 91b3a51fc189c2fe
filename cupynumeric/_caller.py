"""The user's line: the first frame outside this package and NumPy, which warnings and reports name."""

from __future__ import annotations

import os
import sys
from types import FrameType

import numpy as np

_INSIDE = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (__file__, np.__file__))


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
