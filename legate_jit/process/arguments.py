"""The language of LEGATE_CONFIG: which flags there are, and how a line of them becomes values.

Pure: text and an environment in, values out. Knows nothing of the machine and of what the values do.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["FLAGS", "ArgumentError", "Arguments", "Flag", "parse", "usage"]

TRUE = ("1", "t", "true", "y", "yes")
FALSE = ("0", "f", "false", "n", "no")


class ArgumentError(ValueError):
    """A line of flags, or an environment variable, that means nothing."""


class Flag(NamedTuple):
    """One flag. `least`: the smallest value allowed; `what`: what it is called when a smaller one is given.

    `env`: variables that give the value when the flag does not. `test`: the default when LEGATE_TEST is 1.
    """

    name: str
    kind: str  # BOOL, INT, MIB, STRING, PATH
    default: Any
    group: str
    help: str
    env: tuple[str, ...] = ()
    least: int | None = None
    what: str = ""
    test: Any = None
    hidden: bool = False
    other_names: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name as an identifier."""
        return self.name[2:].replace("-", "_")


_CORE = "Core configuration"
_CORES = "Resource configuration"
_MEMORY = "Memory allocation"
_EXECUTION = "Execution control"
_PROFILING = "Profiling and logging"
_DEBUGGING = "Debugging"
_OTHER = "Miscellaneous options"

AUTO = -1
"""A number that is found from the machine."""


def _bool(name: str, group: str, text: str, *env: str, default: bool = False, hidden: bool = False) -> Flag:
    return Flag(name, "BOOL", default, group, text, env, hidden=hidden)


def _cores(
    name: str, what: str, text: str, *env: str, default: int = AUTO, least: int = 0, **rest: Any
) -> Flag:
    return Flag(name, "INT", default, _CORES, text, env, least, what, **rest)


def _memory(name: str, what: str, text: str, *env: str, default: int = AUTO, least: int = 0) -> Flag:
    return Flag(name, "MIB", default, _MEMORY, text, env, least, f"Size (in MiB) of {what}")


def _chunk(kind: str, default: int) -> Flag:
    low = kind.lower()
    return Flag(
        f"--min-{low.replace('openmp', 'omp')}-chunk",
        "INT",
        default,
        _MEMORY,
        f"Number of elements below which a task is not cut into points for several {kind} processors",
        (f"LEGATE_MIN_{low.replace('openmp', 'omp').upper()}_CHUNK",),
        1,
        f"Minimum {kind} chunk size",
        2,
    )


def _count(name: str, default: int, what: str, text: str, env: str) -> Flag:
    return Flag(name, "INT", default, _EXECUTION, text, (env,), 1, what)


_FLAGS = (
    _bool(
        "--auto-config",
        _CORE,
        "Use the whole machine; otherwise one processor and little memory, unless flags say more",
        "LEGATE_AUTO_CONFIG",
        default=True,
    ),
    _bool("--show-config", _CORE, "Print the configuration", "LEGATE_SHOW_CONFIG"),
    _bool(
        "--show-memory-usage",
        _CORE,
        "Show how much memory was used when the program ends",
        "LEGATE_SHOW_USAGE",
    ),
    _bool("--show-progress", _CORE, "Print a line before each task runs", "LEGATE_SHOW_PROGRESS"),
    _cores("--cpus", "Number of CPU cores", "Number of CPU cores to use per rank", other_names=("--cpu",)),
    _cores("--gpus", "Number of GPUs", "Number of GPUs to use per rank", other_names=("--gpu",)),
    _cores(
        "--omps", "Number of OpenMP groups", "Number of OpenMP groups to use per rank", "LEGATE_OMP_PROCS"
    ),
    _cores(
        "--ompthreads",
        "Number of threads per OpenMP group",
        "Number of threads per OpenMP group",
        "LEGATE_OMP_THREADS",
    ),
    _cores(
        "--utility",
        "Number of utility threads",
        "Number of threads per rank for runtime meta-work; accepted, but this runtime has no such threads",
        "LEGATE_UTILITY_CORES",
        default=2,
        least=1,
    ),
    _memory("--sysmem", "DRAM Memory", "Host memory to use per rank", "LEGATE_SYSMEM", least=1),
    _memory("--numamem", "NUMA Memory", "Host memory to use per NUMA domain", "LEGATE_NUMAMEM"),
    _memory("--fbmem", "GPU Memory", "GPU memory to use per GPU", "LEGATE_FBMEM"),
    _memory(
        "--zcmem", "Zero-Copy Memory", "Host memory per rank that GPUs can read", "LEGATE_ZCMEM", default=128
    ),
    _memory(
        "--regmem",
        "NIC-registered Memory",
        "Host memory that network cards can read",
        "LEGATE_REGMEM",
        default=0,
    ),
    Flag(
        "--max-exception-size",
        "INT",
        4096,
        _MEMORY,
        "Bytes for the exception of a task; accepted, exceptions may have any size",
        ("LEGATE_MAX_EXCEPTION_SIZE",),
        1,
        "Size (in bytes) of exception messages",
    ),
    _chunk("CPU", 1 << 14),
    _chunk("GPU", 1 << 20),
    _chunk("OpenMP", 1 << 17),
    _count(
        "--window-size",
        1,
        "Maximum size of Operation Queue",
        "Operations that are kept before they run; accepted, windows end where loops do",
        "LEGATE_WINDOW_SIZE",
    ),
    _bool("--warmup-nccl", _EXECUTION, "Start NCCL when the program starts", "LEGATE_WARMUP_NCCL"),
    _bool("--disable-mpi", _EXECUTION, "Do not use MPI", "LEGATE_DISABLE_MPI"),
    _count(
        "--field-reuse-fraction",
        256,
        "Field Reuse Fraction (in bytes)",
        "How often freed memory is agreed on; accepted, ranks need not agree",
        "LEGATE_FIELD_REUSE_FRAC",
    ),
    _count(
        "--field-reuse-frequency",
        32,
        "Number of discarded stores/arrays to cache",
        "How many freed arrays are kept; accepted, memory decides",
        "LEGATE_FIELD_REUSE_FREQ",
    ),
    _bool("--consensus", _EXECUTION, "Agree on freed memory on one node too; accepted", "LEGATE_CONSENSUS"),
    _bool("--inline-task-launch", _EXECUTION, "Accepted", "LEGATE_INLINE_TASK_LAUNCH", hidden=True),
    _bool("--single-controller-execution", _EXECUTION, "Accepted", hidden=True),
    Flag(
        "--eager-alloc-percentage",
        "INT",
        50,
        _EXECUTION,
        "Accepted, memory is not split into pools",
        ("LEGATE_EAGER_ALLOC_PERCENTAGE",),
        0,
        "Eager allocation percentage",
        hidden=True,
    ),
    _bool("--profile", _PROFILING, "Write a profile of the run"),
    Flag("--profile-name", "STRING", "legate", _PROFILING, "First part of the names of profiles"),
    _bool("--provenance", _PROFILING, "Record the lines that operations come from"),
    _bool("--nsys", _PROFILING, "Emit NVTX ranges"),
    Flag("--logging", "STRING", "", _PROFILING, "Logging levels, as in legate=info,mapper=debug"),
    Flag("--logdir", "PATH", "", _PROFILING, "Where logs and profiles go, by default the current directory"),
    _bool("--log-to-file", _PROFILING, "Write logs to files in --logdir"),
    _bool("--freeze-on-error", _DEBUGGING, "Wait for a debugger when the program crashes"),
    _bool("--use-empty-task", _DEBUGGING, "Run tasks without their bodies", "LEGATE_EMPTY_TASK"),
    Flag(
        "--cuda-driver-path",
        "PATH",
        "libcuda.so.1",
        _OTHER,
        "The shared library of the CUDA driver",
        ("LEGATE_CUDA_DRIVER",),
    ),
    _bool("--io-use-vfd-gds", _OTHER, "Read and write files from GPUs directly", "LEGATE_IO_USE_VFD_GDS"),
    _bool("--experimental-copy-path", _OTHER, "Accepted", hidden=True),
)

FLAGS: dict[str, Flag] = {flag.key: flag for flag in _FLAGS}
_BY_NAME = {name: flag for flag in _FLAGS for name in (flag.name, *flag.other_names)}


@dataclass(frozen=True, slots=True)
class Arguments:
    """Values of all flags by key; `given` are those that somebody asked for. `wants`: 'help' or 'version', or ''."""

    values: Mapping[str, Any]
    given: frozenset[str]
    wants: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


@dataclass(slots=True)
class _Line:
    """A line of flags while it is read."""

    words: list[str]
    at: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    wants: str = ""

    def read(self) -> None:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            name, equals, text = word.partition("=")
            if name in ("-h", "--help", "-v", "--version"):
                self.wants = self.wants or ("help" if name in ("-h", "--help") else "version")
                continue
            flag = _BY_NAME.get(name)
            if flag is None:
                raise ArgumentError(f"Unknown argument: {word}{_alike(name)}")
            self.values[flag.key] = convert(flag, text if equals else self.operand(flag))

    def operand(self, flag: Flag) -> str:
        """The next word, if it belongs to `flag`."""
        word = self.words[self.at] if self.at < len(self.words) else None
        own = word is not None and not (word.startswith("-") and not _is_number(word))
        if flag.kind == "BOOL" and (word is None or word.startswith("-")):
            return "1"
        if word is None or not own:
            raise ArgumentError(f"Too few arguments for '{flag.name}'.")
        self.at += 1
        return word


def _is_number(word: str) -> bool:
    return word.lstrip("-").isdecimal()


def convert(flag: Flag, text: str) -> Any:
    """The value that a flag's text means. ArgumentError if it means none."""
    if flag.kind == "BOOL":
        low = text.lower()
        if low in TRUE or not low:
            return True
        if low in FALSE:
            return False
        raise ArgumentError(
            f"Unknown boolean argument {text}, expected one of '{', '.join(TRUE)}' or '{', '.join(FALSE)}'"
        )
    if flag.kind in ("STRING", "PATH"):
        return text
    try:
        number = int(text)
    except ValueError:
        raise ArgumentError(f"{flag.name} expects an integer, not '{text}'") from None
    if flag.least is not None and number < flag.least:
        relation = ">= 0" if flag.least == 0 else "> 0"
        raise ArgumentError(f"{flag.what} ({flag.name}) must be {relation}, have {number}")
    return number


def _from_environment(flag: Flag, environment: Mapping[str, str]) -> Any:
    """The value that the environment gives a flag, or None."""
    for name in flag.env:
        text = environment.get(name)
        if text is None or (text == "" and flag.kind != "BOOL"):
            continue
        if flag.kind == "BOOL":
            if text not in ("", "0", "1"):
                raise ArgumentError(f'{name}: Cannot convert {text!r} to bool, use "0" or "1"')
            return text == "1"
        try:
            return convert(flag, text)
        except ArgumentError as error:
            raise ArgumentError(f"{name}: {error}") from None
    return None


#: flags of the runtimes below upstream's, and the flags here that mean the same
_LOWER = {
    "-ll:cpu": "cpus",
    "-ll:gpu": "gpus",
    "-ll:ocpu": "omps",
    "-ll:othr": "ompthreads",
    "-ll:util": "utility",
    "-ll:csize": "sysmem",
    "-ll:nsize": "numamem",
    "-ll:fsize": "fbmem",
    "-ll:zsize": "zcmem",
    "-ll:rsize": "regmem",
    "-level": "logging",
}


def _from_lower(environment: Mapping[str, str]) -> dict[str, Any]:
    """What LEGION_DEFAULT_ARGS and REALM_DEFAULT_ARGS ask for, as far as it is known; the rest means nothing here."""
    found = {}
    for name in ("LEGION_DEFAULT_ARGS", "REALM_DEFAULT_ARGS"):
        words = environment.get(name, "").split()
        for word, value in zip(words, [*words[1:], ""], strict=False):
            key = _LOWER.get(word)
            if key is not None:
                found[key] = convert(FLAGS[key], value)
    return found


def parse(text: str, environment: Mapping[str, str]) -> Arguments:
    """The values of all flags: from `text`, else from their variables, else from the lower runtimes' variables, else defaults.

    Of a flag given several times the last counts. ArgumentError says what is wrong.
    """
    try:
        line = _Line(shlex.split(text))
    except ValueError as error:
        raise ArgumentError(f"LEGATE_CONFIG: {error}") from None
    line.read()
    testing = environment.get("LEGATE_TEST") == "1"
    given = _from_lower(environment)
    for flag in _FLAGS:
        value = _from_environment(flag, environment)
        if value is not None:
            given[flag.key] = value
    given.update(line.values)
    defaults = {flag.key: flag.test if testing and flag.test is not None else flag.default for flag in _FLAGS}
    if environment.get("LEGATE_LOG_MAPPING") == "1":
        given["logging"] = _joined(given.get("logging", ""), "legate.mapper=info")
    if environment.get("LEGATE_LOG_PARTITIONING") == "1":
        given["logging"] = _joined(given.get("logging", ""), "legate.partitioner=debug")
    return Arguments({**defaults, **given}, frozenset(given), line.wants)


def _joined(levels: str, level: str) -> str:
    return f"{levels},{level}" if levels else level


def _alike(name: str) -> str:
    """The flag that an unknown one may have been meant for, as a question; nothing if there is none."""
    import difflib

    words = {known.lstrip("-"): known for known in _BY_NAME}
    found = difflib.get_close_matches(name.lstrip("-"), words, 1, 0.75)
    return f"; did you mean {words[found[0]]}?" if found else ""


_METAVARS = {"MIB": "INT"}


def usage() -> str:
    """What LEGATE_CONFIG can contain."""
    shown = [flag for flag in _FLAGS if not flag.hidden]
    short = " ".join(f"[{flag.name} {_METAVARS.get(flag.kind, flag.kind)}]" for flag in shown)
    lines = textwrap.wrap(
        f"Usage: LEGATE_CONFIG can contain: [--help] [--version] {short}",
        width=80,
        subsequent_indent=" " * 8,
        break_on_hyphens=False,
    )
    lines += ["", "Optional arguments:", *_entry("-h, --help", "shows help message and exits")]
    lines += _entry("-v, --version", "prints version information and exits")
    groups: list[str] = []
    for flag in shown:
        if flag.group not in groups:
            groups.append(flag.group)
            lines += ["", f"{flag.group} (detailed usage):"]
        lines += _entry(
            f"{flag.name} {_METAVARS.get(flag.kind, flag.kind)}", f"{flag.help} {_default(flag)}".rstrip()
        )
    return "\n".join(lines) + "\n"


def _default(flag: Flag) -> str:
    if flag.default == AUTO:
        return "[default: auto]"
    if flag.kind == "BOOL":
        return f"[default: {str(flag.default).lower()}]"
    return f"[default: {flag.default}]" if flag.default != "" else ""


def _entry(name: str, text: str) -> Sequence[str]:
    wrapped = textwrap.wrap(text, width=80 - 30)
    first = f"  {name:<26}  {wrapped[0]}" if len(name) <= 26 else f"  {name}\n{' ' * 30}{wrapped[0]}"
    return [first, *(" " * 30 + line for line in wrapped[1:])]
