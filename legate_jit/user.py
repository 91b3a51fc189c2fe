"""Users' scalar functions in the graph: compiled once per function and argument dtypes, recorded as elementwise operations.

Knows recording and the targets' compiler of user functions; no NumPy semantics.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any

import numpy as np

from legate_jit.ir import dtypes, infer
from legate_jit.ir.node import ArrayType, Signature

__all__ = ["code_of", "result_dtype", "signature"]

#: names whose use makes a function more than a function of its arguments
_IMPURE = frozenset(
    ("print", "input", "open", "exec", "eval", "globals", "locals", "setattr", "next", "iter")
)
_compiled: dict[Hashable, Any] = {}


def code_of(dtype: np.dtype) -> str | None:
    """How a scalar of this dtype reaches a user function ('f8', 'i8', 'b1'): as the Python scalar NumPy would pass."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return "f8"
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize < 8):
        return "i8"
    return "b1" if dtype.kind == "b" else None


def _environment(function: FunctionType) -> Hashable:
    """What the function's result depends on besides its arguments; None when that is not plain values and functions."""
    code = function.__code__
    found: list[Any] = [code, function.__defaults__]
    if function.__kwdefaults__ or code.co_flags & 0x2C:  # *args, **kwargs, generators
        return None
    try:
        cells = [c.cell_contents for c in function.__closure__ or ()]
    except ValueError:
        return None
    outside = [function.__globals__[n] for n in code.co_names if n in function.__globals__]
    for x in (*cells, *outside):
        if isinstance(x, (bool, int, float, complex)):
            found.append((type(x), x))
        elif callable(x) or isinstance(x, type(dis)):
            found.append(id(x))
        else:
            return None
    if any(n in _IMPURE and n not in function.__globals__ and hasattr(builtins, n) for n in code.co_names):
        return None
    if any(
        i.opname in ("STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE")
        for i in dis.get_instructions(code)
    ):
        return None
    return tuple(found)


def compiled(function: Callable[..., Any], codes: tuple[str, ...]) -> Any:
    """The compiled form of a pure scalar function, or None when it has none."""
    if not isinstance(function, FunctionType):
        return None
    environment = _environment(function)
    if environment is None:
        return None
    key = (environment, codes)
    if key not in _compiled:
        from legate_jit.backends import user

        # The function is kept so that the identities in the key stay its own.
        _compiled[key] = (user.compile_function(function, codes), function)
    return _compiled[key][0]


def result_dtype(function: Callable[..., Any], codes: tuple[str, ...]) -> np.dtype | None:
    """The dtype the compiled function returns; None when it cannot be compiled."""
    made = compiled(function, codes)
    return None if made is None else dtypes.from_code(made.result)


def signature(
    function: Callable[..., Any], codes: tuple[str, ...], types: tuple[ArrayType, ...]
) -> Signature:
    """The elementwise instruction for array operands of these types."""
    made = compiled(function, codes)
    return infer.user_signature(
        types, made.symbol, dtypes.from_code(made.loop), dtypes.from_code(made.result)
    )
