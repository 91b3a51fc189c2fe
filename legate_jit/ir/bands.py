"""Bands: launches that go through the same rows of the same arrays do so a band of rows at a time, one launch after the other.

What the first launch of such a *chain* brings into cache, the others find there: sums along rows and along columns, or a product
with a matrix and one with its transpose, read the matrix once. A pass over a finished schedule: it brings launches together where
nothing between them disagrees, and gives each its `Band`. Row i of every launch of a chain must touch, of whatever one of them
writes, nothing that another row of another launch touches. Depends on shapes and memory only; knows no threads and no addresses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from legate_jit.ir import dtypes
from legate_jit.ir.steps import Band, Launch, Schedule, Step

#: bytes that the arrays of a chain have in a band of rows, where the launches leave it open: they should stay in cache
BAND_BYTES = 1 << 19
#: bytes of an array that are worth reading once instead of twice: it does not stay in cache by itself
WORTH_SHARING = 1 << 21
#: bands that there must be, so that threads have enough to share
ENOUGH_BANDS = 32
#: steps that are looked at to find another launch for a chain
REACH = 12

_Slot = tuple[str, int]


class _Access(NamedTuple):
    """What a launch touches of one block of memory: bytes [low + i * step, high + i * step) at row i."""

    slot: _Slot
    step: int
    low: int
    high: int
    writes: bool
    streams: bool


class _Rows(NamedTuple):
    """A launch by rows of its outermost loop: how many, and how many a unit takes at least (0: any number)."""

    launch: Launch
    total: int
    block: int
    accesses: tuple[_Access, ...]


def chained(schedule: Schedule) -> Schedule:
    """The schedule with its chains."""
    steps = list(schedule.steps)
    rows = [_rows(s, schedule) if isinstance(s, Launch) else None for s in steps]
    if sum(r is not None for r in rows) < 2:
        return schedule
    taken: set[int] = set()
    out: list[Step] = []
    for k, step in enumerate(steps):
        if k in taken:
            continue
        first = rows[k]
        chain = [] if first is None else _grow(k, first, steps, rows, taken, schedule)
        members = _banded([r for _, r in chain])
        if members:
            taken.update(n for n, _ in chain)
            out.extend(members)
        else:
            out.append(step)
    return replace(schedule, steps=tuple(out)) if taken else schedule


def _grow(
    k: int, first: _Rows, steps: list[Step], rows: list[_Rows | None], taken: set[int], schedule: Schedule
) -> list[tuple[int, _Rows]]:
    """Step k and the launches after it that can join it, with their numbers."""
    chain = [(k, first)]
    passed: list[Launch] = []
    for n in range(k + 1, min(k + 1 + REACH, len(steps))):
        step, candidate = steps[n], rows[n]
        if not isinstance(step, Launch):
            break
        if n in taken:
            continue
        if (
            candidate is not None
            and all(_agree(r, candidate) for _, r in chain)
            and any(_shared_bytes(r, candidate) >= WORTH_SHARING for _, r in chain)
            and all(_commute(p, step, schedule) for p in passed)
        ):
            chain.append((n, candidate))
        else:
            passed.append(step)
    return chain


def _banded(chain: list[_Rows]) -> list[Launch]:
    """The launches of a chain with their bands; nothing where it is not worth one."""
    if len(chain) < 2:
        return []
    count = chain[0].total
    block = max(r.block for r in chain)
    if not block:
        row = sum({a.slot: a.high - a.low for r in chain for a in r.accesses}.values())
        block = min(max(BAND_BYTES // max(row, 1), 1), -(-count // ENOUGH_BANDS))
    if -(-count // block) < ENOUGH_BANDS:
        return []
    return [_with_band(r.launch, count, block, joined=k > 0) for k, r in enumerate(chain)]


# ---- what launches touch ----------------------------------------------------------------------------------------


def _rows(launch: Launch, schedule: Schedule) -> _Rows | None:
    """A launch by rows, if its units can be had by rows of its outermost loop."""
    nest = launch.nest
    kernel = nest.kernel
    block = 0
    match kernel.kind:
        case "map":
            if kernel.ndim > 1 and any(o.strides[-1] == 2 for o in kernel.operands):
                return None  # its tiles are squares
        case "row":
            if kernel.ndim == kernel.nreduced:
                return None
        case _:
            if kernel.ndim - 1 == kernel.nreduced:
                if not kernel.blocked:
                    return None
                block = nest.rows_per_unit
            elif kernel.blocked:
                return None
    accesses = [_access(launch, k, schedule) for k in range(len(nest.places)) if launch.storages[k] >= 0]
    return _Rows(launch, nest.extents[0], block, tuple(accesses)) if nest.extents[0] else None


def _slot(storage: int, schedule: Schedule) -> _Slot:
    found = schedule.storages[storage]
    return ("input", found.source) if found.source >= 0 else ("block", found.slot)


def _access(launch: Launch, k: int, schedule: Schedule) -> _Access:
    nest, operand = launch.nest, launch.nest.kernel.operands[k]
    place = nest.places[k]
    low, high = place.offset, place.offset + dtypes.from_code(operand.dtype).itemsize
    moves = list(zip(place.strides[1:], nest.extents[1:], strict=True))
    if nest.kernel.blocked:
        moves.append((place.block_stride, max(nest.nblocks, nest.ntiles)))
    for stride, extent in moves:
        low += min(stride * (extent - 1), 0)
        high += max(stride * (extent - 1), 0)
    slot = _slot(launch.storages[k], schedule)
    return _Access(slot, place.strides[0], low, high, "w" in operand.mode, operand.stream)


def _agree(a: _Rows, b: _Rows) -> bool:
    """Whether two launches can be in one chain: the same rows in the same blocks, and no row needs another row of the other."""
    if a.total != b.total or (a.block and b.block and a.block != b.block):
        return False
    return all(_apart(x, y) for x, y in _meetings(a, b) if x.writes or y.writes)


def _meetings(a: _Rows, b: _Rows) -> Iterator[tuple[_Access, _Access]]:
    return ((x, y) for x in a.accesses for y in b.accesses if x.slot == y.slot)


def _apart(x: _Access, y: _Access) -> bool:
    """Whether row i of one and row j of the other touch different bytes for all i and j that differ."""
    together = max(x.high, y.high) - min(x.low, y.low)
    return x.step == y.step and together <= x.step and not (x.streams or y.streams)


def _shared_bytes(a: _Rows, b: _Rows) -> int:
    """Bytes that both go through row by row."""
    pairs = ((x, min(x.high - x.low, y.high - y.low)) for x, y in _meetings(a, b) if x.step == y.step != 0)
    return sum({x.slot: nbytes * a.total for x, nbytes in pairs}.values())


def _commute(a: Launch, b: Launch, schedule: Schedule) -> bool:
    """Whether two launches may change places: neither writes memory that the other touches."""
    ours, theirs = _touched(a, schedule), _touched(b, schedule)
    return not any((ours[s] or theirs[s]) for s in ours.keys() & theirs.keys())


def _touched(launch: Launch, schedule: Schedule) -> dict[_Slot, bool]:
    """The blocks of memory a launch touches, and whether it writes them."""
    found: dict[_Slot, bool] = {}
    for storage, operand in zip(launch.storages, launch.nest.kernel.operands, strict=True):
        if storage >= 0:
            slot = _slot(storage, schedule)
            found[slot] = found.get(slot, False) or "w" in operand.mode
    return found


# ---- bands of units ---------------------------------------------------------------------------------------------


def _with_band(launch: Launch, count: int, block: int, joined: bool) -> Launch:
    """The launch in bands of `block` of its `count` rows."""
    nest, bands = launch.nest, -(-count // block)
    kernel = nest.kernel
    if kernel.kind == "map":
        if kernel.ndim == 1:
            nest = nest._replace(tile=block, ntiles=bands, units=bands)
            per = 1
        else:
            rows = block * math.prod(nest.extents[1:-1])
            per = nest.ntiles
            nest = nest._replace(rows_per_unit=rows, units=per * bands)
        nest = nest._replace(work=-(-launch.nest.work * launch.nest.units // nest.units))
        band = Band(bands, per, nest.units, 1)
    elif kernel.kind == "row":
        band = Band(bands, block * (nest.units // count), nest.units, 1)
    else:
        stride = nest.units // max(nest.ntiles, 1)
        per = 1 if kernel.blocked else block * (stride // count)
        band = Band(bands, per, stride, nest.ntiles)
    return Launch(nest, launch.storages, launch.chunk, band, joined)
