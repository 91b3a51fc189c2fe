"""Functions that NumPy composes of others, of arrays in parts: NumPy's values, dtypes and errors, and nothing is gathered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.test_applied import gathered as gathered

import cupynumeric
import legate

World = Callable[[int], None]
SIZES = [1, 2, 4, 7]


def both(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """An array of ours that lies in parts, and NumPy's."""
    found, expected = make(cupynumeric), make(np)
    legate.fence()
    return found, expected


def ramp(lib: Any, shape: tuple[int, ...], dtype: str, step: int = 37, limit: int = 101) -> Any:
    n = int(np.prod(shape))
    return (lib.arange(n) * step % limit).astype(dtype).reshape(shape)


EXACT = """
vander(x('f8', 90), 4)
vander(x('i2', 90), 3, increasing=True)
vander(x('?', 90), 1)
vander(x('f4', 90) / 100, 9)
unwrap(x('f8', 90))
unwrap(x('f4', 90) / 7, 2.0)
unwrap(x('i4', 90), period=24)
unwrap(x('i4', 90), period=25)
unwrap(x('f8', 9, 12), axis=0)
unwrap(x('f8', 9, 12), axis=1, period=3.0)
unwrap(x('f8', 3, 4, 20)[:, ::-1], axis=1)
packbits(x('u1', 90) > 50)
packbits(x('u1', 90) % 3, bitorder='little')
packbits(x('i8', 9, 20) > 50, axis=0)
packbits(x('?', 9, 20), 1, 'little')
packbits(x('i4', 9, 20).T % 2)
packbits(x('?', 3))
unpackbits(x('u1', 90))
unpackbits(x('u1', 90), bitorder='little')
unpackbits(x('u1', 9, 20), axis=1)
unpackbits(x('u1', 9, 20), axis=0, count=50)
unpackbits(x('u1', 9, 20), axis=0, count=-3)
unpackbits(x('u1', 90), count=1000)
unpackbits(x('u1', 90), count=0)
i0(x('f8', 90) / 7)
i0(x('f4', 9, 12))
i0(x('i4', 90))
asarray_chkfinite(x('f8', 90))
""".strip().splitlines()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", EXACT)
def test_exactly(dealt: World, gathered: list[int], size: int, text: str) -> None:
    dealt(size)
    results = []
    for lib in (cupynumeric, np):
        names = {"x": lambda dtype, *shape, lib=lib: ramp(lib, shape, dtype), "lib": lib}
        results.append(eval(f"lib.{text}", names))
        if lib is cupynumeric:
            legate.fence()
            assert sum(gathered) == 0
    found, expected = results
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if text.startswith("unwrap"):  # running sums are added in another order
        np.testing.assert_allclose(found, expected, 1e-5 if expected.dtype == np.float32 else 1e-13)
    else:
        np.testing.assert_array_equal(np.asarray(found), expected)


ERRORS = """
vander(x('f8', 9, 4), 3)
packbits(x('f8', 90))
packbits(x('u1', 90), 1)
packbits(x('u1', 90), 0, 'middle')
unpackbits(x('u2', 90))
unpackbits(x('u1', 90), count=-1000)
unwrap(x('f8', 90), axis=3)
i0(x('c16', 90))
asarray_chkfinite(x('f8', 90) / x('f8', 90))
polyfit(x('f8', 90), x('f8', 80), 2)
polyfit(x('f8', 90), x('f8', 90), -1)
linalg.tensorinv(x('f8', 9, 10), 0)
linalg.tensorsolve(x('f8', 9, 10), x('f8', 9))
""".strip().splitlines()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("text", ERRORS)
def test_errors(dealt: World, text: str) -> None:
    dealt(3)
    raised = []
    for lib in (cupynumeric, np):
        names = {"x": lambda dtype, *shape, lib=lib: ramp(lib, shape, dtype), "lib": lib}
        with pytest.raises(Exception) as found:
            eval(f"lib.{text}", names)
        raised.append(found)
    assert raised[0].type is raised[1].type


@pytest.mark.parametrize("size", SIZES)
def test_covariance(dealt: World, size: int) -> None:
    dealt(size)
    for shape in ((5, 60), (60,), (9, 11)):
        x, expected = both(lambda lib, shape=shape: ramp(lib, shape, "f8"))
        y, more = both(lambda lib, shape=shape: ramp(lib, shape, "f8", 11, 97))
        for a, b in (
            (cupynumeric.corrcoef(x), np.corrcoef(expected)),
            (cupynumeric.corrcoef(x, y), np.corrcoef(expected, more)),
            (cupynumeric.corrcoef(x, rowvar=False), np.corrcoef(expected, rowvar=False))
            if len(shape) == 2 and shape[0] > 5
            else (cupynumeric.cov(x), np.cov(expected)),
            (cupynumeric.cov(x, y), np.cov(expected, more)),
            (cupynumeric.cov(x, y, False), np.cov(expected, more, False)),
            (cupynumeric.cov(x, y[..., :-1] if len(shape) == 1 else y[:1], True) if len(shape) == 2 else x,
             np.cov(expected, more[:1], True) if len(shape) == 2 else expected),
        ):  # fmt: skip
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, 1e-9, 1e-9)


WEIGHTS: list[dict[str, Any]] = [
    {"fweights": lambda lib, n: lib.arange(n) % 4},
    {"aweights": lambda lib, n: lib.linspace(0.1, 3, n)},
    {"fweights": lambda lib, n: lib.arange(n) % 3, "aweights": lambda lib, n: lib.linspace(0.1, 3, n)},
    {"aweights": lambda lib, n: lib.linspace(0.1, 3, n), "ddof": 0},
    {"fweights": lambda lib, n: lib.arange(n) % 4, "bias": True},
    {"fweights": lambda lib, n: lib.arange(n) % 4, "ddof": 3, "dtype": "f4"},
]
REFUSED: list[dict[str, Any]] = [
    {"fweights": lambda lib, n: lib.linspace(0, 1, n)},
    {"fweights": lambda lib, n: -lib.arange(n)},
    {"aweights": lambda lib, n: -lib.arange(n)},
    {"aweights": lambda lib, n: lib.zeros(n)},
    {"aweights": lambda lib, n: lib.ones(n + 1)},
    {"fweights": lambda lib, n: lib.ones((n, 2))},
]


@pytest.mark.parametrize("size", SIZES)
def test_weighted_covariance(dealt: World, gathered: list[int], size: int) -> None:
    dealt(size)

    def outcome(lib: Any, x: Any, y: Any, options: dict[str, Any]) -> Any:
        n = x.shape[-1]
        given = {k: v(lib, n) if callable(v) else v for k, v in options.items()}
        try:
            return lib.cov(x, y, **given)
        except Exception as error:
            return type(error), str(error)

    for shape, dtype in (((5, 60), "f8"), ((60,), "f8"), ((4, 60), "i4"), ((3, 60), "c16")):
        x, expected = both(lambda lib, shape=shape, dtype=dtype: ramp(lib, shape, dtype))
        for more in (None, 2 * expected + 1):
            for options in WEIGHTS:
                if dtype == "c16" and "dtype" in options:
                    continue
                gathered.clear()
                a = outcome(cupynumeric, x, None if more is None else 2 * x + 1, options)
                assert sum(gathered) == 0
                b = outcome(np, expected, more, options)
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                close = 1e-4 if "dtype" in options else 1e-9
                np.testing.assert_allclose(a, b, close, close)
    for options in REFUSED:
        assert outcome(cupynumeric, x, None, options) == outcome(np, expected, None, options)


@pytest.mark.parametrize("size", SIZES)
def test_polynomials(dealt: World, gathered: list[int], size: int) -> None:
    dealt(size)
    x, there = both(lambda lib: lib.arange(120) / 30.0)
    y, more = both(lambda lib: ramp(lib, (120,), "f8") + lib.arange(120) ** 2)
    w, weights = both(lambda lib: 1.0 / (1 + lib.arange(120)))
    gathered.clear()
    for options in ({}, {"rcond": 1e-9}, {"cov": True}, {"cov": "unscaled"}, {"full": True}):
        for weighted in (False, True):
            found = cupynumeric.polyfit(x, y, 3, w=w if weighted else None, **options)
            expected = np.polyfit(there, more, 3, w=weights if weighted else None, **options)
            for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, expected)), strict=True):
                np.testing.assert_allclose(a, b, 1e-7)
    several = cupynumeric.polyfit(x, cupynumeric.stack([y, w], 1), 2, cov=True)
    for a, b in zip(several, np.polyfit(there, np.stack([more, weights], 1), 2, cov=True), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, 1e-7, 1e-12)
    assert max(gathered, default=0) < 120 * 8
    with pytest.warns(np.exceptions.RankWarning):
        cupynumeric.polyfit(x * 0 + 1, y, 3)


@pytest.mark.parametrize("size", [1, 4])
def test_tensors(dealt: World, size: int) -> None:
    dealt(size)
    a, there = both(lambda lib: lib.eye(24).reshape(24, 4, 6) * 3 + ramp(lib, (24, 4, 6), "f8") / 900)
    np.testing.assert_allclose(cupynumeric.linalg.tensorinv(a, 1), np.linalg.tensorinv(there, 1), 1e-9, 1e-12)
    b, right = both(lambda lib: ramp(lib, (24,), "f8"))
    np.testing.assert_allclose(
        cupynumeric.linalg.tensorsolve(a, b), np.linalg.tensorsolve(there, right), 1e-9, 1e-12
    )
