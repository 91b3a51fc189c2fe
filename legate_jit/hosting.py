"""Hosting: memory that a store and the program have in common, mapped from the store or brought by the program.

Arrays made here are views of a store's memory that the program may write; attachments are stores on the program's own memory.
Knows stores and buffers; knows no types of elements and no user API.
"""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.ir import dtypes
from legate_jit.ir.node import array_type
from legate_jit.process import interpreter
from legate_jit.running import bodies, locking, poison
from legate_jit.store import Store, release

#: the array last mapped of a store, and the buffer it is a view of
_mapped: WeakKeyDictionary[Store, tuple[ref[np.ndarray], ref[Buffer]]] = WeakKeyDictionary()


def mapped(store: Store) -> np.ndarray:
    """A writable array of the base shape over the store's memory; flushes first.

    What is written to it is written to the store, until an operation gives the store another value: the array keeps what it had
    then. Arrays mapped between two operations are views of the same memory.
    """
    attachment = attachments.get(store)
    if attachment is not None:
        return attachment.mapped()
    if store.value is not None:
        runtime.flush()
    known = _mapped.get(store)
    if known is not None and known[1]() is store.buffer:
        array = known[0]()
        if array is not None and sys.getrefcount(store.buffer) <= _MAPPED:
            return array
    array = runtime.writable(store)
    assert store.buffer is not None
    _mapped[store] = ref(array), ref(store.buffer)
    return array


def _mapped_refcount() -> int:
    """What sys.getrefcount says, in `mapped`, of a buffer only its store and a mapped array refer to."""
    store = runtime.fresh(array_type((1,), dtypes.FLOAT64))[0]
    array = runtime.writable(store)
    count = sys.getrefcount(store.buffer)
    del array
    return count


_MAPPED = interpreter.references(_mapped_refcount)


def kept(interface: dict[str, Any], array: np.ndarray) -> dict[str, Any]:
    """An `__array_interface__` of `array` whose consumers keep its memory, however long the object that shows it lives."""
    if not array.size:
        return interface | {"data": memoryview(b""), "offset": 0, "strides": None}
    spans = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    below = -sum(min(s, 0) for s in spans)
    extent = below + sum(max(s, 0) for s in spans) + array.itemsize
    lowest = array[tuple(slice(-1, None) if s < 0 else slice(0, 1) for s in spans)].reshape(1)
    whole: Any = np.lib.stride_tricks.as_strided(
        lowest.view(np.uint8), (extent,), (1,), writeable=array.flags.writeable
    )
    return interface | {"data": memoryview(whole), "offset": below}


# ---- the program's memory -----------------------------------------------------------------------------------------


class Attachment:
    """A store on memory of the program: written back there whenever the program may look at it, unless it is read-only.

    The memory is a buffer that this object refers to as well, so the engine never computes into it by itself: the program sees
    the values it had when it was settled last, at a fence or by `publish`. Other stores that came to share the buffer get memory
    of their own before it changes.
    """

    __slots__ = ("memory", "store", "read_only", "_buffer")

    def __init__(self, array: np.ndarray, read_only: bool) -> None:
        self.memory, self.read_only = array, read_only
        self._buffer = Buffer.wrap(array)
        self.store = runtime.buffer_store(
            self._buffer, array_type(array.shape, dtypes.canonical(array.dtype))
        )
        if not read_only:
            attachments[self.store] = self

    def settle(self) -> None:
        """Have the store's value in the program's memory, and nobody else's value."""
        store = self.store
        if store.value is not None:
            runtime.flush()
        if store.buffer is not self._buffer:
            contents = runtime.host(store)
            runtime.complete()
            self._evict()
            self.memory[...] = contents
            release(store)
            store.buffer = self._buffer

    def mapped(self) -> np.ndarray:
        """The program's memory, for writing: it holds the store's value, and nobody else's."""
        self.settle()
        runtime.complete()  # it may read the memory
        self.store.buffer = None
        self._evict()
        self.store.buffer = self._buffer
        return self.memory

    def _evict(self) -> None:
        """Give other stores that have the old value memory of their own."""
        if sys.getrefcount(self._buffer) > _ALONE:
            self._buffer.relocate()
            self._buffer = Buffer.wrap(self.memory)

    def stale(self) -> bool:
        """Whether the store has a value that is not in the program's memory yet."""
        store = self.store
        return store.value is not None or (store.buffer is not self._buffer and not self._poisoned())

    def _poisoned(self) -> bool:
        """Whether there is nothing to bring to the program's memory: the launch that should have computed it failed."""
        buffer = self.store.buffer
        return buffer is not None and poison.error_of(buffer) is not None

    def bring(self) -> None:
        """Settle, if there is anything to bring."""
        if not self._poisoned():
            self.settle()

    def forgotten(self) -> bool:
        """Whether the table of attachments and this object alone refer to the store."""
        return sys.getrefcount(self.store) <= _FORGOTTEN

    def detach(self) -> None:
        """Settle for the last time; the store, and others that share the memory, continue in memory of their own."""
        if self.read_only:
            if self.store.value is not None:
                runtime.flush()
        else:
            self.settle()
            del attachments[self.store]
        runtime.resume()
        if sys.getrefcount(self._buffer) > _ALONE:
            self._buffer.relocate()


#: the attachments that are written back, by their stores
attachments: dict[Store, Attachment] = {}
#: number of attachments above which those that nobody refers to are looked for
_many = [16]


def _alone_refcount() -> int:
    """What sys.getrefcount says, in an attachment, of a buffer only the attachment refers to."""
    attachment = object.__new__(Attachment)
    attachment._buffer = memory.allocate(0)
    return sys.getrefcount(attachment._buffer)


_ALONE = interpreter.references(_alone_refcount)


def _forgotten_refcount() -> int:
    """What sys.getrefcount says, in `forgotten`, of a store that the table and its attachment alone refer to."""
    attachment = object.__new__(Attachment)
    attachment.store = runtime.fresh(array_type((1,), dtypes.FLOAT64))[0]
    table = {attachment.store: attachment}
    return sys.getrefcount(attachment.store) * bool(table)


_FORGOTTEN = interpreter.references(_forgotten_refcount)


def settle() -> None:
    """Have in the program's memory what was computed for it. Stores that nobody refers to are detached."""
    if not attachments:
        return
    runtime.flush()
    runtime.resume()
    for attachment in list(attachments.values()):
        attachment.bring()
    _forget()


def _forget() -> None:
    """Detach stores that nobody refers to and that have nothing to bring."""
    for attachment in [a for a in attachments.values() if a.forgotten() and not a.stale()]:
        del attachments[attachment.store]
    _many[0] = 2 * len(attachments) + 16


def publish() -> None:
    """Have in the program's memory what was just recorded for it: nothing tells when the program looks there.

    Faces call it after what writes stores. Raises what an operation raised. Inside the body of a task nothing can be computed;
    what was recorded there waits for the next fence.
    """
    if not attachments or bodies.running() is not None:
        return
    _publish()


@locking.guarded
def _publish() -> None:
    stale = [a for a in attachments.values() if a.stale()]
    if stale:
        runtime.flush()
        runtime.resume()
    for attachment in stale:
        attachment.bring()
    if len(attachments) > _many[0]:
        _forget()


runtime.before_fence.append(settle)
