"""What a call of NumPy's generators draws: the shape and dtype of its result, and how any part of it is drawn.

A draw is a sequence of units (numbers, or rows of numbers) in C order of the result, which NumPy makes one after the other:
several calls that draw some of them each give the same numbers as one. Knows NumPy's generators and their signatures; no arrays
of ours, no ranks and no threads.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from typing import Any, NamedTuple

import numpy as np

from legate_jit.ir import dtypes
from legate_jit.streams.jumps import Source, copied, skip

__all__ = ["Draw", "count_of_integers", "draw_of"]

#: functions that are others under a second name
_ALIASES = {
    "rand": "random_sample",
    "randn": "standard_normal",
    "ranf": "random_sample",
    "sample": "random_sample",
}
#: what is not a sequence of units, and what warns whenever it is called
_OTHERS = frozenset({"choice", "multivariate_normal", "random_integers"})
#: draws of rows, and the parameters that make the row (of one axis)
_ROWS = {"dirichlet": "alpha", "multinomial": "pvals", "multivariate_hypergeometric": "colors"}
#: parameters that are not numbers, one for each unit
_WHOLE = frozenset({"dtype", "endpoint", "method", *_ROWS.values()})
#: draws that take one word of 64 bits for a unit (half a one for a float32), whatever its value
_PLAIN = frozenset({"random", "random_sample", "uniform", "triangular"})

#: methods of `Generator` that write to memory they are given
_WRITING = frozenset({"random", "standard_exponential", "standard_gamma", "standard_normal"})


class Draw(NamedTuple):
    """A call of the method `name` with these parameters (a number, or an array that broadcasts to `units`; the row's).

    shape: of the result, (*units, *row). plain: whether each unit takes one word of the stream (half a one of 32 bits). splits:
    whether units may be drawn by several calls.
    """

    name: str
    parameters: dict[str, Any]
    units: tuple[int, ...]
    row: tuple[int, ...]
    dtype: np.dtype
    plain: bool
    splits: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return (*self.units, *self.row)

    def total(self) -> int:
        """How many units there are."""
        return math.prod(self.units)

    def probed(self, source: Source) -> Draw:
        """The draw with the dtype that one unit shows. Raises what NumPy raises for wrong parameters."""
        return self._replace(dtype=self.block(copied(source), 0, 1).dtype)

    def block(self, source: Source, start: int, count: int, memory: np.ndarray | None = None) -> np.ndarray:
        """The next `count` units of the source, which are those from number `start`; in this memory if NumPy can write there."""
        given = {
            key: x if key in _WHOLE or np.ndim(x) == 0 else self._some(x, start, count)
            for key, x in self.parameters.items()
        }
        if memory is not None and self.name in _WRITING and not isinstance(source, np.random.RandomState):
            getattr(source, self.name)(**given, out=memory)
            return memory
        return np.asarray(getattr(source, self.name)(**given, size=count))

    def _some(self, x: Any, start: int, count: int) -> np.ndarray:
        spread = np.broadcast_to(x, self.units)
        return spread[start : start + count] if len(self.units) == 1 else spread.flat[start : start + count]

    def skip(self, source: Source, count: int) -> None:
        """Go on as if so many units of a plain draw had been drawn."""
        if self.dtype.itemsize == 8 or not count:
            skip(source, count)
            return
        if source.bit_generator.state["has_uint32"]:
            self.block(source, 0, 1)
            count -= 1
        last = min(count, 2 - count % 2)  # drawn, so that what is left over of a word is as NumPy leaves it
        skip(source, (count - last) // 2)
        self.block(source, 0, last)


# ---- calls -------------------------------------------------------------------------------------------------------------


@functools.cache
def _signature(kind: type, name: str) -> inspect.Signature | None:
    """The parameters of a method that draws units; None for another one."""
    if name in _OTHERS:
        return None
    try:
        found = inspect.signature(getattr(kind, name))
    except (AttributeError, ValueError):
        return None
    return found if "size" in found.parameters else None


def draw_of(source: Source, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Draw | None:
    """What a call of a method (or function) of NumPy's draws, without `out`; arguments are NumPy's.

    None for what NumPy should judge: calls that fail before anything is drawn, single numbers, and what is no sequence of units.
    Of its dtype nothing is known before it is `probed`.
    """
    if name in ("rand", "randn"):
        args, kwargs = (), kwargs or {"size": args}
    name = _ALIASES.get(name, name)
    kind = np.random.RandomState if isinstance(source, np.random.RandomState) else np.random.Generator
    signature = _signature(kind, name)
    if signature is None:
        return None
    try:
        given = signature.bind(source, *args, **kwargs).arguments
    except TypeError:
        return None
    given.pop("self")
    size = given.pop("size", None)
    given.pop("out", None)
    row = _ROWS.get(name)
    if row is not None and np.ndim(given[row]) != 1:
        return None
    spread = [np.shape(x) for key, x in given.items() if key not in _WHOLE]
    if row is not None and any(spread):
        return None
    units = _units(size, spread)
    if units is None or not math.prod(units):
        return None
    rest = () if row is None else np.shape(given[row])
    return Draw(name, dict(given), units, rest, dtypes.FLOAT64, _is_plain(name, given), _splits(name, given))


def _is_plain(name: str, given: dict[str, Any]) -> bool:
    return name in _PLAIN or (name == "standard_exponential" and given.get("method") == "inv")


def _units(size: Any, spread: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        given = np.broadcast_shapes(*spread)
        if size is None:
            return given or None
        shape = (
            tuple([operator.index(n) for n in size]) if hasattr(size, "__iter__") else (operator.index(size),)
        )
        fits = min(shape, default=0) >= 0 and np.broadcast_shapes(shape, given) == shape
    except (TypeError, ValueError):
        return None
    return shape if fits else None


def _splits(name: str, given: dict[str, Any]) -> bool:
    """Whether a draw of integers leaves nothing of a word at the end of a block: small ones share a word, some of which are
    rejected unless their number is a power of two."""
    if name not in ("integers", "randint"):
        return True
    dtype = np.dtype(given.get("dtype", np.int64))
    if dtype.itemsize >= 4:
        return True
    if any(np.ndim(given.get(bound, 0)) for bound in ("low", "high")):
        return False
    count = count_of_integers(given)
    return count > 0 and not count & (count - 1)


def count_of_integers(given: dict[str, Any]) -> int:
    """How many values a draw of integers has whose bounds are numbers: 0 or less where there is none."""
    low, high = given["low"], given.get("high")
    low, high = (0, low) if high is None else (low, high)
    return int(high) - int(low) + bool(given.get("endpoint", False))
