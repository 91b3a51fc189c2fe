"""Random loops over moving slices: views that overlap, updates in place, snapshots and reads, against NumPy.

Short rows and ever new slices make arrays instant (`cupynumeric._instant`); everything else in the loop mixes them with recorded
ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import cupynumeric
import legate
from cupynumeric import _instant, _walking
from legate_jit import runtime
from legate_jit.running import tiers

KEYS = (
    "i", "i-1", "-1", "0,", "i, :", "i, ::-1", ":, i%W", "i, i%W", "i:i+3", "max(i-2, 0):i", "i%7, 1:", "1:-1, 1:-1",
    "..., i%W", "None, i", "i::-2",
)  # fmt: skip
ERRORS = (NameError, ValueError, TypeError, IndexError, OverflowError)


@pytest.fixture(autouse=True)
def instant_from_the_start() -> Iterator[None]:
    saved, many = tiers.policy.interpret_runs, _walking.MANY
    tiers.policy.interpret_runs, _walking.MANY = 2, 3
    _walking.forget()
    yield
    tiers.policy.interpret_runs, _walking.MANY = saved, many
    _walking.forget()
    tiers.record_again()


class Loop:
    """The body of one random loop over i; arrays a, b, c of shape (n + 3, W)."""

    def __init__(self, seed: int) -> None:
        r = self.rng = random.Random(seed)
        self.n, self.width = r.choice([6, 20, 40]), r.choice([1, 3, 8, 17])
        self.dtype = r.choice(["f8", "f8", "i8", "f4", "c16", "i4"])
        self.temporaries: list[str] = []
        self.lines = [self.line() for _ in range(r.randint(1, 6))]

    def view(self) -> str:
        return f"{self.rng.choice('abc')}[{self.rng.choice(KEYS)}]"

    def operand(self) -> str:
        r, chance = self.rng, self.rng.random()
        if self.temporaries and chance < 0.3:
            return r.choice(self.temporaries)
        if chance < 0.85:
            return self.view()
        return r.choice(["2", "1", "3", "scalar", "a", "b", "c"])

    def named(self, value: str) -> str:
        self.temporaries.append(f"t{len(self.temporaries)}")
        return f"{self.temporaries[-1]} = {value}"

    def line(self) -> str:
        r, chance = self.rng, self.rng.random()
        if chance < 0.3:
            return self.named(f"bounded({self.operand()} {r.choice('+-*')} {self.operand()})")
        if chance < 0.5:
            return f"{self.view()} = {self.operand()}"
        if chance < 0.65:
            return f"{self.view()} {r.choice('+-')}= {self.operand()}"
        if chance < 0.72:
            return self.named(self.view())
        if self.temporaries and chance < 0.8:
            return f"{r.choice(self.temporaries)} += {self.operand()}"
        if self.temporaries and chance < 0.84:
            return f"{r.choice(self.temporaries)}[{r.choice(['0', '1:', '...', '-1'])}] = {self.operand()}"
        if chance < 0.88:
            x, y = self.view(), self.view()
            whole = r.choice("abc")
            return self.named(
                r.choice(
                    [
                        f"bounded(np.outer({x}, {y}))",
                        f"np.stack([{x}, {x}])",
                        f"np.concatenate([{whole}[i], {whole}[i - 1] + 1])",
                        f"np.array([{whole}[i - 1], {whole}[i]])",
                        f"np.diff({x})",
                        f"np.diag({x})",
                        f"bounded(np.sum({x}, axis=-1, keepdims=True))",
                        f"np.max({x}, keepdims=True)",
                        f"np.pad({x}, 1)",
                        f"np.nan_to_num({x})",
                        f"np.append({x}, 3)",
                        f"bounded(np.dot({whole}[i], {y}))",
                        f"np.array([{whole}[i, 0], 2, {whole}[0, 0]])",
                    ]
                )
            )
        if chance < 0.93:
            wanted = r.choice(["sum()", "max()", "min()", "copy()", "mean()", "T", "reshape(-1)"])
            return r.choice(
                [
                    f"a = {r.choice('abc')}.copy()",
                    f"seen.append(numpy.array({self.view()}.{wanted}))",
                    f"c = bounded({r.choice('abc')} * 1)",
                    self.named(f"np.sqrt(np.abs({self.operand()}))") if self.dtype[0] == "f" else "pass",
                ]
            )
        return r.choice(
            ["fence()", "seen.append(snapshot(b))", "a[b > 3] = 1", "seen.append(float(c[i, 0].real))"]
        )

    def run(self, np: Any, fence: Callable[[], None], snapshot: Callable[[Any], Any]) -> tuple[Any, Any]:
        rng = numpy.random.default_rng(1)
        kind = numpy.dtype(self.dtype)
        errors: list[Any] = []
        names = {
            "np": np, "numpy": numpy, "fence": fence, "snapshot": snapshot, "seen": [], "W": self.width,
            "scalar": kind.type(2), "bounded": (lambda x: x % 64) if kind.kind == "i" else (lambda x: x),
        }  # fmt: skip
        for name in "abc":
            names[name] = np.array(rng.integers(-4, 5, (self.n + 3, self.width)).astype(kind))
        with numpy.errstate(all="ignore"):
            for i in range(1, self.n):
                names["i"] = i
                for line in self.lines:
                    try:
                        exec(line, names)
                    except ERRORS as e:
                        errors.append((i, line, type(e).__name__))
        found = [numpy.array(names[k]) for k in ("a", "b", "c", *self.temporaries) if k in names]
        return found + [numpy.array(x) for x in names["seen"]], errors


@pytest.mark.parametrize("block", range(12))
def test_random_loops(block: int, rank_count: int) -> None:
    instant = 0
    for seed in range(block * 25, block * 25 + 25):
        _walking.forget()
        loop = Loop(seed)
        theirs, their_errors = loop.run(numpy, lambda: None, numpy.copy)
        ours, our_errors = loop.run(cupynumeric, legate.fence, numpy.asarray)
        instant += bool(_walking.walked)
        text = f"seed {seed}, {loop.n} x {loop.width} of {loop.dtype}:\n" + "\n".join(loop.lines)
        assert our_errors == their_errors, text
        assert len(ours) == len(theirs), text
        for x, y in zip(ours, theirs, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), text
            numpy.testing.assert_allclose(x, y, rtol=1e-4 if x.dtype.itemsize == 4 else 1e-9, err_msg=text)
    assert instant > 5 or rank_count > 1  # several ranks record everything


def recurrence(np: Any, data: numpy.ndarray) -> Any:
    u, v = np.array(data), np.array(data[::-1])
    for i in range(1, len(data)):
        u[i] = 0.5 * u[i - 1] + 0.25 * v[i]
    return u


@pytest.mark.one_rank
def test_moving_slices_are_not_planned() -> None:
    _walking.MANY = 10
    data = numpy.random.default_rng(2).random((300, 40))
    plans, values = runtime.counters.plans, runtime.counters.values
    ours = recurrence(cupynumeric, data)
    legate.fence()
    assert runtime.counters.plans - plans <= 2
    assert runtime.counters.values - values < 80
    assert (numpy.asarray(ours) == recurrence(numpy, data)).all()


@pytest.mark.one_rank
def test_slices_that_stay_are_recorded() -> None:
    """Sixteen boundary slices of a small array, again and again: each comes to be recorded, and windows repeat."""
    _walking.MANY = 4
    p, expected = cupynumeric.ones((20, 20)), numpy.ones((20, 20))
    plans = 0
    for turn in range(400):
        if turn == 300:
            legate.fence()
            plans = runtime.counters.plans
        for x in (p, expected):
            for k in range(8):
                x[k, 1:-1] = x[k + 1, 1:-1] * 0.5 + x[k, :-2]
    legate.fence()
    assert runtime.counters.plans - plans <= 12
    assert (numpy.asarray(p) == expected).all()


@pytest.mark.one_rank
def test_large_slices_are_recorded() -> None:
    x = cupynumeric.ones((40, 40_000))
    for i in range(1, 40):
        x[i] = x[i - 1] + 1.0
    assert not _walking.walked
    assert float(x[39, 5]) == 40.0


@pytest.mark.one_rank
def test_views_follow_their_array() -> None:
    """Instant views look into arrays that are recorded, copied, shared and written to in other ways meanwhile."""
    x, expected = cupynumeric.zeros((30, 4)), numpy.zeros((30, 4))
    for a in (x, expected):
        for i in range(12):
            a[i] = a[i + 1] + i
    views, rows = [x[k] for k in range(20, 24)], [expected[k] for k in range(20, 24)]
    assert type(views[0]) is _instant.Instant
    kept, same = x.copy(), expected.copy()
    shown, saved = numpy.asarray(x), expected.copy()
    for a, v in ((x, views), (expected, rows)):
        v[0] += 5.0  # a snapshot and a copy exist: they keep the old values
        a *= 2.0
        v[1][1:] = v[0][:-1]
        a[20:24] += 1.0
        v[2][...] = a[20]
        if a is x:
            x[cupynumeric.arange(3)] = 9.0
        else:
            a[numpy.arange(3)] = 9.0
    assert numpy.array_equal(x, expected)
    assert numpy.array_equal(kept, same)
    assert numpy.array_equal(shown, saved)
    for v, r in zip(views, rows, strict=True):
        assert numpy.array_equal(v, r)
        assert isinstance(v, cupynumeric.ndarray)
