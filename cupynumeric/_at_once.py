"""Instructions carried out at once by NumPy: what the operators of arrays would record, where all operands are there.

Which ones is marked in their signatures, see `legate_jit.running.tiers`; besides those with an instant operand. Knows NumPy and
the ground of stores; no graphs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric import _array, _elementwise
from cupynumeric._array import ndarray
from cupynumeric._instant import LARGEST, Instant, Looked, handed, host_of, made, refreshed, through, unlooked
from legate_jit import runtime
from legate_jit.immediate import ground
from legate_jit.ir.node import Signature
from legate_jit.running import tiers
from legate_jit.store import Grounded

_unseen, _changes, _PATIENCE = runtime.unseen, tiers.changes, tiers.PATIENCE


def at_once(sig: Signature, x: Any, y: Any) -> Any:
    """An elementwise instruction on two operands that are small and there, see `runtime.SHORT`: arrays of the usual kind, and
    at most one scalar."""
    first, second = x, y
    if x.__class__ is ndarray:
        store = x._store
        first = store.ground.array if store.__class__ is Grounded and x._lens is None else host_of(x)
    if y.__class__ is ndarray:
        store = y._store
        second = store.ground.array if store.__class__ is Grounded and y._lens is None else host_of(y)
    ufunc = sig.op.ufunc
    if first is None or second is None or ufunc is None:
        return _recorded_after_all(sig, x, y)
    try:
        out = ufunc(first, second)
    except TypeError:  # a loop that we have beyond NumPy's
        return _recorded_after_all(sig, x, y)
    return handed(out) if sig.at_once == tiers.LOOKED else made(out)


def at_once_alone(sig: Signature, x: ndarray) -> Any:
    """The same for one operand."""
    store = x._store
    host = store.ground.array if store.__class__ is Grounded and x._lens is None else host_of(x)
    ufunc = sig.op.ufunc
    if host is None or ufunc is None:
        return _recorded_after_all(sig, x)
    try:
        out = ufunc(host)
    except TypeError:
        return _recorded_after_all(sig, x)
    return handed(out) if sig.at_once == tiers.LOOKED else made(out)


def at_once_if_there(sig: Signature, operands: tuple[Any, ...]) -> Any:
    """The same for any number of operands, which may wait: None then, and where NumPy has no such function."""
    ufunc = sig.op.ufunc
    hosts = []
    for x in operands:
        host = x
        if x.__class__ is ndarray:
            host = None if x._store.value is not None else host_of(x)
        if host is None:
            return None
        hosts.append(host)
    if ufunc is None:
        return None
    try:
        out = ufunc(*hosts)
    except TypeError:  # a loop that we have beyond NumPy's
        return None
    return handed(out) if sig.at_once == tiers.LOOKED else made(out)


def _recorded_after_all(sig: Signature, *operands: Any) -> Any:
    """What NumPy has no loop for, or what cannot be looked at: it is recorded from now on."""
    sig.at_once = 0
    return _elementwise.call(sig.op, operands)


def reduced(function: np.ufunc, array: ndarray, axes: tuple[int, ...], loop: np.dtype) -> Any:
    """A reduction of a small array that is there; None if its memory cannot be looked at."""
    store = array._store
    host = store.ground.array if store.__class__ is Grounded and array._lens is None else host_of(array)
    return None if host is None else handed(function.reduce(host, axis=axes, dtype=loop))


def _apart(left: ndarray, right: Instant) -> bool:
    """Whether an instant operand has nothing to do with moving slices, and the other one waits, or is what loops record."""
    return right._ground.__class__ is Looked and (
        left._store.value is not None or _unseen.count > _PATIENCE or _changes.times >= tiers.TIMES
    )


def mixed(op: Any, left: ndarray, right: Instant) -> Any:
    """`left op right` for an array of the usual kind and an instant one."""
    first = None if _apart(left, right) else host_of(left)
    if first is None or op.ufunc is None:
        return _elementwise.operator(op, left, right.settle())
    out = op.ufunc(first, right._host if right._ground.valid else refreshed(right))
    return handed(out) if right._ground.__class__ is Looked else made(out)


def mixed_in_place(op: Any, left: ndarray, right: Instant) -> Any:
    """`left op= right` for an array of the usual kind and an instant one."""
    if (
        left._type.size > LARGEST
        or op.ufunc is None
        or _array.refuses_writes(left)
        or _apart(left, right)
        or (right._ground.__class__ is Looked and unlooked())
    ):
        return _elementwise.in_place_operator(op, left, right.settle())
    found = ground.owned(left._store)
    host = None if found is None else through(found, left)
    if host is None:
        return _elementwise.in_place_operator(op, left, right.settle())
    op.ufunc(host, right._host if right._ground.valid else refreshed(right), out=host)
    return left


_array._at_once = at_once
_elementwise._at_once = at_once_if_there
_array._mixed[Instant] = mixed, mixed_in_place
