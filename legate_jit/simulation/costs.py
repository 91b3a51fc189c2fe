"""Costs: what one run of a plan does on one rank, counted from its schedule.

Messages are counted as `exchanging` and `comm` send them; what only estimates exist for (collectives) says so. Pure, but for
asking them how they combine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from legate_jit.collectives.halos import sliding
from legate_jit.comm.exchange import routes
from legate_jit.ir import dtypes, index
from legate_jit.ir.ops import OPS
from legate_jit.ir.ranks import layout, neighbors
from legate_jit.ir.ranks.distribute import Distributed
from legate_jit.ir.ranks.exchanges import Collective, Combine, Fetch
from legate_jit.ir.ranks.layout import Layout, Need, Window
from legate_jit.ir.rewrite import EXCHANGES
from legate_jit.ir.steps import Call, Launch, Schedule, Task
from legate_jit.ranks import exchanging

__all__ = ["Cost", "Flows", "Work", "added", "cost_of", "fetched", "operations", "traffic"]


@dataclass(slots=True)
class Flows:
    """Exchanges of one kind: how many, and the messages and bytes that the rank sends and receives in them."""

    exchanges: int = 0
    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0

    def add(self, other: Flows, times: int = 1) -> None:
        """Count others as well."""
        self.exchanges += times * other.exchanges
        self.sent += times * other.sent
        self.sent_bytes += times * other.sent_bytes
        self.received += times * other.received
        self.received_bytes += times * other.received_bytes


class Work(NamedTuple):
    """A library call: bytes of its operands and results, operations, and the bytes of an element if they are those of a matrix
    product (else 0)."""

    moved: int
    operations: int
    gemm: int = 0


@dataclass(slots=True)
class Cost:
    """What one run of a window is on one rank. launches: bytes and operations of each. scratch: bytes of its results and of what
    is between; staging: bytes of the largest exchange's messages, which may need memory too."""

    values: int = 0
    launches: list[tuple[int, int]] = field(default_factory=list)
    calls: list[Work] = field(default_factory=list)
    exchanges: dict[str, Flows] = field(default_factory=dict)
    scratch: int = 0
    staging: int = 0

    @property
    def moved(self) -> int:
        """Bytes between memory and kernels or calls."""
        return sum(moved for moved, _ in self.launches) + sum(each.moved for each in self.calls)

    @property
    def operations(self) -> int:
        """Operations of kernels and calls."""
        return sum(done for _, done in self.launches) + sum(each.operations for each in self.calls)


def added(flows: dict[str, Flows], more: dict[str, Flows], times: int = 1) -> None:
    """Count the exchanges of a run of a window so many times."""
    for kind, each in more.items():
        flows.setdefault(kind, Flows()).add(each, times)


def cost_of(schedule: Schedule, local: Distributed, rank: int, ranks: int, values: int) -> Cost:
    """The cost of a rank's schedule, which was made of its graph `local`."""
    estimates = {each.what: each.bytes for each in local.exchanges}
    cost = Cost(values, scratch=sum(schedule.slots))
    begun: set[Fetch] = set()
    for step in schedule.steps:
        match step:
            case Launch():
                cost.launches.append((traffic(step, schedule), operations(step)))
            case Call() if step.spec.name == "begin":
                fetches = dict(step.spec.options)["fetches"]
                begun.update(fetches)
                kind, flows = _together(fetches, step.arguments[0].type.dtype.itemsize, rank, ranks)
                _exchanged(cost, kind, flows)
            case Call() if step.spec.name in EXCHANGES:
                what = dict(step.spec.options)["what"]
                if what in begun:
                    continue  # counted when it began
                if isinstance(what, Collective):
                    cost.calls.append(_local(what, step))
                kind, flows = _exchange(what, step, rank, ranks, estimates.get(what, 0))
                _exchanged(cost, kind, flows, _steps(what) if _is_product(what) else 1)
            case Call():
                cost.calls.append(_work(step))
            case Task():
                cost.calls.append(Work(sum(a.type.nbytes for a in step.arguments), 0))
    return cost


def _exchanged(cost: Cost, kind: str, flows: Flows, steps: int = 1) -> None:
    """Count an exchange; its messages need memory one step at a time."""
    cost.exchanges.setdefault(kind, Flows()).add(flows)
    cost.staging = max(cost.staging, (flows.sent_bytes + flows.received_bytes) // steps)


def _is_product(what: Fetch | Combine | Collective) -> bool:
    return isinstance(what, Collective) and what.name == "matmul"


def traffic(step: Launch, schedule: Schedule) -> int:
    """Bytes that a launch reads and writes, elements that it reads through several views counted once."""
    read: dict[int, int] = {}
    written: dict[int, int] = {}
    nest = step.nest
    for operand, place, storage in zip(nest.kernel.operands, nest.places, step.storages, strict=True):
        if storage < 0:
            continue
        moved = dtypes.from_code(operand.dtype).itemsize
        for n, s in zip(nest.extents, place.strides, strict=True):
            moved *= n if s else 1
        if nest.kernel.blocked and place.block_stride:
            moved *= max(nest.nblocks, 1)
        for mode, into in (("r", read), ("w", written)):
            if mode in operand.mode:
                into[storage] = into.get(storage, 0) + moved
    return sum(
        min(moved, schedule.storages[storage].nbytes or moved)
        for into in (read, written)
        for storage, moved in into.items()
    )


#: instructions of a kernel that compute nothing
_FREE = frozenset({"load", "scalar", "const", "reduced"})


def operations(step: Launch) -> int:
    """Simple operations of a launch: those of every instruction, for every element it is computed for."""
    kernel, extents = step.nest.kernel, step.nest.extents
    kept = math.prod(extents[: kernel.ndim - kernel.nreduced]) if kernel.kind == "row" else 1
    total = 0
    for section in kernel.sections:
        elements = math.prod(extents) if section.level == "inner" else kept
        done = sum(OPS[i.op].cost if i.op in OPS else 1 for i in section.instrs if i.op not in _FREE)
        total += elements * (done + len(section.reduces))
    return total


# ---- calls -------------------------------------------------------------------------------------------------------------


def _work(step: Call) -> Work:
    """What a library call does. Names without a rule move their operands and results once."""
    types = [a.type for a in step.arguments]
    results = [t for _, t in step.results]
    moved = sum(t.nbytes for t in (*types, *results))
    largest = max((t.size for t in (*types, *results)), default=0)
    match step.spec.name:
        case "matmul":
            inner = types[0].shape[-1] if types[0].shape else 1
            real = 2 if results[0].dtype.kind != "c" else 8
            item = results[0].dtype.itemsize // (1 if real == 2 else 2)
            return Work(moved, real * results[0].size * inner, item if results[0].dtype.kind in "fc" else 0)
        case "fft":
            return Work(moved, int(5 * largest * math.log2(max(largest, 2))))
        case "sort" | "argsort" | "partition" | "argpartition" | "searchsorted":
            return Work(moved, int(4 * largest * math.log2(max(largest, 2))))
        case _:
            return Work(moved, largest)


# ---- exchanges ---------------------------------------------------------------------------------------------------------


def _exchange(
    what: Fetch | Combine | Collective, step: Call, rank: int, ranks: int, estimate: int
) -> tuple[str, Flows]:
    match what:
        case Fetch():
            return _together([what], step.results[0][1].dtype.itemsize, rank, ranks)
        case Combine():
            messages, sent = exchanging.combined(what, step.arguments[0].type, rank, ranks)
            return "combine", Flows(1, messages, sent, messages, sent)
        case Collective(name="matmul"):
            return "collective", _product(what, rank, ranks)
        case Collective(name="convolve" | "correlate"):
            way = routes(rank, sliding(what, ranks))
            sent, received = (
                what.dtype.itemsize * sum(math.prod(p.shape) for p in parts) for parts in way[1:]
            )
            return "halo", Flows(1, len(way.sends), sent, len(way.receives), received)
        case Collective(name="fft"):
            item = np.result_type(what.dtype, np.complex64).itemsize
            whole = max(math.prod(of.shape) for of in (*what.operands, what.result)) * item
            turns = max(1, round(estimate * ranks / (max(ranks - 1, 1) * max(whole, 1))))
            share, others = estimate // ranks, turns * (ranks - 1)  # so many redistributions
            return "collective", Flows(turns, others, share, others, share)
        case Collective():
            share, others = estimate // ranks, 2 * (ranks - 1)  # sizes first, then data, with everybody
            return "collective", Flows(1, others, share, others, share)


def _product(what: Collective, rank: int, ranks: int) -> Flows:
    """Panels of both operands, which come in steps (`collectives.products`)."""
    steps, item = _steps(what), what.dtype.itemsize
    flows = Flows()
    for of, kept in zip(what.operands, (0, 1), strict=True):
        panel = what.result.picked((0, -1) if kept == 0 else (-1, 1), of.shape, lossy=True)
        panel = panel or layout.replicated(of.shape)
        if panel == of:
            continue
        wanted = Window((Need(panel, index.identity(of.shape)),))
        sent, received = neighbors.sent(of, wanted, rank, ranks), neighbors.received(of, wanted, rank)
        # Whoever has all along the sum sends in every step.
        again = steps if of.spans[1 - kept].dim < 0 else 1
        flows.add(
            Flows(
                steps,
                again * sent.messages,
                item * sent.elements,
                again * received.messages,
                item * received.elements,
            )
        )
    return flows


def _steps(what: Collective) -> int:
    """How many steps the panels come in."""
    (a, b), result = what.operands, what.result
    rows, columns = layout.extents(result.box(0))
    shares = layout.size(a.box(0)) + layout.size(b.box(0))
    return -(-a.shape[1] // max(1, shares // max(rows + columns, 1)))


def _local(what: Collective, step: Call) -> Work:
    """What a rank computes itself of a collective."""
    moved = sum(a.type.nbytes for a in step.arguments) + sum(t.nbytes for _, t in step.results)
    largest = max((a.type.size for a in step.arguments), default=0)
    rounds = math.log2(max(math.prod(what.result.shape), 2))
    match what.name:
        case "matmul":
            real = 2 if what.dtype.kind != "c" else 8
            item = what.dtype.itemsize // (1 if real == 2 else 2)
            done = real * step.results[0][1].size * what.operands[0].shape[1]
            return Work(moved, done, item if what.dtype.kind in "fc" else 0)
        case "fft":
            return Work(moved, int(5 * largest * rounds))
        case "take":
            return Work(moved, largest)
        case _:
            return Work(moved, int(4 * largest * rounds))


def _together(fetches: Sequence[Fetch], item: int, rank: int, ranks: int) -> tuple[str, Flows]:
    """Fetches of one array that are begun as one, named after the first."""
    source = fetches[0].source
    flows = fetched(source, [f.wanted for f in fetches], item, rank, ranks)
    return neighbors.kind(source, fetches[0].wanted), flows


def fetched(source: Layout, wanted: Sequence[Window], item: int, rank: int, ranks: int) -> Flows:
    """What it takes to get some boxes of one array, whose elements have so many bytes: a message to, and one from, each rank."""
    sent, received = neighbors.joint(source, wanted, rank, ranks)
    return Flows(1, sent.messages, item * sent.elements, received.messages, item * received.elements)
