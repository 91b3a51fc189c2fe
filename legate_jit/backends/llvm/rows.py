"""'row' kernels as LLVM IR: the last loops are reduced, with accumulators in registers.

For every kept index the sections run in order. Float sums are flushed in blocks into compensated sums (`llvm_reduce`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from legate_jit.backends.llvm.access import Place, store_scalar
from legate_jit.backends.llvm.args import Loop, Pointers, walk
from legate_jit.backends.llvm.emitter import Emitter
from legate_jit.backends.llvm.flow import Carried, Flow
from legate_jit.backends.llvm.reduce import SUM_TURNS, Accumulator, two_sum
from legate_jit.backends.llvm.scratch import allocate
from legate_jit.backends.llvm.sweep import States, Sweep
from legate_jit.backends.llvm.text import Value, item_size
from legate_jit.backends.llvm.values import ROW, RUN, lanes
from legate_jit.ir.kernel import Kernel, Section

#: Leaf of the nest of reduced loops: given the linear number of the run and the carried registers, gives the next ones.
Leaf = Callable[[str, list[str]], list[str]]
#: Per accumulator, the high and low parts of a compensated sum (empty for others).
Sums = list[tuple[list[str], list[str]]]


class RowEmitter(Emitter):
    """Kernels that reduce their last loops, and row-wise kernels with several passes over a row."""

    def __init__(self, kernel: Kernel, flow: Flow) -> None:
        super().__init__(kernel, flow)
        self.kept = kernel.ndim - kernel.nreduced
        self.first = self.last = "0"
        self.scratch: dict[int, str] = {}

    def emit(self) -> None:
        """Units are kept indices (times blocks of the inner loop)."""
        loops = [self.loop(d, self.in_memory()) for d in range(self.kept)]
        if self.kernel.blocked:
            loops.append(self._block_loop())
        release = self._allocate_scratch()
        walk(self.flow, loops, self.bases(), "%lo", "%hi", self._row)
        release()

    def _block_loop(self) -> Loop:
        """The loop over blocks of the inner loop: moves the partial results only, as inner indices count from the row's start."""
        strides = {
            k: self.arguments.stride(k, self.kernel.ndim)
            for k, operand in enumerate(self.kernel.operands)
            if operand.mode == "w" and not operand.strides[-1]
        }
        return Loop(self.kernel.ndim, self.arguments.ntiles, strides)

    def _row(self, pointers: Pointers, coordinates: dict[int, str]) -> None:
        self.pointers, self.coordinates = pointers, dict(coordinates)
        self.first, self.last = "0", self.arguments.extent(self.inner)
        if self.kernel.blocked:
            self.first = self.flow.multiply(coordinates[self.kernel.ndim], self.arguments.tile)
            self.last = self.flow.least(self.flow.add(self.first, self.arguments.tile), self.last)
        self._place_scratch()
        for number, section in enumerate(self.kernel.sections):
            self.hoist(number, ROW)
            if section.level == "outer":
                self._outer_stores(section)
            else:
                self._inner_section(number, section)

    def _outer_stores(self, section: Section) -> None:
        for operand, value in section.stores:
            dtype = self.kernel.operands[operand].dtype
            store_scalar(self.flow.code(), dtype, self.pointers[operand], self.values.scalars[value])

    # ------------------------------------------------------------ scratch rows

    def _allocate_scratch(self) -> Callable[[], None]:
        """Memory for the scratch operands, once per call. Gives the code that releases it."""
        sizes = {k: item_size(o.dtype) for k, o in enumerate(self.kernel.operands) if o.mode == "scratch"}
        extents = [self.arguments.extent(d) for d in range(self.kept, self.kernel.ndim)]
        count = self.arguments.tile if self.kernel.blocked else self.arguments.product(extents)
        self.scratch, release = allocate(self.flow, count, sizes)
        return release

    def _place_scratch(self) -> None:
        for k, pointer in self.scratch.items():
            self.pointers = {**self.pointers, k: self._back(k, pointer, self.first)}

    def _back(self, operand: int, pointer: str, count: str) -> str:
        """Pointer such that inner index `count` is at `pointer`."""
        if count == "0":
            return pointer
        size = item_size(self.kernel.operands[operand].dtype)
        return self.flow.offset(pointer, self.flow.multiply(count, -size))

    def place(self, operand: int) -> Place:
        """As for arrays; scratch rows are contiguous."""
        if operand in self.scratch:
            return Place(self.kernel.operands[operand].dtype, self.pointers[operand], padded=True)
        return super().place(operand)

    # ------------------------------------------------------------ inner sections

    def _inner_section(self, number: int, section: Section) -> None:
        accumulators = self.accumulators_of(number)
        module = self.flow.module
        width = lanes(self.kernel, section, self.firsts[number], self.values.levels, module.vector_bytes)
        pass_ = _Pass(self, number, accumulators, width, self._unroll(number, accumulators))
        final = self._nest(self.kept, "0", pass_.start(), pass_.leaf)
        self.values.forget(RUN)
        self.reduced += pass_.finish(final)

    def _unroll(self, number: int, accumulators: list[Accumulator]) -> int:
        """Independent accumulators hide the latency of cheap bodies; costly ones have work enough, but float sums of them pay for
        the end of every block of turns, too."""
        registers, cost = sum(len(a.elements()) for a in accumulators), self.cost(number)
        if not registers or cost > 64:
            return 1
        if cost > 24:
            return 2 if any(a.compensated for a in accumulators) else 1
        return 4 if registers <= 2 and cost <= 8 else 2

    def _nest(self, loop: int, linear: str, state: list[Carried], leaf: Leaf) -> list[str]:
        """The loops over the reduced loops but the innermost; `linear` numbers the runs in row-major order."""
        if loop == self.inner:
            return leaf(linear, [r for _, r in state])
        level = self.loop(loop, self.in_memory())
        moving, outside = list(level.strides), self.pointers
        starts: list[Carried] = [("ptr", outside[k]) for k in moving]

        def turn(index: str, now: list[str]) -> list[str]:
            count = len(moving)
            self.pointers = {**outside, **dict(zip(moving, now[:count], strict=True))}
            self.coordinates[loop] = index
            run = self.flow.add(self.flow.multiply(linear, level.extent), index) if linear != "0" else index
            inside = [(kind, register) for (kind, _), register in zip(state, now[count:], strict=True)]
            following = self._nest(loop + 1, run, inside, leaf)
            moved = [self.flow.offset(p, level.strides[k]) for k, p in zip(moving, now[:count], strict=True)]
            return moved + following

        result = self.flow.loop("0", level.extent, 1, starts + state, turn)
        self.pointers = outside
        return result[len(moving) :]


class _Pass:
    """One inner section over a kept index: the state carried through its runs and how runs and blocks update it.

    The carried registers are, per accumulator, its unrolled states, then for compensated sums the high and low parts. Where
    runs may be short (several reduced loops) sums are flushed by count, which is carried last; else at the end of every
    block, and their unrolled states begin anew in each.
    """

    def __init__(
        self, emitter: RowEmitter, number: int, accumulators: list[Accumulator], width: int, unroll: int
    ) -> None:
        self.emitter = emitter
        self.flow = emitter.flow
        self.number = number
        self.accumulators = accumulators
        self.width = width
        self.unroll = unroll
        self.block = SUM_TURNS * width * unroll
        self.sums = any(a.compensated for a in accumulators)
        self.counted = self.sums and emitter.kernel.nreduced > 1

    def start(self) -> list[Carried]:
        """The initial carried registers."""
        code = self.flow.code(self.width)
        carried: list[Carried] = []
        for a in self.accumulators:
            for _ in range(self._copies(a)):
                carried += zip(a.types(self.width), a.start(code, self.emitter.first), strict=True)
            if a.compensated:
                carried += [(t, r) for t, r in zip(a.types(self.width), a.start(code), strict=True)] * 2
        return [*carried, ("i64", "0")] if self.counted else carried

    def _copies(self, accumulator: Accumulator) -> int:
        """How many unrolled states of the accumulator are carried."""
        return 0 if accumulator.compensated and not self.counted else self.unroll

    def _types(self) -> list[str]:
        out: list[str] = []
        for a in self.accumulators:
            out += a.types(self.width) * (self._copies(a) + (2 if a.compensated else 0))
        return [*out, "i64"] if self.counted else out

    def _open(self, registers: list[str]) -> tuple[States, Sums, str]:
        """(states, (high, low) of each accumulator, count) from carried registers."""
        rest = iter(registers)
        states: States = []
        sums: Sums = []
        for a in self.accumulators:
            states.append([[next(rest) for _ in a.elements()] for _ in range(self._copies(a))])
            pair = (
                ([next(rest) for _ in a.elements()], [next(rest) for _ in a.elements()])
                if a.compensated
                else ([], [])
            )
            sums.append(pair)
        return states, sums, next(rest, "0")

    def _close(self, states: States, sums: Sums, count: str) -> list[str]:
        out: list[str] = []
        for a, copies, (high, low) in zip(self.accumulators, states, sums, strict=True):
            out += [r for copy in copies[: self._copies(a)] for r in copy] + high + low
        return [*out, count] if self.counted else out

    def leaf(self, linear: str, registers: list[str]) -> list[str]:
        """One run of the inner loop."""
        emitter = self.emitter
        emitter.hoist(self.number, RUN)
        first, last = emitter.first, emitter.last
        position = "0"
        if linear != "0":
            position = self.flow.multiply(linear, emitter.arguments.extent(emitter.inner))
            for k in emitter.scratch:
                size = item_size(emitter.kernel.operands[k].dtype)
                start = self.flow.offset(emitter.scratch[k], self.flow.multiply(position, size))
                emitter.pointers = {**emitter.pointers, k: start}
        sweep = replace(
            emitter.sweep(self.number, self.unroll), accumulators=self.accumulators, position=position
        )
        if not self.sums:
            states, sums, count = self._open(registers)
            return self._close(sweep.run(first, last, states), sums, count)
        carried = list(zip(self._types(), registers, strict=True))
        return self.flow.loop(first, last, self.block, carried, lambda i, now: self._block(sweep, i, now))

    def _block(self, sweep: Sweep, first: str, registers: list[str]) -> list[str]:
        """Up to `block` elements, then the flush of the sums."""
        states, sums, count = self._open(registers)
        last = self.flow.least(self.flow.add(first, self.block), self.emitter.last)
        if not self.counted:
            code = self.flow.code(self.width)
            fresh = [
                c or [a.start(code)] * self.unroll for a, c in zip(self.accumulators, states, strict=True)
            ]
            states = sweep.run(first, last, fresh)
            return self._close(states, self._flush(states, sums, first), "0")
        states = sweep.run(first, last, states)
        count = self.flow.add(count, self.flow.let(f"sub nsw i64 {last}, {first}"))
        full = self.flow.let(f"icmp sge i64 {count}, {self.block}")
        now = list(zip(self._types(), self._close(states, sums, count), strict=True))
        return self.flow.when(
            full, now, lambda: self._close(self._anew(states), self._flush(states, sums), "0")
        )

    def _anew(self, states: States) -> States:
        """The states with the compensated accumulators' begun anew."""
        code = self.flow.code(self.width)
        return [
            [a.start(code)] * self.unroll if a.compensated else copies
            for a, copies in zip(self.accumulators, states, strict=True)
        ]

    def _flush(self, states: States, sums: Sums, first: str = "") -> Sums:
        """(high, low) of the compensated accumulators with their states added; the first block, at inner index `first`, simply
        sets them, so that short rows pay nothing."""
        code = self.flow.code(self.width)
        numbers = [n for n, a in enumerate(self.accumulators) if a.compensated]
        terms = {n: self.accumulators[n].merge_all(code, states[n]) for n in numbers}

        def add() -> list[str]:
            inside = self.flow.code(self.width)
            out: list[str] = []
            for n in numbers:
                high, low = two_sum(inside, self.accumulators[n].dtype, *sums[n], terms[n])
                out += high + low
            return out

        if first:
            initial: list[Carried] = []
            for n in numbers:
                a = self.accumulators[n]
                types = a.types(self.width)
                initial += [*zip(types, terms[n], strict=True), *zip(types, a.start(code), strict=True)]
            later = self.flow.let(f"icmp ne i64 {first}, {self.emitter.first}")
            registers = iter(self.flow.when(later, initial, add))
        else:
            registers = iter(add())
        flushed = list(sums)
        for n in numbers:
            elements = self.accumulators[n].elements()
            flushed[n] = ([next(registers) for _ in elements], [next(registers) for _ in elements])
        return flushed

    def finish(self, registers: list[str]) -> list[Value]:
        """Final scalar value of every Reduce of the section."""
        states, sums, _ = self._open(registers)
        if self.counted:
            sums = self._flush(states, sums)
        code = self.flow.code(self.width)
        results: list[Value] = []
        for n, a in enumerate(self.accumulators):
            if a.compensated:
                results.append(self._total(a, *sums[n]))
                continue
            state = a.across(self.flow, self.width, a.merge_all(code, states[n]))
            results.append((state[1],) if a.positional else tuple(state))
        return results

    def _total(self, a: Accumulator, high: list[str], low: list[str]) -> Value:
        """The value of a compensated sum; rows of one block have no low part."""
        flow = self.flow

        def correct() -> list[str]:
            return a.sum_across(flow, self.width, high, low)

        if self.counted:
            return tuple(correct())
        total = a.across(flow, self.width, high)
        length = flow.let(f"sub nsw i64 {self.emitter.last}, {self.emitter.first}")
        long = flow.let(f"icmp sgt i64 {length}, {self.block}")
        return tuple(flow.when(long, list(zip(a.elements(), total, strict=True)), correct))
