"""Irregular kernels on all threads: counting, histograms, searching, running sums, selection.

Each is a scalar loop emitted by `loops`, compiled once per dtype and run by the thread pool over blocks whose number depends on
sizes only, so that results do not depend on the number of threads. They work on contiguous NumPy arrays; what they cannot take
(small, strided, odd dtypes) they refuse with None, and the caller asks NumPy. Knows no graph.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from legate_jit.backends import native
from legate_jit.backends.calls.loops import Loops, element_type, item_bytes
from legate_jit.backends.pool import threads
from legate_jit.ir import dtypes

__all__ = [
    "compress",
    "count",
    "extent",
    "histogram",
    "positions",
    "running_sum",
    "search",
]

#: arrays with fewer elements are left to NumPy: starting threads and compiling would not pay
SMALL = 1 << 17
#: elements of one unit of work
BLOCK = 1 << 15
#: most bins that get private counters per unit
MOST_BINS = 1 << 16

_KINDS = frozenset(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))

_ENTRY = "irregular"
_codes: list[native.NativeCode] = []


def code_of(x: np.ndarray, smallest: int = SMALL) -> str | None:
    """The dtype code of an array kernels can take, else None."""
    if x.size < smallest or not x.flags.c_contiguous or not dtypes.is_supported(x.dtype):
        return None
    code = dtypes.code(x.dtype)
    return code if code in _KINDS else None


def compiled(loops: Loops, optimize: int = 2) -> int:
    code = native.compile_ir(loops.text(_ENTRY, native.host_triple()), (_ENTRY,), optimize=optimize)
    _codes.append(code)
    return code.address(_ENTRY)


def address(x: np.ndarray) -> int:
    return int(x.__array_interface__["data"][0])


def _bits(value: float) -> int:
    return int(struct.unpack("=q", struct.pack("=d", value))[0])


def run(kernel: int, units: int, *words: int) -> None:
    """Run a kernel over units on the pool, without the interpreter's lock."""
    args = (ctypes.c_int64 * len(words))(*words)
    record = (ctypes.c_int64 * threads.RECORD_WORDS)(kernel, ctypes.addressof(args), units, 1)
    threads.run_program(ctypes.addressof(record), 0, 1, 0, 1)


def units_of(size: int, block: int = BLOCK) -> int:
    return max(1, -(-size // block))


def block_of(f: Loops, unit: str, size: str, block: str) -> tuple[str, str]:
    """First and past-the-last element of a unit."""
    first = f.times(unit, block)
    return first, f.smaller(f.add(first, block), size)


def _whole_steps(f: Loops, first: str, stop: str, step: int) -> str:
    """Where the last whole step (a power of two) from first ends."""
    return f.add(first, f.let(f"and i64 {f.let(f'sub i64 {stop}, {first}')}, {-step}"))


def _widened(f: Loops, code: str, value: str) -> str:
    """An integer element as i64."""
    kind = element_type(code)
    if kind == "i64":
        return value
    return f.let(f"{'sext' if code[0] == 'i' else 'zext'} {kind} {value} to i64")


# ---- range of values ---------------------------------------------------------------------------------------------


@functools.cache
def _extent_kernel(code: str) -> int:
    """words: x, size, block, least per unit, greatest per unit. NaN spreads."""
    f, kind = Loops(), element_type(code)
    x, size, block, low, high = f.words("pnnpp")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        start = f.load(kind, x, first)
        least, greatest = f.variable(kind, start), f.variable(kind, start)
        with f.loop(first, stop) as i:
            v = f.load(kind, x, i)
            for slot, which in ((least, "min"), (greatest, "max")):
                f.set(kind, slot, f.call(kind, _extremum(code, which), f.get(kind, slot), v))
        f.store(kind, low, unit, f.get(kind, least))
        f.store(kind, high, unit, f.get(kind, greatest))
    return compiled(f)


def _extremum(code: str, which: str) -> str:
    """LLVM's intrinsic of the least or greatest of two elements; NaN if one is."""
    kind = element_type(code)
    if code[0] == "f":
        return f"llvm.{which}imum.{'f64' if kind == 'double' else 'f32'}"
    return f"llvm.{'s' if code[0] == 'i' else 'u'}{which}.{kind}"


def extent(x: np.ndarray) -> tuple[Any, Any] | None:
    """Least and greatest element (NaN if there is one), as scalars of x's dtype."""
    code = code_of(x)
    if code is None:
        return None
    units = units_of(x.size)
    low, high = np.empty(units, x.dtype), np.empty(units, x.dtype)
    run(_extent_kernel(code), units, address(x), x.size, BLOCK, address(low), address(high))
    return low.min(), high.max()


# ---- counting ----------------------------------------------------------------------------------------------------

#: interleaved tables per unit, so that runs of equal values do not wait for each other
_TABLES = 4


@functools.cache
def _count_kernel(code: str, weighted: bool) -> int:
    """words: x, size, block, tables, bins, flags per unit, weights. A value outside [0, bins) sets the unit's flag."""
    f, kind = Loops(), element_type(code)
    x, size, block, tables, bins, flags, weights = f.words("pnnpnpp")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        row = f.times(f.times(unit, bins), str(_TABLES))
        bad = f.variable("i64", "0")

        def one(i: str, table: int) -> None:
            v = _widened(f, code, f.load(kind, x, i))
            outside = f.let(f"icmp uge i64 {v}, {bins}")
            f.set("i64", bad, f.let(f"or i64 {f.get('i64', bad)}, {f.let(f'zext i1 {outside} to i64')}"))
            safe = f.let(f"select i1 {outside}, i64 0, i64 {v}")
            spot = f.add(row, f.add(f.times(bins, str(table)), safe))
            if weighted:
                total = f.let(f"fadd double {f.load('double', tables, spot)}, {f.load('double', weights, i)}")
                f.store("double", tables, spot, total)
            else:
                f.store("i64", tables, spot, f.add(f.load("i64", tables, spot), "1"))

        whole = _whole_steps(f, first, stop, _TABLES)
        with f.loop(first, whole, _TABLES) as i:
            for table in range(_TABLES):
                one(f.add(i, str(table)), table)
        with f.loop(whole, stop) as i:
            one(i, 0)
        f.store("i64", flags, unit, f.get("i64", bad))
    return compiled(f)


def _counting_units(size: int, bins: int) -> int:
    """Few enough units that clearing and adding their tables costs little."""
    return max(1, min(64, size // (8 * _TABLES * max(bins, 1))))


def count(x: np.ndarray, minlength: int, weights: np.ndarray | None = None) -> np.ndarray | None:
    """`numpy.bincount(x, weights, minlength)` for a 1-d integer array whose values are small and not negative."""
    code = code_of(x)
    if code is None or code[0] not in "iu" or x.ndim != 1 or code == "u8":
        return None
    if weights is not None:
        if weights.shape != x.shape or not np.can_cast(weights.dtype, np.float64, "safe"):
            return None
        weights = np.ascontiguousarray(weights, np.float64)
    bins = max(minlength, int(x[:: max(1, x.size // 4096)].max()) + 1)
    for _ in range(2):
        units = _counting_units(x.size, bins)
        if not 0 < bins <= MOST_BINS or units < 2:
            return None
        tables = np.zeros((units, _TABLES, bins), np.int64 if weights is None else np.float64)
        flags = np.zeros(units, np.int64)
        block = -(-x.size // units)
        words = (address(x), x.size, block, address(tables), bins, address(flags))
        run(
            _count_kernel(code, weights is not None),
            units,
            *words,
            0 if weights is None else address(weights),
        )
        if not flags.any():
            counts = tables.reshape(-1, bins).sum(axis=0)
            if weights is not None:  # sums may be zero where values occur
                found = extent(x)
                used = bins if found is None else int(found[1]) + 1
            else:
                used = int(np.max(np.nonzero(counts)[0])) + 1
            return np.asarray(counts[: max(minlength, used)])
        found = extent(x)
        if found is None or found[0] < 0:
            return None
        bins = max(minlength, int(found[1]) + 1)
    return None


@functools.cache
def _histogram_kernel(code: str) -> int:
    """words: x, size, block, tables, bins, edges, bits of bins / (last - first)."""
    f, kind = Loops(), element_type(code)
    x, size, block, tables, bins, edges = f.words("pnnpnp")
    scale = f.number(6, kind)
    first_edge, last_edge = f.load(kind, edges, "0"), f.load(kind, edges, bins)
    top = f.let(f"sub i64 {bins}, 1")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        row = f.times(f.times(unit, bins), str(_TABLES))

        def one(i: str, table: int) -> None:
            v = f.load(kind, x, i)
            above = f.let(f"fcmp oge {kind} {v}, {first_edge}")
            below = f.let(f"fcmp ole {kind} {v}, {last_edge}")
            inside = f.let(f"and i1 {above}, {below}")
            with f.when(inside):
                share = f.let(f"fmul {kind} {f.let(f'fsub {kind} {v}, {first_edge}')}, {scale}")
                k = f.smaller(f.let(f"fptosi {kind} {share} to i64"), top)
                under = f.let(f"fcmp olt {kind} {v}, {f.load(kind, edges, k)}")
                k = f.let(f"sub i64 {k}, {f.let(f'zext i1 {under} to i64')}")
                over = f.let(f"fcmp oge {kind} {v}, {f.load(kind, edges, f.add(k, '1'))}")
                inner = f.let(f"icmp slt i64 {k}, {top}")
                k = f.add(k, f.let(f"zext i1 {f.let(f'and i1 {over}, {inner}')} to i64"))
                spot = f.add(row, f.add(f.times(bins, str(table)), k))
                f.store("i64", tables, spot, f.add(f.load("i64", tables, spot), "1"))

        whole = _whole_steps(f, first, stop, _TABLES)
        with f.loop(first, whole, _TABLES) as i:
            for table in range(_TABLES):
                one(f.add(i, str(table)), table)
        with f.loop(whole, stop) as i:
            one(i, 0)
    return compiled(f)


def histogram(x: np.ndarray, edges: np.ndarray) -> np.ndarray | None:
    """Counts of float elements in equal bins with the given edges (of x's dtype); the last bin includes its upper edge."""
    code = code_of(x)
    bins = len(edges) - 1
    if code is None or code[0] != "f" or edges.dtype != x.dtype or not 0 < bins <= MOST_BINS:
        return None
    units = _counting_units(x.size, bins)
    scale = bins / (float(edges[-1]) - float(edges[0]))
    if units < 2 or not np.isfinite(scale):
        return None
    tables = np.zeros((units, _TABLES, bins), np.int64)
    edges = np.ascontiguousarray(edges)
    block = -(-x.size // units)
    words = (address(x), x.size, block, address(tables), bins, address(edges), _bits(scale))
    run(_histogram_kernel(code), units, *words)
    return np.asarray(tables.reshape(-1, bins).sum(axis=0))


# ---- searching ---------------------------------------------------------------------------------------------------


#: needles that are searched side by side, so that their chains of loads overlap
_ABREAST = 8


@functools.cache
def _search_kernel(code: str, right: bool) -> int:
    """words: sorted numbers, how many (> 0), needles, how many, block, positions, position of a NaN needle."""
    f, kind = Loops(), element_type(code)
    table, n, needles, size, block, out, nan_place = f.words("pnpnnpn")

    def before(element: str, needle: str) -> str:
        """Whether the element stands before where the needle belongs."""
        if not right:
            return f.below(code, element, needle)
        return f.let(f"xor i1 {f.below(code, needle, element)}, true")

    def several(i: str, count: int) -> None:
        wanted = [f.load(kind, needles, f.add(i, str(k))) for k in range(count)]
        bases = [f.variable("i64", "0") for _ in wanted]
        left = f.variable("i64", n)
        with f.repeat() as over:
            now = f.get("i64", left)
            f.leave_if(f.let(f"icmp sle i64 {now}, 1"), over)
            half = f.let(f"lshr i64 {now}, 1")
            for base, v in zip(bases, wanted, strict=True):
                at = f.get("i64", base)
                probe = f.load(kind, table, f.let(f"sub i64 {f.add(at, half)}, 1"))
                f.set("i64", base, f.choose("i64", before(probe, v), f.add(at, half), at))
            f.set("i64", left, f.let(f"sub i64 {now}, {half}"))
        for k, (base, v) in enumerate(zip(bases, wanted, strict=True)):
            at = f.get("i64", base)
            place = f.add(at, f.let(f"zext i1 {before(f.load(kind, table, at), v)} to i64"))
            if code[0] == "f":
                nan = f.let(f"fcmp uno {kind} {v}, {v}")
                place = f.let(f"select i1 {nan}, i64 {nan_place}, i64 {place}")
            f.store("i64", out, f.add(i, str(k)), place)

    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        whole = _whole_steps(f, first, stop, _ABREAST)
        with f.loop(first, whole, _ABREAST) as i:
            several(i, _ABREAST)
        with f.loop(whole, stop) as i:
            several(i, 1)
    return compiled(f)


def numbers(table: np.ndarray) -> int:
    """How many elements of a sorted array stand before its NaNs."""
    return int(np.searchsorted(table, np.nan)) if table.dtype.kind == "f" else table.size


def search(table: np.ndarray, needles: np.ndarray, side: str, out: np.ndarray) -> bool:
    """`numpy.searchsorted` into `out` (int64, contiguous); False when NumPy has to do it."""
    common = np.result_type(table.dtype, needles.dtype)
    if needles.size < SMALL or not table.size or table.ndim != 1 or not out.flags.c_contiguous:
        return False
    a = np.ascontiguousarray(table, common)
    v = np.ascontiguousarray(needles, common)
    code, n = code_of(v), numbers(a)
    if code is None or n == 0:
        return False
    block, nan_place = 1 << 13, n if side == "left" else a.size
    words = (address(a), n, address(v), v.size, block, address(out), nan_place)
    run(_search_kernel(code, side == "right"), units_of(v.size, block), *words)
    return True


# ---- running sums ------------------------------------------------------------------------------------------------


@functools.cache
def _block_sum_kernel(code: str) -> int:
    """words: x, size, block, sums per unit."""
    f, kind = Loops(), element_type(code)
    x, size, block, sums = f.words("pnnp")
    add, zero = ("fadd reassoc", "0.0") if code[0] == "f" else ("add", "0")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        total = f.variable(kind, zero)
        with f.loop(first, stop) as i:
            f.set(kind, total, f.let(f"{add} {kind} {f.get(kind, total)}, {f.load(kind, x, i)}"))
        f.store(kind, sums, unit, f.get(kind, total))
    return compiled(f)


@functools.cache
def _running_kernel(code: str) -> int:
    """words: x, size, block, starts per unit, out."""
    f, kind = Loops(), element_type(code)
    x, size, block, starts, out = f.words("pnnpp")
    add = "fadd" if code[0] == "f" else "add"
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        total = f.variable(kind, f.load(kind, starts, unit))
        with f.loop(first, stop) as i:
            now = f.let(f"{add} {kind} {f.get(kind, total)}, {f.load(kind, x, i)}")
            f.set(kind, total, now)
            f.store(kind, out, i, now)
    return compiled(f)


#: elements that pass through the last-level cache between the two passes
_STRETCH = 1 << 20


def running_sum(x: np.ndarray, out: np.ndarray) -> bool:
    """Running sum of a 1-d array into `out` of the same dtype: sums of blocks, then each block from where it starts."""
    code = code_of(x)
    if code is None or x.ndim != 1 or out.dtype != x.dtype or not out.flags.c_contiguous or code == "b1":
        return False
    block = 1 << 14
    size, item = x.size, item_bytes(code)
    sums_of, running = _block_sum_kernel(code), _running_kernel(code)
    carry = x.dtype.type(0)
    with np.errstate(all="ignore"):
        for first in range(0, size, _STRETCH):
            n = min(_STRETCH, size - first)
            units = units_of(n, block)
            sums = np.empty(units + 1, x.dtype)
            run(sums_of, units, address(x) + first * item, n, block, address(sums) + item)
            sums[0] = carry
            starts = np.add.accumulate(sums, dtype=x.dtype)
            run(
                running,
                units,
                address(x) + first * item,
                n,
                block,
                address(starts),
                address(out) + first * item,
            )
            carry = starts[-1]
    return True


# ---- selection and indexed access --------------------------------------------------------------------------------


@functools.cache
def _mask_count_kernel() -> int:
    """words: mask, size, block, counts per unit."""
    f = Loops()
    mask, size, block, counts = f.words("pnnp")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        total = f.variable("i64", "0")
        with f.loop(first, stop) as i:
            one = f.let(f"zext i8 {f.load('i8', mask, i)} to i64")
            f.set("i64", total, f.add(f.get("i64", total), one))
        f.store("i64", counts, unit, f.get("i64", total))
    return compiled(f)


@functools.cache
def _compress_kernel(code: str, positions: bool) -> int:
    """words: x, mask, size, block, starts per unit, out. With `positions` the index itself is written."""
    f, kind = Loops(), "i64" if positions else element_type(code)
    x, mask, size, block, starts, out = f.words("ppnnpp")
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        at = f.variable("i64", f.load("i64", starts, unit))
        end = f.load("i64", starts, f.add(unit, "1"))
        with f.loop(first, stop) as i:
            # Every element is written; the position moves on behind selected ones. Only the last needs a test.
            now = f.get("i64", at)
            chosen = f.load("i8", mask, i)
            with f.when(f.let(f"icmp slt i64 {now}, {end}")):
                f.store(kind, out, now, i if positions else f.load(kind, x, i))
            f.set("i64", at, f.add(now, f.let(f"zext i8 {chosen} to i64")))
    return compiled(f)


def _selected(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Where each unit's selection starts, and how many elements are selected."""
    units = units_of(mask.size)
    starts = np.zeros(units + 1, np.int64)
    run(_mask_count_kernel(), units, address(mask), mask.size, BLOCK, address(starts) + 8)
    np.cumsum(starts, out=starts)
    return starts, int(starts[-1])


def compress(
    x: np.ndarray, mask: np.ndarray, make: Callable[[int], np.ndarray] | None = None
) -> np.ndarray | None:
    """`x[mask]` for arrays of one shape; `make(n)` provides the memory of n elements."""
    code = code_of(x)
    if code is None or code_of(mask) != "b1" or x.shape != mask.shape:
        return None
    starts, n = _selected(mask)
    out = np.empty(n, x.dtype) if make is None else make(n)
    words = (address(x), address(mask), mask.size, BLOCK, address(starts), address(out))
    run(_compress_kernel(code, False), units_of(mask.size), *words)
    return out


def positions(mask: np.ndarray, make: Callable[[int], np.ndarray] | None = None) -> np.ndarray | None:
    """`numpy.flatnonzero(mask)` for booleans; `make(n)` provides the memory of n of them (int64)."""
    if code_of(mask) != "b1":
        return None
    starts, n = _selected(mask)
    out = np.empty(n, np.int64) if make is None else make(n)
    words = (0, address(mask), mask.size, BLOCK, address(starts), address(out))
    run(_compress_kernel("i8", True), units_of(mask.size), *words)
    return out
