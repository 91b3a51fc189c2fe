"""The console of several ranks: at a terminal (a pseudo-terminal here), and with a program on standard input."""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ranks.launch import AS_ROOT, left, needs_mpi

from legate_jit.cli.terminal import Splitter
from legate_jit.job import console

ROOT = Path(__file__).resolve().parents[2]
_LEGATE = "import sys; from legate_jit.cli.main import main; sys.argv[0] = 'legate'; main()"
_AMBIENT = ("LEGATE_", "LEGION_", "REALM_", "OMPI_", "PMI_", "MPI_", "SLURM_")
_TOKEN = "console-{}"
BOUND = 60.0


def environment(token: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_AMBIENT)}
    more = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "LEGATE_JIT_DEALT_FROM": "10000",
        "TERM": "dumb",
        "PYTHONUNBUFFERED": "",
        "LEGATE_TEST_JOB": token,
    }
    return inherited | AS_ROOT | more


def command(*words: str, ranks: int = 2) -> list[str]:
    return [sys.executable, "-c", _LEGATE, "--ranks-per-node", str(ranks), *words]


_open: list[Session] = []


@pytest.fixture(autouse=True)
def no_session_outlives_its_test() -> Iterator[None]:
    """A test that fails leaves its session waiting for input."""
    yield
    while _open:
        session = _open.pop()
        os.close(session.terminal)  # the terminal hangs up
        os.kill(session.process, signal.SIGTERM)
        os.waitpid(session.process, 0)


class Session:
    """`legate` on two ranks, at a terminal."""

    def __init__(self, ranks: int = 2) -> None:
        needs_mpi()
        self.token = _TOKEN.format(time.monotonic_ns())
        self.text, self.seen = "", 0
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.execvpe(sys.executable, command(ranks=ranks), environment(self.token))
        _open.append(self)

    def until(self, wanted: str) -> str:
        """What is shown from the last call on until `wanted` is."""
        end = time.monotonic() + BOUND
        while (at := self.text.find(wanted, self.seen)) < 0:
            assert time.monotonic() < end and self._read(), f"no {wanted!r} in {self.text[self.seen :]!r}"
        shown, self.seen = self.text[self.seen : at], at + len(wanted)
        return shown

    def _read(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], 1.0)
        if not ready:
            return True
        try:
            piece = os.read(self.terminal, 1 << 16)
        except OSError:
            return False
        self.text += piece.decode().replace("\r\n", "\n")
        return bool(piece)

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def line(self, text: str, prompt: str = ">>> ") -> str:
        """What is shown between a line and the next prompt."""
        self.type(text + "\n")
        self.until(text + "\n")
        return self.until(prompt)

    def end(self) -> int:
        """The status, when it has ended by itself."""
        end = time.monotonic() + BOUND
        while self._read():
            assert time.monotonic() < end, self.text
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        _open.remove(self)
        os.close(self.terminal)
        assert left(self.token) == 0
        return status


def begun(*lines: str, ranks: int = 2) -> Session:
    session = Session(ranks)
    session.until(">>> ")
    assert f"{ranks} ranks" in session.text
    for line in ("import cupynumeric as np", "from legate_jit.process.world import world", *lines):
        assert session.line(line) == ""
    return session


def test_statements_run_on_all_ranks() -> None:
    session = begun("x = np.arange(100_000.0)", ranks=3)
    assert session.line("x.sum()") == "np.float64(4999950000.0)\n"
    assert session.line("print(world.size, world.rank)") == "3 0\n"  # once, by rank 0
    assert session.line("def half(k):", "... ") == ""
    assert session.line("    return x[k] / 2", "... ") == ""
    assert session.line("") == ""
    assert session.line("half(9)") == "np.float64(4.5)\n"
    assert session.line("_ * 2") == "np.float64(9.0)\n"
    assert session.line("word = input('name? ')", "name? ") == ""
    session.type("someone\n")
    session.until(">>> ")
    assert session.line("word, __name__") == "('someone', '__main__')\n"
    session.type("\x04")
    assert session.end() == 0


def test_errors_of_all_ranks_do_not_end_the_session() -> None:
    session = begun("x = np.arange(100_000.0)")
    told = session.line("x.reshape(7)")
    assert told.startswith("Traceback (most recent call last):\n")
    assert told.count("ValueError: cannot reshape array") == 1
    assert "x.reshape(7)" in told and "console.py" not in told
    assert "SyntaxError" in session.line("x = = 3")
    assert session.line("float(x[2])") == "2.0\n"
    session.type("exit(3)\n")
    assert session.end() == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status", "cause"),
    [
        ("if world.rank: raise ValueError('only here')", 1, "rank 1 of 2: ValueError at <input 4>:1"),
        ("if world.rank: x = x + 1", 1, "rank 0: the end of <input 4>; rank 1: a window run of <input 4>"),
        ("if world.rank: raise SystemExit(4)", 1, "rank 1 of 2: SystemExit at <input 4>:1"),
        ("float(x[0]) if world.rank else 0", 1, " at <input 4>:1"),
        ("import os; os.kill(os.getpid(), 9) if world.rank else 0", None, ""),
    ],
)
def test_what_not_all_ranks_do_ends_the_session(line: str, status: int | None, cause: str) -> None:
    session = begun("x = np.arange(100_000.0)")
    session.type(line + "\n\n")
    ended = session.end()
    assert ended == status or (status is None and ended != 0)
    assert session.text.count("[legate-jit] ") == bool(cause), session.text
    assert cause in session.text


def test_interrupts() -> None:
    """Ctrl-C stops a loop at the same place on all ranks; one in a line forgets it; a second one ends what does not stop."""
    session = begun("x = np.arange(100_000.0)", "count = 0")
    session.type("while True: x += 1; count += 1; float(x[0])\n\n")
    session.until("float(x[0])\n")
    time.sleep(0.5)
    session.type("\x03")
    session.until("KeyboardInterrupt\n")
    session.until(">>> ")
    assert session.line("float(x[0]) - count in (0, 1)") == "True\n"
    assert session.line("(1,", "... ") == ""
    time.sleep(0.5)  # readline has shown the prompt, but may not listen yet
    session.type("\x03")
    session.until("KeyboardInterrupt\n")
    session.until(">>> ")
    assert session.line("1 + 1") == "2\n"
    session.type("while True: pass\n\n")
    session.until("pass\n")
    time.sleep(0.5)
    session.type("\x03")
    time.sleep(0.5)
    session.type("\x03")
    assert session.end() == 130
    assert session.text.count("[legate-jit] rank 0 of 2: KeyboardInterrupt a second time") == 1


@pytest.mark.slow
def test_a_closed_terminal_ends_all_ranks() -> None:
    session = begun()
    os.kill(session.process, signal.SIGHUP)
    assert session.end() != 0


def piped(text: str, *words: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    needs_mpi()
    token = _TOKEN.format(time.monotonic_ns())
    done = subprocess.run(
        command(*words, ranks=ranks), input=text, capture_output=True, text=True, timeout=BOUND, env=environment(token)
    )  # fmt: skip
    assert left(token) == 0
    return done


_PROGRAM = """
import cupynumeric as np
def total(x):

    return float(x.sum())
if __name__ == "__main__":
    print(total(np.ones(100_000)))
"""


def test_a_program_on_standard_input() -> None:
    done = piped(_PROGRAM)
    assert (done.returncode, done.stdout, done.stderr) == (0, "100000.0\n", "")
    failed = piped(_PROGRAM + "\n1 / 0\n", ranks=3)
    assert (failed.returncode, failed.stdout) == (1, "100000.0\n")
    assert failed.stderr.count("ZeroDivisionError at <stdin>:9") == 1
    assert "1 / 0" in failed.stderr


@pytest.mark.slow
def test_code_and_modules_on_several_ranks() -> None:
    code = "import cupynumeric as np, sys; print(float(np.ones(70_000).sum()), sys.argv[1:])"
    done = piped("", "-c", code, "a", "b")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["70000.0 ['a', 'b']"] * 2)
    module = piped(
        "", "-m", "timeit", "-n", "1", "-r", "1", "import cupynumeric as np; float(np.ones(70_000).sum())"
    )
    assert (module.returncode, module.stdout.count("1 loop")) == (0, 2)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_marks_in_what_is_printed(size: int) -> None:
    """Marks are found however the text is cut into pieces."""
    text = f"one\n\x1b[0m{console.asking('>>> ')}two\x1b]7770;{console.asking('... ')}three\x1b]"
    data = text.encode()
    splitter = Splitter()
    shown, prompts = b"", []
    for at in range(0, len(data), size):
        for part, prompt in splitter.feed(data[at : at + size]):
            shown += part
            if prompt is not None:
                prompts.append((shown, prompt))
    assert shown + splitter.last() == b"one\n\x1b[0mtwo\x1b]7770;three\x1b]"
    assert prompts == [(b"one\n\x1b[0m", ">>> "), (b"one\n\x1b[0mtwo\x1b]7770;", "... ")]


def test_long_programs_on_standard_input() -> None:
    """Launchers lose some of what they pass on: it reaches the ranks another way, or not at all."""
    done = piped("text = '" + "x" * 400_000 + "'\nprint(len(text))\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "400000\n", "")
    words = random.Random(5).choices("abcdefghijklmnopqrstuvwxyz", k=400_000)
    done = piped(f"text = {''.join(words)!r}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("is too long for several ranks: let it be a file\n")
