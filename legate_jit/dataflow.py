"""Running a schedule that holds tasks: every step as soon as what it depends on is there, points of tasks side by side.

The thread that flushes runs kernels and library calls, and points of tasks beside the crew. A failing launch takes with it only
what is computed from its results; everything else is finished first. Knows no user API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from queue import Empty, SimpleQueue
from typing import Any

from legate_jit.backends import threads
from legate_jit.backends.memory import Buffer
from legate_jit.ir import depend
from legate_jit.ir.steps import Call, Launch, Schedule, Step, Task
from legate_jit.points import Attempt, crew, quiet_blas
from legate_jit.points import attempt as begin

#: seconds after which a waiting thread looks around by itself: an interruption may have swallowed a message
_LOOK = 1.0


class Flow:
    """The static part: which item waits for which. Items, groups of steps that run together, are numbered in program order."""

    __slots__ = ("edges", "followers", "items", "schedule", "sources", "tasks")

    def __init__(self, items: Sequence[Sequence[Step]], schedule: Schedule) -> None:
        self.items, self.schedule = items, schedule
        self.edges = depend.edges(items, schedule)
        self.followers: list[list[int]] = [[] for _ in items]
        for k, found in enumerate(self.edges):
            for edge in found:
                self.followers[edge.earlier].append(k)
        self.sources = [k for k, found in enumerate(self.edges) if not found]
        self.tasks = [steps[0] if isinstance(steps[0], Task) else None for steps in items]

    def spoiled(self, failed: int) -> set[int]:
        """The items that see, directly or through others, what the failed one was to write; that one included."""
        bad = {failed}
        for k in range(failed + 1, len(self.edges)):
            if any(edge.flow and edge.earlier in bad for edge in self.edges[k]):
                bad.add(k)
        return bad

    def written(self, items: set[int]) -> set[int]:
        """The storages these items write."""
        out: set[int] = set()
        for k in items:
            for step in self.items[k]:
                match step:
                    case Launch():
                        operands = zip(step.storages, step.nest.kernel.operands, strict=True)
                        out.update(s for s, o in operands if s >= 0 and "w" in o.mode)
                    case Call():
                        out.update(s for s, _ in step.results)
                    case Task():
                        out.update(step.written)
        return out


class FlowRun:
    """One run. `run` may be called again after an interruption; what was begun is not begun again."""

    def __init__(self, flow: Flow, buffers: list[Buffer], scalars: list[Any]) -> None:
        self.flow, self.buffers, self.scalars = flow, buffers, scalars
        self.waiting = [len(found) for found in flow.edges]
        self.ready = list(flow.sources)
        heapify(self.ready)
        self.left = len(flow.edges)
        self.going: dict[int, Attempt] = {}
        self.own: list[tuple[Attempt, int]] = []
        self.done: SimpleQueue[None] = SimpleQueue()
        self.errors: dict[int, BaseException] = {}
        self.spoiled: dict[int, int] = {}  # item -> the failed task it was spoiled by

    def run(self, perform: Callable[[int], None]) -> None:
        """Run to the end. `perform(k)` runs the kernels or the library call of item k."""
        while self.left:
            while self.ready:
                self._start(self.ready[0], perform)
            self._share()
            if self.own:
                attempt, number = self.own.pop()
                with quiet_blas(self._points()):
                    attempt.run(number)
            elif self.left:
                self._wait()
            for k in [k for k, a in self.going.items() if not a.left]:
                self._ended(k)

    def lost(self) -> dict[int, BaseException]:
        """The storages whose contents were not computed, and why."""
        out: dict[int, BaseException] = {}
        for failed, error in sorted(self.errors.items()):
            spoiled = {k for k, by in self.spoiled.items() if by == failed}
            out.update(dict.fromkeys(self.flow.written(spoiled) - out.keys(), error))
        return out

    def _start(self, k: int, perform: Callable[[int], None]) -> None:
        task = self.flow.tasks[k]
        if k in self.spoiled:
            if task is not None:
                self.scalars[task.launch].error = self.errors[self.spoiled[k]]
        elif task is None:
            perform(k)
        else:
            self.going[k] = attempt = begin(task, self.buffers, self.scalars)
            heappop(self.ready)
            self.own.extend((attempt, number) for number in range(len(attempt.points)))
            return
        heappop(self.ready)
        self._complete(k)

    def _share(self) -> None:
        """Leave all but one of the points at hand to the crew, if there is one."""
        workers = threads.get_threads() - 1
        if len(self.own) > 1 and workers:
            crew.want(workers)
            for attempt, number in self.own[:0:-1]:
                crew.jobs.put((attempt, number, self.done))
            del self.own[1:]

    def _wait(self) -> None:
        """Run a point that no thread has taken yet, or wait for one that runs elsewhere."""
        try:
            job = crew.jobs.get_nowait()
        except Empty:
            if not self.going:
                raise RuntimeError("an interruption lost a step of this run") from None
            try:
                self.done.get(timeout=_LOOK)
            except Empty:
                return
        else:
            with quiet_blas(self._points()):
                crew.do(*job)

    def _points(self) -> int:
        return sum(a.left for a in self.going.values())

    def _ended(self, k: int) -> None:
        attempt = self.going[k]
        error = attempt.finish()
        if error is not None:
            self.errors[k] = attempt.call.error = error
            for spoiled in self.flow.spoiled(k):
                self.spoiled.setdefault(spoiled, k)
        del self.going[k]
        self._complete(k)

    def _complete(self, k: int) -> None:
        self.left -= 1
        for follower in self.flow.followers[k]:
            self.waiting[follower] -= 1
            if not self.waiting[follower]:
                heappush(self.ready, follower)
