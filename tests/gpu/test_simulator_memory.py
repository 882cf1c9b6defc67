"""The simulator's memory: spaces, vectors, atomics, copies; what it reports of wrong accesses and races."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, PtxError, launch, parse

from .hand_written import HEADER, KEEP, run, text

SHARED = """
.shared .align 16 .b8 tile[1024];
mov.u64 %l1, tile;
mul.wide.u32 %l2, %r0, 4;
add.u64 %l3, %l1, %l2;
"""


def failure(body: str, kind: str, match: str, line: str = "", **kwargs: Any) -> PtxError:
    """The error of a body; `line` must stand in the line that it names."""
    with pytest.raises(PtxError, match=match) as error:
        run(body, **kwargs)
    assert error.value.kind == kind
    assert line in error.value.text
    return error.value


# global memory


def test_allocations_are_apart_and_aligned() -> None:
    memory = Memory()
    a, b = memory.allocate(1000, "a"), memory.allocate(1, "b")
    assert a % 256 == b % 256 == 0
    assert b >= a + 1000 + 256
    assert a > 1 << 32  # an address cut to 32 bits is nobody's
    x = np.arange(7, dtype=np.float64)
    np.testing.assert_array_equal(memory.download(memory.upload(x), 7, np.float64), x)
    with pytest.raises(PtxError, match="the first is byte 0 of `b`"):
        memory.download(b, 1, np.uint8)
    with pytest.raises(PtxError, match="a copy of 1001 bytes"):
        memory.write(a, bytes(1001))
    memory.free(a)
    with pytest.raises(PtxError, match="a copy of 4 bytes"):
        memory.read(a, 4)
    large = memory.upload(np.zeros(1 << 20, np.uint8))
    assert memory.read(large, 1 << 20) == bytes(1 << 20)


def test_an_access_behind_the_end_is_named() -> None:
    """One thread too many: the guard is off by one."""
    body = "mul.wide.u32 %l1, %r0, 4;\nadd.u64 %l1, %l0, %l1;\nst.global.u32 [%l1], %r0;\n"
    error = failure(body, "bounds", r"thread \(31, 0, 0\) of block .* writes 4 bytes at 0 bytes behind the "
                    r"end of `out` \(124 bytes\)", "st.global.u32 [%l1], %r0;", words=31)  # fmt: skip
    assert error.line is not None and error.loc is None


def test_the_users_line_is_named() -> None:
    body = ".loc 1 27 5\nld.global.u32 %r1, [%l0+-4];\n"
    with pytest.raises(PtxError, match=r"\(train.py:27\)"):
        run(body, before='.file 1 "train.py"\n')


def test_an_address_of_32_bits_is_out_of_bounds() -> None:
    body = "cvt.u32.u64 %r1, %l0;\ncvt.u64.u32 %l1, %r1;\nst.global.u32 [%l1], %r0;\n"
    failure(body, "bounds", "writes 4 bytes")


def test_misaligned_accesses() -> None:
    failure(
        "st.global.u32 [%l0+2], %r0;", "misaligned", "writes 4 bytes at byte 2 of `out`", threads=1, words=4
    )
    failure("st.global.v4.u32 [%l0+8], {%r0, %r0, %r0, %r0};", "misaligned", "16 bytes", threads=1, words=8)
    body = """
    mul.wide.u32 %l1, %r0, 4;
    add.u64 %l1, %l0, %l1;
    st.global.u32 [%l1], %r0;
    ld.global.v2.u32 {%r1, %r2}, [%l1];
    """
    failure(body, "misaligned", r"thread \(1, 0, 0\)")


def test_inputs_are_not_written() -> None:
    source = text("ld.param.u64 %l0, [x];\nmov.u32 %r1, 1;\nst.global.u32 [%l0], %r1;\nret;", ".param .u64 x")
    memory = Memory()
    x = memory.upload(np.zeros(4, np.float32), "x", writable=False)
    with pytest.raises(PtxError, match=r"`x` .*which is an input") as error:
        launch(parse(source), "k", 1, 1, [x], memory)
    assert error.value.kind == "read-only"


def test_memory_that_nobody_has_written() -> None:
    failure("ld.global.u32 %r1, [%l0];", "uninitialised", "reads 4 bytes at byte 0 of `out`")
    failure(SHARED + "ld.shared.u32 %r1, [%l3];", "uninitialised", "byte 0 of `tile`")
    failure(".local .align 4 .b8 own[16];\nld.local.u32 %r1, [own+4];", "uninitialised", "byte 4 of `own`")
    failure(
        "setp.eq.u32 %p1, %r0, 0;\n@%p1 st.global.u32 [%l0], %r0;",
        "uninitialised",
        "124 bytes were never written",
    )


def test_vectors_and_widths() -> None:
    """Bytes and shorts come back as they were put, extended by their own sign."""
    body = """
    mul.wide.u32 %l1, %r0, 16;
    add.u64 %l1, %l0, %l1;
    mov.u32 %r1, 0x8081fe7f;
    st.global.v4.u32 [%l1], {%r1, %r0, %r1, %r0};
    ld.global.s8 %r2, [%l1+1];
    ld.global.u8 %r3, [%l1+1];
    ld.global.s16 %r4, [%l1+2];
    ld.global.v2.u16 {%h1, %h2}, [%l1];
    cvt.u32.u16 %r5, %h2;
    ld.global.v2.u64 {%l2, %l3}, [%l1];
    shr.u64 %l3, %l3, 32;
    cvt.u32.u64 %r6, %l3;
    st.global.v2.u32 [%l1], {%r2, %r3};
    st.global.u32 [%l1+8], %r4;
    st.global.u16 [%l1+12], %r5;
    st.global.u16 [%l1+14], %r6;
    """
    got, _ = run(body, threads=64, words=256)
    rows = got.reshape(-1, 4)
    np.testing.assert_array_equal(rows[:, 0].view(np.int32), -2)
    np.testing.assert_array_equal(rows[:, 1], 0xFE)
    np.testing.assert_array_equal(rows[:, 2].view(np.int32), -32639)
    np.testing.assert_array_equal(rows[:, 3], 0x8081 | np.arange(64) << 16)


# other spaces


def test_global_variables_and_local_memory() -> None:
    before = ".global .align 4 .b8 table[8] = {1, 0, 0, 0, 5};\n.global .align 4 .u32 more[2] = {7, 9};\n"
    body = """
    .local .align 8 .b8 own[24];
    .reg .b64 %SPL;
    mov.u64 %SPL, own;
    and.b32 %r1, %r0, 1;
    mul.wide.u32 %l1, %r1, 4;
    mov.u64 %l2, table;
    add.u64 %l2, %l2, %l1;
    ld.global.u32 %r2, [%l2];
    mov.u64 %l3, more;
    add.u64 %l3, %l3, %l1;
    ld.global.nc.u32 %r3, [%l3];
    st.local.u32 [%SPL+8], %r2;
    st.local.u32 [%SPL+12], %r3;
    ld.local.v2.u32 {%r4, %r5}, [%SPL+8];
    mad.lo.u32 %r9, %r4, 100, %r5;
    """
    got, _ = run(body + KEEP, before=before)
    np.testing.assert_array_equal(got, np.tile([107, 509], 16))


def test_parameters_by_value() -> None:
    parameters = """
    .param .u64 .ptr .global .align 4 out, .param .align 4 .b8 pair[8],
    .param .f64 d, .param .u8 flag, .param .s16 s
    """
    body = """
    ld.param.u64 %l0, [out];
    mov.b64 %l1, pair;
    ld.param.u32 %r1, [%l1+4];
    ld.param.u32 %r2, [pair];
    ld.param.f64 %d1, [d];
    cvt.rzi.u32.f64 %r3, %d1;
    ld.param.u8 %h1, [flag];
    cvt.u32.u16 %r4, %h1;
    ld.param.s16 %r5, [s];
    st.global.v4.u32 [%l0], {%r1, %r2, %r3, %r4};
    st.global.u32 [%l0+16], %r5;
    ret;
    """
    module, memory = parse(text(body, parameters)), Memory()
    assert [(p.offset, p.size) for p in module.entries["k"].parameters] == [
        (0, 8),
        (8, 8),
        (16, 8),
        (24, 1),
        (26, 2),
    ]
    out = memory.allocate(20, "out")
    launch(module, "k", 1, 1, [out, np.array([3, 4], np.uint32).tobytes(), 5.75, True, -2], memory)
    np.testing.assert_array_equal(memory.download(out, 5, np.int32), [4, 3, 5, 1, -2])
    with pytest.raises(PtxError, match="behind the end of `pair`"):
        launch(parse(text("ld.param.u32 %r1, [pair+8];\nret;", parameters)), "k", 1, 1,
               [out, bytes(8), 0.0, 0, 0], memory)  # fmt: skip
    wrong: list[list[Any]] = [
        [out],
        [out, bytes(4), 0.0, 0, 0],
        [out, bytes(8), 0.0, 256, 0],
        [out, 5, 0.0, 0, 0],
    ]
    for args in wrong:
        with pytest.raises(PtxError) as error:
            launch(module, "k", 1, 1, args, memory)
        assert error.value.kind == "launch"


def test_dynamic_shared_memory() -> None:
    before = ".extern .shared .align 16 .b8 dyn[];\n"
    body = """
    mov.u64 %l1, dyn;
    mul.wide.u32 %l2, %r0, 4;
    add.u64 %l3, %l1, %l2;
    st.shared.u32 [%l3], %r0;
    ld.shared.u32 %r9, [%l3];
    """
    got, _ = run(body + KEEP, before=before, dynamic_shared=128)
    np.testing.assert_array_equal(got, np.arange(32))
    with pytest.raises(PtxError, match=r"behind the end of `dyn` \(124 bytes\)"):
        run(body + KEEP, before=before, dynamic_shared=124)


def test_what_does_not_fit_the_device() -> None:
    with pytest.raises(PtxError, match="49156 bytes of shared memory"):
        run(".shared .b8 t[49156];")
    for target, size in (("sm_75", 64), ("sm_86", 99), ("sm_90", 227), ("sm_90a", 227), ("sm_120", 99)):
        module = parse(text("ret;", target=target))
        launch(module, "k", 1, 32, [], Memory(), dynamic_shared=size << 10)
        with pytest.raises(PtxError, match="at launch"):
            launch(module, "k", 1, 32, [], Memory(), dynamic_shared=(size << 10) + 1)
    with pytest.raises(PtxError, match="too large"):
        run("", threads=1025)
    module = parse(
        HEADER + ".visible .entry k()\n.reqntid 64\n{ ret; }\n.visible .entry m() .maxntid 64 { ret; }"
    )
    launch(module, "k", (2, 3), (64, 1, 1), [], Memory())
    for entry, threads in (("k", 32), ("m", 65), ("k", (32, 2))):
        with pytest.raises(PtxError) as error:
            launch(module, entry, 1, threads, [], Memory())
        assert error.value.kind == "launch"
    with pytest.raises(PtxError, match=r"no entry `z`; there are \['k', 'm'\]"):
        launch(module, "z", 1, 1, [], Memory())


def test_dimensions() -> None:
    body = """
    mov.u32 %r1, %tid.y;
    mov.u32 %r2, %tid.z;
    mov.u32 %r3, %ctaid.y;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %nctaid.y;
    mad.lo.u32 %r9, %r1, 10, %r0;
    mad.lo.u32 %r9, %r2, 100, %r9;
    mad.lo.u32 %r9, %r3, 1000, %r9;
    mad.lo.u32 %r9, %r4, 10000, %r9;
    mad.lo.u32 %r9, %r5, 100000, %r9;
    mov.u32 %r6, %ntid.y;
    mad.lo.u32 %r7, %r2, %r6, %r1;
    mad.lo.u32 %r7, %r7, %r4, %r0;
    mad.lo.u32 %r7, %r3, 24, %r7;
    mul.wide.u32 %l1, %r7, 4;
    add.u64 %l1, %l0, %l1;
    st.global.u32 [%l1], %r9;
    ret;
    """
    memory = Memory()
    out = memory.allocate(4 * 72)
    source = text("ld.param.u64 %l0, [out];\nmov.u32 %r0, %tid.x;" + body, ".param .u64 out")
    launch(parse(source), "k", (1, 3), (4, 3, 2), [out], memory)
    c, z, y, x = np.indices((3, 2, 3, 4)).reshape(4, -1)
    got = memory.download(out, 72, np.uint32)
    np.testing.assert_array_equal(got, x + 10 * y + 100 * z + 1000 * c + 40000 + 300000)


# atomics


def test_atomics_by_one_thread_after_the_other() -> None:
    """Each kind on one shared word: the old values are all there, the last one is the result."""
    lane = np.arange(32)
    start = (
        SHARED + "setp.eq.u32 %p1, %r0, 0;\nmov.u32 %r1, 5;\n@%p1 st.shared.u32 [tile], %r1;\nbar.sync 0;\n"
    )
    for op, operand, last in (
        ("add.u32", "%r0", 5 + 496), ("min.s32", "%r0", 0), ("max.u32", "%r0", 31), ("or.b32", "%r0", 31),
        ("xor.b32", "%r0", 5), ("and.b32", "%r0", 0), ("inc.u32", "6", 2), ("dec.u32", "6", 1),
        ("exch.b32", "%r0", 31),
    ):  # fmt: skip
        end = f"atom.shared.{op} %r9, [tile], {operand};\nbar.sync 0;\nld.shared.u32 %r9, [tile];\n"
        got, _ = run(start + end + KEEP)
        np.testing.assert_array_equal(got, last, err_msg=op)
    old, _ = run(start + "atom.shared.add.u32 %r9, [tile], 1;\n" + KEEP)
    np.testing.assert_array_equal(np.sort(old), 5 + lane)
    swapped, _ = run(start + "add.u32 %r2, %r0, 100;\natom.shared.cas.b32 %r9, [tile], 5, %r2;\n" + KEEP)
    assert sorted(set(swapped.tolist())) == [5, 100]
    body = start + "red.shared.add.f32 [tile+4], 0f3F800000;\nbar.sync 0;\nld.shared.u32 %r9, [tile+4];\n"
    got, _ = run(
        body.replace("@%p1 st.shared.u32 [tile], %r1;", "@%p1 st.shared.v2.u32 [tile], {0, 0};") + KEEP
    )
    np.testing.assert_array_equal(got.view(np.float32), 32.0)


def test_blocks_count_together() -> None:
    module = parse(
        text("ld.param.u64 %l0, [out];\natom.global.add.u32 %r1, [%l0], 1;\nret;", ".param .u64 out")
    )
    memory = Memory()
    out = memory.upload(np.zeros(1, np.uint32))
    launch(module, "k", 20, 64, [out], memory)
    assert memory.download(out, 1, np.uint32)[0] == 1280


# races


def test_a_missing_barrier_in_shared_memory() -> None:
    write, barrier = SHARED + "st.shared.u32 [%l3], %r0;\n", "bar.sync 0;\n"
    read = """
    xor.b32 %r1, %r0, {};
    mul.wide.u32 %l4, %r1, 4;
    add.u64 %l4, %l1, %l4;
    ld.shared.u32 %r9, [%l4];
    """
    for distance in (1, 16, 32):
        got, _ = run(write + barrier + read.format(distance) + KEEP, threads=64)
        np.testing.assert_array_equal(got, np.arange(64) ^ distance)
        wrong = write + read.format(distance) + KEEP
        match = "reads 4 bytes at byte .* of `tile`.*, which thread .* wrote without a barrier between"
        error = failure(wrong, "race", match, "ld.shared.u32 %r9", threads=64)
        assert f"thread ({distance}, 0, 0)" in error.message
    again = write + barrier + read.format(1) + "st.shared.u32 [%l3], %r9;\n"
    failure(
        again, "race", "writes .* which thread .* read without a barrier between", "st.shared.u32 [%l3], %r9"
    )
    got, _ = run(write + barrier + read.format(1) + barrier + "st.shared.u32 [%l3], %r9;\n" + KEEP)
    np.testing.assert_array_equal(got, np.arange(32) ^ 1)


def test_synchronising_a_warp_orders_its_threads_alone() -> None:
    write = SHARED + "st.shared.u32 [%l3], %r0;\n"
    read = """
    xor.b32 %r1, %r0, {};
    mul.wide.u32 %l4, %r1, 4;
    add.u64 %l4, %l1, %l4;
    ld.shared.u32 %r9, [%l4];
    """
    for sync in ("bar.warp.sync -1;\n", "shfl.sync.idx.b32 %r2, %r0, 0, 31, -1;\n"):
        got, _ = run(write + sync + read.format(16) + KEEP, threads=64)
        np.testing.assert_array_equal(got, np.arange(64) ^ 16)
        failure(
            write + sync + read.format(32) + KEEP,
            "race",
            r"thread \(32, 0, 0\) of block \(0, 0, 0\) wrote",
            threads=64,
        )


def test_two_threads_write_the_same_word() -> None:
    failure(SHARED + "st.shared.u32 [tile], %r0;", "race", "which thread .* wrote without a barrier")
    failure("st.global.u32 [%l0], %r0;", "race", "writes 4 bytes at byte 0 of `out`")
    body = (
        SHARED
        + "shr.u64 %l4, %l2, 2;\nadd.u64 %l4, %l1, %l4;\n"
        + "st.shared.u8 [%l4], %r0;\nst.shared.u32 [%l3], %r0;\n"
    )
    failure(body, "race", "writes 4 bytes at byte 4 of `tile` .*, which thread", "st.shared.u32")


def test_many_readers_before_a_writer() -> None:
    """The first reader is not the one whom the writer meets."""
    body = SHARED + "st.shared.u32 [%l3], %r0;\nbar.sync 0;\nld.shared.u32 %r1, [tile+4];\n"
    end = "setp.eq.u32 %p1, %r0, {};\n@%p1 st.shared.u32 [tile+4], %r0;\n"
    for thread in (0, 5, 40, 63):
        failure(body + end.format(thread), "race", "several threads, .* among them, read", threads=64)
        got, _ = run(body + "bar.sync 0;\n" + end.format(thread) + "mov.u32 %r9, %r1;\n" + KEEP, threads=64)
        np.testing.assert_array_equal(got, 1)


def test_blocks_race_in_global_memory() -> None:
    failure("mul.wide.u32 %l1, %r0, 4;\nadd.u64 %l1, %l0, %l1;\nst.global.u32 [%l1], %r0;\n", "race",
            r"thread \(0, 0, 0\) of block .* wrote in the same launch", blocks=2, words=32)  # fmt: skip
    body = KEEP.replace("%r9;", "%r0;") + "bar.sync 0;\nsetp.eq.u32 %p2, %r8, 32;\n"
    body += "@%p2 ld.global.u32 %r1, [%l9+-128];\n"
    failure(body, "race", "wrote in the same launch", "ld.global", blocks=2)
    # also where the blocks run in different batches
    one = "setp.eq.u32 %p1, %r0, 0;\n@%p1 st.global.u32 [%l0], %r0;\n"
    failure(one, "race", "in the same launch", threads=1024, blocks=40, words=1)


def test_what_is_read_as_constant_is_not_written() -> None:
    body = """
    mul.wide.u32 %l1, %r0, 4;
    add.u64 %l1, %l0, %l1;
    ld.global.nc.u32 %r1, [%l1];
    add.u32 %r1, %r1, 1;
    st.global.u32 [%l1], %r1;
    """
    source = text("ld.param.u64 %l0, [x];\nmov.u32 %r0, %tid.x;\n" + body + "ret;", ".param .u64 x")
    memory = Memory()
    x = memory.upload(np.zeros(32, np.uint32), "x")
    with pytest.raises(PtxError, match=r"which thread .* read by ld.global.nc"):
        launch(parse(source), "k", 1, 32, [x], memory)
    launch(parse(source.replace(".nc", "")), "k", 1, 32, [x], memory)
    np.testing.assert_array_equal(memory.download(x, 32, np.uint32), 1)
