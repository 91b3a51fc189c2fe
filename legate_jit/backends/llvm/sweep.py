"""The inner loop of a section as LLVM IR: whole vectors, then one partial vector, with accumulators in registers.

Knows one run of the inner loop: where operands are along it (`Place`), which instrs vary along it. Not the outer loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from legate_jit.backends.llvm.access import Place, address, store
from legate_jit.backends.llvm.flow import Carried, Flow
from legate_jit.backends.llvm.partial import Partial
from legate_jit.backends.llvm.records import Loads
from legate_jit.backends.llvm.reduce import Accumulator
from legate_jit.backends.llvm.text import Code, Value, iota, item_size
from legate_jit.backends.llvm.values import BODY, Values, number_of
from legate_jit.ir.kernel import Section

#: Bytes of a line of cache.
LINE = 64
#: Per accumulator, per unrolled copy, the registers of its state.
States = list[list[list[str]]]
Get = Callable[[int], Value]


@dataclass
class Sweep:
    """One section's inner loop: `width` lanes, `unroll` vectors per turn with accumulators of their own. Or, without
    accumulators, `braid` vectors per turn computed in step, as one wide vector: long programs are chains of dependent
    operations that one vector alone cannot fill the processor with."""

    flow: Flow
    values: Values
    section: Section
    first: int
    width: int
    unroll: int
    places: dict[int, Place]
    braid: int = 1
    accumulators: list[Accumulator] = field(default_factory=list)
    #: scalar added to the inner index to give the position of an argmax / argmin
    position: str = "0"

    @property
    def reads(self) -> dict[int, Place]:
        """Places of the operands that the body loads."""
        loaded = range(self.first, self.first + len(self.section.instrs))
        instrs = self.values.instrs
        numbers = {
            number_of(instrs[n]) for n in loaded if instrs[n].op == "load" and self.values.levels[n] == BODY
        }
        return {k: self.places[k] for k in sorted(numbers)}

    @property
    def writes(self) -> dict[int, Place]:
        """Places of the operands that the body stores."""
        return {k: self.places[k] for k, _ in self.section.stores}

    def run(self, first: str, last: str, states: States | None = None) -> States:
        """Do the inner indices [first, last); gives the accumulators' states."""
        flow = self.flow
        begin = self._stream(first, last) if self._streamed() else first
        middle, done = self._turns(begin, last, self.unroll, states if states is not None else [])
        rest = [copies[:1] for copies in done]
        if self.unroll > 1:
            middle, rest = self._turns(middle, last, 1, rest)
        if self.braid > 1:
            flow.loop(middle, last, self.width, [], lambda i, now: self._partial(i, now, first, last))
            return []
        left = flow.less(middle, last)
        ended = flow.when(
            left, self._pack(rest), lambda: self._partial(middle, self._registers(rest), first, last)
        )
        tails = self._unpack(ended, 1)
        return [[tail[0], *copies[1:]] for tail, copies in zip(tails, done, strict=True)]

    def _turns(
        self, first: str, last: str, copies: int, states: States, *, stream: bool = False
    ) -> tuple[str, States]:
        """As many whole turns of `copies` vectors as there are; gives the index reached and the states."""
        step = self.width * self.braid * copies
        length = self.flow.let(f"sub nsw i64 {last}, {first}")
        middle = self.flow.add(first, self.flow.let(f"and i64 {length}, {-step}"))
        packed = self._pack(states)

        def run() -> list[str]:
            self.values.preheader()
            return self.flow.loop(
                first, middle, step, packed, lambda i, now: self._full(i, now, copies, stream), nonempty=True
            )

        registers = self.flow.when(self.flow.less(first, middle), packed, run)
        return middle, self._unpack(registers, copies)

    def _streamed(self) -> list[Place]:
        return [p for p in self.writes.values() if p.stream and not p.step]

    def _stream(self, first: str, last: str) -> str:
        """Store past the caches where the streamed operands allow it: partial vectors up to where the first of them begins a line
        of cache; from there, if all do, turns of whole lines, as parts of lines are slow to write. Gives the index reached."""
        flow, code = self.flow, self.flow.code()
        lead = self._streamed()[0]
        size = item_size(lead.dtype)
        narrowest = min(item_size(p.dtype) for p in self._streamed())
        copies = max(self.unroll, LINE // (self.width * self.braid * narrowest))
        missing = self._misalignment(address(code, lead, first), size, negate=True)
        head = flow.least(flow.add(first, flow.let(f"udiv i64 {missing}, {size}")), last)
        flow.loop(first, head, self.width, [], lambda i, now: self._partial(i, now, first, head))
        off = "0"
        for place in self._streamed():
            one = self._misalignment(address(code, place, head), item_size(place.dtype))
            off = one if off == "0" else flow.let(f"or i64 {off}, {one}")
        aligned = flow.let(f"icmp eq i64 {off}, 0")

        def whole() -> list[str]:
            return [self._turns(head, last, copies, [], stream=True)[0]]

        return flow.when(aligned, [("i64", head)], whole)[0]

    def _misalignment(self, pointer: str, size: int, negate: bool = False) -> str:
        """Bytes from the last boundary of lines and vectors to `pointer`, or on to the next one."""
        number = self.flow.let(f"ptrtoint ptr {pointer} to i64")
        if negate:
            number = self.flow.let(f"sub i64 0, {number}")
        return self.flow.let(f"and i64 {number}, {max(self.width * self.braid * size, LINE) - 1}")

    def _pack(self, states: States) -> list[Carried]:
        carried: list[Carried] = []
        for accumulator, copies in zip(self.accumulators, states, strict=True):
            types = accumulator.types(self.width)
            carried.extend((t, r) for copy in copies for t, r in zip(types, copy, strict=True))
        return carried

    def _unpack(self, registers: list[str], copies: int) -> States:
        rest = iter(registers)
        return [[[next(rest) for _ in a.elements()] for _ in range(copies)] for a in self.accumulators]

    def _registers(self, states: States) -> list[str]:
        return [r for copies in states for copy in copies for r in copy]

    def _full(self, index: str, now: list[str], count: int, stream: bool) -> list[str]:
        """One turn over `count` whole vectors."""
        states = self._unpack(now, count)
        for copy in range(count):
            i = self.flow.add(index, copy * self.width)
            width = self.width * self.braid
            get = self._body(i, width, Loads(self.places, i).load, turns=True)
            for operand, value in self.section.stores:
                place = self.places[operand]
                store(self.flow.code(width), place, i, get(value), stream=stream and place.stream)
            for number, accumulator in enumerate(self.accumulators):
                states[number][copy] = self._take(accumulator, states[number][copy], get, i)
        return self._registers(states)

    def _partial(self, index: str, now: list[str], first: str, last: str) -> list[str]:
        """One turn over a vector of which only the first lanes may exist."""
        states = self._unpack(now, 1)
        part = Partial(self.flow, self.width, (first, index, last), self.reads, self.writes)
        get = self._body(part.window, self.width, lambda code, k: part.load(k), turns=False)
        for operand, value in self.section.stores:
            part.store(operand, get(value))
        for number, accumulator in enumerate(self.accumulators):
            old = states[number][0]
            new = self._take(accumulator, old, get, part.window)
            states[number][0] = accumulator.masked(part.code, part.mask, new, old)
        part.finish()
        return self._registers(states)

    def _body(self, index: str, width: int, loader: Callable[[Code, int], Value], *, turns: bool) -> Get:
        def source(code: Code, number: int) -> Value:
            instr = self.values.instrs[number]
            if instr.op == "index":
                return (self._coordinates(code, index),)
            return loader(code, number_of(instr))

        return self.values.body(width, self.first, len(self.section.instrs), source, turns=turns)

    def _coordinates(self, code: Code, index: str) -> str:
        spread = code.splat("i8", (index,))[0]
        return code.let(f"add nsw {code.type('i8')} {spread}, {iota(code.width, 'i64')}")

    def _take(self, accumulator: Accumulator, state: list[str], get: Get, index: str) -> list[str]:
        code = self.flow.code(self.width)
        position = ""
        if accumulator.positional:
            position = self._coordinates(code, self.flow.add(self.position, index))
        return accumulator.take(code, state, [get(n) for n in accumulator.terms], position)
