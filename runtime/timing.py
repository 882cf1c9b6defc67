"""Times of the launches of a plan: each alone, one after the other, in the order of the plan; then, in passes
of their own, who runs them and what the processor counts."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data

from . import counters, memory, pool, watch
from .address import address
from .execute import Array, Executable, grouped, needs, record
from .runner import runner

LEAST_PASSES, MOST_PASSES = 5, 300
SECONDS = 0.25  # after which no further pass begins
LEAST_WATCHED, MOST_WATCHED = 3, 20  # passes in which threads note what they run


@data
class Times:
    """`launches[p][k]`: (begin, seconds) of launch k in pass p, begins in seconds from that of the first
    pass; `whole`: seconds of all launches in one native call, as a step runs them; `outputs` of the
    plan. `busy[k]`: seconds that each thread ran of launch k, the longest first; `counts[k]`: what the
    processor counted, by name, or `missing` says why it did not. Medians both. `parts`: of one pass of its
    own, (launch, thread, begin, seconds) of each part that a thread has taken."""

    units: list[int]
    spans: list[list[tuple[float, float]]]
    whole: list[float]
    outputs: list[Array]
    busy: list[tuple[float, ...]]
    counts: list[dict[str, float]]
    missing: str
    parts: list[tuple[int, int, float, float]]


def _passes(least: int, most: int) -> Iterator[float]:
    """When the first pass has begun, for each pass."""
    first = time.perf_counter()
    for number in range(most):
        if number >= least and time.perf_counter() - first > SECONDS:
            return
        yield first


def of_call(work: Callable[[], object]) -> Times:
    """Times of a function, as those of a plan with one launch: what it does is its own."""
    found: list[list[tuple[float, float]]] = []
    for first in _passes(LEAST_PASSES, MOST_PASSES):
        began = time.perf_counter()
        work()
        found.append([(began - first, time.perf_counter() - began)])
    return Times([1], found[1:], [s for ((_, s),) in found[1:]], [], [()], [{}], "", [])


def times(plan: Executable, inputs: Sequence[Array], threads: int | None = None) -> Times:
    """Times of passes over the plan. Inputs are copied first, and outputs have memory of their own, so that
    nothing that anybody sees changes, and each pass computes the same. Launches that a step runs at once
    run one after the other, each with the threads that its group has. The time of a native call that runs
    nothing has been taken off. Passes go on for a quarter of a second, at least 5, at most 300."""
    most = pool.get_num_threads()
    threads = most if threads is None else min(threads, most)
    arrays = [np.array(x, order="C") for x in inputs]
    buffers = plan.plan.buffers
    outputs = [memory.array(buffers[i].shape, buffers[i].dtype.np) for i in plan.plan.outputs]
    block = memory.allocate(max(plan.plan.temp_bytes, 1))
    addresses = [block.address + buffer.offset for buffer in buffers]
    for i, array in zip((*plan.plan.inputs, *plan.plan.outputs), (*arrays, *outputs), strict=True):
        addresses[i] = address(array)
    table = (ctypes.c_int64 * len(addresses))(*addresses)
    run, reach = runner(True), pool.reach(threads) if plan.large else 0

    def call(program: Any, groups: int, scratch: int, least: int) -> tuple[float, float]:
        start, where = program.ctypes.data, ctypes.addressof(table)
        began = time.perf_counter()
        run(start, groups, scratch, where, reach, threads, least)
        return began, time.perf_counter() - began

    units = []
    for group in grouped(plan.plan.launches):
        least = 0 if sum(x.work for x in group) >= plan.parallel else 1 << 62
        parts = [group] if group[0].strip is not None else [[launch] for launch in group]
        units += [(part, (np.array(record(part), np.int64), 1, needs(part), least)) for part in parts]
    nothing = min(call(plan.program, 0, 0, 0)[1] for _ in range(20))
    found: list[list[tuple[float, float]]] = []
    whole: list[float] = []
    for first in _passes(LEAST_PASSES, MOST_PASSES):
        one = [call(*program) for _, program in units]
        found.append([(began - first, max(0.0, seconds - nothing)) for began, seconds in one])
        whole.append(max(0.0, call(plan.program, plan.groups, plan.scratch, plan.parallel)[1] - nothing))
    programs = [program for _, program in units]
    told = _watched(programs, call)
    del block
    return Times([len(part) for part, _ in units], found[1:], whole[1:], outputs, *told)


def _watched(
    programs: Sequence[tuple[Any, int, int, int]], call: Callable[..., object]
) -> tuple[list[tuple[float, ...]], list[dict[str, float]], str, list[tuple[int, int, float, float]]]:
    """Some more passes: who ran each launch, and what was counted."""
    if not watch.available():
        return [()] * len(programs), [{}] * len(programs), "they are read on Linux alone", []
    log, missing = watch.Log(), ""
    try:
        counting = counters.Counters()
    except counters.Unavailable as error:
        counting, missing = None, str(error)
    seen = [
        (np.array(watch.watched(program.tolist(), log), np.int64), groups, scratch + watch.OWN, least)
        for program, groups, scratch, least in programs
    ]
    busy: list[list[tuple[float, ...]]] = [[] for _ in seen]
    counted: list[list[list[float]]] = [[] for _ in seen]
    last: list[tuple[int, int, float, float]] = []
    for _ in _passes(LEAST_WATCHED, MOST_WATCHED):
        last = []
        for k, program in enumerate(seen):
            log.begin()
            before = counting.read() if counting else []
            call(*program)
            after = counting.read() if counting else []
            counted[k].append([b - a for a, b in zip(before, after, strict=True)])
            if (parts := log.parts()) is not None:
                busy[k].append(watch.busy(parts))
                last += [(k, *part) for part in parts]
    names = counting.names if counting else ()
    if counting:
        counting.close()
    counts = [
        {name: statistics.median(one[n] for one in rows) for n, name in enumerate(names)} for rows in counted
    ]
    return [_medians(rows) for rows in busy], counts, missing, _numbered(last)


def _numbered(parts: Sequence[tuple[int, int, float, float]]) -> list[tuple[int, int, float, float]]:
    """Threads by number, from 0, and begins from that of the first part."""
    threads: dict[int, int] = {}
    first = min((begin for _, _, begin, _ in parts), default=0.0)
    return [(k, threads.setdefault(t, len(threads)), begin - first, s) for k, t, begin, s in parts]


def _medians(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Of the busiest thread of each pass, of the next, ..."""
    most = max(map(len, rows), default=0)
    return tuple(statistics.median(row[n] if n < len(row) else 0.0 for row in rows) for n in range(most))
