"""What a compiled function costs, in numbers that tests can assert; and contracts about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node, toposort

from .errors import ContractError, here

if TYPE_CHECKING:
    from .engine import Executable
    from .staged import Staged


@data
class Cost:
    """One call. `kernels`: how many run; `bytes`: what they move, each byte that a kernel reads or writes
    counted once for it; `flops`: operations on floats of the simplified graph, each once (what kernels
    compute twice is not counted again; an elementary function counts for what its polynomial takes, a step
    of a product for two; casts, selections and signs for none); `temp_bytes`: working memory between
    kernels. What a library computes (LAPACK, pocketfft) is not in it."""

    kernels: int
    bytes: int
    flops: int
    temp_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.kernels} kernels, {self.bytes:,} bytes moved, {self.flops:,} flops, "
            f"{self.temp_bytes:,} bytes of working memory"
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
            ("kernels", self.max_kernels, cost.kernels),
            ("bytes", self.max_bytes, cost.bytes),
            ("temp_bytes", self.max_temp_bytes, cost.temp_bytes),
        ):
            if most is not None and found > most:
                lines = [
                    f"{name}: {found:,} {what}, and max_{what}={most:,} was asked for; it is compiled to"
                ]
                told = [line for part in made.executables() for line in _reasons(part)]
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
    graphs = [x.compiled.stages.simplified for x in parts]
    return Cost(
        len(kernels),
        sum(kernel.bytes for kernel in kernels),
        sum(flops(node) for graph in graphs for node in toposort(graph.outputs)),
        sum(x.compiled.plan.temp_bytes for x in parts),
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


FREE = {"cast", "where", "neg", "abs", "sign", "copysign", "stop_gradient", "place", "natural"}


def flops(node: Node) -> int:
    """Operations on floats of one node."""
    op, size = node.op, math.prod(node.shape)
    if not node.type.dtype.is_float or op.name in FREE:
        return 0
    if op.kind == "elementwise":
        return op.flops * size
    if op.kind in ("reduce", "scan") or op.name == "scatter_add":
        return math.prod(node.inputs[0].shape)
    if op.kind == "contract":
        (left, right), shapes = (
            node.attrs["spec"].partition("->")[0].split(","),
            [n.shape for n in node.inputs],
        )
        extents = dict(zip(left + right, (*shapes[0], *shapes[1]), strict=True))
        return 2 * math.prod(extents.values())
    if (
        op.kind == "composed"
    ):  # a convolution: of each element of the result, a product for each of the kernel's
        return 2 * size * math.prod(node.inputs[1].shape[1:])
    assert op.kind in ("view", "leaf", "index", "sort", "pair"), node
    return 0
