"""The simulator's control flow: divergence, loops, early ends, predicates, tables of branches."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import PtxError

from .hand_written import KEEP, run


def test_predicated_instructions_leave_others_alone() -> None:
    body = """
    mov.u32 %r9, 7;
    and.b32 %r1, %r0, 1;
    setp.eq.u32 %p1, %r1, 0;
    @%p1 add.u32 %r9, %r9, %r0;
    @!%p1 neg.s32 %r9, %r9;
    """
    got, _ = run(body + KEEP)
    lane = np.arange(32)
    np.testing.assert_array_equal(got.view(np.int32), np.where(lane % 2 == 0, 7 + lane, -7))


def test_nested_divergence_meets_again() -> None:
    """After each `if`, all threads of the warp vote together."""
    body = """
    mov.u32 %r9, 0;
    and.b32 %r1, %r0, 1;
    and.b32 %r2, %r0, 2;
    setp.eq.u32 %p1, %r1, 0;
    setp.eq.u32 %p2, %r2, 0;
    @%p1 bra EVEN;
    add.u32 %r9, %r9, 1;
    @%p2 bra ODD_LOW;
    add.u32 %r9, %r9, 10;
    bra.uni ODD_END;
    ODD_LOW: add.u32 %r9, %r9, 100;
    ODD_END: vote.sync.ballot.b32 %r3, 1, 0xaaaaaaaa;
    bra.uni JOIN;
    EVEN: add.u32 %r9, %r9, 1000;
    vote.sync.ballot.b32 %r3, 1, 0x55555555;
    JOIN: vote.sync.ballot.b32 %r4, 1, -1;
    setp.eq.u32 %p3, %r4, 0xffffffff;
    selp.b32 %r4, 10000, 0, %p3;
    add.u32 %r9, %r9, %r4;
    """
    got, _ = run(body + KEEP)
    lane = np.arange(32)
    expected = 10000 + np.where(lane % 2 == 0, 1000, np.where(lane & 2, 11, 101))
    np.testing.assert_array_equal(got, expected)


def test_loops_with_different_numbers_of_turns() -> None:
    """Thread t adds 0 … t - 1; behind the loop all are together."""
    body = """
    mov.u32 %r9, 0;
    mov.u32 %r1, 0;
    HEAD: setp.ge.u32 %p1, %r1, %r0;
    @%p1 bra END;
    add.u32 %r9, %r9, %r1;
    add.u32 %r1, %r1, 1;
    bra HEAD;
    END: vote.sync.any.pred %p2, 1, -1;
    """
    got, counts = run(body + KEEP, threads=64, blocks=3)
    lane = np.arange(64)
    np.testing.assert_array_equal(got, np.tile(lane * (lane - 1) // 2, 3))
    # the first warp of a block goes round 31 times, the second 63 times
    assert counts.instructions["add.u32"] == 3 * 2 * (31 + 63)


def test_nested_loops_and_early_ends() -> None:
    body = """
    setp.gt.u32 %p1, %r0, 20;
    mov.u32 %r9, 99;
    @%p1 bra STORE;
    mov.u32 %r9, 0;
    mov.u32 %r1, 0;
    OUTER: mov.u32 %r2, 0;
    INNER: add.u32 %r9, %r9, 1;
    add.u32 %r2, %r2, 1;
    setp.le.u32 %p2, %r2, %r1;
    @%p2 bra INNER;
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p3, %r1, %r0;
    @%p3 bra OUTER;
    STORE:
    """
    got, _ = run(body + KEEP)
    turns = np.maximum(np.arange(32), 1)
    np.testing.assert_array_equal(got, np.where(np.arange(32) > 20, 99, turns * (turns + 1) // 2))


def test_what_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lucid.compiler.gpu.simulator.machine.LIMIT", 1000)
    with pytest.raises(PtxError, match="does not end") as error:
        run("LOOP: bra LOOP;")
    assert error.value.kind == "limit"


def test_a_register_that_only_some_threads_have_written() -> None:
    body = "setp.lt.u32 %p1, %r0, 5;\n@%p1 mov.u32 %r9, 1;\n"
    with pytest.raises(PtxError, match=r"thread \(5, 0, 0\) of block \(0, 0, 0\) reads %r9") as error:
        run(body + KEEP)
    assert error.value.kind == "uninitialised"
    with pytest.raises(PtxError, match="reads %r9"):
        run(KEEP)
