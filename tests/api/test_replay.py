"""Functions replayed from the text they recorded give what they gave before: same operands, other operands, other data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
import legate
from cupynumeric import _replay

X = np.random.default_rng(3).random((6, 8))

CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "concatenate": lambda m, a, b: m.concatenate((a, b)),
    "concatenate 1": lambda m, a, b: m.concatenate([a, b, a], axis=1),
    "stack": lambda m, a, b: m.stack((a, b), axis=1),
    "roll": lambda m, a, b: m.roll(a, 3) + m.roll(b, (1, 2), (0, 1)),
    "roll of nothing": lambda m, a, b: m.roll(a, 0),
    "pad": lambda m, a, b: m.pad(a, 2, constant_values=1.5),
    "pad edge": lambda m, a, b: m.pad(a[1:, ::2], 1, mode="edge"),
    "insert": lambda m, a, b: m.insert(a, 2, 1.0, axis=1),
    "insert rows": lambda m, a, b: m.insert(a, -1, b[0], axis=0),
    "delete": lambda m, a, b: m.delete(a, 3, axis=0),
    "delete several": lambda m, a, b: m.delete(a, [0, -1, 5]),
    "delete slice": lambda m, a, b: m.delete(a, slice(4, 1, -1), axis=1),
    "delete odd slice": lambda m, a, b: m.delete(a, slice(1, 40, 3)),
    "gradient": lambda m, a, b: m.gradient(a),
    "gradient 1": lambda m, a, b: m.gradient(a, axis=0, edge_order=2),
    "diff": lambda m, a, b: m.diff(a, n=2, axis=0),
    "meshgrid": lambda m, a, b: m.meshgrid(a[0], b[:, 0]),
    "kron": lambda m, a, b: m.kron(a, b[:2, :2]),
    "einsum": lambda m, a, b: m.einsum("ij,ij->i", a, b),
    "cov": lambda m, a, b: m.cov(a),
    "mean": lambda m, a, b: m.mean(a, axis=(0, 1), dtype=np.float32),
    "std": lambda m, a, b: m.std(a, axis=0, keepdims=True),
    "mean, a method": lambda m, a, b: a.mean(axis=1),
    "norm": lambda m, a, b: m.linalg.norm(a),
    "norm of rows": lambda m, a, b: m.linalg.norm(a, 1, axis=1),
    "select": lambda m, a, b: m.select([a > 0.5, b > 0.5], [a, b], 0.0),
    "polyval": lambda m, a, b: m.polyval([1.0, -2.0, 0.5], a),
    "trace": lambda m, a, b: m.trace(a),
    "tril": lambda m, a, b: m.tril(a, -1),
}


def same(got: Any, expected: Any) -> None:
    if isinstance(expected, (tuple, list)):
        assert type(got) is type(expected) and len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            same(g, e)
    else:
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6, atol=1e-12)
        assert np.asarray(got).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("name", CALLS)
def test_repeated_calls(name: str) -> None:
    f = CALLS[name]
    for k in range(6):
        x, y = X + k, X * 2 - k
        a, b = cn.asarray(x), cn.asarray(y)
        if k % 2:  # operands that are values of the open window
            x, y = x + 1, y - x
            a, b = a + 1, b - a + 1
            y = y - 1 + 1
            b = b + (a - a) - 1
            y = b.__array__()
        same(f(cn, a, b), f(np, x, y))
    same(f(cn, a, a), f(np, x, x))


def test_writing_to_results_and_operands_between_calls() -> None:
    a = cn.asarray(X)
    kept = []
    for k in range(6):
        r = cn.roll(a, 1, axis=0)
        a[0] = k
        r[1] = -k
        kept.append(r)
    host = X.copy()
    for k, r in enumerate(kept):
        expected = np.roll(host, 1, axis=0)
        host[0] = k
        expected[1] = -k
        same(r, expected)


def test_scalars_that_are_equal_but_not_the_same() -> None:
    a = cn.zeros(4)
    for _ in range(4):
        for value in (0.0, -0.0):
            got = np.asarray(cn.pad(a, 1, constant_values=value))
            assert np.signbit(got[0]) == np.signbit(value)
        assert cn.diff(a, n=1).shape == (3,)
        with pytest.raises(IndexError):
            cn.insert(a, 7, 0.0)


def test_a_replayed_call_records_the_same_tape() -> None:
    from legate_jit import runtime

    a = cn.asarray(X)
    for _ in range(3):
        cn.roll(a, 1)
        legate.fence()
    plans = runtime.counters.plans
    assert any(isinstance(r, _replay.Recipe) for r in _replay._recipes.values())
    kept = [cn.roll(a, 1) for _ in range(1)]
    legate.fence()
    same(kept[0], np.roll(X, 1))
    kept = [cn.roll(a, 1) for _ in range(1)]
    legate.fence()
    assert runtime.counters.plans <= plans + 1


def test_calls_that_read_values_are_not_kept() -> None:
    for k in range(6):
        x = X + k
        same(cn.insert(cn.asarray(x), [1, 2], 0.0, axis=0), np.insert(x, [1, 2], 0.0, axis=0))


def test_more_results_than_the_window_holds() -> None:
    a = cn.asarray(X)
    made = [cn.gradient(a * k) for k in range(300)]
    for k in (0, 1, 150, 299):
        same(made[k], np.gradient(X * k))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "wrap", "edge"])
def test_margins_of_every_width(mode: Any) -> None:
    for shape in ((1,), (4,), (2, 3)):
        x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
        for before in range(6):
            for after in range(6):
                same(cn.pad(cn.asarray(x), (before, after), mode=mode), np.pad(x, (before, after), mode=mode))


@pytest.mark.parametrize("name", ["mean, a method", "norm", "norm of rows", "roll of nothing"])
def test_calls_are_kept(name: str) -> None:
    a = cn.asarray(X) + 0.0
    _replay._recipes.clear()
    for _ in range(2):
        CALLS[name](cn, a, a)
    assert any(isinstance(r, _replay.Recipe) for r in _replay._recipes.values())


METHOD_CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda m, a: a.sum(),
    "sum of an axis": lambda m, a: a.sum(axis=0) + a.sum(0, keepdims=True) + m.sum(a, 0),
    "where": lambda m, a: m.where(a > 0.5, a, 0.0) + m.where(a > 0.5, 2.5, a),
    "clip": lambda m, a: a.clip(0.25, 0.75) + m.clip(a, None, 0.5),
    "full": lambda m, a: a + m.full((6, 8), 2.5) - m.full_like(a, -0.0),
    "reshape": lambda m, a: a.reshape(8, 6) @ a.reshape((6, -1)),
    "views": lambda m, a: m.transpose(a) + a.T + a.swapaxes(0, 1) + m.flip(a, 1).T,
    "broadcast": lambda m, a: m.broadcast_to(a[0], (6, 8)) + a,
    "astype": lambda m, a: a.astype("f4") + a.astype(np.int32) + a.astype(a.dtype, copy=False),
    "copy": lambda m, a: a.copy() - m.copy(a).ravel().reshape(a.shape),
    "zeros": lambda m, a: a + m.zeros((6, 8)) + m.ones_like(a) + m.eye(6, 8),
    "power": lambda m, a: a**2 + a**0.5 + a**-1 + a**3.7,
    "ufuncs": lambda m, a: m.sqrt(a) + m.maximum(a, 0.5) + m.add(a, a) - m.exp(-a),
    "equal constants": lambda m, a: m.clip(a, 0.5, 0.5) + m.where(a > 1, 1.0, 1.0),
}


@pytest.mark.parametrize("name", METHOD_CALLS)
def test_repeated_methods(name: str) -> None:
    f = METHOD_CALLS[name]
    for k in range(7):
        x = X + k / 8
        a = cn.asarray(x)
        if k % 2:
            x, a = x * 2, a * 2
        same(f(cn, a), f(np, x))


def test_floats_are_scalars_of_a_recipe() -> None:
    """Calls with other floats use the same recipe, and the values they are given."""
    a = cn.asarray(X) + 0.0
    made = [cn.where(a > 0.5, a, float(k)) + a.clip(float(k) / 10, 0.9) for k in range(30)]
    before = len(_replay._recipes)
    made += [cn.where(a > 0.5, a, float(k)) + a.clip(float(k) / 10, 0.9) for k in range(30, 40)]
    assert len(_replay._recipes) == before
    for k, got in enumerate(made):
        same(got, np.where(X > 0.5, X, float(k)) + X.clip(float(k) / 10, 0.9))


def test_views_share_memory_every_time() -> None:
    for _ in range(6):
        a = cn.asarray(X.copy()) + 0.0
        flat, turned, copied = a.reshape(-1), cn.transpose(a), a.copy()
        flat[0] = 7.0
        turned[1, 0] = 8.0
        assert float(a[0, 0]) == 7.0 and float(a[0, 1]) == 8.0 and float(copied[0, 0]) == X[0, 0]
        with pytest.raises(ValueError, match="read-only"):
            cn.broadcast_to(a[0], (2, 8))[0, 0] = 1.0


def test_warnings_come_every_time() -> None:
    z = cn.asarray(X) + 1j
    for _ in range(6):
        with pytest.warns(np.exceptions.ComplexWarning):
            z.astype(float)
    for _ in range(6):
        with pytest.warns(RuntimeWarning):
            cn.zeros((0,)).mean()


def test_errors_come_every_time() -> None:
    a = cn.asarray(X) + 0.0
    for _ in range(6):
        with pytest.raises(ValueError, match="cannot reshape"):
            a.reshape(7, 7)
        with pytest.raises(np.exceptions.AxisError):
            a.sum(axis=5)
        with pytest.raises(TypeError):
            a.sum(nonsense=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("depth", [1, 60, 300])
def test_long_and_nested_arguments(depth: int) -> None:
    """Keys longer than machine code has room for are Python's."""
    rows = [[cn.asarray(X[k % 6]) for k in range(8)] for _ in range(depth)]
    for _ in range(4):
        got = cn.concatenate([cn.stack(r) for r in rows[:30]])
        assert got.shape == (8 * min(depth, 30), 8)
        nested: Any = 1.0
        for _ in range(depth):
            nested = [nested]
        if depth < 30:
            assert cn.sum(nested) == 1.0
