"""Ctrl-C while recording, planning, running kernels and library calls: prompt, and nothing is lost or done twice."""

from __future__ import annotations

import dis
import functools
import itertools
import sys
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest
from faults.child import succeeds

import cupynumeric as cn
from legate_jit import pacing, runtime
from legate_jit.backends.pool import threads
from legate_jit.running import execute, tiers

pytestmark = pytest.mark.filterwarnings("ignore")

_LONG_RUN = """
    import os, signal, threading, time
    import cupynumeric as np
    import numpy
    n, rounds = 2_000_000, 30

    def begun():
        x, y = np.arange(n, dtype=float), np.zeros(n)
        float(x.sum() + y.sum())
        for k in range(rounds):
            y[:] += 1.0
            y[1:] = np.sin(y[:-1]) + x[1:] % (k + 2.0) + np.log1p(np.exp(np.cos(y[1:] * 0.5)))
        return y

    want = numpy.asarray(begun())  # the same program, not interrupted
    from legate_jit import runtime
    segments = [i for plan in runtime._plans.values() for i in getattr(plan, "items", ())]
    assert len(segments) > 10, segments  # one of them lasts some tens of milliseconds
    y = begun()
    struck, ready = 0.0, threading.Event()
    def strike():
        global struck
        ready.wait()
        time.sleep(DELAY)
        struck = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Thread(target=strike)
    timer.start()
    interrupted = False
    try:
        ready.set()
        float(y[7])
        timer.join()
    except KeyboardInterrupt:
        interrupted = True
        late = time.monotonic() - struck
    timer.join()
    assert interrupted, "not interrupted"
    assert late < 5, late
    assert numpy.array_equal(numpy.asarray(y), want)
    z = np.ones(5) * 3
    assert z.tolist() == [3.0] * 5
    print("alive")
"""


@pytest.mark.parametrize("delay", [0.01, 0.15])
def test_interrupted_run_is_resumed_and_nothing_applied_twice(delay: float) -> None:
    assert succeeds(_LONG_RUN.replace("DELAY", str(delay))) == "alive\n"


def test_interrupt_during_a_library_call() -> None:
    """The call is finished (NumPy and BLAS do not look for signals), the rest of the run waits for the next read."""
    succeeds("""
        import os, signal, threading
        import cupynumeric as np, numpy
        n = 1500
        a = np.arange(n * n, dtype=float).reshape(n, n) % 7
        b = a @ a
        b += 1
        c = b @ a
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        interrupted = False
        try:
            float(c[0, 0])
            while True:
                sum(range(1000))
        except KeyboardInterrupt:
            interrupted = True
        assert interrupted
        m = numpy.arange(n * n, dtype=float).reshape(n, n) % 7
        assert numpy.array_equal(numpy.asarray(c), (m @ m + 1) @ m)
    """)


def test_interrupt_during_planning() -> None:
    """What was recorded stays recorded and is planned anew."""
    succeeds("""
        import cupynumeric as np, numpy
        from legate_jit.running import tiers
        from legate_jit.ir import passes
        tiers.policy.interpret_runs = 0
        strikes = [0, 3, 5]
        seen = 0
        def strike(*_):
            global seen
            seen += 1
            if seen - 1 in strikes:
                raise KeyboardInterrupt
        passes.observers.append(strike)
        x = np.arange(1000.0)
        x[1:] += x[:-1]
        hits = 0
        while True:
            try:
                got = numpy.asarray(x)
                break
            except KeyboardInterrupt:
                hits += 1
        assert hits == 3, hits
        y = numpy.arange(1000.0)
        y[1:] += y[:-1].copy()
        assert numpy.array_equal(got, y)
    """)


# ---- an exception at every place where the interpreter looks for signals ---------------------------------------------


def _mix(x: Any, y: Any) -> None:
    z = (x * 2.0 + y) - 1
    w = 3.0 - z
    w += 1.5
    del z, w


def _update(x: Any, y: Any) -> None:
    t = x + 0.5
    t[1:5] *= 2
    t[0] = 7
    t[2:4] = y[:2]
    del t


def _function(x: Any, y: Any) -> None:
    t = cn.where(x > 3, x, 0.25) + cn.full(12, 4.0)
    t **= 2
    float((t + y).sum())


def _attempt(step: Any, x: Any, y: Any) -> None:
    """A step changes neither array, so wherever it is interrupted, both must show what they showed."""
    try:
        step(x, y)
    except KeyboardInterrupt:
        _struck.append(True)


_struck: list[bool] = []
_LOOKS = frozenset(("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME", "CALL_KW"))
_ROOMS = ("cupynumeric", "legate_jit")


@functools.cache
def _places(code: CodeType) -> frozenset[int]:
    """Offsets of the instructions before which the interpreter looks for signals."""
    instructions = [i for i in dis.get_instructions(code) if i.opname != "CACHE"]
    return frozenset(
        after.offset for before, after in itertools.pairwise(instructions) if before.opname in _LOOKS
    )


class _Striker:
    """A trace function that raises KeyboardInterrupt at the n-th place of the engine's Python code."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _ROOMS or "__del__" in frame.f_code.co_name:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode" and frame.f_lasti in _places(frame.f_code):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("how", ["compiled", "direct", "beside"])
def test_interrupt_at_every_place(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each place in turn: strike there, then the arrays still show their values and a later program is right. Windows are
    compiled, or run directly, or small and run beside the program."""
    saved, tiers.policy.interpret_runs = tiers.policy.interpret_runs, 1_000_000 if how == "direct" else 0
    previous, count = sys.gettrace(), threads.get_threads()
    runtime.fence()
    if how == "beside":
        monkeypatch.setattr(execute, "BESIDE_WORK", 0)
        monkeypatch.setattr(execute, "RELEASE_WORK", -1)
        monkeypatch.setattr(pacing, "WINDOW_VALUES", 6)
        monkeypatch.setattr(threads, "can_compute_beside", lambda: True)
        threads.set_threads(2)
    runtime._plans.clear()
    runtime._pace.begin(runtime.window)
    before = runtime.counters.beside
    try:
        for step in (_mix, _update, _function):
            step(cn.arange(12.0), cn.ones(12))
        at, struck = 1, 0
        while True:
            _struck.clear()
            striker = _Striker(at)
            x, y, u = cn.arange(12.0), cn.ones(12), cn.zeros(12)
            runtime.fence()
            u[3:6] += 1.0
            x += 1.0  # pending, and in place
            y[1:] += x[:-1]
            sys._getframe().f_trace_opcodes = (
                True  # Python 3.12 looks when tracing begins whether anybody wants opcodes
            )
            sys.settrace(striker)
            try:
                for step in (_mix, _update, _function):
                    _attempt(step, x, y)
            finally:
                sys.settrace(previous)
            want = np.arange(12.0) + 1
            sums = np.ones(12)
            sums[1:] += want[:-1]
            assert np.asarray(x * 2.0 + 1).tolist() == (want * 2 + 1).tolist(), at
            assert np.asarray(x).tolist() == want.tolist(), at
            assert np.asarray(y).tolist() == sums.tolist(), at
            assert np.asarray(u).tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6, at
            if striker.left > 0:
                break
            struck += len(_struck)
            at += 1 if at < 400 else 7
        assert struck > 100
        assert (runtime.counters.beside - before > 100) is (how == "beside")
    finally:
        sys.settrace(previous)
        tiers.policy.interpret_runs = saved
        threads.set_threads(count)
        runtime.fence()
        monkeypatch.undo()
        runtime._pace.__init__()  # type: ignore[misc]
        runtime._pace.begin(runtime.window)
        runtime._plans.clear()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kernels", [1, 3])
def test_interrupt_beside_a_native_program(monkeypatch: pytest.MonkeyPatch, when: str, kernels: int) -> None:
    """A signal that came during a program is raised right after it: what it updated in place is not updated again."""
    real = threads.run_program

    def struck(*arguments: int) -> None:
        monkeypatch.setattr(threads, "run_program", real)
        real(*arguments)
        raise KeyboardInterrupt

    def refuse(*_: object) -> int:
        raise KeyboardInterrupt

    n = 1000
    arrays = [cn.zeros(n) for _ in range(kernels)]
    runtime.fence()
    for k, array in enumerate(arrays):
        array[3 : n - k] += 1.0
        array[k:9] *= 2.0
    if when == "after":
        monkeypatch.setattr(threads, "run_program", struck)
    else:
        monkeypatch.setattr("legate_jit.running.execute.Runnable.run", refuse)
    with pytest.raises(KeyboardInterrupt):
        runtime.fence()
    monkeypatch.undo()
    for k, array in enumerate(arrays):
        want = np.zeros(n)
        want[3 : n - k] += 1.0
        want[k:9] *= 2.0
        assert np.array_equal(np.asarray(array), want)


def test_interrupts_never_keep_the_lock() -> None:
    """Ctrl-C between taking the lock and the block it is for: other threads would wait for ever."""
    program = """
        import random, signal, threading
        import cupynumeric as np
        from legate_jit.running import locking
        threading.Thread(target=lambda: None).start()
        x, hits = np.ones(10), 0
        def ring(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, ring)
        random.seed(1)
        while hits < 2000:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 60e-6))
                for _ in range(30):
                    y = x + 1.0
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                hits += 1
            assert not locking.lock.inner._is_owned(), hits
        print("free")
    """
    assert succeeds(program) == "free\n"
