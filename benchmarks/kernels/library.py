"""Kernels that are library calls: matrix products and Fourier transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

BATCH = 64


def matmul(np: Any, a: Any, b: Any) -> Result:
    return a @ b


def fft2(np: Any, x: Any) -> Result:
    return np.fft.fft2(x, axes=(1, 2))


def einsum(np: Any, a: Any, b: Any) -> Result:
    return np.einsum("bij,bjk->bik", a, b)


def matrices(dtype: str) -> Any:
    def setup(n: int) -> Data:
        random = numpy.random.default_rng(30)
        side = max(4, round(n**0.5))
        return random.random((side, side)).astype(dtype), random.random((side, side)).astype(dtype)

    return setup


def images(n: int) -> Data:
    random = numpy.random.default_rng(31)
    side = max(4, round((n / 128) ** 0.5))
    x = random.normal(size=(128, side, side)) + 1j * random.normal(size=(128, side, side))
    return (x.astype(numpy.complex64),)


def batches(n: int) -> Data:
    random = numpy.random.default_rng(32)
    side = max(4, round((n / BATCH) ** 0.5))
    return random.random((BATCH, side, side)), random.random((BATCH, side, side))


def product_flops(n: int) -> float:
    return 2.0 * n * math.sqrt(n)


def batch_flops(n: int) -> float:
    return 2.0 * n * math.sqrt(n / BATCH)


KERNELS = [
    Kernel(
        "matmul_f32",
        "library",
        matmul,
        matrices("f4"),
        4_000_000,
        flops=product_flops,
        fused=False,
        rtol=1e-4,
    ),
    Kernel("matmul_f64", "library", matmul, matrices("f8"), 4_000_000, flops=product_flops, fused=False),
    Kernel("fft2", "library", fft2, images, 128 * 256 * 256, lambda n: 16.0 * n, fused=False, rtol=1e-5),
    Kernel("einsum", "library", einsum, batches, 4_000_000, flops=batch_flops, fused=False),
]
