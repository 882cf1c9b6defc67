"""Shuffles, votes and barriers of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import PtxError

from .hand_written import KEEP, run


def model(mode: str, lane: int, b: int, c: int) -> int:
    """The lane that a shuffle reads, its own where that is out of range: as the manual of PTX has it."""
    segment, bound = c >> 8 & 31, c & 31
    most, least = lane & segment | bound & ~segment, lane & segment
    b &= 31
    j = {"down": lane + b, "bfly": lane ^ b, "idx": least | b & ~segment}[mode]
    return j if j <= most else lane


@pytest.mark.parametrize("mode", ["down", "bfly", "idx"])
def test_shuffles(mode: str) -> None:
    """All distances; whole warps, segments of 8 lanes, bounds within them."""
    lane = np.arange(64) % 32
    for c in (31, 0x181F, 0x1803, 20):
        for b in (0, 1, 3, 8, 16, 31, 37):
            body = f"""
            add.u32 %r1, %r0, 100;
            shfl.sync.{mode}.b32 %r9, %r1, {b}, {c}, -1;
            """
            got, _ = run(body + KEEP, threads=64)
            source = [model(mode, int(n), b, c) for n in lane]
            expected = [100 + 32 * (t // 32) + j for t, j in enumerate(source)]
            np.testing.assert_array_equal(got, expected)


def test_a_total_by_shuffles() -> None:
    body = "mov.u32 %r9, %r0;\n"
    for distance in (16, 8, 4, 2, 1):
        body += f"shfl.sync.bfly.b32 %r1, %r9, {distance}, 31, -1;\nadd.u32 %r9, %r9, %r1;\n"
    got, _ = run(body + KEEP, threads=64, blocks=2)
    np.testing.assert_array_equal(got, np.tile(np.repeat([496, 496 + 1024], 32), 2))


def test_threads_that_do_not_take_part() -> None:
    branch = "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r9, 0;\n@!%p1 bra END;\n"
    shuffle = "shfl.sync.bfly.b32 %r9, %r0, {}, 31, {};\nEND:\n"
    with pytest.raises(PtxError, match=r"waits for the lanes 0xffffff00 of its mask") as error:
        run(branch + shuffle.format(1, -1) + KEEP)
    assert error.value.kind == "mask"
    with pytest.raises(PtxError, match="reads lane 8, which does not take part"):
        run(branch + shuffle.format(8, 0xFF) + KEEP)
    with pytest.raises(PtxError, match=r"thread \(4, 0, 0\) .* is not in its own mask 0x0000000f"):
        run(branch + shuffle.format(1, 0x0F) + KEEP)
    got, _ = run(branch + shuffle.format(1, 0xFF) + KEEP)
    np.testing.assert_array_equal(got, np.where(np.arange(32) < 8, np.arange(32) ^ 1, 0))
    # threads that are not there, or have ended, are not waited for
    got, _ = run("shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1;\n" + KEEP, threads=16)
    np.testing.assert_array_equal(got, np.arange(16) ^ 1)
    ended = "setp.ge.u32 %p1, %r0, 8;\n@%p1 ret;\nshfl.sync.bfly.b32 %r9, %r0, 1, 31, -1;\n"
    got, _ = run("mov.u32 %r9, 0;\n" + KEEP + ended + KEEP)
    np.testing.assert_array_equal(got, np.where(np.arange(32) < 8, np.arange(32) ^ 1, 0))


def test_votes() -> None:
    body = """
    and.b32 %r1, %r0, 3;
    setp.eq.u32 %p1, %r1, 1;
    vote.sync.ballot.b32 %r2, %p1, -1;
    vote.sync.any.pred %p2, %p1, -1;
    vote.sync.all.pred %p3, %p1, -1;
    vote.sync.uni.pred %p4, %p1, -1;
    vote.sync.all.pred %p5, !%p1, -1;
    selp.b32 %r3, 1, 0, %p2;
    @%p3 or.b32 %r3, %r3, 2;
    @%p4 or.b32 %r3, %r3, 4;
    @%p5 or.b32 %r3, %r3, 8;
    xor.b32 %r9, %r2, %r3;
    """
    got, _ = run(body + KEEP)
    np.testing.assert_array_equal(got, 0x22222222 ^ 1)
    # a mask of some: two halves vote apart, in one instruction
    half = "setp.lt.u32 %p1, %r0, 16;\nselp.b32 %r1, 0xffff, 0xffff0000, %p1;\n"
    half += "vote.sync.ballot.b32 %r9, 1, %r1;\n"
    got, _ = run(half + KEEP)
    np.testing.assert_array_equal(got, np.repeat([0xFFFF, 0xFFFF0000], 16))


def test_barriers_that_not_all_reach() -> None:
    some = "setp.lt.u32 %p1, %r0, {};\n@%p1 bar.sync 0;\n"
    for threads in (32, 64):  # half a warp; a warp of two
        with pytest.raises(PtxError) as error:
            run(some.format(threads // 2), threads=threads)
        assert error.value.kind == "barrier"
        assert "bar.sync 0" in error.value.text
    with pytest.raises(PtxError, match="and 31 others wait at a barrier of 64 threads; 32 have ended"):
        run(some.format(32), threads=64)
    with pytest.raises(PtxError, match="31 others wait at a barrier of 64 threads; 32 wait at line"):
        run("setp.lt.u32 %p1, %r0, 32;\n@%p1 bra A;\nbar.sync 1;\nbra B;\nA: bar.sync 2;\nB:\n", threads=64)


def test_barriers_in_loops() -> None:
    body = """
    mov.u32 %r9, 0;
    LOOP: bar.sync 1;
    add.u32 %r9, %r9, 1;
    setp.lt.u32 %p2, %r9, 3;
    @%p2 bra LOOP;
    bar.sync 0;
    """
    got, counts = run(body + KEEP, threads=64)
    np.testing.assert_array_equal(got, 3)
    assert counts.barriers == 3 + 1
    # different lines, one barrier: warps may meet there
    body = (
        "mov.u32 %r9, 1;\nsetp.lt.u32 %p1, %r0, 32;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 0;\nB:\n"
    )
    got, _ = run(body + KEEP, threads=64)
    assert got.all()
