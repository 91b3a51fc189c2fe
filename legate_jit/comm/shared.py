"""Shared memory: messages between ranks of one node without MPI, through memory that both have mapped.

Only prepared messages travel so, if they are small enough. Each tag of `TAGS` has a channel of its own from each rank to each
other one, and in it the rules of MPI hold: messages arrive in the order they were sent, where they are expected. A
rank owns the memory of the channels from it to others: a file without a name that the others open through the process that has
it, so nothing is left when the processes are gone, however they ended. Knows no MPI, and of arrays their bytes.

**Nobody waits for ever** for a free slot where ranks begin the same messages in the same order and expect before they send: who
expects message n takes message n - SLOTS out first. So who sends message n waits at most until the receiver begins the same
exchange, and the rank that is behind all others finds its slots free.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit.backends.pool import channel, threads
from legate_jit.backends.pool.agreeing import Agree
from legate_jit.backends.pool.channel import Word
from legate_jit.backends.pool.packing import Begin
from legate_jit.comm.base import Comm, Overdue

__all__ = ["SLOTS", "TAGS", "Expected", "Node", "Sent"]

#: tags of prepared messages that may travel so: combined arrays, agreements, staged fetches, and all exchanges together (their
#: order is the same on all ranks)
TAGS = (2, 4, 5, 16)
#: messages of one tag that may be under way from a rank to another one
SLOTS = 8
#: nanoseconds of a wait after which a rank gives its processor away between looks, and after which it sleeps; where ranks share
#: processors the others need them at once
_PATIENCE, _CROWDED = (50_000, 200_000), (0, 20_000)
#: nanoseconds of a sleep that nobody ends, and of one with a deadline
_LONG, _SHORT = 100_000_000, 1_000_000
#: looks at messages of MPI that are under way until a rank that waits begins to pause between them, and seconds of a pause
_LOOKS, _PAUSE = 200, 5e-5


class _Place(NamedTuple):
    """What a rank says of itself to the others of its node."""

    rank: int
    process: int
    file: int  # -1: it has no memory to share
    size: int
    processors: frozenset[int]


class _Segment:
    """Memory for what one rank sends to the ranks of its node, or the part of another rank's for messages to this one.

    size: bytes of the largest message. OSError if the system refuses.
    """

    def __init__(self, size: int) -> None:
        self._stride = -(-size // channel.LINE) * channel.LINE
        each = len(TAGS) * channel.channel_bytes(SLOTS, self._stride)
        self._each = -(-each // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._memory: mmap.mmap | None = None
        self._address = 0

    def make(self, receivers: int) -> int:
        """New memory; the number of its file, to be closed when all have opened it. Pages become memory when they are used."""
        file = os.memfd_create("legate-jit")
        try:
            os.ftruncate(file, self._each * receivers)
            self._map(file, 0, receivers)
        except BaseException:
            os.close(file)
            raise
        return file

    def open(self, process: int, file: int, receiver: int) -> None:
        """The part for one receiver of another process's memory."""
        here = os.open(f"/proc/{process}/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map(here, self._each * receiver, 1)
        finally:
            os.close(here)

    def _map(self, file: int, offset: int, receivers: int) -> None:
        self._memory = mmap.mmap(file, self._each * receivers, offset=offset)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def end(self, receiver: int, tag: int, sends: bool, patience: tuple[int, int]) -> _End:
        """One end of a channel; receiver: the number of its part among those mapped."""
        base = self._address + receiver * self._each
        base += TAGS.index(tag) * channel.channel_bytes(SLOTS, self._stride)
        return _End(base, self._stride, sends, patience, self)


class _End:
    """One end of a channel: what it needs to call native code."""

    __slots__ = ("_keep", "_record", "block", "done", "handle", "record", "words")

    def __init__(
        self, base: int, stride: int, sends: bool, patience: tuple[int, int], keep: _Segment
    ) -> None:
        code = channel.code()
        words = (ctypes.c_int64 * channel.block_words(SLOTS))()
        sent, taken = base + channel.SENT, base + channel.TAKEN
        words[Word.OTHERS], words[Word.OWN] = (taken, sent) if sends else (sent, taken)
        words[Word.AHEAD] = SLOTS if sends else 0
        words[Word.SLOT], words[Word.STRIDE], words[Word.MASK] = base + channel.SLOTS, stride, SLOTS - 1
        words[Word.SPIN], words[Word.YIELD] = patience
        #: address of the block
        self.block = ctypes.addressof(words)
        #: the words, and of them [0]: messages handled
        self.words = memoryview(words).cast("B").cast("q")
        self.done = self.words[Word.DONE : Word.DONE + 1]
        #: address of `put` or `take`
        self.handle = code.address("put" if sends else "take")
        self._record = (ctypes.c_int64 * threads.RECORD_WORDS)(code.address("wait"), self.block, 1, 1)
        self.record = ctypes.addressof(self._record)
        self._keep = keep, code

    def is_ready(self) -> bool:
        """Whether there is a free slot, or a message."""
        words = self.words
        others = ctypes.c_int32.from_address(words[Word.OTHERS]).value
        return bool((others + words[Word.AHEAD] - words[Word.DONE]) & 0xFFFFFFFF)

    def wait(self, comm: Comm, peer: int, looks: int) -> None:
        """Until there may be something to do; looks: how often this was called for the same. Messages of MPI that are under way
        are looked after, without which they may not move. `Overdue` after the deadline."""
        if comm.deadline is not None and time.monotonic() > comm.deadline:
            comm.awaited = -1
            raise Overdue(peer)
        if not comm.tended:
            threads.run_program(self.record, 0, 1, _LONG if comm.deadline is None else _SHORT, 1)
            return
        comm.tend()
        if looks > _LOOKS:
            time.sleep(_PAUSE)


class _Line:
    """The messages with one tag from or to one other rank."""

    __slots__ = ("comm", "end", "expected", "peer")

    def __init__(self, comm: Comm, peer: int, end: _End) -> None:
        self.comm, self.peer, self.end = comm, peer, end
        #: who expects message k, at k modulo SLOTS: they are kept, because their memory is written
        self.expected: list[Any] = [None] * SLOTS

    def put(self, message: Sent) -> None:
        """Wait for a free slot and send."""
        comm, end, looks = self.comm, self.end, 0
        before = end.done[0]
        comm.since, comm.awaited = time.monotonic(), self.peer
        while end.done[0] == before:
            end.wait(comm, self.peer, looks)
            threads.call_kernel(end.handle, message.nbytes, 0, end.block, message.address)
            looks += 1
        comm.awaited = -1

    def room(self) -> None:
        """Wait for a free slot."""
        comm, end, looks = self.comm, self.end, 0
        comm.since, comm.awaited = time.monotonic(), self.peer
        while not end.is_ready():
            end.wait(comm, self.peer, looks)
            looks += 1
        comm.awaited = -1

    def expect(self, message: Expected) -> int:
        """Expect a message, and its number. What was expected so long ago that the sender needs its slot is waited for first."""
        words = self.end.words
        number = words[Word.BEGUN]
        if number - words[Word.DONE] >= SLOTS:
            self.arrive(number - SLOTS)
        k = number % SLOTS
        self.expected[k] = message
        words[Word.RING + 2 * k], words[Word.RING + 2 * k + 1] = message.address, message.nbytes
        words[Word.BEGUN] = number + 1
        return number

    def arrive(self, number: int) -> None:
        """Take the messages up to one out, and say meanwhile whom this rank waits for."""
        self.comm.since, self.comm.awaited = time.monotonic(), self.peer
        self.take(number, True)
        self.comm.awaited = -1

    def take(self, number: int, wait: bool) -> bool:
        """Take the messages up to one out, each to where it is expected. Whether that one is there."""
        end, done, looks = self.end, self.end.done, 0
        while done[0] <= number:
            before = done[0]
            threads.call_kernel(end.handle, 0, 0, end.block, 0)
            if done[0] == before:
                if not wait:
                    self.comm.tend()
                    return False
                end.wait(self.comm, self.peer, looks)
                looks += 1
        return True


class Sent:
    """A message that can be sent again and again from the same memory."""

    __slots__ = ("_keep", "address", "line", "nbytes")

    def __init__(self, line: _Line, memory: np.ndarray) -> None:
        self.line, self._keep = line, memory
        self.address, self.nbytes = int(memory.__array_interface__["data"][0]), memory.nbytes

    def Start(self) -> None:
        """Copy it into a slot."""
        end = self.line.end
        before = end.done[0]
        threads.call_kernel(end.handle, self.nbytes, 0, end.block, self.address)
        if end.done[0] == before:
            self.line.put(self)

    def Wait(self) -> None:
        """At once."""

    def Test(self) -> bool:
        """Always."""
        return True

    def Free(self) -> None:
        """Nothing is kept for it elsewhere."""


class Expected:
    """A message that can be received again and again into the same memory."""

    __slots__ = ("_keep", "address", "line", "nbytes", "number")

    def __init__(self, line: _Line, memory: np.ndarray) -> None:
        self.line, self._keep, self.number = line, memory, -1
        self.address, self.nbytes = int(memory.__array_interface__["data"][0]), memory.nbytes

    def Start(self) -> None:
        """Expect it."""
        self.number = self.line.expect(self)

    def Wait(self) -> None:
        """Until it is there."""
        line = self.line
        if line.end.done[0] <= self.number:
            line.take(self.number, True)

    def Test(self) -> bool:
        """Whether it is there."""
        return self.line.take(self.number, False)

    def Free(self) -> None:
        """Nothing is kept for it elsewhere."""


class Agreement:
    """The highest of some numbers over all ranks, by one native call."""

    __slots__ = ("_keep", "_links", "_numbers", "_packing", "_record", "_words")

    def __init__(self, count: int, links: Sequence[tuple[Sent, Expected]]) -> None:
        self._links, self._packing = links, struct.Struct(f"={count}q")
        words = [0, count, len(links)]
        for message, receipt in links:
            words += [message.line.end.block, receipt.line.end.block, receipt.address, receipt.nbytes, -1]
        self._numbers = 8 * len(words)
        self._words = (ctypes.c_int64 * (len(words) + count))(*words)
        code = channel.code()
        record = (code.address("agree"), ctypes.addressof(self._words), 1, 1)
        self._keep = (ctypes.c_int64 * threads.RECORD_WORDS)(*record), code
        self._record = ctypes.addressof(self._keep[0])

    def highest(self, comm: Comm, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """The largest of each number."""
        words, ends = self._words, 3 * len(self._links)
        self._packing.pack_into(words, self._numbers, *numbers)
        words[Agree.STATE] = 0
        threads.run_program(self._record, 0, 1, 0, 1)
        while words[Agree.STATE] != ends:
            self._wait(words[Agree.STATE])
            threads.run_program(self._record, 0, 1, 0, 1)
        comm.traffic.messages += len(self._links)
        comm.traffic.nbytes += self._packing.size * len(self._links)
        return self._packing.unpack_from(words, self._numbers)

    def _wait(self, state: int) -> None:
        """Until the call can go on."""
        link, phase = divmod(state, 3)
        message, receipt = self._links[link]
        if phase == 1:
            message.line.room()
        else:
            at = Agree.FIRST + Agree.LINK * link + Agree.RECEIVED + Begin.NUMBER
            words = receipt.line.end.words
            receipt.line.arrive(self._words[at] if phase else words[Word.BEGUN] - SLOTS)

    def forget(self, comm: Comm) -> None:
        """As of any link: nothing is kept elsewhere."""


class Node:
    """The ranks of one node, as one of them sees the others.

    allgather: gives every rank of the node what each of them gives, in the same order. limit: bytes of the largest message that
    this rank sends through shared memory; the least of all ranks' counts. `reason`: why some messages will not travel so.
    Collective.
    """

    def __init__(self, comm: Comm, allgather: Callable[[Any], list[Any]], limit: int) -> None:
        self._comm = comm
        self.reason = ""
        self._lines: dict[tuple[int, int, bool], _Line] = {}
        own, file = self._own(limit, len(allgather(None)))
        processors = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
        places: list[_Place] = allgather(_Place(comm.rank, os.getpid(), file, limit, processors))
        #: bytes of the largest message that travels so
        self.limit = min((p.size for p in places if p.file >= 0), default=0)
        self._number = {p.rank: k for k, p in enumerate(places)}
        opened = {comm.rank: own}
        for place in places:
            if place.rank != comm.rank and place.file >= 0 and file >= 0:
                opened[place.rank] = self._opened(place)
        found: list[set[int]] = allgather({k for k, segment in opened.items() if segment is not None})
        if file >= 0:
            os.close(file)  # all who can have opened it
        self._segments = {
            place.rank: segment
            for place, seen in zip(places, found, strict=True)
            if (segment := opened.get(place.rank)) is not None and comm.rank in seen
        }
        share = sum(1 / sum(p in other.processors for other in places) for p in processors)
        self._patience = _PATIENCE if share >= 1 else _CROWDED

    def _own(self, limit: int, ranks: int) -> tuple[_Segment | None, int]:
        if ranks == 1 or not limit:
            return None, -1
        if not channel.is_supported():
            self.reason = "there are no channels in shared memory for this system"
            return None, -1
        segment = _Segment(limit)
        try:
            return segment, segment.make(ranks)
        except (OSError, ValueError, OverflowError) as error:
            self.reason = f"no shared memory: {error}"
            return None, -1

    def _opened(self, place: _Place) -> _Segment | None:
        segment = _Segment(place.size)
        try:
            segment.open(place.process, place.file, self._number[self._comm.rank])
        except (OSError, ValueError, OverflowError) as error:
            self.reason = f"no shared memory with rank {place.rank}: {error}"
            return None
        return segment

    @property
    def reached(self) -> list[int]:
        """The other ranks to whom messages may travel so."""
        return sorted(k for k in self._segments if k != self._comm.rank)

    def takes(self, memory: np.ndarray, peer: int) -> bool:
        """Whether such a message travels through shared memory: the same on both ends."""
        return memory.nbytes <= self.limit and peer in self._segments and peer != self._comm.rank

    def agreement(self, count: int, links: Sequence[tuple[Any, Any]]) -> Agreement | None:
        """What finds the highest of so many numbers through these prepared messages, one to and one from another rank in each
        step; None if some travel otherwise."""
        if not links or not all(isinstance(m, Sent) and isinstance(r, Expected) for m, r in links):
            return None
        return Agreement(count, links)

    def send(self, memory: np.ndarray, peer: int, tag: int) -> Sent:
        """A message to a rank that is sent from this memory, once or more."""
        return Sent(self._line(peer, tag, True), memory)

    def receive(self, memory: np.ndarray, peer: int, tag: int) -> Expected:
        """A message from a rank that is received into this memory, once or more."""
        return Expected(self._line(peer, tag, False), memory)

    def _line(self, peer: int, tag: int, sends: bool) -> _Line:
        tag = min(tag, TAGS[-1])
        key = peer, tag, sends
        line = self._lines.get(key)
        if line is None:
            if sends:
                segment, part = self._segments[self._comm.rank], self._number[peer]
            else:
                segment, part = self._segments[peer], 0
            end = segment.end(part, tag, sends, self._patience)
            line = self._lines[key] = _Line(self._comm, peer, end)
        return line
