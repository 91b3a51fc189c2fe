"""Somebody at a terminal and a console of several ranks: lines are edited here, where the terminal is, and go to rank 0.

The ranks run below this process in a session of their own, with pipes; what they print is passed on. A mark in it asks for a line
(`legate_jit.job.console`). Ctrl-C stops the statement that runs. Knows nothing of what is typed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import IO

__all__ = ["Splitter", "converse"]

# As in legate_jit.job.console, which imports the engine when it runs: the command must not.
_BEGIN, _END, _INTERRUPT, _OVER = b"\x1b]7770;legate;", b"\x07\n", b"\x03\n", b"\x04\n"


class Splitter:
    """Takes what the ranks print piece by piece: text to pass on, and the prompts of lines that are asked for."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[tuple[bytes, str | None]]:
        """Pairs of text and the prompt after it (None: no prompt). The beginning of a mark is kept until the rest is here."""
        data = self._rest + piece
        found: list[tuple[bytes, str | None]] = []
        while (begin := data.find(_BEGIN)) >= 0:
            end = data.find(_END, begin)
            if end < 0:
                break
            prompt = data[begin + len(_BEGIN) : end].decode("utf-8", "replace")
            found.append((data[:begin], prompt))
            data = data[end + len(_END) :]
        kept = begin if begin >= 0 else _beginning_at(data)
        found.append((data[:kept], None))
        self._rest = data[kept:]
        return [(text, prompt) for text, prompt in found if text or prompt is not None]

    def last(self) -> bytes:
        """What was kept."""
        rest, self._rest = self._rest, b""
        return rest


def _beginning_at(data: bytes) -> int:
    """Where the end of `data` may be the beginning of a mark."""
    lengths = range(min(len(_BEGIN) - 1, len(data)), 0, -1)
    return next((len(data) - n for n in lengths if _BEGIN.startswith(data[-n:])), len(data))


class _Conversation:
    """One console. `_asking`: whether somebody is at a prompt; `_over`: whether the ranks have ended."""

    def __init__(self, target: IO[bytes], source: IO[bytes]) -> None:
        self._target, self._source = target, source
        self._prompts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._asking = self._over = False

    def pass_on(self) -> None:
        """Write what the ranks print, and hand on what they ask for; None at the end."""
        splitter = Splitter()
        while piece := os.read(self._source.fileno(), 1 << 16):
            for text, prompt in splitter.feed(piece):
                _write(text)
                if prompt is not None:
                    self._prompts.put(prompt)
        _write(splitter.last())
        self._prompts.put(None)
        self._over = True
        # Nobody waits for the line any more; input() may miss a signal just before it looks for keys.
        while self._asking:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    def run(self) -> None:
        """Answer until the end."""
        prompt: str | None = ""
        while prompt is not None:
            try:
                prompt = self._prompts.get()
                if prompt is not None:
                    self._answer(prompt)
            except KeyboardInterrupt:  # pressed while the ranks compute
                self._send(_INTERRUPT)

    def _answer(self, prompt: str) -> None:
        self._asking = True
        try:
            answer = input(prompt).encode("utf-8", "surrogateescape") + b"\n"
        except EOFError:
            answer = _OVER
        except KeyboardInterrupt:
            sys.stdout.write("\n" if self._over else "\nKeyboardInterrupt\n")
            answer = _INTERRUPT
        finally:
            self._asking = False
        self._send(answer)

    def _send(self, answer: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # the ranks have ended, as the next prompt will say
            self._target.write(answer)
            self._target.flush()


def _write(text: bytes) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def converse(child: subprocess.Popen[bytes]) -> None:
    """Answer the console's questions until it ends. child: with pipes for standard input and output."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  input() then has history and editing
    # Ctrl-C is how lines end that nobody waits for any more.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert child.stdin is not None and child.stdout is not None
    conversation = _Conversation(child.stdin, child.stdout)
    reader = threading.Thread(target=conversation.pass_on, daemon=True)
    reader.start()
    conversation.run()
    with contextlib.suppress(KeyboardInterrupt):  # of the reader itself, a moment late
        reader.join()
