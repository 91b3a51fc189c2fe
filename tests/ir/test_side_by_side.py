"""Sums along long columns whose results are accumulated side by side: products of narrow matrices, and what is like them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.ir import passes
from legate_jit.ir.checks.verify import VerifyError, verify
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from legate_jit.ir.steps import Call, Launch, Schedule
from tests.backends.harness import Launch as Direct

ROWS = 5000


@pytest.fixture
def schedules() -> Iterator[list[Schedule]]:
    """Every schedule compiled during a test."""
    seen: list[Schedule] = []

    def observe(stage: str, result: Any) -> None:
        if stage == "schedule":
            seen.append(result)

    legate.fence()
    runtime._plans.clear()
    passes.observers.append(observe)
    yield seen
    passes.observers.remove(observe)


def launches(schedules: list[Schedule]) -> list[Launch]:
    return [s for schedule in schedules for s in schedule.steps if isinstance(s, Launch)]


def calls(schedules: list[Schedule]) -> int:
    return sum(isinstance(s, Call) for schedule in schedules for s in schedule.steps)


def columns(n: int, dtype: str = "f8", rows: int = ROWS) -> numpy.ndarray:
    return numpy.random.default_rng(n).random((rows, n)).astype(dtype)


def same(got: Any, want: numpy.ndarray) -> None:
    got = numpy.asarray(got)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    numpy.testing.assert_allclose(got, want, rtol=1e-4 if want.dtype.itemsize == 4 else 1e-12)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 7), (2, 3), (3, 16), (16, 8), (8, 16), (13, 5), (16, 16)])
def test_products_of_narrow_matrices(schedules: list[Schedule], m: int, n: int, dtype: str) -> None:
    rows = max(ROWS, 110_000 // (m * n))
    a, b = columns(m, dtype, rows), columns(n, dtype, rows)
    same(np.array(a).T @ np.array(b), a.T @ b)
    assert calls(schedules) == 0


def test_each_matrix_is_read_once(schedules: list[Schedule]) -> None:
    a, b = columns(6), columns(10)
    same(np.array(a).T @ np.array(b), a.T @ b)
    first = launches(schedules)[0].nest
    assert first.kernel.kind == "col"
    assert first.kernel.narrow == 16
    assert len(first.extents) == 2  # rows and the innermost axis: the other one is no loop
    assert len(first.kernel.sections[0].reduces) == 6
    assert sum(o.leader < 0 for o in first.kernel.operands if o.mode == "r") == 2


def test_other_products_are_calls(schedules: list[Schedule]) -> None:
    """Wide results, few rows, matrices whose columns lie one after the other, integers."""
    pairs = [
        (columns(17).T, columns(14)),
        (columns(14).T, columns(17)),
        (columns(16, rows=4000).T, columns(16, rows=4000)),
        (numpy.ascontiguousarray(columns(14).T), columns(14)),
        (columns(14).T, numpy.asfortranarray(columns(14))),
        (columns(14, "i8").T, columns(14, "i8")),
    ]
    for number, (a, b) in enumerate(pairs):
        left = np.array(a) if a.flags.c_contiguous else np.array(a.T).T
        right = np.array(b) if b.flags.c_contiguous else np.array(b.T).T
        same(left @ right, a @ b)
        assert calls(schedules) == number + 1


def test_what_makes_the_matrices_fuses(schedules: list[Schedule]) -> None:
    """Members of clusters as a matrix of ones and zeros, which is never stored."""
    x, labels = columns(8), numpy.random.default_rng(0).integers(0, 16, ROWS)
    member = (labels[:, None] == numpy.arange(16)).astype(float)
    numbers = np.array(labels)
    same((numbers[:, None] == np.arange(16)).astype(float).T @ np.array(x), member.T @ x)
    largest = max(
        storage.nbytes for schedule in schedules for storage in schedule.storages if storage.source < 0
    )
    assert largest < ROWS * 8
    first = next(s.nest for s in launches(schedules) if len(s.nest.kernel.sections[0].reduces) > 1)
    assert (
        len(first.kernel.sections[0].reduces) == 8
    )  # clusters are the vector: comparing is done once for all columns


def test_sums_that_are_no_products(schedules: list[Schedule]) -> None:
    a, b = columns(5), columns(9)
    x, y = np.array(a), np.array(b)
    same(
        np.abs(x[:, :, None] - y[:, None, :]).sum(axis=0),
        numpy.abs(a[:, :, None] - b[:, None, :]).sum(axis=0),
    )
    same(
        np.minimum(x[:, :, None], y[:, None, :]).max(axis=0),
        numpy.minimum(a[:, :, None], b[:, None, :]).max(axis=0),
    )
    same((x[:, :, None] * y[:, None, :]).prod(axis=0), (a[:, :, None] * b[:, None, :]).prod(axis=0))
    assert {len(s.nest.kernel.sections[0].reduces) for s in launches(schedules)} >= {5}


def test_a_long_inner_loop_is_no_narrow_one(schedules: list[Schedule]) -> None:
    a, b = columns(6), columns(10)
    same(np.array(a).T @ np.array(b), a.T @ b)
    (schedule,) = schedules
    launch = next(s for s in launches(schedules) if s.nest.kernel.narrow)
    nest = launch.nest._replace(kernel=replace(launch.nest.kernel, narrow=8))
    steps = tuple(launch._replace(nest=nest) if s is launch else s for s in schedule.steps)
    with pytest.raises(VerifyError):
        verify("schedule", replace(schedule, steps=steps))


@pytest.mark.parametrize("vector_bytes", [0, 16, 32, 64])
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("n", [1, 3, 8, 11, 16])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_results_in_registers(dtype: str, n: int, step: int, blocked: bool, vector_bytes: int) -> None:
    """Four sums over two loops, of operands that lie together or apart."""
    rng = numpy.random.default_rng(n)
    x = rng.integers(-5, 5, (7, 6, n, step)).astype(dtype)[..., 0]
    w = rng.integers(-5, 5, (7, 6, 4)).astype(dtype)
    inner = 1 if step == 1 else 2
    operands = [Operand(dtype, (2, 2, inner), "r")]
    operands += [Operand(dtype, (2, 2, 0), "r", leader=1 if k else -1, shift=k) for k in range(4)]
    operands += [Operand(dtype, (0, 0, 1), "w")] * 4
    instrs = [Instr("load", (), dtype, k) for k in range(5)]
    instrs += [Instr("multiply", (0, k), dtype) for k in range(1, 5)]
    reduces = tuple(Reduce("add", 5 + k, dtype, 5 + k) for k in range(4))
    section = Section("inner", tuple(instrs), (), reduces)
    kernel = Kernel("col", 3, 2, tuple(operands), (), (section,), blocked, 8 if n <= 8 else 16)
    block = 3 if blocked else 7
    blocks = -(-7 // block)
    out = numpy.full((4, blocks, n), 9.0, dtype)
    arrays: list[numpy.ndarray | None] = [x]
    arrays += [numpy.broadcast_to(w[:, :, k, None], x.shape) for k in range(4)]
    arrays += [numpy.broadcast_to(out[k, 0], x.shape) for k in range(4)]
    launch = Direct(
        kernel,
        x.shape,
        arrays,
        tile=n,
        rows_per_unit=block,
        block_strides=dict.fromkeys(range(5, 9), out.itemsize * n),
    )
    launch.run(vector_bytes=vector_bytes)
    for b in range(blocks):
        part = slice(b * block, (b + 1) * block)
        numpy.testing.assert_array_equal(out[:, b], numpy.einsum("ijn,ijk->kn", x[part], w[part]))


def test_parts_of_matrices(schedules: list[Schedule]) -> None:
    a, b = columns(12, rows=2 * ROWS), columns(16)
    x, y = np.array(a), np.array(b)
    same(x[::2, 2:9].T @ y[:, ::3], a[::2, 2:9].T @ b[:, ::3])
    same(x[::-2, ::-1].T @ y[:, 3:], a[::-2, ::-1].T @ b[:, 3:])
    assert calls(schedules) == 0
