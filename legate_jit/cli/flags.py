"""The flags of the `legate` and `legate-jit` commands, and how a command line becomes a `Config`.

Flags that configure the runtime come from the table of LEGATE_CONFIG (`legate_jit.process.arguments`) and are passed on in it;
this module adds those that only a command can obey. Starts nothing.
"""

from __future__ import annotations

import argparse
import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from legate_jit.process import arguments, placement, world

__all__ = ["LAUNCHERS", "Config", "UsageError", "parse", "usage_text"]

LAUNCHERS = ("mpirun", "srun", "jsrun", "aprun", "none")

_TOP = "General"
_NODES = "Multi-node configuration"
_BINDING = "Hardware binding"
_CORE = "Core allocation"
_MEMORY = "Memory allocation"
_PROFILING = "Profiling"
_LOGGING = "Logging"
_DEBUGGING = "Debugging"
_INFO = "Information"
_COMPILER = "Compiler"
_SIMULATION = "Simulation"
_OTHER = "Other options"
GROUPS = (
    _TOP,
    _NODES,
    _BINDING,
    _CORE,
    _MEMORY,
    _PROFILING,
    _LOGGING,
    _DEBUGGING,
    _COMPILER,
    _SIMULATION,
    _INFO,
    _OTHER,
)

USAGE = "%(prog)s [flags] (program [its arguments] | -m module [arguments] | -c code [arguments])"
_DESCRIPTION = """\
Run a program that uses cupynumeric or legate: a Python script, module or string, or any executable file. Flags stand
before the program; what follows it belongs to the program. Without a program an interactive session starts.
"""
_EPILOG = """\
Booleans: --flag, --flag=1|t|true|y|yes, --flag=0|f|false|n|no. LEGATE_CONFIG may hold the flags of the runtime as well;
those given here win. Numbers of processors and sizes of memory are per rank. See docs/running.md.
"""


class UsageError(Exception):
    """A command line or an environment that means nothing; says why in one line. `code`: for the command to end with."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class Option(NamedTuple):
    """One flag. `kind`: switch, text, number, list (given several times, each split like a shell does), or stages."""

    names: tuple[str, ...]
    kind: str
    group: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its long name as an identifier."""
        return self.names[-1].lstrip("-").replace("-", "_")


_OPTIONS = (
    Option(
        ("--run-mode",),
        "text",
        _TOP,
        "How to run the program: by Python, or as it is; by default its name and permissions decide",
        choices=("python", "exec"),
    ),
    Option(("-m", "--module"), "text", _TOP, "Run this module as a script", "MODULE"),
    Option(("-c", "--code"), "text", _TOP, "Run this Python code", "CODE"),
    Option(("--nodes",), "number", _NODES, "Number of nodes to use", "N"),
    Option(("--ranks-per-node",), "number", _NODES, "Number of ranks (processes) on each node", "N"),
    Option(
        ("--launcher",),
        "text",
        _NODES,
        "What starts the ranks; by default none, or mpirun if --nodes and --ranks-per-node ask for several ranks",
        choices=LAUNCHERS,
    ),
    Option(
        ("--launcher-extra",),
        "list",
        _NODES,
        "More arguments for the launcher, quoted as one; may be given several times",
        "ARGS",
    ),
    Option(("--cpu-bind",), "text", _BINDING, "CPU cores of each rank of a node, as in 0-15/16-31", "CORES"),
    Option(("--mem-bind",), "text", _BINDING, "NUMA domains of each rank of a node, as in 0/1", "DOMAINS"),
    Option(("--gpu-bind",), "text", _BINDING, "GPUs of each rank of a node, as in 0,1/2,3", "GPUS"),
    Option(
        ("--nic-bind",), "text", _BINDING, "Network cards of each rank of a node, as in mlx5_0/mlx5_1", "NICS"
    ),
    Option(("--cprofile",), "switch", _PROFILING, "Profile Python, into legate_RANK.cprof in --logdir"),
    Option(("--nvprof",), "switch", _PROFILING, "Run under nvprof, into legate_RANK.nvvp in --logdir"),
    Option(("--nsys-extra",), "list", _PROFILING, "More arguments for nsys, quoted as one", "ARGS"),
    Option(("--benchmark-to-file",), "switch", _LOGGING, "Write logs of benchmarks to files in --logdir"),
    Option(("--gdb",), "switch", _DEBUGGING, "Run in gdb (one rank)"),
    Option(("--cuda-gdb",), "switch", _DEBUGGING, "Run in cuda-gdb (one rank)"),
    Option(("--memcheck",), "switch", _DEBUGGING, "Run under compute-sanitizer"),
    Option(("--valgrind",), "switch", _DEBUGGING, "Run under valgrind"),
    Option(("--gasnet-trace",), "switch", _DEBUGGING, "Accepted; there is no GASNet to trace"),
    Option(
        ("--dump-ir",),
        "stages",
        _COMPILER,
        "Print these stages of every window that is compiled (alone: graph,kernels,schedule), separated by commas: "
        "graph, simplified, pieces, lowered, fused, kernels, schedule, source (or llvm), asm; or all",
        "STAGES",
    ),
    Option(
        ("--dump-file",),
        "text",
        _COMPILER,
        "Write dumps and debug lines to this file, not to standard error",
        "FILE",
    ),
    Option(
        ("--debug",),
        "text",
        _COMPILER,
        "1: a line per flush; 2: and one per step, timed; 3: and graphs and kernels; 4: and LLVM IR",
        "LEVEL",
    ),
    Option(
        ("--simulate-ranks",),
        "number",
        _SIMULATION,
        "Run nothing: plan the program as so many ranks would, and report memory, messages and predicted time of each at the end",
        "N",
    ),
    Option(
        ("--simulate-reads",),
        "text",
        _SIMULATION,
        "What the program gets when it reads an array that a simulation does not compute [default: 0]",
        "NUMBER",
    ),
    Option(("--simulate-report",), "text", _SIMULATION, "Write the report as JSON too", "FILE"),
    Option(
        ("--machine",),
        "text",
        _SIMULATION,
        "JSON file with what a rank can do, from `python -m benchmarks --machine` [default: see docs/scaling.md]",
        "FILE",
    ),
    Option(
        ("--verbose",),
        "switch",
        _INFO,
        "Print paths, versions, the command and its environment before it runs",
    ),
    Option(("--bind-detail",), "switch", _INFO, "Each rank prints what it is bound to"),
    Option(("--info",), "switch", _INFO, "Print what is installed, and end"),
    Option(("--version",), "switch", _INFO, "Print the version, and end"),
    Option(("-h", "--help"), "switch", _INFO, "Print this text, and end"),
    Option(("--timing",), "switch", _OTHER, "Print when the program starts and when it ends"),
    Option(
        ("--wrapper",),
        "list",
        _OTHER,
        "Command, with its arguments, that each rank starts with the rest of its command as arguments; "
        "%%LEGATE_GLOBAL_RANK%% stands for the rank. May be given several times, the first is outermost",
        "COMMAND",
    ),
    Option(("--wrapper-inner",), "list", _OTHER, "The same, but inside debuggers and profilers", "COMMAND"),
    Option(("--dry-run",), "switch", _OTHER, "Print the command instead of running it"),
    Option(("--color",), "switch", _OTHER, "Use colors even where there is no terminal"),
)

#: groups of flags that come from the table of LEGATE_CONFIG, by what they are about
_GROUP_OF = {
    _TOP: ("auto_config", "show_config", "show_memory_usage", "show_progress"),
    _CORE: ("cpus", "gpus", "omps", "ompthreads", "utility"),
    _MEMORY: (
        *("sysmem", "numamem", "fbmem", "zcmem", "regmem", "max_exception_size", "min_cpu_chunk", "min_gpu_chunk"),
        *("min_omp_chunk", "field_reuse_fraction", "field_reuse_frequency", "consensus", "eager_alloc_percentage"),
    ),
    _PROFILING: ("profile", "profile_name", "provenance", "nsys"),
    _LOGGING: ("logging", "logdir", "log_to_file"),
    _DEBUGGING: ("freeze_on_error", "use_empty_task"),
}  # fmt: skip
_GROUPS_BY_KEY = {key: group for group, keys in _GROUP_OF.items() for key in keys}

_OWN = {name: option for option in _OPTIONS for name in option.names}
_SETTINGS = {name: flag for flag in arguments.FLAGS.values() for name in (flag.name, *flag.other_names)}


@dataclass(frozen=True, slots=True)
class Config:
    """A command line, understood.

    program: the program and its arguments, without `-m` or `-c`, whose operands are `module` and `code`. bindings: per kind
    (cpu, mem, gpu, nic) the text of its flag; dumps, simulation: of each flag of that kind. runtime_text: what LEGATE_CONFIG
    is for the program, the flags of the command
    after what it was before; runtime: what the runtime's flags then are, by key. lower: flags for LEGION_DEFAULT_ARGS.
    allocated_by: whose variables gave the numbers of nodes and ranks that no flag gave.
    """

    nodes: int = 1
    ranks_per_node: int = 1
    launcher: str = "none"
    launcher_extra: tuple[str, ...] = ()
    bindings: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ()
    module: str | None = None
    code: str | None = None
    run_mode: str | None = None
    wrappers: tuple[str, ...] = ()
    inner_wrappers: tuple[str, ...] = ()
    nsys_extra: tuple[str, ...] = ()
    switches: frozenset[str] = frozenset()
    dumps: Mapping[str, str] = field(default_factory=dict)
    simulation: Mapping[str, str] = field(default_factory=dict)
    runtime_text: str = ""
    runtime: Mapping[str, Any] = field(default_factory=dict)
    lower: tuple[str, ...] = ()
    allocated_by: str = ""

    @property
    def ranks(self) -> int:
        """Ranks of the whole job."""
        return self.nodes * self.ranks_per_node

    @property
    def interactive(self) -> bool:
        """Whether nothing was given to run."""
        return not self.program and self.module is None and self.code is None


# ---- from words to flags -----------------------------------------------------------------------------------------------


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own words, every flag with its value as `flag=value`, and the words from the program on."""
    own: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return own, list(words[at + 1 :])
        if not word.startswith("-") or word == "-":
            break
        name, equals, _ = word.partition("=")
        if name in ("--module", "--code") or word[:2] in ("-m", "-c"):
            return own + _operand(word, words[at + 1 :]), list(
                words[at + 2 :] if _bare(word) else words[at + 1 :]
            )
        at += 1
        if _is_lower(word):
            taken = at < len(words) and (words[at].isdecimal() or word in _LOWER_TEXTS)
            own.append(f"{word} {words[at]}" if taken else word)
            at += taken
        elif equals or name not in _SETTINGS | _OWN.keys():
            own.append(word)
        elif name in _SETTINGS and _SETTINGS[name].kind == "BOOL":
            taken = at < len(words) and words[at].lower() in arguments.TRUE + arguments.FALSE
            own.append(f"{name}={words[at] if taken else '1'}")
            at += taken
        elif name in _OWN and _OWN[name].kind in ("switch", "stages"):
            own.append(word)
        else:
            if at == len(words):
                raise UsageError(f"{name} needs an argument")
            own.append(f"{name}={words[at]}")
            at += 1
    return own, list(words[at:])


#: flags of the runtimes below upstream's: accepted as words before the program, and passed on in LEGION_DEFAULT_ARGS
_LOWER = ("-ll:", "-lg:", "-dm:", "-cuda:", "-level", "-logfile")
_LOWER_TEXTS = ("-level", "-logfile")


def _is_lower(word: str) -> bool:
    return word.startswith(_LOWER)


def _bare(word: str) -> bool:
    """Whether the operand of -m or -c is the next word."""
    return word in ("-m", "-c", "--module", "--code")


def _operand(word: str, rest: Sequence[str]) -> list[str]:
    """`-m name`, `-mname`, `--module name` and `--module=name` as the last of these; the same for code."""
    if _bare(word):
        if not rest:
            raise UsageError(f"{word} needs an argument")
        text = rest[0]
    else:
        text = word.partition("=")[2] if word.startswith("--") else word[2:]
    return [f"{'--module' if word.lstrip('-')[0] == 'm' else '--code'}={text}"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message + self._meant(message))

    def _meant(self, message: str) -> str:
        """The flag that is like one that does not exist, if there is one."""
        unknown = message.removeprefix("unrecognized arguments: ").split()[0].partition("=")[0]
        like = difflib.get_close_matches(unknown, self._option_string_actions, n=1)
        return f" (did you mean {like[0]}?)" if like and message.startswith("unrecognized") else ""


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text!r}")
    return int(text)


def _add_own(group: argparse._ArgumentGroup, option: Option, help_text: str) -> None:
    extra: dict[str, Any] = {"dest": option.key, "help": help_text, "default": None}
    if option.kind == "switch":
        group.add_argument(*option.names, action="store_true", **extra)
        return
    if option.metavar:
        extra["metavar"] = option.metavar
    if option.choices:
        extra["choices"] = option.choices
    if option.kind == "list":
        extra["action"] = "append"
    elif option.kind == "number":
        extra["type"] = _number
    elif option.kind == "stages":
        extra |= {"nargs": "?", "const": ""}
    group.add_argument(*option.names, **extra)


class _Remember(argparse.Action):
    """Appends `(key, text)` to the settings."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """What argparse calls for each flag."""
        namespace.settings = [*(namespace.settings or ()), (self.dest, values)]


def _add_setting(group: argparse._ArgumentGroup, flag: arguments.Flag) -> None:
    metavar = {"BOOL": "0|1", "INT": "N", "MIB": "MIB", "STRING": "TEXT"}.get(flag.kind, flag.kind)
    default = {arguments.AUTO: " [default: auto]", "": "", False: "", True: " [default: 1]"}.get(
        flag.default, f" [default: {flag.default}]"
    )
    help_text = argparse.SUPPRESS if flag.hidden else (flag.help + default).replace("%", "%%")
    nargs = {"nargs": "?", "const": "1"} if flag.kind == "BOOL" else {}
    names = (flag.name, *flag.other_names)
    group.add_argument(*names, action=_Remember, dest=flag.key, metavar=metavar, help=help_text, **nargs)  # type: ignore[arg-type]


def _parser(prog: str, found: placement.Allocation) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        usage=USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=30, width=110
        ),
        allow_abbrev=False,
        add_help=False,
        argument_default=None,
    )
    parser.set_defaults(settings=())
    source = f" [default auto-detected from {found.source}]" if found.source else " [default: 1]"
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for option in _OPTIONS:
            if option.group == title:
                detected = source if option.key in ("nodes", "ranks_per_node") else ""
                _add_own(group, option, option.help.replace("%", "%%") + detected)
        for flag in arguments.FLAGS.values():
            if _GROUPS_BY_KEY.get(flag.key, _OTHER) == title:
                _add_setting(group, flag)
    return parser


def usage_text(prog: str, environment: Mapping[str, str]) -> str:
    """What --help prints."""
    return _parser(prog, _allocation(environment)).format_help()


def _allocation(environment: Mapping[str, str]) -> placement.Allocation:
    try:
        return placement.allocation(environment)
    except placement.PlacementError as error:
        raise UsageError(str(error)) from None


# ---- from flags to a configuration -------------------------------------------------------------------------------------

_SWITCHES = frozenset(option.key for option in _OPTIONS if option.kind == "switch")
_SIMULATIONS = ("simulate_ranks", "simulate_reads", "simulate_report", "machine")
_BINDINGS = ("cpu", "mem", "gpu", "nic")


def parse(words: Sequence[str], environment: Mapping[str, str], prog: str = "legate") -> Config:
    """The configuration that a command line (without the command's name) asks for. UsageError says what is wrong with it.

    environment: where launchers and batch systems say how many nodes and ranks there are.
    """
    own, program = _split(words)
    lower = tuple(part for word in own if _is_lower(word) for part in word.split(" "))
    found = _allocation(environment)
    given = _parser(prog, found).parse_args([word for word in own if not _is_lower(word)])
    text, runtime = _runtime(tuple(given.settings), environment)
    try:
        started = world.detect(environment)
    except world.WorldError as error:
        raise UsageError(str(error)) from None
    nodes = given.nodes or found.nodes
    ranks_per_node = given.ranks_per_node or found.ranks_per_node
    asked = given.nodes is not None or given.ranks_per_node is not None
    launcher = given.launcher or (
        "mpirun" if asked and nodes * ranks_per_node > 1 and started.size == 1 else "none"
    )
    config = Config(
        nodes=nodes,
        ranks_per_node=ranks_per_node,
        launcher=launcher,
        launcher_extra=_words(given.launcher_extra),
        bindings=_given(given, {kind: f"{kind}_bind" for kind in _BINDINGS}),
        program=tuple(program),
        module=given.module,
        code=given.code,
        run_mode=given.run_mode,
        wrappers=_words(given.wrapper),
        inner_wrappers=_words(given.wrapper_inner),
        nsys_extra=_words(given.nsys_extra),
        switches=frozenset(key for key in _SWITCHES if getattr(given, key)),
        dumps=_given(given, {key: key for key in ("dump_ir", "dump_file", "debug")}),
        simulation=_given(given, {key: key for key in _SIMULATIONS}),
        runtime_text=text,
        runtime=runtime,
        lower=lower,
        allocated_by="" if given.nodes and given.ranks_per_node else found.source,
    )
    _check(config, started)
    return config


def _given(given: argparse.Namespace, names: Mapping[str, str]) -> dict[str, str]:
    """The values that were given, by other names."""
    return {key: str(getattr(given, name)) for key, name in names.items() if getattr(given, name) is not None}


def _quoted(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}") from None


def _words(texts: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(word for text in texts or () for word in _quoted(text))


def _runtime(
    settings: Sequence[tuple[str, str]], environment: Mapping[str, str]
) -> tuple[str, Mapping[str, Any]]:
    """LEGATE_CONFIG for the program, and what it then means."""
    for key, text in settings:
        try:
            arguments.convert(arguments.FLAGS[key], text)
        except arguments.ArgumentError as error:
            raise UsageError(str(error)) from None
    given = [f"{arguments.FLAGS[key].name}={text}" for key, text in settings]
    text = " ".join(filter(None, [environment.get("LEGATE_CONFIG", "").strip(), shlex.join(given)]))
    try:
        return text, arguments.parse(text, environment).values
    except arguments.ArgumentError as error:
        raise UsageError(f"LEGATE_CONFIG: {str(error).removeprefix('LEGATE_CONFIG: ')}", 1) from None


RANK_MISSING = (
    "Could not detect rank ID on multi-rank run with no --launcher provided. Either name a launcher (--launcher mpirun "
    "or srun), which then starts the ranks, or start this command by a launcher yourself."
)


def _check(config: Config, started: world.World) -> None:
    for kind, text in config.bindings.items():
        if len(text.split("/")) != config.ranks_per_node:
            raise UsageError(f"Number of groups in --{kind}-bind not equal to --ranks-per-node")
    if config.ranks > 1 and config.launcher == "none":
        if started.size == 1:
            raise UsageError(RANK_MISSING)
        if started.size != config.ranks:
            raise UsageError(
                f"--nodes {config.nodes} --ranks-per-node {config.ranks_per_node} is {config.ranks} ranks, "
                f"but the launcher ({started.launcher}) started {started.size}"
            )
    if config.simulation and "simulate_ranks" not in config.simulation:
        raise UsageError(f"--{min(config.simulation).replace('_', '-')} needs --simulate-ranks")
    if config.simulation and max(config.ranks, started.size) > 1:
        raise UsageError("--simulate-ranks runs in one process: it needs no other ranks and no launcher")
    for key in ("gdb", "cuda_gdb"):
        if key in config.switches and config.ranks > 1:
            raise UsageError(f"--{key.replace('_', '-')} works with one rank only")
