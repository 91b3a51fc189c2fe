"""The `legate` and `legate-jit` commands: words in, a running program and its exit code out.

Both are the same command under two names. Must not import the engine: the program may be another process's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import legate_jit
from legate_jit.cli import driver, flags
from legate_jit.cli.flags import UsageError
from legate_jit.cli.launchers import LauncherError

__all__ = ["main", "run"]

#: these make the settings of the program be read, printed or explained where they are first imported: that is not here
_NOT_OURS = ("LEGATE_CONFIG", "LEGATE_SHOW_CONFIG")


def _check_environment(environment: Mapping[str, str]) -> None:
    """UsageError for variables of the engine that mean nothing, before each rank says so."""
    for name in _NOT_OURS:
        os.environ.pop(name, None)
    try:
        from legate_jit.process import config

        config.from_environment(environment)
    except ValueError as error:
        raise UsageError(str(error)) from None


def run(words: Sequence[str], environment: Mapping[str, str], prog: str = "legate") -> int:
    """Run a command line, given without the command's name. Its exit code; 2 and one line of text if it means nothing."""
    try:
        config = flags.parse(words, environment, prog)
        if "help" in config.switches:
            sys.stdout.write(flags.usage_text(prog, environment))
            return 0
        if "version" in config.switches:
            print(f"legate-jit {legate_jit.__version__}")
            return 0
        if "info" in config.switches:
            return driver.show_info()
        _check_environment(environment)
        return driver.LegateDriver.create(config, environment).run()
    except UsageError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return error.code
    except LauncherError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return 1


def main() -> None:
    """Run the command line in `sys.argv`, and end as the program ends."""
    prog = os.path.basename(sys.argv[0])
    environment = dict(os.environ)
    raise SystemExit(
        run(sys.argv[1:], environment, prog if prog in ("legate", "legate-jit") else "legate-jit")
    )
