"""Accumulation of reductions as LLVM IR: identities, combining, merging accumulators and lanes, compensated sums.

An accumulator's state is a list of registers (a value's components; for argmax / argmin also the position). Float sums are
taken in blocks; block sums are added with their rounding errors kept (TwoSum), lane by lane, so that the result is at
least as accurate as pairwise summation. Knows no loops over memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.ops import spell
from legate_jit.backends.llvm.text import Code, Value, item_size, literal, part, register_type, spread, vector
from legate_jit.ir.kernel import Reduce

#: Turns of the inner loop in a block of a float sum: as few additions in a row as the blocks of pairwise summation have.
SUM_TURNS = 16


def _lowest(dtype: str) -> object:
    if dtype[0] == "f":
        return -math.inf
    return -(1 << (8 * item_size(dtype) - 1)) if dtype[0] == "i" else 0


def _highest(dtype: str) -> object:
    if dtype[0] == "f":
        return math.inf
    bits = 8 * item_size(dtype)
    return True if dtype[0] == "b" else (1 << (bits - 1)) - 1 if dtype[0] == "i" else (1 << bits) - 1


def identity(combine: str, dtype: str) -> object:
    """The Python number that `combine` starts from in `dtype`; NotImplementedError for other ops."""
    match combine:
        case "add" | "bitwise_or" | "bitwise_xor" | "logical_or":
            return 0
        case "multiply" | "logical_and":
            return 1
        case "bitwise_and":
            return True if dtype[0] == "b" else -1 if dtype[0] == "i" else _highest(dtype)
        case "maximum" | "argmax":
            return _lowest(dtype)
        case "minimum" | "argmin":
            return _highest(dtype)
        case "fmax" | "fmin":
            return math.nan if dtype[0] == "f" else _lowest(dtype) if combine == "fmax" else _highest(dtype)
    raise NotImplementedError(f"reduction by {combine}")


class Accumulator:
    """How one Reduce accumulates values of dtype `dtype` (the value's; the result of argmax / argmin is a position).

    `terms` are the instrs that it takes: the value, or the two factors of a product that is added with one rounding.
    """

    __slots__ = ("combine", "compensated", "dtype", "positional", "terms")

    def __init__(self, reduce: Reduce, dtype: str, factors: tuple[int, ...] = ()) -> None:
        self.combine = reduce.combine
        self.terms = factors or (reduce.value,)
        self.dtype = dtype
        self.positional = reduce.combine in ("argmax", "argmin")
        self.compensated = reduce.combine == "add" and dtype[0] in "fc"

    def elements(self) -> list[str]:
        """LLVM scalar types of the state's registers."""
        one = [register_type(self.dtype)] * (2 if self.dtype[0] == "c" else 1)
        return one + ["i64"] if self.positional else one

    def types(self, width: int) -> list[str]:
        """LLVM types of the state at `width` lanes."""
        return [vector(width, e) for e in self.elements()]

    def start(self, code: Code, position: str = "0") -> list[str]:
        """The initial state; `position`: the first position this accumulator can see."""
        parts = literal(self.dtype, identity(self.combine, self.dtype))
        state = [spread(code.width, register_type(self.dtype), p) for p in parts]
        return [*state, code.splat("i8", (position,))[0]] if self.positional else state

    def take(self, code: Code, state: list[str], terms: Sequence[Value], position: str = "") -> list[str]:
        """State after one more value per lane, which is that of `terms` (`position`: its position per lane)."""
        value = terms[0]
        if len(terms) > 1:
            return [code.intrinsic("fmuladd", self.dtype, value[0], terms[1][0], state[0])]
        if not self.positional:
            return list(spell(code, self.combine, self.dtype, [tuple(state), value], self.dtype))
        better = self._better(code, value[0], state[0])
        return [
            code.select(better, self.dtype, value[0], state[0]),
            code.select(better, "i8", position, state[1]),
        ]

    def masked(self, code: Code, mask: str, new: list[str], old: list[str]) -> list[str]:
        """`new` in the lanes of `mask`, else `old`."""
        names = [part(self.dtype)] * len(new)
        if self.positional:
            names[-1] = "i8"
        return [code.select(mask, n, a, b) for n, a, b in zip(names, new, old, strict=True)]

    def _better(self, code: Code, new: str, old: str) -> str:
        """Mask where `new` replaces `old`, an earlier element."""
        most = self.combine == "argmax"
        if self.dtype[0] == "f":
            # Unordered or beyond, unless the old one is NaN: the first NaN wins and stays.
            beyond = code.compare("fcmp ugt" if most else "fcmp ult", self.dtype, new, old)
            return code.both(beyond, code.compare("fcmp ord", self.dtype, old, old))
        sign = "s" if self.dtype[0] == "i" else "u"
        return code.compare(f"icmp {sign}{'gt' if most else 'lt'}", self.dtype, new, old)

    def merge(self, code: Code, a: list[str], b: list[str]) -> list[str]:
        """The state of both; either may hold the earlier positions."""
        if not self.positional:
            return list(spell(code, self.combine, self.dtype, [tuple(a), tuple(b)], self.dtype))
        better = self._better(code, b[0], a[0])
        worse = self._better(code, a[0], b[0])
        earlier = code.compare("icmp slt", "i8", b[1], a[1])
        use = code.either(better, code.both(earlier, code.invert(worse)))
        return self.masked(code, use, b, a)

    def merge_all(self, code: Code, states: list[list[str]]) -> list[str]:
        """Merge the copies of an unrolled loop."""
        while len(states) > 1:
            states = [self.merge(code, a, b) for a, b in zip(states[::2], states[1::2], strict=True)]
        return states[0]

    def across(self, flow: Flow, width: int, state: list[str]) -> list[str]:
        """One lane's state from all lanes'."""
        while width > 1:
            half = width // 2
            wide, narrow = flow.code(width), flow.code(half)
            elements = self.elements()
            low = [_part_of(wide, e, r, 0, half) for e, r in zip(elements, state, strict=True)]
            high = [_part_of(wide, e, r, half, half) for e, r in zip(elements, state, strict=True)]
            state = self.merge(narrow, low, high)
            width = half
        return state

    def sum_across(self, flow: Flow, width: int, high: list[str], low: list[str]) -> list[str]:
        """One lane's sum from all lanes' unevaluated sums high + low, without losing what rounds away between lanes."""
        while width > 1:
            half = width // 2
            wide, narrow = flow.code(width), flow.code(half)
            firsts, seconds = (
                [
                    [_part_of(wide, e, r, first, half) for e, r in zip(self.elements(), half_of, strict=True)]
                    for half_of in (high, low)
                ]
                for first in (0, half)
            )
            high, low = two_sum(narrow, self.dtype, firsts[0], firsts[1], seconds[0])
            low = self.merge(narrow, low, seconds[1])
            width = half
        return compensated_result(flow.code(), self.dtype, high, low)


def _part_of(code: Code, element: str, register: str, first: int, count: int) -> str:
    if count == 1:
        return code.let(f"extractelement {vector(code.width, element)} {register}, i64 {first}")
    return code.shuffle(element, register, "poison", list(range(first, first + count)))


def two_sum(
    code: Code, dtype: str, high: list[str], low: list[str], term: list[str]
) -> tuple[list[str], list[str]]:
    """Add `term` to the unevaluated sum high + low, component by component; the rounding error goes to `low`."""
    real = part(dtype)
    new_high, new_low = [], []
    for h, low_part, t in zip(high, low, term, strict=True):
        total = code.binary("fadd", real, h, t)
        shadow = code.binary("fsub", real, total, h)
        lost = code.binary(
            "fadd",
            real,
            code.binary("fsub", real, h, code.binary("fsub", real, total, shadow)),
            code.binary("fsub", real, t, shadow),
        )
        new_high.append(total)
        new_low.append(code.binary("fadd", real, low_part, lost))
    return new_high, new_low


def compensated_result(code: Code, dtype: str, high: list[str], low: list[str]) -> list[str]:
    """high + low, or high alone where infinities or NaN made the error term meaningless."""
    real = part(dtype)
    out = []
    for h, rest in zip(high, low, strict=True):
        known = code.compare("fcmp ord", real, rest, rest)
        out.append(code.select(known, real, code.binary("fadd", real, h, rest), h))
    return out
