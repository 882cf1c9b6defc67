"""Faults put into PTX: each is caught, and named: by the list of instructions, the simulator, or the bits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid.compiler.gpu.allowed import check
from lucid.compiler.gpu.simulator import PtxError
from lucid.compiler.ir.data import replace
from lucid.compiler.verify.error import VerifyError
from lucid.gpu import Ptx, ptx
from lucid.runtime.execute import Executable
from lucid.simulated import simulate
from tests.native import Array, build, compiled

from .gpu_kernels import CASES, case
from .test_ptx_bits import same

Change = Callable[[str], str]
SIZES = {"huber": ((720,), (720,)), "softmax": ((5, 150),)}


def swap(pattern: str, to: str, count: int = 1) -> Change:
    """The first, or all (0), that match become another text."""
    return lambda text: re.sub(pattern, to, text, count=count)


MEET = r"\tbar\.warp\.sync \t-1;\n"
BARRIER = r"\tbar\.sync \t0;\n"
SECOND = rf"({BARRIER}(?:.*\n)*?){BARRIER}"
THIRD = rf"((?:{BARRIER}(?:.*\n)*?){{2}}){BARRIER}"
GUARD = r"setp\.ge\.s32 (\t%p\d+, %r\d+, %r\d+;)"  # whether a lane is beyond the last element
FIRST = r"(shfl\.sync\.idx.*\n\tbar\.warp\.sync.*\n\tsetp\.)ne"  # whether a warp is not the last one
POINTER = r"(ld\.param\.b64 \t(%rd\d+), \[\w+_param_0\];)"

# Name: the kernel, the fault, and what finds it: a kind of PtxError, "list", "fma", or "bits".
FAULTS: dict[str, tuple[str, Change, str]] = {
    "no order of working memory": ("linear", swap(MEET, "", 0), "race"),
    "no order of a tile": ("transpose", swap(MEET, "", 0), "race"),
    "no order of single places": ("scatter_single", swap(MEET, "", 0), "race"),
    "a guard off by one": ("huber", swap(GUARD, r"setp.gt.s32 \1", 0), "bounds"),
    "a main loop that ends late": ("huber", swap(r"(and\.b64 .*), -4096;", r"\1, -64;"), "bounds"),
    "no predicate of a load": ("huber", swap(r"\t@%p\d+ bra \t\S+;\n(?=\tld\.global)", "", 0), "bounds"),
    "no predicate of a scalar": ("huber", swap(r"setp\.ne\.b32 (.*), 0;", r"setp.lt.s32 \1, 0;"), "race"),
    "a shuffle from too near": ("huber", swap(r"(down\.b32 .*), 16, 31", r"\1, 8, 31"), "bits"),
    "a shuffle from the wrong lane": ("huber", swap(r"(idx\.b32 .*), 1, 31", r"\1, 0, 31"), "bits"),
    "a shuffle of half a warp": ("huber", swap(r"(down\.b32 .*), -1;", r"\1, 65535;"), "mask"),
    "lanes of half a warp": ("huber", swap(r"(and\.b32 .*), 31;", r"\1, 15;"), "race"),
    "two warps for one block": ("softmax", swap(r"(shr\.u32 .*), 5;", r"\1, 6;", 0), "race"),
    "two warps for one part of a row": ("softmax_team", swap(r"(shr\.u32 .*), 5;", r"\1, 6;", 0), "race"),
    "no barrier before lanes are read": ("softmax_team", swap(SECOND, r"\1"), "race"),
    "no barrier after lanes were read": ("softmax_team", swap(THIRD, r"\1"), "race"),
    "no barriers of a team": ("norm_team", swap(BARRIER, "", 0), "race"),
    "no barriers of panels": ("product", swap(BARRIER, "", 0), "race"),
    "chains of the wrong lane": ("product", swap(r"(bfly\.b32 .*), 2, 31", r"\1, 1, 31", 0), "bits"),
    "lanes of the other warp twice": ("norm_team", swap(r"(ld\.shared.*)\+128\]", r"\1]", 0), "bits"),
    "an address of 32 bits": ("huber", swap(POINTER, r"\1\n\tand.b64 \2, \2, 4294967295;"), "bounds"),
    "an output that is an input": ("huber", swap(r"_param_2\]", "_param_0]"), "read-only"),
    "an address between elements": ("huber", swap(r"(ld\.global.*)\+128\]", r"\1+126]", 0), "misaligned"),
    "16 bytes from anywhere": ("moved_within", swap(r"(and\.b64 .*), 15;", r"\1, 0;", 0), "misaligned"),
    "16 bytes beyond the last element": ("moved", swap(r"(and\.b64 .*), -256;", r"\1, -4;", 0), "bounds"),
    "two elements of a thread exchanged": ("moved_rows", swap(r"\{(%r\d+), (%r\d+),", r"{\2, \1,"), "bits"),
    "half of what is stored": ("softmax", swap(r"st\.global\.b32", "st.global.b16", 0), "uninitialised"),
    "a block without a part": ("huber", swap(r"\tst\.glob.*;\n(?=\$.*\n.*\n\tbar)", ""), "uninitialised"),
    "a choice the other way": ("huber", swap(r"(selp\.f32 .*), (%r\d+), (%r\d+)", r"\1, \3, \2", 0), "bits"),
    "no fence before a block is counted": ("linear", swap(r"\tfence.*\n(?=\tatom)", "", 0), "race"),
    "no fence after it was counted": ("linear", swap(r"(\tatom.*\n)\tfence.*\n", r"\1", 0), "race"),
    "the first warp to be done goes on": ("linear", swap(FIRST, r"\1eq", 0), "race"),
    "blocks that are not counted": ("linear", swap(r"(atom.*), %r\d+;", r"\1, 0;", 0), "uninitialised"),
    "a division that is nearly right": ("softmax", swap(r"div\.rn", "div.full"), "list"),
    "denormal numbers as 0": ("softmax", swap(r"add\.rn\.f32", "add.rn.ftz.f32"), "list"),
    "another rounding": ("huber", swap(r"add\.rn\.f32", "add.rz.f32"), "list"),
    "two roundings in one": (
        "huber", swap(r"mul\.rn\.f32 (.*);", r"fma.rn.f32 \1, 0f80000000;"), "fma",
    ),
}  # fmt: skip


WORDS = {"list": "list of instructions", "fma": "count of `fma`", "bits": "bits of the CPU"}


def test_the_list_of_the_docs() -> None:
    rows = [
        f"| {name} | `{case}` | {WORDS.get(how, f'`{how}`')} |" for name, (case, _, how) in FAULTS.items()
    ]
    table = "\n".join(["| fault | in | found by |", "|---|---|---|", *rows])
    print(table)
    text = (Path(__file__).parents[2] / "docs/gpu.md").read_text(encoding="utf-8")
    assert len(FAULTS) >= 20 and table in text, "docs/gpu.md has another list than the one printed"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str) -> None:
    name, change, finder = FAULTS[fault]
    graph, arrays = case(name)
    if name in SIZES:
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=shape).astype(np.float32) for shape in SIZES[name]]
        graph = build(CASES[name][0], arrays)
    right = ptx(graph, "sm_90")
    wrong = replace(right, modules={key: change(text) for key, text in right.modules.items()})
    assert wrong.modules != right.modules
    if finder in ("list", "fma"):
        what = "is not one of the instructions" if finder == "list" else "fused multiply-adds"
        with pytest.raises(VerifyError, match=what):
            listed(right, wrong)
        return
    listed(right, wrong)
    if finder == "bits":
        got, _ = simulate(wrong, arrays)
        want: list[Array] = Executable(compiled(graph).plan)(arrays)
        assert not all(map(same, got, want))
        return
    with pytest.raises(PtxError) as error:
        simulate(wrong, arrays)
    assert error.value.kind == finder, str(error.value)
    assert finder == "uninitialised" or error.value.line


def test_a_report_names_the_statement_and_the_line() -> None:
    """Of what a program does on "ptx-sim", whose text has no lines of its own."""
    f = lucid.compile(lambda x: lucid.exp(x) * 2.0)
    x = np.ones(720, np.float32)
    f(x)
    right, change = f.ptx("sm_90"), FAULTS["a guard off by one"][1]
    wrong = replace(right, modules={key: change(text) for key, text in right.modules.items()})
    said = r"PTX line \d+: `ld\..*` \(.*_faults.py:\d+\): bounds: .*; kernel \w+: o0\[i0\] = exp\("
    with pytest.raises(PtxError, match=said) as error:
        simulate(wrong, [x])
    assert error.value.loc is not None


def listed(right: Ptx, wrong: Ptx) -> None:
    for key, text in wrong.modules.items():
        (source,) = {launch.code.llvm for launch in right.launches if launch.code.key == key}
        check(text, source)
