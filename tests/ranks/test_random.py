"""Draws over ranks: NumPy's numbers for any number of ranks, the same state afterwards, and nobody holds more than a share."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.launch import succeeds
from ranks.test_applied import gathered as gathered

import cupynumeric
import legate
from legate_jit import runtime
from legate_jit.backends.pool import threads
from legate_jit.ranks import windows
from legate_jit.streams import chained, draws, jumps, parts

World = Callable[[int], None]
SIZES = [1, 2, 4, 7]

GENERATOR = """
random(61)
random((5, 12))
random((3, 2, 31), dtype='f4')
random(60, dtype='f4')
random((2, 3))
uniform(-2, 5, 61)
uniform(np.arange(12.0), 20, (5, 12))
triangular(0, 1, 3, 50)
standard_exponential(50, method='inv')
standard_exponential(50, method='inv', dtype='f4')
standard_exponential((6, 9))
standard_normal(61)
standard_normal((3, 20), 'f4')
normal(1.0, 2.0, (7, 9))
normal(np.arange(9), np.ones((7, 1)))
normal([[1.0], [2.0]], 1.0, (2, 40))
lognormal(size=40)
integers(5, size=60)
integers(-3, 1 << 40, (6, 11))
integers(0, 255, 61, dtype='u1', endpoint=True)
integers(0, 10, 61, dtype='i1')
integers(0, 2, (5, 13), dtype=bool)
integers(0, 1000, 61, 'u2')
integers(0, 1 << 32, 41, 'u4')
integers([3, 5, 1000], size=(20, 3))
integers([3, 5, 100], size=(20, 3), dtype='u1')
gamma([1.0, 2.0, 0.3], 2.0, (20, 3))
standard_gamma(2.0, 50, 'f4')
poisson(3.0, 50)
poisson(np.arange(50.0))
binomial(10, 0.3, 45)
binomial([5, 50], 0.3, (40, 2))
hypergeometric(5, 6, 7, 45)
beta(1.0, 2.0, 43)
standard_cauchy(43)
zipf(2.0, 43)
vonmises(0, 1, 43)
dirichlet([1.0, 2.0, 3.0], 30)
dirichlet([1.0, 2.0, 3.0], (5, 6))
multinomial(10, [0.2, 0.3, 0.5], 30)
multivariate_hypergeometric([3, 4, 5], 6, 30)
choice(50, 40)
choice(50, 40, replace=False)
permutation(50)
permuted(np.arange(60.0).reshape(6, 10), axis=1)
""".strip().splitlines()

STATE = """
rand(60)
rand(5, 12)
random_sample((3, 2, 31))
random(60)
uniform(-2, 5, 61)
normal(2.0, 3.0, (7, 9))
randn(4, 15)
randn(61)
randint(0, 10, 60)
randint(5, size=(6, 11))
randint(0, 255, 61, dtype='u1')
randint(0, 256, 61, dtype='u1')
randint(0, 2, 61, dtype=bool)
randint([3, 5, 1000], size=(20, 3))
exponential(2.0, 50)
standard_gamma([1.0, 2.0, 0.3], (20, 3))
poisson(3.0, 50)
binomial(10, 0.3, 45)
dirichlet([1.0, 2.0, 3.0], 30)
multinomial(10, [0.2, 0.3, 0.5], 30)
choice(50, 40)
permutation(50)
""".strip().splitlines()


def same_state(a: Any, b: Any) -> None:
    """Both would draw the same from here on."""
    assert jumps.fingerprint(a) == jumps.fingerprint(b)


def same(found: Any, expected: np.ndarray, draw: str) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), draw
    np.testing.assert_array_equal(np.asarray(found), expected, err_msg=draw)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"])
def test_generators(dealt: World, monkeypatch: pytest.MonkeyPatch, size: int, bits: str) -> None:
    dealt(size)
    monkeypatch.setattr(parts, "BLOCK", 32)
    theirs = np.random.Generator(getattr(np.random, bits)(5))
    ours = cupynumeric.random.Generator(getattr(np.random, bits)(5))
    for draw in GENERATOR:
        found, expected = (eval(f"g.{draw}", {"g": g, "np": np}) for g in (ours, theirs))
        same(found, expected, draw)
        same_state(ours, theirs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", ["PCG64", "MT19937"])
def test_states(dealt: World, monkeypatch: pytest.MonkeyPatch, size: int, bits: str) -> None:
    dealt(size)
    monkeypatch.setattr(parts, "BLOCK", 32)
    theirs = np.random.RandomState(getattr(np.random, bits)(5))
    ours = cupynumeric.random.RandomState(getattr(np.random, bits)(5))
    for draw in STATE:
        same(eval(f"ours.{draw}"), eval(f"theirs.{draw}"), draw)
        same_state(ours, theirs)


@pytest.mark.parametrize("size", [2, 7])
def test_the_global_stream(dealt: World, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    dealt(size)
    monkeypatch.setattr(parts, "BLOCK", 32)
    for draw in [*STATE, "ranf(40)", "sample((4, 9))"]:
        cupynumeric.random.seed(3)
        found = [eval(f"cupynumeric.random.{draw}") for _ in range(2)]
        np.random.seed(3)
        for x in found:
            same(x, eval(f"np.random.{draw}"), draw)


def in_parts(x: Any) -> bool:
    """Whether nobody has all of an array."""
    return isinstance(x._store.buffer, windows.Dealt) and not x._store.buffer.layout.is_replicated


def test_draws_lie_in_parts(dealt: World) -> None:
    dealt(4)
    g, old = cupynumeric.random.default_rng(1), cupynumeric.random.RandomState(1)
    whole = ["integers(0, 10, 61, dtype='i1')", "multivariate", "choice", "perm"]
    for source, table in ((g, GENERATOR), (old, STATE)):
        for draw in table:
            x = eval(f"g.{draw}", {"g": source, "np": np})
            legate.fence()
            assert in_parts(x) or draw.startswith(tuple(whole)), draw


def test_results_that_are_given(dealt: World) -> None:
    dealt(3)
    ours, theirs = cupynumeric.random.default_rng(4), np.random.default_rng(4)
    a, b = cupynumeric.zeros((8, 10), "f4"), np.zeros((8, 10), "f4")
    assert ours.random(out=a, dtype="f4") is a
    theirs.random(out=b, dtype="f4")
    same(a, b, "random")
    for draw in ("standard_normal(out=x)", "standard_gamma(2.0, out=x)", "standard_exponential(out=x)"):
        x, y = cupynumeric.zeros(40), np.zeros(40)
        view = x[::-1]
        assert eval(f"ours.{draw}") is x
        eval(f"theirs.{draw}", {"x": y, "theirs": theirs})
        same(x, y, draw)
        same(view, y[::-1], draw)
    rows = cupynumeric.zeros((4, 30))
    ours.random(out=rows[1:3])
    expected = np.zeros((4, 30))
    theirs.random(out=expected[1:3])
    same(rows, expected, "rows")
    for wrong, error in (("dtype='f4'", TypeError), ("size=7", ValueError)):
        for g, out in ((ours, x), (theirs, y)):
            with pytest.raises(error):
                eval(f"g.random(out=out, {wrong})", {"g": g, "out": out})
    same_state(ours, theirs)


ERRORS = """
normal(0, -1, 50)
normal(0, [-1.0] * 50)
uniform(0, float('inf'), 50)
integers(3, 3, 50)
integers(0, 300, 50, dtype='u1')
random(50, dtype='i4')
random(-50)
random('a')
poisson(-1, 50)
binomial(5, 2, 50)
normal([1, 2], 1, (50, 3))
normal(1, 2, 3, 4)
gamma(size=50)
dirichlet([-1.0, 2.0], 30)
multinomial(10, [0.9, 0.8, 0.1], 30)
""".strip().splitlines()


@pytest.mark.parametrize("size", [1, 4])
def test_errors(dealt: World, size: int) -> None:
    dealt(size)
    ours, theirs = cupynumeric.random.default_rng(4), np.random.default_rng(4)
    for draw in ERRORS:
        with pytest.raises(Exception) as expected:
            eval(f"theirs.{draw}")
        with pytest.raises(type(expected.value)):
            eval(f"ours.{draw}")
        same_state(ours, theirs)


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "Philox"])
def test_jumps(bits: str) -> None:
    """A jump is as good as drawing, wherever it starts and ends, with a half word left over or without."""
    for before in range(9):
        for halves in (0, 1, 2, 3):
            for words in (0, 1, 2, 3, 4, 5, 7, 8, 9, 30, 1001):
                a, b = (np.random.Generator(getattr(np.random, bits)(1)) for _ in range(2))
                for g in (a, b):
                    g.random(before)
                    g.random(halves, "f4")
                jumps.skip(a, words)
                b.random(words)
                for _ in range(2):
                    assert (a.random(), a.random(dtype="f4")) == (b.random(), b.random(dtype="f4"))
    assert not jumps.can_jump(np.random.RandomState(1))


def test_nobody_holds_the_whole(dealt: World) -> None:
    """Each rank's memory is its share and a block."""
    n, count = 1 << 23, 4
    for source in (np.random.RandomState(1), np.random.default_rng(1)):
        for name in ("uniform", "standard_normal", "poisson"):
            draw = draws.draw_of(source, name, (), {"size": n})
            assert draw is not None
            draw = draw.probed(source)
            share = np.empty(n // count, draw.dtype)
            tracemalloc.start()
            parts.fill(jumps.copied(source), draw, ((n // count, 2 * n // count),), share)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            blocks = 4 + 2 * threads.get_threads()
            assert peak < min(blocks * parts.BLOCK * 8, share.nbytes)
            same(share, getattr(source, name)(size=n)[n // count : 2 * n // count], name)


def test_generators_survive_pickling(dealt: World) -> None:
    dealt(2)
    for make in (np.random.PCG64, np.random.MT19937):
        for kind in (cupynumeric.random.Generator, cupynumeric.random.RandomState):
            g = kind(make(3))
            g.standard_normal(5)
            copy = pickle.loads(pickle.dumps(g))
            assert type(copy) is kind
            same(copy.normal(size=40), np.asarray(g.normal(size=40)), "normal")


ORDERS = """
permutation(50)
permutation(x)
permutation(t)
choice(50, 40)
choice(x, 40)
choice(x, (5, 9))
choice(x, 4)
choice(x, 40, replace=False)
choice(60, 50, False)
choice(60, 50, True, q)
choice(60, (5, 8), p=q)
choice(60, 30, False, q)
choice(x, 40, p=q)
choice(x, 40, False, q)
choice(7, 40)
choice(small, 40)
""".strip().splitlines()
OF_GENERATOR = """
permutation(t, axis=1)
permutation(t, -1)
choice(t, 20)
choice(t, 20, axis=1)
choice(t, (3, 4), axis=1)
choice(t, 9, False, axis=1)
choice(x, 40, replace=False, shuffle=False)
permuted(t, axis=1)
""".strip().splitlines()


def arrays(lib: Any) -> dict[str, Any]:
    """Arrays that are large enough to lie in parts, one that is not, and probabilities."""
    weights = np.arange(60.0) + 1
    return {
        "x": lib.arange(60.0) * 3,
        "t": lib.arange(60 * 11).reshape(60, 11) % 97,
        "small": lib.ones(1),
        "q": weights / weights.sum(),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["Generator", "RandomState"])
def test_orders_and_choices(
    dealt: World, monkeypatch: pytest.MonkeyPatch, gathered: list[int], size: int, kind: str
) -> None:
    dealt(size)
    monkeypatch.setattr(parts, "BLOCK", 32)
    theirs, ours = (getattr(m.random, kind)(np.random.PCG64(5)) for m in (np, cupynumeric))
    given, expected = arrays(cupynumeric), arrays(np)
    legate.fence()
    for draw in [*ORDERS, *(OF_GENERATOR if kind == "Generator" else ())]:
        gathered.clear()
        found = eval(f"g.{draw}", {"g": ours, **given})
        legate.fence()
        assert max(gathered, default=0) == 0 or draw.startswith(("permuted", "permutation(t, -1"))
        same(found, eval(f"g.{draw}", {"g": theirs, **expected}), draw)
        same_state(ours, theirs)
    axes = [{}, {"axis": 1}, {"axis": -2}] if kind == "Generator" else [{}]
    for key in ("x", "t"):
        for options in axes if key == "t" else axes[:1]:
            gathered.clear()
            ours.shuffle(given[key], **options)
            legate.fence()
            assert sum(gathered) == 0
            theirs.shuffle(expected[key], **options)
            same(given[key], expected[key], key)
    ours.shuffle(given["t"][3:50, ::2])
    theirs.shuffle(expected["t"][3:50, ::2])
    same(given["t"], expected["t"], "a view")
    same_state(ours, theirs)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_vectors(dealt: World, monkeypatch: pytest.MonkeyPatch, gathered: list[int], size: int) -> None:
    """To rounding: products of blocks of rows may be added up in another order."""
    dealt(size)
    monkeypatch.setattr(parts, "BLOCK", 32)
    factor = np.arange(9.0).reshape(3, 3) % 5 + np.eye(3)
    mean, cov = [1.0, -2.0, 3.0], factor @ factor.T
    for kind in ("Generator", "RandomState"):
        theirs, ours = (getattr(m.random, kind)(np.random.PCG64(5)) for m in (np, cupynumeric))
        for options in [{}, {"method": "eigh"}, {"method": "cholesky"}] if kind == "Generator" else [{}]:
            for shape in (50, (4, 11)):
                gathered.clear()
                found = ours.multivariate_normal(mean, cov, shape, **options)
                legate.fence()
                assert sum(gathered) == 0
                np.testing.assert_allclose(
                    found, theirs.multivariate_normal(mean, cov, shape, **options), 1e-12
                )
                same_state(ours, theirs)
        for wrong in ([1.0, 2.0], np.ones((3, 3, 3))):
            with pytest.raises(ValueError):
                ours.multivariate_normal(mean, wrong, 50)
        with pytest.warns(RuntimeWarning):
            ours.multivariate_normal(mean, -np.eye(3), 50)


WRONG = """
choice(x, 40, p=q[:3])
choice(x, 40, p=-q)
choice(x, 70, replace=False)
choice(x, -3)
choice(0, 50)
choice(x, 'a')
permutation(x, 1, 2)
shuffle(x, 3)
choice(t, 3, axis=5)
choice(x, 70, replace=False, axis=0)
""".strip().splitlines()


def test_orders_that_are_refused(dealt: World) -> None:
    dealt(3)
    for kind in ("Generator", "RandomState"):
        theirs, ours = (getattr(m.random, kind)(np.random.PCG64(5)) for m in (np, cupynumeric))
        for draw in WRONG:
            with pytest.raises(Exception) as expected:
                eval(f"g.{draw}", {"g": theirs, **arrays(np)})
            with pytest.raises(type(expected.value)):
                eval(f"g.{draw}", {"g": ours, **arrays(cupynumeric)})
            same_state(ours, theirs)


REAL = """
import numpy
import cupynumeric as np
from legate_jit import runtime

comm = runtime.world.comm
def same(x):
    x = numpy.asarray(x)
    assert all((y == x).all() for y in comm.allgather_object(x)), x

same(np.random.rand(3))
same(np.random.RandomState().rand(3))
np.random.seed()
same(np.random.randint(1 << 30, size=4))
same(np.random.get_state()[1])
rng = np.random.default_rng()
same(rng.random(3))
same(rng.spawn(2)[1].random(3))
same(np.random.Generator(np.random.SFC64()).random(3))
same(np.random.Generator(np.random.XORWOW()).random(3))
same(np.random.RandomState(np.random.PCG64()).rand(3))

n = 1 << 18
for make in (lambda m: m.default_rng(3), lambda m: m.RandomState(3), lambda m: m.Generator(m.Philox(3))):
    ours, theirs = make(np.random), make(numpy.random)
    for draw in ("uniform(size=n)", "standard_normal((3, n))", "poisson(3.0, n)", "uniform(1, 2, (n, 2))"):
        found, expected = eval("ours." + draw), eval("theirs." + draw)
        assert len(found._store.buffer.parts) == 1 if found._store.value is None else True
        assert (numpy.asarray(found) == expected).all(), draw
print("all the same")
"""


def test_real_ranks() -> None:
    """Generators without a seed start at the same place on all ranks; draws are NumPy's."""
    assert succeeds(REAL, 2).count("all the same") == 2


def test_a_simulation_draws_nothing() -> None:
    """Draws of any size have a place in the ranks' memory, and no contents."""
    from legate_jit.simulation.machine import Machine
    from legate_jit.simulation.world import SimulatedWorld

    assert runtime.world is None
    runtime.world = SimulatedWorld(64, 0.0, Machine())
    try:
        x = cupynumeric.random.default_rng(1).random((1 << 20, 1 << 12))
        assert x._store.buffer.parts[0].nbytes == 8 << 26
    finally:
        runtime.world = None


CHAINED = [
    ("standard_normal", {}),
    ("standard_normal", {"dtype": "f4"}),
    ("standard_exponential", {}),
    ("lognormal", {"mean": 0.5}),
    ("integers", {"low": 0, "high": 2}),
    ("integers", {"low": -5, "high": 3 << 29}),
    ("integers", {"low": 0, "high": 5 << 60}),
]


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "Philox"])
def test_ranks_meet(dealt: World, monkeypatch: pytest.MonkeyPatch, size: int, bits: str) -> None:
    """Each rank draws its part and little more, and finds where that begins."""
    dealt(size)
    monkeypatch.setattr(chained, "LEAST", 100)
    monkeypatch.setattr(parts, "fill", None)  # what ranks do that do not meet
    ours, theirs = (m.random.Generator(getattr(np.random, bits)(9)) for m in (cupynumeric, np))
    drawn: list[int] = []
    block = draws.Draw.block

    def counted(self: Any, source: Any, start: int, count: int, memory: Any = None) -> Any:
        drawn.append(count)
        return block(self, source, start, count, memory)

    monkeypatch.setattr(draws.Draw, "block", counted)
    n = 9000 * size
    for k, (name, options) in enumerate(CHAINED):
        for shape in ((n,), (n // 9, 9), (1, n)):
            for g in (ours, theirs):
                g.random(k % 2, "f4")
            drawn.clear()
            found = getattr(ours, name)(size=shape, **options)
            assert sum(drawn) < 2 * n
            same(found, getattr(theirs, name)(size=shape, **options), name)
            same_state(ours, theirs)


@pytest.mark.parametrize("how", ["units", "states", "margins"])
def test_ranks_that_do_not_meet_draw_everything(
    dealt: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    dealt(4)
    monkeypatch.setattr(chained, "LEAST", 100)
    filled: list[int] = []
    fill = parts.fill

    def counted(*args: Any) -> None:
        filled.append(1)
        fill(*args)

    monkeypatch.setattr(parts, "fill", counted)
    if how == "states":
        monkeypatch.setattr(chained, "same", lambda a, b: False)
    elif how == "units":
        monkeypatch.setattr(chained._Part, "place", lambda part, shown: -1)
    else:
        place = chained._Part.place
        monkeypatch.setattr(chained._Part, "place", lambda part, shown: place(part, shown) * 2)
    ours, theirs = (m.random.default_rng(9) for m in (cupynumeric, np))
    for _ in range(4):
        same(ours.standard_normal(40_000), theirs.standard_normal(40_000), "normal")
        same_state(ours, theirs)
    assert len(filled) == 16
