"""Users' scalar functions against NumPy's vectorize, and that they are compiled and fused."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from api.compare import check, same, settled

import cupynumeric as np
from cupynumeric import _vectorize
from legate_jit import runtime, user


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_vectorize, "WORTH", 1)


SCALE = 3.0


def decay(x: Any) -> Any:
    if x > 0:
        return math.exp(-x) * x**2
    return x / 3


def larger(a: Any, b: Any) -> Any:
    return a if a > b else b


def inside(x: Any) -> Any:
    return x > 0 and x < 1


def escape(c: Any) -> Any:
    z, n = 0.0, 0
    while n < 50 and z * z < 4:
        z = z * z + c
        n += 1
    return n


def scaled(x: Any) -> Any:
    return x * SCALE


X = numpy.linspace(-2, 2, 1001)
I = numpy.arange(1001) % 7 - 2  # noqa: E741


@pytest.mark.parametrize(
    ("function", "args", "compiled"),
    [
        (decay, (X,), True),
        (decay, (X.astype("f4"),), True),
        (decay, (I,), False),  # an int for some, a float for others: NumPy's dtype is that of the first
        (larger, (I, I[::-1]), True),
        (larger, (X, X[:1]), True),
        (larger, (I, 0), True),
        (inside, (X,), True),
        (escape, (X,), True),
        (scaled, (X,), True),
        (lambda a: a * 2 + 1, (I.astype("i2"),), True),
        (lambda a, b=2: a * b, (X,), False),
        (lambda a: abs(a) + max(a, 0.5) + math.sin(a), (X,), True),
        (lambda a: a.real, (X + 1j,), False),
    ],
)
def test_vectorize(function: Any, args: tuple[Any, ...], compiled: bool) -> None:
    theirs = numpy.vectorize(function)(*args)
    ours = np.vectorize(function)(*[np.array(a) if isinstance(a, numpy.ndarray) else a for a in args])
    assert isinstance(ours, np.ndarray) == (theirs.dtype.kind in "biufc")
    same(theirs, settled(ours), exact=False)
    codes = tuple(user.code_of(numpy.asarray(a).dtype) for a in args)
    if compiled:
        assert user.compiled(function, codes) is not None


def test_mixed_arguments() -> None:
    function = np.vectorize(lambda x, n: x * n if n > 0 else x)
    ours = function(np.array(X), np.array(I))
    same(numpy.vectorize(function.pyfunc)(X, I), settled(ours), exact=False)


@pytest.mark.one_rank
def test_it_fuses() -> None:
    x = np.array(numpy.random.default_rng(0).normal(size=300_000))
    function = np.vectorize(decay, otypes=[float])
    for _ in range(4):
        runtime.fence()
        runtime.counters.reset()
        total = (function(x * 2) + 1).sum()
        runtime.fence()
        assert runtime.counters.calls == 0
    numpy.testing.assert_allclose(total, (numpy.vectorize(decay)(numpy.asarray(x) * 2) + 1).sum())


def test_globals_are_read_when_called(monkeypatch: pytest.MonkeyPatch) -> None:
    function = np.vectorize(scaled)
    numpy.testing.assert_array_equal(function(np.array(X)), X * 3)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    numpy.testing.assert_array_equal(function(np.array(X)), X * 5)


def test_what_may_raise_raises() -> None:
    def refuse(x: float) -> float:
        if x < 0:
            raise ValueError("negative")
        return x

    with pytest.raises(ValueError, match="negative"):
        np.vectorize(refuse)(np.array(X))


def test_side_effects_happen_once_per_element() -> None:
    seen: list[float] = []

    def note(x: float) -> float:
        seen.append(x)
        return x

    np.vectorize(note, otypes=[float])(np.array(X[:10]))
    assert len(seen) == 10


def test_as_decorator_and_with_signature() -> None:
    @np.vectorize(otypes=[float])
    def twice(x: float) -> float:
        return 2 * x

    numpy.testing.assert_array_equal(twice(np.array(X)), 2 * X)
    total = np.vectorize(lambda v: v.sum(), signature="(n)->()")
    numpy.testing.assert_allclose(total(np.ones((3, 4))), [4, 4, 4])


@pytest.mark.parametrize(
    "source",
    [
        "np.piecewise(x, [x < 0, x >= 1], [-1, 1])",
        "np.piecewise(x, [x < 0, x >= 1], [-1, 1, 7])",
        "np.piecewise(x, [x < 0, x >= 1], [lambda v: -v, np.sqrt, lambda v: v * 2])",
        "np.piecewise(x, x < 0, [lambda v: -v, 3])",
        "np.piecewise(x, [x > 99, x < 0], [lambda v: v / v.max(), 1])",
        "np.piecewise(x, [x < 0], [lambda v, k: v * k, 0], 4)",
        "np.piecewise(x, [x < 0], [1, 2, 3])",
        "np.piecewise(np.arange(5), [np.arange(5) < 2], [0.7, 1.9])",
        "np.piecewise(3, [True], [5])",
        "np.frompyfunc(lambda a, b: a + b, 2, 1)(x, 1).dtype",
        "np.frompyfunc(lambda a, b: a + b, 2, 1).reduce([1, 2, 3])",
    ],
)
def test_piecewise(source: str) -> None:
    check(source, x=X)
