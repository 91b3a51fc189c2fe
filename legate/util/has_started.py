"""Whether the runtime has been started, asked without starting it."""

from __future__ import annotations

import sys

__all__ = ["runtime_has_started"]


def runtime_has_started() -> bool:
    """Whether `legate.core` has been imported."""
    runtime = sys.modules.get("legate.core._runtime")
    return hasattr(runtime, "get_legate_runtime")
