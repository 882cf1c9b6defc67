"""What a kernel does, counted in its text: operations on floats, and the user's lines."""

from __future__ import annotations

from math import prod

from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Loc
from lucid.compiler.ir.program import Call
from lucid.compiler.ops import REGISTRY

from ..cost import FREE


def lines(kernel: k.Kernel) -> tuple[str, ...]:
    """The user's lines that the statements of a kernel come from, in order, each once."""
    return tuple(dict.fromkeys(str(loc) for loc in _places(kernel)))


def modules(kernel: k.Kernel) -> tuple[str, ...]:
    """The paths of the modules that they come from, and of optimisers, in order, each once."""
    return tuple(dict.fromkeys(loc.module for loc in _places(kernel) if loc.module))


def _places(kernel: k.Kernel) -> list[Loc]:
    every = [s.loc for stage in kernel.stages + kernel.final for s in stage.body if s.loc is not None]
    return [place for loc in every for place in loc.every]


def flops(call: Call) -> int:
    """Operations on floats of one run of a kernel, as `Cost` counts them for ops, with what the kernel
    computes again; an expression counts once for each point of the axes that it depends on."""
    outer = {axis.name: call.extent(axis.extent) for axis in call.kernel.outer}
    depends: dict[str, frozenset[str]] = {}
    total = 0
    for number, stage in enumerate(call.kernel.stages + call.kernel.final):
        last = number >= len(call.kernel.stages)
        inner = {axis.name: call.extent(axis.extent) for axis in stage.axes}
        sizes = inner if last else outer | inner
        for stmt in stage.body:
            for expr in k.operands(stmt):
                total += _of_expression(expr, sizes, depends)
            if isinstance(stmt, k.Let):
                depends[stmt.name] = _axes(stmt.expr, depends) & sizes.keys()
            elif isinstance(stmt, k.Reduce):
                total += _step(stmt) * prod(sizes.values())
                depends.update(dict.fromkeys(stmt.names, frozenset(outer) if stmt.of_row else frozenset()))
            elif isinstance(stmt, k.Scan | k.Scatter) and k.expr_dtype(stmt.expr).is_float:
                total += prod(sizes.values())
    return total


def _step(reduce: k.Reduce) -> int:
    """Operations of one step of a fold."""
    if not reduce.dtypes[0].is_float:
        return 0
    return 2 if reduce.op == "dot" else 1


def _of_expression(expr: k.Expr, sizes: dict[str, int], depends: dict[str, frozenset[str]]) -> int:
    total = sum(_of_expression(part, sizes, depends) for part in k.parts(expr))
    if isinstance(expr, k.Call) and expr.dtype.is_float and expr.op not in FREE:
        total += REGISTRY[expr.op].flops * prod(sizes[axis] for axis in _axes(expr, depends) & sizes.keys())
    return total


def _axes(expr: k.Expr, depends: dict[str, frozenset[str]]) -> frozenset[str]:
    """The axes that the value of an expression depends on."""
    found = frozenset[str]().union(*(_axes(part, depends) for part in k.parts(expr)))
    if isinstance(expr, k.Load):
        return found | {index.axis for index in expr.index} | {guard.axis for guard in expr.guards}
    if isinstance(expr, k.At | k.Within):
        return found | {expr.axis}
    if isinstance(expr, k.Ref):
        return found | depends.get(expr.name, frozenset())
    return found
