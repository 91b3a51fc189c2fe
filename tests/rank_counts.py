"""The tests of what programs get over several ranks: which tests run on how many virtual ones, and the world they run in.

Tests in the folders below run on one rank, and a sample of them, fixed by their names, once more on 2, 3, 4 or 7 virtual ranks,
among which even tiny arrays are dealt out. `--ranks 3` runs all of them on three ranks instead, `--ranks all` on each number.
Where the tests themselves are a job of several ranks (`ranks/suite.py`), all of them run on its ranks.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import legate
from cupynumeric import _factored
from legate_jit import runtime
from legate_jit.ir.ranks import choose
from legate_jit.process.world import world
from legate_jit.ranks import windows

FOLDERS = ("api", "fuzz", "legate")
#: and files elsewhere
FILES = ("tasks/test_engine.py",)
COUNTS = (2, 3, 4, 7)
#: one of so many tests is in the sample
ONE_OF = 12
#: modules in which SMALL is the size from which arrays are dealt out
_ROOMS = ("legate_jit.ir.", "legate_jit.ranks.windows")
_HERE = Path(__file__).parent


def counts(text: str) -> tuple[int, ...]:
    """The numbers of ranks that --ranks asks for; none if it is not given. UsageError if it means nothing."""
    if not text:
        return ()
    if text == "all":
        return (1, *COUNTS)
    try:
        found = tuple(int(word) for word in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise pytest.UsageError(f"--ranks takes numbers of ranks such as 3 or 2,7, or all, not {text!r}")
    return found


def over_ranks(path: Path) -> bool:
    """Whether the tests of a file say what programs get, however many ranks there are."""
    if not path.is_relative_to(_HERE):
        return False
    inside = path.relative_to(_HERE)
    return inside.parts[0] in FOLDERS or inside.as_posix() in FILES


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test its numbers of ranks."""
    if not over_ranks(metafunc.definition.path):
        return
    asked = counts(metafunc.config.getoption("--ranks")) if world.size == 1 else (world.size,)
    marks = {m.name for m in metafunc.definition.iter_markers()}
    found = asked or (1, COUNTS[_number(metafunc.function.__qualname__) % len(COUNTS)])
    if "one_rank" in marks:
        found = (1,) if 1 in found else ()
    if found != (1,):
        metafunc.parametrize("rank_count", found, indirect=True, ids=[f"ranks{k}" for k in found])


def left_out(item: pytest.Item) -> bool:
    """Whether a test on several ranks is not in the sample."""
    call = getattr(item, "callspec", None)
    if world.size > 1 and item.get_closest_marker("one_process"):
        return True
    one_of = item.config.getoption("--one-of")
    if one_of:
        return _number(item.nodeid) % one_of != 0
    if call is None or call.params.get("rank_count", 1) == 1:
        return False
    return not item.config.getoption("--ranks") and world.size == 1 and _number(item.nodeid) % ONE_OF != 0


@contextmanager
def _tiny_parts() -> Iterator[None]:
    """Even arrays of two elements are dealt out, and plans of before are forgotten."""
    small, least = choose.SMALL, _factored.LEAST
    rooms = [room for name, room in sys.modules.items() if name.startswith(_ROOMS) and hasattr(room, "SMALL")]
    legate.fence()
    runtime._plans.clear()
    for room in rooms:
        assert small == room.SMALL
        room.SMALL = 2
    _factored.LEAST = 2
    try:
        yield
    finally:
        _factored.LEAST = least
        for room in rooms:
            room.SMALL = small
        runtime._plans.clear()


@contextmanager
def virtual(count: int) -> Iterator[None]:
    """A world of so many virtual ranks, among which arrays of two elements are dealt out."""
    with _tiny_parts():
        runtime.world = windows.World(count, range(count), None)
        try:
            yield
            legate.fence()
        finally:
            runtime._suspended.clear()  # what failed here is not tried again in the tests that follow
            runtime.window.clear()
            runtime.world = None


@contextmanager
def real() -> Iterator[None]:
    """This process's place among the ranks of a job that runs the tests (`ranks/suite.py`), with tiny parts."""
    with _tiny_parts():
        try:
            yield
            legate.fence()
        finally:
            runtime._suspended.clear()
            runtime.window.clear()
