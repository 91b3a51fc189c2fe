"""Which methods of `ndarray` machine code may take over, and what it needs to know for that. See `legate_jit.recording`."""

from __future__ import annotations

from cupynumeric import _array, _at_once, _elementwise
from cupynumeric._array import ndarray
from legate_jit import recording, runtime
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.recording import Method
from legate_jit.store import Lens, Store

_table = _elementwise.cache_of


def _methods() -> list[Method]:
    found = [Method("getitem", "__getitem__", {}), Method("setitem", "__setitem__", {})]
    for dunder, name in _array._DUNDERS.items():
        if dunder != "pow":
            found.append(Method("binary", f"__{dunder}__", _table(name)))
            found.append(Method("reflected", f"__r{dunder}__", _table(name)))
            found.append(Method("in_place", f"__i{dunder}__", _table(name)))
    found += [Method("binary", f"__{dunder}__", _table(name)) for dunder, name in _array._COMPARISONS.items()]
    found += [Method("unary", f"__{dunder}__", _table(name)) for dunder, name in _array._UNARY.items()]
    return found


recording.offer(
    recording.Offer(
        ndarray,
        _methods(),
        {
            "Array": ndarray,
            "ArrayType": ArrayType,
            "Lens": Lens,
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
        },
    )
)
