"""Running compiled programs: the interpreter's entry into native code and the pool of threads behind it.

Duty: install the machine code of `forkjoin` in the process, size its pool, and keep it right over forks and
at exit. It must not know what kernels compute, who plans programs, or NumPy.

A *program* is an array of launch records, eight int64 words each: [kernel address, argument block address,
units, chunk units, address of a stop word or 0, three reserved]. A kernel is `void kernel(i64 lo, i64 hi, ptr args,
ptr table)` and computes units lo..hi-1, independently of how 0..units-1 is cut. `run_program`, `begin_program`,
`finish_program` and `call_kernel` are built on first access, because that loads LLVM: reach them as `threads.run_program`.

Threads: LEGATE_JIT_THREADS, else what the function given to `ask_for_threads` says, else the processors this
process may use. LEGATE_JIT_SPIN is how many microseconds an idle thread looks for work before it sleeps (default
50; 0 when there are more threads than processors).
"""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Callable
from typing import Any

from legate_jit.backends import native
from legate_jit.backends.pool.forkjoin import BLOCK_HEADER, SYMBOLS, Field, block_bytes, program_text
from legate_jit.backends.recording.objects import function, keep_forever

__all__ = [
    "ENDED",
    "MAX_THREADS",
    "RECORD_WORDS",
    "ask_for_threads",
    "begin_program",
    "call_kernel",
    "finish_program",
    "get_threads",
    "mark",
    "run_program",
    "set_spin",
    "set_threads",
    "started_threads",
]

RECORD_WORDS = 8
"""int64 words of one launch record."""

MAX_THREADS = 1024

ENDED = -1
"""What the stop word of a program says when all of it has been run."""

_DEFAULT_SPIN = 50.0  # microseconds: longer than the interpreter takes between two programs of a loop

run_program: Callable[[int, int, int, int, int], None]
"""run_program(program, first, last, table, release_gil): run launches first..last-1 in order, each complete
before the next.

A launch runs on the calling thread if it has one chunk, else on the pool; a launch without units or without a
kernel is skipped. A launch of one chunk after which its stop word is not 0 is the last one that is run. `table` is passed to
every kernel. The interpreter's lock is released iff `release_gil` is not 0. While another thread uses the pool, everything runs
on the calling thread. Addresses are not checked.
TypeError or OverflowError for arguments that are not five 64-bit integers.
"""

begin_program: Callable[[int, int, int, int, int], bool]
"""As `run_program`, but a worker may run the launches while the caller goes on: True, and whatever the program reads,
writes and consists of must stay as it is until `finish_program`. False: everything has been run, because there is no
worker, another thread uses the pool, or a program that was begun is not finished.
"""

finish_program: Callable[[], None]
"""finish_program(): work together with the pool until the program that was begun is done; nothing if none is.

The interpreter's lock is released meanwhile. Until then no other program runs on the pool.
"""

call_kernel: Callable[[int, int, int, int, int], None]
"""call_kernel(kernel, lo, hi, args, table): one call, on this thread, keeping the interpreter's lock."""


def _available_processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment_number(name: str) -> float | None:
    """The value of an environment variable that must be a number not below 0; ValueError names the variable
    and its value."""
    text = os.environ.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"{name} must be a number not below 0, not {text!r}")
    return value


def _checked_threads(count: int) -> int:
    if not 1 <= count <= MAX_THREADS:
        raise ValueError(f"the number of threads must be between 1 and {MAX_THREADS}, not {count}")
    return count


_ask: list[Callable[[], int | None]] = []


def ask_for_threads(ask: Callable[[], int | None]) -> None:
    """Call `ask` when the number of threads is first needed and the environment does not say it; None: all processors."""
    _ask[:] = [ask]


def _initial_threads() -> int:
    asked = _environment_number("LEGATE_JIT_THREADS")
    if asked is not None:
        return _checked_threads(int(asked))
    wanted = [count for ask in _ask if (count := ask()) is not None]
    return min(wanted[0] if wanted else _available_processors(), MAX_THREADS)


class _Settings:
    """What was asked for, by the environment or by calls; known without building anything."""

    __slots__ = ("spin", "threads")

    def __init__(self) -> None:
        self.threads = _initial_threads()
        self.spin = _environment_number("LEGATE_JIT_SPIN")


class _Pool:
    """The installed native pool: at most one control block is current, others are retired and reused once
    their workers are gone."""

    def __init__(self, settings: _Settings) -> None:
        self.settings = settings
        code = native.compile_ir(program_text(native.host_triple()), SYMBOLS)
        keep_forever(code)
        self._code = code
        self._current = ctypes.c_void_p.from_address(code.address("pool"))
        self._retire = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(code.address("retire"))
        self._blocks: list[tuple[int, int]] = []  # (address, bytes) of retired blocks
        self._block = 0
        self._pauses_per_microsecond = self._calibrate()
        self.install()

    def _calibrate(self) -> float:
        """How many pauses fit into a microsecond, from the fastest of three trials of some ten
        microseconds."""
        pause = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(self._code.address("pause_many"))
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            pause(1000)
            best = min(best, time.perf_counter() - start)
        return 1000 / max(best * 1e6, 1.0)

    def address(self, symbol: str) -> int:
        """Where an exported function is."""
        return self._code.address(symbol)

    def method(self, symbol: str) -> Any:
        """The exported function as a builtin-function object."""
        return function(symbol, self._code.address(symbol))

    def install(self) -> None:
        """Make a fresh block for the wanted number of threads the current one; its workers start at the first
        parallel launch."""
        if self.settings.threads == 1:
            self._block = 0
            self._current.value = None
            return
        size = block_bytes(self.settings.threads)
        self._block = self._take_block(size)
        ctypes.memset(self._block, 0, size)
        self._word(Field.THREADS).value = self.settings.threads
        self._word(Field.SPIN).value = self._spin_pauses()
        self._current.value = self._block

    def replace(self) -> None:
        """Retire the current block, if any, and install one for the wanted number of threads."""
        if self._block:
            self._retire(self._block)
            self._blocks.append((self._block, block_bytes(self._word(Field.THREADS).value)))
        self.install()

    def abandon(self) -> None:
        """In a forked child: the block's workers do not exist here, and its lock may be held by a thread that
        does not either."""
        self._blocks.clear()
        self.install()

    def started(self) -> int:
        """Worker threads of the current block that exist."""
        return int(self._small(Field.ALIVE).value) if self._block else 0

    def update_spin(self) -> None:
        """Give the current block the spinning time that is set."""
        if self._block:
            self._word(Field.SPIN).value = self._spin_pauses()

    def _spin_pauses(self) -> int:
        default = _DEFAULT_SPIN if self.settings.threads <= _available_processors() else 0.0
        return int(
            (default if self.settings.spin is None else self.settings.spin) * self._pauses_per_microsecond
        )

    def _take_block(self, size: int) -> int:
        """A retired block that nobody can still look at, or new memory that is never freed."""
        for position, (address, capacity) in enumerate(self._blocks):
            alive = ctypes.c_int32.from_address(address + Field.ALIVE).value
            locked = ctypes.c_int32.from_address(address + Field.LOCK).value
            if capacity >= size and not alive and not locked:
                del self._blocks[position]
                return address
        memory = (ctypes.c_char * (size + BLOCK_HEADER))()
        keep_forever(memory)
        return (ctypes.addressof(memory) + 63) & ~63

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self._block + offset)

    def _small(self, offset: int) -> ctypes.c_int32:
        return ctypes.c_int32.from_address(self._block + offset)


_built: list[_Pool] = []


@functools.cache
def _settings() -> _Settings:
    return _Settings()


def _pool() -> _Pool:
    if not _built:
        pool = _Pool(_settings())
        _built.append(pool)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=pool.abandon)
    return _built[0]


def set_threads(count: int) -> None:
    """Use `count` threads, the calling one included (1 to MAX_THREADS; ValueError otherwise), from the next
    program on."""
    _settings().threads = _checked_threads(count)
    for pool in _built:
        pool.replace()


def get_threads() -> int:
    """How many threads a parallel launch may use, the calling one included."""
    return _settings().threads


def can_compute_beside() -> bool:
    """Whether a program that was begun computes while its caller goes on: there is another thread and a processor for it."""
    return min(get_threads(), _available_processors()) > 1


def started_threads() -> int:
    """How many worker threads exist now; 0 before the first parallel launch."""
    return sum(pool.started() for pool in _built)


def set_spin(microseconds: float | None) -> None:
    """How long an idle thread looks for work before it sleeps; None for the default."""
    _settings().spin = microseconds
    for pool in _built:
        pool.update_spin()


def chain() -> int:
    """Address of the kernel that runs the launches of a chain, band by band."""
    return _pool().address("chain")


def mark() -> int:
    """Address of the kernel that writes ENDED into the stop word whose address is its argument."""
    return _pool().address("mark")


def __getattr__(name: str) -> Any:
    """Build an entry point on first access; afterwards it is an ordinary attribute."""
    if name not in ("run_program", "begin_program", "finish_program", "call_kernel"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = globals()[name] = _pool().method(name)
    return function
