"""The native call path in LLVM text: a CPython function that checks its arguments and runs a plan.

    ptr call(ptr self, ptr args, i64 nargs, ptr kwnames)        METH_FASTCALL | METH_KEYWORDS

`self` is a tuple (specs, fallback, latest). `specs` is a list of tuples whose first item is an
int64 array, a spec (`call_layout.py`): what one signature takes, relies on, and gives. The first
spec that fits runs, and its address is left in the array `latest`; if none does, `fallback` is
called with the arguments as they came. Nothing outside is changed before the run, and all that can
fail comes before it.
"""

from __future__ import annotations

from . import build_text, check_text, take_text
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
  ; the pool: [state, the most threads, how many there are]
  %all.threads = ldi %pool, 1
  %uncapped = icmp eq i64 %cap, 0
  %fewer = call i64 @llvm.umin.i64(i64 %cap, i64 %all.threads)
  %threads = select i1 %uncapped, i64 %all.threads, i64 %fewer
  %there = ldi %pool, 2
  %enough = icmp sge i64 %there, %threads
  %small = xor i1 %large, 1
  %ready = or i1 %small, %enough
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
    (_DECLARATIONS, check_text.TEXT, _RELEASE, take_text.TEXT, build_text.TEXT, _ATTEMPT, _CALL)
)  # fmt: skip


def text() -> str:
    """LLVM text of `call`."""
    return expand(SOURCE)
