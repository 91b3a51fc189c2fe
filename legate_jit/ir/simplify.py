"""Simplification: rules that make a graph smaller without changing any value, given to the rewrite driver.

Compositions of moves become one move, whole-array updates become plain values, shape changes that only touch unit axes become
moves. Reads through an update are left alone on purpose: forwarding them to the old array would keep the old array alive past
the update and turn an update in place into a copy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from legate_jit.ir import index
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Node, array_type
from legate_jit.ir.ops import OPS, Kind, Op
from legate_jit.ir.rewrite import Builder, Graph, rewrite


def simplify(graph: Graph) -> Graph:
    """The graph after all local rules; common subexpressions shared, dead nodes gone."""
    return rewrite(graph, _rule)


def _rule(b: Builder, op: Op, src: tuple[Node, ...], arg: Hashable, type_: ArrayType) -> Node | None:
    match op.kind:
        case Kind.MOVE:
            assert isinstance(arg, Affine)
            return _move(b, src[0], arg, type_)
        case Kind.RESHAPE:
            return _reshape(b, src[0], type_)
        case Kind.BITCAST:
            return src[0] if src[0].type is type_ else None
        case Kind.UPDATE:
            assert isinstance(arg, Affine)
            return _update(b, src[0], src[1], arg, type_)
        case Kind.MAP if op.name == "cast":
            return src[0] if src[0].dtype == type_.dtype else None
        case _:
            return None


def _move(b: Builder, x: Node, view: Affine, type_: ArrayType) -> Node | None:
    if index.is_identity(view, x.shape):
        return x
    match x.kind:
        case Kind.MOVE:
            assert isinstance(x.arg, Affine)
            return b.make(OPS["move"], x.src, index.compose(x.arg, view), type_)
        case Kind.GENERATE if x.op.name in ("full", "empty"):
            return b.make(x.op, x.src, None, type_)
        case _:
            return None


def _reshape(b: Builder, x: Node, type_: ArrayType) -> Node | None:
    if x.type is type_:
        return x
    if x.kind is Kind.RESHAPE:
        return b.make(OPS["reshape"], x.src, None, type_)
    if x.kind is Kind.GENERATE and x.op.name in ("full", "empty"):
        return b.make(x.op, x.src, None, type_)
    view = index.unit_reshape(x.shape, type_.shape)
    return None if view is None else b.make(OPS["move"], (x,), view, type_)


def _update(b: Builder, old: Node, value: Node, view: Affine, type_: ArrayType) -> Node | None:
    if 0 in view.shape:
        return old
    if index.is_identity(view, type_.shape):
        return _whole(b, value, type_)
    if type_.size == value.type.size == math.prod(view.shape) and index.is_writable(view) and _all_unit(view):
        if value.shape != view.shape:  # fewer axes, all the missing ones of extent 1
            spread = index.broadcast(value.shape, view.shape)
            value = b.make(OPS["move"], (value,), spread, array_type(view.shape, value.dtype))
        return b.make(OPS["move"], (value,), _inverse(view, type_.shape), type_)
    if value.kind is Kind.MOVE and value.src[0] is old and value.arg == view:
        return old
    if old.kind is Kind.UPDATE and old.arg == view:
        return b.make(OPS["update"], (old.src[0], value), view, type_)
    return None


def _whole(b: Builder, value: Node, type_: ArrayType) -> Node:
    if value.kind in (Kind.SCALAR, Kind.CONST):
        return b.make(OPS["full"], (value,), None, type_)
    if value.type is type_:
        return value
    return b.make(
        OPS["move"], (value,), index.broadcast(value.shape, type_.shape), array_type(type_.shape, value.dtype)
    )


def _all_unit(view: Affine) -> bool:
    return all(abs(step) == 1 and axis >= 0 for _, step, axis in view.axes) and len(view.shape) == len(
        view.axes
    )


def _inverse(view: Affine, base: tuple[int, ...]) -> Affine:
    """The map from base positions back to the view's positions, for a view that is a permutation with flips."""
    axes: list[tuple[int, int, int]] = [(0, 0, -1)] * len(view.shape)
    for d, (start, step, axis) in enumerate(view.axes):
        axes[axis] = (-start * step, step, d)
    return Affine(base, tuple(axes))
