"""Faults, put into the text of real kernels, are found: reported by name, or seen in the bits of the results.

Each is made wherever it fits, so that the list does not hang on where a kernel has which line.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import PtxError
from lucid.gpu import Ptx, ptx
from lucid.simulated import simulate
from tests.compiler.gpu_kernels import CASES
from tests.native import build

from .rounding import Array

SHAPES = {
    "huber": ((8191,), (8191,)), "softmax": ((5, 150),), "norm": ((9, 100), (9, 100)),
    "linear": ((70, 5), (5,), (70,)),
    "product": ((19, 70), (45, 70)),
    "transpose": ((70, 45), (45, 70)), "sort": ((2, 40),),
}  # fmt: skip

# What is wrong; the kernel; what in the text becomes what; how it is found.
FAULTS: list[tuple[str, str, str, str, str]] = [
    ("no barrier where tiles are turned", "transpose", r"bar\.warp\.sync[^;]*;", "", "race"),
    ("no barrier between the steps of a sort", "sort", r"bar\.warp\.sync[^;]*;", "", "race"),
    ("a guard that lets one more through", "huber", r"setp\.ge\.s(32|64)", r"setp.gt.s\1", "bounds"),
    (
        "a guard of rows that lets one more through",
        "softmax",
        r"setp\.ge\.s(32|64)",
        r"setp.gt.s\1",
        "bounds",
    ),
    ("guards are dropped", "norm", r"@%p\d+ bra[^;]*_\d+;\n(?=\s+ld\.global)", "", "bounds"),
    ("a guard is negated", "huber", r"@(%p\d+ bra[^;]*;\n\s+ld\.global)", r"@!\1", "bounds"),
    (
        "shuffles from half as far",
        "softmax",
        r"(shfl\.sync\.down\.b32\s+%r\d+, %r\d+, )16",
        r"\g<1>8",
        "bits",
    ),
    (
        "shuffles the other way",
        "norm",
        r"shfl\.sync\.down(\.b32\s+%r\d+, %r\d+, \d+), 31",
        r"shfl.sync.up\1, 0",
        "bits",
    ),
    ("a shuffle of half the warp", "softmax", r"(shfl\.sync\.[^;]*), -1;", r"\1, 0xffff;", "mask"),
    (
        "a shuffle that only the first threads take part in",
        "softmax",
        r"(\n\s+)(shfl\.sync\.down[^;]*;)",
        r"\1{ .reg .pred %few; .reg .b32 %me; mov.u32 %me, %laneid; setp.lt.u32 %few, %me, 9; @%few \2 }",
        "mask",
    ),
    (
        "addresses are cut to 32 bits",
        "huber",
        r"(ld\.param\.b64\s+(%rd\d+), \[\w+_param_0\];)",
        r"\1 and.b64 \2, \2, 0xffffffff;",
        "bounds",
    ),
    (
        "a scale of 8 bytes for elements of 4",
        "linear",
        r"(shl\.b64\s+%rd\d+, %rd\d+, )2;",
        r"\g<1>3;",
        "bounds uninitialised",
    ),
    (
        "an offset that is off by two bytes",
        "linear",
        r"(ld\.global\.b32\s+%r\d+, \[%rd\d+)\]",
        r"\1+2]",
        "misaligned",
    ),
    (
        "an offset beyond shared memory",
        "transpose",
        r"(st\.shared\.b32\s+\[%rd\d+)\]",
        r"\1+65536]",
        "bounds",
    ),
    (
        "results go where the inputs are",
        "huber",
        r"(ld\.param\.b64\s+%rd\d+, \[\w+_param_)2\]",
        r"\g<1>0]",
        "read-only",
    ),
    ("what is written is read as constant", "softmax", r"ld\.global\.b32", "ld.global.nc.b32", "race"),
    ("an accumulator without a beginning", "norm", r"mov\.b32\s+%r\d+, 0f00000000;", "", "uninitialised"),
    ("an output that is not written", "transpose", r"st\.global\.b32[^;]*;", "", "uninitialised"),
    ("a loop that does not go on", "softmax", r"(add\.s64\s+(%rd\d+), \2, )\d{2,};", r"\g<1>0;", "limit"),
    ("an approximate quotient", "softmax", r"div\.rn\.f32", "div.full.f32", "approximate"),
    ("denormal numbers become zero", "norm", r"mul\.rn\.f32", "mul.rn.ftz.f32", "approximate"),
    ("a product that may be fused", "huber", r"mul\.rn\.f32", "mul.f32", "approximate"),
    ("another rounding", "softmax", r"fma\.rn\.f32", "fma.rz.f32", "bits"),
    (
        "a fused multiply-add in two steps",
        "linear",
        r"fma\.rn\.f32\s+(%r\d+), (\S+), (\S+), (\S+);",
        r"{ .reg .b32 %t; mul.rn.f32 %t, \2, \3; add.rn.f32 \1, %t, \4; }",
        "bits",
    ),
    (
        "choices the wrong way round",
        "huber",
        r"(selp\.f32\s+%r\d+), ([^,]+), ([^,]+),",
        r"\1, \3, \2,",
        "bits",
    ),
    ("a conversion to bytes of another type", "product", r"st\.global\.b32", "st.global.b64", "form"),
    ("an instruction that there is not", "huber", r"abs\.f32", "abs.rn.f32", "form"),
    (
        "all blocks do the first one's work",
        "transpose",
        r"mov\.u32\s+(%r\d+), %ctaid\.x;",
        r"mov.u32 \1, 0;",
        "race",
    ),
]


@cache
def program(name: str) -> tuple[Ptx, list[Array], list[Array]]:
    rng = np.random.default_rng(1)
    arrays: list[Array] = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES[name]]
    made = ptx(build(CASES[name][0], arrays), "sm_90")
    return made, arrays, simulate(made, arrays)[0]


@pytest.mark.parametrize("name, kernel, pattern, instead, kind", FAULTS, ids=[f[0] for f in FAULTS])
def test_a_fault_is_found(
    name: str, kernel: str, pattern: str, instead: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lucid.compiler.gpu.simulator.machine.LIMIT", 3000)
    right, arrays, outputs = program(kernel)
    modules = {key: re.sub(pattern, instead, text) for key, text in right.modules.items()}
    assert modules != right.modules, "the fault fits nowhere"
    wrong = Ptx(right.arch, modules, right.launches, right.plan)
    if kind == "bits":
        got, _ = simulate(wrong, arrays)
        assert any(not np.array_equal(g, o, equal_nan=True) for g, o in zip(got, outputs, strict=True))
        return
    with pytest.raises(PtxError) as error:
        simulate(wrong, arrays)
    assert error.value.kind in kind.split(), error.value
    assert error.value.line is not None or error.value.kind in ("uninitialised", "limit")
