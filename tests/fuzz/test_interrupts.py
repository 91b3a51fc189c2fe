"""Random programs whose fences are interrupted at random instants, and entered again: nothing is lost and nothing done twice."""

from __future__ import annotations

import random
import signal
from types import FrameType
from typing import Any

import pytest

import legate
from legate_jit.ir import passes
from tests.fuzz import programs


class Interrupter:
    """`fence()` for programs: a timer raises KeyboardInterrupt somewhere inside, then the fence is entered again."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.hits = 0

    def fence(self) -> None:
        for _ in range(3):
            try:
                signal.setitimer(signal.ITIMER_REAL, self.rng.choice([20e-6, 100e-6, 300e-6, 1e-3, 3e-3]))
                legate.fence()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                self.hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        legate.fence()


def ring(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.mark.one_rank  # the threads of virtual ranks are not interrupted; a real rank ends its job
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_interrupted_fences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        passes, "observers", []
    )  # the verifiers' NumPy calls turn interrupts into other errors
    hits = 0
    former = signal.signal(signal.SIGALRM, ring)
    try:
        for seed in range(80_000, 80_040):
            interrupter = Interrupter(seed)
            names: Any = dict(programs.our_names(), fence=interrupter.fence)
            monkeypatch.setattr(programs, "our_names", lambda names=names: dict(names, seen=[]))
            lines = [part for line in programs.make(seed, 20) for part in (line, "fence()")]
            with programs.settings(seed):
                assert programs.difference(lines) is None, f"seed {seed}"
            hits += interrupter.hits
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert hits > 10
