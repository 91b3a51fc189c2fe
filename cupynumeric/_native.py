"""Which methods of `ndarray` machine code may take over, and what it needs to know for that. See `legate_jit.recording`."""

from __future__ import annotations

import numpy as np

from cupynumeric import _array, _at_once, _elementwise, _replay
from cupynumeric._array import ndarray
from cupynumeric._ufunc import ufunc
from legate_jit import recording, runtime
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.recording import Method
from legate_jit.store import Lens, Store

_table = _elementwise.cache_of


def _methods() -> list[Method]:
    found = [Method(ndarray, "getitem", "__getitem__", {}), Method(ndarray, "setitem", "__setitem__", {})]
    found.append(Method(ufunc, "ufunc", "__call__", "_quick"))
    for dunder, name in _array._DUNDERS.items():
        if dunder != "pow":
            found.append(Method(ndarray, "binary", f"__{dunder}__", _table(name)))
            found.append(Method(ndarray, "reflected", f"__r{dunder}__", _table(name)))
            found.append(Method(ndarray, "in_place", f"__i{dunder}__", _table(name)))
    found += [
        Method(ndarray, "binary", f"__{dunder}__", _table(name))
        for dunder, name in _array._COMPARISONS.items()
    ]
    found += [
        Method(ndarray, "unary", f"__{dunder}__", _table(name)) for dunder, name in _array._UNARY.items()
    ]
    return found


recording.offer(
    recording.Offer(
        _methods(),
        {
            "Array": ndarray,
            "ArrayType": ArrayType,
            "Lens": Lens,
            "Recipe": _replay.Recipe,
            "Result": _replay.Result,
            "Signature": Signature,
            "Store": Store,
            "Window": runtime.Window,
        },
        {
            "array": ndarray,
            "store": Store,
            "window": runtime.window,
            "views": _array._views,
            "row": _array._ROW,
            "new": _array._NEW,
            "false": False,
            "scalar": _array.SCALAR,
            "enter": runtime.window.enter,
            "full": runtime.full,
            "pair": _at_once.at_once,
            "alone": _at_once.at_once_alone,
            "recipe": _replay.Recipe,
            "novalue": np._NoValue,
            "dtypes": type(np.dtype),
        },
        _replay.quicker,
        {"length": _replay.LENGTH, "small": _replay.SMALL, "tries": _replay.TRIES},
    )
)
