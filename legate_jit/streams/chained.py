"""Draws by several ranks of which nobody knows in advance which unit begins at which word: each rank draws its own part only.

As between the pieces of `parallel`: a rank jumps to a place that surely lies before its part and draws as if a unit began there.
Soon it is in step with the rank before, which comes to that place at the end of its own part: the ranks show each other what they
drew there, and prove it by comparing states. The number of units between these places, added up, says where each rank's part
begins. If any two ranks do not meet, all of them draw everything.
Knows draws and communication; no stores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit.comm.base import Comm
from legate_jit.ir.ranks.layout import Box
from legate_jit.streams import parallel
from legate_jit.streams.draws import Draw
from legate_jit.streams.jumps import Source, can_jump, copied, same, skip

__all__ = ["LEAST", "fill"]

#: units of a rank from which it is worth it
LEAST = 1 << 16
#: units after which a rank is in step with the one before; and so many that they show each other
_STEP, _SHOWN = 192, 64
#: deviations of the number of words within which ranks look for each other
_SURE = 6.0
#: to how much of itself the mean is known
_KNOWN = 1e-7


def fill(comm: Comm, source: Source, draw: Draw, boxes: Sequence[Box], memory: np.ndarray) -> bool:
    """Write what lies in this rank's box of a draw to memory of its extents, and go to the end of the draw; False, on all ranks,
    and nothing is drawn: not possible. boxes: of all ranks, which call this at the same time."""
    found = parallel.rate(draw)
    starts = _starts(draw, boxes)
    if found is None or starts is None or isinstance(source, np.random.RandomState) or not can_jump(source):
        return False
    slack = [math.ceil((2 * _margin(found, p) + 8) / found.words) + 2 * _STEP for p in starts]
    if comm.size == 1 or any(
        b - a < max(LEAST, 4 * x) for a, b, x in zip(starts, starts[1:], slack[1:], strict=False)
    ):
        return False
    mine = _Part(comm, source, draw, found, starts, slack, memory.reshape(-1))
    shown = comm.allgather_object(mine.shown)
    lengths: list[int] = comm.allgather_object(mine.place(shown[comm.rank + 1 :]))
    if min(lengths[:-1]) < 0:
        return False
    begin = [sum(lengths[:k]) for k in range(comm.size)]
    shifts = [p - b for p, b in zip(starts, begin, strict=False)]
    if any(not _STEP <= s <= x for s, x in zip(shifts[1:], slack[1:], strict=False)):
        return False
    mine.move(shifts[comm.rank])
    end = mine.end(shifts[comm.rank]) if comm.rank == comm.size - 1 else None
    source.bit_generator.state = comm.bcast(end, comm.size - 1)
    return True


def _margin(found: parallel.Rate, units: int) -> float:
    """Words by which so many units surely take no more nor less than they should."""
    return _SURE * found.spread * math.sqrt(units) + _KNOWN * units


def _starts(draw: Draw, boxes: Sequence[Box]) -> list[int] | None:
    """Which unit each rank's part begins with, and how many there are, if the parts are consecutive ranges of units."""
    units = draw.units
    cut = next((d for d, n in enumerate(units) if n > 1), 0)
    inner = math.prod(units[cut + 1 :])
    starts = [0]
    for box in boxes:
        others = all(
            (lo, hi) == (0, n) for d, ((lo, hi), n) in enumerate(zip(box, units, strict=False)) if d != cut
        )
        if not others or box[cut][0] * inner != starts[-1]:
            return None
        starts.append(box[cut][1] * inner)
    return starts if starts[-1] == draw.total() else None


class _Part:
    """What one rank draws: `head` (as many units as its slack), its memory, and a little more. shown: the units that the rank
    before looks for, and the state before them; None on the first rank."""

    def __init__(
        self,
        comm: Comm,
        source: Source,
        draw: Draw,
        found: parallel.Rate,
        starts: list[int],
        slack: list[int],
        out: np.ndarray,
    ) -> None:
        self._draw, self._out, me = draw, out, comm.rank
        self._last = me == comm.size - 1
        own = copied(source)
        self._before = slack[me] if me else 0
        if me:
            words = (starts[me] - 2 * _STEP) * found.words - _margin(found, starts[me])
            skip(own, int(words) >> int(found.half))
            if found.half:
                own.bit_generator.state = own.bit_generator.state | {"has_uint32": 0}
        begin = copied(own)
        self._head = np.empty(self._before, out.dtype)
        self._take(own, self._head)
        self.shown: tuple[np.ndarray, Any] | None = None
        if me:
            draw.block(begin, 0, _STEP)
            self.shown = self._head[_STEP : _STEP + _SHOWN].copy(), begin.bit_generator.state
        # drawn by several threads but for what the next rank may show; where that begins the source is kept
        after = 0 if self._last else slack[me + 1]
        self._kept = len(out) - after - self._before
        self._take(own, out[: self._kept])
        self._source = copied(own)
        self._tail = np.empty(_SHOWN, out.dtype)
        self._take(own, out[self._kept :])
        self._take(own, self._tail)

    def _take(self, own: Source, into: np.ndarray) -> None:
        """Draw the next units."""
        if parallel.fill(own, self._draw, into):
            return
        for place in range(0, len(into), parallel.PIECE):
            part = into[place : place + parallel.PIECE]
            drawn = self._draw.block(own, 0, len(part), part)
            if drawn is not part:
                part[...] = drawn

    def place(self, shown: Sequence[tuple[np.ndarray, Any] | None]) -> int:
        """How many units this rank drew before the place from which the next one did; -1 if it is not found; 0 on the last."""
        if self._last:
            return 0
        following = next(iter(shown))
        assert following is not None
        units, state = following
        here = np.concatenate([self._out[self._kept :], self._tail])
        found = np.flatnonzero(here[: len(here) - _SHOWN + 1] == units[0])
        for k in range(1, _SHOWN):
            if len(found) < 2:
                break
            found = found[here[found + k] == units[k]]
        for at in found.tolist():
            own = copied(self._source)
            self._draw.block(own, 0, at)
            if same(own.bit_generator.state, state):
                return int(self._before + self._kept + at - _STEP)
        return -1

    def move(self, shift: int) -> None:
        """Bring the units from number `shift` of what was drawn to the memory."""
        out, more = self._out, self._before - shift
        for stop in range(len(out), more, -parallel.PIECE):
            first = max(more, stop - parallel.PIECE)
            out[first:stop] = out[first - more : stop - more]
        out[:more] = self._head[shift:]

    def end(self, shift: int) -> Any:
        """The state after the part, if it is that."""
        own = copied(self._source)
        self._draw.block(own, 0, shift - self._before + len(self._out) - self._kept)
        return own.bit_generator.state
