"""Verifiers of kernels and of their launches: see `ir.kernel` for the rules they check. Knows no graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from legate_jit.ir import dtypes
from legate_jit.ir.checks.verify import require
from legate_jit.ir.kernel import Instr, Kernel, Operand
from legate_jit.ir.steps import Nest

_COMPARES = frozenset({"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"})
_TESTS = frozenset(
    {"logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf", "isfinite", "signbit"}
)
_MIXED = frozenset({"where", "cast", "real", "imag", "complex", "absolute", "random", "user"})
_LEAVES = frozenset({"load", "scalar", "const", "index", "reduced"})


def span(extents: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Lowest and highest byte offset that steps of `strides` over `extents` (all positive) reach."""
    ends = [(n - 1) * s for n, s in zip(extents, strides, strict=True)]
    return sum(min(e, 0) for e in ends), sum(max(e, 0) for e in ends)


def verify_kernel(kernel: Kernel, stage: str) -> None:
    """SSA form, visibility between sections, dtypes, operand modes and stride classes."""
    require(kernel.kind in ("map", "row", "col"), stage, kernel.kind, "unknown kind of kernel")
    require(0 <= kernel.nreduced <= kernel.ndim and kernel.ndim > 0, stage, kernel, "loops")
    require(
        (kernel.nreduced == 0) == (kernel.kind == "map"),
        stage,
        kernel,
        "reduced loops of a kernel of this kind",
    )
    for o in kernel.operands:
        require(len(o.strides) == kernel.ndim, stage, o, "stride classes per loop")
        require(1 not in o.strides[:-1], stage, o, "unit stride outside the inner loop")
        require(o.mode in ("r", "w", "rw", "scratch"), stage, o, "mode")
        _verify_field(kernel, o, stage)
    _Sections(kernel, stage).check()


def _verify_field(kernel: Kernel, o: Operand, stage: str) -> None:
    leads = o.leader < 0 and o.shift == 0
    require(o.mode == "r" or (leads and o.step == 0), stage, o, "a field that is not only read")
    require(o.step == 0 or (o.step > 1 and o.strides[-1] == 2), stage, o, "records of no length")
    if not leads:
        require(0 <= o.leader < len(kernel.operands) and o.shift > 0, stage, o, "no leader")
        lead = kernel.operands[o.leader]
        like = (lead.strides, lead.dtype, lead.mode, lead.step, lead.leader)
        require(like == (o.strides, o.dtype, "r", o.step, -1), stage, o, "not a field as its leader is")


class _Sections:
    def __init__(self, kernel: Kernel, stage: str) -> None:
        self.kernel, self.stage = kernel, stage
        self.instrs = kernel.instrs
        self.section_of = [k for k, s in enumerate(kernel.sections) for _ in s.instrs]
        self.reduced = 0
        self.read: set[int] = set()
        self.written: set[int] = set()

    def check(self) -> None:
        kernel, stage = self.kernel, self.stage
        if kernel.kind == "col":
            require(len(kernel.sections) == 1, stage, kernel, "a column reduction has one section")
        at = 0
        for k, section in enumerate(kernel.sections):
            require(kernel.kind == "row" or section.level == "inner", stage, section, "an outer section")
            for i in section.instrs:
                self.instr(i, at, k)
                at += 1
            for operand, value in section.stores:
                self.visible(value, at, k)
                require(0 <= operand < len(kernel.operands), stage, section, "a store to no operand")
                o = kernel.operands[operand]
                require(o.dtype == self.instrs[value].dtype, stage, o, f"stores {self.instrs[value].dtype}")
                require(o.mode != "r", stage, o, "a store to an operand that is only read")
                if section.level == "outer":
                    still = all(c == 0 for c in o.strides[kernel.ndim - kernel.nreduced :])
                    require(still, stage, o, "an outer store that moves along reduced loops")
                self.written.add(operand)
            for r in section.reduces:
                require(section.level == "inner", stage, section, "a reduction outside the loops")
                self.visible(r.value, at, k)
                position = r.combine in ("argmax", "argmin")
                same = r.dtype == ("i8" if position else self.instrs[r.value].dtype)
                require(same, stage, r, f"accumulates {self.instrs[r.value].dtype}")
                require((r.operand >= 0) == (kernel.kind == "col"), stage, r, "where the result goes")
                if r.operand >= 0:
                    self.written.add(r.operand)
            self.reduced += len(section.reduces)
        self.modes()

    def modes(self) -> None:
        for k, o in enumerate(self.kernel.operands):
            if o.mode == "scratch":
                require(
                    {k} <= self.read & self.written, self.stage, o, "a scratch row not both written and read"
                )
                continue
            mode = ("r" if k in self.read else "") + ("w" if k in self.written else "")
            require(mode == o.mode, self.stage, o, f"is used as {mode!r}")
            require(not o.stream or o.mode == "w", self.stage, o, "streams what is read")

    def visible(self, value: int, at: int, section: int) -> None:
        require(0 <= value < at, self.stage, value, "a value used before it is made")
        home = self.section_of[value]
        outer = self.kernel.sections[home].level == "outer"
        require(
            home == section or outer, self.stage, self.instrs[value], "an inner value used in a later section"
        )

    def instr(self, i: Instr, at: int, section: int) -> None:
        stage, kernel = self.stage, self.kernel
        dtypes.from_code(i.dtype)
        for a in i.args:
            self.visible(a, at, section)
        given = [self.instrs[a].dtype for a in i.args]
        match i.op:
            case "load":
                require(
                    isinstance(i.imm, int) and 0 <= i.imm < len(kernel.operands), stage, i, "no such operand"
                )
                assert isinstance(i.imm, int)
                require(kernel.operands[i.imm].dtype == i.dtype, stage, i, "loads another dtype")
                self.read.add(i.imm)
            case "scalar":
                assert isinstance(i.imm, int)
                require(
                    i.imm < len(kernel.scalars) and kernel.scalars[i.imm] == i.dtype,
                    stage,
                    i,
                    "no such scalar",
                )
            case "index":
                assert isinstance(i.imm, int)
                require(0 <= i.imm < kernel.ndim and i.dtype == "i8", stage, i, "no such loop")
            case "reduced":
                assert isinstance(i.imm, int)
                require(0 <= i.imm < self.reduced, stage, i, "a result that is not there yet")
            case "where":
                require(given == ["b1", i.dtype, i.dtype], stage, i, f"operands {given}")
            case _ if i.op in _COMPARES or i.op in _TESTS:
                require(i.dtype == "b1" and len(set(given)) == 1, stage, i, f"operands {given}")
            case _ if i.op not in _MIXED and i.op not in _LEAVES:
                require(set(given) == {i.dtype}, stage, i, f"operands {given}")
            case _:
                pass


def verify_nest(nest: Nest, nbytes: Sequence[int], stage: str) -> None:
    """One launch: its units cover the index space once, and its operands lie in their storages (`nbytes` each)."""
    kernel = nest.kernel
    require(len(nest.extents) == kernel.ndim, stage, nest.extents, "extents per loop")
    require(len(nest.places) == len(kernel.operands) == len(nbytes), stage, nest, "places per operand")
    require(not kernel.narrow or nest.extents[-1] <= kernel.narrow, stage, nest, "a long inner loop")
    require(len(nest.scalars) == len(kernel.scalars), stage, nest, "scalars")
    require(
        nest.units == _units(nest, stage), stage, nest, f"{nest.units} units instead of {_units(nest, stage)}"
    )
    for place, operand, size in zip(nest.places, kernel.operands, nbytes, strict=True):
        item = dtypes.from_code(operand.dtype).itemsize
        for d, (c, s) in enumerate(zip(operand.strides, place.strides, strict=True)):
            true = c == 2 or (c == 0 and s == 0) or (c == 1 and s == item and d == kernel.ndim - 1)
            require(true, stage, place, f"stride class {c} of loop {d} is not true")
        if operand.mode == "scratch":
            continue
        require(
            operand.step in (0, place.strides[-1] / item), stage, place, f"not {operand.step} elements a step"
        )
        if operand.leader >= 0:
            lead = nest.places[operand.leader]
            require(
                place == lead._replace(offset=lead.offset + operand.shift * item),
                stage,
                place,
                "not beside its leader",
            )
        if 0 not in nest.extents:
            lo, hi = span(nest.extents, place.strides)
            last = (nest.nblocks - 1) * place.block_stride if kernel.blocked else 0
            fits = place.offset + lo + min(last, 0) >= 0 and place.offset + hi + max(last, 0) + item <= size
            require(fits, stage, place, f"outside its {size} bytes")


def _units(nest: Nest, stage: str) -> int:
    kernel, extents = nest.kernel, nest.extents
    inner, first = extents[-1], kernel.ndim - kernel.nreduced
    match kernel.kind:
        case "map":
            require(nest.tile > 0 and nest.rows_per_unit > 0, stage, nest, "empty tiles")
            require(
                nest.ntiles == -(-inner // nest.tile), stage, nest, "tiles that do not cover the inner loop"
            )
            return nest.ntiles * -(-math.prod(extents[:-1]) // nest.rows_per_unit)
        case "row":
            if kernel.blocked:
                require(
                    kernel.nreduced == 1 and nest.nblocks == -(-inner // nest.tile), stage, nest, "blocks"
                )
                return math.prod(extents[:first]) * nest.nblocks
            return math.prod(extents[:first])
        case _:
            first -= 1
            require(nest.tile > 0 and nest.ntiles == -(-inner // nest.tile), stage, nest, "tiles")
            if kernel.blocked:
                require(nest.nblocks == -(-extents[first] // nest.rows_per_unit), stage, nest, "blocks")
            return math.prod(extents[:first]) * max(nest.nblocks, 1) * nest.ntiles
