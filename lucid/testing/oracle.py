"""What is asked of a random program: everything that two ways of running it must have in common."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.compiler import check
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import toposort
from lucid.compiler.ir.kernel import Call, Expr, Kernel, Pick, Reduce, expressions
from lucid.compiler.ir.types import c128, f64
from lucid.compiler.pipeline import loops
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.runtime import execute, pool

from ..cost import weight
from ..engine import Executable
from .bits import bits_apart
from .certificates import certified
from .checking import CheckError, Side, compared
from .crossed import crossed
from .family import Fault, eager, function
from .layouts import LAYOUTS, laid_out
from .program import Program
from .traced import loss_of
from .training import states_apart, steps_apart

PRECISE = 3000  # elements of all nodes of a graph that is computed in 40 digits

# An op with a dtype; "mode" and a mode of the schedule; "layout" and one of memory; "branch" and one of a
# pass; an op, a dtype and the mode of a kernel that computes it; these with a layout of inputs.
Feature = tuple[str, ...]


@data
class Seen:
    """A program that was examined: its fault, if it has one, and what it has reached: ops with dtypes,
    modes of schedules."""

    fault: Fault | None
    features: frozenset[Feature]


def examine(program: Program, smooth: bool = False, layout: int = 0, texts: bool = True) -> Seen:
    """Compare, in this order, until something differs:

    - compiled and uncompiled, with each op by NumPy and with float64, within error bounds; if it is `smooth`,
      gradients too, and these with finite differences (of every other one those of gradients as well; of the
      others, steps of training, compiled and uncompiled); of some of the others, steps that change a state;
    - compiled, with the whole program run by NumPy: the same bits where that is promised;
    - 1, 2 and 3 threads, a second call, a call with `out=`, and arguments in another layout (number
      `layout`): the same bits, but for layouts in which sums go in another order;
    - the interpreters of the three levels, before and after each pass, over a small cut of the graph;
    - compiled for narrower registers, without simplification, op by op, for a GPU in the simulator (what
      falls to number `layout`): the same bits, or within error bounds;
    - what `cost` says with what the interpreter of kernels touches and computes;
    - results with their certificates, which know in which order sums are added;
    - with `texts`, what is printed of each level, read back: the same text.

    An exception of any of these is a fault as well.
    """
    run = function(program)
    features: set[Feature] = set()
    steps: tuple[tuple[str, Callable[[Side], str | None]], ...] = (
        ("NumPy", lambda side: _eager(program, side)),
        ("threads", _threads),
        ("calls", lambda side: _calls(program, side, layout)),
        ("ways", lambda side: _ways(side, layout)),
        ("cost", _cost),
        ("certificate", _certificate),
        ("text", lambda side: _texts(side, features)),
    )
    kind = "bounds"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            side = Side(run, program.given(), "the program", np.inf)
            side.compare()
            if smooth:
                kind = "gradients"
                compared(run, side.args, None, True, np.inf, True)
                if layout % 8 == 7:
                    kind = "second gradients"
                    slopes = lucid.grad(loss_of(run), argnums=tuple(range(len(program.inputs))))
                    compared(slopes, side.args, None, True, np.inf, True)
                if layout % 8 == 3 and all(np.size(r.array) for r in side.traced.results):
                    kind, said = "training", steps_apart(program, layout)
                    if said is not None:
                        return Seen(Fault(kind, said), frozenset(features))
            elif layout % 4 == 2:
                kind, said = "state", states_apart(program)
                if said is not None:
                    return Seen(Fault(kind, said), frozenset(features))
            features |= {(n.op.name, n.type.dtype.name) for n in side.found}
            for kind, step in steps:
                if kind == "text" and not texts:
                    break
                said = step(side)
                if said is not None:
                    return Seen(Fault(kind, said), frozenset(features))
        except CheckError as error:
            return Seen(Fault(kind, str(error)), frozenset(features))
        except Exception as error:
            return Seen(Fault(f"{kind}, {type(error).__name__}", str(error)), frozenset(features))
    return Seen(None, frozenset(features))


def _eager(program: Program, side: Side) -> str | None:
    results = side.traced.results
    return eager(program, [r.array for r in results], [side.of(r) for r in results])


def _threads(side: Side) -> str | None:
    made = side.traced.executable
    if not isinstance(made, Executable):
        return None
    native = execute.Executable(made.compiled.plan, parallel=1)  # small work is shared, too
    first = native(side.traced.inputs, threads=1)
    for threads in range(2, min(3, pool.get_num_threads()) + 1):
        for k, (a, b) in enumerate(zip(first, native(side.traced.inputs, threads=threads), strict=True)):
            wrong = bits_apart(a, b)
            if wrong is not None:
                return f"output {k} of the plan with 1 and {threads} threads: {wrong}"
    return None


def _calls(program: Program, side: Side, layout: int) -> str | None:
    results, run = side.traced.results, side.traced.compiled
    again = [t.numpy() for t in run(*side.args)]
    ways = {"a second call": again}
    outs = tuple(np.empty(r.array.shape, r.array.dtype) for r in results)
    try:
        run(*side.args, out=outs)
        ways["out="] = list(outs)
    except ValueError as error:  # some result is an input, or another one
        if "each once" not in str(error):
            raise
    name = LAYOUTS[layout % len(LAYOUTS)]
    if name not in ("columns", "permuted"):
        moved = run(*_laid(side.args, name))
        ways[f"arguments that are {name}"] = [t.numpy() for t in moved]
    for way, arrays in ways.items():
        for output, result, array in zip(program.outputs, results, arrays, strict=True):
            wrong = bits_apart(result.array, array)
            if wrong is not None:
                return f"{output}, the first call and {way}: {wrong}"
    if name in ("columns", "permuted"):
        Side(side.f, _laid(side.args, name), f"the program, {name},", np.inf).compare()
    return None


def _laid(args: tuple[Any, ...], layout: str) -> tuple[Any, ...]:
    return tuple(laid_out(a, layout) if isinstance(a, np.ndarray) else a for a in args)


def _ways(side: Side, number: int) -> str | None:
    made = side.traced.executable
    plain = side.graph is side.traced.graph  # no complex numbers
    return crossed(made, side.inputs, side.found, number) if isinstance(made, Executable) and plain else None


def _cost(side: Side) -> str | None:
    """What a call costs is what the interpreter of kernels touches and computes, of an array that is read at
    places that are values at most that."""
    made = side.traced.executable
    if not isinstance(made, Executable):
        return None
    cost, program = side.traced.compiled.cost(*side.args), made.compiled.stages.program
    moved, computed = list[int](), Counter[str]()
    values = [check.sample(n.type, k) for k, n in enumerate(program.graph.inputs)]
    check.run_kernels(program, values, moved, computed)
    exact = all(not isinstance(e, Pick) for c in program.calls for e in _expressions(c.kernel))
    flops = sum(weight(op) * points for op, points in computed.items())
    if (
        cost.kernels != len(moved)
        or cost.bytes < sum(moved)
        or (exact and cost.bytes != sum(moved))
        or cost.flops != flops
    ):
        return f"cost: {cost}; interpreted: {len(moved)} kernels, {sum(moved)} bytes, {flops} flops"
    return None


def _certificate(side: Side) -> str | None:
    """What lies outside of where it must; of graphs of float64 that are small, as mpmath takes its time."""
    nodes = toposort(side.traced.graph.outputs)
    if any(n.type.dtype in (f64, c128) for n in nodes) and sum(n.type.size for n in nodes) > PRECISE:
        return None
    return next((str(one) for one in certified(side.traced, False) if one.violations), None)


def _expressions(kernel: Kernel) -> list[Expr]:
    return [e for stage in (*kernel.stages, *kernel.final) for e in expressions(stage)]


def _texts(side: Side, features: set[Feature]) -> str | None:
    text = print_graph(side.traced.graph)
    if print_graph(parse_graph(text)) != text:
        return f"a graph is not what is read of its text\n{text}"
    made = side.traced.executable
    if not isinstance(made, Executable):
        return None
    stages = made.compiled.stages
    for call, plan in zip(stages.program.calls, stages.schedules, strict=True):
        features.add(("mode", plan.mode))
        features |= {(op, dtype, plan.mode) for op, dtype in _computed(call.kernel)}
        printed = print_kernel(call.kernel, locs=True)
        if print_kernel(parse_kernel(printed), locs=True) != printed:
            return f"a kernel is not what is read of its text\n{printed}"
        for func in loops(call.kernel, plan):
            listing = print_func(func, locs=True)
            if print_func(parse_func(listing), locs=True) != listing:
                return f"a function is not what is read of its text\n{listing}"
    return None


def _computed(kernel: Kernel) -> set[tuple[str, str]]:
    """The elementwise ops and folds of a kernel, with their dtypes."""
    found = {(e.op, e.dtype.name) for e in _expressions(kernel) if isinstance(e, Call)}
    folds = [s for stage in kernel.stages for s in stage.body if isinstance(s, Reduce)]
    return found | {(fold.op, dtype.name) for fold in folds for dtype in fold.dtypes}
