"""Black-Scholes: prices of European call and put options from random market data."""

from __future__ import annotations

import math

import numpy

import cupynumeric as np
from common import arguments, close, run

# Abramowitz and Stegun 26.2.17: the normal distribution function to 7.5e-8.
SLOPE = 0.2316419
COEFFICIENTS = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)


def normal_cdf(d: np.ndarray) -> np.ndarray:
    """The cumulative standard normal distribution, elementwise."""
    k = 1.0 / (1.0 + SLOPE * np.absolute(d))
    poly = np.zeros_like(d)
    for coefficient in reversed(COEFFICIENTS):
        poly = k * (coefficient + poly)
    tail = np.exp(-0.5 * d * d) / math.sqrt(2 * math.pi) * poly
    return np.where(d > 0, 1.0 - tail, tail)


def black_scholes(
    spot: np.ndarray, strike: np.ndarray, years: np.ndarray, rate: float, volatility: float
) -> tuple[np.ndarray, np.ndarray]:
    """Call and put prices for prices today, strike prices and years to expiry, all (n,) of one float dtype."""
    spot, strike, years = np.asarray(spot), np.asarray(strike), np.asarray(years)
    spread = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / spread
    d2 = d1 - spread
    cdf1, cdf2 = normal_cdf(d1), normal_cdf(d2)
    discounted = strike * np.exp(-rate * years)
    call = spot * cdf1 - discounted * cdf2
    put = discounted * (1.0 - cdf2) - spot * (1.0 - cdf1)
    return call, put


def market(n: int, dtype: str) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Deterministic random market data: prices today, strike prices, years to expiry."""
    random = numpy.random.default_rng(7)
    columns = random.uniform(5, 30, n), random.uniform(1, 100, n), random.uniform(0.25, 10, n)
    spot, strike, years = (column.astype(dtype) for column in columns)
    return spot, strike, years


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=4_000_000, help="options to price")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    options = parser.parse_args()

    def report(result: tuple[np.ndarray, np.ndarray]) -> str:
        call, put = result
        return f"black_scholes, {options.n} options: mean call {float(call.mean()):.6f}, mean put {float(put.mean()):.6f}"

    tolerance = 1e-12 if options.dtype == "float64" else 1e-5
    run(black_scholes, (*market(options.n, options.dtype), 0.02, 0.3), options, report, close(tolerance))


if __name__ == "__main__":
    main()
