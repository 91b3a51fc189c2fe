"""Fields of records in generated code: every length of record, choice of fields, dtype and width of vector gives NumPy's results,
and nothing outside the fields' span is touched."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest

from legate_jit.backends.llvm import kernel as llvm
from legate_jit.ir.dtypes import from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from legate_jit.ir.records import cost, fields
from tests.backends.harness import Launch

PAGE = mmap.PAGESIZE


def guarded(dtype: np.dtype, count: int, at_end: bool) -> np.ndarray:
    """Elements in memory whose next page (or the one before) is not to be touched."""
    pages = -(-count * dtype.itemsize // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (0, pages + 1):
        assert libc.mprotect(ctypes.c_void_p(start + page * PAGE), PAGE, 0) == 0
    offset = PAGE + (pages * PAGE - count * dtype.itemsize if at_end else 0)
    return np.frombuffer(memory, dtype, count, offset)


def weighted(dtype: str, step: int, shifts: list[int]) -> Kernel:
    """out[i] = sum of (k + 1) * field k of record i."""
    operands = [
        Operand(dtype, (2,), "r", step=step, leader=0 if k else -1, shift=s - shifts[0])
        for k, s in enumerate(shifts)
    ]
    instrs: list[Instr] = []
    total = -1
    for k in range(len(shifts)):
        instrs += [Instr("load", (), dtype, k), Instr("const", (), dtype, k + 1)]
        instrs.append(Instr("multiply", (len(instrs) - 2, len(instrs) - 1), dtype))
        if total >= 0:
            instrs.append(Instr("add", (total, len(instrs) - 1), dtype))
        total = len(instrs) - 1
    section = Section("inner", tuple(instrs), ((len(shifts), total),))
    return Kernel("map", 1, 0, (*operands, Operand(dtype, (1,), "w")), (), (section,))


def choices(step: int) -> list[list[int]]:
    """Fields to load: all, the last, the first two, every other, the outermost."""
    every = list(range(step))
    return [every, [step - 1], every[:2], every[1::2], [0, step - 1]]


@pytest.mark.parametrize("vector_bytes", [0, 16, 64])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1"])
@pytest.mark.parametrize("step", [2, 3, 4, 5, 6, 8, 9, 16])
def test_fields(step: int, dtype: str, vector_bytes: int) -> None:
    kind = from_code(dtype)
    rng = np.random.default_rng(step)
    for shifts in choices(step):
        kernel = weighted(dtype, step, shifts)
        for n in (1, 5, 16, 37):
            count = (n - 1) * step + shifts[-1] - shifts[0] + 1
            for at_end in (True, False):
                line = guarded(kind, count, at_end)
                line[:] = rng.integers(0, 6, count)
                arrays = [line[s - shifts[0] :][: (n - 1) * step + 1 : step] for s in shifts]
                out = np.zeros(n, kind)
                Launch(kernel, (n,), [*arrays, out], tile=n).run(vector_bytes=vector_bytes)
                want = sum((k + 1) * a for k, a in enumerate(arrays))
                np.testing.assert_array_equal(out, want, err_msg=str(shifts))


def test_truth_values_are_fields_too() -> None:
    operands = (
        Operand("b1", (2,), "r", step=2),
        Operand("b1", (2,), "r", step=2, leader=0, shift=1),
        Operand("b1", (1,), "w"),
    )
    instrs = (Instr("load", (), "b1", 0), Instr("load", (), "b1", 1), Instr("logical_and", (0, 1), "b1"))
    kernel = Kernel("map", 1, 0, operands, (), (Section("inner", instrs, ((2, 2),)),))
    x = np.random.default_rng(0).integers(0, 2, (77, 2)).astype(bool)
    out = np.zeros(77, bool)
    Launch(kernel, (77,), [x[:, 0], x[:, 1], out], tile=77).run()
    np.testing.assert_array_equal(out, x.all(axis=1))


@pytest.mark.parametrize("kind", ["row", "col"])
def test_fields_in_reductions(kind: str) -> None:
    """sum over i (row) or j (col) of x[j, i, 0] * x[j, i, 1], inner loop i."""
    x = np.random.default_rng(1).integers(0, 9, (7, 45, 2)).astype(float)
    loads = (Instr("load", (), "f8", 0), Instr("load", (), "f8", 1), Instr("multiply", (0, 1), "f8"))
    operands = [Operand("f8", (2, 2), "r", step=2), Operand("f8", (2, 2), "r", step=2, leader=0, shift=1)]
    if kind == "row":
        sections = (
            Section("inner", loads, (), (Reduce("add", 2, "f8"),)),
            Section("outer", (Instr("reduced", (), "f8", 0),), ((2, 3),)),
        )
        out = np.zeros(7)
        view = np.lib.stride_tricks.as_strided(out, (7, 45), (8, 0))
        operands.append(Operand("f8", (2, 0), "w"))
    else:
        sections = (Section("inner", loads, (), (Reduce("add", 2, "f8", 2),)),)
        out = np.zeros(45)
        view = np.lib.stride_tricks.as_strided(out, (7, 45), (0, 8))
        operands.append(Operand("f8", (0, 1), "w"))
    kernel = Kernel(kind, 2, 1, tuple(operands), (), sections)
    Launch(kernel, (7, 45), [x[:, :, 0], x[:, :, 1], view], tile=20).run()
    np.testing.assert_array_equal(out, x.prod(axis=2).sum(axis=1 if kind == "row" else 0))


def test_eight_fields_take_eight_loads_and_24_shuffles() -> None:
    text = llvm.emit(weighted("f8", 8, list(range(8))), "k", 64, lambda name: False)
    turn = text[text.index("\nloop") : text.index("\ndone")]
    assert turn.count("load <8 x double>") == 8
    assert turn.count("= shufflevector") == 24
    assert cost(8, range(8)) == 8 + 24


def test_what_are_fields() -> None:
    assert {k: f.shift for k, f in fields({4: 30, 2: 31, 7: 32}, (300, 3)).items()} == {4: 0, 2: 1, 7: 2}
    assert fields({0: 0, 1: 4}, (2, 4))[1].leader == -1  # another record
    assert fields({0: 0}, (100, 1)) == fields({0: 0}, (100, 17)) == fields({0: 0}, (100, -2)) == {}
    assert fields({0: 0}, (8,)) == {}  # 8 loads and 7 shuffles: no less than lane by lane
    assert fields({0: 5, 1: 7}, (8, 0))[1] == (0, 0, 2)  # scalars of one record: one pointer
    assert fields({0: 5}, (8, 0)) == {}
