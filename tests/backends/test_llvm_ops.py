"""Every MAP op in every dtype that kernels compute it in, on special values, against NumPy's ufunc.

Each kernel runs on all its values, then on a shifted part of them, so that vector bodies and partial vectors must agree.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from legate_jit.backends.reference import map_op
from legate_jit.ir.dtypes import KERNEL_DTYPES, code, from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Section
from legate_jit.ir.ops import OPS, Kind
from tests.backends.harness import Launch

#: Transcendental functions: up to 4 units in the last place from NumPy's, which has up to 1 of its own (tan, cbrt: 2).
TRANSCENDENTAL = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "arctan2", "hypot", "power", "float_power", "erf", "erfc",
    "rsqrt", "rsqrt3",
}  # fmt: skip
MAX_ULP = 6  # ours up to 4, and NumPy has errors of its own
NOT_HERE = {"where", "cast", "real", "imag", "complex", "user"}


def specials(dtype: np.dtype) -> np.ndarray:
    """Values of interest of a dtype."""
    match dtype.kind:
        case "b":
            return np.array([False, True, True, False, True])
        case "f":
            return special_floats(dtype)
        case "c":
            part = special_floats(np.dtype(dtype.char.lower()))[[0, 1, 2, 3, 4, 5, 6, 7, 11, 17, 20]]
            grid = np.empty((part.size, part.size), dtype)
            grid.real, grid.imag = part[:, None], part[None, :]
            return grid.ravel()[:90]
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    near = [
        0,
        1,
        2,
        3,
        5,
        7,
        8,
        15,
        31,
        63,
        64,
        100,
        info.max,
        info.max - 1,
        info.max // 2,
        info.min,
        info.min + 1,
    ]
    near += [-1, -2, -3, -7, -8, -64, -100]
    some = rng.integers(info.min, info.max, 5, dtype=dtype, endpoint=True).tolist()
    return np.array([v for v in near if info.min <= v <= info.max] + some, dtype)


def special_floats(dtype: np.dtype) -> np.ndarray:
    """Zeros, infinities, NaN, subnormals, extremes, and plain numbers."""
    info = np.finfo(dtype)
    values = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        2.0,
        -3.0,
        0.1,
        10.0,
        -7.25,
    ]
    values += [float(info.smallest_subnormal), -float(info.smallest_subnormal), float(info.tiny)]
    values += [float(info.max), -float(info.max), 1e-3, 100.5, float(1 << 20) + 0.5]
    with np.errstate(over="ignore"):
        return np.array(values, dtype)


def operands(dtype: np.dtype, arity: int) -> list[np.ndarray]:
    """All combinations of the special values."""
    values = specials(dtype)
    grids = np.meshgrid(*[values] * arity, indexing="ij")
    return [np.ascontiguousarray(g.ravel()) for g in grids]


def map_kernel(op: str, args: list[np.dtype], result: np.dtype) -> Kernel:
    """out[i] = op(in0[i], in1[i], ...)."""
    loads = [Operand(code(d), (1,), "r") for d in args]
    instrs = [Instr("load", (), code(d), n) for n, d in enumerate(args)]
    instrs.append(Instr(op, tuple(range(len(args))), code(result)))
    section = Section("inner", tuple(instrs), ((len(args), len(args)),))
    return Kernel("map", 1, 0, (*loads, Operand(code(result), (1,), "w")), (), (section,))


def compute(op: str, arrays: list[np.ndarray], result: np.dtype, vector_bytes: int = 0) -> np.ndarray:
    """The op on the CPU target; the partial vector must agree with whole ones."""
    kernel = map_kernel(op, [a.dtype for a in arrays], result)
    out = np.zeros(arrays[0].shape, result)
    Launch(kernel, out.shape, [*arrays, out], tile=64).run(vector_bytes=vector_bytes)
    for shift in (1, 3, out.size - 1):
        part = np.zeros(out.size - shift, result)
        Launch(kernel, part.shape, [*(a[shift:] for a in arrays), part], tile=1 << 40).run(
            vector_bytes=vector_bytes
        )
        assert same_bits(part, out[shift:]), f"{op} depends on the position"
    return out


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, any NaN being like any other."""
    return not bool(np.any(differ(a, b)))


def differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mask of elements that differ in bits (NaN = NaN)."""
    if a.dtype.kind == "c":
        return differ(a.real, b.real) | differ(a.imag, b.imag)
    if a.dtype.kind != "f":
        return a != b
    bits = np.dtype(f"u{a.dtype.itemsize}")
    equal = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    return ~(equal | (np.isnan(a) & np.isnan(b)))


def close(a: np.ndarray, b: np.ndarray, ulp: int) -> np.ndarray:
    """Mask of elements within `ulp` units in the last place, NaN and infinities alike."""
    with np.errstate(all="ignore"):
        near = np.abs(a - b) <= ulp * np.spacing(np.minimum(np.abs(a), np.finfo(a.dtype).max))
    return (a == b) | (np.isnan(a) & np.isnan(b)) | near


def cases() -> list[tuple[str, str]]:
    """(op, operand dtype) for every op and loop dtype that kernels support."""
    out = []
    for op in OPS.values():
        if op.kind is Kind.MAP and op.name not in NOT_HERE:
            kinds = op.kinds
            out += [
                (op.name, code(d))
                for d in KERNEL_DTYPES
                if d.kind in kinds and is_loop(op.ufunc, d, op.arity)
            ]
    return out


def is_loop(ufunc: np.ufunc | None, dtype: np.dtype, arity: int) -> bool:
    """Whether the op computes in this dtype, or NumPy casts the operands first. float16 is always computed in float32."""
    return dtype != np.float16 and (
        ufunc is None or any(t.startswith(dtype.char * arity) for t in ufunc.types)
    )


def check(op: str, dtype: str, vector_bytes: int = 0) -> None:
    """Compare with NumPy."""
    loop = from_code(dtype)
    arrays = operands(loop, OPS[op].arity)
    if op == "power" and loop.kind == "i":
        arrays = [arrays[0][arrays[1] >= 0], arrays[1][arrays[1] >= 0]]
    with np.errstate(all="ignore"):
        if OPS[op].ufunc is None:
            want = map_op(op, loop, arrays)
        else:
            want = OPS[op].ufunc(*arrays)
    got = compute(op, arrays, want.dtype, vector_bytes)
    if (op in TRANSCENDENTAL and loop.kind == "f") or (loop.kind == "c" and op == "absolute"):
        bad = ~close(got, want, MAX_ULP)
    else:
        bad = differ(got, want)
    where = np.flatnonzero(bad)[:5]
    assert not where.size, [(*(a[i] for a in arrays), "got", got[i], "want", want[i]) for i in where]


@pytest.mark.parametrize(("op", "dtype"), cases())
def test_op_matches_numpy(op: str, dtype: str) -> None:
    check(op, dtype)


@pytest.mark.parametrize("vector_bytes", [16, 64])
@pytest.mark.parametrize("dtype", ["b1", "i1", "i4", "u8", "f4", "f8", "c16"])
def test_other_vector_widths(dtype: str, vector_bytes: int) -> None:
    for op, loop in cases():
        if (op, loop, vector_bytes) == ("multiply", "c16", 16):
            continue  # NumPy fuses complex products on machines with wider vectors
        if loop == dtype and op in {
            "add", "multiply", "divide", "maximum", "floor_divide", "remainder", "power", "less", "exp", "isnan", "rint",
            "logical_and", "bitwise_xor", "left_shift", "absolute",
        }:  # fmt: skip
            check(op, dtype, vector_bytes)


@pytest.mark.parametrize("source", KERNEL_DTYPES, ids=code)
def test_casts_match_numpy(source: np.dtype) -> None:
    values = specials(source)
    if source.kind in "fc":
        extra = np.array(
            [
                3e9,
                -3e9,
                1e10,
                -1e10,
                2.0**31,
                -(2.0**31) - 1,
                2.0**63,
                1.8e19,
                255.9,
                -0.9,
                70000.0,
                65520.0,
                1e-8,
            ]
        )
        with np.errstate(all="ignore"):
            values = np.concatenate([values, extra.astype(source)])
    # NumPy's own vector loops and their scalar tails differ out of range: let it use vectors only.
    values = np.concatenate([values, np.ones(-values.size % 32, source)])
    for target in KERNEL_DTYPES:
        if source.kind == "c" and target.kind != "c" and target.kind != "b":
            continue  # the imaginary part is dropped by `real`, tested below
        with np.errstate(all="ignore"):
            want = values.astype(target)
        got = compute("cast", [values], target)
        where = np.flatnonzero(differ(got, want))
        assert not where.size, (target, [(values[i], got[i], want[i]) for i in where[:6]])


def test_float64_to_float16_rounds_once() -> None:
    rng = np.random.default_rng(3)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = (halves[:-1] + halves[1:]) / 2
    values = np.concatenate(
        [ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), ties * (1 + 2.0**-30), rng.normal(size=1000)]
    )
    values = np.concatenate([values, -values])
    assert same_bits(compute("cast", [values], np.dtype("f2")), values.astype(np.float16))
    single = values.astype(np.float32)
    assert same_bits(compute("cast", [single], np.dtype("f2")), single.astype(np.float16))
    every = np.arange(0x10000, dtype=np.uint32).astype(np.uint16).view(np.float16)
    assert same_bits(compute("cast", [every], np.dtype("f4")), every.astype(np.float32))
    assert same_bits(compute("cast", [every], np.dtype("f8")), every.astype(np.float64))


@pytest.mark.parametrize("dtype", KERNEL_DTYPES, ids=code)
def test_where(dtype: np.dtype) -> None:
    values = specials(dtype)
    other = values[::-1].copy()
    condition = (np.arange(values.size) % 3 == 0).astype(bool)
    got = compute("where", [condition, values, other], dtype)
    assert same_bits(got, np.where(condition, values, other))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_arithmetic_at_random(dtype: str) -> None:
    rng = np.random.default_rng(2)
    a, b = ((rng.normal(size=501) + 1j * rng.normal(size=501)).astype(dtype) for _ in range(2))
    for op in ("add", "subtract", "multiply", "divide"):
        assert same_bits(compute(op, [a, b], a.dtype), OPS[op].ufunc(a, b)), op
    assert same_bits(compute("square", [a], a.dtype), np.square(a))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_parts(dtype: str) -> None:
    whole = from_code(dtype)
    values = specials(whole)
    real = values.real.dtype
    assert same_bits(compute("real", [values], real), values.real)
    assert same_bits(compute("imag", [values], real), values.imag)
    parts = [np.ascontiguousarray(values.real), np.ascontiguousarray(values.imag)]
    assert same_bits(compute("complex", parts, whole), values)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_fmod_is_exact_for_large_quotients(dtype: str) -> None:
    rng = np.random.default_rng(11)
    kind = np.dtype(dtype)
    a = (rng.normal(size=4000) * 10.0 ** rng.integers(-20, 20, 4000)).astype(kind)
    b = (rng.normal(size=4000) * 10.0 ** rng.integers(-20, 20, 4000)).astype(kind)
    near = (np.round(rng.normal(size=4000) * 1000).astype(kind) * b).astype(kind)
    for x in (a, near):
        for op in ("fmod", "remainder", "floor_divide"):
            with np.errstate(all="ignore"):
                want = OPS[op].ufunc(x, b)
            assert same_bits(compute(op, [x, b], kind), want), op


@pytest.mark.parametrize("dtype", [d for d in KERNEL_DTYPES if d.kind in "iu"], ids=code)
def test_integer_division_at_random(dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    info = np.iinfo(dtype)
    a = rng.integers(info.min, info.max, 20000, dtype=dtype, endpoint=True)
    wide = rng.integers(info.min, info.max, 20000, dtype=dtype, endpoint=True)
    b = np.where(np.arange(20000) % 2 == 0, wide, wide // np.array(max(1, info.max // 90), dtype)).astype(
        dtype
    )
    a = np.where(np.arange(20000) % 5 == 0, b * (a // np.where(b == 0, 1, b)), a).astype(dtype)
    small = (a >> np.array(dtype.itemsize * 5, dtype), b >> np.array(dtype.itemsize * 5, dtype))
    for x, y in ((a, b), small):
        for op in ("floor_divide", "remainder", "fmod"):
            with np.errstate(all="ignore"):
                want = OPS[op].ufunc(x, y)
            assert same_bits(compute(op, [x, y], dtype), want), op


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_exact_results_stay_exact(dtype: str) -> None:
    kind = np.dtype(dtype)
    tens = (10.0 ** np.arange(-5, 20)).astype(kind)
    rounded = np.log10(tens.astype(np.longdouble)).astype(kind)  # NumPy's own, with AVX-512, is not exact
    assert same_bits(compute("log10", [tens], kind), rounded)
    exponents = np.arange(-30.0, 31.0).astype(kind)
    assert same_bits(compute("exp2", [exponents], kind), np.exp2(exponents))
    assert same_bits(compute("log2", [np.exp2(exponents)], kind), exponents)
    bases, powers = (
        np.ascontiguousarray(g.ravel()) for g in np.meshgrid(np.arange(1.0, 40.0), np.arange(0.0, 5.0))
    )
    assert same_bits(
        compute("power", [bases.astype(kind), powers.astype(kind)], kind), (bases**powers).astype(kind)
    )
    if dtype == "f4":
        cubes = np.arange(0.0, 40.0)
        assert same_bits(compute("cbrt", [(cubes**3).astype(kind)], kind), cubes.astype(kind))


def test_wide_integers_to_float_round_once() -> None:
    rng = np.random.default_rng(8)
    x = rng.integers(-(2**63), 2**63 - 1, 20001) >> rng.integers(0, 63, 20001)
    for dtype in ("f4", "f8"):
        assert same_bits(compute("cast", [x], np.dtype(dtype)), x.astype(dtype))
        assert same_bits(
            compute("cast", [x.view(np.uint64)], np.dtype(dtype)), x.view(np.uint64).astype(dtype)
        )
    real = x.astype(np.float64) + rng.random(x.size) - 0.5
    assert same_bits(compute("cast", [real], np.dtype("i8")), real.astype(np.int64))


def test_random_is_uniform_and_reproducible() -> None:
    counters = np.arange(20001, dtype=np.uint64) + np.uint64(2**32 - 77)
    keys = np.full(20001, 12345678901234567, np.uint64)
    got = compute("random", [keys, counters], np.dtype("f8"))
    from legate_jit.backends.reference import philox

    assert same_bits(got, philox(keys, counters))
    assert got.min() >= 0 and got.max() < 1 and abs(got.mean() - 0.5) < 0.01


def test_philox_known_answer() -> None:
    from legate_jit.backends.reference import philox

    generator = np.random.Generator(np.random.Philox(key=0))
    assert (
        generator is not None
    )  # NumPy's generator is Philox4x64; Random123's vector for 4x32 with zeros is:
    assert philox(np.uint64(0), np.uint64(0)) == ((0x6627E8D5 | (0xE169C58D << 32)) >> 11) * 2.0**-53
