"""A kernel's launch as a loop nest: pseudo code with NumPy's expressions, loops, tiles, units and sections.

Knows `ir.kernel` and `ir.steps` as data; no code generation, no addresses.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from legate_jit.cli.program import dtype_name
from legate_jit.ir import dtypes
from legate_jit.ir.kernel import Instr, Kernel, Reduce, Section
from legate_jit.ir.node import Node
from legate_jit.ir.steps import Launch, Nest, Place

LOOPS = "ijklmnopq"
#: how an op is spelled between its operands, and how strongly it binds (Python's order)
INFIX = {
    "logical_or": ("or", 1),
    "logical_and": ("and", 2),
    "less": ("<", 3),
    "less_equal": ("<=", 3),
    "greater": (">", 3),
    "greater_equal": (">=", 3),
    "equal": ("==", 3),
    "not_equal": ("!=", 3),
    "bitwise_or": ("|", 4),
    "bitwise_xor": ("^", 5),
    "bitwise_and": ("&", 6),
    "left_shift": ("<<", 7),
    "right_shift": (">>", 7),
    "add": ("+", 8),
    "subtract": ("-", 8),
    "multiply": ("*", 9),
    "divide": ("/", 9),
    "floor_divide": ("//", 9),
    "remainder": ("%", 9),
    "power": ("**", 11),
}
_CHAINS = (
    "add",
    "subtract",
    "multiply",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_and",
    "logical_or",
    "logical_and",
)
_UNARY, _ATOM = 10, 12
#: what accumulators hold at first
STARTS = {
    "add": "0",
    "multiply": "1",
    "maximum": "lowest",
    "minimum": "highest",
    "logical_or": "False",
    "logical_and": "True",
}
#: expressions used once are written where they are used, up to this many characters
WIDTH = 100

Names = Callable[[Node], str]


def nest_text(number: int, launch: Launch, names: Names) -> str:
    """Lines of one launch of kernel `number`; `names` gives the name of the memory a node lies in."""
    return "\n".join(_Text(number, launch, names).lines())


def variable(loop: int) -> str:
    """Name of a loop's index."""
    return LOOPS[loop] if loop < len(LOOPS) else f"i{loop}"


def element(place: Place, size: int, extents: tuple[int, ...], name: str) -> str:
    """The element an operand has at the loops' indices: `p[i+1, j]`, or `p.flat[401*i + j]` where loops cross axes."""
    assert place.node is not None
    offset, strides = place.offset // size, [s // size for s in place.strides]
    shape = place.node.shape
    if not shape:
        return name
    index = _per_axis(offset, strides, extents, shape)
    if index is not None:
        return f"{name}[{', '.join(index)}]"
    return f"{name}.flat[{_affine(offset, list(enumerate(strides)))}]"


def _per_axis(
    offset: int, strides: list[int], extents: tuple[int, ...], shape: tuple[int, ...]
) -> list[str] | None:
    units = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    starts = []
    for u in units:
        start, offset = divmod(offset, u) if u else (0, offset)
        starts.append(start)
    terms: list[list[tuple[int, int]]] = [[] for _ in shape]
    for loop, stride in enumerate(strides):
        if stride:
            axis = next((d for d, u in enumerate(units) if u and stride % u == 0 and shape[d] > 1), None)
            if axis is None:
                return None
            terms[axis].append((loop, stride // units[axis]))
    for start, of_axis, n in zip(starts, terms, shape, strict=True):
        ends = [start + step * (extents[loop] - 1) for loop, step in of_axis]
        if len(of_axis) > 1 or any(not 0 <= end < n for end in [start, *ends]):
            return None
    return [_affine(start, of_axis) for start, of_axis in zip(starts, terms, strict=True)]


def _affine(start: int, terms: list[tuple[int, int]]) -> str:
    parts = []
    for loop, step in terms:
        if step:
            name = variable(loop)
            parts.append(("-" if step < 0 else "+") + (name if abs(step) == 1 else f"{abs(step)}*{name}"))
    if start or not parts:
        if parts and parts[0][0] == "-":
            parts.insert(0, f"+{start}")
        else:
            parts.append(f"{start:+d}")
    return "".join(parts).removeprefix("+")


class _Text:
    def __init__(self, number: int, launch: Launch, names: Names) -> None:
        self.number, self.launch, self.nest, self.names = number, launch, launch.nest, names
        self.kernel: Kernel = launch.nest.kernel
        self.out: list[str] = []
        self.instrs = self.kernel.instrs
        self.uses = [0] * len(self.instrs)
        for i in self.instrs:
            for a in i.args:
                self.uses[a] += 1
        for s in self.kernel.sections:
            for k in [v for _, v in s.stores] + [r.value for r in s.reduces]:
                self.uses[k] += 1
        self.home = [n for n, s in enumerate(self.kernel.sections) for _ in s.instrs]
        self.crossing = {a for k, i in enumerate(self.instrs) for a in i.args if self.home[a] != self.home[k]}
        self.named = 0
        #: per instr its text, and how strongly its outermost operation binds
        self.values: dict[int, tuple[str, int]] = {}
        self.reduced: list[str] = []

    def lines(self) -> list[str]:
        self.out.append(self.header())
        self.out += self.operand_notes()
        match self.kernel.kind:
            case "map":
                self.map_loops()
            case "row":
                self.row_loops()
            case _:
                self.col_loops()
        return self.out

    def header(self) -> str:
        nest, kernel = self.nest, self.kernel
        shape = "x".join(map(str, nest.extents))
        reduced = f", {kernel.nreduced} reduced" if kernel.nreduced else ""
        take = f", taken {self.launch.chunk} at a time" if self.launch.chunk < nest.units else ", one thread"
        units = f"{nest.units} unit{'s' * (nest.units != 1)} of about {nest.work} operations{take}"
        return f"kernel k{self.number}: {kernel.kind} {shape}{reduced}  # {units}"

    def operand_notes(self) -> list[str]:
        """What the element expressions do not show."""
        notes = []
        for k, (operand, place) in enumerate(zip(self.kernel.operands, self.nest.places, strict=True)):
            if operand.stream:
                notes.append(f"    # {self.memory(k)}: stored past the caches")
            if place.node is None:
                notes.append(f"    # row{k}: a row of {operand.dtype} in cache, private to a unit")
        return notes

    def memory(self, operand: int) -> str:
        node = self.nest.places[operand].node
        return f"row{operand}" if node is None else self.names(node)

    def element(self, operand: int) -> str:
        place = self.nest.places[operand]
        if place.node is None:
            return f"row{operand}[{variable(self.kernel.ndim - 1)}]"
        size = dtypes.from_code(self.kernel.operands[operand].dtype).itemsize
        if self.kernel.blocked and place.block_stride:
            kept = [(d, s // size) for d, s in enumerate(place.strides)]
            block = place.block_stride // size
            text = _affine(place.offset // size, kept)
            rest = "" if text == "0" else f" + {text}"
            return f"{self.memory(operand)}.flat[{'' if block == 1 else f'{block}*'}block{rest}]"
        return element(place, size, self.nest.extents, self.memory(operand))

    # -- loops --

    def loop(self, d: int, depth: int, note: str = "", within: str = "") -> None:
        bounds = within or f"range({self.nest.extents[d]})"
        comment = f"  # {note}" if note else ""
        self.out.append("    " * depth + f"for {variable(d)} in {bounds}:{comment}")

    def map_loops(self) -> None:
        nest, last = self.nest, self.kernel.ndim - 1
        rows = math.prod(nest.extents[:-1])
        for d in range(last):
            note = ""
            if d == last - 1:
                note = f"a unit: {nest.rows_per_unit} rows" + (
                    f" of {rows}" if rows > nest.rows_per_unit else ""
                )
            self.loop(d, d + 1, note)
        tiled = f", a unit: {nest.tile} columns" if nest.ntiles > 1 else ""
        self.loop(last, last + 1, "vector" + tiled)
        for section in self.kernel.sections:
            self.body(section, last + 2)

    def row_loops(self) -> None:
        kernel, nest = self.kernel, self.nest
        kept = kernel.ndim - kernel.nreduced
        for d in range(kept):
            self.loop(d, d + 1, "a unit" if d == kept - 1 and not kernel.blocked else "")
        depth = kept + 1
        if kernel.blocked:
            self.out.append(
                "    " * depth + f"for block in range({nest.nblocks}):  # a unit: {nest.tile} elements"
            )
            depth += 1
        for section in kernel.sections:
            if section.level == "outer":
                self.body(section, depth)
                continue
            self.start(section, depth)
            for d in range(kept, kernel.ndim):
                inner = d == kernel.ndim - 1
                within = (
                    f"block_range(block, {nest.tile}, {nest.extents[d]})" if inner and kernel.blocked else ""
                )
                self.loop(d, depth + d - kept, "vector" if inner else "", within)
            self.body(section, depth + kernel.nreduced)

    def col_loops(self) -> None:
        kernel, nest = self.kernel, self.nest
        first, last = kernel.ndim - 1 - kernel.nreduced, kernel.ndim - 1
        for d in range(first):
            self.loop(d, d + 1)
        depth = first + 1
        if kernel.blocked:
            self.out.append("    " * depth + f"for block in range({nest.nblocks}):  # a unit")
            depth += 1
        (section,) = kernel.sections
        self.start(section, depth)
        for d in range(first, last):
            blocked = kernel.blocked and d == first
            within = f"block_range(block, {nest.rows_per_unit}, {nest.extents[d]})" if blocked else ""
            self.loop(d, depth, "", within)
            depth += 1
        tiled = f", a unit: {nest.tile} columns" if nest.ntiles > 1 else ""
        self.loop(last, depth, "vector" + tiled)
        self.body(section, depth + 1)

    # -- statements --

    def accumulator(self, number: int, r: Reduce) -> str:
        return f"r{number}" if r.operand < 0 else self.element(r.operand)

    def start(self, section: Section, depth: int) -> None:
        """Where accumulators begin."""
        first = len(self.reduced)
        for k, r in enumerate(section.reduces):
            name = f"acc{first + k}" if r.operand < 0 else self.element(r.operand)
            self.out.append("    " * depth + f"{name} = {STARTS.get(r.combine, 'none yet')}  # {r.dtype}")

    def body(self, section: Section, depth: int) -> None:
        base = next(n for n, s in enumerate(self.kernel.sections) if s is section)
        first = sum(len(s.instrs) for s in self.kernel.sections[:base])
        pad = "    " * depth
        for k in range(first, first + len(section.instrs)):
            text, binds = self.text(self.instrs[k])
            if self.folds(k, text):
                self.values[k] = (text, binds)
            else:
                self.out.append(f"{pad}t{self.named} = {text}  # {self.instrs[k].dtype}")
                self.values[k] = (f"t{self.named}", _ATOM)
                self.named += 1
        for operand, value in section.stores:
            self.out.append(f"{pad}{self.element(operand)} = {self.values[value][0]}")
        for r in section.reduces:
            name = f"acc{len(self.reduced)}" if r.operand < 0 else self.element(r.operand)
            self.out.append(f"{pad}{self.combined(r, name)}")
            self.reduced.append(name)

    def combined(self, r: Reduce, name: str) -> str:
        value = self.values[r.value][0]
        if r.combine in ("add", "multiply", "bitwise_and", "bitwise_or", "bitwise_xor"):
            return f"{name} {INFIX[r.combine][0]}= {value}"
        return f"{name} = {r.combine}({name}, {value})"

    def folds(self, k: int, text: str) -> bool:
        """Whether the value is written where it is used: leaves, and short expressions used once in their own section."""
        if k in self.crossing:
            return self.instrs[k].op in ("const", "scalar", "reduced")
        if self.instrs[k].op in ("const", "scalar", "reduced", "index"):
            return True
        return self.uses[k] == 1 and len(text) <= WIDTH

    def text(self, i: Instr) -> tuple[str, int]:
        match i.op:
            case "load":
                return self.element(int(str(i.imm))), _ATOM
            case "scalar":
                return f"s{self.nest.scalars[int(str(i.imm))]}", _ATOM
            case "const":
                return f"{i.imm}", _ATOM
            case "index":
                return variable(int(str(i.imm))), _ATOM
            case "reduced":
                return self.reduced[int(str(i.imm))], _ATOM
        args = [self.values[a] for a in i.args]
        if i.op in INFIX:
            return self.infix(i.op, *args)
        inside = ", ".join(t for t, _ in args)
        match i.op:
            case "cast":
                return f"{dtype_name(dtypes.from_code(i.dtype)).removeprefix('np.')}({inside})", _ATOM
            case "negative":
                t, binds = args[0]
                return (f"-({t})" if binds <= _UNARY else f"-{t}"), _UNARY
            case "user":
                return f"{i.imm}({inside})", _ATOM
            case _:
                return f"{i.op}({inside})", _ATOM

    @staticmethod
    def infix(op: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
        """Brackets where Python's reading would be another one; chains of + and * are read from the left."""
        sign, binds = INFIX[op]
        (x, of_x), (y, of_y) = left, right
        if of_x < binds or (of_x == binds and op not in _CHAINS):
            x = f"({x})"
        if of_y <= binds:
            y = f"({y})"
        return f"{x} {sign} {y}", binds


def traffic(nest: Nest) -> tuple[int, int]:
    """Bytes a launch reads and writes if every element of an operand moves once."""
    read = written = 0
    for operand, place in zip(nest.kernel.operands, nest.places, strict=True):
        if operand.mode == "scratch":
            continue
        nbytes = dtypes.from_code(operand.dtype).itemsize
        nbytes *= math.prod(n for n, s in zip(nest.extents, place.strides, strict=True) if s)
        if nest.kernel.blocked and place.block_stride:
            nbytes *= max(nest.nblocks, 1)
        read += nbytes if "r" in operand.mode else 0
        written += nbytes if "w" in operand.mode else 0
    return read, written


__all__ = ["element", "nest_text", "traffic"]
