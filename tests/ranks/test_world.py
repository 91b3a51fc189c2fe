"""Which rank a process is, from what launchers leave in its environment."""

from __future__ import annotations

import os

import pytest
from faults.child import run, succeeds
from ranks.launch import needs_mpi

from legate_jit.process.world import World, WorldError, check, connect, detect

OPENMPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
MVAPICH = {
    "MV2_COMM_WORLD_RANK": "1",
    "MV2_COMM_WORLD_SIZE": "2",
    "MV2_COMM_WORLD_LOCAL_RANK": "1",
    "MV2_COMM_WORLD_LOCAL_SIZE": "2",
}
SRUN = {
    "SLURM_PROCID": "9",
    "SLURM_STEP_NUM_TASKS": "11",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2),3",
}
ALONE = World()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ALONE),
        (OPENMPI, World(5, 8, 1, 4, "OMPI")),
        (MPICH, World(3, 4, 1, 2, "PMI")),
        (MVAPICH, World(1, 2, 1, 2, "MV2")),
        (SRUN, World(9, 11, 1, 3, "SLURM")),
        (SRUN | {"PMI_RANK": "9", "PMI_SIZE": "11"}, World(9, 11, 1, 3, "PMI")),
        (SRUN | OPENMPI | MPICH, World(5, 8, 1, 4, "OMPI")),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, ALONE),
        ({"PMI_RANK": "0"}, ALONE),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, World(1, 2, 0, 1, "PMI")),
        # the shell of a batch job is one process, whatever the job has
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, ALONE),
        (MPICH | {"LEGATE_DISABLE_MPI": "1"}, ALONE),
        (MPICH | {"LEGATE_DISABLE_MPI": "0"}, World(3, 4, 1, 2, "PMI")),
        (MPICH | {"LEGATE_CONFIG": "--disable-mpi"}, ALONE),
        (MPICH | {"LEGATE_CONFIG": "--disable-mpi=0"}, World(3, 4, 1, 2, "PMI")),
    ],
)
def test_launchers(environment: dict[str, str], expected: World) -> None:
    assert detect(environment) == expected


def test_programs_that_a_rank_starts_are_no_ranks() -> None:
    environment = MPICH | {"LEGATE_JIT_RANK_PROCESS": "100"}
    assert detect(environment, parent=100, process=200) == ALONE
    assert detect(environment, parent=90, process=100).size == 4
    assert detect(environment, parent=90, process=200).size == 4  # started by a launcher of its own


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PMI_RANK": "x", "PMI_SIZE": "2"}, "PMI_RANK must be a number, not 'x'"),
        ({"PMI_RANK": "2", "PMI_SIZE": "2"}, "PMI_RANK is 2, but PMI_SIZE is 2"),
    ],
)
def test_nonsense(environment: dict[str, str], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        detect(environment)


def test_a_launcher_that_started_something_else() -> None:
    check({"LEGATE_JIT_EXPECT_RANKS": "1"}, ALONE)
    check({}, ALONE)
    with pytest.raises(WorldError, match="4 ranks were asked for, but this is a world of 1"):
        check({"LEGATE_JIT_EXPECT_RANKS": "4"}, ALONE)


def test_one_rank_connects_to_nobody() -> None:
    comm = connect(ALONE)
    assert (comm.rank, comm.size) == (0, 1)
    assert comm.agree(3)
    comm.barrier()


def test_one_rank_imports_neither_mpi_nor_the_guard() -> None:
    said = succeeds("""
        import sys
        import cupynumeric as np
        float((np.arange(100000.0) * 2).sum())
        print([m for m in sys.modules if m.startswith("mpi4py") or m in ("legate_jit.job.guard", "legate_jit.comm.base")])
        """)
    assert said == "[]\n"


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_no_mpi(rank: str, lines: int) -> None:
    done = run("import sys; sys.modules['mpi4py'] = None\nimport cupynumeric", PMI_RANK=rank, PMI_SIZE="2")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == lines
    if lines:
        expected = "multi-rank run was requested, but Legate was not built with networking support"
        assert done.stderr.startswith(f"legate-jit: {expected}: mpi4py could not be loaded")


def test_a_launcher_that_mpi_does_not_know() -> None:
    needs_mpi()
    environment = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    assert not os.environ.keys() & environment.keys()
    done = run("import cupynumeric", **environment)
    assert done.returncode == 1
    assert "for MPI it is rank 0 of 1: start it with the mpiexec" in done.stderr


def test_too_few_ranks() -> None:
    done = run("import cupynumeric", LEGATE_JIT_EXPECT_RANKS="3")
    assert done.returncode == 1
    assert done.stderr.startswith("legate-jit: 3 ranks were asked for, but this is a world of 1")
