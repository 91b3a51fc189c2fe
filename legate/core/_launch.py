"""Launches: what the engine calls for every point of a task, and where and in how many points a task runs.

Makes the objects a body sees from the engine's local arrays, and decides what an exception of a body becomes. Knows nothing of
signatures, argument checks and user-facing task objects.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection, Sequence
from threading import get_ident
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from legate.core._compiled import is_compiled
from legate.core._config import config
from legate.core._context import TaskContext
from legate.core._enums import ExceptionMode, VariantCode
from legate.core._machine import Machine
from legate.core._physical import PhysicalStore
from legate.core._scalar import Scalar
from legate.core._store import LogicalStore, carried
from legate.core._values import Pickled, as_scalar
from legate.core._variants import PREFERENCE, TARGETS
from legate.core.types import Type
from legate_jit import hosting, runtime, tasks
from legate_jit.ir.tasks import partition
from legate_jit.ir.tasks.partition import Box
from legate_jit.store import Lens, Store
from legate_jit.tasks import Launch, TaskSpec

Index = tuple[int, ...]
_new = object.__new__
_physical = PhysicalStore._make
_context = TaskContext._make


class Placement:
    """Where a launch runs: the variant, how many points at most, and how few elements stay in one point."""

    __slots__ = ("scope", "machine", "kind", "pieces", "threshold", "mode", "provenance")

    def __init__(self, scope: Any, name: str, kinds: Collection[VariantCode]) -> None:
        self.scope = scope
        self.machine: Machine = scope.machine
        self.mode: ExceptionMode = scope.exception_mode
        self.provenance: str = scope.provenance or ""
        self.kind = _choose(name, self.machine, kinds)
        target = TARGETS[self.kind]
        policy = scope.parallel_policy
        self.pieces = self.machine.count(target) * policy.overdecompose_factor
        self.threshold: int = policy.partitioning_threshold(target)


def _choose(name: str, machine: Machine, kinds: Collection[VariantCode]) -> VariantCode:
    for kind in PREFERENCE:
        if kind in kinds and machine.count(TARGETS[kind]):
            return kind
    raise ValueError(
        f"Task {name} does not have any valid variant for the current machine configuration {machine}."
    )


class Sink:
    """Takes what one point puts into an unbound store."""

    __slots__ = ("_parts", "_index")

    def __init__(self, parts: dict[Index, np.ndarray], index: Index) -> None:
        self._parts, self._index = parts, index

    def put(self, array: np.ndarray) -> None:
        """The contents this point gives its part of the store; a later call replaces them."""
        self._parts[self._index] = array


class Unbound:
    """The parts of an unbound store that a launch fills: arrays that differ in their first extent only."""

    __slots__ = ("store", "dtype", "ndim", "type", "parts", "launch")

    def __init__(self, store: LogicalStore) -> None:
        self.store: LogicalStore | None = store
        self.dtype, self.ndim, self.type = store._dtype, store.ndim, store.type
        self.parts: dict[Index, np.ndarray] = {}
        self.launch: TaskLaunch | None = None

    def filled_by(self, launch: TaskLaunch) -> None:
        """From now on the store waits for this launch."""
        store, self.store, self.launch = self.store, None, launch
        if store is not None:
            store._pending = self

    def part(self, index: Index) -> PhysicalStore:
        """What the body of one point sees: nothing yet, and a place to put it."""
        nothing = np.empty((0,) * self.ndim, self.dtype)
        return _physical(nothing, ((0, 0),) * self.ndim, self.type, Sink(self.parts, index))

    def contents(self) -> np.ndarray | Store:
        """All parts, joined along the first axis in the order of the points; where they lie on several ranks, the engine's
        store of them. Runs the launch if it has not run.

        RuntimeError from what the launch raised, if it did.
        """
        runtime.flush()
        launch = self.launch
        if launch is not None and launch.error is not None:
            raise RuntimeError(
                f"the store was to be filled by task {launch.name}, which failed"
            ) from launch.error
        filled = {index: part for index, part in sorted(self.parts.items()) if part.shape[0]}
        self.parts, self.launch = {}, None
        if runtime.world is not None:
            from legate_jit.immediate import grown

            unit = carried(np.empty((0,) * self.ndim, self.dtype), self.dtype).dtype
            found = grown.joined(
                {index: carried(np.ascontiguousarray(part), self.dtype) for index, part in filled.items()},
                unit,
            )
            if found is not None:
                return found
        parts = list(filled.values())
        if not parts:
            return np.empty((0,) * self.ndim, self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def settle(store: LogicalStore, role: str) -> None:
    """Let a store that an earlier launch fills take its contents. ValueError if there is none and this launch will not either."""
    if store._store is not None:
        return
    if not store.unbound:
        store._bound()
    elif role == "input":
        raise ValueError("Unbound arrays cannot be used as input")
    elif role != "output":
        raise ValueError("Unbound store cannot be used for reductions")


class Arguments(NamedTuple):
    """The stores of a launch, sorted. `members`: per store its number among the engine's arguments, or -1 - k if it is the k-th
    unbound one; None if all are the engine's. `types`: of elements the engine does not know; None if it knows all."""

    bound: list[tuple[Store, Lens | None]]
    unbound: list[Unbound]
    members: tuple[int, ...] | None
    types: tuple[Type | None, ...] | None
    # per engine's argument, the extent of a last axis that carries elements; 0 if there is none
    words: list[int]

    @classmethod
    def of(cls, stores: Sequence[LogicalStore]) -> Arguments:
        """Sort the stores."""
        bound: list[tuple[Store, Lens | None]] = []
        unbound: list[Unbound] = []
        members, types, words = [], [], []
        for store in stores:
            types.append(store._type)
            if store._store is None:
                unbound.append(Unbound(store))
                members.append(-len(unbound))
                continue
            words.append(store._words)
            members.append(len(bound))
            bound.append((store._store, store._lens))
        known = all(t is None for t in types)
        return cls(
            bound,
            unbound,
            tuple(members) if unbound else None,
            None if known else tuple(types),
            words,
        )

    def cut(self, spec: TaskSpec) -> TaskSpec:
        """`spec` with the partition that the user's shapes ask for, if the engine's have axes more; else as it is."""
        if spec.partition is not None or not any(self.words):
            return spec
        shapes = [s.type.shape if lens is None else lens.type.shape for s, lens in self.bound]
        operands = [
            partition.Operand(shape[:-1] if words else shape, role)
            for shape, words, role in zip(shapes, self.words, spec.roles, strict=True)
        ]
        found = partition.solve(operands, spec.constraints, spec.pieces, spec.threshold)
        axes = [
            (*own, partition.Axis(words, -1, 0, 0, words)) if words else own
            for own, words in zip(found.axes, self.words, strict=True)
        ]
        return spec._replace(partition=found._replace(axes=tuple(axes)))


class Plan:
    """What launches of one task in one place share.

    `function`: what runs. `roles`: of the array arguments, in the body's order. `members`, `types`: as in `Arguments`.
    `spec`: the engine's part. `positions`: parameters of a task function that are arrays; `scalar_positions`: passed by value;
    `copied`: some of those may be `Pickled`. `absent`: arrays left out. `lower`: the launch domain's low end. `plain`: points
    need nothing special.
    """

    __slots__ = (
        "name",
        "task_id",
        "function",
        "placement",
        "may_throw",
        "immediate",
        "roles",
        "members",
        "types",
        "spec",
        "positions",
        "scalar_positions",
        "with_context",
        "compiled",
        "copied",
        "absent",
        "lower",
        "watched",
        "plain",
    )

    members: tuple[int, ...] | None
    types: tuple[Type | None, ...] | None
    lower: Index | None

    def __init__(
        self,
        name: str,
        task_id: int,
        function: Callable[..., None],
        placement: Placement,
        roles: tuple[str, ...],
        spec: TaskSpec,
        *,
        positions: tuple[int, ...] = (),
        scalar_positions: tuple[int, ...] = (),
        with_context: bool = False,
        copied: bool = False,
        absent: tuple[int, ...] = (),
        lower: Index | None = None,
    ) -> None:
        settings = config()
        self.name, self.task_id, self.placement = name, task_id, placement
        self.function = _empty if settings.use_empty_task else function
        self.watched = settings.show_progress_requested
        self.roles, self.spec = roles, spec
        self.positions, self.scalar_positions = positions, scalar_positions
        self.with_context, self.copied, self.absent, self.lower = with_context, copied, absent, lower
        self.compiled = is_compiled(function)
        self.may_throw = self.immediate = False
        self.members = self.types = None

    def declare(self, may_throw: bool, arguments: Arguments) -> None:
        """Say whether the body may raise, and what its arguments are like."""
        self.may_throw = may_throw
        self.immediate = may_throw and self.placement.mode is ExceptionMode.IMMEDIATE
        self.members, self.types = arguments.members, arguments.types
        known = self.members is None and self.types is None
        self.plain = known and not (self.compiled or self.watched or self.copied)


def _empty(*_: object) -> None:
    """What runs in every task's place to see what launching costs."""


def _announce(plan: Plan, index: Index) -> None:
    """Say that a point starts (`--show-progress`)."""
    if config().show_progress_requested:
        provenance = f" [{plan.placement.provenance}]" if plan.placement.provenance else ""
        point = ",".join(map(str, index))
        line = (
            f"{plan.name} {plan.placement.kind.name} task{provenance}, pt = ({point}), proc = {get_ident():x}"
        )
        print(line, file=sys.stderr)


class TaskLaunch(Launch):
    """One launch of a task. `values`: its by-value arguments. `unbound`: what takes the contents of its unbound outputs."""

    __slots__ = ("plan", "values", "unbound", "_code", "_at")

    def __init__(
        self, plan: Plan, values: Sequence[Any], frame: FrameType, unbound: Sequence[Unbound] = ()
    ) -> None:
        self.plan, self.values, self.unbound = plan, values, unbound
        self._code, self._at = frame.f_code, frame.f_lasti
        self.error = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The task's name."""
        return self.plan.name

    @property
    def where(self) -> str:  # type: ignore[override]
        """The user's 'file:line' of the call."""
        code, at = self._code, self._at
        line = next((n for start, stop, n in code.co_lines() if start <= at < stop), code.co_firstlineno)
        return f"{code.co_filename}:{line}"

    def scalars(self) -> tuple[Scalar, ...]:
        """The by-value arguments."""
        return tuple(as_scalar(v) for v in self.values)

    def stores(self, index: Index, arrays: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[PhysicalStore]:
        """What the body sees of its array arguments."""
        members, types = self.plan.members, self.plan.types
        if types is None and members is None:
            return [_physical(a, b, None, None) for a, b in zip(arrays, boxes, strict=True)]
        members = tuple(range(len(arrays))) if members is None else members
        types = (None,) * len(members) if types is None else types
        return [
            _physical(arrays[m], boxes[m], t, None) if m >= 0 else self.unbound[-1 - m].part(index)
            for m, t in zip(members, types, strict=True)
        ]

    def failed(self, error: BaseException, index: Index) -> BaseException | None:
        """Say in the exception where it comes from, and do with it what the call's scope says."""
        plan = self.plan
        point = f", point {index}" if index else ""
        error.add_note(f"raised by task {plan.name}{point}, called at {self.where}")
        if not isinstance(error, Exception):  # an interruption is nobody's result
            return error
        mode = plan.placement.mode
        if mode is ExceptionMode.IGNORED:
            return None
        if mode is ExceptionMode.DEFERRED:
            plan.placement.scope.defer(error)
            return None
        return error


class FunctionLaunch(TaskLaunch):
    """A launch of a task function, called with its parameters in order; `values` has one entry for each."""

    __slots__ = ()

    def scalars(self) -> tuple[Scalar, ...]:
        """The by-value arguments."""
        return tuple(as_scalar(self.values[p]) for p in self.plan.scalar_positions)

    def point(self, index: Index, launch: Index, arrays: Sequence[np.ndarray], boxes: Sequence[Box]) -> None:
        """Call the function for one point."""
        plan = self.plan
        values = [*self.values]
        if plan.plain:
            for position, array, box in zip(plan.positions, arrays, boxes, strict=False):
                values[position] = store = _new(PhysicalStore)
                store._array, store._box, store._type, store._sink = array, box, None, None
        else:
            self._fill(values, index, arrays, boxes)
        if plan.with_context:
            values[0] = _context(self, index, launch, [values[p] for p in plan.positions])
        try:
            _begin()
            plan.function(*values)
        finally:
            _end()

    def _fill(
        self, values: list[Any], index: Index, arrays: Sequence[np.ndarray], boxes: Sequence[Box]
    ) -> None:
        """Put the arguments of one point into `values`, whatever they are."""
        plan = self.plan
        if plan.watched:
            _announce(plan, index)
        for position, store in zip(plan.positions, self.stores(index, arrays, boxes), strict=True):
            values[position] = np.asarray(store) if plan.compiled else store
        for position in plan.scalar_positions:
            if values[position].__class__ is Pickled:
                values[position] = values[position].value()


class ContextLaunch(TaskLaunch):
    """A launch of a registered callback, which gets everything through its context."""

    __slots__ = ()

    def point(self, index: Index, launch: Index, arrays: Sequence[np.ndarray], boxes: Sequence[Box]) -> None:
        """Call the callback for one point."""
        if self.plan.watched:
            _announce(self.plan, index)
        stores: list[PhysicalStore | None] = [*self.stores(index, arrays, boxes)]
        for k in self.plan.absent:
            stores.insert(k, None)
        context = _context(self, index, launch, stores)
        try:
            _begin()
            self.plan.function(context)
        finally:
            _end()


#: one entry for every body that runs; changed by single calls, which threads cannot interrupt
_bodies: list[None] = []
_resting = False


def _begin() -> None:
    """The garbage collector rests while bodies run: a collection would run finalizers in the middle of one.

    Without a lock: should one body begin while the last one ends, or Ctrl-C come before it has begun, the collector may run
    during a body, but never stays off.
    """
    global _resting
    _bodies.append(None)
    if gc.isenabled():
        _resting = True
        gc.disable()


def _end() -> None:
    global _resting
    if _bodies:
        _bodies.pop()
    if _resting and not _bodies:
        _resting = False
        gc.enable()


def submit(launch: TaskLaunch, arguments: Arguments) -> None:
    """Record a launch. If the task was declared to raise, run it and raise what it raises (scope's mode IMMEDIATE)."""
    tasks.launch(launch, arguments.cut(launch.plan.spec), arguments.bound)
    for unbound in launch.unbound:
        unbound.filled_by(launch)
    if launch.plan.immediate:
        runtime.flush()
    hosting.publish()
