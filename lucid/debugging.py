"""`LUCID_DEBUG=gdb`: kernels run with debug information, under the names that `kernels` shows. Debuggers stop
in them and at the user's lines, with the user's calls above; `perf` and `jitdump` tell Linux's profiler, too.

    LUCID_DEBUG=gdb gdb -ex "break train.py:12" -ex run --args python train.py

The instructions are those of other runs. Kernels of one text have code for each place that they come from, so
that profiles tell them apart; it is compiled in each process.
"""

from __future__ import annotations

from lucid.compiler.ir.artifact import Plan
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.target import Target
from lucid.compiler.passes.plan import run_order
from lucid.compiler.pipeline import Compiled, lined_codes

READERS = ("gdb", "perf", "jitdump")


def readers(wanted: str) -> tuple[str, ...]:
    """Who is to be told of code, by `LUCID_DEBUG`."""
    names = {name.strip() for name in wanted.split(",")}
    return tuple(name for name in READERS if name in names)


def with_lines(compiled: Compiled, plan: Plan, target: Target, told: tuple[str, ...]) -> Plan:
    """The plan of a compile, with code that has debug information."""
    codes = [code for code, _ in lined_codes(compiled, target, once=False)]
    order = [k for group in run_order(compiled.stages.program, plan.aliases) for k in group]
    launches = []
    for launch, k in zip(plan.launches, order, strict=True):
        assert launch.code.key == codes[k].key
        code = replace(codes[k], key=f"{', '.join(told)}\n{codes[k].llvm}", told=told)
        launches.append(replace(launch, code=code))
    return replace(plan, launches=tuple(launches))
