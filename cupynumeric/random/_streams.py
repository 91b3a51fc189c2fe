"""NumPy's generators with results that are ours: same seeds, same numbers.

Large fills go straight into our own memory where NumPy's method takes `out`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from cupynumeric import _ufunc
from cupynumeric._array import Ours, assign, wrap
from cupynumeric._calls import lift, wrapped
from cupynumeric._convert import host_view, to_numpy_tree
from cupynumeric._creation import shape_of
from cupynumeric.random._counter import CounterBits, CounterGenerator
from legate_jit import runtime
from legate_jit.ir import dtypes
from legate_jit.ir.node import array_type

#: bytes from which a fill goes into our own (warm) memory instead of NumPy's fresh one
_DIRECT_BYTES = 1 << 16
#: draws that several threads can share, besides those that fill memory
_THREADED = frozenset(
    [
        "exponential",
        "integers",
        "lognormal",
        "pareto",
        "power",
        "rayleigh",
        "standard_exponential",
        "triangular",
        "uniform",
    ]
)


def _dealing() -> ModuleType:
    """Draws over ranks; loaded when there are several."""
    from cupynumeric.random import _dealing

    return _dealing


def _wrapping(base: type, name: str) -> Callable[..., Any]:
    method = getattr(base, name)
    threaded = base is np.random.Generator and name in _THREADED

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None:
            done = _dealing().dealt(self, name, args, kwargs)
            if done is not None:
                return done
        elif threaded and (any(map(_many, args)) or _many(kwargs.get("size"))):
            done = _by_threads(self, name, args, kwargs)
            if done is not None:
                return done
        out = kwargs.get("out")
        if isinstance(out, Ours):
            target = host_view(out).copy()
            method(self, *to_numpy_tree(args), **to_numpy_tree(kwargs | {"out": None}) | {"out": target})
            assign(out, out._lens, wrapped(target))
            return out
        return _result(method(self, *to_numpy_tree(args), **to_numpy_tree(kwargs)))

    return call


def _result(x: Any) -> Any:
    """Arrays become ours; single draws stay the scalars NumPy gives."""
    return x if isinstance(x, np.generic) else wrapped(x)


def _shuffled(base: type) -> Callable[..., None]:
    method = base.shuffle  # type: ignore[attr-defined]

    @functools.wraps(method)
    def call(self: Any, x: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(x, Ours):
            method(self, x, *args, **kwargs)
            return
        if runtime.world is not None and _dealing().shuffled(self, x, args, kwargs):
            return
        host = host_view(x).copy()
        method(self, host, *args, **kwargs)
        assign(x, x._lens, wrapped(host))

    return call


def _filled(generator: Any, name: str, size: Any, dtype: Any = np.float64) -> Any:
    """A new array of ours that NumPy's method has filled, or None when the size is small or absent."""
    if size is None:
        return None
    kind = np.dtype(dtype)
    if kind not in (dtypes.FLOAT32, dtypes.FLOAT64):
        return None
    type_ = array_type(shape_of(size), dtypes.canonical(kind))
    if runtime.world is not None:
        done = _dealing().dealt(generator, name, (type_.shape, kind), {})
        if done is not None:
            return done
    if type_.nbytes < _DIRECT_BYTES:
        return None
    store, memory = runtime.fresh(type_)
    if type_.size < _MANY or not _shared(generator, name, {"dtype": kind}, memory):
        getattr(np.random.Generator, name)(generator, dtype=kind.type, out=memory)
    return wrap(store)


#: numbers from which a draw is worth several threads
_MANY = 1 << 18


def _shared(generator: Any, name: str, options: dict[str, Any], memory: np.ndarray) -> bool:
    """Have several threads draw what fills this memory; False, and nothing is drawn: NumPy does it."""
    from legate_jit.streams import draws, parallel

    draw = draws.draw_of(generator, name, (), options | {"size": memory.shape})
    return draw is not None and parallel.fill(generator, draw._replace(dtype=memory.dtype), memory)


def _by_threads(generator: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A draw of many numbers by several threads; None where NumPy should do it."""
    from legate_jit.streams import draws, parallel

    draw = draws.draw_of(generator, name, to_numpy_tree(args), to_numpy_tree(kwargs))
    if draw is None or kwargs.get("out") is not None or not parallel.worthwhile(draw.total()):
        return None
    draw = draw.probed(generator)
    if parallel.rate(draw) is None:
        return None
    store, memory = runtime.fresh(array_type(draw.shape, dtypes.canonical(draw.dtype)))
    return wrap(store) if parallel.fill(generator, draw, memory) else None


def _many(x: Any) -> bool:
    """Whether an argument may be the size of many numbers."""
    if x.__class__ is tuple:
        return all(n.__class__ is int for n in x) and math.prod(x) >= _MANY
    return x.__class__ is int and x >= _MANY


class RandomState(np.random.RandomState):
    """`numpy.random.RandomState` with arrays of ours as results. Without a seed: the same one on all ranks."""

    def __init__(self, seed: Any = None) -> None:
        if runtime.world is None:
            super().__init__(seed)
            return
        if seed is None:
            seed = np.random.MT19937(np.random.SeedSequence(_dealing().entropy()))
        super().__init__(to_numpy_tree(seed))
        if isinstance(seed, np.random.BitGenerator):
            _dealing().agree(self)

    def seed(self, seed: Any = None) -> None:
        """Start the stream of a seed; of a new one, the same on all ranks, if it is None."""
        super().seed(to_numpy_tree(seed))
        if seed is None and runtime.world is not None:
            _dealing().agree(self)

    def __reduce__(self) -> Any:
        return _restored_state, (self._bit_generator, self.get_state(legacy=False))


class Generator(np.random.Generator):
    """`numpy.random.Generator` with arrays of ours as results. On a counter-based bit generator: a `CounterGenerator`."""

    def __new__(cls, bit_generator: Any) -> Any:
        if isinstance(bit_generator, CounterBits):
            return CounterGenerator(bit_generator)
        return np.random.Generator.__new__(cls, bit_generator)  # type: ignore[call-arg]

    def __init__(self, bit_generator: Any) -> None:
        super().__init__(bit_generator)
        if runtime.world is not None:  # who knows how it was seeded?
            _dealing().agree(self)

    def __reduce__(self) -> Any:
        return _generator, (self.bit_generator,)

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Uniform numbers in [0, 1)."""
        done = _filled(self, "random", size, dtype) if out is None else None
        return _plain_random(self, size, dtype, out=out) if done is None else done

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Normal numbers of mean 0 and deviation 1."""
        done = _filled(self, "standard_normal", size, dtype) if out is None else None
        return _plain_normal(self, size, dtype, out=out) if done is None else done

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Uniform numbers in [low, high): a fill, scaled by recorded operations."""
        plain = all(isinstance(x, (int, float)) for x in (low, high)) and size is not None
        if not plain or not np.isfinite(high - low) or high < low:
            return _plain_uniform(self, low, high, size)
        done = _filled(self, "random", size)
        if done is None:
            return _plain_uniform(self, low, high, size)
        return _ufunc.add(float(low), _ufunc.multiply(float(high) - float(low), done))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Normal numbers: a fill, scaled by recorded operations."""
        plain = all(isinstance(x, (int, float)) for x in (loc, scale)) and size is not None
        if not plain or scale < 0:
            return _plain_general_normal(self, loc, scale, size)
        done = _filled(self, "standard_normal", size)
        if done is None:
            return _plain_general_normal(self, loc, scale, size)
        return _ufunc.add(float(loc), _ufunc.multiply(float(scale), done))


_plain_random = _wrapping(np.random.Generator, "random")
_plain_normal = _wrapping(np.random.Generator, "standard_normal")
_plain_uniform = _wrapping(np.random.Generator, "uniform")
_plain_general_normal = _wrapping(np.random.Generator, "normal")

_OWN = {"bit_generator", "bytes", "shuffle", "spawn", "get_state", "set_state"}
for _base, _class in ((np.random.RandomState, RandomState), (np.random.Generator, Generator)):
    for _name in dir(_base):
        if not _name.startswith("_") and _name not in _OWN and _name not in vars(_class):
            setattr(_class, _name, _wrapping(_base, _name))
    setattr(_class, "shuffle", _shuffled(_base))  # noqa: B010


def _restored_state(bit_generator: Any, state: Any) -> RandomState:
    done = RandomState.__new__(RandomState)
    np.random.RandomState.__init__(done, bit_generator)
    done.set_state(state)
    return done


def _generator(bit_generator: Any) -> Generator:
    """A generator on bits that are at the same place on all ranks."""
    done: Generator = Generator.__new__(Generator, bit_generator)
    np.random.Generator.__init__(done, bit_generator)
    return done


def default_rng(seed: Any = None) -> Any:
    """A `Generator` with NumPy's default bit generator; generators and bit generators are used as they are."""
    if isinstance(seed, (Generator, CounterGenerator)):
        return seed
    if isinstance(seed, CounterBits):
        return CounterGenerator(seed)
    seed = to_numpy_tree(seed)
    if runtime.world is None or seed is not None:
        made = _generator(np.random.default_rng(seed).bit_generator)
        if isinstance(seed, (np.random.BitGenerator, np.random.Generator)) and runtime.world is not None:
            _dealing().agree(made)
        return made
    return _generator(np.random.PCG64(np.random.SeedSequence(_dealing().entropy())))


def shuffle(x: Any) -> None:
    """Permute an array in place along its first axis, with the global stream."""
    if not isinstance(x, Ours):
        np.random.shuffle(x)  # noqa: NPY002
        return
    if runtime.world is not None:
        _dealing().agree_on_global()
        if _dealing().shuffled(np.random.mtrand._rand, x, (), {}):
            return
    host = host_view(x).copy()
    np.random.shuffle(host)  # noqa: NPY002  the global stream is what the caller asked for
    assign(x, x._lens, lift(host))
