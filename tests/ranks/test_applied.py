"""Users' functions on arrays in parts: each rank applies them to its own, with NumPy's values, dtypes and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ranks.launch import succeeds

import cupynumeric
import legate
from legate_jit import runtime
from legate_jit.immediate import together
from legate_jit.ranks import windows

World = Callable[[int], None]
SIZES = [1, 2, 4, 7]


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of the arrays that somebody wanted whole."""
    seen: list[int] = []
    whole = windows.World.whole

    def noted(self: Any, buffer: Any) -> Any:
        seen.append(0 if buffer.layout.is_replicated else buffer.type.nbytes)
        return whole(self, buffer)

    monkeypatch.setattr(windows.World, "whole", noted)
    return seen


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
        return
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(np.asarray(found), expected)


def pair(shape: tuple[int, ...], dtype: str = "f8") -> tuple[Any, Any]:
    n = int(np.prod(shape))
    return tuple([(lib.arange(n) * 7 % 31 - 5).astype(dtype).reshape(shape) for lib in (cupynumeric, np)])


def collatz(n: Any) -> int:
    n, steps = abs(int(n)) + 1, 0
    while n > 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


FUNCTIONS: list[Any] = [
    (collatz, None, 1),
    (lambda a: a > 3, None, 1),
    (lambda a: a + 0.5 if a > 3 else 1, None, 1),  # the first element decides
    (lambda a: a + 0.5 if a > 3 else 1, ["f4"], 1),
    (lambda a, b: a * 2 + b, None, 2),
    (lambda a, b: (a, b > 2), None, 2),
    (lambda a, b: (a, b > 2), ["f4", "?"], 2),
    (lambda a, b: cupynumeric.sin(a) + b, ["f8"], 2),  # inside, it is NumPy's
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("k", range(len(FUNCTIONS)))
def test_vectorize(dealt: World, gathered: list[int], size: int, k: int) -> None:
    dealt(size)
    function, otypes, count = FUNCTIONS[k]
    for shape in ((50,), (9, 7), (2, 40)):
        x, y = pair(shape)
        legate.fence()
        gathered.clear()
        others = [(), ()] if count == 1 else [(x[..., ::-1] + 1,), (y[..., ::-1] + 1,)]
        found = cupynumeric.vectorize(function, otypes)(x, *others[0])
        legate.fence()
        assert sum(gathered) == 0
        if otypes == ["f8"]:
            np.testing.assert_allclose(found, np.vectorize(np.sin)(y) + others[1][0], 1e-14, 1e-14)
        else:
            same(found, np.vectorize(function, otypes)(y, *others[1]))
        if count == 2 and otypes != ["f8"]:
            same(cupynumeric.vectorize(function, otypes)(x, 3), np.vectorize(function, otypes)(y, 3))
            same(cupynumeric.vectorize(function, otypes)(x[:1], x), np.vectorize(function, otypes)(y[:1], y))


def table_of_ours(x: Any) -> Callable[[Any], Any]:
    """A function that reads an array of ours, as only all ranks together can."""
    table = cupynumeric.arange(100) * 3
    return lambda e: int(table[int(e) + 10]) if x is cupynumeric else (int(e) + 10) * 3


@pytest.mark.parametrize("size", [2, 4])
def test_functions_that_need_all_ranks(dealt: World, size: int) -> None:
    dealt(size)
    x, y = pair((40, 3))
    same(cupynumeric.vectorize(table_of_ours(cupynumeric))(x), np.vectorize(table_of_ours(np))(y))
    weights = cupynumeric.arange(3.0) + 1
    found = cupynumeric.apply_along_axis(lambda row: float((weights * row).sum()), 1, x)
    same(found, np.apply_along_axis(lambda row: float(((np.arange(3.0) + 1) * row).sum()), 1, y))


@pytest.mark.parametrize("size", [2, 7])
def test_errors_come_to_all(dealt: World, size: int) -> None:
    dealt(size)
    x, y = pair((60,))

    def failing(e: Any) -> Any:
        if e > 20:
            raise KeyError(float(e))
        return e

    with pytest.raises(KeyError) as expected:
        np.vectorize(failing)(y)
    with pytest.raises(KeyError) as found:
        cupynumeric.vectorize(failing)(x)
    assert found.value.args == expected.value.args
    with pytest.raises(KeyError):
        cupynumeric.apply_along_axis(lambda row: failing(row[0]), 1, x.reshape(20, 3))
    with pytest.raises(ValueError, match="broadcast"):
        cupynumeric.apply_along_axis(lambda row: row[: int(row[0] > 5) + 1], 1, x.reshape(20, 3))
    same(x + 1, y + 1)


LINES: list[Any] = [
    (lambda r: r.max() - r.min(), ()),
    (lambda r: r[::-1], ()),
    (lambda r, k: np.sort(r)[-k:], (2,)),
    (lambda r: cupynumeric.sort(r)[:2], ()),
    (lambda r: np.diag(r), ()),
    (lambda r: 1 if r[0] < 3 else 2.5, ()),
    (lambda r: int(r.sum()), ()),
    (lambda r: [r[0], r[1]], ()),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("k", range(len(LINES)))
def test_along_axes(dealt: World, gathered: list[int], size: int, k: int) -> None:
    dealt(size)
    function, args = LINES[k]
    for shape in ((12, 5), (3, 30), (4, 5, 6)):
        x, y = pair(shape)
        legate.fence()
        for axis in range(-1, len(shape)):
            gathered.clear()
            found = cupynumeric.apply_along_axis(function, axis, x, *args)
            assert (
                max(gathered, default=0) <= 8 * shape[axis]
            )  # the first line, which says what the result is
            same(found, np.apply_along_axis(function, axis, y, *args))
        same(
            cupynumeric.apply_along_axis(function, 0, x.T, *args),
            np.apply_along_axis(function, 0, y.T, *args),
        )


def test_over_axes(dealt: World, gathered: list[int]) -> None:
    dealt(4)
    x, y = pair((4, 5, 6))
    legate.fence()
    gathered.clear()
    found = [
        cupynumeric.apply_over_axes(cupynumeric.sum, x, (0, 2)),
        cupynumeric.apply_over_axes(np.max, x, -1),
        cupynumeric.apply_over_axes(lambda a, axis: a.cumsum(axis), x, [0, 1]),
    ]
    legate.fence()
    assert sum(gathered) == 0
    same(found[0], np.apply_over_axes(np.sum, y, (0, 2)))
    same(found[1], np.apply_over_axes(np.max, y, -1))
    same(found[2], np.apply_over_axes(lambda a, axis: a.cumsum(axis), y, [0, 1]))
    with pytest.raises(ValueError, match="correct shape"):
        cupynumeric.apply_over_axes(lambda a, axis: a.sum(), x, 0)


REAL = """
import numpy
import cupynumeric as np
from legate_jit.ranks import windows as ranks
whole = ranks.World.whole
def few(world, buffer):
    assert buffer.type.size < 10
    return whole(world, buffer)
ranks.World.whole = few  # nobody gathers
n = 60_000
x = np.arange(n * 4.0).reshape(n, 4) % 7
ours = [np.apply_along_axis(lambda r: np.sort(r)[-2:], 1, x), np.vectorize(lambda e: e > 2)(x)]
try:
    np.vectorize(lambda e: 1 // int(6 - e))(x)
except ZeroDivisionError:
    print("told")
total = [float(a.sum()) for a in ours]
y = numpy.arange(n * 4.0).reshape(n, 4) % 7
theirs = [numpy.sort(y, 1)[:, -2:], y > 2]
assert total == [float(a.sum()) for a in theirs]
print("right")
"""


def test_real_ranks() -> None:
    out = succeeds(REAL, 2)
    assert (out.count("told"), out.count("right")) == (2, 2)


def test_one_rank_takes_the_usual_way() -> None:
    assert runtime.world is None or together.lies_in_parts(cupynumeric.zeros(4)._store) is None
    same(cupynumeric.apply_along_axis(np.sum, 0, cupynumeric.ones((3, 4))), np.full(4, 3.0))
