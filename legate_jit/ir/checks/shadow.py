"""Shadow execution: a schedule's memory accesses without its arithmetic, to see that what is read was written, by its own value.

For each slot and input a shadow array holds, per byte, the number of the storage whose value lies there (or none). Launches and
calls then run on the shadows alone. What it finds: slots shared by values that live at the same time, reads of what nobody
wrote, elements two iterations write, and reads of what another iteration of the same launch writes. Large schedules are skipped.
"""

from __future__ import annotations

import math

import numpy as np

from legate_jit.ir import dtypes
from legate_jit.ir.checks.verify import require
from legate_jit.ir.steps import Call, Launch, Nest, Place, Schedule, Task

#: loop iterations of a launch, and bytes of all memory, up to which schedules are run on shadows
LIMIT = 100_000


def run(schedule: Schedule, stage: str) -> None:
    """Run `schedule` on shadow memory; VerifyError when an access is wrong."""
    iterations = sum(math.prod(s.nest.extents) for s in schedule.steps if isinstance(s, Launch))
    if iterations + sum(s.nbytes for s in schedule.storages) <= LIMIT:
        _Shadow(schedule, stage).run()


class _Shadow:
    def __init__(self, schedule: Schedule, stage: str) -> None:
        self.schedule, self.stage = schedule, stage
        self.slots = [np.full(n, -1, np.int64) for n in schedule.slots]
        sizes: dict[int, int] = {}
        for s in schedule.storages:
            sizes[s.source] = max(sizes.get(s.source, 0), s.nbytes)
        self.inputs = {k: np.full(n, -1, np.int64) for k, n in sizes.items() if k >= 0}
        for k, s in enumerate(schedule.storages):
            if s.source >= 0:
                self.inputs[s.source][: s.nbytes] = k
        #: contents of `empty` arrays are read on purpose, and nothing in a schedule tells them apart
        self.written: set[int] = set()
        #: a rank's part of an `empty` array that is written to may be one that nothing was written to
        self.is_part = any(isinstance(s, Call) and s.spec.name == "fetch" for s in schedule.steps)

    def memory(self, storage: int) -> np.ndarray:
        s = self.schedule.storages[storage]
        return self.inputs[s.source] if s.source >= 0 else self.slots[s.slot]

    def run(self) -> None:
        for step in self.schedule.steps:
            if isinstance(step, Launch):
                self.launch(step)
            elif isinstance(step, Task):
                self.task(step)
            else:
                self.call(step)
        for k in self.schedule.outputs:
            owner = self.memory(k)[: self.schedule.storages[k].nbytes]
            lost = (owner != k) & (owner != -1)
            require(not lost.any(), self.stage, k, "an output's memory was given to another value")

    def call(self, step: Call) -> None:
        for a in step.arguments:
            if a.storage >= 0:
                at = a.offset + _offsets(a.type.shape, a.strides)
                self.check_read(a.storage, at, a.type.dtype.itemsize, step)
        for k, t in step.results:
            self.memory(k)[: t.nbytes] = k
            self.written.add(k)

    def task(self, step: Task) -> None:
        for k in step.written:  # may be read before: old contents are there, or nobody ever wrote any
            self.written.add(k)
        for a, role in zip(step.arguments, step.spec.roles, strict=True):
            at = a.offset + _offsets(a.type.shape, a.strides)
            if role == "input":
                self.check_read(a.storage, at, a.type.dtype.itemsize, step)
            else:
                self.memory(a.storage)[at.ravel()[:, None] + np.arange(a.type.dtype.itemsize)] = a.storage

    def check_read(self, storage: int, at: np.ndarray, item: int, what: object) -> None:
        owner = self.memory(storage)[at.ravel()[:, None] + np.arange(item)]
        known = self.is_part or storage in self.written or self.schedule.storages[storage].source >= 0
        require(known or not at.size, self.stage, what, f"storage {storage} is read before anything wrote it")
        foreign = (owner != storage) & (owner != -1)
        require(not foreign.any(), self.stage, what, f"storage {storage} is read where another value lies")

    def launch(self, step: Launch) -> None:
        nest = step.nest
        if 0 in nest.extents and nest.kernel.kind == "map":
            return
        places = [self.addresses(nest, p) for p in nest.places]
        for k, (o, at) in enumerate(zip(nest.kernel.operands, places, strict=True)):
            if "r" in o.mode.replace("scratch", "") and o.mode != "scratch":
                only_inside = o.mode == "rw" and step.storages[k] not in self.written
                if not only_inside:
                    self.check_read(
                        step.storages[k], at, dtypes.from_code(o.dtype).itemsize, step.nest.places[k]
                    )
        self.conflicts(step, places)
        for k, (o, at) in enumerate(zip(nest.kernel.operands, places, strict=True)):
            if "w" in o.mode:
                item, storage = dtypes.from_code(o.dtype).itemsize, step.storages[k]
                if at.size:
                    self.memory(storage)[at.ravel()[:, None] + np.arange(item)] = storage
                else:  # reductions of nothing are written all the same
                    self.memory(storage)[: self.schedule.storages[storage].nbytes] = storage
                self.written.add(storage)

    def addresses(self, nest: Nest, place: Place) -> np.ndarray:
        """Byte offset of the operand in every iteration (shape: extents, and the block number of blocked kernels)."""
        at = place.offset + _offsets(nest.extents, place.strides)
        if not nest.kernel.blocked or not place.block_stride:
            return at
        kernel, extents = nest.kernel, nest.extents
        loop = kernel.ndim - 1 if kernel.kind == "row" else kernel.ndim - 1 - kernel.nreduced
        length = nest.tile if kernel.kind == "row" else nest.rows_per_unit
        shape = [1] * kernel.ndim
        shape[loop] = extents[loop]
        return at + (np.arange(extents[loop]) // length * place.block_stride).reshape(shape)

    def conflicts(self, step: Launch, places: list[np.ndarray]) -> None:
        """Whether an iteration writes what another one reads or writes (reduced loops count as one iteration)."""
        nest = step.nest
        operands = nest.kernel.operands
        for k, o in enumerate(operands):
            if "w" not in o.mode:
                continue
            written = self.units(nest, places[k])
            where, position = np.unique(written[:, 0], return_index=True)
            owner = written[position, 1]
            again = owner[np.searchsorted(where, written[:, 0])] != written[:, 1]
            require(not again.any(), self.stage, nest.places[k], "two iterations write one element")
            for j, other in enumerate(operands):
                same = self.memory_of(step, j) == self.memory_of(step, k) and other.mode != "scratch"
                if j == k or not same:
                    continue
                read = self.units(nest, places[j])
                at = np.searchsorted(where, read[:, 0]).clip(max=max(len(where) - 1, 0))
                hit = (
                    (where[at] == read[:, 0]) & (owner[at] != read[:, 1]) if len(where) else np.zeros(0, bool)
                )
                require(
                    not hit.any(),
                    self.stage,
                    (nest.places[k], nest.places[j]),
                    "an iteration touches what another writes",
                )

    def memory_of(self, step: Launch, k: int) -> tuple[int, int] | None:
        if step.storages[k] < 0:
            return None
        s = self.schedule.storages[step.storages[k]]
        return (s.source, s.slot)

    @staticmethod
    def units(nest: Nest, at: np.ndarray) -> np.ndarray:
        """Rows (address, iteration): the number of the kept index, or of the index itself where nothing is reduced."""
        extents = nest.extents
        kernel = nest.kernel
        number = np.arange(math.prod(extents)).reshape(extents)
        if kernel.kind != "map":
            reduced = range(kernel.ndim - kernel.nreduced, kernel.ndim)
            if kernel.kind == "col":
                reduced = range(kernel.ndim - 1 - kernel.nreduced, kernel.ndim - 1)
            number = np.broadcast_to(number.min(axis=tuple(reduced), keepdims=True, initial=2**62), extents)
            if kernel.blocked:
                return np.unique(np.stack([at.ravel(), at.ravel()], axis=1), axis=0)
        pairs = np.stack([np.broadcast_to(at, extents).ravel(), number.ravel()], axis=1)
        return np.unique(pairs, axis=0)


def _offsets(extents: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    at = np.zeros(extents, np.int64)
    for d, (n, s) in enumerate(zip(extents, strides, strict=True)):
        shape = [1] * len(extents)
        shape[d] = n
        at = at + (np.arange(n, dtype=np.int64) * s).reshape(shape)
    return at
