"""Results that are scalars in NumPy, in everything a program may do with a number."""

from __future__ import annotations

import collections
import copy
import csv
import io
import json
import math
import operator
import pickle
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import cupynumeric
from cupynumeric._array import SCALAR, Ours
from legate_jit import runtime, tiers


@pytest.fixture(autouse=True)
def recorded() -> Iterator[None]:
    """Programs that read again and again are given NumPy's own scalars: not here."""
    runtime._short_reads.clear()
    tiers.record_again()
    yield


def written(*row: Any) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(row)
    return file.getvalue()


NAMES = {m.__name__: m for m in (collections, copy, json, math, operator, pickle, struct, numpy)} | {
    "written": written
}

# x: 0 1 2 3; s: its sum; n: an integer scalar, 3; c: a complex one; b: true
SOURCES = """
json.dumps(s)
json.dumps({"mean": x.mean(), "of": [x.max(), x[1]]}, indent=1)
json.dumps(n)
json.dumps(b)
json.dumps(s.astype("f4"))
json.dumps(x)
json.dumps(s[None])
json.dumps(n, default=int)
"%d %5.2f %s %r" % (s, s, n, b)
f"{s:.3f} {n:05d} {s!r} {x.mean():.1%} {b:d} {n:>6}|"
f"{s:d}"
{s: "a"}[6.0]
{6.0: "a"}[s]
dict(collections.Counter(x.astype(int)))
struct.pack("<dq?", s, n, b)
list(range(n))
range(s)
"abcd"[n]
[1, 2][s]
[1, 2, 3, 4][:n]
[0] * n
bytes(n)
hex(n)
round(x.mean())
round(s / 7, n)
divmod(s, 4)
pow(n, 2)
math.trunc(x.mean())
math.trunc(n)
math.trunc(x)
math.floor(x.mean())
math.sqrt(s)
math.gcd(n, 6)
float(c)
int(c)
complex(c)
float(numpy.array(1j))
written(s, n, b)
pickle.loads(pickle.dumps(s))
pickle.loads(pickle.dumps(np.array(5)))
copy.copy(s)
copy.deepcopy(s)
copy.deepcopy(np.array(5))
s.copy()
np.copy(s)
np.array(5)[()]
np.array(5)[...]
np.ones(())[()] * 2
s[()]
s[None][0]
np.expand_dims(s, 0)[0]
c.real
c.imag
(x * 1j)[1].imag
np.nanstd(x)
np.nanvar(x)
np.iscomplex(s)
operator.setitem(s, -1, 1)
operator.setitem(s, (), 1)
operator.setitem(s, ..., 1)
operator.setitem(s, None, 1)
operator.setitem(s, slice(None), 1)
operator.setitem(np.array(5.0), (), 1)
operator.delitem(s, 0)
3 in s
setattr(s, "real", 1)
setattr(s, "imag", 1)
(s.fill(3), s)
(s.put(0, 3), s)
len(s)
list(s)
s[0]
s[-1]
np.zeros(n)
np.zeros((n, 2))
np.ones(n)
np.empty(n).shape
np.full(n, s)
np.ndarray(n).shape
np.zeros(s)
np.zeros(x.astype(int).max() + 1)
np.arange(6).reshape(n, -1)
np.arange(3).reshape(n)
np.broadcast_to(s, n)
np.tile(x, n)
np.resize(x, n)
np.repeat(x, n)
np.eye(n)
np.arange(n)
np.linspace(0, 1, n)
np.random.default_rng(n).random()
np.random.default_rng(0).permutation(n)
np.random.default_rng(0).random(n)
np.random.RandomState(n).rand(n)
np.fft.fftfreq(n)
np.fft.fft(x, n)
np.partition(x, n)
np.histogram(x, n)[0]
np.split(np.arange(6), n)[0]
np.pad(x, n)
np.bincount([1], minlength=n)
np.tensordot(np.eye(2), np.eye(2), n - 1)
np.sqrt(2)
isinstance(np.sqrt(2), float)
np.hypot(3, 4)
np.log(0.5) * x
np.exp(1j)
np.divmod(7, 2)
np.modf(2.5)
np.fromstring("1 2", sep=" ")
np.fromstring("abcdefgh")
np.sum(k for k in range(3))
np.full(2, 1j, dtype="f4")
np.cumsum(x * 1j, dtype="f4")
"""


def described(value: Any) -> Any:
    if isinstance(value, Ours):
        host = numpy.asarray(value)
        value = host[()] if value._locked == SCALAR and not value.shape else host
    if isinstance(value, (list, tuple)):
        return type(value), [described(v) for v in value]
    if isinstance(value, numpy.ndarray):
        return "array", value.dtype, value.shape, value.tolist()
    return type(value), repr(value)


def outcome(source: str, np: Any) -> Any:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    names = NAMES | {"np": np, "x": x, "s": x.sum(), "n": x.argmax(), "c": (x * 1j).sum(), "b": (x > 1).any()}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = described(eval(source, names))
        except Exception as error:
            # Where NumPy's own text comes from the interpreter, which names the class, the class is all there is to compare.
            found = type(error)
    return found, [(w.category, str(w.message)) for w in told]


@pytest.mark.parametrize("source", SOURCES.strip().splitlines())
def test_scalars(source: str) -> None:
    assert outcome(source, cupynumeric) == outcome(source, numpy)


def test_messages_name_numpys_scalars() -> None:
    x = cupynumeric.array([0.0, 1.0])
    with pytest.raises(TypeError, match=r"'numpy\.float64' object does not support item assignment"):
        x.sum()[-1] = 1
    with pytest.raises(TypeError, match=r"'numpy\.bool' object cannot be interpreted as an integer"):
        range((x > 0).any())
    with pytest.raises(TypeError, match=r"Object of type int64 is not JSON serializable"):
        json.dumps(x.argmax())


def test_shapes_that_are_scalars_give_views() -> None:
    """Not arrays made by NumPy: what is written to them is seen."""
    x = cupynumeric.arange(6.0)
    y = x.reshape(x.argmax() - 2, -1)
    y[0, 1] = 50.0
    assert x[1] == 50.0
    z = cupynumeric.zeros(3)
    z[...] = 2
    assert z.sum() == 6
