"""The fork-join pool as LLVM IR text, and the argument for its correctness.

Duty: hold the one piece of concurrent machine code of the project. It must not know Python objects, nor what
kernels compute; `entry` calls it, `threads` compiles and installs it.

A *job* is one parallel launch: chunks 0..c-1 of a kernel. All that threads share about jobs is one 64-bit
word, `state`:

    high half: the job's phase; odd = a job is open, even = none is. Opening and closing each add one.
    low half:  how many workers are registered.

* A worker registers by adding 1 and looks at the word it replaced. If no job was open it takes the 1 back and
  has touched nothing else. If one was open it is registered, and only then reads the job's fields, works, and
  takes its 1 back.
* The caller writes the fields, opens the job, works itself until no chunk is left, closes the job, and waits
  until the low half is zero. So fields change only when no worker is registered and none can register: a late
  worker cannot read a stale field or take a chunk of a finished job. Which phase a worker *expected* plays no
  part in that, so wrapping phases are harmless; a worker remembers the last phase it worked for only to avoid
  joining an exhausted job twice.
* The caller never waits for a worker that has not registered; if none is scheduled, it does every chunk
  itself.
* Sleeping is the usual two-sided handshake with sequentially consistent operations. Workers: count yourself
  in `sleepers`, then wait on the high half as last seen; the opener changes the high half, then looks at
  `sleepers`. The caller: set `waiting`, then wait on the low half; a worker that takes the last registration
  back changes the low half, then looks at `waiting`.
* A *posted* program (`beside`) is run by whichever worker claims it, in the caller's place: that worker opens the
  jobs, and the caller, when it comes, registers for them as a worker does. Both hold the pool's lock together.
* Retiring a pool sets `stop`, then adds 2 to the phase; workers read the phase before `stop`, so none falls
  asleep past it.

Every thread owns a contiguous share of the chunks with its own counter, so that it finds in its cache what it
computed in the previous launch; whoever is done takes chunks from the shares of the others. Chunk bounds do
not depend on the number of threads.
"""

from dataclasses import dataclass

from legate_jit.backends.pool.beside import BESIDE_TEXT, SERIAL_TEXT
from legate_jit.backends.pool.entry import ENTRY_TEXT

__all__ = [
    "BLOCK_HEADER",
    "FUTEX_CALLS",
    "LINE",
    "SYMBOLS",
    "Field",
    "block_bytes",
    "pausing",
    "program_text",
]

LINE = 64
"""Bytes between fields that different threads write, so that they never share a cache line."""


class Field:
    """Byte offsets inside a control block; the share of thread t lies at BLOCK_HEADER + t * LINE."""

    STATE = 0
    SLEEPERS = 1 * LINE
    WAITING = 2 * LINE
    LOCK = 3 * LINE
    THREADS = 4 * LINE
    SPIN = 4 * LINE + 8
    STOP = 4 * LINE + 16
    STARTED = 4 * LINE + 24
    POSTED = 4 * LINE + 32
    ALIVE = 5 * LINE
    FN = 6 * LINE
    ARGS = 6 * LINE + 8
    TABLE = 6 * LINE + 16
    UNITS = 6 * LINE + 24
    CHUNK = 6 * LINE + 32
    MODE = 6 * LINE + 40
    PROGRAM = 7 * LINE  # four words: program, first, last, table
    POSTED_MODE = 7 * LINE + 32
    JOINING = 8 * LINE
    NEXT = 0  # in a share: the next chunk to take, where the share ends, whose block this is, which thread owns it
    END = 8
    BLOCK = 16
    INDEX = 24


BLOCK_HEADER = 9 * LINE

SYMBOLS = (
    "pool",
    "run_program",
    "begin_program",
    "finish_program",
    "call_kernel",
    "chain",
    "mark",
    "pause_many",
    "retire",
)
"""What the compiled text exports."""

FUTEX_CALLS = {"x86_64": 202, "i386": 240, "aarch64": 98, "riscv64": 98, "powerpc64le": 221, "s390x": 238}
"""Number of Linux's futex system call by processor; elsewhere programs run serially."""


def block_bytes(threads: int) -> int:
    """Bytes of the control block of a pool of that many threads, the caller included."""
    return BLOCK_HEADER + threads * LINE


@dataclass(frozen=True, slots=True)
class _Processor:
    """What differs between processors: how to pause while spinning, and the floating-point mode."""

    declare: str
    pause: str
    read_mode: str
    adopt_mode: str


_X86 = _Processor(
    declare="""
declare void @llvm.x86.sse2.pause()
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)""",
    pause="call void @llvm.x86.sse2.pause()",
    read_mode="""
  %word = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  %flagged = load i32, ptr %word
  %mode = and i32 %flagged, -64""",  # the low six bits are sticky exception flags, not mode
    adopt_mode="""
  %word = alloca i32
  store i32 %mode, ptr %word
  call void @llvm.x86.sse.ldmxcsr(ptr %word)""",
)
_ARM = _Processor(
    "declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)", "%mode = add i32 0, 0", ""
)
_OTHER = _Processor("", "fence acquire", "%mode = add i32 0, 0", "")


def _processor(architecture: str) -> _Processor:
    match architecture:
        case "x86_64" | "i386":
            return _X86
        case "aarch64":
            return _ARM
        case _:
            return _OTHER


def pausing(architecture: str) -> tuple[str, str]:
    """What to declare, and the instruction, for pausing between two looks at memory."""
    machine = _processor(architecture)
    return machine.declare, machine.pause


def program_text(triple: str) -> str:
    """The IR of the entry points for one platform, with the pool on Linux and serial otherwise."""
    architecture, _, system = triple.partition("-")
    futex = FUTEX_CALLS.get(architecture) if "linux" in system else None
    machine = _processor(architecture)
    pool = _SERIAL + SERIAL_TEXT if futex is None else _fill(_POOL + BESIDE_TEXT, machine, futex)
    return "\n".join((f'target triple = "{triple}"', machine.declare, _fill(ENTRY_TEXT, machine, 0), pool))


def _fill(template: str, machine: _Processor, futex: int) -> str:
    """Insert offsets and instructions for the marks `<NAME>` of a template."""
    marks = {name: str(value) for name, value in vars(Field).items() if not name.startswith("_")}
    marks |= {"PAUSE": machine.pause, "READ_MODE": machine.read_mode, "ADOPT_MODE": machine.adopt_mode}
    marks |= {"FUTEX": str(futex), "HEADER": str(BLOCK_HEADER), "LINE": str(LINE)}
    for name, value in marks.items():
        template = template.replace(f"<{name}>", value)
    return template


_SERIAL = """
@pool = global ptr null
define internal void @parallel(ptr %pool, ptr %fn, ptr %args, i64 %units, i64 %chunk, ptr %table, i64 %index) {
  call void %fn(i64 0, i64 %units, ptr %args, ptr %table)
  ret void
}
define void @retire(ptr %pool) {
  ret void
}
"""

_POOL = """
@pool = global ptr null
declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)

define internal void @futex_wait(ptr %word, i32 %seen) noinline {
  %r = call i64 (i64, ...) @syscall(i64 <FUTEX>, ptr %word, i64 128, i32 %seen, ptr null, ptr null, i64 0)
  ret void
}
define internal void @futex_wake(ptr %word, i32 %count) noinline {
  %r = call i64 (i64, ...) @syscall(i64 <FUTEX>, ptr %word, i64 129, i32 %count, ptr null, ptr null, i64 0)
  ret void
}
; Raise the phase without opening or closing a job, and wake so many of those that wait for that, if the counter
; has any: they count themselves in it before they sleep.
define internal void @advance(ptr %pool, ptr %counter, i32 %most) {
  %o = atomicrmw add ptr %pool, i64 8589934592 seq_cst
  %count = load atomic i32, ptr %counter seq_cst, align 4
  %nobody = icmp eq i32 %count, 0
  br i1 %nobody, label %out, label %call
call:
  %high = getelementptr i8, ptr %pool, i64 4
  call void @futex_wake(ptr %high, i32 %most)
  br label %out
out:
  ret void
}

; Take chunks, first of one's own share, then of the others', until none is left. Only for registered threads
; and the caller.
define internal void @work(ptr %pool, i64 %index) {
entry:
  %tq = getelementptr i8, ptr %pool, i64 <THREADS>
  %threads = load i64, ptr %tq
  %fq = getelementptr i8, ptr %pool, i64 <FN>
  %fn = load ptr, ptr %fq
  %aq = getelementptr i8, ptr %pool, i64 <ARGS>
  %args = load ptr, ptr %aq
  %bq = getelementptr i8, ptr %pool, i64 <TABLE>
  %table = load ptr, ptr %bq
  %uq = getelementptr i8, ptr %pool, i64 <UNITS>
  %units = load i64, ptr %uq
  %cq = getelementptr i8, ptr %pool, i64 <CHUNK>
  %chunk = load i64, ptr %cq
  %shares = getelementptr i8, ptr %pool, i64 <HEADER>
  br label %share
share:
  %left = phi i64 [%threads, %entry], [%left1, %exhausted]
  %victim = phi i64 [%index, %entry], [%victim2, %exhausted]
  %offset = mul i64 %victim, <LINE>
  %nq = getelementptr i8, ptr %shares, i64 %offset
  %eq = getelementptr i8, ptr %nq, i64 <END>
  %end = load i64, ptr %eq
  br label %peek
peek:
  %seen = load atomic i64, ptr %nq monotonic, align 8
  %some = icmp slt i64 %seen, %end
  br i1 %some, label %take, label %exhausted
take:
  %c = atomicrmw add ptr %nq, i64 1 monotonic
  %got = icmp slt i64 %c, %end
  br i1 %got, label %run, label %exhausted
run:
  %lo = mul i64 %c, %chunk
  %full = add i64 %lo, %chunk
  %hi = call i64 @llvm.smin.i64(i64 %full, i64 %units)
  call void %fn(i64 %lo, i64 %hi, ptr %args, ptr %table)
  br label %peek
exhausted:
  %left1 = sub i64 %left, 1
  %victim1 = add i64 %victim, 1
  %wrap = icmp eq i64 %victim1, %threads
  %victim2 = select i1 %wrap, i64 0, i64 %victim1
  %more = icmp sgt i64 %left1, 0
  br i1 %more, label %share, label %out
out:
  ret void
}

define internal void @adopt(i32 %mode) {
  <ADOPT_MODE>
  ret void
}

; Register, work if a job is open, and take the registration back. The phase of the job, or `last` if there was none.
define internal i32 @help(ptr %pool, i64 %index, i32 %last) {
entry:
  %before = atomicrmw add ptr %pool, i64 1 seq_cst
  %shifted = lshr i64 %before, 32
  %joined = trunc i64 %shifted to i32
  %bit = and i32 %joined, 1
  %open = icmp ne i32 %bit, 0
  br i1 %open, label %do, label %depart
do:
  %mq = getelementptr i8, ptr %pool, i64 <MODE>
  %mode = load i32, ptr %mq
  call void @adopt(i32 %mode)
  call void @work(ptr %pool, i64 %index)
  br label %depart
depart:
  %phase = phi i32 [%last, %entry], [%joined, %do]
  %wq = getelementptr i8, ptr %pool, i64 <WAITING>
  %then = atomicrmw sub ptr %pool, i64 1 seq_cst
  %count = trunc i64 %then to i32
  %final = icmp eq i32 %count, 1
  %waiting = load atomic i32, ptr %wq seq_cst, align 4
  %asleep = icmp ne i32 %waiting, 0
  %call = and i1 %final, %asleep
  br i1 %call, label %wake, label %out
wake:
  call void @futex_wake(ptr %pool, i32 1)
  br label %out
out:
  ret i32 %phase
}

define ptr @worker(ptr %share) {
entry:
  %pq = getelementptr i8, ptr %share, i64 <BLOCK>
  %pool = load ptr, ptr %pq
  %iq = getelementptr i8, ptr %share, i64 <INDEX>
  %index = load i64, ptr %iq
  %high = getelementptr i8, ptr %pool, i64 4
  %stq = getelementptr i8, ptr %pool, i64 <STOP>
  %slq = getelementptr i8, ptr %pool, i64 <SLEEPERS>
  %spq = getelementptr i8, ptr %pool, i64 <SPIN>
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  %alq = getelementptr i8, ptr %pool, i64 <ALIVE>
  br label %idle
idle:
  %last = phi i32 [0, %entry], [%last, %sleep], [%last, %claim], [%last, %drive], [%last1, %join]
  %limit = load i64, ptr %spq
  br label %look
look:
  %k = phi i64 [0, %idle], [%k1, %spin]
  %phase = load atomic i32, ptr %high seq_cst, align 4
  %stop = load atomic i32, ptr %stq seq_cst, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %exit, label %judge
judge:
  %posted = load atomic i32, ptr %poq seq_cst, align 4
  %waits = icmp eq i32 %posted, 1
  br i1 %waits, label %claim, label %job
job:
  %bit = and i32 %phase, 1
  %open = icmp ne i32 %bit, 0
  %new = icmp ne i32 %phase, %last
  %register = and i1 %open, %new
  br i1 %register, label %join, label %spin
spin:
  <PAUSE>
  %k1 = add i64 %k, 1
  %again = icmp slt i64 %k1, %limit
  br i1 %again, label %look, label %sleep
sleep:
  %s0 = atomicrmw add ptr %slq, i32 1 seq_cst
  call void @futex_wait(ptr %high, i32 %phase)
  %s1 = atomicrmw sub ptr %slq, i32 1 seq_cst
  br label %idle
join:
  %last1 = call i32 @help(ptr %pool, i64 %index, i32 %last)
  br label %idle
claim:
  %claimed = call i1 @claim(ptr %pool)
  br i1 %claimed, label %drive, label %idle
drive:
  call void @drive(ptr %pool, i64 %index)
  br label %idle
exit:
  %a0 = atomicrmw sub ptr %alq, i32 1 seq_cst
  ret ptr null
}

; Make the workers, with asynchronous signals blocked so that Ctrl-C reaches the main thread. If the system
; refuses one, the pool is smaller.
define internal void @start(ptr %pool) noinline {
entry:
  %all = alloca [128 x i8], align 8
  %old = alloca [128 x i8], align 8
  %id = alloca i64
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  store i64 -1273, ptr %all ; not ILL, TRAP, ABRT, BUS, FPE, SEGV: a crash must still be reported
  %stq = getelementptr i8, ptr %pool, i64 <STARTED>
  store i64 1, ptr %stq
  %m0 = call i32 @pthread_sigmask(i32 2, ptr %all, ptr %old)
  %tq = getelementptr i8, ptr %pool, i64 <THREADS>
  %threads = load i64, ptr %tq
  %alq = getelementptr i8, ptr %pool, i64 <ALIVE>
  %shares = getelementptr i8, ptr %pool, i64 <HEADER>
  %any = icmp sgt i64 %threads, 1
  br i1 %any, label %make, label %out
make:
  %t = phi i64 [1, %entry], [%t1, %made]
  %offset = mul i64 %t, <LINE>
  %share = getelementptr i8, ptr %shares, i64 %offset
  %bq = getelementptr i8, ptr %share, i64 <BLOCK>
  store ptr %pool, ptr %bq
  %iq = getelementptr i8, ptr %share, i64 <INDEX>
  store i64 %t, ptr %iq
  %a0 = atomicrmw add ptr %alq, i32 1 seq_cst
  %r = call i32 @pthread_create(ptr %id, ptr null, ptr @worker, ptr %share)
  %bad = icmp ne i32 %r, 0
  br i1 %bad, label %refused, label %made
made:
  %handle = load i64, ptr %id
  %d = call i32 @pthread_detach(i64 %handle)
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %threads
  br i1 %more, label %make, label %out
refused:
  %a1 = atomicrmw sub ptr %alq, i32 1 seq_cst
  store i64 %t, ptr %tq
  br label %out
out:
  %m1 = call i32 @pthread_sigmask(i32 2, ptr %old, ptr null)
  ret void
}

; Have workers: they are made when they are first needed.
define internal void @ready(ptr %pool) {
  %stq = getelementptr i8, ptr %pool, i64 <STARTED>
  %started = load i64, ptr %stq
  %fresh = icmp eq i64 %started, 0
  br i1 %fresh, label %first, label %out
first:
  call void @start(ptr %pool)
  br label %out
out:
  ret void
}

define internal i32 @mode() {
  <READ_MODE>
  ret i32 %mode
}

; One job. The caller, who takes that index's share first, holds the pool's lock.
define internal void @parallel(ptr %pool, ptr %fn, ptr %args, i64 %units, i64 %chunk, ptr %table, i64 %index) {
entry:
  call void @ready(ptr %pool)
  %tq = getelementptr i8, ptr %pool, i64 <THREADS>
  %threads = load i64, ptr %tq
  %fq = getelementptr i8, ptr %pool, i64 <FN>
  store ptr %fn, ptr %fq
  %aq = getelementptr i8, ptr %pool, i64 <ARGS>
  store ptr %args, ptr %aq
  %bq = getelementptr i8, ptr %pool, i64 <TABLE>
  store ptr %table, ptr %bq
  %uq = getelementptr i8, ptr %pool, i64 <UNITS>
  store i64 %units, ptr %uq
  %cq = getelementptr i8, ptr %pool, i64 <CHUNK>
  store i64 %chunk, ptr %cq
  %mq = getelementptr i8, ptr %pool, i64 <MODE>
  %mode = call i32 @mode()
  store i32 %mode, ptr %mq
  %less = sub i64 %units, 1
  %down = udiv i64 %less, %chunk
  %chunks = add i64 %down, 1
  %each = udiv i64 %chunks, %threads
  %used = mul i64 %each, %threads
  %rest = sub i64 %chunks, %used
  %shares = getelementptr i8, ptr %pool, i64 <HEADER>
  br label %deal
deal:
  %t = phi i64 [0, %entry], [%t1, %deal]
  %begin = phi i64 [0, %entry], [%end, %deal]
  %long = icmp slt i64 %t, %rest
  %extra = zext i1 %long to i64
  %size = add i64 %each, %extra
  %end = add i64 %begin, %size
  %offset = mul i64 %t, <LINE>
  %nq = getelementptr i8, ptr %shares, i64 %offset
  store atomic i64 %begin, ptr %nq monotonic, align 8
  %eq = getelementptr i8, ptr %nq, i64 <END>
  store i64 %end, ptr %eq
  %t1 = add i64 %t, 1
  %dealing = icmp slt i64 %t1, %threads
  br i1 %dealing, label %deal, label %open
open:
  %o = atomicrmw add ptr %pool, i64 4294967296 seq_cst
  %slq = getelementptr i8, ptr %pool, i64 <SLEEPERS>
  %sleepers = load atomic i32, ptr %slq seq_cst, align 4
  %nobody = icmp eq i32 %sleepers, 0
  br i1 %nobody, label %mine, label %call
call:
  %high = getelementptr i8, ptr %pool, i64 4
  %wanted64 = call i64 @llvm.smin.i64(i64 %down, i64 %threads)
  %wanted = trunc i64 %wanted64 to i32
  call void @futex_wake(ptr %high, i32 %wanted)
  br label %mine
mine:
  call void @work(ptr %pool, i64 %index)
  %then = atomicrmw add ptr %pool, i64 4294967296 seq_cst
  %registered = trunc i64 %then to i32
  %alone = icmp eq i32 %registered, 0
  br i1 %alone, label %out, label %wait
wait:
  %spq = getelementptr i8, ptr %pool, i64 <SPIN>
  %limit = load i64, ptr %spq
  br label %look
look:
  %k = phi i64 [0, %wait], [%k1, %spin]
  %now = load atomic i32, ptr %pool acquire, align 4
  %done = icmp eq i32 %now, 0
  br i1 %done, label %out, label %spin
spin:
  <PAUSE>
  %k1 = add i64 %k, 1
  %again = icmp slt i64 %k1, %limit
  br i1 %again, label %look, label %announce
announce:
  %wq = getelementptr i8, ptr %pool, i64 <WAITING>
  %w0 = atomicrmw xchg ptr %wq, i32 1 seq_cst
  br label %doze
doze:
  %count = load atomic i32, ptr %pool seq_cst, align 4
  %over = icmp eq i32 %count, 0
  br i1 %over, label %awake, label %nap
nap:
  call void @futex_wait(ptr %pool, i32 %count)
  br label %doze
awake:
  %w1 = atomicrmw xchg ptr %wq, i32 0 seq_cst
  br label %out
out:
  ret void
}

; Send the workers home; they finish the job they are registered for.
define void @retire(ptr %pool) {
  %stq = getelementptr i8, ptr %pool, i64 <STOP>
  store atomic i32 1, ptr %stq seq_cst, align 4
  %slq = getelementptr i8, ptr %pool, i64 <SLEEPERS>
  call void @advance(ptr %pool, ptr %slq, i32 2147483647)
  ret void
}
"""
