"""For all tests: the tests' folder on the path, every compiler pass verified, kernels compiled from the first run on, and the
number of ranks that a test runs on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

os.environ.setdefault("LEGATE_JIT_DEALT_FROM", "32768")  # programs that tests start work on small arrays

import rank_counts

from legate_jit.ir import passes
from legate_jit.ir.checks import verify
from legate_jit.process.world import world
from legate_jit.running import tiers

# What a script runs in its background (a CI, say) ignores these, and so would the programs that tests start and interrupt.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden dumps instead of comparing with them"
    )
    parser.addoption(
        "--ranks",
        default="",
        help="run the tests of tests/api, tests/fuzz and tests/legate on so many virtual ranks (3, or 2,7, or all), instead of "
        "on one and a sample on several",
    )
    parser.addoption(
        "--one-of", type=int, default=0, metavar="N", help="run one of N tests, fixed by their names"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rank_counts.parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    every_fault = "faults_all" in config.getoption("markexpr")
    dropped = [item for item in items if rank_counts.left_out(item) or (_is_rare(item) and not every_fault)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        left_out = set(dropped)
        items[:] = [item for item in items if item not in left_out]


def _is_rare(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("faults_all")
    return mark is not None and not mark.kwargs.get("sample", False)


@pytest.fixture(autouse=True)
def rank_count(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many virtual ranks the test runs on."""
    count = getattr(request, "param", 1)
    if world.size > 1:
        with rank_counts.real():
            yield world.size
        return
    if count == 1:
        yield 1
        return
    with rank_counts.virtual(count):
        yield count


@pytest.fixture(autouse=True, scope="session")
def checked_compiler() -> Iterator[None]:
    """Verify the result of every pass; do without tier 0, which would hide small kernels from the tests."""
    saved = tiers.policy.interpret_runs
    tiers.policy.interpret_runs = 0
    passes.observers.append(verify.verify)
    yield
    passes.observers.remove(verify.verify)
    tiers.policy.interpret_runs = saved


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A test that leaves the engine's lock taken is named, and does not stop the tests of threads after it."""
    from legate_jit.running import locking

    inner = locking.lock.inner
    if inner._is_owned() or not inner.acquire(timeout=10):  # type: ignore[attr-defined]
        inner._at_fork_reinit()  # type: ignore[attr-defined]
        item.warn(pytest.PytestWarning(f"{item.nodeid} left the lock taken"))
    else:
        inner.release()
