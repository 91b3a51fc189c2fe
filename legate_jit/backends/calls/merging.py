"""Sorting and argsorting on all threads: parts sorted by NumPy, then merged by kernels of our own.

Works on 1-d arrays of the dtypes irregular kernels take. Knows no graph.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from legate_jit.backends import memory
from legate_jit.backends.calls.irregular import (
    SMALL,
    address,
    block_of,
    code_of,
    compiled,
    numbers,
    run,
    units_of,
)
from legate_jit.backends.calls.loops import Loops, element_type
from legate_jit.backends.pool import threads
from legate_jit.ir import dtypes

__all__ = ["merge_argsort", "merge_runs", "merge_sort"]

#: merges of one unit that advance in step, so that their chains of loads and comparisons overlap
_STREAMS = 4


class _Stream(NamedTuple):
    """One merge: variables i and j (next elements of a and b) and where each part ends."""

    i: str
    i1: str
    j: str
    j1: str


@functools.cache
def _merge_kernel(code: str, places: bool) -> int:
    """words: a, its size, b, its size, block of the result, out; with `places` also an int64 beside each element of a and b, and
    where those go. No NaN; equal elements of a come first."""
    f, kind = Loops(), element_type(code)
    a, na, b, nb, block, out, beside_a, beside_b, beside_out = f.words("pnpnnpppp")
    total = f.add(na, nb)

    def stream(first: str, stop: str) -> _Stream:
        i0, i1 = _split(f, code, a, na, b, nb, first), _split(f, code, a, na, b, nb, stop)
        j0, j1 = f.let(f"sub i64 {first}, {i0}"), f.let(f"sub i64 {stop}, {i1}")
        return _Stream(f.variable("i64", i0), i1, f.variable("i64", j0), j1)

    def together(streams: list[_Stream]) -> None:
        """As many steps as certainly end inside both parts of every stream, again and again."""
        with f.repeat() as over:
            steps = ""
            for s in streams:
                left_a = f.let(f"sub i64 {s.i1}, {f.get('i64', s.i)}")
                left_b = f.let(f"sub i64 {s.j1}, {f.get('i64', s.j)}")
                least = f.smaller(left_a, left_b)
                steps = f.smaller(steps, least) if steps else least
            f.leave_if(f.let(f"icmp sle i64 {steps}, 0"), over)
            with f.loop("0", steps):
                for s in streams:
                    at, bt = f.get("i64", s.i), f.get("i64", s.j)
                    u, v = f.load(kind, a, at), f.load(kind, b, bt)
                    from_b = f.below(code, v, u)
                    f.store(kind, out, f.add(at, bt), f.choose(kind, from_b, v, u))
                    if places:
                        p, q = f.load("i64", beside_a, at), f.load("i64", beside_b, bt)
                        f.store("i64", beside_out, f.add(at, bt), f.choose("i64", from_b, q, p))
                    one = f.let(f"zext i1 {from_b} to i64")
                    f.set("i64", s.j, f.add(bt, one))
                    f.set("i64", s.i, f.add(at, f.let(f"sub i64 1, {one}")))

    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, total, block)
        part = f.let(f"udiv i64 {f.let(f'sub i64 {stop}, {first}')}, {_STREAMS}")
        cuts = [f.add(first, f.times(part, str(k))) for k in range(_STREAMS)] + [stop]
        streams = [stream(x, y) for x, y in itertools.pairwise(cuts)]
        together(streams)
        for s in streams:
            together([s])
            for rest, end, source, beside in ((s.i, s.i1, a, beside_a), (s.j, s.j1, b, beside_b)):
                k0 = f.add(f.get("i64", s.i), f.get("i64", s.j))
                from_ = f.get("i64", rest)
                shift = f.let(f"sub i64 {k0}, {from_}")
                with f.loop(from_, end) as m:
                    f.store(kind, out, f.add(m, shift), f.load(kind, source, m))
                    if places:
                        f.store("i64", beside_out, f.add(m, shift), f.load("i64", beside, m))
                f.set("i64", rest, end)
    return compiled(f, optimize=1)  # unrolling, which comes above that, costs time and gains nothing here


def _split(f: Loops, code: str, a: str, na: str, b: str, nb: str, place: str) -> str:
    """How many of the first `place` elements of the merged result come from a."""
    kind = element_type(code)
    least = f.let(f"sub i64 {place}, {nb}")
    low = f.variable("i64", f.let(f"select i1 {f.let(f'icmp sgt i64 {least}, 0')}, i64 {least}, i64 0"))
    high = f.variable("i64", f.smaller(place, na))
    with f.repeat() as over:
        lo, hi = f.get("i64", low), f.get("i64", high)
        f.leave_if(f.let(f"icmp sge i64 {lo}, {hi}"), over)
        mid = f.let(f"lshr i64 {f.add(lo, hi)}, 1")
        other = f.let(f"sub i64 {f.let(f'sub i64 {place}, {mid}')}, 1")
        b_first = f.below(code, f.load(kind, b, other), f.load(kind, a, mid))
        f.set("i64", high, f.let(f"select i1 {b_first}, i64 {mid}, i64 {hi}"))
        f.set("i64", low, f.let(f"select i1 {b_first}, i64 {lo}, i64 {f.add(mid, '1')}"))
    return f.get("i64", low)


def _merge(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Merge two sorted arrays, NaNs last, into `out`."""
    na, nb = numbers(a), numbers(b)
    block = 1 << 16
    words = (address(a), na, address(b), nb, block, address(out))
    run(_merge_kernel(dtypes.code(a.dtype), False), units_of(na + nb, block), *words, 0, 0, 0)
    out[na + nb : na + nb + len(a) - na] = a[na:]
    out[len(out) - (len(b) - nb) :] = b[nb:]


def merge_runs(
    runs: Sequence[np.ndarray], beside: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Sorted 1-d arrays (NaNs last) of one dtype merged into one, equal elements in the order of the runs, and int64 arrays that
    lie beside them in the same way. None when NumPy should do it."""
    code = code_of(runs[0], 0)
    if code is None or sum(map(len, runs)) < SMALL or any(code_of(r, 0) is None for r in runs):
        return None
    level = [(run, None if beside is None else beside[k]) for k, run in enumerate(runs)]
    while len(level) > 1:
        pairs = itertools.zip_longest(level[::2], level[1::2])
        level = [a if b is None else _merged(code, *a, *b) for a, b in pairs]
    return level[0]


def _merged(
    code: str, a: np.ndarray, beside_a: np.ndarray | None, b: np.ndarray, beside_b: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    out = memory.allocate(a.nbytes + b.nbytes).as_numpy((len(a) + len(b),), a.dtype, True)
    if beside_a is None or beside_b is None:
        _merge(a, b, out)
        return out, None
    na, nb, block = numbers(a), numbers(b), 1 << 16
    places = memory.allocate(beside_a.nbytes + beside_b.nbytes).as_numpy(out.shape, np.int64, True)
    words = (address(a), na, address(b), nb, block, address(out))
    merge = _merge_kernel(code, True)
    run(merge, units_of(na + nb, block), *words, address(beside_a), address(beside_b), address(places))
    for x, y, to in ((a[na:], b[nb:], out), (beside_a[na:], beside_b[nb:], places)):
        np.concatenate([x, y], out=to[na + nb :])
    return out, places


def _parts_of(x: np.ndarray, out: np.ndarray) -> int:
    """Into how many parts (a power of two) to sort x; 1: leave it to NumPy."""
    code = code_of(x, 1 << 18)
    if code is None or x.ndim != 1 or not out.flags.c_contiguous:
        return 1
    return min(1 << (threads.get_threads().bit_length() - 1), 8)


def merge_sort(x: np.ndarray, out: np.ndarray) -> bool:
    """Sort a 1-d array into `out`: parts sorted by NumPy on a thread each, then merged on all of them."""
    parts = _parts_of(x, out)
    if parts < 2 or out.dtype != x.dtype:
        return False
    bounds = [x.size * k // parts for k in range(parts + 1)]
    source = memory.allocate(x.nbytes).as_numpy(x.shape, x.dtype, True)
    _in_parallel(_sort_part, [(x[a:b], source[a:b]) for a, b in itertools.pairwise(bounds)])
    target = out
    while len(bounds) > 2:
        for a, m, b in zip(bounds[::2], bounds[1::2], bounds[2::2], strict=False):
            _merge(source[a:m], source[m:b], target[a:b])
        bounds = bounds[::2]
        source, target = target, source
    if source is not out:
        out[...] = source
    return True


def merge_argsort(x: np.ndarray, out: np.ndarray, kind: str | None) -> bool:
    """`numpy.argsort(x, kind=kind)` of a 1-d array without NaN into `out` (int64), in the same way; stable if the kind is."""
    parts = _parts_of(x, out)
    if parts < 2 or out.dtype != np.int64 or (x.dtype.kind == "f" and np.isnan(x.min())):
        return False
    bounds = [x.size * k // parts for k in range(parts + 1)]
    keys, more_keys = (memory.allocate(x.nbytes).as_numpy(x.shape, x.dtype, True) for _ in range(2))
    source = memory.allocate(out.nbytes).as_numpy(out.shape, out.dtype, True)
    work = [(x, a, b, keys, source, kind) for a, b in itertools.pairwise(bounds)]
    _in_parallel(_argsort_part, work)
    target, block = out, 1 << 16
    kernel = _merge_kernel(dtypes.code(x.dtype), True)
    while len(bounds) > 2:
        for a, m, b in zip(bounds[::2], bounds[1::2], bounds[2::2], strict=False):
            places = [address(v) for v in (source[a:], source[m:], target[a:])]
            words = (address(keys[a:]), m - a, address(keys[m:]), b - m, block, address(more_keys[a:]))
            run(kernel, units_of(b - a, block), *words, *places)
        bounds = bounds[::2]
        source, target, keys, more_keys = target, source, more_keys, keys
    if source is not out:
        out[...] = source
    return True


def _sort_part(given: np.ndarray, copy: np.ndarray) -> None:
    copy[...] = given
    copy.sort()


def _argsort_part(
    x: np.ndarray, first: int, stop: int, keys: np.ndarray, places: np.ndarray, kind: Any
) -> None:
    order = np.argsort(x[first:stop], kind=kind)
    np.take(x[first:stop], order, out=keys[first:stop], mode="wrap")
    np.add(order, first, out=places[first:stop])


def _in_parallel(work: Callable[..., None], parts: list[tuple[Any, ...]]) -> None:
    """Do the work on every part, on a thread each; NumPy lets go of the interpreter's lock while it works."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(parts) - 1) as pool:
        waiting = [pool.submit(work, *part) for part in parts[1:]]
        work(*parts[0])
        for done in waiting:
            done.result()
