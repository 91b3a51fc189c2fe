"""The `legate` face: fences, timing, and (in its submodules) tasks, stores and the machine, over the engine.

Must not know how arrays are computed: it talks to the engine's runtime only.
"""

from __future__ import annotations

from legate_jit import runtime

__all__ = ["fence"]


def fence() -> None:
    """Return when everything recorded so far has been computed.

    Raises what a recorded operation raises while it runs (MemoryError, the error of a library call); the arrays stay
    usable and a later fence continues.
    """
    runtime.fence()
