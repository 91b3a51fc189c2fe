"""Loops found in what was recorded end where the fewest values are in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import cupynumeric as np
import legate
from legate_jit import pacing, runtime


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many arrays each window leaves, once a program was run."""
    left: list[int] = []
    plan = runtime._plan

    def planned(key: Any) -> Any:
        left.append(len(key[1]))
        return plan(key)

    legate.fence()
    runtime._plans.clear()
    monkeypatch.setattr(runtime, "_plan", planned)
    monkeypatch.setattr(pacing, "LOOP_WORK", 1)  # every iteration is enough work for a window
    yield left
    legate.fence()


def smoothing() -> Any:
    """Sweeps: writes of computed values, then copies of rows."""
    p = np.ones((300, 300))
    for _ in range(200):
        old = p.copy()
        p[1:-1, 1:-1] = (old[1:-1, 2:] + old[1:-1, :-2]) * 0.5
        p[1:-1, 0] = old[1:-1, 1] * 0.25
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]
    return p


@pytest.mark.parametrize("skipped", range(6))
def test_windows_end_after_the_last_write(windows: list[int], skipped: int) -> None:
    """Wherever in the loop the window is when it is full: nothing but the array is left of an iteration."""
    kept = [
        np.ones(300_000 + k) + 1 for k in range(skipped)
    ]  # the loop begins at another place of the window
    result = smoothing()
    legate.fence()
    assert result is not None and kept is not None
    assert len(windows) >= 2
    assert set(windows[1:]) == {1}, windows
