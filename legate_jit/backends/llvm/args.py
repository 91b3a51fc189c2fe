"""Reading a kernel's argument block and walking its outer loops, as LLVM IR.

Words are read once, at entry, when first asked for. Knows the layout of `ir.kernel`; not what rows do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.text import Code
from legate_jit.ir.kernel import Kernel, operand_word, scalar_word


class Arguments:
    """The argument block and the table as registers."""

    def __init__(self, kernel: Kernel, flow: Flow) -> None:
        self.kernel = kernel
        self.flow = flow
        self.entry: Code = flow.code(1, flow.entry)
        self._words: dict[int, str] = {}
        self._bases: dict[int, str] = {}

    def word(self, number: int) -> str:
        """Word `number` of the argument block."""
        if number not in self._words:
            pointer = self.entry.let(f"getelementptr i64, ptr %args, i64 {number}")
            self._words[number] = self.entry.let(f"load i64, ptr {pointer}, align 8")
        return self._words[number]

    def extent(self, loop: int) -> str:
        """Extent of a loop."""
        return self.word(loop)

    @property
    def tile(self) -> str:
        """Inner tile length."""
        return self.word(self.kernel.ndim)

    @property
    def ntiles(self) -> str:
        """Tiles (or blocks of a blocked 'row') along the inner loop."""
        return self.word(self.kernel.ndim + 1)

    @property
    def rows_per_unit(self) -> str:
        """Rows of a unit, or iterations of a block."""
        return self.word(self.kernel.ndim + 2)

    @property
    def nblocks(self) -> str:
        """Blocks of a blocked 'col'."""
        return self.word(self.kernel.ndim + 3)

    def base(self, operand: int) -> str:
        """Pointer to an operand's first element."""
        if operand not in self._bases:
            word = operand_word(self.kernel, operand)
            slot = self.entry.let(f"getelementptr i64, ptr %table, i64 {self.word(word)}")
            start = self.entry.let(f"load i64, ptr {slot}, align 8")
            start = self.entry.let(f"add i64 {start}, {self.word(word + 1)}")
            self._bases[operand] = self.entry.let(f"inttoptr i64 {start} to ptr")
        return self._bases[operand]

    def stride(self, operand: int, loop: int) -> str:
        """Byte stride of an operand along a loop; `loop` == ndim is the block loop."""
        return self.word(operand_word(self.kernel, operand) + 2 + loop)

    def scalar_slot(self, scalar: int) -> str:
        """Table slot of a run-time scalar."""
        return self.word(scalar_word(self.kernel, scalar))

    def product(self, extents: list[str]) -> str:
        """Product of extents, at entry."""
        total = "1"
        for extent in extents:
            total = extent if total == "1" else self.entry.let(f"mul nsw i64 {total}, {extent}")
        return total


class Loop(NamedTuple):
    """An outer loop: its number (`ir.kernel`'s; ndim = the block loop), its extent, and the byte strides of the operands that
    move along it."""

    number: int
    extent: str
    strides: dict[int, str]


Pointers = dict[int, str]
#: What rows do, given the operands' pointers and the coordinates of the outer loops.
Body = Callable[[Pointers, dict[int, str]], None]


def walk(flow: Flow, loops: list[Loop], bases: Pointers, first: str, last: str, body: Body) -> None:
    """Do `body` for the rows [first, last), not empty, of the row-major index space of `loops`.

    The index is decoded once; then the innermost loop runs in segments with pointers moving, carrying at its end.
    """
    if not loops:
        body(bases, {})
    elif len(loops) == 1:
        pointers = _moved(flow, bases, loops[0].strides, first)
        _segment(flow, loops[0], pointers, first, last, lambda p, r: body(p, {loops[0].number: r}))
    else:
        _segments(flow, loops, bases, first, last, body)


def _moved(flow: Flow, pointers: Pointers, strides: dict[int, str], count: str) -> Pointers:
    """Pointers after `count` steps of a loop."""
    if count == "0":
        return pointers
    moved = {k: flow.offset(pointers[k], flow.multiply(count, s)) for k, s in strides.items()}
    return {**pointers, **moved}


def _segment(
    flow: Flow, loop: Loop, pointers: Pointers, first: str, last: str, body: Callable[[Pointers, str], None]
) -> None:
    """Rows [first, last) along one loop."""
    moving = list(loop.strides)

    def turn(row: str, now: list[str]) -> list[str]:
        body({**pointers, **dict(zip(moving, now, strict=True))}, row)
        return [flow.offset(p, loop.strides[k]) for k, p in zip(moving, now, strict=True)]

    flow.loop(first, last, 1, [("ptr", pointers[k]) for k in moving], turn, nonempty=True)


def _segments(flow: Flow, loops: list[Loop], bases: Pointers, first: str, last: str, body: Body) -> None:
    inner = loops[-1]

    def turn(state: list[str]) -> tuple[list[str], str]:
        row, index = state[0], state[1:]
        pointers = bases
        for loop, i in zip(loops, index, strict=True):
            pointers = _moved(flow, pointers, loop.strides, i)
        room = flow.let(f"sub nsw i64 {inner.extent}, {index[-1]}")
        end = flow.least(flow.add(row, room), last)
        outer = {loop.number: i for loop, i in zip(loops[:-1], index[:-1], strict=True)}
        shift = flow.let(f"sub nsw i64 {index[-1]}, {row}")

        def one(now: Pointers, r: str) -> None:
            body(now, {**outer, inner.number: flow.add(r, shift)})

        _segment(flow, inner, pointers, row, end, one)
        return [end, *_carry(flow, loops, index)], flow.less(end, last)

    flow.repeat([("i64", first), *(("i64", i) for i in _decode(flow, loops, first))], turn)


def _decode(flow: Flow, loops: list[Loop], row: str) -> list[str]:
    """Coordinates of a row number."""
    index: list[str] = []
    for loop in reversed(loops[1:]):
        index.insert(0, flow.let(f"urem i64 {row}, {loop.extent}"))
        row = flow.let(f"udiv i64 {row}, {loop.extent}")
    return [row, *index]


def _carry(flow: Flow, loops: list[Loop], index: list[str]) -> list[str]:
    """Coordinates of the row after a segment that reached the end of the innermost loop."""
    following = ["0"]
    carry = "true"
    for loop, i in reversed(list(zip(loops[:-1], index[:-1], strict=True))):
        up = flow.let(f"select i1 {carry}, i64 {flow.add(i, 1)}, i64 {i}")
        carry = flow.let(f"icmp eq i64 {up}, {loop.extent}")
        following.insert(0, flow.let(f"select i1 {carry}, i64 0, i64 {up}"))
    return following
