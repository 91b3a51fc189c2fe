"""The kernels that are expressions, for numexpr: one string for each sweep."""

from __future__ import annotations

import math

import numexpr
import numpy as np

from benchmarks.kernels.elementwise import COEFFICIENTS, RATE, SLOPE, VOLATILITY
from benchmarks.kernels.stencils import HEAT_STEPS, SWEEPS

CHAIN = "(tt - y) * (tt + y) * 0.5 + x".replace(
    "tt",
    "(where(uu * y + uu < 4.0, uu * y + uu, 4.0) * 0.75)".replace(
        "uu",
        "(where(vv > 0.25, vv, 0.25) - 0.5 * x)".replace(
            "vv", "((sqrt(abs((x * 2.0 + y) * (x * 2.0 + y) - x)) + 1.0) / (y + 3.0))"
        ),
    ),
)


def saxpy(a: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return numexpr.evaluate("a * x + y", local_dict={"a": np.float32(a), "x": x, "y": y})


def black_scholes(spot: np.ndarray, strike: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c1, c2, c3, c4, c5 = COEFFICIENTS
    names = {"r": RATE, "v": VOLATILITY, "s": SLOPE, "w": 1 / math.sqrt(2 * math.pi)}
    names |= {"c1": c1, "c2": c2, "c3": c3, "c4": c4, "c5": c5}

    def evaluate(text: str, **arrays: np.ndarray) -> np.ndarray:
        return numexpr.evaluate(text, local_dict=names | arrays)

    def cdf(d: np.ndarray) -> np.ndarray:
        k = evaluate("1.0 / (1.0 + s * abs(d))", d=d)
        tail = evaluate("exp(-0.5*d*d) * w * k * (c1 + k * (c2 + k * (c3 + k * (c4 + k * c5))))", d=d, k=k)
        return evaluate("where(d > 0, 1.0 - t, t)", d=d, t=tail)

    d1 = evaluate("(log(a / b) + (r + 0.5 * v * v) * y) / (v * sqrt(y))", a=spot, b=strike, y=years)
    d2 = evaluate("d - v * sqrt(y)", d=d1, y=years)
    one, two = cdf(d1), cdf(d2)
    call = evaluate("a * p - b * exp(-r * y) * q", a=spot, b=strike, y=years, p=one, q=two)
    put = evaluate("b * exp(-r * y) * (1.0 - q) - a * (1.0 - p)", a=spot, b=strike, y=years, p=one, q=two)
    return call, put


def chain20(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return numexpr.evaluate(CHAIN)


def sum_squares(x: np.ndarray) -> np.ndarray:
    return numexpr.evaluate("sum(x * x)")


def jacobi(grid: np.ndarray) -> np.ndarray:
    old, new = grid.copy(), grid.copy()
    for _ in range(SWEEPS):
        parts = {"a": old[:-2, 1:-1], "b": old[2:, 1:-1], "c": old[1:-1, :-2], "d": old[1:-1, 2:]}
        numexpr.evaluate("0.25 * (a + b + c + d)", local_dict=parts, out=new[1:-1, 1:-1])
        old, new = new, old
    return old


def heat3d(grid: np.ndarray) -> np.ndarray:
    old, new = grid.copy(), grid.copy()
    inner = slice(1, -1)
    for _ in range(HEAT_STEPS):
        parts = {
            "m": old[inner, inner, inner],
            "a": old[2:, inner, inner],
            "b": old[:-2, inner, inner],
            "c": old[inner, 2:, inner],
            "d": old[inner, :-2, inner],
            "e": old[inner, inner, 2:],
            "f": old[inner, inner, :-2],
        }
        text = "m + 0.1 * (a + b + c + d + e + f - 6.0 * m)"
        numexpr.evaluate(text, local_dict=parts, out=new[inner, inner, inner])
        old, new = new, old
    return old
