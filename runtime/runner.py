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

from . import chain, placement, region, worth
from .host import host
from .load import native
from .records import record

# Groups that move fewer bytes stay on the caller's thread: waking another costs more.
PARALLEL_BYTES = 256 << 10

# A launch of a group in the table on the stack, `first` of its units. One more row holds the number of all
# units.
_ROW = record("first run:ptr slots:many[i64] weight finish:ptr blocks")
ROW = len(_ROW)

# Words of that table up to which it lies on the stack, which may be a small one; larger ones on the heap.
STACK_WORDS = 2 << 10

_NAMES = ("run", "region", "worker", "pauses", "settle", "chain")
_RECORDS = {
    "ROW": _ROW,
    "GROUP": record("launches units work"),
    "LAUNCH": record("run:ptr finish:ptr blocks weight n p"),
    "PATCH": record("slot buffer offset"),
}

_TEXT = """
def spread(table: many[i64], begin, end):
    rows: ROW = table + 1
    # row `low` begins at or before `begin`, row `high` after it
    low = 0
    high = table[0]
    while high - low > 1:
        middle = (low + high) >> 1
        if rows[middle].first > begin:
            high = middle
        else:
            low = middle
    row = rows + low
    while True:
        after = row[1].first
        first = row.first
        weight = row.weight
        start = (begin - first) // weight
        stop = (min(end, after) - first) // weight
        if start < stop:
            run = row.run
            run(row.slots, start, stop)
        if after >= end:
            return
        begin = after
        row = row + 1

def run(program: GROUP, groups, scratch, buffers: many[ptr], pool: ptr, threads, threshold):
    floats = float_enter()
    held: ptr = null
    if scratch > STACK_WORDS:
        held = malloc(scratch << 3)
    table: many[i64] = held
    if held == null:
        table = room(i64, scratch, 64)
    rows: ROW = table + 1
    group = program
    for g in range(groups):
        launches = group.launches
        table[0] = launches
        end = rows + launches
        end.first = group.units
        slots: many[i64] = address(end.run)
        launch: LAUNCH = group + 1
        unit = 0
        for k in range(launches):
            row = rows + k
            blocks = launch.blocks
            weight = launch.weight
            n = launch.n
            row.first = unit
            row.run = launch.run
            row.slots = slots
            row.weight = weight
            row.finish = launch.finish
            row.blocks = blocks
            unit += blocks * weight
            template: many[i64] = launch + 1
            copy(slots, template, n << 3, False)
            patch: PATCH = template + n
            for j in range(launch.p):
                store(slots + patch.slot, buffers[patch.buffer] + patch.offset)
                patch = patch + 1
            slots = slots + n
            launch: LAUNCH = patch
        if group.work >= threshold:
            region(pool, spread, table, group.units, threads)
        else:
            spread(table, 0, group.units)
        for f in range(launches):
            row = rows + f
            finish = row.finish
            if finish != null:
                finish(row.slots, 0, row.blocks)
        group: GROUP = launch
    float_leave(floats)
    free(held)
"""


def text(arch: str) -> str:
    """LLVM text of all that runs plans."""
    from .language import compiled  # where the cache has the code, nobody writes it

    source = region.text(arch) + placement.TEXT + worth.TEXT + _TEXT + chain.TEXT
    numbers = placement.NUMBERS | worth.NUMBERS | {"LINE": region.LINE, "STACK_WORDS": STACK_WORDS}
    return compiled(source, _NAMES, region.RECORDS | _RECORDS | chain.RECORDS, numbers)


@functools.cache
def functions() -> dict[str, int]:
    """Addresses of the native functions: `run`; `region`, `worker`, `pauses` of `region.py`; `settle`;
    `chain`."""
    # Level 0: a launch costs 17 ns more than at level 2, the compile 12 ms less. The key has nothing of the
    # text: every key of the disk cache begins with the content of the files that it is in.
    return native(lambda: text(host().arch), _NAMES, level=0, key="runner")


@functools.cache
def runner(release_gil: bool) -> Callable[..., None]:
    """`run(program, groups, scratch, buffers, pool, threads, threshold)`, all plain integers.

    Releasing the interpreter's lock costs a little, and lets other Python threads run meanwhile.
    """
    kind = ctypes.CFUNCTYPE if release_gil else ctypes.PYFUNCTYPE
    return kind(None, *[ctypes.c_int64] * 7)(functions()["run"])
