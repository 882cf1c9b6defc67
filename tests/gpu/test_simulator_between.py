"""What one block hands on to another: behind fences and atomics, and in no other way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, PtxError, launch, parse

Array = np.ndarray[Any, Any]
# Each warp writes 32 elements of `part`, and reads `same`; the last one of the grid adds all of `part` up,
# lane by lane, into `same`. FIRST, SECOND: the fences; AT: how far apart the counters of two warps lie.
TEXT = """.version 7.8
.target sm_90
.address_size 64
.global .align 4 .b8 arrived[16384];
.visible .entry k(.param .u64 part, .param .u64 same, .param .u32 warps)
{
  .reg .pred %p<4>;
  .reg .b32 %r<20>;
  .reg .b64 %l<9>;
  ld.param.u64 %l0, [part];
  ld.param.u64 %l1, [same];
  ld.param.u32 %r0, [warps];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.u32 %r4, %r1, %r2, %r3;
  and.b32 %r5, %r3, 31;
  shr.u32 %r6, %r4, 5;
  mul.wide.u32 %l2, %r5, 4;
  add.u64 %l2, %l1, %l2;
  ld.global.u32 %r7, [%l2];
  mul.wide.u32 %l3, %r4, 4;
  add.u64 %l3, %l0, %l3;
  st.global.u32 [%l3], %r4;
  SYNC
  setp.ne.u32 %p0, %r5, 0;
  mov.u32 %r8, 0;
  @%p0 bra WAIT;
  FIRST
  mov.u64 %l4, arrived;
  mul.wide.u32 %l5, %r6, AT;
  add.u64 %l4, %l4, %l5;
  sub.u32 %r9, %r0, 1;
  atom.global.inc.u32 %r8, [%l4], %r9;
  SECOND
WAIT:
  shfl.sync.idx.b32 %r8, %r8, 0, 31, -1;
  bar.warp.sync -1;
  sub.u32 %r9, %r0, 1;
  setp.ne.u32 %p1, %r8, LAST;
  @%p1 ret;
  mov.u32 %r10, 0;
  mov.u32 %r11, 0;
  mul.wide.u32 %l6, %r5, 4;
  add.u64 %l6, %l0, %l6;
LOOP:
  ld.global.u32 %r12, [%l6];
  add.u32 %r10, %r10, %r12;
  add.u64 %l6, %l6, 128;
  add.u32 %r11, %r11, 1;
  setp.lt.u32 %p2, %r11, %r0;
  @%p2 bra LOOP;
  st.global.u32 [%l2], %r10;
  ret;
}
"""
FENCE = "fence.acq_rel.gpu;"


def run(warps: int, block: int, changes: dict[str, str]) -> Array:
    right = {"FIRST": FENCE, "SECOND": FENCE, "SYNC": "bar.warp.sync -1;", "AT": "0", "LAST": "%r9"}
    text = TEXT
    for name, to in (right | changes).items():
        text = text.replace(name, to)
    memory = Memory()
    part = memory.allocate(128 * warps, "part")
    same = memory.upload(np.zeros(32, np.uint32), "same")
    launch(parse(text), "k", 32 * warps // block, block, [part, same, warps], memory)
    return memory.download(same, 32, np.uint32)


@pytest.mark.parametrize("warps, block", [(6, 64), (5, 32), (4, 128), (2050, 32)])
def test_the_last_warp_may_read_what_all_have_written(warps: int, block: int) -> None:
    """Of its own block, of others, and of those of other batches."""
    want = np.arange(32 * warps, dtype=np.uint32).reshape(warps, 32).sum(axis=0, dtype=np.uint32)
    assert (run(warps, block, {}) == want).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"FIRST": ""},
        {"SECOND": ""},
        {"FIRST": "fence.acq_rel.cta;"},
        {"SECOND": "fence.acq_rel.cta;"},
        {"SYNC": ""},  # the first lane hands on what it has done itself
        {"AT": "4", "LAST": "0"},  # each warp has a counter of its own
        {"LAST": "0"},  # the first one to come
    ],
)
def test_without_that_it_is_a_race(changes: dict[str, str]) -> None:
    with pytest.raises(PtxError) as error:
        run(6, 64, changes)
    assert error.value.kind == "race"


def test_a_counter_is_there_from_launch_to_launch() -> None:
    """`inc` has brought it back to 0."""
    memory = Memory()
    text = TEXT.replace("SYNC", "bar.warp.sync -1;").replace("AT", "0").replace("LAST", "%r9")
    module = parse(text.replace("FIRST", FENCE).replace("SECOND", FENCE))
    for _ in range(2):
        part, same = memory.allocate(256, "part"), memory.upload(np.zeros(32, np.uint32), "same")
        launch(module, "k", 1, 64, [part, same, 2], memory)
        assert (memory.download(same, 32, np.uint32) == 2 * np.arange(32) + 32).all()
    (address,) = memory.variables[module].values()
    assert memory.download(address, 1, np.uint32)[0] == 0
