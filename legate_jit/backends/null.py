"""The null target: plans everything, runs nothing, counts what would have run. Results are zeros.

For tests of what the compiler decides (kernels, bytes, allocations, copies) and for sizing programs too large for this machine.
Knows schedules as data only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.ir import dtypes
from legate_jit.ir.steps import Call, Launch, Schedule, Task


@dataclass(slots=True)
class NullCounters:
    """What would have run since the process began (or `reset`)."""

    launches: int = 0
    calls: int = 0
    units: int = 0
    bytes_read: int = 0  # each operand counted once per launch, however often its elements are read again
    bytes_written: int = 0
    operations: int = 0  # simple operations, as the scheduler estimates them
    allocations: int = 0
    allocated_bytes: int = 0
    copied_bytes: int = 0

    def reset(self) -> None:
        """Start counting anew."""
        for f in fields(self):
            setattr(self, f.name, 0)


counters = NullCounters()


def traffic(step: Launch) -> tuple[int, int]:
    """Bytes a launch reads and writes if every element of an operand moves once."""
    read = written = 0
    nest = step.nest
    for operand, place in zip(nest.kernel.operands, nest.places, strict=True):
        if operand.mode == "scratch":
            continue
        elements = dtypes.from_code(operand.dtype).itemsize
        for n, s in zip(nest.extents, place.strides, strict=True):
            elements *= n if s else 1
        if nest.kernel.blocked and place.block_stride:
            elements *= max(nest.nblocks, 1)
        read += elements if "r" in operand.mode else 0
        written += elements if "w" in operand.mode else 0
    return read, written


def count(schedule: Schedule) -> None:
    """Add one run of `schedule` to the counters."""
    counters.allocations += len(schedule.slots)
    counters.allocated_bytes += sum(schedule.slots)
    counters.copied_bytes += schedule.copied_bytes
    for step in schedule.steps:
        match step:
            case Launch():
                read, written = traffic(step)
                counters.launches += 1
                counters.units += step.nest.units
                counters.operations += step.nest.units * step.nest.work
                counters.bytes_read += read
                counters.bytes_written += written
            case Call():
                counters.calls += 1
                counters.bytes_read += sum(a.type.nbytes for a in step.arguments)
                counters.bytes_written += sum(t.nbytes for _, t in step.results)
            case Task():
                counters.calls += 1
                for a, role in zip(step.arguments, step.spec.roles, strict=True):
                    counters.bytes_read += a.type.nbytes if role == "input" else 0
                    counters.bytes_written += a.type.nbytes if role != "input" else 0


class Counting:
    """A plan that counts instead of running."""

    __slots__ = ("calls", "launches", "schedule")

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.launches = sum(isinstance(s, Launch) for s in schedule.steps)
        self.calls = len(schedule.steps) - self.launches

    def allocate(self, inputs: list[Buffer]) -> list[Buffer]:
        """Inputs, and zeros for everything else (address space the machine has not given memory to where it is large)."""
        slots = [memory.allocate(n) for n in self.schedule.slots]
        for buffer, n in zip(slots, self.schedule.slots, strict=True):
            buffer.as_numpy((n,), "u1", True)[...] = 0
        return [inputs[s.source] if s.source >= 0 else slots[s.slot] for s in self.schedule.storages]

    def run(self, buffers: list[Buffer], scalars: list[Any]) -> bool:
        """Count."""
        count(self.schedule)
        return True

    def execution(self, buffers: list[Buffer], scalars: list[Any]) -> Any:
        """Never needed: `run` does it all."""
        raise AssertionError("a counting plan has nothing to resume")
