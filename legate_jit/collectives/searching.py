"""Searching a sorted table that is cut over the ranks: every rank counts in its part, or needles go to where their place is.

The table is 1-d, the ranks' parts follow each other; some may be empty. Answers are those of `numpy.searchsorted`. Knows NumPy
and messages.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from legate_jit.collectives.messages import all_gather, all_to_all, totals
from legate_jit.collectives.tiles import cut, in_rounds
from legate_jit.comm.base import Comm

__all__ = ["count", "search"]

Side = Literal["left", "right"]


def count(comm: Comm, table: np.ndarray, needles: np.ndarray, side: Side) -> np.ndarray:
    """The places (int64) of needles that every rank has: what comes before them in all parts."""
    return comm.combine(np.asarray(np.searchsorted(table, needles, side), np.int64), "sum")


def search(comm: Comm, table: np.ndarray, needles: np.ndarray, side: Side) -> np.ndarray:
    """The places (int64) of this rank's needles, of any shape: each is looked up by the rank in whose part its place is."""
    held = np.array(totals(comm, len(table)), np.int64)
    starts = np.cumsum(held) - held
    some = np.flatnonzero(held)
    if not len(some):
        return np.zeros(needles.shape, np.int64)
    first = np.concatenate(all_gather(comm, table[:1], np.minimum(held, 1).tolist()))
    flat = needles.reshape(-1)
    owner = some[np.maximum(np.searchsorted(first, flat, side) - 1, 0)]
    order = np.argsort(owner, kind="stable")
    leaving = cut(flat[order], np.searchsorted(owner[order], np.arange(1, comm.size)))
    answers: list[list[np.ndarray]] = [[] for _ in leaving]
    for pieces in in_rounds(comm, leaving):
        arrived = all_to_all(comm, pieces)
        found = [np.asarray(np.searchsorted(table, x, side) + starts[comm.rank], np.int64) for x in arrived]
        for answer, x in zip(answers, all_to_all(comm, found, [len(x) for x in pieces]), strict=True):
            answer.append(x)
    places = np.empty(len(flat), np.int64)
    places[order] = np.concatenate([x for answer in answers for x in answer])
    return places.reshape(needles.shape)
