"""`numpy.lib.stride_tricks`: windows as views, and reductions over windows, of which none is made."""

from __future__ import annotations

import warnings
from typing import Any

import numpy
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime

SHAPES = [
    ((10,), 3, None),
    ((10,), (7,), 0),
    ((10,), 10, None),
    ((10,), 1, None),
    ((7, 9), (2, 3), None),
    ((7, 9), 3, 1),
    ((7, 9), 4, 0),
    ((5, 6, 7), (2, 3), (2, 0)),
    ((7, 9), (2, 2), (0, 0)),
    ((5, 6, 7), (2, 2, 3), None),
]
VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1],
    "part": lambda x: x[1:] if x.shape[0] > 8 else x[..., ::1],
}


def pairs(shape: Any, window: Any, axis: Any, view: str, dtype: str = "f8") -> tuple[Any, Any]:
    """NumPy's windows and ours; None twice where there are none."""
    a = (numpy.random.default_rng(5).random(shape) * 3).astype(dtype)
    c = np.array(a)
    try:
        theirs = numpy.lib.stride_tricks.sliding_window_view(VIEWS[view](a), window, axis)
    except ValueError as error:
        with pytest.raises(ValueError, match="window shape") as ours:
            np.lib.stride_tricks.sliding_window_view(VIEWS[view](c), window, axis)
        assert str(ours.value) == str(error)
        return None, None
    return theirs, np.lib.stride_tricks.sliding_window_view(VIEWS[view](c), window, axis)


def check(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    host = numpy.asarray(got)
    assert (host.shape, host.dtype) == (numpy.shape(expected), expected.dtype)
    numpy.testing.assert_allclose(host, expected, rtol=rtol)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("shape", "window", "axis"), SHAPES)
def test_windows(shape: Any, window: Any, axis: Any, view: str) -> None:
    theirs, ours = pairs(shape, window, axis, view)
    if theirs is None:
        return
    check(ours, theirs)
    check(ours * 2 + 1, theirs * 2 + 1)
    check(ours[1:, ..., 0], theirs[1:, ..., 0])
    check(np.swapaxes(ours, 0, -1), numpy.swapaxes(theirs, 0, -1))
    assert ours.strides == theirs.strides
    assert not ours.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        ours[0] = 1


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "?", "c16"])
@pytest.mark.parametrize(("shape", "window", "axis"), [SHAPES[k] for k in (0, 2, 4, 7, 8)])
def test_reductions(shape: Any, window: Any, axis: Any, dtype: str) -> None:
    theirs, ours = pairs(shape, window, axis, "whole", dtype)
    added = tuple(range(len(shape), theirs.ndim))
    for name in ("sum", "prod", "max", "min", "mean", "var", "any", "all"):
        for axes in (added, -1, None, (0, *added)):
            for keep in (False, True)[: 1 + (axes == added)]:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = getattr(theirs, name)(axis=axes, keepdims=keep)
                got = getattr(ours, name)(axis=axes, keepdims=keep)
                check(got, expected, 1e-4 if dtype == "f4" else 1e-9)
    close = 1e-5 if dtype == "f4" else 1e-12
    if dtype != "c16":
        check(ours.sum(-1, dtype="f4"), theirs.sum(-1, dtype="f4"), 1e-5)
    check(ours.sum(-1, initial=3), theirs.sum(-1, initial=3), close)
    check(ours.sum(-1, where=theirs != 0), theirs.sum(-1, where=theirs != 0), close)
    out = np.empty(theirs.shape[:-1])
    if dtype != "c16":
        assert ours.sum(-1, out=out) is out
        check(out, theirs.sum(-1).astype(float), 1e-5)


def test_what_is_not_finite_stays_in_its_windows() -> None:
    a = numpy.arange(20.0)
    a[3], a[11], a[12] = numpy.nan, numpy.inf, -numpy.inf
    ours = np.lib.stride_tricks.sliding_window_view(np.array(a), 3)
    theirs = numpy.lib.stride_tricks.sliding_window_view(a, 3)
    with numpy.errstate(all="ignore"):
        for name in ("sum", "mean", "max", "min"):
            numpy.testing.assert_array_equal(getattr(ours, name)(-1), getattr(theirs, name)(-1))


def test_they_are_views() -> None:
    x = np.arange(8.0)
    w = np.lib.stride_tricks.sliding_window_view(x, 3)
    before = w.mean(-1)
    x[4] = 100
    assert w[2].tolist() == [2, 3, 100]
    assert before.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.shares_memory(w, x)


def test_errors_are_numpys() -> None:
    for args in (((4,), 5), ((4,), -1), ((4, 4), 2), ((4, 4), (2, 2, 2)), ((4,), 2, 3), ((4,), "a")):
        outcomes = []
        for xp in (numpy, np):
            with pytest.raises(Exception) as error:
                xp.lib.stride_tricks.sliding_window_view(xp.zeros(args[0]), *args[1:])
            outcomes.append((error.type, str(error.value)))
        assert outcomes[0] == outcomes[1]
    assert np.lib.stride_tricks.sliding_window_view(np.arange(4), 0).shape == (5, 0)


def test_no_window_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over windows is one fused kernel, and needs memory for its result only."""
    from legate_jit.backends import memory
    from legate_jit.running import tiers

    if runtime.world is not None:
        pytest.skip("of one rank")
    monkeypatch.setattr(tiers.policy, "interpret_runs", 0)
    x = np.array(numpy.random.default_rng(0).random(200_000))
    y = np.array(numpy.random.default_rng(0).random((500, 500)))
    legate.fence()
    for make in (
        lambda: np.lib.stride_tricks.sliding_window_view(x, 5).mean(-1),
        lambda: np.lib.stride_tricks.sliding_window_view(y, (3, 3)).max((2, 3)),
    ):
        legate.fence()
        launches, memory.stats.peak = runtime.counters.launches, 0
        live = memory.stats.live
        result = make()
        legate.fence()
        assert runtime.counters.launches == launches + 1
        assert memory.stats.peak - live < 1.5 * result.nbytes


STRIDED = [
    ("arange(12.)", (10, 3), (8, 8)),
    ("arange(12.)", (5, 3), (16, 8)),
    ("arange(12.)", (3, 4), (24, 8)),
    ("arange(12.)", (4,), (24,)),
    ("arange(12.)", (3, 12), (0, 8)),
    ("arange(12.)", (10, 3), (8, 0)),
    ("arange(12.)[::2]", (4, 3), (16, 16)),
    ("arange(12.).reshape(3, 4)", (2, 2, 2, 2), (32, 16, 32, 8)),
    ("arange(12.).reshape(3, 4).T", (3, 2, 2, 2), (8, 32, 8, 32)),
]


@pytest.mark.parametrize(("source", "shape", "strides"), STRIDED)
def test_strided(source: str, shape: Any, strides: Any) -> None:
    theirs = numpy.lib.stride_tricks.as_strided(eval("numpy." + source), shape, strides)
    x = eval("np." + source)
    ours = np.lib.stride_tricks.as_strided(x, shape, strides)
    check(ours, theirs)
    assert ours.strides == theirs.strides
    check(ours.sum(-1), theirs.sum(-1))
    x[...] = 7.0
    assert (ours == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        ours[...] = 0


def test_strided_otherwise() -> None:
    """Copies, which are not to be written either: it would be lost."""
    a = numpy.arange(12.0)
    ours = np.lib.stride_tricks.as_strided(np.array(a), (3, 2, 2), (8, 16, 8))
    check(ours, numpy.lib.stride_tricks.as_strided(a, (3, 2, 2), (8, 16, 8)))
    with pytest.raises(ValueError, match="read-only"):
        ours[0] = 1
