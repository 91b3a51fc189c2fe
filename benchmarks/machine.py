"""What the machine can do: memory bandwidth and floating-point speed, measured in this process."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy


@dataclass(frozen=True)
class Limits:
    """Bytes per second between memory and all threads, and flops per second of matrix products by item size."""

    bandwidth: float
    gemm: dict[int, float]


def best(call: Callable[[], object], repeat: int = 5) -> float:
    """Seconds of the quickest of a few calls."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def bandwidth(megabytes: int = 64) -> float:
    """Bytes per second, all threads, arrays of `megabytes` each in warm memory: the better of a triad and a sum.

    A triad's stores make most machines read the target first, traffic that streaming stores avoid: the sum of an array,
    which only reads, is then nearer to what the memory can do.
    """
    from numba import njit, prange

    @njit(parallel=True, fastmath=True)
    def triad(a: numpy.ndarray, b: numpy.ndarray, c: numpy.ndarray) -> None:
        for i in prange(a.size):
            a[i] = b[i] + 3.0 * c[i]

    @njit(parallel=True, fastmath=True)
    def total(a: numpy.ndarray) -> float:
        result = 0.0
        for i in prange(a.size):
            result += a[i]
        return result

    a, b, c = (numpy.ones(megabytes << 17) for _ in range(3))
    triad(a, b, c)
    total(a)
    sweeps = best(lambda: triad(a, b, c), 10), best(lambda: (total(a), total(b), total(c)), 10)
    return float(3 * a.nbytes / min(sweeps))


def gemm_speed(dtype: str, side: int = 1000) -> float:
    """Flops per second of NumPy's matrix product."""
    a = numpy.random.default_rng(0).random((side, side)).astype(dtype)
    return 2 * side**3 / best(lambda: a @ a)


def limits() -> Limits:
    """Measure both; takes about two seconds, most of it compiling."""
    return Limits(bandwidth(), {4: gemm_speed("f4"), 8: gemm_speed("f8")})


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
