"""Instructions that threads of a warp carry out together: shuffles and votes.

All of them name their members by a mask. Members that have not ended must take part in the same step: one
that does not is an error, as it would be waited for, or read while it does something else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .operands import joined, split
from .ptx import Array, Instruction
from .state import Env, Group

Step = Callable[[Env, Group], None]
_FULL = 0xFFFFFFFF


def _bits(group: Group, chosen: Array) -> Array:
    """For each warp of the batch, a mask of the threads of a group for which a condition holds."""
    count = group.batch.blocks * group.batch.warps_of_block
    weight = np.where(
        chosen, 2.0 ** group.of(group.batch.lane), 0.0
    )  # sums of different powers below 2^32 are exact
    return np.bincount(group.warp, weight, minlength=count).astype(np.int64)


def _members(i: Instruction, group: Group, mask: Array) -> Array:
    """The mask of each thread, checked; threads of a warp are ordered by what follows."""
    batch = group.batch
    group.synchronised()
    if group.whole and mask.size == 1 and int(mask[0]) == _FULL:
        return np.broadcast_to(mask.astype(np.int64), (group.size,))
    mask = np.broadcast_to(mask.astype(np.int64), (group.size,))
    lane = group.of(batch.lane)
    outside = np.flatnonzero(mask >> lane & 1 == 0)
    if outside.size:
        raise group.error("mask", i, int(outside[0]), f"is not in its own mask {int(mask[outside[0]]):#010x}")
    alive = np.bincount(batch.warp, np.where(batch.alive, 2.0**batch.lane, 0.0)).astype(np.int64)[group.warp]
    here = _bits(group, np.ones(group.size, np.bool_))[group.warp]
    missing = np.flatnonzero(mask & alive & ~here)
    if missing.size:
        n = int(missing[0])
        absent = int(mask[n] & alive[n] & ~here[n])
        raise group.error(
            "mask", i, n, f"waits for the lanes {absent:#010x} of its mask, which do not take part"
        )
    return mask


def shuffle(i: Instruction) -> Step:
    value, amount, clamp, member = (joined(source) for source in i.sources)
    keep = split(i.dests[0])
    mode = i.modifiers["mode"]

    def step(env: Env, group: Group) -> None:
        mask = _members(i, group, member(env, group))
        batch = group.batch
        lane = group.of(batch.lane)
        b, c = amount(env, group).astype(np.int64) & 31, clamp(env, group).astype(np.int64)
        segment, bound = c >> 8 & 31, c & 31
        most = lane & segment | bound & ~segment
        if mode == "idx":
            source = lane & segment | b & ~segment
        else:
            source = lane + b if mode == "down" else lane ^ b
        source = np.where(source <= most, source, lane)
        if group.whole:
            place = (np.arange(group.size) & ~31) + source
        else:
            count = batch.blocks * batch.warps_of_block * 32
            position = np.full(count, -1)
            position[group.of(batch.place)] = np.arange(group.size)
            place = position[group.warp * 32 + source]
        stranger = (place < 0) | (mask >> source & 1 == 0)
        if stranger.any():
            n = int(np.flatnonzero(stranger)[0])
            raise group.error("mask", i, n, f"reads lane {int(source[n])}, which does not take part")
        a = value(env, group)
        keep(env, a if a.size == 1 else a[place])

    return step


def vote(i: Instruction) -> Step:
    predicate, member, keep = joined(i.sources[0]), joined(i.sources[1]), split(i.dests[0])
    mode = i.modifiers["mode"]

    def step(env: Env, group: Group) -> None:
        mask = _members(i, group, member(env, group))
        p = np.broadcast_to(predicate(env, group), (group.size,))
        true = _bits(group, p)[group.warp] & mask
        false = _bits(group, ~p)[group.warp] & mask
        results = {"ballot": true.astype(np.uint32), "any": true != 0, "all": false == 0}
        keep(env, (true == 0) | (false == 0) if mode == "uni" else results[mode])

    return step


def synchronise(i: Instruction) -> Step:
    member = joined(i.sources[0])

    def step(env: Env, group: Group) -> None:
        _members(i, group, member(env, group))

    return step
