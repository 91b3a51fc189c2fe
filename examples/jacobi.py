"""Heat in a square plate: Jacobi sweeps over two grids until a fixed count, boundaries held at given temperatures."""

from __future__ import annotations

import cupynumeric as np
from common import arguments, close, run


def plate(n: int) -> np.ndarray:
    """A cold (n, n) plate with a hot top edge and edges that warm linearly at the sides."""
    t = np.zeros((n, n))
    t[0, :] = 100.0
    t[:, 0] = np.linspace(100.0, 0.0, n)
    t[:, -1] = np.linspace(100.0, 0.0, n)
    return t


def jacobi(n: int, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """The (n, n) temperatures after `sweeps` sweeps and the largest change of the last one (0-d)."""
    old = plate(n)
    new = old.copy()
    for _ in range(sweeps):
        new[1:-1, 1:-1] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
        old, new = new, old
    return old, np.max(np.abs(old - new))


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=2000, help="grid points along each side")
    parser.add_argument("-i", type=int, default=100, help="sweeps")
    options = parser.parse_args()

    def report(result: tuple[np.ndarray, np.ndarray]) -> str:
        t, change = result
        return f"jacobi {options.n} x {options.n}, {options.i} sweeps: mean {float(t.mean()):.6f}, change {float(change):.3e}"

    run(jacobi, (options.n, options.i), options, report, close(1e-12))


if __name__ == "__main__":
    main()
