"""Ground: the memory of a settled store as a NumPy array, for operations that are carried out at once instead of recorded.

A store whose type of object is `Grounded` has such an array at hand. Whoever gives the store another value or other memory (the
window when the store enters it, `runtime.writable`) releases it first, so that what looks into the ground knows by one flag
whether it still shows the store. Knows stores and buffers; no NumPy semantics.
"""

from __future__ import annotations

import sys

from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.ir import dtypes
from legate_jit.ir.node import ArrayType, array_type
from legate_jit.process import interpreter
from legate_jit.running import poison
from legate_jit.store import Ground, Grounded, Habit, Store, release

__all__ = ["GROUNDED", "forget_elements", "habit", "of", "owned"]

_habits: dict[ArrayType, Habit] = {}


def of(store: Store) -> Ground | None:
    """The store's ground; flushes first. None for memory of the program, which others may look at or change."""
    if store.__class__ is Grounded:
        return store.ground
    if runtime.world is not None:  # its memory may be in parts
        return None
    if store.value is not None:
        runtime.flush()
    if runtime._suspended:
        runtime.resume((store.buffer,))
    buffer = store.buffer
    assert buffer is not None
    if poison.poisoned:
        poison.check(buffer)
    if buffer.owner is not None and (not buffer.owner.flags.writeable or sys.getrefcount(buffer) > _WRAPPED):
        return None
    type_ = store.type
    ground = Ground(buffer.shown(type_.shape, type_.dtype, True), habit(type_))
    store.ground = ground
    store.__class__ = Grounded
    return ground


def habit(type_: ArrayType) -> Habit:
    """What stores of this type were asked for lately."""
    found = _habits.get(type_)
    if found is None:
        found = _habits[type_] = Habit()
    return found


def forget_elements() -> None:
    """Elements are recorded again."""
    for found in _habits.values():
        found.elements = False


def owned(store: Store) -> Ground | None:
    """The store's ground, in memory that nobody else looks at as a value of his own: it may be written.

    Copies of the array, host views and recorded operations that are to read the present value keep the old memory.
    """
    ground = of(store)
    if ground is None or sys.getrefcount(store.buffer) <= GROUNDED:
        return ground
    buffer = memory.allocate(store.type.nbytes)
    buffer.as_numpy(store.type.shape, store.type.dtype, True)[...] = ground.array
    release(store)
    store.buffer = buffer
    runtime.counters.copied_bytes += store.type.nbytes
    return of(store)


def _wrapped_refcount() -> int:
    """What sys.getrefcount says, in `of`, of a buffer that only its store refers to."""
    store = runtime.fresh(array_type((1,), dtypes.FLOAT64))[0]
    buffer = store.buffer
    return sys.getrefcount(buffer)


_WRAPPED = interpreter.references(_wrapped_refcount)


def _grounded_refcount() -> int:
    """What sys.getrefcount says, in `owned`, of a buffer that only its store and its ground refer to."""
    store = runtime.fresh(array_type((1,), dtypes.FLOAT64))[0]
    of(store)
    return sys.getrefcount(store.buffer)


#: the same in the calls of those who ask for themselves
GROUNDED = interpreter.references(_grounded_refcount)
