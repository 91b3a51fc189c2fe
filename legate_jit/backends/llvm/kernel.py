"""Kernel to LLVM IR text: the way in.

`emit` is a pure function: the same kernel, name and vector width give the same text. The text needs no IR passes: inner
loops are written with explicit vectors, everything invariant is hoisted. Layout of arguments and semantics: `ir.kernel`.
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm.columns import ColEmitter
from legate_jit.backends.llvm.emitter import Emitter
from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.maps import MapEmitter
from legate_jit.backends.llvm.rows import RowEmitter
from legate_jit.backends.llvm.text import Module
from legate_jit.ir.kernel import Kernel

_EMITTERS: dict[str, type[Emitter]] = {"map": MapEmitter, "row": RowEmitter, "col": ColEmitter}


def emit(
    kernel: Kernel,
    name: str,
    vector_bytes: int,
    has_symbol: Callable[[str], bool],
    slow_division: bool = False,
) -> str:
    """LLVM IR text of `kernel` with the entry point `name`, for vectors of `vector_bytes` (16, 32 or 64).

    `has_symbol` says which external functions (libmvec's) the host has, `slow_division` whether it divides so slowly that
    fused multiply-adds are to be used instead where they are exact. NotImplementedError when an op has no spelling.
    """
    module = Module(vector_bytes, has_symbol, slow_division)
    flow = Flow(module, "icmp slt i64 %lo, %hi")
    emitter = _EMITTERS[kernel.kind](kernel, flow)
    emitter.emit()
    flow.jump("exit")
    lines = [f"define void @{name}(i64 %lo, i64 %hi, ptr %args, ptr %table) nounwind {{", *flow.text()]
    lines.append("exit:")
    if "!0" in module.metadata:  # stores past the caches are not ordered with later ones by themselves
        lines.append("  fence seq_cst")
    lines += ["  ret void", "}"]
    for helper in module.helpers.values():
        lines += helper
    lines += module.declarations.values()
    lines += [f"{key} = {value}" for key, value in module.metadata.items()]
    return "\n".join(lines) + "\n"
