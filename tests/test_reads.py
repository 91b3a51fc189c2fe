"""Programs that read a number after every few operations on small arrays: these come to be computed at once, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import cupynumeric
import legate
from cupynumeric import _walking
from legate_jit import runtime
from legate_jit.running import tiers


@pytest.fixture(autouse=True)
def as_programs_run() -> Iterator[None]:
    """With tier 0, which other tests do without."""
    legate.fence()
    saved = tiers.policy.interpret_runs
    tiers.policy.interpret_runs = 2
    yield
    tiers.policy.interpret_runs = saved
    _walking.forget()
    tiers.record_again()


def descend(np: Any, n: int) -> tuple[int, float, Any]:
    """Until the error is small; keeps what it was computed from, and another name for it."""
    x = np.array(numpy.linspace(1.0, 2.0, n))
    same, first = x, x.copy()
    turns = 0
    while True:
        y = x * 0.5
        error = np.abs(y - x + 0.25).max()
        x = y + 0.25
        if turns % 3 == 0:
            x += same
            x -= same
        turns += 1
        if error < 1e-9:
            return turns, float(x[0]), (x, same, first)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_iterations_until_small(n: int) -> None:
    turns, value, arrays = descend(cupynumeric, n)
    expected = descend(numpy, n)
    assert turns == expected[0]
    assert value == expected[1]
    for ours, theirs in zip(arrays, expected[2], strict=True):
        assert numpy.array_equal(ours, theirs)


def flushes(read: Callable[[], Any], times: int) -> int:
    before = runtime.counters.flushes
    for _ in range(times):
        read()
    return runtime.counters.flushes - before


@pytest.mark.parametrize(
    "read",
    [
        lambda x: float(x.sum()),
        lambda x: float(x[3]),
        lambda x: bool((x > 1.0).all()),
        lambda x: float((x * x).sum()),
        lambda x: int(x.argmax()) * float(x.max()),
    ],
)
def test_reads_of_small_arrays_stop_to_flush(read: Callable[[Any], Any]) -> None:
    x = cupynumeric.array(numpy.arange(61.0))
    legate.fence()
    expected = read(numpy.arange(61.0))
    assert read(x) == expected
    assert flushes(lambda: read(x), 300) <= 60
    assert read(x) == expected
    x += 1.0
    assert read(x) == read(numpy.arange(61.0) + 1.0)


def test_reads_of_large_arrays_stay_recorded() -> None:
    x = cupynumeric.array(numpy.arange(50_000.0))
    legate.fence()
    assert flushes(lambda: float((x * 2.0).sum()), 20) == 20
    assert isinstance(x.sum(), cupynumeric.ndarray)


def test_elements_of_large_arrays_are_read_in_place() -> None:
    x = cupynumeric.array(numpy.arange(50_000.0))
    legate.fence()
    assert flushes(lambda: float(x[7]), 100) <= 10
    x[7] = 2.0
    assert x[7] == 2.0
    y = x.copy()
    x[7] = 3.0
    assert (float(x[7]), float(y[7])) == (3.0, 2.0)
