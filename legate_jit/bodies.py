"""Which thread is inside the body of a task. Knows neither tasks nor points."""

from __future__ import annotations

import threading
from typing import Any


class _Thread(threading.local):
    launch: Any = None


thread = _Thread()
#: launches whose bodies are running, on all threads: nobody has to ask for the thread's own when there is none
active: list[Any] = []


def running() -> Any:
    """The launch whose body this thread is in, or None."""
    return thread.launch


def forbid() -> None:
    """RuntimeError inside a body: the engine is waiting for it, and cannot run anything else meanwhile."""
    if thread.launch is not None:
        raise RuntimeError(
            f"task {thread.launch.name!r} cannot compute or read arrays of the program while it runs: "
            "a body works on the stores it is given"
        )
