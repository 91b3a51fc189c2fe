"""What all methods that record share: the LLVM IR text of `backends.recording.methods`, in its abbreviations.

Duty: numbers of stores, what tables hold, new arrays, and the one append to the window. It must not know what is recorded.
"""

from typing import Final

__all__ = ["COMMON_TEXT"]

COMMON_TEXT: Final = """
; The number of a store's value in the open window.
define internal ptr @number(ptr %store) {
  %value = get %store Store.value
  %none = icmp eq ptr %value, @_Py_NoneStruct
  br i1 %none, label %settled, label %recorded
settled:
  %enter = the enter
  %entered = call ptr @PyObject_CallOneArg(ptr %enter, ptr %store)
  ret ptr %entered
recorded:
  call void @Py_IncRef(ptr %value)
  ret ptr %value
}

; What a table holds for a key, or null.
define internal ptr @lookup(ptr %table, ptr %key) {
  %found = call ptr @PyDict_GetItemWithError(ptr %table, ptr %key)
  %none = icmp eq ptr %found, null
  br i1 %none, label %out, label %keep
keep:
  call void @Py_IncRef(ptr %found)
  br label %out
out:
  ret ptr %found
}

; What a table holds for a pair of keys, or null.
define internal ptr @known(ptr %table, ptr %first, ptr %second) {
  %key = call ptr (i64, ...) @PyTuple_Pack(i64 2, ptr %first, ptr %second)
  %failed = icmp eq ptr %key, null
  br i1 %failed, label %none, label %look
look:
  %found = call ptr @lookup(ptr %table, ptr %key)
  call void @Py_DecRef(ptr %key)
  ret ptr %found
none:
  ret ptr null
}

; Whether a scalar of that class may be an operand: the signature sets no bounds, or it is an int within them.
define internal i1 @fits(ptr %sig, ptr %scalar, ptr %class) {
  %bounds = get %sig Signature.bounds
  %free = icmp eq ptr %bounds, @_Py_NoneStruct
  br i1 %free, label %yes, label %bounded
bounded:
  %integer = icmp eq ptr %class, @PyLong_Type
  br i1 %integer, label %low, label %no
low:
  %least.at = getelementptr i8, ptr %bounds, i64 <items>
  %least = load ptr, ptr %least.at
  %above = call i32 @PyObject_RichCompareBool(ptr %least, ptr %scalar, i32 1)
  %far = icmp ne i32 %above, 1
  br i1 %far, label %no, label %high
high:
  %most.at = getelementptr i8, ptr %bounds, i64 <items+8>
  %most = load ptr, ptr %most.at
  %below = call i32 @PyObject_RichCompareBool(ptr %scalar, ptr %most, i32 1)
  %fitting = icmp eq i32 %below, 1
  ret i1 %fitting
yes:
  ret i1 true
no:
  ret i1 false
}

; An array of the signature's type on a store without a value.
define internal ptr @fresh(ptr %sig) {
  %store.class = the store
  %store = call ptr @PyType_GenericAlloc(ptr %store.class, i64 0)
  %no.store = icmp eq ptr %store, null
  br i1 %no.store, label %fail, label %stored
stored:
  %class = the array
  %array = call ptr @PyType_GenericAlloc(ptr %class, i64 0)
  %no.array = icmp eq ptr %array, null
  br i1 %no.array, label %drop, label %both
both:
  %type = get %sig Signature.type
  call void @Py_IncRef(ptr %type)
  call void @Py_IncRef(ptr %type)
  call void @Py_IncRef(ptr %type)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  put %store Store.type %type
  put %store Store.buffer @_Py_NoneStruct
  put %array Array._store %store
  put %array Array._lens @_Py_NoneStruct
  put %array Array._type %type
  put %array Array._key %type
  %shape = get %type ArrayType.shape
  %ndim = call i64 @PyTuple_Size(ptr %shape)
  %scalar = the scalar
  %false = the false
  %single = icmp eq i64 %ndim, 0
  %locked = select i1 %single, ptr %scalar, ptr %false
  call void @Py_IncRef(ptr %locked)
  put %array Array._locked %locked
  ret ptr %array
drop:
  call void @Py_DecRef(ptr %store)
  br label %fail
fail:
  ret ptr null
}

; Appends `items` to the tape, and the scalar if there is one, as `count` values. The last of them becomes the value of `target`,
; or, if that is null, of the store of `made`. False with an error set. Takes over the reference to `items`.
define internal i1 @append(ptr %items, ptr %scalar, i64 %count, ptr %target, ptr %made) {
  %w = the window
  %n = get %w Window.n
  %before = call i64 @PyLong_AsLongLong(ptr %n)
  %after = add i64 %before, %count
  %last = sub i64 %after, 1
  %n1 = call ptr @PyLong_FromLongLong(i64 %after)
  %v = call ptr @PyLong_FromLongLong(i64 %last)
  %code = get %w Window.code
  ; nothing is called back from here on, but the addition of a tape of another class, before it changes anything
  %longer = call ptr @PyNumber_InPlaceAdd(ptr %code, ptr %items)
  %failed = icmp eq ptr %longer, null
  br i1 %failed, label %fail, label %taken
taken:
  call void @Py_DecRef(ptr %longer)
  %unscaled = icmp eq ptr %scalar, null
  br i1 %unscaled, label %value, label %scaled
scaled:
  %scalars = get %w Window.scalars
  %ok.scalar = call i32 @PyList_Append(ptr %scalars, ptr %scalar)
  br label %value
value:
  %new = icmp eq ptr %target, null
  br i1 %new, label %hold, label %rebind
hold:
  %store = get %made Array._store
  put %store Store.value %v
  %stores = get %w Window.stores
  %ok.store = call i32 @PyList_Append(ptr %stores, ptr %store)
  br label %count.up
rebind:
  %old = get %target Store.value
  put %target Store.value %v
  call void @Py_DecRef(ptr %old)
  br label %count.up
count.up:
  %n.old = get %w Window.n
  put %w Window.n %n1
  call void @Py_DecRef(ptr %n.old)
  call void @Py_DecRef(ptr %items)
  %limit.object = get %w Window.limit
  %limit = call i64 @PyLong_AsLongLong(ptr %limit.object)
  %over = icmp sgt i64 %last, %limit
  br i1 %over, label %end, label %good
end:
  %full = the full
  %done = call ptr @PyObject_CallNoArgs(ptr %full)
  %broken = icmp eq ptr %done, null
  br i1 %broken, label %bad, label %flushed
flushed:
  call void @Py_DecRef(ptr %done)
  br label %good
good:
  ret i1 true
fail:
  call void @Py_DecRef(ptr %n1)
  call void @Py_DecRef(ptr %v)
  call void @Py_DecRef(ptr %items)
  br label %bad
bad:
  ret i1 false
}

; Leaves an operator to the Python method.
define internal ptr @python(ptr %own, ptr %self, ptr %other) {
  call void @PyErr_Clear()
  %function.at = getelementptr ptr, ptr %own, i64 1
  %function = load ptr, ptr %function.at
  %one = icmp eq ptr %other, null
  br i1 %one, label %alone, label %both
alone:
  %r1 = call ptr @PyObject_CallOneArg(ptr %function, ptr %self)
  ret ptr %r1
both:
  %r2 = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %self, ptr %other, ptr null)
  ret ptr %r2
}

; The new array that an instruction makes of one or two values (`b` may be null) and a scalar or null. Takes over sig, a and b.
define internal ptr @made(ptr %sig, ptr %a, ptr %b, ptr %scalar) {
  %array = call ptr @fresh(ptr %sig)
  %single = icmp eq ptr %b, null
  br i1 %single, label %one, label %two
one:
  %items1 = call ptr (i64, ...) @PyTuple_Pack(i64 2, ptr %sig, ptr %a)
  br label %packed
two:
  %items2 = call ptr (i64, ...) @PyTuple_Pack(i64 3, ptr %sig, ptr %a, ptr %b)
  call void @Py_DecRef(ptr %b)
  br label %packed
packed:
  %items = phi ptr [%items1, %one], [%items2, %two]
  call void @Py_DecRef(ptr %a)
  call void @Py_DecRef(ptr %sig)
  %no.array = icmp eq ptr %array, null
  %no.items = icmp eq ptr %items, null
  %none = or i1 %no.array, %no.items
  br i1 %none, label %fail, label %ready
ready:
  %ok = call i1 @append(ptr %items, ptr %scalar, i64 1, ptr null, ptr %array)
  br i1 %ok, label %out, label %drop
out:
  ret ptr %array
drop:
  call void @Py_DecRef(ptr %array)
  ret ptr null
fail:
  call void @drop(ptr %array)
  call void @drop(ptr %items)
  ret ptr null
}

define internal void @drop(ptr %object) {
  %none = icmp eq ptr %object, null
  br i1 %none, label %out, label %some
some:
  call void @Py_DecRef(ptr %object)
  ret void
out:
  ret void
}

define internal i1 @at_once(ptr %sig) {
  %flag = get %sig Signature.at_once
  %true = call i32 @PyObject_IsTrue(ptr %flag)
  %yes = icmp ne i32 %true, 0
  ret i1 %yes
}

; What an instruction computes of one or two operands that are there (`y` may be null). Takes over sig.
define internal ptr @now(ptr %sig, ptr %x, ptr %y) {
  %pair = the pair
  %alone = the alone
  %one = icmp eq ptr %y, null
  %function = select i1 %one, ptr %alone, ptr %pair
  %r = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %sig, ptr %x, ptr %y, ptr null)
  call void @Py_DecRef(ptr %sig)
  ret ptr %r
}

; Whether an instruction on a store is to be carried out at once: the store waits for nothing, and the instruction is marked.
define internal i1 @direct(ptr %sig, ptr %store) {
  %value = get %store Store.value
  %settled = icmp eq ptr %value, @_Py_NoneStruct
  br i1 %settled, label %ask, label %no
ask:
  %yes = call i1 @at_once(ptr %sig)
  ret i1 %yes
no:
  ret i1 false
}
"""
