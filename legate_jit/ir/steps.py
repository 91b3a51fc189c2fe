"""Steps: a schedule as data, and the launch of a kernel with all its concrete numbers.

What planning (`schedule`, `nest`) produces and `execute` consumes; kept apart so that running a known plan loads no planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from legate_jit.ir.build import CallSpec
from legate_jit.ir.kernel import Kernel
from legate_jit.ir.node import ArrayType, Node
from legate_jit.ir.tasks.partition import Partition
from legate_jit.ir.tasks.task import TaskSpec


class Place(NamedTuple):
    """One operand of a launch: the node whose memory it is, byte offset, byte strides per loop, stride of the block loop.
    `node` None is a scratch row."""

    node: Node | None
    offset: int
    strides: tuple[int, ...]
    block_stride: int


class Nest(NamedTuple):
    """A kernel and everything static about one launch of it."""

    kernel: Kernel
    extents: tuple[int, ...]
    tile: int
    ntiles: int
    rows_per_unit: int
    nblocks: int
    places: tuple[Place, ...]
    scalars: tuple[int, ...]
    units: int
    work: int  # simple operations per unit, estimated


class Band(NamedTuple):
    """How a launch does a band of its rows: its share of band b of `bands` are the units [t * stride + b * per, + per) that are
    below (t + 1) * stride, for every t < times."""

    bands: int
    per: int
    stride: int
    times: int


class Launch(NamedTuple):
    """Run a kernel: its nest, the storage of each operand (-1: scratch), and how many units a thread takes at a time.

    Launches with a `band` make a chain with those that are `joined` to them: every band goes through all of them in turn.
    """

    nest: Nest
    storages: tuple[int, ...]
    chunk: int
    band: Band | None = None
    joined: bool = False


class Argument(NamedTuple):
    """Operand of a library call: a strided view of a storage, or (storage < 0) the scalar slot `offset`."""

    storage: int
    type: ArrayType
    offset: int  # bytes
    strides: tuple[int, ...]  # bytes
    contiguous: bool = False  # in C order


class Call(NamedTuple):
    """A library call: `spec` names it; results are written to whole storages. `after`: the launches from whose results it is
    computed, one bit for each, at its scalar slot."""

    spec: CallSpec
    arguments: tuple[Argument, ...]
    results: tuple[tuple[int, ArrayType], ...]
    after: int = 0


class Task(NamedTuple):
    """A launch of user code: `arguments` in its own order, the written ones being views of storages that hold their old values.

    `bases`: per argument the shape of the array it is a view of. `launch`: the scalar slot of the launch itself. `written`: the
    storages it writes. `after`: the earlier launches from whose results its arguments are computed, as in `Call`.
    """

    spec: TaskSpec
    arguments: tuple[Argument, ...]
    bases: tuple[tuple[int, ...], ...]
    partition: Partition
    launch: int
    written: tuple[int, ...]
    after: int = 0


Step = Launch | Call | Task


class Storage(NamedTuple):
    """Memory of one or several values: input buffer number `source`, or a fresh slot of `nbytes`."""

    source: int
    nbytes: int
    slot: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a flush does. `outputs[k]`: storage of the k-th root. `slots`: bytes of each block to allocate.

    `after[k]`: the launches from whose results the k-th root is computed, as in `Call`; () when there are no launches at all.
    `place`: the rank that runs this, and of how many.
    """

    steps: tuple[Step, ...]
    storages: tuple[Storage, ...]
    slots: tuple[int, ...]
    outputs: tuple[int, ...]
    scalars: tuple[str, ...]
    inputs: int
    copied_bytes: int = 0
    after: tuple[int, ...] = ()
    place: tuple[int, int] = (0, 1)
