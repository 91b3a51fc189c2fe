"""Whole programs as a Hypothesis state machine: NumPy and this package take the same steps, and agree after each observation.

Steps come from `programs.Maker`; Hypothesis decides kinds, seeds and flush points, and makes failures small. Run on the CPU
target, on the reference target, and with tier 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import legate
from legate_jit.running import tiers
from tests.fuzz import programs

KINDS = [kind for kind, _ in programs.Maker.MENU if kind not in ("create", "delete", "observe")]


class Programs(RuleBasedStateMachine):
    """A growing program; `ours` is this package's state after the lines so far."""

    def __init__(self) -> None:
        super().__init__()
        programs.forget()
        self.maker = programs.Maker(0)
        self.ours = programs.our_names()
        self.lines: list[str] = []

    def attempt(self, kind: str, seed: int) -> None:
        """One statement of a kind, if there is one that suits the state; the same on both sides."""
        maker = self.maker
        maker.rng.seed(seed)
        before = len(maker.lines)
        maker.statement(kind)
        for line in maker.lines[before:]:
            self.lines.append(line)
            programs.run_line(line, self.ours)

    @initialize(
        seed=st.integers(0, 10_000), dtypes=st.lists(st.sampled_from(programs.DTYPES), min_size=1, max_size=4)
    )
    def begin(self, seed: int, dtypes: list[str]) -> None:
        self.maker.dtypes = dtypes
        self.attempt("create", seed)
        self.attempt("create", seed + 1)

    @rule(seed=st.integers(0, 10_000))
    def create(self, seed: int) -> None:
        self.attempt("create", seed)

    @rule(kind=st.sampled_from(KINDS), seed=st.integers(0, 10_000))
    def change(self, kind: str, seed: int) -> None:
        self.attempt(kind, seed)

    @precondition(lambda self: len(self.maker.arrays()) > 2)
    @rule(seed=st.integers(0, 10_000))
    def delete(self, seed: int) -> None:
        self.attempt("delete", seed)

    @rule()
    def fence(self) -> None:
        self.lines.append("fence()")
        legate.fence()

    @rule(pick=st.integers(0, 100))
    def observe(self, pick: int) -> None:
        names = self.maker.arrays()
        if names:
            name = names[pick % len(names)]
            found = programs.compare(name, self.ours[name], np.asarray(self.maker.names[name]))
            assert found is None, found + "\n" + "\n".join(self.lines)

    def teardown(self) -> None:
        for name in self.maker.arrays():
            found = programs.compare(name, self.ours[name], np.asarray(self.maker.names[name]))
            assert found is None, found + "\n" + "\n".join(self.lines)


@pytest.mark.parametrize(("target", "runs"), [("cpu", 0), ("cpu", 2), ("reference", 0)])
def test_machine(monkeypatch: pytest.MonkeyPatch, target: str, runs: int) -> None:
    policy: Any = tiers.policy
    monkeypatch.setattr(policy, "target", target)
    monkeypatch.setattr(policy, "interpret_runs", runs)
    few = settings(
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Programs, settings=few)
    programs.forget()
