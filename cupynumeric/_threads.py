"""The face in programs with several threads: every public function and method holds the engine's lock.

Inside the body of a task the engine cannot compute (it waits for the body): there, public functions are NumPy's.

Put in place when a second thread starts, by replacing methods on their classes and functions in the namespaces that hold
them, so that programs of one thread pay nothing. Functions a program has put elsewhere before (in a list, a default argument)
stay without.
Knows names and kinds of objects; knows no function in particular.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from legate_jit import recording
from legate_jit.running.bodies import active, thread
from legate_jit.running.locking import lock, when_shared

_PUBLIC = ("cupynumeric", "cupynumeric.linalg", "cupynumeric.fft", "cupynumeric.random")
#: facts about an array that are fixed when it is made
_FIXED = frozenset(("dtype", "ndim", "size", "itemsize", "nbytes", "__len__"))
#: rooms without entry points that record
_APART = frozenset(("cupynumeric.settings", "cupynumeric._caller", "cupynumeric._threads"))


def _locked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, holding the lock. Defined here and not in the engine so that warnings still find the user's line."""

    @functools.wraps(function)
    def locked(*args: Any, **kwargs: Any) -> Any:
        held = False
        try:
            for held in lock.turn():  # noqa: B007  `finally` reads it
                return function(*args, **kwargs)
        finally:
            if held:
                lock.release()

    return locked


def _public(function: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, holding the lock; inside the body of a task, NumPy's."""

    @functools.wraps(function)
    def locked(*args: Any, **kwargs: Any) -> Any:
        if active and thread.launch is not None:
            return theirs(*args, **kwargs)
        held = False
        try:
            for held in lock.turn():  # noqa: B007  `finally` reads it
                return function(*args, **kwargs)
        finally:
            if held:
                lock.release()

    return locked


def _guard_ufuncs(cls: type) -> None:
    """Calls and methods of universal functions: inside the body of a task, those of NumPy's function."""
    for name in {"__call__", "reduce", "accumulate", "reduceat", "outer", "at"} & vars(cls).keys():

        def theirs(self: Any, *args: Any, _name: str = name, **kwargs: Any) -> Any:
            return getattr(self._numpy, _name)(*args, **kwargs)

        setattr(cls, name, _public(vars(cls)[name], theirs))


def _locked_member(member: Any) -> Any:
    """A class's method or property, holding the lock; None for members of other kinds."""
    if isinstance(member, FunctionType):
        return _locked(member)
    if isinstance(member, (staticmethod, classmethod)):
        return type(member)(_locked(member.__func__))
    if isinstance(member, property):
        fget, fset, fdel = [part and _locked(part) for part in (member.fget, member.fset, member.fdel)]
        return property(fget, fset, fdel, member.__doc__)
    return None


def _guard_class(cls: type, fixed: frozenset[str]) -> None:
    for name, member in list(vars(cls).items()):
        guarded = None if name in fixed else _locked_member(member)
        if guarded is not None:
            setattr(cls, name, guarded)


def _is_ours(thing: Any, kind: type) -> bool:
    return (
        isinstance(thing, kind) and str(getattr(thing, "__module__", "")).partition(".")[0] == "cupynumeric"
    )


def _classes(modules: list[ModuleType]) -> dict[type, None]:
    """Every class these modules define, in a fixed order."""
    found: dict[type, None] = {}
    for module in modules:
        for thing in list(vars(module).values()):
            if (
                _is_ours(thing, type)
                and thing.__module__ == module.__name__
                and not issubclass(thing, Exception)
            ):
                found[thing] = None
    return found


def _public_functions() -> dict[int, Callable[..., Any]]:
    """Locked versions of the public functions, by the identity of the original."""
    found: dict[int, Callable[..., Any]] = {}
    for name in _PUBLIC:
        numpy_module = importlib.import_module(name.replace("cupynumeric", "numpy"))
        for attribute, thing in list(vars(sys.modules[name]).items()):
            if isinstance(thing, FunctionType) and not attribute.startswith("_"):
                theirs = getattr(numpy_module, attribute, None)
                made = _locked(thing) if theirs is None else _public(thing, theirs)
                found.setdefault(id(thing), made)
    return found


def _replace(modules: list[ModuleType], functions: dict[int, Callable[..., Any]]) -> None:
    for module in modules:
        namespace: dict[str, Any] = getattr(module, "__dict__", {})
        for name, thing in list(namespace.items()):
            if type(thing) is FunctionType and id(thing) in functions:  # isinstance would run foreign code
                namespace[name] = functions[id(thing)]


def _guard() -> None:
    from cupynumeric._array import ndarray
    from cupynumeric._ufunc import ufunc

    recording.remove()
    for name in _PUBLIC:
        importlib.import_module(name)
    inner = [
        m for n, m in list(sys.modules.items()) if n.partition(".")[0] == "cupynumeric" and n not in _APART
    ]
    for cls in _classes(inner):
        _guard_class(cls, _FIXED if cls is ndarray else frozenset())
        if issubclass(cls, ufunc):
            _guard_ufuncs(cls)
    rooms = [m for m in inner if m.__name__ not in _PUBLIC]
    outer = [m for m in list(sys.modules.values()) if all(m is not room for room in rooms)]
    _replace(outer, _public_functions())


when_shared(_guard)
