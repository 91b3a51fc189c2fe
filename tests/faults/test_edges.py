"""NaN, infinities, signed zeros, integer extremes, 0-d and empty arrays: bit for bit what NumPy gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate_jit.running import tiers

pytestmark = pytest.mark.filterwarnings("ignore")

_FLOATS = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 5e-324, 1.7e308, -1e300, 2.5, 3.5, -7.0]
_WIDE = _FLOATS * 3  # whole vectors and a tail
_I8, _I32, _I64 = (np.iinfo(t) for t in ("i1", "i4", "i8"))


def _ints(m: Any, dtype: str) -> Any:
    info = np.iinfo(dtype)
    values = [info.min, info.max, 0, 1, 2, 7, info.max - 1, info.min + 1, 100, 3, 5] * 3
    if info.min < 0:
        values += [-1, -2, -7, -100] * 2
    return m.array(np.array(values, dtype))


def _turned(a: Any) -> Any:
    return a[::-1]


_EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "int_min // -1": lambda m: m.array([_I32.min, _I32.min + 1], dtype="i4") // m.array([-1, -1], dtype="i4"),
    "int64_min // -1": lambda m: m.array([_I64.min] * 9) // m.array([-1] * 9),
    "int_min % -1": lambda m: m.array([_I64.min] * 9) % m.array([-1] * 9),
    "int // int": lambda m: _ints(m, "i8") // _turned(_ints(m, "i8")),
    "int8 // int8": lambda m: _ints(m, "i1") // _turned(_ints(m, "i1")),
    "uint64 // uint64": lambda m: _ints(m, "u8") // _turned(_ints(m, "u8")),
    "int // 0": lambda m: _ints(m, "i4") // 0,
    "int % 0": lambda m: _ints(m, "i4") % 0,
    "uint % 0": lambda m: _ints(m, "u2") % m.zeros(33, "u2"),
    "int % int": lambda m: _ints(m, "i2") % _turned(_ints(m, "i2")),
    "divmod": lambda m: m.divmod(_ints(m, "i8"), _turned(_ints(m, "i8")))[1],
    "fmod by 0": lambda m: m.fmod(_ints(m, "i4"), 0),
    "shift by width and more": lambda m: _ints(m, "i4") << (m.arange(41, dtype="i4") % 40),
    "right shift by width and more": lambda m: _ints(m, "i8") >> (m.arange(41) * 3 % 80),
    "shift by a negative number": lambda m: _ints(m, "i8") << m.array([-1] * 41),
    "unsigned shift": lambda m: _ints(m, "u1") >> (m.arange(33, dtype="u1") % 12),
    "abs of int_min": lambda m: abs(_ints(m, "i1")),
    "negative of int_min and of unsigned": lambda m: (-_ints(m, "i8"))[:33] + (-_ints(m, "u4")).astype("i8"),
    "wrap of products": lambda m: _ints(m, "i8") * _turned(_ints(m, "i8")) + _ints(m, "i8"),
    "int power": lambda m: _ints(m, "i4") ** m.array(5, dtype="i4"),
    "minimum with nan": lambda m: m.minimum(m.array(_WIDE), m.array(_WIDE)[::-1]),
    "maximum with nan": lambda m: m.maximum(m.array(_WIDE), m.array(_WIDE)[::-1]),
    "fmin with nan": lambda m: m.fmin(m.array(_WIDE), m.array(_WIDE)[::-1]),
    "min, max, argmin of nan": lambda m: m.stack(
        [m.array(_WIDE).min(), m.array(_WIDE).max(), m.array(_WIDE).argmin() * 1.0]
    ),
    "float // float": lambda m: m.array(_WIDE) // m.array(_WIDE)[::-1],
    "float % float": lambda m: m.array(_WIDE) % m.array(_WIDE)[::-1],
    "x / 0": lambda m: m.array(_WIDE) / 0.0,
    "inf - inf, 0 * inf": lambda m: (m.array(_WIDE) - m.array(_WIDE)) + m.array(_WIDE) * np.inf,
    "sqrt and sign of negatives": lambda m: m.sqrt(m.array(_WIDE)) + m.sign(m.array(_WIDE)),
    "copysign and signbit": lambda m: m.copysign(1.0, m.array(_WIDE)) * m.signbit(m.array(_WIDE)),
    "comparisons with nan": lambda m: (m.array(_WIDE) < m.nan) | (m.array(_WIDE) != m.array(_WIDE)),
    "bool of nan and -0.0": lambda m: m.array(_WIDE).astype(bool),
    "rint, floor, trunc": lambda m: (
        m.rint(m.array(_WIDE)) + m.floor(m.array(_WIDE)) - m.trunc(m.array(_WIDE))
    ),
    "float to float16 out of range": lambda m: m.array([1e5, -1e5, 65519.0, 65520.0, 1e-8, m.nan]).astype(
        "f2"
    ),
    "float to float32 out of range": lambda m: m.array(_WIDE).astype("f4"),
    "float to int64 in range and not": lambda m: m.array(
        [1.9, -1.9, 1e300, -1e300, m.nan, m.inf, 2.0**62]
    ).astype("i8"),
    "float to int32 out of range": lambda m: m.array([3e9, -3e9, m.nan, m.inf, 1.5]).astype("i4"),
    "float to int8 out of range": lambda m: m.array([300.0, -129.0, 127.9, -128.9, 0.5] * 7).astype("i1"),
    "float to uint8 out of range": lambda m: m.array([255.9, 256.0, 300.0, 0.5, 7.0] * 7).astype("u1"),
    "int to narrower int": lambda m: _ints(m, "i8").astype("i2"),
    "uint64 to float": lambda m: _ints(m, "u8").astype("f4"),
    "int64 with uint64": lambda m: _ints(m, "i8")[:33] + _ints(m, "u8"),
    "sum of int8 and of bool": lambda m: m.stack([_ints(m, "i1").sum(), (_ints(m, "i1") > 0).sum()]),
    "nan in all, any": lambda m: m.stack([m.array(_WIDE).any(), m.array(_WIDE).all()]),
    "0-d": lambda m: m.array(_I64.min) // m.array(-1) + m.array(3) % m.array(0),
    "empty": lambda m: m.zeros((0, 3)).sum(axis=0) + m.ones(0).sum() + m.zeros((3, 0)).prod(axis=1),
    "empty // empty": lambda m: (m.zeros(0, "i4") // m.zeros(0, "i4"))[::-1],
    "broadcast of 0-d with nan": lambda m: m.maximum(m.array(m.nan), m.arange(5.0)),
    "inf in where": lambda m: m.where(m.array(_WIDE) > 0, 1 / m.array(_WIDE), m.array(_WIDE)),
}


@pytest.fixture(autouse=True, params=["compiled", "direct"], scope="module")
def tier(request: pytest.FixtureRequest) -> Iterator[None]:
    """The compiled kernels, and tier 0."""
    saved = tiers.policy.interpret_runs
    tiers.policy.interpret_runs = 0 if request.param == "compiled" else 1_000_000
    yield
    tiers.policy.interpret_runs = saved


def _bits(array: np.ndarray) -> np.ndarray:
    """The bits; all NaNs count as one (which operand's NaN goes on is no promise of IEEE 754, nor of NumPy)."""
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


@pytest.mark.parametrize("name", _EXPRESSIONS)
def test_edge(name: str) -> None:
    expression = _EXPRESSIONS[name]
    want = np.asarray(expression(np))
    got = np.asarray(expression(cn))
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert np.array_equal(_bits(got), _bits(want)), (got, want)


@pytest.mark.parametrize("reduce", ["min", "max", "argmin", "argmax"])
def test_extrema_of_nothing(reduce: str) -> None:
    with pytest.raises(ValueError, match=r"zero-size|empty sequence"):
        getattr(cn.zeros(0), reduce)()


def test_integer_to_negative_power() -> None:
    with pytest.raises(ValueError, match="negative integer powers"):
        cn.arange(3) ** -1
