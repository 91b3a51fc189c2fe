"""Who runs a window: the compiled CPU target, the interpreter for small windows that are new (tier 0), or a target asked for.

A plan of any kind has what the runtime's flush needs: `allocate(inputs)`, `schedule.outputs`, `run(buffers, scalars)` and
`execution(buffers, scalars)`. The choice depends on the window's structure and how often it was seen, on nothing else, so every
rank and every run chooses alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from legate_jit import runtime
from legate_jit.backends import direct, interpret, memory
from legate_jit.backends.memory import Buffer
from legate_jit.ir.build import decode
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import Kind
from legate_jit.ir.simplify import simplify
from legate_jit.process.config import config
from legate_jit.running.execute import Runnable

Key = tuple[tuple[Any, ...], tuple[int, ...], tuple[bool, ...]]


@dataclass(slots=True, eq=False)
class Policy:
    """Who runs what. `target`: 'cpu', 'reference' or 'null'.

    Tier 0: windows of at most `interpret_work` element operations, or of few for their number of instructions (`plan_work`
    each), are run directly the first `interpret_runs` times they are flushed. 0 runs: never.
    """

    target: str = config.target
    interpret_work: int = 200_000
    interpret_runs: int = 2 if config.tier0 else 0
    plan_work: int = 60_000  # planning and compiling cost about as much, for each instruction
    brief: int = 4400  # ns: a window that NumPy runs in less is not worth a flush, see `Direct`
    patience: int = 20  # direct runs of such a window that comes all the same


policy = Policy()


@dataclass(slots=True)
class TierCounters:
    """Runs by the interpreter, and windows that were compiled after the interpreter had run them."""

    interpreted: int = 0
    promoted: int = 0


counters = TierCounters()


def may_compute_at_once() -> bool:
    """Whether faces may compute by themselves what is not worth recording: with tier 0, and where one process has all arrays."""
    return policy.target == "cpu" and policy.interpret_runs > 0 and getattr(runtime, "world", None) is None


#: why a signature is marked: its results are looked at one by one, which may change; it computes elements of tiny arrays
LOOKED, TINY = 1, 2
#: operations computed at once without anybody looking at a result, after which the first kind of marks is taken back: more than
#: a short window holds, see `runtime.SHORT`
PATIENCE = 32
#: how often that happens before such marks are no longer made: a program that goes to and fro has its loops fused
TIMES = 3

_at_once: list[Signature] = []
#: of faces: what else follows from the first kind of marks, to be forgotten with them
taken_back: list[Callable[[], None]] = []


@dataclass(slots=True)
class _Changes:
    """How often marks were taken back."""

    times: int = 0


changes = _Changes()


def compute_at_once(signatures: Sequence[Signature], most: int, mark: int = LOOKED) -> bool:
    """Have the instructions of a window computed when they are called, if all are small and a face knows how.

    Returns whether some were not so before.
    """
    if not may_compute_at_once() or (mark == LOOKED and changes.times >= TIMES):
        return False
    done = [sig for sig in signatures if sig.op.kind is not Kind.BUFFER]
    if all(
        t.size <= most
        for sig in done
        for t in (sig.type, *(sig.types if sig.op.kind is not Kind.MOVE else ()))
    ):
        fresh = [sig for sig in done if not sig.at_once and (mark == LOOKED or _is_short(sig))]
        for sig in fresh:
            sig.at_once = mark
        _at_once.extend(fresh)
        return bool(fresh)
    return False


def _is_short(sig: Signature) -> bool:
    """Whether an instruction is one operation, reduction or read of an element."""
    return sig.op.kind in (Kind.MAP, Kind.REDUCE) or (sig.op.kind is Kind.MOVE and not sig.type.shape)


#: nanoseconds of one operation computed at once, besides its elements
_CALL = 800


def nanoseconds(signatures: Sequence[Signature]) -> float:
    """About what operations cost that are computed one by one when they are called; infinity if one cannot be."""
    total = 0
    for sig in signatures:
        match sig.op.kind:
            case Kind.BUFFER:
                pass
            case Kind.MAP:
                total += _CALL + max(t.size for t in (sig.type, *sig.types)) * sig.op.cost // 8
            case Kind.REDUCE:
                total += _CALL + sig.types[0].size // 8
            case Kind.MOVE | Kind.GENERATE:
                total += _CALL + sig.type.size // 8 if sig.op.name != "empty" else 0
            case Kind.RESHAPE:
                total += _CALL
            case Kind.UPDATE:
                region: Any = sig.arg
                total += _CALL + math.prod(region.shape) // 8
            case _:
                return math.inf
    return total


def looking() -> bool:
    """Whether the program looks at small results one by one, as far as its windows have shown."""
    return bool(_at_once)


def take_back() -> None:
    """Nobody looks at results one by one any more: what was marked for that is recorded again, and fused."""
    changes.times += 1
    for sig in _at_once:
        if sig.at_once == LOOKED:
            sig.at_once = 0
    _at_once[:] = [sig for sig in _at_once if sig.at_once]
    runtime._short_reads.clear()
    for forget in taken_back:
        forget()


def record_again() -> None:
    """Have everything recorded again, as at the beginning."""
    take_back()
    for sig in _at_once:
        sig.at_once = 0
    _at_once.clear()
    changes.times = runtime.unseen.count = 0


class Outputs(NamedTuple):
    """What the runtime reads of a plan that has no schedule: where the results are among its buffers."""

    outputs: tuple[int, ...]
    copied_bytes: int = 0


def plan(key: Key, compiler: Callable[[Key], Runnable]) -> Any:
    """The plan of a window; `compiler` makes the compiled one."""
    match policy.target:
        case "null":
            from legate_jit.backends import null
            from legate_jit.ir.passes import compile_window

            return null.Counting(compile_window(*key))
        case "reference":
            return Interpreted(key, None)
        case _ if policy.interpret_runs > 0:
            tape = direct.Tape(*key)
            small = tape.work <= max(policy.interpret_work, policy.plan_work * tape.count)
            return Direct(key, tape, compiler) if small and tape.runs() else compiler(key)
        case _:
            return compiler(key)


class Direct:
    """A window run directly by NumPy; it becomes the compiled plan once it has been run often enough.

    A window of one or two small operations, which is there because the program reads or fences each result, is never worth a
    flush: where one would be compiled, its operations are computed at once from then on, and it comes no more.
    """

    __slots__ = (
        "_compiler",
        "_key",
        "_runs",
        "_tape",
        "allocate",
        "calls",
        "execution",
        "launches",
        "run",
        "schedule",
    )

    def __init__(self, key: Key, tape: direct.Tape, compiler: Callable[[Key], Runnable]) -> None:
        self._key, self._tape, self._compiler, self._runs = key, tape, compiler, 0
        self.launches = self.calls = 0
        count = len(tape.inputs)
        fresh = iter(range(count, count + len(tape.owners)))
        self.schedule: Any = Outputs(tuple(next(fresh) if owner < 0 else owner for owner in tape.owners))
        self.allocate: Callable[[list[Buffer]], list[Buffer]] = self._allocate
        self.run: Callable[[list[Buffer], list[Any]], bool] = lambda buffers, scalars: False
        self.execution: Callable[[list[Buffer], list[Any]], Any] = self._execution

    def _allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """Buffers of inputs and fresh results. The call after the last direct run compiles, and hands over for good."""
        if self._runs >= policy.interpret_runs and not self._stays():
            return self._promote().allocate(inputs)
        tape = self._tape
        types = [tape.type_of(v) for v, owner in zip(tape.values, tape.owners, strict=True) if owner < 0]
        buffers = inputs + [memory.allocate(t.nbytes) for t in types]
        self._runs += 1
        counters.interpreted += 1
        return buffers

    def _stays(self) -> bool:
        """Whether to run directly once more, in spite of having been run often enough."""
        signatures = [sig for sig in self._key[0] if sig.__class__ is Signature]
        if nanoseconds(signatures) > policy.brief or not may_compute_at_once():
            return False
        if self._runs == policy.interpret_runs:
            compute_at_once(signatures, policy.brief * 8)  # `brief` is what bounds their elements
        return self._runs < policy.interpret_runs + policy.patience

    def _promote(self) -> Runnable:
        compiled = self._compiler(self._key)
        counters.promoted += 1
        self.schedule, self.allocate = compiled.schedule, compiled.allocate
        self.run, self.execution = compiled.run, compiled.execution
        self.launches, self.calls = compiled.launches, compiled.calls
        return compiled

    def _execution(self, buffers: list[Buffer], scalars: list[Any]) -> _DirectRun:
        arrays = [
            b.as_numpy(t.shape, t.dtype, True) for b, t in zip(buffers, self._tape.inputs, strict=False)
        ]
        return _DirectRun(self._tape, buffers, self._tape.start(arrays, scalars))


@dataclass(slots=True)
class _DirectRun:
    """One direct run; after an interruption it continues where it stopped."""

    tape: direct.Tape
    buffers: list[Buffer]
    going: direct.Run

    def run(self) -> None:
        tape = self.tape
        at = len(tape.inputs)
        for v, owner, found in zip(tape.values, tape.owners, self.going.finish(), strict=True):
            if owner < 0:
                t = tape.type_of(v)
                self.buffers[at].as_numpy(t.shape, t.dtype, True)[...] = found
                at += 1


class Interpreted:
    """A window run by the reference target. With a `compiler` it becomes the compiled plan once it has been run often enough."""

    __slots__ = (
        "_compiler",
        "_inputs",
        "_key",
        "_program",
        "_runs",
        "_types",
        "allocate",
        "calls",
        "execution",
        "launches",
        "run",
        "schedule",
        "work",
    )

    def __init__(self, key: Key, compiler: Callable[[Key], Runnable] | None) -> None:
        decoded = decode(key[0])
        graph = simplify(decoded.graph(key[1]))
        self.work = interpret.work(graph)
        self._program = interpret.Program(graph)
        self._inputs: list[ArrayType] = [n.type for n in decoded.values if n.kind is Kind.BUFFER]
        self._types = [r.type for r in graph.roots]
        self._key, self._compiler, self._runs = key, compiler, 0
        self.launches = self.calls = 0
        count = len(self._inputs)
        self.schedule: Any = Outputs(tuple(range(count, count + len(self._types))))
        self.allocate: Callable[[list[Buffer]], list[Buffer]] = self._allocate
        self.run: Callable[[list[Buffer], list[Any]], bool] = lambda buffers, scalars: False
        self.execution: Callable[[list[Buffer], list[Any]], Any] = self._execution

    def _allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """Buffers of inputs and results. The call after the last interpreted run compiles, and hands over for good."""
        if self._compiler is not None and self._runs >= policy.interpret_runs:
            return self._promote().allocate(inputs)
        buffers = inputs + [memory.allocate(t.nbytes) for t in self._types]
        self._runs += 1
        counters.interpreted += 1
        return buffers

    def _promote(self) -> Runnable:
        assert self._compiler is not None
        compiled = self._compiler(self._key)
        counters.promoted += 1
        self.schedule, self.allocate = compiled.schedule, compiled.allocate
        self.run, self.execution = compiled.run, compiled.execution
        self.launches, self.calls = compiled.launches, compiled.calls
        return compiled

    def _execution(self, buffers: list[Buffer], scalars: list[Any]) -> _Interpretation:
        return _Interpretation(self, buffers, scalars)

    def interpret(self, buffers: list[Buffer], scalars: list[Any]) -> None:
        """Compute the results into their buffers."""
        inputs = [b.as_numpy(t.shape, t.dtype, False) for b, t in zip(buffers, self._inputs, strict=False)]
        values = self._program.run(inputs, scalars)
        for value, t, buffer in zip(values, self._types, buffers[len(inputs) :], strict=True):
            buffer.as_numpy(t.shape, t.dtype, True)[...] = value


@dataclass(slots=True)
class _Interpretation:
    """One interpreted run. Inputs stay as they are, so a run that was interrupted starts again."""

    plan: Interpreted
    buffers: list[Buffer]
    scalars: list[Any] = field(default_factory=list)

    def run(self) -> None:
        self.plan.interpret(self.buffers, self.scalars)
