"""The pool computes every unit once, in order, whatever the scheduler, other threads, forks and signals do."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from legate_jit.backends import native
from legate_jit.backends.pool import threads

LINUX = sys.platform.startswith("linux")

# Argument blocks: count, who = [target]; reverse = [target, source, last]; busy = [iterations];
# divide = [target, numerator, denominator].
KERNELS = """
define void @count(i64 %lo, i64 %hi, ptr %args, ptr %table) {
entry:
  %p = load ptr, ptr %args
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %loop]
  %q = getelementptr i64, ptr %p, i64 %i
  %r = atomicrmw add ptr %q, i64 1 monotonic
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %out
out:
  ret void
}
; target[i] = source[n - 1 - i] + 1: wrong unless the previous launch is complete
define void @reverse(i64 %lo, i64 %hi, ptr %args, ptr %table) {
entry:
  %p = load ptr, ptr %args
  %q1 = getelementptr i64, ptr %args, i64 1
  %s = load ptr, ptr %q1
  %q2 = getelementptr i64, ptr %args, i64 2
  %last = load i64, ptr %q2
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %loop]
  %j = sub i64 %last, %i
  %sq = getelementptr i64, ptr %s, i64 %j
  %v = load i64, ptr %sq
  %v1 = add i64 %v, 1
  %tq = getelementptr i64, ptr %p, i64 %i
  store i64 %v1, ptr %tq
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %out
out:
  ret void
}
; target[i] = the thread that computed it, after some work
declare i64 @pthread_self()
define void @who(i64 %lo, i64 %hi, ptr %args, ptr %table) {
entry:
  %p = load ptr, ptr %args
  %me = call i64 @pthread_self()
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %next]
  br label %work
work:
  %k = phi i64 [0, %loop], [%k1, %work]
  %x = load volatile i64, ptr %args
  %k1 = add i64 %k, 1
  %busy = icmp slt i64 %k1, 10000
  br i1 %busy, label %work, label %next
next:
  %q = getelementptr i64, ptr %p, i64 %i
  store i64 %me, ptr %q
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %out
out:
  ret void
}
; table[0..2] = lo, hi, args
define void @probe(i64 %lo, i64 %hi, ptr %args, ptr %table) {
  store i64 %lo, ptr %table
  %q1 = getelementptr i64, ptr %table, i64 1
  store i64 %hi, ptr %q1
  %q2 = getelementptr i64, ptr %table, i64 2
  store ptr %args, ptr %q2
  ret void
}
define void @busy(i64 %lo, i64 %hi, ptr %args, ptr %table) {
entry:
  %n = load i64, ptr %args
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i1, %loop]
  %x = load volatile i64, ptr %args
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}
; target[i] = numerator / denominator, which flush-to-zero modes change for tiny numbers
define void @divide(i64 %lo, i64 %hi, ptr %args, ptr %table) {
entry:
  %p = load ptr, ptr %args
  %q1 = getelementptr i64, ptr %args, i64 1
  %a = load double, ptr %q1
  %q2 = getelementptr i64, ptr %args, i64 2
  %b = load double, ptr %q2
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %loop]
  %x = fdiv double %a, %b
  %q = getelementptr double, ptr %p, i64 %i
  store volatile double %x, ptr %q
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""
NAMES = ("count", "reverse", "who", "probe", "busy", "divide")


@pytest.fixture(scope="module")
def code() -> native.NativeCode:
    return native.compile_ir(KERNELS, NAMES)


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = threads.get_threads()
    yield
    threads.set_spin(None)
    threads.set_threads(before)


class Program:
    """Launch records and the arrays they refer to."""

    def __init__(self, *records: tuple[int, Any, int, int]) -> None:
        self.blocks = [np.array(args, dtype="i8") for _, args, _, _ in records]
        self.table = np.zeros(8, "i8")
        self.records = np.zeros((len(records), threads.RECORD_WORDS), "i8")
        for row, (fn, _, units, chunk), block in zip(self.records, records, self.blocks, strict=True):
            row[:4] = fn, block.ctypes.data, units, chunk

    def run(self, first: int = 0, last: int | None = None, release: bool = True) -> None:
        end = len(self.records) if last is None else last
        threads.run_program(self.records.ctypes.data, first, end, self.table.ctypes.data, int(release))

    def begin(self) -> bool:
        return threads.begin_program(
            self.records.ctypes.data, 0, len(self.records), self.table.ctypes.data, 1
        )


def counting(code: native.NativeCode, units: int, chunk: int) -> tuple[Program, np.ndarray[Any, Any]]:
    counters = np.zeros(units, "i8")
    return Program((code.address("count"), [counters.ctypes.data], units, chunk)), counters


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("release", [True, False])
@pytest.mark.parametrize(
    ("units", "chunk"), [(1, 1), (2, 1), (7, 2), (1000, 1), (1000, 999), (4096, 64), (10_007, 100)]
)
def test_every_unit_is_computed_once(
    code: native.NativeCode, count: int, release: bool, units: int, chunk: int
) -> None:
    threads.set_threads(count)
    program, counters = counting(code, units, chunk)
    for turn in range(1, 30):
        program.run(release=release)
        assert (counters == turn).all()


def test_launches_wait_for_each_other(code: native.NativeCode) -> None:
    threads.set_threads(4)
    n = 3000
    a, b = np.zeros(n, "i8"), np.zeros(n, "i8")
    forth = (code.address("reverse"), [b.ctypes.data, a.ctypes.data, n - 1], n, 50)
    back = (code.address("reverse"), [a.ctypes.data, b.ctypes.data, n - 1], n, 70)
    program = Program(*[forth, back] * 200)
    for turn in range(1, 6):
        program.run()
        assert (a == 400 * turn).all()
        assert (b == 400 * turn - 1).all()


@pytest.mark.parametrize("spin", [0, 1, 50, None])
def test_stress_with_more_threads_than_processors(code: native.NativeCode, spin: float | None) -> None:
    threads.set_threads(9)
    threads.set_spin(spin)
    program, counters = counting(code, 64, 3)
    for turn in range(1, 5001):
        program.run()
        if counters.min() != turn or counters.max() != turn:
            raise AssertionError((turn, counters))


@pytest.mark.skipif("not LINUX")
@pytest.mark.parametrize("spin", [0, 50])
def test_workers_take_part_and_keep_to_their_shares(code: native.NativeCode, spin: int) -> None:
    threads.set_threads(2)
    threads.set_spin(spin)
    ids = np.zeros(400, "i8")
    program = Program((code.address("who"), [ids.ctypes.data], 400, 1))
    for _ in range(20):  # on a busy machine the worker may come late now and then
        program.run()
        first, last = ids[0], ids[-1]
        if first == threading.get_ident() and last != first and len(set(ids.tolist())) == 2:
            return
    raise AssertionError("the second half was never computed by a worker")


def test_sleeping_workers_wake(code: native.NativeCode) -> None:
    threads.set_threads(3)
    threads.set_spin(0)
    program, counters = counting(code, 100, 1)
    for turn in range(1, 11):
        program.run()
        time.sleep(0.002)
        assert (counters == turn).all()
    assert threads.started_threads() == (2 if LINUX else 0)


def test_the_arguments_a_kernel_gets(code: native.NativeCode) -> None:
    program = Program((code.address("probe"), [0], 17, 17))
    program.run()
    assert program.table[:3].tolist() == [0, 17, program.blocks[0].ctypes.data]
    threads.call_kernel(code.address("probe"), 3, 5, 77, program.table.ctypes.data)
    assert program.table[:3].tolist() == [3, 5, 77]


def test_chunks_do_not_depend_on_the_number_of_threads(code: native.NativeCode) -> None:
    for count in (2, 3, 5):
        threads.set_threads(count)
        program = Program((code.address("probe"), [0], 10, 4))
        seen = set()
        for _ in range(300):
            program.run()
            seen.add(tuple(program.table[:2].tolist()))
        assert {lo for lo, _ in seen} <= {0, 4, 8}
        assert {hi for _, hi in seen} <= {4, 8, 10}


def test_skipped_launches_and_ranges(code: native.NativeCode) -> None:
    counters = np.zeros(100, "i8")
    count = code.address("count")
    program = Program(
        (count, [counters.ctypes.data], 100, 10),
        (count, [counters.ctypes.data], 0, 10),
        (count, [counters.ctypes.data], -5, 10),
        (0, [counters.ctypes.data], 100, 10),
        (count, [counters.ctypes.data], 100, 0),
        (count, [counters.ctypes.data], 100, -1),
    )
    program.run()
    assert (counters == 3).all()
    program.run(1, 5)
    assert (counters == 4).all()
    program.run(2, 2)
    program.run(5, 2)
    assert (counters == 4).all()


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3, 4, 5, 6)])
def test_wrong_number_of_arguments(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="exactly 5"):
        threads.run_program(*arguments)
    with pytest.raises(TypeError, match="exactly 5"):
        threads.call_kernel(*arguments)


def test_wrong_arguments() -> None:
    wrong: Any = "x"
    with pytest.raises(TypeError):
        threads.run_program(0, 0, 0, wrong, 0)
    with pytest.raises(OverflowError):
        threads.run_program(0, 0, 0, 1 << 70, 0)
    threads.run_program(-1, -1, -1, -1, -1)  # minus one is a number like any other
    with pytest.raises(AttributeError):
        _ = threads.run_programme  # type: ignore[attr-defined]


def test_no_reference_is_lost(code: native.NativeCode) -> None:
    program, _ = counting(code, 1, 1)
    before = sys.getrefcount(None)
    for _ in range(5000):
        program.run()
        program.run(release=False)
    assert abs(sys.getrefcount(None) - before) < 1000


def elapsed_beside(program: Program, release: bool) -> bool:
    """Whether another Python thread got anywhere while the program ran."""
    ticks = 0
    running = True

    def tick() -> None:
        nonlocal ticks
        while running:
            ticks += 1
            time.sleep(0)

    other = threading.Thread(target=tick)
    other.start()
    try:
        while not ticks:
            time.sleep(0.001)
        before = ticks
        program.run(release=release)
        return ticks > before + 5
    finally:
        running = False
        other.join()


def test_the_interpreter_runs_on_iff_asked(code: native.NativeCode) -> None:
    threads.set_threads(1)
    program = Program((code.address("busy"), [50_000_000], 1, 1))
    assert elapsed_beside(program, release=True)
    # The other thread may have had its turn just before; not every time.
    assert not all(elapsed_beside(program, release=False) for _ in range(8))


def test_several_python_threads_at_once(code: native.NativeCode) -> None:
    threads.set_threads(3)
    failures: list[Any] = []

    def work() -> None:
        program, counters = counting(code, 500, 7)
        for turn in range(1, 300):
            program.run()
            if not (counters == turn).all():
                failures.append((turn, counters))
                return

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for turn in range(20):
        time.sleep(0.002)
        threads.set_threads(2 + turn % 3)
    for worker in workers:
        worker.join()
    assert not failures


def test_a_pool_replaced_over_and_over(code: native.NativeCode) -> None:
    program, counters = counting(code, 100, 3)
    before = (
        len(os.listdir("/proc/self/task")) if LINUX else 0
    )  # libraries of other tests may have threads of their own
    for turn in range(1, 100):
        threads.set_threads(1 + turn % 5)
        program.run()
        assert (counters == turn).all()
    threads.set_threads(1)
    deadline = time.monotonic() + 30
    while LINUX and len(os.listdir("/proc/self/task")) > before:
        assert time.monotonic() < deadline, "retired workers did not leave"
        time.sleep(0.01)


def test_the_number_of_threads_is_checked() -> None:
    for bad in (0, -1, threads.MAX_THREADS + 1):
        with pytest.raises(ValueError, match="threads"):
            threads.set_threads(bad)


@pytest.mark.skipif("not hasattr(os, 'fork')")
def test_a_forked_child_has_a_pool_of_its_own(code: native.NativeCode) -> None:
    threads.set_threads(3)
    program, counters = counting(code, 1000, 10)
    program.run()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            good = threads.started_threads() == 0
            program.run()
            os._exit(0 if good and (counters == 2).all() and threads.get_threads() == 3 else 1)
        program.run(release=False)
        assert os.waitpid(child, 0)[1] == 0
        counters -= 1
    program.run()
    assert (counters == 2).all()


@pytest.mark.skipif("not hasattr(os, 'fork')")
def test_fork_while_another_thread_runs_a_program(code: native.NativeCode) -> None:
    threads.set_threads(2)
    long = Program(*[(code.address("busy"), [200_000], 8, 1)] * 200)
    other = threading.Thread(target=long.run)
    other.start()
    program, counters = counting(code, 1000, 10)
    child = os.fork()
    if child == 0:
        program.run()
        os._exit(0 if (counters == 1).all() and threads.started_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    other.join()


@pytest.mark.skipif("not LINUX")
def test_signals_reach_the_main_thread(code: native.NativeCode) -> None:
    before = set(os.listdir("/proc/self/task"))
    threads.set_threads(4)
    program, _ = counting(code, 1000, 10)
    program.run()
    ours = set(os.listdir("/proc/self/task")) - before
    assert len(ours) == 3
    got: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(threading.get_ident()))
    try:
        for turn in range(1, 20):
            os.kill(os.getpid(), signal.SIGUSR1)
            program.run()
            assert len(got) == turn
    finally:
        signal.signal(signal.SIGUSR1, previous)
    # Whatever is not a crash is blocked; the library blocks everything until a new thread first runs.
    expected = set(signal.valid_signals()) - signal_set(
        "ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "KILL", "STOP"
    )
    deadline = time.monotonic() + 10
    while any(blocked_signals(task) != expected for task in ours):
        assert time.monotonic() < deadline, [blocked_signals(task) ^ expected for task in ours]
        time.sleep(0.01)


def signal_set(*names: str) -> set[int]:
    return {signal.Signals[f"SIG{name}"] for name in names}


def blocked_signals(task: str) -> set[int]:
    with open(f"/proc/self/task/{task}/status", encoding="ascii") as status:
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    mask = int(fields["SigBlk"], 16)
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


@pytest.mark.skipif("native.host_triple().partition('-')[0] != 'x86_64'")
def test_workers_compute_in_the_callers_floating_point_mode(code: native.NativeCode) -> None:
    setter = native.compile_ir(
        """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define void @set(i64 %lo, i64 %hi, ptr %args, ptr %table) {
  call void @llvm.x86.sse.ldmxcsr(ptr %args)
  ret void
}
define void @get(i64 %lo, i64 %hi, ptr %args, ptr %table) {
  call void @llvm.x86.sse.stmxcsr(ptr %args)
  ret void
}
""",
        ("set", "get"),
    )
    mode = np.zeros(1, "i4")
    threads.call_kernel(setter.address("get"), 0, 1, mode.ctypes.data, 0)
    flushing = mode | 0x8040
    threads.set_threads(4)
    target = np.zeros(4000)
    numbers = np.array([1e-308, 1e5]).view("i8").tolist()
    program = Program((code.address("divide"), [target.ctypes.data, *numbers], target.size, 10))
    program.run()
    assert (target == 1e-308 / 1e5).all()
    assert target[0] > 0
    threads.call_kernel(setter.address("set"), 0, 1, flushing.ctypes.data, 0)
    try:
        program.run()
    finally:
        threads.call_kernel(setter.address("set"), 0, 1, mode.ctypes.data, 0)
    assert not target.any()
    program.run()
    assert (target > 0).all()
    threads.call_kernel(setter.address("set"), 0, 1, flushing.ctypes.data, 0)
    try:
        assert program.begin() is LINUX  # in the mode it was begun in, whoever finishes it, in whatever mode
    finally:
        threads.call_kernel(setter.address("set"), 0, 1, mode.ctypes.data, 0)
    threads.finish_program()
    assert not target.any()
    threads.call_kernel(setter.address("get"), 0, 1, flushing.ctypes.data, 0)
    assert not (flushing ^ mode)[0] & 0x8040


PREAMBLE = f'''
import os, sys, threading, time, signal
import numpy as np
from legate_jit.backends import native
from legate_jit.backends.pool import threads
code = native.compile_ir("""{KERNELS}""", {NAMES})
def program(name, args, units, chunk, times=1):
    block = np.array(args, dtype="i8")
    records = np.zeros((times, 8), "i8")
    records[:, :4] = code.address(name), block.ctypes.data, units, chunk
    return lambda: (threads.run_program(records.ctypes.data, 0, times, 0, 1), block)
'''


def script(text: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + text],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (process.returncode, err)
    assert err == ""
    return out.strip()


@pytest.mark.parametrize("spin", ["0", "1000000"])
def test_exit_with_idle_workers(spin: str) -> None:
    run = "threads.set_threads(4); program('busy', [10], 100, 1)(); print('done')"
    assert finish(script(run, LEGATE_JIT_SPIN=spin)) == "done"


def test_exit_while_a_daemon_thread_runs_a_program() -> None:
    run = """
threads.set_threads(3)
run = program("busy", [20_000_000], 8, 1, 1000)
threading.Thread(target=run, daemon=True).start()
time.sleep(0.1); print("done")
"""
    assert finish(script(run)) == "done"


def test_exit_when_a_daemon_threads_program_ends_meanwhile() -> None:
    run = """
threads.set_threads(3)
run = program("busy", [1000], 8, 1, 100)
def forever():
    while True: run()
for _ in range(3): threading.Thread(target=forever, daemon=True).start()
time.sleep(0.1); print("done")
"""
    assert finish(script(run)) == "done"


def test_threads_of_the_environment() -> None:
    ask = "print(threads.get_threads())"
    assert finish(script(ask, LEGATE_JIT_THREADS="5")) == "5"
    available = len(os.sched_getaffinity(0)) if LINUX else os.cpu_count()
    assert finish(script(ask, LEGATE_JIT_THREADS="")) == str(available)


@pytest.mark.parametrize("name", ["LEGATE_JIT_THREADS", "LEGATE_JIT_SPIN"])
def test_bad_environment(name: str) -> None:
    ask = f"try: threads.get_threads()\nexcept ValueError as error: print('{name}' in str(error), 'many' in str(error))"
    assert finish(script(ask, **{name: "many"})) == "True True"


@pytest.mark.skipif("not LINUX")
def test_a_system_that_refuses_threads() -> None:
    run = """
import resource
threads.run_program  # compiled before threads become scarce
counters = np.zeros(1000, "i8")
run = program("count", [counters.ctypes.data], 1000, 10)
threads.set_threads(1000)
# 1000 stacks of 64 MiB do not fit into the address space allowed
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), -1))
for _ in range(50): run()
print((counters == 50).all(), threads.started_threads() < 999)
"""
    assert finish(script(run)) == "True True"


def test_the_serial_text_for_other_systems(code: native.NativeCode, monkeypatch: pytest.MonkeyPatch) -> None:
    from legate_jit.backends.pool import forkjoin

    monkeypatch.setattr(forkjoin, "FUTEX_CALLS", dict[str, int]())
    text = forkjoin.program_text(native.host_triple())
    assert "pthread" not in text
    serial = native.compile_ir(text, forkjoin.SYMBOLS)
    pool = threads._Pool.__new__(threads._Pool)
    pool._code = serial
    run: Callable[[int, int, int, int, int], None] = pool.method("run_program")
    program, counters = counting(code, 100, 3)
    run(program.records.ctypes.data, 0, 1, 0, 1)
    assert (counters == 1).all()


@pytest.mark.parametrize(
    "triple", ["aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "riscv64-unknown-linux-gnu"]
)
def test_texts_for_other_processors_parse(triple: str) -> None:
    import llvmlite.binding as llvm

    from legate_jit.backends.pool.forkjoin import program_text

    with llvm.create_context() as context, llvm.parse_assembly(program_text(triple), context) as module:
        module.verify()


# ---- programs beside their caller ---------------------------------------------------------------------------------


def alternating(code: native.NativeCode, n: int, times: int) -> tuple[Program, np.ndarray[Any, Any]]:
    """Launches that are wrong unless the one before is complete; the array that counts them."""
    a, b = np.zeros(n, "i8"), np.zeros(n, "i8")
    forth = (code.address("reverse"), [b.ctypes.data, a.ctypes.data, n - 1], n, 50)
    back = (code.address("reverse"), [a.ctypes.data, b.ctypes.data, n - 1], n, 70)
    program = Program(*[forth, back] * times)
    program.b = b  # type: ignore[attr-defined]  kept alive
    return program, a


@pytest.mark.skipif(not LINUX, reason="needs the pool")
@pytest.mark.parametrize("count", [2, 3, 9])
@pytest.mark.parametrize("spin", [None, 0, 3])
def test_beside_and_joined_at_any_time(code: native.NativeCode, count: int, spin: float | None) -> None:
    """The caller comes before a worker has begun, while one is at it, and when everything is done."""
    threads.set_threads(count)
    threads.set_spin(spin)
    program, a = alternating(code, 3000, 20)
    for turn in range(1, 400):
        assert program.begin()
        if turn % 3:
            time.sleep(turn % 7 * 2e-5)
        threads.finish_program()
        assert (a == 40 * turn).all()
        if turn % 10 == 0:
            program.run(0, 0)


@pytest.mark.skipif(not LINUX, reason="needs the pool")
def test_beside_computes_without_the_caller(code: native.NativeCode) -> None:
    threads.set_threads(2)
    program, a = alternating(code, 3000, 20)
    assert program.begin()
    deadline = time.monotonic() + 30
    while not (a == 40).all():
        assert time.monotonic() < deadline
        time.sleep(1e-4)
    threads.finish_program()
    threads.finish_program()  # nothing is left
    assert (a == 40).all()


def test_one_thread_runs_at_once(code: native.NativeCode) -> None:
    threads.set_threads(1)
    program, a = alternating(code, 3000, 5)
    assert not program.begin()
    assert (a == 10).all()
    threads.finish_program()
    assert (a == 10).all()


@pytest.mark.skipif(not LINUX, reason="needs the pool")
def test_one_program_beside_at_a_time(code: native.NativeCode) -> None:
    """A second one, and any other program, runs on its caller, also when the number of threads has changed."""
    threads.set_threads(3)
    program, a = alternating(code, 3000, 200)
    other, b = alternating(code, 100, 5)
    assert program.begin()
    assert not other.begin()
    other.run()
    assert (b == 20).all()
    threads.set_threads(2)
    assert not other.begin()
    other.run()
    assert (b == 40).all()
    threads.finish_program()
    assert (a == 400).all()
    assert program.begin()
    threads.finish_program()
    assert (a == 800).all()


@pytest.mark.skipif(not LINUX, reason="needs the pool")
def test_several_threads_finish_one_program(code: native.NativeCode) -> None:
    threads.set_threads(3)
    program, a = alternating(code, 3000, 20)
    for turn in range(1, 60):
        assert program.begin()
        helpers = [threading.Thread(target=threads.finish_program) for _ in range(3)]
        for helper in helpers:
            helper.start()
        threads.finish_program()
        assert (a == 40 * turn).all()
        for helper in helpers:
            helper.join(30)
            assert not helper.is_alive()


@pytest.mark.skipif(not LINUX, reason="needs the pool")
def test_whoever_runs_a_program_beside_is_one_of_the_pool(code: native.NativeCode) -> None:
    """Not more threads than were asked for, the caller among them."""
    threads.set_threads(2)
    n, seen = 400, set()
    who = np.zeros(n, "i8")
    program = Program((code.address("who"), [who.ctypes.data], n, 1))
    for turn in range(30):
        assert program.begin()
        if turn % 2:
            time.sleep(1e-3)
        threads.finish_program()
        seen |= set(who.tolist())
    assert len(seen) <= 2
    assert threads.started_threads() == 1
