"""Basic indexing of arrays as methods that record: the LLVM IR texts of `backends.recording.methods`, in its abbreviations.

Duty: from a key to the lens the face keeps for it, and from there to a view, or to an update of the window. It must not know what
keys mean: it only finds those met before, by their parts (see `cupynumeric._array._views`).
"""

from typing import Final

__all__ = ["ITEMS_TEXT"]

ITEMS_TEXT: Final = """
; How many parts an element of a key has in the table of views; 0 for what the table does not take.
define internal i64 @parts(ptr %element) {
  %class = class %element
  %cut = icmp eq ptr %class, @PySlice_Type
  br i1 %cut, label %slice, label %other
other:
  %integer = icmp eq ptr %class, @PyLong_Type
  br i1 %integer, label %int, label %rest
int:
  ret i64 2
rest:
  %new = icmp eq ptr %element, @_Py_NoneStruct
  %dots = icmp eq ptr %element, @_Py_EllipsisObject
  %mark = or i1 %new, %dots
  %one = zext i1 %mark to i64
  ret i64 %one
slice:
  %q0 = getelementptr i8, ptr %element, i64 <slice>
  %q1 = getelementptr i8, ptr %element, i64 <slice+8>
  %q2 = getelementptr i8, ptr %element, i64 <slice+16>
  %p0 = load ptr, ptr %q0
  %p1 = load ptr, ptr %q1
  %p2 = load ptr, ptr %q2
  %b0 = call i1 @bound(ptr %p0)
  %b1 = call i1 @bound(ptr %p1)
  %b2 = call i1 @bound(ptr %p2)
  %b01 = and i1 %b0, %b1
  %b012 = and i1 %b01, %b2
  %three = select i1 %b012, i64 3, i64 0
  ret i64 %three
}

; Whether a part of a slice is None or an int: others may equal an int and mean something else, or not hash.
define internal i1 @bound(ptr %part) {
  %none = icmp eq ptr %part, @_Py_NoneStruct
  %class = class %part
  %integer = icmp eq ptr %class, @PyLong_Type
  %ok = or i1 %none, %integer
  ret i1 %ok
}

define internal void @place(ptr %items, i64 %at, ptr %object) {
  %q = getelementptr ptr, ptr %items, i64 %at
  call void @Py_IncRef(ptr %object)
  store ptr %object, ptr %q
  ret void
}

; Puts an element's parts into a key from that position on; returns the position after them.
define internal i64 @lay(ptr %items, i64 %at, ptr %element) {
  %class = class %element
  %at1 = add i64 %at, 1
  %cut = icmp eq ptr %class, @PySlice_Type
  br i1 %cut, label %slice, label %other
slice:
  %at2 = add i64 %at, 2
  %at3 = add i64 %at, 3
  %q0 = getelementptr i8, ptr %element, i64 <slice>
  %q1 = getelementptr i8, ptr %element, i64 <slice+8>
  %q2 = getelementptr i8, ptr %element, i64 <slice+16>
  %p0 = load ptr, ptr %q0
  %p1 = load ptr, ptr %q1
  %p2 = load ptr, ptr %q2
  call void @place(ptr %items, i64 %at, ptr %p0)
  call void @place(ptr %items, i64 %at1, ptr %p1)
  call void @place(ptr %items, i64 %at2, ptr %p2)
  ret i64 %at3
other:
  %integer = icmp eq ptr %class, @PyLong_Type
  br i1 %integer, label %int, label %mark
int:
  %row = the row
  %after = add i64 %at, 2
  call void @place(ptr %items, i64 %at, ptr %element)
  call void @place(ptr %items, i64 %at1, ptr %row)
  ret i64 %after
mark:
  %newaxis = icmp eq ptr %element, @_Py_NoneStruct
  %new = the new
  %object = select i1 %newaxis, ptr %new, ptr %element
  call void @place(ptr %items, i64 %at, ptr %object)
  ret i64 %at1
}

; The lens of a key met before: a slice, an int, or a tuple of them, None and Ellipsis. null: leave it to Python.
define internal ptr @view(ptr %base, ptr %key) {
entry:
  %class = class %key
  %several = icmp eq ptr %class, @PyTuple_Type
  br i1 %several, label %tuple, label %single
single:
  %alone = alloca ptr
  store ptr %key, ptr %alone
  br label %measure
tuple:
  %length = call i64 @PyTuple_Size(ptr %key)
  %first = getelementptr i8, ptr %key, i64 <items>
  %some = icmp sgt i64 %length, 0
  br i1 %some, label %measure, label %none
measure:
  %elements = phi ptr [%alone, %single], [%first, %tuple]
  %count = phi i64 [1, %single], [%length, %tuple]
  br label %sum
sum:
  %i = phi i64 [0, %measure], [%i1, %summed]
  %size = phi i64 [1, %measure], [%size1, %summed]
  %eq = getelementptr ptr, ptr %elements, i64 %i
  %element = load ptr, ptr %eq
  %part = call i64 @parts(ptr %element)
  %foreign = icmp eq i64 %part, 0
  br i1 %foreign, label %none, label %summed
summed:
  %size1 = add i64 %size, %part
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %sum, label %build
build:
  %flat = call ptr @PyTuple_New(i64 %size1)
  %failed = icmp eq ptr %flat, null
  br i1 %failed, label %none, label %fill
fill:
  %items = getelementptr i8, ptr %flat, i64 <items>
  call void @place(ptr %items, i64 0, ptr %base)
  br label %lay
lay:
  %j = phi i64 [0, %fill], [%j1, %lay]
  %at = phi i64 [1, %fill], [%at1, %lay]
  %fq = getelementptr ptr, ptr %elements, i64 %j
  %next = load ptr, ptr %fq
  %at1 = call i64 @lay(ptr %items, i64 %at, ptr %next)
  %j1 = add i64 %j, 1
  %again = icmp slt i64 %j1, %count
  br i1 %again, label %lay, label %look
look:
  %views = the views
  %lens = call ptr @lookup(ptr %views, ptr %flat)
  call void @Py_DecRef(ptr %flat)
  ret ptr %lens
none:
  ret ptr null
}

; A view. Views of results that are scalars in NumPy get memory of their own: those are Python's.
define internal ptr @getitem(ptr %self, ptr %key, ptr %own) {
  %class = the array
  %self.class = class %self
  %usual = icmp eq ptr %self.class, %class
  br i1 %usual, label %ours, label %slow
ours:
  %store = get %self Array._store
  %store.class = class %store
  %stores = the store
  %usual.store = icmp eq ptr %store.class, %stores
  %scalar = the scalar
  %locked = get %self Array._locked
  %array.like = icmp ne ptr %locked, %scalar
  %plain = and i1 %usual.store, %array.like
  br i1 %plain, label %look, label %slow
look:
  %base = get %self Array._key
  %lens = call ptr @view(ptr %base, ptr %key)
  %new = icmp eq ptr %lens, null
  br i1 %new, label %slow, label %met
met:
  %array = call ptr @PyType_GenericAlloc(ptr %class, i64 0)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %fail, label %made
made:
  %type = get %lens Lens.type
  call void @Py_IncRef(ptr %store)
  call void @Py_IncRef(ptr %lens)
  call void @Py_IncRef(ptr %type)
  call void @Py_IncRef(ptr %locked)
  put %array Array._store %store
  put %array Array._lens %lens
  put %array Array._key %lens
  put %array Array._type %type
  put %array Array._locked %locked
  ret ptr %array
slow:
  %done = call ptr @python(ptr %own, ptr %self, ptr %key)
  ret ptr %done
fail:
  call void @Py_DecRef(ptr %lens)
  ret ptr null
}

define internal ptr @setitem(ptr %self, ptr %av, i64 %n, ptr %own) {
  %both = icmp eq i64 %n, 2
  br i1 %both, label %begin, label %wrong
begin:
  %key = load ptr, ptr %av
  %item.at = getelementptr ptr, ptr %av, i64 1
  %item = load ptr, ptr %item.at
  %class = the array
  %self.class = class %self
  %usual = icmp eq ptr %self.class, %class
  br i1 %usual, label %ours, label %slow
ours:
  %false = the false
  %locked = get %self Array._locked
  %open = icmp eq ptr %locked, %false
  br i1 %open, label %writable, label %slow
writable:
  %store = get %self Array._store
  %store.class = class %store
  %stores = the store
  %plain = icmp eq ptr %store.class, %stores
  br i1 %plain, label %look, label %slow
look:
  %base = get %self Array._key
  %lens = call ptr @view(ptr %base, ptr %key)
  %new = icmp eq ptr %lens, null
  br i1 %new, label %slow, label %met
met:
  %updates = get %lens Lens.update_signatures
  %item.class = class %item
  %array = icmp eq ptr %item.class, %class
  br i1 %array, label %from.array, label %from.scalar
from.array:
  %item.lens = get %item Array._lens
  %item.store = get %item Array._store
  %same.lens = icmp eq ptr %item.lens, %lens
  %same.store = icmp eq ptr %item.store, %store
  %written = and i1 %same.lens, %same.store
  br i1 %written, label %unchanged, label %array.lookup
unchanged:
  call void @Py_DecRef(ptr %lens)
  br label %out
array.lookup:
  %item.key = get %item Array._key
  %sig2 = call ptr @lookup(ptr %updates, ptr %item.key)
  call void @Py_DecRef(ptr %lens)
  %new2 = icmp eq ptr %sig2, null
  br i1 %new2, label %slow, label %array.met
array.met:
  %direct2 = call i1 @direct(ptr %sig2, ptr %store)
  br i1 %direct2, label %pass2, label %array.number
pass2:
  call void @Py_DecRef(ptr %sig2)
  br label %slow
array.number:
  %b = call ptr @number(ptr %item.store)
  %lost2 = icmp eq ptr %b, null
  br i1 %lost2, label %lose2, label %old2
old2:
  %a2 = call ptr @number(ptr %store)
  %lost3 = icmp eq ptr %a2, null
  br i1 %lost3, label %give, label %pack2
give:
  call void @Py_DecRef(ptr %b)
  br label %lose2
lose2:
  call void @Py_DecRef(ptr %sig2)
  ret ptr null
lose1:
  call void @Py_DecRef(ptr %sig1)
  ret ptr null
pack2:
  %items2 = call ptr (i64, ...) @PyTuple_Pack(i64 3, ptr %sig2, ptr %a2, ptr %b)
  call void @Py_DecRef(ptr %sig2)
  call void @Py_DecRef(ptr %a2)
  call void @Py_DecRef(ptr %b)
  br label %append
from.scalar:
  %sig1 = call ptr @lookup(ptr %updates, ptr %item.class)
  call void @Py_DecRef(ptr %lens)
  %new1 = icmp eq ptr %sig1, null
  br i1 %new1, label %slow, label %check
check:
  %fits = call i1 @fits(ptr %sig1, ptr %item, ptr %item.class)
  br i1 %fits, label %scalar.met, label %pass1
scalar.met:
  %direct1 = call i1 @direct(ptr %sig1, ptr %store)
  br i1 %direct1, label %pass1, label %old1
pass1:
  call void @Py_DecRef(ptr %sig1)
  br label %slow
old1:
  %a1 = call ptr @number(ptr %store)
  %lost1 = icmp eq ptr %a1, null
  br i1 %lost1, label %lose1, label %pack1
pack1:
  %items1 = call ptr (i64, ...) @PyTuple_Pack(i64 2, ptr %sig1, ptr %a1)
  call void @Py_DecRef(ptr %sig1)
  call void @Py_DecRef(ptr %a1)
  br label %append
append:
  %items = phi ptr [%items2, %pack2], [%items1, %pack1]
  %scalar = phi ptr [null, %pack2], [%item, %pack1]
  %no.items = icmp eq ptr %items, null
  br i1 %no.items, label %fail, label %ready
ready:
  %ok = call i1 @append(ptr %items, ptr %scalar, i64 1, ptr %store, ptr null)
  br i1 %ok, label %out, label %fail
out:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
slow:
  call void @PyErr_Clear()
  %function.at = getelementptr ptr, ptr %own, i64 1
  %function = load ptr, ptr %function.at
  %done = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %self, ptr %key, ptr %item, ptr null)
  ret ptr %done
wrong:
  %error = load ptr, ptr @PyExc_TypeError
  call void @PyErr_SetString(ptr %error, ptr @message)
  ret ptr null
fail:
  ret ptr null
}
"""
