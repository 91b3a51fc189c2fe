"""Gathers and scatters: rows of a table that is dealt out, read and written by number.

Rank r holds rows `edges[r] .. edges[r + 1]` of the table. Numbers are of rows of the whole table, in range and not
negative. Who wants a row asks its owner; numbers that all ranks know are not sent. What a rank asks for more often than
there are rows travels once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.collectives import messages
from legate_jit.comm import Comm

__all__ = ["Edges", "gather", "gather_known", "gather_same", "scatter", "scatter_known"]

#: where the rows of each rank begin, and where the last one's end
Edges = Sequence[int]
#: writes rows to a part: the part, where (numbers in the part), and the rows (as many, or one for all)
Writer = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def _owners(where: np.ndarray, edges: Edges) -> np.ndarray:
    """The rank that holds each row, in few bits, so that sorting by it is linear."""
    ends = np.asarray(edges[1:], where.dtype)
    found = np.searchsorted(ends, where, side="right")
    return found.astype(np.uint8 if len(ends) <= 256 else np.uint16)


def _by_owner(where: np.ndarray, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """The order that sorts rows by their owner, else as they are; and how many each one has."""
    owner = _owners(where, edges)
    return np.argsort(owner, kind="stable"), np.bincount(owner, minlength=len(edges) - 1)


def _split(items: np.ndarray, counts: np.ndarray | Sequence[int]) -> list[np.ndarray]:
    ends = np.cumsum(counts)
    return [items[end - n : end] for n, end in zip(counts, ends, strict=True)]


def _local_dtype(edges: Edges) -> np.dtype:
    """The least unsigned dtype for numbers of rows within a part."""
    most = max(hi - lo for lo, hi in itertools.pairwise(edges))
    return np.dtype(np.min_scalar_type(max(most, 1)))


def gather(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray) -> np.ndarray:
    """The rows `where` (a vector of int64, of any length on every rank) of the table: an array (len(where), *row)."""
    order, counts = _by_owner(where, edges)
    numbers = _local_dtype(edges)
    asked, spread = [], []
    for k, wanted in enumerate(_split(where[order], counts)):
        local = wanted - edges[k]
        held = edges[k + 1] - edges[k]
        back = None
        if len(local) > held:
            local, back = _distinct(local, held)
        asked.append(local.astype(numbers))
        spread.append(back)
    requests = messages.all_to_all(comm, asked)
    answers = messages.all_to_all(comm, [part[r] for r in requests], [len(a) for a in asked])
    rows = [a if back is None else a[back] for a, back in zip(answers, spread, strict=True)]
    return _unsorted(rows, order, part)


def _distinct(local: np.ndarray, held: int) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers below `held`, and where each of `local` is among them."""
    met = np.zeros(held, np.bool_)
    met[local] = True
    places = np.cumsum(met) - 1
    return np.flatnonzero(met), places[local]


def _unsorted(rows: Sequence[np.ndarray], order: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Rows that lie in an order, back in the one before it was applied."""
    out = np.empty((len(order), *like.shape[1:]), like.dtype)
    out[order] = messages.joined(rows)
    return out


def gather_known(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray, wanted: Edges) -> np.ndarray:
    """The rows `where[wanted[r] : wanted[r + 1]]` for every rank r, of numbers that all ranks know: nobody asks."""
    lo, hi = edges[comm.rank], edges[comm.rank + 1]
    hits = np.flatnonzero((where >= lo) & (where < hi))
    cuts = np.searchsorted(hits, wanted)
    leaving = [part[where[hits[cuts[k] : cuts[k + 1]]] - lo] for k in range(comm.size)]
    order, counts = _by_owner(where[wanted[comm.rank] : wanted[comm.rank + 1]], edges)
    return _unsorted(messages.all_to_all(comm, leaving, counts.tolist()), order, part)


def gather_same(comm: Comm, part: np.ndarray, edges: Edges, where: np.ndarray) -> np.ndarray:
    """The rows `where`, which all ranks know, for all of them."""
    order, counts = _by_owner(where, edges)
    mine = _split(order, counts)[comm.rank]
    rows = part[where[mine] - edges[comm.rank]]
    return _unsorted(messages.all_gather(comm, rows, counts.tolist()), order, part)


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
    order, counts = _by_owner(where, edges)
    numbers = _local_dtype(edges)
    sent, rows = [], []
    for k, places in enumerate(_split(order, counts)):
        local, held = where[places] - edges[k], edges[k + 1] - edges[k]
        if last_wins and len(local) > held:
            kept = _latest(local, held)
            local, places = local[kept], places[kept]
        sent.append(local.astype(numbers))
        rows.append(values if shared else values[places])
    arriving = messages.all_to_all(comm, sent)
    local = messages.joined(arriving).astype(np.int64)
    if not shared:
        values = messages.joined(messages.all_to_all(comm, rows, [len(a) for a in arriving]))
    if len(local):
        write(part, local, values)


def _latest(local: np.ndarray, held: int) -> np.ndarray:
    """Positions, ascending, of the last occurrence of each number."""
    last = np.full(held, -1, np.int64)
    last[local] = np.arange(len(local))
    return np.sort(last[last >= 0])


def scatter_known(part: np.ndarray, low: int, where: np.ndarray, values: np.ndarray, write: Writer) -> None:
    """`scatter` of rows whose numbers and values this rank knows all: nothing is sent. low: the first row of the part."""
    hits = np.flatnonzero((where >= low) & (where < low + len(part)))
    if len(hits):
        write(part, where[hits] - low, values if values.ndim < part.ndim else values[hits])
