"""Forks, exits, Ctrl-C and other threads while a run goes on beside the program."""

from __future__ import annotations

import sys

import pytest
from faults.child import run, succeeds

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the pool")

_BEGIN = """
    import os, signal, sys, threading, time
    import numpy
    import cupynumeric as np
    from legate_jit import pacing, runtime
    from legate_jit.running import tiers, waiting
    from legate_jit.backends.pool import threads
    tiers.policy.interpret_runs = 0
    threads.set_threads(2)
    threads.can_compute_beside = lambda: True
    n = 400_000
    def program(m, x):
        x = x + 1.0
        for k in range(12):
            x[1:] += m.sin(x[:-1])
        return x
    start = numpy.arange(n, dtype=float)
    want = program(numpy, start)
    def begin():
        x = program(np, np.array(start))
        runtime.window.held = pacing.WINDOW_BYTES + 1  # full
        before = runtime.counters.beside
        runtime.full()
        assert runtime.counters.beside == before + 1
        return x
    def right(array, expected):
        return numpy.allclose(numpy.asarray(array), expected, rtol=1e-12)
    x = begin()
"""


def test_fork() -> None:
    """The run is over before: both sides have its results, and begin their own."""
    succeeds(
        _BEGIN
        + """
    pid = os.fork()
    y = begin()
    ok = right(x, want) and right(y, want)
    if pid == 0:
        os._exit(0 if ok else 1)
    assert ok
    assert os.waitpid(pid, 0)[1] == 0
    """
    )


def test_fork_by_one_thread_while_another_fills_windows() -> None:
    """Also where threads, and the lock over forks, were there before anything ran beside."""
    succeeds(
        _BEGIN.replace("x = begin()", "threading.Thread(target=int).start(); x = begin()")
        + """
    from legate_jit.running import execute
    sys.setswitchinterval(1e-6)
    execute.BESIDE_WORK, execute.RELEASE_WORK, pacing.WINDOW_VALUES = 0, -1, 3
    runtime.window.limit = 3
    n, over = 400_000, []
    def fill():
        while not over:
            y = np.zeros(n)
            for _ in range(50):
                y[1:] += 1.0
            assert float(y[7]) == 50.0
    before = runtime.counters.beside
    thread = threading.Thread(target=fill)
    thread.start()
    for _ in range(60):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            y = np.ones(n)
            for _ in range(9):
                y[1:] += 1.0
            os._exit(0 if float(y[7]) == 10.0 else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert runtime.counters.beside > before + 100
    over.append(True)
    thread.join()
    assert right(x, want)
    """,
        timeout=90,
    )


@pytest.mark.parametrize("status", [0, 3])
def test_exit(status: int) -> None:
    done = run(_BEGIN + f"    sys.exit({status})\n")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_exit_with_handlers_that_compute() -> None:
    """A handler registered before anything was begun runs last: it finds the run finished, and nothing begins after it."""
    printed = succeeds(
        """
    import atexit
    from legate_jit.backends.pool.forkjoin import Field
    def last():
        assert waiting.overlap is False
        assert threads._built[0]._small(Field.POSTED).value == 0
        y = program(np, np.array(start))
        runtime.window.held = pacing.WINDOW_BYTES + 1
        runtime.full()
        print(right(x, want), right(y, want), not waiting.suspended)
    atexit.register(last)
    """
        + _BEGIN
    )
    assert printed == "True True True\n"


def test_uncaught_exception() -> None:
    done = run(_BEGIN + "    raise ValueError('the last word')\n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: the last word"
    assert "Exception ignored" not in done.stderr


def test_interrupts_at_random_instants() -> None:
    """Ctrl-C while windows are filled, begun, joined: every array can be used, nothing is lost, nothing applied twice."""
    done = run(  # what is on stderr: Ctrl-C inside `__del__` cannot be raised
        _BEGIN
        + """
    import random
    from legate_jit.running import execute
    execute.BESIDE_WORK, execute.RELEASE_WORK, pacing.WINDOW_VALUES = 0, -1, 12
    runtime.window.limit = 12
    n = 3000
    start = start[:n]
    random.seed(5)
    def ring(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, ring)
    hits, before = 0, runtime.counters.beside
    for turn in range(400):
        y = np.array(start)
        runtime.fence()
        done, step = 0, numpy.array(start)
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 2e-3))
            for done in range(1, 41):  # not `while`: its last jump is outside of `try` on Python 3.14
                y[1:] += 1.0
                y *= 2.0
                y[5:] -= y[:-5]
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        got = numpy.asarray(y)
        states = []
        for k in range(done):
            step[1:] += 1.0
            states.append(step.copy())
            step *= 2.0
            states.append(step.copy())
            step[5:] -= step[:-5].copy()
            states.append(step.copy())
        assert any(numpy.array_equal(got, s) for s in [start, *states]), turn
    assert hits > 20, hits
    assert runtime.counters.beside - before > 20, runtime.counters
    assert right(x, want)
    print("right")
    """,
        timeout=90,
    )
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


def test_threads_that_record_and_read() -> None:
    succeeds(
        _BEGIN
        + """
    from concurrent.futures import ThreadPoolExecutor
    from legate_jit.running import execute
    sys.setswitchinterval(1e-6)
    execute.BESIDE_WORK, execute.RELEASE_WORK, pacing.WINDOW_VALUES = 0, -1, 9
    runtime.window.limit = 9
    shared = [x]
    def work(seed):
        y = np.array(start[:3000]) + seed
        total = 0.0
        for k in range(30):
            y[1:] += np.sqrt(y[:-1])
            if k % 5 == seed % 5:
                total += float(y.sum()) + float(shared[0][seed])
        return numpy.array(y), total
    before = runtime.counters.beside
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(work, range(8)))
    assert runtime.counters.beside > before
    for seed, (array, total) in enumerate(got):
        y, wanted = start[:3000] + seed, 0.0
        for k in range(30):
            y[1:] += numpy.sqrt(y[:-1])
            if k % 5 == seed % 5:
                wanted += float(y.sum()) + float(want[seed])
        numpy.testing.assert_allclose(array, y, rtol=1e-12)
        numpy.testing.assert_allclose(total, wanted, rtol=1e-12)
    """,
        timeout=90,
    )


def test_it_can_be_switched_off() -> None:
    program = (
        _BEGIN.replace("        assert runtime.counters.beside == before + 1\n", "")
        + "    print(runtime.counters.beside)"
    )
    assert succeeds(program, LEGATE_JIT_OVERLAP="0") == "0\n"
    assert succeeds(program, LEGATE_JIT_OVERLAP=None) == "1\n"
    for name, value in (("LEGATE_JIT_DEBUG", "1"), ("LEGATE_JIT_VIRTUAL_RANKS", "2")):
        watched = run(program, **{name: value})  # times are true; ranks take the same steps
        assert (watched.returncode, watched.stdout) == (0, "0\n"), watched.stderr
