"""Draws over several ranks: each rank keeps its part, of the same numbers and with the same generator afterwards as on one rank.

And what ranks agree on: generators that nobody gave a seed are at the same place on all of them. Called only where there are
ranks. Knows draws, and `legate_jit.immediate.together`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cupynumeric._array import Ours, assign, ndarray, wrap
from cupynumeric._convert import to_numpy_tree
from legate_jit import runtime
from legate_jit.files.shards import even
from legate_jit.immediate import together
from legate_jit.ir import dtypes
from legate_jit.ir.node import array_type
from legate_jit.ir.ranks.layout import Box
from legate_jit.running import bodies
from legate_jit.streams import chained, jumps, parallel, parts
from legate_jit.streams.draws import Draw, draw_of
from legate_jit.streams.jumps import Source

__all__ = ["agree", "agree_on_global", "dealt", "entropy", "of_global", "shuffled"]


def dealt(source: Source, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ndarray | None:
    """What a method of a generator gives, in parts; None for what is small, or no draw that parts can be made of."""
    if bodies.running() is not None:
        return None
    if name in ("choice", "multivariate_normal", "permutation"):
        from cupynumeric.random import _orders

        found: ndarray | None = _orders.attempt(source, name, args, kwargs)
        return found
    out = kwargs.get("out")
    if out is not None:
        if not isinstance(out, Ours) or kwargs.get("size") is not None or (args and name != "standard_gamma"):
            return None
        kwargs = {**kwargs, "out": None, "size": out.shape}
    draw = draw_of(source, name, to_numpy_tree(args), to_numpy_tree(kwargs))
    if draw is None or not together.worthwhile(math.prod(draw.shape)):
        return None
    draw = draw.probed(source)
    if out is None:
        return _drawn(source, draw)
    if out.dtype != draw.dtype:
        return None
    assign(out, out._lens, _drawn(source, draw))
    return out


def _drawn(source: Source, draw: Draw) -> ndarray:
    """The draw, each rank's part on the rank; then the source is where it ends."""
    ends: list[Source] = []
    world, boxes = runtime.world, None
    if not draw.plain and not world.is_simulated and parallel.rate(draw) is not None:
        how = even(draw.shape, world.size)
        boxes = [how.box(rank) for rank in range(world.size)]

    def fill(comm: Any, box: Box, memory: np.ndarray) -> None:
        own = jumps.copied(source)
        if boxes is None or not chained.fill(comm, own, draw, boxes, memory):
            parts.fill(own, draw, box, memory)
        ends.append(own)

    said = f"{draw.name}{draw.shape} from {jumps.fingerprint(source):08x}"
    type_ = array_type(draw.shape, dtypes.canonical(draw.dtype))
    made: ndarray = wrap(together.filled(said, type_, fill))
    if ends:
        jumps.restore(source, ends[0])
    return made


def agree(source: Source) -> None:
    """Bring a generator to the same place on all ranks, whatever was drawn to seed it."""
    first = together.agreed(_state(source), "a new random generator")
    if isinstance(source, np.random.RandomState):
        source.set_state(first)
    else:
        source.bit_generator.state = first


def _state(source: Source) -> Any:
    if isinstance(source, np.random.RandomState):
        return source.get_state(legacy=False)
    return source.bit_generator.state


def shuffled(source: Source, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Shuffle an array that lies in parts; False: not done."""
    from cupynumeric.random import _orders

    given = dict(zip(("axis",), args, strict=False)) | kwargs
    if bodies.running() is not None or len(args) > 1 or set(given) - {"axis"}:
        return False
    if given and isinstance(source, np.random.RandomState):
        return False
    return _orders.shuffle(source, x, **given)


def of_global(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ndarray | None:
    """`dealt`, of the stream of `numpy.random`'s functions."""
    agree_on_global()
    return dealt(np.random.mtrand._rand, name, args, kwargs)


#: the world whose ranks have the stream of `numpy.random`'s functions at the same place
_global_of: Any = None


def agree_on_global(again: bool = False) -> None:
    """Bring the stream of `numpy.random`'s functions to the same place on all ranks, the first time somebody needs it."""
    global _global_of
    if (again or _global_of is not runtime.world) and bodies.running() is None:
        agree(np.random.mtrand._rand)
        _global_of = runtime.world


def entropy() -> int:
    """A number that nobody knows before, the same on all ranks."""
    found: int = together.agreed(np.random.SeedSequence().entropy, "a seed")
    return found
