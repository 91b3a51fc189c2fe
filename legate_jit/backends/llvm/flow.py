"""Blocks and loops of LLVM IR text: structured control flow whose carried values become phi nodes.

A `Flow` is one function being written. Bodies are Python callbacks that emit code and return the next values of what the
loop carries. Insertion points (`hole`) let hoisted code be added to places already passed. Knows nothing of kernels.
"""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm.text import Code, Module, flatten

#: (LLVM type, initial value) of something a loop carries.
Carried = tuple[str, str]


class Flow:
    """A function body in the making: the current block, its label, and two holes: `allocas` in the entry block, and
    `entry` for what is computed once, which is only reached when there is work (`condition`)."""

    __slots__ = ("allocas", "entry", "label", "lines", "module")

    def __init__(self, module: Module, condition: str) -> None:
        self.module = module
        self.lines: list[object] = ["entry:"]
        self.label = "entry"
        self.allocas = self.hole()
        self.branch(self.let(condition), "begin", "exit")
        self.start("begin")
        self.entry = self.hole()

    def text(self) -> list[str]:
        """All lines written so far."""
        return flatten(self.lines, [])

    def hole(self) -> list[object]:
        """An insertion point here."""
        place: list[object] = []
        self.lines.append(place)
        return place

    def code(self, width: int = 1, lines: list[object] | None = None) -> Code:
        """Straight-line code of `width` lanes, here or at an insertion point."""
        return (
            Code(self.module, width, self.lines, self.entry)
            if lines is None
            else Code(self.module, width, lines)
        )

    def start(self, label: str) -> None:
        """Begin block `label`."""
        self.lines.append(f"{label}:")
        self.label = label

    def put(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def let(self, text: str) -> str:
        """Append an instruction and name its result."""
        name = self.module.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def add(self, a: str, b: str | int) -> str:
        """64-bit sum."""
        return a if b in (0, "0") else self.let(f"add nsw i64 {a}, {b}")

    def multiply(self, a: str, b: str | int) -> str:
        """64-bit product."""
        return self.let(f"mul nsw i64 {a}, {b}")

    def less(self, a: str, b: str) -> str:
        """Signed 64-bit comparison."""
        return self.let(f"icmp slt i64 {a}, {b}")

    def least(self, a: str, b: str) -> str:
        """The smaller of two 64-bit numbers."""
        return self.let(f"select i1 {self.less(a, b)}, i64 {a}, i64 {b}")

    def offset(self, pointer: str, amount: str) -> str:
        """A pointer moved by bytes."""
        return self.let(f"getelementptr i8, ptr {pointer}, i64 {amount}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """End the block."""
        self.put(f"br i1 {condition}, label %{yes}, label %{no}")

    def jump(self, label: str) -> None:
        """End the block."""
        self.put(f"br label %{label}")

    def repeat(self, carried: list[Carried], body: Callable[[list[str]], tuple[list[str], str]]) -> list[str]:
        """Do `body` at least once, while the condition it returns beside the next values holds; gives the last values."""
        label, done, before = self.module.label("loop"), self.module.label("done"), self.label
        self.jump(label)
        self.start(label)
        phis = self.hole()
        names = [self.module.fresh() for _ in carried]
        following, again = body(names)
        self.branch(again, label, done)
        for name, (kind, first), value in zip(names, carried, following, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {value}, %{self.label} ]")
        self.start(done)
        return following

    def when(self, condition: str, carried: list[Carried], body: Callable[[], list[str]]) -> list[str]:
        """Do `body` if the condition holds; gives its values, or the initial ones."""
        label, done, before = self.module.label("then"), self.module.label("after"), self.label
        self.branch(condition, label, done)
        self.start(label)
        values = body()
        last = self.label
        self.jump(done)
        self.start(done)
        return [
            self.let(f"phi {kind} [ {first}, %{before} ], [ {value}, %{last} ]")
            for (kind, first), value in zip(carried, values, strict=True)
        ]

    def choose(
        self, condition: str, types: list[str], yes: Callable[[], list[str]], no: Callable[[], list[str]]
    ) -> list[str]:
        """Do one of two bodies; gives its values, which have the LLVM types `types`."""
        labels = [self.module.label(hint) for hint in ("yes", "no", "chosen")]
        self.branch(condition, labels[0], labels[1])
        values, lasts = [], []
        for label, body in zip(labels, (yes, no), strict=False):
            self.start(label)
            values.append(body())
            lasts.append(self.label)
            self.jump(labels[2])
        self.start(labels[2])
        return [
            self.let(f"phi {kind} [ {a}, %{lasts[0]} ], [ {b}, %{lasts[1]} ]")
            for kind, a, b in zip(types, *values, strict=True)
        ]

    def loop(
        self,
        first: str,
        last: str,
        step: int | str,
        carried: list[Carried],
        body: Callable[[str, list[str]], list[str]],
        *,
        nonempty: bool = False,
    ) -> list[str]:
        """Count from `first` below `last`; gives the carried values after the loop. `nonempty`: at least one turn is known."""

        def turn(state: list[str]) -> tuple[list[str], str]:
            following = body(state[0], state[1:])
            counter = self.let(f"add nsw i64 {state[0]}, {step}")
            return [counter, *following], self.less(counter, last)

        def run() -> list[str]:
            return self.repeat([("i64", first), *carried], turn)[1:]

        return run() if nonempty else self.when(self.less(first, last), carried, run)
