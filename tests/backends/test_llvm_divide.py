"""Quotients by divisors that stay the same along the inner loop, made of products: bit for bit what division gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from legate_jit.backends import native
from legate_jit.backends.llvm import kernel as llvm
from legate_jit.ir.dtypes import code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from tests.backends.harness import Launch
from tests.backends.test_llvm_ops import special_floats

FLOATS = (np.dtype("f4"), np.dtype("f8"))


def by_scalar(dtype: np.dtype) -> Kernel:
    """out = x / c."""
    name = code(dtype)
    instrs = (Instr("load", (), name, 0), Instr("scalar", (), name, 0), Instr("divide", (0, 1), name))
    operands = (Operand(name, (1,), "r"), Operand(name, (1,), "w"))
    return Kernel("map", 1, 0, operands, (name,), (Section("inner", instrs, ((1, 2),)),))


def quotients(x: np.ndarray, c: np.generic, vector_bytes: int = 0) -> np.ndarray:
    out = np.empty_like(x)
    launch = Launch(by_scalar(x.dtype), (x.size,), [x, out], [c], tile=x.size)
    launch.run(vector_bytes=vector_bytes, slow_division=True)
    return out


def check(x: np.ndarray, c: np.generic, vector_bytes: int = 0) -> None:
    bits = np.dtype(f"u{x.dtype.itemsize}")
    with np.errstate(all="ignore"):
        wanted = x / c
    found = quotients(x, c, vector_bytes)
    wrong = (found.view(bits) != wanted.view(bits)) & ~(np.isnan(found) & np.isnan(wanted))
    assert not wrong.any(), (c, x[wrong][:5], found[wrong][:5], wanted[wrong][:5])


def round_to(values: np.ndarray, digits: int) -> np.ndarray:
    """Exact float64 values rounded to `digits` bits, ties to even."""
    fraction, exponent = np.frexp(values)
    rounded: np.ndarray = np.ldexp(np.rint(np.ldexp(fraction, digits)), exponent - digits)
    return rounded


@pytest.mark.parametrize("digits", [3, 4, 8, 9, 10, 11])
def test_theorem(digits: int) -> None:
    """The three steps give the rounded quotient for all pairs of significands of a small format (float64 computes all of them
    exactly before they are rounded)."""
    significands = np.arange(2 ** (digits - 1), 2**digits) / 2 ** (digits - 1)
    x, c = significands[:, None], significands[None, :]
    reciprocal = round_to(1 / c, digits)
    estimate = round_to(x * reciprocal, digits)
    rest = round_to(x - estimate * c, digits)
    quotient = round_to(estimate + rest * reciprocal, digits)
    wanted = round_to(x / c, digits)
    np.testing.assert_array_equal(quotient, wanted)
    assert (estimate != wanted).mean() > 0.1  # the product alone is wrong for every fourth pair


@pytest.mark.parametrize("c", [3.0, 1.9999999, 1.0000001, math.pi, 0.7, -1.2345, 1e30])
def test_all_significands(c: float) -> None:
    x = np.arange(1 << 23, dtype=np.uint32) + np.uint32(0x3F800000)
    check(x.view(np.float32), np.float32(c))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_near_ties(dtype: np.dtype) -> None:
    """Dividends whose quotients are as near as can be to the middle between two numbers."""
    random, top = np.random.default_rng(5), np.finfo(dtype).maxexp - 2
    for exponent in [
        *random.integers(-20, 20, 30),
        *range(top - 2, top + 1),
    ]:  # the last have subnormal reciprocals
        c = dtype.type(random.uniform(1, 2) * 2.0**exponent)
        q = ((1 + random.random(30000)) / 2).astype(dtype)
        middle = q.astype(np.longdouble) + np.spacing(q).astype(np.longdouble) / 2
        near = (middle * np.longdouble(c)).astype(dtype)
        x = np.concatenate(
            [near, np.nextafter(near, dtype.type(0)), np.nextafter(near, dtype.type(math.inf))]
        )
        check(x, c)
        check(-x, c)


@pytest.mark.parametrize("vector_bytes", [0, 32, 16])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_special_values(dtype: np.dtype, vector_bytes: int) -> None:
    """All pairs of zeros, infinities, NaN, subnormals and extremes, each beside ordinary numbers in one vector, and alone."""
    info = np.finfo(dtype)
    ends = [
        info.tiny,
        info.tiny * 2,
        info.tiny / 2,
        info.smallest_subnormal,
        info.max,
        info.max / 2,
        info.max / 4,
        1 / info.max,
    ]
    values = np.concatenate([special_floats(dtype), np.array(ends, dtype), -np.array(ends, dtype)])
    mixed = np.full(16 * values.size, 1.25, dtype)
    mixed[::16] = values
    for c in values:
        check(mixed, c, vector_bytes)
        check(np.repeat(values, 16), c, vector_bytes)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_any_bits(dtype: np.dtype) -> None:
    """Numbers of all magnitudes by numbers of all magnitudes, and by those at the ends of the range."""
    random, bits = np.random.default_rng(6), np.dtype(f"u{dtype.itemsize}")
    top = np.iinfo(bits).max

    def some(count: int) -> np.ndarray:
        return random.integers(0, top, count, dtype=bits, endpoint=True).view(dtype)

    info = np.finfo(dtype)
    ends = [info.max / dtype.type(k) for k in (1.1, 1.7, 2.1, 3, 3.7, 5, 7.3, 9)]
    ends += [info.tiny * dtype.type(k) for k in (0.013, 0.3, 1.1, 1.7, 3.3)]
    for c in [*some(60), *ends]:
        x = some(20000)
        check(x, c)
        with np.errstate(all="ignore"):  # quotients near both ends of the range
            check((x * c).astype(dtype), c)
            check((some(2000) % dtype.type(4) * np.finfo(dtype).tiny).astype(dtype), dtype.type(abs(c) % 8))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_ties_below_the_normal_numbers(dtype: np.dtype) -> None:
    """Subnormal quotients exactly in the middle: one bit too many in the remainder's product would show."""
    info = np.finfo(dtype)
    for factor in (3, 5, 7, 11, 49):
        for exponent in range(2, -2 * info.minexp, max(1, -info.minexp // 25)):
            scale = np.longdouble(factor) * np.longdouble(2) ** (exponent + info.minexp)
            c = dtype.type(scale)
            x = (np.arange(1, 400, 2) * scale * (np.longdouble(info.smallest_subnormal) / 2)).astype(dtype)
            check(x, c)


@pytest.mark.parametrize("columns", [1, 3, 8, 19, 300, 4000])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_divided_by_the_row_s_sum(dtype: np.dtype, columns: int) -> None:
    """x / x.sum(axis=1): the divisor is known once the row has been summed."""
    name = code(dtype)
    sections = (
        Section("inner", (Instr("load", (), name, 0),), (), (Reduce("add", 0, name),)),
        Section(
            "inner",
            (Instr("load", (), name, 0), Instr("reduced", (), name, 0), Instr("divide", (1, 2), name)),
            ((1, 3),),
        ),
        Section("outer", (Instr("reduced", (), name, 0),), ((2, 4),)),
    )
    operands = (Operand(name, (2, 1), "r"), Operand(name, (2, 1), "w"), Operand(name, (2, 0), "w"))
    kernel = Kernel("row", 2, 1, operands, (), sections)
    x = np.random.default_rng(7).normal(size=(40, columns)).astype(dtype)
    x[3] = 0
    x[4, 0] = math.inf
    out, sums = np.empty_like(x), np.empty(40, dtype)
    spread = np.lib.stride_tricks.as_strided(sums, (40, columns), (dtype.itemsize, 0))
    Launch(kernel, x.shape, [x, out, spread]).run(slow_division=True)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, x / sums[:, None])


@pytest.mark.parametrize("columns", [2, 8, 100])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_divided_by_a_value_per_row(dtype: np.dtype, columns: int) -> None:
    """Two divisions by values per row, in place, next to one by a varying value."""
    name = code(dtype)
    instrs = (
        Instr("load", (), name, 0),
        Instr("load", (), name, 1),
        Instr("divide", (0, 1), name),
        Instr("square", (1,), name),
        Instr("divide", (2, 3), name),
        Instr("divide", (4, 0), name),
    )
    operands = (Operand(name, (2, 1), "rw"), Operand(name, (2, 0), "r"))
    kernel = Kernel("map", 2, 0, operands, (), (Section("inner", instrs, ((0, 5),)),))
    random = np.random.default_rng(8)
    x = random.normal(size=(50, columns)).astype(dtype)
    c = random.normal(size=50).astype(dtype)
    c[7], c[8] = 0, math.inf
    with np.errstate(all="ignore"):
        wanted = x / c[:, None] / np.square(c)[:, None] / x
    rows = np.lib.stride_tricks.as_strided(c, (50, columns), (dtype.itemsize, 0))
    Launch(kernel, x.shape, [x, rows], tile=columns, rows_per_unit=7).run([2, 5], slow_division=True)
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("columns", [5, 64, 1000, 3000])
def test_summed_quotients(columns: int) -> None:
    """sum(x / c) by rows: several loops after each other divide by the row's value. The numbers are whole, so that any order
    of the additions gives the same sum."""
    instrs = (Instr("load", (), "f8", 0), Instr("load", (), "f8", 1), Instr("divide", (0, 1), "f8"))
    total = Instr("reduced", (), "f8", 0)
    sections = (
        Section("inner", instrs, (), (Reduce("add", 2, "f8"),)),
        Section("outer", (total,), ((2, 3),)),
    )
    operands = (Operand("f8", (2, 1), "r"), Operand("f8", (2, 0), "r"), Operand("f8", (2, 0), "w"))
    kernel = Kernel("row", 2, 1, operands, (), sections)
    random = np.random.default_rng(9)
    c = random.integers(1, 1000, 30).astype("f8")
    x = random.integers(-1000, 1000, (30, columns)) * c[:, None]
    sums = np.empty(30)

    def per_row(a: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.as_strided(a, (30, columns), (8, 0))

    Launch(kernel, x.shape, [x, per_row(c), per_row(sums)]).run(slow_division=True)
    np.testing.assert_array_equal(sums, (x / c[:, None]).sum(axis=1))


def test_only_where_it_pays() -> None:
    """Hosts that divide quickly divide; others do not, but in partial vectors and where a lane needs it."""
    kernel = by_scalar(np.dtype("f8"))
    quick = llvm.emit(kernel, "k", 64, lambda name: False, slow_division=False)
    slow = llvm.emit(kernel, "k", 64, lambda name: False, slow_division=True)
    assert "@llvm.fma" not in quick and quick.count("fdiv <8 x double>") == 2
    assert slow.count("call <8 x double> @llvm.fma.v8f64(") == 2
    assert slow.count("fdiv double") == 1
    assert isinstance(native.slow_division(), bool)
