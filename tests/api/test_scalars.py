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
from legate_jit import runtime
from legate_jit.running import tiers


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


# x: 0 1 2 3 4 5; m: a matrix of 3 rows and 4 columns; n: an integer scalar, 3; s: one of floats, 6
ARGUMENTS = r"""
x[n] | x[-n] | x[:n] | x[n:] | x[::n] | x[n,None] | m[n-1] | m[n-1,n-2] | m[:n,:n] | m[[n-1,n-2]] | m[n-1:n]
np.roll(x,n) | np.take(x,n) | np.delete(x,n) | np.insert(x,n,5) | np.split(m,n) | np.array_split(x,n)
np.tile(x,(n,1)) | np.repeat(x,n) | np.swapaxes(m,n-3,n-2) | np.sum(m,axis=n-3) | m.sum(n-2) | np.rot90(m,n)
np.diff(x,n) | np.cumsum(m,axis=n-2) | np.expand_dims(x,n-3) | np.moveaxis(m,n-3,n-2) | np.eye(n,n+1,n-2)
np.tri(n) | np.identity(n) | np.vander(x[:3],n) | np.arange(n) | np.arange(1,n) | np.arange(s) | np.linspace(0,s,n)
np.full((n,n),s) | np.zeros((n,n-1)) | np.zeros([n,n]) | np.zeros((n,)) | np.empty((n,n)).shape
np.ones((n,n),dtype=int) | np.reshape(m,(n,-1)) | m.reshape(n,-1) | m.reshape((n,-1)) | np.broadcast_to(x,(n,6))
np.pad(x,(n,n)) | np.pad(x,[(n,1)]) | np.where(x>s,x,n) | np.clip(x,n,s) | np.power(x,n) | x**n | n**x | x%n | x//n
np.add(x,n) | np.minimum(x,n) | np.searchsorted(x,n) | np.digitize(x,[n]) | np.histogram(x,n)[0]
np.histogram(x,n,(0,n))[0] | np.percentile(x,n) | np.quantile(x,n/10) | np.interp(n,x,x) | np.polyval([1,2],n)
np.convolve(x,np.ones(n)) | np.fft.fft(x,n) | np.fft.fftfreq(n,1/n) | np.hanning(n) | np.hamming(n)
np.kaiser(n,n) | np.triu(m,n-3) | np.diag(x,n-3) | np.diagonal(m,n-3) | np.trace(m,n-3) | np.indices((n,2)).shape
np.unravel_index(n,(2,3)) | np.ravel_multi_index((n-2,n-2),(2,2)) | np.argpartition(x,n)[:n].sum()
np.partition(x,n)[n] | np.bincount(np.array([1,n])) | np.array([n,s]) | np.array([n,n]) | np.array([[n,1],[2,s]])
np.array(n) | np.asarray(n) | np.array([n]*3) | np.stack([n,n]) | np.concatenate([x,[n]]) | np.append(x,n)
np.r_[x,n] | np.r_[0:n] | np.c_[x,x][n] | np.isin(n,x) | n in x | np.float64(n) | np.int32(s) | float(n) | int(s)
np.dtype('f8').type(n) | np.round(s/7,n) | round(s/7,n) | (s/7).round(n) | np.around(x/7,n)
np.linalg.matrix_power(m[:3,:3],n) | np.linalg.norm(x,n) | np.allclose(n,3) | np.array_equal(n,3) | np.isclose(n,3)
np.maximum(n,s) | np.sqrt(n) | np.exp(-n) | np.hypot(n,s) | np.outer(x,n) | np.dot(x,n) | np.kron(n,x)
np.cross([n,1,2],[1,2,3]) | np.einsum('i,->i',x,n) | np.tensordot(x,n,0) | np.lcm(n,4) | np.gcd(n,6)
np.left_shift(1,n) | 1<<n | n&1 | n | n^1 | ~n | -n | abs(-n) | n//2 | n%2 | n/2 | divmod(n,2) | n==3 | n!=3 | n<s
n>=3 | not n | n and s | max(n,2) | min(n,s) | sum([n,s]) | [n,s] | (n,s) | str(n) | repr(s) | f"{n:3d}{s:.1f}"
"%d"%n | "a"*n | [0]*n | list(range(n)) | [1,2,3,4][n] | {n:1} | {3:1}[n] | hash(n) | bool(n) | n.item()
n.tolist() | n.dtype | n.shape | n.astype(float) | n.real | n.conj() | n+x | n*x | x*n+s | x-n*s | m@x[:4]*n
np.random.default_rng(0).integers(n) | np.random.default_rng(0).integers(0,n,n)
np.random.default_rng(0).random((n,2)) | np.random.default_rng(0).normal(s,n,n)
np.random.default_rng(0).choice(n,n) | np.random.default_rng(n).random() | np.random.seed(n)
np.random.RandomState(n).rand() | np.timedelta64(int(n),'D') | np.datetime64('2020-01-01')+int(n)
np.datetime64('2020-01-01')+n | np.arange(n)*np.timedelta64(1,'h') | np.char.multiply('a',n) | np.base_repr(n)
np.binary_repr(n) | np.binary_repr(n,width=n+2) | np.format_float_positional(s) | np.ma.masked_equal(x,n).sum()
np.apply_along_axis(lambda r:r[n],0,x) | np.vectorize(lambda a:a+n)(x) | np.vectorize(lambda a,b:a+b)(x,n)
np.fromfunction(lambda i:i+n,(n,)) | np.piecewise(x,[x<n],[n,s]) | np.select([x<n],[x],n) | np.choose(n-2,[x,x*2])
np.put_along_axis(m.copy(),np.array([[n-1]]),9,1) | np.take_along_axis(m,np.array([[n-1]]),1)
np.lib.stride_tricks.sliding_window_view(x,n) | np.array2string(x,precision=n) | np.unwrap(x,period=s)
np.nan_to_num(x,nan=n) | np.trapezoid(x,dx=n) | np.gradient(x,n) | np.polyfit(x,x,n-2).round(6)
np.cov(x,ddof=n-2) | np.var(x,ddof=n) | np.std(x,ddof=n-2) | x.std(ddof=n-2) | np.average(x,weights=x+n)
np.corrcoef(x,x+n).round(4) | np.sort(m,axis=n-3) | np.argsort(-x)[:n] | np.flip(m,n-3)
np.squeeze(m[None],n-3).shape | np.atleast_2d(n) | np.count_nonzero(x>n) | np.argmax(x>n) | np.nonzero(x==n)
np.cumprod(x[n:]) | np.logspace(0,n,n) | np.geomspace(1,n,n) | np.mgrid[0:n] | np.ogrid[:n] | np.s_[:n] | slice(n)
np.ix_([n-1],[n-2]) | x[np.arange(n)] | x[[n]] | m[n-1][n-2] | x.item(n) | m.item(n-1,0) | x.take([n])
x.repeat(n) | x.reshape(n,n-1) | x.clip(n) | x.dot(n) | x.searchsorted(n) | x.argpartition(n)[n] | x.fill(n)
x.put(n,s) | x.__setitem__(n,s) | x.__setitem__(slice(n),n) | np.resize(x,(n,n))
np.block([[m[:2,:2],np.full((2,n),s)]])
"""


def close(value: Any) -> Any:
    """What is to be the same of a result, numbers rounded."""
    if isinstance(value, (Ours, numpy.ndarray, numpy.generic)):
        host = numpy.asarray(value)
        return host.dtype, host.shape, (host.round(9) if host.dtype.kind in "fc" else host).tolist()
    if isinstance(value, (tuple, list)):
        return [close(v) for v in value]
    if isinstance(value, slice):
        return int(value.stop)
    return type(value), repr(value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "source", [e.strip() for line in ARGUMENTS.splitlines() for e in line.split(" | ") if e.strip()]
)
def test_arguments_that_are_scalars(source: str) -> None:
    results = []
    for np in (numpy, cupynumeric):
        x, m = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), np.arange(12).reshape(3, 4)
        try:
            results.append(
                close(eval(source, {"np": np, "x": x, "m": m, "n": x[:4].argmax(), "s": x[:4].sum()}))
            )
        except Exception as error:
            results.append(type(error))
    assert results[0] == results[1]
