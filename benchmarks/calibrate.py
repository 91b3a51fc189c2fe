"""The constants of this machine for simulations of many ranks (`legate_jit.simulation.machine`), measured by ranks of it.

Several ranks share the processors evenly and all measure the same at the same time, as in a job: what the slowest one gets
counts.
`python -m benchmarks --machine FILE`.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

#: sweeps of a window, elements of small arrays and of those larger than every cache
SWEEPS, SMALL, LARGE = 64, 50_000, 8_000_000
#: operations of the polynomial, per element
DEGREE = 100


def measured(ranks: int = 2) -> dict[str, float]:
    """The constants, by name, of each of so many ranks (at least 2). RuntimeError when the job cannot run."""
    threads = max(len(os.sched_getaffinity(0)) // ranks, 1)
    environment = os.environ | {
        "LEGATE_DISABLE_MPI": "1",  # every process is a program of its own
        "LEGATE_JIT_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    beside = Path(sysconfig.get_path("scripts")) / "mpiexec"
    launcher = str(beside) if beside.exists() else "mpiexec"
    done = subprocess.run(
        [launcher, "-n", str(ranks), sys.executable, "-m", "benchmarks.calibrate"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{launcher} -n {ranks}: {done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def least(call: Callable[[], float], repeat: int = 7) -> float:
    """The least of the seconds that calls return; the first ones, which compile, do not count."""
    for _ in range(4):
        call()
    return min(call() for _ in range(repeat))


def clock() -> float:
    """Seconds that this process has used of each of its processors: other programs do not count."""
    return time.process_time() / int(os.environ.get("LEGATE_JIT_THREADS", "1"))


def fenced(record: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of recording something (on one processor) and of running it (on all)."""
    import legate

    start = time.thread_time()
    kept = record()
    recorded, between = time.thread_time() - start, clock()
    legate.fence()
    end = clock()
    del kept
    return recorded, end - between


def product(dtype: str, side: int = 1000) -> float:
    """Operations per second of NumPy's matrix product."""
    a = numpy.random.default_rng(0).random((side, side)).astype(dtype)

    def call() -> float:
        start = clock()
        a @ a
        return clock() - start

    return 2 * side**3 / least(call)


def sweeps(rows: int, columns: int, count: int) -> Callable[[], Any]:
    """A stencil over two grids, so many times."""
    import cupynumeric as np
    import legate

    fields = [np.zeros((rows, columns)) + 1.0 for _ in range(2)]
    legate.fence()

    def record() -> Any:
        old, new = fields
        for _ in range(count):
            new[1:-1, :] = 0.5 * (old[:-2, :] + old[2:, :])
            old, new = new, old
        return old

    return record


def of_kernels() -> dict[str, float]:
    """What kernels and recording take."""
    import cupynumeric as np
    import legate

    small, large, other = np.ones(SMALL) * 1.5, np.ones(LARGE) + 1.0, np.ones(LARGE) + 2.0
    tiny = np.ones(64) * 2.0
    legate.fence()

    def triad() -> float:
        return fenced(lambda: 2.0 * large + other)[1]

    def polynomial() -> float:
        def record() -> Any:
            y = small
            for _ in range(DEGREE // 2):
                y = y * small + 0.5
            return y

        return fenced(record)[1]

    def recording() -> float:
        def record() -> Any:
            y = tiny
            for _ in range(200):
                y = y + 1.0
            return y

        return fenced(record)[0] / 200

    few, many, work = (sweeps(4, 64, 8), sweeps(4, 64, 64), sweeps(100, SMALL // 100, SWEEPS))
    launch = max(least(lambda: fenced(many)[1]) - least(lambda: fenced(few)[1]), 0.0) / 56
    flush = max(least(lambda: fenced(few)[1]) - 8 * launch, 0.0)
    swept = least(lambda: fenced(work)[1]) - flush - SWEEPS * launch

    def sorts() -> float:
        return fenced(lambda: [np.sort(tiny * k) for k in range(1, 21)])[1] / 20

    grid = np.ones((1024, 1024), np.complex128) * 1.5
    legate.fence()
    transform = least(lambda: fenced(lambda: np.fft.fft2(grid))[1])

    return {
        "bandwidth": 3 * 8 * LARGE / least(triad),
        "cache": float(cache()),
        "cache_bandwidth": SWEEPS * 2 * 8 * SMALL / max(swept, 1e-9),
        "operations": DEGREE * SMALL / least(polynomial),
        "gemm4": product("f4"),
        "gemm8": product("f8"),
        "library": 5 * grid.size * math.log2(grid.size) / transform,
        "record": least(recording),
        "flush": flush,
        "launch": launch,
        "call": least(sorts),
    }


def cache() -> int:
    """Bytes of the second-level caches of the threads of a rank; 1 MiB each where the system does not tell."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text(encoding="ascii").strip()
        each = int(text.rstrip("KM")) << (10 if text.endswith("K") else 20)
    except (OSError, ValueError):
        each = 1 << 20
    return each * int(os.environ.get("LEGATE_JIT_THREADS", "1"))


def of_messages(comm: Any) -> dict[str, float]:
    """What messages between the first two ranks, and exchanges with neighbors, take."""
    from legate_jit.comm.exchange import Listed

    peer = comm.rank ^ 1

    def swapping(nbytes: int) -> Callable[[], float]:
        mine, theirs = numpy.zeros(nbytes, numpy.uint8), numpy.zeros(nbytes, numpy.uint8)

        def swap() -> float:
            start = time.perf_counter()
            if peer < comm.size:
                arriving = comm.start_receive(theirs, peer, 9)
                comm.start_send(mine, peer, 9).Wait()
                arriving.Wait()
            return time.perf_counter() - start

        return swap

    latency = least(swapping(8), 500)
    n = 1 << 24
    network = n / max(least(swapping(n), 20) - latency, 1e-9)
    boxes = [((k * 8, k * 8 + 8),) for k in range(comm.size)]
    wanted = [((max(k * 8 - 1, 0), min(k * 8 + 9, comm.size * 8)),) for k in range(comm.size)]
    exchange = comm.exchange(numpy.dtype("f8"), Listed.of(boxes, wanted))
    part = numpy.zeros(8)

    def halo() -> float:
        start = time.perf_counter()
        exchange.run(part)
        return time.perf_counter() - start

    return {"latency": latency, "network": network, "exchange": max(least(halo, 500) - latency, 0.0)}


def child() -> None:
    """Measure in this rank; the first one writes what the slowest got as JSON."""
    from legate_jit.comm.mpi import MpiComm

    comm = MpiComm()
    comm.barrier()
    found = of_kernels()
    comm.barrier()
    found |= of_messages(comm)
    every = comm.allgather_object(found)
    rates = ("bandwidth", "cache_bandwidth", "operations", "gemm4", "gemm8", "library", "network", "cache")
    worst = {name: (min if name in rates else max)(each[name] for each in every) for name in found}
    if comm.rank == 0:
        print(
            json.dumps({name: float(f"{value:.3g}") for name, value in worst.items() if math.isfinite(value)})
        )


if __name__ == "__main__":
    child()
