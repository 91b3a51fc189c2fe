"""The interpreter ends as it does without us: same exit status, nothing on stderr, no hang."""

from __future__ import annotations

import pytest
from faults.child import run, succeeds

_START = """
    import atexit, sys, threading
    import numpy
    import cupynumeric as np
    from legate_jit import tiers
    tiers.policy.interpret_runs = 0
    n = 1_000_000
    x = np.arange(n, dtype=float)
    float((np.sin(x) * 2).sum())  # the pool of threads exists
    y = np.sqrt(x) + 1  # pending until the end
"""


def test_pending_work_is_dropped() -> None:
    assert succeeds(_START) == ""


def test_pending_work_of_a_first_window() -> None:
    assert succeeds("import cupynumeric as np\nx = np.ones(10) + 1\n") == ""


@pytest.mark.parametrize("status", [0, 3])
def test_exit_status_stays(status: int) -> None:
    done = run(_START + f"    sys.exit({status})\n")
    assert (done.returncode, done.stderr) == (status, "")


def test_uncaught_exception() -> None:
    done = run(_START + "    raise ValueError('the last word')\n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: the last word"
    assert "Exception ignored" not in done.stderr


def test_after_a_failed_run() -> None:
    done = run(
        _START
        + """
    from legate_jit.backends import library
    from cupynumeric._calls import lazy
    @library.implementation("faults.failing")
    def failing(args, outs, options):
        raise ZeroDivisionError("inside")
    z = lazy("faults.failing", (x,), (n,), float)
    float(z.sum())
"""
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: inside"
    assert "Exception ignored" not in done.stderr


def test_computing_inside_atexit_handlers() -> None:
    assert (
        succeeds(
            _START
            + """
    atexit.register(lambda: print(float(y[4]), float((np.ones(n) * 2).sum())))
"""
        )
        == "3.0 2000000.0\n"
    )


def test_handler_registered_before_us() -> None:
    assert (
        succeeds("""
    import atexit
    atexit.register(lambda: print(float((np.ones(1_000_000) + y[:1]).sum())))
    import cupynumeric as np
    y = np.ones(5) * 3
    float((np.ones(1_000_000) + 1).sum())
    """)
        == "4000000.0\n"
    )


def test_daemon_threads_still_recording() -> None:
    assert (
        succeeds(
            _START
            + """
    def forever():
        while True:
            float((np.arange(1000.0) * 2).sum())
    for _ in range(3):
        threading.Thread(target=forever, daemon=True).start()
    float(y.sum())
"""
        )
        == ""
    )


def test_arrays_in_cycles_and_globals() -> None:
    assert (
        succeeds(
            _START
            + """
    class Node: pass
    a = Node(); a.self = a; a.array = x + 1
    sys.modules["kept"] = a
    numpy.kept = [x * 2, numpy.asarray(y)]
"""
        )
        == ""
    )
