"""A program that runs beside its caller, as LLVM IR text: begun on a worker of the pool, finished by the caller with it.

Duty: `begin_program` and `finish_program`. Part of the concurrent machine code of `forkjoin`, whose text this is compiled
with and whose argument it continues; knows neither Python objects (but None, True and False) nor what kernels compute.

`begin_program` takes the pool's lock, writes the program into the block, sets `posted` to 1 and wakes a worker. The one
that changes `posted` from 1 to 2 runs the launches in the caller's place: it opens the jobs, other workers help. It ends
with 3. `finish_program` first tries to change 1 to 2 itself: a worker that did not start is not waited for. Else the
caller helps with the jobs as a worker does until `posted` is 3, then sets it to 0 and unlocks the pool. So the threads
that compute are never more than the pool's, and chunks are as they always are.

Whoever waits for a 3 watches the phase as workers do; it is raised by 2 once the 3 is there. `joining` counts those
that sleep so: the usual handshake. Several threads may finish the same program: those that come late find 0 or 3.
"""

from typing import Final

__all__ = ["BESIDE_TEXT", "SERIAL_TEXT"]

SERIAL_TEXT: Final = """
@_Py_FalseStruct = external global i8
define ptr @begin_program(ptr %self, ptr %av, i64 %n) uwtable {
  %none = call ptr @run_program(ptr %self, ptr %av, i64 %n)
  %failed = icmp eq ptr %none, null
  br i1 %failed, label %fail, label %ran
ran:
  call void @Py_IncRef(ptr @_Py_FalseStruct)
  ret ptr @_Py_FalseStruct
fail:
  ret ptr null
}
define ptr @finish_program(ptr %self, ptr %av, i64 %n) {
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
}
"""

BESIDE_TEXT: Final = """
@_Py_FalseStruct = external global i8
@_Py_TrueStruct = external global i8
@begun = internal global ptr null ; the pool with a program that was begun and not finished

define ptr @begin_program(ptr %self, ptr %av, i64 %n) uwtable {
  %a = alloca [5 x i64]
  %ok = call i1 @arguments(ptr %av, i64 %n, ptr %a)
  br i1 %ok, label %go, label %fail
go:
  %pool = call ptr @locked()
  %nopool = icmp eq ptr %pool, null
  br i1 %nopool, label %here, label %ask
ask:
  %other = load ptr, ptr @begun
  %free = icmp eq ptr %other, null
  br i1 %free, label %start, label %here
start:
  call void @ready(ptr %pool)
  %tq = getelementptr i8, ptr %pool, i64 <THREADS>
  %threads = load i64, ptr %tq
  %workers = icmp sgt i64 %threads, 1
  br i1 %workers, label %post, label %here
post:
  call void @post(ptr %pool, ptr %a)
  store ptr %pool, ptr @begun
  call void @Py_IncRef(ptr @_Py_TrueStruct)
  ret ptr @_Py_TrueStruct
here:
  call void @enter(ptr %pool, ptr %a)
  call void @Py_IncRef(ptr @_Py_FalseStruct)
  ret ptr @_Py_FalseStruct
fail:
  ret ptr null
}

define internal void @post(ptr %pool, ptr %words) {
  %pq = getelementptr i8, ptr %pool, i64 <PROGRAM>
  call void @llvm.memcpy.p0.p0.i64(ptr %pq, ptr %words, i64 32, i1 false)
  %mode = call i32 @mode()
  %mq = getelementptr i8, ptr %pool, i64 <POSTED_MODE>
  store i32 %mode, ptr %mq
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  store atomic i32 1, ptr %poq seq_cst, align 4
  %slq = getelementptr i8, ptr %pool, i64 <SLEEPERS>
  call void @advance(ptr %pool, ptr %slq, i32 1)
  ret void
}

; Whether the posted program is the caller's to run.
define internal i1 @claim(ptr %pool) {
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  %pair = cmpxchg ptr %poq, i32 1, i32 2 seq_cst seq_cst
  %mine = extractvalue { i32, i1 } %pair, 1
  ret i1 %mine
}

; Run the program that was claimed, in the mode it was posted in.
define internal void @drive(ptr %pool, i64 %index) {
  %mq = getelementptr i8, ptr %pool, i64 <POSTED_MODE>
  %mode = load i32, ptr %mq
  call void @adopt(i32 %mode)
  %pq = getelementptr i8, ptr %pool, i64 <PROGRAM>
  call void @launches(ptr %pool, ptr %pq, i64 %index)
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  store atomic i32 3, ptr %poq seq_cst, align 4
  %jq = getelementptr i8, ptr %pool, i64 <JOINING>
  call void @advance(ptr %pool, ptr %jq, i32 2147483647)
  ret void
}

; Run the posted program, or help whoever does, until it is done.
define internal void @complete(ptr %pool) {
entry:
  %own = call i32 @mode()
  %high = getelementptr i8, ptr %pool, i64 4
  %slq = getelementptr i8, ptr %pool, i64 <SLEEPERS>
  %jq = getelementptr i8, ptr %pool, i64 <JOINING>
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  %spq = getelementptr i8, ptr %pool, i64 <SPIN>
  %limit = load i64, ptr %spq
  %mine = call i1 @claim(ptr %pool)
  br i1 %mine, label %drive, label %idle
drive:
  call void @drive(ptr %pool, i64 0)
  br label %out
idle:
  %last = phi i32 [0, %entry], [%last, %sleep], [%last1, %join]
  br label %look
look:
  %k = phi i64 [0, %idle], [%k1, %spin]
  %phase = load atomic i32, ptr %high seq_cst, align 4
  %posted = load atomic i32, ptr %poq seq_cst, align 4
  %state = urem i32 %posted, 3
  %done = icmp eq i32 %state, 0
  br i1 %done, label %out, label %job
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
  %j0 = atomicrmw add ptr %jq, i32 1 seq_cst
  %s0 = atomicrmw add ptr %slq, i32 1 seq_cst
  call void @futex_wait(ptr %high, i32 %phase)
  %s1 = atomicrmw sub ptr %slq, i32 1 seq_cst
  %j1 = atomicrmw sub ptr %jq, i32 1 seq_cst
  br label %idle
join:
  %last1 = call i32 @help(ptr %pool, i64 0, i32 %last)
  br label %idle
out:
  call void @adopt(i32 %own)
  ret void
}

define ptr @finish_program(ptr %self, ptr %av, i64 %n) uwtable {
  %pool = load ptr, ptr @begun
  %nothing = icmp eq ptr %pool, null
  br i1 %nothing, label %out, label %begun
begun:
  %poq = getelementptr i8, ptr %pool, i64 <POSTED>
  %posted = load atomic i32, ptr %poq seq_cst, align 4
  %done = icmp eq i32 %posted, 3
  br i1 %done, label %close, label %slow
slow:
  %thread = call ptr @PyEval_SaveThread()
  call void @complete(ptr %pool)
  call void @PyEval_RestoreThread(ptr %thread)
  ; Another thread may have finished the same program meanwhile.
  %still = load ptr, ptr @begun
  %same = icmp eq ptr %still, %pool
  %now = load atomic i32, ptr %poq seq_cst, align 4
  %ended = icmp eq i32 %now, 3
  %ours = and i1 %same, %ended
  br i1 %ours, label %close, label %out
close:
  store atomic i32 0, ptr %poq seq_cst, align 4
  store ptr null, ptr @begun
  call void @unlock(ptr %pool)
  br label %out
out:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
}
"""
