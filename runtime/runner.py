"""The native function that runs a whole plan: one call from Python, however many launches.

A program is an array of int64, one record per group of launches that run at once. A group and,
after it, each of its launches:

    launches, units, work
    run, finish, blocks, weight, n, p, slots[n], patches[3 p]

`run` and `finish` are addresses (finish may be 0). A patch (slot, buffer, offset) stores
`buffers[buffer] + offset` into the slot. Slots are copied to the stack before they are patched, so
a program is read only, and any number of threads may run it at once.

A group that moves enough is one parallel region. What its threads share are not blocks but units:
each block of a launch is `weight` of them, the more the longer it takes. A block runs with its last
unit, so any range of units is a range of whole blocks.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import chain, placement, region, words, worth
from .host import host
from .load import native

# Groups that move fewer bytes stay on the caller's thread: waking another costs more.
PARALLEL_BYTES = 256 << 10

# A launch of a group in the table on the stack: the first of its units, run, slots, weight, finish,
# blocks. One more row holds the number of all units.
ROW = 6

# Words of that table up to which it lies on the stack, which may be a small one; larger ones on the heap.
STACK_WORDS = 2 << 10

_SPREAD = f"""
define internal void @spread(ptr %table, i64 %begin, i64 %end) nounwind {{
entry:
  %rows = load i64, ptr %table
  %first.row = at %table, 1
  br label %search
search:
  ; row lo begins at or before `begin`, row hi after it
  %lo = phi i64 [ 0, %entry ], [ %lo.next, %halve ]
  %hi = phi i64 [ %rows, %entry ], [ %hi.next, %halve ]
  %gap = sub i64 %hi, %lo
  %wide = icmp ugt i64 %gap, 1
  br i1 %wide, label %halve, label %launch
halve:
  %sum = add i64 %lo, %hi
  %mid = lshr i64 %sum, 1
  %mid.word = mul i64 %mid, {ROW}
  %mid.first = ldi %first.row, %mid.word
  %later = icmp ugt i64 %mid.first, %begin
  %lo.next = select i1 %later, i64 %lo, i64 %mid
  %hi.next = select i1 %later, i64 %mid, i64 %hi
  br label %search
launch:
  %k = phi i64 [ %lo, %search ], [ %k.next, %next ]
  %from = phi i64 [ %begin, %search ], [ %after, %next ]
  %word = mul i64 %k, {ROW}
  %row = at %first.row, %word
  %first = load i64, ptr %row
  %fn = ldp %row, 1
  %slots = ldp %row, 2
  %weight = ldi %row, 3
  %after = ldi %row, {ROW}
  %to = call i64 @llvm.umin.i64(i64 %end, i64 %after)
  %from.unit = sub i64 %from, %first
  %to.unit = sub i64 %to, %first
  %from.block = udiv i64 %from.unit, %weight
  %to.block = udiv i64 %to.unit, %weight
  %some = icmp ult i64 %from.block, %to.block
  br i1 %some, label %run, label %next
run:
  call void %fn(ptr %slots, i64 %from.block, i64 %to.block)
  br label %next
next:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %after, %end
  br i1 %more, label %launch, label %done
done:
  ret void
}}
"""

_RUN = f"""
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @run(ptr %program, i64 %groups, i64 %scratch, ptr %buffers, ptr %pool, i64 %threads,
                  i64 %threshold) nounwind {{
entry:
  %floats = call i64 @float.enter()
  %long = icmp sgt i64 %scratch, {STACK_WORDS}
  br i1 %long, label %on.heap, label %on.stack
on.heap:
  %bytes = shl i64 %scratch, 3
  %heap = call ptr @malloc(i64 %bytes)
  %refused = icmp eq ptr %heap, null
  br i1 %refused, label %on.stack, label %ready
on.stack:
  %stack = alloca i64, i64 %scratch, align 64
  br label %ready
ready:
  %table = phi ptr [ %heap, %on.heap ], [ %stack, %on.stack ]
  %held = phi ptr [ %heap, %on.heap ], [ null, %on.stack ]
  %rows = at %table, 1
  br label %group
group:
  %g = phi i64 [ 0, %ready ], [ %g.next, %next.group ]
  %header = phi ptr [ %program, %ready ], [ %record, %next.group ]
  %more = icmp slt i64 %g, %groups
  br i1 %more, label %open, label %done
open:
  %first.record = at %header, 3
  %launches = load i64, ptr %header
  %units = ldi %header, 1
  %work = ldi %header, 2
  store i64 %launches, ptr %table
  %end.word = mul i64 %launches, {ROW}
  %end.row = at %rows, %end.word
  store i64 %units, ptr %end.row
  %first.slots = at %end.row, 1
  br label %launch
launch:
  %k = phi i64 [ 0, %open ], [ %k.next, %placed ]
  %record = phi ptr [ %first.record, %open ], [ %at, %placed ]
  %slots = phi ptr [ %first.slots, %open ], [ %slots.next, %placed ]
  %unit = phi i64 [ 0, %open ], [ %unit.next, %placed ]
  %row.word = mul i64 %k, {ROW}
  %row = at %rows, %row.word
  %more.launches = icmp slt i64 %k, %launches
  br i1 %more.launches, label %head, label %start
head:
  %template = at %record, 6
  %fn = load ptr, ptr %record
  %finish = ldp %record, 1
  %blocks = ldi %record, 2
  %weight = ldi %record, 3
  %n = ldi %record, 4
  %p = ldi %record, 5
  store i64 %unit, ptr %row
  stp %fn, %row, 1
  stp %slots, %row, 2
  sti %weight, %row, 3
  stp %finish, %row, 4
  sti %blocks, %row, 5
  %own.units = mul i64 %blocks, %weight
  %unit.next = add i64 %unit, %own.units
  %k.next = add i64 %k, 1
  %patches = at %template, %n
  %slots.next = at %slots, %n
  %n.bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %slots, ptr align 8 %template, i64 %n.bytes, i1 false)
  br label %patch
patch:
  %j = phi i64 [ 0, %head ], [ %j.next, %patch.body ]
  %at = phi ptr [ %patches, %head ], [ %at.next, %patch.body ]
  %patching = icmp slt i64 %j, %p
  br i1 %patching, label %patch.body, label %placed
patch.body:
  %slot = load i64, ptr %at
  %buffer = ldi %at, 1
  %offset = ldi %at, 2
  %at.base = getelementptr ptr, ptr %buffers, i64 %buffer
  %base = load ptr, ptr %at.base
  %address = getelementptr i8, ptr %base, i64 %offset
  stp %address, %slots, %slot
  %j.next = add i64 %j, 1
  %at.next = at %at, 3
  br label %patch
placed:
  br label %launch
start:
  %large = icmp sge i64 %work, %threshold
  br i1 %large, label %parallel, label %serial
parallel:
  call void @region(ptr %pool, ptr @spread, ptr %table, i64 %units, i64 %threads)
  br label %then
serial:
  call void @spread(ptr %table, i64 0, i64 %units)
  br label %then
then:
  %f = phi i64 [ 0, %parallel ], [ 0, %serial ], [ %f.next, %finished ]
  %finishing = icmp slt i64 %f, %launches
  br i1 %finishing, label %last, label %next.group
last:
  %f.word = mul i64 %f, {ROW}
  %f.row = at %rows, %f.word
  %f.slots = ldp %f.row, 2
  %f.finish = ldp %f.row, 4
  %f.blocks = ldi %f.row, 5
  %f.next = add i64 %f, 1
  %none = icmp eq ptr %f.finish, null
  br i1 %none, label %finished, label %call.finish
call.finish:
  call void %f.finish(ptr %f.slots, i64 0, i64 %f.blocks)
  br label %finished
finished:
  br label %then
next.group:
  %g.next = add i64 %g, 1
  br label %group
done:
  call void @float.leave(i64 %floats)
  call void @free(ptr %held)
  ret void
}}
"""


@functools.cache
def functions() -> dict[str, int]:
    """Addresses of the native functions: `run`; `region`, `worker`, `pauses` of `region.py`; `settle`;
    `chain`."""
    # Level 0: a launch costs 17 ns more than at level 2, the compile 12 ms less.
    text = region.text(host().arch) + placement.TEXT + worth.TEXT + _SPREAD + _RUN + chain.TEXT
    names = ("run", "region", "worker", "pauses", "settle", "chain")
    return native(lambda: words.expand(text), names, level=0, key=text)


@functools.cache
def runner(release_gil: bool) -> Callable[..., None]:
    """`run(program, groups, scratch, buffers, pool, threads, threshold)`, all plain integers.

    Releasing the interpreter's lock costs a little, and lets other Python threads run meanwhile.
    """
    kind = ctypes.CFUNCTYPE if release_gil else ctypes.PYFUNCTYPE
    return kind(None, *[ctypes.c_int64] * 7)(functions()["run"])
