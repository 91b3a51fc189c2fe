"""Channel flow: incompressible Navier-Stokes driven by a constant force, periodic along the channel.

The final step of the well-known twelve-step CFD course: explicit finite differences on a collocated grid, a Poisson
equation for the pressure relaxed by a fixed number of sweeps each time step, periodic boundaries in x, walls in y.
By default a fixed number of time steps is taken; `--converge 0.001` stops, as the course does, when the flow settles.
"""

from __future__ import annotations

import cupynumeric as np
from common import arguments, close, run

LENGTH = 2.0  # of both sides of the channel
DENSITY = 1.0
VISCOSITY = 0.1
FORCE = 1.0


def build_up_b(u: np.ndarray, v: np.ndarray, dt: float, dx: float, dy: float) -> np.ndarray:
    """The right-hand side of the pressure equation, (ny, nx)."""
    b = np.zeros_like(u)
    b[1:-1, 1:-1] = DENSITY * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx) + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[0:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, 0:-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )
    # The last column has the first as its right neighbor.
    b[1:-1, -1] = DENSITY * (
        1 / dt * ((u[1:-1, 0] - u[1:-1, -2]) / (2 * dx) + (v[2:, -1] - v[0:-2, -1]) / (2 * dy))
        - ((u[1:-1, 0] - u[1:-1, -2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, -1] - u[0:-2, -1]) / (2 * dy) * (v[1:-1, 0] - v[1:-1, -2]) / (2 * dx))
        - ((v[2:, -1] - v[0:-2, -1]) / (2 * dy)) ** 2
    )
    # The first column has the last as its left neighbor.
    b[1:-1, 0] = DENSITY * (
        1 / dt * ((u[1:-1, 1] - u[1:-1, -1]) / (2 * dx) + (v[2:, 0] - v[0:-2, 0]) / (2 * dy))
        - ((u[1:-1, 1] - u[1:-1, -1]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 0] - u[0:-2, 0]) / (2 * dy) * (v[1:-1, 1] - v[1:-1, -1]) / (2 * dx))
        - ((v[2:, 0] - v[0:-2, 0]) / (2 * dy)) ** 2
    )
    return b


def pressure_poisson_periodic(p: np.ndarray, b: np.ndarray, dx: float, dy: float, sweeps: int) -> np.ndarray:
    """Relax the pressure `p` in place by `sweeps` Jacobi sweeps and return it."""
    for _ in range(sweeps):
        pn = p.copy()
        p[1:-1, 1:-1] = (
            (pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2 + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2
        ) / (2 * (dx**2 + dy**2)) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[1:-1, -1] = ((pn[1:-1, 0] + pn[1:-1, -2]) * dy**2 + (pn[2:, -1] + pn[0:-2, -1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, -1]
        p[1:-1, 0] = ((pn[1:-1, 1] + pn[1:-1, -1]) * dy**2 + (pn[2:, 0] + pn[0:-2, 0]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 0]
        # No pressure gradient through the walls.
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]
    return p


def update_velocity(
    u: np.ndarray, v: np.ndarray, p: np.ndarray, dt: float, dx: float, dy: float
) -> tuple[np.ndarray, np.ndarray]:
    """One explicit time step of both components, in place; returns copies of the old ones."""
    un = u.copy()
    vn = v.copy()
    u[1:-1, 1:-1] = (
        un[1:-1, 1:-1]
        - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, 0:-2])
        - vn[1:-1, 1:-1] * dt / dy * (un[1:-1, 1:-1] - un[0:-2, 1:-1])
        - dt / (2 * DENSITY * dx) * (p[1:-1, 2:] - p[1:-1, 0:-2])
        + VISCOSITY * dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2])
        + VISCOSITY * dt / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[0:-2, 1:-1])
        + FORCE * dt
    )
    v[1:-1, 1:-1] = (
        vn[1:-1, 1:-1]
        - un[1:-1, 1:-1] * dt / dx * (vn[1:-1, 1:-1] - vn[1:-1, 0:-2])
        - vn[1:-1, 1:-1] * dt / dy * (vn[1:-1, 1:-1] - vn[0:-2, 1:-1])
        - dt / (2 * DENSITY * dy) * (p[2:, 1:-1] - p[0:-2, 1:-1])
        + VISCOSITY * dt / dx**2 * (vn[1:-1, 2:] - 2 * vn[1:-1, 1:-1] + vn[1:-1, 0:-2])
        + VISCOSITY * dt / dy**2 * (vn[2:, 1:-1] - 2 * vn[1:-1, 1:-1] + vn[0:-2, 1:-1])
    )
    # Last column: its right neighbor is the first one.
    u[1:-1, -1] = (
        un[1:-1, -1]
        - un[1:-1, -1] * dt / dx * (un[1:-1, -1] - un[1:-1, -2])
        - vn[1:-1, -1] * dt / dy * (un[1:-1, -1] - un[0:-2, -1])
        - dt / (2 * DENSITY * dx) * (p[1:-1, 0] - p[1:-1, -2])
        + VISCOSITY * dt / dx**2 * (un[1:-1, 0] - 2 * un[1:-1, -1] + un[1:-1, -2])
        + VISCOSITY * dt / dy**2 * (un[2:, -1] - 2 * un[1:-1, -1] + un[0:-2, -1])
        + FORCE * dt
    )
    v[1:-1, -1] = (
        vn[1:-1, -1]
        - un[1:-1, -1] * dt / dx * (vn[1:-1, -1] - vn[1:-1, -2])
        - vn[1:-1, -1] * dt / dy * (vn[1:-1, -1] - vn[0:-2, -1])
        - dt / (2 * DENSITY * dy) * (p[2:, -1] - p[0:-2, -1])
        + VISCOSITY * dt / dx**2 * (vn[1:-1, 0] - 2 * vn[1:-1, -1] + vn[1:-1, -2])
        + VISCOSITY * dt / dy**2 * (vn[2:, -1] - 2 * vn[1:-1, -1] + vn[0:-2, -1])
    )
    # First column: its left neighbor is the last one.
    u[1:-1, 0] = (
        un[1:-1, 0]
        - un[1:-1, 0] * dt / dx * (un[1:-1, 0] - un[1:-1, -1])
        - vn[1:-1, 0] * dt / dy * (un[1:-1, 0] - un[0:-2, 0])
        - dt / (2 * DENSITY * dx) * (p[1:-1, 1] - p[1:-1, -1])
        + VISCOSITY * dt / dx**2 * (un[1:-1, 1] - 2 * un[1:-1, 0] + un[1:-1, -1])
        + VISCOSITY * dt / dy**2 * (un[2:, 0] - 2 * un[1:-1, 0] + un[0:-2, 0])
        + FORCE * dt
    )
    v[1:-1, 0] = (
        vn[1:-1, 0]
        - un[1:-1, 0] * dt / dx * (vn[1:-1, 0] - vn[1:-1, -1])
        - vn[1:-1, 0] * dt / dy * (vn[1:-1, 0] - vn[0:-2, 0])
        - dt / (2 * DENSITY * dy) * (p[2:, 0] - p[0:-2, 0])
        + VISCOSITY * dt / dx**2 * (vn[1:-1, 1] - 2 * vn[1:-1, 0] + vn[1:-1, -1])
        + VISCOSITY * dt / dy**2 * (vn[2:, 0] - 2 * vn[1:-1, 0] + vn[0:-2, 0])
    )
    # Walls: no slip.
    u[0, :] = 0
    u[-1, :] = 0
    v[0, :] = 0
    v[-1, :] = 0
    return un, vn


def channel_flow(
    nx: int, ny: int, steps: int, sweeps: int, tolerance: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Velocity components and pressure, each (ny, nx) float64, and the number of time steps taken.

    Takes `steps` steps, or with a `tolerance` as many as it takes (`steps` at most) until the relative change of the
    summed velocity falls below it, which reads one number from the arrays at every step.
    """
    dx = LENGTH / (nx - 1)
    dy = LENGTH / (ny - 1)
    dt = min(0.01, 0.2 * min(dx, dy) ** 2 / VISCOSITY)  # the course's step where diffusion allows it
    u = np.zeros((ny, nx))
    v = np.zeros((ny, nx))
    p = np.ones((ny, nx))
    for step in range(1, steps + 1):
        b = build_up_b(u, v, dt, dx, dy)
        p = pressure_poisson_periodic(p, b, dx, dy, sweeps)
        un, _ = update_velocity(u, v, p, dt, dx, dy)
        if tolerance is not None and (np.sum(u) - np.sum(un)) / np.sum(u) < tolerance:
            return u, v, p, step
    return u, v, p, steps


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-x", type=int, default=401, help="grid points along the channel")
    parser.add_argument("-y", type=int, default=401, help="grid points across")
    parser.add_argument("-i", type=int, default=20, help="time steps (at most, with --converge)")
    parser.add_argument("-n", type=int, default=50, help="pressure sweeps in each time step")
    parser.add_argument(
        "--converge", type=float, metavar="TOL", help="stop when the flow changes by less than TOL"
    )
    options = parser.parse_args()

    def report(result: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> str:
        u, _, _, steps = result
        rate = float(u[:, options.x // 2].mean()) * LENGTH
        return f"channel flow {options.x} x {options.y}: flow rate {rate:.6e} after {steps} steps of {options.n} sweeps"

    run(
        channel_flow,
        (options.x, options.y, options.i, options.n, options.converge),
        options,
        report,
        close(1e-9),
    )


if __name__ == "__main__":
    main()
