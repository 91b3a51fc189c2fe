"""What the compiler makes of whole programs, counted: kernels, plans, copies, memory. Times are never tested."""

from __future__ import annotations

import numpy
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.ir import passes
from legate_jit.ir.steps import Launch, Schedule


@pytest.fixture
def schedules():
    """Every schedule compiled during a test."""
    seen: list[Schedule] = []

    def observe(stage, result):
        if stage == "schedule":
            seen.append(result)

    legate.fence()
    runtime._plans.clear()
    passes.observers.append(observe)
    yield seen
    passes.observers.remove(observe)


def kernels(schedule):
    """The kernels of a schedule's launches."""
    return [s.nest.kernel for s in schedule.steps if isinstance(s, Launch)]


def some(*shape):
    """Reproducible data."""
    return np.array(numpy.random.default_rng(3).random(shape))


def pressure_sweeps(p, b, sweeps):
    """The pressure loop of the channel flow."""
    for _ in range(sweeps):
        pn = p.copy()
        p[1:-1, 1:-1] = 0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) - b[1:-1, 1:-1]
        p[1:-1, -1] = 0.25 * (pn[1:-1, 0] + pn[1:-1, -2] + pn[2:, -1] + pn[:-2, -1]) - b[1:-1, -1]
        p[1:-1, 0] = 0.25 * (pn[1:-1, 1] + pn[1:-1, -1] + pn[2:, 0] + pn[:-2, 0]) - b[1:-1, 0]
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]
    return p


def test_pressure_loop_copies_nothing(schedules):
    p, b = some(60, 50), some(60, 50)
    legate.fence()
    schedules.clear()
    pressure_sweeps(p, b, 4)
    legate.fence()
    (schedule,) = schedules
    assert schedule.copied_bytes == 0
    assert len(schedule.steps) == 5 * 4  # one kernel per assignment
    # Two blocks besides the input: the arrays ping-pong.
    assert len(schedule.slots) <= 2


def test_elementwise_chain_is_one_kernel_without_temporaries(schedules):
    x, y = some(1000), some(1000)
    legate.fence()
    schedules.clear()
    t = x
    for _ in range(10):
        t = np.sqrt(t * 2.0 + y)
    legate.fence()
    (schedule,) = schedules
    assert len(kernels(schedule)) == 1
    assert schedule.slots == (8000,)
    assert t.shape == (1000,)


def test_peak_memory_of_a_chain_is_its_result():
    x, y = some(500_000), some(500_000)
    legate.fence()
    memory.stats.peak = 0
    before = memory.stats.live
    t = x * 2.0 + y
    for _ in range(9):
        t = t * t - x
    legate.fence()
    assert memory.stats.peak - before <= 1.1 * t.nbytes + 4096 + t.nbytes // 8


@pytest.mark.parametrize("rows", [3, 200])
def test_softmax_is_one_kernel(schedules, rows):
    x = some(rows, 300)
    legate.fence()
    schedules.clear()
    e = np.exp(x - x.max(axis=1, keepdims=True))
    r = e / e.sum(axis=1, keepdims=True)
    del e
    legate.fence()
    (schedule,) = schedules
    (kernel,) = kernels(schedule)
    assert kernel.kind == "row"
    assert len(schedule.slots) == 1
    assert r.shape == x.shape


def test_layer_normalization_is_one_kernel(schedules):
    x = some(100, 64)
    legate.fence()
    schedules.clear()
    mean = x.mean(axis=1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=1, keepdims=True)
    r = (x - mean) / np.sqrt(variance + 1e-5)
    del mean, variance
    legate.fence()
    (schedule,) = schedules
    assert len(kernels(schedule)) == 1
    assert r.shape == x.shape


def test_overlapping_updates_become_one_sweep(schedules):
    x = some(120, 100)
    legate.fence()
    schedules.clear()
    y = 4.0 * x
    y[1:, :] -= x[:-1, :]
    y[:-1, :] -= x[1:, :]
    y[:, 1:] -= x[:, :-1]
    y[:, :-1] -= x[:, 1:]
    legate.fence()
    (schedule,) = schedules
    assert schedule.copied_bytes == 0
    assert schedule.slots == (y.nbytes,)
    # Nine boxes; each element is written once.
    assert len(schedule.steps) == 9
    written = sum(numpy.prod(s.nest.extents) for s in schedule.steps if isinstance(s, Launch))
    assert written == y.size


def test_loops_find_their_plans():
    x = some(10)
    legate.fence()
    for _ in range(3000):
        x = x * 1.0001 + 1.0
    legate.fence()
    runtime.counters.reset()
    for _ in range(3000):
        x = x * 1.0001 + 1.0
    legate.fence()
    assert runtime.counters.plans <= 3
    assert runtime.counters.hits >= 5 * runtime.counters.plans


def test_scalars_do_not_recompile():
    x = some(100)
    for k in range(2):
        y = x * (k + 0.5) + k
        legate.fence()
    runtime.counters.reset()
    for k in range(20):
        y = x * (k + 0.5) + float(k)
        legate.fence()
    assert runtime.counters.plans <= 1
    assert y.shape == (100,)


def test_free_copies_and_dead_values_cost_nothing():
    x = some(1000)
    legate.fence()
    runtime.counters.reset()
    y = x.copy()
    x * 2.0 + 1.0  # nobody keeps it
    legate.fence()
    assert runtime.counters.launches == 0
    x += 1.0
    legate.fence()
    assert runtime.counters.launches == 1
    assert float(y[0]) != float(x[0])


def test_masked_update_is_one_kernel(schedules):
    z, c = some(300, 20), some(300, 20)
    legate.fence()
    schedules.clear()
    mask = z > 0.5
    z[mask] = z[mask] * z[mask] + c[mask]
    del mask
    legate.fence()
    (schedule,) = schedules
    assert len(kernels(schedule)) == 1


def test_a_result_takes_the_memory_of_what_it_replaces(schedules):
    x, y = some(3000), some(3000)
    kept = y[1:]
    legate.fence()
    schedules.clear()
    x = x * 2.0 + y
    legate.fence()
    (schedule,) = schedules
    assert not schedule.slots  # x's old memory; y's is still looked at
    del schedules[:]
    x = x[::-1] + x
    legate.fence()
    (schedule,) = schedules
    assert schedule.slots  # elements are read after they would have been overwritten
    assert kept.shape == (2999,)


def test_mean_variance_and_deviation_share_their_sums(schedules):
    x = some(400, 300)
    legate.fence()
    schedules.clear()
    results = x.mean(axis=1), x.var(axis=1), x.std(axis=1)
    legate.fence()
    (schedule,) = schedules
    (kernel,) = kernels(schedule)
    assert sum(len(s.reduces) for s in kernel.sections) == 2
    for ours, theirs in zip(results, (numpy.mean, numpy.var, numpy.std), strict=True):
        numpy.testing.assert_allclose(ours, theirs(numpy.array(x), axis=1), rtol=1e-13)


def test_a_sum_over_iterations_does_not_keep_every_term(schedules):
    x, p = some(5000), some(5000)
    legate.fence()
    schedules.clear()
    for _ in range(12):
        q = np.sqrt(p + p[::-1])
        alpha = (p * q).sum()
        x += alpha * p
        p = q + (q * q).sum() * p
        del q
    del p
    legate.fence()
    (schedule,) = schedules
    assert sum(nbytes >= 40000 for nbytes in schedule.slots) <= 6


def test_threads_take_shares_of_large_launches(schedules):
    """Of a large launch a thread takes more at a time than a kernel's call costs, but leaves enough for others."""
    x = some(3000)
    y = np.exp(x[:, None] - x[None, :]).sum(axis=1)
    legate.fence()
    assert y.shape == (3000,)
    (launch,) = [s for schedule in schedules for s in schedule.steps if isinstance(s, Launch)]
    total = launch.nest.units * launch.nest.work
    taken = launch.chunk * launch.nest.work
    assert total > 256 * 60_000
    assert 60_000 < taken <= 1_000_000
    assert launch.nest.units // launch.chunk >= 100
