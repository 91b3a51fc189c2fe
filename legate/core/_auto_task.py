"""AutoTask: a launch put together argument by argument, cut as the solver sees fit under the constraints given.

The engine gets the arguments in the order in which they were added. Knows nothing of signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from sys import _getframe
from types import FrameType
from typing import TYPE_CHECKING, Any

from legate.core import _constraints
from legate.core import types as ty
from legate.core._constraints import Constraint, Variable
from legate.core._enums import VariantCode
from legate.core._interface import as_logical_store
from legate.core._launch import (
    Arguments,
    ContextLaunch,
    FunctionLaunch,
    Placement,
    Plan,
    TaskLaunch,
    settle,
    submit,
)
from legate.core._library import Library
from legate.core._scalar import Scalar
from legate.core._scope import current
from legate.core._store import LogicalStore
from legate.core.types import ReductionOpKind
from legate_jit.ir.tasks import partition
from legate_jit.tasks import TaskSpec

if TYPE_CHECKING:
    from legate.core.task._invoker import VariantInvoker

__all__ = ["AutoTask"]


_OURS = ("legate.core", "legate_jit.")
_COMMUNICATORS = ("cpu", "nccl")


def user_frame() -> FrameType:
    """The innermost frame outside this package."""
    frame = _getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        frame = frame.f_back
    return frame


def operator_of(redop: Any) -> str:
    """The engine's name of a reduction operator, given as a `ReductionOpKind` or its number."""
    return ReductionOpKind(redop).name.lower()


def scalar_of(value: Any, dtype: Any = None) -> Scalar:
    """A by-value argument. `dtype`: its type, or `(type,)` of a sequence's elements. TypeError for any other `dtype`."""
    if isinstance(value, Scalar):
        return value
    if dtype is None:
        return Scalar(value)
    if isinstance(dtype, tuple):
        if len(dtype) != 1 or not isinstance(dtype[0], ty.Type):
            raise TypeError(f"Unsupported type: {dtype}")
        return Scalar(value, ty.array_type(dtype[0], len(value)))
    if not isinstance(dtype, ty.Type):
        raise TypeError(f"Unsupported type: {dtype}")
    return Scalar(value, dtype)


class Operation:
    """What both kinds of tasks have: scalars, options, exceptions, and where they run."""

    __slots__ = ("_info", "_placement", "_scalars", "_exceptions", "_concurrent", "_effect", "_communicators")

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    def _begin(self, library: Library, task_id: int) -> None:
        self._info = library._find(task_id)
        self._placement = Placement(current(), self._info.name, self._info._variants)
        self._scalars: list[Scalar] = []
        self._exceptions: list[type] = []
        options = self._info._options
        self._concurrent = bool(options and options.concurrent)
        self._effect = bool(options and options.has_side_effect)
        self._communicators: list[str] = list(options.communicators) if options else []

    def _check_open(self, what: str) -> None:
        """Raise if arguments may no longer be added."""

    def add_scalar_arg(self, value: Any, dtype: Any = None) -> None:
        """Add a by-value argument: a `Scalar`, or a value and its type (`(type,)`: of its elements); without one it is inferred.

        TypeError `Unsupported type: ...` for a dtype that is no type.
        """
        self._check_open("scalar arguments")
        self._scalars.append(scalar_of(value, dtype))

    def provenance(self) -> str:
        """The provenance of the scope the task was created in."""
        return self._placement.provenance

    def set_concurrent(self, concurrent: bool) -> None:
        """Say that points wait for each other."""
        self._concurrent = bool(concurrent)

    def set_side_effect(self, has_side_effect: bool) -> None:
        """Say that the task does more than write its outputs. Every launch runs, so nothing follows from it."""
        self._effect = bool(has_side_effect)

    def throws_exception(self, exception_type: type) -> None:
        """Say that the body may raise; `execute` then waits and raises it (as the scope's exception mode says)."""
        self._exceptions.append(exception_type)

    @property
    def exception_types(self) -> tuple[type, ...]:
        """What `throws_exception` was told."""
        return tuple(self._exceptions)

    def add_communicator(self, name: str) -> None:
        """Ask for a communicator among the points: 'cpu' or 'nccl'. RuntimeError for others. Points share memory here."""
        if name not in _COMMUNICATORS:
            raise RuntimeError(f"No factory available for communicator '{name}'")
        self._communicators.append(name)

    def add_cpu_communicator(self) -> None:
        """`add_communicator("cpu")`."""
        self.add_communicator("cpu")

    def add_cal_communicator(self) -> None:
        """`add_communicator("cal")`."""
        self.add_communicator("cal")

    def add_nccl_communicator(self) -> None:
        """`add_communicator("nccl")`."""
        self.add_communicator("nccl")

    @property
    def _may_throw(self) -> bool:
        options = self._info._options
        return bool(self._exceptions) or (options is not None and options.may_throw_exception)


class AutoTask(Operation):
    """A launch whose partition is found by the runtime. Made by `Runtime.create_auto_task` and `PyTask.prepare_call`."""

    __slots__ = ("_token", "_stores", "_roles", "_symbols", "_known", "_relations", "_locked", "_prepared")

    _token: object  # tells our variables from those of others without a reference back
    _stores: list[LogicalStore | None]
    _roles: list[str]
    _symbols: list[Variable | None]
    _known: dict[Any, Variable]
    _relations: list[Constraint]
    _locked: bool
    _prepared: tuple[Any, ...] | None

    @classmethod
    def _make(cls, library: Library, task_id: int) -> AutoTask:
        self = object.__new__(cls)
        self._begin(library, task_id)
        self._token = object()
        self._stores, self._roles, self._symbols = [], [], []
        self._known, self._relations = {}, []
        self._locked, self._prepared = False, None
        return self

    # -- arguments --

    def add_input(self, array_or_store: Any, partition: Variable | None = None) -> Variable:
        """Add an array that is read; its partition symbol. ValueError for an unbound store."""
        self._check_open("inputs")
        return self._add("input", as_logical_store(array_or_store), partition)

    def add_output(self, array_or_store: Any, partition: Variable | None = None) -> Variable:
        """Add an array that is written; its partition symbol."""
        self._check_open("outputs")
        return self._add("output", as_logical_store(array_or_store), partition)

    def add_reduction(self, array_or_store: Any, redop: Any, partition: Variable | None = None) -> Variable:
        """Add an array that is reduced into with `redop`; its partition symbol. ValueError for an unbound store."""
        self._check_open("reductions")
        return self._add(operator_of(redop), as_logical_store(array_or_store), partition)

    def leave_out(self, role: str) -> None:
        """Add nothing where an optional array could be; the body gets None."""
        self._stores.append(None)
        self._roles.append(role)
        self._symbols.append(None)

    def _add(self, role: str, store: LogicalStore, symbol: Variable | None) -> Variable:
        settle(store, role)
        if symbol is None:
            symbol = self.find_or_declare_partition(store)
        elif symbol._operation is not self._token:
            raise ValueError("Invalid partition symbol")
        self._stores.append(store)
        self._roles.append(role)
        self._symbols.append(symbol)
        return symbol

    def _check_open(self, what: str) -> None:
        if self._locked:
            raise RuntimeError(f"Attempting to add {what} to a prepared Python task is illegal!")

    def lock(self) -> None:
        """Let no more arguments be added."""
        self._locked = True

    def _fix(
        self,
        functions: Mapping[VariantCode, Callable[..., None]],
        values: list[Any],
        invoker: VariantInvoker,
        positions: tuple[int, ...],
    ) -> None:
        """Make this a call of a Python function with all its arguments."""
        self._prepared = (functions, values, invoker, positions)
        self.lock()

    # -- constraints --

    def declare_partition(self) -> Variable:
        """A new partition symbol, of no store yet."""
        return Variable._make(self._token, len(self._symbols) + len(self._known))

    def find_or_declare_partition(self, array_or_store: Any) -> Variable:
        """The partition symbol of a store in this task: the same for the same view of the same data."""
        store = as_logical_store(array_or_store)
        key = (id(store._store), store._lens) if store._store is not None else id(store)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.declare_partition()
        return found

    def add_constraint(self, constraint: Constraint | Iterable[Any]) -> None:
        """Add a constraint, or all of a (nested) sequence.

        TypeError for what is none, ValueError for symbols of another task, RuntimeError if the function declared its constraints.
        """
        if isinstance(constraint, Constraint):
            self._constrain(constraint)
        elif isinstance(constraint, Iterable) and not isinstance(constraint, str):
            for c in constraint:
                self.add_constraint(c)
        else:
            raise TypeError(type(constraint))

    def _constrain(self, constraint: Constraint) -> None:
        invoker = self._info._invoker
        if invoker is not None and invoker.constraints:
            raise RuntimeError(
                f"Task {self._info.name} has pre-declared signature, cannot override it by adding constraints (of any "
                "kind) at the task callsite. Either remove the signature from the task declaration, or remove the "
                "manual add_constraint() calls from the task construction sequence."
            )
        if any(v._operation is not self._token for v in constraint.operands):
            raise ValueError("Invalid partition symbol")
        self._relations.append(constraint)

    def add_alignment(self, store1: Any, store2: Any) -> None:
        """Cut two stores of this task the same way."""
        find = self.find_or_declare_partition
        self.add_constraint(_constraints.align(find(store1), find(store2)))

    def add_broadcast(self, store: Any, axes: int | Iterable[int] | None = None) -> None:
        """Do not cut a store of this task along `axes` (default: along any)."""
        if axes is not None and not isinstance(axes, int | Iterable):
            raise ValueError("axes must be an integer or an iterable")
        symbol = self.find_or_declare_partition(store)
        if axes is None:
            self.add_constraint(_constraints.broadcast(symbol))
        else:
            self.add_constraint(
                _constraints.broadcast(symbol, (axes,) if isinstance(axes, int) else tuple(axes))
            )

    # -- launch --

    @property
    def raw_handle(self) -> int:
        """A number that tells this task from others."""
        return id(self)

    def execute(self) -> None:
        """Record the launch. ValueError for constraints that the shapes do not allow; see also `throws_exception`."""
        stores = [s for s in self._stores if s is not None]
        roles = tuple(r for s, r in zip(self._stores, self._roles, strict=True) if s is not None)
        symbols = [s for s in self._symbols if s is not None]
        for store, role in zip(stores, roles, strict=True):
            settle(store, role)
        unbound = [s._store is None for s in stores]
        relations = self._solver_relations(symbols, unbound)
        arguments = Arguments.of(stores)
        place = self._placement
        engine_roles = tuple(r for r, u in zip(roles, unbound, strict=True) if not u)
        spec = TaskSpec(
            self._info.name,
            engine_roles,
            relations,
            place.pieces,
            place.threshold,
            None,
            self._concurrent,
            bool(self._communicators),
            bool(arguments.unbound),
        )
        submit(self._launch(spec, roles, arguments), arguments)

    def _launch(self, spec: TaskSpec, roles: tuple[str, ...], arguments: Arguments) -> TaskLaunch:
        info, place = self._info, self._placement
        function: Callable[..., None] = info._variants[place.kind]
        if self._prepared is None:
            absent = tuple(k for k, s in enumerate(self._stores) if s is None)
            plan = Plan(info.name, info._id, function, place, tuple(self._roles), spec, absent=absent)
            launch: TaskLaunch = ContextLaunch(plan, self._scalars, user_frame(), arguments.unbound)
        else:
            functions, values, invoker, positions = self._prepared
            plan = Plan(
                info.name,
                info._id,
                functions[place.kind],
                place,
                roles,
                spec,
                positions=tuple(p for p, s in zip(positions, self._stores, strict=True) if s is not None),
                scalar_positions=tuple(k for k, a in enumerate(invoker.arguments) if a.role == "scalar"),
                with_context=invoker.with_context,
                copied=True,
            )
            launch = FunctionLaunch(plan, values, user_frame(), arguments.unbound)
        plan.declare(self._may_throw, arguments)
        return launch

    def _solver_relations(
        self, symbols: Sequence[Variable], unbound: Sequence[bool]
    ) -> tuple[partition.Constraint, ...]:
        """All constraints by the engine's operand numbers; arguments that share a symbol are cut alike."""
        numbers: dict[Variable, int] = {}
        found: list[partition.Constraint] = []
        open_ = {s for s, u in zip(symbols, unbound, strict=True) if u}
        bound = [s for s, u in zip(symbols, unbound, strict=True) if not u]
        for number, symbol in enumerate(bound):
            first = numbers.setdefault(symbol, number)
            if first != number:
                found.append(partition.Align(first, number))
        for relation in self._relations:
            if any(v not in numbers and v not in open_ for v in relation.operands):
                raise ValueError("Invalid partition symbol")
            _constraints.check_alignment(relation, open_)
            translated = _constraints.translate(relation, numbers.get)
            if translated is not None:
                found.append(translated)
        invoker = self._info._invoker
        if invoker is not None and invoker.constraints:
            found += invoker.constrain(self._by_name(invoker))
        return tuple(found)

    def _by_name(self, invoker: VariantInvoker) -> dict[str, LogicalStore | None]:
        """The arrays by the names of the parameters they are for."""
        if self._prepared is not None:
            names: Iterable[str] = [a.name for a in invoker.arguments if a.is_store]
        else:
            of_role = {"input": iter(invoker.inputs), "output": iter(invoker.outputs)}
            reductions = iter(invoker.reductions)
            names = [next(of_role.get(role, reductions), "") for role in self._roles]
        return dict(zip(names, self._stores, strict=True))
