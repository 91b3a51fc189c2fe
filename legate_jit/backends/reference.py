"""Executable semantics of `Kernel` in NumPy: slow and plain, the yardstick of every other target.

A launch is run whole, with arrays viewed in raw memory through the argument block. NumPy's ufuncs are the ops. Knows
`ir.kernel` and `ir.ops`; no code generation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit.ir.dtypes import from_code
from legate_jit.ir.kernel import Instr, Kernel, Operand, Section, operand_word, scalar_word
from legate_jit.ir.ops import OPS

#: What computes a user function: takes arrays, gives an array.
_user_functions: dict[str, Callable[..., Any]] = {}


def register_user(symbol: str, function: Callable[..., Any]) -> None:
    """Make `function` of arrays the meaning of 'user' instrs named `symbol`."""
    _user_functions[symbol] = function


class _Memory:
    """An array interface over raw memory, for any strides."""

    def __init__(
        self, address: int, dtype: np.dtype, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.__array_interface__ = {
            "data": (address, False), "typestr": dtype.str, "shape": shape, "strides": strides, "version": 3,
        }  # fmt: skip


def _view(address: int, dtype: np.dtype, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.asarray(_Memory(address, dtype, shape, strides))


def run_kernel(kernel: Kernel, extents: Sequence[int], words: Sequence[int], table: Sequence[int]) -> None:
    """Run every unit of a launch.

    `extents`: of the kernel's loops; `words`: the argument block; `table`: base addresses and scalar bits, as signed or
    unsigned 64-bit integers. Arrays in memory are read and written in place.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = _Run(kernel, tuple(int(e) for e in extents), [int(w) for w in words], [int(t) for t in table])
        if kernel.kind == "row" and kernel.blocked:
            tile = run.words[kernel.ndim]
            for block in range(run.words[kernel.ndim + 1]):
                run.part(kernel.ndim - 1, block, tile)
        elif kernel.kind == "col" and kernel.blocked:
            size = run.words[kernel.ndim + 2]
            for block in range(run.words[kernel.ndim + 3]):
                run.part(kernel.ndim - 1 - kernel.nreduced, block, size)
        else:
            run.part(0, 0, None)


class _Run:
    """One launch: whole arrays over all loops, one block at a time."""

    def __init__(self, kernel: Kernel, extents: tuple[int, ...], words: list[int], table: list[int]) -> None:
        self.kernel = kernel
        self.extents = extents
        self.words = words
        self.table = table
        ndim = kernel.ndim
        if kernel.kind == "row":
            self.reduced = tuple(range(ndim - kernel.nreduced, ndim))
        elif kernel.kind == "col":
            self.reduced = tuple(range(ndim - 1 - kernel.nreduced, ndim - 1))
        else:
            self.reduced = ()

    def part(self, cut: int, block: int, size: int | None) -> None:
        """Run the sections over one block of loop `cut` (size None: over everything)."""
        self.origin = [0] * self.kernel.ndim
        self.shape = list(self.extents)
        if size is not None:
            self.origin[cut] = block * size
            self.shape[cut] = max(0, min(size, self.extents[cut] - block * size))
        self.block = block
        self.values: list[Any] = []
        self.results: list[Any] = []
        self.scratch: dict[int, np.ndarray] = {}
        for section in self.kernel.sections:
            self._section(section)

    def _operand(self, number: int) -> np.ndarray:
        """The operand over all loops of this part (reduced loops it does not move along have stride 0)."""
        operand: Operand = self.kernel.operands[number]
        dtype = from_code(operand.dtype)
        if operand.mode == "scratch":
            if number not in self.scratch:
                self.scratch[number] = np.zeros(self.shape, dtype)
            return self.scratch[number]
        word = operand_word(self.kernel, number)
        strides = [self.words[word + 2 + d] if c else 0 for d, c in enumerate(operand.strides)]
        address = self.table[self.words[word]] + self.words[word + 1]
        address += sum(o * s for o, s in zip(self.origin, strides, strict=True))
        if self.kernel.blocked and self._partial_result(operand):
            address += self.block * self.words[word + 2 + self.kernel.ndim]
        return _view(address, dtype, tuple(self.shape), tuple(strides))

    def _partial_result(self, operand: Operand) -> bool:
        """Whether a blocked kernel indexes this operand by the block number."""
        if self.kernel.kind == "row":
            return operand.mode == "w" and not operand.strides[-1]
        return operand.mode in ("w", "rw")

    def _section(self, section: Section) -> None:
        for instr in section.instrs:
            self.values.append(self._instr(instr))
        for number, value in section.stores:
            self._store(number, self.values[value], section.level == "outer")
        for reduce in section.reduces:
            whole = np.broadcast_to(self.values[reduce.value], self.shape)
            result = self._reduce(reduce.combine, whole).astype(from_code(reduce.dtype))
            if reduce.operand >= 0:
                self._store(reduce.operand, result, True)
            self.results.append(result)

    def _store(self, number: int, value: Any, reduced: bool) -> None:
        target = self._operand(number)
        if reduced:
            target = target[
                tuple(slice(0, 1) if d in self.reduced else slice(None) for d in range(self.kernel.ndim))
            ]
            if 0 in self.shape:
                target = self._reduced_target(number)
        target[...] = np.broadcast_to(value, target.shape)

    def _reduced_target(self, number: int) -> np.ndarray:
        """Where results go when the reduced loops are empty."""
        shape, self.shape = self.shape, [1 if d in self.reduced else n for d, n in enumerate(self.shape)]
        target = self._operand(number)
        self.shape = shape
        return target

    def _instr(self, instr: Instr) -> Any:
        dtype = from_code(instr.dtype)
        args = [self.values[a] for a in instr.args]
        match instr.op:
            case "load":
                return np.array(self._operand(int(str(instr.imm))))
            case "scalar":
                return self._scalar(int(str(instr.imm)), dtype)
            case "const":
                return np.array(instr.imm, dtype)
            case "index":
                loop = int(str(instr.imm))
                line = np.arange(self.origin[loop], self.origin[loop] + self.shape[loop], dtype=np.int64)
                return line.reshape([-1 if d == loop else 1 for d in range(self.kernel.ndim)])
            case "reduced":
                return self.results[int(str(instr.imm))]
            case "random":
                return philox(args[0], args[1])
            case "user":
                return np.asarray(_user_functions[str(instr.imm)](*args)).astype(dtype)
            case _:
                return map_op(instr.op, dtype, args)

    def _scalar(self, number: int, dtype: np.dtype) -> np.ndarray:
        slot = self.words[scalar_word(self.kernel, number)]
        count = 2 if dtype.itemsize == 16 else 1
        words = np.array([w & (2**64 - 1) for w in self.table[slot : slot + count]], np.uint64)
        out: np.ndarray = words.view(dtype)[0].reshape(())
        return out

    def _reduce(self, combine: str, value: np.ndarray) -> np.ndarray:
        if combine in ("argmax", "argmin"):
            return self._position(combine, value)
        if combine in ("maximum", "minimum", "fmax", "fmin") and 0 in value.shape:
            return np.zeros([1 if d in self.reduced else n for d, n in enumerate(value.shape)], value.dtype)
        out: np.ndarray = getattr(np, combine).reduce(
            value, axis=self.reduced, keepdims=True, dtype=value.dtype
        )
        return out

    def _position(self, combine: str, value: np.ndarray) -> np.ndarray:
        kept = [d for d in range(value.ndim) if d not in self.reduced]
        moved = value.transpose(kept + list(self.reduced))
        lead, inside = moved.shape[: len(kept)], moved.shape[len(kept) :]
        flat = moved.reshape(*lead, math.prod(inside))
        where = np.unravel_index(getattr(np, combine)(flat, axis=-1), inside)
        whole = tuple(self.extents[d] for d in self.reduced)
        there = [w + self.origin[d] for w, d in zip(where, self.reduced, strict=True)]
        position = np.ravel_multi_index(there, whole)
        return np.asarray(position).reshape(
            [1 if d in self.reduced else n for d, n in enumerate(value.shape)]
        )


def map_op(op: str, dtype: np.dtype, args: list[Any]) -> Any:
    """One MAP op on arrays, with a result of `dtype`."""
    match op:
        case "where":
            return np.where(args[0], args[1], args[2]).astype(dtype, copy=False)
        case "cast":
            return np.asarray(args[0]).astype(dtype)
        case "real" | "imag":
            return np.asarray(getattr(np.asarray(args[0]), op))
        case "complex":
            out = np.empty(np.broadcast(*args).shape, dtype)
            out.real, out.imag = args
            return out
        case "erf" | "erfc":
            out = np.array([getattr(math, op)(float(x)) for x in np.asarray(args[0]).ravel()], dtype)
            return out.reshape(np.shape(args[0]))
        case "rsqrt" | "rsqrt3":
            base = args[0] + dtype.type(0)  # the root of -0.0 counts as 0.0, as for `pow`
            root = np.sqrt(base)
            return np.reciprocal(root if op == "rsqrt" else base * root).astype(dtype, copy=False)
    ufunc = OPS[op].ufunc
    if ufunc is None:
        raise NotImplementedError(op)
    return np.asarray(ufunc(*args)).astype(dtype, copy=False)


def philox(key: Any, counter: Any) -> np.ndarray:
    """Philox4x32-10 of (counter, 0) under `key` (uint64 arrays): uniform float64 in [0, 1) from the first 53 bits."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    key, counter = np.broadcast_arrays(np.asarray(key, np.uint64), np.asarray(counter, np.uint64))
    x = [counter & low, counter >> shift, np.zeros_like(counter), np.zeros_like(counter)]
    k0, k1 = key & low, key >> shift
    for _ in range(10):
        first, second = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x = [(second >> shift) ^ x[1] ^ k0, second & low, (first >> shift) ^ x[3] ^ k1, first & low]
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    bits = (x[0] | (x[1] << shift)) >> np.uint64(11)
    out: np.ndarray = bits.astype(np.float64) * 2.0**-53
    return out


__all__ = ["map_op", "philox", "register_user", "run_kernel"]
