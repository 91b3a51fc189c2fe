"""Library calls: the implementation of each `CallSpec` name on host memory, by NumPy and other well-kept libraries.

A call reads strided views and fills preallocated C-contiguous results. Knows array libraries only; no graph.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit.backends import scratch
from legate_jit.backends.calls import blas, irregular, merging, sliding
from legate_jit.ir.ops import REDUCERS

Arrays = Sequence[Any]
Implementation = Callable[[Arrays, Sequence[np.ndarray], dict[str, Any]], None]

TABLE: dict[str, Implementation] = {}
#: bytes of results from which a call's temporaries are worth warm memory
_LARGE = 1 << 20


def implementation(name: str) -> Callable[[Implementation], Implementation]:
    """Register the function that carries out calls of `name`."""

    def register(function: Implementation) -> Implementation:
        TABLE[name] = function
        return function

    return register


@implementation("ufunc")
def _ufunc(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """Elementwise by NumPy, in the recorded loop."""
    if options["name"] == "where":
        np.copyto(outs[0], args[2], casting="unsafe")
        np.copyto(outs[0], args[1], casting="unsafe", where=np.asarray(args[0], np.bool_))
        return
    function = getattr(np, options["name"])
    loop = options["loop"]
    with np.errstate(all="ignore"):
        if len(set(loop)) == 1:
            signature = (*loop, *(out.dtype for out in outs))
            function(*args, out=tuple(outs), casting="unsafe", signature=signature)
        else:  # some mixed loops (int64 with uint64) cannot be named, but are what NumPy chooses for these dtypes
            converted = [np.asarray(a).astype(d, copy=False) for a, d in zip(args, loop, strict=True)]
            function(*converted, out=tuple(outs), casting="unsafe")


@implementation("frexp")
def _frexp(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """Mantissa (part 0) or exponent (part 1)."""
    outs[0][...] = np.frexp(args[0])[options["part"]]


@implementation("reduce")
def _reduce(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """A reduction kernels have no form for (complex extrema, for instance)."""
    axes = options["axes"]
    if options["name"] in ("argmax", "argmin"):
        kept = [d for d in range(args[0].ndim) if d not in axes]
        moved = np.transpose(args[0], (*kept, *axes)).reshape(
            *(args[0].shape[d] for d in kept), math.prod(args[0].shape[d] for d in axes)
        )
        outs[0][...] = getattr(np, options["name"])(moved, axis=-1)
        return
    with np.errstate(all="ignore"):
        REDUCERS[options["name"]].reduce(args[0].astype(options["loop"], copy=False), axis=axes, out=outs[0])


@implementation("cumsum")
def _cumsum(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    if not (
        args[0].ndim == 1 and args[0].size >= irregular.SMALL and irregular.running_sum(args[0], outs[0])
    ):
        np.cumsum(args[0], axis=options["arg"], out=outs[0])


@implementation("cumprod")
def _cumprod(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    np.cumprod(args[0], axis=options["arg"], out=outs[0])


@implementation("scan")
def _scan(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    getattr(np, options["name"])(args[0], axis=options["axis"], out=outs[0])


_EXACT = 1 << 53


@implementation("matmul")
def _matmul(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """Matrix product by BLAS; integers through float64 where every sum is exact in it, float16 through float32."""
    a, b = args
    out = outs[0]
    kind = out.dtype.kind
    if out.dtype == np.float16:
        wide = np.empty(out.shape, np.float32)
        blas.matmul(a.astype(np.float32), b.astype(np.float32), wide)
        out[...] = wide
    elif kind == "b":
        np.greater(np.matmul(a.astype(np.float32), b.astype(np.float32)), 0.5, out=out)
    elif kind in "iu" and out.size > 64 and _exact_in_doubles(a, b):
        np.copyto(
            out, np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.int64), casting="unsafe"
        )
    else:
        blas.matmul(a, b, out)


def _exact_in_doubles(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether no sum of products of these integers can leave the range in which float64 is exact."""
    return bool(a.size and b.size) and a.shape[-1] * _magnitude(a) * _magnitude(b) < _EXACT


def _magnitude(a: np.ndarray) -> int:
    return max(abs(int(a.max())), abs(int(a.min())))


@implementation("sort")
def _sort(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    if args[0].ndim == 1 and args[0].size >= irregular.SMALL and merging.merge_sort(args[0], outs[0]):
        return
    outs[0][...] = args[0]
    outs[0].sort(axis=options["axis"], kind=options["kind"])


@implementation("argsort")
def _argsort(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    x, kind = args[0], options["kind"]
    if not (x.ndim == 1 and x.size >= irregular.SMALL and merging.merge_argsort(x, outs[0], kind)):
        outs[0][...] = np.argsort(x, axis=options["axis"], kind=kind)


@implementation("partition")
def _partition(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    outs[0][...] = args[0]
    outs[0].partition(options["kth"], axis=options["axis"])


@implementation("argpartition")
def _argpartition(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    outs[0][...] = np.argpartition(args[0], options["kth"], axis=options["axis"])


@implementation("order")
def _order(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """The elements at `places` of the array sorted along an axis, stacked along a new first axis."""
    x, axis, places = args[0], options["axis"], list(options["places"])
    # NumPy's selection among float16 is wrong on some processors (2.4, AVX-512)
    chosen = np.partition(x.astype(np.float32) if x.dtype == np.float16 else x, places, axis=axis)
    outs[0][...] = np.moveaxis(np.take(chosen, places, axis=axis), axis, 0)


@implementation("searchsorted")
def _searchsorted(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    table, needles = args
    if not (needles.size >= irregular.SMALL and irregular.search(table, needles, options["side"], outs[0])):
        outs[0][...] = np.searchsorted(table, needles, options["side"])


@implementation("numpy")
def _numpy(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """Any NumPy function by dotted name, with static keywords; one or several array results."""
    rest = dict(options)
    function: Any = np
    for part in rest.pop("function").split("."):
        function = getattr(function, part)
    result = function(*args, **rest)
    results = result if isinstance(result, tuple) else (result,)
    for out, value in zip(outs, results, strict=True):
        out[...] = value


@implementation("convolve")
def _convolve(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    x, v = args
    if not (max(x.size, v.size) >= sliding.SMALL and sliding.convolve(x, v, options["mode"], outs[0])):
        outs[0][...] = np.convolve(_writable(x), _writable(v), options["mode"])


def _writable(x: np.ndarray) -> np.ndarray:
    """x, which the callee does not change, without the flag for which it would make a copy."""
    if x.flags.writeable or not x.flags.c_contiguous or not x.size:
        return x
    return np.asarray(_Writable(x))


class _Writable:
    """The memory of an array, offered for writing."""

    def __init__(self, x: np.ndarray) -> None:
        self._x = x
        interface = x.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


@implementation("correlate")
def _correlate(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    x, v = args
    long = x.size >= max(sliding.SMALL, v.size) and v.dtype.kind != "c"
    if not (long and sliding.convolve(x, v[::-1], options["mode"], outs[0])):
        outs[0][...] = np.correlate(_writable(x), _writable(v), options["mode"])


from legate_jit.backends.calls import gathering as _gathering  # noqa: E402, F401  registers its implementations


def _fft_library() -> tuple[Any, dict[str, Any]]:
    """SciPy's transforms run batches on all threads; NumPy's are the same algorithm on one."""
    try:
        import scipy.fft
    except ImportError:
        return np.fft, {}
    return scipy.fft, {"workers": len(os.sched_getaffinity(0))}


def transformed(x: np.ndarray, name: str, options: dict[str, Any]) -> np.ndarray:
    """A transform by name; small ones by NumPy, whose call is cheaper."""
    library, extra = (np.fft, {}) if x.size < 1 << 14 else _fft_library()
    return np.asarray(getattr(library, name)(x, **options, **extra))


@implementation("fft")
def _fft(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    rest = dict(options)
    outs[0][...] = transformed(args[0], rest.pop("name"), rest)


@implementation("fold")
def _fold(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """The first array, and then what the second one stacks, merged one after the other."""
    operator, (result,) = getattr(np, options["op"]), outs
    result[...] = args[0]
    for more in args[1]:
        operator(result, more, out=result)


def call(name: str, args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """Carry out a library call."""
    if sum(a.nbytes for a in outs) < _LARGE:
        TABLE[name](args, outs, options)
        return
    with scratch.warm_temporaries():
        TABLE[name](args, outs, options)
