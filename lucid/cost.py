"""What a compiled function costs, in numbers that tests can assert; and contracts about them."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.data import data
from lucid.compiler.ir.program import Call
from lucid.compiler.ops import REGISTRY

from .errors import ContractError, here

if TYPE_CHECKING:
    from .engine import Executable
    from .staged import Staged


@data
class Cost:
    """One call. `kernels`: how many run; `bytes`: what they move, each byte that a kernel reads or writes
    counted once for it; `flops`: operations on floats that the text of the kernels says (what two of them
    compute counts twice; an elementary function counts as much as its op is weighed in fusion, a step of a
    product for two; casts, selections and signs for none); `temp_bytes`: working memory between kernels;
    `calls`: of libraries (LAPACK, pocketfft). Their operands and results are in `bytes`, each once a call;
    what they compute, and the memory that they take for it, is in no number."""

    kernels: int
    bytes: int
    flops: int
    temp_bytes: int
    calls: int = 0

    def __str__(self) -> str:
        calls = f" and {self.calls} calls of libraries" if self.calls else ""
        return (
            f"{self.kernels} kernels{calls}, {self.bytes:,} bytes moved, {self.flops:,} flops, "
            f"{self.temp_bytes:,} bytes of working memory" + (" beside that of libraries" if calls else "")
        )


TOLD = 5  # lines about kernels in an error


@data
class Contract:
    """The most that `lucid.compile` was told to allow; None: any number."""

    max_kernels: int | None
    max_bytes: int | None
    max_temp_bytes: int | None

    def judge(self, name: str, made: Executable | Staged) -> None:
        """ContractError, which tells why the kernels are what they are, if `made` costs more."""
        cost = cost_of(made)
        for what, most, found in (
            ("kernels", self.max_kernels, cost.kernels + cost.calls),
            ("bytes", self.max_bytes, cost.bytes),
            ("temp_bytes", self.max_temp_bytes, cost.temp_bytes),
        ):
            if most is not None and found > most:
                word = "kernels and calls of libraries" if what == "kernels" and cost.calls else what
                lines = [
                    f"{name}: {found:,} {word}, and max_{what}={most:,} was asked for; it is compiled to"
                ]
                told = []
                for part, libraries in made.parts():
                    told += _reasons(part) if part is not None else []
                    told += [f"  a call of {library}: {library.bytes:,} bytes" for library in libraries]
                if len(told) > TOLD:
                    told[TOLD - 1 :] = [f"  and so on: without max_{what}, {name}.explain() tells all of it"]
                raise ContractError(here("\n".join([*lines, *told])))


def contract(max_kernels: int | None, max_bytes: int | None, max_temp_bytes: int | None) -> Contract | None:
    """The contract of the arguments of `compile`; None if there is none. TypeError, ValueError for what is
    no count."""
    given = {"max_kernels": max_kernels, "max_bytes": max_bytes, "max_temp_bytes": max_temp_bytes}
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(here(f"compile: {name} must be an int, not {type(value).__name__}"))
        if value is not None and value < 0:
            raise ValueError(here(f"compile: {name} must be at least 0, not {value}"))
    return Contract(**given) if any(v is not None for v in given.values()) else None


def cost_of(made: Executable | Staged) -> Cost:
    """The cost of what was compiled."""
    parts = made.executables()
    kernels = [kernel for x in parts for kernel in x.kernels]
    libraries = [library for _, called in made.parts() for library in called]
    return Cost(
        len(kernels),
        sum(kernel.bytes for kernel in kernels) + sum(library.bytes for library in libraries),
        sum(flops(call) for x in parts for call in x.compiled.stages.program.calls),
        sum(x.compiled.plan.temp_bytes for x in parts),
        len(libraries),
    )


def _reasons(made: Executable) -> list[str]:
    """The kernels, and why each is not part of one before it."""
    calls = made.compiled.named.calls
    lines: list[str] = []
    for number, call in enumerate(calls):
        lines.append(f"  kernel {number}, {call.kernel.name}: {call.bytes:,} bytes")
        reads = set(call.reads)
        needed = [k for k, c in enumerate(calls[:number]) if not reads.isdisjoint(c.writes)]
        shared = [k for k, c in enumerate(calls[:number]) if not reads.isdisjoint(c.reads)]
        if needed:
            lines.append(f"    needs what {_kernels(needed)} writes, once all of its blocks are done")
        elif shared:
            lines.append(
                f"    reads arrays of {_kernels(shared)}, along other axes or too many for one kernel"
            )
        elif number:
            lines.append("    has no array in common with those before")
    return lines


def _kernels(numbers: list[int]) -> str:
    return "kernel " + " and ".join(map(str, numbers))


# What is free, of elementwise ops.
FREE = {"cast", "where", "neg", "abs", "sign", "copysign", "stop_gradient", "place", "natural"}


def weight(op: str) -> int:
    """Operations on floats that one point of an elementwise op, or one step of a fold, counts for."""
    if op in REGISTRY:
        return 0 if op in FREE else REGISTRY[op].flops
    return 2 if op == "dot" else 1


def flops(call: Call) -> int:
    """Operations on floats of one run of a kernel: an expression counts once for each point of the axes that
    it depends on."""
    return sum(weight(op) * points for op, points in computed(call).items())


def computed(call: Call) -> Counter[str]:
    """The ops and folds of floats in the text of a kernel, and for how many points each is computed."""
    found = Counter[str]()
    outer = {axis.name: call.extent(axis.extent) for axis in call.kernel.outer}
    depends: dict[str, frozenset[str]] = {}

    def count(expr: k.Expr, sizes: dict[str, int]) -> None:
        for part in k.parts(expr):
            count(part, sizes)
        if isinstance(expr, k.Call) and expr.dtype.is_float:
            found[expr.op] += math.prod(sizes[axis] for axis in _axes(expr, depends) & sizes.keys())

    for number, stage in enumerate(call.kernel.stages + call.kernel.final):
        inner = {axis.name: call.extent(axis.extent) for axis in stage.axes}
        sizes = outer | inner if number < len(call.kernel.stages) else inner
        points = math.prod(sizes.values())
        for stmt in stage.body:
            for expr in k.operands(stmt):
                count(expr, sizes)
            if isinstance(stmt, k.Let):
                depends[stmt.name] = _axes(stmt.expr, depends) & sizes.keys()
            elif isinstance(stmt, k.Reduce):
                found[stmt.op] += points * stmt.dtypes[0].is_float
                depends.update(dict.fromkeys(stmt.names, frozenset(outer) if stmt.of_row else frozenset()))
            elif isinstance(stmt, k.Scan | k.Scatter):
                found[stmt.op] += points * k.expr_dtype(stmt.expr).is_float
    return found


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
