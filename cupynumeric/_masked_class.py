"""`numpy.ma.MaskedArray` under our name: NumPy's class, whose arrays may be written also when they are made of arrays of ours.

NumPy's constructor keeps the memory of its arguments, and that of ours is for reading only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.ma

from cupynumeric._array import Ours
from cupynumeric._convert import to_numpy_tree

__all__ = ["MaskedArray", "masked_array", "writable"]


class _Class(type(np.ma.MaskedArray)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, np.ma.MaskedArray)
            if cls is MaskedArray
            else super().__instancecheck__(instance)
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return (
            issubclass(subclass, np.ma.MaskedArray)
            if cls is MaskedArray
            else super().__subclasscheck__(subclass)
        )


class MaskedArray(np.ma.MaskedArray, metaclass=_Class):
    """An array with a mask; see `numpy.ma.MaskedArray`, which its instances are."""

    def __new__(cls, data: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As NumPy's; arrays of ours are copied."""
        made: Any = np.ma.MaskedArray if cls is MaskedArray else cls
        given = [_own(x) for x in (data, *args)]
        return np.ma.MaskedArray.__new__(made, *given, **{k: _own(x) for k, x in kwargs.items()})


masked_array = MaskedArray


def _own(x: Any) -> Any:
    return to_numpy_tree(x).copy() if isinstance(x, Ours) else x


def writable(found: Any) -> Any:
    """What a function gave: a copy of masked arrays on memory that may not be written."""
    if not isinstance(found, np.ma.MaskedArray):
        return found
    mask: Any = np.ma.getmask(found)
    return found if found.flags.writeable and (mask is np.ma.nomask or mask.flags.writeable) else found.copy()
