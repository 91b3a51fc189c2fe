"""Row-wise and column-wise kernels: reductions along an axis with elementwise work around them."""

from __future__ import annotations

from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result


def statistics(np: Any, x: Any) -> Result:
    return x.mean(axis=0), x.var(axis=0), x.std(axis=0), x.mean(axis=1), x.var(axis=1), x.std(axis=1)


def softmax(np: Any, x: Any) -> Result:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def layernorm(np: Any, x: Any, gain: Any, bias: Any) -> Result:
    mean = x.mean(axis=1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * gain + bias


def square(n: int) -> Data:
    side = max(2, round(n**0.5))
    return (numpy.random.default_rng(5).random((side, side)),)


def rows_of(n: int) -> tuple[int, int]:
    """A shape of about n elements with rows of up to 1000."""
    width = min(1000, max(8, round(n**0.5)))
    return max(2, n // width), width


def scores(n: int) -> Data:
    return (numpy.random.default_rng(6).normal(size=rows_of(n)).astype(numpy.float32),)


def features(n: int) -> Data:
    random = numpy.random.default_rng(7)
    shape = rows_of(n)
    x = random.normal(size=shape).astype(numpy.float32)
    gain, bias = (random.random(shape[1], dtype=numpy.float32) for _ in range(2))
    return x, gain, bias


KERNELS = [
    Kernel("statistics", "rows", statistics, square, traffic=lambda n: 8.0 * n),
    Kernel("softmax", "rows", softmax, scores, traffic=lambda n: 8.0 * n, rtol=1e-5),
    Kernel("layernorm", "rows", layernorm, features, traffic=lambda n: 8.0 * n, rtol=1e-5),
]
