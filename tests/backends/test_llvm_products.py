"""Sums of products: the product and the addition are one operation where nobody else wants the product."""

from __future__ import annotations

import math

import numpy as np
import pytest

from legate_jit.backends.llvm import kernel as llvm
from legate_jit.ir.dtypes import from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from tests.backends.harness import Launch


def dots(
    dtype: str, kind: str = "row", extra: tuple[Instr, ...] = (), reduces: tuple[Reduce, ...] = ()
) -> Kernel:
    """Sums of products of two matrices, by rows or columns."""
    inner = (2, 1)
    result = (2, 0) if kind == "row" else (0, 1)
    loads = (
        Instr("load", (), dtype, 0),
        Instr("load", (), dtype, 1),
        Instr("multiply", (0, 1), dtype),
        *extra,
    )
    operands = (Operand(dtype, inner, "r"), Operand(dtype, inner, "r"), Operand(dtype, result, "w"))
    if kind == "col":
        return Kernel(
            "col", 2, 1, operands, (), (Section("inner", loads, (), (Reduce("add", 2, dtype, 2),)),)
        )
    sections = (
        Section("inner", loads, (), (Reduce("add", 2, dtype), *reduces)),
        Section("outer", (Instr("reduced", (), dtype, 0),), ((2, len(loads)),)),
    )
    return Kernel("row", 2, 1, operands, (), sections)


def text(kernel: Kernel) -> str:
    return llvm.emit(kernel, "k", 64, lambda name: False)


@pytest.mark.parametrize("kind", ["row", "col"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_one_operation(dtype: str, kind: str) -> None:
    source = text(dots(dtype, kind))
    assert "fmuladd" in source
    assert "fmul <" not in source


def test_products_with_another_use_are_computed() -> None:
    more = Reduce("maximum", 2, "f8")
    for kernel in (
        dots("f8", reduces=(more,)),
        dots("f8", extra=(Instr("sqrt", (2,), "f8"),), reduces=(Reduce("add", 3, "f8"),)),
    ):
        source = text(kernel)
        assert "fmul <" in source
        assert "fmuladd" not in source


@pytest.mark.parametrize("dtype", ["i8", "c16"])
def test_other_dtypes_are_computed(dtype: str) -> None:
    assert "fmuladd" not in text(dots(dtype))


@pytest.mark.parametrize("vector_bytes", [0, 16, 64])
@pytest.mark.parametrize("kind", ["row", "col"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", [1, 3, 8, 17, 130, 1001])
def test_results(dtype: str, kind: str, vector_bytes: int, n: int) -> None:
    """At least as accurate as NumPy's products and pairwise sums."""
    kindof = from_code(dtype)
    rng = np.random.default_rng(n)
    shape = (5, n) if kind == "row" else (n, 45)
    x, y = (np.exp(rng.normal(size=shape) * 2).astype(kindof) for _ in range(2))
    out = np.zeros(5 if kind == "row" else 45, kindof)
    item = kindof.itemsize
    view = np.lib.stride_tricks.as_strided(out, shape, (item, 0) if kind == "row" else (0, item))
    Launch(dots(dtype, kind), shape, [x, y, view], tile=32).run(vector_bytes=vector_bytes)
    axis = 1 if kind == "row" else 0
    pairs = np.moveaxis(x.astype(np.longdouble) * y, axis, 1)
    exact = np.array([math.fsum(row) for row in pairs])
    wrong = np.abs(out - exact).max()
    if kind == "row":
        numpys = np.abs((x * y).sum(axis=1) - exact).max()
        assert wrong <= max(1.5 * numpys, float(np.spacing(exact.astype(kindof)).max()))
    else:
        assert wrong <= n * float(np.spacing(exact.astype(kindof)).max())
