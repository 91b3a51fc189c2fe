"""Counting values: every point counts its part of the data, and the counts are added up."""

import argparse

import cupy
import numpy

import cupynumeric
from legate.core import TaskContext, VariantCode, broadcast, get_legate_runtime
from legate.core.task import ADD, InputArray, ReductionArray, task
from legate.timing import time


@task(
    variants=(VariantCode.CPU, VariantCode.GPU),
    constraints=(broadcast("hist"),),
)
def histogram_task(ctx: TaskContext, data: InputArray, hist: ReductionArray[ADD], N_bins: int) -> None:
    """Add the counts of the local data."""
    xp = cupy if ctx.get_variant_kind() == VariantCode.GPU else numpy
    data_local = xp.asarray(data)
    hist_local = xp.asarray(hist)
    local_hist, _ = xp.histogram(data_local, bins=N_bins, range=(0, N_bins))
    hist_local[:] = hist_local + local_hist


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="values to count")
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()

    N_bins = 10
    data = cupynumeric.random.randint(0, N_bins, size=args.size, dtype=cupynumeric.int32)
    hist = cupynumeric.zeros(N_bins, dtype=cupynumeric.int32)
    runtime = get_legate_runtime()

    histogram_task(data, hist, N_bins)  # warm-up
    hist.fill(0)

    runtime.issue_execution_fence()
    start = time()
    histogram_task(data, hist, N_bins)
    runtime.issue_execution_fence()
    end = time()
    print(f"\nTime elapsed for histogram : {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        expected, _ = numpy.histogram(numpy.asarray(data), bins=N_bins, range=(0, N_bins))
        numpy.testing.assert_array_equal(hist, expected)
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
