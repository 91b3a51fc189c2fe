"""A drop-in NumPy whose operations are lazy: `import cupynumeric as np`."""

from __future__ import annotations

from cupynumeric._array import ndarray
from cupynumeric._creation import array, empty, full, ones, zeros

__all__ = ["array", "empty", "full", "ndarray", "ones", "zeros"]
