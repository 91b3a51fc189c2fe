"""Vocabulary of LLVM IR text: types, constants, fresh names, straight-line code at some number of lanes.

A *value* is a tuple of component names: one for real dtypes, two (real, imaginary) for complex ones. Booleans are `i1` in
registers and one byte in memory; float16 is its bits (`i16`) and only ever converted. `Code.width` is the number of lanes:
1 spells scalars, anything else `<width x T>`. Knows nothing of kernels, loops or NumPy's operations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

#: Component names of a value: (name,) or (real, imaginary).
Value = tuple[str, ...]

_REGISTER = {
    "b1": "i1", "i1": "i8", "u1": "i8", "i2": "i16", "u2": "i16", "i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64",
    "f2": "i16", "f4": "float", "f8": "double", "c8": "float", "c16": "double",
}  # fmt: skip
_INTRINSIC = {"float": "f32", "double": "f64"}
#: Constants that take one cheap instruction anywhere.
_FREE = ("0", "-1", "0x0000000000000000")
_PART = {"c8": "f4", "c16": "f8"}


def register_type(dtype: str) -> str:
    """LLVM type of one component of one element in a register."""
    return _REGISTER[dtype]


def memory_type(dtype: str) -> str:
    """LLVM type of one component of one element in memory."""
    return "i8" if dtype == "b1" else _REGISTER[dtype]


def item_size(dtype: str) -> int:
    """Bytes of one element."""
    return int(dtype[1:])


def part(dtype: str) -> str:
    """Dtype of one component: complex dtypes give their real dtype, others themselves."""
    return _PART.get(dtype, dtype)


def vector(width: int, element: str) -> str:
    """`element` itself for one lane, else the vector type."""
    return element if width == 1 else f"<{width} x {element}>"


def double_bits(value: float) -> str:
    """An LLVM floating-point literal, exact for every double (float literals use the same spelling)."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def literal(dtype: str, value: object) -> Value:
    """Scalar literal components of the Python number `value` converted to `dtype`."""
    if dtype[0] == "c":
        number = complex(value)  # type: ignore[call-overload]
        return literal(part(dtype), number.real) + literal(part(dtype), number.imag)
    if dtype == "f8":
        return (double_bits(float(value)),)  # type: ignore[arg-type]
    if dtype == "f4":
        with np.errstate(over="ignore"):
            return (double_bits(float(np.float32(value))),)  # type: ignore[arg-type]
    if dtype == "f2":
        with np.errstate(over="ignore"):
            return (str(int(np.float16(value).view(np.int16))),)  # type: ignore[arg-type]
    if dtype == "b1":
        return ("true" if value else "false",)
    return (str(int(value)),)  # type: ignore[call-overload]


def spread(width: int, element: str, text: str) -> str:
    """A scalar literal as a constant of `width` lanes."""
    return text if width == 1 else f"splat ({element} {text})"


class Module:
    """What a compilation unit collects besides its entry point: declarations, helper functions, fresh names."""

    __slots__ = (
        "_names",
        "_pooled",
        "declarations",
        "has_symbol",
        "helpers",
        "metadata",
        "slow_division",
        "vector_bytes",
    )

    def __init__(
        self, vector_bytes: int, has_symbol: Callable[[str], bool], slow_division: bool = False
    ) -> None:
        self.vector_bytes = vector_bytes
        self.has_symbol = has_symbol
        self.slow_division = slow_division
        self.declarations: dict[str, str] = {}
        self.helpers: dict[str, list[str]] = {}
        self.metadata: dict[str, str] = {}
        self._names = 0
        self._pooled: dict[tuple[str, str], str] = {}

    def fresh(self) -> str:
        """A new local name."""
        self._names += 1
        return f"%v{self._names}"

    def pooled(self, kind: str, text: str, pool: list[object]) -> str:
        """A register holding the constant `text` of LLVM type `kind`, made at the insertion point `pool`."""
        name = self._pooled.get((kind, text))
        if name is None:
            name = self._pooled[kind, text] = self.fresh()
            pool.append(f"  {name} = freeze {kind} {text}")
        return name

    def label(self, hint: str) -> str:
        """A new block label (without the percent sign)."""
        self._names += 1
        return f"{hint}{self._names}"

    def declare(self, name: str, result: str, args: str, attributes: str = "nounwind memory(none)") -> str:
        """Declare an external function once; returns its name."""
        if name not in self.declarations:
            self.declarations[name] = f"declare {result} {name}({args}) {attributes}"
        return name


class Code:
    """Straight-line code of `width` lanes appended to `lines`.

    Vector constants are made once, at `pool`, where one is given: the code generator, which looks at one block at a time,
    would make them anew in every turn of a loop.
    """

    __slots__ = ("lines", "module", "pool", "width")

    def __init__(
        self,
        module: Module,
        width: int,
        lines: list[object],
        pool: list[object] | None = None,
    ) -> None:
        self.module = module
        self.width = width
        self.lines = lines
        self.pool = pool

    def at(self, width: int) -> Code:
        """The same place at another number of lanes."""
        return Code(self.module, width, self.lines, self.pool)

    def put(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def let(self, text: str) -> str:
        """Append an instruction and name its result."""
        name = self.module.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def type(self, dtype: str) -> str:
        """Register type of one component at this width."""
        return vector(self.width, _REGISTER[dtype])

    def const(self, dtype: str, value: object) -> str:
        """A constant of a real dtype at this width."""
        return self.constant(_REGISTER[dtype], literal(dtype, value)[0])

    def number(self, element: str, value: int) -> str:
        """An integer constant of LLVM type `element` at this width."""
        return self.constant(element, str(value))

    def constant(self, element: str, text: str) -> str:
        """A scalar literal at this width."""
        direct = spread(self.width, element, text)
        if self.pool is None or self.width == 1 or element == "i1" or text in _FREE:
            return direct
        return self.module.pooled(vector(self.width, element), direct, self.pool)

    def binary(self, op: str, dtype: str, a: str, b: str) -> str:
        """`op` on two registers of `dtype`."""
        return self.let(f"{op} {self.type(dtype)} {a}, {b}")

    def shift(self, op: str, dtype: str, value: str, count: int) -> str:
        """A shift of every lane by the same number of bits, which stays part of the instruction."""
        element = _REGISTER[dtype]
        return self.let(
            f"{op} {vector(self.width, element)} {value}, {spread(self.width, element, str(count))}"
        )

    def compare(self, predicate: str, dtype: str, a: str, b: str) -> str:
        """A comparison; `predicate` includes the family ('fcmp olt', 'icmp eq')."""
        return self.let(f"{predicate} {self.type(dtype)} {a}, {b}")

    def select(self, condition: str, dtype: str, a: str, b: str) -> str:
        """Lane-wise choice."""
        t = self.type(dtype)
        return self.let(f"select {self.type('b1')} {condition}, {t} {a}, {t} {b}")

    def both(self, a: str, b: str) -> str:
        """Conjunction of two masks."""
        return self.binary("and", "b1", a, b)

    def either(self, a: str, b: str) -> str:
        """Disjunction of two masks."""
        return self.binary("or", "b1", a, b)

    def invert(self, mask: str) -> str:
        """Negation of a mask."""
        return self.let(f"xor {self.type('b1')} {mask}, {spread(self.width, 'i1', 'true')}")

    def convert(self, op: str, value: str, source: str, target: str) -> str:
        """A conversion instruction between LLVM element types."""
        return self.let(f"{op} {vector(self.width, source)} {value} to {vector(self.width, target)}")

    def intrinsic(self, name: str, dtype: str, *args: str, extra: str = "") -> str:
        """Call `llvm.<name>` whose operands and result all have `dtype`; `extra` is a literal last argument."""
        element = _REGISTER[dtype]
        mangled = _INTRINSIC.get(element, element)
        suffix = mangled if self.width == 1 else f"v{self.width}{mangled}"
        t = self.type(dtype)
        types = ", ".join([t] * len(args)) + (", " + extra.split()[0] if extra else "")
        symbol = self.module.declare(f"@llvm.{name}.{suffix}", t, types, "")
        operands = ", ".join(f"{t} {a}" for a in args) + (", " + extra if extra else "")
        return self.let(f"call {t} {symbol}({operands})")

    def splat(self, dtype: str, value: Value) -> Value:
        """Scalar components spread over all lanes."""
        if self.width == 1:
            return value
        element = _REGISTER[dtype]
        return tuple(self._splat_one(element, v) for v in value)

    def _splat_one(self, element: str, value: str) -> str:
        if not value.startswith("%"):
            return self.constant(element, value)
        t = vector(self.width, element)
        one = self.let(f"insertelement {t} poison, {element} {value}, i64 0")
        return self.let(f"shufflevector {t} {one}, {t} poison, <{self.width} x i32> zeroinitializer")

    def lane(self, dtype: str, value: str, index: int) -> str:
        """Component `value` of lane `index` as a scalar."""
        if self.width == 1:
            return value
        return self.let(f"extractelement {self.type(dtype)} {value}, i64 {index}")

    def shuffle(self, element: str, a: str, b: str, indices: list[int]) -> str:
        """Shuffle of two vectors of this width; the result has len(indices) lanes."""
        t = vector(self.width, element)
        mask = ", ".join(f"i32 {i}" for i in indices)
        return self.let(f"shufflevector {t} {a}, {t} {b}, <{len(indices)} x i32> <{mask}>")

    def pieces(self, element: str, value: str, lanes: int) -> list[str]:
        """Cut (or pad, by repeating lanes) a register into registers of `lanes` lanes."""
        if self.width == lanes:
            return [value]
        if self.width == 1:
            return [Code(self.module, lanes, self.lines)._splat_one(element, value)]
        if self.width < lanes:
            return [self.shuffle(element, value, "poison", [i % self.width for i in range(lanes)])]
        steps = range(0, self.width, lanes)
        return [self.shuffle(element, value, "poison", list(range(s, s + lanes))) for s in steps]

    def join(self, element: str, parts: list[str], lanes: int) -> str:
        """Inverse of `pieces`."""
        if self.width == lanes:
            return parts[0]
        if self.width == 1:
            return self.let(f"extractelement <{lanes} x {element}> {parts[0]}, i64 0")
        if self.width < lanes:
            return self.at(lanes).shuffle(element, parts[0], "poison", list(range(self.width)))
        while len(parts) > 1:
            wide = self.at(lanes)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [wide.shuffle(element, a, b, list(range(2 * lanes))) for a, b in pairs]
            lanes *= 2
        return parts[0]


def flatten(lines: list[object], out: list[str]) -> list[str]:
    """Lines of nested lists (insertion points) in order, appended to `out`."""
    for line in lines:
        if isinstance(line, list):
            flatten(line, out)
        else:
            out.append(str(line))
    return out


def iota(width: int, element: str) -> str:
    """The constant 0, 1, 2, ... as a vector literal (or 0)."""
    if width == 1:
        return "0"
    return "<" + ", ".join(f"{element} {i}" for i in range(width)) + ">"
