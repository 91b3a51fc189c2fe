"""Channels in memory that two processes share, as LLVM IR text: numbered slots, handed over by counters.

Duty: the machine code that copies a message into a slot or out of one, and that waits for the other end. It must not know
ranks, what messages hold (`packing` does), or where the memory comes from.

The sender alone writes the counter SENT, how many messages it has put into slots; the receiver alone TAKEN, how many it has
copied out; message k lies in slot k modulo their number. A counter is stored after the copy it tells of (release) and loaded
before the copy that relies on it (acquire), so a slot is never read half written, nor written while it is read. Counters wrap;
the number of slots is a power of two.

A receiver notes the memory of the messages that it expects, oldest first, in a ring of as many entries as there are slots: a
message is always taken out to where it is expected, whoever asks for it.

Who waits looks at the other's counter for a while, then gives its processor away between looks, then sleeps on the counter
(futex). Sleepers count themselves first and then look once more; whoever stores a counter looks for sleepers afterwards, both
in one order for all (seq_cst): either the sleeper sees the counter, or it is woken.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

from legate_jit.backends import native
from legate_jit.backends.pool import packing
from legate_jit.backends.pool.forkjoin import FUTEX_CALLS, LINE, pausing

__all__ = [
    "LINE",
    "SENT",
    "SLOTS",
    "TAKEN",
    "Word",
    "block_words",
    "channel_bytes",
    "code",
    "is_supported",
]

#: byte offsets in a channel: the counters, each with the number of those who sleep on it a line later, and the slots
SENT, TAKEN, SLOTS = 0, 2 * LINE, 4 * LINE
#: processors for which the text is written: addresses of 64 bits, the low half of a word first
_MACHINES = ("x86_64", "aarch64", "riscv64", "ppc64le")


class Word:
    """What stands where in the block of one end of a channel: int64 words of the process's own memory.

    OTHERS: address of the counter that the other end writes; OWN: of this end's. AHEAD: how many messages this end may be
    ahead of it, the number of slots or 0. SLOT: address of slot 0; STRIDE: bytes from slot to slot. DONE: messages handled so
    far. SPIN, YIELD: after so many nanoseconds of a wait it gives way, and sleeps. BEGUN: messages expected so far; RING: address
    and bytes of the memory for message k at RING + 2 * (k modulo the number of slots).
    """

    OTHERS, OWN, AHEAD, SLOT, STRIDE, MASK, DONE, SPIN, YIELD, BEGUN, RING = range(11)


def block_words(slots: int) -> int:
    """Words of the block of one end."""
    return Word.RING + 2 * slots


def channel_bytes(slots: int, stride: int) -> int:
    """Bytes of a channel."""
    return SLOTS + slots * stride


def is_supported() -> bool:
    """Whether there are such channels on this system. Loads no compiler."""
    return sys.platform == "linux" and os.uname().machine in _MACHINES and ctypes.sizeof(ctypes.c_void_p) == 8


@functools.cache
def code() -> native.NativeCode:
    """What is called as kernels are: the functions below, and those of `packing`.

    put(n, -, block, memory): copy a message of n bytes from memory into the next slot; DONE counts it. Nothing is done if there
    is no free slot. take(-, -, block, -): copy the next message to where it is expected, the same way, if one is expected and
    there. wait(-, -, block, longest): return when that has changed, or after a sleep of at most so many nanoseconds.
    """
    triple = native.host_triple()
    architecture = triple.partition("-")[0]
    declare, pause = pausing(architecture)
    text = f'target triple = "{triple}"\n{declare}\n{_TEXT}{packing.text()}'
    marks = {"PAUSE": pause, "FUTEX": str(FUTEX_CALLS[architecture]), "LINE": str(LINE)}
    marks |= {name: str(8 * k) for name, k in vars(Word).items() if name.isupper()}
    for name, value in marks.items():
        text = text.replace(f"<{name}>", value)
    return native.compile_ir(text, ("put", "take", "wait", *packing.SYMBOLS))


_TEXT = """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; Whether this end can go on: the other's counter and what it may be ahead differ from what it has done.
define internal i1 @ready(ptr %block) alwaysinline {
  %oq = getelementptr i8, ptr %block, i64 <OTHERS>
  %others = load ptr, ptr %oq
  %counter = load atomic i32, ptr %others acquire, align 4
  %aq = getelementptr i8, ptr %block, i64 <AHEAD>
  %ahead = load i32, ptr %aq
  %dq = getelementptr i8, ptr %block, i64 <DONE>
  %done = load i32, ptr %dq
  %reach = add i32 %counter, %ahead
  %can = icmp ne i32 %reach, %done
  ret i1 %can
}

define internal i64 @now() {
  %time = alloca [2 x i64]
  %r = call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %nq = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %nq
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  ret i64 %sum
}

; Wait until this end can go on, but without sleeping; whether it can.
define internal i1 @soon(ptr %block) {
entry:
  %at.once = call i1 @ready(ptr %block)
  br i1 %at.once, label %yes, label %begin
begin:
  %sq = getelementptr i8, ptr %block, i64 <SPIN>
  %spin = load i64, ptr %sq
  %yq = getelementptr i8, ptr %block, i64 <YIELD>
  %yield = load i64, ptr %yq
  %start = call i64 @now()
  br label %look
look:
  %can = call i1 @ready(ptr %block)
  br i1 %can, label %yes, label %judge
judge:
  %now = call i64 @now()
  %waited = sub i64 %now, %start
  %hot = icmp slt i64 %waited, %spin
  br i1 %hot, label %pause, label %cool
pause:
  <PAUSE>
  br label %look
cool:
  %warm = icmp slt i64 %waited, %yield
  br i1 %warm, label %give, label %no
give:
  %g = call i32 @sched_yield()
  br label %look
yes:
  ret i1 true
no:
  ret i1 false
}

define void @wait(i64 %lo, i64 %hi, ptr %block, ptr %longest) {
  %time = alloca [2 x i64]
  %can = call i1 @soon(ptr %block)
  br i1 %can, label %out, label %sleep
sleep:
  %oq = getelementptr i8, ptr %block, i64 <OTHERS>
  %others = load ptr, ptr %oq
  %zq = getelementptr i8, ptr %others, i64 <LINE>
  %z0 = atomicrmw add ptr %zq, i32 1 seq_cst
  %seen = load atomic i32, ptr %others seq_cst, align 4
  %late = call i1 @ready(ptr %block)
  br i1 %late, label %awake, label %doze
doze:
  %nanoseconds = ptrtoint ptr %longest to i64
  %whole = udiv i64 %nanoseconds, 1000000000
  %rest = urem i64 %nanoseconds, 1000000000
  store i64 %whole, ptr %time
  %nq = getelementptr i64, ptr %time, i64 1
  store i64 %rest, ptr %nq
  %r = call i64 (i64, ...) @syscall(i64 <FUTEX>, ptr %others, i64 0, i32 %seen, ptr %time, ptr null, i64 0)
  br label %awake
awake:
  %z1 = atomicrmw sub ptr %zq, i32 1 seq_cst
  br label %out
out:
  ret void
}

; The slot of this end's next message.
define internal ptr @slot(ptr %block) alwaysinline {
  %dq = getelementptr i8, ptr %block, i64 <DONE>
  %done = load i64, ptr %dq
  %mq = getelementptr i8, ptr %block, i64 <MASK>
  %mask = load i64, ptr %mq
  %number = and i64 %done, %mask
  %tq = getelementptr i8, ptr %block, i64 <STRIDE>
  %stride = load i64, ptr %tq
  %offset = mul i64 %number, %stride
  %lq = getelementptr i8, ptr %block, i64 <SLOT>
  %slots = load ptr, ptr %lq
  %slot = getelementptr i8, ptr %slots, i64 %offset
  ret ptr %slot
}

; The next message has been put in or taken out: tell the other end.
define internal void @hand_over(ptr %block) {
  %dq = getelementptr i8, ptr %block, i64 <DONE>
  %done = load i64, ptr %dq
  %done1 = add i64 %done, 1
  store i64 %done1, ptr %dq
  %wq = getelementptr i8, ptr %block, i64 <OWN>
  %own = load ptr, ptr %wq
  %counter = trunc i64 %done1 to i32
  store atomic i32 %counter, ptr %own seq_cst, align 4
  %zq = getelementptr i8, ptr %own, i64 <LINE>
  %sleepers = load atomic i32, ptr %zq seq_cst, align 4
  %some = icmp ne i32 %sleepers, 0
  br i1 %some, label %wake, label %out
wake:
  %r = call i64 (i64, ...) @syscall(i64 <FUTEX>, ptr %own, i64 1, i32 2147483647, ptr null, ptr null, i64 0)
  br label %out
out:
  ret void
}

define void @put(i64 %n, i64 %hi, ptr %block, ptr %memory) {
  %can = call i1 @ready(ptr %block)
  br i1 %can, label %copy, label %out
copy:
  %slot = call ptr @slot(ptr %block)
  call void @llvm.memcpy.p0.p0.i64(ptr %slot, ptr %memory, i64 %n, i1 false)
  call void @hand_over(ptr %block)
  br label %out
out:
  ret void
}

define void @take(i64 %lo, i64 %hi, ptr %block, ptr %table) {
  %dq = getelementptr i8, ptr %block, i64 <DONE>
  %done = load i64, ptr %dq
  %bq = getelementptr i8, ptr %block, i64 <BEGUN>
  %begun = load i64, ptr %bq
  %expected = icmp ne i64 %done, %begun
  br i1 %expected, label %ask, label %out
ask:
  %can = call i1 @ready(ptr %block)
  br i1 %can, label %copy, label %out
copy:
  %slot = call ptr @slot(ptr %block)
  %entry = call ptr @entry(ptr %block, i64 %done)
  %memory = load ptr, ptr %entry
  %nq = getelementptr i8, ptr %entry, i64 8
  %n = load i64, ptr %nq
  call void @llvm.memcpy.p0.p0.i64(ptr %memory, ptr %slot, i64 %n, i1 false)
  call void @hand_over(ptr %block)
  br label %out
out:
  ret void
}

; Where the memory of message k is noted.
define internal ptr @entry(ptr %block, i64 %k) alwaysinline {
  %mq = getelementptr i8, ptr %block, i64 <MASK>
  %mask = load i64, ptr %mq
  %number = and i64 %k, %mask
  %offset = shl i64 %number, 4
  %ring = getelementptr i8, ptr %block, i64 <RING>
  %entry = getelementptr i8, ptr %ring, i64 %offset
  ret ptr %entry
}
"""
