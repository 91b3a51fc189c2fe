"""CPython's objects as machine code sees them: where slots lie, and how a machine-code function becomes a method.

Duty: say at which offsets the things lie that compiled texts read and write without asking the interpreter, and only after
having looked: `known()` is False on interpreters laid out otherwise (free-threaded ones), and then nobody may use the offsets.
It must not know which classes are asked about, or what the functions do.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

__all__ = [
    "METH_FASTCALL",
    "METH_KEYWORDS",
    "METH_NOARGS",
    "METH_O",
    "SLICE",
    "TYPE",
    "function",
    "keep_forever",
    "known",
    "method",
    "offset",
    "tuple_items",
]

METH_FASTCALL = 0x80
METH_KEYWORDS = 0x02
METH_O = 0x08
METH_NOARGS = 0x04
TYPE = 8
"""Offset of an object's class, after its count of references."""
SLICE = 16
"""Offset of a slice's start; stop and step follow."""

_POINTER = ctypes.sizeof(ctypes.c_void_p)


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("meth", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _MemberDef(ctypes.Structure):
    """The beginning of CPython's PyMemberDef."""

    _fields_ = (("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t))


class _MemberDescriptor(ctypes.Structure):
    """CPython's PyMemberDescrObject, what a class holds for each of its `__slots__`."""

    _fields_ = (
        ("references", ctypes.c_ssize_t),
        ("class_", ctypes.c_void_p),
        ("owner", ctypes.c_void_p),
        ("name", ctypes.c_void_p),
        ("qualified_name", ctypes.c_void_p),
        ("member", ctypes.POINTER(_MemberDef)),
    )


def keep_forever(thing: object) -> None:
    """Machine code refers to the object until the process ends, after the interpreter has torn down its modules."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def tuple_items() -> int:
    """Offset of the first item of a tuple; the others follow."""
    return tuple.__basicsize__


@functools.cache
def offset(cls: type, slot: str) -> int:
    """Where objects of the class keep the object in one of their `__slots__`. AttributeError if there is no such slot."""
    descriptor = getattr(cls, slot)
    if type(descriptor) is not _SLOT:
        raise AttributeError(f"{cls.__name__}.{slot} is not a slot")
    member = _MemberDescriptor.from_address(id(descriptor)).member.contents
    if member.name != slot.encode():
        raise AttributeError(f"the slot {cls.__name__}.{slot} is not where it was expected")
    return int(member.offset)


class _Probe:
    __slots__ = ("one", "two")

    one: object
    two: object


_SLOT = type(vars(_Probe)["one"])


def _at(thing: object, place: int) -> int:
    """The word at an offset of an object."""
    return int(ctypes.c_size_t.from_address(id(thing) + place).value)


@functools.cache
def known() -> bool:
    """Whether this interpreter's objects lie as this module says."""
    if _POINTER != 8 or object.__basicsize__ != 16:
        return False
    probe, things = _Probe(), (object(), object())
    probe.one, probe.two = things
    if _at(probe, TYPE) != id(_Probe):
        return False
    one, two = offset(_Probe, "one"), offset(_Probe, "two")
    slots = _at(probe, one) == id(things[0]) and _at(probe, two) == id(things[1])
    items = tuple_items()
    tuples = _at(things, items) == id(things[0]) and _at(things, items + 8) == id(things[1])
    parts = [object(), object(), object()]
    cut = slice(*parts)
    return slots and tuples and [_at(cut, SLICE + 8 * k) for k in range(3)] == [id(part) for part in parts]


def function(name: str, address: int) -> Any:
    """The METH_FASTCALL function at an address as a builtin function."""
    definition = _MethodDef(name.encode(), address, METH_FASTCALL, None)
    keep_forever(definition)
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return create(ctypes.addressof(definition), None, None)


def method(cls: type, name: str, address: int, flags: int) -> Any:
    """The function at an address as a method of the class, as CPython's own classes have them: bound when looked up.

    The name is what tracebacks and `__name__` say. Called with another class's objects it raises TypeError.
    """
    definition = _MethodDef(name.encode(), address, flags, None)
    keep_forever(definition)
    create = ctypes.pythonapi.PyDescr_NewMethod
    create.restype = ctypes.py_object
    create.argtypes = [ctypes.py_object, ctypes.c_void_p]
    return create(cls, ctypes.addressof(definition))
