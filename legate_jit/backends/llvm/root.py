"""x ** -0.5 and x ** -1.5 as LLVM IR: powers, within two units in the last place, not quotients that IEEE 754 defines.

With AVX-512 the hardware's estimate y of the reciprocal root (14 bits) is refined by the power series of what it misses:

    y ~ x ** -0.5;  e = x y y - 1;  x ** -k = y ** 2k (1 + e) ** -k

in fused multiply-adds, which takes less time than a root and a division. Knows nothing of loops, memory or kernels.
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm.text import Code, item_size, register_type

#: Coefficients of 1, e, e**2, e**3, as many as the format needs. |e| is below E = 2**-13; for float64 the square's stands in for
#: the fourth power, too: e**4 is 0.828 E**2 e**2, less than 0.172 E**4 away.
_STEAD = 0.828 * 2.0**-26
_SERIES = {
    ("rsqrt", "f4"): (1.0, -1 / 2, 3 / 8),
    ("rsqrt", "f8"): (1.0, -1 / 2, 3 / 8 + 35 / 128 * _STEAD, -5 / 16),
    ("rsqrt3", "f4"): (1.0, -3 / 2, 15 / 8),
    ("rsqrt3", "f8"): (1.0, -3 / 2, 15 / 8 + 315 / 128 * _STEAD, -35 / 16),
}


def spelling(op: str) -> Callable[[Code, str, list[str]], str]:
    """How 'rsqrt' or 'rsqrt3' is spelled."""

    def rule(code: Code, dtype: str, args: list[str]) -> str:
        if code.module.vector_bytes < 64:
            return _divided(code, op, dtype, args[0])
        # Scalars and short vectors are computed as parts of whole ones, so that a value has the same bits everywhere.
        lanes, element = 64 // item_size(dtype), register_type(dtype)
        parts = code.pieces(element, args[0], lanes)
        return code.join(element, [_refined(code.at(lanes), op, dtype, x) for x in parts], lanes)

    return rule


def _divided(code: Code, op: str, dtype: str, x: str) -> str:
    x = code.binary("fadd", dtype, x, code.const(dtype, 0.0))  # the root of -0.0 counts as 0.0, as for `pow`
    root = code.intrinsic("sqrt", dtype, x)
    if op == "rsqrt3":
        root = code.binary("fmul", dtype, x, root)
    return code.binary("fdiv", dtype, code.const(dtype, 1.0), root)


def _refined(code: Code, op: str, dtype: str, x: str) -> str:
    y, minus = _estimate(code, dtype, x), code.const(dtype, -1.0)
    start = code.intrinsic("fabs", dtype, y)
    if op == "rsqrt":  # the square of y may overflow
        rest = code.intrinsic("fma", dtype, code.binary("fmul", dtype, x, y), y, minus)
    else:
        square = code.binary("fmul", dtype, y, y)
        start = code.binary("fmul", dtype, square, start)
        rest = code.intrinsic("fma", dtype, x, square, minus)
    *lower, last = _SERIES[op, dtype]
    factor = code.const(dtype, last)
    for coefficient in reversed(lower):
        factor = code.intrinsic("fma", dtype, factor, rest, code.const(dtype, coefficient))
    # Of zero, infinity and results beyond the format's range there is no rest; their estimates are right.
    known = code.compare("fcmp olt", dtype, rest, code.const(dtype, 1.0))
    return code.select(known, dtype, code.binary("fmul", dtype, start, factor), start)


def _estimate(code: Code, dtype: str, x: str) -> str:
    t = code.type(dtype)
    suffix, mask = ("ps", "i16") if dtype == "f4" else ("pd", "i8")
    symbol = code.module.declare(f"@llvm.x86.avx512.rsqrt14.{suffix}.512", t, f"{t}, {t}, {mask}", "")
    return code.let(f"call {t} {symbol}({t} {x}, {t} zeroinitializer, {mask} -1)")
