"""Random programs whose instructions are all marked to be computed at once, where that is possible: NumPy's results, bit for bit.

Marks are taken back after few or many operations that nobody looks at, and made again, so that arrays of all kinds meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import legate
from cupynumeric import _at_once, _instant, _walking
from legate_jit import runtime
from legate_jit.ir import infer
from legate_jit.running import tiers
from tests.fuzz import programs


@pytest.fixture(autouse=True)
def everything_marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tier 0, and every new instruction marked."""

    def mark(signature: Any) -> Any:
        signature.at_once = tiers.LOOKED
        tiers._at_once.append(signature)
        return signature

    legate.fence()
    monkeypatch.setattr(tiers.policy, "interpret_runs", 2)
    monkeypatch.setattr(tiers, "TIMES", 10**9)
    made = infer.Signature
    monkeypatch.setattr(infer, "Signature", lambda *args: mark(made(*args)))
    monkeypatch.setattr(tiers, "mark_all", lambda: [mark(s) for s in infer._interned.values()], raising=False)
    yield
    legate.fence()
    tiers.record_again()
    _walking.forget()


def check(seed: int, steps: int) -> str | None:
    """What differs in the program of this seed."""
    rng = random.Random(seed)
    patience = rng.choice([2, 7, 32])
    _instant._PATIENCE = _at_once._PATIENCE = patience
    try:
        tiers.mark_all()  # type: ignore[attr-defined]
        lines = programs.make(seed, steps)
        marked = []
        for line in lines:
            marked += [line] if rng.random() < 0.6 else [line, "fence()"]
        found = programs.difference(marked, snapshots=seed if rng.random() < 0.3 else None)
        return None if found is None else "\n".join([f"seed {seed}, patience {patience}", *marked, found])
    finally:
        _instant._PATIENCE = _at_once._PATIENCE = tiers.PATIENCE


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_programs(first: int) -> None:
    reports = [r for seed in range(50_000 + first, 50_000 + first + 20) if (r := check(seed, 25)) is not None]
    assert not reports, "\n\n".join(reports[:3])


def test_the_marks_do_something() -> None:
    tiers.mark_all()  # type: ignore[attr-defined]
    import cupynumeric as np

    x = np.array([1.0, 2.0, 3.0])
    flushes = runtime.counters.flushes
    y = x + 1.0
    x[1] = 5.0
    y += x
    z = np.concatenate([x * 2.0, y])
    legate.fence()
    assert runtime.counters.flushes == flushes
    assert z.tolist() == [2.0, 10.0, 6.0, 3.0, 8.0, 7.0]
