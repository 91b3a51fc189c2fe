"""Whole algorithms as Numba loops."""

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads, njit, prange

from benchmarks.kernels.solvers import (
    CG_STEPS,
    ESCAPE_LIMIT,
    KMEANS_STEPS,
    LOGREG_STEPS,
    NBODY_DT,
    NBODY_STEPS,
    SOFTENING,
)


@njit(parallel=True, fastmath=True)
def product(p: np.ndarray, ap: np.ndarray) -> float:
    n, m = p.shape
    total = 0.0
    for i in prange(n):
        for j in range(m):
            t = 4.0 * p[i, j]
            if i > 0:
                t -= p[i - 1, j]
            if i < n - 1:
                t -= p[i + 1, j]
            if j > 0:
                t -= p[i, j - 1]
            if j < m - 1:
                t -= p[i, j + 1]
            ap[i, j] = t
            total += t * p[i, j]
    return total


@njit(parallel=True, fastmath=True)
def advance(x: np.ndarray, r: np.ndarray, p: np.ndarray, ap: np.ndarray, alpha: float) -> float:
    n, m = x.shape
    total = 0.0
    for i in prange(n):
        for j in range(m):
            x[i, j] += alpha * p[i, j]
            r[i, j] -= alpha * ap[i, j]
            total += r[i, j] * r[i, j]
    return total


@njit(parallel=True, fastmath=True)
def direction(p: np.ndarray, r: np.ndarray, beta: float) -> None:
    n, m = p.shape
    for i in prange(n):
        for j in range(m):
            p[i, j] = r[i, j] + beta * p[i, j]


def cg(b: np.ndarray) -> np.ndarray:
    x = np.zeros_like(b)
    r, p, ap = b.copy(), b.copy(), np.empty_like(b)
    rs = float((b * b).sum())
    for _ in range(CG_STEPS):
        rs_new = advance(x, r, p, ap, rs / product(p, ap))
        direction(p, r, rs_new / rs)
        rs = rs_new
    return x


@njit(parallel=True, fastmath=True)
def logreg(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rows, columns = x.shape
    parts = get_num_threads()
    w = np.zeros(columns)
    for _ in range(LOGREG_STEPS):
        gradient = np.zeros((parts, columns))
        for part in prange(parts):
            for i in range(part * rows // parts, (part + 1) * rows // parts):
                score = 0.0
                for j in range(columns):
                    score += x[i, j] * w[j]
                error = 1.0 / (1.0 + math.exp(-score)) - y[i]
                for j in range(columns):
                    gradient[part, j] += error * x[i, j]
        w = w - 0.1 * gradient.sum(axis=0) / rows
    return w


@njit(parallel=True, fastmath=True)
def kmeans(x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = x.shape
    k = start.shape[0]
    parts = get_num_threads()
    centers = start.copy()
    labels = np.empty(rows, np.int64)
    for _ in range(KMEANS_STEPS):
        sums = np.zeros((parts, k, columns))
        count = np.zeros((parts, k))
        for part in prange(parts):
            for i in range(part * rows // parts, (part + 1) * rows // parts):
                best, nearest = np.inf, 0
                for c in range(k):
                    distance = 0.0
                    for j in range(columns):
                        d = x[i, j] - centers[c, j]
                        distance += d * d
                    if distance < best:
                        best, nearest = distance, c
                labels[i] = nearest
                count[part, nearest] += 1
                for j in range(columns):
                    sums[part, nearest, j] += x[i, j]
        centers = sums.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0).reshape(k, 1)
    return centers, labels


@njit(parallel=True, fastmath=True)
def pull(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    mass: np.ndarray,
    vx: np.ndarray,
    vy: np.ndarray,
    vz: np.ndarray,
) -> None:
    n = x.size
    for i in prange(n):
        ax = ay = az = 0.0
        for j in range(n):
            dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            squared = dx * dx + dy * dy + dz * dz + SOFTENING
            weight = mass[j] / (squared * math.sqrt(squared))
            ax += dx * weight
            ay += dy * weight
            az += dz * weight
        vx[i] += NBODY_DT * ax
        vy[i] += NBODY_DT * ay
        vz[i] += NBODY_DT * az


def nbody(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, mass: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    vx, vy, vz = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for _ in range(NBODY_STEPS):
        pull(x, y, z, mass, vx, vy, vz)
        x = x + NBODY_DT * vx
        y = y + NBODY_DT * vy
        z = z + NBODY_DT * vz
    return x, y, z


@njit(parallel=True, fastmath=True)
def mandelbrot(c: np.ndarray) -> np.ndarray:
    height, width = c.shape
    times = np.empty((height, width), np.int64)
    for i in prange(height):
        for j in range(width):
            a, b = c[i, j].real, c[i, j].imag
            x = y = 0.0
            count = 0
            while count < ESCAPE_LIMIT and x * x + y * y <= 4.0:
                x, y = x * x - y * y + a, 2 * x * y + b
                count += 1
            times[i, j] = count
    return times
