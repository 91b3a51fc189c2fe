"""Vectors computed in step: how many, for programs of which length and shape, and that rows of every length come out right."""

from __future__ import annotations

import numpy as np
import pytest

from legate_jit.backends.llvm import kernel as llvm
from legate_jit.ir.kernel import Instr, Kernel, Operand, Section
from tests.backends.harness import Launch


def chain(links: int) -> Kernel:
    """Links of x = where(x < 4, x * x + c, x): few instrs are independent."""
    instrs = [Instr("load", (), "f8", 0), Instr("scalar", (), "f8", 0), Instr("scalar", (), "f8", 1)]
    x = 0
    for _ in range(links):
        n = len(instrs)
        instrs += [
            Instr("less", (x, 1), "b1"),
            Instr("multiply", (x, x), "f8"),
            Instr("add", (n + 1, 2), "f8"),
            Instr("where", (n, n + 2, x), "f8"),
        ]
        x = n + 3
    return kernel(instrs, x)


def bush(terms: int) -> Kernel:
    """Sums of pairs of terms: half of the instrs are independent."""
    instrs = [Instr("load", (), "f8", 0), Instr("scalar", (), "f8", 0), Instr("scalar", (), "f8", 1)]
    level = []
    for _ in range(terms):
        instrs.append(Instr("multiply", (0, 1), "f8"))
        level.append(len(instrs) - 1)
    while len(level) > 1:
        above = []
        for a, b in zip(level[::2], level[1::2], strict=True):
            instrs.append(Instr("add", (a, b), "f8"))
            above.append(len(instrs) - 1)
        level = above
    return kernel(instrs, level[0])


def kernel(instrs: list[Instr], result: int) -> Kernel:
    operands = (Operand("f8", (1,), "r"), Operand("f8", (1,), "w"))
    return Kernel("map", 1, 0, operands, ("f8", "f8"), (Section("inner", tuple(instrs), ((1, result),)),))


def lanes(program: Kernel, vector_bytes: int) -> int:
    """Lanes of the widest products."""
    text = llvm.emit(program, "k", vector_bytes, lambda name: False)
    return max(n for n in (2, 4, 8, 16, 32) if f"fmul <{n} x double>" in text)


def test_how_many() -> None:
    assert lanes(chain(5), 64) == 8
    assert lanes(chain(10), 64) == 16
    assert lanes(chain(60), 64) == 32
    assert lanes(chain(60), 32) == 8  # 16 registers
    assert lanes(bush(128), 64) == 16


@pytest.mark.parametrize("links", [10, 60])
@pytest.mark.parametrize("n", [1, 7, 8, 31, 32, 33, 70, 1000])
def test_rows_of_every_length(n: int, links: int) -> None:
    x = np.random.default_rng(n).uniform(-2, 2, n)
    want = x.copy()
    for _ in range(links):
        want = np.where(want < 4.0, want * want + 0.3, want)
    for vector_bytes in (0, 32):
        out = np.zeros(n)
        launch = Launch(chain(links), (n,), [x, out], [4.0, 0.3], tile=max(n // 2, 1))
        launch.run([1] if launch.units > 1 else None, vector_bytes)
        np.testing.assert_array_equal(out, want)
