"""Marks: running a window in parts, with something done between them.

A timestamp or a fence that does not wait is a mark in the tape. When the window is flushed, each part between two marks becomes a
window of its own: values that cross a mark are kept in stores, and nothing is fused over it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from legate_jit import runtime
from legate_jit.backends.memory import Buffer
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS
from legate_jit.runtime import Window
from legate_jit.store import Store


def run(w: Window, pending: list[Store]) -> None:
    """Flush a window that has marks. After an error the parts that have not run are the open window."""
    runtime.complete()  # it was before the first mark
    parts = _Parts(w, pending)
    w.clear()
    for k, then in enumerate(parts.calls):
        part = type(w)()
        parts.fill(part, k, k + 1)
        try:
            runtime.flush(part)
        except BaseException:
            if part.n:  # it could not be planned, or there was no memory for it
                w.take(part)
                w.marks = [(len(w.code), w.n, then)]
            else:
                then()
            parts.fill(w, k + 1, len(parts.calls))
            raise
        then()


class _Instruction(NamedTuple):
    value: int
    position: int  # in the tape
    signature: Signature
    sources: tuple[int, ...]
    scalars: tuple[Any, ...]


class _Parts:
    """The instructions of a window by part, and the values that cross from one part to another."""

    def __init__(self, w: Window, pending: list[Store]) -> None:
        ends = [m[0] for m in w.marks] + [len(w.code)]
        self.calls: list[Callable[[], None]] = [m[2] for m in w.marks] + [_nothing]
        self.instructions: list[list[_Instruction]] = [[] for _ in ends]
        self.inputs: dict[int, Buffer] = dict(zip(w.input_values, w.inputs, strict=True))
        self.signatures: list[Signature] = []
        self.wanted: dict[int, list[Store]] = {}
        for store in pending:
            assert store.value is not None
            self.wanted.setdefault(store.value, []).append(store)
        self.tokens = {id(s) for s in w.tokens}
        self.tape = w.code
        self.crossing: dict[int, Store] = {}
        self.last: dict[int, int] = {}  # the last part that reads a value
        self._decode(w, ends)

    def _decode(self, w: Window, ends: list[int]) -> None:
        scalars = iter(w.scalars)
        part_of: list[int] = []
        i = part = 0
        while i < len(w.code):
            while i >= ends[part]:
                part += 1
            sig = w.code[i]
            srcs = tuple(w.code[i + 1 : i + 1 + sig.nsrc])
            given = tuple(next(scalars) for _ in range(sig.mask.bit_count()))
            self.instructions[part].append(_Instruction(len(part_of), i, sig, srcs, given))
            for s in srcs:
                self.last[s] = part
                if part_of[s] != part and s not in self.inputs and s not in self.crossing:
                    self.crossing[s] = store = runtime.token_store(self.signatures[s].type)
                    self.wanted.setdefault(s, []).append(store)
            part_of.append(part)
            self.signatures.append(sig)
            i += 1 + sig.nsrc

    def fill(self, w: Window, first: int, last: int) -> None:
        """Record parts first..last-1 in an empty window."""
        local: dict[int, int] = {}
        for part in range(first, last):
            if part > first:
                w.marks.append((len(w.code), w.n, self.calls[part - 1]))
            for v, position, sig, srcs, given in self.instructions[part]:
                if sig.op is _BUFFER:
                    local[v] = self._enter(w, v, last)
                    continue
                for s in srcs:
                    if s not in local:
                        local[s] = self._imported(w, s, last)
                local[v] = w.n
                w.copy((sig, *[local[s] for s in srcs]), self.tape, position)
                w.scalars += given
                w.n += 1
                for store in self.wanted.pop(v, ()):
                    store.value, store.buffer = local[v], None
                    w.stores.append(store)
                    if id(store) in self.tokens:
                        w.tokens.append(store)

    def _imported(self, w: Window, value: int, until: int) -> int:
        """The number in the window of a value from an earlier part."""
        store = self.crossing.get(value)
        if store is not None and store.value is not None:
            return store.value  # that part has not run: it is in this window, too
        return self._enter(w, value, until)

    def _buffer(self, value: int, until: int) -> Buffer:
        """The buffer of a value; forgotten here if no part from `until` on reads it, so that it may be overwritten."""
        keep = self.last.get(value, -1) >= until
        if value in self.inputs:
            return self.inputs[value] if keep else self.inputs.pop(value)
        found = (self.crossing[value] if keep else self.crossing.pop(value)).buffer
        assert found is not None
        return found

    def _enter(self, w: Window, value: int, until: int) -> int:
        """Make the buffer of a value an input of the window."""
        v, buffer = w.n, self._buffer(value, until)
        w.code += (self.signatures[value].type.buffer_signature,)
        w.inputs.append(buffer)
        w.input_values.append(v)
        w.n += 1
        buffer.slot, buffer.serial = v, w.serial
        w.held += buffer.nbytes
        return v


_BUFFER = OPS["buffer"]


def _nothing() -> None:
    """What the last part ends with."""
