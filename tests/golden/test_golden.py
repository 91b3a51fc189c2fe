"""What the compiler makes of small programs, as text: a change of a pass shows as a change of these files.

`pytest tests/golden --update-golden` writes them anew; read the difference before committing it. The text holds nothing that
depends on the machine: no addresses, times or vector widths.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import cupynumeric as np
from legate_jit import runtime
from legate_jit.cli import dump
from legate_jit.ir import passes
from legate_jit.ranks import windows

HERE = Path(__file__).parent


def data(*shape: int, dtype: str = "f8") -> Any:
    return np.array(numpy.ones(shape, dtype))


def chain() -> Callable[[], Any]:
    """Elementwise operations and a cast: one kernel, one line of memory."""
    x, y = data(100, 100), data(100, 100, dtype="f4")
    return lambda: np.sqrt(x * x + y) * 0.5 - np.exp(-x)


def pressure() -> Callable[[], Any]:
    """Two sweeps of a stencil over a copy, with boundaries: ping-pong, no copy."""
    p, b = data(41, 31), data(41, 31)

    def run() -> Any:
        for _ in range(2):
            pn = p.copy()
            p[1:-1, 1:-1] = (
                0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]) - b[1:-1, 1:-1]
            )
            p[0, :] = p[1, :]
            p[-1, :] = 0

    return run


def softmax() -> Callable[[], Any]:
    """Rows in sections: maximum, exponentials and their sum, quotient."""
    x = data(64, 300)

    def run() -> Any:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return run


def statistics() -> Callable[[], Any]:
    """Sums over everything (in blocks), over columns and over rows."""
    x = data(300, 400)
    return lambda: (x.sum(), x.mean(axis=0), x.max(axis=1), x.argmin())


def overlapping() -> Callable[[], Any]:
    """Updates of overlapping parts of an array somebody else still sees: a copy, then boxes."""
    x = data(100, 80)

    def run() -> Any:
        y = x.copy()
        y[1:, 1:] += x[:-1, :-1]
        y[:, ::2] *= 2
        return y.T, x

    return run


def library() -> Callable[[], Any]:
    """A matrix product between elementwise operations, a sort of a view, masks."""
    a, b = data(20, 30), data(30, 10)

    def run() -> Any:
        c = np.maximum(a + 1, 0) @ b
        c[c > 3] = 0
        return c, np.sort(a[:, ::-1], axis=1), a.reshape(30, 20)[2:4]

    return run


PROGRAMS = [chain, pressure, softmax, statistics, overlapping, library]


def dumped(make: Callable[[], Callable[[], Any]]) -> str:
    """Graph, kernels and schedule of the windows that the program needs."""
    texts = [f"# {make.__doc__}"]
    numbers = dump.Numbers()

    def observe(stage: str, result: Any) -> None:
        if stage == "graph":
            texts.extend([dump.headline(stage), dump.graph_text(result)])
        elif stage == "fused":
            texts.extend([dump.headline(stage), dump.fused_text(result)])
        elif stage == "schedule":
            texts.extend([dump.headline("kernels"), dump.kernels_text(result, numbers)])
            texts.extend([dump.headline(stage), dump.schedule_text(result, numbers)])

    runtime.fence()
    run = make()
    runtime.fence()
    runtime._plans.clear()
    passes.observers.append(observe)
    try:
        kept = run()
        runtime.fence()
    finally:
        passes.observers.remove(observe)
    del kept
    return "\n".join(texts)


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_golden(make: Any, request: pytest.FixtureRequest) -> None:
    path = HERE / f"{make.__name__}.txt"
    text = dumped(make)
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; see --update-golden"


def heat() -> Callable[[], Any]:
    """Three ranks: sweeps of a stencil whose halos travel while the middle is computed, a sum, rows in reverse order."""
    x = data(300, 200) + 1.0
    runtime.fence()

    def run() -> Any:
        y = x
        for _ in range(2):
            z = y.copy()
            z[1:-1, 1:-1] = 0.25 * (y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:])
            y = z
        return y.sum(), y + y[::-1]

    return run


def test_golden_of_ranks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule of each of three ranks, with what it moves."""
    runtime.fence()
    monkeypatch.setattr(runtime, "world", windows.World(3, range(3), None))
    seen = []
    numbers = dump.Numbers()

    def observe(stage: str, result: Any) -> None:
        if stage == "schedule":
            seen.append(dump.headline(f"rank {len(seen)}") + "\n" + dump.schedule_text(result, numbers))

    run = heat()
    runtime._plans.clear()
    monkeypatch.setattr(passes, "observers", [observe])
    kept = run()
    runtime.fence()
    del kept
    runtime._plans.clear()
    text = "\n".join([f"# {heat.__doc__}", *seen])
    path = HERE / "heat.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; see --update-golden"


def test_dumps_do_not_depend_on_what_ran_before() -> None:
    assert dumped(pressure) == dumped(pressure)
