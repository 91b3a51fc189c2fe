"""Fourier transforms: everything of `numpy.fft`, recorded as library calls. NumPy decides result dtypes and errors."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _fallback, _prompt
from cupynumeric._array import ndarray
from cupynumeric._calls import hosted, lazy, lift, on_host
from legate_jit.ir import dtypes, infer

__getattr__ = _fallback.completed(__name__, "numpy.fft")

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

fftfreq = hosted(np.fft.fftfreq)
rfftfreq = hosted(np.fft.rfftfreq)

_dtypes: dict[tuple[str, np.dtype], np.dtype] = {}


def _result_dtype(name: str, source: np.dtype) -> np.dtype:
    """NumPy's dtype of a transform of `source`; TypeError as NumPy."""
    key = (name, source)
    found = _dtypes.get(key)
    if found is None:
        found = _dtypes[key] = np.asarray(getattr(np.fft, name)(np.ones((2, 2), source))).dtype
    return found


_NORMS = (None, "backward", "ortho", "forward")


def _plain(x: ndarray, from_real: bool, norm: Any) -> bool:
    """Whether NumPy has nothing to complain about."""
    return norm in _NORMS and not (from_real and x.dtype.kind == "c")


def _one(name: str) -> Callable[..., Any]:
    function = getattr(np.fft, name)
    to_real, from_real = name in ("irfft", "hfft"), name in ("rfft", "ihfft")

    def transform(
        a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None
    ) -> Any:
        x = lift(a)
        if out is not None or x.__class__ is not ndarray or x.size == 0 or not _plain(x, from_real, norm):
            return on_host(function, x, n, axis, norm, out=out)
        if n is None:
            x.shape[axis]  # an IndexError for a bad axis, as NumPy
        axis = infer.normalize_axis(axis, x.ndim)
        length = x.shape[axis] if n is None else operator.index(n)
        if to_real and n is None:
            length = 2 * (x.shape[axis] - 1)
        if length < 1:
            raise ValueError(f"Invalid number of FFT data points ({length}) specified.")
        shape = list(x.shape)
        shape[axis] = length // 2 + 1 if from_real else length
        dtype = _result_dtype(name, x.dtype)
        if not dtypes.is_supported(dtype):
            return on_host(function, x, n, axis, norm, out=out)
        return lazy("fft", (x,), tuple(shape), dtype, name=name, n=length, axis=axis, norm=norm)

    return _named(transform, name)


def _many(name: str) -> Callable[..., Any]:
    function = getattr(np.fft, name)
    base = name.replace("fft2", "fftn")
    default = (-2, -1) if name.endswith("2") else None
    to_real, from_real = base == "irfftn", base == "rfftn"

    def transform(
        a: Any, s: Any = None, axes: Any = default, norm: str | None = None, out: Any = None
    ) -> Any:
        x = lift(a)
        lengths = _lengths(x, s, axes, to_real)
        if out is not None or lengths is None or not _plain(x, from_real, norm):
            return on_host(function, x, s, axes, norm, out=out)
        shape = list(x.shape)
        for d, n in lengths.items():
            shape[d] = n
        last = list(lengths)[-1]
        if from_real:
            shape[last] = shape[last] // 2 + 1
        return lazy(
            "fft",
            (x,),
            tuple(shape),
            _result_dtype(base, x.dtype),
            name=base,
            s=tuple(lengths.values()),
            axes=tuple(lengths),
            norm=norm,
        )

    return _named(transform, name)


def _lengths(x: Any, s: Any, axes: Any, to_real: bool) -> dict[int, int] | None:
    """Points per transformed axis; None for what NumPy should judge (empty input, repeated axes, odd arguments)."""
    if (
        x.__class__ is not ndarray
        or x.size == 0
        or not dtypes.is_supported(np.result_type(x.dtype, np.complex64))
    ):
        return None
    if s is not None and (axes is None or len(s) != len(axes) or None in s):
        return None
    given = tuple(range(x.ndim)) if axes is None else tuple(axes)
    if not given:
        return None
    places = [infer.normalize_axis(d, x.ndim) for d in given]
    if len(set(places)) != len(places):
        return None
    sizes = [x.shape[d] for d in places] if s is None else [operator.index(n) for n in s]
    if s is not None:
        sizes = [x.shape[d] if n == -1 else n for d, n in zip(places, sizes, strict=True)]
    if to_real and (s is None or s[-1] == -1):
        sizes[-1] = 2 * (x.shape[places[-1]] - 1)
    if any(n < 1 for n in sizes):
        return None
    return dict(zip(places, sizes, strict=True))


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(np.fft, name).__doc__
    return function


fft, ifft, rfft, irfft, hfft, ihfft = (_one(n) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"))
fftn, ifftn, rfftn, irfftn = (_many(n) for n in ("fftn", "ifftn", "rfftn", "irfftn"))
fft2, ifft2, rfft2, irfft2 = (_many(n) for n in ("fft2", "ifft2", "rfft2", "irfft2"))


def _shifted(function: Callable[..., Any], x: Any, axes: Any, sign: int) -> Any:
    a = lift(x)
    if a.__class__ is not ndarray:
        return on_host(function, a, axes)
    from cupynumeric._joining import roll

    if axes is None:
        axes = tuple(range(a.ndim))
    axes = axes if isinstance(axes, (tuple, list)) else (axes,)
    shift = tuple(a.shape[d] // 2 if sign > 0 else -(a.shape[d] // 2) for d in axes)
    return roll(a, shift, tuple(axes))


def fftshift(x: Any, axes: Any = None) -> Any:
    """The zero frequency moved to the middle."""
    return _shifted(np.fft.fftshift, x, axes, 1)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted(np.fft.ifftshift, x, axes, -1)


_prompt.install(globals(), _prompt.FFT, np.fft)
