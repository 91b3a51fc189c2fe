"""Stencil kernels by slices: many sweeps over a grid."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

SWEEPS = 100
HEAT_STEPS = 20
GENERATIONS = 10
FLOW_STEPS = 20
FLOW_SWEEPS = 50


def jacobi(np: Any, grid: Any) -> Result:
    old = grid.copy()
    new = grid.copy()
    for _ in range(SWEEPS):
        new[1:-1, 1:-1] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
        old, new = new, old
    return old


def heat3d(np: Any, grid: Any) -> Result:
    u = grid.copy()
    for _ in range(HEAT_STEPS):
        u[1:-1, 1:-1, 1:-1] += 0.1 * (
            u[2:, 1:-1, 1:-1]
            + u[:-2, 1:-1, 1:-1]
            + u[1:-1, 2:, 1:-1]
            + u[1:-1, :-2, 1:-1]
            + u[1:-1, 1:-1, 2:]
            + u[1:-1, 1:-1, :-2]
            - 6.0 * u[1:-1, 1:-1, 1:-1]
        )
    return u


def life(np: Any, cells: Any) -> Result:
    grid = cells.copy()
    for _ in range(GENERATIONS):
        neighbors = (
            grid[:-2, :-2]
            + grid[:-2, 1:-1]
            + grid[:-2, 2:]
            + grid[1:-1, :-2]
            + grid[1:-1, 2:]
            + grid[2:, :-2]
            + grid[2:, 1:-1]
            + grid[2:, 2:]
        )
        alive = grid[1:-1, 1:-1] == 1
        grid[1:-1, 1:-1] = (neighbors == 3) | (alive & (neighbors == 2))
    return grid


@cache
def flow_program(np: ModuleType) -> ModuleType:
    """A copy of examples/cfd.py with its name `np` bound to the given namespace."""
    path = Path(__file__).resolve().parents[2] / "examples" / "cfd.py"
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(f"cfd_with_{np.__name__}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    vars(module)["np"] = np
    return module


def channel_flow(np: Any, side: int) -> Result:
    u, v, p, _ = flow_program(np).channel_flow(side, side, FLOW_STEPS, FLOW_SWEEPS, None)
    return u, v, p


def hot_edge(n: int) -> Data:
    side = max(4, round(n**0.5))
    grid = numpy.zeros((side, side))
    grid[0] = 100.0
    grid[:, 0] = numpy.linspace(100.0, 0.0, side)
    return (grid,)


def cube(n: int) -> Data:
    side = max(4, round(n ** (1 / 3)))
    return (numpy.random.default_rng(8).random((side, side, side)),)


def soup(n: int) -> Data:
    side = max(4, round(n**0.5))
    return (numpy.random.default_rng(9).integers(0, 2, (side, side)),)


def side_only(n: int) -> Data:
    return (max(8, round(n**0.5)),)


def flow_traffic(n: int) -> float:
    # A pressure sweep reads p and b and writes p; the rest of a step is about three such sweeps.
    return 24.0 * n * FLOW_STEPS * (FLOW_SWEEPS + 3)


KERNELS = [
    Kernel("jacobi", "stencils", jacobi, hot_edge, 4_000_000, lambda n: 16.0 * n * SWEEPS, pure=False),
    Kernel("heat3d", "stencils", heat3d, cube, 8_000_000, lambda n: 16.0 * n * HEAT_STEPS, pure=False),
    Kernel("channel_flow", "stencils", channel_flow, side_only, 401 * 401, flow_traffic, pure=False),
    Kernel("life", "stencils", life, soup, 4_000_000, lambda n: 16.0 * n * GENERATIONS, pure=False),
]
