"""Reductions, moments and NaN reductions against NumPy."""

from __future__ import annotations

import numpy
import pytest
from api.compare import check

import cupynumeric as cn

NAMES = {
    "x": lambda np: np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2] * 1.37,
    "f": lambda np: (np.arange(24.0).reshape(2, 3, 4) * 1.37).astype("f4").T,
    "h": lambda np: (np.arange(24.0).reshape(2, 3, 4) * 1.37).astype("f2"),
    "i": lambda np: (np.arange(24, dtype="i4").reshape(4, 6) * 7 % 13 - 5)[::2],
    "b": lambda np: np.arange(24).reshape(4, 6) % 3 == 0,
    "u": lambda np: np.arange(24, dtype="u1").reshape(4, 6) * 9,
    "c": lambda np: np.arange(24).reshape(4, 6) % 7 + 1j * np.arange(6),
    "n": lambda np: np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [2.0, 0.5, -1.0]]),
    "z": lambda np: np.zeros((3, 0, 2)),
    "s": lambda np: np.array(3.5),
    "w": lambda np: np.arange(24).reshape(4, 6) % 2 == 0,
}

AXES = [
    "",
    ", axis=0",
    ", axis=-1",
    ", axis=(0, 1)",
    ", axis=1, keepdims=True",
    ", keepdims=True",
    ", axis=()",
]
PLAIN = ["sum", "prod", "max", "min", "any", "all", "mean", "var", "std", "ptp"]


def run(source: str) -> None:
    check(source, exact=False, **NAMES)


@pytest.mark.parametrize("name", [*PLAIN, "argmax", "argmin", "count_nonzero", "amax", "amin"])
@pytest.mark.parametrize("array", list("xfhibucs"))
def test_axes(name: str, array: str) -> None:
    for args in AXES:
        if (name.startswith("arg") and "(" in args) or (
            array == "h" and name in ("var", "std", "sum", "prod", "mean")
        ):
            continue
        run(f"np.{name}({array}{args})")


@pytest.mark.parametrize("name", ["var", "std", "sum", "prod", "mean"])
def test_half_precision_accumulates_in_single(name: str) -> None:
    got = getattr(__import__("cupynumeric"), name)(numpy.arange(10, dtype="f2"))
    assert got.dtype == numpy.float16
    numpy.testing.assert_allclose(
        numpy.asarray(got), getattr(numpy, name)(numpy.arange(10, dtype="f2")), rtol=2e-3
    )


@pytest.mark.parametrize(
    "name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanargmax", "nanargmin"]
)
def test_nan_reductions(name: str) -> None:
    for array in "nxib":
        for args in AXES[:-1]:
            if name.startswith("nanarg") and "(" in args:
                continue
            if array == "b" and name in ("nanvar", "nanstd", "nanmean"):
                continue
            run(f"np.{name}({array}{args})")


@pytest.mark.parametrize(
    "name", ["nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile", "median"]
)
def test_order_statistics(name: str) -> None:
    for q in ("",) if "median" in name else (", 0.5", ", [0.1, 0.9]"):
        for args in ("", ", axis=0", ", axis=(0, 1), keepdims=True"):
            run(f"np.{name}(n{q}{args})")
            run(f"np.{name}(x{q}{args})")
            run(f"np.{name}(i{q}{args})")


@pytest.mark.parametrize(
    "source",
    [
        "np.sum(i, dtype='f4')",
        "np.sum(x, dtype='i4')",
        "np.sum(x, dtype='c16')",
        "np.sum(u)",
        "np.sum(u, dtype='u1')",
        "np.sum(b, dtype='?')",
        "np.prod(u, axis=0)",
        "np.sum([1, 2, 3])",
        "np.sum([[1, 2], [3, 4]], 0)",
        "np.sum(5)",
        "np.sum(s, axis=0)",
        "np.sum(s, axis=1)",
        "np.sum(x, axis=3)",
        "np.sum(x, axis=(0, 0))",
        "np.sum(x, axis=(0, 3))",
        "np.sum(x, axis=1.0)",
        "np.sum(x, initial=5)",
        "np.prod(x, initial=5, axis=1)",
        "np.max(x, initial=5)",
        "np.min(i, initial=-100)",
        "np.max(x, axis=1, initial=5, where=x > 9)",
        "np.max(x, where=x > 9)",
        "np.sum(i, where=i > 2)",
        "np.sum(b, where=w, axis=0)",
        "np.any(b, where=w, axis=0)",
        "np.all(b, where=w, axis=1)",
        "np.mean(b, where=w)",
        "np.mean(u, where=w, axis=1, keepdims=True)",
        "np.var(u, where=w, axis=1)",
        "np.std(u, where=w, axis=0, ddof=1)",
        "np.mean(u, dtype='f4')",
        "np.mean(x, dtype='f4')",
        "np.var(f, dtype='f8')",
        "np.var(x, ddof=1)",
        "np.var(x, axis=0, ddof=3)",
        "np.var(x, axis=1, correction=1)",
        "np.var(x, ddof=1, correction=1)",
        "np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True))",
        "np.std(c)",
        "np.var(c, axis=0)",
        "np.max(c)",
        "np.min(c, axis=0)",
        "np.argmax(c, axis=1)",
        "np.sum(z)",
        "np.sum(z, axis=1)",
        "np.prod(z, axis=1)",
        "np.max(z)",
        "np.max(z, axis=1)",
        "np.max(z, axis=0)",
        "np.min(z, axis=(0, 1))",
        "np.argmax(z)",
        *(
            f"np.{f}(np.zeros({shape}), axis={axis})"
            for f in ("max", "argmax", "sum", "any")
            for shape in ((0, 0), (3, 0), (0, 3))
            for axis in (0, 1, None)
        ),
        "np.argmax(z, axis=1)",
        "np.argmin(z, axis=0)",
        "np.any(z)",
        "np.all(z)",
        "np.mean(z)",
        "np.mean(z, axis=1)",
        "np.var(z, axis=0)",
        "np.ptp(z)",
        "np.argmax(x, axis=5)",
        "np.argmax(n)",
        "np.argmin(n, axis=0)",
        "np.max(n, axis=0)",
        "np.min(n)",
        "np.argmax([3, 1, 3])",
        "np.argmax(s)",
        "np.any([0.0, np.nan])",
        "np.all([])",
        "np.count_nonzero(n)",
        "np.count_nonzero(i, axis=0, keepdims=True)",
        "np.count_nonzero(c)",
        "out = np.zeros(6); np.sum(u, axis=0, out=out); result = out",
        "out = np.zeros(6, 'u1'); np.sum(u, axis=0, out=out); result = out",
        "out = np.zeros(5); np.sum(u, axis=0, out=out); result = out",
        "out = np.zeros(6, 'i8'); np.argmax(u, axis=0, out=out); result = out",
        "out = np.zeros(5, 'i8'); np.argmax(u, axis=0, out=out); result = out",
        "out = np.zeros(6); np.mean(u, axis=0, out=out); result = out",
        "out = np.zeros(6); np.std(u, axis=0, out=out); result = out",
        "out = np.zeros(6, '?'); np.any(u, axis=0, out=out); result = out",
        "out = np.zeros(()); np.sum(u, out=out); result = out",
        "np.cumsum(i)",
        "np.cumsum(i, axis=0)",
        "np.cumsum(u, axis=1, dtype='u1')",
        "np.cumsum(b, axis=1)",
        "np.cumsum(x, axis=1)",
        "np.cumsum(h, axis=-1)",
        "np.cumsum(c, axis=1)",
        "np.cumprod(x[0] + 1, axis=1)",
        "np.cumsum(s)",
        "np.cumsum(s, axis=0)",
        "np.cumsum(z)",
        "np.cumsum(i, axis=7)",
        "out = np.zeros((2, 6)); np.cumsum(i, axis=0, out=out); result = out",
        "np.cumulative_sum(i, axis=0)",
        "np.cumulative_sum(i)",
        "np.cumulative_sum(i[0], include_initial=True)",
        "np.cumulative_prod(i, axis=1, include_initial=True)",
        "np.nancumsum(n, axis=0)",
        "np.nancumprod(n)",
        "np.nanargmax(n, axis=1)",
        "np.nanargmax(n, axis=0)",
        "np.nansum(c)",
        "np.nanmax(c)",
        "np.nanmean(n, axis=1, keepdims=True)",
        "np.nanvar(n, ddof=1, axis=0)",
        "np.nanmax(z)",
        "np.average(x)",
        "np.average(x, axis=1)",
        "np.average(i, axis=1, weights=np.arange(6))",
        "np.average(i, weights=np.ones((2, 6)), returned=True)",
        "np.average(i, axis=0, returned=True)",
        "np.average(i, axis=1, weights=np.zeros(6))",
        "np.average(i, weights=np.arange(6))",
        "np.average(i, axis=0, weights=np.arange(6))",
        "np.average(x, axis=(0, 2), weights=np.arange(4.).reshape(2, 2), keepdims=True)",
    ],
)
def test_arguments(source: str) -> None:
    run(source)


def test_sums_of_many_numbers_are_as_accurate_as_pairwise() -> None:
    import cupynumeric as np

    x = numpy.random.default_rng(0).random(1_000_003).astype("f4")
    exact = x.astype("f8").sum()
    assert abs(float(np.array(x).sum()) - exact) <= 2 * abs(float(x.sum()) - exact) + 1e-7 * exact


def test_moments_fuse() -> None:
    """A mean and a deviation of something that is computed materialize nothing but their results."""
    import cupynumeric as np
    from legate_jit import runtime

    x = np.array(numpy.random.default_rng(0).random((200, 300)))
    runtime.fence()
    runtime.counters.reset()
    y = (x * 2 + 1).std(axis=1)
    runtime.fence()
    assert y.shape == (200,)
    assert runtime.counters.calls == 0


@pytest.mark.parametrize("length", [2, 3, 5, 8])
@pytest.mark.parametrize("name", ["sum", "max", "argmin", "mean", "var"])
def test_short_rows(length, name):
    x = numpy.random.default_rng(9).random((7001, length))
    ours = getattr(cn.array(x), name)(axis=1)
    numpy.testing.assert_allclose(ours, getattr(x, name)(axis=1), rtol=1e-14)


def test_short_rows_of_pairs():
    x, c = numpy.random.default_rng(9).random((5003, 8)), numpy.random.default_rng(8).random((17, 8))
    y, d = cn.array(x), cn.array(c)
    ours = ((y[:, None, :] - d[None, :, :]) ** 2).sum(axis=2)
    numpy.testing.assert_allclose(ours, ((x[:, None, :] - c[None, :, :]) ** 2).sum(axis=2), rtol=1e-13)
