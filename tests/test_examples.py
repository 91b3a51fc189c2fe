"""Every example runs as a user runs it, at a small size, and agrees with the same functions under NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
RUNS = [
    "cfd -x 61 -y 41 -i 5 -n 20",
    "cfd -x 21 -y 21 -i 200 -n 10 --converge 0.01",
    "jacobi -n 120 -i 30",
    "stencil -n 120 -i 20",
    "black_scholes -n 20000",
    "black_scholes -n 20000 --dtype float32",
    "cg -n 60 -i 20",
    "cg -n 40 -i 200 --tolerance 1e-6",
    "kmeans -i 5",
    "logreg -i 20",
    "mandelbrot -x 80 -y 60 -i 20",
    "nbody -n 60 -i 3",
    "richardson_lucy -i 2",
    "saxpy -n 100000",
    "sharded_io -n 300 -i 3",
]


#: what a program needs that the package does without
NEEDS = {"kmeans": "sklearn", "logreg": "sklearn", "richardson_lucy": "sklearn", "sharded_io": "h5py"}


def run(command: str, *options: str) -> subprocess.CompletedProcess[str]:
    name, *arguments = command.split()
    line = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments, *options]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "2"}
    )


@pytest.mark.parametrize("command", RUNS)
def test_example_agrees_with_numpy(command: str) -> None:
    needed = NEEDS.get(command.split()[0])
    if needed is not None:
        pytest.importorskip(needed)
    # Twice: the second run goes through the caches.
    done = run(command, "--check", "--repeat", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check: equal to NumPy's" in done.stdout


def test_every_example_is_tested() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py")} - {"common"}
    assert programs == {command.split()[0] for command in RUNS}


def test_compare_prints_both_times() -> None:
    done = run("saxpy -n 1000", "--compare", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    assert "cupynumeric" in done.stdout and "numpy" in done.stdout
