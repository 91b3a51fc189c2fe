"""Creation against NumPy: dtypes, orders, ranges, errors."""

from __future__ import annotations

import numpy
import pytest
from api.compare import check, same, settled

import cupynumeric

SOURCES = """
np.zeros(3)
np.zeros((2, 3), dtype=np.int8)
np.zeros((2, 3), order='F')
np.zeros((2, 3), 'f4')
np.zeros(())
np.zeros(np.int64(3))
np.zeros([2, 2])
np.zeros(-1)
np.zeros((2, -1))
np.zeros(2.5)
np.zeros('a')
np.zeros(3, dtype='nonsense')
np.zeros(3, dtype=object)
np.zeros(2, dtype='U3')
np.zeros(2, dtype='datetime64[s]')
np.zeros(2, dtype=np.longdouble)
np.zeros(2, dtype='>f8')
np.zeros(2, dtype=[('a', int), ('b', float)])
np.zeros(2**63)
np.zeros(2**62)
np.zeros((2**40, 2**40))
np.ones((2**20, 2**20, 2**20), dtype=np.int8)
np.zeros((1,) * 65)
np.zeros((1,) * 40).ndim
np.empty(2**60)
np.empty((0, 5)).shape, np.empty(3, int).dtype
np.ones((2, 2), complex)
np.ones(3, bool)
np.full(3, 7)
np.full((2, 3), 7.5)
np.full((2, 3), [1, 2, 3])
np.full((2, 3), [1, 2])
np.full(2, True)
np.full(2, 1 + 2j)
np.full(2, np.float32(1.5))
np.full(2, 300, dtype=np.uint8)
np.full(2, 2.7, dtype=int)
np.full(2, 'a')
np.full(2, None)
np.full(2, np.nan, dtype=np.float16)
np.zeros_like([1, 2, 3])
np.zeros_like(np.ones((2, 3), order='F')).flags.f_contiguous
np.ones_like(np.arange(6).reshape(2, 3).T, dtype=float).strides
np.empty_like(np.arange(6).reshape(2, 3), shape=(4,)).shape
np.full_like(np.arange(3), 2.9)
np.full_like(np.arange(3), 2.9, dtype=float)
np.zeros(3, device='cpu')
np.zeros(3, device='gpu')
np.array([1, 2, 3])
np.array([1, 2.5])
np.array([[1, 2], [3, 4]], dtype=np.float32)
np.array([[1, 2], [3]])
np.array(5)
np.array([])
np.array([], dtype=int)
np.array([[]])
np.array(True)
np.array('abc')
np.array(['a', 'b'])
np.array([1, None])
np.array([1, 2, 3], ndmin=3)
np.array([1, 2, 3], copy=False)
np.array(range(5))
np.array((1, 2))
np.array([np.arange(3), np.arange(3)])
np.array([np.arange(3), np.arange(2)])
np.array([np.arange(3) * 1.5, [1, 2, 3]])
np.array([np.array(1), np.array(2.5)])
np.array([[np.arange(2), np.arange(2)], [np.arange(2), np.arange(2)]])
np.array([1, np.arange(3).sum()])
np.array([300, -1], dtype=np.uint8)
np.array([1e400, 1], dtype=np.float32)
np.array(2**64)
np.array([2**63])
np.array(b'abc')
np.array(memoryview(b'abcd'))
np.array({1: 2})
np.array([1 + 2j], dtype=float)
np.array('2020-01-01', dtype='datetime64')
np.array([[1, 2], [3, 4]], order='F').flags.f_contiguous
np.array(np.arange(6).reshape(2, 3).T).strides
np.array(np.arange(6).reshape(2, 3).T, order='C').strides
np.asarray([1, 2], dtype='i2')
np.asarray(np.arange(3), dtype=float)
np.asarray(np.arange(3), copy=False)
np.asarray(np.arange(3), dtype=float, copy=False)
np.asanyarray([1, 2])
np.asarray(np.float32(2))
np.ascontiguousarray(5)
np.ascontiguousarray(np.arange(6).reshape(2, 3).T).flags.c_contiguous
np.asfortranarray(np.arange(6).reshape(2, 3)).flags.f_contiguous
np.asarray_chkfinite([1.0, np.inf])
np.asarray_chkfinite([1.0, 2.0])
np.require([1, 2], dtype='f4', requirements=['C', 'W'])
np.require([1, 2], requirements=['C', 'F'])
np.eye(3)
np.eye(3, 4, 1)
np.eye(3, 4, -2, dtype=int)
np.eye(3, k=9)
np.eye(2, order='F').strides
np.eye(-1)
np.identity(3, dtype=complex)
np.tri(3)
np.tri(3, 5, 2, dtype=bool)
np.tri(3, 5, -1, dtype=np.int8)
np.tril(np.arange(12).reshape(3, 4))
np.tril(np.arange(4.0))
np.triu(np.arange(24).reshape(2, 3, 4), -1)
np.diag([1, 2, 3])
np.diag([1, 2, 3], -1)
np.diag(np.arange(9).reshape(3, 3), 1)
np.diag(5)
np.diag(np.zeros((2, 2, 2)))
np.diagflat([[1, 2], [3, 4]], 1)
np.vander([1, 2, 3])
np.vander([1, 2, 3], 2, increasing=True)
np.arange(5)
np.arange(0)
np.arange(-3)
np.arange(2, 8)
np.arange(2, 8, 3)
np.arange(8, 2, -2)
np.arange(1.5)
np.arange(0, 1, 0.1)
np.arange(0, 1, 0.1, dtype=np.float32)
np.arange(5, dtype=np.int8)
np.arange(5, dtype=complex)
np.arange(3, dtype=bool)
np.arange(5, dtype=bool)
np.arange(300, dtype=np.int8)
np.arange(1, 10, 0)
np.arange('a')
np.arange()
np.arange(1, 2, 3, 'f4', 5)
np.arange(start=1, stop=5)
np.arange(stop=5)
np.arange(np.float32(5))
np.arange(np.array(5))
np.arange(5, None, 2)
np.arange(np.nan)
np.arange(1e300)
np.arange(True, 10)
np.arange(2, step=0.5)
np.arange('2020-01', '2020-03', dtype='datetime64[M]')
np.arange(5000)
np.arange(5000, dtype=np.int8)
np.arange(5000, dtype=np.uint16)
np.arange(5000.0)
np.arange(0, 5000, 3)
np.arange(5000, -5000, -3)
np.arange(0.1, 500, 0.1)
np.arange(0.1, 500, 0.1, dtype=np.float32)
np.arange(1, 4000, dtype=np.float16)
np.arange(-7.3, 900, 0.0731)
np.arange(-7, 90000, 7, dtype=np.float32)
np.arange(0, 1e-300, 1e-304)
np.arange(2**60, 2**60 + 5000)
np.arange(5000) * 2 + 1
np.arange(5000).sum(), np.arange(5000)[::7].sum()
np.linspace(0, 1)
np.linspace(0, 1, 5, endpoint=False)
np.linspace(0, 1, 5, retstep=True)
np.linspace(0, 10, 5, dtype=int)
np.linspace([0, 1], [2, 3], 4)
np.linspace([0, 1], [2, 3], 4, axis=1)
np.linspace(0, 1j, 3)
np.linspace(0, 1, 0)
np.linspace(0, 1, 1)
np.linspace(0, 1, -1)
np.linspace(0, 1, 2.5)
np.linspace(0, 1, 5000)
np.linspace(-3.7, 11.1, 4097)
np.linspace(-3.7, 11.1, 4097, endpoint=False, retstep=True)
np.linspace(5, 5, 5000)
np.linspace(0, 5e-324, 5000)
np.linspace(np.float32(0), np.float32(1), 5000)
np.linspace(0, 1, 5000, dtype=np.float32)
np.logspace(0, 2, 5)
np.logspace(0, 2, 5, base=2)
np.geomspace(1, 1000, 4)
np.geomspace(0, 1000, 4)
np.meshgrid([1, 2], [3, 4, 5])
np.meshgrid([1, 2], [3, 4, 5], sparse=True, indexing='ij')
np.meshgrid([1, 2], indexing='xx')
np.meshgrid()
np.meshgrid(3, [1, 2])
np.indices((2, 3))
np.indices((2, 3), dtype=float)
np.indices((2, 3), sparse=True)
np.indices(())
np.fromfunction(lambda i, j: i + j, (3, 3))
np.fromfunction(lambda i, j: i == j, (3, 3), dtype=int)
np.fromiter(range(5), dtype=float)
np.frombuffer(b'abcdefgh', dtype=np.uint8)
np.frombuffer(b'abcdefgh', dtype=np.uint16, count=2, offset=2)
np.fromstring('1 2 3', sep=' ')
np.mgrid[0:5, 0:3]
np.mgrid[0:1:5j]
np.ogrid[0:2, 0:3]
np.r_[1:3, 5]
np.c_[np.arange(3), np.arange(3)]
np.copy([1, 2])
np.block([[np.eye(2), np.zeros((2, 1))], [np.ones((1, 3))]])
np.ndarray((2, 3)).shape
np.ndarray((2,), dtype=np.int16, buffer=b'abcdef', offset=2)
np.ndarray((2, 2), order='F').flags.f_contiguous
np.from_dlpack(np.arange(3))
np.astype(np.arange(3), float)
np.astype([1], float)
np.bool, np.int64, np.float16, np.complex64, np.uint8, np.intp, np.generic
np.pi, np.e, np.inf, np.nan is np.nan, np.newaxis, np.euler_gamma
np.dtype('f4'), np.finfo(np.float32).eps, np.iinfo('i8').max
np.result_type(np.arange(3), 1.5), np.promote_types('i4', 'f4'), np.can_cast('i4', 'f8')
np.result_type(np.arange(3, dtype=np.float32), 1.5)
np.can_cast(np.arange(3), float)
np.issubdtype(np.int32, np.integer), np.isscalar(3), np.isdtype(np.dtype('f4'), 'real floating')
np.array2string(np.arange(3)), np.array_repr(np.arange(3)), np.array_str(np.arange(3))
np.base_repr(5), np.binary_repr(5), np.typename('d')
np.ndim([1]), np.shape([[1, 2]]), np.size([1, 2])
np.isfortran(np.arange(6).reshape(2, 3).T)
np.iscomplexobj(np.arange(3)), np.isrealobj([1j])
np.common_type(np.arange(3), np.arange(3.0)), np.min_scalar_type(5)
np.broadcast_shapes((2, 1), (1, 3))
""".strip().splitlines()


@pytest.mark.parametrize("source", SOURCES)
def test_creation(source: str) -> None:
    check(source)


def test_random_ranges() -> None:
    rng = numpy.random.default_rng(3)
    for _ in range(40):
        start, step = rng.normal(size=2) * 10.0 ** rng.integers(-3, 4, 2)
        stop = start + step * rng.integers(2100, 4000)
        dtype = rng.choice([None, "f4", "f8", "f2"])
        check("np.arange(a, b, c, dtype=d)", a=float(start), b=float(stop), c=float(step), d=dtype)
        check("np.linspace(a, b, 3000)", a=float(start), b=float(stop))


def test_host_arrays_are_copied() -> None:
    host = numpy.arange(4.0)
    ours = cupynumeric.asarray(host)
    host[0] = 9
    assert settled(ours)[0] == 0


def test_unsupported_dtypes_stay_with_numpy() -> None:
    for made in (
        cupynumeric.array(["a"]),
        cupynumeric.zeros(2, object),
        cupynumeric.arange(3, dtype=numpy.longdouble),
    ):
        assert type(made) is numpy.ndarray
    same(numpy.array([1, 2]), settled(cupynumeric.array(["1", "2"]).astype(int)))
