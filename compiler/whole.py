"""What was compiled as a program that can be written down: its kernels, or its loops, and what binds them;
and back, from a program that was read to one that can be planned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from .cpu.schedule import Schedule
from .ir.artifact import Address, Code
from .ir.binding import Binding, Input, Memory, Result, Step, View, Whole
from .ir.data import replace
from .ir.graph import Graph, Node, toposort
from .ir.kernel import Array, Const, Kernel, symbols
from .ir.layout import slots
from .ir.loop import Func
from .ir.program import Call, Operand, Program, row_major
from .ir.types import TensorType, i64
from .passes.name import fresh
from .passes.plan import make_plan, run_order
from .pipeline import Compiled, chosen, loops
from .single import memory, shape_of
from .text.graph import node_names
from .text.program import operands_of
from .verify.error import VerifyError

Names = Mapping[Node, str]


def whole(compiled: Compiled, loop: bool) -> Whole:
    """All kernels of a graph, or all loops, and what binds them: memory has the names that nodes have in the
    text of the simplified graph."""
    simplified = compiled.stages.simplified
    names = node_names(simplified, toposort(simplified.outputs))
    for node in [node for call in compiled.named.calls for node in call.writes]:
        names.setdefault(node, str(len(names)))  # what lies between two kernels of one node
    steps = loop_steps(compiled, names, {*names.values()}) if loop else kernel_steps(compiled.named, names)
    binding = bound(compiled.written, names, simplified.inputs, found_in(compiled), steps)
    return Whole(() if loop else kernels_of(compiled.named), funcs_of(compiled) if loop else (), binding)


def bound(
    graph: Graph,
    names: Names,
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    steps: Sequence[Step | Memory],
) -> Binding:
    """A program of these steps. `inputs`, `outputs`: the nodes by which steps know those of the graph."""
    given = zip(inputs, graph.inputs, strict=True)
    return Binding(
        graph.name,
        tuple(Input(names[n], str(w.attrs["name"]), w.type) for n, w in given),
        tuple((names[n], w.type) for n, w in zip(outputs, graph.outputs, strict=True)),
        tuple(steps),
        graph.called,
    )


def kernels_of(program: Program) -> tuple[Kernel, ...]:
    return tuple(call.kernel for call in program.calls)


def funcs_of(compiled: Compiled) -> tuple[Func, ...]:
    """The loops of kernels; of those that share their code those of the first."""
    return tuple(f for kernel, how, _ in chosen(compiled, None, once=True) for f in loops(kernel, how))


def found_in(compiled: Compiled) -> list[Node]:
    """The memory that each output is found in: of its bytes, in row-major order."""
    return picked(compiled.stages.program.graph, compiled.picks)


def picked(graph: Graph, picks: Sequence[int]) -> list[Node]:
    """The same, of the graph of a program."""
    return [graph.outputs[pick] if pick >= 0 else graph.inputs[-1 - pick] for pick in picks]


def kernel_steps(program: Program, names: Names) -> list[Step]:
    """The calls of the kernels, in order."""
    found = []
    for call in program.calls:
        kernel = call.kernel
        views = {
            a.name: _view(call, a, names) for a in (*kernel.params, *kernel.outputs) if isinstance(a, Array)
        }
        results = tuple(Result(call.arrays[o.name].node.type, views[o.name]) for o in kernel.outputs)
        operands: list[tuple[str, View | Const]] = []
        for name, dtype in operands_of(kernel).items():
            if dtype is None:
                operands.append((name, views[name]))
            else:
                value = call.symbols[name] if name in call.symbols else call.scalars[name]
                operands.append((name, Const(value, dtype)))
        found.append(Step(kernel.name, results, tuple(operands)))
    return found


def _view(call: Call, array: Array, names: Names) -> View:
    operand, shape = call.arrays[array.name], call.shape(array)
    every = zip(shape, operand.strides, row_major(shape), strict=True)
    plain = all(n == 1 or stride == wanted for n, stride, wanted in every)
    return View(names[operand.node], operand.offset, None if plain else tuple(operand.strides))


def loop_steps(compiled: Compiled, names: Names, taken: set[str]) -> list[Memory | Step]:
    """The launches of the loops of what was compiled, as of `launched`."""
    inside = compiled.stages
    called = {id(code): kernel.name for kernel, _, code in chosen(compiled, None, once=True)}
    return launched(inside.program, inside.codes, inside.schedules, called, names, taken)


def launched(
    program: Program,
    codes: Sequence[Code],
    schedules: Sequence[Schedule],
    called: Mapping[int, str],
    names: Names,
    taken: set[str],
) -> list[Memory | Step]:
    """The launches of loops, in order; each kernel runs to its end, also where the runtime goes strip by
    strip. `called`: the names of loops, by the id of their code. `taken`: names that working memory cannot
    have; it is told those that it gets."""
    graph = program.graph
    plan = make_plan(program, codes, schedules, strips=False)
    order = [k for group in run_order(program, plan.aliases) for k in group]
    outside = (*plan.inputs, *plan.outputs)
    known = dict(zip(outside, (names[n] for n in (*graph.inputs, *graph.outputs)), strict=True))
    found: list[Memory | Step] = []
    for number, buffer in enumerate(plan.buffers):
        name = known.get(number)
        if name is None:
            name = known[number] = next(n for k in count() if (n := f"t{k}") not in taken)
            taken.add(name)
        if number not in plan.inputs:
            found.append(Memory(name, TensorType(buffer.dtype, buffer.shape)))
    for number, launch in zip(order, plan.launches, strict=True):
        operands: list[tuple[str, View | Const]] = []
        for slot, value in zip(slots(program.calls[number].kernel), launch.slots, strict=True):
            if isinstance(value, Address):
                operands.append((slot.name, View(known[value.buffer], value.offset // slot.dtype.size)))
            elif isinstance(value, int):
                operands.append((slot.name, Const(value, i64)))
            else:
                raw = np.frombuffer(value[: slot.dtype.size], slot.dtype.np)
                operands.append((slot.name, Const(raw[0].item(), slot.dtype)))
        found.append(Step(called[id(launch.code)], (), tuple(operands), launch.blocks))
    return found


def tell_apart(parts: Sequence[Compiled]) -> None:
    """Let each kernel of several graphs have another name: where two would have one, the later gets a
    number."""
    taken: set[str] = set()
    for compiled in parts:
        calls = []
        for call in compiled.named.calls:
            name = fresh(call.kernel.name, taken)
            calls.append(replace(call, kernel=replace(call.kernel, name=name)))
        compiled.__dict__["named"] = Program(compiled.named.graph, tuple(calls))


# --- from a text ---------------------------------------------------------------------------------


def program_of(
    name: str,
    steps: Sequence[Step],
    kernels: Mapping[str, Kernel],
    types: Mapping[str, TensorType],
    wanted: Sequence[str],
) -> tuple[dict[str, Node], Program]:
    """Steps that call kernels as a program to be planned, which gives what is `wanted` of what they define;
    and its nodes by the names of what they are. `types`: of memory, over real numbers. VerifyError for an
    array that has not as many strides as dimensions."""
    nodes: dict[str, Node] = {}
    inputs: list[str] = []
    calls = []
    for step in steps:
        kernel = kernels[step.callee]
        given = dict(step.operands)
        sizes = {s: int(v.value) for s in symbols(kernel) if isinstance(v := given[s], Const)}
        arrays: dict[str, Operand] = {}
        scalars: dict[str, Any] = {}
        for param in kernel.params:
            value = given[param.name]
            if isinstance(value, Const):
                scalars[param.name] = value.value
                continue
            if value.name not in nodes:
                nodes[value.name] = memory(value.name, types[value.name], written=False)
                inputs.append(value.name)
            assert isinstance(param, Array)
            arrays[param.name] = _operand(param, value, nodes[value.name], sizes)
        for output, result in zip(kernel.outputs, step.results, strict=True):
            made = nodes[result.view.name] = memory(output.name, types[result.view.name], written=True)
            arrays[output.name] = _operand(output, result.view, made, sizes)
        calls.append(Call(kernel, arrays, sizes, scalars, ()))
    graph = Graph(name, tuple(nodes[n] for n in inputs), tuple(nodes[n] for n in wanted))
    return nodes, Program(graph, tuple(calls))


def _operand(array: Array, view: View, node: Node, sizes: Mapping[str, int]) -> Operand:
    plain = row_major(shape_of(array, sizes))
    return Operand(node, view.offset, plain if view.strides is None else view.strides)


def paired(kind: TensorType) -> TensorType:
    """As kernels have it: complex numbers are pairs."""
    dtype = kind.dtype
    return TensorType(dtype.part, (*kind.shape, 2)) if dtype.is_complex else kind


def refuse_mixed(whole: Whole) -> None:
    """VerifyError where several kernels or loops stand without what binds them."""
    heads = [k.name for k in whole.kernels] or [f.name for f in whole.funcs]
    if whole.binding is None and len(heads) > 1:
        raise VerifyError(
            f"{len(heads)} kernels ({', '.join(heads)}), and no `program` that says which output is which "
            'input: see docs/ir.md; ir("kernel") and ir("loop") print one'
        )
