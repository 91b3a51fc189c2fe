"""Advanced indexing of arrays that are dealt out: as NumPy's, errors included, and nobody gets the whole of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ranks.launch import succeeds

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.ir.ranks import choose
from legate_jit.ranks import windows

SIZES = [1, 2, 3, 4, 7]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, dealt: Callable[[int], None]) -> int:
    """A world of so many virtual ranks, among which even tiny arrays are dealt out."""
    dealt(request.param)
    return int(request.param)


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the arrays that were made whole."""
    seen: list[tuple[int, ...]] = []
    usual = windows._gather

    def gather(buffer: windows.Dealt, world: windows.World) -> Any:
        seen.append(buffer.type.shape)
        return usual(buffer, world)

    monkeypatch.setattr(windows, "_gather", gather)
    return seen


def outcome(program: Callable[..., Any], np: Any, *arrays: Any) -> Any:
    try:
        found = program(np, *arrays)
    except (IndexError, ValueError, TypeError) as error:
        return type(error), str(error)
    found = found if isinstance(found, tuple) else (found,)
    return [onp.asarray(x) for x in found]


def dealt(array: onp.ndarray) -> Any:
    """An array of ours that lies in parts: the result of a window."""
    if array.dtype == bool:
        return np.asarray(array) != False  # noqa: E712
    return np.asarray(array) + array.dtype.type(0)


def check(program: Callable[..., Any], *arrays: onp.ndarray, texts: bool = True) -> None:
    """The program does the same with NumPy's arrays and with ours; arrays that it changes, too."""
    theirs = [a.copy() for a in arrays]
    ours = [dealt(a) for a in arrays]
    expected, found = outcome(program, onp, *theirs), outcome(program, np, *ours)
    if isinstance(expected, tuple):
        assert isinstance(found, tuple), (expected, found)
        assert found[0] is expected[0]
        assert found == expected or not texts
        return
    assert not isinstance(found, tuple), found
    for a, b in zip([*expected, *theirs], [*found, *ours], strict=True):
        b = onp.asarray(b)
        assert (b.shape, b.dtype) == (a.shape, a.dtype)
        onp.testing.assert_array_equal(b, a)


X = onp.arange(60.0) * 3 % 31
Y = (onp.arange(84).reshape(12, 7) * 5 % 83).astype(onp.int32)
Z = onp.arange(120.0).reshape(6, 5, 4) + 1j
N = onp.arange(40) * 7 % 60 - 17
J = onp.arange(24).reshape(4, 6) * 5 % 12 - 6
K = onp.arange(24).reshape(4, 6) * 3 % 7 - 3

READS: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "vector": (lambda np, x, i: x[i], (X, N)),
    "few": (lambda np, x: (x[[3, -1, 3]], x[np.array([5])]), (X,)),
    "short": (lambda np, x, i: x[i.astype(np.int8)], (X, N)),
    "unsigned": (lambda np, x, i: x[(i + 20).astype(np.uint64)], (X, N)),
    "view": (lambda np, x, i: x[50:2:-2][i[::2] % 20], (X, N)),
    "rows": (lambda np, y, j: y[j], (Y, J)),
    "rows known": (lambda np, y: y[[0, 11, 3, 3, -1, 5, 4, 7, 8, 9, 2]], (Y,)),
    "columns": (lambda np, y, k: y[:, k], (Y, K)),
    "columns known": (lambda np, y: (y[:, [1, 1, -1]], y[2:9, [0, 6]]), (Y,)),
    "pairs": (lambda np, y, j, k: y[j, k], (Y, J, K)),
    "broadcast": (lambda np, y, j, k: y[j[:, :1], k[0]], (Y, J, K)),
    "with a number": (lambda np, y, j: (y[j, 3], y[2, j % 7]), (Y, J)),
    "table known": (lambda np, i: np.asarray([1.5, 2.5, 3.5])[i % 3], (N,)),
    "index known": (lambda np, y: y[onp.arange(30) % 12, onp.arange(30) % 7], (Y,)),
    "between": (lambda np, z, j: z[:, j % 5], (Z, J)),
    "apart": (lambda np, z, j, k: (z[j % 6, :, k % 4], z[1, :, k % 4]), (Z, J, K)),
    "last two": (lambda np, z, j, k: z[..., j % 5, k % 4], (Z, J, K)),
    "new axis": (lambda np, z, j: z[:, None, j % 5, 1:3], (Z, J)),
    "mask": (lambda np, x: x[x > 10], (X,)),
    "mask of rows": (lambda np, y: y[y[:, 1] % 2 == 0], (Y,)),
    "mask of planes": (lambda np, z: z[z[:, :, 0].real % 3 == 0], (Z,)),
    "mask of columns": (lambda np, y: y[:, y[3] > 20], (Y,)),
    "mask and index": (lambda np, y: y[y[:, 0] > 20, 2], (Y,)),
    "mask all false": (lambda np, x: x[x > 1000], (X,)),
    "masked views": (lambda np, y: y.T[1:][y.T[1:] > 40], (Y,)),
    "nonzero": (lambda np, y: (*np.nonzero(y % 3), np.flatnonzero(y > 40), np.argwhere(y % 5 == 0)), (Y,)),
    "where": (lambda np, z: np.where(z.real > 60), (Z,)),
    "boundaries": (lambda np, x: x[[-60, 59, 0]], (X,)),
}


@pytest.mark.parametrize("name", READS)
def test_reads(size: int, name: str) -> None:
    program, arrays = READS[name]
    check(program, *arrays)


ERRORS: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "above": (lambda np, x, i: x[i + 40], (X, N)),
    "below": (lambda np, x, i: x[i - 45], (X, N)),
    "known": (lambda np, x: x[[3, 77, -99]], (X,)),
    "second axis": (lambda np, y, j, k: y[j, k + 2], (Y, J, K)),
    "both axes": (lambda np, y, j, k: y[j + 3, k + 20], (Y, J, K)),
    "after a slice": (lambda np, y, k: y[1:3, k + 4], (Y, K)),
    "shapes": (lambda np, y, j, i: y[j, i % 7], (Y, J, N)),
    "mask": (lambda np, y: y[(y > 3)[:5]], (Y,)),
    "floats": (lambda np, x: x[x], (X,)),
    "too many": (lambda np, x, i: x[i, i], (X, N)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(size: int, name: str) -> None:
    program, arrays = ERRORS[name]
    check(program, *arrays)


def assigned(key: Callable[..., Any], item: Callable[..., Any]) -> Callable[..., Any]:
    def program(np: Any, x: Any, *arrays: Any) -> Any:
        x[key(x, *arrays)] = item(np, x, *arrays)
        return ()

    return program


WRITES: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "number": (assigned(lambda x, i: i, lambda np, x, i: 2.5), (X, N)),
    "vector": (assigned(lambda x, i: i, lambda np, x, i: i * 0.5), (X, N)),
    "the last wins": (assigned(lambda x, i: i % 5, lambda np, x, i: i * 0.5), (X, N)),
    "known": (assigned(lambda x: [3, 9, 3, -1], lambda np, x: [1, 2, 3, 4]), (X,)),
    "known, dealt values": (assigned(lambda x: onp.arange(40) % 31, lambda np, x: x[:40] * 2), (X,)),
    "other dtype": (assigned(lambda y, j: j, lambda np, y, j: 3.9), (Y, J)),
    "rows": (assigned(lambda y, j: j, lambda np, y, j: np.arange(7)), (Y, J)),
    "rows each": (assigned(lambda y, j: j[0], lambda np, y, j: y[:6] * 2), (Y, J)),
    "columns": (assigned(lambda y, k: (slice(None), k[0]), lambda np, y, k: k[0]), (Y, K)),
    "pairs": (assigned(lambda y, j, k: (j, k), lambda np, y, j, k: j * 100 + k), (Y, J, K)),
    "apart": (assigned(lambda z, j, k: (j % 6, slice(1, 4), k % 4), lambda np, z, j, k: j[:, :, None]), (Z, J, K)),
    "between": (assigned(lambda z, j: (slice(None), j[0] % 5), lambda np, z, j: j[0][:, None] + z[0, 0]), (Z, J)),
    "leading ones": (assigned(lambda x, i: i, lambda np, x, i: np.ones((1, 1, 40))), (X, N)),
    "mask, vector": (assigned(lambda x: x > 12, lambda np, x: np.arange(int((x > 12).sum())) * 1.5), (X,)),
    "mask, one": (assigned(lambda x: x > 12, lambda np, x: np.asarray([7.0])), (X,)),
    "mask, selection": (assigned(lambda x: x > 12, lambda np, x: x[x > 12] * 2), (X,)),
    "mask, other mask": (assigned(lambda x: x > 12, lambda np, x: x[x > 12][::-1]), (X,)),
    "mask of rows": (assigned(lambda y: y[:, 0] > 30, lambda np, y: -y[y[:, 0] > 30]), (Y,)),
    "mask, too few": (assigned(lambda x: x > 12, lambda np, x: np.arange(3.0)), (X,)),
    "shapes": (assigned(lambda x, i: i, lambda np, x, i: i[:7]), (X, N)),
    "range": (assigned(lambda x, i: i + 40, lambda np, x, i: i), (X, N)),
    "overflow": (assigned(lambda y, j: j, lambda np, y, j: 2 + 3j), (Y, J)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_writes(size: int, name: str) -> None:
    program, arrays = WRITES[name]
    check(program, *arrays)


def test_writes_through_views(size: int) -> None:
    def program(np: Any, y: Any, j: Any) -> Any:
        v = y[2:, ::2]
        v[j[0] % 10, j[1] % 4] = j[2]
        y.T[3][j[3]] -= 5
        w = y.reshape(-1)
        w[j.reshape(-1) * 3] = 17
        return v, w

    check(program, Y, J)


def test_an_array_and_its_copies(size: int) -> None:
    """What is written to one name does not show under another one."""

    def program(np: Any, x: Any, i: Any) -> Any:
        y, z = x.copy(), x + 1
        y[i] = -1.0
        x[i % 7] = -2.0
        z[i] += 100
        w = y
        w[i[:3]] = 5
        return y, z

    check(program, X, N)


def test_reading_the_whole_between(size: int) -> None:
    def program(np: Any, x: Any, i: Any) -> Any:
        before = onp.array(x)
        x[i] = -1.0
        after = onp.array(x[i % 9])
        x[i] += 3
        return before, after

    check(program, X, N)


ATS: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "add": (lambda np, x, i: np.add.at(x, i, 1), (X, N)),
    "add floats": (lambda np, x, i: np.add.at(x, i % 3, i * 0.1), (X, N)),
    "multiply": (lambda np, x, i: np.multiply.at(x, i % 9, i * 0.25), (X, N)),
    "pairs": (lambda np, y, j, k: np.subtract.at(y, (j, k), j * k), (Y, J, K)),
    "rows": (lambda np, y, j: np.maximum.at(y, j, y[0] * 2), (Y, J)),
    "negative": (lambda np, x, i: np.negative.at(x, i), (X, N)),
    "mask": (lambda np, x: np.add.at(x, x > 5, 2.0), (X,)),
    "range": (lambda np, x, i: np.add.at(x, i + 50, 1.0), (X, N)),
    "casting": (lambda np, y, j: np.add.at(y, j, 1.5), (Y, J)),
    "small target": (lambda np, i: _counted(np, i), (N,)),
}


def _counted(np: Any, i: Any) -> Any:
    counts = np.zeros(1, np.int64).repeat(1)
    np.add.at(counts, i * 0, 1)
    return counts


@pytest.mark.parametrize(
    "operator", ["add", "multiply", "maximum", "minimum", "bitwise_or", "bitwise_and", "subtract"]
)
@pytest.mark.parametrize("dtype", ["i1", "u4", "i8", "f4"])
def test_ufunc_at_of_a_small_table(
    size: int, monkeypatch: pytest.MonkeyPatch, operator: str, dtype: str
) -> None:
    """A table that all ranks have: they count apart, or in order where that matters."""
    if dtype == "f4" and (operator.startswith("bitwise") or operator == "multiply"):
        return
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 20)
    where, values = onp.arange(300) * 7 % 13 - 3, (onp.arange(300) * 5 % 9 + 1).astype(dtype)

    def program(np: Any, where: Any, values: Any) -> Any:
        table = np.asarray([3, 1, 4, 1, 5, 9, 2, 6, 5, 3], dtype)
        getattr(np, operator).at(table, where, values)
        getattr(np, operator).at(table[2:5], where % 3, 3)
        return table

    check(program, where, values)


@pytest.mark.parametrize("name", ATS)
def test_ufunc_at(size: int, name: str) -> None:
    program, arrays = ATS[name]
    check(lambda np, *a: (program(np, *a),) if name == "small target" else (program(np, *a), ())[1], *arrays)


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "take": (lambda np, x, i: (np.take(x, i), x.take([3, -1]), np.take(x, 7), x.take(-2)), (X, N)),
    "take, axis": (lambda np, y, k: (np.take(y, k, axis=1), np.take(y, 3, 1), np.take(y, k), y.take(5, 0)), (Y, K)),
    "take, modes": (
        lambda np, y, j: (np.take(y, j * 9, mode="wrap"), np.take(y, j * 9, 0, mode="clip"), np.take(y, 99, 1, mode="wrap")),
        (Y, J),
    ),
    "compress": (lambda np, x: (np.compress(x > 9, x), np.compress([True, False, True], x), x.compress(x > 99)), (X,)),
    "compress, axis": (
        lambda np, y: (np.compress(y[:, 0] > 9, y, 0), y.compress(y[3] > 30, 1), np.compress([0, 1, 1], y, axis=1)),
        (Y,),
    ),
    "extract": (lambda np, y: (np.extract(y % 3 == 0, y), np.extract(y % 5, y)), (Y,)),
    "repeat": (lambda np, x, i: (np.repeat(x[:40], i % 3), np.repeat(x[:3], [2, 0, 1]), x.repeat(2)), (X, N)),
    "repeat, axis": (lambda np, y: (np.repeat(y, y[:, 1] % 3, axis=0), y.repeat(y[2] % 4, 1), np.repeat(y, [3])), (Y,)),
    "choose": (lambda np, j, k: (np.choose(j % 3, [j, k * 2.5, 7]), (j % 2).choose([k, j])), (J, K)),
    "choose, modes": (lambda np, j, k: (np.choose(j, [j, k], mode="wrap"), np.choose(j, [j, k], mode="clip")), (J, K)),
    "take_along_axis": (
        lambda np, j, k: (
            np.take_along_axis(j, k % 4, 0), np.take_along_axis(j, k % 6, 1), np.take_along_axis(j, k[:, :1] % 6, axis=1),
            np.take_along_axis(j, np.argsort(j, axis=1), axis=1), np.take_along_axis(j, k[0], None),
        ),
        (J, K),
    ),
    "take_along_axis, few lines": (
        lambda np, x, i: (
            np.take_along_axis(x.reshape(3, 20), i[:30].reshape(3, 10) % 20, 1), np.take_along_axis(x[None], i[None], axis=-1),
        ),
        (X, N),
    ),
    "take_along_axis, line": (lambda np, x, i: np.take_along_axis(x, i, 0), (X, N)),
    "unravel_index": (lambda np, i: (*np.unravel_index(i + 17, (4, 3, 5)), *np.unravel_index(i + 17, 60)), (N,)),
    "ravel_multi_index": (
        lambda np, j, k: (
            np.ravel_multi_index((j + 6, k + 3), (12, 7)), np.ravel_multi_index((j, k), (5, 3), mode="wrap"),
            np.ravel_multi_index((j, k), (5, 3), mode="clip"), np.ravel_multi_index((j + 6, 2), (12, 7)),
        ),
        (J, K),
    ),
    "ix_": (lambda np, y, j: (y[np.ix_(j[0], [3, 1])], y[np.ix_(y[:, 1] > 20, y[0] > 9)], *np.ix_(j[1], j[2])), (Y, J)),
    "flat": (lambda np, y, j: (y.flat[j * 2], y.flat[5:70:4], y.flat[13], y.T[1:].flat[3:9], y.flat[(y > 30).ravel()]), (Y, J)),
    "insert": (lambda np, x, i: (np.insert(x, [3, 60, 3, -1], [1, 2, 3, 4]), np.insert(x, i, 7.5), np.insert(x, i, i)), (X, N)),
    "item": (lambda np, y: (onp.asarray(y.item(5)), onp.asarray(y.item(3, 2)), onp.asarray(y.T.item(-1))), (Y,)),
    "looking at a few": (lambda np, y: (onp.asarray(y[3:5]), onp.asarray(y.T[2, ::3]), onp.asarray([*y[2]])), (Y,)),
    "piecewise": (lambda np, x: np.piecewise(x, [x > 9, x < 4], [lambda v: v * 2, 7.0, np.negative]), (X,)),
    "trim_zeros": (lambda np, x: (np.trim_zeros(x * (x > 5)), np.trim_zeros(x[:40] * 0 + (x[:40] == 6), "b")), (X,)),
    "delete": (lambda np, x, i: (np.delete(x, i), np.delete(x, [3, 3, -1]), np.delete(x, x > 7)), (X, N)),
    "delete, axis": (lambda np, y, j, k: (np.delete(y, j[0], axis=0), np.delete(y, k[0], 1)), (Y, J, K)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(size: int, name: str) -> None:
    program, arrays = FUNCTIONS[name]
    check(program, *arrays)


CHANGES: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "put": (lambda np, x, i: (np.put(x, i, i * 0.5), x.put([3, 4, 3], [1, 2, 3]), x.put(i % 4, 8)), (X, N)),
    "put, repeated": (lambda np, x, i: (np.put(x, i, [1, 2, 3]), np.put(x, i[:5] % 60, i)), (X, N)),
    "put, modes": (
        lambda np, x, i: (np.put(x, i * 5, i, mode="wrap"), np.put(x, i * 5, -1.5, mode="clip")),
        (X, N),
    ),
    "put, matrix": (lambda np, y, j: (np.put(y, j * 5, j), np.put(y[2:, 1:3], j % 20, j + 1)), (Y, J)),
    "flat": (
        lambda np, y, j: (
            y.flat.__setitem__(slice(3, 70, 7), [1, 2, 3]),
            y.flat.__setitem__(j * 3, j),
            y.T.flat.__setitem__(5, 99),
            y.flat.__setitem__((y > 70).ravel(), [7, 8]),
            y[2:].flat.__setitem__([1, 2, 9], 3),
        ),
        (Y, J),
    ),
    "put, range": (lambda np, x, i: np.put(x, i + 50, 1.0), (X, N)),
    "place": (lambda np, y: (np.place(y, y > 40, y[0]), np.place(y, y % 2 == 0, [-1, -2, -3])), (Y,)),
    "place, dealt": (lambda np, x, i: np.place(x, x > 4, i * 0.25), (X, N)),
    "place, nothing": (lambda np, x: (np.place(x, x > 99, []), np.place(x, x > 4, [])), (X,)),
    "place, view": (lambda np, y: np.place(y.T[1:, ::-2], y.T[1:, ::-2] > 9, [5, 6]), (Y,)),
    "putmask": (lambda np, y: (np.putmask(y, y > 40, y * 2), np.putmask(y, y % 2 == 0, [-1, -2, -3])), (Y,)),
    "putmask, longer": (
        lambda np, x, i: (np.putmask(x[:20], x[:20] > 3, i), np.putmask(x, x > 9, i % 7)),
        (X, N),
    ),
    "put_along_axis": (
        lambda np, j, k: (
            np.put_along_axis(j, k % 6, k * 100, 1),
            np.put_along_axis(j, k[:1] % 4, 77, axis=0),
        ),
        (J, K),
    ),
    "put_along_axis, few lines": (
        lambda np, x, i: np.put_along_axis(x.reshape(2, 30), i.reshape(2, 20) % 30, i[:20] * 2, axis=1),
        (X, N),
    ),
    "put_along_axis, line": (lambda np, x, i: np.put_along_axis(x, i, i * 2, 0), (X, N)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_functions_that_write(size: int, name: str) -> None:
    program, arrays = CHANGES[name]
    check(lambda np, *a: (program(np, *a), ())[1], *arrays)


WRONG: dict[str, tuple[Callable[..., Any], tuple[onp.ndarray, ...]]] = {
    "take": (lambda np, x, i: np.take(x, i + 30), (X, N)),
    "take, axis": (lambda np, y, j: np.take(y, j, axis=1), (Y, J)),
    "repeat": (lambda np, x, i: np.repeat(x[:40], i), (X, N)),
    "choose": (lambda np, j, k: np.choose(j, [j, k]), (J, K)),
    "take_along_axis": (lambda np, j, k: np.take_along_axis(j, k * 3, axis=1), (J, K)),
    "take_along_axis, shapes": (lambda np, j, k: np.take_along_axis(j, k[:3], axis=1), (J, K)),
    "compress": (lambda np, y: np.compress(y[:, 0] > 3, y, axis=1), (Y,)),
    "delete": (lambda np, x, i: np.delete(x, i * 9), (X, N)),
    "unravel_index": (lambda np, i: np.unravel_index(i, (4, 15)), (N,)),
    "ravel_multi_index": (lambda np, j, k: np.ravel_multi_index((j, k), (12, 7)), (J, K)),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_of_functions(size: int, name: str) -> None:
    program, arrays = WRONG[name]
    check(program, *arrays)


@pytest.mark.parametrize("name", [*READS, *WRITES, *FUNCTIONS, *CHANGES])
def test_nothing_is_made_whole(
    monkeypatch: pytest.MonkeyPatch, gathered: list[tuple[int, ...]], name: str
) -> None:
    """No rank gets all of an array that is dealt out, or more of it than the program looks at."""
    legate.fence()
    for room in (choose, windows):
        monkeypatch.setattr(room, "SMALL", 2)
    monkeypatch.setattr(runtime, "world", windows.World(3, range(3), None))
    runtime._plans.clear()
    program, arrays = (READS | WRITES | FUNCTIONS | CHANGES)[name]
    found = [dealt(a) for a in arrays]
    try:
        program(np, *found)
        legate.fence()
    except (ValueError, IndexError, TypeError):
        pass
    assert not [shape for shape in gathered if onp.prod(shape) > 14]
    assert not [n for p in runtime._plans.values() if isinstance(p, windows.RanksPlan) for n in p.notices]
    runtime._plans.clear()


def test_an_index_that_changes_is_looked_at_again(size: int) -> None:
    def program(np: Any, x: Any, i: Any) -> Any:
        first = x[i] + x[i]
        i[i % 3] = -7
        second = x[i]
        i += 1
        third = x[i]
        i[[5, 7]] = [60, 61]
        try:
            x[i]
        except IndexError as error:
            return first, second, third, onp.asarray(str(error))
        raise AssertionError

    check(program, X, N)


@pytest.mark.parametrize("count", [2, 4])
def test_what_moves_is_least(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Of a large table the rows asked for, of a small one all, of columns nothing."""
    legate.fence()
    monkeypatch.setattr(runtime, "world", windows.World(count, range(count), None))
    x, y = np.arange(100_000.0) + 1, np.arange(400_000.0).reshape(100_000, 4)
    few, many = np.arange(40_000) * 7 % 100_000, np.arange(300_000) % 3
    table = np.arange(40_000.0)
    legate.fence()

    def moved(program: Callable[[], Any]) -> tuple[int, Any]:
        runtime._plans.clear()
        found = program()
        legate.fence()
        return sum(p.traffic for p in runtime._plans.values() if isinstance(p, windows.RanksPlan)), found

    share = 1 - 1 / count
    at_most, found = moved(lambda: x[few])
    assert at_most <= 2 * 8 * 40_000 * share
    assert isinstance(found._store.buffer, windows.Dealt)
    at_most, found = moved(lambda: table[many])
    assert at_most == min(8 * 40_000 * (count - 1), int(2 * 8 * 300_000 * share))
    at_most, found = moved(lambda: y[:, [2, 0, 3]])
    assert at_most == 0
    at_most, found = moved(lambda: x[[5, 70_000, -1]])
    assert 0 < at_most <= 3 * 8 * (count - 1)
    onp.testing.assert_array_equal(found, [6.0, 70_001.0, 100_000.0])
    runtime._plans.clear()


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An advanced key: index arrays that broadcast, slices, numbers, new axes, an ellipsis; numbers out of range are rare."""
    spread = draw(st.sampled_from([(5,), (3, 4), (1, 9), (13,)]))
    found: list[Any] = []
    for n in shape:
        kind = draw(st.sampled_from("aaasin"))
        if kind == "n":
            found.append(None)
            kind = "s"
        if kind == "a":
            own = tuple(m if draw(st.booleans()) else 1 for m in spread)[
                draw(st.integers(0, len(spread) - 1)) :
            ]
            high = n + draw(st.sampled_from([0] * 15 + [1]))
            seed = draw(st.integers(0, 99))
            found.append(onp.random.default_rng(seed).integers(-n, high, own))
        elif kind == "s":
            found.append(slice(draw(st.sampled_from([None, 1])), None, draw(st.sampled_from([None, 2, -1]))))
        else:
            found.append(draw(st.integers(-n, n - 1)))
    if draw(st.booleans()):
        found = [*found[:-1], Ellipsis] if draw(st.booleans()) else [Ellipsis, *found[1:]]
    return tuple(found)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_key(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([2, 3, 4, 7]))
    shape = data.draw(st.sampled_from([(40,), (11, 6), (5, 4, 6), (2, 3, 30)]))
    key = data.draw(keys(shape))
    lies = data.draw(st.booleans())
    x = onp.arange(onp.prod(shape)).reshape(shape)

    def program(np: Any, x: Any) -> Any:
        ours = [dealt(e) if np is not onp and lies and isinstance(e, onp.ndarray) else e for e in key]
        found = x[tuple(ours)]
        x[tuple(ours)] = found * 2 + 1
        if any(isinstance(e, onp.ndarray) for e in key):
            np.add.at(x, tuple(ours), found)
        return found

    small = choose.SMALL, windows.SMALL
    choose.SMALL = windows.SMALL = 2
    runtime.world = windows.World(size, range(size), None)
    runtime._plans.clear()
    try:
        check(program, x, texts=False)
    finally:
        legate.fence()
        runtime.world = None
        choose.SMALL, windows.SMALL = small
        runtime._plans.clear()


PROGRAM = """
    import numpy as onp
    import cupynumeric as np
    from legate_jit.ranks import windows as ranks
    from legate_jit import runtime
    me = runtime.world.own[0]
    def never(*_):
        raise AssertionError("an array was made whole")
    usual, ranks._gather = ranks._gather, never
    n = 300_000
    x, hx = np.arange(n) * 3.0, onp.arange(n) * 3.0
    i, hi = np.arange(n // 2) * 7919 % n - n // 2, onp.arange(n // 2) * 7919 % n - n // 2
    y, hy = x[i], hx[hi]
    x[i] = i * 0.5
    hx[hi] = hi * 0.5
    np.add.at(x, i % 1000, y)
    onp.add.at(hx, hi % 1000, hy)
    m, hm = x % 2 == 0, hx % 2 == 0
    z, hz = x[m], hx[hm]
    p, hp = np.nonzero(m)[0], onp.flatnonzero(hm)
    try:
        x[i + n]
    except IndexError as error:
        text = str(error)
    try:
        hx[hi + n]
    except IndexError as error:
        assert str(error) == text
    parts = [a._store.buffer.parts[me].nbytes for a in (x, y, z, p)]
    assert all(isinstance(a._store.buffer, ranks.Dealt) for a in (x, y, z, p))
    assert sum(parts) <= (hx.nbytes + hy.nbytes + hz.nbytes + hp.nbytes) / runtime.world.size + 64
    ranks._gather = usual
    for a, b in ((x, hx), (y, hy), (z, hz), (p, hp)):
        onp.testing.assert_array_equal(onp.asarray(a), b)
    print("as numpy")
"""


@pytest.mark.parametrize("count", [2, 3])
def test_under_mpi(count: int) -> None:
    assert succeeds(PROGRAM, count).split("\n").count("as numpy") == count
