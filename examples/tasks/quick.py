"""The smallest task: copy one array into another, on whatever processors the task is declared for."""

import cupy
import numpy

import cupynumeric
from legate.core import TaskContext, VariantCode
from legate.core.task import InputArray, OutputArray, task


@task(variants=(VariantCode.CPU, VariantCode.GPU))
def foo_in_out(ctx: TaskContext, in_store: InputArray, out_store: OutputArray) -> None:
    """Replace the contents of one array by another's."""
    xp = cupy if ctx.get_variant_kind() == VariantCode.GPU else numpy
    in_arr = xp.asarray(in_store)
    out_arr = xp.asarray(out_store)
    out_arr[:] = in_arr[:]


in_arr = cupynumeric.array([1, 2, 3])
out_arr = cupynumeric.array([0, 0, 0])
foo_in_out(in_arr, out_arr)
print(out_arr)
