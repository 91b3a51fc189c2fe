"""Grown: arrays whose size nobody knew before the points of a launch left their parts, wherever those points ran.

A face asks for them when somebody looks at a store that a launch fills. The points of each rank follow those of the ranks before
(`TaskSpec.ordered`). Knows ranks and how arrays lie; nothing of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from legate_jit import runtime
from legate_jit.collectives.messages import all_gather
from legate_jit.collectives.tiles import rebalanced
from legate_jit.comm.base import Comm
from legate_jit.immediate import together
from legate_jit.store import Store

__all__ = ["joined"]

#: by the point, what it left; arrays of one dtype and the same extents but the first, which is not 0
Parts = Mapping[tuple[int, ...], np.ndarray]


class _Left(dict[tuple[int, ...], np.ndarray]):
    """What points of this process left. The ranks have different ones, and know the operation by its text."""

    def __repr__(self) -> str:
        return "parts"


def joined(parts: Parts, dtype: np.dtype) -> Store | None:
    """What the points of a launch left on the ranks that ran them, joined along the first axis in the points' order: a store
    whose array lies in parts, or is whole if it is small. None if this process has all of it anyway.

    Every rank asks at the same time. dtype: of the parts.
    """
    world = runtime.world
    if world is None or world.comm is None:
        return None
    (found,) = together.compute(_joined, [], parts=_Left(parts), dtype=dtype)
    return runtime.adopt(found) if isinstance(found, np.ndarray) else cast(Store | None, found)


def _joined(comm: Comm, parts: Parts, dtype: np.dtype) -> list[Any]:
    rest = next((part.shape[1:] for part in parts.values()), None)
    told = comm.allgather_object((sorted(parts), rest))
    everybody = [points for points, _ in told]
    if all(points == everybody[0] for points in everybody):
        return [None]
    own = [p for p in everybody[comm.rank] if not any(p in some for some in everybody[: comm.rank])]
    shape = (0, *next(extents for _, extents in told if extents is not None))
    tile = rebalanced(comm, np.concatenate([np.empty(shape, dtype), *(parts[p] for p in own)]))
    if together.worthwhile(math.prod(tile.shape)):
        return [tile]
    return [np.concatenate(all_gather(comm, tile.part))]
