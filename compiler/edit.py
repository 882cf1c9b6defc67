"""A kernel of a compiled graph in other words: verified, lowered and bound as what fusion makes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType

from .ir.data import replace
from .ir.graph import Graph
from .ir.kernel import Kernel, symbols
from .ir.program import Call, Program
from .ir.target import Target
from .passes.arrange import arrange
from .passes.pairs import labelled
from .passes.plan import make_plan
from .pipeline import Compiled, Stages, compile_kernel, loops
from .text.kernel import param_text, print_kernel
from .verify.error import VerifyError
from .verify.kernel import verify_kernel
from .verify.loop import verify_func

# Why a kernel holds what it holds, where this module has put it.
REASON = "its text was replaced by hand"


def edited(compiled: Compiled, kernel: Kernel, target: Target) -> Compiled:
    """`compiled`, with `kernel` in place of the kernel of its name. An output may overwrite an input where it
    might before, and the new text allows it.

    VerifyError, and nothing is changed, unless the kernel is legal, has the operands and results of the one
    that it replaces, and each access is proven (`prove.py`) for the sizes of this graph."""
    verify_kernel(kernel)
    aliases = compiled.plan.aliases

    def passes(graph: Graph, audit: ModuleType | None) -> Stages:
        return substitute(compiled.passes(graph, audit), kernel, target, aliases)

    stages = substitute(compiled.stages, kernel, target, aliases)
    new = copy.copy(compiled)
    new.__dict__.pop("stages", None)
    new.passes, new.codes = passes, stages.codes
    new.plan = labelled(arrange(stages.plan), compiled.written, compiled.picks)
    return new


def substitute(stages: Stages, kernel: Kernel, target: Target, aliases: Sequence[int]) -> Stages:
    """The stages of a compile whose calls of the kernel of this name and face run `kernel`."""
    calls = list(stages.program.calls)
    places = _places(calls, kernel)
    schedule, code = compile_kernel(kernel, target)
    for func in loops(kernel, schedule):
        verify_func(func)
    schedules, codes = list(stages.schedules), list(stages.codes)
    for n in places:
        reasons = (*(r for r in calls[n].reasons if r != REASON), REASON)
        calls[n] = replace(calls[n], kernel=kernel, reasons=reasons)
        schedules[n], codes[n] = schedule, code
    program = Program(stages.program.graph, tuple(calls))
    plan = make_plan(program, codes, schedules, aliases)
    return replace(stages, program=program, schedules=tuple(schedules), codes=tuple(codes), plan=plan)


def _places(calls: Sequence[Call], kernel: Kernel) -> list[int]:
    """Which calls run `kernel` from now on."""
    named = [n for n, call in enumerate(calls) if call.kernel.name == kernel.name]
    if not named:
        names = ", ".join(dict.fromkeys(c.kernel.name for c in calls)) or "none"
        raise VerifyError(f"there is no kernel `{kernel.name}` here; expected one of: {names}")
    problems = {n: difference(calls[n].kernel, kernel) for n in named}
    fits = [n for n in named if problems[n] is None]
    if not fits:
        raise VerifyError(f"kernel {kernel.name}: {problems[named[0]]}")
    if len({print_kernel(calls[n].kernel) for n in fits}) > 1:
        raise VerifyError(
            f"several kernels are named `{kernel.name}` and have these operands: which is meant?"
        )
    return fits


def difference(old: Kernel, new: Kernel) -> str | None:
    """In what a caller of `old` would have to know that it calls `new`; None if in nothing."""
    for what, ours, theirs in (
        ("operands", old.params, new.params),
        ("results", old.outputs, new.outputs),
    ):
        if ours != theirs:
            want, found = (", ".join(map(param_text, x)) for x in (ours, theirs))
            return f"the {what} must stay ({want}), not ({found})"
    known = symbols(old)
    odd = [name for name in symbols(new) if name not in known]
    if odd:
        return f"`{odd[0]}` is no size that it is called with; expected one of: {', '.join(known) or 'none'}"
    return None
