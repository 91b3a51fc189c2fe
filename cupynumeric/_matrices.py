"""Matrices made from numbers or vectors: eye, tri, diag and their relatives; triangles of matrices; coordinates."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupynumeric import _composed
from cupynumeric._array import ndarray, wrap
from cupynumeric._composed import over_parts
from cupynumeric._convert import Foreign, drop_in, dtype_of, hosted, lift
from cupynumeric._creation import check_device, zeros
from cupynumeric._shape import diagonal, diagonal_view
from legate_jit import runtime
from legate_jit.ir import dtypes, infer


def eye(
    N: int,
    M: Any = None,
    k: int = 0,
    dtype: Any = float,
    order: Any = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """Ones on the k-th diagonal of an N x M matrix, zeros elsewhere."""
    check_device(device)
    try:
        dtype_of(dtype)
    except Foreign:
        return np.eye(N, M, k, dtype, order)
    rows = operator.index(N)
    columns = rows if M is None else operator.index(M)
    k = operator.index(k)
    made = zeros((rows, columns), dtype, order)
    if -rows < k < columns:
        diagonal_view(made, k, 0, 1)[...] = 1
    return made


def identity(n: int, dtype: Any = None, *, like: Any = None) -> Any:
    """The n x n identity matrix."""
    return eye(n, dtype=float if dtype is None else dtype)


def tri(N: int, M: Any = None, k: int = 0, dtype: Any = float, *, like: Any = None) -> Any:
    """Ones at and below the k-th diagonal, zeros above."""
    rows = operator.index(N)
    columns = rows if M is None else operator.index(M)
    type_ = np.dtype(dtype)
    if not dtypes.is_supported(type_):
        return np.tri(N, M, k, dtype)
    return lower_mask((rows, columns), k).astype(type_, copy=False)


def coordinates(shape: tuple[int, ...], axis: int) -> ndarray:
    """The int64 coordinate of every element along one axis; costs no memory inside fused kernels."""
    sig = infer.generate_signature("index", shape, dtypes.INT64, axis)
    return wrap(runtime.new_store(runtime.record(sig), sig.type))


def lower_mask(shape: tuple[int, ...], k: int) -> Any:
    """True where column <= row + k, over the last two axes."""
    n = len(shape)
    return coordinates(shape, n - 1) <= coordinates(shape, n - 2) + int(k)


@drop_in
def tril(m: Any, k: int = 0) -> Any:
    """Zeros above the k-th diagonal."""
    return _triangle(lift(m), k, True)


@drop_in
def triu(m: Any, k: int = 0) -> Any:
    """Zeros below the k-th diagonal."""
    return _triangle(lift(m), k - 1, False)


def _triangle(m: ndarray, k: int, lower: bool) -> Any:
    from cupynumeric._advanced import choose_where

    if m.ndim == 0:
        raise IndexError("tuple index out of range")
    shape = m.shape if m.ndim > 1 else (m.shape[0], m.shape[0])
    mask = lower_mask(shape, k)
    zero = m.dtype.type(0)
    return choose_where(mask, m, zero) if lower else choose_where(mask, zero, m)


@drop_in
def diag(v: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix (a read-only view), or a matrix with the given diagonal."""
    x, k = lift(v), operator.index(k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    n = x.shape[0] + abs(k)
    made = zeros((n, n), x.dtype)
    diagonal_view(made, k, 0, 1)[...] = x
    return made


@drop_in
def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with the flattened input as its k-th diagonal."""
    return diag(lift(v).ravel(), k)


vander = over_parts(hosted("vander"), _composed.vander)


__all__ = ["diag", "diagflat", "eye", "identity", "tri", "tril", "triu", "vander"]
