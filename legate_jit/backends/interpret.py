"""The reference target: runs a graph node by node with NumPy. The executable meaning of the graph, and tier 0.

A graph becomes a list of small functions once; running it is a loop over them. Nothing is shared between results and inputs, so a
run that was interrupted is simply run again. Knows NumPy and `ir`; no kernels, no schedules, no runtime.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit.backends import reference
from legate_jit.backends.calls import library
from legate_jit.ir import index
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.lower import Reduction
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph

Function = Callable[..., Any]

#: loops of these return another dtype than NumPy's ufunc would choose for the operands, or are not ufuncs at all
_SPECIAL = frozenset({"where", "cast", "real", "imag", "complex", "erf", "erfc", "user"})


def work(graph: Graph) -> int:
    """Element operations it takes to compute the graph, roughly."""
    return sum(n.type.size + (n.src[0].type.size if n.kind is Kind.REDUCE else 0) for n in graph.nodes)


class Program:
    """A graph ready to be interpreted."""

    __slots__ = ("_inputs", "_launches", "_scalars", "_size", "_steps", "roots")

    def __init__(self, graph: Graph) -> None:
        self._inputs = [(n.number, _slot(n)) for n in graph.nodes if n.kind is Kind.BUFFER]
        tasks = [n.src[-1] for n in graph.nodes if n.kind is Kind.TASK]
        self._launches = [(n.number, _slot(n)) for n in tasks]
        self._scalars = [
            (n.number, _slot(n), n.dtype) for n in graph.nodes if n.kind is Kind.SCALAR and n not in tasks
        ]
        self._size = len(graph.nodes)
        items: dict[Node, list[Node]] = {}
        for n in graph.nodes:
            if n.kind is Kind.ITEM:
                items.setdefault(n.src[0], []).append(n)
        self._steps = [
            (
                n.number,
                _call(n, items.get(n)) if n.kind is Kind.CALL else _function(n),
                tuple(s.number for s in n.src),
            )
            for n in graph.nodes
            if n.kind not in (Kind.BUFFER, Kind.SCALAR)
        ]
        self.roots = tuple(r.number for r in graph.roots)

    def run(self, inputs: Sequence[np.ndarray], scalars: Sequence[Any]) -> list[np.ndarray]:
        """Values of the roots (arrays that may share memory with the inputs and with each other)."""
        values: list[Any] = [None] * self._size
        with np.errstate(all="ignore"):
            for number, slot in self._inputs:
                values[number] = inputs[slot]
            for number, slot, dtype in self._scalars:
                values[number] = np.asarray(scalars[slot]).astype(dtype)
            for number, slot in self._launches:
                values[number] = scalars[slot]
            for number, function, sources in self._steps:
                values[number] = function(*[values[s] for s in sources])
        return [values[r] for r in self.roots]


def _slot(n: Node) -> int:
    assert isinstance(n.arg, int)
    return n.arg


def run(graph: Graph, inputs: Sequence[np.ndarray], scalars: Sequence[Any]) -> list[np.ndarray]:
    """Interpret a graph once."""
    return Program(graph).run(inputs, scalars)


def _function(n: Node) -> Function:
    """What computes the node from the values of its sources."""
    arg: Any = n.arg
    match n.kind:
        case Kind.MAP:
            return _map(n)
        case Kind.MOVE:
            return lambda x: view(x, arg)
        case Kind.RESHAPE:
            return lambda x: x.reshape(n.shape)
        case Kind.BITCAST:
            return lambda x: np.ascontiguousarray(x).view(n.dtype).reshape(n.shape)
        case Kind.REDUCE:
            return _reduce(n)
        case Kind.SCAN:
            name = n.op.name
            return lambda x: getattr(np, name)(x, axis=arg, dtype=n.dtype)
        case Kind.UPDATE:
            return lambda old, new: _update(old, new, arg)
        case Kind.GENERATE:
            return _generate(n)
        case Kind.ITEM:
            return lambda results: results[arg]
        case Kind.TASK:
            return lambda *sources: _Results(task_runners[0](arg, sources))
        case Kind.CONST:
            constant = np.array(arg, n.dtype)
            return lambda: constant
        case _:
            raise NotImplementedError(f"the reference target does not run {n.op.name}")


class _Results(list[np.ndarray]):
    """What a task wrote. As a value of its own it is an empty array."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.empty(0, np.uint8)


#: what runs a launch on arrays, given its `TaskArg` and its sources: the engine, which knows launches, puts its own here
task_runners: list[Callable[[Any, Sequence[Any]], list[np.ndarray]]] = []


def _map(n: Node) -> Function:
    dtype, ufunc, name = n.dtype, n.op.ufunc, n.op.name
    if name == "cast" and n.src[0].dtype.kind == "c" and dtype.kind not in "cb":
        return lambda x: x.real.astype(dtype)
    if name == "cast":
        return lambda x: x.astype(dtype)
    if name in _SPECIAL or ufunc is None:
        return lambda *args: reference.map_op(name, dtype, list(args))
    if name == "power" and dtype.kind in "iu":  # graphs do not raise; NumPy's error was for the face to give
        return lambda x, y: np.power(x, np.maximum(y, 0))
    return ufunc


def view(x: np.ndarray, affine: Affine) -> np.ndarray:
    """What an index map shows of an array, as a read-only view of its memory."""
    if 0 in affine.shape:
        return np.empty(affine.shape, x.dtype)
    x = np.asarray(x)
    strides = [0] * len(affine.shape)
    for (_, step, axis), s in zip(affine.axes, x.strides, strict=True):
        if axis >= 0:
            strides[axis] += step * s
    corner = x[tuple(slice(start, start + 1) for start, _, _ in affine.axes)] if affine.axes else x
    return np.lib.stride_tricks.as_strided(corner, affine.shape, strides, writeable=False)


def _update(old: np.ndarray, new: np.ndarray, where: Affine) -> np.ndarray:
    out = np.array(old, order="C", copy=True)
    if 0 in where.shape:
        return out
    offset, strides = index.elem_strides(where, out.shape)
    item = out.dtype.itemsize
    flat = out.reshape(-1)
    target = np.ndarray(where.shape, out.dtype, flat, offset * item, tuple(s * item for s in strides))
    target[...] = new
    return out


def _reduce(n: Node) -> Function:
    axes: tuple[int, ...] = n.arg.axes if isinstance(n.arg, Reduction) else n.arg  # type: ignore[assignment]
    combine, dtype, source = n.op.combine, n.dtype, n.src[0].type
    if combine in ("argmax", "argmin"):
        kept = [d for d in range(source.ndim) if d not in axes]
        find = getattr(np, combine)
        lead = tuple(source.shape[d] for d in kept)
        rest = math.prod(source.shape[d] for d in axes)
        return lambda x: np.asarray(find(x.transpose((*kept, *axes)).reshape((*lead, rest)), axis=-1)).astype(
            dtype
        )
    ufunc = getattr(np, combine)
    return lambda x: np.asarray(ufunc.reduce(x, axis=axes, dtype=dtype))


def _generate(n: Node) -> Function:
    shape, dtype, arg = n.shape, n.dtype, n.arg
    match n.op.name:
        case "full":
            return lambda value: np.broadcast_to(value, shape)
        case "empty":
            return lambda: np.zeros(shape, dtype)
        case "index":
            assert isinstance(arg, int)
            line = [1] * len(shape)
            line[arg] = shape[arg]
            return lambda: np.broadcast_to(np.arange(shape[arg], dtype=dtype).reshape(line), shape)
        case _:
            return lambda key, base: _random(key, base, shape, arg)


def _random(key: np.ndarray, base: np.ndarray, shape: tuple[int, ...], form: Any) -> np.ndarray:
    """Element i of the C-order index space uses counter base + i; lowered graphs ('draw') bring the counters themselves."""
    if form == "draw":
        return np.broadcast_to(reference.philox(key, base), shape)
    count = math.prod(shape)
    return reference.philox(key, base + np.arange(count, dtype=np.uint64)).reshape(shape)


def _call(n: Node, items: list[Node] | None) -> Function:
    """A library call writes into results made here: its own, or those of its items (then its value is a dict of them)."""
    spec = n.arg
    assert isinstance(spec, CallSpec)
    options = dict(spec.options)
    is_scalar = [s.kind is Kind.SCALAR for s in n.src]

    def call(*args: Any) -> Any:
        given = [a[()] if scalar else np.asarray(a) for a, scalar in zip(args, is_scalar, strict=True)]
        outs = (
            {_slot(m): np.empty(m.shape, m.dtype) for m in items}
            if items
            else {0: np.empty(n.shape, n.dtype)}
        )
        library.call(spec.name, given, [outs[k] for k in sorted(outs)], options)
        return outs if items else outs[0]

    return call


__all__ = ["Program", "run", "view", "work"]
