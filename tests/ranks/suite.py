"""The tests of what programs get, run by the ranks of one real job: `mpiexec -n 2 python tests/ranks/suite.py tests/api`.

Every rank runs the same tests in the same order and compares what it gets with NumPy; arguments are pytest's. Rank 0 reports.
A test that fails on some ranks fails on all: after each test the ranks tell one another how it ended. Ranks that wait in
an exchange for one whose test has ended meet again in the guard's agreements; if they do not, the job ends after
LEGATE_JIT_STALL_TIMEOUT (120 s here) and says who waits where.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: how often a rank whose test has ended meets others that are still in theirs
_MEETINGS = 100


class InStep:
    """Keeps the ranks at the same test, and lets them use the same folders."""

    def __init__(self, guard: Any) -> None:
        self.guard, self.comm = guard, guard.comm
        self.failed = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """One test, and then the agreement on how it ended."""
        self.failed = ""
        result = yield
        self._meet(item.nodeid)
        reasons = self.comm.allgather_object(self.failed)
        others = [f"rank {k}: {text}" for k, text in enumerate(reasons) if text and k != self.comm.rank]
        if others and not self.failed:
            report = pytest.TestReport(
                item.nodeid, item.location, {}, "failed", "\n".join(others), "call", [], 0.0, 0.0, 0.0
            )
            item.ihook.pytest_runtest_logreport(report=report)
        return result

    def _meet(self, name: str) -> None:
        from legate_jit.job.divergence import DivergenceError

        for _ in range(_MEETINGS):
            self.guard.stopped = None
            try:
                self.guard.statement(f"the end of {name}")
                return
            except DivergenceError:
                self.guard.recorder._begin_anew()
        self.guard.fail(1, f"the ranks do not meet at the end of {name}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What failed here is told by this rank if rank 0 cannot know it."""
        if report.failed:
            self.failed = self.failed or f"{report.when}: {report.longreprtext[-2000:]}"

    @pytest.fixture
    def tmp_path(self, tmp_path: Path) -> Path:
        """Rank 0's folder, for all."""
        found: Path = self.comm.bcast(tmp_path, 0)
        return found


def main() -> int:
    """Run pytest as one rank of the job."""
    os.environ.setdefault("LEGATE_JIT_STALL_TIMEOUT", "120")
    os.environ.setdefault("LEGATE_JIT_DEALT_FROM", "32768")
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root), str(root / "tests")]
    from legate_jit import runtime

    guard = getattr(runtime, "watching", None)
    plugins = [] if guard is None else [InStep(guard)]
    if guard is not None and guard.comm.rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    return int(pytest.main([*sys.argv[1:], "-n", "0", "-p", "no:cacheprovider"], plugins=plugins))


if __name__ == "__main__":
    raise SystemExit(main())
