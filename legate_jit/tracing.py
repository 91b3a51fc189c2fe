"""Automatic traces: find the loop in what was recorded, so that windows end at its boundary and their plans are found again.

Works on the flat tape only (signatures and value numbers); every decision depends on the recorded stream alone, so all ranks
decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS, Kind

_BUFFER = OPS["buffer"]


class Trace(NamedTuple):
    """A loop found at the end of a tape: instructions per iteration, how many more instructions until its best boundary, and
    the signature of the last instruction before that boundary."""

    period: int
    wait: int
    last: Signature


def find(code: Sequence[Any]) -> Trace | None:
    """The loop that the end of the tape repeats, if any."""
    signatures, sources, values = _instructions(code)
    period = _period(signatures)
    if period is None:
        return None
    offset = _best_boundary(signatures, sources, values, period)
    return Trace(period, offset, signatures[len(signatures) - period + offset - 1])


def ends_with(code: Sequence[Any], last: Signature) -> bool:
    """Whether the tape's last instruction has signature `last`."""
    at = len(code) - 1 - last.nsrc
    return at >= 0 and code[at] is last


def _instructions(code: Sequence[Any]) -> tuple[list[Signature], list[Sequence[int]], list[int]]:
    """Signatures, operand numbers and value numbers of the tape's instructions, inputs left out."""
    signatures: list[Signature] = []
    sources: list[Sequence[int]] = []
    values: list[int] = []
    i, value = 0, 0
    while i < len(code):
        sig = code[i]
        stop = i + 1 + sig.nsrc
        if sig.op is not _BUFFER:
            signatures.append(sig)
            sources.append(code[i + 1 : stop])
            values.append(value)
        value += 1
        i = stop
    return signatures, sources, values


def _period(tokens: list[Signature]) -> int | None:
    """Smallest period of the longest suffix that holds at least two whole repetitions (failure function of the reversal)."""
    reverse = tokens[::-1]
    n = len(reverse)
    failure = [0] * n
    k = 0
    best: int | None = None
    for i in range(1, n):
        while k and reverse[i] is not reverse[k]:
            k = failure[k - 1]
        if reverse[i] is reverse[k]:
            k += 1
        failure[i] = k
        period = i + 1 - k
        if 2 * period <= i + 1:
            best = period
    return best


def _best_boundary(
    signatures: list[Signature], sources: list[Sequence[int]], values: list[int], period: int
) -> int:
    """How many instructions after the end of the tape the fewest values are in flight (1..period), a write to an array just done.

    Counted on the last two iterations: a boundary after instruction t is crossed by every value defined up to t and used in the
    iteration after it. Of equals, rather not after a write of a computed value, which whoever writes it still has then, and
    rather after the last of several writes.
    """
    n = len(signatures)
    computed = {
        v
        for v, sig in zip(values, signatures, strict=True)
        if sig.op.kind not in (Kind.MOVE, Kind.UPDATE, Kind.SCALAR)
    }
    start = n - 2 * period
    best, best_cost = period, None
    for t in range(period):
        at = start + t  # boundary after instruction `at`
        limit = values[at]
        crossing = {s for k in range(at + 1, at + 1 + period) for s in sources[k] if s <= limit}
        held = any(s in computed for s in sources[at][-1:])
        writing = signatures[at + 1].op.kind is Kind.UPDATE
        cost = (len(crossing), signatures[at].op.kind is not Kind.UPDATE, held, writing, t)
        if best_cost is None or cost < best_cost:
            best_cost, best = cost, t + 1
    return best
