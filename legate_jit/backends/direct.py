"""Tier 0: runs a recorded tape directly with NumPy, instruction by instruction, updates in place wherever they may be.

For windows that are not worth planning: small ones seen for the first time, and loops whose slices move at each turn
(`for i in range(n): y[i] = f(x[i])`), where each window is new. No graph is built; one instruction costs a few microseconds.
Knows the tape's form and NumPy; no kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit.backends import reference
from legate_jit.backends.interpret import view as general_view
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import REDUCERS, Kind

#: elements up to which a temporary is cheap
CACHED = 32768

_RUNS = frozenset(
    {Kind.BUFFER, Kind.MAP, Kind.MOVE, Kind.RESHAPE, Kind.REDUCE, Kind.UPDATE, Kind.GENERATE, Kind.BITCAST}
)


class Tape:
    """A tape made ready: which values are updates in place, and which input's memory each wanted value ends in.

    `work`: element operations; `count`: instructions. `owners[k]`: the input whose buffer is the k-th wanted value, or -1.
    """

    __slots__ = ("_entries", "_in_place", "_last", "_steps", "count", "inputs", "owners", "values", "work")

    def __init__(self, code: Sequence[Any], values: Sequence[int], exclusive: Sequence[bool]) -> None:
        self._steps: list[tuple[Signature, Sequence[int]]] = []
        self.values = list(values)
        self.inputs: list[ArrayType] = []
        self.work = 0
        self._last: list[int] = []
        i = 0
        while i < len(code):
            sig = code[i]
            stop = i + 1 + sig.nsrc
            self._steps.append((sig, code[i + 1 : stop]))
            self._last.append(-1)
            for s in code[i + 1 : stop]:
                self._last[s] = len(self._steps) - 1
            self._count(sig)
            i = stop
        self.count = len(self._steps) - len(self.inputs)
        for v in self.values:
            self._last[v] = len(self._steps)
        self._in_place: set[int] = set()
        self._entries: dict[int, int] = {}  # value number of an input -> its position among the inputs
        self.owners = self._own(exclusive)

    def _count(self, sig: Signature) -> None:
        match sig.op.kind:
            case Kind.BUFFER:
                self.inputs.append(sig.type)
            case Kind.UPDATE:
                self.work += _cost(_region(sig))
            case Kind.REDUCE:
                self.work += _cost(sig.types[0].size)
            case Kind.MOVE | Kind.RESHAPE | Kind.BITCAST:
                pass
            case _:
                self.work += _cost(sig.type.size)

    def _own(self, exclusive: Sequence[bool]) -> list[int]:
        """Decide the updates in place: the old value dies there and no other living value looks into its memory."""
        base: list[int] = []  # of each value: the value whose memory it is
        whole: list[bool] = []  # and whether it is all of that memory, in its order
        living: dict[int, set[int]] = {}  # base -> values that are still wanted
        entry = self._entries
        dying: dict[int, list[int]] = {}
        for k, (sig, srcs) in enumerate(self._steps):
            kind = sig.op.kind
            own = k
            if kind is Kind.BUFFER:
                entry[k] = len(entry)
            elif kind in (Kind.MOVE, Kind.RESHAPE, Kind.BITCAST):
                own = base[srcs[0]]
            elif (
                kind is Kind.UPDATE
                and whole[srcs[0]]
                and self._may_overwrite(k, srcs, base, living, exclusive)
            ):
                own = base[srcs[0]]
                self._in_place.add(k)
            base.append(own)
            whole.append(own == k or (kind is not Kind.MOVE and whole[srcs[0]]))
            living.setdefault(own, set()).add(k)
            if self._last[k] >= 0:
                dying.setdefault(self._last[k], []).append(k)
            else:
                living[own].discard(k)
            for v in dying.pop(k, ()):
                living[base[v]].discard(v)
        # The input's own buffer stands for a value only if the value is that whole array, updated.
        return [entry.get(base[v], -1) if v == base[v] or v in self._in_place else -1 for v in self.values]

    def _may_overwrite(
        self,
        k: int,
        srcs: Sequence[int],
        base: list[int],
        living: dict[int, set[int]],
        exclusive: Sequence[bool],
    ) -> bool:
        old = srcs[0]
        memory = base[old]
        owner = self._entries.get(memory, -1)
        if self._last[old] != k or (owner >= 0 and not exclusive[owner]):
            return False
        return all(self._last[v] == k for v in living[memory])

    def runs(self) -> bool:
        """Whether every instruction has a direct form."""
        return all(sig.op.kind in _RUNS and sig.op.name not in ("user", "random") for sig, _ in self._steps)

    def type_of(self, value: int) -> ArrayType:
        """Type of a value."""
        return self._steps[value][0].type

    def start(self, inputs: list[np.ndarray], scalars: list[Any]) -> Run:
        """Begin a run on writable input arrays."""
        return Run(self, inputs, scalars)


class Run:
    """One run of a tape; after an exception `finish` continues with the instruction that was interrupted."""

    __slots__ = ("_arrays", "_at", "_inputs", "_scalars", "_slot", "_tape")

    def __init__(self, tape: Tape, inputs: list[np.ndarray], scalars: list[Any]) -> None:
        self._tape, self._inputs, self._scalars = tape, inputs, scalars
        self._arrays: list[Any] = [None] * len(tape._steps)
        self._at = 0
        self._slot = 0

    def finish(self) -> list[np.ndarray]:
        """The wanted values."""
        tape, arrays = self._tape, self._arrays
        with np.errstate(all="ignore"):
            while self._at < len(tape._steps):
                k = self._at
                sig, srcs = tape._steps[k]
                slot = self._slot + sig.mask.bit_count()
                if k in tape._in_place:
                    made = arrays[srcs[0]]
                    target, value = self._writing(sig, self._operands(sig, self._arguments(sig, srcs)), made)
                    # The interpreter looks for signals at calls. There is none from here to the write: it counts as done,
                    # or has not begun. Done twice, `x[...] = x[::-1]` would be undone.
                    arrays[k], self._at, self._slot = made, k + 1, slot
                    target[...] = value
                else:
                    made = self._step(sig, srcs)
                    arrays[k], self._at, self._slot = made, k + 1, slot
                for s in srcs:
                    if tape._last[s] == k:
                        arrays[s] = None
        return [arrays[v] for v in tape.values]

    def _arguments(self, sig: Signature, srcs: Sequence[int]) -> list[Any]:
        args = [self._arrays[s] for s in srcs]
        if sig.views is not None:
            args = [x if v is None else view(x, v) for x, v in zip(args, sig.views, strict=True)]
        return args

    def _step(self, sig: Signature, srcs: Sequence[int]) -> Any:
        op = sig.op
        if op.kind is Kind.BUFFER:
            return self._inputs[self._tape._entries[self._at]]
        args = self._arguments(sig, srcs)
        match op.kind:
            case Kind.MAP:
                return _map(sig, self._operands(sig, args))
            case Kind.MOVE:
                return view(args[0], sig.arg)
            case Kind.RESHAPE:
                return np.ascontiguousarray(args[0]).reshape(sig.type.shape)
            case Kind.BITCAST:
                return np.ascontiguousarray(args[0]).view(sig.type.dtype).reshape(sig.type.shape)
            case Kind.REDUCE:
                return _reduce(sig, args[0])
            case Kind.UPDATE:
                return self._update(sig, self._operands(sig, args))
            case _:
                return self._generate(sig)

    def _operands(self, sig: Signature, arrays: list[Any]) -> list[Any]:
        if not sig.mask:
            return arrays
        waiting = iter(arrays)
        slot = self._slot
        out = []
        for j in range(len(arrays) + sig.mask.bit_count()):
            if sig.mask >> j & 1:
                out.append(self._scalars[slot])
                slot += 1
            else:
                out.append(next(waiting))
        return out

    def _update(self, sig: Signature, operands: list[Any]) -> np.ndarray:
        out = np.array(operands[0], order="C", copy=True)
        target, value = self._writing(sig, operands, out)
        target[...] = value
        return out

    @staticmethod
    def _writing(sig: Signature, operands: list[Any], out: np.ndarray) -> tuple[np.ndarray, Any]:
        """The part of `out` that an update writes, and what it writes there."""
        assert isinstance(sig.arg, Affine)
        if 0 in sig.arg.shape:
            return np.empty(0, out.dtype), 0
        value = operands[1]
        if out.dtype.kind not in "cb" and getattr(value, "dtype", out.dtype).kind == "c":
            value = value.real
        return view(out, sig.arg, True), value

    def _generate(self, sig: Signature) -> np.ndarray:
        shape, dtype = sig.type.shape, sig.type.dtype
        match sig.op.name:
            case "full":
                return np.full(shape, self._scalars[self._slot], dtype)
            case "empty":
                return np.empty(shape, dtype)
            case _:
                axis: Any = sig.arg
                line = np.arange(shape[axis], dtype=dtype).reshape(
                    [-1 if d == axis else 1 for d in range(len(shape))]
                )
                return np.array(np.broadcast_to(line, shape))


def _map(sig: Signature, operands: list[Any]) -> Any:
    op, dtype = sig.op, sig.type.dtype
    ufunc = op.ufunc
    if ufunc is None:
        if op.name == "cast":
            return _real(operands[0], dtype).astype(dtype)
        loops = [
            _real(np.asarray(x), d).astype(d, copy=False) for x, d in zip(operands, sig.loop, strict=True)
        ]
        found = reference.map_op(op.name, dtype, loops)
        return np.array(found) if op.name in ("real", "imag") else np.asarray(found)  # NumPy gives views
    if op.name == "power" and dtype.kind in "iu":
        operands = [operands[0], np.maximum(operands[1], 0)]
    try:
        out = ufunc(*operands)
    except TypeError:  # a loop asked for by dtype, where the operands' own have none (`positive` of booleans)
        out = None
    if out is None or out.dtype != dtype:
        loops = [
            _real(np.asarray(x), d).astype(d, copy=False) for x, d in zip(operands, sig.loop, strict=True)
        ]
        out = ufunc(*loops).astype(dtype, copy=False)
    return out if out.__class__ is np.ndarray else np.asarray(out)


def _real(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What is converted to the dtype: the real part where that has no other. NumPy's warning was issued when it was recorded."""
    return x.real if x.dtype.kind == "c" and dtype.kind not in "cb" else x


def _reduce(sig: Signature, x: np.ndarray) -> np.ndarray:
    axes: Any = sig.arg
    loop, name = sig.loop[0], sig.op.name
    if name in ("argmax", "argmin"):
        kept = [d for d in range(x.ndim) if d not in axes]
        flat = np.transpose(x, (*kept, *axes)).reshape(*sig.type.shape, math.prod(x.shape[d] for d in axes))
        function: Callable[..., Any] = np.argmax if name == "argmax" else np.argmin
        return np.asarray(function(flat.astype(loop, copy=False), axis=-1))
    total: np.ndarray = np.asarray(REDUCERS[name].reduce(_real(x, loop), axis=axes, dtype=loop))
    return total.astype(sig.type.dtype, copy=False)


_keys: dict[Affine, Any] = {}


def view(x: np.ndarray, affine: Any, writable: bool = False) -> np.ndarray:
    """What an index map (an `Affine`) shows of an array: by a basic key where there is one."""
    key = _keys.get(affine, _keys)
    if key is _keys:
        if len(_keys) > 4096:
            _keys.clear()
        key = _keys[affine] = _basic_key(affine)
    if key is not None:
        found: np.ndarray = x[key]
        return found
    if writable:
        return _writable_view(x, affine)
    return general_view(x, affine)


def _basic_key(affine: Affine) -> tuple[Any, ...] | None:
    """The key of integers, slices and newaxis that makes this view, if one does."""
    key: list[Any] = []
    axis = 0
    for start, step, d in affine.axes:
        if d < 0:
            key.append(start)
            continue
        while axis < d and affine.shape[axis] == 1:
            key.append(None)
            axis += 1
        if d != axis or step == 0:
            return None
        stop = start + step * affine.shape[d]
        key.append(slice(start, None if stop < 0 else stop, step))
        axis += 1
    if any(n != 1 for n in affine.shape[axis:]) or 0 in affine.shape:
        return None
    key.extend([None] * (len(affine.shape) - axis))
    return (*key, ...)  # with the ellipsis a 0-d result is an array


def _writable_view(x: np.ndarray, affine: Affine) -> np.ndarray:
    strides = [0] * len(affine.shape)
    for (_, step, axis), s in zip(affine.axes, x.strides, strict=True):
        if axis >= 0:
            strides[axis] += step * s
    corner = x[tuple(slice(start, start + 1) for start, _, _ in affine.axes)] if affine.axes else x
    return np.lib.stride_tricks.as_strided(corner, affine.shape, strides)


def _cost(elements: int) -> int:
    """NumPy's cost of an operation: temporaries too large for its small-block cache fault in fresh pages."""
    return elements if elements <= CACHED else 4 * elements


def _region(update: Signature) -> int:
    """Elements an update writes."""
    assert isinstance(update.arg, Affine)
    return math.prod(update.arg.shape)
