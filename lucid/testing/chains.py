"""The longest chain of additions of each sum that a program runs, in the order of `compiler/order.py`."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, prod
from typing import Any

import numpy as np

from lucid.compiler import order
from lucid.compiler.cpu.schedule import Schedule
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Loc
from lucid.compiler.ir.program import Call
from lucid.compiler.passes.plan import row_size

from ..engine import Executable
from ..staged import Staged


@data
class Chain:
    """`longest`: how many additions follow one another, none of them with 0. `walk`: lanes go once along all
    terms, so many at a time; 0: they are added in another way."""

    longest: int
    walk: int


# Of sums of a user's line over so many terms.
Chains = dict[tuple[Loc | None, int], Chain]


def chains(made: Executable | Staged) -> Chains:
    """Of all sums in what was compiled; of sums alike in line and number of terms the longest."""
    found: Chains = {}
    for part in made.executables():
        stages = part.compiled.stages
        for call, schedule in zip(stages.program.calls, stages.schedules, strict=True):
            for stage in call.kernel.stages:
                for stmt in stage.body:
                    if isinstance(stmt, k.Reduce):
                        count, chain = _reduce(call, schedule, stage, stmt)
                        known = found.get((stmt.loc, count), chain)
                        walk = chain.walk if chain.walk == known.walk else 0
                        longest = max(known.longest, min(chain.longest, max(0, count - 1)))
                        found[stmt.loc, count] = Chain(longest, walk)
    return found


def steps(count: int, lanes: int) -> np.ndarray[Any, Any]:
    """Of each term in the order of a walk, how many additions it takes part in."""
    turn = np.arange(count) // lanes
    return ceil(count / lanes) - np.maximum(turn, 1) + _halved(min(count, lanes))


def _reduce(call: Call, schedule: Schedule, stage: k.Stage, stmt: k.Reduce) -> tuple[int, Chain]:
    """How many terms it adds, and how."""

    inner = [call.extent(a.extent) for a in stage.axes if a.name not in stmt.keep]
    lanes = order.lanes(*stmt.dtypes)
    if stmt.of_row:
        if schedule.mode in ("product", "vector"):
            depth = prod(inner)
            whole = depth <= order.depth_part(stmt.dtypes[0])
            return depth, Chain(_product(depth, stmt), order.chains(stmt.dtypes[0]) if whole else 0)
        return prod(inner), Chain(_row(inner, lanes), _walk(inner, lanes))
    points = prod(call.extent(a.extent) for a in call.kernel.outer)
    count = points * prod(inner)
    if schedule.mode == "flat":
        return count, Chain(_row([points], lanes), _walk([points], lanes))
    rows = order.row_block(row_size(call), bool(stmt.keep))
    within = min(rows, points)
    if not stmt.keep:  # rows have lanes, too
        within = ceil(within / order.ROW_LANES) + _halved(order.ROW_LANES)
    outer = within + _joined(ceil(points / rows), lanes)
    parts = _joined(points * max(1, ceil(row_size(call) / order.BLOCK)), lanes)  # blocks of long rows
    return count, Chain(_row(inner, lanes) + max(outer, parts), 0)


def _walk(inner: Sequence[int], lanes: int) -> int:
    return lanes if len(inner) == 1 and inner[0] <= order.BLOCK else 0


def _halved(lanes: int) -> int:
    """Of lanes that are not empty, how often they are joined: l with l + 32, with l + 16, ..."""
    return ceil(log2(max(1, lanes)))


def _joined(blocks: int, lanes: int) -> int:
    return max(0, ceil(blocks / lanes) - 1) + _halved(min(blocks, lanes))


def _row(inner: Sequence[int], lanes: int) -> int:
    """Along the last of these axes by lanes, which run on over those before."""
    if not inner:
        return 0
    *before, last = inner
    if last <= order.BLOCK:
        return max(0, ceil(last / lanes) * prod(before) - 1) + _halved(lanes if before else min(last, lanes))
    block = order.BLOCK // lanes + int(log2(lanes))
    return block + _joined(ceil(last / order.BLOCK) * prod(before), lanes)


def _product(depth: int, stmt: k.Reduce) -> int:
    side, part = order.chains(stmt.dtypes[0]), order.depth_part(stmt.dtypes[0])
    return ceil(min(depth, part) / side) - 1 + _halved(side) + ceil(depth / part) - 1
