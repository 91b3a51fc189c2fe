"""For all tests: the tests' folder on the path, every compiler pass verified, and kernels compiled from the first run on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from legate_jit import tiers
from legate_jit.ir import passes, verify


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden dumps instead of comparing with them"
    )


@pytest.fixture(autouse=True, scope="session")
def checked_compiler() -> Iterator[None]:
    """Verify the result of every pass; do without tier 0, which would hide small kernels from the tests."""
    saved = tiers.policy.interpret_runs
    tiers.policy.interpret_runs = 0
    passes.observers.append(verify.verify)
    yield
    passes.observers.remove(verify.verify)
    tiers.policy.interpret_runs = saved
