"""What the emitters of the three kinds of kernel share: arguments, hoisting, places of operands along the inner loop."""

from __future__ import annotations

from collections import Counter

from legate_jit.backends.llvm.access import Place, Record, load_scalar
from legate_jit.backends.llvm.args import Arguments, Loop, Pointers
from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.reduce import Accumulator
from legate_jit.backends.llvm.sweep import Sweep
from legate_jit.backends.llvm.text import Code, Value, item_size
from legate_jit.backends.llvm.values import BODY, ENTRY, Values, lanes, number_of, read_scalar
from legate_jit.ir.kernel import Kernel
from legate_jit.ir.ops import OPS

#: Instrs of a body that count as a long program, and as one that fills the processor's window of instructions by itself.
_LONG = 28
_WINDOW = 200
#: Instrs that should be ready at a time for a processor with 32 registers of 64 bytes: units times latency.
_READY = 8


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
        imm = number_of(instr)
        if instr.op == "scalar":
            return read_scalar(code, instr.dtype, "%table", self.arguments.scalar_slot(imm))
        if instr.op == "index":
            return (self.coordinates[imm],)
        if instr.op == "reduced":
            return self.reduced[imm]
        lead, shift = self.lead(imm)
        pointer = self.pointers.get(lead) or self.arguments.base(lead)
        return load_scalar(
            code, instr.dtype, code.let(f"getelementptr i8, ptr {pointer}, i64 {shift}") if shift else pointer
        )

    def lead(self, operand: int) -> tuple[int, int]:
        """The operand whose pointer moves for `operand`, and how many bytes after it that lies."""
        what = self.kernel.operands[operand]
        return (operand, 0) if what.leader < 0 else (what.leader, what.shift * item_size(what.dtype))

    def loop(self, number: int, moving: set[int]) -> Loop:
        """Outer loop `number` of the kernel, for the operands in `moving`."""
        strides = {
            k: self.arguments.stride(k, number)
            for k, operand in enumerate(self.kernel.operands)
            if k in moving and operand.strides[number]
        }
        return Loop(number, self.arguments.extent(number), strides)

    def in_memory(self) -> set[int]:
        """Operands that are arrays (not scratch) and have a pointer of their own."""
        return {k for k, o in enumerate(self.kernel.operands) if o.mode != "scratch" and o.leader < 0}

    def bases(self) -> Pointers:
        """Pointers to the operands' first elements."""
        return {k: self.arguments.base(k) for k in sorted(self.in_memory())}

    def place(self, operand: int) -> Place:
        """Where an operand is along the inner loop, at the current pointers."""
        what = self.kernel.operands[operand]
        lead, shift = self.lead(operand)
        first = self.pointers[lead]
        pointer = self.flow.offset(first, str(shift)) if shift else first
        if what.step:
            record = Record(first, what.step, what.shift)
            return Place(what.dtype, pointer, str(what.step * item_size(what.dtype)), record=record)
        step = "" if what.strides[-1] == 1 else self.arguments.stride(lead, self.inner)
        return Place(what.dtype, pointer, step, stream=what.stream)

    def hoist(self, number: int, level: int) -> None:
        """Compute section `number`'s instrs of `level` here."""
        self.values.holes[level] = self.flow.hole()
        self.values.hoist(self.firsts[number], len(self.kernel.sections[number].instrs), level, self.source)

    def touched(self, number: int) -> list[int]:
        """Operands that section `number` touches along the inner loop."""
        section, instrs = self.kernel.sections[number], self.values.instrs
        span = range(self.firsts[number], self.firsts[number] + len(section.instrs))
        loads = {
            number_of(instrs[n]) for n in span if instrs[n].op == "load" and self.values.levels[n] == BODY
        }
        return sorted(loads | {k for k, _ in section.stores})

    def accumulators_of(self, number: int) -> list[Accumulator]:
        """Section `number`'s accumulators. Products that are only summed are not computed apart from that."""
        section, instrs = self.kernel.sections[number], self.values.instrs
        uses = Counter(a for i in instrs for a in i.args)
        for s in self.kernel.sections:
            uses.update([value for _, value in s.stores] + [r.value for r in s.reduces])
        found = []
        for r in section.reduces:
            term = instrs[r.value]
            product = term.op in ("multiply", "square") and term.dtype in ("f4", "f8")
            alone = uses[r.value] == 1 and self.values.levels[r.value] == BODY
            factors = (term.args * 2)[:2] if r.combine == "add" and product and alone else ()
            if factors:
                self.values.absorbed.add(r.value)
            found.append(Accumulator(r, term.dtype, factors))
        return found

    def cost(self, number: int) -> int:
        """Approximate simple vector operations of a turn of section `number`'s inner loop."""
        section = self.kernel.sections[number]
        span = range(self.firsts[number], self.firsts[number] + len(section.instrs))
        ops = [self.values.instrs[n].op for n in span if self.values.levels[n] == BODY]
        return sum(OPS[op].cost for op in ops if op in OPS) + len(section.stores) + 2 * len(section.reduces)

    def braid(self, number: int) -> int:
        """Vectors in step for section `number`: two for long programs, four for very long ones of few independent instrs."""
        section = self.kernel.sections[number]
        span = range(self.firsts[number], self.firsts[number] + len(section.instrs))
        body = [n for n in span if self.values.levels[n] == BODY]
        if len(body) < _LONG or section.reduces:
            return 1
        if len(body) < _WINDOW or self.flow.module.vector_bytes < 64:
            return 2
        return 4 if len(body) < _READY // 2 * self._depth(body) else 2

    def _depth(self, body: list[int]) -> int:
        """Instrs of the longest chain of dependent ones in a section's body."""
        depths: dict[int, int] = {}
        for n in body:
            depths[n] = 1 + max((depths.get(a, 0) for a in self.values.instrs[n].args), default=0)
        return max(depths.values())

    def sweep(self, number: int, unroll: int) -> Sweep:
        """The inner loop of section `number` at the current pointers."""
        section = self.kernel.sections[number]
        first = self.firsts[number]
        module = self.flow.module
        width = lanes(self.kernel, section, first, self.values.levels, module.vector_bytes)
        places = {k: self.place(k) for k in self.touched(number)}
        return Sweep(self.flow, self.values, section, first, width, unroll, places, self.braid(number))
