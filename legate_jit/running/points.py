"""Points: running the body of one task launch over its parts, on this thread or the crew's.

Makes the local arrays of each point (views of global memory; private, identity-filled ones for reductions), calls the launch, and
merges reductions into the old contents once, in the order of the points. Knows no schedules and no user API.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from collections.abc import Sequence
from contextlib import nullcontext
from queue import SimpleQueue
from time import perf_counter
from typing import Any

import numpy as np

from legate_jit.backends import direct, interpret, scratch
from legate_jit.backends.calls import blas
from legate_jit.backends.memory import Buffer
from legate_jit.ir.steps import Task
from legate_jit.ir.tasks.partition import Box, Partition, image_box
from legate_jit.ir.tasks.task import TaskArg
from legate_jit.running.bodies import active, thread
from legate_jit.running.execute import array_of
from legate_jit.running.poison import kept

#: bytes of local arrays from which a body's temporaries are worth warm memory
_LARGE = 1 << 20
_MERGE: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "or": np.bitwise_or,
    "and": np.bitwise_and,
    "xor": np.bitwise_xor,
}


def identity(operator: str, dtype: np.dtype) -> Any:
    """The value that `operator` leaves every other as it is. TypeError when the operator is not defined for the dtype."""
    kind = dtype.kind
    if operator in ("or", "and", "xor") and kind not in "biu":
        raise TypeError(f"reduction operator {operator!r} is not defined for {dtype}")
    if operator in ("max", "min") and kind == "c":
        raise TypeError(f"reduction operator {operator!r} is not defined for {dtype}")
    match operator:
        case "add" | "or" | "xor":
            return dtype.type(0)
        case "mul":
            return dtype.type(1)
        case "and":
            return ~dtype.type(0)
        case _:
            lowest, highest = _limits(dtype)
            return dtype.type(lowest if operator == "max" else highest)


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return False, True
    if dtype.kind == "f":
        return -np.inf, np.inf
    info = np.iinfo(dtype)
    return info.min, info.max


#: seconds that a body of each name took when it ran last: handing a short one to another thread costs more than it does
_took: dict[str, float] = {}
_SHORT = 1e-4


def is_short(name: str) -> bool:
    """Whether the task's bodies are known to be over sooner than another thread could take one."""
    return _took.get(name, 1.0) < _SHORT


class Part:
    """A reduction's private memory for one point, and the part of the target it is merged into."""

    __slots__ = ("private", "target", "ufunc")

    def __init__(self, target: np.ndarray, operator: str) -> None:
        self.ufunc = _MERGE[operator]
        single = tuple(slice(0, 1) if s == 0 else slice(None) for s in target.strides)
        self.target = target[single]
        self.private = np.full(self.target.shape, identity(operator, target.dtype), target.dtype)

    def local(self, target: np.ndarray) -> np.ndarray:
        """What the body sees: the private memory in the target's shape, repeated where the target repeats."""
        if self.private.shape == target.shape:
            return self.private
        strides = tuple(p if t else 0 for p, t in zip(self.private.strides, target.strides, strict=True))
        return np.lib.stride_tricks.as_strided(self.private, target.shape, strides)

    def merge(self) -> None:
        """Put the private result on top of what is there."""
        self.ufunc(self.target, self.private, out=self.target)


class Attempt:
    """One run of one launch: its global arrays, the points that have run, and the reductions to be merged.

    `raised`: what bodies raised, by point, when it is not for this run to say what becomes of it (`hold`): points of the launch
    run elsewhere, too.
    """

    __slots__ = ("arrays", "call", "errors", "hold", "partition", "parts", "points", "raised", "ran", "roles")

    def __init__(
        self,
        roles: tuple[str, ...],
        partition: Partition,
        arrays: Sequence[np.ndarray],
        call: Any,
        hold: bool = False,
    ) -> None:
        self.hold = hold
        self.raised: dict[tuple[int, ...], Exception] = {}
        self.roles, self.partition, self.arrays, self.call = roles, partition, arrays, call
        self.points: list[tuple[int, ...]] = list(partition.points())
        self.parts: list[Sequence[Part]] = [()] * len(self.points)
        self.errors: dict[int, BaseException | None] = {}
        self.ran: list[int] = []

    @property
    def left(self) -> int:
        """Points that have not run to their end."""
        return len(self.points) - len(self.ran)

    def run(self, number: int) -> None:
        """Run a point. What its body raises is kept: the first in the order of the points."""
        index, partition = self.points[number], self.partition
        call = self.call
        start = perf_counter()
        try:
            arrays, boxes, parts = _local(self.roles, self.arrays, partition, index)
            launch = partition.launch if partition.share is None else partition.share.launch
            _run_body(call, index, launch, arrays, boxes, sum(a.nbytes for a in arrays))
            self.parts[number] = parts
        except BaseException as e:
            if self.hold and isinstance(e, Exception):
                self.raised[index] = e
            else:
                self.errors[number] = _failed(call, e, index)
        finally:
            _took[call.name] = perf_counter() - start
            self.ran.append(number)

    def finish(self) -> BaseException | None:
        """All points have run: merge the reductions, or say what the first point that failed raised."""
        if self.errors:
            first = next((self.errors[k] for k in sorted(self.errors) if self.errors[k] is not None), None)
            self.errors.clear()
            if first is not None:
                return first
        for parts in self.parts:
            for part in parts:
                part.merge()
        return None


def _run_body(
    call: Any,
    index: tuple[int, ...],
    launch: tuple[int, ...],
    arrays: Sequence[np.ndarray],
    boxes: Sequence[Box],
    nbytes: int,
) -> None:
    """Call the body of one point on this thread, as the launch that the thread is in; `nbytes`: of its local arrays."""
    before, thread.launch = thread.launch, call
    active.append(call)
    try:
        if nbytes < _LARGE:
            call.point(index, launch, arrays, boxes)
        else:
            with scratch.warm_temporaries():
                call.point(index, launch, arrays, boxes)
    finally:
        thread.launch = before
        active.remove(call)


def attempt(step: Task, buffers: Sequence[Buffer], scalars: Sequence[Any], hold: bool = False) -> Attempt:
    """A run of a step of a schedule."""
    roles = step.spec.roles
    arrays = [array_of(a, buffers, role != "input") for a, role in zip(step.arguments, roles, strict=True)]
    return Attempt(roles, step.partition, arrays, scalars[step.launch], hold)


def run_alone(
    step: Task, boxes: Sequence[Box], buffers: Sequence[Buffer], scalars: Sequence[Any]
) -> BaseException | None:
    """Run a launch of one point on this thread, `boxes` being the whole arguments; what it is to raise, if it fails.

    What `Attempt` does, without its bookkeeping: small launches are mostly that.
    """
    call = scalars[step.launch]
    parts: list[Part] = []
    large = 0
    try:
        arrays = []
        for a, role in zip(step.arguments, step.spec.roles, strict=True):
            array = array_of(a, buffers, role != "input")
            if role not in ("input", "output"):
                parts.append(part := Part(array, role))
                array = part.local(array)
            arrays.append(array)
            large += a.type.nbytes
        _run_body(call, (), (), arrays, boxes, large)
        for part in parts:
            part.merge()
    except BaseException as e:
        return _failed(call, e, ())
    return None


def _failed(call: Any, error: BaseException, index: tuple[int, ...]) -> BaseException | None:
    """What a launch is to raise, a point of which raised `error`. The frames of the error are those of whoever calls this and
    lead back to his callers': an error that one of them kept would be a cycle, with all the arrays that the frames refer to."""
    told: BaseException | None = call.failed(error, index)
    call.error = kept(error)
    return told


def run_on_arrays(arg: TaskArg, values: Sequence[Any]) -> list[np.ndarray]:
    """A launch on given arrays, point after point: `values` are its sources, the launch last; gives the new written arrays."""
    *sources, call = values
    new = [np.array(base) for base in sources[arg.inputs :]]
    arrays = []
    for a in arg.arguments:
        base = new[a.at] if a.written else np.asarray(sources[a.at])
        arrays.append(base if a.view is None else direct.view(base, a.view, a.written))
    run = Attempt(arg.spec.roles, arg.partition, arrays, call)
    for number in range(len(run.points)):
        run.run(number)
    error = run.finish()
    if error is not None:
        raise error
    return new


interpret.task_runners.append(run_on_arrays)


def _local(
    roles: tuple[str, ...], arrays: Sequence[np.ndarray], partition: Partition, index: tuple[int, ...]
) -> tuple[list[np.ndarray], list[Box], Sequence[Part]]:
    """The arrays of one point, where they lie, and the reductions among them."""
    out: list[np.ndarray] = []
    boxes: list[Box] = []
    parts: list[Part] = []
    share = partition.share
    for k, (whole, role) in enumerate(zip(arrays, roles, strict=True)):
        box = partition.box(k, index)
        for image in partition.images:
            if image.range == k:
                function = image.function
                at = _within(partition.box(function, index), partition, function)
                extents = tuple(a.extent for a in partition.axes[k])
                box = image_box(arrays[function][_slices(at)], extents, image.hint)
        if not index:
            local = whole
        elif share is not None and k in share.rows:
            row = [slice(i - lo, i - lo + 1) for i, lo in zip(index, share.lows[k], strict=True)]
            local = whole[tuple(row)].reshape(whole.shape[len(index) :])
        else:
            local = whole[_slices(_within(box, partition, k))]
        if role not in ("input", "output"):
            part = Part(local, role)
            parts.append(part)
            local = part.local(local)
        out.append(local)
        boxes.append(box)
    return out, boxes, parts


def _within(box: Box, partition: Partition, operand: int) -> Box:
    """A box of an operand in the memory at hand."""
    if partition.share is None:
        return box
    lows = partition.share.lows[operand]
    return tuple((lo - at, hi - at) if hi > lo else (0, 0) for (lo, hi), at in zip(box, lows, strict=True))


def _slices(box: Box) -> tuple[Any, ...]:
    return (*(slice(lo, hi) for lo, hi in box), ...)  # with the ellipsis a 0-d part is an array


# ---- the crew ----------------------------------------------------------------------------------------------------


class Crew:
    """Threads that run points beside the one that flushes. They start when first needed and end with the process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[tuple[Attempt, int, SimpleQueue[None]]] = SimpleQueue()
        self.started = 0

    def want(self, workers: int) -> None:
        """Have at least so many threads."""
        while self.started < workers:
            start_new_thread(self._work, ())
            self.started += 1

    def _work(self) -> None:
        get = self.jobs.get
        while True:
            self.do(*get())

    @staticmethod
    def do(attempt: Attempt, number: int, done: SimpleQueue[None]) -> None:
        """Run one job and say so."""
        attempt.run(number)
        done.put(None)


crew = Crew()
os.register_at_fork(after_in_child=crew.__init__)  # type: ignore[misc]


def quiet_blas(points: int) -> Any:
    """A context in which BLAS leaves the processors to `points` points that run at once."""
    return blas.threads_for(0) if points > 1 else nullcontext()
