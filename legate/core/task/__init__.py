"""Tasks: Python functions that run on parts of arrays, in parallel, ordered among array operations by the data they touch."""

from legate.core.task._decorator import task
from legate.core.task._invoker import VariantInvoker
from legate.core.task._py_task import PyTask
from legate.core.task._types import (
    ADD,
    AND,
    MAX,
    MIN,
    MUL,
    OR,
    XOR,
    InputArray,
    InputStore,
    OutputArray,
    OutputStore,
    ReductionArray,
    ReductionStore,
)

__all__ = [
    "ADD",
    "AND",
    "MAX",
    "MIN",
    "MUL",
    "OR",
    "XOR",
    "InputArray",
    "InputStore",
    "OutputArray",
    "OutputStore",
    "PyTask",
    "ReductionArray",
    "ReductionStore",
    "VariantInvoker",
    "task",
]
