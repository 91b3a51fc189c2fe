"""Settings of benchmark logs."""

from __future__ import annotations

from legate.util.settings import EnvOnlySetting, Settings, convert_bool, convert_str

__all__ = ["settings"]


class BenchmarkSettings(Settings):
    """Where logs go, and how they look."""

    out: EnvOnlySetting[str] = EnvOnlySetting(
        "out",
        "LEGATE_BENCHMARK_OUT",
        default="stdout",
        test_default="stdout",
        convert=convert_str,
        help="Where benchmark_log() writes when it is given no file: 'stdout', or a folder, with one file per process.",
    )
    use_rich: EnvOnlySetting[bool] = EnvOnlySetting(
        "use_rich",
        "LEGATE_BENCHMARK_USE_RICH",
        default=True,
        test_default=False,
        convert=convert_bool,
        help="Whether benchmark_log() draws a table on terminals, if the rich package is there.",
    )


settings = BenchmarkSettings()
