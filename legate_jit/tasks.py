"""Recording of user tasks: a launch is one instruction of the tape, with the arrays it reads, writes and reduces into.

The face says what runs (a `Launch`) and on what (stores, views, roles, constraints); the engine orders launches among array
operations, cuts them into points, calls the launch for each point on the machine's threads, and merges reductions. Knows
nothing of decorators, user signatures or machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit import runtime
from legate_jit.ir import infer
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Signature, array_type
from legate_jit.ir.tasks import partition
from legate_jit.ir.tasks.partition import Box
from legate_jit.ir.tasks.task import TaskArg, TaskArgument, TaskSpec
from legate_jit.running import locking
from legate_jit.running.bodies import active, forbid, running
from legate_jit.running.points import identity
from legate_jit.runtime import window
from legate_jit.store import Lens, Store

__all__ = ["Launch", "TaskSpec", "launch", "running"]

Arguments = Sequence[tuple[Store, Lens | None]]


class Launch:
    """One launch of user code; faces subclass it. Lives in the window as a run-time scalar, so the plan does not know it.

    `name`: of the task, for messages. `where`: the user's 'file:line'. `error`: what made the launch fail, once it has, as
    `poison.kept` gives it.
    """

    __slots__ = ("error", "name", "where")

    def __init__(self, name: str, where: str) -> None:
        self.name, self.where = name, where
        self.error: BaseException | None = None

    def __index__(self) -> int:
        """A launch takes the place of a scalar in the table that kernels read; its value there means nothing."""
        return 0

    def point(
        self,
        index: tuple[int, ...],
        launch: tuple[int, ...],
        arrays: Sequence[np.ndarray],
        boxes: Sequence[Box],
    ) -> None:
        """Run the body for one point of the launch grid.

        `index`: the point, () of a launch of one point (then `launch` is () too). `arrays`: the local part of every argument
        in the arguments' order, a view of the global memory: read-only for inputs, writable for outputs, private and filled
        with the operator's identity for reductions. `boxes`: where each part lies in its argument. Called on any thread.
        """
        raise NotImplementedError

    def failed(self, error: BaseException, index: tuple[int, ...]) -> BaseException | None:
        """The body of a point raised. What the flush shall raise, or None to go on (what it would have written is undefined)."""
        raise NotImplementedError


def launch(call: Launch, spec: TaskSpec, arguments: Arguments) -> None:
    """Record a launch over the `arguments`, whose roles `spec` names. Returns at once.

    ValueError for constraints that the arguments' shapes do not allow, TypeError for a reduction their dtype does not,
    RuntimeError inside the body of a task.
    """
    if active:
        forbid()
    stores = [store for store, _ in arguments]
    key = (spec, tuple([(s.type, lens) for s, lens in arguments]), tuple([stores.index(s) for s in stores]))
    layout = _layouts.get(key) or _lay_out(key, spec, arguments)
    values = [_value(*arguments[k]) for k in layout.inputs]
    values += [_value(*arguments[k]) for k in layout.written]
    w = window
    token = runtime.token_store(layout.token)
    # Nothing is called from here to the last change: Ctrl-C must find the whole launch or nothing of it.
    token.value = v = w.n
    w.code += (layout.signature, *values)
    w.scalars += (call,)
    for item in layout.items:
        w.code += (item, v)
    w.n = v + 1 + len(layout.items)
    w.stores += (token,)
    w.tokens += (token,)
    at = v
    for k in layout.written:
        at += 1
        store, lens = arguments[k]
        if lens is None or lens.view is not None:
            store.value = at
        else:
            runtime.write(store, lens, at, lens.type)
    if w.n > w.limit:
        runtime.full()


def _take_turns() -> None:
    globals()["launch"] = locking.guarded(launch)


locking.when_shared(_take_turns)


class _Layout(NamedTuple):
    """What launches of one spec on arguments of the same types and lenses have in common."""

    signature: Signature
    items: tuple[Signature, ...]
    token: ArrayType
    inputs: tuple[int, ...]  # arguments that are sources by their value
    written: tuple[int, ...]  # the first argument of each written array


_layouts: dict[Any, _Layout] = {}
runtime.bounded.append((_layouts, 20_000))
_NOTHING = np.dtype(np.uint8)


def _lay_out(key: Any, spec: TaskSpec, arguments: Arguments) -> _Layout:
    if len(spec.roles) != len(arguments):
        raise ValueError(f"{spec.name}: {len(arguments)} arguments for {len(spec.roles)} roles")
    shown = [s.type if lens is None else lens.type for s, lens in arguments]
    for role, type_ in zip(spec.roles, shown, strict=True):
        if role not in ("input", "output"):
            identity(role, type_.dtype)
    operands = [partition.Operand(t.shape, role) for t, role in zip(shown, spec.roles, strict=True)]
    cut = spec.partition or partition.solve(operands, spec.constraints, spec.pieces, spec.threshold)
    numbers = _written(spec, arguments)  # of the arrays written
    firsts = [
        next(k for k, a in enumerate(arguments) if spec.roles[k] != "input" and _array(*a) == array)
        for array in numbers
    ]
    shared = {
        k: _same_memory(k, spec, arguments, cut) for k, role in enumerate(spec.roles) if role == "input"
    }
    inputs = [k for k, written in shared.items() if not written]
    described = tuple(
        TaskArgument(role, False, inputs.index(k), None)
        if k in inputs
        else TaskArgument(role, True, numbers[_array(*arguments[k])], _affine(arguments[k][1]))
        for k, role in enumerate(spec.roles)
    )
    types = [shown[k] for k in inputs] + [_base_type(*arguments[k]) for k in firsts]
    views = [_affine(arguments[k][1]) for k in inputs] + [None for _ in firsts]
    token = array_type((0,), _NOTHING)
    arg = TaskArg(spec, described, len(inputs), cut)
    signature = infer.task_signature(tuple(types), tuple(views), arg, token)
    items = tuple(infer.item_signature(token, _base_type(*arguments[k]), n) for n, k in enumerate(firsts))
    layout = _layouts[key] = _Layout(signature, items, token, tuple(inputs), tuple(firsts))
    return layout


def _written(spec: TaskSpec, arguments: Arguments) -> dict[Any, int]:
    """Numbers of the arrays that are written, in the order of the arguments."""
    numbers: dict[Any, int] = {}
    for role, (store, lens) in zip(spec.roles, arguments, strict=True):
        if role != "input":
            numbers.setdefault(_array(store, lens), len(numbers))
    return numbers


def _same_memory(k: int, spec: TaskSpec, arguments: Arguments, cut: partition.Partition) -> bool:
    """Whether input k is also an output, cut alike: then the body sees one memory. Cut otherwise (with a halo, or whole), a
    point must not see what another one writes, and the input is the array as it was before."""
    return any(
        role != "input" and arguments[j] == arguments[k] and (not cut.launch or cut.axes[j] == cut.axes[k])
        for j, role in enumerate(spec.roles)
    )


def _array(store: Store, lens: Lens | None) -> tuple[int, Lens | None]:
    """Which array a written view belongs to: its store, or what the lens shows where that is more than an index map."""
    return (id(store), None if lens is None or lens.view is not None else lens)


def _affine(lens: Lens | None) -> Affine | None:
    return None if lens is None else lens.view


def _base_type(store: Store, lens: Lens | None) -> ArrayType:
    return store.type if lens is None or lens.view is not None else lens.type


def _value(store: Store, lens: Lens | None) -> int:
    """The value an input is read from, through its view if that is an index map."""
    return runtime.value_of(store) if lens is None or lens.view is not None else runtime.read(store, lens)
