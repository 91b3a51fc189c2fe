"""Machines: what one rank can do and what a message costs, as a few constants, and the time of counted work by them.

Pure. `python -m benchmarks --machine` measures the constants of a machine.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from legate_jit.simulation.costs import Cost, Flows

__all__ = ["Machine", "MachineError", "Seconds", "load"]


class MachineError(ValueError):
    """A description of a machine that means nothing; says why in one line."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Constants of one rank with all its threads. The defaults are those of a node of 16 cores in a network of 100 Gbit/s; what
    Python costs was measured."""

    #: bytes per second between memory and kernels
    bandwidth: float = 100e9
    #: bytes that a rank's caches hold, and bytes per second of kernels that touch no more
    cache: float = 16e6
    cache_bandwidth: float = 400e9
    #: simple operations per second (additions, comparisons; a division or a sine counts as several)
    operations: float = 100e9
    #: floating-point operations per second of matrix products, by bytes of an element
    gemm4: float = 1000e9
    gemm8: float = 500e9
    #: operations per second of other library calls (Fourier transforms, sorting)
    library: float = 20e9
    #: seconds until a small message is there, and bytes per second of a large one
    latency: float = 3e-6
    network: float = 12.5e9
    #: seconds of Python and of the runtime: to record a value, to find the plan of a window, to start a kernel, a library call,
    #: and an exchange
    record: float = 1e-6
    flush: float = 8e-6
    launch: float = 1e-6
    call: float = 10e-6
    exchange: float = 15e-6

    def seconds(self, cost: Cost, ranks: int) -> Seconds:
        """The time that one run of a window takes on a rank."""
        kernels = sum(
            self._worked(moved, done, self.operations) + self.launch for moved, done in cost.launches
        )
        calls = self.call * len(cost.calls)
        for each in cost.calls:
            speed = {4: self.gemm4, 8: self.gemm8}.get(each.gemm, self.library)
            calls += self._worked(each.moved, each.operations, speed)
        exchanges = sum(self.exchanged(flows) for flows in cost.exchanges.values())
        overhead = self.record * cost.values + self.flush
        if cost.exchanges:  # the ranks agree that they have recorded the same
            overhead += (ranks - 1).bit_length() * self.latency
        return Seconds(kernels, calls, exchanges, overhead)

    def exchanged(self, flows: Flows) -> float:
        """The time of exchanges."""
        copied = 2 * (flows.sent_bytes + flows.received_bytes)
        return (
            self.exchange * flows.exchanges
            + self.latency * max(flows.sent, flows.received)
            + max(flows.sent_bytes, flows.received_bytes) / self.network
            + copied / self.bandwidth
        )

    def _worked(self, moved: int, operations: int, speed: float) -> float:
        bandwidth = self.cache_bandwidth if moved <= self.cache else self.bandwidth
        return max(moved / bandwidth, operations / speed)


class Seconds(NamedTuple):
    """Where a rank's time goes."""

    kernels: float = 0.0
    calls: float = 0.0
    exchanges: float = 0.0
    overhead: float = 0.0

    @property
    def total(self) -> float:
        """All of it: nothing is taken to overlap."""
        return sum(self)


def load(path: str) -> Machine:
    """The machine that a JSON file describes: an object of some of the constants, by name. '': the default one. MachineError."""
    if not path:
        return Machine()
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise MachineError(f"{path}: {error}") from None
    names = [field.name for field in dataclasses.fields(Machine)]
    if not isinstance(given, dict):
        raise MachineError(f"{path}: must be an object with some of {', '.join(names)}")
    for name, value in given.items():
        if name not in names:
            raise MachineError(f"{path}: there is no {name!r}; there are {', '.join(names)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise MachineError(f"{path}: {name} must be a number, not {value!r}")
        if not value and name in (
            "bandwidth",
            "cache_bandwidth",
            "operations",
            "gemm4",
            "gemm8",
            "library",
            "network",
        ):
            raise MachineError(f"{path}: {name} must be positive")
    return Machine(**{name: float(value) for name, value in given.items()})
