"""Every instruction's line: kernels of all modes for several machines, with debug information and without."""

from __future__ import annotations

import io
import re
from itertools import count

import pytest

from lucid.compiler.gpu.target import target as gpu
from lucid.compiler.ir.artifact import Code
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Loc
from lucid.compiler.ir.kernel import Kernel, Stage, Stmt
from lucid.compiler.ir.target import HASWELL, NEOVERSE_N1, ZNVER4, Target
from lucid.compiler.llvm.lines import Lines
from lucid.compiler.llvm.listing import listing, llvm_listing
from lucid.compiler.pipeline import compile_kernel, lined, llvm_text
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.llvm import emit_object
from lucid.runtime.load import assembly

# By mode: each statement has the line of its number, from 1.
TEXTS = {
    "flat": """kernel t(x: f32[n], y: f32[n], s: f32) -> (o: f32[n], total: f32[])
 for i in n
  stage
   d = x[i] - y[i]
   all += d * d
   o[i] = abs(d) / s
 finally
  total = all * s
""",
    "rows": """kernel t(x: f32[m, n]) -> (o: f32[m, n])
 for i in m
  stage j in n
   top = max(x[i, j])
  stage j in n
   total = sum(abs(x[i, j] - top))
  stage j in n
   o[i, j] = abs(x[i, j] - top) / total
""",
    "long": """kernel t(x: f32[m, n]) -> (o: f32[m])
 for i in m
  stage j in n long
   r = sum(x[i, j] * x[i, j])
  stage
   o[i] = sqrt(r)
""",
    "columns": """kernel t(x: f32[n, d]) -> (o: f32[d])
 for i in n
  stage j in d long
   all[j] += abs(x[i, j])
 finally
  stage j in d
   o[j] = sqrt(all[j])
""",
    "groups": """kernel t(x: f32[n, 20], w: f32[20]) -> (o: f32[n, 20], g: f32[20], total: f32[])
 for i in n
  stage j in 20
   r = dot(x[i, j], w[j])
  stage
   c = sum(abs(r))
   all += r
  stage j in 20
   o[i, j] = x[i, j] * c
   gw[j] += x[i, j]
 finally
  total = all
  stage j in 20
   g[j] = gw[j]
""",
    "short": """kernel t(x: f32[n, 3]) -> (o: f32[n, 3])
 for i in n
  stage j in 3
   d = x[i, j] * 2.0
   o[i, j] = d * d + d
""",
    "tiles": """kernel t(x: f32[n, m], y: f32[m, n]) -> (o: f32[m, n])
 for i in m
  stage j in n
   d = x[j, i] + y[i, j]
   o[i, j] = d * d
""",
    "product": """kernel t(a: f32[m, k], w: f32[n, k], b: f32[n]) -> (o: f32[m, n])
 for i in m, j in n
  stage l in k
   t = dot(a[i, l], w[j, l])
  stage
   v = t + b[j]
   o[i, j] = v / (1.0 + abs(v))
""",
    "vector": """kernel t(a: f32[1, k], w: f32[k, n], b: f32[n]) -> (o: f32[1, n])
 for i in 1, j in n
  stage l in k
   t = dot(a[i, l], w[l, j])
  stage
   o[i, j] = t / b[j]
""",
    "scatter": """kernel t(x: f64[n, m], i: i64[n]) -> (o: f64[p, m])
 stage a in n, b in m
  o(i[a], at(b)) += x[a, b]
""",
    "scan": """kernel t(x: f32[n, m]) -> (o: f32[n, m])
 for a in n
  stage b in m
   o[a, b] = scan b sum(x[a, b])
""",
    "sort": """kernel t(x: f32[n, m]) -> (o: i64[n, m])
 for a in n
  stage b in m
   o[a, b] = sort b (x[a, b])
""",
}
TARGETS = {"avx2": HASWELL, "neon": NEOVERSE_N1, "ptx": gpu("sm_90")}
CASES = [
    *((mode, "avx2") for mode in TEXTS),
    *((mode, "ptx") for mode in ("long", "product", "scan", "sort")),
    *((mode, "neon") for mode in ("short", "product", "scan")),
]
OUTER = Loc("train.py", 100, "/home/u/train.py", "step")


def numbered(text: str) -> Kernel:
    """Statement n stands in line n of a function that is called in line 100."""
    kernel, line = parse_kernel(text), count(1)
    verify_kernel(kernel)

    def stages(given: tuple[Stage, ...]) -> tuple[Stage, ...]:
        return tuple([replace(s, body=tuple([at(x) for x in s.body])) for s in given])

    def at(stmt: Stmt) -> Stmt:
        return replace(stmt, loc=Loc("model.py", next(line), "/home/u/model.py", "forward", OUTER))

    first = stages(kernel.stages)
    return replace(kernel, stages=first, final=stages(kernel.final))


def made(mode: str, target: Target) -> tuple[str, str, Code, int]:
    """Assembly of a kernel as it is and with lines, its code with debug information, and its statements."""
    kernel = numbered(TEXTS[mode])
    plan, code = compile_kernel(kernel, target)
    assert target.is_gpu or plan.mode == mode
    with_lines, lines = lined(kernel, plan, code, target)
    plain = assembly(Code(code.key, kernel.name, llvm_text(kernel, plan, target), code.finish), target)
    count = sum(len(stage.body) for stage in (*kernel.stages, *kernel.final))
    return plain, listing(assembly(with_lines, target), lines, target), with_lines, count


def places(text: str, instruction: str = r"\w") -> list[int]:
    """Lines of the instructions that begin so; 0 where there is none."""
    found = re.findall(rf"^\t(?:@!?%\w+ )?{instruction}[^\n]*?(?:model\.py:(\d+))?$", text, re.MULTILINE)
    return [int(n or 0) for n in found]


def without(text: str) -> list[str]:
    return re.sub(r"  (#|//) (model|train)\.py:.*", "", text).splitlines()


@pytest.mark.parametrize(("mode", "machine"), CASES)
def test_instructions_are_the_same_and_have_lines(mode: str, machine: str) -> None:
    plain, text, _, statements = made(mode, TARGETS[machine])
    if machine == "neon":  # a function begins with the same in another order, so that debuggers can unwind it
        assert sorted(without(text)) == sorted(plain.splitlines())
    else:
        assert without(text) == plain.splitlines()
    assert set(places(text)) - {0} == set(range(1, statements + 1))


def test_lines_are_those_of_what_is_computed() -> None:
    _, text, _, _ = made("product", ZNVER4)
    assert set(places(text, "vfmadd")) == {1} and set(places(text, "vdivps")) == {3}
    assert set(places(text, r"vmovaps\t%zmm\d+, \d*\(%r\w+")) <= {0, 1}  # packed panels
    _, text, _, _ = made("rows", ZNVER4)
    assert set(places(text, "vdivps")) == {3} and set(places(text, "vaddps")) == {2}
    _, text, _, _ = made("flat", HASWELL)
    begin, finish = text.split("t.finish:")
    assert set(places(begin, "vsubps")) == {1} and set(places(begin, "vaddps")) == {2}
    assert set(places(begin, "vdivps")) == {3} and set(places(finish, "vaddps")) == {2}
    assert places(finish, "vmulss") == [4]


def test_comments_of_llvm_text() -> None:
    kernel = numbered(TEXTS["product"])
    plan, code = compile_kernel(kernel, HASWELL)
    lines = Lines()
    text = llvm_listing(llvm_text(kernel, plan, HASWELL, lines), lines)
    assert re.sub("  ; .*", "", text) == code.llvm
    told = [line for line in text.splitlines() if " = " in line and "%slots" not in line]
    assert sum("  ; model.py:" in line for line in told) > 0.9 * len(told)
    fused = next(line for line in told if "@llvm.fma" in line)
    assert fused.endswith("  ; model.py:1")


def test_paths_are_quoted() -> None:
    where = Loc("a.py", 7, '/home/"u"\\é/a.py', "f.<locals>.g")
    kernel = parse_kernel(TEXTS["short"])
    (stage,) = kernel.stages
    kernel = replace(kernel, stages=(replace(stage, body=tuple(replace(s, loc=where) for s in stage.body)),))
    plan, code = compile_kernel(kernel, HASWELL)
    text = lined(kernel, plan, code, HASWELL)[0].llvm
    assert '!DIFile(filename: "/home/\\22u\\22\\5C\\C3\\A9/a.py"' in text
    assert "\t.loc\t" in assembly(Code("", "t", text, False), HASWELL)


def test_debug_information_has_the_calls() -> None:
    elf = pytest.importorskip("elftools.elf.elffile")
    _, _, code, _ = made("product", ZNVER4)
    data = io.BytesIO(emit_object(code.llvm, ZNVER4, True))
    dwarf = elf.ELFFile(data).get_dwarf_info()
    (unit,) = dwarf.iter_CUs()
    dies = list(unit.iter_DIEs())
    names = {die.offset: die.attributes["DW_AT_name"].value for die in dies if "DW_AT_name" in die.attributes}
    assert set(names.values()) >= {b"t", b"forward", b"step"}
    calls = {
        names[die.attributes["DW_AT_abstract_origin"].value + unit.cu_offset]: die
        for die in dies
        if die.tag == "DW_TAG_inlined_subroutine"
    }
    assert set(calls) == {b"forward", b"step"}
    assert calls[b"forward"].get_parent().tag == "DW_TAG_inlined_subroutine"
    assert calls[b"forward"].attributes["DW_AT_call_line"].value == 100
    program = dwarf.line_program_for_CU(unit)
    lines = {entry.state.line for entry in program.get_entries() if entry.state}
    assert lines - {0, 100} == {1, 2, 3}
