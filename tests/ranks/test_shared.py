"""Messages through shared memory keep the rules of MPI, whatever ranks do in between; and what happens where there is none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.launch import job, succeeds
from ranks.test_comm import tiles
from ranks.test_staging import address

from legate_jit.backends.pool.channel import Word
from legate_jit.comm import shared
from legate_jit.comm.base import Comm, Overdue
from legate_jit.comm.exchange import Listed, extents
from legate_jit.comm.shared import SLOTS, Node
from legate_jit.comm.staging import Staged, contiguous
from legate_jit.comm.threads import ThreadComm

SIZES = [1, 2, 3, 4]
LIMIT = 4096


class SharedComm(ThreadComm):
    """Ranks as threads whose prepared messages travel as those of processes do: through memory that is mapped twice."""

    node: Node

    def prepare_send(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        if self.node.takes(memory, peer):
            return self.node.send(memory, peer, tag)
        return super().prepare_send(memory, peer, tag)

    def prepare_receive(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        if self.node.takes(memory, peer):
            return self.node.receive(memory, peer, tag)
        return super().prepare_receive(memory, peer, tag)

    def begin(self, message: Any) -> Any:
        if isinstance(message, shared.Sent | shared.Expected):
            message.Start()
            return message
        return super().begin(message)

    def is_tended(self, message: Any) -> bool:
        return not isinstance(message, shared.Sent | shared.Expected)


def on_ranks(
    size: int, program: Callable[[SharedComm], Any], limits: Callable[[int], int] | None = None
) -> list[Any]:
    """`program(comm)` on every rank at once; the results. Fails if a rank waits for ever."""
    group = SharedComm.group(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def body(comm: SharedComm) -> None:
        try:
            comm.node = Node(comm, comm.allgather_object, LIMIT if limits is None else limits(comm.rank))
            results[comm.rank] = program(comm)
        except BaseException as error:
            errors.append(error)
            comm.end(failed=True)

    threads = [threading.Thread(target=body, args=(comm,), daemon=True) for comm in group]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a rank waits for ever"
    return results


class Shift:
    """Every rank gets the element of the next rank, of arrays of `n` elements; several at once."""

    def __init__(self, comm: Comm, n: int, count: int) -> None:
        source = [((k, k + 1), (0, n)) for k in range(comm.size)]
        pattern = Listed.of(source, [source[(k + 1) % comm.size] for k in range(comm.size)])
        self.comm = comm
        self.parts = [np.zeros((1, n)) for _ in range(count)]
        self.outs = [np.zeros((1, n)) for _ in range(count)]
        memory = contiguous((1, n), 8)
        self.staged = [Staged(comm, np.dtype("f8"), memory, [pattern]) for _ in range(count)]

    def start(self, k: int, value: float) -> None:
        self.parts[k][...] = 100 * value + self.comm.rank
        self.staged[k].start(address(self.parts[k]), 1)

    def finish(self, k: int, value: float) -> None:
        self.staged[k].finish(0, address(self.outs[k]))
        assert (self.outs[k] == 100 * value + (self.comm.rank + 1) % self.comm.size).all()


@pytest.mark.parametrize("size", SIZES)
def test_they_travel_through_shared_memory(size: int) -> None:
    def program(comm: SharedComm) -> tuple[list[int], int]:
        shift = Shift(comm, 3, 1)
        for turn in range(3 * SLOTS):
            shift.start(0, turn)
            shift.finish(0, turn)
        return comm.node.reached, comm.unclaimed()

    others = [[k for k in range(size) if k != rank] for rank in range(size)]
    assert on_ranks(size, program) == [(found, 0) for found in others]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [SLOTS, SLOTS + 1, 3 * SLOTS])
def test_more_under_way_than_there_are_slots(size: int, count: int) -> None:
    """Begun one after the other and finished from the last on, while ranks combine something: nobody waits for ever."""

    def program(comm: SharedComm) -> float:
        shift = Shift(comm, 5, count)
        total = 0.0
        for turn in range(3):
            for k in range(count):
                shift.start(k, turn + k)
            total += float(comm.combine(np.array([1.0]), np.add)[0])
            assert comm.agree(turn)
            for k in reversed(range(count)):
                shift.finish(k, turn + k)
        return total

    assert on_ranks(size, program) == [3.0 * size] * size


def test_a_rank_that_only_sends_runs_ahead_and_waits() -> None:
    turns = 10 * SLOTS

    def program(comm: SharedComm) -> float:
        pattern = Listed.of([((0, 9),), ((0, 0),)], [((0, 0),), ((0, 9),)])
        mine, out = np.zeros(extents(pattern.held(comm.rank))), np.zeros(extents(pattern.wanted(comm.rank)))
        staged = Staged(comm, mine.dtype, contiguous(mine.shape, 8), [pattern])
        total = 0.0
        for turn in range(turns):
            if comm.rank and turn % 11 == 0:
                time.sleep(0.002)
            mine[...] = turn
            staged.start(address(mine), 1)
            staged.finish(0, address(out))
            total += float(out.sum())
        return total

    assert on_ranks(2, program) == [0.0, 9.0 * sum(range(turns))]


def test_kinds_of_messages_do_not_meet() -> None:
    """Staged fetches, sums, agreements and exchanges at the same time, larger ones by messages of the other kind."""

    def program(comm: SharedComm) -> None:
        small, large = Shift(comm, 4, 2), Shift(comm, LIMIT, 2)
        rng = np.random.default_rng(comm.rank)
        boxes = tiles((12, 3), (comm.size, 1), comm.size)
        rows = np.full(extents(boxes[comm.rank]), comm.rank)
        for turn in range(40):
            small.start(0, turn)
            large.start(0, turn)
            assert len(comm.tended) == 2
            total = comm.combine(np.array([comm.rank, turn]), np.add)
            assert total.tolist() == [3, 3 * turn]
            small.start(1, turn)
            whole = comm.fetch(rows, boxes, [((0, 12), (0, 3))] * comm.size)
            assert whole[:, 0].tolist() == [k for k in range(3) for _ in range(4)]
            if rng.random() < 0.1:
                time.sleep(0.003)
            large.start(1, turn)
            assert comm.agree(turn, 7)
            assert not comm.agree(comm.rank)
            for k in rng.permutation(2):
                large.finish(k, turn)
                small.finish(k, turn)
            assert not comm.tended

    on_ranks(3, program)


def test_an_agreement_comes_before_what_only_some_have_begun() -> None:
    """As after an interruption of one rank: it agrees while others wait for its halo."""

    def program(comm: SharedComm) -> None:
        shift = Shift(comm, 4, 1)
        for turn in range(20):
            early = comm.rank == turn % 2
            if early:
                shift.start(0, turn)
            assert comm.agree(turn, 3)
            assert comm.combine(np.array([1]), np.add)[0] == 2
            if not early:
                shift.start(0, turn)
            shift.finish(0, turn)

    on_ranks(2, program)


@pytest.mark.parametrize("size", [*SIZES, 7])
@pytest.mark.parametrize("patient", [False, True])
def test_agreements(size: int, patient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rank hears of any that differs in any number, also where ranks are late and calls stop wherever they must wait."""
    if not patient:
        for name in ("_PATIENCE", "_CROWDED"):
            monkeypatch.setattr(shared, name, (0, 0))

    def program(comm: SharedComm) -> tuple[list[bool], int]:
        found, before = [], comm.traffic.messages
        for turn in range(5 * size):
            if turn % size == comm.rank:
                time.sleep(0.002)
            numbers = [turn, -(1 << 62), 5]
            found.append(comm.agree(*numbers))
            numbers[turn % 3] += (turn // 3) % size == comm.rank
            found.append(comm.agree(*numbers))
        links = comm._links.get(6, [])
        assert not links or isinstance(links[0], shared.Agreement)
        return found, comm.traffic.messages - before

    answers = [True, size == 1] * 5 * size
    assert on_ranks(size, program) == [(answers, 10 * size * (size - 1).bit_length())] * size


def test_sleepers_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By messages, and by slots that become free, where ranks sleep at once and nothing else wakes them."""
    for name in ("_PATIENCE", "_CROWDED"):
        monkeypatch.setattr(shared, name, (0, 0))
    monkeypatch.setattr(shared, "_LONG", 3600 * 10**9)

    def program(comm: SharedComm) -> None:
        shift = Shift(comm, 4, SLOTS + 1)
        for turn in range(20):
            if comm.rank == turn % 2:
                time.sleep(0.01)
            for k in range(SLOTS + 1):
                shift.start(k, turn)
            if comm.rank != turn % 2:
                time.sleep(0.01)
            for k in range(SLOTS + 1):
                shift.finish(k, turn)

    on_ranks(2, program)


def test_counters_wrap() -> None:
    """After 2**32 messages all goes on."""

    def program(comm: SharedComm) -> None:
        shift = Shift(comm, 2, SLOTS + 2)
        before = (1 << 32) - 5
        for (_, tag, _), line in comm.node._lines.items():
            if tag == 5:
                block = line.end.words
                block[Word.DONE] = block[Word.BEGUN] = before
                shared.ctypes.c_uint32.from_address(block[Word.OWN]).value = before
        comm.barrier()
        for turn in range(3):
            for k in range(SLOTS + 2):
                shift.start(k, turn)
            for k in range(SLOTS + 2):
                shift.finish(k, turn)

    on_ranks(2, program)


def test_a_deadline_ends_waiting() -> None:
    """For a message, and for a free slot."""

    def program(comm: SharedComm) -> int:
        shift = Shift(comm, 2, SLOTS + 2)
        if comm.rank:
            comm.barrier()
            return 0
        comm.deadline = time.monotonic() + 0.05
        overdue = 0
        shift.start(0, 1)
        with pytest.raises(Overdue) as caught:
            shift.finish(0, 1)
        overdue += caught.value.peer == 1
        for k in range(1, SLOTS):
            shift.start(k, 1)
        with pytest.raises(Overdue):
            shift.start(SLOTS, 1)
        with pytest.raises(Overdue):
            message = shift.staged[SLOTS].sends[0].prepared
            message.Start()
        assert comm.awaited == -1
        comm.deadline = None
        comm.barrier()
        return overdue

    assert on_ranks(2, program) == [1, 0]


def test_the_least_limit_of_all_counts() -> None:
    def program(comm: SharedComm) -> tuple[int, bool, bool]:
        peer = 1 - comm.rank
        fits, large = np.zeros(100, np.uint8), np.zeros(101, np.uint8)
        return comm.node.limit, comm.node.takes(fits, peer), comm.node.takes(large, peer)

    assert on_ranks(2, program, lambda rank: 100 + 400 * rank) == [(100, True, False)] * 2


def test_none_is_wanted() -> None:
    def program(comm: SharedComm) -> tuple[list[int], str]:
        shift = Shift(comm, 3, 1)
        shift.start(0, 1)
        shift.finish(0, 1)
        return comm.node.reached, comm.node.reason

    assert on_ranks(2, program, lambda rank: 0) == [([], "")] * 2
    assert on_ranks(3, program, lambda rank: LIMIT * (rank != 1)) == [([2], ""), ([], ""), ([0], "")]


@pytest.mark.parametrize("limit", [1 << 46, 1 << 62])
def test_more_than_can_be_mapped(limit: int) -> None:
    def program(comm: SharedComm) -> tuple[list[int], str]:
        shift = Shift(comm, 3, 1)
        shift.start(0, 1)
        shift.finish(0, 1)
        return comm.node.reached, comm.node.reason[:16]

    assert on_ranks(2, program, lambda rank: limit) == [([], "no shared memory")] * 2


def test_no_memory_to_share_on_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the messages of that rank go the other way; it says why."""
    real, refused = os.memfd_create, threading.local()

    def refusing(*args: Any) -> int:
        if getattr(refused, "now", False):
            raise OSError(38, "Function not implemented")
        return real(*args)

    def limits(rank: int) -> int:
        refused.now = rank == 1
        return LIMIT

    def program(comm: SharedComm) -> tuple[list[int], str]:
        shift = Shift(comm, 3, 1)
        shift.start(0, 1)
        shift.finish(0, 1)
        return comm.node.reached, comm.node.reason

    monkeypatch.setattr(os, "memfd_create", refusing)
    why = "no shared memory: [Errno 38] Function not implemented"
    assert on_ranks(3, program, limits) == [([2], ""), ([], why), ([0], "")]


def test_memory_that_one_rank_cannot_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ranks neither uses what the other cannot."""
    real = shared._Segment.open
    blind = threading.local()

    def opening(self: Any, process: int, file: int, receiver: int) -> None:
        if getattr(blind, "now", False) and receiver == 0:
            raise PermissionError(13, "Permission denied")
        real(self, process, file, receiver)

    def limits(rank: int) -> int:
        blind.now = rank == 0
        return LIMIT

    def program(comm: SharedComm) -> tuple[list[int], str]:
        shift = Shift(comm, 3, 1)
        shift.start(0, 1)
        shift.finish(0, 1)
        return comm.node.reached, comm.node.reason

    monkeypatch.setattr(shared._Segment, "open", opening)
    found = on_ranks(3, program, limits)
    assert [reached for reached, _ in found] == [[], [2], [1]]
    assert found[0][1] == "no shared memory with rank 2: [Errno 13] Permission denied"


# ---- processes ----------------------------------------------------------------------------------------------------

_SWEEPS = """
    import os, sys
    {before}
    import cupynumeric as np
    import legate
    from legate_jit import runtime
    comm = runtime.world.comm
    x = np.arange(40_000.0).reshape(200, 200) % 7
    total = 0.0
    for k in range(30):
        x[1:-1] = 0.25 * (x[:-2] + x[2:] + 2 * x[1:-1])
        x[:, 1:] = x[:, 1:] + x[:, :-1]
        x %= 11
        total += float((x * x).sum())
        legate.fence()
    maps = open("/proc/self/maps").read()
    kinds = {{type(m.prepared).__module__ for kept in comm._staged.values() for s in kept for m in s.sends}}
    plans = [p for p in runtime._plans.values() if hasattr(p, "_runnables")]
    if any(r.exchanging for p in plans for r in p._runnables.values()):
        kinds.add("inline")
    if comm.rank == 0:
        print(total, "memfd:legate-jit" in maps, *sorted(kinds), *comm.node.reached)
"""


def _sweeps(ranks: int, before: str = "", **changes: str) -> list[str]:
    changes = {"LEGATE_JIT_DEALT_FROM": "10000"} | changes
    return succeeds(_SWEEPS.format(before=before), ranks, **changes).split()


@pytest.mark.parametrize("ranks", [2, 4])
def test_processes(ranks: int) -> None:
    """The same numbers with and without; mapped, and in use."""
    total, mapped, *how = _sweeps(ranks)
    assert (mapped, how) == ("True", ["inline", *map(str, range(1, ranks))])
    assert _sweeps(ranks, LEGATE_JIT_SHARED_BYTES="0") == [total, "False", "mpi4py.MPI"]


def _needs_mpich() -> None:
    if "MPICH" not in succeeds("from mpi4py import MPI; print(MPI.Get_library_version())"):
        pytest.skip("only MPICH takes one machine for two nodes")


def test_two_nodes() -> None:
    """Neighbors of other nodes by messages: ranks 0 and 2 are a node here, 1 and 3 another one."""
    _needs_mpich()
    total, mapped, *how = _sweeps(4, MPIR_CVAR_ODD_EVEN_CLIQUES="1")
    assert (mapped, how) == ("True", ["mpi4py.MPI", "2"])
    assert total == _sweeps(4)[0]


_LATE = """
    import numpy as np
    import cupynumeric
    from legate_jit import runtime
    from legate_jit.comm.exchange import Listed
    from legate_jit.comm.staging import Staged, contiguous
    comm, n = runtime.world.comm, 1 << 18

    def passed(n, source, target):
        boxes = [((0, n if k == source else 0),) for k in range(4)]
        wanted = [((0, n if k == target else 0),) for k in range(4)]
        return Staged(comm, np.dtype("i8"), contiguous((n if comm.rank == source else 0,), 8), [Listed.of(boxes, wanted)])

    large, small = passed(n, 0, 1), passed(3, 2, 0)
    given, found = np.arange(n), np.zeros(n, np.int64)
    word = np.zeros(8, np.uint8)
    large.start(given.ctypes.data, 1)
    if comm.rank == 1:
        large.finish(0, found.ctypes.data)
        assert (found == given).all()
        comm.wait(comm.send(word, 2, 99), 2)
    if comm.rank == 2:
        comm.wait(comm.receive(word, 1, 99), 1)
    small.start(given.ctypes.data, 1)
    small.finish(0, found.ctypes.data)
    if comm.rank != 1:
        large.finish(0, found.ctypes.data)
    if comm.rank == 0:
        ways = [type(s.sends[0].prepared).__module__ for s in (large,)]
        ways += [type(s.receives[0].prepared).__module__ for s in (small,)]
        print(*ways)
"""


def test_messages_of_mpi_go_on_while_a_rank_waits_for_shared_memory() -> None:
    """Rank 0 waits for 2, of its node, which waits for 1, of another node, which waits for a large message of 0."""
    _needs_mpich()
    nodes = {"MPIR_CVAR_ODD_EVEN_CLIQUES": "1", "UCX_TLS": "tcp,self"}
    assert succeeds(_LATE, 4, **nodes).split() == ["mpi4py.MPI", "legate_jit.comm.shared"]


def test_a_rank_without_memory_to_share() -> None:
    """One line when debugging, and messages instead."""
    before = "def refused(*a): raise OSError(24, 'Too many open files')\n"
    before += "    from mpi4py import MPI\n"
    before += "    if MPI.COMM_WORLD.rank == 1: os.memfd_create = refused"
    total, mapped, *how = _sweeps(2, before)
    assert (mapped, how) == ("True", ["mpi4py.MPI"])
    assert total == _sweeps(2)[0]
    ended = job(_SWEEPS.format(before=before), 2, LEGATE_JIT_DEALT_FROM="10000", LEGATE_JIT_DEBUG="1")
    told = [line for line in ended.causes if "messages of MPI instead" in line]
    assert ended.status == 0
    assert told == [
        "[legate-jit] rank 1 of 2: no shared memory: [Errno 24] Too many open files; messages of MPI instead"
    ]
