"""TaskContext: what a task's body may ask about the point it runs.

Made per point, its stores' tuples only when asked for. Knows nothing of how the body was launched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from legate.core._enums import VariantCode
from legate.core._shape import Domain, DomainPoint

if TYPE_CHECKING:
    from legate.core._launch import TaskLaunch
    from legate.core._machine import Machine
    from legate.core._physical import PhysicalStore
    from legate.core._scalar import Scalar

__all__ = ["TaskContext"]


class TaskContext:
    """The point a task's body runs: its arguments, where it runs and its place in the launch."""

    __slots__ = ("_launch", "_index", "_grid", "_stores")

    _launch: TaskLaunch
    _index: tuple[int, ...]
    _grid: tuple[int, ...]
    _stores: Sequence[Any]

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(
        cls, launch: TaskLaunch, index: tuple[int, ...], grid: tuple[int, ...], stores: Sequence[Any]
    ) -> TaskContext:
        self = object.__new__(cls)
        self._launch, self._index, self._grid, self._stores = launch, index, grid, stores
        return self

    def get_task_id(self) -> int:
        """The task's id in its library."""
        return self._launch.plan.task_id

    def get_variant_kind(self) -> VariantCode:
        """The kind of processor this body was chosen for."""
        return self._launch.plan.placement.kind

    def _having(self, wanted: tuple[str, ...]) -> tuple[PhysicalStore, ...]:
        roles = self._launch.plan.roles
        return tuple(s for s, role in zip(self._stores, roles, strict=True) if role in wanted)

    @property
    def inputs(self) -> tuple[PhysicalStore, ...]:
        """The local parts of the input arguments, in order."""
        return self._having(("input",))

    @property
    def outputs(self) -> tuple[PhysicalStore, ...]:
        """The local parts of the output arguments, in order."""
        return self._having(("output",))

    @property
    def reductions(self) -> tuple[PhysicalStore, ...]:
        """The private copies of the reduction arguments, in order."""
        roles = self._launch.plan.roles
        return tuple(
            s for s, role in zip(self._stores, roles, strict=True) if role not in ("input", "output")
        )

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """The by-value arguments, in order."""
        return self._launch.scalars()

    def is_single_task(self) -> bool:
        """Whether this is the only point of its launch."""
        return not self._grid

    @property
    def task_index(self) -> DomainPoint:
        """This point's place in the launch domain; of no axes when it is the only one."""
        return self._index

    @property
    def launch_domain(self) -> Domain:
        """The launch domain, both bounds inclusive; empty when this is the only point."""
        grid = self._grid
        low = self._launch.plan.lower or (0,) * len(grid)
        return Domain(low, tuple(lo + n - 1 for lo, n in zip(low, grid, strict=True)))

    @property
    def machine(self) -> Machine:
        """The machine of the scope the task was called in."""
        return self._launch.plan.placement.machine

    @property
    def provenance(self) -> str:
        """The provenance of the scope the task was called in, or ''."""
        return self._launch.plan.placement.provenance

    @property
    def task_stream(self) -> int | None:
        """Address of the CUDA stream work belongs on; None on a CPU."""
        return None

    def can_raise_exception(self) -> bool:
        """Whether the task was declared to raise."""
        return self._launch.plan.may_throw
