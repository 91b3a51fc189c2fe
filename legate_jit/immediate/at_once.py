"""Library calls on small arrays whose values are there, carried out when they are called.

Nothing fuses with a library call, and recording, planning and running one costs ten times what NumPy needs for it, so a window
is worth it only where it saves waiting: for operands that are still recorded, large ones, and those in parts on several ranks.
Knows stores, signatures and the library; no NumPy semantics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit import runtime
from legate_jit.backends.calls import library
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import Signature
from legate_jit.running.poison import error_of, poisoned
from legate_jit.store import Store

__all__ = ["LARGEST", "call", "ready", "worthwhile"]

#: elements of operands and results up to which calls are carried out at once
LARGEST = 16384

_tiers: Any = None  # the module, when it is first needed: replaying needs no planner


def ready(*stores: Store) -> bool:
    """Whether what these stores hold is small and waits for nothing that has been recorded, so that an operation on it may as
    well be carried out. Depends on sizes and on what has been recorded, nothing else."""
    if runtime.world is not None:
        return False
    for store in stores:
        if store.value is not None or store.type.size > LARGEST:
            return False
        if poisoned and error_of(store.buffer) is not None:
            return False
    global _tiers
    if _tiers is None:
        from legate_jit.running import tiers

        _tiers = tiers
    return _tiers.may_compute_at_once()  # type: ignore[no-any-return]


def worthwhile(sig: Signature, stores: Sequence[Store]) -> bool:
    """Whether the call `sig` on what these stores hold should be carried out rather than recorded."""
    if sig.type.size > LARGEST:
        return False
    for type_ in sig.types:  # of views, which may show an element many times
        if type_.size > LARGEST:
            return False
    return ready(*stores)


def call(sig: Signature, operands: Sequence[np.ndarray]) -> Store:
    """The result of a library call, or of a running sum or product, on what its operands' views show."""
    store, out = runtime.fresh(sig.type)
    spec: Any = sig.arg
    if spec.__class__ is CallSpec:
        library.TABLE[spec.name](operands, (out,), dict(spec.options))
    else:
        library.TABLE[sig.op.name](operands, (out,), {"arg": spec})
    return store
