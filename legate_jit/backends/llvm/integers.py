"""Integer division and power as LLVM IR, with NumPy's results: division by zero gives 0, the smallest integer by -1 wraps.

There is no vector integer division in hardware: up to 32 bits the quotient comes from a floating-point division that is
wide enough to be exact; for 64 bits see `llvm_wide`.
"""

from __future__ import annotations

from legate_jit.backends.llvm import wide
from legate_jit.backends.llvm.text import Code, item_size, register_type, vector


def floor_divide(code: Code, dtype: str, args: list[str]) -> str:
    """Quotient rounded to minus infinity."""
    divisor, by_zero = _nonzero(code, dtype, args[1])
    quotient = _quotient(code, dtype, "floor", args[0], divisor)
    return code.select(by_zero, dtype, code.const(dtype, 0), quotient)


def remainder(code: Code, dtype: str, args: list[str]) -> str:
    """Remainder with the sign of the divisor."""
    return _rest(code, dtype, "floor", args)


def fmod(code: Code, dtype: str, args: list[str]) -> str:
    """Remainder with the sign of the dividend."""
    return _rest(code, dtype, "trunc", args)


def _rest(code: Code, dtype: str, rounding: str, args: list[str]) -> str:
    divisor, by_zero = _nonzero(code, dtype, args[1])
    quotient = _quotient(code, dtype, rounding, args[0], divisor)
    rest = code.binary("sub", dtype, args[0], code.binary("mul", dtype, quotient, divisor))
    return code.select(by_zero, dtype, code.const(dtype, 0), rest)


def _nonzero(code: Code, dtype: str, b: str) -> tuple[str, str]:
    """(divisor with 1 in place of 0, mask of zero divisors)."""
    by_zero = code.compare("icmp eq", dtype, b, code.const(dtype, 0))
    return code.select(by_zero, dtype, code.const(dtype, 1), b), by_zero


def _quotient(code: Code, dtype: str, rounding: str, a: str, divisor: str) -> str:
    if item_size(dtype) < 8:
        return _through_float(code, dtype, rounding, a, divisor)
    if wide.applies(code):
        return wide.divide(code, dtype, rounding, a, divisor)
    return wide.plain_divide(code, dtype, rounding, a, divisor)


def _through_float(code: Code, dtype: str, rounding: str, a: str, divisor: str) -> str:
    """|a| < 2**n over b: the quotient's distance to an integer is at least 1/b, its rounding error below 2**(n-p)/b."""
    real = "f8" if item_size(dtype) == 4 else "f4"
    element, target = register_type(dtype), register_type(real)
    op = "sitofp" if dtype[0] == "i" else "uitofp"
    exact = code.binary(
        "fdiv", real, code.convert(op, a, element, target), code.convert(op, divisor, element, target)
    )
    if dtype == "u4":
        # Hardware converts to signed: subtract 2**31 (exactly, from the truncated value) and flip the top bit back.
        whole = code.intrinsic("trunc", real, exact)
        word = code.convert(
            "fptosi", code.binary("fsub", real, whole, code.const(real, 2.0**31)), target, "i32"
        )
        return code.binary("xor", dtype, word, code.number("i32", -(2**31)))
    if rounding == "floor" and dtype[0] == "i":
        exact = code.intrinsic("floor", real, exact)
    word = code.convert("fptosi", exact, target, "i32")
    return word if element == "i32" else code.convert("trunc", word, "i32", element)


def power(code: Code, dtype: str, args: list[str]) -> str:
    """a ** b by repeated squaring, wrapping; negative exponents must have been refused (they give 1 or garbage)."""
    element = register_type(dtype)
    t = vector(code.width, element)
    name = f"@legate_power_{element}_{code.width}"
    if name not in code.module.helpers:
        if code.width > 1:
            reduce_or = f"@llvm.vector.reduce.or.v{code.width}i1"
            code.module.declare(reduce_or, "i1", vector(code.width, "i1"), "")
        code.module.helpers[name] = _power_helper(name, code.width, element, t)
    return code.let(f"call {t} {name}({t} {args[0]}, {t} {args[1]})")


def _power_helper(name: str, width: int, element: str, t: str) -> list[str]:
    one = "1" if width == 1 else f"splat ({element} 1)"
    zero = "0" if width == 1 else "zeroinitializer"
    mask = vector(width, "i1")
    if width == 1:
        any_left = ["  %more = icmp ne i1 %left, false"]
    else:
        any_left = [f"  %more = call i1 @llvm.vector.reduce.or.v{width}i1({mask} %left)"]
    return [
        f"define internal {t} {name}({t} %a, {t} %b) nounwind {{",
        "entry:",
        "  br label %loop",
        "loop:",
        f"  %base = phi {t} [ %a, %entry ], [ %squared, %loop ]",
        f"  %exponent = phi {t} [ %b, %entry ], [ %half, %loop ]",
        f"  %result = phi {t} [ {one}, %entry ], [ %next, %loop ]",
        f"  %bit = and {t} %exponent, {one}",
        f"  %odd = icmp ne {t} %bit, {zero}",
        f"  %product = mul {t} %result, %base",
        f"  %next = select {mask} %odd, {t} %product, {t} %result",
        f"  %squared = mul {t} %base, %base",
        f"  %half = lshr {t} %exponent, {one}",
        f"  %left = icmp ne {t} %half, {zero}",
        *any_left,
        "  br i1 %more, label %loop, label %exit",
        "exit:",
        f"  ret {t} %next",
        "}",
    ]
