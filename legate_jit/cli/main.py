"""The `legate-jit` command: run a program as `python` would, with dumps and debugging switched on.

Everything after the program belongs to the program. Must not import the engine before its settings are known.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType, TracebackType
from typing import Any, NoReturn

import legate_jit

_USAGE = "legate-jit [options] (script.py | -m module | -c code) [arguments of the program]"
_EPILOG = """\
stages: graph (a NumPy program that runs), simplified, pieces, lowered, fused, kernels (loop nests), schedule,
source (LLVM IR; also llvm), asm, all. Dumps go to standard error; standard output is the program's.
NO_COLOR and FORCE_COLOR (any text) decide about colors; otherwise they appear on terminals.
The same settings as environment variables, for programs run by python: see docs/configuration.md.
"""
#: options that take their value from the next argument
_WITH_VALUE = ("--debug", "--dump-file")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, whatever is wrong."""
        _fail(message)


def _fail(message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"legate-jit: {message}\n")
    raise SystemExit(code)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own options, and the program with its arguments."""
    k = 0
    while k < len(arguments):
        word = arguments[k]
        if word == "--":
            return list(arguments[:k]), list(arguments[k + 1 :])
        if not word.startswith("-") or word == "-" or word.startswith(("-m", "-c")):
            break
        k += 2 if word in _WITH_VALUE else 1
    return list(arguments[:k]), list(arguments[k:])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="legate-jit",
        usage=_USAGE,
        description="Run a program that uses cupynumeric, showing what the compiler makes of it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--dump-ir",
        metavar="stages",
        nargs="?",
        const="",
        help="print these stages of every window that is compiled, separated by commas (alone: graph,kernels,schedule)",
    )
    parser.add_argument("--dump-file", metavar="file", help="write dumps and debug lines to this file")
    parser.add_argument(
        "--debug",
        metavar="level",
        help="1: a line per flush; 2: and one per step, timed; 3: and graphs and kernels; 4: and LLVM IR",
    )
    parser.add_argument("--version", action="version", version=f"legate-jit {legate_jit.__version__}")
    return parser


def _configure(options: argparse.Namespace) -> None:
    """Settings from the environment, and from the options over them."""
    try:
        from legate_jit import config
    except ValueError as e:
        _fail(str(e))
    settings: dict[str, Any] = {}
    for name, flag, parse in (
        ("dump", "--dump-ir", config.parse_stages),
        ("debug", "--debug", config.parse_level),
        ("dump_file", "--dump-file", str),
    ):
        text = getattr(options, flag[2:].replace("-", "_"))
        if text is None:
            continue
        try:
            settings[name] = parse(text)
        except ValueError as e:
            _fail(f"{flag}{'=' + text if text else ''}: {e}")
    chosen = config.override(**settings)
    if chosen.dump_file:
        try:
            with open(chosen.dump_file, "a", encoding="utf-8"):
                pass
        except OSError as e:
            _fail(f"--dump-file={chosen.dump_file}: {e.strerror}")


# ---- running the program ---------------------------------------------------------------------------------------------


def _main_module() -> ModuleType:
    """A fresh `__main__`, in place of the one that started us."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    return module


def _run_script(path: str, arguments: list[str]) -> None:
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        if not os.path.exists(path):
            _fail(f"can't open file {path!r}: No such file or directory")
        sys.argv = [path, *arguments]
        runpy.run_path(path, run_name="__main__")
        return
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as e:
        _fail(f"can't open file {path!r}: {e.strerror}")
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    module = _main_module()
    module.__file__ = path
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)


def _run_code(code: str, arguments: list[str]) -> None:
    sys.argv = ["-c", *arguments]
    sys.path[0] = ""
    exec(compile(code, "<string>", "exec", dont_inherit=True), _main_module().__dict__)


def _run_module(name: str, arguments: list[str]) -> None:
    sys.argv = ["-m", *arguments]
    sys.path[0] = os.getcwd()
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        _fail(f"no module named {name!r}", 1)
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _trimmed(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from the program's first frame on, as python would show it."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _STARTERS:
        traceback = traceback.tb_next
    return traceback


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """`sys.excepthook` for the program's own errors."""
    trimmed = _trimmed(traceback)
    sys.__excepthook__(kind, error.with_traceback(trimmed), trimmed)


#: files of the frames between the interpreter's start and the program
_STARTERS: set[str] = {__file__, "<frozen runpy>"}


def main() -> None:
    """Run the command line in `sys.argv`. The process ends as the program would end under python."""
    own, rest = _split(sys.argv[1:])
    options = _parser().parse_args(own)
    if not rest:
        _fail(f"no program given; usage: {_USAGE}")
    _STARTERS.add(sys._getframe(1).f_code.co_filename)  # the console script, or `python -m legate_jit`
    _configure(options)
    sys.excepthook = _show
    first, arguments = rest[0], rest[1:]
    for flag, run in (("-m", _run_module), ("-c", _run_code)):
        if first.startswith(flag):
            given = [first[2:], *arguments] if first != flag else arguments
            if not given:
                _fail(f"{flag} needs an argument")
            run(given[0], given[1:])
            return
    _run_script(first, arguments)
