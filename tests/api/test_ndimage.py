"""Image filters against SciPy."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import cupynumeric as np
from legate_jit import runtime

scipy_ndimage = pytest.importorskip("scipy.ndimage")

X = numpy.random.default_rng(0).random((13, 17))
MODES = ["reflect", "constant", "nearest", "mirror", "wrap", "grid-wrap", "grid-mirror", "grid-constant"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (4, 1), (1, 1)])
def test_convolve(mode: str, shape: tuple[int, int]) -> None:
    w = numpy.random.default_rng(1).normal(size=shape)
    ours = np.ndimage.convolve(np.array(X), w, mode=mode, cval=1.5)
    numpy.testing.assert_allclose(ours, scipy_ndimage.convolve(X, w, mode=mode, cval=1.5), rtol=1e-10)


@pytest.mark.parametrize("origin", [0, 1, -1, (0, 1), (-1, 0)])
def test_origin(origin: Any) -> None:
    w = numpy.random.default_rng(1).normal(size=(3, 4))
    ours = np.ndimage.convolve(np.array(X), np.array(w), origin=origin)
    numpy.testing.assert_allclose(ours, scipy_ndimage.convolve(X, w, origin=origin), rtol=1e-10)


def test_other_dimensions_and_dtypes() -> None:
    for x, w in (
        (numpy.arange(20.0), numpy.array([1.0, 2.0, 3.0])),
        (numpy.arange(60.0).reshape(3, 4, 5), numpy.ones((2, 2, 2))),
        (numpy.arange(30, dtype="i4").reshape(5, 6), numpy.array([[1, 2], [3, 4]])),
        (X.astype("f4"), numpy.ones((3, 3)) / 9),
        (X, numpy.zeros((3, 3))),
    ):
        ours, theirs = np.ndimage.convolve(np.array(x), w), scipy_ndimage.convolve(x, w)
        assert ours.dtype == theirs.dtype
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_large_weights_go_through_spectra() -> None:
    w = numpy.random.default_rng(1).normal(size=(13, 13))
    ours = np.ndimage.convolve(np.array(X), w, mode="nearest")
    numpy.testing.assert_allclose(ours, scipy_ndimage.convolve(X, w, mode="nearest"), atol=1e-12)


def test_batches_and_output() -> None:
    stack = numpy.random.default_rng(2).random((4, 7, 8))
    w = numpy.random.default_rng(1).normal(size=(3, 3))
    ours = np.ndimage.batched_convolve(np.array(stack), w)
    numpy.testing.assert_allclose(ours, [scipy_ndimage.convolve(x, w) for x in stack], rtol=1e-10)
    out = np.zeros(X.shape)
    assert np.ndimage.convolve(np.array(X), w, output=out) is out
    numpy.testing.assert_allclose(out, scipy_ndimage.convolve(X, w), rtol=1e-10)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4)])
def test_convolve_of_several_axes(shape: tuple[int, int]) -> None:
    from scipy.signal import convolve

    w = numpy.random.default_rng(1).normal(size=shape)
    ours = np.convolve(np.array(X), np.array(w), "same")
    numpy.testing.assert_allclose(ours, convolve(X, w, "same"), rtol=1e-9)


@pytest.mark.one_rank
def test_stencils_fuse() -> None:
    x = np.array(numpy.random.default_rng(0).random((600, 700)))
    w = numpy.ones((3, 3)) / 9
    for _ in range(3):
        runtime.fence()
        runtime.counters.reset()
        y = np.ndimage.convolve(x, w) * 2 + 1
        runtime.fence()
        assert y.shape == x.shape
        assert runtime.counters.calls == 0


def test_spectra() -> None:
    f = numpy.fft.fft2(X)
    r = numpy.fft.rfft2(X)
    for name in ("fourier_gaussian", "fourier_uniform"):
        ours, theirs = getattr(np.ndimage, name), getattr(scipy_ndimage, name)
        numpy.testing.assert_allclose(ours(np.array(f), 2.5), theirs(f, 2.5), rtol=1e-9, atol=1e-9)
        numpy.testing.assert_allclose(ours(np.array(f), (1.0, 3)), theirs(f, (1.0, 3)), rtol=1e-9, atol=1e-9)
        numpy.testing.assert_allclose(ours(np.array(r), 2, n=17), theirs(r, 2, n=17), rtol=1e-9, atol=1e-9)


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="incorrect shape"):
        np.ndimage.convolve(np.array(X), numpy.ones(3))
    with pytest.raises(RuntimeError, match="boundary mode not supported"):
        np.ndimage.convolve(np.array(X), numpy.ones((3, 3)), mode="bogus")
    with pytest.raises(ValueError, match="Invalid origin"):
        np.ndimage.convolve(np.array(X), numpy.ones((3, 3)), origin=5)
    with pytest.raises(NotImplementedError):
        np.ndimage.convolve(np.array(X), numpy.ones((3, 3)), axes=(0,))
