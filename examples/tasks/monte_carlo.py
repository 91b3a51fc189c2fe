"""Price of an Asian call option by Monte Carlo: one task walks the paths, three reductions gather what they pay.

Every path is a row of normal numbers; the payoff depends on the average of the price along the path. Sum, sum of squares and
largest payoff are reduced over all points, so the result is the same however the paths are cut, up to rounding of the sums.
"""

import argparse
import math

import numpy

import cupynumeric
from legate.core import align, broadcast, get_legate_runtime
from legate.core.task import ADD, MAX, InputStore, OutputStore, ReductionStore, task
from legate.timing import time


def walk(normals: numpy.ndarray, spot: float, strike: float, rate: float, sigma: float) -> numpy.ndarray:
    """Discounted payoffs of paths: `normals` is (paths, steps) over one year."""
    dt = 1.0 / normals.shape[1]
    steps = (rate - sigma * sigma / 2) * dt + sigma * math.sqrt(dt) * normals
    prices = spot * numpy.exp(numpy.cumsum(steps, axis=1))
    return math.exp(-rate) * numpy.maximum(prices.mean(axis=1) - strike, 0.0)


@task(
    constraints=(
        align("payoffs", "paths"),
        broadcast("normals", (1,)),
        broadcast("sums"),
        broadcast("largest"),
    )
)
def simulate(
    normals: InputStore,
    paths: InputStore,
    payoffs: OutputStore,
    sums: ReductionStore[ADD],
    largest: ReductionStore[MAX],
    spot: float,
    strike: float,
    rate: float,
    sigma: float,
) -> None:
    """Walk the local paths and reduce what they pay."""
    paid = walk(numpy.asarray(normals), spot, strike, rate, sigma)
    numpy.asarray(payoffs)[:] = paid
    total = numpy.asarray(sums)
    total[0] += paid.sum()
    total[1] += (paid * paid).sum()
    numpy.asarray(largest)[0] = paid.max(initial=0.0)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paths", type=int, default=100_000, help="paths to walk")
    parser.add_argument("--steps", type=int, default=50, help="steps of a path")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()
    market = (100.0, 102.0, 0.03, 0.25)  # spot, strike, rate, volatility

    normals = cupynumeric.random.default_rng(args.seed).standard_normal((args.paths, args.steps))
    payoffs = cupynumeric.zeros(args.paths)
    sums, largest = cupynumeric.zeros(2), cupynumeric.zeros(1)

    get_legate_runtime().issue_execution_fence()
    start = time()
    simulate(normals, normals[:, 0], payoffs, sums, largest, *market)
    end = time()
    price = sums[0] / args.paths
    error = cupynumeric.sqrt((sums[1] / args.paths - price**2) / args.paths)
    print(f"price {float(price):.4f} +- {float(error):.4f}, largest payoff {float(largest[0]):.2f}")
    print(f"\nTime elapsed for monte carlo: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        expected = walk(numpy.asarray(normals), *market)
        numpy.testing.assert_array_equal(payoffs, expected)
        numpy.testing.assert_allclose(float(price), expected.mean(), rtol=1e-12)
        assert float(largest[0]) == expected.max()
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
