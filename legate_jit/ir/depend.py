"""Dependence analysis of a schedule: which steps must wait for which, by the elements they touch.

Sound and precise: two steps are ordered iff both touch an element of the same memory and one of them writes it. Regions are
hyper-rectangles with steps in the index space of the array that lies there, which is exact for every view that slices and
permutations make; what is none (diagonals, blocked partial results, arrays sharing a slot over time) counts as the whole memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from legate_jit.ir import dtypes
from legate_jit.ir.steps import Argument, Call, Launch, Place, Schedule, Step, Task


class Region(NamedTuple):
    """Part of a C-ordered array of `shape`: per axis (first, last, step), ends included."""

    shape: tuple[int, ...]
    axes: tuple[tuple[int, int, int], ...]


class Access(NamedTuple):
    """A step touches `region` (None: everything) of the memory of a storage."""

    storage: int
    region: Region | None
    writes: bool


def rectangle(
    shape: tuple[int, ...], item: int, offset: int, strides: Sequence[int], extents: Sequence[int]
) -> Region | None:
    """The part of a C-ordered array that byte `offset` and `strides` over `extents` touch, or None if it is no rectangle."""
    if 0 in shape:  # nothing can be touched, but kernels of no iterations still have a place there
        return None
    units = [0] * len(shape)
    unit = item
    for d in range(len(shape) - 1, -1, -1):
        units[d] = unit
        unit *= shape[d]
    rest = offset
    axes: list[list[int]] = []
    for u in units:
        at, rest = divmod(rest, u) if u else (0, rest)
        axes.append([at, at, 0])
    if rest:
        return None
    for stride, n in zip(strides, extents, strict=True):
        if n <= 1 or stride == 0:
            continue
        d = next((k for k, u in enumerate(units) if u <= abs(stride) and shape[k] > 1), -1)
        if d < 0 or stride % units[d]:
            return None
        step = stride // units[d]
        axis = axes[d]
        axis[0] += min(0, step * (n - 1))
        axis[1] += max(0, step * (n - 1))
        axis[2] = math.gcd(axis[2], step)
    if any(lo < 0 or hi >= n for (lo, hi, _), n in zip(axes, shape, strict=True)):
        return None
    return Region(shape, tuple((lo, hi, step) for lo, hi, step in axes))


def disjoint(a: Region | None, b: Region | None) -> bool:
    """Whether two regions of one memory certainly share no element."""
    if a is None or b is None or a.shape != b.shape:
        return False
    for (lo, hi, step), (lo2, hi2, step2) in zip(a.axes, b.axes, strict=True):
        if hi < lo2 or hi2 < lo:
            return True
        lattice = math.gcd(step, step2)
        if lattice > 1 and (lo - lo2) % lattice:
            return True
    return False


def covers(a: Region | None, b: Region | None) -> bool:
    """Whether whatever may share an element with `b` may share one with `a`: b is a part of a."""
    if a is None or b is None or a.shape != b.shape:
        return a is None
    for (lo, hi, step), (lo2, hi2, step2) in zip(a.axes, b.axes, strict=True):
        if lo2 < lo or hi < hi2:
            return False
        if step > 1 and (step2 % step or (lo2 - lo) % step):
            return False
    return True


def accesses(step: Step, schedule: Schedule) -> list[Access]:
    """What a step touches."""
    match step:
        case Launch():
            operands = step.nest.kernel.operands
            return [
                Access(k, _of_place(p, step, o.dtype), "w" in o.mode)
                for p, k, o in zip(step.nest.places, step.storages, operands, strict=True)
                if k >= 0
            ]
        case Call():
            reads = [Access(a.storage, None, False) for a in step.arguments if a.storage >= 0]
            return reads + [Access(k, None, True) for k, _ in step.results]
        case Task():
            roles = step.spec.roles
            return [
                Access(a.storage, _of_argument(a, base), role != "input")
                for a, base, role in zip(step.arguments, step.bases, roles, strict=True)
                if 0 not in a.type.shape
            ]


def _of_place(place: Place, step: Launch, dtype: str) -> Region | None:
    node = place.node
    if node is None or place.block_stride or node.dtype.itemsize != dtypes.from_code(dtype).itemsize:
        return None
    return rectangle(node.shape, node.dtype.itemsize, place.offset, place.strides, step.nest.extents)


def _of_argument(a: Argument, base: tuple[int, ...]) -> Region | None:
    return rectangle(base, a.type.dtype.itemsize, a.offset, a.strides, a.type.shape)


def edges(items: Sequence[Sequence[Step]], schedule: Schedule) -> list[list[int]]:
    """For each item (a group of steps that run together, in order) the earlier items it must wait for.

    Those that others it waits for have waited for are left out where a later write replaced all that they touched.
    """
    touched: dict[tuple[int, int], list[tuple[int, Access]]] = {}
    out: list[list[int]] = []
    for k, steps in enumerate(items):
        found: set[int] = set()
        own = [(_memory(a, schedule), a) for s in steps for a in accesses(s, schedule)]
        for memory, a in own:
            for earlier, b in touched.get(memory, ()):
                if not (a.writes or b.writes):
                    continue
                if a.storage == b.storage and disjoint(a.region, b.region):
                    continue
                found.add(earlier)
        for memory, a in own:
            if a.writes:  # who conflicts with what this covers conflicts with this as well
                earlier_ones = touched.get(memory, ())
                touched[memory] = [
                    (j, b)
                    for j, b in earlier_ones
                    if j == k or b.storage != a.storage or not covers(a.region, b.region)
                ]
            touched.setdefault(memory, []).append((k, a))
        out.append(sorted(found))
    return out


def _memory(a: Access, schedule: Schedule) -> tuple[int, int]:
    s = schedule.storages[a.storage]
    return (s.source, s.slot)
