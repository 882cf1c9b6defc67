"""What the simulator's parser takes, and what it refuses with which line."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, PtxError, launch, parse

from .hand_written import HEADER, KEEP, run, text


def refused(body: str, kind: str, match: str) -> PtxError:
    with pytest.raises(PtxError, match=match) as error:
        parse(text(f"mov.u32 %r0, 0;\n{body}"))
    assert error.value.kind == kind
    assert error.value.line is not None
    return error.value


@pytest.mark.parametrize("instruction", [
    "ex2.approx.f32 %f1, %f2;", "lg2.approx.ftz.f32 %f1, %f2;", "sin.approx.f32 %f1, %f2;",
    "tanh.approx.f32 %f1, %f2;",
    "rsqrt.approx.f32 %f1, %f2;", "rcp.approx.f32 %f1, %f2;", "sqrt.approx.f32 %f1, %f2;",
    "div.approx.f32 %f1, %f2, %f3;",
    "div.full.f32 %f1, %f2, %f3;",
])  # fmt: skip
def test_approximate_instructions_are_refused(instruction: str) -> None:
    error = refused(instruction, "approximate", "is approximate|flushes")
    assert error.text == instruction
    lines = text(f"mov.u32 %r0, 0;\n{instruction}").splitlines()
    assert error.line == lines.index(instruction) + 1


def test_what_flushes_or_may_be_contracted_is_refused() -> None:
    for instruction in ("add.rn.ftz.f32 %f1, %f2, %f3;", "fma.rn.ftz.f32 %f1, %f2, %f3, %f4;",
                        "setp.lt.ftz.f32 %p1, %f2, %f3;", "cvt.rn.ftz.f32.s32 %f1, %r1;"):  # fmt: skip
        refused(instruction, "approximate", "flushes denormal numbers")
    for instruction in ("add.f32 %f1, %f2, %f3;", "mul.f64 %d1, %d2, %d3;", "sub.f16 %h1, %h2, %h3;"):
        refused(instruction, "approximate", "may be contracted")


@pytest.mark.parametrize("instruction, match", [
    ("frobnicate.u32 %r1, %r2;", "unknown instruction `frobnicate`"),
    ("add.u31 %r1, %r2, %r3;", "is no form of `add`"),
    ("add.rn.sat.f64 %d1, %d2, %d3;", "is no form"),
    ("ld.u32 %r1, [%l1];", "is no form of `ld`"),
    ("ld.global.L3::always.u32 %r1, [%l1];", "is no form of `ld`"),
    ("add.u32 %r1, %r2;", "with 2 operands is unknown"),
    ("add.u32 %r1, %r2, %r3, %r4;", "with 4 operands is unknown"),
    ("add.u32 %r1, %r2, %r99;", "unknown register `%r99`"),
    ("mov.u32 %r1, %clock;", "unknown register `%clock`"),
    ("add.u32 %r1, %l2, %r3;", "`%l2` is .b64, and the instruction takes .u32"),
    ("add.u64 %l1, %r2, %l3;", "`%r2` is .b32"),
    ("st.global.u64 [%l1], %r2;", "`%r2` is .b32"),
    ("setp.lt.b32 %p1, %r1, %r2;", "is no form of `setp`"),
    ("selp.b32 %r1, %r2, %r3, %r4;", "takes .pred"),
    ("add.u32 5, %r2, %r3;", "cannot be written"),
    ("add.u32 %r1, !%r2, %r3;", "only predicates"),
    ("add.rn.f32 %f1, %f2, 1;", "no literal of .f32"),
    ("add.u32 %r1, %r2, 0f3F800000;", "no literal of .u32"),
    ("cvt.f32.f64 %f1, %d1;", "is no form of `cvt`"),
    ("cvt.rn.f64.f32 %d1, %f1;", "is no form of `cvt`"),
    ("cvt.rn.s32.f32 %r1, %f1;", "is no form of `cvt`"),
    ("cvt.f32.s32 %f1, %r1;", "is no form of `cvt`"),
    ("cvt.rzi.u32.u64 %r1, %l1;", "is no form of `cvt`"),
    ("bra NOWHERE;", "label `NOWHERE` is missing"),
    ("@%r1 ret;", "is no predicate"),
    ("ld.global.v4.u32 {%r1, %r2}, [%l1];", "2 values in braces"),
    ("ld.global.v2.u32 %r1, [%l1];", "a vector in braces is missing"),
    ("ld.global.u32 %r1, %l1;", "no address in brackets"),
    ("mov.b64 %l1, nothing;", "`nothing` is not declared"),
    ("call.uni f, ();", "functions are not simulated"),
    ("shfl.bfly.b32 %r1, %r2, 1, 31;", "is no form of `shfl`"),
    (".reg .b8 %x;", "registers of type .b8"),
])  # fmt: skip
def test_what_is_unknown_is_refused(instruction: str, match: str) -> None:
    error = refused(instruction, "form", match)
    assert instruction in error.text or error.text in instruction


@pytest.mark.parametrize("source, match", [
    (".version 8.7\n.visible .entry k() { ret; }", "begins with .version and .target"),
    (HEADER.replace("64\n", "32\n"), "addresses must have 64 bits"),
    (HEADER + ".visible .func f() { ret; }", "functions are not simulated"),
    (HEADER + ".unknown", "unknown directive `.unknown`"),
    (HEADER + ".entry k() {", "the text ends within an entry"),
    (HEADER + ".entry k() { ret }", "unexpected `}`"),
    (HEADER + ".entry k() { ~ }", "unexpected '~'"),
    (HEADER + ".entry k() { A: ret; A: ret; }", "label `A` stands twice"),
    (HEADER + ".global .b64 a = b;", "as a value of a variable"),
])  # fmt: skip
def test_texts_that_are_no_modules(source: str, match: str) -> None:
    with pytest.raises(PtxError, match=match):
        parse(source)


def test_literals() -> None:
    body = """
    mov.u32 %r1, 0x10;
    add.u32 %r1, %r1, 0b101;
    add.s32 %r1, %r1, -1;
    mov.b32 %f1, 0f40200000;
    add.rn.f32 %f1, %f1, 0d3FE0000000000000;
    add.rn.f32 %f1, %f1, 1.5;
    cvt.rzi.u32.f32 %r2, %f1;
    cvt.rn.f64.u32 %d1, %r2;
    add.rn.f64 %d1, %d1, 0f3F800000;
    cvt.rzi.u32.f64 %r3, %d1;
    mad.lo.u32 %r9, %r2, 100, %r1;
    mad.lo.u32 %r9, %r3, 10000U, %r9;
    """
    got, _ = run(body + KEEP, threads=1)
    assert got[0] == 20 + 400 + 50000


def test_layout_of_texts() -> None:
    """Comments, several statements in a line, scopes with their own registers, debug information."""
    source = (
        HEADER
        + """
    /* a comment
       of two lines */ .section .debug_str { .b8 1, 2 }
    .visible .entry k(.param .u64 out) // the only one
    .maxntid 32, 1, 1
    .minnctapersm 2
    {
      .reg .b64 %l<2>; .reg .b32 %r<3>; .loc 1 3 0, function_name info, inlined_at 1 4 0
      ld.param.u64 %l1, [out]; mov.u32 %r1, 1;
      { .reg .b32 %r1; mov.u32 %r1, 2; st.global.u32 [%l1+4], %r1; }
      st.global.u32 [%l1], %r1; .pragma "nounroll"; $L__END:
      ret;
    }
    .section .debug_macinfo { }
    .file 1 "a.py"
    """
    )
    module, memory = parse(source), Memory()
    out = memory.allocate(8)
    launch(module, "k", 1, 1, [out], memory)
    np.testing.assert_array_equal(memory.download(out, 2, np.uint32), [1, 2])
    stores = [i for i in module.entries["k"].code if i.opcode == "st.global.u32"]
    assert [str(i.loc) for i in stores] == ["a.py:3", "a.py:3"]
    assert "out" in module.lines[stores[0].line - 1] or "%l1+4" in module.lines[stores[0].line - 1]
