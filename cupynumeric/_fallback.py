"""Names this package does not implement: NumPy does the work on host views, with the documented warning.

Also the coverage report (how many of a program's calls were ours), and the modules that are NumPy's own (`ma`, ...).
"""

from __future__ import annotations

import atexit
import functools
import importlib
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric._array import Ours
from cupynumeric._caller import user_frame, warn
from cupynumeric._convert import by_numpy
from cupynumeric.settings import settings

_TEXT = (
    "cuPyNumeric has not implemented {name} and is falling back to canonical NumPy. "
    "You may notice significantly decreased performance for this function call."
)
_HINT = (
    "\n\nSet CUPYNUMERIC_FALLBACK_STACKTRACE=1 and re-run to include a full stack trace with this warning."
)


def warn_fallback(name: str) -> None:
    """The warning, at the user's line (Python shows it once per line)."""
    message = _TEXT.format(name=name)
    if settings.fallback_stacktrace():
        stack = "".join(traceback.format_list(traceback.extract_stack()[:-3]))
        message += f"\n\nStack trace:\n{stack}"
    else:
        message += _HINT
    warn(message, RuntimeWarning)


def run(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call NumPy's `function` in place of one we do not have; warns where it is given arrays of ours.

    Strings, dates and masked arrays are NumPy's with or without this package: functions of them fall back from nothing.
    """
    if coverage.active:
        coverage.note(name, False)
    elif _holds_ours((args, kwargs)):
        warn_fallback(name)
    found = by_numpy(function, args, kwargs)
    if name.startswith("numpy.ma."):
        from cupynumeric import _masked_class

        return _masked_class.writable(found)
    return found


def _holds_ours(x: Any) -> bool:
    """Whether x is an array of ours, or a tuple, list or dict that holds one; of long lists the first elements decide."""
    if isinstance(x, Ours):
        return True
    if isinstance(x, dict):
        x = tuple(x.values())
    return isinstance(x, (tuple, list)) and any(_holds_ours(e) for e in x[:16])


def fallback(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function that warns and lets NumPy's `function` work on host views."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return run(function, name, args, kwargs)

    functools.update_wrapper(wrapper, function)
    return wrapper


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's `function` on host views, without a warning: it computes nothing a kernel could do better."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return by_numpy(function, args, kwargs)

    functools.update_wrapper(wrapper, function)
    return wrapper


def is_function(x: Any) -> bool:
    """Whether x computes: a function of NumPy's in any of its forms, but not a class or a constant."""
    return callable(x) and not isinstance(x, (type, types.ModuleType))


def resolve(target: types.ModuleType, name: str, warn: bool = True) -> Any:
    """NumPy's attribute `name` of module `target`, as a name of ours: functions wrapped, everything else as it is."""
    found = getattr(target, name)
    if isinstance(found, types.ModuleType):
        return module(found.__name__) if found.__name__.startswith("numpy.") else found
    if not is_function(found):
        return found
    if not warn:
        return quiet(found)
    return fallback(found, f"{target.__name__}.{name}")


#: functions of NumPy's top level that compute nothing on arrays: no warning
_QUIET_NAMES = frozenset(
    [
        "array2string",
        "array_repr",
        "array_str",
        "asmatrix",
        "base_repr",
        "binary_repr",
        "bmat",
        "broadcast_shapes",
        "busday_count",
        "busday_offset",
        "datetime_as_string",
        "datetime_data",
        "errstate",
        "format_float_positional",
        "format_float_scientific",
        "get_include",
        "get_printoptions",
        "getbufsize",
        "geterr",
        "geterrcall",
        "info",
        "is_busday",
        "isdtype",
        "isnat",
        "issubdtype",
        "iterable",
        "mintypecode",
        "nested_iters",
        "printoptions",
        "promote_types",
        "result_type",
        "set_printoptions",
        "setbufsize",
        "seterr",
        "seterrcall",
        "show_config",
        "show_runtime",
        "test",
        "typename",
        "matrix",
    ]
)


def top_level(name: str) -> Any:
    """The attribute `cupynumeric.name` for a name that is not ours; AttributeError if it is not NumPy's either."""
    if not hasattr(np, name):
        raise AttributeError(f"module 'cupynumeric' has no attribute {name!r}")
    return resolve(np, name, name not in _QUIET_NAMES)


# ---- modules ------------------------------------------------------------------------------------------------------

#: modules of NumPy that show through under our name; functions of the first kind warn, of the second do not
_WARNING_MODULES = (
    "emath",
    "lib",
    "lib.scimath",
    "lib.stride_tricks",
    "polynomial",
    "rec",
    "char",
    "strings",
    "ma",
)
_QUIET_MODULES = (
    "exceptions",
    "dtypes",
    "typing",
    "testing",
    "ctypeslib",
    "lib.array_utils",
    "lib.format",
    "lib.introspect",
    "lib.mixins",
    "lib.npyio",
    "ma.extras",
    "ma.core",
    "ma.mrecords",
    "polynomial.chebyshev",
    "polynomial.hermite",
    "polynomial.hermite_e",
    "polynomial.laguerre",
    "polynomial.legendre",
    "polynomial.polynomial",
    "polynomial.polyutils",
    "core",
    "version",
)
#: functions of these modules that are ours, and where they are
_REPLACED = {
    "numpy.lib.stride_tricks.sliding_window_view": "_windows",
    "numpy.lib.stride_tricks.as_strided": "_windows",
    "numpy.ma.MaskedArray": "_masked_class",
    "numpy.ma.masked_array": "_masked_class",
}
_OWN = ("linalg", "fft", "random")


class FallbackModule(types.ModuleType):
    """A module of NumPy under our name, imported when it is first used."""

    def __init__(self, name: str, target: str, warn: bool) -> None:
        super().__init__(name, f"NumPy's `{target}`, working on our arrays.")
        self.__dict__["_target_name"] = target
        self.__dict__["_warn"] = warn
        self.__dict__["__path__"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        target = importlib.import_module(self._target_name)
        ours = _REPLACED.get(f"{self._target_name}.{name}")
        if ours is None:
            found = resolve(target, name, self._warn)
        else:
            found = getattr(importlib.import_module(f"cupynumeric.{ours}"), name)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self._target_name))


def module(numpy_name: str) -> types.ModuleType:
    """Our module for one of NumPy's, by its dotted name."""
    tail = numpy_name.removeprefix("numpy.")
    if tail in _OWN:
        return importlib.import_module(f"cupynumeric.{tail}")
    name = f"cupynumeric.{tail}"
    found = sys.modules.get(name)
    if found is None:
        found = sys.modules[name] = FallbackModule(name, numpy_name, tail in _WARNING_MODULES)
    return found


def register_modules() -> None:
    """Let `import cupynumeric.ma` and its like find the modules that are NumPy's."""
    for tail in (*_WARNING_MODULES, *_QUIET_MODULES):
        module(f"numpy.{tail}")


def completed(name: str, target_name: str) -> Callable[[str], Any]:
    """A module-level `__getattr__` for a module of ours: names it lacks come from NumPy's module."""

    def getattr_(attribute: str) -> Any:
        target = importlib.import_module(target_name)
        if attribute.startswith("__") or not hasattr(target, attribute):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return resolve(target, attribute)

    return getattr_


# ---- coverage -----------------------------------------------------------------------------------------------------


_OPERATORS = frozenset(
    f"__{prefix}{name}__"
    for name in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "divmod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
    for prefix in ("", "r", "i")
) | frozenset(
    f"__{name}__"
    for name in ["neg", "pos", "abs", "invert", "lt", "le", "eq", "ne", "gt", "ge", "getitem", "setitem"]
)


class _Counted:
    """A callable object (a ufunc) whose calls are counted."""

    def __init__(self, target: Any, name: str) -> None:
        self._target, self._name = target, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return coverage.call(self._target, self._name, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class Coverage:
    """Which calls a program made, and which of them were ours."""

    def __init__(self) -> None:
        self.active = settings.report_coverage()
        self.calls: list[tuple[str, str, bool]] = []
        self.inside = False
        if self.active:
            atexit.register(self.report)

    def note(self, name: str, implemented: bool) -> None:
        """Count one call, with the user's line."""
        frame = user_frame()
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if settings.report_dump_callstack():
            where = "".join(traceback.format_stack(frame)).replace("\n", "|")
        self.calls.append((name, where, implemented))

    def call(
        self, function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call `function`, counting it as implemented unless another counted call made it."""
        if self.inside:
            return function(*args, **kwargs)
        self.note(name, True)
        self.inside = True
        try:
            return function(*args, **kwargs)
        finally:
            self.inside = False

    def counted(self, function: Callable[..., Any], name: str) -> Any:
        """`function` with its calls counted; its attributes are those of the function."""
        if not isinstance(function, types.FunctionType):
            return _Counted(function, name)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return self.call(function, name, args, kwargs)

        return wrapper

    def install(self, namespace: dict[str, Any], array: type) -> None:
        """Count the calls of all public functions of a namespace, and of the methods of the array class."""
        for name, found in list(namespace.items()):
            if not name.startswith("_") and is_function(found) and hasattr(np, name):
                namespace[name] = self.counted(found, f"numpy.{name}")
        for name in dir(array):
            method = getattr(array, name)
            if isinstance(method, types.FunctionType) and (not name.startswith("_") or name in _OPERATORS):
                setattr(array, name, self.counted(method, f"numpy.ndarray.{name}"))

    def report(self) -> None:
        """Print the summary and write the table, as documented."""
        total = len(self.calls)
        implemented = sum(ours for _, _, ours in self.calls)
        if total:
            print(f"cuPyNumeric API coverage: {implemented}/{total} ({implemented / total * 100}%)")
        else:
            print("cuPyNumeric API coverage: 0/0")
        path = settings.report_dump_csv()
        if path is None:
            return
        with open(path, "w", encoding="utf-8") as f:
            print("function_name,location,implemented", file=f)
            for name, where, ours in self.calls:
                print(f"{name},{where},{ours}", file=f)


coverage = Coverage()
