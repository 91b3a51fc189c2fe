"""Keys of calls whose recipe may be kept: the LLVM IR text of `backends.recording.methods`, in its abbreviations.

Duty: what `_encode` of `cupynumeric._replay` says: the parts of a call's arguments, its arrays and its floats. It must not know
what becomes of them.

The state of a call, words of 8 bytes: how many parts the key has, how many arrays and floats there are among the arguments; then
the parts (references of its own), the arrays and the floats (borrowed), and room for the arrays' numbers.
"""

from typing import Final

__all__ = ["ARRAYS_AT", "FLOATS_AT", "KEYS_TEXT", "NUMBERS_AT", "WORDS"]

_PARTS, _ARRAYS = 200, 40  # room; longer calls are Python's
ARRAYS_AT = 3 + _PARTS
FLOATS_AT = ARRAYS_AT + _ARRAYS
NUMBERS_AT = FLOATS_AT + _ARRAYS
WORDS = NUMBERS_AT + _ARRAYS

KEYS_TEXT: Final = f"""
; One more part of the key; takes over the reference. False, and no part, if there is no room.
define internal i1 @part(ptr %state, ptr %object) {{
  %n = load i64, ptr %state
  %full = icmp sge i64 %n, {_PARTS - 2}
  br i1 %full, label %no, label %yes
yes:
  %at = add i64 %n, 3
  %q = getelementptr ptr, ptr %state, i64 %at
  store ptr %object, ptr %q
  %n1 = add i64 %n, 1
  store i64 %n1, ptr %state
  ret i1 true
no:
  call void @drop(ptr %object)
  ret i1 false
}}

define internal i1 @lent(ptr %state, ptr %object) {{
  call void @Py_IncRef(ptr %object)
  %ok = call i1 @part(ptr %state, ptr %object)
  ret i1 %ok
}}

; Remembers an array (counted in word 1) or a float (in word 2).
define internal i1 @keep(ptr %state, i64 %kind, i64 %base, ptr %object) {{
  %count.at = getelementptr i64, ptr %state, i64 %kind
  %count = load i64, ptr %count.at
  %full = icmp sge i64 %count, {_ARRAYS}
  br i1 %full, label %no, label %yes
yes:
  %at = add i64 %base, %count
  %q = getelementptr ptr, ptr %state, i64 %at
  store ptr %object, ptr %q
  %count1 = add i64 %count, 1
  store i64 %count1, ptr %count.at
  ret i1 true
no:
  ret i1 false
}}

; The parts of one argument; false for what keys do not hold.
define internal i1 @encode(ptr %x, ptr %state, i1 %loose) {{
  %class = class %x
  %arrays = the array
  %array = icmp eq ptr %class, %arrays
  br i1 %array, label %ours, label %others
ours:
  %locked = get %x Array._locked
  %false = the false
  %open = icmp eq ptr %locked, %false
  br i1 %open, label %kept, label %no
kept:
  %room = call i1 @keep(ptr %state, i64 1, i64 {ARRAYS_AT}, ptr %x)
  %key = get %x Array._key
  %keyed = call i1 @lent(ptr %state, ptr %key)
  %both = and i1 %room, %keyed
  ret i1 %both
others:
  %integer = icmp eq ptr %class, @PyLong_Type
  %bool = icmp eq ptr %class, @PyBool_Type
  %text = icmp eq ptr %class, @PyUnicode_Type
  %none = icmp eq ptr %x, @_Py_NoneStruct
  %type = icmp eq ptr %class, @PyType_Type
  %p1 = or i1 %integer, %bool
  %p2 = or i1 %text, %none
  %p3 = or i1 %p1, %type
  %plain = or i1 %p2, %p3
  br i1 %plain, label %pair, label %number
pair:
  %first = call i1 @lent(ptr %state, ptr %class)
  %second = call i1 @lent(ptr %state, ptr %x)
  %whole = and i1 %first, %second
  ret i1 %whole
number:
  %float = icmp eq ptr %class, @PyFloat_Type
  br i1 %float, label %real, label %sequence
real:
  br i1 %loose, label %free, label %strict
free:
  %taken = call i1 @keep(ptr %state, i64 2, i64 {FLOATS_AT}, ptr %x)
  %f1 = call i1 @lent(ptr %state, ptr %class)
  %f2 = call i1 @lent(ptr %state, ptr @_Py_NoneStruct)
  %f12 = and i1 %f1, %f2
  %ft = and i1 %f12, %taken
  ret i1 %ft
strict:
  %value = call double @PyFloat_AsDouble(ptr %x)
  %usual = fcmp one double %value, 0.0
  br i1 %usual, label %pair, label %no
sequence:
  %tuple = icmp eq ptr %class, @PyTuple_Type
  %list = icmp eq ptr %class, @PyList_Type
  %several = or i1 %tuple, %list
  br i1 %several, label %elements, label %rest
elements:
  %length = call i64 @PyObject_Size(ptr %x)
  %long = icmp ugt i64 %length, <length>
  br i1 %long, label %no, label %head
head:
  %size = call ptr @PyLong_FromLongLong(i64 %length)
  %h1 = call i1 @lent(ptr %state, ptr %class)
  %h2 = call i1 @part(ptr %state, ptr %size)
  %h12 = and i1 %h1, %h2
  %any = icmp sgt i64 %length, 0
  %go = and i1 %h12, %any
  br i1 %go, label %element, label %last
last:
  ret i1 %h12
element:
  %i = phi i64 [0, %head], [%i1, %good]
  br i1 %tuple, label %from.tuple, label %from.list
from.tuple:
  %te = call ptr @PyTuple_GetItem(ptr %x, i64 %i)
  br label %inner
from.list:
  %le = call ptr @PyList_GetItem(ptr %x, i64 %i)
  br label %inner
inner:
  %e = phi ptr [%te, %from.tuple], [%le, %from.list]
  %ok = call i1 @encode(ptr %e, ptr %state, i1 %loose)
  br i1 %ok, label %good, label %no
good:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %length
  br i1 %more, label %element, label %yes
rest:
  %novalue = the novalue
  %given = icmp eq ptr %x, %novalue
  %meta = class %class
  %dtypes = the dtypes
  %dtype = icmp eq ptr %meta, %dtypes
  %self = or i1 %given, %dtype
  br i1 %self, label %alone, label %no
alone:
  %a1 = call i1 @lent(ptr %state, ptr %x)
  ret i1 %a1
yes:
  ret i1 true
no:
  ret i1 false
}}

; Where several arrays are given: for each the first that has the same store.
define internal i1 @same(ptr %state) {{
entry:
  %count.at = getelementptr i64, ptr %state, i64 1
  %count = load i64, ptr %count.at
  %several = icmp sgt i64 %count, 1
  br i1 %several, label %outer, label %yes
outer:
  %i = phi i64 [0, %entry], [%i1, %next]
  %at.i = add i64 %i, {ARRAYS_AT}
  %q.i = getelementptr ptr, ptr %state, i64 %at.i
  %x = load ptr, ptr %q.i
  %x.store = get %x Array._store
  br label %inner
inner:
  %j = phi i64 [0, %outer], [%j1, %inner]
  %at.j = add i64 %j, {ARRAYS_AT}
  %q.j = getelementptr ptr, ptr %state, i64 %at.j
  %y = load ptr, ptr %q.j
  %y.store = get %y Array._store
  %j1 = add i64 %j, 1
  %equal = icmp eq ptr %x.store, %y.store
  br i1 %equal, label %next, label %inner
next:
  %number = call ptr @PyLong_FromLongLong(i64 %j)
  %ok = call i1 @part(ptr %state, ptr %number)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  %again = and i1 %more, %ok
  br i1 %again, label %outer, label %last
last:
  ret i1 %ok
yes:
  ret i1 true
}}

; The key's parts as a tuple, which takes them over.
define internal ptr @key(ptr %state) {{
  %n = load i64, ptr %state
  %key = call ptr @PyTuple_New(i64 %n)
  %failed = icmp eq ptr %key, null
  br i1 %failed, label %fail, label %fill
fill:
  %to = getelementptr i8, ptr %key, i64 <items>
  %from = getelementptr i64, ptr %state, i64 3
  %bytes = mul i64 %n, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  ret ptr %key
fail:
  call void @PyErr_Clear()
  call void @forget(ptr %state)
  ret ptr null
}}

; Gives back the references of some of the state's words.
define internal void @release(ptr %state, i64 %from, i64 %count) {{
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %one, label %out
one:
  %i = phi i64 [0, %entry], [%i1, %one]
  %at = add i64 %i, %from
  %q = getelementptr ptr, ptr %state, i64 %at
  %object = load ptr, ptr %q
  call void @Py_DecRef(ptr %object)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %one, label %out
out:
  ret void
}}

define internal void @forget(ptr %state) {{
  %n = load i64, ptr %state
  call void @release(ptr %state, i64 3, i64 %n)
  ret void
}}

; Whether some array waits to be computed, or is so large that nobody computes with it at once; or there is none.
define internal i1 @records(ptr %state) {{
entry:
  %count.at = getelementptr i64, ptr %state, i64 1
  %count = load i64, ptr %count.at
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %array, label %yes
array:
  %i = phi i64 [0, %entry], [%i1, %next]
  %at = add i64 %i, {ARRAYS_AT}
  %q = getelementptr ptr, ptr %state, i64 %at
  %x = load ptr, ptr %q
  %store = get %x Array._store
  %value = get %store Store.value
  %none = icmp eq ptr %value, @_Py_NoneStruct
  br i1 %none, label %measure, label %yes
measure:
  %type = get %store Store.type
  %size.object = get %type ArrayType.size
  %size = call i64 @PyLong_AsLongLong(ptr %size.object)
  %large = icmp sgt i64 %size, <small>
  br i1 %large, label %yes, label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %array, label %no
yes:
  ret i1 true
no:
  ret i1 false
}}
"""
