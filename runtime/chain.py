"""Launches that a thread runs one after the other for a strip of rows, before it goes on to the next strip:
as one launch, whose blocks are strips (`Strip` in `artifact.py`). Its slots:

    launches, areas, bytes of an area, address of the areas, rows, tile, parts, most slots of a launch,
    taken[areas], and for each launch
    run, share, n, p, slots[n], places[3 p]

What lies between the launches is in an area that the thread takes for a range of strips. Launches are told
where its first row would be if all rows were there, and run over the blocks of the strip alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from lucid.compiler.ir.artifact import Address, Buffer, Launch

from . import records

# Words before `taken`, and before the slots of a launch.
HEAD, RECORD = 8, 4

RECORDS = {
    "CHAIN": records.record("launches areas bytes begin rows tile parts most"),
    "LINK": records.record("run:ptr share n p"),
    "SPOT": records.record("slot offset row"),
}

TEXT = """
def chain(head: CHAIN, begin, end):
    taken: many[i64] = head + 1
    slots = room(i64, head.most, 64)
    rows = head.rows
    tile = head.tile
    parts = head.parts
    tiles = (rows + tile - 1) // tile
    # there is one for each thread, or whoever has one gives it back soon
    a = 0
    while not set_if(taken + a, 0, 1, "acquire", "monotonic"):
        a += 1
        if a >= head.areas:
            a = 0
    area = head.begin + a * head.bytes
    for s in range(begin, end):
        part = s % parts
        before = s // parts * rows
        low = before + min(tiles * part // parts * tile, rows)
        high = before + min(tiles * (part + 1) // parts * tile, rows)
        link: LINK = taken + head.areas
        for k in range(head.launches):
            template: many[i64] = link + 1
            copy(slots, template, link.n << 3, False)
            spot: SPOT = template + link.n
            for j in range(link.p):
                slots[spot.slot] = area + spot.offset - low * spot.row
                spot = spot + 1
            run = link.run
            share = link.share
            if share == 0:
                run(slots, low, high)
            else:
                run(slots, s * share, s * share + share)
            link: LINK = spot
    store(taken + a, 0, "release")
"""


def record(
    group: Sequence[Launch], parts: Sequence[tuple[int, list[int], list[int]]]
) -> tuple[list[int], list[int]]:
    """The slots of the chain, and where addresses go. `parts`: address, slots and patches of each launch."""
    first, scratch = group[0].strip, group[0].scratch
    assert first is not None and scratch is not None
    most = max(len(slots) for _, slots, _ in parts)
    words = [len(group), scratch.areas, scratch.nbytes, 0, first.rows, first.tile, first.parts, most]
    words += [0] * scratch.areas
    patches = [3, scratch.buffer, 0]
    for launch, (run, slots, own) in zip(group, parts, strict=True):
        strip = launch.strip
        assert strip is not None
        words += [run, strip.share, len(slots), len(strip.places)]
        for k in range(0, len(own), 3):
            patches += [own[k] + len(words), own[k + 1], own[k + 2]]
        words += [*slots, *(n for place in strip.places for n in place)]
    return words, patches


def words(launch: Launch) -> int:
    """How many slots of the chain are there for this launch; for the first, with those of the whole."""
    own = 0 if launch.scratch is None else HEAD + launch.scratch.areas
    places = () if launch.strip is None else launch.strip.places
    return own + RECORD + len(launch.slots) + 3 * len(places)


def check(group: Sequence[Launch], buffers: Sequence[Buffer]) -> None:
    """ValueError unless a group is no chain, or one whose strips stay inside of their area."""
    if all(launch.strip is None and launch.scratch is None for launch in group):
        return
    scratch, name = group[0].scratch, group[0].code.name
    if scratch is None or any(x.strip is None or x.blocks != group[0].blocks for x in group):
        raise ValueError(f"{name}: some launches of a chain have no strip, other strips, or no scratch")
    if not 0 <= scratch.buffer < len(buffers) or min(scratch.areas, scratch.nbytes) < 1:
        raise ValueError(f"{name}: a chain without scratch memory")
    if buffers[scratch.buffer].nbytes < scratch.areas * scratch.nbytes:
        raise ValueError(f"{name}: the areas of a chain end outside of buffer {scratch.buffer}")
    for launch in group:
        strip, first = launch.strip, group[0].strip
        assert strip is not None and first is not None
        split = (strip.rows, strip.tile, strip.parts)
        if min(split) < 1 or split != (first.rows, first.tile, first.parts) or launch.blocks % strip.parts:
            raise ValueError(f"{launch.code.name}: a chain whose launches have other strips")
        tiles = -(-strip.rows // strip.tile)
        most = -(-tiles // strip.parts) * strip.tile
        for slot, offset, row in strip.places:
            address = launch.slots[slot] if 0 <= slot < len(launch.slots) else None
            if not isinstance(address, Address) or address.buffer != scratch.buffer:
                raise ValueError(f"{launch.code.name}: slot {slot} is no address of an area")
            if min(offset, row) < 0 or offset + most * row > scratch.nbytes:
                raise ValueError(f"{launch.code.name}: a strip ends outside of its area")
