"""Gathers, scatters and selections as ranks do them: algorithms on parts, between ranks that are threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate_jit.backends.calls import indexed
from legate_jit.collectives import gathers, indices, selections, tiles
from legate_jit.comm.threads import ThreadComm, run_ranks

SIZES = [1, 2, 3, 4, 7]
RNG = np.random.default_rng(7)


def uneven(rows: int, size: int) -> list[int]:
    """Edges of parts of very different lengths, some of them empty."""
    cuts = np.sort(RNG.integers(0, rows + 1, size - 1))
    return [0, *map(int, cuts), rows]


def parts(array: np.ndarray, edges: list[int], rank: int) -> np.ndarray:
    return array[edges[rank] : edges[rank + 1]].copy()


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


TABLES = [
    RNG.normal(size=53),
    RNG.integers(-9, 9, (40, 3)).astype(np.int16),
    RNG.normal(size=(5, 2, 2)) + 1j,
    np.arange(300) % 7 == 0,
]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: f"{t.dtype}{t.shape}")
@pytest.mark.parametrize("asked", [0, 3, 100, 999])
def test_gather(size: int, table: np.ndarray, asked: int) -> None:
    where = RNG.integers(0, len(table), asked)
    edges, mine = uneven(len(table), size), uneven(asked, size)

    def program(comm: ThreadComm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part = parts(table, edges, comm.rank)
        return (
            gathers.gather(comm, part, edges, parts(where, mine, comm.rank)),
            gathers.gather_known(comm, part, edges, where, mine),
            gathers.gather_same(comm, part, edges, where),
        )

    for rank, (own, known, same) in enumerate(run_ranks(size, program)):
        for found, expected in (
            (own, parts(table[where], mine, rank)),
            (known, parts(table[where], mine, rank)),
            (same, table[where]),
        ):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == table.dtype


def test_what_is_asked_for_often_travels_once() -> None:
    """A rank that wants few rows very often is sent each of them once, and asks for it once."""

    def program(comm: ThreadComm) -> int:
        where = np.arange(10_000) % 8
        found = gathers.gather(comm, np.arange(4.0) + 4 * comm.rank, [0, 4, 8], where)
        np.testing.assert_array_equal(found, where)
        return comm.traffic.nbytes

    assert max(run_ranks(2, program)) <= 8 + 4 + 4 * 8  # a count, four numbers, four rows


def test_ranks_that_index_differently_are_told() -> None:
    """Instead of waiting for each other's rows."""

    def program(comm: ThreadComm) -> list[str]:
        where = np.array([0, 1, 2 + comm.rank % 2, 5])
        part = np.arange(2.0) + 2 * comm.rank
        errors = []
        for call in (
            lambda: gathers.gather_same(comm, part, [0, 2, 4, 6], where),
            lambda: gathers.gather_known(comm, part, [0, 2, 4, 6], where, [0, 1, 3, 4]),
        ):
            with pytest.raises(gathers.Disagreement) as caught:
                call()
            errors.append(str(caught.value))
        return errors

    assert (
        run_ranks(3, program)
        == [["an array is indexed by numbers that are not the same on all ranks"] * 2] * 3
    )


def assign(part: np.ndarray, where: np.ndarray, values: np.ndarray) -> None:
    part[where] = values


@pytest.mark.parametrize("table", TABLES[:3], ids=lambda t: f"{t.dtype}{t.shape}")
@pytest.mark.parametrize("count", [0, 4, 100, 999])
@pytest.mark.parametrize("one", [False, True])
def test_the_last_of_several_writes_wins(size: int, table: np.ndarray, count: int, one: bool) -> None:
    where = RNG.integers(0, len(table), count)
    values = RNG.normal(size=(() if one else (count,)) + table.shape[1:]).astype(table.dtype)
    edges, mine = uneven(len(table), size), uneven(count, size)
    expected = table.copy()
    expected[where] = values

    def program(comm: ThreadComm) -> tuple[np.ndarray, np.ndarray]:
        part, known = parts(table, edges, comm.rank), parts(table, edges, comm.rank)
        own = values if one else parts(values, mine, comm.rank)
        gathers.scatter(comm, part, edges, parts(where, mine, comm.rank), own, assign, True)
        gathers.scatter_known(known, edges[comm.rank], where, values, assign)
        return part, known

    for rank, found in enumerate(run_ranks(size, program)):
        for part in found:
            np.testing.assert_array_equal(part, parts(expected, edges, rank))


@pytest.mark.parametrize("owners", [2, 3, 7, 16])
@pytest.mark.parametrize("rows", [70_000, 400_000, 5])
@pytest.mark.parametrize("dtype", ["f8", "c8", "f4", "i2", "?"])
def test_numbers_are_told_apart_by_owner(owners: int, rows: int, dtype: str) -> None:
    """Natively as by NumPy: for every owner the numbers within its part and their values, in order; also of owners of nothing."""
    count = indexed.SMALL + 11
    where, values = RNG.integers(0, rows, count), RNG.normal(size=count).astype(dtype)
    edges = uneven(rows, owners)
    for kind in (np.uint32, np.int64):
        found = indexed.apart(where, edges, values, np.dtype(kind))
        assert found is not None
        for k, (numbers, moved) in enumerate(zip(*found, strict=True)):
            here = (where >= edges[k]) & (where < edges[k + 1])
            assert numbers.dtype == kind
            np.testing.assert_array_equal(numbers, where[here] - edges[k])
            np.testing.assert_array_equal(moved, values[here])
        alone = indexed.apart(where, edges, None, np.dtype(kind))
        assert alone is not None
        assert not alone[1]
        for numbers, same in zip(alone[0], found[0], strict=True):
            np.testing.assert_array_equal(numbers, same)


def test_what_is_told_apart_by_numpy() -> None:
    where, values, small = np.arange(indexed.SMALL), np.ones(indexed.SMALL), np.dtype(np.uint16)
    edges, wide = [0, 5, indexed.SMALL], np.dtype(np.int64)
    assert indexed.apart(where, edges, values, wide) is not None
    for refused in (
        (where[:-1], edges, values[:-1], wide),
        (where, edges, values, small),
        (where, [0, indexed.SMALL], values, wide),
        (where, [*range(17), indexed.SMALL], values, wide),
        (where[::-1], edges, values, wide),
        (where.astype(np.int32), edges, values, wide),
        (where, edges, values[::-1], wide),
        (where, edges, values.reshape(-1, 1), wide),
        (where, edges, values.astype(np.complex128), wide),
    ):
        assert indexed.apart(*refused) is None


@pytest.mark.parametrize("rows", [90_000, 600_000])
@pytest.mark.parametrize("wins", [True, False])
def test_many_writes(size: int, rows: int, wins: bool) -> None:
    """As many as native code takes; more of them than there are rows, and fewer."""
    count = 2 * indexed.SMALL + 1
    table, where = RNG.integers(0, 9, rows), RNG.integers(0, rows, count)
    values = RNG.integers(0, 9, count)
    edges, mine = uneven(rows, size), [0, *[count] * size]
    expected = table.copy()
    write = gathers.assign if wins else np.add.at
    write(expected, where, values)

    def program(comm: ThreadComm) -> np.ndarray:
        part = parts(table, edges, comm.rank)
        own = parts(where, mine, comm.rank), parts(values, mine, comm.rank)
        gathers.scatter(comm, part, edges, *own, write, wins)
        return part

    np.testing.assert_array_equal(np.concatenate(run_ranks(size, program)), expected)


@pytest.mark.parametrize("operator", [np.add, np.multiply, np.maximum, np.subtract])
def test_every_write_counts_in_the_order_of_the_numbers(size: int, operator: np.ufunc) -> None:
    """Sums of floats have NumPy's bits: each element's operations are done by one rank, in order."""
    table, where = RNG.normal(size=(11, 2)).astype(np.float32), RNG.integers(0, 11, 500)
    values = RNG.normal(size=(500, 2)).astype(np.float32)
    edges, mine = uneven(11, size), uneven(500, size)
    expected = table.copy()
    operator.at(expected, where, values)

    def program(comm: ThreadComm) -> np.ndarray:
        part = parts(table, edges, comm.rank)
        own = parts(where, mine, comm.rank), parts(values, mine, comm.rank)
        gathers.scatter(comm, part, edges, *own, operator.at, False)
        return part

    found = np.concatenate(run_ranks(size, program))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", [1, 5, 400])
@pytest.mark.parametrize("dealt", [False, True])
def test_place(size: int, given: int, dealt: bool) -> None:
    mask = RNG.random((30, 4)) < 0.6
    values, array = RNG.normal(size=given), np.zeros((30, 4))
    edges, own = uneven(30, size), uneven(given, size)
    expected = array.copy()
    np.place(expected, mask, values)

    def program(comm: ThreadComm) -> np.ndarray:
        part = parts(array, edges, comm.rank)
        held = parts(values, own, comm.rank) if dealt else values
        selections.place(comm, part, parts(mask, edges, comm.rank), held, own if dealt else None, given)
        return part

    np.testing.assert_array_equal(np.concatenate(run_ranks(size, program)), expected)


@pytest.mark.parametrize("make", [lambda: RNG.random((9, 5)) < 0.4, lambda: np.zeros(12, bool)])
def test_selections_lie_evenly(size: int, make: Callable[[], np.ndarray]) -> None:
    mask = make()
    rows = RNG.normal(size=(*mask.shape, 2))
    edges = uneven(len(mask), size)
    starts = [(edges[r], *[0] * (mask.ndim - 1)) for r in range(size)]

    def program(comm: ThreadComm) -> list[Any]:
        part, holds = parts(rows, edges, comm.rank), parts(mask, edges, comm.rank)
        return [
            *selections.select(comm, part, holds),
            *selections.argwhere(comm, holds, starts),
            *selections.nonzero(comm, holds, starts),
        ]

    expected = [rows[mask], np.argwhere(mask), *np.nonzero(mask)]
    goal = tiles.edges(len(expected[0]), size).tolist()
    for rank, found in enumerate(run_ranks(size, program)):
        for tile, whole in zip(found, expected, strict=True):
            assert tile.shape == whole.shape
            np.testing.assert_array_equal(tile.part, parts(whole, goal, rank))


def test_repeat(size: int) -> None:
    rows, counts = RNG.normal(size=(20, 2)), RNG.integers(0, 5, 20)
    edges = uneven(20, size)

    def program(comm: ThreadComm) -> Any:
        part, own = parts(rows, edges, comm.rank), parts(counts, edges, comm.rank)
        bad = own.copy()
        bad[:1] = -1
        return selections.repeat(comm, part, own)[0], selections.repeat(comm, part, bad)

    found = run_ranks(size, program)
    np.testing.assert_array_equal(
        np.concatenate([tile.part for tile, _ in found]), np.repeat(rows, counts, axis=0)
    )
    assert all(bad == [selections.NEGATIVE] for _, bad in found)


def test_the_first_bad_index_is_the_same_for_all(size: int) -> None:
    """Of the first index array that has any, the lowest position."""
    first, second = np.zeros(30, np.int8), np.arange(30) - 15
    second[[7, 22]] = 16, -17
    edges = uneven(30, size)

    def program(comm: ThreadComm) -> Any:
        own = [parts(a, edges, comm.rank) for a in (first, second)]
        bad = indices.numbers(own, (4, 16), own[0].shape)[1]
        return indices.agreed(comm, bad, edges[comm.rank])

    assert run_ranks(size, program) == [indices.Bad(1, 7, 16)] * size


def test_indices_become_numbers_of_rows() -> None:
    given = [np.array([[0], [-1]], np.int8), 2, np.array([3, 3, 0], np.uint64)]
    found, bad = indices.numbers(given, (4, 3, 5), (2, 3))
    np.testing.assert_array_equal(
        found, np.ravel_multi_index(([[0], [3]], 2, [3, 3, 0]), (4, 3, 5)).reshape(-1)
    )
    assert bad is None
