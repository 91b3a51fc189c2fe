"""Planning of one rank among very many: real plans, run to the end, with messages to and from ranks that do not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cupynumeric
import legate
from legate_jit import runtime
from legate_jit.comm.base import Comm
from legate_jit.ir.ranks import choose, layout
from legate_jit.ranks import windows

SIZES = (64, 4096, 65536)
TILE = 64


class Silent(Comm):
    """One rank whose messages go nowhere, and those from others have no contents. `peers`: whom it prepared messages with."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(rank, size)
        self.peers: set[int] = set()

    def Wait(self) -> None:
        """Every message is its own request, and done."""

    def start_send(self, memory: np.ndarray, peer: int, tag: int) -> Silent:
        """Forgets the bytes."""
        self.peers.add(peer)
        return self

    def start_receive(self, memory: np.ndarray, peer: int, tag: int) -> Silent:
        """Gets zeros."""
        self.peers.add(peer)
        memory[...] = 0
        return self


def stencil(size: int) -> None:
    """A grid whose border stays, cut along its rows, in a few windows."""
    u = cupynumeric.zeros((TILE * size // 8, 24))
    for _ in range(3):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        legate.fence()


def line(size: int) -> None:
    """Shifts and differences of a vector."""
    x = cupynumeric.arange(TILE * size) * 0.5
    for _ in range(3):
        x[1:] += x[:-1] - x[1:]
        legate.fence()


def norms(size: int) -> None:
    """A total of all ranks, and one that some ranks have nothing of."""
    x = cupynumeric.arange(TILE * size) * 0.5
    legate.fence()
    for _ in range(3):
        x = x / (x.sum() + x[: TILE * size // 2].max())
        legate.fence()


def sliding(size: int) -> None:
    """Convolutions of a vector."""
    x, w = cupynumeric.arange(TILE * size) * 0.5, np.arange(9) * 0.5
    legate.fence()
    for _ in range(3):
        x = cupynumeric.convolve(x, w, "same")
        legate.fence()


def half(program: Callable[[int], None], size: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many boxes the rank in the middle of so many computes in a program, and with how many others it has to do."""
    legate.fence()
    runtime._plans.clear()
    comm = Silent(size // 2, size)
    monkeypatch.setattr(runtime, "world", windows.World(size, [size // 2], comm))
    for found in vars(layout).values():
        if hasattr(found, "cache_clear"):
            found.cache_clear()
    layout.Layout.box.cache_clear()
    program(size)
    legate.fence()
    runtime._plans.clear()
    return layout.Layout.box.cache_info().misses, len(comm.peers)


@pytest.mark.parametrize(("program", "peers"), [(stencil, 2), (line, 2), (sliding, 2), (norms, None)])
def test_what_a_rank_looks_at_does_not_grow(
    program: Any, peers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 2)
    found = [half(program, size, monkeypatch) for size in SIZES]
    looked = [boxes for boxes, _ in found]
    assert max(looked) < 300
    assert looked[-1] <= looked[0]
    if peers is None:
        assert [others for _, others in found] == [(size - 1).bit_length() for size in SIZES]
    else:
        assert [others for _, others in found] == [peers] * len(SIZES)
