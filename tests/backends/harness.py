"""Hand-made kernels for the emitter's tests: building, argument blocks, running on the CPU and the reference target."""

from __future__ import annotations

import ctypes
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from legate_jit.backends import cpu, native, reference
from legate_jit.backends.llvm import kernel as llvm
from legate_jit.ir.dtypes import from_code
from legate_jit.ir.kernel import Kernel

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


_narrow: dict[tuple[Kernel, int, bool], native.NativeCode] = {}


def compiled(kernel: Kernel, vector_bytes: int = 0, slow_division: bool = False) -> int:
    """Address of the kernel's entry point."""
    if not vector_bytes and not slow_division:
        return cpu.compile_kernel(kernel)
    vector_bytes = vector_bytes or native.vector_bytes()
    key = kernel, vector_bytes, slow_division
    if key not in _narrow:
        wide = vector_bytes > native.vector_bytes()
        symbols = (lambda name: False) if wide else native.has_symbol
        text = llvm.emit(kernel, "narrow", vector_bytes, symbols, slow_division)
        _narrow[key] = native.compile_ir(text, ("narrow",), level=native.quick_level())
    return _narrow[key].address("narrow")


@dataclass
class Launch:
    """A kernel with its arrays. `arrays[k]` is operand k already broadcast to the loops (stride 0 where it does not move); for
    partial results of blocked kernels `block_strides[k]` is given."""

    kernel: Kernel
    extents: tuple[int, ...]
    arrays: list[np.ndarray | None]
    scalars: list[object] = field(default_factory=list)
    tile: int = 0
    rows_per_unit: int = 1
    block_strides: dict[int, int] = field(default_factory=dict)

    @property
    def nblocks(self) -> int:
        k = self.kernel
        return (
            max(1, -(-self.extents[k.ndim - 1 - k.nreduced] // self.rows_per_unit))
            if k.blocked and k.kind == "col"
            else 1
        )

    @property
    def ntiles(self) -> int:
        return max(1, -(-self.extents[-1] // self.tile)) if self.tile else 1

    @property
    def units(self) -> int:
        k = self.kernel
        if k.kind == "map":
            rows = math.prod(self.extents[:-1])
            return self.ntiles * (-(-rows // self.rows_per_unit) if k.ndim > 1 else 1)
        if k.kind == "row":
            return math.prod(self.extents[: k.ndim - k.nreduced]) * (self.ntiles if k.blocked else 1)
        return math.prod(self.extents[: k.ndim - 1 - k.nreduced]) * self.nblocks * self.ntiles

    def block(self) -> tuple[list[int], list[int]]:
        """(argument words, table words)."""
        table: list[int] = [0]
        words = [*self.extents, self.tile, self.ntiles, self.rows_per_unit, self.nblocks]
        for k, array in enumerate(self.arrays):
            if array is None:
                words += [0] * (self.kernel.ndim + 3)
                continue
            # An offset that is not zero, so that it is tested too.
            words += [len(table), 64, *array.strides, self.block_strides.get(k, 0)]
            table.append(array.ctypes.data - 64)
        for value, code in zip(self.scalars, self.kernel.scalars, strict=True):
            words.append(len(table))
            raw = np.array(value, from_code(code)).tobytes()
            raw += bytes(-len(raw) % 8)
            table += np.frombuffer(raw, np.int64).tolist()
        return words, table

    def run(
        self, splits: list[int] | None = None, vector_bytes: int = 0, slow_division: bool = False
    ) -> None:
        """Run on the CPU target: unit ranges cut at `splits`, the last range first; vectors as the host's, or of
        `vector_bytes` (then without vector math, where the host may lack that width), code as for a host that divides slowly
        or not."""
        words, table = self.block()
        args = np.array(words, np.int64)
        slots = np.array(table, np.int64)
        call = _SIGNATURE(compiled(self.kernel, vector_bytes, slow_division))
        bounds = [0, *(splits or []), self.units]
        for lo, hi in reversed(list(itertools.pairwise(bounds))):
            if lo < hi:
                call(lo, hi, args.ctypes.data, slots.ctypes.data)

    def run_reference(self) -> None:
        """Run on the reference target."""
        words, table = self.block()
        reference.run_kernel(self.kernel, self.extents, words, table)
