"""A batch of two-dimensional Fourier transforms: the batch is cut, the images are not."""

import argparse

import cupy
import numpy

import cupynumeric
from legate.core import TaskContext, VariantCode, align, broadcast, get_legate_runtime
from legate.core.task import InputArray, OutputArray, task
from legate.timing import time


@task(
    variants=(VariantCode.CPU, VariantCode.GPU),
    constraints=(align("dst", "src"), broadcast("src", (1, 2))),
)
def fft2d_batched_gpu(ctx: TaskContext, dst: OutputArray, src: InputArray) -> None:
    """Transform the local images."""
    xp = cupy if ctx.get_variant_kind() == VariantCode.GPU else numpy
    A = xp.asarray(dst)
    B = xp.asarray(src)
    A[:] = xp.fft.fftn(B, axes=(1, 2))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="128,256,256", help="images, and their two extents")
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()
    shape = tuple(int(n) for n in args.shape.split(","))

    A_cpn = cupynumeric.zeros(shape, dtype=cupynumeric.complex64)
    B_cpn = cupynumeric.random.rand(*shape).astype(cupynumeric.complex64)
    runtime = get_legate_runtime()

    fft2d_batched_gpu(A_cpn, B_cpn)  # warm-up

    runtime.issue_execution_fence()
    start = time()
    fft2d_batched_gpu(A_cpn, B_cpn)
    runtime.issue_execution_fence()
    end = time()
    print(f"\nTime elapsed for fft: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        expected = numpy.fft.fftn(numpy.asarray(B_cpn), axes=(1, 2))
        numpy.testing.assert_allclose(A_cpn, expected, rtol=1e-4, atol=1e-2)
        print("check: close to NumPy's")


if __name__ == "__main__":
    main()
