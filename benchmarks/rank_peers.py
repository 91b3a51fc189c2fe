"""Two processes of this package beside two of Dask distributed and two of Heat, on the same kernels.

The code of a kernel is the suite's, called with the peer's own namespace; what a peer cannot run is named below the table. Arrays
lie in parts (one chunk for each process) before the clock starts. Each case is a job of its own and starts in turns; the least
time counts. `python -m benchmarks --rank-peers`, with `dask[array,distributed]` and `heat` installed for them to take part.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy

from benchmarks.ranks import launcher

#: what is compared: no kernel whose results depend on library calls only
PROGRAMS = (
    "saxpy", "sum_squares", "black_scholes", "chain20", "statistics", "softmax", "layernorm", "logreg", "kmeans", "jacobi",
    "cg", "matmul_f64",
)  # fmt: skip
OURS = "cupynumeric"
PEERS = {OURS: "numpy", "dask": "distributed", "heat": "heat"}
#: seconds after which a case is given up
PATIENCE = 60

Case = tuple[Callable[[], Any], Callable[[Any], Any], bool]


def ours(name: str, nominal: int) -> Case:
    """The kernel of this package: a call, how to look at its result, and whether this process reports."""
    import cupynumeric
    from benchmarks.ranks import program
    from legate_jit.process.world import world

    assert cupynumeric is not None
    return program(name, nominal), lambda r: r, world.rank == 0


def with_dask(name: str, nominal: int) -> Case:
    """On a cluster of two processes of one thread."""
    import dask
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    from benchmarks.kernels import SUITE
    from benchmarks.peers import converted

    client = Client(LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None))
    kernel = SUITE[name]

    def dealt(a: numpy.ndarray) -> Any:
        chunks = (max(-(-len(a) // 2), 1), *a.shape[1:])
        return da.from_array(a, chunks=chunks).persist()

    arrays = converted(kernel.setup(kernel.scaled(nominal)), dealt)
    wait(arrays)

    def call() -> Any:
        result = dask.persist(kernel.run(da, *arrays))
        wait(result)
        return result[0]

    assert client is not None
    return call, lambda r: dask.compute(r)[0], True


def with_heat(name: str, nominal: int) -> Case:
    """On two ranks of MPI, arrays split along their first axis."""
    from unittest.mock import MagicMock

    if find_spec("torchvision") is None:  # asked for by Heat's data sets only
        for module in ("torchvision", "torchvision.transforms", "torchvision.datasets"):
            sys.modules[module] = MagicMock()
    import heat as ht
    import torch

    from benchmarks.kernels import SUITE
    from benchmarks.peers import converted

    torch.set_num_threads(1)
    kernel = SUITE[name]
    arrays = converted(kernel.setup(kernel.scaled(nominal)), lambda a: ht.array(a, split=0))

    def call() -> Any:
        result = kernel.run(ht, *arrays)
        ht.communication.MPI_WORLD.handle.Barrier()
        return result

    def seen(r: Any) -> Any:
        return [x.numpy() if hasattr(x, "numpy") else x for x in (r if isinstance(r, tuple) else (r,))]

    return call, seen, ht.communication.MPI_WORLD.rank == 0


def right(name: str, nominal: int, found: Any) -> bool:
    """Whether a result is NumPy's, to the tolerance of the kernel."""
    from benchmarks.kernels import SUITE

    kernel = SUITE[name]
    want = kernel.run(numpy, *kernel.setup(kernel.scaled(nominal)))
    pairs = zip(*(x if isinstance(x, (tuple, list)) else (x,) for x in (want, found)), strict=True)
    return all(
        numpy.allclose(
            numpy.asarray(b), a, rtol=max(kernel.rtol, 1e-6), atol=1e-6 * float(numpy.abs(a).max())
        )
        for a, b in pairs
    )


def child(peer: str, name: str, nominal: int, repeat: int) -> None:
    """Measure one case in this process and write its figure as JSON."""
    call, seen, reports = {OURS: ours, "dask": with_dask, "heat": with_heat}[peer](name, nominal)
    least, result = math.inf, None
    for _ in range(repeat + 2):
        result = (
            None  # or Dask, which knows its results by what they are made of, would not compute them again
        )
        time.sleep(0.05)
        start = time.perf_counter()
        result = call()
        least = min(least, time.perf_counter() - start)
    found = seen(result)
    correct = right(name, nominal, found if peer != OURS or isinstance(found, tuple) else (found,))
    if reports:
        print("FIGURE", json.dumps([least, correct]), flush=True)


def measured(peer: str, name: str, nominal: int, repeat: int) -> tuple[float, str]:
    """Seconds of one case, or infinity and why there is none."""
    command = [sys.executable, "-m", "benchmarks.rank_peers", peer, name, str(nominal), str(repeat)]
    if peer != "dask":
        command = [launcher(), "-n", "2", *command]
    env = os.environ | {"LEGATE_CONFIG": "--cpus 1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        ended = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return math.inf, f"more than {PATIENCE} s"
    figures = [line for line in ended.stdout.splitlines() if line.startswith("FIGURE ")]
    if not figures:
        errors = [line for line in ended.stderr.splitlines() if "Error" in line and not line.startswith(" ")]
        return math.inf, (errors or ["no figure"])[-1][:150]
    seconds, correct = json.loads(figures[0][7:])
    return (seconds, "") if correct else (math.inf, "wrong result")


def lines(names: Sequence[str], nominal: int, repeat: int) -> Iterator[str]:
    """Everything measured, line by line."""
    peers = [peer for peer, module in PEERS.items() if find_spec(module) is not None]
    yield f"{'program':16}" + "".join(f"{peer + ' ms':>16}" for peer in peers) + "   times the best peer"
    notes = []
    for name in names:
        found = {}
        for peer in peers:
            found[peer], why = measured(peer, name, nominal, repeat)
            if why:
                notes.append(f"{peer} {name}: {why}")
        best = min((s for peer, s in found.items() if peer != OURS), default=math.inf)
        cells = "".join(f"{1e3 * s:16.2f}" if s < math.inf else f"{'-':>16}" for s in found.values())
        yield f"{name:16}{cells}{best / found[OURS]:22.2f}" if best < math.inf else f"{name:16}{cells}"
    yield from notes


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], int(float(sys.argv[3])), int(sys.argv[4]))
