"""Irregular operations on arrays that lie in parts, at once, for the faces: rows by number, masks, positions, repetitions.

`irregular`, over ranks: chooses how operands are to lie and has the ranks run programs of `legate_jit.collectives` on their
parts; results lie evenly in parts, small ones whole everywhere. Whether an index is out of range is agreed on before anybody
raises, so that all ranks raise the same. Loaded only where there are ranks.
Knows layouts and stores; no graphs and no NumPy faces.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.collectives import gathers, indices, messages, selections
from legate_jit.collectives.gathers import Writer
from legate_jit.collectives.indices import Bad
from legate_jit.collectives.tiles import Laid
from legate_jit.comm.base import Comm
from legate_jit.immediate import together
from legate_jit.ir.ranks import choose, layout
from legate_jit.ir.ranks.exchanges import neutral
from legate_jit.ir.ranks.layout import Layout, Span
from legate_jit.process import interpreter
from legate_jit.ranks import windows
from legate_jit.ranks.windows import Dealt, Whole
from legate_jit.store import Store, release

__all__ = ["check", "is_dealt", "place", "places", "positions", "put", "repeat", "select", "small", "take"]

#: an index along one axis: for all elements, known to all ranks, or lying in parts
Index = int | np.ndarray | Store


def is_dealt(*stores: Store) -> bool:
    """Whether any of these lies in parts. Runs what they are computed by."""
    return any(together.lies_in_parts(s) is not None for s in stores)


def small() -> int:
    """Arrays of fewer elements are whole on every rank."""
    return choose.SMALL


# ---- layouts by rows ---------------------------------------------------------------------------------------------------


def _dealt(store: Store) -> Dealt | None:
    """The parts of a store; None when every rank has all of it."""
    buffer = runtime.settled(store)
    if runtime.world.layout_of(buffer) is None:
        return None
    found = buffer.dealt if isinstance(buffer, Whole) else buffer
    assert isinstance(found, Dealt)
    return found


def _layout(store: Store) -> Layout | None:
    """How a store lies in parts; None when every rank has all of it."""
    found: Layout | None = runtime.world.layout_of(runtime.settled(store))
    return found


def _size() -> int:
    return int(runtime.world.size)


def _is_small(shape: Sequence[int]) -> bool:
    return math.prod(shape) < choose.SMALL


def _by_rows(given: Layout | None, shape: tuple[int, ...], lead: int) -> Layout:
    """The layout, if each rank has a range of the rows of the first `lead` axes, in order; else an even one of that kind."""
    axis = next((d for d, n in enumerate(shape[:lead]) if n > 1), 0)
    if (
        given is not None
        and given.cut_axes() == (axis,)
        and given.grid == (_size(),)
        and not given.is_pinned
        and not given.spans[axis].reverse
    ):
        return given
    return layout.tiled(shape, axis, _size())


def _edges(how: Layout, lead: int) -> list[int]:
    """Where the rows of each rank begin among those of the first `lead` axes, and where the last one's end."""
    (axis,) = how.cut_axes()
    inner = math.prod(how.shape[axis + 1 : lead])
    return [edge * inner for edge in how.spans[axis].edges()]


def _with_rest(how: Layout, lead: int, rest: Sequence[int]) -> Layout:
    """The layout of arrays whose first axes lie so and whose other extents are `rest`."""
    return how._replace(spans=(*how.spans[:lead], *(Span(n) for n in rest)))


def _leading(given: Layout | None, lead: int) -> Layout | None:
    """How the first axes lie, if only they are cut."""
    cuts = () if given is None else given.cut_axes()
    return (
        given._replace(spans=given.spans[:lead]) if given is not None and cuts and cuts[-1] < lead else None
    )


def _rows(part: np.ndarray, lead: int) -> np.ndarray:
    """A part with its first axes as one."""
    return part.reshape((math.prod(part.shape[:lead]), *part.shape[lead:]))


#: a store, and how it is to lie for a program (None: whole)
_Input = tuple[Store, Layout | None]


# ---- indices -----------------------------------------------------------------------------------------------------------


class _Indices:
    """Index arrays along axes of extents `extents`; `axes`: what errors call these axes.

    known: the numbers of all rows, if all ranks know them; else `how` says in which layout the ranks have the index arrays of
    shape `shape`, and `inputs` are those that lie in parts.
    """

    def __init__(
        self, given: Sequence[Index], shape: tuple[int, ...], extents: Sequence[int], axes: Sequence[int]
    ) -> None:
        self.shape, self.extents, self.axes = shape, extents, axes
        self.all = [i if isinstance(i, Store) and _layout(i) is not None else _known(i) for i in given]
        stores = [i for i in self.all if isinstance(i, Store)]
        self.known: np.ndarray | None = None
        self.how: Layout | None = None
        if stores:
            self.how = _by_rows(_layout(stores[0]), shape, len(shape))
        else:
            known = [np.asarray(i) for i in self.all if not isinstance(i, Store)]
            self.known, bad = indices.numbers(known, extents, shape)
            if bad is not None:
                raise self.error(bad)
        self.inputs: list[_Input] = [(s, self.how) for s in stores]

    def error(self, bad: Bad) -> IndexError:
        """NumPy's."""
        axis, n = self.axes[bad.which], self.extents[bad.which]
        return IndexError(f"index {bad.number} is out of bounds for axis {axis} with size {n}")

    def numbers(self, comm: Comm, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, Bad | None]:
        """Of indices that lie in parts: the numbers of this rank's rows, and the index that is wrong, as all ranks know."""
        assert self.how is not None
        box, left = self.how.box(comm.rank), iter(parts)
        here = tuple(slice(lo, hi) for lo, hi in box)
        arrays = [
            next(left) if isinstance(i, Store) else np.broadcast_to(i, self.shape)[here] for i in self.all
        ]
        found, bad = indices.numbers(arrays, self.extents, layout.extents(box))
        return found, indices.agreed(comm, bad, _edges(self.how, len(self.shape))[comm.rank])

    def checked(self, found: list[Any]) -> list[Any]:
        """What a program gave after what `numbers` said."""
        if found[0] is not None:
            raise self.error(found[0])
        return found[1:]


def _known(index: Index) -> np.ndarray:
    return runtime.host(index) if isinstance(index, Store) else np.asarray(index)


def check(index: Store, n: int, axis: int) -> None:
    """IndexError, as NumPy's, on every rank for the first index outside [-n, n) of an array that lies in parts."""
    dealt = _dealt(index)
    if dealt is not None:
        if dealt.extremes is None:
            (dealt.extremes,) = together.run("extremes", indices.extremes, [(index, dealt.layout)])
        low, high = dealt.extremes
        if -n <= low and high < n:
            return
    given = _Indices([index], index.type.shape, (n,), (axis,))
    if given.known is None:
        given.checked(
            together.run("check", lambda comm, part: [given.numbers(comm, [part])[1]], given.inputs)
        )


# ---- reading -----------------------------------------------------------------------------------------------------------


def take(table: Store, index: Sequence[Index], shape: tuple[int, ...], axes: Sequence[int]) -> Store:
    """The elements of a table at indices along its first axes: index arrays that broadcast to `shape`, which is not empty; those
    that lie in parts have it.

    axes: what these axes are called in errors. Result: shape (*shape, *table.shape[len(index):]). IndexError as NumPy's.
    """
    lead, spread, of_table = len(index), len(shape), table.type
    given = _Indices(index, shape, of_table.shape[:lead], axes)
    rest, held = of_table.shape[lead:], _layout(table)
    to = None if held is None else _by_rows(held, of_table.shape, lead)
    result, goal = (*shape, *rest), given.how
    if given.known is not None and not _is_small(result) and math.prod(shape) >= _size():
        goal = _by_rows(None, shape, spread)
    how = layout.replicated(result) if goal is None else _with_rest(goal, spread, rest)

    def program(comm: Comm, part: np.ndarray, *parts: np.ndarray) -> list[Any]:
        where, bad = given.known, None
        if where is None:
            where, bad = given.numbers(comm, parts)
        if bad is not None:
            return [bad]
        rows = _rows(part, lead)
        if to is None:
            found = gathers.picked(rows, where)
        elif given.known is None:
            found = gathers.gather(comm, rows, _edges(to, lead), where)
        elif goal is None:
            found = gathers.gather_same(comm, rows, _edges(to, lead), where)
        else:
            found = gathers.gather_known(comm, rows, _edges(to, lead), where, _edges(goal, spread))
        return [None, Laid(how, found.reshape(layout.extents(how.box(comm.rank))))]

    store: Store = given.checked(together.run("take", program, [(table, to), *given.inputs]))[0]
    return store


def select(x: Store, mask: Store) -> Store:
    """`x[mask]` for a mask of the shape of x's first axes."""
    lead = mask.type.ndim
    of_mask = _by_rows(_layout(mask) or _leading(_layout(x), lead), mask.type.shape, lead)
    of_x = _with_rest(of_mask, lead, x.type.shape[lead:])
    store: Store = together.run("select", selections.select, [(x, of_x), (mask, of_mask)])[0]
    return store


def positions(mask: Store) -> tuple[Store, ...]:
    """`numpy.nonzero` of booleans."""
    return tuple(_positions("nonzero", selections.nonzero, mask))


def places(mask: Store) -> Store:
    """`numpy.argwhere` of booleans."""
    return _positions("argwhere", selections.argwhere, mask)[0]


def _positions(name: str, program: Callable[..., Sequence[Any]], mask: Store) -> list[Store]:
    to = _by_rows(_layout(mask), mask.type.shape, mask.type.ndim)
    starts = [[lo for lo, _ in to.box(k)] for k in range(_size())]
    return together.run(name, lambda comm, part: program(comm, part, starts), [(mask, to)])


def repeat(x: Store, counts: Store) -> Store:
    """`numpy.repeat(x, counts, axis=0)` for a count of each row. ValueError if one is negative."""
    of_counts = _by_rows(_layout(counts) or _leading(_layout(x), 1), counts.type.shape, 1)
    of_x = _with_rest(of_counts, 1, x.type.shape[1:])
    found = together.run("repeat", selections.repeat, [(x, of_x), (counts, of_counts)])[0]
    if not isinstance(found, Store):
        raise ValueError("repeats may not contain negative values.")
    return found


# ---- writing -----------------------------------------------------------------------------------------------------------


class _Target:
    """A store that is about to be written: it comes to lie in `to`, by rows of its first `lead` axes. Parts that lie so already
    are written in place."""

    def __init__(self, store: Store, lead: int) -> None:
        release(store)
        given = _layout(store)
        self.store, self.to = store, _by_rows(given, store.type.shape, lead)
        self.owned = _owned(store) if given == self.to else {}
        #: an array that was whole everywhere and is small remains so
        self.small = given is None and _is_small(store.type.shape)

    def part(self, comm: Comm, brought: np.ndarray) -> np.ndarray:
        """The rank's part, C-contiguous and to be written."""
        if comm.rank in self.owned:
            shape = layout.extents(self.to.box(comm.rank))
            return self.owned[comm.rank].as_numpy(shape, self.store.type.dtype, True)
        return np.array(brought, order="C")

    def result(self, comm: Comm, part: np.ndarray) -> Laid | None:
        """What the rank will hold: its part, or all of it; None if it holds that already."""
        if self.owned:
            return None
        if not self.small:
            return Laid(self.to, part)
        (axis,) = self.to.cut_axes()
        counts = [hi - lo for lo, hi in itertools.pairwise(_edges(self.to, axis + 1))]
        every = messages.joined(messages.all_gather(comm, _rows(part, axis + 1), counts))
        shape = self.store.type.shape
        return Laid(layout.replicated(shape), every.reshape(shape))

    def become(self, found: Any) -> None:
        """Let the store hold what the ranks made of it."""
        if found is not None:
            self.store.buffer = found.buffer


def _references(store: Store) -> int:
    return sys.getrefcount(store.buffer)


def _nobody_else() -> int:
    store = Store()
    store.buffer = memory.allocate(0)
    return _references(store)


_ALONE = interpreter.references(_nobody_else)


def _owned(store: Store) -> dict[int, Buffer]:
    """The parts of a store, to be written: those that others refer to are copied before."""
    if isinstance(store.buffer, Whole):
        store.buffer = store.buffer.dealt
    alone = _references(store) <= _ALONE
    dealt = store.buffer
    assert isinstance(dealt, Dealt)
    own = runtime.world.own
    shared = [not alone or windows._others(dealt, rank) > 0 for rank in own]
    if not alone:
        mine = store.buffer = Dealt(dealt.type, dealt.layout)
        mine.parts.update(dealt.parts)
        dealt = mine
    dealt.extremes = None
    for rank, copied in zip(own, shared, strict=True):
        if copied:
            dealt.parts[rank] = _copy(dealt.parts[rank])
    return dict(dealt.parts)


def _copy(part: Buffer) -> Buffer:
    made, size, item = memory.allocate(part.nbytes), (part.nbytes,), np.dtype(np.uint8)
    made.as_numpy(size, item, True)[...] = part.as_numpy(size, item, False)
    runtime.counters.copied_bytes += part.nbytes
    return made


def put(
    table: Store,
    index: Sequence[Index],
    shape: tuple[int, ...],
    axes: Sequence[int],
    values: Store | np.ndarray,
    write: Writer | None = None,
    flat: bool = False,
    combine: str = "",
) -> None:
    """Write to the elements of a table at indices along its first axes, as `take` reads them, in the order of the indices. With
    `flat`: at an index into all of its elements.

    values: a store of shape (*shape, *rest), or an array of shape `rest` for all. write: `ufunc.at`, or something like it; by
    default elements are assigned to, and the last write wins. combine: the ufunc that `write` applies, if its order does not
    matter. IndexError as NumPy's, before anything is written.
    """
    spread, of_table = len(shape), table.type
    lead = of_table.ndim if flat else len(index)
    given = _Indices(index, shape, (of_table.size,) if flat else of_table.shape[:lead], axes)
    rest = of_table.shape[lead:]
    how = given.how
    if how is None and isinstance(values, Store) and _layout(values) is not None:
        how = _by_rows(_leading(_layout(values), spread), shape, spread)  # all know where to, but not what
    #: every rank writes to a table of its own; they are few bytes
    combined = bool(combine) and given.known is None and _layout(table) is None and _is_small(of_table.shape)
    target = _Target(table, lead)
    stored: list[_Input] = []
    if isinstance(values, Store):
        stored = [(values, None if how is None else _with_rest(how, spread, rest))]
    apply = gathers.assign if write is None else write

    def program(comm: Comm, brought: np.ndarray, *parts: np.ndarray) -> list[Any]:
        where, bad = given.known, None
        if where is None:
            where, bad = given.numbers(comm, parts)
        elif how is not None:
            start, stop = _edges(how, spread)[comm.rank : comm.rank + 2]
            where = where[start:stop]
        if bad is not None:
            return [bad]
        own = _rows(parts[-1], spread) if stored else np.asarray(values)
        if combined:
            changes = np.full(of_table.shape, neutral(combine, of_table.dtype), of_table.dtype)
            apply(_rows(changes, lead), where, own)
            operator = getattr(np, combine)
            every = operator(brought, comm.combine(changes, operator))
            return [None, Laid(layout.replicated(of_table.shape), every)]
        part, edges = target.part(comm, brought), _edges(target.to, lead)
        if how is None:
            gathers.scatter_known(_rows(part, lead), edges[comm.rank], where, own, apply)
        else:
            gathers.scatter(comm, _rows(part, lead), edges, where, own, apply, write is None)
        return [None, target.result(comm, part)]

    inputs = [(table, None if combined else target.to), *given.inputs, *stored]
    found = together.run("put", program, inputs)
    target.become(given.checked(found)[0])


def place(x: Store, mask: Store, values: Store | np.ndarray) -> None:
    """Let the next of `values` (a vector, begun anew after its end) replace each element of x where the mask of its shape holds.

    ValueError if there is none though there are elements to be replaced.
    """
    target = _Target(x, x.type.ndim)
    stored: list[_Input] = []
    of_values = None
    if isinstance(values, Store):
        total = values.type.size
        of_values = _by_rows(_layout(values), (total,), 1)
        stored = [(values, of_values)]
    else:
        total = values.size

    def program(comm: Comm, brought: np.ndarray, holds: np.ndarray, *parts: np.ndarray) -> list[Any]:
        own = parts[0] if stored else np.asarray(values)
        part = target.part(comm, brought)
        edges = None if of_values is None else _edges(of_values, 1)
        if not selections.place(comm, part, holds, own, edges, total):
            return [False]
        return [True, target.result(comm, part)]

    done = together.run("place", program, [(x, target.to), (mask, target.to), *stored])
    if not done[0]:
        raise ValueError("Cannot insert from an empty array!")
    target.become(done[1])
