"""Faults injected into programs of several ranks: what goes wrong, where, and how the job must end.

A case is a random program of array operations (exchanges, reductions, reads, tasks), the same on all ranks, into which one
fault is put: as a statement before one of its steps, inside the engine at the next flush, exchange, read or allocation, in a
task's body, or in a handler that runs when the interpreter ends. `cases()` lists them all, always the same.
"""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from typing import NamedTuple

from ranks.launch import Ended, job

#: seconds within which a job ends, also on a machine that does other things
SOON = 40.0
_STALL = 4

_PROGRAM = """
import atexit, os, signal, sys, time
import numpy
import cupynumeric as np
from legate.core.task import InputStore, OutputStore, task
from legate_jit.comm import base as comm, exchange, staging
from legate_jit.ranks import windows as ranks
from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.process.world import world

odd = world.rank == {rank}
armed = in_body = False

def inject():
    {hidden}

def hook(room, name):
    real = getattr(room, name)
    def hooked(*args, **kwargs):
        global armed
        if armed:
            armed = False
            inject()
        return real(*args, **kwargs)
    setattr(room, name, hooked)

@task
def half(source: InputStore, out: OutputStore) -> None:
    if in_body:
        inject()
    numpy.asarray(out)[:] = numpy.asarray(source) / 2

x = np.arange({size}.0).reshape(-1, 100) % 13
v = np.arange({size}.0) % 7
out = np.zeros({size})
{steps}
runtime.fence()
total = float(x.sum()) + float(v.sum()) + float(out.sum())
print("end")
"""
#: enough elements that arrays are dealt out
_SIZE = 120_000

_STEPS = (
    "x = x * 0.5 + 1",
    "x[1:-1] = (x[:-2] + x[2:]) * 0.5",
    "total = float(x.sum())",
    "v = v[::-1] + v * 0.5",
    "runtime.fence()",
    "x = np.sqrt(abs(x)) + x.mean(axis=0)",
    "y = x.T.copy() + 1",
    "host = numpy.asarray(v)",
    "v = np.cumsum(v) % 7",
    "half(v, out)",
    "small = x @ x[:8].T",
    "v[100:200] = v[1000:1100]",
)


class Kind(NamedTuple):
    """What goes wrong: the statement, the job's status (0: any but 0) and what the cause says first ('': the launcher says it;
    'differ': that the ranks do not run the same program; 'stall': who waits for whom)."""

    text: str
    status: int = 1
    cause: str = ""


_ERRORS = (
    Kind("raise ValueError('the last word')", 1, "ValueError"),
    Kind("1 / 0", 1, "ZeroDivisionError"),
    Kind("{}['nothing']", 1, "KeyError"),
    Kind("assert not world.size", 1, "AssertionError"),
    Kind("raise GeneratorExit", 1, "GeneratorExit"),
    Kind("raise type('Own', (BaseException,), {})()", 1, "Own"),
    Kind("bytearray(1 << 60)", 1, "MemoryError"),
    Kind("os.kill(os.getpid(), signal.SIGINT); time.sleep(1)", 130, "KeyboardInterrupt"),
)
_ARGUMENTS = (
    Kind("x.reshape(7)", 1, "ValueError"),
    Kind("x @ np.ones(3)", 1, "ValueError"),
    Kind("np.concatenate([x, v])", 1, "ValueError"),
    Kind("np.zeros(-1)", 1, "ValueError"),
    Kind("x + 'text'", 1, ""),
    Kind("x[10**9]", 1, "IndexError"),
    Kind("x.sum(axis=5)", 1, "AxisError"),
    Kind("np.ones(1 << 50)", 1, "MemoryError"),
    Kind("half(v)", 1, "TypeError"),
)
_ENDS = (
    Kind("sys.exit(3)", 3, "sys.exit(3)"),
    Kind("sys.exit('a text')", 1, "sys.exit"),
    Kind("os._exit(7)", 7, "os._exit(7)"),
)
#: ends that look like success: of one rank only they are faults
_EARLY = (
    Kind("sys.exit(0)", 1, "sys.exit(0)"),
    Kind("os._exit(0)", 1, "os._exit(0)"),
)
_DEATHS = tuple(
    Kind(f"os.kill(os.getpid(), signal.{name})", getattr(signal, name).value)
    for name in ("SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT", "SIGBUS")
)
_STALLS = (
    Kind("time.sleep(1000)", 86, "stall"),
    Kind("while True: time.sleep(0)", 86, "stall"),
)
_DIFFERENCES = tuple(
    Kind(text, 1, "differ")
    for text in (
        "x = x * 3",
        "runtime.fence()",
        "v = v + world.rank",
        "v = v + numpy.random.default_rng(world.rank).random()",
        "np.random.seed(world.rank); x = x + np.random.rand(*x.shape)",
        "x = np.ones((1200 + world.rank, 100))",
        "x = x.astype('f4')",
        "x = x[::-1]",
        "out[world.rank:] = 1.0",
        "total = float(v[3])",
        "total = float(x.max())",
        "host = numpy.asarray(x)",
        "del v; v = np.ones(120_000)",
        "half(x[0], x[1])",
    )
)
_WRITES = (
    Kind("np.save(open('/dev/full', 'wb'), x)", 1, "OSError"),
    Kind("open('/nowhere/at/all', 'w')", 1, "FileNotFoundError"),
    Kind("x.tofile('/nowhere/at/all')", 1, "FileNotFoundError"),
    Kind("np.load('/nowhere/at/all')", 1, "FileNotFoundError"),
)
#: where in the engine: what is hooked
_PLACES = {
    "flush": "hook(ranks._Run, '_rank')",
    "exchange": "hook(exchange.Exchange, 'start'); hook(staging.Staged, 'start'); hook(comm.Comm, 'combine')",
    "waiting": "hook(comm.Comm, 'wait'); hook(comm.Comm, 'wait_one')",
    "read": "hook(ranks.World, 'settle')",
    "allocation": "hook(memory, 'allocate')",
    "body": "in_body = True",
}
_HIDDEN = (
    *(_ERRORS[0], _ERRORS[6], _ERRORS[7]),
    *(_ENDS[0], _EARLY[0], _EARLY[1], _ENDS[2]),
    *(_DEATHS[0], _DEATHS[1], _STALLS[0]),
)
_LAST = (_EARLY[1], _ENDS[2], _DEATHS[0], _DEATHS[1], _STALLS[0], _DIFFERENCES[9])


class Case(NamedTuple):
    """One job: `where` is 'statement', 'exit', or a place in the engine; `everywhere`: all ranks fail alike."""

    number: int
    kind: Kind
    where: str
    ranks: int
    everywhere: bool = False

    @property
    def name(self) -> str:
        """What is told of it when it fails."""
        who = "all" if self.everywhere else "one"
        return f"{self.number}-{self.where}-{who}-of-{self.ranks}-{re.sub(r'[^a-zA-Z0-9_.()]+', '_', self.kind.text)}"

    @property
    def failing(self) -> int:
        """The rank that fails."""
        return self.ranks - 1 if self.number % 3 else 0

    def program(self) -> str:
        """Its text; the line of the fault ends with a mark."""
        rng = random.Random(self.number)
        steps = list(_STEPS)
        rng.shuffle(steps)
        here = rng.randrange(1, len(steps) - 2)
        hidden, fault = "pass", self.kind.text
        if self.where != "statement":
            hidden = self.kind.text + "  # fault"
            fault = (
                "atexit.register(inject)" if self.where == "exit" else _PLACES[self.where] + "; armed = True"
            )
        else:
            fault = fault + "  # fault"
        # every rank has both lines in both forms, so that the fault is the only difference
        only = "" if self.everywhere else "if odd: "
        if self.everywhere or not fault.startswith("while"):
            steps.insert(here, only + fault)
        else:
            steps.insert(here, "while odd: time.sleep(0)  # fault")
        if self.where == "body":  # after the steps before it, so that it meets this body and no earlier one
            steps.insert(here + 1, "half(v, out)")
        return _PROGRAM.format(rank=self.failing, hidden=hidden, size=_SIZE, steps="\n".join(steps))

    def run(self) -> Ended:
        """Run the job."""
        return job(
            self.program(),
            self.ranks,
            LEGATE_JIT_DEALT_FROM="10000",
            LEGATE_JIT_STALL_TIMEOUT=str(_STALL if self.kind.cause == "stall" else 0),
        )

    def line(self) -> str:
        """Where the fault is."""
        lines = self.program().splitlines()
        return f"<string>:{1 + next(k for k, text in enumerate(lines) if text.endswith('# fault'))}"

    def wrong(self, ended: Ended) -> str:
        """What is not as it must be; '' if all is well."""
        problems = [*self._ending(ended), *self._telling(ended)]
        return "; ".join(problems)

    def _ending(self, ended: Ended) -> Iterator[str]:
        if ended.left:
            yield f"{ended.left} processes are left"
        if ended.seconds > SOON:
            yield f"{ended.seconds:.0f} s"
        if self.kind in _DEATHS:  # launchers tell the status of whichever rank they noticed
            wrong = ended.status == 0
        else:
            wrong = ended.status != self.kind.status
        if wrong:
            yield f"status {ended.status} instead of {self.kind.status}"

    def _telling(self, ended: Ended) -> Iterator[str]:
        causes = [line for line in ended.causes if " runs whole on every rank" not in line]
        kind = self.kind
        if kind in _DEATHS:
            if len(causes) > 1:
                yield f"{len(causes)} causes"
            return
        if kind.cause == "stall":
            told = [line for line in causes if "STALL_TIMEOUT" in line]
            place = "" if self.where == "exit" else r" at <string>:\d+"
            if len(told) != 1 or not re.search(rf"waiting.*{place} for rank \d+ for \d+ s", told[0]):
                yield f"stall told as {told}"
            return
        if self.everywhere and kind in _ENDS[:2]:
            return  # a status of all ranks is the job's own
        if len(causes) != 1:
            yield f"{len(causes)} causes"
            return
        (cause,) = causes
        if kind.cause == "differ":
            if "the ranks do not run the same program" not in cause or "<string>:" not in cause:
                yield f"difference told as {cause}"
            return
        if self._told_as_difference(cause):
            return
        # an error in a body is one of all ranks, which any of them tells where it looks at the results
        anyone = self.everywhere or self.where == "body"
        who = r"rank \d+" if anyone else f"rank {self.failing}"
        place = r"<string>:\d+" if self.where == "body" else self.line()
        if not re.match(
            rf"\[legate-jit\] {who} of {self.ranks}: .*{re.escape(kind.cause)}.* at {place}\b", cause
        ):
            yield f"told as {cause}"

    def _told_as_difference(self, cause: str) -> bool:
        """What one rank did is told as what the others did not do: an end, or a call that looks at arrays before it fails."""
        if (
            self.everywhere
            or "the ranks do not run the same program" not in cause
            or self.line() not in cause
        ):
            return False
        ends = self.kind.cause.startswith(("sys.exit", "os._exit"))
        return self.kind.cause in cause if ends else self.kind in (*_ARGUMENTS, *_WRITES)


def cases() -> list[Case]:
    """All of them."""
    found: list[tuple[Kind, str, bool]] = []
    once = (*_ERRORS, *_ARGUMENTS, *_ENDS, *_EARLY, *_DEATHS, *_STALLS, *_DIFFERENCES, *_WRITES)
    found += [(kind, "statement", False) for kind in once]
    found += [
        (kind, "statement", True)
        for kind in (*_ERRORS[:2], *_ERRORS[6:], *_ARGUMENTS[:2], *_ENDS, *_WRITES[:2])
    ]
    found += [(kind, place, False) for place in _PLACES for kind in _HIDDEN]
    found += [(kind, "exit", False) for kind in _LAST]
    both = [(*each, ranks) for each in found for ranks in (2, 3)]
    return [Case(k, kind, where, ranks, all_) for k, (kind, where, all_, ranks) in enumerate(both)]
