"""Methods of `ndarray`: one line each, delegating to the module that owns the operation."""

from __future__ import annotations

from typing import Any

import numpy as np


class ArrayMethods:
    """What `ndarray` can do beyond operators and basic indexing."""

    __slots__ = ()

    # -- conversion --

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        from cupynumeric._convert import to_host

        return to_host(self, dtype, copy)

    def item(self, *args: Any) -> Any:
        """The element (of a one-element array, or at the given index) as a Python scalar."""
        from cupynumeric._convert import host_view

        return host_view(self).item(*args)  # type: ignore[arg-type]

    def tolist(self) -> Any:
        """Nested lists of Python scalars."""
        from cupynumeric._convert import host_view

        return host_view(self).tolist()  # type: ignore[arg-type]

    def __float__(self) -> float:
        from cupynumeric._convert import host_view

        return float(host_view(self))  # type: ignore[arg-type]

    def __int__(self) -> int:
        from cupynumeric._convert import host_view

        return int(host_view(self))  # type: ignore[arg-type]

    def __complex__(self) -> complex:
        from cupynumeric._convert import host_view

        return complex(host_view(self))  # type: ignore[arg-type]

    def __index__(self) -> int:
        from cupynumeric._convert import host_view

        return host_view(self).__index__()  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        from cupynumeric._convert import host_view

        return bool(host_view(self))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        from cupynumeric._convert import host_view

        return repr(host_view(self))  # type: ignore[arg-type]

    def __str__(self) -> str:
        from cupynumeric._convert import host_view

        return str(host_view(self))  # type: ignore[arg-type]

    # -- shape --

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        """The same elements in C order under another shape; a view wherever NumPy's is."""
        from cupynumeric._shape import reshape

        return reshape(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)

    def copy(self, order: str = "C") -> Any:
        """A copy; costs nothing until one of the two is changed."""
        from cupynumeric._shape import copy

        return copy(self)

    # -- reductions --

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
        """Sum over axes; see `numpy.sum`."""
        from cupynumeric._reduce import reduce

        return reduce("sum", self, axis, dtype, out, keepdims, initial, where)
