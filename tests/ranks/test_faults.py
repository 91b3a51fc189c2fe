"""Whatever happens to one rank, the job ends: soon, with a status that is not 0, the first cause told once, nobody left."""

from __future__ import annotations

import pytest
from ranks.launch import Ended, job

#: seconds from the fault to the end; the jobs also import for some seconds when the machine is busy
SOON = 25.0

_LINES = """
    import os, signal, sys, time
    import cupynumeric as np
    from legate_jit import runtime
    from legate_jit.process.world import world
    odd = world.rank == world.size - 1
    x = np.arange({size}.0)
    for k in range(3):
        x = x * 2 + 1
        if k == 1:
            {fault}
        runtime.fence()
    print("end", float(x.sum()))
"""
#: where the fault is in the text above, which `job` passes as the command's string
_LINE = "<string>:11"


def faulty(fault: str, ranks: int = 2, size: int = 1000, **changes: str) -> Ended:
    ended = job(_LINES.replace("{fault}", fault).replace("{size}", str(size)), ranks, **changes)
    assert ended.status != 0, ended
    assert ended.left == 0, ended
    assert ended.seconds < SOON, ended
    assert "end" not in ended.out.split(), ended
    return ended


def test_exception_on_one_rank() -> None:
    ended = faulty("if odd: raise ValueError('the last word')", 3)
    (cause,) = ended.causes
    assert cause == f"[legate-jit] rank 2 of 3: ValueError at {_LINE}"
    assert ended.err.count("the last word") >= 1
    assert ended.status == 1


def test_divergence_names_the_lines() -> None:
    ended = faulty("if odd: x = x * 3")
    (cause,) = ended.causes
    assert f"rank 1: multiply(float64[1000]) -> float64[1000] with 3 at {_LINE}" in cause
    assert "rank 0: none (a window run at <string>:12)" in cause


def test_stall_says_who_waits_for_whom() -> None:
    ended = faulty("if odd: time.sleep(100)", LEGATE_JIT_STALL_WARNING="1", LEGATE_JIT_STALL_TIMEOUT="4")
    warnings = [c for c in ended.causes if "STALL_TIMEOUT" not in c]
    (cause,) = [c for c in ended.causes if "STALL_TIMEOUT" in c]
    assert cause.startswith("[legate-jit] rank 0 of 2: waiting in fence at <string>:12 for rank 1 for 4 s")
    assert warnings and all("waiting in fence at <string>:12 for rank 1" in w for w in warnings)
    assert ended.status == 86


slow = pytest.mark.slow


@slow
@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("sys.exit(3) if odd else 0", 3, f"rank 1: sys.exit(3) at {_LINE}"),
        ("sys.exit(0) if odd else 0", 1, f"rank 1: sys.exit(0) at {_LINE}"),
        ("raise SystemExit if odd else 0", 1, ""),
        ("if odd: raise KeyboardInterrupt", 130, f"KeyboardInterrupt at {_LINE}"),
        ("if odd: __import__('json').loads('no')", 1, f"JSONDecodeError at {_LINE}"),
        ("if odd: bytearray(1 << 60)", 1, f"MemoryError at {_LINE}"),
        ("if odd: np.ones(1 << 50)", 1, f"MemoryError at {_LINE}"),
        ("if odd: runtime.fence()", 1, "the ranks do not run the same program"),
        ("x = x * (world.rank + 1.5)", 1, f"with 1.5 at {_LINE}; rank 1: multiply(float64[1000])"),
        ("x = np.ones(1000 + world.rank)", 1, f"float64[1001] with np.float64(1.0) at {_LINE}"),
        ("if odd: float(x[3])", 1, f"at {_LINE}"),
        ("if odd: os._exit(0)", 1, f"os._exit(0) at {_LINE}, while others go on"),
        ("if odd: os._exit(9)", 9, f"os._exit(9) at {_LINE}, while others go on"),
        ("if odd: os.kill(os.getpid(), signal.SIGKILL)", 9, None),
        ("if odd: os.kill(os.getpid(), signal.SIGSEGV)", 11, None),
        ("if odd: os.kill(os.getpid(), signal.SIGTERM)", 15, None),
    ],
)
def test_one_rank(fault: str, status: int, cause: str | None) -> None:
    ended = faulty(fault)
    if cause is None:
        assert ended.causes == []  # the rank is gone without a word: the launcher says so
    else:
        assert len(ended.causes) == 1, ended
        assert cause in ended.causes[0], ended
    signals = [128 + status, 255] if cause is None else []  # as Open MPI says it, and Intel MPI
    assert ended.status in (status, *signals)


@slow
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("sys.exit(0) if odd else 0", f"sys.exit(0) at {_LINE}"),
        ("if odd: runtime.fence()", "fence at <string>:12"),
        ("if odd: x = x * 3", f"multiply(float64[100000]) -> float64[100000] with 3 at {_LINE}"),
        ("x = x * (world.rank + 1.5)", f"with 1.5 at {_LINE}; rank 1: multiply(float64[100000])"),
        ("if odd: float(x[3])", f"at {_LINE}"),
        ("if odd: float(x.sum())", f"sum(float64[100000]) -> float64[] at {_LINE}"),
        ("if odd: raise ValueError", f"ValueError at {_LINE}"),
    ],
)
def test_arrays_that_are_dealt_out(fault: str, cause: str, ranks: int) -> None:
    """The ranks exchange parts of arrays, and must not wait in an exchange that the others do not take part in."""
    ended = faulty(fault, ranks, 100_000, LEGATE_JIT_DEALT_FROM="10000")
    assert len(ended.causes) == 1, ended
    assert cause in ended.causes[0], ended
    assert ended.status == 1


@slow
def test_an_error_of_all_ranks_is_told_once() -> None:
    ended = faulty("raise ValueError('the last word')", 4)
    assert len(ended.causes) == 1
    assert ended.err.count("ValueError: the last word") == 1


@slow
def test_a_status_of_all_ranks_is_the_job_s() -> None:
    ended = faulty("sys.exit(4)", 3)
    assert (ended.status, ended.causes) == (4, [])


@slow
def test_a_status_of_one_rank_while_others_compute() -> None:
    ended = faulty("sys.exit(5) if odd else time.sleep(60)")
    (cause,) = ended.causes
    assert cause == f"[legate-jit] rank 1 of 2: sys.exit(5) at {_LINE}, while rank 0 goes on"
    assert ended.status == 5


@slow
def test_hooks_that_the_program_replaces() -> None:
    hook = "sys.excepthook = lambda kind, error, trace: print('mine', file=sys.stderr)"
    ended = faulty(f"{hook}; x = 1 / (0 if odd else 1)")
    assert "mine" in ended.err
    assert "ZeroDivisionError" in ended.causes[0]


@slow
def test_a_rank_that_is_gone_is_noticed_without_the_launcher() -> None:
    """As under launchers that do not care: the rank is killed behind the back of one that knows nothing."""
    ended = job("""
        import os, signal, time
        import cupynumeric as np
        from legate_jit.job import guard
        from legate_jit.process.world import world
        from legate_jit.comm.base import Comm
        class Lonely(Comm):
            def allgather_object(self, item):
                return [item, (item[0], gone, item[2])]
            def combine(self, array, op):
                raise AssertionError
        if world.rank == 0:
            gone = os.fork()
            if not gone:
                os._exit(0)  # a zombie, or nobody
            watching = guard.Guard(Lonely(0, 2))
            watching.comm.awaited, watching.comm.since, watching.comm.doing = 1, time.monotonic(), "test"
            watching.watch()
        time.sleep(60)
        """)
    assert ended.left == 0 and ended.status != 0
    (cause,) = ended.causes
    assert cause.startswith("[legate-jit] rank 0 of 2: waiting in test at <string>:")
    assert "for rank 1, which is gone: it was killed, or ended without a word" in cause


@slow
@pytest.mark.parametrize("everybody", [False, True])
def test_an_interrupt_ends_the_job(everybody: bool) -> None:
    """Ctrl-C, which a launcher gets alone, or, from a terminal, with whatever is in its group."""
    import os
    import signal
    import time

    from ranks import launch

    program = """
        import os
        import cupynumeric as np
        from legate_jit import runtime
        x = np.arange(300_000.0)
        runtime.fence()
        os.write(1, b"ready\\n")
        while True:
            x = np.sqrt(x + 1)
            runtime.fence()
        """
    process, token = launch.started(program)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    start = time.monotonic()
    (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=launch.BOUND)
    assert time.monotonic() - start < SOON
    assert process.returncode != 0 and launch.left(token) == 0
    causes = [line for line in err.splitlines() if line.startswith("[legate-jit]")]
    assert len(causes) <= 1  # launchers may end the ranks before they have a say
    assert all("KeyboardInterrupt" in cause for cause in causes)


@slow
def test_a_launcher_that_is_killed_leaves_nobody() -> None:
    import signal
    import time

    from ranks import launch

    process, token = launch.started("import cupynumeric, time; print('ready', flush=True); time.sleep(100)")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(150):
        if not launch.processes_of(token):
            break
        time.sleep(0.1)
    left = launch.left(token)
    process.stdout.close()
    process.stderr.close()
    assert left == 0


@slow
@pytest.mark.parametrize("fence", ["runtime.fence()", "pass"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("x = x * 3", "multiply(float64[300,300]) -> float64[300,300] with 3 at <string>:15"),
        ("raise ValueError", "ValueError at <string>:15"),
        ("sys.exit(3)", "sys.exit(3) at <string>:15"),
    ],
)
def test_while_halos_travel(fault: str, cause: str, fence: str) -> None:
    """One rank of three leaves a loop of sweeps that is steady, while its neighbors expect halos."""
    program = """
        import sys
        import cupynumeric as np
        from legate_jit import runtime
        from legate_jit.process.world import world
        x = np.ones((300, 300)) * 2
        for k in range(60):
            y = x.copy()
            y[1:-1] = 0.5 * (x[:-2] + x[2:])
            x = y
            {fence}
            if k == 40:
                float(x[150, 3])
                if world.rank == 1:
                    {fault}
        runtime.fence()
        print("end", float(x.sum()))
    """
    ended = job(program.replace("{fence}", fence).replace("{fault}", fault), 3)
    assert ended.status != 0 and ended.left == 0 and ended.seconds < SOON, ended
    assert "end" not in ended.out.split() and len(ended.causes) == 1, ended
    assert cause in ended.causes[0], ended
