"""Weak scaling of known programs, simulated: what every rank holds, sends and takes while the problem grows with the ranks.

Each case is a process of its own that plans and runs nothing: `python -m benchmarks --scaling`. `--validate` runs the programs
for real, on one rank and on two, and prints what the model says next to what was measured.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: ranks of the tables
RANKS = (1, 4, 16, 64, 256, 1024, 4096)
_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def _example(name: str) -> Any:
    """A module of the examples."""
    import importlib

    if str(_EXAMPLES) not in sys.path:
        sys.path.insert(0, str(_EXAMPLES))
    return importlib.import_module(name)


def _jacobi(n: int) -> Any:
    return _example("jacobi").jacobi(n, 50)


def _channel_flow(n: int) -> Any:
    return _example("cfd").channel_flow(n, n, 2, 50, None)


def _cg(n: int) -> Any:
    return _example("cg").poisson(n, 25, 0.0)


def _matmul(n: int) -> Any:
    import cupynumeric as np

    a, b = (np.zeros((n, n)) + k for k in (1.0, 2.0))
    _fence()
    return a @ b


def _fft(n: int) -> Any:
    import cupynumeric as np

    x = np.zeros((n, n), np.complex128) + 1.0
    _fence()
    return np.fft.ifft2(np.fft.fft2(x))


def _fence() -> None:
    import legate

    legate.fence()


class Program(NamedTuple):
    """A program of an n x n array; `side`: n on one rank (its square grows with the ranks). work: operations for n, up to a
    factor."""

    run: Callable[[int], Any]
    side: int
    work: Callable[[int], float]
    what: str


PROGRAMS: dict[str, Program] = {
    "channel_flow": Program(_channel_flow, 1000, lambda n: n * n, "2 time steps of 50 pressure sweeps"),
    "jacobi": Program(_jacobi, 2000, lambda n: n * n, "50 sweeps"),
    "cg": Program(_cg, 1000, lambda n: n * n, "25 iterations"),
    "matmul": Program(_matmul, 2000, lambda n: n**3, "one product, float64"),
    "fft": Program(_fft, 2000, lambda n: n * n * math.log2(n), "fft2 and ifft2, complex128"),
}


class Point(NamedTuple):
    """A program on so many ranks: of the rank that is looked at and has most, bytes held, and bytes and messages sent; predicted
    seconds, and the seconds that a rank plans."""

    ranks: int
    side: int
    memory: int
    sent: int
    messages: int
    seconds: float
    planning: float


def side_of(program: Program, ranks: int) -> int:
    """The side of the array on so many ranks."""
    return round(program.side * math.sqrt(ranks))


def simulated(name: str, ranks: int, machine: str = "") -> Point:
    """A program, simulated in a process of its own. machine: a file, '' for the default."""
    side = side_of(PROGRAMS[name], ranks)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        environment = os.environ | {
            "LEGATE_JIT_SIMULATE_RANKS": str(ranks),
            "LEGATE_JIT_SIMULATE_REPORT": str(path),
            "LEGATE_JIT_MACHINE": machine,
        }
        _child([sys.executable], ["run", name, str(side)], environment)
        found = json.loads(path.read_text(encoding="utf-8"))
    return point(found, side)


def point(found: dict[str, Any], side: int) -> Point:
    """The figures of a report."""
    each = list(found["total"].values())
    flows = [[f for kind, f in total["exchanges"].items() if kind != "read"] for total in each]
    return Point(
        found["ranks"],
        side,
        max(total["peak_bytes"] for total in each),
        max(sum(f["sent_bytes"] for f in of) for of in flows),
        max(sum(f["sent"] for f in of) for of in flows),
        found["seconds"],
        found["planning_seconds"],
    )


def _child(launcher: Sequence[str], words: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [*launcher, "-m", "benchmarks.scaling", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-800:]}")
    return done.stdout


def efficiency(name: str, one: Point, many: Point) -> float:
    """The time that the ranks would take if exchanges cost nothing and work were divided evenly, over the time they take."""
    work = PROGRAMS[name].work
    return one.seconds * work(many.side) / (work(one.side) * many.ranks) / many.seconds


def table(name: str, points: Sequence[Point]) -> str:
    """A program's points as a Markdown table; the first is of one rank."""
    from legate_jit.cli.dump import size_text
    from legate_jit.simulation.report import time_text

    lines = [
        f"**{name}**: {PROGRAMS[name].what}",
        "",
        "| ranks | array | memory of a rank | it sends | in messages | predicted time | efficiency | planning |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for p in points:
        cells = (
            str(p.ranks),
            f"{p.side}²",
            size_text(p.memory),
            size_text(p.sent),
            str(p.messages),
            time_text(p.seconds),
            f"{efficiency(name, points[0], p):.0%}",
            f"{p.planning * 1e3:.0f} ms",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


# ---- measured ----------------------------------------------------------------------------------------------------------


def measured(name: str, ranks: int, repeat: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, of the quickest of some real runs, on so many ranks of half the processors each."""
    threads = max(len(os.sched_getaffinity(0)) // 2, 1)
    environment = os.environ | {
        "LEGATE_JIT_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    beside = Path(sysconfig.get_path("scripts")) / "mpiexec"
    mpiexec = [str(beside) if beside.exists() else "mpiexec", "-n", str(ranks)]
    launcher = [*(mpiexec if ranks > 1 else ()), sys.executable]
    side = side_of(PROGRAMS[name], ranks)
    wall, processor = _child(launcher, ["time", name, str(side), str(repeat)], environment).split()
    return float(wall), float(processor)


def validation(names: Sequence[str], machine: str, repeat: int) -> str:
    """Predicted and measured times on one and two ranks, as a Markdown table. Other programs disturb the time of the processor
    less than that of the clock; with two ranks it includes waiting."""
    from legate_jit.simulation.report import time_text

    lines = ["| program | ranks | predicted | clock | processor |", "|---|---|---|---|---|"]
    for name in names:
        for ranks in (1, 2):
            says = simulated(name, ranks, machine).seconds
            cells = [time_text(seconds) for seconds in (says, *measured(name, ranks, repeat))]
            lines.append(f"| {name} | {ranks} | {' | '.join(cells)} |")
    return "\n".join(lines)


def timed(name: str, side: int, repeat: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, of the quickest runs in this process, the first two (planning, compiling) apart."""
    program, best, least = PROGRAMS[name], math.inf, math.inf
    for k in range(2 + repeat):
        _fence()
        start, busy = time.perf_counter(), time.process_time()
        kept = program.run(side)
        _fence()
        if k >= 2:
            best = min(best, time.perf_counter() - start)
            least = min(least, time.process_time() - busy)
        del kept
    return best, least


def main(words: Sequence[str]) -> None:
    """What a child process does: `run NAME SIDE`, or `time NAME SIDE REPEAT`, whose seconds rank 0 prints."""
    kind, name, side, *rest = words
    if kind == "run":
        kept = PROGRAMS[name].run(int(side))
        _fence()
        del kept
        return
    wall, processor = timed(name, int(side), int(rest[0]))
    from legate_jit.process.world import world

    if world.rank == 0:
        print(wall, processor)


if __name__ == "__main__":
    main(sys.argv[1:])
