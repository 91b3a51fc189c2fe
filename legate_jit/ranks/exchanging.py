"""The steps of a rank's plan that exchange data: what `ir.exchanges` describes, carried out through the rank's `Comm`.

A plan's steps are bound once: boxes, staging memory and views are looked up when a step is run for the first time, so that a
replayed step costs its messages and copies only. Fetches that `ir.overlap` begins early are staged (`legate_jit.comm.staging`);
the others run where they stand. Knows layouts and communication; no NumPy semantics.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit import collectives
from legate_jit.backends.calls import library
from legate_jit.backends.memory import Buffer
from legate_jit.comm.base import Combination, Comm
from legate_jit.comm.exchange import SMALL
from legate_jit.comm.staging import ADDRESSES, Memory, Staged, array_at, contiguous
from legate_jit.comm.trees import combining, gathering
from legate_jit.ir.node import ArrayType
from legate_jit.ir.ranks.exchanges import Combine, Fetch, neutral
from legate_jit.ir.ranks.neighbors import Between
from legate_jit.ir.steps import Argument, Call, Step, Task
from legate_jit.running.execute import array_of

__all__ = ["bind", "combined", "current"]


class _Current(threading.local):
    comm: Comm | None = None


#: the `Comm` of the rank that this thread runs
current = _Current()


def _comm() -> Comm:
    comm = current.comm
    assert comm is not None
    return comm


def combined(what: Combine, type_: ArrayType, rank: int, ranks: int) -> tuple[int, int]:
    """The messages that a rank sends to combine partial results of a type, and their bytes; it receives as many."""
    if what.before:
        return gathering(ranks, type_.nbytes)
    flag = 0 if what.everyone(ranks) else 1
    return combining(rank, ranks, type_.size, type_.dtype.itemsize + flag)


# ---- bound steps -------------------------------------------------------------------------------------------------


def bind(steps: Sequence[Step] = (), comm: Comm | None = None) -> Callable[[Call], Any]:
    """For the steps of one plan, in order: something with `run(buffers, scalars)` for a step that is run so, what native programs
    do for it, else None. comm: through which the plan will always be run, if that is known."""
    groups: dict[int, Any] = {}
    if any(isinstance(step, Task) for step in steps):
        comm = None  # where items run as soon as what they need is there, each exchange is one of them

    def bound(step: Call) -> Any:
        what = dict(step.spec.options).get("what")
        if step.spec.name == "begin":
            fetches = dict(step.spec.options)["fetches"]
            begin = (comm and _inlined(step, steps, comm)) or _Begin(step)
            for k, fetch in enumerate(fetches):
                groups[fetch.number] = begin, k
            return begin
        if isinstance(what, Fetch):
            begin, k = groups.get(what.number, (None, 0))
            if begin is None:
                return _Fetch(step)
            return _Finish(step, begin, k) if isinstance(begin, _Begin) else begin.finish(k)
        if isinstance(what, Combine):
            return (comm and _summed(step, what, comm)) or _Combine(step, what)
        return None

    return bound


def _inlined(step: Call, steps: Sequence[Step], comm: Comm) -> Any:
    """The first half of some fetches as native programs have it, or None."""
    if comm.node is None:
        return None
    from legate_jit.ranks.inline import inlined  # here: others need no native code for messages

    begin = _Begin(step)
    results: dict[int, int] = {}
    for other in steps:
        what = dict(other.spec.options).get("what") if isinstance(other, Call) else None
        if isinstance(what, Fetch):
            assert isinstance(other, Call)
            results[what.number] = other.results[0][0]
    (argument,) = step.arguments
    staged = begin.made(comm)
    found = inlined(staged, argument, [results.get(f.number) for f in begin.fetches])
    if found is None:
        begin.keep(comm, staged)
    return found


def _summed(step: Call, what: Combine, comm: Comm) -> Any:
    """A sum as native programs have it, or None."""
    if comm.node is None:
        return None
    from legate_jit.ranks.inline import summed

    (result,) = step.results
    return summed(comm, what, step.arguments[0], result)


class _Begin:
    """The first half of some fetches of one array."""

    __slots__ = ("_argument", "_comm", "_free", "fetches", "finishes", "staged")

    def __init__(self, step: Call) -> None:
        self.fetches: tuple[Fetch, ...] = dict(step.spec.options)["fetches"]
        (self._argument,) = step.arguments
        self._comm: Comm | None = None
        self._free: list[Staged] = []
        self.staged: Staged | None = None
        #: steps that finish something
        self.finishes = 0

    def run(self, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """Send what the others need, and expect what they send."""
        comm = _comm()
        if comm.meeting is not None:
            comm.meeting()
        if comm is not self._comm:
            self._prepare(comm)
        staged = self._free.pop() if self._free else self.made(comm)
        comm.traffic.collectives += 1
        staged.start(buffers[self._argument.storage].addr, self.finishes)
        self.staged = staged

    def _prepare(self, comm: Comm) -> None:
        self._comm = comm
        first = self.fetches[0]
        key = (first.source, tuple(f.wanted for f in self.fetches), self._argument)
        self._free = comm.staged(key)

    def keep(self, comm: Comm, staged: Staged) -> None:
        """Have this prepared for the first run."""
        self._prepare(comm)
        self._free.append(staged)

    def made(self, comm: Comm) -> Staged:
        """The fetches, prepared."""
        a = self._argument
        return Staged(
            comm,
            a.type.dtype,
            Memory(a.type.shape, a.strides, a.offset),
            [Between(f.source, f.wanted, comm.size) for f in self.fetches],
        )

    def finish(self, k: int, address: int) -> None:
        """The second half of the k-th fetch."""
        staged = self.staged
        assert staged is not None
        staged.finish(k, address)
        if not staged.left:
            self.staged = None
            self._free.append(staged)


class _Finish:
    """The second half of a fetch."""

    __slots__ = ("_begin", "_number", "_result")

    def __init__(self, step: Call, begin: _Begin, number: int) -> None:
        ((self._result, _),) = step.results
        self._begin, self._number = begin, number
        begin.finishes += 1

    def run(self, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """Wait for what the others send, and put the box together."""
        self._begin.finish(self._number, buffers[self._result].addr)


class _Fetch:
    """A fetch that is not begun early."""

    __slots__ = ("_argument", "_comm", "_exchange", "_result", "_what")

    def __init__(self, step: Call) -> None:
        (self._argument,) = step.arguments
        (self._result,) = step.results
        self._what: Fetch = dict(step.spec.options)["what"]
        self._comm: Comm | None = None
        self._exchange: Any = None

    def run(self, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """Exchange."""
        comm = _comm()
        if comm is not self._comm:
            what = self._what
            pattern = Between(what.source, what.wanted, comm.size)
            self._exchange = comm.prepared(self._argument.type.dtype, pattern)
            self._comm = comm
        if comm.meeting is not None:
            comm.meeting()
        comm.traffic.collectives += 1
        storage, type_ = self._result
        out = buffers[storage].as_numpy(type_.shape, type_.dtype, True)
        self._exchange.run(np.ascontiguousarray(_array(self._argument, buffers, scalars)), out)


class _Combine:
    """Partial results become one."""

    __slots__ = (
        "_argument",
        "_comm",
        "_from",
        "_into",
        "_operator",
        "_prepared",
        "_result",
        "_what",
    )

    def __init__(self, step: Call, what: Combine) -> None:
        self._argument, self._what = step.arguments[0], what
        (self._result,) = step.results
        self._operator = getattr(np, what.op)
        self._comm: Comm | None = None
        self._prepared: Combination | None = None
        self._from: dict[int, np.ndarray] = {}  # by address
        self._into: dict[int, np.ndarray] = {}

    def run(self, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """Combine."""
        comm = _comm()
        if comm is not self._comm:
            self._prepare(comm)
        if self._prepared is None:
            self._run(comm, buffers, scalars)
            return
        if comm.meeting is not None:
            comm.meeting()
        comm.traffic.collectives += 1
        source, target = buffers[self._argument.storage].addr, buffers[self._result[0]].addr
        mine, out = self._from.get(source), self._into.get(target)
        if mine is None:
            a = self._argument
            mine = _kept(self._from, source, Memory(a.type.shape, a.strides, a.offset), a.type)
        if out is None:
            type_ = self._result[1]
            out = _kept(self._into, target, contiguous(type_.shape, type_.dtype.itemsize), type_)
        self._prepared.run(comm, mine, self._operator, out)

    def _prepare(self, comm: Comm) -> None:
        what, type_ = self._what, self._argument.type
        self._comm, self._prepared = comm, None
        if (
            what.everyone(comm.size)
            and comm.size > 1
            and type_.nbytes <= SMALL
            and self._argument.storage >= 0
        ):
            self._prepared = comm.combination(type_.shape, type_.dtype)

    def _run(self, comm: Comm, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> None:
        """What is not prepared."""
        what = self._what
        storage, type_ = self._result
        out = buffers[storage].as_numpy(type_.shape, type_.dtype, True)
        mine = np.ascontiguousarray(_array(self._argument, buffers, scalars))
        if what.everyone(comm.size):
            out[...] = comm.combine(mine, self._operator)
        elif not what.before:
            out[...] = comm.combine_some(mine, self._operator, what.counts(comm.rank))
        else:
            every = comm.gather(mine)
            lower = [every[k] for k in range(comm.rank) if what.counts(k)]
            out[...] = functools.reduce(self._operator, lower) if lower else neutral(what.op, mine.dtype)


def _kept(views: dict[int, np.ndarray], address: int, memory: Memory, type_: ArrayType) -> np.ndarray:
    """The array at an address, kept for the next time: for use while somebody holds the memory."""
    if len(views) >= ADDRESSES:
        views.clear()
    found = views[address] = array_at(address, memory, type_.dtype)
    return found


@library.implementation("collective")
def _collective(args: Sequence[Any], outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    collectives.run(_comm(), args, outs, options["what"])


def _array(a: Argument, buffers: Sequence[Buffer], scalars: Sequence[Any]) -> np.ndarray:
    if a.storage < 0:
        return np.asarray(scalars[a.offset]).astype(a.type.dtype)
    return array_of(a, buffers, False)
