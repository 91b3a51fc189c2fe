"""A library of one's own: tasks registered under ids, launched through AutoTask, composing with array operations.

The library standardizes the columns of a table: one task reduces sums and sums of squares of the columns, one scales the rows in
place. Its users call plain functions on arrays and never see a task.
"""

import argparse
from enum import IntEnum

import numpy

import cupynumeric
from legate.core import (
    TaskContext,
    TaskInfo,
    VariantCode,
    as_logical_store,
    broadcast,
    get_legate_runtime,
    types,
)
from legate.timing import time


class TaskID(IntEnum):
    """The library's tasks."""

    MOMENTS = 0
    SCALE = 1


def moments(context: TaskContext) -> None:
    """Sum and sum of squares of each column, reduced over the rows."""
    rows = numpy.asarray(context.inputs[0])
    sums, squares = (numpy.asarray(store) for store in context.reductions)
    sums += rows.sum(axis=0)
    squares += (rows * rows).sum(axis=0)


def scale(context: TaskContext) -> None:
    """(x - mean) / deviation, in place."""
    _, mean, deviation = (numpy.asarray(store) for store in context.inputs)
    floor = context.scalars[0].value()
    rows = numpy.asarray(context.outputs[0])
    rows -= mean
    rows /= numpy.maximum(deviation, floor)


runtime = get_legate_runtime()
library = runtime.create_library("example.standardize")
for number, function in ((TaskID.MOMENTS, moments), (TaskID.SCALE, scale)):
    info = TaskInfo.from_variants(number, function.__name__, [(VariantCode.CPU, function)])
    library.register_task(info)


def column_moments(table: cupynumeric.ndarray) -> tuple[cupynumeric.ndarray, cupynumeric.ndarray]:
    """Mean and standard deviation of each column of a (rows, columns) table."""
    sums, squares = cupynumeric.zeros(table.shape[1]), cupynumeric.zeros(table.shape[1])
    launch = runtime.create_auto_task(library, TaskID.MOMENTS)
    rows = launch.add_input(as_logical_store(table))
    outs = [launch.add_reduction(as_logical_store(a), types.ReductionOpKind.ADD) for a in (sums, squares)]
    launch.add_constraint(broadcast(rows, (1,)))
    for out in outs:
        launch.add_constraint(broadcast(out))
    launch.execute()
    mean = sums / len(table)
    return mean, cupynumeric.sqrt(squares / len(table) - mean**2)


def standardize(table: cupynumeric.ndarray) -> None:
    """Give every column of a (rows, columns) table mean 0 and deviation 1, in place."""
    mean, deviation = column_moments(table)
    store = as_logical_store(table)
    launch = runtime.create_auto_task(library, TaskID.SCALE)
    rows = launch.add_output(store)
    launch.add_input(store)
    columns = [launch.add_input(as_logical_store(a)) for a in (mean, deviation)]
    launch.add_scalar_arg(1e-12, types.float64)
    launch.add_constraint(broadcast(rows, (1,)))
    for column in columns:
        launch.add_constraint(broadcast(column))
    launch.execute()


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()

    data = numpy.random.default_rng(3).normal(3.0, 2.0, (args.rows, args.columns))
    table = cupynumeric.array(data)
    runtime.issue_execution_fence()
    start = time()
    standardize(table)
    end = time()
    print(f"means at most {float(abs(table.mean(axis=0)).max()):.1e}")
    print(f"\nTime elapsed for standardize: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        expected = (data - data.mean(axis=0)) / data.std(axis=0)
        numpy.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-9)
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
