"""Failures of launches whose points run on several ranks: what bodies raised, wherever they ran, becomes known to all ranks.

Knows exceptions and communication; not what becomes of the exceptions.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterable, Mapping

import numpy as np

from legate_jit.comm.base import Comm

__all__ = ["Raised", "agreed"]

#: by a launch's number, the first point of it that raised, and what
Raised = Mapping[int, tuple[tuple[int, ...], Exception]]


def agreed(own: Iterable[Raised], comm: Comm | None) -> Raised:
    """What the first point of each launch raised that raised anything, on all ranks. `own`: of the ranks that are this process;
    comm: how to reach the others, None if there are none. All ranks call it at the same time."""
    mine = _first(own)
    if comm is None:
        return mine
    some = comm.combine(np.array([len(mine)], np.int64), "max")
    if not some[0]:
        return mine
    told = comm.allgather_object(
        {k: (index, _packed(error, comm.rank)) for k, (index, error) in mine.items()}
    )
    others = [
        {k: (index, _unpacked(text)) for k, (index, text) in raised.items()} if rank != comm.rank else mine
        for rank, raised in enumerate(told)
    ]
    return _first(others)


def _first(several: Iterable[Raised]) -> Raised:
    found: dict[int, tuple[tuple[int, ...], Exception]] = {}
    for raised in several:
        for launch, (index, error) in raised.items():
            if launch not in found or index < found[launch][0]:
                found[launch] = index, error
    return found


def _packed(error: Exception, rank: int) -> tuple[bytes, str]:
    """An exception as bytes (b'' if it cannot be sent), and in words."""
    text = "".join(traceback.format_exception(error)).rstrip()
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # whatever a class of the program's raises when it is copied
        data = b""
    return data, f"on rank {rank}:\n{text}"


def _unpacked(packed: tuple[bytes, str]) -> Exception:
    data, text = packed
    error: Exception = pickle.loads(data) if data else RuntimeError(text.splitlines()[-1])
    error.add_note(text)
    return error
