"""Logs of benchmarks: a header that says what ran where, and a table that grows row by row.

Knows text streams and `legate.util.info`; where streams come from is `legate.util.benchmark`'s affair.
"""

from __future__ import annotations

import csv
import datetime
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import indent
from typing import Any, Self, TextIO

from legate.util import info

__all__ = ["BenchmarkLog", "BenchmarkLogCSV", "BenchmarkLogFromFilename", "BenchmarkLogRich"]

MISSING = "(missing)"


def benchmark_info(name: str, uid: int) -> dict[str, Any]:
    """Which benchmark, when, and in which process."""
    return {
        "Name": name,
        "ID": f"{uid:016x}",
        "Time": datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        "Global rank": os.getenv("LEGATE_GLOBAL_RANK", "0"),
        "Local rank": os.getenv("LEGATE_LOCAL_RANK", "0"),
        "Node": platform.node(),
    }


class BenchmarkLog(ExitStack):
    """A context manager whose `log(column=value, ...)` adds a row to a table.

    name, uid: which benchmark. columns: the table's columns. file: where it is written. What is written when is up to subclasses.
    """

    def __init__(self, name: str, uid: int, columns: Sequence[str], file: TextIO) -> None:
        super().__init__()
        self.name, self.uid, self.columns, self.file = name, uid, list(columns), file

    def __enter__(self) -> Self:
        super().__enter__()
        facts = {"Benchmark": benchmark_info(self.name, self.uid)} | info.info()
        self._begin("\n".join(info.lines(facts)))
        return self

    def log(self, **kwargs: Any) -> None:
        """Add a row. Columns that are not named say that they are missing; names that are no columns are left out."""
        self._row([str(kwargs.get(column, MISSING)) for column in self.columns])

    def _begin(self, metadata: str) -> None:
        """Write the header and the names of the columns."""
        raise NotImplementedError

    def _row(self, row: list[str]) -> None:
        """Write one row."""
        raise NotImplementedError


class BenchmarkLogCSV(BenchmarkLog):
    """Comma-separated values below a header of comment lines."""

    def __init__(self, name: str, uid: int, columns: Sequence[str], file: TextIO) -> None:
        super().__init__(name, uid, columns, file)
        self._writer = csv.writer(file, dialect="unix", quoting=csv.QUOTE_MINIMAL)

    def _begin(self, metadata: str) -> None:
        rule = "#" * 80
        self.file.write(f"{rule}\n{indent(metadata, '# ')}\n{rule}\n")
        self._row(self.columns)

    def _row(self, row: list[str]) -> None:
        self._writer.writerow(row)


class BenchmarkLogRich(BenchmarkLog):
    """A table on a terminal that is drawn again with every row; needs the rich package."""

    def _begin(self, metadata: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table

        console = Console(file=self.file)
        console.print(metadata, highlight=False)
        self._table = Table(*self.columns, title=self.name)
        self._live = self.enter_context(Live(self._table, console=console))

    def _row(self, row: list[str]) -> None:
        self._table.add_row(*row)
        self._live.refresh()


class BenchmarkLogFromFilename:
    """Opens a file for a log when it is entered, and closes it afterwards.

    constructor: makes the log from the open file.
    """

    def __init__(self, file_name: os.PathLike[str], constructor: Callable[[TextIO], BenchmarkLog]) -> None:
        self.file_name, self.constructor = file_name, constructor
        self._stack = ExitStack()

    def __enter__(self) -> BenchmarkLog:
        with ExitStack() as stack:
            file = stack.enter_context(Path(self.file_name).open("w", encoding="utf-8"))
            log = stack.enter_context(self.constructor(file))
            self._stack = stack.pop_all()
        return log

    def __exit__(self, *exception: Any) -> bool | None:
        return self._stack.__exit__(*exception)
