"""The small costs: recording an operation, tiny loops, host reads, import, compiling a kernel, resident memory.

Each figure of ours stands beside NumPy's for the same lines. Imports, compiling and memory are measured in fresh processes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

LOOPS = 2000
ROUNDS = 7


@dataclass(frozen=True)
class Micro:
    """One figure: what, NumPy's, ours, and the unit of both; NumPy's is NaN where it has none."""

    what: str
    numpy: float
    ours: float
    unit: str


def chain(np: Any) -> int:
    """Additions of two arrays of 1000 elements, none of them observed before the end."""
    x, y = np.ones(1000), np.ones(1000)
    for _ in range(LOOPS):
        x = x + y
    finish(np, x)
    return LOOPS


def tiny(np: Any) -> int:
    """The ten-element loop."""
    x = np.ones(10)
    for _ in range(LOOPS):
        x = x * 1.0001 + 1.0
    finish(np, x)
    return 2 * LOOPS


def slices(np: Any) -> int:
    """Slice assignments on 100 elements; an iteration is five operations."""
    x = np.ones(100)
    for _ in range(LOOPS):
        x[1:-1] = 0.5 * (x[:-2] + x[2:])
    finish(np, x)
    return LOOPS


def reads(np: Any) -> int:
    """A sum of ten elements read by the program each time."""
    x = np.ones(10)
    for _ in range(LOOPS // 4):
        float(x.sum())
    return LOOPS // 4


def finish(np: Any, array: Any) -> None:
    """Make sure that the array has been computed."""
    if np is not numpy:
        import legate

        legate.fence()
    assert array.size


def per_item(loop: Callable[[Any], int], np: Any) -> float:
    """Microseconds for each counted item, the median of a few rounds after a warm one."""
    loop(np)
    samples = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        count = loop(np)
        samples.append((time.perf_counter() - start) / count)
    return statistics.median(samples) * 1e6


IMPORT = """
import time; t = time.perf_counter()
import {module}
print(time.perf_counter() - t)
"""

RESIDENT = """
import {module} as np
x = np.arange(1000.0)
y = np.sqrt(x * 2.0 + 1.0)
assert float(y[0]) == 1.0
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""

COMPILE = """
import random, statistics, time
import cupynumeric as np, legate
x, y = np.linspace(0.5, 1.5, 1_000_000), np.linspace(1.0, 2.0, 1_000_000)
OPS = [
    lambda t: t + x, lambda t: t * y, lambda t: t - 0.5, lambda t: np.sqrt(np.abs(t)), lambda t: np.minimum(t, y),
    lambda t: np.maximum(t, x), lambda t: t / y, lambda t: t * 0.75,
]
choose = random.Random(1)
def once(steps):
    start = time.process_time()
    t = x
    for step in steps:
        t = step(t)
    legate.fence()
    return time.process_time() - start
costs = []
for number in range(12):
    steps = [choose.choice(OPS) for _ in range(choose.randrange(5, 18))]
    first = once(steps)
    costs.append(first - min(once(steps) for _ in range(3)))
print(statistics.median(costs[2:]))
"""


def fresh(code: str, count: int = 1) -> float:
    """The least number that a program prints in `count` fresh processes without a disk cache."""
    environment = os.environ | {"LEGATE_JIT_CACHE_DIR": "0"}
    values = []
    for _ in range(count):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        values.append(float(done.stdout))
    return min(values)


def measurements() -> list[Micro]:
    """All figures; takes about ten seconds."""
    import cupynumeric

    loops = {
        "x = x + y, 1000 elements, unobserved, per operation": chain,
        "x = x*1.0001 + 1.0, 10 elements, per operation": tiny,
        "x[1:-1] = 0.5*(x[:-2] + x[2:]), 100 elements": slices,
        "float(x.sum()), 10 elements": reads,
    }
    rows = [
        Micro(what, per_item(loop, numpy), per_item(loop, cupynumeric), "us") for what, loop in loops.items()
    ]
    imports = [fresh(IMPORT.format(module=module), 5) * 1e3 for module in ("numpy", "cupynumeric")]
    resident = [fresh(RESIDENT.format(module=module)) / 1e3 for module in ("numpy", "cupynumeric")]
    rows.append(Micro("import", imports[0], imports[1], "ms"))
    rows.append(Micro("resident memory of three operations", resident[0], resident[1], "MB"))
    rows.append(
        Micro("compiling a new kernel of 5-17 operations, CPU time", float("nan"), fresh(COMPILE) * 1e3, "ms")
    )
    return rows


def table(rows: list[Micro]) -> str:
    """The figures as text."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'':{width}}  {'numpy':>9}  {'ours':>9}"]
    lines += [f"{row.what:{width}}  {row.numpy:9.2f}  {row.ours:9.2f} {row.unit}" for row in rows]
    return "\n".join(lines)
