"""What launchers say: how many ranks a job is meant to have, in which variables; how the ranks of a node divide its processors.

Pure: what launchers and batch systems leave in the environment, and facts about the machine, in; numbers out. Which rank a
process is, `legate_jit.process.world` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "LAUNCHERS",
    "Allocation",
    "Names",
    "PlacementError",
    "allocation",
    "number",
    "share",
    "sharers",
    "tasks_per_node",
]

Environment = Mapping[str, str]


class PlacementError(ValueError):
    """What the launcher's variables say does not fit together."""


class Allocation(NamedTuple):
    """How many ranks a job is meant to have. `source`: who said so, or '' for the defaults."""

    nodes: int
    ranks_per_node: int
    source: str


class Names(NamedTuple):
    """The variables in which a launcher tells a process its place; of several, the first that is set."""

    launcher: str
    rank: tuple[str, ...]
    size: tuple[str, ...]
    local_rank: tuple[str, ...]
    local_size: tuple[str, ...]


#: a launcher nearer to the process comes first: `mpirun` inside a SLURM job sets both. SLURM's own size counts for processes that
#: srun started only: the shell of a batch job has SLURM_NTASKS too, and is one process
LAUNCHERS = (
    Names(
        "OMPI",
        ("OMPI_COMM_WORLD_RANK",),
        ("OMPI_COMM_WORLD_SIZE",),
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
        ("OMPI_COMM_WORLD_LOCAL_SIZE",),
    ),
    Names(
        "PMI",
        ("PMI_RANK",),
        ("PMI_SIZE",),
        ("MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"),
        ("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"),
    ),
    Names(
        "MV2",
        ("MV2_COMM_WORLD_RANK",),
        ("MV2_COMM_WORLD_SIZE",),
        ("MV2_COMM_WORLD_LOCAL_RANK",),
        ("MV2_COMM_WORLD_LOCAL_SIZE",),
    ),
    Names("SLURM", ("SLURM_PROCID",), ("SLURM_STEP_NUM_TASKS",), ("SLURM_LOCALID",), ()),
)


def number(environment: Environment, names: Sequence[str], error: type[Exception]) -> tuple[int, str] | None:
    """The first of these variables that is set, and its name. `error` if it is not a number."""
    for name in names:
        text = environment.get(name, "").strip()
        if text:
            if not text.isdecimal():
                raise error(f"{name} must be a number, not {text!r}")
            return int(text), name
    return None


def tasks_per_node(text: str) -> list[int] | None:
    """How many tasks each node has, of a list of SLURM's like `4(x2),3`; None if it is none."""
    counts: list[int] = []
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            return None
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _number(environment: Environment, names: Sequence[str]) -> tuple[int, str]:
    return number(environment, names, PlacementError) or (0, "")


def allocation(environment: Environment) -> Allocation:
    """Nodes and ranks per node that launchers or the batch system ask for, else 1 and 1.

    Open MPI's variables count before those of PMI (MPICH, Intel MPI), MVAPICH and SLURM. PlacementError if the ranks do not
    divide evenly over the nodes.
    """
    for names in LAUNCHERS:
        size, name = _number(environment, names.size)
        local, local_name = _number(environment, names.local_size)
        if size and local:
            _divide(size, name, local, local_name)
            return Allocation(size // local, local, names.launcher)
    return _slurm_allocation(environment) or Allocation(1, 1, "")


def _slurm_allocation(environment: Environment) -> Allocation | None:
    nodes, nodes_name = _number(environment, ("SLURM_JOB_NUM_NODES",))
    if not nodes:
        return None
    counts = tasks_per_node(environment.get("SLURM_TASKS_PER_NODE", ""))
    if counts is not None and len({*counts}) == 1:
        return Allocation(len(counts), counts[0], "SLURM")
    tasks, name = _number(environment, ("SLURM_NTASKS", "SLURM_NPROCS"))
    if tasks:
        _divide(tasks, name, nodes, nodes_name)
    return Allocation(nodes, max(1, tasks // nodes), "SLURM")


def _divide(whole: int, whole_name: str, part: int, part_name: str) -> None:
    if whole % part:
        raise PlacementError(f"{whole_name}={whole} is not evenly divisible by {part_name}={part}")


# ---- dividing a node ---------------------------------------------------------------------------------------------------


def sharers(environment: Environment, ranks: int, usable: int, installed: int) -> int:
    """How many ranks use the same processors as this one.

    ranks: those on this node; usable: how many processors this process may use; installed: how many the node has. Ranks that a
    launcher has bound to a part of the node share that part with few others; ranks that may use all of it share it with all.
    """
    whole = _number(environment, ("SLURM_CPUS_ON_NODE",))[0] or installed
    return max(1, min(ranks, round(ranks * usable / max(whole, usable))))


def share(cores: Sequence[Sequence[int]], rank: int, ranks: int) -> list[int]:
    """The processors of one of several ranks on a node: neighboring cores, whole ones if there are enough.

    cores: of each core, in the order of their places, the numbers of its hardware threads.
    """
    if len(cores) >= ranks:
        mine = cores[rank * len(cores) // ranks : (rank + 1) * len(cores) // ranks]
        return sorted(thread for core in mine for thread in core)
    threads = [thread for core in cores for thread in core]
    first = rank * len(threads) // ranks
    return sorted(threads[first : max(first + 1, (rank + 1) * len(threads) // ranks)])
