"""Together: what the ranks compute at once on arrays that lie in parts, because the shape of a result depends on values.

A face asks `lies_in_parts` (one comparison where there is one rank), and then has a program of `legate_jit.collectives` run on
the parts; results are stores whose arrays lie in parts. Knows stores and how they lie; no NumPy semantics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from legate_jit import runtime
from legate_jit.running import bodies, locking
from legate_jit.store import Store

if TYPE_CHECKING:  # what only several ranks need is imported where they do: programs of one rank start sooner
    import numpy as np

    from legate_jit.comm.base import Comm
    from legate_jit.ir.node import ArrayType
    from legate_jit.ir.ranks.layout import Box, Layout

T = TypeVar("T")

__all__ = [
    "agreed",
    "compute",
    "filled",
    "gathering",
    "is_unread",
    "lies_in_parts",
    "run",
    "tiles",
    "worthwhile",
]


def lies_in_parts(store: Store) -> Layout | None:
    """How the array of a store is cut over the ranks; None if it is whole. Flushes what large arrays wait for.

    Every rank asks at the same time, and gets the same answer.
    """
    world = runtime.world
    if world is None or not worthwhile(store.type.size) or bodies.running() is not None:
        return None
    found: Layout | None = world.layout_of(runtime.settled(store))
    return found


def is_unread(store: Store) -> bool:
    """Whether an array lies in parts and no rank has all of it, not even to look at."""
    from legate_jit.ranks import windows

    return lies_in_parts(store) is not None and isinstance(store.buffer, windows.Dealt)


def compute(
    program: Callable[..., Sequence[Any]],
    stores: Sequence[Store],
    wanted: Sequence[Layout | None] | None = None,
    **options: Any,
) -> list[Any]:
    """The results of `program(comm, *parts, **options)`, which every rank runs on its parts of the stores.

    wanted: how each array shall lie for the program; None: in even tiles along its first axis if it lies in parts (see
    `collectives.tiles`), else whole on every rank. options: plain values, by whose `repr` the ranks see that they do the same.
    The program must not change the parts. It gives the same number of results on every rank: a `Tile` or `Laid` becomes a store;
    anything else must be the same on all ranks, and is handed on.
    """
    given = [
        (s, tiles(s) if how is None and lies_in_parts(s) is not None else how)
        for s, how in zip(stores, wanted or [None] * len(stores), strict=True)
    ]
    said = [f"{key}={option!r}" for key, option in options.items()]
    return run(program.__name__, functools.partial(program, **options), given, said)


def run(
    name: str,
    program: Callable[..., Sequence[Any]],
    inputs: Sequence[tuple[Store, Layout | None]],
    options: Sequence[str] = (),
) -> list[Any]:
    """What `program(comm, *parts)` gives on every rank, arrays as stores. inputs: stores, and how each shall lie (None: whole on
    every rank). name, options: by which, and the types of the inputs, the ranks see that they do the same.
    """
    from legate_jit.ir.ranks import layout
    from legate_jit.ranks import windows

    given = [
        (s.type, runtime.settled(s), layout.replicated(s.type.shape) if how is None else how)
        for s, how in inputs
    ]
    said = ", ".join([*(repr(s.type) for s, _ in inputs), *options])
    results: list[Any] = runtime.world.together(program, given, f"{name}({said})")
    return [runtime.buffer_store(x, x.type) if isinstance(x, windows.Dealt) else x for x in results]


def apply(
    name: str,
    program: Callable[..., Sequence[Any]],
    inputs: Sequence[tuple[Store, Layout | None]],
    options: Sequence[str] = (),
) -> list[Any] | None:
    """`run`, of a program that calls a user's function: it is a body there, in which public functions are NumPy's. None if it
    asked the engine for anything, on any rank; what it raised is raised on all."""
    from legate_jit.files.shards import agreed as succeeded

    def guarded(comm: Comm, *parts: np.ndarray) -> Sequence[Any]:
        return succeeded(comm, lambda: alone(name, program, comm, *parts))

    try:
        return run(name, guarded, inputs, options)
    except bodies.Forbidden:
        return None


def alone(name: str, function: Callable[..., T], *args: Any) -> T:
    """A user's function called as a body: there, public functions are NumPy's. `bodies.Forbidden` if it asks the engine for
    anything."""
    locking.share()  # so that public functions know where they are called
    with bodies.inside(bodies.Applied(name)):
        return function(*args)


def filled(name: str, type_: ArrayType, fill: Callable[[Comm, Box, np.ndarray], None]) -> Store:
    """A store of an array that lies evenly in parts, which every rank writes: `fill(comm, box, memory)` gets what is the rank's
    of the array, and memory of its extents. name: by which the ranks see that they do the same."""
    from legate_jit.backends import memory
    from legate_jit.files.shards import even
    from legate_jit.ir.ranks import layout

    world = runtime.world
    how = even(type_.shape, world.size)
    if world.is_simulated:
        return runtime.buffer_store(world.unread(type_, how), type_)
    buffers = {}

    def program(comm: Comm) -> None:
        box = how.box(comm.rank)
        buffer = memory.allocate(layout.size(box) * type_.dtype.itemsize)
        fill(comm, box, buffer.as_numpy(layout.extents(box), type_.dtype, True))
        buffers[comm.rank] = buffer

    world.each(program, name)
    return runtime.buffer_store(world.dealt(type_, how, buffers), type_)


def agreed(item: Any, name: str) -> Any:
    """The (picklable) object that the first rank gives; every rank gives one at the same time. Inside the body of a task, on one
    rank, and on ranks that are one process: the object itself."""
    world = runtime.world
    if world is None or world.comm is None or bodies.running() is not None:
        return item
    found: list[Any] = []
    world.each(lambda comm: found.append(comm.bcast(item)), name)
    return found[0]


def tiles(store: Store) -> Layout:
    """Even tiles of a store's array along its first axis."""
    from legate_jit.ir.ranks import layout

    return layout.tiled(store.type.shape, 0, runtime.world.size)


def gathering(name: str, store: Store) -> None:
    """Say, once for every name, that all of an array is about to be gathered, if it lies in parts."""
    if lies_in_parts(store):
        from legate_jit.ranks import windows

        nbytes = (runtime.world.size - 1) * store.type.nbytes
        windows.tell(runtime.world, [f"{name} runs whole on every rank: {nbytes} bytes gathered"])


def worthwhile(size: int) -> bool:
    """Whether an array of `size` elements may lie in parts."""
    if runtime.world is None:
        return False
    from legate_jit.ir.ranks import choose

    return size >= choose.SMALL
