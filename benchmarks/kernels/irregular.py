"""Irregular access: counting, scanning, selecting, gathering, scattering, sorting, transposing."""

from __future__ import annotations

from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

BINS = 1024


def bincount(np: Any, i: Any) -> Result:
    return np.bincount(i, minlength=BINS)


def histogram(np: Any, x: Any) -> Result:
    return np.histogram(x, bins=100)


def sort(np: Any, x: Any) -> Result:
    return np.sort(x)


def cumsum(np: Any, x: Any) -> Result:
    return np.cumsum(x)


def compress(np: Any, x: Any) -> Result:
    return x[x > 0.5]


def gather(np: Any, x: Any, i: Any) -> Result:
    return x[i]


def scatter(np: Any, i: Any, v: Any) -> Result:
    y = np.zeros(v.shape)
    y[i] = v
    return y


def searchsorted(np: Any, edges: Any, x: Any) -> Result:
    return np.searchsorted(edges, x)


def unique(np: Any, i: Any) -> Result:
    return np.unique(i)


def transpose_add(np: Any, x: Any, y: Any) -> Result:
    return x + y.T


def small_integers(n: int) -> Data:
    return (numpy.random.default_rng(20).integers(0, BINS, n),)


def uniform(n: int) -> Data:
    return (numpy.random.default_rng(21).random(n),)


def positions(n: int) -> Data:
    random = numpy.random.default_rng(22)
    return random.random(n), random.integers(0, n, n)


def targets(n: int) -> Data:
    random = numpy.random.default_rng(23)
    return random.integers(0, n, n), random.random(n)


def needles(n: int) -> Data:
    random = numpy.random.default_rng(24)
    return numpy.sort(random.random(4096)), random.random(n)


def squares(n: int) -> Data:
    random = numpy.random.default_rng(25)
    side = max(2, round(n**0.5))
    return random.random((side, side)), random.random((side, side))


def irregular(name: str, run: Any, setup: Any, size: int, bytes_each: float) -> Kernel:
    return Kernel(
        name, "irregular", run, setup, size, lambda n: bytes_each * n, fused=False, pure=name != "scatter"
    )


KERNELS = [
    irregular("bincount", bincount, small_integers, 10_000_000, 8),
    irregular("histogram", histogram, uniform, 2_000_000, 8),
    irregular("sort", sort, uniform, 10_000_000, 16),
    irregular("cumsum", cumsum, uniform, 10_000_000, 16),
    irregular("compress", compress, uniform, 10_000_000, 12),
    irregular("gather", gather, positions, 10_000_000, 24),
    irregular("scatter", scatter, targets, 10_000_000, 24),
    irregular("searchsorted", searchsorted, needles, 2_000_000, 16),
    irregular("unique", unique, small_integers, 2_000_000, 8),
    irregular("transpose_add", transpose_add, squares, 10_000_000, 24),
]
