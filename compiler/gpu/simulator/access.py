"""Instructions that touch memory: loads, stores, atomics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import floats
from .memory import LOCKED, THERE, WRITTEN
from .operands import address, reader, writer
from .ptx import BITS, DTYPES, Array, Instruction
from .state import Env, Group

Step = Callable[[Env, Group], None]

_VERBS = {"read": "reads", "write": "writes", "atomic": "changes", "constant": "reads"}


def touch(i: Instruction, group: Group, space_name: str, addresses: Array, size: int, kind: str) -> Array:
    """Where the threads of a group access `size` bytes; all that may be wrong with it is an error.

    `kind` is read, write, atomic or constant, as in `races.py`. One address for all threads gives one
    place, unless they write.
    """
    batch = group.batch
    space, rows = batch.spaces[space_name], group.rows(space_name)
    if (rows is not None or kind in ("write", "atomic")) and addresses.size != group.size:
        addresses = np.broadcast_to(addresses, (group.size,))
    if size > 1 and (addresses & (size - 1)).any():
        n = int(np.flatnonzero(addresses & (size - 1))[0])
        where = space.where(int(addresses[n]))
        raise group.error(
            "misaligned", i, n, f"{_VERBS[kind]} {size} bytes at {where}, address {int(addresses[n]):#x}"
        )
    at = space.offsets(addresses, rows)
    reads, writes = kind != "write", kind in ("write", "atomic")
    bad, locked = space.check(at, size, THERE | (WRITTEN if reads else 0), LOCKED if writes else 0)
    if bad is not None:
        raise _refused(i, group, space_name, addresses, at, int(np.flatnonzero(bad)[0]), size, kind)
    shadow = batch.shadows.get(space_name)
    if shadow is not None and not locked:
        places = at if at.size == group.size else np.broadcast_to(at, (group.size,))
        who = group.who()
        race = shadow.access(kind, places, size, who)
        if who.between is not None and space_name == "global" and kind != "atomic":
            who.between.note(who.thread, who.clock)
        if race is not None:
            first = int(np.broadcast_to(addresses, (group.size,))[race.lane])
            what = f"{size} bytes at {space.where(first)}"
            raise group.race(i, race, _VERBS[kind], what)
    batch.counts.note(i, space_name, addresses, size, group.warp, group.whole, group.warps)
    return at


def _refused(
    i: Instruction, group: Group, name: str, addresses: Array, at: Array, n: int, size: int, kind: str
) -> Exception:
    space = group.batch.spaces[name]
    states = space.state[at[n] : at[n] + size]
    what = f"{_VERBS[kind]} {size} bytes at {space.where(int(addresses[n]))}"
    if not (states & THERE).all():
        return group.error("bounds", i, n, what)
    if kind in ("write", "atomic") and (states & LOCKED).any():
        return group.error("read-only", i, n, f"{what}, which is an input")
    return group.error("uninitialised", i, n, f"{what}, which nobody has written")


def space_of(i: Instruction) -> str:
    return "global" if "nc" in i.modifiers else i.modifiers["space"]


def load(i: Instruction) -> Step:
    at, space = address(i.sources[0].items[0]), space_of(i)
    target = i.dests[0]
    vector, dtype = len(target.items), DTYPES[target.type]
    how = "constant" if "nc" in i.modifiers else "read"
    keep = [writer(operand, target.type) for operand in target.items]
    total = dtype.itemsize * vector

    def step(env: Env, group: Group) -> None:
        place = touch(i, group, space, at(env, group), total, how)
        got = np.ascontiguousarray(group.batch.spaces[space].load(place, total)).view(dtype)
        for n, k in enumerate(keep):
            k(env, got if vector == 1 else np.ascontiguousarray(got.reshape(-1, vector)[:, n]))

    return step


def store(i: Instruction) -> Step:
    at, space = address(i.sources[0].items[0]), space_of(i)
    source = i.sources[1]
    vector, size = len(source.items), DTYPES[source.type].itemsize
    total = size * vector
    values = [reader(operand, source.type) for operand in source.items]
    raw_type = BITS[size]

    def step(env: Env, group: Group) -> None:
        addresses = np.broadcast_to(at(env, group), (group.size,))
        parts = [np.broadcast_to(v(env, group).view(raw_type), (group.size,)) for v in values]
        if vector == 1:
            got = parts[0]
        else:
            got = np.stack(parts, axis=1).reshape(-1).view(BITS[total] if total <= 8 else np.uint64)
            got = got.reshape(-1, total // 8) if total > 8 else got
        place = touch(i, group, space, addresses, total, "write")
        group.batch.spaces[space].store(place, total, got)

    return step


def _add(a: Array, b: Array) -> Array:
    return floats.canonical(a + b) if a.dtype.kind == "f" else a + b


def _exchanged_if_equal(a: Array, b: Array, c: Array) -> Array:
    return np.where(a == b, c, a)


def _incremented(a: Array, b: Array) -> Array:
    return np.where(a >= b, np.uint32(0), a + np.uint32(1))


def _decremented(a: Array, b: Array) -> Array:
    return np.where((a == 0) | (a > b), b, a - np.uint32(1))


_ATOMIC: dict[str, Callable[..., Array]] = {
    "add": _add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda a, b: b,
    "cas": _exchanged_if_equal,
    "inc": _incremented,
    "dec": _decremented,
}


def atomic(i: Instruction) -> Step:
    """Threads come one after the other, in their order: one that there may be."""
    at, space = address(i.sources[0].items[0]), space_of(i)
    kind = i.modifiers["T"]
    dtype = DTYPES[kind]
    args = [reader(source.items[0], kind) for source in i.sources[1:]]
    function = _ATOMIC[i.modifiers["op"]]
    keep = writer(i.dests[0].items[0], kind) if i.dests else None

    def step(env: Env, group: Group) -> None:
        batch, memory = group.batch, group.batch.spaces[space]
        addresses = np.broadcast_to(at(env, group), (group.size,))
        operands = [np.broadcast_to(a(env, group), (group.size,)) for a in args]
        place = touch(i, group, space, addresses, dtype.itemsize, "atomic")
        old = np.empty(group.size, dtype)
        if batch.between is not None and space == "global":
            batch.between.atomic(group.number, addresses)
        order = np.argsort(place, kind="stable")
        starts = np.flatnonzero(np.diff(place[order], prepend=-1))
        turn = np.arange(group.size) - np.repeat(starts, np.diff(np.append(starts, group.size)))
        for n in range(int(turn.max()) + 1):
            now = order[turn == n]
            before = memory.load(place[now], dtype.itemsize).view(dtype)
            old[now] = before
            after = function(before, *(o[now] for o in operands)).astype(dtype)
            memory.store(place[now], dtype.itemsize, after.view(BITS[dtype.itemsize]))
        if keep is not None:
            keep(env, old)

    return step


def fence(i: Instruction) -> Step:
    """Blocks of a batch go in step, and memory is coherent at once: what is left is who may rely on it."""
    wide = i.modifiers["scope"] == "gpu"

    def step(env: Env, group: Group) -> None:
        if wide and group.batch.between is not None:
            who = group.who()
            group.batch.between.fence(who.thread, who.clock, who.barrier)

    return step
