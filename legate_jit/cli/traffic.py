"""What the exchange steps of a rank's schedule move, as text: kind, bytes of this rank and of all ranks, messages.

Counted from layouts, by the rules that `legate_jit.ranks.exchanging` follows; nothing is measured. Knows schedules as data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from legate_jit.ir.node import ArrayType
from legate_jit.ir.ranks import layout, neighbors
from legate_jit.ir.ranks.exchanges import Combine, Fetch
from legate_jit.ir.steps import Call, Schedule
from legate_jit.ranks import exchanging


class Moved(NamedTuple):
    """Messages and bytes that this rank sends, bytes it gets, bytes of all ranks."""

    messages: int = 0
    sent: int = 0
    received: int = 0
    total: int = 0

    def __add__(self, other: tuple[Any, ...]) -> Moved:
        """Both."""
        return Moved(*(a + b for a, b in zip(self, other, strict=True)))


def name(step: Call) -> str:
    """What a call that exchanges data is called in dumps; '' for other calls."""
    options = dict(step.spec.options)
    fetches, what = options.get("fetches"), options.get("what")
    if fetches:
        kinds = dict.fromkeys(neighbors.kind(f.source, f.wanted) for f in fetches)
        return f"begin {' '.join(kinds)}" + (f" x{len(fetches)}" if len(fetches) > 1 else "")
    if isinstance(what, Fetch):
        return f"{'finish' if what.group >= 0 else 'fetch'} {neighbors.kind(what.source, what.wanted)}"
    if isinstance(what, Combine):
        return f"combine {what.op}" + (" before" if what.before else "")
    return "" if what is None else f"collective {what.name}"


def moved(step: Call, schedule: Schedule) -> Moved | None:
    """What a step moves; None if it exchanges nothing (what a `begin` moves is counted there), or that depends on values."""
    options = dict(step.spec.options)
    begun = {
        f.number
        for s in schedule.steps
        if isinstance(s, Call)
        for f in dict(s.spec.options).get("fetches", ())
    }
    what = options.get("what")
    if isinstance(what, Combine):
        return _combined(what, step.arguments[0].type, *schedule.place)
    if isinstance(what, Fetch) and what.number not in begun:
        fetches: Sequence[Fetch] = (what,)
    else:
        fetches = options.get("fetches", ())
    return _fetched(fetches, step.arguments[0].type.dtype.itemsize, *schedule.place) if fetches else None


def _fetched(fetches: Sequence[Fetch], item: int, rank: int, ranks: int) -> Moved:
    """Fetches of one array in one message to each other rank."""
    source = fetches[0].source
    sent, received = neighbors.joint(source, [f.wanted for f in fetches], rank, ranks)
    total = sum(layout.moved(source, f.wanted, ranks) for f in fetches)
    return Moved(sent.messages, item * sent.elements, item * received.elements, item * total)


def _combined(what: Combine, type_: ArrayType, rank: int, ranks: int) -> Moved:
    some, each = layout.samples(ranks)
    total = sum(exchanging.combined(what, type_, k, ranks)[1] for k in some)
    messages, sent = exchanging.combined(what, type_, rank, ranks)
    return Moved(messages, sent, sent, int(total * each))


def text(found: Moved, size: Callable[[int], str]) -> str:
    """What is moved, in words."""
    messages = f"{found.messages} message" + ("s" if found.messages != 1 else "")
    return (
        f"sends {size(found.sent)} in {messages}, gets {size(found.received)}; all ranks {size(found.total)}"
    )


def exchanges(schedule: Schedule) -> list[Moved]:
    """What every exchange of a schedule moves."""
    calls = [s for s in schedule.steps if isinstance(s, Call)]
    return [found for s in calls if (found := moved(s, schedule)) is not None]


def summary(schedule: Schedule, size: Callable[[int], str]) -> list[str]:
    """The line of totals, if the schedule exchanges anything."""
    calls = [s for s in schedule.steps if isinstance(s, Call)]
    some = exchanges(schedule)
    open_ = sum(name(s).startswith("collective") for s in calls)
    if not some and not open_:
        return []
    rank, ranks = schedule.place
    more = f", and {open_} collective operations that move what their values ask for" if open_ else ""
    return [f"# rank {rank} of {ranks}: {len(some)} exchanges, {text(sum(some, Moved()), size)}{more}"]
