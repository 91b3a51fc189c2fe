"""Lowering: choose how each reduction and generator is computed, still graph to graph.

Reductions get a `Reduction` argument: which loop is innermost, and whether a first pass over fixed blocks makes partial
results (so that any number of threads or ranks gives the same bits). Block sizes depend on shapes only.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from legate_jit.ir import dtypes, index
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Node, array_type
from legate_jit.ir.ops import OPS, Kind, Op
from legate_jit.ir.rewrite import Builder, Graph, rewrite

#: reductions of at most this many elements are one serial unit, so that whole small programs fuse into one kernel
SERIAL_SIZE = 16384
#: elements of a block of a blocked reduction along the inner loop
BLOCK = 16384
#: bytes of rows in a block of a reduction along columns: these rows stay in cache for whatever else goes through them, see
#: `bands`; but at least so many rows (never 1), or there are too many partial results
BLOCK_BYTES, BLOCK_ROWS = 1 << 19, 32
#: a reduction with at least this many results is parallel over them
ENOUGH_RESULTS = 16
#: rows of at most this many elements are reduced several at a time, one in each lane, where a kept axis is at least so long
SHORT = 8
LONG = 64
#: results that are accumulated side by side at most, and arrays that may be read for them
JAM, JAM_LOADS = 16, 3


class Reduction(NamedTuple):
    """How a reduction runs: reduced axes, the axis of the innermost loop, and the length of a block (0: not blocked).

    A blocked reduction along the inner axis appends an axis of partial results; along the outermost reduced axis (when the
    inner axis is kept) it prepends one. `jam` is a kept axis (or -1) that is no loop: the results along it are accumulated side
    by side, so that what is read once for all of them is.
    """

    axes: tuple[int, ...]
    inner: int
    block: int = 0
    jam: int = -1


def lower(graph: Graph) -> Graph:
    """The graph with every reduction and random generator in the form kernels can compute."""
    return rewrite(graph, _rule)


def _rule(b: Builder, op: Op, src: tuple[Node, ...], arg: Hashable, type_: ArrayType) -> Node | None:
    if op.kind is Kind.REDUCE and not isinstance(arg, Reduction):
        assert isinstance(arg, tuple)
        return _reduce(b, op, src[0], arg, type_)
    if op.name == "random" and arg is None:
        return _random(b, src, type_)
    return None


def _random(b: Builder, src: tuple[Node, ...], type_: ArrayType) -> Node:
    """Element i of the C-order index space draws from counter + i."""
    key, base = src
    counter: Node = base
    position = _position(b, type_.shape, tuple(range(type_.ndim)))
    if position is not None:
        counter = b.map("add", b.cast(position, base.type), base)
    return b.make(OPS["random"], (key, counter), "draw", type_)


def _position(b: Builder, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node | None:
    """Row-major position over `axes` of the index space `shape`, int64; None when there are no axes."""
    total: Node | None = None
    unit = 1
    for d in reversed(axes):
        coordinate = b.make(OPS["index"], (), d, array_type(shape, dtypes.INT64))
        if unit != 1:
            scale = b.make(OPS["const"], (), unit, array_type((), dtypes.INT64))
            coordinate = b.map("multiply", coordinate, scale)
        total = coordinate if total is None else b.map("add", coordinate, total)
        unit *= shape[d]
    return total


def loads(root: Node, limit: int = 400) -> list[tuple[Node, Affine]]:
    """The arrays an elementwise expression reads and the view, from root's index space, through which it reads them."""
    found: list[tuple[Node, Affine]] = []
    seen: set[tuple[int, Affine]] = set()
    stack = [(root, index.identity(root.shape))]
    while stack and len(seen) < limit:
        n, view = stack.pop()
        if (n.number, view) in seen:
            continue
        seen.add((n.number, view))
        if n.kind is Kind.MAP or n.op.name == "random":
            stack.extend((s, index.compose(index.broadcast(s.shape, n.shape), view)) for s in n.src)
        elif n.kind is Kind.MOVE:
            assert isinstance(n.arg, Affine)
            stack.append((n.src[0], index.compose(n.arg, view)))
        else:
            found.append((n, view))
    return found


def inner_axis(root: Node) -> int:
    """The axis of root's index space along which most of what it reads lies contiguous; the last long one if none does.

    What is broadcast counts only where whole arrays disagree or are missing: it is small beside them.
    """
    long = [d for d, n in enumerate(root.shape) if n > 1]
    if not long:
        return root.type.ndim - 1
    votes = [[0, 0] for _ in root.shape]
    for n, view in loads(root):
        _, strides = index.elem_strides(view, n.shape)
        spread = any(strides[d] == 0 for d in long)
        for d in long:
            votes[d][spread] += abs(strides[d]) == 1 and n.kind is not Kind.GENERATE
    return max(long, key=lambda d: (votes[d], d))


def is_flat(root: Node) -> bool:
    """Whether everything root reads has root's own shape and order, so that its index space is one line.

    Values on the way count too: fusion may store any of them, and then they are what is read.
    """
    seen: set[Node] = set()
    stack = [root]
    while stack:
        n = stack.pop()
        if n in seen or n.type.size == 1 or n.op.name == "full":
            continue
        seen.add(n)
        if n.shape != root.shape or n.kind in (Kind.MOVE, Kind.GENERATE):
            return False
        if n.kind is Kind.MAP:
            stack.extend(n.src)
    return True


def _reduce(b: Builder, op: Op, x: Node, axes: tuple[int, ...], type_: ArrayType) -> Node:
    if not axes:
        return (
            x if op.combine not in ("argmax", "argmin") else b.make(OPS["full"], (_const(b, 0),), None, type_)
        )
    inner = inner_axis(x)
    kept = type_.size
    total = max(x.type.size, 1)
    small = total <= SERIAL_SIZE
    if op.combine in ("argmax", "argmin"):
        # The first of equal elements wins in row-major order, so the loops must run in that order.
        last = max((d for d in axes if x.shape[d] > 1), default=axes[-1])
        if small or (inner == last and kept >= ENOUGH_RESULTS):
            return b.make(op, (x,), Reduction(axes, last), type_)
        return _arg_extremum(b, op, x, axes, type_)
    inner = _across(x, axes, inner)
    if small or kept >= ENOUGH_RESULTS * (1 if inner in axes else 1024):
        return b.make(op, (x,), Reduction(axes, inner), type_)
    if inner in axes:
        return _blocked_row(b, op, x, axes, inner, type_)
    rows = x.shape[axes[0]]
    if rows < 4 * ENOUGH_RESULTS:  # more than the number of blocks, or this would never end
        return b.make(op, (x,), Reduction(axes, inner), type_)
    inner, jam = _side_by_side(x, axes, inner)
    row_bytes = max(x.type.nbytes // (rows * x.shape[jam] if jam >= 0 else rows), 1)
    block = min(-(-rows // (2 * ENOUGH_RESULTS)), max(BLOCK_BYTES // row_bytes, BLOCK_ROWS))
    partial_type = array_type((-(-rows // block), *type_.shape), type_.dtype)
    partial = b.make(op, (x,), Reduction(axes, inner, block, jam), partial_type)
    return _reduce(b, op, partial, (0,), type_)


def _side_by_side(x: Node, axes: tuple[int, ...], inner: int) -> tuple[int, int]:
    """The innermost axis, and the axis along which results are accumulated side by side: both short, as in the product of a few
    long columns with a few others. (inner, -1) where there are no two such axes, or where all of x is one line."""
    others = [d for d in range(x.type.ndim) if d not in axes and d != inner and x.shape[d] > 1]
    if len(others) != 1 or max(x.shape[others[0]], x.shape[inner]) > JAM:
        return inner, -1
    if is_flat(x) or len(loads(x)) > JAM_LOADS:
        return inner, -1
    ways = [(inner, others[0]), (others[0], inner)]
    return min(ways, key=lambda way: _scalar_work(x, *way))


def _scalar_work(x: Node, inner: int, jam: int) -> int:
    """Operations that are done for each place along `jam` by itself, because they do not change along `inner`."""
    work = 0
    seen: set[tuple[int, Affine]] = set()
    stack = [(x, index.identity(x.shape))]
    while stack:
        n, view = stack.pop()
        if (n.number, view) in seen:
            continue
        seen.add((n.number, view))
        along = {
            axis for (_, step, axis), extent in zip(view.axes, n.shape, strict=True) if step and extent > 1
        }
        if n.kind is Kind.MAP:
            work += n.op.cost * x.shape[jam] * (jam in along and inner not in along)
            stack.extend((s, index.compose(index.broadcast(s.shape, n.shape), view)) for s in n.src)
        elif n.kind is Kind.MOVE:
            assert isinstance(n.arg, Affine)
            stack.append((n.src[0], index.compose(n.arg, view)))
    return work


def _across(x: Node, axes: tuple[int, ...], inner: int) -> int:
    """The axis of the innermost loop: `inner`, or where rows are too short for vectors the last long axis that is kept."""
    if inner not in axes or math.prod(x.shape[d] for d in axes) > SHORT:
        return inner
    kept = [d for d in range(x.type.ndim) if d not in axes and x.shape[d] >= LONG]
    return kept[-1] if kept else inner


def _blocked_row(b: Builder, op: Op, x: Node, axes: tuple[int, ...], inner: int, type_: ArrayType) -> Node:
    """Partial results per block of one line, or, when the index space is no line, per leading reduced axes."""
    line = is_flat(x) and axes == tuple(range(x.type.ndim))
    if line or len(axes) == 1:
        length = x.type.size if line else x.shape[inner]
        if length <= BLOCK:
            return b.make(op, (x,), Reduction(axes, inner), type_)
        partial_type = array_type((*type_.shape, -(-length // BLOCK)), type_.dtype)
        partial = b.make(op, (x,), Reduction(axes, inner, BLOCK), partial_type)
        return _reduce(b, op, partial, (type_.ndim,), type_)
    first = b.make(
        op,
        (x,),
        Reduction((inner,), inner),
        array_type(tuple(n for d, n in enumerate(x.shape) if d != inner), type_.dtype),
    )
    rest = tuple(d - (d > inner) for d in axes if d != inner)
    return _reduce(b, op, first, rest, type_)


def _const(b: Builder, value: int) -> Node:
    return b.make(OPS["const"], (), value, array_type((), dtypes.INT64))


def _arg_extremum(b: Builder, op: Op, x: Node, axes: tuple[int, ...], type_: ArrayType) -> Node:
    """First position of the extremum: the extremum first, then the least position that attains it (NaN attains NaN)."""
    extremum = OPS["max" if op.combine == "argmax" else "min"]
    best = _reduce(b, extremum, x, axes, array_type(type_.shape, x.dtype))
    kept = [d for d in range(x.type.ndim) if d not in axes]
    view = Affine(x.shape, tuple((0, 1, d) for d in kept))
    spread = b.make(OPS["move"], (best,), view, array_type(x.shape, x.dtype)) if kept else best
    hit = b.map("equal", x, spread, dtype="?")
    if x.dtype.kind == "f":
        hit = b.map("logical_or", hit, b.map("not_equal", x, x, dtype="?"), dtype="?")
    position = _position(b, x.shape, axes)
    assert position is not None
    far = _const(b, int(np.iinfo(np.int64).max))
    return _reduce(b, OPS["min"], b.map("where", hit, position, far), axes, type_)
