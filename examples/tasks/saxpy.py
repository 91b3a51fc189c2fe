"""z = a * x + y: three arrays cut alike, so that each point of the launch finds matching elements."""

import argparse

import cupy
import numpy

import cupynumeric
from legate.core import TaskContext, VariantCode, align, get_legate_runtime
from legate.core.task import InputArray, OutputArray, task
from legate.timing import time


@task(
    variants=(VariantCode.CPU, VariantCode.GPU),
    constraints=(align("x", "y"), align("y", "z")),
)
def saxpy_task(ctx: TaskContext, x: InputArray, y: InputArray, z: OutputArray, a: float) -> None:
    """The local part of z = a * x + y."""
    xp = cupy if ctx.get_variant_kind() == VariantCode.GPU else numpy
    x_local = xp.asarray(x)
    y_local = xp.asarray(y)
    z_local = xp.asarray(z)
    z_local[:] = a * x_local + y_local


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="elements of each array")
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()

    x_global = cupynumeric.arange(args.size, dtype=cupynumeric.float32)
    y_global = cupynumeric.ones(args.size, dtype=cupynumeric.float32)
    z_global = cupynumeric.zeros(args.size, dtype=cupynumeric.float32)
    runtime = get_legate_runtime()

    saxpy_task(x_global, y_global, z_global, 2.0)  # warm-up

    runtime.issue_execution_fence()
    start = time()
    saxpy_task(x_global, y_global, z_global, 2.0)
    runtime.issue_execution_fence()
    end = time()
    print(f"\nTime elapsed for saxpy: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        expected = numpy.float32(2.0) * numpy.arange(args.size, dtype=numpy.float32) + numpy.float32(1.0)
        numpy.testing.assert_array_equal(z_global, expected)
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
