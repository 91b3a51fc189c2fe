"""Which thread is inside the body of a task. Knows neither tasks nor points."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class _Thread(threading.local):
    launch: Any = None


thread = _Thread()
#: launches whose bodies are running, on all threads: nobody has to ask for the thread's own when there is none
active: list[Any] = []


def running() -> Any:
    """The launch whose body this thread is in, or None."""
    return thread.launch


class Forbidden(RuntimeError):
    """What a body asked of the engine."""


class Applied:
    """A user's function that ranks apply to parts of arrays: a body like those of tasks."""

    def __init__(self, name: str) -> None:
        self.name = name


@contextlib.contextmanager
def inside(launch: Any) -> Iterator[None]:
    """This thread is in a body meanwhile."""
    before, thread.launch = thread.launch, launch
    active.append(launch)
    try:
        yield
    finally:
        thread.launch = before
        active.remove(launch)


def forbid() -> None:
    """`Forbidden` inside a body: the engine is waiting for it, and cannot run anything else meanwhile."""
    if thread.launch is not None:
        raise Forbidden(
            f"task {thread.launch.name!r} cannot compute or read arrays of the program while it runs: "
            "a body works on the stores it is given"
        )
