"""AutoTask: arguments, partition symbols, constraints, scalars, unbound stores, and how launches are cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate.core import (
    AutoTask,
    ImageComputationHint,
    Library,
    LogicalStore,
    ParallelPolicy,
    Scalar,
    Scope,
    TaskContext,
    TaskInfo,
    TaskTarget,
    VariantCode,
    align,
    bloat,
    broadcast,
    get_legate_runtime,
    get_machine,
    image,
    min_extents,
    scale,
    types,
)
from legate.core.types import ReductionOpKind
from tests.legate.stores import fence, filled

runtime = get_legate_runtime()
LIBRARY: Library = runtime.find_or_create_library("test_auto_task")[0]


def registered(body: Callable[[TaskContext], None]) -> int:
    number = LIBRARY.get_new_task_id()
    LIBRARY.register_task(TaskInfo.from_variants(number, body.__name__, [(VariantCode.CPU, body)]))
    return number


def made(body: Callable[[TaskContext], None]) -> AutoTask:
    return runtime.create_auto_task(LIBRARY, registered(body))


def ranged(n: int) -> LogicalStore:
    return runtime.create_store_from_buffer(types.int64, (n,), np.arange(n), True)


def pieces(n: int = 2) -> Scope:
    """Launches are cut into n points whatever they cost."""
    machine = get_machine().only(TaskTarget.CPU)[:1]
    policy = ParallelPolicy(overdecompose_factor=n, partitioning_threshold={TaskTarget.CPU: 1})
    return Scope(machine=machine, parallel_policy=policy)


def nothing(ctx: TaskContext) -> None: ...


class Domains:
    """A body that remembers which parts it was given."""

    __name__ = "domains"

    def __init__(self) -> None:
        self.seen: dict[Any, tuple[Any, ...]] = {}

    def __call__(self, ctx: TaskContext) -> None:
        stores = (*ctx.inputs, *ctx.outputs, *ctx.reductions)
        found = tuple((s.domain.lo, s.domain.hi) for s in stores)
        self.seen[ctx.task_index] = found

    @property
    def one_dimensional(self) -> list[tuple[tuple[int, int], ...]]:
        """Inclusive bounds of every argument, per point."""
        return [tuple((lo[0], hi[0]) for lo, hi in self.seen[p]) for p in sorted(self.seen)]


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_roles_and_order() -> None:
    def body(ctx: TaskContext) -> None:
        a, b = ctx.inputs
        (c,) = ctx.outputs
        (d,) = ctx.reductions
        k, f = (s.value() for s in ctx.scalars)
        np.asarray(c)[:] = np.asarray(a) + np.asarray(b) * k
        np.asarray(d)[:] += int(f)

    task = made(body)
    a, b, c, d = filled((5,), 1), filled((5,), 2), filled((5,), 0), filled((5,), 10)
    task.add_input(a)
    task.add_reduction(d, ReductionOpKind.ADD)
    task.add_output(c)
    task.add_input(b)
    task.add_scalar_arg(3, types.int32)
    task.add_scalar_arg(Scalar(2.5))
    task.execute()
    np.testing.assert_array_equal(np.asarray(c), [7] * 5)
    np.testing.assert_array_equal(np.asarray(d), [12] * 5)


def test_submit() -> None:
    ran = []
    runtime.submit(made(lambda ctx: ran.append(ctx.get_task_id())))
    fence()
    assert len(ran) == 1
    with pytest.raises(TypeError, match="Unknown type of operation"):
        runtime.submit(3)  # type: ignore[arg-type]


def test_scalar_arguments() -> None:
    seen: list[Any] = []

    def body(ctx: TaskContext) -> None:
        seen.extend(np.asarray(s.value()).tolist() for s in ctx.scalars)

    task = made(body)
    task.add_scalar_arg(True, types.bool_)
    task.add_scalar_arg((1, 2, 3), (types.int64,))
    task.add_scalar_arg([1.5, 2.5], types.array_type(types.float64, 2))
    task.add_scalar_arg("text")
    task.execute()
    fence()
    assert seen == [True, [1, 2, 3], [1.5, 2.5], "text"]


@pytest.mark.parametrize("dtype", [int, (int,), (types.int8, types.int8), 3])
def test_bad_types_of_scalars(dtype: Any) -> None:
    with pytest.raises(TypeError, match="Unsupported type: "):
        made(nothing).add_scalar_arg((1,), dtype)


def test_unbound_arguments() -> None:
    task = made(nothing)
    with pytest.raises(ValueError, match="Unbound arrays cannot be used as input"):
        task.add_input(runtime.create_store(types.int64))
    with pytest.raises(ValueError, match="Unbound store cannot be used for reductions"):
        task.add_reduction(runtime.create_store(types.int64), ReductionOpKind.ADD)


def test_unknown_task() -> None:
    with pytest.raises(IndexError):
        runtime.create_auto_task(LIBRARY, 987654)


def test_exceptions_declared() -> None:
    task = made(nothing)
    assert task.exception_types == ()
    task.throws_exception(ValueError)
    task.throws_exception(KeyError)
    assert task.exception_types == (ValueError, KeyError)
    assert isinstance(task.raw_handle, int)


def test_flags() -> None:
    task = made(nothing)
    task.set_concurrent(True)
    task.set_side_effect(True)
    task.add_communicator("cpu")
    task.add_cpu_communicator()
    task.add_nccl_communicator()
    task.execute()
    with Scope(provenance="somewhere"):
        assert made(nothing).provenance() == "somewhere"


def test_locked() -> None:
    task = made(nothing)
    task.lock()
    with pytest.raises(RuntimeError, match="Attempting to add inputs"):
        task.add_input(filled((2,), 1))


# ---- partition symbols -------------------------------------------------------------------------------------------------


def test_symbols() -> None:
    a, b = filled((4,), 1), filled((4,), 1)
    task = made(nothing)
    x = task.add_input(a)
    assert task.add_output(a) is x
    assert task.find_or_declare_partition(a) is x
    assert task.find_or_declare_partition(b) is not x
    y = task.declare_partition()
    assert task.add_input(b, y) is y
    task.add_constraint(align(x, y))
    task.execute()


def test_symbols_of_others() -> None:
    a = filled((4,), 1)
    other = made(nothing).add_input(a)
    task = made(nothing)
    mine = task.add_input(a)
    with pytest.raises(ValueError, match="Invalid partition symbol"):
        task.add_input(a, other)
    with pytest.raises(ValueError, match="Invalid partition symbol"):
        task.add_constraint(align(mine, other))
    task.add_constraint(align(mine, task.declare_partition()))
    with pytest.raises(ValueError, match="Invalid partition symbol"):
        task.execute()


@pytest.mark.parametrize("bad", [1, "x", None])
def test_no_constraints(bad: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(str(type(bad)))):
        made(nothing).add_constraint(bad)


def test_old_names() -> None:
    body = Domains()
    task = made(body)
    a, b, c = filled((10,), 1), filled((10,), 1), filled((10,), 1)
    with pieces(2):
        task = made(body)
    task.add_input(a)
    task.add_output(b)
    task.add_input(c)
    task.add_alignment(a, b)
    task.add_broadcast(c)
    task.add_broadcast(c, 0)
    task.add_broadcast(c, (0,))
    with pytest.raises(ValueError, match="axes must be an integer or an iterable"):
        task.add_broadcast(c, 1.5)  # type: ignore[arg-type]
    task.execute()
    fence()
    assert body.one_dimensional == [((0, 4), (0, 9), (0, 4)), ((5, 9), (0, 9), (5, 9))]


# ---- cutting -----------------------------------------------------------------------------------------------------------


def cut(body: Domains, constrain: Callable[..., Any], *shapes: tuple[int, ...], n: int = 2) -> None:
    """Launch `body` on inputs of these shapes, constrained by `constrain(*symbols)`."""
    with pieces(n):
        task = made(body)
    symbols = [task.add_input(filled(shape, 1)) for shape in shapes]
    task.add_constraint(constrain(*symbols))
    task.execute()
    fence()


def test_align() -> None:
    body = Domains()
    cut(body, align, (1000,), (1000,), n=4)
    bounds = [(0, 249), (250, 499), (500, 749), (750, 999)]
    assert body.one_dimensional == [(b, b) for b in bounds]


def test_broadcast_axes() -> None:
    body = Domains()
    cut(body, lambda x: broadcast(x, (1, 2)), (8, 4, 4), n=2)
    assert [body.seen[p] for p in sorted(body.seen)] == [
        (((0, 0, 0), (3, 3, 3)),),
        (((4, 0, 0), (7, 3, 3)),),
    ]


def test_bloat() -> None:
    body = Domains()
    cut(body, lambda x, y: bloat(x, y, (1,), (2,)), (10,), (10,))
    assert body.one_dimensional == [((0, 4), (0, 6)), ((5, 9), (4, 9))]


def test_scale() -> None:
    body = Domains()
    cut(body, lambda x, y: scale((3,), x, y), (4,), (12,))
    assert body.one_dimensional == [((0, 1), (0, 5)), ((2, 3), (6, 11))]


def test_min_extents() -> None:
    body = Domains()
    cut(body, lambda x: min_extents(x, (4,)), (10,), n=4)
    assert body.one_dimensional == [((0, 9),)]


def test_image_of_points() -> None:
    seen: dict[Any, Any] = {}

    def body(ctx: TaskContext) -> None:
        points, data = ctx.inputs
        seen[ctx.task_index] = (np.asarray(points).tolist(), data.domain)

    points = runtime.create_store(types.point_type(1), shape=(4,))
    np.asarray(points.get_physical_store()).view(np.int64).reshape(4)[:] = [7, 5, 1, 3]
    with pieces(2):
        task = made(body)
    p, d = task.add_input(points), task.add_input(ranged(10))
    task.add_constraint(image(p, d, ImageComputationHint.MIN_MAX))
    task.execute()
    fence()
    assert [seen[k][1] for k in sorted(seen)] == [((5,), (7,)), ((1,), (3,))]


@pytest.mark.parametrize(
    ("constrain", "shapes", "text"),
    [
        (align, ((4,), (5,)), "Alignment requires the stores to have the same shape, but found"),
        (lambda x: broadcast(x, (2,)), ((4, 4),), "Invalid broadcasting dimension 2 for a 2-D store"),
        (
            lambda x, y: scale((2,), x, y),
            ((4,), (4, 4)),
            "Scaling constraint requires the stores to have the same number of dimensions",
        ),
        (
            lambda x, y: scale((2, 2), x, y),
            ((4,), (8,)),
            "Scaling constraint requires the number of factors to match",
        ),
        (
            lambda x, y: bloat(x, y, (1,), (1,)),
            ((4,), (4, 4)),
            "Bloating constraint requires the stores to have the same number of dimensions",
        ),
        (lambda x: min_extents(x, (1, 1)), ((4,),), "extents to match the number of dimensions"),
    ],
)
def test_constraints_that_do_not_fit(constrain: Any, shapes: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        cut(Domains(), constrain, *shapes)


def test_threshold() -> None:
    body = Domains()
    policy = ParallelPolicy(overdecompose_factor=4, partitioning_threshold=(TaskTarget.CPU, 100))
    with Scope(parallel_policy=policy, machine=get_machine().only(TaskTarget.CPU)[:1]):
        small, large = made(body), made(body)
    small.add_input(filled((99,), 1))
    small.execute()
    fence()
    assert body.one_dimensional == [((0, 98),)]
    body.seen.clear()
    large.add_input(filled((100,), 1))
    large.execute()
    fence()
    assert len(body.seen) == 4


def test_parts_of_a_launch_write_one_array() -> None:
    def body(ctx: TaskContext) -> None:
        np.asarray(ctx.outputs[0])[...] = ctx.task_index[0] * 10 + ctx.task_index[1]

    with pieces(4):
        task = made(body)
    out = filled((6, 8), 0)
    task.add_output(out)
    task.execute()
    expected = np.kron([[0, 1], [10, 11]], np.ones((3, 4)))
    np.testing.assert_array_equal(np.asarray(out), expected)


@pytest.mark.parametrize(
    ("op", "fold"),
    [
        (ReductionOpKind.ADD, lambda old, new: old + new.sum(0)),
        (ReductionOpKind.MUL, lambda old, new: old * new.prod(0)),
        (ReductionOpKind.MAX, lambda old, new: np.maximum(old, new.max(0))),
        (ReductionOpKind.MIN, lambda old, new: np.minimum(old, new.min(0))),
        (ReductionOpKind.OR, lambda old, new: old | np.bitwise_or.reduce(new)),
        (ReductionOpKind.AND, lambda old, new: old & np.bitwise_and.reduce(new)),
        (ReductionOpKind.XOR, lambda old, new: old ^ np.bitwise_xor.reduce(new)),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_reductions(op: ReductionOpKind, fold: Callable[..., Any]) -> None:
    def body(ctx: TaskContext) -> None:
        data, result = np.asarray(ctx.inputs[0]), np.asarray(ctx.reductions[0])
        result[:] = fold(result, data)

    data = np.random.default_rng(0).integers(1, 7, (8, 3))
    store = runtime.create_store_from_buffer(types.int64, (8, 3), data, True)
    result = filled((3,), 5)
    with pieces(4):
        task = made(body)
    task.add_input(store)
    task.add_reduction(result, op)
    task.add_broadcast(store, 1)
    task.add_broadcast(result)
    task.execute()
    np.testing.assert_array_equal(np.asarray(result), fold(np.full(3, 5), data))


# ---- unbound outputs -----------------------------------------------------------------------------------------------------


def squares(ctx: TaskContext) -> None:
    values = np.asarray(ctx.inputs[0])
    keep = values[values % 3 == 0]
    buffer = ctx.outputs[0].create_output_buffer(keep.shape)
    np.asarray(buffer)[:] = keep**2


def test_unbound_output() -> None:
    with pieces(3):
        task = made(squares)
    out = runtime.create_store(types.int64)
    assert out.unbound
    task.add_input(ranged(20))
    task.add_output(out)
    task.execute()
    assert not out.unbound
    assert out.shape == (7,)
    np.testing.assert_array_equal(np.asarray(out), np.arange(0, 20, 3) ** 2)


def test_unbound_output_as_input() -> None:
    out, copy = runtime.create_store(types.int64), filled((7,), 0)
    task = made(squares)
    task.add_input(ranged(20))
    task.add_output(out)
    task.execute()

    def second(ctx: TaskContext) -> None:
        np.asarray(ctx.outputs[0])[:] = np.asarray(ctx.inputs[0]) + 1

    follower = made(second)
    follower.add_input(out)
    follower.add_output(copy)
    follower.add_alignment(out, copy)
    follower.execute()
    np.testing.assert_array_equal(np.asarray(copy), np.arange(0, 20, 3) ** 2 + 1)


def test_nothing_bound() -> None:
    out = runtime.create_store(types.float64, ndim=2)
    task = made(nothing)
    task.add_output(out)
    task.execute()
    assert out.shape == (0, 0)


def test_failed_unbound_output() -> None:
    def bad(ctx: TaskContext) -> None:
        raise KeyError("x")

    out = runtime.create_store(types.int64)
    task = made(bad)
    task.add_output(out)
    task.execute()
    with pytest.raises(KeyError):
        fence()
    with pytest.raises(RuntimeError, match="which failed"):
        _ = out.shape.extents


def test_aligned_unbound_stores() -> None:
    task = made(nothing)
    x = task.add_output(runtime.create_store(types.int64))
    y = task.add_output(runtime.create_store(types.int64))
    task.add_constraint(align(x, y))
    task.execute()
    fence()
    task = made(nothing)
    x, y = task.add_output(runtime.create_store(types.int64)), task.add_output(filled((3,), 1))
    task.add_constraint(align(x, y))
    with pytest.raises(ValueError, match="Alignment requires the stores to be all normal or all unbound"):
        task.execute()
