"""Kernels for other machines than this one: the text compiles for every vector width and calls nothing unexpected."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest

from legate_jit.backends import cpu, native, reference
from legate_jit.backends.llvm.kernel import emit
from legate_jit.ir.dtypes import KERNEL_DTYPES, from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Section
from legate_jit.ir.ops import OPS
from tests.backends.harness import Launch
from tests.backends.test_llvm_loops import random_extents, random_operands, softmax_kernel, sum_kernel
from tests.backends.test_llvm_ops import cases, map_kernel

#: Every processor runs libm; vector math and private memory come besides.
LIBM = "fmod|floor|ceil|trunc|rint|round|nearbyint|fma|copysign"
ALLOWED = re.compile(rf"^(_ZGV\w+|malloc|free|legate_\w+|({LIBM})f?)$")
CPUS = [("x86-64", 16), ("x86-64-v2", 16), ("haswell", 32), ("skylake-avx512", 64)]


def assembly(kernel: Kernel, processor: str, vector_bytes: int) -> str:
    native.vector_bytes()  # starts LLVM
    text = emit(kernel, "kernel", vector_bytes, lambda name: True)
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=processor, features="", opt=native.quick_level(), codemodel="jitdefault", jit=True
    )
    module = llvm.parse_assembly(text)
    module.verify()
    return str(machine.emit_assembly(module))


def called(text: str) -> set[str]:
    """Functions called by name, directly or through an address in a register."""
    return set(re.findall(r"callq?\s+\**([A-Za-z_]\w*)", text)) | set(
        re.findall(r"movabsq\s+\$([A-Za-z_]\w*)", text)
    )


@pytest.mark.parametrize(("processor", "vector_bytes"), CPUS)
def test_every_op_compiles(processor: str, vector_bytes: int) -> None:
    rng = np.random.default_rng(vector_bytes)
    chosen = [c for c in cases() if rng.random() < 0.15]
    for op, dtype in chosen:
        loop = from_code(dtype)
        sample = [np.ones(1, loop)] * OPS[op].arity
        result = (
            reference.map_op(op, loop, sample).dtype
            if OPS[op].ufunc is None
            else OPS[op].ufunc(*sample).dtype
        )
        text = assembly(map_kernel(op, [loop] * OPS[op].arity, result), processor, vector_bytes)
        unknown = called(text)
        assert all(ALLOWED.match(n) for n in unknown), (op, dtype, unknown)


@pytest.mark.parametrize(("processor", "vector_bytes"), CPUS)
def test_casts_need_no_runtime_library(processor: str, vector_bytes: int) -> None:
    loads = tuple(Instr("load", (), f"{d.kind}{d.itemsize}", n) for n, d in enumerate(KERNEL_DTYPES))
    for target in ("f2", "f4", "f8", "u8", "i1"):
        real = [(n, i) for n, i in enumerate(loads) if i.dtype[0] != "c"]
        casts = tuple(Instr("cast", (n,), target) for n, _ in real)
        stores = tuple((len(loads) + m, len(loads) + m) for m in range(len(casts)))
        operands = tuple(Operand(i.dtype, (1,), "r") for i in loads) + tuple(
            Operand(target, (1,), "w") for _ in casts
        )
        kernel = Kernel("map", 1, 0, operands, (), (Section("inner", loads + casts, stores),))
        assert all(ALLOWED.match(n) for n in called(assembly(kernel, processor, vector_bytes)))


@pytest.mark.parametrize(("processor", "vector_bytes"), CPUS)
def test_reductions_compile(processor: str, vector_bytes: int) -> None:
    for kernel in (
        sum_kernel("f4"),
        sum_kernel("i1", "argmax", 2),
        softmax_kernel("f8", True),
        sum_kernel("c16"),
    ):
        assembly(kernel, processor, vector_bytes)
    operands, _, loads = random_operands(
        np.random.default_rng(0), random_extents(np.random.default_rng(1), 3), 3
    )
    stores = tuple((3 + n, n) for n in range(3))
    operands += [Operand(o.dtype, (2, 2, 1), "w", True) for o in operands]
    assembly(
        Kernel("map", 3, 0, tuple(operands), (), (Section("inner", tuple(loads), stores),)),
        processor,
        vector_bytes,
    )


def test_text_is_deterministic() -> None:
    kernel = softmax_kernel("f8", True)
    assert cpu.source(kernel) == cpu.source(kernel)
    assert "legate_kernel" in cpu.assembly(kernel)


def test_without_vector_math_scalar_functions_are_called() -> None:
    kernel = map_kernel("exp", [np.dtype("f8")], np.dtype("f8"))
    assert "call double @exp(double" in emit(kernel, "k", 32, lambda name: False)


def test_user_functions_are_part_of_the_kernel() -> None:
    definition = (
        "define double @my_function(double %x, double %y) {\n  %z = fsub double %x, %y\n  ret double %z\n}\n"
    )
    cpu.register_user("my_function", definition)
    reference.register_user("my_function", np.subtract)
    instrs = (
        Instr("load", (), "f8", 0),
        Instr("load", (), "f8", 1),
        Instr("user", (0, 1), "f8", "my_function"),
        Instr("user", (1, 0), "f8", "my_function"),
        Instr("multiply", (2, 3), "f8"),
    )
    operands = (Operand("f8", (1,), "r"), Operand("f8", (1,), "r"), Operand("f8", (1,), "w"))
    x, y = np.arange(10.0), np.arange(10.0) ** 2
    got, want = np.zeros(10), np.zeros(10)
    for out, name in ((got, "run"), (want, "run_reference")):
        kernel = Kernel("map", 1, 0, operands, (), (Section("inner", instrs, ((2, 4),)),))
        getattr(Launch(kernel, (10,), [x, y, out], tile=4), name)()
    np.testing.assert_array_equal(got, (x - y) * (y - x))
    np.testing.assert_array_equal(got, want)
