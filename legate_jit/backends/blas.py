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

#: multiplications below which a product runs on one thread
SMALL = 4_000_000


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
