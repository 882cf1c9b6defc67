"""What lucid makes of the smallest loss: every stage, from the graph to machine code, as text.

Use:

    python examples/inspect_ir.py                  all stages
    python examples/inspect_ir.py kernel loop      these
"""

from __future__ import annotations

import argparse

import lucid
from lucid.nn import functional as F

STAGES = {
    "graph": "what is computed: the loss",
    "gradient": "with its gradient",
    "simplified": "the same, simplified by rules that keep every bit",
    "kernel": "what runs together",
    "loop": "how it runs on this machine",
    "llvm": "the same as LLVM IR",
    "asm": "machine code",
}


def huber(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
    return F.huber_loss(x, y, delta=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the stages of a compiled loss.")
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"of {', '.join(STAGES)}")
    stages = parser.parse_args().stages or list(STAGES)
    if unknown := set(stages) - set(STAGES):
        parser.error(f"unknown stage {', '.join(sorted(unknown))}; expected {', '.join(STAGES)}")

    compiled = lucid.compile(lucid.value_and_grad(huber))
    x, y = lucid.randn(4096), lucid.randn(4096)
    compiled(x, y)
    for stage in stages:
        print(f"{'=' * 12} {stage}: {STAGES[stage]}\n")
        print(compiled.ir(stage).rstrip(), end="\n\n")


if __name__ == "__main__":
    main()
