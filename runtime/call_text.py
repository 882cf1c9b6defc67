"""The native call path in LLVM text: a CPython function that checks its arguments and runs a plan.

    ptr call(ptr self, ptr args, i64 nargs, ptr kwnames)        METH_FASTCALL | METH_KEYWORDS

`self` is a tuple (specs, fallback). `specs` is a list of tuples whose first item is an int64 array,
a spec: tables of words that say what one signature takes and gives (`call.py` writes them). The
first spec that fits the arguments runs; if none does, `fallback` is called with the arguments as
they came. Nothing is changed and no reference is taken before a spec is known to fit.

Three instructions are added to LLVM's, each with a base and an index in words of 8 bytes:
`ldp` loads a pointer, `ldi` an i64, `ldw` an i32 (as an i64).
"""

from __future__ import annotations

import re

# Words of a spec.
SPEC = (
    "nargs", "inputs", "n_inputs", "outputs", "n_outputs", "results", "n_results",
    "shape_of_result", "temps", "n_temps", "temp_bytes", "temp_args", "program", "launches",
    "scratch", "n_buffers", "large", "threads", "recipe", "n_recipe", "guard", "env",
)  # fmt: skip
# Words that are the same for every spec.
ENV = ("array_type", "new_array", "make_array", "pool", "threshold", "none", "run")
# An input: argument `which`, or the object at that address; `chain` leads from it to its array.
INPUT = ("is_object", "which", "chain", "n_chain", "descr", "nd", "dims", "buffer", "nbytes",
         "max_refs")  # fmt: skip
LINK = ("type", "offset")
# An output: kind NEW is NumPy's memory, LARGE is ours, ALIAS is the array of input `source`.
OUTPUT = ("kind", "buffer", "descr", "nd", "dims", "args", "source")
NEW, LARGE, ALIAS = 0, 1, 2
TEMP = ("buffer", "offset")
# What an output becomes: objects that are made in order, the last one is the result.
OBJECT = ("type", "fields", "n_fields")
FIELD = ("offset", "kind", "value")
CONSTANT, THE_ARRAY, EARLIER = 0, 1, 2
# Shape of the result: None, the only result itself, or a tuple of them.
NOTHING, SINGLE, TUPLE = 0, 1, 2

# Words of CPython's and NumPy's objects. `call.py` looks at live objects before it relies on them.
TYPE, TUPLE_ITEMS, LIST_SIZE, LIST_ITEMS = 1, 3, 2, 3
DATA, ND, DIMS, DESCR, FLAGS = 2, 3, 4, 7, 8
READABLE = 0x101  # C_CONTIGUOUS | ALIGNED
WRITEABLE = 0x400
STACK_BYTES = 16 << 10  # temporaries up to this size live on the stack

_DECLARATIONS = """
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyTuple_New(i64)
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

_MAY_OVERWRITE = """
; Whether input `mine` may be overwritten: writeable, held by nobody else, apart from other inputs.
define internal i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, i64 %mine) nounwind {
entry:
  %array = ldp %arrays, %mine
  %mine.words = mul i64 %mine, INPUT.SIZE
  %entry.mine = getelementptr i64, ptr %inputs, i64 %mine.words
  %most = ldi %entry.mine, INPUT.max_refs
  %size = ldi %entry.mine, INPUT.nbytes
  %flags = ldw %array, FLAGS
  %refs = ldw %array, 0
  %lo = ldi %array, DATA
  %hi = add i64 %lo, %size
  %writeable.bit = and i64 %flags, WRITEABLE
  %a = icmp ne i64 %writeable.bit, 0
  %b = icmp ule i64 %refs, %most
  %ab = and i1 %a, %b
  br i1 %ab, label %loop, label %no
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %yes
body:
  %k.next = add i64 %k, 1
  %self = icmp eq i64 %k, %mine
  br i1 %self, label %next, label %compare
compare:
  %other = ldp %arrays, %k
  %k.words = mul i64 %k, INPUT.SIZE
  %entry.k = getelementptr i64, ptr %inputs, i64 %k.words
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

_RELEASE = """
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
"""

_WRAP = """
; A new reference to what `array` becomes for the user; null with an exception set if it fails.
define internal ptr @wrap(ptr %spec, ptr %array) nounwind {
entry:
  %recipe = ldp %spec, SPEC.recipe
  %n = ldi %spec, SPEC.n_recipe
  %raw = icmp eq i64 %n, 0
  br i1 %raw, label %as.is, label %prepare
as.is:
  call void @Py_IncRef(ptr %array)
  ret ptr %array
prepare:
  %made = alloca ptr, i64 %n
  br label %object
object:
  %k = phi i64 [ 0, %prepare ], [ %k.next, %object.done ]
  %words = mul i64 %k, OBJECT.SIZE
  %entry.k = getelementptr i64, ptr %recipe, i64 %words
  %type = ldp %entry.k, OBJECT.type
  %fields = ldp %entry.k, OBJECT.fields
  %n.fields = ldi %entry.k, OBJECT.n_fields
  %new = call ptr @PyType_GenericAlloc(ptr %type, i64 0)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %fail, label %keep
fail:
  call void @release(ptr %made, i64 %k)
  ret ptr null
keep:
  %at.made = getelementptr ptr, ptr %made, i64 %k
  store ptr %new, ptr %at.made
  br label %field
field:
  %f = phi i64 [ 0, %keep ], [ %f.next, %field.set ]
  %more.fields = icmp slt i64 %f, %n.fields
  br i1 %more.fields, label %field.body, label %object.done
field.body:
  %f.words = mul i64 %f, FIELD.SIZE
  %entry.f = getelementptr i64, ptr %fields, i64 %f.words
  %offset = ldi %entry.f, FIELD.offset
  %kind = ldi %entry.f, FIELD.kind
  %constant = ldp %entry.f, FIELD.value
  %number = ldi %entry.f, FIELD.value
  %is.array = icmp eq i64 %kind, THE_ARRAY
  %is.earlier = icmp eq i64 %kind, EARLIER
  br i1 %is.earlier, label %field.earlier, label %field.set
field.earlier:
  %earlier = ldp %made, %number
  br label %field.set
field.set:
  %one = phi ptr [ %constant, %field.body ], [ %earlier, %field.earlier ]
  %value = select i1 %is.array, ptr %array, ptr %one
  call void @Py_IncRef(ptr %value)
  %at.field = getelementptr i8, ptr %new, i64 %offset
  store ptr %value, ptr %at.field
  %f.next = add i64 %f, 1
  br label %field
object.done:
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %n
  br i1 %more, label %object, label %finish
finish:
  call void @release(ptr %made, i64 %k)
  ret ptr %new
}
"""

_ATTEMPT = """
; 0 if the spec does not fit. Otherwise 1, and at `result` a new reference, or null with an
; exception set.
define internal i32 @attempt(ptr %spec, ptr %args, i64 %nargs, ptr %result) nounwind {
entry:
  %wanted = ldi %spec, SPEC.nargs
  %inputs = ldp %spec, SPEC.inputs
  %n.inputs = ldi %spec, SPEC.n_inputs
  %n.buffers = ldi %spec, SPEC.n_buffers
  %env = ldp %spec, SPEC.env
  %guard = ldp %spec, SPEC.guard
  %large.word = ldi %spec, SPEC.large
  %cap = ldi %spec, SPEC.threads
  %array.type = ldp %env, ENV.array_type
  %pool = ldp %env, ENV.pool
  %large = icmp ne i64 %large.word, 0
  %closed = load i64, ptr %guard
  %is.open = icmp eq i64 %closed, 0
  %counted = icmp eq i64 %wanted, %nargs
  %fits = and i1 %is.open, %counted
  br i1 %fits, label %start, label %no
start:
  ; the pool: [state, threads, whether its workers are started]
  %state = ldp %pool, 0
  %all.threads = ldi %pool, 1
  %started = ldi %pool, 2
  %is.started = icmp ne i64 %started, 0
  %uncapped = icmp eq i64 %cap, 0
  %fewer = call i64 @llvm.umin.i64(i64 %cap, i64 %all.threads)
  %threads = select i1 %uncapped, i64 %all.threads, i64 %fewer
  %small = xor i1 %large, 1
  %ready = or i1 %small, %is.started
  br i1 %ready, label %prepare, label %no
prepare:
  %arrays = alloca ptr, i64 %n.inputs
  %buffers = alloca ptr, i64 %n.buffers
  br label %input
input:
  %i = phi i64 [ 0, %prepare ], [ %i.next, %input.ok ]
  %more.inputs = icmp slt i64 %i, %n.inputs
  br i1 %more.inputs, label %input.body, label %aliases
input.body:
  %i.words = mul i64 %i, INPUT.SIZE
  %entry.i = getelementptr i64, ptr %inputs, i64 %i.words
  %is.object.word = ldi %entry.i, INPUT.is_object
  %object = ldp %entry.i, INPUT.which
  %which = ldi %entry.i, INPUT.which
  %is.object = icmp ne i64 %is.object.word, 0
  br i1 %is.object, label %input.have, label %input.arg
input.arg:
  %arg = ldp %args, %which
  br label %input.have
input.have:
  %from = phi ptr [ %object, %input.body ], [ %arg, %input.arg ]
  %array = call ptr @array_of(ptr %from, ptr %entry.i, ptr %array.type)
  %missing = icmp eq ptr %array, null
  br i1 %missing, label %no, label %input.ok
input.ok:
  %at.array = getelementptr ptr, ptr %arrays, i64 %i
  store ptr %array, ptr %at.array
  %data = ldp %array, DATA
  %in.buffer = ldi %entry.i, INPUT.buffer
  %at.in = getelementptr ptr, ptr %buffers, i64 %in.buffer
  store ptr %data, ptr %at.in
  %i.next = add i64 %i, 1
  br label %input
aliases:
  %v = phi i64 [ 0, %input ], [ %v.next, %alias.next ]
  %more.aliases = icmp slt i64 %v, %n.inputs
  br i1 %more.aliases, label %alias.body, label %outputs
alias.body:
  %v.words = mul i64 %v, INPUT.SIZE
  %entry.v = getelementptr i64, ptr %inputs, i64 %v.words
  %most = ldi %entry.v, INPUT.max_refs
  %is.alias = icmp ne i64 %most, 0
  br i1 %is.alias, label %alias.check, label %alias.next
alias.check:
  %may = call i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n.inputs, i64 %v)
  br i1 %may, label %alias.next, label %no
alias.next:
  %v.next = add i64 %v, 1
  br label %aliases
no:
  ret i32 0

outputs:
  %outs.table = ldp %spec, SPEC.outputs
  %n.outs = ldi %spec, SPEC.n_outputs
  %make = ldp %env, ENV.make_array
  %new.array = ldp %env, ENV.new_array
  %outs = alloca ptr, i64 %n.outs
  br label %output
output:
  %o = phi i64 [ 0, %outputs ], [ %o.next, %output.ok ]
  %more.outs = icmp slt i64 %o, %n.outs
  br i1 %more.outs, label %output.body, label %temporaries
output.body:
  %o.words = mul i64 %o, OUTPUT.SIZE
  %entry.o = getelementptr i64, ptr %outs.table, i64 %o.words
  %kind = ldi %entry.o, OUTPUT.kind
  %out.buffer = ldi %entry.o, OUTPUT.buffer
  switch i64 %kind, label %output.small [ i64 LARGE, label %output.large
                                          i64 ALIAS, label %output.alias ]
output.small:
  %descr = ldp %entry.o, OUTPUT.descr
  %nd = ldi %entry.o, OUTPUT.nd
  %nd32 = trunc i64 %nd to i32
  %dims = ldp %entry.o, OUTPUT.dims
  call void @Py_IncRef(ptr %descr)
  %small.new = call ptr %new.array(ptr %array.type, ptr %descr, i32 %nd32, ptr %dims, ptr null,
                                   ptr null, i32 0, ptr null)
  br label %output.made
output.large:
  %make.args = ldp %entry.o, OUTPUT.args
  %large.new = call ptr @PyObject_Vectorcall(ptr %make, ptr %make.args, i64 2, ptr null)
  br label %output.made
output.alias:
  %source = ldi %entry.o, OUTPUT.source
  %old = ldp %arrays, %source
  call void @Py_IncRef(ptr %old)
  br label %output.made
output.made:
  %out = phi ptr [ %small.new, %output.small ], [ %large.new, %output.large ],
                 [ %old, %output.alias ]
  %out.failed = icmp eq ptr %out, null
  br i1 %out.failed, label %output.fail, label %output.ok
output.ok:
  %at.out = getelementptr ptr, ptr %outs, i64 %o
  store ptr %out, ptr %at.out
  %out.data = ldp %out, DATA
  %at.out.buffer = getelementptr ptr, ptr %buffers, i64 %out.buffer
  store ptr %out.data, ptr %at.out.buffer
  %o.next = add i64 %o, 1
  br label %output
output.fail:
  call void @release(ptr %outs, i64 %o)
  store ptr null, ptr %result
  ret i32 1

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
  %holder = call ptr @PyObject_Vectorcall(ptr %make, ptr %temp.args, i64 2, ptr null)
  %temp.failed = icmp eq ptr %holder, null
  br i1 %temp.failed, label %temp.fail, label %temp.made
temp.fail:
  call void @release(ptr %outs, i64 %n.outs)
  store ptr null, ptr %result
  ret i32 1
temp.made:
  %holder.data = ldp %holder, DATA
  br label %temp.ready
temp.ready:
  %base = phi ptr [ %stack, %temp.small ], [ %holder.data, %temp.made ]
  %hold = phi ptr [ null, %temp.small ], [ %holder, %temp.made ]
  br label %temp
temp:
  %t = phi i64 [ 0, %temp.ready ], [ %t.next, %temp.body ]
  %more.temps = icmp slt i64 %t, %n.temps
  br i1 %more.temps, label %temp.body, label %go
temp.body:
  %t.words = mul i64 %t, TEMP.SIZE
  %entry.t = getelementptr i64, ptr %temps, i64 %t.words
  %t.buffer = ldi %entry.t, TEMP.buffer
  %t.offset = ldi %entry.t, TEMP.offset
  %t.address = getelementptr i8, ptr %base, i64 %t.offset
  %at.t = getelementptr ptr, ptr %buffers, i64 %t.buffer
  store ptr %t.address, ptr %at.t
  %t.next = add i64 %t, 1
  br label %temp

go:
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
  %saved = call ptr @PyEval_SaveThread()
  call void %run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr %state,
                 i64 %threads, i64 %threshold)
  call void @PyEval_RestoreThread(ptr %saved)
  call void @release(ptr %arrays, i64 %n.inputs)
  br label %ran
ran:
  %has.holder = icmp ne ptr %hold, null
  br i1 %has.holder, label %free.temp, label %give
free.temp:
  call void @Py_DecRef(ptr %hold)
  br label %give

give:
  %results = ldp %spec, SPEC.results
  %n.results = ldi %spec, SPEC.n_results
  %shape = ldi %spec, SPEC.shape_of_result
  switch i64 %shape, label %give.tuple [ i64 NOTHING, label %give.none
                                         i64 SINGLE, label %give.single ]
give.none:
  %none = ldp %env, ENV.none
  call void @Py_IncRef(ptr %none)
  br label %return
give.single:
  %single.number = ldi %results, 0
  %single.array = ldp %outs, %single.number
  %single = call ptr @wrap(ptr %spec, ptr %single.array)
  br label %return
give.tuple:
  %tuple = call ptr @PyTuple_New(i64 %n.results)
  %no.tuple = icmp eq ptr %tuple, null
  br i1 %no.tuple, label %return, label %item
item:
  %r = phi i64 [ 0, %give.tuple ], [ %r.next, %item.set ]
  %more.items = icmp slt i64 %r, %n.results
  br i1 %more.items, label %item.body, label %return
item.body:
  %number = ldi %results, %r
  %item.array = ldp %outs, %number
  %item.new = call ptr @wrap(ptr %spec, ptr %item.array)
  %item.failed = icmp eq ptr %item.new, null
  br i1 %item.failed, label %item.fail, label %item.set
item.set:
  %r.word = add i64 %r, TUPLE_ITEMS
  %at.item = getelementptr ptr, ptr %tuple, i64 %r.word
  store ptr %item.new, ptr %at.item
  %r.next = add i64 %r, 1
  br label %item
item.fail:
  call void @Py_DecRef(ptr %tuple)
  br label %return
return:
  %answer = phi ptr [ %none, %give.none ], [ %single, %give.single ], [ null, %give.tuple ],
                    [ %tuple, %item ], [ null, %item.fail ]
  call void @release(ptr %outs, i64 %n.outs)
  store ptr %answer, ptr %result
  ret i32 1
}
"""

_CALL = """
define ptr @call(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) nounwind {
entry:
  %result = alloca ptr
  %specs = ldp %self, TUPLE_ITEMS
  %at.fallback = getelementptr ptr, ptr %self, i64 TUPLE_ITEMS
  %at.fallback.1 = getelementptr ptr, ptr %at.fallback, i64 1
  %plain = icmp eq ptr %kwnames, null
  br i1 %plain, label %spec, label %give.up
spec:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  ; read anew each time: Python code that ran meanwhile may have changed the list
  %n = ldi %specs, LIST_SIZE
  %more = icmp slt i64 %k, %n
  br i1 %more, label %try, label %give.up
try:
  %items = ldp %specs, LIST_ITEMS
  %item = ldp %items, %k
  %array = ldp %item, TUPLE_ITEMS
  %words = ldp %array, DATA
  call void @Py_IncRef(ptr %item)
  %fits = call i32 @attempt(ptr %words, ptr %args, i64 %nargs, ptr %result)
  call void @Py_DecRef(ptr %item)
  %did = icmp ne i32 %fits, 0
  br i1 %did, label %done, label %next
next:
  %k.next = add i64 %k, 1
  br label %spec
done:
  %answer = load ptr, ptr %result
  ret ptr %answer
give.up:
  %fallback = load ptr, ptr %at.fallback.1
  %other = call ptr @PyObject_Vectorcall(ptr %fallback, ptr %args, i64 %nargs, ptr %kwnames)
  ret ptr %other
}
"""

_NAMES = {
    "SPEC": SPEC, "ENV": ENV, "INPUT": INPUT, "LINK": LINK, "OUTPUT": OUTPUT, "TEMP": TEMP,
    "OBJECT": OBJECT, "FIELD": FIELD,
}  # fmt: skip
_NUMBERS = {
    "TYPE": TYPE, "TUPLE_ITEMS": TUPLE_ITEMS, "LIST_SIZE": LIST_SIZE, "LIST_ITEMS": LIST_ITEMS,
    "DATA": DATA, "ND": ND, "DIMS": DIMS, "DESCR": DESCR, "FLAGS": FLAGS, "READABLE": READABLE,
    "WRITEABLE": WRITEABLE, "STACK_BYTES": STACK_BYTES, "LARGE": LARGE, "ALIAS": ALIAS,
    "THE_ARRAY": THE_ARRAY, "EARLIER": EARLIER, "NOTHING": NOTHING, "SINGLE": SINGLE,
}  # fmt: skip


def text() -> str:
    """LLVM text of `call`."""
    parts = (_DECLARATIONS, _ARRAY_OF, _MAY_OVERWRITE, _RELEASE, _WRAP, _ATTEMPT, _CALL)
    source = "".join(parts)
    source = re.sub(r"\b([A-Z]+)\.SIZE\b", lambda m: str(len(_NAMES[m[1]])), source)
    source = re.sub(
        r"\b([A-Z]+)\.([a-z_]+)\b",
        lambda m: str(_NAMES[m[1]].index(m[2])) if m[1] in _NAMES else m[0],
        source,
    )
    source = re.sub(r"(?<![%@.\w])([A-Z_]+)\b", lambda m: str(_NUMBERS.get(m[1], m[1])), source)
    return re.sub(r"^  (%[\w.]+) = (ld[piw]) (%[\w.]+), (\S+)$", _load, source, flags=re.M)


def _load(found: re.Match[str]) -> str:
    """One added instruction, as LLVM knows it."""
    name, kind, base, index = found.groups()
    at = f"  {name}.at = getelementptr i64, ptr {base}, i64 {index}\n"
    if kind == "ldw":
        return at + f"  {name}.32 = load i32, ptr {name}.at\n  {name} = zext i32 {name}.32 to i64"
    return at + f"  {name} = load {'ptr' if kind == 'ldp' else 'i64'}, ptr {name}.at"
