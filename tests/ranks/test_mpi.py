"""Real ranks of MPI: the transport below the algorithms that `test_comm` tries on threads, and whole programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from ranks.launch import job, succeeds

from legate_jit.job import guard

_TRANSPORT = """
    import numpy as np
    from legate_jit.comm import exchange
    from legate_jit.comm.base import Comm
    from legate_jit.comm.exchange import Listed
    from legate_jit.comm.mpi import MpiComm

    comm = MpiComm()
    rank, size = comm.rank, comm.size

    def cut(box):
        return tuple(slice(lo, hi) for lo, hi in box)

    def check(n, width, rounds):
        share = -(-n // size)
        by_rows = [((min(k * share, n), min((k + 1) * share, n)), (0, width)) for k in range(size)]
        narrow = -(-width // size)
        by_columns = [((0, n), (min(k * narrow, width), min((k + 1) * narrow, width))) for k in range(size)]
        halos = [((max(a - 1, 0), min(b + 1, n)), c) for (a, b), c in by_rows]
        whole = [((0, n), (0, width))] * size
        array = np.arange(n * width, dtype=float).reshape(n, width)
        for source, wanted in ((by_rows, by_columns), (by_columns, by_rows), (by_rows, halos), (by_rows, whole)):
            prepared = comm.exchange(array.dtype, Listed.of(source, wanted))
            for k in range(rounds):
                mine = (array + k)[cut(source[rank])]
                expected = (array + k)[cut(wanted[rank])]
                assert (comm.fetch(mine, source, wanted) == expected).all()
                prepared.start(np.asfortranarray(mine))
                assert (prepared.finish() == expected).all()

    check(13, 8, 3)
    check(700, 400, 2)  # large messages: straight from the arrays
    Comm.piece = 10_000
    check(500, 400, 2)  # in pieces
    comm.barrier()

    for count in (1, 40_000):
        rng = np.random.default_rng(3)
        parts = rng.standard_normal((size, count))
        total = comm.combine(parts[rank], "sum")
        assert np.allclose(total, parts.sum(0), rtol=1e-12, atol=1e-12)
        assert len(set(comm.allgather_object(total.tobytes()))) == 1
    before = comm.before(np.array([rank + 1]), "sum")
    assert (before is None) == (rank == 0) and (rank == 0 or before[0] == rank * (rank + 1) // 2)
    assert comm.bcast("x" * rank, size - 1) == "x" * (size - 1)
    assert comm.agree(1, 2) and not comm.agree(rank) and comm.agree(5)
    assert comm.traffic.messages > 0 and comm.awaited == -1
    print("fine")
"""


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_transport(ranks: int) -> None:
    assert succeeds(_TRANSPORT, ranks).split() == ["fine"] * ranks


_PROGRAM = """
    import os, sys, time
    import cupynumeric as np
    from legate.timing import time as now
    from legate_jit.process.world import world

    print("before", flush=True)
    x = np.arange(100_000.0)
    for k in range(30):
        x = np.sqrt(x * 2 + k)
        if k % 10 == 9:
            np.add(x, 1, out=x)
    print(float(x.sum()))
"""


def test_every_rank_prints_unless_limited() -> None:
    said = succeeds(_PROGRAM).split()
    assert len(said) == 4 and len(set(said)) == 2
    assert len(succeeds(_PROGRAM, LEGATE_LIMIT_STDOUT="1").split()) == 2


@pytest.mark.slow
def test_disabled() -> None:
    said = succeeds(
        """
        import cupynumeric, sys
        from legate_jit.process.world import world
        print(world.size, "mpi4py" in sys.modules)
        """,
        LEGATE_DISABLE_MPI="1",
    )
    assert said == "1 False\n" * 2


@pytest.mark.parametrize(
    ("rank", "processors", "share"),
    [
        (0, [range(8), range(8)], 4),
        (0, [{1, 2}, {3}], 2),
        (1, [{1, 2}, {2, 3}], 1),
        (3, [{1, 2}] * 4, 1),
        (2, [range(16)] * 3, 5),
    ],
)
def test_ranks_share_the_processors(rank: int, processors: list[Iterable[int]], share: int) -> None:
    assert guard._share(rank, {k: frozenset(p) for k, p in enumerate(processors)}) == share


@pytest.mark.slow
def test_ranks_share_the_caches() -> None:
    """Two halves of a result that one rank would write past the caches are written past them too."""
    script = """
        import cupynumeric as np
        from legate_jit import runtime
        from legate_jit.ir import kernel
        streams = []
        make = kernel.Operand.__new__
        kernel.Operand.__new__ = lambda *a, **k: (o := make(*a, **k), streams.append(o.stream))[0]
        y = np.arange(4_000_000) * 2.0  # 32 MB, 16 on each rank
        runtime.fence()
        print(True in streams)
    """
    assert succeeds(script, 2).split() == ["True"] * 2


def test_processes_that_ranks_start() -> None:
    """Programs, forked children and multiprocessing in a rank work, and are no ranks."""
    said = succeeds("""
        import multiprocessing, os, subprocess, sys
        import cupynumeric as np
        from legate_jit import runtime

        def total(n):
            return float((np.arange(n * 1.0) * 2).sum())

        x = np.ones(1000) * 2
        runtime.fence()
        child = os.fork()
        if not child:
            assert float((x + 1).sum()) == 3000.0
            runtime.fence()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.map(total, [10]) == [90.0]
        line = "import cupynumeric as np; from legate_jit.process.world import world; print(world.size, np.ones(3).sum())"
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
        assert done.stdout == "1 3.0\\n", done
        runtime.fence()
        assert float(x.sum()) == 2000.0
        print("fine")
        """)
    assert said.split() == ["fine", "fine"]


@pytest.mark.slow
def test_a_steady_loop_with_fences_and_scalars_agrees() -> None:
    said = succeeds("""
        import cupynumeric as np
        from legate_jit import runtime
        x, y = np.ones(5000), np.zeros(5000)
        for k in range(400):
            y[1:-1] = (x[:-2] + x[2:]) * (0.5 + k * 1e-3)
            x, y = y, x
            if k % 4 == 0:
                runtime.fence()
        print(type(runtime.window).__name__, float(x.sum()))
        """)
    assert len(set(said.splitlines())) == 1
    assert said.startswith("Window ")  # lines are no longer remembered


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_garbage_is_collected_when_it_is(ranks: int) -> None:
    """Arrays in cycles die at other times on other ranks, which must plan the same exchanges nevertheless."""
    said = succeeds(
        """
        import gc
        import cupynumeric as np
        from legate_jit.process.world import world

        class Node:
            pass

        gc.disable()
        x, total = np.arange(100_000.0), 0.0
        for k in range(6):
            node = Node()
            node.itself, node.kept = node, x * (k + 2)
            z = node.kept[1:] + node.kept[:-1]
            del node
            if world.rank == k % world.size:
                gc.collect()
            total += float(z.sum())
        print(total)
        """,
        ranks,
    )
    assert said == "269994600027.0\n" * ranks


@pytest.mark.slow
def test_environment_that_is_wrong() -> None:
    for variable, value, told in (
        (
            "LEGATE_JIT_STALL_TIMEOUT",
            "soon",
            "LEGATE_JIT_STALL_TIMEOUT must be a number of seconds, not 'soon'",
        ),
        ("LEGATE_JIT_DEALT_FROM", "few", "LEGATE_JIT_DEALT_FROM must be a positive number, not 'few'"),
        ("LEGATE_CONFIG", "--cpus=some", "--cpus expects an integer, not 'some'"),
    ):
        ended = job("import cupynumeric", 3, **{variable: value})
        assert ended.status != 0 and ended.left == 0
        assert ended.err.count(told) == 1, ended.err


@pytest.mark.slow
def test_ranks_share_a_cache(tmp_path: Path) -> None:
    """Four ranks find it empty at the same time, and the next ones find all in it; nobody says anything."""
    program = """
        import cupynumeric as np
        from legate_jit import runtime
        x = np.arange(100_000.0)
        for k in range(6):
            x = np.sqrt(x + k) * (x if k % 2 else 2.0)
            runtime.fence()
        print(float(x.sum()))
        """
    said = {
        succeeds(program, ranks, LEGATE_JIT_CACHE_DIR=str(tmp_path / "cache")).split()[0] for ranks in (4, 4)
    }
    assert len(said) == 1
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left and not [name for name in left if "tmp" in name]


def test_killed_jobs_leave_no_shared_memory() -> None:
    """MPICH's memory between the ranks of a node has no name when the program begins, and an end in order does not miss it."""
    done = job(
        """
        import cupynumeric as np

        with open("/proc/self/maps") as file:
            mapped = [line.rpartition("/dev/shm/")[2].strip() for line in file if "/dev/shm/mpich_" in line]
        x = np.ones(1_000_000).reshape(1000, 1000)
        assert float((x @ x.T).sum()) == 1e9
        print(len(mapped), [name for name in mapped if not name.endswith("(deleted)")])
        """,
        3,
    )
    assert (done.status, done.err) == (0, "")
    said = done.out.splitlines()
    if any(line.startswith("0 ") for line in said):
        pytest.skip("this MPI has no files there")
    assert [line.partition(" ")[2] for line in said] == ["[]"] * 3
