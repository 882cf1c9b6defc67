"""A kernel of a compiled graph in other words: verified, lowered and bound as what fusion makes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType

from .ir.data import replace
from .ir.graph import Graph
from .ir.kernel import Kernel, symbols
from .ir.program import Program
from .ir.target import Target
from .passes.arrange import arrange
from .passes.pairs import labelled
from .passes.plan import make_plan
from .pipeline import Compiled, Stages, compile_kernel, loops
from .text.kernel import param_text
from .verify.error import VerifyError
from .verify.kernel import verify_kernel
from .verify.loop import verify_func

# Why a kernel holds what it holds, where this module has put it.
REASON = "its text was replaced by hand"


def edited(compiled: Compiled, kernel: Kernel, target: Target) -> Compiled:
    """`compiled`, with `kernel` in place of the kernel of its name (see `Compiled.named`), and of no other
    one, though it may have the same text. An output may overwrite an input where it might before, and the new
    text allows it.

    VerifyError, and nothing is changed, unless the kernel is legal, has the operands and results of the one
    that it replaces, and each access is proven (`prove.py`) for the sizes of this graph."""
    verify_kernel(kernel)
    aliases = compiled.plan.aliases
    place = called(compiled, kernel.name)
    old = compiled.stages.program.calls[place].kernel
    problem = difference(old, kernel)
    if problem is not None:
        raise VerifyError(f"kernel {kernel.name}: {problem}")
    kernel = replace(kernel, name=old.name)

    def passes(graph: Graph, audit: ModuleType | None) -> Stages:
        return substitute(compiled.passes(graph, audit), place, old, kernel, target, aliases)

    stages = substitute(compiled.stages, place, old, kernel, target, aliases)
    new = copy.copy(compiled)
    names = [call.kernel.name for call in compiled.named.calls]  # stay: text does not tell all that they tell
    shown = (
        replace(call, kernel=replace(call.kernel, name=name))
        for call, name in zip(stages.program.calls, names, strict=True)
    )
    new.__dict__["named"] = Program(stages.program.graph, tuple(shown))
    new.passes = passes
    new.plan = labelled(arrange(stages.plan), compiled.written, compiled.picks)
    new.__dict__["stages"] = replace(stages, plan=new.plan)
    return new


def called(compiled: Compiled, name: str) -> int:
    """The number of the call whose kernel is shown under this name. VerifyError if there is none."""
    every = [call.kernel.name for call in compiled.named.calls]
    if name in every:
        return every.index(name)
    names = ", ".join(every) or "none"
    raise VerifyError(f"there is no kernel `{name}` here; expected one of: {names}")


def substitute(
    stages: Stages, place: int, old: Kernel, new: Kernel, target: Target, aliases: Sequence[int]
) -> Stages:
    """The stages of a compile whose call number `place`, of `old`, runs `new`. Of a graph of other sizes, in
    which `old` may be another text: the same call, if it has its operands, and else none."""
    calls = list(stages.program.calls)
    same = place < len(calls) and calls[place].kernel.name in (old.name, new.name)
    if not same or difference(calls[place].kernel, new) is not None:
        return stages
    schedule, code = compile_kernel(new, target)
    for func in loops(new, schedule):
        verify_func(func)
    schedules, codes = list(stages.schedules), list(stages.codes)
    reasons = (*(r for r in calls[place].reasons if r != REASON), REASON)
    calls[place] = replace(calls[place], kernel=new, reasons=reasons)
    schedules[place], codes[place] = schedule, code
    program = Program(stages.program.graph, tuple(calls))
    plan = make_plan(program, codes, schedules, aliases)
    return replace(stages, program=program, schedules=tuple(schedules), codes=tuple(codes), plan=plan)


def difference(old: Kernel, new: Kernel) -> str | None:
    """In what a caller of `old` would have to know that it calls `new`; None if in nothing."""
    for what, ours, theirs in (("operands", old.params, new.params), ("results", old.outputs, new.outputs)):
        if ours != theirs:
            want, found = (", ".join(map(param_text, x)) for x in (ours, theirs))
            return f"the {what} must stay ({want}), not ({found})"
    known = symbols(old)
    odd = [name for name in symbols(new) if name not in known]
    if odd:
        return f"`{odd[0]}` is no size that it is called with; expected one of: {', '.join(known) or 'none'}"
    return None
