"""By-value arguments: which Legate type a Python value has, and what a body sees of it.

Bodies run later than the call, so a value that can change is copied when the task is called. Knows no stores and no launches.
"""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from legate.core._scalar import Scalar
from legate.core.types import Type, binary_type

if TYPE_CHECKING:
    from legate.core.task._signature import Argument

#: classes whose values never change: passed on as they are
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


class Pickled:
    """A value without a Legate type; every point gets its own copy."""

    __slots__ = ("data",)

    def __init__(self, value: object) -> None:
        self.data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def value(self) -> Any:
        """A fresh copy."""
        return pickle.loads(self.data)

    @staticmethod
    def loads(data: bytes) -> Any:
        """The value that was pickled to `data`."""
        return pickle.loads(data)


def capture(argument: Argument, value: Any) -> Any:
    """What the body will see for `value`: itself if it cannot change, a copy, or a `Pickled`.

    TypeError if the value is not of the annotated class. UserWarning when it has to be pickled.
    """
    if value is None and argument.optional:
        return None
    if not isinstance(value, argument.type):
        raise TypeError(
            f"Task expected a value of type {argument.type} for parameter {argument.name}, but got {type(value)}"
        )
    if isinstance(value, Scalar) or type(value) in PLAIN or isinstance(value, np.generic):
        return value
    try:
        Type.from_python_object(value)
    except NotImplementedError:
        warnings.warn(
            f"Argument type: {type(value)} not natively supported by type inference, falling back to pickling "
            "(which may incur a slight performance penalty). Consider opening a bug report at "
            "https://github.com/nv-legate/legate.core.",
            stacklevel=5,
        )
        return Pickled(value)
    return _copied(value)


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, memoryview):
        return memoryview(value.tobytes())
    if isinstance(value, list | bytearray):
        return value[:]
    return value


def as_scalar(value: Any) -> Scalar:
    """A captured value as `TaskContext.scalars` shows it."""
    if isinstance(value, Scalar):
        return value
    if isinstance(value, Pickled):
        return Scalar(value.data, binary_type(len(value.data)))
    return Scalar(value)
