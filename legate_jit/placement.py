"""Which rank of how many this process is, and how many ranks a job allocation is meant for: read from what launchers say.

Pure: an environment in, numbers out. Knows nothing of MPI libraries, and imports none: a program of one rank never needs one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Allocation", "PlacementError", "Ranks", "allocation", "local_ranks", "ranks"]

Environment = Mapping[str, str]


class PlacementError(ValueError):
    """What the launcher's variables say does not fit together."""


class Ranks(NamedTuple):
    """This process among the ranks of its job. `local_*`: among those of its node. `launcher`: who said so."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    launcher: str


class Allocation(NamedTuple):
    """How many ranks a job is meant to have. `source`: who said so, or '' for the defaults."""

    nodes: int
    ranks_per_node: int
    source: str


class _Family(NamedTuple):
    """Variables of one kind of launcher; of several spellings the first that is set counts."""

    name: str
    rank: str
    size: str
    local_rank: tuple[str, ...]
    local_size: tuple[str, ...]


_FAMILIES = (
    _Family(
        "OMPI",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
        ("OMPI_COMM_WORLD_LOCAL_SIZE",),
    ),
    _Family(
        "PMI",
        "PMI_RANK",
        "PMI_SIZE",
        ("PMI_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID"),
        ("PMI_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE"),
    ),
    _Family(
        "MV2",
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_SIZE",
        ("MV2_COMM_WORLD_LOCAL_RANK",),
        ("MV2_COMM_WORLD_LOCAL_SIZE",),
    ),
)


def _number(environment: Environment, *names: str) -> int | None:
    """The first of these variables that is set."""
    for name in names:
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not text.isdecimal():
            raise PlacementError(f"{name} must be a number, not {text!r}")
        return int(text)
    return None


def ranks(environment: Environment) -> Ranks | None:
    """Which rank this process is, or None if no launcher started it. PlacementError for variables that contradict each other.

    Open MPI's variables count before those of PMI (MPICH, Intel MPI), MVAPICH and SLURM.
    """
    for family in _FAMILIES:
        rank = _number(environment, family.rank)
        if rank is None:
            continue
        size = _number(environment, family.size)
        # Inside an interactive shell of SLURM, PMI_RANK can be set without anybody to talk to.
        if size is None or (family.name == "PMI" and "SLURM_PTY_PORT" in environment):
            continue
        local_rank = _number(environment, *family.local_rank)
        local_size = _number(environment, *family.local_size) or _slurm_local_size(environment)
        return _checked(rank, size, local_rank, local_size, family.name)
    return _slurm_ranks(environment)


def _checked(rank: int, size: int, local_rank: int | None, local_size: int | None, launcher: str) -> Ranks:
    if not 0 <= rank < size:
        raise PlacementError(f"{launcher} says that this is rank {rank} of {size}")
    if local_rank is None:
        # Without a word about nodes: all on one, which divides its resources most carefully.
        return Ranks(rank, size, rank, size, launcher)
    return Ranks(rank, size, local_rank, max(local_size or 1, local_rank + 1), launcher)


def _slurm_ranks(environment: Environment) -> Ranks | None:
    """The task of a job step. The shell of a batch script or of an interactive allocation is none, though it has a number."""
    rank = _number(environment, "SLURM_PROCID")
    in_step = "SLURM_STEP_ID" in environment or "SLURM_STEPID" in environment or bool(rank)
    if rank is None or not in_step or "SLURM_PTY_PORT" in environment:
        return None
    size = _number(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
    if size is None:
        return None
    local_rank = _number(environment, "SLURM_LOCALID")
    return _checked(rank, size, local_rank, _slurm_local_size(environment) or size, "SLURM")


def _slurm_local_size(environment: Environment) -> int | None:
    """Tasks on this node, from a list such as `2(x3),1`."""
    text = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE", "")
    node = _number(environment, "SLURM_NODEID") or 0
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if found is None:
            return None
        times = int(found[2] or 1)
        if node < times:
            return int(found[1])
        node -= times
    return None


def local_ranks(environment: Environment) -> int:
    """How many ranks of this job share this node, this one included: 1 without a launcher."""
    found = ranks(environment)
    return 1 if found is None else found.local_size


# ---- what a job is meant to be -----------------------------------------------------------------------------------------


def allocation(environment: Environment) -> Allocation:
    """Nodes and ranks per node that launchers or the batch system ask for, else 1 and 1.

    PlacementError if the ranks do not divide evenly over the nodes.
    """
    for family in _FAMILIES:
        size = _number(environment, family.size)
        local = _number(environment, *family.local_size)
        if size and local:
            _divide(size, family.size, local, family.local_size[0])
            return Allocation(size // local, local, family.name)
    return _slurm_allocation(environment) or Allocation(1, 1, "")


def _slurm_allocation(environment: Environment) -> Allocation | None:
    nodes = _number(environment, "SLURM_JOB_NUM_NODES")
    if not nodes:
        return None
    found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_TASKS_PER_NODE", "").strip())
    if found:
        return Allocation(int(found[2] or 1), int(found[1]), "SLURM")
    for name in ("SLURM_NTASKS", "SLURM_NPROCS"):
        tasks = _number(environment, name)
        if tasks:
            _divide(tasks, name, nodes, "SLURM_JOB_NUM_NODES")
            return Allocation(nodes, tasks // nodes, "SLURM")
    return Allocation(nodes, 1, "SLURM")


def _divide(whole: int, whole_name: str, part: int, part_name: str) -> None:
    if whole % part:
        raise PlacementError(f"{whole_name}={whole} is not evenly divisible by {part_name}={part}")
