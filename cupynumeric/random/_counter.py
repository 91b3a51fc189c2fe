"""Counter-based random numbers, recorded in the graph.

Element i of a draw uses counter offset + i of the stream that the seed selects; every draw advances the offset by what it used.
All of cuPyNumeric's generator names select the same algorithm (Philox 4x32-10), each with streams of its own.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupynumeric import _elementwise, _ufunc
from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._calls import cast, deliver, lift, wrapped
from cupynumeric._convert import to_numpy_tree
from cupynumeric._creation import shape_of
from legate_jit import runtime
from legate_jit.ir import dtypes, infer
from legate_jit.ir.ops import OPS

_WORD = (1 << 64) - 1


def _entropy() -> int | None:
    """A new seed: the same on all ranks; None for whatever NumPy takes."""
    if runtime.world is None:
        return None
    from cupynumeric.random._dealing import entropy

    return entropy()


class CounterBits:
    """A seed and a position in its stream. Not instantiated itself: use `XORWOW`, `MRG32k3a` or `PHILOX4_32_10`."""

    _family = 0

    def __init__(self, seed: Any = None, forceBuild: bool = False) -> None:
        if type(self) is CounterBits:
            raise NotImplementedError("CounterBits is a base class and cannot be instantiated")
        if seed is not None and not isinstance(seed, (int, np.integer)):
            raise TypeError("seed must be an integer or None")
        sequence = np.random.SeedSequence(
            _entropy() if seed is None else int(seed), spawn_key=(self._family,)
        )
        self.seed = seed
        self.key = int(sequence.generate_state(1, np.uint64)[0])
        self.offset = 0

    def advance(self, count: int) -> int:
        """Reserve `count` counters; returns the first."""
        first = self.offset
        self.offset = (first + count) & _WORD
        return first

    def random_raw(self, shape: Any = None) -> Any:
        """Uniform 32-bit words (uint32)."""
        return CounterGenerator(self).integers(0, 1 << 32, 1 if shape is None else shape, np.uint32)


class XORWOW(CounterBits):
    """The default of cuPyNumeric."""

    _family = 1


class MRG32k3a(CounterBits):
    """A stream of its own."""

    _family = 2


class PHILOX4_32_10(CounterBits):
    """A stream of its own."""

    _family = 3


def uniforms(bits: CounterBits, shape: tuple[int, ...]) -> ndarray:
    """float64 in [0, 1), recorded."""
    sig = infer.random_signature(shape)
    first = bits.advance(sig.type.size)
    return wrap(runtime.new_store(runtime.record(sig, scalars=(bits.key, first)), sig.type))


def _shape(size: Any, *parameters: Any) -> tuple[int, ...]:
    """The shape of a draw: `size`, or what the parameters broadcast to."""
    given = np.broadcast_shapes(*(np.shape(to_numpy_tree(p)) for p in parameters)) if parameters else ()
    if size is None:
        return given
    shape = shape_of(size)
    if np.broadcast_shapes(shape, given) != shape:
        raise ValueError("Output size is not compatible with broadcast dimensions of inputs.")
    return shape


def _must(condition: Any, text: str) -> None:
    """ValueError unless a parameter (scalar or array) satisfies its condition everywhere; NaN never does."""
    if not bool(np.all(to_numpy_tree(condition))):
        raise ValueError(text)


class CounterGenerator:
    """Draws from counters with the interface of `numpy.random.Generator`.

    Distributions that are closed functions of uniforms are recorded; the others run NumPy's algorithms on a stream derived from
    the seed and the position.
    """

    def __init__(self, bit_generator: CounterBits) -> None:
        self.bit_generator = bit_generator

    def __repr__(self) -> str:
        return f"Generator({type(self.bit_generator).__name__})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.random.Generator, name):
            raise AttributeError(f"'Generator' object has no attribute {name!r}")
        bits = self.bit_generator

        def draw(*args: Any, **kwargs: Any) -> Any:
            state = np.random.Philox(np.random.SeedSequence((bits.key, bits.advance(1))))
            target = args[0] if args else None
            if name == "shuffle" and isinstance(target, Ours):
                return (
                    deliver(wrapped(np.random.Generator(state).permutation(to_numpy_tree(target))), target)
                    and None
                )
            return wrapped(
                getattr(np.random.Generator(state), name)(*to_numpy_tree(args), **to_numpy_tree(kwargs))
            )

        return draw

    def _uniform(self, shape: tuple[int, ...]) -> ndarray:
        return uniforms(self.bit_generator, shape)

    def _positive(self, shape: tuple[int, ...]) -> Any:
        """float64 in (0, 1]: safe for logarithms."""
        return _ufunc.subtract(1.0, self._uniform(shape))

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Uniform numbers in [0, 1), float64 or float32."""
        kind = np.dtype(dtype)
        if kind not in (dtypes.FLOAT32, dtypes.FLOAT64):
            raise TypeError(f"Unsupported dtype {kind!r} for random")
        shape = out.shape if out is not None and size is None else _shape(size)
        done: Any = self._uniform(shape)
        if kind == dtypes.FLOAT32:
            # Rounding to float32 could reach 1: keep 24 bits first.
            done = cast(_ufunc.multiply(_ufunc.floor(_ufunc.multiply(done, 2.0**24)), 2.0**-24), kind)
        return deliver(done, out)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Uniform numbers in [low, high)."""
        u = self._uniform(_shape(size, low, high))
        return _ufunc.add(low, _ufunc.multiply(_ufunc.subtract(high, low), u))

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Any:
        """Uniform integers in [low, high), or [0, low)."""
        if high is None:
            low, high = 0, low
        first, last = operator.index(low), operator.index(high) - (not endpoint)
        info = np.iinfo(dtype) if np.dtype(dtype) != dtypes.BOOL else None
        if first < (0 if info is None else info.min):
            raise ValueError(f"low is out of bounds for {np.dtype(dtype).name}")
        if last > (1 if info is None else info.max):
            raise ValueError(f"high is out of bounds for {np.dtype(dtype).name}")
        if first > last:
            raise ValueError("low >= high" if not endpoint else "low > high")
        span = last - first + 1
        shape = _shape(size)
        if span <= 1 << 40:
            # 53 random bits against a span of 40: the bias is below 2**-13 of one count in every bin.
            steps = _ufunc.floor(_ufunc.multiply(self._uniform(shape), float(span)))
            return cast(_ufunc.add(cast(steps, dtypes.INT64), first), dtype)
        return self.__getattr__("integers")(first, last, shape, dtype, endpoint=True)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Normal numbers of mean 0 and deviation 1 (Box and Muller's transform of two uniforms)."""
        shape = out.shape if out is not None and size is None else _shape(size)
        radius = _ufunc.sqrt(_ufunc.multiply(-2.0, _ufunc.log(self._positive(shape))))
        angle = _ufunc.multiply(2 * np.pi, self._uniform(shape))
        done = cast(_ufunc.multiply(radius, _ufunc.cos(angle)), dtype)
        return deliver(done, out)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Normal numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        z = self.standard_normal(_shape(size, loc, scale))
        return _ufunc.add(loc, _ufunc.multiply(scale, z))

    def lognormal(self, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None) -> Any:
        """Exponentials of normal numbers."""
        _must(_ufunc.greater_equal(sigma, 0), "sigma < 0")
        return _ufunc.exp(self.normal(mean, sigma, size))

    def standard_exponential(
        self, size: Any = None, dtype: Any = np.float64, method: str = "inv", out: Any = None
    ) -> Any:
        """Exponential numbers of scale 1, by inversion."""
        shape = out.shape if out is not None and size is None else _shape(size)
        return deliver(cast(_ufunc.negative(_ufunc.log(self._positive(shape))), dtype), out)

    def exponential(self, scale: Any = 1.0, size: Any = None) -> Any:
        """Exponential numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        return _ufunc.multiply(scale, self.standard_exponential(_shape(size, scale)))

    def rayleigh(self, scale: Any = 1.0, size: Any = None) -> Any:
        """Rayleigh numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        return _ufunc.multiply(
            scale, _ufunc.sqrt(_ufunc.multiply(2.0, self.standard_exponential(_shape(size, scale))))
        )

    def weibull(self, a: Any, size: Any = None) -> Any:
        """Weibull numbers."""
        _must(_ufunc.greater(a, 0), "a <= 0")
        return _ufunc.power(self.standard_exponential(_shape(size, a)), _ufunc.divide(1.0, a))

    def pareto(self, a: Any, size: Any = None) -> Any:
        """Pareto (Lomax) numbers."""
        _must(_ufunc.greater(a, 0), "a <= 0")
        return _ufunc.expm1(_ufunc.divide(self.standard_exponential(_shape(size, a)), a))

    def power(self, a: Any, size: Any = None) -> Any:
        """Numbers in [0, 1] with density a * x ** (a - 1)."""
        _must(_ufunc.greater(a, 0), "a <= 0")
        return _ufunc.power(self._uniform(_shape(size, a)), _ufunc.divide(1.0, a))

    def laplace(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Laplace (double exponential) numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        u = self._positive(_shape(size, loc, scale))
        upper = _ufunc.negative(
            _ufunc.log(_ufunc.multiply(2.0, _ufunc.subtract(1.0, _ufunc.minimum(u, 1 - 2.0**-53))))
        )
        lower = _ufunc.log(_ufunc.multiply(2.0, u))
        side = _elementwise.call(OPS["where"], (_ufunc.greater_equal(u, 0.5), upper, lower))
        return _ufunc.add(loc, _ufunc.multiply(scale, side))

    def logistic(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Logistic numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        u = _ufunc.minimum(self._positive(_shape(size, loc, scale)), 1 - 2.0**-53)
        return _ufunc.add(loc, _ufunc.multiply(scale, _ufunc.log(_ufunc.divide(u, _ufunc.subtract(1.0, u)))))

    def gumbel(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Gumbel numbers."""
        _must(_ufunc.greater_equal(scale, 0), "scale < 0")
        e = _ufunc.maximum(self.standard_exponential(_shape(size, loc, scale)), 2.0**-53)
        return _ufunc.subtract(loc, _ufunc.multiply(scale, _ufunc.log(e)))

    def standard_cauchy(self, size: Any = None) -> Any:
        """Cauchy numbers."""
        return _ufunc.tan(_ufunc.multiply(np.pi, _ufunc.subtract(self._uniform(_shape(size)), 0.5)))

    def triangular(self, left: Any, mode: Any, right: Any, size: Any = None) -> Any:
        """Numbers with a triangular density."""
        _must(_ufunc.less_equal(left, mode), "left > mode")
        _must(_ufunc.less_equal(mode, right), "mode > right")
        _must(_ufunc.less(left, right), "left == right")
        u = self._uniform(_shape(size, left, mode, right))
        span, rise = _ufunc.subtract(right, left), _ufunc.subtract(mode, left)
        below = _ufunc.add(left, _ufunc.sqrt(_ufunc.multiply(_ufunc.multiply(u, span), rise)))
        rest = _ufunc.multiply(_ufunc.subtract(1.0, u), _ufunc.multiply(span, _ufunc.subtract(right, mode)))
        above = _ufunc.subtract(right, _ufunc.sqrt(rest))
        return _elementwise.call(
            OPS["where"], (_ufunc.less_equal(u, _ufunc.divide(rise, span)), below, above)
        )

    def bytes(self, length: int) -> bytes:
        """Random bytes."""
        return to_numpy_tree(lift(self.integers(0, 256, length, np.uint8))).tobytes()  # type: ignore[no-any-return]
