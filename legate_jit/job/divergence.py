"""Divergence: do all ranks run the same program? What each rank recorded, as a number that is compared and a log that explains.

Every flushed window is digested from what its instructions are (never from addresses, hash orders or times) and from the numbers
it was given. `DivergenceError` names the first instruction that differs and the user's line on every rank. While windows are new
each instruction's line is remembered; in a steady loop only the line that flushed the window.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import sys
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from legate_jit import runtime
from legate_jit.comm.base import Comm
from legate_jit.ir.node import Signature
from legate_jit.ir.ranks.choose import SMALL
from legate_jit.ir.ranks.dealing import is_dealt
from legate_jit.places import Place, Tape, TracedWindow, place_text, user_place
from legate_jit.process import interpreter

__all__ = ["DivergenceError", "Recorder"]

#: windows whose digests and lines are kept, and whose instructions are
_WINDOWS, _DETAILS = 4096, 64
#: instructions of a window that are compared one by one
_INSTRUCTIONS = 4000
#: windows in a row that were seen before, after which lines of instructions are no longer remembered
_STEADY = 16
_PRIME = (1 << 61) - 1
#: lists of scalars whose digests are kept: in a steady loop no plan is made, which is when other tables are cut
_SCALARS = 256
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NUMBERS = (bool, int, float, complex, np.generic)


class DivergenceError(RuntimeError):
    """The ranks do not run the same program. `status`: what the job should end with."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class _Flushed(NamedTuple):
    """A window that this rank ran: what was recorded until its end, and who had it run."""

    digest: int
    place: Place
    number: int


class _Details(NamedTuple):
    number: int
    code: list[Any]
    scalars: tuple[Any, ...]


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")


_signatures: dict[Signature, int] = {}
#: digest, whether arrays or launches in it may be dealt out
_tapes: dict[tuple[Any, ...], tuple[int, bool]] = {}
_numbers: dict[bytes, int] = {}  # digests of scalars
runtime.bounded += [(_signatures, 100_000), (_tapes, 4000)]


def instruction_text(signature: Signature) -> str:
    """An instruction in words that are the same in every process."""
    parts = (signature, signature.arg, signature.mask, signature.loop, signature.bounds, signature.views)
    return _ADDRESS.sub("", " ".join(map(repr, parts)))


def _signature_digest(signature: Signature) -> int:
    found = _signatures.get(signature)
    if found is None:
        found = _signatures[signature] = _number_of(instruction_text(signature))
    return found


def _about(tape: tuple[Any, ...]) -> tuple[int, bool]:
    """The digest of a tape, and whether any of its arrays is large or any launch dealt out."""
    text = [_signature_digest(e) if e.__class__ is Signature else e for e in tape]
    signatures = [e for e in tape if e.__class__ is Signature]
    large = any(t.size >= SMALL for e in signatures for t in (e.type, *e.types))
    return _number_of(repr(text)), large or any(is_dealt(e.arg) for e in signatures)


def _scalars_digest(scalars: list[Any]) -> int:
    """Numbers by their bits, other things by what they are."""
    try:
        # This version writes equal lists alike, whoever else refers to what is in them.
        text = marshal.dumps(scalars, 2)
    except ValueError:  # NumPy's numbers are bytes to marshal; launches of tasks are nothing it knows
        return _number_of(_scalars_text(scalars))
    found = _numbers.get(text)  # the same ones come again in a loop
    if found is None:
        found = _numbers[text] = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
    return found


def _unwanted_refcount() -> int:
    """What sys.getrefcount says, called by `map`, of a store only a list refers to."""
    stores = [object()]
    counts = list(map(sys.getrefcount, stores))
    return counts[0]


_UNWANTED = interpreter.references(_unwanted_refcount)
#: by a count of references: whether anybody wants the store
_WANTED = bytes(count > _UNWANTED for count in range(256))


def _wanted(stores: Sequence[Any]) -> bytes:
    """Which stores somebody else than this sequence refers to: 1 or 0 for each."""
    try:
        return bytes(map(sys.getrefcount, stores)).translate(_WANTED)
    except ValueError:  # more references than a byte counts
        return bytes([count > _UNWANTED for count in map(sys.getrefcount, stores)])


def _scalars_text(scalars: Sequence[Any]) -> str:
    """Numbers by value, other things (launches of tasks) by what they are."""
    return " ".join([repr(s) if isinstance(s, _NUMBERS) else type(s).__name__ for s in scalars])


class Recorder:
    """What this rank recorded since the ranks last agreed."""

    def __init__(self) -> None:
        self.digest = 0
        self.count = 0
        self._log: deque[_Flushed] = deque(maxlen=_WINDOWS)
        self._details: deque[_Details] = deque(maxlen=_DETAILS)
        #: whether the last agreement was that all ranks stop
        self.stopping = False
        self._seen_in_a_row = 0
        self._remembering = False

    @property
    def place(self) -> Place | None:
        """Who had the last window run since the ranks agreed."""
        return self._log[-1].place if self._log else None

    def begin(self) -> None:
        """Remember lines from the next window on, unless somebody else does so already."""
        if type(runtime.window) is runtime.Window and not runtime.window.n:
            runtime.window.__class__ = TracedWindow
            runtime.window.clear()
            self._remembering = True

    def flushing(self, w: runtime.Window) -> bool:
        """A window is about to run. Whether any of its arrays is large enough to be dealt out."""
        key = tuple(w.code)
        found = _tapes.get(key)
        if found is None:
            found = _tapes[key] = _about(key)
            self._seen_in_a_row = 0
        else:
            self._seen_in_a_row += 1
        digest, large = found
        if w.scalars:
            if len(_numbers) > _SCALARS:
                _numbers.clear()
            digest += _scalars_digest(w.scalars)
        self.digest = (self.digest * 1_000_003 + digest) % _PRIME
        self._log.append(_Flushed(self.digest, user_place(), self.count))
        self._details.append(_Details(self.count, w.code, tuple(w.scalars)))
        self.count += 1
        self._adapt()
        return large

    def _adapt(self) -> None:
        """Remembering lines doubles the cost of recording: not in a steady loop. The next window begins after this one ran."""
        steady = self._seen_in_a_row >= _STEADY
        if self._remembering and steady:
            runtime.window.__class__ = runtime.Window
            self._remembering = False
        elif not steady and not self._remembering and type(runtime.window) is runtime.Window:
            runtime.window.__class__ = TracedWindow
            self._remembering = True

    def agree(self, comm: Comm, kind: int, what: Callable[[], tuple[str, int]]) -> None:
        """Return when all ranks are at the same point and have recorded the same. DivergenceError on all of them otherwise.

        kind: a number for this sort of point; what: this rank's point in words, and the status it wants to end with, or 0.
        """
        self.agree_on_arrays(comm, kind, (), what)

    def agree_on_arrays(
        self,
        comm: Comm,
        kind: int,
        stores: Sequence[Any],
        what: Callable[[], tuple[str, int]],
        stop: bool = False,
    ) -> list[Any]:
        """`agree` before a window of these stores runs. Those that are still wanted on some rank but not on this one (garbage
        is collected when it is): they must be computed here too, and are wanted as long as the caller holds what is returned.

        stop: this rank has been asked to stop. If any rank has, all of them get a KeyboardInterrupt here."""
        self.stopping = False
        wanted = bytes([stop]) + _wanted(stores)
        missing = []
        if not comm.agree(kind, self.count, self.digest, zlib.crc32(wanted)):
            if not comm.agree(kind, self.count, self.digest, 0):  # what is wanted is not the only difference
                self._disagree(comm, what)
            stopped, *anywhere = [any(there) for there in zip(*comm.allgather_object(wanted), strict=True)]
            if stopped:
                self._begin_anew()
                self.stopping = True
                raise KeyboardInterrupt
            missing = [
                s for s, here, there in zip(stores, wanted[1:], anywhere, strict=True) if there and not here
            ]
        self._begin_anew()
        return missing

    def _begin_anew(self) -> None:
        self._log.clear()
        self._details.clear()
        self.count = self.digest = 0

    def _disagree(self, comm: Comm, what: Callable[[], tuple[str, int]]) -> NoReturn:
        point, status = what()
        text = self.explain(comm, point)
        raise DivergenceError(text, max(1, *comm.allgather_object(status)))

    # -- explaining --

    def explain(self, comm: Comm, what: str) -> str:
        """How the ranks differ; all of them call this, and all get the same text."""
        logs = comm.allgather_object(
            [(f.number, f.digest, place_text(f.place) if f.place[1] else "") for f in self._log]
        )
        points = comm.allgather_object(what)
        head = "the ranks do not run the same program"
        window = _first_difference(logs)
        if window is None:
            return f"{head}: {_each(points)}"
        found = comm.allgather_object(self._instructions(window))
        places = [next((p for number, _, p in log if number == window), None) for log in logs]
        shown = [f"a window run at {p}" if p else point for p, point in zip(places, points, strict=True)]
        if any(f is None for f in found):
            missing = [point if f is None else s for f, s, point in zip(found, shown, points, strict=True)]
            return f"{head}: {_each(missing)}"
        at = next((k for k in range(max(map(len, found))) if _differ(found, k)), None)
        if at is None:
            return f"{head}: {_each(shown)}"
        texts = [_instruction_line(f, at, s) for f, s in zip(found, shown, strict=True)]
        return f"{head}: the first operation that differs is {_each(texts)}"

    def _instructions(self, number: int) -> list[tuple[str, str, str]] | None:
        """Of a window, for each instruction: all about it, its short name, and the line that recorded it ('' if unknown)."""
        details = next((d for d in self._details if d.number == number), None)
        if details is None:
            return None
        code, scalars = details.code, iter(details.scalars)
        starts = [k for k, e in enumerate(code) if e.__class__ is Signature][:_INSTRUCTIONS]
        result = []
        for k in starts:
            signature: Signature = code[k]
            sources = code[k + 1 : k + 1 + signature.nsrc]
            given = [next(scalars, None) for _ in range(signature.mask.bit_count())]
            place = place_text(code.place(k)) if isinstance(code, Tape) else ""
            about = f"{instruction_text(signature)} {sources} {_scalars_text(given)}"
            short = f"{signature!r}" + (f" with {_scalars_text(given)}" if given else "")
            result.append((about, _ADDRESS.sub("", short), place))
        return result


def _first_difference(logs: list[list[tuple[int, int, str]]]) -> int | None:
    """The number of the first window that is not the same on all ranks, among those that are known; None if there is none."""
    digests = [{number: digest for number, digest, _ in log} for log in logs]
    numbers = sorted(set().union(*digests))
    return next((n for n in numbers if len({d.get(n) for d in digests}) > 1), None)


def _differ(found: list[Any], at: int) -> bool:
    return len({f[at][0] if at < len(f) else None for f in found}) > 1


def _instruction_line(instructions: list[tuple[str, str, str]], at: int, window: str) -> str:
    if at >= len(instructions):
        return f"none ({window})"
    _, short, place = instructions[at]
    return f"{short} at {place}" if place else f"{short} in {window}"


def _each(texts: list[str]) -> str:
    """What is the case on which ranks: equal texts once, by the first rank that has them."""
    groups: dict[str, list[int]] = {}
    for rank, text in enumerate(texts):
        groups.setdefault(text, []).append(rank)
    return "; ".join(f"{_ranks(ranks)}: {text}" for text, ranks in groups.items())


def _ranks(ranks: list[int]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    if ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"ranks {ranks[0]} to {ranks[-1]}" if len(ranks) > 2 else f"ranks {ranks[0]} and {ranks[1]}"
    return f"ranks {', '.join(map(str, ranks[:8]))}" + (", ..." if len(ranks) > 8 else "")
