"""Row-wise and column-wise kernels as Numba loops."""

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads, njit, prange


@njit(parallel=True, fastmath=True)
def statistics(x: np.ndarray) -> tuple[np.ndarray, ...]:
    rows, columns = x.shape
    parts = get_num_threads()
    sums = np.zeros((parts, columns))
    squares = np.zeros((parts, columns))
    row_mean = np.empty(rows)
    row_var = np.empty(rows)
    shift = x[0].copy()  # sums of squares around a sample: no cancellation
    for part in prange(parts):
        for i in range(part * rows // parts, (part + 1) * rows // parts):
            total = 0.0
            for j in range(columns):
                d = x[i, j] - shift[j]
                sums[part, j] += d
                squares[part, j] += d * d
                total += x[i, j]
            mean = total / columns
            spread = 0.0
            for j in range(columns):
                spread += (x[i, j] - mean) ** 2
            row_mean[i] = mean
            row_var[i] = spread / columns
    mean = sums.sum(axis=0) / rows
    var = squares.sum(axis=0) / rows - mean * mean
    return mean + shift, var, np.sqrt(var), row_mean, row_var, np.sqrt(row_var)


@njit(parallel=True, fastmath=True)
def softmax(x: np.ndarray) -> np.ndarray:
    rows, columns = x.shape
    out = np.empty_like(x)
    for i in prange(rows):
        largest = x[i, 0]
        for j in range(1, columns):
            largest = max(largest, x[i, j])
        total = np.float32(0.0)
        for j in range(columns):
            e = math.exp(x[i, j] - largest)
            out[i, j] = e
            total += e
        scale = np.float32(1.0) / total
        for j in range(columns):
            out[i, j] *= scale
    return out


@njit(parallel=True, fastmath=True)
def layernorm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    rows, columns = x.shape
    out = np.empty_like(x)
    for i in prange(rows):
        total = np.float32(0.0)
        for j in range(columns):
            total += x[i, j]
        mean = total / np.float32(columns)
        spread = np.float32(0.0)
        for j in range(columns):
            d = x[i, j] - mean
            spread += d * d
        scale = np.float32(1.0) / np.float32(math.sqrt(spread / np.float32(columns) + np.float32(1e-5)))
        for j in range(columns):
            out[i, j] = (x[i, j] - mean) * scale * gain[j] + bias[j]
    return out
