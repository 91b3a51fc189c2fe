"""The functions through which the interpreter enters machine code, as LLVM IR text.

Duty: turn Python's arguments into machine words without the cost of a foreign-function library, hold the
interpreter's lock or give it up, and run the launches of a program in order, those of a chain band by band. It
must not know how a launch is spread over threads (`@parallel`, in `forkjoin`) nor what kernels compute.

Both functions are METH_FASTCALL: (self, argument array, count) to a new reference, or null with an exception
set. None's count is raised, because Python before 3.12 would free it otherwise. `<PAUSE>` and `<LOCK>` are
filled in by `forkjoin`.
"""

from typing import Final

__all__ = ["ENTRY_TEXT"]

ENTRY_TEXT: Final = """
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyErr_Occurred()
declare void @PyErr_SetString(ptr, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
@_Py_NoneStruct = external global i8
@PyExc_TypeError = external global ptr
@message = private constant [37 x i8] c"expected exactly 5 integer arguments\\00"

define internal i1 @arguments(ptr %av, i64 %n, ptr %out) {
entry:
  %five = icmp eq i64 %n, 5
  br i1 %five, label %next, label %wrong
next:
  %i = phi i64 [0, %entry], [%i1, %next]
  %minus = phi i1 [false, %entry], [%minus1, %next]
  %aq = getelementptr ptr, ptr %av, i64 %i
  %object = load ptr, ptr %aq
  %value = call i64 @PyLong_AsLongLong(ptr %object)
  %oq = getelementptr i64, ptr %out, i64 %i
  store i64 %value, ptr %oq
  %isminus = icmp eq i64 %value, -1
  %minus1 = or i1 %minus, %isminus
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, 5
  br i1 %more, label %next, label %check
check:
  br i1 %minus1, label %ask, label %good
ask:
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  ret i1 %none
good:
  ret i1 true
wrong:
  %class = load ptr, ptr @PyExc_TypeError
  call void @PyErr_SetString(ptr %class, ptr @message)
  ret i1 false
}

define ptr @call_kernel(ptr %self, ptr %av, i64 %n) {
  %a = alloca [5 x i64]
  %ok = call i1 @arguments(ptr %av, i64 %n, ptr %a)
  br i1 %ok, label %go, label %fail
go:
  %fn = load ptr, ptr %a
  %q1 = getelementptr i64, ptr %a, i64 1
  %lo = load i64, ptr %q1
  %q2 = getelementptr i64, ptr %a, i64 2
  %hi = load i64, ptr %q2
  %q3 = getelementptr i64, ptr %a, i64 3
  %args = load ptr, ptr %q3
  %q4 = getelementptr i64, ptr %a, i64 4
  %table = load ptr, ptr %q4
  call void %fn(i64 %lo, i64 %hi, ptr %args, ptr %table)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
fail:
  ret ptr null
}

define ptr @run_program(ptr %self, ptr %av, i64 %n) uwtable {
  %a = alloca [5 x i64]
  %ok = call i1 @arguments(ptr %av, i64 %n, ptr %a)
  br i1 %ok, label %go, label %fail
go:
  ; The pool is chosen and locked before the interpreter's lock is given up, so it cannot be recycled in between.
  %use = call ptr @locked()
  call void @enter(ptr %use, ptr %a)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
fail:
  ret ptr null
}

; The pool, locked for the caller; null if there is none or another thread uses it.
define internal ptr @locked() {
  %pool = load ptr, ptr @pool
  %nopool = icmp eq ptr %pool, null
  br i1 %nopool, label %none, label %lock
lock:
  %lq = getelementptr i8, ptr %pool, i64 <LOCK>
  %pair = cmpxchg ptr %lq, i32 0, i32 1 acquire monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  %use = select i1 %mine, ptr %pool, ptr null
  ret ptr %use
none:
  ret ptr null
}

; Launches with or without the interpreter's lock, as the flag behind their four words says. Unlocks the pool.
define internal void @enter(ptr %pool, ptr %words) uwtable {
  %q4 = getelementptr i64, ptr %words, i64 4
  %flag = load i64, ptr %q4
  %free = icmp ne i64 %flag, 0
  br i1 %free, label %without, label %with
with:
  call void @launches(ptr %pool, ptr %words, i64 0)
  call void @unlock(ptr %pool)
  ret void
without:
  %thread = call ptr @PyEval_SaveThread()
  call void @launches(ptr %pool, ptr %words, i64 0)
  call void @unlock(ptr %pool)
  call void @PyEval_RestoreThread(ptr %thread)
  ret void
}

define internal void @unlock(ptr %pool) {
  %owned = icmp ne ptr %pool, null
  br i1 %owned, label %unlock, label %out
unlock:
  %lq = getelementptr i8, ptr %pool, i64 <LOCK>
  store atomic i32 0, ptr %lq release, align 4
  br label %out
out:
  ret void
}

; Of a record that ends a program: say so in the stop word (see `threads`) whose address is its argument.
define void @mark(i64 %lo, i64 %hi, ptr %block, ptr %table) {
  %stop = load ptr, ptr %block
  store i64 -1, ptr %stop
  ret void
}

; Launches in order, on a thread of that index in the pool; a null pool means that everything runs here. The words:
; program, first, last and table.
define internal void @launches(ptr %pool, ptr %words, i64 %index) uwtable {
entry:
  %program = load ptr, ptr %words
  %w1 = getelementptr i64, ptr %words, i64 1
  %first = load i64, ptr %w1
  %w2 = getelementptr i64, ptr %words, i64 2
  %last = load i64, ptr %w2
  %w3 = getelementptr i64, ptr %words, i64 3
  %table = load ptr, ptr %w3
  %any = icmp slt i64 %first, %last
  br i1 %any, label %launch, label %out
launch:
  %i = phi i64 [%first, %entry], [%i1, %next]
  %offset = shl i64 %i, 6
  %record = getelementptr i8, ptr %program, i64 %offset
  %fn = load ptr, ptr %record
  %q1 = getelementptr i64, ptr %record, i64 1
  %args = load ptr, ptr %q1
  %q2 = getelementptr i64, ptr %record, i64 2
  %units = load i64, ptr %q2
  %q3 = getelementptr i64, ptr %record, i64 3
  %chunk = load i64, ptr %q3
  %empty = icmp sle i64 %units, 0
  %nofn = icmp eq ptr %fn, null
  %skip = or i1 %empty, %nofn
  br i1 %skip, label %next, label %choose
choose:
  %one = icmp sle i64 %units, %chunk
  %unbounded = icmp sle i64 %chunk, 0
  %single = or i1 %one, %unbounded
  %nopool = icmp eq ptr %pool, null
  %serial = or i1 %single, %nopool
  br i1 %serial, label %here, label %fork
here:
  call void %fn(i64 0, i64 %units, ptr %args, ptr %table)
  %q4 = getelementptr i64, ptr %record, i64 4
  %stop = load ptr, ptr %q4
  %plain = icmp eq ptr %stop, null
  br i1 %plain, label %next, label %ask
ask:
  %stopped = load i64, ptr %stop
  %go = icmp eq i64 %stopped, 0
  br i1 %go, label %next, label %out
fork:
  call void @parallel(ptr %pool, ptr %fn, ptr %args, i64 %units, i64 %chunk, ptr %table, i64 %index)
  br label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %last
  br i1 %more, label %launch, label %out
out:
  ret void
}

; A kernel made of kernels: unit b is band b of every launch of a chain in turn (`Band` in `ir.steps`). The block: how many
; launches, then for each its kernel, arguments, per, stride and times.
define void @chain(i64 %lo, i64 %hi, ptr %block, ptr %table) uwtable {
entry:
  %count = load i64, ptr %block
  %any = icmp slt i64 %lo, %hi
  br i1 %any, label %band, label %out
band:
  %b = phi i64 [%lo, %entry], [%b1, %banded]
  br label %member
member:
  %m = phi i64 [0, %band], [%m1, %through]
  %skip = mul i64 %m, 5
  %at = add i64 %skip, 1
  %record = getelementptr i64, ptr %block, i64 %at
  %fn = load ptr, ptr %record
  %q1 = getelementptr i64, ptr %record, i64 1
  %args = load ptr, ptr %q1
  %q2 = getelementptr i64, ptr %record, i64 2
  %per = load i64, ptr %q2
  %q3 = getelementptr i64, ptr %record, i64 3
  %stride = load i64, ptr %q3
  %q4 = getelementptr i64, ptr %record, i64 4
  %times = load i64, ptr %q4
  %first = mul i64 %b, %per
  br label %turn
turn:
  %t = phi i64 [0, %member], [%t1, %done]
  %base = mul i64 %t, %stride
  %end = add i64 %base, %stride
  %from = add i64 %base, %first
  %full = add i64 %from, %per
  %less = icmp slt i64 %full, %end
  %to = select i1 %less, i64 %full, i64 %end
  %some = icmp slt i64 %from, %to
  br i1 %some, label %run, label %done
run:
  call void %fn(i64 %from, i64 %to, ptr %args, ptr %table)
  br label %done
done:
  %t1 = add i64 %t, 1
  %again = icmp slt i64 %t1, %times
  br i1 %again, label %turn, label %through
through:
  %m1 = add i64 %m, 1
  %others = icmp slt i64 %m1, %count
  br i1 %others, label %member, label %banded
banded:
  %b1 = add i64 %b, 1
  %more = icmp slt i64 %b1, %hi
  br i1 %more, label %band, label %out
out:
  ret void
}

; For calibration: how long spinning takes on this processor.
define void @pause_many(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i1, %loop]
  <PAUSE>
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""
