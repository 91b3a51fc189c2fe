"""How each MAP op is spelled as straight-line LLVM IR, for real dtypes; `spell` is the way in for every dtype.

NumPy's semantics, bit for bit: no contraction, NaN and signed zeros as NumPy's loops have them, integers wrap, and what
C leaves undefined (division by zero, large shifts) is what NumPy defines. Transcendental functions are `llvm_math`'s,
complex numbers `llvm_complex`'s, integer division `llvm_int`'s. Knows nothing of loops, memory or kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import numpy as np

from legate_jit.backends.llvm import complex_numbers, functions, integers, root
from legate_jit.backends.llvm.casts import cast, truth
from legate_jit.backends.llvm.text import Code, Value, item_size, register_type

_Real = Callable[[Code, str, "list[str]"], str]

_FLOAT_COMPARE = {
    "equal": "oeq",
    "not_equal": "une",
    "less": "olt",
    "less_equal": "ole",
    "greater": "ogt",
    "greater_equal": "oge",
}
_INT_COMPARE = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}
_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul"}
_BOOL_ARITHMETIC = {
    "add": "or",
    "multiply": "and",
    "maximum": "or",
    "fmax": "or",
    "minimum": "and",
    "fmin": "and",
}
_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint"}


def spell(code: Code, op: str, dtype: str, args: list[Value], result: str, imm: Hashable = None) -> Value:
    """Emit MAP op `op` on operands of loop dtype `dtype`, giving dtype `result`; every value has `code.width` lanes.

    NotImplementedError when the op has no spelling for the dtype.
    """
    if op == "cast":
        return cast(code, dtype, result, args[0])
    if op == "where":
        return tuple(code.select(args[0][0], dtype, a, b) for a, b in zip(args[1], args[2], strict=True))
    if op in _LOGICAL:
        return (code.binary(_LOGICAL[op], "b1", truth(code, dtype, args[0]), truth(code, dtype, args[1])),)
    if op == "logical_not":
        return (code.invert(truth(code, dtype, args[0])),)
    if dtype[0] == "c":
        return complex_numbers.spell(code, op, dtype, args)
    if op == "complex":
        return (args[0][0], args[1][0])
    if op == "user":
        return functions.user_call(code, str(imm), dtype, args, result)
    if op == "random":
        return (functions.philox(code, args[0][0], args[1][0]),)
    real = [a[0] for a in args]
    return (_spell_real(code, op, dtype, real),)


def _spell_real(code: Code, op: str, dtype: str, args: list[str]) -> str:
    if op in _INT_COMPARE:
        return _compare(code, op, dtype, args)
    rule = _ANY.get(op)
    if rule is None:
        rule = (_BOOL if dtype[0] == "b" else _INT if dtype[0] in "iu" else _FLOAT).get(op)
    if rule is not None:
        return rule(code, dtype, args)
    if dtype[0] == "b" and op in _BOOL_ARITHMETIC:
        return code.binary(_BOOL_ARITHMETIC[op], dtype, *args)
    if op in _ARITHMETIC and dtype[0] != "b":
        return code.binary(("f" if dtype[0] == "f" else "") + _ARITHMETIC[op], dtype, *args)
    if op in _BITWISE and dtype[0] != "f":
        return code.binary(_BITWISE[op], dtype, *args)
    if op in _ROUNDING:
        return code.intrinsic(_ROUNDING[op], dtype, args[0]) if dtype[0] == "f" else args[0]
    if dtype[0] == "f" and functions.known(op):
        return functions.call(code, op, dtype, args)
    raise NotImplementedError(f"{op} of {dtype}")


def _compare(code: Code, op: str, dtype: str, args: list[str]) -> str:
    if dtype[0] == "f":
        return code.compare("fcmp " + _FLOAT_COMPARE[op], dtype, *args)
    sign = "" if op.endswith("equal") and op in ("equal", "not_equal") else "s" if dtype[0] == "i" else "u"
    return code.compare(f"icmp {sign}{_INT_COMPARE[op]}", dtype, *args)


def _same(code: Code, dtype: str, args: list[str]) -> str:
    return args[0]


def _square(code: Code, dtype: str, args: list[str]) -> str:
    return code.binary("fmul" if dtype[0] == "f" else "mul", dtype, args[0], args[0])


def _not(code: Code, dtype: str, args: list[str]) -> str:
    return code.let(f"xor {code.type(dtype)} {args[0]}, {code.const(dtype, -1 if dtype != 'b1' else True)}")


def _never(code: Code, dtype: str, args: list[str]) -> str:
    return code.const("b1", False)


def _always(code: Code, dtype: str, args: list[str]) -> str:
    return code.const("b1", True)


# ---------------------------------------------------------------- integers


def _int_negative(code: Code, dtype: str, args: list[str]) -> str:
    return code.binary("sub", dtype, code.const(dtype, 0), args[0])


def _int_absolute(code: Code, dtype: str, args: list[str]) -> str:
    return args[0] if dtype[0] == "u" else code.intrinsic("abs", dtype, args[0], extra="i1 false")


def _int_sign(code: Code, dtype: str, args: list[str]) -> str:
    zero, one = code.const(dtype, 0), code.const(dtype, 1)
    nonzero = code.select(code.compare("icmp ne", dtype, args[0], zero), dtype, one, zero)
    if dtype[0] == "u":
        return nonzero
    return code.select(code.compare("icmp slt", dtype, args[0], zero), dtype, code.const(dtype, -1), nonzero)


def _int_max(code: Code, dtype: str, args: list[str]) -> str:
    return code.intrinsic("smax" if dtype[0] == "i" else "umax", dtype, *args)


def _int_min(code: Code, dtype: str, args: list[str]) -> str:
    return code.intrinsic("smin" if dtype[0] == "i" else "umin", dtype, *args)


def _shift_in_range(code: Code, dtype: str, count: str) -> tuple[str, str]:
    """(mask of counts below the width, count made safe); negative counts are large ones."""
    ok = code.compare("icmp ult", dtype, count, code.const(dtype, 8 * item_size(dtype)))
    return ok, code.select(ok, dtype, count, code.const(dtype, 0))


def _left_shift(code: Code, dtype: str, args: list[str]) -> str:
    ok, count = _shift_in_range(code, dtype, args[1])
    return code.select(ok, dtype, code.binary("shl", dtype, args[0], count), code.const(dtype, 0))


def _right_shift(code: Code, dtype: str, args: list[str]) -> str:
    if dtype[0] == "u":
        ok, count = _shift_in_range(code, dtype, args[1])
        return code.select(ok, dtype, code.binary("lshr", dtype, args[0], count), code.const(dtype, 0))
    last = code.const(dtype, 8 * item_size(dtype) - 1)
    small = code.compare("icmp ult", dtype, args[1], last)
    return code.binary("ashr", dtype, args[0], code.select(small, dtype, args[1], last))


# ---------------------------------------------------------------- floats


def _divide(code: Code, dtype: str, args: list[str]) -> str:
    return code.binary("fdiv", dtype, *args)


def _float_negative(code: Code, dtype: str, args: list[str]) -> str:
    return code.let(f"fneg {code.type(dtype)} {args[0]}")


def _fabs(code: Code, dtype: str, args: list[str]) -> str:
    return code.intrinsic("fabs", dtype, args[0])


def _sqrt(code: Code, dtype: str, args: list[str]) -> str:
    return code.intrinsic("sqrt", dtype, args[0])


def _float_sign(code: Code, dtype: str, args: list[str]) -> str:
    x, zero = args[0], code.const(dtype, 0.0)
    unsigned = code.select(code.compare("fcmp oeq", dtype, x, zero), dtype, zero, x)
    low = code.select(code.compare("fcmp olt", dtype, x, zero), dtype, code.const(dtype, -1.0), unsigned)
    return code.select(code.compare("fcmp ogt", dtype, x, zero), dtype, code.const(dtype, 1.0), low)


def _reciprocal(code: Code, dtype: str, args: list[str]) -> str:
    return code.binary("fdiv", dtype, code.const(dtype, 1.0), args[0])


def _scaled(numerator: float, denominator: float) -> _Real:
    def rule(code: Code, dtype: str, args: list[str]) -> str:
        if dtype == "f8":
            return code.binary("fmul", dtype, args[0], code.const(dtype, numerator / denominator))
        # NumPy's float loops divide in single precision.
        factor = float(np.float32(numerator) / np.float32(denominator))
        return code.binary("fmul", dtype, args[0], code.const(dtype, factor))

    return rule


def _copysign(code: Code, dtype: str, args: list[str]) -> str:
    return code.intrinsic("copysign", dtype, *args)


def _heaviside(code: Code, dtype: str, args: list[str]) -> str:
    x, zero = args[0], code.const(dtype, 0.0)
    step = code.select(code.compare("fcmp olt", dtype, x, zero), dtype, zero, code.const(dtype, 1.0))
    known = code.select(code.compare("fcmp oeq", dtype, x, zero), dtype, args[1], step)
    return code.select(code.compare("fcmp uno", dtype, x, x), dtype, x, known)


def _isnan(code: Code, dtype: str, args: list[str]) -> str:
    return code.compare("fcmp uno", dtype, args[0], args[0])


def _isinf(code: Code, dtype: str, args: list[str]) -> str:
    return code.compare("fcmp oeq", dtype, _fabs(code, dtype, args), code.const(dtype, math.inf))


def _isfinite(code: Code, dtype: str, args: list[str]) -> str:
    return code.compare("fcmp olt", dtype, _fabs(code, dtype, args), code.const(dtype, math.inf))


def _signbit(code: Code, dtype: str, args: list[str]) -> str:
    bits = "i4" if dtype == "f4" else "i8"
    word = code.convert("bitcast", args[0], register_type(dtype), register_type(bits))
    return code.compare("icmp slt", bits, word, code.const(bits, 0))


def _extreme(predicate: str, ignore_nan: bool) -> _Real:
    """maximum / minimum and fmax / fmin as NumPy's vector loops have them: the hardware's max gives its second operand when
    either is NaN or both are zero; the first (maximum) or the second (fmax) operand's NaN is then put right."""

    def rule(code: Code, dtype: str, args: list[str]) -> str:
        a, b = args
        best = code.select(code.compare(f"fcmp {predicate}", dtype, a, b), dtype, a, b)
        watched = b if ignore_nan else a
        return code.select(code.compare("fcmp uno", dtype, watched, watched), dtype, a, best)

    return rule


def _float_floor_divide(code: Code, dtype: str, args: list[str]) -> str:
    return functions.divmod_float(code, dtype, args[0], args[1])[0]


def _float_remainder(code: Code, dtype: str, args: list[str]) -> str:
    return functions.divmod_float(code, dtype, args[0], args[1])[1]


_ANY: dict[str, _Real] = {"positive": _same, "conjugate": _same}
_BOOL: dict[str, _Real] = {
    "absolute": _same, "invert": _not, "isnan": _never, "isinf": _never, "isfinite": _always,
}  # fmt: skip
_INT: dict[str, _Real] = {
    "square": _square, "negative": _int_negative, "absolute": _int_absolute, "sign": _int_sign, "invert": _not,
    "maximum": _int_max, "fmax": _int_max, "minimum": _int_min, "fmin": _int_min,
    "left_shift": _left_shift, "right_shift": _right_shift, "power": integers.power,
    "floor_divide": integers.floor_divide, "remainder": integers.remainder, "fmod": integers.fmod,
    "isnan": _never, "isinf": _never, "isfinite": _always,
}  # fmt: skip
_FLOAT: dict[str, _Real] = {
    "square": _square, "divide": _divide, "negative": _float_negative, "absolute": _fabs, "fabs": _fabs,
    "sqrt": _sqrt, "sign": _float_sign, "reciprocal": _reciprocal, "copysign": _copysign, "heaviside": _heaviside,
    "deg2rad": _scaled(math.pi, 180.0), "radians": _scaled(math.pi, 180.0),
    "rad2deg": _scaled(180.0, math.pi), "degrees": _scaled(180.0, math.pi),
    "isnan": _isnan, "isinf": _isinf, "isfinite": _isfinite, "signbit": _signbit,
    "maximum": _extreme("ogt", False), "minimum": _extreme("olt", False),
    "fmax": _extreme("ogt", True), "fmin": _extreme("olt", True),
    "rsqrt": root.spelling("rsqrt"), "rsqrt3": root.spelling("rsqrt3"),
    "floor_divide": _float_floor_divide, "remainder": _float_remainder, "fmod": functions.fmod,
}  # fmt: skip
