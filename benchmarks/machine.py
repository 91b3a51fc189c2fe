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
    """Bytes per second of a stream triad on all threads, and flops per second of matrix products by item size."""

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


def triad_bandwidth(megabytes: int = 64) -> float:
    """Bytes per second of a[i] = b[i] + s * c[i] into warm memory, three arrays of `megabytes` each, all threads."""
    from numba import njit, prange

    @njit(parallel=True, fastmath=True)
    def triad(a: numpy.ndarray, b: numpy.ndarray, c: numpy.ndarray) -> None:
        for i in prange(a.size):
            a[i] = b[i] + 3.0 * c[i]

    a, b, c = (numpy.ones(megabytes << 17) for _ in range(3))
    triad(a, b, c)
    return 3 * a.nbytes / best(lambda: triad(a, b, c))


def gemm_speed(dtype: str, side: int = 1000) -> float:
    """Flops per second of NumPy's matrix product."""
    a = numpy.random.default_rng(0).random((side, side)).astype(dtype)
    return 2 * side**3 / best(lambda: a @ a)


def limits() -> Limits:
    """Measure both; takes about two seconds, most of it compiling."""
    return Limits(triad_bandwidth(), {4: gemm_speed("f4"), 8: gemm_speed("f8")})


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
