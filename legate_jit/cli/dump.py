"""What each stage of a compiled window looks like as text, and its colors on a terminal.

Stages come from `ir.passes` (and the kernels' source from a function given in): text is made from them as data. Knows no
runtime; when something is dumped is `legate_jit.debug`'s business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import IO, Any

from legate_jit.cli import nests, program, traffic
from legate_jit.cli.program import type_text
from legate_jit.ir.fuse import Cluster, Fused
from legate_jit.ir.kernel import Kernel
from legate_jit.ir.node import Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.steps import Call, Launch, Schedule, Storage, Task

GRAPHS = ("graph", "simplified", "pieces", "lowered")


class Numbers:
    """Numbers of kernels by structure: equal kernels in different windows are the same code and have the same number."""

    def __init__(self) -> None:
        self._numbers: dict[Kernel, int] = {}

    def of(self, kernel: Kernel) -> int:
        """The kernel's number, a new one the first time."""
        return self._numbers.setdefault(kernel, len(self._numbers))


def size_text(nbytes: int) -> str:
    """Bytes for people: `1.23 MiB`."""
    if nbytes < 1024:
        return f"{nbytes} B"
    power = min((nbytes.bit_length() - 1) // 10, 4)
    value = nbytes / 1024**power
    return f"{value:.3g} {' KMGT'[power]}iB" if value < 1000 else f"{value:.0f} {' KMGT'[power]}iB"


# ---- graphs and clusters ---------------------------------------------------------------------------------------------


def graph_text(graph: Graph, places: Mapping[int, str] | None = None) -> str:
    """A graph as a runnable NumPy program."""
    return program.program(graph, places)


def fused_text(fused: Fused) -> str:
    """Clusters in order with their members: what is computed together, and what each value is for. Values as in `lowered`."""
    lines = []
    for k, step in enumerate(fused.steps):
        if isinstance(step, Cluster):
            lines += _cluster(k, step)
        else:
            sources = ", ".join(program.operand(s) for s in step.src)
            spec = getattr(step.arg, "name", step.arg)
            lines.append(f"step {k}: {step.op.name} {spec} ({sources}) -> {program.operand(step)}")
    views = [
        n for n in fused.graph.nodes if n in fused.materialized and n.kind in (Kind.RESHAPE, Kind.BITCAST)
    ]
    lines += [
        f"alias: {program.operand(n)} is {program.operand(n.src[0])} as {type_text(n.type)}" for n in views
    ]
    return "\n".join(lines) + "\n"


def _cluster(k: int, cluster: Cluster) -> list[str]:
    domain = "x".join(map(str, cluster.domain)) or "a scalar"
    how = ""
    if cluster.reduction is not None:
        axes, inner, block, jam = cluster.reduction
        how = f", reducing axes {axes}, innermost {inner}" + (f", blocks of {block}" if block else "")
        how += f", side by side along {jam}" if jam >= 0 else ""
    lines = [f"step {k}: cluster over {domain}{how}"]
    for item in cluster.items:
        what = f"    {program.operand(item.node)}: {item.role} {type_text(item.node.type)}"
        if item.role == "update":
            region = program.basic_index(item.node.arg, item.node.shape)  # type: ignore[arg-type]
            shown = "a strided region" if region is None else (region.picked or "[:]")
            what += f" {shown} of {program.operand(item.node.src[0])}"
        elif item.role == "reduce":
            what += f" {item.node.op.name}"
        lines.append(what)
    reads: dict[Node, int] = {}
    for r, _ in cluster.reads:
        reads[r] = reads.get(r, 0) + 1
    if reads:
        shown = ", ".join(
            program.operand(r) + (f" (through {n} views)" if n > 1 else "") for r, n in reads.items()
        )
        lines.append(f"    reads {shown}")
    return lines


# ---- schedules -------------------------------------------------------------------------------------------------------


def storage_names(schedule: Schedule) -> list[str]:
    """Names of storages: `a2` for input 2, `r0` for the memory of result 0 (its input's name when in place), else `m0...`."""
    names = []
    temporaries = 0
    for k, storage in enumerate(schedule.storages):
        if storage.source >= 0:
            names.append(f"a{storage.source}")
        elif k in schedule.outputs:
            names.append(f"r{schedule.outputs.index(k)}")
        else:
            names.append(f"m{temporaries}")
            temporaries += 1
    return names


def kernels_text(schedule: Schedule, numbers: Numbers) -> str:
    """Every launch as a loop nest. `a` are inputs, `r` results, `m` memory between them, `s` scalars, `t` values in registers."""
    names = storage_names(schedule)
    texts = []
    for step in schedule.steps:
        if isinstance(step, Launch):
            memory = {
                place.node: names[s]
                for place, s in zip(step.nest.places, step.storages, strict=True)
                if place.node is not None
            }
            texts.append(nests.nest_text(numbers.of(step.nest.kernel), step, memory.__getitem__))
    return "\n\n".join(texts) + "\n" if texts else "# no kernels\n"


def schedule_text(schedule: Schedule, numbers: Numbers) -> str:
    """Steps in order, one line each, then where every array lies."""
    names = storage_names(schedule)
    width = len(str(len(schedule.steps)))
    launches = sum(isinstance(s, Launch) for s in schedule.steps)
    lines = [
        f"# {launches} launches, {len(schedule.steps) - launches} calls, {schedule.inputs} inputs, "
        f"{len(schedule.outputs)} results, {len(schedule.slots)} blocks of memory "
        f"({size_text(sum(schedule.slots))}), {size_text(schedule.copied_bytes)} copied by updates not in place"
    ]
    for k, step in enumerate(schedule.steps):
        line = step_text(step, names, numbers)
        found = traffic.moved(step, schedule) if isinstance(step, Call) else None
        lines.append(
            f"{k:>{width}}  {line}" + ("" if found is None else f"  {traffic.text(found, size_text)}")
        )
    lines += traffic.summary(schedule, size_text)
    lines += [f"   {name} = {_where(s, schedule)}" for name, s in zip(names, schedule.storages, strict=True)]
    results = ", ".join(f"r{k} in {names[s]}" for k, s in enumerate(schedule.outputs) if names[s] != f"r{k}")
    if results:
        lines.append(f"   {results}")
    return "\n".join(lines) + "\n"


def _where(storage: Storage, schedule: Schedule) -> str:
    if storage.source >= 0:
        return f"input {storage.source}, {size_text(storage.nbytes)}"
    sharing = sum(s.slot == storage.slot and s.source < 0 for s in schedule.storages)
    shared = f", used for {sharing} values in turn" if sharing > 1 else ""
    return f"block {storage.slot}, {size_text(storage.nbytes)}{shared}"


def step_bytes(step: Any) -> tuple[int, int]:
    """Bytes a step reads and writes if every element moves once."""
    if isinstance(step, Launch):
        return nests.traffic(step.nest)
    read = sum(a.type.nbytes for a in step.arguments)
    if isinstance(step, Task):
        written = (a for a, role in zip(step.arguments, step.spec.roles, strict=True) if role != "input")
        return read, sum(a.type.nbytes for a in written)
    return read, sum(t.nbytes for _, t in step.results)


def step_text(step: Any, names: list[str], numbers: Numbers) -> str:
    """One step: what runs over what, bytes moved, memory read and written."""
    read, written = step_bytes(step)
    chain = ""
    if isinstance(step, Launch):
        what = (
            f"k{numbers.of(step.nest.kernel)} {step.nest.kernel.kind} {'x'.join(map(str, step.nest.extents))}"
        )
        if step.band is not None:
            chain = f"  (with the launch before, in {step.band.bands} bands)" if step.joined else ""
        inputs, outputs = [], []
        for operand, s in zip(step.nest.kernel.operands, step.storages, strict=True):
            if s >= 0:
                inputs += [names[s]] * ("r" in operand.mode)
                outputs += [names[s]] * ("w" in operand.mode)
    elif isinstance(step, Task):
        grid = "x".join(map(str, step.partition.launch)) or "1"
        what = f"task {step.spec.name} over {grid}"
        inputs = [names[a.storage] for a in step.arguments]
        outputs = [names[s] for s in step.written]
    else:
        options = "".join(f" {v}" for k, v in step.spec.options if k in ("name", "function"))
        what = traffic.name(step) or f"call {step.spec.name}{options}"
        inputs = [names[a.storage] if a.storage >= 0 else f"s{a.offset}" for a in step.arguments]
        outputs = [names[s] for s, _ in step.results]
    flow = f"{' '.join(dict.fromkeys(inputs)) or '-'} -> {' '.join(dict.fromkeys(outputs))}"
    both = [name for name in dict.fromkeys(outputs) if name in inputs]
    place = f"  ({', '.join(both)} in place)" if both else ""
    return f"{what:<28} {flow:<28} reads {size_text(read):>8}  writes {size_text(written):>8}{place}{chain}".rstrip()


def code_text(schedule: Schedule, numbers: Numbers, seen: set[int], spell: Callable[[Kernel], str]) -> str:
    """Source or assembly, as `spell` gives it, of the kernels whose numbers are not in `seen` (they are added)."""
    texts = []
    for step in schedule.steps:
        if isinstance(step, Launch):
            number = numbers.of(step.nest.kernel)
            if number not in seen:
                seen.add(number)
                texts.append(f"; kernel k{number}\n{spell(step.nest.kernel).strip()}\n")
    return "\n".join(texts) if texts else "; every kernel was printed before\n"


# ---- colors ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"(?P<comment>(?:#|;).*$)"
    r"|(?P<word>\b(?:import|from|def|return|for|in|kernel|call|step|cluster|define|declare|ret|br|phi|load|store)\b)"
    r"|(?P<input>\b[as]\d+\b)|(?P<result>\br\d+\b)"
    r"|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)",
    re.MULTILINE,
)
_COLORS = {"comment": "2", "word": "35", "input": "32", "result": "33", "number": "36"}


def colored(text: str) -> str:
    """The text with terminal colors."""
    return _TOKEN.sub(lambda m: f"\x1b[{_COLORS[str(m.lastgroup)]}m{m[0]}\x1b[0m", text)


def wants_color(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to color: NO_COLOR (not empty) says no, FORCE_COLOR (not empty) yes, else if it is a terminal that can."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def headline(title: str, remark: str = "") -> str:
    """A line that starts a dump."""
    text = f"# ---- {title} " + (f"({remark}) " if remark else "")
    return text + "-" * max(4, 100 - len(text))


__all__ = [
    "GRAPHS",
    "Numbers",
    "code_text",
    "colored",
    "fused_text",
    "graph_text",
    "headline",
    "kernels_text",
    "schedule_text",
    "size_text",
    "step_bytes",
    "step_text",
    "storage_names",
    "wants_color",
]
