"""Scalar loops as LLVM IR text: variables, counted loops, conditions. For kernels whose access pattern is irregular.

Variables are stack slots and code is scalar; LLVM's own passes turn them into registers and vectors. Knows LLVM's spelling only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Loops", "element_type", "item_bytes"]

_TYPES = {
    "b1": "i8", "i1": "i8", "u1": "i8", "i2": "i16", "u2": "i16", "i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64",
    "f4": "float", "f8": "double",
}  # fmt: skip


def element_type(code: str) -> str:
    """LLVM type of an element with dtype code `code` (see `ir.dtypes.code`); KeyError for complex and float16."""
    return _TYPES[code]


def item_bytes(code: str) -> int:
    """Bytes of one element."""
    return int(code[1:])


class Loops:
    """A kernel `void name(i64 lo, i64 hi, ptr args, ptr table)` under construction; `args` is an array of int64 words."""

    def __init__(self) -> None:
        self._names = 0
        self._entry: list[str] = []
        self._declarations: dict[str, None] = {}
        self._lines: list[str] = []

    def call(self, kind: str, function: str, *args: str) -> str:
        """The result of an external function or intrinsic whose arguments and result are all of type `kind`."""
        self._declarations[f"declare {kind} @{function}({', '.join([kind] * len(args))})"] = None
        return self.let(f"call {kind} @{function}({', '.join(f'{kind} {a}' for a in args)})")

    # -- values --

    def let(self, text: str) -> str:
        """Name the result of an instruction."""
        self._names += 1
        name = f"%v{self._names}"
        self._lines.append(f"  {name} = {text}")
        return name

    def put(self, text: str) -> None:
        """An instruction without a result."""
        self._lines.append(f"  {text}")

    def variable(self, kind: str, start: str) -> str:
        """A mutable variable of LLVM type `kind`; read it with `get`, write it with `set`."""
        self._names += 1
        name = f"%x{self._names}"
        self._entry.append(f"  {name} = alloca {kind}")
        self.set(kind, name, start)
        return name

    def get(self, kind: str, variable: str) -> str:
        """The current value of a variable."""
        return self.let(f"load {kind}, ptr {variable}")

    def set(self, kind: str, variable: str, value: str) -> None:
        """Assign a variable."""
        self.put(f"store {kind} {value}, ptr {variable}")

    def word(self, k: int) -> str:
        """Word k of the argument block, as i64."""
        spot = self.let(f"getelementptr i64, ptr %args, i64 {k}")
        return self.let(f"load i64, ptr {spot}, !invariant.load !0")

    def pointer(self, k: int) -> str:
        """Word k of the argument block, as an address."""
        return self.let(f"inttoptr i64 {self.word(k)} to ptr")

    def words(self, kinds: str) -> tuple[str, ...]:
        """The first words of the argument block, one for each letter: `p` as an address, `n` as i64."""
        return tuple([self.pointer(k) if kind == "p" else self.word(k) for k, kind in enumerate(kinds)])

    def number(self, k: int, kind: str) -> str:
        """Word k of the argument block as the floating-point number (double) whose bits it holds, as `kind`."""
        bits = self.let(f"bitcast i64 {self.word(k)} to double")
        return bits if kind == "double" else self.let(f"fptrunc double {bits} to {kind}")

    def load(self, kind: str, base: str, i: str, align: int = 0) -> str:
        """Element i of an array; `align`: bytes its address is a multiple of (0: as usual for its type)."""
        spot = self.let(f"getelementptr {kind}, ptr {base}, i64 {i}")
        return self.let(f"load {kind}, ptr {spot}, align {align or _natural(kind)}")

    def store(self, kind: str, base: str, i: str, value: str, align: int = 0) -> None:
        """Write element i of an array."""
        spot = self.let(f"getelementptr {kind}, ptr {base}, i64 {i}")
        self.put(f"store {kind} {value}, ptr {spot}, align {align or _natural(kind)}")

    def spot(self, kind: str, base: str, i: str) -> str:
        """The address of element i of an array."""
        return self.let(f"getelementptr {kind}, ptr {base}, i64 {i}")

    def copy(self, target: str, source: str, words: str) -> None:
        """Copy 64-bit words between arrays that do not overlap."""
        self._declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
        size = self.times(words, "8")
        self.put(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")

    def prefetch(self, spot: str, write: bool) -> None:
        """Ask for the cache line of an address, any address, to read or to write it soon."""
        self._declarations["declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"] = None
        self.put(f"call void @llvm.prefetch.p0(ptr {spot}, i32 {int(write)}, i32 3, i32 1)")

    def smaller(self, a: str, b: str) -> str:
        """The smaller of two signed i64."""
        return self.let(f"select i1 {self.let(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def add(self, a: str, b: str) -> str:
        """Sum of two i64."""
        return self.let(f"add i64 {a}, {b}")

    def times(self, a: str, b: str) -> str:
        """Product of two i64."""
        return self.let(f"mul i64 {a}, {b}")

    # -- control --

    @contextmanager
    def loop(self, first: str, stop: str, step: int = 1) -> Iterator[str]:
        """for i in range(first, stop, step), of i64; yields i."""
        self._names += 1
        n = self._names
        slot = self.variable("i64", first)
        self.put(f"br label %head{n}")
        self._lines.append(f"head{n}:")
        i = self.get("i64", slot)
        more = self.let(f"icmp slt i64 {i}, {stop}")
        self.put(f"br i1 {more}, label %body{n}, label %done{n}")
        self._lines.append(f"body{n}:")
        yield i
        self.set("i64", slot, self.add(i, str(step)))
        self.put(f"br label %head{n}")
        self._lines.append(f"done{n}:")

    @contextmanager
    def repeat(self) -> Iterator[str]:
        """An endless loop; yields the label to branch to (`leave_if`) at its end."""
        self._names += 1
        n = self._names
        self.put(f"br label %again{n}")
        self._lines.append(f"again{n}:")
        yield f"%over{n}"
        self.put(f"br label %again{n}")
        self._lines.append(f"over{n}:")

    def leave_if(self, condition: str, label: str) -> None:
        """Leave a `repeat` loop when the condition (i1) holds."""
        self._names += 1
        n = self._names
        self.put(f"br i1 {condition}, label {label}, label %stay{n}")
        self._lines.append(f"stay{n}:")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Code that runs only if the condition (i1) holds."""
        self._names += 1
        n = self._names
        self.put(f"br i1 {condition}, label %then{n}, label %after{n}")
        self._lines.append(f"then{n}:")
        yield
        self.put(f"br label %after{n}")
        self._lines.append(f"after{n}:")

    # -- comparisons --

    def below(self, code: str, a: str, b: str) -> str:
        """a < b (i1); False if one is NaN."""
        kind = element_type(code)
        if code[0] == "f":
            return self.let(f"fcmp olt {kind} {a}, {b}")
        return self.let(f"icmp {'slt' if code[0] == 'i' else 'ult'} {kind} {a}, {b}")

    def choose(self, kind: str, condition: str, a: str, b: str) -> str:
        """a if the condition (i1) holds, else b, without a branch: for conditions nobody can predict."""
        return self.let(f"select i1 {condition}, {kind} {a}, {kind} {b}, !unpredictable !0")

    # -- the whole --

    def text(self, name: str, triple: str) -> str:
        """The module that defines the kernel as `name`."""
        return "\n".join(
            [
                f'target triple = "{triple}"',
                *self._declarations,
                f"define void @{name}(i64 %lo, i64 %hi, ptr %args, ptr %table) {{",
                "entry:",
                *self._entry,
                *self._lines,
                "  ret void",
                "}",
                "!0 = !{}",
                "",
            ]
        )


def _natural(kind: str) -> int:
    return {"i8": 1, "i16": 2, "i32": 4, "float": 4}.get(kind, 8)
