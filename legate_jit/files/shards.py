"""Shards: an array as parts that ranks hold, for programs that every rank runs together; and stores made of parts.

A `Shards` is what a process knows of an array to be written: a box for every rank, and the parts of its own. One rank has a
single part, the array itself. `run` calls a program once for each rank of this process; `agreed` lets an action fail on all
ranks or on none. In a simulation large arrays that are read have no contents, and nothing is written. Knows no files.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.comm.exchange import Listed
from legate_jit.ir.node import ArrayType, array_type
from legate_jit.ir.ranks import choose, layout
from legate_jit.ir.ranks.layout import Box, Layout
from legate_jit.store import Lens, Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm
    from legate_jit.ranks.windows import World

__all__ = [
    "BLOCK",
    "Deferred",
    "Shards",
    "agreed",
    "brought",
    "even",
    "from_first",
    "lines",
    "make",
    "make_of",
    "of_array",
    "of_store",
    "pieces",
    "rows",
    "run",
    "run_writing",
    "same",
    "typed",
    "within",
]

T = TypeVar("T")
#: bytes of what is converted, or sent elsewhere to be written, at a time
BLOCK = 1 << 24


@dataclass(frozen=True)
class Shards:
    """An array of `shape` and `dtype`: rank k has `boxes[k]` of it, and no element has two owners. `parts`: those of this
    process's ranks, in any strides, read-only; they keep their memory from being written."""

    shape: tuple[int, ...]
    dtype: np.dtype
    boxes: tuple[Box, ...]
    parts: dict[int, np.ndarray]


# ---- programs of all ranks -----------------------------------------------------------------------------------------


def run(program: Callable[[Comm], T]) -> T:
    """`program(comm)` on every rank of this process; the result on the first of them. All ranks call this with the same
    program."""
    world: World | None = runtime.world
    if world is None or world.is_simulated:
        from legate_jit.comm.base import LocalComm

        return program(LocalComm())
    results: dict[int, T] = {}

    def each(comm: Comm) -> None:
        results[comm.rank] = program(comm)

    world.each(each, "reading or writing a file")
    return results[world.own[0]]


def run_writing(program: Callable[[Comm], None]) -> None:
    """`run` for what changes files: a simulation changes none."""
    if runtime.world is None or not runtime.world.is_simulated:
        run(program)


def agreed(comm: Comm, action: Callable[[], T]) -> T:
    """The result of `action`, once it has succeeded on every rank. If it fails anywhere, the error of the first rank that
    failed is raised on all of them."""
    error: BaseException | None = None
    result: Any = None
    try:
        result = action()
    except BaseException as found:
        error = found
    if comm.agree(int(error is None)) and error is None:
        return result  # type: ignore[no-any-return]
    errors = comm.allgather_object(None if error is None else _portable(error))
    first = next(rank for rank, e in enumerate(errors) if e is not None)
    if error is not None and first == comm.rank:
        raise error
    raise errors[first] from error


class Deferred:
    """What is done until something fails; the error waits until this rank has sent what others wait for."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def do(self, action: Callable[..., Any], *args: Any) -> None:
        """Call it, unless something has failed."""
        if self.error is None:
            try:
                action(*args)
            except BaseException as error:
                self.error = error

    def end(self) -> None:
        """Raise what failed."""
        if self.error is not None:
            raise self.error


def from_first(comm: Comm, action: Callable[[], T]) -> T:
    """The result of `action` on rank 0, which alone carries it out; its error on all ranks."""
    outcome: tuple[bool, Any] = (False, None)
    failed: BaseException | None = None
    if comm.rank == 0:
        try:
            outcome = True, action()
        except BaseException as error:
            failed = error
            outcome = False, _portable(error)
    done, result = comm.bcast(outcome)
    if failed is not None:
        raise failed
    if not done:
        raise result
    return result  # type: ignore[no-any-return]


def same(comm: Comm, *what: object) -> None:
    """ValueError on all ranks unless all of them ask for the same."""
    texts = [repr(each) for each in what]
    if comm.agree(
        int.from_bytes(hashlib.blake2b("\n".join(texts).encode(), digest_size=7).digest(), "little")
    ):
        return
    everywhere = comm.allgather_object(texts)
    other = next(rank for rank, t in enumerate(everywhere) if t != everywhere[0])
    one, another = next(p for p in itertools.zip_longest(everywhere[0], everywhere[other]) if p[0] != p[1])
    raise ValueError(f"the ranks ask for different files: rank 0 for {one}, rank {other} for {another}")


def _portable(error: BaseException) -> BaseException:
    """The error, or what is left of it where it cannot be sent."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is type(error) and str(copy) == str(error):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


# ---- arrays in parts -------------------------------------------------------------------------------------------------


def of_array(array: np.ndarray) -> Shards:
    """An array that lies whole on every rank of this job (or on its only one), to be written by shares."""
    world: World | None = runtime.world
    whole = tuple((0, n) for n in array.shape)
    if world is None:
        return Shards(array.shape, array.dtype, (whole,), {0: array})
    nothing = tuple((0, 0) for _ in array.shape)
    if array.size < choose.SMALL or not array.ndim:
        parts = {r: array if r == 0 else array[tuple(slice(0, 0) for _ in array.shape)] for r in world.own}
        if not array.ndim:
            parts = {r: array for r in world.own if r == 0}
        return Shards(array.shape, array.dtype, (whole, *(nothing for _ in range(world.size - 1))), parts)
    boxes = _boxes(layout.tiled(array.shape, long_axis(array.shape, world.size), world.size), world.size)
    return Shards(array.shape, array.dtype, boxes, {r: array[within(boxes[r])] for r in world.own})


def of_store(store: Store, lens: Lens | None, host: Callable[[], np.ndarray]) -> Shards:
    """What `lens` shows of a store, as it lies now; flushes. `host()` gives all of it as an array where that costs nothing."""
    world: World | None = runtime.world
    if world is None:
        return of_array(host())
    if lens is not None:
        store = runtime.new_store(runtime.read(store, lens), lens.type)
    buffer = runtime.settled(store)
    if world.is_simulated:
        return Shards(store.type.shape, store.type.dtype, (), {})  # there is nothing to write
    parts = world.parts(buffer)
    if parts is None:
        return of_array(runtime.host(store))
    how, arrays = parts
    return Shards(store.type.shape, store.type.dtype, _boxes(how, world.size), arrays)


def make(type_: ArrayType, fill: Callable[[Box, np.ndarray], None]) -> Store:
    """A store whose parts `fill(box, memory)` gives: every rank calls it for what it holds of the array (all of a small one).
    Errors come to all ranks."""

    def bring(box: Box) -> Buffer:
        extents = layout.extents(box)
        buffer = memory.allocate(math.prod(extents) * type_.dtype.itemsize)
        fill(box, buffer.as_numpy(extents, type_.dtype, True))
        return buffer

    return make_of(type_, bring)


def make_of(type_: ArrayType, bring: Callable[[Box], Buffer]) -> Store:
    """`make`, with the memory that `bring(box)` gives."""
    world: World | None = runtime.world
    size = 1 if world is None else world.size
    how = even(type_.shape, size)
    if world is not None and world.is_simulated and not how.is_replicated:
        return runtime.buffer_store(runtime.world.unread(type_, how), type_)
    buffers: dict[int, Buffer] = {}

    def program(comm: Comm) -> None:
        def mine() -> None:
            if how.is_replicated and world is not None and comm.rank != world.own[0]:
                return  # ranks of one process see the same memory
            buffers[comm.rank] = bring(how.box(comm.rank))

        agreed(comm, mine)

    run(program)
    if world is None or how.is_replicated:
        return runtime.buffer_store(next(iter(buffers.values())), type_)
    return runtime.buffer_store(world.dealt(type_, how, buffers), type_)


def typed(shape: tuple[int, ...], dtype: np.dtype) -> ArrayType:
    """The type of arrays of that shape and (supported) dtype."""
    return array_type(shape, dtype)


def even(shape: tuple[int, ...], ranks: int) -> Layout:
    """How an array of which nothing else is known is dealt out: in even tiles along its first long axis; whole if it is
    small."""
    if ranks == 1 or not shape or math.prod(shape) < choose.SMALL:
        return layout.replicated(shape)
    return layout.tiled(shape, long_axis(shape, ranks), ranks)


def long_axis(shape: tuple[int, ...], ranks: int) -> int:
    """The first axis that gives every rank something, else the longest one."""
    return next(
        (d for d, n in enumerate(shape) if n >= ranks), max(range(len(shape)), key=lambda d: shape[d])
    )


def within(box: Box, outer: Box | None = None) -> tuple[slice, ...]:
    """The box as slices of the array, or of the memory that holds `outer`."""
    if outer is None:
        return tuple(slice(lo, hi) for lo, hi in box)
    return tuple(slice(lo - at, hi - at) for (lo, hi), (at, _) in zip(box, outer, strict=True))


def _boxes(how: Layout, ranks: int) -> tuple[Box, ...]:
    return tuple(how.box(k) for k in range(ranks))


# ---- dealing anew -----------------------------------------------------------------------------------------------------


def brought(comm: Comm, shards: Shards, wanted: Sequence[Iterable[Box]]) -> Iterator[tuple[Box, np.ndarray]]:
    """The boxes `wanted[rank]` of this rank one by one, brought from where they are; views of what is here already. Every
    rank has to go through to the end: what is empty at the end of shorter lists is given as well."""
    nothing = ((0, 0),) * len(shards.shape)
    mine, part = shards.boxes[comm.rank], shards.parts.get(comm.rank)
    for now in itertools.zip_longest(*wanted, fillvalue=nothing):
        box = now[comm.rank]
        if part is not None and all(map(layout.within, now, shards.boxes)):
            yield box, part[within(box, mine)] if layout.size(box) else part[within(nothing)]
        else:
            yield box, comm.exchange(shards.dtype, Listed.of(shards.boxes, now)).run(part)


def lines(shape: tuple[int, ...], ranks: int) -> tuple[Box, ...]:
    """Boxes of whole rows, as even as can be."""
    n, *rest = shape
    share = -(-n // ranks)
    return tuple(
        ((min(k * share, n), min((k + 1) * share, n)), *((0, m) for m in rest)) for k in range(ranks)
    )


def pieces(box: Box, itemsize: int) -> Iterator[Box]:
    """The box in pieces of at most `BLOCK` bytes, in C order, each as long as can be."""
    extents = layout.extents(box)
    if 0 in extents:
        return
    cut = next((d for d in range(len(box)) if math.prod(extents[d + 1 :]) * itemsize <= BLOCK), len(box))
    if cut == len(box):
        yield box
        return
    height = BLOCK // (math.prod(extents[cut + 1 :]) * itemsize)
    for outer in itertools.product(*(range(lo, hi) for lo, hi in box[:cut])):
        lo, hi = box[cut]
        for start in range(lo, hi, height):
            yield (*((i, i + 1) for i in outer), (start, min(start + height, hi)), *box[cut + 1 :])


def rows(shape: tuple[int, ...], itemsize: int) -> Iterator[Box]:
    """All of an array in pieces of whole rows, of at most `BLOCK` bytes as far as rows are shorter."""
    height = max(BLOCK // max(math.prod(shape[1:]) * itemsize, 1), 1)
    for start in range(0, shape[0], height):
        yield ((start, min(start + height, shape[0])), *((0, n) for n in shape[1:]))
