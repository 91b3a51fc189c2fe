"""The guard of programs of several ranks: whatever happens to one rank, the whole job ends soon, and says once why.

An exception, `sys.exit` of some ranks only, ranks that run different programs, a rank that is gone and one that never comes: each
ends all processes with the first cause on standard error (rank, line of the program) and a status that is not 0. Installed by the
runtime when there are several ranks; knows the engine's fence and flush, MPI only through `Comm`.

A thread looks twice a second at whom this rank is waiting for. It is made without `threading`, because it never records: programs
of one thread stay without locks.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import faulthandler
import os
import socket
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn

from legate_jit import runtime
from legate_jit.backends.pool import threads
from legate_jit.comm.base import Comm, Overdue
from legate_jit.job.divergence import DivergenceError, Recorder
from legate_jit.places import Place, place_of, place_text, user_place
from legate_jit.process import config, world

__all__ = ["Guard", "install"]

_FENCE, _END, _FLUSH, _READ, _STATEMENT = 1, 2, 3, 4, 5
#: seconds that the others have to come to the end as well, when this rank ended with a status
_GRACE = 5.0
#: seconds between looks at whom this rank waits for, and after which a rank that is gone counts as lost
_LOOK, _LOST = 0.5, 1.5
#: seconds that launchers get to pass on what a rank said: they may drop it when they end the job
_HEARD = 0.2
#: seconds until a process that cannot end in order ends anyway
_LAST = 5
_TIMED_OUT = 86
_INTERRUPTED = 130
#: where Python's own modules are
_LIBRARY = os.path.join(os.path.dirname(os.__file__), "")
#: what is done in a process that ends the job, before it does
last_acts: list[Callable[[], None]] = []


def _seconds(name: str, default: float) -> float:
    """A number of seconds in the environment. WorldError if it is none."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise world.WorldError(f"{name} must be a number of seconds, not {text!r}")
    return value


def _node() -> str:
    """What processes have in common that see each other's process numbers."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def _is_running(process: int) -> bool:
    """Whether a process of this node exists and has not ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return not os.path.isdir("/proc/self")


class Guard:
    """One rank's guard. `comm`: what it shares with the others."""

    def __init__(self, comm: Comm) -> None:
        self.comm: Comm = comm
        self.recorder = Recorder()
        #: whether this process still has to do with the others: not after the end, and not in forked children
        self.active = True
        self._warn = _seconds("LEGATE_JIT_STALL_WARNING", 30.0)
        self._limit = _seconds("LEGATE_JIT_STALL_TIMEOUT", 0.0)
        #: what is run when it is a statement of a session, by which it is called where no line of it is being run
        self.session = ""
        #: whether this rank may wait long for what somebody types
        self.patient = False
        #: whether the program shall be interrupted where all ranks are next
        self.interrupted = False
        self._met = False  # whether the ranks agreed on what is being done now
        #: what stopped this rank inside a run that the others may be waiting in
        self.stopped: BaseException | None = None
        self._failing = _thread.allocate_lock()
        self._exit: tuple[Any, Place] | None = None  # of the last sys.exit
        self._parent = os.getppid()
        self._speaker: socket.socket | None = None
        self._main = threading.main_thread().ident or 0
        everybody = comm.allgather_object((_node(), os.getpid(), _processors()))
        node = everybody[comm.rank][0]
        #: process numbers of the ranks on this node
        self._neighbors = {k: process for k, (n, process, _) in enumerate(everybody) if n == node}
        #: how many ranks share this node's caches and memory
        self.node_size = len(self._neighbors)
        self._token = f"{everybody[0][0]} {everybody[0][1]}"
        self.processors = _share(comm.rank, {k: everybody[k][2] for k in self._neighbors})

    # -- agreement --

    def fence(self) -> None:
        """All ranks are at a fence and have recorded the same."""
        if self.active:
            self._agree(_FENCE, "fence")

    def flushing(self, w: runtime.Window) -> list[Any]:
        """A window is about to run: if its arrays may be dealt out, all ranks are here and have recorded the same. Stores that
        must be held while it runs."""
        self._met = False
        if not self.active or not w.n or w.marks:  # a window with marks is flushed in parts
            return []
        large = self.recorder.flushing(w)
        if not large and not self.session:  # in a session also whatever else may be interrupted
            return []
        held = self._agree(_FLUSH, "a window run", w.stores, self.recorder.place)
        self._met = True
        return held

    def flushed(self) -> None:
        """A window has run."""
        self._met = False

    def meeting(self, what: str = "reading an array") -> None:
        """Arrays are about to be exchanged: all ranks are at the same point, as they know already inside a flush."""
        if self.active and not self._met:
            self._agree(_READ + zlib.crc32(what.encode()), what)

    def stop(self, error: BaseException) -> None:
        """A run of this rank was stopped; the others may wait in one of its exchanges."""
        self.stopped, self.comm.awaited = error, -1

    def statement(self, what: str) -> None:
        """All ranks have run one statement of a session, and recorded the same."""
        self._agree(_STATEMENT, what)

    def _agree(
        self, kind: int, what: str, stores: Sequence[Any] = (), place: Place | None = None
    ) -> list[Any]:
        comm = self.comm
        comm.doing = what
        point = self._point(what, user_place() if place is None else place)
        torn = self.stopped is not None or comm.awaited >= 0
        if torn:  # then the others come here as well, soon, or never
            comm.deadline = time.monotonic() + _GRACE
        try:
            stop, self.interrupted = self.interrupted, False
            held = self.recorder.agree_on_arrays(comm, kind, stores, point, stop)
        except Overdue as overdue:
            self._fail_alone(f"rank {overdue.peer} goes on")
        except DivergenceError:
            raise
        except BaseException as error:
            # Messages of an agreement that was stopped are still under way.
            if torn and isinstance(error, Exception):
                self._fail_alone("others go on")
            if not self.recorder.stopping:
                self.stop(error)
            raise
        self.stopped = comm.deadline = None
        comm.doing = ""
        return held

    def _fail_alone(self, others: str) -> NoReturn:
        """This rank came where the others do not come: it ended, or something stopped it in what they go on with."""
        rest, error = f", while {others}", self.stopped
        if error is None or isinstance(error, SystemExit):
            self.fail(_status(self._exit) or 1, self._ending() + rest)
        self._fail_because(error, rest)

    def _point(self, what: str, place: Place) -> Callable[[], tuple[str, int]]:
        """This rank's point in words, and the status it wants to end with. Where no line of the program is being run, the program
        has ended, and handlers of `atexit` still compute: a status that only this rank has is not kept waiting."""
        if place[1]:
            return lambda: (f"{what} at {place_text(place)}", 0)
        if self.session:
            return lambda: (f"{what} of {self.session}", 0)
        code = _status(self._exit)
        if code and self.comm.deadline is None:
            self.comm.deadline = time.monotonic() + _GRACE
        return lambda: (self._ending(), code)

    # -- the end of the program --

    def exiting(self, code: Any) -> None:
        """The program called sys.exit."""
        self._exit = (code, user_place())

    def at_exit(self) -> None:
        """The interpreter ends: in order, if all ranks do."""
        if not self.active:
            return
        error = getattr(sys, "last_value", None)
        if error is not None and sys.excepthook != self.uncaught and not hasattr(sys, "ps1"):
            self.fail_with(error)  # somebody replaced the hook
        try:
            self._agree(_END, self._ending())
        except Exception as error:
            self.fail_with(error)
        self.active = False

    def _ending(self) -> str:
        if self._exit is None:
            return "end of the program"
        return f"sys.exit({_status(self._exit)}) at {place_text(self._exit[1])}"

    # -- failure --

    def uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """In place of `sys.excepthook`: this rank failed."""
        if not self.active:
            sys.__excepthook__(kind, error, trace)
            return
        self.fail_with(error.with_traceback(trace))

    def fail_with(self, error: BaseException) -> NoReturn:
        """End the job because of an exception."""
        if isinstance(error, DivergenceError):
            self.fail(error.status, str(error), everywhere=True)
        self._fail_because(error)

    def _fail_because(self, error: BaseException, rest: str = "") -> NoReturn:
        code = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        place = _origin(error) or user_place()
        where = f" at {place_text(place)}" if place[1] else ""
        text = "".join(traceback.format_exception(error)).rstrip()
        self.fail(code, f"{type(error).__name__}{where}{rest}\n{text}")

    def fail(self, code: int, cause: str, everywhere: bool = False) -> NoReturn:
        """End all processes; the first rank that fails says why."""
        self._failing.acquire()  # another thread of this process may be at it: then wait for the end
        faulthandler.dump_traceback_later(_LAST, exit=True, file=_nowhere())
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        if self._is_first():
            who = "" if everywhere else f"rank {self.comm.rank} of {self.comm.size}: "
            with contextlib.suppress(OSError):
                os.write(2, f"[legate-jit] {who}{cause}\n".encode())
            for act in last_acts:
                with contextlib.suppress(Exception):
                    act()
            time.sleep(_HEARD)
            self._abort(code)
        else:
            time.sleep(_LAST / 2)  # the first one ends this process
        self.active = False
        os._exit(code)

    def _is_first(self) -> bool:
        """Whether no rank of this node has failed before: the name of a socket is free. Nodes without rank 0 hold back a little,
        because an error of all ranks should be told once."""
        if 0 not in self._neighbors:
            time.sleep(_LOOK)
        self._speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._speaker.bind(f"\0legate-jit {self._token}")
        except OSError:
            return False
        return True

    def _abort(self, code: int) -> None:
        """Have the launcher end the others. By a thread: the main one may be inside MPI, and MPI may be in no state to answer."""
        abort = getattr(self.comm, "abort", None)
        if abort is not None:
            _thread.start_new_thread(abort, (code,))
            time.sleep(1.0)

    # -- watching --

    def watch(self) -> None:
        """What the thread does."""
        warned: tuple[float, float] = (0.0, 0.0)  # the wait, and when to tell about it again
        while self.active:
            time.sleep(_LOOK)
            if os.getppid() != self._parent:
                self.active = False
                os._exit(1)  # the launcher is gone, and nobody else would end this process
            peer, since = self.comm.awaited, self.comm.since
            if peer < 0 or not self.active:
                continue
            waited = time.monotonic() - since
            if waited > _LOST and self._is_lost(peer, since):
                self.fail(1, f"{self._waiting(peer)}, which is gone: it was killed, or ended without a word")
            if self.patient:
                continue
            if self._limit and waited > self._limit:
                self.fail(_TIMED_OUT, f"{self._waiting(peer)} for {waited:.0f} s (LEGATE_JIT_STALL_TIMEOUT)")
            if warned[0] != since:
                warned = (since, self._warn)
            if self._warn and waited > warned[1]:
                warned = (since, 2 * waited)
                with contextlib.suppress(OSError):
                    rank, size = self.comm.rank, self.comm.size
                    os.write(
                        2,
                        f"[legate-jit] rank {rank} of {size}: {self._waiting(peer)} for {waited:.0f} s\n".encode(),
                    )

    def _is_lost(self, peer: int, since: float) -> bool:
        """Whether the rank's process has ended and this one goes on waiting for it."""
        process = self._neighbors.get(peer)
        if process is None or _is_running(process):
            return False
        time.sleep(_LOOK)  # its last message may be there
        return self.comm.since == since and self.comm.awaited == peer

    def _waiting(self, peer: int) -> str:
        place = place_of(sys._current_frames().get(self._main))
        where = f" at {place_text(place)}" if place[1] else ""
        what = f" in {self.comm.doing}" if self.comm.doing else ""
        return f"waiting{what}{where} for rank {peer}"

    def forked(self) -> None:
        """This process is a child of the rank: it does not belong to the world."""
        self.active = False
        os.environ[world.MARK] = str(os.getpid())


def _origin(error: BaseException) -> Place | None:
    """The innermost line of the program that the exception went through. Python's own modules are not the program."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if (
            place_of(frame)[0] == file
            and not file.startswith("<frozen")
            and not (file.startswith(_LIBRARY) and "-packages" not in file)
        ):
            found = (frame.f_code.co_filename, line)
    return found


def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def _status(asked: tuple[Any, Place] | None) -> int:
    """The status of a process that ends after sys.exit with this argument."""
    if asked is None or asked[0] is None:
        return 0
    return asked[0] & 0xFF if isinstance(asked[0], int) else 1


def _processors() -> frozenset[int]:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _share(rank: int, processors: dict[int, frozenset[int]]) -> int:
    """How many processors a rank has to itself: those of its node that several ranks may run on are divided evenly."""
    share = sum(1 / sum(p in other for other in processors.values()) for p in processors[rank])
    return max(1, int(share + 1e-9))


def _limit_output(rank: int) -> None:
    """LEGATE_LIMIT_STDOUT=1: what ranks other than 0 print is dropped. Lines leave the process when they are complete, because a
    process that fails takes the others along."""
    if os.environ.get("LEGATE_LIMIT_STDOUT", "") == "1" and rank:
        sys.stdout.flush()
        nowhere = _nowhere()
        os.dup2(nowhere, 1)
        os.close(nowhere)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)


def _connect() -> Guard | None:
    """The guard of this rank, None when it is alone; ends the program if there is no world."""
    try:
        world.check(os.environ)
        if world.world.size == 1:
            return None
        comm = world.connect()
        _share_memory(comm)
        return Guard(comm)
    except world.WorldError as error:
        if world.world.rank == 0:
            sys.stderr.write(f"legate-jit: {error}\n")
        raise SystemExit(1) from None


def _share_memory(comm: Comm) -> None:
    """Let small messages on this node travel through shared memory, where that is possible."""
    share = getattr(comm, "share", None)
    if share is None:
        return
    node = share(config.config.shared_bytes)
    if config.config.debug and node.reason:
        sys.stderr.write(
            f"[legate-jit] rank {comm.rank} of {comm.size}: {node.reason}; messages of MPI instead\n"
        )


def install() -> Guard | None:
    """Connect with the other ranks and watch over this one, until the program ends. Once per process; collective."""
    guard = _connect()
    if guard is None:
        return None
    os.environ[world.MARK] = str(os.getpid())
    _limit_output(guard.comm.rank)
    _watch_the_program(guard)
    _divide_processors(guard.processors)
    guard.recorder.begin()
    flush = runtime.flush

    def flushing(w: runtime.Window | None = None, beside: bool = False) -> None:
        """`runtime.flush`, recorded, and over when it returns."""
        held = guard.flushing(runtime.window if w is None else w)
        try:
            flush(w)
        except BaseException as error:
            guard.stop(error)
            raise
        finally:
            guard.flushed()
            held.clear()

    resume = runtime.resume

    def resuming(wanted: Sequence[Any] | None = None) -> None:
        """`runtime.resume`, which may be stopped as well."""
        try:
            resume(wanted)
        except BaseException as error:
            guard.stop(error)
            raise

    fence = runtime.fence

    def fencing() -> None:
        """`runtime.fence`, of all ranks."""
        fence()
        guard.fence()

    guard.comm.meeting = guard.meeting
    runtime.flush = flushing
    runtime.resume = resuming
    runtime.fence = fencing
    return guard


def _watch_the_program(guard: Guard) -> None:
    leave = sys.exit

    def leaving(status: Any = None, /) -> NoReturn:
        """`sys.exit`, noted."""
        guard.exiting(status)
        leave(status)

    end = os._exit

    def ending(status: int) -> NoReturn:
        """`os._exit`: the others would wait for this rank, and launchers take status 0 for success."""
        if guard.active:
            guard.fail(status or 1, f"os._exit({status}) at {place_text(user_place())}, while others go on")
        end(status)

    sys.exit = leaving
    os._exit = ending
    sys.excepthook = guard.uncaught
    atexit.register(guard.at_exit)
    os.register_at_fork(after_in_child=guard.forked)
    _thread.start_new_thread(guard.watch, ())


def _divide_processors(count: int) -> None:
    """Unless somebody asked for a number of threads, each rank has its share of the processors."""

    def wanted() -> int:
        asked = config.wanted_threads()
        return count if asked is None else asked

    threads.ask_for_threads(wanted)
