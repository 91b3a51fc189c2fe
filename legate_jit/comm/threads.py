"""Ranks as threads of one process: the algorithms of `comm` without MPI, for tests and for trying any number of ranks.

Messages are matched as MPI does: by sender, receiver and tag, in order. When one rank fails, the others do not wait for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from legate_jit.comm.base import Comm, PeerLost

__all__ = ["ThreadComm", "run_ranks"]

T = TypeVar("T")
_Key = tuple[int, int, int]  # sender, receiver, tag


class _Mail:
    """What all ranks share: messages that nobody has asked for, receivers that nobody has sent to, and who failed."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.arrived: dict[_Key, deque[bytes]] = {}
        self.expected: dict[_Key, deque[_Receipt]] = {}
        self.failed: int | None = None
        self.ended: set[int] = set()


class _Sent:
    """A message that has left: its bytes were copied."""

    def Wait(self) -> None:
        """At once."""

    def Test(self) -> bool:
        """Always."""
        return True


class _Receipt:
    """A message that is expected."""

    def __init__(self, mail: _Mail, memory: np.ndarray, peer: int) -> None:
        self.mail, self.memory, self.peer, self.done = mail, memory, peer, False

    def fill(self, text: bytes) -> None:
        """The message is here."""
        if len(text) != len(self.memory):
            raise ValueError(f"a message of {len(text)} bytes where {len(self.memory)} were expected")
        self.memory[...] = np.frombuffer(text, np.uint8)
        self.done = True

    def Wait(self) -> None:
        """Until it is here; PeerLost if it cannot come any more."""
        with self.mail.changed:
            while not self.done:
                self._check()
                self.mail.changed.wait()

    def Test(self) -> bool:
        """Whether it is here."""
        with self.mail.changed:
            if not self.done:
                self._check()
            return self.done

    def _check(self) -> None:
        if self.mail.failed is not None:
            raise PeerLost(f"rank {self.mail.failed} failed")
        if self.peer in self.mail.ended:
            raise PeerLost(f"rank {self.peer} has ended, but a message from it is waited for")


class ThreadComm(Comm):
    """One of several ranks in a process, each used by a thread of its own."""

    def __init__(self, rank: int, size: int, mail: _Mail) -> None:
        super().__init__(rank, size)
        self._mail = mail

    @classmethod
    def group(cls, size: int) -> list[ThreadComm]:
        """Ranks that reach each other."""
        mail = _Mail()
        return [cls(k, size, mail) for k in range(size)]

    def start_send(self, memory: np.ndarray, peer: int, tag: int) -> _Sent:
        """Copies the bytes."""
        key, text, mail = (self.rank, peer, tag), memory.tobytes(), self._mail
        with mail.changed:
            receivers = mail.expected.get(key)
            if receivers:
                receivers.popleft().fill(text)
            else:
                mail.arrived.setdefault(key, deque()).append(text)
            mail.changed.notify_all()
        return _Sent()

    def start_receive(self, memory: np.ndarray, peer: int, tag: int) -> _Receipt:
        """Takes the bytes if they are here already."""
        key, mail = (peer, self.rank, tag), self._mail
        receipt = _Receipt(mail, memory, peer)
        with mail.changed:
            waiting = mail.arrived.get(key)
            if waiting:
                receipt.fill(waiting.popleft())
            else:
                mail.expected.setdefault(key, deque()).append(receipt)
        return receipt

    def end(self, failed: bool = False) -> None:
        """This rank sends nothing any more; `failed`: nobody shall wait for anything."""
        with self._mail.changed:
            self._mail.ended.add(self.rank)
            if failed and self._mail.failed is None:
                self._mail.failed = self.rank
            self._mail.changed.notify_all()

    def unclaimed(self) -> int:
        """Messages that were sent, by any rank, and that nobody received."""
        with self._mail.changed:
            return sum(map(len, self._mail.arrived.values()))


def run_ranks(size: int, program: Callable[[ThreadComm], T]) -> list[T]:
    """`program(comm)` on every rank at once; the results in the order of ranks.

    The error of the first rank that failed is raised. A rank that waits for one that has ended gets `PeerLost`.
    """
    group = ThreadComm.group(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def body(comm: ThreadComm) -> None:
        try:
            results[comm.rank] = program(comm)
        except BaseException as error:
            errors.append(error)
            comm.end(failed=True)
        else:
            comm.end()

    threads = [threading.Thread(target=body, args=(comm,), daemon=True) for comm in group[1:]]
    for thread in threads:
        thread.start()
    body(group[0])
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
