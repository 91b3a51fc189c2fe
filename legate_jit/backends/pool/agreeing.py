"""Agreeing: the largest of each of some numbers over all ranks, as LLVM IR text compiled with that of `channel`.

Duty: one call for all messages of an agreement. It must not know what the numbers are, nor ranks: the block says with whom.

`agree` is called as kernels are, with a block of int64 words. For every link it sends its numbers and expects as many, then
keeps the larger of each. It waits as records of `packing` do, no longer; then STATE says how far it came, and it is called
again to go on.
"""

from __future__ import annotations

__all__ = ["SYMBOLS", "Agree", "text"]

SYMBOLS = ("agree",)


class Agree:
    """Words of the block. STATE: 3 for each link that is done, and within one 1 when its message is expected, 2 when its own has
    been sent; COUNT: how many numbers; LINKS: how many links. FIRST: links, each LINE (of the channel it sends to), then as in
    `packing.Begin` LINE, ADDRESS, BYTES and NUMBER of the received message; then the numbers."""

    STATE, COUNT, LINKS, FIRST = range(4)
    LINE, RECEIVED = range(2)
    LINK = 5


def text() -> str:
    """The LLVM IR; marks are filled in by `channel`."""
    filled = _TEXT
    for name, k in vars(Agree).items():
        if name.isupper():
            filled = filled.replace(f"<Agree.{name}>", str(8 * k))
    return filled


_TEXT = """
define void @agree(i64 %lo, i64 %hi, ptr %block, ptr %table) {
entry:
  %cq = getelementptr i8, ptr %block, i64 <Agree.COUNT>
  %count = load i64, ptr %cq
  %bytes = shl i64 %count, 3
  %lq = getelementptr i8, ptr %block, i64 <Agree.LINKS>
  %links = load i64, ptr %lq
  %first = getelementptr i8, ptr %block, i64 <Agree.FIRST>
  %after = mul i64 %links, <Agree.LINK>
  %numbers = getelementptr i8, ptr %first, i64 %after
  %end = mul i64 %links, 3
  br label %next
next:
  %state = load i64, ptr %block
  %more = icmp slt i64 %state, %end
  br i1 %more, label %go, label %out
go:
  %i = udiv i64 %state, 3
  %phase = urem i64 %state, 3
  %skip = mul i64 %i, <Agree.LINK>
  %link = getelementptr i8, ptr %first, i64 %skip
  %received = getelementptr i8, ptr %link, i64 <Agree.RECEIVED>
  switch i64 %phase, label %take [i64 0, label %expect i64 1, label %send]
expect:
  %room = call i1 @expected(ptr %received)
  br i1 %room, label %done, label %out
send:
  %line = load ptr, ptr %link
  %free = call i1 @soon(ptr %line)
  br i1 %free, label %put, label %out
put:
  call void @put(i64 %bytes, i64 0, ptr %line, ptr %numbers)
  br label %done
take:
  %from = load ptr, ptr %received
  %kq = getelementptr i8, ptr %received, i64 <Begin.NUMBER>
  %number = load i64, ptr %kq
  %there = call i1 @taken(ptr %from, i64 %number)
  br i1 %there, label %keep, label %out
keep:
  %aq = getelementptr i8, ptr %received, i64 <Begin.ADDRESS>
  %theirs = load ptr, ptr %aq
  br label %each
each:
  %k = phi i64 [0, %keep], [%k1, %each]
  %mq = getelementptr i64, ptr %numbers, i64 %k
  %mine = load i64, ptr %mq
  %tq = getelementptr i64, ptr %theirs, i64 %k
  %other = load i64, ptr %tq
  %less = icmp slt i64 %mine, %other
  %most = select i1 %less, i64 %other, i64 %mine
  store i64 %most, ptr %mq
  %k1 = add i64 %k, 1
  %some = icmp slt i64 %k1, %count
  br i1 %some, label %each, label %done
done:
  %state1 = add i64 %state, 1
  store i64 %state1, ptr %block
  br label %next
out:
  ret void
}
"""
