"""From a `Config` to a running program: the whole command with its environment, and how it is run, watched and ended.

A program of one rank takes the place of this process, so that terminals, signals and exit codes are its own. A launcher runs
below this process, which passes signals on and ends as the launcher ends. Imports nothing of the engine that starts it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import datetime
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from legate_jit.cli import launchers, terminal
from legate_jit.cli.bind import RANK_WORD
from legate_jit.cli.flags import Config, UsageError
from legate_jit.cli.launchers import Launcher
from legate_jit.process import world

__all__ = ["LegateDriver", "plain_python"]

#: variables that tell the console that somebody types, and what the program is: as in legate_jit.job.console
TERMINAL, PROGRAM = "LEGATE_JIT_TERMINAL", "LEGATE_JIT_PROGRAM"
#: the longest program that goes in a variable
_LONGEST = 100_000
#: signals that are passed on to a launcher
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
_INFO = (
    "from legate.util import info as i; i.print_system_info(); i.print_package_versions(); i.print_package_details(); "
    "i.print_build_info()"
)


@dataclass(frozen=True, slots=True)
class LegateDriver:
    """A job: what the command line asks for, what starts its ranks, and what they see.

    environment: of the ranks; customized: the variables in it that the command has set.
    """

    config: Config
    launcher: Launcher
    environment: Mapping[str, str]
    customized: tuple[str, ...]

    @classmethod
    def create(
        cls,
        config: Config,
        environment: Mapping[str, str],
        find: Callable[[Mapping[str, str]], str] = launchers.find_mpirun,
        ask: Callable[[str, Mapping[str, str]], bool] = launchers.is_open_mpi,
    ) -> LegateDriver:
        """The job in this environment. UsageError, or LauncherError, if it cannot be run. find, ask: as in `launchers.create`."""
        added = _variables(config, environment)
        launcher = launchers.create(config, {**environment, **added}, find, ask)
        added |= launcher.environment or {}
        changed = {name: text for name, text in added.items() if environment.get(name) != text}
        return cls(config, launcher, {**environment, **added}, tuple(sorted(changed)))

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command: launcher, bindings, wrappers, the program."""
        config = self.config
        ranks = max(config.ranks, world.detect(self.environment).size)
        inner = (*config.wrappers, *_tools(config), *config.inner_wrappers, *_program(config, ranks))
        return (*self.launcher.command, *_bind(config, inner), *inner)

    def run(self) -> int:
        """Run the job, or take its place. What the command shall end with, as shells count it: 128 + n for signal n."""
        config = self.config
        if "verbose" in config.switches:
            _print_verbose(self)
        elif "dry_run" in config.switches:
            print(shlex.join(self.command))
        if "dry_run" in config.switches:
            return 0
        _check_program(config)
        if self.launcher.refusal:
            raise launchers.LauncherError(self.launcher.refusal)
        sys.stdout.flush()
        timing = "timing" in config.switches
        if self.launcher.kind == "none" and not timing:
            return _become(self.command, self.environment)
        if timing:
            print(f"Legate start: {datetime.datetime.now()}", flush=True)
        code = self._spawned()
        if timing:
            print(f"Legate end: {datetime.datetime.now()}", flush=True)
        return code

    def _spawned(self) -> int:
        """How the job ends, run below this process."""
        environment = self.environment
        if PROGRAM in environment:
            environment = {**environment, PROGRAM: _packed(sys.stdin.buffer.read())}
        kind = self.launcher.kind
        return _spawn(self.command, environment, self._needs_terminal, kind, TERMINAL in environment)

    @property
    def _needs_terminal(self) -> bool:
        """Whether the ranks read from the terminal: in another session they could not."""
        return (self.config.interactive and self.config.ranks == 1) or bool(
            self.config.switches & {"gdb", "cuda_gdb"}
        )


# ---- the command -------------------------------------------------------------------------------------------------------


def plain_python(config: Config) -> bool:
    """Whether Python runs the program; otherwise the program is a command of its own."""
    if (
        config.run_mode
        or config.interactive
        or not config.program
        or config.module
        or config.code is not None
    ):
        return config.run_mode != "exec"
    path = config.program[0]
    is_script = path.endswith((".py", ".pyc", ".pyz", ".zip")) or not os.path.isfile(path)
    return is_script or not os.access(path, os.X_OK)


def _program(config: Config, ranks: int) -> tuple[str, ...]:
    """The command of the program itself."""
    if config.interactive and ranks > 1:
        return (sys.executable, "-m", "legate_jit.job.console")
    if not plain_python(config):
        if not config.program:
            raise UsageError("--run-mode exec needs a program")
        first = config.program[0]
        return (f"./{first}" if os.sep not in first and os.path.isfile(first) else first, *config.program[1:])
    profiler: tuple[str, ...] = ()
    if "cprofile" in config.switches:
        if config.interactive or config.code is not None:
            raise UsageError("--cprofile needs a script or a module")
        profiler = ("-m", "cProfile", "-o", _log_file(config, "cprof"))
    chosen: tuple[str, ...] = ()
    if config.module is not None:
        chosen = ("-m", config.module)
    elif config.code is not None:
        chosen = ("-c", config.code)
    return (sys.executable, *profiler, *chosen, *config.program)


def _log_file(config: Config, ending: str = "") -> str:
    name = f"legate_{RANK_WORD}" + (f".{ending}" if ending else "")
    return os.path.join(config.runtime.get("logdir") or os.getcwd(), name)


def _tools(config: Config) -> tuple[str, ...]:
    """Debuggers and profilers around the program."""
    on = config.switches
    words: tuple[str, ...] = ()
    if "gdb" in on:
        words += ("gdb", "--args")
    if "cuda_gdb" in on:
        words += ("cuda-gdb", "--args")
    if "nvprof" in on:
        words += ("nvprof", "-o", _log_file(config, "nvvp"))
    if config.runtime.get("nsys"):
        words += ("nsys", "profile", "-o", _log_file(config), *_nsys_options(config))
    if "memcheck" in on:
        words += ("compute-sanitizer",)
    if "valgrind" in on:
        words += ("valgrind",)
    return words


def _nsys_options(config: Config) -> tuple[str, ...]:
    """What nsys is told: the user's words, and what they leave open."""
    extra = config.nsys_extra
    traces = () if any(w.startswith(("-t", "--trace")) for w in extra) else ("-t", "cuda,nvtx,osrt,cublas")
    samples = () if any(w.startswith(("-s", "--sample")) for w in extra) else ("-s", "none")
    return (*traces, *samples, *extra)


_BIND_OPTIONS = {"cpu": "--cpus", "mem": "--mems", "gpu": "--gpus", "nic": "--nics"}


def _bind(config: Config, inner: tuple[str, ...]) -> tuple[str, ...]:
    """The command that binds a rank, if there is anything to bind or a rank to be named."""
    named = any(RANK_WORD in word for word in inner)
    if (
        config.ranks == 1
        and config.launcher == "none"
        and not (config.bindings or named or "bind_detail" in config.switches)
    ):
        return ()
    kind = ("local" if config.ranks == 1 else "auto") if config.launcher == "none" else config.launcher
    options = [word for name, text in config.bindings.items() for word in (_BIND_OPTIONS[name], text)]
    if "bind_detail" in config.switches:
        options.append("--debug")
    return (sys.executable, "-P", "-m", "legate_jit.cli.bind", "--launcher", kind, *options, "--")


# ---- the environment ---------------------------------------------------------------------------------------------------


def _variables(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the command line sets for the program."""
    added: dict[str, str] = {}
    if config.runtime_text:
        added["LEGATE_CONFIG"] = config.runtime_text
    if config.lower:
        before = environment.get("LEGION_DEFAULT_ARGS", "")
        added["LEGION_DEFAULT_ARGS"] = " ".join([*before.split(), *config.lower])
    if "benchmark_to_file" in config.switches:
        added["LEGATE_BENCHMARK_OUT"] = config.runtime.get("logdir") or os.getcwd()
    if "color" in config.switches:
        added["FORCE_COLOR"] = "1"
    if config.ranks > 1:
        added[world.EXPECTED] = str(config.ranks)
        if config.interactive and config.launcher != "none":
            added |= {TERMINAL: "1"} if sys.stdin.isatty() else {PROGRAM: ""}
    return added | _dump_variables(config) | _simulation_variables(config)


def _dump_variables(config: Config) -> dict[str, str]:
    from legate_jit.process.config import parse_level, parse_stages

    checks = {"dump_ir": parse_stages, "debug": parse_level, "dump_file": _check_writable}
    names = {
        "dump_ir": "LEGATE_JIT_DUMP_IR",
        "debug": "LEGATE_JIT_DEBUG",
        "dump_file": "LEGATE_JIT_DUMP_FILE",
    }
    for key, text in config.dumps.items():
        try:
            checks[key](text)
        except ValueError as error:
            flag = "--" + key.replace("_", "-")
            raise UsageError(f"{flag}{'=' + text if text else ''}: {error}") from None
    return {names[key]: text or "1" for key, text in config.dumps.items()}


def _simulation_variables(config: Config) -> dict[str, str]:
    names = {
        "simulate_ranks": "LEGATE_JIT_SIMULATE_RANKS",
        "simulate_reads": "LEGATE_JIT_SIMULATE_READS",
        "simulate_report": "LEGATE_JIT_SIMULATE_REPORT",
        "machine": "LEGATE_JIT_MACHINE",
    }
    checks = {"simulate_reads": _check_number, "simulate_report": _check_writable, "machine": _check_machine}
    for key, text in config.simulation.items():
        try:
            checks.get(key, str)(text)
        except ValueError as error:
            raise UsageError(f"--{key.replace('_', '-')} {text}: {error}") from None
    return {names[key]: text for key, text in config.simulation.items()}


def _check_number(text: str) -> None:
    try:
        float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _check_machine(path: str) -> None:
    from legate_jit.simulation.machine import load

    load(path)


def _check_writable(path: str) -> None:
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ValueError(error.strerror) from None


# ---- running -----------------------------------------------------------------------------------------------------------


def _packed(program: bytes) -> str:
    """A program from standard input as the value of a variable. Launchers do pass input on, but Open MPI's may lose its end or
    repeat some of it, and MPICH's gives up when rank 0 does not read at once."""
    packed = base64.urlsafe_b64encode(zlib.compress(program)).decode()
    if len(packed) > _LONGEST:
        raise launchers.LauncherError(
            f"a program of {len(program)} bytes on standard input is too long for several ranks: let it be a file"
        )
    return packed


def _check_program(config: Config) -> None:
    """UsageError, in one line instead of one per rank, for a program that is not there."""
    if config.nodes > 1 or config.interactive or not plain_python(config):
        return
    if config.module is not None:
        if not _module_exists(config.module.partition(".")[0]):
            raise UsageError(f"no module named {config.module!r}", 1)
    elif config.code is None:
        path = config.program[0]
        inside = os.path.join(path, "__main__.py")
        if os.path.isdir(path) and not os.path.exists(inside):
            raise UsageError(f"can't find '__main__.py' in the folder {path!r}", 1)
        try:
            with open(inside if os.path.isdir(path) else path, "rb"):
                pass
        except OSError as error:
            raise UsageError(f"can't open file {path!r}: {error.strerror}") from None


def _module_exists(name: str) -> bool:
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())  # where python -m looks first
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
    finally:
        sys.path[:] = before


def _become(command: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Replace this process by the command. Returns only if there is no such command."""
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        sys.stderr.write(f"legate: cannot run {command[0]!r}: {error.strerror}\n")
    return 127


def _spawn(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    needs_terminal: bool,
    launcher: str,
    typing: bool,
) -> int:
    """Run the command below this process until it ends, passing signals on.

    launcher: its kind, 'none' if it is the program; typing: what is typed here goes to a console.
    """
    own_session = not needs_terminal
    pipe = subprocess.PIPE if typing else None
    with _held_signals(FORWARDED[1:] if typing else FORWARDED) as pass_on:
        try:
            # Launchers talk to their ranks through file descriptors: they are left open.
            child = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                env=dict(environment),
                start_new_session=own_session,
                close_fds=False,
                preexec_fn=_dying_with_parent(),
            )
        except OSError as error:
            sys.stderr.write(f"legate: cannot run {command[0]!r}: {error.strerror}\n")
            return 127
        pass_on(child, own_session, launcher)
        if typing:
            terminal.converse(child)
        code = child.wait()
    if code < 0 and own_session:
        _end_group(child.pid)
    return 128 - code if code < 0 else code


def _dying_with_parent() -> Callable[[], object] | None:
    """What makes a child end when this process is killed in a way that it cannot notice. Linux only."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    set_death_signal = 1
    return lambda: prctl(set_death_signal, signal.SIGTERM)


@contextlib.contextmanager
def _held_signals(
    signals: tuple[signal.Signals, ...],
) -> Iterator[Callable[[subprocess.Popen[bytes], bool, str], None]]:
    """Signals sent to this process go to a child as soon as there is one: call what this yields with it.

    In its own session it gets keys pressed in ours by us; otherwise from the terminal itself. A signal that this process was
    told to ignore (`nohup`, a shell's background job) stays ignored.
    """
    # Not passed on by handlers: those run when the main thread next looks, and input() may sleep through a signal.
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    heeded = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]
    threads = []

    def pass_on(child: subprocess.Popen[bytes], own_session: bool, launcher: str) -> None:
        def run() -> None:
            while numbers := os.read(receiver, 64):
                for number in numbers:
                    if number in heeded and (own_session or number not in (signal.SIGINT, signal.SIGQUIT)):
                        _send(child, signal.Signals(number), launcher if own_session else "none")

        threads.append(threading.Thread(target=run, daemon=True))
        threads[0].start()

    woken = signal.set_wakeup_fd(sender)
    before = {number: signal.signal(number, lambda number, frame: None) for number in heeded}
    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(sender)
        for thread in threads:
            thread.join()
        os.close(receiver)


def _send(child: subprocess.Popen[bytes], number: signal.Signals, launcher: str) -> None:
    """Send a signal to a program, or to a launcher in its own session: there to all of its group, as terminals do, because
    Intel MPI's is a shell script that dies alone."""
    if launcher == "none":
        child.send_signal(number)
        return
    # One interrupt has srun tell what it does.
    times = 2 if launcher == "srun" and number == signal.SIGINT else 1
    for again in range(times):
        if again:
            time.sleep(0.1)
        if child.poll() is None:
            os.killpg(child.pid, number)


def _end_group(group: int) -> None:
    """A launcher that was killed may leave its ranks behind: end them."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


# ---- telling -----------------------------------------------------------------------------------------------------------


def _print_verbose(driver: LegateDriver) -> None:
    """Paths, versions, the command and its environment."""
    from importlib import metadata

    import legate_jit

    config = driver.config
    program = driver.launcher.command[0] if driver.launcher.command else "none"
    origin = "" if program == "none" else f" ({shutil.which(program) or 'not found'})"
    by = f", detected from {config.allocated_by}" if config.allocated_by else ""
    sections = {
        "Legate paths": {"package": os.path.dirname(legate_jit.__file__), "python": sys.executable},
        "Versions": {
            "legate-jit": legate_jit.__version__,
            "python": sys.version.split()[0],
            "numpy": metadata.version("numpy"),
        },
        "Ranks": {
            "nodes": f"{config.nodes}{by}",
            "ranks per node": f"{config.ranks_per_node}{by}",
            "launcher": f"{driver.launcher.kind}{origin}",
        },
    }
    head, end = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() or "color" in config.switches else ("", "")
    print(f"{head}--- Legate configuration {'-' * 56}{end}\n")
    for title, values in sections.items():
        print(f"{head}{title}:{end}")
        width = max(map(len, values))
        print("".join(f"  {name:<{width}} : {text}\n" for name, text in values.items()))
    print(f"{head}Command:{end}\n  {shlex.join(driver.command)}\n")
    if driver.customized:
        print(f"{head}Customized environment:{end}")
        print("".join(f"  {name}={driver.environment[name]}\n" for name in driver.customized))
    print(f"{head}{'-' * 81}{end}\n", flush=True)


def show_info() -> int:
    """Print what is installed, by a Python that loads it."""
    sys.stdout.flush()
    return _become((sys.executable, "-c", _INFO), os.environ)
