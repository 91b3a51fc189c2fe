"""Random numbers: NumPy's exact streams, and counter-based streams that are recorded in the graph.

The functions of `numpy.random`, `RandomState`, `Generator` and `default_rng` give the numbers NumPy gives for the same seed.
Generators made on `XORWOW`, `MRG32k3a` or `PHILOX4_32_10` draw from counters: element i of a draw depends on the seed, the
position of the draw and i alone, so that results do not depend on threads or ranks, and draws fuse with what uses them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import (
    MT19937,
    PCG64,
    PCG64DXSM,
    SFC64,
    BitGenerator,
    Philox,
    SeedSequence,
    bit_generator,
    mtrand,
)

from cupynumeric import _fallback, _instant
from cupynumeric._calls import hosted, wrapped
from cupynumeric._convert import to_numpy_tree
from cupynumeric.random import _streams
from cupynumeric.random._counter import PHILOX4_32_10, XORWOW, CounterBits, CounterGenerator, MRG32k3a
from cupynumeric.random._streams import Generator, RandomState, default_rng, shuffle
from legate_jit import runtime
from legate_jit.ir import dtypes

_WRAPPED = [
    "beta",
    "binomial",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "f",
    "gamma",
    "geometric",
    "gumbel",
    "hypergeometric",
    "laplace",
    "logistic",
    "lognormal",
    "logseries",
    "multinomial",
    "multivariate_normal",
    "negative_binomial",
    "noncentral_chisquare",
    "noncentral_f",
    "normal",
    "pareto",
    "permutation",
    "poisson",
    "power",
    "rand",
    "randint",
    "randn",
    "random",
    "random_integers",
    "random_sample",
    "ranf",
    "rayleigh",
    "sample",
    "standard_cauchy",
    "standard_exponential",
    "standard_gamma",
    "standard_normal",
    "standard_t",
    "triangular",
    "uniform",
    "vonmises",
    "wald",
    "weibull",
    "zipf",
]


_INTEGERS = frozenset((int,))


def _drawing(name: str) -> Callable[..., Any]:
    """The function of the global stream: its arguments may be arrays of ours, its results are."""
    theirs = getattr(np.random, name)
    usual = hosted(theirs)

    @functools.wraps(usual)
    def call(*args: Any, **kwargs: Any) -> Any:
        if runtime.world is not None:
            done = _streams._dealing().of_global(name, args, kwargs)
            if done is not None:
                return done
        elif not kwargs and _INTEGERS.issuperset(map(type, args)):
            done = theirs(*args)
            if done.__class__ is np.ndarray and dtypes.is_supported(done.dtype):
                return _instant.brought(done)
            return wrapped(done)
        return usual(*args, **kwargs)

    return call


def _settled(name: str) -> Callable[..., Any]:
    """The function of the global stream for arguments that may be arrays of ours; what it returns stays as it is."""
    function = getattr(np.random, name)
    seeding = name in ("seed", "set_bit_generator")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if runtime.world is None:
            return function(*to_numpy_tree(args), **to_numpy_tree(kwargs))
        if not seeding:
            _streams._dealing().agree_on_global()
        result = function(*to_numpy_tree(args), **to_numpy_tree(kwargs))
        if seeding and (name != "seed" or (args or (kwargs.get("seed"),))[0] is None):
            _streams._dealing().agree_on_global(again=True)
        return result

    return call


_functions: dict[str, Any] = {name: _drawing(name) for name in _WRAPPED}
_functions |= {
    name: _settled(name) for name in ("bytes", "get_state", "seed", "set_bit_generator", "set_state")
}
_functions["get_bit_generator"] = getattr(np.random, "get_bit_generator")  # noqa: B009
globals().update(_functions)

__getattr__ = _fallback.completed(__name__, "numpy.random")

__all__ = [
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "PHILOX4_32_10",
    "SFC64",
    "XORWOW",
    "BitGenerator",
    "CounterBits",
    "CounterGenerator",
    "Generator",
    "MRG32k3a",
    "Philox",
    "RandomState",
    "SeedSequence",
    "bit_generator",
    "default_rng",
    "mtrand",
    "shuffle",
    *_functions,
]
