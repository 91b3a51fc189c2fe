"""Draws by several threads: the numbers and the state of one call of NumPy's, wherever pieces meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import cupynumeric as np
from cupynumeric.random import _streams
from legate_jit.backends.pool import threads
from legate_jit.streams import draws, jumps, parallel

N = 20_000

DRAWS = """
random(n)
random((n // 4, 4), dtype='f4')
random(3, dtype='f4')
random(n, dtype='f4')
uniform(-2, 5, n)
uniform(numpy.arange(4.0), 5, (n, 4))
triangular(0, 1, 3, n)
standard_normal(n)
standard_normal(n, 'f4')
normal(2.0, 3.0, (n, 3))
lognormal(size=n)
standard_exponential(n)
standard_exponential(n, method='inv')
standard_exponential(size=n, dtype='f4')
exponential(2.0, n)
rayleigh(2.0, n)
pareto(2.0, n)
power(2.0, size=n)
integers(5, size=n)
integers(0, 2, n)
integers(0, 3 << 30, n)
integers(0, 1 << 32, n)
integers(-5, 3 << 60, (n, 2))
integers(0, 1000, n, 'i4', endpoint=True)
integers(0, 1, n)
integers(0, 100, n, 'u1')
integers([3, 4], size=(n, 2))
standard_normal(n)
""".strip().splitlines()


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three threads, and small pieces."""
    before = threads.get_threads()
    monkeypatch.setattr(parallel, "PIECE", 1024)
    for room in (parallel, _streams):
        monkeypatch.setattr(room, "_MANY" if room is _streams else "LEAST", 4096)
    threads.set_threads(3)
    yield
    threads.set_threads(before)


def same_state(a: Any, b: Any) -> None:
    assert jumps.same(a.bit_generator.state, b.bit_generator.state)


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_numbers_and_states(pieces: None, bits: str) -> None:
    ours, theirs = (m.random.Generator(getattr(numpy.random, bits)(3)) for m in (np, numpy))
    for draw in DRAWS:
        found, expected = (eval(f"g.{draw}", {"g": g, "n": N, "numpy": numpy}) for g in (ours, theirs))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), draw
        numpy.testing.assert_array_equal(found, expected, err_msg=draw)
        same_state(ours, theirs)


def drawn(source: Any, name: str, **options: Any) -> tuple[bool, numpy.ndarray]:
    """What threads make of a draw."""
    draw = draws.draw_of(source, name, (), {"size": N, **options})
    assert draw is not None
    draw = draw.probed(source)
    out = numpy.zeros(N, draw.dtype)
    return parallel.fill(source, draw, out), out


@pytest.mark.parametrize("seed", range(20))
def test_pieces_meet(pieces: None, seed: int) -> None:
    """Threads do it, and nobody has to start again."""
    for name, options in [
        ("standard_normal", {}),
        ("standard_exponential", {"dtype": "f4"}),
        ("integers", {"low": 0, "high": 3}),
        ("integers", {"low": 0, "high": 5 << 29}),
    ]:
        a, b = (numpy.random.default_rng(seed) for _ in range(2))
        for g in (a, b):
            g.random(seed % 2, "f4")
        done, out = drawn(a, name, **options)
        assert done
        numpy.testing.assert_array_equal(out, getattr(b, name)(size=N, **options))
        same_state(a, b)


def test_pieces_that_do_not_meet_are_left_to_numpy(pieces: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_SURE", -2000.0)  # pieces end long before the next ones begin
    ours, theirs = (m.random.default_rng(3) for m in (np, numpy))
    source = numpy.random.default_rng(3)
    done, _ = drawn(source, "standard_normal")
    assert not done
    same_state(source, theirs)
    numpy.testing.assert_array_equal(ours.standard_normal(N), theirs.standard_normal(N))
    numpy.testing.assert_array_equal(ours.integers(0, 7, N), theirs.integers(0, 7, N))
    same_state(ours, theirs)


@pytest.mark.parametrize("name", ["random", "standard_normal"])
@pytest.mark.parametrize("at", [0, 1, 5, 11])
def test_an_error_ends_all_threads(pieces: None, monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> None:
    """Whichever thread it is raised in; the generator stays where it was."""
    calls: list[int] = []
    block = draws.Draw.block

    def failing(self: Any, source: Any, start: int, count: int, memory: Any = None) -> Any:
        calls.append(1)
        if len(calls) > at + 1:  # the first one asks for a dtype
            raise KeyboardInterrupt
        return block(self, source, start, count, memory)

    monkeypatch.setattr(draws.Draw, "block", failing)
    source = numpy.random.default_rng(3)
    with pytest.raises(KeyboardInterrupt):
        drawn(source, name)
    same_state(source, numpy.random.default_rng(3))


@pytest.mark.parametrize(
    ("draw", "error"),
    [("integers(5, 2, n)", ValueError), ("exponential(-1.0, n)", ValueError), ("random(n, 'i4')", TypeError)],
)
def test_errors(pieces: None, draw: str, error: type[Exception]) -> None:
    g = np.random.default_rng(1)
    with pytest.raises(error):
        eval(f"g.{draw}", {"g": g, "n": N})
    same_state(g, numpy.random.default_rng(1))
