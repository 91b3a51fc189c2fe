"""What a simulation found: a report for people on standard output, the same and more as JSON for programs."""

from __future__ import annotations

import atexit
import dataclasses
import json
import math
import sys
from typing import Any

from legate_jit.cli.dump import size_text
from legate_jit.places import place_text
from legate_jit.process.config import Config
from legate_jit.simulation.costs import Cost, Flows, added
from legate_jit.simulation.machine import Seconds, load
from legate_jit.simulation.world import Planned, SimulatedWorld

__all__ = ["begin", "collected", "finish", "text"]

#: windows that the report shows, those that take longest
SHOWN = 12


def begin(config: Config) -> SimulatedWorld:
    """The world that the configuration asks for, whose report comes at the end of the program."""
    world = SimulatedWorld(config.simulated_ranks, config.simulated_reads, load(config.machine))
    atexit.register(finish, world, config.simulation_report)
    return world


def finish(world: SimulatedWorld, path: str) -> None:
    """Print the report, and write it to a file ('': to none)."""
    found = collected(world)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
    print(text(found))
    sys.stdout.flush()


# ---- data --------------------------------------------------------------------------------------------------------------


def collected(world: SimulatedWorld) -> dict[str, Any]:
    """All that was counted: plain data. Numbers of a window are of one run of it; those in `total` of the whole program."""
    windows = [w for w in world.windows if w.times]
    total = {str(rank): _total(world, windows, rank) for rank in world.own}
    window_seconds = sum(w.times * _longest(w, world).total for w in windows)
    reading = max(world.machine.exchanged(world.flows[rank]) for rank in world.own)
    return {
        "ranks": world.size,
        "looked_at": list(world.own),
        "machine": dataclasses.asdict(world.machine),
        "values": sum(w.times * w.values for w in windows),
        "seconds": window_seconds + reading,
        "planning_seconds": sum(max(w.seconds.values()) for w in windows),
        "total": total,
        "windows": [_window(w, world) for w in windows],
    }


def _total(world: SimulatedWorld, windows: list[Planned], rank: int) -> dict[str, Any]:
    flows: dict[str, Flows] = {}
    seconds = [0.0] * len(Seconds._fields)
    moved = operations = 0
    for w in windows:
        cost = w.costs[rank]
        added(flows, cost.exchanges, w.times)
        moved += w.times * cost.moved
        operations += w.times * cost.operations
        for k, part in enumerate(world.machine.seconds(cost, world.size)):
            seconds[k] += w.times * part
    if world.flows[rank].exchanges:
        added(flows, {"read": world.flows[rank]})
        seconds[Seconds._fields.index("exchanges")] += world.machine.exchanged(world.flows[rank])
    return {
        "peak_bytes": world.ledgers[rank].peak,
        "moved_bytes": moved,
        "operations": operations,
        "exchanges": _flows(flows),
        "seconds": dict(zip(Seconds._fields, seconds, strict=True)),
    }


def _flows(flows: dict[str, Flows]) -> dict[str, dict[str, int]]:
    return {kind: dataclasses.asdict(flows[kind]) for kind in sorted(flows)}


def _longest(w: Planned, world: SimulatedWorld) -> Seconds:
    return max((world.machine.seconds(cost, world.size) for cost in w.costs.values()), key=lambda s: s.total)


def _window(w: Planned, world: SimulatedWorld) -> dict[str, Any]:
    return {
        "place": place_text(w.place),
        "times": w.times,
        "values": w.values,
        "planning_seconds": {str(rank): seconds for rank, seconds in w.seconds.items()},
        "seconds": _longest(w, world).total,
        "ranks": {
            str(rank): _cost(cost, world.machine.seconds(cost, world.size)) for rank, cost in w.costs.items()
        },
    }


def _cost(cost: Cost, seconds: Seconds) -> dict[str, Any]:
    return {
        "launches": len(cost.launches),
        "calls": len(cost.calls),
        "moved_bytes": cost.moved,
        "operations": cost.operations,
        "scratch_bytes": cost.scratch,
        "staging_bytes": cost.staging,
        "exchanges": _flows(cost.exchanges),
        "seconds": seconds._asdict(),
    }


# ---- text --------------------------------------------------------------------------------------------------------------


def text(found: dict[str, Any]) -> str:
    """The report of collected data."""
    own = [str(rank) for rank in found["looked_at"]]
    windows = found["windows"]
    lines = [
        f"---- simulated on {found['ranks']} ranks " + "-" * 60,
        f"{sum(w['times'] for w in windows)} windows of {len(windows)} kinds, {found['values']} values recorded; planned in "
        f"{found['planning_seconds'] * 1e3:.1f} ms on each rank",
        "",
        _row("", [f"rank {rank}" for rank in own]),
        *_totals([found["total"][rank] for rank in own]),
        _row("predicted time (nothing overlaps)", [time_text(found["seconds"])]),
    ]
    shown = sorted(windows, key=lambda w: -w["seconds"] * w["times"])[:SHOWN]
    if shown:
        lines += ["", "windows, those that take longest first; numbers of one run on the busiest rank"]
    for w in shown:
        lines.append(_window_line(w))
    if len(shown) < len(windows):
        lines.append(f"  and {len(windows) - len(shown)} more kinds")
    return "\n".join(lines)


def _row(name: str, cells: list[str]) -> str:
    return (f"{name:<36}" + "".join(f"{cell:>24}" for cell in cells)).rstrip()


def _totals(totals: list[dict[str, Any]]) -> list[str]:
    lines = [
        _row("most memory at a time", [size_text(t["peak_bytes"]) for t in totals]),
        _row("moved by kernels and calls", [size_text(t["moved_bytes"]) for t in totals]),
        _row("operations", [_count(t["operations"]) for t in totals]),
    ]
    for kind in sorted({kind for t in totals for kind in t["exchanges"]}):
        each = [t["exchanges"].get(kind) for t in totals]
        lines.append(
            _row(f"{kind}: sent", ["-" if f is None else _messages(f["sent"], f["sent_bytes"]) for f in each])
        )
        received = ["-" if f is None else _messages(f["received"], f["received_bytes"]) for f in each]
        lines.append(_row(f"{kind}: received", received))
    for name in Seconds._fields:
        lines.append(_row(f"time: {name}", [time_text(t["seconds"][name]) for t in totals]))
    return lines


def _messages(count: int, nbytes: int) -> str:
    return f"{count} msg, {size_text(nbytes)}"


def _count(number: int) -> str:
    if number < 1000:
        return str(number)
    power = min(int(math.log10(number)) // 3, 6)
    return f"{number / 1000**power:.3g} {' kMGTPE'[power]}"


def time_text(seconds: float) -> str:
    """Seconds for people."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _window_line(w: dict[str, Any]) -> str:
    busiest = max(w["ranks"].values(), key=lambda cost: sum(cost["seconds"].values()))
    sent = [f"{kind} {_messages(f['sent'], f['sent_bytes'])}" for kind, f in busiest["exchanges"].items()]
    what = ", ".join(
        [
            f"{w['values']} values",
            f"{busiest['launches']} kernels",
            f"{busiest['calls']} calls",
            f"{size_text(busiest['moved_bytes'])} moved",
            f"{size_text(busiest['scratch_bytes'])} new",
            *sent,
        ]
    )
    planning = max(w["planning_seconds"].values())
    return f"  {w['times']:>6} x {time_text(w['seconds']):>8}  {w['place']}: {what}; planned in {time_text(planning)}"
