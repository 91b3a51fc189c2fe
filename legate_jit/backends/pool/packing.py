"""Packing: boxes of strided arrays copied into and out of messages, as LLVM IR text compiled with that of `channel`.

Duty: the records by which a native program exchanges data between launches, so that no Python runs in between. It must not know
ranks, nor why something is sent.

`begin` expects some messages and packs others straight into slots; `finish` waits until messages are there and copies boxes out
of the memory they were taken to. Both are called as kernels are, with a block of int64 words as arguments and the program's
table of addresses. A record waits as long as a rank spins and yields, no longer: then it says so in the *stop word* of its
program and returns, and is called again, when somebody has waited, to go on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from legate_jit.backends.pool import agreeing, combining

__all__ = ["BOX", "DIMENSIONS", "SYMBOLS", "Begin", "Finish", "box", "text"]

SYMBOLS = ("begin", "finish", *agreeing.SYMBOLS, *combining.SYMBOLS)
#: axes of a box; what has more that cannot be joined is not packed here
DIMENSIONS = 4
#: words of a box: storage and offset of where it goes, and of where it comes from (storage -1: the base that the record gives, an
#: offset from there), bytes of an element, extents, and bytes from element to element in both
BOX = 5 + 3 * DIMENSIONS


class Begin:
    """Words of the block of `begin`.

    STOP: address of the stop word; CODE: what is written there if the record must wait; STATE: messages begun. Then for each
    received message LINE (address of a channel's block), ADDRESS, BYTES of the memory, NUMBER (which message it is), and for each
    one sent LINE, the number of boxes, and the boxes, whose base is the slot.
    """

    STOP, CODE, STATE, RECEIVES, SENDS, FIRST = range(6)
    LINE, ADDRESS, BYTES, NUMBER, RECEIVE = range(5)
    SEND = 2


class Finish:
    """Words of the block of `finish`: as of `begin`; for each received message LINE and the address of its NUMBER; then boxes,
    whose base is 0. STATE: the message that is waited for."""

    STOP, CODE, STATE, RECEIVES, BOXES, FIRST = range(6)
    RECEIVE = 2


def box(
    to: tuple[int, int], source: tuple[int, int], item: int, axes: Sequence[tuple[int, int, int]]
) -> list[int] | None:
    """The words of a box. to, source: storage and offset; axes: extent, bytes from element to element there and here. None if it
    has too many axes."""
    joined: list[tuple[int, int, int]] = []
    for n, there, here in axes:
        if n == 1:
            continue
        if joined and joined[-1][1:] == (n * there, n * here):
            joined[-1] = (joined[-1][0] * n, there, here)
        else:
            joined.append((n, there, here))
    if len(joined) > DIMENSIONS:
        return None
    full = [(1, item, item)] * (DIMENSIONS - len(joined)) + joined
    return [*to, *source, item, *(n for n, _, _ in full), *(t for _, t, _ in full), *(h for _, _, h in full)]


def text() -> str:
    """The LLVM IR; marks are filled in by `channel`."""
    marks = {
        f"{kind.__name__}.{n}": k for kind in (Begin, Finish) for n, k in vars(kind).items() if n.isupper()
    }
    marks |= {"BOX": BOX, "N": 5, "T": 5 + DIMENSIONS, "F": 5 + 2 * DIMENSIONS}
    filled = _TEXT.replace("<COPIES>", "".join(_elements(n) for n in (1, 2, 4, 8, 16))) + agreeing.text()
    filled += combining.text(BOX, {n: k for n, k in vars(Begin).items() if n.isupper()})
    for name, k in marks.items():
        filled = filled.replace(f"<{name}>", str(8 * k))
    return filled


def _elements(nbytes: int) -> str:
    """Copying elements of so many bytes one by one."""
    return f"""
run{nbytes}:
  %k.{nbytes} = phi i64 [0, %choose], [%k1.{nbytes}, %run{nbytes}]
  %to.{nbytes} = phi ptr [%to2, %choose], [%next.{nbytes}, %run{nbytes}]
  %at.{nbytes} = phi ptr [%from2, %choose], [%past.{nbytes}, %run{nbytes}]
  %value.{nbytes} = load i{8 * nbytes}, ptr %at.{nbytes}, align 1
  store i{8 * nbytes} %value.{nbytes}, ptr %to.{nbytes}, align 1
  %next.{nbytes} = getelementptr i8, ptr %to.{nbytes}, i64 %t3
  %past.{nbytes} = getelementptr i8, ptr %at.{nbytes}, i64 %f3
  %k1.{nbytes} = add i64 %k.{nbytes}, 1
  %more.{nbytes} = icmp slt i64 %k1.{nbytes}, %n3
  br i1 %more.{nbytes}, label %run{nbytes}, label %rowed
"""


_TEXT = """
; Where a side of a box begins: a storage and an offset, or an offset from the base.
define internal ptr @side(ptr %words, ptr %table, ptr %base) alwaysinline {
  %storage = load i64, ptr %words
  %oq = getelementptr i8, ptr %words, i64 8
  %offset = load i64, ptr %oq
  %none = icmp slt i64 %storage, 0
  br i1 %none, label %given, label %stored
given:
  %g = getelementptr i8, ptr %base, i64 %offset
  ret ptr %g
stored:
  %tq = getelementptr ptr, ptr %table, i64 %storage
  %memory = load ptr, ptr %tq
  %s = getelementptr i8, ptr %memory, i64 %offset
  ret ptr %s
}

define internal void @copy_box(ptr %box, ptr %table, ptr %base) {
entry:
  %to = call ptr @side(ptr %box, ptr %table, ptr %base)
  %fq = getelementptr i8, ptr %box, i64 16
  %from = call ptr @side(ptr %fq, ptr %table, ptr %base)
  %iq = getelementptr i8, ptr %box, i64 32
  %item = load i64, ptr %iq
  %nq = getelementptr i8, ptr %box, i64 <N>
  %n0 = load i64, ptr %nq
  %nq1 = getelementptr i64, ptr %nq, i64 1
  %n1 = load i64, ptr %nq1
  %nq2 = getelementptr i64, ptr %nq, i64 2
  %n2 = load i64, ptr %nq2
  %nq3 = getelementptr i64, ptr %nq, i64 3
  %n3 = load i64, ptr %nq3
  %tq = getelementptr i8, ptr %box, i64 <T>
  %t0 = load i64, ptr %tq
  %tq1 = getelementptr i64, ptr %tq, i64 1
  %t1 = load i64, ptr %tq1
  %tq2 = getelementptr i64, ptr %tq, i64 2
  %t2 = load i64, ptr %tq2
  %tq3 = getelementptr i64, ptr %tq, i64 3
  %t3 = load i64, ptr %tq3
  %gq = getelementptr i8, ptr %box, i64 <F>
  %f0 = load i64, ptr %gq
  %gq1 = getelementptr i64, ptr %gq, i64 1
  %f1 = load i64, ptr %gq1
  %gq2 = getelementptr i64, ptr %gq, i64 2
  %f2 = load i64, ptr %gq2
  %gq3 = getelementptr i64, ptr %gq, i64 3
  %f3 = load i64, ptr %gq3
  %bytes = mul i64 %n3, %item
  %tightly = icmp eq i64 %t3, %item
  %densely = icmp eq i64 %f3, %item
  %dense = and i1 %tightly, %densely
  br label %loop0
loop0:
  %k0 = phi i64 [0, %entry], [%k0n, %done1]
  %to0 = phi ptr [%to, %entry], [%to0n, %done1]
  %from0 = phi ptr [%from, %entry], [%from0n, %done1]
  br label %loop1
loop1:
  %k1 = phi i64 [0, %loop0], [%k1n, %done2]
  %to1 = phi ptr [%to0, %loop0], [%to1n, %done2]
  %from1 = phi ptr [%from0, %loop0], [%from1n, %done2]
  br label %loop2
loop2:
  %k2 = phi i64 [0, %loop1], [%k2n, %rowed]
  %to2 = phi ptr [%to1, %loop1], [%to2n, %rowed]
  %from2 = phi ptr [%from1, %loop1], [%from2n, %rowed]
  br i1 %dense, label %row, label %choose
row:
  call void @llvm.memcpy.p0.p0.i64(ptr %to2, ptr %from2, i64 %bytes, i1 false)
  br label %rowed
choose:
  switch i64 %item, label %any [i64 1, label %run1 i64 2, label %run2 i64 4, label %run4 i64 8, label %run8 i64 16, label %run16]
<COPIES>
any:
  %ka = phi i64 [0, %choose], [%kan, %any]
  %toa = phi ptr [%to2, %choose], [%toan, %any]
  %ata = phi ptr [%from2, %choose], [%atan, %any]
  call void @llvm.memcpy.p0.p0.i64(ptr %toa, ptr %ata, i64 %item, i1 false)
  %toan = getelementptr i8, ptr %toa, i64 %t3
  %atan = getelementptr i8, ptr %ata, i64 %f3
  %kan = add i64 %ka, 1
  %morea = icmp slt i64 %kan, %n3
  br i1 %morea, label %any, label %rowed
rowed:
  %to2n = getelementptr i8, ptr %to2, i64 %t2
  %from2n = getelementptr i8, ptr %from2, i64 %f2
  %k2n = add i64 %k2, 1
  %more2 = icmp slt i64 %k2n, %n2
  br i1 %more2, label %loop2, label %done2
done2:
  %to1n = getelementptr i8, ptr %to1, i64 %t1
  %from1n = getelementptr i8, ptr %from1, i64 %f1
  %k1n = add i64 %k1, 1
  %more1 = icmp slt i64 %k1n, %n1
  br i1 %more1, label %loop1, label %done1
done1:
  %to0n = getelementptr i8, ptr %to0, i64 %t0
  %from0n = getelementptr i8, ptr %from0, i64 %f0
  %k0n = add i64 %k0, 1
  %more0 = icmp slt i64 %k0n, %n0
  br i1 %more0, label %loop0, label %out
out:
  ret void
}

; So many boxes; what comes after them.
define internal ptr @copy_boxes(ptr %first, i64 %count, ptr %table, ptr %base) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %box, label %out
box:
  %k = phi i64 [0, %entry], [%k1, %box]
  %at = phi ptr [%first, %entry], [%next, %box]
  call void @copy_box(ptr %at, ptr %table, ptr %base)
  %next = getelementptr i8, ptr %at, i64 <BOX>
  %k1 = add i64 %k, 1
  %more = icmp slt i64 %k1, %count
  br i1 %more, label %box, label %out
out:
  %end = phi ptr [%first, %entry], [%next, %box]
  ret ptr %end
}

; Take messages out up to one of that number; whether it is there.
define internal i1 @taken(ptr %block, i64 %number) {
entry:
  br label %look
look:
  %dq = getelementptr i8, ptr %block, i64 <DONE>
  %done = load i64, ptr %dq
  %there = icmp sgt i64 %done, %number
  br i1 %there, label %yes, label %wait
wait:
  %can = call i1 @soon(ptr %block)
  br i1 %can, label %take, label %no
take:
  call void @take(i64 0, i64 0, ptr %block, ptr null)
  br label %look
yes:
  ret i1 true
no:
  ret i1 false
}

; Expect a message, in the entry of a block of `begin`; whether there was room for it.
define internal i1 @expected(ptr %message) {
  %line = load ptr, ptr %message
  %bq = getelementptr i8, ptr %line, i64 <BEGUN>
  %begun = load i64, ptr %bq
  %mq = getelementptr i8, ptr %line, i64 <MASK>
  %mask = load i64, ptr %mq
  %slots = add i64 %mask, 1
  %before = sub i64 %begun, %slots
  %free = call i1 @taken(ptr %line, i64 %before)
  br i1 %free, label %note, label %no
note:
  %entry = call ptr @entry(ptr %line, i64 %begun)
  %aq = getelementptr i8, ptr %message, i64 <Begin.ADDRESS>
  %address = load i64, ptr %aq
  store i64 %address, ptr %entry
  %nq = getelementptr i8, ptr %message, i64 <Begin.BYTES>
  %n = load i64, ptr %nq
  %eq = getelementptr i8, ptr %entry, i64 8
  store i64 %n, ptr %eq
  %kq = getelementptr i8, ptr %message, i64 <Begin.NUMBER>
  store i64 %begun, ptr %kq
  %begun1 = add i64 %begun, 1
  store i64 %begun1, ptr %bq
  ret i1 true
no:
  ret i1 false
}

define internal void @say(ptr %block, i1 %stops) alwaysinline {
  %cq = getelementptr i8, ptr %block, i64 <Begin.CODE>
  %code = load i64, ptr %cq
  %said = select i1 %stops, i64 %code, i64 0
  %stop = load ptr, ptr %block
  store i64 %said, ptr %stop
  ret void
}

define void @begin(i64 %lo, i64 %hi, ptr %block, ptr %table) {
entry:
  %stq = getelementptr i8, ptr %block, i64 <Begin.STATE>
  %state = load i64, ptr %stq
  %rq = getelementptr i8, ptr %block, i64 <Begin.RECEIVES>
  %receives = load i64, ptr %rq
  %snq = getelementptr i8, ptr %block, i64 <Begin.SENDS>
  %sends = load i64, ptr %snq
  %every = add i64 %receives, %sends
  %first = getelementptr i8, ptr %block, i64 <Begin.FIRST>
  br label %receive
receive:
  %i = phi i64 [0, %entry], [%i1, %received]
  %at = phi ptr [%first, %entry], [%next, %received]
  %left = icmp slt i64 %i, %receives
  br i1 %left, label %judge, label %send
judge:
  %new = icmp sge i64 %i, %state
  br i1 %new, label %expect, label %received
expect:
  %room = call i1 @expected(ptr %at)
  br i1 %room, label %noted, label %stop
noted:
  %s1 = add i64 %i, 1
  store i64 %s1, ptr %stq
  br label %received
received:
  %i1 = add i64 %i, 1
  %next = getelementptr i8, ptr %at, i64 <Begin.RECEIVE>
  br label %receive
send:
  %j = phi i64 [%i, %receive], [%j1, %sent]
  %from = phi ptr [%at, %receive], [%after, %sent]
  %some = icmp slt i64 %j, %every
  br i1 %some, label %message, label %done
message:
  %line = load ptr, ptr %from
  %nq = getelementptr i64, ptr %from, i64 1
  %boxes = load i64, ptr %nq
  %box = getelementptr i8, ptr %from, i64 <Begin.SEND>
  %fresh = icmp sge i64 %j, %state
  br i1 %fresh, label %ask, label %skip
ask:
  %free = call i1 @soon(ptr %line)
  br i1 %free, label %pack, label %stop
pack:
  %slot = call ptr @slot(ptr %line)
  %end = call ptr @copy_boxes(ptr %box, i64 %boxes, ptr %table, ptr %slot)
  call void @hand_over(ptr %line)
  %s2 = add i64 %j, 1
  store i64 %s2, ptr %stq
  br label %sent
skip:
  %gap = mul i64 %boxes, <BOX>
  %past = getelementptr i8, ptr %box, i64 %gap
  br label %sent
sent:
  %after = phi ptr [%end, %pack], [%past, %skip]
  %j1 = add i64 %j, 1
  br label %send
done:
  store i64 0, ptr %stq
  call void @say(ptr %block, i1 false)
  ret void
stop:
  call void @say(ptr %block, i1 true)
  ret void
}

define void @finish(i64 %lo, i64 %hi, ptr %block, ptr %table) {
entry:
  %stq = getelementptr i8, ptr %block, i64 <Finish.STATE>
  %rq = getelementptr i8, ptr %block, i64 <Finish.RECEIVES>
  %receives = load i64, ptr %rq
  %bq = getelementptr i8, ptr %block, i64 <Finish.BOXES>
  %boxes = load i64, ptr %bq
  %first = getelementptr i8, ptr %block, i64 <Finish.FIRST>
  br label %receive
receive:
  %i = phi i64 [0, %entry], [%i1, %there]
  %at = phi ptr [%first, %entry], [%next, %there]
  %left = icmp slt i64 %i, %receives
  br i1 %left, label %wait, label %copy
wait:
  store i64 %i, ptr %stq
  %line = load ptr, ptr %at
  %kq = getelementptr ptr, ptr %at, i64 1
  %kp = load ptr, ptr %kq
  %number = load i64, ptr %kp
  %here = call i1 @taken(ptr %line, i64 %number)
  br i1 %here, label %there, label %stop
there:
  %i1 = add i64 %i, 1
  %next = getelementptr i8, ptr %at, i64 <Finish.RECEIVE>
  br label %receive
copy:
  %end = call ptr @copy_boxes(ptr %at, i64 %boxes, ptr %table, ptr null)
  call void @say(ptr %block, i1 false)
  ret void
stop:
  call void @say(ptr %block, i1 true)
  ret void
}
"""
