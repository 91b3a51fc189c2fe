"""A five-point stencil assigned into its own grid: the right side is read before any of it is overwritten."""

from __future__ import annotations

import cupynumeric as np
from common import arguments, close, run


def smooth(n: int, iterations: int) -> np.ndarray:
    """An (n + 2, n + 2) grid with fixed borders after `iterations` averages over the five-point neighborhood."""
    grid = np.zeros((n + 2, n + 2))
    grid[:, 0] = -273.15
    grid[:, -1] = -273.15
    grid[-1, :] = -273.15
    grid[0, :] = 40.0
    for _ in range(iterations):
        grid[1:-1, 1:-1] = 0.2 * (
            grid[1:-1, 1:-1] + grid[:-2, 1:-1] + grid[2:, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:]
        )
    return grid


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=2000, help="inner grid points along each side")
    parser.add_argument("-i", type=int, default=50, help="iterations")
    options = parser.parse_args()

    def report(grid: np.ndarray) -> str:
        return f"stencil {options.n} x {options.n}, {options.i} iterations: mean {float(grid.mean()):.6f}"

    run(smooth, (options.n, options.i), options, report, close(1e-12))


if __name__ == "__main__":
    main()
