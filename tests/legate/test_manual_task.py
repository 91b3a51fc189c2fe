"""ManualTask: launch domains, tiles, projections."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate.core import (
    Library,
    TaskContext,
    TaskInfo,
    VariantCode,
    constant,
    dimension,
    get_legate_runtime,
    types,
)
from legate.core.types import ReductionOpKind
from tests.legate.stores import filled

runtime = get_legate_runtime()
LIBRARY: Library = runtime.find_or_create_library("test_manual_task")[0]


def made(body: Callable[[TaskContext], None], shape: Any, lower: Any = None) -> Any:
    number = LIBRARY.get_new_task_id()
    LIBRARY.register_task(TaskInfo.from_variants(number, body.__name__, [(VariantCode.CPU, body)]))
    return runtime.create_manual_task(LIBRARY, number, shape, lower)


def number(ctx: TaskContext) -> None:
    """Write the point, as a decimal number."""
    np.asarray(ctx.outputs[0])[...] = int("".join(map(str, (1, *ctx.task_index))))


def nothing(ctx: TaskContext) -> None: ...


def test_tiles() -> None:
    out = filled((4, 6), 0)
    task = made(number, (2, 2))
    task.add_output(out.partition_by_tiling((2, 3)))
    task.execute()
    np.testing.assert_array_equal(np.asarray(out), np.kron([[100, 101], [110, 111]], np.ones((2, 3))))


def test_uneven_tiles() -> None:
    out = filled((5,), 0)
    task = made(number, (3,))
    task.add_output(out.partition_by_tiling((2,)))
    task.execute()
    np.testing.assert_array_equal(np.asarray(out), [10, 10, 11, 11, 12])


def test_whole_stores_and_scalars() -> None:
    def body(ctx: TaskContext) -> None:
        (source,), (part,) = ctx.inputs, ctx.outputs
        assert source.domain == ((0,), (2,))
        np.asarray(part)[:] = np.asarray(source).sum() + ctx.scalars[0].value()

    out = filled((4,), 0)
    task = made(body, (2,))
    task.add_input(filled((3,), 2))
    task.add_output(out.partition_by_tiling((2,)))
    task.add_scalar_arg(10, types.int64)
    task.execute()
    np.testing.assert_array_equal(np.asarray(out), [16] * 4)


def test_projections() -> None:
    seen: dict[Any, Any] = {}

    def body(ctx: TaskContext) -> None:
        seen[ctx.task_index] = [(s.domain.lo, s.domain.hi) for s in ctx.inputs]

    store = filled((4, 6), 0)
    tiles = store.partition_by_tiling((2, 2))
    task = made(body, (2, 3))
    task.add_input(tiles)
    task.add_input(tiles, (dimension(0), constant(1)))
    task.add_input(tiles, (constant(0), dimension(1)))
    line = filled((12,), 0).partition_by_tiling((1,))
    task.add_input(line, (dimension(1) * 2 + 3,))
    task.execute()
    runtime.issue_execution_fence(block=True)
    assert len(seen) == 6
    assert seen[1, 2] == [((2, 4), (3, 5)), ((2, 2), (3, 3)), ((0, 4), (1, 5)), ((7,), (7,))]


def test_lower_bounds() -> None:
    seen: dict[Any, Any] = {}

    def body(ctx: TaskContext) -> None:
        seen[ctx.task_index] = (ctx.launch_domain, ctx.is_single_task(), ctx.inputs[0].domain.lo)

    task = made(body, (3,), (1,))
    task.add_input(filled((6,), 0).partition_by_tiling((2,)))
    task.execute()
    runtime.issue_execution_fence(block=True)
    domain = ((1,), (2,))
    assert seen == {(1,): (domain, False, (2,)), (2,): (domain, False, (4,))}


def test_no_stores() -> None:
    seen = []
    made(lambda ctx: seen.append(ctx.task_index), (2, 2)).execute()
    runtime.issue_execution_fence(block=True)
    assert sorted(seen) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_reduction() -> None:
    def body(ctx: TaskContext) -> None:
        np.asarray(ctx.reductions[0])[:] += np.asarray(ctx.inputs[0]).sum()

    total = filled((1,), 100)
    task = made(body, (4,))
    task.add_input(filled((8,), 3).partition_by_tiling((2,)))
    task.add_reduction(total, ReductionOpKind.ADD)
    task.execute()
    assert np.asarray(total)[0] == 124


def test_reduction_into_one_tile() -> None:
    def body(ctx: TaskContext) -> None:
        np.asarray(ctx.reductions[0])[:] += 1

    rows = filled((2, 3), 0)
    task = made(body, (2, 4))
    task.add_reduction(rows.partition_by_tiling((1, 3)), ReductionOpKind.ADD, (dimension(0), constant(0)))
    task.execute()
    np.testing.assert_array_equal(np.asarray(rows), np.full((2, 3), 4))


def test_unbound_output() -> None:
    def body(ctx: TaskContext) -> None:
        (index,) = ctx.task_index
        np.asarray(ctx.outputs[0].create_output_buffer((index,)))[:] = index

    out = runtime.create_store(types.int64)
    task = made(body, (4,))
    task.add_output(out)
    task.execute()
    np.testing.assert_array_equal(np.asarray(out), [1, 2, 2, 3, 3, 3])


def test_exceptions() -> None:
    def body(ctx: TaskContext) -> None:
        if ctx.task_index == (1,):
            raise KeyError("one")

    task = made(body, (2,))
    task.throws_exception(KeyError)
    with pytest.raises(KeyError) as info:
        task.execute()
    assert "point (1,)" in info.value.__notes__[0]


@pytest.mark.parametrize("bad", [1, "x", None, np.ones(3)])
def test_wrong_arguments(bad: Any) -> None:
    task = made(nothing, (1,))
    text = re.escape(f"Expected a logical store or store partition but got {type(bad)}")
    with pytest.raises(TypeError, match=text):
        task.add_input(bad)
    with pytest.raises(TypeError, match=text):
        task.add_output(bad)
    with pytest.raises(ValueError, match=text):
        task.add_reduction(bad, ReductionOpKind.ADD)


@pytest.mark.parametrize(
    ("shape", "lower", "text"),
    [
        (1, None, "Launch space must be iterable"),
        ((1,), 0, "Lower bounds must be iterable"),
        ((), None, "Launch domain must not be empty"),
        ((0,), None, "Launch domain must not be empty"),
        ((2, 2), (0, 2), "Launch domain must not be empty"),
        ((2, 2), (0,), "differ in length"),
    ],
)
def test_launch_domains(shape: Any, lower: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        made(nothing, shape, lower)


def test_projection_of_wrong_length() -> None:
    task = made(nothing, (2,))
    task.add_input(filled((4, 4), 0).partition_by_tiling((2, 2)), (dimension(0),))
    with pytest.raises(ValueError, match="Projection"):
        task.execute()
