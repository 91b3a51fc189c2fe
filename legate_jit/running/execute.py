"""The only interpreter of Steps: turns a schedule into argument blocks and native programs once, then runs it many times.

Consecutive launches become one native program, so that replaying a window costs one call; calls that native code carries out
(`Inlined`) are records of it like launches. An interrupted run stops between two segments, or where such a call waits, and can be
resumed; nothing is lost.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit.backends import memory
from legate_jit.backends.base import Target
from legate_jit.backends.calls import library
from legate_jit.backends.memory import Buffer
from legate_jit.backends.pool import threads
from legate_jit.backends.pool.threads import ENDED
from legate_jit.ir.kernel import operand_word, scalar_word
from legate_jit.ir.steps import Argument, Call, Launch, Schedule, Task
from legate_jit.process import config

threads.ask_for_threads(config.wanted_threads)

_BYTE = np.dtype(np.uint8)
_FORMATS = {
    "b1": "?7x",
    "f2": "e6x",
    "f4": "f4x",
    "f8": "d",
    "c8": "ff",
    "c16": "dd",
    "u8": "Q",
} | dict.fromkeys(("i1", "i2", "i4", "i8", "u1", "u2", "u4"), "q")

#: work (simple operations) above which the interpreter's lock is released during a segment
RELEASE_WORK = 50_000
#: work after which a segment ends, so that signals are seen
SEGMENT_WORK = 200_000_000
#: bytes of temporaries that a plan with exchanges keeps
KEPT = 1 << 14
#: work from which a run may go on beside the program, some 0.2 ms: on a busy machine a worker may need as long to begin
BESIDE_WORK = 1_500_000


class _Progress:
    """Whether the run that a flush has begun needs nothing more from that flush, should it be interrupted now."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


progress = _Progress()


class Inlined:
    """A call that native programs carry out, as records between those of launches."""

    def record(self, stop: int, code: int) -> tuple[int, int]:
        """The code and the arguments of the record, which are kept here. Where it has to wait for long it writes `code` to the
        address `stop`, else 0, and is run again after `wait`."""
        raise NotImplementedError

    def renew(self) -> None:
        """A run begins: the last one may not have come to its end."""

    def before(self) -> None:
        """The program that it belongs to is about to run."""

    def wait(self) -> None:
        """Return when the record, which has stopped, may go on."""
        raise NotImplementedError


#: what runs a call in a way of its own (`run(buffers, scalars)`, or an `Inlined`), or None for one that the library runs
Bind = Callable[[Call], Any]


class _Segment(NamedTuple):
    first: int
    last: int
    release: int


class _Exchanging:
    """A segment with inlined calls: launches first..last-1, after which the last record marks the end. Where a run stopped is in
    memory of its own, which native code writes, so that no signal comes between a record and the note that it was run."""

    __slots__ = ("_before", "_calls", "_first", "_last", "_runnable", "_stop")

    def __init__(
        self, runnable: Runnable, first: int, last: int, calls: dict[int, Inlined], stop: Any
    ) -> None:
        self._runnable, self._first, self._last, self._calls = runnable, first, last, calls
        self._before = [c.before for c in calls.values() if type(c).before is not Inlined.before]
        self._stop = stop  # 0 at first, then the code of the call that stopped it, and ENDED

    def renew(self) -> None:
        """A run begins."""
        if self._stop[0] not in (0, ENDED):
            for call in self._calls.values():
                call.renew()
        self._stop[0] = 0

    def run(self, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """Run to the end, or go on."""
        r, stop, at = self._runnable, self._stop, self._first
        if not stop[0]:
            for before in self._before:
                before()
        while stop[0] != ENDED:
            if stop[0]:
                at = self._first + stop[0] - 1
                self._calls[at].wait()
            threads.run_program(r._program, at, self._last, r._table_addr, 1)


def _records(launches: Iterable[Launch]) -> Iterator[list[Launch]]:
    """Launches that run as one: each alone, or a chain."""
    record: list[Launch] = []
    for launch in launches:
        if record and not launch.joined:
            yield record
            record = []
        record.append(launch)
    if record:
        yield record


class Runnable:
    """A schedule bound to a target: argument blocks, native programs, and the layout of the table."""

    __slots__ = (
        "_alone",
        "_bind",
        "_boxes",
        "_direct",
        "_keep",
        "_only",
        "_pack",
        "_small",
        "_program",
        "_storages",
        "_table",
        "_table_addr",
        "_words",
        "_going",
        "calls",
        "exchanging",
        "flow",
        "items",
        "launches",
        "schedule",
        "work",
    )

    def __init__(self, schedule: Schedule, target: Target, bind: Bind | None = None) -> None:
        self.schedule = schedule
        self._bind = bind
        count = len(schedule.storages)
        words, formats = [], []
        at = count
        for code in schedule.scalars:
            words.append(at)
            formats.append(_FORMATS[code])
            at += 2 if code == "c16" else 1
        self._words = words
        self._pack = struct.Struct("=" + "q" * count + "".join(formats)).pack_into
        self._table = (ctypes.c_int64 * max(at, 1))()
        self._table_addr = ctypes.addressof(self._table)
        self._storages = [(s.source, s.slot) for s in schedule.storages]
        slots = [s.slot for s in schedule.storages if s.source < 0]
        self._direct = (
            [(s.source, s.nbytes) for s in schedule.storages] if len(set(slots)) == len(slots) else None
        )
        self.launches = sum(isinstance(s, Launch) for s in schedule.steps)
        self.calls = len(schedule.steps) - self.launches
        self.work = 0  # simple operations of the launches
        self._keep: list[Any] = []
        self.items: list[Any] = []  # _Segment, _Exchanging, Task, Call, or what a call was bound to
        self.exchanging: list[_Exchanging] = []
        self._going: Any = None  # where there are such segments, a weak reference to the last run
        self._build(target)
        self._small = self._kept() if self.exchanging else None
        self.flow: Any = self._dataflow() if any(isinstance(s, Task) for s in schedule.steps) else None
        task = self.items[0] if len(self.items) == 1 else None
        self._alone = (
            task if isinstance(task, Task) and not (task.partition.launch or task.partition.images) else None
        )
        self._boxes = (
            [self._alone.partition.box(k, ()) for k in range(len(self._alone.arguments))]
            if self._alone
            else []
        )

    def _dataflow(self) -> Any:
        """What the items depend on, for a schedule with tasks: their order is not the only one."""
        from legate_jit.running.dataflow import Flow  # here: array programs need none of it

        launches = [s for s in self.schedule.steps if isinstance(s, Launch)]
        records = list(_records(launches))
        others = iter([s for s in self.schedule.steps if not isinstance(s, Launch)])
        groups = [
            [launch for record in records[i.first : i.last] for launch in record]
            if isinstance(i, _Segment)
            else [next(others)]
            for i in self.items
        ]
        return Flow(groups, self.schedule)

    def _build(self, target: Target) -> None:
        steps, bind = self.schedule.steps, self._bind
        records = _records(s for s in steps if isinstance(s, Launch))
        bound = [bind(s) if bind is not None and isinstance(s, Call) else None for s in steps]
        inlined = sum(isinstance(b, Inlined) for b in bound)
        program = (ctypes.c_int64 * (8 * max(sum(isinstance(s, Launch) for s in steps) + 2 * inlined, 1)))()
        self._keep.append(program)
        number, start, work = 0, 0, 0
        calls: dict[int, Inlined] = {}
        for step, call in zip(steps, bound, strict=True):
            if isinstance(step, Launch):
                if step.joined:
                    continue  # in the record of its chain
                record = next(records)
                program[8 * number : 8 * number + 4] = [*self._record(record, target)]
                number += 1
                work += sum(s.nest.units * s.nest.work for s in record)
                if work > SEGMENT_WORK:
                    start = number = self._close(program, start, number, work, calls)
                    work, calls = 0, {}
            elif isinstance(call, Inlined):
                calls[number] = call
                number += 1
            else:
                start = number = self._close(program, start, number, work, calls)
                work, calls = 0, {}
                self.items.append(step if call is None else call)
        self._close(program, start, number, work, calls)
        self._program = ctypes.addressof(program)
        only = self.items[0] if len(self.items) == 1 else None
        self._only = only if isinstance(only, _Segment) and not only.release else None

    def _close(self, program: Any, first: int, last: int, work: int, calls: dict[int, Inlined]) -> int:
        """End a segment before record number `last`; the number of the next record."""
        if first == last:
            return last
        self.work += work
        if not calls:
            self.items.append(_Segment(first, last, int(work > RELEASE_WORK)))
            return last
        stop = (ctypes.c_int64 * 1)()
        address = ctypes.addressof(stop)
        self._keep.append(stop)
        for at, call in calls.items():
            program[8 * at : 8 * at + 5] = [*call.record(address, at - first + 1), 1, 1, address]
        end = (ctypes.c_int64 * 1)(address)
        self._keep.append(end)
        program[8 * last : 8 * last + 4] = [threads.mark(), ctypes.addressof(end), 1, 1]
        self.exchanging.append(_Exchanging(self, first, last + 1, calls, stop))
        self.items.append(self.exchanging[-1])
        return last + 1

    def _record(self, record: list[Launch], target: Target) -> list[int]:
        """What the native program runs for a launch or a chain of them: code, arguments, units, and units taken at a time."""
        first = record[0]
        kernels = [(target.compile_kernel(s.nest.kernel), self._arguments(s)) for s in record]
        if first.band is None or len(record) < 2:
            return [*kernels[0], first.nest.units, first.chunk]
        block = [len(record)]
        for step, kernel in zip(record, kernels, strict=True):
            assert step.band is not None
            block += [*kernel, step.band.per, step.band.stride, step.band.times]
        words = (ctypes.c_int64 * len(block))(*block)
        self._keep.append(words)
        return [threads.chain(), ctypes.addressof(words), first.band.bands, 1]

    def _arguments(self, step: Launch) -> int:
        """Address of the launch's argument block (layout: `ir.kernel`)."""
        nest = step.nest
        kernel = nest.kernel
        block = (ctypes.c_int64 * (scalar_word(kernel, len(nest.scalars)) + 1))()
        block[: kernel.ndim + 4] = [*nest.extents, nest.tile, nest.ntiles, nest.rows_per_unit, nest.nblocks]
        for k, place in enumerate(nest.places):
            at = operand_word(kernel, k)
            block[at : at + kernel.ndim + 3] = [
                max(step.storages[k], 0),
                place.offset,
                *place.strides,
                place.block_stride,
            ]
        for k, slot in enumerate(nest.scalars):
            block[scalar_word(kernel, k)] = self._words[slot]
        self._keep.append(block)
        return ctypes.addressof(block)

    def _kept(self) -> list[Buffer | None]:
        """Memory for what exchanges bring, and other small temporaries, which stays: runs of such plans never go on side by side
        (`_renew`)."""
        self._direct = None
        results = {self.schedule.storages[k].slot for k in self.schedule.outputs}
        return [
            None if k in results or n > KEPT else memory.allocate(n)
            for k, n in enumerate(self.schedule.slots)
        ]

    def allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """The buffer of every storage, fresh ones allocated. MemoryError leaves everything as it was."""
        allocate = memory.allocate
        if self._direct is not None:
            return [inputs[source] if source >= 0 else allocate(nbytes) for source, nbytes in self._direct]
        small = self._small
        if small is None:
            slots = [allocate(n) for n in self.schedule.slots]
        else:
            slots = [allocate(n) if b is None else b for b, n in zip(small, self.schedule.slots, strict=True)]
        return [inputs[source] if source >= 0 else slots[slot] for source, slot in self._storages]

    def run(self, buffers: list[Buffer], scalars: list[Any]) -> bool:
        """Run at once a schedule that is one short native program; False (nothing done) for others: those need an Execution."""
        only = self._only
        if only is None:
            return self._alone is not None and self._run_alone(self._alone, buffers, scalars)
        run_program = threads.run_program
        try:
            self._pack(self._table, 0, *[b.addr for b in buffers], *scalars)
        except (struct.error, OverflowError, TypeError):
            return False
        first, last, _ = only
        progress.begun = True  # and no signal can be seen from here to the end of the native program
        run_program(self._program, first, last, self._table_addr, 0)
        return True

    def _run_alone(self, task: Task, buffers: list[Buffer], scalars: list[Any]) -> bool:
        """A schedule of nothing but one launch of one point: run it here."""
        run_alone = _points().run_alone
        progress.begun = True
        error = run_alone(task, self._boxes, buffers, scalars)
        if error is not None:
            from legate_jit.running import poison

            poison.mark([buffers[k] for k in task.written], scalars[task.launch].error)
            try:
                raise error
            finally:  # it refers to this frame
                del error
        return True

    def execution(self, buffers: list[Buffer], scalars: list[Any], hold: bool = False) -> Execution:
        """A run that can be interrupted and resumed."""
        made = Execution(self, buffers, scalars, hold)
        if self.exchanging:
            self._renew(made)
        return made

    def _renew(self, made: Execution) -> None:
        """A run of segments that keep where they are: one that was interrupted and is still wanted is finished first, as it would
        have been."""
        last = self._going and self._going()
        if last is not None and not last.finished:
            last.run()
        for segment in self.exchanging:
            segment.renew()
        self._going = weakref.ref(made)

    def write_table(self, buffers: list[Buffer], scalars: list[Any]) -> None:
        """Fill the table with addresses and scalar bits."""
        try:
            self._pack(self._table, 0, *[b.addr for b in buffers], *scalars)
        except (struct.error, OverflowError, TypeError):
            self._write_slowly(buffers, scalars)

    def _write_slowly(self, buffers: list[Buffer], scalars: list[Any]) -> None:
        """Complex scalars take two numbers; Python floats too large for a narrow float become inf, as in NumPy."""
        flat: list[Any] = []
        with np.errstate(over="ignore"):
            for code, value in zip(self.schedule.scalars, scalars, strict=True):
                v = np.asarray(value).astype(_numpy_code(code))[()]
                flat.extend((v.real, v.imag) if code in ("c8", "c16") else (v.item(),))
        self._pack(self._table, 0, *[b.addr for b in buffers], *flat)


def array_of(a: Argument, buffers: Sequence[Buffer], writable: bool) -> np.ndarray:
    """The memory of an argument as a strided NumPy array."""
    if 0 in a.type.shape:  # its offset may lie outside the memory
        nothing = np.empty(a.type.shape, a.type.dtype)
        nothing.flags.writeable = writable
        return nothing
    buffer = buffers[a.storage]
    if a.offset == 0 and a.type.nbytes == buffer.nbytes and a.contiguous:
        return buffer.shown(a.type.shape, a.type.dtype, writable)
    whole = buffer.shown((buffer.nbytes,), _BYTE, writable)
    return np.ndarray(a.type.shape, a.type.dtype, whole, a.offset, a.strides)


def _numpy_code(code: str) -> str:
    return "?" if code == "b1" else code


@functools.cache
def _points() -> Any:
    """The room that runs bodies; array programs need none of it."""
    from legate_jit.running import points

    return points


class Execution:
    """One run of a Runnable: a position among its segments, and the buffers in use. `hold`: see `dataflow.FlowRun`."""

    __slots__ = (
        "__weakref__",
        "_begun",
        "_flow",
        "beside",
        "buffers",
        "hold",
        "position",
        "runnable",
        "scalars",
    )

    def __init__(
        self, runnable: Runnable, buffers: list[Buffer], scalars: list[Any], hold: bool = False
    ) -> None:
        self.hold = hold
        self.runnable, self.buffers, self.scalars = runnable, buffers, scalars
        self.position = 0
        self.beside = False  # whether it was begun beside the program, and not seen to be over
        self._flow: Any = None
        self._begun: set[int] = set()  # native items of a flow

    def begin(self) -> bool:
        """Let workers run it from now on, and `run` join them: only what is one native program, and enough work.

        False if nothing was begun; it may have been run to the end then, as `finished` says.
        """
        r = self.runnable
        if r.work < BESIDE_WORK or len(r.items) != 1 or not isinstance(r.items[0], _Segment):
            return False
        if not threads.can_compute_beside():
            return False
        begin_program, (first, last, release) = threads.begin_program, r.items[0]
        r.write_table(self.buffers, self.scalars)
        self.beside, self.position = True, 1  # first: see `run`
        return begin_program(r._program, first, last, r._table_addr, release)

    def run(self) -> None:
        """Run to the end. After an exception (KeyboardInterrupt included) calling again continues where it stopped."""
        if self.beside:
            threads.finish_program()  # nothing if an exception came right after it the last time
            self.beside = False
            return
        r = self.runnable
        r.write_table(self.buffers, self.scalars)
        if r.flow is not None:
            self._run_flow()
            return
        run_program, items = threads.run_program, r.items
        while self.position < len(items):
            item = items[self.position]
            if isinstance(item, _Segment):
                # Counted first: a signal that came during the call is raised right after it, before anything else,
                # and a segment that was run must not be run again, since it may update in place.
                self.position += 1
                run_program(r._program, item.first, item.last, r._table_addr, item.release)
            else:
                if item.__class__ is Call:
                    self._call(item)
                else:
                    item.run(self.buffers, self.scalars)
                self.position += 1

    def _run_flow(self) -> None:
        """Run in the order of dependences. The first error of a launch is raised once everything else has been computed; what
        could not be is poisoned."""
        from legate_jit.running import poison
        from legate_jit.running.dataflow import FlowRun

        if self._flow is None:
            self._flow = FlowRun(self.runnable.flow, self.buffers, self.scalars, self.hold)
        flow = self._flow
        flow.run(self._perform)
        self.position = len(self.runnable.items)
        if flow.failed:
            outputs = self.runnable.schedule.outputs
            for k, cause in flow.lost().items():
                poison.mark((self.buffers[outputs[k]],), cause)
            first = flow.failed[min(flow.failed)]
            flow.failed.clear()
            try:
                raise first
            finally:  # it refers to this frame
                del first

    @property
    def raised(self) -> dict[int, tuple[tuple[int, ...], Exception]]:
        """What bodies raised, if it was held back: by the launch's scalar slot, with the point."""
        return self._flow.raised if self._flow is not None else {}

    def _perform(self, k: int) -> None:
        item, r = self.runnable.items[k], self.runnable
        if isinstance(item, _Segment):
            if k not in self._begun:  # once only, see `run`
                self._begun.add(k)
                threads.run_program(r._program, item.first, item.last, r._table_addr, item.release)
        elif item.__class__ is Call:
            self._call(item)
        else:
            item.run(self.buffers, self.scalars)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run, and nothing runs."""
        return not self.beside and self.position >= len(self.runnable.items)

    def _call(self, step: Call) -> None:
        args = [self._argument(a) for a in step.arguments]
        outs = [self.buffers[s].as_numpy(t.shape, t.dtype, True) for s, t in step.results]
        library.call(step.spec.name, args, outs, dict(step.spec.options))

    def _argument(self, a: Argument) -> Any:
        if a.storage < 0:
            return np.asarray(self.scalars[a.offset]).astype(a.type.dtype)[()]
        return array_of(a, self.buffers, False)
