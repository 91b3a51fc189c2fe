"""Small fetches of one array travel together: the results are those of single fetches, with one message each way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ranks.test_comm import cut, tiles

from legate_jit.comm.base import Comm
from legate_jit.comm.exchange import Box, Listed, extents
from legate_jit.comm.staging import Memory, Staged, array_at, contiguous
from legate_jit.comm.threads import run_ranks

SIZES = [1, 2, 3, 4, 7]
DTYPES = ["f8", "f4", "i2", "?", "c16"]


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def strided(part: np.ndarray, reverse: bool) -> np.ndarray:
    """The same elements, far apart or from the end."""
    wide = np.zeros((*part.shape[:-1], 2 * part.shape[-1]), part.dtype)
    seen = wide[::-1, 1::2] if reverse else wide[:, ::2]
    seen[...] = part
    return seen


def halos(ranks: int, rows: int, columns: int) -> list[list[Box]]:
    """Both neighbors' rows, a column of the next one, all of the first row, and nothing."""
    tile = -(-rows // ranks)
    own = [(min(k * tile, rows), min((k + 1) * tile, rows)) for k in range(ranks)]
    return [
        [((max(lo - 1, 0), hi), (0, columns)) for lo, hi in own],
        [((lo, min(hi + 2, rows)), (1, columns)) for lo, hi in own],
        [((hi % rows, hi % rows + 1), (0, 1)) for _, hi in own],
        [((0, 1), (0, columns))] * ranks,
        [((0, 0), (0, 0))] * ranks,
    ]


@pytest.mark.parametrize("ranks", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [3, 23])
def test_every_rank_gets_its_boxes(ranks: int, dtype: str, rows: int) -> None:
    """Also where parts are empty, strided or reversed, and when arrays lie elsewhere the next time."""
    rng = np.random.default_rng(ranks)
    whole = [rng.integers(0, 99, (rows, 5)).astype(dtype) for _ in range(4)]
    source, wanted = tiles((rows, 5), (ranks, 1), ranks), halos(ranks, rows, 5)

    def program(comm: Comm) -> list[list[np.ndarray]]:
        box = source[comm.rank]
        found = []
        staged: dict[Any, Staged] = {}
        for k, array in enumerate(whole + whole[:1]):
            part = strided(array[cut(box)], k % 2 == 1)
            strides = part.strides
            if strides not in staged:
                memory = Memory(part.shape, strides)
                staged[strides] = Staged(comm, part.dtype, memory, [Listed.of(source, w) for w in wanted])
            outs = [np.zeros(extents(w[comm.rank]), dtype) for w in wanted]
            staged[strides].start(address(part), 5)
            for i in (3, 1, 4, 0, 2):
                staged[strides].finish(i, address(outs[i]))
            assert staged[strides].left == 0
            found.append(outs)
        return found

    for rank, rounds in enumerate(run_ranks(ranks, program)):
        for array, outs in zip(whole + whole[:1], rounds, strict=True):
            for out, w in zip(outs, wanted, strict=True):
                np.testing.assert_array_equal(out, array[cut(w[rank])])


def test_one_message_to_each_rank() -> None:
    rows, ranks = 24, 4
    source, wanted = tiles((rows, 5), (ranks, 1), ranks), halos(ranks, rows, 5)[:3]

    def program(comm: Comm) -> tuple[int, int]:
        part = np.zeros(extents(source[comm.rank]))
        staged = Staged(comm, part.dtype, contiguous(part.shape, 8), [Listed.of(source, w) for w in wanted])
        outs = [np.zeros(extents(w[comm.rank])) for w in wanted]
        for _ in range(3):
            staged.start(address(part), len(outs))
            for k, out in enumerate(outs):
                staged.finish(k, address(out))
        return comm.traffic.messages, comm.traffic.nbytes

    # a middle rank: a row to the next one, 2 x 4 and a corner to the one before; the first gives the last a corner, too
    both = 3 * 8 * (5 + 2 * 4 + 1)
    assert run_ranks(ranks, program) == [(6, 3 * 8 * (5 + 1)), (6, both), (6, both), (3, 3 * 8 * (2 * 4 + 1))]


def test_other_exchanges_while_one_is_under_way() -> None:
    """Two of a kind begun one after the other, a sum in between: nothing is mixed up."""

    def program(comm: Comm) -> list[float]:
        source = [((k, k + 1),) for k in range(comm.size)]
        wanted = [[(((k + 1) % comm.size, (k + 1) % comm.size + 1),) for k in range(comm.size)]]
        parts = [np.array([10.0 * comm.rank + k]) for k in range(2)]
        outs = [np.zeros(1) for _ in parts]
        both = [
            Staged(comm, np.dtype("f8"), contiguous((1,), 8), [Listed.of(source, w) for w in wanted])
            for _ in parts
        ]
        for staged, part in zip(both, parts, strict=True):
            staged.start(address(part), 1)
        total = comm.combine(np.array([comm.rank * 1.0]), np.add)
        for staged, out in reversed(list(zip(both, outs, strict=True))):
            staged.finish(0, address(out))
        return [float(total[0]), *(float(out[0]) for out in outs)]

    assert run_ranks(3, program) == [[3.0, 10.0, 11.0], [3.0, 20.0, 21.0], [3.0, 0.0, 1.0]]


def test_views_of_memory() -> None:
    base = np.arange(24.0).reshape(4, 6)
    for view in (base, base[1:3, ::2], base[::-1, ::-2], base.T, base[2:2], base[1, 1]):
        memory = Memory(view.shape, view.strides, 16)
        found = array_at(address(view) - 16, memory, view.dtype)
        np.testing.assert_array_equal(found, view)
        assert found.strides == view.strides or not view.size
