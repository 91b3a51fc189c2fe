"""What the page on tasks says is so, and importing the array library alone changes nobody's random numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults.child import ROOT, environment, run, succeeds

import cupynumeric as cn
from legate.core import TaskContext, align, bloat, broadcast, get_legate_runtime
from legate.core.task import InputStore, OutputStore, task

PAGE = (ROOT / "docs" / "tasks.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_snippets_run() -> None:
    """One after the other, as one program."""
    assert len(SNIPPETS) == 2
    done = run("\n".join(SNIPPETS), LEGATE_CONFIG="--cpus 2")
    assert (done.returncode, done.stderr) == (0, "")
    total, duration = done.stdout.splitlines()
    assert abs(float(total)) < 1e-6  # an odd function
    assert duration.endswith(" ms")


def test_dumps_show_launches_with_grid_and_bytes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SNIPPETS[0])
    done = subprocess.run(
        [sys.executable, "-m", "legate_jit", "--dump-ir=schedule", str(script)],
        env=environment(LEGATE_CONFIG="--cpus 2"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    line = next(line for line in shown.splitlines() if "smooth_sign" in line)
    assert "smooth_sign over 2 " in line
    assert "writes 7.63 MiB" in line


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\(\.\./(examples/[\w/.]*)\)", PAGE))))
def test_linked_files_exist(name: str) -> None:
    assert (ROOT / name).exists()


def test_overlapping_inputs_hold_the_values_from_before() -> None:
    @task(constraints=(align("x", "y"), bloat("x", "halo", (1,), (1,))))
    def neighbors(x: InputStore, halo: InputStore, y: OutputStore) -> None:
        missing = 1 - (x.domain.lo[0] - halo.domain.lo[0]), 1 - (halo.domain.hi[0] - x.domain.hi[0])
        padded = np.pad(np.asarray(halo), missing, "edge")
        np.asarray(y)[:] = padded[:-2] + padded[2:]

    x = cn.arange(100_000)
    neighbors(x, x, x)
    padded = np.pad(np.arange(100_000), 1, "edge")
    np.testing.assert_array_equal(x, padded[:-2] + padded[2:])


def test_points_never_write_the_same_element() -> None:
    grids = []

    @task(constraints=broadcast("y"))
    def whole(ctx: TaskContext, x: InputStore, y: OutputStore) -> None:
        grids.append(ctx.is_single_task())
        np.asarray(y)[:] += 1

    y = cn.zeros(100_000)
    whole(cn.zeros(100_000), y)
    get_legate_runtime().issue_execution_fence(block=True)
    assert grids == [True]
    assert float(y.sum()) == 100_000


def test_importing_arrays_leaves_random_numbers_alone() -> None:
    succeeds("""
        import random
        import numpy as np
        seed, state, theirs = random.seed, random.getstate(), np.random.get_state()[1].tolist()
        import cupynumeric, legate, legate.timing
        assert random.getstate() == state and random.seed is seed
        assert np.random.get_state()[1].tolist() == theirs
        import legate.core
        assert random.seed is not seed
        first = random.random()
        seed(1234)
        assert random.random() == first
    """)


def test_seeding_warns_after_the_runtime_started() -> None:
    done = run("import legate.core, random\nrandom.seed(3)\n")
    assert done.returncode == 0
    assert "Seeding the random number generator" in done.stderr


@pytest.mark.parametrize("units", ["us", "ns"])
def test_times_are_numbers(units: str) -> None:
    from legate.timing import time

    start = time(units)
    end = time(units)
    assert int(end) >= int(start) and float(end) == int(end) and str(end) == str(int(end))
    assert (end - start) * 2 == 2 * int(end) - 2 * int(start) and end + 1 == int(end) + 1
    with pytest.raises(ValueError, match="time units must be 'us' or 'ns'"):
        time("ms")


def test_statement_on_small_arguments() -> None:
    """`--min-cpu-chunk`: 16384 elements."""
    assert get_legate_runtime().config().min_cpu_chunk == (
        2 if os.environ.get("LEGATE_TEST") == "1" else 16384
    )
