"""The native function that runs a whole plan: one call from Python, however many launches.

A program is an array of int64, one record per launch, one after another:

    run, finish, blocks, work, n, p, slots[n], patches[3 p]

`run` and `finish` are addresses (finish may be 0). A patch (slot, buffer, offset) stores
`buffers[buffer] + offset` into the slot. Slots are copied to the stack before they are patched, so
a program is read only, and any number of threads may run it at once.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import call_text, region
from .host import host
from .load import native

# Launches that move fewer bytes stay on the caller's thread: waking another costs more.
PARALLEL_BYTES = 256 << 10

_RUN = """
define void @run(ptr %program, i64 %launches, i64 %scratch, ptr %buffers, ptr %pool, i64 %threads,
                  i64 %threshold) nounwind {
entry:
  %slots = alloca i64, i64 %scratch, align 64
  br label %launch
launch:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %record = phi ptr [ %program, %entry ], [ %at, %next ]
  %more = icmp slt i64 %k, %launches
  br i1 %more, label %head, label %done
head:
  %at.finish = getelementptr i64, ptr %record, i64 1
  %at.blocks = getelementptr i64, ptr %record, i64 2
  %at.work = getelementptr i64, ptr %record, i64 3
  %at.n = getelementptr i64, ptr %record, i64 4
  %at.p = getelementptr i64, ptr %record, i64 5
  %template = getelementptr i64, ptr %record, i64 6
  %fn = load ptr, ptr %record
  %finish = load ptr, ptr %at.finish
  %blocks = load i64, ptr %at.blocks
  %work = load i64, ptr %at.work
  %n = load i64, ptr %at.n
  %p = load i64, ptr %at.p
  %patches = getelementptr i64, ptr %template, i64 %n
  br label %copy
copy:
  %i = phi i64 [ 0, %head ], [ %i.next, %copy.body ]
  %copying = icmp slt i64 %i, %n
  br i1 %copying, label %copy.body, label %patch
copy.body:
  %from = getelementptr i64, ptr %template, i64 %i
  %to = getelementptr i64, ptr %slots, i64 %i
  %word = load i64, ptr %from
  store i64 %word, ptr %to
  %i.next = add i64 %i, 1
  br label %copy
patch:
  %j = phi i64 [ 0, %copy ], [ %j.next, %patch.body ]
  %at = phi ptr [ %patches, %copy ], [ %at.next, %patch.body ]
  %patching = icmp slt i64 %j, %p
  br i1 %patching, label %patch.body, label %start
patch.body:
  %at.buffer = getelementptr i64, ptr %at, i64 1
  %at.offset = getelementptr i64, ptr %at, i64 2
  %slot = load i64, ptr %at
  %buffer = load i64, ptr %at.buffer
  %offset = load i64, ptr %at.offset
  %at.base = getelementptr ptr, ptr %buffers, i64 %buffer
  %base = load ptr, ptr %at.base
  %address = getelementptr i8, ptr %base, i64 %offset
  %target = getelementptr i64, ptr %slots, i64 %slot
  store ptr %address, ptr %target
  %j.next = add i64 %j, 1
  %at.next = getelementptr i64, ptr %at, i64 3
  br label %patch
start:
  %large = icmp sge i64 %work, %threshold
  br i1 %large, label %parallel, label %serial
parallel:
  call void @region(ptr %pool, ptr %fn, ptr %slots, i64 %blocks, i64 %threads)
  br label %then
serial:
  call void %fn(ptr %slots, i64 0, i64 %blocks)
  br label %then
then:
  %finishes = icmp ne ptr %finish, null
  br i1 %finishes, label %last, label %next
last:
  call void %finish(ptr %slots, i64 0, i64 %blocks)
  br label %next
next:
  %k.next = add i64 %k, 1
  br label %launch
done:
  ret void
}
"""


@functools.cache
def functions() -> dict[str, int]:
    """Addresses of the native functions: `run`, and `region`, `worker`, `pauses` of `region.py`."""
    # Level 0: a launch costs 17 ns more than at level 2, the compile 12 ms less.
    text = region.text(host().arch) + _RUN
    return native(text, ("run", "region", "worker", "pauses"), level=0)


@functools.cache
def call_function() -> int:
    """Address of `call` of `call_text.py`. RuntimeError if this Python lacks what it needs."""
    return native(call_text.text(), ("call",))["call"]


@functools.cache
def runner(release_gil: bool) -> Callable[..., None]:
    """`run(program, launches, scratch, buffers, pool, threads, threshold)`, all plain integers.

    Releasing the interpreter's lock costs a little, and lets other Python threads run meanwhile.
    """
    kind = ctypes.CFUNCTYPE if release_gil else ctypes.PYFUNCTYPE
    return kind(None, *[ctypes.c_int64] * 7)(functions()["run"])
