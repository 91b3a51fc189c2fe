"""The world: how many processes run this program together, and which of them this one is.

Read from what launchers leave in the environment, so that a program of one process imports no MPI. `connect` makes the
communication of a larger world. Knows no arrays and nothing of what the ranks do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from legate_jit.process import placement

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["EXPECTED", "MARK", "World", "WorldError", "check", "connect", "detect", "guarded", "world"]

#: set in the environment of a rank, to its process number: the programs that it starts are no ranks
MARK = "LEGATE_JIT_RANK_PROCESS"
#: how many ranks whoever launched the program meant to start
EXPECTED = "LEGATE_JIT_EXPECT_RANKS"


class WorldError(RuntimeError):
    """The processes of this program cannot work together."""


class World(NamedTuple):
    """This process's place: its rank among `size`, and its number among the `local_size` ranks of its node.

    `launcher`: whose variables said so ('' for a program by itself).
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launcher: str = ""


def detect(environment: Mapping[str, str], parent: int = -1, process: int = -1) -> World:
    """The place that the environment gives to a process. WorldError if its variables contradict each other.

    parent, process: numbers of the parent process and of this one. A program that a rank started has the rank's variables
    without being a rank.
    """
    mark = environment.get(MARK, "")
    if mark and mark == str(parent) and mark != str(process):
        return World()
    for names in placement.LAUNCHERS:
        rank, size = _number(environment, names.rank), _number(environment, names.size)
        if rank is None or size is None:
            continue
        if not 0 <= rank < size:
            raise WorldError(f"{names.rank[0]} is {rank}, but {names.size[0]} is {size}")
        if size == 1:
            break
        local_rank = _number(environment, names.local_rank)
        local_size = _number(environment, names.local_size) or _slurm_local_size(environment)
        if local_rank is None or local_size is None or not local_rank < local_size <= size:
            local_rank, local_size = 0, 1
        found = World(rank, size, local_rank, local_size, names.launcher)
        return World() if _mpi_is_disabled(environment) else found
    return World()


def _number(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    found = placement.number(environment, names, WorldError)
    return None if found is None else found[0]


def _slurm_local_size(environment: Mapping[str, str]) -> int | None:
    """Tasks on this node; None if SLURM does not say."""
    counts = placement.tasks_per_node(environment.get("SLURM_STEP_TASKS_PER_NODE", "")) or []
    node = environment.get("SLURM_NODEID", "")
    return counts[int(node)] if node.isdecimal() and int(node) < len(counts) else None


def _mpi_is_disabled(environment: Mapping[str, str]) -> bool:
    if "--disable-mpi" in environment.get("LEGATE_CONFIG", ""):
        from legate_jit.process import arguments

        return bool(arguments.parse(environment["LEGATE_CONFIG"], environment)["disable_mpi"])
    return environment.get("LEGATE_DISABLE_MPI", "") == "1"


#: this process's place
world = detect(os.environ, os.getppid(), os.getpid())


#: whether there is something to guard: several ranks, or fewer than whoever launched the program meant to start
guarded = world.size > 1 or os.environ.get(EXPECTED, "1") != "1"


def check(environment: Mapping[str, str], found: World = world) -> None:
    """WorldError if whoever launched the program meant to start another number of ranks."""
    expected = environment.get(EXPECTED, "")
    started_by_rank = environment.get(MARK, "") == str(os.getppid())
    if expected.isdecimal() and int(expected) != found.size and not started_by_rank:
        raise WorldError(
            f"{expected} ranks were asked for, but this is a world of {found.size}: does the launcher belong to another MPI "
            "than the one that mpi4py uses?"
        )


def connect(found: World = world) -> Comm:
    """The communication of this process's world: `LocalComm` for one rank, else MPI. Collective.

    WorldError when there is no MPI, or when it does not see the ranks that the launcher started.
    """
    if found.size == 1:
        from legate_jit.comm.base import LocalComm

        return LocalComm()
    try:
        from legate_jit.comm.mpi import MpiComm
    except (ImportError, RuntimeError) as error:
        raise WorldError(
            "multi-rank run was requested, but Legate was not built with networking support: mpi4py could not be loaded "
            f"({str(error).splitlines()[0]}); `pip install legate-jit[mpi]` brings it and an MPI"
        ) from error
    comm = MpiComm()
    if (comm.rank, comm.size) != (found.rank, found.size):
        raise WorldError(
            f"the launcher says that this is rank {found.rank} of {found.size}, but for MPI it is rank {comm.rank} of "
            f"{comm.size}: start it with the mpiexec of the MPI that mpi4py uses"
        )
    return comm
