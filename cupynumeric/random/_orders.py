"""Permutations, choices and vectors over several ranks: what NumPy computes of draws.

An order depends on the number of elements alone: it is drawn without them, every rank knows it, and they go where it says. Every
function gives None for what is whole or small: then NumPy's method gets whole arrays. Called only where there are ranks.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _sorting
from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._calls import cast, lift
from cupynumeric._convert import to_numpy_tree
from cupynumeric._factored import lies_in_parts
from cupynumeric.random import _dealing
from legate_jit.immediate import together
from legate_jit.ir import dtypes
from legate_jit.ir.node import array_type
from legate_jit.ir.ranks.layout import Box
from legate_jit.streams.jumps import Source, copied, restore

__all__ = ["NAMES", "attempt", "shuffle"]


def attempt(source: Source, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a method of `NAMES` gives; None where NumPy should do it."""
    function = NAMES[name]
    if (
        name != "multivariate_normal"
        and isinstance(source, np.random.RandomState)
        and (kwargs.keys() & {"axis", "shuffle"} or len(args) > (4 if name == "choice" else 1))
    ):
        return None  # parameters that it does not have
    try:
        given = inspect.signature(function).bind(source, *args, **kwargs)
    except TypeError:
        return None
    return function(*given.args, **given.kwargs)


def _order(source: Source, n: int) -> np.ndarray:
    """The numbers of n elements in a new order, whatever they are."""
    found = np.arange(n, dtype=np.int32 if n <= 1 << 31 else np.int64)
    plain = copied(source)
    plain.shuffle(found)
    restore(source, plain)
    return found


def _in_parts(order: np.ndarray) -> ndarray:
    """Numbers that every rank knows, of which each keeps its part: int64."""

    def fill(comm: Any, box: Box, memory: np.ndarray) -> None:
        memory[...] = order[tuple([slice(lo, hi) for lo, hi in box])]

    made: ndarray = wrap(together.filled("an order", array_type(order.shape, dtypes.INT64), fill))
    return made


def _taken(x: ndarray, index: Any, axis: int) -> Any:
    return x[(*(slice(None),) * axis, index)]


def _axis(x: Any, axis: Any) -> int | None:
    """An axis of an array of ours in parts, from the front; None for anything else."""
    if not isinstance(x, Ours) or not isinstance(axis, int) or not -x.ndim <= axis < x.ndim:
        return None
    return axis % x.ndim if lies_in_parts(x) else None


def permutation(source: Source, x: Any, axis: Any = 0) -> Any:
    """The elements along an axis, or the numbers below x, in a new order."""
    if isinstance(x, (int, np.integer)) and x > 0 and together.worthwhile(int(x)):
        return _in_parts(_order(source, int(x)))
    at = _axis(x, axis)
    return None if at is None else _taken(x, _order(source, x.shape[at]), at)


def shuffle(source: Source, x: ndarray, axis: Any = 0) -> bool:
    """Bring the elements along an axis in a new order, in place; False: not done."""
    at = _axis(x, axis)
    if at is None or not x.flags.writeable:
        return False
    x[...] = _taken(x, _order(source, x.shape[at]), at)
    return True


def choice(
    source: Source,
    a: Any,
    size: Any = None,
    replace: Any = True,
    p: Any = None,
    axis: Any = 0,
    shuffle: Any = True,
) -> Any:
    """Elements along an axis, or numbers below a, drawn at random."""
    old = isinstance(source, np.random.RandomState)
    numbers = isinstance(a, (int, np.integer)) and a > 0
    at = 0 if numbers else _axis(a, axis)
    shape = np.empty(size, np.void).shape if isinstance(size, (int, tuple)) else None
    if shape is None or not (numbers or (isinstance(a, Ours) and a.size)):
        return None
    many = together.worthwhile(math.prod(shape))
    if at is None and many and isinstance(axis, int) and -a.ndim <= axis < a.ndim:
        at = axis % a.ndim  # a small array, from which much is drawn
    if at is None or (numbers and not many) or (old and not numbers and a.ndim != 1):
        return None
    n, p = int(a) if numbers else a.shape[at], to_numpy_tree(p)
    if many and replace:
        index = _independent(source, n, shape, p, old)
    else:
        more = {} if old else {"shuffle": shuffle}
        plain = copied(source)
        drawn = plain.choice(n, shape, replace, p, **more)
        restore(source, plain)
        index = _in_parts(drawn) if many else drawn
    if numbers or index is None:
        return index
    return _taken(a, index, at)


def _independent(source: Source, n: int, shape: tuple[int, ...], p: Any, old: bool) -> Any:
    """Numbers below n, each drawn on its own, with probabilities p."""
    if p is None:
        return _dealing.dealt(source, "randint" if old else "integers", (0, n, shape), {})
    copied(source).choice(n, 1, True, p)  # raises NumPy's errors
    edges = np.asarray(p, np.float64).cumsum()
    edges /= edges[-1]
    drawn = _dealing.dealt(source, "random_sample" if old else "random", (shape,), {})
    return cast(_sorting.searchsorted(lift(edges), drawn, "right"), dtypes.INT64)


def multivariate_normal(
    source: Source,
    mean: Any,
    cov: Any,
    size: Any = None,
    check_valid: Any = "warn",
    tol: Any = 1e-8,
    *,
    method: Any = "svd",
) -> Any:
    """Rows of normal numbers with a covariance: independent ones times a factor of it, as NumPy chooses it."""
    mean, cov = np.asarray(to_numpy_tree(mean)), np.asarray(to_numpy_tree(cov))
    shape = (size,) if isinstance(size, int) else size
    if (
        not isinstance(shape, tuple)
        or mean.ndim != 1
        or not together.worthwhile(math.prod(shape) * len(mean))
    ):
        return None
    old = isinstance(source, np.random.RandomState)
    more = {} if old else {"method": method}
    # Raises and warns as NumPy does.
    copied(source).multivariate_normal(mean, cov, 1, check_valid, tol, **more)
    cov = cov.astype(np.float64)
    if old or method == "svd":
        u, s, v = np.linalg.svd(cov)
        factor = np.sqrt(s)[:, None] * v if old else (u * np.sqrt(s)).T
    elif method == "eigh":
        s, u = np.linalg.eigh(cov)
        factor = (u * np.sqrt(np.abs(s))).T
    else:
        factor = np.linalg.cholesky(cov).T
    drawn = _dealing.dealt(source, "standard_normal", ((*shape, len(mean)),), {})
    if drawn is None:
        return None
    made = drawn.reshape((-1, len(mean))) @ lift(factor) + lift(mean)
    return made.reshape((*shape, len(mean)))


#: methods by name
NAMES: dict[str, Callable[..., Any]] = {
    "choice": choice,
    "multivariate_normal": multivariate_normal,
    "permutation": permutation,
}
