"""What tests of ranks share: a world of virtual ones, among which even tiny arrays are dealt out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import legate
from legate_jit import runtime
from legate_jit.ir.ranks import choose
from legate_jit.ranks import windows


@pytest.fixture
def dealt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """A function that makes a world of so many virtual ranks."""
    legate.fence()
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 2)

    def make(size: int) -> None:
        legate.fence()
        runtime._plans.clear()
        monkeypatch.setattr(runtime, "world", windows.World(size, range(size), None))

    yield make
    legate.fence()
    runtime._plans.clear()
