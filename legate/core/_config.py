"""What the configuration looks like to users: `Config` and `RealmConfig`, and what other modules need of it.

Knows the engine's resources as data; nothing of stores and tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from legate.core._enums import TaskTarget
from legate.core._machine import ProcessorRange
from legate_jit import runtime
from legate_jit.process.resources import resources

__all__ = ["Config", "RealmConfig", "config", "default_thresholds", "processors", "realm_config"]


class RealmConfig(NamedTuple):
    """Processors and threads per rank, and memory in MiB."""

    cpus: int
    util: int
    sysmem: int
    regmem: int
    gpus: int
    fbmem: int
    zcmem: int
    omps: int
    ompthreads: int
    numamem: int


#: attributes of Config, and the flags they come from
_FLAGS = {
    "auto_config": "auto_config",
    "show_progress_requested": "show_progress",
    "use_empty_task": "use_empty_task",
    "warmup_nccl": "warmup_nccl",
    "enable_inline_task_launch": "inline_task_launch",
    "single_controller_execution": "single_controller_execution",
    "max_exception_size": "max_exception_size",
    "min_cpu_chunk": "min_cpu_chunk",
    "min_gpu_chunk": "min_gpu_chunk",
    "min_omp_chunk": "min_omp_chunk",
    "window_size": "window_size",
    "field_reuse_frac": "field_reuse_fraction",
    "field_reuse_freq": "field_reuse_frequency",
    "consensus": "consensus",
    "disable_mpi": "disable_mpi",
    "io_use_vfd_gds": "io_use_vfd_gds",
    "profile": "profile",
    "profile_name": "profile_name",
    "nsys": "nsys",
    "experimental_copy_path": "experimental_copy_path",
}


class Config:
    """The configuration of this process, as read-only attributes."""

    __slots__ = (*_FLAGS, "num_omp_threads", "provenance")

    auto_config: bool
    show_progress_requested: bool
    use_empty_task: bool
    warmup_nccl: bool
    enable_inline_task_launch: bool
    single_controller_execution: bool
    max_exception_size: int
    min_cpu_chunk: int
    min_gpu_chunk: int
    min_omp_chunk: int
    window_size: int
    field_reuse_frac: int
    field_reuse_freq: int
    consensus: bool
    disable_mpi: bool
    io_use_vfd_gds: bool
    num_omp_threads: int
    profile: bool
    profile_name: str
    provenance: bool
    nsys: bool
    experimental_copy_path: bool

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, values: Mapping[str, Any]) -> Config:
        self = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"attribute '{name}' of 'Config' objects is not writable")

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in Config.__slots__)})"


@functools.cache
def config() -> Config:
    """The configuration of this process."""
    found = resources()
    values = {name: found.arguments[key] for name, key in _FLAGS.items()}
    values["num_omp_threads"] = found.ompthreads if found.omps else 0
    asked = found.arguments["provenance"] or found.arguments["profile"] or found.arguments["nsys"]
    values["provenance"] = asked
    return Config._make(values)


@functools.cache
def realm_config() -> RealmConfig:
    """Processors and memory of this process."""
    r = resources()
    return RealmConfig(
        *(r.cpus, r.utility, r.sysmem, r.regmem, r.gpus),
        *(r.fbmem, r.zcmem, r.omps, r.ompthreads, r.numamem),
    )


@functools.cache
def default_thresholds() -> Mapping[TaskTarget, int]:
    """Per kind of processor, the number of elements below which a task is not cut."""
    c = config()
    return {
        TaskTarget.GPU: c.min_gpu_chunk,
        TaskTarget.OMP: c.min_omp_chunk,
        TaskTarget.CPU: c.min_cpu_chunk,
    }


def processors() -> dict[TaskTarget, ProcessorRange]:
    """All processors of all ranks, by kind; kinds of which there are none are left out. Each rank counts as a node."""
    r = realm_config()
    ranks = 1 if runtime.world is None else runtime.world.size
    counts = {TaskTarget.GPU: r.gpus, TaskTarget.OMP: r.omps, TaskTarget.CPU: r.cpus}
    return {target: ProcessorRange(0, n * ranks, n) for target, n in counts.items() if n}
