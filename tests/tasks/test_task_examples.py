"""The task programs run as a user runs them and print what the documents say; with `--check` they agree with NumPy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path(__file__).resolve().parents[2] / "examples" / "tasks"
MILLISECONDS = r"\d+\.\d{6} milliseconds"
RUNS = {
    "saxpy --size 100000": rf"\nTime elapsed for saxpy: {MILLISECONDS}\n",
    "histogram --size 100000": rf"\nTime elapsed for histogram : {MILLISECONDS}\n",
    "matmul": rf"\nTime elapsed for matmul: {MILLISECONDS}\n",
    "matmul -m 33 -k 40 -n 21": rf"\nTime elapsed for matmul: {MILLISECONDS}\n",
    "fft --shape 6,32,16": rf"\nTime elapsed for fft: {MILLISECONDS}\n",
    "monte_carlo --paths 2000": r"price \d+\.\d+ \+- 0\.\d+",
    "median_filter --rows 100": r"white pixels: \d+ before, \d+ after",
    "library --rows 5000": r"means at most",
}


def run(line: str, cpus: int) -> str:
    name, *options = line.split()
    done = subprocess.run(
        [sys.executable, str(TASKS / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"LEGATE_CONFIG": f"--cpus {cpus}"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize("line", RUNS)
def test_task_program(line: str, cpus: int) -> None:
    if line.startswith(("saxpy", "histogram", "matmul", "fft")):
        pytest.importorskip("cupy")
    if line.startswith("median"):
        pytest.importorskip("sklearn")
    out = run(f"{line} --check", cpus)
    assert re.search(RUNS[line], out), out
    assert "NumPy's" in out


def test_quick() -> None:
    pytest.importorskip("cupy")
    assert run("quick", 2) == "[1 2 3]\n"


def test_every_program_is_tested() -> None:
    assert {p.stem for p in TASKS.glob("*.py")} == {line.split()[0] for line in RUNS} | {"quick"}
