"""Inline exchanges: the staged fetches and the sums of a plan as records of its native programs, so that no Python runs between
kernels.

Possible where every message travels through shared memory. The blocks of words that `backends.packing` describes are
made of a `Staged`, once; what it would copy by NumPy, native code copies. Where a record has waited in vain, its program stops
and `wait` sleeps, as for any message. Knows messages and native blocks; no layouts, no graphs and no MPI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit.backends.pool import channel, combining, packing
from legate_jit.backends.pool.channel import Word
from legate_jit.backends.pool.combining import Combine, Join
from legate_jit.backends.pool.packing import Begin, Finish
from legate_jit.comm.base import Combination, Comm
from legate_jit.comm.exchange import SMALL
from legate_jit.comm.shared import SLOTS, Expected, Sent
from legate_jit.comm.staging import Memory, Staged, contiguous
from legate_jit.ir.node import ArrayType
from legate_jit.ir.ranks import exchanges as ir
from legate_jit.ir.steps import Argument
from legate_jit.running.execute import Inlined

__all__ = ["InlineBegin", "InlineFinish", "InlineSum", "inlined", "summed"]

_Words = Sequence[int]


def inlined(staged: Staged, argument: Argument, results: Sequence[int | None]) -> InlineBegin | None:
    """The first half of fetches of the array that a step's argument says, in place of `staged.start`; None if its messages do not
    travel so, or are too involved. results: the storage of each fetch's result, None if nobody finishes it."""
    messages = [m.prepared for m in (*staged.sends, *staged.receives)]
    if not all(isinstance(m, Sent | Expected) for m in messages):
        return None
    storage = argument.storage
    sends = []
    for message, parts in zip(staged.sends, staged.leaving, strict=True):
        boxes: list[int] = []
        for view, at in parts:
            found = _box((-1, _offset(view, message.memory)), view, (storage, at), staged)
            if found is None:
                return None
            boxes += found
        sends.append((message.prepared, boxes))
    finishes: list[list[int] | None] = []
    for k, result in enumerate(results):
        found = None if result is None else _unpacked(staged, k, storage, result)
        if found is None and result is not None:
            return None
        finishes.append(found)
    return InlineBegin(staged, sends, finishes)


def _unpacked(staged: Staged, k: int, storage: int, result: int) -> list[int] | None:
    """The boxes of the k-th result."""
    shape = staged.shapes[k]
    out = contiguous(shape, staged.dtype.itemsize)
    boxes: list[int] = []
    for view, at in staged.arriving[k]:
        start = sum(s.start * b for s, b in zip(at, out.strides, strict=True))
        found = packing.box(
            (result, start),
            (-1, view.__array_interface__["data"][0]),
            staged.dtype.itemsize,
            list(zip(view.shape, out.strides, view.strides, strict=True)),
        )
        if found is None:
            return None
        boxes += found
    kept = staged.kept[k]
    if kept is not None:
        here, there = kept
        start = sum(s.start * b for s, b in zip(there, out.strides, strict=True))
        extents = [s.stop - s.start for s in there]
        found = packing.box(
            (result, start),
            (storage, _start(here, staged)),
            staged.dtype.itemsize,
            list(zip(extents, out.strides, staged.memory.strides, strict=True)),
        )
        if found is None:
            return None
        boxes += found
    return boxes


def _start(at: Sequence[slice], staged: Staged) -> int:
    """Where a part of the array begins."""
    memory = staged.memory
    return int(memory.offset + sum(s.start * b for s, b in zip(at, memory.strides, strict=True)))


def _offset(view: np.ndarray, memory: np.ndarray) -> int:
    return int(view.__array_interface__["data"][0] - memory.__array_interface__["data"][0])


def _box(
    to: tuple[int, int], view: np.ndarray, source: tuple[int, Sequence[slice]], staged: Staged
) -> list[int] | None:
    storage, at = source
    axes = list(zip(view.shape, view.strides, staged.memory.strides, strict=True))
    return packing.box(to, (storage, _start(at, staged)), staged.dtype.itemsize, axes)


class InlineBegin(Inlined):
    """The first half of some fetches of one array. `finishes`: the boxes that finish each of them."""

    def __init__(
        self, staged: Staged, sends: Sequence[tuple[Sent, _Words]], finishes: Sequence[_Words | None]
    ) -> None:
        self._staged = staged  # with the memory of its messages
        self.comm, self.finishes = staged.comm, finishes
        self.messages = len(sends)
        self.nbytes = sum(message.nbytes for message, _ in sends)
        self._receives: list[Expected] = [m.prepared for m in staged.receives]
        words = [0, 0, 0, len(self._receives), len(sends)]
        #: of each received message: the line, and the word that its number is in
        self._numbers: list[tuple[Any, int]] = []
        for receive in self._receives:
            self._numbers.append((receive.line, len(words) + Begin.NUMBER))
            words += [receive.line.end.block, receive.address, receive.nbytes, -1]
        for message, boxes in sends:
            words += [message.line.end.block, len(boxes) // packing.BOX, *boxes]
        self._lines = [m.line for m in self._receives] + [m.line for m, _ in sends]
        self._block = (ctypes.c_int64 * len(words))(*words)

    def record(self, stop: int, code: int) -> tuple[int, int]:
        """As `Inlined`."""
        self._block[Begin.STOP], self._block[Begin.CODE] = stop, code
        return channel.code().address("begin"), ctypes.addressof(self._block)

    def renew(self) -> None:
        """As `Inlined`."""
        self._block[Begin.STATE] = 0

    def before(self) -> None:
        """As `Inlined`."""
        _meet(self.comm, self.messages, self.nbytes)

    def wait(self) -> None:
        """As `Inlined`."""
        k = self._block[Begin.STATE]
        line = self._lines[k]
        if k < len(self._receives):
            line.arrive(line.end.words[Word.BEGUN] - SLOTS)
        else:
            line.room()

    def finish(self, k: int) -> InlineFinish:
        """The second half of the k-th fetch."""
        boxes = self.finishes[k]
        assert boxes is not None
        return InlineFinish(self, boxes)

    @property
    def numbers(self) -> list[tuple[Any, int]]:
        """Of each received message its line, and the address of the word that says which one it is."""
        base = ctypes.addressof(self._block)
        return [(line, base + 8 * at) for line, at in self._numbers]

    def __del__(self) -> None:
        for k, (line, at) in enumerate(self._numbers):
            if self._block[at] >= line.end.done[0]:  # a run that nobody wanted any more left it under way
                line.expected[self._block[at] % SLOTS] = self._receives[k]


class InlineSum(Inlined):
    """The sum of every rank's array, in place of `comm.combine`."""

    def __init__(
        self, made: Combination, memory: Memory, source: int, result: int, kind: tuple[int, int]
    ) -> None:
        self._made = made  # with the memory of its messages
        mine, item = made.mine, made.mine.dtype.itemsize
        self.comm: Comm = made.comm
        self.messages = sum(step.sends for step, _, _ in made.steps)
        self.nbytes = self.messages * mine.nbytes
        at = mine.__array_interface__["data"][0]
        dense = contiguous(mine.shape, item).strides
        axes = list(zip(mine.shape, dense, memory.strides, strict=True))
        into = packing.box((-1, at), (source, memory.offset), item, axes)
        out = packing.box((result, 0), (-1, at), item, [(mine.size, item, item)])
        assert into is not None and out is not None
        count = mine.size * kind[1]
        words = [0, 0, 0, len(made.steps), count, kind[0], at, made.theirs.__array_interface__["data"][0]]
        words += [mine.nbytes, *into, *out]
        self._first = len(words)
        for step, receipt, message in made.steps:
            join = Join.NONE if not step.receives else Join.RESULT if not step.joins else Join.RIGHT
            join = Join.LEFT if join == Join.RIGHT and not step.lower else join
            words.append(message.line.end.block if step.sends else 0)
            words.append(receipt.line.end.block if step.receives else 0)
            words += [receipt.address, receipt.nbytes, -1, join]
        self._block = (ctypes.c_int64 * len(words))(*words)

    def record(self, stop: int, code: int) -> tuple[int, int]:
        """As `Inlined`."""
        self._block[Combine.STOP], self._block[Combine.CODE] = stop, code
        return channel.code().address("combine"), ctypes.addressof(self._block)

    def renew(self) -> None:
        """As `Inlined`."""
        self._block[Combine.STATE] = 0

    def before(self) -> None:
        """As `Inlined`."""
        _meet(self.comm, self.messages, self.nbytes)

    def wait(self) -> None:
        """As `Inlined`."""
        k, phase = divmod(self._block[Combine.STATE] - 1, 3)
        _, receipt, message = self._made.steps[k]
        if phase == 1:
            message.line.room()
        else:
            words = receipt.line.end.words
            receipt.line.arrive(self._block[self._number(k)] if phase else words[Word.BEGUN] - SLOTS)

    def _number(self, step: int) -> int:
        return self._first + Combine.STEP * step + Combine.RECEIVED + Begin.NUMBER

    def __del__(self) -> None:
        for k, (_, receipt, _) in enumerate(self._made.steps):
            number = self._block[self._number(k)]
            if number >= receipt.line.end.done[0]:  # as of `InlineBegin`
                receipt.line.expected[number % SLOTS] = receipt


def summed(
    comm: Comm, what: ir.Combine, argument: Argument, result: tuple[int, ArrayType]
) -> InlineSum | None:
    """What adds up the ranks' arrays; None if it is another operation, or its messages travel otherwise."""
    storage, type_ = result
    kind = combining.kind(what.op, type_.dtype)
    if kind is None or not type_.size or not what.everyone(comm.size) or comm.size == 1:
        return None
    if type_.nbytes > SMALL or argument.storage < 0 or argument.type.dtype != type_.dtype:
        return None
    if len([n for n in type_.shape if n > 1]) > packing.DIMENSIONS:
        return None
    made = Combination(comm, type_.shape, type_.dtype)
    if not all(isinstance(r, Expected) and isinstance(m, Sent) for _, r, m in made.steps):
        return None
    memory = Memory(argument.type.shape, argument.strides, argument.offset)
    return InlineSum(made, memory, argument.storage, storage, kind)


def _meet(comm: Comm, messages: int, nbytes: int) -> None:
    """The ranks are about to exchange."""
    if comm.meeting is not None:
        comm.meeting()
    traffic = comm.traffic
    traffic.collectives += 1
    traffic.messages += messages
    traffic.nbytes += nbytes


class InlineFinish(Inlined):
    """The second half of a fetch: what `boxes` say is copied once all messages are there."""

    def __init__(self, begin: InlineBegin, boxes: _Words) -> None:
        self._begin = begin
        numbers = begin.numbers
        self._lines = [line for line, _ in numbers]
        words = [0, 0, 0, len(numbers), len(boxes) // packing.BOX]
        for line, address in numbers:
            words += [line.end.block, address]
        self._block = (ctypes.c_int64 * (len(words) + len(boxes)))(*words, *boxes)

    def record(self, stop: int, code: int) -> tuple[int, int]:
        """As `Inlined`."""
        self._block[Finish.STOP], self._block[Finish.CODE] = stop, code
        return channel.code().address("finish"), ctypes.addressof(self._block)

    def wait(self) -> None:
        """As `Inlined`."""
        k = self._block[Finish.STATE]
        number = ctypes.c_int64.from_address(self._block[Finish.FIRST + Finish.RECEIVE * k + 1]).value
        self._lines[k].arrive(number)
