"""Mathematical functions as LLVM IR: glibc's vector math (libmvec) where the host has it, scalar libm lane by lane elsewhere.

A function is always called on the host's native number of lanes (shorter registers are padded by repeating their lanes,
scalars are spread), so that a value gets the same bits wherever it stands in an array. Also here: exact fmod, NumPy's
divmod, the Philox generator and calls of user functions. Knows nothing of loops, memory or kernels.
"""

from __future__ import annotations

from legate_jit.backends.llvm.text import Code, Value, item_size, register_type, vector

#: NumPy's names and C's, with the number of operands.
_FUNCTIONS = {
    "exp": ("exp", 1), "exp2": ("exp2", 1), "expm1": ("expm1", 1), "log": ("log", 1), "log2": ("log2", 1),
    "log10": ("log10", 1), "log1p": ("log1p", 1), "cbrt": ("cbrt", 1), "sin": ("sin", 1), "cos": ("cos", 1),
    "tan": ("tan", 1), "arcsin": ("asin", 1), "arccos": ("acos", 1), "arctan": ("atan", 1), "sinh": ("sinh", 1),
    "cosh": ("cosh", 1), "tanh": ("tanh", 1), "arcsinh": ("asinh", 1), "arccosh": ("acosh", 1), "arctanh": ("atanh", 1),
    "erf": ("erf", 1), "erfc": ("erfc", 1), "arctan2": ("atan2", 2), "hypot": ("hypot", 2), "power": ("pow", 2),
    "float_power": ("pow", 2),
}  # fmt: skip
#: Letter of the vector ABI and register bytes.
_FAMILIES = {16: "b", 32: "d", 64: "e"}


def known(op: str) -> bool:
    """Whether `op` is a function of the mathematical libraries."""
    return op in _FUNCTIONS


def call(code: Code, op: str, dtype: str, args: list[str]) -> str:
    """Call function `op` on float registers of `code.width` lanes."""
    # libmvec's misses most exact cubes; its float64 one, rounded, does not.
    if op == "cbrt" and dtype == "f4":
        wide = call(code, op, "f8", [code.convert("fpext", args[0], "float", "double")])
        return code.convert("fptrunc", wide, "double", "float")
    base, count = _FUNCTIONS[op]
    name = base + ("f" if dtype == "f4" else "")
    lanes = code.module.vector_bytes // item_size(dtype)
    symbol = f"_ZGV{_FAMILIES[code.module.vector_bytes]}N{lanes}{'v' * count}_{name}"
    element = register_type(dtype)
    if op == "log10" or not code.module.has_symbol(symbol):  # libmvec's log10 misses exact powers of ten
        return _per_lane(code, name, element, args, [element] * count, element)
    t = vector(lanes, element)
    code.module.declare("@" + symbol, t, ", ".join([t] * count))
    cut = [code.pieces(element, a, lanes) for a in args]
    results = [
        code.let(f"call {t} @{symbol}(" + ", ".join(f"{t} {p}" for p in parts) + ")")
        for parts in zip(*cut, strict=True)
    ]
    return code.join(element, results, lanes)


def _per_lane(code: Code, name: str, element: str, args: list[str], types: list[str], result: str) -> str:
    """Call the scalar function `name` for every lane."""
    code.module.declare("@" + name, result, ", ".join(types))
    if code.width == 1:
        return code.let(
            f"call {result} @{name}(" + ", ".join(f"{t} {a}" for t, a in zip(types, args, strict=True)) + ")"
        )
    out = "poison"
    for lane in range(code.width):
        scalars = [
            code.let(f"extractelement {vector(code.width, t)} {a}, i64 {lane}")
            for t, a in zip(types, args, strict=True)
        ]
        one = code.let(
            f"call {result} @{name}("
            + ", ".join(f"{t} {a}" for t, a in zip(types, scalars, strict=True))
            + ")"
        )
        out = code.let(f"insertelement {vector(code.width, result)} {out}, {result} {one}, i64 {lane}")
    return out


def user_call(code: Code, symbol: str, dtype: str, args: list[Value], result: str) -> Value:
    """Call a user's compiled scalar function: real C scalars in and out, booleans as bytes."""
    if dtype[0] == "c" or result[0] == "c":
        raise NotImplementedError("user functions of complex numbers")
    element = register_type(dtype)
    registers = [a[0] for a in args]
    if dtype == "b1":
        element = "i8"
        registers = [code.convert("zext", a, "i1", "i8") for a in registers]
    target = "i8" if result == "b1" else register_type(result)
    value = _per_lane(code, symbol, element, registers, [element] * len(registers), target)
    return (code.compare("icmp ne", "i1", value, code.number("i8", 0)) if result == "b1" else value,)


# ---------------------------------------------------------------- fmod, divmod


def fmod(code: Code, dtype: str, args: list[str]) -> str:
    """C's fmod, exact."""
    element = register_type(dtype)
    t = vector(code.width, element)
    name = f"@legate_fmod_{element}_{code.width}"
    if name not in code.module.helpers:
        code.module.helpers[name] = []  # reserve: the body may need other helpers
        code.module.helpers[name] = _fmod_helper(code, name, dtype, t)
    return code.let(f"call {t} {name}({t} {args[0]}, {t} {args[1]})")


def _fmod_helper(code: Code, name: str, dtype: str, t: str) -> list[str]:
    """Where the quotients are below 2**p of the format, q = trunc(|a| / |b|) is right or one too large, and |a| - q |b| is
    exact with a fused multiply-add; anything else (large quotients, zero divisors, infinities, NaN) goes to libm."""
    lines: list[object] = [f"define internal {t} {name}({t} %a, {t} %b) nounwind {{", "entry:"]
    inner = Code(code.module, code.width, lines)
    if code.module.vector_bytes > 16:  # wider vectors come with hardware fused multiply-add
        top, base = inner.intrinsic("fabs", dtype, "%a"), inner.intrinsic("fabs", dtype, "%b")
        quotient = inner.binary("fdiv", dtype, top, base)
        easy = inner.compare(
            "fcmp olt", dtype, quotient, inner.const(dtype, 2.0**52 if dtype == "f8" else 2.0**23)
        )
        all_easy = easy
        if code.width > 1:
            mask = vector(code.width, "i1")
            symbol = code.module.declare(f"@llvm.vector.reduce.and.v{code.width}i1", "i1", mask, "")
            all_easy = inner.let(f"call i1 {symbol}({mask} {easy})")
        inner.put(f"br i1 {all_easy}, label %fast, label %slow")
        lines.append("fast:")
        whole = inner.intrinsic("trunc", dtype, quotient)
        minus = inner.let(f"fneg {t} {whole}")
        rest = inner.intrinsic("fma", dtype, minus, base, top)
        low = inner.compare("fcmp olt", dtype, rest, inner.const(dtype, 0.0))
        fixed = inner.select(low, dtype, inner.binary("fadd", dtype, rest, base), rest)
        inner.put(f"ret {t} {inner.intrinsic('copysign', dtype, fixed, '%a')}")
    else:
        inner.put("br label %slow")
    lines.append("slow:")
    element = register_type(dtype)
    function = "fmodf" if dtype == "f4" else "fmod"
    inner.put(f"ret {t} {_per_lane(inner, function, element, ['%a', '%b'], [element] * 2, element)}")
    lines.append("}")
    return [str(line) for line in lines]


def divmod_float(code: Code, dtype: str, a: str, b: str) -> tuple[str, str]:
    """(floor_divide, remainder) by NumPy's algorithm, special values included."""
    zero, one = code.const(dtype, 0.0), code.const(dtype, 1.0)
    rest = fmod(code, dtype, [a, b])
    quotient = code.binary("fdiv", dtype, code.binary("fsub", dtype, a, rest), b)
    plain = code.binary("fdiv", dtype, a, b)
    by_zero = code.compare("fcmp oeq", dtype, b, zero)
    has_rest = code.compare("fcmp une", dtype, rest, zero)
    b_negative = code.compare("fcmp olt", dtype, b, zero)
    rest_negative = code.compare("fcmp olt", dtype, rest, zero)
    unlike = code.both(has_rest, code.let(f"xor {code.type('b1')} {b_negative}, {rest_negative}"))
    adjusted = code.select(unlike, dtype, code.binary("fadd", dtype, rest, b), rest)
    modulus = code.select(has_rest, dtype, adjusted, code.intrinsic("copysign", dtype, zero, b))
    quotient = code.select(unlike, dtype, code.binary("fsub", dtype, quotient, one), quotient)
    floor = code.intrinsic("floor", dtype, quotient)
    excess = code.compare(
        "fcmp ogt", dtype, code.binary("fsub", dtype, quotient, floor), code.const(dtype, 0.5)
    )
    floor = code.select(excess, dtype, code.binary("fadd", dtype, floor, one), floor)
    nonzero = code.compare("fcmp une", dtype, quotient, zero)
    floor = code.select(nonzero, dtype, floor, code.intrinsic("copysign", dtype, zero, plain))
    return code.select(by_zero, dtype, plain, floor), code.select(by_zero, dtype, rest, modulus)


# ---------------------------------------------------------------- random numbers

_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)


def philox(code: Code, key: str, counter: str) -> str:
    """Philox4x32-10 of (counter, 0) under `key`, both u8; the first 53 of the top bits as a float64 in [0, 1)."""
    whole, real = code.type("u8"), code.type("f8")
    name = f"@legate_philox_{code.width}"
    if name not in code.module.helpers:
        lines: list[object] = [
            f"define internal {real} {name}({whole} %key, {whole} %counter) nounwind {{",
            "entry:",
        ]
        inner = Code(code.module, code.width, lines)
        inner.put(f"ret {real} {_philox_body(inner, '%key', '%counter')}")
        lines.append("}")
        code.module.helpers[name] = [str(line) for line in lines]
    return code.let(f"call {real} {name}({whole} {key}, {whole} {counter})")


def _philox_body(code: Code, key: str, counter: str) -> str:
    """32-bit words stand in the low halves of 64-bit lanes, which the hardware multiplies; what the high halves hold between
    multiplications does not matter."""

    def op(name: str, a: str, b: str) -> str:
        return code.binary(name, "u8", a, b)

    def high(a: str) -> str:
        return code.shift("lshr", "u8", a, 32)

    low = code.number("i64", 0xFFFFFFFF)

    def product(a: str, factor: int) -> str:
        return op("mul", op("and", a, low), code.number("i64", factor))

    words = [counter, high(counter), code.number("i64", 0), code.number("i64", 0)]
    keys = [key, high(key)]
    for round_number in range(10):
        if round_number:
            keys = [op("add", k, code.number("i64", w)) for k, w in zip(keys, _PHILOX_W, strict=True)]
        first, second = product(words[0], _PHILOX_M[0]), product(words[2], _PHILOX_M[1])
        words = [
            op("xor", op("xor", high(second), words[1]), keys[0]),
            second,
            op("xor", op("xor", high(first), words[3]), keys[1]),
            first,
        ]
    top = code.shift("shl", "u8", words[1], 32)
    bits = code.shift("lshr", "u8", op("or", top, op("and", words[0], low)), 11)
    # Unsigned: LLVM has a vector sequence for that conversion on every x86.
    return code.binary(
        "fmul", "f8", code.convert("uitofp", bits, "i64", "double"), code.const("f8", 2.0**-53)
    )
