"""What a native call makes, in LLVM text: arrays for its outputs, objects around them, the answer; and
what it assigns after the run.

An object that was made for an output of at most KEPT_BYTES is kept, with its array, by the spec. When a
later call finds that nobody else holds the two, it answers with them again: making and freeing them
costs more than all the rest of a call.
"""

from __future__ import annotations

TEXT = """
declare ptr @PyTuple_New(i64)
declare ptr @PyList_New(i64)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)

; An object of an earlier call that nobody holds any more, whose array nobody holds either; or null.
define internal ptr @unheld(ptr %row, ptr %items, ptr %array.type) nounwind {
entry:
  %descr = ldi %row, OUTPUT.descr
  %nd = ldi %row, OUTPUT.nd
  %dims = ldp %row, OUTPUT.dims
  %slot = ldi %row, OUTPUT.slot
  %weak = ldi %row, OUTPUT.weak
  %most = add i64 0, KEPT
search: each %k in %most from entry, search.body, candidate, content, memory, numpy, block, shape else none
  %object = ldp %items, %k
  %refs = ldw %object, 0
  %alone = icmp eq i64 %refs, 1
  br i1 %alone, label %candidate, label %search
candidate:
  %object.weak = ldi %object, %weak
  %array = ldp %object, %slot
  %array.refs = ldw %array, 0
  %type = ldp %array, TYPE
  %a = icmp eq i64 %object.weak, 0
  %b = icmp eq i64 %array.refs, 1
  %c = icmp eq ptr %type, %array.type
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %content, label %search
content:
  ; somebody may have had it in hands, and have changed what it is
  %array.weak = ldi %array, WEAK
  %array.base = ldp %array, BASE
  %array.descr = ldi %array, DESCR
  %array.nd = ldw %array, ND
  %flags = ldw %array, FLAGS
  %d = icmp eq i64 %array.weak, 0
  %e = icmp eq i64 %array.descr, %descr
  %f = icmp eq i64 %array.nd, %nd
  %plain = and i64 %flags, PLAIN
  %g = icmp eq i64 %plain, PLAIN
  %de = and i1 %d, %e
  %fg = and i1 %f, %g
  %all = and i1 %de, %fg
  br i1 %all, label %memory, label %search
memory:
  ; NumPy's, its own; or one of our blocks, held by nobody else
  %owner = ldp %row, OUTPUT.owner
  %numpys = icmp eq ptr %owner, null
  %no.base = icmp eq ptr %array.base, null
  %agree = icmp eq i1 %numpys, %no.base
  br i1 %agree, label %whose, label %search
whose:
  br i1 %numpys, label %numpy, label %block
numpy:
  %own = and i64 %flags, OWNED
  %owned = icmp ne i64 %own, 0
  br i1 %owned, label %shape, label %search
block:
  %base.refs = ldw %array.base, 0
  %base.type = ldp %array.base, TYPE
  %h = icmp eq i64 %base.refs, 1
  %i = icmp eq ptr %base.type, %owner
  %hi = and i1 %h, %i
  br i1 %hi, label %shape, label %search
shape:
  %array.dims = ldp %array, DIMS
  %same = call i1 @equal(ptr %array.dims, ptr %dims, i64 %nd)
  br i1 %same, label %found, label %search
found:
  ret ptr %object
none:
  ret ptr null
}

; A new object is kept for later calls, and the oldest one not any more.
define internal void @keep(ptr %list, ptr %object) nounwind {
entry:
  %items = ldp %list, LIST_ITEMS
  %last = add i64 0, KEPT
  %n = sub i64 %last, 1
  %old = ldp %items, %n
  call void @Py_IncRef(ptr %object)
shift: each %k in %n from entry, shift.body else done
  %from = sub i64 %n, %k.next
  %to = sub i64 %n, %k
  %moved = ldp %items, %from
  stp %moved, %items, %to
  br label %shift
done:
  stp %object, %items, 0
  call void @Py_DecRef(ptr %old)
  ret void
}

; Arrays for the outputs that have none yet: references in `outs`, and in `made` the kept objects that
; come with them; null for those that overwrite an input. 0 with an exception set if it fails.
define internal i1 @outputs(ptr %spec, ptr %outs, ptr %made, ptr %buffers) nounwind {
entry:
  %table = ldp %spec, SPEC.outputs
  %n = ldi %spec, SPEC.n_outputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
  %make = ldp %env, ENV.make_array
  %new.array = ldp %env, ENV.new_array
output: each %o in %n from entry, output.body, keep else yes
  %row.o = row %table, %o, OUTPUT
  %kind = ldi %row.o, OUTPUT.kind
  %buffer = ldi %row.o, OUTPUT.buffer
  switch i64 %kind, label %output [ i64 LARGE, label %new.one  i64 NEW, label %new.one ]
new.one:
  %kept = ldp %row.o, OUTPUT.kept
  %forgets = icmp eq ptr %kept, null
  br i1 %forgets, label %fresh, label %look
look:
  %items = ldp %kept, LIST_ITEMS
  %object = call ptr @unheld(ptr %row.o, ptr %items, ptr %array.type)
  %all.held = icmp eq ptr %object, null
  br i1 %all.held, label %fresh, label %again
again:
  %which = ldi %row.o, OUTPUT.object
  %slot = ldi %row.o, OUTPUT.slot
  %own = ldp %object, %slot
  stp %object, %made, %which
  call void @Py_IncRef(ptr %object)
  call void @Py_IncRef(ptr %own)
  br label %keep
fresh:
  %is.large = icmp eq i64 %kind, LARGE
  br i1 %is.large, label %large, label %small
small:
  %descr = ldp %row.o, OUTPUT.descr
  %nd = ldi %row.o, OUTPUT.nd
  %nd32 = trunc i64 %nd to i32
  %dims = ldp %row.o, OUTPUT.dims
  call void @Py_IncRef(ptr %descr)
  %small.new = call ptr %new.array(ptr %array.type, ptr %descr, i32 %nd32, ptr %dims, ptr null,
                                   ptr null, i32 0, ptr null)
  br label %new
large:
  %make.args = ldp %row.o, OUTPUT.args
  %large.new = call ptr @PyObject_Vectorcall(ptr %make, ptr %make.args, i64 2, ptr null)
  br label %new
new:
  %out.new = phi ptr [ %small.new, %small ], [ %large.new, %large ]
  %failed = icmp eq ptr %out.new, null
  br i1 %failed, label %no, label %keep
keep:
  %out = phi ptr [ %own, %again ], [ %out.new, %new ]
  %data = ldp %out, DATA
  stp %out, %outs, %o
  stp %data, %buffers, %buffer
  br label %output
yes:
  ret i1 1
no:
  ret i1 0
}

; Outputs that overwrite an input go where that lies.
define internal void @aliases(ptr %spec, ptr %arrays, ptr %buffers) nounwind {
entry:
  %table = ldp %spec, SPEC.outputs
  %n = ldi %spec, SPEC.n_outputs
loop: each %o in %n from entry, loop.body, alias else done
  %row.o = row %table, %o, OUTPUT
  %kind = ldi %row.o, OUTPUT.kind
  %is.alias = icmp eq i64 %kind, ALIAS
  br i1 %is.alias, label %alias, label %loop
alias:
  %source = ldi %row.o, OUTPUT.source
  %buffer = ldi %row.o, OUTPUT.buffer
  %array = ldp %arrays, %source
  %data = ldp %array, DATA
  stp %data, %buffers, %buffer
  br label %loop
done:
  ret void
}

; The object, not a new reference, that a row says.
define internal ptr @value(ptr %row, ptr %outs, ptr %made, ptr %args) nounwind {
entry:
  %kind = ldi %row, VALUE.kind
  %constant = ldp %row, VALUE.number
  %number = ldi %row, VALUE.number
  %is.array = icmp eq i64 %kind, ARRAY
  %is.arg = icmp eq i64 %kind, ARGUMENT
  %is.constant = icmp eq i64 %kind, CONSTANT
  br i1 %is.constant, label %as.is, label %indexed
as.is:
  ret ptr %constant
indexed:
  %a = select i1 %is.array, ptr %outs, ptr %made
  %table = select i1 %is.arg, ptr %args, ptr %a
  %object = ldp %table, %number
  ret ptr %object
}

; The objects to make that are not there yet, in order: references in `made`. 0 with an exception set
; if it fails.
define internal i1 @make(ptr %spec, ptr %outs, ptr %made, ptr %args) nounwind {
entry:
  %recipe = ldp %spec, SPEC.made
  %n = ldi %spec, SPEC.n_made
object: each %k in %n from entry, object.body, filled, keep else yes
  %there = ldp %made, %k
  %missing = icmp eq ptr %there, null
  br i1 %missing, label %alloc, label %object
alloc:
  %row.k = row %recipe, %k, OBJECT
  %type = ldp %row.k, OBJECT.type
  %fields = ldp %row.k, OBJECT.fields
  %n.fields = ldi %row.k, OBJECT.n_fields
  %kept = ldp %row.k, OBJECT.kept
  %forgets = icmp eq ptr %kept, null
  %new = call ptr @PyType_GenericAlloc(ptr %type, i64 0)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %fill
fill:
  stp %new, %made, %k
field: each %f in %n.fields from fill, field.body else filled
  %row.f = row %fields, %f, FIELD
  %offset = ldi %row.f, FIELD.offset
  %what = getelementptr i64, ptr %row.f, i64 FIELD.kind
  %value = call ptr @value(ptr %what, ptr %outs, ptr %made, ptr %args)
  call void @Py_IncRef(ptr %value)
  %at.field = getelementptr i8, ptr %new, i64 %offset
  store ptr %value, ptr %at.field
  br label %field
filled:
  br i1 %forgets, label %object, label %keep
keep:
  call void @keep(ptr %kept, ptr %new)
  br label %object
yes:
  ret i1 1
no:
  ret i1 0
}

; The answer, a new reference; null with an exception set if it fails.
define internal ptr @answer(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %stack) nounwind {
entry:
  %program = ldp %spec, SPEC.answer
  %n = ldi %spec, SPEC.n_answer
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %push ]
  %depth = phi i64 [ 0, %entry ], [ %depth.next, %push ]
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %row.k = row %program, %k, VALUE
  %kind = ldi %row.k, VALUE.kind
  %count = ldi %row.k, VALUE.number
  %is.value = icmp ule i64 %kind, ARGUMENT
  br i1 %is.value, label %one, label %container
one:
  %value = call ptr @value(ptr %row.k, ptr %outs, ptr %made, ptr %args)
  call void @Py_IncRef(ptr %value)
  br label %push
container:
  %is.dict = icmp eq i64 %kind, DICT
  br i1 %is.dict, label %dict, label %sequence

sequence:
  %from.seq = sub i64 %depth, %count
  %is.list = icmp eq i64 %kind, LIST
  br i1 %is.list, label %list, label %tuple
tuple:
  %tuple.new = call ptr @PyTuple_New(i64 %count)
  br label %sequence.made
list:
  %list.new = call ptr @PyList_New(i64 %count)
  br label %sequence.made
sequence.made:
  %seq = phi ptr [ %tuple.new, %tuple ], [ %list.new, %list ]
  %no.seq = icmp eq ptr %seq, null
  br i1 %no.seq, label %fail, label %items
items:
  %in.tuple = getelementptr i64, ptr %seq, i64 TUPLE_ITEMS
  %at.items = getelementptr i64, ptr %seq, i64 LIST_ITEMS
  br i1 %is.list, label %items.list, label %fill
items.list:
  %in.list = load ptr, ptr %at.items
  br label %fill
fill:
  %into = phi ptr [ %in.tuple, %items ], [ %in.list, %items.list ]
place: each %j in %count from fill, place.body else push
  %from.j = add i64 %from.seq, %j
  %item = ldp %stack, %from.j
  stp %item, %into, %j
  br label %place

dict:
  %words = mul i64 %count, 2
  %from.dict = sub i64 %depth, %words
  %first = getelementptr ptr, ptr %stack, i64 %from.dict
  %dict.new = call ptr @PyDict_New()
  %no.dict = icmp eq ptr %dict.new, null
  br i1 %no.dict, label %fail, label %pair
pair:
  %p = phi i64 [ 0, %dict ], [ %p.next, %pair.set ]
  %more.pairs = icmp slt i64 %p, %words
  br i1 %more.pairs, label %pair.set, label %dict.made
pair.set:
  %p.value = add i64 %p, 1
  %p.next = add i64 %p, 2
  %key = ldp %first, %p
  %content = ldp %first, %p.value
  %status = call i32 @PyDict_SetItem(ptr %dict.new, ptr %key, ptr %content)
  %set = icmp eq i32 %status, 0
  br i1 %set, label %pair, label %dict.fail
dict.fail:
  call void @Py_DecRef(ptr %dict.new)
  br label %fail
dict.made:
  call void @release(ptr %first, i64 %words)
  br label %push

push:
  %new = phi ptr [ %value, %one ], [ %seq, %place ], [ %dict.new, %dict.made ]
  %at = phi i64 [ %depth, %one ], [ %from.seq, %place ], [ %from.dict, %dict.made ]
  stp %new, %stack, %at
  %depth.next = add i64 %at, 1
  br label %loop
fail:
  call void @release(ptr %stack, i64 %depth)
  ret ptr null
done:
  %answer = load ptr, ptr %stack
  ret ptr %answer
}

; The objects whose slots are to be assigned: references in `targets`.
define internal void @targets(ptr %spec, ptr %args, ptr %targets) nounwind {
entry:
  %stores = ldp %spec, SPEC.stores
  %n = ldi %spec, SPEC.n_stores
loop: each %k in %n from entry, found else done
  %row.k = row %stores, %k, STORE
  %hop = ldi %row.k, STORE.hop
  %target = call ptr @start(ptr %row.k, ptr %args)
  %direct = icmp slt i64 %hop, 0
  br i1 %direct, label %found, label %through
through:
  %at.inner = getelementptr i8, ptr %target, i64 %hop
  %inner = load ptr, ptr %at.inner
  br label %found
found:
  %object = phi ptr [ %target, %loop.body ], [ %inner, %through ]
  call void @Py_IncRef(ptr %object)
  stp %object, %targets, %k
  br label %loop
done:
  ret void
}

; Assign what is to be assigned, then let go of what was there: that may run any code.
define internal void @assign(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %targets, ptr %olds) nounwind {
entry:
  %stores = ldp %spec, SPEC.stores
  %n = ldi %spec, SPEC.n_stores
loop: each %k in %n from entry, loop.body else done
  %row.k = row %stores, %k, STORE
  %offset = ldi %row.k, STORE.offset
  %what = getelementptr i64, ptr %row.k, i64 STORE.kind
  %object = ldp %targets, %k
  %value = call ptr @value(ptr %what, ptr %outs, ptr %made, ptr %args)
  call void @Py_IncRef(ptr %value)
  %at.slot = getelementptr i8, ptr %object, i64 %offset
  %old = load ptr, ptr %at.slot
  store ptr %value, ptr %at.slot
  stp %old, %olds, %k
  br label %loop
done:
  call void @release(ptr %olds, i64 %n)
  call void @release(ptr %targets, i64 %n)
  ret void
}
"""
