"""From a cluster to a Kernel and the concrete numbers of its launch.

Decides the loop order, drops and merges loops, turns index maps into byte strides, and writes the scalar program of each
section. The result says which node's memory each operand is; where that memory lies is the schedule's business.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

from legate_jit.ir import dtypes, index
from legate_jit.ir.fuse import Cluster, Fused, Item, normalize, operand_views
from legate_jit.ir.index import Affine
from legate_jit.ir.kernel import Instr, Kernel, Operand, Reduce, Section
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.records import Field, fields
from legate_jit.ir.steps import Nest, Place

#: elements one work unit of an elementwise kernel should have
UNIT = 32768
#: simple operations below which a unit is not worth splitting further
MIN_UNIT_WORK = 20000
#: longest tile of the inner loop when several rows make one unit and operands disagree about the order of axes
CROSS_TILE = 256
CROSS_ROWS = 64
#: columns of a unit of a reduction over outer axes
COLUMN_TILE = 1024
#: columns that may be the lanes of one vector
NARROW = 16
#: a row value that costs at least this is kept in a scratch row for the next section instead of being recomputed
SCRATCH_COST = 8
SCRATCH_BYTES = 128 * 1024
#: results of at least this many bytes are written past the caches. The runtime of several ranks divides it by those of a node
STREAM_BYTES = 24 * 1024 * 1024
#: and bytes of the rows of such a result, unless it is one line
STREAM_ROW = 512


class _Ref(NamedTuple):
    """An operand before loops are known: strides in bytes per domain axis, plus the stride of the block axis."""

    node: Node | None
    dtype: str
    offset: int
    strides: tuple[int, ...]
    block_stride: int


class _Section:
    def __init__(self, level: str) -> None:
        self.level = level
        self.instrs: list[int] = []
        self.stores: list[tuple[int, int]] = []
        self.reduces: list[Reduce] = []


class _Program:
    """The scalar program of a cluster under construction, over the cluster's domain axes."""

    def __init__(self, cluster: Cluster, fused: Fused, stored: frozenset[Node]) -> None:
        self.cluster, self.materialized, self.stored = cluster, fused.materialized, stored
        self.refs: dict[_Ref, int] = {}
        self.written: set[int] = set()
        self.read: set[int] = set()
        self.scalars: dict[int, int] = {}
        self.scalar_dtypes: list[str] = []
        self.instrs: list[Instr] = []
        self.sections: list[_Section] = []
        self.memo: dict[tuple[Node, Affine], int] = {}  # of the current section
        self.outer: dict[tuple[Node, Affine], int] = {}  # values of outer sections and reduced values
        # inner values of earlier sections: section, instr
        self.earlier: dict[tuple[Node, Affine], tuple[int, int]] = {}
        self.reduced: dict[Node, int] = {}
        # of a value with all it is made of, shared parts as often as they are used
        self.costs: dict[int, int] = {}
        self.own: dict[int, int] = {}  # of the one operation
        self.inner_length = 0

    # -- instrs --

    def emit(self, op: str, args: tuple[int, ...], dtype: str, imm: Hashable = None) -> int:
        section = self.sections[-1]
        section.instrs.append(len(self.instrs))
        self.instrs.append(Instr(op, args, dtype, imm))
        return len(self.instrs) - 1

    def ref(
        self, node: Node | None, dtype: str, offset: int, strides: tuple[int, ...], block: int = 0
    ) -> int:
        key = _Ref(node, dtype, offset, strides, block)
        return self.refs.setdefault(key, len(self.refs))

    def load(self, node: Node, view: Affine) -> int:
        size = node.dtype.itemsize
        offset, strides = index.elem_strides(view, node.shape)
        operand = self.ref(node, dtypes.code(node.dtype), offset * size, tuple(s * size for s in strides))
        self.read.add(operand)
        return self.emit("load", (), dtypes.code(node.dtype), operand)

    def scalar(self, node: Node) -> int:
        slot = node.arg
        assert isinstance(slot, int)
        if slot not in self.scalars:
            self.scalars[slot] = len(self.scalars)
            self.scalar_dtypes.append(dtypes.code(node.dtype))
        return self.emit("scalar", (), dtypes.code(node.dtype), self.scalars[slot])

    def coordinate(self, node: Node, view: Affine) -> int:
        axis = node.arg
        assert isinstance(axis, int)
        start, step, d = view.axes[axis]
        if d < 0:
            return self.emit("const", (), "i8", start)
        value = self.emit("index", (), "i8", d)
        if step != 1:
            value = self.emit("multiply", (value, self.emit("const", (), "i8", step)), "i8")
        return value if start == 0 else self.emit("add", (value, self.emit("const", (), "i8", start)), "i8")

    # -- expressions --

    def value(self, expression: Node, view: Affine, expand: Node | None) -> int:
        """Instr number of `expression` through `view`, emitting what is missing in the current section."""
        stack: list[tuple[Node, Affine]] = [(expression, view)]
        while stack:
            key = stack[-1]
            if key in self.memo:
                stack.pop()
                continue
            done = self.leaf(key[0], key[1], expand)
            if done is None:
                operands = list(operand_views(*key))
                missing = [o for o in operands if o not in self.memo]
                if missing:
                    stack.extend(reversed(missing))
                    continue
                done = self.apply(key[0], operands)
            self.memo[key] = done
            stack.pop()
        return self.memo[expression, view]

    def apply(self, n: Node, operands: list[tuple[Node, Affine]]) -> int:
        args = tuple(self.memo[o] for o in operands)
        if n.kind is Kind.MOVE or n.op.name == "full":
            return args[0]
        k = self.emit(n.op.name, args, dtypes.code(n.dtype), n.arg if n.op.name == "user" else None)
        self.own[k] = n.op.cost
        self.costs[k] = n.op.cost + sum(self.costs.get(a, 0) for a in args)
        return k

    def leaf(self, n: Node, view: Affine, expand: Node | None) -> int | None:
        """The instr of something that needs no operands here, else None."""
        match n.kind:
            case Kind.SCALAR:
                return self.scalar(n)
            case Kind.CONST:
                return self.emit("const", (), dtypes.code(n.dtype), n.arg)
            case Kind.GENERATE if n.op.name == "index" and n is not expand and n not in self.materialized:
                return self.coordinate(n, view)
            case Kind.GENERATE if n.op.name == "index" and n is expand:
                return self.coordinate(n, view)
            case Kind.GENERATE if n.op.name == "empty" and (n is expand or n not in self.materialized):
                return self.emit("const", (), dtypes.code(n.dtype), 0)
            case _:
                pass
        if n in self.cluster.produced and n is not expand:
            return self.inside(n, view)
        if n.kind is Kind.BUFFER or (n in self.materialized and n is not expand):
            return self.load(n, view)
        return self.kept_row(n, view)

    def inside(self, n: Node, view: Affine) -> int:
        """A value this cluster produces: forwarded, or read back from where an earlier section put it."""
        item = self.cluster.produced[n]
        key = (n, normalize(view, n.shape))
        if key in self.outer:
            return self.outer[key]
        if key in self.memo:
            return self.memo[key]
        if n in self.reduced:
            return self.emit("reduced", (), dtypes.code(n.dtype), self.reduced[n])
        assert item.where is not None and item.role == "map"
        if n in self.stored:
            return self.load(n, view)
        return self.scratch(key)

    def kept_row(self, n: Node, view: Affine) -> int | None:
        """An inlined value an earlier inner section computed: kept in a scratch row when recomputing costs more."""
        made = self.earlier.get((n, view))
        if made is None or self.sections[-1].level != "inner":
            return None
        if self.costs.get(made[1], 0) < SCRATCH_COST or not self.can_scratch(n):
            return None
        return self.scratch((n, view))

    def can_scratch(self, n: Node) -> bool:
        reduction = self.cluster.reduction
        assert reduction is not None
        long = [d for d in reduction.axes if self.cluster.domain[d] > 1]
        return len(long) <= 1 and self.cluster.domain[reduction.inner] * n.dtype.itemsize <= SCRATCH_BYTES

    def scratch(self, key: tuple[Node, Affine]) -> int:
        n = key[0]
        section, instr = self.earlier[key]
        reduction = self.cluster.reduction
        assert reduction is not None
        size = n.dtype.itemsize
        strides = tuple(size if d == reduction.inner else 0 for d in range(len(self.cluster.domain)))
        # One scratch row per value: the offset field only keeps their keys apart.
        operand = self.ref(None, dtypes.code(n.dtype), instr, strides)
        if (operand, instr) not in self.sections[section].stores:
            self.sections[section].stores.append((operand, instr))
        return self.emit("load", (), dtypes.code(n.dtype), operand)

    # -- sections --

    def open(self, level: str) -> None:
        """Start a section; inner values of the one before are only reachable through memory from now on."""
        if self.sections and self.sections[-1].level == "inner":
            number = len(self.sections) - 1
            self.earlier.update({k: (number, v) for k, v in self.memo.items()})
        elif self.sections:
            self.outer.update(self.memo)
        self.memo = {}
        self.sections.append(_Section(level))

    def needs_new_section(self, item: Item) -> bool:
        """Whether the item reads a reduced value that the open section is still accumulating."""
        pending = {n for n, k in self.reduced.items() if k >= self.first_pending}
        if not pending:
            return False
        stack, seen = [item.expression], set()
        while stack:
            n = stack.pop()
            if n in pending:
                return True
            if n in seen or n.kind is Kind.BUFFER or (n in self.cluster.produced and n is not item.node):
                continue
            seen.add(n)
            stack.extend(n.src)
        return False

    first_pending = 0

    def place(self, item: Item) -> None:
        level = "outer" if item.role == "outer" else "inner"
        current = self.sections[-1].level if self.sections else ""
        if current != level or (level == "inner" and self.needs_new_section(item)):
            self.open(level)
            self.first_pending = len(self.reduced)
        match item.role:
            case "reduce":
                self.reduce(item)
            case "copy":
                self.store(item.node, item.view, self.value(item.expression, item.view, None))
            case "update":
                self.store(item.node, item.node.arg, self.value(item.expression, item.view, None))
            case "map" | "outer":
                self.map(item)

    def map(self, item: Item) -> None:
        assert item.where is not None
        k = self.value(item.expression, item.view, item.node)
        key = (item.node, normalize(item.where, item.node.shape))
        if item.role == "outer":
            self.outer[key] = k
        else:
            self.memo[key] = k
        if item.node in self.stored:
            self.store(item.node, item.where, k)

    def store(self, node: Node, view: Hashable, k: int) -> None:
        assert isinstance(view, Affine)
        size = node.dtype.itemsize
        offset, strides = index.elem_strides(view, node.shape)
        operand = self.ref(node, dtypes.code(node.dtype), offset * size, tuple(s * size for s in strides))
        self.written.add(operand)
        self.sections[-1].stores.append((operand, k))

    def reduce(self, item: Item) -> None:
        n, op = item.node, item.node.op
        jam = self.cluster.reduction.jam if self.cluster.reduction else -1
        for number in range(self.cluster.domain[jam] if jam >= 0 else 1):
            view = item.view if jam < 0 else index.fixed(item.view, jam, number)
            k = self.value(item.expression, view, None)
            operand = self.result_ref(n, jam, number) if not self.cluster.is_row else -1
            if operand >= 0:
                self.written.add(operand)
            self.sections[-1].reduces.append(Reduce(op.combine, k, dtypes.code(n.dtype), operand))
        self.reduced[n] = len(self.reduced)

    def result_ref(self, n: Node, jam: int = -1, number: int = 0) -> int:
        """Where a reduction's result goes: C-order over the kept axes, the axis of partial results last ('row') or first. With
        `jam`, an axis that is no loop: the result there at `number`."""
        reduction = self.cluster.reduction
        assert reduction is not None
        size, kept = n.dtype.itemsize, self.cluster.kept
        strides = [0] * len(self.cluster.domain)
        unit, block = size, 0
        if reduction.block and self.cluster.is_row:
            block = unit
            unit *= n.shape[-1]
        for d in reversed(kept):
            strides[d] = unit
            unit *= self.cluster.domain[d]
        if reduction.block and not self.cluster.is_row:
            block = unit
        offset = strides[jam] * number if jam >= 0 else 0
        return self.ref(n, dtypes.code(n.dtype), offset, tuple(strides), block)

    def finish(self) -> None:
        """Store what was reduced, for whoever needs it in memory ('col' results went there directly)."""
        if not self.cluster.is_row:
            return
        needed = [n for n in self.reduced if n in self.stored]
        if not needed:
            return
        if self.sections[-1].level == "inner" or any(self.reduced[n] >= self.first_pending for n in needed):
            self.open("outer")
        for n in needed:
            k = self.emit("reduced", (), dtypes.code(n.dtype), self.reduced[n])
            operand = self.result_ref(n)
            self.written.add(operand)
            self.sections[-1].stores.append((operand, k))


def build(cluster: Cluster, fused: Fused, stored: frozenset[Node]) -> Nest:
    """The kernel of a cluster. `stored`: the nodes that must be in memory when it is done."""
    program = _Program(cluster, fused, stored)
    for item in cluster.items:
        program.place(item)
    program.finish()
    return _Loops(program).nest()


class _Loops:
    """Chooses loops for a finished program."""

    def __init__(self, program: _Program) -> None:
        self.program, self.cluster = program, program.cluster
        self.refs = list(program.refs)
        self.indexed = {i.imm for i in program.instrs if i.op == "index"}

    def order(self) -> tuple[list[int], int, str]:
        """Domain axes as loops from outermost to innermost (unit extents dropped), reduced loops, kind."""
        domain, reduction = self.cluster.domain, self.cluster.reduction
        long = [d for d, n in enumerate(domain) if n != 1 and (reduction is None or d != reduction.jam)]
        if reduction is None:
            return self.map_order(long), 0, "map"
        reduced = [d for d in long if d in reduction.axes]
        kept = [d for d in long if d not in reduction.axes]
        if self.cluster.is_row:
            inner = [reduction.inner] if reduction.inner in reduced else reduced[-1:]
            reduced = [d for d in reduced if d not in inner] + inner
            return kept + reduced, len(reduced), "row"
        inner = [reduction.inner] if reduction.inner in kept else kept[-1:]
        return [d for d in kept if d not in inner] + reduced + inner, len(reduced), "col"

    def map_order(self, long: list[int]) -> list[int]:
        if len(long) < 2:
            return long
        votes = dict.fromkeys(long, 0)
        for k, r in enumerate(self.refs):
            size = dtypes.from_code(r.dtype).itemsize
            for d in long:
                if abs(r.strides[d]) == size:
                    votes[d] += 2 if k in self.program.written else 1
        inner = max(long, key=lambda d: (votes[d], d))
        if inner == long[-1]:
            return long
        leader = max(
            (r for r in self.refs), key=lambda r: abs(r.strides[inner]) == dtypes.from_code(r.dtype).itemsize
        )
        return sorted(long, key=lambda d: -abs(leader.strides[d]))

    def merged(self, order: list[int], nreduced: int, kind: str) -> tuple[list[list[int]], int]:
        """Groups of axes that one loop can run over (all operands step evenly through them)."""
        n = len(order)
        first_reduced = n - nreduced - (kind == "col")
        fences = {first_reduced, first_reduced + nreduced} if nreduced else set()
        if kind == "col":
            fences.add(n - 1)
            if self.cluster.reduction is not None and self.cluster.reduction.block:
                fences.add(first_reduced + 1)  # blocks cut the outermost reduced axis, and that alone
        groups: list[list[int]] = []
        for position, d in enumerate(order):
            if groups and position not in fences and self.even(groups[-1][-1], d):
                groups[-1].append(d)
            else:
                groups.append([d])
        reduced = sum(1 for g in groups if self.cluster.reduction and g[0] in self.cluster.reduction.axes)
        return groups, reduced

    def even(self, outer: int, inner: int) -> bool:
        if outer in self.indexed or inner in self.indexed:
            return False
        n = self.cluster.domain[inner]
        return all(r.strides[outer] == r.strides[inner] * n for r in self.refs)

    def nest(self) -> Nest:
        order, nreduced, kind = self.order()
        groups, nreduced = self.merged(order, nreduced, kind)
        domain = self.cluster.domain
        extents = [math.prod(domain[d] for d in g) for g in groups]
        steps = [g[-1] for g in groups]  # a merged loop steps like its innermost axis
        if kind == "row" and nreduced == 0:
            extents.append(1)
            steps.append(-1)
            nreduced = 1
        if kind == "col" and (nreduced == 0 or len(extents) < 2):
            extents, steps, nreduced = self.padded_col(extents, steps, nreduced)
        if not extents:
            extents, steps = [1], [-1]
        strides = [tuple(0 if d < 0 else r.strides[d] for d in steps) for r in self.refs]
        kernel = self.kernel(kind, extents, steps, strides, nreduced)
        return self.launch(kernel, extents, strides)

    def padded_col(
        self, extents: list[int], steps: list[int], nreduced: int
    ) -> tuple[list[int], list[int], int]:
        """A column reduction always has a reduced loop and an inner kept loop, of extent 1 if need be."""
        reduction = self.cluster.reduction
        assert reduction is not None
        if nreduced == 0:
            at = max(len(extents) - 1, 0)
            extents.insert(at, math.prod(self.cluster.domain[d] for d in reduction.axes))
            steps.insert(at, -1)
        if len(extents) < 2:
            extents.append(1)
            steps.append(-1)
        return extents, steps, max(nreduced, 1)

    def kernel(
        self, kind: str, extents: list[int], steps: list[int], strides: list[tuple[int, ...]], nreduced: int
    ) -> Kernel:
        program, ndim = self.program, len(extents)
        operands = []
        for k, r in enumerate(self.refs):
            size = dtypes.from_code(r.dtype).itemsize
            classes = tuple(
                0 if s == 0 else 1 if s == size and d == ndim - 1 else 2 for d, s in enumerate(strides[k])
            )
            mode = ("r" if k in program.read else "") + ("w" if k in program.written else "")
            stream = mode == "w" and kind == "map" and self.streams(r, classes, extents)
            operands.append(Operand(r.dtype, classes, "scratch" if r.node is None else mode, stream))
        for k, field in self.fields(operands, strides).items():
            operands[k] = operands[k]._replace(step=field.step, leader=field.leader, shift=field.shift)
        sections = tuple(
            Section(
                s.level,
                tuple(self.relooped(program.instrs[i], steps) for i in s.instrs),
                tuple(s.stores),
                tuple(s.reduces),
            )
            for s in program.sections
        )
        reduction = self.cluster.reduction
        return Kernel(
            kind,
            ndim,
            nreduced,
            tuple(operands),
            tuple(program.scalar_dtypes),
            sections,
            bool(reduction and reduction.block),
            1 << max(extents[-1] - 1, 3).bit_length() if kind == "col" and extents[-1] <= NARROW else 0,
        )

    def fields(self, operands: list[Operand], strides: list[tuple[int, ...]]) -> dict[int, Field]:
        """Which operands are fields of records."""
        arrays: dict[tuple[Node | None, tuple[int, ...]], list[int]] = {}
        for k, (r, o) in enumerate(zip(self.refs, operands, strict=True)):
            if o.mode == "r" and r.dtype[0] != "c":
                arrays.setdefault((r.node, strides[k]), []).append(k)
        found: dict[int, Field] = {}
        for (_, steps), members in arrays.items():
            size = dtypes.from_code(operands[members[0]].dtype).itemsize
            found.update(
                fields({k: self.refs[k].offset // size for k in members}, [s // size for s in steps])
            )
        return found

    def streams(self, r: _Ref, classes: tuple[int, ...], extents: list[int]) -> bool:
        """Whether a result is too large to be found in cache again, so that stores should not read it in first."""
        if classes[-1] != 1 or any(o.node is r.node and o is not r for o in self.refs):
            return False
        if len(extents) > 1 and extents[-1] * dtypes.from_code(r.dtype).itemsize < STREAM_ROW:
            return False  # too much of a row is at its ends, in lines of cache that are not wholly written
        return math.prod(self.cluster.domain) * dtypes.from_code(r.dtype).itemsize >= STREAM_BYTES

    @staticmethod
    def relooped(i: Instr, steps: list[int]) -> Instr:
        if i.op != "index":
            return i
        assert isinstance(i.imm, int)
        return i._replace(imm=steps.index(i.imm)) if i.imm in steps else Instr("const", (), i.dtype, 0)

    def launch(self, kernel: Kernel, extents: list[int], strides: list[tuple[int, ...]]) -> Nest:
        program = self.program
        cost = self.cost(kernel, strides)
        tile, ntiles, rows_per_unit, nblocks, units, work = _split(
            kernel, extents, strides, self.cluster, cost
        )
        places = tuple(
            Place(r.node, 0 if r.node is None else r.offset, strides[k], r.block_stride)
            for k, r in enumerate(self.refs)
        )
        return Nest(
            kernel,
            tuple(extents),
            tile,
            ntiles,
            rows_per_unit,
            nblocks,
            places,
            tuple(program.scalars),
            units,
            work,
        )

    def cost(self, kernel: Kernel, strides: list[tuple[int, ...]]) -> int:
        """What one element costs: every operation once whose value changes along the inner loop (the others are computed outside
        of it), and one for each value that is only moved or reduced."""
        own = self.program.own
        changes: set[int] = set()
        for k, i in enumerate(kernel.instrs):
            if i.op == "load":
                assert isinstance(i.imm, int)
                moves = strides[i.imm][-1] != 0
            elif i.op == "index":
                moves = i.imm == kernel.ndim - 1
            else:
                moves = not changes.isdisjoint(i.args)
            if moves:
                changes.add(k)
        inner = [s for s in kernel.sections if s.level == "inner"]
        results = [k for s in inner for k in [v for _, v in s.stores] + [r.value for r in s.reduces]]
        computed = sum(own.get(k, 0) for k in changes)
        return max(computed + sum(1 for k in results if k not in own), 1)


def _split(
    kernel: Kernel, extents: list[int], strides: list[tuple[int, ...]], cluster: Cluster, cost: int
) -> tuple[int, int, int, int, int, int]:
    """tile, ntiles, rows per unit, nblocks, number of units, work per unit. Depends on shapes only."""
    inner = extents[-1]
    reduction = cluster.reduction
    block = reduction.block if reduction else 0
    if kernel.kind == "map":
        rows = math.prod(extents[:-1])
        tile, rows_per_unit = _map_unit(kernel, rows, inner, cost)
        ntiles = -(-inner // tile) if inner else 0
        return tile, ntiles, rows_per_unit, 0, ntiles * -(-rows // rows_per_unit), tile * rows_per_unit * cost
    if kernel.kind == "row":
        kept = math.prod(extents[: kernel.ndim - kernel.nreduced])
        length = math.prod(extents[kernel.ndim - kernel.nreduced :])
        if not block:
            return inner, 1, 1, 1, kept, length * cost
        nblocks = -(-inner // block)
        return block, nblocks, 1, nblocks, kept * nblocks, block * cost
    first = kernel.ndim - 1 - kernel.nreduced
    outer = math.prod(extents[:first])
    tile = min(max(inner, 1), COLUMN_TILE)
    ntiles = -(-inner // tile) if inner else 0
    rows = extents[first]
    nblocks = -(-rows // block) if block else 1
    per_unit = min(block or rows, rows) * math.prod(extents[first + 1 : -1]) * tile * cost
    return tile, ntiles, block or rows, nblocks, outer * nblocks * ntiles, per_unit


def _map_unit(kernel: Kernel, rows: int, inner: int, cost: int) -> tuple[int, int]:
    """Inner tile and rows of a unit: about UNIT elements, less when that would leave threads idle."""
    crossing = kernel.ndim > 1 and any(o.strides[-1] == 2 for o in kernel.operands)
    if crossing:
        tile = max(min(inner, CROSS_TILE), 1)
        return tile, max(1, min(rows, CROSS_ROWS))
    elements = rows * inner
    pieces = min(elements * cost // MIN_UNIT_WORK, 4 * max(1, elements // (4 * UNIT)) + 4)
    size = UNIT if pieces < 1 else min(UNIT, -(-elements // (-(-pieces // 4) * 4)))
    if inner >= 2 * size:
        return -(-size // 64) * 64, 1
    return max(inner, 1), max(1, min(rows, -(-size // max(inner, 1))))
