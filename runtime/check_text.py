"""The checks of the native call path in LLVM text: does what a spec relies on still hold?

Objects are compared by identity: the spec keeps those it knows alive, so none can take the address
of another. What has become an equal but other object counts as a change; Python then looks closer.
"""

from __future__ import annotations

TEXT = """
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)
declare i64 @PyDict_Size(ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare void @PyErr_Clear()

; Where a row starts: argument `which`, or the object at that address.
define internal ptr @start(ptr %row, ptr %args) nounwind {
entry:
  %is.object = ldi %row, PLACE.is_object
  %object = ldp %row, PLACE.which
  %which = ldi %row, PLACE.which
  %own = icmp ne i64 %is.object, 0
  br i1 %own, label %known, label %given
known:
  ret ptr %object
given:
  %arg = ldp %args, %which
  ret ptr %arg
}

; Whether `n` words at `a` and at `b` are the same.
define internal i1 @equal(ptr %a, ptr %b, i64 %n) nounwind {
entry:
loop: each %k in %n from entry, loop.body else yes
  %x = ldi %a, %k
  %y = ldi %b, %k
  %same = icmp eq i64 %x, %y
  br i1 %same, label %loop, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

define internal i1 @check(ptr %checks, i64 %n, ptr %args) nounwind {
entry:
  %found = alloca ptr
  %position = alloca i64
  %pair = alloca ptr, i64 2
  %pair.value = getelementptr ptr, ptr %pair, i64 1
loop: each %k in %n from entry, verdict else yes
  %row = row %checks, %k, CHECK
  %kind = ldi %row, CHECK.kind
  %key = ldi %row, CHECK.key
  %key.object = ldp %row, CHECK.key
  %want = ldp %row, CHECK.want
  %object = call ptr @start(ptr %row, ptr %args)
  switch i64 %kind, label %no [
    i64 IS, label %is
    i64 OF_TYPE, label %of.type
    i64 SLOT, label %slot
    i64 DIFFERS, label %differs
    i64 OUTSIDE, label %outside
    i64 ITEM, label %item
    i64 PAIRS, label %pairs
    i64 ITEMS, label %items
    i64 ATTRIBUTE, label %attribute
    i64 CALL, label %call
    i64 CONTEXT, label %context
    i64 VARIABLE, label %variable
  ]
is:
  %is.ok = icmp eq ptr %object, %want
  br label %verdict
of.type:
  %type = ldp %object, TYPE
  %type.ok = icmp eq ptr %type, %want
  br label %verdict
slot:
  ; `key` bytes into the object
  %at.slot = getelementptr i8, ptr %object, i64 %key
  %content = load ptr, ptr %at.slot
  %slot.ok = icmp eq ptr %content, %want
  br label %verdict
differs:
  ; another object than argument `key`
  %other = ldp %args, %key
  %differs.ok = icmp ne ptr %object, %other
  br label %verdict

outside:
  ; none of the `key` objects of the table `want`
  %o = phi i64 [ 0, %loop.body ], [ %o.next, %outside.body ]
  %more.outside = icmp slt i64 %o, %key
  br i1 %more.outside, label %outside.body, label %verdict
outside.body:
  %one = ldp %want, %o
  %o.next = add i64 %o, 1
  %met = icmp eq ptr %one, %object
  br i1 %met, label %no, label %outside

item:
  ; the dict has this value, or none
  %value = call ptr @PyDict_GetItemWithError(ptr %object, ptr %key.object)
  %none = icmp eq ptr %value, null
  br i1 %none, label %item.missing, label %item.compare
item.missing:
  call void @PyErr_Clear()
  br label %item.compare
item.compare:
  %item.ok = icmp eq ptr %value, %want
  br label %verdict

pairs:
  ; the dict has the `key` pairs of the table `want`, in this order, and no others
  %size = call i64 @PyDict_Size(ptr %object)
  %same.size = icmp eq i64 %size, %key
  store i64 0, ptr %position
  br i1 %same.size, label %pairs.loop, label %no
pairs.loop:
  %p = phi i64 [ 0, %pairs ], [ %p.next, %pairs.next ]
  %there = call i32 @PyDict_Next(ptr %object, ptr %position, ptr %pair, ptr %pair.value)
  %another = icmp ne i32 %there, 0
  br i1 %another, label %pairs.next, label %verdict
pairs.next:
  %expected = getelementptr i64, ptr %want, i64 %p
  %p.next = add i64 %p, 2
  %pair.ok = call i1 @equal(ptr %pair, ptr %expected, i64 2)
  br i1 %pair.ok, label %pairs.loop, label %no

items:
  ; the list has the `key` items of the table `want`
  %length = ldi %object, SIZE_OF
  %same.length = icmp eq i64 %length, %key
  br i1 %same.length, label %items.compare, label %no
items.compare:
  %list = ldp %object, LIST_ITEMS
  %items.ok = call i1 @equal(ptr %list, ptr %want, i64 %key)
  br label %verdict

attribute:
  %attr = call ptr @PyObject_GetAttr(ptr %object, ptr %key.object)
  %attr.ok = icmp eq ptr %attr, %want
  br label %drop
call:
  %returned = call ptr @PyObject_CallNoArgs(ptr %object)
  %call.ok = icmp eq ptr %returned, %want
  br label %drop
drop:
  %new = phi ptr [ %attr, %attribute ], [ %returned, %call ]
  %drop.ok = phi i1 [ %attr.ok, %attribute ], [ %call.ok, %call ]
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %error, label %dropped
dropped:
  call void @Py_DecRef(ptr %new)
  br label %verdict
error:
  call void @PyErr_Clear()
  ret i1 0

variable:
  ; the context variable has this value, or none
  store ptr null, ptr %found
  %asked = call i32 @PyContextVar_Get(ptr %object, ptr null, ptr %found)
  %now = load ptr, ptr %found
  %variable.same = icmp eq ptr %now, %want
  %answered = icmp eq i32 %asked, 0
  %variable.ok = and i1 %variable.same, %answered
  call void @Py_DecRef(ptr %now)
  br i1 %answered, label %verdict, label %error

context:
  ; the variable holds a tuple of the `key` items of the table `want`
  store ptr null, ptr %found
  %status = call i32 @PyContextVar_Get(ptr %object, ptr null, ptr %found)
  %tuple = load ptr, ptr %found
  %no.value = icmp eq ptr %tuple, null
  br i1 %no.value, label %error, label %context.size
context.size:
  %width = ldi %tuple, SIZE_OF
  %same.width = icmp eq i64 %width, %key
  %first = getelementptr i64, ptr %tuple, i64 TUPLE_ITEMS
  %compared = select i1 %same.width, i64 %key, i64 0
  %same.items = call i1 @equal(ptr %first, ptr %want, i64 %compared)
  %context.ok = and i1 %same.width, %same.items
  call void @Py_DecRef(ptr %tuple)
  br label %verdict

verdict:
  %ok = phi i1 [ %is.ok, %is ], [ %type.ok, %of.type ], [ %slot.ok, %slot ],
               [ %differs.ok, %differs ], [ true, %outside ], [ %item.ok, %item.compare ],
               [ true, %pairs.loop ], [ %items.ok, %items.compare ], [ %drop.ok, %dropped ],
               [ %context.ok, %context.size ],
               [ %variable.ok, %variable ]
  br i1 %ok, label %loop, label %no
yes:
  ret i1 1
no:
  ret i1 0
}
"""
