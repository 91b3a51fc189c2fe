"""PyTask: a Python function as a task. Calling it records a launch.

The call path is short on purpose: what depends on the machine and on the signature is decided once per scope (`Plan`), and a call
whose arguments are of the expected classes touches each of them once. Everything else goes the slow way, which raises the errors.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from sys import _getframe
from types import FrameType
from typing import Any

from legate.core._auto_task import AutoTask
from legate.core._compiled import prepared
from legate.core._enums import VariantCode
from legate.core._launch import Arguments, FunctionLaunch, Placement, Plan, settle, submit
from legate.core._library import Library, TaskInfo, core_library
from legate.core._options import TaskConfig, VariantOptions
from legate.core._scope import current
from legate.core._store import LogicalStore
from legate.core._values import PLAIN, capture
from legate.core._variants import validate_variant
from legate.core.task import _nested
from legate.core.task._invoker import VariantInvoker, as_store
from legate.core.task._signature import SCALAR
from legate_jit import hosting, runtime, tasks
from legate_jit.hosting import attachments
from legate_jit.running.bodies import active, running
from legate_jit.tasks import TaskSpec

__all__ = ["PyTask"]

#: the array face's array, which holds a store and a lens as `LogicalStore` does; once one has been seen
_ndarray: type | None = None
_registration = threading.RLock()


def _name_of(func: Any) -> str:
    """What to call a task made from `func`."""
    func = getattr(func, "py_func", func)
    return str(getattr(func, "__qualname__", type(func).__qualname__))


class PyTask:
    """A task whose body is a Python function; made by the decorator `task`.

    func: the body, also of every variant that gets no function of its own. variants: the kinds of processor it can run on.
    constraints: how its store parameters are cut, by name. options: what the runtime should know of it, and its id.
    invoker, library: the calling convention, and where it is registered (default: made from `func`; the core library).
    Errors: what its signature does not allow (see `VariantInvoker`), ValueError for a variant that does not exist.
    """

    def __init__(
        self,
        *,
        func: Callable[..., None],
        variants: Sequence[VariantCode],
        constraints: Any = None,
        options: TaskConfig | VariantOptions | None = None,
        invoker: VariantInvoker | None = None,
        library: Library | None = None,
    ) -> None:
        for kind in variants:
            validate_variant(kind)
        self._invoker = VariantInvoker(func, constraints=constraints) if invoker is None else invoker
        self._name = _name_of(func)
        self.__name__ = getattr(func, "__name__", self._name)
        self.__doc__ = getattr(func, "__doc__", None)
        self.__wrapped__ = func
        self._functions: dict[VariantCode, Callable[..., None]] = dict.fromkeys(variants, func)
        self._task_id: int | None = options.task_id if isinstance(options, TaskConfig) else None
        self._options = options.variant_options if isinstance(options, TaskConfig) else options
        self._library = library
        self._registered = False
        arguments = self._invoker.arguments
        context = self._invoker.with_context
        self._count = len(arguments) - context
        self._positions = tuple(k for k, a in enumerate(arguments) if a.is_store)
        self._scalars = tuple((k, a.type) for k, a in enumerate(arguments) if a.role == SCALAR)
        #: scalars whose values are passed on when they are of exactly this class; other values are looked at
        self._fast = tuple((k, t if t in PLAIN else _Never) for k, t in self._scalars)
        self._prefix: list[Any] = [None] if context else []
        # Pairs, so that threads in different scopes see both or neither:
        #: the scope of the last call, and the plan of calls whose arrays are all there and ordinary
        self._ready: tuple[Any, Plan | None] = (None, None)
        #: that scope, and the plans of all kinds of calls in it
        self._plans: tuple[Any, dict[Any, Plan]] = (None, {})

    def __repr__(self) -> str:
        return f"<task {self._name}>"

    # -- registration --

    @property
    def registered(self) -> bool:
        """Whether the task is in its library; its variants are fixed then."""
        return self._registered

    @property
    def library(self) -> Library:
        """The library it is, or will be, registered in."""
        return core_library() if self._library is None else self._library

    @property
    def task_id(self) -> int:
        """Its id in its library; registers it."""
        return self.complete_registration()

    def complete_registration(self) -> int:
        """Put the task into its library, once; its id there. ValueError if it has no variant."""
        if not self._registered:
            with _registration:
                if not self._registered:
                    self._register()
        assert self._task_id is not None
        return self._task_id

    def _register(self) -> None:
        if not self._functions:
            raise ValueError("Task has no registered variants")
        library = self.library
        task_id = library.get_new_task_id() if self._task_id is None else self._task_id
        self._functions = {kind: prepared(f) for kind, f in self._functions.items()}
        info = TaskInfo._make(int(task_id), self._name, library, self._options)
        for kind, function in self._functions.items():
            info.add_variant(kind, _Callback(self._invoker, function))
        info._invoker = self._invoker
        library.register_task(info)
        self._task_id = int(task_id)
        self._registered = True

    def _update(self, kind: VariantCode, func: Callable[..., None]) -> Callable[..., None]:
        if self._registered:
            raise RuntimeError(
                f"Task (id: {self._task_id}) has already completed registration and cannot update its variants"
            )
        self._invoker.validate_signature(func)
        self._functions[kind] = func
        return func

    def cpu_variant(self, func: Callable[..., None]) -> Callable[..., None]:
        """Decorator: the body on CPUs. ValueError if its signature differs, RuntimeError after registration."""
        return self._update(VariantCode.CPU, func)

    def gpu_variant(self, func: Callable[..., None]) -> Callable[..., None]:
        """Decorator: the body on GPUs. Errors as of `cpu_variant`."""
        return self._update(VariantCode.GPU, func)

    def omp_variant(self, func: Callable[..., None]) -> Callable[..., None]:
        """Decorator: the body on OpenMP processors. Errors as of `cpu_variant`."""
        return self._update(VariantCode.OMP, func)

    # -- calls --

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Record a launch over these arguments: those of the function, less the context.

        Store parameters take a store, an array, or anything with `__legate_data_interface__`; None if optional. Others take
        a value of exactly the annotated class. TypeError for wrong arguments; ValueError for constraints that the shapes do not
        allow, or no variant for the machine. In the body of a task it runs at once, on stores
        that `PhysicalStore.to_logical_store` gives there.
        """
        if active and running() is not None:
            self.complete_registration()
            _nested.call(self, self._invoker.bind(args, kwargs), _getframe(1))
            return
        scope, plan = self._ready
        if plan is not None and scope is current() and len(args) == self._count and not kwargs:
            values = [*self._prefix, *args]
            arguments = []
            for k in self._positions:
                value = values[k]
                if value.__class__ is LogicalStore:
                    if value._store is None or value._type is not None:
                        break
                elif value.__class__ is not _ndarray:
                    break
                arguments.append((value._store, value._lens))
                values[k] = None
            else:
                for k, type_ in self._fast:
                    if values[k].__class__ is not type_:
                        break
                else:
                    tasks.launch(FunctionLaunch(plan, values, _getframe(1)), plan.spec, arguments)
                    if plan.immediate:
                        runtime.flush()
                    if attachments:
                        hosting.publish()
                    return
        self._call(args, kwargs, _getframe(1))

    def _call(self, args: Sequence[Any], kwargs: Mapping[str, Any], frame: FrameType) -> None:
        """A call of any kind."""
        values, stores = self._judge(args, kwargs)
        scope = current()
        planned, plans = self._plans
        if scope is not planned:
            plans = {}
            self._plans, self._ready = (scope, plans), (scope, None)
        present = [s for s in stores if s is not None]
        arguments = Arguments.of(present)
        key = (tuple([s is None for s in stores]), arguments.members, arguments.types)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = self._make_plan(scope, stores, arguments)
        if plan.members is None and plan.types is None and len(present) == len(stores):
            self._ready = (scope, plan)
        submit(FunctionLaunch(plan, values, frame, arguments.unbound), arguments)

    def _judge(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], list[LogicalStore | None]]:
        """What the parameters get (None for arrays), and the arrays. Raises what is wrong, in the parameters' order."""
        invoker = self._invoker
        self.complete_registration()
        values = invoker.bind(args, kwargs)
        stores: list[LogicalStore | None] = []
        for k, argument in enumerate(invoker.arguments):
            if argument.role == SCALAR:
                values[k] = capture(argument, values[k])
            elif argument.is_store:
                store = as_store(argument, values[k])
                _learn(values[k])
                values[k] = None
                stores.append(store)
                if store is not None:
                    settle(store, argument.role)
        return values, stores

    def _make_plan(self, scope: Any, stores: Sequence[LogicalStore | None], arguments: Arguments) -> Plan:
        """What calls in this scope with arrays left out or unbound as in `stores` share."""
        placement = Placement(scope, self._name, self._functions)
        invoker = self._invoker
        given = {invoker.arguments[k].name: s for k, s in zip(self._positions, stores, strict=True)}
        present = [a for a in invoker.arguments if given.get(a.name) is not None]
        relations = tuple(invoker.constrain(given))
        members = arguments.members or range(len(present))
        roles = tuple(a.role for a, m in zip(present, members, strict=True) if m >= 0)
        concurrent = bool(self._options and self._options.concurrent)
        spec = TaskSpec(self._name, roles, relations, placement.pieces, placement.threshold, None, concurrent)
        plan = Plan(
            self._name,
            self.task_id,
            self._functions[placement.kind],
            placement,
            tuple(a.role for a in present),
            spec,
            positions=tuple(k for k, s in zip(self._positions, stores, strict=True) if s is not None),
            scalar_positions=tuple(k for k, _ in self._scalars),
            with_context=invoker.with_context,
            copied=any(t not in PLAIN for _, t in self._scalars),
        )
        plan.declare(self._options is not None and self._options.may_throw_exception, arguments)
        return plan

    def prepare_call(self, *args: Any, **kwargs: Any) -> AutoTask:
        """A task with these arguments, to be run by `execute()`: for more constraints, or an exception it may raise.

        Its arguments are fixed. Errors as of a call.
        """
        values, stores = self._judge(args, kwargs)
        task = AutoTask._make(self.library, self.task_id)
        roles = [a.role for a in self._invoker.arguments if a.is_store]
        for role, store in zip(roles, stores, strict=True):
            if store is None:
                task.leave_out(role)
            else:
                task._add(role, store, None)
        task._fix(self._functions, values, self._invoker, self._positions)
        return task


class _Never:
    """No value is of this class."""


class _Callback:
    """A variant as the library knows it: called with a context."""

    __slots__ = ("function", "invoker")

    def __init__(self, invoker: VariantInvoker, function: Callable[..., None]) -> None:
        self.invoker, self.function = invoker, function

    def __call__(self, context: Any) -> None:
        self.invoker(context, self.function)


def _learn(value: Any) -> None:
    """Arrays of the array face need not go through the interface; the face may not be imported."""
    global _ndarray
    face = sys.modules.get("cupynumeric._array")
    if face is not None and value.__class__ is face.ndarray:
        _ndarray = face.ndarray
