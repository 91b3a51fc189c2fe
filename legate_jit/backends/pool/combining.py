"""Combining: a record by which a native program adds up the ranks' parts of a small array, as LLVM IR text compiled with that of
`channel`.

Duty: what `comm.Combination` does, step by step, without Python: copy the part, exchange with one rank after the other, add, copy
the sum. It must not know ranks or trees: the block says with whom, and whose part comes first. It waits as the records of
`packing` do.
"""

from __future__ import annotations

import numpy as np

__all__ = ["SYMBOLS", "Combine", "Join", "kind", "text"]

SYMBOLS = ("combine",)
_KINDS = ("double", "float", "i64", "i32", "i16", "i8")


class Join:
    """What is done with what a step brings: nothing comes, it is the result, or it is added, to the right or to the left."""

    NONE, RESULT, RIGHT, LEFT = range(4)


class Combine:
    """Words of the block. STOP, CODE: as in `packing.Begin`; STATE: 0, then 1 + 3 for each step that is done, and within one 1
    when its message is expected, 2 when its own has been sent. STEPS: how many; COUNT: numbers, of that KIND; MINE, THEIRS:
    memory of BYTES. IN: a box that fills MINE; OUT: one that takes the result (`packing.box`, base 0); then steps: LINE (of the
    channel it sends to, or 0), LINE (0 if nothing comes), ADDRESS, BYTES and NUMBER of what it receives, and JOIN."""

    STOP, CODE, STATE, STEPS, COUNT, KIND, MINE, THEIRS, BYTES, IN = range(10)
    LINE, RECEIVED = range(2)
    JOIN, STEP = 5, 6


def kind(op: str, dtype: np.dtype) -> tuple[int, int] | None:
    """The KIND of numbers that `op` adds, and how many an element has; None for what is not added here."""
    if op != "add" or dtype.kind not in "fiuc" or dtype.itemsize not in (1, 2, 4, 8, 16):
        return None
    parts = 2 if dtype.kind == "c" else 1
    floating = {4: "float", 8: "double"}
    name = floating.get(dtype.itemsize // parts) if dtype.kind in "fc" else f"i{8 * dtype.itemsize}"
    return (_KINDS.index(name), parts) if name in _KINDS else None


def text(box: int, begin: dict[str, int]) -> str:
    """The LLVM IR; marks are filled in by `channel`. box: words of a box; begin: the words of `packing.Begin`."""
    marks = {f"Combine.{name}": k for name, k in vars(Combine).items() if name.isupper()}
    marks |= {"Combine.OUT": Combine.IN + box, "Combine.FIRST": Combine.IN + 2 * box}
    marks |= {f"Begin.{name}": k for name, k in begin.items()}
    cases = " ".join(f"i64 {k}, label %of{k}" for k in range(1, len(_KINDS)))
    filled = _TEXT.replace("<CASES>", cases)
    filled = filled.replace("<SUMS>", "".join(_sum(k, name) for k, name in enumerate(_KINDS)))
    for name, k in marks.items():
        filled = filled.replace(f"<{name}>", str(8 * k))
    return filled


def _sum(k: int, name: str) -> str:
    """Adding numbers of one kind: mine = lower + higher."""
    add = "fadd" if name in ("double", "float") else "add"
    return f"""
of{k}:
  %i.{k} = phi i64 [0, %choose], [%i1.{k}, %of{k}]
  %lq.{k} = getelementptr {name}, ptr %lower, i64 %i.{k}
  %hq.{k} = getelementptr {name}, ptr %higher, i64 %i.{k}
  %mq.{k} = getelementptr {name}, ptr %mine, i64 %i.{k}
  %l.{k} = load {name}, ptr %lq.{k}, align 1
  %h.{k} = load {name}, ptr %hq.{k}, align 1
  %s.{k} = {add} {name} %l.{k}, %h.{k}
  store {name} %s.{k}, ptr %mq.{k}, align 1
  %i1.{k} = add i64 %i.{k}, 1
  %more.{k} = icmp slt i64 %i1.{k}, %count
  br i1 %more.{k}, label %of{k}, label %out
"""


_TEXT = """
define internal void @joined(ptr %block, i64 %join) {
  %cq = getelementptr i8, ptr %block, i64 <Combine.COUNT>
  %count = load i64, ptr %cq
  %kq = getelementptr i8, ptr %block, i64 <Combine.KIND>
  %kind = load i64, ptr %kq
  %mq = getelementptr i8, ptr %block, i64 <Combine.MINE>
  %mine = load ptr, ptr %mq
  %tq = getelementptr i8, ptr %block, i64 <Combine.THEIRS>
  %theirs = load ptr, ptr %tq
  %left = icmp eq i64 %join, 3
  %lower = select i1 %left, ptr %theirs, ptr %mine
  %higher = select i1 %left, ptr %mine, ptr %theirs
  br label %choose
choose:
  switch i64 %kind, label %of0 [<CASES>]
<SUMS>
out:
  ret void
}

define void @combine(i64 %lo, i64 %hi, ptr %block, ptr %table) {
entry:
  %stq = getelementptr i8, ptr %block, i64 <Combine.STATE>
  %nq = getelementptr i8, ptr %block, i64 <Combine.STEPS>
  %steps = load i64, ptr %nq
  %three = mul i64 %steps, 3
  %first = getelementptr i8, ptr %block, i64 <Combine.FIRST>
  %mq = getelementptr i8, ptr %block, i64 <Combine.MINE>
  %mine = load ptr, ptr %mq
  %begun = load i64, ptr %stq
  %new = icmp eq i64 %begun, 0
  br i1 %new, label %copy, label %next
copy:
  %in = getelementptr i8, ptr %block, i64 <Combine.IN>
  call void @copy_box(ptr %in, ptr %table, ptr null)
  store i64 1, ptr %stq
  br label %next
next:
  %state = load i64, ptr %stq
  %done = sub i64 %state, 1
  %more = icmp slt i64 %done, %three
  br i1 %more, label %go, label %end
go:
  %i = udiv i64 %done, 3
  %phase = urem i64 %done, 3
  %skip = mul i64 %i, <Combine.STEP>
  %step = getelementptr i8, ptr %first, i64 %skip
  %received = getelementptr i8, ptr %step, i64 <Combine.RECEIVED>
  %from = load ptr, ptr %received
  %comes = icmp ne ptr %from, null
  switch i64 %phase, label %take [i64 0, label %expect i64 1, label %send]
expect:
  br i1 %comes, label %note, label %passed
note:
  %room = call i1 @expected(ptr %received)
  br i1 %room, label %passed, label %stop
send:
  %line = load ptr, ptr %step
  %goes = icmp ne ptr %line, null
  br i1 %goes, label %ask, label %passed
ask:
  %free = call i1 @soon(ptr %line)
  br i1 %free, label %put, label %stop
put:
  %bq = getelementptr i8, ptr %block, i64 <Combine.BYTES>
  %bytes = load i64, ptr %bq
  call void @put(i64 %bytes, i64 0, ptr %line, ptr %mine)
  br label %passed
take:
  br i1 %comes, label %wait, label %passed
wait:
  %kq = getelementptr i8, ptr %received, i64 <Begin.NUMBER>
  %number = load i64, ptr %kq
  %there = call i1 @taken(ptr %from, i64 %number)
  br i1 %there, label %join, label %stop
join:
  %jq = getelementptr i8, ptr %step, i64 <Combine.JOIN>
  %how = load i64, ptr %jq
  %adds = icmp sgt i64 %how, 1
  br i1 %adds, label %add, label %replace
add:
  call void @joined(ptr %block, i64 %how)
  br label %passed
replace:
  %tq = getelementptr i8, ptr %block, i64 <Combine.THEIRS>
  %theirs = load ptr, ptr %tq
  %rq = getelementptr i8, ptr %block, i64 <Combine.BYTES>
  %all = load i64, ptr %rq
  call void @llvm.memcpy.p0.p0.i64(ptr %mine, ptr %theirs, i64 %all, i1 false)
  br label %passed
passed:
  %state1 = add i64 %state, 1
  store i64 %state1, ptr %stq
  br label %next
end:
  %out = getelementptr i8, ptr %block, i64 <Combine.OUT>
  call void @copy_box(ptr %out, ptr %table, ptr null)
  store i64 0, ptr %stq
  call void @say(ptr %block, i1 false)
  ret void
stop:
  call void @say(ptr %block, i1 true)
  ret void
}
"""
