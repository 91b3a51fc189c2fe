"""Conjugate gradient for Poisson's equation on a square: the matrix is never built, its product is a sum of slices."""

from __future__ import annotations

import cupynumeric as np
from common import arguments, close, run


def laplacian(x: np.ndarray) -> np.ndarray:
    """The five-point Laplacian (positive definite, zero outside) of an (n, n) grid."""
    y = 4.0 * x
    y[1:, :] -= x[:-1, :]
    y[:-1, :] -= x[1:, :]
    y[:, 1:] -= x[:, :-1]
    y[:, :-1] -= x[:, 1:]
    return y


def conjugate_gradient(b: np.ndarray, iterations: int, tolerance: float) -> tuple[np.ndarray, int]:
    """Solve laplacian(x) = b by at most `iterations` steps; also the number taken.

    Stops early when the residual's norm has fallen to `tolerance` times that of b; with a tolerance of 0 nothing is
    ever read back and all steps can run as one program.
    """
    x = np.zeros_like(b)
    r = b - laplacian(x)
    p = r.copy()
    rs = (r * r).sum()
    limit = tolerance * tolerance * rs
    for step in range(1, iterations + 1):
        ap = laplacian(p)
        alpha = rs / (p * ap).sum()
        x += alpha * p
        r -= alpha * ap
        rs_new = (r * r).sum()
        if tolerance and rs_new <= limit:
            return x, step
        p = r + (rs_new / rs) * p
        rs = rs_new
    return x, iterations


def poisson(n: int, iterations: int, tolerance: float) -> tuple[np.ndarray, int]:
    """The potential of two opposite charges on an (n, n) grid, and the iterations taken."""
    b = np.zeros((n, n))
    b[n // 4, n // 4] = 1.0
    b[-n // 4, -n // 4] = -1.0
    return conjugate_gradient(b, iterations, tolerance)


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=1000, help="grid points along each side")
    parser.add_argument("-i", type=int, default=50, help="iterations at most")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="relative residual to stop at (0: never)"
    )
    options = parser.parse_args()

    def report(result: tuple[np.ndarray, int]) -> str:
        x, steps = result
        return f"cg {options.n} x {options.n}: potential up to {float(x.max()):.6f} after {steps} iterations"

    run(poisson, (options.n, options.i, options.tolerance), options, report, close(1e-8))


if __name__ == "__main__":
    main()
