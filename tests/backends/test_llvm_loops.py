"""Loop nests of the emitter: kinds, strides, blocks, sections, splits of units; against the reference target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legate_jit.backends.reference import philox
from legate_jit.ir.dtypes import code, from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from tests.backends.harness import Launch

I = Instr  # noqa: E741
DTYPES = ["b1", "i1", "u2", "i4", "i8", "f4", "f8", "c8", "c16"]


def numbers(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Small values whose sums are exact in every order."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    base = rng.integers(0, 50, shape) if dtype.kind == "u" else rng.integers(-50, 50, shape)
    out = base.astype(dtype)
    if dtype.kind in "fc":
        out = out / dtype.type(8)
    if dtype.kind == "c":
        out = out + dtype.type(1j) * rng.integers(-9, 9, shape).astype(dtype)
    return out.astype(dtype)


def layout(
    rng: np.random.Generator, dtype: str, extents: tuple[int, ...], classes: tuple[int, ...]
) -> np.ndarray:
    """An array over the loops whose strides are of the given classes, in a random memory order."""
    ndim = len(extents)
    moving = [d for d in range(ndim) if classes[d]]
    order = [int(d) for d in rng.permutation(moving)]
    if classes[-1] == 1:  # the inner loop takes the next element
        order = [d for d in order if d != ndim - 1] + [ndim - 1]
    steps = {d: 1 if classes[d] == 1 else int(rng.choice([1, 2, -1, -2, 3])) for d in moving}
    base = numbers(rng, from_code(dtype), tuple(extents[d] * abs(steps[d]) + 1 for d in order))
    view = base[tuple(slice(0, extents[d] * abs(steps[d]) or None, abs(steps[d])) for d in order)]
    view = view[tuple(slice(0, extents[d]) for d in order)]
    view = view[tuple(slice(None, None, -1) if steps[d] < 0 else slice(None) for d in order)]
    view = view.transpose([order.index(d) for d in moving])
    view = view[tuple(slice(None) if classes[d] else None for d in range(ndim))]
    strides = tuple(s if c else 0 for s, c in zip(view.strides, classes, strict=True))
    return (
        np.lib.stride_tricks.as_strided(view, extents, strides)
        if 0 not in extents
        else np.empty(extents, base.dtype)
    )


def program(rng: np.random.Generator, first: list[Instr], length: int, ndim: int) -> list[Instr]:
    """Random instrs on top of `first`, exact for small numbers."""
    instrs = list(first)
    while len(instrs) < len(first) + length:
        a, b = (int(x) for x in rng.integers(0, len(instrs), 2))
        ta, tb = instrs[a].dtype, instrs[b].dtype
        kind = int(rng.integers(0, 7))
        if ta != tb or kind == 0:
            target = ta if rng.integers(0, 2) else tb
            source = b if target == ta else a
            if instrs[source].dtype[0] == "c" and target[0] != "c":
                continue
            if instrs[source].dtype[0] == "f" and target[0] in "u":
                continue
            instrs.append(I("cast", (source,), target))
        elif kind == 1:
            instrs.append(I("not_equal", (a, b), "b1"))
        elif kind == 2:
            mask = next((n for n, i in enumerate(instrs) if i.dtype == "b1"), -1)
            if mask >= 0:
                instrs.append(I("where", (mask, a, b), ta))
        elif kind == 3 and ta[0] not in "c":
            instrs.append(I("maximum", (a, b), ta))
        elif kind == 4:
            instrs.append(I("index", (), "i8", int(rng.integers(0, ndim))))
        elif kind == 5:
            instrs.append(I("const", (), ta, {"b": True, "i": 3, "u": 3, "f": 0.5, "c": 1 + 2j}[ta[0]]))
        else:
            instrs.append(I("add", (a, b), ta))
    return instrs


def agree(launch: Launch, outputs: list[int], exact: bool = True) -> None:
    """The CPU target (whole, split, and with other vector widths) gives the reference's results."""
    saved = {k: launch.arrays[k].copy() for k in outputs}  # type: ignore[union-attr]

    def outcome(run: Any) -> dict[int, np.ndarray]:
        for k in outputs:
            np.copyto(launch.arrays[k], saved[k])  # type: ignore[arg-type]
        run()
        return {k: launch.arrays[k].copy() for k in outputs}  # type: ignore[union-attr]

    want = outcome(launch.run_reference)
    got = outcome(launch.run)
    units = launch.units
    split = outcome(lambda: launch.run(sorted({units // 3, units // 2, units - 1} & set(range(1, units)))))
    for k in outputs:
        if exact:
            np.testing.assert_array_equal(got[k], want[k])
        else:
            np.testing.assert_allclose(
                got[k], want[k], rtol=1e-5 if want[k].dtype.itemsize == 4 else 1e-13, atol=1e-6
            )
        assert got[k].tobytes() == split[k].tobytes()
    if exact:
        for width in (16, 64):
            other = outcome(lambda w=width: launch.run(vector_bytes=w))
            for k in outputs:
                np.testing.assert_array_equal(other[k], want[k])


def writable(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = True
    return array


def random_operands(
    rng: np.random.Generator, extents: tuple[int, ...], count: int
) -> tuple[list[Operand], list[np.ndarray | None], list[Instr]]:
    """Read operands with random dtypes and stride classes, and their loads."""
    operands, arrays, loads = [], [], []
    ndim = len(extents)
    for n in range(count):
        dtype = str(rng.choice(DTYPES))
        classes = tuple(int(rng.choice([0, 2, 2])) for _ in range(ndim - 1)) + (
            int(rng.choice([0, 1, 1, 1, 2])),
        )
        operands.append(Operand(dtype, classes, "r"))
        arrays.append(layout(rng, dtype, extents, classes))
        loads.append(I("load", (), dtype, n))
    return operands, arrays, loads


def random_extents(rng: np.random.Generator, ndim: int, least: int = 1) -> tuple[int, ...]:
    outer = [int(rng.integers(least, 5)) for _ in range(ndim - 1)]
    return (*outer, int(rng.choice([least, 1, 2, 3, 5, 8, 17, 33, 40, 70])))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_random_map_kernels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 5))
    extents = random_extents(rng, ndim)
    operands, arrays, loads = random_operands(rng, extents, int(rng.integers(1, 4)))
    instrs = program(rng, loads, int(rng.choice([1, 3, 5, 8, 45])), ndim)
    stores, outputs = [], []
    for value in {len(instrs) - 1, len(instrs) - 2}:
        classes = (2,) * (ndim - 1) + (int(rng.choice([1, 1, 2])),)
        stores.append((len(operands), value))
        outputs.append(len(operands))
        operands.append(Operand(instrs[value].dtype, classes, "w"))
        arrays.append(layout(rng, instrs[value].dtype, extents, classes))
    kernel = Kernel("map", ndim, 0, tuple(operands), (), (Section("inner", tuple(instrs), tuple(stores)),))
    launch = Launch(
        kernel, extents, arrays, tile=int(rng.choice([7, 32, 1000])), rows_per_unit=int(rng.integers(1, 5))
    )
    agree(launch, outputs)


REDUCTIONS = [
    "add",
    "maximum",
    "minimum",
    "fmax",
    "argmax",
    "argmin",
    "multiply",
    "logical_or",
    "logical_and",
    "bitwise_xor",
]


def reduce_for(rng: np.random.Generator, value: int, dtype: str, operand: int = -1) -> Reduce | None:
    combine = str(rng.choice(REDUCTIONS))
    if combine.startswith("logical"):
        return Reduce(combine, value, dtype, operand) if dtype == "b1" else None
    if combine == "bitwise_xor" and dtype[0] not in "biu":
        return None
    if combine == "multiply" and dtype[0] in "fc":
        return None
    if dtype[0] == "c" and combine != "add":
        return None
    if dtype == "b1" and combine in ("add", "multiply"):
        return None
    return Reduce(combine, value, "i8" if combine.startswith("arg") else dtype, operand)


def some_reduces(rng: np.random.Generator, instrs: list[Instr], first_operand: int = -1) -> list[Reduce]:
    out: list[Reduce] = []
    while not out:
        for _ in range(3):
            value = int(rng.integers(0, len(instrs)))
            operand = first_operand + len(out) if first_operand >= 0 else -1
            reduce = reduce_for(rng, value, instrs[value].dtype, operand)
            if reduce is not None:
                out.append(reduce)
        instrs.append(I("const", (), "i8", 3))
    return out


def safe_empty(reduces: list[Reduce]) -> bool:
    return all(r.combine in ("add", "multiply", "logical_or", "logical_and", "bitwise_xor") for r in reduces)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_random_row_kernels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 4))
    nreduced = int(rng.integers(1, ndim + 1))
    blocked = nreduced == 1 and bool(rng.integers(0, 2))
    extents = random_extents(rng, ndim, least=1)
    operands, arrays, loads = random_operands(rng, extents, int(rng.integers(1, 4)))
    instrs = program(rng, loads, int(rng.integers(1, 6)), ndim)
    reduces = some_reduces(rng, instrs)
    outer: list[Instr] = [I("reduced", (), r.dtype, n) for n, r in enumerate(reduces)]
    kept = ndim - nreduced
    stores, outputs = [], []
    tile = int(rng.choice([4, 16, 100])) if blocked else 0
    nblocks = -(-extents[-1] // tile) if blocked else 1
    strides: dict[int, int] = {}
    for n, r in enumerate(reduces):
        stores.append((len(operands), len(instrs) + n))
        outputs.append(len(operands))
        result = np.zeros((*extents[:kept], nblocks), from_code(r.dtype))
        strides[len(operands)] = result.itemsize
        operands.append(Operand(r.dtype, (2,) * kept + (0,) * nreduced, "w"))
        view = np.lib.stride_tricks.as_strided(result, extents, result.strides[:kept] + (0,) * nreduced)
        arrays.append(view)
    sections = (
        Section("inner", tuple(instrs), (), tuple(reduces)),
        Section("outer", tuple(outer), tuple(stores)),
    )
    kernel = Kernel("row", ndim, nreduced, tuple(operands), (), sections, blocked)
    launch = Launch(kernel, extents, arrays, tile=tile, block_strides=strides)
    compare_reductions(launch, outputs)


def compare_reductions(launch: Launch, outputs: list[int]) -> None:
    """As `agree`, for results that loops do not move along: the whole base arrays are compared."""
    bases = []
    for k in outputs:
        base: Any = launch.arrays[k]
        while base.base is not None:
            base = base.base
        bases.append(base.base if base.base is not None else base)
    results = []
    units = launch.units
    cut = sorted({units // 3, units // 2} & set(range(1, units)))
    for run in (
        launch.run_reference, launch.run, lambda: launch.run(cut), lambda: launch.run(vector_bytes=16),
        lambda: launch.run(vector_bytes=64),
    ):  # fmt: skip
        for base in bases:
            base[...] = 0
        run()
        results.append([base.copy() for base in bases])
    for other in results[1:]:
        for mine, want in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(mine, want)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_random_col_kernels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(2, 5))
    nreduced = int(rng.integers(1, ndim))
    blocked = bool(rng.integers(0, 2))
    extents = random_extents(rng, ndim)
    extents = tuple(int(rng.integers(1, 12)) if d == ndim - 2 else e for d, e in enumerate(extents))
    operands, arrays, loads = random_operands(rng, extents, int(rng.integers(1, 4)))
    instrs = program(rng, loads, int(rng.integers(1, 6)), ndim)
    reduces = some_reduces(rng, instrs, len(operands))
    kept = ndim - 1 - nreduced
    outputs = []
    block = int(rng.integers(1, 5))
    nblocks = -(-extents[kept] // block) if blocked else 1
    strides: dict[int, int] = {}
    for r in reduces:
        outputs.append(len(operands))
        step = int(rng.choice([1, 1, 2]))
        result = np.zeros((nblocks, *extents[:kept], extents[-1] * step), from_code(r.dtype))
        strides[len(operands)] = result.strides[0]
        operands.append(Operand(r.dtype, (2,) * kept + (0,) * nreduced + (1 if step == 1 else 2,), "w"))
        inner = (*result.strides[1:-1], *(0,) * nreduced, result.itemsize * step)
        arrays.append(np.lib.stride_tricks.as_strided(result, extents, inner))
    kernel = Kernel(
        "col",
        ndim,
        nreduced,
        tuple(operands),
        (),
        (Section("inner", tuple(instrs), (), tuple(reduces)),),
        blocked,
    )
    launch = Launch(
        kernel,
        extents,
        arrays,
        tile=int(rng.choice([5, 32, 100])),
        rows_per_unit=block,
        block_strides=strides,
    )
    compare_reductions(launch, outputs)


def sum_kernel(dtype: str, combine: str = "add", inner: int = 1) -> Kernel:
    """out[k] = combine over the row of x."""
    result = "i8" if combine.startswith("arg") else dtype
    return Kernel(
        "row", 2, 1, (Operand(dtype, (2, inner), "r"), Operand(result, (2, 0), "w")), (),
        (
            Section("inner", (I("load", (), dtype, 0),), (), (Reduce(combine, 0, result),)),
            Section("outer", (I("reduced", (), result, 0),), ((1, 1),)),
        ),
    )  # fmt: skip


def reduce_rows(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    out = np.zeros(x.shape[0], from_code(kernel.operands[1].dtype))
    view = np.lib.stride_tricks.as_strided(out, x.shape, (out.itemsize, 0))
    Launch(kernel, x.shape, [x, view]).run()
    return out


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("n", [3, 17, 1000, 100_003])
def test_sums_are_as_accurate_as_numpys(dtype: str, n: int) -> None:
    rng = np.random.default_rng(n)
    kind = from_code(dtype)
    rows = 20 if n < 10_000 else 4
    x = np.exp(rng.normal(size=(rows, n)) * 3).astype(kind)
    if kind.kind == "c":
        x += (1j * np.exp(rng.normal(size=(rows, n)))).astype(kind)
    got = reduce_rows(sum_kernel(dtype), x)
    numpys = x.sum(axis=1)
    for part in ("real", "imag") if kind.kind == "c" else ("real",):
        exact = np.array([math.fsum(row.astype(np.float64)) for row in getattr(x, part)])
        error = np.abs(getattr(got, part).astype(np.float64) - exact).max()
        allowed = np.abs(getattr(numpys, part).astype(np.float64) - exact).max()
        assert error <= max(allowed, 1.01 * np.spacing(exact.max().astype(getattr(x, part).dtype)))


def test_sums_of_infinities_nan_zeros_and_nothing() -> None:
    rows = np.zeros((6, 5000))
    rows[1, 4000] = np.inf
    rows[2, 10], rows[2, 4999] = np.inf, -np.inf
    rows[3, 1234] = np.nan
    rows[4] = -0.0
    rows[5] = 1e308
    got = reduce_rows(sum_kernel("f8"), rows)
    with np.errstate(all="ignore"):
        want = rows.sum(axis=1)
    np.testing.assert_array_equal(got, want)
    assert not np.signbit(got[4])
    assert (reduce_rows(sum_kernel("f8"), np.zeros((3, 0))) == 0).all()
    assert (reduce_rows(sum_kernel("i4", "multiply"), np.zeros((3, 0), np.int32)) == 1).all()


@pytest.mark.parametrize("combine", ["maximum", "minimum", "fmax", "fmin", "argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_extremes_with_nan(combine: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(-5, 5, (40, 50)).astype(dtype)
    x[rng.random(x.shape) < 0.01] = np.nan
    x[3], x[4], x[5] = np.nan, -np.inf, np.inf
    got = reduce_rows(sum_kernel(dtype, combine), x)
    want = (
        getattr(np, combine)(x, axis=1)
        if combine.startswith("arg")
        else getattr(np, combine).reduce(x, axis=1)
    )
    np.testing.assert_array_equal(got, want)


def softmax_kernel(dtype: str, scratch: bool) -> Kernel:
    """Three passes over a row; with a scratch row for the exponentials, or computing them again."""
    operands = [Operand(dtype, (2, 1), "r"), Operand(dtype, (2, 1), "w")]
    if scratch:
        operands.append(Operand(dtype, (2, 1), "scratch"))
    passes = [
        Section("inner", (I("load", (), dtype, 0),), (), (Reduce("maximum", 0, dtype),)),
        Section("outer", (I("reduced", (), dtype, 0),)),
        Section(
            "inner",
            (I("load", (), dtype, 0), I("subtract", (2, 1), dtype), I("exp", (3,), dtype)),
            ((2, 4),) if scratch else (),
            (Reduce("add", 4, dtype),),
        ),
        Section("outer", (I("reduced", (), dtype, 1),)),
    ]
    if scratch:
        passes.append(Section("inner", (I("load", (), dtype, 2), I("divide", (6, 5), dtype)), ((1, 7),)))
    else:
        again = (
            I("load", (), dtype, 0),
            I("subtract", (6, 1), dtype),
            I("exp", (7,), dtype),
            I("divide", (8, 5), dtype),
        )
        passes.append(Section("inner", again, ((1, 9),)))
    return Kernel("row", 2, 1, tuple(operands), (), tuple(passes))


@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 7, 64, 9001])
def test_softmax(dtype: str, n: int, scratch: bool) -> None:
    x = np.random.default_rng(n).normal(size=(6, n)).astype(dtype)
    out = np.zeros_like(x)
    arrays: list[np.ndarray | None] = [x, out] + ([None] if scratch else [])
    launch = Launch(softmax_kernel(dtype, scratch), x.shape, arrays)
    launch.run([1, 4])
    e = np.exp(x - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(axis=1, keepdims=True), rtol=1e-6 if dtype == "f4" else 1e-14)
    agree(launch, [1], exact=False)


def test_scratch_over_two_reduced_loops() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5, 13))
    out = np.zeros_like(x)
    sections = (
        Section(
            "inner", (I("load", (), "f8", 0), I("square", (0,), "f8")), ((2, 1),), (Reduce("add", 1, "f8"),)
        ),
        Section("outer", (I("reduced", (), "f8", 0),)),
        Section("inner", (I("load", (), "f8", 2), I("divide", (3, 2), "f8")), ((1, 4),)),
    )
    operands = (
        Operand("f8", (2, 2, 1), "r"),
        Operand("f8", (2, 2, 1), "w"),
        Operand("f8", (2, 2, 1), "scratch"),
    )
    Launch(Kernel("row", 3, 2, operands, (), sections), x.shape, [x, out, None]).run()
    squares = x * x
    np.testing.assert_allclose(out, squares / squares.sum(axis=(1, 2), keepdims=True), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "c16"])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_streamed_stores(dtype: str, shift: int) -> None:
    kind = from_code(dtype)
    x = numbers(np.random.default_rng(1), kind, (3001,))
    whole = np.zeros(3100, kind)
    other = np.zeros(3100, kind)
    section = Section("inner", (I("load", (), dtype, 0), I("add", (0, 0), dtype)), ((1, 1), (2, 0)))
    operands = (Operand(dtype, (1,), "r"), Operand(dtype, (1,), "w", True), Operand(dtype, (1,), "w", True))
    out, copy = whole[shift : shift + 3001], other[2 * shift : 2 * shift + 3001]
    launch = Launch(Kernel("map", 1, 0, operands, (), (section,)), (3001,), [x, out, copy], tile=500)
    launch.run([2])
    np.testing.assert_array_equal(out, x + x)
    np.testing.assert_array_equal(copy, x)
    assert not whole[:shift].any() and not whole[shift + 3001 :].any()
    assert not other[: 2 * shift].any() and not other[2 * shift + 3001 :].any()


def test_in_place_and_fill() -> None:
    x = np.arange(1003, dtype=np.float64)
    section = Section(
        "inner", (I("load", (), "f8", 0), I("scalar", (), "f8", 0), I("multiply", (0, 1), "f8")), ((0, 2),)
    )
    Launch(
        Kernel("map", 1, 0, (Operand("f8", (1,), "rw"),), ("f8",), (section,)), (1003,), [x], [3.0], tile=100
    ).run()
    np.testing.assert_array_equal(x, np.arange(1003) * 3.0)
    fill = Section("inner", (I("scalar", (), "c16", 0),), ((0, 0),))
    z = np.zeros((7, 33), np.complex128)
    kernel = Kernel("map", 2, 0, (Operand("c16", (2, 1), "w"),), ("c16",), (fill,))
    Launch(kernel, z.shape, [z], [1.5 - 2j], tile=10, rows_per_unit=2).run()
    assert (z == 1.5 - 2j).all()


def test_scalars_of_every_dtype() -> None:
    for dtype, value in [
        ("b1", True),
        ("i1", -5),
        ("u2", 65535),
        ("f2", 1.5),
        ("f4", 0.1),
        ("u8", 2**63 + 5),
        ("c8", 1 - 2j),
    ]:
        out = np.zeros(11, from_code(dtype))
        section = Section("inner", (I("scalar", (), dtype, 0),), ((0, 0),))
        Launch(
            Kernel("map", 1, 0, (Operand(dtype, (1,), "w"),), (dtype,), (section,)),
            (11,),
            [out],
            [value],
            tile=4,
        ).run()
        np.testing.assert_array_equal(out, np.full(11, value, out.dtype))


def test_random_numbers_of_coordinates() -> None:
    out = np.zeros((5, 37))
    instrs = (
        I("index", (), "i8", 0), I("const", (), "i8", 37), I("multiply", (0, 1), "i8"), I("index", (), "i8", 1),
        I("add", (2, 3), "i8"), I("cast", (4,), "u8"), I("scalar", (), "u8", 0), I("random", (6, 5), "f8"),
    )  # fmt: skip
    kernel = Kernel(
        "map", 2, 0, (Operand("f8", (2, 1), "w"),), ("u8",), (Section("inner", instrs, ((0, 7),)),)
    )
    Launch(kernel, out.shape, [out], [2**63 + 9], tile=16, rows_per_unit=3).run()
    want = philox(np.uint64(2**63 + 9), np.arange(5 * 37, dtype=np.uint64).reshape(5, 37))
    np.testing.assert_array_equal(out, want)


def test_constants_of_either_zero_are_different_kernels() -> None:
    for value in (0.0, -0.0):
        out = np.ones(5)
        section = Section("inner", (I("const", (), "f8", value),), ((0, 0),))
        Launch(Kernel("map", 1, 0, (Operand("f8", (1,), "w"),), (), (section,)), (5,), [out], tile=5).run()
        assert np.signbit(out).all() == (math.copysign(1, value) < 0)


def test_code_names_are_dtype_codes() -> None:
    assert [code(from_code(d)) for d in DTYPES] == DTYPES
