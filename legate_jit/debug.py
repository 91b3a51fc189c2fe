"""Watching the engine: a line per flush, timed steps, dumps of what is compiled, and where each recorded value was written.

`install` puts itself around `runtime.flush` and the planner, and only when asked: without it nothing here is even imported, and
the engine runs the same code as if this room did not exist. Knows no file formats and no command lines.
"""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import IO, Any

from legate_jit import runtime
from legate_jit.cli import dump
from legate_jit.ir import passes
from legate_jit.ir.build import decode
from legate_jit.ir.checks import verify
from legate_jit.ir.node import Signature
from legate_jit.ir.steps import Launch
from legate_jit.places import Place, Tape, TracedWindow, place_text, user_place
from legate_jit.process.config import Config
from legate_jit.running.execute import Execution, Runnable, _Segment

#: most characters of a line of the program that dumps quote
SOURCE = 100
#: what each function of the runtime flushes for
_CAUSES = {"fence": "fence", "host": "read", "number": "read", "writable": "write", "full": "full"}
_LEVEL_STAGES = {3: ("graph", "kernels"), 4: ("graph", "kernels", "source")}


def _cause(frame: FrameType | None) -> str:
    """What a flush is for, from the function of the runtime that called it (through the lock of programs with threads)."""
    while frame is not None and frame.f_code.co_name == "locked":
        frame = frame.f_back
    return "flush" if frame is None else _CAUSES.get(frame.f_code.co_name, "flush")


def places_of(tape: list[Any], live: tuple[int, ...]) -> dict[int, str]:
    """Where the nodes of the window's graph come from, by node number: `file:line: source text`."""
    if not isinstance(tape, Tape):
        return {}
    decoded = decode(tuple(tape))
    count = len(decoded.graph(live).nodes)  # numbers the nodes as in the graph that is dumped
    places: dict[int, str] = {}
    marks, at, value = tape.marks, 0, 0
    for position, item in enumerate(tape):
        if isinstance(item, Signature):
            while at + 1 < len(marks) and marks[at + 1][0] <= position:
                at += 1
            file, line = marks[at][1]
            source = linecache.getline(file, line).strip()[:SOURCE]
            text = f"{place_text((file, line))}: {source}".rstrip(": ")
            places.setdefault(decoded.values[value].number, text)
            value += 1
    for number in range(count - 2, -1, -1):  # moves and casts that the next value made for itself
        if number not in places and number + 1 in places:
            places[number] = places[number + 1]
    return places


class _Stepped:
    """A compiled plan whose steps run one by one, each timed."""

    def __init__(self, runnable: Runnable, report: Callable[[Any, float], None]) -> None:
        self.runnable, self.report = runnable, report
        self.schedule, self.allocate = runnable.schedule, runnable.allocate
        self.launches, self.calls = runnable.launches, runnable.calls
        self.items: list[Any] = []
        number = 0
        for step in self.schedule.steps:
            if isinstance(step, Launch):
                alone = int(not step.joined)  # a chain's time is that of its first launch
                self.items.append(_Segment(number, number + alone, 1))
                number += alone
            else:
                self.items.append(step)

    def run(self, buffers: list[Any], scalars: list[Any]) -> bool:
        """Never at once."""
        return False

    def execution(self, buffers: list[Any], scalars: list[Any]) -> Execution:
        """A run that reports each step."""
        return _SteppedExecution(self, buffers, scalars)


class _SteppedExecution(Execution):
    def __init__(self, stepped: _Stepped, buffers: list[Any], scalars: list[Any]) -> None:
        super().__init__(stepped.runnable, buffers, scalars)
        self.stepped = stepped

    def run(self) -> None:
        """Let the executor see one more step at a time."""
        items = self.stepped.items
        while self.position < len(items):
            at = self.position
            self.runnable.items = items[: at + 1]
            start = time.perf_counter()
            super().run()
            self.stepped.report(at, time.perf_counter() - start)


class Watcher:
    """What is installed: counts, times and dumps. One per process."""

    def __init__(self, config: Config) -> None:
        self.level = config.debug
        wanted = {*config.dump, *_LEVEL_STAGES.get(config.debug, ())}
        self.stages = frozenset(wanted)
        self.file: IO[str] | None = None
        if config.dump_file:
            self.file = open(config.dump_file, "w", encoding="utf-8")  # noqa: SIM115  open as long as the process
        self.numbers = dump.Numbers()
        self.printed: dict[str, set[int]] = {"source": set(), "asm": set()}
        self.places: dict[int, str] = {}
        self.planning = 0.0
        self.lines: list[str] = []  # of steps, printed below their flush
        self.place: Place = ("?", 0)
        self.rank = ""  # whose plan is made, where there are several
        self.window = runtime.window
        self.flush, self.plan, self.compiled = runtime.flush, runtime._plan, runtime._compiled

    def write(self, text: str) -> None:
        """Print, colored if the stream is a terminal."""
        stream = self.file or sys.stderr
        stream.write((dump.colored(text) if dump.wants_color(stream) else text) + "\n")
        stream.flush()

    # -- around the runtime --

    def flushing(self, w: runtime.Window | None = None, beside: bool = False) -> None:
        """`runtime.flush`, reported, and over when it returns, so that times are true."""
        self.window = runtime.window if w is None else w
        counters = runtime.counters
        names = ("flushes", "plans", "values", "launches", "calls", "copied_bytes")
        before = [getattr(counters, n) for n in names]
        cause = _cause(sys._getframe(1))
        self.place, self.planning, self.lines = user_place(), 0.0, []
        start = time.perf_counter()
        try:
            self.flush(w)
        finally:
            seconds = time.perf_counter() - start
            flushes, plans, *counts = (getattr(counters, n) - b for n, b in zip(names, before, strict=True))
            if self.level and flushes:
                self.report("miss" if plans else "hit", counts, cause, seconds)

    def report(self, found: str, counts: list[int], cause: str, seconds: float) -> None:
        """The line of a flush, and those of its steps."""
        values, launches, calls, copied = counts
        milliseconds = (seconds - self.planning) * 1e3
        direct = "" if launches or calls else "  (small: run without compiling)"
        self.write(
            f"[legate-jit] flush {runtime.counters.flushes:<5} {found:<4} {values:>4} values {launches:>3} kernels "
            f"{calls:>2} calls  copied {dump.size_text(copied):<8} plan {self.planning * 1e3:>7.2f} ms  "
            f"run {milliseconds:>8.3f} ms  {cause} at {place_text(self.place)}{direct}"
        )
        for line in self.lines:
            self.write(f"[legate-jit]   {line}")

    def planned(self, key: Any) -> Any:
        """`runtime._plan`, timed; the reference target compiles nothing, so that dumps compile for it."""
        start = time.perf_counter()
        plan = self.plan(key)
        if self.stages:
            from legate_jit.running import tiers

            if tiers.policy.target == "reference":
                passes.compile_window(*key)
        self.planning += time.perf_counter() - start
        return plan

    def compiling(self, key: Any) -> Any:
        """`runtime._compiled`, with steps timed from level 2 on."""
        runnable = self.compiled(key)
        if self.level < 2:
            return runnable
        names = dump.storage_names(runnable.schedule)

        def report(at: int, seconds: float) -> None:
            step = runnable.schedule.steps[at]
            rate = sum(dump.step_bytes(step)) / max(seconds, 1e-9) / 1e9
            text = dump.step_text(step, names, self.numbers)
            self.lines.append(f"{at:>3}  {text}  {seconds * 1e3:.3f} ms  {rate:.1f} GB/s")

        return _Stepped(runnable, report)

    # -- dumps --

    def observe(self, stage: str, result: Any) -> None:
        """Print what was asked for of a compiler stage."""
        if stage == "rank":
            self.rank = f" on rank {result}"
        elif stage == "graph":
            self.rank = ""
            self.head(stage, lambda: dump.graph_text(result, self.places))
        elif stage in dump.GRAPHS:
            self.head(stage, lambda: dump.graph_text(result))
        elif stage == "fused":
            self.head(stage, lambda: dump.fused_text(result))
        elif stage == "schedule":
            self.head("kernels", lambda: dump.kernels_text(result, self.numbers))
            self.head("schedule", lambda: dump.schedule_text(result, self.numbers))
            self.head("source", lambda: self.code("source", result))
            self.head("asm", lambda: self.code("asm", result))

    def head(self, stage: str, text: Callable[[], str]) -> None:
        """A stage with its headline, if it is wanted."""
        if stage in self.stages:
            title = f"window {runtime.counters.plans} {stage}{self.rank}"
            self.write(dump.headline(title, place_text(self.place)) + "\n" + text())

    def code(self, stage: str, schedule: Any) -> str:
        """LLVM IR or assembly of kernels that were not printed before."""
        from legate_jit.backends import cpu

        spell = cpu.source if stage == "source" else cpu.assembly
        return dump.code_text(schedule, self.numbers, self.printed[stage], spell)

    def traced(self, key: Any) -> Any:
        """`planned`, with the origin of values noted first."""
        self.places = places_of(self.window.code, key[1])
        return self.planned(key)


def install(config: Config) -> Watcher | None:
    """Begin watching as the configuration says. The watcher, or None when only passes are verified."""
    if config.verify:
        passes.observers.append(verify.verify)
    if not (config.debug or config.dump):
        return None
    watcher = Watcher(config)
    runtime.flush = watcher.flushing
    runtime._compiled = watcher.compiling
    runtime._plan = watcher.planned
    if watcher.stages:
        from legate_jit.running import tiers

        # What is interpreted is not compiled, and there would be nothing to see.
        tiers.policy.interpret_runs = 0
        passes.observers.append(watcher.observe)
        runtime._plan = watcher.traced
        runtime.window.__class__ = TracedWindow
        runtime.window.clear()
    return watcher
