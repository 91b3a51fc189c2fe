"""The documented task programs against plain NumPy and against the same program written with array operations.

Each processor count is measured in a process of its own (`LEGATE_CONFIG=--cpus N`), the contenders in turns. The empty launch is
one point, replayed, with its fence.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

import cupynumeric as np
import legate
from legate.core import align, broadcast
from legate.core.task import ADD, InputStore, OutputStore, ReductionStore, task

Body = Callable[[], object]


class Contenders(NamedTuple):
    """One program three times, each a call that ends when its result is there; and whether they agree."""

    numpy: Body
    task: Body
    arrays: Body
    agree: Callable[[], bool]


#: the documents' time on one CPU, in ms, and what must be reached against NumPy with one and with two
GOALS = {
    "saxpy": (14.3, 0.9, 0.6),
    "histogram": (123.0, 1.05, 0.6),
    "matmul": (903.0, 1.05, 0.6),
    "fft": (174.0, 1.05, 0.6),
}


def saxpy(size: int) -> Contenders:
    """z = a * x + y, float32."""

    @task(constraints=(align("x", "y"), align("y", "z")))
    def body(x: InputStore, y: InputStore, z: OutputStore, a: float) -> None:
        numpy.asarray(z)[:] = a * numpy.asarray(x) + numpy.asarray(y)

    data = [
        numpy.arange(size, dtype=numpy.float32),
        numpy.ones(size, numpy.float32),
        numpy.zeros(size, numpy.float32),
    ]
    x, y, z = (np.array(a) for a in data)
    w = np.array(data[2])

    def plain() -> None:
        data[2][:] = 2.0 * data[0] + data[1]

    def task_() -> None:
        body(x, y, z, 2.0)
        legate.fence()

    def arrays() -> None:
        w[:] = 2.0 * x + y
        legate.fence()

    return Contenders(plain, task_, arrays, lambda: _same(data[2], z) and _same(data[2], w))


def histogram(size: int) -> Contenders:
    """Counts of ten values, int32."""

    @task(constraints=(broadcast("hist"),))
    def body(data: InputStore, hist: ReductionStore[ADD], bins: int) -> None:
        counts, _ = numpy.histogram(numpy.asarray(data), bins=bins, range=(0, bins))
        numpy.asarray(hist)[:] += counts

    given = numpy.random.default_rng(0).integers(0, 10, size).astype(numpy.int32)
    data, found = np.array(given), np.zeros(10, dtype=np.int64)
    results: list[Any] = [None, None]

    def plain() -> None:
        results[0] = numpy.histogram(given, bins=10, range=(0, 10))[0]

    def task_() -> None:
        found.fill(0)
        body(data, found, 10)
        legate.fence()

    def arrays() -> None:
        results[1] = np.histogram(data, bins=10, range=(0, 10))[0]
        legate.fence()

    return Contenders(
        plain, task_, arrays, lambda: _same(results[0], found) and _same(results[0], results[1])
    )


def matmul(size: int) -> Contenders:
    """C += A @ B of int64 matrices into float64, promoted to three axes as the document does it."""

    @task(constraints=(align("C", "A"), align("C", "B")))
    def body(C: ReductionStore[ADD], A: InputStore, B: InputStore) -> None:
        out = numpy.asarray(C)[:, 0, :]
        out += numpy.matmul(numpy.asarray(A)[:, :, 0], numpy.asarray(B)[0, :, :])

    generator = numpy.random.default_rng(0)
    left, right = (generator.integers(0, 10, (size, size)) for _ in range(2))
    a, b, c, d = np.array(left), np.array(right), np.zeros((size, size)), np.zeros((size, size))
    shape = (size, size, size)
    three = [
        np.broadcast_to(c[:, None, :], shape),
        np.broadcast_to(a[:, :, None], shape),
        np.broadcast_to(b[None, :, :], shape),
    ]
    expected = numpy.zeros((size, size))

    def plain() -> None:
        expected[:] = 0
        expected[:] += left @ right

    def task_() -> None:
        c.fill(0)
        body(*three)
        legate.fence()

    def arrays() -> None:
        d.fill(0)
        d[:] += a @ b
        legate.fence()

    return Contenders(plain, task_, arrays, lambda: _same(expected, c) and _same(expected, d))


def fft(size: int) -> Contenders:
    """A batch of two-dimensional transforms, complex64."""

    @task(constraints=(align("dst", "src"), broadcast("src", (1, 2))))
    def body(dst: OutputStore, src: InputStore) -> None:
        numpy.asarray(dst)[:] = numpy.fft.fftn(numpy.asarray(src), axes=(1, 2))

    given = numpy.random.default_rng(0).random((size, 256, 256)).astype(numpy.complex64)
    out = numpy.zeros_like(given)
    src, dst, other = np.array(given), np.array(out), np.array(out)

    def plain() -> None:
        out[:] = numpy.fft.fftn(given, axes=(1, 2))

    def task_() -> None:
        body(dst, src)
        legate.fence()

    def arrays() -> None:
        other[:] = np.fft.fftn(src, axes=(1, 2))
        legate.fence()

    return Contenders(plain, task_, arrays, lambda: _close(out, dst) and _close(out, other))


#: the documents' sizes
PROGRAMS: dict[str, tuple[Callable[[int], Contenders], int]] = {
    "saxpy": (saxpy, 10_000_000),
    "histogram": (histogram, 10_000_000),
    "matmul": (matmul, 1000),
    "fft": (fft, 128),
}


def _same(expected: Any, found: Any) -> bool:
    return bool(numpy.array_equal(expected, numpy.asarray(found)))


def _close(expected: Any, found: Any) -> bool:
    return bool(numpy.allclose(expected, numpy.asarray(found), rtol=1e-4, atol=1e-2))


def empty_launch(rounds: int = 7, count: int = 2000) -> float:
    """Microseconds of launching a task of one point without arguments, its fence included."""

    @task
    def nothing() -> None:
        pass

    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            nothing()
            legate.fence()
        best = min(best, (time.perf_counter() - start) / count)
    return best * 1e6


def measured(repeat: int, shrink: int = 1) -> dict[str, Any]:
    """Milliseconds of every contender, least and median, in this process; sizes divided by `shrink`."""
    out: dict[str, Any] = {}
    for name, (make, size) in PROGRAMS.items():
        contenders = make(max(1, size // shrink))
        bodies = {k: getattr(contenders, k) for k in ("numpy", "task", "arrays")}
        samples: dict[str, list[float]] = {k: [] for k in bodies}
        for turn in range(repeat + 2):
            for k, body in bodies.items():
                start = time.perf_counter()
                body()
                if turn >= 2:  # plans and kernels are made in the first turns
                    samples[k].append((time.perf_counter() - start) * 1e3)
        if not contenders.agree():
            raise ValueError(f"{name}: the results differ")
        out[name] = {k: (min(s), statistics.median(s)) for k, s in samples.items()}
    out["empty launch"] = empty_launch()
    return out


def table(repeat: int) -> str:
    """The figures with one and with two CPUs."""
    heads = ("NumPy ms", "task ms", "arrays ms", "task/NumPy", "goal", "arrays/task")
    lines = [f"{'program':12}{'CPUs':>5}" + "".join(f"{head:>12}" for head in heads)]
    for cpus in (1, 2):
        env = os.environ | {
            "LEGATE_CONFIG": f"--cpus {cpus}",
            "OMP_NUM_THREADS": str(cpus),
            "OPENBLAS_NUM_THREADS": str(cpus),
        }
        code = f"import json; from benchmarks import tasks; print(json.dumps(tasks.measured({repeat})))"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        for name, goal in GOALS.items():
            base, task_, arrays = (found[name][k][0] for k in ("numpy", "task", "arrays"))
            figures = (base, task_, arrays, task_ / base, goal[cpus], arrays / task_)
            lines.append(f"{name:12}{cpus:5}" + "".join(f"{figure:12.2f}" for figure in figures))
        lines.append(f"empty launch with {cpus} CPU(s): {found['empty launch']:.1f} us (goal 15)")
    return "\n".join(lines)
