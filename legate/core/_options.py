"""What is said about tasks and libraries when they are registered.

Plain data; knows neither tasks nor libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from legate.core._shape import LocalTaskID

__all__ = ["ResourceConfig", "TaskConfig", "VariantOptions"]


class VariantOptions:
    """What a variant of a task needs or may do.

    may_throw_exception: its exceptions are raised where it was called. has_side_effect: never left out. concurrent: all its
    points run at the same time. communicators: names of what its points talk through. The others are hints for GPUs.
    """

    __slots__ = (
        "concurrent",
        "has_allocations",
        "elide_device_ctx_sync",
        "has_side_effect",
        "may_throw_exception",
        "_communicators",
    )

    def __init__(
        self,
        *,
        concurrent: bool = False,
        has_allocations: bool = False,
        elide_device_ctx_sync: bool = False,
        has_side_effect: bool = False,
        may_throw_exception: bool = False,
        communicators: Iterable[str] = (),
    ) -> None:
        self.concurrent, self.has_allocations = bool(concurrent), bool(has_allocations)
        self.elide_device_ctx_sync, self.has_side_effect = bool(elide_device_ctx_sync), bool(has_side_effect)
        self.may_throw_exception = bool(may_throw_exception)
        self.communicators = communicators

    @property
    def communicators(self) -> tuple[str, ...]:
        """Names of what its points talk through."""
        return self._communicators

    @communicators.setter
    def communicators(self, names: Iterable[str]) -> None:
        self._communicators: tuple[str, ...] = tuple(names)

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in VariantOptions.__slots__)

    def _copy(self) -> VariantOptions:
        made = object.__new__(VariantOptions)
        for name in VariantOptions.__slots__:
            setattr(made, name, getattr(self, name))
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VariantOptions):
            return NotImplemented
        return self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = (f"{name.lstrip('_')}={getattr(self, name)}" for name in VariantOptions.__slots__)
        return f"VariantOptions({', '.join(fields)})"


class TaskConfig:
    """The id of a task in its library, and the options of its variants."""

    __slots__ = ("_task_id", "_options")

    def __init__(self, task_id: LocalTaskID | int, *, options: VariantOptions | None = None) -> None:
        self._task_id = LocalTaskID(int(task_id))
        self._options: VariantOptions | None = None
        self.variant_options = options

    @property
    def task_id(self) -> LocalTaskID:
        """The id."""
        return self._task_id

    @property
    def variant_options(self) -> VariantOptions | None:
        """A copy of the options."""
        return None if self._options is None else self._options._copy()

    @variant_options.setter
    def variant_options(self, options: VariantOptions | None) -> None:
        self._options = None if options is None else options._copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskConfig):
            return NotImplemented
        return self._task_id == other._task_id and self._options == other._options

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TaskConfig({self._task_id}, {self._options})"


@dataclass
class ResourceConfig:
    """How many things of each kind a library may register at most."""

    max_tasks: int = 1024
    max_dyn_tasks: int = 0
    max_reduction_ops: int = 0
    max_projections: int = 0
    max_shardings: int = 0
