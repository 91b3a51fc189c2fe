"""What tests of ranks share: a world of virtual ones, among which even tiny arrays are dealt out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import legate
from legate_jit import ranks, runtime
from legate_jit.ir import choose


@pytest.fixture
def dealt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """A function that makes a world of so many virtual ranks."""
    legate.fence()
    for room in (choose, ranks):
        monkeypatch.setattr(room, "SMALL", 2)

    def make(size: int) -> None:
        legate.fence()
        runtime._plans.clear()
        monkeypatch.setattr(runtime, "world", ranks.World(size, range(size), None))

    yield make
    legate.fence()
    runtime._plans.clear()
