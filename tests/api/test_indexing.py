"""Indexing, basic and advanced, read and write, against NumPy."""

from __future__ import annotations

import numpy
import pytest
from api.compare import check

LAYOUTS = {
    "plain": lambda np: np.arange(60.0).reshape(3, 4, 5),
    "transposed": lambda np: np.arange(60, dtype=np.int32).reshape(5, 4, 3).T,
    "reversed": lambda np: (np.arange(60, dtype=np.float32) * (1 + 1j)).reshape(3, 4, 5)[::-1, ::-1],
    "strided": lambda np: np.arange(240, dtype=np.uint8).reshape(6, 4, 10)[::2, :, 1::2],
    "reshaped": lambda np: np.arange(120.0).reshape(2, 60)[0].reshape(3, 4, 5),
}

KEYS = """
0
-1
3
-4
1, 2
1, 2, 3
1, 2, 3, 0
1, 9
:
1:
::-1
::2
2:0:-1
5:2
1:100
-2:
..., 0
0, ...
..., 1, :
..., ...
None
None, 1
:, None, 1
1, :, None, ..., None
:, 1:3, ::-2
:, 1
True
False
None, True
[]
[0, 2]
[0, 0, 1]
[-1, 0]
[3]
[[0, 1], [1, 2]]
[0, 1], [1, 2]
[0, 1], [1, 2], [3, 4]
[0, 1], :, [3, 4]
:, [0, 1], [3, 4]
:, [0, 1]
..., [0, 1]
[0, 1], 1
1, [0, 1]
1, :, [0, 1]
1, [0, 1], 2
[0, 1], None, [1, 2]
[0, 1], ..., 1
[[0], [1]], [[0, 1]]
[[0], [1]], :, [[0, 1]]
[0, 1], [1, 2, 3]
[1.0]
1.0
'a'
np.array([0, 1])
np.array([0, 1], dtype=np.uint8)
np.array([2, 0, -1]), 1:3
np.array(1)
np.array(1), np.array(2)
np.array([[True, False, True, False]] * 3)
np.array([True, False, True])
np.array([True, False])
np.array([True, False, True]), 1
np.array([True, False, True]), [0, 1]
:, np.array([True, False, True, True])
1, np.array([True, False, True, True])
..., np.array([True, False, True, True, False])
np.array([True, False, True]), np.array([True, False, True, True])
[True, False, True]
x > 20
x.real % 2 == 0
(x > 5)[0]
np.zeros((3, 4, 5), bool)
np.zeros((0,), int)
np.zeros((0, 2), int), 1
slice(None), slice(1, 3)
np.int64(1), np.uint8(2)
slice(np.int32(1), np.array(3))
np.arange(3) % 2
[0, 1], slice(None), slice(None), 0
object()
'abc', 1
1, 'abc'
1.5, 1
slice('a')
slice(None, None, 0)
""".strip().splitlines()


@pytest.mark.parametrize("key", KEYS)
def test_reading(key: str) -> None:
    for make in LAYOUTS.values():
        check(f"x[{key}]", x=make)


VALUES = ["7", "x[:1, :1, :1]", "2.5", "np.arange(5)", "True"]


@pytest.mark.parametrize("key", KEYS)
def test_writing(key: str) -> None:
    for make in LAYOUTS.values():
        for value in VALUES:
            check(f"x = make(np)\nx[{key}] = {value}\nresult = x", make=lambda np, make=make: make)


STATEMENTS = """
x[x > 5] = x[x > 5] * 2
x[x > 5] += 1
x[[0, 0, 1]] += 1
x[[0, 0, 1]] = np.arange(3)[:, None, None]
x[1:] = x[:-1]
x[:-1] = x[1:]
x[::-1] = x
x[:, ::-1] = x
x[...] = x.sum()
x[0] = x[1] + x[2]
x[x > 5] = np.arange((x > 5).sum())
x[x > 5] = np.arange(3)
x[x > 1000] = 3
x[np.array([True, False, True])] = 9
x[np.array([True, False, True])] = np.arange(5)
x[np.array([True, False, True])] = np.arange(2)[:, None, None]
x[np.array([True, False, True])] = np.arange(3)[:, None, None]
x.flat[3] = 99
x.flat[[1, 2, 50]] = [7, 8, 9]
x.flat[2:9:3] = 5
x.flat[5:] = [1, 2, 3]
x.flat = 3
x.flat = np.arange(60)
x.flat[99] = 1
x.T[0] = 3
x.T.reshape(5, 12)[0] = 3
x.reshape(-1)[::7] = 4
x.ravel()[3] = 4
x.swapaxes(0, 1)[1] = 4
x[1].T[2, 1] = 77
x[1, 2, 3] = 5
x[1, 2, 9] = 5
x[1, 2] = [1, 2, 3, 4, 5]
x[1, 2] = [1, 2, 3]
x[1] = [[1], [2], [3], [4]]
x[:] = [[[1]]]
x[:] = [[[[1]]]]
x[0, 0] = 'a'
x[0, 0] = '3'
x[0, 0] = None
x[0, 0, 0] = [1]
x[0, 0, 0] = [1, 2]
x[0, 0, 0] = np.array([4])
x[0] = 300
x[0] = -1
x[0] = 3.7
x[0] = 1j
x[0] = True
x[0] = np.float32(1.5)
x[0] = np.int64(70000)
x.fill(3)
x.fill(2.5)
x.put([0, 5], 9)
x.put([0, 5, 59], [1, 2, 3])
x.put(60, 1)
x.put([60, 61], 1, mode='wrap')
x.put([60, 61], 1, mode='clip')
x.sort()
x.sort(axis=0)
x.sort(axis=None)
x.partition(2, axis=1)
x.real = 5
x.imag = 5
x.real[0] = 1
x.shape = 60
x.shape = (5, 12)
x.shape = (5, 5)
x.resize(3, 4, 5)
np.put(x, [1, 2], [3, 4])
np.place(x, x > 5, [1, 2, 3])
np.putmask(x, x > 5, 3)
np.putmask(x, x > 5, [1, 2, 3])
np.putmask(x, x > 5, x * 2)
np.copyto(x, 3)
np.copyto(x, 3.5)
np.copyto(x, np.arange(5, dtype=np.int8))
np.copyto(x, x[0], where=x > 3)
np.copyto(x, 7, where=[True, False, True, False, True])
np.copyto(x, np.arange(4))
np.copyto(x, np.arange(5.0), casting='no')
np.fill_diagonal(x[0], 3)
np.fill_diagonal(x[:, :, 0], [1, 2, 3])
np.fill_diagonal(x, 3)
np.fill_diagonal(x[0, :, :2], 5, wrap=True)
np.put_along_axis(x, np.argsort(x, axis=1)[:, :1], 9, axis=1)
x += x[::-1]
x[1:] += x[:-1]
x[:-1] += x[1:]
x[:, 1:] -= x[:, :-1]
x.T[...] *= 2
x[...] = x.T.reshape(x.shape)
x *= 2.5
x -= 1
x //= 2
x **= 2
x[0] **= 2
x @= np.eye(5)
x[0] @= np.eye(5)
del x[0]
x.setflags(write=False); x[0] = 1
x.flags.writeable = False; x += 1
x.flags['WRITEABLE'] = False; x.fill(1)
y = x[1:]; y += 1; y[0] = 5; x[1, 0] = 9; x = y
y = x.view(); y[0] = 1
y = x.copy(); y[0] = 1
y = x.astype(x.dtype); y[0] = 1
y = x.astype(x.dtype, copy=False); y[0] = 1
y = np.asarray(x); y[0] = 1
y = np.array(x); y[0] = 1
y = np.array(x, copy=False); y[0] = 1
y = np.ascontiguousarray(x); y[0] = 1
y = np.asfortranarray(x); y[0] = 1
y = x.reshape(12, 5); y[0] = 1
y = x[[0, 1]]; y[0] = 1
y = x[x > 3]; y[0] = 1
y = np.squeeze(x[:1]); y[0] = 1
y = x.diagonal(); y[0] = 1
y = np.split(x, 3)[1]; y[0] = 1
y = np.atleast_3d(x[0]); y[0] = 1
y = np.expand_dims(x, 1); y[0] = 1
y = np.broadcast_to(x, (2, 3, 4, 5)); y[0] = 1
for row in x: row[0] = 1
x, y = x[0], x[1]; x[...] = y
""".strip().splitlines()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements(statement: str) -> None:
    for make in LAYOUTS.values():
        check(f"x = make(np)\n{statement}\nresult = x", make=lambda np, make=make: make)


FUNCTIONS = """
np.take(x, [0, 2], axis=0)
np.take(x, [[0, 2], [1, -1]])
np.take(x, 3)
np.take(x, 100)
np.take(x, [0, 5], axis=1)
np.take(x, [0, 5], axis=1, mode='wrap')
np.take(x, [0, 5], axis=1, mode='clip')
np.take(x, [0.5])
x.take([1, 2], axis=-1)
np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
np.compress([True, False, True], x, axis=0)
x.compress([True, False, True, True], axis=1)
np.extract(x > 5, x)
np.choose([0, 1, 0, 1], x[:2, :, 0])
(x[0, 0] > 1).astype(int).choose([x[0, 0], x[0, 1]])
np.where(x > 5)
np.where(x > 5, x, -x)
np.where(x > 5, x, 0)
np.where(x > 5, 1, 0)
np.where(x > 5, 1.5, x)
np.where(x > 5, x[0], x[:, :1])
np.where(x, 1, 0)
np.where(True, x, 0)
np.where([True, False, True, False, True], x, 0)
np.where(x > 5, 1)
np.where(x > 5, x, x[:2])
np.where(x > 5, 'a', 'b')
np.select([x > 30, x > 10], [x, x * 2], -1)
np.select([x > 30, x > 10], [x, 0.5])
np.select([x > 30], [x, 0.5])
np.select([], [])
np.select([x], [x])
np.nonzero(x % 3)
x.nonzero()
np.argwhere(x > 50)
np.flatnonzero(x > 50)
np.unravel_index([3, 17], (3, 4, 5))
np.ravel_multi_index(([0, 1], [2, 3], [1, 1]), (3, 4, 5))
np.diag_indices(3)
np.diag_indices_from(x[0, :, :4])
np.tril_indices(3)
np.triu_indices(3, 1)
np.triu_indices_from(x[0])
np.mask_indices(3, np.triu)
np.indices((2, 3))
np.indices((2, 3), sparse=True)
np.r_[1:4, 0, 4]
np.r_[x[0, 0], x[1, 1]]
np.c_[x[0, 0], x[1, 1]]
np.mgrid[0:3, 0:2]
np.ogrid[0:3, 0:2]
np.s_[1:2]
list(np.ndenumerate(x[0, :2]))
list(np.ndindex(2, 3))
np.broadcast(x, x[0]).shape
np.searchsorted([1, 2, 3], x[0])
x[0, 0].searchsorted(3)
5 in x, 5000 in x
x[0] in x
[float(v.real) for v in x[0, 0]]
np.shares_memory(x, x[1:]), np.shares_memory(x, x.copy()), np.may_share_memory(x[0], x[1])
bool(x[0, 0, 0]), float(x.real[0, 0, 1]), int(x.real[1, 1, 1])
bool(x)
float(x.real)
int(x.real)
[10, 20, 30][np.array(1)]
[10, 20, 30][x]
range(100)[np.asarray(x[0, 0, 0].real).astype(int)]
f"{x.real[0, 0, 1]:.3f}"
f"{x}"
str(x)
repr(x)
format(x, '.2f')
x.argmax()
x[x.real.argmax(axis=0)[0]]
x.dumps() is not None
""".strip().splitlines()


@pytest.mark.parametrize("source", FUNCTIONS)
def test_functions(source: str) -> None:
    for make in LAYOUTS.values():
        check(source, x=make)


def test_large_gathers() -> None:
    rng = numpy.random.default_rng(0)
    table, places = rng.normal(size=(500, 7)), rng.integers(-500, 500, 2000)
    for source in (
        "x[i]",
        "np.take(x, i, axis=0)",
        "x[:, 1][i] * 2",
        "x.T[:, i]",
        "np.take(x, i)",
        "x[i, 3]",
        "x[i + 500]",
        "np.take(x, i + 300, 0)",
    ):
        check(source, x=table, i=places)


def test_last_write_wins() -> None:
    rng = numpy.random.default_rng(0)
    places, values = rng.integers(0, 100, 5000), rng.normal(size=5000)
    check("x = np.zeros(100)\nx[i] = v\nresult = x", i=places, v=values)
    check("x = np.zeros(100)\nx[i] += v\nresult = x", i=places, v=values)
    check("x = np.zeros(100)\nnp.add.at(x, i, v)\nresult = x", i=places, v=values)
