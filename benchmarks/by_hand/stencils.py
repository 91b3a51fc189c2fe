"""Stencil kernels as Numba loops."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from benchmarks.kernels.stencils import FLOW_STEPS, FLOW_SWEEPS, GENERATIONS, HEAT_STEPS, SWEEPS

LENGTH = 2.0
VISCOSITY = 0.1


@njit(parallel=True, fastmath=True)
def jacobi(grid: np.ndarray) -> np.ndarray:
    old = grid.copy()
    new = grid.copy()
    rows, columns = grid.shape
    for _ in range(SWEEPS):
        for i in prange(1, rows - 1):
            for j in range(1, columns - 1):
                new[i, j] = 0.25 * (old[i - 1, j] + old[i + 1, j] + old[i, j - 1] + old[i, j + 1])
        old, new = new, old
    return old


@njit(parallel=True, fastmath=True)
def heat3d(grid: np.ndarray) -> np.ndarray:
    old = grid.copy()
    new = grid.copy()
    a, b, c = grid.shape
    for _ in range(HEAT_STEPS):
        for i in prange(1, a - 1):
            for j in range(1, b - 1):
                for k in range(1, c - 1):
                    new[i, j, k] = old[i, j, k] + 0.1 * (
                        old[i + 1, j, k]
                        + old[i - 1, j, k]
                        + old[i, j + 1, k]
                        + old[i, j - 1, k]
                        + old[i, j, k + 1]
                        + old[i, j, k - 1]
                        - 6.0 * old[i, j, k]
                    )
        old, new = new, old
    return old


@njit(parallel=True, fastmath=True)
def life(cells: np.ndarray) -> np.ndarray:
    old = cells.copy()
    new = cells.copy()
    rows, columns = cells.shape
    for _ in range(GENERATIONS):
        for i in prange(1, rows - 1):
            for j in range(1, columns - 1):
                neighbors = (
                    old[i - 1, j - 1]
                    + old[i - 1, j]
                    + old[i - 1, j + 1]
                    + old[i, j - 1]
                    + old[i, j + 1]
                    + old[i + 1, j - 1]
                    + old[i + 1, j]
                    + old[i + 1, j + 1]
                )
                new[i, j] = int((neighbors == 3) | ((old[i, j] == 1) & (neighbors == 2)))
        old, new = new, old
    return old


@njit(parallel=True, fastmath=True)
def flow_source(b: np.ndarray, u: np.ndarray, v: np.ndarray, dt: float, dx: float, dy: float) -> None:
    rows, columns = u.shape
    for i in prange(1, rows - 1):
        for j in range(columns):
            left = j - 1 if j > 0 else columns - 1
            right = j + 1 if j < columns - 1 else 0
            ux = (u[i, right] - u[i, left]) / (2 * dx)
            uy = (u[i + 1, j] - u[i - 1, j]) / (2 * dy)
            vx = (v[i, right] - v[i, left]) / (2 * dx)
            vy = (v[i + 1, j] - v[i - 1, j]) / (2 * dy)
            b[i, j] = (ux + vy) / dt - ux * ux - 2 * uy * vx - vy * vy


@njit(parallel=True, fastmath=True)
def flow_pressure(new: np.ndarray, old: np.ndarray, b: np.ndarray, dx: float, dy: float) -> None:
    rows, columns = new.shape
    scale = 1.0 / (2 * (dx * dx + dy * dy))
    wx, wy, wb = dy * dy * scale, dx * dx * scale, dx * dx * dy * dy * scale
    for i in prange(1, rows - 1):
        new[i, 0] = wx * (old[i, 1] + old[i, -1]) + wy * (old[i + 1, 0] + old[i - 1, 0]) - wb * b[i, 0]
        for j in range(1, columns - 1):
            new[i, j] = (
                wx * (old[i, j + 1] + old[i, j - 1]) + wy * (old[i + 1, j] + old[i - 1, j]) - wb * b[i, j]
            )
        new[i, -1] = wx * (old[i, 0] + old[i, -2]) + wy * (old[i + 1, -1] + old[i - 1, -1]) - wb * b[i, -1]
    new[-1] = new[-2]
    new[0] = new[1]


@njit(parallel=True, fastmath=True)
def flow_velocity(
    u: np.ndarray,
    v: np.ndarray,
    un: np.ndarray,
    vn: np.ndarray,
    p: np.ndarray,
    dt: float,
    dx: float,
    dy: float,
) -> None:
    rows, columns = u.shape
    for i in prange(1, rows - 1):
        for j in range(columns):
            left = j - 1 if j > 0 else columns - 1
            right = j + 1 if j < columns - 1 else 0
            a, c = un[i, j], vn[i, j]
            u[i, j] = (
                a
                - a * dt / dx * (a - un[i, left])
                - c * dt / dy * (a - un[i - 1, j])
                - dt / (2 * dx) * (p[i, right] - p[i, left])
                + VISCOSITY * dt / dx**2 * (un[i, right] - 2 * a + un[i, left])
                + VISCOSITY * dt / dy**2 * (un[i + 1, j] - 2 * a + un[i - 1, j])
                + dt
            )
            v[i, j] = (
                c
                - a * dt / dx * (c - vn[i, left])
                - c * dt / dy * (c - vn[i - 1, j])
                - dt / (2 * dy) * (p[i + 1, j] - p[i - 1, j])
                + VISCOSITY * dt / dx**2 * (vn[i, right] - 2 * c + vn[i, left])
                + VISCOSITY * dt / dy**2 * (vn[i + 1, j] - 2 * c + vn[i - 1, j])
            )


def channel_flow(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx = dy = LENGTH / (side - 1)
    dt = min(0.01, 0.2 * min(dx, dy) ** 2 / VISCOSITY)
    u, un, v, vn, b = (np.zeros((side, side)) for _ in range(5))
    p, pn = np.ones((side, side)), np.ones((side, side))
    for _ in range(FLOW_STEPS):
        flow_source(b, u, v, dt, dx, dy)
        for _ in range(FLOW_SWEEPS):
            p, pn = pn, p
            flow_pressure(p, pn, b, dx, dy)
        u, un, v, vn = un, u, vn, v
        flow_velocity(u, v, un, vn, p, dt, dx, dy)
    return u, v, p
