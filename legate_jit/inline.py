"""Inline exchanges: the staged fetches of a plan as records of its native programs, so that no Python runs between its kernels.

Possible where every message of a group travels through shared memory. The blocks of words that `backends.packing` describes are
made of a `Staged`, once; what it would copy by NumPy, native code copies. Where a record has waited in vain, its program stops
and `wait` sleeps, as for any message. Knows messages and native blocks; no layouts, no graphs and no MPI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit.backends import channel, packing
from legate_jit.backends.channel import Word
from legate_jit.backends.packing import Begin, Finish
from legate_jit.execute import Inlined
from legate_jit.ir.steps import Argument
from legate_jit.shared import SLOTS, Expected, Sent
from legate_jit.staging import Staged, contiguous

__all__ = ["InlineBegin", "InlineFinish", "inlined"]

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
        comm = self.comm
        if comm.meeting is not None:
            comm.meeting()
        traffic = comm.traffic
        traffic.collectives += 1
        traffic.messages += self.messages
        traffic.nbytes += self.nbytes

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
