"""What classes derived from `cupynumeric.ndarray` are made of: NumPy's arrays, with all the hooks of subclassing.

`__array_finalize__`, `__array_wrap__` and the like belong to arrays that exist; lazy ones cannot have them. A derived class is
therefore one of `numpy.ndarray`, and operations that mix its arrays with lazy ones give arrays of the derived class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Derived"]


class Derived(np.ndarray):
    """The base that stands for `cupynumeric.ndarray` where a program derives from it."""

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """As `numpy.ndarray.view`; `view(ndarray)` gives NumPy's own array, which shares the memory."""
        args = tuple([_numpys(a) for a in args])
        return super().view(*args, **{name: _numpys(a) for name, a in kwargs.items()})


def _numpys(argument: Any) -> Any:
    from cupynumeric._array import ndarray

    return np.ndarray if argument is ndarray else argument
