"""Kernel: a fused loop nest as data, the contract between fusion and code generation.

A kernel's structure (this module's frozen dataclasses) has no extents, addresses, strides or scalar values in it: those come
at run time through an argument block, so that the structure itself is the compile-cache key.

Loops. A kernel has `ndim` loops, outermost first. The last one is the *inner* loop, which targets vectorize. Per loop and
operand the structure records a stride class: 0 (operand does not move: broadcast), 1 (the next element: stride = item
size; only ever stated for the inner loop), 2 (any byte stride, given at run time; may be negative or zero).

Kinds.
  'map'  every section is elementwise over all loops.
  'row'  the last `nreduced` loops are reduced (ndim - nreduced kept loops outside). For every kept index the sections run in
         order; 'inner' sections loop over the reduced loops and may accumulate `reduces`; 'outer' sections run once per kept
         index, on scalars, after the sections before them, and may use the reduced values. Values of outer sections and
         reduced values are visible to all later sections (softmax: inner[max], inner[exp, sum], inner[divide, store]).
         With `blocked` (then nreduced == 1) the innermost loop is cut into blocks of `tile` elements: block b of kept index k
         is its own work unit, the sections run once per unit and operands that do not move along the inner loop but are
         stored in outer sections (partial results) are indexed by an extra, last kept loop b (see below).
  'col'  loops [ndim-1-nreduced, ndim-1) are reduced and the inner loop is kept: results are vectors along the inner loop.
         Exactly one inner section whose `reduces` go straight to operands (`Reduce.operand`), accumulated over the reduced
         loops in increasing order, sequentially. With `blocked` the outermost reduced loop is cut into blocks of
         `block` iterations and the results get an extra loop for the block number. `narrow`, a power of two, is
         no less than the extent of the inner loop where that is short (else 0): results may be held in registers.

Work units. A launch is a range of units; any split of the units over threads gives the same result, bit for bit.
  'map'            unit = (row block, inner tile): rows = product of the outer extents, cut in blocks of `rows_per_unit`; inner
                   extent cut in tiles of `tile`. unit = row_block * ntiles + tile_number.
  'row'            unit = kept index (row-major over the kept loops); blocked: kept index * nblocks + b.
  'col'            unit = (tile_number * (product of the outer kept extents) + outer kept index) * nblocks + block. Not blocked:
                   nblocks = 1. What an outer kept index reads again is in cache then.

Argument block (int64 words; everything static for a launch), in this order:
  extents       ndim words
  tile          inner tile length in elements ('map', 'col', blocked 'row'; else unused)
  ntiles        ceil(inner extent / tile) ('map', 'col'; blocked 'row': nblocks along the inner loop)
  rows_per_unit 'map': rows of a unit; blocked 'col': iterations of a block of the outermost reduced loop; else unused
  nblocks       blocked 'col': number of blocks; else unused
  per operand   slot (index into the table), byte offset, then one byte stride per loop (ndim words), then one byte stride
                for the block loop (blocked kernels only use it; always present)
  per scalar    slot (index into the table)
The table is an array of int64 words made anew for every run: base addresses, and the raw bits of scalars (low bytes;
complex128 takes two consecutive words: real, imaginary; complex64 one word: both parts).
Entry point: `void kernel(i64 lo, i64 hi, ptr args, ptr table)` for units [lo, hi).

Float semantics are IEEE and NumPy's: no fused multiply-add contraction, no reassociation; but sums may be taken in any fixed
order, and a product that is only summed may be added with one rounding.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple


class Instr(NamedTuple):
    """One scalar operation of a kernel's program, in SSA form.

    `args` are indices into the concatenation of the instrs of all sections, in order. `dtype` is the result's code
    (`ir.dtypes.code`). Ops are MAP rows of `ir.ops` plus:
      'load'     imm = operand number
      'scalar'   imm = scalar number
      'const'    imm = a Python bool, int, float or complex of the instr's dtype
      'index'    imm = loop number: the current coordinate of that loop as int64 (of the whole loop, not of the block)
      'reduced'  imm = number of a Reduce (numbered over all sections in order): its final value for this kept index
      'random'   args = (key u8, counter u8): Philox4x32-10 -> float64 in [0, 1)
    MAP ops take operands of one loop dtype (casts are explicit instrs), except 'where' (condition bool), 'cast',
    and 'user' (imm = the user function's symbol).
    """

    op: str
    args: tuple[int, ...]
    dtype: str
    imm: Hashable = None


class Operand(NamedTuple):
    """An array a kernel reads or writes. mode: 'r', 'w', 'rw' (read and written at the same index only), or
    'scratch': a row of the inner extent, private to a unit, never in memory visible outside ('row' kernels).

    Fields of records. `step`: the stride of the inner loop is so many elements, always; everything between the first and the
    last element that operands of this leader read may be touched. `leader`: this operand has the strides of that one (which
    has no leader) and lies `shift` elements after it, less than a record; its own words say the same. Only of operands that
    are only read."""

    dtype: str
    strides: tuple[int, ...]  # stride class per loop
    mode: str
    stream: bool = False  # written with non-temporal stores (inner class 1, never read by this kernel)
    step: int = 0
    leader: int = -1
    shift: int = 0


class Reduce(NamedTuple):
    """An accumulation of instr `value` over the reduced loops. combine: a MAP row name, or 'argmax' / 'argmin' (result int64
    position in row-major order over the reduced loops of the whole, first occurrence, NaN wins).
    Sums of floats are as accurate as pairwise summation and do not depend on how units are split."""

    combine: str
    value: int
    dtype: str
    operand: int = -1  # 'col' only: where the result goes


class Section(NamedTuple):
    """A run of instrs at one loop level, with its stores (operand number, instr index) and reductions."""

    level: str  # 'inner' | 'outer'
    instrs: tuple[Instr, ...]
    stores: tuple[tuple[int, int], ...] = ()
    reduces: tuple[Reduce, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A fused loop nest; hashable, and equal kernels compile to the same code."""

    kind: str  # 'map' | 'row' | 'col'
    ndim: int
    nreduced: int
    operands: tuple[Operand, ...]
    scalars: tuple[str, ...]
    sections: tuple[Section, ...]
    blocked: bool = False
    narrow: int = 0

    @property
    def instrs(self) -> tuple[Instr, ...]:
        """All instrs in SSA order."""
        return tuple(i for s in self.sections for i in s.instrs)


def operand_word(kernel: Kernel, operand: int) -> int:
    """Index of the first word of `operand` in the argument block."""
    return kernel.ndim + 4 + operand * (kernel.ndim + 3)


def scalar_word(kernel: Kernel, scalar: int) -> int:
    """Index of the word of `scalar` in the argument block."""
    return operand_word(kernel, len(kernel.operands)) + scalar
