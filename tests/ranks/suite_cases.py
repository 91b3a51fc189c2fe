"""Tests that fail on one rank of a job, for the test that `suite.py` tells so. Not collected by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import cupynumeric as np
from legate_jit.process.world import world


def test_before(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100.0))
    assert float(np.load(tmp_path / "x.npy").sum()) == 4950.0


def test_wrong_on_one_rank() -> None:
    x = np.arange(100.0)
    assert float(x.sum()) == 4950.0 + (world.rank == 1)


def test_one_rank_ends_while_others_exchange() -> None:
    x = np.arange(100.0)
    if world.rank == 1:
        pytest.fail("only here")
    for _ in range(3):
        x = x[::-1] + 1.0
        assert float(x.sum()) > 0


def test_one_rank_computes_something_else() -> None:
    x = np.arange(100.0) * (1 + (world.rank == 1))
    assert float(x.sum()) > 0


def test_after() -> None:
    x = np.arange(100.0)
    assert float((x[1:] - x[:-1]).sum()) == 99.0
