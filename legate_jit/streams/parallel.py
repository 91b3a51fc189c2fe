"""Draws by several threads, with the numbers and the state of one call of NumPy's.

The stream is cut into pieces of so many words, to which all threads can jump. Where every unit takes as many words, each piece is
some of the result. Where NumPy rejects some words (normal numbers, for instance), nobody knows in advance which unit begins where
a piece does: each piece is drawn as if one began there, a little further than to the next piece. Soon after its begin a piece
falls in step with what was drawn before it, and its units are right from there on. That is proved by comparing states: the
state at the end of one piece is that after so many units of the next one. If they never meet, the draw is left to NumPy.
Knows draws and threads; no ranks.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from legate_jit.backends.pool import threads
from legate_jit.streams.draws import Draw, count_of_integers
from legate_jit.streams.jumps import Source, can_jump, copied, restore, same, skip

__all__ = ["LEAST", "fill", "fill_plain", "rate", "worthwhile"]

#: units from which it is worth it
LEAST = 1 << 18
#: units of a piece
PIECE = 1 << 16
#: so many units of two pieces are compared before states are, and drawn beyond the begin of the next piece at least
_MET = 64
#: deviations of the number of words that a piece takes within which pieces overlap
_SURE = 6.0


class Rate(NamedTuple):
    """Words of the stream that a unit takes: the mean and the deviation. half: words of 32 bits."""

    words: float
    spread: float
    half: bool


_NORMAL, _EXPONENTIAL = (1.02203483, 0.19), (1.03358019, 0.236)
#: NumPy's ziggurats, one unit of which makes a unit; the means follow from their tables
_ZIGGURATS = {
    "standard_normal": _NORMAL,
    "normal": _NORMAL,
    "lognormal": _NORMAL,
    "standard_exponential": _EXPONENTIAL,
    "exponential": _EXPONENTIAL,
    "rayleigh": _EXPONENTIAL,
    "pareto": _EXPONENTIAL,
    "power": _EXPONENTIAL,
}


def rate(draw: Draw) -> Rate | None:
    """What a unit takes of the stream; None if that is not known."""
    if draw.plain:
        return Rate(1.0, 0.0, draw.dtype.itemsize == 4)
    if draw.row or any(np.ndim(x) for key, x in draw.parameters.items() if key != "dtype"):
        return None
    if draw.name == "integers":
        return _of_integers(draw)
    found = _ZIGGURATS.get(draw.name)
    return None if found is None else Rate(*found, draw.dtype.itemsize == 4)


def _of_integers(draw: Draw) -> Rate | None:
    """Lemire's method: a word times the number of values, rejected where that would favor some."""
    if draw.dtype.itemsize < 4:
        return None
    values = count_of_integers(draw.parameters)
    half = values <= 1 << 32
    whole = 1 << (32 if half else 64)
    rejected = (whole % values) / whole if values > 1 else 1.0
    if rejected > 0.5:  # also where there is one value, and nothing is drawn
        return None
    return Rate(1 / (1 - rejected), rejected**0.5 / (1 - rejected), half)


def fill(source: Source, draw: Draw, out: np.ndarray) -> bool:
    """Write a draw to memory of its shape, C-contiguous, and go to its end; False, and nothing is drawn: leave it to NumPy."""
    found = rate(draw)
    if (
        found is None
        or not worthwhile(out.size)
        or isinstance(source, np.random.RandomState)
        or not can_jump(source)
    ):
        return False
    if draw.plain and _on_a_word(source, draw):
        fill_plain(source, draw, out.reshape(-1))
        return True
    pieces = _Pieces(source, draw, found, out.reshape(-1))
    _together(pieces.work, pieces.stop)
    if pieces.end is None:
        return False
    restore(source, pieces.end)
    return True


def worthwhile(units: int) -> bool:
    """Whether there are threads, and work for them."""
    return units >= LEAST and threads.get_threads() > 1


def fill_plain(source: Source, draw: Draw, out: np.ndarray, first: int = 0) -> None:
    """Write the next units, which are those from number `first`, of a draw all of whose units take as much of the stream."""
    places = iter(range(0, len(out), PIECE))
    stopped: list[bool] = []

    def work(own: Source) -> None:
        at = 0
        for place in places:
            if stopped:
                return
            draw.skip(own, place - at)
            at = min(place + PIECE, len(out))
            into = out[place:at]
            drawn = draw.block(own, first + place, len(into), into)
            if drawn is not into:
                into[...] = drawn

    if worthwhile(len(out)) and _on_a_word(source, draw):
        _together(lambda: work(copied(source)), lambda: stopped.append(True))
        draw.skip(source, len(out))
    else:
        work(source)


def _on_a_word(source: Source, draw: Draw) -> bool:
    """Whether no half of a word is left over for the first unit."""
    return draw.dtype.itemsize == 8 or not source.bit_generator.state["has_uint32"]


class _Met(NamedTuple):
    """What the next piece has to know: the number of units until here, the state, and the last units."""

    place: int
    state: Any
    tail: np.ndarray


class _Pieces:
    """A draw in pieces, worked on by threads. end: the source after the last unit, once it is known."""

    def __init__(self, source: Source, draw: Draw, found: Rate, out: np.ndarray) -> None:
        self._draw, self._out, self._half = draw, out, found.half
        self._base = source.bit_generator.state
        self._source = source
        self.end: Source | None = None
        overlap = _SURE * found.spread * PIECE**0.5 + _MET
        self._stride = int(PIECE * found.words - overlap) >> int(found.half)
        self._head = int(2 * overlap) + 2 * _MET
        count = len(out) // max(PIECE - self._head, 1) + 2
        self._gates = [_thread.allocate_lock() for _ in range(count)]
        for gate in self._gates[1:]:
            gate.acquire()
        self._met: list[_Met | None] = [None] * count
        self._next = itertools.count()
        self._stopped = False

    def _start(self, own: Source, k: int) -> None:
        """Bring a source to the begin of piece k."""
        bits = own.bit_generator
        bits.state = self._base
        skip(own, k * self._stride)
        if self._half and k:
            bits.state = bits.state | {"has_uint32": 0}

    def stop(self) -> None:
        """Let everybody end with the piece at hand."""
        self._stopped = True
        for gate in self._gates:
            with contextlib.suppress(RuntimeError):  # open already
                gate.release()

    def work(self) -> None:
        """Draw pieces until there are no more."""
        own, total = copied(self._source), len(self._out)
        scratch = np.empty(PIECE, self._out.dtype)
        for k in self._next:
            if k >= len(self._gates) or self._stopped:
                return
            self._start(own, k)
            drawn = self._draw.block(own, 0, PIECE, scratch)
            state = own.bit_generator.state
            self._gates[k].acquire()
            before = self._met[k - 1] if k else None
            if self._stopped or (k and before is None):
                return
            first, place = (0, 0) if before is None else (self._first(own, k, drawn, before), before.place)
            if first < 0:
                self.stop()
                return
            n = min(place + PIECE - first, total) - place
            if place + n < total:
                self._met[k] = _Met(place + n, state, drawn[-_MET:].copy())
                self._gates[k + 1].release()
            else:
                self.stop()
            self._out[place : place + n] = drawn[first : first + n]
            if place + n == total:
                self._start(own, k)
                self._draw.block(own, 0, first + n)
                self.end = own

    def _first(self, own: Source, k: int, drawn: np.ndarray, before: _Met) -> int:
        """From which unit on a piece is right; -1 if that was not found."""
        head, tail = drawn[: self._head], before.tail
        ends = np.flatnonzero(head == tail[-1])
        for back in range(1, _MET):
            if len(ends) < 2:
                break
            ends = ends[(ends < back) | (head[ends - back] == tail[-1 - back])]
        for end in ends.tolist():
            self._start(own, k)
            self._draw.block(own, 0, end + 1)
            if same(own.bit_generator.state, before.state):
                return int(end) + 1
        return -1


def _together(work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Do the work on all threads, this one included, and wait for all of them, whatever happens: nobody may give back memory that
    somebody writes to. The first error is raised; then, `stop` makes the others end soon.

    Not by `threading`: programs of one thread stay what they are to the engine."""
    errors: list[BaseException] = []
    ended: list[int] = []
    wake: SimpleQueue[None] = SimpleQueue()
    count = threads.get_threads() - 1

    def one() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop()
        ended.append(1)
        wake.put(None)

    for _ in range(count):
        _thread.start_new_thread(one, ())
    try:
        work()
    except BaseException as error:
        errors.append(error)
        stop()
    while len(ended) < count:
        try:
            wake.get()
        except BaseException as error:  # an interrupt
            errors.append(error)
            stop()
    if errors:
        raise errors[0]
