"""Kernel to LLVM IR text: the loop nests of the three kinds.

`emit` is a pure function: the same kernel, name and vector width give the same text. The text needs no IR passes: inner
loops are written with explicit vectors, everything invariant is hoisted. Layout of arguments and semantics: `ir.kernel`.
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm_args import Arguments, Loop, Pointers, walk
from legate_jit.backends.llvm_flow import Flow
from legate_jit.backends.llvm_memory import Place, load_scalar
from legate_jit.backends.llvm_sweep import Sweep
from legate_jit.backends.llvm_text import Code, Module, Value
from legate_jit.backends.llvm_values import BODY, ENTRY, ROW, RUN, Values, lanes, read_scalar
from legate_jit.ir.kernel import Kernel, Section
from legate_jit.ir.ops import OPS


def emit(kernel: Kernel, name: str, vector_bytes: int, has_symbol: Callable[[str], bool]) -> str:
    """LLVM IR text of `kernel` with the entry point `name`, for vectors of `vector_bytes` (16, 32 or 64).

    `has_symbol` says which external functions (libmvec's) the host has. NotImplementedError when an op has no spelling.
    """
    from legate_jit.backends.llvm_col import ColEmitter
    from legate_jit.backends.llvm_row import RowEmitter

    module = Module(vector_bytes, has_symbol)
    flow = Flow(module, "icmp slt i64 %lo, %hi")
    emitter = {"map": MapEmitter, "row": RowEmitter, "col": ColEmitter}[kernel.kind](kernel, flow)
    emitter.emit()
    flow.jump("exit")
    lines = [f"define void @{name}(i64 %lo, i64 %hi, ptr %args, ptr %table) nounwind {{", *flow.text()]
    lines += ["exit:", "  ret void", "}"]
    for helper in module.helpers.values():
        lines += helper
    lines += module.declarations.values()
    lines += [f"{key} = {value}" for key, value in module.metadata.items()]
    return "\n".join(lines) + "\n"


class Emitter:
    """What the kinds share: arguments, hoisting, places of operands along the inner loop."""

    def __init__(self, kernel: Kernel, flow: Flow) -> None:
        self.kernel = kernel
        self.flow = flow
        self.arguments = Arguments(kernel, flow)
        self.values = Values(kernel, flow)
        self.reduced: list[Value] = []
        self.pointers: Pointers = {}
        self.coordinates: dict[int, str] = {}
        self.inner = kernel.ndim - 1
        self.firsts: list[int] = []
        count = 0
        for section in kernel.sections:
            self.firsts.append(count)
            count += len(section.instrs)
        self.values.hoist(0, count, ENTRY, self.source)

    def emit(self) -> None:
        """Write the whole function body."""
        raise NotImplementedError

    def source(self, code: Code, number: int) -> Value:
        """Scalar value of a hoisted 'load', 'scalar', 'index' or 'reduced'."""
        instr = self.values.instrs[number]
        imm = int(instr.imm)  # type: ignore[call-overload]
        if instr.op == "scalar":
            return read_scalar(code, instr.dtype, "%table", self.arguments.scalar_slot(imm))
        if instr.op == "index":
            return (self.coordinates[imm],)
        if instr.op == "reduced":
            return self.reduced[imm]
        return load_scalar(code, instr.dtype, self.pointers.get(imm) or self.arguments.base(imm))

    def loop(self, number: int, moving: set[int]) -> Loop:
        """Outer loop `number` of the kernel, for the operands in `moving`."""
        strides = {
            k: self.arguments.stride(k, number)
            for k, operand in enumerate(self.kernel.operands)
            if k in moving and operand.strides[number]
        }
        return Loop(number, self.arguments.extent(number), strides)

    def in_memory(self) -> set[int]:
        """Operands that are arrays (not scratch)."""
        return {k for k, o in enumerate(self.kernel.operands) if o.mode != "scratch"}

    def bases(self) -> Pointers:
        """Pointers to the operands' first elements."""
        return {k: self.arguments.base(k) for k in sorted(self.in_memory())}

    def place(self, operand: int) -> Place:
        """Where an operand is along the inner loop, at the current pointers."""
        what = self.kernel.operands[operand]
        step = "" if what.strides[-1] == 1 else self.arguments.stride(operand, self.inner)
        return Place(what.dtype, self.pointers[operand], step, stream=what.stream)

    def hoist(self, number: int, level: int) -> None:
        """Compute section `number`'s instrs of `level` here."""
        self.values.holes[level] = self.flow.hole()
        self.values.hoist(self.firsts[number], len(self.kernel.sections[number].instrs), level, self.source)

    def touched(self, number: int) -> list[int]:
        """Operands that section `number` touches along the inner loop."""
        section, instrs = self.kernel.sections[number], self.values.instrs
        span = range(self.firsts[number], self.firsts[number] + len(section.instrs))
        loads = {int(instrs[n].imm) for n in span if instrs[n].op == "load" and self.values.levels[n] == BODY}  # type: ignore[call-overload]
        return sorted(loads | {k for k, _ in section.stores})

    def cost(self, number: int) -> int:
        """Approximate simple vector operations of a turn of section `number`'s inner loop."""
        section = self.kernel.sections[number]
        span = range(self.firsts[number], self.firsts[number] + len(section.instrs))
        ops = [self.values.instrs[n].op for n in span if self.values.levels[n] == BODY]
        return sum(OPS[op].cost for op in ops if op in OPS) + len(section.stores) + 2 * len(section.reduces)

    def sweep(self, number: int, unroll: int) -> Sweep:
        """The inner loop of section `number` at the current pointers."""
        section: Section = self.kernel.sections[number]
        first = self.firsts[number]
        module = self.flow.module
        width = lanes(self.kernel, section, first, self.values.levels, module.vector_bytes)
        places = {k: self.place(k) for k in self.touched(number)}
        return Sweep(self.flow, self.values, section, first, width, unroll, places)


class MapEmitter(Emitter):
    """Elementwise kernels: every section sweeps the rows' tiles."""

    def emit(self) -> None:
        """Units are ranges of one row (one loop), or blocks of rows by tiles."""
        if self.kernel.ndim == 1:
            first = self.flow.multiply("%lo", self.arguments.tile)
            last = self.flow.least(self.flow.multiply("%hi", self.arguments.tile), self.arguments.extent(0))
            self.pointers = self.bases()
            self._row(first, last)
        else:
            self.flow.loop("%lo", "%hi", 1, [], self._unit, nonempty=True)

    def _unit(self, unit: str, _: list[str]) -> list[str]:
        flow, arguments = self.flow, self.arguments
        loops = [self.loop(d, self.in_memory()) for d in range(self.inner)]
        block = flow.let(f"udiv i64 {unit}, {arguments.ntiles}")
        tile = flow.let(f"urem i64 {unit}, {arguments.ntiles}")
        first_row = flow.multiply(block, arguments.rows_per_unit)
        rows = arguments.product([loop.extent for loop in loops])
        last_row = flow.least(flow.add(first_row, arguments.rows_per_unit), rows)
        first = flow.multiply(tile, arguments.tile)
        last = flow.least(flow.add(first, arguments.tile), arguments.extent(self.inner))

        def body(pointers: Pointers, coordinates: dict[int, str]) -> None:
            self.pointers, self.coordinates = pointers, coordinates
            self._row(first, last)

        walk(flow, loops, self.bases(), first_row, last_row, body)
        return []

    def _row(self, first: str, last: str) -> None:
        for number in range(len(self.kernel.sections)):
            self.hoist(number, ROW)
            self.sweep(number, 1).run(first, last)


__all__ = ["RUN", "Emitter", "MapEmitter", "emit"]
