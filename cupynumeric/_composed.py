"""Functions that NumPy composes of others, for arrays that lie in parts on several ranks: the same steps, on arrays of ours.

Every one gives None for what it has no way for; then NumPy's function gets whole arrays, as on one rank. Knows NumPy's steps.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _elementwise, _ufunc
from cupynumeric._array import ndarray
from cupynumeric._caller import warn
from cupynumeric._calls import cast, lift
from cupynumeric._creation import empty, zeros
from cupynumeric._factored import lies_in_parts
from legate_jit import runtime
from legate_jit.ir.ops import OPS

#: columns of powers from which a matrix of them is left to NumPy
_COLUMNS = 64


def over_parts(usual: Callable[..., Any], composed: Callable[..., Any]) -> Callable[..., Any]:
    """`usual`; by `composed`, if that gives anything, where one of the positional arguments lies in parts on several ranks."""

    @functools.wraps(usual)
    def call(*args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None and any(map(lies_in_parts, args)):
            try:
                found = composed(*args, **kwargs)
            except TypeError:  # arguments that NumPy refuses as well, in its words
                found = None
            if found is not None:
                return found
        return usual(*args, **kwargs)

    return call


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return _elementwise.call(OPS["where"], (condition, yes, no))


# ---- polynomials ---------------------------------------------------------------------------------------------------


def vander(x: ndarray, N: Any = None, increasing: bool = False) -> Any:
    """Powers of a vector as columns."""
    if x.ndim != 1 or N is None or not 1 <= N <= _COLUMNS:
        return None
    dtype = np.promote_types(x.dtype, int)
    made, power = empty((len(x), N), dtype), cast(x, dtype)
    columns = made if increasing else made[:, ::-1]
    columns[:, 0] = 1
    for k in range(1, N):
        columns[:, k] = power
        power = power * cast(x, dtype)
    return made


def polyfit(
    x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """The polynomial of least squares: the powers are scaled, and the ranks factor the tall matrix of them together."""
    from cupynumeric import linalg

    x, y, w = (None if v is None else lift(v) for v in (x, y, w))
    if not all(v.__class__ is ndarray for v in (x, y)) or not isinstance(deg, (int, np.integer)) or deg < 0:
        return None
    fits = x.ndim == 1 and y.ndim in (1, 2) and len(x) == len(y) > deg + 1
    if not fits or (w is not None and getattr(w, "shape", None) != x.shape):
        return None
    x, y, count = x + 0.0, y + 0.0, int(deg) + 1
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    left = vander(x, count)
    if left is None:
        return None
    if w is not None:
        w = w + 0.0
        left = left * w[:, None]
        y = y * (w[:, None] if y.ndim == 2 else w)
    scale = np.asarray(_ufunc.sqrt((left * left).sum(axis=0)))
    left = left / lift(scale)
    solution, residuals, rank, values = linalg.lstsq(left, y, rcond)
    found = lift((np.asarray(solution).T / scale).T)
    if int(rank) != count and not full:
        warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning)
    if full:
        return found, residuals, rank, values, rcond
    if not cov:
        return found
    base = np.linalg.inv(np.asarray(left.T @ left)) / np.outer(scale, scale)
    factor = 1 if cov == "unscaled" else np.asarray(residuals) / (len(x) - count)
    return found, lift(base * factor if y.ndim == 1 else base[:, :, None] * factor)


# ---- phases --------------------------------------------------------------------------------------------------------


def unwrap(p: ndarray, discont: Any = None, axis: Any = -1, *, period: Any = 2 * np.pi) -> Any:
    """Phases whose steps are less than half a period."""
    plain = all(isinstance(v, (int, float)) for v in (period, period if discont is None else discont))
    if not plain or p.ndim == 0 or not -p.ndim <= operator.index(axis) < p.ndim or p.dtype.kind not in "iuf":
        return None
    later, before = _slices(p.ndim, axis, slice(1, None)), _slices(p.ndim, axis, slice(None, -1))
    steps = p[later] - p[before]
    dtype = np.result_type(np.empty(0, steps.dtype), period)
    if dtype.kind in "iu":
        high, rest = divmod(period, 2)
        ambiguous = rest == 0
    else:
        high, ambiguous = period / 2, True
    small = _ufunc.remainder(steps - -high, period) + -high
    if ambiguous:
        small = _where(_ufunc.logical_and(small == -high, steps > 0), high, small)
    correction = _where(
        _ufunc.absolute(steps) < (period / 2 if discont is None else discont), 0, small - steps
    )
    up = p.astype(dtype)
    up[later] = p[later] + correction.cumsum(axis)
    return up


def _slices(ndim: int, axis: int, there: Any) -> tuple[Any, ...]:
    """A key that takes `there` along an axis and all of the others."""
    return tuple([there if d == axis % ndim else slice(None) for d in range(ndim)])


# ---- bits ----------------------------------------------------------------------------------------------------------


def packbits(a: ndarray, axis: Any = None, bitorder: str = "big") -> Any:
    """Truth values, eight to a byte."""
    given = _along(a, axis, bitorder)
    if given is None or a.dtype.kind not in "biu":
        return None
    x, axis = given
    n = x.shape[axis]
    made = zeros(tuple(-(-m // 8) if d == axis else m for d, m in enumerate(x.shape)), np.uint8)
    for k in range(min(8, n)):
        bits = x[_slices(x.ndim, axis, slice(k, None, 8))] != 0
        shift = np.uint8(k if bitorder == "little" else 7 - k)
        into = _slices(x.ndim, axis, slice(0, bits.shape[axis]))
        made[into] = made[into] | (bits.astype(np.uint8) << shift)
    return made


def unpackbits(a: ndarray, axis: Any = None, count: Any = None, bitorder: str = "big") -> Any:
    """The bits of bytes, each as a byte."""
    given = _along(a, axis, bitorder)
    if given is None or a.dtype != np.uint8 or not (count is None or isinstance(count, int)):
        return None
    x, axis = given
    n = 8 * x.shape[axis]
    wanted = n if count is None else count + n if count < 0 else count
    if wanted < 0:
        return None
    made = zeros(tuple(max(wanted, n) if d == axis else m for d, m in enumerate(x.shape)), np.uint8)
    for k in range(8):
        shift = np.uint8(k if bitorder == "little" else 7 - k)
        made[_slices(x.ndim, axis, slice(k, n, 8))] = (x >> shift) & np.uint8(1)
    return made if wanted >= n else made[_slices(x.ndim, axis, slice(0, wanted))].copy()


def _along(a: ndarray, axis: Any, bitorder: Any) -> tuple[ndarray, int] | None:
    """The array and the axis that is meant; None for what NumPy refuses."""
    if a.__class__ is not ndarray or bitorder not in ("big", "little") or a.ndim == 0:
        return None
    if axis is None:
        return a.reshape(-1), 0
    place = operator.index(axis)
    return (a, place % a.ndim) if -a.ndim <= place < a.ndim else None


# ---- covariance ----------------------------------------------------------------------------------------------------


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Correlation coefficients of variables in rows (or columns)."""
    from cupynumeric._matrices import diag
    from cupynumeric._statistics import cov

    found = cov(x, y, rowvar, dtype=dtype)
    if found.__class__ is not ndarray or found.dtype.kind != "f":
        return None
    if found.ndim == 0:
        return found / found
    deviation = _ufunc.sqrt(diag(found))
    found = found / deviation[:, None]
    return (found / deviation[None, :]).clip(-1, 1)


# ---- tensors -------------------------------------------------------------------------------------------------------


def tensorinv(a: ndarray, ind: Any = 2) -> Any:
    """The inverse of a tensor as a matrix."""
    from cupynumeric import linalg

    if not isinstance(ind, int) or ind <= 0:
        return None
    count = int(np.prod(a.shape[ind:]))
    if count == 0 or count * count != a.size:
        return None
    return linalg.inv(a.reshape(count, -1)).reshape((*a.shape[ind:], *a.shape[:ind]))


def tensorsolve(a: ndarray, b: Any, axes: Any = None) -> Any:
    """The tensor x of tensordot(a, x, x.ndim) == b."""
    from cupynumeric import linalg

    b = lift(b)
    if a.__class__ is not ndarray or b.__class__ is not ndarray or axes is not None or a.ndim <= b.ndim:
        return None
    shape = a.shape[b.ndim - a.ndim :]
    count = int(np.prod(shape))
    if count == 0 or a.size != count * count or b.size != count:
        return None
    return linalg.solve(a.reshape(count, count), b.reshape(-1)).reshape(shape)


__all__ = ["over_parts"]
