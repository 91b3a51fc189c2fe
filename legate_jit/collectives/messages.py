"""Collective messages of sizes that depend on data: counts first, then the data; receives are posted before sends.

On `Comm`'s messages from one rank to another. Every rank calls the same functions in the same order. Knows arrays and ranks only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legate_jit.comm.base import Comm

__all__ = ["all_gather", "all_to_all", "broadcast", "counts_of", "joined", "pass_on", "totals"]


def _raw(array: np.ndarray) -> np.ndarray:
    """The memory of a C-contiguous array as bytes."""
    return array.reshape(-1).view(np.uint8)


def _traded(comm: Comm, leaving: Sequence[np.ndarray], arriving: Sequence[np.ndarray]) -> None:
    """Send `leaving[k]` to every other rank k and receive `arriving[k]` from it; empty ones do not travel."""
    tag, me = comm.new_tag(), comm.rank
    others = [(me + k) % comm.size for k in range(1, comm.size)]
    receiving = [(k, comm.receive(_raw(arriving[k]), k, tag)) for k in reversed(others) if arriving[k].nbytes]
    sending = [(k, comm.send(_raw(leaving[k]), k, tag)) for k in others if leaving[k].nbytes]
    for k, _ in sending:
        comm.traffic.add(leaving[k].nbytes)
    for k, requests in (*receiving, *sending):
        comm.wait(requests, k)


def counts_of(comm: Comm, sent: Sequence[int]) -> list[int]:
    """How many items every rank sends to this one, which itself sends `sent[k]` to rank k."""
    comm.traffic.collectives += 1
    leaving = np.array(sent, np.int64).reshape(comm.size, 1)
    arriving = leaving.copy()
    _traded(comm, list(leaving), list(arriving))
    return [int(n) for n in arriving[:, 0]]


def all_to_all(
    comm: Comm, leaving: Sequence[np.ndarray], counts: Sequence[int] | None = None
) -> list[np.ndarray]:
    """Rows for every rank: `leaving[k]` (of any length along axis 0) goes to rank k; what came from every rank, in their order.

    All have one dtype and the same extents but the first. counts: how many rows come from each rank, if that is known; else the
    ranks tell each other first.
    """
    rows = [np.ascontiguousarray(x) for x in leaving]
    if counts is None:
        counts = counts_of(comm, [len(x) for x in rows])
    else:
        comm.traffic.collectives += 1
    like = rows[comm.rank]
    arriving = [
        like if k == comm.rank else np.empty((n, *like.shape[1:]), like.dtype) for k, n in enumerate(counts)
    ]
    _traded(comm, rows, arriving)
    return arriving


def broadcast(comm: Comm, array: np.ndarray, root: int) -> None:
    """All ranks get what `array` (C-contiguous, of one shape and dtype everywhere) holds on rank `root`, in theirs: by a tree."""
    comm.traffic.collectives += 1
    if not array.nbytes:
        return
    me, tag, memory = (comm.rank - root) % comm.size, comm.new_tag(), _raw(array)
    step = 1 << (comm.size - 1).bit_length() if not me else me & -me
    if me:
        source = (me - step + root) % comm.size
        comm.wait(comm.receive(memory, source, tag), source)
    sending = []
    while step > 1:
        step //= 2
        if me + step < comm.size:
            peer = (me + step + root) % comm.size
            comm.traffic.add(array.nbytes)
            sending.append((peer, comm.send(memory, peer, tag)))
    for peer, requests in sending:
        comm.wait(requests, peer)


def pass_on(comm: Comm, array: np.ndarray, source: int, to: int, tag: int) -> None:
    """Rank `to` gets what `array` (C-contiguous, of one shape and dtype on both) holds on rank `source`, in its own."""
    if source == to or not array.nbytes:
        return
    if comm.rank == source:
        comm.traffic.add(array.nbytes)
        comm.wait(comm.send(_raw(array), to, tag), to)
    elif comm.rank == to:
        comm.wait(comm.receive(_raw(array), source, tag), source)


def totals(comm: Comm, number: int) -> list[int]:
    """Every rank's number."""
    comm.traffic.collectives += 1
    leaving = [np.array([number], np.int64)] * comm.size
    arriving = [np.array([number], np.int64) for _ in range(comm.size)]
    _traded(comm, leaving, arriving)
    return [int(n[0]) for n in arriving]


def all_gather(comm: Comm, mine: np.ndarray, counts: Sequence[int] | None = None) -> list[np.ndarray]:
    """Every rank's rows (of any number along axis 0; one dtype and the same other extents), in the order of ranks.

    counts: how many rows each rank has, if that is known.
    """
    if counts is None:
        counts = totals(comm, len(mine))
    comm.traffic.collectives += 1
    mine = np.ascontiguousarray(mine)
    arriving = [
        mine if k == comm.rank else np.empty((n, *mine.shape[1:]), mine.dtype) for k, n in enumerate(counts)
    ]
    _traded(comm, [mine] * comm.size, arriving)
    return arriving


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Parts one after another along axis 0; without copying if only one holds anything."""
    held = [p for p in parts if len(p)]
    if len(held) == 1:
        return held[0]
    return np.concatenate(parts)
