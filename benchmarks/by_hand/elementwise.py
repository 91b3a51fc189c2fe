"""Elementwise kernels and whole reductions as Numba loops."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from benchmarks.kernels.elementwise import COEFFICIENTS, RATE, SLOPE, VOLATILITY

C1, C2, C3, C4, C5 = COEFFICIENTS
HALF_WIDTH = 1 / math.sqrt(2 * math.pi)


@njit(parallel=True, fastmath=True)
def saxpy(a: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    factor = np.float32(a)
    for i in prange(x.size):
        out[i] = factor * x[i] + y[i]
    return out


@njit(fastmath=True, inline="always")
def normal_cdf(d: float) -> float:
    k = 1.0 / (1.0 + SLOPE * abs(d))
    poly = k * (C1 + k * (C2 + k * (C3 + k * (C4 + k * C5))))
    tail = math.exp(-0.5 * d * d) * HALF_WIDTH * poly
    return 1.0 - tail if d > 0 else tail


@njit(parallel=True, fastmath=True)
def black_scholes(spot: np.ndarray, strike: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    call = np.empty_like(spot)
    put = np.empty_like(spot)
    for i in prange(spot.size):
        spread = VOLATILITY * math.sqrt(years[i])
        d1 = (math.log(spot[i] / strike[i]) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years[i]) / spread
        cdf1 = normal_cdf(d1)
        cdf2 = normal_cdf(d1 - spread)
        discounted = strike[i] * math.exp(-RATE * years[i])
        call[i] = spot[i] * cdf1 - discounted * cdf2
        put[i] = discounted * (1.0 - cdf2) - spot[i] * (1.0 - cdf1)
    return call, put


@njit(parallel=True, fastmath=True)
def chain20(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for i in prange(x.size):
        t = x[i] * 2.0 + y[i]
        t = t * t - x[i]
        t = math.sqrt(abs(t)) + 1.0
        t = t / (y[i] + 3.0)
        t = max(t, 0.25) - 0.5 * x[i]
        t = t * y[i] + t
        t = min(t, 4.0) * 0.75
        t = (t - y[i]) * (t + y[i])
        out[i] = t * 0.5 + x[i]
    return out


@njit(parallel=True, fastmath=True)
def sum_squares(x: np.ndarray) -> float:
    total = 0.0
    for i in prange(x.size):
        total += x[i] * x[i]
    return total
