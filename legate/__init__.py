"""The `legate` face: fences, timing, and (in its submodules) tasks, stores and the machine, over the engine.

Must not know how arrays are computed: it talks to the engine's runtime only. Importing it does not start `legate.core`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from legate_jit import runtime

if TYPE_CHECKING:
    from legate.core import get_legate_runtime as get_legate_runtime

__all__ = ["__version__", "fence", "get_legate_runtime"]

#: the Legate interface that this package follows; its own version is `legate_jit.__version__`
__version__ = "26.07.00"


def fence() -> None:
    """Return when everything recorded so far has been computed.

    Raises what a recorded operation raises while it runs (MemoryError, the error of a library call); the arrays stay
    usable and a later fence continues. ValueError inside a streaming scope.
    """
    scopes = sys.modules.get("legate.core._scope")
    if scopes is not None:
        scopes.forbid_in_streaming()
    runtime.fence()


def __getattr__(name: str) -> Any:
    """`get_legate_runtime` starts the runtime on first use."""
    if name == "get_legate_runtime":
        from legate.core import get_legate_runtime

        return get_legate_runtime
    raise AttributeError(f"module 'legate' has no attribute {name!r}")
