"""The `legate` command as a library: reads command lines, makes the commands of jobs, runs them.

`parse(words, environment)` gives a `Config`; `LegateDriver.create(config, environment)` a job, whose `command` and
`environment` can be looked at and which `run()` runs. `main()` is the command; the installed one does not come through here.
"""

from __future__ import annotations

from legate_jit.cli.driver import LegateDriver
from legate_jit.cli.flags import Config, UsageError, parse
from legate_jit.cli.launchers import Launcher, LauncherError
from legate_jit.cli.main import main

__all__ = ["Config", "Launcher", "LauncherError", "LegateDriver", "UsageError", "main", "parse"]
