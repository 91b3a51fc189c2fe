"""Configuration: read once from the environment (in which the command puts its flags), then frozen.

Knows names and their values, not what they do.

| variable | values | meaning |
|---|---|---|
| LEGATE_JIT_TARGET | cpu, reference, null | where kernels run; `reference` interprets with NumPy, `null` runs nothing |
| LEGATE_JIT_DEBUG | 0..4 | 1: a line per flush, 2: per step, 3: and its graph and kernels, 4: and its source |
| LEGATE_JIT_DUMP_IR | stages, 1, all | print these stages of every compiled window; 1: graph, kernels and schedule |
| LEGATE_JIT_DUMP_FILE | a path | where dumps and debug lines go instead of standard error |
| LEGATE_JIT_VERIFY | 0, 1 | check the result of every compiler pass |
| LEGATE_JIT_TIER0 | 0, 1 | interpret small windows the first times they are seen (default 1) |
| LEGATE_JIT_RECORD | native, python | who records operators: machine code once there is any, or Python (default native) |
| LEGATE_JIT_OVERLAP | 0, 1 | a window that was full may run while the program records the next one (default 1) |
| LEGATE_JIT_VIRTUAL_RANKS | 1..8 | deal arrays out to so many ranks that are threads of this process: for trying programs |
| LEGATE_JIT_DEALT_FROM | a number | of several ranks, each has all of an array of fewer elements (default 131072) |
| LEGATE_JIT_SHARED_BYTES | a number | largest message through memory that ranks of a node share (0: none; default 262144) |
| LEGATE_JIT_SIMULATE_RANKS | a number | run nothing, plan for so many ranks, and report at the end what they would do |
| LEGATE_JIT_SIMULATE_READS | a number | what reads of arrays give in a simulation (default 0) |
| LEGATE_JIT_SIMULATE_REPORT | a path | where the report of a simulation goes as JSON |
| LEGATE_JIT_MACHINE | a path | JSON file that describes the machine of a simulation |

LEGATE_CONFIG and its variables are kept here as text; `resources` reads them, which few programs need.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

TARGETS = ("cpu", "reference", "null")
STAGES = ("graph", "simplified", "pieces", "lowered", "fused", "kernels", "schedule", "source", "asm")
#: what is dumped when nobody says which stages
DEFAULT_STAGES = ("graph", "kernels", "schedule")
#: over several ranks, halos of an array of 512 x 512 cost about what two ranks save
DEALT_FROM = 1 << 17
#: larger messages between ranks of a node are quicker by MPI, or travel from array to array
SHARED_BYTES = 1 << 18
LEVELS = ("0", "1", "2", "3", "4")
VIRTUAL = ("1", "2", "3", "4", "5", "6", "7", "8")


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of this process."""

    target: str = "cpu"
    debug: int = 0
    dump: tuple[str, ...] = ()
    dump_file: str = ""
    verify: bool = False
    tier0: bool = True
    record: str = "native"
    overlap: bool = True
    virtual_ranks: int = 1
    dealt_from: int = DEALT_FROM
    shared_bytes: int = SHARED_BYTES
    simulated_ranks: int = 0
    simulated_reads: float = 0.0
    simulation_report: str = ""
    machine: str = ""

    @property
    def watching(self) -> bool:
        """Whether anything has to be installed that looks at what is compiled and run."""
        return bool(self.debug or self.dump or self.verify)


def parse_stages(text: str) -> tuple[str, ...]:
    """Stage names separated by commas, in pipeline order; '' means the default ones, 'all' every one. `llvm` is another name
    of `source`. ValueError names a wrong one."""
    names = ["source" if name.strip() == "llvm" else name.strip() for name in text.split(",") if name.strip()]
    if not names:
        return DEFAULT_STAGES
    for name in names:
        if name not in STAGES and name != "all":
            raise ValueError(f"no stage {name!r}; the stages are {', '.join(STAGES)}, all")
    return tuple(s for s in STAGES if s in names or "all" in names)


def parse_level(text: str) -> int:
    """A debug level, 0 to 4. ValueError otherwise."""
    if text not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}, not {text!r}")
    return int(text)


def from_environment(environment: Mapping[str, str]) -> Config:
    """The configuration that environment variables ask for. ValueError names the variable and its value."""
    dump = environment.get("LEGATE_JIT_DUMP_IR", "0")
    try:
        stages = () if dump in ("", "0") else parse_stages("" if dump == "1" else dump)
    except ValueError as e:
        raise ValueError(f"LEGATE_JIT_DUMP_IR={dump}: {e}") from None
    return Config(
        target=_choice(environment, "LEGATE_JIT_TARGET", TARGETS),
        debug=int(_choice(environment, "LEGATE_JIT_DEBUG", LEVELS)),
        dump=stages,
        dump_file=environment.get("LEGATE_JIT_DUMP_FILE", ""),
        verify=_choice(environment, "LEGATE_JIT_VERIFY", ("0", "1")) == "1",
        tier0=_choice(environment, "LEGATE_JIT_TIER0", ("1", "0")) == "1",
        record=_choice(environment, "LEGATE_JIT_RECORD", ("native", "python")),
        overlap=_choice(environment, "LEGATE_JIT_OVERLAP", ("1", "0")) == "1",
        virtual_ranks=int(_choice(environment, "LEGATE_JIT_VIRTUAL_RANKS", VIRTUAL)),
        dealt_from=_count(environment, "LEGATE_JIT_DEALT_FROM", DEALT_FROM),
        shared_bytes=_count(environment, "LEGATE_JIT_SHARED_BYTES", SHARED_BYTES, least=0),
        simulated_ranks=_count(environment, "LEGATE_JIT_SIMULATE_RANKS"),
        simulated_reads=_number(environment, "LEGATE_JIT_SIMULATE_READS"),
        simulation_report=environment.get("LEGATE_JIT_SIMULATE_REPORT", ""),
        machine=environment.get("LEGATE_JIT_MACHINE", ""),
    )


def _count(environment: Mapping[str, str], name: str, default: int = 0, least: int = 1) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not (text.isdecimal() and int(text) >= least):
        raise ValueError(f"{name} must be a {'positive ' if least else ''}number, not {text!r}")
    return int(text)


def _number(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name, "")
    try:
        return float(text or 0)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None


def _choice(environment: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    text = environment.get(name, "")
    if not text:
        return values[0]
    if text not in values:
        raise ValueError(f"{name} must be one of {', '.join(sorted(values))}, not {text!r}")
    return text


def _of_this_process() -> Config:
    """What the environment asks for. Of several ranks, which have the same variables, one tells what is wrong with them."""
    try:
        return from_environment(os.environ)
    except ValueError:
        from legate_jit.process.world import world

        if world.rank:
            raise SystemExit(1) from None
        raise


config = _of_this_process()


#: what the environment said about processors, memory and tasks when this module was imported
legate_environment: dict[str, str] = {
    name: text
    for name, text in os.environ.items()
    if name.startswith("LEGATE_") or name in ("LEGION_DEFAULT_ARGS", "REALM_DEFAULT_ARGS")
}


def wanted_threads() -> int | None:
    """How many threads kernels may use, or None if nobody said anything."""
    if not legate_environment:
        return None
    from legate_jit.process import resources

    return resources.wanted_threads()


if legate_environment.keys() & {"LEGATE_CONFIG", "LEGATE_SHOW_CONFIG"}:
    from legate_jit.process import resources as _checked  # noqa: F401  wrong flags end the program here
