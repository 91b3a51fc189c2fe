"""Processors: ranges of them, and machines that say which processors of each kind a piece of program may use.

Values; what the whole machine is comes from the configuration. Knows nothing of tasks.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legate.core._enums import TaskTarget

if TYPE_CHECKING:
    from legate.core._scope import Scope

__all__ = ["EmptyMachineError", "Machine", "ProcessorRange", "ProcessorSlice", "get_machine"]


class EmptyMachineError(RuntimeError):
    """A scope would have no processors."""


@dataclass(frozen=True)
class ProcessorSlice:
    """Some processors of one kind, as an index of a machine."""

    target: TaskTarget
    slice: slice


class ProcessorRange:
    """Processors low..high-1 of one kind, `per_node_count` of which are on each node. Empty ranges are all alike: 0..-1."""

    __slots__ = ("_low", "_high", "_per_node")

    _low: int
    _high: int
    _per_node: int

    def __init__(self, low: int = 0, high: int = 0, per_node_count: int = 1) -> None:
        low, high = _unsigned(low), _unsigned(high)
        self._low, self._high = (low, high) if low < high else (0, 0)
        self._per_node = _unsigned(per_node_count)

    @staticmethod
    def create(low: int, high: int, per_node_count: int) -> ProcessorRange:
        """Processors low..high-1."""
        return ProcessorRange(low, high, per_node_count)

    @staticmethod
    def create_empty() -> ProcessorRange:
        """No processors."""
        return ProcessorRange()

    @property
    def low(self) -> int:
        """The first processor."""
        return self._low

    @property
    def high(self) -> int:
        """One behind the last processor."""
        return self._high

    @property
    def per_node_count(self) -> int:
        """Processors on each node."""
        return self._per_node

    @property
    def count(self) -> int:
        """How many processors."""
        return self._high - self._low

    def __len__(self) -> int:
        return self._high - self._low

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return self._high == self._low

    def slice(self, sl: builtins.slice) -> ProcessorRange:
        """Some of them, counted from the first. ValueError for steps."""
        if sl.step is not None and sl.step != 1:
            raise ValueError("The slicing step must be 1")
        start, stop, _ = sl.indices(len(self))
        return ProcessorRange(self._low + start, self._low + stop, self._per_node)

    def __getitem__(self, key: builtins.slice | int) -> ProcessorRange:
        if not isinstance(key, slice):
            at = operator.index(key)
            key = slice(at, at + 1 or None)
        return self.slice(key)

    def get_node_range(self) -> tuple[int, int]:
        """The nodes they are on, half-open. ValueError if there are no processors."""
        if self.empty:
            raise ValueError("Illegal to get a node range of an empty processor range")
        return self._low // self._per_node, -(-self._high // self._per_node)

    def __and__(self, other: ProcessorRange) -> ProcessorRange:
        if not isinstance(other, ProcessorRange):
            return NotImplemented
        return ProcessorRange(max(self._low, other._low), min(self._high, other._high), self._per_node)

    def _key(self) -> tuple[int, int, int]:
        return self._low, self._high, self._per_node

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProcessorRange):
            return NotImplemented
        return self._key() == other._key()

    def __lt__(self, other: ProcessorRange) -> bool:
        if not isinstance(other, ProcessorRange):
            return NotImplemented
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Proc([{self._low},{self._high}], {self._per_node} per node)"


def _unsigned(value: int) -> int:
    number = operator.index(value)
    if number < 0:
        raise OverflowError("can't convert negative value to uint32_t")
    return number


_NOTHING = ProcessorRange()


class Machine:
    """The processors of each kind that may be used; as a context manager, the machine of what happens inside.

    ranges: processors of each kind. ValueError for other keys and values.
    """

    __slots__ = ("_ranges", "_preferred", "_scope")

    _ranges: dict[TaskTarget, ProcessorRange]
    _preferred: TaskTarget
    _scope: Scope | None

    def __init__(self, ranges: dict[TaskTarget, ProcessorRange] | None = None) -> None:
        given = {} if ranges is None else ranges
        if not isinstance(given, dict):
            raise ValueError(f"Expected a dict but got a {type(given)}")
        for target, processors in given.items():
            if not isinstance(target, TaskTarget):
                raise ValueError(f"Invalid task target: {target}")
            if not isinstance(processors, ProcessorRange):
                raise ValueError(f"Invalid processor range: {processors}")
        self._ranges = {t: given[t] for t in TaskTarget if t in given}
        self._preferred = next((t for t, r in self._ranges.items() if not r.empty), TaskTarget.CPU)
        self._scope = None

    @property
    def preferred_target(self) -> TaskTarget:
        """The most preferred kind of processor there is: GPU, then OMP, then CPU."""
        return self._preferred

    def get_processor_range(self, target: TaskTarget | None = None) -> ProcessorRange:
        """The processors of a kind, by default of the preferred one."""
        return self._ranges.get(self._preferred if target is None else target, _NOTHING)

    def get_node_range(self, target: TaskTarget | None = None) -> tuple[int, int]:
        """The nodes they are on, half-open. ValueError if there are none."""
        return self.get_processor_range(target).get_node_range()

    @property
    def valid_targets(self) -> tuple[TaskTarget, ...]:
        """Kinds of processors there are, most preferred first."""
        return tuple(t for t, r in self._ranges.items() if not r.empty)

    @property
    def empty(self) -> bool:
        """Whether there is no processor at all."""
        return not any(self._ranges.values())

    def count(self, target: TaskTarget | None = None) -> int:
        """Number of processors of a kind, by default of the preferred one."""
        return len(self.get_processor_range(target))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return not self.empty

    def only(self, targets: TaskTarget | Iterable[TaskTarget]) -> Machine:
        """The machine with only these kinds of processors."""
        kinds = (targets,) if isinstance(targets, TaskTarget) else tuple(targets)
        return Machine({t: self.get_processor_range(t) for t in kinds})

    def slice(self, sl: builtins.slice, target: TaskTarget | None = None) -> Machine:
        """The machine with only some processors of one kind, by default of the preferred one."""
        if target is None:
            target = self._preferred
        elif not isinstance(target, TaskTarget):
            raise ValueError(f"Invalid target: {target}")
        return Machine({target: self.get_processor_range(target).slice(sl)})

    def __getitem__(self, key: TaskTarget | builtins.slice | int | ProcessorSlice) -> Machine:
        if isinstance(key, TaskTarget):
            return self.only(key)
        if isinstance(key, ProcessorSlice):
            return self.slice(key.slice, key.target)
        if isinstance(key, slice):
            return self.slice(key)
        at = operator.index(key)
        return self.slice(slice(at, at + 1 or None))

    def __and__(self, other: Machine) -> Machine:
        if not isinstance(other, Machine):
            return NotImplemented
        both = self._ranges.keys() & other._ranges.keys()
        return Machine({t: self._ranges[t] & other._ranges[t] for t in both})

    def _key(self) -> tuple[tuple[TaskTarget, ProcessorRange], ...]:
        return tuple((t, r) for t, r in self._ranges.items() if not r.empty)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Machine):
            return NotImplemented
        return self._ranges is other._ranges or self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        ranges = "".join(f", {target}: {processors}" for target, processors in self._ranges.items())
        return f"Machine(preferred_target: {self._preferred}{ranges})"

    def __enter__(self) -> None:
        from legate.core._scope import Scope

        if self._scope is not None:
            raise ValueError("Each machine can be set only once to the scope")
        scope = Scope(machine=self)
        scope.__enter__()
        self._scope = scope

    def __exit__(self, *exception: Any) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.__exit__(*exception)


def get_machine() -> Machine:
    """The machine of the current scope, as an object of its own."""
    from legate.core._scope import current

    found = current().machine
    machine = object.__new__(Machine)
    machine._ranges, machine._preferred, machine._scope = found._ranges, found._preferred, None
    return machine
