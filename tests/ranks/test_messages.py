"""Messages whose sizes depend on data, between ranks that are threads."""

from __future__ import annotations

import numpy as np
import pytest

from legate_jit.collectives import messages
from legate_jit.comm.threads import ThreadComm, run_ranks

SIZES = [1, 2, 3, 4, 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [False, True])
def test_all_to_all_of_any_lengths(size: int, known: bool) -> None:
    """Rank s sends (s * 3 + r) % 5 rows to rank r, some of them none."""

    def rows(s: int, r: int) -> np.ndarray:
        n = (3 * s + r) % 5
        return np.arange(2 * n, dtype=np.float32).reshape(n, 2) + 100 * s + 1000 * r

    def program(comm: ThreadComm) -> list[np.ndarray]:
        counts = [len(rows(s, comm.rank)) for s in range(size)] if known else None
        return messages.all_to_all(comm, [rows(comm.rank, r) for r in range(size)], counts)

    for r, found in enumerate(run_ranks(size, program)):
        for s, part in enumerate(found):
            np.testing.assert_array_equal(part, rows(s, r))
            assert part.dtype == np.float32


@pytest.mark.parametrize("size", SIZES)
def test_all_gather_and_totals(size: int) -> None:
    def program(comm: ThreadComm) -> tuple[list[int], np.ndarray, int]:
        mine = np.full((comm.rank % 3, 4), comm.rank)
        every = messages.joined(messages.all_gather(comm, mine))
        return messages.totals(comm, comm.rank**2), every, comm.traffic.nbytes

    for squares, every, _ in run_ranks(size, program):
        assert squares == [r**2 for r in range(size)]
        np.testing.assert_array_equal(every[:, 0], [r for r in range(size) for _ in range(r % 3)])
        assert every.shape[1] == 4


def test_nothing_is_left_and_empty_messages_do_not_travel() -> None:
    def program(comm: ThreadComm) -> tuple[int, int]:
        nothing = [np.empty((0, 3))] * comm.size
        messages.all_to_all(comm, nothing, [0] * comm.size)
        return comm.traffic.messages, comm.unclaimed()

    assert run_ranks(3, program) == [(0, 0)] * 3
