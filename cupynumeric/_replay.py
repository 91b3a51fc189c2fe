"""Functions made of many operations are recorded once as text and replayed: `roll`, `gradient` and the like.

What such a function records depends on the types and views of its arrays and on its other arguments only. The second call with
the same ones keeps the piece of tape it recorded; later calls append that piece, with the operands' numbers filled in, and make
the results. A call that ran the window, read a value, or changed an array is never kept. Knows the window's form; knows no
function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cupynumeric import _instant, _prompt
from cupynumeric._array import ndarray, wrap
from legate_jit import runtime
from legate_jit.ir.node import ArrayType, Signature
from legate_jit.ir.ops import OPS
from legate_jit.runtime import window
from legate_jit.store import Lens, Store

__all__ = ["install", "replayed"]

#: pieces of more instructions are not kept
LONGEST = 200
#: calls that could not be kept after which a function is left alone for these arguments
TRIES = 3

_BUFFER = OPS["buffer"]
_recipes: dict[Any, Any] = {}  # a Recipe, or how often keeping one was tried
runtime.bounded.append((_recipes, 4000))


class _Result(NamedTuple):
    """One array of the result: which of the piece's values (or operands, ~k) its store has, and how it looks into it."""

    value: int
    type: ArrayType
    lens: Lens | None
    locked: bool | int


class _Recipe(NamedTuple):
    """A piece of tape: signatures, and numbers of values in the piece (k) and of operands (~k)."""

    code: tuple[Any, ...]
    size: int
    scalars: tuple[Any, ...]
    results: tuple[_Result, ...]
    kind: type  # of the result: ndarray, tuple or list


class _Unkept(Exception):
    """This argument, or this result, is none that recipes know."""


def replayed(function: Callable[..., Any], namesake: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`function`, which only records, with the text of what it records kept by its arguments. `namesake`: NumPy's, which does
    the same; that of the same name if not given."""

    namesake = namesake or getattr(np, function.__name__, None)
    prompt = _prompt.Prompt(namesake or function, always=False)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if prompt.hot:
            done = prompt.answer(args, kwargs)
            if done is not _prompt.RECORDED:
                return done
        alone = namesake is not None and not window.n
        arrays: list[ndarray] = []
        try:
            key = (function, *[_part(a, arrays) for a in args])
            if kwargs:
                key += tuple([(name, _part(a, arrays)) for name, a in kwargs.items()])
            stores = [a._store for a in arrays]
            if len(stores) > 1:  # the same array twice is recorded otherwise than two arrays
                key += tuple([stores.index(s) for s in stores])
            found = _recipes.get(key, 0)
        except (_Unkept, TypeError):
            done = None if namesake is None else _instant.computed(namesake, args, kwargs)
            return function(*args, **kwargs) if done is None else done
        if found.__class__ is _Recipe:
            done = _replay(found, stores)
            if alone:
                prompt.watch(done)
            return done
        if not found or found > TRIES or not stores:
            _recipes[key] = found + 1
            done = function(*args, **kwargs)
            if alone:
                prompt.watch(done)
            return done
        return _captured(key, found, stores, function, args, kwargs)

    return call


_PLAIN = frozenset((int, bool, str, type(None), type))


def _part(x: Any, arrays: list[ndarray]) -> Any:
    """What of an argument decides what is recorded; arrays are collected."""
    cls = x.__class__
    if cls is ndarray:
        if x._locked:
            raise _Unkept
        arrays.append(x)
        return x._key
    if cls in _PLAIN:
        return cls, x  # 1 == True
    if x is np._NoValue:  # what methods give for an argument that is not given
        return x
    if cls is float:
        return float.hex(x)  # 0.0 == -0.0
    if isinstance(x, np.dtype):
        return x
    if cls is tuple or cls is list:
        if len(x) > 32:
            raise _Unkept
        return cls, *[_part(e, arrays) for e in x]
    raise _Unkept


def _replay(recipe: _Recipe, stores: list[Store]) -> Any:
    enter = window.enter
    values = [enter(s) if s.value is None else s.value for s in stores]
    w = window
    first = w.n
    code = [e if e.__class__ is Signature else first + e if e >= 0 else values[~e] for e in recipe.code]
    w.code += code  # nothing is called from here on until the piece is whole, see `runtime.record`
    w.scalars += recipe.scalars
    w.n = first + recipe.size
    made = []
    for r in recipe.results:
        s = Store()
        s.value, s.buffer, s.type = first + r.value if r.value >= 0 else values[~r.value], None, r.type
        w.stores.append(s)
        made.append(wrap(s, r.lens, r.locked))
    if w.n > w.limit + 1:
        runtime.full()
    return made[0] if recipe.kind is ndarray else recipe.kind(made)


def _captured(
    key: Any,
    tried: int,
    stores: list[Store],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the function, and keep what it recorded if that was all it did."""
    w = window
    values = [runtime.value_of(s) for s in stores]
    serial, start, first, scalars = w.serial, len(w.code), w.n, len(w.scalars)
    marks = len(w.marks)
    done = function(*args, **kwargs)
    try:
        if w.serial != serial or len(w.marks) != marks or [s.value for s in stores] != values:
            raise _Unkept
        numbers = {v: ~k for k, v in reversed(list(enumerate(values)))}
        code = _relative(w.code[start:], first, numbers)
        kind = done.__class__
        results = (done,) if kind is ndarray else done
        if kind not in (ndarray, tuple, list):
            raise _Unkept
        kept = tuple([_result(r, first, numbers, stores) for r in results])
        if len({id(r._store) for r in results}) < len(kept):
            raise _Unkept
        _recipes[key] = _Recipe(code, w.n - first, tuple(w.scalars[scalars:]), kept, kind)
    except _Unkept:
        _recipes[key] = tried + 1
    return done


def _relative(code: list[Any], first: int, numbers: dict[int, int]) -> tuple[Any, ...]:
    if len(code) > 4 * LONGEST:
        raise _Unkept
    made: list[Any] = []
    for e in code:
        if e.__class__ is Signature:
            if e.op is _BUFFER:
                raise _Unkept  # made from values of the host, or another array
            made.append(e)
        elif e.__class__ is int:
            made.append(_number(e, first, numbers))
        else:
            raise _Unkept
    return tuple(made)


def _number(value: int, first: int, numbers: dict[int, int]) -> int:
    if value >= first:
        return value - first
    if value not in numbers:
        raise _Unkept
    return numbers[value]


def _result(x: Any, first: int, numbers: dict[int, int], stores: list[Store]) -> _Result:
    if x.__class__ is not ndarray:
        raise _Unkept
    store = x._store
    if store.value is None or any(store is s for s in stores):
        raise _Unkept
    return _Result(_number(store.value, first, numbers), store.type, x._lens, x._locked)


#: what only records, given arrays: joining, moving, stencils, products, statistics
FUNCTIONS = tuple(
    " ".join(
        (
            "append block column_stack concat concatenate delete dstack hstack insert pad repeat resize roll stack tile vstack",
            "rot90 diag diagflat meshgrid trace tril triu cross diff ediff1d gradient trapezoid polyval nan_to_num select",
            "isclose cov dot einsum inner kron outer tensordot vdot",
            "mean median ptp std var nanmax nanmean nanmin nanstd nansum nanvar",
        )
    ).split()
)


def install(namespace: dict[str, Any], names: tuple[str, ...]) -> None:
    """Replace functions of a namespace by their replayed versions."""
    for name in names:
        namespace[name] = replayed(namespace[name])
