"""Collectives: algorithms in which the ranks exchange by themselves, on NumPy arrays and a `Comm`.

Two kinds. What a *call* of a window becomes (`TABLE`: results of known shape, written to memory that is there): a function
`(comm, parts, outs, what)` of the rank's parts of the operands, the memory of its part of the result, and the `Collective` that
says how they lie. And *programs* (`(comm, *parts) -> results`) that faces run at once because the shape of a result depends on
values: `legate_jit.immediate.together`. Every rank calls the same functions in the same order; nobody ever holds a whole array.
Knows no graphs and no stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit.comm.base import Comm
from legate_jit.ir.ranks.exchanges import Collective

__all__ = ["TABLE", "Implementation", "implementation", "run"]

Implementation = Callable[[Comm, Sequence[np.ndarray], Sequence[np.ndarray], Collective], None]

TABLE: dict[str, Implementation] = {}


def implementation(name: str) -> Callable[[Implementation], Implementation]:
    """Register the function that carries out calls of the collective `name`."""

    def register(function: Implementation) -> Implementation:
        TABLE[name] = function
        return function

    return register


def run(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Any) -> None:
    """Carry out a collective call of a window on this rank."""
    from legate_jit.collectives import calls, orders  # noqa: F401  register the implementations

    TABLE[what.name](comm, parts, outs, what)
