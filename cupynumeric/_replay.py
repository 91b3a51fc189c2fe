"""Functions made of many operations are recorded once as text and replayed: `roll`, `gradient` and the like.

What such a function records depends on the types and views of its arrays and on its other arguments only. The second call with
the same ones keeps the piece of tape it recorded; later calls append that piece, with the operands' numbers filled in, and make
the results. A call that ran the window, read a value, or changed an array is never kept. Knows the window's form; knows no
function.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _array, _elementwise, _instant, _prompt
from cupynumeric._array import ndarray, wrap
from legate_jit import recording, runtime
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


class Result:
    """One array of the result: which of the piece's values (or operands, ~k) its store has, and how it looks into it; or, with
    `view`, an array that looks into the store of operand ~value."""

    __slots__ = ("value", "type", "lens", "key", "locked", "shown", "view")

    def __init__(
        self, value: int, type_: ArrayType, lens: Lens | None, locked: bool | int, view: bool
    ) -> None:
        self.value, self.type, self.lens, self.locked, self.view = value, type_, lens, locked, view
        self.shown = type_ if lens is None else lens.type
        self.key = lens or type_


class Recipe:
    """A piece of tape: signatures, and numbers of values in the piece (k) and of operands (~k).

    `picks`, where some scalars are the call's: for each scalar which of the call's floats it is, or -1. `single`: the result,
    where that is one array; else `results`, in a container of class `kind`.
    """

    __slots__ = ("code", "size", "scalars", "picks", "results", "kind", "single")

    def __init__(
        self,
        code: tuple[Any, ...],
        size: int,
        scalars: tuple[Any, ...],
        picks: tuple[int, ...] | None,
        results: tuple[Result, ...],
        kind: type,
    ) -> None:
        self.code, self.size, self.scalars, self.picks = code, size, scalars, picks
        self.results, self.kind = results, kind
        self.single = results[0] if kind is ndarray else None


class _Unkept(Exception):
    """This argument, or this result, is none that recipes know."""


def replayed(
    function: Callable[..., Any],
    namesake: Callable[..., Any] | None = None,
    *,
    loose: bool = False,
    short: bool = False,
    prompt: bool | None = False,
) -> Callable[..., Any]:
    """`function`, which only records, with the text of what it records kept by its arguments. `namesake`: NumPy's, which does
    the same; that of the same name if not given.

    `loose`: what is recorded does not depend on the values of floats among the arguments, which are scalars of instructions.
    `short`: so little is recorded that only machine code is quicker. `prompt`: see `_prompt.Prompt`'s `always`; None: never.
    """
    namesake = namesake or getattr(np, function.__name__, None)
    asked = None if prompt is None else _prompt.Prompt(namesake or function, always=prompt)
    watched = asked if prompt is False and namesake is not None else None
    if prompt is None:
        namesake = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        done = _attempt(_recipes, function, args, kwargs, loose)
        if done is not None and done is not NotImplemented:
            return done
        if asked is not None and asked.hot:
            found = asked.answer(args, kwargs)
            if found is not _prompt.RECORDED:
                return found
        alone = watched is not None and not window.n
        if done is None or (short and _attempt is attempt and not _worthwhile()):
            found = function(*args, **kwargs)
        else:
            found = _met(function, namesake, args, kwargs, loose)
        if alone:
            watched.watch(found)  # type: ignore[union-attr]
        return found

    return call


def attempt(
    recipes: dict[Any, Any], function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], loose: bool
) -> Any:
    """The result of a call with one array as its result whose recipe is there. Else nothing is changed: None if the function is
    to be called, NotImplemented if nothing is known.

    `legate_jit.recording` replaces it by machine code that does so. Before, all calls are `_met`'s.
    """
    return NotImplemented


_attempt = attempt
#: calls that machine code did not carry out, and of how many it is worth loading where nothing has been compiled
_calls = [0]
CALLS = 20_000


def quicker(function: Callable[..., Any]) -> None:
    """Use this in place of `attempt`."""
    global _attempt
    _attempt = function


def _worthwhile() -> bool:
    """Counts a call of a program that has compiled nothing so far; True when machine code has been loaded for it."""
    _calls[0] += 1
    if _calls[0] != CALLS:
        return False
    recording.install()
    return _attempt is not attempt


def _met(
    function: Callable[..., Any], namesake: Any, args: tuple[Any, ...], kwargs: dict[str, Any], loose: bool
) -> Any:
    """The call by its recipe, whatever the result; by the function where there is none, keeping one if that can be."""
    arrays: list[ndarray] = []
    floats: list[float] | None = [] if loose else None
    try:
        key: list[Any] = [function]
        for a in args:
            _encode(a, key, arrays, floats)
        for name, a in kwargs.items():
            key.append(name)
            _encode(a, key, arrays, floats)
        stores = [a._store for a in arrays]
        if len(stores) > 1:  # the same array twice is recorded otherwise than two arrays
            key += [stores.index(s) for s in stores]
        known = tuple(key)
        found = _recipes.get(known, 0)
    except (_Unkept, TypeError):
        done = None if namesake is None else _instant.computed(namesake, args, kwargs)
        return function(*args, **kwargs) if done is None else done
    waiting = any(s.value is not None for s in stores)
    if not waiting and stores and all(s.type.size <= SMALL for s in stores):
        return function(*args, **kwargs)
    if found.__class__ is Recipe:
        return _replay(found, stores, floats)
    if not found or found > TRIES:
        _recipes[known] = found or 1
        return function(*args, **kwargs)
    return _captured(known, found, arrays, floats, function, args, kwargs)


_PLAIN = frozenset((int, bool, str, type(None), type))
_DTYPES = type(np.dtype)
#: elements of a sequence that are looked at
LENGTH = 32
#: elements of arrays that functions may compute with at once where nothing waits to be computed; it is for them to say
SMALL = 20_000


def _encode(x: Any, key: list[Any], arrays: list[ndarray], floats: list[float] | None) -> None:
    """Append to a key what of an argument decides what is recorded, as one, two or more parts of which the first tell how many
    there are; arrays are collected, and floats where their values decide nothing."""
    cls = x.__class__
    if cls is ndarray:
        if x._locked:
            raise _Unkept
        arrays.append(x)
        key.append(x._key)
    elif cls in _PLAIN:
        key += (cls, x)  # 1 == True
    elif cls is float:
        if floats is not None:
            floats.append(x)
            key += (float, None)
        else:
            key += (float, x if x else float.hex(x))  # 0.0 == -0.0
    # What methods give for an argument that is not given, or a dtype.
    elif x is np._NoValue or cls.__class__ is _DTYPES:
        key.append(x)
    elif cls is tuple or cls is list:
        if len(x) > LENGTH:
            raise _Unkept
        key += (cls, len(x))
        for e in x:
            _encode(e, key, arrays, floats)
    else:
        raise _Unkept


def _replay(recipe: Recipe, stores: list[Store], floats: list[float] | None) -> Any:
    enter = window.enter
    values = [enter(s) if s.value is None else s.value for s in stores]
    w = window
    first = w.n
    code = [e if e.__class__ is Signature else first + e if e >= 0 else values[~e] for e in recipe.code]
    scalars = recipe.scalars
    if recipe.picks is not None:
        given = floats or []
        scalars = tuple([s if k < 0 else given[k] for s, k in zip(scalars, recipe.picks, strict=True)])
    w.code += code  # nothing is called from here on until the piece is whole, see `runtime.record`
    w.scalars += scalars
    w.n = first + recipe.size
    made = []
    for r in recipe.results:
        if r.view:
            made.append(wrap(stores[~r.value], r.lens, r.locked))
            continue
        s = Store()
        if r.value >= 0:
            s.value, s.buffer, s.type = first + r.value, None, r.type
        else:  # a copy: if nobody writes to either, they share memory after the window too
            s.value, s.buffer, s.type = values[~r.value], stores[~r.value].buffer, r.type
        w.stores.append(s)
        made.append(wrap(s, r.lens, r.locked))
    if recipe.size and w.n > w.limit + 1:
        runtime.full()
    return made[0] if recipe.kind is ndarray else recipe.kind(made)


def _captured(
    key: Any,
    tried: int,
    arrays: list[ndarray],
    floats: list[float] | None,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the function, and keep what it recorded if that was all it did. What warns is not kept: it warns every time."""
    w = window
    stores = [a._store for a in arrays]
    values = [runtime.value_of(s) for s in stores]
    serial, start, first, scalars = w.serial, len(w.code), w.n, len(w.scalars)
    marks = len(w.marks)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            done = function(*args, **kwargs)
    except Warning:
        _recipes[key] = TRIES + 1
        return function(*args, **kwargs)
    try:
        if w.serial != serial or len(w.marks) != marks or [s.value for s in stores] != values:
            raise _Unkept
        numbers = {v: ~k for k, v in reversed(list(enumerate(values)))}
        code = _relative(w.code[start:], first, numbers)
        kind = done.__class__
        results = (done,) if kind is ndarray else done
        if kind not in (ndarray, tuple, list):
            raise _Unkept
        kept = tuple([_result(r, first, numbers, arrays) for r in results])
        if len({id(r._store) for r in results}) < len(kept):
            raise _Unkept
        taken = tuple(w.scalars[scalars:])
        _recipes[key] = Recipe(code, w.n - first, taken, _picks(taken, floats), kept, kind)
    except _Unkept:
        _recipes[key] = tried + 1
    return done


def _picks(scalars: tuple[Any, ...], floats: list[float] | None) -> tuple[int, ...] | None:
    """Which of a call's floats each scalar of the piece is. None for calls whose floats are parts of the key."""
    if not floats:
        return None
    found = [next((k for k, f in enumerate(floats) if f is s), -1) for s in scalars]
    if set(found) - {-1} != set(range(len(floats))):
        raise _Unkept  # a float went into the piece in another form, or decided something
    return tuple(found)


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


def _result(x: Any, first: int, numbers: dict[int, int], arrays: list[ndarray]) -> Result:
    if x.__class__ is not ndarray or any(x is a for a in arrays):
        raise _Unkept
    store = x._store
    for k, a in enumerate(arrays):
        if store is a._store:
            return Result(~k, store.type, x._lens, x._locked, True)
    if store.value is None:
        raise _Unkept
    number = _number(store.value, first, numbers)
    if number < 0:  # as `_replay` makes it
        store.buffer = arrays[~number]._store.buffer
    return Result(number, store.type, x._lens, x._locked, False)


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
#: functions of one instruction or a view
SHORT = tuple(
    " ".join(
        (
            "sum prod max min amax amin any all argmax argmin average round",
            "reshape transpose ravel squeeze expand_dims swapaxes moveaxis broadcast_to copy flip fliplr flipud",
            "zeros ones zeros_like ones_like arange linspace eye identity",
        )
    ).split()
)
#: the same, of which floats are scalars of instructions
LOOSE = ("where", "clip", "full", "full_like")
#: library calls
LIBRARY = ("cumsum", "cumprod", "sort", "argsort", "convolve")
#: methods that do what NumPy's functions of the same names do
METHODS = (
    *("sum", "prod", "mean", "std", "var", "min", "max", "any", "all", "argmin", "argmax"),
    *("cumsum", "cumprod", "dot", "trace", "round", "clip"),
)
SHAPING = tuple(
    " ".join(
        (
            "reshape transpose astype flatten ravel squeeze swapaxes diagonal repeat copy conj conjugate",
            "__matmul__",
        )
    ).split()
)


def install(namespace: dict[str, Any], methods: type) -> None:
    """Replace functions of a namespace, and methods of a class, by their replayed versions."""
    for name in FUNCTIONS:
        namespace[name] = replayed(namespace[name])
    for name in SHORT:
        namespace[name] = replayed(namespace[name], short=True)
    for name in LOOSE:
        namespace[name] = replayed(namespace[name], loose=True, short=True)
    for name in LIBRARY:
        namespace[name] = replayed(namespace[name], short=True, prompt=True)
    _array._power = replayed(_elementwise.power, short=True, prompt=None)
    for name in METHODS:
        setattr(methods, name, replayed(vars(methods)[name], loose=name in LOOSE, short=True))
    for name in SHAPING:
        setattr(methods, name, replayed(vars(methods)[name], short=True, prompt=None))
