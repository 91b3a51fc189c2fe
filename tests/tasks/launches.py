"""Launches of plain functions for tests of the engine: a body is a function of the local arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from legate_jit import tasks
from legate_jit.ir.tasks.task import TaskSpec


class Plain(tasks.Launch):
    """Calls a function with the local arrays (and, if it asks for them, the point and the boxes)."""

    __slots__ = ("body", "points", "swallow")

    def __init__(self, body: Callable[..., Any], swallow: bool = False) -> None:
        super().__init__(body.__name__, "here:1")
        self.body, self.swallow = body, swallow
        self.points: list[tuple[int, ...]] = []

    def point(self, index: Any, launch: Any, arrays: Any, boxes: Any) -> None:
        """Run the body."""
        self.points.append(index)
        self.body(*arrays)

    def failed(self, error: BaseException, index: tuple[int, ...]) -> BaseException | None:
        """The error as it is, or nothing."""
        return None if self.swallow else error


def call(
    body: Callable[..., Any],
    roles: str,
    *arrays: Any,
    constraints: Sequence[Any] = (),
    pieces: int = 1,
    swallow: bool = False,
) -> Plain:
    """Launch `body` over arrays; `roles` are words: input, output, add, ..."""
    launch = Plain(body, swallow)
    spec = TaskSpec(body.__name__, tuple(roles.split()), tuple(constraints), pieces)
    tasks.launch(launch, spec, [(a._store, a._lens) for a in arrays])
    return launch
