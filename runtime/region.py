"""A parallel region in LLVM text: how blocks of one launch are shared among threads.

Everything is in one piece of memory, the pool's state. A region is opened by storing a number of
tickets into `gate`. A worker that takes a ticket (ticket t makes it participant t; the caller is
participant 0) may read the job, and counts itself in `left` when it finds no more work. The caller
closes the region by taking the tickets that are left, so a worker that wakes too late is never
waited for: it finds no ticket.

Each participant owns a contiguous range of blocks, so data stays in the cache of one core from
launch to launch; it takes an eighth of what is left of it at a time, so that there are few turns and
the last ones are short, and helps the others when it is done.
Which thread runs a block never changes what the block computes. Where sharing has not paid of late, the
caller does all (`worth.py`).
"""

from __future__ import annotations

from . import floats

# Words of the state (`words.py`); what different threads write is in cache lines of its own.
GATE = 0  # open tickets
LEFT = 8  # workers that took a ticket and are done
BUSY = 16  # 1 while a caller has the pool
SLEEPERS = 24  # workers that are parked, or about to be
JOB = 32  # run, slots, blocks, participants
WORKERS = 40  # threads that were started
SPINS = 41  # looks at the gate before a worker parks
OPENED = 42  # regions so far, those that the caller ran alone among them
ALONE = 43  # regions that it ran alone, for sharing them would not have paid
# In ticks: what sharing has gained, at most CREDIT, and for how long regions are not shared yet. How many
# times the loss that is.
BALANCE, CREDIT, REST, FACTOR = 44, 45, 46, 47
# Addresses: mutex_lock, mutex_unlock, cond_wait, cond_signal, sched_yield, and, or null, sched_getcpu,
# pthread_getaffinity_np, pthread_setaffinity_np.
CALLS = 48
MUTEX = 56  # 16 each: more than any system's pthread_mutex_t and pthread_cond_t
CONDITION = 72
LINE = 8  # of the cache
CURSORS = 88  # first block of each range that nobody has taken; one line per participant
MAX_THREADS = 256
PLACES = CURSORS + LINE * MAX_THREADS  # one for each worker
# In a place: the worker's own affinity (a cpu_set_t), its pthread_t, the state, and 1 while a CPU is
# taken out of its affinity (`placement.py`).
OWN, THREAD, STATE, AWAY, PLACE_WORDS = 0, 16, 17, 18, 24
STATE_WORDS = PLACES + PLACE_WORDS * MAX_THREADS

# How a spinning thread tells the core that it waits.
_PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
# A clock that runs at a constant rate, read in some 20 cycles: the time stamp counter, CNTVCT_EL0. Elsewhere
# it is 0 at all times, and all regions are shared.
_TICKS = "call i64 @llvm.readcyclecounter()"

_WORK = f"""
define internal i64 @work(ptr %state, i64 %self) nounwind {{
entry:
  %cursors = at %state, {CURSORS}
  %fn = ldp %state, {JOB}
  %slots = ldp %state, {JOB + 1}
  %blocks = ldi %state, {JOB + 2}
  %count = ldi %state, {JOB + 3}
  br label %range
range:
  %d = phi i64 [ 0, %entry ], [ %d.next, %range.next ]
  %before = phi i64 [ 0, %entry ], [ %own, %range.next ]
  %r.raw = add i64 %self, %d
  %wraps = icmp uge i64 %r.raw, %count
  %r.less = sub i64 %r.raw, %count
  %r = select i1 %wraps, i64 %r.less, i64 %r.raw
  %r1 = add i64 %r, 1
  %hi.product = mul i64 %blocks, %r1
  %hi = udiv i64 %hi.product, %count
  %line = mul i64 %r, {LINE}
  %cursor = at %cursors, %line
  br label %take
take:
  %own = phi i64 [ %before, %range ], [ %own.next, %run ]
  ; another thread may come between, and is then left with an eighth of a little more
  %next = load atomic i64, ptr %cursor monotonic, align 8
  %left = call i64 @llvm.usub.sat.i64(i64 %hi, i64 %next)
  %part = lshr i64 %left, 3
  %step = call i64 @llvm.umax.i64(i64 %part, i64 1)
  %begin = atomicrmw add ptr %cursor, i64 %step monotonic
  %some = icmp ult i64 %begin, %hi
  br i1 %some, label %run, label %range.next
run:
  %end.raw = add i64 %begin, %step
  %end = call i64 @llvm.umin.i64(i64 %end.raw, i64 %hi)
  call void %fn(ptr %slots, i64 %begin, i64 %end)
  %ran = sub i64 %end, %begin
  %own.next = add i64 %own, %ran
  br label %take
range.next:
  %d.next = add i64 %d, 1
  %again = icmp ult i64 %d.next, %count
  br i1 %again, label %range, label %done
done:
  ret i64 %own
}}
"""

_WORKER = f"""
define ptr @worker(ptr %place) nounwind {{
entry:
  %floats = call i64 @float.enter()  ; for good: the thread is ours
  %state = ldp %place, {STATE}
  %left = at %state, {LEFT}
  %sleepers = at %state, {SLEEPERS}
  %mutex = at %state, {MUTEX}
  %condition = at %state, {CONDITION}
  %lock = ldp %state, {CALLS}
  %unlock = ldp %state, {CALLS + 1}
  %wait = ldp %state, {CALLS + 2}
  %spins = ldi %state, {SPINS}
  br label %look
look:
  %n = phi i64 [ %spins, %entry ], [ %n.next, %pause ], [ %spins, %finished ], [ %spins, %wake ]
  %tickets = load atomic i64, ptr %state acquire, align 8
  %open = icmp sgt i64 %tickets, 0
  br i1 %open, label %join, label %idle
idle:
  %tired = icmp sle i64 %n, 0
  br i1 %tired, label %park, label %pause
pause:
  PAUSE
  %n.next = sub i64 %n, 1
  br label %look
join:
  %fewer = sub i64 %tickets, 1
  %swap = cmpxchg ptr %state, i64 %tickets, i64 %fewer acq_rel acquire
  %joined = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %joined, label %work, label %finished
work:
  %own = call i64 @work(ptr %state, i64 %tickets)
  %old.left = atomicrmw add ptr %left, i64 1 acq_rel
  br label %finished
finished:
  br label %look
park:
  %e1 = call i32 %lock(ptr %mutex)
  call void @back(ptr %place)
  %old.up = atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %asleep
asleep:
  %now = load atomic i64, ptr %state seq_cst, align 8
  %called = icmp sgt i64 %now, 0
  br i1 %called, label %wake, label %sleep
sleep:
  ; Waking takes longer than a short region. Whoever was called looks around for a while, though that
  ; region is over: the next one is near.
  %e2 = call i32 %wait(ptr %condition, ptr %mutex)
  br label %wake
wake:
  %old.down = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  %e3 = call i32 %unlock(ptr %mutex)
  br label %look
}}
"""

_REGION = f"""
define void @region(ptr %state, ptr %fn, ptr %slots, i64 %blocks, i64 %threads) nounwind {{
entry:
  %no.state = icmp eq ptr %state, null
  %few.threads = icmp slt i64 %threads, 2
  %few.blocks = icmp slt i64 %blocks, 2
  %a = or i1 %no.state, %few.threads
  %b = or i1 %a, %few.blocks
  br i1 %b, label %serial, label %try
serial:
  call void %fn(ptr %slots, i64 0, i64 %blocks)
  ret void
try:
  %busy = at %state, {BUSY}
  %swap = cmpxchg ptr %busy, i64 0, i64 1 acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %size, label %serial
size:
  %at.workers = at %state, {WORKERS}
  %workers = load atomic i64, ptr %at.workers acquire, align 8
  %all = add i64 %workers, 1
  %some = call i64 @llvm.umin.i64(i64 %all, i64 %threads)
  %count = call i64 @llvm.umin.i64(i64 %some, i64 %blocks)
  %nobody = icmp ult i64 %count, 2
  br i1 %nobody, label %give.back, label %decide
decide:
  %opened = ldi %state, {OPENED}
  %opened.next = add i64 %opened, 1
  sti %opened.next, %state, {OPENED}
  %start = TICKS
  %rest = ldi %state, {REST}
  %rests = icmp sgt i64 %rest, 0
  br i1 %rests, label %alone, label %setup
alone:
  %before = ldi %state, {ALONE}
  %before.next = add i64 %before, 1
  sti %before.next, %state, {ALONE}
  call void %fn(ptr %slots, i64 0, i64 %blocks)
  %over = TICKS
  %took = sub i64 %over, %start
  %rest.next = sub i64 %rest, %took
  sti %rest.next, %state, {REST}
  store atomic i64 0, ptr %busy release, align 8
  ret void
give.back:
  store atomic i64 0, ptr %busy release, align 8
  br label %serial
setup:
  %left = at %state, {LEFT}
  %cursors = at %state, {CURSORS}
  stp %fn, %state, {JOB}
  stp %slots, %state, {JOB + 1}
  sti %blocks, %state, {JOB + 2}
  sti %count, %state, {JOB + 3}
  store i64 0, ptr %left
cursor: each %r in %count from setup, cursor.body else open
  %product = mul i64 %blocks, %r
  %lo = udiv i64 %product, %count
  %line = mul i64 %r, {LINE}
  sti %lo, %cursors, %line
  br label %cursor
open:
  %tickets = sub i64 %count, 1
  %old.gate = atomicrmw xchg ptr %state, i64 %tickets seq_cst
  %at.sleepers = at %state, {SLEEPERS}
  %sleepers = load atomic i64, ptr %at.sleepers seq_cst, align 8
  %asleep = icmp sgt i64 %sleepers, 0
  br i1 %asleep, label %wake, label %share
wake:
  %mutex = at %state, {MUTEX}
  %condition = at %state, {CONDITION}
  %lock = ldp %state, {CALLS}
  %unlock = ldp %state, {CALLS + 1}
  %signal = ldp %state, {CALLS + 3}
  %calls = call i64 @llvm.umin.i64(i64 %sleepers, i64 %tickets)
  %e1 = call i32 %lock(ptr %mutex)
  call void @apart(ptr %state)
  %e2 = call i32 %unlock(ptr %mutex)
  br label %one
one:
  %c = phi i64 [ %calls, %wake ], [ %c.next, %one ]
  %e3 = call i32 %signal(ptr %condition)
  %c.next = sub i64 %c, 1
  %others = icmp sgt i64 %c.next, 0
  br i1 %others, label %one, label %share
share:
  %begun = TICKS
  %own = call i64 @work(ptr %state, i64 0)
  %ended = TICKS
  %unused = atomicrmw xchg ptr %state, i64 0 acq_rel
  %joined = sub i64 %tickets, %unused
  %spins = ldi %state, {SPINS}
  br label %wait
wait:
  %n = phi i64 [ %spins, %share ], [ %n.next, %spin ], [ 0, %yield ]
  %done = load atomic i64, ptr %left acquire, align 8
  %ready = icmp sge i64 %done, %joined
  br i1 %ready, label %finish, label %not.yet
not.yet:
  %patient = icmp sgt i64 %n, 0
  br i1 %patient, label %spin, label %yield
spin:
  PAUSE
  %n.next = sub i64 %n, 1
  br label %wait
yield:
  %yield.fn = ldp %state, {CALLS + 4}
  %e4 = call i32 %yield.fn()
  br label %wait
finish:
  %now = TICKS
  %theirs = sub i64 %blocks, %own
  call void @settle(ptr %state, i64 %own, i64 %theirs, i64 %start, i64 %begun, i64 %ended, i64 %now)
  store atomic i64 0, ptr %busy release, align 8
  ret void
}}
"""

_REST = """
define i64 @pauses(i64 %count) nounwind {
entry:
  %begun = TICKS
  br label %loop
loop:
  %n = phi i64 [ %count, %entry ], [ %n.next, %loop ]
  PAUSE
  %n.next = sub i64 %n, 1
  %more = icmp sgt i64 %n.next, 0
  br i1 %more, label %loop, label %done
done:
  %ended = TICKS
  %ticks = sub i64 %ended, %begun
  ret i64 %ticks
}
declare i64 @llvm.readcyclecounter()
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.usub.sat.i64(i64, i64)
"""


def text(arch: str) -> str:
    """Text, with the instructions of `words.py`, of `worker(place)`, `pauses(count)` (which says how many
    ticks they took) and

        void region(ptr state, ptr run, ptr slots, i64 blocks, i64 threads)

    which calls `run(slots, begin, end)` until all blocks are done, on at most `threads` threads.
    It runs all of them on the caller's thread where `state` is null or another caller has the pool.
    `placement.TEXT` and `worth.TEXT` belong to it, `floats.text(arch)` is in it.
    """
    declare, pause = _PAUSE.get(arch, ("", ""))
    text = floats.text(arch) + declare + _WORK + _WORKER + _REGION + _REST
    return text.replace("PAUSE", pause).replace("TICKS", _TICKS if arch in _PAUSE else "add i64 0, 0")
