"""Communication between ranks that are threads: every algorithm on 1 to 7 ranks, against the same on one array."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legate_jit.comm import exchange
from legate_jit.comm.base import Comm, LocalComm, Overdue, PeerLost
from legate_jit.comm.exchange import Box, Listed, extents, routes
from legate_jit.comm.threads import ThreadComm, run_ranks
from legate_jit.comm.trees import COMBINERS

SIZES = range(1, 8)
DTYPES = ("f8", "f4", "i8", "u1", "?", "c16")


def cut(box: Box) -> tuple[slice, ...]:
    return tuple(slice(lo, hi) for lo, hi in box)


def tiles(shape: Sequence[int], grid: Sequence[int], ranks: int) -> list[Box]:
    """Ceil-division tiles in C order; ranks beyond the grid hold nothing."""
    sizes = [-(-n // g) for n, g in zip(shape, grid, strict=True)]
    boxes: list[Box] = []
    for k in range(ranks):
        if k < math.prod(grid):
            at = np.unravel_index(k, tuple(grid)) if grid else ()
            found = [
                (min(int(i) * s, n), min((int(i) + 1) * s, n))
                for i, s, n in zip(at, sizes, shape, strict=True)
            ]
            boxes.append(tuple(found))
        else:
            boxes.append(tuple((0, 0) for _ in shape))
    return boxes


@st.composite
def fetches(draw: st.DrawFn) -> tuple[int, tuple[int, ...], list[Box], list[Box]]:
    """Ranks, a shape, boxes that cover it, and boxes that are wanted."""
    ranks = draw(st.integers(1, 7))
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    everything = tuple((0, n) for n in shape)
    if draw(st.booleans()):
        grid = [1] * len(shape)
        left = ranks
        for axis in draw(st.permutations(range(len(shape)))):
            grid[axis] = draw(st.integers(1, left))
            left //= grid[axis]
        source = tiles(shape, grid, ranks)
    else:
        has = draw(st.sets(st.integers(0, ranks - 1), min_size=1))
        source = [everything if k in has else tuple((0, 0) for _ in shape) for k in range(ranks)]
    wanted = []
    for _ in range(ranks):
        ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
        wanted.append(everything if draw(st.integers(0, 3)) == 0 else tuple((lo, hi) for lo, hi in ends))
    return ranks, shape, source, wanted


@settings(max_examples=120, deadline=None, derandomize=True)
@given(fetches(), st.sampled_from(DTYPES), st.booleans())
def test_every_rank_gets_the_box_it_wants(
    case: tuple[int, tuple[int, ...], list[Box], list[Box]], dtype: str, fortran: bool
) -> None:
    ranks, shape, source, wanted = case
    array = (np.arange(math.prod(shape)) % 120).reshape(shape).astype(dtype)

    def program(comm: ThreadComm) -> list[np.ndarray]:
        part = array[cut(source[comm.rank])]
        mine = part.copy("F" if fortran else "C") if part.size else None
        return [comm.fetch(mine, source, wanted, array.dtype) for _ in range(2)]

    for rank, results in enumerate(run_ranks(ranks, program)):
        for result in results:
            assert result.flags.c_contiguous
            np.testing.assert_array_equal(result, array[cut(wanted[rank])], strict=True)


@pytest.mark.parametrize("ranks", SIZES)
def test_arrays_without_axes_and_without_elements(ranks: int) -> None:
    def program(comm: ThreadComm) -> None:
        has = comm.rank == ranks - 1
        point = np.array(2.5) if has else None
        nothing: Box = ((0, 0),)
        if ranks == 1:
            assert comm.fetch(point, [()], [()], np.dtype("f8")) == 2.5
        empty = comm.fetch(None, [nothing] * ranks, [nothing] * ranks, np.dtype("f4"))
        assert (empty.shape, empty.dtype) == ((0,), np.dtype("f4"))
        assert comm.fetch(np.array(2.5), [()] * ranks, [()] * ranks) == 2.5

    run_ranks(ranks, program)


def rows(n: int, ranks: int, width: int) -> list[Box]:
    return tiles((n, width), (ranks, 1), ranks)


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("small", [True, False])
def test_a_halo_moves_the_halo_only(ranks: int, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not small:
        monkeypatch.setattr(exchange, "SMALL", 8)
        monkeypatch.setattr(Comm, "piece", 50)
    n, width = 3 * ranks, 10
    source = rows(n, ranks, width)
    wanted: list[Box] = [((max(a - 1, 0), min(b + 1, n)), c) for (a, b), c in source]
    array = np.arange(n * width, dtype="f8").reshape(n, width)

    def program(comm: ThreadComm) -> None:
        halo = comm.exchange(array.dtype, Listed.of(source, wanted))
        for k in range(4):
            mine = array[cut(source[comm.rank])] + k
            out = np.empty(halo.shape)
            assert halo.run(mine, out) is out
            np.testing.assert_array_equal(out, array[cut(wanted[comm.rank])] + k)
        neighbors = (comm.rank > 0) + (comm.rank < ranks - 1)
        assert halo.messages == neighbors
        assert halo.sent == halo.received == neighbors * width * 8
        assert (comm.traffic.messages, comm.traffic.nbytes) == (4 * neighbors, 4 * halo.sent)

    run_ranks(ranks, program)


def test_interior_while_halos_travel() -> None:
    source, wanted = rows(4, 2, 3), rows(4, 1, 3) * 2

    def program(comm: ThreadComm) -> np.ndarray:
        everything = comm.exchange(np.dtype("i8"), Listed.of(source, wanted))
        everything.start(np.full((2, 3), comm.rank))
        comm.barrier()
        return everything.finish()

    for result in run_ranks(2, program):
        assert result[:, 0].tolist() == [0, 0, 1, 1]


def test_transposition_moves_what_is_not_there() -> None:
    ranks, n = 4, 8
    by_rows, by_columns = rows(n, ranks, n), tiles((n, n), (1, ranks), ranks)
    for k in range(ranks):
        plan = routes(k, Listed.of(by_rows, by_columns))
        moved = sum(math.prod(p.shape) for p in plan.sends)
        assert moved == n * n // ranks * (ranks - 1) // ranks


def test_replicated_arrays_are_not_moved() -> None:
    boxes: list[Box] = [((0, 5),)] * 3
    for k in range(3):
        plan = routes(k, Listed.of(boxes, [((1, 3),), ((0, 5),), ((2, 2),)]))
        assert (plan.sends, plan.receives) == ((), ())


def test_what_nobody_holds_is_an_error() -> None:
    with pytest.raises(ValueError, match="of which the ranks hold 3 of 4 elements"):
        routes(0, Listed.of([((0, 3),)], [((0, 4),)]))


def test_wrong_parts_are_refused() -> None:
    comm = LocalComm()
    with pytest.raises(ValueError, match="holds float64"):
        comm.fetch(np.ones(3), [((0, 4),)], [((0, 2),)])
    with pytest.raises(ValueError, match="must give it"):
        comm.fetch(None, [((0, 4),)], [((0, 2),)], np.dtype("f8"))
    with pytest.raises(ValueError, match="the result is float64"):
        comm.fetch(np.ones(4), [((0, 4),)], [((0, 2),)], out=np.empty(2, "f4"))


# ---- combining -----------------------------------------------------------------------------------------------------


def parts_for(op: str, ranks: int, size: int) -> list[np.ndarray]:
    rng = np.random.default_rng(ranks)
    if op in ("or", "and", "xor"):
        return [rng.integers(0, 1 << 30, size) for _ in range(ranks)]
    if op in ("any", "all"):
        return [rng.integers(0, 2, size).astype(bool) for _ in range(ranks)]
    return [rng.standard_normal(size) * 10.0 ** rng.integers(-2, 3, size) for _ in range(ranks)]


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("op", [op for op in COMBINERS if not op.startswith("arg")])
@pytest.mark.parametrize("size", [0, 1, 11, 40_001])
def test_all_ranks_get_the_same_bits(op: str, ranks: int, size: int) -> None:
    parts = parts_for(op, ranks, size)
    results = run_ranks(ranks, lambda comm: comm.combine(parts[comm.rank], op))
    function: Any = COMBINERS[op]
    expected = function.reduce(np.array(parts), axis=0)
    for result in results:
        assert result.tobytes() == results[0].tobytes()
        assert (result.dtype, result.shape) == (parts[0].dtype, parts[0].shape)
    np.testing.assert_allclose(results[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ranks", SIZES)
def test_large_and_small_arrays_are_combined_in_the_same_order(ranks: int) -> None:
    parts = parts_for("sum", ranks, 40_001)

    def program(comm: ThreadComm) -> tuple[np.ndarray, np.ndarray]:
        mine = parts[comm.rank]
        return comm.combine(mine, "sum"), np.concatenate(
            [comm.combine(mine[k : k + 20_000], "sum") for k in range(0, 40_001, 20_000)]
        )

    for large, small in run_ranks(ranks, program):
        assert large.tobytes() == small.tobytes()


@pytest.mark.parametrize("ranks", SIZES)
def test_the_order_of_ranks_is_kept(ranks: int) -> None:
    """With an operation that is associative but not commutative: composition of x -> a x + b modulo a prime."""

    def compose(f: np.ndarray, g: np.ndarray) -> np.ndarray:
        return np.array([f[0] * g[0], g[0] * f[1] + g[1]]) % 10007

    maps = [np.array([k + 2, 3 * k + 1]) for k in range(ranks)]
    expected = maps[0]
    befores: list[Any] = [None]
    for each in maps[1:]:
        befores.append(expected)
        expected = compose(expected, each)

    def program(comm: ThreadComm) -> tuple[np.ndarray, Any]:
        return comm.combine(maps[comm.rank], compose), comm.before(maps[comm.rank], compose)

    for (result, before), wanted in zip(run_ranks(ranks, program), befores, strict=True):
        assert result.tolist() == expected.tolist()
        assert before is None if wanted is None else before.tolist() == wanted.tolist()


PAIR = np.dtype([("value", "f8"), ("index", "i8")])


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("op", ["argmin", "argmax"])
@pytest.mark.parametrize("nans", [False, True])
def test_positions_of_extremes(op: str, ranks: int, nans: bool) -> None:
    values = np.random.default_rng(5).integers(0, 3, (ranks, 6)).astype(float)
    if nans:
        values[ranks // 2, ::2] = np.nan
        values[-1, 2] = np.nan

    def program(comm: ThreadComm) -> np.ndarray:
        pairs = np.zeros(6, PAIR)
        pairs["value"], pairs["index"] = values[comm.rank], comm.rank
        return comm.combine(pairs, op)["index"]

    for result in run_ranks(ranks, program):
        assert result.tolist() == getattr(np, op)(values, axis=0).tolist()


def test_combining_leaves_the_parts_alone() -> None:
    def program(comm: ThreadComm) -> None:
        mine = np.ones(3)
        assert comm.combine(mine, "sum").tolist() == [comm.size] * 3
        assert mine.tolist() == [1.0] * 3

    for ranks in (1, 3):
        run_ranks(ranks, program)


def test_scalars_and_strided_arrays() -> None:
    def program(comm: ThreadComm) -> None:
        assert comm.combine(np.array(2), "prod") == 2**comm.size
        grid = np.arange(12.0).reshape(3, 4).T
        np.testing.assert_array_equal(comm.combine(grid, "sum"), grid * comm.size)

    run_ranks(3, program)


# ---- objects, agreement, failure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", SIZES)
def test_objects(ranks: int) -> None:
    def program(comm: ThreadComm) -> None:
        assert comm.allgather_object("x" * comm.rank) == ["x" * k for k in range(ranks)]
        for root in range(ranks):
            assert comm.bcast({"from": comm.rank}, root) == {"from": root}
        assert comm.gather(np.array([comm.rank, 7])).tolist() == [[k, 7] for k in range(ranks)]
        assert comm.gather(np.array(comm.rank)).tolist() == list(range(ranks))
        comm.barrier()

    run_ranks(ranks, program)


@pytest.mark.parametrize("ranks", SIZES)
def test_agreement(ranks: int) -> None:
    def program(comm: ThreadComm) -> list[bool]:
        odd = comm.rank == ranks - 1
        return [comm.agree(5, -(2**63)), comm.agree(5, 2**63 - 1 if odd else 0), comm.agree(1)]

    for answers in run_ranks(ranks, program):
        assert answers == [True, ranks == 1, True]


def test_nothing_is_left_over() -> None:
    group = ThreadComm.group(3)

    def program(comm: ThreadComm) -> None:
        comm.combine(np.ones(100_000), "sum")
        comm.allgather_object(comm.rank)
        comm.bcast(1)
        comm.barrier()
        comm.fetch(np.ones((1, 5)), rows(3, 3, 5), rows(3, 1, 5) * 3)

    threads = [threading.Thread(target=program, args=(comm,)) for comm in group]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert group[0].unclaimed() == 0


def test_nobody_waits_for_a_rank_that_failed() -> None:
    def program(comm: ThreadComm) -> None:
        if comm.rank == 1:
            raise ZeroDivisionError("rank 1")
        comm.barrier()

    with pytest.raises(ZeroDivisionError, match="rank 1"):
        run_ranks(3, program)


def test_nobody_waits_for_a_rank_that_ended() -> None:
    def program(comm: ThreadComm) -> None:
        if comm.rank == 0:
            comm.fetch(None, [((0, 0),), ((0, 4),)], [((0, 4),), ((0, 0),)], np.dtype("f8"))

    with pytest.raises(PeerLost, match="rank 1 has ended"):
        run_ranks(2, program)


def test_waiting_ends_at_the_deadline_and_names_the_rank() -> None:
    done = threading.Event()

    def program(comm: ThreadComm) -> None:
        if comm.rank == 1:
            done.wait(20)
            return
        comm.deadline = 0.0
        with pytest.raises(Overdue) as raised:
            comm.barrier()
        assert raised.value.peer == 1
        assert comm.awaited == -1
        done.set()

    run_ranks(2, program)


def test_who_is_waited_for_can_be_seen() -> None:
    group = ThreadComm.group(2)
    waiting = threading.Thread(target=group[0].barrier)
    waiting.start()
    for _ in range(1000):
        if group[0].awaited == 1:
            break
        waiting.join(0.01)
    assert group[0].awaited == 1
    group[1].barrier()
    waiting.join()
    assert (group[0].awaited, group[1].awaited) == (-1, -1)


def test_exchanges_used_lately_are_kept() -> None:
    comm = LocalComm()
    boxes: list[Box] = [((0, 3),)]
    comm.fetch(np.ones(3), boxes, boxes)
    (first,) = comm._exchanges.values()
    for n in range(4, 1000):
        many: list[Box] = [((0, n),)]
        comm.fetch(np.ones(3), boxes, boxes)
        comm.fetch(np.ones(n), many, [((0, 1),)])
    assert first in comm._exchanges.values()
    assert len(comm._exchanges) <= 512
    assert extents(((3, 5), (4, 2))) == (2, 0)
