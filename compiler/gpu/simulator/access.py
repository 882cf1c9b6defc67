"""Instructions that touch memory: loads, stores, atomics, asynchronous copies, conversions of addresses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import floats
from .between import WIDE
from .memory import LOCKED, THERE, WINDOWS, WRITTEN
from .operands import address, joined, reader, split, writer
from .ptx import BITS, DTYPES, Array, Const, Instruction
from .state import Copy, Env, Group

Step = Callable[[Env, Group], None]

_VERBS = {"read": "reads", "write": "writes", "atomic": "changes", "constant": "reads"}
# Accesses that take part in synchronisation: they race with plain ones alone, as atomics do.
_STRONG = ("relaxed", "acquire", "release")


def touch(
    i: Instruction,
    group: Group,
    space_name: str,
    addresses: Array,
    size: int,
    kind: str,
    *,
    strong: bool = False,
) -> Array:
    """Where the threads of a group access `size` bytes; all that may be wrong with it is an error.

    `kind` is read, write, atomic or constant, as in `races.py`. One address for all threads gives one
    place, unless they write. `strong` accesses race with plain ones alone.
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
        race = shadow.access("atomic" if strong else kind, places, size, who)
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
    return i.modifiers["space"].removesuffix("::cta") if i.modifiers.get("space") else "generic"


def by_space(space: str, addresses: Array) -> list[tuple[str, Array | None, Array]]:
    """Addresses by space, generic ones by the space whose window they are in: its name, which threads, their
    addresses there. None stands for all threads."""
    if space != "generic":
        return [(space, None, addresses)]
    found: list[tuple[str, Array | None, Array]] = []
    window = addresses >> 40
    for name, base in WINDOWS.items():
        chosen = window == base >> 40
        if chosen.any():
            everybody = bool(chosen.all())
            part = addresses if everybody else addresses[chosen]
            found.append((name, None if everybody else np.flatnonzero(chosen), part - base))
    rest = ~np.isin(window, [base >> 40 for base in WINDOWS.values()])
    if rest.any():
        found.append(("global", None if rest.all() else np.flatnonzero(rest), addresses[rest]))
    return found


def load(i: Instruction) -> Step:
    at, space = address(i.sources[0].items[0]), space_of(i)
    target = i.dests[0]
    kind, vector = target.type, len(target.items)
    size = DTYPES[kind].itemsize
    total = size * vector
    strong, how = i.modifiers.get("order") in _STRONG, "read"
    if "nc" in i.modifiers:
        space, how = "global", "constant"
    keep = [writer(operand, kind) for operand in target.items]
    dtype = DTYPES[kind]

    def fetch(group: Group, name: str, addresses: Array) -> Array:
        memory = group.batch.spaces[name]
        place = touch(i, group, name, addresses, total, how, strong=strong)
        if vector == 1:
            return memory.load(place, total).view(dtype)
        raw = memory.load(place, total)
        return np.ascontiguousarray(raw).view(dtype).reshape(-1, vector)

    def step(env: Env, group: Group) -> None:
        parts = by_space(space, at(env, group))
        if len(parts) == 1:
            got = fetch(group, parts[0][0], parts[0][2])
        else:
            got = np.empty((group.size, vector) if vector > 1 else group.size, dtype)
            for name, chosen, part in parts:
                assert chosen is not None
                got[chosen] = fetch(group.part(chosen), name, part)
        if vector == 1:
            keep[0](env, got)
        else:
            for n, k in enumerate(keep):
                k(env, np.ascontiguousarray(got[:, n]))

    return step


def store(i: Instruction) -> Step:
    at, space = address(i.sources[0].items[0]), space_of(i)
    source = i.sources[1]
    vector, size = len(source.items), DTYPES[source.type].itemsize
    total = size * vector
    values = [reader(operand, source.type) for operand in source.items]
    raw_type, strong = BITS[size], i.modifiers.get("order") in _STRONG

    def put(group: Group, name: str, addresses: Array, got: Array) -> None:
        memory = group.batch.spaces[name]
        if name in ("param", "const"):
            raise group.error("read-only", i, 0, f"writes .{name} memory")
        place = touch(i, group, name, addresses, total, "write", strong=strong)
        memory.store(place, total, got)

    def step(env: Env, group: Group) -> None:
        addresses = np.broadcast_to(at(env, group), (group.size,))
        parts = [np.broadcast_to(v(env, group).view(raw_type), (group.size,)) for v in values]
        if vector == 1:
            got = parts[0]
        else:
            got = np.stack(parts, axis=1).reshape(-1).view(BITS[total] if total <= 8 else np.uint64)
            got = got.reshape(-1, total // 8) if total > 8 else got
        for name, chosen, part in by_space(space, addresses):
            if chosen is None:
                put(group, name, part, got)
            else:
                put(group.part(chosen), name, part, got[chosen])

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

    def change(group: Group, name: str, addresses: Array, operands: list[Array]) -> Array:
        batch = group.batch
        memory = batch.spaces[name]
        place = touch(i, group, name, addresses, dtype.itemsize, "atomic")
        old = np.empty(group.size, dtype)
        if batch.between is not None and name == "global":
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
        return old

    def step(env: Env, group: Group) -> None:
        addresses = np.broadcast_to(at(env, group), (group.size,))
        operands = [np.broadcast_to(a(env, group), (group.size,)) for a in args]
        old = np.empty(group.size, dtype)
        for name, chosen, part in by_space(space, addresses):
            if chosen is None:
                old = change(group, name, part, operands)
            else:
                old[chosen] = change(group.part(chosen), name, part, [o[chosen] for o in operands])
        if keep is not None:
            keep(env, old)

    return step


def fence(i: Instruction) -> Step:
    """Blocks of a batch go in step, and memory is coherent at once: what is left is who may rely on it."""
    wide = i.modifiers.get("scope") in WIDE

    def step(env: Env, group: Group) -> None:
        if wide and group.batch.between is not None:
            who = group.who()
            group.batch.between.fence(who.thread, who.clock, who.barrier)

    return step


def convert_address(i: Instruction) -> Step:
    source, keep = joined(i.sources[0]), split(i.dests[0])
    window = np.uint64(WINDOWS.get(space_of(i), 0))
    if "to" in i.modifiers:
        return lambda env, group: keep(env, source(env, group) - window)
    return lambda env, group: keep(env, source(env, group) + window)


def _number(i: Instruction, n: int) -> int:
    constant = i.sources[n].items[0]
    assert isinstance(constant, Const)
    return constant.bits


def copy(i: Instruction) -> Step:
    """`cp.async`. The bytes arrive when they are waited for; until then they must not be read, so they
    count as unwritten.
    """
    if "commit_group" in i.modifiers:

        def commit(env: Env, group: Group) -> None:
            group.batch.copy_group[group.lanes] += 1

        return commit
    if "wait_all" in i.modifiers:
        return lambda env, group: _arrive(group, -1)
    if "wait_group" in i.modifiers:
        pending = _number(i, 0)
        return lambda env, group: _arrive(group, pending)
    to, of = address(i.sources[0].items[0]), address(i.sources[1].items[0])
    size = _number(i, 2)

    def start(env: Env, group: Group) -> None:
        batch = group.batch
        source = np.broadcast_to(of(env, group), (group.size,))
        target = np.broadcast_to(to(env, group), (group.size,))
        got = batch.spaces["global"].load(touch(i, group, "global", source, size, "read"), size)
        values = np.ascontiguousarray(got).view(np.uint8).reshape(-1, size)
        place = touch(i, group, "shared", target, size, "write")
        shared = batch.spaces["shared"]
        shared.store(place, size, shared.load(place, size), THERE)
        batch.copies.append(Copy(group.lanes, batch.copy_group[group.lanes], place, size, values))

    return start


def _arrive(group: Group, pending: int) -> None:
    """All but the last `pending` groups of copies of each thread are there; with -1, those that are in no
    group yet, too.
    """
    batch = group.batch
    here = np.zeros(batch.size, np.bool_)
    here[group.lanes] = True
    limit = batch.copy_group - pending
    left = []
    for c in batch.copies:
        done = here[c.lanes] & (c.group < limit[c.lanes])
        if done.any():
            raw = c.values[done].reshape(-1).view(BITS[min(c.size, 8)])
            batch.spaces["shared"].store(
                c.at[done], c.size, raw.reshape(-1, c.size // 8) if c.size > 8 else raw
            )
        if not done.all():
            wait = ~done
            left.append(Copy(c.lanes[wait], c.group[wait], c.at[wait], c.size, c.values[wait]))
    batch.copies = left
