"""Timing: first calls apart, results checked, contenders interleaved, medians and minima; peak memory in a process apart."""

from __future__ import annotations

import gc
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy

from benchmarks.peers import Call, Peer
from benchmarks.suite import Data, Kernel, Result

SAMPLE = 2e-3  # seconds that one sample should last, so that the clock's resolution does not matter


@dataclass
class Row:
    """What was measured of one kernel at one size with one peer; times in seconds, peak in bytes above the data."""

    kernel: Kernel
    size: int
    peer: str
    first: float = math.nan
    samples: list[float] = field(default_factory=list)
    peak: float = math.nan
    failure: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples) if self.samples else math.nan

    @property
    def minimum(self) -> float:
        return min(self.samples, default=math.nan)


def leaves(result: Result) -> Iterator[numpy.ndarray]:
    """The arrays and numbers of a result, as NumPy arrays."""
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from leaves(part)
    else:
        # NumPy would read the arrays of PyTorch's namespace element by element.
        tensor = getattr(result, "tensor", None)
        yield numpy.asarray(result if tensor is None else tensor.numpy())


def difference(kernel: Kernel, got: Result, expected: Result) -> str:
    """Why a result is not the expected one, or an empty string."""
    mine, numpys = list(leaves(got)), list(leaves(expected))
    if len(mine) != len(numpys):
        return f"{len(mine)} results instead of {len(numpys)}"
    for a, b in zip(mine, numpys, strict=True):
        if a.shape != b.shape:
            return f"shape {a.shape} instead of {b.shape}"
        if kernel.mismatch:
            share = float(numpy.mean(a != b))
            if share > kernel.mismatch:
                return f"{share:.2%} of the elements differ"
            continue
        scale = float(numpy.abs(b).max(initial=0))
        error = float(
            numpy.abs(numpy.subtract(a, b, dtype=numpy.result_type(a, b, numpy.float64))).max(initial=0)
        )
        if not error <= kernel.rtol * scale:
            return f"off by {error:.2g} where values reach {scale:.2g}"
    return ""


def seconds_of(call: Call, loops: int) -> float:
    """Seconds per call; the last result stays alive until the clock has stopped."""
    result = None
    start = time.perf_counter()
    for _ in range(loops):
        result = call()
    elapsed = time.perf_counter() - start
    del result
    return elapsed / loops


def start(row: Row, peer: Peer, data: Data, expected: Result) -> Call | None:
    """Prepare, run for the first time and check; None, with the reason in the row, when the peer cannot."""
    try:
        call = peer.prepare(row.kernel, data)
        if call is None:
            return None
        begin = time.perf_counter()
        result = call()
        row.first = time.perf_counter() - begin
        row.failure = "" if expected is None else difference(row.kernel, result, expected)
    except Exception as error:  # a peer that cannot run a kernel is a finding to report, whatever it raises
        row.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None if row.failure else call


def measure(kernel: Kernel, nominal: int, peers: Sequence[Peer], repeat: int) -> list[Row]:
    """Rows for one kernel at one nominal size, NumPy first (it gives the expected result)."""
    size = kernel.scaled(nominal)
    data = kernel.setup(size)
    expected = kernel.run(numpy, *data)
    rows: list[Row] = []
    calls: list[Call | None] = []
    for peer in peers:
        row = Row(kernel, size, peer.name)
        call = start(row, peer, data, expected)
        if call is not None or row.failure:
            rows.append(row)
            calls.append(call)
    del expected
    loops = [0 if call is None else max(1, math.ceil(SAMPLE / seconds_of(call, 1))) for call in calls]
    gc.collect()
    for _ in range(repeat):
        for row, call, count in zip(rows, calls, loops, strict=True):
            if call is not None:
                row.samples.append(seconds_of(call, count))
    return rows


def peak_memory(kernel: Kernel, nominal: int, peer: str) -> float:
    """Bytes of memory that one call needs above what was there before it, in a fresh process; NaN where unknown."""
    line = [sys.executable, "-m", "benchmarks.memory", kernel.name, str(nominal), peer]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else math.nan
