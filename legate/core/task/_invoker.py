"""VariantInvoker: how arguments of a call become arguments of a task, and those of a task the parameters of its function.

Holds the signature and the constraints on it. Knows nothing of variants, registration and machines.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any, NoReturn

import numpy as np

from legate.core import _constraints
from legate.core._compiled import is_compiled
from legate.core._constraints import DeferredConstraint
from legate.core._interface import as_logical_store
from legate.core._scalar import Scalar
from legate.core._store import LogicalStore
from legate.core._values import Pickled, capture
from legate.core.task import _signature
from legate.core.task._signature import CONTEXT, INPUT, OUTPUT, SCALAR, Argument
from legate.core.types import ReductionOpKind, Type, binary_type
from legate_jit.ir.tasks import partition

__all__ = ["VariantInvoker", "as_store"]

#: what a call passes where the body gets its context
_PLACEHOLDER = object()
_EMPTY = Parameter.empty
PICKLED = b"__legate_pickled_arg__"


class VariantInvoker:
    """The calling convention of a task function.

    func: returns None; every parameter is annotated, positional and by keyword. constraints: on its store parameters, by name.
    TypeError, ValueError, NotImplementedError for what a task function cannot be.
    """

    def __init__(
        self, func: Callable[..., None], *, constraints: Sequence[DeferredConstraint] | None = None
    ) -> None:
        self._signature = _signature.of(func)
        _signature.check_return(self._signature)
        self._constraints = tuple(constraints or ())
        self._check_constraints()
        self.arguments = _signature.parse(self._signature)
        self._check_constrained()
        self.with_context = bool(self.arguments) and self.arguments[0].role == CONTEXT
        if self.with_context and is_compiled(func):
            raise TypeError(f"A compiled function cannot take a task context: {self._signature}")
        self._defaults = [a.default for a in self.arguments]
        self._position = {a.name: k for k, a in enumerate(self.arguments)}

    def _check_constraints(self) -> None:
        names = set(self._signature.parameters)
        for i, c in enumerate(self._constraints, start=1):
            if not isinstance(c, DeferredConstraint):
                raise TypeError(
                    f"Constraint #{i} of unexpected type. Found {type(c)}, expected {DeferredConstraint}"
                )
            for name in c.operands:
                if name not in names:
                    raise ValueError(f'constraint argument "{name}" not in set of parameters: {names}')

    def _check_constrained(self) -> None:
        """Constraints are on stores."""
        stores = ((0, self.inputs), (1, self.outputs), (2, self.reductions))
        for c in self._constraints:
            for name in c.operands:
                if not any(name in names for _, names in stores):
                    raise ValueError(f"Could not find {name} in task arguments: {stores}")

    def _named(self, *roles: str) -> tuple[str, ...]:
        return tuple(a.name for a in self.arguments if a.role in roles)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the parameters that are read."""
        return self._named(INPUT)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the parameters that are written."""
        return self._named(OUTPUT)

    @property
    def reductions(self) -> tuple[str, ...]:
        """Names of the parameters that are reduced into."""
        return tuple(a.name for a in self.arguments if a.is_store and a.role not in (INPUT, OUTPUT))

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the parameters passed by value."""
        return self._named(SCALAR)

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature, annotations evaluated."""
        return self._signature

    @property
    def constraints(self) -> tuple[DeferredConstraint, ...]:
        """The constraints declared with the task."""
        return self._constraints

    def valid_signature(self, func: Callable[..., Any]) -> bool:
        """Whether `func` has exactly this signature."""
        return _signature.of(func) == self._signature

    def validate_signature(self, func: Callable[..., Any]) -> None:
        """ValueError if `func` does not have exactly this signature."""
        if not self.valid_signature(func):
            raise ValueError(
                f"Invalid signature for {func}, expected {self._signature}, got {_signature.of(func)}"
            )

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The value of every parameter, in order; None for the context. TypeError as a Python call would raise it."""
        values = [None, *args] if self.with_context else [*args]
        passed = len(values)
        values += self._defaults[passed:]
        position = self._position
        for name, value in kwargs.items():
            k = position.get(name, -1)
            if k < passed:
                self._fail(args, kwargs)
            values[k] = value
        if len(values) != len(self._defaults) or any(v is _EMPTY for v in values):
            self._fail(args, kwargs)
        return values

    def _fail(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
        context = (_PLACEHOLDER,) if self.with_context else ()
        self._signature.bind(*context, *args, **kwargs)
        raise TypeError(f"cannot bind the arguments to {self._signature}")

    def constrain(self, stores: Mapping[str, LogicalStore | None]) -> list[partition.Constraint]:
        """The declared constraints in the solver's form, for a launch over these stores in this order, by parameter.

        Unbound stores are not cut, and those left out take no part. ValueError for aligning an unbound store with a bound one.
        """
        bound = [name for name, store in stores.items() if store is not None and store._store is not None]
        unbound = {name for name, store in stores.items() if store is not None and store._store is None}
        numbers = {name: k for k, name in enumerate(bound)}
        found = []
        for constraint in self._constraints:
            if unbound:
                _constraints.check_alignment(constraint, unbound)
            translated = _constraints.translate(constraint, numbers.get)
            if translated is not None:
                found.append(translated)
        return found

    def prepare_call(
        self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], constraints: Any = None
    ) -> None:
        """Add the arguments of a call to a task, in the order of the parameters, then `constraints`.

        Errors as of a call of the task.
        """
        for argument, value in zip(self.arguments, self.bind(args, kwargs), strict=True):
            if argument.role == SCALAR:
                _add_scalar(task, argument, value)
            elif argument.role != CONTEXT:
                _add_store(task, argument, as_store(argument, value))
        for c in constraints or ():
            task.add_constraint(c)

    def __call__(self, ctx: Any, func: Callable[..., None]) -> None:
        """Call `func` with its parameters taken from a task's context. ValueError for more or fewer than it has."""
        self._check_count(ctx)
        inputs, outputs = iter(ctx.inputs), iter(ctx.outputs)
        reductions: Any = iter(()) if not self.reductions else iter(ctx.reductions)
        scalars = iter(ctx.scalars)
        values: dict[str, Any] = {}
        compiled = is_compiled(func)
        for argument in self.arguments:
            match argument.role:
                case "context":
                    values[argument.name] = ctx
                case "scalar":
                    values[argument.name] = _unpacked(argument, next(scalars, argument.default))
                case "input":
                    values[argument.name] = next(inputs, None)
                case "output":
                    values[argument.name] = next(outputs, None)
                case _:
                    values[argument.name] = next(reductions)
            if compiled and argument.is_store:
                values[argument.name] = np.asarray(values[argument.name])
        func(**values)

    def _check_count(self, ctx: Any) -> None:
        """Parameters with defaults may be left out; none may be too many."""
        given = len(ctx.inputs) + len(ctx.outputs) + len(ctx.scalars)
        given += len(ctx.reductions) if self.reductions else 0
        expected = len(self.arguments) - self.with_context
        least = sum(a.default is _EMPTY for a in self.arguments) - self.with_context
        if not least <= given <= expected:
            raise ValueError(f"Wrong number of given arguments ({given}), expected {expected}")


def as_store(argument: Argument, value: Any) -> LogicalStore | None:
    """The store an array argument stands for; None if it is left out. TypeError and NotImplementedError name the argument."""
    if value is None and argument.optional:
        return None
    if isinstance(value, LogicalStore):
        return value
    if not hasattr(value, "__legate_data_interface__"):
        raise TypeError(f"Argument: '{argument.name}' expected one of ({LogicalStore},), got {type(value)}")
    try:
        return as_logical_store(value)
    except Exception as error:
        error.add_note(f"Task Argument: '{argument.name}'")
        raise


def _add_store(task: Any, argument: Argument, store: LogicalStore | None) -> None:
    if store is None:
        task.leave_out(argument.role)
    elif argument.role == INPUT:
        task.add_input(store)
    elif argument.role == OUTPUT:
        task.add_output(store)
    else:
        task.add_reduction(store, ReductionOpKind[argument.role.upper()])


def _add_scalar(task: Any, argument: Argument, value: Any) -> None:
    value = capture(argument, value)
    if isinstance(value, Scalar):
        task.add_scalar_arg(value)
    elif isinstance(value, Pickled):
        data = PICKLED + value.data
        task.add_scalar_arg(data, dtype=binary_type(len(data)))
    else:
        task.add_scalar_arg(value, dtype=Type.from_python_object(value))


def _unpacked(argument: Argument, scalar: Any) -> Any:
    """The Python value of a by-value argument, as the parameter's annotation wants it."""
    if issubclass(argument.type, Scalar):
        return scalar
    if scalar is argument.default:
        return scalar
    value = scalar.value()
    if isinstance(value, bytes | memoryview) and bytes(value[: len(PICKLED)]) == PICKLED:
        return Pickled.loads(bytes(value[len(PICKLED) :]))
    if isinstance(value, argument.type) or (value is None and argument.optional):
        return value
    convert: Any = argument.type
    return convert(value)
