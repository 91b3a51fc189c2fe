"""Recording by machine code: methods of arrays that append to the window without the interpreter.

Duty: once LLVM is there anyway, replace the hot methods of a class by the machine code of `backends.recording`, and put the
Python methods back when a second thread starts (they are what takes the lock). The Python methods stay the definition: machine
code calls them for everything but the usual case, and appends what they would have appended.
It must not know which operations there are: a face says so with `offer`. LEGATE_JIT_RECORD=python keeps the Python methods.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from legate_jit.backends.recording import objects
from legate_jit.process.config import config
from legate_jit.running import locking


class Method(NamedTuple):
    """A method to be replaced: `name` in the class, of one of the `FORMS` of `backends.recording.methods`; `table`: where it
    looks up what was met before, or, for universal functions, the name of the attribute that says so."""

    cls: type
    form: str
    name: str
    table: Any


class Offer(NamedTuple):
    """What a face offers: `methods` that may be replaced; `classes`, by the names the texts use; `things`: what the `ENVIRONMENT`
    of `backends.recording.methods` names; `calls` takes the function that looks recipes of calls up, within `limits`."""

    methods: Sequence[Method]
    classes: dict[str, type]
    things: dict[str, Any]
    calls: Callable[[Callable[..., Any]], None]
    limits: dict[str, int]


_offers: list[Offer] = []
_replaced: list[tuple[type, str, Callable[..., Any]]] = []


def offer(what: Offer) -> None:
    """Let these methods be replaced, by the next `install`."""
    _offers.append(what)


def install() -> None:
    """Replace the methods offered. Call where machine code has been compiled: loading LLVM for this alone would not pay."""
    while _offers:
        what = _offers.pop(0)
        if config.record == "native" and not locking.is_shared():
            _replace(what)


def remove() -> None:
    """Put the Python methods back, for good."""
    _offers.clear()
    while _replaced:
        cls, name, method = _replaced.pop()
        setattr(cls, name, method)


def active() -> bool:
    """Whether machine code records."""
    return bool(_replaced)


def _replace(what: Offer) -> None:
    from legate_jit.backends import native
    from legate_jit.backends.recording import methods as recorder

    if not objects.known():
        return

    def offset(place: str) -> int:
        name, _, slot = place.partition(".")
        return objects.offset(what.classes[name], slot)

    names = [(method.form, method.name) for method in what.methods]
    text = recorder.program_text(native.host_triple(), names, offset, what.limits)
    owned = [f"own_{form}_{name}" for form, name in names]
    symbols = [recorder.symbol(form, name) for form, name in names]
    code = native.compile_ir(text, ("environment", "attempt", *owned, *symbols), level=native.quick_level())
    objects.keep_forever(code)  # never unloaded: arrays' methods may be running
    _fill(code.address("environment"), [what.things[name] for name in recorder.ENVIRONMENT])
    what.calls(objects.function("attempt", code.address("attempt")))
    for method, own, entry in zip(what.methods, owned, symbols, strict=True):
        python = vars(method.cls)[method.name]
        _fill(code.address(own), [method.table, python])
        _replaced.append((method.cls, method.name, python))
        flags = _FLAGS.get(method.form, objects.METH_O)
        setattr(method.cls, method.name, objects.method(method.cls, method.name, code.address(entry), flags))


_FLAGS = {
    "setitem": objects.METH_FASTCALL,
    "unary": objects.METH_NOARGS,
    "ufunc": objects.METH_FASTCALL | objects.METH_KEYWORDS,
}


def _fill(address: int, things: list[Any]) -> None:
    """Put references to objects, which live as long as the process does, into a table of machine code."""
    for k, thing in enumerate(things):
        objects.keep_forever(thing)
        ctypes.c_void_p.from_address(address + 8 * k).value = id(thing)
