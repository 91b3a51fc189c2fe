"""Programs on several ranks under a real mpiexec, bounded in time, with nothing left running afterwards."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
from faults.child import FORKS

ROOT = Path(__file__).resolve().parents[2]
#: seconds in which a job must have ended by itself, whatever happens to it
BOUND = 60.0
_MARK = "LEGATE_TEST_JOB"
#: what Open MPI wants to hear before it starts ranks of root, as tests in containers do
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


class Ended(NamedTuple):
    """How a job ended: its status, what its ranks wrote, seconds, and how many of its processes were left."""

    status: int
    out: str
    err: str
    seconds: float
    left: int

    @property
    def causes(self) -> list[str]:
        """What the guard said."""
        return [line for line in self.err.splitlines() if line.startswith("[legate-jit]")]


def mpiexec() -> str | None:
    """The launcher that belongs to this interpreter's packages, else one on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "mpiexec"
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@functools.cache
def _why_not() -> str:
    """Why no job can run here; '' if one can."""
    launcher = mpiexec()
    if launcher is None:
        return "there is no mpiexec"
    say = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
    try:
        tried = subprocess.run(
            [launcher, *_options(launcher), "-n", "2", sys.executable, "-c", say],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"mpiexec does not work: {error}"
    return (
        "" if tried.stdout.split() == ["2", "2"] else f"mpiexec and mpi4py do not fit: {tried.stderr[-300:]}"
    )


@functools.cache
def _options(launcher: str) -> tuple[str, ...]:
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False).stdout
    return ("--oversubscribe", "--bind-to", "none") if "Open" in version else ()


def needs_mpi() -> None:
    """Skip the test where no job can run."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)


def _environment(**changes: str) -> dict[str, str]:
    env = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "",  # lines of the ranks stay whole
    }
    return os.environ | AS_ROOT | FORKS | env | changes


def started(
    program: str, ranks: int = 2, *arguments: str, **changes: str
) -> tuple[subprocess.Popen[str], str]:
    """Begin to run a program's text on `ranks` ranks, with changes to the environment: the launcher, which is alone in its
    session, and the mark of all that belongs to the job (see `processes_of`)."""
    needs_mpi()
    launcher = mpiexec()
    assert launcher is not None
    token = uuid.uuid4().hex
    command = [
        launcher,
        *_options(launcher),
        "-n",
        str(ranks),
        sys.executable,
        "-c",
        textwrap.dedent(program),
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        env=_environment(**changes, **{_MARK: token}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, token


def job(program: str, ranks: int = 2, *arguments: str, **changes: str) -> Ended:
    """Run a program's text as `started` does, to its end. Fails the test if it does not end in time."""
    start = time.monotonic()
    process, token = started(program, ranks, *arguments, **changes)
    try:
        out, err = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        _end(token)
        out, err = process.communicate()
        pytest.fail(f"the job did not end in {BOUND:.0f} s\n{out}\n{err}")
    seconds = time.monotonic() - start
    return Ended(process.returncode, out, err, seconds, left(token))


def succeeds(program: str, ranks: int = 2, *arguments: str, **changes: str) -> str:
    """What a job prints that must end well and say nothing on standard error."""
    ended = job(program, ranks, *arguments, **changes)
    assert (ended.status, ended.err, ended.left) == (0, "", 0), ended
    return ended.out


def processes_of(token: str) -> list[int]:
    """Processes that were started with this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{_MARK}={token}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile, or is somebody else's
    return found


def left(token: str) -> int:
    """Processes of a job that are still there some seconds after it ended."""
    for _ in range(100):
        if not processes_of(token):
            return 0
        time.sleep(0.05)
    remaining = processes_of(token)
    _end(token)
    return len(remaining)


def _end(token: str) -> None:
    for process in processes_of(token):
        os.kill(process, signal.SIGKILL)
