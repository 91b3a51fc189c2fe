"""Node: an immutable value in the graph, with its type; Signature: an op applied to given types.

Knows the op table only. Recording keeps a flat tape of signatures and value numbers (see `runtime`); nodes are built from a
tape once per structure, by `ir.build`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

from legate_jit.ir.ops import OPS, Kind, Op


class ArrayType:
    """Shape and dtype of a value. Interned by `array_type`: equal types are the same object."""

    __slots__ = ("shape", "dtype", "ndim", "size", "nbytes", "buffer_signature")

    shape: tuple[int, ...]
    dtype: np.dtype
    ndim: int
    size: int
    nbytes: int
    #: signature of an input slot of this type
    buffer_signature: Signature

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


_types: dict[tuple[tuple[int, ...], np.dtype], ArrayType] = {}


def array_type(shape: tuple[int, ...], dtype: np.dtype) -> ArrayType:
    """The interned type of arrays of `shape` (non-negative ints) and `dtype` (one of `KERNEL_DTYPES`)."""
    found = _types.get((shape, dtype))
    if found is not None:
        return found
    t = ArrayType()
    t.shape, t.dtype, t.ndim = shape, dtype, len(shape)
    t.size = math.prod(shape)
    t.nbytes = t.size * dtype.itemsize
    t.buffer_signature = Signature(OPS["buffer"], (), t)
    _types[shape, dtype] = t
    return t


class Signature:
    """An op applied to operands of given types: one recorded instruction without its operand numbers.

    `types`: types of the array operands, in order. `mask`: bit k set when operand k is a run-time scalar slot rather than
    an array. `loop`: dtype in which each operand (arrays and scalars) enters the op. `bounds`: inclusive range a Python int
    scalar must lie in, or None. `views`: per array operand the index map through which it is read first (None: whole);
    `types` are the types after that. `at_once`: whoever records may rather compute it, if its operands are there (one of the
    marks in `tiers`, 0: it is recorded). Makers cache signatures, so a recorded tape hashes by identity.
    """

    __slots__ = ("op", "types", "type", "arg", "at_once", "mask", "loop", "nsrc", "bounds", "views")

    def __init__(
        self,
        op: Op,
        types: tuple[ArrayType, ...],
        type_: ArrayType,
        arg: Hashable = None,
        mask: int = 0,
        loop: tuple[np.dtype, ...] = (),
        bounds: tuple[int, int] | None = None,
        views: tuple[Hashable, ...] | None = None,
    ) -> None:
        self.op, self.types, self.type, self.arg = op, types, type_, arg
        self.mask, self.loop, self.bounds, self.views = mask, loop, bounds, views
        self.nsrc = len(types)
        self.at_once = 0

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(repr, self.types))}) -> {self.type!r}"


class Node:
    """An immutable value: `op` applied to `src`, of type `type`; `number` is its position in its graph.

    Compared and hashed by identity; a `Graph` holds at most one node per (op, src, arg, type).
    """

    __slots__ = ("op", "src", "arg", "type", "number")

    def __init__(self, op: Op, src: tuple[Node, ...], arg: Hashable, type_: ArrayType, number: int) -> None:
        self.op, self.src, self.arg, self.type, self.number = op, src, arg, type_, number

    @property
    def kind(self) -> Kind:
        """The node's kind, from its op's row."""
        return self.op.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the value."""
        return self.type.dtype

    def __repr__(self) -> str:
        return f"%{self.number}={self.op.name}({', '.join(f'%{s.number}' for s in self.src)})"
