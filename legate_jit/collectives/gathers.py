"""Gathers and scatters: rows of a table that is dealt out, read and written by number.

Rank r holds rows `edges[r] .. edges[r + 1]` of the table. Numbers are of rows of the whole table, in range and not
negative. Who wants a row asks its owner; numbers that all ranks know are not sent. What a rank asks for more often than
there are rows travels once.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.backends.calls import indexed
from legate_jit.collectives import messages
from legate_jit.comm.base import Comm

__all__ = [
    "Disagreement",
    "Edges",
    "assign",
    "gather",
    "gather_known",
    "gather_same",
    "picked",
    "scatter",
    "scatter_known",
]

#: where the rows of each rank begin, and where the last one's end
Edges = Sequence[int]
#: writes rows to a part: the part, where (numbers in the part), and the rows (as many, or one for all)
Writer = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


#: of so many ranks each looks for its rows among all; more are told apart by sorting
_FEW = 32

#: positions in a vector, ascending
_Places = slice | np.ndarray


def _by_owner(where: np.ndarray, edges: Edges) -> list[_Places]:
    """For every rank, the positions of the rows that it holds."""
    ranks = len(edges) - 1
    if not len(where):
        return [slice(0, 0)] * ranks
    first, last = np.searchsorted(edges[1:], [where.min(), where.max()], side="right")
    if first == last:
        return [slice(None) if k == first else slice(0, 0) for k in range(ranks)]
    if ranks <= _FEW:
        return [_within(where, *edges[k : k + 2]) for k in range(ranks)]
    owner = np.searchsorted(np.asarray(edges[1:], where.dtype), where, side="right")
    order = np.argsort(owner.astype(np.uint16), kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=ranks))
    return list(np.split(order, ends[:-1]))


def _within(where: np.ndarray, low: int, high: int) -> np.ndarray:
    return np.flatnonzero((where >= low) & (where < high)) if high > low else np.empty(0, np.int64)


def _at(array: np.ndarray, here: _Places) -> np.ndarray:
    return array[here] if isinstance(here, slice) else picked(array, here)


def picked(part: np.ndarray, local: np.ndarray) -> np.ndarray:
    """The rows of a part with these numbers, all in range."""
    out = np.empty((*local.shape, *part.shape[1:]), part.dtype)
    if not indexed.gather(part, local, out):
        np.take(part, local.astype(np.int64, copy=False), axis=0, out=out, mode="wrap")
    return out


def assign(part: np.ndarray, local: np.ndarray, values: np.ndarray) -> None:
    """`part[local] = values` for numbers in range, values of the part's dtype; the last of several writes wins."""
    if not indexed.scatter(part, local, np.ascontiguousarray(values)):
        part[local] = values


def _local_dtype(edges: Edges) -> np.dtype:
    """The least unsigned dtype for numbers of rows within a part."""
    most = max(hi - lo for lo, hi in itertools.pairwise(edges))
    return np.dtype(np.min_scalar_type(max(most, 1)))


def gather(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray) -> np.ndarray:
    """The rows `where` (a vector of int64, of any length on every rank) of the table: an array (len(where), *row)."""
    places = _by_owner(where, edges)
    numbers = _local_dtype(edges)
    asked, spread = [], []
    for k, here in enumerate(places):
        local, held, back = _at(where, here) - edges[k], edges[k + 1] - edges[k], None
        if len(local) > held:
            local, back = _distinct(local, held)
        asked.append(local.astype(numbers))
        spread.append(back)
    requests = messages.all_to_all(comm, asked)
    answers = messages.all_to_all(comm, [picked(part, r) for r in requests], [len(a) for a in asked])
    return _unsorted(
        [a if b is None else picked(a, b) for a, b in zip(answers, spread, strict=True)], places, where
    )


def _distinct(local: np.ndarray, held: int) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers below `held`, and where each of `local` is among them."""
    met = np.zeros(held, np.bool_)
    met[local] = True
    places = np.cumsum(met) - 1
    return np.flatnonzero(met), places[local]


def _unsorted(rows: Sequence[np.ndarray], places: Sequence[_Places], where: np.ndarray) -> np.ndarray:
    """The rows of every owner at the places where they were asked for."""
    out = np.empty((len(where), *rows[0].shape[1:]), rows[0].dtype)
    for here, found in zip(places, rows, strict=True):
        if isinstance(here, slice):
            out[here] = found
        elif len(here):
            assign(out, here, found)
    return out


def _counts(places: Sequence[_Places], where: np.ndarray) -> list[int]:
    return [len(range(len(where))[here]) if isinstance(here, slice) else len(here) for here in places]


class Disagreement(RuntimeError):
    """The ranks were given different index arrays where all should have the same."""


def _same(comm: Comm, where: np.ndarray) -> None:
    """`Disagreement`, on all ranks, unless all have the same numbers: else they would wait for rows that nobody sends."""
    mine = np.array([[len(where), zlib.crc32(np.ascontiguousarray(where).data)]], np.int64)
    every = messages.all_gather(comm, mine, [1] * comm.size)
    if any((e != mine).any() for e in every):
        raise Disagreement("an array is indexed by numbers that are not the same on all ranks")


def gather_known(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray, wanted: Edges) -> np.ndarray:
    """The rows `where[wanted[r] : wanted[r + 1]]` for every rank r, of numbers that all ranks know: nobody asks."""
    _same(comm, where)
    low, high = edges[comm.rank], edges[comm.rank + 1]
    hits = _within(where, low, high)
    cuts = np.searchsorted(hits, wanted)
    leaving = [picked(part, where[hits[a:b]] - low) for a, b in itertools.pairwise(cuts)]
    mine = where[wanted[comm.rank] : wanted[comm.rank + 1]]
    places = _by_owner(mine, edges)
    return _unsorted(messages.all_to_all(comm, leaving, _counts(places, mine)), places, mine)


def gather_same(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray) -> np.ndarray:
    """The rows `where`, which all ranks know, for all of them."""
    _same(comm, where)
    places = _by_owner(where, edges)
    rows = picked(part, _at(where, places[comm.rank]) - edges[comm.rank])
    return _unsorted(messages.all_gather(comm, rows, _counts(places, where)), places, where)


def scatter(
    comm: Comm,
    part: np.ndarray,
    edges: Edges,
    where: np.ndarray,
    values: np.ndarray,
    write: Writer,
    last_wins: bool,
) -> None:
    """Write to the table's rows `where`, which are this rank's, in the order of ranks and then as they are.

    values: a row for each of `where`, or one row, of an array with an axis less, that all ranks know. last_wins: of several
    writes to a row only the last one counts. Every owner writes to its own part.
    """
    shared = values.ndim < part.ndim
    sent, rows = _apart(edges, where, None if shared else values)
    for k, local in enumerate(sent):
        held = edges[k + 1] - edges[k]
        if last_wins and len(local) > held:
            kept = _latest(local, held)
            sent[k] = local[kept]
            if not shared:
                rows[k] = rows[k][kept]
    arriving = messages.all_to_all(comm, sent)
    given = None if shared else messages.all_to_all(comm, rows, [len(a) for a in arriving])
    for k, local in enumerate(arriving):
        if len(local):
            write(part, local, values if given is None else given[k])


def _apart(
    edges: Edges, where: np.ndarray, values: np.ndarray | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For every rank the numbers within its part, and the values that go there (none without values)."""
    numbers = _local_dtype(edges)
    found = indexed.apart(where, edges, values, numbers)
    if found is not None:
        return found
    places = _by_owner(where, edges)
    sent = [(_at(where, here) - low).astype(numbers) for here, low in zip(places, edges[:-1], strict=True)]
    return sent, [] if values is None else [_at(values, here) for here in places]


def _latest(local: np.ndarray, held: int) -> np.ndarray:
    """Positions, ascending, of the last occurrence of each number."""
    last = np.full(held, -1, np.int64)
    last[local] = np.arange(len(local))
    return np.sort(last[last >= 0])


def scatter_known(part: np.ndarray, low: int, where: np.ndarray, values: np.ndarray, write: Writer) -> None:
    """`scatter` of rows whose numbers and values this rank knows all: nothing is sent. low: the first row of the part."""
    hits = _within(where, low, low + len(part))
    if len(hits):
        write(part, where[hits] - low, values if values.ndim < part.ndim else values[hits])
