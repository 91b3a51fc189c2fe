"""Arrays that cannot exist are refused as NumPy refuses them; memory that runs out in a flush loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate_jit.backends import memory, pages


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.zeros(2**62),
        lambda m: m.zeros(2**63),
        lambda m: m.zeros((2**40, 2**40)),
        lambda m: m.empty(2**62, dtype="i1"),
        lambda m: m.ones((2**31, 2**31, 4)),
        lambda m: m.full(2**62, 1.5),
        lambda m: m.zeros(-1),
        lambda m: m.ones((3, -2)),
        lambda m: m.arange(2.0**62),
        lambda m: m.eye(2**40),
        lambda m: m.zeros((1,) * 70),
        lambda m: m.zeros(10**30),
    ],
)
def test_absurd_sizes(make: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as expected:
        make(np)
    with pytest.raises(type(expected.value)):
        make(cn)
    assert (cn.ones(3) + 1).tolist() == [2.0, 2.0, 2.0]


@pytest.fixture
def little_memory() -> Iterator[int]:
    """Room for some 64 MiB beyond what is mapped now."""
    memory.trim(0)
    memory.configure(limit=pages.stats.mapped + (64 << 20), retain=0)
    yield 64 << 20
    memory.configure()


def test_a_flush_without_memory_can_be_retried(little_memory: int) -> None:
    n = little_memory // 8 // 4  # a quarter each: two exist, and no more than two fit beside them
    x = cn.arange(n, dtype=float)
    y = x * 2
    assert float(x[3] + y[3]) == 9.0
    x += 1.0  # pending, in place
    z, w, v = x + y, x - y, x * y
    with pytest.raises(MemoryError, match=r"cannot allocate .*MiB"):
        float(z[5] + w[5] + v[5])
    with pytest.raises(MemoryError):
        np.asarray(w)
    del v, z
    x_again = x[:10]
    assert np.array_equal(np.asarray(w), 1.0 - np.arange(n))
    assert x_again.tolist() == [k + 1.0 for k in range(10)]
    assert np.array_equal(np.asarray(y), 2.0 * np.arange(n))


def test_more_memory_lets_the_retry_succeed(little_memory: int) -> None:
    n = little_memory // 8 // 2
    x = cn.arange(n, dtype=float)
    x += 1
    others = [x * k for k in range(4)]
    with pytest.raises(MemoryError):
        cn.asarray(others[3]).sum().item()
    memory.configure()
    for k, other in enumerate(others):
        assert np.array_equal(np.asarray(other), (np.arange(n) + 1.0) * k)


def test_memory_error_inside_a_library_call() -> None:
    """What NumPy cannot allocate inside a call is a MemoryError at the read; the call is made again at the next one."""
    from cupynumeric._calls import lazy
    from legate_jit.backends.calls import library

    short = [True, True]

    @library.implementation("faults.short_of_memory")
    def call(args: Any, outs: Any, options: Any) -> None:
        if short:
            short.pop()
            raise MemoryError("Unable to allocate 1.00 TiB")
        outs[0][...] = args[0] + 1

    try:
        x = cn.arange(5.0)
        y = lazy("faults.short_of_memory", (x,), (5,), float)
        x += 10
        for _ in range(2):
            with pytest.raises(MemoryError, match=r"1\.00 TiB"):
                y.tolist()
        assert y.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert x.tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]
    finally:
        del library.TABLE["faults.short_of_memory"]
