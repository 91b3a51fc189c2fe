"""What this process may use: processors, memory, and how tasks are cut, from flags, variables and the machine.

The environment is the one that `config` saw when it was imported; it is read when somebody asks (at once if LEGATE_CONFIG is
set, because it may be wrong or ask for help). Knows nothing of kernels, arrays and tasks.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from legate_jit.process import config, placement, world

if TYPE_CHECKING:
    from legate_jit.process.arguments import Arguments

__all__ = ["AutoConfigurationError", "Resources", "resources", "summary", "wanted_threads"]

MEBIBYTE = 1 << 20
#: host memory without automatic configuration, and next to memory of NUMA domains, in MiB
_LITTLE = 256
_FRACTION = 0.8

#: kernels run on GPUs (there is no such target yet)
USES_GPUS = False


class AutoConfigurationError(RuntimeError):
    """The machine does not have what was asked for."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Numbers of processors and threads, memory in MiB; `threads`: how many threads kernels may use."""

    cpus: int
    gpus: int
    omps: int
    ompthreads: int
    utility: int
    sysmem: int
    numamem: int
    fbmem: int
    zcmem: int
    regmem: int
    threads: int
    arguments: Arguments


def _available_processors() -> int:
    """Processors for this rank: those it may use, divided by the ranks of the node that use the same ones."""
    installed = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else installed
    local = world.world.local_size
    return max(1, usable // placement.sharers(os.environ, local, usable, installed)) if local > 1 else usable


def _memory() -> int:
    """Host memory in MiB for this rank: the node's, divided by its ranks."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE
    return whole // world.world.local_size


def _devices() -> int:
    """GPUs that kernels could run on. Asks cupy, which is not imported where there is no driver."""
    if not USES_GPUS or not (os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")):
        return 0
    try:
        import cupy

        return int(cupy.cuda.runtime.getDeviceCount())
    except (ImportError, RuntimeError):
        return 0


def configure(
    arguments: Arguments,
    processors: Callable[[], int] = _available_processors,
    memory: Callable[[], int] = _memory,
    devices: Callable[[], int] = _devices,
) -> Resources:
    """What to use on a machine with so many processors, so much memory and so many GPUs.

    ArgumentError for what this build cannot do, AutoConfigurationError for what the machine does not have.
    """
    from legate_jit.process.arguments import ArgumentError

    if arguments["warmup_nccl"]:
        raise ArgumentError("Cannot warmup NCCL, Legate was not configured with NCCL support.")
    if arguments["io_use_vfd_gds"]:
        raise ArgumentError("Cannot enable HDF5 VFD GDS, Legate was not configured with GDS support.")
    automatic = arguments["auto_config"]
    cores = processors()

    def chosen(key: str, otherwise: int) -> int:
        value: int = arguments[key]
        return otherwise if value < 0 else value

    gpus = chosen("gpus", devices() if automatic else 0)
    if gpus and gpus > devices():
        raise AutoConfigurationError(f"Cannot use {gpus} GPUs (--gpus): found {devices()}.")
    omps = chosen("omps", 0)
    cpus = chosen("cpus", 1 if omps or not automatic else gpus or cores)
    spread = max(1, (cores - cpus) // omps) if omps and automatic else min(omps, 1)
    ompthreads = chosen("ompthreads", spread)
    numamem = chosen("numamem", 0)
    sysmem = chosen("sysmem", int(_FRACTION * memory()) if automatic and not numamem else _LITTLE)
    counted = "cpus" in arguments.given or omps or not automatic
    return Resources(
        cpus=cpus,
        gpus=gpus,
        omps=omps,
        ompthreads=ompthreads,
        utility=arguments["utility"],
        sysmem=sysmem,
        numamem=numamem,
        fbmem=chosen("fbmem", 0),
        zcmem=arguments["zcmem"],
        regmem=arguments["regmem"],
        threads=max(1, cpus, omps * ompthreads) if counted else cores,
        arguments=arguments,
    )


@functools.cache
def resources() -> Resources:
    """What this process uses. Ends the program if LEGATE_CONFIG asks for help or is wrong."""
    from legate_jit.process import arguments

    try:
        parsed = arguments.parse(
            config.legate_environment.get("LEGATE_CONFIG", ""), config.legate_environment
        )
        if parsed.wants:
            _answer(parsed.wants)
        return configure(_with_engine_threads(parsed))
    except (arguments.ArgumentError, AutoConfigurationError) as error:
        if world.world.rank and isinstance(error, arguments.ArgumentError):
            raise SystemExit(1) from None  # all ranks have the same flags: one of them tells
        _give_up(str(error))


def _with_engine_threads(parsed: Arguments) -> Arguments:
    """LEGATE_JIT_THREADS says how many processors there are, unless --cpus does."""
    from dataclasses import replace

    text = config.legate_environment.get("LEGATE_JIT_THREADS", "")
    if "cpus" in parsed.given or not text.isdecimal() or not int(text):
        return parsed
    return replace(parsed, values={**parsed.values, "cpus": int(text)}, given=parsed.given | {"cpus"})


def _answer(wanted: str) -> NoReturn:
    from legate_jit import __version__
    from legate_jit.process import arguments

    sys.stdout.write(arguments.usage() if wanted == "help" else f"{__version__}\n")
    sys.stdout.flush()
    raise SystemExit(0)


def _give_up(message: str) -> NoReturn:
    sys.stderr.write(f"== LEGATE ERROR: {message} (LEGATE_CONFIG=--help lists the flags)\n")
    raise SystemExit(1)


def wanted_threads() -> int | None:
    """How many threads kernels may use, or None if nobody said anything: then all processors."""
    asked = _ABOUT_THREADS & config.legate_environment.keys()
    return resources().threads if asked else None


_ABOUT_THREADS = {
    "LEGATE_CONFIG",
    "LEGATE_AUTO_CONFIG",
    "LEGATE_OMP_PROCS",
    "LEGION_DEFAULT_ARGS",
    "REALM_DEFAULT_ARGS",
}


def summary(found: Resources) -> str:
    """What `--show-config` prints."""
    rule = "=" * 46
    lines = [rule, "Legate configuration summary:"]
    for key, name in _SUMMARY.items():
        lines.append(f"- {name} = {_shown(found, key)}")
    return "\n".join([*lines, rule])


_SUMMARY = {
    key: key.replace("_", "-")
    for key in (
        *("auto_config", "show_progress", "use_empty_task", "warmup_nccl", "inline_task_launch"),
        *("single_controller_execution", "show_memory_usage", "max_exception_size", "min_cpu_chunk"),
        *("min_gpu_chunk", "min_omp_chunk", "window_size", "field_reuse_fraction", "field_reuse_frequency"),
        *("consensus", "disable_mpi", "io_use_vfd_gds", "cpus", "gpus", "omps", "ompthreads", "utility"),
        *("sysmem", "numamem", "fbmem", "zcmem", "regmem", "profile", "profile_name", "provenance", "nsys"),
        *(
            "logging",
            "logdir",
            "log_to_file",
            "freeze_on_error",
            "cuda_driver_path",
            "experimental_copy_path",
        ),
    )
}


def _shown(found: Resources, key: str) -> str:
    value: Any = getattr(found, key, None) if hasattr(found, key) else found.arguments[key]
    if key.endswith("mem"):
        return f"{value * MEBIBYTE:,} ({value:,} MiB)"
    if key == "logdir":
        return str(value or os.getcwd())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _show_if_asked() -> None:
    if resources().arguments["show_config"] and world.world.rank == 0:  # the others have the same
        sys.stdout.write(summary(resources()) + "\n")
        sys.stdout.flush()


if config.legate_environment.keys() & {"LEGATE_CONFIG", "LEGATE_SHOW_CONFIG"}:
    _show_if_asked()
