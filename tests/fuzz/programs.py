"""Random whole programs: made statement by statement against NumPy, run again with this package, compared, and made small.

A program is a list of Python source lines over `np` and variables v0, v1, ..., so that a failure prints as something to paste.
Numbers are chosen such that every float operation is exact: results are compared bit for bit, whatever order sums were taken in.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

import cupynumeric
import legate
from legate_jit import pacing, runtime
from legate_jit.ir import bands, fuse, lower, nest, passes, pieces, schedule
from legate_jit.running import execute, tiers, waiting

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
COMMON = ["i8", "f8", "f4", "i4"]
#: magnitudes below which integers are exact, with room for a few more operations
LIMITS = {"f2": 2**10, "f4": 2**22, "f8": 2**50, "c8": 2**22, "c16": 2**50}
SCALARS = ["0", "1", "2", "3", "-1", "-2", "5"]


class Rejected(Exception):
    """The statement is not one we want in a program (inexact, or of no use)."""


def magnitude(x: Any) -> float:
    """Largest absolute value, 0 for empty arrays."""
    a = np.asarray(x)
    if not a.size:
        return 0.0
    if a.dtype.kind == "c":
        return float(max(np.abs(a.real).max(), np.abs(a.imag).max()))
    return float(np.abs(a.astype(float)).max())


def exact(x: Any) -> bool:
    """Whether x holds only integers that its dtype, and sums of them, represent exactly."""
    a = np.asarray(x)
    limit = LIMITS.get(a.dtype.str[1:])
    if limit is None:
        return True
    m = magnitude(a)
    return m < limit and bool(
        np.all(a == np.rint(a.real) + (1j * np.rint(a.imag) if a.dtype.kind == "c" else 0))
    )


def data(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Small whole numbers."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0 if dtype[0] in "u?" else -9, 10, shape)
    if dtype[0] == "c":
        return np.asarray(numbers + 1j * rng.integers(-9, 10, shape), dtype)
    return np.asarray(numbers).astype(dtype)


def our_data(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    """The same as an array of ours."""
    return cupynumeric.array(data(shape, dtype, seed))


def numpy_names() -> dict[str, Any]:
    """Names a program sees when NumPy runs it."""
    return {"np": np, "fence": lambda: None, "data": data, "seen": []}


def our_names() -> dict[str, Any]:
    """Names a program sees when this package runs it."""
    return {"np": cupynumeric, "fence": legate.fence, "data": our_data, "seen": []}


def has(name: str) -> bool:
    """Whether this package offers `np.<name>` or an ndarray attribute of that name natively."""
    return name in vars(cupynumeric) or hasattr(cupynumeric.ndarray, name)


class Maker:
    """Makes one random program; `names` is NumPy's state after the lines so far."""

    def __init__(self, seed: int, big: bool = False) -> None:
        self.rng = random.Random(seed)
        self.most = 400_000 if big else 5000  # elements of an array
        self.names = numpy_names()
        self.lines: list[str] = []
        self.count = 0
        self.dtypes = self.rng.sample(DTYPES, 3) + self.rng.sample(COMMON, 2)
        self.extents = [self.rng.choice([0, 1, 1, 2, 3, 4, 5, 7, 8, 17, 33]) for _ in range(3)] + [4, 6]
        if big:
            self.extents = [self.rng.choice([1, 3, 64, 300]), 128, self.rng.choice([257, 500])]

    # -- choosing --

    def arrays(self) -> list[str]:
        return [k for k, v in self.names.items() if isinstance(v, np.ndarray)]

    def array(self, test: Callable[[np.ndarray], bool] = lambda a: True) -> str:
        found = [k for k in self.arrays() if test(self.names[k])]
        if not found:
            raise Rejected
        return self.rng.choice(found)

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def target(self, shape: tuple[int, ...]) -> str:
        """Where a result goes: a new name, now and then one already in use."""
        same = [k for k in self.arrays() if self.names[k].shape == shape]
        return self.rng.choice(same) if same and self.rng.random() < 0.3 else self.fresh()

    def partner(self, shape: tuple[int, ...], exactly: bool = False) -> str:
        """An array, or a view of one, that broadcasts to (or with) `shape`."""

        def fits(a: np.ndarray) -> bool:
            try:
                together = np.broadcast_shapes(a.shape, shape)
            except ValueError:
                return False
            return together == shape if exactly else np.prod(together) < 0.8 * self.most

        whole = [k for k in self.arrays() if fits(self.names[k])]
        if whole and self.rng.random() < 0.6:
            return self.rng.choice(whole)
        for _ in range(6):
            text = self.viewed(self.array())
            if fits(np.asarray(self.look(text))):
                return text
        if not whole:
            raise Rejected
        return self.rng.choice(whole)

    def look(self, text: str) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return eval(text, self.names)

    def key(self, shape: tuple[int, ...]) -> str:
        rng = self.rng
        parts = []
        for n in shape[: rng.randint(0, len(shape))] if rng.random() < 0.2 else shape:
            parts.append(self.part(n))
        if parts and rng.random() < 0.1:
            parts.insert(rng.randint(0, len(parts)), "None")
        if rng.random() < 0.1 or not parts:
            parts.insert(rng.randint(0, len(parts)), "...")
        return ", ".join(parts)

    def part(self, n: int) -> str:
        rng = self.rng
        kind = rng.random()
        if kind < 0.15 and n:
            return str(rng.randrange(-n, n))
        if kind < 0.4:
            return ":"
        if kind < 0.65:
            return rng.choice(["1:", ":-1", "2:", ":-2", "1:-1", "::-1", "::2", "1::2", "::-2", "-2::-1"])
        start, stop = (rng.choice(["", str(rng.randint(-n - 2, n + 2))]) for _ in range(2))
        step = rng.choice(["", "", "-1", "2", "-2", "3", "-3"])
        return f"{start}:{stop}:{step}"

    def viewed(self, a: str) -> str:
        """Text of a view of `a` (a chain of one or two steps)."""
        text = a
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            text = self.one_view(text)
            if not isinstance(self.look(text), np.ndarray):
                raise Rejected
        return text

    def one_view(self, text: str) -> str:
        rng, x = self.rng, self.look(text)
        shape = x.shape
        match rng.randrange(10):
            case 0 if has("T"):
                return f"{text}.T"
            case 1 if has("transpose") and x.ndim > 1:
                order = rng.sample(range(x.ndim), x.ndim)
                return f"{text}.transpose({', '.join(map(str, order))})"
            case 2 if has("reshape"):
                return f"{text}.reshape({self.shape_of_size(x.size)})"
            case 3 if has("diagonal") and x.ndim >= 2:
                return f"{text}.diagonal({rng.choice(['', '1', '-1'])})"
            case 4 if has("real"):
                return f"{text}.{rng.choice(['real', 'imag']) if x.dtype.kind == 'c' else 'real'}"
            case 5 if has("ravel") and rng.random() < 0.5:
                return f"{text}.ravel()"
            case 6 if has("broadcast_to") and x.size and rng.random() < 0.4:
                return f"np.broadcast_to({text}, {(2, *(3 if n == 1 else n for n in shape))})"
            case 7 if has("squeeze") and rng.random() < 0.4:
                return f"{text}.squeeze()"
            case _:
                return f"{text}[{self.key(shape)}]"

    def shape_of_size(self, size: int) -> str:
        rng = self.rng
        if rng.random() < 0.3 or not size:
            return "-1" if size else "0, 3"
        for _ in range(10):
            a = rng.randint(1, 8)
            if size % a == 0:
                b = rng.choice([k for k in range(1, 9) if size // a % k == 0])
                dims = [a, b, size // a // b]
                rng.shuffle(dims)
                return ", ".join(map(str, dims))
        return str(size)

    # -- statements --

    def create(self) -> str:
        rng = self.rng
        shape = tuple(rng.choice(self.extents) for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4])))
        dtype = rng.choice(self.dtypes)
        name = self.fresh()
        if rng.random() < 0.25:
            return f"{name} = np.full({shape}, {rng.randint(0, 5)}, '{dtype}')"
        return f"{name} = data({shape}, '{dtype}', {rng.randrange(100)})"

    def view(self) -> str:
        text = self.viewed(self.array())
        return f"{self.target(self.look(text).shape)} = {text}"

    def binary(self) -> str:
        rng = self.rng
        a = self.array() if rng.random() < 0.6 else self.viewed(self.array())
        x = self.look(a)
        b = rng.choice(SCALARS) if rng.random() < 0.35 else self.partner(x.shape)
        op = rng.choice(["+", "+", "-", "*", "<", "<=", "==", "!=", "+", "-", "&", "|", "^"])
        if rng.random() < 0.2:
            a, b = b, a
        text = f"{a} {op} {b}"
        if rng.random() < 0.2 and op in "+-*":
            text = f"({text}) {rng.choice(['+', '-'])} {self.partner(np.shape(self.look(text)))}"
        return f"{self.target(np.shape(self.look(text)))} = {text}"

    def unary(self) -> str:
        a = self.array() if self.rng.random() < 0.5 else self.viewed(self.array())
        return f"{self.target(self.look(a).shape)} = {self.rng.choice(['-', '+', 'abs', '~'])}({a})"

    def writable(self) -> str:
        return self.array(lambda a: (a.flags.writeable and a.ndim > 0) or self.rng.random() < 0.03)

    def region(self) -> tuple[str, np.ndarray]:
        """A writable region as an indexing expression, and NumPy's view of it."""
        a = self.writable()
        text = a
        if self.rng.random() < 0.2:
            text = self.one_view(a)
            if not isinstance(self.look(text), np.ndarray):
                raise Rejected
        text = f"{text}[{self.key(self.look(text).shape)}]"
        return text, np.asarray(self.look(text))

    def assign(self) -> str:
        text, x = self.region()
        value = self.rng.choice(SCALARS) if self.rng.random() < 0.25 else self.partner(x.shape, exactly=True)
        if self.rng.random() < 0.3:
            value = f"{value} {self.rng.choice('+-')} {self.partner(x.shape, exactly=True)}"
        return f"{text} = {value}"

    def in_place(self) -> str:
        op = self.rng.choice(["+=", "-=", "*=", "+=", "-=", "|=", "&="])
        if self.rng.random() < 0.5:
            text = self.writable()
            x = self.names[text]
        else:
            text, x = self.region()
        value = self.rng.choice(SCALARS) if self.rng.random() < 0.3 else self.partner(x.shape, exactly=True)
        return f"{text} {op} {value}"

    def overlap(self) -> str:
        """A region of an array from another region of the same array."""
        rng = self.rng
        a = self.array(lambda x: x.flags.writeable and x.ndim > 0 and max(x.shape) > 2)
        shape = self.names[a].shape
        axis = rng.choice([d for d, n in enumerate(shape) if n > 2])
        pairs = [
            ("1:", ":-1"),
            (":-1", "1:"),
            ("2:", ":-2"),
            ("::-1", ":"),
            (":", "::-1"),
            ("1:-1", "2:"),
            ("1:-1", ":-2"),
        ]
        left, right = rng.choice(pairs)
        keys = []
        for part in (left, right, "1:-1" if left == "1:-1" else right):
            parts = [":"] * len(shape)
            parts[axis] = part
            keys.append(f"{a}[{', '.join(parts)}]")
        op = rng.choice(["=", "+=", "-=", "="])
        more = f" {rng.choice('+-')} {keys[2]}" if rng.random() < 0.4 else ""
        return f"{keys[0]} {op} {keys[1]}{more}"

    def copy(self) -> str:
        a = self.array() if self.rng.random() < 0.6 else self.viewed(self.array())
        shape = self.look(a).shape
        if has("astype") and self.rng.random() < 0.4:
            return f"{self.target(shape)} = {a}.astype('{self.rng.choice(self.dtypes)}')"
        return f"{self.target(shape)} = {a}.copy()"

    def delete(self) -> str:
        if len(self.arrays()) < 3:
            raise Rejected
        return f"del {self.array()}"

    def reduction(self) -> str:
        rng = self.rng
        a = self.array() if rng.random() < 0.5 else self.viewed(self.array())
        x = self.look(a)
        name = rng.choice(
            [
                n
                for n in (
                    "sum",
                    "sum",
                    "sum",
                    "max",
                    "min",
                    "any",
                    "all",
                    "prod",
                    "argmax",
                    "argmin",
                    "cumsum",
                )
                if has(n)
            ]
        )
        if name == "prod" and x.dtype.kind in "fc" and x.size > 8:
            raise Rejected  # partial products may overflow, and whether they do depends on their order
        axes = [None, *range(-x.ndim, x.ndim)]
        axis: Any = rng.choice(axes)
        if x.ndim > 1 and rng.random() < 0.3 and "arg" not in name and name != "cumsum":
            axis = tuple(rng.sample(range(x.ndim), rng.randint(0, x.ndim)))
        more = (
            ", keepdims=True"
            if rng.random() < 0.25 and "arg" not in name and name != "cumsum" and has("max")
            else ""
        )
        text = f"{a}.{name}(axis={axis}{more})"
        value = self.look(text)
        if rng.random() < 0.3 and isinstance(value, np.ndarray) and value.ndim:
            text = f"{text} + {self.partner(value.shape)}"
            value = self.look(text)
        return f"{self.target(np.shape(value))} = {text}"

    def where(self) -> str:
        if not has("where"):
            raise Rejected
        a = self.array()
        x = self.names[a]
        b, c = self.partner(x.shape), self.rng.choice([*SCALARS, self.partner(x.shape)])
        return f"{self.fresh()} = np.where({a} {self.rng.choice(['<', '!=', '=='])} {self.rng.choice(SCALARS)}, {b}, {c})"

    def masked(self) -> str:
        if not has("compress"):
            raise Rejected
        a = self.writable()
        test = f"{a} {self.rng.choice(['<', '!=', '>='])} {self.rng.choice(SCALARS)}"
        return f"{a}[{test}] {self.rng.choice(['=', '=', '+='])} {self.rng.choice(SCALARS)}"

    def fancy(self) -> str:
        if not has("take"):
            raise Rejected
        a = self.array(lambda x: x.ndim > 0 and x.shape[0] > 0)
        n = self.names[a].shape[0]
        indices = [self.rng.randrange(-n, n) for _ in range(self.rng.randint(1, 5))]
        if self.rng.random() < 0.5:
            return f"{self.fresh()} = {a}[{indices}]"
        return f"{a}[{indices}] = {self.rng.choice(SCALARS)}"

    def function(self) -> str:
        """A function of NumPy's namespace, or a method."""
        rng = self.rng
        a = self.array() if rng.random() < 0.6 else self.viewed(self.array())
        x = self.look(a)
        axis = rng.randrange(-x.ndim, x.ndim) if x.ndim else 0
        b = self.partner(x.shape)
        forms = [
            f"np.concatenate([{a}, {a}], {axis})",
            f"np.stack([{a}, {b}], {axis})",
            f"np.flip({a}, {axis})",
            f"np.roll({a}, {rng.randint(-3, 3)}, {axis})",
            f"np.repeat({a}, 2, {axis})",
            f"np.tile({a}, 2)",
            f"np.minimum({a}, {b})",
            f"np.maximum({a}, {b})",
            f"{a}.clip({rng.choice(['0', '1', '-2'])}, 3)",
            f"np.diff({a}, axis={axis})",
            f"np.sort({a}, {axis})",
            f"np.argsort({a}, {axis if x.ndim else None}, kind='stable')",
            f"np.abs({a})",
            f"np.sign({a})",
            f"np.square({a})",
            f"np.logical_and({a}, {b})",
            f"np.logical_not({a})",
            f"{a} % 3",
            f"{a} // 2",
            f"{a} << 1",
            f"np.outer({a}, {b})",
            f"np.dot({a}, {b})",
            f"np.count_nonzero({a}, axis={axis})",
            f"np.zeros_like({a})",
            f"np.expand_dims({a}, {axis})",
            f"np.swapaxes({a}, 0, {axis})",
            f"np.triu({a})",
            f"np.pad({a}, 1)",
            f"{a}[{a} != {rng.choice(SCALARS)}]",
            f"np.take({a}, [0, -1], axis={axis})",
            f"np.isfinite({a})",
            f"np.arange({rng.randint(0, 9)}, dtype='{rng.choice(self.dtypes)}')",
            f"np.cumsum({a}, axis={axis})",
            f"np.nonzero({a})[0].copy()",
            f"np.copysign({a}, {b})",
            f"np.array([{a}, {a}])",
        ]
        text = rng.choice(forms)
        if "outer" in text and x.size * np.size(self.look(b)) > self.most:
            raise Rejected
        return f"{self.target(np.shape(self.look(text)))} = {text}"

    def out(self) -> str:
        """A ufunc into an existing array, or a method that changes one."""
        rng = self.rng
        a = self.writable()
        x = self.names[a]
        target = a if rng.random() < 0.6 else self.one_view(a)
        x = self.look(target)
        b, c = self.partner(x.shape, exactly=True), self.partner(x.shape, exactly=True)
        name = rng.choice(["add", "subtract", "multiply", "maximum", "minimum", "less", "logical_xor"])
        axis = rng.randrange(x.ndim) if x.ndim else 0
        forms = [
            f"np.{name}({b}, {c}, out={target})",
            f"np.{name}({b}, {c}, out={target}, casting='unsafe')",
            f"np.{name}({b}, {c}, out={target}, where={b} != {c})",
            f"np.copyto({target}, {b})",
            f"np.copyto({target}, {b}, where={c} == {rng.choice(SCALARS)})",
            f"{target}.fill({rng.choice(SCALARS)})",
            f"{target}.sort({axis})",
            f"np.add.at({target}, 0, 1)",
            f"np.add.at({target}, ([0, 0, -1],), 2)",
            f"np.cumsum({b}, axis={axis}, out={target})",
            f"np.negative({b}, out={target})",
            f"{target}[{b} < {c}] = {rng.choice(SCALARS)}",
            f"{target}[{b} < {c}] += 1",
            f"{target}[{b} < {c}] = {c}[{b} < {c}]",
            f"np.putmask({target}, {b} < {c}, {c})",
            f"{target}.flat[{rng.randint(0, max(x.size - 1, 0))}] = 5",
        ]
        form = rng.choice(forms)
        if "cumsum" in form and (not x.ndim or np.shape(self.look(b)) != x.shape):
            raise Rejected  # NumPy does not check
        if "where=" in form and any(np.shares_memory(self.look(y), x) for y in (b, c)):
            raise Rejected  # NumPy overwrites elements the mask leaves out when it buffers overlapping operands
        if not x.flags.writeable:
            raise Rejected  # NumPy's ufunc.at does not look
        return form

    def observe(self) -> str:
        return f"seen.append(np.array({self.array()}).tolist())"

    def loop(self) -> str:
        """A repeated in-place or rebinding statement, for windows and traces."""
        a = self.array(lambda x: x.flags.writeable and x.ndim > 0 and x.dtype.kind in "iu" and x.size > 0)
        b = self.array(lambda x: x.shape == self.names[a].shape and x.dtype == self.names[a].dtype)
        body = self.rng.choice(
            [
                f"{a}[1:] += {b}[:-1]",
                f"{a} = {a} + {b}[::-1]",
                f"{b} = {a}.copy(); {a}[1:-1] = {b}[2:] + {b}[:-2] - {b}[1:-1]",
                f"{a} *= 3; {b} = {b} - {a}",
                f"{b} = {a}; {a} = {a} + 1",
                f"{a}[::2] = {b}[::2]; {b} += {a}; {a} -= 1",
                f"{a}, {b} = {b}, {a} + {b}",
                f"{a} -= {b}.sum(); {b} = {a} + 1",
            ]
        )
        return f"for _ in range({self.rng.choice([2, 3, 10, 40])}): {body}"

    MENU = (
        ("create", 6), ("view", 14), ("binary", 16), ("unary", 3), ("assign", 14), ("in_place", 12), ("overlap", 8),
        ("copy", 5), ("delete", 6), ("reduction", 9), ("where", 3), ("masked", 3), ("fancy", 3), ("observe", 2), ("loop", 2),
        ("function", 8), ("out", 8),
    )  # fmt: skip

    def step(self) -> None:
        """Add one statement that NumPy carries out exactly, and perhaps a fence."""
        kinds, weights = zip(*self.MENU, strict=True)
        for _ in range(20):
            kind = "create" if len(self.arrays()) < 2 else self.rng.choices(kinds, weights)[0]
            if self.statement("delete" if len(self.arrays()) > 12 else kind):
                break
        if self.rng.random() < self.fences:
            self.lines.append("fence()")

    def statement(self, kind: str) -> bool:
        """Add a statement of a kind; False when none was found that suits."""
        errors = (Rejected, ValueError, TypeError, IndexError, OverflowError)
        try:
            line = str(getattr(self, kind)())
            if not self.harmless(line):
                return False
        except errors:
            return False
        self.add(line)
        for k, v in list(self.names.items()):
            if isinstance(v, np.generic):
                self.add(f"{k} = np.array({k})")  # NumPy's scalars are our 0-d arrays
            elif isinstance(v, np.ndarray) and v.base is None and not v.flags.c_contiguous:
                self.add(
                    f"{k} = {k}.copy()"
                )  # NumPy lays results out like their operands, we always in C order
        return True

    def add(self, line: str) -> None:
        """Run a line with NumPy, and keep it."""
        run_line(line, self.names)
        self.lines.append(line)

    fences = 0.05

    def harmless(self, line: str) -> bool:
        """Whether the line runs, on a copy of the state, and leaves only exact values."""
        if line.startswith("del"):
            return True
        trial = duplicate(self.names)
        run_line(line, trial)
        values = [v for v in trial.values() if isinstance(v, (np.ndarray, np.generic))]
        if any(isinstance(v, np.ndarray) and v.size and not own(v) for v in values):
            return False
        return all(exact(v) and v.size < self.most and str(v.dtype)[0] not in "OSU" for v in values)


def own(x: np.ndarray) -> bool:
    """Whether the array's memory begins in an array of its own dtype family (`duplicate` follows such bases only)."""
    base = x
    while isinstance(base.base, np.ndarray):
        base = base.base
    return base.base is None


def duplicate(names: dict[str, Any]) -> dict[str, Any]:
    """A copy of a program's state in which arrays share memory as in the original."""
    bases: dict[int, np.ndarray] = {}
    out = dict(names)
    out["seen"] = []
    for k, v in names.items():
        if not isinstance(v, np.ndarray):
            continue
        base = v
        while isinstance(base.base, np.ndarray):
            base = base.base
        if id(base) not in bases:
            bases[id(base)] = base.copy() if base.flags.c_contiguous else base.copy(order="K")
        new = bases[id(base)]
        low = base.__array_interface__["data"][0]
        offset = v.__array_interface__["data"][0] - low
        flat = new.reshape(-1) if new.flags.c_contiguous else new.T.reshape(-1)
        if v.size == 0:
            out[k] = v.copy()
        else:
            out[k] = np.ndarray(v.shape, v.dtype, flat, offset, v.strides)
        out[k].flags.writeable = v.flags.writeable
    return out


def run_line(line: str, names: dict[str, Any]) -> None:
    """Run one line of a program."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(line, names)


def make(seed: int, steps: int = 30, big: bool = False) -> list[str]:
    """The lines of program number `seed`; `big`: with arrays of up to some 100,000 elements."""
    maker = Maker(seed, big)
    maker.fences = maker.rng.choice([0.0, 0.05, 0.3])
    for _ in range(steps):
        maker.step()
    return maker.lines


# ---- running and comparing ----------------------------------------------------------------------------------------


def difference(lines: list[str], snapshots: int | None = None) -> str | None:
    """What differs between NumPy's run of the program and ours, or None. Lines NumPy cannot run are left out.

    With `snapshots` (a seed) host views are taken on the way, which must still show the same when the program has ended.
    """
    theirs, ours = numpy_names(), our_names()
    rng = random.Random(snapshots)
    held: list[tuple[str, np.ndarray, np.ndarray]] = []
    for number, line in enumerate(lines):
        try:
            run_line(line, theirs)
        except Exception:
            return None
        try:
            run_line(line, ours)
            arrays = [k for k, v in ours.items() if isinstance(v, cupynumeric.ndarray)]
            if snapshots is not None and arrays and rng.random() < 0.3:
                name = rng.choice(arrays)
                view = np.asarray(ours[name])
                held.append((f"{name} after line {number}", view, view.copy()))
        except Exception as e:
            return f"line {number}, `{line}`: {type(e).__name__}: {e}"
    found = differing_names(ours, theirs)
    if found is None:
        changed = [name for name, view, copy in held if not np.array_equal(view, copy)]
        found = f"host views changed: {changed}" if changed else None
    return found


def differing_names(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """The first variable that differs, or None."""
    for k, want in theirs.items():
        if isinstance(want, (np.ndarray, np.generic)):
            try:
                found = compare(k, ours[k], np.asarray(want))
            except Exception as e:
                found = f"{k}: {type(e).__name__}: {e}"
            if found:
                return found
    if not same_lists(ours["seen"], theirs["seen"]):
        return f"seen: {ours['seen']} instead of {theirs['seen']}"
    return None


def same_lists(a: Any, b: Any) -> bool:
    """Equality of nested lists of numbers."""
    return repr(a) == repr(b) or bool(a == b)


def compare(name: str, ours: Any, want: np.ndarray) -> str | None:
    """How the array differs from NumPy's, or None."""
    if tuple(ours.shape) != want.shape or ours.dtype != want.dtype:
        return f"{name}: {ours.dtype}{ours.shape} instead of {want.dtype}{want.shape}"
    got = np.asarray(ours)
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{name}: shows {got.dtype}{got.shape} instead of {want.dtype}{want.shape}"
    if not np.array_equal(got, want):
        return f"{name}:\n{got}\ninstead of\n{want}"
    return None


@contextmanager
def settings(seed: int) -> Iterator[None]:
    """The engine with window limits, block sizes and fusion chosen by `seed`, so that tiny arrays take every path."""
    rng = random.Random(seed * 7919 + 1)
    choices: dict[tuple[Any, str], Any] = {(pacing, "WINDOW_VALUES"): rng.choice([4, 10, 30, 600])}
    choices[tiers.policy, "target"] = rng.choice(["cpu"] * 6 + ["reference"])
    choices[tiers.policy, "interpret_runs"] = rng.choice([0, 0, 0, 2])
    choices[pieces, "MIN_SIZE"] = rng.choice([1, 1, 4096])
    if rng.random() < 0.7:
        choices[lower, "SERIAL_SIZE"] = rng.choice([1, 8, 16384])
        choices[lower, "BLOCK"] = rng.choice([2, 5, 16])
        choices[lower, "ENOUGH_RESULTS"] = rng.choice([2, 16])
        choices[nest, "UNIT"] = rng.choice([4, 32768])
        choices[nest, "MIN_UNIT_WORK"] = rng.choice([1, 20000])
        choices[nest, "COLUMN_TILE"] = rng.choice([3, 1024])
        choices[nest, "CROSS_TILE"] = rng.choice([3, 256])
        choices[nest, "CROSS_ROWS"] = rng.choice([2, 64])
        choices[nest, "STREAM_BYTES"] = rng.choice([1, 10**9])
        choices[nest, "SCRATCH_COST"] = rng.choice([0, 1, 8])
        choices[schedule, "PARALLEL_WORK"] = rng.choice([0, 40000])
        choices[schedule, "CHUNK_WORK"] = rng.choice([1, 60000])
        choices[fuse, "RECOMPUTE_COST"] = rng.choice([0, 3, 24])
        choices[fuse, "BROADCAST_COST"] = rng.choice([0, 2, 100])
        choices[fuse, "SCALAR_COST"] = rng.choice([0, 16])
        choices[lower, "BLOCK_BYTES"] = rng.choice([1, 64, 1 << 19])
        choices[lower, "BLOCK_ROWS"] = rng.choice([2, 3])
        choices[bands, "BAND_BYTES"] = rng.choice([1, 64])
        choices[bands, "WORTH_SHARING"] = rng.choice([1, 1 << 21])
        choices[bands, "ENOUGH_BANDS"] = rng.choice([1, 3])
        choices[fuse, "MAX_ITEMS"] = rng.choice([2, 16])
        choices[fuse, "MAX_READS"] = rng.choice([2, 24])
    if rng.random() < 0.2:
        real = fuse.fuse
        choices[passes, "fuse"] = lambda graph: real(graph, merge=False)
    if rng.random() < 0.5:  # full windows run beside the program, if there is a second processor
        choices[execute, "BESIDE_WORK"], choices[execute, "RELEASE_WORK"] = 0, -1
    saved = {(room, name): getattr(room, name) for room, name in choices}
    try:
        for (room, name), value in choices.items():
            setattr(room, name, value)
        forget()
        yield
    finally:
        for (room, name), value in saved.items():
            setattr(room, name, value)
        forget()


def forget() -> None:
    """An engine without plans, traces or pending work."""
    waiting.complete()
    runtime._suspended.clear()
    runtime.window.clear()
    runtime.window.limit = pacing.WINDOW_VALUES
    runtime._pace.__init__()  # type: ignore[misc]
    runtime._plans.clear()


def check(seed: int, steps: int = 30, big: bool = False) -> str | None:
    """None, or a report with the smallest program we found that still differs. Big arrays take the engine as it is."""
    lines = make(seed, steps, big)
    with nullcontext() if big else settings(seed):
        forget()
        if difference(lines) is None:
            return None
        lines = smallest(lines)
        found = difference(lines)
        return f"seed {seed}: {found}\n" + "\n".join(lines)


def smallest(lines: list[str]) -> list[str]:
    """Leave out lines, and halves of lines, as long as the program still differs."""

    def fails(candidate: list[str]) -> bool:
        forget()
        return difference(candidate) is not None

    size = len(lines) // 2
    while size:
        k = 0
        while k < len(lines):
            candidate = lines[:k] + lines[k + size :]
            if fails(candidate):
                lines = candidate
            else:
                k += size
        size //= 2
    forget()
    return lines


if __name__ == "__main__":
    bad = 0
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        report = check(number)
        if report:
            bad += 1
            print(report, "\n", flush=True)
            if bad >= int(sys.argv[3]):
                break
    print("programs differing:", bad)
