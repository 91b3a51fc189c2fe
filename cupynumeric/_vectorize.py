"""Users' scalar functions over arrays: `vectorize`, `piecewise`, `frompyfunc`.

A pure scalar function that Numba can type becomes part of the kernels around it; everything else runs as NumPy runs it. Compiled
functions compute as ufuncs do: dividing by zero gives inf or nan and integers wrap around, where Python would raise or grow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric import _creation, _logic, _reductions, _ufunc
from cupynumeric._array import Ours, ndarray, result, value
from cupynumeric._calls import cast, hosted, lift, wrapped
from cupynumeric._convert import host_view, to_numpy_tree
from legate_jit import runtime, user
from legate_jit.immediate import irregular
from legate_jit.ir import dtypes

__all__ = ["frompyfunc", "piecewise", "vectorize"]

#: elements a function has to be applied to, all calls together, before compiling it is worth a second or two
WORTH = 500_000
#: integers beyond this are not exact as float64, in which arguments of several kinds travel
_EXACT = 1 << 53


class vectorize(np.vectorize):
    """`numpy.vectorize`; compiled by Numba, and fused, once it has been applied to many elements."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        done = self._lazy(args) if not kwargs and any(isinstance(a, Ours) for a in args) else None
        if done is not None:
            return done
        if runtime.world is not None and not kwargs:
            done = self._by_parts(args)
            if done is not None:
                return done
        got = super().__call__(*to_numpy_tree(args), **to_numpy_tree(kwargs))
        return self if got is self else wrapped(got)

    def _lazy(self, args: tuple[Any, ...]) -> Any:
        """The recorded application, or None when NumPy should do it."""
        pyfunc: Any = self.pyfunc
        if pyfunc is np._NoValue or self.signature is not None or self.excluded:
            return None
        if self.otypes is not None and len(self.otypes) != 1:
            return None
        arrays = [lift(a) for a in args]
        if any(a.__class__ is not ndarray for a in arrays):
            return None
        size = int(np.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
        self._applied = getattr(self, "_applied", 0) + size
        codes = tuple(user.code_of(a.dtype) for a in arrays)
        if self._applied < WORTH or size == 0 or None in codes or not _exact(arrays, codes):
            return None
        dtype = user.result_dtype(pyfunc, codes)  # type: ignore[arg-type]
        if dtype is None:
            return None
        wanted = self._wanted(arrays, dtype)
        if wanted is None:
            return None
        sig = user.signature(pyfunc, codes, tuple(a._type for a in arrays))  # type: ignore[arg-type]
        return cast(result(sig, *[value(a) for a in arrays]), wanted)

    def _by_parts(self, args: tuple[Any, ...]) -> Any:
        """The application to arrays in parts, or None."""
        from cupynumeric import _applied

        function: Any = self.pyfunc
        if function is np._NoValue or self.signature is not None or self.excluded or not args:
            return None
        return _applied.vectorized(function, self.otypes, args)

    def _wanted(self, arrays: list[ndarray], dtype: np.dtype) -> np.dtype | None:
        """The dtype of the result: as asked for, else of the first element's, whose kind the compiled function has to share."""
        if self.otypes is not None:
            wanted = np.dtype(self.otypes[0])
            return wanted if dtypes.is_supported(wanted) else None
        first = self.pyfunc(*[host_view(a).flat[0] for a in arrays])
        found = np.asarray(first).dtype
        fits = found.kind == dtype.kind and np.ndim(first) == 0 and dtypes.is_supported(found)
        return found if fits else None


def _exact(arrays: list[ndarray], codes: tuple[str | None, ...]) -> bool:
    """Whether arguments of several kinds can travel as float64."""
    if len(set(codes)) == 1:
        return True
    wide = [a for a in arrays if a.dtype.kind in "iu" and a.dtype.itemsize == 8]
    return all(-_EXACT <= int(v) <= _EXACT for a in wide for v in irregular.bounds(host_view(a)))


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """A function given by pieces: each of `funclist` (functions of selections, or values) where its condition holds.

    Functions that compute elementwise on their selection are recorded, and fuse.
    """
    a = lift(x)
    if isinstance(condlist, Ours) and condlist.ndim == 0:
        condlist = bool(condlist)
    if a.__class__ is not ndarray or a.ndim == 0:
        return hosted(np.piecewise)(x, condlist, funclist, *args, **kw)
    if _logic.isscalar(condlist) or _ndim(condlist[0]) == 0:
        condlist = [condlist]
    conditions = [cast(lift(c), dtypes.BOOL) for c in condlist]
    n, wanted = len(conditions), len(funclist)
    if n == wanted - 1:
        covered = conditions[0]
        for c in conditions[1:]:
            covered = _ufunc.logical_or(covered, c)
        conditions.append(_ufunc.logical_not(covered))
    elif n != wanted:
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    y = _creation.zeros_like(a)
    for condition, piece in zip(conditions, funclist, strict=True):
        if not callable(piece):
            y[condition] = piece
        elif _never_empty(piece) or bool(_reductions.any(condition)):
            y[condition] = piece(a[condition], *args, **kw)
    return y


def _ndim(x: Any) -> int:
    return x.ndim if isinstance(x, Ours) else np.ndim(to_numpy_tree(x))


def _never_empty(piece: Any) -> bool:
    """Whether an empty selection cannot disturb the function: ufuncs compute elementwise whatever they get."""
    return isinstance(piece, (_ufunc.ufunc, np.ufunc))


def frompyfunc(func: Any, /, nin: int, nout: int, *, identity: Any = None) -> Any:
    """A ufunc of Python objects, NumPy's own: its results are object arrays, which live outside the graph."""
    made = (
        np.frompyfunc(func, nin, nout, identity=identity)
        if identity is not None
        else np.frompyfunc(func, nin, nout)
    )

    def call(*args: Any, **kwargs: Any) -> Any:
        return made(*to_numpy_tree(args), **to_numpy_tree(kwargs))

    for name in ("nin", "nout", "nargs", "identity", "reduce", "accumulate", "outer", "__name__"):
        setattr(call, name, getattr(made, name))
    return call
