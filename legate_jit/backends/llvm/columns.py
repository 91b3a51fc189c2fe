"""'col' kernels as LLVM IR: reduced loops outside, the inner loop kept; accumulators live in the results' memory.

A unit is a tile of the inner loop (for one outer kept index and one block): its results are set to the identity, then
every reduced iteration, in order, combines its values into them; the tile stays in the nearest cache. Cheap bodies take
several reduced iterations per pass over the tile, which saves loads and stores of the results.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from legate_jit.backends.llvm.access import Place, load, store
from legate_jit.backends.llvm.args import Loop, Pointers, walk
from legate_jit.backends.llvm.emitter import Emitter
from legate_jit.backends.llvm.flow import Carried, Flow
from legate_jit.backends.llvm.partial import Partial
from legate_jit.backends.llvm.records import Loads
from legate_jit.backends.llvm.scratch import allocate
from legate_jit.backends.llvm.text import Code, Value, iota, item_size
from legate_jit.backends.llvm.values import ROW, RUN, lanes, number_of
from legate_jit.ir.kernel import Kernel

#: Reduced iterations per pass over a tile, and the costliest body that gets more than one.
_GROUP = 4
_CHEAP = 12
#: Results that are worth holding in registers: one alone waits for its own last addition there, too.
_MANY = 4
#: Keys of places in a partial vector: results by operand number, operands of the n-th iteration from _READS * (n + 1) on,
#: best values of positional accumulators from _BEST down.
_READS, _BEST = 1000, -1000


@dataclass
class _Iteration:
    """One reduced iteration of a group: where its operands are, its hoisted scalars and their spreads."""

    places: dict[int, Place]
    position: str
    scalars: dict[int, Value]
    spreads: dict[tuple[int, int], Value] = field(default_factory=dict)


#: What is done with a group of iterations, given the carried registers; gives the next ones.
_Leaf = Callable[[list[_Iteration], list[str]], list[str]]


def _load_partial(part: Partial, shift: int, code: Code, operand: int) -> Value:
    return part.load(shift + operand)


class ColEmitter(Emitter):
    """Kernels that reduce loops outside the inner one."""

    def __init__(self, kernel: Kernel, flow: Flow) -> None:
        super().__init__(kernel, flow)
        section = kernel.sections[0]
        self.section = section
        self.accumulators = self.accumulators_of(0)
        self.targets = [r.operand for r in section.reduces]
        self.kept = kernel.ndim - 1 - kernel.nreduced
        self.width = lanes(kernel, section, 0, self.values.levels, flow.module.vector_bytes)
        self.first = self.last = "0"
        self.best: dict[int, str] = {}
        self.bounds: dict[int, tuple[str, str]] = {}

    def emit(self) -> None:
        """Units are (outer kept index, block, tile)."""
        positional = {n: item_size(a.dtype) for n, a in enumerate(self.accumulators) if a.positional}
        self.best, release = allocate(self.flow, self.arguments.tile, positional)
        self.flow.loop("%lo", "%hi", 1, [], self._unit, nonempty=True)
        release()

    def _unit(self, unit: str, _: list[str]) -> list[str]:
        flow, arguments = self.flow, self.arguments
        extents = [arguments.extent(d) for d in range(self.kept)]
        rows = arguments.product([*extents, arguments.nblocks] if self.kernel.blocked else extents)
        tile = flow.let(f"udiv i64 {unit}, {rows}")
        row = flow.let(f"urem i64 {unit}, {rows}")
        bases = self.bases()
        outermost = arguments.extent(self.kept)
        self.bounds = {self.kept: ("0", outermost)}
        if self.kernel.blocked:
            block = flow.let(f"urem i64 {row}, {arguments.nblocks}")
            row = flow.let(f"udiv i64 {row}, {arguments.nblocks}")
            begin = flow.multiply(block, arguments.rows_per_unit)
            self.bounds = {
                self.kept: (begin, flow.least(flow.add(begin, arguments.rows_per_unit), outermost))
            }
            for k in self.targets:
                stride = arguments.stride(k, self.kernel.ndim)
                bases[k] = flow.offset(bases[k], flow.multiply(block, stride))
        self.first = flow.multiply(tile, arguments.tile)
        self.last = flow.least(flow.add(self.first, arguments.tile), arguments.extent(self.inner))
        loops = [self.loop(d, self.in_memory()) for d in range(self.kept)]
        walk(flow, loops, bases, row, flow.add(row, 1), self._tile)
        return []

    def _tile(self, pointers: Pointers, coordinates: dict[int, str]) -> None:
        self.pointers, self.coordinates = pointers, dict(coordinates)
        self.hoist(0, ROW)
        many = len(self.accumulators) >= _MANY and not any(a.positional for a in self.accumulators)
        if self.kernel.narrow and many:
            self._accumulate_in_registers()
        else:
            self._over_tile(self._begin_full, self._begin_partial)
            self._nest(self.kept, "0", [], self._pass)

    def _accumulate_in_registers(self) -> None:
        """A tile as a single vector, of several registers maybe: nothing is stored before the end."""
        self.width = self.kernel.narrow
        flow, code, accumulators = self.flow, self.flow.code(self.width), self.accumulators
        part = Partial(flow, self.width, (self.first, self.first, self.last), {}, self._results())
        assert part.mask  # made here, for all iterations
        starts: list[Carried] = []
        for a in accumulators:
            starts += zip(a.types(self.width), a.start(code), strict=True)

        def leaf(iterations: list[_Iteration], registers: list[str]) -> list[str]:
            self.values.holes[RUN] = flow.hole()
            rest = iter(registers)
            states = [[next(rest) for _ in a.elements()] for a in accumulators]
            for iteration in iterations:
                inside = part.reading(iteration.places)
                loader = functools.partial(_load_partial, inside, 0)
                states = self._take(iteration, states, part.window, loader)
            return [register for state in states for register in state]

        rest = iter(self._nest(self.kept, "0", starts, leaf))
        for k, a in zip(self.targets, accumulators, strict=True):
            part.store(k, tuple(next(rest) for _ in a.elements()))
        part.finish()

    def _over_tile(self, full: Callable[[str], None], partial: Callable[[str], None]) -> None:
        """The tile by whole vectors, then its last partial one."""
        flow = self.flow
        length = flow.let(f"sub nsw i64 {self.last}, {self.first}")
        middle = flow.add(self.first, flow.let(f"and i64 {length}, {-self.width}"))

        def as_turn(body: Callable[[str], None]) -> Callable[[str, list[str]], list[str]]:
            def turn(index: str, _: list[str]) -> list[str]:
                body(index)
                return []

            return turn

        flow.loop(self.first, middle, self.width, [], as_turn(full))
        flow.loop(middle, self.last, self.width, [], as_turn(partial))

    # ------------------------------------------------------------ results in memory

    def _results(self) -> dict[int, Place]:
        """Places of the accumulators' registers: results by operand number, best values of positional ones by _BEST - n."""
        places = {k: self.place(k) for k in self.targets}
        for n, pointer in self.best.items():
            size = item_size(self.accumulators[n].dtype)
            start = self.flow.offset(pointer, self.flow.multiply(self.first, -size))
            places[_BEST - n] = Place(self.accumulators[n].dtype, start, padded=True)
        return places

    def _state(self, number: int, get: Callable[[int], Value]) -> list[str]:
        """Accumulator `number`'s state, from its places."""
        result = list(get(self.targets[number]))
        return [*get(_BEST - number), *result] if self.accumulators[number].positional else result

    def _keep(self, number: int, state: list[str], put: Callable[[int, Value], None]) -> None:
        """Store accumulator `number`'s state to its places."""
        if self.accumulators[number].positional:
            put(_BEST - number, tuple(state[:1]))
            state = state[1:]
        put(self.targets[number], tuple(state))

    def _origin(self) -> str:
        """The first position a unit sees."""
        begin = self.bounds[self.kept][0]
        if begin == "0":
            return "0"
        inside = [self.arguments.extent(d) for d in range(self.kept + 1, self.inner)]
        return self.flow.multiply(begin, self.arguments.product(inside)) if inside else begin

    def _begin_full(self, index: str) -> None:
        code, places = self.flow.code(self.width), self._results()
        for n, a in enumerate(self.accumulators):
            self._keep(n, a.start(code, self._origin()), lambda k, v: store(code, places[k], index, v))

    def _begin_partial(self, index: str) -> None:
        part = Partial(self.flow, self.width, (self.first, index, self.last), {}, self._results())
        for n, a in enumerate(self.accumulators):
            self._keep(n, a.start(part.code, self._origin()), part.store)
        part.finish()

    # ------------------------------------------------------------ reduced iterations

    def _nest(self, loop: int, linear: str, state: list[Carried], leaf: _Leaf) -> list[str]:
        """The reduced loops from `loop` on; `linear` numbers their iterations in row-major order. Gives the last registers of
        what they carry."""
        level = self.loop(loop, self.in_memory() - set(self.targets))
        begin, end = self.bounds.get(loop, ("0", level.extent))
        moving, count = list(level.strides), len(level.strides)
        before = outside = self.pointers
        if begin != "0":
            outside = {
                **outside,
                **{
                    k: self.flow.offset(outside[k], self.flow.multiply(begin, s))
                    for k, s in level.strides.items()
                },
            }
        scaled = "0" if linear == "0" else self.flow.multiply(linear, level.extent)

        def turn(index: str, now: list[str]) -> list[str]:
            self.pointers = {**outside, **dict(zip(moving, now[:count], strict=True))}
            self.coordinates[loop] = index
            position = index if scaled == "0" else self.flow.add(scaled, index)
            if loop + 1 < self.inner:
                inside = [(kind, register) for (kind, _), register in zip(state, now[count:], strict=True)]
                following = self._nest(loop + 1, position, inside, leaf)
            else:
                following = leaf([self._iteration(position)], now[count:])
            moved = [self.flow.offset(p, level.strides[k]) for k, p in zip(moving, now[:count], strict=True)]
            return moved + following

        starts: list[Carried] = [*(("ptr", outside[k]) for k in moving), *state]
        if loop + 1 == self.inner and self.cost(0) <= _CHEAP:
            begin, starts = self._groups(level, begin, end, starts, outside, scaled, leaf)
        last = self.flow.loop(begin, end, 1, starts, turn)
        self.pointers = before
        return last[count:]

    def _groups(
        self,
        level: Loop,
        begin: str,
        end: str,
        starts: list[Carried],
        outside: Pointers,
        scaled: str,
        leaf: _Leaf,
    ) -> tuple[str, list[Carried]]:
        """As many whole groups of iterations as there are; gives the first index left, the pointers there and what is carried."""
        flow, moving, count = self.flow, list(level.strides), len(level.strides)
        length = flow.let(f"sub nsw i64 {end}, {begin}")
        middle = flow.add(begin, flow.let(f"and i64 {length}, {-_GROUP}"))

        def turn(index: str, now: list[str]) -> list[str]:
            iterations = []
            now, carried = now[:count], now[count:]
            for step in range(_GROUP):
                self.pointers = {**outside, **dict(zip(moving, now, strict=True))}
                self.coordinates[level.number] = flow.add(index, step)
                where = self.coordinates[level.number]
                iterations.append(self._iteration(where if scaled == "0" else flow.add(scaled, where)))
                now = [flow.offset(p, level.strides[k]) for k, p in zip(moving, now, strict=True)]
            return now + leaf(iterations, carried)

        after = flow.loop(begin, middle, _GROUP, starts, turn)
        return middle, [(kind, register) for (kind, _), register in zip(starts, after, strict=True)]

    def _iteration(self, position: str) -> _Iteration:
        """The current reduced iteration, its scalars computed here."""
        self.values.forget(RUN)
        self.hoist(0, RUN)
        scalars = {n: v for n, v in self.values.scalars.items() if self.values.levels[n] == RUN}
        return _Iteration({k: self.place(k) for k in self.touched(0)}, position, scalars)

    def _pass(self, iterations: list[_Iteration], _: list[str]) -> list[str]:
        """One pass over the tile for a group of iterations."""
        results = self._results()
        self.values.holes[RUN] = self.flow.hole()
        numbers = range(len(self.accumulators))

        def full(index: str) -> None:
            code = self.flow.code(self.width)
            states = [self._state(n, lambda k: load(code, results[k], index)) for n in numbers]
            for iteration in iterations:
                loader = Loads(iteration.places, index).load
                states = self._take(iteration, states, index, loader)
            for n in numbers:
                self._keep(n, states[n], lambda k, v: store(code, results[k], index, v))

        def partial(index: str) -> None:
            # Every iteration's operands and the results share the element loops that fill and empty buffers.
            reads = {_READS * (n + 1) + k: p for n, it in enumerate(iterations) for k, p in it.places.items()}
            bounds = (self.first, index, self.last)
            part = Partial(self.flow, self.width, bounds, {**reads, **results}, results)
            states = [self._state(n, part.load) for n in numbers]
            for n, iteration in enumerate(iterations):
                loader = functools.partial(_load_partial, part, _READS * (n + 1))
                states = self._take(iteration, states, part.window, loader)
            for n in numbers:
                self._keep(n, states[n], part.store)
            part.finish()

        self._over_tile(full, partial)
        return []

    def _take(
        self, iteration: _Iteration, states: list[list[str]], index: str, loader: Callable[[Code, int], Value]
    ) -> list[list[str]]:
        """States after one reduced iteration's values."""
        values, code = self.values, self.flow.code(self.width)
        values.scalars.update(iteration.scalars)
        values.forget(RUN)
        values.spreads.update(iteration.spreads)

        def source(place: Code, number: int) -> Value:
            instr = values.instrs[number]
            if instr.op == "index":
                spread = place.splat("i8", (index,))[0]
                return (place.let(f"add nsw {place.type('i8')} {spread}, {iota(self.width, 'i64')}"),)
            return loader(place, number_of(instr))

        get = values.body(self.width, 0, len(self.section.instrs), source)
        out = []
        for accumulator, state in zip(self.accumulators, states, strict=True):
            position = code.splat("i8", (iteration.position,))[0] if accumulator.positional else ""
            out.append(accumulator.take(code, state, [get(n) for n in accumulator.terms], position))
        iteration.spreads = {k: v for k, v in values.spreads.items() if values.levels[k[0]] == RUN}
        return out
