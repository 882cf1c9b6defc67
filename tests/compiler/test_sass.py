"""The machine code that ptxas makes of kernels, as a disassembler shows it: what docs/gpu.md says of numbers
is true of it, too."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from lucid.compiler.gpu.target import PTX
from lucid.gpu import Ptx, ptx

from .gpu_kernels import CASES
from .test_ptx import OP_REGISTERS, OPS, REGISTERS, of_case, ptxas, sample_of

_NAME = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")
_PTX = re.compile(r"\t(?:@!?%p\d+ )?([a-z][\w.:]*)")
# What begins with an approximation in machine code, and goes on until the result is exact.
_BY_STEPS = ("div.", "rem.", "sqrt.", "rcp.")
_STARTS = {"MUFU.RCP", "MUFU.RSQ", "MUFU.RCP64H", "MUFU.RSQ64H"}


def nvdisasm() -> str:
    spec = find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob("*/bin/nvdisasm"):
            path.chmod(path.stat().st_mode | 0o100)
            return str(path)
    pytest.skip("nvdisasm is not here: pip install lucid-compiler[gpu-test]")


def machine_code(text: str, arch: str, folder: Path, *options: str) -> str:
    (folder / "k.ptx").write_text(text)
    command = [ptxas(), f"-arch={arch}", *options, "k.ptx", "-o", "k.cubin"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    show = [nvdisasm(), "-c", "k.cubin"]
    found = subprocess.run(show, cwd=folder, check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in found.splitlines() if "/*" in line)


def wide(names: Counter[str], pattern: str) -> int:
    return sum(count for name, count in names.items() if re.match(pattern, name))


def spilled(name: str, arch: str, table: Path) -> bool:
    rows = [line.rsplit(" ", 2) for line in table.read_text().splitlines()]
    return any(key.startswith(f"{name} ") and key.endswith(arch) and int(n) for key, _, n in rows)


def look(found: Ptx, name: str, table: Path, folder: Path) -> Counter[str]:
    """AssertionError for machine code that is not what PTX says. How often it has each instruction."""
    every = Counter[str]()
    for text in found.modules.values():
        code = machine_code(text, found.arch, folder)
        # a product and a sum become one `fma` only if they may: the code is the same where they must not
        assert code == machine_code(text, found.arch, folder, "-fmad=false"), "something was contracted"
        names, written = Counter(_NAME.findall(code)), Counter(_PTX.findall(text))
        assert names["EXIT"]
        approximate = {n for n in names if n.startswith("MUFU")}
        flushed = {n for n in names if ".FTZ" in n}
        assert approximate <= _STARTS
        if not any(n.startswith(_BY_STEPS) for n in written):
            assert not approximate and not flushed
        if not spilled(name, found.arch, table):
            assert not any(n.startswith(("LDL", "STL")) for n in names)
        for of, to in (("ld", "LDG"), ("st", "STG")):
            asked = wide(written, rf"{of}\.global\.(v4\.b32|v2\.b64)")
            assert asked <= (got := wide(names, rf"{to}\.E\..*\b128\b|{to}\.E\.128")), (of, asked, got)
            assert asked or not got
        every += names
    return every


@pytest.mark.parametrize("name", CASES)
def test_every_mode(name: str, tmp_path: Path) -> None:
    look(of_case(name, "sm_90"), name, REGISTERS, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("arch", PTX)
def test_every_mode_and_architecture(arch: str, tmp_path: Path) -> None:
    for name in CASES:
        look(of_case(name, arch), name, REGISTERS, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("arch", PTX)
def test_every_op(arch: str, tmp_path: Path) -> None:
    total = Counter[str]()
    for name in OPS:
        total += look(ptx(sample_of(name)[0], arch), name, OP_REGISTERS, tmp_path)
    print(arch, len(OPS), sum(total.values()), {n: k for n, k in total.items() if n.startswith("MUFU")})


def test_what_may_be_contracted_is_seen(tmp_path: Path) -> None:
    """The comparison finds a product and a sum without a rounding of their own."""
    (text,) = of_case("norm").modules.values()
    loose = re.sub(r"(add|sub|mul)\.rn\.", r"\1.", text)
    assert loose != text
    codes = [machine_code(loose, "sm_90", tmp_path, *options) for options in ((), ("-fmad=false",))]
    assert codes[0] != codes[1]


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_loads_are_under_way_together(arch: str, tmp_path: Path) -> None:
    """All of a turn, before the first root, which branches."""
    (text,) = of_case("moved", arch).modules.values()
    names = re.findall(r"LDG\.E\S*128|MUFU\.RSQ|STG\.E\S*128", machine_code(text, arch, tmp_path))
    assert len(names) > 4 and all(n.startswith("LDG") for n in names[:4]), names[:8]
    assert not any(n.startswith("LDG") for n in names[4:])
