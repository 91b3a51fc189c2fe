"""Windows as they are compiled, with the values that went in and came out, for tests of dumps."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from legate_jit import runtime
from legate_jit.ir import passes
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph


@dataclass
class Compiled:
    """One compiled window: every stage, the inputs (by slot) before it ran, and the stores of its roots (weakly)."""

    inputs: list[np.ndarray]
    scalars: list[Any]
    stores: list[Any]
    #: values of the roots right after the window ran; None for those nobody kept
    results: list[np.ndarray | None] = field(default_factory=list)
    stages: dict[str, Any] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.stages["graph"]

    def finish(self) -> None:
        """Copy the results: later windows may change them in place."""
        for ref in self.stores:
            s = ref()
            alive = s is not None and s.value is None and s.buffer is not None
            self.results.append(s.buffer.as_numpy(s.type.shape, s.type.dtype, True).copy() if alive else None)


@contextmanager
def compiled() -> Iterator[list[Compiled]]:
    """Every window compiled in the block."""
    found: list[Compiled] = []
    real, flush = runtime._compiled, runtime.flush

    def capture(key: Any) -> Any:
        w = runtime.window
        by_value = {s.value: weakref.ref(s) for s in w.stores if s.buffer is None}
        entry = Compiled([], list(w.scalars), [by_value[v] for v in key[1]])
        buffers = list(w.inputs)

        def observe(stage: str, result: Any) -> None:
            entry.stages[stage] = result
            if stage == "graph":
                types = {n.arg: n.type for n in result.nodes if n.kind is Kind.BUFFER}
                for k, buffer in enumerate(buffers):
                    t = types.get(k)
                    entry.inputs.append(
                        np.empty(0) if t is None else buffer.as_numpy(t.shape, t.dtype, False).copy()
                    )

        passes.observers.append(observe)
        try:
            return real(key)
        finally:
            passes.observers.remove(observe)
            found.append(entry)

    def finishing() -> None:
        before = len(found)
        flush()
        for entry in found[before:]:
            entry.finish()

    runtime.fence()
    runtime._plans.clear()
    runtime._compiled, runtime.flush = capture, finishing
    try:
        yield found
        runtime.fence()
    finally:
        runtime._compiled, runtime.flush = real, flush
