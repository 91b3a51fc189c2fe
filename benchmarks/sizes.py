"""Usual functions and methods at every size: how our time compares with NumPy's, from 10 elements to a million.

Every call of ours ends with a fence, so that fixed costs show: nothing is put off, nothing fused. Calls are timed in turns with
NumPy's, in loops long enough for the clock; the figure is the ratio of the two minima.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
#: seconds that a sample lasts, less than a scheduler's time slice so that some are undisturbed, and samples of each
SAMPLE, ROUNDS = 4e-4, 31
#: calls before anything is timed: what is met again and again has been planned by then
WARM = 12


def vector(n: int) -> numpy.ndarray:
    """Numbers between 0 and 1, in no order."""
    return numpy.random.default_rng(1).random(n)


def ordered(n: int) -> numpy.ndarray:
    """The same in order."""
    return numpy.sort(vector(n))


def square(n: int) -> numpy.ndarray:
    """About n numbers as a matrix that can be inverted."""
    side = max(2, round(math.sqrt(n)))
    return vector(side * side).reshape(side, side) + side * numpy.eye(side)


def indices(n: int) -> numpy.ndarray:
    """n positions in n elements."""
    return numpy.random.default_rng(2).integers(0, n, n)


def small(n: int) -> numpy.ndarray:
    """Integers below 100."""
    return numpy.random.default_rng(3).integers(0, 100, n)


def mask(n: int) -> numpy.ndarray:
    """Half of them true."""
    return vector(n) < 0.5


def put(np: Any, x: Any, i: Any) -> Any:
    """Assignment by index."""
    x[i] = 1.0
    return x


def assign(np: Any, x: Any, y: Any) -> Any:
    """Assignment of a slice."""
    x[1:-1] = y[1:-1]
    return x


def masked(np: Any, x: Any, m: Any) -> Any:
    """Assignment by mask."""
    x[m] = 0.0
    return x


Case = tuple[Callable[..., Any], tuple[Callable[[int], numpy.ndarray], ...]]


def add(np: Any, x: Any) -> Any:
    """In place."""
    x += 1.0
    return x


def element(np: Any, x: Any) -> Any:
    """Assignment of an element."""
    x[3] = 1.0
    return x


def each(np: Any, x: Any) -> None:
    """Iteration over (up to a hundred) elements."""
    for _ in x[:100]:
        pass


#: what is called, and what makes its arguments
CASES: dict[str, Case] = {
    "nothing": (lambda np, x: None, (vector,)),
    "x.shape": (lambda np, x: x.shape, (vector,)),
    "len(x)": (lambda np, x: len(x), (vector,)),
    "float(x[3])": (lambda np, x: float(x[3]), (vector,)),
    "x[3] = 1.0": (element, (vector,)),
    "for e in x[:100]": (each, (vector,)),
    "x += 1.0": (add, (vector,)),
    "x.copy()": (lambda np, x: x.copy(), (vector,)),
    "x + y": (lambda np, x, y: x + y, (vector, vector)),
    "x * 2 + 1": (lambda np, x: x * 2 + 1, (vector,)),
    "exp": (lambda np, x: np.exp(x), (vector,)),
    "x.sum()": (lambda np, x: x.sum(), (vector,)),
    "float(x.sum())": (lambda np, x: float(x.sum()), (vector,)),
    "x.mean()": (lambda np, x: x.mean(), (vector,)),
    "std": (lambda np, x: np.std(x), (vector,)),
    "x.max()": (lambda np, x: x.max(), (vector,)),
    "argmax": (lambda np, x: np.argmax(x), (vector,)),
    "any(x > 2)": (lambda np, x: np.any(x > 2), (vector,)),
    "sum of rows": (lambda np, a: a.sum(axis=1), (square,)),
    "sum of columns": (lambda np, a: a.sum(axis=0), (square,)),
    "median": (lambda np, x: np.median(x), (vector,)),
    "percentile": (lambda np, x: np.percentile(x, 90), (vector,)),
    "quantile of three": (lambda np, x: np.quantile(x, [0.1, 0.5, 0.9]), (vector,)),
    "sort": (lambda np, x: np.sort(x), (vector,)),
    "x.copy().sort()": (lambda np, x: x.copy().sort(), (vector,)),
    "argsort": (lambda np, x: np.argsort(x), (vector,)),
    "partition": (lambda np, x: np.partition(x, len(x) // 2), (vector,)),
    "searchsorted": (lambda np, e, x: np.searchsorted(e, x), (ordered, vector)),
    "digitize": (lambda np, x: np.digitize(x, [0.2, 0.4, 0.6, 0.8]), (vector,)),
    "unique": (lambda np, i: np.unique(i), (small,)),
    "bincount": (lambda np, i: np.bincount(i), (small,)),
    "histogram": (lambda np, x: np.histogram(x, bins=20), (vector,)),
    "isin": (lambda np, i: np.isin(i, [3, 5, 8]), (small,)),
    "cumsum": (lambda np, x: np.cumsum(x), (vector,)),
    "x.cumsum()": (lambda np, x: x.cumsum(), (vector,)),
    "cumprod": (lambda np, x: np.cumprod(x), (vector,)),
    "diff": (lambda np, x: np.diff(x), (vector,)),
    "gradient": (lambda np, x: np.gradient(x), (vector,)),
    "interp": (lambda np, x, e: np.interp(x, e, e), (vector, ordered)),
    "convolve by 5": (lambda np, x: np.convolve(x, x[:5]), (vector,)),
    "take": (lambda np, x, i: np.take(x, i), (vector, indices)),
    "x[i]": (lambda np, x, i: x[i], (vector, indices)),
    "x[i] = 1": (put, (vector, indices)),
    "x[m]": (lambda np, x, m: x[m], (vector, mask)),
    "x[m] = 0": (masked, (vector, mask)),
    "x[1:-1] = y[1:-1]": (assign, (vector, vector)),
    "where": (lambda np, m, x, y: np.where(m, x, y), (mask, vector, vector)),
    "nonzero": (lambda np, m: np.nonzero(m), (mask,)),
    "count_nonzero": (lambda np, m: np.count_nonzero(m), (mask,)),
    "clip": (lambda np, x: np.clip(x, 0.2, 0.8), (vector,)),
    "round": (lambda np, x: np.round(x, 2), (vector,)),
    "concatenate": (lambda np, x, y: np.concatenate([x, y]), (vector, vector)),
    "stack": (lambda np, x, y: np.stack([x, y]), (vector, vector)),
    "roll": (lambda np, x: np.roll(x, 3), (vector,)),
    "flip": (lambda np, x: np.flip(x), (vector,)),
    "tile": (lambda np, x: np.tile(x, 2), (vector,)),
    "repeat": (lambda np, x: np.repeat(x, 2), (vector,)),
    "pad": (lambda np, x: np.pad(x, 2), (vector,)),
    "reshape, transpose": (lambda np, a: a.T.copy(), (square,)),
    "astype": (lambda np, x: x.astype("f4"), (vector,)),
    "zeros": (lambda np, x: np.zeros(x.shape), (vector,)),
    "ones": (lambda np, x: np.ones(x.shape), (vector,)),
    "arange": (lambda np, x: np.arange(len(x)), (vector,)),
    "linspace": (lambda np, x: np.linspace(0, 1, len(x)), (vector,)),
    "array of numbers": (lambda np, x: np.array([1.0, 2.0, 3.0]), (vector,)),
    "random": (lambda np, x: np.random.random(len(x)), (vector,)),
    "dot": (lambda np, x, y: np.dot(x, y), (vector, vector)),
    "a @ b": (lambda np, a, b: a @ b, (square, square)),
    "a @ x": (lambda np, a: a @ a[0], (square,)),
    "einsum ij,jk": (lambda np, a, b: np.einsum("ij,jk->ik", a, b), (square, square)),
    "outer": (lambda np, a: np.outer(a[0], a[1]), (square,)),
    "norm": (lambda np, x: np.linalg.norm(x), (vector,)),
    "fft": (lambda np, x: np.fft.fft(x), (vector,)),
    "rfft": (lambda np, x: np.fft.rfft(x), (vector,)),
    "solve": (lambda np, a: np.linalg.solve(a, a[0]), (square,)),
    "inv": (lambda np, a: np.linalg.inv(a), (square,)),
    "det": (lambda np, a: np.linalg.det(a), (square,)),
    "cholesky": (lambda np, a: np.linalg.cholesky(a @ a.T), (square,)),
    "eigh": (lambda np, a: np.linalg.eigh(a + a.T), (square,)),
    "svd": (lambda np, a: np.linalg.svd(a), (square,)),
    "qr": (lambda np, a: np.linalg.qr(a), (square,)),
    "allclose": (lambda np, x, y: np.allclose(x, y), (vector, vector)),
    "array_equal": (lambda np, x: np.array_equal(x, x), (vector,)),
}
#: cubic in the side of their matrix: not a million elements
COSTLY = frozenset(("solve", "inv", "det", "cholesky", "eigh", "svd", "qr", "a @ b", "einsum ij,jk"))


def timed(call: Callable[[], Any], loops: int) -> float:
    """Seconds of one call, by the processor's time on this thread where that is all there is, else by the clock."""
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def ratio(case: Case, n: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """NumPy's seconds for a call, and ours."""
    import cupynumeric
    import legate

    run, makers = case
    given = [make(n) for make in makers]
    ours = [cupynumeric.array(x) for x in given]
    fence = legate.fence

    def by_us() -> None:
        made = run(cupynumeric, *ours)
        fence()
        del made

    def by_numpy() -> None:
        run(numpy, *given)

    for _ in range(WARM):
        by_us()
        by_numpy()
    calls = (by_numpy, by_us)
    loops = [max(1, math.ceil(SAMPLE / max(timed(call, 3), 1e-7))) for call in calls]
    best = [math.inf, math.inf]
    for _ in range(rounds):
        for k, call in enumerate(calls):
            best[k] = min(best[k], timed(call, loops[k]))
    return best[0], best[1]


def lines(names: Sequence[str] = (), sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """The table as text, line by line: NumPy's microseconds at a thousand elements, and our time over NumPy's at each size."""
    wide = max(map(len, CASES))
    yield f"{'':{wide}}" + "".join(f"{f'{n:.0e}'.replace('e+0', 'e'):>8}" for n in sizes)
    logs: list[list[float]] = [[] for _ in sizes]
    for name, case in CASES.items():
        if names and name not in names:
            continue
        cells = []
        for k, n in enumerate(sizes):
            if name in COSTLY and n > 100_000:
                cells.append(f"{'':>8}")
                continue
            theirs, ours = ratio(case, n)
            logs[k].append(math.log(ours / theirs))
            cells.append(f"{ours / theirs:8.2f}")
        yield f"{name:{wide}}" + "".join(cells)
    yield f"{'geometric mean':{wide}}" + "".join(
        f"{math.exp(sum(found) / len(found)) if found else math.nan:8.2f}" for found in logs
    )
