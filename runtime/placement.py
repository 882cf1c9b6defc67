"""Where workers run (`language.py`): not on the CPU of the thread that wakes them.

A kernel that wakes a thread may put it on the CPU of the thread that woke it, though another is idle,
and notice 3 to 10 ms later: schedulers that pack threads onto few CPUs do so often. Until then a region
runs on one CPU. So a caller that has to wake workers first takes its own CPU out of their affinity; a
worker takes it back before it parks. Asleep, they have the affinity that the system or the user gave
them; one that may run on no other CPU is left alone. Both happen while the pool's mutex is held.

Asking costs 3 us a worker. Where there are more than a few, others share what one cannot do.
"""

from __future__ import annotations

NUMBERS = {
    "MOST": 3,  # workers
    "BITS": 1024,  # of a cpu_set_t
}

TEXT = """
def apart(state: STATE):
    now = room(i1024, 1, 64)
    workers = load(address(state.workers), i64, "acquire")
    ask = state.cpu
    if ask == null or workers > MOST:
        return
    cpu: i32 = ask()
    if cpu < 0 or cpu >= BITS:
        return
    get = state.get_affinity
    set = state.set_affinity
    but = i1024(1) << i1024(cpu) ^ -1
    places: PLACE = address(state.places)
    for k in range(workers):
        place = places[k]
        own = address(place.own)
        if place.away == 0:
            error: i32 = get(place.thread, BITS >> 3, own)
            if error != 0:
                continue
        others = load(own, i1024) & but
        if others != 0:
            store(now, others)
            place.away = 1
            set(place.thread, BITS >> 3, now)

def back(place: PLACE):
    if place.away != 0:
        place.away = 0
        set = place.state.set_affinity
        set(place.thread, BITS >> 3, address(place.own))
"""
