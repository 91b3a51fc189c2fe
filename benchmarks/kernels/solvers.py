"""Whole algorithms: solvers, learning, particles, masked iteration."""

from __future__ import annotations

from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

CG_STEPS = 25
LOGREG_STEPS = 10
KMEANS_STEPS = 5
FEATURES = 32
CLUSTERS = 16
DIMENSIONS = 8
NBODY_STEPS = 3
NBODY_DT = 0.01
SOFTENING = 0.01
ESCAPE_LIMIT = 30


def laplacian(x: Any) -> Any:
    y = 4.0 * x
    y[1:, :] -= x[:-1, :]
    y[:-1, :] -= x[1:, :]
    y[:, 1:] -= x[:, :-1]
    y[:, :-1] -= x[:, 1:]
    return y


def cg(np: Any, b: Any) -> Result:
    x = np.zeros_like(b)
    r = b.copy()
    p = b.copy()
    rs = (r * r).sum()
    for _ in range(CG_STEPS):
        ap = laplacian(p)
        alpha = rs / (p * ap).sum()
        x += alpha * p
        r -= alpha * ap
        rs_new = (r * r).sum()
        p = r + (rs_new / rs) * p
        rs = rs_new
    return x


def logreg(np: Any, x: Any, y: Any) -> Result:
    w = np.zeros(x.shape[1])
    for _ in range(LOGREG_STEPS):
        p = 1.0 / (1.0 + np.exp(-(x @ w)))
        w = w - 0.1 * (x.T @ (p - y)) / x.shape[0]
    return w


def kmeans(np: Any, x: Any, start: Any) -> Result:
    centers = start
    clusters = np.arange(start.shape[0])
    for _ in range(KMEANS_STEPS):
        distance = ((x[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)
        labels = distance.argmin(axis=1)
        member = (labels[:, None] == clusters).astype(np.float64)
        count = np.maximum(member.sum(axis=0), 1.0)
        centers = (member.T @ x) / count[:, None]
    return centers, labels


def nbody(np: Any, x: Any, y: Any, z: Any, mass: Any) -> Result:
    vx, vy, vz = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for _ in range(NBODY_STEPS):
        dx = x[None, :] - x[:, None]
        dy = y[None, :] - y[:, None]
        dz = z[None, :] - z[:, None]
        weight = mass[None, :] * (dx * dx + dy * dy + dz * dz + SOFTENING) ** -1.5
        vx = vx + NBODY_DT * (dx * weight).sum(axis=1)
        vy = vy + NBODY_DT * (dy * weight).sum(axis=1)
        vz = vz + NBODY_DT * (dz * weight).sum(axis=1)
        x = x + NBODY_DT * vx
        y = y + NBODY_DT * vy
        z = z + NBODY_DT * vz
    return x, y, z


def mandelbrot(np: Any, c: Any) -> Result:
    z = np.zeros_like(c)
    times = np.zeros(c.shape, dtype=np.int64)
    for _ in range(ESCAPE_LIMIT):
        bounded = z.real * z.real + z.imag * z.imag <= 4.0
        z[bounded] = z[bounded] * z[bounded] + c[bounded]
        times[bounded] += 1
    return times


def charges(n: int) -> Data:
    side = max(8, round(n**0.5))
    return (numpy.random.default_rng(10).normal(size=(side, side)),)


def labeled(n: int) -> Data:
    random = numpy.random.default_rng(11)
    rows = max(8, n // FEATURES)
    x = random.normal(size=(rows, FEATURES))
    y = (x @ random.normal(size=FEATURES) + random.normal(size=rows) > 0).astype(numpy.float64)
    return x, y


def clouds(n: int) -> Data:
    random = numpy.random.default_rng(12)
    rows = max(4 * CLUSTERS, n // DIMENSIONS)
    middle = random.normal(size=(CLUSTERS, DIMENSIONS)) * 4
    x = middle[random.integers(0, CLUSTERS, rows)] + random.normal(size=(rows, DIMENSIONS))
    return x, x[:CLUSTERS].copy()


def bodies(n: int) -> Data:
    random = numpy.random.default_rng(13)
    count = max(8, round(n**0.5))
    x, y, z = random.normal(size=(3, count))
    return x.copy(), y.copy(), z.copy(), random.random(count) / count


def plane(n: int) -> Data:
    width = max(4, round(n**0.5))
    return (numpy.linspace(-2.0, 0.6, width)[None, :] + 1j * numpy.linspace(-1.2, 1.2, width)[:, None],)


KERNELS = [
    # A step reads p (twice), ap, x, r and writes ap, x, r, p at least.
    Kernel("cg", "solvers", cg, charges, 1_000_000, lambda n: 72.0 * n * CG_STEPS, pure=False, rtol=1e-7),
    Kernel("logreg", "solvers", logreg, labeled, traffic=lambda n: 8.0 * n * LOGREG_STEPS),
    Kernel("kmeans", "solvers", kmeans, clouds, 800_000, lambda n: 8.0 * n * KMEANS_STEPS),
    Kernel("nbody", "solvers", nbody, bodies, 4_000_000),
    Kernel("mandelbrot", "solvers", mandelbrot, plane, 250_000, pure=False, mismatch=1e-3),
]
