"""The interpreter ends as it does without us: same exit status, nothing on stderr, no hang."""

from __future__ import annotations

import pytest
from faults.child import run, succeeds

_START = """
    import atexit, sys, threading
    import numpy
    import cupynumeric as np
    from legate_jit.running import tiers
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
    from legate_jit.backends.calls import library
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


def test_a_compiler_that_is_loaded_at_the_end_is_told_of_it() -> None:
    """It would close its objects one by one while its modules are torn down, and complain, or not, as their order is."""
    program = """
        import atexit, sys
        def told():
            print("llvmlite" in sys.modules, sys.modules["llvmlite.binding.common"]._is_shutting_down())
        atexit.register(told)  # the last to be called but for what the imports register
        import cupynumeric as np
        import legate.core
        from legate_jit.running import tiers
        tiers.policy.interpret_runs = 0
        y = np.sqrt(np.arange(1e6)) + 1
        print("llvmlite" in sys.modules)
    """
    assert succeeds(program) == "False\nTrue True\n"


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
