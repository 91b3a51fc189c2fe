"""Operators of arrays as methods that record: the LLVM IR texts of `backends.recording.methods`, in its abbreviations.

Duty: for an instruction met before, operands' numbers, a result's new store, and one append to the window. It must not know
which operation a method stands for: each has its own table of signatures.
"""

from typing import Final

__all__ = ["OPERATORS_TEXT"]

OPERATORS_TEXT: Final = """
; What an instruction of one array and perhaps a scalar makes: recorded, or computed at once of `left` and `right` (null: none).
; Takes over sig.
define internal ptr @alone(ptr %sig, ptr %array, ptr %left, ptr %right, ptr %scalar) {
  %store = get %array Array._store
  %direct = call i1 @direct(ptr %sig, ptr %store)
  br i1 %direct, label %now, label %take
now:
  %done = call ptr @now(ptr %sig, ptr %left, ptr %right)
  ret ptr %done
take:
  %a = call ptr @number(ptr %store)
  %lost = icmp eq ptr %a, null
  br i1 %lost, label %fail, label %record
record:
  %made = call ptr @made(ptr %sig, ptr %a, ptr null, ptr %scalar)
  ret ptr %made
fail:
  call void @Py_DecRef(ptr %sig)
  ret ptr null
}

; left op right: two arrays, or an array and a scalar of a class met before. NotImplemented (lent): leave it to Python.
define internal ptr @two(ptr %self, ptr %other, ptr %table) {
  %class = the array
  %self.class = class %self
  %usual = icmp eq ptr %self.class, %class
  br i1 %usual, label %ours, label %slow
ours:
  %key = get %self Array._key
  %other.class = class %other
  %arrays = icmp eq ptr %other.class, %class
  %x = get %self Array._store
  %x.value = get %x Store.value
  %x.settled = icmp eq ptr %x.value, @_Py_NoneStruct
  br i1 %arrays, label %both, label %scaled
both:
  %other.key = get %other Array._key
  %sig2 = call ptr @known(ptr %table, ptr %key, ptr %other.key)
  %new2 = icmp eq ptr %sig2, null
  br i1 %new2, label %slow, label %met
met:
  %y = get %other Array._store
  br i1 %x.settled, label %first, label %number
first:
  %y.value = get %y Store.value
  %y.settled = icmp eq ptr %y.value, @_Py_NoneStruct
  br i1 %y.settled, label %whether, label %number
whether:
  %direct2 = call i1 @at_once(ptr %sig2)
  br i1 %direct2, label %now2, label %number
number:
  %a2 = call ptr @number(ptr %x)
  %lost = icmp eq ptr %a2, null
  br i1 %lost, label %fail2, label %second
second:
  %b2 = call ptr @number(ptr %y)
  %lost2 = icmp eq ptr %b2, null
  br i1 %lost2, label %give, label %pair
pair:
  %r2 = call ptr @made(ptr %sig2, ptr %a2, ptr %b2, ptr null)
  ret ptr %r2
give:
  call void @Py_DecRef(ptr %a2)
  br label %fail2
fail2:
  call void @Py_DecRef(ptr %sig2)
  ret ptr null
now2:
  %done2 = call ptr @now(ptr %sig2, ptr %self, ptr %other)
  ret ptr %done2
scaled:
  %sig1 = call ptr @known(ptr %table, ptr %key, ptr %other.class)
  %new1 = icmp eq ptr %sig1, null
  br i1 %new1, label %slow, label %check
check:
  %fits = call i1 @fits(ptr %sig1, ptr %other, ptr %other.class)
  br i1 %fits, label %single, label %slow1
single:
  %r1 = call ptr @alone(ptr %sig1, ptr %self, ptr %self, ptr %other, ptr %other)
  ret ptr %r1
slow:
  ret ptr @_Py_NotImplementedStruct
slow1:
  call void @Py_DecRef(ptr %sig1)
  br label %slow
}

define internal ptr @binary(ptr %self, ptr %other, ptr %own) {
  %table = load ptr, ptr %own
  %made = call ptr @two(ptr %self, ptr %other, ptr %table)
  %slow = icmp eq ptr %made, @_Py_NotImplementedStruct
  br i1 %slow, label %python, label %out
python:
  %done = call ptr @python(ptr %own, ptr %self, ptr %other)
  ret ptr %done
out:
  ret ptr %made
}

; scalar op array: the table has the scalar's class first.
define internal ptr @reflected(ptr %self, ptr %other, ptr %own) {
  %class = the array
  %self.class = class %self
  %usual = icmp eq ptr %self.class, %class
  br i1 %usual, label %ours, label %slow
ours:
  %table = load ptr, ptr %own
  %key = get %self Array._key
  %other.class = class %other
  %sig = call ptr @known(ptr %table, ptr %other.class, ptr %key)
  %new = icmp eq ptr %sig, null
  br i1 %new, label %slow, label %check
check:
  %fits = call i1 @fits(ptr %sig, ptr %other, ptr %other.class)
  br i1 %fits, label %record, label %pass
record:
  %r = call ptr @alone(ptr %sig, ptr %self, ptr %other, ptr %self, ptr %other)
  ret ptr %r
slow:
  %done = call ptr @python(ptr %own, ptr %self, ptr %other)
  ret ptr %done
pass:
  call void @Py_DecRef(ptr %sig)
  br label %slow
}

; op array, as `@two`.
define internal ptr @one(ptr %self, ptr %table) {
  %class = the array
  %self.class = class %self
  %usual = icmp eq ptr %self.class, %class
  br i1 %usual, label %ours, label %slow
ours:
  %key = get %self Array._key
  %key1 = call ptr (i64, ...) @PyTuple_Pack(i64 1, ptr %key)
  %failed = icmp eq ptr %key1, null
  br i1 %failed, label %fail, label %look
look:
  %sig = call ptr @lookup(ptr %table, ptr %key1)
  call void @Py_DecRef(ptr %key1)
  %new = icmp eq ptr %sig, null
  br i1 %new, label %slow, label %met
met:
  %r = call ptr @alone(ptr %sig, ptr %self, ptr %self, ptr null, ptr null)
  ret ptr %r
slow:
  ret ptr @_Py_NotImplementedStruct
fail:
  ret ptr null
}

define internal ptr @unary(ptr %self, ptr %own) {
  %table = load ptr, ptr %own
  %made = call ptr @one(ptr %self, ptr %table)
  %slow = icmp eq ptr %made, @_Py_NotImplementedStruct
  br i1 %slow, label %python, label %out
python:
  %done = call ptr @python(ptr %own, ptr %self, ptr null)
  ret ptr %done
out:
  ret ptr %made
}

; A universal function: `table` is the name of the attribute that holds its table.
define internal ptr @ufunc(ptr %self, ptr %av, i64 %n, ptr %names, ptr %own) {
entry:
  %unnamed = icmp eq ptr %names, null
  %single = icmp eq i64 %n, 1
  %double = icmp eq i64 %n, 2
  %few = or i1 %single, %double
  %usual = and i1 %unnamed, %few
  br i1 %usual, label %ask, label %slow
ask:
  %name = load ptr, ptr %own
  %table = call ptr @PyObject_GetAttr(ptr %self, ptr %name)
  %strange = icmp eq ptr %table, null
  br i1 %strange, label %slow, label %first
first:
  %x = load ptr, ptr %av
  %class = class %table
  %quick = icmp eq ptr %class, @PyDict_Type
  br i1 %quick, label %count, label %pass
count:
  br i1 %single, label %one, label %two
one:
  %made1 = call ptr @one(ptr %x, ptr %table)
  br label %made
two:
  %y.at = getelementptr ptr, ptr %av, i64 1
  %y = load ptr, ptr %y.at
  %made2 = call ptr @two(ptr %x, ptr %y, ptr %table)
  br label %made
made:
  %array = phi ptr [%made1, %one], [%made2, %two]
  call void @Py_DecRef(ptr %table)
  %python = icmp eq ptr %array, @_Py_NotImplementedStruct
  br i1 %python, label %slow, label %out
out:
  ret ptr %array
pass:
  call void @Py_DecRef(ptr %table)
  br label %slow
slow:
  call void @PyErr_Clear()
  br i1 %unnamed, label %gather, label %named
named:
  %extra = call i64 @PyTuple_Size(ptr %names)
  br label %gather
gather:
  %named.count = phi i64 [0, %slow], [%extra, %named]
  %given = add i64 %n, %named.count
  %all = add i64 %given, 1
  %words = alloca ptr, i64 %all
  store ptr %self, ptr %words
  %rest = getelementptr ptr, ptr %words, i64 1
  %bytes = mul i64 %given, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %av, i64 %bytes, i1 false)
  %positional = add i64 %n, 1
  %function.at = getelementptr ptr, ptr %own, i64 1
  %function = load ptr, ptr %function.at
  %done = call ptr @PyObject_Vectorcall(ptr %function, ptr %words, i64 %positional, ptr %names)
  ret ptr %done
}

; left op= right, of a whole array or of a view that one signature updates.
define internal ptr @in_place(ptr %self, ptr %other, ptr %own) {
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
  %table = load ptr, ptr %own
  %key = get %self Array._key
  %other.class = class %other
  %arrays = icmp eq ptr %other.class, %class
  br i1 %arrays, label %keyed, label %lookup
keyed:
  %other.key = get %other Array._key
  br label %lookup
lookup:
  %second = phi ptr [%other.class, %writable], [%other.key, %keyed]
  %sig = call ptr @known(ptr %table, ptr %key, ptr %second)
  %new = icmp eq ptr %sig, null
  br i1 %new, label %slow, label %met
met:
  br i1 %arrays, label %shown, label %check
check:
  %integer = icmp eq ptr %other.class, @PyLong_Type
  %float = icmp eq ptr %other.class, @PyFloat_Type
  %number = or i1 %integer, %float
  br i1 %number, label %bounds, label %pass
bounds:
  %fits = call i1 @fits(ptr %sig, ptr %other, ptr %other.class)
  br i1 %fits, label %shown, label %pass
shown:
  %sig.type = get %sig Signature.type
  %self.type = get %self Array._type
  %lens = get %self Array._lens
  %whole = icmp eq ptr %lens, @_Py_NoneStruct
  br i1 %whole, label %same, label %part
same:
  %equal = icmp eq ptr %sig.type, %self.type
  br i1 %equal, label %go, label %pass
part:
  %updates = get %lens Lens.update_signatures
  %update = call ptr @lookup(ptr %updates, ptr %sig.type)
  %strange = icmp eq ptr %update, null
  br i1 %strange, label %pass, label %compare
compare:
  %sig.dtype = get %sig.type ArrayType.dtype
  %self.dtype = get %self.type ArrayType.dtype
  %like = icmp eq ptr %sig.dtype, %self.dtype
  br i1 %like, label %go, label %unlike
unlike:
  call void @Py_DecRef(ptr %update)
  br label %pass
go:
  %change = phi ptr [null, %same], [%update, %compare]
  %store = get %self Array._store
  %mark = select i1 %whole, ptr %sig, ptr %change
  %direct = call i1 @direct(ptr %mark, ptr %store)
  br i1 %direct, label %leave, label %record
record:
  br i1 %arrays, label %operand, label %target
operand:
  %y = get %other Array._store
  %y.number = call ptr @number(ptr %y)
  %lost1 = icmp eq ptr %y.number, null
  br i1 %lost1, label %lose, label %target
target:
  %b = phi ptr [null, %record], [%y.number, %operand]
  %scalar = phi ptr [%other, %record], [null, %operand]
  %a = call ptr @number(ptr %store)
  %lost2 = icmp eq ptr %a, null
  br i1 %lost2, label %give, label %put
put:
  %w = the window
  %n = get %w Window.n
  %single = icmp eq ptr %b, null
  br i1 %whole, label %whole.items, label %part.items
whole.items:
  br i1 %single, label %w1, label %w2
w1:
  %iw1 = call ptr (i64, ...) @PyTuple_Pack(i64 2, ptr %sig, ptr %a)
  br label %append
w2:
  %iw2 = call ptr (i64, ...) @PyTuple_Pack(i64 3, ptr %sig, ptr %a, ptr %b)
  br label %append
part.items:
  br i1 %single, label %p1, label %p2
p1:
  %ip1 = call ptr (i64, ...) @PyTuple_Pack(i64 5, ptr %sig, ptr %a, ptr %change, ptr %a, ptr %n)
  br label %append
p2:
  %ip2 = call ptr (i64, ...) @PyTuple_Pack(i64 6, ptr %sig, ptr %a, ptr %b, ptr %change, ptr %a, ptr %n)
  br label %append
append:
  %items = phi ptr [%iw1, %w1], [%iw2, %w2], [%ip1, %p1], [%ip2, %p2]
  %count = phi i64 [1, %w1], [1, %w2], [2, %p1], [2, %p2]
  call void @Py_DecRef(ptr %a)
  call void @drop(ptr %b)
  call void @drop(ptr %change)
  call void @Py_DecRef(ptr %sig)
  %no.items = icmp eq ptr %items, null
  br i1 %no.items, label %fail, label %ready
ready:
  %ok = call i1 @append(ptr %items, ptr %scalar, i64 %count, ptr %store, ptr null)
  br i1 %ok, label %out, label %fail
out:
  call void @Py_IncRef(ptr %self)
  ret ptr %self
slow:
  %done = call ptr @python(ptr %own, ptr %self, ptr %other)
  ret ptr %done
pass:
  call void @Py_DecRef(ptr %sig)
  br label %slow
leave:
  call void @drop(ptr %change)
  br label %pass
give:
  call void @drop(ptr %b)
  br label %lose
lose:
  call void @drop(ptr %change)
  call void @Py_DecRef(ptr %sig)
  ret ptr null
fail:
  ret ptr null
}
"""
