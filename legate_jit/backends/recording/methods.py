"""Methods that record, as LLVM IR text: what the hot paths of an array class do in Python, with CPython's C API instead.

Duty: append to the window exactly what the Python methods append, for operands met before; whatever else (new types, values out
of range, memory at hand, errors) is left to the Python method, which is called with the same arguments. So there is one
definition of what is recorded, in Python, and this is a faster way through its usual case. It must not know what operations
mean. Who installs the methods, and when: `legate_jit.recording`.

The texts use four abbreviations, expanded by `_expand`:

    %x = get %object Class.slot      load a slot (a borrowed reference)
    put %object Class.slot %x        store into a slot (counts of references are the text's business)
    %x = class %object            load an object's class (borrowed)
    %x = the NAME                    one of the objects in `ENVIRONMENT`, installed in the table `@environment`

Nothing runs Python code between the first and the last change to the window: what is needed is allocated before. A function's
result is a new reference, or null with an error set; null from `@lookup`, `@known` and `@view` is "leave it to Python". What
is found is held until it is used, because allocating may collect garbage, and that may run anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from legate_jit.backends.recording import objects
from legate_jit.backends.recording.calls import CALLS_TEXT
from legate_jit.backends.recording.common import COMMON_TEXT
from legate_jit.backends.recording.items import ITEMS_TEXT
from legate_jit.backends.recording.keys import KEYS_TEXT
from legate_jit.backends.recording.operators import OPERATORS_TEXT

__all__ = ["ENVIRONMENT", "FORMS", "program_text", "symbol"]

ENVIRONMENT = (
    "array",  # the class of arrays
    "store",  # the class of stores
    "window",  # the open window
    "views",  # lenses by base and the parts of a key
    "row",  # follows an integer in such a key
    "new",  # stands for None in it
    "false",
    "scalar",  # `_locked` of 0-d results
    "enter",  # gives a store's buffer a number in the window
    "full",  # called when the window is
    "pair",  # computes an instruction of two operands at once
    "alone",  # of one
    "recipe",  # the class of recipes
    "novalue",  # what stands for an argument that is not given
    "dtypes",  # the class of the classes of dtypes
)
"""Objects the texts refer to, by their position in `@environment`."""

FORMS = ("binary", "reflected", "in_place", "unary", "getitem", "setitem", "ufunc")
"""Kinds of methods: each has a pair of objects of its own, the table of what was met before and the Python method."""

_DECLARATIONS = """
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
declare ptr @PyTuple_New(i64)
declare ptr @PyTuple_Pack(i64, ...)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare i32 @PyObject_RichCompareBool(ptr, ptr, i32)
declare i32 @PyObject_IsTrue(ptr)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyNumber_InPlaceAdd(ptr, ptr)
declare i32 @PyList_Append(ptr, ptr)
declare i64 @PyTuple_Size(ptr)
declare void @PyErr_Clear()
declare void @PyErr_SetString(ptr, ptr)
@PyExc_TypeError = external global ptr
@message = private constant [34 x i8] c"expected two arguments: key, item\\00"
@_Py_NoneStruct = external global i8
@_Py_EllipsisObject = external global i8
@PyLong_Type = external global i8
@PyFloat_Type = external global i8
@PySlice_Type = external global i8
@PyTuple_Type = external global i8
@PyList_Type = external global i8
@PyBool_Type = external global i8
@PyUnicode_Type = external global i8
@PyType_Type = external global i8
@_Py_NotImplementedStruct = external global i8
@message.attempt = private constant [31 x i8] c"attempt() takes five arguments\\00"
@PyDict_Type = external global i8
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare double @PyFloat_AsDouble(ptr)
declare i64 @PyObject_Size(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyList_GetItem(ptr, i64)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def symbol(form: str, name: str) -> str:
    """The exported symbol of a method."""
    return f"{form}_{name}"


def _thunk(form: str, name: str) -> str:
    """The method itself: the form's function with the method's own pair of objects, which lies in a global."""
    own = f"@own_{form}_{name}"
    words = f"{own} = global [2 x ptr] zeroinitializer\n"
    match form:
        case "unary":
            taken, passed = "ptr %self, ptr %nothing", "ptr %self"
        case "setitem":
            taken = passed = "ptr %self, ptr %av, i64 %n"
        case "ufunc":
            taken = passed = "ptr %self, ptr %av, i64 %n, ptr %names"
        case _:
            taken = passed = "ptr %self, ptr %other"
    call = f"  %r = call ptr @{form}({passed}, ptr {own})\n  ret ptr %r\n"
    return f"{words}define ptr @{symbol(form, name)}({taken}) {{\n{call}}}\n"


_GET = re.compile(r"^  (%[\w.]+) = get (%[\w.]+) (\w+\.\w+)$", re.M)
_PUT = re.compile(r"^  put (%[\w.]+) (\w+\.\w+) ([%@][\w.]+)$", re.M)
_CLASS = re.compile(r"^  (%[\w.]+) = class (%[\w.]+)$", re.M)
_THE = re.compile(r"^  (%[\w.]+) = the (\w+)$", re.M)
_PLACE = re.compile(r"<(\w+)(?:\+(\d+))?>")


def _expand(text: str, offset: Callable[[str], int], limits: dict[str, int]) -> str:
    """The abbreviations written out; `offset` says where "Class.slot" lies, `limits` what <name> is."""
    places = {"slice": objects.SLICE, "items": objects.tuple_items(), **limits}
    serial = iter(range(1_000_000))

    def got(m: re.Match[str]) -> str:
        at = f"%slot{next(serial)}"
        return f"  {at} = getelementptr i8, ptr {m[2]}, i64 {offset(m[3])}\n  {m[1]} = load ptr, ptr {at}"

    def put(m: re.Match[str]) -> str:
        at = f"%slot{next(serial)}"
        return f"  {at} = getelementptr i8, ptr {m[1]}, i64 {offset(m[2])}\n  store ptr {m[3]}, ptr {at}"

    def the(m: re.Match[str]) -> str:
        at = f"getelementptr (ptr, ptr @environment, i64 {ENVIRONMENT.index(m[2])})"
        return f"  {m[1]} = load ptr, ptr {at}"

    def class_(m: re.Match[str]) -> str:
        at = f"%slot{next(serial)}"
        return f"  {at} = getelementptr i8, ptr {m[2]}, i64 {objects.TYPE}\n  {m[1]} = load ptr, ptr {at}"

    text = _THE.sub(the, _CLASS.sub(class_, _PUT.sub(put, _GET.sub(got, text))))
    return _PLACE.sub(lambda m: str(places[m[1]] + int(m[2] or 0)), text)


def program_text(
    triple: str, methods: Iterable[tuple[str, str]], offset: Callable[[str], int], limits: dict[str, int]
) -> str:
    """LLVM IR of the methods, (form, name) each, and of `attempt`; `limits`: "length", "small" and "tries" of `_replay`.

    It has the same words in every process, so that its object is found on disk: addresses are installed in `@environment` and
    `@own_<form>_<name>`.
    """
    table = f"@environment = global [{len(ENVIRONMENT)} x ptr] zeroinitializer\n"
    common = (COMMON_TEXT, OPERATORS_TEXT, ITEMS_TEXT, KEYS_TEXT, CALLS_TEXT)
    thunks = [_thunk(form, name) for form, name in methods]
    body = _expand("".join((*common, *thunks)), offset, limits)
    return f'target triple = "{triple}"\n{_DECLARATIONS}{table}{body}'
