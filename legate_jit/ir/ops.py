"""The op table: an op is a row, not a class.

A row states an op's name, kind, number of array operands, NumPy oracle (which is also its dtype rule), the kinds of dtype
generated kernels can compute it in, a relative cost per element, and its partition rule. Adding an elementwise function
touches a row here, its spelling in each target, and an export in the face; no pass changes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np


class Kind(enum.Enum):
    """What a node does to its operands; passes match on this, exhaustively."""

    MAP = "map"  # elementwise, operands broadcast to the result's shape
    MOVE = "move"  # affine re-indexing: slice, permute, flip, expand, diagonal
    RESHAPE = "reshape"  # C-order reshape (same elements, same order)
    # same bytes under another dtype of the same item size, or real / imag of a complex array
    BITCAST = "bitcast"
    REDUCE = "reduce"
    SCAN = "scan"
    UPDATE = "update"  # functional write of a region: (old, value) -> new whole
    GATHER = "gather"
    SCATTER = "scatter"
    GENERATE = "generate"  # full, index coordinates, random
    CALL = "call"  # library call
    TASK = "task"  # user code
    ITEM = "item"  # k-th result of a CALL or TASK
    BUFFER = "buffer"  # an input slot: storage that exists already
    SCALAR = "scalar"  # an input slot: a run-time Python or NumPy scalar
    CONST = "const"  # a constant known at compile time


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """A row of the op table. Compared and hashed by identity: there is one instance per name."""

    name: str
    kind: Kind
    arity: int
    ufunc: np.ufunc | None = None
    #: dtype kinds (np.dtype.kind letters) of the loop that generated kernels support; "" = library only
    kinds: str = ""
    #: approximate cost of one element, in simple vector operations
    cost: int = 1
    #: for REDUCE and SCAN: the MAP op that combines two partial results
    combine: str = ""
    #: how shards of operands and result relate: 'elementwise', 'affine', 'reduce', 'scan', 'gather', 'replicate', 'own'
    rule: str = "elementwise"

    def __repr__(self) -> str:
        return self.name


OPS: dict[str, Op] = {}


def _row(op: Op) -> Op:
    if op.name in OPS:
        raise ValueError(f"op {op.name!r} is already in the table")
    OPS[op.name] = op
    return op


def _ufuncs(arity: int, kinds: str, names: str, cost: int = 1) -> None:
    for name in names.split():
        _row(Op(name, Kind.MAP, arity, getattr(np, name), kinds, cost))


_ufuncs(2, "biufc", "add multiply")
_ufuncs(2, "iufc", "subtract")
_ufuncs(2, "fc", "divide", cost=4)
_ufuncs(2, "iuf", "floor_divide remainder fmod", cost=12)
_ufuncs(2, "iuf", "power", cost=20)
_ufuncs(2, "f", "float_power", cost=20)
_ufuncs(1, "iufc", "negative positive square conjugate")
_ufuncs(1, "biufc", "absolute")
_ufuncs(1, "f", "fabs")
_ufuncs(1, "iuf", "sign")
_ufuncs(1, "f", "reciprocal", cost=4)
_ufuncs(1, "f", "sqrt", cost=6)
_ufuncs(1, "biuf", "floor ceil trunc rint")
_ufuncs(1, "f", "exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan arcsin arccos arctan", cost=16)
_ufuncs(1, "f", "sinh cosh tanh arcsinh arccosh arctanh", cost=20)
_ufuncs(2, "f", "arctan2 hypot", cost=20)
_ufuncs(1, "f", "deg2rad rad2deg degrees radians")
_ufuncs(2, "f", "copysign heaviside")
_ufuncs(1, "biufc", "isnan isinf isfinite")
_ufuncs(1, "f", "signbit")
_ufuncs(2, "biuf", "maximum minimum fmax fmin")
_ufuncs(2, "biuf", "less less_equal greater greater_equal")
_ufuncs(2, "biufc", "equal not_equal")
_ufuncs(2, "biufc", "logical_and logical_or logical_xor")
_ufuncs(1, "biufc", "logical_not")
_ufuncs(2, "biu", "bitwise_and bitwise_or bitwise_xor")
_ufuncs(1, "biu", "invert")
_ufuncs(2, "iu", "left_shift right_shift")
# Library-only ufuncs: NumPy computes them on materialized arrays.
_ufuncs(2, "", "logaddexp logaddexp2 nextafter ldexp gcd lcm", cost=30)
_ufuncs(1, "", "spacing", cost=30)

# MAP ops that are not NumPy ufuncs.
_row(Op("where", Kind.MAP, 3, None, "biufc"))  # (condition, x, y)
# C cast to the node's dtype, as ndarray.astype(casting='unsafe')
_row(Op("cast", Kind.MAP, 1, None, "biufc"))
_row(Op("real", Kind.MAP, 1, None, "c"))
_row(Op("imag", Kind.MAP, 1, None, "c"))
_row(Op("complex", Kind.MAP, 2, None, "f"))  # (real part, imaginary part) -> complex
_row(Op("erf", Kind.MAP, 1, None, "f", 20))
_row(Op("erfc", Kind.MAP, 1, None, "f", 24))
_row(Op("rsqrt", Kind.MAP, 1, None, "f", 8))  # x ** -0.5, a power: not exact, as 1 / sqrt(x) is
_row(Op("rsqrt3", Kind.MAP, 1, None, "f", 8))  # x ** -1.5
_row(Op("user", Kind.MAP, -1, None, "biufc", 20))  # a user's scalar function, arg = its compiled form

# Moves.
_row(Op("move", Kind.MOVE, 1, rule="affine"))
_row(Op("reshape", Kind.RESHAPE, 1, rule="affine"))
_row(Op("bitcast", Kind.BITCAST, 1, rule="affine"))
_row(Op("update", Kind.UPDATE, 2, rule="affine"))

# Reductions: arg = axes (sorted tuple of non-negative ints); the result drops them.
for _name, _combine, _kinds in (
    ("sum", "add", "iufc"),
    ("prod", "multiply", "iufc"),
    ("max", "maximum", "biuf"),
    ("min", "minimum", "biuf"),
    ("fmax_reduce", "fmax", "biuf"),
    ("fmin_reduce", "fmin", "biuf"),
    ("any", "logical_or", "b"),
    ("all", "logical_and", "b"),
    ("bitwise_and_reduce", "bitwise_and", "biu"),
    ("bitwise_or_reduce", "bitwise_or", "biu"),
    ("bitwise_xor_reduce", "bitwise_xor", "biu"),
    ("argmax", "argmax", "biuf"),  # result: int64 position along the (single or flattened) reduced axes
    ("argmin", "argmin", "biuf"),
):
    _row(Op(_name, Kind.REDUCE, 1, None, _kinds, 2, _combine, "reduce"))

#: REDUCE op -> the NumPy ufunc whose `reduce` it is (all but positions of extrema)
REDUCERS: dict[str, np.ufunc] = {
    op.name: combining.ufunc
    for op in OPS.values()
    if op.kind is Kind.REDUCE and (combining := OPS[op.combine]).ufunc is not None
}

# Scans: arg = axis; the operand has the result's dtype.
_row(Op("cumsum", Kind.SCAN, 1, None, "iuf", 2, "add", "scan"))
_row(Op("cumprod", Kind.SCAN, 1, None, "iuf", 2, "multiply", "scan"))

# Generators.
_row(Op("full", Kind.GENERATE, 1))  # operand: a SCALAR or CONST node; the node's shape says how large
_row(Op("empty", Kind.GENERATE, 0))  # contents undefined
_row(Op("index", Kind.GENERATE, 0, kinds="i"))  # arg = axis: the int64 coordinate along that axis
# (key, counter) scalars: Philox4x32-10 bits, uniform double in [0, 1)
_row(Op("random", Kind.GENERATE, 2, cost=40))

# Indexed access.
_row(Op("take", Kind.GATHER, 2, rule="gather"))
_row(Op("scatter", Kind.SCATTER, 3, rule="gather"))

# Opaque and leaves.
_row(Op("call", Kind.CALL, -1, rule="own"))
_row(Op("task", Kind.TASK, -1, rule="own"))
_row(Op("item", Kind.ITEM, 1, rule="own"))
_row(Op("buffer", Kind.BUFFER, 0))
_row(Op("scalar", Kind.SCALAR, 0))
_row(Op("const", Kind.CONST, 0))


def fusable(op: Op, loop: np.dtype) -> bool:
    """Whether generated kernels can compute MAP op `op` in loop dtype `loop`."""
    return loop.kind in op.kinds
