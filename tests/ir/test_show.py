"""The graph dump is a NumPy program: executed, it computes what the interpreter computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legate_jit import tiers
from legate_jit.backends import interpret
from legate_jit.ir import passes, show
from legate_jit.ir.index import Affine
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph
from tests.fuzz import programs


def same_as_interpreter(graph: Graph, text: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(text, "<dump>", "exec"), names)
    rng = np.random.default_rng(1)
    count = 1 + max([int(n.arg) for n in graph.nodes if n.kind in (Kind.BUFFER, Kind.SCALAR)], default=0)  # type: ignore
    inputs: list[Any] = [None] * count
    scalars: list[Any] = [None] * count
    for n in graph.nodes:
        if n.kind is Kind.BUFFER:
            inputs[n.arg] = rng.integers(0, 3, n.shape).astype(n.dtype)  # type: ignore[index]
        elif n.kind is Kind.SCALAR:
            scalars[n.arg] = n.dtype.type(rng.integers(0, 3))  # type: ignore[index]
    wanted = interpret.run(graph, inputs, scalars)
    given = [a.copy() for a in inputs if a is not None] + [s for s in scalars if s is not None]
    with np.errstate(all="ignore"):
        got = names["flush"](*given)
    for a, b in zip(got, wanted, strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.array_equal(a, b), text


@pytest.mark.parametrize("seed", range(20_000, 20_025))
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_dumps_of_random_programs_run(seed: int) -> None:
    found: list[Graph] = []

    def observe(stage: str, result: Any) -> None:
        if stage in ("graph", "simplified", "pieces"):
            found.append(result)

    lines = programs.make(seed)
    passes.observers.append(observe)
    try:
        with programs.settings(seed):
            tiers.policy.target, tiers.policy.interpret_runs = "cpu", 0
            assert programs.difference(lines) is None
    finally:
        passes.observers.remove(observe)
    assert found
    for graph in found[:40]:
        same_as_interpreter(graph, show.program(graph))


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("1:-1, 2:", (40, 50)),
        (":, ::2", (4, 9)),
        ("::-1, 3", (6, 7)),
        ("-2:0:-3, None, 0:0", (9, 5)),
        ("5", (8,)),
    ],
)
def test_keys_print_as_written(key: str, shape: tuple[int, ...]) -> None:
    from cupynumeric._indexing import affine_of

    x = np.arange(np.prod(shape)).reshape(shape)
    view = affine_of(shape, eval(f"np.s_[{key}]"))
    text = show.subscript(view, shape)
    assert text is not None
    assert np.array_equal(eval(f"x[{text}]"), eval(f"x[{key}]"))
    assert len(text) <= len(key) + 6


def test_maps_that_are_no_keys() -> None:
    x = np.arange(60).reshape(3, 4, 5)
    maps = [
        Affine((4, 3), ((0, 1, 1), (3, -1, 0), (2, 0, -1))),
        Affine((2, 3, 4, 5), ((0, 1, 1), (0, 1, 2), (0, 1, 3))),
        Affine((3,), ((0, 1, 0), (0, 1, 0), (1, 0, -1))),
        Affine((5, 2, 4), ((1, 0, -1), (0, 1, 2), (0, 1, 0))),
    ]
    for affine in maps:
        names: dict[str, Any] = {"np": np, "x": x}
        exec(show.HELPERS["view"], names)
        text = show.moved("x", affine, x.shape)
        assert np.array_equal(eval(text, names), interpret.view(x, affine)), text
