"""Which axes of a library call may be cut: for every name in the target's table, how shards of operands and result relate; and
which calls the ranks can compute together along the others.

A call whose name is not here is computed whole on every rank, from gathered operands. Must not know layouts or ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from legate_jit.ir import dtypes
from legate_jit.ir.build import CallSpec
from legate_jit.ir.node import Node

#: per axis of the result: None when it must be whole, else for every operand the axis cut alike (-1: the operand is whole)
Axes = tuple[tuple[int, ...] | None, ...]


#: calls that are sums of products, for which there are partial results
SUMMED = frozenset({"matmul"})


class Form(NamedTuple):
    """A way in which the ranks compute a call together, as `name` in the table of the collectives. `operands`: the axis along
    which each operand is cut (-1: it is whole on every rank); `result`: the same of the result. `moved`: bytes that change
    their rank if all of them do; `combined`: bytes of partial results that every rank has. `like`: the operand as which the
    result lies (-1: in even tiles)."""

    name: str
    operands: tuple[int, ...]
    result: int
    moved: int
    combined: int = 0
    like: int = -1


def collectives(call: Node) -> tuple[Form, ...]:
    """The ways in which the ranks can compute a call together. Every one is right for operands that are cut as it says into
    ordered ranges, one for each rank, of any sizes (some may be empty)."""
    spec = call.arg
    if not isinstance(spec, CallSpec):
        return ()
    rule = _COLLECTIVES.get(spec.name)
    return () if rule is None else rule(call, dict(spec.options))


def axes_of(call: Node) -> Axes:
    """The axes of a call's result along which ranks can compute parts on their own."""
    spec = call.arg
    if not isinstance(spec, CallSpec) or not call.shape:
        return (None,) * len(call.shape)
    rule = _RULES.get(spec.name)
    return (None,) * len(call.shape) if rule is None else rule(call, dict(spec.options))


def contraction(call: Node) -> tuple[tuple[int, ...], str] | None:
    """The axes of the operands over which a call sums, which may be cut alike to make partial results, and the MAP op that
    combines those; None when there is no such form, or partial results would be rounded more than the whole."""
    if not isinstance(call.arg, CallSpec) or call.arg.name not in SUMMED or call.dtype == dtypes.FLOAT16:
        return None
    a, b = call.src
    combine = "logical_or" if call.dtype == dtypes.BOOL else "add"
    return (a.type.ndim - 1, max(b.type.ndim - 2, 0)), combine


def in_steps(call: Node) -> bool:
    """Whether a call is a product of two matrices that may be summed in steps, as the collective 'matmul'."""
    if not isinstance(call.arg, CallSpec) or call.arg.name != "matmul":
        return False
    return call.dtype.kind in "fc" and call.dtype.itemsize > 2 and all(s.type.ndim == 2 for s in call.src)


def _elementwise(call: Node, options: dict[str, Any]) -> Axes:
    """Operands broadcast against the result."""
    result = call.shape
    return tuple(tuple(_matching(s.shape, result, d) for s in call.src) for d in range(len(result)))


def _matching(shape: tuple[int, ...], result: tuple[int, ...], d: int) -> int:
    own = d - (len(result) - len(shape))
    return own if own >= 0 and shape[own] == result[d] else -1


def _along(axis: str) -> Callable[[Node, dict[str, Any]], Axes]:
    """One operand of the result's rank; every axis is free but the one named by option `axis`."""

    def rule(call: Node, options: dict[str, Any]) -> Axes:
        ndim = len(call.shape)
        named = options.get(axis, -1)
        if not isinstance(named, int) or call.src[0].type.ndim != ndim:
            return (None,) * ndim
        worked = named % ndim
        rest = (-1,) * (len(call.src) - 1)
        return tuple(None if d == worked else (d, *rest) for d in range(ndim))

    return rule


def _standing(call: Node, options: dict[str, Any]) -> Axes:
    """Elements at given places along an axis, which becomes the first one."""
    kept = [d for d in range(call.src[0].type.ndim) if d != options["axis"]]
    return (None, *((d,) for d in kept))


def _reduction(call: Node, options: dict[str, Any]) -> Axes:
    reduced = options["axes"]
    kept = [d for d in range(call.src[0].type.ndim) if d not in reduced]
    return tuple((d,) for d in kept) if len(kept) == len(call.shape) else (None,) * len(call.shape)


def _matmul(call: Node, options: dict[str, Any]) -> Axes:
    """Rows of the first operand, columns of the second, and leading axes."""
    a, b = call.src
    ndim = len(call.shape)
    if a.type.ndim == 1 or b.type.ndim == 1:
        if a.type.ndim == 2:
            return ((0, -1),)
        return ((-1, 1),) if b.type.ndim == 2 else (None,) * ndim
    out: list[tuple[int, ...] | None] = []
    for d in range(ndim - 2):
        out.append(tuple(_leading(s.shape, call.shape, d) for s in (a, b)))
    return (*out, (a.type.ndim - 2, -1), (-1, b.type.ndim - 1))


def _leading(shape: tuple[int, ...], result: tuple[int, ...], d: int) -> int:
    own = d - (len(result) - len(shape))
    return own if own >= 0 and shape[own] == result[d] else -1


def _needles(call: Node, options: dict[str, Any]) -> Axes:
    """searchsorted: the table whole, the values searched for cut."""
    return tuple((-1, d) for d in range(len(call.shape)))


def _transform(call: Node, options: dict[str, Any]) -> Axes:
    """Batches of transforms: axes that no transform runs along."""
    worked, ndim = transformed(call), len(call.shape)
    return tuple(None if d in worked else (d,) for d in range(ndim))


def _take(call: Node, options: dict[str, Any]) -> Axes:
    """Axes of the array other than the one indexed, and all axes of the indices."""
    array, indices = call.src
    axis, spread = options["axis"], indices.type.ndim
    before = [(d, -1) for d in range(axis)]
    after = [(d, -1) for d in range(axis + 1, array.type.ndim)]
    return (*before, *((-1, k) for k in range(spread)), *after)


def _along_axis(call: Node, options: dict[str, Any]) -> Axes:
    """Matching lines along an axis: all operands are cut alike along the others."""
    operands = len(call.src)
    return tuple(None if d == options["axis"] else (d,) * operands for d in range(len(call.shape)))


def _concatenate(call: Node, options: dict[str, Any]) -> Axes:
    return tuple(None if d == options["axis"] else (d,) * len(call.src) for d in range(len(call.shape)))


def _regroup(call: Node, options: dict[str, Any]) -> Axes:
    """The bytes of the last axis under another item size."""
    last = len(call.shape) - 1
    return tuple(None if d == last else (d,) for d in range(last + 1))


def _numpy(call: Node, options: dict[str, Any]) -> Axes:
    """Any function of NumPy: those known to work element by element, or line by line."""
    if options["function"] == "i0":
        return tuple((d,) for d in range(len(call.shape)))
    if options["function"] in ("digitize", "isin"):
        return tuple((d, -1) for d in range(len(call.shape)))
    if options["function"] == "interp":  # the points are whole
        return tuple((d, -1, -1) for d in range(len(call.shape)))
    if options["function"] in ("nanmedian", "nanquantile", "nanpercentile"):
        axes = [d for d in range(call.src[0].type.ndim) if d != options["axis"] or options["keepdims"]]
        return tuple(None if d == options["axis"] else (d,) for d in axes)
    return (None,) * len(call.shape)


#: calls that are made where the graph is distributed, and are each rank's own
INNER = frozenset({"fold"})

_RULES: dict[str, Callable[[Node, dict[str, Any]], Axes]] = {
    "ufunc": _elementwise,
    "frexp": _elementwise,
    "reduce": _reduction,
    "scan": _along("axis"),
    "sort": _along("axis"),
    "argsort": _along("axis"),
    "partition": _along("axis"),
    "argpartition": _along("axis"),
    "matmul": _matmul,
    "order": _standing,
    "searchsorted": _needles,
    "fft": _transform,
    "take": _take,
    "take_along_axis": _along_axis,
    "put_along_axis": _along_axis,
    "concatenate": _concatenate,
    "regroup": _regroup,
    "numpy": _numpy,
}


#: places around which ranks partition without sorting: each is looked for in all elements
_PIVOTS = 4


def _ordering(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """Sorting along an axis that is cut. Partitioned around a few places are positions, and float16, in linear time; other
    elements are sorted with wide vectors in less than that."""
    (s,), spec = call.src, call.arg
    assert isinstance(spec, CallSpec)
    axis = int(options["axis"]) % s.type.ndim
    places, kth = spec.name.startswith("arg"), options.get("kth")
    pays = s.dtype == dtypes.FLOAT16 or (places and s.dtype.kind != "c")
    if kth is not None and len(kth) <= _PIVOTS and pays:
        return (Form(spec.name, (axis,), axis, call.type.nbytes),)
    moved = s.type.nbytes + (call.type.nbytes if places else 0)
    return (Form("argsort" if places else "sort", (axis,), axis, moved),)


#: elements of a line that ranks show each other for each place they look for (an estimate), and the most lines they do it for
_SHOWN, _LINES = 64, 256


def _selecting(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """Elements at given places along an axis that is cut: only a few candidates of each rank are compared."""
    if call.type.size > _LINES * call.shape[0]:
        return ()
    return (Form("order", (options["axis"],), -1, 0, _SHOWN * call.type.nbytes),)


def _searching(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """Places in a table that is cut: needles that every rank has are counted by all of them; or each goes where its place is."""
    needles = call.src[1].type
    counted = Form("count", (0, -1), -1, 0, call.type.nbytes)
    sent = needles.nbytes + call.type.nbytes
    return (counted, *(Form("search", (0, d), d, sent, like=1) for d in range(needles.ndim)))


def _turning(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """Transforms of which an axis is cut, in operand or result: a redistribution, two where it is the same axis, three if there
    is no other. What moves is complex."""
    worked = transformed(call)
    ndim = len(call.shape)
    itemsize = 8 if call.dtype in (dtypes.FLOAT32, dtypes.COMPLEX64) else 16
    moved = max(call.src[0].type.size, call.type.size) * itemsize
    others = any(n > 1 for d, n in enumerate(call.shape) if d not in worked[:1])
    return tuple(
        Form("fft", (p,), q, moved * (1 if p != q else 2 if others else 3))
        for p in range(ndim)
        for q in range(ndim)
        if p in worked or q in worked
    )


def transformed(call: Node) -> tuple[int, ...]:
    """The axes a Fourier transform runs along; none for another call."""
    spec = call.arg
    if not isinstance(spec, CallSpec) or spec.name != "fft":
        return ()
    options = dict(spec.options)
    axes = options.get("axes", options.get("axis", -1))
    return tuple(d % len(call.shape) for d in ((axes,) if isinstance(axes, int) else axes))


def _gathering(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """Rows of a table that is cut, by indices that are cut or that all ranks know; a small result is for everybody."""
    indices, axis = call.src[1], int(options["axis"])
    rows, asked = call.type.nbytes, indices.type.nbytes
    cut = [
        Form("take", (axis, of), axis + k, rows + (asked if of >= 0 else 0))
        for k in range(indices.type.ndim)
        for of in (k, -1)
    ]
    return (*cut, Form("take", (axis, -1), -1, 0, rows // 2))


def _sliding(call: Node, options: dict[str, Any]) -> tuple[Form, ...]:
    """A long vector with a short one, which every rank has: what results reach beyond a rank's part comes from its neighbors."""
    assert isinstance(call.arg, CallSpec)
    x, v = (s.type.size for s in call.src)
    if x < v and call.arg.name == "correlate":
        return ()
    halo = (min(x, v) - 1) * call.dtype.itemsize
    return (Form(call.arg.name, (0, -1) if x >= v else (-1, 0), 0, 0, halo // 2),)


_COLLECTIVES: dict[str, Callable[[Node, dict[str, Any]], tuple[Form, ...]]] = {
    "sort": _ordering,
    "argsort": _ordering,
    "partition": _ordering,
    "argpartition": _ordering,
    "order": _selecting,
    "searchsorted": _searching,
    "convolve": _sliding,
    "correlate": _sliding,
    "fft": _turning,
    "take": _gathering,
}
