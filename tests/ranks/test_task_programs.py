"""Programs with tasks, under mpiexec and on virtual ranks: what bodies see, how often they run, how they fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from ranks.launch import job

TASKS = Path(__file__).resolve().parents[2] / "examples" / "tasks"

_START = """
    import os, sys
    import numpy as np
    import cupynumeric as cn
    import legate
    from legate.core import *
    from legate.core.task import *
    from legate_jit import runtime as engine

    runtime = get_legate_runtime()
    virtual = int(os.environ.get("LEGATE_JIT_VIRTUAL_RANKS", "0"))
    if virtual:
        rank, ranks = 0, virtual
        everywhere = lambda items: list(items)
    else:
        from mpi4py import MPI
        rank, ranks = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
        everywhere = lambda items: [x for some in MPI.COMM_WORLD.allgather(list(items)) for x in some]

    def fence():
        runtime.issue_execution_fence(block=True)

    class Own(Exception):
        pass

    def caught(kind, function, *arguments, **names):
        try:
            function(*arguments, **names)
        except kind as error:
            return error
        raise AssertionError("nothing was raised")
"""


def check(program: str, where: str, whole: Sequence[str] = ()) -> None:
    """Run a program that starts as above and must end well; `where`: 'virtual 3', or 'mpiexec 2'. `whole`: the tasks that run
    with all of something on every rank, as it must say."""
    kind, ranks = where.split()
    text = textwrap.dedent(_START) + textwrap.dedent(program)
    if kind == "mpiexec":
        ended = job(text, int(ranks), LEGATE_CONFIG="--cpus 2")
        assert (ended.status, ended.left) == (0, 0), ended
        assert re.findall(r"task (\w+) runs ", ended.err) == list(whole), ended
        return
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"LEGATE_JIT_VIRTUAL_RANKS": ranks, "LEGATE_CONFIG": "--cpus 2"},
        check=False,
    )
    assert done.returncode == 0, done
    assert re.findall(r"task (\w+) runs ", done.stderr) == list(whole), done


ANYWHERE = pytest.mark.parametrize("where", ["virtual 3", "virtual 4", "mpiexec 2", "mpiexec 3"])


@ANYWHERE
def test_every_point_runs_once_and_knows_the_whole_launch(where: str) -> None:
    check(
        """
        ran = []

        @task
        def note(context: TaskContext, x: InputStore, y: OutputStore) -> None:
            assert not context.is_single_task()
            assert tuple(context.launch_domain.hi) == (2 * ranks - 1,), context.launch_domain
            assert context.machine.count(TaskTarget.CPU) == 2 * ranks
            ran.append((tuple(context.task_index), x.domain.lo[0], x.domain.hi[0]))
            np.asarray(y)[:] = np.asarray(x) + context.task_index[0]

        machine = runtime.machine
        assert machine.count(TaskTarget.CPU) == 2 * ranks
        assert machine.get_node_range(TaskTarget.CPU) == (0, ranks)
        assert machine.get_processor_range(TaskTarget.CPU).per_node_count == 2

        x = cn.arange(300_000.0)
        y = cn.zeros(300_000)
        note(x, y)
        fence()
        ran = sorted(everywhere(ran))
        assert [r[0] for r in ran] == [(k,) for k in range(2 * ranks)], ran
        assert [r[1] for r in ran[1:]] == [r[2] + 1 for r in ran[:-1]]  # parts meet: a body sees where its part lies
        steps = np.searchsorted([r[2] for r in ran], np.arange(300_000))
        assert (np.asarray(y) == np.arange(300_000.0) + steps).all()

        with machine[0:1]:  # one processor: one point, on every rank, which have all of what is small
            x, y = cn.arange(10.0), cn.zeros(10)
            alone = []

            @task
            def single(context: TaskContext, x: InputStore, y: OutputStore) -> None:
                assert context.is_single_task()
                alone.append(1)
                np.asarray(y)[:] = 2 * np.asarray(x)

            single(x, y)
            assert (np.asarray(y) == 2 * np.arange(10.0)).all()
        assert len(everywhere(alone)) == (1 if virtual else ranks)

        with machine[0:1]:  # of arrays that lie in parts: on the rank that has most
            big, out = cn.arange(300_000.0) * 2, cn.zeros(300_000)
            fence()
            alone.clear()
            single(big, out)
            assert (np.asarray(out) == 4 * np.arange(300_000.0)).all()
        assert len(everywhere(alone)) == 1
        """,
        where,
    )


@ANYWHERE
def test_exceptions_are_the_same_on_all_ranks(where: str) -> None:
    check(
        """
        @task
        def fails(context: TaskContext, x: InputStore, y: OutputStore) -> None:
            if context.task_index[0] >= 2:
                raise Own("in point", context.task_index[0])
            np.asarray(y)[:] = 1

        @task
        def double(x: InputStore, y: OutputStore) -> None:
            np.asarray(y)[:] = 2 * np.asarray(x)

        x = cn.zeros(300_000)
        y, z, w, other = cn.zeros(300_000), cn.zeros(300_000), cn.zeros(300_000), cn.zeros(300_000)
        fails(x, y)
        double(y, z)        # not computed
        double(x + 1, w)    # not concerned
        other += 1
        error = caught(Own, fence)
        assert error.args == ("in point", 2), error
        notes = "".join(error.__notes__)
        assert "task fails" in notes and "point (2,)" in notes, notes
        assert notes.count("raised by task") == 1
        for a in (y, z):
            why = caught(RuntimeError, lambda: float(a[0]))
            assert "in point" in str(why) and isinstance(why.__cause__, Own)
        assert float(w.sum()) == 600_000 and float(other.sum()) == 300_000
        fence()  # told once
        y[:] = 3.0
        assert float(y.sum()) == 900_000

        call = fails.prepare_call(x, y)
        call.throws_exception(Own)
        assert caught(Own, call.execute).args == ("in point", 2)

        def deferred(mode):
            with Scope(exception_mode=mode):
                y[:] = 0
                fails(x, y)
                fence()
                ended.append(float(y[0]))

        ended = []
        assert caught(Own, deferred, ExceptionMode.DEFERRED).args == ("in point", 2)
        deferred(ExceptionMode.IGNORED)
        assert ended == [1.0, 1.0]

        class Unknown(Exception):
            def __reduce__(self):
                raise TypeError("cannot be copied")

        @task
        def last(context: TaskContext, y: OutputStore) -> None:
            if context.task_index[0] == 2 * ranks - 1:
                raise Unknown("of the last rank")

        last(y)
        assert "of the last rank" in str(caught(Exception, fence))
        """,
        where,
    )


@ANYWHERE
def test_cuts_that_follow_from_data_and_stores_that_grow(where: str) -> None:
    check(
        """
        @task(constraints=(image("points", "source"), align("points", "out")))
        def chase(points: InputStore, source: InputStore, out: OutputStore) -> None:
            at = np.asarray(points) - source.domain.lo[0]
            assert source.shape[0] <= np.ptp(np.asarray(points)) + 1
            np.asarray(out)[:] = np.asarray(source)[at]

        values = cn.arange(200_000.0) * 2
        for order in ((np.arange(200_000) * 77_777) % 200_000, np.arange(200_000) // 2):
            out = cn.zeros(200_000)
            chase(cn.array(order), values, out)
            assert (np.asarray(out) == 2.0 * order).all()

        library = runtime.create_library("own")
        ran = []

        def made(body, **options):
            number = library.get_new_task_id()
            library.register_task(TaskInfo.from_variants(number, body.__name__, [(VariantCode.CPU, body)]))
            return runtime.create_auto_task(library, number)

        def squares(context):
            ran.append(tuple(context.task_index))
            values = np.asarray(context.inputs[0])
            kept = values[values % 3 == 0]
            np.asarray(context.outputs[0].create_output_buffer(kept.shape))[:] = kept ** 2

        x = cn.arange(200_000)
        whole = runtime.create_store(types.int64)
        launch = made(squares)
        launch.add_input(x)
        launch.add_output(whole)
        launch.execute()
        assert whole.shape == (66_667,)
        assert len(everywhere(ran)) == 2 * ranks
        assert virtual or type(whole._store.buffer).__name__ == "Dealt"
        assert (np.asarray(whole) == np.arange(0, 200_000, 3) ** 2).all()

        def few(context):
            n = context.task_index[0]
            np.asarray(context.outputs[0].create_output_buffer((n % 2, 3)))[:] = n

        rows = runtime.create_store(types.float64, ndim=2)
        launch = made(few)
        launch.add_input(x)
        launch.add_output(rows)
        launch.execute()
        odd = np.arange(1.0, 2 * ranks, 2)
        assert (np.asarray(rows) == odd[:, None]).all() and rows.shape == (ranks, 3)

        def none(context):
            pass

        empty = runtime.create_store(types.float64)
        launch = made(none)
        launch.add_input(x)
        launch.add_output(empty)
        launch.execute()
        assert empty.shape == (0,)

        def meet(context):
            ran.append(tuple(context.task_index))
            np.asarray(context.outputs[0])[:] += context.launch_domain.hi[0] + 1

        ran.clear()
        y = cn.zeros(200_000)
        launch = made(meet)
        launch.add_output(y)
        launch.add_cpu_communicator()
        launch.execute()
        assert (np.asarray(y) == 2 * ranks).all()
        assert sorted(set(ran)) == [(k,) for k in range(2 * ranks)]  # its points share memory: all in each process
        """,
        where,
        ["chase", "meet"],
    )


LINES = [
    "saxpy --size 100000",
    "histogram --size 100000",
    "matmul -m 33 -k 40 -n 21",
    "fft --shape 6,32,16",
    "monte_carlo --paths 2000",
    "median_filter --rows 100",
    "library --rows 50000",
]


def needs(line: str) -> None:
    """Skip what the program imports and is not there."""
    if line.startswith(("saxpy", "histogram", "matmul", "fft")):
        pytest.importorskip("cupy")
    if line.startswith("median"):
        pytest.importorskip("sklearn")


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("line", LINES)
def test_examples_on_virtual_ranks(line: str, ranks: int) -> None:
    needs(line)
    name, *options = line.split()
    done = subprocess.run(
        [sys.executable, str(TASKS / f"{name}.py"), *options, "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"LEGATE_JIT_VIRTUAL_RANKS": str(ranks), "LEGATE_CONFIG": "--cpus 2"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "NumPy's" in done.stdout


@pytest.mark.parametrize("line", LINES)
def test_examples_under_mpiexec(line: str) -> None:
    needs(line)
    name, *options = line.split()
    program = f"""
        import runpy, sys
        sys.argv = [{name + ".py"!r}, *{options!r}, "--check"]
        runpy.run_path({str(TASKS / (name + ".py"))!r}, run_name="__main__")
    """
    ended = job(program, 2, LEGATE_CONFIG="--cpus 2")
    assert (ended.status, ended.left) == (0, 0), ended
    assert ended.out.count("NumPy's") == 2


def test_a_body_that_ends_its_rank_ends_the_job() -> None:
    ended = job(
        textwrap.dedent(_START)
        + textwrap.dedent(
            """
        @task
        def ends(context: TaskContext, y: OutputStore) -> None:
            if context.task_index[0] == 3:
                os._exit(3)

        ends(cn.zeros(300_000))
        fence()
        """
        ),
        2,
        LEGATE_CONFIG="--cpus 2",
    )
    assert ended.status != 0 and ended.left == 0
    assert re.search("rank", ended.err)
