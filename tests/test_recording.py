"""Machine code records what the Python methods record; the methods come back where threads start or somebody asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from legate_jit.backends.recording import objects

HERE = Path(__file__).parent
BEGIN = """
import numpy
import cupynumeric as np
from legate_jit import recording, runtime
from cupynumeric import ndarray
x = np.ones((300, 300))
for _ in range(4):
    x = (x + 1.0) * 0.5
    runtime.fence()
native = not hasattr(vars(ndarray)["__add__"], "__code__")
"""


def _run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tapes_are_the_same() -> None:
    """Random programs append the same instructions, scalars and stores, make the same arrays, and raise the same errors."""
    assert "compared 400" in _run(str(HERE / "recording_programs.py"), "400")


def test_methods_come_back_with_a_second_thread() -> None:
    text = (
        BEGIN
        + """
assert native and recording.active()
import threading
t = threading.Thread(target=lambda: None); t.start(); t.join()
assert not recording.active() and hasattr(vars(ndarray)["__add__"], "__wrapped__")
assert float((x * 2.0)[3, 4]) == 2.0
"""
    )
    _run("-c", text)


def test_python_is_kept_when_asked_for() -> None:
    _run("-c", BEGIN + "assert not native and not recording.active()", LEGATE_JIT_RECORD="python")


def test_programs_that_compile_nothing_load_nothing() -> None:
    text = (
        "import sys, cupynumeric as np\nx = np.ones(5) + 1.0\nprint(x)\nassert 'llvmlite' not in sys.modules"
    )
    _run("-c", text)


def test_errors_name_the_users_line() -> None:
    text = (
        BEGIN
        + """
import traceback
try:
    x[::0]
except ValueError as e:
    line = traceback.extract_tb(e.__traceback__)[0]
    assert line.name == "<module>", line
for wrong in (lambda: x["a"], lambda: x + "a", lambda: x.__setitem__(1), lambda: vars(ndarray)["__add__"](3, x)):
    try:
        wrong()
    except (IndexError, TypeError, numpy.exceptions.DTypePromotionError):
        continue
    raise AssertionError(wrong)
x[1:3] = 5.0
y = 2 - x
z = y[:, None][..., 0]
assert (numpy.asarray(z)[1] == -3).all() and (numpy.asarray(z)[0] == 1).all()
"""
    )
    _run("-c", text)


def test_tapes_that_remember_lines() -> None:
    """What several ranks and debugging record on: a list with an addition of its own."""
    text = """
from legate_jit.places import Tape, TracedWindow
assert native
for traced in (False, True):  # what was met before is recorded by machine code
    runtime.fence()
    if traced:
        runtime.window.__class__ = TracedWindow
        runtime.window.clear()
    y = x[1:] + x[:-1]
    y[2:5] = 3.0
    y -= 1.0
    z = -y
code = runtime.window.code
assert isinstance(code, Tape) and code.marks and code.place(len(code) - 1) == ("<string>", code.line), code.marks
assert float(z[3, 3]) == -2.0
"""
    _run("-c", BEGIN + text.replace("code.line", str((BEGIN + text).split("    z = -y")[0].count("\n") + 1)))


def test_offsets_are_looked_up() -> None:
    """What machine code reads without asking lies where this interpreter says; other attributes are refused."""
    assert objects.known()

    class Thing:
        __slots__ = ("one",)
        other = 1

    thing = Thing()
    thing.one = mark = object()  # type: ignore[attr-defined]
    assert objects._at(thing, objects.offset(Thing, "one")) == id(mark)
    with pytest.raises(AttributeError):
        objects.offset(Thing, "other")
