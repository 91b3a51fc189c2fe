"""Casts between dtypes as straight-line LLVM IR, with the results of NumPy's unsafe `astype` on x86.

Out-of-range floats follow the hardware's conversions, as NumPy's C casts do: 32- and 64-bit targets give the "indefinite"
value, narrower ones are cut from 32 bits. float16 is converted with integer operations, so that no
run-time library is needed and float64 is rounded once.
"""

from __future__ import annotations

from legate_jit.backends.llvm import wide
from legate_jit.backends.llvm.text import Code, Value, item_size, part, register_type


def truth(code: Code, dtype: str, value: Value) -> str:
    """Mask of the nonzero elements (NaN is true)."""
    if dtype == "b1":
        return value[0]
    if dtype[0] == "c":
        real = truth(code, part(dtype), value[:1])
        return code.either(real, truth(code, part(dtype), value[1:]))
    if dtype == "f2":
        magnitude = code.binary("and", "f2", value[0], code.number("i16", 0x7FFF))
        return code.compare("icmp ne", "f2", magnitude, code.number("i16", 0))
    if dtype[0] == "f":
        return code.compare("fcmp une", dtype, value[0], code.const(dtype, 0.0))
    return code.compare("icmp ne", dtype, value[0], code.const(dtype, 0))


def cast(code: Code, source: str, target: str, value: Value) -> Value:
    """`value` of dtype `source` converted to dtype `target`."""
    if source == target:
        return value
    if target == "b1":
        return (truth(code, source, value),)
    if target[0] == "c":
        real = cast(code, part(source), part(target), value[:1])
        imaginary = (
            cast(code, part(source), part(target), value[1:])
            if len(value) == 2
            else (code.const(part(target), 0.0),)
        )
        return real + imaginary
    if source[0] == "c":
        return cast(code, part(source), target, value[:1])
    return (_real(code, source, target, value[0]),)


def _real(code: Code, source: str, target: str, x: str) -> str:
    if source == target:
        return x
    if source == "f2" and target == "u4":
        # NumPy's loop from float16 is scalar code, which converts through 64 bits.
        return code.convert("trunc", _real(code, "f2", "i8", x), "i64", "i32")
    if source == "f2":
        return _real(code, "f4", target, half_to_float(code, x))
    if target == "f2":
        return _to_half(code, source, x)
    if source[0] == "f":
        return (
            _float_to_float(code, source, target, x)
            if target[0] == "f"
            else _float_to_int(code, source, target, x)
        )
    if (source, target) == ("i8", "f8") and wide.applies(code):
        return wide.from_signed(code, x)
    if target[0] == "f":
        return code.convert(
            "sitofp" if source[0] == "i" else "uitofp", x, register_type(source), register_type(target)
        )
    return _int_to_int(code, source, target, x)


def _int_to_int(code: Code, source: str, target: str, x: str) -> str:
    bits = 1 if source == "b1" else 8 * item_size(source)
    wanted = 8 * item_size(target)
    if bits == wanted:
        return x
    op = "trunc" if wanted < bits else "sext" if source[0] == "i" else "zext"
    return code.convert(op, x, register_type(source), register_type(target))


def _float_to_float(code: Code, source: str, target: str, x: str) -> str:
    return code.convert(
        "fptrunc" if target == "f4" else "fpext", x, register_type(source), register_type(target)
    )


def _float_to_int(code: Code, source: str, target: str, x: str) -> str:
    element = register_type(source)
    if target in ("u4", "u8"):
        return _float_to_unsigned(code, source, target, x)
    if (source, target) == ("f8", "i8") and wide.applies(code):
        return wide.to_signed(code, x)
    if target in ("i4", "i8"):
        return code.convert("fptosi", x, element, register_type(target))
    return code.convert("trunc", code.convert("fptosi", x, element, "i32"), "i32", register_type(target))


def _float_to_unsigned(code: Code, source: str, target: str, x: str) -> str:
    """As compilers convert: values in the upper half of the range are converted less half the range."""
    bits = 8 * item_size(target)
    top = code.const(source, 2.0 ** (bits - 1))
    large = code.compare("fcmp oge", source, x, top)
    reduced = code.binary("fsub", source, x, code.select(large, source, top, code.const(source, 0.0)))
    word = code.convert("fptosi", reduced, register_type(source), register_type(target))
    flip = code.select(large, target, code.const(target, -(2 ** (bits - 1))), code.const(target, 0))
    return code.binary("xor", target, word, flip)


# ---------------------------------------------------------------- float16


def half_to_float(code: Code, x: str) -> str:
    """float16 bits to float32: exact; the exponent is rebased by a multiplication, which also normalizes subnormals."""
    word = code.convert("zext", x, "i16", "i32")
    magnitude = code.binary("and", "i4", word, code.number("i32", 0x7FFF))
    shifted = code.shift("shl", "i4", magnitude, 13)
    scaled = code.binary(
        "fmul", "f4", code.convert("bitcast", shifted, "i32", "float"), code.const("f4", 2.0**112)
    )
    special = code.compare("icmp uge", "i4", magnitude, code.number("i32", 0x7C00))
    raised = code.binary("or", "i4", shifted, code.number("i32", 0x7F800000))
    bits = code.select(special, "i4", raised, code.convert("bitcast", scaled, "float", "i32"))
    sign = code.shift("shl", "i4", code.binary("and", "i4", word, code.number("i32", 0x8000)), 16)
    return code.convert("bitcast", code.binary("or", "i4", bits, sign), "i32", "float")


def _to_half(code: Code, source: str, x: str) -> str:
    """To float16 bits, rounded once: wide sources go to float32 rounded to odd, which loses no tie."""
    if source == "f8":
        return _float_to_half(code, _round_to_odd(code, x))
    if source[0] in "iu" and item_size(source) > 2:
        return _to_half(code, "f8", _real(code, source, "f8", _saturate(code, source, x)))
    return _float_to_half(code, _real(code, source, "f4", x) if source != "f4" else x)


def _saturate(code: Code, source: str, x: str) -> str:
    """64-bit integers beyond 2**17 are infinite in float16: clamp them, so that float64 holds them exactly."""
    if item_size(source) < 8:
        return x
    top = code.const(source, 1 << 17)
    if source[0] == "u":
        return code.intrinsic("umin", source, x, top)
    return code.intrinsic(
        "smax", source, code.intrinsic("smin", source, x, top), code.const(source, -(1 << 17))
    )


def _round_to_odd(code: Code, x: str) -> str:
    """float64 to float32 such that any lost bit shows in the last place."""
    near = code.convert("fptrunc", x, "double", "float")
    back = code.convert("fpext", near, "float", "double")
    magnitude = code.intrinsic("fabs", "f8", x)
    over = code.compare("fcmp ogt", "f8", code.intrinsic("fabs", "f8", back), magnitude)
    bits = code.convert("bitcast", near, "float", "i32")
    # Rounded away from zero: step back to the truncated value; then mark the loss in the last bit.
    truncated = code.select(over, "i4", code.binary("sub", "i4", bits, code.number("i32", 1)), bits)
    odd = code.binary("or", "i4", truncated, code.number("i32", 1))
    inexact = code.compare("fcmp one", "f8", back, x)
    return code.convert("bitcast", code.select(inexact, "i4", odd, bits), "i32", "float")


def _float_to_half(code: Code, x: str) -> str:
    """float32 to float16 bits, round half to even, by integer operations."""
    word = code.convert("bitcast", x, "float", "i32")
    magnitude = code.binary("and", "i4", word, code.number("i32", 0x7FFFFFFF))
    # Normal results: rebase the exponent and round on the 13 lost bits.
    odd = code.binary("and", "i4", code.shift("lshr", "i4", magnitude, 13), code.number("i32", 1))
    rebased = code.binary("add", "i4", magnitude, code.number("i32", 0xFFF - (112 << 23)))
    normal = code.shift("lshr", "i4", code.binary("add", "i4", rebased, odd), 13)
    # Subnormal results: adding 0.5 leaves the wanted bits, rounded by the addition, in the low end.
    shifted = code.binary(
        "fadd", "f4", code.convert("bitcast", magnitude, "i32", "float"), code.const("f4", 0.5)
    )
    tiny = code.binary(
        "sub", "i4", code.convert("bitcast", shifted, "float", "i32"), code.number("i32", 0x3F000000)
    )
    small = code.compare("icmp ult", "i4", magnitude, code.number("i32", 113 << 23))
    finite = code.select(small, "i4", tiny, normal)
    payload = code.binary("and", "i4", code.shift("lshr", "i4", magnitude, 13), code.number("i32", 0x3FF))
    quiet = code.binary("or", "i4", payload, code.number("i32", 0x7E00))
    is_nan = code.compare("icmp ugt", "i4", magnitude, code.number("i32", 0x7F800000))
    special = code.select(is_nan, "i4", quiet, code.number("i32", 0x7C00))
    large = code.compare("icmp uge", "i4", magnitude, code.number("i32", 143 << 23))
    bits = code.select(large, "i4", special, finite)
    sign = code.binary("and", "i4", code.shift("lshr", "i4", word, 16), code.number("i32", 0x8000))
    return code.convert("trunc", code.binary("or", "i4", bits, sign), "i32", "i16")
