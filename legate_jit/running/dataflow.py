"""Running a schedule that holds tasks: every step as soon as what it depends on is there, points of tasks side by side.

The thread that flushes runs kernels and library calls, and points of tasks beside the crew. A failing launch takes with it only
what is computed from its results; everything else is finished first. Knows no user API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from queue import Empty, SimpleQueue
from typing import Any

from legate_jit.backends.memory import Buffer
from legate_jit.backends.pool import threads
from legate_jit.ir import depend
from legate_jit.ir.steps import Call, Launch, Schedule, Step, Task
from legate_jit.ir.tasks.partition import Box
from legate_jit.running.points import Attempt, crew, is_short, quiet_blas, run_alone
from legate_jit.running.points import attempt as begin

#: seconds after which a waiting thread looks around by itself: an interruption may have swallowed a message
_LOOK = 1.0


class Flow:
    """The static part: which item waits for which. Items, groups of steps that run together, are numbered in program order."""

    __slots__ = ("_boxes", "edges", "followers", "items", "schedule", "sources")

    def __init__(self, items: Sequence[Sequence[Step]], schedule: Schedule) -> None:
        self.items, self.schedule = items, schedule
        self.edges = depend.edges(items, schedule)
        self._order_exchanges()
        self.followers: list[list[int]] = [[] for _ in items]
        for k, found in enumerate(self.edges):
            for earlier in found:
                self.followers[earlier].append(k)
        self.sources = [k for k, found in enumerate(self.edges) if not found]
        self._boxes: dict[int, list[Box]] = {}  # by the launch's scalar slot

    def _order_exchanges(self) -> None:
        """Ranks exchange data in the order of the program, whichever point of a task ends first."""
        last: list[int] = []
        for k, (step, *_) in enumerate(self.items):
            if isinstance(step, Call) and "what" in dict(step.spec.options):
                self.edges[k] += last
                last = [k]

    def boxes(self, task: Task) -> list[Box]:
        """The whole arguments of a launch of one point."""
        found = self._boxes.get(task.launch)
        if found is None:
            found = [task.partition.box(k, ()) for k in range(len(task.arguments))]
            self._boxes[task.launch] = found
        return found


class FlowRun:
    """One run. `run` may be called again after an interruption; what was begun is not begun again.

    With `hold` it is for others to say what becomes of what bodies raise, as other ranks run points of the same launches: it is
    in `raised`, by the launch's scalar slot with the first point that raised, and everything is run nevertheless.
    """

    def __init__(self, flow: Flow, buffers: list[Buffer], scalars: list[Any], hold: bool = False) -> None:
        self.hold = hold
        self.raised: dict[int, tuple[tuple[int, ...], Exception]] = {}
        self.flow, self.buffers, self.scalars = flow, buffers, scalars
        self.waiting = [len(found) for found in flow.edges]
        self.ready = list(flow.sources)
        heapify(self.ready)
        self.left = len(flow.edges)
        self.going: dict[int, Attempt] = {}
        self.own: list[tuple[Attempt, int]] = []
        self.done: SimpleQueue[None] = SimpleQueue()
        self.failed: dict[int, BaseException] = {}  # by the launch's scalar slot

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
        """The outputs, by number, whose values were not computed, and why."""
        return {
            k: error
            for k, after in enumerate(self.flow.schedule.after)
            if (error := self._cause(after)) is not None
        }

    def _cause(self, after: int) -> BaseException | None:
        """What the first of these launches (one bit for each) that failed raised, as it is kept; None when none did."""
        return next((self.scalars[slot].error for slot in self.failed if after >> slot & 1), None)

    def _start(self, k: int, perform: Callable[[int], None]) -> None:
        (step, *_) = self.flow.items[k]
        cause = None if isinstance(step, Launch) else self._cause(step.after)
        if isinstance(step, Task) and cause is None and self._is_small(step):
            heappop(self.ready)
            error = run_alone(step, self.flow.boxes(step), self.buffers, self.scalars)
            if error is not None:
                self.failed[step.launch] = error
                del error  # its frames lead back to this one
            self._complete(k)
            return
        if isinstance(step, Task) and cause is None:
            self.going[k] = attempt = begin(step, self.buffers, self.scalars, self.hold)
            heappop(self.ready)
            jobs = [(attempt, number) for number in range(len(attempt.points))]
            if step.spec.concurrent:
                crew.want(sum(a.left for a in self.going.values()) - 1)
                for _ in jobs[1:]:
                    crew.jobs.put((*jobs.pop(), self.done))
            self.own.extend(jobs)
            if not jobs:  # no point is this rank's
                self._ended(k)
            return
        if isinstance(step, Task):
            self.scalars[step.launch].error = cause
        elif cause is None:  # kernels run on what a failed launch left: others may share them
            perform(k)
        heappop(self.ready)
        self._complete(k)

    def _is_small(self, step: Task) -> bool:
        """Whether a launch is run where it is found, before others are looked at: one point of a short body."""
        if self.hold:
            return False
        partition = step.partition
        single = not (partition.launch or partition.images)
        return single and is_short(step.spec.name) and not step.spec.concurrent

    def _share(self) -> None:
        """Leave all but one of the points at hand to the crew, if there is one and they are not short."""
        workers = threads.get_threads() - 1
        if len(self.own) > 1 and workers:
            crew.want(workers)
            kept = self.own[:1]
            for attempt, number in self.own[:0:-1]:
                if is_short(attempt.call.name):
                    kept.append((attempt, number))
                else:
                    crew.jobs.put((attempt, number, self.done))
            self.own = kept

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
        (step,) = self.flow.items[k]
        assert isinstance(step, Task)
        if attempt.raised:
            self.raised[step.launch] = min(attempt.raised.items(), key=lambda item: item[0])
            attempt.raised.clear()
        if error is not None:
            self.failed[step.launch] = error
        del self.going[k]
        self._complete(k)

    def _complete(self, k: int) -> None:
        self.left -= 1
        for follower in self.flow.followers[k]:
            self.waiting[follower] -= 1
            if not self.waiting[follower]:
                heappush(self.ready, follower)
