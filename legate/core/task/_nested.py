"""Tasks called by the body of a task: they run there and then, in one point, on the parts that the body was given.

Nothing is recorded: what such a call reads and writes is the memory of the part. Knows nothing of scopes in between.
"""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from legate.core._context import TaskContext
from legate.core._launch import FunctionLaunch, Placement, Plan
from legate.core._physical import LocalStore, PhysicalStore
from legate.core._scope import current
from legate.core._values import Pickled, capture
from legate.core.task._invoker import as_store
from legate.core.task._signature import INPUT, SCALAR, Argument
from legate_jit.running import bodies
from legate_jit.running.points import Part
from legate_jit.tasks import TaskSpec

if TYPE_CHECKING:
    from legate.core.task._py_task import PyTask

__all__ = ["call"]


def call(task: PyTask, values: list[Any], frame: FrameType) -> None:
    """Run a task inside the body of another. `values`: what was passed for its parameters, in order.

    Its stores are those that `PhysicalStore.to_logical_store` gives in the body: RuntimeError for others.
    """
    arguments = task._invoker.arguments
    physical: dict[int, PhysicalStore] = {}
    parts: list[Part] = []
    for k, argument in enumerate(arguments):
        if argument.role == SCALAR:
            values[k] = capture(argument, values[k])
        elif argument.is_store:
            store = as_store(argument, values[k])
            values[k] = None
            if store is not None:
                if not isinstance(store, LocalStore):
                    bodies.forbid()
                    raise RuntimeError("not in the body of a task")
                physical[k] = _seen(argument, store, parts)
    plan = _plan(task, tuple(physical))
    launch = FunctionLaunch(plan, values, frame)
    passed = [v.value() if v.__class__ is Pickled else v for v in values]
    for k, part in physical.items():
        passed[k] = np.asarray(part) if plan.compiled else part
    if plan.with_context:
        passed[0] = TaskContext._make(launch, (), (), list(physical.values()))
    plan.function(*passed)
    for reduced in parts:
        reduced.merge()


def _plan(task: PyTask, positions: tuple[int, ...]) -> Plan:
    arguments = task._invoker.arguments
    return Plan(
        task._name,
        task.task_id,
        task._functions[Placement(current(), task._name, task._functions).kind],
        Placement(current(), task._name, task._functions),
        tuple(arguments[k].role for k in positions),
        TaskSpec(task._name, ()),
        positions=positions,
        scalar_positions=tuple(k for k, a in enumerate(arguments) if a.role == SCALAR),
        with_context=task._invoker.with_context,
    )


def _seen(argument: Argument, store: LocalStore, parts: list[Part]) -> PhysicalStore:
    """What the body that is called sees of a part; for a reduction, private memory, which `parts` remembers."""
    given = store._physical
    array = given._array
    if argument.role == INPUT:
        array = array.view()
        array.flags.writeable = False
    elif given._sink is not None:
        return given
    elif not array.flags.writeable:
        raise ValueError(f"Argument: '{argument.name}' is written, but the body may only read this store")
    elif argument.role != "output":
        parts.append(Part(array, argument.role))
        array = parts[-1].local(array)
    return PhysicalStore._make(array, given._box, given._type, None)
