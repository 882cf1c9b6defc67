"""What a compile consists of, for those who want to look: kernels, bytes, reasons."""

from __future__ import annotations

from dataclasses import dataclass

from lucid.compiler.pipeline import Compiled as Stages
from lucid.compiler.text import print_kernel


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One kernel of a plan. `bytes`: what one call moves, every input byte counted once and every
    output byte once. `reasons`: why it was fused as it is."""

    name: str
    bytes: int
    reasons: tuple[str, ...]
    text: str


def kernel_calls(stages: Stages) -> list[KernelCall]:
    """The kernels of a plan, in the order in which they run."""
    return [
        KernelCall(c.kernel.name, c.bytes, c.reasons, print_kernel(c.kernel))
        for c in stages.program.calls
    ]


def explain(stages: Stages) -> list[str]:
    """One line for each kernel, its reasons below; then the time that each pass took."""
    lines = []
    for call in kernel_calls(stages):
        lines.append(f"kernel {call.name}: {call.bytes} bytes")
        lines += [f"  {reason}" for reason in call.reasons]
    lines += [f"pass {name}: {1e3 * seconds:.2f} ms" for name, seconds in stages.times]
    return lines
