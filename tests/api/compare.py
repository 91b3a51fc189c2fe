"""Differential testing: an expression must give the same with NumPy and with this package.

Values, dtypes, shapes and nesting must agree; an expression that raises in NumPy must raise the same class with the same text.
Reductions and element reads give 0-d arrays where NumPy gives scalars (a documented difference), which compare as equal.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy

import cupynumeric
from cupynumeric._array import Ours


def outcome(source: str, np: Any, names: dict[str, Any]) -> Any:
    """The value of an expression (or of `result` after statements), or the exception it raised."""
    scope = {"np": np, **names}
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            if "result" in source:
                exec(source, scope)
                found = scope["result"]
            else:
                found = eval(source, scope)
            return settled(found)
        except Exception as e:
            return e


def settled(x: Any) -> Any:
    """x with our arrays as NumPy's."""
    if isinstance(x, Ours):
        return numpy.asarray(x)
    if isinstance(x, (tuple, list)):
        return [settled(e) for e in x]
    return x


def same(theirs: Any, ours: Any, exact: bool = True) -> None:
    """Assert that two outcomes agree."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert isinstance(ours, Exception) and isinstance(theirs, Exception), (
            f"NumPy: {theirs!r}; ours: {ours!r}"
        )
        assert type(ours) is type(theirs), f"NumPy: {theirs!r}; ours: {ours!r}"
        assert str(ours) == str(theirs), f"text: {ours!s} instead of {theirs!s}"
        return
    if isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs), f"NumPy: {theirs!r}; ours: {ours!r}"
        for a, b in zip(theirs, ours, strict=True):
            same(a, b, exact)
        return
    if isinstance(theirs, (numpy.ndarray, numpy.generic)):
        a, b = numpy.asarray(theirs), numpy.asarray(ours)
        assert a.dtype == b.dtype, f"dtype {b.dtype} instead of {a.dtype}"
        assert a.shape == b.shape, f"shape {b.shape} instead of {a.shape}"
        if exact:
            numpy.testing.assert_array_equal(b, a)
        else:
            rtol = 1e-2 if a.dtype == numpy.float16 else 1e-6 if a.dtype.itemsize < 8 else 1e-12
            numpy.testing.assert_allclose(b, a, rtol=rtol)
        return
    assert type(ours) is type(theirs) or type(theirs).__name__ == type(ours).__name__, (
        f"{theirs!r} and {ours!r}"
    )
    assert ours == theirs


def check(source: str, exact: bool = True, **names: Any) -> None:
    """Run `source` with both packages; `names` are NumPy arrays or makers that take the package."""
    theirs = outcome(source, numpy, {k: _given(v, numpy) for k, v in names.items()})
    ours = outcome(source, cupynumeric, {k: _given(v, cupynumeric) for k, v in names.items()})
    same(theirs, ours, exact)


def _given(x: Any, np: Any) -> Any:
    if callable(x):
        return x(np)
    if isinstance(x, numpy.ndarray):
        return x.copy() if np is numpy else np.array(x)
    return x
