"""The graph dump is a NumPy program: run on a window's inputs it gives the window's results."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import cupynumeric as np
from legate_jit import runtime
from legate_jit.backends import interpret
from legate_jit.cli.program import program
from legate_jit.ir.rewrite import Graph
from tests.cli.capture import Compiled, compiled
from tests.fuzz import programs

STAGES = ("graph", "simplified", "pieces", "lowered")


def execute(graph: Graph, inputs: list[numpy.ndarray], scalars: list[Any]) -> tuple[Any, ...]:
    """Run the dump of a graph."""
    text = program(graph)
    names: dict[str, Any] = {}
    exec(compile(text, "<dump>", "exec"), names)
    window = names["window"]
    given = window.__code__.co_varnames[: window.__code__.co_argcount]
    values = [(inputs if name[0] == "a" else scalars)[int(name[1:])] for name in given]
    with numpy.errstate(all="ignore"):
        return window(*values)


def same(got: Any, want: numpy.ndarray, exact: bool) -> bool:
    got = numpy.asarray(got)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if exact or got.dtype.kind not in "fc":
        return bool(numpy.array_equal(got, want, equal_nan=got.dtype.kind in "fc"))
    return numpy.allclose(got, want, rtol=1e-5 if got.dtype.itemsize <= 4 else 1e-11, equal_nan=True)


def check(windows: list[Compiled]) -> int:
    """Compare every stage's dump with what the interpreter and the compiled window computed; how many roots were compared."""
    compared = 0
    for window in windows:
        with numpy.errstate(all="ignore"):
            expected = interpret.run(window.graph, window.inputs, window.scalars)
        for stage in STAGES:
            values = execute(window.stages[stage], window.inputs, window.scalars)
            assert len(values) == len(expected)
            for value, want, real in zip(values, expected, window.results, strict=True):
                assert same(value, want, stage == "graph"), program(window.stages[stage])
                if real is not None:
                    assert same(value, real, False), program(window.stages[stage])
                    compared += 1
    return compared


def data(*shape: int) -> Any:
    return np.array(numpy.random.default_rng(7).random(shape))


def stencil() -> Any:
    p, b = data(9, 11), data(9, 11)
    for _ in range(3):
        pn = p.copy()
        p[1:-1, 1:-1] = 0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) - b[1:-1, 1:-1]
        p[:, 0] = p[:, -1]
        p[0, ::-1] = p[1, :]
    return p, p.T, p[::-2, ::3] + 1, p[::2, None, 1:-2]


def rows() -> Any:
    x = data(6, 50)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), x.mean(), x.std(axis=0), x.argmax(axis=1), x.argmin()


def large_sums() -> Any:
    x, y = data(300, 200), data(100000)
    return x.sum(axis=0), x.sum(axis=1), y.sum(), y.max(), y.argmax(), (x * 2).T.sum(axis=0)


def views() -> Any:
    x = data(5, 5)
    x[1:, 1:] += x[:-1, :-1]
    z = np.arange(6) * 1j
    z.real = 3
    d = np.diagonal(x) * 2
    return x, z, z.imag, d, x.reshape(25)[3:9:2], np.broadcast_to(x[0], (4, 5)) + 1, x.transpose(1, 0).copy()


def masks() -> Any:
    x = np.arange(20, dtype="i4").reshape(4, 5) - 9
    x[x < 0] = -3
    return np.where(x > 2, x, -x), np.sign(x), x.astype(bool).any(axis=0), np.cumsum(x, axis=1), x**2, x // 3


def calls() -> Any:
    x = data(6, 6)
    return x @ x, np.sort(x, axis=0), np.logaddexp(x, 2.0), np.concatenate([x, x[:2]]), np.fft.fft(x[0])


def casts() -> Any:
    h = np.arange(8).astype("f2")
    return (
        h * h,
        (h + 1).astype("u1"),
        np.array([1 + 2j, 3]).astype("c8") * 2,
        h.sum(),
        np.arange(4) + np.float32(2),
    )


def generators() -> Any:
    np.random.seed(3)
    return np.random.random((4, 3)), np.arange(3, 12, 2), np.eye(3), np.full((2, 2), 7), np.linspace(0, 1, 5)


PROGRAMS = [stencil, rows, large_sums, views, masks, calls, casts, generators]


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_dump_runs_and_agrees(make: Any) -> None:
    with compiled() as windows:
        kept = make()
        runtime.fence()
        assert check(windows) > 0
    del kept


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_dumps_of_random_programs(first: int) -> None:
    compared = 0
    for seed in range(first, first + 20):
        with compiled() as windows:
            names = programs.our_names()
            for line in programs.make(seed, 12):
                programs.run_line(line, names)
            runtime.fence()
            compared += check(windows)
    assert compared > 100


def test_an_empty_view_and_a_fixed_position() -> None:
    with compiled() as windows:
        x = data(3, 4)
        y = x[2:2] + 1, x[1, 2] * 2
        x[1, 2] = y[1]
        runtime.fence()
        check(windows)
