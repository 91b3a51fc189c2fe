"""Tasks where things go wrong or on for long: interruptions, forks, the end of the program, long chains, freed arrays, memory."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from faults.child import run, succeeds

import cupynumeric as cn
from legate.core import get_legate_runtime, types
from legate.core.task import ADD, InputStore, OutputStore, ReductionStore, task
from legate_jit.immediate import at_once
from legate_jit.ir import depend, schedule
from legate_jit.running import poison, tiers

runtime = get_legate_runtime()

_START = """
    import gc, os, signal, sys, threading, time
    import numpy as np
    import cupynumeric as cn
    from legate.core import *
    from legate.core.task import *
    runtime = get_legate_runtime()
    cpus = runtime.machine.count(TaskTarget.CPU)

    def fence():
        runtime.issue_execution_fence(block=True)

    class Own(Exception):
        pass

    @task
    def add(y: OutputStore, n: int) -> None:
        np.asarray(y)[:] += n

    @task
    def fails(x: InputStore, y: OutputStore) -> None:
        if x.domain.hi[0] == 99_999:
            raise Own("in the last point")
        np.asarray(y)[:] = 1
"""

CPUS = pytest.mark.parametrize("cpus", [1, 2, 3])


def child(program: str, cpus: int = 2) -> str:
    """What a program prints that starts as above and must end well."""
    return succeeds(_START + program, LEGATE_CONFIG=f"--cpus {cpus}")


def fence() -> None:
    runtime.issue_execution_fence(block=True)


@task
def double(x: InputStore, y: OutputStore) -> None:
    np.asarray(y)[...] = 2 * np.asarray(x)


@CPUS
def test_exceptions_in_every_mode(cpus: int) -> None:
    child(
        """
    def caught(function):
        try:
            function()
        except Own as error:
            return error
        raise AssertionError("nothing was raised")

    x, y = cn.zeros(100_000), cn.zeros(100_000)
    fails(x, y)
    error = caught(fence)
    assert "task fails" in error.__notes__[0] and ("point" in error.__notes__[0]) == (cpus > 1)
    try:
        float(y[0])
        raise AssertionError("y can be read")
    except RuntimeError as why:
        cause = why.__cause__
        assert (type(cause), cause.args, cause.__notes__[0]) == (Own, error.args, error.__notes__[0])
    y = cn.zeros(100_000)
    with Scope(exception_mode=ExceptionMode.IGNORED):
        fails(x, y)
        fence()

    def deferred():
        with Scope(exception_mode=ExceptionMode.DEFERRED):
            fails(x, cn.zeros(100_000))
            fence()
            z = cn.ones(3) + 1
            assert float(z[0]) == 2

    caught(deferred)
    prepared = fails.prepare_call(x, cn.zeros(100_000))
    prepared.throws_exception(Own)
    caught(prepared.execute)
    fence()
    y = cn.zeros(100_000)
    add(y, 2)
    assert float(y.sum()) == 200_000
    """,
        cpus,
    )


@CPUS
def test_interrupted_bodies(cpus: int) -> None:
    """Ctrl-C in a body that computes in Python: the fence is left, and the runtime goes on."""
    out = child(
        """
    @task
    def slow(y: OutputStore) -> None:
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            sum(range(1000))

    y, z = cn.zeros(100_000), cn.zeros(10)
    add(z, 3)
    slow(y)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        fence()
        print("not interrupted")
    except KeyboardInterrupt:
        print("interrupted")
    fence()
    add(z, 4)
    w = cn.zeros(100_000)
    add(w, 1)
    assert z.tolist() == [7.0] * 10 and float(w.sum()) == 100_000
    """,
        cpus,
    )
    assert out == "interrupted\n"


@CPUS
def test_forks_after_tasks(cpus: int) -> None:
    child(
        """
    y = cn.zeros(100_000)
    add(y, 1)
    fence()
    add(y, 1)
    number = os.fork()
    add(y, 1)
    assert float(y.sum()) == 300_000
    if not number:
        os._exit(0)
    deadline = time.monotonic() + 20
    while os.waitpid(number, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(number, signal.SIGKILL)
            raise AssertionError("the child hangs")
        time.sleep(0.01)
    """,
        cpus,
    )


@CPUS
def test_the_end_runs_what_is_recorded(cpus: int) -> None:
    """Tasks, then callbacks from the last to the first, then what these recorded."""
    out = child(
        """
    @task
    def told(y: OutputStore, text: str) -> None:
        if not any(y.domain.lo):
            print(text, flush=True)

    y = cn.zeros(100_000)

    def callback(name):
        def call():
            print("callback", name, flush=True)
            told(y, f"task of {name}")
        return call

    runtime.add_shutdown_callback(callback("first"))
    runtime.add_shutdown_callback(callback("last"))
    told(y, "task")
    """,
        cpus,
    )
    lines = out.splitlines()
    assert lines[:2] == ["task", "callback last"]
    assert set(lines[2:]) == {"callback first", "task of last", "task of first"}


def test_a_crash_runs_no_callbacks() -> None:
    done = run(
        _START + "    runtime.add_shutdown_callback(lambda: print('called'))\n    raise Own('enough')\n"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith("Own: enough")


def test_a_failure_at_the_end_is_told() -> None:
    done = run(_START + "    x = cn.zeros(100_000)\n    fails(x, cn.zeros(100_000))\n")
    assert "Own: in the last point" in done.stderr


def test_threads_with_machines_of_their_own() -> None:
    child(
        """
    sizes = {}

    @task
    def points(ctx: TaskContext, y: OutputStore, who: int) -> None:
        sizes.setdefault(who, set()).add(ctx.launch_domain.hi)
        np.asarray(y)[:] += 1

    arrays = [cn.zeros(100_000) for _ in range(4)]

    def work(who):
        for _ in range(10):
            if who % 2:
                with get_machine()[:1]:
                    points(arrays[who], who)
            else:
                points(arrays[who], who)
            fence()

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [float(a.sum()) for a in arrays] == [1_000_000.0] * 4
    assert sizes[1] == sizes[3] == {()} and sizes[0] == sizes[2] == {(2,)}, sizes
    """,
        cpus=3,
    )


def test_outputs_nobody_refers_to_are_written() -> None:
    ran = []

    @task
    def told(y: OutputStore) -> None:
        np.asarray(y)[:] = 1
        ran.append(1)

    told(cn.zeros(10))
    gc.collect()
    fence()
    assert ran == [1]


def test_stores_kept_by_a_body_stay_valid() -> None:
    kept: list[Any] = []

    @task
    def keep(x: InputStore, y: OutputStore, total: ReductionStore[ADD]) -> None:
        np.asarray(y)[:] = 5
        np.asarray(total)[:] += 1
        kept.extend((x, y, total))

    for _ in range(5):
        keep(cn.ones(3000), cn.zeros(3000), cn.zeros(3000))
        fence()
    gc.collect()
    others = [cn.zeros(3000) + k for k in range(30)]
    assert [float(a[0]) for a in others] == list(range(30))
    for k, store in enumerate(kept):
        np.testing.assert_array_equal(store, np.full(3000, (1.0, 5.0, 1.0)[k % 3]))


def test_unbound_stores_in_a_chain() -> None:
    @task
    def count(out: OutputStore, n: int) -> None:
        np.asarray(out.create_output_buffer((n,)))[:] = np.arange(n)

    @task
    def even(x: InputStore, out: OutputStore) -> None:
        values = np.asarray(x)
        values = values[values % 2 == 0]
        np.asarray(out.create_output_buffer(values.shape))[:] = values

    stores = [runtime.create_store(types.int64) for _ in range(3)]
    count(stores[0], 100_000)
    even(stores[0], stores[1])
    even(stores[1], stores[2])
    assert [s.shape for s in stores] == [(100_000,), (50_000,), (50_000,)]
    assert int(cn.asarray(stores[2]).sum()) == sum(range(0, 100_000, 2))


def test_planning_takes_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of launches on one array: comparisons and steps of the planner per launch do not grow with the chain."""
    calls = []
    for module, name in ((depend, "disjoint"), (schedule, "origin")):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, f=function: calls.append(1) or f(*a))
    counts = []
    for n in (50, 200):
        x, y = cn.ones(9), cn.zeros(9)
        calls.clear()
        for _ in range(n):
            double(x, y)
            double(y, x)
        fence()
        counts.append(len(calls))
    assert counts[1] < 5 * counts[0]


def test_many_launches_keep_memory_flat() -> None:
    out = child("""
    x, y = cn.ones(1000), cn.zeros(1000)

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    def rounds():
        for k in range(4000):
            add(y, 1)
            if k % 100 == 99:
                fence()
            if k % 1000 == 0:
                add(cn.zeros(1000), 2)
        fence()
        gc.collect()

    rounds()
    before = resident()
    rounds()
    print(resident() - before)
    """)
    assert int(out) < 4 << 20


_FORGETTING = """
    from legate_jit.running import poison
    from legate_jit.backends import memory

    def one(n, mode):
        x, y = cn.ones(n), cn.zeros(n)
        z = y[::2]
        w = y.copy()
        with Scope(exception_mode=mode):
            fails_first(x, y)
            z += 1
            later = y[1:] * 2  # in the same window
            add(later, 1)
            try:
                fence()
            except Own:
                pass
        try:
            later = later + 1
            float(later[0])
        except RuntimeError:
            pass

    @task
    def fails_first(x: InputStore, y: OutputStore) -> None:
        if not any(x.domain.lo):
            raise Own("in the first point")

    for n in (10, 1000, 100_000):
        for mode in ExceptionMode:
            for measured in (False, True):
                gc.collect()
                gc.disable()
                before = memory.stats.live
                for _ in range(3 + 10 * measured):
                    try:
                        one(n, mode)
                    except Own:
                        pass
                left = memory.stats.live - before
                gc.enable()
            assert not poison.poisoned, (n, mode)
            assert left <= 1024, (n, mode, left)
"""


@CPUS
def test_what_a_failed_task_was_to_write_is_given_back(cpus: int) -> None:
    """When nobody refers to it, and without the garbage collector: neither the error that is kept nor a cycle holds it."""
    child(_FORGETTING, cpus)


def test_what_a_failed_task_was_to_write_is_given_back_on_ranks() -> None:
    succeeds(_START + _FORGETTING, LEGATE_JIT_VIRTUAL_RANKS="3", LEGATE_JIT_DEALT_FROM="1000")


def test_reads_of_failed_results_show_where_the_task_failed() -> None:
    """Also when the error itself has been dropped; with the whole of its chain."""
    done = run(
        _START
        + """
    @task
    def chained(y: OutputStore) -> None:
        try:
            {}["key"]
        except KeyError as inner:
            raise Own("outer") from inner

    def main():
        y = cn.zeros(10)
        chained(y)
        try:
            fence()
        except Own:
            pass
        gc.collect()
        float(y[0])

    main()
    """
    )
    assert done.returncode == 1
    for text in ("KeyError: 'key'", "in chained", "Own: outer", "raised by task chained", "in main"):
        assert text in done.stderr, text


class _Odd(Exception):
    """Its arguments are not what it was made with."""

    def __init__(self, code: int, *, extra: str) -> None:
        super().__init__(f"code {code}")
        self.extra = extra


class _Uncopyable(Exception):
    def __new__(cls, *args: object, secret: int = 0) -> _Uncopyable:
        assert secret
        return super().__new__(cls, *args)

    def __init__(self, text: str, secret: int) -> None:
        super().__init__(text)


_ERRORS = [
    ValueError("a", 2),
    KeyError("k"),
    FileNotFoundError(2, "No such file", "name"),
    UnicodeDecodeError("utf8", b"abc", 0, 1, "reason"),
    ImportError("no", name="n"),
    _Odd(3, extra="more"),
]


@pytest.mark.parametrize("error", _ERRORS, ids=lambda e: type(e).__name__)
def test_kept_errors_are_what_they_were(error: Exception) -> None:
    try:
        raise error
    except Exception as e:
        e.add_note("a note")
        found = poison.kept(e)
    assert (type(found), str(found), found.args) == (type(error), str(error), error.args)
    assert found.__traceback__ is None
    assert found.__notes__[0] == "a note"
    assert "test_kept_errors_are" in found.__notes__[-1]
    assert error.__notes__ == ["a note"]
    for name, value in vars(error).items():
        if name != "__notes__":
            assert getattr(found, name) == value


def test_kept_errors_that_cannot_be_copied() -> None:
    found = poison.kept(_Uncopyable("text", secret=1))
    assert type(found) is RuntimeError
    assert str(found) == "_Uncopyable: text"


def test_calls_at_once_go_on_beside_poisoned_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers.policy, "interpret_runs", 2)

    @task
    def breaks(y: OutputStore) -> None:
        raise ValueError("here")

    x, y = cn.arange(5.0), cn.zeros(5)
    fence()
    breaks(y)
    with pytest.raises(ValueError, match="here"):
        fence()
    assert at_once.ready(x._store)
    assert not at_once.ready(y._store)
    with pytest.raises(RuntimeError, match="ValueError: here"):
        cn.sort(y).tolist()
    assert cn.sort(x).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
