"""Annotations that say what a task does with a store argument, and the reduction operators.

They are types only: a body receives `PhysicalStore`. Knows nothing of calls.
"""

from __future__ import annotations

import types as _types
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from legate.core._physical import PhysicalStore
from legate.core.types import ReductionOpKind

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
    "ReductionArray",
    "ReductionStore",
]


class InputStore(PhysicalStore):
    """The task reads this store."""

    __slots__ = ()


class OutputStore(PhysicalStore):
    """The task writes this store. Elements it does not write keep their values."""

    __slots__ = ()


if TYPE_CHECKING:
    _Operator = TypeVar("_Operator")

    ADD = Literal[ReductionOpKind.ADD]
    MUL = Literal[ReductionOpKind.MUL]
    MAX = Literal[ReductionOpKind.MAX]
    MIN = Literal[ReductionOpKind.MIN]
    OR = Literal[ReductionOpKind.OR]
    AND = Literal[ReductionOpKind.AND]
    XOR = Literal[ReductionOpKind.XOR]

    class ReductionStore(PhysicalStore, Generic[_Operator]):
        """The task folds into this store with an operator: `ReductionStore[ADD]`."""

    class ReductionArray(ReductionStore[_Operator]):
        """Another name of `ReductionStore`."""

else:
    ADD = ReductionOpKind.ADD
    MUL = ReductionOpKind.MUL
    MAX = ReductionOpKind.MAX
    MIN = ReductionOpKind.MIN
    OR = ReductionOpKind.OR
    AND = ReductionOpKind.AND
    XOR = ReductionOpKind.XOR

    class ReductionStore(PhysicalStore):
        """The task folds into this store with an operator, as in `ReductionStore[ADD]`.

        Every point gets a private copy filled with the operator's identity; the copies are folded into the old contents.
        """

        __slots__ = ()

        def __class_getitem__(cls, operators: Any) -> Any:
            """The annotation with its operator."""
            return _types.GenericAlias(cls, operators)

    class ReductionArray(ReductionStore):
        """Another name of `ReductionStore`."""

        __slots__ = ()


class InputArray(InputStore):
    """Another name of `InputStore`."""

    __slots__ = ()


class OutputArray(OutputStore):
    """Another name of `OutputStore`."""

    __slots__ = ()
