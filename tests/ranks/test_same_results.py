"""The same program on 1, 2, 3 and 4 ranks: elementwise, integer and random results have the same bits; sums of floats are within
4 units in the last place per doubling of the number of terms. Every example, and the operations one by one."""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as onp
import pytest

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.ranks import windows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COUNTS = (2, 3, 4)

#: examples whose results are made element by element, or of minima, maxima and counts: the same bits
EXACT = [
    "cfd -x 61 -y 41 -i 3 -n 10",
    "jacobi -n 120 -i 15",
    "stencil -n 97 -i 10",
    "black_scholes -n 20001",
    "black_scholes -n 20001 --dtype float32",
    "mandelbrot -x 83 -y 61 -i 20",
    "saxpy -n 100001",
    "richardson_lucy -i 1",
]
#: examples that sum floats: how many sums a result went through one after the other, of how many terms each was, and the least
#: number whose unit counts (the drift of the energy is a difference, in parts of the energy)
SUMS = [
    ("cg -n 60 -i 5", 10, 3600, 0),
    ("kmeans -i 3", 3, 1797 * 64, 0),
    ("logreg -i 10", 30, 1347 * 65, 0),
    ("nbody -n 61 -i 2", 3, 61 * 3, 1),
]
NEEDS = {"kmeans": "sklearn", "logreg": "sklearn", "richardson_lucy": "sklearn"}


@pytest.fixture
def count(dealt: Callable[[int], None]) -> Callable[[int], None]:
    """A function that makes a world of so many ranks; of 1, none."""

    def make(size: int) -> None:
        dealt(size)
        if size == 1:
            runtime.world = None

    return make


def loaded(name: str) -> ModuleType:
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location(f"same_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module


def leaves(result: Any) -> Iterator[onp.ndarray]:
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from leaves(part)
    else:
        yield onp.array(result)


def results(line: str, monkeypatch: pytest.MonkeyPatch) -> list[onp.ndarray]:
    """What an example computes."""
    name, *options = line.split()
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    module = loaded(name)
    found: list[Any] = []

    def run(function: Any, args: Any, options: argparse.Namespace, *_: Any) -> Any:
        found.append(function(*args))
        return found[0]

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(sys, "argv", [name, *options])
    module.main()
    legate.fence()
    return list(leaves(found[0]))


def spread(plans: Any) -> bool:
    return any(isinstance(plan, windows.RanksPlan) for plan in plans)


def compared(
    line: str, count: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, onp.ndarray, onp.ndarray]]:
    """Results of an example on so many ranks, which have one rank's dtypes, and those of one rank."""
    count(1)
    expected = results(line, monkeypatch)
    for size in COUNTS:
        count(size)
        found = results(line, monkeypatch)
        assert spread(runtime._plans.values())
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype
            yield size, a, b


@pytest.mark.parametrize("line", EXACT)
def test_examples_to_the_bit(
    line: str, count: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, found, expected in compared(line, count, monkeypatch):
        onp.testing.assert_array_equal(found, expected, err_msg=f"{size} ranks")


@pytest.mark.parametrize(("line", "chained", "terms", "least"), SUMS)
def test_examples_that_sum(
    line: str,
    chained: int,
    terms: int,
    least: float,
    count: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size, found, expected in compared(line, count, monkeypatch):
        if found.dtype.kind in "iu":
            onp.testing.assert_array_equal(found, expected)
            continue
        unit = onp.finfo(found.dtype).eps * max(least, float(onp.abs(expected).max()))
        bound = 4 * math.log2(terms) * chained * unit
        assert float(onp.abs(found - expected).max()) <= bound, f"{size} ranks"


def test_the_sharded_example(count: Callable[[int], None]) -> None:
    pytest.importorskip("h5py")
    module = loaded("sharded_io")
    count(1)
    expected = onp.array(module.smoothed(module.field(101), 4))
    for size in COUNTS:
        count(size)
        onp.testing.assert_array_equal(onp.array(module.smoothed(module.field(101), 4)), expected)


def test_every_example_is_here() -> None:
    lines = [*EXACT, *(line for line, *_ in SUMS), "sharded_io"]
    programs = {path.stem for path in EXAMPLES.glob("*.py")} - {"common"}
    assert programs == {line.split()[0] for line in lines}


# ---- one by one --------------------------------------------------------------------------------------------------------

N = 4099
_INTEGERS = "(np.arange(N) * 7919 % 1009 - 300)"
_FLOATS = "(np.sin(np.arange(N * 1.0)) * 3)"
SAME = [
    *(f"np.{f}({_FLOATS})" for f in ("exp", "sin", "tanh", "cbrt", "arctan", "expm1", "floor", "isnan")),
    f"np.log(np.abs({_FLOATS}) + 1)",
    f"np.sqrt(np.abs({_FLOATS}).astype('f4'))",
    f"np.exp({_FLOATS}.astype('f4') * 2)",
    f"{_FLOATS} ** 3 + np.arange(N) / 7",
    f"np.where({_FLOATS} > 0, {_FLOATS}, 0.5)",
    f"{_FLOATS}.max()",
    f"{_FLOATS}.argmin()",
    f"np.sort({_FLOATS})",
    f"np.maximum.accumulate({_FLOATS})",
    *(f"{_INTEGERS}.{f}()" for f in ("sum", "prod", "min", "argmax", "cumsum", "any")),
    f"np.bincount({_INTEGERS} + 300)",
    f"np.unique({_INTEGERS}).sum()",
    f"{_INTEGERS}.astype('i2').sum()",
    f"np.add.at(x := np.zeros(50), {_INTEGERS} % 50, {_FLOATS}) or x",
    "np.random.default_rng(5).random(N)",
    "np.random.default_rng(5).integers(0, 99, N)",
    "np.random.RandomState(5).standard_normal(N)",
    "np.random.default_rng(5).permutation(N)",
]
SUMMED = [
    f"{_FLOATS}.sum()",
    f"{_FLOATS}.astype('f4').sum()",
    f"{_FLOATS}.mean()",
    f"{_FLOATS} @ {_FLOATS}",
    f"np.linalg.norm({_FLOATS})",
    f"np.var({_FLOATS})",
    f"np.cumsum(np.abs({_FLOATS}))",
    f"np.abs({_FLOATS})[:4096].reshape(64, 64) @ np.abs({_FLOATS})[:4096].reshape(64, 64)",
    f"np.abs({_FLOATS})[:4096].reshape(64, 64).sum(axis=0)",
    f"np.nansum(np.where({_FLOATS} > 2, np.nan, {_FLOATS}))",
]


def value(source: str) -> onp.ndarray:
    return onp.array(eval(source, {"np": np, "N": N}))


@pytest.mark.parametrize("source", SAME)
def test_operations_to_the_bit(source: str, count: Callable[[int], None]) -> None:
    count(1)
    expected = value(source)
    for size in (*COUNTS, 7):
        count(size)
        found = value(source)
        assert found.dtype == expected.dtype
        onp.testing.assert_array_equal(found, expected, err_msg=f"{size} ranks")


@pytest.mark.parametrize("source", SUMMED)
def test_operations_that_sum(source: str, count: Callable[[int], None]) -> None:
    """The unit is that of the sum of absolute values, which is what rounding of sums depends on."""
    count(1)
    expected, size_of_terms = value(source), value(source.replace(_FLOATS, f"np.abs({_FLOATS})"))
    unit = onp.finfo(expected.dtype).eps * float(onp.abs(size_of_terms).max())
    for size in (*COUNTS, 7):
        count(size)
        found = value(source)
        assert found.dtype == expected.dtype
        assert float(onp.abs(found - expected).max()) <= 4 * math.log2(N) * unit, f"{size} ranks"
