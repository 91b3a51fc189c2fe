"""Fourier transforms of arrays that are dealt out: NumPy's values, no axis gathered, and the bytes that theory says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from ranks.plans import plans

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.collectives import halos
from legate_jit.comm import exchange
from legate_jit.ir.ranks import choose, layout
from legate_jit.ranks import windows as world

SIZES = [2, 3, 4, 7]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, dealt: Callable[[int], None]) -> int:
    """A world of so many virtual ranks, among which even tiny arrays are dealt out."""
    dealt(request.param)
    return int(request.param)


def planes(np: Any) -> Any:
    x = np.arange(24 * 20.0).reshape(24, 20) % 17
    f = np.fft.fft2(x)
    return (
        f,
        np.fft.ifft2(f * f),
        np.fft.irfft2(np.fft.rfft2(x, norm="ortho") * 2),
        np.fft.fft2(x, axes=(1, 0)),
    )


def boxes(np: Any) -> Any:
    x = (np.arange(6 * 10 * 14.0) % 11).reshape(6, 10, 14)
    some = np.fft.fftn(x, axes=(0, 2)), np.fft.rfftn(x[::2, 1:]), np.fft.irfftn(x + 0j, s=(4, 9), axes=(1, 2))
    return (*some, np.fft.fft(x.T, axis=0), np.fft.fft(x, n=17, axis=0), np.fft.fftshift(np.fft.ifftn(x)))


def lines(np: Any) -> Any:
    x = np.arange(400.0) % 13
    c = np.fft.rfft(x)
    some = c, np.fft.irfft(c * c), np.fft.hfft(c[:97]), np.fft.ihfft(x), np.fft.ifft(x[:97], norm="forward")
    return (*some, np.fft.fft(x.astype("f4")), np.fft.fft(x.astype("i2"), n=450), np.fft.irfft(c, n=101))


@pytest.mark.parametrize("program", [planes, boxes, lines])
def test_programs(size: int, program: Callable[[Any], Any]) -> None:
    for _ in range(2):
        for a, b in zip(program(onp), program(np), strict=True):
            assert b.dtype == a.dtype
            eps = onp.finfo(a.dtype).eps
            onp.testing.assert_allclose(onp.asarray(b), a, rtol=0, atol=100 * eps * abs(a).max())
    assert plans()
    assert not any(p.notices for p in plans())


def test_one_redistribution_there_and_one_back(size: int) -> None:
    """The transform of rows lies as columns; the inverse of columns as rows."""
    n = 84
    x = np.ones((n, n)) + np.arange(n)
    legate.fence()
    runtime._plans.clear()
    f = np.fft.fft2(x)
    legate.fence()
    g = np.fft.ifft2(f)
    legate.fence()
    moved = n * n * 16 * (size - 1) // size
    assert [p.traffic for p in plans()] == [moved, moved]
    parts = [part.nbytes for part in f._store.buffer.parts.values()]
    assert sum(parts) == n * n * 16 and max(parts) == n * n * 16 // size
    onp.testing.assert_allclose(onp.asarray(g).real, onp.asarray(x), rtol=1e-13)


def test_batches_move_nothing(size: int) -> None:
    x = np.ones((42, 8, 6)) + np.arange(6)
    legate.fence()
    runtime._plans.clear()
    f, g = np.fft.fftn(x, axes=(1, 2)), np.fft.rfft(x, axis=1)
    legate.fence()
    assert plans() and all(p.traffic == 0 for p in plans())
    assert isinstance(f._store.buffer, world.Dealt) and isinstance(g._store.buffer, world.Dealt)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("dtypes", ["f4 f8", "i4 i8", "c16 c16"])
def test_sliding(size: int, name: str, mode: str, dtypes: str) -> None:
    """Of a long vector and short weights; values are exact."""
    for n, m in ((200, 1), (200, 4), (201, 7), (30, 30), (20, 55)):
        a, b = ((onp.arange(k) * 7 % 11 - 5).astype(t) for k, t in zip((n, m), dtypes.split(), strict=True))
        if dtypes[0] == "c":
            a, b = a * (1 + 2j), b * (2 - 1j)
        x, v = np.array(a) * 1, np.array(b) * 1
        expected, found = getattr(onp, name)(a, b, mode), getattr(np, name)(x, v, mode)
        assert found.dtype == expected.dtype
        onp.testing.assert_array_equal(onp.asarray(found), expected)


def test_sliding_moves_halos(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (choose, world):
        monkeypatch.setattr(room, "SMALL", 100)
    x, v = np.arange(4200.0), np.ones(9)
    legate.fence()
    runtime._plans.clear()
    y = np.convolve(x, v, "same")
    legate.fence()
    (plan,) = plans()
    assert plan.traffic == (size - 1) * 8 * 8 and not plan.notices
    assert y._store.buffer.layout == x._store.buffer.layout


@pytest.mark.parametrize("seed", range(40))
def test_who_convolutions_ask(seed: int) -> None:
    """The ranks that are asked, and told, are those whose parts meet, also for weights longer than parts and empty parts."""
    rng = random.Random(seed)
    size, n, beyond = rng.choice([1, 2, 3, 7]), rng.randrange(1, 40), rng.randrange(0, 12)
    start = rng.choice([0, beyond // 2, min(beyond, n - 1)])
    results = rng.randrange(1, n + beyond - start + 1)
    result = layout.tiled((results,), 0, rng.choice([1, size]))
    pattern = halos.Reaching(layout.tiled((n,), 0, size), result, start, beyond, size)
    listed = exchange.Listed.of(map(pattern.held, range(size)), map(pattern.wanted, range(size)))
    for rank in range(size):
        assert exchange.routes(rank, pattern) == exchange.routes(rank, listed)
