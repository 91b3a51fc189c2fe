"""What starts the ranks of a job: the command lines of mpirun, srun, jsrun and aprun, and what of the environment they carry.

A launcher is a value: its command is made from a `Config` and an environment, without running anything. Only telling Open MPI
from MPICH asks the program itself. Knows nothing of what each rank then does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from legate_jit.cli.flags import Config

__all__ = ["Launcher", "LauncherError", "create", "find_mpirun", "forwarded", "is_open_mpi"]

Environment = Mapping[str, str]

#: variables that ranks on other nodes must see too
PREFIXES = (
    *("CONDA_", "CUFILE_", "CUTENSOR_", "LEGATE_", "LEGION_", "LG_", "REALM_", "GASNET_", "PYTHON", "UCX_", "NCCL_"),
    *("CUPYNUMERIC_", "NVIDIA_", "LD_"),
    # our own addition: what the libraries below and terminals listen to
    *("OMP_", "OPENBLAS_", "MKL_", "NUMBA_", "CUDA_", "CUPY_", "MPICH_", "MPIR_", "I_MPI_", "FI_"),
    *("NO_COLOR", "FORCE_COLOR"),
)  # fmt: skip


class LauncherError(Exception):
    """A launcher that is not there, or that cannot start this job."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """How the ranks are started. command: what stands before each rank's own command. environment: variables set for it.
    refusal: why it will not start them here; '' if nothing is known to be in its way."""

    kind: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    refusal: str = ""


def forwarded(environment: Environment) -> list[str]:
    """Names of the variables that have to be sent along, sorted."""
    return sorted(name for name in environment if name.startswith(PREFIXES) or name.endswith("PATH"))


def find_mpirun(environment: Environment) -> str:
    """`mpirun` if that finds the one installed next to this Python, else its whole path. LauncherError if there is none.

    An mpirun of another MPI than the one that the ranks load starts them all as ranks of their own: the one of the environment
    that Python runs in goes first, also when that environment is not activated.
    """
    own = os.path.join(sysconfig.get_path("scripts"), "mpirun")
    on_path = shutil.which("mpirun", path=environment.get("PATH"))
    if os.access(own, os.X_OK) and (on_path is None or not os.path.samefile(own, on_path)):
        return own
    if on_path is None:
        raise LauncherError(
            "multi-rank run was requested, but there is no mpirun: install the mpi extra (pip install 'legate-jit[mpi]') "
            "or the MPI of your system, or name another --launcher"
        )
    return "mpirun"


def is_open_mpi(program: str, environment: Environment) -> bool:
    """Whether this mpirun is Open MPI's. LauncherError if it cannot be run."""
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(environment),
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LauncherError(f"{program} --version does not work: {error}") from None
    text = done.stdout + done.stderr
    return any(name in text for name in ("Open MPI", "OpenRTE", "PRRTE", "open-mpi"))


def _mpirun(
    config: Config,
    environment: Environment,
    find: Callable[[Environment], str],
    ask: Callable[[str, Environment], bool],
) -> Launcher:
    program = find(environment)
    start = (program, "-n", str(config.ranks))
    names = forwarded(environment)
    if not ask(program, environment):
        lists = ("-envlist", ",".join(names)) if names else ()
        return Launcher("mpirun", (*start, "-ppn", str(config.ranks_per_node), "--bind-to", "none", *lists))
    exports = tuple(word for name in names for word in ("-x", name))
    node = ("--npernode", str(config.ranks_per_node), "--bind-to", "none", "--mca", "mpi_warn_on_fork", "0")
    return Launcher("mpirun", (*start, *node, *exports), _crowding(config), _as_root(config, environment))


def _crowding(config: Config) -> dict[str, str] | None:
    """Variables by which Open MPI 4 and 5 start more ranks than there are cores, as the other MPIs do. How many it would
    start without them depends on what it sees of the machine (cores, not their threads; a container's part)."""
    if config.nodes > 1:
        return None
    return {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


def _as_root(config: Config, environment: Environment) -> str:
    """Why Open MPI does not start ranks of root, unless it is told to."""
    names = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    flag = "--allow-run-as-root"
    if os.geteuid() or all(environment.get(name) == "1" for name in names) or flag in config.launcher_extra:
        return ""
    return (
        f"Open MPI does not start ranks of root: add --launcher-extra={flag}, or set {names[0]}=1 and {names[1]}=1, "
        "if they are to run as root"
    )


def _srun(config: Config) -> Launcher:
    pty = ("--pty",) if config.switches & {"gdb", "cuda_gdb"} else ()
    command = ("srun", "-n", str(config.ranks), "--ntasks-per-node", str(config.ranks_per_node), *pty)
    # Without it, srun lets the other ranks wait for one that failed.
    return Launcher("srun", command, {"SLURM_KILL_BAD_EXIT": "1"})


def _jsrun(config: Config) -> Launcher:
    per_node = str(config.ranks_per_node)
    resources = ("-c", "ALL_CPUS", "-g", "ALL_GPUS", "-b", "none")
    return Launcher("jsrun", ("jsrun", "-n", str(config.nodes), "-r", "1", "-a", per_node, *resources))


def _aprun(config: Config) -> Launcher:
    return Launcher("aprun", ("aprun", "-n", str(config.ranks), "-N", str(config.ranks_per_node)))


def create(
    config: Config,
    environment: Environment,
    find: Callable[[Environment], str] = find_mpirun,
    ask: Callable[[str, Environment], bool] = is_open_mpi,
) -> Launcher:
    """The launcher of a job, with the extra arguments of the command line. LauncherError if it is not installed.

    environment: what the ranks shall see. find, ask: which mpirun there is, and whether it is Open MPI's.
    """
    if config.launcher == "none":
        return Launcher("none")
    if config.launcher == "mpirun":
        found = _mpirun(config, environment, find, ask)
    else:
        found = {"srun": _srun, "jsrun": _jsrun, "aprun": _aprun}[config.launcher](config)
    variables = {name: text for name, text in (found.environment or {}).items() if name not in environment}
    return Launcher(found.kind, found.command + config.launcher_extra, variables, found.refusal)
