"""Runs that go on beside the program: nobody sees, overwrites or hands out what such a run uses, and there is never a second one.

Most tests run twice: on the pool, and *late*, where a run that was begun does nothing before it is finished, so that whoever does
not wait for it reads or overwrites the wrong thing every time.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import cupynumeric as cn
import legate
from legate.core import VariantCode, get_legate_runtime
from legate.core.task import InputArray, OutputArray, task
from legate_jit import hosting, pacing, runtime
from legate_jit.backends.pool import threads
from legate_jit.ir import infer
from legate_jit.ir.ops import OPS
from legate_jit.running import execute, waiting
from tests.fuzz import programs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the pool")
KINDS = [kind for kind, _ in programs.Maker.MENU if kind != "delete"]


class Late:
    """In place of the pool: what was begun is run where it is finished."""

    def __init__(self) -> None:
        self.begun: tuple[int, ...] | None = None

    def begin(self, *arguments: int) -> bool:
        assert self.begun is None, "two windows in flight"
        self.begun = arguments
        return True

    def finish(self) -> None:
        if self.begun is not None:
            arguments, self.begun = self.begun, None
            threads.run_program(*arguments)


@pytest.fixture(params=["pool", "late"])
def beside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Whatever fills a window goes on beside the program, however little work it is."""
    legate.fence()
    programs.forget()
    before = threads.get_threads()
    threads.set_threads(3)
    monkeypatch.setattr(waiting, "overlap", True)
    monkeypatch.setattr(execute, "BESIDE_WORK", 0)
    monkeypatch.setattr(execute, "RELEASE_WORK", -1)  # nothing is run before anybody asks
    monkeypatch.setattr(threads, "can_compute_beside", lambda: True)
    if request.param == "late":
        late = Late()
        monkeypatch.setattr(threads, "begin_program", late.begin)
        monkeypatch.setattr(threads, "finish_program", late.finish)
    yield request.param
    legate.fence()
    monkeypatch.undo()
    threads.set_threads(before)
    programs.forget()


def begin(record: Any) -> Any:
    """What `record` returns, with its run beside the program."""
    legate.fence()
    before = runtime.counters.beside
    result = record()
    runtime.window.limit = -1
    runtime._pace.__init__()  # type: ignore[misc]
    runtime.window.held = pacing.WINDOW_BYTES + 1  # full, as far as pacing sees
    runtime.full()
    assert runtime.counters.beside == before + 1
    assert [w.beside for w in waiting.suspended] == [True]
    return result


# ---- values ----------------------------------------------------------------------------------------------------------


def test_random_programs(beside: str) -> None:
    before = runtime.counters.beside
    reports = [r for seed in range(40_000, 40_080) if (r := programs.check(seed)) is not None]
    assert not reports, "\n\n".join(reports)
    assert runtime.counters.beside - before > 50


def test_host_views_are_snapshots(beside: str) -> None:
    for seed in range(41_000, 41_030):
        lines = programs.make(seed)
        with programs.settings(seed):
            assert programs.difference(lines, snapshots=seed) is None, f"seed {seed}"


def test_programs_that_hypothesis_chooses(beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few values to a window, so that almost every statement meets a run beside it."""
    before = runtime.counters.beside

    @hypothesis_settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        st.integers(2, 9),
        st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 10_000)), min_size=12, max_size=30),
    )
    def agree(values: int, steps: list[tuple[str, int]]) -> None:
        maker = programs.Maker(0)
        maker.statement("create")
        maker.statement("create")
        for kind, seed in steps:
            maker.rng.seed(seed)
            maker.statement(kind)
        with monkeypatch.context() as patch:
            patch.setattr(pacing, "WINDOW_VALUES", values)
            programs.forget()
            assert programs.difference(maker.lines) is None

    agree()
    assert runtime.counters.beside - before > 20


def flow() -> Any:
    """Channel flow, from the examples."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
    try:
        from cfd import channel_flow
    finally:
        del sys.path[0]
    return channel_flow


def test_channel_flow_records_beside_its_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real limits: nearly every window goes on beside; the same bits with any number of threads and without. Nobody
    looks through a tape for what a run beside computes."""
    monkeypatch.setattr(runtime, "needed", None)
    monkeypatch.setattr(threads, "can_compute_beside", lambda: True)
    before, found = threads.get_threads(), []
    try:
        for overlap, count in ((True, 2), (True, 3), (False, 2), (True, 1)):
            monkeypatch.setattr(waiting, "overlap", overlap)
            threads.set_threads(count)
            runtime.counters.reset()
            u, v, p, _ = flow()(201, 201, 3, 50, None)
            legate.fence()
            found.append(b"".join(np.asarray(a).tobytes() for a in (u, v, p)))
            if overlap and count > 1:
                assert runtime.counters.beside >= runtime.counters.flushes - 2 > 5
            else:
                assert runtime.counters.beside == 0
    finally:
        threads.set_threads(before)
    assert len(set(found)) == 1


# ---- whoever looks, waits ----------------------------------------------------------------------------------------------


#: values that memory does not hold yet, from a test before
_fresh = itertools.count(1000, 1000)


def physical(x: Any) -> Any:
    """A task's view of an array."""
    (field,) = x.__legate_data_interface__["data"].values()
    return field.data.get_physical_store().get_inline_allocation()


@pytest.mark.parametrize(
    "look",
    [
        lambda x: np.asarray(x).tolist(),
        lambda x: np.from_dlpack(x).tolist(),
        lambda x: np.asarray(types.SimpleNamespace(__array_interface__=x.__array_interface__)).tolist(),
        lambda x: x.tolist(),
        lambda x: list(map(float, x)),
        lambda x: [float(x[k]) for k in range(len(x))],
        lambda x: (x + 0).tolist(),
        lambda x: x.copy().tolist(),
        lambda x: np.asarray(physical(x)).tolist(),
        lambda x: hosting.mapped(x._store).tolist(),
        lambda x: np.sort(x[::-1]).tolist(),
    ],
)
def test_looking_at_a_result(beside: str, look: Any) -> None:
    start = np.arange(40.0) + next(_fresh)
    x = cn.array(start)

    def record() -> Any:
        y = x * 2.0
        y[3:] += x[:-3]
        return y

    y = begin(record)
    want = start * 2
    want[3:] += start[:-3]
    assert look(y) == sorted(want.tolist())


def test_a_number(beside: str) -> None:
    x = cn.arange(40.0)
    x += float(next(_fresh))
    total = begin(lambda: (x * 2.0).sum())
    assert float(total) == 2 * float(np.asarray(x).sum())
    assert not waiting.suspended


def test_changing_what_the_run_reads(beside: str) -> None:
    """In place, by small slices and through an array over its memory: the run has read the old values."""
    for change in (
        lambda x: x.__setitem__(slice(None), 7.0),
        lambda x: x.__setitem__(3, 7.0),
        lambda x: x.fill(7.0),
        lambda x: runtime.writable(x._store).fill(7.0),
        lambda x: hosting.mapped(x._store).fill(7.0),
        lambda x: x.sort(),
        lambda x: cn.random.shuffle(x),
    ):
        start = np.arange(40.0)[::-1] + next(_fresh)
        x = cn.array(start)
        y = begin(lambda x=x: x * 2.0)
        change(x)
        assert np.asarray(y).tolist() == (start * 2).tolist()


def doubled(store: Any) -> Any:
    signature = infer.map_signature(OPS["add"], (store.type, store.type))
    return runtime.new_store(runtime.record(signature, runtime.value_of(store), store.value), store.type)


def test_memory_of_the_program(beside: str) -> None:
    """A store on the program's memory is read by a run beside: the memory is the program's again only when that is over."""
    memory = np.arange(40.0)
    attachment = hosting.Attachment(memory, False)
    store = attachment.store
    y = begin(lambda: doubled(store))
    attachment.mapped()[:] = 7.0
    assert runtime.host(y).tolist() == [2.0 * k for k in range(40)]
    attachment.detach()


def test_dead_results_and_new_arrays(beside: str) -> None:
    """Memory of a run beside is not handed out, though nobody else holds it any more."""
    arrays = [cn.arange(4000.0)]

    def record() -> Any:
        y = arrays[0] * 2.0
        return y, y + 1.0

    y, z = begin(record)
    arrays.clear()
    del y
    others = [cn.array(np.full(4000, float(k))) for k in range(20)]
    assert np.asarray(z)[:4].tolist() == [1.0, 3.0, 5.0, 7.0]
    assert all(np.asarray(o)[7] == k for k, o in enumerate(others))


def test_marks_come_after_the_run(beside: str) -> None:
    """A timestamp of what was recorded so far is taken when the run beside is over."""
    x = cn.arange(40.0)
    y = begin(lambda: x * 2.0)
    seen: list[int] = []
    runtime.mark(lambda: seen.append(len(waiting.suspended)))
    runtime.flush()
    assert seen == [0]
    assert np.asarray(y)[3] == 6.0


def test_a_task_sees_the_results(beside: str) -> None:
    @task(variants=(VariantCode.CPU,))
    def increment(source: InputArray, target: OutputArray) -> None:
        np.asarray(target)[:] = np.asarray(source) + 1.0

    x = cn.arange(40.0)
    y, out = begin(lambda: x * 2.0), cn.zeros(40)
    increment(y, out)
    get_legate_runtime().issue_execution_fence(block=True)
    assert np.asarray(out).tolist() == [2.0 * k + 1 for k in range(40)]


def test_the_number_of_threads_changes(beside: str) -> None:
    x = cn.arange(4000.0)
    for count in (1, 4, 2, 3):
        y = begin(lambda: x * 2.0)
        threads.set_threads(count)
        assert np.asarray(y)[7] == 14.0
        threads.set_threads(3)


# ---- it waits for what else there is ------------------------------------------------------------------------------------


def test_only_windows_that_were_full(beside: str) -> None:
    """A fence, a read and a flush wait; so does everything where overlap is off, and a window with a library call."""
    x = cn.arange(400.0)
    legate.fence()
    before = runtime.counters.beside
    y = x * 2.0
    legate.fence()
    float((y + 1.0).sum())
    z = y - 1.0
    runtime.flush()
    assert not waiting.suspended
    assert np.asarray(z)[1] == 1.0
    for record in (lambda: cn.sort(x * 2.0), lambda: cn.cumsum(cn.sort(x) + 1.0)):
        result = record()
        runtime.window.held = pacing.WINDOW_BYTES + 1
        runtime.full()
        assert not waiting.suspended
        del result
    waiting.overlap = False
    y = x * 2.0
    runtime.window.held = pacing.WINDOW_BYTES + 1
    runtime.full()
    assert not waiting.suspended
    assert runtime.counters.beside == before


def test_little_work_is_not_worth_it(beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "BESIDE_WORK", 10_000)
    for n, beside_then in ((100, 0), (100_000, 1)):
        x = cn.arange(float(n))
        legate.fence()
        before = runtime.counters.beside
        y = x * 2.0
        runtime.window.held = pacing.WINDOW_BYTES + 1
        runtime.full()
        assert runtime.counters.beside - before == beside_then
        assert np.asarray(y)[3] == 6.0


# ---- interruptions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["before", "begun", "asked", "finished"])
def test_interrupt(beside: str, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Ctrl-C where a run is begun, or where it is waited for: it is done once, and its results are there."""
    legate.fence()
    names = {"before": "can_compute_beside", "begun": "begin_program"}
    name = names.get(where, "finish_program")
    real, struck = getattr(threads, name), []

    def strike(*arguments: int) -> Any:
        result = None if where == "asked" and not struck else real(*arguments)
        if not struck:
            struck.append(True)
            raise KeyboardInterrupt
        return result

    start = np.arange(40.0) + next(_fresh)
    x = cn.array(start)
    legate.fence()
    with monkeypatch.context() as patch:
        patch.setattr(threads, name, strike)
        x[1:] += x[:-1]
        with pytest.raises(KeyboardInterrupt):
            runtime.window.held = pacing.WINDOW_BYTES + 1
            runtime.full()
            assert name == "finish_program"
            float(x[3])
    assert struck
    y = x * 1.0
    want = start.copy()
    want[1:] += want[:-1].copy()
    assert np.asarray(x).tolist() == want.tolist()
    assert np.asarray(y).tolist() == want.tolist()
    assert not waiting.suspended
