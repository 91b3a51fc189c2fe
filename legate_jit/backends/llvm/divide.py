"""Exact quotients by a divisor that stays the same along the inner loop, without dividing: as LLVM IR.

With r the correctly rounded reciprocal of c, one product and two fused multiply-adds give the correctly rounded x / c
(Markstein; Brisebarre, Muller and Raina 2004):

    q = RN(x r);  e = RN(x - q c);  RN(q + e r)

as long as nothing leaves the range of normal numbers. Whether c allows it is found out once, outside the loop: else r is NaN.
Whether x does shows in the quotient: vectors with one too small for an exact remainder (or an infinity, or NaN) leave the
straight way for a real division. Zeros of x only need their sign, which the second addition loses. Knows no kernels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.text import Code

#: Bits of the significand and least exponent of normal numbers.
_FORMATS = {"f4": (24, -126), "f8": (53, -1022)}


class Inverse(NamedTuple):
    """Registers made once for a divisor: 1 / c (NaN: it must be divided by), -c, and the least quotient to be had so."""

    reciprocal: str
    negative: str
    least: str


def invert(code: Code, dtype: str, divisor: str) -> Inverse:
    """What `divide` needs to know of a divisor; scalar code."""
    digits, lowest = _FORMATS[dtype]
    size = code.intrinsic("fabs", dtype, divisor)
    # The reciprocal must be a normal number; of one that overflows nothing but NaN comes.
    small = code.compare("fcmp ole", dtype, size, code.const(dtype, 2.0 ** (-lowest - 1)))
    exact = code.binary("fdiv", dtype, code.const(dtype, 1.0), divisor)
    reciprocal = code.select(small, dtype, exact, code.const(dtype, math.nan))
    # The remainder is a multiple of ulp(q) ulp(c), about x 2^-2p, which must not be below the least subnormal number.
    bound = code.const(dtype, 2.0 ** (lowest + digits + 3))
    scaled = code.binary("fmul", dtype, code.intrinsic("fabs", dtype, reciprocal), bound)
    floor = code.const(dtype, 2.0 ** (lowest + 2))
    least = code.select(code.compare("fcmp ogt", dtype, scaled, floor), dtype, scaled, floor)
    return Inverse(reciprocal, code.let(f"fneg {code.type(dtype)} {divisor}"), least)


def divide(flow: Flow, width: int, dtype: str, x: str, divisor: str, inverse: Inverse) -> str:
    """x / divisor in every lane; all registers have `width` lanes."""
    code = flow.code(width)
    estimate = code.binary("fmul", dtype, x, inverse.reciprocal)
    rest = code.intrinsic("fma", dtype, estimate, inverse.negative, x)
    quotient = code.intrinsic("fma", dtype, rest, inverse.reciprocal, estimate)
    large = code.compare("fcmp oge", dtype, code.intrinsic("fabs", dtype, quotient), inverse.least)
    types = [code.type(dtype)]

    def rare() -> list[str]:
        zero = code.const(dtype, 0.0)
        nothing = code.both(
            code.compare("fcmp oeq", dtype, x, zero), code.compare("fcmp oeq", dtype, estimate, zero)
        )
        signed = code.select(nothing, dtype, estimate, quotient)
        known = _all(code, code.either(large, nothing))
        return flow.choose(known, types, lambda: [signed], lambda: [code.binary("fdiv", dtype, x, divisor)])

    return flow.choose(_all(code, large), types, lambda: [quotient], rare)[0]


def _all(code: Code, mask: str) -> str:
    """Whether every lane of a mask is set."""
    bits = code.let(f"bitcast {code.type('b1')} {mask} to i{code.width}")
    return code.let(f"icmp eq i{code.width} {bits}, -1")
