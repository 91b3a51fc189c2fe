"""os.fork and multiprocessing: a child computes with its own pool, and neither side's pending work disturbs the other."""

from __future__ import annotations

import os
import sys

import pytest
from faults.child import succeeds

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

_PENDING = """
    import os, sys
    import numpy
    import cupynumeric as np
    from legate_jit.running import tiers
    tiers.policy.interpret_runs = 0
    n = 300_000
    x = np.arange(n, dtype=float)
    float((x * 2).sum())  # the pool of threads exists
    x[1:] += x[:-1]  # pending, in place
    want = numpy.arange(n, dtype=float)
    want[1:] += want[:-1].copy()
    def right(array, expected):
        return numpy.array_equal(numpy.asarray(array), expected)
"""


def test_both_sides_finish_their_own_copy_of_pending_work() -> None:
    succeeds(
        _PENDING
        + """
    pid = os.fork()
    if pid == 0:
        ok = right(x, want)
        x += 5.0
        ok = ok and right(x, want + 5) and right(np.sqrt(np.ones(n) * 4) + x, want + 7)
        os._exit(0 if ok else 1)
    x -= 1.0
    assert right(x, want - 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert right(x * 2, (want - 1) * 2)
    """
    )


def test_fork_within_an_interrupted_run() -> None:
    """What is left of an interrupted run is finished once on each side."""
    succeeds(
        _PENDING
        + """
    from legate_jit.running import execute
    from legate_jit.backends.calls import library
    calls = []
    @library.implementation("faults.interrupted")
    def interrupted(args, outs, options):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        outs[0][...] = args[0] + 1
    from cupynumeric._calls import lazy
    y = lazy("faults.interrupted", (x,), (n,), float)
    x += 3.0
    try:
        numpy.asarray(y)
        raise SystemExit("not interrupted")
    except KeyboardInterrupt:
        pass
    pid = os.fork()
    ok = right(y, want + 1) and right(x, want + 3) and len(calls) == 2
    if pid == 0:
        os._exit(0 if ok else 1)
    assert ok
    assert os.waitpid(pid, 0)[1] == 0
    """
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method: str, tmp_path: object) -> None:
    import subprocess
    from pathlib import Path

    from faults.child import environment

    program = Path(str(tmp_path)) / "program.py"
    program.write_text(f"""
import multiprocessing
import numpy
import cupynumeric as np

def work(k):
    x = np.arange(100_000.0) * k
    x[1:] += x[:-1]
    return numpy.asarray(x)

if __name__ == "__main__":
    first = work(3)
    pending = np.arange(1000.0) + 1
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        got = pool.map(work, range(4))
    assert all(numpy.array_equal(a, work(k)) for k, a in enumerate(got))
    assert numpy.array_equal(pending, numpy.arange(1000.0) + 1)
    array = np.ones(3) * 2
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        assert pool.apply(numpy.sum, (array,)) == 6  # an array with pending work travels
    print("done")
""")
    done = subprocess.run(
        [sys.executable, str(program)], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_fork_while_threads_record() -> None:
    """The child finds the window whole and the lock free, whatever the other threads were doing."""
    succeeds("""
        import os, sys, threading
        import numpy
        import cupynumeric as np
        from legate_jit.running import tiers
        tiers.policy.interpret_runs = 0
        sys.setswitchinterval(1e-5)
        stop = False
        def work():
            x = np.arange(1000.0)
            k = 0
            while not stop:
                k += 1
                y = x * 2.0 + k
                y[1:] += y[:-1]
                if k % 10 == 0:
                    float(y.sum())
        threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
        for t in threads: t.start()
        for k in range(20):
            pid = os.fork()
            if pid == 0:
                ok = float((np.ones(1000) * 2 + k).sum()) == 1000 * (2 + k)
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0, k
        stop = True
        for t in threads: t.join()
    """)


def test_handlers_registered_while_a_fork_is_under_way() -> None:
    """They run after the fork without having run before it, and must not release what they did not take."""
    succeeds("""
        import os, threading
        import cupynumeric as np
        from legate_jit.running import locking
        threading.Thread(target=int).start()
        os.register_at_fork(before=locking.hold_over_forks)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if float(np.ones(3).sum()) == 3 else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads through /proc")
def test_the_child_has_threads_of_its_own() -> None:
    succeeds(
        _PENDING
        + """
    def native():
        return len(os.listdir("/proc/self/task"))
    def work():
        return float(np.sin(np.arange(3_000_000.0)).sum())
    want = work()
    parent = native()
    assert parent > 1
    pid = os.fork()
    if pid == 0:
        alone = native()
        os._exit(0 if alone == 1 and work() == want and native() == parent else 1)
    assert os.waitpid(pid, 0)[1] == 0 and native() == parent
    """,
        LEGATE_JIT_THREADS="2",
        OPENBLAS_NUM_THREADS="1",
    )
