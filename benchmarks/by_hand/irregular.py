"""Irregular access as Numba loops."""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

from benchmarks.kernels.irregular import BINS


@njit(parallel=True)
def bincount(i: np.ndarray) -> np.ndarray:
    parts = get_num_threads()
    counts = np.zeros((parts, BINS), np.int64)
    for part in prange(parts):
        for k in range(part * i.size // parts, (part + 1) * i.size // parts):
            counts[part, i[k]] += 1
    return counts.sum(axis=0)


@njit(parallel=True)
def histogram(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bins = 100
    parts = get_num_threads()
    low, high = x.min(), x.max()
    edges = np.linspace(low, high, bins + 1)
    scale = bins / (high - low)
    counts = np.zeros((parts, bins), np.int64)
    for part in prange(parts):
        for k in range(part * x.size // parts, (part + 1) * x.size // parts):
            bin = min(int((x[k] - low) * scale), bins - 1)
            # The edges decide, as in NumPy: the multiplication may round across one.
            if x[k] < edges[bin]:
                bin -= 1
            elif bin < bins - 1 and x[k] >= edges[bin + 1]:
                bin += 1
            counts[part, bin] += 1
    return counts.sum(axis=0), edges


@njit(parallel=True)
def cumsum(x: np.ndarray) -> np.ndarray:
    parts = get_num_threads()
    out = np.empty_like(x)
    starts = np.zeros(parts + 1)
    for part in prange(parts):
        total = 0.0
        for k in range(part * x.size // parts, (part + 1) * x.size // parts):
            total += x[k]
        starts[part + 1] = total
    starts = np.cumsum(starts)
    for part in prange(parts):
        total = starts[part]
        for k in range(part * x.size // parts, (part + 1) * x.size // parts):
            total += x[k]
            out[k] = total
    return out


@njit(parallel=True)
def compress(x: np.ndarray) -> np.ndarray:
    parts = get_num_threads()
    starts = np.zeros(parts + 1, np.int64)
    for part in prange(parts):
        count = 0
        for k in range(part * x.size // parts, (part + 1) * x.size // parts):
            count += x[k] > 0.5
        starts[part + 1] = count
    starts = np.cumsum(starts)
    out = np.empty(starts[-1])
    for part in prange(parts):
        position = starts[part]
        for k in range(part * x.size // parts, (part + 1) * x.size // parts):
            if x[k] > 0.5:
                out[position] = x[k]
                position += 1
    return out


@njit(parallel=True)
def gather(x: np.ndarray, i: np.ndarray) -> np.ndarray:
    out = np.empty(i.size)
    for k in prange(i.size):
        out[k] = x[i[k]]
    return out


@njit
def scatter(i: np.ndarray, v: np.ndarray) -> np.ndarray:
    out = np.zeros(v.size)
    for k in range(i.size):  # in order: the last write wins
        out[i[k]] = v[k]
    return out


@njit(parallel=True)
def searchsorted(edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    out = np.empty(x.size, np.int64)
    for k in prange(x.size):
        low, size = 0, edges.size
        while size > 0:
            half = size // 2
            if edges[low + half] < x[k]:
                low += half + 1
                size -= half + 1
            else:
                size = half
        out[k] = low
    return out


@njit(parallel=True)
def transpose_add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rows, columns = x.shape
    out = np.empty_like(x)
    block = 32
    for bi in prange((rows + block - 1) // block):
        for bj in range((columns + block - 1) // block):
            for i in range(bi * block, min(rows, (bi + 1) * block)):
                for j in range(bj * block, min(columns, (bj + 1) * block)):
                    out[i, j] = x[i, j] + y[j, i]
    return out
