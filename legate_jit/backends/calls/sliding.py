"""Convolutions of long vectors with short ones on all threads, many results at a time in registers.

What overlaps the ends is left to NumPy. Works on contiguous NumPy arrays of floats. Knows no graph.
"""

from __future__ import annotations

import functools

import numpy as np

from legate_jit.backends import native
from legate_jit.backends.calls.irregular import address, block_of, compiled, run, units_of
from legate_jit.backends.calls.loops import Loops, element_type, item_bytes
from legate_jit.ir import dtypes

__all__ = ["convolve"]

#: results from which threads pay
SMALL = 1 << 16
#: taps up to which the sum of products, and not a transform, is the way
MOST_TAPS = 4096
_BLOCK = 1 << 14
#: vectors of results that are summed side by side, in registers
_ABREAST = 8


@functools.cache
def _kernel(code: str) -> int:
    """words: x, taps, how many, results, how many, block. Result i is the sum of taps[k] * x[i - k]."""
    f, kind = Loops(), element_type(code)
    lanes = native.vector_bytes() // item_bytes(code)
    vector = f"<{lanes} x {kind}>"
    x, taps, count, out, size, block = f.words("ppnpnn")

    def products(i: str, type_: str, places: list[int]) -> None:
        """Results i + place, of `type_` each."""
        sums = [f.variable(type_, "0.0" if type_ == kind else "zeroinitializer") for _ in places]
        with f.loop("0", count) as k:
            weight = f.load(kind, taps, k)
            if type_ != kind:
                weight = _spread(f, kind, lanes, weight)
            source = f.spot(kind, x, f.let(f"sub i64 {i}, {k}"))
            for total, place in zip(sums, places, strict=True):
                value = f.load(type_, f.spot(kind, source, str(place)), "0", item_bytes(code))
                product = f.let(f"fmul contract {type_} {weight}, {value}")
                f.set(type_, total, f.let(f"fadd contract {type_} {f.get(type_, total)}, {product}"))
        for total, place in zip(sums, places, strict=True):
            target = f.spot(kind, out, f.add(i, str(place)))
            f.store(type_, target, "0", f.get(type_, total), item_bytes(code))

    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        step = _ABREAST * lanes
        whole = f.add(first, f.let(f"and i64 {f.let(f'sub i64 {stop}, {first}')}, {-step}"))
        with f.loop(first, whole, step) as i:
            products(i, vector, [lanes * n for n in range(_ABREAST)])
        with f.loop(whole, stop) as i:
            products(i, kind, [0])
    return compiled(f)


def _spread(f: Loops, kind: str, lanes: int, value: str) -> str:
    """A vector whose every lane is `value`."""
    vector = f"<{lanes} x {kind}>"
    one = f.let(f"insertelement {vector} poison, {kind} {value}, i64 0")
    return f.let(f"shufflevector {vector} {one}, {vector} poison, <{lanes} x i32> zeroinitializer")


def _usable(x: np.ndarray, v: np.ndarray, out: np.ndarray) -> bool:
    n, m = len(x), len(v)
    return (
        n >= SMALL
        and m <= MOST_TAPS
        and 8 * m <= n
        and out.flags.c_contiguous
        and out.dtype.kind == "f"
        and out.dtype.itemsize >= 4
        and dtypes.is_supported(out.dtype)
    )


def convolve(x: np.ndarray, v: np.ndarray, mode: str, out: np.ndarray) -> bool:
    """`numpy.convolve(x, v, mode)` of vectors into `out`; False when NumPy has to do it."""
    if len(x) < len(v):
        x, v = v, x
    if not _usable(x, v, out):
        return False
    x, v = np.ascontiguousarray(x, out.dtype), np.ascontiguousarray(v, out.dtype)
    n, m = len(x), len(v)
    start = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}[mode]  # of the results, in the full convolution
    stop = start + len(out)
    inside = slice(m - 1, n)  # results that use no element beyond an end
    code = dtypes.code(out.dtype)
    words = (
        address(x) + inside.start * item_bytes(code),
        address(v),
        m,
        address(out) + (inside.start - start) * item_bytes(code),
        n - m + 1,
        _BLOCK,
    )
    run(_kernel(code), units_of(n - m + 1, _BLOCK), *words)
    if start < inside.start:
        out[: inside.start - start] = np.convolve(x[: m - 1], v)[start : m - 1]
    if stop > inside.stop:
        out[inside.stop - start :] = np.convolve(x[n - m + 1 :], v)[m - 1 : m - 1 + stop - n]
    return True
