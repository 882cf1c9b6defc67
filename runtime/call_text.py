"""The native call path in LLVM text: a CPython function that checks its arguments and runs a plan.

    ptr call(ptr self, ptr args, i64 nargs, ptr kwnames)        METH_FASTCALL | METH_KEYWORDS

`self` is a tuple (specs, fallback, latest). `specs` is a list of tuples whose first item is an
int64 array, a spec (`call_layout.py`): what one signature takes, relies on, and gives. The first
spec that fits runs, and its address is left in the array `latest`; if none does, `fallback` is
called with the arguments as they came. Nothing outside is changed before the run, and all that can
fail comes before it.
"""

from __future__ import annotations

from . import build_text, check_text
from .call_layout import expand

_DECLARATIONS = """
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
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
  ; arrays that were pickled or swapped have dtypes that are equal, but other objects
  %obj.descr = ldp %obj, DESCR
  %obj.dtype = ldi %obj.descr, DTYPE
  %dtype = ldi %descr, DTYPE
  %obj.nd = ldw %obj, ND
  %obj.flags = ldw %obj, FLAGS
  %obj.dims = ldp %obj, DIMS
  %a = icmp eq i64 %obj.dtype, %dtype
  %b = icmp eq i64 %obj.nd, %nd
  %strides = ldp %rule, INPUT.strides
  %row.major = icmp eq ptr %strides, null
  %needed = select i1 %row.major, i64 READABLE, i64 ALIGNED
  %masked = and i64 %obj.flags, %needed
  %c = icmp eq i64 %masked, %needed
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %extents, label %wrong
extents:
  %same = call i1 @equal(ptr %obj.dims, ptr %dims, i64 %nd)
  br i1 %same, label %order, label %wrong
order:
  br i1 %row.major, label %right, label %stepped
stepped:
  %obj.strides = ldp %obj, STRIDES
  %same.strides = call i1 @equal(ptr %obj.strides, ptr %strides, i64 %nd)
  br i1 %same.strides, label %right, label %wrong
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
loop: each %k in %n from entry, loop.body else done
  %object = ldp %objects, %k
  call void @Py_DecRef(ptr %object)
  br label %loop
done:
  ret void
}

define internal void @clear(ptr %objects, i64 %n) nounwind {
entry:
loop: each %k in %n from entry, loop.body else done
  stp null, %objects, %k
  br label %loop
done:
  ret void
}
"""

_APART = """
; Whether the bytes from `lo` on lie outside of all inputs but `array` itself.
define internal i1 @apart(ptr %inputs, ptr %arrays, i64 %n, i64 %lo, i64 %size, ptr %array) nounwind {
entry:
  %hi = add i64 %lo, %size
loop: each %k in %n from entry, loop.body, compare else yes
  %other = ldp %arrays, %k
  %self = icmp eq ptr %other, %array
  br i1 %self, label %loop, label %compare
compare:
  %row.k = row %inputs, %k, INPUT
  %other.size = ldi %row.k, INPUT.nbytes
  %other.lo = ldi %other, DATA
  %other.hi = add i64 %other.lo, %other.size
  %before = icmp ule i64 %hi, %other.lo
  %after = icmp ule i64 %other.hi, %lo
  %is.apart = or i1 %before, %after
  br i1 %is.apart, label %loop, label %no
yes:
  ret i1 1
no:
  ret i1 0
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
  br i1 %is.ours, label %others, label %base.other
base.other:
  %array.type = ldp %array, TYPE
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %base.array, label %no
base.array:
  br label %memory
others:
  %free = call i1 @apart(ptr %inputs, ptr %arrays, i64 %n, i64 %lo, i64 %size, ptr %array)
  ret i1 %free
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_NUMBER = """
; The Python number `object`, of the type that `conversion` takes, at `word`. 0 if it is of another type,
; or has more than 64 bits.
define internal i1 @number(ptr %object, i64 %conversion, ptr %word, ptr %env) nounwind {
entry:
  %at.beyond = alloca i32
  %type = ldp %object, TYPE
  %float.type = ldp %env, ENV.float_type
  %int.type = ldp %env, ENV.int_type
  %from.float = icmp ule i64 %conversion, FLOAT_SINGLE
  %wanted = select i1 %from.float, ptr %float.type, ptr %int.type
  %same.type = icmp eq ptr %type, %wanted
  br i1 %same.type, label %which, label %no
which:
  br i1 %from.float, label %float, label %int
float:
  %at.value = getelementptr i64, ptr %object, i64 FLOAT_VALUE
  %real = load double, ptr %at.value
  br label %store
int:
  store i32 0, ptr %at.beyond
  %whole = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %at.beyond)
  %beyond = load i32, ptr %at.beyond
  %fits = icmp eq i32 %beyond, 0
  br i1 %fits, label %int.fits, label %no
int.fits:
  %as.real = sitofp i64 %whole to double
  br label %store
store:
  %value = phi double [ %real, %float ], [ %as.real, %int.fits ]
  switch i64 %conversion, label %no [
    i64 FLOAT_DOUBLE, label %as.f64  i64 INT_DOUBLE, label %as.f64
    i64 FLOAT_SINGLE, label %as.f32  i64 INT_SINGLE, label %as.f32
  ]
as.f64:
  store double %value, ptr %word
  ret i1 1
as.f32:
  %short = fptrunc double %value to float
  store float %short, ptr %word
  ret i1 1
no:
  ret i1 0
}
"""

_GATHER = """
; The arrays of all inputs, and where their data lies: of numbers, in `words`. 0 if one is not what the plan
; needs.
define internal i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers, ptr %words) nounwind {
entry:
  %inputs = ldp %spec, SPEC.inputs
  %n = ldi %spec, SPEC.n_inputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
input: each %i in %n from entry, placed else alias.start
  %row.i = row %inputs, %i, INPUT
  %from = call ptr @start(ptr %row.i, ptr %args)
  %array = call ptr @array_of(ptr %from, ptr %row.i, ptr %array.type)
  %missing = icmp eq ptr %array, null
  br i1 %missing, label %no, label %input.ok
input.ok:
  stp %array, %arrays, %i
  %data = ldp %array, DATA
  %buffer = ldi %row.i, INPUT.buffer
  %conversion = ldi %row.i, INPUT.number
  %is.array = icmp eq i64 %conversion, 0
  br i1 %is.array, label %placed, label %number
number:
  %which = ldi %row.i, INPUT.argument
  %given = ldp %args, %which
  %word = getelementptr i64, ptr %words, i64 %i
  %converted = call i1 @number(ptr %given, i64 %conversion, ptr %word, ptr %env)
  br i1 %converted, label %placed, label %no
placed:
  %address = phi ptr [ %data, %input.ok ], [ %word, %number ]
  stp %address, %buffers, %buffer
  br label %input
alias.start:
alias: each %v in %n from alias.start, alias.body, alias.check else yes
  %row.v = row %inputs, %v, INPUT
  %most = ldi %row.v, INPUT.max_refs
  %is.alias = icmp ne i64 %most, 0
  br i1 %is.alias, label %alias.check, label %alias
alias.check:
  %taken = ldp %arrays, %v
  %may = call i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, ptr %row.v, ptr %taken)
  br i1 %may, label %alias, label %no
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_GIFTS = """
; The caller's arrays for outputs: references in `outs`, where they must be those that are there
; already. 0 if one is not what the plan needs, or shares memory with an input or with another.
define internal i1 @gifts(ptr %spec, ptr %args, ptr %arrays, ptr %outs, ptr %buffers) nounwind {
entry:
  %gifts = ldp %spec, SPEC.gifts
  %n = ldi %spec, SPEC.n_gifts
  %inputs = ldp %spec, SPEC.inputs
  %n.inputs = ldi %spec, SPEC.n_inputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
  %list.type = ldp %env, ENV.list_type
  %none = ldp %env, ENV.none
gift: each %g in %n from entry, nothing, keep else yes
  %row.g = row %gifts, %g, GIFT
  %path = ldp %row.g, GIFT.path
  %n.path = ldi %row.g, GIFT.n_path
  %output = ldi %row.g, GIFT.output
  %place = call ptr @start(ptr %row.g, ptr %args)
  br label %walk
walk:
  %object = phi ptr [ %place, %gift.body ], [ %inner, %into ]
  %k = phi i64 [ 0, %gift.body ], [ %k.next, %into ]
  %deeper = icmp slt i64 %k, %n.path
  br i1 %deeper, label %step, label %leaf
step:
  %row.k = row %path, %k, STEP
  %wanted = ldp %row.k, STEP.type
  %size = ldi %row.k, STEP.size
  %index = ldi %row.k, STEP.index
  %type = ldp %object, TYPE
  %k.next = add i64 %k, 1
  %same.type = icmp eq ptr %type, %wanted
  br i1 %same.type, label %sized, label %no
sized:
  %have.size = ldi %object, SIZE_OF
  %same.size = icmp eq i64 %size, %have.size
  br i1 %same.size, label %items, label %no
items:
  %in.tuple = getelementptr i64, ptr %object, i64 TUPLE_ITEMS
  %is.list = icmp eq ptr %type, %list.type
  br i1 %is.list, label %list, label %into
list:
  %in.list = ldp %object, LIST_ITEMS
  br label %into
into:
  %all = phi ptr [ %in.tuple, %items ], [ %in.list, %list ]
  %inner = ldp %all, %index
  br label %walk
leaf:
  %takes.none = icmp slt i64 %output, 0
  br i1 %takes.none, label %nothing, label %given
nothing:
  %is.none = icmp eq ptr %object, %none
  br i1 %is.none, label %gift, label %no
given:
  %array = call ptr @array_of(ptr %object, ptr %row.g, ptr %array.type)
  %unfit = icmp eq ptr %array, null
  br i1 %unfit, label %no, label %writeable
writeable:
  %flags = ldw %array, FLAGS
  %lo = ldi %array, DATA
  %nbytes = ldi %row.g, INPUT.nbytes
  %writeable.bit = and i64 %flags, WRITEABLE
  %may.write = icmp ne i64 %writeable.bit, 0
  %alone = call i1 @apart(ptr %inputs, ptr %arrays, i64 %n.inputs, i64 %lo, i64 %nbytes, ptr null)
  %fits = and i1 %may.write, %alone
  %hi = add i64 %lo, %nbytes
  br i1 %fits, label %apart.of, label %no
apart.of:
others: each %o in %g from apart.of, others.body, compare else settle
  %row.o = row %gifts, %o, GIFT
  %other.output = ldi %row.o, GIFT.output
  %is.nothing = icmp slt i64 %other.output, 0
  br i1 %is.nothing, label %others, label %compare
compare:
  %other = ldp %outs, %other.output
  %other.size = ldi %row.o, INPUT.nbytes
  %other.lo = ldi %other, DATA
  %other.hi = add i64 %other.lo, %other.size
  %before = icmp ule i64 %hi, %other.lo
  %after = icmp ule i64 %other.hi, %lo
  %apart = or i1 %before, %after
  br i1 %apart, label %others, label %no
settle:
  %buffer = ldi %row.g, INPUT.buffer
  %data = ldp %array, DATA
  %known = ldp %outs, %output
  %first = icmp eq ptr %known, null
  br i1 %first, label %take, label %again
take:
  call void @Py_IncRef(ptr %array)
  br label %keep
again:
  %still = icmp eq ptr %known, %array
  br i1 %still, label %keep, label %no
keep:
  stp %array, %outs, %output
  stp %data, %buffers, %buffer
  br label %gift
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_ATTEMPT = """
; 0 if the spec does not fit. Otherwise 1, and at `result` a new reference, or null with an
; exception set.
define internal i32 @attempt(ptr %spec, ptr %args, i64 %nargs, ptr %kwnames, ptr %result) nounwind {
entry:
  %at.answer = alloca ptr
  %at.holder = alloca ptr
  %at.heap = alloca ptr
  store ptr null, ptr %at.answer
  store ptr null, ptr %at.holder
  store ptr null, ptr %at.heap
  %wanted = ldi %spec, SPEC.nargs
  %checks = ldp %spec, SPEC.checks
  %n.checks = ldi %spec, SPEC.n_checks
  %n.inputs = ldi %spec, SPEC.n_inputs
  %n.outs = ldi %spec, SPEC.n_outputs
  %n.made = ldi %spec, SPEC.n_made
  %n.stores = ldi %spec, SPEC.n_stores
  %n.buffers = ldi %spec, SPEC.n_buffers
  %n.answer = ldi %spec, SPEC.n_answer
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
  ; room for pointers: on the stack, which may be small, or on the heap
  %n.objects = add i64 %n.outs, %n.made
  %n.assigned = shl i64 %n.stores, 1
  %n.read = add i64 %n.inputs, %n.buffers
  %n.written = add i64 %n.objects, %n.assigned
  %n.both = add i64 %n.read, %n.written
  %n.objects.room = add i64 %n.both, %n.answer
  %n.room = add i64 %n.objects.room, %n.inputs
  %room.bytes = shl i64 %n.room, 3
  %much = icmp sgt i64 %room.bytes, STACK_BYTES
  br i1 %much, label %room.heap, label %room.stack
room.heap:
  %heap = call ptr @malloc(i64 %room.bytes)
  store ptr %heap, ptr %at.heap
  %refused = icmp eq ptr %heap, null
  br i1 %refused, label %no, label %room
room.stack:
  %on.stack = alloca ptr, i64 %n.room
  br label %room
room:
  %arrays = phi ptr [ %heap, %room.heap ], [ %on.stack, %room.stack ]
  %buffers = getelementptr ptr, ptr %arrays, i64 %n.inputs
  %outs = getelementptr ptr, ptr %buffers, i64 %n.buffers
  %made = getelementptr ptr, ptr %outs, i64 %n.outs
  %targets = getelementptr ptr, ptr %made, i64 %n.made
  %olds = getelementptr ptr, ptr %targets, i64 %n.stores
  %values = getelementptr ptr, ptr %olds, i64 %n.stores
  %words = getelementptr ptr, ptr %values, i64 %n.answer
  %fits = call i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers, ptr %words)
  br i1 %fits, label %fill, label %no
no:
  %room.no = load ptr, ptr %at.heap
  call void @free(ptr %room.no)
  ret i32 0

fill:
  call void @clear(ptr %outs, i64 %n.outs)
  call void @clear(ptr %made, i64 %n.made)
  %have.gifts = call i1 @gifts(ptr %spec, ptr %args, ptr %arrays, ptr %outs, ptr %buffers)
  br i1 %have.gifts, label %facts, label %unfit
facts:
  %hold.true = call i1 @check(ptr %checks, i64 %n.checks, ptr %args)
  br i1 %hold.true, label %new, label %unfit
new:
  %have.outs = call i1 @outputs(ptr %spec, ptr %outs, ptr %made, ptr %buffers)
  br i1 %have.outs, label %objects, label %failed
objects:
  %have.objects = call i1 @make(ptr %spec, ptr %outs, ptr %made, ptr %args)
  br i1 %have.objects, label %build, label %failed
build:
  %answer = call ptr @answer(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %values)
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
temp: each %t in %n.temps from temp.ready, temp.body else again
  %row.t = row %temps, %t, TEMP
  %t.buffer = ldi %row.t, TEMP.buffer
  %t.offset = ldi %row.t, TEMP.offset
  %t.address = getelementptr i8, ptr %base, i64 %t.offset
  stp %t.address, %buffers, %t.buffer
  br label %temp

again:
  ; Checks and making objects may have run other code (a garbage collection, another thread): look again. From
  ; here to the run there is none.
  %still.fits = call i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers, ptr %words)
  br i1 %still.fits, label %still.alone, label %unfit
still.alone:
  ; a step in Python may have read what this call changes
  %changes = ldi %spec, SPEC.changes
  %pure = icmp eq i64 %changes, 0
  %steps = ldp %env, ENV.steps
  %under.way = ldi %steps, 0
  %quiet = icmp eq i64 %under.way, 0
  %alone = or i1 %pure, %quiet
  br i1 %alone, label %still.given, label %unfit
still.given:
  %same.gifts = call i1 @gifts(ptr %spec, ptr %args, ptr %arrays, ptr %outs, ptr %buffers)
  br i1 %same.gifts, label %go, label %unfit
unfit:
  br label %finish
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
hold: each %h in %n.inputs from hold.arrays, hold.body else parallel
  %held = ldp %arrays, %h
  call void @Py_IncRef(ptr %held)
  br label %hold
parallel:
  %state = ldp %pool, 0
  %all.threads = ldi %pool, 1
  %uncapped = icmp eq i64 %cap, 0
  %fewer = call i64 @llvm.umin.i64(i64 %cap, i64 %all.threads)
  %threads = select i1 %uncapped, i64 %all.threads, i64 %fewer
  ; What changes tensors keeps the lock: nobody may see them half written, nor change them from the same
  ; values at the same time.
  br i1 %pure, label %unlocked, label %locked
locked:
  call void %run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr %state,
                 i64 %threads, i64 %threshold)
  br label %let.go
unlocked:
  %saved = call ptr @PyEval_SaveThread()
  call void %run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr %state,
                 i64 %threads, i64 %threshold)
  call void @PyEval_RestoreThread(ptr %saved)
  br label %let.go
let.go:
  call void @release(ptr %arrays, i64 %n.inputs)
  br label %ran
ran:
  %verdict = ldi %spec, SPEC.verdict
  %judged = icmp sge i64 %verdict, 0
  br i1 %judged, label %judge, label %kept
judge:
  ; nothing outside has changed yet: who explains runs it again
  %at.verdict = ldp %outs, %verdict
  %verdict.data = ldp %at.verdict, DATA
  %bad = load i8, ptr %verdict.data
  %is.bad = icmp ne i8 %bad, 0
  br i1 %is.bad, label %unfit, label %kept
kept:
  call void @assign(ptr %spec, ptr %outs, ptr %made, ptr %args, ptr %targets, ptr %olds)
  br label %finish
failed:
  br label %finish
finish:
  %status = phi i32 [ 1, %kept ], [ 0, %unfit ], [ 1, %failed ]
  %good = phi i1 [ true, %kept ], [ false, %unfit ], [ false, %failed ]
  %built = load ptr, ptr %at.answer
  %given = select i1 %good, ptr %built, ptr null
  %dropped = select i1 %good, ptr null, ptr %built
  store ptr %given, ptr %result
  call void @Py_DecRef(ptr %dropped)
  call void @release(ptr %made, i64 %n.made)
  call void @release(ptr %outs, i64 %n.outs)
  %held.last = load ptr, ptr %at.holder
  call void @Py_DecRef(ptr %held.last)
  %room.last = load ptr, ptr %at.heap
  call void @free(ptr %room.last)
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


SOURCE = "".join(
    (_DECLARATIONS, check_text.TEXT, _ARRAY_OF, _RELEASE, _APART, _MAY_OVERWRITE, _NUMBER, _GATHER, _GIFTS,
     build_text.TEXT, _ATTEMPT, _CALL)
)  # fmt: skip


def text() -> str:
    """LLVM text of `call`."""
    return expand(SOURCE)
