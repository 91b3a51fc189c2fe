"""Integer division and power as LLVM IR, with NumPy's results: division by zero gives 0, the smallest integer by -1 wraps.

There is no vector integer division in hardware: up to 32 bits the quotient comes from a floating-point division that is
wide enough to be exact; 64-bit lanes are divided one by one.
"""

from __future__ import annotations

from legate_jit.backends.llvm_text import Code, item_size, register_type, vector


def floor_divide(code: Code, dtype: str, args: list[str]) -> str:
    """Quotient rounded to minus infinity."""
    a, b = args
    quotient, rest, by_zero = _truncated(code, dtype, a, b)
    if dtype[0] == "i":
        quotient = code.binary("add", dtype, quotient, _adjustment(code, dtype, rest, b))
    return code.select(by_zero, dtype, code.const(dtype, 0), quotient)


def remainder(code: Code, dtype: str, args: list[str]) -> str:
    """Remainder with the sign of the divisor."""
    a, b = args
    _, rest, by_zero = _truncated(code, dtype, a, b)
    if dtype[0] == "i":
        rest = code.binary(
            "add", dtype, rest, code.binary("and", dtype, _adjustment(code, dtype, rest, b), b)
        )
    return code.select(by_zero, dtype, code.const(dtype, 0), rest)


def fmod(code: Code, dtype: str, args: list[str]) -> str:
    """Remainder with the sign of the dividend."""
    _, rest, by_zero = _truncated(code, dtype, args[0], args[1])
    return code.select(by_zero, dtype, code.const(dtype, 0), rest)


def _adjustment(code: Code, dtype: str, rest: str, b: str) -> str:
    """-1 (all bits) where truncation and floor differ, else 0."""
    zero = code.const(dtype, 0)
    unlike = code.compare("icmp slt", dtype, code.binary("xor", dtype, rest, b), zero)
    differ = code.both(code.compare("icmp ne", dtype, rest, zero), unlike)
    return code.convert("sext", differ, "i1", register_type(dtype))


def _truncated(code: Code, dtype: str, a: str, b: str) -> tuple[str, str, str]:
    """(quotient rounded to zero, its rest, mask of zero divisors); lanes of zero divisors are divided by 1."""
    by_zero = code.compare("icmp eq", dtype, b, code.const(dtype, 0))
    divisor = code.select(by_zero, dtype, code.const(dtype, 1), b)
    if item_size(dtype) == 8:
        quotient = _wide(code, dtype, a, divisor)
    else:
        quotient = _through_float(code, dtype, a, divisor)
    rest = code.binary("sub", dtype, a, code.binary("mul", dtype, quotient, divisor))
    return quotient, rest, by_zero


def _wide(code: Code, dtype: str, a: str, divisor: str) -> str:
    if dtype[0] == "u":
        return code.binary("udiv", dtype, a, divisor)
    # The one overflowing pair is divided by 1 instead, which gives the wrapped result.
    lowest = code.compare("icmp eq", dtype, a, code.const(dtype, -(2**63)))
    overflow = code.both(lowest, code.compare("icmp eq", dtype, divisor, code.const(dtype, -1)))
    return code.binary("sdiv", dtype, a, code.select(overflow, dtype, code.const(dtype, 1), divisor))


def _through_float(code: Code, dtype: str, a: str, divisor: str) -> str:
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
