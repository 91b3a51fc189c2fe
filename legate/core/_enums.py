"""Kinds of things, as users name them: processors, memories, variants, modes.

Knows values only. The order of `TaskTarget` is the order in which kinds of processors are preferred.
"""

from __future__ import annotations

from enum import IntEnum, unique

__all__ = [
    "LEGATE_MAX_DIM",
    "ExceptionMode",
    "ImageComputationHint",
    "OpenFlag",
    "StoreTarget",
    "StreamingMode",
    "TaskTarget",
    "VariantCode",
]

#: dimensions of the point and rectangle types, and what programs that test "all dimensions" should loop over
LEGATE_MAX_DIM = 6


@unique
class VariantCode(IntEnum):
    """Which implementation of a task."""

    CPU = 1
    GPU = 2
    OMP = 3


@unique
class TaskTarget(IntEnum):
    """A kind of processor."""

    GPU = 1
    OMP = 2
    CPU = 3

    def __str__(self) -> str:
        return self.name


@unique
class StoreTarget(IntEnum):
    """A kind of memory: of the host, of a GPU, of the host but visible to GPUs, of one socket of the host."""

    SYSMEM = 1
    FBMEM = 2
    ZCMEM = 3
    SOCKETMEM = 4

    def __str__(self) -> str:
        return self.name


@unique
class ImageComputationHint(IntEnum):
    """How the image of a part is found: exactly, from the least and greatest point, or from the first and last."""

    NO_HINT = 0
    MIN_MAX = 1
    FIRST_LAST = 2


@unique
class StreamingMode(IntEnum):
    """Whether a chain of tasks runs part by part to save memory, and whether it is an error if it cannot."""

    OFF = 0
    STRICT = 1
    RELAXED = 2


@unique
class ExceptionMode(IntEnum):
    """What becomes of a task's exception: raised at once, raised when the scope ends, or dropped."""

    IMMEDIATE = 0
    DEFERRED = 1
    IGNORED = 2


@unique
class OpenFlag(IntEnum):
    """How a file is opened."""

    READ = 0
    WRITE = 1
    READ_WRITE = 2
