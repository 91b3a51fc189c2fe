"""What the engine takes for granted of the interpreter, held against the one that runs this: a version that is otherwise fails
here, instead of in results."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from faults.child import ROOT, run, succeeds

import cupynumeric as np
import legate
from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.process import interpreter

Make = Callable[[], Any]
Look = Callable[[], None]
Hold = Callable[[Make, Look], Any]

# ---- which interpreters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("implementation", "version", "abiflags", "says"),
    [
        ("pypy", (3, 11), "", "CPython"),
        ("cpython", (3, 10), "", "3.11 or newer, not 3.10"),
        ("cpython", (3, 14), "t", "free-threaded"),
        ("cpython", (3, 13), "td", "free-threaded"),
    ],
)
def test_unsuitable_interpreters_have_a_reason(
    implementation: str, version: tuple[int, int], abiflags: str, says: str
) -> None:
    reason = interpreter.unsuitable(implementation, version, abiflags)
    assert reason is not None and says in reason


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
@pytest.mark.parametrize("abiflags", ["", "d"])
def test_others_are_not(version: tuple[int, int], abiflags: str) -> None:
    assert interpreter.unsuitable("cpython", version, abiflags) is None


def test_a_start_under_another_interpreter_says_why() -> None:
    program = "import sys; sys.abiflags = 't'; import cupynumeric"
    done = run(program)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: legate-jit does not run under this interpreter: ") and "lock" in last


# ---- reference counts ------------------------------------------------------------------------------------------------


class Slots:
    __slots__ = ("thing",)


def of_variable(more: int) -> int:
    thing = object()
    holders = [thing] * more
    return sys.getrefcount(thing) * bool([holders])


def of_attribute(more: int) -> int:
    slots = Slots()
    slots.thing = object()
    holders = [slots.thing] * more
    return sys.getrefcount(slots.thing) * bool([holders])


def of_item(more: int) -> int:
    things = [object()]
    holders = [things[0]] * more
    return sys.getrefcount(things[0]) * bool([holders])


def of_loop(more: int) -> int:
    things = [object()]
    holders = [things[0]] * more
    for thing in things:
        return sys.getrefcount(thing) * bool([holders])
    raise AssertionError


def of_comprehension(more: int) -> int:
    things = [object()]
    holders = [things[0]] * more
    (count,) = [sys.getrefcount(thing) * bool([holders]) for thing in things]
    return count


def of_map(more: int) -> int:
    things = [object()]
    holders = [things[0]] * more
    (count,) = map(sys.getrefcount, things)
    return count * bool([holders])


FORMS = [of_variable, of_attribute, of_item, of_loop, of_comprehension, of_map]


def watch_lines() -> Iterator[None]:
    """As a debugger does, which stops at every line."""

    def seen(frame: types.FrameType, event: str, arg: Any) -> Any:
        return seen

    before = sys.gettrace()
    sys.settrace(seen)
    yield
    sys.settrace(before)


def watch_calls() -> Iterator[None]:
    """As a profiler does."""
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, arg: None)
    yield
    sys.setprofile(before)


def monitor() -> Iterator[None]:
    """As tools do since Python 3.12."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        pytest.skip("this interpreter has no sys.monitoring")
    events = monitoring.events
    wanted = events.CALL | events.LINE | events.INSTRUCTION | events.PY_RETURN | events.JUMP
    monitoring.use_tool_id(4, "test")
    for event in (events.CALL, events.LINE, events.INSTRUCTION, events.PY_RETURN, events.JUMP):
        monitoring.register_callback(4, event, lambda *_: None)
    monitoring.set_events(4, wanted)
    yield
    monitoring.set_events(4, 0)
    monitoring.free_tool_id(4)


@pytest.mark.parametrize("form", FORMS)
def test_whatever_holds_an_object_counts_one(form: Callable[[int], int]) -> None:
    """Also after the interpreter has specialized the code."""
    alone = form(0)
    for _ in range(3000):
        assert form(0) == alone
        assert form(1) == alone + 1
    assert form(5) == alone + 5


@pytest.mark.parametrize("watch", [watch_lines, watch_calls, monitor])
@pytest.mark.parametrize("form", FORMS)
def test_it_counts_the_same_while_tools_watch(
    form: Callable[[int], int], watch: Callable[[], Iterator[None]]
) -> None:
    alone = form(0)
    watching = watch()
    next(watching)
    try:
        counts = [form(more) for _ in range(20) for more in (0, 1)]
    finally:
        list(watching)
    assert counts == [alone, alone + 1] * 20


def constants() -> dict[str, int]:
    """What the places that ask measured when they were imported."""
    from legate_jit import hosting
    from legate_jit.immediate import ground, parted
    from legate_jit.job import divergence
    from legate_jit.ranks import windows
    from legate_jit.running import waiting

    names = {
        runtime: "_DEAD _SOLE _HELD",
        hosting: "_MAPPED _ALONE _FORGOTTEN",
        ground: "_WRAPPED GROUNDED",
        waiting: "_NOBODY",
        divergence: "_UNWANTED",
        parted: "_ALONE",
        windows: "_ALONE",
    }
    return {f"{m.__name__}.{n}": getattr(m, n) for m, text in names.items() for n in text.split()}


def test_a_debugger_at_the_import_does_not_change_them() -> None:
    """It reads the variables of functions, and before Python 3.13 what it reads refers to the values."""
    program = """
import sys

def seen(frame, event, arg):
    if "legate_jit" in frame.f_code.co_filename and frame.f_code.co_flags & 1:  # a function's
        frame.f_locals
    return seen

sys.settrace(seen)
from tests.test_interpreter import constants
found = constants()
sys.settrace(None)
print(found)
"""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    assert succeeds(program, PYTHONPATH=path) == f"{constants()}\n"


# ---- whatever holds an array keeps its value -------------------------------------------------------------------------


def made() -> Any:
    """An array whose value has not been computed."""
    x = np.arange(100.0) + 1
    assert x._store.buffer is None
    return x


def by_a_variable(make: Make, look: Look) -> Any:
    x = make()
    look()
    return x


def by_an_argument(make: Make, look: Look) -> Any:
    def inner(x: Any) -> Any:
        look()
        return x

    return inner(make())


def by_arguments_of_arguments(make: Make, look: Look) -> Any:
    def outer(x: Any) -> Any:
        return middle(x)

    def middle(x: Any) -> Any:
        return inner(x=x)

    def inner(*, x: Any) -> Any:
        look()
        return x

    return outer(make())


def by_any_arguments(make: Make, look: Look) -> Any:
    def inner(*args: Any) -> Any:
        look()
        return args[0]

    return inner(make())


def by_any_keywords(make: Make, look: Look) -> Any:
    def inner(**kwargs: Any) -> Any:
        look()
        return kwargs["x"]

    return inner(x=make())


def by_what_is_being_evaluated(make: Make, look: Look) -> Any:
    return [make(), look()][0]


def by_a_loop(make: Make, look: Look) -> Any:
    for x in iter([make()]):
        look()
        return x
    raise AssertionError


def by_a_comprehension(make: Make, look: Look) -> Any:
    (found,) = [(look(), x)[1] for x in (make() for _ in range(1))]
    return found


def by_a_cell(make: Make, look: Look) -> Any:
    x = make()

    def inner() -> Any:
        return x

    def only(function: Callable[[], Any]) -> Any:
        look()
        return function()

    return only(inner)


def by_a_default(make: Make, look: Look) -> Any:
    def function(x: Any = make()) -> Any:  # noqa: B008
        return x

    look()
    return function()


def by_a_list(make: Make, look: Look) -> Any:
    things = [make()]
    look()
    return things.pop()


def by_a_key(make: Make, look: Look) -> Any:
    store = make()._store
    things = {store: 1}
    del store
    look()
    (store,) = things
    return np._array.wrap(store)  # type: ignore[attr-defined]


def by_an_attribute(make: Make, look: Look) -> Any:
    slots = Slots()
    slots.thing = make()
    look()
    return slots.thing


def by_a_dictionary_of_an_object(make: Make, look: Look) -> Any:
    space = types.SimpleNamespace(x=make())
    look()
    return space.x


def by_a_method(make: Make, look: Look) -> Any:
    method = make().copy
    look()
    return method()


def by_a_partial_call(make: Make, look: Look) -> Any:
    call = functools.partial(lambda x: x, make())
    look()
    return call()


def by_a_generator(make: Make, look: Look) -> Any:
    def generate() -> Iterator[Any]:
        x = make()
        yield
        yield x

    generator = generate()
    next(generator)
    look()
    return next(generator)


def by_a_coroutine(make: Make, look: Look) -> Any:
    @types.coroutine
    def turn() -> Iterator[None]:
        yield

    async def compute() -> Any:
        x = make()
        await turn()
        return x

    running = compute()
    running.send(None)
    look()
    with pytest.raises(StopIteration) as stopped:
        running.send(None)
    return stopped.value.value


def by_an_exception(make: Make, look: Look) -> Any:
    try:
        raise ValueError(make())
    except ValueError as error:
        look()
        return error.args[0]


def by_the_frame_of_an_exception(make: Make, look: Look) -> Any:
    def fails() -> None:
        x = make()
        raise ValueError(x is None)

    try:
        fails()
    except ValueError as error:
        look()
        assert error.__traceback__ is not None and error.__traceback__.tb_next is not None
        return error.__traceback__.tb_next.tb_frame.f_locals["x"]


def by_native_code(make: Make, look: Look) -> Any:
    x = ctypes.py_object(make())
    look()
    return x.value


HOLDERS = [found for name, found in sorted(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("hold", HOLDERS)
def test_what_is_held_is_computed(hold: Hold) -> None:
    for _ in range(40):  # the interpreter specializes the code in between
        x = hold(made, runtime.flush)
        assert x._store.buffer is not None or hold is by_a_method
        assert numpy.array_equal(x, numpy.arange(1.0, 101.0))


def test_what_another_thread_holds_is_computed() -> None:
    begun, done, found = threading.Event(), threading.Event(), []

    def work() -> None:
        x = made()
        begun.set()
        done.wait(30)
        found.append(float(x.sum()))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    legate.fence()
    done.set()
    thread.join()
    assert found == [5050.0]


def test_what_nobody_holds_is_not_computed() -> None:
    legate.fence()
    for _ in range(40):
        made()
        x = made()
        y = [x, made()]
        del x, y
        before = runtime.counters.values
        runtime.flush()
        assert runtime.counters.values == before


@pytest.mark.parametrize("hold", HOLDERS)
def test_memory_of_what_is_held_is_not_overwritten(hold: Hold) -> None:
    """An update in place takes the memory of the old value unless somebody holds that: here a copy."""
    x = made()

    def change() -> None:
        nonlocal x
        legate.fence()
        x += 1.0
        legate.fence()

    for turn in range(20):
        change()
        before = x._store.buffer.addr
        change()
        assert x._store.buffer.addr == before  # nobody does
        kept = hold(x.copy, change)
        assert numpy.array_equal(kept, numpy.arange(100.0) + 3 * (turn + 1))
        assert numpy.array_equal(x, numpy.arange(100.0) + 3 * (turn + 1) + 1)


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_arrays_lie_as_expected() -> None:
    """Else every address is asked for through a dictionary, which is right and slow."""
    assert memory._data_address is memory._data_address_by_layout
