"""A parallel region (`language.py`): how blocks of one launch are shared among threads.

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

# Words of the state; what different threads write is in cache lines of its own.
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

_STATE = {
    "gate": (GATE, "i64"), "left": (LEFT, "i64"), "busy": (BUSY, "i64"), "sleepers": (SLEEPERS, "i64"),
    "run": (JOB, "ptr"), "slots": (JOB + 1, "ptr"), "blocks": (JOB + 2, "i64"), "count": (JOB + 3, "i64"),
    "workers": (WORKERS, "i64"), "spins": (SPINS, "i64"), "opened": (OPENED, "i64"), "alone": (ALONE, "i64"),
    "balance": (BALANCE, "i64"), "credit": (CREDIT, "i64"), "rest": (REST, "i64"), "factor": (FACTOR, "i64"),
    "lock": (CALLS, "ptr"), "unlock": (CALLS + 1, "ptr"), "wait": (CALLS + 2, "ptr"),
    "signal": (CALLS + 3, "ptr"), "rests": (CALLS + 4, "ptr"), "cpu": (CALLS + 5, "ptr"),
    "get_affinity": (CALLS + 6, "ptr"), "set_affinity": (CALLS + 7, "ptr"), "mutex": (MUTEX, "i64"),
    "condition": (CONDITION, "i64"), "cursors": (CURSORS, "i64"), "places": (PLACES, "i64"),
}  # fmt: skip
RECORDS = {
    "STATE": _STATE,
    "PLACE": {
        "own": (OWN, "ptr"), "thread": (THREAD, "ptr"), "state": (STATE, "STATE"), "away": (AWAY, "i64"),
        "end": (PLACE_WORDS - 1, "i64"),
    },
}  # fmt: skip

# How a spinning thread tells the core that it waits.
_PAUSE = {
    "x86_64": 'def pause(): "llvm.x86.sse2.pause"\n',
    "aarch64": 'def barrier(kind: i32): "llvm.aarch64.isb"\ndef pause():\n    barrier(15)\n',
}
# A clock that runs at a constant rate, read in some 20 cycles: the time stamp counter, CNTVCT_EL0. Elsewhere
# it is 0 at all times, and all regions are shared.
_TICKS = 'def ticks() -> i64: "llvm.readcyclecounter"\n'
_NEITHER = "def pause():\n    pass\ndef ticks() -> i64:\n    return 0\n"

_TEXT = '''
def work(state: STATE, self) -> i64:
    """How many blocks participant `self` has run, once there are no more."""
    run = state.run
    slots = state.slots
    blocks = state.blocks
    count = state.count
    own = 0
    for d in range(count):
        r = self + d
        if r >= count:
            r -= count
        high = blocks * (r + 1) // count
        cursor = address(state.cursors) + r * LINE
        while True:
            # another thread may come between, and is then left with an eighth of a little more
            step = max(less(high, load(cursor, i64, "monotonic")) >> 3, 1)
            begin = add_to(cursor, step, "monotonic")
            if begin >= high:
                break
            end = min(begin + step, high)
            run(slots, begin, end)
            own += end - begin
    return own

def worker(place: PLACE) -> ptr:
    float_enter()  # for good: the thread is ours
    state = place.state
    mutex = address(state.mutex)
    lock = state.lock
    unlock = state.unlock
    wait = state.wait
    n = state.spins
    while True:
        tickets = load(address(state.gate), i64, "acquire")
        if tickets > 0:
            if set_if(address(state.gate), tickets, tickets - 1, "acq_rel", "acquire"):
                work(state, tickets)
                add_to(address(state.left), 1, "acq_rel")
            n = state.spins
        elif n > 0:
            pause()
            n -= 1
        else:
            lock(mutex)
            back(place)
            add_to(address(state.sleepers), 1, "seq_cst")
            if load(address(state.gate), i64, "seq_cst") <= 0:
                # Waking takes longer than a short region. Whoever was called looks around for a while, though
                # that region is over: the next one is near.
                wait(address(state.condition), mutex)
            add_to(address(state.sleepers), -1, "seq_cst")
            unlock(mutex)
            n = state.spins

def region(state: STATE, run: ptr, slots: ptr, blocks, threads):
    if state == null or threads < 2 or blocks < 2:
        run(slots, 0, blocks)
        return
    if not set_if(address(state.busy), 0, 1, "acq_rel", "monotonic"):
        run(slots, 0, blocks)
        return
    count = min(min(load(address(state.workers), i64, "acquire") + 1, threads), blocks)
    if count < 2:
        store(address(state.busy), 0, "release")
        run(slots, 0, blocks)
        return
    state.opened += 1
    start = ticks()
    if state.rest > 0:
        state.alone += 1
        run(slots, 0, blocks)
        state.rest -= ticks() - start
        store(address(state.busy), 0, "release")
        return

    state.run = run
    state.slots = slots
    state.blocks = blocks
    state.count = count
    state.left = 0
    cursors = address(state.cursors)
    for r in range(count):
        cursors[r * LINE] = blocks * r // count
    tickets = count - 1
    swap(address(state.gate), tickets, "seq_cst")
    sleepers = load(address(state.sleepers), i64, "seq_cst")
    if sleepers > 0:
        lock = state.lock
        unlock = state.unlock
        signal = state.signal
        lock(address(state.mutex))
        apart(state)
        unlock(address(state.mutex))
        for c in range(min(sleepers, tickets)):
            signal(address(state.condition))

    begun = ticks()
    own = work(state, 0)
    ended = ticks()
    unused = swap(address(state.gate), 0, "acq_rel")
    joined = tickets - unused
    rests = state.rests
    n = state.spins
    while load(address(state.left), i64, "acquire") < joined:
        if n > 0:
            pause()
            n -= 1
        else:
            rests()
    settle(state, own, blocks - own, start, begun, ended, ticks())
    store(address(state.busy), 0, "release")

def pauses(count) -> i64:
    begun = ticks()
    for n in range(count):
        pause()
    return ticks() - begun
'''


def text(arch: str) -> str:
    """`worker(place)`, `pauses(count)` (which says how many ticks they took) and

        region(state, run, slots, blocks, threads)

    which calls `run(slots, begin, end)` until all blocks are done, on at most `threads` threads.
    It runs all of them on the caller's thread where `state` is null or another caller has the pool.
    `placement.TEXT` and `worth.TEXT` belong to it, `floats.text(arch)` is in it.
    """
    return floats.text(arch) + (_PAUSE[arch] + _TICKS if arch in _PAUSE else _NEITHER) + _TEXT
