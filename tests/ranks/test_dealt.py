"""Arrays dealt out over ranks: virtual ones, all threads of this process, and real ones under mpiexec; results as on one rank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from fuzz import programs
from ranks.launch import succeeds
from ranks.plans import plans

import cupynumeric as np
import legate
from legate.core.task import InputStore, OutputStore, task
from legate_jit import runtime, tasks
from legate_jit.ir.ranks import choose
from legate_jit.ranks import windows as world

SIZES = [2, 3, 7]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, dealt: Callable[[int], None]) -> int:
    """A world of so many virtual ranks, among which even tiny arrays are dealt out."""
    dealt(request.param)
    return int(request.param)


@pytest.mark.parametrize("seed", [0, 42, 71, 74, 118])
def test_random_programs(size: int, seed: int) -> None:
    assert programs.check(seed + 1000 * (size == 7)) is None


@pytest.mark.parametrize("seed", [3, 17, 42, 64, 90, 118])
def test_random_programs_with_small_arrays(size: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of up to 40 elements are small, and left in parts, on some ranks only, where that moves less."""
    for room in (choose, world):
        monkeypatch.setattr(room, "SMALL", 40)
    monkeypatch.setattr(choose, "FEW", 2)
    monkeypatch.setattr(choose, "MUCH", 1)
    assert programs.check(seed + 100 * size) is None


def periodic(np: Any) -> Any:
    """A border whose values are in flight when windows end, as in a channel flow."""
    p, b = np.ones((90, 70)), np.arange(6300.0).reshape(90, 70) / 6300
    for _ in range(6):
        pn = p.copy()
        p[1:-1, 1:-1] = 0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) - b[1:-1, 1:-1]
        edge = 0.25 * (pn[1:-1, 0] + pn[1:-1, -2] + pn[2:, -1] + pn[:-2, -1])
        legate.fence()
        p[1:-1, -1] = edge - b[1:-1, -1]
        p[0, :] = p[1, :]
    return p, edge


def test_small_arrays_lie_where_they_are_used(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is gathered for a column of a matrix that lives on in the next window."""
    for room in (choose, world):
        monkeypatch.setattr(room, "SMALL", 1000)
    monkeypatch.setattr(choose, "FEW", 2)
    expected, found = periodic(onp), periodic(np)
    sent = max(p.traffic for p in plans())
    assert sent <= 4 * 70 * 8 * (size - 1)  # halos of two arrays
    for a, b in zip(expected, found, strict=True):
        onp.testing.assert_allclose(onp.asarray(b), a, rtol=1e-12)


def jacobi(np: Any) -> Any:
    u = np.zeros((60, 50))
    u[0, :] = 1.0
    for _ in range(7):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return u


def reversal(np: Any) -> Any:
    x = np.arange(101.0)
    x[::2] = x[::-2]
    return x + x[::-1]


def transposed(np: Any) -> Any:
    x = np.arange(240.0).reshape(12, 20)
    return (x.T @ x, x.T.reshape(6, 40), np.concatenate([x, x[:5]]), x[:, ::3].copy())


def reduced(np: Any) -> Any:
    x = (np.arange(300.0).reshape(20, 15) * 7) % 31
    return (
        x.sum(), x.sum(axis=0), x.mean(axis=1), x.argmax(), x.argmin(axis=0), x.max(), x.std(), (x > 30).any(),
        np.cumsum(x), np.cumsum(x, axis=0), x.prod(axis=1), np.median(x), np.sort(x, axis=None),
    )  # fmt: skip


def irregular(np: Any) -> Any:
    x = np.arange(200.0)
    i = (np.arange(50) * 37) % 200
    x[i] = -1.0
    x[x > 150] += 0.5
    return (x, x[i], np.nonzero(x < 0)[0], np.where(x < 0, 0.0, x), np.bincount(i))


def integers(np: Any) -> Any:
    x = np.arange(97, dtype=np.int32)
    return (x // 3, x % 5, x.astype(np.float16)[:40].cumsum(), (x & 7) == 3, x.view(np.uint8)[:40])


@pytest.mark.parametrize("program", [jacobi, reversal, transposed, reduced, irregular, integers])
def test_programs(size: int, program: Callable[[Any], Any]) -> None:
    for _ in range(2):  # the second run finds its plans
        expected, found = program(onp), program(np)
        expected, found = (x if isinstance(x, tuple) else (x,) for x in (expected, found))
        for a, b in zip(expected, found, strict=True):
            onp.testing.assert_allclose(onp.asarray(b), a, rtol=1e-12)
            assert onp.asarray(b).dtype == onp.asarray(a).dtype


def test_elementwise_programs_exchange_nothing(size: int) -> None:
    x = np.arange(1000.0)
    y = np.sqrt(x) * 2 + x
    y[1:-1] += 1.0
    legate.fence()
    assert plans()
    assert all(p.traffic == 0 for p in plans())
    assert isinstance(y._store.buffer, world.Dealt)
    parts = [b.nbytes for b in y._store.buffer.parts.values()]
    assert max(parts) <= 8 * -(-1000 // size)


def test_stencils_exchange_halos_only(size: int) -> None:
    u = np.zeros((40, 30)) + np.arange(30.0)
    legate.fence()
    runtime._plans.clear()
    u[1:-1] = u[:-2] + u[2:]
    legate.fence()
    (plan,) = plans()
    assert 0 < plan.traffic <= 2 * (size - 1) * 30 * 8


def test_copies_and_views_of_parts(size: int) -> None:
    """A value under two names is not overwritten for one of them."""
    x = np.arange(40.0)
    legate.fence()
    y = x.copy()
    z = x.reshape(8, 5)
    legate.fence()
    x += 1
    z[0] = -1.0
    legate.fence()
    onp.testing.assert_array_equal(y, onp.arange(40.0))
    expected = onp.arange(40.0) + 1
    expected[:5] = -1
    onp.testing.assert_array_equal(x, expected)


def test_reading_keeps_the_parts(size: int) -> None:
    x = np.arange(500.0) + 1
    first = onp.asarray(x)
    x *= 2
    legate.fence()
    assert isinstance(x._store.buffer, world.Dealt)
    onp.testing.assert_array_equal(first, onp.arange(500.0) + 1)
    onp.testing.assert_array_equal(x, (onp.arange(500.0) + 1) * 2)


def test_functions_that_need_no_values_gather_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(600.0).reshape(20, 30) + 1
    legate.fence()
    monkeypatch.setattr(world.World, "whole", lambda *_: pytest.fail("all of an array was gathered"))
    assert np.iterable(x) and not np.iterable(x[0, 0])
    assert np.common_type(x, np.ones(100, "f4")) is onp.float64
    assert np.einsum_path("ij,kj->ik", x, x)[0] == ["einsum_path", (0, 1)]


def test_sorting_in_place_keeps_the_parts(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (onp.arange(600) * 7919 % 601).reshape(20, 30)
    x, y = np.array(expected), np.array(expected.ravel())
    view = x[::2]
    legate.fence()
    with monkeypatch.context() as patched:
        patched.setattr(world.World, "whole", lambda *_: pytest.fail("all of an array was gathered"))
        x.sort(axis=0)
        y.partition(100)
        found = np.unique_counts(x)
        assert type(found).__name__ == "UniqueCountsResult"
        values = np.unique_values(y)
        legate.fence()
    expected.sort(axis=0)
    onp.testing.assert_array_equal(x, expected)
    onp.testing.assert_array_equal(view, expected[::2])
    assert int(y[100]) == onp.sort(expected, axis=None)[100]
    for a, b in zip(found, onp.unique_counts(expected), strict=True):
        onp.testing.assert_array_equal(a, b)
    onp.testing.assert_array_equal(onp.sort(values), onp.unique(expected))  # NumPy promises no order


def test_tasks_see_whole_arrays(size: int) -> None:
    @task
    def double(source: InputStore, out: OutputStore) -> None:
        onp.asarray(out)[:] = 2 * onp.asarray(source)

    x = np.arange(100.0) + 1
    y = np.zeros(100)
    double(x, y)
    onp.testing.assert_array_equal(y, 2 * (onp.arange(100.0) + 1))
    assert tasks.running() is None


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("line", ["jacobi -n 400 -i 10", "cg -n 200 -i 10", "cfd -x 201 -y 201 -i 2 -n 10"])
def test_examples_under_mpiexec(count: int, line: str) -> None:
    name, *options = line.split()
    program = f"""
        import runpy, sys
        sys.argv = [{name + ".py"!r}, *{options!r}, "--check", "--repeat", "2"]
        sys.path.insert(0, {str(EXAMPLES)!r})
        runpy.run_path({str(EXAMPLES / (name + ".py"))!r}, run_name="__main__")
    """
    assert succeeds(program, count).count("check: equal to NumPy's") == count
