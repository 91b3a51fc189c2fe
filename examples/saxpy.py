"""SAXPY: a times x plus y on single-precision vectors, the smallest example."""

from __future__ import annotations

import numpy

import cupynumeric as np
from common import arguments, close, run


def saxpy(a: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """a * x + y for (n,) vectors of one dtype."""
    return a * np.asarray(x) + np.asarray(y)


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=10_000_000, help="elements")
    parser.add_argument("-a", type=float, default=2.0, help="the factor")
    options = parser.parse_args()
    random = numpy.random.default_rng(1)
    x, y = (random.random(options.n, dtype=numpy.float32) for _ in range(2))

    def report(z: np.ndarray) -> str:
        return f"saxpy, {options.n} elements: mean {float(z.mean()):.6f}"

    run(saxpy, (options.a, x, y), options, report, close(1e-6))


if __name__ == "__main__":
    main()
