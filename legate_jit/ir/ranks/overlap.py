"""Overlap: ranks begin to exchange data as early as they can and wait for it as late as they can; in between they compute.

The last pass of a rank's schedule. A call `begin` is added for every group of fetches (see `ir.exchanges`): it sends what the
others need and expects what they send; the calls `fetch` finish. Everything that needs no data on its way is done first. Every
rank starts its exchanges in the order of their numbers, whatever else it does in between: then nobody waits for a rank that
waits for him. Must not know messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import Any

from legate_jit.ir import depend
from legate_jit.ir.build import CallSpec
from legate_jit.ir.ranks.exchanges import Fetch
from legate_jit.ir.steps import Call, Schedule, Step, Task


def overlap(schedule: Schedule, rank: int, ranks: int) -> Schedule:
    """The schedule of a rank, its steps in another order, with a `begin` for every group of fetches. The steps stay as they are
    when there is none, or tasks, whose steps are ordered when they run."""
    schedule = replace(schedule, place=(rank, ranks))
    if any(isinstance(s, Task) for s in schedule.steps):
        return schedule
    steps = _with_begins(schedule.steps)
    if not any(isinstance(s, Call) and s.spec.name == "begin" for s in steps):
        return schedule
    return replace(schedule, steps=tuple(steps[k] for k in _order(steps, schedule)))


def _what(step: Step) -> Any:
    """The exchange that a step carries out, or None."""
    return dict(step.spec.options).get("what") if isinstance(step, Call) else None


def _with_begins(steps: Sequence[Step]) -> list[Step]:
    """The steps with a `begin` before the first fetch of every group. Fetches that get nothing are left out, but for one of a
    group of such: there the rank sees to it that what it sent has left."""
    groups: dict[int, list[Fetch]] = {}
    finishes: dict[int, int] = {}
    for step in steps:
        what = _what(step)
        if isinstance(what, Fetch) and what.group >= 0:
            assert isinstance(step, Call)
            groups.setdefault(what.group, []).append(what)
            finishes[what.group] = finishes.get(what.group, 0) + _gets(step)
    result: list[Step] = []
    for step in steps:
        what = _what(step)
        if not isinstance(what, Fetch) or what.group < 0:
            result.append(step)
            continue
        assert isinstance(step, Call)
        fetches = groups.pop(what.group, None)
        if fetches is not None:
            spec = CallSpec("begin", (("fetches", tuple(fetches)),))
            result.append(Call(spec, step.arguments, ()))
        if _gets(step) or not finishes[what.group]:
            finishes[what.group] += not _gets(step)
            result.append(step)
    return result


def _gets(step: Call) -> bool:
    """Whether the rank's result of a fetch has any elements."""
    ((_, type_),) = step.results
    return type_.size > 0


def _order(steps: Sequence[Step], schedule: Schedule) -> list[int]:
    """Positions of the steps in the order in which they run."""
    waits = depend.edges([[s] for s in steps], schedule)
    urgency = [1] * len(steps)
    begun: dict[int, int] = {}
    mates: dict[int, list[int]] = {}  # of a `begin`: what finishes
    last = -1
    for k, step in enumerate(steps):
        what, starts = _what(step), False
        if isinstance(step, Call) and step.spec.name == "begin":
            starts, urgency[k] = True, 0
            begun |= dict.fromkeys((f.number for f in dict(step.spec.options)["fetches"]), k)
        elif isinstance(what, Fetch) and what.number in begun:
            waits[k].append(begun[what.number])
            mates.setdefault(begun[what.number], []).append(k)
            urgency[k] = 3
        elif what is not None:
            starts, urgency[k] = True, 2
        if starts:
            waits[k] += [last] * (last >= 0)
            last = k
    return _sorted(waits, urgency, {k: group for group in mates.values() for k in group})


def _sorted(
    waits: Sequence[Sequence[int]], urgency: Sequence[int], mates: Mapping[int, Sequence[int]]
) -> list[int]:
    """Everything after what it waits for; of what is ready the most urgent (0) first, then as before. Mates, for whom one message
    is waited, follow each other if they can."""
    left = [len(set(found)) for found in waits]
    followers: list[list[int]] = [[] for _ in waits]
    for k, found in enumerate(waits):
        for earlier in set(found):
            followers[earlier].append(k)
    ready = [(urgency[k], k) for k, n in enumerate(left) if not n]
    heapify(ready)
    result: list[int] = []
    done = [False] * len(left)
    while ready:
        _, first = heappop(ready)
        for k in (first, *(m for m in mates.get(first, ()) if not left[m])):
            if done[k]:
                continue
            done[k] = True
            result.append(k)
            for follower in followers[k]:
                left[follower] -= 1
                if not left[follower]:
                    heappush(ready, (urgency[follower], follower))
    return result


__all__ = ["overlap"]
