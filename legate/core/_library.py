"""Libraries: namespaces of tasks. TaskInfo: what a library knows of a task.

Knows nothing of arguments and launches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from legate.core._enums import VariantCode
from legate.core._options import ResourceConfig, TaskConfig, VariantOptions

if TYPE_CHECKING:
    from legate.core._context import TaskContext
    from legate.core.task._invoker import VariantInvoker

    VariantFunction = Callable[[TaskContext], None]

__all__ = ["Library", "TaskInfo", "create_library", "find_library", "find_or_create_library"]

#: distance of the global ids of two libraries
_SPACE = 1 << 20


class TaskInfo:
    """A task as its library knows it: a name, and for every variant a function that takes a `TaskContext`."""

    __slots__ = ("_name", "_id", "_variants", "_library", "_options", "_invoker", "_registered")

    _name: str
    _id: int
    _variants: dict[VariantCode, VariantFunction]
    _library: Library
    _options: VariantOptions | None
    _invoker: VariantInvoker | None  # of a task made from a Python function
    _registered: bool

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, task_id: int, name: str, library: Library, options: VariantOptions | None) -> TaskInfo:
        self = object.__new__(cls)
        self._id, self._name, self._library, self._options = task_id, name, library, options
        self._variants = {}
        self._invoker, self._registered = None, False
        return self

    @classmethod
    def from_variants(
        cls, local_task_id: int, name: str, variants: Sequence[tuple[VariantCode, VariantFunction]]
    ) -> TaskInfo:
        """A task with these variants and default options. Errors as of `from_variants_config`."""
        return cls.from_variants_config(
            config=TaskConfig(local_task_id), library=core_library(), name=name, variants=variants
        )

    @classmethod
    def from_variants_config(
        cls,
        config: TaskConfig,
        library: Library,
        name: str,
        variants: Sequence[tuple[VariantCode, VariantFunction]],
    ) -> TaskInfo:
        """A task with these variants, and the id and options of `config`.

        ValueError for no variants or an unknown kind, TypeError for a function that is not callable.
        """
        if not variants:
            raise ValueError("Variants must not be empty")
        self = cls._make(int(config.task_id), name, library, config.variant_options)
        for kind, function in variants:
            self.add_variant(kind, function)
        return self

    @property
    def name(self) -> str:
        """The task's name."""
        return self._name

    def has_variant(self, variant_id: VariantCode) -> bool:
        """Whether the task can run on this kind of processor."""
        return variant_id in self._variants

    def add_variant(self, variant_kind: VariantCode, fn: VariantFunction) -> None:
        """Let `fn` be the body on one kind of processor.

        ValueError for an unknown kind, TypeError if `fn` is not callable, RuntimeError if the kind has a body already.
        """
        kind = VariantCode(variant_kind)
        if not callable(fn):
            raise TypeError(f"Variant function ({fn}) for variant kind {kind} is not callable")
        if kind in self._variants:
            raise RuntimeError(
                f"Already added callback ({self._variants[kind]}) for {int(kind)} variant (local id: {self._id})"
            )
        self._variants[kind] = fn

    def __str__(self) -> str:
        return f"TaskInfo(name: {self._name}, variants: {', '.join(v.name for v in self._variants)})"

    __repr__ = __str__


class Library:
    """A namespace of tasks; ids are local to it."""

    __slots__ = ("_name", "_config", "_number", "_tasks", "_next", "_lock", "_defaults")

    _name: str
    _config: ResourceConfig | None
    _number: int
    _tasks: dict[int, TaskInfo]
    _next: int
    _lock: threading.Lock
    _defaults: dict[VariantCode, VariantOptions]

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(
        cls,
        name: str,
        number: int,
        config: ResourceConfig | None,
        defaults: Mapping[VariantCode, VariantOptions] | None,
    ) -> Library:
        self = object.__new__(cls)
        self._name, self._number, self._config = name, number, config
        self._defaults = dict(defaults or {})
        self._tasks = {}
        self._next = 1
        self._lock = threading.Lock()
        return self

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def get_new_task_id(self) -> int:
        """A local id that no task has and that was not given out before."""
        with self._lock:
            while self._next in self._tasks:
                self._next += 1
            self._next += 1
            return self._next - 1

    def get_task_id(self, local_task_id: int) -> int:
        """The global id of a local one."""
        return self._number * _SPACE + int(local_task_id)

    def get_reduction_op_id(self, local_redop_id: int) -> int:
        """The global id of a local reduction operator."""
        return self._number * _SPACE + int(local_redop_id)

    def register_task(self, task_info: TaskInfo) -> None:
        """Add a task. ValueError if its id is taken, RuntimeError if the task was registered before."""
        local = task_info._id
        with self._lock:
            if task_info._registered or not task_info._variants:
                raise RuntimeError(f"Task (local id: {local}) has no variants!")
            if local in self._tasks:
                raise ValueError(f"Task {local} already exists in library {self._name}")
            if task_info._options is None and self._defaults:
                task_info._options = next(
                    (self._defaults[v] for v in task_info._variants if v in self._defaults), None
                )
            self._tasks[local] = task_info
            task_info._registered = True

    def _find(self, task_id: int) -> TaskInfo:
        """The task of a local id. IndexError if there is none."""
        found = self._tasks.get(int(task_id))
        if found is None:
            raise IndexError(f"Library {self._name} does not have task {task_id}")
        return found

    def __repr__(self) -> str:
        return f"Library({self._name})"


_libraries: dict[str, Library] = {}
_creation = threading.Lock()


def find_library(name: str) -> Library:
    """The library of this name. ValueError if there is none."""
    found = _libraries.get(name)
    if found is None:
        raise ValueError(f"Library {name} does not exist")
    return found


def find_or_create_library(
    name: str,
    config: ResourceConfig | None = None,
    default_options: Mapping[VariantCode, VariantOptions] | None = None,
) -> tuple[Library, bool]:
    """The library of this name, and whether it was created just now."""
    with _creation:
        found = _libraries.get(name)
        if found is not None:
            return found, False
        made = _libraries[name] = Library._make(name, len(_libraries), config, default_options)
        return made, True


def create_library(
    name: str,
    config: ResourceConfig | None = None,
    default_options: Mapping[VariantCode, VariantOptions] | None = None,
) -> Library:
    """A new library. ValueError if the name is taken."""
    library, created = find_or_create_library(name, config, default_options)
    if not created:
        raise ValueError(f"Library {name} already exists")
    return library


def core_library() -> Library:
    """The library that tasks belong to when nothing else is said."""
    return find_or_create_library("legate.core")[0]
