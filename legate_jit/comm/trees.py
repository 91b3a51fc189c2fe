"""Trees: in which order the ranks' parts are combined, by what, and what that sends.

The order depends on the number of ranks alone, so that results have the same bits everywhere. Pure: knows arrays and numbers of
ranks, no messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "COMBINERS",
    "FEW",
    "LARGE",
    "Operator",
    "Step",
    "Tree",
    "combining",
    "gathering",
    "of_those_that_count",
    "same",
]

Operator = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: combined arrays of more bytes are cut among the ranks, if there are at most so many ranks
LARGE, FEW = 1 << 18, 32


def _first_of(better: Callable[[Any, Any], Any]) -> Operator:
    """Of pairs (value, index), as a structured array: the better value, NaN before any; of equals the lower index."""

    def combine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        x, y = a["value"], b["value"]
        nan_x, nan_y = x != x, y != y
        wins = (nan_y & ~nan_x) | (~nan_x & better(y, x))
        ties = (nan_x & nan_y) | (x == y)
        wins = np.where(ties, b["index"] < a["index"], wins)
        return np.where(wins, b, a)

    return combine


def of_those_that_count(op: Operator) -> Operator:
    """Of pairs (value, counts), as a structured array: `op` of the values that count."""

    def combine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        result = np.where(b["counts"] & ~a["counts"], b, a)
        both = a["counts"] & b["counts"]
        if both.any():
            result["value"][both] = op(a["value"][both], b["value"][both])
        return result

    return combine


#: what `combine` does with the results of a lower rank and a higher one. `argmin` and `argmax` are of structured arrays with the
#: fields `value` and `index`
COMBINERS: dict[str, Operator] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "fmin": np.fmin,
    "fmax": np.fmax,
    "any": np.logical_or,
    "all": np.logical_and,
    "or": np.bitwise_or,
    "and": np.bitwise_and,
    "xor": np.bitwise_xor,
    "argmin": _first_of(np.less),
    "argmax": _first_of(np.greater),
}


class Step(NamedTuple):
    """What a rank does with another one on the way: it gives what it has, takes the other's, or both. `joins`: what it takes is
    combined with what it has, the lower rank's first; else it is the result."""

    peer: int
    sends: bool
    receives: bool
    joins: bool
    lower: bool

    def result(self, mine: np.ndarray, theirs: np.ndarray, op: Operator) -> tuple[np.ndarray, np.ndarray]:
        """What the rank has now, and memory that is free."""
        if not self.receives:
            return mine, theirs
        if not self.joins:
            return theirs, mine
        both = (mine, theirs) if self.lower else (theirs, mine)
        return same(op(*both), mine), theirs


class Tree:
    """The order in which the ranks' parts are combined: neighbors first, the same for messages and for arrays at hand.

    With R = 2**k + e ranks, the first 2e of them combine in pairs; then 2**k parts are left, which combine by doubling distances.
    """

    def __init__(self, size: int) -> None:
        self.leaves = 1 << (size.bit_length() - 1)
        self.paired = 2 * (size - self.leaves)

    def leaf(self, rank: int) -> int:
        """The number of the part that the rank's is in after the pairs."""
        return rank // 2 if rank < self.paired else rank - self.paired // 2

    def rank(self, leaf: int) -> int:
        """The (lower) rank that has this part."""
        return 2 * leaf if 2 * leaf < self.paired else leaf + self.paired // 2

    def steps(self, rank: int) -> list[Step]:
        """What `rank` does, in order, until it has the result."""
        if rank < self.paired and rank % 2:
            return [
                Step(rank - 1, sends=True, receives=False, joins=False, lower=False),
                Step(rank - 1, sends=False, receives=True, joins=False, lower=False),
            ]
        steps = []
        if rank < self.paired:
            steps.append(Step(rank + 1, sends=False, receives=True, joins=True, lower=True))
        leaf, distance = self.leaf(rank), 1
        while distance < self.leaves:
            peer = self.rank(leaf ^ distance)
            steps.append(Step(peer, sends=True, receives=True, joins=True, lower=not leaf & distance))
            distance *= 2
        if rank < self.paired:
            steps.append(Step(rank + 1, sends=True, receives=False, joins=False, lower=True))
        return steps

    def fold(self, parts: Sequence[np.ndarray], op: Operator) -> np.ndarray:
        """All parts combined, in this order."""
        paired = [op(parts[k], parts[k + 1]) for k in range(0, self.paired, 2)]
        level = [*paired, *parts[self.paired :]]
        while len(level) > 1:
            level = [op(level[k], level[k + 1]) for k in range(0, len(level), 2)]
        return level[0]


def combining(rank: int, size: int, elements: int, itemsize: int) -> tuple[int, int]:
    """The messages that a rank sends to `combine` an array, and their bytes; it receives as many."""
    if size == 1:
        return 0, 0
    if elements * itemsize > LARGE and 2 < size <= FEW:
        share = -(-elements // size)
        own = min(max(elements - rank * share, 0), share)
        return 2 * (size - 1), itemsize * (elements - own + (size - 1) * own)
    sends = sum(step.sends for step in Tree(size).steps(rank))
    return sends, sends * elements * itemsize


def gathering(size: int, nbytes: int) -> tuple[int, int]:
    """The messages that a rank sends to `gather` arrays of so many bytes, and their bytes; it receives as many."""
    return (size - 1).bit_length(), (size - 1) * nbytes


def same(result: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The result of combining with the dtype, shape and layout of what was combined (any of ints is bool, a 0-D sum a scalar)."""
    return np.ascontiguousarray(result, like.dtype).reshape(like.shape)
