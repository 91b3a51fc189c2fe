"""Exchanges: the library calls by which the ranks of a distributed graph get at each other's elements.

Data only: which part of what every rank has, and wants. Must not know graphs' rewriting, messages or memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from legate_jit.ir import dtypes
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Layout, Window
from legate_jit.ir.rewrite import EXCHANGES

#: a fetch by which no rank gets more bytes is staged: sent in one message with others of the same value, and begun early
STAGED = 1 << 17


class Fetch(NamedTuple):
    """The argument `what` of a call 'fetch': its operand is the rank's part of an array that lies as `source`, its result the box
    `wanted.box(rank)` of that array. `number` counts the exchanges of the graph: they are carried out in its order.

    `group`: the number of the first fetch of those of one value that are begun together, all of them small; -1 for large ones.
    """

    number: int
    source: Layout
    wanted: Window
    group: int = -1


class Combine(NamedTuple):
    """The argument `what` of a call 'combine': every rank's operand is a partial result, all of one shape; the result is their
    combination by MAP op `op` in the order of ranks, the same bits on every rank. With `before`, a rank's result combines only
    the parts of lower ranks (the first gets the identity of op). Ranks that hold nothing of `parts` do not count, unless none
    holds anything.
    """

    number: int
    op: str
    parts: Layout
    before: bool = False

    def counts(self, rank: int) -> bool:
        """Whether the rank's operand holds anything."""
        return layout.size(self.parts.box(rank)) > 0

    def everyone(self, ranks: int) -> bool:
        """Whether the operands of all ranks hold something, and all of them are combined."""
        return not self.before and self.parts.fills(ranks)


class Collective(NamedTuple):
    """The argument `what` of a call 'collective': a call that the ranks compute together, exchanging as they go. `name` is in the
    table of the collectives, `options` are the call's own; operand k is the rank's part of an array that lies as `operands[k]`,
    the result its part of one of `dtype` that lies as `result`."""

    number: int
    name: str
    options: tuple[tuple[str, Any], ...]
    operands: tuple[Layout, ...]
    result: Layout
    dtype: np.dtype


class Exchange(NamedTuple):
    """What an exchange moves: bytes between ranks, all ranks together (an estimate for many ranks)."""

    what: Fetch | Combine | Collective
    bytes: int


def what(n: Node) -> Fetch | Combine | Collective | None:
    """The exchange a node of a distributed graph is, or None."""
    if n.kind is Kind.CALL and isinstance(n.arg, CallSpec) and n.arg.name in EXCHANGES:
        found = dict(n.arg.options)["what"]
        assert isinstance(found, Fetch | Combine | Collective)
        return found
    return None


def neutral(op: str, dtype: np.dtype) -> bool | int | float:
    """What leaves other operands of the MAP op `op` as they are, in a real dtype."""
    match op:
        case "logical_and" | "multiply":
            return True if dtype == dtypes.BOOL else 1
        case "maximum" | "minimum" | "fmax" | "fmin":
            if dtype.kind == "f":
                return math.nan if op[0] == "f" else -math.inf if op == "maximum" else math.inf
            if dtype == dtypes.BOOL:
                return op in ("minimum", "fmin")
            info = np.iinfo(dtype)
            return int(info.min if op in ("maximum", "fmax") else info.max)
        case "bitwise_and":
            return True if dtype == dtypes.BOOL else -1 if dtype.kind == "i" else int(np.iinfo(dtype).max)
        case _:
            return False if dtype == dtypes.BOOL else 0


__all__ = ["STAGED", "Collective", "Combine", "Exchange", "Fetch", "neutral", "what"]
