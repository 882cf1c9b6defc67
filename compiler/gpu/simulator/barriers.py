"""Barriers of a block: who waits, who goes on, and what it means that nobody does."""

from __future__ import annotations

import numpy as np

from .flow import Block
from .operands import joined
from .ptx import Array, Instruction, PtxError
from .state import Batch, Env, Group


def arrive(batch: Batch, group: Group, env: Env, block: Block, number: int) -> list[tuple[Array, int]]:
    """Threads come to the barrier at the end of block `number` of the code. Those that may go on now, with
    the block at whose end each waited: warps may meet at one barrier from several places."""
    end = block.end
    assert end is not None
    barrier = joined(end.sources[0])(env, group)
    if not group.all:
        _together(batch, group, end)
    batch.waiting[group.lanes] = number
    batch.barrier_number[group.lanes] = barrier
    freed = []
    for which in np.unique(barrier):
        there = (batch.waiting >= 0) & (batch.barrier_number == which)
        full = np.bincount(batch.block, there, minlength=batch.blocks) >= batch.threads
        free = np.flatnonzero(there & full[batch.block])
        if free.size:
            batch.now += 1
            batch.clock[free] = batch.barrier[free] = batch.now
            batch.counts.barriers += int(full.sum())
            places = batch.waiting[free]
            batch.waiting[free] = -1
            freed += [(free[places == place], int(place)) for place in np.unique(places)]
    return freed


def _together(batch: Batch, group: Group, end: Instruction) -> None:
    """All threads of a warp must arrive in one step."""
    count = np.bincount(group.warp, minlength=batch.blocks * batch.warps_of_block)
    alive = np.bincount(batch.warp, batch.alive, minlength=count.size)
    short = np.flatnonzero(count[group.warp] != alive[group.warp])
    if short.size:
        message = "is at a barrier that not all of its warp have reached"
        raise group.error("barrier", end, int(short[0]), message)


def stuck(batch: Batch, ends: list[Instruction | None]) -> PtxError:
    """Threads wait at a barrier, and nobody comes any more. `ends` are the ends of the blocks of code."""
    lane = int(np.flatnonzero(batch.waiting >= 0)[0])
    same = batch.block == batch.block[lane]
    place = int(batch.waiting[lane])
    at = ends[place]
    assert at is not None
    here = int(np.count_nonzero(same & (batch.waiting == place)))
    ended = int(np.count_nonzero(same & ~batch.alive))
    others = int(np.count_nonzero(same & (batch.waiting >= 0))) - here
    elsewhere = [ends[n] for n in set(batch.waiting[same].tolist()) - {-1, place}]
    lines = sorted(end.line for end in elsewhere if end is not None)
    message = f"{batch.who(lane)} and {here - 1} others wait at a barrier of {batch.threads} threads"
    if ended:
        message += f"; {ended} have ended"
    if others:
        message += f"; {others} wait at line {', '.join(map(str, lines))}"
    return batch.module.error("barrier", message, at)
