"""Benchmark logs: CSV tables with a header that says how they came about.

Decides where a log goes; `legate.util._benchmark` writes it.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from legate.util._benchmark.log import (
    BenchmarkLog,
    BenchmarkLogCSV,
    BenchmarkLogFromFilename,
    BenchmarkLogRich,
)
from legate.util._benchmark.settings import settings

__all__ = ["BenchmarkLog", "BenchmarkLogFromFilename", "benchmark_log"]


def benchmark_log(
    name: str, columns: Sequence[str], out: TextIO | None = None
) -> BenchmarkLog | BenchmarkLogFromFilename:
    """A context manager whose `log(column=value, ...)` adds a row to a table of measurements.

    name: of the benchmark. columns: of the table. out: where it goes; by default what LEGATE_BENCHMARK_OUT says, 'stdout' or a
    folder, in which every process writes `{name}_{number}.{process}.csv`.
    """
    from legate.core import get_legate_runtime

    uid = int.from_bytes(secrets.token_bytes(8), "little")
    place = settings.out()
    if out is None and place != "stdout":
        file = f"{name.replace(' ', '')}_{uid:016x}.{get_legate_runtime().node_id}.csv"
        return BenchmarkLogFromFilename(Path(place) / file, lambda f: BenchmarkLogCSV(name, uid, columns, f))
    stream = sys.stdout if out is None else out
    drawn = stream.isatty() and settings.use_rich() and find_spec("rich") is not None
    return (BenchmarkLogRich if drawn else BenchmarkLogCSV)(name, uid, columns, stream)
