"""Access by index on all threads: gathers, scatters, coordinates of positions.

A scatter writes in the order of its indices, on one thread: the last write wins. Where an array is larger than caches, the memory
of later elements is asked for ahead. Works on contiguous NumPy arrays; what kernels cannot take they refuse, and the caller asks
NumPy. Numbers of rows that lie on several owners are told apart in two passes. Knows no graph.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from legate_jit.backends.calls.irregular import BLOCK, SMALL, address, block_of, compiled, run, units_of
from legate_jit.backends.calls.loops import Loops, element_type
from legate_jit.ir import dtypes

__all__ = ["apart", "coordinates", "gather", "scatter"]

_BLOCK = 1 << 14
_MOVED = {1: "i8", 2: "i16", 4: "i32", 8: "i64"}
_INDEX = {"i4": "sext i32", "u4": "zext i32", "i8": ""}


def _index_code(indices: np.ndarray) -> str | None:
    if indices.size < SMALL or not indices.flags.c_contiguous or not dtypes.is_supported(indices.dtype):
        return None
    code = dtypes.code(indices.dtype)
    return code if code in _INDEX else None


def _index(f: Loops, code: str, indices: str, i: str) -> str:
    value = f.load(element_type(code), indices, i)
    return f.let(f"{_INDEX[code]} {value} to i64") if _INDEX[code] else value


def _wrapped(f: Loops, index: str, n: str) -> str:
    """A position in [0, n) for an index in [-n, n)."""
    negative = f.let(f"icmp slt i64 {index}, 0")
    return f.add(index, f.let(f"select i1 {negative}, i64 {n}, i64 0"))


#: elements ahead of the one at work whose memory is asked for, and bytes of an array above which that pays. One core then has
#: as many cache lines under way as it can hold; a second one, which would have to look at every index as well, makes a
#: scatter no quicker.
_AHEAD = 128
_FAR = 8 << 20


def _ask_ahead(
    f: Loops, code: str, indices: str, i: str, last: str, target: tuple[str, str, str], write: bool
) -> None:
    """Fetch the cache line that the element `_AHEAD` from here will touch. `target`: LLVM type of an element, its array, elements
    of a row. An index that is negative or out of range asks for a line nobody needs, which is harmless."""
    kind, base, width = target
    at = _index(f, code, indices, f.smaller(f.add(i, str(_AHEAD)), last))
    f.prefetch(f.spot(kind, base, f.times(at, width)), write)


# ---- gathers -----------------------------------------------------------------------------------------------------


@functools.cache
def _gather_kernel(kind: str, code: str, far: bool) -> int:
    """words: x, its rows, indices, their number, block, out, flags per unit, words of a row. An index out of range sets the
    unit's flag. `far`: x does not fit in the cache."""
    f = Loops()
    x, n, indices, size, block, out, flags, width = f.words("pnpnnppn")
    last = f.add(size, "-1")
    row = (kind, x, "1") if kind else ("i64", x, width)
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        bad = f.variable("i1", "0")
        with f.loop(first, stop) as i:
            if far:
                _ask_ahead(f, code, indices, i, last, row, False)
            at = _wrapped(f, _index(f, code, indices, i), n)
            outside = f.let(f"icmp uge i64 {at}, {n}")
            f.set("i1", bad, f.let(f"or i1 {f.get('i1', bad)}, {outside}"))
            safe = f.let(f"select i1 {outside}, i64 0, i64 {at}")
            if kind:
                f.store(kind, out, i, f.load(kind, x, safe))
            else:
                f.copy(f.spot("i64", out, f.times(i, width)), f.spot("i64", x, f.times(safe, width)), width)
        f.store("i8", flags, unit, f.let(f"zext i1 {f.get('i1', bad)} to i8"))
    return compiled(f)


def gather(x: np.ndarray, indices: np.ndarray, out: np.ndarray) -> bool | None:
    """`x[indices]` along the first axis into `out`; False (and `out` undefined) if an index is out of [-n, n), None when NumPy
    has to do it."""
    code = _index_code(indices)
    plain = x.flags.c_contiguous and out.flags.c_contiguous and out.dtype == x.dtype
    if code is None or not plain or not x.size:
        return None
    row = x.nbytes // len(x)
    kind = _MOVED.get(row, "")
    if not kind and row % 8:
        return None
    units = units_of(indices.size, _BLOCK)
    flags = np.zeros(units, np.uint8)
    words = (
        address(x),
        len(x),
        address(indices),
        indices.size,
        _BLOCK,
        address(out),
        address(flags),
        row // 8,
    )
    run(_gather_kernel(kind, code, x.nbytes > _FAR), units, *words)
    return not flags.any()


# ---- scatters ----------------------------------------------------------------------------------------------------


@functools.cache
def _scatter_kernel(kind: str, code: str, single: bool, far: bool) -> int:
    """words: y, its size, indices, their number, values, spare memory. `single`: one value for all indices. `far`: y does not fit
    in the cache."""
    f = Loops()
    y, n, indices, size, values, spare = f.words("pnpnpp")
    last = f.add(size, "-1")
    one = f.load(kind, values, "0") if single else ""
    with f.loop("0", size) as i:
        if far:
            _ask_ahead(f, code, indices, i, last, (kind, y, "1"), True)
        at = _wrapped(f, _index(f, code, indices, i), n)
        # An index that somebody changed since it was checked writes nowhere. The addresses come later by the test: loads of
        # later elements then need not wait for a store that seems to go where they read, and in caches it is twice as quick.
        inside = f.let(f"icmp ult i64 {at}, {n}")
        spot = f.let(f"select i1 {inside}, ptr {f.spot(kind, y, at)}, ptr {spare}")
        f.store(kind, spot, "0", one or f.load(kind, values, i))
    return compiled(f)


def scatter(y: np.ndarray, indices: np.ndarray, values: np.ndarray) -> bool:
    """`y[indices] = values` (one, or as many as indices, of y's dtype) for 1-d y and indices known to lie in [-n, n); False
    (nothing done) when NumPy has to do it."""
    kind, code = _MOVED.get(y.dtype.itemsize), _index_code(indices)
    plain = y.ndim == 1 and y.flags.c_contiguous and y.flags.writeable and values.flags.c_contiguous
    if kind is None or code is None or not plain or values.dtype != y.dtype:
        return False
    if values.shape != indices.shape and values.size != 1:
        return False
    spare = np.empty(1, y.dtype)
    words = (address(y), y.size, address(indices), indices.size, address(values), address(spare))
    run(_scatter_kernel(kind, code, values.size == 1, y.nbytes > _FAR), 1, *words)
    return True


# ---- numbers apart by owner -----------------------------------------------------------------------------------------

#: owners whose bounds are compared with every number
_OWNERS = 16


def _owner(f: Loops, bounds: list[str], number: str) -> str:
    """How many bounds a number is not below."""
    owner = "0"
    for bound in bounds:
        above = f.let(f"icmp sge i64 {number}, {bound}")
        owner = f.add(owner, f.let(f"zext i1 {above} to i64"))
    return owner


@functools.cache
def _counting_kernel(owners: int) -> int:
    """words: numbers, how many, lowest number of each owner, result: how many are not below the lowest of each owner but the
    first."""
    f = Loops()
    numbers, size, lowest, counts = f.words("pnpp")
    bounds = [f.load("i64", lowest, str(k)) for k in range(1, owners)]
    found = [f.variable("i64", "0") for _ in bounds]
    with f.loop("0", size) as i:
        number = f.load("i64", numbers, i)
        for bound, count in zip(bounds, found, strict=True):
            above = f.let(f"icmp sge i64 {number}, {bound}")
            f.set("i64", count, f.add(f.get("i64", count), f.let(f"zext i1 {above} to i64")))
    for k, count in enumerate(found):
        f.store("i64", counts, str(k), f.get("i64", count))
    return compiled(f)


@functools.cache
def _apart_kernel(owners: int, narrow: bool, kind: str) -> int:
    """words: numbers, how many, lowest number of each owner, where each owner's begin (counted on), results, values, results."""
    f = Loops()
    numbers, size, lowest, places, out, values, moved = f.words("pnppppp")
    bounds = [f.load("i64", lowest, str(k)) for k in range(1, owners)]
    with f.loop("0", size) as i:
        number = f.load("i64", numbers, i)
        owner = _owner(f, bounds, number)
        place = f.load("i64", places, owner)
        f.store("i64", places, owner, f.add(place, "1"))
        local = f.let(f"sub i64 {number}, {f.load('i64', lowest, owner)}")
        if narrow:
            f.store("i32", out, place, f.let(f"trunc i64 {local} to i32"))
        else:
            f.store("i64", out, place, local)
        if kind:
            f.store(kind, moved, place, f.load(kind, values, i))
    return compiled(f)


def apart(
    numbers: np.ndarray, edges: Sequence[int], values: np.ndarray | None, dtype: np.dtype
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Numbers of rows told apart by owner, who has rows `edges[k] .. edges[k + 1]`: for every owner the numbers within its rows,
    of an integer dtype, and the values that stand beside them, in their order. None when NumPy has to do it.

    numbers: a vector of int64, all in `edges[0] .. edges[-1]`. values: a vector as long, or None (then there are none in return).
    """
    owners = len(edges) - 1
    if numbers.size < SMALL or not 1 < owners <= _OWNERS or dtype.itemsize not in (4, 8):
        return None
    kind = ""
    if values is not None:
        kind = _MOVED.get(values.dtype.itemsize, "")
        if not kind or values.shape != numbers.shape or not values.flags.c_contiguous:
            return None
    if numbers.dtype != np.int64 or not numbers.flags.c_contiguous:
        return None
    lowest, above = np.array(edges[:-1], np.int64), np.empty(owners - 1, np.int64)
    run(_counting_kernel(owners), 1, address(numbers), numbers.size, address(lowest), address(above))
    begins = [0, *(numbers.size - int(n) for n in above), numbers.size]
    places = np.array(begins[:-1], np.int64)
    out = np.empty(numbers.size, dtype)
    moved = np.empty(numbers.size if values is not None else 0, dtype if values is None else values.dtype)
    words = [address(a) for a in (lowest, places, out, numbers if values is None else values, moved)]
    run(_apart_kernel(owners, dtype.itemsize == 4, kind), 1, address(numbers), numbers.size, *words)
    cuts = begins[1:-1]
    return np.split(out, cuts), [] if values is None else np.split(moved, cuts)


# ---- coordinates -------------------------------------------------------------------------------------------------


@functools.cache
def _coordinate_kernel() -> int:
    """words: positions, their number, block, elements between neighbors of the axis, extent of the axis, out."""
    f = Loops()
    positions, size, block = f.words("pnn")
    step, extent = (f.let(f"trunc i64 {f.word(k)} to i32") for k in (3, 4))
    out = f.pointer(5)
    with f.loop("%lo", "%hi") as unit:
        first, stop = block_of(f, unit, size, block)
        with f.loop(first, stop) as i:
            at = f.let(f"trunc i64 {f.load('i64', positions, i)} to i32")
            place = f.let(f"urem i32 {f.let(f'udiv i32 {at}, {step}')}, {extent}")
            f.store("i64", out, i, f.let(f"zext i32 {place} to i64"))
    return compiled(f)


def coordinates(positions: np.ndarray, shape: tuple[int, ...], axis: int, out: np.ndarray) -> bool:
    """The coordinate along `axis` of each position (int64) in an array of `shape` in C order; False when NumPy has to do it."""
    fits = 0 < math.prod(shape) < 1 << 32 and positions.dtype == np.int64 == out.dtype
    if not fits or not positions.flags.c_contiguous or not out.flags.c_contiguous:
        return False
    step = math.prod(shape[axis + 1 :])
    words = (address(positions), positions.size, BLOCK, step, shape[axis], address(out))
    run(_coordinate_kernel(), units_of(positions.size), *words)
    return True
