"""Times of the launches of a plan: each alone, one after the other, in the order of the plan."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data

from . import memory, pool
from .address import address
from .execute import Array, Executable, grouped, needs, record
from .runner import runner

LEAST_PASSES, MOST_PASSES = 5, 300
SECONDS = 0.25  # after which no further pass begins


@data
class Times:
    """`launches[p][k]`: (begin, seconds) of launch k in pass p, begins in seconds from that of the first
    pass; `whole`: seconds of all launches in one native call, as a step runs them; `outputs` of the
    plan."""

    units: list[int]
    spans: list[list[tuple[float, float]]]
    whole: list[float]
    outputs: list[Array]


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
    first = time.perf_counter()
    while len(found) < LEAST_PASSES or (len(found) < MOST_PASSES and time.perf_counter() - first < SECONDS):
        one = [call(*program) for _, program in units]
        found.append([(began - first, max(0.0, seconds - nothing)) for began, seconds in one])
        whole.append(max(0.0, call(plan.program, plan.groups, plan.scratch, plan.parallel)[1] - nothing))
    del block
    return Times([len(part) for part, _ in units], found[1:], whole[1:], outputs)
