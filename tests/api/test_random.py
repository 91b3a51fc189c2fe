"""Random numbers: NumPy's streams number for number, and the properties of counter-based ones."""

from __future__ import annotations

import pickle

import numpy
import pytest

import cupynumeric as np
from legate_jit import runtime

DRAWS = """
random(5)
random()
random((200, 300))
random(20000, dtype='f4')
uniform(-1, 3, 20000)
uniform([0, 1], 2)
normal(2, 3, (100, 200))
normal(2.0, [1.0, 2.0])
standard_normal(20000, dtype='f4')
standard_normal(3)
integers(0, 9, 5)
integers(0, 9, (3, 4), dtype='u1')
choice(10, 3)
choice(10, 3, replace=False)
permutation(10)
permuted([[1, 2, 3], [4, 5, 6]], axis=1)
gamma(2.0, size=5)
poisson(3.0, 5)
binomial(10, 0.3, 4)
beta(1.0, 2.0, 3)
multivariate_normal([0, 0], [[1, 0], [0, 1]], 3)
multinomial(10, [0.2, 0.8])
dirichlet([1.0, 2.0], 3)
exponential(2.0, 5)
shuffle
bytes(5)
""".strip().splitlines()


def test_generators_give_numpys_numbers() -> None:
    ours, theirs = np.random.default_rng(1), numpy.random.default_rng(1)
    for draw in DRAWS:
        if draw == "shuffle":
            a, b = np.arange(10.0), numpy.arange(10.0)
            ours.shuffle(a)
            theirs.shuffle(b)
        else:
            a, b = eval(f"ours.{draw}"), eval(f"theirs.{draw}")
        assert numpy.asarray(a).dtype == numpy.asarray(b).dtype, draw
        numpy.testing.assert_array_equal(a, b, err_msg=draw)


LEGACY = """
rand(3, 4)
rand()
randn(5)
randint(0, 10, 5)
randint(5)
random(3)
random_sample((2, 3))
normal(0, 1, 10)
uniform(size=4)
choice(5, 3)
permutation(6)
exponential(2.0, 3)
standard_normal(3)
poisson(2.0, 4)
""".strip().splitlines()


def test_the_global_stream_is_numpys() -> None:
    for make in (lambda m: (m.random.seed(7), m.random)[1], lambda m: m.random.RandomState(7)):
        ours = [numpy.asarray(eval(f"s.{d}", {"s": s})) for s in [make(np)] for d in LEGACY]
        theirs = [numpy.asarray(eval(f"s.{d}", {"s": s})) for s in [make(numpy)] for d in LEGACY]
        for draw, a, b in zip(LEGACY, ours, theirs, strict=True):
            assert a.dtype == b.dtype, draw
            numpy.testing.assert_array_equal(a, b, err_msg=draw)
    np.random.seed(3)
    a = np.arange(8)
    np.random.shuffle(a)
    numpy.random.seed(3)
    b = numpy.arange(8)
    numpy.random.shuffle(b)
    numpy.testing.assert_array_equal(a, b)
    state = np.random.get_state()
    first = np.random.rand(3)
    np.random.set_state(state)
    numpy.testing.assert_array_equal(first, np.random.rand(3))


def test_results_are_ours() -> None:
    g = np.random.default_rng(0)
    for a in (
        g.random(3),
        g.normal(size=3),
        g.integers(5, size=3),
        np.random.rand(2),
        np.random.RandomState(0).rand(2),
    ):
        assert isinstance(a, np.ndarray)
    out = np.zeros(5)
    assert g.random(out=out) is out
    assert float(out.max()) > 0


def test_generators_survive_pickling() -> None:
    for g in (np.random.default_rng(3), np.random.RandomState(3)):
        copy = pickle.loads(pickle.dumps(g))
        assert type(copy) is type(g)
        numpy.testing.assert_array_equal(copy.normal(size=4), g.normal(size=4))


def test_default_rng_accepts_what_numpys_does() -> None:
    g = np.random.default_rng(5)
    assert np.random.default_rng(g) is g
    a = np.random.default_rng(np.random.PCG64(5)).random(3)
    numpy.testing.assert_array_equal(a, g.random(3))
    numpy.testing.assert_array_equal(
        np.random.Generator(np.random.Philox(2)).random(3),
        numpy.random.Generator(numpy.random.Philox(2)).random(3),
    )
    with pytest.raises(TypeError):
        np.random.default_rng("seed")


BITS = [np.random.XORWOW, np.random.MRG32k3a, np.random.PHILOX4_32_10]


@pytest.mark.parametrize("bits", BITS)
def test_counters_repeat_and_advance(bits: type) -> None:
    g, h = (np.random.default_rng(bits(7)) for _ in range(2))
    a = numpy.asarray(g.random(10_000))
    numpy.testing.assert_array_equal(a, h.random((100, 100)).reshape(-1))
    assert not numpy.array_equal(a, g.random(10_000))
    assert abs(a.mean() - 0.5) < 0.02 and abs(a.var() - 1 / 12) < 0.005
    assert a.min() >= 0 and a.max() < 1
    assert not numpy.array_equal(a, np.random.default_rng(bits(8)).random(10_000))


def test_counters_do_not_depend_on_how_draws_are_cut() -> None:
    g, h = (np.random.Generator(np.random.XORWOW(7)) for _ in range(2))
    whole = numpy.asarray(g.random(1000))
    parts = numpy.concatenate([numpy.asarray(h.random(n)) for n in (1, 499, 500)])
    numpy.testing.assert_array_equal(whole, parts)


def test_families_of_counters_differ() -> None:
    firsts = {float(np.random.Generator(b(7)).random()) for b in BITS}
    assert len(firsts) == 3


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        ("standard_normal", 0.0, 1.0),
        ("normal(2, 3)", 2.0, 3.0),
        ("exponential(2.0)", 2.0, 2.0),
        ("laplace(1, 2)", 1.0, 8**0.5),
        ("logistic()", 0.0, numpy.pi / 3**0.5),
        ("gumbel()", 0.5772, numpy.pi / 6**0.5),
        ("rayleigh()", (numpy.pi / 2) ** 0.5, (2 - numpy.pi / 2) ** 0.5),
        ("weibull(2.0)", 0.8862, 0.4633),
        ("power(3.0)", 0.75, 0.1936),
        ("pareto(5.0)", 0.25, 0.3227),
        ("triangular(0, 1, 3)", 4 / 3, 0.6236),
        ("uniform(-1, 3)", 1.0, 4 / 12**0.5),
        ("lognormal(0, 0.5)", 1.1331, 0.6039),
        ("gamma(3.0)", 3.0, 3**0.5),
    ],
)
def test_counter_distributions(draw: str, mean: float, deviation: float) -> None:
    g = np.random.Generator(np.random.PHILOX4_32_10(11))
    name, _, args = draw.partition("(")
    source = f"g.{name}({args.rstrip(')')}{', ' if args.rstrip(')') else ''}size=40000)"
    x = numpy.asarray(eval(source, {"g": g}))
    assert x.shape == (40000,)
    assert abs(x.mean() - mean) < 5 * deviation / 200
    assert abs(x.std() - deviation) < 0.05 * deviation + 0.02


def test_counter_integers() -> None:
    g = np.random.Generator(np.random.XORWOW(1))
    x = numpy.asarray(g.integers(-3, 4, 70_000))
    counts = numpy.bincount(x + 3)
    assert x.dtype == numpy.int64 and len(counts) == 7 and abs(counts - 10_000).max() < 500
    assert numpy.asarray(g.integers(5, size=3, dtype="u1")).dtype == numpy.uint8
    assert int(numpy.asarray(g.integers(0, 2, 1000, endpoint=True)).max()) == 2
    with pytest.raises(ValueError, match="low >= high"):
        g.integers(3, 3)
    with pytest.raises(ValueError, match="scale < 0"):
        g.normal(0, -1, 3)


@pytest.mark.one_rank
def test_counter_draws_fuse() -> None:
    g = np.random.Generator(np.random.XORWOW(1))
    runtime.fence()
    runtime.counters.reset()
    total = (g.random(100_000) * 2 - 1).sum()
    runtime.fence()
    assert abs(float(total)) < 2000
    assert runtime.counters.calls == 0


def test_counter_seeds() -> None:
    with pytest.raises(TypeError):
        np.random.XORWOW("seed")
    with pytest.raises(NotImplementedError):
        np.random.CounterBits()
    assert float(np.random.Generator(np.random.XORWOW()).random()) < 1
