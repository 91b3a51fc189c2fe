"""What a benchmark kernel is. Knows neither the peers nor how time is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Data = tuple[Any, ...]  # NumPy arrays and plain numbers, the arguments of a kernel
Result = Any  # an array, a number, or a tuple of them

NOMINAL = 10_000_000  # the size that `Kernel.size` belongs to


def constant(_: int) -> float:
    """A count that is not known: 0."""
    return 0.0


@dataclass(frozen=True)
class Kernel:
    """One row of the suite.

    run      numpy-style code `run(np, *data)`, used unchanged for NumPy and for cupynumeric
    setup    makes the data of about `n` elements, deterministically
    size     n at the nominal size of 1e7; `--sizes` scales it in proportion
    traffic  bytes that must cross the memory bus for n, each sweep counted once: the bandwidth limit
    flops    floating-point operations for n, where arithmetic and not memory is the limit
    fused    whether it belongs to the group of fused kernels (else it leans on a library or on irregular access)
    pure     whether `run` assigns into no array, so that tracing peers can take it as it is
    rtol     tolerance relative to the largest magnitude of each result; `mismatch` instead allows that share of
             the elements to differ at all (discrete results of iterations that amplify rounding)
    """

    name: str
    family: str
    run: Callable[..., Result]
    setup: Callable[[int], Data]
    size: int = NOMINAL
    traffic: Callable[[int], float] = constant
    flops: Callable[[int], float] = constant
    fused: bool = True
    pure: bool = True
    rtol: float = 1e-9
    mismatch: float = 0.0

    def scaled(self, nominal: int) -> int:
        """The kernel's own n for a nominal size."""
        return max(16, round(self.size * (nominal / NOMINAL)))
