"""How MAP ops are spelled for complex dtypes, on planar (real, imaginary) components, with NumPy's algorithms."""

from __future__ import annotations

from legate_jit.backends.llvm import functions
from legate_jit.backends.llvm.text import Code, Value, part


def spell(code: Code, op: str, dtype: str, args: list[Value]) -> Value:
    """Emit `op` on complex operands; results are complex, real or boolean as NumPy's. NotImplementedError if unknown."""
    real = part(dtype)
    a = args[0]
    b = args[1] if len(args) > 1 else a
    match op:
        case "add" | "subtract":
            return tuple(
                code.binary("fadd" if op == "add" else "fsub", real, x, y) for x, y in zip(a, b, strict=True)
            )
        case "multiply" | "square":
            return _multiply(code, real, a, b)
        case "divide":
            return _divide(code, real, a, b)
        case "negative":
            return tuple(code.let(f"fneg {code.type(real)} {x}") for x in a)
        case "conjugate":
            return (a[0], code.let(f"fneg {code.type(real)} {a[1]}"))
        case "positive":
            return a
        case "real" | "imag":
            return a[:1] if op == "real" else a[1:]
        case "absolute":
            return (functions.call(code, "hypot", real, [a[0], a[1]]),)
        case "equal":
            return (code.both(*(code.compare("fcmp oeq", real, x, y) for x, y in zip(a, b, strict=True))),)
        case "not_equal":
            return (code.either(*(code.compare("fcmp une", real, x, y) for x, y in zip(a, b, strict=True))),)
        case "isnan" | "isinf" | "isfinite":
            return (_classify(code, op, real, a),)
        case _:
            raise NotImplementedError(f"{op} of {dtype}")


def _multiply(code: Code, real: str, a: Value, b: Value) -> Value:
    """(ar*br - ai*bi, ar*bi + ai*br). NumPy's vector loops fuse the first product of each sum where the hardware can, which
    is where vectors are wider than 16 bytes; so do we, to give its bits."""
    first, second = code.binary("fmul", real, a[1], b[1]), code.binary("fmul", real, a[1], b[0])
    if code.module.vector_bytes > 16:
        minus = code.let(f"fneg {code.type(real)} {first}")
        return (
            code.intrinsic("fma", real, a[0], b[0], minus),
            code.intrinsic("fma", real, a[0], b[1], second),
        )
    return (
        code.binary("fsub", real, code.binary("fmul", real, a[0], b[0]), first),
        code.binary("fadd", real, code.binary("fmul", real, a[0], b[1]), second),
    )


def _divide(code: Code, real: str, a: Value, b: Value) -> Value:
    """Smith's algorithm as NumPy has it: scale by the larger part of the divisor; a zero divisor divides by +0."""
    zero = code.const(real, 0.0)

    def op(name: str, x: str, y: str) -> str:
        return code.binary(name, real, x, y)

    size_r = code.intrinsic("fabs", real, b[0])
    size_i = code.intrinsic("fabs", real, b[1])
    by_real = code.compare("fcmp oge", real, size_r, size_i)
    large = code.select(by_real, real, b[0], b[1])
    small = code.select(by_real, real, b[1], b[0])
    ratio = op("fdiv", small, large)
    scale = op("fdiv", code.const(real, 1.0), op("fadd", large, op("fmul", small, ratio)))
    # by_real: (ar + ai*ratio, ai - ar*ratio); else (ar*ratio + ai, ai*ratio - ar).
    first = code.select(by_real, real, a[0], a[1])
    second = code.select(by_real, real, a[1], a[0])
    out_r = op("fmul", op("fadd", first, op("fmul", second, ratio)), scale)
    left = code.select(by_real, real, a[1], op("fmul", a[1], ratio))
    right = code.select(by_real, real, op("fmul", a[0], ratio), a[0])
    out_i = op("fmul", op("fsub", left, right), scale)
    both_zero = code.both(by_real, code.compare("fcmp oeq", real, size_r, zero))
    return (
        code.select(both_zero, real, op("fdiv", a[0], size_r), out_r),
        code.select(both_zero, real, op("fdiv", a[1], size_r), out_i),
    )


def _classify(code: Code, op: str, real: str, a: Value) -> str:
    if op == "isnan":
        return code.compare("fcmp uno", real, a[0], a[1])
    limit = code.const(real, float("inf"))
    predicate = "fcmp oeq" if op == "isinf" else "fcmp olt"
    parts = [code.compare(predicate, real, code.intrinsic("fabs", real, x), limit) for x in a]
    return code.either(*parts) if op == "isinf" else code.both(*parts)
