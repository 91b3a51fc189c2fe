"""Elementwise kernels and whole reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

# Abramowitz and Stegun 26.2.17
SLOPE = 0.2316419
COEFFICIENTS = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
RATE = 0.02
VOLATILITY = 0.3


def saxpy(np: Any, a: Any, x: Any, y: Any) -> Result:
    return a * x + y


def normal_cdf(np: Any, d: Any) -> Any:
    k = 1.0 / (1.0 + SLOPE * np.abs(d))
    c1, c2, c3, c4, c5 = COEFFICIENTS
    poly = k * (c1 + k * (c2 + k * (c3 + k * (c4 + k * c5))))
    tail = np.exp(-0.5 * d * d) * (1 / math.sqrt(2 * math.pi)) * poly
    return np.where(d > 0, 1.0 - tail, tail)


def black_scholes(np: Any, spot: Any, strike: Any, years: Any) -> Result:
    spread = VOLATILITY * np.sqrt(years)
    d1 = (np.log(spot / strike) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years) / spread
    d2 = d1 - spread
    cdf1 = normal_cdf(np, d1)
    cdf2 = normal_cdf(np, d2)
    discounted = strike * np.exp(-RATE * years)
    return spot * cdf1 - discounted * cdf2, discounted * (1.0 - cdf2) - spot * (1.0 - cdf1)


def chain20(np: Any, x: Any, y: Any) -> Result:
    t = x * 2.0 + y
    t = t * t - x
    t = np.sqrt(np.abs(t)) + 1.0
    t = t / (y + 3.0)
    t = np.maximum(t, 0.25) - 0.5 * x
    t = t * y + t
    t = np.minimum(t, 4.0) * 0.75
    t = (t - y) * (t + y)
    return t * 0.5 + x


def sum_squares(np: Any, x: Any) -> Result:
    return (x * x).sum()


def saxpy_data(n: int) -> Data:
    random = numpy.random.default_rng(1)
    x, y = (random.random(n, dtype=numpy.float32) for _ in range(2))
    return 2.0, x, y


def market(n: int) -> Data:
    random = numpy.random.default_rng(2)
    return random.uniform(5, 30, n), random.uniform(1, 100, n), random.uniform(0.25, 10, n)


def two(n: int) -> Data:
    random = numpy.random.default_rng(3)
    return random.random(n), random.random(n)


def one(n: int) -> Data:
    return (numpy.random.default_rng(4).random(n),)


KERNELS = [
    Kernel("saxpy", "elementwise", saxpy, saxpy_data, traffic=lambda n: 12.0 * n, rtol=1e-6),
    Kernel("black_scholes", "elementwise", black_scholes, market, traffic=lambda n: 40.0 * n),
    Kernel("chain20", "elementwise", chain20, two, traffic=lambda n: 24.0 * n),
    Kernel("sum_squares", "elementwise", sum_squares, one, traffic=lambda n: 8.0 * n),
]
