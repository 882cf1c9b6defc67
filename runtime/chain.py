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

# Words before `taken`, and before the slots of a launch.
HEAD, RECORD = 8, 4

TEXT = f"""
define void @chain(ptr %words, i64 %begin, i64 %end) nounwind {{
entry:
  %taken = at %words, {HEAD}
  %launches = load i64, ptr %words
  %areas = ldi %words, 1
  %bytes = ldi %words, 2
  %base = ldi %words, 3
  %rows = ldi %words, 4
  %tile = ldi %words, 5
  %parts = ldi %words, 6
  %most = ldi %words, 7
  %first.record = at %taken, %areas
  %slots = alloca i64, i64 %most, align 64
  %tile.less = sub i64 %tile, 1
  %tiles.up = add i64 %rows, %tile.less
  %tiles = udiv i64 %tiles.up, %tile
  br label %look
look:
  ; there is one for each thread, or whoever has one gives it back soon
  %a = phi i64 [ 0, %entry ], [ %a.next, %other ]
  %flag = at %taken, %a
  %swap = cmpxchg ptr %flag, i64 0, i64 1 acquire monotonic
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %own, label %other
other:
  %a.more = add i64 %a, 1
  %a.last = icmp uge i64 %a.more, %areas
  %a.next = select i1 %a.last, i64 0, i64 %a.more
  br label %look
own:
  %area.offset = mul i64 %a, %bytes
  %area = add i64 %base, %area.offset
  br label %strip
strip:
  %s = phi i64 [ %begin, %own ], [ %s.next, %strip.done ]
  %batch = udiv i64 %s, %parts
  %part = urem i64 %s, %parts
  %part.next = add i64 %part, 1
  %from.product = mul i64 %tiles, %part
  %to.product = mul i64 %tiles, %part.next
  %from.tile = udiv i64 %from.product, %parts
  %to.tile = udiv i64 %to.product, %parts
  %from.raw = mul i64 %from.tile, %tile
  %to.raw = mul i64 %to.tile, %tile
  %from.own = call i64 @llvm.umin.i64(i64 %from.raw, i64 %rows)
  %to.own = call i64 @llvm.umin.i64(i64 %to.raw, i64 %rows)
  %before = mul i64 %batch, %rows
  %from = add i64 %before, %from.own
  %to = add i64 %before, %to.own
  br label %launch
launch:
  %k = phi i64 [ 0, %strip ], [ %k.next, %run ]
  %record = phi ptr [ %first.record, %strip ], [ %at, %run ]
  %template = at %record, {RECORD}
  %fn = load ptr, ptr %record
  %share = ldi %record, 1
  %n = ldi %record, 2
  %p = ldi %record, 3
  %places = at %template, %n
  %n.bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %slots, ptr align 8 %template, i64 %n.bytes, i1 false)
  br label %place
place:
  %j = phi i64 [ 0, %launch ], [ %j.next, %place.body ]
  %at = phi ptr [ %places, %launch ], [ %at.next, %place.body ]
  %placing = icmp ult i64 %j, %p
  br i1 %placing, label %place.body, label %blocks
place.body:
  %slot = load i64, ptr %at
  %offset = ldi %at, 1
  %row = ldi %at, 2
  %here = add i64 %area, %offset
  %above = mul i64 %from, %row
  %address = sub i64 %here, %above
  sti %address, %slots, %slot
  %j.next = add i64 %j, 1
  %at.next = at %at, 3
  br label %place
blocks:
  %by.rows = icmp eq i64 %share, 0
  %shared.from = mul i64 %s, %share
  %shared.to = add i64 %shared.from, %share
  %run.from = select i1 %by.rows, i64 %from, i64 %shared.from
  %run.to = select i1 %by.rows, i64 %to, i64 %shared.to
  br label %run
run:
  call void %fn(ptr %slots, i64 %run.from, i64 %run.to)
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %launches
  br i1 %more, label %launch, label %strip.done
strip.done:
  %s.next = add i64 %s, 1
  %again = icmp ult i64 %s.next, %end
  br i1 %again, label %strip, label %done
done:
  store atomic i64 0, ptr %flag release, align 8
  ret void
}}
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
