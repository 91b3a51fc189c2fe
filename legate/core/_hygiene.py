"""The same random numbers in every process: seeds at import, and a warning for programs that seed on their own.

Every rank runs the whole program; what differs between ranks must not depend on chance. Knows nothing of the runtime.
"""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["install"]

_SEED = 1234
_WARNING = """
        Seeding the random number generator with a non-constant value
        inside Legate can lead to undefined behavior and/or errors when
        the program is executed with multiple ranks."""

_installed: list[bool] = []


def _warning(seed: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(seed)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(_WARNING, Warning, stacklevel=2)
        return seed(*args, **kwargs)

    return wrapper


def install() -> None:
    """Seed `random` and `numpy.random` with 1234, and make their `seed` functions warn. Once per process."""
    if _installed:
        return
    _installed.append(True)
    np.random.seed(_SEED)  # noqa: NPY002  the program's own generator is meant
    random.seed(_SEED)
    np.random.seed = _warning(np.random.seed)
    random.seed = _warning(random.seed)
