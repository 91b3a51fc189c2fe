"""What stands before each rank's program: binds the process to cores, memory, GPUs and network cards, and becomes the program.

`python -m legate_jit.cli.bind --launcher K [--cpus ...] [--mems ...] [--gpus ...] [--nics ...] [--debug] -- command`. Every
option is a list with one part per rank of the node, separated by `/`. Without `--cpus` ranks of a node divide its cores, unless
their launcher has bound them already. Imports little: it runs once per rank, before the program.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from legate_jit.process import placement, world

__all__ = ["RANK_WORD", "BindError", "Binding", "main", "parse_cores", "plan"]

#: stands for the number of the rank in commands
RANK_WORD = "%%LEGATE_GLOBAL_RANK%%"
_OPTIONS = ("--launcher", "--cpus", "--mems", "--gpus", "--nics")


class BindError(Exception):
    """A binding that is not possible."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What one rank does before its program: its cores (None: as they are), variables to set, words before the command."""

    rank: int
    local_rank: int
    cores: frozenset[int] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_cores(text: str) -> frozenset[int]:
    """The numbers in a list such as `0-3,8`. BindError if it is none."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise BindError(f"{text!r} is no list of cores such as 0-3,8")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _cores_by_place(usable: Sequence[int]) -> list[list[int]]:
    """Usable hardware threads, grouped by core, cores in the order of sockets."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for thread in sorted(usable):
        groups.setdefault(_place(thread), []).append(thread)
    return [groups[place] for place in sorted(groups)]


def _place(thread: int) -> tuple[int, ...]:
    folder = f"/sys/devices/system/cpu/cpu{thread}/topology"
    try:
        with open(f"{folder}/physical_package_id") as package, open(f"{folder}/core_id") as core:
            return (int(package.read()), int(core.read()))
    except (OSError, ValueError):
        return (0, thread)  # a machine that does not tell: every thread is a core


def _part(options: Mapping[str, str], name: str, local_rank: int) -> str | None:
    text = options.get(name)
    if text is None:
        return None
    parts = text.split("/")
    if local_rank >= len(parts):
        raise BindError(f"{name} {text} says nothing about rank {local_rank} of this node")
    return parts[local_rank]


def plan(
    options: Mapping[str, str],
    environment: Mapping[str, str],
    usable: Sequence[int],
    installed: int,
    numactl: str | None,
) -> Binding:
    """What to do on a node with these processors. BindError, or WorldError, if the launcher did not say which rank this is.

    options: by flag; usable, installed: processors that this process may use, and how many there are; numactl: its path, if any.
    """
    here = world.detect(environment)
    launcher = options.get("--launcher", "auto")
    if launcher != "local" and not here.launcher and environment.get(world.EXPECTED, "1") != "1":
        raise BindError(f"the launcher ({launcher}) does not say which rank this is")
    local = here.local_rank
    variables = {"LEGATE_GLOBAL_RANK": str(here.rank), "LEGATE_LOCAL_RANK": str(local)}
    prefix: tuple[str, ...] = ()
    notes: list[str] = []
    cpus, mems, gpus, nics = (_part(options, name, local) for name in _OPTIONS[1:])
    if mems is not None:
        if numactl:
            prefix = (numactl, f"--membind={mems}")
        else:
            notes.append("memory is not bound: there is no numactl")
    if gpus is not None:
        variables["CUDA_VISIBLE_DEVICES"] = gpus
    if nics is not None:
        variables["UCX_NET_DEVICES"] = ",".join(nic if ":" in nic else f"{nic}:1" for nic in nics.split(","))
        variables["NCCL_IB_HCA"] = nics
    cores = None if cpus is None else parse_cores(cpus)
    if cores is None and here.local_size > 1:
        cores = _divided(here, environment, usable, installed)
    return Binding(here.rank, local, cores, variables, prefix, tuple(notes))


def _divided(
    here: world.World, environment: Mapping[str, str], usable: Sequence[int], installed: int
) -> frozenset[int] | None:
    """This rank's part of the node, if all ranks of the node may use the same processors."""
    if placement.sharers(environment, here.local_size, len(usable), installed) < here.local_size:
        return None
    return frozenset(placement.share(_cores_by_place(usable), here.local_rank, here.local_size))


def _apply(binding: Binding) -> None:
    os.environ.update(binding.environment)
    if binding.cores is None or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, binding.cores)
    except OSError as error:
        cores = ",".join(map(str, sorted(binding.cores)))
        raise BindError(f"rank {binding.rank} cannot run on cores {cores}: {error.strerror}") from None


def _usable() -> list[int]:
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )


def _report(binding: Binding) -> None:
    told = [f"cores {','.join(map(str, _usable()))}", *binding.prefix[1:]]
    told += [f"{name}={text}" for name, text in binding.environment.items() if not name.endswith("_RANK")]
    sys.stderr.write(f"legate: rank {binding.rank} ({binding.local_rank} of its node): {' '.join(told)}\n")


def _read(words: Sequence[str]) -> tuple[dict[str, str], bool, list[str]]:
    """The options, whether to tell what is done, and the command."""
    options: dict[str, str] = {}
    debug = False
    at = 0
    while at < len(words) and words[at] != "--":
        if words[at] == "--debug":
            debug = True
            at += 1
        elif words[at] in _OPTIONS and at + 1 < len(words):
            options[words[at]] = words[at + 1]
            at += 2
        else:
            raise BindError(f"unknown word {words[at]!r}")
    if at + 1 >= len(words):
        raise BindError("no command after --")
    return options, debug, list(words[at + 1 :])


def _become(words: Sequence[str]) -> NoReturn:
    options, debug, command = _read(words)
    binding = plan(options, os.environ, _usable(), os.cpu_count() or 1, shutil.which("numactl"))
    _apply(binding)
    for note in binding.notes:
        sys.stderr.write(f"legate: rank {binding.rank}: {note}\n")
    if debug:
        _report(binding)
    sys.stderr.flush()
    full = [word.replace(RANK_WORD, str(binding.rank)) for word in (*binding.prefix, *command)]
    try:
        os.execvp(full[0], full)
    except OSError as error:
        raise BindError(f"cannot run {full[0]!r}: {error.strerror}") from None


def main() -> None:
    """Bind this process as the command line says, and run the command in it."""
    try:
        _become(sys.argv[1:])
    except (BindError, placement.PlacementError, world.WorldError) as error:
        sys.stderr.write(f"legate: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
