"""The whole compiler: a graph in, a plan with code out. Reads top to bottom."""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import ops
from .cpu.schedule import Schedule, schedule
from .gpu.schedule import schedule as gpu_schedule
from .ir.artifact import Code, Plan
from .ir.data import data, once, replace
from .ir.graph import Graph, Node, told, toposort
from .ir.kernel import Kernel
from .ir.layout import parted
from .ir.program import Program
from .ir.target import Target
from .passes import shelf
from .passes.arrange import arrange
from .passes.fuse import fuse
from .passes.pairs import labelled, pairs
from .passes.plan import make_plan
from .passes.runs import in_runs
from .passes.simplify import simplify
from .passes.template import LITERALS, Outline, Template, general, generalised, outline, settled, varying
from .text.kernel import print_kernel

if TYPE_CHECKING:
    from .gpu.launch import Entry
    from .ir.loop import Func
    from .llvm.lines import Lines
    from .validate import Access

# Part of every cache key: raise it when the same kernel text is lowered or emitted differently.
LOWERING = 68


@data
class Stages:
    """What each pass made of one graph. `times` holds seconds by pass, in order."""

    simplified: Graph
    picks: tuple[int, ...]
    program: Program
    schedules: tuple[Schedule, ...]
    codes: tuple[Code, ...]
    plan: Plan
    times: tuple[tuple[str, float], ...]


class Compiled:
    """A graph with its plan: as it was `written`, and over real numbers.

    `picks[k]` tells where output k of `graph` is found: n >= 0 is the plan's output n, -1 - j is
    input j as it was given; in either case in row-major order, to be reshaped to the output's
    shape. `times` holds seconds by pass, in order: of the passes, or of filling a template.
    `validation`: what LUCID_VALIDATE has found out about every access, for all sizes of the template.
    """

    def __init__(
        self,
        written: Graph,
        graph: Graph,
        outlined: Outline,
        made: _Made,
        plan: Plan,
        times: tuple[tuple[str, float], ...],
    ) -> None:
        self._written, self._graph, self.times = written, graph, times
        self._outlined, self._template = outlined, made.template
        self.picks = made.template.made.picks
        self.plan = labelled(plan, written, self.picks)
        self.passes, self.validation = made.passes, made.validation

    @property
    def codes(self) -> list[Code]:
        """Of the kernels, in the order in which they run."""
        return [launch.code for launch in self.plan.launches]

    def noted(self) -> bool:
        """Whether the passes have taken the steps that they noted."""
        return self._template.found(self._outlined.sizes) is not None

    def opened(self, numbers: Sequence[Node]) -> Plan:
        """The plan with holes in the place of these scalars, whose values come with each call."""
        plan = self._template.fill(self._outlined, {n: k for k, n in enumerate(numbers)})
        assert plan is not None
        return labelled(plan, self._written, self.picks)

    @property
    def general(self) -> bool:
        """Whether texts are for any length where those for the lengths of this graph would be faster."""
        return self._template.general(self._outlined)

    @once
    def written(self) -> Graph:
        return told(self._written)

    @once
    def graph(self) -> Graph:
        written = self.written
        if self._graph is self._written:
            return written
        names = [node.attrs["name"] for node in written.inputs]
        return told(replace(self._graph, telling=lambda: (names, written.called)))

    @once
    def stages(self) -> Stages:
        """What lies between graph and plan, for those who look inside: the passes run again, over
        this graph's sizes."""
        found = self.passes(self.graph, _audit())
        return replace(found, plan=labelled(arrange(found.plan), self.written, self.picks))

    @once
    def named(self) -> Program:
        """That of `stages`, its kernels under names that tell where they come from."""
        from .passes.name import named  # few look inside

        return named(self.stages.program)


# From a graph over plain sizes, and what verifies and compares, to what the passes make of it.
Passes = Callable[[Graph, ModuleType | None], Stages]


@data
class _Made:
    """A template, and what it has in common with all plans that are made from it."""

    template: Template
    passes: Passes
    validation: tuple[Access, ...] | None
    audited: set[object]  # sizes and scalars for which its plan is what the passes make of them


@data
class Store:
    """Where plans are kept for processes to come, by keys of this version of lucid; None if there is none."""

    get: Callable[[str], bytes | None]
    put: Callable[[str, bytes], None]


_KERNELS: dict[tuple[object, ...], tuple[Schedule, Code]] = {}  # by text, target, and ops of users' own
# The templates for graphs of one structure, the latest first; the structure that was not used for longest
# goes first.
_TEMPLATES: OrderedDict[object, list[_Made]] = OrderedDict()
STRUCTURES = 1024
TEMPLATES = 8


def compile_graph(
    graph: Graph,
    target: Target,
    aliases: Sequence[int] = (),
    literals: int = LITERALS,
    store: Store | None = None,
) -> Compiled:
    """Compile `graph` for `target`. `aliases[k]`: the input that output k may overwrite, or -1. `literals`:
    how many values of a size may be literals in texts of kernels, before it is a symbol there; it changes no
    bit. `store`: has what other processes have made, and is given what this one makes.

    The passes run over symbols in place of sizes; graphs of the same structure that differ in sizes
    alone share what they make (`template.py`).

    LUCID_VERIFY=1 verifies after every pass, LUCID_CHECK=1 also interprets before and after every
    pass and compares.
    """
    clock = _Clock()
    order = toposort(graph.outputs, set(graph.inputs))
    written, graph = graph, pairs(graph, order)
    outlined = outline(graph, order if graph is written else None)
    key = (outlined.key, tuple(aliases), target.key, literals)
    known = _TEMPLATES.get(key, [])
    for made in known:
        plan = made.template.fill(outlined)
        if plan is not None:
            with suppress(KeyError):  # another thread has just dropped it
                _TEMPLATES.move_to_end(key)
            clock.lap("fill")
            return _audited(Compiled(written, graph, outlined, made, plan, tuple(clock.laps)), made, outlined)
    vary = varying([made.template for made in known], outlined, literals)

    def passes(given: Graph, audit: ModuleType | None, vary: frozenset[int] = frozenset()) -> Stages:
        return run_passes(given, target, aliases, audit, vary)

    validated = os.environ.get("LUCID_VALIDATE", "").strip() == "1"
    name = shelf.name(outlined, (*key[1:], sorted(vary))) if store and not validated else None
    kept = (store.get(name) if store and name else None) or b""
    template = _taken(kept, outlined, target)
    clock.lap("fill")
    times, validation = tuple(clock.laps), None
    if template is None:
        template, stages = _generalise(graph, outlined, vary, passes)
        times = stages.times
        if validated:
            validation = import_module(".validate", __package__).validate(stages.program)
        if store and name:
            store.put(name, shelf.write(template.made, kept, TEMPLATES))
    made = _Made(template, partial(passes, vary=vary), validation, set())
    plan = template.fill(outlined)
    assert plan is not None
    _TEMPLATES[key] = [made, *known][:TEMPLATES]
    while len(_TEMPLATES) > STRUCTURES:
        _TEMPLATES.popitem(last=False)
    return _audited(Compiled(written, graph, outlined, made, plan, times), made, outlined)


def _taken(kept: bytes, outlined: Outline, target: Target) -> Template | None:
    """The first of the templates that a store has for the key of a graph which serves it."""
    with suppress(ValueError):  # damaged: as if it were not there
        for found in shelf.read(kept, partial(_of_key, target)):
            template = Template(found)
            if template.numbers(outlined.sizes) is not None:
                return template
    return None


def _generalise(
    graph: Graph, outlined: Outline, vary: frozenset[int], passes: Passes
) -> tuple[Template, Stages]:
    """The template that `graph` is the first example of, and what the passes made of it."""
    found: list[Stages] = []

    def run(general: Graph) -> tuple[Plan, tuple[int, ...]]:
        found.append(passes(general, None))
        return found[0].plan, found[0].picks

    return Template(generalised(graph, outlined, vary, run)), found[0]


def _audited(compiled: Compiled, made: _Made, outlined: Outline) -> Compiled:
    """If the environment asks for it: the passes run over plain sizes too, each is verified, and the plan
    must be the same. Once for the same sizes and scalars, unless values are compared as well."""
    if audit := _audit():
        numbers = outlined.sizes, tuple([repr(node.attrs["value"]) for node in outlined.scalars])
        if numbers in made.audited and not audit.comparing():
            return compiled
        assert compiled.noted(), "the passes took other steps than they noted"
        stages = compiled.stages
        audit.same_plan(compiled.plan, stages.plan)
        assert compiled.picks == stages.picks
        audit.on_a_cut(compiled.graph, lambda graph: compiled.passes(graph, audit))
        made.audited.add(numbers)
    return compiled


def run_passes(
    graph: Graph,
    target: Target,
    aliases: Sequence[int],
    audit: ModuleType | None,
    vary: frozenset[int] = frozenset(),
) -> Stages:
    """The passes, in order; `audit` looks at what each has made, of a graph with plain sizes. `vary`: the
    places of those among its sizes that are symbols in texts of kernels, whatever they are."""
    clock = _Clock()
    if audit:
        audit.graph(graph)
    simplified = simplify(general(graph, outline(graph), vary, False)[0] if vary else graph)
    clock.lap("simplify")
    core, picks = distinct(simplified)
    program = fuse(core)
    if not target.is_gpu:
        program = in_runs(program)
    if vary:
        simplified, program = settled(graph, simplified, program)
    clock.lap("fuse")
    if audit:
        audit.simplified(graph, simplified)
        audit.fused(program.graph, program)
    made = [compile_kernel(c.kernel, target) for c in program.calls]
    schedules, codes = [s for s, _ in made], [c for _, c in made]
    clock.lap("schedule")
    if audit:
        audit.lowered(program, target)
    wanted = [-1] * len(core.outputs)
    shared = Counter(picks)
    for pick, alias in zip(picks, aliases, strict=False):
        # an input may have become a result by simplification, or in another shape
        if pick >= 0 and shared[pick] == 1 and -1 - alias not in shared:
            wanted[pick] = alias
    plan = make_plan(program, codes, schedules, wanted)
    clock.lap("plan")
    return Stages(simplified, picks, program, tuple(schedules), tuple(codes), plan, tuple(clock.laps))


def distinct(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """The graph without outputs that cost nothing (inputs, repetitions, reshapes of others), and
    where to find all outputs: see `Compiled.picks`."""
    outputs: dict[Node, int] = {}
    inputs = {node: -1 - j for j, node in enumerate(graph.inputs)}
    picks: list[int] = []
    for node in graph.outputs:
        while node.op is ops.RESHAPE:
            node = node.inputs[0]
        picks.append(inputs[node] if node.op is ops.INPUT else outputs.setdefault(node, len(outputs)))
    return Graph(graph.name, graph.inputs, tuple(outputs)), tuple(picks)


def _of_key(target: Target, key: str, name: str, finish: bool) -> Code:
    """The code of a kernel of which only the key is there."""
    text = key.split("\n", 2)[2]
    found = _KERNELS.get((text, target.key))
    if found is not None:
        return found[1]

    def source() -> str:
        from .text.kernel_parse import parse_kernel  # where the machine code has been lost

        return compile_kernel(parse_kernel(text), target)[1].llvm

    return Code(key, name, source, finish)


def compile_kernel(kernel: Kernel, target: Target) -> tuple[Schedule, Code]:
    """Schedule one kernel; done once per text and target in a process. Its code is lowered and
    emitted when somebody asks for it: not if machine code for the same text is at hand."""
    text = print_kernel(kernel, locs=False)
    users = [op for op in ops.REGISTRY.values() if id(op) not in shelf.OWN and f"{op.name}(" in text]
    key = (text, target.key, *users)
    found = _KERNELS.get(key)
    if found is None:
        plan = gpu_schedule(kernel) if target.is_gpu else schedule(kernel, target.vector_bytes)
        finish = bool(parted(kernel) or kernel.final)
        emitted = partial(llvm_text, kernel, plan, target)
        source = emitted() if users else emitted  # the text does not tell what a user's op is lowered to
        key_text = source if isinstance(source, str) else text
        code = Code(f"{LOWERING}\n{target.key}\n{key_text}", kernel.name, source, finish)
        found = _KERNELS[key] = (plan, code)
    return found


def llvm_text(kernel: Kernel, plan: Schedule, target: Target, lines: Lines | None = None) -> str:
    """The LLVM level of a kernel; with `lines`, each instruction has the user's."""
    funcs = loops(kernel, plan)
    if target.is_gpu:
        return gpu_text(funcs, plan, target, lines)
    from .cpu.emit import emit  # not needed where machine code is cached

    return emit(funcs, target, lines)


def gpu_text(funcs: Sequence[Func], plan: Schedule, target: Target, lines: Lines | None = None) -> str:
    from .gpu.emit import emit
    from .gpu.target import HELD

    dense = plan.mode == "product" and plan.team > 1
    return emit(funcs, lines, HELD.get(target.cpu, 0) if dense else 0)


def loops(kernel: Kernel, plan: Schedule) -> list[Func]:
    """The loop level of a kernel, verified if asked."""
    if plan.threads:
        from .gpu.lowering import lower
    else:
        from .cpu.lowering import lower  # not needed where machine code is cached
    funcs = lower(kernel, plan)
    if audit := _audit():
        audit.funcs(funcs)
    return funcs


def _audit() -> ModuleType | None:
    """The module that verifies and compares, if the environment asks for it."""
    for name in ("LUCID_VERIFY", "LUCID_CHECK"):
        if os.environ.get(name, "0") not in ("", "0"):
            return import_module(".check", __package__)
    return None


class _Clock:
    """Seconds by pass."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []
        self._begin = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps.append((name, now - self._begin))
        self._begin = time.perf_counter()


def entries(compiled: Compiled) -> dict[str, tuple[Entry, ...]]:
    """What the code of each kernel for a GPU defines, by its key."""
    from .gpu.launch import defined

    return {key: defined(funcs) for key, (_, funcs) in _lowered(compiled).items()}


def entries_and_texts(compiled: Compiled, target: Target) -> dict[str, tuple[tuple[Entry, ...], str]]:
    """The same, and the LLVM level: each kernel is lowered once for both."""
    from .gpu.launch import defined

    every = _lowered(compiled).items()
    return {key: (defined(funcs), gpu_text(funcs, plan, target)) for key, (plan, funcs) in every}


def _lowered(compiled: Compiled) -> dict[str, tuple[Schedule, list[Func]]]:
    """The kernels of a compile, each once, by the key of its code."""
    inside = compiled.stages
    every = zip(inside.program.calls, inside.schedules, inside.codes, strict=True)
    different = {code.key: (call.kernel, plan) for call, plan, code in every}
    return {key: (plan, loops(kernel, plan)) for key, (kernel, plan) in different.items()}


def lined_codes(
    compiled: Compiled, target: Target, kernel: str | None = None, once: bool = True
) -> list[tuple[Code, Lines]]:
    """The code of each kernel, or of the one that is named, under the names that `Compiled.named` gives and
    with the user's lines; `once` as for `chosen`."""
    return [lined(k, plan, code, target) for k, plan, code in chosen(compiled, kernel, once)]


def lined(kernel: Kernel, plan: Schedule, code: Code, target: Target) -> tuple[Code, Lines]:
    """The code of a kernel with debug information. Names and lines are no part of the key: it is to be looked
    at, and does not run under that key."""
    from .llvm.lines import Lines

    lines = Lines(directives=target.is_gpu)
    return Code(code.key, kernel.name, llvm_text(kernel, plan, target, lines), code.finish), lines


def chosen(compiled: Compiled, name: str | None, once: bool = False) -> list[tuple[Kernel, Schedule, Code]]:
    """The kernels of a compile, or the one of this name, with what they became; `once`: of those that share
    their code the first. ValueError for an unknown name."""
    inside = compiled.stages
    kernels = [call.kernel for call in compiled.named.calls]
    every = list(zip(kernels, inside.schedules, inside.codes, strict=True))
    if name is not None:
        found = [made for made in every if made[0].name == name]
        if not found:
            names = ", ".join(k.name for k, _, _ in every) or "none"
            raise ValueError(f"there is no kernel {name!r} here; expected one of: {names}")
        return found
    if not once:
        return every
    seen: dict[int, tuple[Kernel, Schedule, Code]] = {}
    for made in every:
        seen.setdefault(id(made[2]), made)
    return list(seen.values())
