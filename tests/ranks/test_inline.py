"""Halos that native programs exchange by themselves: results are those of one rank, wherever a program has to stop and wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as onp
import pytest
from fuzz import programs
from ranks.launch import job, succeeds
from ranks.plans import plans
from ranks.test_comm import cut, tiles
from ranks.test_shared import SharedComm, on_ranks
from ranks.test_staging import halos, strided

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.backends import cpu
from legate_jit.backends.memory import Buffer
from legate_jit.comm import shared
from legate_jit.comm.base import Comm, Overdue
from legate_jit.comm.exchange import Listed, Pattern, extents
from legate_jit.comm.shared import SLOTS, Node
from legate_jit.comm.staging import Memory, Staged
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import array_type
from legate_jit.ir.ranks import choose, layout
from legate_jit.ir.ranks.exchanges import Combine
from legate_jit.ir.steps import Argument, Call, Schedule, Storage
from legate_jit.ranks import windows
from legate_jit.ranks.inline import InlineBegin, InlineSum, inlined, summed
from legate_jit.running.execute import Execution, Runnable


class SharedWorld(windows.World):
    """Ranks that are threads, and exchange through memory that is mapped twice, as processes of one node do."""

    def __init__(self, size: int) -> None:
        super().__init__(size, range(size), None)
        self.comms = SharedComm.group(size)
        self._on_each(lambda comm: setattr(comm, "node", Node(comm, comm.allgather_object, 1 << 16)))

    def through(self, rank: int) -> Comm | None:
        return self.comms[rank]

    def run(self, program: Any) -> None:
        self._on_each(lambda comm: self._as(comm, program))

    def each(self, program: Callable[[Comm], None], name: str) -> None:
        self._on_each(program)

    def _on_each(self, program: Callable[[Any], None]) -> None:
        errors: list[BaseException] = []

        def body(comm: Any) -> None:
            try:
                program(comm)
            except BaseException as error:
                errors.append(error)
                comm.end(failed=True)

        running = [threading.Thread(target=body, args=(comm,), daemon=True) for comm in self.comms]
        for thread in running:
            thread.start()
        end = time.monotonic() + 60
        for thread in running:
            thread.join(max(end - time.monotonic(), 0))
        if errors:
            raise errors[0]
        assert not any(thread.is_alive() for thread in running), "a rank waits for ever"


@pytest.fixture(params=[2, 4])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A world of so many such ranks, among which even tiny arrays are dealt out."""
    legate.fence()
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 2)
    runtime._plans.clear()
    monkeypatch.setattr(runtime, "world", SharedWorld(request.param))
    yield request.param
    legate.fence()
    runtime._plans.clear()


def calls() -> list[Any]:
    """The exchanges that native programs of the plans carry out."""
    segments = [s for p in plans() for r in p._runnables.values() for s in r.exchanging]
    return [call for s in segments for call in s._calls.values()]


def by_numpy(program: Callable[[Any], Any]) -> None:
    """The program gives what NumPy gives, to the last bit, and its halos were exchanged inline."""
    found, wanted = program(np), program(onp)
    assert onp.array_equal(onp.asarray(found), wanted)
    assert any(isinstance(c, InlineBegin) for c in calls())


def channel(np: Any) -> Any:
    p, b = np.ones((61, 40)), np.arange(2440.0).reshape(61, 40) / 2440
    for _ in range(25):
        pn = p.copy()
        p[1:-1, 1:-1] = 0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) - b[1:-1, 1:-1]
        p[1:-1, -1] = 0.25 * (pn[1:-1, 0] + pn[1:-1, -2] + pn[2:, -1] + pn[:-2, -1]) - b[1:-1, -1]
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]
    return p


def test_a_channel_flow(size: int) -> None:
    by_numpy(channel)


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "f8", "c16", "?"])
def test_every_size_of_element(size: int, dtype: str) -> None:
    def program(np: Any) -> Any:
        x = np.asarray((onp.arange(1200) % 7).reshape(40, 30).astype(dtype))
        for _ in range(6):
            y = x.copy()
            x[1:-1, 1:-1] = y[:-2, 2:] | y[2:, :-2] if dtype in "?i1i2" else y[:-2, 2:] + y[2:, :-2]
        return x

    by_numpy(program)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4, 5, 6])
def test_every_axis(size: int, ndim: int) -> None:
    """Neighbors along all of them at once: also parts of many axes, which cannot be joined."""

    def program(np: Any) -> Any:
        x = np.asarray(onp.arange(5.0**ndim).reshape((5,) * ndim) if ndim > 1 else onp.arange(300.0))
        inner, low, high = (tuple(slice(*at) for _ in range(ndim)) for at in ((1, -1), (0, -2), (2, None)))
        for _ in range(4):
            y = x.copy()
            x[inner] = y[low] + y[high]
        return x

    found, wanted = program(np), program(onp)
    assert onp.array_equal(onp.asarray(found), wanted)


@pytest.mark.parametrize("seed", [0, 42, 71, 74, 118])
def test_random_programs(size: int, seed: int) -> None:
    assert programs.check(seed + 77) is None


# ---- single programs ----------------------------------------------------------------------------------------------


class Halos:
    """A native program that begins fetches of several arrays, one after the other, and finishes the last first. The arrays all
    lie as `memory` says in buffers of `nbytes`."""

    def __init__(
        self,
        comm: Comm,
        dtype: Any,
        memory: Memory,
        patterns: Sequence[Pattern],
        arrays: int = 1,
        nbytes: int = 0,
    ) -> None:
        dtype = onp.dtype(dtype)
        argument = Argument(0, array_type(memory.shape, dtype), memory.offset, memory.strides)
        self.shapes = [extents(p.wanted(comm.rank)) for p in patterns]
        storages = [Storage(k, nbytes, -1) for k in range(arrays)]
        begins: list[Call] = []
        finishes: list[Call] = []
        bound: dict[str, Any] = {}
        for k in range(arrays):
            results = []
            for i, shape in enumerate(self.shapes):
                type_ = array_type(shape, dtype)
                results.append(len(storages))
                finishes.insert(0, Call(CallSpec(f"finish {k} {i}", ()), (), ((len(storages), type_),)))
                storages.append(Storage(-1, type_.nbytes, len(storages) - arrays))
            staged = Staged(comm, dtype, memory, patterns)
            begin = inlined(staged, argument._replace(storage=k), results)
            assert isinstance(begin, InlineBegin)
            begins.append(Call(CallSpec(f"begin {k}", ()), (), ()))
            bound[f"begin {k}"] = begin
            bound |= {f"finish {k} {i}": begin.finish(i) for i in range(len(patterns))}
        slots = tuple(s.nbytes for s in storages[arrays:])
        outputs = tuple(range(arrays, len(storages)))
        schedule = Schedule((*begins, *finishes), tuple(storages), slots, outputs, (), arrays)
        self.dtype, self.arrays = dtype, arrays
        self.runnable = Runnable(schedule, cpu, lambda call: bound[call.spec.name])
        assert len(self.runnable.items) == 1

    def begun(self, *given: onp.ndarray) -> Execution:
        """A run on these arrays, the memory of which is all theirs."""
        buffers = self.runnable.allocate([Buffer.wrap(a) for a in given])
        return self.runnable.execution(buffers, [])

    def results(self, run: Execution) -> list[list[onp.ndarray]]:
        """By array, what every pattern gives."""
        found = iter(run.buffers[self.arrays :])
        each = [[next(found).as_numpy(s, self.dtype, False) for s in self.shapes] for _ in range(self.arrays)]
        return [[a.copy() for a in one] for one in each]


class Shifts:
    """Every rank gets the elements of the next rank, of several arrays."""

    def __init__(self, comm: Comm, n: int, count: int) -> None:
        source = [((k, k + 1), (0, n)) for k in range(comm.size)]
        pattern = Listed.of(source, [source[(k + 1) % comm.size] for k in range(comm.size)])
        self.comm, self.n = comm, n
        self.halos = Halos(comm, "f8", Memory((1, n), (8 * n, 8)), [pattern], count, 8 * n)

    def begin(self, turn: float) -> Execution:
        values = [100.0 * turn + 10 * k + self.comm.rank for k in range(self.halos.arrays)]
        arrays = [onp.full((1, self.n), value) for value in values]
        return self.halos.begun(*arrays)

    def check(self, run: Execution, turn: float) -> None:
        peer = (self.comm.rank + 1) % self.comm.size
        for k, (found,) in enumerate(self.halos.results(run)):
            assert (found == 100 * turn + 10 * k + peer).all()

    def turn(self, turn: float) -> None:
        run = self.begin(turn)
        run.run()
        self.check(run, turn)


@pytest.mark.parametrize("size", [1, 2, 3, 4], indirect=False)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "?", "c16", "V12"])
@pytest.mark.parametrize("rows", [3, 23])
def test_every_rank_gets_its_boxes(size: int, dtype: str, rows: int) -> None:
    """Also where parts are empty, strided or reversed."""
    rng = onp.random.default_rng(size)
    raw = rng.integers(0, 2 if dtype == "?" else 99, (2, rows, 5 * onp.dtype(dtype).itemsize), onp.uint8)
    whole = [a.view(dtype) for a in raw]
    source, wanted = tiles((rows, 5), (size, 1), size), halos(size, rows, 5)

    def program(comm: SharedComm) -> None:
        box = source[comm.rank]
        for reverse in (False, True):
            parts = [strided(a[cut(box)], reverse) for a in whole]
            bases = [p.base if p.base is not None else p for p in parts]
            at = parts[0].__array_interface__["data"][0] - bases[0].__array_interface__["data"][0]
            memory = Memory(parts[0].shape, parts[0].strides, at if parts[0].size else 0)
            patterns = [Listed.of(source, w) for w in wanted]
            halo = Halos(comm, dtype, memory, patterns, len(parts), bases[0].nbytes)
            for _ in range(3):
                run = halo.begun(*bases)
                run.run()
                for array, results in zip(whole, halo.results(run), strict=True):
                    for boxes, found in zip(wanted, results, strict=True):
                        assert (found == array[cut(boxes[comm.rank])]).all()

    on_ranks(size, program)


@pytest.mark.parametrize("size", [2, 3], indirect=False)
@pytest.mark.parametrize("count", [SLOTS, SLOTS + 1, 3 * SLOTS])
def test_more_under_way_than_there_are_slots(size: int, count: int) -> None:
    """Some ranks late, beside sums, agreements and messages that Python sends through the same channels."""

    def program(comm: SharedComm) -> None:
        shifts, few = Shifts(comm, 5, count), Shifts(comm, 3, 1)
        rng = onp.random.default_rng(comm.rank)
        for turn in range(6):
            if rng.random() < 0.3:
                time.sleep(0.003)
            run = shifts.begin(turn)
            run.run()
            assert comm.combine(onp.array([1.0]), onp.add)[0] == comm.size
            few.turn(turn)
            assert comm.agree(turn)
            shifts.check(run, turn)

    on_ranks(size, program)


def test_a_program_stops_wherever_it_must_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ranks neither look twice nor sleep: for messages and for free slots, in Python."""
    stops: list[str] = []
    monkeypatch.setattr(shared, "_PATIENCE", (0, 0))
    monkeypatch.setattr(shared, "_CROWDED", (0, 0))

    def counted(name: str) -> Any:
        real = getattr(shared._Line, name)

        def method(line: Any, *args: Any) -> None:
            stops.append(name)
            real(line, *args)

        return method

    for name in ("arrive", "room"):
        monkeypatch.setattr(shared._Line, name, counted(name))

    def program(comm: SharedComm) -> None:
        pattern = Listed.of([((0, 9),), ((0, 0),)], [((0, 0),), ((0, 9),)])  # from one rank to the other
        way = Halos(comm, "f8", Memory((9 if comm.rank == 0 else 0,), (8,)), [pattern], 3 * SLOTS, 72)
        shifts = Shifts(comm, 4, SLOTS + 1)
        for turn in range(8):
            if comm.rank == turn % 2:
                time.sleep(0.01)
            shifts.turn(turn)
            run = way.begun(*[onp.full(9 if comm.rank == 0 else 0, 1.0 * turn + k) for k in range(3 * SLOTS)])
            run.run()
            for k, (found,) in enumerate(way.results(run)):
                assert (found == turn + k).all()

    on_ranks(2, program)
    assert {"arrive", "room"} == set(stops)


def test_an_interrupted_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if another one of the same program comes in between: the first is finished before."""
    interrupting = threading.local()
    real = shared._End.wait

    def interrupted(end: Any, *args: Any) -> None:
        if getattr(interrupting, "now", 0):
            interrupting.now -= 1
            raise KeyboardInterrupt
        real(end, *args)

    monkeypatch.setattr(shared._End, "wait", interrupted)

    interrupted_once = {turn: threading.Event() for turn in range(0, 20, 2)}

    def program(comm: SharedComm) -> int:
        shifts, stopped = Shifts(comm, 4, SLOTS + 2), 0
        for turn in range(0, 20, 2):
            comm.barrier()
            if comm.rank:
                interrupted_once[turn].wait(20)
                shifts.turn(turn)
                shifts.turn(turn + 1)
                continue
            interrupting.now = 1 + turn % 3
            first = shifts.begin(turn)
            while interrupting.now:
                try:
                    first.run()
                    break
                except KeyboardInterrupt:
                    stopped += 1
                    assert not first.finished
                    interrupted_once[turn].set()
            interrupting.now = 0
            shifts.turn(turn + 1)
            assert first.finished
            shifts.check(first, turn)
        return stopped

    assert on_ranks(2, program)[0] >= 10


def test_a_run_that_nobody_wants_any_more_disturbs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it expects still arrives, in memory that is kept."""

    def program(comm: SharedComm) -> int:
        overdue = 0
        for turn in range(4):
            shifts = Shifts(comm, 4, 2)
            if comm.rank:
                comm.barrier()
                shifts.turn(turn)
                continue
            comm.deadline = time.monotonic() + 0.02
            run = shifts.begin(turn)
            with pytest.raises(Overdue) as caught:
                run.run()
            overdue += caught.value.peer == 1
            assert comm.awaited == -1 and not run.finished
            comm.deadline = None
            comm.barrier()
            if turn % 2:
                run.run()
                shifts.check(run, turn)
        Shifts(comm, 4, 2).turn(9)
        return overdue

    assert on_ranks(2, program) == [4, 0]


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i1", "i2", "i4", "i8", "u8"])
def test_sums(size: int, dtype: str) -> None:
    """Of all, along axes, and several after one another: as NumPy's, and the same each time; other operations beside them."""

    def program(np: Any) -> list[Any]:
        x = np.asarray((onp.arange(36 * 4 * 8) % 5).reshape(36, 4, 8).astype(dtype))
        found = []
        for _ in range(3):
            x = x + x[::-1]
            found += [x.sum(dtype=dtype), x.sum(0, dtype=dtype), x.sum((0, 2), dtype=dtype)[::-1] * 2]
            found += [x.T.sum(2, dtype=dtype), (x == 2).sum(), abs(x).max()]
        return found

    for found, wanted in zip(program(np), program(onp), strict=True):
        assert onp.array_equal(onp.asarray(found), wanted)
    assert any(isinstance(c, InlineSum) for c in calls())


@pytest.mark.parametrize("ranks_", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("patient", [False, True])
def test_sums_have_the_bits_of_the_tree(ranks_: int, patient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `comm.combine`, whose messages go through the same channels, wherever programs stop; rounding tells the order."""
    if not patient:
        for name in ("_PATIENCE", "_CROWDED"):
            monkeypatch.setattr(shared, name, (0, 0))
    type_ = array_type((6, 3), onp.dtype("f4"))

    def program(comm: SharedComm) -> None:
        rng = onp.random.default_rng(comm.rank)
        what = Combine(0, "add", layout.tiled((comm.size * 2,), 0, comm.size))
        argument = Argument(0, type_, 4 * 17, (-12, -4))
        call = Call(CallSpec("combine", (("what", what),)), (argument,), ((1, type_),))
        storages = (Storage(0, type_.nbytes, -1), Storage(-1, type_.nbytes, 0))
        found = summed(comm, what, argument, (1, type_))
        runnable = Runnable(Schedule((call,), storages, (type_.nbytes,), (1,), (), 1), cpu, lambda _: found)
        for turn in range(6):
            if turn % comm.size == comm.rank:
                time.sleep(0.002)
            mine = rng.standard_normal((6, 3)).astype("f4") * 10.0 ** rng.integers(-3, 3, (6, 3))
            mine = mine.astype("f4")
            wanted = comm.combine(mine, "sum")
            turned = onp.ascontiguousarray(mine[::-1, ::-1])
            run = runnable.execution(runnable.allocate([Buffer.wrap(turned)]), [])
            run.run()
            assert (run.buffers[1].as_numpy((6, 3), type_.dtype, False) == wanted).all()

    on_ranks(ranks_, program)


_LATE = """
    import os, signal, sys, time
    import cupynumeric as np
    import legate
    from legate_jit.ranks import inline
    from legate_jit import runtime
    from legate_jit.process.world import world
    x = np.arange(40_000.0).reshape(400, 100) % 7

    def sweeps():
        global x
        for _ in range(20):
            x[1:-1] = 0.25 * (x[:-2] + x[2:] + 2 * x[1:-1])
        legate.fence()

    def late():
        if world.rank == 1:
            {fault}

    sweeps()
    sweeps()
    for plan in runtime._plans.values():
        for r in getattr(plan, "_runnables", {{}}).values():
            for segment in r.exchanging:
                segment._before = [late]
    sweeps()
    found = float(x[200, 50])
    if world.rank == 0:
        print(found)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 9, ""),
        ("raise ValueError('mine')", 1, "rank 1 of 2: ValueError"),
        ("raise KeyboardInterrupt", 130, "rank 1 of 2: KeyboardInterrupt"),
    ],
)
def test_a_rank_that_never_sends(fault: str, status: int, cause: str) -> None:
    """The other one, whose native program waits for it, ends as well, and says why once."""
    ended = job(_LATE.format(fault=fault), 2, LEGATE_JIT_DEALT_FROM="10000")
    assert ended.status in (status, 128 + status, 255) and not ended.left, ended
    assert [cause in line for line in ended.causes] == [True] * bool(cause), ended


def test_a_rank_that_is_late() -> None:
    """The other one sleeps meanwhile, and the result is the same."""
    late = succeeds(_LATE.format(fault="time.sleep(1.0)"), 2, LEGATE_JIT_DEALT_FROM="10000")
    assert late == succeeds(_LATE.format(fault="pass"), 2, LEGATE_JIT_DEALT_FROM="10000")


def test_what_was_sent_is_not_sent_again() -> None:
    """One rank sends to two, of which now the one, now the other is late and has no free slot."""
    arrays = 3 * SLOTS

    def program(comm: SharedComm) -> None:
        whole, nothing = ((0, 9),), ((0, 0),)
        pattern = Listed.of([whole, nothing, nothing], [nothing, whole, whole])
        n = 0 if comm.rank else 9
        way = Halos(comm, "f8", Memory((n,), (8,)), [pattern], arrays, 8 * n)
        for turn in range(6):
            if comm.rank == 1 + turn % 2:
                time.sleep(0.02)
            run = way.begun(*[onp.full(n, 100.0 * turn + k) for k in range(arrays)])
            run.run()
            for k, (found,) in enumerate(way.results(run)):
                assert (found == 100.0 * turn + k).all()

    on_ranks(3, program)
