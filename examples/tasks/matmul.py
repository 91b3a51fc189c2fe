"""C += A @ B in blocks: all three arrays are promoted to (m, k, n), cut alike, and C is reduced over the cuts of k."""

import argparse

import cupy
import numpy

import cupynumeric
from legate.core import TaskContext, VariantCode, align, get_legate_runtime
from legate.core.task import ADD, InputArray, ReductionArray, task
from legate.timing import time


@task(
    variants=(VariantCode.CPU, VariantCode.GPU),
    constraints=(align("C", "A"), align("C", "B")),
)
def matmul_task(ctx: TaskContext, C: ReductionArray[ADD], A: InputArray, B: InputArray) -> None:
    """Add the product of the local blocks."""
    xp = cupy if ctx.get_variant_kind() == VariantCode.GPU else numpy
    C = xp.asarray(C)[:, 0, :]
    A = xp.asarray(A)[:, :, 0]
    B = xp.asarray(B)[0, :, :]

    C += xp.matmul(A, B)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", type=int, default=50, help="rows of A and C")
    parser.add_argument("-k", type=int, default=75, help="columns of A, rows of B")
    parser.add_argument("-n", type=int, default=100, help="columns of B and C")
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()
    m, k, n = args.m, args.k, args.n

    A = cupynumeric.random.randint(0, 10, size=(m, k))
    B = cupynumeric.random.randint(0, 10, size=(k, n))
    C = cupynumeric.zeros((m, n))
    assert A.shape[1] == B.shape[0]

    shape = (m, k, n)
    A_3d = cupynumeric.broadcast_to(A[:, :, cupynumeric.newaxis], shape)
    B_3d = cupynumeric.broadcast_to(B[cupynumeric.newaxis, :, :], shape)
    C_3d = cupynumeric.broadcast_to(C[:, cupynumeric.newaxis, :], shape)
    runtime = get_legate_runtime()

    matmul_task(C_3d, A_3d, B_3d)  # warm-up
    C.fill(0)

    runtime.issue_execution_fence()
    start = time()
    matmul_task(C_3d, A_3d, B_3d)
    runtime.issue_execution_fence()
    end = time()
    print(f"\nTime elapsed for matmul: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        numpy.testing.assert_array_equal(C, numpy.asarray(A) @ numpy.asarray(B))
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
