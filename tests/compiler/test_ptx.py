"""PTX: what it may hold, for every kind of kernel and every op."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.gpu.allowed import check, instructions
from lucid.compiler.gpu.emit import emit
from lucid.compiler.gpu.launch import entry
from lucid.compiler.gpu.simulator import Memory, launch, parse
from lucid.compiler.gpu.target import PTX, SHARED, target
from lucid.compiler.ir.artifact import Code
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Alloc, Func
from lucid.compiler.ir.types import DTYPES, f32
from lucid.compiler.pipeline import compile_graph, entries
from lucid.compiler.text.loop import parse_func
from lucid.compiler.verify.error import VerifyError
from lucid.gpu import Ptx, ptx, text_of
from tests.native import Array, build, sample_arrays

from .gpu_kernels import CASES, case
from .test_ptx_bits import check as same_bits

REGISTERS = Path(__file__).parents[1] / "golden" / "registers.txt"
OP_REGISTERS = REGISTERS.with_name("op_registers.txt")
OPS = [name for name, op in ops.REGISTRY.items() if op.samples]


def of_case(name: str, arch: str = "sm_90") -> Ptx:
    return ptx(case(name)[0], arch)


@pytest.mark.parametrize("name", CASES)
def test_every_mode(name: str) -> None:
    found = of_case(name)
    made = compile_graph(case(name)[0], target("sm_90"))
    assert made.stages.schedules[-1].mode == CASES[name][2]
    for text in found.modules.values():
        assert ".version 7.8\n.target sm_90\n" in text
        assert set(re.findall(r"\.entry (\S+)\(", text)) <= {
            e.name for each in entries(made).values() for e in each
        }
    for x in found.launches:
        assert f"{x.entry.name}: grid {x.grid}, {x.entry.threads} threads" in str(found)


def sample_of(name: str) -> tuple[Graph, list[Array]]:
    """Of each op one dtype (test_ptx_bits.py runs all of them)."""
    op, rng = ops.REGISTRY[name], np.random.default_rng(1)
    taken = [d for d in DTYPES.values() if op.takes(d) and not d.is_complex]
    dtype = taken[len(name) % len(taken)]
    arrays = sample_arrays(op, op.samples[0], dtype, rng)
    return build(lambda *nodes: op(*nodes, **op.samples[0].attrs), arrays), arrays


@pytest.mark.parametrize("name", OPS)
def test_every_op(name: str) -> None:
    """`ptx` looks at every instruction; the simulator gives the bits of the CPU."""
    same_bits(*sample_of(name), "sm_80")


@pytest.mark.parametrize(
    "line",
    [
        "sqrt.approx.f32 %r1, %r2;",
        "add.rn.ftz.f32 %r1, %r2, %r3;",
        "mad.rn.f32 %r1, %r2, %r3, %r4;",
        "@%p1 div.full.f32 %r1, %r2, %r3;",
        "cvt.rzi.sat.s32.f32 %r1, %r2;",
        "ex2.approx.ftz.f32 %r1, %r2;",
        "call.uni (retval0), fmodf, (param0, param1);",
    ],
)
def test_what_is_refused(line: str) -> None:
    (text,) = of_case("quotients").modules.values()
    check(text)
    at = text.index("\tret;")
    with pytest.raises(VerifyError, match="is not one of the instructions that kernels may have"):
        check(text[:at] + f"\t{line}\n" + text[at:])


def test_what_was_contracted_is_refused() -> None:
    (text,) = of_case("huber").modules.values()
    check(text, "no fma")
    changed = re.sub(r"mul\.rn\.f32 (.*), (.*), (.*);", r"fma.rn.f32 \1, \2, \3, 0f00000000;", text, count=1)
    assert changed != text
    with pytest.raises(VerifyError, match="1 fused multiply-adds, 0 were written"):
        check(changed, "no fma")


def test_an_unknown_architecture_is_an_error() -> None:
    every = "sm_75, sm_80, sm_86, sm_89, sm_90, sm_100, sm_120"
    with pytest.raises(ValueError, match=f"unknown architecture 'sm_70'; expected one of {every}"):
        target("sm_70")


def test_more_than_there_is_of_memory_or_parameters() -> None:
    with pytest.raises(
        ValueError, match="kernel f: 49168 bytes of shared memory for a warp; there are 49152"
    ):
        entry(Func("f", (), (Alloc("w", f32, SHARED // 4 + 1),)))
    with pytest.raises(ValueError, match="kernel f: 4096 parameters; there may be 4095"):
        entry(Func("f", tuple(Slot(f"x{n}", "array", f32) for n in range(4096)), ()))
    assert [entry(Func("f", (), (Alloc("w", f32, n),))).warps for n in (1, 3072, 3073, 12288)] == [4, 4, 2, 1]


def test_many_parameters(tmp_path: Path) -> None:
    """More than 512 need a newer version of PTX; the simulator and ptxas take them."""
    slots = ", ".join([*(f"n{k}: int" for k in range(600)), "blocks: int"])
    loop = ("for %i in %begin .. %end step 1 parallel", "  %1: i64 = add %n0, %n599", "  store o[0], %1")
    func = parse_func("\n  ".join([f"func f(o: i64[], {slots})", *loop, "  yield"]) + "\n")
    text = text_of(Code("k", "f", emit([func]), False), "sm_80")
    assert ".version 8.1\n.target sm_80\n" in text
    memory = Memory()
    out = memory.allocate(8, "o")
    launch(parse(text), "f", 1, 128, [out, *range(7, 607), 1], memory)
    assert memory.download(out, 1, np.int64) == 7 + 606
    for arch in PTX:
        module = text_of(Code("k", "f", emit([func]), False), arch)
        assert assembled(replace(of_case("columns"), arch=arch, modules={"k": module}), tmp_path)


def test_loads_of_a_warp_are_neighbours() -> None:
    """In a flat kernel an address is a step of a pointer, without arithmetic of its own."""
    (text,) = of_case("huber").modules.values()
    names = [name for _, name in instructions(text)]
    assert not {n for n in names if n.startswith(("div", "rem", "call"))}


# --- ptxas ---------------------------------------------------------------------------------------


def ptxas() -> str:
    spec = find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob("*/bin/ptxas"):
            return str(path)
    pytest.skip("ptxas is not here: pip install lucid-compiler[gpu-test]")


def assembled(found: Ptx, folder: Path) -> dict[str, tuple[int, int]]:
    """Registers and bytes spilled of each entry."""
    sizes: dict[str, tuple[int, int]] = {}
    for text in found.modules.values():
        (folder / "k.ptx").write_text(text)
        command = [ptxas(), f"-arch={found.arch}", "-v", "k.ptx", "-o", "k.cubin"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        every = re.findall(
            r"entry function '(\S+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers", run.stderr, re.DOTALL
        )
        sizes |= {name: (int(registers), int(spilled)) for name, spilled, registers in every}
    return sizes


def held_to(table: Path, name: str, made: Callable[[str], Ptx], folder: Path, update: bool) -> None:
    """No more registers, and bytes that are spilled, than the table says."""
    found = {
        f"{name} {kernel} {arch}": numbers
        for arch in PTX
        for kernel, numbers in assembled(made(arch), folder).items()
    }
    known = [line.rsplit(" ", 2) for line in table.read_text().splitlines()] if table.exists() else []
    most = {key: (int(registers), int(spilled)) for key, registers, spilled in known}
    if update:
        own = {key: numbers for key, numbers in most.items() if not key.startswith(f"{name} ")} | found
        table.write_text("".join(f"{key} {own[key][0]} {own[key][1]}\n" for key in sorted(own)))
        return
    for key, (registers, spilled) in found.items():
        assert registers <= most[key][0] and spilled <= most[key][1], f"{key}: {registers} {spilled}"


@pytest.mark.parametrize("name", CASES)
def test_registers(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    update = bool(request.config.getoption("--update-golden"))
    held_to(REGISTERS, name, lambda arch: of_case(name, arch), tmp_path, update)


@pytest.mark.parametrize("name", OPS)
def test_registers_of_every_op(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In the dtype of `test_every_op`."""
    ptxas()
    update = bool(request.config.getoption("--update-golden"))
    held_to(OP_REGISTERS, name, lambda arch: ptx(sample_of(name)[0], arch), tmp_path, update)
