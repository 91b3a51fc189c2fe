"""The console of programs of several ranks: rank 0 reads, every rank runs what was read. `python -m legate_jit.job.console`.

With LEGATE_JIT_TERMINAL=1 somebody types: whoever started the ranks (`cli.terminal`) is asked for a line by a mark in what rank 0
prints, whole statements are run one by one, and an error that all ranks have alike does not end the session. Otherwise all of
standard input is one program. Knows the guard and the ranks' communication; nothing of launchers.
"""

from __future__ import annotations

import _thread
import base64
import builtins
import codeop
import linecache
import os
import queue
import sys
import traceback
import types
import zlib
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("LEGATE_LIMIT_STDOUT", "1")  # before the guard looks

from legate_jit import runtime
from legate_jit.job.session import INPUT, Session

__all__ = ["INTERRUPT", "TERMINAL", "asking", "main"]

#: the variable that says that somebody types
TERMINAL = "LEGATE_JIT_TERMINAL"
#: the variable with a program that was on standard input, packed; launchers' own ways of passing input on may lose its end
PROGRAM = "LEGATE_JIT_PROGRAM"
#: lines that stand for Ctrl-C, and for the end of input
INTERRUPT, OVER = "\x03", "\x04"
#: before and after the prompt in what rank 0 prints, when it wants a line. Terminals do not show it. It ends a line, because
#: launchers (Open MPI's) may keep what ranks print until a line is complete
_BEGIN, _END = "\x1b]7770;legate;", "\x07\n"


def asking(prompt: str) -> str:
    """The text by which rank 0 asks for a line."""
    return f"{_BEGIN}{prompt}{_END}"


class _Lines:
    """The lines that somebody types, on rank 0. A thread reads them, so that Ctrl-C is heard while a statement runs."""

    def __init__(self, guard: Any) -> None:
        self._guard = guard
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._wanted = False
        _thread.start_new_thread(self._read, ())

    def _read(self) -> None:
        with open(0, encoding="utf-8", errors="surrogateescape", closefd=False) as file:
            for line in file:
                text = line.rstrip("\n")
                if text == OVER:
                    break
                if text == INTERRUPT and not self._wanted:
                    self._interrupt()
                else:
                    self._queue.put(text)
        self._queue.put(None)

    def _interrupt(self) -> None:
        """Ctrl-C while a statement runs: it stops where all ranks are next, at the same place on each."""
        if self._guard.interrupted:
            self._guard.fail(130, "KeyboardInterrupt a second time, before the ranks came to a common point")
        self._guard.interrupted = True

    def ask(self, prompt: str) -> str | None:
        """The next line, None at the end of input. KeyboardInterrupt if Ctrl-C was pressed instead."""
        self._wanted = True
        sys.stdout.write(asking(prompt))
        sys.stdout.flush()
        line = self._queue.get()
        self._wanted = False
        if line == INTERRUPT:
            raise KeyboardInterrupt
        return line


class _Console:
    """One rank's end of the session. lines: on rank 0, where they come from."""

    def __init__(self, guard: Any, lines: _Lines | None) -> None:
        self.session, self.lines = Session(guard), lines
        self.names = _main_module().__dict__
        self.compiler = codeop.CommandCompiler()
        self.count = 0

    def run(self) -> None:
        """Until the end of input."""
        builtins.input = self.input
        while (source := self._next()) is not None:
            self._statement(source)
        if self.lines is not None:
            print()

    def _next(self) -> str | None:
        """The next statement, on every rank."""
        source: str | None = self.session.shared(self._read() if self.lines is not None else None)
        return source

    def _read(self) -> str | None:
        """A whole statement; None at the end of input."""
        assert self.lines is not None
        lines: list[str] = []
        while True:
            try:
                line = self.lines.ask(str(sys.ps2 if lines else sys.ps1))
            except KeyboardInterrupt:
                lines.clear()
                continue
            if line is None:
                return None
            lines.append(line)
            source = "\n".join(lines)
            try:
                code = self.compiler(source, self._name(), "single")
            except (SyntaxError, ValueError, OverflowError):
                traceback.print_exc(limit=0)
                lines.clear()
                continue
            if code is None:
                continue
            if source.strip():
                return source
            lines.clear()

    def _name(self) -> str:
        return f"{INPUT}{self.count + 1}>"

    def _statement(self, source: str) -> None:
        """Run a statement on this rank, and compare how it ended with the others."""
        name = self._name()
        self.count += 1
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        self.session.begin(name)
        error: BaseException | None = None
        try:
            code = self.compiler(source, name, "single")
            assert code is not None
            exec(code, self.names)
            runtime.flush()  # what is wrong is told of the statement that it is in
        except BaseException as caught:
            error = caught
        self._compare(error)

    def _compare(self, error: BaseException | None) -> None:
        error = self.session.end(error)
        if isinstance(error, SystemExit):
            raise error
        if error is not None and self.lines is not None:
            _show(error)

    def input(self, prompt: object = "", /) -> str:
        """`input` for all ranks: rank 0 asks."""
        given: Any = None
        if self.lines is not None:
            try:
                given = self.lines.ask(str(prompt))
            except KeyboardInterrupt as error:
                given = error
        given = self.session.shared(given)
        if isinstance(given, BaseException):
            raise given
        if given is None:
            raise EOFError("EOF when reading a line")
        return str(given)


def _show(error: BaseException) -> None:
    """The traceback, from the user's statement on."""
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(INPUT):
        trace = trace.tb_next
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("KeyboardInterrupt\n")
    else:
        traceback.print_exception(type(error), error, trace)
    sys.stderr.flush()


def _main_module() -> types.ModuleType:
    """An empty `__main__`, where the session's names live."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [""]
    sys.path[0] = ""
    return module


def _whole(comm: Any) -> None:
    """Run what was on standard input as one program: that of the command, or of rank 0."""
    packed = os.environ.pop(PROGRAM, "")
    if packed:
        source = zlib.decompress(base64.urlsafe_b64decode(packed)).decode("utf-8-sig")
    else:
        source = comm.bcast(sys.stdin.read() if comm.rank == 0 else None)
    names = _main_module().__dict__
    linecache.cache["<stdin>"] = (len(source), None, source.splitlines(keepends=True), "<stdin>")
    exec(compile(source, "<stdin>", "exec"), names)


def main() -> None:
    """The session of this rank."""
    if runtime.world is None:
        import code

        code.interact()
        return
    guard: Any = runtime.watching
    if os.environ.get(TERMINAL) != "1":
        _whole(guard.comm)
        return
    sys.ps1, sys.ps2 = getattr(sys, "ps1", ">>> "), getattr(sys, "ps2", "... ")
    lines = None
    if guard.comm.rank == 0:
        print(f"Python {sys.version} on {sys.platform}, {guard.comm.size} ranks")
        print('Type "help", "copyright", "credits" or "license" for more information.')
        sys.stdout.flush()
        os.dup2(1, 2)  # errors on the way of the prompts, so that they come before them
        lines = _Lines(guard)
    _Console(guard, lines).run()


if __name__ == "__main__":
    from legate_jit.job import console

    console.main()
