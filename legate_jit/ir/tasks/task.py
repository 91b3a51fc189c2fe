"""What a task node says of its launch: roles of the arguments, what each of them writes, and how the launch is cut.

Data only. A `TASK` node's sources are the values of its inputs (read through their views), then the old values of the arrays
it writes (whole), then the scalar slot that holds the launch itself; `ITEM` k is the new value of the k-th array written.
"""

from __future__ import annotations

from typing import NamedTuple

from legate_jit.ir.index import Affine
from legate_jit.ir.tasks.partition import Constraint, Partition

#: reduction operators, as named in a role, and the MAP op that merges two results
OPERATORS = {
    "add": "add",
    "mul": "multiply",
    "max": "maximum",
    "min": "minimum",
    "or": "bitwise_or",
    "and": "bitwise_and",
    "xor": "bitwise_xor",
}


class TaskSpec(NamedTuple):
    """What all launches of one task over like arguments share. Hashable: part of the plan's key.

    `roles`, per argument: 'input', 'output' (its old contents stay visible to the body), or a reduction operator of
    `OPERATORS`. `constraints` name arguments by position. `pieces`: points to cut the launch into, fewer when the arguments
    hold less than `threshold` elements. `partition`: the cut itself, when the caller chose it (manual tasks). `concurrent`: all
    points run at the same time, each on a thread of its own, because they wait for each other. `together`: points share
    memory that is none of the arguments', so that all of them run in one process. `ordered`: points leave something in the
    process that runs them, to be joined in their order: every rank has points that follow each other.
    """

    name: str
    roles: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()
    pieces: int = 1
    threshold: int = 1
    partition: Partition | None = None
    concurrent: bool = False
    together: bool = False
    ordered: bool = False


class TaskArgument(NamedTuple):
    """One argument: source number `at` (an input), or a view of the `at`-th written array."""

    role: str
    written: bool
    at: int
    view: Affine | None  # of a written array; None: the whole


class TaskArg(NamedTuple):
    """The `arg` of a TASK node. `inputs`: how many of the sources are input values; the written arrays follow them."""

    spec: TaskSpec
    arguments: tuple[TaskArgument, ...]
    inputs: int
    partition: Partition

    def regions(self, k: int) -> list[Affine | None]:
        """What the task writes of the k-th written array, as views of it; None is the whole."""
        return [a.view for a in self.arguments if a.written and a.at == k and a.role != "input"]
