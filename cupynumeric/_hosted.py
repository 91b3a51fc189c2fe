"""Public functions that NumPy carries out on host views: data-dependent shapes, small metadata, text and files.

No warning is given for them: a fused kernel would not do them better, or they move no array data at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _composed
from cupynumeric._advanced import over_ranks
from cupynumeric._array import Ours
from cupynumeric._composed import over_parts
from cupynumeric._convert import hosted, lift, to_numpy_tree

choose = over_ranks(hosted("choose"))
extract = over_ranks(hosted("extract"))
take_along_axis = over_ranks(hosted("take_along_axis"))
ix_ = over_ranks(hosted("ix_"))
unravel_index = over_ranks(hosted("unravel_index"))
ravel_multi_index = over_ranks(hosted("ravel_multi_index"))
diag_indices = hosted("diag_indices")
mask_indices = hosted("mask_indices")
tril_indices = hosted("tril_indices")
triu_indices = hosted("triu_indices")
packbits = over_parts(hosted("packbits"), _composed.packbits)
unpackbits = over_parts(hosted("unpackbits"), _composed.unpackbits)
bartlett = hosted("bartlett")
blackman = hosted("blackman")
hamming = hosted("hamming")
hanning = hosted("hanning")
kaiser = hosted("kaiser")
array_repr = hosted("array_repr")
array_str = hosted("array_str")
array2string = hosted("array2string")
genfromtxt = hosted("genfromtxt")
fromregex = hosted("fromregex")
can_cast = hosted("can_cast")
min_scalar_type = hosted("min_scalar_type")


def _of_types(name: str) -> Callable[..., Any]:
    """A function of NumPy that looks at dtypes and shapes only: no elements are computed for it."""
    function = getattr(np, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_hollow, args), **kwargs)

    call.__module__ = "cupynumeric"
    return call


def _hollow(x: Any) -> Any:
    """An array of NumPy's with the dtype and shape of one of ours, and one element."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape) if isinstance(x, Ours) else x


common_type = _of_types("common_type")
iterable = _of_types("iterable")
einsum_path = _of_types("einsum_path")


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype NumPy's promotion rules give the arguments."""
    return np.result_type(*(x.dtype if isinstance(x, Ours) else x for x in arrays_and_dtypes))


def isfortran(a: Any) -> bool:
    """Whether a is Fortran- but not C-contiguous."""
    return bool(a.flags.fnc)


def ndim(a: Any) -> int:
    """Number of axes."""
    return a.ndim if hasattr(a, "ndim") else np.ndim(to_numpy_tree(a))


def shape(a: Any) -> tuple[int, ...]:
    """Extent of each axis."""
    return a.shape if hasattr(a, "shape") else np.shape(to_numpy_tree(a))


def size(a: Any, axis: Any = None) -> int:
    """Number of elements, or along given axes."""
    return np.size(np.broadcast_to(np.empty(()), shape(a)), axis)


def shares_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """Whether two arrays have an element in common."""
    return _overlap(np.shares_memory, a, b, max_work)


def may_share_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """Whether the memory bounds of two arrays overlap."""
    return _overlap(np.may_share_memory, a, b, max_work)


def _overlap(judge: Any, a: Any, b: Any, max_work: Any) -> bool:
    if isinstance(a, Ours) and isinstance(b, Ours):
        if a._store is not b._store:
            return False
        options = {} if max_work is None else {"max_work": max_work}
        return bool(judge(*to_numpy_tree((a, b)), **options))
    # NumPy's array may be a snapshot of ours, on the same memory.
    if isinstance(a, Ours) or isinstance(b, Ours):
        a, b = to_numpy_tree((a, b))
    return bool(judge(a, b) if max_work is None else judge(a, b, max_work))


def diag_indices_from(arr: Any) -> Any:
    """Indices of the main diagonal of a square array."""
    from cupynumeric._convert import from_numpy_tree
    from cupynumeric._shape import stand_in

    return from_numpy_tree(np.diag_indices_from(stand_in(lift(arr))))


def tril_indices_from(arr: Any, k: int = 0) -> Any:
    """Indices of the lower triangle of a matrix."""
    if ndim(arr) != 2:
        raise ValueError("input array must be 2-d")
    return tril_indices(shape(arr)[0], k, shape(arr)[1])


def triu_indices_from(arr: Any, k: int = 0) -> Any:
    """Indices of the upper triangle of a matrix."""
    if ndim(arr) != 2:
        raise ValueError("input array must be 2-d")
    return triu_indices(shape(arr)[0], k, shape(arr)[1])


class ndenumerate:
    """Pairs of index and value over an array."""

    def __init__(self, arr: Any) -> None:
        self._iterator = np.ndenumerate(to_numpy_tree(arr))

    def __next__(self) -> Any:
        return next(self._iterator)

    def __iter__(self) -> ndenumerate:
        return self


class broadcast:
    """What broadcasting the arguments against each other gives: shape, size, and an iterator over tuples of elements."""

    def __init__(self, *arrays: Any) -> None:
        self._broadcast = np.broadcast(*(to_numpy_tree(x) for x in arrays))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broadcast, name)

    def __iter__(self) -> Any:
        return iter(self._broadcast)

    def __next__(self) -> Any:
        return next(self._broadcast)


class _Concatenator:
    """`r_` and `c_`: joining by index syntax, carried out by NumPy."""

    def __init__(self, numpys: Any) -> None:
        self._numpys = numpys

    def __getitem__(self, key: Any) -> Any:
        from cupynumeric._convert import from_numpy_tree

        return from_numpy_tree(self._numpys[to_numpy_tree(key)])

    def __len__(self) -> int:
        return 0


r_ = _Concatenator(np.r_)
c_ = _Concatenator(np.c_)


__all__ = [
    "array2string",
    "array_repr",
    "array_str",
    "bartlett",
    "blackman",
    "broadcast",
    "c_",
    "can_cast",
    "choose",
    "common_type",
    "diag_indices",
    "diag_indices_from",
    "einsum_path",
    "extract",
    "fromregex",
    "genfromtxt",
    "hamming",
    "hanning",
    "isfortran",
    "iterable",
    "ix_",
    "kaiser",
    "mask_indices",
    "may_share_memory",
    "min_scalar_type",
    "ndenumerate",
    "ndim",
    "packbits",
    "r_",
    "ravel_multi_index",
    "result_type",
    "shape",
    "shares_memory",
    "size",
    "take_along_axis",
    "tril_indices",
    "tril_indices_from",
    "triu_indices",
    "triu_indices_from",
    "unpackbits",
    "unravel_index",
]
