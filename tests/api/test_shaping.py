"""Shapes, views, joining and splitting against NumPy, over layouts."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from api.compare import check, same, settled

import cupynumeric

LAYOUTS = {
    "plain": lambda np: np.arange(24.0).reshape(2, 3, 4),
    "transposed": lambda np: np.arange(24).reshape(4, 3, 2).T,
    "reversed": lambda np: np.arange(24, dtype=np.float32).reshape(2, 3, 4)[::-1, :, ::-1],
    "strided": lambda np: np.arange(96, dtype=np.int16).reshape(4, 6, 4)[::2, 1::2],
    "broadcast": lambda np: np.broadcast_to(np.arange(4) > 1, (2, 3, 4)),
    "fortran": lambda np: np.asfortranarray(np.arange(24).reshape(2, 3, 4) * (1 + 2j)),
    "diagonal": lambda np: np.arange(24 * 4.0).reshape(2, 3, 4, 4).diagonal(0, 2, 3),
    "middle": lambda np: np.arange(60.0).reshape(3, 4, 5)[1:, 1:, 1:],
}
EMPTY = lambda np: np.zeros((2, 0, 3))  # noqa: E731
SCALAR = lambda np: np.array(3.5)  # noqa: E731
VECTOR = lambda np: np.arange(7)[::-1]  # noqa: E731

SHAPING = """
x.reshape(-1)
x.reshape(4, 6)
x.reshape((3, -1))
x.reshape(6, 4, order='F')
x.reshape(6, 4, order='A')
x.reshape(24, 1, 1)
x.reshape(5, 5)
x.reshape(-1, -1)
x.reshape(7, -1)
np.reshape(x, (2, 12))
np.reshape(x, (2, 12), order='F')
x.ravel()
x.ravel('F')
x.ravel('K')
x.ravel('A')
x.flatten()
x.flatten('F')
np.ravel(x)
x.T
x.mT
x.transpose()
x.transpose(1, 0, 2)
x.transpose((2, 0, 1))
x.transpose(0, 0, 1)
x.transpose(0, 1)
x.transpose(0, 1, 3)
np.transpose(x, [0, -1, 1])
x.swapaxes(0, 2)
x.swapaxes(0, 5)
np.swapaxes(x, -1, 0)
np.moveaxis(x, 0, -1)
np.moveaxis(x, [0, 1], [-1, -2])
np.moveaxis(x, [0, 1], [2])
np.moveaxis(x, 3, 0)
np.rollaxis(x, 2)
np.rollaxis(x, 1, 3)
np.rollaxis(x, 1, 5)
np.expand_dims(x, 0)
np.expand_dims(x, (0, -1))
np.expand_dims(x, 9)
np.squeeze(x[:1])
np.squeeze(x, 0)
x[:1, :, :1].squeeze()
x[:1, :, :1].squeeze(axis=0)
np.squeeze(x[:1], axis=(0,))
np.matrix_transpose(x)
np.permute_dims(x, (2, 1, 0))
np.flip(x)
np.flip(x, 1)
np.flip(x, (0, 2))
np.flip(x, 4)
np.flipud(x)
np.fliplr(x)
np.rot90(x)
np.rot90(x, 2)
np.rot90(x, 3, (1, 2))
np.rot90(x, -1, (0, 2))
np.rot90(x, 1, (0, 0))
np.rot90(x, 1, (0, 9))
np.roll(x, 2)
np.roll(x, -5)
np.roll(x, 1, 0)
np.roll(x, (1, 2), (0, 1))
np.roll(x, 1, (0, 1))
np.roll(x, (1, 2), 1)
np.roll(x, 1, 7)
x.diagonal()
x.diagonal(1)
x.diagonal(-1, 1, 2)
x.diagonal(9)
x.diagonal(0, 1, 1)
np.diagonal(x, 1, 2, 0)
np.broadcast_to(x, (5, 2, 3, 4))
np.broadcast_to(x, (2, 3))
np.broadcast_to(x, (3, 3, 4))
np.broadcast_arrays(x, x[:1], x[..., :1])
np.atleast_1d(x)
np.atleast_2d(x)
np.atleast_3d(x)
np.atleast_3d(x[0], x[0, 0], x[0, 0, 0])
np.concatenate([x, x])
np.concatenate([x, x], axis=1)
np.concatenate([x, x], axis=-1)
np.concatenate([x, x[:1]], axis=0)
np.concatenate([x, x[:1]], axis=1)
np.concatenate([x, x[0]])
np.concatenate([x, x * 2.5], axis=None)
np.concatenate([x, x], axis=3)
np.concatenate((x, x), dtype=np.complex128)
np.concatenate((x, x), dtype=np.int8)
np.concatenate((x, x), dtype=np.int8, casting='unsafe')
np.concatenate([])
np.concatenate([x, [[[1, 2, 3, 4]] * 3]])
np.concatenate(x)
np.stack([x, x])
np.stack([x, x], axis=-1)
np.stack([x, x], axis=2)
np.stack([x, x[:1]])
np.stack([x, x], axis=5)
np.stack([])
np.vstack([x, x])
np.hstack([x, x])
np.dstack([x, x])
np.vstack([x[0, 0], x[1, 1]])
np.hstack([x[0, 0], x[1, 1]])
np.dstack([x[0, 0], x[1, 1]])
np.dstack([x[0], x[1]])
np.column_stack([x[0, 0], x[1, 1]])
np.column_stack([x[0, 0], x[1].T])
np.block([[x[0], x[1]], [x[1], x[0]]])
np.block([x[0, 0], 1, 2])
np.block([[x[0], x[1]], x[0]])
np.block([])
np.block((x, x))
np.append(x, x)
np.append(x, x[:1], axis=0)
np.append(x, 5)
np.append(x, x[0], axis=0)
np.delete(x, 1, 1)
np.delete(x, [0, 2], 2)
np.delete(x, slice(0, 4, 2), 2)
np.delete(x, 5)
np.delete(x, [1, 1, 3])
np.delete(x, -1, axis=0)
np.delete(x, 9, axis=0)
np.delete(x, np.array([True, False, True]), axis=1)
np.insert(x, 1, 5, axis=1)
np.insert(x, 1, 5)
np.insert(x, [1, 3], 5, axis=2)
np.insert(x, 1, x[:, 0], axis=1)
np.insert(x, -1, [1, 2, 3, 4], axis=1)
np.insert(x, 9, 5, axis=0)
np.insert(x, 2, x[0], axis=2)
np.split(x, 2, axis=2)
np.split(x, 3)
np.split(x, [1, 2], axis=1)
np.split(x, [1, 5, 7], axis=1)
np.array_split(x, 3, axis=2)
np.array_split(x, 5)
np.array_split(x, 0)
np.hsplit(x, 3)
np.vsplit(x, 2)
np.dsplit(x, 2)
np.dsplit(x[0], 2)
np.unstack(x)
np.unstack(x, axis=1)
np.tile(x, 2)
np.tile(x, (2, 1, 2))
np.tile(x, (2, 1, 1, 2))
np.tile(x, ())
np.tile(x, (0, 1, 1))
np.repeat(x, 2)
np.repeat(x, 3, axis=1)
np.repeat(x, [1, 2], axis=0)
np.repeat(x, 0, axis=1)
np.repeat(x, -1)
np.repeat(x, [1, 2], axis=1)
x.repeat(2, axis=-1)
np.resize(x, (3, 5))
np.resize(x, 50)
np.resize(x, (2, -1))
np.pad(x, 1)
np.pad(x, ((1, 0), (0, 2), (1, 1)))
np.pad(x, 2, mode='edge')
np.pad(x, (1, 2), mode='constant', constant_values=1)
np.pad(x, ((1, 1), (2, 2), (0, 0)), constant_values=((1, 0), (1, 1), (0, 1)))
np.pad(x, 1, mode='reflect')
np.pad(x, 1, mode='wrap')
np.pad(x, 1, mode='symmetric')
np.pad(x, -1)
np.pad(x, 1, mode='nothing')
np.pad(x, 1, mode='edge', constant_values=3)
np.trim_zeros(x[0, 0] * 0)
np.trim_zeros(x.ravel())
np.trim_zeros(x.ravel(), 'b')
np.copy(x)
np.copy(x, order='F')
x.copy()
np.array(x, order='F')
np.ascontiguousarray(x)
np.asfortranarray(x)
np.require(x, requirements='C')
np.zeros_like(x)
np.ones_like(x, dtype=np.int8)
np.full_like(x, 1)
np.full_like(x, 1, shape=(2, 2))
np.ndim(x), np.shape(x), np.size(x), np.size(x, 1)
x.shape, x.ndim, x.size, x.itemsize, x.nbytes, len(x)
x.astype(np.float16)
x.astype('i4')
x.astype(bool)
x.astype(np.complex64)
x.astype(np.int8, casting='safe')
x.astype(float, casting='nonsense')
x.real
x.imag
x.tolist()
x.tobytes()
x.tobytes('F')
x.item(3)
x.item(1, 2, 3)
x.item()
x.item(99)
list(x.flat)
x.flat[5]
x.flat[3:7]
x.flat[[1, 5]]
x.squeeze(3)
np.trace(x)
np.tril(x)
np.triu(x, 1)
np.tril(x, -1)
np.diag(x)
np.diag(x[0])
np.diag(x[0, 0], 1)
np.diagflat(x[0], -1)
np.meshgrid(x[0, 0], x[1, 1])
np.meshgrid(x[0, 0], x[1, 1], x[0, :, 0], indexing='ij')
np.meshgrid(x[0, 0], x[1, 1], sparse=True)
np.ix_(x[0, 0].astype(int), x[1, 1].astype(int))
np.apply_along_axis(sorted, 1, x)
""".strip().splitlines()


@pytest.mark.parametrize("source", SHAPING)
def test_shaping(source: str) -> None:
    for make in LAYOUTS.values():
        check(source, x=make)


@pytest.mark.parametrize("source", SHAPING)
def test_shaping_of_unusual_ranks(source: str) -> None:
    for make in (EMPTY, SCALAR, VECTOR):
        check(source, x=make)


def _aliasing(np: Any, make: Any, source: str) -> Any:
    """What is seen in x after writing through the result of an expression."""
    x = make(np)
    if not x.flags.writeable:
        x = x.copy()
    scope = {"np": np, "x": x}
    try:
        y = eval(source, scope)
    except Exception:
        return None
    if isinstance(y, (list, tuple)):
        y = y[0] if y else None
    if not isinstance(y, np.ndarray):
        return None
    try:
        y[...] = 77
    except ValueError as e:
        return str(e)
    return settled(x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", SHAPING)
def test_views_are_views_exactly_where_numpy_has_them(source: str, layout: str) -> None:
    make = LAYOUTS[layout]
    theirs, ours = _aliasing(numpy, make, source), _aliasing(cupynumeric, make, source)
    if theirs is None:
        return
    same(theirs, ours)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flags_and_strides(layout: str) -> None:
    theirs, ours = LAYOUTS[layout](numpy), LAYOUTS[layout](cupynumeric)
    for name in ("c_contiguous", "f_contiguous", "writeable", "forc", "fnc", "behaved", "carray", "farray"):
        assert getattr(ours.flags, name) == getattr(theirs.flags, name), name
    assert ours.strides == theirs.strides
    assert (ours.base is None) == (ours.flags.owndata)


def test_dtypes_assigned_in_place() -> None:
    for xp in (numpy, cupynumeric):
        x = xp.arange(6.0)
        same_memory, part = x[:], x[2:4]
        x.dtype = "i4"
        assert x.dtype == "i4"
        assert x.shape == (12,)
        x[:4] = 0
        assert same_memory.tolist() == [0.0, 0.0, 2.0, 3.0, 4.0, 5.0]
        part.dtype = "u8"
        part += 1
        assert same_memory[2] > 2.0
        x.dtype = float
        assert x.tolist() == same_memory.tolist()
        y = xp.zeros((3, 4)).T
        with pytest.raises(ValueError, match="last axis must be contiguous"):
            y.dtype = "f4"
        with pytest.raises(AttributeError, match="not writable"):
            x.sum().dtype = "i8"


CHANGES = """
x.shape = (2, 2)
x.shape = -1, 1
x.setflags(write=False)
x.dtype = "i8"
x.flags.writeable = False
x.resize((2, 1), refcheck=False)
x.fill(2)
x.sort()
x += 1
"""


@pytest.mark.parametrize("change", CHANGES.strip().splitlines())
def test_what_a_mask_selects_changes_in_place(change: str) -> None:
    results = []
    for xp in (numpy, cupynumeric):
        a = xp.arange(6.0)
        names = {"x": a[a > 1.5]}
        exec(change, names)
        x = names["x"]
        results.append((x.shape, x.ndim, x.dtype, x.tolist(), x.flags.writeable, float(x.sum()), a.tolist()))
    assert results[0] == results[1]
