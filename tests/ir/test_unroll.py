"""Short reductions as elementwise trees: when they are, what then fuses, and that the results are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.ir import passes
from legate_jit.ir.checks.verify import VerifyError, verify
from legate_jit.ir.steps import Launch, Schedule

Program = Callable[..., Any]


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


def kinds(schedules: list[Schedule]) -> list[str]:
    return [s.nest.kernel.kind for s in launches(schedules)]


def run(program: Program, *arrays: numpy.ndarray) -> None:
    """The program gives NumPy's results."""
    want = program(numpy, *(a.copy() for a in arrays))
    got = program(np, *(np.array(a) for a in arrays))
    legate.fence()
    for w, g in zip(*(x if isinstance(x, tuple) else (x,) for x in (want, got)), strict=True):
        g = numpy.asarray(g)
        assert (w.shape, w.dtype) == (g.shape, g.dtype)
        if w.dtype.kind not in "fc":
            numpy.testing.assert_array_equal(g, w)
        else:
            numpy.testing.assert_allclose(g, w, rtol=1e-5 if w.dtype.itemsize == 4 else 1e-13, atol=1e-13)


def some(*shape: int, dtype: str = "f8") -> numpy.ndarray:
    return (numpy.random.default_rng(len(shape)).random(shape) * 20 - 9).astype(dtype)


def nearest(np: Any, x: Any, c: Any) -> Any:
    return ((x[:, None, :] - c[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)


def test_nearest_center_is_one_pass_over_the_points(schedules: list[Schedule]) -> None:
    run(nearest, some(500, 8), some(16, 8) / 2)
    (launch,) = launches(schedules)
    assert launch.nest.kernel.kind == "row"
    assert launch.nest.extents == (500, 16)
    fields = [o for o in launch.nest.kernel.operands if o.mode == "r"]
    assert len(fields) == 16
    assert sum(o.leader < 0 for o in fields) == 2  # one pointer for each array
    assert sum(o.step == 8 for o in fields) == 8  # the centers', along the inner loop


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1", "c16"])
def test_axes(schedules: list[Schedule], axis: int, dtype: str) -> None:
    shape = [70, 40, 30]
    shape[axis] = 5
    x = some(*shape, dtype=dtype)
    run(lambda np, x: (x * x).sum(axis=axis), x)
    assert kinds(schedules) == ["map"]
    run(lambda np, x: x.sum(axis=axis), x[:, :, :3])


def test_every_operator(schedules: list[Schedule]) -> None:
    x, i = some(90, 7), some(90, 7, dtype="i8")
    x[3, 2] = x[5, 6] = numpy.nan
    run(
        lambda np, x: (
            x.max(axis=1),
            x.min(axis=1),
            x.prod(axis=1),
            (x > 0).all(axis=1),
            (x > 0).any(axis=1),
        ),
        x,
    )
    run(lambda np, x: (np.fmax.reduce(x, axis=1), (x > 0).sum(axis=1), np.nansum(x, axis=1)), x)
    run(lambda np, i: (np.bitwise_and.reduce(i, axis=1), np.bitwise_xor.reduce(i, axis=1)), i)
    assert set(kinds(schedules)) == {"map"}


@pytest.mark.parametrize("n", [2, 3, 8, 13, 16])
def test_what_uses_the_sums_fuses_with_them(schedules: list[Schedule], n: int) -> None:
    run(lambda np, x: np.sqrt((x**2).sum(axis=1)) + x.mean(axis=1), some(333, n))
    assert kinds(schedules) == ["map"]


def test_views_within_the_expression() -> None:
    x, y = some(80, 6), some(6)
    run(lambda np, x, y: (x[:, ::-1] * y[::2].repeat(2)).sum(axis=1), x, y)
    run(lambda np, x, y: (x.T[::2, 5:] - y[1::2, None]).sum(axis=0), x, y)
    run(lambda np, x, y: (x[:, None, 1:4] * x[None, 3:70, 2:5]).sum(axis=2), x, y)
    run(lambda np, x, y: (x.reshape(80, 2, 3) * np.arange(3)).sum(axis=(1, 2)), x, y)
    run(lambda np, x, y: np.diagonal(x[:6]).sum() + np.broadcast_to(y, (90, 6)).sum(axis=1), x, y)


def test_sums_of_sums() -> None:
    run(lambda np, x: (x - x.mean(axis=2, keepdims=True)).std(axis=1), some(90, 4, 5))
    run(lambda np, x: x.var(axis=(1, 2)) + x.sum(axis=1).max(axis=1), some(90, 4, 4))


def test_costly_terms_with_another_use_stay_one_value(schedules: list[Schedule]) -> None:
    """softmax over a short axis computes every exponential once."""

    def softmax(np: Any, x: Any) -> Any:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    run(softmax, some(300, 8))
    ops = [i.op for s in launches(schedules) for i in s.nest.kernel.instrs]
    assert ops.count("exp") == 1


def test_long_programs_of_terms_are_not_repeated(schedules: list[Schedule]) -> None:
    def program(np: Any, x: Any) -> Any:
        return np.exp(np.sin(np.cos(x))).sum(axis=1)

    run(program, some(300, 8))
    ops = [i.op for s in launches(schedules) for i in s.nest.kernel.instrs]
    assert ops.count("sin") == 1


def test_few_results_are_reduced_as_rows(schedules: list[Schedule]) -> None:
    run(lambda np, x: x.sum(axis=1), some(40, 8))
    assert kinds(schedules) == ["row"]


def test_points_in_space(schedules: list[Schedule]) -> None:
    """Distances of all pairs: the coordinates of three vectors of points come from three loads."""
    run(lambda np, p: np.sqrt(((p[:, None] - p[None]) ** 2).sum(axis=-1)), some(100, 3))
    (launch,) = launches(schedules)
    assert launch.nest.kernel.kind == "map"
    assert launch.nest.extents == (100, 100)


@pytest.mark.parametrize(
    "fault", [{"step": 4}, {"step": 1}, {"shift": 2}, {"leader": 1}, {"leader": 9}, {"leader": -1}]
)
def test_fields_that_are_none_are_found(schedules: list[Schedule], fault: dict[str, int]) -> None:
    run(lambda np, p: p[:, 0] * p[:, 1] + p[:, 2], some(100, 3))
    (schedule,) = schedules
    (launch,) = launches(schedules)
    kernel = launch.nest.kernel
    number = next(k for k, o in enumerate(kernel.operands) if o.leader >= 0)
    assert kernel.operands[number].step == 3
    operands = list(kernel.operands)
    operands[number] = operands[number]._replace(**fault)
    nest = launch.nest._replace(kernel=replace(kernel, operands=tuple(operands)))
    bad = launch._replace(nest=nest)
    steps = tuple(bad if s is launch else s for s in schedule.steps)
    with pytest.raises(VerifyError):
        verify("schedule", replace(schedule, steps=steps))


def test_in_place_beside_what_is_read() -> None:
    def program(np: Any, p: Any) -> Any:
        p[:, 0] = p[:, 1] * 2 + p[:, 2]
        p[:, 2] -= p[:, 0]
        return p, p.sum(axis=1)

    run(program, some(200, 3))


def test_a_result_does_not_depend_on_its_place_in_a_vector() -> None:
    x, c = np.array(some(20000, 8, dtype="f4")), np.array(some(16, 8, dtype="f4"))
    whole = numpy.asarray(((x[:, None, :] - c) ** 2).sum(axis=2))
    parts = [numpy.asarray(((x[k::3][:, None, :] - c) ** 2).sum(axis=2)) for k in range(3)]
    for k, part in enumerate(parts):
        numpy.testing.assert_array_equal(part, whole[k::3])
