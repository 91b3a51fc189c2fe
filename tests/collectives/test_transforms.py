"""Fourier transforms of arrays in parts, on ranks that are threads: NumPy's values, and nobody holds much more than its share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from legate_jit.collectives import transforms
from legate_jit.comm.base import Comm
from legate_jit.comm.threads import run_ranks
from legate_jit.ir.ranks import layout

RANKS = [1, 2, 3, 4, 7]
NORMS: list[str | None] = [None, "ortho", "forward"]


def local(name: str, x: np.ndarray, n: int, axis: int, norm: Any) -> np.ndarray:
    function: Any = getattr(np.fft, name)
    return np.asarray(function(x, n, axis, norm))


def layouts(shape: tuple[int, ...], ranks: int) -> Iterator[layout.Layout]:
    """All cuts along one axis, and a grid."""
    for axis in range(len(shape)):
        yield layout.tiled(shape, axis, ranks)
    if len(shape) > 1 and ranks % 2 == 0 and ranks > 2:
        yield layout.gridded(shape, (2, ranks // 2, *(1,) * (len(shape) - 2)))


def check(x: np.ndarray, ranks: int, cut: layout.Layout, to: int, **options: Any) -> list[Comm]:
    """Compare with NumPy: an error of a few units in the last place of the largest value, per doubling of the length."""
    rest = {k: v for k, v in options.items() if k != "name"}
    expected = getattr(np.fft, options["name"])(x, **rest)
    aim = layout.tiled(expected.shape, to, ranks)
    source, wanted = (tuple(how.box(k) for k in range(ranks)) for how in (cut, aim))
    comms: list[Comm] = []

    def program(comm: Comm) -> np.ndarray:
        part = x[tuple(slice(*r) for r in source[comm.rank])]
        found = transforms.transform(comm, part, x.shape, source, wanted, options, local)
        comms.append(comm)
        return found

    eps = np.finfo(expected.dtype).eps
    bound = 20 * eps * max(abs(expected).max(), 1) * np.log2(max(x.size, 2) + 1)
    for box, found in zip(wanted, run_ranks(ranks, program), strict=True):
        assert found.dtype == expected.dtype
        part = expected[tuple(slice(*r) for r in box)]
        assert found.shape == part.shape
        np.testing.assert_allclose(found, part, rtol=0, atol=bound)
    return comms


@functools.cache
def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    r = np.random.default_rng(7)
    x = r.standard_normal(shape) + (1j * r.standard_normal(shape) if dtype[0] == "c" else 0)
    return x.astype(dtype)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("shape", [(9, 8), (4, 6), (3, 3), (8, 6, 10)])
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_several_axes(name: str, shape: tuple[int, ...], ranks: int) -> None:
    x = values(shape, "f8" if name == "rfftn" else "c16")
    axes = tuple(range(len(shape)))
    s = [*shape[:-1], 2 * (shape[-1] - 1) if name == "irfftn" else shape[-1]]
    for cut in layouts(shape, ranks):
        for to in axes:
            for norm in NORMS:
                check(x, ranks, cut, to, name=name, s=tuple(s), axes=axes, norm=norm)
    check(x, ranks, cut, 0, name=name, s=(5, 12), axes=(1, 0), norm=None)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("n", [1, 2, 7, 16, 36, 97, 144, 2 * 101])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_long_axis(name: str, n: int, ranks: int) -> None:
    x = values((n,), "f8" if name in ("rfft", "ihfft") else "c16")
    (cut,) = layouts((n,), ranks)
    usual = max(2 * (n - 1), 1) if name in ("irfft", "hfft") else n
    for points in {usual, n + 5, max(n - 3, 1)}:
        for norm in NORMS:
            check(x, ranks, cut, 0, name=name, n=points, axis=0, norm=norm)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("dtype", ["i1", "i8", "f2", "f4", "c8"])
def test_dtypes(dtype: str, ranks: int) -> None:
    """Of the result: NumPy's."""
    for shape, axis in (((64,), 0), ((2, 60), 1), ((30, 31), 1), ((3, 37, 2), 1)):
        x = (values(shape, "f8") * 10).astype(dtype)
        for cut in layouts(shape, ranks):
            check(x, ranks, cut, len(shape) - 1, name="fft", n=shape[axis], axis=axis, norm=None)


@pytest.mark.parametrize("ranks", [3, 4])
def test_what_moves(ranks: int) -> None:
    """Two axes: one redistribution, if the result may lie along the other axis; one long axis: three. No rank gets it all."""
    n = 84
    share = n * n * 16 // ranks**2 * (ranks - 1)
    comms = check(
        values((n, n), "c16"), ranks, layout.tiled((n, n), 0, ranks), 1, name="fftn", s=(n, n), axes=(0, 1)
    )
    assert {c.traffic.nbytes for c in comms} == {share}
    n = 144 * 144
    comms = check(values((n,), "c16"), ranks, layout.tiled((n,), 0, ranks), 0, name="fft", n=n, axis=0)
    assert {c.traffic.nbytes for c in comms} == {3 * (n * 16 // ranks**2) * (ranks - 1)}
