"""The runtime: records operations in a window, and compiles and runs the window at a fence, a host read, or when it is full.

A window is a flat tape (see `ir.build`): recording appends a signature and the numbers of its operands. At a flush the tape
itself, with which values are still wanted and which input buffers may be overwritten, is the key of the compiled plan, so that
a repeated window costs a lookup, binding, and one native call. Knows no NumPy semantics and no code generation.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from legate_jit import pacing, recording
from legate_jit.backends import memory
from legate_jit.backends.memory import Buffer
from legate_jit.ir import dtypes, index, infer
from legate_jit.ir.node import ArrayType, Signature, array_type
from legate_jit.ir.ops import OPS
from legate_jit.process import interpreter
from legate_jit.process.config import config
from legate_jit.process.world import guarded
from legate_jit.running import bodies, locking, poison, waiting
from legate_jit.running.execute import Runnable, progress
from legate_jit.running.poison import poisoned
from legate_jit.running.waiting import Waiting, needed, suspended, untouched
from legate_jit.store import Bitcast, Lens, Part, Reshaped, Store, _lenses, read_step, release

_thread_now = threading.get_ident
_home = _thread_now()  # the thread that records without taking the lock


@dataclass(slots=True)
class Counters:
    """What the runtime did since the process began (or `reset`)."""

    flushes: int = 0
    plans: int = 0  # structures compiled
    hits: int = 0  # flushes that reused a plan
    launches: int = 0
    calls: int = 0
    values: int = 0  # recorded values
    copied_bytes: int = 0  # copied because an update could not be in place
    beside: int = 0  # runs that went on beside the program

    def reset(self) -> None:
        """Start counting anew."""
        self.flushes = self.plans = self.hits = self.launches = self.calls = self.values = 0
        self.copied_bytes = self.beside = 0


class Unseen:
    """`count`: operations computed at once since the program last looked at a result of any, see `tiers.take_back`."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Window:
    """The open window: the tape, its stores, input buffers and scalars. There is one, `window`; hot paths append to it."""

    __slots__ = (
        "code",
        "held",
        "input_values",
        "inputs",
        "limit",
        "marks",
        "n",
        "scalars",
        "serial",
        "stores",
        "tokens",
    )

    def __init__(self) -> None:
        self.serial = 0
        self.limit = pacing.WINDOW_VALUES
        self.clear()

    def clear(self) -> None:
        """Begin a new, empty window."""
        self.code: list[Any] = []
        self.n = 0
        self.stores: list[Store] = []
        self.inputs: list[Buffer] = []
        self.input_values: list[int] = []
        self.scalars: list[Any] = []
        self.tokens: list[Store] = []  # of launches: they run whether or not anybody wants their results
        #: (position in the tape, values before it, what to call between what was recorded before and after)
        self.marks: list[tuple[int, int, Callable[[], None]]] = []
        self.held = 0  # bytes of input buffers the window keeps alive
        self.serial += 1

    def copy(self, items: tuple[Any, ...], tape: list[Any], position: int) -> None:
        """Append to the tape what was recorded at `position` of another one."""
        self.code += items

    def take(self, other: Window) -> None:
        """Become what another window, never to be used again, holds."""
        for name in Window.__slots__:
            setattr(self, name, getattr(other, name))

    def enter(self, store: Store) -> int:
        """Give a store that holds a buffer a value number in this window."""
        if store.__class__ is not Store:
            release(store)
        buffer = store.buffer
        assert buffer is not None
        self.stores.append(store)
        if buffer.serial == self.serial and self.code_type(buffer.slot) is store.type:
            store.value = buffer.slot
            return buffer.slot
        v = self.n  # from here to `store.value` nothing is called, see `record`
        self.code += (store.type.buffer_signature,)
        self.inputs += (buffer,)
        self.input_values += (v,)
        self.n = v + 1
        buffer.slot, buffer.serial = v, self.serial
        store.value = v
        self.held += buffer.nbytes
        if self.held > pacing.WINDOW_BYTES:
            self.limit = -1
        return v

    def code_type(self, value: int) -> ArrayType:
        """Type of an input value."""
        at = self.input_values.index(value)
        seen = -1
        for sig in self.code:
            if isinstance(sig, Signature) and sig.op is _BUFFER:
                seen += 1
                if seen == at:
                    return sig.type
        raise KeyError(value)


_BUFFER = OPS["buffer"]
window = Window()
counters = Counters()
unseen = Unseen()
#: what faces have put off without recording it, to be recorded or done before a fence
before_fence: list[Callable[[], None]] = []
_plans: dict[Any, Any] = {}  # what `tiers.plan` returns
#: the ranks arrays are dealt out to (a `ranks.World`), when there are several
world: Any = None
#: tables that grow with every new slice or structure, and how many entries they may hold: beyond, they start anew
bounded: list[tuple[dict[Any, Any], int]] = [(_plans, 4000), (_lenses, 50_000), (infer._interned, 100_000)]
_suspended = suspended
resume, complete = waiting.resume, waiting.complete
_pace = pacing.Pace()


def record(sig: Signature, *srcs: int, scalars: Sequence[Any] = ()) -> int:
    """Append an instruction with the run-time scalars it takes; returns its value number.

    No function is called between the first change and the last: the interpreter looks for signals at calls, and Ctrl-C must find
    the whole instruction or nothing of it. Whoever appends to the window without this function keeps to that too.
    """
    w = window
    v = w.n
    w.code += (sig, *srcs)
    w.scalars += scalars
    w.n = v + 1
    return v


def new_store(value: int, type_: ArrayType) -> Store:
    """A Store whose current value is the recorded value `value`."""
    s = Store()
    s.value, s.buffer, s.type = value, None, type_
    window.stores.append(s)
    if value > window.limit:
        full()
    return s


def token_store(type_: ArrayType) -> Store:
    """A Store that whoever records a launch makes the value of it, in the open window's `stores` and `tokens`."""
    s = Store()
    s.value, s.buffer, s.type = None, None, type_
    return s


def buffer_store(buffer: Buffer, type_: ArrayType) -> Store:
    """A Store on existing memory."""
    s = Store()
    s.value, s.buffer, s.type = None, buffer, type_
    return s


def value_of(store: Store) -> int:
    """The value number of the store's current value in the open window."""
    v = store.value
    return window.enter(store) if v is None else v


def read(store: Store, lens: Lens | None) -> int:
    """The value number of what a view shows."""
    v = value_of(store)
    if lens is None:
        return v
    if lens.view is not None:
        return record(infer.move_signature(lens.base, lens.view), v)
    type_ = lens.base
    for step in lens.reads:
        sig = read_step(type_, step)
        v, type_ = record(sig, v), sig.type
    return v


def write(store: Store, lens: Lens | None, value: int, value_type: ArrayType) -> None:
    """Assign a recorded value (broadcast and cast as NumPy does) through a view."""
    if lens is None:
        lens_chain: tuple[Any, ...] = ()
    else:
        lens_chain = lens.chain
    old = value_of(store)
    store.value = _put(old, store.type, lens_chain, value, value_type)
    if window.n > window.limit + 1:
        full()


def _put(old: int, old_type: ArrayType, chain: tuple[Any, ...], value: int, value_type: ArrayType) -> int:
    """The new whole after writing `value` through `chain` (recursion depth = length of the chain, a handful)."""
    from legate_jit.ir.index import Affine

    if not chain:
        whole = index.identity(old_type.shape)
        return record(infer.update_signature(old_type, value_type, whole), old, value)
    step, rest = chain[0], chain[1:]
    if isinstance(step, Affine) and not rest:
        return record(infer.update_signature(old_type, value_type, step), old, value)
    sig = read_step(old_type, step)
    inner = _put(record(sig, old), sig.type, rest, value, value_type)
    match step:
        case Affine():
            return record(infer.update_signature(old_type, sig.type, step), old, inner)
        case Reshaped():
            return record(infer.reshape_signature(sig.type, old_type.shape), inner)
        case Bitcast():
            return record(read_step(sig.type, Bitcast(old_type.dtype)), inner)
        case Part():
            other = infer.map_signature(OPS["imag" if step.name == "real" else "real"], (old_type,))
            kept = record(other, old)
            pair = (inner, kept) if step.name == "real" else (kept, inner)
            return record(infer.map_signature(OPS["complex"], (sig.type, sig.type)), *pair)
        case _:
            raise TypeError(f"unknown lens step {step!r}")


# ---- flush -------------------------------------------------------------------------------------------------------


def _dead_refcount() -> int:
    """What sys.getrefcount says, in `_alive`'s loop, of a store nobody but the window refers to."""
    stores = [Store()]
    for s in stores:
        return sys.getrefcount(s)
    raise AssertionError


_DEAD = interpreter.references(_dead_refcount)


def _sole_refcount() -> int:
    """What sys.getrefcount says, in `_exclusive`'s comprehension, of a buffer only the inputs list refers to."""
    inputs = [object()]
    counts = [sys.getrefcount(b) for b in inputs]
    return counts[0]


_SOLE = interpreter.references(_sole_refcount)


def mark(then: Callable[[], None]) -> None:
    """Whatever is recorded before ends before anything recorded later begins, and `then` is called in between; at once if
    nothing is recorded."""
    w = window
    if w.n or _suspended:
        w.marks.append((len(w.code), w.n, then))
    else:
        then()


def flush(w: Window | None = None, beside: bool = False) -> None:
    """Compile (or look up) and run everything recorded. Stores that are still referred to hold buffers afterwards.

    `beside`: nobody waits for the results, so the run may go on beside the program until somebody does, or the next flush.
    MemoryError, and an error while planning, leave everything recorded as it was. An error or an interruption while running
    leaves the run to be resumed when one of its results is wanted.
    """
    if _thread_now() != _home and not locking.is_shared():
        locking.share()  # a thread that `threading` did not start
        return flush(w, beside)
    if bodies.active:
        bodies.forbid()
    if w is None:
        w = window
    if not (w.n or w.stores or w.marks):
        return
    getrefcount = sys.getrefcount
    pending: list[Store] = []
    for s in w.stores:
        if getrefcount(s) > _DEAD:
            if s.buffer is None:
                pending.append(s)
            elif s.value is None:
                pass  # seen as read by a flush that failed before it ran
            elif s.buffer.slot != s.value:
                s.buffer = None
                pending.append(s)
            else:
                s.value = None  # read, not changed
        else:
            s.buffer = None
    if w.marks:
        from legate_jit import marks

        marks.run(w, pending)
        return
    if not pending:
        w.clear()
        return
    values = tuple([s.value for s in pending])
    if poisoned:
        pending, values = untouched(w, pending, values)
    if _suspended:
        waiting.complete()
        if _suspended:
            resume(needed(w, values))
    key: tuple[Any, ...] = (tuple(w.code), values, tuple([getrefcount(b) <= _SOLE for b in w.inputs]))
    if world is not None:
        key = world.key(key, w.inputs)
    runnable = _plans.get(key)
    counters.flushes += 1
    if runnable is None:
        runnable = _plans[key] = _plan(key)
    else:
        counters.hits += 1
    buffers = runnable.allocate(w.inputs)
    scalars, serial = w.scalars, w.serial
    progress.begun = False
    try:
        for s, k in zip(pending, runnable.schedule.outputs, strict=True):
            s.buffer = buffers[k]
            s.value = None
        counters.values += w.n
        counters.launches += runnable.launches
        counters.calls += runnable.calls
        counters.copied_bytes += runnable.schedule.copied_bytes
        w.clear()
        if not runnable.run(buffers, scalars):
            going = Waiting(runnable.execution(buffers, scalars), buffers, runnable.schedule.outputs)
            progress.begun = True
            _suspended.append(going)
            if beside and world is None and going.begin():
                counters.beside += 1
            else:
                going.finish()
    except BaseException:  # Ctrl-C, at any instruction above, or an operation's error
        if not progress.begun:
            _give(pending, runnable.schedule.outputs, buffers)
            if w.serial == serial:
                w.clear()
            execution = runnable.execution(buffers, scalars)
            _suspended.append(Waiting(execution, buffers, runnable.schedule.outputs))
        raise


def _give(stores: list[Store], outputs: Sequence[int], buffers: list[Buffer]) -> None:
    """Let the stores hold the buffers of their results."""
    for s, k in zip(stores, outputs, strict=True):
        s.buffer = buffers[k]
        s.value = None


def _plan(key: Any) -> Any:
    from legate_jit.running import tiers  # here: replaying needs no planner

    counters.plans += 1
    for table, most in bounded:
        if len(table) > most:
            table.clear()
    collecting = gc.isenabled()
    try:
        gc.disable()  # planning makes many small objects, none of them garbage
        return tiers.plan(key, _compiled) if world is None else world.plan(key, _compiled)
    finally:
        if collecting:
            gc.enable()


def _compiled(key: Any) -> Runnable:
    from legate_jit.backends import cpu
    from legate_jit.ir.passes import compile_window

    runnable = Runnable(compile_window(*key), cpu)
    locking.compiler_is_loaded()
    recording.install()
    return runnable


def host(store: Store) -> np.ndarray:
    """The store's contents as a read-only NumPy array of the base shape, without copying; flushes first."""
    settled(store)
    if world is not None:
        world.settle(store)
    assert store.buffer is not None
    return store.buffer.shown(store.type.shape, store.type.dtype, False)


def settled(store: Store) -> Buffer:
    """The store's memory, or its parts of several ranks, with its present value; flushes first."""
    if store.value is not None:
        flush()
    if _suspended:
        resume((store.buffer,))
    assert store.buffer is not None
    if poisoned:
        poison.check(store.buffer)
    return store.buffer


def writable(store: Store) -> np.ndarray:
    """The store's contents as a writable NumPy array of the base shape, for changing them in place; flushes first.

    Memory shared with another store or with a host view is copied before, so that only this store changes. The array must not
    be kept.
    """
    release(store)
    settled(store)
    if world is not None:
        world.own_whole(store)
    assert store.buffer is not None
    if sys.getrefcount(store.buffer) > _HELD:
        shared = store.buffer.shown(store.type.shape, store.type.dtype, False)
        store.buffer = memory.allocate(store.type.nbytes)
        counters.copied_bytes += store.type.nbytes
        own = store.buffer.shown(store.type.shape, store.type.dtype, True)
        own[...] = shared
        return own
    return store.buffer.as_numpy(store.type.shape, store.type.dtype, True)


def _held_refcount() -> int:
    """What sys.getrefcount says, in `writable`, of a buffer only its store refers to."""
    store = Store()
    store.buffer = memory.allocate(0)
    return sys.getrefcount(store.buffer)


_HELD = interpreter.references(_held_refcount)


_READERS = {
    np.dtype(t): getattr(ctypes, name).from_address
    for t, name in (
        ("f8", "c_double"),
        ("f4", "c_float"),
        ("i8", "c_int64"),
        ("i4", "c_int32"),
        ("?", "c_bool"),
    )
}


def number(store: Store) -> Any:
    """The value of a 0-d store as a Python number, or None for dtypes that need NumPy to read them; flushes first."""
    reader = _READERS.get(store.type.dtype)
    if reader is None or store.type.ndim:
        return None
    unseen.count = 0
    if store.value is not None:
        if window.n <= SHORT:
            _short_read()
        flush()
    if _suspended:
        resume((store.buffer,))
    assert store.buffer is not None
    if poisoned:
        poison.check(store.buffer)
    if world is not None:
        world.settle(store)
    return reader(store.buffer.addr).value


#: values of a window that is run for one number, reads of it, and elements of its arrays, for which recording is not worth it
SHORT, READS, FEW = 16, 8, 4096
_short_reads: dict[tuple[Any, ...], int] = {}
bounded.append((_short_reads, 2000))


def _short_read() -> None:
    """A short window is about to be run for a number: if that is what the program does with small arrays again and again, its
    operations are better computed at once."""
    code = tuple(window.code)
    count = _short_reads[code] = _short_reads.get(code, 0) + 1
    if count == READS:
        from legate_jit.running import tiers

        tiers.compute_at_once([sig for sig in code if sig.__class__ is Signature], FEW)


def from_host(array: np.ndarray) -> Store:
    """A Store with a copy of a NumPy array of a supported dtype."""
    type_ = array_type(array.shape, dtypes.canonical(array.dtype))
    buffer = memory.allocate(type_.nbytes)
    buffer.shown(type_.shape, type_.dtype, True)[...] = array
    return buffer_store(buffer, type_)


def adopt(array: np.ndarray) -> Store:
    """A Store that takes over a C-contiguous NumPy array of a supported dtype; nobody else may write it any more."""
    return buffer_store(Buffer.wrap(array), array_type(array.shape, dtypes.canonical(array.dtype)))


def fresh(type_: ArrayType) -> tuple[Store, np.ndarray]:
    """A Store with undefined contents, and a writable NumPy array over it for whoever fills it now."""
    buffer = memory.allocate(type_.nbytes)
    return buffer_store(buffer, type_), buffer.shown(type_.shape, type_.dtype, True)


def full() -> None:
    """The window holds as much as it may: run it, at a loop boundary if the program is in a loop."""
    searching = _pace.trace is None
    if searching and _computes_at_once_from_here(window.code):
        flush()
        _pace.begin(window)
    elif _pace.ends(window):
        flush(None, True)
        _pace.begin(window)


def _computes_at_once_from_here(code: list[Any]) -> bool:
    """Whether the program computes with elements of tiny arrays, as a solver of a few differential equations does, and its
    operations are from now on carried out when they are called."""
    recent = pacing.numbers(code)
    if not recent:
        return False
    from legate_jit.running import tiers

    return tiers.compute_at_once(recent, pacing.TINY, tiers.TINY)


def fence() -> None:
    """Return when everything asked for so far has been computed."""
    for settle in before_fence:
        settle()
    unseen.count = 0
    w = window
    if w.n or w.stores or w.marks or bodies.active or _thread_now() != _home:
        flush()
    if _suspended:
        resume()


def _take_turns() -> None:
    for name in ("fence", "flush", "resume", "complete", "full", "host", "writable", "number"):
        globals()[name] = locking.guarded(globals()[name])


locking.when_shared(_take_turns)


if config.watching:
    from legate_jit import debug

    debug.install(config)

if guarded or config.simulated_ranks or config.virtual_ranks > 1:
    from legate_jit.ir.ranks import choose

    choose.SMALL = config.dealt_from  # before anybody asks

if guarded:
    from legate_jit.ir import nest
    from legate_jit.job import guard
    from legate_jit.ranks import windows

    watching: Any = guard.install()
    if watching is not None:
        nest.STREAM_BYTES //= watching.node_size
        pacing.LOOP_WORK *= watching.comm.size  # of which a rank does its share
        world = windows.World(watching.comm.size, [watching.comm.rank], watching.comm)
elif config.simulated_ranks:
    from legate_jit.simulation import report

    world = report.begin(config)
elif config.virtual_ranks > 1:
    from legate_jit.ranks import windows

    world = windows.World(config.virtual_ranks, range(config.virtual_ranks), None)
