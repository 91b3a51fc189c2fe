"""Two ranks of one thread against one rank of two threads, and what the exchanges of an iteration cost.

Each contender is a process (or a job of two) of its own, started in turns; the least time of all counts, because other programs
disturb two processes more than one. Arrays lie in parts before the clock starts. `python -m benchmarks --ranks`.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: program -> size as the suite counts it (None: the suite's own), and the speed that two ranks must reach, of one
PROGRAMS: dict[str, float] = {
    "jacobi": 0.9,
    "channel_flow": 0.9,
    "black_scholes": 0.9,
    "cg": 0.9,
    "kmeans": 0.9,
    "matmul_f64": 0.9,
    "saxpy": 0.95,
    "sum_squares": 0.95,
}
#: a grid whose halo is 16 KiB and whose sweep is little work: rows, columns, sweeps
ROWS, COLUMNS, SWEEPS = 160, 2048, 200
#: microseconds that the exchange of an iteration may cost
GOAL = 60.0
ONE, TWO = "1 rank x 2 threads", "2 ranks x 1 thread"


class Figure(NamedTuple):
    """Seconds of one run of a program, and what a rank sent in it."""

    seconds: float
    messages: float
    nbytes: float


def dealt(array: Any) -> Any:
    """The array as a program of several ranks has it: computed, and so in parts."""
    import cupynumeric

    found = cupynumeric.array(array)
    return found + found.dtype.type(0)


def program(name: str, nominal: int) -> Callable[[], Any]:
    """A program of the suite as a call that ends with a fence."""
    import cupynumeric
    import legate
    from benchmarks.kernels import SUITE
    from benchmarks.peers import converted

    kernel = SUITE[name]
    arrays = converted(kernel.setup(kernel.scaled(nominal)), dealt)
    legate.fence()

    def call() -> Any:
        result = kernel.run(cupynumeric, *arrays)
        legate.fence()
        return result

    return call


def sweeps(rows: int, fenced: bool) -> Callable[[], Any]:
    """Sweeps over a grid of so many rows; `fenced`: a window for each of them."""
    import cupynumeric as np
    import legate

    fields = [np.zeros((rows, COLUMNS)) + 1.0 for _ in range(2)]
    legate.fence()

    def call() -> Any:
        old, new = fields
        for _ in range(SWEEPS):
            new[1:-1, :] = 0.5 * (old[:-2, :] + old[2:, :])
            old, new = new, old
            if fenced:
                legate.fence()
        legate.fence()
        return old

    return call


def timed(call: Callable[[], Any], repeat: int) -> Figure:
    """The least time of a call, the first ones (planning) apart, and the messages of the last."""
    from legate_jit import runtime

    for _ in range(4):
        call()
    comm = runtime.world.comm if runtime.world is not None else None
    least, sent = math.inf, (0, 0)
    for _ in range(repeat):
        before = (comm.traffic.messages, comm.traffic.nbytes) if comm else (0, 0)
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
        after = (comm.traffic.messages, comm.traffic.nbytes) if comm else (0, 0)
        sent = (after[0] - before[0], after[1] - before[1])
    return Figure(least, *sent)


def child(names: Sequence[str], nominal: int, repeat: int) -> None:
    """Measure in this process and write the figures as JSON (rank 0)."""
    from legate_jit.process.world import world

    found = {}
    for name in names:
        kind, _, rows = name.partition(" ")
        call = sweeps(int(rows), kind == "windows") if rows else program(name, nominal)
        found[name] = timed(call, repeat)
        del call
    if world.rank == 0:
        print("FIGURES", json.dumps(found), flush=True)


def launcher() -> str:
    """The mpiexec beside this Python, or else on the path. RuntimeError if there is none."""
    beside = Path(sysconfig.get_path("scripts")) / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise RuntimeError("there is no mpiexec")
    return found


def contender(
    which: str, names: Sequence[str], nominal: int, repeat: int, threads: int = 2
) -> dict[str, Figure]:
    """Figures of these programs from a job of its own. RuntimeError if it fails."""
    command = [sys.executable, "-m", "benchmarks.ranks", ",".join(names), str(nominal), str(repeat)]
    if which == TWO:
        command, threads = [launcher(), "-n", "2", *command], 1
    env = os.environ | {"LEGATE_CONFIG": f"--cpus {threads}", "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("FIGURES ")]
    if ended.returncode or len(lines) != 1:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}")
    return {name: Figure(*values) for name, values in json.loads(lines[0][8:]).items()}


def least(of: Sequence[dict[str, Figure]]) -> dict[str, Figure]:
    """The fastest of several figures of each program."""
    return {name: min((found[name] for found in of), key=lambda f: f.seconds) for name in of[0]}


def table(names: Sequence[str], nominal: int, repeat: int, rounds: int) -> str:
    """Everything measured, as text."""
    halves = [f"{kind} {rows}" for kind in ("sweeps", "windows") for rows in (ROWS, ROWS // 2)]
    one, two, alone = [], [], []
    for _ in range(rounds):
        one.append(contender(ONE, names, nominal, repeat))
        two.append(contender(TWO, [*names, *halves], nominal, repeat))
        alone.append(contender(ONE, halves, nominal, repeat, threads=1))
    a, b, c = least(one), least(two), least(alone)
    lines = [
        f"{'program':16}{ONE:>20}{TWO:>20}{'speed':>8}{'goal':>7}{'messages':>10}{'bytes':>12}   (ms, one rank's messages)"
    ]
    for name in names:
        x, y = a[name], b[name]
        lines.append(
            f"{name:16}{1e3 * x.seconds:20.2f}{1e3 * y.seconds:20.2f}{x.seconds / y.seconds:8.2f}{PROGRAMS.get(name, 0.9):7.2f}"
            f"{y.messages:10.0f}{y.nbytes:12.0f}"
        )
    lines.append(
        f"\nexchange of {8 * COLUMNS >> 10} KiB in a sweep of {ROWS // 2} rows each (us per sweep, goal {GOAL:.0f})"
    )
    for kind in ("sweeps", "windows"):
        whole, half = b[f"{kind} {ROWS}"], c[f"{kind} {ROWS // 2}"]
        extra = 1e6 * (whole.seconds - half.seconds) / SWEEPS
        lines.append(
            f"{kind:16}{1e6 * half.seconds / SWEEPS:20.1f}{1e6 * whole.seconds / SWEEPS:20.1f}{extra:8.1f} more"
            f"{whole.messages / SWEEPS:10.2f}{whole.nbytes / SWEEPS:12.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    child(sys.argv[1].split(","), int(float(sys.argv[2])), int(sys.argv[3]))
