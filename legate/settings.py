"""Settings of the runtime, read from the environment once.

Knows names and defaults, not what they do.
"""

from __future__ import annotations

from typing import Any

from legate.util.settings import EnvOnlySetting, PrioritizedSetting, Settings, convert_bool, convert_int

__all__ = ["settings"]


def _number(name: str, variable: str, default: int, test_default: int, what: str) -> EnvOnlySetting[int]:
    return EnvOnlySetting(name, variable, default, test_default, convert_int, what)


def _switch(name: str, variable: str, what: str, test_default: Any = False) -> EnvOnlySetting[bool]:
    return EnvOnlySetting(name, variable, False, test_default, convert_bool, what)


def _option(name: str, variable: str, what: str) -> PrioritizedSetting[bool]:
    return PrioritizedSetting(name, variable, default=False, convert=convert_bool, help=what)


class LegateSettings(Settings):
    """The settings of the runtime; each is a function that returns its value."""

    consensus = _option("consensus", "LEGATE_CONSENSUS", "Agree on freed memory on one node too. Accepted.")
    cycle_check = _option("cycle_check", "LEGATE_CYCLE_CHECK", "Look for reference cycles at exit. Accepted.")
    future_leak_check = _option(
        "future_leak_check",
        "LEGATE_FUTURE_LEAK_CHECK",
        "Look for reference cycles that hold futures at exit. Accepted.",
    )
    limit_stdout = _option("limit_stdout", "LEGATE_LIMIT_STDOUT", "Let only the first process print.")
    test: EnvOnlySetting[bool] = EnvOnlySetting(
        "test", "LEGATE_TEST", default=False, convert=convert_bool, help="Cut even tiny arrays."
    )
    min_gpu_chunk = _number(
        "min_gpu_chunk", "LEGATE_MIN_GPU_CHUNK", 1 << 20, 2, "Smallest array to cut for GPUs."
    )
    min_cpu_chunk = _number(
        "min_cpu_chunk", "LEGATE_MIN_CPU_CHUNK", 1 << 14, 2, "Smallest array to cut for CPUs."
    )
    min_omp_chunk = _number(
        "min_omp_chunk", "LEGATE_MIN_OMP_CHUNK", 1 << 17, 2, "Smallest array to cut for OpenMP groups."
    )
    window_size = _number("window_size", "LEGATE_WINDOW_SIZE", 1, 1, "Accepted.")
    field_reuse_frac = _number("field_reuse_frac", "LEGATE_FIELD_REUSE_FRAC", 256, 256, "Accepted.")
    field_reuse_freq = _number("field_reuse_freq", "LEGATE_FIELD_REUSE_FREQ", 32, 32, "Accepted.")
    max_exception_size = _number("max_exception_size", "LEGATE_MAX_EXCEPTION_SIZE", 4096, 4096, "Accepted.")
    disable_mpi = _switch("disable_mpi", "LEGATE_DISABLE_MPI", "Do not use MPI.")


settings = LegateSettings()
