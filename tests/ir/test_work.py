"""How much work the units of a launch are said to have: every operation of an element once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric
import legate
from legate_jit.ir import passes
from legate_jit.ir.steps import Launch, Schedule
from legate_jit.running import tiers
from tests.fuzz import programs

N = 1000


@pytest.fixture
def per_element(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[int]]]:
    """Costs of an element in the launches of a program of arrays."""
    found: list[Schedule] = []

    def observe(stage: str, result: Any) -> None:
        if stage == "schedule":
            found.append(result)

    monkeypatch.setattr(tiers.policy, "interpret_runs", 0)
    monkeypatch.setattr(passes, "observers", [*passes.observers, observe])

    def costs(program: Callable[..., Any], *arrays: np.ndarray) -> list[int]:
        ours = [cupynumeric.array(a) for a in arrays]
        legate.fence()
        programs.forget()
        found.clear()
        kept = program(*ours)
        legate.fence()
        del kept
        launches = [s.nest for schedule in found for s in schedule.steps if isinstance(s, Launch)]
        return [n.units * n.work // max(a.size for a in arrays) for n in launches]

    yield costs
    programs.forget()


def doubled(x: Any) -> Any:
    for _ in range(40):
        x = x + x
    return x


def test_shared_parts_count_once(per_element: Callable[..., list[int]]) -> None:
    assert per_element(doubled, np.ones(N)) == [40]


def test_what_is_only_moved_or_reduced_counts(per_element: Callable[..., list[int]]) -> None:
    assert per_element(lambda x: x[::-1] * 1, np.ones(N)) == [1]
    assert per_element(lambda x: x.max(axis=1), np.ones((N, 50))) == [1]


def test_values_of_a_row_do_not_count(per_element: Callable[..., list[int]]) -> None:
    rows = np.ones((N, 50)), np.ones((N, 1))
    assert per_element(lambda x, c: x + (c * c - c), *rows) == [1]
    assert per_element(lambda x, c: x + (x * x - c), *rows) == [3]
