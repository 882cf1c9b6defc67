"""The longest chain of additions of each sum that a program runs, in the order of `compiler/order.py`."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, prod

from lucid.compiler import order
from lucid.compiler.cpu.schedule import Schedule
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Loc
from lucid.compiler.ir.program import Call
from lucid.compiler.passes.plan import row_size

from ..engine import Executable
from ..staged import Staged

# How many additions follow one another, for sums of a user's line over so many terms.
Chains = dict[tuple[Loc | None, int], int]


def chains(made: Executable | Staged) -> Chains:
    """Of all sums in what was compiled; of sums alike in line and number of terms the longest."""
    found: Chains = {}
    for part in made.executables():
        stages = part.compiled.stages
        for call, schedule in zip(stages.program.calls, stages.schedules, strict=True):
            for stage in call.kernel.stages:
                for stmt in stage.body:
                    if isinstance(stmt, k.Reduce):
                        count, longest = _reduce(call, schedule, stage, stmt)
                        key = stmt.loc, count
                        found[key] = max(found.get(key, 0), min(count, longest))
    return found


def _reduce(call: Call, schedule: Schedule, stage: k.Stage, stmt: k.Reduce) -> tuple[int, int]:
    """How many terms it adds, and the longest chain among them."""

    def size(axis: k.Axis) -> int:
        return call.symbols[axis.extent] if isinstance(axis.extent, str) else axis.extent

    inner = [size(a) for a in stage.axes if a.name not in stmt.keep]
    lanes = order.lanes(*stmt.dtypes)
    if stmt.of_row:
        if schedule.mode in ("product", "vector"):
            return prod(inner), _product(prod(inner), stmt)
        return prod(inner), _row(inner, lanes)
    points = prod(size(a) for a in call.kernel.outer)
    count = points * prod(inner)
    if schedule.mode == "flat":
        return count, _row([points], lanes)
    rows = order.row_block(row_size(call), bool(stmt.keep))
    outer = min(rows, points) + _joined(ceil(points / rows), lanes)
    parts = _joined(points * max(1, ceil(row_size(call) / order.BLOCK)), lanes)  # blocks of long rows
    return count, _row(inner, lanes) + max(outer, parts)


def _joined(blocks: int, lanes: int) -> int:
    return ceil(blocks / lanes) + int(log2(lanes))


def _row(inner: Sequence[int], lanes: int) -> int:
    """Along the last of these axes by lanes, which run on over those before."""
    if not inner:
        return 0
    *before, last = inner
    if last <= order.BLOCK:
        return ceil(last / lanes) * prod(before) + int(log2(lanes))
    block = order.BLOCK // lanes + int(log2(lanes))
    return block + _joined(ceil(last / order.BLOCK) * prod(before), lanes)


def _product(depth: int, stmt: k.Reduce) -> int:
    side, part = order.chains(stmt.dtypes[0]), order.depth_part(stmt.dtypes[0])
    return ceil(min(depth, part) / side) + int(log2(side)) + ceil(depth / part)
