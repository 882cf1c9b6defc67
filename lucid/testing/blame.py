"""Where two computations of one graph part: the op alone, the kernel, the step that loses digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler import check, ops
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.kernel import Kernel, Store
from lucid.compiler.ir.program import Call, Program
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.plan import make_plan
from lucid.runtime import execute

from ..engine import Executable, build
from .bits import bits_apart
from .bounds import Array, Running, distance, evaluated, running


def line(node: Node) -> str:
    """The op, or the library's function, and the user's line."""
    name = node.attrs["function"] if node.op.kind == "host" else node.op.name
    return f"`{name}`" + ("" if node.loc is None else f" at {node.loc}")


def first_op(graph: Graph, found: Mapping[Node, Running]) -> str | None:
    """The first op that is wrong when it is compiled alone, with operands that are right."""
    for node in toposort(graph.outputs):
        if node.op.kind in ("leaf", "host"):
            continue
        leaves = [
            ops.INPUT(name=f"x{k}", dtype=n.type.dtype, shape=n.shape) for k, n in enumerate(node.inputs)
        ]
        alone = Node(node.op, tuple(leaves), node.attrs, node.loc)
        operands = [np.ascontiguousarray(found[n].own) for n in node.inputs]
        operands = [x.reshape(n.shape) for x, n in zip(operands, leaves, strict=True)]
        single = Graph(node.op.name, tuple(leaves), (alone,))
        (got,) = build(single)(operands)
        want = running(single, operands)[alone]
        if not within(got, want):
            return f"{line(node)}, compiled alone, on the operands that it has here"
    return None


def within(got: Array, want: Running) -> bool:
    """Whether a compiled value is one that is allowed."""
    if want.same:
        return got.dtype == want.own.dtype and bits_apart(got, want.own) is None
    return bool(np.all(distance(got, want.exact) <= want.error))


def first_kernel(executable: Any) -> str | None:
    """The first kernel whose native result is not that of NumPy on the same operands, with its lines."""
    if not isinstance(executable, Executable):
        return None
    stages = executable.compiled.stages
    program = executable.compiled.named
    inputs = {n: check.sample(n.type, k) for k, n in enumerate(program.graph.inputs)}
    values = _values(program, inputs)
    for call, code, plan in zip(program.calls, stages.codes, stages.schedules, strict=True):
        written = set(call.writes)
        others = [c for c in program.calls if c is not call]
        if any(not written.isdisjoint(c.writes) for c in others):
            continue  # several kernels fill one array: none of them is all of it
        reads = tuple(dict.fromkeys(o.node for o in call.arrays.values() if o.node not in written))
        single = Program(Graph(call.kernel.name, reads, tuple(written)), (call,))
        native = execute.Executable(arrange(make_plan(single, [code], [plan])))
        arrays = [values[n] for n in reads]
        memory = check.run_kernels(single, arrays)
        for node, got in zip(written, native(arrays), strict=True):
            try:
                check.compare(call.kernel.name, memory[node], got, check._kernel_rounding(call.kernel))
            except check.MiscompileError:
                return f"kernel {call.kernel.name}, which computes {_lines(call)}"
    return None


def kernel_of(executable: Any, node: Node) -> str:
    """The kernels that have a statement of the line of `node`."""
    if node.loc is None or not isinstance(executable, Executable):
        return ""
    calls = executable.compiled.named.calls
    names = dict.fromkeys(c.kernel.name for c in calls if str(node.loc) in _locs(c.kernel))
    return ", ".join(names)


def _values(program: Program, inputs: Mapping[Node, Array]) -> dict[Node, Array]:
    values = dict(inputs)
    every = dict.fromkeys(o.node for c in program.calls for o in c.arrays.values())
    for node in toposort(every, inputs):
        values[node] = np.ascontiguousarray(evaluated(node, node.attrs, [values[n] for n in node.inputs]))
        values[node] = values[node].reshape(node.shape)
    return values


def _locs(kernel: Kernel) -> list[str]:
    every = [s.loc for stage in (*kernel.stages, *kernel.final) for s in stage.body]
    return list(dict.fromkeys(str(place) for loc in every if loc is not None for place in loc.every))


def _lines(call: Call) -> str:
    stores = [s for stage in (*call.kernel.stages, *call.kernel.final) for s in stage.body]
    locs = [str(s.loc) for s in stores if isinstance(s, Store) and s.loc is not None] or _locs(call.kernel)
    return ", ".join(dict.fromkeys(locs)) or "no line of the user's"


# --- lost digits ----------------------------------------------------------------------------------


def relative(got: Array, exact: Array, size: float = 0.0) -> float:
    """The largest error, as a part of the largest value that is finite (or of `size`); inf where a finite
    value is lost."""
    away = distance(got, exact)
    if not away.size:
        return 0.0
    scale = max(float(np.max(np.abs(exact[np.isfinite(exact)]), initial=0.0)), size)
    largest = float(np.max(away))
    return largest / scale if scale else (np.inf if largest else 0.0)


def losing_step(graph: Graph, found: Mapping[Node, Running], limit: float) -> tuple[Node, str] | None:
    """The step that makes the most of the error of its operands, among those whose result is off by more
    than `limit` of its size; with what it does, in words."""
    worst: tuple[float, Node, str] | None = None
    known = {n: relative(r.own, r.exact) for n, r in found.items() if r.exact.dtype.kind == "f"}
    for node in toposort(graph.outputs):
        mine = known.get(node, 0.0)
        if not node.inputs or mine <= limit:
            continue
        before = max([known.get(n, 0.0) for n in node.inputs] + [0.5 * node.type.dtype.epsilon])
        factor = mine / before if np.isfinite(before) else 0.0
        if np.isfinite(factor):
            bits = np.log2(max(factor, 1.0))
            what = f"loses {bits:.0f} bits: its operands are right to {before:.1e}, it to {mine:.1e}"
        else:
            what = _left_range(found[node], node)
        if factor and (worst is None or factor > worst[0]):
            worst = factor, node, what
    return None if worst is None else (worst[1], worst[2])


def _left_range(value: Running, node: Node) -> str:
    gone = np.isfinite(value.exact) & ~np.isfinite(value.own)
    if not gone.any():
        return f"has no digit right in {node.type.dtype.numpy}"
    at = tuple(int(i[0]) for i in np.nonzero(gone))
    return f"gives {value.own[at]} in {node.type.dtype.numpy}, where the value is {value.exact[at]:.3g}"
