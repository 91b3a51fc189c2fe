"""Which target runs a window: tier 0 first, kernels later, the interpreter or nobody when asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.backends import null
from legate_jit.running import tiers


@pytest.fixture(autouse=True)
def own_policy() -> Iterator[None]:
    policy = tiers.policy
    saved = policy.target, policy.interpret_work, policy.interpret_runs, policy.plan_work, policy.brief
    legate.fence()
    runtime._plans.clear()
    yield
    policy.target, policy.interpret_work, policy.interpret_runs, policy.plan_work, policy.brief = saved
    runtime._plans.clear()


def one_step(x: np.ndarray) -> np.ndarray:
    y = x * 3.0 + 1.0
    y[1:] -= x[:-1]
    legate.fence()
    return y


def test_small_windows_are_interpreted_twice() -> None:
    tiers.policy.interpret_runs = 2
    tiers.policy.brief = 0  # the window is worth compiling
    x = np.array([1.0, 2.0, 4.0])
    before = tiers.counters.interpreted, tiers.counters.promoted
    results = [numpy.asarray(one_step(x)).tolist() for _ in range(5)]
    assert results == [[4.0, 6.0, 11.0]] * 5
    assert (tiers.counters.interpreted - before[0], tiers.counters.promoted - before[1]) == (2, 1)


def test_large_windows_are_compiled_at_once() -> None:
    tiers.policy.interpret_runs, tiers.policy.interpret_work, tiers.policy.plan_work = 2, 1000, 0
    before = tiers.counters.interpreted
    one_step(np.full(5000, 1.0))
    assert tiers.counters.interpreted == before


def test_reference_target() -> None:
    tiers.policy.target = "reference"
    launches = runtime.counters.launches
    x = np.array([[1, 2, 3], [4, 5, 6]])
    assert (x.T @ x).tolist() == [[17, 22, 27], [22, 29, 36], [27, 36, 45]]
    assert x[::-1].cumsum(axis=1).tolist() == [[4, 9, 15], [1, 3, 6]]
    assert x.argmax(axis=0).tolist() == [1, 1, 1]
    assert np.where(x > 2, x, -x).sum() == 15
    assert runtime.counters.launches == launches


def test_null_target_counts() -> None:
    tiers.policy.target = "null"
    x = np.full(1000, 1.0)
    legate.fence()
    null.counters.reset()
    y = x + 1.0
    z = y * y
    del y
    legate.fence()
    c = null.counters
    assert (c.launches, c.calls, c.allocations) == (1, 0, 1)
    assert (c.bytes_read, c.bytes_written) == (8000, 8000)
    assert not numpy.asarray(z).any()


def test_channel_flow_like_step_copies_nothing() -> None:
    """`pn = p.copy()` followed by a stencil update of p: two buffers that take turns."""
    tiers.policy.target = "null"
    p = np.full((50, 60), 1.0)
    legate.fence()
    null.counters.reset()
    for _ in range(4):
        pn = p.copy()
        p[1:-1, 1:-1] = (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) * 0.25
        p[0, :] = 0.0
        p[-1, :] = 0.0
        p[:, 0] = p[:, 1]
        p[:, -1] = p[:, -2]
    del pn
    legate.fence()
    assert null.counters.copied_bytes == 0


def test_moving_slices_run_directly_and_exactly() -> None:
    tiers.policy.interpret_runs = 2
    data = numpy.random.default_rng(5).random((300, 40))
    x, y, ours, theirs = np.array(data), np.zeros((300, 40)), data.copy(), numpy.zeros((300, 40))
    before = tiers.counters.interpreted
    for i in range(1, 299):
        y[i, :] = x[i, ::-1] * 2.0 + x[i - 1, :]
        x[i:, 1] += y[i, 3]
        view = y[i]
        view *= 0.5
        theirs[i, :] = ours[i, ::-1] * 2.0 + ours[i - 1, :]
        ours[i:, 1] += theirs[i, 3]
        view = theirs[i]
        view *= 0.5
    legate.fence()
    assert tiers.counters.interpreted > before
    assert (numpy.asarray(x) == ours).all()
    assert (numpy.asarray(y) == theirs).all()


def test_tables_stay_bounded() -> None:
    small = dict.fromkeys(range(10))
    runtime.bounded.append((small, 5))
    try:
        one_step(np.full(7, 1.0))
        one_step(np.full(8, 1.0))
    finally:
        runtime.bounded.pop()
    assert not small
