"""LUCID_VERIFY and LUCID_CHECK: is each pass's result legal, and does it mean what its input
meant?"""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .cpu.lowering import lower
from .cpu.schedule import schedule
from .interpret.graph import interpret_graph
from .interpret.kernel import interpret_kernel
from .interpret.loop import interpret_func
from .ir.artifact import Plan
from .ir.data import replace
from .ir.graph import Graph, Node, toposort
from .ir.kernel import Array, Kernel, Reduce, arrays, expr_dtype, expressions
from .ir.layout import part_name, parted, slots, stride_name, working
from .ir.loop import Func
from .ir.program import Call, Operand, Program
from .ir.target import Target
from .ir.types import DType, TensorType, from_numpy
from .ops import GATHER, INPUT, SCATTERS
from .passes.plan import grid, part_shape, room
from .passes.template import resized
from .verify.graph import verify_graph
from .verify.kernel import verify_kernel
from .verify.loop import verify_func

Data = np.ndarray[Any, Any]
Values = dict[Node, Data]

# Interpreting a pass touches every element several times in Python: of what is larger a cut is compared.
ELEMENTS = 65_536
# A cut has fewer. Its extents, from the largest that are tried: what is below stays, what is above shrinks
# to at most twice that.
CUT = 32_768
_CUTS = (8192, 2048, 512, 256, 128, 96, 72, 40, 24, 12, 6, 3)


class MiscompileError(AssertionError):
    """A pass changed the meaning of its input."""


def comparing() -> bool:
    return os.environ.get("LUCID_CHECK", "").strip() == "1"


# --- what the pipeline calls: each verifies, and compares if LUCID_CHECK is set -------------------


graph = verify_graph


def simplified(old: Graph, new: Graph) -> None:
    verify_graph(new)
    if comparing():
        graphs("simplify", old, functools.partial(interpret_graph, new))


def fused(old: Graph, new: Program) -> None:
    for call in new.calls:
        verify_kernel(call.kernel)
    if comparing():
        graphs("fuse", old, functools.partial(results, new))


def lowered(new: Program, target: Target) -> None:
    if comparing():
        for call in new.calls:
            lowering("lower", target, call)


def same_plan(filled: Plan, made: Plan) -> None:
    """A template filled in is what the passes make of these very sizes."""
    if filled != made:
        raise MiscompileError(f"a template differs from the passes\ntemplate:\n{filled}\npasses:\n{made}")


def on_a_cut(graph: Graph, passes: Callable[[Graph], object]) -> None:
    """The passes again, over a graph of the same structure that is small enough to be compared."""
    if not comparing() or _small(graph):
        return
    sizes = [n for node in toposort(graph.outputs) for n in node.shape]
    changes = [shrinking(most, max(sizes)) for most in _CUTS]
    changes += [functools.partial(_divided, by) for by in (2, 4, 8, 16, 64, 256, 1024)]
    for change in changes:
        try:
            cut = resized(graph, change)
        except (TypeError, ValueError):  # the ops do not allow these sizes
            continue
        if _elements(cut) <= CUT:
            passes(cut)
            return
    unchecked(f"graph {graph.name}", "no graph of this structure is small")


def shrinking(most: int, largest: int) -> Callable[[int], int]:
    """What is at most `most` stays, the rest shrinks in steps. f(a + b) <= f(a) + f(b): windows fit."""
    step = max(1, -(-(largest - most) // most))
    return lambda n: n if n <= most else most - (most - n) // step


def _divided(by: int, n: int) -> int:
    """f(a + b) >= f(a) + f(b): slices still fit."""
    return n // by


def unchecked(what: str, why: str) -> None:
    warnings.warn(f"LUCID_CHECK: {what} is not compared: {why}", RuntimeWarning, stacklevel=2)


def funcs(funcs: list[Func]) -> None:
    for func in funcs:
        verify_func(func)


# --- comparisons ----------------------------------------------------------------------------------


def sample(type_: TensorType, seed: int) -> Data:
    """Values for comparisons: small, of both signs, positive in every third element."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-2.0, 2.0, type_.shape)
    if type_.dtype.kind in "bu":
        values = np.abs(values)
    return np.asarray(values * (1 if type_.dtype.is_float else 3)).astype(type_.dtype.np)


def _small(graph: Graph) -> bool:
    return _elements(graph) <= ELEMENTS


def _elements(graph: Graph) -> int:
    return sum(n.type.size for n in graph.inputs + graph.outputs)


def _inputs(graph: Graph) -> list[Data]:
    """Subscripts lie inside, as far as smaller values of what they are made of bring that about: where one
    does not, results are not kept, whatever they are."""
    values = [sample(n.type, seed) for seed, n in enumerate(graph.inputs)]
    places = _places(graph)
    made_of = {n for n in toposort(places) if n.op is INPUT and n.type.dtype.kind in "iu"}
    values = [np.abs(v) if n in made_of else v for n, v in zip(graph.inputs, values, strict=True)]
    while not _inside(graph, places, values) and any(
        v.any() for n, v in zip(graph.inputs, values, strict=True) if n in made_of
    ):
        values = [v // 2 if n in made_of else v for n, v in zip(graph.inputs, values, strict=True)]
    return values


def _places(graph: Graph) -> dict[Node, int]:
    """Subscripts by value, with the least extent of what each is for."""
    found: dict[Node, int] = {}
    for node in toposort(graph.outputs):
        if node.op is GATHER or node.op in SCATTERS:
            shape = node.inputs[0].shape if node.op is GATHER else node.shape
            for index, axis in zip(node.inputs[1:], node.attrs["axes"], strict=True):
                found[index] = min(shape[axis], found.get(index, shape[axis]))
    return found


def _inside(graph: Graph, places: dict[Node, int], values: list[Data]) -> bool:
    if not places:
        return True
    found = interpret_graph(Graph(graph.name, graph.inputs, tuple(places)), values)
    return all(((x >= 0) & (x < n)).all() for x, n in zip(found, places.values(), strict=True))


def _rounding(dtypes: Iterable[DType]) -> float:
    """The coarsest eps on the way: what a float32 sum rounds off, a float64 result still lacks."""
    return max((d.epsilon for d in dtypes if d.is_float), default=0.0)


def _graph_rounding(graph: Graph) -> float:
    return _rounding(n.type.dtype for n in toposort(graph.outputs))


def _kernel_rounding(kernel: Kernel) -> float:
    stmts = [stmt for stage in kernel.stages + kernel.final for stmt in stage.body]
    exprs = [e for stage in kernel.stages + kernel.final for e in expressions(stage)]
    sums = [dtype for stmt in stmts if isinstance(stmt, Reduce) for dtype in stmt.dtypes]
    return _rounding([*sums, *map(expr_dtype, exprs), *(a.dtype for a in arrays(kernel).values())])


def compare(what: str, old: Data, new: Data, eps: float) -> None:
    """Equal, or for floats equal within the rounding that another order of summation brings, in
    steps of `eps`."""
    same = old.dtype == new.dtype and old.shape == new.shape
    if same and from_numpy(old.dtype).is_float:
        old, new = (x.astype(from_numpy(x.dtype).computed.np) for x in (old, new))
        scale = float(np.max(np.abs(old[np.isfinite(old)]), initial=1.0))
        tolerance = eps * scale * (64 + 8 * old.size**0.5)
        with np.errstate(all="ignore"):
            same = bool(np.allclose(old, new, rtol=256 * eps, atol=tolerance, equal_nan=True))
    elif same:
        same = bool(np.array_equal(old, new))
    if not same:
        raise MiscompileError(f"{what}: the values changed\nbefore:\n{old}\nafter:\n{new}")


def graphs(name: str, old: Graph, run: Callable[[list[Data]], list[Data]]) -> None:
    """A graph against what runs in its place."""
    if not _small(old):
        return  # see on_a_cut
    values = _inputs(old)
    for n, (a, b) in enumerate(zip(interpret_graph(old, values), run(values), strict=True)):
        compare(f"{name}, output {n}", a, b, _graph_rounding(old))


def _strided(buffer: Data, call: Call, array: Array, operand: Operand) -> Data:
    shape = tuple(map(call.extent, array.dims))
    flat = buffer.reshape(-1)
    size = flat.itemsize
    if 0 in shape or not flat.size:
        return np.zeros(shape, buffer.dtype)
    return np.lib.stride_tricks.as_strided(
        flat[operand.offset :], shape, tuple(s * size for s in operand.strides)
    )


def run_kernels(
    program: Program, inputs: list[Data], moved: list[int] | None = None, computed: Counter[str] | None = None
) -> Values:
    """Every node that the program writes, by the interpreter of kernels. To `moved` goes, for each call, how
    many bytes it touched: every one that it read, and every one that it wrote, once; to `computed`, for how
    many points each op of floats was computed."""
    memory: Values = dict(zip(program.graph.inputs, inputs, strict=True))
    for call in program.calls:
        table = arrays(call.kernel)
        outputs = {o.name for o in call.kernel.outputs}
        bound = {
            name: _strided(memory[op.node], call, table[name], op)
            for name, op in call.arrays.items()
            if name not in outputs
        }
        marks: dict[tuple[Node, bool], Data] = {}
        touched = {}
        if moved is not None:
            for name, op in call.arrays.items():
                mark = marks.setdefault((op.node, name in outputs), np.zeros(op.node.shape, bool))
                touched[name] = _strided(mark, call, table[name], op)
        symbols, scalars = dict(call.symbols), dict(call.scalars)
        results = interpret_kernel(call.kernel, bound, scalars, symbols, touched, computed)
        if moved is not None:
            moved.append(sum(int(m.sum()) * n.type.dtype.size for (n, _), m in marks.items()))
        for name in outputs:
            operand = call.arrays[name]
            type_ = operand.node.type
            target = memory.setdefault(operand.node, np.zeros(type_.shape, type_.dtype.np))
            _strided(target, call, table[name], operand)[...] = results[name]
    return memory


def results(program: Program, inputs: list[Data]) -> list[Data]:
    """Its outputs, by the interpreter of kernels."""
    memory = run_kernels(program, inputs)
    return [memory[node] for node in program.graph.outputs]


def run_loops(call: Call, memory: Values, target: Target) -> None:
    """One kernel call by the interpreter of loops, on whole buffers."""
    kernel = call.kernel
    plan = schedule(kernel, target.vector_bytes)
    block, blocks = grid(call, plan)
    funcs = lower(kernel, plan)
    flat: dict[str, Data | tuple[Data, int]] = {}
    values: dict[str, int | float] = {"block": block, "blocks": blocks, "stream": 1}
    values |= dict(call.symbols) | dict(call.scalars)
    for name in arrays(kernel):
        operand = call.arrays[name]
        flat[name] = memory[operand.node].reshape(-1), operand.offset
        for dim, stride in enumerate(operand.strides):
            values[stride_name(name, dim)] = stride
    for reduce in parted(kernel):
        count = math.prod(part_shape(call, reduce, blocks))
        for part, dtype in reduce.results:
            blank = np.nan if dtype.is_float else 1  # what nobody wrote is found out
            flat[part_name(part)] = np.full(count, blank, dtype.np)
    for name, dtype in working(kernel).items():
        flat[name] = np.full(blocks * room(call, plan), 1, dtype.np)
    wanted = {slot.name for slot in slots(kernel)}
    given = {name: v for name, v in values.items() if name in wanted}
    for number, func in enumerate(funcs):
        interpret_func(func, flat, given, 0, 1 if number else blocks)


def _cost(call: Call) -> int:
    """Elements of its arrays, and what it takes to interpret its loops."""
    sizes = [[call.extent(x) for x in array.dims] for array in arrays(call.kernel).values()]
    outer = [call.extent(a.extent) for a in call.kernel.outer]
    points = [math.prod([*outer, *(call.extent(a.extent) for a in s.axes)]) for s in call.kernel.stages]
    return sum(map(math.prod, sizes)) + sum(points) // 4


def cut(call: Call) -> Call | None:
    """The call with smaller symbols, on buffers of its own, whose dimensions lie in the order and direction
    of the call's; None if none is small."""
    largest = max((n for n in call.symbols.values()), default=0)
    for most in _CUTS:
        change = shrinking(most, largest)
        small = replace(call, symbols={name: change(n) for name, n in call.symbols.items()})
        if _cost(small) <= CUT:
            table = arrays(call.kernel)
            return replace(small, arrays={x: _rebound(small, table[x], o) for x, o in call.arrays.items()})
    return None


def _rebound(call: Call, array: Array, operand: Operand) -> Operand:
    sizes = [call.extent(extent) for extent in array.dims]
    strides, reach, offset = [0] * len(sizes), 1 if array.unit else abs(array.step) or 2, 0
    for d in sorted(range(len(sizes)), key=lambda d: (abs(operand.strides[d]), -d)):
        if operand.strides[d]:
            strides[d] = reach if operand.strides[d] > 0 else -reach
            offset += max(0, -strides[d]) * max(0, sizes[d] - 1)
            reach *= max(1, sizes[d])
    return Operand(INPUT(name=array.name, dtype=array.dtype, shape=(reach,)), offset, tuple(strides))


def lowering(name: str, target: Target, call: Call) -> None:
    """The loops of a call against its kernel, on sample values; those of a cut if it is large."""
    if _cost(call) > ELEMENTS:
        small = cut(call)
        if small is None:
            unchecked(f"kernel {call.kernel.name}", "no call of it is small")
            return
        call = small
    outputs = {o.name for o in call.kernel.outputs}
    ordered = [op.node for key, op in call.arrays.items() if key not in outputs]
    inputs = {n: sample(n.type, seed) for seed, n in enumerate(dict.fromkeys(ordered))}
    written = [op.node for key, op in call.arrays.items() if key in outputs]
    blank = {n: np.zeros(n.shape, n.type.dtype.np) for n in written}
    memory = inputs | blank
    run_loops(call, memory, target)
    graph = Graph("check", tuple(inputs), tuple(written))
    expected = run_kernels(Program(graph, (call,)), list(inputs.values()))
    for node in written:
        compare(f"{name}, {call.kernel.name}", expected[node], memory[node], _kernel_rounding(call.kernel))
