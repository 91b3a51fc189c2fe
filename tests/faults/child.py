"""Programs run in a process of their own, which may die without taking the tests along."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: since Python 3.12 every fork of a process with threads is told on stderr
FORKS = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with this checkout importable, and changes (None removes)."""
    env = os.environ | FORKS | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def command(program: str) -> list[str]:
    """The command line that runs the text of a program."""
    return [sys.executable, "-c", textwrap.dedent(program)]


def run(program: str, timeout: float = 30, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program's text; TimeoutExpired if it hangs."""
    return subprocess.run(
        command(program), env=environment(**changes), capture_output=True, text=True, timeout=timeout
    )


def succeeds(program: str, timeout: float = 30, **changes: str | None) -> str:
    """What a program prints that must end well and say nothing on stderr."""
    done = run(program, timeout, **changes)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stdout, done.stderr)
    return done.stdout
