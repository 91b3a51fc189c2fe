"""Where each instr of a kernel is computed: at entry, once per row, once per run of the inner loop, or in its body.

Everything that does not vary along the inner loop stays scalar, is computed at the outermost loop it depends on, and is
spread over vector lanes there. Knows nothing of loops' control flow; `llvm` supplies the insertion points.
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm import divide
from legate_jit.backends.llvm.access import load_scalar
from legate_jit.backends.llvm.divide import Inverse
from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.ops import spell
from legate_jit.backends.llvm.text import Code, Value, item_size, literal, part
from legate_jit.ir.kernel import Instr, Kernel, Section

#: Levels, outermost first.
ENTRY, ROW, RUN, BODY = range(4)


def number_of(instr: Instr) -> int:
    """The operand, scalar, loop or Reduce number that an instr's `imm` states."""
    if not isinstance(instr.imm, int):
        raise TypeError(f"{instr.op} needs a number, not {instr.imm!r}")
    return instr.imm


def loop_level(kernel: Kernel, loop: int) -> int:
    """Level of code that depends on the coordinate of `loop`."""
    if loop == kernel.ndim - 1:
        return BODY
    if kernel.kind == "row":
        return RUN if loop >= kernel.ndim - kernel.nreduced else ROW
    if kernel.kind == "col":
        return RUN if loop >= kernel.ndim - 1 - kernel.nreduced else ROW
    return ROW


def levels(kernel: Kernel) -> list[int]:
    """Level of every instr."""
    out: list[int] = []
    for instr in kernel.instrs:
        out.append(_level(kernel, instr, out))
    return out


def _level(kernel: Kernel, instr: Instr, known: list[int]) -> int:
    if instr.op in ("scalar", "const"):
        return ENTRY
    if instr.op == "index":
        return loop_level(kernel, number_of(instr))
    if instr.op == "reduced":
        return ROW
    if instr.op == "load":
        operand = kernel.operands[number_of(instr)]
        if operand.mode == "scratch":
            return BODY
        moving = [loop_level(kernel, d) for d, c in enumerate(operand.strides) if c]
        # What the kernel also writes, or another block of it, is read where the loops have got to.
        return max(moving, default=ENTRY if operand.mode == "r" and not kernel.blocked else ROW)
    return max((known[a] for a in instr.args), default=ENTRY)


def loop_dtype(instrs: tuple[Instr, ...], instr: Instr) -> str:
    """The dtype an instr computes in: its operands' ('where': that of the choices)."""
    if instr.op == "where":
        return instr.dtype
    return instrs[instr.args[0]].dtype if instr.args else instr.dtype


def lanes(kernel: Kernel, section: Section, first: int, level: list[int], vector_bytes: int) -> int:
    """Elements per vector of an inner section: a native register of the widest dtype that its body touches, at least 4."""
    widest, limit = 1, vector_bytes
    instrs = kernel.instrs
    for number in range(first, first + len(section.instrs)):
        instr = instrs[number]
        if level[number] == BODY:
            widest = max(
                widest,
                item_size(part(instr.dtype)),
                *(item_size(part(instrs[a].dtype)) for a in instr.args),
                1,
            )
            if instr.op == "load" and kernel.operands[number_of(instr)].strides[-1] != 1:
                limit = vector_bytes // 4
    for operand, value in section.stores:
        widest = max(widest, item_size(part(instrs[value].dtype)))
        if kernel.operands[operand].strides[-1] != 1:
            limit = vector_bytes // 4
    for reduce in section.reduces:
        widest = max(widest, item_size(part(instrs[reduce.value].dtype)))
        if reduce.combine.startswith("arg"):
            limit = vector_bytes // 8  # positions are 64-bit integers
    return max(4, min(vector_bytes // widest, limit))


class Values:
    """Registers of a kernel's instrs: scalars of hoisted ones, their spreads, and the vectors of the body being written."""

    def __init__(self, kernel: Kernel, flow: Flow) -> None:
        self.kernel = kernel
        self.instrs = kernel.instrs
        self.levels = levels(kernel)
        self.flow = flow
        self.scalars: dict[int, Value] = {}
        self.spreads: dict[tuple[int, int], Value] = {}
        #: instrs of bodies that are not computed: accumulators take their operands
        self.absorbed: set[int] = set()
        self.inverses: dict[tuple[int, int], Inverse] = {}
        self._preheader: list[object] = flow.entry
        #: insertion points for levels ENTRY, ROW, RUN
        self.holes: list[list[object]] = [flow.entry, flow.entry, flow.entry]

    def hoist(self, first: int, count: int, level: int, source: Callable[[Code, int], Value]) -> None:
        """Compute the instrs of `level` among instrs [first, first + count) at the level's hole. `source` gives the values of
        'load', 'scalar', 'index' and 'reduced' instrs."""
        code = self.flow.code(1, self.holes[level])
        for number in range(first, first + count):
            if self.levels[number] == level and (level >= RUN or number not in self.scalars):
                self.scalars[number] = self._compute(code, number, self.scalars.__getitem__, source)

    def forget(self, level: int) -> None:
        """Drop spreads at `level`: their loop is left."""
        self.spreads = {k: v for k, v in self.spreads.items() if self.levels[k[0]] != level}

    def vector(self, width: int, number: int) -> Value:
        """A hoisted instr spread over `width` lanes, at its level."""
        known = self.spreads.get((number, width))
        if known is None:
            code = self.flow.code(width, self.holes[self.levels[number]])
            known = code.splat(part(self.instrs[number].dtype), self.scalars[number])
            self.spreads[number, width] = known
        return known

    def preheader(self) -> None:
        """An insertion point here, in front of a loop that is done at least once, for `inverse`."""
        self.inverses = {k: v for k, v in self.inverses.items() if self.levels[k[0]] == ENTRY}
        self._preheader = self.flow.hole()

    def inverse(self, width: int, number: int) -> Inverse:
        """What dividing by a hoisted instr's value takes: made at entry if the value is, else in front of the loop."""
        known = self.inverses.get((number, width))
        if known is None:
            dtype = self.instrs[number].dtype
            hole = self.holes[ENTRY] if self.levels[number] == ENTRY else self._preheader
            one = divide.invert(self.flow.code(1, hole), dtype, self.scalars[number][0])
            wide = self.flow.code(width, hole)
            known = Inverse(*(wide.splat(dtype, (register,))[0] for register in one))
            self.inverses[number, width] = known
        return known

    def invertible(self, number: int) -> bool:
        """Whether an instr of the body divides real numbers by something that stays the same along the inner loop."""
        instr = self.instrs[number]
        return instr.op == "divide" and instr.dtype in ("f4", "f8") and self.levels[instr.args[1]] < BODY

    def body(
        self,
        width: int,
        first: int,
        count: int,
        source: Callable[[Code, int], Value],
        *,
        turns: bool = False,
    ) -> Callable[[int], Value]:
        """Compute the BODY instrs among [first, first + count) as vectors, here; gives the lookup of any instr's vector.
        `turns`: in a loop that has a preheader."""
        local: dict[int, Value] = {}

        def get(number: int) -> Value:
            return local[number] if number in local else self.vector(width, number)

        code = self.flow.code(width)
        for number in range(first, first + count):
            if self.levels[number] == BODY and number not in self.absorbed:
                exact = turns and self.flow.module.slow_division and self.invertible(number)
                local[number] = (
                    self._quotient(width, number, get) if exact else self._compute(code, number, get, source)
                )
        return get

    def _quotient(self, width: int, number: int, get: Callable[[int], Value]) -> Value:
        x, divisor = self.instrs[number].args
        inverse = self.inverse(width, divisor)
        dtype = self.instrs[number].dtype
        return (divide.divide(self.flow, width, dtype, get(x)[0], get(divisor)[0], inverse),)

    def _compute(
        self, code: Code, number: int, get: Callable[[int], Value], source: Callable[[Code, int], Value]
    ) -> Value:
        instr = self.instrs[number]
        if instr.op == "const":
            return literal(instr.dtype, instr.imm)
        if instr.op in ("load", "scalar", "index", "reduced"):
            return source(code, number)
        args = [get(a) for a in instr.args]
        return spell(code, instr.op, loop_dtype(self.instrs, instr), args, instr.dtype, instr.imm)


def read_scalar(code: Code, dtype: str, table: str, slot: str) -> Value:
    """A run-time scalar from its table slot (a pointer to its words; complex64 has both parts in one)."""
    pointer = code.let(f"getelementptr i64, ptr {table}, i64 {slot}")
    return load_scalar(code, dtype, pointer)
