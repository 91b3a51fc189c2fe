"""What dumps say that exchanges move is what ranks send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from ranks.launch import succeeds
from ranks.plans import plans

import cupynumeric as np
from legate_jit import runtime
from legate_jit.cli import dump, traffic
from legate_jit.comm.base import Comm
from legate_jit.ranks import windows

SIZES = [2, 3, 4, 7]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, dealt: Callable[[int], None]) -> int:
    """A world of so many virtual ranks, among which even tiny arrays are dealt out."""
    dealt(request.param)
    return int(request.param)


def sweeps(x: Any) -> Any:
    for _ in range(3):
        y = x.copy()
        y[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, 2:]
        y[1:-1, 0] = x[:-2, 0] + x[2:, 0]
        x = y
    return x


def transposed(x: Any) -> Any:
    return x + x.T


def totals(x: Any) -> Any:
    return [x.sum(), x.cumsum(axis=0), x[3:9].max(), x.argmin()]


def reversal(x: Any) -> Any:
    return x[::-1] * 2 + x


@pytest.mark.parametrize("program", [sweeps, transposed, totals, reversal])
def test_counted_is_sent(size: int, program: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array(onp.arange(60.0 * 60).reshape(60, 60)) + 0.0
    runtime.fence()
    runtime._plans.clear()
    sent: dict[int, tuple[int, int]] = {}

    def counting(comm: Comm, run: Callable[[int], None]) -> None:
        windows._current.comm = comm
        run(comm.rank)
        messages, nbytes = sent.get(comm.rank, (0, 0))
        sent[comm.rank] = messages + comm.traffic.messages, nbytes + comm.traffic.nbytes

    monkeypatch.setattr(windows.World, "_as", staticmethod(counting))
    kept = program(x)
    runtime.fence()
    found_plans = plans()
    assert found_plans
    total = 0
    for rank in range(size):
        some = [traffic.exchanges(p._runnables[rank].schedule) for p in found_plans]
        found = sum((m for each in some for m in each), traffic.Moved())
        assert (found.messages, found.sent) == sent[rank], rank
        total = found.total
    assert total == sum(nbytes for _, nbytes in sent.values())
    text = dump.schedule_text(found_plans[0]._runnables[0].schedule, dump.Numbers())
    assert f"# rank 0 of {size}: " in text and "; all ranks " in text
    del kept


@pytest.mark.parametrize(("dealt_from", "messages"), [("", False), ("40000", True)])
def test_how_small_arrays_are_that_every_rank_has(dealt_from: str, messages: bool) -> None:
    """An array of 300 x 300 is computed by every rank, unless the environment says that it is large."""
    program = """
        import cupynumeric as np
        from legate_jit import runtime
        x = np.ones((300, 300)) * 2
        for _ in range(3):
            y = x.copy()
            y[1:-1] = x[:-2] + x[2:]
            x = y
        runtime.fence()
        assert float(x[200, 200]) == 16.0
        if runtime.watching.comm.rank == 0:
            print(runtime.watching.comm.traffic.nbytes > 3000)
    """
    assert succeeds(program, 2, LEGATE_JIT_DEALT_FROM=dealt_from).split() == [str(messages)]
