"""Image filters: the part of `scipy.ndimage` that cuPyNumeric offers.

Convolutions with small weights are recorded as sums of shifted slices, so that they run as one stencil kernel and fuse with what
surrounds them; large weights go through Fourier transforms.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupynumeric import _ufunc, fft
from cupynumeric._array import ndarray
from cupynumeric._calls import cast, deliver, lift
from cupynumeric._convert import host_view
from cupynumeric._padding import pad
from legate_jit.ir import dtypes

__all__ = ["batched_convolve", "convolve", "fourier_gaussian", "fourier_uniform"]

#: SciPy's names of what lies beyond the edge -> the modes of `pad`
_MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "constant",
    "grid-constant": "constant",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
#: weights with more elements than this are applied by Fourier transforms
_FEW = 150


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Multidimensional convolution; the result has the input's shape and dtype (or goes into `output`).

    `weights` are values of the same number of axes (read at once); `origin` shifts them. RuntimeError, ValueError as SciPy.
    """
    x = lift(input)
    if axes is not None:
        raise NotImplementedError("axes are not supported")
    return _filtered(x, np.asarray(host_view(lift(weights))), output, mode, cval, origin)


def batched_convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
) -> Any:
    """`convolve` of every array in a stack: the weights apply to the last axes, as many as they have."""
    x, w = lift(input), np.asarray(host_view(lift(weights)))
    if w.ndim > x.ndim:
        raise RuntimeError("filter weights array has incorrect shape.")
    origins = _per_axis(origin, w.ndim)
    extra = x.ndim - w.ndim
    return _filtered(x, w.reshape((1,) * extra + w.shape), output, mode, cval, (0,) * extra + origins)


def _per_axis(value: Any, ndim: int) -> tuple[int, ...]:
    if np.ndim(value) == 0:
        return (operator.index(value),) * ndim
    given = tuple(operator.index(v) for v in value)
    if len(given) != ndim:
        raise RuntimeError("sequence argument must have length equal to input rank")
    return given


def _filtered(x: ndarray, w: np.ndarray, output: Any, mode: str, cval: float, origin: Any) -> Any:
    if w.ndim != x.ndim or 0 in w.shape:
        raise RuntimeError("filter weights array has incorrect shape.")
    if mode not in _MODES:
        raise RuntimeError("boundary mode not supported")
    origins = _per_axis(origin, x.ndim)
    for o, n in zip(origins, w.shape, strict=True):
        if not -(n // 2) <= o <= (n - 1) // 2:
            raise ValueError(
                "Invalid origin; origin must satisfy -(weights.shape[k] // 2) <= origin[k] <= (weights.shape[k]-1) // 2"
            )
    # Convolution is correlation with the weights turned around; element k of the result then reads from k - before on.
    turned = w[(slice(None, None, -1),) * w.ndim]
    before = [(n - 1) // 2 - o for n, o in zip(w.shape, origins, strict=True)]
    after = [n - 1 - b for n, b in zip(w.shape, before, strict=True)]
    wide = x if x.dtype.kind in "fc" else cast(x, dtypes.FLOAT64)
    options = {"constant_values": cval} if _MODES[mode] == "constant" else {}
    whole = pad(wide, list(zip(before, after, strict=True)), _MODES[mode], **options) if w.size > 1 else wide
    done = _slices(whole, turned, x.shape) if w.size <= _FEW else _spectral(whole, turned, x.shape)
    return deliver(cast(done, x.dtype), output if not isinstance(output, type) else None)


def _slices(x: Any, w: np.ndarray, shape: tuple[int, ...]) -> Any:
    """The correlation as a sum of weighted shifted slices."""
    total = None
    for place in np.ndindex(w.shape):
        weight = w[place].item()
        if weight == 0:
            continue
        part = x[tuple(slice(p, p + n) for p, n in zip(place, shape, strict=True))]
        term = part if weight == 1 else _ufunc.multiply(part, weight)
        total = term if total is None else _ufunc.add(total, term)
    return _ufunc.multiply(x[tuple(slice(0, n) for n in shape)], 0) if total is None else total


def _spectral(x: Any, w: np.ndarray, shape: tuple[int, ...]) -> Any:
    """The correlation through Fourier transforms of the padded array's extents."""
    from numpy.fft import fftn, rfftn

    real = x.dtype.kind == "f" and w.dtype.kind != "c"
    turned = w[(slice(None, None, -1),) * w.ndim]
    axes = tuple(range(x.ndim))
    spectrum = (rfftn if real else fftn)(turned, x.shape, axes)
    product = _ufunc.multiply((fft.rfftn if real else fft.fftn)(x), lift(spectrum))
    full = fft.irfftn(product, x.shape, axes) if real else fft.ifftn(product)
    return full[tuple(slice(m - 1, m - 1 + n) for m, n in zip(w.shape, shape, strict=True))]


# ---- filters of spectra ------------------------------------------------------------------------------------------


def _frequencies(n: int, real_length: int) -> np.ndarray:
    return np.arange(n) / real_length if real_length > 0 else np.fft.fftfreq(n)


def _scaled(x: ndarray, factors: list[np.ndarray], output: Any) -> Any:
    done: Any = x if x.dtype.kind in "fc" else cast(x, dtypes.FLOAT64)
    for d, factor in enumerate(factors):
        shape = [1] * x.ndim
        shape[d] = -1
        real = np.float32 if done.dtype.itemsize == (8 if done.dtype.kind == "c" else 4) else np.float64
        done = _ufunc.multiply(done, lift(factor.astype(real).reshape(shape)))
    return deliver(done, output)


def _extents(value: Any, ndim: int) -> list[float]:
    return [float(value)] * ndim if np.ndim(value) == 0 else [float(v) for v in value]


def fourier_gaussian(input: Any, sigma: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """A spectrum times that of a Gaussian of deviation `sigma` (in samples, per axis).

    `n`: length before the transform along `axis` if that was a real one, else negative.
    """
    x = lift(input)
    factors = [
        np.exp(-2 * (np.pi * s * _frequencies(m, n if d == axis % x.ndim else -1)) ** 2)
        for d, (m, s) in enumerate(zip(x.shape, _extents(sigma, x.ndim), strict=True))
    ]
    return _scaled(x, factors, output)


def fourier_uniform(input: Any, size: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """A spectrum times that of a box of `size` samples per axis; `n` and `axis` as in `fourier_gaussian`."""
    x = lift(input)
    factors = [
        np.sinc(s * _frequencies(m, n if d == axis % x.ndim else -1))
        for d, (m, s) in enumerate(zip(x.shape, _extents(size, x.ndim), strict=True))
    ]
    return _scaled(x, factors, output)
