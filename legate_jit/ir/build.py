"""From a recorded tape to a graph: casts made explicit, float16 computed in float32, what kernels cannot do sent to the library.

A tape is a flat sequence: a `Signature`, then the value numbers of its array operands, and so on; the k-th instruction has
value number k. Scalars take slots in order of appearance.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from legate_jit.ir import dtypes
from legate_jit.ir.node import Node, Signature, array_type
from legate_jit.ir.ops import OPS, Kind, Op, fusable
from legate_jit.ir.rewrite import Builder, Graph, reachable

_DIVIDE = OPS["divide"]


class CallSpec(NamedTuple):
    """A library call: `name` in the target's library table, and its static keyword arguments."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()


class Decoded(NamedTuple):
    """The graph of a tape: `values[k]` is the node of value number k; `scalars` the dtypes of the scalar slots."""

    nodes: list[Node]
    values: list[Node]
    scalars: tuple[str, ...]

    def graph(self, live: Sequence[int]) -> Graph:
        """The graph whose roots are the given value numbers."""
        return reachable(self.nodes, [self.values[v] for v in live])


class _Decoder:
    def __init__(self) -> None:
        self.builder = Builder()
        self.values: list[Node] = []
        self.scalars: list[str] = []
        self.known: dict[tuple[Hashable, str], int] = {}  # a count that a signature states -> its first slot
        self.inputs = 0

    def operands(self, sig: Signature, srcs: Sequence[int]) -> list[Node]:
        """The op's operands in order, scalar slots included."""
        count = len(srcs) + sig.mask.bit_count()
        arrays = iter(self.arrays(sig, srcs))
        return [self.scalar(sig, k) if sig.mask >> k & 1 else next(arrays) for k in range(count)]

    def arrays(self, sig: Signature, srcs: Sequence[int]) -> list[Node]:
        """The array operands, as moves where the signature reads them through views."""
        nodes = [self.values[s] for s in srcs]
        if sig.views is None:
            return nodes
        return [
            n if view is None else self.builder.make(OPS["move"], (n,), view, t)
            for n, view, t in zip(nodes, sig.views, sig.types, strict=True)
        ]

    def scalar(self, sig: Signature, k: int) -> Node:
        slot = len(self.scalars)
        dtype = sig.loop[k]
        self.scalars.append(dtypes.code(dtype))
        if sig.op is _DIVIDE and sig.arg is not None:
            slot = self.known.setdefault((sig.arg, dtypes.code(dtype)), slot)
        return self.builder.make(OPS["scalar"], (), slot, array_type((), dtype))

    def map(self, sig: Signature, src: list[Node]) -> Node:
        make, op, loop = self.builder.make, sig.op, sig.loop
        arg = None if op is _DIVIDE else sig.arg
        if op.name == "cast":
            return make(op, tuple(src), None, sig.type)
        if not all(fusable(op, d) for d in (loop[1:] if op.name == "where" else loop)) or _mixed(op, sig):
            return make(
                OPS["call"], tuple(src), CallSpec("ufunc", (("name", op.name), ("loop", loop))), sig.type
            )
        src = [self.builder.cast(s, array_type((), d)) for s, d in zip(src, loop, strict=True)]
        half = dtypes.FLOAT16 in loop and op.name != "where"
        if not half:
            return make(op, tuple(src), arg, sig.type)
        single = array_type((), dtypes.FLOAT32)
        src = [self.builder.cast(s, single) if s.dtype == dtypes.FLOAT16 else s for s in src]
        wide = dtypes.FLOAT32 if sig.type.dtype == dtypes.FLOAT16 else sig.type.dtype
        return self.builder.cast(make(op, tuple(src), arg, array_type(sig.type.shape, wide)), sig.type)

    def reduce(self, sig: Signature, src: Node) -> Node:
        op, loop = sig.op, sig.loop[0]
        if not fusable(op, loop):
            spec = CallSpec("reduce", (("name", op.name), ("axes", sig.arg), ("loop", loop)))
            return self.builder.make(OPS["call"], (src,), spec, sig.type)
        if loop == dtypes.FLOAT16:
            single = array_type((), dtypes.FLOAT32)
            wide = self.builder.cast(self.builder.cast(src, array_type((), loop)), single)
            kind = dtypes.FLOAT32 if sig.type.dtype == dtypes.FLOAT16 else sig.type.dtype
            result = self.builder.make(op, (wide,), sig.arg, array_type(sig.type.shape, kind))
            return self.builder.cast(result, sig.type)
        return self.builder.make(op, (self.builder.cast(src, array_type((), loop)),), sig.arg, sig.type)

    def step(self, sig: Signature, srcs: Sequence[int]) -> Node:
        make, op = self.builder.make, sig.op
        match op.kind:
            case Kind.BUFFER:
                self.inputs += 1
                return make(op, (), self.inputs - 1, sig.type)
            case Kind.MAP:
                return self.map(sig, self.operands(sig, srcs))
            case Kind.REDUCE:
                return self.reduce(sig, self.arrays(sig, srcs)[0])
            case Kind.UPDATE:
                old, value = self.operands(sig, srcs)
                return make(op, (old, self.builder.cast(value, sig.type)), sig.arg, sig.type)
            case Kind.SCAN:
                source = self.builder.cast(self.arrays(sig, srcs)[0], sig.type)
                if not fusable(op, sig.type.dtype):
                    spec = CallSpec("scan", (("name", op.name), ("axis", sig.arg)))
                    return make(OPS["call"], (source,), spec, sig.type)
                return make(op, (source,), sig.arg, sig.type)
            case _:
                return make(op, tuple(self.operands(sig, srcs)), sig.arg, sig.type)


def _mixed(op: Op, sig: Signature) -> bool:
    """NumPy compares int64 with uint64 exactly, in a loop of two dtypes; kernels have no such loop."""
    return op.ufunc is not None and len(set(sig.loop)) > 1


def decode(code: Sequence[Any]) -> Decoded:
    """Build the nodes of a tape."""
    decoder = _Decoder()
    i, n = 0, len(code)
    while i < n:
        sig: Signature = code[i]
        stop = i + 1 + sig.nsrc
        decoder.values.append(decoder.step(sig, code[i + 1 : stop]))
        i = stop
    return Decoded(decoder.builder.nodes, decoder.values, tuple(decoder.scalars))
