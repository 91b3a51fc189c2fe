"""64-bit integers in vectors where the hardware has no instructions for them: conversion from and to float64, division.

Numbers below 2**51 in magnitude stand in the low bits of a float64 once 1.5 * 2**52 is added; vectors whose lanes are all
that small take this way, others go lane by lane. For hosts with 32-byte vectors (wider ones have the instructions).
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm.text import Code, vector

_MAGIC = 1.5 * 2.0**52
_MAGIC_BITS = 0x4338000000000000


def applies(code: Code) -> bool:
    """Whether this module's ways are better than plain instructions."""
    return code.width > 1 and code.module.vector_bytes == 32


def from_signed(code: Code, x: str) -> str:
    """i64 to float64, rounded once: the halves stand in two float64 of known exponents, and are added."""
    low = code.binary("and", "i8", x, code.number("i64", 0xFFFFFFFF))
    low = code.binary("or", "i8", low, code.number("i64", 0x4330000000000000))
    high = code.binary("xor", "i8", code.shift("lshr", "u8", x, 32), code.number("i64", 0x4530000080000000))
    base = code.const("f8", 2.0**84 + 2.0**63 + 2.0**52)
    top = code.binary("fsub", "f8", code.convert("bitcast", high, "i64", "double"), base)
    return code.binary("fadd", "f8", top, code.convert("bitcast", low, "i64", "double"))


def to_signed(code: Code, x: str) -> str:
    """float64 to i64, rounded to zero, with the hardware's result out of range."""
    name = f"@legate_to_i64_{code.width}"

    def easy(inner: Code) -> str:
        size = inner.intrinsic("fabs", "f8", "%a")
        return inner.compare("fcmp olt", "f8", size, inner.const("f8", 2.0**51))

    def fast(inner: Code) -> str:
        return _integer(inner, inner.intrinsic("trunc", "f8", "%a"))

    def slow(inner: Code) -> str:
        return inner.convert("fptosi", "%a", "double", "i64")

    return _two_ways(code, name, ("f8",), [x], easy, fast, slow)


def divide(code: Code, dtype: str, rounding: str, a: str, b: str) -> str:
    """Quotient rounded by 'floor' or 'trunc' of 64-bit integers (divisors not zero)."""
    name = f"@legate_{rounding}_{dtype}_{code.width}"

    def easy(inner: Code) -> str:
        shift = inner.number("i64", 2**51 if dtype == "i8" else 0)
        bits = 52 if dtype == "i8" else 51
        parts = [inner.shift("lshr", "u8", inner.binary("add", dtype, x, shift), bits) for x in ("%a", "%b")]
        return inner.compare("icmp eq", dtype, inner.binary("or", dtype, *parts), inner.number("i64", 0))

    def fast(inner: Code) -> str:
        quotient = inner.binary("fdiv", "f8", _float(inner, "%a"), _float(inner, "%b"))
        return _integer(inner, inner.intrinsic(rounding, "f8", quotient))

    def slow(inner: Code) -> str:
        return plain_divide(inner, dtype, rounding, "%a", "%b")

    return _two_ways(code, name, (dtype, dtype), [a, b], easy, fast, slow)


def plain_divide(code: Code, dtype: str, rounding: str, a: str, b: str) -> str:
    """As `divide`, with the hardware's division."""
    if dtype == "u8":
        return code.binary("udiv", dtype, a, b)
    # The one overflowing pair is divided by 1 instead, which gives the wrapped result.
    lowest = code.compare("icmp eq", dtype, a, code.const(dtype, -(2**63)))
    overflow = code.both(lowest, code.compare("icmp eq", dtype, b, code.const(dtype, -1)))
    divisor = code.select(overflow, dtype, code.const(dtype, 1), b)
    quotient = code.binary("sdiv", dtype, a, divisor)
    if rounding == "trunc":
        return quotient
    rest = code.binary("sub", dtype, a, code.binary("mul", dtype, quotient, divisor))
    zero = code.const(dtype, 0)
    unlike = code.compare("icmp slt", dtype, code.binary("xor", dtype, rest, divisor), zero)
    differ = code.both(code.compare("icmp ne", dtype, rest, zero), unlike)
    return code.binary("add", dtype, quotient, code.convert("sext", differ, "i1", "i64"))


def _float(code: Code, x: str) -> str:
    """A small integer as float64."""
    bits = code.binary("add", "i8", x, code.number("i64", _MAGIC_BITS))
    return code.binary("fsub", "f8", code.convert("bitcast", bits, "i64", "double"), code.const("f8", _MAGIC))


def _integer(code: Code, x: str) -> str:
    """A small whole float64 as integer."""
    bits = code.convert("bitcast", code.binary("fadd", "f8", x, code.const("f8", _MAGIC)), "double", "i64")
    return code.binary("sub", "i8", bits, code.number("i64", _MAGIC_BITS))


def _two_ways(
    code: Code,
    name: str,
    dtypes: tuple[str, ...],
    args: list[str],
    easy: Callable[[Code], str],
    fast: Callable[[Code], str],
    slow: Callable[[Code], str],
) -> str:
    """Call a helper function of operands %a, %b giving i64: `fast` where every lane is `easy`, else `slow`."""
    result = vector(code.width, "i64")
    types = [code.type(d) for d in dtypes]
    if name not in code.module.helpers:
        parameters = ", ".join(f"{t} %{n}" for t, n in zip(types, "ab", strict=False))
        lines: list[object] = [f"define internal {result} {name}({parameters}) nounwind {{", "entry:"]
        inner = Code(code.module, code.width, lines)
        mask = inner.type("b1")
        every = code.module.declare(f"@llvm.vector.reduce.and.v{code.width}i1", "i1", mask, "")
        inner.put(f"br i1 {inner.let(f'call i1 {every}({mask} {easy(inner)})')}, label %fast, label %slow")
        for label, way in (("fast", fast), ("slow", slow)):
            lines.append(f"{label}:")
            inner.put(f"ret {result} {way(inner)}")
        lines.append("}")
        code.module.helpers[name] = [str(line) for line in lines]
    operands = ", ".join(f"{t} {a}" for t, a in zip(types, args, strict=True))
    return code.let(f"call {result} {name}({operands})")
