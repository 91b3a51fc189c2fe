"""What happens when a function is called on arrays that four ranks deal out: recorded or done at once, by what, and what moves.

Nothing here is said of a function; all of it is seen: which windows run, what their graphs hold, which exchanges the ranks make.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
import pytest

import cupynumeric
import legate
from cupynumeric._array import Ours
from legate_jit import runtime
from legate_jit.ir import passes
from legate_jit.ir.build import CallSpec
from legate_jit.ir.ops import Kind
from legate_jit.ir.ranks import choose, layout
from legate_jit.ir.ranks.exchanges import Collective, Combine, Fetch
from legate_jit.ranks import windows

RANKS = 4
NO_ARRAYS = "no arrays"
#: a fetch of less than this part of an array brings edges
_EDGES = 0.1


class Row(NamedTuple):
    """One line of the table: how a call is computed, and what the ranks exchange for it."""

    how: str
    moves: str


class Seen:
    """What was seen since `begin`."""

    def __init__(self) -> None:
        self.calls: dict[str, None] = {}
        self.moves: dict[str, None] = {}
        self.kernels = self.tasks = self.at_once = self.by_numpy = False
        self.watching = self.calling = False


@contextlib.contextmanager
def observed() -> Iterator[Seen]:
    """A world of virtual ranks in which everything is noted."""
    seen = Seen()
    patch = pytest.MonkeyPatch()
    patch.setattr(passes, "observers", [])
    _watch_plans(seen, patch)
    _watch_reads(seen, patch)
    legate.fence()
    runtime._plans.clear()
    patch.setattr(runtime, "world", windows.World(RANKS, range(RANKS), None))
    try:
        yield seen
        legate.fence()
    finally:
        patch.undo()
        runtime._plans.clear()


def _watch_plans(seen: Seen, patch: pytest.MonkeyPatch) -> None:
    from legate_jit.ir.ranks import distribute

    real = distribute.distribute

    def watched(graph: Any, inputs: Any, size: int, rank: int, *more: Any, **named: Any) -> Any:
        found = real(graph, inputs, size, rank, *more, **named)
        if seen.watching and rank == 0:
            _note_graph(seen, graph)
            for exchange in found.exchanges:
                seen.moves[_move(exchange, size)] = None
            if found.notices:
                seen.moves["gathered"] = None
        return found

    for name, room in list(sys.modules.items()):
        if name.startswith("legate_jit.") and getattr(room, "distribute", None) is real:
            patch.setattr(room, "distribute", watched)


_STRUCTURE = (Kind.BUFFER, Kind.SCALAR, Kind.CONST, Kind.CALL, Kind.ITEM, Kind.TASK)


def _note_graph(seen: Seen, graph: Any) -> None:
    for n in graph.nodes:
        if n.kind is Kind.CALL and isinstance(n.arg, CallSpec):
            function = dict(n.arg.options).get("function")
            seen.calls[str(function or n.arg.name)] = None
        seen.tasks |= n.kind is Kind.TASK
        seen.kernels |= n.kind not in _STRUCTURE


def _move(exchange: Any, size: int) -> str:
    """An exchange in a few words."""
    what = exchange.what
    if isinstance(what, Combine):
        return "results"
    if isinstance(what, Collective):
        return f"together ({what.name})"
    assert isinstance(what, Fetch)
    whole = tuple((0, n) for n in what.source.shape)
    if layout.size(whole) and all(what.wanted.box(k) == whole for k in range(size)):
        return "gathered" if layout.size(whole) >= choose.SMALL else "results"
    elements = sum(layout.size(what.wanted.box(k)) for k in range(size))
    moved = layout.moved(what.source, what.wanted, size)
    return "edges" if moved < _EDGES * max(elements, 1) else "redistributed"


def _watch_reads(seen: Seen, patch: pytest.MonkeyPatch) -> None:
    whole, together, flush = windows.World.whole, windows.World.together, runtime.flush

    def reading(self: Any, buffer: Any) -> Any:
        if seen.watching and not buffer.layout.is_replicated:
            seen.moves["gathered"] = None
            seen.at_once = True
        return whole(self, buffer)

    def computing(self: Any, program: Any, inputs: Any, name: str) -> Any:
        if seen.watching:
            seen.moves[f"together ({name.partition('(')[0]})"] = None
            seen.at_once = True
        return together(self, program, inputs, name)

    def flushing(w: Any = None) -> None:
        if seen.calling and (runtime.window if w is None else w).n:
            seen.at_once = True
        flush(w)

    patch.setattr(windows.World, "whole", reading)
    patch.setattr(windows.World, "together", computing)
    patch.setattr(runtime, "flush", flushing)


def look(seen: Seen, source: str, names: dict[str, Any]) -> Row:
    """Evaluate an expression and say what happened."""
    legate.fence()
    runtime._plans.clear()
    stores = [x._store for x in names.values() if isinstance(x, Ours)]
    buffers = [s.buffer for s in stores]
    given = {id(s) for s in stores} | {id(s.buffer) for s in stores}
    seen.__init__()  # type: ignore[misc]
    seen.watching = seen.calling = True
    with warnings.catch_warnings(record=True) as told, contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("always")
        try:
            kept = eval(source, {"np": cupynumeric, "numpy": numpy, **names})
        except Exception as error:
            error.add_note(f"in the sample {source}")
            raise
        seen.calling = False
        changed = any(s.buffer is not buffer for s, buffer in zip(stores, buffers, strict=True))
        made = [x._store for x in _arrays(kept) if id(x._store) not in given]
        seen.at_once |= any(s.value is None and id(s.buffer) not in given for s in made)
        legate.fence()
    seen.watching = False
    seen.by_numpy = any("falling back to canonical NumPy" in str(w.message) for w in told)
    return Row(_how(seen, changed or next(_arrays(kept), None) is not None), _moved(seen))


def _arrays(x: Any) -> Iterator[Any]:
    """The arrays of ours in a result."""
    if isinstance(x, Ours):
        yield x
    elif isinstance(x, (tuple, list)):
        for each in x:
            yield from _arrays(each)


def _how(seen: Seen, has_arrays: bool) -> str:
    if seen.by_numpy:
        return "NumPy, with a warning"
    parts = ["kernels"] if seen.kernels else []
    if seen.calls:
        parts.append(f"library ({', '.join(sorted(seen.calls))})")
    if seen.tasks:
        parts.append("tasks")
    if seen.at_once:
        return "at once" + (f": {', '.join(parts)}" if parts else "")
    return ", ".join(parts) or ("shares" if has_arrays else NO_ARRAYS)


_ORDER = ("edges", "redistributed", "results", "together", "gathered")


def _moved(seen: Seen) -> str:
    order = {word: k for k, word in enumerate(_ORDER)}
    return ", ".join(sorted(seen.moves, key=lambda m: (order[m.partition(" (")[0]], m))) or "nothing"
