"""The native call path in LLVM text: a CPython function that checks its arguments and runs a plan.

    ptr call(ptr self, ptr args, i64 nargs, ptr kwnames)        METH_FASTCALL | METH_KEYWORDS

`self` is a tuple (specs, fallback, latest). `specs` is a list of tuples whose first item is an
int64 array, a spec (`call_layout.py`): what one signature takes, relies on, and gives. The first
spec that fits runs, and its address is left in the array `latest`; if none does, `fallback` is
called with the arguments as they came. Nothing outside is changed before the run, and all that can
fail comes before it.
"""

from __future__ import annotations

from . import check_text
from .call_layout import expand

_DECLARATIONS = """
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyTuple_New(i64)
declare ptr @PyList_New(i64)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare i64 @llvm.umin.i64(i64, i64)
"""

_ARRAY_OF = """
; The array that the input `rule` finds at `start`, if it is what the plan needs; else null.
define internal ptr @array_of(ptr %start, ptr %rule, ptr %array.type) nounwind {
entry:
  %chain = ldp %rule, INPUT.chain
  %links = ldi %rule, INPUT.n_chain
  %descr = ldp %rule, INPUT.descr
  %nd = ldi %rule, INPUT.nd
  %dims = ldp %rule, INPUT.dims
  %exclusive.word = ldi %rule, INPUT.exclusive
  %shared.is.fine = icmp eq i64 %exclusive.word, 0
  br label %look
look:
  %obj = phi ptr [ %start, %entry ], [ %inner, %follow ]
  %k = phi i64 [ 0, %entry ], [ %k.next, %follow ]
  %link = phi ptr [ %chain, %entry ], [ %link.next, %follow ]
  %type = ldp %obj, TYPE
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %check, label %more
more:
  %ended = icmp sge i64 %k, %links
  br i1 %ended, label %wrong, label %step
step:
  %expected = ldp %link, LINK.type
  %offset = ldi %link, LINK.offset
  %same.type = icmp eq ptr %type, %expected
  br i1 %same.type, label %inside, label %wrong
inside:
  ; where the chain starts is known to many; what is on the way, perhaps to nobody else
  %refs = ldw %obj, 0
  %one.holder = icmp eq i64 %refs, 1
  %first = icmp eq i64 %k, 0
  %fine = or i1 %first, %shared.is.fine
  %passes = or i1 %fine, %one.holder
  br i1 %passes, label %lead, label %wrong
lead:
  %at.inner = getelementptr i8, ptr %obj, i64 %offset
  %inner = load ptr, ptr %at.inner
  %empty = icmp eq ptr %inner, null
  %k.next = add i64 %k, 1
  %link.next = getelementptr i64, ptr %link, i64 2
  br i1 %empty, label %wrong, label %follow
follow:
  br label %look
check:
  %obj.descr = ldp %obj, DESCR
  %obj.nd = ldw %obj, ND
  %obj.flags = ldw %obj, FLAGS
  %obj.dims = ldp %obj, DIMS
  %a = icmp eq ptr %obj.descr, %descr
  %b = icmp eq i64 %obj.nd, %nd
  %masked = and i64 %obj.flags, READABLE
  %c = icmp eq i64 %masked, READABLE
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %extents, label %wrong
extents:
  %d = phi i64 [ 0, %check ], [ %d.next, %extent ]
  %some = icmp slt i64 %d, %nd
  br i1 %some, label %extent, label %right
extent:
  %have = ldi %obj.dims, %d
  %want = ldi %dims, %d
  %d.next = add i64 %d, 1
  %equal = icmp eq i64 %have, %want
  br i1 %equal, label %extents, label %wrong
right:
  ret ptr %obj
wrong:
  ret ptr null
}
"""

_RELEASE = """
; Give back references; null is none.
define internal void @release(ptr %objects, i64 %n) nounwind {
entry:
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %body ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %object = ldp %objects, %k
  call void @Py_DecRef(ptr %object)
  %k.next = add i64 %k, 1
  br label %loop
done:
  ret void
}

define internal void @clear(ptr %objects, i64 %n) nounwind {
entry:
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %body ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %at = getelementptr ptr, ptr %objects, i64 %k
  store ptr null, ptr %at
  %k.next = add i64 %k, 1
  br label %loop
done:
  ret void
}
"""

_MAY_OVERWRITE = """
; Whether the array of input `mine` may be overwritten: writeable, held by nobody else, and apart
; from the other inputs.
define internal i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, ptr %row, ptr %array) nounwind {
entry:
  %most = ldi %row, INPUT.max_refs
  %size = ldi %row, INPUT.nbytes
  %flags = ldw %array, FLAGS
  %refs = ldw %array, 0
  %lo = ldi %array, DATA
  %hi = add i64 %lo, %size
  %writeable.bit = and i64 %flags, WRITEABLE
  %a = icmp ne i64 %writeable.bit, 0
  %b = icmp ule i64 %refs, %most
  %ab = and i1 %a, %b
  br i1 %ab, label %memory, label %no
memory:
  ; its own memory, which nobody else can see; or that of an array of the same kind, or of one of our
  ; blocks, which nobody else holds
  %holder = phi ptr [ %array, %entry ], [ %base, %base.array ]
  %base = ldp %holder, BASE
  %based = icmp ne ptr %base, null
  br i1 %based, label %base.refs, label %own
own:
  %own.flags = ldw %holder, FLAGS
  %own.bit = and i64 %own.flags, OWNED
  %owned = icmp ne i64 %own.bit, 0
  br i1 %owned, label %yes, label %no
base.refs:
  %base.count = ldw %base, 0
  %base.alone = icmp eq i64 %base.count, 1
  br i1 %base.alone, label %base.type, label %no
base.type:
  %type = ldp %base, TYPE
  %ours = ldp %row, INPUT.owner
  %is.ours = icmp eq ptr %type, %ours
  br i1 %is.ours, label %loop.start, label %base.other
base.other:
  %array.type = ldp %array, TYPE
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %base.array, label %no
base.array:
  br label %memory
loop.start:
  br label %loop
loop:
  %k = phi i64 [ 0, %loop.start ], [ %k.next, %next ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %yes
body:
  %k.next = add i64 %k, 1
  %other = ldp %arrays, %k
  %self = icmp eq ptr %other, %array
  br i1 %self, label %next, label %compare
compare:
  %entry.k = row %inputs, %k, INPUT
  %other.size = ldi %entry.k, INPUT.nbytes
  %other.lo = ldi %other, DATA
  %other.hi = add i64 %other.lo, %other.size
  %before = icmp ule i64 %hi, %other.lo
  %after = icmp ule i64 %other.hi, %lo
  %apart = or i1 %before, %after
  br i1 %apart, label %next, label %no
next:
  br label %loop
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_GATHER = """
; The arrays of all inputs, and where their data lies. 0 if one is not what the plan needs.
define internal i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers) nounwind {
entry:
  %inputs = ldp %spec, SPEC.inputs
  %n = ldi %spec, SPEC.n_inputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
  br label %input
input:
  %i = phi i64 [ 0, %entry ], [ %i.next, %input.ok ]
  %more.inputs = icmp slt i64 %i, %n
  br i1 %more.inputs, label %input.body, label %alias
input.body:
  %row.i = row %inputs, %i, INPUT
  %from = call ptr @start(ptr %row.i, ptr %args)
  %array = call ptr @array_of(ptr %from, ptr %row.i, ptr %array.type)
  %missing = icmp eq ptr %array, null
  br i1 %missing, label %no, label %input.ok
input.ok:
  %at.array = getelementptr ptr, ptr %arrays, i64 %i
  store ptr %array, ptr %at.array
  %data = ldp %array, DATA
  %buffer = ldi %row.i, INPUT.buffer
  %at.buffer = getelementptr ptr, ptr %buffers, i64 %buffer
  store ptr %data, ptr %at.buffer
  %i.next = add i64 %i, 1
  br label %input
alias:
  %v = phi i64 [ 0, %input ], [ %v.next, %alias.next ]
  %more.aliases = icmp slt i64 %v, %n
  br i1 %more.aliases, label %alias.body, label %yes
alias.body:
  %row.v = row %inputs, %v, INPUT
  %most = ldi %row.v, INPUT.max_refs
  %is.alias = icmp ne i64 %most, 0
  br i1 %is.alias, label %alias.check, label %alias.next
alias.check:
  %taken = ldp %arrays, %v
  %may = call i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, ptr %row.v, ptr %taken)
  br i1 %may, label %alias.next, label %no
alias.next:
  %v.next = add i64 %v, 1
  br label %alias
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_OUTPUTS = """
; New arrays for the outputs: references in `outs`, null for those that overwrite an input. 0 with an
; exception set if it fails.
define internal i1 @outputs(ptr %spec, ptr %outs, ptr %buffers) nounwind {
entry:
  %table = ldp %spec, SPEC.outputs
  %n = ldi %spec, SPEC.n_outputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
  %make = ldp %env, ENV.make_array
  %new.array = ldp %env, ENV.new_array
  br label %output
output:
  %o = phi i64 [ 0, %entry ], [ %o.next, %next ]
  %more = icmp slt i64 %o, %n
  br i1 %more, label %body, label %yes
body:
  %row.o = row %table, %o, OUTPUT
  %kind = ldi %row.o, OUTPUT.kind
  %buffer = ldi %row.o, OUTPUT.buffer
  %o.next = add i64 %o, 1
  switch i64 %kind, label %small [ i64 LARGE, label %large  i64 ALIAS, label %next ]
small:
  %descr = ldp %row.o, OUTPUT.descr
  %nd = ldi %row.o, OUTPUT.nd
  %nd32 = trunc i64 %nd to i32
  %dims = ldp %row.o, OUTPUT.dims
  call void @Py_IncRef(ptr %descr)
  %small.new = call ptr %new.array(ptr %array.type, ptr %descr, i32 %nd32, ptr %dims, ptr null,
                                   ptr null, i32 0, ptr null)
  br label %made
large:
  %make.args = ldp %row.o, OUTPUT.args
  %large.new = call ptr @PyObject_Vectorcall(ptr %make, ptr %make.args, i64 2, ptr null)
  br label %made
made:
  %out = phi ptr [ %small.new, %small ], [ %large.new, %large ]
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %no, label %keep
keep:
  %at.out = getelementptr ptr, ptr %outs, i64 %o
  store ptr %out, ptr %at.out
  %data = ldp %out, DATA
  %at.buffer = getelementptr ptr, ptr %buffers, i64 %buffer
  store ptr %data, ptr %at.buffer
  br label %next
next:
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
  br label %loop
loop:
  %o = phi i64 [ 0, %entry ], [ %o.next, %next ]
  %more = icmp slt i64 %o, %n
  br i1 %more, label %body, label %done
body:
  %row.o = row %table, %o, OUTPUT
  %kind = ldi %row.o, OUTPUT.kind
  %o.next = add i64 %o, 1
  %is.alias = icmp eq i64 %kind, ALIAS
  br i1 %is.alias, label %alias, label %next
alias:
  %source = ldi %row.o, OUTPUT.source
  %buffer = ldi %row.o, OUTPUT.buffer
  %array = ldp %arrays, %source
  %data = ldp %array, DATA
  %at.buffer = getelementptr ptr, ptr %buffers, i64 %buffer
  store ptr %data, ptr %at.buffer
  br label %next
next:
  br label %loop
done:
  ret void
}
"""

_VALUES = """
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

; The objects to make, in order: references in `made`. 0 with an exception set if it fails.
define internal i1 @make(ptr %spec, ptr %outs, ptr %made, ptr %args) nounwind {
entry:
  %recipe = ldp %spec, SPEC.made
  %n = ldi %spec, SPEC.n_made
  br label %object
object:
  %k = phi i64 [ 0, %entry ], [ %k.next, %field ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %yes
body:
  %row.k = row %recipe, %k, OBJECT
  %type = ldp %row.k, OBJECT.type
  %fields = ldp %row.k, OBJECT.fields
  %n.fields = ldi %row.k, OBJECT.n_fields
  %new = call ptr @PyType_GenericAlloc(ptr %type, i64 0)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %keep
keep:
  %at.made = getelementptr ptr, ptr %made, i64 %k
  store ptr %new, ptr %at.made
  %k.next = add i64 %k, 1
  br label %field
field:
  %f = phi i64 [ 0, %keep ], [ %f.next, %field.body ]
  %more.fields = icmp slt i64 %f, %n.fields
  br i1 %more.fields, label %field.body, label %object
field.body:
  %row.f = row %fields, %f, FIELD
  %offset = ldi %row.f, FIELD.offset
  %what = getelementptr i64, ptr %row.f, i64 FIELD.kind
  %value = call ptr @value(ptr %what, ptr %outs, ptr %made, ptr %args)
  call void @Py_IncRef(ptr %value)
  %at.field = getelementptr i8, ptr %new, i64 %offset
  store ptr %value, ptr %at.field
  %f.next = add i64 %f, 1
  br label %field
yes:
  ret i1 1
no:
  ret i1 0
}

; The answer, a new reference; null with an exception set if it fails.
define internal ptr @answer(ptr %spec, ptr %outs, ptr %made, ptr %args) nounwind {
entry:
  %program = ldp %spec, SPEC.answer
  %n = ldi %spec, SPEC.n_answer
  %stack = alloca ptr, i64 %n
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %push ]
  %depth = phi i64 [ 0, %entry ], [ %depth.next, %push ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %row.k = row %program, %k, VALUE
  %kind = ldi %row.k, VALUE.kind
  %count = ldi %row.k, VALUE.number
  %k.next = add i64 %k, 1
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
  br label %fill.loop
fill.loop:
  %j = phi i64 [ 0, %fill ], [ %j.next, %fill.body ]
  %more.items = icmp slt i64 %j, %count
  br i1 %more.items, label %fill.body, label %push
fill.body:
  %from.j = add i64 %from.seq, %j
  %item = ldp %stack, %from.j
  %at.item = getelementptr ptr, ptr %into, i64 %j
  store ptr %item, ptr %at.item
  %j.next = add i64 %j, 1
  br label %fill.loop

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
  %new = phi ptr [ %value, %one ], [ %seq, %fill.loop ], [ %dict.new, %dict.made ]
  %at = phi i64 [ %depth, %one ], [ %from.seq, %fill.loop ], [ %from.dict, %dict.made ]
  %at.top = getelementptr ptr, ptr %stack, i64 %at
  store ptr %new, ptr %at.top
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
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %found ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %row.k = row %stores, %k, STORE
  %hop = ldi %row.k, STORE.hop
  %k.next = add i64 %k, 1
  %target = call ptr @start(ptr %row.k, ptr %args)
  %direct = icmp slt i64 %hop, 0
  br i1 %direct, label %found, label %through
through:
  %at.inner = getelementptr i8, ptr %target, i64 %hop
  %inner = load ptr, ptr %at.inner
  br label %found
found:
  %object = phi ptr [ %target, %body ], [ %inner, %through ]
  call void @Py_IncRef(ptr %object)
  %at.target = getelementptr ptr, ptr %targets, i64 %k
  store ptr %object, ptr %at.target
  br label %loop
done:
  ret void
}

; Assign what is to be assigned, then let go of what was there: that may run any code.
define internal void @assign(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %targets) nounwind {
entry:
  %stores = ldp %spec, SPEC.stores
  %n = ldi %spec, SPEC.n_stores
  %olds = alloca ptr, i64 %n
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %body ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %done
body:
  %row.k = row %stores, %k, STORE
  %offset = ldi %row.k, STORE.offset
  %what = getelementptr i64, ptr %row.k, i64 STORE.kind
  %object = ldp %targets, %k
  %value = call ptr @value(ptr %what, ptr %outs, ptr %made, ptr %args)
  call void @Py_IncRef(ptr %value)
  %at.slot = getelementptr i8, ptr %object, i64 %offset
  %old = load ptr, ptr %at.slot
  store ptr %value, ptr %at.slot
  %at.old = getelementptr ptr, ptr %olds, i64 %k
  store ptr %old, ptr %at.old
  %k.next = add i64 %k, 1
  br label %loop
done:
  call void @release(ptr %olds, i64 %n)
  call void @release(ptr %targets, i64 %n)
  ret void
}
"""

_ATTEMPT = """
; 0 if the spec does not fit. Otherwise 1, and at `result` a new reference, or null with an
; exception set.
define internal i32 @attempt(ptr %spec, ptr %args, i64 %nargs, ptr %kwnames, ptr %result) nounwind {
entry:
  %at.answer = alloca ptr
  %at.holder = alloca ptr
  store ptr null, ptr %at.answer
  store ptr null, ptr %at.holder
  %wanted = ldi %spec, SPEC.nargs
  %checks = ldp %spec, SPEC.checks
  %n.checks = ldi %spec, SPEC.n_checks
  %n.inputs = ldi %spec, SPEC.n_inputs
  %n.outs = ldi %spec, SPEC.n_outputs
  %n.made = ldi %spec, SPEC.n_made
  %n.stores = ldi %spec, SPEC.n_stores
  %n.buffers = ldi %spec, SPEC.n_buffers
  %env = ldp %spec, SPEC.env
  %large.word = ldi %spec, SPEC.large
  %cap = ldi %spec, SPEC.threads
  %pool = ldp %env, ENV.pool
  %large = icmp ne i64 %large.word, 0
  %counted = icmp eq i64 %wanted, %nargs
  %keywords = ldp %spec, SPEC.keywords
  %n.keywords = ldi %spec, SPEC.n_keywords
  %no.names = icmp eq ptr %kwnames, null
  br i1 %counted, label %names, label %no
names:
  br i1 %no.names, label %names.none, label %names.some
names.none:
  %none.wanted = icmp eq i64 %n.keywords, 0
  br i1 %none.wanted, label %workers, label %no
names.some:
  %names.given = ldi %kwnames, SIZE_OF
  %first.name = getelementptr i64, ptr %kwnames, i64 TUPLE_ITEMS
  %as.many = icmp eq i64 %names.given, %n.keywords
  br i1 %as.many, label %names.compare, label %no
names.compare:
  %same.names = call i1 @equal(ptr %first.name, ptr %keywords, i64 %n.keywords)
  br i1 %same.names, label %workers, label %no
workers:
  ; the pool: [state, threads, whether its workers are started]
  %started = ldi %pool, 2
  %is.started = icmp ne i64 %started, 0
  %small = xor i1 %large, 1
  %ready = or i1 %small, %is.started
  br i1 %ready, label %prepare, label %no
prepare:
  %arrays = alloca ptr, i64 %n.inputs
  %buffers = alloca ptr, i64 %n.buffers
  %fits = call i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers)
  br i1 %fits, label %facts, label %no
facts:
  %hold.true = call i1 @check(ptr %checks, i64 %n.checks, ptr %args)
  br i1 %hold.true, label %fill, label %no
no:
  ret i32 0

fill:
  %outs = alloca ptr, i64 %n.outs
  %made = alloca ptr, i64 %n.made
  %targets = alloca ptr, i64 %n.stores
  call void @clear(ptr %outs, i64 %n.outs)
  call void @clear(ptr %made, i64 %n.made)
  %have.outs = call i1 @outputs(ptr %spec, ptr %outs, ptr %buffers)
  br i1 %have.outs, label %objects, label %failed
objects:
  %have.objects = call i1 @make(ptr %spec, ptr %outs, ptr %made, ptr %args)
  br i1 %have.objects, label %build, label %failed
build:
  %answer = call ptr @answer(ptr %spec, ptr %outs, ptr %made, ptr %args)
  store ptr %answer, ptr %at.answer
  %no.answer = icmp eq ptr %answer, null
  br i1 %no.answer, label %failed, label %temporaries

temporaries:
  %temp.bytes = ldi %spec, SPEC.temp_bytes
  %temps = ldp %spec, SPEC.temps
  %n.temps = ldi %spec, SPEC.n_temps
  %big.temp = icmp sgt i64 %temp.bytes, STACK_BYTES
  br i1 %big.temp, label %temp.big, label %temp.small
temp.small:
  %stack = alloca i8, i64 %temp.bytes, align 64
  br label %temp.ready
temp.big:
  %temp.args = ldp %spec, SPEC.temp_args
  %make.array = ldp %env, ENV.make_array
  %holder = call ptr @PyObject_Vectorcall(ptr %make.array, ptr %temp.args, i64 2, ptr null)
  store ptr %holder, ptr %at.holder
  %temp.failed = icmp eq ptr %holder, null
  br i1 %temp.failed, label %failed, label %temp.made
temp.made:
  %holder.data = ldp %holder, DATA
  br label %temp.ready
temp.ready:
  %base = phi ptr [ %stack, %temp.small ], [ %holder.data, %temp.made ]
  br label %temp
temp:
  %t = phi i64 [ 0, %temp.ready ], [ %t.next, %temp.body ]
  %more.temps = icmp slt i64 %t, %n.temps
  br i1 %more.temps, label %temp.body, label %again
temp.body:
  %row.t = row %temps, %t, TEMP
  %t.buffer = ldi %row.t, TEMP.buffer
  %t.offset = ldi %row.t, TEMP.offset
  %t.address = getelementptr i8, ptr %base, i64 %t.offset
  %at.t = getelementptr ptr, ptr %buffers, i64 %t.buffer
  store ptr %t.address, ptr %at.t
  %t.next = add i64 %t, 1
  br label %temp

again:
  ; Checks and making objects may have run other code (a garbage collection, another thread): look again. From
  ; here to the run there is none.
  %still.fits = call i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers)
  br i1 %still.fits, label %go, label %finish
go:
  call void @aliases(ptr %spec, ptr %arrays, ptr %buffers)
  call void @targets(ptr %spec, ptr %args, ptr %targets)
  %program = ldp %spec, SPEC.program
  %launches = ldi %spec, SPEC.launches
  %scratch = ldi %spec, SPEC.scratch
  %threshold = ldi %env, ENV.threshold
  %run = ldp %env, ENV.run
  br i1 %large, label %hold.arrays, label %serial
serial:
  call void %run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr null, i64 1,
                 i64 %threshold)
  br label %ran
hold.arrays:
  ; another thread may rebind what held them while we are without the lock
  %h = phi i64 [ 0, %go ], [ %h.next, %hold.body ]
  %more.holds = icmp slt i64 %h, %n.inputs
  br i1 %more.holds, label %hold.body, label %parallel
hold.body:
  %held = ldp %arrays, %h
  call void @Py_IncRef(ptr %held)
  %h.next = add i64 %h, 1
  br label %hold.arrays
parallel:
  %state = ldp %pool, 0
  %all.threads = ldi %pool, 1
  %uncapped = icmp eq i64 %cap, 0
  %fewer = call i64 @llvm.umin.i64(i64 %cap, i64 %all.threads)
  %threads = select i1 %uncapped, i64 %all.threads, i64 %fewer
  %saved = call ptr @PyEval_SaveThread()
  call void %run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr %state,
                 i64 %threads, i64 %threshold)
  call void @PyEval_RestoreThread(ptr %saved)
  call void @release(ptr %arrays, i64 %n.inputs)
  br label %ran
ran:
  call void @assign(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %targets)
  br label %finish
failed:
  br label %finish
finish:
  %status = phi i32 [ 1, %ran ], [ 0, %again ], [ 1, %failed ]
  %good = phi i1 [ true, %ran ], [ false, %again ], [ false, %failed ]
  %built = load ptr, ptr %at.answer
  %given = select i1 %good, ptr %built, ptr null
  %dropped = select i1 %good, ptr null, ptr %built
  store ptr %given, ptr %result
  call void @Py_DecRef(ptr %dropped)
  call void @release(ptr %made, i64 %n.made)
  call void @release(ptr %outs, i64 %n.outs)
  %held.last = load ptr, ptr %at.holder
  call void @Py_DecRef(ptr %held.last)
  ret i32 %status
}
"""

_CALL = """
define ptr @call(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) nounwind {
entry:
  %result = alloca ptr
  %specs = ldp %self, TUPLE_ITEMS
  %at.fallback = getelementptr ptr, ptr %self, i64 TUPLE_ITEMS
  %at.fallback.1 = getelementptr ptr, ptr %at.fallback, i64 1
  br label %spec
spec:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  ; read anew each time: Python code that ran meanwhile may have changed the list
  %n = ldi %specs, SIZE_OF
  %more = icmp slt i64 %k, %n
  br i1 %more, label %try, label %give.up
try:
  %items = ldp %specs, LIST_ITEMS
  %item = ldp %items, %k
  %array = ldp %item, TUPLE_ITEMS
  %words = ldp %array, DATA
  call void @Py_IncRef(ptr %item)
  %fits = call i32 @attempt(ptr %words, ptr %args, i64 %nargs, ptr %kwnames, ptr %result)
  call void @Py_DecRef(ptr %item)
  %did = icmp ne i32 %fits, 0
  br i1 %did, label %done, label %next
next:
  %k.next = add i64 %k, 1
  br label %spec
done:
  %cell = ldp %self, LATEST
  %cell.data = ldp %cell, DATA
  store ptr %words, ptr %cell.data
  %answer = load ptr, ptr %result
  ret ptr %answer
give.up:
  %fallback = load ptr, ptr %at.fallback.1
  %other = call ptr @PyObject_Vectorcall(ptr %fallback, ptr %args, i64 %nargs, ptr %kwnames)
  ret ptr %other
}
"""


def text() -> str:
    """LLVM text of `call`."""
    parts = (_DECLARATIONS, check_text.TEXT, _ARRAY_OF, _RELEASE, _MAY_OVERWRITE, _GATHER, _OUTPUTS)
    return expand("".join((*parts, _VALUES, _ATTEMPT, _CALL)))
