"""Calls of functions whose recipe is kept: the LLVM IR text of `backends.recording.methods`, in its abbreviations.

Duty: what `attempt` of `cupynumeric._replay` says, for results of one array: look the recipe of a call up, and append the
recipe's piece to the window. It must not know which functions there are. Where nothing is changed the answer is None if the
function is to be called (its arrays are small and there, or it has been tried often enough), else NotImplemented.
"""

from typing import Final

from legate_jit.backends.recording.keys import ARRAYS_AT, FLOATS_AT, NUMBERS_AT, WORDS

__all__ = ["CALLS_TEXT"]

CALLS_TEXT: Final = f"""
; Number k of the piece in the window: a new value of it, or an array's (~k). A new reference.
define internal ptr @numbered(ptr %state, i64 %first, i64 %k) {{
  %new = icmp sge i64 %k, 0
  br i1 %new, label %value, label %operand
value:
  %v = add i64 %first, %k
  %made = call ptr @PyLong_FromLongLong(i64 %v)
  ret ptr %made
operand:
  %index = xor i64 %k, -1
  %at = add i64 %index, {NUMBERS_AT}
  %q = getelementptr ptr, ptr %state, i64 %at
  %number = load ptr, ptr %q
  call void @Py_IncRef(ptr %number)
  ret ptr %number
}}

; The array that is operand ~k; lent.
define internal ptr @operand(ptr %state, i64 %k) {{
  %index = xor i64 %k, -1
  %at = add i64 %index, {ARRAYS_AT}
  %q = getelementptr ptr, ptr %state, i64 %at
  %array = load ptr, ptr %q
  ret ptr %array
}}

; The piece's tape with the window's numbers.
define internal ptr @piece(ptr %template, ptr %state, i64 %first) {{
entry:
  %length = call i64 @PyTuple_Size(ptr %template)
  %made = call ptr @PyTuple_New(i64 %length)
  %failed = icmp eq ptr %made, null
  %empty = icmp eq i64 %length, 0
  %nothing = or i1 %failed, %empty
  br i1 %nothing, label %out, label %start
start:
  %from = getelementptr i8, ptr %template, i64 <items>
  %to = getelementptr i8, ptr %made, i64 <items>
  br label %item
item:
  %i = phi i64 [0, %start], [%i1, %put]
  %fq = getelementptr ptr, ptr %from, i64 %i
  %tq = getelementptr ptr, ptr %to, i64 %i
  %object = load ptr, ptr %fq
  %class = class %object
  %integer = icmp eq ptr %class, @PyLong_Type
  br i1 %integer, label %number, label %signature
number:
  %k = call i64 @PyLong_AsLongLong(ptr %object)
  %n = call ptr @numbered(ptr %state, i64 %first, i64 %k)
  br label %put
signature:
  call void @Py_IncRef(ptr %object)
  br label %put
put:
  %next = phi ptr [%n, %number], [%object, %signature]
  store ptr %next, ptr %tq
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %length
  br i1 %more, label %item, label %out
out:
  ret ptr %made
}}

; Appends a recipe's scalars, some of which are the call's floats.
define internal void @scalars(ptr %recipe, ptr %state, ptr %w) {{
entry:
  %list = get %w Window.scalars
  %fixed = get %recipe Recipe.scalars
  %picks = get %recipe Recipe.picks
  %count = call i64 @PyTuple_Size(ptr %fixed)
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %some, label %out
some:
  %all.fixed = icmp eq ptr %picks, @_Py_NoneStruct
  %fixed.items = getelementptr i8, ptr %fixed, i64 <items>
  %pick.items = getelementptr i8, ptr %picks, i64 <items>
  br label %one
one:
  %i = phi i64 [0, %some], [%i1, %append]
  br i1 %all.fixed, label %constant, label %which
which:
  %pq = getelementptr ptr, ptr %pick.items, i64 %i
  %pick = load ptr, ptr %pq
  %k = call i64 @PyLong_AsLongLong(ptr %pick)
  %given = icmp sge i64 %k, 0
  br i1 %given, label %float, label %constant
float:
  %at = add i64 %k, {FLOATS_AT}
  %gq = getelementptr ptr, ptr %state, i64 %at
  %f = load ptr, ptr %gq
  br label %append
constant:
  %cq = getelementptr ptr, ptr %fixed.items, i64 %i
  %c = load ptr, ptr %cq
  br label %append
append:
  %scalar = phi ptr [%f, %float], [%c, %constant]
  %ok = call i32 @PyList_Append(ptr %list, ptr %scalar)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %one, label %out
out:
  ret void
}}

; The result of a recipe: appends its piece. Null with an error set.
define internal ptr @cooked(ptr %recipe, ptr %result, ptr %state) {{
entry:
  %count.at = getelementptr i64, ptr %state, i64 1
  %count = load i64, ptr %count.at
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %array, label %numbered
array:
  %i = phi i64 [0, %entry], [%i1, %known]
  %at = add i64 %i, {ARRAYS_AT}
  %q = getelementptr ptr, ptr %state, i64 %at
  %x = load ptr, ptr %q
  %x.store = get %x Array._store
  %number = call ptr @number(ptr %x.store)
  %lost = icmp eq ptr %number, null
  br i1 %lost, label %fail.numbers, label %known
known:
  %number.at = add i64 %i, {NUMBERS_AT}
  %nq = getelementptr ptr, ptr %state, i64 %number.at
  store ptr %number, ptr %nq
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %array, label %numbered
fail.numbers:
  call void @release(ptr %state, i64 {NUMBERS_AT}, i64 %i)
  ret ptr null
numbered:
  %w = the window
  %n = get %w Window.n
  %first = call i64 @PyLong_AsLongLong(ptr %n)
  %template = get %recipe Recipe.code
  %code = call ptr @piece(ptr %template, ptr %state, i64 %first)
  %class = the array
  %made = call ptr @PyType_GenericAlloc(ptr %class, i64 0)
  %stores.class = the store
  %store.new = call ptr @PyType_GenericAlloc(ptr %stores.class, i64 0)
  %no.code = icmp eq ptr %code, null
  %no.array = icmp eq ptr %made, null
  %no.store = icmp eq ptr %store.new, null
  %no1 = or i1 %no.code, %no.array
  %no2 = or i1 %no1, %no.store
  br i1 %no2, label %fail, label %ready
ready:
  %value.object = get %result Result.value
  %k = call i64 @PyLong_AsLongLong(ptr %value.object)
  %view.object = get %result Result.view
  %false = the false
  %fresh = icmp eq ptr %view.object, %false
  br i1 %fresh, label %own, label %borrow
own:
  %v = call ptr @numbered(ptr %state, i64 %first, i64 %k)
  %type = get %result Result.type
  call void @Py_IncRef(ptr %type)
  put %store.new Store.value %v
  put %store.new Store.type %type
  %copied = icmp slt i64 %k, 0
  br i1 %copied, label %copy, label %empty
copy: ; if nobody writes to either, they share memory after the window too
  %original = call ptr @operand(ptr %state, i64 %k)
  %original.store = get %original Array._store
  %memory = get %original.store Store.buffer
  call void @Py_IncRef(ptr %memory)
  put %store.new Store.buffer %memory
  br label %shape
empty:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  put %store.new Store.buffer @_Py_NoneStruct
  br label %shape
borrow:
  call void @Py_DecRef(ptr %store.new)
  %operand = call ptr @operand(ptr %state, i64 %k)
  %store.old = get %operand Array._store
  call void @Py_IncRef(ptr %store.old)
  br label %shape
shape:
  %store = phi ptr [%store.new, %copy], [%store.new, %empty], [%store.old, %borrow]
  %lens = get %result Result.lens
  %shown = get %result Result.shown
  %key = get %result Result.key
  %locked = get %result Result.locked
  call void @Py_IncRef(ptr %lens)
  call void @Py_IncRef(ptr %shown)
  call void @Py_IncRef(ptr %key)
  call void @Py_IncRef(ptr %locked)
  put %made Array._store %store
  put %made Array._lens %lens
  put %made Array._type %shown
  put %made Array._key %key
  put %made Array._locked %locked
  %size.object = get %recipe Recipe.size
  %size = call i64 @PyLong_AsLongLong(ptr %size.object)
  %after = add i64 %first, %size
  %n1 = call ptr @PyLong_FromLongLong(i64 %after)
  ; nothing is called back from here on, but the addition of a tape of another class, before it changes anything
  %tape = get %w Window.code
  %longer = call ptr @PyNumber_InPlaceAdd(ptr %tape, ptr %code)
  %stuck = icmp eq ptr %longer, null
  br i1 %stuck, label %fail.late, label %taken
taken:
  call void @Py_DecRef(ptr %longer)
  call void @scalars(ptr %recipe, ptr %state, ptr %w)
  br i1 %fresh, label %hold, label %count.up
hold:
  %stores = get %w Window.stores
  %held = call i32 @PyList_Append(ptr %stores, ptr %store)
  br label %count.up
count.up:
  %n.old = get %w Window.n
  put %w Window.n %n1
  call void @Py_DecRef(ptr %n.old)
  call void @Py_DecRef(ptr %code)
  call void @release(ptr %state, i64 {NUMBERS_AT}, i64 %count)
  %limit.object = get %w Window.limit
  %limit = call i64 @PyLong_AsLongLong(ptr %limit.object)
  %limit1 = add i64 %limit, 1
  %far = icmp sgt i64 %after, %limit1
  %some = icmp ne i64 %size, 0
  %over = and i1 %far, %some
  br i1 %over, label %end, label %out
end:
  %full = the full
  %done = call ptr @PyObject_CallNoArgs(ptr %full)
  %broken = icmp eq ptr %done, null
  br i1 %broken, label %lose, label %flushed
flushed:
  call void @Py_DecRef(ptr %done)
  br label %out
out:
  ret ptr %made
lose:
  call void @Py_DecRef(ptr %made)
  ret ptr null
fail.late:
  call void @Py_DecRef(ptr %n1)
  call void @Py_DecRef(ptr %made)
  call void @Py_DecRef(ptr %code)
  call void @release(ptr %state, i64 {NUMBERS_AT}, i64 %count)
  ret ptr null
fail:
  call void @drop(ptr %code)
  call void @drop(ptr %made)
  call void @drop(ptr %store.new)
  call void @release(ptr %state, i64 {NUMBERS_AT}, i64 %count)
  ret ptr null
}}

; attempt(recipes, function, args, kwargs, loose)
define ptr @attempt(ptr %self, ptr %av, i64 %n) {{
  %state = alloca [{WORDS} x i64], align 16
  %five = icmp eq i64 %n, 5
  br i1 %five, label %begin, label %wrong
begin:
  %recipes = load ptr, ptr %av
  %q1 = getelementptr ptr, ptr %av, i64 1
  %function = load ptr, ptr %q1
  %q2 = getelementptr ptr, ptr %av, i64 2
  %args = load ptr, ptr %q2
  %q3 = getelementptr ptr, ptr %av, i64 3
  %kwargs = load ptr, ptr %q3
  %q4 = getelementptr ptr, ptr %av, i64 4
  %loose.object = load ptr, ptr %q4
  %false = the false
  %loose = icmp ne ptr %loose.object, %false
  store i64 0, ptr %state
  %s1 = getelementptr i64, ptr %state, i64 1
  %s2 = getelementptr i64, ptr %state, i64 2
  store i64 0, ptr %s1
  store i64 0, ptr %s2
  %head = call i1 @lent(ptr %state, ptr %function)
  %count = call i64 @PyTuple_Size(ptr %args)
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %argument, label %named
argument:
  %i = phi i64 [0, %begin], [%i1, %next]
  %x = call ptr @PyTuple_GetItem(ptr %args, i64 %i)
  %ok = call i1 @encode(ptr %x, ptr %state, i1 %loose)
  br i1 %ok, label %next, label %miss
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %argument, label %named
named:
  %place = alloca i64
  store i64 0, ptr %place
  %name.at = alloca ptr
  %value.at = alloca ptr
  br label %keyword
keyword:
  %found = call i32 @PyDict_Next(ptr %kwargs, ptr %place, ptr %name.at, ptr %value.at)
  %left = icmp ne i32 %found, 0
  br i1 %left, label %take, label %look
take:
  %name = load ptr, ptr %name.at
  %value = load ptr, ptr %value.at
  %ok1 = call i1 @lent(ptr %state, ptr %name)
  %ok2 = call i1 @encode(ptr %value, ptr %state, i1 %loose)
  %ok3 = and i1 %ok1, %ok2
  br i1 %ok3, label %keyword, label %miss
look:
  %records = call i1 @records(ptr %state)
  br i1 %records, label %compare, label %leave
leave:
  call void @forget(ptr %state)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
compare:
  %complete = call i1 @same(ptr %state)
  br i1 %complete, label %search, label %miss
search:
  %key = call ptr @key(ptr %state)
  %failed = icmp eq ptr %key, null
  br i1 %failed, label %none, label %search.key
search.key:
  %recipe = call ptr @lookup(ptr %recipes, ptr %key)
  call void @Py_DecRef(ptr %key)
  %unknown = icmp eq ptr %recipe, null
  br i1 %unknown, label %none, label %classed
classed:
  %class = class %recipe
  %recipe.class = the recipe
  %cook = icmp eq ptr %class, %recipe.class
  br i1 %cook, label %single, label %counted
counted:
  %integer = icmp eq ptr %class, @PyLong_Type
  br i1 %integer, label %tried, label %pass
tried:
  %tries = call i64 @PyLong_AsLongLong(ptr %recipe)
  %enough = icmp sgt i64 %tries, <tries>
  br i1 %enough, label %alone, label %pass
single:
  %result = get %recipe Recipe.single
  %many = icmp eq ptr %result, @_Py_NoneStruct
  br i1 %many, label %pass, label %viewed
viewed:
  %view = get %result Result.view
  %fresh = icmp eq ptr %view, %false
  br i1 %fresh, label %go, label %ground
ground:
  %k.object = get %result Result.value
  %k = call i64 @PyLong_AsLongLong(ptr %k.object)
  %operand = call ptr @operand(ptr %state, i64 %k)
  %store = get %operand Array._store
  %store.class = class %store
  %stores = the store
  %usual = icmp eq ptr %store.class, %stores
  br i1 %usual, label %go, label %pass
go:
  %made = call ptr @cooked(ptr %recipe, ptr %result, ptr %state)
  call void @Py_DecRef(ptr %recipe)
  ret ptr %made
alone:
  call void @Py_DecRef(ptr %recipe)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
pass:
  call void @Py_DecRef(ptr %recipe)
  br label %none
miss:
  call void @forget(ptr %state)
  br label %none
none:
  call void @PyErr_Clear()
  call void @Py_IncRef(ptr @_Py_NotImplementedStruct)
  ret ptr @_Py_NotImplementedStruct
wrong:
  %error = load ptr, ptr @PyExc_TypeError
  call void @PyErr_SetString(ptr %error, ptr @message.attempt)
  ret ptr null
}}
"""
