"""For tests that look at the windows of whole programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from legate_jit import runtime
from legate_jit.backends import interpret
from legate_jit.ir.ranks import choose, needs
from legate_jit.running import tiers
from tests.fuzz import programs


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, int, int], None]]:
    """A function that has a class run every window in the place of `interpret.Program`, with arrays cut from so many elements
    (`small`), and parts computed in strips from so many times their length (`long`)."""

    def start(program: Any, small: int, long: int) -> None:
        monkeypatch.setattr(needs, "LONG", long)
        monkeypatch.setattr(choose, "SMALL", small)
        monkeypatch.setattr(interpret, "Program", program)

    runtime.fence()
    monkeypatch.setattr(tiers.policy, "target", "reference")
    programs.forget()
    yield start
    runtime.fence()
    programs.forget()
