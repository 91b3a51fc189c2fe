"""The CPU target's compiler: kernels to entry points, cached in memory (and on disk by `native`).

Knows `ir.kernel`, the emitter and the native substrate; not the graph, arrays or threads.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass

from legate_jit.backends import native
from legate_jit.backends.llvm.kernel import emit
from legate_jit.ir.kernel import Kernel

_ENTRY = "legate_kernel"


@dataclass(slots=True)
class CompileStats:
    """Kernels compiled or loaded since the process began, and the seconds that took."""

    compiled: int = 0
    seconds: float = 0.0


stats = CompileStats()
_codes: list[native.NativeCode] = []
_addresses: dict[Hashable, int] = {}
_user_functions: dict[str, str] = {}


def register_user(symbol: str, text: str) -> None:
    """Make the LLVM IR `text`, which defines the C function `symbol` and shares no other names, part of kernels that call it."""
    _user_functions[symbol] = text


def source(kernel: Kernel) -> str:
    """LLVM IR text of a kernel for this machine."""
    text = emit(kernel, _ENTRY, native.vector_bytes(), native.has_symbol, native.slow_division())
    users = _users(kernel)
    return _joined([text, *(_user_functions[symbol] for symbol in users)], users) if users else text


def _users(kernel: Kernel) -> list[str]:
    """Symbols of the user functions a kernel calls."""
    return sorted({str(i.imm) for i in kernel.instrs if i.op == "user"} & _user_functions.keys())


def _joined(texts: list[str], defined: list[str]) -> str:
    """One module of several texts: each external function declared once, and not at all where it is defined."""
    seen = {f"@{symbol}" for symbol in defined}
    lines = []
    for line in "\n".join(texts).splitlines():
        if line.startswith("declare "):
            name = line[line.index("@") : line.index("(", line.index("@"))]
            if name in seen:
                continue
            seen.add(name)
        lines.append(line)
    return "\n".join(lines) + "\n"


def _key(kernel: Kernel) -> Hashable:
    """Constants by their spelling: 0.0 and -0.0 are equal numbers, but not the same kernel."""
    constants = tuple(repr(i.imm) for s in kernel.sections for i in s.instrs if i.op == "const")
    return (kernel, constants) if constants else kernel


def compile_kernel(kernel: Kernel) -> int:
    """Address of the kernel's entry point `void (i64 lo, i64 hi, i64 *args, i64 *table)`, valid for the process's life."""
    key = _key(kernel)
    address = _addresses.get(key)
    if address is not None:
        return address
    start = time.perf_counter()
    if _users(kernel):  # what others wrote as scalar code wants LLVM's passes: inlining first of all
        code = native.compile_ir(source(kernel), (_ENTRY,), optimize=2)
    else:
        code = native.compile_ir(source(kernel), (_ENTRY,), level=native.quick_level())
    _codes.append(code)
    address = _addresses[key] = code.address(_ENTRY)
    stats.compiled += 1
    stats.seconds += time.perf_counter() - start
    return address


def assembly(kernel: Kernel) -> str:
    """Assembly text of a kernel for this machine."""
    return native.assembly(source(kernel), level=native.quick_level())
