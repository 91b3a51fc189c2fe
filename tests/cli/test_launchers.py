"""Command lines of launchers, word by word, and what batch systems and launchers say about the ranks of a job."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from legate_jit.cli import bind, flags, launchers
from legate_jit.cli.driver import LegateDriver
from legate_jit.cli.flags import Config, UsageError
from legate_jit.process import world
from legate_jit.process.placement import Allocation, PlacementError, allocation, share, sharers

PYTHON = sys.executable
BIND = [PYTHON, "-P", "-m", "legate_jit.cli.bind", "--launcher"]
#: what the ranks see besides what they are tested for
PLAIN = {"HOME": "/home/someone", "EDITOR": "ed"}
#: the variable that every job of several ranks is given, as the launchers of MPI export it
EXPECTED = "LEGATE_JIT_EXPECT_RANKS"


def command(line: str, open_mpi: bool = False, **environment: str) -> list[str]:
    """The command that a command line, with this environment, runs."""
    config = flags.parse(line.split(), PLAIN | environment)
    driver = LegateDriver.create(config, PLAIN | environment, lambda _: "mpirun", lambda *_: open_mpi)
    return list(driver.command)


# ---- the commands ------------------------------------------------------------------------------------------------------


def test_one_rank_is_python_and_nothing_else() -> None:
    assert command("--cpus 2 prog.py --cpus 3") == [PYTHON, "prog.py", "--cpus", "3"]
    assert command("-m prog a") == [PYTHON, "-m", "prog", "a"]
    assert command("--nodes 1 --ranks-per-node 1 prog.py") == [PYTHON, "prog.py"]


def test_mpirun_of_mpich() -> None:
    assert command("--nodes 2 --ranks-per-node 4 --launcher mpirun prog.py -x") == [
        *("mpirun", "-n", "8", "-ppn", "4", "--bind-to", "none", "-envlist", EXPECTED),
        *(*BIND, "mpirun", "--", PYTHON, "prog.py", "-x"),
    ]


def test_mpirun_of_open_mpi() -> None:
    assert command("--nodes 2 --ranks-per-node 4 --launcher mpirun prog.py", open_mpi=True) == [
        *("mpirun", "-n", "8", "--npernode", "4", "--bind-to", "none", "--mca", "mpi_warn_on_fork", "0"),
        *("-x", EXPECTED, *BIND, "mpirun", "--", PYTHON, "prog.py"),
    ]


def test_variables_that_mpirun_is_told_to_send() -> None:
    environment = dict.fromkeys(
        (
            "UCX_TLS",
            "MYPATH",
            "LEGATE_TEST",
            "NCCL_DEBUG",
            "PYTHONPATH",
            "CUPYNUMERIC_X",
            "LG_X",
            "LD_PRELOAD",
        ),
        "0",
    )
    names = sorted([*environment, EXPECTED, "LEGATE_CONFIG"])
    line = "--cpus 2 --nodes 2 --launcher mpirun prog.py"
    found = command(line, **environment)
    assert found[found.index("-envlist") + 1] == ",".join(names)
    found = command(line, open_mpi=True, **environment)
    assert [found[k + 1] for k, word in enumerate(found) if word == "-x"] == names


def test_srun() -> None:
    line = "--nodes 2 --ranks-per-node 4 --launcher srun prog.py"
    rest = [*BIND, "srun", "--", PYTHON, "prog.py"]
    assert command(line) == ["srun", "-n", "8", "--ntasks-per-node", "4", *rest]
    found = LegateDriver.create(flags.parse(line.split(), PLAIN), PLAIN)
    assert found.environment["SLURM_KILL_BAD_EXIT"] == "1" and "SLURM_KILL_BAD_EXIT" in found.customized
    found = LegateDriver.create(flags.parse(line.split(), PLAIN), PLAIN | {"SLURM_KILL_BAD_EXIT": "0"})
    assert found.environment["SLURM_KILL_BAD_EXIT"] == "0"


def test_srun_with_a_debugger() -> None:
    assert command("--gdb --launcher srun prog.py") == [
        *("srun", "-n", "1", "--ntasks-per-node", "1", "--pty", *BIND, "srun", "--"),
        *("gdb", "--args", PYTHON, "prog.py"),
    ]


def test_jsrun_and_aprun() -> None:
    assert command("--nodes 2 --ranks-per-node 4 --launcher jsrun prog.py") == [
        *("jsrun", "-n", "2", "-r", "1", "-a", "4", "-c", "ALL_CPUS", "-g", "ALL_GPUS", "-b", "none"),
        *(*BIND, "jsrun", "--", PYTHON, "prog.py"),
    ]
    assert command("--nodes 2 --ranks-per-node 4 --launcher aprun prog.py") == [
        *("aprun", "-n", "8", "-N", "4", *BIND, "aprun", "--", PYTHON, "prog.py"),
    ]


def test_more_arguments_for_the_launcher() -> None:
    config = flags.parse(
        ["--launcher-extra", "-H 'a b'", "--launcher-extra=--foo=1", "--launcher", "srun", "prog.py"], PLAIN
    )
    found = LegateDriver.create(config, PLAIN).command
    assert found[:8] == ("srun", "-n", "1", "--ntasks-per-node", "1", "-H", "a b", "--foo=1")


def test_bindings() -> None:
    line = "--ranks-per-node 2 --launcher mpirun --cpu-bind 0-15/16-31 --mem-bind 0/1 --gpu-bind 0,1/2,3 --nic-bind a/b"
    found = command(f"{line} --bind-detail prog.py")
    assert found[found.index(PYTHON) :] == [
        *(
            *BIND,
            "mpirun",
            "--cpus",
            "0-15/16-31",
            "--mems",
            "0/1",
            "--gpus",
            "0,1/2,3",
            "--nics",
            "a/b",
            "--debug",
        ),
        *("--", PYTHON, "prog.py"),
    ]
    assert command("--cpu-bind 0 prog.py") == [*BIND, "local", "--cpus", "0", "--", PYTHON, "prog.py"]


@pytest.mark.parametrize("kind", ["cpu", "mem", "gpu", "nic"])
def test_one_binding_per_rank(kind: str) -> None:
    with pytest.raises(UsageError, match=f"Number of groups in --{kind}-bind not equal to --ranks-per-node"):
        command(f"--ranks-per-node 2 --launcher mpirun --{kind}-bind 0 prog.py")


def test_wrappers_debuggers_and_profilers() -> None:
    config = flags.parse(
        ["--wrapper", "time -p", "--wrapper", "nice", "--wrapper-inner", "env A=1", "--valgrind", "prog.py"],
        PLAIN,
    )
    assert LegateDriver.create(config, PLAIN).command == (
        *("time", "-p", "nice", "valgrind", "env", "A=1", PYTHON, "prog.py"),
    )
    rank = "%%LEGATE_GLOBAL_RANK%%"
    local = [*BIND, "local", "--"]
    assert command("--cprofile --logdir /logs -m prog 1") == [
        *(*local, PYTHON, "-m", "cProfile", "-o", f"/logs/legate_{rank}.cprof", "-m", "prog", "1"),
    ]
    assert command("--nsys --logdir /logs --nsys-extra -t=nvtx prog.py") == [
        *(
            *local,
            "nsys",
            "profile",
            "-o",
            f"/logs/legate_{rank}",
            "-s",
            "none",
            "-t=nvtx",
            PYTHON,
            "prog.py",
        ),
    ]
    assert command("--nvprof --memcheck --logdir /logs prog.py") == [
        *(*local, "nvprof", "-o", f"/logs/legate_{rank}.nvvp", "compute-sanitizer", PYTHON, "prog.py"),
    ]


# ---- which mpirun ------------------------------------------------------------------------------------------------------


def make_program(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "open_mpi"),
    [
        ("mpirun (Open MPI) 5.0.11", True),
        ("prterun (PRRTE) 3.0", True),
        ("HYDRA build details:", False),
        ("Intel(R) MPI Library", False),
    ],
)
def test_open_mpi_is_told_from_mpich(tmp_path: Path, text: str, open_mpi: bool) -> None:
    assert launchers.is_open_mpi(make_program(tmp_path / "bin", "mpirun", text), dict(os.environ)) is open_mpi


def test_the_mpirun_next_to_python_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_program(tmp_path / "own", "mpirun", "")
    make_program(tmp_path / "other", "mpirun", "")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "own"))
    assert launchers.find_mpirun({"PATH": str(tmp_path / "other")}) == own
    assert launchers.find_mpirun({"PATH": ""}) == own
    assert launchers.find_mpirun({"PATH": str(tmp_path / "own")}) == "mpirun"
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    assert launchers.find_mpirun({"PATH": str(tmp_path / "other")}) == "mpirun"
    with pytest.raises(launchers.LauncherError, match="there is no mpirun"):
        launchers.find_mpirun({"PATH": str(tmp_path / "nowhere")})


def test_a_broken_mpirun_is_told() -> None:
    with pytest.raises(launchers.LauncherError, match="/nowhere/mpirun --version does not work"):
        launchers.is_open_mpi("/nowhere/mpirun", {})


def open_mpi(line: str, **environment: str) -> LegateDriver:
    config = flags.parse(line.split(), PLAIN)
    return LegateDriver.create(config, PLAIN | environment, lambda _: "mpirun", lambda *_: True)


def test_more_ranks_than_cores_under_open_mpi() -> None:
    """On one node as many as are asked for; on several it knows better how many each has."""
    found = open_mpi("--ranks-per-node 2 --launcher mpirun prog.py")
    assert found.environment["PRTE_MCA_rmaps_default_mapping_policy"] == ":oversubscribe"
    assert found.environment["OMPI_MCA_rmaps_base_oversubscribe"] == "1"
    found = open_mpi("--nodes 2 --ranks-per-node 2 --launcher mpirun prog.py")
    assert "PRTE_MCA_rmaps_default_mapping_policy" not in found.environment


def test_root_under_open_mpi(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """It does not start ranks of root, which is said in one line; how to ask for it stays the user's to write."""
    names = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    line = "--ranks-per-node 2 --launcher mpirun"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused = open_mpi(f"{line} -c 0")
    with pytest.raises(
        launchers.LauncherError, match="Open MPI does not start ranks of root: add --launcher"
    ):
        refused.run()
    assert open_mpi(f"{line} --dry-run -c 0").run() == 0  # shows what would be run
    assert capfd.readouterr().out.startswith("mpirun -n 2 ")
    assert open_mpi(f"{line} -c 0", **{names[0]: "1"}).launcher.refusal
    assert not open_mpi(f"{line} -c 0", **dict.fromkeys(names, "1")).launcher.refusal
    assert not open_mpi(f"{line} --launcher-extra=--allow-run-as-root -c 0").launcher.refusal
    assert not LegateDriver.create(
        refused.config, PLAIN, lambda _: "mpirun", lambda *_: False
    ).launcher.refusal
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not open_mpi(f"{line} -c 0").launcher.refusal


# ---- how many ranks ----------------------------------------------------------------------------------------------------

OMPI = {"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}
PMI = {"PMI_SIZE": "6", "PMI_LOCAL_SIZE": "2"}
HYDRA = {"PMI_SIZE": "6", "MPI_LOCALNRANKS": "2"}
MV2 = {"MV2_COMM_WORLD_SIZE": "4", "MV2_COMM_WORLD_LOCAL_SIZE": "4"}
SLURM = {"SLURM_JOB_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 1, "")),
        (OMPI, (2, 4, "OMPI")),
        (PMI, (3, 2, "PMI")),
        (HYDRA, (3, 2, "PMI")),
        (MV2, (1, 4, "MV2")),
        (OMPI | PMI | MV2 | SLURM, (2, 4, "OMPI")),
        (PMI | MV2 | SLURM, (3, 2, "PMI")),
        (MV2 | SLURM, (1, 4, "MV2")),
        (SLURM, (2, 1, "SLURM")),
        (SLURM | {"SLURM_TASKS_PER_NODE": "4(x2)"}, (2, 4, "SLURM")),
        ({"SLURM_JOB_NUM_NODES": "1", "SLURM_TASKS_PER_NODE": "4"}, (1, 4, "SLURM")),
        (SLURM | {"SLURM_TASKS_PER_NODE": "2,1", "SLURM_NTASKS": "6"}, (2, 3, "SLURM")),
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_NPROCS": "6"}, (2, 2, "SLURM")),
        (SLURM | {"SLURM_NPROCS": "6"}, (2, 3, "SLURM")),
    ],
)
def test_allocations(environment: dict[str, str], expected: tuple[int, int, str]) -> None:
    assert allocation(environment) == Allocation(*expected)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (SLURM | {"SLURM_NTASKS": "3"}, "SLURM_NTASKS=3 is not evenly divisible by SLURM_JOB_NUM_NODES=2"),
        (SLURM | {"SLURM_NPROCS": "3"}, "SLURM_NPROCS=3 is not evenly divisible by SLURM_JOB_NUM_NODES=2"),
        (OMPI | {"OMPI_COMM_WORLD_SIZE": "7"}, "OMPI_COMM_WORLD_SIZE=7 is not evenly divisible"),
        ({"SLURM_JOB_NUM_NODES": "two"}, "SLURM_JOB_NUM_NODES must be a number, not 'two'"),
    ],
)
def test_allocations_that_make_no_sense(environment: dict[str, str], message: str) -> None:
    with pytest.raises(PlacementError, match=message):
        allocation(environment)
    with pytest.raises(UsageError, match=message):
        flags.parse(["prog.py"], environment)


def test_batch_systems_give_the_defaults_and_flags_win() -> None:
    environment = {"SLURM_JOB_NUM_NODES": "2", "SLURM_TASKS_PER_NODE": "4(x2)"}
    assert command("--launcher mpirun prog.py", **environment)[:5] == ["mpirun", "-n", "8", "-ppn", "4"]
    assert command("--launcher mpirun --nodes 1 prog.py", **environment)[:5] == [
        "mpirun",
        "-n",
        "4",
        "-ppn",
        "4",
    ]
    assert command("--launcher srun --ranks-per-node 1 prog.py", **environment)[:3] == ["srun", "-n", "2"]
    assert "[default auto-detected from SLURM]" in flags.usage_text("legate", environment)
    assert "auto-detected" not in flags.usage_text("legate", {})


def test_several_ranks_need_a_launcher() -> None:
    with pytest.raises(
        UsageError, match="Could not detect rank ID on multi-rank run with no --launcher provided"
    ):
        command("--launcher none --nodes 2 prog.py")
    with pytest.raises(UsageError, match="Could not detect rank ID"):
        command("prog.py", SLURM_JOB_NUM_NODES="2", SLURM_TASKS_PER_NODE="1(x2)", SLURM_PROCID="0")
    assert command("--nodes 2 prog.py")[0] == "mpirun"


def test_under_a_launcher() -> None:
    started = HYDRA | {"PMI_RANK": "3", "MPI_LOCALRANKID": "1"}
    assert command("prog.py", **started) == [*BIND, "auto", "--", PYTHON, "prog.py"]
    with pytest.raises(UsageError, match=r"is 2 ranks, but the launcher \(PMI\) started 6"):
        command("--nodes 1 --ranks-per-node 2 prog.py", **started)


def test_sessions_of_several_ranks() -> None:
    console = [PYTHON, "-m", "legate_jit.job.console"]
    assert command("--nodes 2")[-3:] == console
    assert command("", **HYDRA, PMI_RANK="3", MPI_LOCALRANKID="1")[-3:] == console
    assert command("")[-3:] == [PYTHON]


def test_debuggers_are_for_one_rank() -> None:
    with pytest.raises(UsageError, match="--cuda-gdb works with one rank only"):
        command("--nodes 2 --cuda-gdb prog.py")


# ---- dividing a node ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranks", "usable", "installed", "expected"),
    [(1, 8, 8, 1), (2, 8, 8, 2), (4, 8, 8, 4), (4, 2, 8, 1), (4, 4, 8, 2), (2, 4, 8, 1), (64, 1, 64, 1), (8, 2, 2, 8)],
)  # fmt: skip
def test_ranks_that_share_processors(ranks: int, usable: int, installed: int, expected: int) -> None:
    assert sharers({}, ranks, usable, installed) == expected


def test_ranks_share_what_slurm_gives_the_job() -> None:
    assert sharers({"SLURM_CPUS_ON_NODE": "8"}, 4, 8, 64) == 4


@pytest.mark.parametrize("ranks", range(1, 9))
@pytest.mark.parametrize("cores", [[[0, 4], [1, 5], [2, 6], [3, 7]], [[0], [1]], [[3, 1]]])
def test_shares_are_fair_and_complete(cores: list[list[int]], ranks: int) -> None:
    shares = [share(cores, r, ranks) for r in range(ranks)]
    assert all(shares)
    assert {t for s in shares for t in s} == {t for core in cores for t in core}
    if ranks <= len(cores):
        assert sum(map(len, shares)) == sum(map(len, cores))
        assert all(sum(not set(core).isdisjoint(s) for s in shares) == 1 for core in cores)


# ---- binding a rank ----------------------------------------------------------------------------------------------------


def rank_of(rank: int, size: int) -> dict[str, str]:
    return {
        "PMI_RANK": str(rank),
        "PMI_SIZE": str(size),
        "MPI_LOCALRANKID": str(rank),
        "MPI_LOCALNRANKS": str(size),
    }


def bound(rank: int, numactl: str | None = None, **options: str) -> Any:
    given = {"--launcher": "mpirun"} | {f"--{name}": text for name, text in options.items()}
    return bind.plan(given, rank_of(rank, 2), range(4), 4, numactl)


def test_a_rank_takes_its_part_of_each_binding() -> None:
    found = bound(1, "/bin/numactl", cpus="0-1/2,3", mems="0/1", gpus="0,1/2", nics="a/b,c:2")
    assert found.cores == {2, 3}
    assert found.prefix == ("/bin/numactl", "--membind=1")
    assert found.environment == {
        "LEGATE_GLOBAL_RANK": "1",
        "LEGATE_LOCAL_RANK": "1",
        "CUDA_VISIBLE_DEVICES": "2",
        "UCX_NET_DEVICES": "b:1,c:2",
        "NCCL_IB_HCA": "b,c:2",
    }


def test_without_a_binding_ranks_divide_the_cores() -> None:
    assert {len(bound(r).cores) for r in (0, 1)} == {2}
    assert bound(0).cores | bound(1).cores == {0, 1, 2, 3}
    already = bind.plan({"--launcher": "mpirun"}, rank_of(1, 2), [2, 3], 4, None)
    assert already.cores is None


def test_what_cannot_be_bound() -> None:
    assert bound(0, None, mems="0/1").notes == ("memory is not bound: there is no numactl",)
    with pytest.raises(bind.BindError, match="--cpus 0 says nothing about rank 1 of this node"):
        bound(1, cpus="0")
    for text in ("", "a", "3-1", "1-", "0/1"):
        with pytest.raises(bind.BindError, match="is no list of cores"):
            bind.parse_cores(text)
    with pytest.raises(bind.BindError, match="does not say which rank this is"):
        bind.plan({"--launcher": "srun"}, {world.EXPECTED: "2"}, range(4), 4, None)


def test_one_rank_is_left_alone() -> None:
    found = bind.plan({"--launcher": "local"}, {}, range(4), 4, None)
    assert (found.rank, found.cores, found.prefix) == (0, None, ())


def test_a_config_without_flags() -> None:
    assert flags.parse([], {}) == Config(runtime=flags.parse([], {}).runtime)
