"""Store: the one mutable thing a user's array holds; Lens: how a view looks into a Store, for reading and for writing.

A Store is a cell with the current value. A view is a Store and a Lens; assigning through any view rebinds the cell, so every
other view sees it. Knows recording (`runtime.window`) but no kernels and no NumPy semantics beyond index maps.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from legate_jit.backends.memory import Buffer
from legate_jit.ir import dtypes, index, infer
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.node import ArrayType, Signature, array_type
from legate_jit.ir.ops import OPS


class Store:
    """A cell: `value` is the number of its current value in the open window, or None when `buffer` holds the value.

    `type`: shape and dtype, fixed for life. Alive in a flush iff somebody outside the window refers to it.
    """

    __slots__ = ("value", "buffer", "type", "ground", "__weakref__")

    value: int | None
    buffer: Buffer | None
    type: ArrayType
    ground: Ground  # of a `Grounded` store; see `legate_jit.immediate.ground`


class Habit:
    """What keys a face was given lately for stores of one type; `fixed`: some of them have a recorded form to be preferred;
    `elements`: single elements are read and written at once all the same."""

    __slots__ = ("elements", "fixed", "met", "total")

    def __init__(self) -> None:
        self.met: dict[Any, int] = {}
        self.total, self.fixed, self.elements = 0, True, False


class Ground:
    """A settled store's memory as a NumPy array, for what looks into it; `valid` until the store gets another value or memory.

    `habit`, `turn` (which counts uses) and `views` (of the array, by lens) are there for the face.
    """

    __slots__ = ("array", "habit", "turn", "valid", "views")

    def __init__(self, array: np.ndarray, habit: Habit) -> None:
        self.array, self.habit, self.turn, self.valid = array, habit, 0, True
        self.views: dict[Lens, Any] = {}


class Grounded(Store):
    """A store whose memory is at hand as a NumPy array. A class, so that the check costs stores without one nothing."""

    __slots__ = ()


def release(store: Store) -> None:
    """The store is about to get another value or other memory: its ground is no longer to be looked into."""
    if store.__class__ is Grounded:
        store.ground.valid = False
        store.__class__ = Store  # type: ignore[assignment]
        del store.ground


class Reshaped(NamedTuple):
    """Lens step: the same elements in C order under another shape."""

    shape: tuple[int, ...]


class Bitcast(NamedTuple):
    """Lens step: the same bytes under another dtype; another item size scales the last axis."""

    dtype: np.dtype


class Part(NamedTuple):
    """Lens step: the real or imaginary part of a complex array."""

    name: str  # 'real' | 'imag'


class Windows(NamedTuple):
    """Lens step: another axis, the last, of `size` (at least 1) elements that follow each other along `axis`, which gets shorter
    by size - 1. Elements are in several windows, so that nothing is written through it."""

    axis: int
    size: int


LensStep = Affine | Reshaped | Bitcast | Part | Windows


class Lens:
    """A chain of lens steps from a base type; `type` is what the view shows. Compared by identity; see `extend`."""

    __slots__ = ("base", "type", "chain", "reads", "view", "update_signatures")

    #: the lens as one index map, if it is one
    view: Affine | None
    #: the steps by which it is read: the chain, windows in terms of other steps
    reads: tuple[LensStep, ...]

    def __init__(self, base: ArrayType, chain: tuple[LensStep, ...]) -> None:
        self.base, self.chain = base, chain
        first = chain[0]
        self.view = first if len(chain) == 1 and isinstance(first, Affine) else None
        type_ = base
        reads: list[LensStep] = []
        for step in chain:
            reads += _moves(type_.shape, step) if isinstance(step, Windows) else (step,)
            type_ = step_type(type_, step)
        self.type, self.reads = type_, tuple(reads)
        self.update_signatures: dict[ArrayType | Lens | type, Signature] = {}

    @property
    def writable(self) -> bool:
        """Whether no two elements of the view are the same element."""
        return all(
            index.is_writable(s) if isinstance(s, Affine) else not isinstance(s, Windows) for s in self.chain
        )


_lenses: dict[tuple[ArrayType, tuple[LensStep, ...]], Lens] = {}


def step_type(source: ArrayType, step: LensStep) -> ArrayType:
    """The type a step shows of an array of type `source`."""
    match step:
        case Affine():
            return array_type(step.shape, source.dtype)
        case Reshaped():
            return array_type(step.shape, source.dtype)
        case Bitcast():
            if step.dtype.itemsize == source.dtype.itemsize:
                return array_type(source.shape, step.dtype)
            last = source.shape[-1] * source.dtype.itemsize // step.dtype.itemsize
            return array_type((*source.shape[:-1], last), step.dtype)
        case Part():
            return array_type(source.shape, dtypes.canonical(np.empty(0, source.dtype).real.dtype))
        case Windows():
            shape = list(source.shape)
            shape[step.axis] -= step.size - 1
            return array_type((*shape, step.size), source.dtype)


def _moves(shape: tuple[int, ...], step: Windows) -> tuple[LensStep, ...]:
    """Windows as moves of elements. Of a row of n repeated size + 1 times, pieces of n + 1 begin one element later each time."""
    axis, size = step
    rest, n = shape[:axis] + shape[axis + 1 :], shape[axis]
    k = len(rest)
    at = [*range(axis), k + 1, *range(axis, k)]  # of the axes in rows, of which the repeated ones lie last
    rows = Affine((*rest, size + 1, n), tuple((0, 1, d) for d in at))
    line = Affine((*rest, size * (n + 1)), tuple((0, 1, d) for d in range(k + 1)))
    shown = (*shape[:axis], n - size + 1, *shape[axis + 1 :], size)
    place = [d if d < axis else d + 1 for d in range(k)]
    windows = Affine(shown, tuple((0, 1, d) for d in (*place, k + 1, axis)))
    return rows, Reshaped((*rest, (size + 1) * n)), line, Reshaped((*rest, size, n + 1)), windows


def extend(base: ArrayType, lens: Lens | None, step: LensStep) -> Lens | None:
    """`lens` followed by `step`; None when that is the whole base array. Affine steps compose into one."""
    chain = lens.chain if lens is not None else ()
    if isinstance(step, Affine) and chain and isinstance(chain[-1], Affine):
        step = index.compose(chain[-1], step)
        chain = chain[:-1]
    before = base
    for s in chain:
        before = step_type(before, s)
    if isinstance(step, Affine) and index.is_identity(step, before.shape):
        return interned(base, chain)
    return interned(base, (*chain, step))


def interned(base: ArrayType, chain: tuple[LensStep, ...]) -> Lens | None:
    """The one Lens of this base type and chain; None for the empty chain."""
    if not chain:
        return None
    found = _lenses.get((base, chain))
    if found is None:
        found = _lenses[base, chain] = Lens(base, chain)
    return found


def read_step(source: ArrayType, step: LensStep) -> Signature:
    """Signature of reading through one step."""
    match step:
        case Affine():
            return infer.move_signature(source, step)
        case Reshaped():
            return infer.reshape_signature(source, step.shape)
        case Bitcast():
            if step.dtype.itemsize == source.dtype.itemsize:
                return infer.bitcast_signature(source, step.dtype)
            return infer.call_signature((source,), step_type(source, step), CallSpec("regroup"))
        case Part():
            return _part_signature(step.name, source)
        case Windows():
            raise TypeError("windows are read as moves")


@functools.lru_cache(maxsize=1000)
def _part_signature(name: str, source: ArrayType) -> Signature:
    return infer.map_signature(OPS[name], (source,))
