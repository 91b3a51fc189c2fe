"""What a task function's signature says: which parameters are stores, which are scalars, and what is not allowed.

Raises everything that can be said when a task is defined. Knows nothing of calls, constraints and variants.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any, NamedTuple

from legate.core._context import TaskContext
from legate.core._physical import PhysicalStore
from legate.core._store import LogicalStore
from legate.core.task._types import InputStore, OutputStore, ReductionStore

#: role of a parameter that is neither a store nor the context
SCALAR = "scalar"
CONTEXT = "context"
INPUT = "input"
OUTPUT = "output"

_STORES = (LogicalStore, PhysicalStore)
_UNION = (
    "Arbitrary union types not yet supported. Union types may only be 'SomeType | None' (order doesn't matter), "
    "'Union[SomeType, None]' (order doesn't matter), or 'Optional[SomeType]'."
)


class Argument(NamedTuple):
    """One parameter. `role`: 'input', 'output', a reduction operator in lower case, 'scalar' or 'context'.

    `type`: the class its annotation names. `optional`: None may be passed.
    """

    name: str
    role: str
    type: type
    optional: bool
    default: Any

    @property
    def is_store(self) -> bool:
        """Whether it is an array argument."""
        return self.role not in (SCALAR, CONTEXT)


def of(func: Callable[..., Any]) -> inspect.Signature:
    """The signature of a task function, annotations evaluated; of the Python function that a compiled one was made from."""
    return inspect.signature(getattr(func, "py_func", func), eval_str=True)


def check_return(signature: inspect.Signature) -> None:
    """TypeError if the function says that it returns something."""
    returned = signature.return_annotation
    if returned is not None and returned is not inspect.Signature.empty:
        raise TypeError(f"Task must not return values, expected 'None' as return-type, found {returned}")


def parse(signature: inspect.Signature) -> tuple[Argument, ...]:
    """The parameters in order. TypeError, NotImplementedError or AssertionError for what a task cannot have."""
    parameters = enumerate(signature.parameters.values(), start=1)
    return tuple(_parameter(signature, position, p) for position, p in parameters)


def _parameter(signature: inspect.Signature, position: int, parameter: Parameter) -> Argument:
    annotation, default = parameter.annotation, parameter.default
    if annotation is Parameter.empty:
        raise TypeError(f"Untyped parameters are not allowed, found {parameter}")
    if parameter.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        raise NotImplementedError("'/', '*', '*args', '**kwargs' not yet allowed in parameter list")
    if isinstance(default, _STORES):
        raise NotImplementedError(f"Default values for {annotation} not yet supported")
    inner, optional = _without_none(annotation)
    type_ = _origin(inner)
    role = _role(parameter.name, inner, type_)
    if role == CONTEXT:
        _check_context(signature, position, parameter)
    elif role != SCALAR and default is not Parameter.empty and default is not None:
        raise NotImplementedError(f"Default values for {annotation} not yet supported")
    return Argument(parameter.name, role, type_, optional or default is None, default)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation less `| None`, and whether that was there. NotImplementedError for other unions."""
    if not isinstance(annotation, types.UnionType) and typing.get_origin(annotation) is not typing.Union:
        return annotation, False
    members = typing.get_args(annotation)
    rest = [m for m in members if m is not types.NoneType]
    if len(members) != 2:
        raise NotImplementedError(f"{_UNION} Found '{annotation}'.")
    if len(rest) != 1:
        raise NotImplementedError(
            f"{_UNION} Found '{annotation}' (found '{rest[1]}', previous non-None type '{rest[0]}')."
        )
    return rest[0], True


def _origin(annotation: Any) -> type:
    """The class of an annotation, less its parameters."""
    origin = typing.get_origin(annotation)
    if origin is not None:
        annotation = origin
    if not isinstance(annotation, type):
        raise AssertionError(
            f"Unhandled type annotation: {annotation}, expected this to be a type, got {type(annotation)} instead"
        )
    return annotation


def _role(name: str, annotation: Any, type_: type) -> str:
    if issubclass(type_, InputStore):
        return INPUT
    if issubclass(type_, OutputStore):
        return OUTPUT
    if issubclass(type_, ReductionStore):
        operators = typing.get_args(annotation)
        if len(operators) != 1:
            raise TypeError(
                f"Type hint '{annotation}' has an invalid number of reduction operators ({len(operators)}), "
                f"expected 1. For example: '{name}: {type_.__name__}[ADD]'"
            )
        return str(operators[0].name).lower()
    if issubclass(type_, _STORES):
        raise TypeError(
            f"Type hint '{annotation}' is invalid, because it is impossible to deduce intent from it. "
            "Must use either Input/Output/Reduction variant"
        )
    return CONTEXT if issubclass(type_, TaskContext) else SCALAR


def _check_context(signature: inspect.Signature, position: int, parameter: Parameter) -> None:
    if position > 1:
        raise TypeError(
            "Explicit task context argument must appear as the first argument to the task. "
            f"Found it in position {position}: {signature}."
        )
    if parameter.default is not Parameter.empty:
        raise TypeError(
            f"Explicit task context argument must not have a default value (found '{parameter}'). Task context "
            "arguments are passed unconditionally to the task if requested, so it will never take the default value."
        )
