"""Irregular operations on arrays that are dealt out, at once, for the faces: rows by number, masks, positions, repetitions.

`irregular`, over ranks: takes and gives stores; each rank of this process works on its parts (`collectives`), and results lie
evenly in parts, or whole everywhere when they are small. Whether an index is out of range is agreed on before anybody raises, so
that all ranks raise the same. Loaded only where arrays are dealt out. Knows layouts and stores; no graphs and no NumPy faces.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit import poison, ranks, runtime
from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.collectives import gathers, messages, selections
from legate_jit.collectives.gathers import Writer
from legate_jit.comm import Comm
from legate_jit.ir import choose, dtypes, layout
from legate_jit.ir.layout import Layout, Span
from legate_jit.ir.node import array_type
from legate_jit.ranks import Dealt, Whole
from legate_jit.store import Store, release

__all__ = ["check", "is_dealt", "place", "positions", "put", "places", "repeat", "select", "small", "take"]

#: an index along one axis: for all elements, known to all ranks, or dealt out
Index = int | np.ndarray | Store


def is_dealt(*stores: Store) -> bool:
    """Whether any of these lies in parts. Runs what they are computed by."""
    _compute(stores)
    return any(_layout(s) is not None for s in stores)


# ---- stores and their parts -------------------------------------------------------------------------------------------


def _compute(stores: Sequence[Store]) -> None:
    """Let the stores hold buffers; what failed before raises."""
    if any(s.value is not None for s in stores):
        runtime.flush()
    for s in stores:
        if runtime._suspended:
            runtime.resume((s.buffer,))
        assert s.buffer is not None
        if poison.poisoned:
            poison.check(s.buffer)


def _dealt(store: Store) -> Dealt | None:
    buffer = store.buffer.dealt if isinstance(store.buffer, Whole) else store.buffer
    return buffer if isinstance(buffer, Dealt) and not buffer.layout.is_replicated else None


def _layout(store: Store) -> Layout | None:
    """How a store lies in parts; None when every rank has all of it."""
    dealt = _dealt(store)
    return None if dealt is None else dealt.layout


def _part(store: Store, rank: int, writable: bool = False) -> np.ndarray:
    """What a rank holds of a store."""
    dealt = _dealt(store)
    if dealt is not None:
        shape = layout.extents(dealt.layout.box(rank))
        return dealt.parts[rank].as_numpy(shape, store.type.dtype, writable)
    return runtime.host(store)


def _together(program: Callable[..., Any], *stores: Store) -> dict[int, Any]:
    """`program(comm, *parts)` on every rank; what the ranks of this process returned."""
    world = runtime.world
    held = {rank: [_part(s, rank) for s in stores] for rank in world.own}
    found: dict[int, Any] = {}

    def body(comm: Comm) -> None:
        if comm.meeting is not None:
            comm.meeting()
        found[comm.rank] = program(comm, *held[comm.rank])

    world.each(body)
    return found


def _buffer(array: np.ndarray) -> Buffer:
    """Memory that holds an array: its own if that is possible."""
    if array.flags.c_contiguous and array.flags.owndata and array.flags.writeable:
        return Buffer.wrap(array)
    made = memory.allocate(array.nbytes)
    made.as_numpy(array.shape, array.dtype, True)[...] = array
    return made


def _store(
    shape: tuple[int, ...], dtype: np.dtype, how: Layout | None, found: dict[int, np.ndarray]
) -> Store:
    """A store of the parts that the ranks found; how: None when each one found all of it."""
    type_ = array_type(shape, dtypes.canonical(dtype))
    if how is None:
        return runtime.buffer_store(_buffer(found[runtime.world.own[0]]), type_)
    dealt = Dealt(type_, how)
    for rank, array in found.items():
        dealt.parts[rank] = _buffer(array)
    return runtime.buffer_store(dealt, type_)


# ---- layouts by rows ---------------------------------------------------------------------------------------------------


def _size() -> int:
    return int(runtime.world.size)


def _first(shape: Sequence[int]) -> int:
    """The axis along which ranges of the flattened array are cut."""
    return next((d for d, n in enumerate(shape) if n > 1), 0)


def _by_rows(given: Layout | None, shape: tuple[int, ...], lead: int) -> Layout:
    """The layout, if each rank has a range of the rows of the first `lead` axes, in their order; else one of that kind."""
    axis = _first(shape[:lead])
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
    """Where the rows of each rank begin among those of the first `lead` axes."""
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


def _laid(comm: Comm, part: np.ndarray, given: Layout | None, to: Layout) -> np.ndarray:
    """The rank's part of an array under another layout."""
    if given is None:
        return part[tuple(slice(lo, hi) for lo, hi in to.box(comm.rank))]
    if given == to:
        return part
    source, wanted = ([how.box(k) for k in range(comm.size)] for how in (given, to))
    return comm.fetch(np.ascontiguousarray(part), source, wanted)


def _rows(part: np.ndarray, lead: int) -> np.ndarray:
    """A part with its first axes as one."""
    rest = part.shape[lead:]
    return np.ascontiguousarray(part).reshape((math.prod(part.shape[:lead]), *rest))


def small() -> int:
    """Arrays of fewer elements are whole on every rank."""
    return choose.SMALL


def _is_small(shape: Sequence[int]) -> bool:
    return math.prod(shape) < choose.SMALL


# ---- indices -----------------------------------------------------------------------------------------------------------


class Bad(NamedTuple):
    """An index out of range: of which axis, where, and the number."""

    axis: int
    position: int
    number: int


def _bad(index: np.ndarray, n: int) -> Bad | None:
    """The first number of a vector outside [-n, n)."""
    wrong = (index >= n) | (index < -n)
    if not wrong.any():
        return None
    at = int(wrong.argmax())
    return Bad(0, at, int(index[at]))


def _linear(indices: Sequence[int | np.ndarray], extents: Sequence[int]) -> tuple[np.ndarray, Bad | None]:
    """The numbers of rows that indices along the first axes mean, and the first index that is out of range."""
    found: Any = 0
    for axis, (index, n) in enumerate(zip(indices, extents, strict=True)):
        vector = np.asarray(index).reshape(-1).astype(np.int64)
        bad = _bad(vector, n)
        if bad is not None:
            return vector, bad._replace(axis=axis)
        found = found * n + np.where(vector < 0, vector + n, vector)
    return np.asarray(found), None


def _error(bad: Bad, axes: Sequence[int], extents: Sequence[int]) -> IndexError:
    axis = bad.axis
    return IndexError(f"index {bad.number} is out of bounds for axis {axes[axis]} with size {extents[axis]}")


def _first_bad(comm: Comm, bad: Bad | None, before: int) -> Bad | None:
    """The first of what the ranks found, in the order of axes and then of elements."""
    told = [-1, 0, 0] if bad is None else [bad.axis, before + bad.position, bad.number]
    every = messages.all_gather(comm, np.array([told], np.int64), [1] * comm.size)
    found = sorted(tuple(map(int, row[0])) for row in every if row[0, 0] >= 0)
    return Bad(*found[0]) if found else None


class _Rows:
    """Rows of a table by indices along its first axes. known: the numbers of all rows, if all ranks know them; else `how` says in
    which layout the ranks have the indices of shape `shape`."""

    def __init__(
        self, indices: Sequence[Index], shape: tuple[int, ...], extents: Sequence[int], axes: Sequence[int]
    ) -> None:
        self.indices, self.shape, self.extents, self.axes = indices, shape, extents, axes
        self.stores = [i for i in indices if isinstance(i, Store)]
        self.given = [_layout(s) for s in self.stores]
        self.known: np.ndarray | None = None
        self.how: Layout | None = None
        first = next((g for g in self.given if g is not None), None)
        if first is None:
            arrays = [np.broadcast_to(_known(i), shape) for i in indices]
            self.known, bad = _linear(arrays, extents)
            if bad is not None:
                raise _error(bad, axes, extents)
        else:
            self.how = _by_rows(first, shape, len(shape))

    def numbers(self, comm: Comm, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, Bad | None]:
        """Of dealt indices: the numbers of this rank's rows, and what all ranks know to be wrong."""
        assert self.how is not None
        box = self.how.box(comm.rank)
        held = iter(zip(parts, self.given, strict=True))
        arrays = []
        for i in self.indices:
            if isinstance(i, Store):
                part, given = next(held)
                arrays.append(_laid(comm, part, given, self.how))
            elif isinstance(i, np.ndarray):
                whole = np.broadcast_to(i, self.shape)
                arrays.append(whole[tuple(slice(lo, hi) for lo, hi in box)])
            else:
                arrays.append(np.broadcast_to(np.int64(i), layout.extents(box)))
        numbers, bad = _linear(arrays, self.extents)
        return numbers, _first_bad(comm, bad, _edges(self.how, len(self.shape))[comm.rank])


def _known(index: Index) -> np.ndarray:
    return runtime.host(index) if isinstance(index, Store) else np.asarray(index)


def _checked(found: dict[int, Any], rows: _Rows) -> dict[int, np.ndarray]:
    """The ranks' arrays; or the error they agreed on."""
    bad = next(iter(found.values()))
    if isinstance(bad, Bad):
        raise _error(bad, rows.axes, rows.extents)
    return found


# ---- reading -----------------------------------------------------------------------------------------------------------


def take(table: Store, indices: Sequence[Index], shape: tuple[int, ...], axes: Sequence[int]) -> Store:
    """The elements of a table at indices along its first axes, one for each; stores and arrays have `shape`, which is not empty.

    axes: what these axes are called in errors. Result: shape (*shape, *table.shape[len(indices):]). IndexError as NumPy's.
    """
    lead, type_ = len(indices), table.type
    _compute([table, *(i for i in indices if isinstance(i, Store))])
    rows = _Rows(indices, shape, type_.shape[:lead], axes)
    rest, given = type_.shape[lead:], _layout(table)
    to = None if given is None else _by_rows(given, type_.shape, lead)
    result = (*shape, *rest)
    goal: Layout | None = rows.how
    if rows.known is not None and not _is_small(result) and math.prod(shape) >= _size():
        goal = layout.tiled(shape, _first(shape), _size())

    def program(comm: Comm, part: np.ndarray, *parts: np.ndarray) -> Any:
        if rows.known is not None:
            where, bad = rows.known, None
        else:
            where, bad = rows.numbers(comm, parts)
        if bad is not None:
            return bad
        mine = _rows(part if to is None else _laid(comm, part, given, to), lead)
        if to is None:
            found = mine[where]
        elif rows.known is None:
            found = gathers.gather(comm, mine, _edges(to, lead), where)
        elif goal is None:
            found = gathers.gather_same(comm, mine, _edges(to, lead), where)
        else:
            found = gathers.gather_known(comm, mine, _edges(to, lead), where, _edges(goal, len(shape)))
        extents = shape if goal is None else layout.extents(goal.box(comm.rank))
        return found.reshape((*extents, *rest))

    found = _checked(_together(program, table, *rows.stores), rows)
    return _store(result, type_.dtype, None if goal is None else _with_rest(goal, len(shape), rest), found)


def check(index: Store, n: int, axis: int) -> None:
    """IndexError, as NumPy's, for the first index outside [-n, n) of a dealt array, on every rank."""
    _compute([index])
    rows = _Rows([index], index.type.shape, (n,), (axis,))
    if rows.known is None:
        _checked(_together(lambda comm, part: rows.numbers(comm, [part])[1], index), rows)


def select(x: Store, mask: Store) -> Store:
    """`x[mask]` for a mask of the shape of x's first axes."""
    lead, type_ = mask.type.ndim, x.type
    _compute([x, mask])
    rest = type_.shape[lead:]
    held, given = _layout(mask), _layout(x)
    first = held
    if first is None:
        first = _leading(given, lead)
    of_mask = _by_rows(first, mask.type.shape, lead)
    of_x = _with_rest(of_mask, lead, rest)

    def program(comm: Comm, part: np.ndarray, holds: np.ndarray) -> Any:
        chosen = _rows(_laid(comm, holds, held, of_mask), lead)
        return _dealt_out(comm, _rows(_laid(comm, part, given, of_x), lead)[chosen])

    return _counted(_together(program, x, mask), type_.dtype)


def _dealt_out(comm: Comm, rows: np.ndarray) -> tuple[int, np.ndarray]:
    """How many rows all ranks have, and this one's of an even tiling, or all of them if they are few."""
    counts = messages.totals(comm, len(rows))
    total = sum(counts)
    small = _is_small((total, *rows.shape[1:]))
    return total, (selections.everywhere if small else selections.evenly)(comm, rows, counts)


def _counted(found: dict[int, tuple[int, np.ndarray]], dtype: np.dtype) -> Store:
    total, some = found[runtime.world.own[0]]
    shape = (total, *some.shape[1:])
    how = None if _is_small(shape) else layout.tiled(shape, 0, _size())
    return _store(shape, dtype, how, {rank: array for rank, (_, array) in found.items()})


def positions(mask: Store) -> tuple[Store, ...]:
    """`numpy.nonzero` of booleans."""
    return tuple(_positions(mask, lambda found: [np.ascontiguousarray(column) for column in found.T]))


def places(mask: Store) -> Store:
    """`numpy.argwhere` of booleans."""
    return _positions(mask, lambda found: [found])[0]


def _positions(mask: Store, pieces: Callable[[np.ndarray], list[np.ndarray]]) -> list[Store]:
    shape = mask.type.shape
    _compute([mask])
    given = _layout(mask)
    to = _by_rows(given, shape, len(shape))

    def program(comm: Comm, part: np.ndarray) -> Any:
        start = tuple(lo for lo, _ in to.box(comm.rank))
        total, found = _dealt_out(comm, selections.positions(_laid(comm, part, given, to), start))
        return [(total, piece) for piece in pieces(found)]

    found = _together(program, mask)
    count = len(found[runtime.world.own[0]])
    return [_counted({rank: pieces[k] for rank, pieces in found.items()}, dtypes.INT64) for k in range(count)]


def repeat(x: Store, counts: Store) -> Store:
    """`numpy.repeat(x, counts, axis=0)` for a count of each row. ValueError if one is negative."""
    _compute([x, counts])
    given, held = _layout(x), _layout(counts)
    of_counts = _by_rows(held, counts.type.shape, 1)
    to = _with_rest(of_counts, 1, x.type.shape[1:])

    def program(comm: Comm, part: np.ndarray, times: np.ndarray) -> Any:
        times = _laid(comm, times, held, of_counts)
        wrong = bool(len(times)) and bool(times.min() < 0)
        if any(messages.totals(comm, wrong)):
            return None
        return _dealt_out(comm, np.repeat(_laid(comm, part, given, to), times, axis=0))

    found = _together(program, x, counts)
    if found[runtime.world.own[0]] is None:
        raise ValueError("repeats may not contain negative values.")
    return _counted(found, x.type.dtype)


# ---- writing -----------------------------------------------------------------------------------------------------------


class _Target:
    """A store whose parts are about to be written. They come to lie in `to`, by rows of the first `lead` axes; parts that lie so
    are written in place."""

    def __init__(self, store: Store, lead: int) -> None:
        release(store)
        self.store, self.given = store, _layout(store)
        self.to = _by_rows(self.given, store.type.shape, lead)
        self.owned = _owned(store) if self.given == self.to else {}
        #: an array that was whole everywhere and is small remains so
        self.small = self.given is None and _is_small(store.type.shape)

    def part(self, comm: Comm, held: np.ndarray) -> np.ndarray:
        """The rank's part, C-contiguous and to be written."""
        if comm.rank in self.owned:
            shape = layout.extents(self.to.box(comm.rank))
            return self.owned[comm.rank].as_numpy(shape, self.store.type.dtype, True)
        found = _laid(comm, held, self.given, self.to)
        return np.array(found, order="C") if self.given is None else found

    def whole(self, comm: Comm, part: np.ndarray) -> np.ndarray:
        """What the rank will hold: its part, or all of it."""
        if not self.small:
            return part
        (axis,) = self.to.cut_axes()
        edges = _edges(self.to, axis + 1)
        counts = [hi - lo for lo, hi in itertools.pairwise(edges)]
        every = messages.all_gather(comm, _rows(part, axis + 1), counts)
        return messages.joined(every).reshape(self.store.type.shape)

    def become(self, found: dict[int, np.ndarray]) -> None:
        """Let the store hold what the ranks made of it."""
        if not self.owned:
            type_ = self.store.type
            self.store.buffer = _store(
                type_.shape, type_.dtype, None if self.small else self.to, found
            ).buffer


def _references(store: Store) -> int:
    return sys.getrefcount(store.buffer)


def _nobody_else() -> int:
    store = Store()
    store.buffer = memory.allocate(0)
    return _references(store)


_ALONE = _nobody_else()


def _owned(store: Store) -> dict[int, Buffer]:
    """The parts of a dealt store, to be written: those that others refer to are copied before."""
    if isinstance(store.buffer, Whole):
        store.buffer = store.buffer.dealt
    alone = _references(store) <= _ALONE
    dealt = store.buffer
    assert isinstance(dealt, Dealt)
    shared = {rank for rank in runtime.world.own if not alone or ranks._others(dealt, rank)}
    parts = {
        rank: _copied(dealt.parts[rank]) if rank in shared else dealt.parts[rank]
        for rank in runtime.world.own
    }
    if not alone:
        dealt = store.buffer = Dealt(dealt.type, dealt.layout)
    dealt.parts.update(parts)
    return parts


def _copied(part: Buffer) -> Buffer:
    made, size, item = memory.allocate(part.nbytes), (part.nbytes,), np.dtype(np.uint8)
    made.as_numpy(size, item, True)[...] = part.as_numpy(size, item, False)
    runtime.counters.copied_bytes += part.nbytes
    return made


def put(
    table: Store,
    indices: Sequence[Index],
    shape: tuple[int, ...],
    axes: Sequence[int],
    values: Store | np.ndarray,
    write: Writer | None = None,
) -> None:
    """Write to the elements of a table at indices along its first axes, as `take` reads them, in the order of the indices.

    values: a store of shape (*shape, *rest), or an array of shape `rest` for all. write: `ufunc.at`, or something like it; by
    default an element is assigned to, and the last write to it wins. IndexError as NumPy's, before anything is written.
    """
    lead, type_ = len(indices), table.type
    stored = [values] if isinstance(values, Store) else []
    _compute([table, *(i for i in indices if isinstance(i, Store)), *stored])
    rows = _Rows(indices, shape, type_.shape[:lead], axes)
    rest, spread = type_.shape[lead:], len(shape)
    given = _layout(stored[0]) if stored else None
    how = rows.how
    if how is None and given is not None:  # all know where to, but not what
        how = _by_rows(_leading(given, spread), shape, spread)
    target = _Target(table, lead)
    apply = _assign if write is None else write

    def program(comm: Comm, held: np.ndarray, *parts: np.ndarray) -> Any:
        bad = None
        if how is None:
            assert rows.known is not None
            where = rows.known
        elif rows.known is not None:
            edges = _edges(how, spread)
            where = rows.known[edges[comm.rank] : edges[comm.rank + 1]]
        else:
            where, bad = rows.numbers(comm, parts)
        if bad is not None:
            return bad
        own = parts[-1] if stored else np.asarray(values)
        if stored and how is not None:
            own = _laid(comm, own, given, _with_rest(how, spread, rest))
        if stored:
            own = _rows(own, spread)
        part, edges = target.part(comm, held), _edges(target.to, lead)
        mine = part.reshape((-1, *rest)) if part.size else part.reshape((0, *rest))
        if how is None:
            gathers.scatter_known(mine, edges[comm.rank], where, own, apply)
        else:
            gathers.scatter(comm, mine, edges, where, own, apply, write is None)
        return target.whole(comm, part)

    target.become(_checked(_together(program, table, *rows.stores, *stored), rows))


def _assign(part: np.ndarray, where: np.ndarray, values: np.ndarray) -> None:
    part[where] = values


def place(x: Store, mask: Store, values: Store | np.ndarray) -> None:
    """Let the next of `values` (a vector, begun anew after its end) replace each element of x where the mask of its shape holds.

    ValueError if there is none though there are elements to be replaced.
    """
    stored = [values] if isinstance(values, Store) else []
    _compute([x, mask, *stored])
    total = values.type.size if isinstance(values, Store) else values.size
    held = _layout(mask)
    target = _Target(x, x.type.ndim)
    given = _layout(stored[0]) if stored else None
    of_values = None if given is None else _by_rows(given, (total,), 1)

    def program(comm: Comm, part: np.ndarray, holds: np.ndarray, *parts: np.ndarray) -> Any:
        own, edges = (parts[0] if stored else np.asarray(values)), None
        if of_values is not None:
            own, edges = _laid(comm, own, given, of_values), _edges(of_values, 1)
        chosen = _laid(comm, holds, held, target.to)
        if not total and any(messages.totals(comm, bool(chosen.any()))):
            return None
        mine = target.part(comm, part)
        selections.place(comm, mine, chosen, own, edges, total)
        return target.whole(comm, mine)

    found = _together(program, x, mask, *stored)
    if found[runtime.world.own[0]] is None:
        raise ValueError("Cannot insert from an empty array!")
    target.become(found)
