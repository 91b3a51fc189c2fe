"""How many threads NumPy's BLAS uses: one for small products, where waking a second costs more than it does.

On a busy machine this is worth an order of magnitude, because OpenBLAS waits for its threads to be scheduled. Knows only how to
find NumPy's OpenBLAS; with another BLAS nothing is changed.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from legate_jit.backends.pool import threads

#: multiplications below which a product runs on one thread
SMALL = 4_000_000
#: the same for products with a vector, which wait for memory
SMALL_VECTOR = 250_000
#: multiplications below which each product of a stack runs on one thread
SMALL_MEMBER = 64_000_000
#: multiplications of a whole stack that are worth starting threads for
WORTH_THREADS = 20_000_000


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Within the block, BLAS runs on one thread if the work is small."""
    controls = _controls() if multiplications < SMALL else None
    if controls is None:
        yield
        return
    get, put = controls
    before = get()
    if before == 1:
        yield
        return
    put(1)
    try:
        yield
    finally:
        put(before)


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """`numpy.matmul` with threads where they pay: within a large product, over the members of a stack of small ones."""
    inner = a.shape[-1]
    member = inner * (a.shape[-2] if a.ndim > 1 else 1) * (b.shape[-1] if b.ndim > 1 else 1)
    stack = out.size * inner // max(member, 1)
    if out.dtype.kind not in "fc":
        np.matmul(a, b, out=out)
        return
    if min(a.ndim, b.ndim) == 1:
        with threads_for(0 if member < SMALL_VECTOR else SMALL):
            np.matmul(a, b, out=out)
        return
    with threads_for(0 if stack > 1 and member < SMALL_MEMBER else member):
        parts = min(threads.get_threads(), out.shape[0] if out.ndim > 2 else 1)
        if parts < 2 or member >= SMALL_MEMBER or member * stack < WORTH_THREADS:
            np.matmul(a, b, out=out)
            return
        _spread(a, b, out, parts)


def _spread(a: np.ndarray, b: np.ndarray, out: np.ndarray, parts: int) -> None:
    """The products of a stack on a thread per part of its first axis; NumPy lets go of the interpreter's lock."""
    from concurrent.futures import ThreadPoolExecutor

    n = out.shape[0]
    bounds = [n * k // parts for k in range(parts + 1)]

    def one(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        left, right = (x[part] if x.ndim == out.ndim and x.shape[0] == n else x for x in (a, b))
        np.matmul(left, right, out=out[part])

    with ThreadPoolExecutor(parts - 1) as pool:
        waiting = [pool.submit(one, k) for k in range(1, parts)]
        one(0)
        for done in waiting:
            done.result()


@functools.cache
def _controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Reading and setting the thread count of the OpenBLAS that NumPy's wheel carries; None when there is none."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs", package / ".libs"):
        for path in sorted(folder.glob("*openblas*")):
            found = _functions(path)
            if found is not None:
                return found
    return None


def _functions(path: Path) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    library = ctypes.CDLL(str(path))  # loaded by NumPy already: this is the same one
    for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", "")):
        get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
        put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
        if get is not None and put is not None:
            put.restype = None
            return get, put
    return None
