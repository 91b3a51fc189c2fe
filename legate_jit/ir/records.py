"""Fields of records: operands that lie a fixed number of elements from one another and go through memory in the same steps.

`p[:, 0]`, `p[:, 1]` and `p[:, 2]` of an array of points are such; so are the slices that a sum over a short axis is made of.
Where the inner loop goes through them, vectors of memory are loaded and their elements dealt out, if that takes fewer
operations than gathering each field lane by lane. Pure arithmetic; knows no kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: elements of the longest records
LONGEST = 16
#: operations that one vector of one field takes when it is gathered lane by lane (8 loads, 7 shuffles)
GATHER = 15


class Field(NamedTuple):
    """What `ir.kernel.Operand` says of a field: the inner stride (0: it does not move), the leader (-1: itself), the distance."""

    step: int
    leader: int
    shift: int


def fields(offsets: Mapping[int, int], strides: Sequence[int]) -> dict[int, Field]:
    """Those operands of one array that are fields. All have these strides (in elements, inner loop last) and begin at `offsets`.
    What moves from element to element is no field."""
    step = strides[-1]
    size = step if step else min((abs(s) for s in strides if s), default=0)
    if not 1 < size <= LONGEST:
        return {}
    found: dict[int, Field] = {}
    for leader, members in _records(offsets, size).items():
        shifts = {k: offsets[k] - offsets[leader] for k in members}
        if step and cost(step, list(shifts.values())) >= GATHER * len(members):
            continue
        if step or len(members) > 1:
            found.update({k: Field(step, -1 if k == leader else leader, s) for k, s in shifts.items()})
    return found


def _records(offsets: Mapping[int, int], size: int) -> dict[int, list[int]]:
    """Operands in groups that lie less than a record apart, by the first of each."""
    groups: dict[int, list[int]] = {}
    leader = -1
    for k in sorted(offsets, key=lambda k: (offsets[k], k)):
        if leader < 0 or offsets[k] - offsets[leader] >= size:
            leader = k
        groups.setdefault(leader, []).append(k)
    return groups


def cost(step: int, shifts: Sequence[int]) -> int:
    """Loads and shuffles that take these fields out of vectors of records of `step` elements: dealt out by prime factors."""
    return step + _shuffles(step, set(shifts))


def _shuffles(step: int, wanted: set[int]) -> int:
    if step == 1:
        return 0
    prime = next(p for p in range(2, step + 1) if step % p == 0)
    rests = {f % prime for f in wanted}
    own = len(rests) * (step // prime) * (prime - 1)
    return own + sum(_shuffles(step // prime, {f // prime for f in wanted if f % prime == r}) for r in rests)
