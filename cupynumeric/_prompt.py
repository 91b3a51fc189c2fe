"""Prompt calls: public functions whose small operands are there are carried out by NumPy's own function when they are called.

Two kinds. Nothing fuses with what a library does (`sort`, `interp`, a factorization), so there such calls are always prompt.
What is recorded and fuses (`concatenate`, `roll`, `dot`) is prompt once the program has been found to look at such results one
by one: what the function records is marked, see `tiers`. Knows conversion; knows no function in particular.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric._array import ndarray
from cupynumeric._instant import AMONG, LARGEST, Instant, handed, host_of, through
from legate_jit import runtime
from legate_jit.immediate import ground
from legate_jit.ir import dtypes
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS
from legate_jit.running import tiers
from legate_jit.runtime import window
from legate_jit.store import Grounded

__all__ = ["Prompt", "install"]

#: what stands for no answer; None is one
RECORDED = object()
#: arguments that NumPy's functions take as they are
_PLAIN = frozenset((int, float, bool, complex, str, type(None), type, slice, type(np._NoValue)))
_BUFFER = OPS["buffer"]
_numpy_array = np.ndarray
_policy = tiers.policy


def _there(x: Any) -> Any:
    """An argument for NumPy, if it is small and waits for nothing; else RECORDED."""
    cls = x.__class__
    if cls is ndarray:
        store = x._store
        if store.value is not None or x._type.size > LARGEST:
            return RECORDED
        found = ground.of(store)
        if found is None:
            return RECORDED
        host = found.array if x._lens is None else through(found, x)
        return RECORDED if host is None else host
    if cls in _PLAIN:
        return x
    if cls is Instant:
        return host_of(x)
    if cls is list or cls is tuple:
        if len(x) > AMONG:
            return RECORDED
        hosts = []
        for e in x:
            each = _there(e)
            if each is RECORDED:
                return RECORDED
            hosts.append(each)
        return hosts if cls is list else tuple(hosts)
    if isinstance(x, np.dtype) or (isinstance(x, np.generic) and dtypes.is_supported(x.dtype)):
        return x
    return RECORDED


class Prompt:
    """NumPy's namesake of a function, called in its place where that costs less.

    `hot`: whether it is to be tried. `always`: it is a library's, which is tried from the start, and whose results share no
    memory with arguments. `shares`: NumPy has given views of arguments, which is for the function itself.
    """

    __slots__ = ("always", "hot", "kept", "shares", "theirs")

    #: parameters that may have NumPy write to an argument, and where they stand, once that is known
    kept: tuple[tuple[int, str], ...] | None

    def __init__(self, theirs: Callable[..., Any], always: bool) -> None:
        self.theirs, self.always, self.hot, self.shares = theirs, always, always, False
        self.kept = None

    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result, or RECORDED where the call is to go its usual way: an argument waits, is large or foreign."""
        if runtime.world is not None or not _policy.interpret_runs or _policy.target != "cpu":
            return RECORDED
        kept = self.kept
        if kept is None:
            kept = self.kept = _positions(self.theirs)
        for k, name in kept:
            if len(args) > k and args[k] is not None and args[k] is not _WRITES[name]:
                return RECORDED
        given: list[Any] = []
        ours = False
        for x in args:
            cls = x.__class__
            if cls is ndarray:
                ours = True
                store = x._store
                if store.__class__ is Grounded and x._lens is None and x._type.size <= LARGEST:
                    given.append(store.ground.array)
                    continue
            elif cls is Instant:
                ours = True
            elif not ours and (cls is list or cls is tuple):
                ours = len(x) > 0 and (x[0].__class__ is ndarray or x[0].__class__ is Instant)
            host = _there(x)
            if host is RECORDED:
                return RECORDED
            given.append(host)
        if not ours:
            return RECORDED
        if not kwargs:
            return self._given_out(self.theirs(*given), given)
        named = {}
        for name, x in kwargs.items():
            named[name] = host = _there(x)
            if host is RECORDED or (name in _WRITES and x is not None and x is not _WRITES[name]):
                return RECORDED
        return self._given_out(self.theirs(*given, **named), given)

    def _given_out(self, found: Any, given: list[Any]) -> Any:
        """Results of NumPy as arrays: none is memory of an argument's."""
        cls: Any = found.__class__
        if cls is _numpy_array:
            if found.base is not None and _shares(found, given):
                if not self.always:
                    self.hot, self.shares = False, True
                    return RECORDED
                found = found.copy()
            return handed(found) if dtypes.is_supported(found.dtype) else found
        if isinstance(found, (tuple, list)):
            several = [self._given_out(x, given) for x in found]
            if any(x is RECORDED for x in several):
                return RECORDED
            return cls(*several) if hasattr(found, "_fields") else cls(several)
        return handed(found)

    def watch(self, found: Any) -> None:
        """A call has just given `found` and recorded what is in the window: are such results looked at one by one?"""
        if self.shares:
            return
        if found.__class__ is ndarray:
            self.hot = not window.n and found._store.value is None  # it was computed as it was called
        else:
            self.hot = found.__class__ is Instant or isinstance(found, np.generic)
        for e in window.code:
            if e.__class__ is Signature:
                if e.at_once:
                    self.hot = True
                elif e.op is not _BUFFER:
                    self.hot = False
                    return
        if self.hot:
            _hot.append(self)


#: parameters that may have NumPy write to an argument, and with which value they do not
_WRITES: dict[str, Any] = {"out": None, "overwrite_input": False, "copy": True}


def _positions(function: Callable[..., Any]) -> tuple[tuple[int, str], ...]:
    """Where in a call those of a function stand."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        return ((2, "out"),)  # `dot(a, b, out)` of releases that do not say
    return tuple([(k, name) for k, name in enumerate(names) if name in _WRITES])


_hot: list[Prompt] = []


def _cool() -> None:
    for each in _hot:
        each.hot = False
    _hot.clear()


tiers.taken_back.append(_cool)


def _shares(found: np.ndarray, given: Any) -> bool:
    """Whether a result lies in memory of an argument."""
    for x in given:
        if x.__class__ is _numpy_array and np.may_share_memory(found, x):
            return True
        if (x.__class__ is list or x.__class__ is tuple) and _shares(found, x):
            return True
    return False


def library(function: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, prompt whenever it can be."""
    answer = Prompt(theirs, always=True).answer

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = answer(args, kwargs)
        return function(*args, **kwargs) if found is RECORDED else found

    return call


def watched(function: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, prompt once its results are looked at one by one."""
    prompt = Prompt(theirs, always=False)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if prompt.hot:
            found = prompt.answer(args, kwargs)
            if found is not RECORDED:
                return found
        alone = not window.n
        found = function(*args, **kwargs)
        if alone:
            prompt.watch(found)
        return found

    return call


#: what libraries do (and `_replay.LIBRARY`): it never fuses. None of them gives back, or writes to, an argument
LIBRARY = tuple(
    " ".join(
        (
            "partition argpartition lexsort searchsorted digitize unique bincount histogram isin interp correlate take",
            "nonzero flatnonzero argwhere median percentile quantile nanmedian nanpercentile nanquantile allclose",
            "array_equal array_equiv unwrap intersect1d union1d setdiff1d setxor1d",
        )
    ).split()
)
#: what is recorded, and is not replayed (`_replay.FUNCTIONS`)
WATCHED = ("around", "count_nonzero")
LINALG = (
    *(
        "solve",
        "inv",
        "det",
        "cholesky",
        "eigh",
        "eigvalsh",
        "eig",
        "eigvals",
        "svd",
        "qr",
        "slogdet",
        "pinv",
    ),
    *("matrix_rank", "cond", "lstsq"),
)
FFT = (
    *("fft", "ifft", "rfft", "irfft", "fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"),
    *("hfft", "ihfft"),
)


def install(namespace: dict[str, Any], names: tuple[str, ...], theirs: Any, wrap: Any = library) -> None:
    """Replace functions of a namespace by their prompt versions."""
    for name in names:
        if name in namespace and hasattr(theirs, name):
            namespace[name] = wrap(namespace[name], getattr(theirs, name))
