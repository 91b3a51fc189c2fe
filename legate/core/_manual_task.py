"""ManualTask: a launch over a domain the caller chose, on stores whole or cut into tiles by the caller.

Which tile a point gets is the point itself or a projection of it. Knows nothing of constraints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from legate.core._auto_task import Operation, operator_of, user_frame
from legate.core._launch import Arguments, ContextLaunch, Plan, settle, submit
from legate.core._library import Library
from legate.core._partition import LogicalStorePartition
from legate.core._shape import SymbolicExpr
from legate.core._store import LogicalStore
from legate_jit.ir.tasks import partition
from legate_jit.ir.tasks.partition import Color, Tiles
from legate_jit.tasks import TaskSpec

__all__ = ["ManualTask"]

Projection = Sequence[SymbolicExpr]


class ManualTask(Operation):
    """A launch whose domain and partitions are given. Made by `Runtime.create_manual_task`."""

    __slots__ = ("_shape", "_lower", "_stores", "_roles", "_tiles")

    _shape: tuple[int, ...]  # number of points along each axis
    _lower: tuple[int, ...]
    _stores: list[LogicalStore]
    _roles: list[str]
    _tiles: list[tuple[tuple[int, ...], tuple[Color, ...] | None] | None]

    @classmethod
    def _make(
        cls, library: Library, task_id: int, launch_shape: Sequence[int], lower_bounds: Sequence[int] | None
    ) -> ManualTask:
        self = object.__new__(cls)
        self._begin(library, task_id)
        self._shape = tuple(int(n) for n in launch_shape)
        self._lower = () if lower_bounds is None else tuple(int(n) for n in lower_bounds)
        self._stores, self._roles, self._tiles = [], [], []
        return self

    def add_input(
        self, arg: Any, projection: Projection | None = None, is_key_partition: bool = False
    ) -> None:
        """Add a store, or a partition of one, that is read.

        projection: per axis of the partition, which tile a point gets; default: the one its own index names.
        TypeError for anything but stores and partitions; ValueError for an unbound store.
        """
        if not isinstance(arg, LogicalStore | LogicalStorePartition):
            raise TypeError(f"Expected a logical store or store partition but got {type(arg)}")
        self._add("input", arg, projection)

    def add_output(
        self, arg: Any, projection: Projection | None = None, is_key_partition: bool = False
    ) -> None:
        """Add a store, or a partition of one, that is written. As `add_input`; an unbound store is allowed."""
        if not isinstance(arg, LogicalStore | LogicalStorePartition):
            raise TypeError(f"Expected a logical store or store partition but got {type(arg)}")
        self._add("output", arg, projection)

    def add_reduction(
        self, arg: Any, redop: Any, projection: Projection | None = None, is_key_partition: bool = False
    ) -> None:
        """Add a store, or a partition of one, that is reduced into with `redop`. ValueError for anything else."""
        if not isinstance(arg, LogicalStore | LogicalStorePartition):
            raise ValueError(f"Expected a logical store or store partition but got {type(arg)}")
        self._add(operator_of(redop), arg, projection)

    def _add(
        self, role: str, arg: LogicalStore | LogicalStorePartition, projection: Projection | None
    ) -> None:
        if isinstance(arg, LogicalStore):
            settle(arg, role)
            store, tiles = arg, None
        else:
            store, tiles = arg.store(), (arg.tile_shape, _colors(projection))
        self._stores.append(store)
        self._roles.append(role)
        self._tiles.append(tiles)

    @property
    def raw_handle(self) -> int:
        """A number that tells this task from others."""
        return id(self)

    def execute(self) -> None:
        """Record the launch. ValueError for partitions and projections that do not fit; see also `throws_exception`."""
        arguments = Arguments.of(self._stores)
        operands, roles = [], []
        for store, role, tiles in zip(self._stores, self._roles, self._tiles, strict=True):
            if store._store is not None:
                operands.append(_operand(store, tiles))
                roles.append(role)
        cut = partition.explicit(self._shape, operands, self._lower)
        info, place = self._info, self._placement
        spec = TaskSpec(
            info.name,
            tuple(roles),
            partition=cut,
            concurrent=self._concurrent,
            together=bool(self._communicators),
            ordered=bool(arguments.unbound),
        )
        function = info._variants[place.kind]
        plan = Plan(info.name, info._id, function, place, tuple(self._roles), spec, lower=self._lower or None)
        plan.declare(self._may_throw, arguments)
        submit(ContextLaunch(plan, self._scalars, user_frame(), arguments.unbound), arguments)


def _colors(projection: Projection | None) -> tuple[Color, ...] | None:
    if projection is None:
        return None
    return tuple(Color(e.dim, e.weight, e.offset) for e in projection)


def _operand(store: LogicalStore, tiles: tuple[tuple[int, ...], tuple[Color, ...] | None] | None) -> Tiles:
    """How the engine's operand for a store is cut; axes that carry elements stay whole."""
    shape = store._shown.shape
    if tiles is None:
        return Tiles(shape)
    tile, colors = tiles
    if store._words:
        tile = (*tile, store._words)
        whole = Color(-1, 0, 0)
        colors = (*(colors or (Color(d) for d in range(store.ndim))), whole)
    return Tiles(shape, tile, colors)
