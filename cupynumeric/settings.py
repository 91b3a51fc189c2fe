"""Settings of `cupynumeric`, read from the environment; those marked so can also be assigned.

Names and defaults are those of the documented settings. Knows nothing of arrays.
"""

from __future__ import annotations

import os
from typing import Any

_TRUE = ("1", "t", "true", "y", "yes")
_FALSE = ("0", "f", "false", "n", "no")


def to_bool(text: str) -> bool:
    """A boolean from the environment; ValueError for other words."""
    low = text.lower()
    if low in _TRUE:
        return True
    if low in _FALSE:
        return False
    raise ValueError(f'unknown boolean value "{text}"')


class Setting:
    """One setting: an assigned value wins over the environment, which wins over the default."""

    def __init__(self, env: str, default: Any, convert: Any = to_bool, assignable: bool = True) -> None:
        self.env_var, self.default, self.convert, self.assignable = env, default, convert, assignable
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return lambda value=None: self.read(instance, value)

    def read(self, instance: Any, value: Any = None) -> Any:
        """The value in force; a value passed in wins over all."""
        if value is not None:
            return self.convert(value) if isinstance(value, str) else value
        if self.name in instance.assigned:
            return instance.assigned[self.name]
        text = os.environ.get(self.env_var)
        return self.default if text is None else self.convert(text)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.assignable:
            raise AttributeError(f"{self.name} is only set by the environment variable {self.env_var}")
        instance.assigned[self.name] = self.convert(value) if isinstance(value, str) else value


class Settings:
    """All settings; each is a function that returns its value."""

    def __init__(self) -> None:
        self.assigned: dict[str, Any] = {}

    doctor = Setting("CUPYNUMERIC_DOCTOR", False)
    doctor_format = Setting("CUPYNUMERIC_DOCTOR_FORMAT", "plain", str)
    doctor_filename = Setting("CUPYNUMERIC_DOCTOR_FILENAME", None, str)
    doctor_traceback = Setting("CUPYNUMERIC_DOCTOR_TRACEBACK", False)
    preload_cudalibs = Setting("CUPYNUMERIC_PRELOAD_CUDALIBS", False)
    warn = Setting("CUPYNUMERIC_WARN", False)
    report_coverage = Setting("CUPYNUMERIC_REPORT_COVERAGE", False)
    report_dump_callstack = Setting("CUPYNUMERIC_REPORT_DUMP_CALLSTACK", False)
    report_dump_csv = Setting("CUPYNUMERIC_REPORT_DUMP_CSV", None, str)
    numpy_compat = Setting("CUPYNUMERIC_NUMPY_COMPATIBILITY", False)
    fallback_stacktrace = Setting("CUPYNUMERIC_FALLBACK_STACKTRACE", False, assignable=False)
    fast_math = Setting("CUPYNUMERIC_FAST_MATH", False, assignable=False)
    ufunc_native = Setting("CUPYNUMERIC_UFUNC_NATIVE", False, assignable=False)
    min_gpu_chunk = Setting("CUPYNUMERIC_MIN_GPU_CHUNK", 65536, int, assignable=False)
    min_cpu_chunk = Setting("CUPYNUMERIC_MIN_CPU_CHUNK", 1024, int, assignable=False)
    min_omp_chunk = Setting("CUPYNUMERIC_MIN_OMP_CHUNK", 8192, int, assignable=False)
    matmul_cache_size = Setting("CUPYNUMERIC_MATMUL_CACHE_SIZE", 134217728, int, assignable=False)
    test = Setting("LEGATE_TEST", False, assignable=False)
    take_default = Setting("CUPYNUMERIC_TAKE_DEFAULT", "auto", str)
    disable_bounds_checking = Setting("CUPYNUMERIC_DISABLE_BOUNDS_CHECKING", "none", str)
    use_nccl_gather = Setting("CUPYNUMERIC_USE_NCCL_GATHER", True)
    use_nccl_scatter = Setting("CUPYNUMERIC_USE_NCCL_SCATTER", True)
    all2all_staging_factor = Setting("CUPYNUMERIC_ALL2ALL_STAGING_FACTOR", 1.1, float)


settings = Settings()

__all__ = ["Settings", "settings"]
