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

from cupynumeric import _fallback
from cupynumeric._calls import hosted
from cupynumeric._convert import to_numpy_tree
from cupynumeric.random._counter import PHILOX4_32_10, XORWOW, CounterBits, CounterGenerator, MRG32k3a
from cupynumeric.random._streams import Generator, RandomState, default_rng, shuffle

_WRAPPED = [
    "beta",
    "binomial",
    "bytes",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "f",
    "gamma",
    "geometric",
    "get_state",
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
    "seed",
    "set_state",
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


def _settled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for arguments that may be arrays of ours; what it returns stays as it is."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*to_numpy_tree(args), **to_numpy_tree(kwargs))

    return call


_functions: dict[str, Any] = {name: hosted(getattr(np.random, name)) for name in _WRAPPED}
_functions |= {
    name: _settled(getattr(np.random, name)) for name in ("bytes", "get_state", "seed", "set_state")
}
_functions |= {name: getattr(np.random, name) for name in ("get_bit_generator", "set_bit_generator")}
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
