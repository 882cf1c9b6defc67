"""Where workers run, in LLVM text: not on the CPU of the thread that wakes them.

A kernel that wakes a thread may put it on the CPU of the thread that woke it, though another is idle,
and notice 3 to 10 ms later: schedulers that pack threads onto few CPUs do so often. Until then a region
runs on one CPU. So a caller that has to wake workers first takes its own CPU out of their affinity; a
worker takes it back before it parks. Asleep, they have the affinity that the system or the user gave
them; one that may run on no other CPU is left alone. Both happen while the pool's mutex is held.

Asking costs 3 us a worker. Where there are more than a few, others share what one cannot do.
"""

from __future__ import annotations

from .region import AWAY, CALLS, OWN, PLACE_WORDS, PLACES, STATE, THREAD, WORKERS

MOST = 3  # workers
_BITS = 1024  # of a cpu_set_t
_BYTES = _BITS // 8

TEXT = f"""
define internal void @apart(ptr %state) nounwind {{
entry:
  %now = alloca i{_BITS}, align 64
  %at.workers = at %state, {WORKERS}
  %cpu.fn = ldp %state, {CALLS + 5}
  %get = ldp %state, {CALLS + 6}
  %set = ldp %state, {CALLS + 7}
  %workers = load atomic i64, ptr %at.workers acquire, align 8
  %unknown = icmp eq ptr %cpu.fn, null
  %many = icmp ugt i64 %workers, {MOST}
  %leave = or i1 %unknown, %many
  br i1 %leave, label %done, label %ask
ask:
  %cpu = call i32 %cpu.fn()
  %odd = icmp uge i32 %cpu, {_BITS}
  br i1 %odd, label %done, label %turn
turn:
  %wide = zext i32 %cpu to i{_BITS}
  %bit = shl i{_BITS} 1, %wide
  %but = xor i{_BITS} %bit, -1
  %places = at %state, {PLACES}
worker: each %k in %workers from turn, next else done
  %offset = mul i64 %k, {PLACE_WORDS}
  %place = at %places, %offset
  %own = at %place, {OWN}
  %thread = ldp %place, {THREAD}
  %away = ldi %place, {AWAY}
  %asked = icmp ne i64 %away, 0
  br i1 %asked, label %choose, label %look
look:
  %e1 = call i32 %get(ptr %thread, i64 {_BYTES}, ptr %own)
  %known = icmp eq i32 %e1, 0
  br i1 %known, label %choose, label %next
choose:
  %before = load i{_BITS}, ptr %own, align 64
  %others = and i{_BITS} %before, %but
  %nowhere = icmp eq i{_BITS} %others, 0
  br i1 %nowhere, label %next, label %give
give:
  store i{_BITS} %others, ptr %now, align 64
  sti 1, %place, {AWAY}
  %e2 = call i32 %set(ptr %thread, i64 {_BYTES}, ptr %now)
  br label %next
next:
  br label %worker
done:
  ret void
}}

define internal void @back(ptr %place) nounwind {{
entry:
  %away = ldi %place, {AWAY}
  %taken = icmp ne i64 %away, 0
  br i1 %taken, label %give, label %done
give:
  %at.own = at %place, {OWN}
  %state = ldp %place, {STATE}
  %thread = ldp %place, {THREAD}
  %set = ldp %state, {CALLS + 7}
  sti 0, %place, {AWAY}
  %e1 = call i32 %set(ptr %thread, i64 {_BYTES}, ptr %at.own)
  br label %done
done:
  ret void
}}
"""
