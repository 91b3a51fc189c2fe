"""Kernels that assign into arrays, rewritten for JAX: functional updates inside compiled loops."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.kernels.irregular import BINS
from benchmarks.kernels.solvers import CG_STEPS, ESCAPE_LIMIT
from benchmarks.kernels.stencils import GENERATIONS, HEAT_STEPS, SWEEPS

Array = Any


def jacobi(grid: Array) -> Array:
    def sweep(_: int, t: Array) -> Array:
        inner = 0.25 * (t[:-2, 1:-1] + t[2:, 1:-1] + t[1:-1, :-2] + t[1:-1, 2:])
        return t.at[1:-1, 1:-1].set(inner)

    return jax.lax.fori_loop(0, SWEEPS, sweep, grid)


def heat3d(grid: Array) -> Array:
    def step(_: int, u: Array) -> Array:
        middle = u[1:-1, 1:-1, 1:-1]
        along = u[2:, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1] + u[1:-1, 2:, 1:-1] + u[1:-1, :-2, 1:-1]
        change = 0.1 * (along + u[1:-1, 1:-1, 2:] + u[1:-1, 1:-1, :-2] - 6.0 * middle)
        return u.at[1:-1, 1:-1, 1:-1].add(change)

    return jax.lax.fori_loop(0, HEAT_STEPS, step, grid)


def life(cells: Array) -> Array:
    def generation(_: int, g: Array) -> Array:
        above, middle, below = g[:-2], g[1:-1], g[2:]
        rows = above[:, :-2] + above[:, 1:-1] + above[:, 2:] + below[:, :-2] + below[:, 1:-1] + below[:, 2:]
        neighbors = rows + middle[:, :-2] + middle[:, 2:]
        alive = (neighbors == 3) | ((middle[:, 1:-1] == 1) & (neighbors == 2))
        return g.at[1:-1, 1:-1].set(alive.astype(g.dtype))

    return jax.lax.fori_loop(0, GENERATIONS, generation, cells)


def cg(b: Array) -> Array:
    def product(p: Array) -> Array:
        q = jnp.pad(p, 1)
        return 4.0 * p - q[:-2, 1:-1] - q[2:, 1:-1] - q[1:-1, :-2] - q[1:-1, 2:]

    def step(_: int, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        x, r, p, rs = state
        ap = product(p)
        alpha = rs / (p * ap).sum()
        x, r = x + alpha * p, r - alpha * ap
        rs_new = (r * r).sum()
        return x, r, r + (rs_new / rs) * p, rs_new

    return jax.lax.fori_loop(0, CG_STEPS, step, (jnp.zeros_like(b), b, b, (b * b).sum()))[0]


def mandelbrot(c: Array) -> Array:
    def step(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        z, times = state
        bounded = z.real * z.real + z.imag * z.imag <= 4.0
        return jnp.where(bounded, z * z + c, z), times + bounded

    start = jnp.zeros_like(c), jnp.zeros(c.shape, dtype=jnp.int64)
    return jax.lax.fori_loop(0, ESCAPE_LIMIT, step, start)[1]


def scatter(i: Array, v: Array) -> Array:
    return jnp.zeros(v.shape).at[i].set(v)


def bincount(i: Array) -> Array:
    return jnp.bincount(i, length=BINS)  # its length may not depend on values
