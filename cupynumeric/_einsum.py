"""Einstein summation as graph operations: views by label, products, sums, and batched matrix products.

Several operands are contracted pair by pair in the order NumPy's path finder chooses. What is not plain subscripts over arrays of
agreeing extents is left to NumPy, whose errors are the errors.
"""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import numpy as np

from cupynumeric import _products, _reductions, _ufunc
from cupynumeric._array import ndarray, wrap
from cupynumeric._calls import cast, lift_all, on_host
from legate_jit.ir import dtypes
from legate_jit.ir.index import Affine
from legate_jit.store import extend

__all__ = ["einsum"]


class _Term(NamedTuple):
    """An array whose axes carry distinct labels."""

    labels: str
    array: ndarray


class _Plan(NamedTuple):
    terms: list[str]
    result: str
    sizes: dict[str, int]


def einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Any:
    """The Einstein summation of operands; see `numpy.einsum`. One operand without sums gives a view, as NumPy's."""
    arrays = operands[1:] if operands and isinstance(operands[0], str) else ()
    lifted = lift_all(*arrays)
    if not arrays or lifted is None or kwargs or out is not None:
        options = kwargs if out is None else kwargs | {"out": out}
        return on_host(np.einsum, *operands, optimize=optimize, **options)
    plan = _plan(operands[0], lifted) if isinstance(optimize, (bool, str)) else None
    if plan is None:
        return on_host(np.einsum, operands[0], *lifted, optimize=optimize)
    if len(lifted) == 1 and set(plan.terms[0]) == set(plan.result):
        return _view(lifted[0], plan.terms[0], plan.result, plan.sizes)
    return _contract(plan, lifted)


# ---- subscripts --------------------------------------------------------------------------------------------------


def _plan(subscripts: str, arrays: tuple[ndarray, ...]) -> _Plan | None:
    """Terms, result and extents, with letters in place of ellipses; None for anything NumPy should judge."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        return None
    spare = [c for c in string.ascii_letters if c not in subscripts]
    dots = max((_dots(t, x.ndim) for t, x in zip(terms, arrays, strict=True)), default=0)
    if dots < 0 or dots > len(spare) or any(_dots(t, x.ndim) < 0 for t, x in zip(terms, arrays, strict=True)):
        return None
    names = "".join(spare[:dots])
    terms = [
        _expanded(t, names[dots - max(_dots(t, x.ndim), 0) :]) for t, x in zip(terms, arrays, strict=True)
    ]
    letters = "".join(terms)
    if not arrow:
        result = "..." * bool(dots) + "".join(
            sorted(c for c in set(letters) - set(names) if letters.count(c) == 1)
        )
    elif dots and "..." not in result:
        return None
    result = _expanded(result, names)
    if not (letters + result).isalpha() and letters + result:
        return None
    if len(set(result)) != len(result) or not set(result) <= set(letters):
        return None
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays, strict=True):
        if len(term) != x.ndim or any(
            sizes.setdefault(c, n) != n for c, n in zip(term, x.shape, strict=True)
        ):
            return None
    return _Plan(terms, result, sizes)


def _dots(term: str, ndim: int) -> int:
    """How many axes a term's ellipsis stands for; negative when the term cannot fit."""
    return ndim - len(term) + 3 if "..." in term else min(ndim - len(term), 0)


def _expanded(term: str, names: str) -> str:
    return term.replace("...", names, 1)


# ---- views -------------------------------------------------------------------------------------------------------


def _view(x: ndarray, term: str, labels: str, sizes: dict[str, int]) -> ndarray:
    """x with axes in the order of `labels`; repeated labels of the term select a diagonal."""
    place = {c: k for k, c in enumerate(labels)}
    step = Affine(tuple(sizes[c] for c in labels), tuple((0, 1, place[c]) for c in term))
    return wrap(x._store, extend(x._store.type, x._lens, step), x._locked)


def _distinct(x: ndarray, term: str, sizes: dict[str, int]) -> _Term:
    labels = "".join(dict.fromkeys(term))
    return _Term(labels, x if labels == term else _view(x, term, labels, sizes))


def _ordered(term: _Term, labels: str) -> Any:
    """The term's array with axes in the order of `labels` (a permutation of its own)."""
    if labels == term.labels:
        return term.array
    return term.array.transpose(tuple(term.labels.index(c) for c in labels))


# ---- contraction -------------------------------------------------------------------------------------------------


def _contract(plan: _Plan, arrays: tuple[ndarray, ...]) -> Any:
    dtype = dtypes.canonical(np.result_type(*(x.dtype for x in arrays)))
    terms = [_distinct(cast(x, dtype), t, plan.sizes) for t, x in zip(plan.terms, arrays, strict=True)]
    for k, l in _path(plan, arrays):  # noqa: E741  two positions
        first, second = terms[k], terms[l]
        terms = [t for m, t in enumerate(terms) if m not in (k, l)]
        needed = set(plan.result).union(*(t.labels for t in terms))
        terms.append(_pair(first, second, needed, plan.sizes))
    last = _summed(terms[0], set(plan.result))
    return _ordered(last, plan.result)


def _path(plan: _Plan, arrays: tuple[ndarray, ...]) -> list[tuple[int, int]]:
    """Pairs of positions, each contracted and appended at the end."""
    count = len(arrays)
    if count <= 2:
        return [(0, 1)] * (count - 1)
    hollow = [np.broadcast_to(np.zeros(()), x.shape) for x in arrays]
    steps = np.einsum_path(",".join(plan.terms) + "->" + plan.result, *hollow, optimize="greedy")[0][1:]
    pairs: list[tuple[int, int]] = []
    for step in steps:
        chosen = sorted(step)
        pairs.append((chosen[0], chosen[1]))
        # More than two at once: the result (last) with the next, whose position moved by two.
        for _ in chosen[2:]:
            count -= 1
            pairs.append((chosen[0], count - 1))
        count -= 1
    return pairs


def _summed(term: _Term, needed: set[str]) -> _Term:
    """The term summed over labels nobody needs."""
    over = tuple(d for d, c in enumerate(term.labels) if c not in needed)
    if not over:
        return term
    done = _reductions.sum(term.array, over, dtype=term.array.dtype)
    return _Term("".join(c for c in term.labels if c in needed), done)


def _pair(first: _Term, second: _Term, needed: set[str], sizes: dict[str, int]) -> _Term:
    """The product of two terms, summed over what nobody else needs."""
    a = _summed(first, needed | set(second.labels))
    b = _summed(second, needed | set(first.labels))
    shared = [c for c in a.labels if c in b.labels]
    batch = "".join(c for c in shared if c in needed)
    inner = "".join(c for c in shared if c not in needed)
    left = "".join(c for c in a.labels if c not in shared)
    right = "".join(c for c in b.labels if c not in shared)
    if not inner or not (left or right):
        space = batch + left + right + inner
        done = _ufunc.multiply(_spread(a, space, sizes), _spread(b, space, sizes))
        return _summed(_Term(space, done), set(batch + left + right))
    x = _blocks(_ordered(a, batch + left + inner), (batch, left, inner), sizes)
    y = _blocks(_ordered(b, batch + inner + right), (batch, inner, right), sizes)
    done = _products.product(x, y)
    labels = batch + left + right
    return _Term(labels, done.reshape(tuple(sizes[c] for c in labels)))


def _spread(term: _Term, space: str, sizes: dict[str, int]) -> Any:
    """The term over the whole index space: unit axes where it does not vary."""
    order = "".join(c for c in space if c in term.labels)
    return _ordered(term, order).reshape(tuple(sizes[c] if c in term.labels else 1 for c in space))


def _blocks(x: Any, groups: tuple[str, ...], sizes: dict[str, int]) -> Any:
    """x as a stack of matrices: one axis per group of labels, none for an empty stack."""
    shape = []
    for k, group in enumerate(groups):
        if k == 0 and not group:
            continue
        extent = 1
        for c in group:
            extent *= sizes[c]
        shape.append(extent)
    return x.reshape(tuple(shape))
