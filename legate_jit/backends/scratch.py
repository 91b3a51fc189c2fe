"""Warm memory for NumPy's temporaries: a memory handler that keeps large blocks for the next array of their size.

NumPy gives a large temporary back to the system, and the next one faults in fresh pages, which costs as much as computing it.
While `warm` is entered on a thread, NumPy's arrays made there come from blocks that wait here; an array that lives longer stays
valid and gives its block back when it dies. The handler itself is native code, safe from any thread. Knows only NumPy's handler
interface (NEP 49) and libc; without Linux or that interface nothing is changed.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from legate_jit.backends import native

#: bytes from which a block waits for reuse instead of going back to libc
WAITING = 1 << 18
#: bytes of waiting blocks together, at most
KEPT = 1 << 29
_SLOTS = 16
#: positions of PyDataMem_SetHandler in NumPy's table of C functions
_SET_HANDLER = 304

_TEXT = f"""
@slots = internal global [{_SLOTS} x ptr] zeroinitializer, align 64
@kept = internal global i64 0, align 64

declare ptr @malloc(i64)
declare void @free(ptr)
declare i32 @posix_memalign(ptr, i64, i64)
declare i32 @madvise(ptr, i64, i32)
declare ptr @memcpy(ptr, ptr, i64)
declare ptr @memset(ptr, i32, i64)

; A block: its capacity, padding to 64 bytes, then the data that NumPy sees. Large ones lie on huge pages.
define internal ptr @fresh(i64 %size) {{
entry:
  %cell = alloca ptr
  %big = icmp uge i64 %size, 4194304
  br i1 %big, label %huge, label %plain
plain:
  %n = add i64 %size, 64
  %p = call ptr @malloc(i64 %n)
  %bad = icmp eq ptr %p, null
  br i1 %bad, label %none, label %head
huge:
  %m0 = add i64 %size, 2097215
  %m = and i64 %m0, -2097152
  %rc = call i32 @posix_memalign(ptr %cell, i64 2097152, i64 %m)
  %bad2 = icmp ne i32 %rc, 0
  br i1 %bad2, label %none, label %advise
advise:
  %q = load ptr, ptr %cell
  %ignored = call i32 @madvise(ptr %q, i64 %m, i32 14)
  br label %head
head:
  %b = phi ptr [ %p, %plain ], [ %q, %advise ]
  store i64 %size, ptr %b
  %d = getelementptr i8, ptr %b, i64 64
  ret ptr %d
none:
  ret ptr null
}}

define ptr @take(ptr %ctx, i64 %size) {{
entry:
  %small = icmp ult i64 %size, {WAITING}
  br i1 %small, label %make, label %look
look:
  %most = shl i64 %size, 1
  br label %loop
loop:
  %k = phi i64 [ 0, %look ], [ %next, %again ]
  %slot = getelementptr [{_SLOTS} x ptr], ptr @slots, i64 0, i64 %k
  %peek = load atomic ptr, ptr %slot monotonic, align 8
  %empty0 = icmp eq ptr %peek, null
  br i1 %empty0, label %again, label %grab
grab:
  %p = atomicrmw xchg ptr %slot, ptr null acq_rel
  %empty = icmp eq ptr %p, null
  br i1 %empty, label %again, label %measure
measure:
  %h = getelementptr i8, ptr %p, i64 -64
  %cap = load i64, ptr %h
  %enough = icmp uge i64 %cap, %size
  %notmuch = icmp ule i64 %cap, %most
  %fits = and i1 %enough, %notmuch
  br i1 %fits, label %found, label %putback
found:
  %less = atomicrmw sub ptr @kept, i64 %cap acq_rel
  ret ptr %p
putback:
  %other = atomicrmw xchg ptr %slot, ptr %p acq_rel
  %none = icmp eq ptr %other, null
  br i1 %none, label %again, label %drop
drop:
  %oh = getelementptr i8, ptr %other, i64 -64
  %ocap = load i64, ptr %oh
  %oless = atomicrmw sub ptr @kept, i64 %ocap acq_rel
  call void @free(ptr %oh)
  br label %again
again:
  %next = add i64 %k, 1
  %end = icmp eq i64 %next, {_SLOTS}
  br i1 %end, label %make, label %loop
make:
  %f = call ptr @fresh(i64 %size)
  ret ptr %f
}}

define void @give(ptr %ctx, ptr %p, i64 %size) {{
entry:
  %null = icmp eq ptr %p, null
  br i1 %null, label %done, label %measure
measure:
  %h = getelementptr i8, ptr %p, i64 -64
  %cap = load i64, ptr %h
  %small = icmp ult i64 %cap, {WAITING}
  br i1 %small, label %release, label %room
room:
  %before = atomicrmw add ptr @kept, i64 %cap acq_rel
  %after = add i64 %before, %cap
  %over = icmp ugt i64 %after, {KEPT}
  br i1 %over, label %undo, label %loop
loop:
  %k = phi i64 [ 0, %room ], [ %next, %again ]
  %slot = getelementptr [{_SLOTS} x ptr], ptr @slots, i64 0, i64 %k
  %pair = cmpxchg ptr %slot, ptr null, ptr %p acq_rel monotonic
  %stored = extractvalue {{ ptr, i1 }} %pair, 1
  br i1 %stored, label %done, label %again
again:
  %next = add i64 %k, 1
  %end = icmp eq i64 %next, {_SLOTS}
  br i1 %end, label %undo, label %loop
undo:
  %less = atomicrmw sub ptr @kept, i64 %cap acq_rel
  br label %release
release:
  call void @free(ptr %h)
  br label %done
done:
  ret void
}}

define ptr @zeroed(ptr %ctx, i64 %n, i64 %item) {{
entry:
  %mul = call {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64 %n, i64 %item)
  %size = extractvalue {{ i64, i1 }} %mul, 0
  %over = extractvalue {{ i64, i1 }} %mul, 1
  br i1 %over, label %none, label %get
get:
  %p = call ptr @take(ptr %ctx, i64 %size)
  %bad = icmp eq ptr %p, null
  br i1 %bad, label %none, label %clear
clear:
  %ignored = call ptr @memset(ptr %p, i32 0, i64 %size)
  ret ptr %p
none:
  ret ptr null
}}
declare {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64, i64)

define ptr @resized(ptr %ctx, ptr %p, i64 %size) {{
entry:
  %new = call ptr @take(ptr %ctx, i64 %size)
  %bad = icmp eq ptr %new, null
  %nothing = icmp eq ptr %p, null
  %stop = or i1 %bad, %nothing
  br i1 %stop, label %done, label %copy
copy:
  %h = getelementptr i8, ptr %p, i64 -64
  %cap = load i64, ptr %h
  %n = call i64 @llvm.umin.i64(i64 %cap, i64 %size)
  %ignored = call ptr @memcpy(ptr %new, ptr %p, i64 %n)
  call void @give(ptr %ctx, ptr %p, i64 %cap)
  br label %done
done:
  ret ptr %new
}}
declare i64 @llvm.umin.i64(i64, i64)

define i64 @waiting() {{
  %n = load atomic i64, ptr @kept monotonic, align 8
  ret i64 %n
}}
"""


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


class _Warm:
    """The installed handler: its capsule, and NumPy's function that puts a handler in force."""

    def __init__(self) -> None:
        code = native.compile_ir(_TEXT, ("take", "give", "zeroed", "resized", "waiting"))
        self._handler = _Handler(
            b"legate_jit warm blocks",
            1,
            None,
            code.address("take"),
            code.address("zeroed"),
            code.address("resized"),
            code.address("give"),
        )
        api = ctypes.pythonapi
        api.PyCapsule_New.restype = ctypes.py_object
        api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = api.PyCapsule_New(ctypes.addressof(self._handler), b"mem_handler", None)
        for thing in (self, code, self._handler, self.capsule):  # arrays may outlive every module
            api.Py_IncRef(ctypes.py_object(thing))
        self.put = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_numpy_function(_SET_HANDLER))
        self.waiting = ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("waiting"))


def _numpy_function(number: int) -> int:
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None)  # type: ignore[attr-defined]
    return int(ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[number])


@functools.cache
def _warm() -> _Warm | None:
    return _Warm() if sys.platform == "linux" else None


def waiting() -> int:
    """Bytes of blocks that wait for reuse."""
    warm = _warm()
    return 0 if warm is None else int(warm.waiting())


@contextmanager
def warm_temporaries() -> Iterator[None]:
    """Within the block, on this thread, NumPy's new arrays come from warm memory."""
    handler: Any = _warm()
    if handler is None:
        yield
        return
    before = handler.put(handler.capsule)
    try:
        yield
    finally:
        handler.put(before)
