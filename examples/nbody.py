"""Gravity among n bodies, all pairs, integrated by the leapfrog scheme."""

from __future__ import annotations

import numpy

import cupynumeric as np
from common import arguments, close, run

SOFTENING = 0.05


def acceleration(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The (n, 3) accelerations of bodies at (n, 3) positions with (n,) masses."""
    separation = position[None, :, :] - position[:, None, :]
    squared = (separation**2).sum(axis=2) + SOFTENING**2
    weight = mass[None, :] * squared**-1.5
    return (separation * weight[:, :, None]).sum(axis=1)


def energy(position: np.ndarray, velocity: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Kinetic plus potential energy, 0-d."""
    separation = position[None, :, :] - position[:, None, :]
    distance = np.sqrt((separation**2).sum(axis=2) + SOFTENING**2)
    pairs = mass[None, :] * mass[:, None] / distance
    potential = -0.5 * (pairs.sum() - (mass * mass / SOFTENING).sum())
    return 0.5 * (mass * (velocity**2).sum(axis=1)).sum() + potential


def simulate(
    position: np.ndarray, velocity: np.ndarray, mass: np.ndarray, steps: int, dt: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions and velocities (n, 3) after `steps` steps, and the relative change of the energy (0-d)."""
    position, velocity, mass = np.array(position), np.array(velocity), np.array(mass)
    before = energy(position, velocity, mass)
    a = acceleration(position, mass)
    for _ in range(steps):
        velocity += 0.5 * dt * a
        position += dt * velocity
        a = acceleration(position, mass)
        velocity += 0.5 * dt * a
    return position, velocity, (energy(position, velocity, mass) - before) / abs(before)


def cluster(n: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """A deterministic random cluster: positions, velocities, masses (they sum to 1)."""
    random = numpy.random.default_rng(17)
    return random.normal(size=(n, 3)), random.normal(size=(n, 3)) * 0.3, numpy.full(n, 1.0 / n)


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=1000, help="bodies")
    parser.add_argument("-i", type=int, default=10, help="time steps")
    parser.add_argument("--dt", type=float, default=0.01, help="length of a time step")
    options = parser.parse_args()

    def report(result: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
        position, _, drift = result
        radius = float(np.sqrt((position**2).sum(axis=1)).mean())
        return f"nbody, {options.n} bodies, {options.i} steps: mean radius {radius:.6f}, energy drift {float(drift):.2e}"

    # The drift is a difference of nearly equal numbers: an absolute bound is the meaningful one.
    run(simulate, (*cluster(options.n), options.i, options.dt), options, report, close(1e-9, 1e-11))


if __name__ == "__main__":
    main()
