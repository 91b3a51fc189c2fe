"""The decorator `task`. Knows nothing of what a task is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from legate.core._constraints import flatten
from legate.core._enums import VariantCode
from legate.core._options import TaskConfig, VariantOptions
from legate.core.task._py_task import PyTask

__all__ = ["task"]

_CPU = (VariantCode.CPU,)


@overload
def task(func: Callable[..., None]) -> PyTask: ...
@overload
def task(
    func: None = None,
    *,
    variants: Sequence[VariantCode] = _CPU,
    constraints: Any = None,
    options: TaskConfig | VariantOptions | None = None,
) -> Callable[[Callable[..., None]], PyTask]: ...
def task(
    func: Callable[..., None] | None = None,
    *,
    variants: Sequence[VariantCode] = _CPU,
    constraints: Any = None,
    options: TaskConfig | VariantOptions | None = None,
) -> PyTask | Callable[[Callable[..., None]], PyTask]:
    """Make a task of a function: `@task`, or `@task(variants=..., constraints=..., options=...)`.

    func: parameters are annotated; `InputStore`, `OutputStore` and `ReductionStore[op]` are arrays, of which each point of a
    launch gets its part; the others are passed by value. It returns nothing. variants: kinds of processor it runs on.
    constraints: on how its arrays are cut, by parameter name (`align("x", "y")`), in nested sequences. options: what it may do,
    and its id.

    TypeError, NotImplementedError and ValueError for what a task cannot be.
    """

    def decorate(function: Callable[..., None]) -> PyTask:
        flat = None if constraints is None else tuple(flatten(constraints))
        return PyTask(func=function, variants=variants, constraints=flat, options=options)

    return decorate if func is None else decorate(func)
