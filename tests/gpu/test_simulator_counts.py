"""What launches count: instructions of warps, bytes, sectors, passes over the banks of shared memory."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Access, Counts, Memory, launch, parse

from .hand_written import text


def count(body: str, threads: int = 64, blocks: int = 2, size: int = 1 << 16) -> Counts:
    """Of a body whose %l0 is an input and %r0 the thread of the grid."""
    start = "ld.param.u64 %l0, [x];\nmov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmov.u32 %r0, %tid.x;\n"
    source = text(f"{start}mad.lo.u32 %r0, %r1, %r2, %r0;\n{body}\nret;", ".param .u64 x")
    memory = Memory()
    x = memory.upload(np.zeros(size, np.uint8), "x", writable=False)
    return launch(parse(source), "k", blocks, threads, [x], memory)


def access(counts: Counts, space: str) -> Access:
    (found,) = [a for a in counts.accesses.values() if a.space == space]
    return found


def at(stride: int, base: str = "%l0") -> str:
    return f"mul.lo.u32 %r3, %r0, {stride};\ncvt.u64.u32 %l1, %r3;\nadd.u64 %l1, {base}, %l1;\n"


@pytest.mark.parametrize("stride, load, sectors", [
    (4, "ld.global.u32 %r4, [%l1]", 4),  # side by side
    (4, "ld.global.nc.u32 %r4, [%l1+4]", 5),  # the same, beginning in the middle of a sector
    (16, "ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%l1]", 16),
    (32, "ld.global.u32 %r4, [%l1]", 32),  # a sector for each thread
    (8, "ld.global.u32 %r4, [%l1]", 8),
    (0, "ld.global.u32 %r4, [%l1]", 1),  # all the same
    (1, "ld.global.u8 %h1, [%l1]", 1),
])  # fmt: skip
def test_sectors(stride: int, load: str, sectors: int) -> None:
    counts = count(at(stride) + load + ";")
    found = access(counts, "global")
    assert (found.requests, found.transactions) == (4, 4 * sectors)
    assert found.bytes == found.threads * {"u8": 1, "v4": 16}.get(load.split(".")[2].split()[0], 4)
    # half of the threads: the warps' lower halves
    half = count(
        "and.b32 %r9, %r0, 16;\nsetp.ne.u32 %p1, %r9, 0;\n"
        + at(stride)
        + "@%p1 bra END;\n"
        + load
        + ";\nEND:"
    )
    found = access(half, "global")
    lower = {4: 2 + ("+4" in load), 16: 8, 32: 16, 8: 4, 0: 1, 1: 1}[stride]
    assert (found.requests, found.threads, found.transactions) == (4, 64, 4 * lower)


def test_sectors_in_any_order() -> None:
    body = "xor.b32 %r0, %r0, 21;\n" + at(4) + "ld.global.u32 %r4, [%l1];"
    assert access(count(body), "global").transactions == 16
    body = "mul.lo.u32 %r0, %r0, 7;\nrem.u32 %r0, %r0, 97;\n" + at(4) + "ld.global.u32 %r4, [%l1];"
    lanes = np.arange(128).reshape(4, 32) * 7 % 97 * 4 // 32
    assert access(count(body), "global").transactions == sum(len(set(row)) for row in lanes.tolist())


TILE = ".shared .align 128 .b8 tile[16384];\nmov.u64 %l2, tile;\nmov.u32 %r0, %tid.x;\n"


@pytest.mark.parametrize("stride, store, passes, ideal", [
    (4, "st.shared.u32 [%l1], %r0", 1, 1),
    (8, "st.shared.u32 [%l1], %r0", 2, 1),
    (128, "st.shared.u32 [%l1], %r0", 32, 1),  # a column of a tile of 32
    (132, "st.shared.u32 [%l1], %r0", 1, 1),  # of 33: none meet
    (8, "st.shared.v2.u32 [%l1], {%r0, %r0}", 2, 2),
    (16, "st.shared.v4.u32 [%l1], {%r0, %r0, %r0, %r0}", 4, 4),
    (32, "st.shared.v4.u32 [%l1], {%r0, %r0, %r0, %r0}", 8, 4),
])  # fmt: skip
def test_bank_conflicts(stride: int, store: str, passes: int, ideal: int) -> None:
    found = access(count(TILE + at(stride, "%l2") + store + ";"), "shared")
    assert (found.requests, found.transactions, found.ideal) == (4, 4 * passes, 4 * ideal)


def test_one_word_for_all_is_one_pass() -> None:
    body = (
        TILE
        + "setp.eq.u32 %p1, %r0, 0;\n@%p1 st.shared.u32 [tile], %r0;\nbar.sync 0;\nld.shared.u32 %r4, [tile];"
    )
    counts = count(body)
    loads = [a for a in counts.accesses.values() if a.opcode == "ld.shared.u32"]
    assert [(a.requests, a.transactions) for a in loads] == [(4, 4)]
    stores = [a for a in counts.accesses.values() if a.opcode == "st.shared.u32"]
    assert [(a.requests, a.threads, a.transactions) for a in stores] == [(2, 2, 2)]
    assert counts.barriers == 2


def test_banks_of_warps_that_are_not_alike() -> None:
    """Each warp takes places of its own, and half a warp takes some."""
    body = (
        TILE
        + "shr.u32 %r5, %r0, 5;\nadd.u32 %r5, %r5, 1;\nmul.lo.u32 %r6, %r0, %r5;\nmul.lo.u32 %r6, %r6, 4;\n"
    )
    body += "cvt.u64.u32 %l1, %r6;\nadd.u64 %l1, %l2, %l1;\n"
    found = access(count(body + "st.shared.u32 [%l1], %r0;"), "shared")
    assert (found.requests, found.transactions) == (4, 2 * 1 + 2 * 2)
    body += "and.b32 %r7, %r0, 16;\nsetp.ne.u32 %p1, %r7, 0;\n@%p1 bra END;\nst.shared.u32 [%l1], %r0;\nEND:"
    found = access(count(body), "shared")
    assert (found.requests, found.threads, found.transactions) == (4, 64, 4)


def test_instructions_of_warps_and_of_threads() -> None:
    body = "setp.lt.u32 %p1, %r0, 40;\n@%p1 add.u32 %r4, %r0, 1;\n@!%p1 bra END;\nadd.u32 %r5, %r0, 2;\nEND:"
    counts = count(body, threads=64, blocks=1)
    assert counts.instructions["add.u32"] == 4
    assert counts.threads["add.u32"] == 80
    assert (counts.blocks, counts.warps, counts.instructions["bra"], counts.instructions["ret"]) == (
        1,
        2,
        2,
        4 - 1,
    )
    printed = str(count(at(4) + "ld.global.u32 %r4, [%l1];"))
    assert "2 blocks, 4 warps" in printed
    assert "ld.global.u32 (global): 4 requests, 512 bytes, 16 transactions (16 at least)" in printed


def test_totals() -> None:
    counts = count(at(4) + "ld.global.u32 %r4, [%l1];\nld.global.nc.v2.u32 {%r5, %r6}, [%l0];")
    assert counts.total("global") == 128 * 12
    assert counts.total("global", "transactions", "ld.global.u32") == 16
    assert counts.total("global", "transactions", "ld.global.nc") == 4
    assert counts.total("shared") == 0
